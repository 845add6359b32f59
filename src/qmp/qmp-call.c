/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A command under way: the thread that waits for its answer, or the task that is to return it. Who takes a call out of
 * the connection's table ends it, so each ends once. What concerns a task (timer, cancellable, return) happens in the
 * I/O thread alone.
 */
#include "qmp-connection.h"
#include "qmp-io.h"
#include "vmsnap-error.h"

/* @command: (nullable): %NULL for the greeting */
QmpCall *
qmp_call_new (QmpConnection *connection, const char *command)
{
  QmpCall *call = g_new0 (QmpCall, 1);

  g_atomic_ref_count_init (&call->refs);
  call->connection = qmp_connection_ref (connection);
  call->command = g_strdup (command);
  g_cond_init (&call->changed);
  return call;
}

QmpCall *
qmp_call_ref (QmpCall *call)
{
  g_atomic_ref_count_inc (&call->refs);
  return call;
}

void
qmp_call_unref (QmpCall *call)
{
  if (!g_atomic_ref_count_dec (&call->refs))
    return;
  g_clear_pointer (&call->value, json_node_unref);
  g_clear_error (&call->error);
  g_clear_object (&call->task);
  g_clear_object (&call->cancellable);
  g_cond_clear (&call->changed);
  g_free (call->command);
  qmp_connection_unref (call->connection);
  g_free (call);
}

gint64
qmp_deadline (gint64 timeout_usec)
{
  return timeout_usec == QMP_NO_TIMEOUT ? QMP_NO_TIMEOUT : g_get_monotonic_time () + timeout_usec;
}

/* Returns: %FALSE when the deadline has passed */
gboolean
qmp_cond_wait (GCond *cond, GMutex *lock, gint64 deadline)
{
  if (deadline != QMP_NO_TIMEOUT)
    return g_cond_wait_until (cond, lock, deadline);
  g_cond_wait (cond, lock);
  return TRUE;
}

static GError *
cancelled_error (QmpCall *call)
{
  if (call->command == NULL)
    return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while connecting to %s",
                        call->connection->name);
  return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while '%s' was waiting for an answer from %s",
                      call->command, call->connection->name);
}

static GError *
timeout_error (QmpCall *call)
{
  if (call->command == NULL)
    return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT,
                        "No greeting came in time from %s: QEMU hangs, or another program is connected to its monitor",
                        call->connection->name);
  return g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT,
                      "No answer to '%s' came in time from %s: its QEMU hangs, or waits for a slow disk, and may still do "
                      "what it was told when it goes on. Wait for it, or power the domain off",
                      call->command, call->connection->name);
}

/* Whether to submit the call at all. */
gboolean
qmp_call_check (QmpCall *call, GCancellable *cancellable, GError **error)
{
  if (!g_cancellable_is_cancelled (cancellable))
    return TRUE;
  g_propagate_error (error, cancelled_error (call));
  return FALSE;
}

/* What a call ends with when its connection does. */
GError *
qmp_call_closed_error (QmpCall *call, const GError *closed)
{
  if (call->command == NULL)
    return g_error_copy (closed);
  return g_error_new (VMSNAP_ERROR, closed->code, "%s, before it answered '%s'", closed->message, call->command);
}

static void
on_cancelled_wake (GCancellable *cancellable, gpointer data)
{
  QmpCall *call = data;

  g_mutex_lock (&call->connection->lock);
  g_cond_broadcast (&call->changed);
  g_mutex_unlock (&call->connection->lock);
}

static void
wait_locked (QmpCall *call, gint64 deadline, GCancellable *cancellable)
{
  gboolean in_time = TRUE;

  while (!call->done)
    {
      GError *reason = NULL;

      if (g_cancellable_is_cancelled (cancellable))
        reason = cancelled_error (call);
      else if (!in_time)
        reason = timeout_error (call);

      if (reason != NULL)
        {
          qmp_connection_withdraw_locked (call->connection, call);
          call->error = reason;
          call->done = TRUE;
          return;
        }
      in_time = qmp_cond_wait (&call->changed, &call->connection->lock, deadline);
    }
}

