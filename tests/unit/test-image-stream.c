/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writing and reading an image's state: what went in comes out, through each encoding, with and without the page cache,
 * and the caller's descriptor is as it was.
 */
#include "vs-image-codec.h"
#include "vs-image-reader.h"
#include "vs-image-writer.h"

#include "image-files.h"
#include "vmsnap-error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEGA (1024 * 1024)

/* Lengths around the borders of blocks and buffers, the last one for a file that was longer. */
static const gsize lengths[] = { 5, 4095, 4096, 4097, MEGA - 1, MEGA, MEGA + 1, 40 * MEGA + 4096, 3 * MEGA + 777 };
/* The programs take their time. */
static const gsize few_lengths[] = { 5, MEGA + 1, 4096 };

static void
test_round_trip (gconstpointer data)
{
  const TestWay *way = data;
  gboolean few = vs_image_encoding_has_program (way->encoding);
  g_auto (TestFile) file = test_file_new ();

  for (guint i = 0; i < (few ? G_N_ELEMENTS (few_lengths) : G_N_ELEMENTS (lengths)); i++)
    test_file_round_trip (&file, file.fd, way, few ? few_lengths[i] : lengths[i]);
}

static guint64
taken (const TestFile *file)
{
  struct stat st;

  g_assert_cmpint (fstat (file->fd, &st), ==, 0);
  return (guint64)st.st_blocks * 512;
}

/* What a guest's stream may need is there before it begins, and the rest is given back, on success and on failure. */
static void
test_reserve (void)
{
  for (int good = 0; good < 2; good++)
    {
      g_auto (TestFile) file = test_file_new ();
      g_autoptr (VsImageHeader) header = vs_image_header_new ("<domain/>", NULL, VS_IMAGE_ENCODING_RAW, TRUE);
      g_autoptr (GError) error = NULL;
      g_autoptr (VsImageWriter) writer = vs_image_writer_new (file.fd, header, VS_IMAGE_FLAGS_NONE, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (vs_image_writer_measure (writer, &error), >, 0);
      g_assert_true (vs_image_writer_reserve (writer, 64 * MEGA, &error));
      g_assert_no_error (error);
      g_assert_cmpuint (taken (&file), >=, 64 * MEGA);
      g_assert_cmpint (lseek (file.fd, 0, SEEK_END), <, 64 * MEGA);
      g_assert_cmpint (lseek (file.fd, (off_t)vs_image_writer_get_stream_offset (writer), SEEK_SET), >, 0);
      if (good)
        {
          test_write_state (vs_image_writer_get_stream_fd (writer), MEGA);
          g_assert_true (vs_image_writer_finish (writer, NULL, &error) && vs_image_writer_seal (writer, &error));
          g_assert_cmpuint (vs_image_writer_get_stream_length (writer), ==, MEGA);
        }
      else
        g_assert_null (vs_image_writer_abort (writer));
      g_assert_cmpuint (taken (&file), <, 3 * MEGA);
    }
}

static void
test_reserve_too_much (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (VsImageHeader) header = vs_image_header_new ("<domain/>", NULL, VS_IMAGE_ENCODING_RAW, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageWriter) writer = vs_image_writer_new (file.fd, header, VS_IMAGE_FLAGS_NONE, NULL);

  g_assert_false (vs_image_writer_reserve (writer, (guint64)1 << 50, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE);
  g_assert_null (vs_image_writer_abort (writer));
  g_assert_cmpuint (taken (&file), <, MEGA);
}

/* The caller's descriptor may have flags that would spoil everything, and has them afterwards. */
static void
test_flags_stay (gconstpointer data)
{
  static const int flags[] = { O_APPEND, O_DIRECT, O_APPEND | O_DIRECT, O_NONBLOCK };

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    {
      g_auto (TestFile) file = test_file_new ();
      int fd = open (file.path, O_RDWR | O_CLOEXEC | flags[i]);

      g_assert_cmpint (fd, >=, 0);
      g_assert_cmpint (write (file.fd, "something old", 13), ==, 13);
      g_assert_cmpint (lseek (fd, 7, SEEK_SET), ==, 7);
      test_file_round_trip (&file, fd, data, MEGA + 1);
      g_assert_cmpint (fcntl (fd, F_GETFL) & (O_APPEND | O_DIRECT | O_NONBLOCK), ==, flags[i]);
      g_assert_cmpint (lseek (fd, 0, SEEK_CUR), ==, 7);
      close (fd);
    }
}

static void
test_cache_stays_empty (gconstpointer data)
{
  const gsize length = 12 * MEGA + 4096;
  g_auto (TestFile) file = test_file_new ();

  test_file_round_trip (&file, file.fd, data, length);
  /* Where files are in memory, there is nothing to pass by. */
  if (!test_file_is_in_memory (&file))
    g_assert_cmpuint (test_file_cached (&file), <, 2 * MEGA);
}

/* On a device, or where somebody appended to the file. */
static void
test_more_behind (gconstpointer data)
{
  const TestWay *way = data;
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageReader) reader = NULL;

  test_file_round_trip (&file, file.fd, way, MEGA + 3);
  g_assert_cmpint (lseek (file.fd, 0, SEEK_END), >, 0);
  g_assert_cmpint (write (file.fd, "what was there before", 21), ==, 21);
  reader = vs_image_reader_new (file.fd, way->flags, &error);
  g_assert_no_error (error);
  test_check_state (vs_image_reader_get_stream_fd (reader, &error), MEGA + 3);
  g_assert_true (vs_image_reader_finish (reader, NULL, &error));
  g_assert_no_error (error);
}

static void
close_if_open (int fd)
{
  if (fd >= 0)
    close (fd);
}

static void
test_sparse (gconstpointer data)
{
  const TestWay *way = data;
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_SPARSE, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageWriter) writer = vs_image_writer_new (file.fd, header, way->flags, &error);
  g_autoptr (VsImageReader) reader = NULL;
  int fd, direct_fd;

  g_assert_no_error (error);
  g_assert_true (vs_image_writer_get_sparse_fds (writer, &fd, &direct_fd, &error));
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_ACCMODE, ==, O_WRONLY);
  g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, !=, 0);
  g_assert_cmpint (pwrite (fd, "QEVM and pages far away", 23, vs_image_writer_get_stream_offset (writer)), ==, 23);
  g_assert_cmpint (pwrite (fd, "page", 4, 50 * MEGA), ==, 4);
  close (fd);
  if (way->flags == VS_IMAGE_FLAGS_NONE)
    g_assert_cmpint (direct_fd, ==, -1);
  else
    g_assert_cmpint (fcntl (direct_fd, F_GETFL) & (O_ACCMODE | O_DIRECT), ==, O_WRONLY | O_DIRECT);
  close_if_open (direct_fd);
  g_assert_true (vs_image_writer_finish (writer, NULL, &error));
  g_assert_true (vs_image_writer_seal (writer, &error));
  g_assert_no_error (error);
  g_clear_pointer (&writer, vs_image_writer_free);

  reader = vs_image_reader_new (file.fd, way->flags, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (vs_image_reader_get_header (reader)->stream_length, ==,
                    50 * MEGA + 4 - vs_image_reader_get_header (reader)->stream_offset);
  g_assert_true (vs_image_reader_get_sparse_fds (reader, &fd, &direct_fd, &error));
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
  close (fd);
  close_if_open (direct_fd);
}

