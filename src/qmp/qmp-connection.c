/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The connection behind a QmpClient: the calls without an answer, the lines to write, and its end. Any thread. The end
 * of a connection is an error in `closed`; it ends every call and wakes every watch, and the I/O thread closes the
 * socket soon after.
 */
#include "qmp-connection.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp-io.h"
#include "vmsnap-error.h"

void
qmp_line_free (QmpLine *line)
{
  if (line->fd >= 0)
    close (line->fd);
  g_free (line->text);
  g_free (line);
}

/* @name is for messages: "QEMU's monitor /run/…". */
QmpConnection *
qmp_connection_new (const char *name)
{
  QmpConnection *self = g_new0 (QmpConnection, 1);

  g_atomic_ref_count_init (&self->refs);
  self->name = g_strdup (name);
  self->parser = qmp_parser_new (QMP_PARSER_MAX_LINE, QMP_PARSER_MAX_DEPTH);
  g_mutex_init (&self->lock);
  self->fd = -1;
  self->last_id = QMP_HANDSHAKE_ID;
  self->calls = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, (GDestroyNotify) qmp_call_unref);
  g_queue_init (&self->outgoing);
  g_queue_init (&self->abandoned);
  self->watches = g_ptr_array_new ();
  qmp_emitter_init (&self->emitter);
  return self;
}

QmpConnection *
qmp_connection_ref (QmpConnection *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
qmp_connection_unref (QmpConnection *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_assert (self->fd < 0 && self->source == NULL && g_queue_is_empty (&self->abandoned));
  qmp_emitter_clear (&self->emitter);
  g_ptr_array_unref (self->watches);
  g_queue_clear_full (&self->outgoing, (GDestroyNotify) qmp_line_free);
  g_hash_table_unref (self->calls);
  g_clear_error (&self->closed);
  g_mutex_clear (&self->lock);
  qmp_parser_free (self->parser);
  g_free (self->name);
  g_free (self);
}

gboolean
qmp_connection_is_closed (QmpConnection *self)
{
  gboolean closed;

  g_mutex_lock (&self->lock);
  closed = self->closed != NULL;
  g_mutex_unlock (&self->lock);
  return closed;
}

/* Starts to talk over @fd (transfer full), a connected socket. Once. */
void
qmp_connection_start (QmpConnection *self, int fd)
{
  gboolean ours;

  g_mutex_lock (&self->lock);
  ours = self->closed == NULL;
  if (ours)
    self->fd = fd;
  g_mutex_unlock (&self->lock);

  if (ours)
    qmp_io_invoke (qmp_socket_attach, qmp_connection_ref (self), (GDestroyNotify) qmp_connection_unref);
  else
    close (fd);
}

/* In the I/O thread: the rest of qmp_connection_fail(). The socket is closed here and nowhere else, so that no number
 * of a descriptor is polled that means something else already. */
static gboolean
tear_down (gpointer data)
{
  QmpConnection *self = data;
  GQueue abandoned;
  int fd;

  if (self->source != NULL)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);

  g_mutex_lock (&self->lock);
  fd = self->fd;
  self->fd = -1;
  abandoned = self->abandoned;
  g_queue_init (&self->abandoned);
  g_mutex_unlock (&self->lock);

  if (fd >= 0)
    close (fd);
  for (QmpCall *call; (call = g_queue_pop_head (&abandoned)) != NULL; qmp_call_unref (call))
    qmp_call_return (call, NULL, qmp_call_closed_error (call, self->closed));
  return G_SOURCE_REMOVE;
}

static void
end_calls_locked (QmpConnection *self)
{
  GHashTableIter iter;
  QmpCall *call;

  g_hash_table_iter_init (&iter, self->calls);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &call))
    {
      if (call->task != NULL)
        g_queue_push_tail (&self->abandoned, qmp_call_ref (call));
      else
        {
          call->error = qmp_call_closed_error (call, self->closed);
          call->done = TRUE;
          g_cond_broadcast (&call->changed);
        }
    }
  g_hash_table_remove_all (self->calls);
}

