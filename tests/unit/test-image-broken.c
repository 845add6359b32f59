/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What goes wrong while an image is written or read: each ends in an image that says that it isn't whole, and in words.
 */
#include "vs-image-codec.h"
#include "vs-image-reader.h"
#include "vs-image-writer.h"

#include "image-files.h"
#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEGA (1024 * 1024)

/* Gives up an image that couldn't be written; returns what the writer knows of it, or what finish said. */
static GError *
write_in_vain (int fd, const TestWay *way, gsize length, gboolean expect_pipe)
{
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, way->encoding, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) failure = NULL;
  g_autoptr (VsImageWriter) writer = vs_image_writer_new (fd, header, way->flags, &error);
  int saved_errno;

  g_assert_no_error (error);
  saved_errno = test_try_to_write_state (vs_image_writer_get_stream_fd (writer), length);
  if (saved_errno == 0)
    g_assert_false (vs_image_writer_finish (writer, NULL, &error));
  else if (expect_pipe)
    g_assert_cmpint (saved_errno, ==, EPIPE);
  failure = vs_image_writer_abort (writer);
  if (saved_errno != 0 && !expect_pipe)
    {
      g_assert_no_error (failure);
      return g_error_new_literal (VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE, g_strerror (saved_errno));
    }
  return error != NULL ? g_steal_pointer (&error) : g_steal_pointer (&failure);
}

static void
test_no_space (gconstpointer data)
{
  static const gsize limits[] = { 300 * 1024, MEGA + 17 };
  const TestWay *way = data;

  for (guint i = 0; i < (vs_image_encoding_has_program (way->encoding) ? 1 : G_N_ELEMENTS (limits)); i++)
    {
      g_auto (TestFile) file = test_file_new ();
      struct rlimit limit = { limits[i], RLIM_INFINITY };
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
      error = write_in_vain (file.fd, way, 20 * MEGA, way->flags != 0 || way->encoding != VS_IMAGE_ENCODING_RAW);
      limit.rlim_cur = RLIM_INFINITY;
      g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE);
      g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_PARTIAL);
    }
}

static void
test_no_space_for_the_header (void)
{
  g_auto (TestFile) file = test_file_new ();
  struct rlimit limit = { 1000, RLIM_INFINITY };
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_RAW, TRUE);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  g_assert_null (vs_image_writer_new (file.fd, header, VS_IMAGE_FLAGS_NONE, &error));
  limit.rlim_cur = RLIM_INFINITY;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE);
  g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_PARTIAL);
}

/* PATH with a gzip that does as @script says, and nothing else; there until it has been read. */
static char *
fake_gzip (const char *script)
{
  char *dir = g_dir_make_tmp (NULL, NULL);
  g_autofree char *path = g_build_filename (dir, "gzip", NULL);
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\nPATH=/usr/bin:/bin\n%s\n", script != NULL ? script : "");

  if (script != NULL)
    {
      g_assert_true (g_file_set_contents (path, text, -1, NULL));
      g_assert_cmpint (g_chmod (path, 0755), ==, 0);
    }
  g_setenv ("PATH", dir, TRUE);
  return dir;
}

static void
remove_fake (char *dir)
{
  g_autofree char *path = g_build_filename (dir, "gzip", NULL);

  g_setenv ("PATH", "/usr/bin:/bin", TRUE);
  g_unlink (path);
  g_rmdir (dir);
  g_free (dir);
}

static const TestWay through_gzip = { VS_IMAGE_ENCODING_GZIP, VS_IMAGE_FLAGS_NONE };

static void
test_no_encoder (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_XZ, TRUE);
  g_autoptr (GError) error = NULL;
  char *dir = fake_gzip (NULL);

  g_assert_cmpint (write (file.fd, "keep me", 7), ==, 7);
  g_assert_null (vs_image_writer_new (file.fd, header, VS_IMAGE_FLAGS_NONE, &error));
  remove_fake (dir);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "package xz-utils"));
  g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_FOREIGN);
}

static const struct
{
  const char *script, *words;
  VmSnapError code;
} bad_encoders[] = {
  { "echo out of cheese >&2; exit 3", "gzip, which the image goes through, failed with status 3: out of cheese",
    VMSNAP_ERROR_IO },
  { "kill -9 $$", "was killed by signal 9", VMSNAP_ERROR_IO },
  { "cat; exit 1", "failed with status 1, without a word", VMSNAP_ERROR_IO },
  { "yes garbage | head -c 10000000 >&2; exit 1", "garbage garbage", VMSNAP_ERROR_IO },
  { "echo 'write error: No space left on device' >&2; exit 1", "No space left on device; make room", VMSNAP_ERROR_NO_SPACE },
  { "cat >/dev/null", "nothing of the guest's state arrived", VMSNAP_ERROR_IO },
};

