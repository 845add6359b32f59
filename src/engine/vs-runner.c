/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The runner: takes a workflow through its steps on a thread of its own, writes the journal before each, undoes them
 * in reverse when one fails, and settles what a previous life left behind. The only place that knows when a journal is
 * written and removed.
 */
#include "vs-run-private.h"

#include "vmsnap-error.h"

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

static void
commit (VsRun *self)
{
  self->journal->committed = TRUE;
  vs_run_on_main (self, forbid_cancel, NULL, NULL);
}

static gboolean
run_step (VsRun *self, guint index, GError **error)
{
  const VsStep *step = &self->workflow->steps[index];
  g_autoptr (GError) local = NULL;

  if (step->applies != NULL && !step->applies (self))
    return TRUE;
  if (step->commit == VS_COMMIT_WHEN_BEGUN && !self->journal->committed)
    commit (self);
  self->journal->step = index;
  if (!vs_journal_write (self->journal, self->store, &local))
    {
      /* Before the point of no return, what can't be undone by a next life must not begin. After it, what is left to
       * do is worth doing without a journal, too. */
      if (!self->journal->committed || step->commit == VS_COMMIT_WHEN_BEGUN)
        {
          self->journal->committed = FALSE;
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      g_warning ("%s goes on without a journal: %s", self->workflow->operation, local->message);
    }
  vs_job_report_phase (self->job, step->phase);
  if (!step->run (self, error))
    return FALSE;
  if (step->commit == VS_COMMIT_WHEN_DONE)
    commit (self);
  self->weight_done += step->weight;
  vs_job_report_progress (self->job, self->weight_done / self->weight_total);
  return TRUE;
}

/* One failing undo doesn't keep the others from their work. */
static gboolean
undo_steps (VsRun *self, guint from, GError **error)
{
  gboolean ok = TRUE;

  self->undoing = TRUE;
  vs_job_report_phase (self->job, "Undoing");
  for (guint i = from + 1; i-- > 0;)
    {
      g_autoptr (GError) local = NULL;
      const VsStep *step = &self->workflow->steps[i];

      if (step->undo == NULL || (step->applies != NULL && !step->applies (self)) || step->undo (self, &local))
        continue;
      g_warning ("%s of %s: “%s” could not be undone, and will be tried again: %s", self->workflow->operation,
                 self->journal->uuid, step->phase, local->message);
      if (ok)
        g_propagate_error (error, g_steal_pointer (&local));
      ok = FALSE;
    }
  self->undoing = FALSE;
  return ok;
}

static void
close_journal (VsRun *self)
{
  g_autoptr (GError) error = NULL;

  if (!vs_journal_remove (self->journal, self->store, &error))
    g_warning ("%s", error->message);
}

/* @failed is the step that went wrong, or NULL with G_MAXUINT when none had begun. */
static void
give_up (VsRun *self, guint failed)
{
  g_autoptr (GError) undo_error = NULL;

  if (self->journal->committed)
    {
      g_prefix_error (&self->error, "%s is past its point of no return, and will be finished later: ",
                      self->workflow->operation);
      return;
    }
  if (!undo_steps (self, failed, &undo_error))
    {
      g_autofree char *why = g_strdup (self->error->message);
      int code = self->error->domain == VMSNAP_ERROR ? self->error->code : VMSNAP_ERROR_FAILED;

      g_clear_error (&self->error);
      self->error = g_error_new (VMSNAP_ERROR, code, "%s; and it could not be undone yet: %s", why, undo_error->message);
      return;
    }
  close_journal (self);
}

static void
run_forward (VsRun *self, guint from)
{
  for (guint i = from; i < self->workflow->n_steps; i++)
    {
      gboolean cancelled = is_cancelled (self);

      if (!cancelled && run_step (self, i, &self->error))
        continue;
      if (cancelled || g_error_matches (self->error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
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

/* Forward past the point of no return, else back. */
static void
settle (VsRun *self)
{
  guint step = MIN (self->journal->step, self->workflow->n_steps - 1);
  const VsStep *under_way = &self->workflow->steps[step];

  if (!self->journal->committed && under_way->commit == VS_COMMIT_WHEN_DONE && under_way->happened != NULL
      && under_way->happened (self))
    {
      self->journal->committed = TRUE;
      step++;
    }
  if (self->journal->committed)
    {
      run_forward (self, step);
      return;
    }
  g_set_error (&self->error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED,
               "The service ended in the middle of %s; everything is as it was before", self->workflow->operation);
  give_up (self, step);
}

/* What an earlier operation on this domain couldn't undo or finish comes first, or this one doesn't begin. */
static gboolean
settle_leftovers (VsRun *self, GError **error)
{
  g_autoptr (GPtrArray) journals = vs_journal_load (self->store, self->journal->uuid);

  for (guint i = 0; i < journals->len; i++)
    {
      VsJournal *own = self->journal;
      const VsWorkflow *workflow = self->workflow;
      gboolean ok;

      self->journal = g_ptr_array_index (journals, i);
      self->workflow = vs_engine_find_workflow (self->engine, self->journal->workflow);
      ok = self->workflow != NULL;
      if (ok)
        {
          self->recovery = TRUE;
          settle (self);
          self->recovery = FALSE;
          ok = !vs_journal_exists (self->journal, self->store);
        }
      if (!ok)
        g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "An earlier %s on this domain must be settled first: %s",
                     self->journal->workflow,
                     self->error != NULL ? self->error->message : "this version doesn't know the operation");
      g_clear_error (&self->error);
      self->journal = own;
      self->workflow = workflow;
      if (!ok)
        return FALSE;
    }
  return TRUE;
}

static gboolean
on_done (gpointer user_data)
{
  VsRun *self = user_data;

  self->done (self, self->error, self->done_data);
  vs_run_free (self);
  return G_SOURCE_REMOVE;
}

static gpointer
thread_main (gpointer user_data)
{
  VsRun *self = user_data;
  GError *leftover = NULL;

  if (self->recovery)
    settle (self);
  else if (settle_leftovers (self, &leftover))
    run_forward (self, 0);
  else
    self->error = leftover;
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

/**
 * vs_run_is_forward:
 * @self: a run that has ended
 *
 * Returns: whether it got past the point of no return: after a recovery, whether it was finished rather than undone
 */
gboolean
vs_run_is_forward (VsRun *self)
{
  return self->journal->committed;
}
