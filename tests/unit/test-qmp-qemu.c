/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The client against a real QEMU.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "qmp-emulator.h"
#include "vmsnap-error.h"

static void
test_version (Emulator *emulator, gconstpointer data)
{
  g_autoptr (JsonNode) reply = emulator_call (emulator, "query-version", NULL);
  JsonObject *qemu = qmp_json_get_object (qmp_json_node_get_object (reply), "qemu");
  gint64 expected[3] = { 0 };
  guint version[3];

  g_assert_true (qmp_json_get_int (qemu, "major", &expected[0]));
  g_assert_true (qmp_json_get_int (qemu, "minor", &expected[1]));
  g_assert_true (qmp_json_get_int (qemu, "micro", &expected[2]));
  qmp_client_get_version (emulator->client, &version[0], &version[1], &version[2]);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpint (version[i], ==, expected[i]);
}

static void
test_schema (Emulator *emulator, gconstpointer data)
{
  g_autoptr (JsonNode) reply = emulator_call (emulator, "query-qmp-schema", NULL);
  g_autofree char *text = json_to_string (reply, FALSE);

  g_assert_cmpuint (json_array_get_length (qmp_json_node_get_array (reply)), >, 500);
  g_assert_cmpuint (strlen (text), >, 100000);
}

static void
assert_error (Emulator *emulator, const char *command, JsonObject *arguments, VmSnapError code, const char *class_name)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (qmp_client_call (emulator->client, command, arguments, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, command));
  if (class_name != NULL)
    g_assert_true (qmp_error_is_class (error, class_name));
}

static void
test_errors (Emulator *emulator, gconstpointer data)
{
  assert_error (emulator, "fly-away", NULL, VMSNAP_ERROR_NOT_SUPPORTED, "CommandNotFound");
  assert_error (emulator, "device_del", qmp_args_new ("s:id", "none", NULL), VMSNAP_ERROR_HYPERVISOR, "DeviceNotFound");
  assert_error (emulator, "device_del", NULL, VMSNAP_ERROR_HYPERVISOR, NULL);
  assert_error (emulator, "qmp_capabilities", NULL, VMSNAP_ERROR_NOT_SUPPORTED, "CommandNotFound");
  json_node_unref (emulator_call (emulator, "query-status", NULL));
}

/* Descriptors that QEMU gets are the ones that were handed over, each with its own command. */
static void
test_fds (Emulator *emulator, gconstpointer data)
{
  const char *const names[] = { "null", "zero" };

  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *path = g_strconcat ("/dev/", names[i], NULL);
      int fd = open (path, O_RDONLY | O_CLOEXEC);
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) reply
        = qmp_client_call_full (emulator->client, "add-fd",
                                qmp_args_new ("i:fdset-id", (gint64) i + 1, "s:opaque", names[i], NULL), fd,
                                QMP_DEFAULT_TIMEOUT, NULL, &error);
      g_autofree char *link = NULL;
      g_autofree char *target = NULL;
      gint64 theirs = -1;

      close (fd);
      g_assert_no_error (error);
      g_assert_true (qmp_json_get_int (qmp_json_node_get_object (reply), "fd", &theirs));
      link = g_strdup_printf ("/proc/%s/fd/%" G_GINT64_FORMAT, g_subprocess_get_identifier (emulator->process), theirs);
      target = g_file_read_link (link, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (target, ==, path);
    }
  assert_error (emulator, "getfd", qmp_args_new ("s:fdname", "none", NULL), VMSNAP_ERROR_HYPERVISOR, NULL);
}

static void
assert_gone (QmpWatch *watch)
{
  g_autoptr (GError) error = NULL;
  QmpEvent *event;

  while ((event = qmp_watch_pop (watch, QMP_NO_TIMEOUT, NULL, &error)) != NULL)
    qmp_event_unref (event);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
}

