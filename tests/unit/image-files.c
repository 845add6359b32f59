/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files for images, and a stand-in for the state that QEMU writes into them and reads from them: bytes that are each
 * known from their place, and can't be made much smaller.
 */
#include "image-files.h"

#include "vs-image-codec.h"
#include "vs-image-reader.h"
#include "vs-image-writer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CHUNK 65536

/**
 * test_file_new:
 *
 * Returns: an empty file
 */
TestFile
test_file_new (void)
{
  TestFile file = { g_test_build_filename (G_TEST_BUILT, "image-XXXXXX", NULL), -1 };

  file.fd = g_mkstemp (file.path);
  g_assert_cmpint (file.fd, >=, 0);
  return file;
}

void
test_file_clear (TestFile *file)
{
  close (file->fd);
  g_unlink (file->path);
  g_free (file->path);
}

/**
 * test_file_state:
 * @file: a file
 *
 * Returns: what it says
 */
TestFileState
test_file_state (const TestFile *file)
{
  char magic[17] = { 0 };
  ssize_t got = pread (file->fd, magic, 16, 0);

  g_assert_cmpint (got, >=, 0);
  if (g_str_equal (magic, "LibvirtQemudSave"))
    return TEST_FILE_COMPLETE;
  return g_str_has_prefix ("LibvirtQemudPart", magic) ? TEST_FILE_PARTIAL : TEST_FILE_FOREIGN;
}

/**
 * test_file_stream_offset:
 * @file: an image
 *
 * Returns: where its state begins
 */
gsize
test_file_stream_offset (const TestFile *file)
{
  g_autoptr (VsImageHeader) header = vs_image_header_read (file->fd, NULL);

  g_assert_nonnull (header);
  return header->stream_offset;
}

/**
 * test_file_is_in_memory:
 * @file: a file
 *
 * Returns: whether its file system is the page cache itself
 */
gboolean
test_file_is_in_memory (const TestFile *file)
{
  struct statfs st;

  g_assert_cmpint (fstatfs (file->fd, &st), ==, 0);
  return st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC;
}

/**
 * test_file_cached:
 * @file: a file
 *
 * Returns: how many bytes of it are in the page cache
 */
gsize
test_file_cached (const TestFile *file)
{
  const gsize page = (gsize)sysconf (_SC_PAGESIZE);
  g_autofree unsigned char *pages = NULL;
  struct stat st;
  gsize n, cached = 0;
  void *map;

  g_assert_cmpint (fstat (file->fd, &st), ==, 0);
  n = ((gsize)st.st_size + page - 1) / page;
  pages = g_malloc (n);
  map = mmap (NULL, (gsize)st.st_size, PROT_READ, MAP_SHARED, file->fd, 0);
  g_assert_true (map != MAP_FAILED);
  g_assert_cmpint (mincore (map, (gsize)st.st_size, pages), ==, 0);
  munmap (map, (gsize)st.st_size);
  for (gsize i = 0; i < n; i++)
    cached += pages[i] & 1 ? page : 0;
  return cached;
}

static void
fill (guint8 *chunk, gsize offset)
{
  guint64 state = offset * 0x9e3779b97f4a7c15U + 1;

  for (gsize i = 0; i < CHUNK; i += sizeof state)
    {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      memcpy (chunk + i, &state, sizeof state);
    }
  if (offset == 0)
    memcpy (chunk, "QEVM", 4);
}

/**
 * test_try_to_write_state:
 * @fd: where to
 * @length: bytes
 *
 * Returns: 0, or why it ended before
 */
int
test_try_to_write_state (int fd, gsize length)
{
  guint8 chunk[CHUNK];

  for (gsize offset = 0; offset < length; offset += CHUNK)
    {
      gsize n = MIN (CHUNK, length - offset);

      fill (chunk, offset);
      for (gsize done = 0; done < n;)
        {
          ssize_t written = write (fd, chunk + done, n - done);

          if (written < 0)
            return errno;
          done += (gsize)written;
        }
    }
  return 0;
}

/**
 * test_write_state:
 * @fd: where to
 * @length: bytes
 */
void
test_write_state (int fd, gsize length)
{
  g_assert_cmpint (test_try_to_write_state (fd, length), ==, 0);
}

static gsize
read_chunk (int fd, guint8 *chunk, gsize wanted)
{
  gsize got = 0;
  ssize_t n;

  while (got < wanted && (n = read (fd, chunk + got, wanted - got)) != 0)
    {
      g_assert_cmpint (n, >, 0);
      got += (gsize)n;
    }
  return got;
}

/**
 * test_check_state:
 * @fd: what to read
 * @length: how much of it there must be, at least; no more is read
 */
void
test_check_state (int fd, gsize length)
{
  guint8 expected[CHUNK], chunk[CHUNK];

  for (gsize offset = 0; offset < length; offset += CHUNK)
    {
      gsize n = MIN (CHUNK, length - offset);

      fill (expected, offset);
      g_assert_cmpuint (read_chunk (fd, chunk, n), ==, n);
      g_assert_true (memcmp (chunk, expected, n) == 0);
    }
}

/**
 * test_read_state:
 * @fd: what to read, to its end
 *
 * Returns: how much there was
 */
gsize
test_read_state (int fd)
{
  guint8 chunk[CHUNK];
  gsize all = 0, n;

  while ((n = read_chunk (fd, chunk, sizeof chunk)) > 0)
    all += n;
  return all;
}

/**
 * test_file_round_trip:
 * @file: a file
 * @fd: a descriptor of it, readable and writable
 * @way: how
 * @length: bytes of the state
 *
 * Makes an image of it, which is complete at the end and not before, and looks whether the state comes out of it.
 */
void
test_file_round_trip (const TestFile *file, int fd, const TestWay *way, gsize length)
{
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, way->encoding, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageReader) reader = NULL;
  g_autoptr (VsImageWriter) writer = vs_image_writer_new (fd, header, way->flags, &error);
  guint64 done, total;
  struct stat st;

  g_assert_no_error (error);
  test_write_state (vs_image_writer_get_stream_fd (writer), length);
  g_assert_true (vs_image_writer_finish (writer, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (test_file_state (file), ==, TEST_FILE_PARTIAL);
  g_assert_true (vs_image_writer_seal (writer, &error));
  g_assert_no_error (error);
  g_clear_pointer (&writer, vs_image_writer_free);
  g_assert_cmpint (test_file_state (file), ==, TEST_FILE_COMPLETE);

  reader = vs_image_reader_new (fd, way->flags, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (vs_image_reader_get_header (reader)->xml, ==, TEST_FILE_XML);
  g_assert_cmpint (fstat (fd, &st), ==, 0);
  g_assert_cmpint (st.st_size, ==,
                   (goffset)(vs_image_reader_get_header (reader)->stream_offset
                             + vs_image_reader_get_header (reader)->stream_length));
  if (!vs_image_encoding_has_program (way->encoding))
    g_assert_cmpuint (vs_image_reader_get_header (reader)->stream_length, ==, length);
  vs_image_reader_get_progress (reader, &done, &total);
  g_assert_cmpuint (done, ==, 0);
  test_check_state (vs_image_reader_get_stream_fd (reader, &error), length);
  g_assert_no_error (error);
  vs_image_reader_get_progress (reader, &done, &total);
  g_assert_cmpuint (total, ==, vs_image_reader_get_header (reader)->stream_length);
  g_assert_true (vs_image_reader_finish (reader, NULL, &error));
  vs_image_reader_get_progress (reader, &done, &total);
  g_assert_cmpuint (done, ==, total);
  g_assert_no_error (error);
}
