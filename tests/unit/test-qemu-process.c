/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Processes: begun, found again, watched, ended; with shells and sleeps as the guests.
 */
#include "vs-process.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (20 * G_USEC_PER_SEC)

typedef struct
{
  char *dir;
  char *log;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("vmsnap-process-XXXXXX", NULL);
  f->log = g_build_filename (f->dir, "log", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_unlink (f->log);
  g_assert_cmpint (g_rmdir (f->dir), ==, 0);
  g_free (f->dir);
  g_free (f->log);
}

static VsProcess *
spawn (Fixture *f, const char *script)
{
  const char *const argv[] = { "/bin/sh", "-c", script, NULL };
  const VsProcessSpec spec = { .argv = argv, .log_path = f->log };
  g_autoptr (GError) error = NULL;
  VsProcess *process = vs_process_spawn (&spec, &error);

  g_assert_no_error (error);
  return process;
}

static void
wait_for_end (VsProcess *process)
{
  g_autoptr (GError) error = NULL;

  vs_process_wait (process, PATIENCE, NULL, &error);
  g_assert_no_error (error);
}

static void
test_exit_status (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "exit 3");
  g_autofree char *end = NULL;

  wait_for_end (process);
  end = vs_process_describe_end (process);
  g_assert_cmpstr (end, ==, "exited with status 3");
  /* Reaped: nobody of this name is left to wait for. */
  g_assert_cmpint (waitpid (vs_process_get_pid (process), NULL, WNOHANG), ==, -1);
  g_assert_cmpint (errno, ==, ECHILD);
}

static void
test_last_words (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) first = spawn (f, "echo of the first life >&2");
  g_autoptr (VsProcess) process = NULL;
  g_autofree char *words = NULL;

  wait_for_end (first);
  process = spawn (f, "echo out; echo err >&2");
  wait_for_end (process);
  words = vs_process_get_last_words (process);
  g_assert_cmpstr (words, ==, "out; err");
}

static void
test_last_words_are_bounded (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "head -c 100000 /dev/zero | tr '\\0' '\\377'");
  g_autofree char *words = NULL;

  wait_for_end (process);
  words = vs_process_get_last_words (process);
  g_assert_cmpuint (strlen (words), >, 0);
  g_assert_cmpuint (strlen (words), <, 10000);
  g_assert_true (g_utf8_validate (words, -1, NULL));
}

static void
test_log_header (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "true 'a b'");
  g_autofree char *text = NULL;

  wait_for_end (process);
  g_assert_true (g_file_get_contents (f->log, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, "Z: starting '/bin/sh' '-c' "));
}

static void
test_no_privileges_no_terminal (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process
    = spawn (f, "grep NoNewPrivs /proc/self/status; readlink /proc/$$/fd/0; cut -d' ' -f6 /proc/$$/stat");
  g_autofree char *words = NULL;
  g_autofree char *expected = g_strdup_printf ("NoNewPrivs:\t1; /dev/null; %d", (int)vs_process_get_pid (process));

  wait_for_end (process);
  words = vs_process_get_last_words (process);
  g_assert_cmpstr (words, ==, expected);
}

static void
test_descriptors (Fixture *f, gconstpointer data)
{
  /* The shell looks by itself: for a pipeline or a directory it would open descriptors of its own. */
  const char *const argv[] = { "/bin/sh", "-c", "cat <&5; n=0; while [ $n -lt 256 ]; do"
                               " [ ! -e /proc/$$/fd/$n ] || printf '%d ' $n; n=$((n + 1)); done", NULL };
  int pipes[2], stray;
  VsProcessFd fds[1];
  const VsProcessSpec spec = { .argv = argv, .log_path = f->log, .fds = fds, .n_fds = 1 };
  g_autoptr (VsProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *words = NULL;

  g_assert_cmpint (pipe2 (pipes, O_CLOEXEC), ==, 0);
  stray = open ("/dev/zero", O_RDONLY); /* inheritable, on purpose */
  g_assert_cmpint (write (pipes[1], "through\n", 8), ==, 8);
  close (pipes[1]);
  fds[0] = (VsProcessFd){ pipes[0], 5 };

  process = vs_process_spawn (&spec, &error);
  g_assert_no_error (error);
  close (pipes[0]);
  close (stray);
  wait_for_end (process);
  words = vs_process_get_last_words (process);
  g_assert_cmpstr (words, ==, "through; 0 1 2 5");
}

static void
test_environment (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "/bin/sh", "-c", "echo $LC_ALL $VMSNAP_TEST ${NOTIFY_SOCKET:-none}", NULL };
  const char *const environment[] = { "VMSNAP_TEST=a=b", NULL };
  const VsProcessSpec spec = { .argv = argv, .environment = environment, .log_path = f->log };
  g_autoptr (VsProcess) process = NULL;
  g_autofree char *words = NULL;

  g_setenv ("NOTIFY_SOCKET", "/run/nowhere", TRUE);
  process = vs_process_spawn (&spec, NULL);
  g_unsetenv ("NOTIFY_SOCKET");
  wait_for_end (process);
  words = vs_process_get_last_words (process);
  g_assert_cmpstr (words, ==, "C a=b none");
}

