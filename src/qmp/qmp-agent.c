/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A client of the guest agent. It owns one connected socket; a workflow's thread reads and writes it, and waits in
 * poll() with a deadline.
 *
 * The channel is a serial line: nobody at its other end knows who listens. Answers to whoever asked before us may still
 * come, the agent may have begun to read in the middle of a line, and it may not be there at all. So first both sides
 * find a common place: a byte that no JSON has makes the agent forget what it has read, and its answer to
 * guest-sync-delimited begins with the same byte and carries our number; all before that is dropped. What comes from
 * then on answers us, in our order, until an answer doesn't come in time.
 *
 * The agent is as hostile as its guest may be: what is read of it is bounded in length, depth, amount and time.
 *
 * The protocol: https://www.qemu.org/docs/master/interop/qemu-ga-ref.html
 */
#include "qmp-agent.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp-message.h"
#include "qmp-parser.h"
#include "vmsnap-error.h"

#define SENTINEL '\xff'
#define SYNC_COMMAND "guest-sync-delimited"
#define MAX_DEPTH 16
#define MAX_WORDS 300
#define READ_SIZE 4096

struct _QmpAgent
{
  int fd;
  char *name;
  gint64 sync_id;
  gboolean synced;    /* what comes next answers our next command */
  gboolean listening; /* what comes is, or may be, for us; else it is dropped up to the next sentinel */
  QmpParser *parser;
  char buffer[READ_SIZE];
  gsize begin;
  gsize end;
};

/* What a call may cost. */
typedef struct
{
  const char *command;
  GCancellable *cancellable;
  gint64 timeout;
  gint64 deadline;
  gsize input;
} Bounds;

static Bounds
bounds_begin (const char *command, gint64 timeout_usec, GCancellable *cancellable)
{
  return (Bounds){ command, cancellable, timeout_usec, g_get_monotonic_time () + timeout_usec, QMP_AGENT_MAX_INPUT };
}

/**
 * qmp_agent_new:
 * @fd: (transfer full): a connected socket
 * @name: whose agent it is, for messages: a domain's name
 *
 * Returns: (transfer full): a client that has said nothing yet
 */
QmpAgent *
qmp_agent_new (int fd, const char *name)
{
  QmpAgent *self = g_new0 (QmpAgent, 1);

  self->fd = fd;
  self->name = g_strdup (name);
  self->parser = qmp_parser_new (QMP_AGENT_MAX_LINE, MAX_DEPTH);
  return self;
}

/**
 * qmp_agent_free:
 * @agent: (transfer full): a client
 *
 * Closes the connection; the agent goes on, and hears what was sent to it.
 */
void
qmp_agent_free (QmpAgent *agent)
{
  close (agent->fd);
  qmp_parser_free (agent->parser);
  g_free (agent->name);
  g_free (agent);
}

/**
 * qmp_agent_is_synced:
 * @agent: a client
 *
 * Returns: whether the last call was answered, be it by a refusal
 */
gboolean
qmp_agent_is_synced (QmpAgent *agent)
{
  return agent->synced;
}

static gboolean
fail_cancelled (QmpAgent *self, const Bounds *bounds, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while '%s' waited for the guest agent of %s",
               bounds->command, self->name);
  return FALSE;
}

static gboolean
fail_late (QmpAgent *self, const Bounds *bounds, GError **error)
{
  g_set_error (
    error, VMSNAP_ERROR, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
    "The guest agent of %s didn't answer '%s' within %.3g s: it hangs, isn't running, or another program holds "
    "its channel",
    self->name, bounds->command, bounds->timeout / (double)G_USEC_PER_SEC);
  return FALSE;
}

static gboolean
fail_closed (QmpAgent *self, const Bounds *bounds, const char *why, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE,
               "The channel to the guest agent of %s ended before it answered '%s': %s", self->name, bounds->command,
               why);
  return FALSE;
}

static gboolean
fail_nonsense (QmpAgent *self, const Bounds *bounds, const char *what, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "The guest agent of %s answered '%s' with %s",
               self->name, bounds->command, what);
  return FALSE;
}

/* The agent's own words, fit for a message: short, and on one line. */
static char *
tame (const char *words)
{
  GString *out = g_string_new (NULL);
  const char *p;

  for (p = words; *p != '\0' && out->len < MAX_WORDS; p = g_utf8_next_char (p))
    g_string_append_unichar (out, g_unichar_isprint (g_utf8_get_char (p)) ? g_utf8_get_char (p) : ' ');
  if (*p != '\0')
    g_string_append (out, "...");
  return g_string_free (out, FALSE);
}