static void
test_quit (Emulator *emulator, gconstpointer data)
{
  static const char *const names[] = { "SHUTDOWN", NULL };
  g_autoptr (QmpWatch) watch = qmp_client_watch (emulator->client, names);
  g_autoptr (QmpWatch) all = qmp_client_watch (emulator->client, NULL);
  g_autoptr (JsonNode) reply = emulator_call (emulator, "quit", NULL);
  g_autoptr (QmpEvent) event = qmp_watch_pop (watch, QMP_NO_TIMEOUT, NULL, NULL);

  g_assert_nonnull (event);
  g_assert_cmpstr (qmp_json_get_string (qmp_event_get_data (event), "reason"), ==, "host-qmp-quit");
  g_assert_cmpint (qmp_event_get_time (event), >, 0);
  assert_gone (all);
  g_assert_true (qmp_client_is_closed (emulator->client));
  assert_error (emulator, "query-status", NULL, VMSNAP_ERROR_HYPERVISOR_GONE, NULL);
}

static void
test_kill (Emulator *emulator, gconstpointer data)
{
  g_autoptr (QmpWatch) all = qmp_client_watch (emulator->client, NULL);

  g_subprocess_force_exit (emulator->process);
  assert_gone (all);
}

/* SIGSTOP takes its time to arrive; before, QEMU may answer. */
static void
stop (Emulator *emulator)
{
  g_autofree char *path = g_strdup_printf ("/proc/%s/stat", g_subprocess_get_identifier (emulator->process));
  gint64 deadline = g_get_monotonic_time () + 30 * G_USEC_PER_SEC;
  gboolean stopped = FALSE;

  g_subprocess_send_signal (emulator->process, SIGSTOP);
  while (!stopped && g_get_monotonic_time () < deadline)
    {
      g_autofree char *stat = NULL;

      g_assert_true (g_file_get_contents (path, &stat, NULL, NULL));
      stopped = g_str_has_prefix (strrchr (stat, ')'), ") T");
      g_thread_yield ();
    }
  g_assert_true (stopped);
}

/* A QEMU that hangs costs the deadline, and is usable when it goes on. */
static void
test_hang (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  stop (emulator);
  g_assert_null (qmp_client_call_full (emulator->client, "query-kvm", NULL, -1, G_USEC_PER_SEC / 5, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
  g_subprocess_send_signal (emulator->process, SIGCONT);
  test_version (emulator, data);
}

static void
test_second_client (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (QmpClient) second = NULL;

  g_assert_null (qmp_client_connect (emulator->monitor, QMP_CONNECT_NONE, G_USEC_PER_SEC / 5, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
  g_clear_error (&error);

  qmp_client_close (emulator->client);
  second = qmp_client_connect (emulator->monitor, QMP_CONNECT_NONE, QMP_DEFAULT_TIMEOUT, NULL, &error);
  g_assert_no_error (error);
}

static void
on_process_exit (GObject *source, GAsyncResult *result, gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  g_subprocess_wait_finish (G_SUBPROCESS (source), result, NULL);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  GError **error = data;

  g_assert_null (qmp_client_connect_finish (result, error));
}

/* An emulator that exits at once: whoever waits for its monitor learns so through the cancellable. */
static void
test_early_death (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) process = g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, NULL, "false", NULL);

  g_subprocess_wait_async (process, NULL, on_process_exit, cancellable);
  qmp_client_connect_async ("/nonexistent/monitor", QMP_CONNECT_WAIT_FOR_SOCKET, QMP_NO_TIMEOUT, cancellable,
                            on_connected, &error);
  while (error == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
}

#define ADD(path, func) g_test_add (path, Emulator, NULL, emulator_set_up, func, emulator_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/qmp/qemu/version-is-the-greeting's", test_version);
  ADD ("/qmp/qemu/whole-schema-comes", test_schema);
  ADD ("/qmp/qemu/errors-have-their-codes", test_errors);
  ADD ("/qmp/qemu/descriptors-arrive", test_fds);
  ADD ("/qmp/qemu/quit-is-seen-to-its-end", test_quit);
  ADD ("/qmp/qemu/killed-is-gone", test_kill);
  ADD ("/qmp/qemu/hanging-costs-a-deadline", test_hang);
  ADD ("/qmp/qemu/second-client-waits-for-the-first", test_second_client);
  g_test_add_func ("/qmp/qemu/early-death-ends-the-attempt", test_early_death);
  return g_test_run ();
}
