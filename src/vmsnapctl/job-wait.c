/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Waiting for a job in front of a person: progress, Ctrl-C, and what came out of it. Lives in the main thread.
 */
#include "ctl.h"

#include "format.h"
#include "output.h"
#include "progress.h"

#include <glib-unix.h>
#include <signal.h>

typedef struct
{
  GMainLoop *loop;
  GCancellable *cancellable;
  CtlProgress *progress; /* none: for a program, not a person */
  VmSnapJob *job;
  gboolean completed;
  gboolean left;
  GError *error;
} Waiting;

/**
 * ctl_job_number:
 * @job: a job
 *
 * Returns: (transfer full): what people call it: the end of its path
 */
char *
ctl_job_number (VmSnapJob *job)
{
  return g_path_get_basename (g_dbus_proxy_get_object_path (G_DBUS_PROXY (job)));
}

static gboolean
on_signal (gpointer user_data)
{
  Waiting *waiting = user_data;

  if (g_cancellable_is_cancelled (waiting->cancellable))
    {
      waiting->left = TRUE;
      g_main_loop_quit (waiting->loop);
    }
  else
    {
      if (waiting->progress != NULL)
        ctl_progress_note (waiting->progress, "Cancelling the job; once more Ctrl-C leaves it to the service");
      else
        g_printerr ("Cancelling the job; once more Ctrl-C leaves it to the service\n");
      g_cancellable_cancel (waiting->cancellable);
    }
  return G_SOURCE_CONTINUE;
}

static void
on_waited (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Waiting *waiting = user_data;

  waiting->completed = vmsnap_job_wait_finish (VMSNAP_JOB (source), result, &waiting->error);
  g_main_loop_quit (waiting->loop);
}

static gboolean
is_save (VmSnapJob *job)
{
  const char *const operations[] = { "save", "managed-save", NULL };

  return g_strv_contains (operations, vmsnap_job_get_operation (job));
}

static void
explain_end (Waiting *waiting, GError **error)
{
  g_autofree char *number = ctl_job_number (waiting->job);

  if (waiting->left)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED,
                 "Left the job to the service; 'vmsnapctl job show %s' tells how it stands", number);
  else if (g_error_matches (waiting->error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "The job was cancelled; %s (%s)",
                   is_save (waiting->job) ? "the guest goes on as before it" : "all is as it was before it",
                   waiting->error->message);
      g_clear_error (&waiting->error);
    }
  else if (waiting->error != NULL)
    g_propagate_error (error, g_steal_pointer (&waiting->error));
}

/**
 * ctl_tell_warning:
 * @job: a job
 *
 * Tells what isn't as one would like it, whether or not the job was done.
 */
void
ctl_tell_warning (VmSnapJob *job)
{
  g_autoptr (GVariant) result = vmsnap_job_dup_result (job);
  const char *warning = "";
  g_autofree char *plain = NULL;

  if (!g_variant_lookup (result, "warning", "&s", &warning) || *warning == '\0')
    return;
  plain = ctl_format_plain (warning, FALSE);
  g_printerr ("warning: %s\n", plain);
}

/**
 * ctl_wait:
 * @ctl: the program's state
 * @job: a job
 * @error: why it did not complete
 *
 * Waits for the end of @job, and shows its progress meanwhile. Ctrl-C cancels the job.
 *
 * Returns: whether @job completed
 */
gboolean
ctl_wait (Ctl *ctl, VmSnapJob *job, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Waiting waiting = { .loop = loop, .cancellable = cancellable, .job = job };
  guint interrupted = g_unix_signal_add (SIGINT, on_signal, &waiting);
  guint terminated = g_unix_signal_add (SIGTERM, on_signal, &waiting);
  /* Only now: who sees progress may interrupt it. */
  g_autoptr (CtlProgress) progress = ctl->json ? NULL : ctl_progress_new (job);

  waiting.progress = progress;
  vmsnap_job_wait (job, VMSNAP_WAIT_CANCEL_JOB, cancellable, on_waited, &waiting);
  g_main_loop_run (loop);
  g_source_remove (interrupted);
  g_source_remove (terminated);
  explain_end (&waiting, error);
  if (!waiting.completed)
    ctl_tell_warning (job);
  return waiting.completed;
}

/* How long it took, and how long the guest stood still, as far as the service says. */
static char *
format_times (VmSnapJob *job)
{
  g_autoptr (GVariant) result = vmsnap_job_dup_result (job);
  guint64 start = vmsnap_job_get_start_time (job);
  guint64 end = vmsnap_job_get_end_time (job);
  g_autofree char *took = end > start && start > 0 ? ctl_format_duration (end - start) : NULL;
  g_autofree char *stop = NULL;
  guint64 downtime;

  /* None for a guest that wasn't there. */
  if (g_variant_lookup (result, "downtime", "t", &downtime) && downtime > 0)
    stop = ctl_format_duration (downtime);
  if (took != NULL && stop != NULL)
    return g_strdup_printf (" in %s (the guest stood still for %s)", took, stop);
  return took != NULL ? g_strdup_printf (" in %s", took) : g_strdup ("");
}

static void
tell_mode (Ctl *ctl, GVariant *result)
{
  const char *mode = "";
  const char *reason = "";
  g_autofree char *words = NULL;

  g_variant_lookup (result, "mode", "&s", &mode);
  g_variant_lookup (result, "mode-reason", "&s", &reason);
  if (*mode == '\0')
    return;
  words = ctl_format_mode (mode, reason);
  ctl_done (ctl, "%s", words);
}

/**
 * ctl_finish_job:
 * @ctl: the program's state
 * @job: (nullable): the job of the command
 * @error: (transfer full) (nullable): why there is none
 * @format: what it has done in the end, for people, without a full stop
 *
 * Waits for @job unless that isn't wanted, and tells what came out of it.
 *
 * Returns: the exit status
 */
CtlExit
ctl_finish_job (Ctl *ctl, VmSnapJob *job, GError *error, const char *format, ...)
{
  g_autofree char *message = NULL;
  g_autofree char *times = NULL;
  g_autofree char *number = NULL;
  g_autoptr (GVariant) result = NULL;
  va_list args;

  if (job == NULL)
    return ctl_fail (error);
  number = ctl_job_number (job);
  if (ctl->no_wait)
    ctl_done (ctl, "Started job %s", number);
  else if (!ctl_wait (ctl, job, &error))
    return ctl_fail (error);
  if (ctl->json)
    ctl_json_print_proxy (job);
  if (ctl->no_wait || ctl->json)
    return CTL_OK;
  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  times = format_times (job);
  ctl_done (ctl, "%s%s", message, times);
  result = vmsnap_job_dup_result (job);
  tell_mode (ctl, result);
  ctl_tell_warning (job);
  return CTL_OK;
}
