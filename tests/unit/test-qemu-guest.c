/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Guests: real QEMUs, without disks, begun, found again, and ended in all sorts of ways; and programs in QEMU's place
 * that end, babble or keep silent.
 */
#include "vs-guest.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QEMU "qemu-system-x86_64"
#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define PATIENCE (30 * G_USEC_PER_SEC)

static const char long_name[] = "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-"
                                "long-long-long-long-long-long-long-";

typedef struct
{
  char *dir;
  char *runtime;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("vmsnap-guest-XXXXXX", NULL);
  /* Longer than a socket's address, if one asks for that. */
  f->runtime = g_build_filename (f->dir, data == long_name ? long_name : "run", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "rm", "-rf", f->dir, NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autofree char *directory = vs_guest_directory (f->runtime, UUID);

  /* Each test has tidied up what it started. */
  g_assert_false (g_file_test (directory, G_FILE_TEST_EXISTS));
  g_assert_true (vs_process_run (argv, 100, PATIENCE, NULL, &output, &errors, NULL));
  g_free (f->dir);
  g_free (f->runtime);
}

/* A QEMU, or what is in its place, with the arguments by which it is known. */
static GStrv
arguments (Fixture *f, const char *program, const char *extra)
{
  g_autofree char *directory = vs_guest_directory (f->runtime, UUID);
  g_autofree char *pidfile = g_build_filename (directory, VS_GUEST_PIDFILE, NULL);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  g_strv_builder_add_many (builder, program, "-machine", "none", "-nodefaults", "-no-user-config", "-S", "-display",
                           "none", "-pidfile", pidfile, "-chardev", "socket,id=monitor,fd=3", "-mon",
                           "chardev=monitor,mode=control", "-chardev", "socket,id=later,fd=4,server=on,wait=off", "-mon",
                           "chardev=later,mode=control", NULL);
  if (extra != NULL)
    g_strv_builder_add (builder, extra);
  return g_strv_builder_end (builder);
}

static VsGuest *
try_spawn (Fixture *f, const char *program, const char *extra, GCancellable *cancellable, GError **error)
{
  g_auto (GStrv) argv = arguments (f, program, extra);
  const VsGuestSpec spec = {
    .runtime_directory = f->runtime,
    .log_directory = f->dir,
    .uuid = UUID,
    .name = "web",
    .argv = (const char *const *)argv,
    .timeout = PATIENCE,
  };

  return vs_guest_spawn (&spec, cancellable, error);
}

static VsGuest *
spawn (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  VsGuest *guest = try_spawn (f, QEMU, NULL, NULL, &error);

  g_assert_no_error (error);
  return guest;
}

static VsGuest *
find (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  VsGuest *guest = vs_guest_find (f->runtime, f->dir, UUID, "web", NULL, &error);

  g_assert_no_error (error);
  return guest;
}

static void
finish (VsGuest *guest)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (vs_guest_end (guest, VS_PROCESS_END_KILL, 0, NULL, &error));
  g_assert_no_error (error);
  vs_guest_cleanup (guest);
}

static void
assert_answers (VsGuest *guest)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = qmp_client_call (vs_guest_get_client (guest), "query-status", NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (reply);
}

static char *
script (Fixture *f, const char *name, const char *body)
{
  char *path = g_build_filename (f->dir, name, NULL);
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\n%s\n", body);

  g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  return path;
}

static void
refuse (Fixture *f, const char *program, const char *extra, int code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsGuest) guest = try_spawn (f, program, extra, NULL, &error);

  g_assert_null (guest);
  g_assert_error (error, VMSNAP_ERROR, code);
  if (strstr (error->message, words) == NULL)
    g_error ("'%s' is not in '%s'", words, error->message);
  /* Nothing of it is left, whatever it had become. */
  g_assert_cmpint (waitpid (-1, NULL, WNOHANG), ==, -1);
  g_assert_cmpint (errno, ==, ECHILD);
}

