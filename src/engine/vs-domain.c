/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain as a model object: definition, state and disks. Its snapshots are in vs-domain-snapshots.c, what its guest
 * says is heard in vs-domain-guest.c. Main thread only.
 */
#include "vs-domain-private.h"

static GParamSpec *properties[VS_DOMAIN_PROP_MANAGED_SAVE + 1];

static guint event_signal;

G_DEFINE_FINAL_TYPE (VsDomain, vs_domain, G_TYPE_OBJECT)

static void
vs_domain_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VsDomain *self = VS_DOMAIN (object);

  switch ((VsDomainProperty) id)
    {
    case VS_DOMAIN_PROP_STATE:
      g_value_set_enum (value, self->state);
      break;
    case VS_DOMAIN_PROP_STATE_REASON:
      g_value_set_enum (value, self->reason);
      break;
    case VS_DOMAIN_PROP_PERSISTENT:
      g_value_set_boolean (value, self->persistent);
      break;
    case VS_DOMAIN_PROP_DEF:
      g_value_set_pointer (value, vs_domain_get_def (self));
      break;
    case VS_DOMAIN_PROP_DISKS:
      g_value_set_pointer (value, self->chains);
      break;
    case VS_DOMAIN_PROP_CURRENT_SNAPSHOT:
      g_value_set_object (value, self->current);
      break;
    case VS_DOMAIN_PROP_JOB:
      g_value_set_object (value, self->job);
      break;
    case VS_DOMAIN_PROP_GUEST_AGENT:
      g_value_set_boolean (value, self->guest_agent);
      break;
    case VS_DOMAIN_PROP_MANAGED_SAVE:
      g_value_set_boolean (value, self->has_managed_save);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
vs_domain_dispose (GObject *object)
{
  VsDomain *self = VS_DOMAIN (object);

  vs_domain_detach_guest (self);
  g_clear_object (&self->current);
  g_clear_object (&self->job);
  g_hash_table_remove_all (self->snapshots);
  G_OBJECT_CLASS (vs_domain_parent_class)->dispose (object);
}

static void
vs_domain_finalize (GObject *object)
{
  VsDomain *self = VS_DOMAIN (object);

  g_object_unref (self->store);
  vs_domain_def_unref (self->def);
  g_hash_table_unref (self->snapshots);
  g_hash_table_unref (self->children);
  g_hash_table_unref (self->parents);
  g_ptr_array_unref (self->chains);
  G_OBJECT_CLASS (vs_domain_parent_class)->finalize (object);
}

static void
vs_domain_class_init (VsDomainClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = vs_domain_get_property;
  object_class->dispose = vs_domain_dispose;
  object_class->finalize = vs_domain_finalize;

  properties[VS_DOMAIN_PROP_STATE] =
    g_param_spec_enum ("state", NULL, NULL, VMSNAP_TYPE_DOMAIN_STATE, VMSNAP_DOMAIN_STATE_SHUTOFF, flags);
  properties[VS_DOMAIN_PROP_STATE_REASON] =
    g_param_spec_enum ("state-reason", NULL, NULL, VMSNAP_TYPE_STATE_REASON, VMSNAP_STATE_REASON_UNKNOWN, flags);
  properties[VS_DOMAIN_PROP_PERSISTENT] = g_param_spec_boolean ("persistent", NULL, NULL, FALSE, flags);
  properties[VS_DOMAIN_PROP_DEF] = g_param_spec_pointer ("def", NULL, NULL, flags);
  properties[VS_DOMAIN_PROP_DISKS] = g_param_spec_pointer ("disks", NULL, NULL, flags);
  properties[VS_DOMAIN_PROP_CURRENT_SNAPSHOT] =
    g_param_spec_object ("current-snapshot", NULL, NULL, VS_TYPE_SNAPSHOT, flags);
  properties[VS_DOMAIN_PROP_JOB] = g_param_spec_object ("job", NULL, NULL, VS_TYPE_JOB, flags);
  properties[VS_DOMAIN_PROP_GUEST_AGENT] = g_param_spec_boolean ("guest-agent", NULL, NULL, FALSE, flags);
  properties[VS_DOMAIN_PROP_MANAGED_SAVE] = g_param_spec_boolean ("has-managed-save", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);

  event_signal = g_signal_new ("event", VS_TYPE_DOMAIN, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                                 G_TYPE_STRING, G_TYPE_VARIANT);
  g_signal_new ("snapshot-added", VS_TYPE_DOMAIN, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                VS_TYPE_SNAPSHOT);
  g_signal_new ("snapshot-removed", VS_TYPE_DOMAIN, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                VS_TYPE_SNAPSHOT);
  g_signal_new ("guest-reachable", VS_TYPE_DOMAIN, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  g_signal_new ("guest-gone", VS_TYPE_DOMAIN, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vs_domain_init (VsDomain *self)
{
  self->snapshots = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  self->children = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
  self->parents = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  self->chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);
  self->expected_stop = VMSNAP_STATE_REASON_UNKNOWN;
  self->expected_resume = VMSNAP_STATE_REASON_UNKNOWN;
  self->expected_end = VMSNAP_STATE_REASON_UNKNOWN;
}

/**
 * vs_domain_new:
 * @store: where its files are
 * @def: (transfer none): its definition
 * @persistent: whether it outlives its guest
 *
 * Returns: (transfer full): a domain without a guest and without snapshots
 */
VsDomain *
vs_domain_new (VsStore *store, VsDomainDef *def, gboolean persistent)
{
  VsDomain *self = g_object_new (VS_TYPE_DOMAIN, NULL);

  self->store = g_object_ref (store);
  self->def = vs_domain_def_ref (def);
  self->persistent = persistent;
  return self;
}

void
vs_domain_notify (VsDomain *self, VsDomainProperty property)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[property]);
}

const char *
vs_domain_get_name (VsDomain *self)
{
  return vs_domain_get_def (self)->name;
}

const char *
vs_domain_get_uuid (VsDomain *self)
{
  return self->def->uuid;
}

gboolean
vs_domain_get_persistent (VsDomain *self)
{
  return self->persistent;
}

/**
 * vs_domain_set_persistent:
 * @self: a domain
 * @persistent: whether it outlives its guest
 *
 * A transient domain that is defined stays; one that is undefined while its guest runs goes with the guest.
 */
void
vs_domain_set_persistent (VsDomain *self, gboolean persistent)
{
  if (self->persistent == persistent)
    return;
  self->persistent = persistent;
  vs_domain_notify (self, VS_DOMAIN_PROP_PERSISTENT);
}

/**
 * vs_domain_get_def:
 * @self: a domain
 *
 * Returns: (transfer none): the definition its guest was started with, or while there is no guest, the one the next
 *   will be
 */
VsDomainDef *
vs_domain_get_def (VsDomain *self)
{
  return self->live_def != NULL ? self->live_def : self->def;
}

/**
 * vs_domain_get_inactive_def:
 * @self: a domain
 *
 * Returns: (transfer none): the definition that the next start will use
 */
VsDomainDef *
vs_domain_get_inactive_def (VsDomain *self)
{
  return self->def;
}

/**
 * vs_domain_set_inactive_def:
 * @self: a domain
 * @def: (transfer none): the definition that the next start will use, of the same uuid
 */
void
vs_domain_set_inactive_def (VsDomain *self, VsDomainDef *def)
{
  g_return_if_fail (g_strcmp0 (self->def->uuid, def->uuid) == 0);

  vs_domain_def_ref (def);
  vs_domain_def_unref (self->def);
  self->def = def;
  vs_domain_notify (self, VS_DOMAIN_PROP_DEF);
}

VsStore *
vs_domain_get_store (VsDomain *self)
{
  return self->store;
}

VmSnapDomainState
vs_domain_get_state (VsDomain *self)
{
  return self->state;
}

VmSnapStateReason
vs_domain_get_state_reason (VsDomain *self)
{
  return self->reason;
}

/**
 * vs_domain_set_state:
 * @self: a domain
 * @state: what was seen
 * @reason: why
 *
 * Notes a state that was seen; nothing is done to the guest.
 */
void
vs_domain_set_state (VsDomain *self, VmSnapDomainState state, VmSnapStateReason reason)
{
  g_object_freeze_notify (G_OBJECT (self));
  if (self->state != state)
    {
      self->state = state;
      vs_domain_notify (self, VS_DOMAIN_PROP_STATE);
    }
  if (self->reason != reason)
    {
      self->reason = reason;
      vs_domain_notify (self, VS_DOMAIN_PROP_STATE_REASON);
    }
  g_object_thaw_notify (G_OBJECT (self));
}

/**
 * vs_domain_is_active:
 * @self: a domain
 *
 * Returns: whether it has a guest, in whichever state
 */
gboolean
vs_domain_is_active (VsDomain *self)
{
  return self->guest != NULL;
}

/**
 * vs_domain_is_reachable:
 * @self: a domain
 *
 * Returns: %FALSE when it has a guest whose monitor can't be spoken to at the moment; it is tried again
 */
gboolean
vs_domain_is_reachable (VsDomain *self)
{
  return self->guest == NULL || self->client != NULL;
}

/**
 * vs_domain_get_unsettled:
 * @self: a domain
 *
 * Returns: whether an operation of an earlier life of the service waits to be settled
 */
gboolean
vs_domain_get_unsettled (VsDomain *self)
{
  return self->unsettled;
}

void
vs_domain_set_unsettled (VsDomain *self, gboolean unsettled)
{
  self->unsettled = unsettled;
}

gboolean
vs_domain_get_guest_agent (VsDomain *self)
{
  return self->guest_agent;
}

/**
 * vs_domain_lacks_guest_agent:
 * @self: a domain
 *
 * Returns: whether it is known that no guest agent is connected; just after the service's start, it may not be yet
 */
gboolean
vs_domain_lacks_guest_agent (VsDomain *self)
{
  return self->guest_agent_known && !self->guest_agent;
}

/**
 * vs_domain_get_has_managed_save:
 * @self: a domain
 *
 * Returns: whether there is an image in the store that its next start restores from
 */
gboolean
vs_domain_get_has_managed_save (VsDomain *self)
{
  return self->has_managed_save;
}

void
vs_domain_set_has_managed_save (VsDomain *self, gboolean has_managed_save)
{
  if (self->has_managed_save == has_managed_save)
    return;
  self->has_managed_save = has_managed_save;
  vs_domain_notify (self, VS_DOMAIN_PROP_MANAGED_SAVE);
}

/**
 * vs_domain_get_held:
 * @self: a domain
 *
 * Returns: whether its guest must stand still, for its memory is being written into an image, or read from one: if it
 *   ran now, disks and memory would be of different times
 */
gboolean
vs_domain_get_held (VsDomain *self)
{
  return self->held;
}

/**
 * vs_domain_set_held:
 * @self: a domain
 * @held: whether its guest must stand still, until the operation that says so ends
 */
void
vs_domain_set_held (VsDomain *self, gboolean held)
{
  self->held = held;
}

/**
 * vs_domain_get_job:
 * @self: a domain
 *
 * Returns: (transfer none) (nullable): what is being done to it
 */
VsJob *
vs_domain_get_job (VsDomain *self)
{
  return self->job;
}

void
vs_domain_set_job (VsDomain *self, VsJob *job)
{
  if (g_set_object (&self->job, job))
    vs_domain_notify (self, VS_DOMAIN_PROP_JOB);
}

/**
 * vs_domain_get_chains:
 * @self: a domain
 *
 * Returns: (transfer none) (element-type VsDiskChain): its disks' files as they were last found; a disk that couldn't
 *   be looked at is missing
 */
GPtrArray *
vs_domain_get_chains (VsDomain *self)
{
  return self->chains;
}

void
vs_domain_set_chains (VsDomain *self, GPtrArray *chains)
{
  g_ptr_array_ref (chains);
  g_ptr_array_unref (self->chains);
  self->chains = chains;
  vs_domain_notify (self, VS_DOMAIN_PROP_DISKS);
}

/**
 * vs_domain_emit_event:
 * @self: a domain
 * @event: one of the events that the bus knows
 * @details: (nullable): a dictionary `a{sv}`; taken when floating
 *
 * Tells whoever listens.
 */
void
vs_domain_emit_event (VsDomain *self, const char *event, GVariant *details)
{
  g_autoptr (GVariant) dict = details != NULL ? details : g_variant_new ("a{sv}", NULL);

  g_variant_ref_sink (dict);
  g_signal_emit (self, event_signal, 0, event, dict);
}

/**
 * vs_domain_set_wish:
 * @self: a domain
 * @wish: what a user just asked for
 *
 * Remembers it, so that an operation under way leaves the guest in that state at its end.
 */
void
vs_domain_set_wish (VsDomain *self, VsWish wish)
{
  self->wish = wish;
}

/**
 * vs_domain_take_wish:
 * @self: a domain
 *
 * Returns: what a user asked for since this was called last
 */
VsWish
vs_domain_take_wish (VsDomain *self)
{
  VsWish wish = self->wish;

  self->wish = VS_WISH_NONE;
  return wish;
}