/* Waits for the end of a call that was submitted, and has no task. */
JsonNode *
qmp_call_wait (QmpCall *call, gint64 deadline, GCancellable *cancellable, GError **error)
{
  gulong handler = 0;

  g_assert (!qmp_io_is_this_thread ());

  if (cancellable != NULL)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled_wake), qmp_call_ref (call),
                                     (GDestroyNotify) qmp_call_unref);
  g_mutex_lock (&call->connection->lock);
  wait_locked (call, deadline, cancellable);
  g_mutex_unlock (&call->connection->lock);
  /* not g_cancellable_disconnect(), which would wait for handlers that may want our lock, or the caller's */
  if (handler != 0)
    g_signal_handler_disconnect (cancellable, handler);

  if (call->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&call->error));
      return NULL;
    }
  return g_steal_pointer (&call->value);
}

/* Waits, but doesn't end the call at the deadline. Returns: whether the call has ended */
gboolean
qmp_call_poll (QmpCall *call, gint64 deadline)
{
  gboolean in_time = TRUE;
  gboolean done;

  g_mutex_lock (&call->connection->lock);
  while (!call->done && in_time)
    in_time = qmp_cond_wait (&call->changed, &call->connection->lock, deadline);
  done = call->done;
  g_mutex_unlock (&call->connection->lock);
  return done;
}

/* In the I/O thread: ends a call with a task. Takes @value and @error, of which one is %NULL. */
void
qmp_call_return (QmpCall *call, JsonNode *value, GError *error)
{
  g_assert (!call->done);
  call->done = TRUE;
  if (call->timer != NULL)
    g_source_destroy (call->timer);
  g_clear_pointer (&call->timer, g_source_unref);
  if (call->cancelled_handler != 0)
    g_signal_handler_disconnect (call->cancellable, call->cancelled_handler);
  call->cancelled_handler = 0;

  if (error != NULL)
    g_task_return_error (call->task, error);
  else
    g_task_return_pointer (call->task, value, (GDestroyNotify) json_node_unref);
}

/* In the I/O thread: ends the call with @error, if nothing else has ended it. */
static void
give_up (QmpCall *call, GError *error)
{
  gboolean ours;

  g_mutex_lock (&call->connection->lock);
  ours = qmp_connection_withdraw_locked (call->connection, call);
  g_mutex_unlock (&call->connection->lock);

  if (ours)
    qmp_call_return (call, NULL, error);
  else
    g_error_free (error);
}

static gboolean
on_timer (gpointer data)
{
  g_autoptr (QmpCall) call = qmp_call_ref (data);

  give_up (call, timeout_error (call));
  return G_SOURCE_REMOVE;
}

static gboolean
cancel_in_io (gpointer data)
{
  QmpCall *call = data;

  if (!call->done)
    give_up (call, cancelled_error (call));
  return G_SOURCE_REMOVE;
}

static void
on_cancelled_invoke (GCancellable *cancellable, gpointer data)
{
  qmp_io_invoke (cancel_in_io, qmp_call_ref (data), (GDestroyNotify) qmp_call_unref);
}

static gboolean
arm_in_io (gpointer data)
{
  QmpCall *call = data;

  if (call->done)
    return G_SOURCE_REMOVE;
  if (call->deadline != QMP_NO_TIMEOUT)
    {
      gint64 left = MAX (call->deadline - g_get_monotonic_time (), 0);

      call->timer = g_timeout_source_new ((guint) MIN ((left + 999) / 1000, G_MAXINT));
      g_source_set_callback (call->timer, on_timer, qmp_call_ref (call), (GDestroyNotify) qmp_call_unref);
      g_source_attach (call->timer, qmp_io_get_context ());
    }
  if (call->cancellable != NULL)
    call->cancelled_handler = g_cancellable_connect (call->cancellable, G_CALLBACK (on_cancelled_invoke),
                                                     qmp_call_ref (call), (GDestroyNotify) qmp_call_unref);
  return G_SOURCE_REMOVE;
}

/* Before the call is submitted: its end goes to @task, whose cancellable ends it too. */
void
qmp_call_set_task (QmpCall *call, GTask *task, gint64 deadline)
{
  call->task = g_object_ref (task);
  call->deadline = deadline;
  g_set_object (&call->cancellable, g_task_get_cancellable (task));
}

/* After the call is submitted: starts its timer, and looks at its cancellable. */
void
qmp_call_arm (QmpCall *call)
{
  qmp_io_invoke (arm_in_io, qmp_call_ref (call), (GDestroyNotify) qmp_call_unref);
}
