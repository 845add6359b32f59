/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * QmpClient: the monitor library's face. An object with signals around a QmpConnection, which does the work; usable in
 * any thread. Dropping the object ends the connection: nothing that the I/O thread has holds the object.
 */
#include "qmp-client.h"

#include <fcntl.h>

#include "qmp-connection.h"

struct _QmpClient
{
  GObject parent_instance;
  QmpConnection *connection;
};

G_DEFINE_FINAL_TYPE (QmpClient, qmp_client, G_TYPE_OBJECT)

enum
{
  SIGNAL_EVENT,
  SIGNAL_EVENTS_LOST,
  SIGNAL_CLOSED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static void
qmp_client_finalize (GObject *object)
{
  QmpClient *self = QMP_CLIENT (object);

  qmp_client_close (self);
  qmp_connection_unref (self->connection);
  G_OBJECT_CLASS (qmp_client_parent_class)->finalize (object);
}

static void
qmp_client_class_init (QmpClientClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = qmp_client_finalize;

  /**
   * QmpClient::event:
   * @client: the client
   * @name: the event's name
   * @data: (type JsonObject): its data, maybe empty; belongs to the event
   * @time: when it happened by QEMU's clock, in microseconds since the epoch, or 0
   */
  signals[SIGNAL_EVENT]
    = g_signal_new ("event", QMP_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3,
                    G_TYPE_STRING | G_SIGNAL_TYPE_STATIC_SCOPE, JSON_TYPE_OBJECT | G_SIGNAL_TYPE_STATIC_SCOPE,
                    G_TYPE_INT64);
  /**
   * QmpClient::events-lost:
   * @client: the client
   *
   * More events were waiting for the event context than are kept, and the oldest were dropped.
   */
  signals[SIGNAL_EVENTS_LOST]
    = g_signal_new ("events-lost", QMP_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  /**
   * QmpClient::closed:
   * @client: the client
   * @error: why
   *
   * The connection ended. Once, after the last event.
   */
  signals[SIGNAL_CLOSED] = g_signal_new ("closed", QMP_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                         G_TYPE_NONE, 1, G_TYPE_ERROR | G_SIGNAL_TYPE_STATIC_SCOPE);
}

static void
qmp_client_init (QmpClient *self)
{
}

/* A connection that is to become a client, and the call that stands for its greeting. */
static QmpCall *
begin (const char *name, GTask *task, gint64 deadline)
{
  g_autoptr (QmpConnection) connection = qmp_connection_new (name);
  QmpCall *call = qmp_call_new (connection, NULL);

  if (task != NULL)
    qmp_call_set_task (call, task, deadline);
  qmp_connection_submit (connection, call, NULL, -1, NULL);
  return call;
}

/* The greeting came (@answer, transfer full), or not. */
static QmpClient *
end (QmpConnection *connection, JsonNode *answer)
{
  QmpClient *self;

  if (answer == NULL)
    {
      qmp_connection_fail_gone (connection, "it never became usable");
      return NULL;
    }
  json_node_unref (answer);
  self = g_object_new (QMP_TYPE_CLIENT, NULL);
  self->connection = qmp_connection_ref (connection);
  qmp_emitter_set_client (connection, self);
  return self;
}

static char *
name_for_path (const char *socket_path)
{
  return g_strdup_printf ("QEMU's monitor '%s'", socket_path);
}

/**
 * qmp_client_connect:
 * @socket_path: where QEMU listens, or will listen
 * @flags: how to connect
 * @timeout_usec: how long connecting, greeting and negotiation may take together, in microseconds, or %QMP_NO_TIMEOUT.
 *   While QEMU's main loop stands still (a snapshot is being saved) it doesn't answer: be generous with a QEMU that may
 *   be at work.
 * @cancellable: (nullable): ends the attempt; to be cancelled, for instance, when the QEMU that was started has died
 * @error: return location for a #GError
 *
 * Connects to a monitor. Blocks.
 *
 * Returns: (transfer full): a client that is ready for commands, or %NULL with %VMSNAP_ERROR_HYPERVISOR_GONE (nobody
 * listens, or the peer closed the connection, or sent what isn't QMP), %VMSNAP_ERROR_TIMEOUT, %VMSNAP_ERROR_CANCELLED,
 * %VMSNAP_ERROR_IO (the socket can't be reached) or %VMSNAP_ERROR_INVALID_ARGUMENT (its path is too long)
 */
QmpClient *
qmp_client_connect (const char *socket_path,
                    QmpConnectFlags flags,
                    gint64 timeout_usec,
                    GCancellable *cancellable,
                    GError **error)
{
  gint64 deadline = qmp_deadline (timeout_usec);
  g_autofree char *name = name_for_path (socket_path);
  g_autoptr (QmpCall) call = begin (name, NULL, deadline);

  qmp_connection_open_socket (call->connection, socket_path, flags);
  return end (call->connection, qmp_call_wait (call, deadline, cancellable, error));
}

/**
 * qmp_client_new_for_fd:
 * @fd: (transfer full): a connected socket
 * @name: (nullable): what to call it in messages, like "QEMU's monitor"
 * @timeout_usec: how long greeting and negotiation may take together, in microseconds, or %QMP_NO_TIMEOUT
 * @cancellable: (nullable): ends the attempt
 * @error: return location for a #GError
 *
 * As qmp_client_connect(), over a socket that is connected already. It is closed in any case.
 *
 * Returns: (transfer full): a client that is ready for commands, or %NULL
 */
QmpClient *
qmp_client_new_for_fd (int fd, const char *name, gint64 timeout_usec, GCancellable *cancellable, GError **error)
{
  gint64 deadline = qmp_deadline (timeout_usec);
  g_autoptr (QmpCall) call = begin (name != NULL ? name : "QEMU's monitor", NULL, deadline);

  fcntl (fd, F_SETFD, FD_CLOEXEC);
  qmp_connection_start (call->connection, fd);
  return end (call->connection, qmp_call_wait (call, deadline, cancellable, error));
}

static void
on_greeting (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autoptr (GError) error = NULL;
  QmpConnection *connection = g_task_get_task_data (task);
  QmpClient *client = end (connection, g_task_propagate_pointer (G_TASK (result), &error));

  if (client != NULL)
    g_task_return_pointer (task, client, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/* A task for a call; it is our own errors that tell of a cancellation. */
static GTask *
new_task (gpointer source, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data, gpointer tag)
{
  GTask *task = g_task_new (source, cancellable, callback, data);

  g_task_set_check_cancellable (task, FALSE);
  g_task_set_source_tag (task, tag);
  return task;
}

/**
 * qmp_client_connect_async:
 * @socket_path: where QEMU listens, or will listen
 * @flags: how to connect
 * @timeout_usec: how long connecting, greeting and negotiation may take together, in microseconds, or %QMP_NO_TIMEOUT
 * @cancellable: (nullable): ends the attempt
 * @callback: called in the thread-default main context of the caller
 * @user_data: for @callback
 *
 * As qmp_client_connect(), without blocking. The client's event context is the caller's thread-default one.
 */
void
qmp_client_connect_async (const char *socket_path,
                          QmpConnectFlags flags,
                          gint64 timeout_usec,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
  GTask *task = new_task (NULL, cancellable, callback, user_data, qmp_client_connect_async);
  g_autoptr (GTask) greeting = new_task (NULL, cancellable, on_greeting, task, begin);
  g_autofree char *name = name_for_path (socket_path);
  g_autoptr (QmpCall) call = begin (name, greeting, qmp_deadline (timeout_usec));

  g_task_set_task_data (task, qmp_connection_ref (call->connection), (GDestroyNotify) qmp_connection_unref);
  qmp_call_arm (call);
  qmp_connection_open_socket (call->connection, socket_path, flags);
}

/**
 * qmp_client_connect_finish:
 * @result: what the callback got
 * @error: return location for a #GError
 *
 * Returns: (transfer full): as qmp_client_connect()
 */
QmpClient *
qmp_client_connect_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_async_result_is_tagged (result, qmp_client_connect_async), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * qmp_client_get_name:
 * @client: a client
 *
 * Returns: (transfer none): what messages call the monitor, for instance "QEMU's monitor '/run/…/monitor'"
 */
const char *
qmp_client_get_name (QmpClient *client)
{
  return client->connection->name;
}

/**
 * qmp_client_get_version:
 * @client: a client
 * @major: (out) (optional): first number of QEMU's version
 * @minor: (out) (optional): second number
 * @micro: (out) (optional): third number
 *
 * The version as the greeting told it. For people; what QEMU can do is better asked of its schema.
 */
void
qmp_client_get_version (QmpClient *client, guint *major, guint *minor, guint *micro)
{
  const guint *version = client->connection->version;

  if (major != NULL)
    *major = version[0];
  if (minor != NULL)
    *minor = version[1];
  if (micro != NULL)
    *micro = version[2];
}

/**
 * qmp_client_set_event_context:
 * @client: a client
 * @context: (nullable): where its signals are to be emitted; %NULL: the default main context
 *
 * Moves the signals to another main context. For a client that was made in a workflow's thread.
 */
void
qmp_client_set_event_context (QmpClient *client, GMainContext *context)
{
  qmp_emitter_set_context (client->connection, context);
}

/**
 * qmp_client_call:
 * @client: a client
 * @command: a command
 * @arguments: (transfer full) (nullable): its arguments, see qmp_args_new()
 * @cancellable: (nullable): ends the wait
 * @error: return location for a #GError
 *
 * Gives a command, and waits at most %QMP_DEFAULT_TIMEOUT for the answer. Not to be called in the main thread of a
 * program, which never waits. The errors are told at #QmpClient.
 *
 * Returns: (transfer full): the answer's 'return' value, only for reading, or %NULL
 */
JsonNode *
qmp_client_call (QmpClient *client,
                 const char *command,
                 JsonObject *arguments,
                 GCancellable *cancellable,
                 GError **error)
{
  return qmp_client_call_full (client, command, arguments, -1, QMP_DEFAULT_TIMEOUT, cancellable, error);
}

/**
 * qmp_client_call_full:
 * @client: a client
 * @command: a command
 * @arguments: (transfer full) (nullable): its arguments, see qmp_args_new()
 * @fd: a descriptor that QEMU gets with the command's first byte, as 'getfd' and 'add-fd' want it; -1 for none. It
 *   stays the caller's, who may close it as soon as this function returns.
 * @timeout_usec: how long to wait, in microseconds, or %QMP_NO_TIMEOUT
 * @cancellable: (nullable): ends the wait
 * @error: return location for a #GError
 *
 * As qmp_client_call(), with more to choose.
 *
 * Returns: (transfer full): the answer's 'return' value, only for reading, or %NULL
 */
JsonNode *
qmp_client_call_full (QmpClient *client,
                      const char *command,
                      JsonObject *arguments,
                      int fd,
                      gint64 timeout_usec,
                      GCancellable *cancellable,
                      GError **error)
{
  g_autoptr (JsonObject) owned = arguments;
  g_autoptr (QmpCall) call = qmp_call_new (client->connection, command);
  gint64 deadline = qmp_deadline (timeout_usec);

  if (!qmp_call_check (call, cancellable, error)
      || !qmp_connection_submit (client->connection, call, arguments, fd, error))
    return NULL;
  return qmp_call_wait (call, deadline, cancellable, error);
}

/**
 * qmp_client_call_all:
 * @client: a client
 * @commands: (array length=n_commands): what to ask; the answers are put there
 * @n_commands: how many
 * @cancellable: (nullable): ends the wait for all of them
 *
 * As qmp_client_call() for each, in this order, but without waiting for one's answer before the next is given. So it is
 * for commands that don't need each other to succeed. They have %QMP_DEFAULT_TIMEOUT together.
 */
void
qmp_client_call_all (QmpClient *client, QmpCommand **commands, guint n_commands, GCancellable *cancellable)
{
  g_autoptr (GPtrArray) calls = g_ptr_array_new ();
  gint64 deadline = qmp_deadline (QMP_DEFAULT_TIMEOUT);

  for (guint i = 0; i < n_commands; i++)
    {
      JsonObject *arguments = g_steal_pointer (&commands[i]->arguments);

      g_ptr_array_add (calls, qmp_client_begin (client, commands[i]->command, arguments, &commands[i]->error));
    }
  for (guint i = 0; i < n_commands; i++)
    {
      g_autoptr (QmpCall) call = g_ptr_array_index (calls, i);

      if (call != NULL)
        commands[i]->value = qmp_call_wait (call, deadline, cancellable, &commands[i]->error);
    }
}

/**
 * qmp_command_clear:
 * @command: a command
 *
 * Frees what is in it.
 */
void
qmp_command_clear (QmpCommand *command)
{
  g_clear_pointer (&command->arguments, json_object_unref);
  g_clear_pointer (&command->value, json_node_unref);
  g_clear_error (&command->error);
}

/**
 * qmp_client_call_async:
 * @client: a client
 * @command: a command
 * @arguments: (transfer full) (nullable): its arguments, see qmp_args_new()
 * @fd: as for qmp_client_call_full()
 * @timeout_usec: how long to wait, in microseconds, or %QMP_NO_TIMEOUT
 * @cancellable: (nullable): ends the wait
 * @callback: (nullable): called in the thread-default main context of the caller, after all events that came before the
 *   answer
 * @user_data: for @callback
 *
 * As qmp_client_call_full(), without blocking. The client lives at least until the call ends.
 */
void
qmp_client_call_async (QmpClient *client,
                       const char *command,
                       JsonObject *arguments,
                       int fd,
                       gint64 timeout_usec,
                       GCancellable *cancellable,
                       GAsyncReadyCallback callback,
                       gpointer user_data)
{
  g_autoptr (GTask) task = new_task (client, cancellable, callback, user_data, qmp_client_call_async);
  g_autoptr (JsonObject) owned = arguments;
  g_autoptr (QmpCall) call = qmp_call_new (client->connection, command);
  GError *error = NULL;

  qmp_call_set_task (call, task, qmp_deadline (timeout_usec));
  if (qmp_call_check (call, cancellable, &error)
      && qmp_connection_submit (client->connection, call, arguments, fd, &error))
    qmp_call_arm (call);
  else
    g_task_return_error (task, error);
}

/**
 * qmp_client_call_finish:
 * @client: a client
 * @result: what the callback got
 * @error: return location for a #GError
 *
 * Returns: (transfer full): as qmp_client_call()
 */
JsonNode *
qmp_client_call_finish (QmpClient *client, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, client), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * qmp_client_send:
 * @client: a client
 * @command: a command
 * @arguments: (transfer full) (nullable): its arguments, see qmp_args_new()
 *
 * Gives a command whose answer, or failure, nobody wants to know. Doesn't block; what is sent by the same thread
 * afterwards arrives afterwards.
 */
void
qmp_client_send (QmpClient *client, const char *command, JsonObject *arguments)
{
  g_autoptr (QmpCall) call = qmp_client_begin (client, command, arguments, NULL);
}

/* Within this library: gives a command (arguments: transfer full), and leaves the waiting to the caller. */
QmpCall *
qmp_client_begin (QmpClient *client, const char *command, JsonObject *arguments, GError **error)
{
  g_autoptr (JsonObject) owned = arguments;
  g_autoptr (QmpCall) call = qmp_call_new (client->connection, command);

  if (!qmp_connection_submit (client->connection, call, arguments, -1, error))
    return NULL;
  return g_steal_pointer (&call);
}

/**
 * qmp_client_watch:
 * @client: a client
 * @event_names: (nullable) (array zero-terminated=1): the events to collect; %NULL: all
 *
 * Starts to collect events. To be made before the command whose events it is for.
 *
 * Returns: (transfer full): the queue, to be read with qmp_watch_pop() and freed with qmp_watch_free()
 */
QmpWatch *
qmp_client_watch (QmpClient *client, const char *const *event_names)
{
  return qmp_watch_new (client->connection, event_names);
}

/**
 * qmp_client_is_closed:
 * @client: a client
 *
 * Returns: whether the connection has ended
 */
gboolean
qmp_client_is_closed (QmpClient *client)
{
  return qmp_connection_is_closed (client->connection);
}

/**
 * qmp_client_close:
 * @client: a client
 *
 * Ends the connection: all calls and waits end with %VMSNAP_ERROR_HYPERVISOR_GONE, also those in other threads. QEMU
 * goes on. Does nothing when the connection has ended already.
 */
void
qmp_client_close (QmpClient *client)
{
  qmp_connection_fail_gone (client->connection, "this service closed it");
}