/* Ends the connection with @error (transfer full), unless it has ended before. Any thread; calls nothing foreign. */
void
qmp_connection_fail (QmpConnection *self, GError *error)
{
  g_mutex_lock (&self->lock);
  if (self->closed != NULL)
    {
      g_mutex_unlock (&self->lock);
      g_error_free (error);
      return;
    }
  self->closed = error;
  if (self->fd >= 0)
    shutdown (self->fd, SHUT_RDWR);
  g_queue_clear_full (&self->outgoing, (GDestroyNotify) qmp_line_free);
  end_calls_locked (self);
  for (guint i = 0; i < self->watches->len; i++)
    qmp_watch_wake_locked (g_ptr_array_index (self->watches, i));
  qmp_emitter_push_closed_locked (self);
  g_mutex_unlock (&self->lock);

  qmp_io_invoke (tear_down, qmp_connection_ref (self), (GDestroyNotify) qmp_connection_unref);
}

void
qmp_connection_fail_gone (QmpConnection *self, const char *reason)
{
  qmp_connection_fail (self, g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE, "The connection to %s ended: %s",
                                          self->name, reason));
}

static gboolean
push_line_locked (QmpConnection *self, QmpCall *call, JsonObject *arguments, int fd, GError **error)
{
  QmpLine *line;
  int copy = -1;

  if (fd >= 0 && (copy = fcntl (fd, F_DUPFD_CLOEXEC, 3)) < 0)
    {
      int code = errno;

      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Cannot hand a file to '%s': %s", call->command,
                   g_strerror (code));
      return FALSE;
    }
  line = g_new0 (QmpLine, 1);
  line->id = call->id;
  line->fd = copy;
  line->text = qmp_message_build_command (call->command != NULL ? call->command : "qmp_capabilities", arguments,
                                          call->id);
  line->len = strlen (line->text);
  g_queue_push_tail (&self->outgoing, line);
  return TRUE;
}

static void
register_call_locked (QmpConnection *self, QmpCall *call, gint64 id)
{
  call->id = id;
  g_hash_table_insert (self->calls, &call->id, qmp_call_ref (call));
}

/* Gives the call an id and queues its line. A call without a command waits for the greeting instead: it is the first.
 * Lines go out in the order of this function's calls. */
gboolean
qmp_connection_submit (QmpConnection *self, QmpCall *call, JsonObject *arguments, int fd, GError **error)
{
  gboolean ok = TRUE;

  g_mutex_lock (&self->lock);
  if (self->closed != NULL)
    {
      g_propagate_error (error, qmp_call_closed_error (call, self->closed));
      ok = FALSE;
    }
  else if (call->command == NULL)
    register_call_locked (self, call, QMP_HANDSHAKE_ID);
  else
    {
      call->id = self->last_id + 1;
      ok = push_line_locked (self, call, arguments, fd, error);
      if (ok)
        register_call_locked (self, call, ++self->last_id);
    }
  g_mutex_unlock (&self->lock);

  if (ok)
    g_main_context_wakeup (qmp_io_get_context ());
  return ok;
}

/* Forgets a call: its answer will be dropped, and a line of which nothing was written yet will not be sent.
 * Returns: whether the call had no answer yet; then the caller ends it. */
gboolean
qmp_connection_withdraw_locked (QmpConnection *self, QmpCall *call)
{
  for (GList *link = self->outgoing.head; link != NULL; link = link->next)
    {
      QmpLine *line = link->data;

      if (line->id != call->id || line->written > 0)
        continue;
      g_queue_delete_link (&self->outgoing, link);
      qmp_line_free (line);
      break;
    }
  return g_hash_table_remove (self->calls, &call->id);
}

/* In the I/O thread, after the greeting: the call that waited for it now waits for qmp_capabilities. */
void
qmp_connection_negotiate (QmpConnection *self)
{
  gint64 id = QMP_HANDSHAKE_ID;
  QmpCall *call;

  g_mutex_lock (&self->lock);
  call = g_hash_table_lookup (self->calls, &id);
  if (call != NULL)
    push_line_locked (self, call, NULL, -1, NULL);
  g_mutex_unlock (&self->lock);
}
