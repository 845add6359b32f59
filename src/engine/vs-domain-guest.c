/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain's ear at its guest: QEMU's events become the domain's state. Nothing here acts on the guest. Main thread
 * only.
 */
#include "vs-domain-private.h"

#include "vmsnap-error.h"
#include "vs-command-line.h"

/* How long the last events of a guest that has exited may take to arrive. */
#define LAST_EVENTS_SECONDS 2

/* Takes what was expected, so that it explains one event only. */
static VmSnapStateReason
take (VmSnapStateReason *expected)
{
  VmSnapStateReason reason = *expected;

  *expected = VMSNAP_STATE_REASON_UNKNOWN;
  return reason;
}

static const char *
get_string (JsonObject *object, const char *key)
{
  return json_object_get_string_member_with_default (object, key, "");
}

static void
set_running (VsDomain *self)
{
  VmSnapStateReason reason = take (&self->expected_resume);

  self->doubtful = FALSE;
  if (reason != VMSNAP_STATE_REASON_UNKNOWN)
    self->running_reason = reason;
  vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_RUNNING, self->running_reason);
}

static gboolean
is_from_snapshot (VsDomain *self)
{
  return self->state == VMSNAP_DOMAIN_STATE_PAUSED && self->reason == VMSNAP_STATE_REASON_FROM_SNAPSHOT;
}

/* What query-status says, as our state. A guest that stands still was paused by its user, unless it may have been by
 * what an earlier life of the service left unfinished, or it is known to have been brought back so. */
static void
apply_status (VsDomain *self, const char *status)
{
  if (g_str_equal (status, "running") || g_str_equal (status, "suspended"))
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_RUNNING, self->running_reason);
  else if (g_str_equal (status, "io-error"))
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_IO_ERROR);
  else if (g_str_equal (status, "guest-panicked") || g_str_equal (status, "internal-error"))
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_CRASHED, VMSNAP_STATE_REASON_FAILED);
  else if (g_str_equal (status, "save-vm") || g_str_equal (status, "restore-vm"))
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_SNAPSHOTTING);
  else if ((g_str_equal (status, "paused") || g_str_equal (status, "prelaunch")) && self->announced && !self->doubtful
           && !is_from_snapshot (self))
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_USER);
  else
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_PAUSED, self->reason);
}

static void
on_status (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (VsDomain) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = qmp_client_call_finish (QMP_CLIENT (source), result, &error);

  if (reply == NULL || self->client != QMP_CLIENT (source))
    return;
  apply_status (self, get_string (json_node_get_object (reply), "status"));
}

static void
ask_status (VsDomain *self)
{
  qmp_client_call_async (self->client, "query-status", NULL, -1, QMP_DEFAULT_TIMEOUT, NULL, on_status,
                         g_object_ref (self));
}

static void
on_stop (VsDomain *self, JsonObject *data)
{
  VmSnapStateReason reason = take (&self->expected_stop);

  self->doubtful = FALSE;
  if (reason == VMSNAP_STATE_REASON_UNKNOWN)
    ask_status (self);
  else
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_PAUSED, reason);
  if (self->announced)
    vs_domain_emit_event (self, "paused", NULL);
}

static void
on_resume (VsDomain *self, JsonObject *data)
{
  set_running (self);
  if (self->announced)
    vs_domain_emit_event (self, "resumed", NULL);
}

/* QEMU stands still and waits, where the definition doesn't let a guest end: see `-action` on its command line. */
static void
boot_anew (VsDomain *self)
{
  self->expected_resume = VMSNAP_STATE_REASON_BOOTED;
  qmp_client_send (self->client, "system_reset", NULL);
  qmp_client_send (self->client, "cont", NULL);
}

static void
on_shutdown (VsDomain *self, JsonObject *data)
{
  gboolean by_guest = json_object_get_boolean_member_with_default (data, "guest", FALSE);
  gboolean off = by_guest && g_str_equal (get_string (data, "reason"), "guest-shutdown");

  if (off && self->live_def->on_poweroff == VS_LIFECYCLE_RESTART)
    {
      boot_anew (self);
      return;
    }
  if (off && self->live_def->on_poweroff == VS_LIFECYCLE_PRESERVE)
    {
      self->expected_stop = VMSNAP_STATE_REASON_SHUTDOWN;
      return;
    }
  if (self->expected_end == VMSNAP_STATE_REASON_UNKNOWN)
    self->expected_end = by_guest ? VMSNAP_STATE_REASON_SHUTDOWN : VMSNAP_STATE_REASON_DESTROYED;
}

