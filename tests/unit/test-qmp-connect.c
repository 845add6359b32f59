/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a connection begins: sockets that aren't there, not yet there, deaf or somebody else's.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qmp-peer.h"
#include "vmsnap-error.h"

typedef struct
{
  char *dir;
  char *path;
  char *hidden; /* where the socket is before it is moved to path */
  int listener;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  f->dir = g_dir_make_tmp ("vmsnap-qmp-XXXXXX", NULL);
  f->path = g_build_filename (f->dir, "monitor", NULL);
  f->hidden = g_build_filename (f->dir, "hidden", NULL);
  g_strlcpy (address.sun_path, f->hidden, sizeof address.sun_path);
  f->listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (f->listener, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (f->listener, 1), ==, 0);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  if (f->listener >= 0)
    close (f->listener);
  g_unlink (f->path);
  g_unlink (f->hidden);
  g_assert_cmpint (g_rmdir (f->dir), ==, 0);
  g_free (f->path);
  g_free (f->hidden);
  g_free (f->dir);
}

static void
appear (Fixture *f)
{
  g_assert_cmpint (g_rename (f->hidden, f->path), ==, 0);
}

static void
serve (Peer *peer, gpointer data)
{
  peer_greet (peer);
  peer_expect_end (peer);
}

/* Takes the next connection, when it comes, and serves it. */
static void
accept_and_serve (Peer *peer, gpointer data)
{
  Fixture *f = data;

  peer->fd = accept4 (f->listener, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (peer->fd, >=, 0);
  serve (peer, NULL);
}

static void
appear_and_serve (Peer *peer, gpointer data)
{
  appear (data);
  accept_and_serve (peer, data);
}

static void
assert_fails (const char *path, QmpConnectFlags flags, gint64 timeout, GCancellable *cancellable, VmSnapError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (qmp_client_connect (path, flags, timeout, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, path));
}

static void
test_connect (Fixture *f, gconstpointer data)
{
  g_autoptr (Peer) peer = peer_new_for_fd (-1, appear_and_serve, f);
  g_autoptr (GError) error = NULL;
  g_autoptr (QmpClient) client = qmp_client_connect (f->path, QMP_CONNECT_WAIT_FOR_SOCKET, PATIENCE, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (strstr (qmp_client_get_name (client), f->path));
}

static void
test_no_socket (Fixture *f, gconstpointer data)
{
  assert_fails (f->path, QMP_CONNECT_NONE, PATIENCE, NULL, VMSNAP_ERROR_HYPERVISOR_GONE);
}

static void
test_no_socket_in_time (Fixture *f, gconstpointer data)
{
  assert_fails (f->path, QMP_CONNECT_WAIT_FOR_SOCKET, G_USEC_PER_SEC / 10, NULL, VMSNAP_ERROR_TIMEOUT);
}

/* As a socket's file looks when its QEMU is dead. */
static void
test_dead_socket (Fixture *f, gconstpointer data)
{
  appear (f);
  close (f->listener);
  f->listener = -1;
  assert_fails (f->path, QMP_CONNECT_NONE, PATIENCE, NULL, VMSNAP_ERROR_HYPERVISOR_GONE);
  assert_fails (f->path, QMP_CONNECT_WAIT_FOR_SOCKET, G_USEC_PER_SEC / 10, NULL, VMSNAP_ERROR_TIMEOUT);
}

/* QEMU serves one connection at a time: the others wait in the listener's queue, and when it is full before it. */
static void
test_deaf (Fixture *f, gconstpointer data)
{
  appear (f);
  for (guint i = 0; i < 5; i++)
    assert_fails (f->path, QMP_CONNECT_NONE, G_USEC_PER_SEC / 10, NULL, VMSNAP_ERROR_TIMEOUT);
}

static gpointer
cancel_in_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      GThread *thread = g_thread_new ("canceller", cancel_in_thread, cancellable);

      if (i == 1)
        appear (f);
      assert_fails (f->path, QMP_CONNECT_WAIT_FOR_SOCKET, QMP_NO_TIMEOUT, cancellable, VMSNAP_ERROR_CANCELLED);
      g_thread_join (thread);
    }
}

static void
test_long_path (Fixture *f, gconstpointer data)
{
  g_autofree char *name = g_strnfill (200, 'x');
  g_autofree char *path = g_build_filename (f->dir, name, NULL);

  assert_fails (path, QMP_CONNECT_WAIT_FOR_SOCKET, PATIENCE, NULL, VMSNAP_ERROR_INVALID_ARGUMENT);
}

static void
test_no_path (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->hidden, "monitor", NULL); /* a socket is no folder */

  assert_fails (path, QMP_CONNECT_WAIT_FOR_SOCKET, PATIENCE, NULL, VMSNAP_ERROR_IO);
}

static gboolean
read_command (Peer *peer)
{
  g_autoptr (JsonObject) command = peer_read (peer);

  return command != NULL;
}

/* Says something, if anything, and waits for the client to hang up. */
static void
say (Peer *peer, gpointer data)
{
  const char *text = data;

  if (text == NULL)
    return;
  peer_send (peer, text);
  while (read_command (peer))
    ;
}

