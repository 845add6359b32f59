/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * QEMU's jobs, waited for in a workflow's thread: by JOB_STATUS_CHANGE, never by asking again and again, for QEMU's main
 * loop stands still in some of them: then even the answer to the command that made the job comes only at the job's end,
 * while events come at once. A job that has concluded is asked for its error, and then dismissed.
 *
 * The states: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html#background-jobs
 */
#include "qmp-job.h"

#include "qmp-connection.h"
#include "qmp-message.h"
#include "vmsnap-error.h"

typedef struct
{
  QmpClient *client;
  const char *job_id;
  QmpWatch *watch;
  char *status; /* NULL: nothing has been heard of the job yet */
  QmpJobProgressFunc func;
  gpointer user_data;
  GCancellable *cancellable;
  gboolean cancel_sent;
  gboolean keep;
} Wait;

static void
wait_clear (Wait *wait)
{
  qmp_watch_free (wait->watch);
  g_free (wait->status);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Wait, wait_clear)

/* Watches from now on: before the job is made, or before its state is asked. */
static void
wait_init (Wait *wait,
           QmpClient *client,
           const char *job_id,
           QmpJobProgressFunc func,
           gpointer user_data,
           GCancellable *cancellable)
{
  static const char *const names[] = { "JOB_STATUS_CHANGE", NULL };

  wait->client = client;
  wait->job_id = job_id;
  wait->watch = qmp_client_watch (client, names);
  wait->func = func;
  wait->user_data = user_data;
  wait->cancellable = cancellable;
}

static gboolean
check_cancelled (GCancellable *cancellable, const char *job_id, GError **error)
{
  if (!g_cancellable_is_cancelled (cancellable))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "QEMU's job '%s' was cancelled", job_id);
  return FALSE;
}

static gboolean
absent (const char *job_id, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "QEMU has no job '%s', and doesn't tell how it ended",
               job_id);
  return FALSE;
}

/* "null": dismissed, by QEMU itself or somebody else */
static gboolean
is_end (const char *status)
{
  return g_strcmp0 (status, "concluded") == 0 || g_strcmp0 (status, "null") == 0;
}

/* Asks QEMU about the job, and with @dismiss has it forget the job in the same breath: it refuses that for a job that
 * isn't over. @object: (out) (transfer full) (nullable): what it says, %NULL when it doesn't know it */
static gboolean
find_job (QmpClient *client, const char *job_id, gboolean dismiss, JsonObject **object, GError **error)
{
  g_auto (QmpCommand) query_jobs = { .command = "query-jobs" };
  g_auto (QmpCommand) job_dismiss = { .command = "job-dismiss" };
  QmpCommand *commands[] = { &query_jobs, &job_dismiss };
  JsonArray *jobs;
  guint n_jobs;

  if (dismiss)
    job_dismiss.arguments = qmp_args_new ("s:id", job_id, NULL);
  qmp_client_call_all (client, commands, dismiss ? 2 : 1, NULL);
  if (query_jobs.value == NULL)
    g_propagate_error (error, g_steal_pointer (&query_jobs.error));
  jobs = qmp_json_node_get_array (query_jobs.value);
  n_jobs = jobs != NULL ? json_array_get_length (jobs) : 0;

  *object = NULL;
  for (guint i = 0; i < n_jobs && *object == NULL; i++)
    {
      JsonObject *job = qmp_json_array_get_object (jobs, i);

      if (g_strcmp0 (qmp_json_get_string (job, "id"), job_id) == 0)
        *object = json_object_ref (job);
    }
  return query_jobs.value != NULL;
}

static gboolean
query (QmpClient *client, const char *job_id, gboolean dismiss, QmpJobStatus *status, char **job_error, GError **error)
{
  g_autoptr (JsonObject) job = NULL;
  const char *text;

  if (!find_job (client, job_id, dismiss, &job, error))
    return FALSE;
  text = qmp_json_get_string (job, "error");
  if (job_error != NULL)
    *job_error = NULL;

  if (job == NULL)
    *status = QMP_JOB_ABSENT;
  else if (g_strcmp0 (qmp_json_get_string (job, "status"), "concluded") != 0)
    *status = QMP_JOB_ACTIVE;
  else if (text == NULL)
    *status = QMP_JOB_SUCCEEDED;
  else
    {
      *status = QMP_JOB_FAILED;
      if (job_error != NULL)
        *job_error = g_strdup (text);
    }
  return TRUE;
}

