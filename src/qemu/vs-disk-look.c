/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One look at one file of a disk: what it is, and what it says of the file below it. No format is guessed, and no
 * strange file opened; what can't be used comes with the command that helps. Stateless; any thread but the main one,
 * for a file may be slow to open.
 */
#include "vs-disk-look.h"

#include "vmsnap-error.h"
#include "vs-file-access.h"
#include "vs-qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/**
 * vs_disk_file_free:
 * @file: (transfer full): a file
 */
void
vs_disk_file_free (VsDiskFile *file)
{
  g_free (file->path);
  g_free (file->format);
  g_free (file->id);
  g_free (file);
}

/**
 * vs_disk_look_free:
 * @look: (transfer full): a look
 */
void
vs_disk_look_free (VsDiskLook *look)
{
  g_free (look->file.path);
  g_free (look->file.format);
  g_free (look->file.id);
  g_free (look->backing_path);
  g_free (look->backing_format);
  g_clear_error (&look->problem);
  g_free (look);
}

/**
 * vs_disk_look_steal_file:
 * @look: a look
 *
 * Returns: (transfer full): its file, which is @look's no more
 */
VsDiskFile *
vs_disk_look_steal_file (VsDiskLook *look)
{
  VsDiskFile *file = g_memdup2 (&look->file, sizeof look->file);

  memset (&look->file, 0, sizeof look->file);
  return file;
}

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

/* A file's size, and what is below it: as far as it can be told, even where there is a problem with it. */
static gboolean
look_inside (VsDiskLook *look, int fd, GError **error)
{
  VsDiskFile *file = &look->file;
  g_autoptr (VsQcow2Header) header = NULL;

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
  file->virtual_size = header->virtual_size;
  if (header->backing_file != NULL && is_local (header->backing_file))
    {
      g_autofree char *directory = g_path_get_dirname (file->path);

      look->backing_path = g_path_is_absolute (header->backing_file)
                             ? g_strdup (header->backing_file)
                             : g_build_filename (directory, header->backing_file, NULL);
      look->backing_format = g_strdup (header->backing_format);
    }
  return check_header (file->path, header, error);
}

/* Opens it, for looking. Returns -1 with an error set. */
static int
open_file (const char *path, GError **error)
{
  /* O_NONBLOCK in case a pipe has taken its place meanwhile. */
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

  if (fd < 0)
    vs_file_access_set_error (error, path, FALSE, errno);
  return fd;
}

/**
 * vs_disk_look:
 * @path: a file of a disk
 * @format: (nullable): its format, as the definition or the file above says; %NULL: nobody says it, so it is only
 * looked whether it would be qcow2, to know what else would be lost with it
 * @writable: whether it must be open to us for writing, too
 * @of_whom: what it is, for a message: `the backing file of /images/top`
 *
 * Looks at a file. Its problem may be %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_IO when it can't be opened (with the
 * command that opens it) or is marked as corrupt, %VMSNAP_ERROR_INVALID_ARGUMENT for a wrong format, a directory or a
 * backing file of unknown format, %VMSNAP_ERROR_IMAGE_CORRUPT, %VMSNAP_ERROR_NOT_SUPPORTED.
 *
 * Returns: (transfer full): what was seen
 */
VsDiskLook *
vs_disk_look (const char *path, const char *format, gboolean writable, const char *of_whom)
{
  VsDiskLook *look = g_new0 (VsDiskLook, 1);
  struct stat st;
  int fd;

  look->file.path = g_strdup (path);
  if (stat (path, &st) == 0)
    look->file.id = id_for_stat (&st);
  if (!vs_file_access_check (path, writable, of_whom, &st, &look->problem))
    return look;
  g_free (look->file.id);
  look->file.id = id_for_stat (&st);
  look->file.is_block = S_ISBLK (st.st_mode);
  look->file.actual_size = (guint64)st.st_blocks * 512;
  fd = open_file (path, &look->problem);
  if (fd < 0)
    return look;
  look->file.format = g_strdup (format != NULL ? format : vs_qcow2_is (fd) ? "qcow2" : "raw");
  if (check_format (path, look->file.format, fd, &look->problem))
    look_inside (look, fd, &look->problem);
  close (fd);
  return look;
}
