/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Method calls: every call of the library leaves and comes back here, so that flags, timeouts and errors are the same
 * for all. Lives in the caller's thread.
 */
#include "vmsnap-private.h"

#include "vmsnap-client.h"

#include <gio/gunixinputstream.h>

/*
 * _vmsnap_options:
 * @options: (nullable): an `a{sv}`, may be floating
 *
 * For g_variant_new() with `@*`: whether @options are an `a{sv}` is seen when the call is made.
 *
 * Returns: (transfer floating): @options, or an empty dictionary
 */
GVariant *
_vmsnap_options (GVariant *options)
{
  return options != NULL ? options : g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0);
}

/*
 * _vmsnap_options_check:
 * @options: what a caller gave as options
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT
 */
gboolean
_vmsnap_options_check (GVariant *options, GError **error)
{
  if (g_variant_is_of_type (options, G_VARIANT_TYPE_VARDICT))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "The options of a call are a variant of the type 'a{sv}', not of '%s'",
               g_variant_get_type_string (options));
  return FALSE;
}

/* The options are the last argument of every method. */
static gboolean
check_parameters (GVariant *parameters, GError **error)
{
  g_autoptr (GVariant) options = g_variant_get_child_value (parameters, g_variant_n_children (parameters) - 1);

  return _vmsnap_options_check (options, error);
}

static GDBusConnection *
source_connection (gpointer source)
{
  if (VMSNAP_IS_CLIENT (source))
    return vmsnap_client_get_connection (source);
  return g_dbus_proxy_get_connection (source);
}

static const char *
source_path (gpointer source)
{
  return VMSNAP_IS_CLIENT (source) ? VMSNAP_MANAGER_PATH : g_dbus_proxy_get_object_path (source);
}

static const char *
source_interface (gpointer source)
{
  return VMSNAP_IS_CLIENT (source) ? "org.vmsnap.VmSnap1.Manager" : g_dbus_proxy_get_interface_name (source);
}

static GDBusCallFlags
source_flags (gpointer source)
{
  g_autoptr (VmSnapClient) client
    = VMSNAP_IS_CLIENT (source) ? g_object_ref (source) : _vmsnap_proxy_dup_client (source);

  return client == NULL || vmsnap_client_get_interactive (client) ? G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION
                                                                  : G_DBUS_CALL_FLAGS_NONE;
}

/* Leaves the words for people; what the bus says of an absent service tells them nothing. */
static void
explain (GError *error)
{
  g_dbus_error_strip_remote_error (error);
  if (!g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN))
    return;
  g_free (error->message);
  error->message = g_strdup ("The vmsnap service is not running, and the bus does not know how to start it; start "
                             "vmsnapd, or see whether it is installed for this bus");
}

static void
on_reply (GObject *connection, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GUnixFDList) fds = NULL;
  GError *error = NULL;
  GVariant *reply
    = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (connection), &fds, result, &error);

  if (reply == NULL)
    {
      explain (error);
      g_task_return_error (task, error);
      return;
    }
  if (fds != NULL)
    g_task_set_task_data (task, g_steal_pointer (&fds), g_object_unref);
  g_task_return_pointer (task, reply, (GDestroyNotify)g_variant_unref);
}

/*
 * _vmsnap_call_with_fds:
 * @source: a client or a proxy
 * @parameters: (transfer floating): the arguments, the options last
 * @fds: (nullable): the descriptors that the arguments of the type `h` count
 * @tag: the public function that this is for
 *
 * Goes to the service's well-known name rather than to the owner that a proxy was made for, so that an object held over
 * a restart of the service works on. There is no timeout: people may be asked, and work may be waited for; the bus
 * tells when the service dies.
 */