/**
 * qmp_job_query:
 * @client: a client
 * @job_id: the job's id
 * @status: (out): what has become of it
 * @job_error: (out) (optional) (transfer full) (nullable): the job's error, when it failed
 * @error: return location for a #GError
 *
 * Asks what has become of a job, and leaves it as it is. Blocks for the answer, not for the job.
 *
 * Returns: %FALSE when QEMU couldn't be asked, with the errors of qmp_client_call()
 */
gboolean
qmp_job_query (QmpClient *client, const char *job_id, QmpJobStatus *status, char **job_error, GError **error)
{
  return query (client, job_id, FALSE, status, job_error, error);
}

/**
 * qmp_job_dismiss:
 * @client: a client
 * @job_id: a job that has concluded
 *
 * Has QEMU forget a job. Doesn't wait for that: what is asked afterwards is answered afterwards. QEMU refuses it for a
 * job that hasn't concluded, or that it doesn't know.
 */
void
qmp_job_dismiss (QmpClient *client, const char *job_id)
{
  qmp_client_send (client, "job-dismiss", qmp_args_new ("s:id", job_id, NULL));
}

/* Doesn't wait for the answer: it comes when QEMU's main loop is free again, with the job's end at the latest; and it is
 * an error when the job can't be cancelled any more. */
static void
send_cancel (Wait *wait)
{
  wait->cancel_sent = TRUE;
  qmp_client_send (wait->client, "job-cancel", qmp_args_new ("s:id", wait->job_id, NULL));
}

static void
set_status (Wait *wait, const char *status)
{
  g_free (wait->status);
  wait->status = g_strdup (status);
}

static void
tick (Wait *wait)
{
  if (wait->func != NULL && wait->status != NULL && !is_end (wait->status))
    wait->func (wait->client, wait->job_id, wait->status, wait->user_data);
}

/* Learns the status by asking; a job that isn't there counts as "null". */
static gboolean
ask_status (Wait *wait, GError **error)
{
  g_autoptr (JsonObject) job = NULL;
  const char *status;

  if (!find_job (wait->client, wait->job_id, FALSE, &job, error))
    return FALSE;
  status = qmp_json_get_string (job, "status");
  set_status (wait, status != NULL ? status : "null");
  return TRUE;
}

static void
take_event (Wait *wait, QmpEvent *event)
{
  JsonObject *data = qmp_event_get_data (event);
  const char *status = qmp_json_get_string (data, "status");

  if (status == NULL || g_strcmp0 (qmp_json_get_string (data, "id"), wait->job_id) != 0)
    return;
  /* The last word on an earlier job of that name, which QEMU was told to forget a moment ago. */
  if (wait->status != NULL || !g_str_equal (status, "null"))
    set_status (wait, status);
}

