/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain's snapshots: the set, the tree that their parents make, and the current one. Main thread only.
 */
#include "vs-domain-private.h"

/**
 * vs_domain_get_snapshot:
 * @self: a domain
 * @name: (nullable): a snapshot's name
 *
 * Returns: (transfer none) (nullable): that snapshot
 */
VsSnapshot *
vs_domain_get_snapshot (VsDomain *self, const char *name)
{
  return name != NULL ? g_hash_table_lookup (self->snapshots, name) : NULL;
}

static int
compare_age (gconstpointer a, gconstpointer b)
{
  VsSnapshotDef *first = vs_snapshot_get_def (VS_SNAPSHOT ((gpointer) a));
  VsSnapshotDef *second = vs_snapshot_get_def (VS_SNAPSHOT ((gpointer) b));

  if (first->creation_time != second->creation_time)
    return first->creation_time < second->creation_time ? -1 : 1;
  return g_strcmp0 (first->name, second->name);
}

/* The tree is kept with the set, for looking for children in all snapshots would make deleting a family quadratic. */
static void
put_below_parent (VsDomain *self, VsSnapshot *snapshot)
{
  const char *parent = vs_snapshot_get_parent_name (snapshot);
  GHashTable *brothers;

  if (parent == NULL)
    parent = "";
  brothers = g_hash_table_lookup (self->children, parent);
  if (brothers == NULL)
    g_hash_table_insert (self->children, g_strdup (parent), brothers = g_hash_table_new (NULL, NULL));
  g_hash_table_add (brothers, snapshot);
  g_hash_table_insert (self->parents, snapshot, g_strdup (parent));
}

static void
take_from_parent (VsDomain *self, VsSnapshot *snapshot)
{
  const char *parent = g_hash_table_lookup (self->parents, snapshot);
  GHashTable *brothers = g_hash_table_lookup (self->children, parent);

  g_hash_table_remove (brothers, snapshot);
  if (g_hash_table_size (brothers) == 0)
    g_hash_table_remove (self->children, parent);
  g_hash_table_remove (self->parents, snapshot);
}

static void
on_def_changed (VsSnapshot *snapshot, GParamSpec *pspec, VsDomain *self)
{
  const char *parent = vs_snapshot_get_parent_name (snapshot);

  if (g_strcmp0 (g_hash_table_lookup (self->parents, snapshot), parent != NULL ? parent : "") == 0)
    return;
  take_from_parent (self, snapshot);
  put_below_parent (self, snapshot);
}

static void
add_with_ancestors (VsDomain *self, VsSnapshot *snapshot, GHashTable *seen, GList **out)
{
  VsSnapshot *parent;

  if (!g_hash_table_add (seen, snapshot))
    return;
  parent = vs_domain_get_snapshot (self, vs_snapshot_get_parent_name (snapshot));
  if (parent != NULL)
    add_with_ancestors (self, parent, seen, out);
  *out = g_list_prepend (*out, snapshot);
}

/**
 * vs_domain_list_snapshots:
 * @self: a domain
 *
 * Returns: (transfer container) (element-type VsSnapshot): all its snapshots, parents before children, else by age
 */
GList *
vs_domain_list_snapshots (VsDomain *self)
{
  g_autoptr (GList) by_age = g_list_sort (g_hash_table_get_values (self->snapshots), compare_age);
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  GList *out = NULL;

  for (GList *l = by_age; l != NULL; l = l->next)
    add_with_ancestors (self, l->data, seen, &out);
  return g_list_reverse (out);
}

guint
vs_domain_count_snapshots (VsDomain *self)
{
  return g_hash_table_size (self->snapshots);
}

/**
 * vs_domain_list_children:
 * @self: a domain
 * @snapshot: (nullable): one of its snapshots; %NULL: lists the roots
 *
 * Returns: (transfer container) (element-type VsSnapshot): its direct children, by age
 */
GList *
vs_domain_list_children (VsDomain *self, VsSnapshot *snapshot)
{
  GHashTable *children = g_hash_table_lookup (self->children, snapshot != NULL ? vs_snapshot_get_name (snapshot) : "");

  return children != NULL ? g_list_sort (g_hash_table_get_keys (children), compare_age) : NULL;
}

/**
 * vs_domain_get_current_snapshot:
 * @self: a domain
 *
 * Returns: (transfer none) (nullable): the snapshot that its present state descends from
 */
VsSnapshot *
vs_domain_get_current_snapshot (VsDomain *self)
{
  return self->current;
}

void
vs_domain_set_current_snapshot (VsDomain *self, VsSnapshot *snapshot)
{
  g_autoptr (VsSnapshot) old = self->current != NULL ? g_object_ref (self->current) : NULL;

  if (!g_set_object (&self->current, snapshot))
    return;
  if (old != NULL)
    vs_snapshot_set_is_current (old, FALSE);
  if (snapshot != NULL)
    vs_snapshot_set_is_current (snapshot, TRUE);
  vs_domain_notify (self, VS_DOMAIN_PROP_CURRENT_SNAPSHOT);
}

/**
 * vs_domain_add_snapshot:
 * @self: a domain
 * @snapshot: (transfer none): a snapshot of it, with a name that isn't taken
 */
void
vs_domain_add_snapshot (VsDomain *self, VsSnapshot *snapshot)
{
  const char *name = vs_snapshot_get_name (snapshot);

  g_return_if_fail (vs_domain_get_snapshot (self, name) == NULL);
  g_hash_table_insert (self->snapshots, g_strdup (name), g_object_ref (snapshot));
  put_below_parent (self, snapshot);
  g_signal_connect_object (snapshot, "notify::def", G_CALLBACK (on_def_changed), self, 0);
  g_signal_emit_by_name (self, "snapshot-added", snapshot);
}

void
vs_domain_remove_snapshot (VsDomain *self, VsSnapshot *snapshot)
{
  g_autoptr (VsSnapshot) keep = g_object_ref (snapshot);

  if (self->current == snapshot)
    vs_domain_set_current_snapshot (self, NULL);
  if (!g_hash_table_remove (self->snapshots, vs_snapshot_get_name (snapshot)))
    return;
  g_signal_handlers_disconnect_by_func (snapshot, on_def_changed, self);
  take_from_parent (self, snapshot);
  g_signal_emit_by_name (self, "snapshot-removed", snapshot);
}
