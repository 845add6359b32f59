/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writes an image: the beginning, which says Part; then the guest's state, which QEMU writes into the file itself or
 * into a pipe to a program or a pump; then how long that was; and in the end that it is whole. Each is on the disk
 * before the next. Blocking; one thread at a time.
 */
#include "vs-image-writer.h"

#include "vmsnap-error.h"
#include "vs-image-codec.h"
#include "vs-image-follow.h"
#include "vs-image-program.h"
#include "vs-image-pump.h"
#include "vs-image-room.h"
#include "vs-save-image-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than what QEMU writes at once, and than a file system keeps for itself. */
#define PROBE_SIZE (1024 * 1024)

struct _VsImageWriter
{
  VsImageFile *file;
  VsImageHeader *header;
  VsImageFlags flags;
  int pipe_fd; /* what QEMU writes into when that isn't the file; -1: it is, or it was closed */
  VsImageProgram *program;
  VsImagePump *pump;
  VsImageFollow *follow; /* what goes through the page cache alone */
  guint64 reserved; /* up to where; 0: nothing is */
  gboolean is_over; /* aborted, or sealed: free has nothing to undo */
};

static gboolean
is_sparse (VsImageWriter *self)
{
  return self->header->encoding == VS_IMAGE_ENCODING_SPARSE;
}

/* An old image in the file ends here; of a device's, nothing may look as if it belonged to the new one. */
static gboolean
write_beginning (VsImageWriter *self, GError **error)
{
  g_autoptr (GBytes) bytes = vs_image_header_format (self->header, error);
  gsize size;
  const guint8 *data;

  if (bytes == NULL)
    return FALSE;
  data = g_bytes_get_data (bytes, &size);
  self->header->stream_offset = size;
  self->is_over = FALSE;
  return vs_image_file_cut (self->file, 0, error) && vs_image_file_write (self->file, 0, data, size, error)
         && (!self->file->is_device || vs_image_file_sync (self->file, error));
}

/* Returns the end to write into, or -1. */
static int
open_pump (VsImageWriter *self, GError **error)
{
  int fds[2];

  if (!vs_image_pipe_open (fds, error))
    return -1;
  self->pump = vs_image_pump_start (self->file, self->header->stream_offset, 0, fds[0], TRUE, TRUE, error);
  if (self->pump != NULL)
    return fds[1];
  close (fds[1]);
  return -1;
}

/* @output_fd: where the program writes. Returns the end to write into, or -1. */
static int
open_program (VsImageWriter *self, const char *const *command, int output_fd, GError **error)
{
  int fds[2];

  if (!vs_image_pipe_open (fds, error))
    return -1;
  self->program = vs_image_program_start (command, fds[0], output_fd, VMSNAP_ERROR_IO, error);
  close (fds[0]);
  if (self->program != NULL)
    return fds[1];
  close (fds[1]);
  return -1;
}

static gboolean
open_stream (VsImageWriter *self, const char *const *command, GError **error)
{
  gboolean pumped = (self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0 && !is_sparse (self);
  int pump_fd = -1;

  if (lseek (self->file->fd, (off_t)self->header->stream_offset, SEEK_SET) < 0)
    {
      vs_image_error_from_errno (error, errno, "couldn't go to where the guest's state begins");
      return FALSE;
    }
  if (pumped)
    {
      pump_fd = open_pump (self, error);
      if (pump_fd < 0)
        return FALSE;
    }
  if (command == NULL)
    {
      self->pipe_fd = pump_fd;
      return TRUE;
    }
  self->pipe_fd = open_program (self, command, pumped ? pump_fd : self->file->fd, error);
  if (pumped)
    close (pump_fd);
  return self->pipe_fd >= 0;
}

static gboolean
check_sparse (VsImageWriter *self, GError **error)
{
  if (!is_sparse (self) || !self->file->is_device)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "an image with the encoding \"sparse\" needs a regular file, not a block device");
  return FALSE;
}

/**
 * vs_image_writer_new:
 * @fd: a caller's descriptor of a regular file or a block device, writable; it stays open, and gets its flags and its
 *   offset back when the writer is freed
 * @header: what the image says; its @sealed and its lengths don't matter
 * @flags: how
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT: this descriptor or this header won't do; %VMSNAP_ERROR_NOT_SUPPORTED: there
 *   is no program for the encoding; %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Begins an image at the file's start, wherever the descriptor's offset is. What was in the file is gone then; when the
 * descriptor or the encoding won't do, nothing has been touched.
 *
 * Returns: (transfer full): the writer; QEMU may write
 */
