/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shows how far a job is, on standard error: a bar that is drawn over and over on a terminal, a line for each phase and
 * each tenth of the way elsewhere. Lives in the main thread.
 */
#include "progress.h"

#include "format.h"
#include "output.h"

#include <stdio.h>
#include <unistd.h>

#define BAR_COLUMNS 24
#define LEAST_BAR_COLUMNS 6
#define PHASE_COLUMNS 28
/* In microseconds: what is shorter has no rate worth telling. */
#define RATE_TIME 200000

struct _CtlProgress
{
  VmSnapJob *job;
  gulong changed_id;
  gboolean terminal;
  char *phase;   /* last told */
  guint tenths;  /* last told */
  gint64 first_time;   /* when bytes were first seen; 0: not yet */
  guint64 first_bytes; /* how many these were */
  gboolean told; /* anything yet */
};

static char *
format_bytes (const CtlMoment *moment)
{
  g_autofree char *done = ctl_format_size (moment->bytes_done);
  g_autofree char *total = ctl_format_size (moment->bytes_total);

  if (moment->bytes_total == 0)
    return moment->bytes_done > 0 ? g_strdup_printf ("  %s", done) : g_strdup ("");
  return g_strdup_printf ("  %s / %s", done, total);
}

static char *
format_rate (const CtlMoment *moment)
{
  g_autofree char *rate = ctl_format_size (moment->rate);

  return moment->rate > 0 ? g_strdup_printf ("  %s/s", rate) : g_strdup ("");
}

static char *
format_left (const CtlMoment *moment)
{
  gint64 left = ctl_estimate_left (moment->fraction, moment->elapsed);
  g_autofree char *clock = left >= 0 ? ctl_format_clock (left) : NULL;

  return clock != NULL ? g_strdup_printf ("  ETA %s", clock) : g_strdup ("");
}

/* What stands behind the percentage: as much of it as fits into @columns, in order of importance. */
static char *
format_numbers (const CtlMoment *moment, guint columns)
{
  g_autofree char *bytes = format_bytes (moment);
  g_autofree char *rate = format_rate (moment);
  g_autofree char *left = format_left (moment);
  g_autofree char *both = g_strconcat (bytes, left, NULL);
  g_autofree char *all = g_strconcat (bytes, rate, left, NULL);
  const char *const choices[] = { all, both, left, bytes };

  for (gsize i = 0; i < G_N_ELEMENTS (choices); i++)
    if (ctl_text_width (choices[i]) <= columns)
      return g_strdup (choices[i]);
  return g_strdup ("");
}

/* What stands before it: the phase, and a bar if there is room for one. */
static char *
format_phase (const CtlMoment *moment, guint columns)
{
  g_autofree char *plain = ctl_format_plain (moment->phase, FALSE);
  g_autofree char *phase = ctl_text_cut (plain, MIN (columns, PHASE_COLUMNS));
  guint width = ctl_text_width (phase);
  guint room = columns - width;
  guint bar_columns = room > LEAST_BAR_COLUMNS ? MIN (room - 1, BAR_COLUMNS) : 0;
  g_autofree char *bar = bar_columns > 0 ? ctl_format_bar (moment->fraction, bar_columns) : NULL;

  if (bar == NULL)
    return g_steal_pointer (&phase);
  return g_strdup_printf ("%s%*s %s", phase, (int)MIN (room - 1 - bar_columns, PHASE_COLUMNS - width), "", bar);
}

/**
 * ctl_progress_format_bar:
 * @moment: how far it is
 * @columns: the width of the terminal
 *
 * Returns: (transfer full): phase, bar, percentage, bytes, their rate and the estimated time; where @columns are few, the
 *   bar shrinks, and then what matters least is left out whole
 */
char *
ctl_progress_format_bar (const CtlMoment *moment, guint columns)
{
  g_autofree char *percent = g_strdup_printf (" %3u %%", (guint)(CLAMP (moment->fraction, 0.0, 1.0) * 100));
  g_autofree char *plain = ctl_format_plain (moment->phase, FALSE);
  guint fixed = MIN (ctl_text_width (plain), PHASE_COLUMNS) + ctl_text_width (percent);
  g_autofree char *numbers = format_numbers (moment, columns > fixed ? columns - fixed : 0);
  guint taken = ctl_text_width (percent) + ctl_text_width (numbers);
  g_autofree char *phase = format_phase (moment, columns > taken ? columns - taken : 0);
  g_autofree char *line = g_strconcat (phase, percent, numbers, NULL);

  return ctl_text_cut (line, columns);
}

/**
 * ctl_progress_format_line:
 * @moment: how far it is
 *
 * Returns: (transfer full): phase, percentage and bytes
 */
char *
ctl_progress_format_line (const CtlMoment *moment)
{
  g_autofree char *phase = ctl_format_plain (moment->phase, FALSE);
  g_autofree char *bytes = format_bytes (moment);

  return g_strdup_printf ("%s: %u %%%s", phase, (guint)(CLAMP (moment->fraction, 0.0, 1.0) * 100), bytes);
}

