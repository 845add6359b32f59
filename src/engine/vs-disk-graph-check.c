/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a graph tells of a file that is about to be taken by a definition, with no header looked at: whether a snapshot
 * on record froze it, or another disk is in it. A graph that was only collected tells it by the paths, one that was
 * identified by all names. Any thread.
 */
#include "vs-disk-graph-private.h"

#include "vmsnap-error.h"

/* `/images/a`, or `/images/b (/images/a by another name)` */
static char *
describe_file (const VsGraphFile *file, const char *path)
{
  g_autofree char *plain = vs_graph_plain_path (path);

  return g_str_equal (plain, file->path) ? g_strdup (plain)
                                         : g_strdup_printf ("%s (%s by another name)", plain, file->path);
}

/**
 * vs_disk_graph_check_not_frozen:
 * @self: a graph that was collected, identified or looked at
 * @path: a file that is about to be written
 * @error: %VMSNAP_ERROR_INVALID_STATE
 *
 * Returns: whether no external snapshot on record, of any domain, is kept in it
 */
gboolean
vs_disk_graph_check_not_frozen (VsDiskGraph *self, const char *path, GError **error)
{
  VsGraphFile *file = vs_disk_graph_find (self, path);

  for (guint i = 0; file != NULL && i < file->uses->len; i++)
    {
      const VsUse *use = g_ptr_array_index (file->uses, i);
      g_autofree char *name = NULL;

      if (use->kind != VS_USE_FROZEN)
        continue;
      name = describe_file (file, path);
      g_set_error (
        error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
        "%s was frozen by the snapshot '%s' of %s, which would be lost if it was written to. Use the overlay "
        "above it (%s), or a new one (qemu-img create -f qcow2 -F %s -b '%s' NEW), in the definition; or "
        "forget the snapshot first (delete it with 'metadata-only')",
        name, use->snapshot, use->domain, use->overlay, file->format, file->path);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_no_disk (const VsGraphFile *file, const char *path, GError **error)
{
  const VsGraphNode *node = (const VsGraphNode *)file;
  g_autofree char *name = describe_file (file, path);

  for (guint i = 0; i < file->uses->len; i++)
    {
      const VsUse *use = g_ptr_array_index (file->uses, i);

      if (use->kind != VS_USE_ACTIVE && use->kind != VS_USE_READ)
        continue;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "%s is disk %s of %s; choose another file", name,
                   use->target, use->domain);
      return FALSE;
    }
  if (node->below == NULL)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "%s is below %s; choose another file", name,
               node->below);
  return FALSE;
}

/**
 * vs_disk_graph_check_unused:
 * @self: a graph that was collected, identified or looked at
 * @path: a file that is about to be taken for something else
 * @error: %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Returns: whether no domain's disk, nor a file below one, and no external snapshot on record, is in it
 */
gboolean
vs_disk_graph_check_unused (VsDiskGraph *self, const char *path, GError **error)
{
  VsGraphFile *file = vs_disk_graph_find (self, path);

  return file == NULL || (check_no_disk (file, path, error) && vs_disk_graph_check_not_frozen (self, path, error));
}
