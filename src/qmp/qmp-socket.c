/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A connection's socket: a source of the I/O thread's main context that writes the lines as the socket takes them, and
 * reads what there is. It never waits, so that a peer that has stopped stops nobody else.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp-connection.h"
#include "qmp-io.h"

#define READ_SIZE (64 * 1024)
/* How often to read before other connections get their turn. */
#define READS_PER_TURN 16

typedef struct
{
  GSource base;
  QmpConnection *connection;
  gpointer tag;
  gboolean blocked; /* the socket's buffer is full: wait for it */
} SocketSource;

/* Writes what is left of a line, and its descriptor with the first byte. Returns: as sendmsg() */
static gssize
write_line (int fd, QmpLine *line)
{
  struct iovec iov = { line->text + line->written, line->len - line->written };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
  union
  {
    char bytes[CMSG_SPACE (sizeof (int))];
    struct cmsghdr align;
  } control = { 0 };

  if (line->fd >= 0)
    {
      struct cmsghdr *header;

      message.msg_control = control.bytes;
      message.msg_controllen = sizeof control.bytes;
      header = CMSG_FIRSTHDR (&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN (sizeof (int));
      memcpy (CMSG_DATA (header), &line->fd, sizeof (int));
    }
  return sendmsg (fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
line_was_written (QmpConnection *self, QmpLine *line, gsize n)
{
  line->written += n;
  if (line->fd >= 0)
    close (line->fd);
  line->fd = -1;
  if (line->written < line->len)
    return;
  g_queue_pop_head (&self->outgoing);
  qmp_line_free (line);
}

/* Returns: whether the socket is full. When it is broken, what is queued is dropped: reading will tell why, after the
 * last messages that are still on their way. */
static gboolean
write_lines_locked (QmpConnection *self)
{
  QmpLine *line;

  while ((line = g_queue_peek_head (&self->outgoing)) != NULL)
    {
      gssize n = write_line (self->fd, line);

      if (n >= 0)
        line_was_written (self, line, n);
      else if (errno == EAGAIN || errno == EWOULDBLOCK)
        return TRUE;
      else if (errno != EINTR)
        g_queue_clear_full (&self->outgoing, (GDestroyNotify) qmp_line_free);
    }
  return FALSE;
}

static void
take_bytes (QmpConnection *self, const char *data, gsize len)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *reason = NULL;
  JsonObject *message;

  qmp_parser_feed (self->parser, data, len, &error);
  while ((message = qmp_parser_pop (self->parser)) != NULL)
    {
      if (qmp_connection_is_closed (self))
        json_object_unref (message);
      else
        qmp_connection_take_message (self, message);
    }
  if (error == NULL)
    return;
  reason = g_strdup_printf ("it sent %s", error->message);
  qmp_connection_fail_gone (self, reason);
}

static void
read_socket (QmpConnection *self)
{
  char buffer[READ_SIZE];

  for (guint i = 0; i < READS_PER_TURN && !qmp_connection_is_closed (self); i++)
    {
      gssize n = recv (self->fd, buffer, sizeof buffer, MSG_DONTWAIT);

      if (n > 0)
        take_bytes (self, buffer, n);
      else if (n == 0)
        qmp_connection_fail_gone (self, "QEMU ended or closed it");
      else if (errno == EAGAIN || errno == EWOULDBLOCK)
        return;
      else if (errno != EINTR)
        qmp_connection_fail_gone (self, g_strerror (errno));
    }
}

/* Is there something to write, and room for it, as far as known? */
static gboolean
wants_to_write (SocketSource *source)
{
  QmpConnection *self = source->connection;
  gboolean wants;

  if (source->blocked)
    return FALSE;
  g_mutex_lock (&self->lock);
  wants = !g_queue_is_empty (&self->outgoing);
  g_mutex_unlock (&self->lock);
  return wants;
}

static gboolean
source_prepare (GSource *base, int *timeout)
{
  *timeout = -1;
  return wants_to_write ((SocketSource *) base);
}

static gboolean
source_check (GSource *base)
{
  SocketSource *source = (SocketSource *) base;

  return g_source_query_unix_fd (base, source->tag) != 0 || wants_to_write (source);
}

static gboolean
source_dispatch (GSource *base, GSourceFunc callback, gpointer data)
{
  SocketSource *source = (SocketSource *) base;
  QmpConnection *self = source->connection;
  GIOCondition ready = g_source_query_unix_fd (base, source->tag);

  g_mutex_lock (&self->lock);
  if (self->closed == NULL && (!source->blocked || (ready & G_IO_OUT) != 0))
    {
      source->blocked = write_lines_locked (self);
      g_source_modify_unix_fd (base, source->tag, source->blocked ? G_IO_IN | G_IO_OUT : G_IO_IN);
    }
  g_mutex_unlock (&self->lock);

  if ((ready & (G_IO_IN | G_IO_HUP | G_IO_ERR | G_IO_NVAL)) != 0)
    read_socket (self);
  return G_SOURCE_CONTINUE;
}

static void
source_finalize (GSource *base)
{
  qmp_connection_unref (((SocketSource *) base)->connection);
}

static GSourceFuncs source_funcs = {
  .prepare = source_prepare,
  .check = source_check,
  .dispatch = source_dispatch,
  .finalize = source_finalize,
};

/* In the I/O thread: begins to read and write; a GSourceFunc with the connection. */
gboolean
qmp_socket_attach (gpointer data)
{
  QmpConnection *self = data;
  SocketSource *source;

  if (qmp_connection_is_closed (self))
    return G_SOURCE_REMOVE;
  self->source = g_source_new (&source_funcs, sizeof (SocketSource));
  g_source_set_static_name (self->source, "qmp-socket");
  source = (SocketSource *) self->source;
  source->connection = qmp_connection_ref (self);
  source->tag = g_source_add_unix_fd (self->source, self->fd, G_IO_IN);
  g_source_attach (self->source, qmp_io_get_context ());
  return G_SOURCE_REMOVE;
}
