/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a client asks of the service about saved images. Lives in the caller's thread.
 */
#include "vmsnap-client.h"

#include "vmsnap-private.h"

/**
 * vmsnap_client_restore_domain:
 * @client: a client
 * @fd: a descriptor of the image, open for reading; needed until this returns, and still the caller's
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RestoreDomain()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Brings a guest back out of a saved image. Its domain is made if it isn't known here. When the job has completed,
 * vmsnap_job_get_domain() tells which it is.
 *
 * The image belongs to the disks as they were when it was saved. Once the guest has run on, or anything else wrote to
 * them, it is of no more use: restoring it damages the guest's file systems, and nothing warns of that. To come back to
 * one point more than once, keep copies of the disks and put them back first, or take a snapshot.
 */
void
vmsnap_client_restore_domain (VmSnapClient *client,
                              int fd,
                              GVariant *options,
                              GCancellable *cancellable,
                              GAsyncReadyCallback callback,
                              gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));

  _vmsnap_image_call (client, "RestoreDomain", TRUE, fd, options, cancellable, callback, user_data,
                      vmsnap_client_restore_domain);
}

/**
 * vmsnap_client_restore_domain_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_restore_domain().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_client_restore_domain_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (_vmsnap_image_call_finish (client, result, vmsnap_client_restore_domain, error));
}

/**
 * vmsnap_client_restore_domain_sync:
 * @client: a client
 * @fd: a descriptor of the image, open for reading; needed until this returns, and still the caller's
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RestoreDomain()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Brings a guest back out of a saved image. Its domain is made if it isn't known here. When the job has completed,
 * vmsnap_job_get_domain() tells which it is.
 *
 * The image belongs to the disks as they were when it was saved. Once the guest has run on, or anything else wrote to
 * them, it is of no more use: restoring it damages the guest's file systems, and nothing warns of that. To come back to
 * one point more than once, keep copies of the disks and put them back first, or take a snapshot.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_client_restore_domain_sync (VmSnapClient *client,
                                   int fd,
                                   GVariant *options,
                                   GCancellable *cancellable,
                                   GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  return _vmsnap_take_object (_vmsnap_image_call_sync (client, "RestoreDomain", TRUE, fd, options, cancellable, error));
}

/**
 * vmsnap_client_restore_domain_from_file:
 * @client: a client
 * @file: a file on this machine
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RestoreDomain()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * As vmsnap_client_restore_domain(), from a file. The file is only read, and stays.
 * The disks must be as they were when it was saved: once the guest has run on, don't restore it again.
 */
void
vmsnap_client_restore_domain_from_file (VmSnapClient *client,
                                        GFile *file,
                                        GVariant *options,
                                        GCancellable *cancellable,
                                        GAsyncReadyCallback callback,
                                        gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));
  g_return_if_fail (G_IS_FILE (file));

  _vmsnap_image_call_with_file (client, "RestoreDomain", TRUE, file, VMSNAP_IMAGE_ACCESS_READ, options, cancellable,
                                callback, user_data, vmsnap_client_restore_domain_from_file);
}

/**
 * vmsnap_client_restore_domain_from_file_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_restore_domain_from_file().
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_client_restore_domain_from_file_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_object (
    _vmsnap_image_call_finish (client, result, vmsnap_client_restore_domain_from_file, error));
}

/**
 * vmsnap_client_restore_domain_from_file_sync:
 * @client: a client
 * @file: a file on this machine
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RestoreDomain()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done; also those of vmsnap_image_open()
 *
 * As vmsnap_client_restore_domain(), from a file. The file is only read, and stays.
 * The disks must be as they were when it was saved: once the guest has run on, don't restore it again.
 *
 * Returns: (transfer full): the job that does it
 */
VmSnapJob *
vmsnap_client_restore_domain_from_file_sync (VmSnapClient *client,
                                             GFile *file,
                                             GVariant *options,
                                             GCancellable *cancellable,
                                             GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (G_IS_FILE (file), NULL);

  return _vmsnap_take_object (_vmsnap_image_call_with_file_sync (client, "RestoreDomain", TRUE, file,
                                                                 VMSNAP_IMAGE_ACCESS_READ, options, cancellable,
                                                                 error));
}

/**
 * vmsnap_client_inspect_image:
 * @client: a client
 * @fd: a descriptor of the image, open for reading; needed until this returns, and still the caller's
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Reads what a saved image says of itself: one of this service, or of libvirt. One that isn't complete tells so.
 */
void
vmsnap_client_inspect_image (VmSnapClient *client,
                             int fd,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));

  _vmsnap_image_call (client, "InspectImage", FALSE, fd, NULL, cancellable, callback, user_data,
                      vmsnap_client_inspect_image);
}

/**
 * vmsnap_client_inspect_image_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_inspect_image().
 *
 * Returns: (transfer full): what it says
 */
VmSnapImageInfo *
vmsnap_client_inspect_image_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_image_info (_vmsnap_image_call_finish (client, result, vmsnap_client_inspect_image, error));
}

/**
 * vmsnap_client_inspect_image_sync:
 * @client: a client
 * @fd: a descriptor of the image, open for reading; needed until this returns, and still the caller's
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Reads what a saved image says of itself: one of this service, or of libvirt. One that isn't complete tells so.
 *
 * Returns: (transfer full): what it says
 */
