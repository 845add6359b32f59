/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A run as its steps see it: its guest, its definition, its facts, and the way to the main thread. What makes the steps
 * run is vs-runner.c.
 */
#include "vs-run-private.h"

#include "vmsnap-error.h"
#include "vs-engine.h"

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

/* When its end has been told. */
void
vs_run_free (VsRun *self)
{
  g_object_unref (self->engine);
  g_object_unref (self->domain);
  g_object_unref (self->job);
  g_object_unref (self->store);
  g_clear_object (&self->guest);
  vs_run_set_tool (self, NULL, NULL);
  g_clear_object (&self->files);
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
 * @files: (nullable): descriptors of the caller's
 *
 * Main thread.
 *
 * Returns: (transfer full): a run, for vs_run_start()
 */
VsRun *
vs_run_new (VsEngine *engine,
            VsDomain *domain,
            const VsWorkflow *workflow,
            VsJob *job,
            JsonObject *facts,
            GUnixFDList *files)
{
  VsRun *self = run_alloc (engine, domain, workflow, job);

  g_set_object (&self->files, files);
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
 * @late: whether others had the domain in their hands since
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
                        VsJournal *journal,
                        gboolean late)
{
  VsRun *self = run_alloc (engine, domain, workflow, job);

  self->journal = journal;
  self->recovery = TRUE;
  self->late = late;
  return self;
}

void
vs_run_invoke_on_main (GSourceFunc func, gpointer data)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, NULL);
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
  vs_run_invoke_on_main (on_main_call, &call);
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
 * vs_run_get_fd:
 * @self: a run
 *
 * Returns: the caller's descriptor that the operation works on, the run's own duplicate; -1 when there is none, or no
 *   more: it doesn't outlive the service
 */
int
vs_run_get_fd (VsRun *self)
{
  int n = 0;
  const int *fds = self->files != NULL ? g_unix_fd_list_peek_fds (self->files, &n) : NULL;

  return n > 0 ? fds[0] : -1;
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
 * vs_run_is_late:
 * @self: a run
 *
 * Returns: whether this settles an operation of which its end was told: the guest may have been paused or resumed by
 *   its user since
 */
gboolean
vs_run_is_late (VsRun *self)
{
  return self->late;
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
 * vs_run_get_tool:
 * @self: a run
 *
 * Returns: (transfer none) (nullable): what an earlier step of this life left for the later ones
 */
gpointer
vs_run_get_tool (VsRun *self)
{
  return self->tool;
}

/**
 * vs_run_set_tool:
 * @self: a run
 * @tool: (transfer full) (nullable): what later steps will need; what was there before is destroyed
 * @destroy: (nullable): how to destroy @tool, at the run's end at the latest
 *
 * For what can't be a fact: it is lost when the service ends, and steps and undos must know what to do without it.
 */
void
vs_run_set_tool (VsRun *self, gpointer tool, GDestroyNotify destroy)
{
  if (self->tool != NULL && self->destroy_tool != NULL)
    self->destroy_tool (self->tool);
  self->tool = tool;
  self->destroy_tool = destroy;
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
 * vs_run_turn_to:
 * @self: a run of which nothing is written down yet
 * @workflow: one of the table of all workflows
 *
 * For a step that only looks: which workflow is the right one turned out only now. When the step is done, the steps of
 * @workflow follow it, with the same facts, in the place of what is left of the present one.
 */
void
vs_run_turn_to (VsRun *self, const VsWorkflow *workflow)
{
  g_return_if_fail (!self->written);
  self->turn_to = workflow;
}

/**
 * vs_run_withdraw_commit:
 * @self: a run past its point of no return
 *
 * For a step that fails, and knows that nothing has happened from which there is no way back: it is undone, with all
 * before it. Where that can't be written down, it stays as it is. May be called again.
 */
void
vs_run_withdraw_commit (VsRun *self)
{
  if (self->journal->committed && !vs_journal_withdraw (self->journal, self->store))
    g_warning ("Job %u stays past its point of no return", self->journal->number);
}

/**
 * vs_run_report_progress:
 * @self: a run
 * @fraction: how much of the present step is done, 0…1
 */
void
vs_run_report_progress (VsRun *self, double fraction)
{
  double weight = self->workflow->steps[self->step].weight;

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
