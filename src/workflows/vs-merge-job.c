/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * QEMU's block jobs that merge two files, the same for a guest's QEMU and for a storage daemon. A job that is there
 * already, for an earlier life of the service made it, is gone on with. Threads of runs.
 */
#include "vs-merge-private.h"

#include "qmp-job.h"
#include "qmp-json.h"
#include "vmsnap-error.h"

/* How long nothing may come nearer to its end before the guest is stopped a little earlier. */
#define PATIENCE (30 * G_USEC_PER_SEC)
#define TICK (200 * 1000)

static gboolean
ask_progress (QmpClient *monitor, const char *id, gint64 *done, gint64 *total)
{
  g_autoptr (JsonNode) reply = qmp_client_call (monitor, "query-jobs", NULL, NULL, NULL);
  JsonArray *jobs = reply != NULL ? qmp_json_node_get_array (reply) : NULL;

  for (guint i = 0; jobs != NULL && i < json_array_get_length (jobs); i++)
    {
      JsonObject *job = qmp_json_array_get_object (jobs, i);

      if (g_strcmp0 (qmp_json_get_string (job, "id"), id) == 0)
        return qmp_json_get_int (job, "current-progress", done) && qmp_json_get_int (job, "total-progress", total);
    }
  return FALSE;
}

/* Returns how much is left; G_MAXINT64: nobody knows. */
static gint64
report (const VsMergeJob *self)
{
  gint64 done, total;

  if (!ask_progress (self->monitor, self->id, &done, &total))
    return G_MAXINT64;
  if (self->progress != NULL && total > 0)
    self->progress ((guint64) MAX (done, 0), (guint64) total, self->user_data);
  return total - done;
}

typedef struct
{
  const VsMergeJob *job;
  const char *receiver; /* the node that is written into */
  gboolean completed;
  gboolean finalized;
  GError *error; /* why it wasn't */
} Tick;

static void
tick_clear (Tick *tick)
{
  g_clear_error (&tick->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Tick, tick_clear)

/* Opening a node anew flushes it first, and a storage daemon knows no other way to have that done. */
static JsonObject *
reopen_arguments (const VsMergeJob *self)
{
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), self->reopen);
  g_autoptr (JsonNode) copy = json_node_copy (root);
  JsonArray *options = json_array_new ();

  json_array_add_object_element (options, json_node_dup_object (copy));
  return qmp_args_new ("a:options", options, NULL);
}

/**
 * vs_merge_job_flush:
 * @self: a job
 * @node: a node
 * @error: %VMSNAP_ERROR_NO_SPACE, …
 *
 * Returns: whether all that was written to the node is on the disk
 */
gboolean
vs_merge_job_flush (const VsMergeJob *self, const char *node, GError **error)
{
  g_autofree char *line = g_strdup_printf ("qemu-io %s flush", node);
  g_autoptr (JsonNode) reply
    = self->reopen != NULL ? qmp_client_call_full (self->monitor, "blockdev-reopen", reopen_arguments (self), -1,
                                                   QMP_NO_TIMEOUT, NULL, error)
                           : qmp_client_call_full (self->monitor, "human-monitor-command",
                                                   qmp_args_new ("s:command-line", line, NULL), -1, QMP_NO_TIMEOUT, NULL,
                                                   error);

  return reply != NULL;
}

static void
finalize (Tick *tick)
{
  const VsMergeJob *self = tick->job;
  gboolean ok = vs_merge_job_flush (self, tick->receiver, &tick->error);

  qmp_client_send (self->monitor, ok ? "job-finalize" : "job-cancel", qmp_args_new ("s:id", self->id, NULL));
  tick->finalized = TRUE;
}

/* A job that would follow a writer for ever is told that there is none; and none changes a header before what it copied
 * is on the disk: else the host's sudden end could leave the one without the other. */
static void
on_tick (QmpClient *client, const char *job_id, const char *status, gpointer user_data)
{
  Tick *tick = user_data;

  report (tick->job);
  if (!tick->completed && g_str_equal (status, "ready"))
    {
      qmp_client_send (client, "job-complete", qmp_args_new ("s:id", job_id, NULL));
      tick->completed = TRUE;
    }
  if (!tick->finalized && g_str_equal (status, "pending"))
    finalize (tick);
}

