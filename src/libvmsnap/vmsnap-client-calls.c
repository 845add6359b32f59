/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a client asks of the service's manager object. Lives in the caller's thread.
 */
#include "vmsnap-client.h"

#include "vmsnap-private.h"

/**
 * vmsnap_client_get_domain_by_name:
 * @client: a client
 * @name: a name
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Asks the service for a domain by its name.
 */
void
vmsnap_client_get_domain_by_name (VmSnapClient *client,
                                  const char *name,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));
  g_return_if_fail (name != NULL);

  _vmsnap_call_for_objects (client, "GetDomainByName", g_variant_new ("(s@*)", name, _vmsnap_options (NULL)),
                            cancellable, callback, user_data, vmsnap_client_get_domain_by_name);
}

/**
 * vmsnap_client_get_domain_by_name_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_get_domain_by_name().
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_get_domain_by_name_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (
    _vmsnap_call_for_objects_finish (client, result, vmsnap_client_get_domain_by_name, error));
}

/**
 * vmsnap_client_get_domain_by_name_sync:
 * @client: a client
 * @name: a name
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Asks the service for a domain by its name.
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_get_domain_by_name_sync (VmSnapClient *client,
                                       const char *name,
                                       GCancellable *cancellable,
                                       GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (name != NULL, NULL);

  return _vmsnap_take_object (_vmsnap_call_for_objects_sync (client, "GetDomainByName",
                                                             g_variant_new ("(s@*)", name, _vmsnap_options (NULL)),
                                                             cancellable, error));
}

/**
 * vmsnap_client_get_domain_by_uuid:
 * @client: a client
 * @uuid: a uuid in its written form
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Asks the service for a domain by its uuid.
 */
void
vmsnap_client_get_domain_by_uuid (VmSnapClient *client,
                                  const char *uuid,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));
  g_return_if_fail (uuid != NULL);

  _vmsnap_call_for_objects (client, "GetDomainByUuid", g_variant_new ("(s@*)", uuid, _vmsnap_options (NULL)),
                            cancellable, callback, user_data, vmsnap_client_get_domain_by_uuid);
}

/**
 * vmsnap_client_get_domain_by_uuid_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_get_domain_by_uuid().
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_get_domain_by_uuid_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (
    _vmsnap_call_for_objects_finish (client, result, vmsnap_client_get_domain_by_uuid, error));
}

/**
 * vmsnap_client_get_domain_by_uuid_sync:
 * @client: a client
 * @uuid: a uuid in its written form
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Asks the service for a domain by its uuid.
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_get_domain_by_uuid_sync (VmSnapClient *client,
                                       const char *uuid,
                                       GCancellable *cancellable,
                                       GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (uuid != NULL, NULL);

  return _vmsnap_take_object (_vmsnap_call_for_objects_sync (client, "GetDomainByUuid",
                                                             g_variant_new ("(s@*)", uuid, _vmsnap_options (NULL)),
                                                             cancellable, error));
}

/**
 * vmsnap_client_define_domain:
 * @client: a client
 * @xml: libvirt domain XML
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.DefineDomain()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Keeps a definition; one of the same uuid is replaced.
 */
void
vmsnap_client_define_domain (VmSnapClient *client,
                             const char *xml,
                             GVariant *options,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));
  g_return_if_fail (xml != NULL);

  _vmsnap_call_for_objects (client, "DefineDomain", g_variant_new ("(s@*)", xml, _vmsnap_options (options)),
                            cancellable, callback, user_data, vmsnap_client_define_domain);
}

/**
 * vmsnap_client_define_domain_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_define_domain().
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_define_domain_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_call_for_objects_finish (client, result, vmsnap_client_define_domain, error));
}

/**
 * vmsnap_client_define_domain_sync:
 * @client: a client
 * @xml: libvirt domain XML
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.DefineDomain()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Keeps a definition; one of the same uuid is replaced.
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_define_domain_sync (VmSnapClient *client,
                                  const char *xml,
                                  GVariant *options,
                                  GCancellable *cancellable,
                                  GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (xml != NULL, NULL);

  return _vmsnap_take_object (
    _vmsnap_call_for_objects_sync (client, "DefineDomain", g_variant_new ("(s@*)", xml, _vmsnap_options (options)),
                                   cancellable, error));
}

/* The reply of CreateDomain: the domain, and its job. */
static VmSnapDomain *
take_created (GPtrArray *objects, VmSnapJob **job)
{
  g_autoptr (GPtrArray) owned = objects;

  if (owned == NULL || owned->len != 2)
    return NULL;
  if (job != NULL)
    *job = g_object_ref (owned->pdata[1]);
  return g_object_ref (owned->pdata[0]);
}

/**
 * vmsnap_client_create_domain:
 * @client: a client
 * @xml: libvirt domain XML
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.CreateDomain()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Starts a transient domain: one that is forgotten when its guest ends. The guest runs when the job has completed.
 */
void
vmsnap_client_create_domain (VmSnapClient *client,
                             const char *xml,
                             GVariant *options,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));
  g_return_if_fail (xml != NULL);

  _vmsnap_call_for_objects (client, "CreateDomain", g_variant_new ("(s@*)", xml, _vmsnap_options (options)),
                            cancellable, callback, user_data, vmsnap_client_create_domain);
}

/**
 * vmsnap_client_create_domain_finish:
 * @client: a client
 * @result: what the callback got
 * @job: (out) (optional) (transfer full): the job that starts the guest
 * @error: why it was not done
 *
 * Finishes vmsnap_client_create_domain().
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_create_domain_finish (VmSnapClient *client, GAsyncResult *result, VmSnapJob **job, GError **error)
{
  return take_created (_vmsnap_call_for_objects_finish (client, result, vmsnap_client_create_domain, error), job);
}

/**
 * vmsnap_client_create_domain_sync:
 * @client: a client
 * @xml: libvirt domain XML
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.CreateDomain()
 * @job: (out) (optional) (transfer full): the job that starts the guest
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Starts a transient domain: one that is forgotten when its guest ends. The guest runs when the job has completed.
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_create_domain_sync (VmSnapClient *client,
                                  const char *xml,
                                  GVariant *options,
                                  VmSnapJob **job,
                                  GCancellable *cancellable,
                                  GError **error)
{
  GVariant *parameters;

  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (xml != NULL, NULL);

  parameters = g_variant_new ("(s@*)", xml, _vmsnap_options (options));
  return take_created (_vmsnap_call_for_objects_sync (client, "CreateDomain", parameters, cancellable, error), job);
}
