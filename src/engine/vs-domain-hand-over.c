/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain that gets another guest in the place of its present one, without an end or a start that anybody could see.
 * Main thread only.
 */
#include "vs-domain-private.h"

#include "vs-command-line.h"

/**
 * vs_domain_deafen:
 * @self: a domain
 *
 * What becomes of its present guest isn't the domain's any more: another one is about to take over. Until
 * vs_domain_hand_over(), or vs_domain_listen_again().
 */
void
vs_domain_deafen (VsDomain *self)
{
  if (self->guest == NULL)
    return;
  g_clear_handle_id (&self->exit_deadline, g_source_remove);
  if (self->reconnecting != NULL)
    g_cancellable_cancel (self->reconnecting);
  g_clear_object (&self->reconnecting);
  g_signal_handlers_disconnect_by_data (self->guest, self);
  if (self->client != NULL)
    g_signal_handlers_disconnect_by_data (self->client, self);
  g_clear_object (&self->client);
}

static void
forget_expectations (VsDomain *self)
{
  self->expected_stop = VMSNAP_STATE_REASON_UNKNOWN;
  self->expected_resume = VMSNAP_STATE_REASON_UNKNOWN;
  self->expected_end = VMSNAP_STATE_REASON_UNKNOWN;
}

/**
 * vs_domain_listen_again:
 * @self: a domain
 *
 * Takes vs_domain_deafen() back: it keeps its guest.
 */
void
vs_domain_listen_again (VsDomain *self)
{
  if (self->guest != NULL && self->client == NULL && self->reconnecting == NULL)
    vs_domain_listen_to_guest (self);
}

static void
show_state (VsDomain *self, gboolean running, VmSnapStateReason reason)
{
  gboolean ran = self->state == VMSNAP_DOMAIN_STATE_RUNNING;

  vs_domain_set_state (self, running ? VMSNAP_DOMAIN_STATE_RUNNING : VMSNAP_DOMAIN_STATE_PAUSED, reason);
  if (self->announced && running != ran)
    vs_domain_emit_event (self, running ? "resumed" : "paused", NULL);
}

/**
 * vs_domain_hand_over:
 * @self: a domain
 * @guest: (transfer none): its guest from now on
 * @live_def: (transfer none): the definition it was started with
 * @running: whether it runs
 * @reason: why it does, or doesn't
 *
 * The domain's present guest, if it has one, isn't its any more, and may be ended: nobody is told of that end.
 */
void
vs_domain_hand_over (VsDomain *self, VsGuest *guest, VsDomainDef *live_def, gboolean running, VmSnapStateReason reason)
{
  g_autofree char *agent = vs_command_line_agent_chardev (live_def);
  gboolean announced = self->guest != NULL && self->announced;

  vs_domain_deafen (self);
  g_set_object (&self->guest, guest);
  vs_domain_def_ref (live_def);
  g_clear_pointer (&self->live_def, vs_domain_def_unref);
  self->live_def = live_def;
  self->announced = announced;
  self->doubtful = FALSE;
  self->running_reason = reason;
  forget_expectations (self);
  vs_domain_notify (self, VS_DOMAIN_PROP_DEF);
  show_state (self, running, reason);
  if (agent == NULL)
    vs_domain_set_guest_agent (self, FALSE);
  vs_domain_listen_to_guest (self);
}
