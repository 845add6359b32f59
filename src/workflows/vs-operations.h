/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-engine.h"

G_BEGIN_DECLS

/* How long a caller is kept waiting for QEMU's answer to a word: less than the 25 s after which D-Bus's libraries give up
 * and tell of no reply. */
#define VS_ANSWER_TIMEOUT ((gint64) 20 * G_USEC_PER_SEC)

/*
 * What can be asked of a domain. All on the main thread; none waits. The ones that return a VsJob (transfer none; the
 * engine keeps it) refuse at once what can be known to be wrong at once, and check again when their turn comes.
 */

/* Every workflow there is, NULL-terminated: for vs_engine_new(), and for recovery to find them by name. */
extern const VsWorkflow *const vs_workflows[];

typedef struct {
  gboolean paused;
} VsStartOptions;

VsJob *vs_operation_start (VsEngine *engine,
                           VsDomain *domain,
                           const VsStartOptions *options,
                           const VsRequest *request,
                           GError **error);

typedef struct {
  const char *description;
  gboolean halt;
} VsSnapshotCreateOptions;

/* An internal snapshot: in the disks' own files. An empty @name has one made from the time. */
VsJob *vs_operation_snapshot_create_internal (VsEngine *engine,
                                              VsDomain *domain,
                                              const char *name,
                                              const VsSnapshotCreateOptions *options,
                                              const VsRequest *request,
                                              GError **error);

typedef struct {
  gboolean running;
  gboolean paused;
  gboolean force;
} VsSnapshotRevertOptions;

VsJob *vs_operation_snapshot_revert (VsEngine *engine,
                                     VsSnapshot *snapshot,
                                     const VsSnapshotRevertOptions *options,
                                     const VsRequest *request,
                                     GError **error);

typedef struct {
  gboolean children;
  gboolean children_only;
  gboolean metadata_only;
} VsSnapshotDeleteOptions;

VsJob *vs_operation_snapshot_delete (VsEngine *engine,
                                     VsSnapshot *snapshot,
                                     const VsSnapshotDeleteOptions *options,
                                     const VsRequest *request,
                                     GError **error);

/* The short ones: one word to QEMU, no job. They act at once, also beside a running operation, which respects them. */
typedef enum {
  VS_CONTROL_SHUTDOWN,
  VS_CONTROL_POWER_OFF,
  VS_CONTROL_RESET,
  VS_CONTROL_PAUSE,
  VS_CONTROL_RESUME,
} VsControl;

void vs_operation_control_async (VsDomain *domain,
                                 VsControl control,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
gboolean vs_operation_control_finish (VsDomain *domain,
                                      GAsyncResult *result,
                                      GError **error);

void vs_operation_screenshot_async (VsDomain *domain,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
int vs_operation_screenshot_finish (VsDomain *domain,
                                    GAsyncResult *result,
                                    GError **error);

G_END_DECLS
