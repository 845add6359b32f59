/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What can be asked of a domain: its snapshots, and a picture of its screen. Lives in the caller's thread.
 */
#include "vmsnap-domain.h"

#include "vmsnap-private.h"

/**
 * vmsnap_domain_create_snapshot:
 * @domain: a domain
 * @name: the name; empty: one is made from the time
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.CreateSnapshot()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Takes a snapshot. When the job has completed, vmsnap_job_get_snapshot() tells which.
 */
void
vmsnap_domain_create_snapshot (VmSnapDomain *domain,
                               const char *name,
                               GVariant *options,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));
  g_return_if_fail (name != NULL);

  _vmsnap_call_for_objects (domain, "CreateSnapshot", g_variant_new ("(s@*)", name, _vmsnap_options (options)),
                            cancellable, callback, user_data, vmsnap_domain_create_snapshot);
}

/**
 * vmsnap_domain_create_snapshot_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_create_snapshot().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_create_snapshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_call_for_objects_finish (domain, result, vmsnap_domain_create_snapshot, error));
}

/**
 * vmsnap_domain_create_snapshot_sync:
 * @domain: a domain
 * @name: the name; empty: one is made from the time
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.CreateSnapshot()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Takes a snapshot. When the job has completed, vmsnap_job_get_snapshot() tells which.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_create_snapshot_sync (VmSnapDomain *domain,
                                    const char *name,
                                    GVariant *options,
                                    GCancellable *cancellable,
                                    GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);
  g_return_val_if_fail (name != NULL, NULL);

  return _vmsnap_take_object (
    _vmsnap_call_for_objects_sync (domain, "CreateSnapshot",
                                   g_variant_new ("(s@*)", name, _vmsnap_options (options)), cancellable, error));
}

/**
 * vmsnap_domain_create_snapshot_from_xml:
 * @domain: a domain
 * @xml: libvirt domainsnapshot XML
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.CreateSnapshotFromXml()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Takes, or with the option `redefine` makes known, a snapshot that XML describes.
 */
void
vmsnap_domain_create_snapshot_from_xml (VmSnapDomain *domain,
                                        const char *xml,
                                        GVariant *options,
                                        GCancellable *cancellable,
                                        GAsyncReadyCallback callback,
                                        gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));
  g_return_if_fail (xml != NULL);

  _vmsnap_call_for_objects (domain, "CreateSnapshotFromXml",
                            g_variant_new ("(s@*)", xml, _vmsnap_options (options)), cancellable, callback,
                            user_data, vmsnap_domain_create_snapshot_from_xml);
}

/**
 * vmsnap_domain_create_snapshot_from_xml_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_create_snapshot_from_xml().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_create_snapshot_from_xml_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (
    _vmsnap_call_for_objects_finish (domain, result, vmsnap_domain_create_snapshot_from_xml, error));
}

/**
 * vmsnap_domain_create_snapshot_from_xml_sync:
 * @domain: a domain
 * @xml: libvirt domainsnapshot XML
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.CreateSnapshotFromXml()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Takes, or with the option `redefine` makes known, a snapshot that XML describes.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_create_snapshot_from_xml_sync (VmSnapDomain *domain,
                                             const char *xml,
                                             GVariant *options,
                                             GCancellable *cancellable,
                                             GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);
  g_return_val_if_fail (xml != NULL, NULL);

  return _vmsnap_take_object (
    _vmsnap_call_for_objects_sync (domain, "CreateSnapshotFromXml",
                                   g_variant_new ("(s@*)", xml, _vmsnap_options (options)), cancellable, error));
}

/**
 * vmsnap_domain_get_snapshot:
 * @domain: a domain
 * @name: the name of a snapshot
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Asks the service for a snapshot by its name.
 */
void
vmsnap_domain_get_snapshot (VmSnapDomain *domain,
                            const char *name,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));
  g_return_if_fail (name != NULL);

  _vmsnap_call_for_objects (domain, "GetSnapshot", g_variant_new ("(s@*)", name, _vmsnap_options (NULL)),
                            cancellable, callback, user_data, vmsnap_domain_get_snapshot);
}