static void
test_spawn (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autofree char *record = g_build_filename (vs_guest_get_directory (guest), VS_GUEST_RECORD, NULL);
  pid_t pid = vs_process_get_pid (vs_guest_get_process (guest));
  struct stat st;

  assert_answers (guest);
  g_assert_cmpint (getsid (pid), ==, pid);
  g_assert_false (vs_guest_has_exited (guest));
  g_assert_cmpstr (vs_guest_get_uuid (guest), ==, UUID);
  g_assert_cmpint (stat (record, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0600);
  g_assert_cmpint (stat (vs_guest_get_directory (guest), &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0700);
  finish (guest);
}

static void
test_long_path (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autoptr (VsGuest) again = NULL;

  g_assert_cmpuint (strlen (vs_guest_get_directory (guest)), >, 107);
  assert_answers (guest);
  g_clear_object (&guest);
  again = find (f);
  assert_answers (again);
  finish (again);
}

static void
on_exited (VsGuest *guest, GMainLoop *loop)
{
  g_main_loop_quit (loop);
}

static gboolean
too_late (gpointer data)
{
  g_error ("nothing happened");
  return G_SOURCE_REMOVE;
}

/* Runs the main loop until the guest has told its end. */
static void
await_exited (VsGuest *guest)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  gulong handler = g_signal_connect (guest, "exited", G_CALLBACK (on_exited), loop);
  guint late = g_timeout_add_seconds (30, too_late, NULL);

  g_main_loop_run (loop);
  g_source_remove (late);
  g_signal_handler_disconnect (guest, handler);
}

static void
test_exited (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autofree char *end = NULL;

  g_assert_cmpint (kill (vs_process_get_pid (vs_guest_get_process (guest)), SIGKILL), ==, 0);
  await_exited (guest);
  g_assert_true (vs_guest_has_exited (guest));
  end = vs_guest_describe_end (guest);
  g_assert_true (g_str_has_prefix (end, "was killed by signal 9"));
  vs_guest_cleanup (guest);
}

static void
test_quit (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autoptr (JsonNode) reply = qmp_client_call (vs_guest_get_client (guest), "quit", NULL, NULL, NULL);
  g_autofree char *end = NULL;

  await_exited (guest);
  end = vs_guest_describe_end (guest);
  g_assert_cmpstr (end, ==, "exited with status 0");
  vs_guest_cleanup (guest);
}

static void
test_term (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autoptr (GError) error = NULL;
  g_autofree char *end = NULL;

  g_assert_true (vs_guest_end (guest, VS_PROCESS_END_TERM, PATIENCE, NULL, &error));
  g_assert_no_error (error);
  end = vs_guest_describe_end (guest);
  g_assert_true (g_str_has_prefix (end, "exited with status 0"));
  vs_guest_cleanup (guest);
}

static void
test_found_by_record (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  pid_t pid = vs_process_get_pid (vs_guest_get_process (guest));
  g_autoptr (VsGuest) again = NULL;

  g_clear_object (&guest); /* as when the service ends: the monitor is closed */
  again = find (f);
  g_assert_nonnull (again);
  g_assert_cmpint (vs_process_get_pid (vs_guest_get_process (again)), ==, pid);
  assert_answers (again);
  finish (again);
}

static void
test_found_by_command_line (Fixture *f, gconstpointer data)
{
  const char *text = data;
  g_autoptr (VsGuest) guest = spawn (f);
  g_autofree char *record = g_build_filename (vs_guest_get_directory (guest), VS_GUEST_RECORD, NULL);
  pid_t pid = vs_process_get_pid (vs_guest_get_process (guest));
  g_autoptr (VsGuest) again = NULL;

  g_clear_object (&guest);
  g_unlink (record);
  if (!g_str_equal (text, "none"))
    g_assert_true (g_file_set_contents (record, text, -1, NULL));
  if (g_str_equal (text, "broken"))
    g_test_expect_message ("vmsnap", G_LOG_LEVEL_WARNING, "*guest.json can't be read as JSON");
  again = find (f);
  g_test_assert_expected_messages ();
  g_assert_nonnull (again);
  g_assert_cmpint (vs_process_get_pid (vs_guest_get_process (again)), ==, pid);
  /* And is on record from now on. */
  g_assert_true (g_file_test (record, G_FILE_TEST_EXISTS));
  finish (again);
}

static void
test_exited_of_found (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autoptr (VsGuest) again = NULL;

  g_clear_object (&guest);
  again = find (f);
  g_assert_cmpint (kill (vs_process_get_pid (vs_guest_get_process (again)), SIGKILL), ==, 0);
  await_exited (again);
  vs_guest_cleanup (again);
}

static void
test_nothing_to_find (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = NULL;
  g_autofree char *record = NULL;
  g_autofree char *text = NULL;

  g_assert_null (find (f));
  guest = spawn (f);
  record = g_build_filename (vs_guest_get_directory (guest), VS_GUEST_RECORD, NULL);
  g_assert_true (g_file_get_contents (record, &text, NULL, NULL));
  finish (guest);
  g_assert_null (find (f));

  /* A record that outlived its process. */
  g_assert_cmpint (g_mkdir (vs_guest_get_directory (guest), 0700), ==, 0);
  g_assert_true (g_file_set_contents (record, text, -1, NULL));
  g_assert_null (find (f));
  vs_guest_cleanup (guest);
}

static void
test_other_domain_is_not_found (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  const char *other = "00000000-edaf-9455-926a-d65c16db1809";
  g_autofree char *directory = vs_guest_prepare_directory (f->runtime, other, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_guest_find (f->runtime, f->dir, other, "other", NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
  finish (guest);
}

static void
test_second_is_refused (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autoptr (GError) error = NULL;

  g_assert_null (try_spawn (f, QEMU, NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE);
  assert_answers (guest);
  finish (guest);
}

static void
test_leftovers (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) first = spawn (f);
  g_autoptr (VsGuest) second = NULL;

  g_assert_true (vs_guest_end (first, VS_PROCESS_END_KILL, 0, NULL, NULL));
  second = spawn (f); /* over the sockets and files of the first */
  assert_answers (second);
  finish (second);
}

static void
test_cleanup_spares_others (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autofree char *other = g_build_filename (vs_guest_get_directory (guest), "domain.xml", NULL);

  g_assert_true (g_file_set_contents (other, "<domain/>", -1, NULL));
  finish (guest);
  g_assert_true (g_file_test (other, G_FILE_TEST_EXISTS));
  g_unlink (other);
  vs_guest_cleanup (guest);
}

static void
test_absent (Fixture *f, gconstpointer data)
{
  g_autofree char *directory = vs_guest_directory (f->runtime, UUID);
  g_autoptr (GError) error = NULL;

  g_assert_null (try_spawn (f, "/nonexistent/qemu", NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
}

static void
test_early_death (Fixture *f, gconstpointer data)
{
  g_autofree char *mute = script (f, "mute", "exit 3");

  refuse (f, QEMU, "-nonsense", VMSNAP_ERROR_HYPERVISOR, "-nonsense: invalid option");
  refuse (f, mute, NULL, VMSNAP_ERROR_HYPERVISOR, "started for domain web, exited with status 3 and said nothing");
}

static void
test_garbage (Fixture *f, gconstpointer data)
{
  /* It writes what isn't QMP. */
  g_autofree char *babbler
    = script (f, "babbler",
              "exec /usr/bin/python3 -c 'import socket, time\n"
              "s = socket.socket(fileno=3); s.send(b\"garbage\\n\"); time.sleep(1000)'");

  refuse (f, babbler, NULL, VMSNAP_ERROR_HYPERVISOR, "can't be used");
}

static void
test_silent (Fixture *f, gconstpointer data)
{
  g_autofree char *program = script (f, "silent", "echo thinking; exec sleep 1000");
  const char *const argv[] = { program, NULL };
  const VsGuestSpec spec = { f->runtime, f->dir, UUID, "web", argv, NULL, NULL, 0, G_USEC_PER_SEC / 5 };
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_guest_spawn (&spec, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
  g_assert_nonnull (strstr (error->message, "thinking"));
}

static void
test_wrapper (Fixture *f, gconstpointer data)
{
  g_autofree char *good = script (f, "good", "exec " QEMU " \"$@\"");
  g_autofree char *bad = script (f, "bad", QEMU " \"$@\"; exit 0");
  g_autoptr (GError) error = NULL;
  g_autoptr (VsGuest) guest = try_spawn (f, good, NULL, NULL, &error);

  g_assert_no_error (error);
  finish (guest);
  refuse (f, bad, NULL, VMSNAP_ERROR_HYPERVISOR, "exec");
  /* The QEMU that wasn't our child is gone as well. */
  g_assert_null (find (f));
}

static gpointer
cancel (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autofree char *program = script (f, "silent", "exec sleep 1000");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("cancel", cancel, cancellable);

  g_assert_null (try_spawn (f, program, NULL, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  g_thread_join (thread);
}

static void
test_log (Fixture *f, gconstpointer data)
{
  g_autoptr (VsGuest) guest = spawn (f);
  g_autofree char *path = g_build_filename (f->dir, UUID ".log", NULL);
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, ": starting '" QEMU "' '-machine' 'none'"));
  finish (guest);
}

static void
test_descriptor (Fixture *f, gconstpointer data)
{
  g_autofree char *program = script (f, "reads", "cat <&5; exit 1");
  g_auto (GStrv) argv = arguments (f, program, NULL);
  int pipes[2];
  VsProcessFd fd = { -1, VS_GUEST_FIRST_FREE_FD };
  const VsGuestSpec spec = { f->runtime, f->dir, UUID, "web", (const char *const *)argv, NULL, &fd, 1, PATIENCE };
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (pipe2 (pipes, O_CLOEXEC), ==, 0);
  g_assert_cmpint (write (pipes[1], "through", 7), ==, 7);
  close (pipes[1]);
  fd.source = pipes[0];
  g_assert_null (vs_guest_spawn (&spec, NULL, &error));
  close (pipes[0]);
  g_assert_nonnull (strstr (error->message, "exited with status 1: through"));
}

#define ADD_WITH(path, data, func) g_test_add ("/guest/" path, Fixture, data, set_up, func, tear_down)
#define ADD(path, func) ADD_WITH (path, NULL, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("spawned-recorded-and-connected", test_spawn);
  ADD_WITH ("runtime-directory-of-any-length", long_name, test_long_path);
  ADD ("death-is-told", test_exited);
  ADD ("tidy-end-is-told", test_quit);
  ADD ("term-is-a-tidy-end", test_term);
  ADD ("found-by-its-record", test_found_by_record);
  ADD_WITH ("found-by-its-command-line-without-record", "none", test_found_by_command_line);
  ADD_WITH ("found-by-its-command-line-with-broken-record", "broken", test_found_by_command_line);
  ADD_WITH ("found-by-its-command-line-with-old-record", "{\"pid\": 1, \"start-time\": 3}", test_found_by_command_line);
  ADD ("death-of-found-one-is-told", test_exited_of_found);
  ADD ("nothing-to-find-is-no-error", test_nothing_to_find);
  ADD ("another-domains-guest-is-not-found", test_other_domain_is_not_found);
  ADD ("second-one-is-refused", test_second_is_refused);
  ADD ("leftovers-are-no-hindrance", test_leftovers);
  ADD ("cleanup-spares-what-is-not-its-own", test_cleanup_spares_others);
  ADD ("absent-emulator-is-not-found", test_absent);
  ADD ("early-death-comes-with-last-words", test_early_death);
  ADD ("garbage-is-an-error", test_garbage);
  ADD ("silent-one-is-ended-in-time", test_silent);
  ADD ("wrapper-has-to-exec", test_wrapper);
  ADD ("cancel-ends-it", test_cancel);
  ADD ("log-tells-the-command-line", test_log);
  ADD ("descriptors-cross", test_descriptor);
  return g_test_run ();
}