static void
test_missing_program (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "/nonexistent/qemu", NULL };
  const VsProcessSpec spec = { .argv = argv, .log_path = f->log };
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_process_spawn (&spec, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nonexistent/qemu"));
}

static void
test_unwritable_log (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "/bin/true", NULL };
  const VsProcessSpec spec = { .argv = argv, .log_path = "/nonexistent/log" };
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_process_spawn (&spec, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO);
  g_assert_nonnull (strstr (error->message, "/nonexistent/log"));
}

static void
test_term_then_kill (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "trap '' TERM; echo ready; while :; do read x < /proc/self/stat; done");
  g_autoptr (GError) error = NULL;
  g_autofree char *end = NULL;
  g_autofree char *words = NULL;

  /* Deaf only once its trap is set, which it says. */
  for (gint64 deadline = g_get_monotonic_time () + PATIENCE; g_strcmp0 (words, "ready") != 0;)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, deadline);
      g_free (words);
      words = vs_process_get_last_words (process);
      g_thread_yield ();
    }
  g_assert_true (vs_process_end (process, VS_PROCESS_END_TERM, G_USEC_PER_SEC / 10, NULL, &error));
  g_assert_no_error (error);
  end = vs_process_describe_end (process);
  g_assert_true (g_str_has_prefix (end, "was killed by signal 9"));
}

static void
test_term_suffices (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "exec sleep 1000");
  g_autoptr (GError) error = NULL;
  g_autofree char *end = NULL;

  g_assert_true (vs_process_end (process, VS_PROCESS_END_TERM, PATIENCE, NULL, &error));
  g_assert_no_error (error);
  end = vs_process_describe_end (process);
  g_assert_true (g_str_has_prefix (end, "was killed by signal 15"));
  /* Again is as good. */
  g_assert_true (vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, NULL));
}

static void
test_wait_times_out (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "exec sleep 1000");
  g_autoptr (GError) error = NULL;

  g_assert_false (vs_process_wait (process, G_USEC_PER_SEC / 100, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
  g_assert_true (vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, NULL));
}

static gpointer
cancel (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_wait_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "exec sleep 1000");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("cancel", cancel, cancellable);

  g_assert_false (vs_process_wait (process, PATIENCE, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  g_assert_false (vs_process_has_ended (process));
  g_thread_join (thread);
  g_assert_true (vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, NULL));
}

static void
test_found_again (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "exec sleep 1000");
  g_autoptr (GError) error = NULL;
  g_autoptr (VsProcess) again
    = vs_process_open (vs_process_get_pid (process), vs_process_get_start_time (process), &error);
  g_autofree char *end = NULL;

  g_assert_no_error (error);
  g_assert_nonnull (again);
  g_assert_true (vs_process_end (again, VS_PROCESS_END_KILL, 0, NULL, &error));
  g_assert_no_error (error);
  end = vs_process_describe_end (process);
  g_assert_true (g_str_has_prefix (end, "was killed by signal 9"));
}

static void
test_another_of_the_same_number (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "exec sleep 1000");
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_process_open (vs_process_get_pid (process), vs_process_get_start_time (process) - 1, &error));
  g_assert_no_error (error);
  g_assert_true (vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, NULL));
}

static void
test_gone (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = spawn (f, "exit 0");
  g_autoptr (GError) error = NULL;

  wait_for_end (process);
  g_assert_null (vs_process_open (vs_process_get_pid (process), vs_process_get_start_time (process), &error));
  g_assert_no_error (error);
  g_assert_null (vs_process_open (0, 0, &error));
  g_assert_no_error (error);
}

static void
test_name_with_parentheses (Fixture *f, gconstpointer data)
{
  g_autofree char *program = g_build_filename (f->dir, "a) R 1 (b", NULL);
  const char *const argv[] = { program, "1000", NULL };
  const VsProcessSpec spec = { .argv = argv };
  g_autoptr (VsProcess) process = NULL;
  g_autoptr (VsProcess) again = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (symlink ("/bin/sleep", program), ==, 0);
  process = vs_process_spawn (&spec, &error);
  g_assert_no_error (error);
  again = vs_process_open (vs_process_get_pid (process), vs_process_get_start_time (process), &error);
  g_assert_nonnull (again);
  g_assert_true (vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, NULL));
  g_unlink (program);
}

