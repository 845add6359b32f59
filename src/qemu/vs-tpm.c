/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Emulated TPMs: a swtpm beside each QEMU that wants one. It listens in the guest's directory before QEMU connects, and
 * ends by itself when QEMU has gone; what it remembers lies in the store, and goes with the guest's state when that is
 * saved. Starting and ending wait, and are for workers.
 */
#include "vs-tpm.h"

#include "vmsnap-error.h"
#include "vs-guest-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* The number of its socket in swtpm. */
#define LISTENER_FD 3

/* CMD_GET_CAPABILITY of its control channel, see swtpm_ioctls(3): answered by eight bytes. */
static const guint8 question[] = { 0, 0, 0, 1 };
#define ANSWER_SIZE 8

#define START_TIMEOUT (10 * G_USEC_PER_SEC)
/* Between the end of a connection and the end of the process. */
#define DEATH_TIMEOUT (2 * G_USEC_PER_SEC)
#define END_TIMEOUT (5 * G_USEC_PER_SEC)

static VsProcess *
spawn (const VsTpmSpec *spec, const char *program, int listener, GError **error)
{
  /* The state directory is where it works, for a path with a comma couldn't be told. */
  const char *argv[] = { program,       "socket", "--tpmstate", "dir=.,mode=0600", "--ctrl", "type=unixio,fd=3",
                         "--terminate", "--tpm2", NULL };
  const VsProcessFd fd = { listener, LISTENER_FD };
  g_autofree char *log_name = g_strconcat (spec->uuid, "-swtpm.log", NULL);
  g_autofree char *log_path = g_build_filename (spec->log_directory, log_name, NULL);
  const VsProcessSpec process_spec = {
    .argv = argv,
    .log_path = log_path,
    .directory = spec->state_directory,
    .fds = &fd,
    .n_fds = 1,
  };

  if (g_strcmp0 (spec->version, "1.2") == 0)
    argv[G_N_ELEMENTS (argv) - 2] = NULL;
  return vs_process_spawn (&process_spec, error);
}

/* Until it answers, or has closed the connection by dying. */
static gboolean
await_answer (int socket, gint64 deadline, GCancellable *cancellable)
{
  GPollFD fds[2] = { { socket, G_IO_IN, 0 } };
  guint n = g_cancellable_make_pollfd (cancellable, &fds[1]) ? 2 : 1;
  char answer[ANSWER_SIZE];

  while (fds[0].revents == 0 && !g_cancellable_is_cancelled (cancellable) && g_get_monotonic_time () < deadline)
    g_poll (fds, n, (int)CLAMP ((deadline - g_get_monotonic_time ()) / 1000 + 1, 1, G_MAXINT));
  if (n == 2)
    g_cancellable_release_fd (cancellable);
  return fds[0].revents != 0 && read (socket, answer, sizeof answer) == sizeof answer;
}

static gboolean
wait_until_ready (const VsTpmSpec *spec, VsProcess *process, int socket, GCancellable *cancellable, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + START_TIMEOUT;
  g_autofree char *words = NULL;

  if (send (socket, question, sizeof question, MSG_NOSIGNAL) == sizeof question
      && await_answer (socket, deadline, cancellable))
    return TRUE;
  if (g_cancellable_is_cancelled (cancellable))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while the TPM of domain %s was started",
                   spec->name);
      return FALSE;
    }
  if (g_get_monotonic_time () < deadline)
    vs_process_wait (process, DEATH_TIMEOUT, NULL, NULL);
  words = vs_process_get_last_words (process);
  if (g_get_monotonic_time () >= deadline)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "The TPM of domain %s didn't answer within %d s: %s",
                 spec->name, (int)(START_TIMEOUT / G_USEC_PER_SEC), words);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "The TPM of domain %s can't be started: %s", spec->name,
                 *words != '\0' ? words : "swtpm ended and said nothing");
  return FALSE;
}

/* Connects before there is anybody to accept, so that nothing has to be waited for but the answer. */
static gboolean
start_process (const VsTpmSpec *spec, const char *program, GCancellable *cancellable, GError **error)
{
  g_autoptr (VsProcess) process = NULL;
  int listener = vs_guest_socket_listen (spec->directory, VS_GUEST_TPM_SOCKET, error);
  int socket;
  gboolean ready;

  if (listener < 0)
    return FALSE;
  socket = vs_guest_socket_connect (spec->directory, VS_GUEST_TPM_SOCKET, error);
  process = socket >= 0 ? spawn (spec, program, listener, error) : NULL;
  close (listener);
  ready = process != NULL
          && vs_guest_record_write (spec->directory, VS_TPM_RECORD, spec->uuid, spec->name, process, error)
          && wait_until_ready (spec, process, socket, cancellable, error);
  if (socket >= 0)
    close (socket);
  return ready;
}

/**
 * vs_tpm_start:
 * @spec: whose
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is no swtpm, %VMSNAP_ERROR_HYPERVISOR with its last words,
 *   %VMSNAP_ERROR_TIMEOUT
 *
 * Starts a TPM that listens at %VS_GUEST_TPM_SOCKET in the guest's directory. When QEMU has connected and goes, it goes
 * too; when QEMU never came, vs_tpm_end() ends it. One left over from before is ended first.
 *
 * Returns: whether it is ready
 */
gboolean
vs_tpm_start (const VsTpmSpec *spec, GCancellable *cancellable, GError **error)
{
  g_autofree char *program = g_find_program_in_path ("swtpm");

  if (program == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                   "Domain %s has a TPM, but swtpm isn't there. Install it (Debian: the package swtpm)", spec->name);
      return FALSE;
    }
  if (!vs_tpm_end (spec->directory, error))
    return FALSE;
  if (g_mkdir_with_parents (spec->state_directory, 0700) != 0 || g_mkdir_with_parents (spec->directory, 0700) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't make %s: %s", spec->state_directory,
                   g_strerror (errno));
      return FALSE;
    }
  if (start_process (spec, program, cancellable, error))
    return TRUE;
  vs_tpm_end (spec->directory, NULL);
  return FALSE;
}

static void
forget (const char *directory)
{
  static const char *const files[] = { VS_TPM_RECORD, VS_GUEST_TPM_SOCKET };

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = g_build_filename (directory, files[i], NULL);

      g_unlink (path);
    }
}

/**
 * vs_tpm_end:
 * @directory: a guest's runtime directory
 * @error: when it outlives its time
 *
 * Ends the guest's TPM, if there is one, whoever started it, and removes what it left in @directory.
 *
 * Returns: whether there is none any more
 */
gboolean
vs_tpm_end (const char *directory, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (VsProcess) process = vs_guest_record_find (directory, VS_TPM_RECORD, &local);

  if (local != NULL || (process != NULL && !vs_process_end (process, VS_PROCESS_END_TERM, END_TIMEOUT, NULL, &local)))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  forget (directory);
  return TRUE;
}

/* As vs_tpm_end(), but without waiting: for the main thread, after the guest has gone. */
void
vs_tpm_dismiss (const char *directory)
{
  g_autoptr (VsProcess) process = vs_guest_record_find (directory, VS_TPM_RECORD, NULL);

  if (process != NULL)
    vs_process_signal (process, SIGTERM, NULL);
  forget (directory);
}
