/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Waiting for a job's end: it may have come before, come now, be cancelled, or never come because the service died.
 * Whoever waits can be told how far the job is. Lives in the thread whose main context the wait began in.
 */
#include "vmsnap-job.h"

#include "vmsnap-client.h"
#include "vmsnap-private.h"

/* Whom to tell. */
typedef struct
{
  VmSnapJob *job; /* as the caller has it */
  VmSnapProgressCallback callback;
  gpointer data;
  GDestroyNotify destroy;
} Progress;

typedef struct
{
  VmSnapWaitFlags flags;
  Progress progress;
  gulong changed_id;
  gulong completed_id;
  guint watch_id;
  GSource *cancelled;
  gboolean ended;
} Wait;

static void
wait_free (Wait *wait)
{
  g_clear_pointer (&wait->cancelled, g_source_unref);
  if (wait->progress.destroy != NULL)
    wait->progress.destroy (wait->progress.data);
  g_free (wait);
}

/* The only way out. Takes @error; drops the reference that the wait itself holds. */
static void
wait_end (GTask *task, GError *error)
{
  g_autoptr (GTask) owned = task;
  Wait *wait = g_task_get_task_data (task);

  wait->ended = TRUE;
  g_clear_signal_handler (&wait->changed_id, g_task_get_source_object (task));
  g_clear_signal_handler (&wait->completed_id, g_task_get_source_object (task));
  if (wait->watch_id != 0)
    g_bus_unwatch_name (wait->watch_id);
  if (wait->cancelled != NULL)
    g_source_destroy (wait->cancelled);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

/* The signal rather than the properties tells the end: it carries all of it, and comes once. */
static void
on_completed (VmSnapJob *job,
              const char *state,
              const char *error_name,
              const char *error_message,
              GVariant *result,
              gpointer user_data)
{
  if (g_strcmp0 (state, "completed") == 0)
    wait_end (user_data, NULL);
  else if (*error_name != '\0')
    wait_end (user_data, vmsnap_error_new_for_dbus_name (error_name, error_message));
  else if (g_strcmp0 (state, "cancelled") == 0)
    wait_end (user_data, g_error_new_literal (VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "The job was cancelled"));
  else
    wait_end (user_data, vmsnap_error_new_for_dbus_name (NULL, "The job failed, and the service gave no reason"));
}

static void
on_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  wait_end (user_data,
            g_error_new_literal (G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY,
                                 "The vmsnap service went away before the job's end; it settles what was under way "
                                 "when it starts again"));
}

/* A job past its point of return can't be cancelled, and its end is near: that alone is no reason to stop waiting. */
static void
on_cancel_reply (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  Wait *wait = g_task_get_task_data (task);

  if (vmsnap_job_cancel_finish (VMSNAP_JOB (source), result, &error) || wait->ended)
    return;
  if (g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE))
    return;
  wait_end (task, g_steal_pointer (&error));
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  GTask *task = user_data;
  Wait *wait = g_task_get_task_data (task);

  if (wait->flags & VMSNAP_WAIT_CANCEL_JOB)
    vmsnap_job_cancel (g_task_get_source_object (task), NULL, on_cancel_reply, g_object_ref (task));
  else
    wait_end (task, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "The wait was cancelled; the job goes on"));
  return G_SOURCE_REMOVE;
}

static void
watch_cancellable (GTask *task)
{
  Wait *wait = g_task_get_task_data (task);
  GCancellable *cancellable = g_task_get_cancellable (task);

  if (cancellable == NULL)
    return;
  wait->cancelled = g_cancellable_source_new (cancellable);
  g_source_set_callback (wait->cancelled, G_SOURCE_FUNC (on_cancelled), task, NULL);
  g_source_attach (wait->cancelled, g_task_get_context (task));
}

static void
copy_properties (VmSnapJob *from, VmSnapJob *to)
{
  g_auto (GStrv) names = g_dbus_proxy_get_cached_property_names (G_DBUS_PROXY (from));

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autoptr (GVariant) value = g_dbus_proxy_get_cached_property (G_DBUS_PROXY (from), names[i]);

      g_dbus_proxy_set_cached_property (G_DBUS_PROXY (to), names[i], value);
    }
}

static void
tell_progress (VmSnapJob *job, const Progress *progress)
{
  if (progress->callback == NULL)
    return;
  if (progress->job != job)
    copy_properties (job, progress->job);
  progress->callback (progress->job, vmsnap_job_get_phase (job), vmsnap_job_get_bytes_done (job),
                      vmsnap_job_get_bytes_total (job), progress->data);
}

static void
on_changed (VmSnapJob *job, GVariant *changed, const char *const *invalidated, gpointer user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);
  Wait *wait = g_task_get_task_data (task);

  tell_progress (job, &wait->progress);
}

