/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The guest agent's client against agents that lie, stammer, shout or say nothing: what the real one never plays.
 */
#include "qmp-agent.h"

#include <string.h>
#include <sys/socket.h>

#include "qmp-peer.h"
#include "vmsnap-error.h"

#define SENTINEL "\xff"
/* For what never comes. */
#define SHORT (G_USEC_PER_SEC / 20)

static QmpAgent *
agent_for (Peer *peer)
{
  int fd = peer->client_fd;

  peer->client_fd = -1;
  return qmp_agent_new (fd, "the guest");
}

/* Returns: the number that the answer must carry; -1 at the end */
static gint64
read_sync (Peer *peer)
{
  g_autoptr (JsonObject) message = NULL;
  guchar byte = 0;

  if (recv (peer->fd, &byte, 1, 0) != 1)
    return -1;
  g_assert_cmpuint (byte, ==, 0xff);
  message = peer_read (peer);
  g_assert_cmpstr (json_object_get_string_member (message, "execute"), ==, "guest-sync-delimited");
  return json_object_get_int_member (json_object_get_object_member (message, "arguments"), "id");
}

static void
answer_sync (Peer *peer, gint64 id)
{
  g_autofree char *text = g_strdup_printf (SENTINEL "{\"return\": %" G_GINT64_FORMAT "}\n", id);

  peer_send (peer, text);
}

/* An agent before 2.12 knows no ids. */
static void
expect (Peer *peer, const char *command)
{
  g_autoptr (JsonObject) message = peer_read (peer);

  g_assert_nonnull (message);
  g_assert_cmpstr (json_object_get_string_member (message, "execute"), ==, command);
  g_assert_cmpuint (json_object_get_size (message), ==, 1);
}

static void
assert_number (JsonNode *node, gint64 number)
{
  g_assert_nonnull (node);
  g_assert_cmpint (json_node_get_int (node), ==, number);
}

static void
assert_words (const GError *error, int code, const char *words)
{
  g_assert_error (error, VMSNAP_ERROR, code);
  if (strstr (error->message, words) == NULL)
    g_error ("'%s' doesn't say '%s'", error->message, words);
}

/* Calls once an agent that plays @script with @data, and returns why it failed. */
static GError *
failed_call (PeerScript script, gpointer data, gint64 timeout)
{
  g_autoptr (Peer) peer = peer_new (script, data);
  g_autoptr (QmpAgent) agent = agent_for (peer);
  g_autoptr (JsonNode) node = NULL;
  GError *error = NULL;

  node = qmp_agent_call (agent, "x", timeout, NULL, &error);
  g_assert_null (node);
  return error;
}

static void
plain (Peer *peer, gpointer data)
{
  /* As the real one answers the byte that no JSON has. */
  gint64 id = read_sync (peer);

  peer_send (peer, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, stray\"}}\n");
  answer_sync (peer, id);
  for (int i = 1; i <= 3; i++)
    {
      g_autofree char *text = g_strdup_printf ("{\"return\": %d}\n", i);

      expect (peer, "count");
      peer_send (peer, text);
    }
  peer_expect_end (peer);
}

static void
test_call (void)
{
  g_autoptr (Peer) peer = peer_new (plain, NULL);
  g_autoptr (QmpAgent) agent = agent_for (peer);

  g_assert_false (qmp_agent_is_synced (agent));
  for (int i = 1; i <= 3; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) node = qmp_agent_call (agent, "count", PATIENCE, NULL, &error);

      g_assert_no_error (error);
      assert_number (node, i);
      g_assert_true (qmp_agent_is_synced (agent));
    }
}

/* What others asked for, and half a line of it. */
static void
with_leftovers (Peer *peer, gpointer data)
{
  gint64 id = read_sync (peer);
  g_autofree char *text = NULL;

  text = g_strdup_printf ("turn\": 1}\n{\"return\": %" G_GINT64_FORMAT "}\n" SENTINEL "{\"return\": %" G_GINT64_FORMAT
                          "}\n{\"return\": 77}\n" SENTINEL "{\"ret" SENTINEL "not JSON\n" SENTINEL SENTINEL
                          "{\"return\": %" G_GINT64_FORMAT "}\r\n",
                          id, id + 1, id);
  peer_send_split (peer, text, GPOINTER_TO_SIZE (data));
  expect (peer, "x");
  peer_send (peer, "{\"return\": 5}\n");
  peer_expect_end (peer);
}

