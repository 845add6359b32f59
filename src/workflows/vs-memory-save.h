/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-operations.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

/*
 * A guest's memory as of one instant into an image of its own, beside the guest's disks. What the steps of a workflow
 * call, in this order: look, prepare; then, with the guest stopped at one instant for memory and disks, take; wait,
 * complete. Backwards: stop, forget. Threads of runs. The run's tool is the image under way.
 */

/* Facts */
#define FACT_MEMORY_MODE "memory-mode" /* see VsMemoryMode; by its name */
#define FACT_MODE_REASON "mode-reason" /* why not a better one; in words */
#define FACT_MEMORY_PATH "memory-path"
#define FACT_MEMORY_SIZE "memory-size" /* bytes of the guest's state in the image */

/**
 * VsMemoryMode:
 * @VS_MEMORY_BACKGROUND: the guest runs while its memory is written as it was at the instant
 * @VS_MEMORY_PRECOPY: the guest runs while its memory is written, and stops for the last of it; that is the instant
 * @VS_MEMORY_PAUSED: the guest stands still until its memory is written
 *
 * How the memory gets into the image.
 */
typedef enum {
  VS_MEMORY_BACKGROUND,
  VS_MEMORY_PRECOPY,
  VS_MEMORY_PAUSED,
} VsMemoryMode;

gboolean vs_memory_save_note (const char *path,
                              const VsSnapshotCreateOptions *options,
                              JsonObject *facts,
                              GError **error);
VsMemoryMode vs_memory_save_get_mode (VsRun *run);

gboolean vs_memory_save_look (VsRun *run,
                              GError **error);
gboolean vs_memory_save_prepare (VsRun *run,
                                 GError **error);
gboolean vs_memory_save_forget (VsRun *run,
                                GError **error);
gboolean vs_memory_save_come_near (VsRun *run,
                                   GError **error);
gboolean vs_memory_save_take (VsRun *run,
                              GError **error);
gboolean vs_memory_save_wait (VsRun *run,
                              GError **error);
gboolean vs_memory_save_complete (VsRun *run,
                                  GError **error);
gboolean vs_memory_save_stop (VsRun *run,
                              GError **error);

G_END_DECLS
