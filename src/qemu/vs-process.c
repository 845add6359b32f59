/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One process: begun with a log, a session of its own and no new privileges, or found again by number and start time;
 * watched, signalled and waited for by its descriptor, so that a recycled number is never hit. It knows nothing of
 * QEMU. Any thread; what waits says so, and waits no longer than it is told.
 */
#include "vs-process.h"

#include "vmsnap-error.h"
#include "vs-process-log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sys/pidfd.h>

/* What of a log goes into an error's message. */
#define LAST_WORDS_LINES 10

/* After SIGKILL only the kernel can be slow: a dying guest's memory has to be given back. */
#define KILL_TIMEOUT (20 * G_USEC_PER_SEC)

struct _VsProcess
{
  gatomicrefcount ref_count;
  pid_t pid;
  guint64 start_time;
  int pidfd;
  gboolean is_child;
  char *log_path;
  gint64 log_offset; /* where this life's output begins */

  GMutex lock; /* what follows */
  gboolean ended;
  gboolean reaped;
  siginfo_t end;
};

static gboolean
fail (GError **error, int code, int errsv, const char *what)
{
  g_set_error (error, VMSNAP_ERROR, code, "%s: %s", what, g_strerror (errsv));
  return FALSE;
}

/**
 * vs_process_read_start_time:
 * @pid: a process's number
 * @start_time: (out): when it began, in clock ticks since the boot (field 22 of /proc/PID/stat)
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is no such process
 *
 * Number and start time together name a process once and for all of a boot.
 *
 * Returns: whether @start_time is set
 */
gboolean
vs_process_read_start_time (pid_t pid, guint64 *start_time, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", (int)pid);
  g_autofree char *text = NULL;
  g_auto (GStrv) fields = NULL;
  const char *rest;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "There is no process %d", (int)pid);
      return FALSE;
    }

  /* The second field is the program's name in parentheses, and may hold anything, parentheses and spaces as well. */
  rest = strrchr (text, ')');
  fields = rest != NULL && rest[1] == ' ' ? g_strsplit (rest + 2, " ", 21) : NULL;
  if (fields == NULL || g_strv_length (fields) < 21
      || !g_ascii_string_to_unsigned (fields[19], 10, 0, G_MAXUINT64, start_time, NULL))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "%s is not of the form that Linux writes", path);
      return FALSE;
    }
  return TRUE;
}

static VsProcess *
process_new (pid_t pid, gboolean is_child, GError **error)
{
  VsProcess *process;
  int pidfd = pidfd_open (pid, 0);

  if (pidfd < 0)
    {
      int code = errno == ESRCH ? VMSNAP_ERROR_NOT_FOUND : VMSNAP_ERROR_FAILED;

      fail (error, code, errno, "Can't watch the process");
      return NULL;
    }

  process = g_new0 (VsProcess, 1);
  g_atomic_ref_count_init (&process->ref_count);
  g_mutex_init (&process->lock);
  process->pid = pid;
  process->pidfd = pidfd;
  process->is_child = is_child;
  return process;
}

/* What the child has to know between fork and exec. */
typedef struct
{
  gboolean dies_with_us;
  gboolean privileged;
  pid_t parent;
} ChildSetup;

