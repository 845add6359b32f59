/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The runner: takes a workflow through its steps on a thread of its own, writes the journal before each, undoes them
 * in reverse when one fails, and settles what a previous life left behind. The only place that knows when a journal is
 * written and removed.
 */
#include "vs-run-private.h"

#include "vmsnap-error.h"

#define QEMU_END_TIMEOUT (30 * G_USEC_PER_SEC)

static gboolean
is_cancelled (VsRun *self)
{
  return !self->journal->committed && !self->recovery && g_cancellable_is_cancelled (vs_job_get_cancellable (self->job));
}

static gboolean
forbid_cancel (VsRun *self, gpointer data, GError **error)
{
  vs_job_set_can_cancel (self->job, FALSE);
  return TRUE;
}

/* From here on the operation is only ever rolled forward. For a step that commits as it begins, the journal says so
 * before; for one that commits when it is done, the journal's name is changed, which works on a full disk, too. */
static gboolean
commit (VsRun *self, GError **error)
{
  if (!self->recovery)
    vs_run_on_main (self, forbid_cancel, NULL, NULL);
  return vs_journal_commit (self->journal, self->store, error);
}

/* Nothing has been done so far, and this only looks; or the journal's last word goes for this one, too. */
static gboolean
needs_no_journal (VsRun *self, const VsStep *step)
{
  if (!self->written)
    return step->undo == NULL && step->commit == VS_COMMIT_NOT;
  return step->joined;
}

/* Before the point of no return, a step that a next life couldn't undo doesn't begin. After it, all steps up to the end
 * will be run again by a next life, so the journal needn't follow. */
static gboolean
begin_step (VsRun *self, guint index, GError **error)
{
  const VsStep *step = &self->workflow->steps[index];
  gboolean commits = step->commit == VS_COMMIT_WHEN_BEGUN;

  self->step = index;
  if (self->journal->committed || needs_no_journal (self, step))
    return TRUE;
  /* A step that commits as it begins is to be run again: what is done then is the step before it. */
  g_return_val_if_fail (index > 0 || !commits, FALSE);
  self->journal->step = commits ? index - 1 : index;
  if (!vs_journal_write (self->journal, self->store, error))
    return FALSE;
  self->written = TRUE;
  return !commits || commit (self, error);
}

/* What must be done whatever happens is done with the guest or without it. QEMU's monitor ends a little before QEMU, and
 * until that has let go of its files nothing can be done without it: so its end is waited for, and then tried again. */
static gboolean
insist (VsRun *self, VsStepFunc func, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (func (self, &local))
    return TRUE;
  if (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE) && self->guest != NULL
      && vs_process_wait (vs_guest_get_process (self->guest), QEMU_END_TIMEOUT, NULL, NULL))
    return func (self, error);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
run_step (VsRun *self, guint index, GError **error)
{
  const VsStep *step = &self->workflow->steps[index];

  /* What isn't done takes no time. */
  if (step->applies != NULL && !step->applies (self))
    {
      self->weight_total -= step->weight;
      return TRUE;
    }
  if (!begin_step (self, index, error))
    return FALSE;
  vs_job_report_phase (self->job, step->phase);
  if (self->journal->committed ? !insist (self, step->run, error) : !step->run (self, error))
    return FALSE;
  if (step->commit == VS_COMMIT_WHEN_DONE && !self->journal->committed && !commit (self, error))
    return FALSE;
  self->weight_done += step->weight;
  if (self->turn_to == NULL)
    vs_job_report_progress (self->job, self->weight_done / self->weight_total);
  return TRUE;
}

/* In reverse, and not past one that fails: what an earlier step protected may be all that is left. The journal follows,
 * so that nothing is undone twice. */
static gboolean
undo_steps (VsRun *self, guint from, GError **error)
{
  self->undoing = TRUE;
  self->journal->undoing = TRUE;
  vs_job_report_phase (self->job, "Undoing");
  for (guint i = from + 1; i-- > 0;)
    {
      const VsStep *step = &self->workflow->steps[i];

      if (step->undo == NULL || (step->applies != NULL && !step->applies (self)))
        continue;
      self->journal->step = i;
      if (i != from && !vs_journal_write (self->journal, self->store, NULL))
        g_warning ("The journal of job %u can't follow its undoing", self->journal->number);
      if (!insist (self, step->undo, error))
        {
          g_prefix_error (error, "'%s': ", step->phase);
          self->undoing = FALSE;
          return FALSE;
        }
    }
  self->undoing = FALSE;
  return TRUE;
}

static void
close_journal (VsRun *self)
{
  g_autoptr (GError) error = NULL;

  if (!vs_journal_remove (self->journal, self->store, &error))
    g_warning ("%s", error->message);
}

