/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What becomes of the messages that QEMU sends: the greeting leads to the negotiation, an answer ends its call, an
 * event goes to the watches and to the emitter, anything else ends the connection. In the I/O thread.
 *
 * QEMU answers a command on whatever connection its monitor has by then: what it was doing for a client that is gone it
 * answers to the next one, before it takes a command from that. So until our own first command is answered, answers to
 * others' commands are nothing to wonder at.
 */
#include "qmp-connection.h"

static void
refuse_message (QmpConnection *self, JsonObject *message, const char *what)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), message);
  g_autofree char *text = json_to_string (node, FALSE);
  g_autofree char *reason = g_strdup_printf ("it sent %s: \"%.*s\"", what, 200, text);
  g_autofree char *valid = g_utf8_make_valid (reason, -1);

  qmp_connection_fail_gone (self, valid);
}

static void
take_greeting (QmpConnection *self, JsonObject *message)
{
  if (self->state != QMP_STATE_GREETING
      || !qmp_message_get_version (message, &self->version[0], &self->version[1], &self->version[2]))
    {
      refuse_message (self, message, "a greeting that makes no sense");
      return;
    }
  self->state = QMP_STATE_NEGOTIATING;
  qmp_connection_negotiate (self);
}

/* Takes @message. */
static void
take_event (QmpConnection *self, JsonObject *message)
{
  g_autoptr (QmpEvent) event = qmp_event_new (message);

  json_object_unref (message);

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->watches->len; i++)
    qmp_watch_push_locked (g_ptr_array_index (self->watches, i), event);
  qmp_emitter_push_locked (self, event);
  g_mutex_unlock (&self->lock);
}

/* Is @message meant for an earlier connection? QEMU does one command after the other, so once it has answered us there
 * is nothing left of that. */
static gboolean
is_late (QmpConnection *self, JsonObject *message, QmpMessageType type)
{
  if (self->state == QMP_STATE_GREETING)
    return type != QMP_MESSAGE_GREETING && type != QMP_MESSAGE_INVALID;
  return self->state == QMP_STATE_NEGOTIATING && (type == QMP_MESSAGE_RETURN || type == QMP_MESSAGE_ERROR)
         && qmp_message_get_id (message) != QMP_HANDSHAKE_ID;
}

/* Is @id that of a command which we sent at some time? */
static gboolean
knows_id_locked (QmpConnection *self, gint64 id)
{
  return id >= QMP_HANDSHAKE_ID && id <= self->last_id;
}

/* Ends the call that @message answers, and drops @message before another thread can see the value in it. A call with a
 * task is returned (transfer full), for it has to be ended without the lock. */
static QmpCall *
end_call_locked (QmpConnection *self, gint64 id, JsonObject *message, QmpMessageType type)
{
  g_autoptr (QmpCall) call = NULL;

  g_hash_table_steal_extended (self->calls, &id, NULL, (gpointer *) &call);
  if (call != NULL)
    {
      if (type == QMP_MESSAGE_ERROR)
        call->error = qmp_message_to_error (message, call->command != NULL ? call->command : "qmp_capabilities");
      else
        call->value = json_object_dup_member (message, "return");
    }
  json_object_unref (message);

  if (call == NULL || call->task != NULL)
    return g_steal_pointer (&call);
  call->done = TRUE;
  g_cond_broadcast (&call->changed);
  return NULL;
}

/* An answer to a call that nobody waits for any more is dropped. Takes @message. */
static void
take_answer (QmpConnection *self, JsonObject *message, QmpMessageType type)
{
  g_autoptr (QmpCall) call = NULL;
  gint64 id = qmp_message_get_id (message);

  g_mutex_lock (&self->lock);
  if (!knows_id_locked (self, id))
    {
      g_mutex_unlock (&self->lock);
      refuse_message (self, message, "an answer to a command that was never given");
      json_object_unref (message);
      return;
    }
  if (id == QMP_HANDSHAKE_ID && type == QMP_MESSAGE_RETURN)
    self->state = QMP_STATE_READY;
  call = end_call_locked (self, id, message, type);
  g_mutex_unlock (&self->lock);

  if (call != NULL)
    qmp_call_return (call, g_steal_pointer (&call->value), g_steal_pointer (&call->error));
}

/* In the I/O thread: a message has come. Takes @message. */
void
qmp_connection_take_message (QmpConnection *self, JsonObject *message)
{
  QmpMessageType type = qmp_message_classify (message);

  if (is_late (self, message, type))
    json_object_unref (message);
  else if (type == QMP_MESSAGE_RETURN || type == QMP_MESSAGE_ERROR)
    take_answer (self, message, type);
  else if (type == QMP_MESSAGE_EVENT)
    take_event (self, message);
  else
    {
      if (type == QMP_MESSAGE_GREETING)
        take_greeting (self, message);
      else
        refuse_message (self, message, "what is no message of QMP");
      json_object_unref (message);
    }
}
