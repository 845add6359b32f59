/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file that a caller opened, while an image is read from it or written into it. Its flags and its offset belong to
 * the open file description, so the caller sees what we do to them: both are put back in the end. Blocking; one thread
 * at a time.
 */
#include "vs-image-file.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where nobody tells: the largest that is common. */
#define DEFAULT_BLOCK_SIZE 4096

/**
 * vs_image_error_from_errno:
 * @error: (nullable): where to
 * @saved_errno: why
 * @what: what failed, as the beginning of a sentence
 *
 * Sets an error with the code that fits best.
 */
void
vs_image_error_from_errno (GError **error, int saved_errno, const char *what)
{
  switch (saved_errno)
    {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE, "%s: %s; make room, or write it elsewhere", what,
                   g_strerror (saved_errno));
      break;
    default:
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "%s: %s", what, g_strerror (saved_errno));
    }
}

static gboolean
refuse (GError **error, const char *what)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "the image's descriptor %s", what);
  return FALSE;
}

static gboolean
check_kind (mode_t mode, GError **error)
{
  if (S_ISREG (mode) || S_ISBLK (mode))
    return TRUE;
  return refuse (error, S_ISDIR (mode)    ? "is a directory: open a file in it"
                        : S_ISFIFO (mode) ? "is a pipe: an image needs a file, for its beginning is written last"
                        : S_ISSOCK (mode) ? "is a socket: an image needs a file, for its beginning is written last"
                                          : "is neither a regular file nor a block device");
}

static gboolean
check_access (int flags, VsImageAccess access, GError **error)
{
  int mode = flags & O_ACCMODE;

  if ((flags & O_PATH) != 0)
    return refuse (error, "was opened with O_PATH, and can be neither read nor written");
  if ((access & VS_IMAGE_ACCESS_READ) != 0 && mode == O_WRONLY)
    return refuse (error, "can't be read: open the file for reading, too");
  if ((access & VS_IMAGE_ACCESS_WRITE) != 0 && mode == O_RDONLY)
    return refuse (error, "can't be written: open the file for writing, too");
  return TRUE;
}

/* Neither positions nor lengths are free with one of these. */
static gboolean
clear_flags (VsImageFile *self, GError **error)
{
  int unwanted = self->old_flags & (O_APPEND | O_DIRECT);

  if (unwanted != 0 && fcntl (self->fd, F_SETFL, self->old_flags & ~unwanted) != 0)
    return refuse (error, "can only append: open the file without O_APPEND");
  return TRUE;
}

static gboolean
measure (VsImageFile *self, const struct stat *st, GError **error)
{
  gint64 end;

  self->is_device = S_ISBLK (st->st_mode);
  self->old_offset = lseek (self->fd, 0, SEEK_CUR);
  end = self->is_device ? lseek (self->fd, 0, SEEK_END) : st->st_size;
  if (self->old_offset < 0 || end < 0)
    {
      vs_image_error_from_errno (error, errno, "couldn't measure the image's file");
      return FALSE;
    }
  self->size = (guint64)end;
  return TRUE;
}

/**
 * vs_image_file_borrow:
 * @fd: a caller's descriptor, which stays open
 * @access: what shall be done with it
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT when it isn't fit for that; %VMSNAP_ERROR_IO
 *
 * Until it is given back, writes go where they are told to go even if the caller asked for O_APPEND, and buffers may
 * lie anywhere even if it asked for O_DIRECT.
 *
 * Returns: (transfer full): the file
 */
