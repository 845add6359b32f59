/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Waiting for a guest's memory to be written, with progress, cancel, and the help that a guest needs which changes its
 * memory faster than that. Threads of runs.
 */
#include "vmsnap-error.h"
#include "vs-memory-private.h"
#include "vs-steps.h"
#include "vs-warning.h"

/* How often progress is looked at, when QEMU has no news. */
#define INTERVAL (100 * G_TIME_SPAN_MILLISECOND)
/* How many times all that has changed is written before the guest may stop for longer; and for how long at most, in
 * milliseconds, before it is stopped for good. */
#define PATIENT_ROUNDS 4
#define LONGEST_STOP 1000
/* The same for a caller that insists on a short one. */
#define LONGEST_LIVE_STOP 200

typedef struct
{
  VsRun *run;
  QmpWatch *watch;
  const char *state;
  gboolean must_end; /* a cancel has to wait, too */
  gboolean told;
  gint64 limit;
  gint64 rounds;
} Wait;

static gboolean
is_cancelled (Wait *wait)
{
  GCancellable *cancellable = vs_run_get_cancellable (wait->run);

  return cancellable != NULL && g_cancellable_is_cancelled (cancellable);
}

static gboolean
wait_for_news (Wait *wait, GError **error)
{
  g_autoptr (GError) local = NULL;
  GCancellable *cancellable = wait->must_end ? NULL : vs_run_get_cancellable (wait->run);
  g_autoptr (QmpEvent) event = qmp_watch_pop (wait->watch, g_get_monotonic_time () + INTERVAL, cancellable, &local);

  if (event != NULL || g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* The caller sees why nothing happens. */
static void
tell_of_cancel (Wait *wait)
{
  if (wait->told || !is_cancelled (wait))
    return;
  wait->told = TRUE;
  vs_job_report_phase (vs_run_get_job (wait->run), "Letting QEMU finish, which would lose the guest otherwise");
}

/* It has to be stopped before its memory can be written. */
static gboolean
stop_guest (Wait *wait, GError **error)
{
  const char *name = vs_run_get_def (wait->run)->name;

  if (vs_run_get_flag (wait->run, FACT_LIVE))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "%s changes its memory faster than it can be written: it would have to stand still for that. Leave "
                   "'live' out to allow it, or give a faster disk for the memory", name);
      return FALSE;
    }
  vs_warning_add (wait->run, "The guest changed its memory faster than it could be written, and was stopped for "
                  "the rest of it");
  return vs_steps_call (wait->run, "stop", NULL, error);
}

/* Each time that QEMU begins anew with what has changed. */
static gboolean
help_converge (Wait *wait, const VsMigrationLook *look, GError **error)
{
  gint64 longest;

  if (wait->state == NULL || look->rounds <= wait->rounds || look->rounds < PATIENT_ROUNDS)
    return TRUE;
  wait->rounds = look->rounds;
  longest = vs_run_get_flag (wait->run, FACT_LIVE) ? LONGEST_LIVE_STOP : LONGEST_STOP;
  if (wait->limit > longest)
    return TRUE;
  wait->limit *= 2;
  if (wait->limit > longest)
    return stop_guest (wait, error);
  return vs_steps_call (wait->run, "migrate-set-parameters", qmp_args_new ("i:downtime-limit", wait->limit, NULL), error);
}

/* Returns whether it is there; FALSE without an error: not yet. */
static gboolean
has_arrived (Wait *wait, GError **error)
{
  g_auto (VsMigrationLook) look = { 0 };

  if (!vs_migration_look_on (wait->run, &look, error))
    return FALSE;
  if (look.total > 0)
    vs_run_report_bytes (wait->run, (guint64) MAX (look.total - look.remaining, 0), (guint64) look.total);
  if (g_strcmp0 (look.status, wait->state) == 0 || g_strcmp0 (look.status, "completed") == 0)
    return TRUE;
  if (vs_migration_is_under_way (look.status))
    {
      help_converge (wait, &look, error);
      return FALSE;
    }
  vs_migration_set_save_error (wait->run, &look, error);
  return FALSE;
}

/**
 * vs_memory_wait_for:
 * @run: a run whose guest is being written
 * @watch: of its migration
 * @state: (nullable): how far, in QEMU's words; %NULL: until all is written
 * @error: %VMSNAP_ERROR_CANCELLED; %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, %VMSNAP_ERROR_HYPERVISOR: it can't be
 *   written; %VMSNAP_ERROR_HYPERVISOR_GONE
 *
 * Returns: whether it has come so far
 */
gboolean
vs_memory_wait_for (VsRun *run, QmpWatch *watch, const char *state, GError **error)
{
  Wait wait = { .run = run, .watch = watch, .state = state, .limit = VS_MIGRATION_DOWNTIME_LIMIT };
  g_autoptr (GError) local = NULL;

  wait.must_end = vs_memory_save_get_mode (run) == VS_MEMORY_BACKGROUND && vs_memory_mode_is_fragile (run);
  while (!has_arrived (&wait, &local))
    {
      if (local != NULL || !wait_for_news (&wait, &local))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      tell_of_cancel (&wait);
    }
  return !g_cancellable_set_error_if_cancelled (vs_run_get_cancellable (run), error);
}