/* Waits for one tick or one event. Returns: %FALSE when the connection ended */
static gboolean
wait_once (Wait *wait, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  gint64 deadline = g_get_monotonic_time () + QMP_JOB_TICK;
  GCancellable *cancellable = wait->cancel_sent ? NULL : wait->cancellable;
  g_autoptr (QmpEvent) event = qmp_watch_pop (wait->watch, deadline, cancellable, &local_error);

  if (event != NULL)
    take_event (wait, event);
  else if (g_error_matches (local_error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED))
    send_cancel (wait);
  else if (!g_error_matches (local_error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  return !qmp_watch_take_overflow (wait->watch) || ask_status (wait, error);
}

/* Waits for the answer to the command that makes the job: for the usual time until the job is heard of, and from then on
 * for as long as the job takes. Returns: %FALSE when the command was refused, or the connection ended */
static gboolean
await_answer (Wait *wait, QmpCall *call, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + QMP_DEFAULT_TIMEOUT;
  g_autoptr (JsonNode) reply = NULL;

  while (!qmp_call_poll (call, g_get_monotonic_time () + QMP_JOB_TICK))
    {
      QmpEvent *event;

      for (; (event = qmp_watch_pop (wait->watch, 0, NULL, NULL)) != NULL; qmp_event_unref (event))
        take_event (wait, event);
      if (wait->status == NULL && g_get_monotonic_time () > deadline)
        break;
      if (!wait->cancel_sent && g_cancellable_is_cancelled (wait->cancellable))
        send_cancel (wait);
      tick (wait);
    }
  reply = qmp_call_wait (call, 0, NULL, error);
  return reply != NULL;
}

/* The job has ended: how? */
static gboolean
finish (Wait *wait, GError **error)
{
  QmpJobStatus status;
  g_autofree char *job_error = NULL;

  if (!query (wait->client, wait->job_id, !wait->keep, &status, &job_error, error))
    return FALSE;
  if (status == QMP_JOB_ABSENT)
    return absent (wait->job_id, error);
  if (status == QMP_JOB_SUCCEEDED)
    return TRUE;
  if (wait->cancel_sent)
    return check_cancelled (wait->cancellable, wait->job_id, error);
  g_set_error (error, VMSNAP_ERROR, qmp_error_code_for_words (job_error != NULL ? job_error : ""),
               "QEMU's job '%s' failed: %s", wait->job_id, job_error != NULL ? job_error : "no reason given");
  return FALSE;
}

static gboolean
wait_for_end (Wait *wait, GError **error)
{
  while (!is_end (wait->status))
    {
      if (!wait_once (wait, error))
        return FALSE;
      tick (wait);
    }
  return finish (wait, error);
}

static gboolean
run (Wait *wait, const char *command, JsonObject *arguments, GError **error)
{
  g_autoptr (QmpCall) call = NULL;

  if (!check_cancelled (wait->cancellable, wait->job_id, error))
    {
      json_object_unref (arguments);
      return FALSE;
    }
  call = qmp_client_begin (wait->client, command, arguments, error);
  if (call == NULL || !await_answer (wait, call, error))
    return FALSE;
  return wait_for_end (wait, error);
}

/**
 * qmp_job_run:
 * @client: a client
 * @command: a command that makes a job
 * @arguments: (transfer full): its arguments, with 'job-id' and, where the command knows it, 'auto-dismiss' false
 * @job_id: the job's id
 * @func: (nullable) (scope call): called while the job runs
 * @user_data: for @func
 * @cancellable: (nullable): cancels the job
 * @error: return location for a #GError
 *
 * Makes a job, waits until it has concluded, however long that takes, and dismisses it. (A QEMU that neither answers nor
 * tells of the job for %QMP_DEFAULT_TIMEOUT is an error: %VMSNAP_ERROR_TIMEOUT.) Cancelling sends job-cancel, and
 * the wait goes on until the job has concluded; one that succeeds all the same is reported as a success.
 *
 * A job that was cancelled or failed may have done its work, or part of it: snapshot-save, for one, heeds a cancellation
 * only after all is written. So whoever undoes looks at what is there.
 *
 * Returns: whether the job succeeded. If not: %VMSNAP_ERROR_HYPERVISOR with the command's or the job's error,
 * %VMSNAP_ERROR_CANCELLED, %VMSNAP_ERROR_NOT_FOUND when the job dismissed itself, or another error of #QmpClient. With
 * %VMSNAP_ERROR_HYPERVISOR_GONE and %VMSNAP_ERROR_TIMEOUT it isn't known whether the job exists; after all others there
 * is no such job.
 */
gboolean
qmp_job_run (QmpClient *client,
             const char *command,
             JsonObject *arguments,
             const char *job_id,
             QmpJobProgressFunc func,
             gpointer user_data,
             GCancellable *cancellable,
             GError **error)
{
  g_auto (Wait) wait = { 0 };

  wait_init (&wait, client, job_id, func, user_data, cancellable);
  return run (&wait, command, arguments, error);
}

/**
 * qmp_job_run_and_keep:
 * @client: a client
 * @command: a command that makes a job
 * @arguments: (transfer full): its arguments
 * @job_id: the job's id
 * @func: (nullable) (scope call): called while the job runs
 * @user_data: for @func
 * @cancellable: (nullable): cancels the job
 * @error: return location for a #GError
 *
 * As qmp_job_run(), but a job that concluded isn't dismissed: as long as the caller hasn't written down how it ended, it
 * can be asked for with qmp_job_query().
 *
 * Returns: whether the job succeeded, as qmp_job_run()
 */
gboolean
qmp_job_run_and_keep (QmpClient *client,
                      const char *command,
                      JsonObject *arguments,
                      const char *job_id,
                      QmpJobProgressFunc func,
                      gpointer user_data,
                      GCancellable *cancellable,
                      GError **error)
{
  g_auto (Wait) wait = { 0 };

  wait_init (&wait, client, job_id, func, user_data, cancellable);
  wait.keep = TRUE;
  return run (&wait, command, arguments, error);
}

/**
 * qmp_job_wait:
 * @client: a client
 * @job_id: the id of a job that was made earlier, maybe in an earlier life of this program
 * @func: (nullable) (scope call): called while the job runs
 * @user_data: for @func
 * @cancellable: (nullable): cancels the job
 * @error: return location for a #GError
 *
 * As qmp_job_run() for a job that exists already, whether it runs or has concluded.
 *
 * Returns: whether the job succeeded. %VMSNAP_ERROR_NOT_FOUND: QEMU has no such job: it was never made, or has ended and
 * was dismissed; what it was to do tells which. Other errors as for qmp_job_run()
 */
gboolean
qmp_job_wait (QmpClient *client,
              const char *job_id,
              QmpJobProgressFunc func,
              gpointer user_data,
              GCancellable *cancellable,
              GError **error)
{
  g_auto (Wait) wait = { 0 };

  wait_init (&wait, client, job_id, func, user_data, cancellable);
  if (!ask_status (&wait, error))
    return FALSE;
  return wait_for_end (&wait, error);
}

/**
 * qmp_job_wait_and_keep:
 * @client: a client
 * @job_id: the id of a job that was made earlier
 * @error: return location for a #GError
 *
 * As qmp_job_wait(), but a job that concluded isn't dismissed: for a recovery that may itself be cut short.
 *
 * Returns: whether the job succeeded, as qmp_job_wait()
 */
gboolean
qmp_job_wait_and_keep (QmpClient *client, const char *job_id, GError **error)
{
  g_auto (Wait) wait = { 0 };

  wait_init (&wait, client, job_id, NULL, NULL, NULL);
  wait.keep = TRUE;
  return ask_status (&wait, error) && wait_for_end (&wait, error);
}

/**
 * qmp_job_wait_until_ready:
 * @client: a client
 * @job_id: the id of a job that was made earlier
 * @timeout: how long to wait, in microseconds; %QMP_NO_TIMEOUT: as long as it takes
 * @error: return location for a #GError; %VMSNAP_ERROR_TIMEOUT when it isn't ready yet, and the job goes on
 *
 * Waits for a job that follows what the guest writes (block-commit of an active layer) to be level with it: from then
 * on `job-complete` ends it. The job isn't dismissed.
 *
 * Returns: whether it is ready, or has succeeded already
 */
gboolean
qmp_job_wait_until_ready (QmpClient *client, const char *job_id, gint64 timeout, GError **error)
{
  g_auto (Wait) wait = { 0 };
  gint64 deadline = g_get_monotonic_time () + timeout;

  wait_init (&wait, client, job_id, NULL, NULL, NULL);
  wait.keep = TRUE;
  if (!ask_status (&wait, error))
    return FALSE;
  while (!is_end (wait.status) && !g_str_equal (wait.status, "ready") && !g_str_equal (wait.status, "standby"))
    {
      if (timeout != QMP_NO_TIMEOUT && g_get_monotonic_time () > deadline)
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "QEMU's job '%s' isn't ready yet", job_id);
          return FALSE;
        }
      if (!wait_once (&wait, error))
        return FALSE;
    }
  return !is_end (wait.status) || finish (&wait, error);
}
