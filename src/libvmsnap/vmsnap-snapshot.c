/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A snapshot: what it says of itself, its place in the tree, and what can be asked of it. Lives in the client's thread.
 */
#include "vmsnap-snapshot.h"

#include "vmsnap-domain.h"
#include "vmsnap-private.h"

/**
 * VmSnapSnapshot:
 *
 * A moment of a domain that it can be brought back to.
 *
 * Its properties are those of the interface org.vmsnap.VmSnap1.Snapshot, as #GObject properties in the words of the
 * bus; a change is notified. The functions here give the words as values of enums, and paths as objects.
 */
struct _VmSnapSnapshot
{
  VmSnapDBusSnapshotProxy parent_instance;
};

G_DEFINE_FINAL_TYPE (VmSnapSnapshot, vmsnap_snapshot, VM_SNAP_DBUS_TYPE_SNAPSHOT_PROXY)

static void
vmsnap_snapshot_class_init (VmSnapSnapshotClass *klass)
{
  /* From now on, GDBus turns the names of our errors into the codes. */
  vmsnap_error_quark ();
}

static void
vmsnap_snapshot_init (VmSnapSnapshot *self)
{
}

/**
 * vmsnap_snapshot_get_name:
 * @snapshot: a snapshot
 *
 * Names are unique among the snapshots of a domain.
 *
 * Returns: (transfer none): the name
 */
const char *
vmsnap_snapshot_get_name (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  return vm_snap_dbus_snapshot_get_name (VM_SNAP_DBUS_SNAPSHOT (snapshot));
}

/**
 * vmsnap_snapshot_get_description:
 * @snapshot: a snapshot
 *
 * Tells what its creator wanted it to be known for.
 *
 * Returns: (transfer none): words for people; may be empty
 */
const char *
vmsnap_snapshot_get_description (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  return vm_snap_dbus_snapshot_get_description (VM_SNAP_DBUS_SNAPSHOT (snapshot));
}

/**
 * vmsnap_snapshot_get_creation_time:
 * @snapshot: a snapshot
 *
 * Tells the instant that it brings back.
 *
 * Returns: when it was taken, in microseconds since the epoch, UTC
 */
guint64
vmsnap_snapshot_get_creation_time (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), 0);

  return vm_snap_dbus_snapshot_get_creation_time (VM_SNAP_DBUS_SNAPSHOT (snapshot));
}

/**
 * vmsnap_snapshot_get_state:
 * @snapshot: a snapshot
 *
 * Tells the state that a revert leads to, unless told otherwise.
 *
 * Returns: what it brings back
 */
VmSnapSnapshotState
vmsnap_snapshot_get_state (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), 0);

  return _vmsnap_proxy_get_enum (snapshot, "State", VMSNAP_TYPE_SNAPSHOT_STATE);
}

/**
 * vmsnap_snapshot_get_location:
 * @snapshot: a snapshot
 *
 * Disks can be kept inside of their files, or by overlays on them.
 *
 * Returns: where the disks are kept
 */
VmSnapLocation
vmsnap_snapshot_get_location (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), 0);

  return _vmsnap_proxy_get_enum (snapshot, "Location", VMSNAP_TYPE_LOCATION);
}

/**
 * vmsnap_snapshot_get_memory:
 * @snapshot: a snapshot
 *
 * Without memory, the guest boots after a revert.
 *
 * Returns: where the memory is kept
 */
VmSnapLocation
vmsnap_snapshot_get_memory (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), 0);

  return _vmsnap_proxy_get_enum (snapshot, "Memory", VMSNAP_TYPE_LOCATION);
}

/**
 * vmsnap_snapshot_get_disks:
 * @snapshot: a snapshot
 *
 * Tells what the snapshot keeps of each disk, and in which file.
 *
 * Returns: (transfer full): the disks, an `aa{sv}`: see org.vmsnap.VmSnap1.Snapshot:Disks
 */