static void
test_bad_encoder (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad_encoders); i++)
    {
      g_auto (TestFile) file = test_file_new ();
      g_autoptr (GError) error = NULL;
      char *dir = fake_gzip (bad_encoders[i].script);

      error = write_in_vain (file.fd, &through_gzip, 3 * MEGA, TRUE);
      remove_fake (dir);
      g_assert_error (error, VMSNAP_ERROR, (gint)bad_encoders[i].code);
      if (strstr (error->message, bad_encoders[i].words) == NULL)
        g_error ("\"%s\" isn't in \"%s\"", bad_encoders[i].words, error->message);
      g_assert_cmpuint (strlen (error->message), <, 3000);
      g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_PARTIAL);
    }
}

static void
test_cancel (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_GZIP, TRUE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) failure = NULL;
  g_autoptr (VsImageWriter) writer = NULL;
  char *dir = fake_gzip ("exec sleep 1000");

  writer = vs_image_writer_new (file.fd, header, VS_IMAGE_FLAGS_NONE, &error);
  g_assert_no_error (error);
  g_cancellable_cancel (cancellable);
  g_assert_false (vs_image_writer_finish (writer, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  failure = vs_image_writer_abort (writer);
  g_assert_no_error (failure);
  remove_fake (dir);
}

static gpointer
write_for_ever (gpointer data)
{
  return GINT_TO_POINTER (test_try_to_write_state (GPOINTER_TO_INT (data), G_MAXSIZE));
}

/* As QEMU does, whose cancel waits for that write. */
static void
test_abort_frees_who_hangs (gconstpointer data)
{
  const TestWay *way = data;
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, way->encoding, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) failure = NULL;
  g_autoptr (VsImageWriter) writer = NULL;
  char *dir = fake_gzip ("exec sleep 1000");
  GThread *thread;
  int fd;

  writer = vs_image_writer_new (file.fd, header, way->flags, &error);
  g_assert_no_error (error);
  fd = fcntl (vs_image_writer_get_stream_fd (writer), F_DUPFD_CLOEXEC, 3);
  thread = g_thread_new ("qemu", write_for_ever, GINT_TO_POINTER (fd));
  failure = vs_image_writer_abort (writer);
  g_assert_no_error (failure);
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, EPIPE);
  close (fd);
  remove_fake (dir);
  g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_PARTIAL);
}

static void
test_abort_after_seal (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_RAW, TRUE);
  g_autoptr (VsImageWriter) writer = vs_image_writer_new (file.fd, header, VS_IMAGE_FLAGS_NONE, NULL);
  g_autoptr (GError) error = NULL;

  test_write_state (vs_image_writer_get_stream_fd (writer), 1000);
  g_assert_true (vs_image_writer_finish (writer, NULL, &error));
  g_assert_true (vs_image_writer_seal (writer, &error));
  g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_COMPLETE);
  g_assert_null (vs_image_writer_abort (writer));
  g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_PARTIAL);
}

/* The file takes nothing any more. */
static void
test_seal_that_stays (void)
{
  int fd = memfd_create ("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_RAW, TRUE);
  g_autoptr (VsImageWriter) writer = vs_image_writer_new (fd, header, VS_IMAGE_FLAGS_NONE, NULL);
  g_autoptr (GError) error = NULL;

  test_write_state (vs_image_writer_get_stream_fd (writer), 1000);
  g_assert_true (vs_image_writer_finish (writer, NULL, &error));
  g_assert_true (vs_image_writer_seal (writer, &error));
  g_assert_cmpint (fcntl (fd, F_ADD_SEALS, F_SEAL_WRITE), ==, 0);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*/memfd:image*still say*");
  g_assert_null (vs_image_writer_abort (writer));
  g_test_assert_expected_messages ();
  close (fd);
}

static void
test_free_gives_up (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_ZSTD, TRUE);
  VsImageWriter *writer = vs_image_writer_new (file.fd, header, VS_IMAGE_FLAGS_BYPASS_CACHE, NULL);

  test_write_state (vs_image_writer_get_stream_fd (writer), 3 * MEGA);
  vs_image_writer_free (writer);
  g_assert_cmpint (test_file_state (&file), ==, TEST_FILE_PARTIAL);
}

