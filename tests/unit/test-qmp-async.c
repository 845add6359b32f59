/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The client as the main thread sees it: signals and calls that complete in a main context; and the watches, in which
 * other threads see the same events.
 */
#include <string.h>

#include "qmp-peer.h"
#include "vmsnap-error.h"

/* What came through a client's signals and calls, in its order, as words. */
typedef struct
{
  GMainContext *context;
  GString *log;
  guint events;
  guint closed;
  guint lost;
  guint done;
  GError *error;
} Seen;

static void
on_event (QmpClient *client, const char *name, JsonObject *data, gint64 time, gpointer user_data)
{
  Seen *seen = user_data;

  g_assert_true (g_main_context_is_owner (seen->context));
  g_assert_nonnull (data);
  seen->events++;
  if (seen->log->len < 1000)
    g_string_append_printf (seen->log, "%s ", name);
}

static void
on_events_lost (QmpClient *client, gpointer user_data)
{
  Seen *seen = user_data;

  g_assert_cmpuint (seen->events, ==, 0);
  seen->lost++;
}

static void
on_closed (QmpClient *client, const GError *error, gpointer user_data)
{
  Seen *seen = user_data;

  g_assert_true (g_main_context_is_owner (seen->context));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  g_assert_true (qmp_client_is_closed (client));
  seen->closed++;
  g_string_append (seen->log, "closed ");
}

static void
on_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Seen *seen = user_data;
  g_autoptr (JsonNode) reply = NULL;

  g_assert_true (g_main_context_is_owner (seen->context));
  g_clear_error (&seen->error);
  reply = qmp_client_call_finish (QMP_CLIENT (source), result, &seen->error);
  g_assert_true ((reply != NULL) == (seen->error == NULL));
  seen->done++;
  g_string_append (seen->log, "done ");
}

static Seen *
seen_new (QmpClient *client, GMainContext *context)
{
  Seen *seen = g_new0 (Seen, 1);

  seen->context = context != NULL ? context : g_main_context_default ();
  seen->log = g_string_new (NULL);
  if (client == NULL)
    return seen;
  g_signal_connect (client, "event", G_CALLBACK (on_event), seen);
  g_signal_connect (client, "events-lost", G_CALLBACK (on_events_lost), seen);
  g_signal_connect (client, "closed", G_CALLBACK (on_closed), seen);
  return seen;
}

static void
seen_free (Seen *seen)
{
  g_clear_error (&seen->error);
  g_string_free (seen->log, TRUE);
  g_free (seen);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Seen, seen_free)

static gboolean
on_impatience (gpointer data)
{
  g_error ("what was awaited didn't come");
  return G_SOURCE_REMOVE;
}

/* Runs the context until @counter has reached @n. */
static void
run_until (Seen *seen, const guint *counter, guint n)
{
  g_autoptr (GSource) alarm = g_timeout_source_new (PATIENCE / 1000);

  g_source_set_callback (alarm, on_impatience, NULL, NULL);
  g_source_attach (alarm, seen->context);
  while (*counter < n)
    g_main_context_iteration (seen->context, TRUE);
  g_source_destroy (alarm);
}

static void
call_async (QmpClient *client, const char *command, gint64 timeout, GCancellable *cancellable, Seen *seen)
{
  qmp_client_call_async (client, command, NULL, -1, timeout, cancellable, on_done, seen);
}

static QmpClient *
connect_or_abort (Peer *peer)
{
  g_autoptr (GError) error = NULL;
  QmpClient *client = peer_connect (peer, &error);

  g_assert_no_error (error);
  return client;
}

/* Three events, the answer, one more event, for each of two commands, or as many as @data says; then the end. */
static void
events_and_answers (Peer *peer, gpointer data)
{
  guint rounds = data != NULL ? GPOINTER_TO_UINT (data) : 2;

  peer_greet (peer);
  for (guint i = 0; i < rounds; i++)
    {
      gint64 id = peer_expect (peer, "go");

      peer_send (peer, "{\"event\": \"A\"}\n{\"event\": \"B\", \"data\": {}}\n{\"event\": \"C\"}\n");
      peer_reply (peer, id, "{}");
      peer_send (peer, "{\"event\": \"D\"}\n");
    }
}

