/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What can be asked of a domain: its life. Lives in the caller's thread.
 */
#include "vmsnap-domain.h"

#include "vmsnap-private.h"

/**
 * vmsnap_domain_start:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Start()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Starts the guest.
 */
void
vmsnap_domain_start (VmSnapDomain *domain,
                     GVariant *options,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call_for_objects (domain, "Start", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable,
                            callback, user_data, vmsnap_domain_start);
}

/**
 * vmsnap_domain_start_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_start().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_start_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_call_for_objects_finish (domain, result, vmsnap_domain_start, error));
}

/**
 * vmsnap_domain_start_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Start()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Starts the guest.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_start_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return _vmsnap_take_object (_vmsnap_call_for_objects_sync (domain, "Start",
                                                             g_variant_new ("(@*)", _vmsnap_options (options)),
                                                             cancellable, error));
}

/**
 * vmsnap_domain_shutdown:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Shutdown()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Asks the guest to shut itself down; it may take its time, or not obey.
 */
void
vmsnap_domain_shutdown (VmSnapDomain *domain,
                        GVariant *options,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "Shutdown", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_domain_shutdown);
}

/**
 * vmsnap_domain_shutdown_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_shutdown().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_shutdown_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (domain, result, vmsnap_domain_shutdown, NULL, error));
}

/**
 * vmsnap_domain_shutdown_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Shutdown()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Asks the guest to shut itself down; it may take its time, or not obey.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_shutdown_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return _vmsnap_take_nothing (_vmsnap_call_sync (domain, "Shutdown",
                                                  g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                  cancellable, error));
}

/**
 * vmsnap_domain_power_off:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.PowerOff()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Ends the guest at once, as if its plug were pulled.
 */
void
vmsnap_domain_power_off (VmSnapDomain *domain,
                         GVariant *options,
                         GCancellable *cancellable,
                         GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "PowerOff", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_domain_power_off);
}

/**
 * vmsnap_domain_power_off_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_power_off().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_power_off_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (domain, result, vmsnap_domain_power_off, NULL, error));
}

/**
 * vmsnap_domain_power_off_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.PowerOff()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Ends the guest at once, as if its plug were pulled.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_power_off_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return _vmsnap_take_nothing (_vmsnap_call_sync (domain, "PowerOff",
                                                  g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                  cancellable, error));
}

/**
 * vmsnap_domain_reset:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Reset()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Resets the guest, as its reset button would.
 */
void
vmsnap_domain_reset (VmSnapDomain *domain,
                     GVariant *options,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "Reset", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_domain_reset);
}

/**
 * vmsnap_domain_reset_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_reset().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_reset_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (domain, result, vmsnap_domain_reset, NULL, error));
}

/**
 * vmsnap_domain_reset_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Reset()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Resets the guest, as its reset button would.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_reset_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return _vmsnap_take_nothing (_vmsnap_call_sync (domain, "Reset",
                                                  g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                  cancellable, error));
}

/**
 * vmsnap_domain_pause:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Pause()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Stops the processors of the guest.
 */
void
vmsnap_domain_pause (VmSnapDomain *domain,
                     GVariant *options,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "Pause", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_domain_pause);
}

/**
 * vmsnap_domain_pause_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_pause().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_pause_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (domain, result, vmsnap_domain_pause, NULL, error));
}

/**
 * vmsnap_domain_pause_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Pause()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Stops the processors of the guest.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_pause_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return _vmsnap_take_nothing (_vmsnap_call_sync (domain, "Pause",
                                                  g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                  cancellable, error));
}

/**
 * vmsnap_domain_resume:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Resume()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Lets a paused guest run on.
 */
void
vmsnap_domain_resume (VmSnapDomain *domain,
                      GVariant *options,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "Resume", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_domain_resume);
}

/**
 * vmsnap_domain_resume_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_resume().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_resume_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (domain, result, vmsnap_domain_resume, NULL, error));
}

/**
 * vmsnap_domain_resume_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Resume()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Lets a paused guest run on.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_resume_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return _vmsnap_take_nothing (_vmsnap_call_sync (domain, "Resume",
                                                  g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                  cancellable, error));
}

/**
 * vmsnap_domain_undefine:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Undefine()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Forgets the definition; the disks stay. Fails with %VMSNAP_ERROR_HAS_SNAPSHOTS or %VMSNAP_ERROR_HAS_MANAGED_SAVE
 * unless @options say what becomes of those.
 */
void
vmsnap_domain_undefine (VmSnapDomain *domain,
                        GVariant *options,
                        GCancellable *cancellable,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "Undefine", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_domain_undefine);
}

/**
 * vmsnap_domain_undefine_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_undefine().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_undefine_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (domain, result, vmsnap_domain_undefine, NULL, error));
}

/**
 * vmsnap_domain_undefine_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Undefine()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Forgets the definition; the disks stay. Fails with %VMSNAP_ERROR_HAS_SNAPSHOTS or %VMSNAP_ERROR_HAS_MANAGED_SAVE
 * unless @options say what becomes of those.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_undefine_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return _vmsnap_take_nothing (_vmsnap_call_sync (domain, "Undefine",
                                                  g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                  cancellable, error));
}

/**
 * vmsnap_domain_get_xml:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.GetXml()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Asks for the definition.
 */
void
vmsnap_domain_get_xml (VmSnapDomain *domain,
                       GVariant *options,
                       GCancellable *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "GetXml", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable, callback,
                user_data, vmsnap_domain_get_xml);
}

/**
 * vmsnap_domain_get_xml_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_get_xml().
 *
 * Returns: (transfer full): libvirt domain XML
 */
char *
vmsnap_domain_get_xml_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_string (_vmsnap_call_finish (domain, result, vmsnap_domain_get_xml, NULL, error));
}

/**
 * vmsnap_domain_get_xml_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.GetXml()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Asks for the definition.
 *
 * Returns: (transfer full): libvirt domain XML
 */
char *
vmsnap_domain_get_xml_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return _vmsnap_take_string (_vmsnap_call_sync (domain, "GetXml",
                                                 g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                 cancellable, error));
}