void
_vmsnap_call_with_fds (gpointer source,
                       const char *method,
                       GVariant *parameters,
                       GUnixFDList *fds,
                       GCancellable *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer user_data,
                       gpointer tag)
{
  GTask *task = g_task_new (source, cancellable, callback, user_data);
  g_autoptr (GVariant) owned = g_variant_ref_sink (parameters);
  GError *error = NULL;

  g_task_set_source_tag (task, tag);
  if (!check_parameters (owned, &error))
    {
      g_task_return_error (task, error);
      g_object_unref (task);
      return;
    }
  g_dbus_connection_call_with_unix_fd_list (source_connection (source), VMSNAP_BUS_NAME, source_path (source),
                                            source_interface (source), method, owned, NULL, source_flags (source),
                                            G_MAXINT, fds, cancellable, on_reply, task);
}

void
_vmsnap_call (gpointer source,
              const char *method,
              GVariant *parameters,
              GCancellable *cancellable,
              GAsyncReadyCallback callback,
              gpointer user_data,
              gpointer tag)
{
  _vmsnap_call_with_fds (source, method, parameters, NULL, cancellable, callback, user_data, tag);
}

GVariant *
_vmsnap_call_finish (gpointer source, GAsyncResult *result, gpointer tag, GUnixFDList **fds, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, source), NULL);
  g_return_val_if_fail (g_task_get_source_tag (G_TASK (result)) == tag, NULL);

  if (fds != NULL)
    g_set_object (fds, g_task_get_task_data (G_TASK (result)));
  return g_task_propagate_pointer (G_TASK (result), error);
}

/*
 * _vmsnap_call_with_fds_sync:
 * @fds: (nullable): the descriptors that the arguments of the type `h` count
 * @reply_fds: (out) (optional) (nullable): those of the reply
 */
GVariant *
_vmsnap_call_with_fds_sync (gpointer source,
                            const char *method,
                            GVariant *parameters,
                            GUnixFDList *fds,
                            GUnixFDList **reply_fds,
                            GCancellable *cancellable,
                            GError **error)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (parameters);
  GError *local_error = NULL;
  GVariant *reply;

  if (!check_parameters (owned, error))
    return NULL;
  reply = g_dbus_connection_call_with_unix_fd_list_sync (source_connection (source), VMSNAP_BUS_NAME,
                                                         source_path (source), source_interface (source), method, owned,
                                                         NULL, source_flags (source), G_MAXINT, fds, reply_fds,
                                                         cancellable, &local_error);
  if (reply == NULL)
    {
      explain (local_error);
      g_propagate_error (error, local_error);
    }
  return reply;
}

GVariant *
_vmsnap_call_sync (gpointer source,
                   const char *method,
                   GVariant *parameters,
                   GUnixFDList **fds,
                   GCancellable *cancellable,
                   GError **error)
{
  return _vmsnap_call_with_fds_sync (source, method, parameters, NULL, fds, cancellable, error);
}

/* The reply of a method without out-arguments. */
gboolean
_vmsnap_take_nothing (GVariant *reply)
{
  if (reply == NULL)
    return FALSE;
  g_variant_unref (reply);
  return TRUE;
}

/* The reply of a method with one word. */
char *
_vmsnap_take_string (GVariant *reply)
{
  g_autoptr (GVariant) owned = reply;
  char *word = NULL;

  if (owned != NULL)
    g_variant_get (owned, "(s)", &word);
  return word;
}

/* The reply of a method with one descriptor. */
GInputStream *
_vmsnap_take_stream (GVariant *reply, GUnixFDList *fds, GError **error)
{
  g_autoptr (GVariant) owned = reply;
  gint32 handle;
  int fd;

  if (owned == NULL)
    return NULL;
  g_variant_get (owned, "(h)", &handle);
  if (fds == NULL || handle < 0 || handle >= g_unix_fd_list_get_length (fds))
    {
      g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "The service sent no file descriptor with its reply");
      return NULL;
    }
  fd = g_unix_fd_list_get (fds, handle, error);
  return fd >= 0 ? g_unix_input_stream_new (fd, TRUE) : NULL;
}
