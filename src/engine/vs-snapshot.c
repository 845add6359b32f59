/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A snapshot as a model object. Main thread only.
 */
#include "vs-snapshot.h"

struct _VsSnapshot
{
  GObject parent;

  char *domain_uuid;
  VsSnapshotDef *def;
  gboolean is_current;
  GHashTable *problems; /* target → words */
};

typedef enum {
  PROP_DEF = 1,
  PROP_IS_CURRENT,
  PROP_PROBLEMS,
} Property;

static GParamSpec *properties[PROP_PROBLEMS + 1];

G_DEFINE_FINAL_TYPE (VsSnapshot, vs_snapshot, G_TYPE_OBJECT)

static void
vs_snapshot_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VsSnapshot *self = VS_SNAPSHOT (object);

  switch ((Property) id)
    {
    case PROP_DEF:
      g_value_set_pointer (value, self->def);
      break;
    case PROP_IS_CURRENT:
      g_value_set_boolean (value, self->is_current);
      break;
    case PROP_PROBLEMS:
      g_value_set_boxed (value, self->problems);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
vs_snapshot_finalize (GObject *object)
{
  VsSnapshot *self = VS_SNAPSHOT (object);

  g_free (self->domain_uuid);
  vs_snapshot_def_unref (self->def);
  g_hash_table_unref (self->problems);
  G_OBJECT_CLASS (vs_snapshot_parent_class)->finalize (object);
}

static void
vs_snapshot_class_init (VsSnapshotClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = vs_snapshot_get_property;
  object_class->finalize = vs_snapshot_finalize;

  properties[PROP_DEF] = g_param_spec_pointer ("def", NULL, NULL, flags);
  properties[PROP_PROBLEMS] = g_param_spec_boxed ("problems", NULL, NULL, G_TYPE_HASH_TABLE, flags);
  properties[PROP_IS_CURRENT] = g_param_spec_boolean ("is-current", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);
}

static void
vs_snapshot_init (VsSnapshot *self)
{
  self->problems = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

/**
 * vs_snapshot_new:
 * @domain_uuid: whose snapshot it is
 * @def: (transfer none): what it is; has a name
 *
 * Returns: (transfer full): a snapshot
 */
VsSnapshot *
vs_snapshot_new (const char *domain_uuid, VsSnapshotDef *def)
{
  VsSnapshot *self = g_object_new (VS_TYPE_SNAPSHOT, NULL);

  self->domain_uuid = g_strdup (domain_uuid);
  self->def = vs_snapshot_def_ref (def);
  return self;
}

const char *
vs_snapshot_get_name (VsSnapshot *self)
{
  return self->def->name;
}

const char *
vs_snapshot_get_domain_uuid (VsSnapshot *self)
{
  return self->domain_uuid;
}

/**
 * vs_snapshot_get_parent_name:
 * @self: a snapshot
 *
 * Returns: (transfer none) (nullable): the name of its parent; %NULL: it is a root
 */
const char *
vs_snapshot_get_parent_name (VsSnapshot *self)
{
  return self->def->parent;
}

VsSnapshotDef *
vs_snapshot_get_def (VsSnapshot *self)
{
  return self->def;
}

/**
 * vs_snapshot_set_def:
 * @self: a snapshot
 * @def: (transfer none): its new definition, of the same name
 *
 * Replaces what is known of it.
 */
void
vs_snapshot_set_def (VsSnapshot *self, VsSnapshotDef *def)
{
  g_return_if_fail (g_strcmp0 (self->def->name, def->name) == 0);

  vs_snapshot_def_ref (def);
  vs_snapshot_def_unref (self->def);
  self->def = def;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_DEF]);
}

gboolean
vs_snapshot_get_is_current (VsSnapshot *self)
{
  return self->is_current;
}

/**
 * vs_snapshot_set_is_current:
 * @self: a snapshot
 * @is_current: whether it is the current one
 *
 * For the domain, which has one current snapshot at most.
 */
void
vs_snapshot_set_is_current (VsSnapshot *self, gboolean is_current)
{
  if (self->is_current == is_current)
    return;
  self->is_current = is_current;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_IS_CURRENT]);
}

VmSnapLocation
vs_snapshot_get_location (VsSnapshot *self)
{
  return vs_snapshot_def_get_location (self->def);
}

/**
 * vs_snapshot_get_problem:
 * @self: a snapshot
 * @target: one of its disks
 *
 * Returns: (transfer none) (nullable): what was wrong with the file that it keeps the disk in, or with one below it, when
 *   they were last looked at
 */
const char *
vs_snapshot_get_problem (VsSnapshot *self, const char *target)
{
  return g_hash_table_lookup (self->problems, target);
}

/**
 * vs_snapshot_set_problem:
 * @self: a snapshot
 * @target: one of its disks
 * @problem: (nullable): what is wrong with its file, naming it; %NULL: nothing
 */
void
vs_snapshot_set_problem (VsSnapshot *self, const char *target, const char *problem)
{
  if (g_strcmp0 (vs_snapshot_get_problem (self, target), problem) == 0)
    return;
  if (problem != NULL)
    g_hash_table_replace (self->problems, g_strdup (target), g_strdup (problem));
  else
    g_hash_table_remove (self->problems, target);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_PROBLEMS]);
}
