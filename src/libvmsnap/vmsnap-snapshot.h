/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap-types.h>

G_BEGIN_DECLS

const char *vmsnap_snapshot_get_name (VmSnapSnapshot *snapshot);
const char *vmsnap_snapshot_get_description (VmSnapSnapshot *snapshot);
guint64 vmsnap_snapshot_get_creation_time (VmSnapSnapshot *snapshot);
VmSnapSnapshotState vmsnap_snapshot_get_state (VmSnapSnapshot *snapshot);
VmSnapLocation vmsnap_snapshot_get_location (VmSnapSnapshot *snapshot);
VmSnapLocation vmsnap_snapshot_get_memory (VmSnapSnapshot *snapshot);
GVariant *vmsnap_snapshot_get_disks (VmSnapSnapshot *snapshot);
gboolean vmsnap_snapshot_is_current (VmSnapSnapshot *snapshot);
guint64 vmsnap_snapshot_get_size (VmSnapSnapshot *snapshot);
guint64 vmsnap_snapshot_get_downtime (VmSnapSnapshot *snapshot);
VmSnapDomain *vmsnap_snapshot_get_domain (VmSnapSnapshot *snapshot);
VmSnapSnapshot *vmsnap_snapshot_get_parent (VmSnapSnapshot *snapshot);
GList *vmsnap_snapshot_get_children (VmSnapSnapshot *snapshot);

void vmsnap_snapshot_revert (VmSnapSnapshot *snapshot,
                             GVariant *options,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
VmSnapJob *vmsnap_snapshot_revert_finish (VmSnapSnapshot *snapshot, GAsyncResult *result, GError **error);
VmSnapJob *
vmsnap_snapshot_revert_sync (VmSnapSnapshot *snapshot, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_snapshot_delete (VmSnapSnapshot *snapshot,
                             GVariant *options,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
VmSnapJob *vmsnap_snapshot_delete_finish (VmSnapSnapshot *snapshot, GAsyncResult *result, GError **error);
VmSnapJob *
vmsnap_snapshot_delete_sync (VmSnapSnapshot *snapshot, GVariant *options, GCancellable *cancellable, GError **error);
void vmsnap_snapshot_get_xml (VmSnapSnapshot *snapshot,
                              GVariant *options,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data);
char *vmsnap_snapshot_get_xml_finish (VmSnapSnapshot *snapshot, GAsyncResult *result, GError **error);
char *
vmsnap_snapshot_get_xml_sync (VmSnapSnapshot *snapshot, GVariant *options, GCancellable *cancellable, GError **error);

G_END_DECLS
