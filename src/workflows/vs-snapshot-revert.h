/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* What all ways of reverting have in common. Facts: */
#define FACT_TAG "tag"                 /* the snapshot's, in the disks */
#define FACT_MEMORY "memory"           /* it holds the guest's memory in a disk */
#define FACT_VM_STATE_SIZE "vm-state-size" /* how much that is, in bytes */
#define FACT_MEMORY_FILE "memory-file" /* the image that the guest's memory is in, where it isn't in a disk */
#define FACT_NVRAM "nvram"             /* file that keeps its UEFI variables */
#define FACT_DEFINITION "definition"   /* the domain as it was then, with the disks that it gets */
#define FACT_OLD_DEFINITION "old-definition"
#define FACT_OLD_CURRENT "old-current"
#define FACT_PRESENT_DEFINITION "present-definition" /* the guest's, or the one the next would have */
#define FACT_UNDO_TAG "undo-tag"       /* keeps the present state until the revert has worked */
#define FACT_RUN "run"                 /* the guest runs afterwards */
#define FACT_DISCARD "discard-managed-save" /* there is one, and it goes */
#define FACT_GUEST "guest"             /* there is a guest afterwards */

GPtrArray *vs_revert_look (VsRun *run,
                           GError **error);
gboolean vs_revert_look_first (VsRun *run,
                               GError **error);
gboolean vs_revert_use_definition (VsRun *run,
                                   const char *fact,
                                   GError **error);
gboolean vs_revert_record_quietly (VsRun *run,
                                   GError **error);
gboolean vs_revert_tell (VsRun *run,
                         GError **error);
gboolean vs_revert_record (VsRun *run,
                           GError **error);
gboolean vs_revert_unrecord (VsRun *run,
                             GError **error);
gboolean vs_revert_put_nvram_back (VsRun *run,
                                   GError **error);
gboolean vs_revert_let_run (VsRun *run,
                            GError **error);
gboolean vs_revert_delete_undo_tag (VsRun *run,
                                    GError **error);

/* The UEFI variables as they were before: see vs-revert-variables.c */
gboolean vs_revert_keep_variables (VsRun *run,
                                   GError **error);
gboolean vs_revert_undo_variables (VsRun *run,
                                   GError **error);
gboolean vs_revert_forget_variables (VsRun *run,
                                     GError **error);

G_END_DECLS
