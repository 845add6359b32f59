/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The client against a scripted monitor: calls, events and the connection's end, as a thread of a workflow sees them.
 * (test-qmp-async.c: as the main thread sees them; test-qmp-connect.c: how a connection begins.)
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "qmp-peer.h"
#include "vmsnap-error.h"

/* A script that answers each command with its arguments, until the client goes. */
static void
echo (Peer *peer, gpointer data)
{
  JsonObject *message;

  peer_greet (peer);
  for (; (message = peer_read (peer)) != NULL; json_object_unref (message))
    {
      g_autofree char *text = NULL;
      JsonNode *arguments = json_object_get_member (message, "arguments");

      if (arguments != NULL)
        text = json_to_string (arguments, FALSE);
      peer_reply (peer, json_object_get_int_member (message, "id"), text != NULL ? text : "{}");
    }
}

static void
assert_echo (QmpClient *client, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = qmp_client_call (client, "echo", qmp_args_new ("s:text", text, NULL), NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (qmp_json_get_string (qmp_json_node_get_object (reply), "text"), ==, text);
}

static QmpClient *
connect_or_abort (Peer *peer)
{
  g_autoptr (GError) error = NULL;
  QmpClient *client = peer_connect (peer, &error);

  g_assert_no_error (error);
  return client;
}

/* Expects that the call fails so, and returns what it says. */
static char *
failing_call (QmpClient *client, const char *command, gint64 timeout, GCancellable *cancellable, VmSnapError code)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = qmp_client_call_full (client, command, NULL, -1, timeout, cancellable, &error);

  g_assert_null (reply);
  g_assert_error (error, VMSNAP_ERROR, (int) code);
  return g_strdup (error->message);
}