GVariant *
vmsnap_snapshot_get_disks (VmSnapSnapshot *snapshot)
{
  GVariant *disks;

  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  disks = vm_snap_dbus_snapshot_dup_disks (VM_SNAP_DBUS_SNAPSHOT (snapshot));
  return disks != NULL ? disks : g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE_VARDICT, NULL, 0));
}

/**
 * vmsnap_snapshot_is_current:
 * @snapshot: a snapshot
 *
 * At most one snapshot of a domain is.
 *
 * Returns: whether the present state of the domain descends from it directly
 */
gboolean
vmsnap_snapshot_is_current (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), FALSE);

  return vm_snap_dbus_snapshot_get_is_current (VM_SNAP_DBUS_SNAPSHOT (snapshot));
}

/**
 * vmsnap_snapshot_get_size:
 * @snapshot: a snapshot
 *
 * Tells how much room it takes, as far as that is known.
 *
 * Returns: the bytes that it takes
 */
guint64
vmsnap_snapshot_get_size (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), 0);

  return vm_snap_dbus_snapshot_get_size (VM_SNAP_DBUS_SNAPSHOT (snapshot));
}

/**
 * vmsnap_snapshot_get_downtime:
 * @snapshot: a snapshot
 *
 * Tells what the snapshot cost the guest.
 *
 * Returns: how long the guest stood still when it was taken, in microseconds
 */
guint64
vmsnap_snapshot_get_downtime (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), 0);

  return vm_snap_dbus_snapshot_get_downtime (VM_SNAP_DBUS_SNAPSHOT (snapshot));
}

/**
 * vmsnap_snapshot_get_domain:
 * @snapshot: a snapshot
 *
 * Tells what it is a snapshot of.
 *
 * Returns: (transfer full) (nullable): the domain, if it is still there
 */
VmSnapDomain *
vmsnap_snapshot_get_domain (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  return _vmsnap_proxy_lookup (snapshot, vm_snap_dbus_snapshot_get_domain (VM_SNAP_DBUS_SNAPSHOT (snapshot)),
                               VMSNAP_TYPE_DOMAIN);
}

/**
 * vmsnap_snapshot_get_parent:
 * @snapshot: a snapshot
 *
 * Snapshots form trees: this is one step towards the root.
 *
 * Returns: (transfer full) (nullable): the snapshot that was current when this one was taken
 */
VmSnapSnapshot *
vmsnap_snapshot_get_parent (VmSnapSnapshot *snapshot)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  return _vmsnap_proxy_lookup (snapshot, vm_snap_dbus_snapshot_get_parent (VM_SNAP_DBUS_SNAPSHOT (snapshot)),
                               VMSNAP_TYPE_SNAPSHOT);
}

/**
 * vmsnap_snapshot_get_children:
 * @snapshot: a snapshot
 *
 * Lists what was taken while this one was current.
 *
 * Returns: (transfer full) (element-type VmSnapSnapshot): those whose parent it is, oldest first
 */
GList *
vmsnap_snapshot_get_children (VmSnapSnapshot *snapshot)
{
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autolist (VmSnapSnapshot) all = NULL;
  GList *children = NULL;

  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  domain = vmsnap_snapshot_get_domain (snapshot);
  all = domain != NULL ? vmsnap_domain_get_snapshots (domain) : NULL;
  for (GList *l = g_list_last (all); l != NULL; l = l->prev)
    if (g_strcmp0 (vm_snap_dbus_snapshot_get_parent (l->data), g_dbus_proxy_get_object_path (G_DBUS_PROXY (snapshot)))
        == 0)
      children = g_list_prepend (children, g_object_ref (l->data));
  return children;
}

/**
 * vmsnap_snapshot_revert:
 * @snapshot: a snapshot
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Snapshot.Revert()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Brings the domain back to the snapshot. The result of the job (vmsnap_job_dup_result()) tells how long the guest stood
 * still, `downtime`, and in `warning` what didn't go as one would like it.
 */