/* In the child, between fork and exec: async-signal-safe calls only. */
static void
set_up_child (gpointer data)
{
  const ChildSetup *setup = data;
  sigset_t none;

  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  signal (SIGPIPE, SIG_DFL);
  setsid ();
  /* Whatever gains control of it, a set-uid program gives it nothing. */
  if (!setup->privileged)
    prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  /* The kernel means the thread that forked: which is to wait for the end, then. It may have died before this. */
  if (setup->dies_with_us && (prctl (PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid () != setup->parent))
    _exit (1);
}

/* Messages in one language, and nothing of the service manager's that is meant for us alone. */
static GStrv
child_environment (const char *const *additions)
{
  static const char *const ours[] = { "NOTIFY_SOCKET", "LISTEN_FDS",    "LISTEN_PID",     "LISTEN_FDNAMES",
                                      "WATCHDOG_PID",  "WATCHDOG_USEC", "JOURNAL_STREAM", "INVOCATION_ID" };
  GStrv environment = g_get_environ ();

  for (gsize i = 0; i < G_N_ELEMENTS (ours); i++)
    environment = g_environ_unsetenv (environment, ours[i]);
  environment = g_environ_setenv (environment, "LC_ALL", "C", TRUE);

  for (gsize i = 0; additions != NULL && additions[i] != NULL; i++)
    {
      const char *equals = strchr (additions[i], '=');
      g_autofree char *name = equals != NULL ? g_strndup (additions[i], equals - additions[i]) : NULL;

      if (name != NULL)
        environment = g_environ_setenv (environment, name, equals + 1, TRUE);
    }
  return environment;
}

static gboolean
run_child (const VsProcessSpec *spec, int output_fd, int error_fd, GPid *pid, GError **error)
{
  g_auto (GStrv) environment = child_environment (spec->environment);
  g_autofree int *sources = g_new (int, spec->n_fds);
  g_autofree int *targets = g_new (int, spec->n_fds);
  g_autoptr (GError) local = NULL;
  GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH;
  ChildSetup setup = { spec->dies_with_us, spec->privileged, getpid () };

  if (output_fd <= 0)
    flags |= G_SPAWN_STDOUT_TO_DEV_NULL;
  if (error_fd <= 0)
    flags |= G_SPAWN_STDERR_TO_DEV_NULL;
  for (gsize i = 0; i < spec->n_fds; i++)
    {
      sources[i] = spec->fds[i].source;
      targets[i] = spec->fds[i].target;
    }

  if (g_spawn_async_with_pipes_and_fds (spec->directory != NULL ? spec->directory : "/", spec->argv,
                                        (const char *const *)environment, flags, set_up_child, &setup,
                                        spec->input_fd > 0 ? spec->input_fd : -1, output_fd > 0 ? output_fd : -1,
                                        error_fd > 0 ? error_fd : -1, sources, targets, spec->n_fds, pid, NULL, NULL,
                                        NULL, &local))
    return TRUE;

  g_set_error (error, VMSNAP_ERROR,
               g_error_matches (local, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT) ? VMSNAP_ERROR_NOT_FOUND
                                                                           : VMSNAP_ERROR_HYPERVISOR,
               "Can't start %s: %s", spec->argv[0], local->message);
  return FALSE;
}

/**
 * vs_process_spawn:
 * @spec: what to run, and how
 * @error: %VMSNAP_ERROR_NOT_FOUND when the program isn't there
 *
 * Starts a process in a session of its own, so that it outlives us, without the right to gain privileges, and with no
 * descriptors of ours but those named. Doesn't wait.
 *
 * Returns: (transfer full): the process
 */
VsProcess *
vs_process_spawn (const VsProcessSpec *spec, GError **error)
{
  VsProcess *process;
  gint64 offset = 0;
  int log_fd = -1;
  gboolean started;
  GPid pid;

  if (spec->log_path != NULL && (log_fd = vs_process_log_open (spec->log_path, spec->argv, &offset, error)) < 0)
    return NULL;
  started = log_fd >= 0 ? run_child (spec, log_fd, log_fd, &pid, error)
                        : run_child (spec, spec->output_fd, spec->error_fd, &pid, error);
  if (log_fd >= 0)
    close (log_fd);
  if (!started)
    return NULL;

  /* It is our child and not reaped, so its number can't be another's. */
  process = process_new (pid, TRUE, error);
  if (process == NULL || !vs_process_read_start_time (pid, &process->start_time, error))
    {
      kill (pid, SIGKILL);
      waitpid (pid, NULL, 0);
      if (process != NULL)
        process->reaped = TRUE;
      g_clear_pointer (&process, vs_process_unref);
      return NULL;
    }
  process->log_path = g_strdup (spec->log_path);
  process->log_offset = offset;
  return process;
}

/**
 * vs_process_open:
 * @pid: a process's number
 * @start_time: its start time, as vs_process_read_start_time() once told
 * @error: when it can't be told whether it is there
 *
 * Finds a process that was begun earlier, by whomever.
 *
 * Returns: (transfer full) (nullable): the process; %NULL without an error when it has ended, even if its number
 *   belongs to another now
 */
VsProcess *
vs_process_open (pid_t pid, guint64 start_time, GError **error)
{
  g_autoptr (VsProcess) process = NULL;
  g_autoptr (GError) local = NULL;

  if (pid <= 0)
    return NULL;
  process = process_new (pid, FALSE, &local);
  if (process == NULL)
    {
      if (!g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
        g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }

  /* In this order: it is alive after the look at its number's start time, so the number was its own then. */
  if (!vs_process_read_start_time (pid, &process->start_time, NULL) || process->start_time != start_time
      || vs_process_has_ended (process))
    return NULL;
  return g_steal_pointer (&process);
}

/**
 * vs_process_set_log:
 * @process: a process
 * @path: the log that it was begun with
 *
 * Tells a process that was found again where its last words are. Before others know @process.
 */
void
vs_process_set_log (VsProcess *process, const char *path)
{
  g_free (process->log_path);
  process->log_path = g_strdup (path);
}

/**
 * vs_process_ref:
 * @process: a process
 *
 * Returns: (transfer full): @process
 */
VsProcess *
vs_process_ref (VsProcess *process)
{
  g_atomic_ref_count_inc (&process->ref_count);
  return process;
}

static void
reap_nothing (GPid pid, int status, gpointer user_data)
{
}

/**
 * vs_process_unref:
 * @process: a process
 *
 * Lets go of @process. It runs on; if it is our child, the main loop reaps it in the end.
 */
void
vs_process_unref (VsProcess *process)
{
  if (!g_atomic_ref_count_dec (&process->ref_count))
    return;
  if (process->is_child && !process->reaped && !vs_process_has_ended (process))
    g_child_watch_add (process->pid, reap_nothing, NULL);
  close (process->pidfd);
  g_mutex_clear (&process->lock);
  g_free (process->log_path);
  g_free (process);
}

/**
 * vs_process_get_pid:
 * @process: a process
 *
 * Returns: its number, for people and records; signals go by vs_process_signal()
 */
pid_t
vs_process_get_pid (VsProcess *process)
{
  return process->pid;
}

/**
 * vs_process_get_start_time:
 * @process: a process
 *
 * Returns: its start time, in clock ticks since the boot
 */
guint64
vs_process_get_start_time (VsProcess *process)
{
  return process->start_time;
}

/**
 * vs_process_get_pidfd:
 * @process: a process
 *
 * Returns: its descriptor, which becomes readable when it ends; owned by @process
 */
int
vs_process_get_pidfd (VsProcess *process)
{
  return process->pidfd;
}

/**
 * vs_process_has_ended:
 * @process: a process
 *
 * Doesn't wait. A child that has ended is reaped by this, and its status kept.
 *
 * Returns: whether it has ended
 */
gboolean
vs_process_has_ended (VsProcess *process)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&process->lock);
  struct pollfd look = { process->pidfd, POLLIN, 0 };

  if (process->ended)
    return TRUE;
  if (poll (&look, 1, 0) <= 0)
    return FALSE;

  process->ended = TRUE;
  if (process->is_child && !process->reaped
      && waitid (P_PIDFD, (id_t)process->pidfd, &process->end, WEXITED | WNOHANG) == 0)
    process->reaped = process->end.si_pid == process->pid;
  return TRUE;
}

