/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs a short-lived program, a tool, and collects what it writes: bounded in size and in time. Any thread but the main
 * one, for it waits.
 */
#include "vs-process.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

/* See vs_process_set_witness(). */
static int witness = -1;

/* What is kept of a tool's complaints. */
#define MAX_ERRORS 8192

/* One end of a pipe and what came out of it. */
typedef struct
{
  int fd; /* -1: it was closed at the other end */
  gsize limit;
  gboolean overflow;
  GString *text;
} Collector;

static void
collector_clear (Collector *c)
{
  if (c->fd >= 0)
    close (c->fd);
  g_string_free (c->text, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Collector, collector_clear)

/* Takes what is there. What is over the limit is read and dropped, so that the writer isn't held up. */
static void
collect (Collector *c)
{
  char buffer[16384];
  ssize_t got = read (c->fd, buffer, sizeof buffer);

  if (got < 0 && (errno == EINTR || errno == EAGAIN))
    return;
  if (got <= 0)
    {
      close (c->fd);
      c->fd = -1;
      return;
    }
  c->overflow = c->overflow || c->text->len + got > c->limit;
  g_string_append_len (c->text, buffer, MIN ((gsize)got, c->limit - MIN (c->limit, c->text->len)));
}

static int
milliseconds_until (gint64 deadline)
{
  return (int)CLAMP ((deadline - g_get_monotonic_time () + 999) / 1000, 0, G_MAXINT);
}

/* Until both ends are closed and the process has ended. */
static gboolean
collect_all (VsProcess *process, Collector *out, Collector *err, gint64 deadline, GCancellable *cancellable)
{
  GPollFD fds[4] = { { .events = G_IO_IN }, { .events = G_IO_IN }, { .events = G_IO_IN } };
  guint n = g_cancellable_make_pollfd (cancellable, &fds[3]) ? 4 : 3;
  gboolean done;

  while (!(done = out->fd < 0 && err->fd < 0 && vs_process_has_ended (process))
         && !g_cancellable_is_cancelled (cancellable) && g_get_monotonic_time () < deadline)
    {
      fds[0].fd = out->fd;
      fds[1].fd = err->fd;
      /* Its end counts only when nothing is left to read, else poll() would spin on it. */
      fds[2].fd = out->fd < 0 && err->fd < 0 ? vs_process_get_pidfd (process) : -1;
      fds[0].revents = fds[1].revents = 0;
      g_poll (fds, n, milliseconds_until (deadline));
      if (fds[0].revents != 0)
        collect (out);
      if (fds[1].revents != 0)
        collect (err);
    }
  if (n == 4)
    g_cancellable_release_fd (cancellable);
  return done;
}

/**
 * vs_process_set_witness:
 * @fd: a descriptor that stays open, or -1
 *
 * Every tool has @fd, too, from now on: whatever lock is on it goes when the service and the last of its tools have
 * ended. A tool that changes an image outlives a service that is killed, and what it does then must not be met by what
 * the next life does. Any thread, before tools are run.
 */
void
vs_process_set_witness (int fd)
{
  g_atomic_int_set (&witness, fd);
}

/**
 * vs_process_get_witness:
 *
 * Returns: what vs_process_set_witness() was given, for what changes images and isn't run by vs_process_run(); or -1
 */
int
vs_process_get_witness (void)
{
  return g_atomic_int_get (&witness);
}

/* Behind the descriptors that the tool has anyway. */
static VsProcessFd *
add_witness (VsProcessSpec *spec)
{
  VsProcessFd *fds = g_new (VsProcessFd, spec->n_fds + 1);
  int target = 3;

  for (gsize i = 0; i < spec->n_fds; i++)
    {
      fds[i] = spec->fds[i];
      target = MAX (target, fds[i].target + 1);
    }
  fds[spec->n_fds] = (VsProcessFd){ g_atomic_int_get (&witness), target };
  spec->fds = fds;
  spec->n_fds += fds[spec->n_fds].source >= 0;
  return fds;
}

static VsProcess *
spawn_with_pipes (const VsProcessSpec *template, Collector *out, Collector *err, GError **error)
{
  VsProcessSpec spec = *template;
  g_autofree VsProcessFd *fds = add_witness (&spec);
  VsProcess *process = NULL;
  int out_pipe[2], err_pipe[2];

  if (!g_unix_open_pipe (out_pipe, FD_CLOEXEC, error))
    return NULL;
  out->fd = out_pipe[0];
  if (g_unix_open_pipe (err_pipe, FD_CLOEXEC, error))
    {
      err->fd = err_pipe[0];
      spec.output_fd = out_pipe[1];
      spec.error_fd = err_pipe[1];
      process = vs_process_spawn (&spec, error);
      close (err_pipe[1]);
    }
  close (out_pipe[1]);
  return process;
}

static gboolean
judge (VsProcess *process, const char *name, const Collector *out, gint64 timeout, gboolean done, GError **error)
{
  g_autofree char *end = NULL;

  if (!done)
    {
      if (!vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, error))
        return FALSE;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "%s was ended, for it took longer than %.0f s", name,
                   timeout / (double)G_USEC_PER_SEC);
      return FALSE;
    }
  end = vs_process_describe_end (process);
  if (g_strcmp0 (end, "exited with status 0") != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "%s %s", name, end);
      return FALSE;
    }
  if (out->overflow)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "%s wrote more than %" G_GSIZE_FORMAT " bytes", name,
                   out->limit);
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_process_run_spec:
 * @spec: what to run; its log and its descriptors for output aren't used
 * @max_output: how many bytes it may write to its standard output
 * @timeout: how long it may take, in microseconds; then it is killed
 * @cancellable: (nullable): when cancelled, it is killed; %NULL for what must not be torn apart
 * @output: (out) (transfer full) (nullable): what it wrote to standard output; set on success
 * @errors: (out) (transfer full) (nullable): the beginning of what it wrote to standard error, valid UTF-8 without
 *   white space at its ends; set also on failure, once it ran
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is no such program, %VMSNAP_ERROR_HYPERVISOR when it fails,
 *   %VMSNAP_ERROR_TIMEOUT, %VMSNAP_ERROR_CANCELLED
 *
 * Runs a tool to its end.
 *
 * Returns: whether it exited with status 0
 */
