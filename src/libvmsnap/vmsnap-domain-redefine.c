/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Making known a snapshot that exists, by its XML. Lives in the caller's thread.
 */
#include "vmsnap-domain.h"

/* Returns floating. What is no a{sv} is passed on as it is: the call tells. */
static GVariant *
with_redefine (GVariant *options)
{
  g_autoptr (GVariant) owned = NULL;
  GVariantDict dict;

  if (options != NULL && !g_variant_is_of_type (options, G_VARIANT_TYPE_VARDICT))
    return options;
  owned = options != NULL ? g_variant_ref_sink (options) : NULL;
  g_variant_dict_init (&dict, owned);
  g_variant_dict_insert (&dict, "redefine", "b", TRUE);
  return g_variant_dict_end (&dict);
}

/**
 * vmsnap_domain_redefine_snapshot:
 * @domain: a domain
 * @xml: libvirt domainsnapshot XML of a snapshot that exists, as vmsnap_snapshot_get_xml() told it, or libvirt
 * @options: (nullable): an `a{sv}`: `current` (b): make it the current snapshot; `queue` (b): see
 *   org.vmsnap.VmSnap1.Domain.CreateSnapshotFromXml()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Puts a snapshot on record again, or changes the description, the creation time or the parent of one that is. Nothing
 * is taken. What @xml names must be there: tags inside the disks, overlays, the memory.
 */
void
vmsnap_domain_redefine_snapshot (VmSnapDomain *domain,
                                 const char *xml,
                                 GVariant *options,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data)
{
  vmsnap_domain_create_snapshot_from_xml (domain, xml, with_redefine (options), cancellable, callback, user_data);
}

/**
 * vmsnap_domain_redefine_snapshot_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_redefine_snapshot().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_redefine_snapshot_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return vmsnap_domain_create_snapshot_from_xml_finish (domain, result, error);
}

/**
 * vmsnap_domain_redefine_snapshot_sync:
 * @domain: a domain
 * @xml: libvirt domainsnapshot XML of a snapshot that exists, as vmsnap_snapshot_get_xml() told it, or libvirt
 * @options: (nullable): an `a{sv}`: `current` (b): make it the current snapshot; `queue` (b): see
 *   org.vmsnap.VmSnap1.Domain.CreateSnapshotFromXml()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Puts a snapshot on record again, or changes the description, the creation time or the parent of one that is. Nothing
 * is taken. What @xml names must be there: tags inside the disks, overlays, the memory.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_redefine_snapshot_sync (VmSnapDomain *domain,
                                      const char *xml,
                                      GVariant *options,
                                      GCancellable *cancellable,
                                      GError **error)
{
  return vmsnap_domain_create_snapshot_from_xml_sync (domain, xml, with_redefine (options), cancellable, error);
}
