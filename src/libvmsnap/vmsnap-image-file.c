/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Opening the files of saved images, so that nothing is overwritten that somebody may need. Blocking; any thread.
 */
#include "vmsnap-image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string.h>

/* How a saved image begins, and one that isn't complete. */
#define MAGIC_SIZE 16
#define MAGIC_DONE "LibvirtQemudSave"
#define MAGIC_PART "LibvirtQemudPart"

/* A guest's memory is nobody else's business. */
#define MODE 0600

G_DEFINE_AUTO_CLEANUP_FREE_FUNC (int, close, -1)

static int
fail (GError **error, int saved_errno, const char *name)
{
  int code = saved_errno == ENOENT                            ? VMSNAP_ERROR_NOT_FOUND
             : saved_errno == EISDIR                          ? VMSNAP_ERROR_INVALID_ARGUMENT
             : saved_errno == ENOSPC || saved_errno == EDQUOT ? VMSNAP_ERROR_NO_SPACE
                                                              : VMSNAP_ERROR_IO;

  g_set_error (error, VMSNAP_ERROR, code, "Can't open %s: %s", name, g_strerror (saved_errno));
  return -1;
}

/* Whether it is a file that may be taken for a new image. */
static gboolean
check_content (int fd, const struct stat *st, const char *name, GError **error)
{
  char magic[MAGIC_SIZE];
  gssize got;

  if (S_ISREG (st->st_mode) && st->st_size == 0)
    return TRUE;
  do
    got = pread (fd, magic, sizeof magic, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return fail (error, errno, name) == 0;
  if (got == MAGIC_SIZE && memcmp (magic, MAGIC_PART, MAGIC_SIZE) == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS,
               got == MAGIC_SIZE && memcmp (magic, MAGIC_DONE, MAGIC_SIZE) == 0
                 ? "%s holds a saved guest already, maybe the only copy of it; take another name, remove it first, or "
                   "say that it may be overwritten (vmsnapctl: --force)"
                 : "%s is there, and is no saved image; take another name, or remove it first",
               name);
  return FALSE;
}

static int
open_present (const char *path, const char *name, VmSnapImageAccess access, GError **error)
{
  /* What isn't a file must not keep us waiting. */
  int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (access == VMSNAP_IMAGE_ACCESS_READ ? O_RDONLY : O_RDWR);
  g_auto (int) fd = open (path, flags);
  struct stat st;

  if (fd < 0 || fstat (fd, &st) != 0)
    return fail (error, errno, name);
  if (!S_ISREG (st.st_mode) && !S_ISBLK (st.st_mode))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "%s is neither a regular file nor a block device; a saved image is one of these", name);
      return -1;
    }
  if (access == VMSNAP_IMAGE_ACCESS_SAVE && !check_content (fd, &st, name, error))
    return -1;
  if (fcntl (fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
    return fail (error, errno, name);
  return g_steal_fd (&fd);
}

/**
 * vmsnap_image_open:
 * @file: a file on this machine
 * @access: what for
 * @created: (out) (optional): whether the file was made here
 * @error: %VMSNAP_ERROR_NOT_FOUND; %VMSNAP_ERROR_ALREADY_EXISTS: it is there, and not to be overwritten;
 *   %VMSNAP_ERROR_INVALID_ARGUMENT: it is a directory, a pipe or the like, or on another machine;
 *   %VMSNAP_ERROR_NO_SPACE; %VMSNAP_ERROR_IO: anything else, for instance that it may not be read
 *
 * Opens the file of a saved image for the calls that take a descriptor: vmsnap_domain_save(),
 * vmsnap_client_restore_domain(), vmsnap_client_inspect_image() and vmsnap_client_rewrite_image(). The service needs no
 * access to the file itself: the descriptor is enough.
 *
 * A file that is there isn't cut or changed yet. What was made here and isn't needed after all is the caller's to
 * remove.
 *
 * Returns: a descriptor, to be closed by the caller; -1 on errors
 */
int
vmsnap_image_open (GFile *file, VmSnapImageAccess access, gboolean *created, GError **error)
{
  g_autofree char *path = NULL;
  g_autofree char *name = NULL;
  int fd = -1;

  g_return_val_if_fail (G_IS_FILE (file), -1);

  path = g_file_get_path (file);
  name = g_file_get_parse_name (file);
  if (created != NULL)
    *created = FALSE;
  if (path == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "%s isn't a file of this machine; copy it here first", name);
      return -1;
    }
  if (access == VMSNAP_IMAGE_ACCESS_SAVE || access == VMSNAP_IMAGE_ACCESS_OVERWRITE)
    fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, MODE);
  else
    errno = EEXIST;
  if (fd < 0)
    return errno == EEXIST ? open_present (path, name, access, error) : fail (error, errno, name);
  if (created != NULL)
    *created = TRUE;
  return fd;
}