static void
on_panicked (VsDomain *self, JsonObject *data)
{
  vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_CRASHED, VMSNAP_STATE_REASON_FAILED);
  vs_domain_emit_event (self, "crashed", NULL);
  if (self->live_def->on_crash == VS_LIFECYCLE_RESTART)
    boot_anew (self);
}

/* A guest that had crashed has not any more. */
static void
on_reset (VsDomain *self, JsonObject *data)
{
  ask_status (self);
}

static void
on_block_io_error (VsDomain *self, JsonObject *data)
{
  GVariantBuilder details;
  const char *action = get_string (data, "action");

  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "device", g_variant_new_string (get_string (data, "device")));
  g_variant_builder_add (&details, "{sv}", "node", g_variant_new_string (get_string (data, "node-name")));
  g_variant_builder_add (&details, "{sv}", "operation", g_variant_new_string (get_string (data, "operation")));
  g_variant_builder_add (&details, "{sv}", "action", g_variant_new_string (action));
  g_variant_builder_add (&details, "{sv}", "reason", g_variant_new_string (get_string (data, "reason")));
  if (g_str_equal (action, "stop"))
    self->expected_stop = VMSNAP_STATE_REASON_IO_ERROR;
  vs_domain_emit_event (self, "block-io-error", g_variant_builder_end (&details));
}

/* Is the agent's port open at this moment? */
static void
on_chardevs (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (VsDomain) self = user_data;
  g_autoptr (JsonNode) reply = qmp_client_call_finish (QMP_CLIENT (source), result, NULL);
  g_autofree char *chardev = self->live_def != NULL ? vs_command_line_agent_chardev (self->live_def) : NULL;
  JsonArray *array;

  if (reply == NULL || chardev == NULL || self->client != QMP_CLIENT (source))
    return;
  array = json_node_get_array (reply);
  for (guint i = 0; i < json_array_get_length (array); i++)
    {
      JsonObject *item = json_array_get_object_element (array, i);

      if (g_str_equal (chardev, get_string (item, "label")))
        vs_domain_set_guest_agent (self, json_object_get_boolean_member_with_default (item, "frontend-open", FALSE));
    }
}

static void
ask_chardevs (VsDomain *self)
{
  qmp_client_call_async (self->client, "query-chardev", NULL, -1, QMP_DEFAULT_TIMEOUT, NULL, on_chardevs,
                         g_object_ref (self));
}

/* When a snapshot is loaded, QEMU 10 tells that the port was closed before, and not that it is open after. */
static void
on_port_change (VsDomain *self, JsonObject *data)
{
  g_autofree char *agent = vs_command_line_agent_port (self->live_def);

  if (agent == NULL || !g_str_equal (agent, get_string (data, "id")))
    return;
  if (json_object_get_boolean_member_with_default (data, "open", FALSE))
    vs_domain_set_guest_agent (self, TRUE);
  else
    ask_chardevs (self);
}

/* Which event does what. The others don't concern the domain's state. */
static const struct
{
  const char *name;
  void (*func) (VsDomain *self,
                JsonObject *data);
} handlers[] = {
  { "STOP", on_stop },
  { "RESUME", on_resume },
  { "SHUTDOWN", on_shutdown },
  { "RESET", on_reset },
  { "GUEST_PANICKED", on_panicked },
  { "BLOCK_IO_ERROR", on_block_io_error },
  { "VSERPORT_CHANGE", on_port_change },
};

static void
on_event (QmpClient *client, const char *name, JsonObject *data, gint64 usec, VsDomain *self)
{
  for (gsize i = 0; i < G_N_ELEMENTS (handlers); i++)
    if (g_str_equal (handlers[i].name, name))
      handlers[i].func (self, data);
}

/* The guest has ended, and all it had to say was heard. */
static void
conclude (VsDomain *self)
{
  VsGuest *guest = self->guest;
  g_autoptr (VsDomain) keep = g_object_ref (self);
  VmSnapStateReason reason = take (&self->expected_end);
  gboolean announced = self->announced;
  g_autofree char *how = vs_guest_describe_end (guest);
  GVariantBuilder details;

  if (reason == VMSNAP_STATE_REASON_UNKNOWN)
    {
      reason = VMSNAP_STATE_REASON_FAILED;
      g_warning ("The guest of %s is gone: %s", vs_domain_get_name (self), how);
    }
  vs_guest_cleanup (guest);
  vs_domain_detach_guest (self);
  vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_SHUTOFF, reason);

  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "reason",
                         g_variant_new_string (vmsnap_enum_to_nick (VMSNAP_TYPE_STATE_REASON, reason)));
  /* One that failed on trial was never told of. */
  if (announced)
    vs_domain_emit_event (self, "stopped", g_variant_builder_end (&details));
  else
    g_variant_builder_clear (&details);
  g_signal_emit_by_name (self, "guest-gone");
}