/* The process that the job lives in: a service that comes back has none of the jobs of the one before. */
static char *
owner_of (VmSnapJob *job)
{
  const char *name = g_dbus_proxy_get_name (G_DBUS_PROXY (job));

  return g_dbus_is_unique_name (name) ? g_strdup (name) : g_dbus_proxy_get_name_owner (G_DBUS_PROXY (job));
}

/* @progress: copied; its data are freed at the end */
static void
begin (VmSnapJob *job,
       VmSnapWaitFlags flags,
       const Progress *progress,
       GCancellable *cancellable,
       GAsyncReadyCallback callback,
       gpointer user_data,
       gpointer tag)
{
  g_autofree char *owner = owner_of (job);
  Wait *wait = g_new0 (Wait, 1);
  GTask *task = g_task_new (job, cancellable, callback, user_data);

  wait->flags = flags;
  wait->progress = *progress;
  g_task_set_source_tag (task, tag);
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, wait, (GDestroyNotify)wait_free);
  tell_progress (job, progress);
  if (vmsnap_job_has_ended (job))
    {
      wait_end (task, vmsnap_job_dup_error (job));
      return;
    }
  if (owner == NULL)
    {
      on_vanished (NULL, NULL, task);
      return;
    }
  if (progress->callback != NULL)
    wait->changed_id = g_signal_connect (job, "g-properties-changed", G_CALLBACK (on_changed), task);
  wait->completed_id = g_signal_connect (job, "completed", G_CALLBACK (on_completed), task);
  wait->watch_id = g_bus_watch_name_on_connection (g_dbus_proxy_get_connection (G_DBUS_PROXY (job)), owner,
                                                   G_BUS_NAME_WATCHER_FLAGS_NONE, NULL, on_vanished, task, NULL);
  watch_cancellable (task);
}

/**
 * vmsnap_job_wait:
 * @job: a job
 * @flags: what a cancelled wait does
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end
 * @user_data: for @callback
 *
 * Waits for the end of a job, which may have come before.
 *
 * If @cancellable is cancelled, the wait ends with %G_IO_ERROR_CANCELLED, and the job goes on. With
 * %VMSNAP_WAIT_CANCEL_JOB the job is cancelled instead, and waited for: the wait then ends with
 * %VMSNAP_ERROR_CANCELLED when the job has undone what it did, without an error if the job was past its point of return
 * and completed, and with the error of vmsnap_job_cancel() if that was refused.
 */
void
vmsnap_job_wait (VmSnapJob *job,
                 VmSnapWaitFlags flags,
                 GCancellable *cancellable,
                 GAsyncReadyCallback callback,
                 gpointer user_data)
{
  const Progress nobody = { NULL };

  g_return_if_fail (VMSNAP_IS_JOB (job));

  begin (job, flags, &nobody, cancellable, callback, user_data, vmsnap_job_wait);
}

/**
 * vmsnap_job_wait_finish:
 * @job: a job
 * @result: what the callback got
 * @error: why the job failed, as a %VMSNAP_ERROR; or why it isn't known, as a %G_DBUS_ERROR
 *
 * Finishes vmsnap_job_wait().
 *
 * Returns: %TRUE if the job completed
 */
gboolean
vmsnap_job_wait_finish (VmSnapJob *job, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, job), FALSE);
  g_return_val_if_fail (g_task_get_source_tag (G_TASK (result)) == vmsnap_job_wait, FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * vmsnap_job_wait_with_progress:
 * @job: a job
 * @flags: what a cancelled wait does
 * @cancellable: (nullable): a cancellable
 * @progress_callback: (nullable) (scope notified) (closure progress_data) (destroy progress_destroy): told how far the
 *   job is now, before this returns, and of each change, at most ten times a second, in the thread's default main
 *   context; not called any more when @callback is
 * @progress_data: for @progress_callback
 * @progress_destroy: (nullable): frees @progress_data
 * @callback: called at the end
 * @user_data: for @callback
 *
 * Waits for the end of a job as vmsnap_job_wait() does, and tells how far it is meanwhile.
 */
void
vmsnap_job_wait_with_progress (VmSnapJob *job,
                               VmSnapWaitFlags flags,
                               GCancellable *cancellable,
                               VmSnapProgressCallback progress_callback,
                               gpointer progress_data,
                               GDestroyNotify progress_destroy,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
  const Progress progress = { job, progress_callback, progress_data, progress_destroy };

  g_return_if_fail (VMSNAP_IS_JOB (job));

  begin (job, flags, &progress, cancellable, callback, user_data, vmsnap_job_wait_with_progress);
}

/**
 * vmsnap_job_wait_with_progress_finish:
 * @job: a job
 * @result: what the callback got
 * @error: why the job failed, as a %VMSNAP_ERROR; or why it isn't known, as a %G_DBUS_ERROR
 *
 * Finishes vmsnap_job_wait_with_progress().
 *
 * Returns: %TRUE if the job completed
 */
gboolean
vmsnap_job_wait_with_progress_finish (VmSnapJob *job, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, job), FALSE);
  g_return_val_if_fail (g_task_get_source_tag (G_TASK (result)) == vmsnap_job_wait_with_progress, FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
on_waited (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **)user_data = g_object_ref (result);
}

