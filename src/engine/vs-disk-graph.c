/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The disk graph is built here: collected on the main thread from the definitions and the snapshots on record, without
 * touching a file; then, on a thread that may wait, joined with the files' own headers and with the records of the
 * files that are ours. A file that can't be looked at stays in it, with its problem, and keeps no other from being
 * looked at.
 */
#include "vs-disk-graph-private.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vs-disk-look.h"
#include "vs-engine-private.h"
#include "vs-own-files.h"

static void
use_free (VsUse *use)
{
  VsGraphUse *whole = (VsGraphUse *)use;

  g_free (whole->path);
  g_free (whole->format);
  g_clear_pointer (&whole->def, vs_snapshot_def_unref);
  g_free (use->uuid);
  g_free (use->domain);
  g_free (use->snapshot);
  g_free (use->target);
  g_free (use->tag);
  g_free (use->overlay);
  g_free (use);
}

static void
node_free (VsGraphNode *node)
{
  g_free (node->file.path);
  g_free (node->file.id);
  g_free (node->file.format);
  g_free (node->file.problem);
  g_free (node->file.backing_path);
  g_ptr_array_unref (node->file.uses);
  g_ptr_array_unref (node->file.dependents);
  g_free (node->below);
  g_free (node->of_whom);
  g_free (node->made_id);
  g_free (node);
}

/**
 * vs_disk_graph_free:
 * @self: (transfer full): a graph
 */
void
vs_disk_graph_free (VsDiskGraph *self)
{
  g_weak_ref_clear (&self->engine);
  g_object_unref (self->store);
  g_hash_table_unref (self->by_path);
  g_hash_table_unref (self->by_id);
  g_hash_table_unref (self->collected);
  g_ptr_array_unref (self->nodes);
  g_free (self);
}

/* One path of one file, mostly. Where it goes up again, only the file system knows what that means. */
char *
vs_graph_plain_path (const char *path)
{
  return strstr (path, "/..") != NULL ? g_strdup (path) : g_canonicalize_filename (path, "/");
}

VsGraphNode *
vs_graph_resolve (VsGraphNode *node)
{
  while (node != NULL && node->same != NULL)
    node = node->same;
  return node;
}

/* The node of a path, made if it is new. Takes @of_whom. */
static VsGraphNode *
get_node (VsDiskGraph *self, const char *path, const char *format, char *of_whom)
{
  g_autofree char *owned = of_whom;
  g_autofree char *plain = vs_graph_plain_path (path);
  VsGraphNode *node = g_hash_table_lookup (self->by_path, plain);

  if (node == NULL)
    {
      node = g_new0 (VsGraphNode, 1);
      node->file.path = g_steal_pointer (&plain);
      node->file.uses = g_ptr_array_new_with_free_func ((GDestroyNotify)use_free);
      node->file.dependents = g_ptr_array_new ();
      node->of_whom = g_steal_pointer (&owned);
      g_ptr_array_add (self->nodes, node);
      g_hash_table_insert (self->by_path, node->file.path, node);
    }
  node = vs_graph_resolve (node);
  if (node->file.format == NULL)
    node->file.format = g_strdup (format);
  return node;
}

static gboolean
has_use (const VsGraphFile *file, const VsUse *use)
{
  for (guint i = 0; i < file->uses->len; i++)
    {
      const VsUse *other = g_ptr_array_index (file->uses, i);

      if (other->kind == use->kind && g_str_equal (other->uuid, use->uuid)
          && g_strcmp0 (other->snapshot, use->snapshot) == 0 && g_strcmp0 (other->target, use->target) == 0)
        return TRUE;
    }
  return FALSE;
}

/* Takes @use. */
static void
add_use (VsGraphNode *node, VsUse *use)
{
  if (has_use (&node->file, use))
    use_free (use);
  else
    g_ptr_array_add (node->file.uses, use);
}

