/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the disk graph answers, once it was looked at: which file is which, what depends on it, whether it may be
 * written or removed. Any thread that may wait for a stat().
 */
#include "vs-disk-graph-private.h"

#include "vmsnap-error.h"

/**
 * vs_disk_graph_find:
 * @self: a graph
 * @path: a path of a file
 *
 * Finds a file by its path, else by what the path leads to: a link, another way there. In a graph that was only
 * collected by its path alone, which touches no file.
 *
 * Returns: (transfer none) (nullable): the file; %NULL: nothing names it
 */
VsGraphFile *
vs_disk_graph_find (VsDiskGraph *self, const char *path)
{
  g_autofree char *plain = vs_graph_plain_path (path);
  VsGraphNode *node = g_hash_table_lookup (self->by_path, plain);
  g_autofree char *id = node == NULL && self->identified ? vs_disk_file_id (plain, NULL) : NULL;

  if (id != NULL)
    node = g_hash_table_lookup (self->by_id, id);
  return (VsGraphFile *)vs_graph_resolve (node);
}

/**
 * vs_disk_graph_list:
 * @self: a graph that was looked at
 *
 * Returns: (transfer container) (element-type VsGraphFile): all its files, each once
 */
GPtrArray *
vs_disk_graph_list (VsDiskGraph *self)
{
  GPtrArray *files = g_ptr_array_new ();

  for (guint i = 0; i < self->nodes->len; i++)
    {
      VsGraphNode *node = g_ptr_array_index (self->nodes, i);

      if (node->same == NULL)
        g_ptr_array_add (files, &node->file);
    }
  return files;
}

/**
 * vs_disk_graph_get_backing:
 * @self: a graph that was looked at
 * @file: one of its files
 *
 * Returns: (transfer none) (nullable): its backing file; %NULL also where following it would lead round in a circle
 */
VsGraphFile *
vs_disk_graph_get_backing (VsDiskGraph *self, VsGraphFile *file)
{
  return (VsGraphFile *)((VsGraphNode *)file)->backing;
}

/**
 * vs_disk_graph_find_problem:
 * @self: a graph that was looked at
 * @file: one of its files
 *
 * Returns: (transfer none) (nullable): why it can't be read from: its own problem, else that of the first file below it
 *   that has one
 */
const char *
vs_disk_graph_find_problem (VsDiskGraph *self, VsGraphFile *file)
{
  while (file != NULL && file->problem == NULL)
    file = vs_disk_graph_get_backing (self, file);
  return file != NULL ? file->problem : NULL;
}

/**
 * vs_disk_graph_is_needed:
 * @self: a graph that was looked at
 * @file: one of its files
 * @uuid: (nullable): a domain
 * @except_snapshot: (nullable): a snapshot of that domain, which doesn't count
 *
 * Returns: whether a definition or a snapshot uses it, or a file has it for its backing file
 */
gboolean
vs_disk_graph_is_needed (VsDiskGraph *self, VsGraphFile *file, const char *uuid, const char *except_snapshot)
{
  for (guint i = 0; i < file->uses->len; i++)
    {
      const VsUse *use = g_ptr_array_index (file->uses, i);
      const gboolean is_excepted = except_snapshot != NULL && g_strcmp0 (use->snapshot, except_snapshot) == 0
                                   && g_strcmp0 (use->uuid, uuid) == 0;

      if (use->kind != VS_USE_LEFT && !is_excepted)
        return TRUE;
    }
  return file->dependents->len > 0;
}

/* `disk vda of web`, `the snapshot 'one' of web` */
static char *
describe_use (const VsUse *use)
{
  switch (use->kind)
    {
    case VS_USE_ACTIVE:
    case VS_USE_READ:
      return g_strdup_printf ("it is disk %s of %s", use->target, use->domain);
    case VS_USE_FROZEN:
      return g_strdup_printf ("the snapshot '%s' of %s is kept in it", use->snapshot, use->domain);
    case VS_USE_TAG:
      return g_strdup_printf ("the snapshot '%s' of %s is kept inside it", use->snapshot, use->domain);
    case VS_USE_LEFT:
    default:
      return g_strdup_printf ("it was left for the files above it, of %s", use->domain);
    }
}

static gboolean
check_no_dependents (const VsGraphFile *file, const char *what, GError **error)
{
  const VsGraphFile *above;

  if (file->dependents->len == 0)
    return TRUE;
  above = g_ptr_array_index (file->dependents, 0);
  if (file->dependents->len == 1)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "%s must not be %s: it is the backing file of %s",
                 file->path, what, above->path);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                 "%s must not be %s: it is the backing file of %s and of %u others", file->path, what, above->path,
                 file->dependents->len - 1);
  return FALSE;
}

static void
set_used (const VsGraphFile *file, const char *what, const VsUse *use, GError **error)
{
  g_autofree char *why = describe_use (use);

  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "%s must not be %s: %s", file->path, what, why);
}

/**
 * vs_disk_graph_check_writable:
 * @self: a graph that was looked at
 * @path: a file
 * @uuid: the domain that would write to it
 * @error: %VMSNAP_ERROR_INVALID_STATE
 *
 * Tags inside don't keep a file from being written: they aren't touched by that.
 *
 * Returns: whether nothing but that domain's own disk is in it, and no file has it for its backing file
 */
gboolean
vs_disk_graph_check_writable (VsDiskGraph *self, const char *path, const char *uuid, GError **error)
{
  VsGraphFile *file = vs_disk_graph_find (self, path);

  for (guint i = 0; file != NULL && i < file->uses->len; i++)
    {
      const VsUse *use = g_ptr_array_index (file->uses, i);
      const gboolean is_own = g_strcmp0 (use->uuid, uuid) == 0;

      if (use->kind == VS_USE_TAG || use->kind == VS_USE_LEFT || (use->kind != VS_USE_FROZEN && is_own))
        continue;
      set_used (file, "written to", use, error);
      return FALSE;
    }
  return file == NULL || check_no_dependents (file, "written to", error);
}

/**
 * vs_disk_graph_check_removable:
 * @self: a graph that was looked at
 * @path: a file
 * @error: %VMSNAP_ERROR_INVALID_STATE
 *
 * Returns: whether the service made that very file, and nothing uses it or depends on it
 */
gboolean
vs_disk_graph_check_removable (VsDiskGraph *self, const char *path, GError **error)
{
  VsGraphFile *file = vs_disk_graph_find (self, path);

  if (file == NULL || !file->is_ours)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                   "%s must not be removed: it is not a file that this service made", path);
      return FALSE;
    }
  for (guint i = 0; i < file->uses->len; i++)
    {
      const VsUse *use = g_ptr_array_index (file->uses, i);

      if (use->kind == VS_USE_LEFT)
        continue;
      set_used (file, "removed", use, error);
      return FALSE;
    }
  return check_no_dependents (file, "removed", error);
}
