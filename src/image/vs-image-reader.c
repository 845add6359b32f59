/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reads an image: the header, checked; then the guest's state, which QEMU reads from the file itself or from a pipe
 * that a program or a pump fills; and in the end whether what QEMU didn't read was in order, too: a migration stream
 * without its last bytes loads without complaint, and so does a compressed one whose checksum is wrong. Blocking; one
 * thread at a time.
 */
#include "vs-image-reader.h"

#include "vmsnap-error.h"
#include "vs-image-codec.h"
#include "vs-image-follow.h"
#include "vs-image-program.h"
#include "vs-image-pump.h"
#include "vs-save-image-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What QEMU may leave of a stream: it stops at the stream's end, and knows it. */
#define MAX_REST (16 * 1024 * 1024)

struct _VsImageReader
{
  VsImageFile *file;
  VsImageHeader *header;
  VsImageFlags flags;
  char **command; /* (nullable): the decoder */
  int pipe_fd;    /* what QEMU reads when that isn't the file; -1: it is, or it was closed */
  VsImageProgram *program;
  VsImagePump *pump;
  VsImageFollow *follow; /* of QEMU, which reads the file itself */
  guint64 drained;
};

/* How each encoding begins. */
static const struct
{
  const char *bytes;
  gsize length;
} beginnings[] = {
  [VS_IMAGE_ENCODING_RAW] = { "QEVM", 4 },
  [VS_IMAGE_ENCODING_GZIP] = { "\x1f\x8b", 2 },
  [VS_IMAGE_ENCODING_BZIP2] = { "BZh", 3 },
  [VS_IMAGE_ENCODING_XZ] = { "\xfd" "7zXZ\0", 6 },
  [VS_IMAGE_ENCODING_LZOP] = { "\x89" "LZO\0\r\n\x1a\n", 9 },
  [VS_IMAGE_ENCODING_ZSTD] = { "\x28\xb5\x2f\xfd", 4 },
  [VS_IMAGE_ENCODING_SPARSE] = { "QEVM", 4 },
};

/* Before a guest is started for it. */
static gboolean
check_beginning (VsImageReader *self, GError **error)
{
  VsImageEncoding encoding = self->header->encoding;
  guint8 start[16];
  gsize got;

  if (!vs_image_file_read (self->file, self->header->stream_offset, start, beginnings[encoding].length, &got, error))
    return FALSE;
  if (got == beginnings[encoding].length && memcmp (start, beginnings[encoding].bytes, got) == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT,
               "the guest's state in the image doesn't begin as one with the encoding \"%s\" does",
               vs_image_encoding_to_nick (encoding));
  return FALSE;
}

/**
 * vs_image_reader_new:
 * @fd: a caller's descriptor of a regular file or a block device, readable; it stays open, and gets its flags and its
 *   offset back when the reader is freed
 * @flags: how
 * @error: %VMSNAP_ERROR_IMAGE_INCOMPLETE; %VMSNAP_ERROR_IMAGE_CORRUPT; %VMSNAP_ERROR_NOT_SUPPORTED: another version, or
 *   there is no program for the encoding; %VMSNAP_ERROR_INVALID_ARGUMENT: this descriptor won't do; %VMSNAP_ERROR_IO
 *
 * Returns: (transfer full): a reader of an image that is whole, as far as its beginning tells
 */
VsImageReader *
vs_image_reader_new (int fd, VsImageFlags flags, GError **error)
{
  g_autoptr (VsImageReader) self = g_new0 (VsImageReader, 1);

  self->flags = flags;
  self->pipe_fd = -1;
  self->file = vs_image_file_borrow (fd, VS_IMAGE_ACCESS_READ, error);
  self->header = self->file != NULL ? vs_image_header_load (self->file, error) : NULL;
  if (self->header == NULL || !vs_image_header_check_complete (self->header, error) || !check_beginning (self, error))
    return NULL;
  if (vs_image_encoding_has_program (self->header->encoding)
      && (self->command = vs_image_codec_find (self->header->encoding, TRUE, error)) == NULL)
    return NULL;
  return g_steal_pointer (&self);
}

static void
stop_following (VsImageReader *self)
{
  g_clear_pointer (&self->follow, vs_image_follow_stop);
}

static void
close_pipe (VsImageReader *self)
{
  if (self->pipe_fd >= 0)
    close (self->pipe_fd);
  self->pipe_fd = -1;
}

/**
 * vs_image_reader_free:
 * @self: (transfer full): a reader; what still runs for it is ended
 */
void
vs_image_reader_free (VsImageReader *self)
{
  stop_following (self);
  close_pipe (self);
  g_clear_pointer (&self->pump, vs_image_pump_free);
  g_clear_pointer (&self->program, vs_image_program_free);
  g_clear_pointer (&self->file, vs_image_file_return);
  g_clear_pointer (&self->header, vs_image_header_free);
  g_strfreev (self->command);
  g_free (self);
}

/**
 * vs_image_reader_get_header:
 * @self: a reader
 *
 * Returns: (transfer none): what the image says
 */