static gboolean
fail_refused (QmpAgent *self, const Bounds *bounds, JsonObject *answer, GError **error)
{
  JsonObject *object = qmp_json_get_object (answer, "error");
  g_autofree char *words = tame (qmp_json_get_string (object, "desc"));

  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "The guest agent of %s refused '%s': %s",
               self->name, bounds->command, words);
  return FALSE;
}

/* Until the socket is ready. */
static gboolean
wait_for_socket (QmpAgent *self, gushort events, const Bounds *bounds, GError **error)
{
  GPollFD fds[2] = { { self->fd, events, 0 } };
  gboolean can_cancel = g_cancellable_make_pollfd (bounds->cancellable, &fds[1]);
  gboolean cancelled = FALSE;
  gint64 left = 0;
  int n = -1;

  while (n < 0 && !cancelled)
    {
      left = MAX (bounds->deadline - g_get_monotonic_time (), 0);
      n = g_poll (fds, can_cancel ? 2 : 1, (int)MIN ((left + 999) / 1000, G_MAXINT));
      cancelled = g_cancellable_is_cancelled (bounds->cancellable);
    }
  if (can_cancel)
    g_cancellable_release_fd (bounds->cancellable);
  if (cancelled)
    return fail_cancelled (self, bounds, error);
  return n > 0 || fail_late (self, bounds, error);
}

