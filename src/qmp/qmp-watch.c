/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Events, and the queues in which threads wait for them. The I/O thread fills a watch, the thread that made it reads
 * from it; both under the connection's lock.
 */
#include "qmp-watch.h"

#include "qmp-connection.h"
#include "qmp-io.h"
#include "vmsnap-error.h"

struct _QmpEvent
{
  gatomicrefcount refs;
  char *name;
  JsonObject *data;
  gint64 time;
};

struct _QmpWatch
{
  gatomicrefcount refs;
  QmpConnection *connection;
  GStrv names; /* NULL: all */
  GCond changed;
  GQueue events;
  gboolean overflow;
};

/* @message is an event; the caller drops it before another thread sees the event, for JsonObjects aren't counted
 * atomically. */
QmpEvent *
qmp_event_new (JsonObject *message)
{
  QmpEvent *event = g_new0 (QmpEvent, 1);
  JsonObject *data = qmp_json_get_object (message, "data");

  g_atomic_ref_count_init (&event->refs);
  event->name = g_strdup (qmp_json_get_string (message, "event"));
  event->data = data != NULL ? json_object_ref (data) : json_object_new ();
  event->time = qmp_message_get_time (message);
  return event;
}

/**
 * qmp_event_ref:
 * @event: an event
 *
 * Returns: (transfer full): @event
 */
QmpEvent *
qmp_event_ref (QmpEvent *event)
{
  g_atomic_ref_count_inc (&event->refs);
  return event;
}

/**
 * qmp_event_unref:
 * @event: (transfer full): an event
 */
void
qmp_event_unref (QmpEvent *event)
{
  if (!g_atomic_ref_count_dec (&event->refs))
    return;
  g_free (event->name);
  json_object_unref (event->data);
  g_free (event);
}

/**
 * qmp_event_get_name:
 * @event: an event
 *
 * Returns: (transfer none): its name, for instance "STOP"
 */
const char *
qmp_event_get_name (const QmpEvent *event)
{
  return event->name;
}

/**
 * qmp_event_get_data:
 * @event: an event
 *
 * Returns: (transfer none): its data, an empty object when it has none. Only for reading, and only while @event lives:
 * other threads may have the same object.
 */
JsonObject *
qmp_event_get_data (const QmpEvent *event)
{
  return event->data;
}

/**
 * qmp_event_get_time:
 * @event: an event
 *
 * Returns: when it happened by QEMU's clock, in microseconds since the epoch, or 0 when QEMU didn't say
 */
gint64
qmp_event_get_time (const QmpEvent *event)
{
  return event->time;
}

/* Makes a watch and hangs it into the connection, which knows it until qmp_watch_free(). */
QmpWatch *
qmp_watch_new (QmpConnection *connection, const char *const *names)
{
  QmpWatch *watch = g_new0 (QmpWatch, 1);

  g_atomic_ref_count_init (&watch->refs);
  watch->connection = qmp_connection_ref (connection);
  watch->names = g_strdupv ((GStrv) names);
  g_cond_init (&watch->changed);
  g_queue_init (&watch->events);

  g_mutex_lock (&connection->lock);
  g_ptr_array_add (connection->watches, watch);
  g_mutex_unlock (&connection->lock);
  return watch;
}

static QmpWatch *
watch_ref (QmpWatch *watch)
{
  g_atomic_ref_count_inc (&watch->refs);
  return watch;
}

static void
watch_unref (QmpWatch *watch)
{
  if (!g_atomic_ref_count_dec (&watch->refs))
    return;
  g_queue_clear_full (&watch->events, (GDestroyNotify) qmp_event_unref);
  g_cond_clear (&watch->changed);
  g_strfreev (watch->names);
  qmp_connection_unref (watch->connection);
  g_free (watch);
}

/**
 * qmp_watch_free:
 * @watch: (transfer full): a watch in which nobody waits
 */
