/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A client that calls a method again and again and prints what each call took, in microseconds: so that a bench
 * measures the service and the bus, and not Python.
 *
 *   round-trip COUNT ADDRESS DESTINATION PATH INTERFACE METHOD ARGUMENTS
 *
 * ARGUMENTS is the tuple in GVariant's text format.
 */
#include <stdlib.h>

#include <gio/gio.h>

typedef struct
{
  GDBusConnection *connection;
  const char *destination;
  const char *path;
  const char *interface;
  const char *method;
  GVariant *arguments;
} Call;

static gboolean
call_once (const Call *call, GError **error)
{
  const gint64 began = g_get_monotonic_time ();
  g_autoptr (GVariant) reply
    = g_dbus_connection_call_sync (call->connection, call->destination, call->path, call->interface, call->method,
                                   call->arguments, NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, error);

  if (reply == NULL)
    return FALSE;
  g_print ("%" G_GINT64_FORMAT "\n", g_get_monotonic_time () - began);
  return TRUE;
}

static gboolean
call_often (int count, char **words, GError **error)
{
  const GDBusConnectionFlags flags
    = G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION;
  g_autoptr (GVariant) arguments = g_variant_parse (NULL, words[5], NULL, NULL, error);
  g_autoptr (GDBusConnection) connection = NULL;
  Call call = { NULL, words[1], words[2], words[3], words[4], arguments };

  if (arguments == NULL)
    return FALSE;
  connection = g_dbus_connection_new_for_address_sync (words[0], flags, NULL, NULL, error);
  call.connection = connection;
  if (connection == NULL)
    return FALSE;
  for (int i = 0; i < count; i++)
    if (!call_once (&call, error))
      return FALSE;
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  if (argc != 8)
    {
      g_printerr ("usage: %s COUNT ADDRESS DESTINATION PATH INTERFACE METHOD ARGUMENTS\n", argv[0]);
      return 2;
    }
  if (call_often (atoi (argv[1]), argv + 2, &error))
    return 0;
  g_printerr ("%s: %s\n", argv[0], error->message);
  return 1;
}
