/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-engine.h"
#include "vs-saved-image.h"

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

/**
 * VsStartOptions:
 * @paused: the guest stands still afterwards
 * @discard_managed_save: boot, and remove the managed save when that has worked, instead of restoring from it
 * @bypass_cache: read the managed save past the page cache; without one, nothing
 * @create: it is the first start of a transient domain, which isn't started otherwise
 */
typedef struct {
  gboolean paused;
  gboolean discard_managed_save;
  gboolean bypass_cache;
  gboolean create;
} VsStartOptions;

VsJob *vs_operation_start (VsEngine *engine,
                           VsDomain *domain,
                           const VsStartOptions *options,
                           const VsRequest *request,
                           GError **error);

/**
 * VsSnapshotCreateOptions:
 * @location: where disks are kept of which the wish says nothing, and with them the memory
 * @disk_only: without the memory, also where there is a guest
 * @live: the guest must not stop for longer than the switch: refused where that can't be; excludes @pause
 * @pause: the guest stands still while its memory is written
 * @halt: the guest is ended afterwards
 * @quiesce: the guest agent freezes the file systems around the switch; with @disk_only
 * @reuse_external: the overlays' files are there already
 * @no_metadata: the snapshot isn't recorded
 * @has_encoding: whether @encoding was said
 * @encoding: of the memory's image
 */
typedef struct {
  VmSnapLocation location;
  gboolean disk_only;
  gboolean live;
  gboolean pause;
  gboolean halt;
  gboolean quiesce;
  gboolean reuse_external;
  gboolean no_metadata;
  gboolean has_encoding;
  VsImageEncoding encoding;
} VsSnapshotCreateOptions;

/* @wish: what the caller says of the snapshot: its name (%NULL: one is made from the time), description, disks (those
 * that aren't named go by @options) and the path of its memory. */
VsJob *vs_operation_snapshot_create (VsEngine *engine,
                                     VsDomain *domain,
                                     VsSnapshotDef *wish,
                                     const VsSnapshotCreateOptions *options,
                                     const VsRequest *request,
                                     GError **error);

VsJob *vs_operation_snapshot_redefine (VsEngine *engine,
                                       VsDomain *domain,
                                       VsSnapshotDef *def,
                                       gboolean current,
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

/**
 * VsSaveOptions:
 * @running: the image says that the guest shall run when it is restored; excludes @paused
 * @paused: the image says that it shall stand still; neither: as it is when it is saved
 * @bypass_cache: don't fill the page cache with the image
 * @encoding: how the guest's state is written
 * @def: (nullable): a definition for the image instead of the guest's own: host paths and names may differ, not what the
 *   guest could notice
 */
typedef struct {
  gboolean running;
  gboolean paused;
  gboolean bypass_cache;
  VsImageEncoding encoding;
  VsDomainDef *def;
} VsSaveOptions;

/* @fd: the caller's descriptor of a regular file or block device, writable; it is duplicated. */
VsJob *vs_operation_save (VsEngine *engine,
                          VsDomain *domain,
                          int fd,
                          const VsSaveOptions *options,
                          const VsRequest *request,
                          GError **error);
VsJob *vs_operation_managed_save (VsEngine *engine,
                                  VsDomain *domain,
                                  const VsSaveOptions *options,
                                  const VsRequest *request,
                                  GError **error);

/**
 * VsRestoreOptions:
 * @running: the guest runs afterwards; excludes @paused
 * @paused: it stands still; neither: as the image says
 * @bypass_cache: read the image past the page cache
 * @def: (nullable): a definition instead of the image's: host paths and names may differ, not what the guest could notice
 */
typedef struct {
  gboolean running;
  gboolean paused;
  gboolean bypass_cache;
  VsDomainDef *def;
} VsRestoreOptions;

/* A saved image is opened on a worker (vs_saved_image_open()), for it waits for the disk; so that polkit can be told
 * whose image it is. Then, on the main thread, the domain is made if there is none, which takes a moment: async. */
void vs_operation_restore_async (VsEngine *engine,
                                 VsSavedImage *image,
                                 const VsRestoreOptions *options,
                                 const VsRequest *request,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
VsJob *vs_operation_restore_finish (VsEngine *engine,
                                    GAsyncResult *result,
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