void
qmp_watch_free (QmpWatch *watch)
{
  g_mutex_lock (&watch->connection->lock);
  g_ptr_array_remove_fast (watch->connection->watches, watch);
  g_mutex_unlock (&watch->connection->lock);
  watch_unref (watch);
}

void
qmp_watch_push_locked (QmpWatch *watch, QmpEvent *event)
{
  if (watch->names != NULL && !g_strv_contains ((const char *const *) watch->names, event->name))
    return;
  if (g_queue_get_length (&watch->events) == QMP_WATCH_MAX_EVENTS)
    {
      qmp_event_unref (g_queue_pop_head (&watch->events));
      watch->overflow = TRUE;
    }
  g_queue_push_tail (&watch->events, qmp_event_ref (event));
  g_cond_broadcast (&watch->changed);
}

void
qmp_watch_wake_locked (QmpWatch *watch)
{
  g_cond_broadcast (&watch->changed);
}

static void
on_cancelled (GCancellable *cancellable, gpointer data)
{
  QmpWatch *watch = data;

  g_mutex_lock (&watch->connection->lock);
  g_cond_broadcast (&watch->changed);
  g_mutex_unlock (&watch->connection->lock);
}

static QmpEvent *
pop_locked (QmpWatch *watch, gint64 deadline, GCancellable *cancellable, GError **error)
{
  QmpConnection *connection = watch->connection;

  for (gboolean in_time = TRUE;; in_time = qmp_cond_wait (&watch->changed, &connection->lock, deadline))
    {
      if (g_cancellable_is_cancelled (cancellable))
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while waiting for %s",
                       connection->name);
          return NULL;
        }
      if (!g_queue_is_empty (&watch->events))
        return g_queue_pop_head (&watch->events);
      if (connection->closed != NULL)
        {
          g_propagate_error (error, g_error_copy (connection->closed));
          return NULL;
        }
      if (!in_time)
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "No event came in time from %s", connection->name);
          return NULL;
        }
    }
}

/**
 * qmp_watch_pop:
 * @watch: a watch
 * @deadline: how long to wait: a time of g_get_monotonic_time(), or %QMP_NO_TIMEOUT. One that has passed: don't wait
 * @cancellable: (nullable): ends the wait; nothing is taken then
 * @error: return location for a #GError
 *
 * Takes the next event, and waits for it. Not to be called in the main thread of a program, which never waits.
 *
 * Returns: (transfer full): the event, or %NULL with %VMSNAP_ERROR_CANCELLED, %VMSNAP_ERROR_TIMEOUT, or, when the
 * connection has ended and all events from before its end were taken, %VMSNAP_ERROR_HYPERVISOR_GONE
 */
QmpEvent *
qmp_watch_pop (QmpWatch *watch, gint64 deadline, GCancellable *cancellable, GError **error)
{
  QmpEvent *event;
  gulong handler = 0;

  g_assert (!qmp_io_is_this_thread ());

  if (cancellable != NULL)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), watch_ref (watch),
                                     (GDestroyNotify) watch_unref);
  g_mutex_lock (&watch->connection->lock);
  event = pop_locked (watch, deadline, cancellable, error);
  g_mutex_unlock (&watch->connection->lock);
  /* not g_cancellable_disconnect(), which would wait for handlers that may want our lock, or the caller's */
  if (handler != 0)
    g_signal_handler_disconnect (cancellable, handler);
  return event;
}

/**
 * qmp_watch_take_overflow:
 * @watch: a watch
 *
 * Tells whether events were dropped because nobody took them; the next call tells whether more were, since. The reader
 * of a watch asks this after each pop if it relies on seeing an event, and then asks QEMU for the state instead.
 *
 * Returns: whether events were dropped
 */
gboolean
qmp_watch_take_overflow (QmpWatch *watch)
{
  gboolean overflow;

  g_mutex_lock (&watch->connection->lock);
  overflow = watch->overflow;
  watch->overflow = FALSE;
  g_mutex_unlock (&watch->connection->lock);
  return overflow;
}