static gboolean
on_exit_deadline (gpointer user_data)
{
  VsDomain *self = user_data;

  self->exit_deadline = 0;
  conclude (self);
  return G_SOURCE_REMOVE;
}

/* The end of the process is seen beside its events, which tell why: those come before the monitor's end. */
static void
on_exited (VsGuest *guest, VsDomain *self)
{
  if (self->client == NULL)
    conclude (self);
  else if (self->exit_deadline == 0)
    self->exit_deadline = g_timeout_add_seconds (LAST_EVENTS_SECONDS, on_exit_deadline, self);
}

static void listen_to_monitor (VsDomain *self);

static void
on_reconnected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (VsDomain) self = user_data;

  if (!vs_guest_reconnect_finish (VS_GUEST (source), result, NULL) || self->guest != VS_GUEST (source))
    return;
  g_clear_object (&self->reconnecting);
  listen_to_monitor (self);
  g_signal_emit_by_name (self, "guest-reachable");
}

static void
look_for_monitor (VsDomain *self)
{
  g_clear_object (&self->reconnecting);
  self->reconnecting = g_cancellable_new ();
  vs_guest_reconnect_async (self->guest, self->reconnecting, on_reconnected, g_object_ref (self));
}

/* Mostly it is QEMU's end. */
static void
on_closed (QmpClient *client, const GError *error, VsDomain *self)
{
  g_signal_handlers_disconnect_by_data (client, self);
  g_clear_object (&self->client);
  if (self->exit_deadline != 0)
    conclude (self);
  else
    look_for_monitor (self);
}

static void
listen_to_monitor (VsDomain *self)
{
  self->client = g_object_ref (vs_guest_get_client (self->guest));
  qmp_client_set_event_context (self->client, g_main_context_default ());
  g_signal_connect_object (self->client, "event", G_CALLBACK (on_event), self, 0);
  g_signal_connect_object (self->client, "events-lost", G_CALLBACK (ask_status), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->client, "closed", G_CALLBACK (on_closed), self, 0);
  ask_status (self);
  ask_chardevs (self);
  /* Then the signal may have come before there was somebody to hear it. */
  if (qmp_client_is_closed (self->client))
    on_closed (self->client, NULL, self);
}

/**
 * vs_domain_get_guest:
 * @self: a domain
 *
 * Returns: (transfer none) (nullable): its guest
 */
VsGuest *
vs_domain_get_guest (VsDomain *self)
{
  return self->guest;
}

/* To its monitor, and to its end. */
void
vs_domain_listen_to_guest (VsDomain *self)
{
  VsGuest *guest = self->guest;

  g_signal_connect_object (guest, "exited", G_CALLBACK (on_exited), self, 0);
  if (vs_guest_get_client (guest) != NULL)
    listen_to_monitor (self);
  else
    look_for_monitor (self);
  if (vs_guest_has_exited (guest))
    vs_domain_note_end (self, guest);
}

/**
 * vs_domain_attach_guest:
 * @self: a domain without a guest
 * @guest: (transfer none): its guest, just started or found again; one without a monitor is asked again and again
 * @live_def: (transfer none): the definition it was started with
 *
 * From here on the domain's state is what @guest says.
 */
void
vs_domain_attach_guest (VsDomain *self, VsGuest *guest, VsDomainDef *live_def)
{
  g_return_if_fail (self->guest == NULL);

  self->guest = g_object_ref (guest);
  self->live_def = vs_domain_def_ref (live_def);
  self->running_reason = VMSNAP_STATE_REASON_UNKNOWN;
  self->announced = FALSE;
  self->doubtful = FALSE;
  vs_domain_notify (self, VS_DOMAIN_PROP_DEF);
  vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_UNKNOWN);
  vs_domain_listen_to_guest (self);
}

/**
 * vs_domain_set_live_def:
 * @self: a domain
 * @live_def: (transfer none): what its guest is now, if it still has one
 */
void
vs_domain_set_live_def (VsDomain *self, VsDomainDef *live_def)
{
  if (self->guest == NULL)
    return;
  vs_domain_def_ref (live_def);
  vs_domain_def_unref (self->live_def);
  self->live_def = live_def;
  vs_domain_notify (self, VS_DOMAIN_PROP_DEF);
}

/**
 * vs_domain_note_end:
 * @self: a domain
 * @guest: a guest that has ended
 *
 * Doesn't wait for the news of @guest's end: it is known already. Does nothing when the news came before.
 */
void
vs_domain_note_end (VsDomain *self, VsGuest *guest)
{
  if (self->guest == guest)
    conclude (self);
}