/* Waits in the thread's own context, which @twin was made in. */
static gboolean
wait_for_twin (VmSnapJob *twin,
               VmSnapWaitFlags flags,
               const Progress *progress,
               GCancellable *cancellable,
               GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  g_autoptr (GAsyncResult) result = NULL;

  begin (twin, flags, progress, cancellable, on_waited, &result, wait_for_twin);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* Where no main loop runs, nobody would bring in what the job has made before the caller looks for it. */
static void
catch_up (VmSnapJob *job)
{
  g_autoptr (VmSnapClient) client = _vmsnap_proxy_dup_client (job);
  GMainContext *context = client != NULL ? _vmsnap_client_get_context (client) : NULL;

  if (context == NULL || g_main_context_is_owner (context) || !g_main_context_acquire (context))
    return;
  vmsnap_client_catch_up_sync (client, NULL, NULL);
  g_main_context_release (context);
}

static gboolean
wait_sync (VmSnapJob *job, VmSnapWaitFlags flags, const Progress *progress, GCancellable *cancellable, GError **error)
{
  g_autoptr (GMainContext) context = NULL;
  g_autoptr (GDBusProxy) twin = NULL;
  gboolean completed = FALSE;

  if (vmsnap_job_has_ended (job))
    {
      GError *job_error = vmsnap_job_dup_error (job);

      tell_progress (job, progress);
      if (job_error != NULL)
        g_propagate_error (error, job_error);
      return job_error == NULL;
    }
  /* The signals of @job come to a main context that nobody runs meanwhile. */
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  twin = _vmsnap_proxy_new_sync (g_dbus_proxy_get_connection (G_DBUS_PROXY (job)), NULL,
                                 g_dbus_proxy_get_object_path (G_DBUS_PROXY (job)), NULL, error);
  if (twin != NULL)
    {
      completed = wait_for_twin (VMSNAP_JOB (twin), flags, progress, cancellable, error);
      copy_properties (VMSNAP_JOB (twin), job);
    }
  /* GDBus frees what belongs to a subscription from the context that it was made in. */
  g_clear_object (&twin);
  while (g_main_context_iteration (context, FALSE))
    ;
  g_main_context_pop_thread_default (context);
  catch_up (job);
  return completed;
}

/**
 * vmsnap_job_wait_sync:
 * @job: a job
 * @flags: what a cancelled wait does
 * @cancellable: (nullable): a cancellable
 * @error: why the job failed, as a %VMSNAP_ERROR; or why it isn't known, as a %G_DBUS_ERROR
 *
 * Waits for the end of a job, which may have come before, as vmsnap_job_wait() does. The properties of @job are then
 * those of its end. In a program without a main loop the client's other objects are brought up to date, too, as
 * vmsnap_client_catch_up_sync() does; where a main loop runs, they are as old as its last turn.
 *
 * Returns: %TRUE if the job completed
 */
gboolean
vmsnap_job_wait_sync (VmSnapJob *job, VmSnapWaitFlags flags, GCancellable *cancellable, GError **error)
{
  const Progress nobody = { NULL };

  g_return_val_if_fail (VMSNAP_IS_JOB (job), FALSE);

  return wait_sync (job, flags, &nobody, cancellable, error);
}

/**
 * vmsnap_job_wait_with_progress_sync:
 * @job: a job
 * @flags: what a cancelled wait does
 * @cancellable: (nullable): a cancellable
 * @progress_callback: (nullable) (scope call) (closure progress_data): told how far the job is now, and of each change,
 *   at most ten times a second
 * @progress_data: for @progress_callback
 * @error: why the job failed, as a %VMSNAP_ERROR; or why it isn't known, as a %G_DBUS_ERROR
 *
 * Waits for the end of a job as vmsnap_job_wait_sync() does, and tells how far it is meanwhile. The properties of @job
 * are brought up to date for each call of @progress_callback.
 *
 * Returns: %TRUE if the job completed
 */
gboolean
vmsnap_job_wait_with_progress_sync (VmSnapJob *job,
                                    VmSnapWaitFlags flags,
                                    GCancellable *cancellable,
                                    VmSnapProgressCallback progress_callback,
                                    gpointer progress_data,
                                    GError **error)
{
  const Progress progress = { job, progress_callback, progress_data, NULL };

  g_return_val_if_fail (VMSNAP_IS_JOB (job), FALSE);

  return wait_sync (job, flags, &progress, cancellable, error);
}