/**
 * vmsnap_domain_get_snapshot_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_get_snapshot().
 *
 * Returns: (transfer full): the snapshot
 */
VmSnapSnapshot *
vmsnap_domain_get_snapshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_call_for_objects_finish (domain, result, vmsnap_domain_get_snapshot, error));
}

/**
 * vmsnap_domain_get_snapshot_sync:
 * @domain: a domain
 * @name: the name of a snapshot
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Asks the service for a snapshot by its name.
 *
 * Returns: (transfer full): the snapshot
 */
VmSnapSnapshot *
vmsnap_domain_get_snapshot_sync (VmSnapDomain *domain, const char *name, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);
  g_return_val_if_fail (name != NULL, NULL);

  return _vmsnap_take_object (_vmsnap_call_for_objects_sync (domain, "GetSnapshot",
                                                             g_variant_new ("(s@*)", name, _vmsnap_options (NULL)),
                                                             cancellable, error));
}

/**
 * vmsnap_domain_list_snapshots:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.ListSnapshots()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Asks the service for the snapshots that meet @options.
 */
void
vmsnap_domain_list_snapshots (VmSnapDomain *domain,
                              GVariant *options,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call_for_objects (domain, "ListSnapshots", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable,
                            callback, user_data, vmsnap_domain_list_snapshots);
}

/**
 * vmsnap_domain_list_snapshots_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_list_snapshots().
 *
 * Returns: (transfer full) (element-type VmSnapSnapshot): the snapshots, parents before their children
 */
GList *
vmsnap_domain_list_snapshots_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_list (_vmsnap_call_for_objects_finish (domain, result, vmsnap_domain_list_snapshots, error));
}

/**
 * vmsnap_domain_list_snapshots_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.ListSnapshots()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Asks the service for the snapshots that meet @options.
 *
 * Returns: (transfer full) (element-type VmSnapSnapshot): the snapshots, parents before their children
 */
GList *
vmsnap_domain_list_snapshots_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return _vmsnap_take_list (_vmsnap_call_for_objects_sync (domain, "ListSnapshots",
                                                           g_variant_new ("(@*)", _vmsnap_options (options)),
                                                           cancellable, error));
}

/**
 * vmsnap_domain_screenshot:
 * @domain: a domain
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Takes a picture of the screen of the guest.
 */
void
vmsnap_domain_screenshot (VmSnapDomain *domain,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
  GVariant *parameters;

  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  parameters = g_variant_new ("(@*)", _vmsnap_options (NULL));
  _vmsnap_call (domain, "Screenshot", parameters, cancellable, callback, user_data, vmsnap_domain_screenshot);
}

/**
 * vmsnap_domain_screenshot_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_screenshot().
 *
 * Returns: (transfer full): a stream with a PNG file in it
 */
GInputStream *
vmsnap_domain_screenshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  g_autoptr (GUnixFDList) fds = NULL;
  GVariant *reply = _vmsnap_call_finish (domain, result, vmsnap_domain_screenshot, &fds, error);

  return _vmsnap_take_stream (reply, fds, error);
}

/**
 * vmsnap_domain_screenshot_sync:
 * @domain: a domain
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Takes a picture of the screen of the guest.
 *
 * Returns: (transfer full): a stream with a PNG file in it
 */
GInputStream *
vmsnap_domain_screenshot_sync (VmSnapDomain *domain, GCancellable *cancellable, GError **error)
{
  g_autoptr (GUnixFDList) fds = NULL;
  GVariant *parameters;
  GVariant *reply;

  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  parameters = g_variant_new ("(@*)", _vmsnap_options (NULL));
  reply = _vmsnap_call_sync (domain, "Screenshot", parameters, &fds, cancellable, error);
  return _vmsnap_take_stream (reply, fds, error);
}