static void
test_unfit_descriptors (void)
{
  static const struct
  {
    const char *path;
    int flags;
    const char *words;
  } unfit[] = {
    { "/", O_RDONLY, "directory" },
    { "/dev/full", O_RDWR, "neither a regular file" },
    { NULL, O_RDONLY, "for writing" },
    { NULL, O_PATH, "O_PATH" },
  };
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, VS_IMAGE_ENCODING_RAW, TRUE);

  for (guint i = 0; i < G_N_ELEMENTS (unfit); i++)
    {
      g_auto (TestFile) file = test_file_new ();
      int fd = open (unfit[i].path != NULL ? unfit[i].path : file.path, unfit[i].flags | O_CLOEXEC);
      g_autoptr (GError) error = NULL;

      g_assert_null (vs_image_writer_new (fd, header, VS_IMAGE_FLAGS_NONE, &error));
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
      g_assert_nonnull (strstr (error->message, unfit[i].words));
      close (fd);
    }
}

/* A complete image whose state isn't what its encoding says. */
static void
make_bad_image (const TestFile *file, VsImageEncoding encoding, const void *state, gsize length)
{
  g_autoptr (VsImageHeader) header = vs_image_header_new (TEST_FILE_XML, NULL, encoding, TRUE);
  g_autoptr (GBytes) bytes = NULL;
  gssize size;

  header->sealed = TRUE;
  header->stream_length = length;
  bytes = vs_image_header_format (header, NULL);
  size = g_bytes_get_size (bytes);
  g_assert_cmpint (ftruncate (file->fd, 0), ==, 0);
  g_assert_cmpint (pwrite (file->fd, g_bytes_get_data (bytes, NULL), size, 0), ==, size);
  g_assert_cmpint (pwrite (file->fd, state, length, size), ==, (gssize)length);
}

static void
test_garbage (void)
{
  for (guint i = 0; i < 7; i++)
    {
      g_auto (TestFile) file = test_file_new ();
      g_autoptr (GError) error = NULL;

      make_bad_image (&file, i, "nothing of the kind", 20);
      g_assert_null (vs_image_reader_new (file.fd, VS_IMAGE_FLAGS_NONE, &error));
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
    }
}

/* Reads as QEMU would, then what the image's reader says to it. */
static GError *
read_in_vain (const TestFile *file, VsImageFlags flags, gboolean loaded)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageReader) reader = vs_image_reader_new (file->fd, flags, &error);
  int fd;

  g_assert_no_error (error);
  fd = vs_image_reader_get_stream_fd (reader, &error);
  g_assert_no_error (error);
  test_read_state (fd);
  if (!loaded)
    return vs_image_reader_abort (reader);
  g_assert_false (vs_image_reader_finish (reader, NULL, &error));
  return g_steal_pointer (&error);
}

/* A byte in the middle is another, or the end is missing though the header was told of it: the decoder finds out. */
static void
test_decoder_fails (gconstpointer data)
{
  const TestWay *way = data;
  g_auto (TestFile) good = test_file_new ();
  g_autofree char *bytes = NULL;
  gsize size, offset;

  test_file_round_trip (&good, good.fd, way, MEGA);
  offset = test_file_stream_offset (&good);
  g_assert_true (g_file_get_contents (good.path, &bytes, &size, NULL));
  bytes[offset + (size - offset) / 2] ^= 0x55;
  for (guint i = 0; i < 4; i++)
    {
      g_auto (TestFile) file = test_file_new ();
      g_autoptr (GError) error = NULL;

      make_bad_image (&file, way->encoding, bytes + offset, (size - offset) / (i % 2 + 1));
      error = read_in_vain (&file, way->flags, i < 2);
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
      g_assert_nonnull (strstr (error->message, "which the image goes through, failed with status"));
    }
}

static void
test_decoder_dies (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (GError) error = NULL;
  char *dir;

  test_file_round_trip (&file, file.fd, &through_gzip, 1000);
  dir = fake_gzip ("kill -9 $$");
  error = read_in_vain (&file, VS_IMAGE_FLAGS_NONE, FALSE);
  remove_fake (dir);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
  g_assert_nonnull (strstr (error->message, "killed by signal 9"));
}

static void
test_no_decoder (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (GError) error = NULL;
  char *dir;

  test_file_round_trip (&file, file.fd, &through_gzip, 1000);
  dir = fake_gzip (NULL);
  g_assert_null (vs_image_reader_new (file.fd, VS_IMAGE_FLAGS_NONE, &error));
  remove_fake (dir);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "package gzip"));
}