void
vmsnap_snapshot_revert (VmSnapSnapshot *snapshot,
                        GVariant *options,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_SNAPSHOT (snapshot));

  _vmsnap_call_for_objects (snapshot, "Revert", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable,
                            callback, user_data, vmsnap_snapshot_revert);
}

/**
 * vmsnap_snapshot_revert_finish:
 * @snapshot: a snapshot
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_snapshot_revert().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_snapshot_revert_finish (VmSnapSnapshot *snapshot, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_call_for_objects_finish (snapshot, result, vmsnap_snapshot_revert, error));
}

/**
 * vmsnap_snapshot_revert_sync:
 * @snapshot: a snapshot
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Snapshot.Revert()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Brings the domain back to the snapshot. The result of the job (vmsnap_job_dup_result()) tells how long the guest stood
 * still, `downtime`, and in `warning` what didn't go as one would like it.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_snapshot_revert_sync (VmSnapSnapshot *snapshot, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  return _vmsnap_take_object (_vmsnap_call_for_objects_sync (snapshot, "Revert",
                                                             g_variant_new ("(@*)", _vmsnap_options (options)),
                                                             cancellable, error));
}

/**
 * vmsnap_snapshot_delete:
 * @snapshot: a snapshot
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Snapshot.Delete()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Deletes the snapshot; with options, its descendants too or instead. The result of the job tells in `warning` what had to
 * stay.
 */
void
vmsnap_snapshot_delete (VmSnapSnapshot *snapshot,
                        GVariant *options,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_SNAPSHOT (snapshot));

  _vmsnap_call_for_objects (snapshot, "Delete", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable,
                            callback, user_data, vmsnap_snapshot_delete);
}

/**
 * vmsnap_snapshot_delete_finish:
 * @snapshot: a snapshot
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_snapshot_delete().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_snapshot_delete_finish (VmSnapSnapshot *snapshot, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_call_for_objects_finish (snapshot, result, vmsnap_snapshot_delete, error));
}

/**
 * vmsnap_snapshot_delete_sync:
 * @snapshot: a snapshot
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Snapshot.Delete()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Deletes the snapshot; with options, its descendants too or instead. The result of the job tells in `warning` what had to
 * stay.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_snapshot_delete_sync (VmSnapSnapshot *snapshot, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  return _vmsnap_take_object (_vmsnap_call_for_objects_sync (snapshot, "Delete",
                                                             g_variant_new ("(@*)", _vmsnap_options (options)),
                                                             cancellable, error));
}

/**
 * vmsnap_snapshot_get_xml:
 * @snapshot: a snapshot
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Snapshot.GetXml()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Asks for the snapshot as XML.
 */
void
vmsnap_snapshot_get_xml (VmSnapSnapshot *snapshot,
                         GVariant *options,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_SNAPSHOT (snapshot));

  _vmsnap_call (snapshot, "GetXml", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_snapshot_get_xml);
}

/**
 * vmsnap_snapshot_get_xml_finish:
 * @snapshot: a snapshot
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_snapshot_get_xml().
 *
 * Returns: (transfer full): libvirt domainsnapshot XML
 */
char *
vmsnap_snapshot_get_xml_finish (VmSnapSnapshot *snapshot, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_string (_vmsnap_call_finish (snapshot, result, vmsnap_snapshot_get_xml, NULL, error));
}

/**
 * vmsnap_snapshot_get_xml_sync:
 * @snapshot: a snapshot
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Snapshot.GetXml()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Asks for the snapshot as XML.
 *
 * Returns: (transfer full): libvirt domainsnapshot XML
 */
char *
vmsnap_snapshot_get_xml_sync (VmSnapSnapshot *snapshot, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_SNAPSHOT (snapshot), NULL);

  return _vmsnap_take_string (_vmsnap_call_sync (snapshot, "GetXml",
                                                 g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                 cancellable, error));
}
