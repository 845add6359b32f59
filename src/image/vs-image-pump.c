/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Moves an image's stream between a pipe and the file where QEMU can't do it itself: in whole aligned blocks that pass
 * the page cache by, or just up to a given byte. Where the file system doesn't let the cache be passed by, what went
 * through it is dropped from it. A thread of its own, which owns the pipe's end and, until it is done, the file's
 * position and flags; the functions may be called from another one.
 */
#include "vs-image-pump.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUFFER_SIZE (1024 * 1024)
/* How far writing into the page cache may be ahead of the disk. */
#define WINDOW (8 * 1024 * 1024)

struct _VsImagePump
{
  VsImageFile *file;
  GThread *thread;
  int pipe_fd; /* -1: closed; the thread's */
  int stop_fd; /* readable: stop */
  int done_fd; /* readable: nothing happens any more */
  guint64 offset; /* where in the file the next block goes or comes from; the thread's */
  guint64 end;
  guint64 position; /* atomic: how far it is */
  guint64 dropped; /* up to where the cache was emptied */
  gsize block_size;
  guint8 *buffer;
  gboolean to_file;
  gboolean bypass_cache;
  gboolean direct;
  GError *error;
};

/**
 * vs_image_pipe_open:
 * @fds: (out): the end to read from, and the one to write into
 * @error: %VMSNAP_ERROR_IO
 *
 * Returns: whether there is a pipe for a stream
 */
gboolean
vs_image_pipe_open (int fds[2], GError **error)
{
  g_autoptr (GError) local = NULL;

  if (!g_unix_open_pipe (fds, FD_CLOEXEC, &local))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "couldn't open a pipe: %s", local->message);
      return FALSE;
    }
  /* The most that is allowed to everybody; a smaller one is slower, no more. */
  (void)fcntl (fds[1], F_SETPIPE_SZ, 1024 * 1024);
  return TRUE;
}

static void
signal_fd (int fd)
{
  guint64 one = 1;

  (void)!write (fd, &one, sizeof one);
}

/* FALSE: it shall stop, before the pipe is ready. */
static gboolean
wait_for_pipe (VsImagePump *self)
{
  GPollFD fds[2] = { { .fd = self->stop_fd, .events = G_IO_IN },
                     { .fd = self->pipe_fd, .events = self->to_file ? G_IO_IN : G_IO_OUT } };

  while (g_poll (fds, 2, -1) < 0 && errno == EINTR)
    ;
  return fds[0].revents == 0;
}

/* Without O_DIRECT from now on: the file system takes the flag, and then not the blocks; or the blocks aren't whole. */
static void
leave_direct (VsImagePump *self)
{
  vs_image_file_set_direct (self->file, FALSE);
  self->direct = FALSE;
}

/* The kernel tells of a write that failed once, and whoever waits is told: an fsync after that knows nothing of it. */
static gboolean
wait_for_window (VsImagePump *self)
{
  const guint all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

  if (sync_file_range (self->file->fd, (off_t)self->dropped, WINDOW, all) == 0
      || (errno != EIO && errno != ENOSPC && errno != EDQUOT))
    return TRUE;
  vs_image_error_from_errno (&self->error, errno, "couldn't get the image onto the disk");
  return FALSE;
}

/* What is on the disk is dropped from the cache; what isn't yet is sent there. FALSE: it can't be. */
static gboolean
drop_behind (VsImagePump *self)
{
  int fd = self->file->fd;

  if (!self->bypass_cache || self->direct || self->offset - self->dropped < 2 * WINDOW)
    return TRUE;
  if (self->to_file)
    {
      if (!wait_for_window (self))
        return FALSE;
      (void)sync_file_range (fd, (off_t)(self->dropped + WINDOW), WINDOW, SYNC_FILE_RANGE_WRITE);
    }
  (void)posix_fadvise (fd, (off_t)self->dropped, WINDOW, POSIX_FADV_DONTNEED);
  self->dropped += WINDOW;
  return TRUE;
}

