/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A job: what it says of itself, and what can be asked of it. Waiting for its end is in vmsnap-job-wait.c. Lives in the
 * client's thread.
 */
#include "vmsnap-job.h"

#include "vmsnap-private.h"

/**
 * VmSnapJob:
 *
 * An operation that waits for its turn, is under way, or has ended.
 *
 * Its properties are those of the interface org.vmsnap.VmSnap1.Job, as #GObject properties in the words of the bus; a
 * change is notified, at most ten times a second. The functions here give the words as values of enums, and paths as
 * objects. vmsnap_job_wait() waits for the end.
 *
 * A job returned from a call whose client's main context had no turn since may be another object than the one that
 * #VmSnapClient::job-added comes with; their object paths are the same.
 */
struct _VmSnapJob
{
  VmSnapDBusJobProxy parent_instance;
};

G_DEFINE_FINAL_TYPE (VmSnapJob, vmsnap_job, VM_SNAP_DBUS_TYPE_JOB_PROXY)

static void
vmsnap_job_class_init (VmSnapJobClass *klass)
{
  /* From now on, GDBus turns the names of our errors into the codes. */
  vmsnap_error_quark ();
}

static void
vmsnap_job_init (VmSnapJob *self)
{
}

/**
 * vmsnap_job_get_operation:
 * @job: a job
 *
 * Tells the kind of work, in a word for programs.
 *
 * Returns: (transfer none): what it does: `snapshot-create` and others
 */
const char *
vmsnap_job_get_operation (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), NULL);

  return vm_snap_dbus_job_get_operation (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_get_state:
 * @job: a job
 *
 * Tells the state, as it last came from the service.
 *
 * Returns: how it stands
 */
VmSnapJobState
vmsnap_job_get_state (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), 0);

  return _vmsnap_proxy_get_enum (job, "State", VMSNAP_TYPE_JOB_STATE);
}

/**
 * vmsnap_job_get_phase:
 * @job: a job
 *
 * Tells the present phase, to be shown to the user as it is.
 *
 * Returns: (transfer none): what it is doing, for people
 */
const char *
vmsnap_job_get_phase (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), NULL);

  return vm_snap_dbus_job_get_phase (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_get_progress:
 * @job: a job
 *
 * Never goes backwards, and is 1 only once the job has completed.
 *
 * Returns: how far it is, from 0 to 1
 */
gdouble
vmsnap_job_get_progress (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), 0);

  return vm_snap_dbus_job_get_progress (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_get_bytes_done:
 * @job: a job
 *
 * Tells how much was done, where that can be measured.
 *
 * Returns: the bytes moved so far
 */
guint64
vmsnap_job_get_bytes_done (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), 0);

  return vm_snap_dbus_job_get_bytes_done (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_get_bytes_total:
 * @job: a job
 *
 * Tells how much there is to do, where that is known.
 *
 * Returns: the bytes to move in all; 0: not known
 */
guint64
vmsnap_job_get_bytes_total (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), 0);

  return vm_snap_dbus_job_get_bytes_total (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_get_start_time:
 * @job: a job
 *
 * Until then the job waits for those before it on its domain.
 *
 * Returns: when the work began, in microseconds since the epoch; 0: it has not yet
 */
guint64
vmsnap_job_get_start_time (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), 0);

  return vm_snap_dbus_job_get_start_time (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_get_end_time:
 * @job: a job
 *
 * Tells when a job ended, however it did.
 *
 * Returns: when it ended, in microseconds since the epoch; 0: it has not yet
 */
guint64
vmsnap_job_get_end_time (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), 0);

  return vm_snap_dbus_job_get_end_time (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_is_cancellable:
 * @job: a job
 *
 * A job that would rather go on than turn back can't be cancelled.
 *
 * Returns: whether it can be cancelled now
 */
gboolean
vmsnap_job_is_cancellable (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), FALSE);

  return vm_snap_dbus_job_get_cancellable (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_get_caller_uid:
 * @job: a job
 *
 * Tells whose job it is: its own jobs a user may cancel.
 *
 * Returns: the user id of the caller that asked for it
 */
guint
vmsnap_job_get_caller_uid (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), 0);

  return vm_snap_dbus_job_get_caller_uid (VM_SNAP_DBUS_JOB (job));
}

/**
 * vmsnap_job_has_ended:
 * @job: a job
 *
 * Tells whether nothing more will happen to it.
 *
 * Returns: whether it completed, failed or was cancelled
 */
gboolean
vmsnap_job_has_ended (VmSnapJob *job)
{
  VmSnapJobState state;

  g_return_val_if_fail (VMSNAP_IS_JOB (job), FALSE);

  state = vmsnap_job_get_state (job);
  return state == VMSNAP_JOB_STATE_COMPLETED || state == VMSNAP_JOB_STATE_FAILED || state == VMSNAP_JOB_STATE_CANCELLED;
}

/**
 * vmsnap_job_dup_error:
 * @job: a job
 *
 * Tells how a job failed.
 *
 * Returns: (transfer full) (nullable): why it failed, or that it was cancelled, as a %VMSNAP_ERROR; %NULL if it
 *   completed or has not ended
 */
