/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Room for an image that must not run out of it, and how fast its file takes what is written. Blocking; one thread at a
 * time.
 */
#include "vs-image-room.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What is written to find out how fast that is: enough for a disk to show itself, and little beside a guest's memory. */
#define TRIAL_SIZE (8 * 1024 * 1024)

/* Those write each block anew, so that what is reserved may still not be enough: btrfs, bcachefs, ZFS. */
static gboolean
copies_on_write (int fd)
{
  static const guint32 kinds[] = { 0x9123683e, 0xca451a4e, 0x2fc12fc1 };
  struct statfs fs;

  if (fstatfs (fd, &fs) != 0)
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    if ((guint32)fs.f_type == kinds[i])
      return TRUE;
  return FALSE;
}

/**
 * vs_image_file_reserve:
 * @self: a file
 * @end: up to where, in bytes from its start
 * @error: %VMSNAP_ERROR_NO_SPACE; %VMSNAP_ERROR_NOT_SUPPORTED: its file system can't do that
 *
 * Makes sure that no write up to there will fail for want of space. A regular file doesn't look longer afterwards.
 *
 * Returns: whether there is room, and nobody else gets it
 */
gboolean
vs_image_file_reserve (VsImageFile *self, guint64 end, GError **error)
{
  int number = 0;

  if (self->is_device)
    {
      if (self->size >= end)
        return TRUE;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE, "the device has %" G_GUINT64_FORMAT " MiB, %" G_GUINT64_FORMAT
                   " MiB are needed", self->size >> 20, end >> 20);
      return FALSE;
    }
  do
    number = copies_on_write (self->fd)                                          ? EOPNOTSUPP
             : fallocate (self->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)end) == 0 ? 0
                                                                                 : errno;
  while (number == EINTR);
  if (number == EOPNOTSUPP || number == ENOSYS)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "its file system can't reserve space");
  else if (number != 0)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE, "%" G_GUINT64_FORMAT " MiB can't be reserved: %s", end >> 20,
                 g_strerror (number));
  return number == 0;
}

/**
 * vs_image_file_release:
 * @self: a file
 * @end: where its contents end
 *
 * Gives back what was reserved beyond. Both ways, for some file systems know only one of them.
 */
void
vs_image_file_release (VsImageFile *self, guint64 end)
{
  off_t reserved = (off_t)1 << 50;

  if (self->is_device)
    return;
  (void)ftruncate (self->fd, (off_t)end);
  (void)fallocate (self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)end, reserved);
}

/**
 * vs_image_file_measure:
 * @self: a file that nothing is in from @offset on
 * @offset: from its start
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Writes a little, up to the disk. What is written stays until it is written over or cut off.
 *
 * Returns: bytes a second, at least 1; 0: it can't be written
 */
guint64
vs_image_file_measure (VsImageFile *self, guint64 offset, GError **error)
{
  g_autofree guint8 *data = g_malloc (TRIAL_SIZE);
  gint64 began = g_get_monotonic_time ();
  gint64 took;

  /* Not zeros, which some disks needn't write. */
  for (gsize i = 0; i < TRIAL_SIZE; i++)
    data[i] = (guint8)(i * 2654435761U >> 13);
  if (!vs_image_file_write (self, offset, data, TRIAL_SIZE, error) || !vs_image_file_sync (self, error))
    return 0;
  took = g_get_monotonic_time () - began;
  return MAX ((guint64)TRIAL_SIZE * G_USEC_PER_SEC / (guint64)MAX (took, 1), 1);
}