/* @failed is the step that went wrong. */
static void
give_up (VsRun *self, guint failed)
{
  g_autoptr (GError) undo_error = NULL;
  g_autofree char *why = NULL;
  int code;

  if (self->journal->committed)
    {
      g_prefix_error (&self->error, "%s is past its point of no return, and will be finished before the next operation: ",
                      self->workflow->operation);
      return;
    }
  if (undo_steps (self, failed, &undo_error))
    {
      close_journal (self);
      return;
    }
  g_warning ("%s of %s could not be undone, and will be before the next operation: %s", self->workflow->operation,
             self->journal->uuid, undo_error->message);
  why = g_strdup (self->error->message);
  code = self->error->domain == VMSNAP_ERROR ? self->error->code : VMSNAP_ERROR_FAILED;
  g_clear_error (&self->error);
  self->error = g_error_new (VMSNAP_ERROR, code, "%s; and it could not be undone yet: %s", why, undo_error->message);
}

/* A step has found out which workflow it takes: that one's steps come next, from the first. */
static gboolean
take_turn (VsRun *self)
{
  if (self->turn_to == NULL)
    return FALSE;
  self->workflow = g_steal_pointer (&self->turn_to);
  vs_journal_set_workflow (self->journal, self->workflow->name);
  self->weight_total = self->weight_done;
  for (guint i = 0; i < self->workflow->n_steps; i++)
    self->weight_total += self->workflow->steps[i].weight;
  return TRUE;
}

static void
run_forward (VsRun *self, guint from)
{
  for (guint i = from; i < self->workflow->n_steps; i = take_turn (self) ? 0 : i + 1)
    {
      gboolean cancelled = is_cancelled (self);

      if (!cancelled && run_step (self, i, &self->error))
        continue;
      if (cancelled || g_error_matches (self->error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
          || g_error_matches (self->error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED))
        {
          g_clear_error (&self->error);
          g_set_error (&self->error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "%s was cancelled",
                       self->workflow->operation);
        }
      if (cancelled && i == 0)
        return;
      give_up (self, cancelled ? i - 1 : i);
      return;
    }
  close_journal (self);
}

/* The last of the steps that the journal speaks of when it says that @step has begun. */
static guint
last_under_way (VsRun *self, guint step)
{
  while (!self->journal->undoing && step + 1 < self->workflow->n_steps)
    {
      const VsStep *next = &self->workflow->steps[step + 1];

      if (!next->joined && (next->applies == NULL || next->applies (self)))
        break;
      step++;
    }
  return step;
}

static gboolean
has_happened (VsRun *self, guint from, guint to)
{
  for (guint i = from; i <= to; i++)
    {
      const VsStep *step = &self->workflow->steps[i];

      if (step->commit == VS_COMMIT_WHEN_DONE && step->happened != NULL && step->happened (self))
        return TRUE;
    }
  return FALSE;
}

/* Where a committed run goes on: behind the step that committed it, which may have joined the one in the journal. */
static guint
first_to_do (VsRun *self)
{
  for (guint i = self->journal->step; i < self->workflow->n_steps; i++)
    if (self->workflow->steps[i].commit == VS_COMMIT_WHEN_DONE)
      return i + 1;
  return self->journal->step;
}

/* What was left behind: forward past the point of no return, else back. */
static void
settle (VsRun *self)
{
  guint step = MIN (self->journal->step, self->workflow->n_steps - 1);
  guint last = last_under_way (self, step);

  self->written = TRUE;
  if (!self->journal->committed && !self->journal->undoing && has_happened (self, step, last)
      && !commit (self, &self->error))
    return;
  if (self->journal->committed)
    {
      run_forward (self, first_to_do (self));
      return;
    }
  g_set_error (&self->error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED,
               "The service ended in the middle of %s; everything is as it was before", self->workflow->operation);
  give_up (self, last);
}

static gboolean
on_done (gpointer user_data)
{
  VsRun *self = user_data;

  vs_domain_set_held (self->domain, FALSE);
  self->done (self, self->error, self->done_data);
  vs_run_free (self);
  return G_SOURCE_REMOVE;
}

static gpointer
thread_main (gpointer user_data)
{
  VsRun *self = user_data;

  if (self->recovery)
    settle (self);
  else
    run_forward (self, 0);
  /* It may have files and programs to end, for which the main thread doesn't wait. */
  vs_run_set_tool (self, NULL, NULL);
  vs_run_invoke_on_main (on_done, self);
  return NULL;
}

/**
 * vs_run_start:
 * @self: (transfer full): a run
 * @done: called on the main thread when all is done or undone; the run is freed after it
 * @user_data: for @done
 *
 * Begins. Main thread.
 */
void
vs_run_start (VsRun *self, VsRunDone done, gpointer user_data)
{
  self->done = done;
  self->done_data = user_data;
  g_thread_unref (g_thread_new ("vs-run", thread_main, self));
}