static gboolean
send_text (QmpAgent *self, const GString *text, const Bounds *bounds, GError **error)
{
  for (gsize sent = 0; sent < text->len;)
    {
      gssize n = send (self->fd, text->str + sent, text->len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

      if (n >= 0)
        sent += n;
      else if (errno != EAGAIN && errno != EINTR)
        return fail_closed (self, bounds, g_strerror (errno), error);
      else if (!wait_for_socket (self, G_IO_OUT, bounds, error))
        return FALSE;
    }
  return TRUE;
}

/* Something was sent that nobody waited for, or nobody knows what it is that comes. */
static void
lose_sync (QmpAgent *self)
{
  self->synced = FALSE;
  self->listening = FALSE;
}

static void
append_command (GString *text, const char *command, JsonObject *arguments)
{
  g_autofree char *line = qmp_message_build_command (command, arguments, -1);

  g_string_append (text, line);
}

static void
append_sync (QmpAgent *self, GString *text)
{
  g_autoptr (JsonObject) arguments = json_object_new ();
  gint64 last = self->sync_id;

  while (self->sync_id == last)
    self->sync_id = g_random_int_range (1, G_MAXINT32);
  json_object_set_int_member (arguments, "id", self->sync_id);
  g_string_append_c (text, SENTINEL);
  append_command (text, SYNC_COMMAND, arguments);
  lose_sync (self);
}

static gboolean
receive (QmpAgent *self, Bounds *bounds, GError **error)
{
  gssize n;

  if (bounds->input == 0)
    return fail_nonsense (self, bounds, "noise without an end", error);
  if (!wait_for_socket (self, G_IO_IN, bounds, error))
    return FALSE;
  n = recv (self->fd, self->buffer, MIN (sizeof self->buffer, bounds->input), MSG_DONTWAIT);
  if (n == 0)
    return fail_closed (self, bounds, "QEMU closed it", error);
  if (n < 0 && errno != EAGAIN && errno != EINTR)
    return fail_closed (self, bounds, g_strerror (errno), error);
  self->begin = 0;
  self->end = MAX (n, 0);
  bounds->input -= self->end;
  return TRUE;
}

static void
begin_to_listen (QmpAgent *self)
{
  qmp_parser_free (self->parser);
  self->parser = qmp_parser_new (QMP_AGENT_MAX_LINE, MAX_DEPTH);
  self->listening = TRUE;
}

/* Cuts off what the parser may have next: up to the end of a line, or to where another speech begins. */
static gsize
next_piece (QmpAgent *self)
{
  const char *from = self->buffer + self->begin;
  gsize len = self->end - self->begin;
  const char *stop = memchr (from, SENTINEL, len);

  if (stop != NULL)
    len = stop - from;
  stop = self->listening ? memchr (from, '\n', len) : NULL;
  return stop != NULL ? (gsize)(stop - from) + 1 : len;
}

/* @message: (out) (transfer full) (nullable): %NULL when more bytes must come. Nonsense is an error only from an agent
 * that is known to speak to us. */
static gboolean
take_message (QmpAgent *self, const Bounds *bounds, JsonObject **message, GError **error)
{
  *message = NULL;
  while (*message == NULL && self->begin < self->end)
    {
      const char *piece = self->buffer + self->begin;
      gsize len = next_piece (self);
      g_autoptr (GError) nonsense = NULL;

      self->begin += MAX (len, 1);
      if (len == 0)
        begin_to_listen (self);
      else if (self->listening && qmp_parser_feed (self->parser, piece, len, &nonsense))
        *message = qmp_parser_pop (self->parser);
      else if (nonsense != NULL && self->synced)
        return fail_nonsense (self, bounds, nonsense->message, error);
      else
        self->listening = FALSE;
    }
  return TRUE;
}

/* Returns: (transfer full) (nullable) */
static JsonObject *
read_message (QmpAgent *self, Bounds *bounds, GError **error)
{
  JsonObject *message = NULL;

  while (take_message (self, bounds, &message, error))
    if (message != NULL || !receive (self, bounds, error))
      break;
  return message;
}

/* Drops all that comes before the answer to our own sync. */
static gboolean
await_sync (QmpAgent *self, Bounds *bounds, GError **error)
{
  while (!self->synced)
    {
      g_autoptr (JsonObject) message = read_message (self, bounds, error);
      gint64 id = -1;

      if (message == NULL)
        return FALSE;
      self->synced = qmp_json_get_int (message, "return", &id) && id == self->sync_id;
      self->listening = self->synced;
    }
  return TRUE;
}

/* Returns: (transfer full) (nullable): what it returns */
static JsonNode *
await_answer (QmpAgent *self, Bounds *bounds, GError **error)
{
  g_autoptr (JsonObject) answer = read_message (self, bounds, error);

  if (answer == NULL)
    {
      lose_sync (self);
      return NULL;
    }
  switch (qmp_message_classify (answer))
    {
    case QMP_MESSAGE_RETURN:
      return json_object_dup_member (answer, "return");
    case QMP_MESSAGE_ERROR:
      fail_refused (self, bounds, answer, error);
      return NULL;
    default:
      lose_sync (self);
      fail_nonsense (self, bounds, "what is no answer", error);
      return NULL;
    }
}

/**
 * qmp_agent_sync:
 * @agent: a client
 * @timeout_usec: how long the agent may take, in microseconds
 * @cancellable: (nullable): ends the wait
 * @error: see #QmpAgent
 *
 * Asks whether anybody is there, and drops what earlier askers left.
 *
 * Returns: whether the agent has answered
 */
gboolean
qmp_agent_sync (QmpAgent *agent, gint64 timeout_usec, GCancellable *cancellable, GError **error)
{
  Bounds bounds = bounds_begin (SYNC_COMMAND, timeout_usec, cancellable);
  g_autoptr (GString) text = g_string_new (NULL);

  append_sync (agent, text);
  return send_text (agent, text, &bounds, error) && await_sync (agent, &bounds, error);
}

/**
 * qmp_agent_call:
 * @agent: a client
 * @command: a command without arguments
 * @timeout_usec: how long the agent may take for each answer, in microseconds
 * @cancellable: (nullable): ends the wait
 * @error: see #QmpAgent
 *
 * Gives a command, after a sync unless the call before this one was answered: an agent that doesn't answer that is
 * never told the command.
 *
 * Returns: (transfer full) (nullable): what the agent returns
 */
JsonNode *
qmp_agent_call (QmpAgent *agent, const char *command, gint64 timeout_usec, GCancellable *cancellable, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Bounds bounds;

  if (!agent->synced && !qmp_agent_sync (agent, timeout_usec, cancellable, error))
    return NULL;
  bounds = bounds_begin (command, timeout_usec, cancellable);
  append_command (text, command, NULL);
  if (!send_text (agent, text, &bounds, error))
    {
      lose_sync (agent);
      return NULL;
    }
  return await_answer (agent, &bounds, error);
}

/**
 * qmp_agent_call_at_once:
 * @agent: a client
 * @command: a command without arguments that may be given any number of times
 * @timeout_usec: how long the agent may take, in microseconds
 * @cancellable: (nullable): ends the wait
 * @error: see #QmpAgent
 *
 * Sends a sync and the command together: the agent will carry it out, however late it wakes up.
 *
 * Returns: (transfer full) (nullable): what the agent returns
 */
JsonNode *
qmp_agent_call_at_once (QmpAgent *agent,
                        const char *command,
                        gint64 timeout_usec,
                        GCancellable *cancellable,
                        GError **error)
{
  Bounds bounds = bounds_begin (command, timeout_usec, cancellable);
  g_autoptr (GString) text = g_string_new (NULL);

  append_sync (agent, text);
  append_command (text, command, NULL);
  if (!send_text (agent, text, &bounds, error) || !await_sync (agent, &bounds, error))
    return NULL;
  return await_answer (agent, &bounds, error);
}