GError *
vmsnap_job_dup_error (VmSnapJob *job)
{
  g_autoptr (GVariant) value = NULL;
  const char *name = "";
  const char *message = "";

  g_return_val_if_fail (VMSNAP_IS_JOB (job), NULL);

  if (!vmsnap_job_has_ended (job) || vmsnap_job_get_state (job) == VMSNAP_JOB_STATE_COMPLETED)
    return NULL;
  value = g_dbus_proxy_get_cached_property (G_DBUS_PROXY (job), "Error");
  if (value != NULL)
    g_variant_get (value, "(&s&s)", &name, &message);
  if (*name != '\0')
    return vmsnap_error_new_for_dbus_name (name, message);
  if (vmsnap_job_get_state (job) == VMSNAP_JOB_STATE_CANCELLED)
    return g_error_new_literal (VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "The job was cancelled");
  return g_error_new_literal (VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "The job failed, and the service gave no reason");
}

/**
 * vmsnap_job_dup_result:
 * @job: a job
 *
 * Empty until the job has completed.
 *
 * Returns: (transfer full): what came out of it, an `a{sv}`: see org.vmsnap.VmSnap1.Job:Result
 */
GVariant *
vmsnap_job_dup_result (VmSnapJob *job)
{
  GVariant *result;

  g_return_val_if_fail (VMSNAP_IS_JOB (job), NULL);

  result = g_dbus_proxy_get_cached_property (G_DBUS_PROXY (job), "Result");
  return result != NULL ? result : g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));
}

/**
 * vmsnap_job_get_domain:
 * @job: a job
 *
 * Tells which domain it is about.
 *
 * Returns: (transfer full) (nullable): the domain it works on, if it is there
 */
VmSnapDomain *
vmsnap_job_get_domain (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), NULL);

  return _vmsnap_proxy_lookup (job, vm_snap_dbus_job_get_domain (VM_SNAP_DBUS_JOB (job)), VMSNAP_TYPE_DOMAIN);
}

/**
 * vmsnap_job_get_snapshot:
 * @job: a job
 *
 * Tells which snapshot it is about.
 *
 * Returns: (transfer full) (nullable): the snapshot it works on, or that came out of it, if the client knows it; a client
 *   that is gone knows nothing
 */
VmSnapSnapshot *
vmsnap_job_get_snapshot (VmSnapJob *job)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), NULL);

  return _vmsnap_proxy_lookup (job, vm_snap_dbus_job_get_snapshot (VM_SNAP_DBUS_JOB (job)), VMSNAP_TYPE_SNAPSHOT);
}

/**
 * vmsnap_job_cancel:
 * @job: a job
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Cancels the job; it ends when what it did is undone.
 */
void
vmsnap_job_cancel (VmSnapJob *job, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_JOB (job));

  _vmsnap_call (job, "Cancel", g_variant_new ("(@*)", _vmsnap_options (NULL)), cancellable, callback, user_data,
                vmsnap_job_cancel);
}

/**
 * vmsnap_job_cancel_finish:
 * @job: a job
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_job_cancel().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_job_cancel_finish (VmSnapJob *job, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (job, result, vmsnap_job_cancel, NULL, error));
}

/**
 * vmsnap_job_cancel_sync:
 * @job: a job
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Cancels the job; it ends when what it did is undone.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_job_cancel_sync (VmSnapJob *job, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), FALSE);

  return _vmsnap_take_nothing (
    _vmsnap_call_sync (job, "Cancel", g_variant_new ("(@*)", _vmsnap_options (NULL)), NULL, cancellable, error));
}

/**
 * vmsnap_job_dismiss:
 * @job: a job
 * @cancellable: (nullable): a cancellable
 * @callback: called at the end of the call
 * @user_data: for @callback
 *
 * Takes an ended job off the bus.
 */
void
vmsnap_job_dismiss (VmSnapJob *job, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (VMSNAP_IS_JOB (job));

  _vmsnap_call (job, "Dismiss", g_variant_new ("(@*)", _vmsnap_options (NULL)), cancellable, callback, user_data,
                vmsnap_job_dismiss);
}

/**
 * vmsnap_job_dismiss_finish:
 * @job: a job
 * @result: what the callback got
 * @error: why it was not done
 *
 * Finishes vmsnap_job_dismiss().
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_job_dismiss_finish (VmSnapJob *job, GAsyncResult *result, GError **error)
{
  return _vmsnap_take_nothing (_vmsnap_call_finish (job, result, vmsnap_job_dismiss, NULL, error));
}

/**
 * vmsnap_job_dismiss_sync:
 * @job: a job
 * @cancellable: (nullable): a cancellable
 * @error: why it was not done
 *
 * Takes an ended job off the bus.
 *
 * Returns: %TRUE if it was done
 */
gboolean
vmsnap_job_dismiss_sync (VmSnapJob *job, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VMSNAP_IS_JOB (job), FALSE);

  return _vmsnap_take_nothing (
    _vmsnap_call_sync (job, "Dismiss", g_variant_new ("(@*)", _vmsnap_options (NULL)), NULL, cancellable, error));
}
