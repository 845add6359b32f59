/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The runner: takes a workflow through its steps on a thread of its own, writes the journal before each, undoes them
 * in reverse when one fails, and settles what a previous life left behind. The only place that knows when a journal is
 * written and removed.
 */
#include "vs-run.h"

#include "vmsnap-error.h"
#include "vs-engine.h"

struct _VsRun
{
  /* Main thread only */
  VsEngine *engine;
  VsDomain *domain;
  VsRunDone done;
  gpointer done_data;

  /* The run's thread; set before it begins */
  const VsWorkflow *workflow;
  VsJob *job;
  VsJournal *journal;
  VsStore *store;
  VsGuest *guest;
  VsDomainDef *def;
  gboolean recovery;
  gboolean undoing;
  double weight_done;
  double weight_total;
  GError *error;
};

static VsRun *
run_alloc (VsEngine *engine, VsDomain *domain, const VsWorkflow *workflow, VsJob *job)
{
  VsRun *self = g_new0 (VsRun, 1);
  VsGuest *guest = vs_domain_get_guest (domain);

  self->engine = g_object_ref (engine);
  self->domain = g_object_ref (domain);
  self->workflow = workflow;
  self->job = g_object_ref (job);
  self->store = g_object_ref (vs_engine_get_store (engine));
  self->guest = guest != NULL ? g_object_ref (guest) : NULL;
  self->def = vs_domain_def_ref (vs_domain_get_def (domain));
  for (guint i = 0; i < workflow->n_steps; i++)
    self->weight_total += workflow->steps[i].weight;
  return self;
}

static void
run_free (VsRun *self)
{
  g_object_unref (self->engine);
  g_object_unref (self->domain);
  g_object_unref (self->job);
  g_object_unref (self->store);
  g_clear_object (&self->guest);
  vs_domain_def_unref (self->def);
  vs_journal_free (self->journal);
  g_clear_error (&self->error);
  g_free (self);
}

/**
 * vs_run_new:
 * @engine: the engine
 * @domain: the domain
 * @workflow: what to do
 * @job: how the world sees it
 * @facts: (transfer none): what the caller asked for; becomes the run's
 *
 * Main thread.
 *
 * Returns: (transfer full): a run, for vs_run_start()
 */
VsRun *
vs_run_new (VsEngine *engine, VsDomain *domain, const VsWorkflow *workflow, VsJob *job, JsonObject *facts)
{
  VsRun *self = run_alloc (engine, domain, workflow, job);

  self->journal = vs_journal_new (vs_domain_get_uuid (domain), workflow->name, vs_job_get_number (job),
                                  vs_job_get_caller_uid (job), facts);
  return self;
}

/**
 * vs_run_new_for_journal:
 * @engine: the engine
 * @domain: the domain
 * @workflow: the workflow that the journal names
 * @job: how the world sees it
 * @journal: (transfer full): what was left behind
 *
 * Main thread.
 *
 * Returns: (transfer full): a run that will settle @journal
 */
VsRun *
vs_run_new_for_journal (VsEngine *engine,
                        VsDomain *domain,
                        const VsWorkflow *workflow,
                        VsJob *job,
                        VsJournal *journal)
{
  VsRun *self = run_alloc (engine, domain, workflow, job);

  self->journal = journal;
  self->recovery = TRUE;
  return self;
}

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

      if (step->undo == NULL || step->undo (self, &local))
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
  run_free (self);
  return G_SOURCE_REMOVE;
}

static void
invoke_on_main (GSourceFunc func, gpointer data)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, NULL);
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
  invoke_on_main (on_done, self);
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

typedef struct
{
  VsRun *run;
  VsMainFunc func;
  gpointer data;
  GError *error;
  gboolean ok;
  gboolean done;
  GMutex lock;
  GCond cond;
} MainCall;

static gboolean
on_main_call (gpointer user_data)
{
  MainCall *call = user_data;

  call->ok = call->func (call->run, call->data, &call->error);
  g_mutex_lock (&call->lock);
  call->done = TRUE;
  g_cond_signal (&call->cond);
  g_mutex_unlock (&call->lock);
  return G_SOURCE_REMOVE;
}

/**
 * vs_run_on_main:
 * @self: a run
 * @func: what to do there
 * @data: for @func
 * @error: where to put its error
 *
 * Hands values to the main thread: the only place where model objects may be touched. Waits until @func has returned.
 *
 * Returns: what @func returned
 */
gboolean
vs_run_on_main (VsRun *self, VsMainFunc func, gpointer data, GError **error)
{
  MainCall call = { .run = self, .func = func, .data = data };

  g_mutex_init (&call.lock);
  g_cond_init (&call.cond);
  invoke_on_main (on_main_call, &call);
  g_mutex_lock (&call.lock);
  while (!call.done)
    g_cond_wait (&call.cond, &call.lock);
  g_mutex_unlock (&call.lock);
  g_mutex_clear (&call.lock);
  g_cond_clear (&call.cond);
  if (call.error != NULL)
    g_propagate_error (error, call.error);
  return call.ok;
}

VsEngine *
vs_run_get_engine (VsRun *self)
{
  return self->engine;
}

