/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one exit for errors: every error that leaves the service, as a reply or in a job's properties, gets its D-Bus
 * name here. Main thread.
 */
#include "bus-error.h"

#include "vmsnap-error.h"

/**
 * bus_error_return:
 * @invocation: (transfer full): the call that failed
 * @error: (transfer full): why
 *
 * Answers @invocation with @error.
 */
void
bus_error_return (GDBusMethodInvocation *invocation, GError *error)
{
  g_dbus_method_invocation_return_dbus_error (invocation, vmsnap_error_get_dbus_name (error), error->message);
  g_error_free (error);
}

/**
 * bus_error_to_variant:
 * @error: (nullable): an error
 *
 * Returns: (transfer floating): its name and message as `(ss)`; both empty for %NULL
 */
GVariant *
bus_error_to_variant (const GError *error)
{
  if (error == NULL)
    return g_variant_new ("(ss)", "", "");
  return g_variant_new ("(ss)", vmsnap_error_get_dbus_name (error), error->message);
}