static void
test_leftovers (void)
{
  for (gsize cut = 0; cut < 130; cut++)
    {
      g_autoptr (Peer) peer = peer_new (with_leftovers, GSIZE_TO_POINTER (cut));
      g_autoptr (QmpAgent) agent = agent_for (peer);
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) node = qmp_agent_call (agent, "x", PATIENCE, NULL, &error);

      g_assert_no_error (error);
      assert_number (node, 5);
    }
}

static void
refusing (Peer *peer, gpointer data)
{
  answer_sync (peer, read_sync (peer));
  expect (peer, "x");
  peer_send (peer, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no\\u001b[2J \\nway \xc3\xa4\"}}\n");
  expect (peer, "y");
  peer_send (peer, "{\"return\": 1}\n");
  peer_expect_end (peer);
}

static void
test_refused (void)
{
  g_autoptr (Peer) peer = peer_new (refusing, NULL);
  g_autoptr (QmpAgent) agent = agent_for (peer);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = qmp_agent_call (agent, "x", PATIENCE, NULL, &error);

  g_assert_null (node);
  assert_words (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "the guest refused 'x': no [2J  way \xc3\xa4");
  g_assert_true (qmp_agent_is_synced (agent));
  node = qmp_agent_call (agent, "y", PATIENCE, NULL, NULL);
  assert_number (node, 1);
}

static void
silent (Peer *peer, gpointer data)
{
  g_assert_cmpint (read_sync (peer), >, 0);
  /* It isn't told what it can't be trusted to do now. */
  peer_expect_end (peer);
}

static void
test_silent (void)
{
  g_autoptr (GError) error = failed_call (silent, NULL, SHORT);

  assert_words (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "within 0.05 s");
}

static void
cancel_soon (Peer *peer, gpointer data)
{
  g_assert_cmpint (read_sync (peer), >, 0);
  g_cancellable_cancel (data);
  peer_expect_end (peer);
}

static void
test_cancel (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Peer) peer = peer_new (cancel_soon, cancellable);
  g_autoptr (QmpAgent) agent = agent_for (peer);
  g_autoptr (GError) error = NULL;

  g_assert_false (qmp_agent_sync (agent, PATIENCE, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
}

/* Answers the first command when the second is asked for. */
static void
late (Peer *peer, gpointer data)
{
  gint64 first;

  answer_sync (peer, read_sync (peer));
  expect (peer, "freeze");
  first = read_sync (peer);
  expect (peer, "thaw");
  peer_send (peer, "{\"return\": 1}\n");
  answer_sync (peer, first);
  peer_send (peer, "{\"return\": 2}\n");
  peer_expect_end (peer);
}

static void
test_late (void)
{
  g_autoptr (Peer) peer = peer_new (late, NULL);
  g_autoptr (QmpAgent) agent = agent_for (peer);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = NULL;

  g_assert_true (qmp_agent_sync (agent, PATIENCE, NULL, NULL));
  node = qmp_agent_call (agent, "freeze", SHORT, NULL, &error);
  g_assert_null (node);
  assert_words (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "'freeze' within");
  g_assert_false (qmp_agent_is_synced (agent));

  node = qmp_agent_call_at_once (agent, "thaw", PATIENCE, NULL, NULL);
  assert_number (node, 2);
}

/* An agent that was stopped hears all of it when it goes on. */
static void
hears_it_all (Peer *peer, gpointer data)
{
  for (int i = 0; i < 2; i++)
    {
      g_assert_cmpint (read_sync (peer), >, 0);
      expect (peer, "thaw");
    }
  peer_expect_end (peer);
}

static void
test_at_once (void)
{
  g_autoptr (Peer) peer = peer_new (hears_it_all, NULL);
  g_autoptr (QmpAgent) agent = agent_for (peer);

  for (int i = 0; i < 2; i++)
    {
      g_autoptr (JsonNode) node = qmp_agent_call_at_once (agent, "thaw", SHORT, NULL, NULL);

      g_assert_null (node);
    }
}

static void
says (Peer *peer, gpointer data)
{
  answer_sync (peer, read_sync (peer));
  expect (peer, "x");
  peer_send (peer, data);
  peer_expect_end (peer);
}

static void
test_nonsense (void)
{
  static const struct
  {
    const char *text;
    const char *words;
  } cases[] = {
    { "{\"return\": 1, \"error\": {\"desc\": \"both\"}}\n", "what is no answer" },
    { "{\"event\": \"STOP\"}\n", "what is no answer" },
    { "{}\n", "what is no answer" },
    { "[1]\n", "is not one JSON object" },
    { "{\"return\": \"\\ud800\"}\n", "half of a surrogate pair" },
    { "{\"return\": \xc3\x28}\n", "not UTF-8" },
    { "{\"return\": 1\n", "in the middle" },
    { "\x1b[31m\n", "\\x1b[31m" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = failed_call (says, (gpointer)cases[i].text, PATIENCE);

      assert_words (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, cases[i].words);
    }
}

static char *
repeat (const char *begin, const char *part, gsize times, const char *end)
{
  GString *text = g_string_new (begin);

  while (times-- > 0)
    g_string_append (text, part);
  g_string_append (text, end);
  return g_string_free (text, FALSE);
}

static void
test_bounds (void)
{
  const struct
  {
    char *text;
    const char *words;
  } cases[] = {
    { repeat ("{\"return\": \"", "a", QMP_AGENT_MAX_LINE, "\"}\n"), "too long" },
    { repeat ("{\"return\": ", "[", 30, "1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}\n"), "nested too deep" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = failed_call (says, cases[i].text, PATIENCE);

      assert_words (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, cases[i].words);
      g_free (cases[i].text);
    }
}

/* What comes before the answer to the sync is dropped, but not for ever. */
static void
shout (Peer *peer, gpointer data)
{
  g_assert_cmpint (read_sync (peer), >, 0);
  peer_send (peer, data);
  peer_expect_end (peer);
}

static void
test_noise (void)
{
  const char *parts[]
    = { "a", "{\"return\": 1}\n", SENTINEL "{\"return\": -1}\n", SENTINEL "{\"return\": [", SENTINEL };

  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
    {
      g_autofree char *text = repeat ("", parts[i], QMP_AGENT_MAX_INPUT / strlen (parts[i]) + 1, "");
      g_autoptr (GError) error = failed_call (shout, text, PATIENCE);

      assert_words (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "noise without an end");
    }
}

static void
dies (Peer *peer, gpointer data)
{
  const char *last_words = data;

  if (last_words == NULL)
    return;
  answer_sync (peer, read_sync (peer));
  expect (peer, "x");
  peer_send (peer, last_words);
}

static void
test_closed (void)
{
  const char *last_words[] = { NULL, "", "{\"return\"" };

  for (gsize i = 0; i < G_N_ELEMENTS (last_words); i++)
    {
      g_autoptr (GError) error = failed_call (dies, (gpointer)last_words[i], PATIENCE);

      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
    }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/agent/answers-come-in-order", test_call);
  g_test_add_func ("/agent/answers-to-earlier-askers-are-dropped", test_leftovers);
  g_test_add_func ("/agent/refusal-carries-its-words-tamed", test_refused);
  g_test_add_func ("/agent/silent-one-is-told-no-command", test_silent);
  g_test_add_func ("/agent/cancel-ends-the-wait", test_cancel);
  g_test_add_func ("/agent/late-answer-is-not-taken-for-the-next-one", test_late);
  g_test_add_func ("/agent/what-must-be-done-is-sent-to-a-silent-one", test_at_once);
  g_test_add_func ("/agent/nonsense-is-an-error", test_nonsense);
  g_test_add_func ("/agent/answers-are-bounded", test_bounds);
  g_test_add_func ("/agent/noise-is-not-listened-to-for-ever", test_noise);
  g_test_add_func ("/agent/closed-channel-is-an-error-at-once", test_closed);
  return g_test_run ();
}