VmSnapImageInfo *
vmsnap_client_inspect_image_sync (VmSnapClient *client, int fd, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  return _vmsnap_take_image_info (
    _vmsnap_image_call_sync (client, "InspectImage", FALSE, fd, NULL, cancellable, error));
}

/**
 * vmsnap_client_inspect_image_file:
 * @client: a client
 * @file: a file on this machine
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * As vmsnap_client_inspect_image(), of a file.
 */
void
vmsnap_client_inspect_image_file (VmSnapClient *client,
                                  GFile *file,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));
  g_return_if_fail (G_IS_FILE (file));

  _vmsnap_image_call_with_file (client, "InspectImage", FALSE, file, VMSNAP_IMAGE_ACCESS_READ, NULL, cancellable,
                                callback, user_data, vmsnap_client_inspect_image_file);
}

/**
 * vmsnap_client_inspect_image_file_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_inspect_image_file().
 *
 * Returns: (transfer full): what it says
 */
VmSnapImageInfo *
vmsnap_client_inspect_image_file_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_image_info (_vmsnap_image_call_finish (client, result, vmsnap_client_inspect_image_file, error));
}

/**
 * vmsnap_client_inspect_image_file_sync:
 * @client: a client
 * @file: a file on this machine
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done; also those of vmsnap_image_open()
 *
 * As vmsnap_client_inspect_image(), of a file.
 *
 * Returns: (transfer full): what it says
 */
VmSnapImageInfo *
vmsnap_client_inspect_image_file_sync (VmSnapClient *client, GFile *file, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (G_IS_FILE (file), NULL);

  return _vmsnap_take_image_info (_vmsnap_image_call_with_file_sync (client, "InspectImage", FALSE, file,
                                                                     VMSNAP_IMAGE_ACCESS_READ, NULL, cancellable,
                                                                     error));
}

/**
 * vmsnap_client_rewrite_image:
 * @client: a client
 * @fd: a descriptor of the image, open for reading and writing; needed until this returns, and still the caller's
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RewriteImage()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Changes what a saved image says: its domain's definition, and whether the guest runs when it is restored. What
 * @options don't name stays. However the call ends, the image says either what it said before or all that was asked
 * for.
 */
void
vmsnap_client_rewrite_image (VmSnapClient *client,
                             int fd,
                             GVariant *options,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));

  _vmsnap_image_call (client, "RewriteImage", FALSE, fd, options, cancellable, callback, user_data,
                      vmsnap_client_rewrite_image);
}

/**
 * vmsnap_client_rewrite_image_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_rewrite_image().
 *
 * Returns: %TRUE if it was done, and is on the disk
 */
gboolean
vmsnap_client_rewrite_image_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_image_call_finish (client, result, vmsnap_client_rewrite_image, error));
}

/**
 * vmsnap_client_rewrite_image_sync:
 * @client: a client
 * @fd: a descriptor of the image, open for reading and writing; needed until this returns, and still the caller's
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RewriteImage()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Changes what a saved image says: its domain's definition, and whether the guest runs when it is restored. What
 * @options don't name stays. However the call ends, the image says either what it said before or all that was asked
 * for.
 *
 * Returns: %TRUE if it was done, and is on the disk
 */
gboolean
vmsnap_client_rewrite_image_sync (VmSnapClient *client,
                                  int fd,
                                  GVariant *options,
                                  GCancellable *cancellable,
                                  GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), FALSE);

  return _vmsnap_take_nothing (
    _vmsnap_image_call_sync (client, "RewriteImage", FALSE, fd, options, cancellable, error));
}

/**
 * vmsnap_client_rewrite_image_file:
 * @client: a client
 * @file: a file on this machine
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RewriteImage()
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * As vmsnap_client_rewrite_image(), of a file.
 */
void
vmsnap_client_rewrite_image_file (VmSnapClient *client,
                                  GFile *file,
                                  GVariant *options,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));
  g_return_if_fail (G_IS_FILE (file));

  _vmsnap_image_call_with_file (client, "RewriteImage", FALSE, file, VMSNAP_IMAGE_ACCESS_REWRITE, options, cancellable,
                                callback, user_data, vmsnap_client_rewrite_image_file);
}

/**
 * vmsnap_client_rewrite_image_file_finish:
 * @client: a client
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_client_rewrite_image_file().
 *
 * Returns: %TRUE if it was done, and is on the disk
 */
gboolean
vmsnap_client_rewrite_image_file_finish (VmSnapClient *client, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_image_call_finish (client, result, vmsnap_client_rewrite_image_file, error));
}

/**
 * vmsnap_client_rewrite_image_file_sync:
 * @client: a client
 * @file: a file on this machine
 * @options: (nullable): an `a{sv}`: the options of org.vmsnap.VmSnap1.Manager.RewriteImage()
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done; also those of vmsnap_image_open()
 *
 * As vmsnap_client_rewrite_image(), of a file.
 *
 * Returns: %TRUE if it was done, and is on the disk
 */
gboolean
vmsnap_client_rewrite_image_file_sync (VmSnapClient *client,
                                       GFile *file,
                                       GVariant *options,
                                       GCancellable *cancellable,
                                       GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), FALSE);
  g_return_val_if_fail (G_IS_FILE (file), FALSE);

  return _vmsnap_take_nothing (_vmsnap_image_call_with_file_sync (client, "RewriteImage", FALSE, file,
                                                                  VMSNAP_IMAGE_ACCESS_REWRITE, options, cancellable,
                                                                  error));
}