gboolean
vs_process_run_spec (const VsProcessSpec *spec,
                     gsize max_output,
                     gint64 timeout,
                     GCancellable *cancellable,
                     char **output,
                     char **errors,
                     GError **error)
{
  g_auto (Collector) out = { -1, max_output, FALSE, g_string_new (NULL) };
  g_auto (Collector) err = { -1, MAX_ERRORS, FALSE, g_string_new (NULL) };
  g_autofree char *name = g_path_get_basename (spec->argv[0]);
  g_autoptr (VsProcess) process = NULL;
  gboolean done;

  *output = *errors = NULL;
  process = spawn_with_pipes (spec, &out, &err, error);
  if (process == NULL)
    return FALSE;

  done = collect_all (process, &out, &err, g_get_monotonic_time () + timeout, cancellable);
  *errors = g_strstrip (g_utf8_make_valid (err.text->str, (gssize)err.text->len));
  if (!done && g_cancellable_is_cancelled (cancellable))
    {
      if (vs_process_end (process, VS_PROCESS_END_KILL, 0, NULL, error))
        g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "%s was cancelled", name);
      return FALSE;
    }
  if (!judge (process, name, &out, timeout, done, error))
    return FALSE;
  *output = g_strdup (out.text->str);
  return TRUE;
}

/**
 * vs_process_run:
 * @argv: (array zero-terminated=1): program and arguments
 * @max_output: see vs_process_run_spec(), here and below
 * @timeout: in microseconds
 * @cancellable: (nullable): to kill it
 * @output: (out) (transfer full) (nullable): its standard output
 * @errors: (out) (transfer full) (nullable): its standard error
 * @error: as vs_process_run_spec()
 *
 * Runs a tool that needs nothing but its arguments.
 *
 * Returns: whether it exited with status 0
 */
gboolean
vs_process_run (const char *const *argv,
                gsize max_output,
                gint64 timeout,
                GCancellable *cancellable,
                char **output,
                char **errors,
                GError **error)
{
  const VsProcessSpec spec = { .argv = argv };

  return vs_process_run_spec (&spec, max_output, timeout, cancellable, output, errors, error);
}