static void
test_call (void)
{
  g_autoptr (Peer) peer = peer_new (echo, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  guint major, minor, micro;

  qmp_client_get_version (client, &major, &minor, &micro);
  g_assert_cmpuint (major * 10000 + minor * 100 + micro, ==, 10203);
  g_assert_cmpstr (qmp_client_get_name (client), ==, "the peer");
  g_assert_false (qmp_client_is_closed (client));
  assert_echo (client, "a");
  assert_echo (client, "b");
}

static void
conversation (Peer *peer, gpointer data)
{
  gsize cut = GPOINTER_TO_SIZE (data);
  g_autofree char *caps = NULL;
  g_autofree char *answer = NULL;

  peer_send_split (peer, PEER_GREETING, cut);
  caps = g_strdup_printf ("{\"return\": {}, \"id\": %d}\r\n", (int) peer_expect (peer, "qmp_capabilities"));
  peer_send_split (peer, caps, cut);
  answer = g_strdup_printf ("{\"return\": [\"x\"], \"id\": %d}\r\n", (int) peer_expect (peer, "x"));
  peer_send_split (peer, answer, cut);
  peer_expect_end (peer);
}

static void
test_every_split (void)
{
  for (gsize cut = 0; cut <= strlen (PEER_GREETING); cut++)
    {
      g_autoptr (Peer) peer = peer_new (conversation, GSIZE_TO_POINTER (cut));
      g_autoptr (QmpClient) client = connect_or_abort (peer);
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) reply = qmp_client_call (client, "x", NULL, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (json_array_get_string_element (qmp_json_node_get_array (reply), 0), ==, "x");
    }
}

typedef struct
{
  gsize left; /* how many bytes to send before dying */
} Mortal;

static gboolean
mortal_send (Peer *peer, Mortal *mortal, const char *text)
{
  g_autofree char *part = g_strndup (text, mortal->left);

  peer_send (peer, part);
  if (strlen (text) > mortal->left)
    return FALSE;
  mortal->left -= strlen (text);
  return TRUE;
}

static void
die_after (Peer *peer, gpointer data)
{
  Mortal mortal = { GPOINTER_TO_SIZE (data) };
  g_autoptr (JsonObject) caps = NULL;
  g_autoptr (JsonObject) command = NULL;

  if (!mortal_send (peer, &mortal, PEER_GREETING) || (caps = peer_read (peer)) == NULL)
    return;
  if (!mortal_send (peer, &mortal, "{\"return\": {}, \"id\": 1}\r\n") || (command = peer_read (peer)) == NULL)
    return;
  mortal_send (peer, &mortal, "{\"event\": \"STOP\", \"data\": {}}\r\n");
  mortal_send (peer, &mortal, "{\"return\": {}, \"id\": 2}\r\n");
}

static void
test_death_at_every_byte (void)
{
  const gsize greeting = strlen (PEER_GREETING "{\"return\": {}, \"id\": 1}\r\n");
  const gsize end = greeting + strlen ("{\"event\": \"STOP\", \"data\": {}}\r\n{\"return\": {}, \"id\": 2}\r\n");

  for (gsize n = 0; n < end; n++)
    {
      g_autoptr (Peer) peer = peer_new (die_after, GSIZE_TO_POINTER (n));
      g_autoptr (GError) error = NULL;
      g_autoptr (QmpClient) client = peer_connect (peer, &error);
      g_autofree char *said = NULL;

      if (n + 1 < greeting) /* the last byte is the newline, and the line is no line without it */
        g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
      if (client == NULL)
        continue;
      said = failing_call (client, "x", PATIENCE, NULL, VMSNAP_ERROR_HYPERVISOR_GONE);
      g_assert_nonnull (strstr (said, "'x'"));
      g_assert_true (qmp_client_is_closed (client));
      g_free (failing_call (client, "y", PATIENCE, NULL, VMSNAP_ERROR_HYPERVISOR_GONE));
    }
}

static void
two_reversed (Peer *peer, gpointer data)
{
  g_autoptr (JsonObject) first = NULL;
  g_autoptr (JsonObject) second = NULL;

  peer_greet (peer);
  first = peer_read (peer);
  second = peer_read (peer);
  for (guint i = 0; i < 2; i++)
    {
      JsonObject *command = i == 0 ? second : first;
      g_autofree char *name = g_strdup_printf ("\"%s\"", json_object_get_string_member (command, "execute"));

      peer_reply (peer, json_object_get_int_member (command, "id"), name);
    }
  peer_expect_end (peer);
}

typedef struct
{
  QmpClient *client;
  const char *command;
  char *answer;
  GError *error;
} Caller;

static gpointer
call_in_thread (gpointer data)
{
  Caller *caller = data;
  g_autoptr (JsonNode) reply = qmp_client_call (caller->client, caller->command, NULL, NULL, &caller->error);

  if (reply != NULL)
    caller->answer = json_node_dup_string (reply);
  return NULL;
}

static void
test_out_of_order (void)
{
  g_autoptr (Peer) peer = peer_new (two_reversed, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  Caller callers[2] = { { client, "first" }, { client, "second" } };
  GThread *threads[2];

  for (guint i = 0; i < 2; i++)
    threads[i] = g_thread_new ("caller", call_in_thread, &callers[i]);
  for (guint i = 0; i < 2; i++)
    {
      g_thread_join (threads[i]);
      g_assert_no_error (callers[i].error);
      g_assert_cmpstr (callers[i].answer, ==, callers[i].command);
      g_free (callers[i].answer);
    }
}

/* Only a peer that has got both commands answers. */
static void
test_several_at_once (void)
{
  g_autoptr (Peer) peer = peer_new (two_reversed, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_auto (QmpCommand) first = { .command = "first", .arguments = qmp_args_new ("s:a", "b", NULL) };
  g_auto (QmpCommand) second = { .command = "second" };
  QmpCommand *commands[] = { &first, &second };

  qmp_client_call_all (client, commands, G_N_ELEMENTS (commands), NULL);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      g_assert_no_error (commands[i]->error);
      g_assert_cmpstr (json_node_get_string (commands[i]->value), ==, commands[i]->command);
    }
}

/* The first is answered, and then the peer is gone. */
static void
answer_one (Peer *peer, gpointer data)
{
  gint64 id;

  peer_greet (peer);
  id = peer_expect (peer, "first");
  peer_expect (peer, "second");
  peer_reply (peer, id, "\"first\"");
}

static void
test_several_and_death (void)
{
  g_autoptr (Peer) peer = peer_new (answer_one, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_auto (QmpCommand) first = { .command = "first" };
  g_auto (QmpCommand) second = { .command = "second" };
  QmpCommand *commands[] = { &first, &second };

  qmp_client_call_all (client, commands, G_N_ELEMENTS (commands), NULL);
  g_assert_cmpstr (json_node_get_string (first.value), ==, "first");
  g_assert_no_error (first.error);
  g_assert_null (second.value);
  g_assert_error (second.error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
}

/* The first is answered, and then the caller has had enough. */
static void
answer_one_and_cancel (Peer *peer, gpointer cancellable)
{
  gint64 id;

  peer_greet (peer);
  id = peer_expect (peer, "first");
  peer_expect (peer, "second");
  peer_reply (peer, id, "\"first\"");
  g_cancellable_cancel (cancellable);
  peer_expect_end (peer);
}

static void
test_several_and_cancel (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Peer) peer = peer_new (answer_one_and_cancel, cancellable);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_auto (QmpCommand) first = { .command = "first" };
  g_auto (QmpCommand) second = { .command = "second" };
  QmpCommand *commands[] = { &first, &second };

  qmp_client_call_all (client, commands, G_N_ELEMENTS (commands), cancellable);
  g_assert_null (second.value);
  g_assert_error (second.error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  qmp_client_close (client);
}

/* Answers 'slow' only after 'next' has come, so late. */
static void
late (Peer *peer, gpointer data)
{
  gint64 slow, next;

  peer_greet (peer);
  slow = peer_expect (peer, "slow");
  if (data != NULL)
    g_cancellable_cancel (data);
  next = peer_expect (peer, "next");
  peer_reply (peer, slow, "\"late\"");
  peer_reply (peer, next, "\"next\"");
  peer_reply (peer, slow, "\"twice\"");
  peer_reply (peer, peer_expect (peer, "last"), "\"last\"");
  peer_expect_end (peer);
}

static void
assert_answer (QmpClient *client, const char *command)
{
  Caller caller = { client, command };

  call_in_thread (&caller);
  g_assert_no_error (caller.error);
  g_assert_cmpstr (caller.answer, ==, command);
  g_free (caller.answer);
}

static void
test_deadline (void)
{
  g_autoptr (Peer) peer = peer_new (late, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autofree char *said = failing_call (client, "slow", G_USEC_PER_SEC / 5, NULL, VMSNAP_ERROR_TIMEOUT);

  g_assert_nonnull (strstr (said, "'slow'"));
  assert_answer (client, "next");
  assert_answer (client, "last");
}

static void
test_cancel (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Peer) peer = peer_new (late, cancellable);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autofree char *said = failing_call (client, "slow", QMP_NO_TIMEOUT, cancellable, VMSNAP_ERROR_CANCELLED);

  g_assert_nonnull (strstr (said, "'slow'"));
  assert_answer (client, "next");
  assert_answer (client, "last");
}

static void
only_next (Peer *peer, gpointer data)
{
  peer_greet (peer);
  peer_reply (peer, peer_expect (peer, "next"), "\"next\"");
  peer_expect_end (peer);
}

static void
test_cancelled_before (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Peer) peer = peer_new (only_next, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);

  g_cancellable_cancel (cancellable);
  g_free (failing_call (client, "never", PATIENCE, cancellable, VMSNAP_ERROR_CANCELLED));
  assert_answer (client, "next");
}

static void
refuse (Peer *peer, gpointer data)
{
  g_autofree char *text = NULL;

  peer_greet (peer);
  text = g_strdup_printf ("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no room\"}, \"id\": %d}\r\n",
                          (int) peer_expect (peer, "grow"));
  peer_send (peer, text);
  peer_reply (peer, peer_expect (peer, "next"), "\"next\"");
  peer_expect_end (peer);
}

static void
test_refusal (void)
{
  g_autoptr (Peer) peer = peer_new (refuse, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autofree char *said = failing_call (client, "grow", PATIENCE, NULL, VMSNAP_ERROR_HYPERVISOR);

  g_assert_cmpstr (said, ==, "QEMU refused 'grow': no room");
  assert_answer (client, "next");
}

static void
take_fd (Peer *peer, gpointer data)
{
  gint64 id;

  peer_greet (peer);
  peer_reply (peer, peer_expect (peer, "before"), "\"before\"");
  g_assert_cmpint (peer->got_fd, ==, -1);
  id = peer_expect (peer, "getfd");
  g_assert_cmpint (peer->got_fd, >=, 0);
  g_assert_cmpint (write (peer->got_fd, "hi", 2), ==, 2);
  peer_reply (peer, id, "{}");
  peer_reply (peer, peer_expect (peer, "after"), "\"after\"");
  g_assert_cmpint (peer->got_fd, ==, -1);
  peer_expect_end (peer);
}

static void
test_fd (void)
{
  g_autoptr (Peer) peer = peer_new (take_fd, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = NULL;
  char bytes[4];
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  assert_answer (client, "before");
  reply = qmp_client_call_full (client, "getfd", qmp_args_new ("s:fdname", "f", NULL), fds[1], PATIENCE, NULL, &error);
  g_assert_no_error (error);
  assert_answer (client, "after");

  close (fds[1]);
  g_assert_cmpint (read (fds[0], bytes, sizeof bytes), ==, 2);
  /* all copies of the descriptor are closed by now: the pipe ends */
  g_assert_cmpint (read (fds[0], bytes, sizeof bytes), ==, 0);
  close (fds[0]);
}

static void
test_bad_fd (void)
{
  g_autoptr (Peer) peer = peer_new (only_next, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (GError) error = NULL;
  int fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);

  close (fd);
  g_assert_null (qmp_client_call_full (client, "getfd", NULL, fd, PATIENCE, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO);
  assert_answer (client, "next");
}

static gpointer
wait_for_event (gpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (QmpEvent) event = qmp_watch_pop (data, QMP_NO_TIMEOUT, NULL, &error);

  g_assert_null (event);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  return NULL;
}

static void
three_unanswered (Peer *peer, gpointer data)
{
  peer_greet (peer);
  for (guint i = 0; i < 3; i++)
    peer_expect (peer, "never");
  g_async_queue_push (data, peer);
  peer_expect_end (peer);
}

static void
test_close_from_another_thread (void)
{
  g_autoptr (GAsyncQueue) arrived = g_async_queue_new ();
  g_autoptr (Peer) peer = peer_new (three_unanswered, arrived);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (QmpWatch) watch = qmp_client_watch (client, NULL);
  Caller callers[3] = { { client, "never" }, { client, "never" }, { client, "never" } };
  GThread *threads[3];
  GThread *waiter = g_thread_new ("waiter", wait_for_event, watch);

  for (guint i = 0; i < 3; i++)
    threads[i] = g_thread_new ("caller", call_in_thread, &callers[i]);
  g_async_queue_pop (arrived);
  qmp_client_close (client);
  qmp_client_close (client);
  for (guint i = 0; i < 3; i++)
    {
      g_thread_join (threads[i]);
      g_assert_error (callers[i].error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
      g_clear_error (&callers[i].error);
    }
  g_thread_join (waiter);
  g_assert_true (qmp_client_is_closed (client));
}

#define N_THREADS 8
#define N_CALLS 200

static gpointer
call_many (gpointer data)
{
  for (guint i = 0; i < N_CALLS; i++)
    {
      g_autofree char *text = g_strdup_printf ("%p %u", (gpointer) g_thread_self (), i);

      assert_echo (data, text);
    }
  return NULL;
}

static void
test_many_threads (void)
{
  g_autoptr (Peer) peer = peer_new (echo, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  GThread *threads[N_THREADS];

  for (guint i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("caller", call_many, client);
  for (guint i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
}

static gpointer
cancel_in_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

/* Threads that call, are cancelled and run into deadlines, all at once: each call ends once, and rightly. */
static gpointer
call_and_cancel (gpointer data)
{
  for (guint i = 0; i < N_CALLS; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GError) error = NULL;
      GThread *canceller = g_thread_new ("canceller", cancel_in_thread, cancellable);
      g_autoptr (JsonNode) reply = qmp_client_call_full (data, "echo", NULL, -1, i % 3 * 100, cancellable, &error);

      g_assert_true ((reply != NULL) != (error != NULL));
      if (error != NULL && error->code != VMSNAP_ERROR_TIMEOUT)
        g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
      g_thread_join (canceller);
    }
  return NULL;
}

static void
test_cancel_storm (void)
{
  g_autoptr (Peer) peer = peer_new (echo, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  GThread *threads[3];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("caller", call_and_cancel, client);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  assert_echo (client, "still there");
}

static const struct
{
  const char *name;
  const char *text;
  const char *says;
} garbage[] = {
  { "words", "Segmentation fault\n", "Segmentation fault" },
  { "second-greeting", PEER_GREETING, "greeting" },
  { "unknown-message", "{\"hello\": 1}\n", "hello" },
  { "answer-to-nothing", "{\"return\": {}, \"id\": 77}\n", "never given" },
  { "answer-without-id", "{\"return\": {}}\n", "never given" },
  { "answer-with-strange-id", "{\"return\": {}, \"id\": {\"a\": []}}\n", "never given" },
  { "error-without-words", "{\"error\": {}, \"id\": 2}\n", "no message of QMP" },
};

static void
send_garbage (Peer *peer, gpointer data)
{
  peer_greet (peer);
  peer_expect (peer, "x");
  peer_send (peer, data);
  peer_expect_end (peer);
}

static void
test_garbage (gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  g_autoptr (Peer) peer = peer_new (send_garbage, (gpointer) garbage[i].text);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autofree char *said = failing_call (client, "x", PATIENCE, NULL, VMSNAP_ERROR_HYPERVISOR_GONE);

  g_assert_nonnull (strstr (said, garbage[i].says));
  g_assert_true (g_utf8_validate (said, -1, NULL));
}

/* What came before the garbage was said well. */
static void
answer_and_garbage (Peer *peer, gpointer data)
{
  g_autofree char *text = NULL;

  peer_greet (peer);
  text = g_strdup_printf ("{\"return\": \"x\", \"id\": %d}\nBoom\n{\"event\": \"STOP\"}\n",
                          (int) peer_expect (peer, "x"));
  peer_send (peer, text);
  peer_expect_end (peer);
}

static void
test_answer_before_garbage (void)
{
  g_autoptr (Peer) peer = peer_new (answer_and_garbage, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (QmpWatch) watch = qmp_client_watch (client, NULL);

  assert_answer (client, "x");
  wait_for_event (watch);
}

static void
fill_pipe (Peer *peer, gpointer data)
{
  gint64 id = 0;

  peer_greet (peer);
  g_async_queue_pop (data);
  for (guint i = 0; i < 40; i++)
    {
      g_autoptr (JsonObject) message = peer_read (peer);
      gint64 this_id = json_object_get_int_member (message, "id");

      g_assert_cmpint (this_id, >, id);
      id = this_id;
    }
  peer_reply (peer, peer_expect (peer, "next"), "\"next\"");
  peer_expect_end (peer);
}

/* A megabyte of commands that nobody reads fits into no socket. */
static void
test_stalled_peer (void)
{
  g_autoptr (GAsyncQueue) go = g_async_queue_new ();
  g_autoptr (Peer) stalled = peer_new (fill_pipe, go);
  g_autoptr (Peer) other = peer_new (echo, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (stalled);
  g_autoptr (QmpClient) other_client = connect_or_abort (other);
  g_autofree char *text = g_strnfill (100000, 'x');

  for (guint i = 0; i < 40; i++)
    qmp_client_send (client, "write", qmp_args_new ("s:text", text, NULL));
  g_free (failing_call (client, "withdrawn", G_USEC_PER_SEC / 10, NULL, VMSNAP_ERROR_TIMEOUT));
  assert_echo (other_client, "undisturbed");
  g_async_queue_push (go, client);
  assert_answer (client, "next");
}

static void
long_answer (Peer *peer, gpointer data)
{
  g_autofree char *text = g_strnfill (5000000, 'x');
  g_autofree char *value = g_strdup_printf ("\"%s\"", text);

  peer_greet (peer);
  peer_reply (peer, peer_expect (peer, "long"), value);
  peer_expect_end (peer);
}

static void
test_long_answer (void)
{
  g_autoptr (Peer) peer = peer_new (long_answer, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  Caller caller = { client, "long" };

  call_in_thread (&caller);
  g_assert_no_error (caller.error);
  g_assert_cmpuint (strlen (caller.answer), ==, 5000000);
  g_free (caller.answer);
}

static gpointer
drop_in_thread (gpointer data)
{
  g_object_unref (data);
  return NULL;
}

static void
test_drop (void)
{
  for (guint i = 0; i < 50; i++)
    {
      g_autoptr (Peer) peer = peer_new (echo, NULL);
      QmpClient *client = connect_or_abort (peer);
      g_autoptr (QmpWatch) watch = qmp_client_watch (client, NULL);

      /* peer_free() waits for the end of the script, which is the end of the connection */
      if (i % 2 == 0)
        g_object_unref (client);
      else
        g_thread_join (g_thread_new ("dropper", drop_in_thread, client));
      wait_for_event (watch);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qmp/client/call-returns-its-own-answer", test_call);
  g_test_add_func ("/qmp/client/every-split-of-a-conversation-works", test_every_split);
  g_test_add_func ("/qmp/client/death-at-every-byte-ends-the-call", test_death_at_every_byte);
  g_test_add_func ("/qmp/client/answers-out-of-order-find-their-calls", test_out_of_order);
  g_test_add_func ("/qmp/client/several-at-once-don-t-wait-for-each-other", test_several_at_once);
  g_test_add_func ("/qmp/client/several-at-once-each-have-their-own-end", test_several_and_death);
  g_test_add_func ("/qmp/client/several-at-once-are-given-up-together", test_several_and_cancel);
  g_test_add_func ("/qmp/client/late-answer-is-dropped-after-a-deadline", test_deadline);
  g_test_add_func ("/qmp/client/late-answer-is-dropped-after-a-cancel", test_cancel);
  g_test_add_func ("/qmp/client/cancelled-before-is-never-sent", test_cancelled_before);
  g_test_add_func ("/qmp/client/refusal-carries-command-and-words", test_refusal);
  g_test_add_func ("/qmp/client/descriptor-comes-with-the-first-byte", test_fd);
  g_test_add_func ("/qmp/client/bad-descriptor-is-an-error-and-nothing-is-sent", test_bad_fd);
  g_test_add_func ("/qmp/client/close-ends-calls-and-waits-in-other-threads", test_close_from_another_thread);
  g_test_add_func ("/qmp/client/eight-threads-at-once", test_many_threads);
  g_test_add_func ("/qmp/client/cancels-and-deadlines-all-at-once", test_cancel_storm);
  for (guint i = 0; i < G_N_ELEMENTS (garbage); i++)
    {
      g_autofree char *path = g_strconcat ("/qmp/client/garbage-ends-the-connection/", garbage[i].name, NULL);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_garbage);
    }
  g_test_add_func ("/qmp/client/answer-before-garbage-counts", test_answer_before_garbage);
  g_test_add_func ("/qmp/client/stalled-peer-stalls-nobody-else", test_stalled_peer);
  g_test_add_func ("/qmp/client/long-answer-comes-whole", test_long_answer);
  g_test_add_func ("/qmp/client/dropped-client-closes-in-any-thread", test_drop);
  return g_test_run ();
}
