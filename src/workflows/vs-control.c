/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The short operations: one word to QEMU, asked from the main thread, never waiting in it. They act at once, also
 * beside an operation that is under way, which is told what the user wants of the guest.
 */
#include "vmsnap-error.h"
#include "vs-operations.h"

#define POWER_OFF_TIMEOUT (10 * G_USEC_PER_SEC)

static gboolean
refuse (GTask *task, VsDomain *domain, const char *what)
{
  g_task_return_new_error (task, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "%s is %s: %s", vs_domain_get_name (domain),
                           vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vs_domain_get_state (domain)), what);
  return FALSE;
}

static gboolean
check (GTask *task, VsDomain *domain, VsControl control)
{
  VmSnapDomainState state = vs_domain_get_state (domain);

  if (!vs_domain_is_active (domain))
    return refuse (task, domain, control == VS_CONTROL_POWER_OFF ? "there is nothing to power off" : "start it first");
  if (control != VS_CONTROL_POWER_OFF && !vs_domain_is_reachable (domain))
    {
      g_task_return_new_error (task, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE,
                               "The QEMU of %s runs, but doesn't answer on its monitor; wait until it does, or power it "
                               "off",
                               vs_domain_get_name (domain));
      return FALSE;
    }
  if ((control == VS_CONTROL_RESUME || control == VS_CONTROL_RESET) && vs_domain_get_held (domain))
    {
      g_task_return_new_error (task, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                               "The memory of %s is being saved or restored, and must not change meanwhile; wait for its "
                               "job's end, or cancel the job",
                               vs_domain_get_name (domain));
      return FALSE;
    }
  if (control == VS_CONTROL_RESUME && state == VMSNAP_DOMAIN_STATE_CRASHED)
    return refuse (task, domain, "reset it, or power it off");
  if (control == VS_CONTROL_SHUTDOWN && state != VMSNAP_DOMAIN_STATE_RUNNING)
    return refuse (task, domain, "its guest can't hear the request; resume it first, or power it off");
  return TRUE;
}

/* What was to explain an event that hasn't come by now explains none. */
static void
forget_expectations (VsDomain *domain, VsControl control)
{
  if (control == VS_CONTROL_PAUSE)
    vs_domain_expect_no_stop (domain, VMSNAP_STATE_REASON_USER);
  if (control == VS_CONTROL_RESUME)
    vs_domain_expect_no_resume (domain, VMSNAP_STATE_REASON_USER);
}

static void
on_reply (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (JsonNode) reply = NULL;
  GError *error = NULL;

  reply = qmp_client_call_finish (QMP_CLIENT (source), result, &error);
  forget_expectations (g_task_get_source_object (task), GPOINTER_TO_INT (g_task_get_task_data (task)));
  if (reply == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

/* While QEMU saves or loads a snapshot it answers nothing until it is done. */
static void
call (GTask *task, VsDomain *domain, const char *command)
{
  gint64 timeout = vs_domain_get_job (domain) != NULL ? QMP_NO_TIMEOUT : VS_ANSWER_TIMEOUT;

  qmp_client_call_async (vs_guest_get_client (vs_domain_get_guest (domain)), command, NULL, -1, timeout, NULL, on_reply,
                         g_object_ref (task));
}

/* QEMU leaves a crashed guest standing after its reset. */
static void
on_crashed_reset (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (JsonNode) reply = NULL;
  GError *error = NULL;

  reply = qmp_client_call_finish (QMP_CLIENT (source), result, &error);
  if (reply == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  qmp_client_call_async (QMP_CLIENT (source), "cont", NULL, -1, VS_ANSWER_TIMEOUT, NULL, on_reply,
                         g_object_ref (task));
}

static void
reset (GTask *task, VsDomain *domain)
{
  if (vs_domain_get_state (domain) != VMSNAP_DOMAIN_STATE_CRASHED)
    {
      call (task, domain, "system_reset");
      return;
    }
  qmp_client_call_async (vs_guest_get_client (vs_domain_get_guest (domain)), "system_reset", NULL, -1,
                         VS_ANSWER_TIMEOUT, NULL, on_crashed_reset, g_object_ref (task));
}

static void
end_thread (GTask *task, gpointer source, gpointer guest, GCancellable *cancellable)
{
  GError *error = NULL;

  if (vs_guest_end (guest, VS_PROCESS_END_TERM, POWER_OFF_TIMEOUT, NULL, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* The answer comes when the domain is known to be off. */
static void
on_gone (VsDomain *domain, GTask *task)
{
  g_signal_handlers_disconnect_by_data (domain, task);
  g_task_return_boolean (task, TRUE);
  g_object_unref (task);
}

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  VsDomain *domain = VS_DOMAIN (source);
  GError *error = NULL;

  if (!g_task_propagate_boolean (G_TASK (result), &error))
    g_task_return_error (task, error);
  else if (vs_domain_get_guest (domain) != g_task_get_task_data (task))
    g_task_return_boolean (task, TRUE);
  else
    g_signal_connect (domain, "guest-gone", G_CALLBACK (on_gone), g_steal_pointer (&task));
}

static void
power_off (GTask *task, VsDomain *domain)
{
  VsGuest *guest = vs_domain_get_guest (domain);
  g_autoptr (GTask) inner = g_task_new (domain, NULL, on_ended, g_object_ref (task));

  g_task_set_task_data (task, g_object_ref (guest), g_object_unref);
  g_task_set_task_data (inner, g_object_ref (guest), g_object_unref);
  vs_domain_expect_end (domain, VMSNAP_STATE_REASON_DESTROYED);
  g_task_run_in_thread (inner, end_thread);
}

/**
 * vs_operation_control_async:
 * @domain: a domain
 * @control: what to do
 * @callback: called on the main thread
 * @user_data: for @callback
 *
 * Does one of the short things. Power-off is done when the guest is gone, the others when QEMU has said yes; a shutdown
 * is then up to the guest.
 */
void
vs_operation_control_async (VsDomain *domain, VsControl control, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (domain, NULL, callback, user_data);

  if (!check (task, domain, control))
    return;
  g_task_set_task_data (task, GINT_TO_POINTER (control), NULL);
  switch (control)
    {
    case VS_CONTROL_SHUTDOWN:
      call (task, domain, "system_powerdown");
      break;
    case VS_CONTROL_RESET:
      reset (task, domain);
      break;
    case VS_CONTROL_PAUSE:
      vs_domain_set_wish (domain, VS_WISH_PAUSE);
      vs_domain_expect_stop (domain, VMSNAP_STATE_REASON_USER);
      call (task, domain, "stop");
      break;
    case VS_CONTROL_RESUME:
      vs_domain_set_wish (domain, VS_WISH_RUN);
      vs_domain_expect_resume (domain, VMSNAP_STATE_REASON_USER);
      call (task, domain, "cont");
      break;
    case VS_CONTROL_POWER_OFF:
      power_off (task, domain);
      break;
    }
}

/**
 * vs_operation_control_finish:
 * @domain: the domain
 * @result: as given to the callback
 * @error: where to put %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_HYPERVISOR, …
 *
 * Returns: whether it was done
 */
gboolean
vs_operation_control_finish (VsDomain *domain, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