static guint
terminal_columns (void)
{
  guint columns = ctl_terminal_columns (STDERR_FILENO);

  /* The last column stays free: some terminals go to the next line when it is written. */
  return columns > 1 ? columns - 1 : 79;
}

/**
 * ctl_progress_describe:
 * @operation: (nullable): what a job does, as on the bus: `snapshot-create`
 *
 * Returns: (transfer none): the same in words, for a job that hasn't told a phase yet
 */
const char *
ctl_progress_describe (const char *operation)
{
  static const struct
  {
    const char *operation;
    const char *words;
  } table[] = {
    { "start", "Starting the guest" },
    { "save", "Saving the guest" },
    { "managed-save", "Saving the guest" },
    { "restore", "Restoring the guest" },
    { "snapshot-create", "Taking the snapshot" },
    { "snapshot-revert", "Reverting to the snapshot" },
    { "snapshot-delete", "Deleting the snapshot" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    if (g_strcmp0 (table[i].operation, operation) == 0)
      return table[i].words;
  return "Working";
}

/* Since there were any: what comes before them takes time, too. */
static guint64
measure_rate (CtlProgress *progress, guint64 bytes)
{
  gint64 now = g_get_monotonic_time ();

  if (bytes > 0 && (progress->first_time == 0 || bytes < progress->first_bytes))
    {
      progress->first_time = now;
      progress->first_bytes = bytes;
    }
  if (bytes == 0 || now - progress->first_time < RATE_TIME)
    return 0;
  return (guint64)((bytes - progress->first_bytes) * (double)G_USEC_PER_SEC / (now - progress->first_time));
}

static CtlMoment
moment_of (VmSnapJob *job)
{
  guint64 start = vmsnap_job_get_start_time (job);
  gint64 now = g_get_real_time ();
  const char *phase = vmsnap_job_get_phase (job);
  CtlMoment moment = {
    .phase = phase,
    .fraction = vmsnap_job_get_progress (job),
    .bytes_done = vmsnap_job_get_bytes_done (job),
    .bytes_total = vmsnap_job_get_bytes_total (job),
    .elapsed = start != 0 && now > (gint64)start ? now - (gint64)start : 0,
  };

  if (vmsnap_job_get_state (job) == VMSNAP_JOB_STATE_QUEUED)
    moment.phase = "Waiting for its turn";
  else if (vmsnap_job_get_state (job) == VMSNAP_JOB_STATE_CANCELLING)
    moment.phase = "Cancelling";
  else if (phase == NULL || *phase == '\0')
    moment.phase = ctl_progress_describe (vmsnap_job_get_operation (job));
  return moment;
}

static void
clear_line (CtlProgress *progress)
{
  if (progress->terminal)
    fputs ("\r\033[K", stderr);
}

static void
show (CtlProgress *progress)
{
  CtlMoment moment = moment_of (progress->job);
  guint tenths = (guint)(moment.fraction * 10);
  g_autofree char *text = NULL;

  if (progress->terminal)
    {
      moment.rate = measure_rate (progress, moment.bytes_done);
      text = ctl_progress_format_bar (&moment, terminal_columns ());
      fprintf (stderr, "\r%s\033[K", text);
      fflush (stderr);
      return;
    }
  if (progress->told && tenths == progress->tenths && g_strcmp0 (moment.phase, progress->phase) == 0)
    return;
  g_free (progress->phase);
  progress->phase = g_strdup (moment.phase);
  progress->tenths = tenths;
  progress->told = TRUE;
  text = ctl_progress_format_line (&moment);
  fprintf (stderr, "%s\n", text);
}

static void
on_changed (GDBusProxy *job, GVariant *changed, const char *const *invalidated, gpointer user_data)
{
  if (!vmsnap_job_has_ended (VMSNAP_JOB (job)))
    show (user_data);
}

/**
 * ctl_progress_new:
 * @job: a job
 *
 * Shows @job's progress from now on until ctl_progress_free().
 */
CtlProgress *
ctl_progress_new (VmSnapJob *job)
{
  CtlProgress *progress = g_new0 (CtlProgress, 1);

  progress->job = g_object_ref (job);
  progress->terminal = isatty (STDERR_FILENO) && g_strcmp0 (g_getenv ("TERM"), "dumb") != 0;
  progress->changed_id = g_signal_connect (job, "g-properties-changed", G_CALLBACK (on_changed), progress);
  if (!vmsnap_job_has_ended (job))
    show (progress);
  return progress;
}

/**
 * ctl_progress_note:
 * @progress: a progress that is being shown
 * @text: a line of text
 *
 * Puts @text above the bar.
 */
void
ctl_progress_note (CtlProgress *progress, const char *text)
{
  clear_line (progress);
  fprintf (stderr, "%s\n", text);
  show (progress);
}

void
ctl_progress_free (CtlProgress *progress)
{
  clear_line (progress);
  g_clear_signal_handler (&progress->changed_id, progress->job);
  g_object_unref (progress->job);
  g_free (progress->phase);
  g_free (progress);
}