/* Lets go of the guest, which goes on or is gone. */
void
vs_domain_detach_guest (VsDomain *self)
{
  if (self->guest == NULL)
    return;
  g_clear_handle_id (&self->exit_deadline, g_source_remove);
  g_cancellable_cancel (self->reconnecting);
  g_clear_object (&self->reconnecting);
  g_signal_handlers_disconnect_by_data (self->guest, self);
  if (self->client != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->client, self);
      qmp_client_close (self->client);
    }
  g_clear_object (&self->client);
  g_clear_object (&self->guest);
  g_clear_pointer (&self->live_def, vs_domain_def_unref);
  self->expected_stop = VMSNAP_STATE_REASON_UNKNOWN;
  self->expected_resume = VMSNAP_STATE_REASON_UNKNOWN;
  self->expected_end = VMSNAP_STATE_REASON_UNKNOWN;
  vs_domain_set_guest_agent (self, FALSE);
  vs_domain_notify (self, VS_DOMAIN_PROP_DEF);
}

/**
 * vs_domain_announce_started:
 * @self: a domain with a guest
 *
 * The guest is not on trial any more: tells `started`, and from now on each pause and resumption.
 */
void
vs_domain_announce_started (VsDomain *self)
{
  if (self->guest == NULL || self->announced)
    return;
  self->announced = TRUE;
  vs_domain_emit_event (self, "started", NULL);
}

/**
 * vs_domain_take_over:
 * @self: a domain with a guest
 * @status: (nullable): what QEMU's query-status just said
 *
 * The guest was started and told of in an earlier life of the service: its pauses and resumptions are news again.
 */
void
vs_domain_take_over (VsDomain *self, const char *status)
{
  self->announced = TRUE;
  self->doubtful = self->unsettled;
  if (status != NULL)
    apply_status (self, status);
}

/**
 * vs_domain_expect_stop:
 * @self: a domain
 * @reason: why the next STOP will come
 */
void
vs_domain_expect_stop (VsDomain *self, VmSnapStateReason reason)
{
  self->expected_stop = reason;
}

/**
 * vs_domain_expect_resume:
 * @self: a domain
 * @reason: why the next RESUME will come; without one the guest is running for the reason it ran before
 */
void
vs_domain_expect_resume (VsDomain *self, VmSnapStateReason reason)
{
  self->expected_resume = reason;
}

/**
 * vs_domain_explain_running:
 * @self: a domain
 * @reason: why its guest, if it runs, does; %VMSNAP_STATE_REASON_UNKNOWN: for the reason that is known
 *
 * For a guest that was found running.
 */
void
vs_domain_explain_running (VsDomain *self, VmSnapStateReason reason)
{
  if (reason != VMSNAP_STATE_REASON_UNKNOWN)
    self->running_reason = reason;
  if (self->state == VMSNAP_DOMAIN_STATE_RUNNING)
    vs_domain_set_state (self, VMSNAP_DOMAIN_STATE_RUNNING, self->running_reason);
}

/**
 * vs_domain_expect_no_stop:
 * @self: a domain
 * @reason: what vs_domain_expect_stop() was told
 *
 * That STOP isn't coming: there was nothing to stop. What was expected for another reason still is.
 */
void
vs_domain_expect_no_stop (VsDomain *self, VmSnapStateReason reason)
{
  if (self->expected_stop == reason)
    self->expected_stop = VMSNAP_STATE_REASON_UNKNOWN;
}

/**
 * vs_domain_expect_no_resume:
 * @self: a domain
 * @reason: what vs_domain_expect_resume() was told
 *
 * That RESUME isn't coming: the guest ran already.
 */
void
vs_domain_expect_no_resume (VsDomain *self, VmSnapStateReason reason)
{
  if (self->expected_resume == reason)
    self->expected_resume = VMSNAP_STATE_REASON_UNKNOWN;
}

/**
 * vs_domain_expect_end:
 * @self: a domain
 * @reason: why its guest will end
 */
void
vs_domain_expect_end (VsDomain *self, VmSnapStateReason reason)
{
  self->expected_end = reason;
}

/**
 * vs_domain_set_guest_agent:
 * @self: a domain
 * @connected: whether the guest agent has opened its port
 */
void
vs_domain_set_guest_agent (VsDomain *self, gboolean connected)
{
  self->guest_agent_known = self->guest != NULL;
  if (self->guest_agent == connected)
    return;
  self->guest_agent = connected;
  vs_domain_notify (self, VS_DOMAIN_PROP_GUEST_AGENT);
  vs_domain_emit_event (self, connected ? "guest-agent-connected" : "guest-agent-disconnected", NULL);
}