/* A decoder that never ends would fill whatever reads it to the end. */
static void
test_endless_decoder (void)
{
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageReader) reader = NULL;
  char *dir;

  test_file_round_trip (&file, file.fd, &through_gzip, 1000);
  dir = fake_gzip ("exec cat /dev/zero");
  reader = vs_image_reader_new (file.fd, VS_IMAGE_FLAGS_NONE, &error);
  g_assert_cmpint (vs_image_reader_get_stream_fd (reader, &error), >=, 0);
  g_assert_false (vs_image_reader_finish (reader, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
  remove_fake (dir);
}

/* Where QEMU had read already. */
static void
test_cut_while_loading (void)
{
  static const TestWay raw = { VS_IMAGE_ENCODING_RAW, VS_IMAGE_FLAGS_NONE };
  g_auto (TestFile) file = test_file_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageReader) reader = NULL;

  test_file_round_trip (&file, file.fd, &raw, MEGA);
  reader = vs_image_reader_new (file.fd, VS_IMAGE_FLAGS_NONE, &error);
  g_assert_no_error (error);
  test_check_state (vs_image_reader_get_stream_fd (reader, &error), MEGA);
  g_assert_cmpint (ftruncate (file.fd, (off_t)test_file_stream_offset (&file) + MEGA - 1), ==, 0);
  g_assert_false (vs_image_reader_finish (reader, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE);
}

static void
add (const char *name, const TestWay *way, GTestDataFunc test)
{
  g_autofree char *path
      = g_strdup_printf ("/image-broken/%s%s/%s", vs_image_encoding_to_nick (way->encoding),
                         way->flags == VS_IMAGE_FLAGS_BYPASS_CACHE ? "-past-the-cache" : "", name);

  g_test_add_data_func (path, way, test);
}

int
main (int argc, char **argv)
{
  static TestWay ways[6][2];

  /* As QEMU and the service have them; the limits of a file's size say so by an error then. */
  signal (SIGPIPE, SIG_IGN);
  signal (SIGXFSZ, SIG_IGN);
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < 12; i++)
    {
      TestWay *way = &ways[i / 2][i % 2];

      way->encoding = i / 2;
      way->flags = i % 2 != 0 ? VS_IMAGE_FLAGS_BYPASS_CACHE : VS_IMAGE_FLAGS_NONE;
      add ("full-is-no-space-and-partial", way, test_no_space);
      if (way->encoding != VS_IMAGE_ENCODING_RAW)
        add ("broken-is-found-by-the-decoder", way, test_decoder_fails);
    }
  add ("abort-frees-who-hangs-in-a-write", &ways[VS_IMAGE_ENCODING_GZIP][0], test_abort_frees_who_hangs);
  add ("abort-frees-who-hangs-in-a-write", &ways[VS_IMAGE_ENCODING_GZIP][1], test_abort_frees_who_hangs);
  add ("abort-frees-who-hangs-in-a-write", &ways[VS_IMAGE_ENCODING_RAW][1], test_abort_frees_who_hangs);
  g_test_add_func ("/image-broken/no-space-for-the-header", test_no_space_for_the_header);
  g_test_add_func ("/image-broken/missing-encoder-changes-nothing", test_no_encoder);
  g_test_add_func ("/image-broken/failing-encoder-is-quoted", test_bad_encoder);
  g_test_add_func ("/image-broken/cancel-ends-the-wait-for-the-encoder", test_cancel);
  g_test_add_func ("/image-broken/abort-takes-the-seal-back", test_abort_after_seal);
  g_test_add_func ("/image-broken/seal-that-stays-is-told-of", test_seal_that_stays);
  g_test_add_func ("/image-broken/free-gives-up", test_free_gives_up);
  g_test_add_func ("/image-broken/unfit-descriptor-is-refused-in-words", test_unfit_descriptors);
  g_test_add_func ("/image-broken/garbage-is-refused-before-it-is-read", test_garbage);
  g_test_add_func ("/image-broken/dying-decoder-is-told-of", test_decoder_dies);
  g_test_add_func ("/image-broken/missing-decoder-is-told-of", test_no_decoder);
  g_test_add_func ("/image-broken/endless-decoder-is-ended", test_endless_decoder);
  g_test_add_func ("/image-broken/cut-while-loading-is-incomplete", test_cut_while_loading);
  return g_test_run ();
}
