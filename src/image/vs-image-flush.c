/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sends to the disk what QEMU or a program writes into an image, while it still writes: the kernel alone would begin
 * with that only seconds later, and an fsync in the end would take all of the disk's time on top of all of QEMU's. It
 * is no more than a help: it waits for nothing, and what fails is found by that fsync. A thread of its own; start and
 * stop belong into one other thread.
 */
#include "vs-image-flush.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much at once: a disk that is behind makes the sending wait, and stopping waits for that. */
#define WINDOW (8 * 1024 * 1024)
#define INTERVAL (10 * G_TIME_SPAN_MILLISECOND)

struct _VsImageFlush
{
  VsImageFile *file;
  GThread *thread;
  guint64 sent; /* up to where; the thread's */
  GMutex lock;
  GCond changed;
  gboolean stop; /* under the lock */
};

/* Of a file, which was empty, its length: QEMU may write through descriptors of its own. */
static guint64
get_end (VsImageFlush *self)
{
  struct stat st;
  off_t end;

  if (self->file->is_device)
    end = lseek (self->file->fd, 0, SEEK_CUR);
  else
    end = fstat (self->file->fd, &st) == 0 ? st.st_size : 0;
  return end > 0 ? (guint64)end : 0;
}

/* FALSE: there isn't enough. It doesn't wait for the writing's end, and so doesn't take an error from the fsync. */
static gboolean
send_window (VsImageFlush *self)
{
  if (get_end (self) < self->sent + WINDOW)
    return FALSE;
  (void)sync_file_range (self->file->fd, (off_t)self->sent, WINDOW, SYNC_FILE_RANGE_WRITE);
  self->sent += WINDOW;
  return TRUE;
}

static gpointer
run (gpointer data)
{
  VsImageFlush *self = data;

  g_mutex_lock (&self->lock);
  while (!self->stop)
    {
      gboolean sent;

      g_mutex_unlock (&self->lock);
      sent = send_window (self);
      g_mutex_lock (&self->lock);
      if (!sent && !self->stop)
        g_cond_wait_until (&self->changed, &self->lock, g_get_monotonic_time () + INTERVAL);
    }
  g_mutex_unlock (&self->lock);
  return NULL;
}

/**
 * vs_image_flush_start:
 * @file: the image; must outlive this
 * @offset: where in it others write on from
 *
 * Returns: (transfer full) (nullable): the thread; %NULL: there is none, which makes things slower, no more
 */
VsImageFlush *
vs_image_flush_start (VsImageFile *file, guint64 offset)
{
  VsImageFlush *self = g_new0 (VsImageFlush, 1);

  self->file = file;
  self->sent = offset;
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->thread = g_thread_try_new ("image-flush", run, self, NULL);
  if (self->thread == NULL)
    g_clear_pointer (&self, vs_image_flush_stop);
  return self;
}

/**
 * vs_image_flush_stop:
 * @self: (transfer full): a thread, which ends
 */
void
vs_image_flush_stop (VsImageFlush *self)
{
  g_mutex_lock (&self->lock);
  self->stop = TRUE;
  g_cond_signal (&self->changed);
  g_mutex_unlock (&self->lock);
  if (self->thread != NULL)
    g_thread_join (self->thread);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
  g_free (self);
}