static VsUse *
make_use (VsUseKind kind, const char *uuid, const char *domain)
{
  VsUse *use = (VsUse *)g_new0 (VsGraphUse, 1);

  use->kind = kind;
  use->uuid = g_strdup (uuid);
  use->domain = g_strdup (domain);
  return use;
}

static void
add_definition (VsDiskGraph *self, VsDomainDef *def)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      VsUse *use;

      if (disk->path == NULL)
        continue;
      use = make_use (disk->readonly || disk->is_cdrom ? VS_USE_READ : VS_USE_ACTIVE, def->uuid, def->name);
      use->target = g_strdup (disk->target);
      add_use (get_node (self, disk->path, disk->format != NULL ? disk->format : "raw",
                         g_strdup_printf ("the file of disk %s of %s", disk->target, def->name)),
               use);
    }
}

static void
add_snapshot (VsDiskGraph *self, const char *uuid, const char *domain, VsSnapshotDef *def)
{
  for (guint i = 0; def->domain != NULL && i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *kept = g_ptr_array_index (def->disks, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (def->domain, kept->target);
      const gboolean is_tag = kept->snapshot == VMSNAP_LOCATION_INTERNAL;
      VsUse *use;

      if (disk == NULL || disk->path == NULL || (!is_tag && kept->snapshot != VMSNAP_LOCATION_EXTERNAL))
        continue;
      use = make_use (is_tag ? VS_USE_TAG : VS_USE_FROZEN, uuid, domain);
      use->snapshot = g_strdup (def->name);
      use->target = g_strdup (kept->target);
      use->tag = is_tag ? g_strdup (vs_snapshot_def_get_tag (def)) : NULL;
      use->overlay = is_tag ? NULL : g_strdup (kept->path);
      ((VsGraphUse *)use)->path = g_strdup (disk->path);
      ((VsGraphUse *)use)->format = g_strdup (disk->format != NULL ? disk->format : "raw");
      ((VsGraphUse *)use)->def = vs_snapshot_def_ref (def);
      add_use (get_node (self, disk->path, disk->format != NULL ? disk->format : "raw",
                         g_strdup_printf ("the file in which the snapshot '%s' of %s keeps disk %s", def->name, domain,
                                          kept->target)),
               use);
    }
}

/* The files below its disks, as they were when they were last looked at. */
static void
add_chains (VsDiskGraph *self, VsDomain *domain)
{
  GPtrArray *chains = vs_domain_get_chains (domain);

  for (guint i = 0; i < chains->len; i++)
    {
      const VsDiskChain *chain = g_ptr_array_index (chains, i);

      for (guint j = 1; j < chain->files->len; j++)
        {
          const VsDiskFile *file = g_ptr_array_index (chain->files, j);
          g_autofree char *disk = g_strdup_printf ("disk %s of %s", chain->target, vs_domain_get_name (domain));
          VsGraphNode *node = get_node (self, file->path, file->format, g_strconcat ("a file below ", disk, NULL));

          if (node->below == NULL)
            node->below = g_steal_pointer (&disk);
        }
    }
}

/**
 * vs_disk_graph_collect:
 * @engine: the engine
 *
 * Writes down which files the definitions, of now and of the next start, and the snapshots of all domains name. Main
 * thread; touches no file.
 *
 * Returns: (transfer full): a graph that is to be looked at before it is asked
 */
VsDiskGraph *
vs_disk_graph_collect (VsEngine *engine)
{
  VsDiskGraph *self = g_new0 (VsDiskGraph, 1);
  g_autoptr (GList) domains = vs_engine_list_domains (engine);

  g_weak_ref_init (&self->engine, engine);
  self->store = g_object_ref (vs_engine_get_store (engine));
  self->nodes = g_ptr_array_new_with_free_func ((GDestroyNotify)node_free);
  self->by_path = g_hash_table_new (g_str_hash, g_str_equal);
  self->by_id = g_hash_table_new (g_str_hash, g_str_equal);
  self->collected = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (GList *l = domains; l != NULL; l = l->next)
    {
      VsDomain *domain = l->data;
      g_autoptr (GList) snapshots = vs_domain_list_snapshots (domain);

      g_hash_table_insert (self->collected, g_strdup (vs_domain_get_uuid (domain)),
                           g_strdup (vs_domain_get_name (domain)));
      add_definition (self, vs_domain_get_def (domain));
      add_definition (self, vs_domain_get_inactive_def (domain));
      for (GList *s = snapshots; s != NULL; s = s->next)
        add_snapshot (self, vs_domain_get_uuid (domain), vs_domain_get_name (domain), vs_snapshot_get_def (s->data));
      add_chains (self, domain);
    }
  return self;
}

static void
add_own_file (VsDiskGraph *self, const char *uuid, const char *domain, const VsOwnFile *own)
{
  VsGraphNode *node = get_node (self, own->path, NULL, g_strdup_printf ("a file that was made for %s", domain));

  if (node->made_id == NULL && !own->is_original)
    node->made_id = g_strdup (own->id);
  if (own->left)
    add_use (node, make_use (VS_USE_LEFT, uuid, domain));
}

/* What lies in the store: the files that are ours, and the snapshots of a transient domain that isn't there now. */
static void
add_records (VsDiskGraph *self)
{
  g_auto (GStrv) uuids = vs_store_list_domains (self->store);

  for (guint i = 0; uuids[i] != NULL; i++)
    {
      const char *name = g_hash_table_lookup (self->collected, uuids[i]);
      g_autoptr (GPtrArray) own = vs_own_files_list (self->store, uuids[i]);
      VsRecords *records = name == NULL ? vs_engine_read_records (self->store, uuids[i]) : NULL;

      for (guint j = 0; records != NULL && j < records->defs->len; j++)
        {
          VsSnapshotDef *def = g_ptr_array_index (records->defs, j);

          add_snapshot (self, uuids[i], def->domain != NULL ? def->domain->name : uuids[i], def);
        }
      g_clear_pointer (&records, vs_records_free);
      for (guint j = 0; j < own->len; j++)
        add_own_file (self, uuids[i], name != NULL ? name : uuids[i], g_ptr_array_index (own, j));
    }
}

static void
note_if_ours (VsGraphNode *node)
{
  VsGraphFile *file = &node->file;

  file->is_ours = file->id != NULL && node->made_id != NULL
                  && (g_str_equal (file->id, node->made_id) || vs_disk_file_id_is_akin (file->id, node->made_id));
}

/* By another path it is known already: all that was said of it goes there. */
static void
join (VsGraphNode *node, VsGraphNode *known)
{
  while (node->file.uses->len > 0)
    add_use (known, g_ptr_array_steal_index (node->file.uses, 0));
  if (known->made_id == NULL)
    known->made_id = g_steal_pointer (&node->made_id);
  if (known->below == NULL)
    known->below = g_steal_pointer (&node->below);
  note_if_ours (known);
  node->same = known;
}

/* What was seen of a file that is new. */
static void
note_look (VsDiskGraph *self, VsGraphNode *node, VsDiskLook *look)
{
  VsGraphFile *file = &node->file;

  if (look->file.format != NULL)
    {
      g_free (file->format);
      file->format = g_steal_pointer (&look->file.format);
    }
  file->virtual_size = look->file.virtual_size;
  file->actual_size = look->file.actual_size;
  file->is_block = look->file.is_block;
  file->problem = look->problem != NULL ? g_strdup (look->problem->message) : NULL;
  note_if_ours (node);
  if (look->backing_path == NULL)
    return;
  file->backing_path = vs_graph_plain_path (look->backing_path);
  if (node->depth >= VS_DISK_CHAIN_MAX)
    {
      g_free (file->problem);
      file->problem = g_strdup_printf ("%s has more than %d files above it", file->path, VS_DISK_CHAIN_MAX);
      return;
    }
  get_node (self, file->backing_path, look->backing_format, g_strdup_printf ("the backing file of %s", file->path))
    ->depth
    = node->depth + 1;
}

/* Whether another path led to it already; else it is known by its id from now on, if it is there. */
static gboolean
identify (VsDiskGraph *self, VsGraphNode *node)
{
  g_autofree char *id = vs_disk_file_id (node->file.path, NULL);
  VsGraphNode *known = id != NULL ? g_hash_table_lookup (self->by_id, id) : NULL;

  if (known != NULL)
    join (node, known);
  else if (id != NULL)
    {
      node->file.id = g_steal_pointer (&id);
      g_hash_table_insert (self->by_id, node->file.id, node);
    }
  return known != NULL;
}

static gboolean
check_not_cancelled (GCancellable *cancellable, GError **error)
{
  if (!g_cancellable_is_cancelled (cancellable))
    return TRUE;
  g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while looking at the files of disks");
  return FALSE;
}

/**
 * vs_disk_graph_identify:
 * @self: a graph that was collected
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_CANCELLED
 *
 * Finds out which of the files that are named are one and the same, by one stat() each, and looks no further: enough
 * for vs_disk_graph_check_not_frozen() and vs_disk_graph_check_unused(). Instead of vs_disk_graph_look(); once; a
 * thread that may wait for disks.
 *
 * Returns: whether all were found out
 */
gboolean
vs_disk_graph_identify (VsDiskGraph *self, GCancellable *cancellable, GError **error)
{
  self->identified = TRUE;
  for (guint i = 0; i < self->nodes->len; i++)
    {
      if (!check_not_cancelled (cancellable, error))
        return FALSE;
      identify (self, g_ptr_array_index (self->nodes, i));
    }
  return TRUE;
}

static void
look_at (VsDiskGraph *self, VsGraphNode *node)
{
  g_autoptr (VsDiskLook) look = NULL;

  if (identify (self, node))
    return;
  look = vs_disk_look (node->file.path, node->file.format, FALSE, node->of_whom);
  note_look (self, node, look);
}

static void
link_backing (VsDiskGraph *self, VsGraphNode *node)
{
  VsGraphNode *backing = NULL;

  if (node->same != NULL || node->file.backing_path == NULL)
    return;
  backing = vs_graph_resolve (g_hash_table_lookup (self->by_path, node->file.backing_path));
  if (backing == NULL)
    return;
  node->backing = backing;
  g_ptr_array_add (backing->file.dependents, &node->file);
}

/* Goes down from @node; where the files go round in a circle, the link that closes it isn't followed any more. */
static void
cut_circle (VsGraphNode *node, guint walk)
{
  while (node != NULL && node->walk == 0)
    {
      node->walk = walk;
      if (node->backing != NULL && node->backing->walk == walk)
        {
          g_free (node->file.problem);
          node->file.problem = g_strdup_printf ("The backing files go round in a circle: %s comes up again below %s",
                                                node->backing->file.path, node->file.path);
          node->backing = NULL;
        }
      node = node->backing;
    }
}

/**
 * vs_disk_graph_look:
 * @self: a graph that was collected
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_CANCELLED
 *
 * Looks at the files, and at those below them. A file that isn't there, or not what it should be, is no error: it has a
 * problem, and the snapshots that are kept in it show that soon. Once; a thread that may wait for disks.
 *
 * Returns: whether all was looked at
 */
gboolean
vs_disk_graph_look (VsDiskGraph *self, GCancellable *cancellable, GError **error)
{
  self->identified = TRUE;
  add_records (self);
  for (guint i = 0; i < self->nodes->len; i++) /* it grows */
    {
      if (!check_not_cancelled (cancellable, error))
        return FALSE;
      look_at (self, g_ptr_array_index (self->nodes, i));
    }
  for (guint i = 0; i < self->nodes->len; i++)
    link_backing (self, g_ptr_array_index (self->nodes, i));
  for (guint i = 0; i < self->nodes->len; i++)
    cut_circle (g_ptr_array_index (self->nodes, i), i + 1);
  vs_graph_check_frozen (self);
  vs_graph_publish (self);
  return TRUE;
}
