/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which snapshots of a domain a caller wants to see, and in which order: parents always before their children. Main
 * thread.
 */
#include "bus-snapshot-list.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vmsnap-names.h"

static const BusOption list_options[] = {
  BUS_OPTION_FLAG (BusListOptions, roots, "roots"),
  BUS_OPTION_FLAG (BusListOptions, leaves, "leaves", BUS_OPTION_EXCLUDES ("no-leaves")),
  BUS_OPTION_FLAG (BusListOptions, no_leaves, "no-leaves"),
  BUS_OPTION_FLAG (BusListOptions, internal, "internal"),
  BUS_OPTION_FLAG (BusListOptions, external, "external"),
  BUS_OPTION_FLAG (BusListOptions, disk_only, "disk-only"),
  BUS_OPTION_FLAG (BusListOptions, active, "active"),
  BUS_OPTION_FLAG (BusListOptions, inactive, "inactive"),
  BUS_OPTION_VALUE (BusListOptions, descendants_of, "descendants-of", "o"),
  BUS_OPTION_END,
};
const BusOptionTable bus_list_table = { sizeof (BusListOptions), list_options };

/* The tree: from a snapshot's name, "" for none, to those whose parent it is. */
static GHashTable *
make_tree (VsDomain *domain)
{
  GHashTable *tree = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
  g_autoptr (GList) all = vs_domain_list_snapshots (domain);

  for (GList *l = all; l != NULL; l = l->next)
    {
      const char *parent = vs_snapshot_get_parent_name (l->data);
      GPtrArray *children;

      if (parent == NULL || vs_domain_get_snapshot (domain, parent) == NULL)
        parent = "";
      children = g_hash_table_lookup (tree, parent);
      if (children == NULL)
        g_hash_table_insert (tree, (gpointer) parent, children = g_ptr_array_new ());
      g_ptr_array_add (children, l->data);
    }
  return tree;
}

static gboolean
matches_location (VsSnapshot *snapshot, const BusListOptions *options)
{
  const VmSnapLocation location = vs_snapshot_def_get_location (vs_snapshot_get_def (snapshot));

  if (!options->internal && !options->external)
    return TRUE;
  return (options->internal && location != VMSNAP_LOCATION_EXTERNAL) ||
         (options->external && location != VMSNAP_LOCATION_INTERNAL);
}

static gboolean
matches_state (VsSnapshot *snapshot, const BusListOptions *options)
{
  if (!options->disk_only && !options->active && !options->inactive)
    return TRUE;
  switch (vs_snapshot_get_def (snapshot)->state)
    {
    case VMSNAP_SNAPSHOT_STATE_RUNNING:
    case VMSNAP_SNAPSHOT_STATE_PAUSED:
      return options->active;
    case VMSNAP_SNAPSHOT_STATE_SHUTOFF:
      return options->inactive;
    case VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT:
    default:
      return options->disk_only;
    }
}

static gboolean
matches (VsSnapshot *snapshot, gboolean has_children, const BusListOptions *options)
{
  if ((options->leaves && has_children) || (options->no_leaves && !has_children))
    return FALSE;
  return matches_location (snapshot, options) && matches_state (snapshot, options);
}

/* Walks the tree level by level below @from. */
static GPtrArray *
collect (GHashTable *tree, const char *from, const BusListOptions *options)
{
  GPtrArray *found = g_ptr_array_new ();
  GQueue level = G_QUEUE_INIT;
  const char *parent = from;

  while (parent != NULL)
    {
      GPtrArray *children = g_hash_table_lookup (tree, parent);

      for (guint i = 0; children != NULL && i < children->len; i++)
        {
          VsSnapshot *snapshot = g_ptr_array_index (children, i);
          const char *name = vs_snapshot_get_name (snapshot);

          if (matches (snapshot, g_hash_table_contains (tree, name), options))
            g_ptr_array_add (found, snapshot);
          if (!options->roots)
            g_queue_push_tail (&level, (gpointer) name);
        }
      parent = g_queue_pop_head (&level);
    }
  return found;
}

/* From the path of a snapshot's object to its name. */
static VsSnapshot *
find_by_path (VsDomain *domain, const char *path, GError **error)
{
  g_autofree char *own = vmsnap_domain_object_path (vs_domain_get_uuid (domain));
  g_autofree char *prefix = g_strconcat (own, "/snapshots/", NULL);
  g_autofree char *name = NULL;
  VsSnapshot *snapshot;

  if (!g_str_has_prefix (path, prefix))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "Option 'descendants-of': %s is no snapshot of domain '%s'", path, vs_domain_get_name (domain));
      return NULL;
    }
  name = vmsnap_decode_name (path + strlen (prefix));
  snapshot = name != NULL ? vs_domain_get_snapshot (domain, name) : NULL;
  if (snapshot == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                 "Option 'descendants-of': there is no snapshot %s of domain '%s'", path, vs_domain_get_name (domain));
  return snapshot;
}

/**
 * bus_snapshot_list:
 * @domain: a domain
 * @options: which ones
 * @error: where to put that `descendants-of` isn't a snapshot of the domain
 *
 * Returns: (transfer container) (element-type VsSnapshot) (nullable): the snapshots
 */
GPtrArray *
bus_snapshot_list (VsDomain *domain, const BusListOptions *options, GError **error)
{
  g_autoptr (GHashTable) tree = make_tree (domain);
  VsSnapshot *from = NULL;

  if (options->descendants_of != NULL)
    {
      from = find_by_path (domain, options->descendants_of, error);
      if (from == NULL)
        return NULL;
    }
  return collect (tree, from != NULL ? vs_snapshot_get_name (from) : "", options);
}