/* What kept it from being flushed says more than that it was cancelled then. */
static gboolean
judge (Tick *tick, gboolean ok, GError **error)
{
  if (ok || tick->error == NULL)
    return ok;
  g_clear_error (error);
  g_propagate_error (error, g_steal_pointer (&tick->error));
  return FALSE;
}

/**
 * vs_merge_job_find:
 * @self: what to do
 * @there: (out): whether there is such a job already; one that failed is forgotten
 * @error: where to put an error
 *
 * Returns: whether it could be asked
 */
gboolean
vs_merge_job_find (const VsMergeJob *self, gboolean *there, GError **error)
{
  QmpJobStatus status;

  if (!qmp_job_query (self->monitor, self->id, &status, NULL, error))
    return FALSE;
  if (status == QMP_JOB_FAILED)
    qmp_job_dismiss (self->monitor, self->id);
  *there = status == QMP_JOB_ACTIVE || status == QMP_JOB_SUCCEEDED;
  return TRUE;
}

/**
 * vs_merge_job_resume:
 * @self: a monitor, the job's name, and what is to be done meanwhile
 * @receiver: the node that it writes into
 * @error: why it failed
 *
 * Waits for a job that an earlier life of the service may have made.
 *
 * Returns: whether it succeeded, or wasn't there
 */
gboolean
vs_merge_job_resume (const VsMergeJob *self, const char *receiver, GError **error)
{
  gboolean there;
  g_auto (Tick) tick = { .job = self, .receiver = receiver };

  return vs_merge_job_find (self, &there, error)
         && (!there
             || judge (&tick, qmp_job_wait (self->monitor, self->id, on_tick, &tick, self->cancellable, error), error));
}

static void
add_common (const VsMergeJob *self, JsonObject *arguments)
{
  json_object_set_boolean_member (arguments, "auto-dismiss", FALSE);
  if (self->speed > 0)
    json_object_set_int_member (arguments, "speed", (gint64) self->speed);
}

static gboolean
run_to_end (const VsMergeJob *self, const char *receiver, const char *command, JsonObject *arguments, GError **error)
{
  g_auto (Tick) tick = { .job = self, .receiver = receiver };

  add_common (self, arguments);
  json_object_set_boolean_member (arguments, "auto-finalize", FALSE);
  return judge (&tick, qmp_job_run (self->monitor, command, arguments, self->id, on_tick, &tick, self->cancellable, error),
                error);
}

/**
 * vs_merge_job_stream:
 * @self: what to do
 * @error: %VMSNAP_ERROR_CANCELLED, %VMSNAP_ERROR_NO_SPACE, …
 *
 * Copies what the lower file holds into the upper one, and writes down that what is below the lower is below the upper.
 * At any moment of it the upper file reads the same.
 *
 * Returns: whether the upper file does without the lower
 */
gboolean
vs_merge_job_stream (const VsMergeJob *self, GError **error)
{
  JsonObject *arguments = qmp_args_new ("s:job-id", self->id, "s:device", self->upper, NULL);

  if (self->below != NULL)
    {
      json_object_set_string_member (arguments, "base-node", self->below);
      json_object_set_string_member (arguments, "backing-file", self->backing_path);
    }
  return run_to_end (self, self->upper, "block-stream", arguments, error);
}

/**
 * vs_merge_job_commit:
 * @self: what to do; the upper file isn't the root
 * @error: %VMSNAP_ERROR_NO_SPACE, …
 *
 * Copies what the upper file holds into the lower one, and writes down in the file above that the lower is below it.
 *
 * Returns: whether the file above does without the upper
 */
gboolean
vs_merge_job_commit (const VsMergeJob *self, GError **error)
{
  return run_to_end (self, self->lower, "block-commit",
                     qmp_args_new ("s:job-id", self->id, "s:device", self->root, "s:top-node", self->upper, "s:base-node",
                                   self->lower, "s:backing-file", self->backing_path, NULL),
                     error);
}

