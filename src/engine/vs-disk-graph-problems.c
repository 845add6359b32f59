/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is wrong with the files that snapshots are kept in: whether each still is the file that it was, and who is to
 * know it: the snapshots show the problems of their files. The look's thread, and then the main thread.
 */
#include "vs-disk-graph-private.h"

#include "vmsnap-error.h"
#include "vs-own-files.h"
#include "vs-run-private.h"

/* A file that a snapshot, a definition or the service itself knows is none that a stranger put there. */
static gboolean
is_known (VsDiskGraph *self, const VsGraphNode *node, const char *uuid)
{
  g_autoptr (GPtrArray) own = NULL;

  if (node->file.uses->len > 0 || node->file.is_ours)
    return TRUE;
  own = vs_own_files_list (self->store, uuid);
  for (guint i = 0; i < own->len; i++)
    if (g_str_equal (((const VsOwnFile *) g_ptr_array_index (own, i))->path, node->file.path))
      return TRUE;
  return FALSE;
}

/* When files are merged, what stands on them gets another backing file: then that is one we know, or the one on record
 * is gone. */
static gboolean
has_strange_backing (VsDiskGraph *self, const VsGraphNode *node, const char *uuid, const VsFrozenFile *was)
{
  VsGraphFile *then = was->backing_path != NULL ? vs_disk_graph_find (self, was->backing_path) : NULL;

  if (g_strcmp0 (node->file.backing_path, was->backing_path) == 0)
    return FALSE;
  if (node->backing != NULL && (&node->backing->file == then || is_known (self, node->backing, uuid)))
    return FALSE;
  if (was->backing_path == NULL)
    return TRUE;
  return then != NULL ? then->id != NULL : g_file_test (was->backing_path, G_FILE_TEST_EXISTS);
}

/* Returns NULL if it is the file that it was, as far as that can be told. */
static char *
find_difference (VsDiskGraph *self, const VsGraphNode *node, const VsGraphUse *use)
{
  const VsGraphFile *file = &node->file;
  g_autoptr (VsFrozenFile) was = vs_frozen_file_read (use->def, use->use.target);

  if (g_strcmp0 (file->format, use->format) != 0)
    return g_strdup_printf ("its format is %s, and was %s", file->format, use->format);
  if (was == NULL)
    return NULL;
  if (file->virtual_size != was->virtual_size)
    return g_strdup_printf ("its virtual size is %" G_GUINT64_FORMAT ", and was %" G_GUINT64_FORMAT " bytes",
                            file->virtual_size, was->virtual_size);
  if (has_strange_backing (self, node, use->use.uuid, was))
    return g_strdup_printf ("its backing file is %s, and was %s",
                            file->backing_path != NULL ? file->backing_path : "none",
                            was->backing_path != NULL ? was->backing_path : "none");
  return NULL;
}

static void
check_frozen (VsDiskGraph *self, VsGraphNode *node)
{
  for (guint i = 0; i < node->file.uses->len && node->file.problem == NULL; i++)
    {
      const VsGraphUse *use = g_ptr_array_index (node->file.uses, i);
      g_autofree char *difference = use->use.kind == VS_USE_FROZEN ? find_difference (self, node, use) : NULL;

      if (difference != NULL)
        node->file.problem
          = g_strdup_printf ("%s is not the file in which the snapshot '%s' of %s keeps disk %s: %s. Put the right one "
                             "back in its place, or forget the snapshot (delete it with 'metadata-only') if this one "
                             "is meant",
                             node->file.path, use->use.snapshot, use->use.domain, use->use.target, difference);
    }
}

/* Another file in the place of one that is missed or was replaced has a problem. */
void
vs_graph_check_frozen (VsDiskGraph *self)
{
  for (guint i = 0; i < self->nodes->len; i++)
    {
      VsGraphNode *node = g_ptr_array_index (self->nodes, i);

      if (node->same == NULL)
        check_frozen (self, node);
    }
}

/* What a look would have seen of it. */
static void
fill_from_chain (VsDiskGraph *self, const VsDiskChain *chain, guint index)
{
  const VsDiskFile *file = g_ptr_array_index (chain->files, index);
  const VsDiskFile *below = index + 1 < chain->files->len ? g_ptr_array_index (chain->files, index + 1) : NULL;
  VsGraphNode *node = (VsGraphNode *) vs_disk_graph_find (self, file->path);

  if (node == NULL)
    return;
  g_free (node->file.format);
  node->file.format = g_strdup (file->format);
  node->file.virtual_size = file->virtual_size;
  g_free (node->file.backing_path);
  node->file.backing_path = below != NULL ? vs_graph_plain_path (below->path) : NULL;
  node->backing = below != NULL ? (VsGraphNode *) vs_disk_graph_find (self, below->path) : NULL;
}