/**
 * vs_process_describe_end:
 * @process: a process
 *
 * Returns: (transfer full): a verb with what is known of its end, to stand behind its name: "exited with status 1"
 */
char *
vs_process_describe_end (VsProcess *process)
{
  if (!vs_process_has_ended (process))
    return g_strdup ("runs");
  if (!process->reaped)
    return g_strdup ("ended");
  if (process->end.si_code == CLD_EXITED)
    return g_strdup_printf ("exited with status %d", process->end.si_status);
  return g_strdup_printf ("was killed by signal %d (%s)", process->end.si_status, g_strsignal (process->end.si_status));
}

/**
 * vs_process_get_last_words:
 * @process: a process
 *
 * Returns: (transfer full): the last lines that it wrote into its log, in one line, for an error's message; empty when
 *   it wrote none
 */
char *
vs_process_get_last_words (VsProcess *process)
{
  g_autofree char *tail = process->log_path ? vs_process_log_read_tail (process->log_path, process->log_offset) : g_strdup ("");
  g_auto (GStrv) lines = g_strsplit (g_strstrip (tail), "\n", -1);
  guint n = g_strv_length (lines);

  return g_strjoinv ("; ", n > LAST_WORDS_LINES ? lines + n - LAST_WORDS_LINES : lines);
}

