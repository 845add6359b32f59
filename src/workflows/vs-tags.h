/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/*
 * Internal snapshots as tags in qcow2 files: through the monitor while there is a guest, through qemu-img while there
 * is none. Which disks take part is a fact of the run, so that recovery needs no definition. Threads of runs.
 */

/* Facts: an array of {target, path}, and the target of the disk that keeps the memory */
#define VS_TAGS_FACT_DISKS "disks"
#define VS_TAGS_FACT_VMSTATE "vmstate"

/* A second set of disks may be kept in facts under another name: vs_tags_aim() makes it the one that counts */
typedef enum {
  VS_TAGS_SNAPSHOT, /* the disks of the snapshot that the operation is about */
  VS_TAGS_PRESENT,  /* the disks that the domain has now */
} VsTagsSet;

void vs_tags_store_set (JsonObject *facts,
                        VsTagsSet set);
void vs_tags_aim (VsRun *run,
                  VsTagsSet set);

/* QEMU's jobs, for vs_steps_job_id(): after success they stay until vs_tags_dismiss(), so that recovery can ask */
#define VS_TAGS_JOB_SAVE "save"
#define VS_TAGS_JOB_LOAD "load"

/**
 * VsTagState:
 * @target: the disk
 * @node: (nullable): its active node in the guest; %NULL: the guest doesn't have this file
 * @reader: (nullable): where @node is %NULL: the node of this file in the guest's chain, below its active one
 * @path: its active file
 * @present: whether the tag is there
 * @vm_state_size: bytes of guest state kept under the tag
 *
 * One disk and one tag.
 */
typedef struct {
  char *target;
  char *node;
  char *reader;
  char *path;
  gboolean present;
  guint64 vm_state_size;
} VsTagState;

/* Main thread, for checks: the disks of @def that an internal snapshot covers become the fact; refuses what can't be
 * covered. */
gboolean vs_tags_choose_disks (VsDomainDef *def,
                               JsonObject *facts,
                               GError **error);

gboolean vs_tags_choose_disk (VsDomainDef *def,
                              const VsDiskDef *disk,
                              JsonArray *disks,
                              GError **error);

/* The disks of a snapshot on record */
JsonArray *vs_tags_list_disks (VsSnapshotDef *snapshot);

GPtrArray *vs_tags_list (VsRun *run);
gboolean vs_tags_claim (VsRun *run,
                        GError **error);
GPtrArray *vs_tags_list_known (VsRun *run);
GPtrArray *vs_tags_look (VsRun *run,
                         const char *tag,
                         GError **error);
gboolean vs_tags_check_room_at (const char *path,
                                guint64 needed,
                                GError **error);
gboolean vs_tags_check_room (VsRun *run,
                             guint64 memory,
                             GError **error);
const VsTagState *vs_tags_get_vmstate (VsRun *run,
                                       GPtrArray *states);
GPtrArray *vs_tags_find_nodes (VsRun *run,
                               const char *tag,
                               GError **error);
gboolean vs_tags_check_complete (VsRun *run,
                                 GPtrArray *states,
                                 const char *tag,
                                 GError **error);
gboolean vs_tags_protect (VsRun *run,
                          const char *tag,
                          GError **error);
gboolean vs_tags_save (VsRun *run,
                       const char *tag,
                       GError **error);
gboolean vs_tags_create_offline (VsRun *run,
                                 const char *tag,
                                 GError **error);
gboolean vs_tags_load (VsRun *run,
                       const char *tag,
                       guint64 vm_state_size,
                       GCancellable *cancellable,
                       GError **error);
void vs_tags_dismiss (VsRun *run,
                      const char *what);
gboolean vs_tags_apply_offline (VsRun *run,
                                const char *tag,
                                GError **error);
gboolean vs_tags_apply_where_present (VsRun *run,
                                      const char *tag,
                                      GError **error);
gboolean vs_tags_check_nodes (GPtrArray *states,
                              GError **error);
void vs_tags_keep_nodes (VsRun *run,
                         GPtrArray *states);
gboolean vs_tags_delete_below (VsRun *run,
                               const VsTagState *state,
                               const char *tag,
                               GError **error);
gboolean vs_tags_delete (VsRun *run,
                         const char *tag,
                         GError **error);

G_END_DECLS