VsImageFile *
vs_image_file_borrow (int fd, VsImageAccess access, GError **error)
{
  g_autoptr (VsImageFile) self = g_new0 (VsImageFile, 1);
  struct stat st;

  self->old_offset = -1;
  self->fd = fcntl (fd, F_DUPFD_CLOEXEC, 3);
  self->old_flags = self->fd >= 0 ? fcntl (self->fd, F_GETFL) : -1;
  if (self->old_flags < 0 || fstat (self->fd, &st) != 0)
    {
      vs_image_error_from_errno (error, errno, "couldn't look at the image's descriptor");
      return NULL;
    }
  if (!check_kind (st.st_mode, error) || !check_access (self->old_flags, access, error) || !clear_flags (self, error)
      || !measure (self, &st, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * vs_image_file_return:
 * @self: (transfer full): a file
 *
 * Gives the caller's descriptor back as it was.
 */
void
vs_image_file_return (VsImageFile *self)
{
  if (self->old_offset >= 0)
    (void)lseek (self->fd, self->old_offset, SEEK_SET);
  if (self->old_flags >= 0)
    (void)fcntl (self->fd, F_SETFL, self->old_flags);
  if (self->fd >= 0)
    close (self->fd);
  g_free (self);
}

/**
 * vs_image_file_read:
 * @self: a file
 * @offset: from its start
 * @data: (out caller-allocates) (array length=length): what is there
 * @length: how much to read
 * @got: (out): how much there was; less than @length at the file's end alone
 * @error: %VMSNAP_ERROR_IO
 *
 * Returns: whether it could be read
 */
gboolean
vs_image_file_read (VsImageFile *self, guint64 offset, guint8 *data, gsize length, gsize *got, GError **error)
{
  *got = 0;
  while (*got < length)
    {
      ssize_t n = pread (self->fd, data + *got, length - *got, (off_t)(offset + *got));

      if (n == 0)
        break;
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          vs_image_error_from_errno (error, errno, "couldn't read the image");
          return FALSE;
        }
      *got += (gsize)n;
    }
  return TRUE;
}

/**
 * vs_image_file_write:
 * @self: a file
 * @offset: from its start
 * @data: (array length=length): what to write
 * @length: how much
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Returns: whether all of it is written (not yet synced)
 */
gboolean
vs_image_file_write (VsImageFile *self, guint64 offset, const guint8 *data, gsize length, GError **error)
{
  gsize done = 0;

  while (done < length)
    {
      ssize_t n = pwrite (self->fd, data + done, length - done, (off_t)(offset + done));

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          vs_image_error_from_errno (error, n < 0 ? errno : ENOSPC, "couldn't write the image");
          return FALSE;
        }
      done += (gsize)n;
    }
  return TRUE;
}

/**
 * vs_image_file_cut:
 * @self: a file
 * @size: bytes
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Lets a regular file end there; a device stays as it is.
 *
 * Returns: whether it could be done
 */
gboolean
vs_image_file_cut (VsImageFile *self, guint64 size, GError **error)
{
  if (self->is_device || ftruncate (self->fd, (off_t)size) == 0)
    return TRUE;
  vs_image_error_from_errno (error, errno, "couldn't set the image's length");
  return FALSE;
}

/**
 * vs_image_file_sync:
 * @self: a file
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Returns: whether what was written is on the disk
 */
gboolean
vs_image_file_sync (VsImageFile *self, GError **error)
{
  if (fsync (self->fd) == 0)
    return TRUE;
  vs_image_error_from_errno (error, errno, "couldn't get the image onto the disk");
  return FALSE;
}

/**
 * vs_image_file_get_block_size:
 * @self: a file
 *
 * Returns: what offsets, lengths and buffers have to be multiples of when the page cache is passed by
 */
guint
vs_image_file_get_block_size (VsImageFile *self)
{
  int sector = 0;
#ifdef STATX_DIOALIGN
  struct statx st = { 0 };

  if (statx (self->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN) != 0
      && st.stx_dio_offset_align != 0)
    return MAX (st.stx_dio_offset_align, st.stx_dio_mem_align);
#endif
  if (self->is_device && ioctl (self->fd, BLKSSZGET, &sector) == 0 && sector > 0)
    return (guint)sector;
  return DEFAULT_BLOCK_SIZE;
}

/**
 * vs_image_file_set_direct:
 * @self: a file
 * @direct: whether to pass the page cache by
 *
 * Returns: whether the file system can do that
 */
gboolean
vs_image_file_set_direct (VsImageFile *self, gboolean direct)
{
  int flags = self->old_flags & ~(O_APPEND | O_DIRECT);

  return fcntl (self->fd, F_SETFL, direct ? flags | O_DIRECT : flags) == 0;
}

/**
 * vs_image_file_reopen:
 * @self: a file
 * @flags: how to open it
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Opens the file once more, for an open file description with another access mode or other flags.
 *
 * Returns: a descriptor to close, or -1: the file's permissions don't allow it, or the file system not these flags
 */
int
vs_image_file_reopen (VsImageFile *self, int flags, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", self->fd);
  int fd = open (path, flags | O_CLOEXEC | O_NOCTTY);

  if (fd < 0)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "couldn't open the image's file once more (%s): open it %s yourself, or let the service's user do it",
                 g_strerror (errno), (flags & O_ACCMODE) == O_RDONLY ? "read-only" : "write-only");
  return fd;
}