static gboolean
write_block (VsImagePump *self, const guint8 *data, gsize length)
{
  gsize done = 0;

  while (done < length)
    {
      ssize_t n = pwrite (self->file->fd, data + done, length - done, (off_t)(self->offset + done));

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EINVAL && self->direct)
        leave_direct (self);
      else if (n <= 0)
        {
          vs_image_error_from_errno (&self->error, n < 0 ? errno : ENOSPC, "couldn't write the image");
          return FALSE;
        }
      else
        {
          done += (gsize)n;
          /* A write that was cut short may leave a place that isn't aligned. */
          if (self->direct && done < length && done % self->block_size != 0)
            leave_direct (self);
        }
    }
  self->offset += length;
  __atomic_store_n (&self->position, self->offset, __ATOMIC_RELAXED);
  return drop_behind (self);
}

/* The whole blocks pass the cache by, the rest goes through it. */
static gboolean
write_tail (VsImagePump *self, gsize length)
{
  gsize whole = self->direct ? length / self->block_size * self->block_size : 0;

  if (whole > 0 && !write_block (self, self->buffer, whole))
    return FALSE;
  leave_direct (self);
  return whole == length || write_block (self, self->buffer + whole, length - whole);
}

static void
pump_to_file (VsImagePump *self)
{
  gsize filled = 0;

  while (wait_for_pipe (self))
    {
      ssize_t n = read (self->pipe_fd, self->buffer + filled, BUFFER_SIZE - filled);

      if (n < 0 && (errno == EINTR || errno == EAGAIN))
        continue;
      if (n < 0)
        {
          vs_image_error_from_errno (&self->error, errno, "couldn't read what is to go into the image");
          return;
        }
      filled += (gsize)n;
      if (n == 0)
        {
          write_tail (self, filled);
          return;
        }
      if (filled == BUFFER_SIZE)
        {
          if (!write_block (self, self->buffer, filled))
            return;
          filled = 0;
        }
    }
  g_set_error (&self->error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "writing the image was given up");
}

/* The next block, which begins before the offset if that isn't aligned; 0: there is nothing more, or an error. */
static gsize
read_block (VsImagePump *self, gsize *skip)
{
  ssize_t n;

  for (;;)
    {
      *skip = self->direct ? self->offset % self->block_size : 0;
      n = pread (self->file->fd, self->buffer, BUFFER_SIZE, (off_t)(self->offset - *skip));
      if (n < 0 && errno == EINVAL && self->direct)
        leave_direct (self);
      else if (n >= 0 || errno != EINTR)
        break;
    }
  if (n < 0)
    vs_image_error_from_errno (&self->error, errno, "couldn't read the image");
  return n > (ssize_t)*skip ? MIN ((guint64)n - *skip, self->end - self->offset) : 0;
}

/* FALSE: nobody wants more. */
static gboolean
write_pipe (VsImagePump *self, const guint8 *data, gsize length)
{
  while (length > 0)
    {
      ssize_t n;

      if (!wait_for_pipe (self))
        return FALSE;
      n = write (self->pipe_fd, data, length);
      if (n < 0 && errno != EINTR && errno != EAGAIN)
        return FALSE;
      data += MAX (n, 0);
      length -= (gsize)MAX (n, 0);
    }
  return TRUE;
}

static void
pump_from_file (VsImagePump *self)
{
  gsize length, skip;

  while (self->offset < self->end && (length = read_block (self, &skip)) > 0)
    {
      if (!write_pipe (self, self->buffer + skip, length))
        break;
      self->offset += length;
      __atomic_store_n (&self->position, self->offset, __ATOMIC_RELAXED);
      (void)drop_behind (self);
    }
  leave_direct (self);
}

static gpointer
run (gpointer data)
{
  VsImagePump *self = data;
  sigset_t signals;

  /* The pipe's other end may go at any time; the pending signal goes with this thread. */
  sigemptyset (&signals);
  sigaddset (&signals, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &signals, NULL);

  if (self->to_file)
    pump_to_file (self);
  else
    pump_from_file (self);
  close (self->pipe_fd);
  self->pipe_fd = -1;
  signal_fd (self->done_fd);
  return NULL;
}

