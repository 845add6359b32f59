/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files that must not be written, for what is kept in them would be lost: those that an external snapshot on record froze,
 * and those below a domain's disk. By their paths; main thread only.
 */
#include "vs-engine.h"

#include "vmsnap-error.h"

/* Returns the overlay above it in the snapshot, or NULL: that doesn't freeze it. */
static const char *
find_overlay (VsSnapshotDef *def, const char *path)
{
  for (guint i = 0; def->domain != NULL && i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *kept = g_ptr_array_index (def->disks, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (def->domain, kept->target);

      if (kept->snapshot == VMSNAP_LOCATION_EXTERNAL && disk != NULL && g_strcmp0 (disk->path, path) == 0)
        return kept->path != NULL ? kept->path : "";
    }
  return NULL;
}

static gboolean
check_snapshots (VsDomain *domain, const char *path, GError **error)
{
  g_autoptr (GList) snapshots = vs_domain_list_snapshots (domain);

  for (GList *l = snapshots; l != NULL; l = l->next)
    {
      VsSnapshotDef *def = vs_snapshot_get_def (l->data);
      const char *overlay = find_overlay (def, path);

      if (overlay == NULL)
        continue;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                   "%s was frozen by the snapshot '%s' of %s, which would be lost if it was written to. Use the overlay "
                   "above it (%s), or a new one (qemu-img create -f qcow2 -F FORMAT -b '%s' NEW), in the definition; or "
                   "forget the snapshot first (delete it with 'metadata-only')",
                   path, def->name, vs_domain_get_name (domain), overlay, path);
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_engine_check_not_frozen:
 * @self: the engine
 * @path: a file that is about to be written
 * @error: %VMSNAP_ERROR_INVALID_STATE
 *
 * Returns: whether no external snapshot on record, of any domain, is kept in it
 */
gboolean
vs_engine_check_not_frozen (VsEngine *self, const char *path, GError **error)
{
  g_autoptr (GList) domains = vs_engine_list_domains (self);
  g_autofree char *plain = g_canonicalize_filename (path, "/");

  for (GList *l = domains; l != NULL; l = l->next)
    if (!check_snapshots (l->data, plain, error))
      return FALSE;
  return TRUE;
}

static gboolean
check_chains (VsDomain *domain, const char *path, GError **error)
{
  GPtrArray *chains = vs_domain_get_chains (domain);

  for (guint i = 0; i < chains->len; i++)
    {
      const VsDiskChain *chain = g_ptr_array_index (chains, i);

      for (guint j = 0; j < chain->files->len; j++)
        {
          const VsDiskFile *file = g_ptr_array_index (chain->files, j);

          if (!g_str_equal (file->path, path))
            continue;
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "%s %s disk %s of %s; choose another file", path,
                       j == 0 ? "is" : "is below", chain->target, vs_domain_get_name (domain));
          return FALSE;
        }
    }
  return TRUE;
}

/**
 * vs_engine_check_unused:
 * @self: the engine
 * @path: a file that is about to be taken for something else
 * @error: %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Returns: whether no domain's disk, and no external snapshot on record, is in it
 */
gboolean
vs_engine_check_unused (VsEngine *self, const char *path, GError **error)
{
  g_autoptr (GList) domains = vs_engine_list_domains (self);
  g_autofree char *plain = g_canonicalize_filename (path, "/");

  for (GList *l = domains; l != NULL; l = l->next)
    if (!check_chains (l->data, plain, error) || !check_snapshots (l->data, plain, error))
      return FALSE;
  return TRUE;
}
