/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The queue of each domain: one operation at a time changes a domain, the others wait for their turn. Main thread only.
 */
#include "vs-engine-private.h"

#include "vmsnap-error.h"

typedef struct
{
  VsEngine *engine; /* unowned: the engine owns the queue */
  VsDomain *domain;
  GQueue waiting; /* of Task */
  VsJob *running;
  guint idle;
} Queue;

typedef struct
{
  Queue *queue; /* unowned */
  const VsWorkflow *workflow;
  VsJob *job;
  JsonObject *facts;
  GUnixFDList *files;
  GSource *cancelled;
} Task;

static void
task_free (Task *task)
{
  g_source_destroy (task->cancelled);
  g_source_unref (task->cancelled);
  g_object_unref (task->job);
  json_object_unref (task->facts);
  g_clear_object (&task->files);
  g_free (task);
}

void
vs_engine_queue_free (gpointer data)
{
  Queue *queue = data;

  g_clear_handle_id (&queue->idle, g_source_remove);
  g_queue_clear_full (&queue->waiting, (GDestroyNotify) task_free);
  g_object_unref (queue->domain);
  g_free (queue);
}

static Queue *
get_queue (VsEngine *self, VsDomain *domain)
{
  Queue *queue = g_hash_table_lookup (self->queues, vs_domain_get_uuid (domain));

  if (queue != NULL && queue->domain == domain)
    return queue;
  queue = g_new0 (Queue, 1);
  queue->engine = self;
  queue->domain = g_object_ref (domain);
  g_queue_init (&queue->waiting);
  g_hash_table_replace (self->queues, g_strdup (vs_domain_get_uuid (domain)), queue);
  return queue;
}

gboolean
vs_engine_is_busy (VsEngine *self, VsDomain *domain)
{
  Queue *queue = g_hash_table_lookup (self->queues, vs_domain_get_uuid (domain));

  return vs_engine_is_held (self, domain)
         || (queue != NULL && queue->domain == domain && (queue->running != NULL || !g_queue_is_empty (&queue->waiting)));
}

static void start_next (Queue *queue);

static gboolean
on_turn (gpointer user_data)
{
  Queue *queue = user_data;

  queue->idle = 0;
  start_next (queue);
  return G_SOURCE_REMOVE;
}

/* From an idle, so that the reply with the job's path leaves before the work begins. */
static void
schedule (Queue *queue)
{
  if (queue->idle == 0 && queue->running == NULL && !g_queue_is_empty (&queue->waiting))
    queue->idle = g_idle_add (on_turn, queue);
}

static void
end_job (Queue *queue, VsJob *job, const GError *error)
{
  g_autoptr (VsEngine) engine = g_object_ref (queue->engine);
  g_autoptr (VsDomain) domain = g_object_ref (queue->domain);

  if (vs_domain_get_job (domain) == job)
    vs_domain_set_job (domain, NULL);
  vs_job_end (job, error);
  vs_engine_retire_job (engine, job);
  if (g_queue_is_empty (&queue->waiting))
    g_hash_table_remove (engine->queues, vs_domain_get_uuid (domain));
  else
    schedule (queue);
  vs_engine_drop_if_over (engine, domain);
}

static void
on_run_done (VsRun *run, const GError *error, gpointer user_data)
{
  Queue *queue = user_data;
  g_autoptr (VsJob) job = g_steal_pointer (&queue->running);

  vs_domain_take_wish (queue->domain);
  vs_engine_release_disks (queue->engine, queue->domain);
  end_job (queue, job, error);
}

/* A transient domain that goes down with the service leaves nothing but the journal to know it by. */
static void
keep_transient (VsDomain *domain, JsonObject *facts)
{
  g_autofree char *xml = NULL;

  if (vs_domain_get_persistent (domain))
    return;
  xml = vs_domain_def_format (vs_domain_get_def (domain));
  json_object_set_string_member (facts, VS_JOURNAL_TRANSIENT_DEFINITION, xml);
}

/* Its turn has come: much may have changed since it was asked for. */
static void
run_task (Queue *queue, Task *task)
{
  const VsWorkflow *workflow = task->workflow;
  g_autoptr (VsJob) job = g_object_ref (task->job);
  g_autoptr (GError) error = NULL;
  VsRun *run;

  if (workflow->check != NULL && !workflow->check (queue->engine, queue->domain, task->facts, &error))
    {
      task_free (task);
      g_clear_object (&queue->running);
      end_job (queue, job, error);
      return;
    }
  if (workflow->choose != NULL)
    workflow = workflow->choose (queue->domain, task->facts);
  keep_transient (queue->domain, task->facts);
  vs_domain_take_wish (queue->domain);
  run = vs_run_new (queue->engine, queue->domain, workflow, job, task->facts, task->files);
  /* The facts are the run's thread's from here on: their references aren't counted atomically. */
  task_free (task);
  vs_run_start (run, on_run_done, queue);
}

static void settle_first (Task *task, GPtrArray *journals);

typedef struct
{
  Task *task;
  GPtrArray *journals;
  VsJournal *journal; /* unowned: to see whether it is gone */
} Leftover;

static void
on_leftover_settled (VsRun *run, const GError *error, gpointer user_data)
{
  g_autofree Leftover *leftover = user_data;
  g_autoptr (GPtrArray) journals = leftover->journals;
  Task *task = leftover->task;
  Queue *queue = task->queue;
  g_autoptr (VsJob) job = g_object_ref (task->job);
  g_autoptr (GError) refusal = NULL;

  vs_engine_release_disks (queue->engine, queue->domain);
  if (!vs_journal_exists (leftover->journal, queue->engine->store))
    {
      settle_first (task, journals);
      return;
    }
  g_set_error (&refusal, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "An earlier %s on this domain must be settled first: %s",
               leftover->journal->workflow, error != NULL ? error->message : "it could not be");
  task_free (task);
  g_clear_object (&queue->running);
  end_job (queue, job, refusal);
}

