/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The files of a disk, from the active one down to the base, as they are right now: walked by hand, one header at a
 * time, so that no format is guessed, no loop followed and no strange file opened. What can't be used is refused with
 * the command that helps. Makes immutable values; any thread but the main one, for a file may be slow to open.
 */
#include "vs-disk-chain.h"

#include "vmsnap-error.h"
#include "vs-file-access.h"
#include "vs-qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void
disk_file_free (VsDiskFile *file)
{
  g_free (file->path);
  g_free (file->format);
  g_free (file->id);
  g_free (file);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsDiskFile, disk_file_free)

static char *
id_for_stat (const struct stat *st)
{
  if (S_ISBLK (st->st_mode))
    return g_strdup_printf ("block:%u:%u", major (st->st_rdev), minor (st->st_rdev));
  return g_strdup_printf ("file:%u:%u:%" G_GUINT64_FORMAT, major (st->st_dev), minor (st->st_dev), (guint64)st->st_ino);
}

/**
 * vs_disk_file_id:
 * @path: a file or block device
 * @error: %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_IO
 *
 * What identifies a file whatever it is called: device and inode, or the device number of a block device.
 *
 * Returns: (transfer full): an opaque word to compare
 */
char *
vs_disk_file_id (const char *path, GError **error)
{
  struct stat st;

  if (stat (path, &st) == 0)
    return id_for_stat (&st);
  g_set_error (error, VMSNAP_ERROR, errno == ENOENT || errno == ENOTDIR ? VMSNAP_ERROR_NOT_FOUND : VMSNAP_ERROR_IO,
               "Can't find %s: %s", path, g_strerror (errno));
  return NULL;
}

/**
 * vs_disk_file_id_is_akin:
 * @id: what vs_disk_file_id() said of a file
 * @other: what it said of one of the same path, maybe before the host was started anew: its devices may have got other
 *   numbers by that
 *
 * Returns: whether both can be the same file
 */
gboolean
vs_disk_file_id_is_akin (const char *id, const char *other)
{
  return g_str_has_prefix (id, "file:") && g_str_has_prefix (other, "file:")
         && g_str_equal (strrchr (id, ':'), strrchr (other, ':'));
}

/* What the first bytes say. Not to choose a format by, for the guest may have written them: only to catch mistakes. */
static gboolean
check_format (const char *path, const char *format, int fd, GError **error)
{
  gboolean is_qcow2 = vs_qcow2_is (fd);

  if (!g_str_equal (format, "raw") && !g_str_equal (format, "qcow2"))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "%s is of the format %s; raw and qcow2 are supported",
                 path, format);
  else if (g_str_equal (format, "qcow2") && !is_qcow2)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "%s is said to be a qcow2 image, but has no qcow2 header. Is its format raw?", path);
  else if (g_str_equal (format, "raw") && is_qcow2)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "%s is said to be raw, but begins with a qcow2 header. Is its format qcow2?", path);
  else
    return TRUE;
  return FALSE;
}

/* A name as `nbd://…`, `json:{…}`: as QEMU tells them, by a colon before the first slash. */
static gboolean
is_local (const char *name)
{
  return name[strcspn (name, ":/")] != ':';
}

static void
set_format_unknown (GError **error, const char *path, const char *backing)
{
  g_autofree char *quoted = g_shell_quote (path);
  g_autofree char *quoted_backing = g_shell_quote (backing);

  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "%s doesn't say of which format its backing file %s is, and guessing is not safe. If it is qcow2, "
               "this command records it: qemu-img rebase -u -f qcow2 -F qcow2 -b %s %s",
               path, backing, quoted_backing, quoted);
}

/* What an image may ask for that we don't give. */
static gboolean
check_header (const char *path, const VsQcow2Header *header, GError **error)
{
  g_autofree char *quoted = g_shell_quote (path);

  if (header->is_corrupt)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
                 "%s is marked as corrupt. Make a copy, then try: qemu-img check -f qcow2 -r all %s", path, quoted);
  else if (header->is_encrypted)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "%s is encrypted, which is not supported", path);
  else if (header->has_data_file)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                 "%s keeps its data in another file, which is not supported", path);
  else if (header->backing_file != NULL && !is_local (header->backing_file))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "%s has a backing file that is not a local file: %s",
                 path, header->backing_file);
  else if (header->backing_file != NULL && (header->backing_format == NULL || *header->backing_format == '\0'))
    set_format_unknown (error, path, header->backing_file);
  else
    return TRUE;
  return FALSE;
}

/* A file's size, and what is below it. @path and @format are replaced by those of the backing file, or NULL. */
static gboolean
look_inside (VsDiskFile *file, int fd, char **path, char **format, GError **error)
{
  g_autoptr (VsQcow2Header) header = NULL;

  g_clear_pointer (path, g_free);
  g_clear_pointer (format, g_free);
  if (!g_str_equal (file->format, "qcow2"))
    {
      /* Also of a block device, whose st_size is 0. */
      file->virtual_size = (guint64)MAX (lseek (fd, 0, SEEK_END), 0);
      return TRUE;
    }
  header = vs_qcow2_read_header (fd, error);
  if (header == NULL)
    {
      g_prefix_error (error, "%s can't be used: ", file->path);
      return FALSE;
    }
  if (!check_header (file->path, header, error))
    return FALSE;
  file->virtual_size = header->virtual_size;
  if (header->backing_file != NULL)
    {
      g_autofree char *directory = g_path_get_dirname (file->path);

      *path = g_path_is_absolute (header->backing_file) ? g_strdup (header->backing_file)
                                                        : g_build_filename (directory, header->backing_file, NULL);
      *format = g_strdup (header->backing_format);
    }
  return TRUE;
}

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

/* Opens the next file of a chain, for looking. Returns -1 with an error set. */
static int
open_next (const VsDiskChain *chain, const char *path, gboolean writable, struct stat *st, GError **error)
{
  const VsDiskFile *above = chain->files->len > 0 ? g_ptr_array_index (chain->files, chain->files->len - 1) : NULL;
  g_autofree char *of_whom = above != NULL ? g_strdup_printf ("the backing file of %s", above->path)
                                           : g_strdup_printf ("the file of disk %s", chain->target);
  int fd;

  if (!vs_file_access_check (path, writable, of_whom, st, error))
    return -1;
  /* O_NONBLOCK in case a pipe has taken its place meanwhile. */
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    vs_file_access_set_error (error, path, FALSE, errno);
  return fd;
}

/* Adds one file to the chain, and goes on to the one below. */
static gboolean
add_file (VsDiskChain *chain, char **path, char **format, gboolean writable, GError **error)
{
  g_autoptr (VsDiskFile) file = g_new0 (VsDiskFile, 1);
  struct stat st;
  int fd = open_next (chain, *path, writable, &st, error);
  gboolean is_good;

  if (fd < 0)
    return FALSE;
  file->path = g_strdup (*path);
  file->format = g_strdup (*format);
  file->is_block = S_ISBLK (st.st_mode);
  file->actual_size = (guint64)st.st_blocks * 512;
  file->id = id_for_stat (&st);
  is_good = check_not_yet_there (chain, file, error) && check_format (*path, *format, fd, error)
            && look_inside (file, fd, path, format, error);
  close (fd);
  if (is_good)
    g_ptr_array_add (chain->files, g_steal_pointer (&file));
  return is_good;
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
  chain->files = g_ptr_array_new_with_free_func ((GDestroyNotify)disk_file_free);

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