VsImageWriter *
vs_image_writer_new (int fd, const VsImageHeader *header, VsImageFlags flags, GError **error)
{
  g_autoptr (VsImageWriter) self = g_new0 (VsImageWriter, 1);
  g_auto (GStrv) command = NULL;

  self->header = vs_image_header_copy (header);
  self->header->sealed = self->header->complete = FALSE;
  self->header->stream_offset = self->header->stream_length = 0;
  self->flags = flags;
  self->pipe_fd = -1;
  self->is_over = TRUE;
  if (vs_image_encoding_has_program (header->encoding)
      && (command = vs_image_codec_find (header->encoding, FALSE, error)) == NULL)
    return NULL;
  self->file = vs_image_file_borrow (fd, VS_IMAGE_ACCESS_WRITE, error);
  if (self->file == NULL || !check_sparse (self, error) || !write_beginning (self, error)
      || !open_stream (self, (const char *const *)command, error))
    return NULL;
  if ((flags & VS_IMAGE_FLAGS_BYPASS_CACHE) == 0)
    self->follow = vs_image_follow_start (self->file, self->header->stream_offset, VS_IMAGE_FOLLOW_WRITING);
  return g_steal_pointer (&self);
}

/**
 * vs_image_writer_free:
 * @self: (transfer full): a writer; an image that isn't sealed is given up as by vs_image_writer_abort()
 */
void
vs_image_writer_free (VsImageWriter *self)
{
  if (!self->is_over)
    {
      g_autoptr (GError) failure = vs_image_writer_abort (self);

      if (failure != NULL)
        g_debug ("an image was given up: %s", failure->message);
    }
  g_clear_pointer (&self->follow, vs_image_follow_stop);
  g_clear_pointer (&self->program, vs_image_program_free);
  g_clear_pointer (&self->pump, vs_image_pump_free);
  g_clear_pointer (&self->file, vs_image_file_return);
  vs_image_header_free (self->header);
  g_free (self);
}

/**
 * vs_image_writer_get_stream_offset:
 * @self: a writer
 *
 * Returns: where in the file the guest's state begins, in bytes
 */
guint64
vs_image_writer_get_stream_offset (VsImageWriter *self)
{
  return self->header->stream_offset;
}

/**
 * vs_image_writer_get_stream_fd:
 * @self: a writer, not of a sparse image
 *
 * Returns: the writer's descriptor that QEMU shall write the migration stream into from its offset on: the file itself,
 *   or a pipe
 */
int
vs_image_writer_get_stream_fd (VsImageWriter *self)
{
  g_return_val_if_fail (!is_sparse (self), -1);
  return self->pipe_fd >= 0 ? self->pipe_fd : self->file->fd;
}

/**
 * vs_image_writer_get_sparse_fds:
 * @self: a writer of a sparse image
 * @fd: (out): a descriptor for QEMU's fdset, to close: write-only, as QEMU asks for it
 * @direct_fd: (out): another one, with O_DIRECT; -1 when the cache shan't be bypassed, or the file system can't
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT: the service may not open the file
 *
 * QEMU writes from vs_image_writer_get_stream_offset() on.
 *
 * Returns: whether there is one
 */
