/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files of disks that a run makes: how they get their name, how a next life knows them again, how they go. Threads of
 * runs.
 */
#include "vs-new-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-disk-chain.h"
#include "vs-qcow2.h"

static const char *
get (JsonObject *file, const char *member)
{
  return json_object_get_string_member_with_default (file, member, NULL);
}

/* Why a file at this path couldn't be made. */
void
vs_new_file_set_error (GError **error, const char *path, int errsv)
{
  int code = errsv == ENOSPC || errsv == EDQUOT ? VMSNAP_ERROR_NO_SPACE
             : errsv == EEXIST                  ? VMSNAP_ERROR_ALREADY_EXISTS
             : errsv == ENOENT                  ? VMSNAP_ERROR_NOT_FOUND
             : errsv == ENAMETOOLONG            ? VMSNAP_ERROR_INVALID_ARGUMENT
                                                : VMSNAP_ERROR_IO;

  g_set_error (error, VMSNAP_ERROR, code, "Can't make %s: %s", path, g_strerror (errsv));
}

/* Who may read and write the disk may read and write what takes its place. The group is not always ours to give. */
static void
set_rights (int fd, const char *like)
{
  struct stat st;

  if (stat (like, &st) != 0 || !S_ISREG (st.st_mode))
    return;
  if (fchown (fd, (uid_t) -1, st.st_gid) != 0)
    g_debug ("The group of %s can't be given to a new file: %s", like, g_strerror (errno));
  if (fchmod (fd, (st.st_mode & 0666) | 0600) != 0)
    g_debug ("The rights of %s can't be given to a new file: %s", like, g_strerror (errno));
}

/* A file that has no name yet, where the file system can do that, else an empty one of that name. */
static int
open_new (const char *path)
{
  g_autofree char *directory = g_path_get_dirname (path);
  int fd = open (directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL))
    fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  return fd;
}

/**
 * vs_new_file_begin:
 * @file: what is to be made; gets %VS_NEW_FILE_MADE
 * @like: the path of a file whose rights it gets
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_NOT_FOUND, …
 *
 * Makes it, without a name as a rule: now the journal can tell which it is.
 *
 * Returns: a descriptor, or -1
 */
int
vs_new_file_begin (JsonObject *file, const char *like, GError **error)
{
  const char *path = get (file, VS_NEW_FILE_PATH);
  g_autofree char *id = NULL;
  g_autofree char *itself = NULL;
  int fd = open_new (path);

  if (fd < 0)
    {
      vs_new_file_set_error (error, path, errno);
      return -1;
    }
  set_rights (fd, like);
  itself = g_strdup_printf ("/proc/self/fd/%d", fd);
  id = vs_disk_file_id (itself, error);
  if (id == NULL)
    {
      close (fd);
      return -1;
    }
  json_object_set_string_member (file, VS_NEW_FILE_MADE, id);
  return fd;
}

/**
 * vs_new_file_name:
 * @file: what was begun
 * @fd: its descriptor
 * @error: %VMSNAP_ERROR_ALREADY_EXISTS, …
 *
 * Gives it its name, unless it has it already. Never over another file.
 *
 * Returns: whether it has it
 */
gboolean
vs_new_file_name (JsonObject *file, int fd, GError **error)
{
  const char *path = get (file, VS_NEW_FILE_PATH);
  g_autofree char *itself = g_strdup_printf ("/proc/self/fd/%d", fd);
  struct stat st;

  if (fstat (fd, &st) == 0 && st.st_nlink > 0)
    return TRUE;
  if (linkat (AT_FDCWD, itself, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
    return TRUE;
  vs_new_file_set_error (error, path, errno);
  return FALSE;
}

static gboolean
sync_path (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;

  if (!ok)
    vs_new_file_set_error (error, path, errno);
  if (fd >= 0)
    close (fd);
  return ok;
}

/* The journal will speak of it as of something that is there, also after a power failure. */
gboolean
vs_new_file_sync (const char *path, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (path);

  return sync_path (path, error) && sync_path (directory, error);
}

static gboolean
stands_on_base (JsonObject *file)
{
  int fd = open (get (file, VS_NEW_FILE_PATH), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  g_autoptr (VsQcow2Header) header = fd >= 0 && vs_qcow2_is (fd) ? vs_qcow2_read_header (fd, NULL) : NULL;

  if (fd >= 0)
    close (fd);
  return header != NULL && g_strcmp0 (header->backing_file, get (file, VS_NEW_FILE_BASE_PATH)) == 0;
}

/**
 * vs_new_file_is_ours:
 * @file: what was begun, perhaps
 *
 * When the host was started anew its devices may have other numbers: then what is in it counts, too.
 *
 * Returns: whether what is at its path is what was made
 */
gboolean
vs_new_file_is_ours (JsonObject *file)
{
  const char *made = get (file, VS_NEW_FILE_MADE);
  g_autofree char *id = made != NULL ? vs_disk_file_id (get (file, VS_NEW_FILE_PATH), NULL) : NULL;

  return id != NULL && (g_str_equal (id, made) || (vs_disk_file_id_is_akin (id, made) && stands_on_base (file)));
}

/**
 * vs_new_file_remove:
 * @file: what was begun, perhaps
 * @error: %VMSNAP_ERROR_IO
 *
 * Returns: whether nothing is left of it; another file in its place stays
 */
gboolean
vs_new_file_remove (JsonObject *file, GError **error)
{
  const char *path = get (file, VS_NEW_FILE_PATH);
  g_autofree char *directory = g_path_get_dirname (path);

  if (!vs_new_file_is_ours (file))
    return TRUE;
  if (g_unlink (path) == 0)
    {
      sync_path (directory, NULL);
      return TRUE;
    }
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't remove %s: %s", path, g_strerror (errno));
  return FALSE;
}