VsDomain *
vs_run_get_domain (VsRun *self)
{
  return self->domain;
}

VsJob *
vs_run_get_job (VsRun *self)
{
  return self->job;
}

VsStore *
vs_run_get_store (VsRun *self)
{
  return self->store;
}

const char *
vs_run_get_uuid (VsRun *self)
{
  return self->journal->uuid;
}

guint
vs_run_get_number (VsRun *self)
{
  return self->journal->number;
}

/**
 * vs_run_get_cancellable:
 * @self: a run
 *
 * Returns: (transfer none) (nullable): what a step waits with; %NULL where nothing may be cancelled: in an undo, past
 *   the point of no return, in recovery
 */
GCancellable *
vs_run_get_cancellable (VsRun *self)
{
  if (self->undoing || self->recovery || self->journal->committed)
    return NULL;
  return vs_job_get_cancellable (self->job);
}

gboolean
vs_run_is_recovery (VsRun *self)
{
  return self->recovery;
}

/**
 * vs_run_get_guest:
 * @self: a run
 *
 * Returns: (transfer none) (nullable): the guest, as of this run
 */
VsGuest *
vs_run_get_guest (VsRun *self)
{
  return self->guest;
}

/**
 * vs_run_set_guest:
 * @self: a run
 * @guest: (transfer none) (nullable): the guest that a step started; %NULL: it has ended one
 */
void
vs_run_set_guest (VsRun *self, VsGuest *guest)
{
  g_set_object (&self->guest, guest);
}

/**
 * vs_run_get_monitor:
 * @self: a run
 * @error: where to put %VMSNAP_ERROR_HYPERVISOR_GONE
 *
 * Returns: (transfer none) (nullable): the guest's monitor
 */
QmpClient *
vs_run_get_monitor (VsRun *self, GError **error)
{
  if (self->guest == NULL || vs_guest_has_exited (self->guest))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE, "The guest of %s has ended", self->def->name);
      return NULL;
    }
  return vs_guest_get_client (self->guest);
}

/**
 * vs_run_get_def:
 * @self: a run
 *
 * Returns: (transfer none): the domain's definition as of this run: the guest's while there is one
 */
VsDomainDef *
vs_run_get_def (VsRun *self)
{
  return self->def;
}

/**
 * vs_run_set_def:
 * @self: a run
 * @def: (transfer none): another definition to go by from now on
 */
void
vs_run_set_def (VsRun *self, VsDomainDef *def)
{
  vs_domain_def_ref (def);
  vs_domain_def_unref (self->def);
  self->def = def;
}

/**
 * vs_run_write_journal:
 * @self: a run
 * @error: where to put an error
 *
 * Writes the facts down in the middle of a step. Never while the guest is stopped: it costs a sync.
 *
 * Returns: whether they are written
 */
gboolean
vs_run_write_journal (VsRun *self, GError **error)
{
  return vs_journal_write (self->journal, self->store, error);
}

/**
 * vs_run_report_progress:
 * @self: a run
 * @fraction: how much of the present step is done, 0…1
 */
void
vs_run_report_progress (VsRun *self, double fraction)
{
  double weight = self->workflow->steps[MIN (self->journal->step, self->workflow->n_steps - 1)].weight;

  if (!self->undoing)
    vs_job_report_progress (self->job, (self->weight_done + weight * CLAMP (fraction, 0, 1)) / self->weight_total);
}

/**
 * vs_run_report_bytes:
 * @self: a run
 * @done: bytes so far
 * @total: bytes there will be, as far as is known
 *
 * Reports bytes, and the step's progress as their quotient.
 */
void
vs_run_report_bytes (VsRun *self, guint64 done, guint64 total)
{
  vs_job_report_bytes (self->job, done, total);
  if (total > 0)
    vs_run_report_progress (self, (double) done / (double) total);
}

JsonObject *
vs_run_get_facts (VsRun *self)
{
  return self->journal->facts;
}

/**
 * vs_run_get_string:
 * @self: a run
 * @key: a fact's name
 *
 * Returns: (transfer none) (nullable): that fact
 */
const char *
vs_run_get_string (VsRun *self, const char *key)
{
  JsonNode *node = json_object_get_member (self->journal->facts, key);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
           ? json_node_get_string (node)
           : NULL;
}

gboolean
vs_run_get_flag (VsRun *self, const char *key)
{
  return json_object_get_boolean_member_with_default (self->journal->facts, key, FALSE);
}

gint64
vs_run_get_int (VsRun *self, const char *key)
{
  return json_object_get_int_member_with_default (self->journal->facts, key, 0);
}

void
vs_run_set_string (VsRun *self, const char *key, const char *value)
{
  if (value != NULL)
    json_object_set_string_member (self->journal->facts, key, value);
  else
    json_object_remove_member (self->journal->facts, key);
}

void
vs_run_set_flag (VsRun *self, const char *key, gboolean value)
{
  json_object_set_boolean_member (self->journal->facts, key, value);
}

void
vs_run_set_int (VsRun *self, const char *key, gint64 value)
{
  json_object_set_int_member (self->journal->facts, key, value);
}
