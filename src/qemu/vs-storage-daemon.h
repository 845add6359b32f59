/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp-client.h"
#include "vs-disk-chain.h"
#include "vs-process.h"

G_BEGIN_DECLS

/**
 * VsStorageDaemon:
 *
 * A qemu-storage-daemon of ours: QEMU's block layer without a guest, for files that no guest uses. It answers the same
 * commands, and dies with the service. Any thread but the main one.
 */
typedef struct _VsStorageDaemon VsStorageDaemon;

VsStorageDaemon *vs_storage_daemon_start (const char *emulator,
                                          const char *log_path,
                                          GCancellable *cancellable,
                                          GError **error);
void vs_storage_daemon_end (VsStorageDaemon *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsStorageDaemon, vs_storage_daemon_end)

QmpClient *vs_storage_daemon_get_client (VsStorageDaemon *self);
VsProcess *vs_storage_daemon_get_process (VsStorageDaemon *self);
gboolean vs_storage_daemon_open (VsStorageDaemon *self,
                                 VsDiskChain *chain,
                                 gboolean writable,
                                 GError **error);

G_END_DECLS
