/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The files of a disk, from the active one down to the base, as they are right now: walked by hand, one header at a
 * time, so that no format is guessed, no loop followed and no strange file opened. What can't be used is refused with
 * the command that helps. Makes immutable values; any thread but the main one, for a file may be slow to open.
 */
#include "vs-disk-chain.h"

#include "vmsnap-error.h"
#include "vs-disk-look.h"

static gboolean
check_not_yet_there (VsDiskChain *chain, const VsDiskFile *file, GError **error)
{
  for (guint i = 0; i < chain->files->len; i++)
    {
      const VsDiskFile *other = g_ptr_array_index (chain->files, i);

      if (!g_str_equal (other->id, file->id))
        continue;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "The backing files of disk %s go round in a circle: %s comes up again as %s", chain->target,
                   other->path, file->path);
      return FALSE;
    }
  if (chain->files->len < VS_DISK_CHAIN_MAX)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "Disk %s has more than %d files in its backing chain",
               chain->target, VS_DISK_CHAIN_MAX);
  return FALSE;
}

/* Adds one file to the chain, and goes on to the one below: @path and @format are replaced by it, or by NULL. */
static gboolean
add_file (VsDiskChain *chain, char **path, char **format, gboolean writable, GError **error)
{
  const VsDiskFile *above = chain->files->len > 0 ? g_ptr_array_index (chain->files, chain->files->len - 1) : NULL;
  g_autofree char *of_whom = above != NULL ? g_strdup_printf ("the backing file of %s", above->path)
                                           : g_strdup_printf ("the file of disk %s", chain->target);
  g_autoptr (VsDiskLook) look = vs_disk_look (*path, *format, writable, of_whom);

  if (look->file.id != NULL && !check_not_yet_there (chain, &look->file, error))
    return FALSE;
  if (look->problem != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&look->problem));
      return FALSE;
    }
  g_free (*path);
  g_free (*format);
  *path = g_steal_pointer (&look->backing_path);
  *format = g_steal_pointer (&look->backing_format);
  g_ptr_array_add (chain->files, vs_disk_look_steal_file (look));
  return TRUE;
}

/**
 * vs_disk_chain_probe:
 * @disk: a disk with a source
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_IO when a file can't be opened (with the command that opens it),
 *   %VMSNAP_ERROR_INVALID_ARGUMENT for a wrong format, a directory, a circle or a backing file of unknown format,
 *   %VMSNAP_ERROR_IMAGE_CORRUPT, %VMSNAP_ERROR_NOT_SUPPORTED
 *
 * Looks at the files of a disk: the active one as the definition has it, then each backing file as the one above
 * records it.
 *
 * Returns: (transfer full): what was found
 */
VsDiskChain *
vs_disk_chain_probe (const VsDiskDef *disk, GCancellable *cancellable, GError **error)
{
  g_autoptr (VsDiskChain) chain = g_new0 (VsDiskChain, 1);
  g_autofree char *path = g_strdup (disk->path);
  g_autofree char *format = g_strdup (disk->format != NULL ? disk->format : "raw");
  gboolean writable = !disk->readonly;

  g_return_val_if_fail (disk->path != NULL, NULL);
  g_atomic_ref_count_init (&chain->ref_count);
  chain->target = g_strdup (disk->target);
  chain->files = g_ptr_array_new_with_free_func ((GDestroyNotify)vs_disk_file_free);

  while (path != NULL)
    {
      if (g_cancellable_is_cancelled (cancellable))
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled while looking at the files of disk %s",
                       disk->target);
          return NULL;
        }
      if (!add_file (chain, &path, &format, writable, error))
        return NULL;
      writable = FALSE;
    }
  return g_steal_pointer (&chain);
}

/**
 * vs_disk_chain_ref:
 * @chain: a chain
 *
 * Returns: (transfer full): @chain
 */
VsDiskChain *
vs_disk_chain_ref (VsDiskChain *chain)
{
  g_atomic_ref_count_inc (&chain->ref_count);
  return chain;
}

/**
 * vs_disk_chain_unref:
 * @chain: (transfer full): a chain
 */
void
vs_disk_chain_unref (VsDiskChain *chain)
{
  if (!g_atomic_ref_count_dec (&chain->ref_count))
    return;
  g_free (chain->target);
  g_ptr_array_unref (chain->files);
  g_free (chain);
}

/**
 * vs_disk_chain_get_active:
 * @chain: a chain
 *
 * Returns: (transfer none): the file that the guest uses
 */
const VsDiskFile *
vs_disk_chain_get_active (const VsDiskChain *chain)
{
  return g_ptr_array_index (chain->files, 0);
}

/**
 * vs_disk_chain_get_paths:
 * @chain: a chain
 *
 * Returns: (transfer full): the files' paths, the active one first
 */
GStrv
vs_disk_chain_get_paths (const VsDiskChain *chain)
{
  GStrv paths = g_new0 (char *, chain->files->len + 1);

  for (guint i = 0; i < chain->files->len; i++)
    paths[i] = g_strdup (((const VsDiskFile *)g_ptr_array_index (chain->files, i))->path);
  return paths;
}

/**
 * vs_disk_chain_writable_id:
 * @chain: a chain
 *
 * What no other running guest may have among its files, unless the disk is shareable or read-only.
 *
 * Returns: (transfer none): the id of the active file, see vs_disk_file_id()
 */
const char *
vs_disk_chain_writable_id (const VsDiskChain *chain)
{
  return vs_disk_chain_get_active (chain)->id;
}