/**
 * vs_disk_graph_check_chain:
 * @self: a graph that was identified
 * @chain: the files of a disk, just found
 * @error: %VMSNAP_ERROR_INVALID_STATE
 *
 * Returns: whether those below the first are the files that they were when snapshots froze them: else what the guest
 *   writes would be written above what isn't its disk
 */
gboolean
vs_disk_graph_check_chain (VsDiskGraph *self, const VsDiskChain *chain, GError **error)
{
  for (guint i = 1; i < chain->files->len; i++)
    {
      const VsDiskFile *file = g_ptr_array_index (chain->files, i);
      VsGraphNode *node = (VsGraphNode *) vs_disk_graph_find (self, file->path);

      if (node == NULL)
        continue;
      fill_from_chain (self, chain, i);
      check_frozen (self, node);
      if (node->file.problem == NULL)
        continue;
      g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, node->file.problem);
      return FALSE;
    }
  return TRUE;
}

typedef struct
{
  char *uuid;
  char *snapshot;
  char *target;
  char *path;
  char *problem;
} Seen;

typedef struct
{
  GWeakRef engine;
  GPtrArray *seen;
} News;

static void
seen_free (Seen *seen)
{
  g_free (seen->uuid);
  g_free (seen->snapshot);
  g_free (seen->target);
  g_free (seen->path);
  g_free (seen->problem);
  g_free (seen);
}

/* Only of a snapshot that still is as it was when this was looked at. */
static VsSnapshot *
find_snapshot (VsEngine *engine, const Seen *seen)
{
  VsDomain *domain = vs_engine_find_domain (engine, seen->uuid);
  VsSnapshot *snapshot = domain != NULL ? vs_domain_get_snapshot (domain, seen->snapshot) : NULL;
  VsSnapshotDef *def = snapshot != NULL ? vs_snapshot_get_def (snapshot) : NULL;
  const VsDiskDef *disk
    = def != NULL && def->domain != NULL ? vs_domain_def_find_disk (def->domain, seen->target) : NULL;

  return disk != NULL && g_strcmp0 (disk->path, seen->path) == 0 ? snapshot : NULL;
}

static gboolean
on_news (gpointer user_data)
{
  News *news = user_data;
  g_autoptr (VsEngine) engine = g_weak_ref_get (&news->engine);

  for (guint i = 0; engine != NULL && i < news->seen->len; i++)
    {
      const Seen *seen = g_ptr_array_index (news->seen, i);
      VsSnapshot *snapshot = find_snapshot (engine, seen);

      if (snapshot != NULL)
        vs_snapshot_set_problem (snapshot, seen->target, seen->problem);
    }
  g_weak_ref_clear (&news->engine);
  g_ptr_array_unref (news->seen);
  g_free (news);
  return G_SOURCE_REMOVE;
}

static void
add_seen (GPtrArray *all, VsDiskGraph *self, VsGraphNode *node)
{
  for (guint i = 0; i < node->file.uses->len; i++)
    {
      const VsGraphUse *use = g_ptr_array_index (node->file.uses, i);
      Seen *seen;

      if (use->use.snapshot == NULL)
        continue;
      seen = g_new0 (Seen, 1);
      seen->uuid = g_strdup (use->use.uuid);
      seen->snapshot = g_strdup (use->use.snapshot);
      seen->target = g_strdup (use->use.target);
      seen->path = g_strdup (use->path);
      seen->problem = g_strdup (vs_disk_graph_find_problem (self, &node->file));
      g_ptr_array_add (all, seen);
    }
}

/* The snapshots learn what was seen of their files. */
void
vs_graph_publish (VsDiskGraph *self)
{
  News *news = g_new0 (News, 1);
  g_autoptr (VsEngine) engine = g_weak_ref_get (&self->engine);

  g_weak_ref_init (&news->engine, engine);
  news->seen = g_ptr_array_new_with_free_func ((GDestroyNotify)seen_free);
  for (guint i = 0; i < self->nodes->len; i++)
    add_seen (news->seen, self, g_ptr_array_index (self->nodes, i));
  vs_run_invoke_on_main (on_news, news);
}
