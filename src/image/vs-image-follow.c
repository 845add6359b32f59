/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Follows QEMU or a program through an image that they write or read through the page cache, and lets the disk work
 * meanwhile. What is written is sent there at once: the kernel alone would begin with that only seconds later, and an
 * fsync in the end would take all of the disk's time on top of all of QEMU's. What will be read is fetched in large
 * pieces. It is no more than a help: it waits for nothing, and what fails is found by that fsync, or by who reads. A
 * thread of its own; start and stop belong into one other thread.
 */
#include "vs-image-follow.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much at once: a disk that is behind makes this thread wait, and stopping waits for that. */
#define WINDOW (8 * 1024 * 1024)
/* How far fetching may be ahead. */
#define AHEAD (4 * WINDOW)
#define INTERVAL (10 * G_TIME_SPAN_MILLISECOND)

struct _VsImageFollow
{
  VsImageFile *file;
  VsImageFollowKind kind;
  GThread *thread;
  guint64 done;    /* up to where it was sent or fetched; the thread's, as the next */
  guint64 dropped; /* up to where what was read was dropped */
  GMutex lock;
  GCond changed;
  gboolean stop; /* under the lock */
};

/* Whoever it is has our open file description, or moves the end of a file that was empty. */
static guint64
get_position (VsImageFollow *self)
{
  struct stat st;
  off_t position;

  if (self->kind == VS_IMAGE_FOLLOW_WRITING && !self->file->is_device)
    position = fstat (self->file->fd, &st) == 0 ? st.st_size : 0;
  else
    position = lseek (self->file->fd, 0, SEEK_CUR);
  return position > 0 ? (guint64)position : 0;
}

/* FALSE: there isn't enough. It doesn't wait for the writing's end, and so doesn't take an error from the fsync. */
static gboolean
send (VsImageFollow *self, guint64 position)
{
  if (position < self->done + WINDOW)
    return FALSE;
  (void)sync_file_range (self->file->fd, (off_t)self->done, WINDOW, SYNC_FILE_RANGE_WRITE);
  self->done += WINDOW;
  return TRUE;
}

static gboolean
fetch (VsImageFollow *self, guint64 position)
{
  self->done = MAX (self->done, position);
  if (self->done >= self->file->size || self->done >= position + AHEAD)
    return FALSE;
  (void)posix_fadvise (self->file->fd, (off_t)self->done, WINDOW, POSIX_FADV_WILLNEED);
  self->done += WINDOW;
  return TRUE;
}

static gboolean
drop (VsImageFollow *self, guint64 position)
{
  if (self->kind != VS_IMAGE_FOLLOW_READING_ONCE || position < self->dropped + WINDOW)
    return FALSE;
  (void)posix_fadvise (self->file->fd, (off_t)self->dropped, WINDOW, POSIX_FADV_DONTNEED);
  self->dropped += WINDOW;
  return TRUE;
}

static gboolean
work (VsImageFollow *self)
{
  guint64 position = get_position (self);
  gboolean fetched;

  if (self->kind == VS_IMAGE_FOLLOW_WRITING)
    return send (self, position);
  fetched = fetch (self, position);
  return drop (self, position) || fetched;
}

static gpointer
run (gpointer data)
{
  VsImageFollow *self = data;

  g_mutex_lock (&self->lock);
  while (!self->stop)
    {
      gboolean worked;

      g_mutex_unlock (&self->lock);
      worked = work (self);
      g_mutex_lock (&self->lock);
      if (!worked && !self->stop)
        g_cond_wait_until (&self->changed, &self->lock, g_get_monotonic_time () + INTERVAL);
    }
  g_mutex_unlock (&self->lock);
  return NULL;
}

/**
 * vs_image_follow_start:
 * @file: the image; must outlive this
 * @offset: where in it others write or read on from
 * @kind: what they do
 *
 * Returns: (transfer full) (nullable): the thread; %NULL: there is none, which makes things slower, no more
 */
VsImageFollow *
vs_image_follow_start (VsImageFile *file, guint64 offset, VsImageFollowKind kind)
{
  VsImageFollow *self = g_new0 (VsImageFollow, 1);

  self->file = file;
  self->kind = kind;
  self->done = self->dropped = offset;
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->thread = g_thread_try_new ("image-follow", run, self, NULL);
  if (self->thread == NULL)
    g_clear_pointer (&self, vs_image_follow_stop);
  return self;
}

/**
 * vs_image_follow_stop:
 * @self: (transfer full): a thread, which ends
 */
void
vs_image_follow_stop (VsImageFollow *self)
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