const VsImageHeader *
vs_image_reader_get_header (VsImageReader *self)
{
  return self->header;
}

/* How much of the file is the state; what is behind it, on a device for instance, isn't for a decoder. */
static guint64
get_length (VsImageReader *self)
{
  return self->header->stream_length != 0 ? self->header->stream_length
                                          : self->file->size - self->header->stream_offset;
}

/* Of a decoder, which reads to its input's end. QEMU doesn't, and reads a file faster than a pipe. */
static gboolean
wants_pump (VsImageReader *self)
{
  return (self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0
         || self->header->stream_offset + get_length (self) < self->file->size;
}

/* Returns the end to read from, or -1. */
static int
open_pump (VsImageReader *self, GError **error)
{
  gboolean bypass_cache = (self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0;
  int fds[2];

  if (!vs_image_pipe_open (fds, error))
    return -1;
  self->pump = vs_image_pump_start (self->file, self->header->stream_offset, get_length (self), fds[1], FALSE,
                                    bypass_cache, error);
  if (self->pump != NULL)
    return fds[0];
  close (fds[0]);
  return -1;
}

/* Returns the end to read from, or -1. */
static int
open_program (VsImageReader *self, int input_fd, GError **error)
{
  int fds[2];

  if (!vs_image_pipe_open (fds, error))
    return -1;
  self->program = vs_image_program_start ((const char *const *)self->command, input_fd, fds[1],
                                          VMSNAP_ERROR_IMAGE_CORRUPT, error);
  close (fds[1]);
  if (self->program != NULL)
    return fds[0];
  close (fds[0]);
  return -1;
}

static gboolean
open_stream (VsImageReader *self, GError **error)
{
  int pump_fd = -1;

  if (lseek (self->file->fd, (off_t)self->header->stream_offset, SEEK_SET) < 0)
    {
      vs_image_error_from_errno (error, errno, "couldn't go to where the guest's state begins");
      return FALSE;
    }
  if (self->command == NULL)
    {
      gboolean once = (self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0;

      self->follow = vs_image_follow_start (self->file, self->header->stream_offset,
                                            once ? VS_IMAGE_FOLLOW_READING_ONCE : VS_IMAGE_FOLLOW_READING);
      return TRUE;
    }
  if (wants_pump (self))
    {
      pump_fd = open_pump (self, error);
      if (pump_fd < 0)
        return FALSE;
    }
  self->pipe_fd = open_program (self, pump_fd >= 0 ? pump_fd : self->file->fd, error);
  if (pump_fd >= 0)
    close (pump_fd);
  return self->pipe_fd >= 0;
}

/**
 * vs_image_reader_get_stream_fd:
 * @self: a reader, not of a sparse image
 * @error: %VMSNAP_ERROR_IO, %VMSNAP_ERROR_FAILED: the decoder can't be started
 *
 * Starts what it takes to decode the state.
 *
 * Returns: the reader's descriptor that QEMU shall read the migration stream from, from its offset on: the file itself,
 *   or a pipe; or -1
 */
int
vs_image_reader_get_stream_fd (VsImageReader *self, GError **error)
{
  g_return_val_if_fail (self->header->encoding != VS_IMAGE_ENCODING_SPARSE, -1);
  if (self->program == NULL && self->pump == NULL && self->follow == NULL && !open_stream (self, error))
    return -1;
  return self->pipe_fd >= 0 ? self->pipe_fd : self->file->fd;
}

/**
 * vs_image_reader_get_sparse_fds:
 * @self: a reader of a sparse image
 * @fd: (out): a descriptor for QEMU's fdset, to close: read-only, as QEMU asks for it
 * @direct_fd: (out): another one, with O_DIRECT; -1 when the cache shan't be bypassed, or the file system can't
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT: the service may not open the file
 *
 * QEMU reads from the header's @stream_offset on.
 *
 * Returns: whether there is one
 */
gboolean
vs_image_reader_get_sparse_fds (VsImageReader *self, int *fd, int *direct_fd, GError **error)
{
  g_autoptr (GError) local = NULL;

  g_return_val_if_fail (self->header->encoding == VS_IMAGE_ENCODING_SPARSE, FALSE);
  *direct_fd = -1;
  *fd = vs_image_file_reopen (self->file, O_RDONLY, &local);
  if (*fd < 0 && (fcntl (self->file->fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
    *fd = fcntl (self->file->fd, F_DUPFD_CLOEXEC, 3);
  if (*fd < 0)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if ((self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0)
    *direct_fd = vs_image_file_reopen (self->file, O_RDONLY | O_DIRECT, NULL);
  return TRUE;
}

static guint64
get_position (VsImageReader *self)
{
  return self->pump != NULL ? vs_image_pump_get_position (self->pump) : (guint64)lseek (self->file->fd, 0, SEEK_CUR);
}

/**
 * vs_image_reader_get_progress:
 * @self: a reader
 * @done: (out): bytes of the file that were read of the state; QEMU reads a sparse image by descriptors of its own,
 *   which don't tell
 * @total: (out): how many there are
 */
void
vs_image_reader_get_progress (VsImageReader *self, guint64 *done, guint64 *total)
{
  guint64 position = get_position (self);

  *total = get_length (self);
  *done = position > self->header->stream_offset ? MIN (position - self->header->stream_offset, *total) : 0;
}

static guint64
get_stamp (gpointer data)
{
  VsImageReader *self = data;

  return get_position (self) + self->drained;
}

/**
 * vs_image_reader_wait:
 * @self: a reader whose stream was asked for
 * @cancellable: (nullable): ends the wait
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT: it is over before it began; %VMSNAP_ERROR_CANCELLED; %VMSNAP_ERROR_TIMEOUT:
 *   nothing moves
 *
 * Waits for the first byte of a stream that is decoded. QEMU waits for one that never comes for good, and never notices
 * that nobody is there to write it.
 *
 * Returns: whether there is one
 */
gboolean
vs_image_reader_wait (VsImageReader *self, GCancellable *cancellable, GError **error)
{
  struct pollfd look = { self->pipe_fd, POLLIN, 0 };

  if (self->pipe_fd < 0)
    return TRUE;
  if (!vs_image_wait (self->pipe_fd, get_stamp, self, cancellable, error))
    return FALSE;
  if (poll (&look, 1, 0) == 1 && (look.revents & POLLIN) != 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "nothing of the guest's state comes out of the image");
  return FALSE;
}

/* Reads what QEMU left. */
static gboolean
drain (VsImageReader *self, GCancellable *cancellable, GError **error)
{
  guint8 buffer[65536];
  ssize_t n;

  do
    {
      if (!vs_image_wait (self->pipe_fd, get_stamp, self, cancellable, error))
        return FALSE;
      n = read (self->pipe_fd, buffer, sizeof buffer);
      self->drained += (guint64)MAX (n, 0);
    }
  while (self->drained <= MAX_REST && (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN))));
  if (self->drained <= MAX_REST)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "there is more in the image than the guest's state");
  return FALSE;
}

/* What the cache was to be spared of. */
static void
drop_cache (VsImageReader *self)
{
  if ((self->flags & VS_IMAGE_FLAGS_BYPASS_CACHE) != 0)
    (void)posix_fadvise (self->file->fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* QEMU doesn't miss all of what is cut off while it reads. */
static gboolean
check_length (VsImageReader *self, GError **error)
{
  struct stat st;

  self->header->complete = self->file->is_device
                           || (fstat (self->file->fd, &st) == 0
                               && (guint64)st.st_size >= self->header->stream_offset + get_length (self));
  return vs_image_header_check_complete (self->header, error);
}

/**
 * vs_image_reader_finish:
 * @self: a reader whose stream QEMU has loaded
 * @cancellable: (nullable): ends the wait for the program
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT: the decoder failed behind what QEMU read; %VMSNAP_ERROR_IMAGE_INCOMPLETE: the
 *   file was cut meanwhile; %VMSNAP_ERROR_IO, %VMSNAP_ERROR_CANCELLED; %VMSNAP_ERROR_TIMEOUT: nothing moves any more
 *
 * Reads what QEMU left of a stream that is decoded, for what stands at its end tells whether the rest was right: call
 * it before the guest runs.
 *
 * Returns: whether the image was in order
 */
gboolean
vs_image_reader_finish (VsImageReader *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) program_error = NULL;
  gboolean ended = TRUE;

  if (self->program != NULL)
    {
      if (!drain (self, cancellable, error)
          || !vs_image_wait (vs_image_program_get_pidfd (self->program), get_stamp, self, cancellable, error))
        return FALSE;
      ended = vs_image_program_join (self->program, &program_error);
    }
  close_pipe (self);
  if (self->pump != NULL)
    {
      vs_image_pump_stop (self->pump);
      if (!vs_image_pump_join (self->pump, error))
        return FALSE;
    }
  stop_following (self);
  drop_cache (self);
  if (ended)
    return check_length (self, error);
  g_propagate_error (error, g_steal_pointer (&program_error));
  return FALSE;
}

/* Whether nobody writes what QEMU reads any more. */
static gboolean
is_broken (VsImageReader *self)
{
  struct pollfd look = { self->pipe_fd, 0, 0 };

  return self->pipe_fd >= 0 && poll (&look, 1, 0) == 1 && (look.revents & POLLHUP) != 0;
}

/**
 * vs_image_reader_abort:
 * @self: a reader, in whatever state
 *
 * Gives the loading up; what hangs in a read of the stream sees its end. May be called again.
 *
 * Returns: (transfer full) (nullable): what failed on this side, where QEMU knows of a stream that ended early alone
 */
GError *
vs_image_reader_abort (VsImageReader *self)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (GError) program_failure = NULL;
  gboolean broken = is_broken (self);

  if (self->program != NULL)
    vs_image_program_end (self->program, broken, &program_failure);
  if (self->pump != NULL)
    {
      vs_image_pump_stop (self->pump);
      (void)vs_image_pump_join (self->pump, &failure);
    }
  close_pipe (self);
  stop_following (self);
  drop_cache (self);
  return failure != NULL ? g_steal_pointer (&failure) : g_steal_pointer (&program_failure);
}