static void
add (const char *name, const TestWay *way, GTestDataFunc test)
{
  g_autofree char *path
      = g_strdup_printf ("/image-stream/%s%s/%s", vs_image_encoding_to_nick (way->encoding),
                         way->flags == VS_IMAGE_FLAGS_BYPASS_CACHE ? "-past-the-cache" : "", name);

  g_test_add_data_func (path, way, test);
}

int
main (int argc, char **argv)
{
  static TestWay ways[7][2];

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < 14; i++)
    {
      TestWay *way = &ways[i / 2][i % 2];

      way->encoding = i / 2;
      way->flags = i % 2 != 0 ? VS_IMAGE_FLAGS_BYPASS_CACHE : VS_IMAGE_FLAGS_NONE;
      if (way->encoding == VS_IMAGE_ENCODING_SPARSE)
        {
          add ("has-descriptors-as-qemu-asks-for", way, test_sparse);
          continue;
        }
      add ("comes-out-as-it-went-in", way, test_round_trip);
      add ("what-is-behind-does-no-harm", way, test_more_behind);
      if (way->encoding != VS_IMAGE_ENCODING_RAW && way->encoding != VS_IMAGE_ENCODING_ZSTD)
        continue;
      add ("leaves-the-callers-flags-and-offset", way, test_flags_stay);
      if (way->flags != VS_IMAGE_FLAGS_NONE)
        add ("leaves-the-page-cache-alone", way, test_cache_stays_empty);
    }
  g_test_add_func ("/image-stream/reserved-space-is-there-and-given-back", test_reserve);
  g_test_add_func ("/image-stream/more-than-there-is-cannot-be-reserved", test_reserve_too_much);
  return g_test_run ();
}