static void
test_order (void)
{
  g_autoptr (Peer) peer = peer_new (events_and_answers, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);

  call_async (client, "go", PATIENCE, NULL, seen);
  run_until (seen, &seen->done, 1);
  g_assert_cmpuint (seen->events, >=, 3);
  call_async (client, "go", PATIENCE, NULL, seen);
  run_until (seen, &seen->done, 2);
  g_assert_cmpuint (seen->events, >=, 7);
  run_until (seen, &seen->closed, 1);
  g_assert_cmpuint (seen->events, ==, 8);
  g_assert_no_error (seen->error);
  g_assert_true (g_str_has_prefix (seen->log->str, "A B C "));
  g_assert_true (g_str_has_suffix (seen->log->str, " closed "));
}

static void
unanswered (Peer *peer, gpointer data)
{
  peer_greet (peer);
  peer_expect (peer, "never");
  if (data != NULL)
    g_cancellable_cancel (data);
  peer_expect_end (peer);
}

static void
test_deadline (void)
{
  g_autoptr (Peer) peer = peer_new (unanswered, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);

  call_async (client, "never", G_USEC_PER_SEC / 10, NULL, seen);
  run_until (seen, &seen->done, 1);
  g_assert_error (seen->error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
  g_assert_false (qmp_client_is_closed (client));
}

static void
test_cancel (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (Peer) peer = peer_new (unanswered, cancellable);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);

  call_async (client, "never", QMP_NO_TIMEOUT, cancellable, seen);
  run_until (seen, &seen->done, 1);
  g_assert_error (seen->error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  /* a second call with the same cancellable ends at once, and isn't sent */
  call_async (client, "another", QMP_NO_TIMEOUT, cancellable, seen);
  run_until (seen, &seen->done, 2);
  g_assert_error (seen->error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
}

/* Reads what comes, if anything comes. */
static void
unanswering (Peer *peer, gpointer data)
{
  JsonObject *command;

  peer_greet (peer);
  while ((command = peer_read (peer)) != NULL)
    json_object_unref (command);
}

static void
test_close (void)
{
  g_autoptr (Peer) peer = peer_new (unanswering, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);

  call_async (client, "never", QMP_NO_TIMEOUT, NULL, seen);
  qmp_client_close (client);
  g_assert_cmpuint (seen->done + seen->closed, ==, 0); /* no callback from inside of a call */
  run_until (seen, &seen->done, 1);
  g_assert_error (seen->error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  run_until (seen, &seen->closed, 1);
  call_async (client, "more", QMP_NO_TIMEOUT, NULL, seen);
  run_until (seen, &seen->done, 2);
  g_assert_error (seen->error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  g_assert_cmpuint (seen->closed, ==, 1);
}

static void
die (Peer *peer, gpointer data)
{
  peer_greet (peer);
  peer_expect (peer, "never");
}

static void
test_death (void)
{
  g_autoptr (Peer) peer = peer_new (die, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);

  call_async (client, "never", QMP_NO_TIMEOUT, NULL, seen);
  run_until (seen, &seen->done, 1);
  g_assert_error (seen->error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  run_until (seen, &seen->closed, 1);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (seen->closed, ==, 1);
}

static void
early_event (Peer *peer, gpointer data)
{
  peer_greet (peer);
  peer_send (peer, "{\"event\": \"EARLY\"}\n");
  peer_expect_end (peer);
}

/* The peer speaks before there is a handler, but the context hasn't run yet. */
static void
test_event_right_after_connect (void)
{
  g_autoptr (Peer) peer = peer_new (early_event, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);

  run_until (seen, &seen->events, 1);
  g_assert_cmpstr (seen->log->str, ==, "EARLY ");
}

static void
test_event_context (void)
{
  g_autoptr (Peer) peer = peer_new (events_and_answers, NULL);
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, context);

  qmp_client_set_event_context (client, context);
  g_main_context_push_thread_default (context);
  call_async (client, "go", PATIENCE, NULL, seen);
  run_until (seen, &seen->done, 1);
  call_async (client, "go", PATIENCE, NULL, seen);
  run_until (seen, &seen->closed, 1);
  g_assert_cmpuint (seen->events, ==, 8);
  g_main_context_pop_thread_default (context);
}

/* Events that wait in one context when the signals move to another follow them. */
static void
test_moved_events (void)
{
  g_autoptr (Peer) peer = peer_new (events_and_answers, GUINT_TO_POINTER (1));
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, context);
  g_autoptr (JsonNode) reply = qmp_client_call (client, "go", NULL, NULL, NULL);

  g_assert_nonnull (reply);
  qmp_client_set_event_context (client, context);
  run_until (seen, &seen->events, 4);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_true (g_str_has_prefix (seen->log->str, "A B C D "));
  qmp_client_close (client);
}

#define FLOOD (QMP_WATCH_MAX_EVENTS + 100)

static void
flood (Peer *peer, gpointer data)
{
  gint64 id;

  peer_greet (peer);
  id = peer_expect (peer, "go");
  for (guint i = 0; i < FLOOD; i++)
    {
      g_autofree char *text = g_strdup_printf ("{\"event\": \"E\", \"data\": {\"n\": %u}}\n", i);

      peer_send (peer, text);
    }
  peer_reply (peer, id, "{}");
  peer_expect_end (peer);
}

static void
test_flood (void)
{
  static const char *const other[] = { "OTHER", NULL };
  g_autoptr (Peer) peer = peer_new (flood, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);
  g_autoptr (QmpWatch) watch = qmp_client_watch (client, NULL);
  g_autoptr (QmpWatch) quiet = qmp_client_watch (client, other);
  g_autoptr (JsonNode) reply = qmp_client_call (client, "go", NULL, NULL, NULL);

  g_assert_nonnull (reply);
  for (gint64 n = FLOOD - QMP_WATCH_MAX_EVENTS; n < FLOOD; n++)
    {
      g_autoptr (QmpEvent) event = qmp_watch_pop (watch, 0, NULL, NULL);
      gint64 value;

      g_assert_nonnull (event);
      g_assert_true (qmp_json_get_int (qmp_event_get_data (event), "n", &value));
      g_assert_cmpint (value, ==, n);
    }
  g_assert_null (qmp_watch_pop (watch, 0, NULL, NULL));
  g_assert_true (qmp_watch_take_overflow (watch));
  g_assert_false (qmp_watch_take_overflow (watch));
  g_assert_false (qmp_watch_take_overflow (quiet));

  run_until (seen, &seen->events, QMP_WATCH_MAX_EVENTS);
  g_assert_cmpuint (seen->lost, ==, 1);
}

static void
test_watch (void)
{
  static const char *const names[] = { "B", "D", NULL };
  g_autoptr (Peer) peer = peer_new (events_and_answers, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (QmpWatch) watch = qmp_client_watch (client, names);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (JsonNode) reply = qmp_client_call (client, "go", NULL, NULL, NULL);
      g_autoptr (QmpEvent) b = qmp_watch_pop (watch, 0, NULL, NULL); /* it came before the answer */
      g_autoptr (QmpEvent) d = qmp_watch_pop (watch, QMP_NO_TIMEOUT, NULL, NULL);

      g_assert_nonnull (reply);
      g_assert_cmpstr (qmp_event_get_name (b), ==, "B");
      g_assert_cmpstr (qmp_event_get_name (d), ==, "D");
      g_assert_cmpuint (json_object_get_size (qmp_event_get_data (d)), ==, 0);
      g_assert_cmpint (qmp_event_get_time (d), ==, 0);
    }
  g_assert_null (qmp_watch_pop (watch, QMP_NO_TIMEOUT, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
}

static void
event_and_death (Peer *peer, gpointer data)
{
  peer_greet (peer);
  peer_expect (peer, "quit");
  peer_send (peer, "{\"event\": \"SHUTDOWN\", \"timestamp\": {\"seconds\": 5, \"microseconds\": 6}}\n");
}

static void
test_last_event (void)
{
  g_autoptr (Peer) peer = peer_new (event_and_death, NULL);
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (QmpWatch) watch = qmp_client_watch (client, NULL);
  g_autoptr (JsonNode) reply = qmp_client_call (client, "quit", NULL, NULL, NULL);
  g_autoptr (QmpEvent) event = qmp_watch_pop (watch, 0, NULL, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (reply);
  g_assert_cmpstr (qmp_event_get_name (event), ==, "SHUTDOWN");
  g_assert_cmpint (qmp_event_get_time (event), ==, 5000006);
  g_assert_null (qmp_watch_pop (watch, QMP_NO_TIMEOUT, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
}

static gpointer
cancel_in_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_watch_deadline_and_cancel (void)
{
  g_autoptr (Peer) peer = peer_new (events_and_answers, GUINT_TO_POINTER (1));
  g_autoptr (QmpClient) client = connect_or_abort (peer);
  g_autoptr (QmpWatch) watch = qmp_client_watch (client, NULL);
  g_autoptr (JsonNode) reply = NULL;

  for (guint i = 0; i < 100; i++)
    {
      g_autoptr (GError) timeout = NULL;
      g_autoptr (GError) cancelled = NULL;
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      GThread *thread;

      g_assert_null (qmp_watch_pop (watch, g_get_monotonic_time () + 100, NULL, &timeout));
      g_assert_error (timeout, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
      thread = g_thread_new ("canceller", cancel_in_thread, cancellable);
      g_assert_null (qmp_watch_pop (watch, QMP_NO_TIMEOUT, cancellable, &cancelled));
      g_assert_error (cancelled, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
      g_thread_join (thread);
    }
  reply = qmp_client_call (client, "go", NULL, NULL, NULL);
  g_assert_nonnull (reply);
  qmp_client_close (client);
}

/* One handler drops the last reference, as a daemon's does that forgets the domain. */
static void
drop_client (QmpClient *client, const GError *error, gpointer data)
{
  g_clear_object ((QmpClient **) data);
}

static void
test_drop_in_handler (void)
{
  g_autoptr (Peer) peer = peer_new (die, NULL);
  QmpClient *client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (client, NULL);

  g_signal_connect (client, "closed", G_CALLBACK (drop_client), &client);
  call_async (client, "never", QMP_NO_TIMEOUT, NULL, seen);
  run_until (seen, &seen->closed, 1);
  run_until (seen, &seen->done, 1);
  g_assert_null (client);
}

static void
test_drop_while_calling (void)
{
  g_autoptr (Peer) peer = peer_new (events_and_answers, GUINT_TO_POINTER (1));
  QmpClient *client = connect_or_abort (peer);
  g_autoptr (Seen) seen = seen_new (NULL, NULL);
  QmpClient *alive;
  GWeakRef weak;

  g_weak_ref_init (&weak, client);
  call_async (client, "go", PATIENCE, NULL, seen);
  g_object_unref (client);
  run_until (seen, &seen->done, 1);
  g_assert_no_error (seen->error);
  while ((alive = g_weak_ref_get (&weak)) != NULL) /* the I/O thread may drop it last */
    {
      g_object_unref (alive);
      g_thread_yield ();
    }
  g_weak_ref_clear (&weak);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qmp/async/events-before-an-answer-are-seen-before-it", test_order);
  g_test_add_func ("/qmp/async/deadline-ends-the-call", test_deadline);
  g_test_add_func ("/qmp/async/cancel-ends-the-call", test_cancel);
  g_test_add_func ("/qmp/async/close-ends-the-call-later", test_close);
  g_test_add_func ("/qmp/async/death-ends-the-call-and-closed-comes-once", test_death);
  g_test_add_func ("/qmp/async/event-right-after-connecting-is-seen", test_event_right_after_connect);
  g_test_add_func ("/qmp/async/signals-come-in-the-chosen-context", test_event_context);
  g_test_add_func ("/qmp/async/waiting-events-move-to-the-new-context", test_moved_events);
  g_test_add_func ("/qmp/async/flood-drops-the-oldest-and-says-so", test_flood);
  g_test_add_func ("/qmp/async/client-dropped-in-a-handler", test_drop_in_handler);
  g_test_add_func ("/qmp/async/call-keeps-its-client", test_drop_while_calling);
  g_test_add_func ("/qmp/watch/sees-its-events-in-order", test_watch);
  g_test_add_func ("/qmp/watch/last-event-comes-before-the-end", test_last_event);
  g_test_add_func ("/qmp/watch/deadline-and-cancel-end-the-wait", test_watch_deadline_and_cancel);
  return g_test_run ();
}