static const struct
{
  const char *name;
  const char *text;
} strangers[] = {
  { "hung-up", NULL },
  { "ssh", "SSH-2.0-OpenSSH_9.2p1\r\n" },
  { "greeting-without-version", "{\"QMP\": {\"capabilities\": []}}\n" },
  { "greeting-with-strange-version", "{\"QMP\": {\"version\": {\"qemu\": [7, 2, 0]}}}\n" },
  { "two-greetings", PEER_GREETING PEER_GREETING },
};

static void
test_stranger (gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  g_autoptr (Peer) peer = peer_new (say, (gpointer) strangers[i].text);
  g_autoptr (GError) error = NULL;

  g_assert_null (peer_connect (peer, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  g_assert_nonnull (strstr (error->message, "the peer"));
}

#define LATE_ERROR "{\"error\": {\"class\": \"GenericError\", \"desc\": \"late\"}, \"id\": 31}\n"
#define LATE "{\"return\": {}, \"id\": 30}\n" LATE_ERROR

static void
answer_the_last_client_first (Peer *peer, gpointer data)
{
  peer_send (peer, LATE "{\"return\": {}, \"id\": 1}\n{\"event\": \"STOP\"}\n" PEER_GREETING LATE);
  peer_expect (peer, "qmp_capabilities");
  peer_send (peer, LATE "{\"return\": {}, \"id\": 1}\n");
  peer_expect_end (peer);
}

static void
test_late_answers (void)
{
  g_autoptr (Peer) peer = peer_new (answer_the_last_client_first, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (QmpClient) client = peer_connect (peer, &error);

  g_assert_no_error (error);
  g_assert_nonnull (client);
  g_assert_false (qmp_client_is_closed (client));
  qmp_client_close (client);
}

static void
refuse_capabilities (Peer *peer, gpointer data)
{
  peer_send (peer, PEER_GREETING);
  peer_expect (peer, "qmp_capabilities");
  peer_send (peer, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not today\"}, \"id\": 1}\n");
  peer_expect_end (peer);
}

static void
test_refused_capabilities (void)
{
  g_autoptr (Peer) peer = peer_new (refuse_capabilities, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (peer_connect (peer, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_nonnull (strstr (error->message, "not today"));
}

typedef struct
{
  QmpClient *client;
  GError *error;
  gboolean done;
} Outcome;

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  Outcome *outcome = data;

  outcome->client = qmp_client_connect_finish (result, &outcome->error);
  outcome->done = TRUE;
}

static Outcome
connect_async (Fixture *f, QmpConnectFlags flags, gint64 timeout, GCancellable *cancellable)
{
  Outcome outcome = { NULL };

  qmp_client_connect_async (f->path, flags, timeout, cancellable, on_connected, &outcome);
  g_assert_false (outcome.done);
  while (!outcome.done)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true ((outcome.client != NULL) != (outcome.error != NULL));
  return outcome;
}

static void
test_async (Fixture *f, gconstpointer data)
{
  g_autoptr (Peer) peer = peer_new_for_fd (-1, appear_and_serve, f);
  Outcome outcome = connect_async (f, QMP_CONNECT_WAIT_FOR_SOCKET, PATIENCE, NULL);

  g_assert_no_error (outcome.error);
  g_object_unref (outcome.client);
}

static void
test_async_failures (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Outcome gone = connect_async (f, QMP_CONNECT_NONE, PATIENCE, NULL);
  Outcome late = connect_async (f, QMP_CONNECT_WAIT_FOR_SOCKET, G_USEC_PER_SEC / 10, NULL);
  Outcome cancelled;

  g_cancellable_cancel (cancellable);
  cancelled = connect_async (f, QMP_CONNECT_WAIT_FOR_SOCKET, QMP_NO_TIMEOUT, cancellable);
  g_assert_error (gone.error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  g_assert_error (late.error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
  g_assert_error (cancelled.error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  g_clear_error (&gone.error);
  g_clear_error (&late.error);
  g_clear_error (&cancelled.error);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/qmp/connect/waits-for-the-socket", test_connect);
  ADD ("/qmp/connect/no-socket-is-an-error-at-once", test_no_socket);
  ADD ("/qmp/connect/no-socket-in-time-is-a-timeout", test_no_socket_in_time);
  ADD ("/qmp/connect/dead-socket-is-an-error-at-once", test_dead_socket);
  ADD ("/qmp/connect/deaf-monitor-is-a-timeout", test_deaf);
  ADD ("/qmp/connect/cancel-ends-the-attempt", test_cancel);
  ADD ("/qmp/connect/too-long-a-path-is-an-error", test_long_path);
  ADD ("/qmp/connect/no-path-is-an-error-at-once", test_no_path);
  for (guint i = 0; i < G_N_ELEMENTS (strangers); i++)
    {
      g_autofree char *path = g_strconcat ("/qmp/connect/stranger-is-refused/", strangers[i].name, NULL);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_stranger);
    }
  g_test_add_func ("/qmp/connect/refused-capabilities-are-an-error", test_refused_capabilities);
  g_test_add_func ("/qmp/connect/what-was-meant-for-the-last-client-is-dropped", test_late_answers);
  ADD ("/qmp/connect/async-waits-for-the-socket", test_async);
  ADD ("/qmp/connect/async-fails-for-each-reason", test_async_failures);
  return g_test_run ();
}