static void
refuse_unknown (Task *task, VsJournal *journal)
{
  Queue *queue = task->queue;
  g_autoptr (VsJob) job = g_object_ref (task->job);
  g_autoptr (GError) error =
    g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_FAILED,
                 "An earlier %s on this domain must be settled first, and this version of the service doesn't know it; "
                 "use the version that began it",
                 journal->workflow);

  task_free (task);
  g_clear_object (&queue->running);
  end_job (queue, job, error);
}

/* What an earlier operation couldn't undo or finish comes first, before this one looks at the domain; or this one
 * doesn't begin. */
static void
settle_first (Task *task, GPtrArray *journals)
{
  Queue *queue = task->queue;
  g_autoptr (VsJournal) journal = NULL;
  g_autoptr (VsJob) quiet = NULL;
  const VsWorkflow *workflow;
  Leftover *leftover;

  if (journals->len == 0)
    {
      run_task (queue, task);
      return;
    }
  journal = g_ptr_array_steal_index (journals, 0);
  workflow = vs_engine_find_workflow (queue->engine, journal->workflow);
  if (workflow == NULL)
    {
      refuse_unknown (task, journal);
      return;
    }
  vs_job_report_phase (task->job, "Settling an earlier operation");
  quiet = vs_job_new (journal->number, workflow->operation, journal->uuid, journal->caller_uid);
  leftover = g_new0 (Leftover, 1);
  leftover->task = task;
  leftover->journals = g_ptr_array_ref (journals);
  leftover->journal = journal;
  vs_run_start (vs_run_new_for_journal (queue->engine, queue->domain, workflow, quiet, g_steal_pointer (&journal), TRUE),
                on_leftover_settled, leftover);
}

static void
start_next (Queue *queue)
{
  Task *task = g_queue_pop_head (&queue->waiting);
  g_autoptr (GPtrArray) journals = vs_journal_load (queue->engine->store, vs_domain_get_uuid (queue->domain));

  g_source_destroy (task->cancelled);
  queue->running = g_object_ref (task->job);
  vs_domain_set_job (queue->domain, task->job);
  vs_job_begin (task->job);
  settle_first (task, journals);
}

/* Cancelled while it waited. When its turn has come that is its run's business. */
static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  Task *task = user_data;
  Queue *queue = task->queue;
  g_autoptr (VsJob) job = g_object_ref (task->job);
  g_autoptr (GError) error = g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "%s was cancelled before it began",
                                          task->workflow->operation);

  g_queue_remove (&queue->waiting, task);
  task_free (task);
  if (queue->running == NULL && g_queue_is_empty (&queue->waiting))
    g_clear_handle_id (&queue->idle, g_source_remove);
  if (queue->running != NULL)
    {
      vs_job_end (job, error);
      vs_engine_retire_job (queue->engine, job);
    }
  else
    end_job (queue, job, error);
  return G_SOURCE_REMOVE;
}

static Task *
task_new (Queue *queue, const VsWorkflow *workflow, VsJob *job, JsonObject *facts, GUnixFDList *files)
{
  Task *task = g_new0 (Task, 1);

  task->queue = queue;
  task->workflow = workflow;
  task->job = g_object_ref (job);
  task->facts = json_object_ref (facts);
  g_set_object (&task->files, files);
  task->cancelled = g_cancellable_source_new (vs_job_get_cancellable (job));
  g_source_set_callback (task->cancelled, G_SOURCE_FUNC (on_cancelled), task, NULL);
  g_source_attach (task->cancelled, NULL);
  return task;
}

/**
 * vs_engine_submit:
 * @self: the engine
 * @domain: a domain
 * @workflow: what to do to it
 * @facts: (transfer none): what the caller asked for
 * @request: who asks, and whether to wait
 * @error: where to put %VMSNAP_ERROR_BUSY, or what @workflow's check says
 *
 * Queues an operation. It begins later, from the main loop. When nothing else is under way the domain's state is
 * checked at once; it is checked again when the turn has come.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_engine_submit (VsEngine *self,
                  VsDomain *domain,
                  const VsWorkflow *workflow,
                  JsonObject *facts,
                  const VsRequest *request,
                  GError **error)
{
  gboolean busy = vs_engine_is_busy (self, domain);
  VsJob *job;
  Queue *queue;

  if (!vs_engine_check_admits (self, domain, error))
    return NULL;
  if (busy && request->no_queue)
    {
      VsJob *other = vs_domain_get_job (domain);

      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                   "%s is busy with %s (job %u); wait for its end, or leave out queue=false to have this done after it",
                   vs_domain_get_name (domain), other != NULL ? vs_job_get_operation (other) : "another operation",
                   other != NULL ? vs_job_get_number (other) : 0);
      return NULL;
    }
  if (!busy && workflow->check != NULL && !workflow->check (self, domain, facts, error))
    return NULL;

  job = vs_engine_add_job (self, workflow->operation, vs_domain_get_uuid (domain), request->caller_uid, 0);
  if (json_object_has_member (facts, VS_FACT_SNAPSHOT))
    vs_job_set_snapshot_name (job, json_object_get_string_member (facts, VS_FACT_SNAPSHOT));
  queue = get_queue (self, domain);
  g_queue_push_tail (&queue->waiting, task_new (queue, workflow, job, facts, request->files));
  g_signal_emit_by_name (self, "job-added", job);
  schedule (queue);
  return job;
}
