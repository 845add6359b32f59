/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Lets polkit ask on the terminal: its own agent for terminals runs as long as this program does, and is taken only
 * where the session has no other. Lives in the main thread.
 */
#include "ctl.h"

#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

/* The descriptor's number in the agent; it is closed there once the agent is ready. */
#define READY_FD 3

static gboolean
somebody_can_answer (Ctl *ctl)
{
  return !ctl->session && geteuid () != 0 && isatty (STDIN_FILENO) && isatty (STDERR_FILENO);
}

/* Ends when the agent is ready, and also when it has ended. */
static void
wait_until_ready (int fd)
{
  char byte;

  while (read (fd, &byte, 1) > 0)
    ;
  close (fd);
}

/**
 * ctl_agent_start:
 * @ctl: the program's state
 *
 * Starts the agent where somebody could answer it. Without it, the service tells what could not be authorized.
 */
void
ctl_agent_start (Ctl *ctl)
{
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autofree char *pid = NULL;
  int fds[2];

  if (!somebody_can_answer (ctl) || !g_unix_open_pipe (fds, FD_CLOEXEC, NULL))
    return;
  pid = g_strdup_printf ("%d", getpid ());
  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  g_subprocess_launcher_take_fd (launcher, fds[1], READY_FD);
  ctl->agent = g_subprocess_launcher_spawn (launcher, NULL, "pkttyagent", "--notify-fd", G_STRINGIFY (READY_FD),
                                            "--fallback", "--process", pid, NULL);
  /* Our own end of what the agent closes must not keep it open. */
  g_clear_object (&launcher);
  wait_until_ready (fds[0]);
}

/**
 * ctl_agent_stop:
 * @ctl: the program's state
 *
 * Ends the agent.
 */
void
ctl_agent_stop (Ctl *ctl)
{
  if (ctl->agent == NULL)
    return;
  g_subprocess_send_signal (ctl->agent, SIGTERM);
  g_subprocess_wait (ctl->agent, NULL, NULL);
  g_clear_object (&ctl->agent);
}
