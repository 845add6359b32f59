/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A copy of a whole image file, as it is on the disk: with the tags and the memory inside it, which no tool of QEMU's
 * copies. Shares the blocks where the file system can, and leaves holes where there are some. Stateless; any thread but
 * the main one, for it waits.
 */
#include "vs-file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-file-access.h"

#define STEP (4 * 1024 * 1024)

typedef struct
{
  int from;
  int to;
  off_t size;
  gboolean by_hand; /* the kernel can't copy between these two */
  VsFileCopyProgress progress;
  gpointer user_data;
  GCancellable *cancellable;
} Copy;

/* One stretch of at most STEP bytes. */
static gssize
copy_by_hand (Copy *copy, off_t offset, gsize length)
{
  g_autofree char *buffer = g_malloc (length);
  gssize got = pread (copy->from, buffer, length, offset);
  gssize done = 0;

  while (done < got)
    {
      gssize n = pwrite (copy->to, buffer + done, got - done, offset + done);

      if (n < 0 && errno != EINTR)
        return -1;
      done += MAX (n, 0);
    }
  return got;
}

static gssize
copy_some (Copy *copy, off_t offset, gsize length)
{
  off_t from = offset, to = offset;
  gssize n = copy->by_hand ? -1 : copy_file_range (copy->from, &from, copy->to, &to, length, 0);

  if (n > 0)
    return n;
  if (n < 0 && !copy->by_hand && (errno == ENOSPC || errno == EIO || errno == EDQUOT || errno == EINTR))
    return -1;
  copy->by_hand = TRUE;
  return copy_by_hand (copy, offset, length);
}

static gboolean
copy_range (Copy *copy, off_t offset, off_t end)
{
  while (offset < end)
    {
      gssize n;

      if (g_cancellable_is_cancelled (copy->cancellable))
        {
          errno = ECANCELED;
          return FALSE;
        }
      n = copy_some (copy, offset, MIN (end - offset, STEP));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          errno = n == 0 ? EIO : errno;
          return FALSE;
        }
      offset += n;
      if (copy->progress != NULL)
        copy->progress ((guint64) offset, (guint64) copy->size, copy->user_data);
    }
  return TRUE;
}

/* What isn't a hole; all of it where nobody can tell, as of a device. */
static gboolean
copy_all (Copy *copy)
{
  off_t end = 0;

  while (end < copy->size)
    {
      off_t start = lseek (copy->from, end, SEEK_DATA);

      if (start < 0 && errno == ENXIO)
        break;
      if (start < 0)
        return copy_range (copy, end, copy->size);
      end = lseek (copy->from, start, SEEK_HOLE);
      if (end < 0)
        end = copy->size;
      if (!copy_range (copy, start, MIN (end, copy->size)))
        return FALSE;
    }
  return TRUE;
}

static void
set_error (GError **error, const char *path, const char *target, int errsv)
{
  g_set_error (error, VMSNAP_ERROR,
               errsv == ENOSPC || errsv == EDQUOT ? VMSNAP_ERROR_NO_SPACE
               : errsv == ECANCELED               ? VMSNAP_ERROR_CANCELLED
                                                  : VMSNAP_ERROR_IO,
               "Can't copy %s to %s: %s", path, target, g_strerror (errsv));
}

static gboolean
run (Copy *copy)
{
  copy->size = lseek (copy->from, 0, SEEK_END);
  if (copy->size < 0 || ftruncate (copy->to, 0) != 0)
    return FALSE;
  if (ioctl (copy->to, FICLONE, copy->from) == 0)
    return TRUE;
  return ftruncate (copy->to, copy->size) == 0 && copy_all (copy);
}

/**
 * vs_file_copy:
 * @path: an image that nobody writes to meanwhile: a file or a block device
 * @target: the file that becomes its copy; it is there already
 * @progress: (nullable): told how far it is
 * @user_data: for @progress
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, %VMSNAP_ERROR_CANCELLED
 *
 * Doesn't sync.
 *
 * Returns: whether @target has the same bytes
 */
gboolean
vs_file_copy (const char *path,
              const char *target,
              VsFileCopyProgress progress,
              gpointer user_data,
              GCancellable *cancellable,
              GError **error)
{
  Copy copy = { .progress = progress, .user_data = user_data, .cancellable = cancellable };
  gboolean ok;
  int errsv;

  copy.from = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (copy.from < 0)
    {
      vs_file_access_set_error (error, path, FALSE, errno);
      return FALSE;
    }
  copy.to = open (target, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
  ok = copy.to >= 0 && run (&copy);
  errsv = errno;
  close (copy.from);
  if (copy.to >= 0)
    close (copy.to);
  if (!ok)
    set_error (error, path, target, errsv);
  return ok;
}