gboolean
vs_image_writer_get_sparse_fds (VsImageWriter *self, int *fd, int *direct_fd, GError **error)
{
  g_autoptr (GError) local = NULL;

  g_return_val_if_fail (is_sparse (self), FALSE);
  *direct_fd = -1;
  *fd = vs_image_file_reopen (self->file, O_WRONLY, &local);
  if (*fd < 0 && (fcntl (self->file->fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
    *fd = fcntl (self->file->fd, F_DUPFD_CLOEXEC, 3);
  if (*fd < 0)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if ((self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0)
    *direct_fd = vs_image_file_reopen (self->file, O_WRONLY | O_DIRECT, NULL);
  return TRUE;
}

static void
release (VsImageWriter *self, guint64 end)
{
  if (self->reserved != 0)
    vs_image_file_release (self->file, end);
  self->reserved = 0;
}

/**
 * vs_image_writer_reserve:
 * @self: a new writer whose stream QEMU writes into the file itself
 * @length: of the stream, at most, in bytes; more than was said before
 * @error: %VMSNAP_ERROR_NO_SPACE; %VMSNAP_ERROR_NOT_SUPPORTED: the file system can't do that
 *
 * Makes sure that QEMU's writes will not fail for want of space. What it doesn't use is given back in the end; what was
 * got before it turned out to be too little, at once, for others on a disk that is full now. Not the second time, when
 * QEMU may be writing already.
 *
 * Returns: whether there is room, and nobody else gets it
 */
gboolean
vs_image_writer_reserve (VsImageWriter *self, guint64 length, GError **error)
{
  gboolean first = self->reserved == 0;

  g_return_val_if_fail (self->pipe_fd < 0 && !is_sparse (self), FALSE);
  self->reserved = self->header->stream_offset + length;
  if (vs_image_file_reserve (self->file, self->reserved, error))
    return TRUE;
  if (first)
    release (self, self->header->stream_offset);
  return FALSE;
}

/**
 * vs_image_writer_measure:
 * @self: a new writer
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Finds out how fast the file takes what is written.
 *
 * Returns: bytes a second; 0: it can't be written
 */
guint64
vs_image_writer_measure (VsImageWriter *self, GError **error)
{
  guint64 offset = self->header->stream_offset;
  guint64 rate = vs_image_file_measure (self->file, offset, error);

  return rate > 0 && vs_image_file_cut (self->file, offset, error) ? rate : 0;
}

static void
close_pipe (VsImageWriter *self)
{
  if (self->pipe_fd >= 0)
    close (self->pipe_fd);
  self->pipe_fd = -1;
}

static guint64
get_progress (gpointer data)
{
  VsImageWriter *self = data;

  return self->pump != NULL ? vs_image_pump_get_position (self->pump) : (guint64)lseek (self->file->fd, 0, SEEK_CUR);
}

/* The pump's failure is the cause where both have one. */
static gboolean
finish_stream (VsImageWriter *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) program_error = NULL;
  gboolean ended;

  close_pipe (self);
  if (self->program != NULL
      && !vs_image_wait (vs_image_program_get_pidfd (self->program), get_progress, self, cancellable, error))
    return FALSE;
  ended = self->program == NULL || vs_image_program_join (self->program, &program_error);
  if (self->pump != NULL
      && (!vs_image_wait (vs_image_pump_get_done_fd (self->pump), get_progress, self, cancellable, error)
          || !vs_image_pump_join (self->pump, error)))
    return FALSE;
  if (!ended)
    g_propagate_error (error, g_steal_pointer (&program_error));
  return ended;
}

/* QEMU may have had a descriptor of its own, so the file's end counts where there is one. */
static gboolean
find_end (VsImageWriter *self, guint64 *end, GError **error)
{
  struct stat st;

  if (self->pump != NULL)
    *end = vs_image_pump_get_position (self->pump);
  else if (self->file->is_device)
    *end = (guint64)lseek (self->file->fd, 0, SEEK_CUR);
  else if (fstat (self->file->fd, &st) == 0)
    *end = (guint64)st.st_size;
  else
    {
      vs_image_error_from_errno (error, errno, "couldn't measure the image's file");
      return FALSE;
    }
  if (*end > self->header->stream_offset)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "nothing of the guest's state arrived in the image");
  return FALSE;
}

/**
 * vs_image_writer_finish:
 * @self: a writer whose stream QEMU has written and closed
 * @cancellable: (nullable): ends the wait for the program
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, %VMSNAP_ERROR_CANCELLED; %VMSNAP_ERROR_TIMEOUT: nothing moves
 *   any more; on each, abort
 *
 * Waits until all is in the file, writes down how long it is, and gets everything onto the disk. The image still says
 * that it is only a part.
 *
 * Returns: whether all but the seal is on the disk
 */
gboolean
vs_image_writer_finish (VsImageWriter *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GBytes) bytes = NULL;
  guint64 end;

  if (!finish_stream (self, cancellable, error))
    return FALSE;
  g_clear_pointer (&self->follow, vs_image_follow_stop);
  if (!find_end (self, &end, error))
    return FALSE;
  release (self, end);
  self->header->stream_length = end - self->header->stream_offset;
  bytes = vs_image_header_format (self->header, error);
  if (bytes == NULL
      || !vs_image_file_write (self->file, 0, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), error)
      || !vs_image_file_sync (self->file, error))
    return FALSE;
  if ((self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0)
    (void)posix_fadvise (self->file->fd, 0, 0, POSIX_FADV_DONTNEED);
  return TRUE;
}

static gboolean
write_magic (VsImageWriter *self, const char *magic, GError **error)
{
  return vs_image_file_write (self->file, 0, (const guint8 *)magic, VS_IMAGE_MAGIC_SIZE, error)
         && vs_image_file_sync (self->file, error);
}

/**
 * vs_image_writer_get_stream_length:
 * @self: a writer that is finished
 *
 * Returns: how many bytes the guest's state takes in the file
 */
guint64
vs_image_writer_get_stream_length (VsImageWriter *self)
{
  return self->header->stream_length;
}

/**
 * vs_image_writer_seal:
 * @self: a writer that is finished
 * @error: %VMSNAP_ERROR_IO; abort then
 *
 * Lets the image say that it is whole. vs_image_writer_abort() still takes that back.
 *
 * Returns: whether it says so on the disk
 */
gboolean
vs_image_writer_seal (VsImageWriter *self, GError **error)
{
  /* Where this fails it may be there all the same. */
  self->header->sealed = TRUE;
  if (!write_magic (self, VS_IMAGE_MAGIC_DONE, error))
    return FALSE;
  self->is_over = TRUE;
  return TRUE;
}

/**
 * vs_image_writer_probe:
 * @self: a writer of which QEMU says that it can't write, and not why
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Tries it. What is written stays behind the stream, and goes with vs_image_writer_abort().
 *
 * Returns: whether the file takes more
 */
gboolean
vs_image_writer_probe (VsImageWriter *self, GError **error)
{
  g_autofree guint8 *zeros = NULL;
  off_t end;

  if (self->pipe_fd >= 0)
    return TRUE;
  zeros = g_malloc0 (PROBE_SIZE);
  end = lseek (self->file->fd, 0, self->file->is_device ? SEEK_CUR : SEEK_END);
  return end < 0 || vs_image_file_write (self->file, (guint64)end, zeros, PROBE_SIZE, error);
}

/* Whether nobody reads what QEMU writes: then the reader's end tells why. */
static gboolean
is_broken (VsImageWriter *self)
{
  struct pollfd look = { self->pipe_fd, 0, 0 };

  return self->pipe_fd >= 0 && poll (&look, 1, 0) == 1 && (look.revents & POLLERR) != 0;
}

/* It says Part from the beginning, unless it was sealed. */
static gboolean
take_seal_back (VsImageWriter *self)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", self->file->fd);
  g_autofree char *path = NULL;
  g_autoptr (GError) local = NULL;

  if (write_magic (self, VS_IMAGE_MAGIC_PART, &local))
    return TRUE;
  path = g_file_read_link (link, NULL);
  if (self->header->sealed)
    g_warning ("%s may still say that it is a whole image, which is of no use once its guest goes on; remove it: %s",
               path != NULL ? path : "An image", local->message);
  return FALSE;
}