static gboolean
stop_loop (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

static gboolean
is_reaped (gpointer data)
{
  gpointer *both = data;

  if (kill (GPOINTER_TO_INT (both[1]), 0) == 0)
    return G_SOURCE_CONTINUE;
  g_main_loop_quit (both[0]);
  return G_SOURCE_REMOVE;
}

static void
test_forgotten_child_is_reaped (Fixture *f, gconstpointer data)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  VsProcess *process = spawn (f, "exec sleep 1000");
  pid_t pid = vs_process_get_pid (process);
  gpointer both[] = { loop, GINT_TO_POINTER (pid) };
  guint late = g_timeout_add_seconds (20, stop_loop, loop);

  vs_process_unref (process);
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_timeout_add (5, is_reaped, both);
  g_main_loop_run (loop);
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_source_remove (late);
}

static void
test_privileged (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "grep", "NoNewPrivs", "/proc/self/status", NULL };
  const VsProcessSpec spec = { .argv = argv, .privileged = TRUE };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autofree char *ours = NULL;

  g_assert_true (vs_process_run_spec (&spec, 1000, PATIENCE, NULL, &output, &errors, NULL));
  g_assert_true (g_file_get_contents ("/proc/self/status", &ours, NULL, NULL));
  /* As it is with us, nothing added. */
  g_assert_nonnull (strstr (ours, output));
}

/* A process that starts another and is killed, as the service may be. Returns the other's number. */
static pid_t
start_and_die (gboolean dies_with_us)
{
  const char *const argv[] = { "/bin/sleep", "1000", NULL };
  const VsProcessSpec spec = { .argv = argv, .dies_with_us = dies_with_us };
  int pipes[2];
  pid_t child, pid = 0;

  g_assert_cmpint (pipe2 (pipes, O_CLOEXEC), ==, 0);
  child = fork ();
  if (child == 0)
    {
      VsProcess *process = vs_process_spawn (&spec, NULL);
      pid_t number = process != NULL ? vs_process_get_pid (process) : 0;

      if (write (pipes[1], &number, sizeof number) == sizeof number)
        kill (getpid (), SIGKILL);
      _exit (1);
    }
  close (pipes[1]);
  g_assert_cmpint (read (pipes[0], &pid, sizeof pid), ==, sizeof pid);
  close (pipes[0]);
  g_assert_cmpint (waitpid (child, NULL, 0), ==, child);
  g_assert_cmpint (pid, >, 0);
  return pid;
}

static void
test_dies_with_us (Fixture *f, gconstpointer data)
{
  pid_t pid = start_and_die (TRUE);
  guint64 start_time;
  g_autoptr (VsProcess) process = NULL;

  /* Gone already, or about to be. */
  if (vs_process_read_start_time (pid, &start_time, NULL))
    process = vs_process_open (pid, start_time, NULL);
  if (process != NULL)
    wait_for_end (process);
}

static void
test_outlives_us (Fixture *f, gconstpointer data)
{
  pid_t pid = start_and_die (FALSE);
  guint64 start_time;
  g_autoptr (VsProcess) process = NULL;

  g_assert_true (vs_process_read_start_time (pid, &start_time, NULL));
  process = vs_process_open (pid, start_time, NULL);
  g_assert_nonnull (process);
  g_assert_true (vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, NULL));
}

#define ADD(path, func) g_test_add ("/process/" path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("exit-status-is-kept-and-child-reaped", test_exit_status);
  ADD ("last-words-are-of-this-life", test_last_words);
  ADD ("last-words-are-bounded-and-utf8", test_last_words_are_bounded);
  ADD ("log-begins-with-date-and-arguments", test_log_header);
  ADD ("own-session-no-new-privileges-no-input", test_no_privileges_no_terminal);
  ADD ("only-named-descriptors-cross", test_descriptors);
  ADD ("environment-is-cleaned-and-added-to", test_environment);
  ADD ("missing-program-is-not-found", test_missing_program);
  ADD ("unwritable-log-is-an-error", test_unwritable_log);
  ADD ("deaf-to-term-is-killed", test_term_then_kill);
  ADD ("term-suffices", test_term_suffices);
  ADD ("waiting-has-an-end", test_wait_times_out);
  ADD ("waiting-can-be-cancelled", test_wait_is_cancelled);
  ADD ("found-again-by-number-and-start-time", test_found_again);
  ADD ("recycled-number-is-not-it", test_another_of_the_same_number);
  ADD ("ended-one-is-not-found", test_gone);
  ADD ("any-program-name-is-read", test_name_with_parentheses);
  ADD ("forgotten-child-is-reaped", test_forgotten_child_is_reaped);
  ADD ("helper-may-gain-privileges-as-far-as-we-may", test_privileged);
  ADD ("what-has-no-purpose-without-us-dies-with-us", test_dies_with_us);
  ADD ("all-else-outlives-us", test_outlives_us);
  return g_test_run ();
}
