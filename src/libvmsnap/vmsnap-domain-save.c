/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What can be asked of a domain: to be saved. Lives in the caller's thread.
 */
#include "vmsnap-domain.h"

#include "vmsnap-private.h"

/**
 * vmsnap_domain_save:
 * @domain: a domain
 * @fd: a descriptor of a regular file or a block device, open for reading and writing; needed until this returns, and
 *   still the caller's
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Save()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Saves the guest: its memory and devices go into an image, from which vmsnap_client_restore_domain() brings it back.
 * When the job has completed, the guest is off; a transient domain is gone. If the job fails or is cancelled, the
 * guest is as it was, and the file is no complete image.
 *
 * The disks aren't in the image, and it belongs to them as they are at its end: once the guest has run on, it is of no
 * more use.
 */
void
vmsnap_domain_save (VmSnapDomain *domain,
                    int fd,
                    GVariant *options,
                    GCancellable *cancellable,
                    GAsyncReadyCallback callback,
                    gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_image_call (domain, "Save", TRUE, fd, options, cancellable, callback, user_data, vmsnap_domain_save);
}

/**
 * vmsnap_domain_save_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_save().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_save_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_image_call_finish (domain, result, vmsnap_domain_save, error));
}

/**
 * vmsnap_domain_save_sync:
 * @domain: a domain
 * @fd: a descriptor of a regular file or a block device, open for reading and writing; needed until this returns, and
 *   still the caller's
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Save()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Saves the guest: its memory and devices go into an image, from which vmsnap_client_restore_domain() brings it back.
 * When the job has completed, the guest is off; a transient domain is gone. If the job fails or is cancelled, the
 * guest is as it was, and the file is no complete image.
 *
 * The disks aren't in the image, and it belongs to them as they are at its end: once the guest has run on, it is of no
 * more use.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_save_sync (VmSnapDomain *domain, int fd, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return _vmsnap_take_object (_vmsnap_image_call_sync (domain, "Save", TRUE, fd, options, cancellable, error));
}

/**
 * vmsnap_domain_save_to_file:
 * @domain: a domain
 * @file: a file on this machine
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Save()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * As vmsnap_domain_save(), into a file that is opened as vmsnap_image_open() does for %VMSNAP_IMAGE_ACCESS_SAVE: it
 * is made if there is none, with nobody but its owner allowed to read it; an empty file that is there, or an image that
 * isn't complete, is replaced; anything else is left alone, another guest's image above all, and the call fails with
 * %VMSNAP_ERROR_ALREADY_EXISTS. To replace it, open it for %VMSNAP_IMAGE_ACCESS_OVERWRITE, and call
 * vmsnap_domain_save().
 *
 * If the call is refused, a file that was made for it is removed again. When the job fails, the file stays, marked as
 * incomplete.
 */
void
vmsnap_domain_save_to_file (VmSnapDomain *domain,
                            GFile *file,
                            GVariant *options,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));
  g_return_if_fail (G_IS_FILE (file));

  _vmsnap_image_call_with_file (domain, "Save", TRUE, file, VMSNAP_IMAGE_ACCESS_SAVE, options, cancellable, callback,
                                user_data, vmsnap_domain_save_to_file);
}

/**
 * vmsnap_domain_save_to_file_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_save_to_file().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_save_to_file_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_image_call_finish (domain, result, vmsnap_domain_save_to_file, error));
}

/**
 * vmsnap_domain_save_to_file_sync:
 * @domain: a domain
 * @file: a file on this machine
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.Save()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done; also those of vmsnap_image_open()
 *
 * As vmsnap_domain_save(), into a file that is opened as vmsnap_image_open() does for %VMSNAP_IMAGE_ACCESS_SAVE: it
 * is made if there is none, with nobody but its owner allowed to read it; an empty file that is there, or an image that
 * isn't complete, is replaced; anything else is left alone, another guest's image above all, and the call fails with
 * %VMSNAP_ERROR_ALREADY_EXISTS. To replace it, open it for %VMSNAP_IMAGE_ACCESS_OVERWRITE, and call
 * vmsnap_domain_save().
 *
 * If the call is refused, a file that was made for it is removed again. When the job fails, the file stays, marked as
 * incomplete.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_save_to_file_sync (VmSnapDomain *domain,
                                 GFile *file,
                                 GVariant *options,
                                 GCancellable *cancellable,
                                 GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);
  g_return_val_if_fail (G_IS_FILE (file), NULL);

  return _vmsnap_take_object (_vmsnap_image_call_with_file_sync (domain, "Save", TRUE, file, VMSNAP_IMAGE_ACCESS_SAVE,
                                                                 options, cancellable, error));
}

/**
 * vmsnap_domain_managed_save:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.ManagedSave()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Saves the guest into an image that the service keeps, and from which the domain's next start restores it. When the
 * job has completed, the guest is off, and vmsnap_domain_has_managed_save() tells so.
 */
void
vmsnap_domain_managed_save (VmSnapDomain *domain,
                            GVariant *options,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call_for_objects (domain, "ManagedSave", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable,
                            callback, user_data, vmsnap_domain_managed_save);
}

/**
 * vmsnap_domain_managed_save_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_managed_save().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_managed_save_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_call_for_objects_finish (domain, result, vmsnap_domain_managed_save, error));
}

/**
 * vmsnap_domain_managed_save_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.ManagedSave()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Saves the guest into an image that the service keeps, and from which the domain's next start restores it. When the
 * job has completed, the guest is off, and vmsnap_domain_has_managed_save() tells so.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_domain_managed_save_sync (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return _vmsnap_take_object (_vmsnap_call_for_objects_sync (domain, "ManagedSave",
                                                             g_variant_new ("(@*)", _vmsnap_options (options)),
                                                             cancellable, error));
}

/**
 * vmsnap_domain_remove_managed_save:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.RemoveManagedSave()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Removes the managed save, so that the domain's next start boots. What the guest's memory held is lost.
 */
void
vmsnap_domain_remove_managed_save (VmSnapDomain *domain,
                                   GVariant *options,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_DOMAIN (domain));

  _vmsnap_call (domain, "RemoveManagedSave", g_variant_new ("(@*)", _vmsnap_options (options)), cancellable,
                callback, user_data, vmsnap_domain_remove_managed_save);
}

/**
 * vmsnap_domain_remove_managed_save_finish:
 * @domain: a domain
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_domain_remove_managed_save().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_remove_managed_save_finish (VmSnapDomain *domain, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (domain, result, vmsnap_domain_remove_managed_save, NULL, error));
}

/**
 * vmsnap_domain_remove_managed_save_sync:
 * @domain: a domain
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Domain.RemoveManagedSave()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done; %VMSNAP_ERROR_NOT_FOUND: there is none
 *
 * Removes the managed save, so that the domain's next start boots. What the guest's memory held is lost.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_domain_remove_managed_save_sync (VmSnapDomain *domain,
                                        GVariant *options,
                                        GCancellable *cancellable,
                                        GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return _vmsnap_take_nothing (_vmsnap_call_sync (domain, "RemoveManagedSave",
                                                  g_variant_new ("(@*)", _vmsnap_options (options)), NULL,
                                                  cancellable, error));
}