/**
 * vs_process_signal:
 * @process: a process
 * @signum: a signal
 * @error: when the kernel refuses
 *
 * Returns: %TRUE when it was sent, or there is nothing left to send it to
 */
gboolean
vs_process_signal (VsProcess *process, int signum, GError **error)
{
  g_autofree char *what = NULL;

  if (vs_process_has_ended (process) || pidfd_send_signal (process->pidfd, signum, NULL, 0) == 0 || errno == ESRCH)
    return TRUE;
  what = g_strdup_printf ("Can't send signal %d to process %d", signum, (int)process->pid);
  return fail (error, VMSNAP_ERROR_FAILED, errno, what);
}

/* Milliseconds left for poll(), rounded up so that it never spins. */
static int
time_left (gint64 deadline)
{
  gint64 left = deadline - g_get_monotonic_time ();

  return (int)CLAMP ((left + 999) / 1000, 0, G_MAXINT);
}

/**
 * vs_process_wait:
 * @process: a process
 * @timeout: for how long, in microseconds
 * @cancellable: (nullable): ends the waiting, not the process
 * @error: %VMSNAP_ERROR_TIMEOUT, %VMSNAP_ERROR_CANCELLED
 *
 * Waits for its end.
 *
 * Returns: whether it has ended
 */
gboolean
vs_process_wait (VsProcess *process, gint64 timeout, GCancellable *cancellable, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + timeout;
  GPollFD fds[2] = { { process->pidfd, G_IO_IN, 0 } };
  guint n = g_cancellable_make_pollfd (cancellable, &fds[1]) ? 2 : 1;
  gboolean ended;

  while (!(ended = vs_process_has_ended (process)) && !g_cancellable_is_cancelled (cancellable)
         && g_get_monotonic_time () < deadline)
    g_poll (fds, n, time_left (deadline));
  if (n == 2)
    g_cancellable_release_fd (cancellable);

  if (ended)
    return TRUE;
  if (g_cancellable_is_cancelled (cancellable))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while waiting for the end of process %d",
                 (int)process->pid);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "Process %d hasn't ended within %.1f s", (int)process->pid,
                 timeout / (double)G_USEC_PER_SEC);
  return FALSE;
}

/**
 * vs_process_end:
 * @process: a process
 * @how: asked, or killed at once
 * @timeout: for how long, in microseconds, it may take when asked
 * @cancellable: (nullable): ends the waiting; what was asked has been asked
 * @error: %VMSNAP_ERROR_TIMEOUT when it outlives even SIGKILL, %VMSNAP_ERROR_CANCELLED
 *
 * Ends a process and waits for its end.
 *
 * Returns: whether it has ended
 */
gboolean
vs_process_end (VsProcess *process, VsProcessEnd how, gint64 timeout, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (how == VS_PROCESS_END_TERM)
    {
      if (!vs_process_signal (process, SIGTERM, error))
        return FALSE;
      if (vs_process_wait (process, timeout, cancellable, &local))
        return TRUE;
      if (!g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }
  return vs_process_signal (process, SIGKILL, error) && vs_process_wait (process, KILL_TIMEOUT, cancellable, error);
}
