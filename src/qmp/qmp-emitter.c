/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The way of events from the I/O thread to the client's signals: a bounded queue, emptied by a source in the event
 * context. The source has the priority of GTask's, and is attached when the first event comes: so an answer that came
 * after an event completes after it. The connection's end has a source of its own, so that it comes after all answers.
 */
#include "qmp-connection.h"

typedef struct
{
  QmpConnection *connection;
  GMainContext *context;
  gboolean is_end; /* of the connection: emit "closed", after what is left */
} Dispatch;

typedef enum {
  EMIT_NOTHING,
  EMIT_EVENT,
  EMIT_LOST,
  EMIT_CLOSED,
} Emission;

void
qmp_emitter_init (QmpEmitter *emitter)
{
  g_weak_ref_init (&emitter->client, NULL);
  emitter->context = g_main_context_ref_thread_default ();
  g_queue_init (&emitter->events);
}

void
qmp_emitter_clear (QmpEmitter *emitter)
{
  g_weak_ref_clear (&emitter->client);
  g_main_context_unref (emitter->context);
  g_queue_clear_full (&emitter->events, (GDestroyNotify) qmp_event_unref);
}

static void
dispatch_free (Dispatch *dispatch)
{
  qmp_connection_unref (dispatch->connection);
  g_main_context_unref (dispatch->context);
  g_free (dispatch);
}

/* Takes what is next to be emitted by @dispatch. One at a time, so that a handler that runs a main loop of its own
 * still sees the events in their order. */
static Emission
take_next_locked (Dispatch *dispatch, QmpEvent **event, GError **closed)
{
  QmpEmitter *emitter = &dispatch->connection->emitter;
  Emission emission = EMIT_NOTHING;

  if (emitter->context != dispatch->context)
    return EMIT_NOTHING;
  if (emitter->lost)
    {
      emission = EMIT_LOST;
      emitter->lost = FALSE;
    }
  else if ((*event = g_queue_pop_head (&emitter->events)) != NULL)
    emission = EMIT_EVENT;
  else if (emitter->closed_due && dispatch->is_end)
    {
      emission = EMIT_CLOSED;
      emitter->closed_due = FALSE;
      *closed = g_error_copy (dispatch->connection->closed);
    }
  else if (!dispatch->is_end)
    emitter->scheduled = FALSE;
  return emission;
}

/* Returns: whether there may be more */
static gboolean
emit_next (Dispatch *dispatch)
{
  QmpConnection *connection = dispatch->connection;
  g_autoptr (QmpEvent) event = NULL;
  g_autoptr (GError) closed = NULL;
  g_autoptr (QmpClient) client = g_weak_ref_get (&connection->emitter.client);
  Emission emission;

  g_mutex_lock (&connection->lock);
  emission = take_next_locked (dispatch, &event, &closed);
  g_mutex_unlock (&connection->lock);

  switch (emission)
    {
    case EMIT_EVENT:
      if (client != NULL)
        g_signal_emit_by_name (client, "event", qmp_event_get_name (event), qmp_event_get_data (event),
                               qmp_event_get_time (event));
      return TRUE;
    case EMIT_LOST:
      if (client != NULL)
        g_signal_emit_by_name (client, "events-lost");
      return TRUE;
    case EMIT_CLOSED:
      if (client != NULL)
        g_signal_emit_by_name (client, "closed", closed);
      return TRUE;
    case EMIT_NOTHING:
    default:
      return FALSE;
    }
}

/* At most one queue's worth at a time, so that a peer that never stops talking doesn't take the main loop for itself. */
static gboolean
on_dispatch (gpointer data)
{
  for (guint i = 0; i < QMP_WATCH_MAX_EVENTS; i++)
    if (!emit_next (data))
      return G_SOURCE_REMOVE;
  return G_SOURCE_CONTINUE;
}

static void
attach_locked (QmpConnection *connection, gboolean is_end)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  Dispatch *dispatch = g_new0 (Dispatch, 1);

  dispatch->connection = qmp_connection_ref (connection);
  dispatch->context = g_main_context_ref (connection->emitter.context);
  dispatch->is_end = is_end;
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_dispatch, dispatch, (GDestroyNotify) dispatch_free);
  g_source_attach (source, dispatch->context);
}

/* Sees to it that what is there will be emitted. */
static void
schedule_locked (QmpConnection *connection)
{
  QmpEmitter *emitter = &connection->emitter;

  if (!emitter->has_client || emitter->scheduled || g_queue_is_empty (&emitter->events))
    return;
  emitter->scheduled = TRUE;
  attach_locked (connection, FALSE);
}

static void
schedule_end_locked (QmpConnection *connection)
{
  if (connection->emitter.has_client && connection->emitter.closed_due)
    attach_locked (connection, TRUE);
}

void
qmp_emitter_push_locked (QmpConnection *connection, QmpEvent *event)
{
  QmpEmitter *emitter = &connection->emitter;

  if (g_queue_get_length (&emitter->events) == QMP_WATCH_MAX_EVENTS)
    {
      qmp_event_unref (g_queue_pop_head (&emitter->events));
      emitter->lost = TRUE;
    }
  g_queue_push_tail (&emitter->events, qmp_event_ref (event));
  schedule_locked (connection);
}

void
qmp_emitter_push_closed_locked (QmpConnection *connection)
{
  connection->emitter.closed_due = TRUE;
  schedule_end_locked (connection);
}

/* From now on there is somebody to emit the signals; what came since the greeting was kept. */
void
qmp_emitter_set_client (QmpConnection *connection, QmpClient *client)
{
  QmpEmitter *emitter = &connection->emitter;

  g_weak_ref_set (&emitter->client, client);
  g_mutex_lock (&connection->lock);
  emitter->has_client = TRUE;
  schedule_locked (connection);
  schedule_end_locked (connection);
  g_mutex_unlock (&connection->lock);
}

void
qmp_emitter_set_context (QmpConnection *connection, GMainContext *context)
{
  QmpEmitter *emitter = &connection->emitter;
  GMainContext *old;

  g_mutex_lock (&connection->lock);
  old = emitter->context;
  emitter->context = g_main_context_ref (context != NULL ? context : g_main_context_default ());
  emitter->scheduled = FALSE;
  schedule_locked (connection);
  schedule_end_locked (connection);
  g_mutex_unlock (&connection->lock);
  g_main_context_unref (old);
}
