/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The error domain, and the one table that ties its codes to their D-Bus names. Stateless; any thread.
 */
#include "vmsnap-error.h"

#include "vmsnap-names.h"

#define NAME(code, name)                                                                                               \
  {                                                                                                                    \
    VMSNAP_ERROR_##code, VMSNAP_ERROR_PREFIX name                                                                      \
  }

static const GDBusErrorEntry entries[] = {
  NAME (FAILED, "Failed"),
  NAME (INVALID_ARGUMENT, "InvalidArgument"),
  NAME (INVALID_XML, "InvalidXml"),
  NAME (NOT_FOUND, "NotFound"),
  NAME (ALREADY_EXISTS, "AlreadyExists"),
  NAME (INVALID_STATE, "InvalidState"),
  NAME (BUSY, "Busy"),
  NAME (NOT_SUPPORTED, "NotSupported"),
  NAME (NOT_AUTHORIZED, "NotAuthorized"),
  NAME (NOT_AUTHORIZED_CAN_OBTAIN, "NotAuthorizedCanObtain"),
  NAME (NOT_AUTHORIZED_DISMISSED, "NotAuthorizedDismissed"),
  NAME (CANCELLED, "Cancelled"),
  NAME (HAS_SNAPSHOTS, "HasSnapshots"),
  NAME (HAS_CHILDREN, "HasChildren"),
  NAME (HAS_MANAGED_SAVE, "HasManagedSave"),
  NAME (GUEST_AGENT_UNAVAILABLE, "GuestAgentUnavailable"),
  NAME (HYPERVISOR, "Hypervisor"),
  NAME (HYPERVISOR_GONE, "HypervisorGone"),
  NAME (IMAGE_CORRUPT, "ImageCorrupt"),
  NAME (IMAGE_INCOMPLETE, "ImageIncomplete"),
  NAME (NO_SPACE, "NoSpace"),
  NAME (IO, "Io"),
  NAME (TIMEOUT, "Timeout"),
};
G_STATIC_ASSERT (G_N_ELEMENTS (entries) == VMSNAP_ERROR_TIMEOUT + 1);

/**
 * vmsnap_error_quark:
 *
 * The domain of the errors of the service and this library; see #VmSnapError.
 *
 * Returns: what %VMSNAP_ERROR stands for
 */
GQuark
vmsnap_error_quark (void)
{
  static gsize quark = 0;

  g_dbus_error_register_error_domain ("vmsnap-error-quark", &quark, entries, G_N_ELEMENTS (entries));
  return (GQuark) quark;
}

/* What GIO says of files and streams, in our words. */
static VmSnapError
code_for_io (int code)
{
  switch (code)
    {
    case G_IO_ERROR_CANCELLED:
      return VMSNAP_ERROR_CANCELLED;
    case G_IO_ERROR_TIMED_OUT:
      return VMSNAP_ERROR_TIMEOUT;
    case G_IO_ERROR_NO_SPACE:
      return VMSNAP_ERROR_NO_SPACE;
    case G_IO_ERROR_NOT_FOUND:
      return VMSNAP_ERROR_NOT_FOUND;
    case G_IO_ERROR_EXISTS:
      return VMSNAP_ERROR_ALREADY_EXISTS;
    default:
      return VMSNAP_ERROR_IO;
    }
}

static VmSnapError
code_for_file (int code)
{
  switch (code)
    {
    case G_FILE_ERROR_NOSPC:
      return VMSNAP_ERROR_NO_SPACE;
    case G_FILE_ERROR_NOENT:
      return VMSNAP_ERROR_NOT_FOUND;
    default:
      return VMSNAP_ERROR_IO;
    }
}

/**
 * vmsnap_error_get_dbus_name:
 * @error: any error
 *
 * The D-Bus name under which @error leaves the service. Errors of other domains than %VMSNAP_ERROR get the name
 * nearest in meaning.
 *
 * Returns: (transfer none): a name that begins with `org.vmsnap.VmSnap1.Error.`
 */
const char *
vmsnap_error_get_dbus_name (const GError *error)
{
  VmSnapError code = VMSNAP_ERROR_FAILED;

  if (error->domain == VMSNAP_ERROR && error->code >= 0 && error->code < (int) G_N_ELEMENTS (entries))
    code = error->code;
  else if (error->domain == G_IO_ERROR)
    code = code_for_io (error->code);
  else if (error->domain == G_FILE_ERROR)
    code = code_for_file (error->code);

  return entries[code].dbus_error_name;
}

/**
 * vmsnap_error_new_for_dbus_name:
 * @dbus_name: a name as a Job's `Error` property or `Completed` signal carries it
 * @message: the message that came with it
 *
 * The way back from vmsnap_error_get_dbus_name().
 *
 * Returns: (transfer full): an error of the domain %VMSNAP_ERROR; an unknown name becomes %VMSNAP_ERROR_FAILED
 */
GError *
vmsnap_error_new_for_dbus_name (const char *dbus_name, const char *message)
{
  for (gsize i = 0; i < G_N_ELEMENTS (entries); i++)
    if (g_strcmp0 (entries[i].dbus_error_name, dbus_name) == 0)
      return g_error_new_literal (VMSNAP_ERROR, entries[i].error_code, message);

  return g_error_new_literal (VMSNAP_ERROR, VMSNAP_ERROR_FAILED, message);
}