/**
 * vs_merge_job_commit_top:
 * @self: what to do; the upper file is the root, and nobody writes into it
 * @error: %VMSNAP_ERROR_NO_SPACE, …
 *
 * Copies what the upper file holds into the lower one. No header changes.
 *
 * Returns: whether the lower file reads as the upper does
 */
gboolean
vs_merge_job_commit_top (const VsMergeJob *self, GError **error)
{
  return run_to_end (self, self->lower, "block-commit",
                     qmp_args_new ("s:job-id", self->id, "s:device", self->upper, "s:base-node", self->lower, NULL), error);
}

/**
 * vs_merge_job_begin:
 * @self: what to do; the upper file is what the guest writes into
 * @error: where to put an error
 *
 * Begins to copy what the upper file holds into the lower one, and to follow what the guest writes.
 *
 * Returns: whether there is a job that does
 */
gboolean
vs_merge_job_begin (const VsMergeJob *self, GError **error)
{
  JsonObject *arguments = qmp_args_new ("s:job-id", self->id, "s:device", self->upper, "s:base-node", self->lower, NULL);
  g_autoptr (JsonNode) reply = NULL;

  add_common (self, arguments);
  reply = qmp_client_call (self->monitor, "block-commit", arguments, NULL, error);
  return reply != NULL;
}

/* @level: (out): whether all is copied; it isn't yet when @timeout is over */
static gboolean
wait_until_level (const VsMergeJob *self, gint64 timeout, gboolean *level, GError **error)
{
  g_autoptr (GError) local = NULL;

  *level = qmp_job_wait_until_ready (self->monitor, self->id, timeout, &local);
  if (*level || g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/**
 * vs_merge_job_follow:
 * @self: a job that was begun
 * @error: %VMSNAP_ERROR_NO_SPACE, …
 *
 * Waits until all is copied, or less and less isn't left any more: then the guest writes faster than that goes.
 *
 * Returns: whether it is time to stop the guest
 */
gboolean
vs_merge_job_follow (const VsMergeJob *self, GError **error)
{
  gint64 least = G_MAXINT64;
  gint64 since = g_get_monotonic_time ();
  gboolean level;

  do
    {
      gint64 left;

      if (!wait_until_level (self, TICK, &level, error))
        return FALSE;
      left = report (self);
      if (left < least)
        since = g_get_monotonic_time ();
      least = MIN (least, left);
    }
  while (!level && g_get_monotonic_time () - since < PATIENCE);
  return TRUE;
}

/**
 * vs_merge_job_catch_up:
 * @self: a job that was begun, of a guest that stands still
 * @error: %VMSNAP_ERROR_NO_SPACE, …
 *
 * Returns: whether all is copied
 */
gboolean
vs_merge_job_catch_up (const VsMergeJob *self, GError **error)
{
  return qmp_job_wait_until_ready (self->monitor, self->id, QMP_NO_TIMEOUT, error);
}

/**
 * vs_merge_job_complete:
 * @self: a job that has caught up, of a guest that stands still
 * @error: where to put an error; the guest has its file still, unless it is %VMSNAP_ERROR_HYPERVISOR_GONE or
 *   %VMSNAP_ERROR_TIMEOUT
 *
 * Makes the lower file the guest's.
 *
 * Returns: whether it is
 */
gboolean
vs_merge_job_complete (const VsMergeJob *self, GError **error)
{
  qmp_client_send (self->monitor, "job-complete", qmp_args_new ("s:id", self->id, NULL));
  return qmp_job_wait (self->monitor, self->id, NULL, NULL, NULL, error);
}

/**
 * vs_merge_job_cancel:
 * @monitor: whose job
 * @id: its name
 * @error: %VMSNAP_ERROR_HYPERVISOR_GONE, %VMSNAP_ERROR_TIMEOUT
 *
 * Ends a job, if there is one, and waits for its end. It may succeed all the same.
 *
 * Returns: whether there is none any more
 */
gboolean
vs_merge_job_cancel (QmpClient *monitor, const char *id, GError **error)
{
  g_autoptr (GError) local = NULL;

  qmp_client_send (monitor, "job-cancel", qmp_args_new ("s:id", id, NULL));
  if (qmp_job_wait (monitor, id, NULL, NULL, NULL, &local) || g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
    return TRUE;
  if (!g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE)
      && !g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}