static gboolean
prepare (VsImagePump *self, GError **error)
{
  g_autoptr (GError) local = NULL;

  self->stop_fd = eventfd (0, EFD_CLOEXEC);
  self->done_fd = eventfd (0, EFD_CLOEXEC);
  self->block_size = vs_image_file_get_block_size (self->file);
  if (self->stop_fd < 0 || self->done_fd < 0
      || posix_memalign ((void **)&self->buffer, MAX (self->block_size, 4096), BUFFER_SIZE) != 0
      || !g_unix_set_fd_nonblocking (self->pipe_fd, TRUE, &local))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "couldn't prepare to move the image's data: %s",
                   local != NULL ? local->message : g_strerror (errno));
      return FALSE;
    }
  self->direct = self->bypass_cache && BUFFER_SIZE % self->block_size == 0
                 && (!self->to_file || self->offset % self->block_size == 0)
                 && vs_image_file_set_direct (self->file, TRUE);
  return TRUE;
}

/**
 * vs_image_pump_start:
 * @file: the image; must outlive the pump, and be left alone by others meanwhile
 * @offset: where in it the stream begins
 * @length: how much to take from it; ignored when @to_file
 * @pipe_fd: (transfer full): an end of a pipe
 * @to_file: whether from the pipe into the file
 * @bypass_cache: whether the page cache shall not be filled
 * @error: %VMSNAP_ERROR_IO
 *
 * Returns: (transfer full): the pump
 */
VsImagePump *
vs_image_pump_start (VsImageFile *file,
                     guint64 offset,
                     guint64 length,
                     int pipe_fd,
                     gboolean to_file,
                     gboolean bypass_cache,
                     GError **error)
{
  g_autoptr (VsImagePump) self = g_new0 (VsImagePump, 1);
  g_autoptr (GError) local = NULL;

  self->file = file;
  self->offset = self->position = self->dropped = offset;
  self->end = to_file ? G_MAXUINT64 : offset + length;
  self->pipe_fd = pipe_fd;
  self->stop_fd = self->done_fd = -1;
  self->to_file = to_file;
  self->bypass_cache = bypass_cache;
  if (!prepare (self, error))
    return NULL;
  self->thread = g_thread_try_new ("image-pump", run, self, &local);
  if (self->thread != NULL)
    return g_steal_pointer (&self);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "couldn't start a thread: %s", local->message);
  return NULL;
}

/**
 * vs_image_pump_stop:
 * @self: a pump
 *
 * Ends it, wherever it is. Its end of the pipe is closed then.
 */
void
vs_image_pump_stop (VsImagePump *self)
{
  if (self->thread == NULL)
    return;
  signal_fd (self->stop_fd);
  g_thread_join (g_steal_pointer (&self->thread));
}

/**
 * vs_image_pump_free:
 * @self: (transfer full): a pump, which is stopped if it still runs
 */
void
vs_image_pump_free (VsImagePump *self)
{
  vs_image_pump_stop (self);
  if (self->direct)
    leave_direct (self);
  for (int *const *fd = (int *const[]){ &self->pipe_fd, &self->stop_fd, &self->done_fd, NULL }; *fd != NULL; fd++)
    if (**fd >= 0)
      close (**fd);
  free (self->buffer);
  g_clear_error (&self->error);
  g_free (self);
}

/**
 * vs_image_pump_get_done_fd:
 * @self: a pump
 *
 * Returns: what becomes readable when it is done
 */
int
vs_image_pump_get_done_fd (VsImagePump *self)
{
  return self->done_fd;
}

/**
 * vs_image_pump_get_position:
 * @self: a pump
 *
 * Returns: where in the file it is; in the end the stream's end
 */
guint64
vs_image_pump_get_position (VsImagePump *self)
{
  return __atomic_load_n (&self->position, __ATOMIC_RELAXED);
}

/**
 * vs_image_pump_join:
 * @self: a pump that is done or was stopped
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO; %VMSNAP_ERROR_CANCELLED when it was stopped
 *
 * Returns: whether all went well
 */
gboolean
vs_image_pump_join (VsImagePump *self, GError **error)
{
  if (self->thread != NULL)
    g_thread_join (g_steal_pointer (&self->thread));
  if (self->error == NULL)
    return TRUE;
  g_propagate_error (error, g_error_copy (self->error));
  return FALSE;
}