/**
 * vs_image_writer_abort:
 * @self: a writer, in whatever state
 *
 * Gives an image up: what hangs in a write to the stream is let go with an error, programs are ended, the state is cut
 * off, and the image says that it is only a part. QEMU must have stopped writing, or be about to stop for the stream's
 * sake. May be called again.
 *
 * Returns: (transfer full) (nullable): what failed on this side, where QEMU knows of a broken pipe alone
 */
GError *
vs_image_writer_abort (VsImageWriter *self)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (GError) program_failure = NULL;
  gboolean broken = is_broken (self);

  if (self->pump != NULL)
    {
      vs_image_pump_stop (self->pump);
      if (!vs_image_pump_join (self->pump, &failure)
          && g_error_matches (failure, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED))
        g_clear_error (&failure);
    }
  if (self->program != NULL)
    vs_image_program_end (self->program, broken, &program_failure);
  close_pipe (self);
  g_clear_pointer (&self->follow, vs_image_follow_stop);
  vs_image_file_set_direct (self->file, FALSE);
  self->is_over = TRUE;
  (void)(take_seal_back (self) && vs_image_file_cut (self->file, self->header->stream_offset, NULL));
  release (self, self->header->stream_offset);
  return failure != NULL ? g_steal_pointer (&failure) : g_steal_pointer (&program_failure);
}

/**
 * vs_image_writer_leave:
 * @self: a writer whose stream goes into the file itself
 *
 * Lets the file be as it is, with what was reserved, when the writer is freed: for a QEMU that may go on writing, and
 * must not fail.
 */
void
vs_image_writer_leave (VsImageWriter *self)
{
  self->is_over = TRUE;
}
