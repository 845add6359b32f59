/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Headers of saved images: ours are laid out as libvirt's are, libvirt's are read, and whatever else comes is refused
 * in words.
 */
#include "vs-save-image.h"

#include "image-samples.h"
#include "vmsnap-error.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define XML "<domain type='qemu'><name>n</name></domain>"

static guint32
word (const guint8 *data, guint index)
{
  guint32 value;

  memcpy (&value, data + 16 + 4 * index, sizeof value);
  return value;
}

static void
test_layout (void)
{
  g_autoptr (VsImageHeader) header = vs_image_header_new (XML, "<cookie><a/></cookie>", VS_IMAGE_ENCODING_ZSTD, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) part = vs_image_header_format (header, &error);
  g_autoptr (GBytes) done = NULL;
  const char *cookie;
  const guint8 *data;
  gsize size;

  g_assert_no_error (error);
  header->sealed = TRUE;
  header->stream_offset = g_bytes_get_size (part);
  header->stream_length = 12345;
  done = vs_image_header_format (header, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (part, NULL), 16, "LibvirtQemudPart", 16);
  data = g_bytes_get_data (done, &size);
  g_assert_cmpmem (data, 16, "LibvirtQemudSave", 16);
  g_assert_cmpuint (size, ==, g_bytes_get_size (part));
  g_assert_cmpuint (size % 65536, ==, 0);
  g_assert_cmpuint (size, >=, 65536 + 3 * strlen (XML));
  g_assert_cmpuint (word (data, 0), ==, 2);
  g_assert_cmpuint (word (data, 1), ==, size - 92);
  g_assert_cmpuint (word (data, 2), ==, 1);
  g_assert_cmpuint (word (data, 3), ==, 5);
  g_assert_cmpuint (word (data, 4), ==, sizeof XML);
  for (guint i = 5; i < 19; i++)
    g_assert_cmpuint (word (data, i), ==, 0);
  g_assert_cmpstr ((const char *)data + 92, ==, XML);
  cookie = (const char *)data + 92 + sizeof XML;
  g_assert_cmpstr (cookie, ==,
                   "<cookie><a/><vmsnap:stream xmlns:vmsnap='https://vmsnap.org/xmlns/image/1' "
                   "length='00000000000000012345'/></cookie>");
  for (const guint8 *c = (const guint8 *)cookie + strlen (cookie); c < data + size; c++)
    g_assert_cmpuint (*c, ==, 0);
}

static void
test_round_trip (void)
{
  static const char *const cookies[] = { NULL, "<cookie></cookie>", "<cookie><x y='ü'/></cookie>\n" };

  for (guint i = 0; i < 7 * G_N_ELEMENTS (cookies); i++)
    {
      const char *cookie = cookies[i / 7];
      g_autoptr (VsImageHeader) written = vs_image_header_new (XML, cookie, i % 7, i % 2);
      g_autoptr (VsImageHeader) header = NULL;
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (GError) error = NULL;
      gsize size;

      written->sealed = TRUE;
      written->stream_length = 100 + i;
      bytes = vs_image_header_format (written, &error);
      g_assert_no_error (error);
      size = g_bytes_get_size (bytes);
      header = vs_image_header_parse (g_bytes_get_data (bytes, NULL), size, size + 100 + i, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (header->xml, ==, XML);
      g_assert_cmpstr (header->cookie, ==, i < 14 ? "<cookie></cookie>" : "<cookie><x y='ü'/></cookie>");
      g_assert_cmpint (header->encoding, ==, i % 7);
      g_assert_cmpint (header->running, ==, i % 2);
      g_assert_cmpuint (header->stream_offset, ==, size);
      g_assert_cmpuint (header->stream_length, ==, 100 + i);
      g_assert_true (header->sealed && header->complete);
    }
}

static void
test_libvirt (void)
{
  g_autoptr (GByteArray) bytes = sample_libvirt ();
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageHeader) header = NULL;
  int fd = sample_to_fd (bytes);

  header = vs_image_header_read (fd, &error);
  close (fd);
  g_assert_no_error (error);
  g_assert_cmpstr (header->xml, ==, "<domain type='qemu'>\n  <name>lv</name>\n</domain>\n");
  g_assert_cmpstr (header->cookie, ==, "<cookie>\n  <slirpHelper/>\n</cookie>\n");
  g_assert_true (header->running && header->complete);
  g_assert_cmpuint (header->stream_length, ==, 0);
  g_assert_cmpuint (header->stream_offset, ==, bytes->len - 18);
}

#define D "<domain/>"

static const struct
{
  const char *name;
  Sample sample;
  VmSnapError code;
} hostile[] = {
  { "no-magic", { 2, 10, .magic = "LibvirtQemudSavx" }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "elf", { 2, 10, .magic = "\177ELF\2\1\1\0\0\0\0\0\0\0\0" }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "version-0", { 0, 10 }, VMSNAP_ERROR_NOT_SUPPORTED },
  { "version-1", { 1, 10 }, VMSNAP_ERROR_NOT_SUPPORTED },
  { "version-3", { 3, 10 }, VMSNAP_ERROR_NOT_SUPPORTED },
  { "version-4-giga", { G_MAXUINT32, 10 }, VMSNAP_ERROR_NOT_SUPPORTED },
  { "other-byte-order", { 0x02000000, 0x0a000000 }, VMSNAP_ERROR_NOT_SUPPORTED },
  { "encoding-7", { 2, 10, 0, 7 }, VMSNAP_ERROR_NOT_SUPPORTED },
  { "encoding-4-giga", { 2, 10, 0, G_MAXUINT32 }, VMSNAP_ERROR_NOT_SUPPORTED },
  { "no-data", { 2, 0 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "data-4-giga", { 2, G_MAXUINT32 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "data-over-64-mega", { 2, 64 * 1024 * 1024 + 1 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "data-past-the-end", { 2, 64 * 1024 * 1024 }, VMSNAP_ERROR_IMAGE_INCOMPLETE },
  { "data-one-past-the-end", { 2, 11 }, VMSNAP_ERROR_IMAGE_INCOMPLETE },
  { "definition-without-end", { 2, 9, .data = D, .data_size = 9 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "definition-empty", { 2, 4, .data = "\0\0\0", .data_size = 4 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "definition-not-utf-8", { 2, 4, .data = "<\xff>", .data_size = 4 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "cookie-at-the-end", { 2, 10, 0, 0, 10 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "cookie-past-the-end", { 2, 10, 0, 0, G_MAXUINT32 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "cookie-in-the-definition", { 2, 10, 0, 0, 4 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "cookie-without-end", { 2, 13, 0, 0, 10, NULL, D "\0<c>", 13 }, VMSNAP_ERROR_IMAGE_CORRUPT },
  { "cookie-not-utf-8", { 2, 13, 0, 0, 10, NULL, D "\0<\xff", 13 }, VMSNAP_ERROR_IMAGE_CORRUPT },
};

static void
test_hostile (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (hostile); i++)
    {
      g_autoptr (GByteArray) bytes = sample_make (&hostile[i].sample);
      g_autoptr (VsImageHeader) parsed = NULL;
      g_autoptr (VsImageHeader) read = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GError) read_error = NULL;
      int fd = sample_to_fd (bytes);

      g_test_message ("%s", hostile[i].name);
      parsed = vs_image_header_parse (bytes->data, bytes->len, bytes->len, &error);
      g_assert_null (parsed);
      g_assert_error (error, VMSNAP_ERROR, (gint)hostile[i].code);
      read = vs_image_header_read (fd, &read_error);
      close (fd);
      g_assert_null (read);
      g_assert_error (read_error, VMSNAP_ERROR, (gint)hostile[i].code);
      g_assert_cmpstr (error->message, ==, read_error->message);
    }
}

static void
test_long_definition (void)
{
  const guint32 length = 1024 * 1024 + 2;
  g_autofree char *data = g_strnfill (length - 1, ' ');
  Sample sample = { 2, length, .data = data, .data_size = length };
  g_autoptr (GByteArray) bytes = sample_make (&sample);
  g_autoptr (VsImageHeader) header = vs_image_header_new (data, NULL, VS_IMAGE_ENCODING_RAW, FALSE);
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_image_header_parse (bytes->data, bytes->len, bytes->len, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
  g_clear_error (&error);
  g_assert_null (vs_image_header_format (header, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
}

/* Cut anywhere, an image is refused as incomplete; but nobody can tell an empty file from any other. */
static void
check_truncations (const guint8 *data, gsize length, gsize stream_offset)
{
  for (gsize cut = 0; cut < length; cut++)
    {
      g_autoptr (GError) error = NULL;
      /* Exactly as large as what there is, so that a sanitizer sees a byte read too many. */
      g_autofree guint8 *copy = g_memdup2 (data, MAX (MIN (cut, stream_offset), 1));
      g_autoptr (VsImageHeader) header = vs_image_header_parse (copy, MIN (cut, stream_offset), cut, &error);

      if (cut == 0)
        g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
      else if (cut < stream_offset)
        g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE);
      else
        {
          g_assert_no_error (error);
          g_assert_false (header->complete);
          g_assert_false (vs_image_header_check_complete (header, &error));
          g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE);
        }
    }
}

static void
test_truncated (void)
{
  g_autoptr (VsImageHeader) header = vs_image_header_new (XML, NULL, VS_IMAGE_ENCODING_RAW, TRUE);
  g_autoptr (GBytes) bytes = NULL;
  g_autofree guint8 *image = NULL;
  gsize size;

  header->sealed = TRUE;
  header->stream_length = 3000;
  bytes = vs_image_header_format (header, NULL);
  size = g_bytes_get_size (bytes);
  image = g_malloc0 (size + 3000);
  memcpy (image, g_bytes_get_data (bytes, NULL), size);
  check_truncations (image, size + 3000, size);
}

static void
test_partial (void)
{
  g_autoptr (GByteArray) bytes = sample_libvirt ();
  int fd = sample_to_fd (bytes);

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (VsImageHeader) header = NULL;

      g_assert_true (vs_image_mark_partial (fd, &error));
      g_assert_no_error (error);
      header = vs_image_header_read (fd, &error);
      g_assert_no_error (error);
      g_assert_false (header->complete);
      g_assert_false (vs_image_header_check_complete (header, &error));
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE);
      g_assert_nonnull (header->xml);
    }
  close (fd);
}

static void
test_partial_without_reading (void)
{
  g_autoptr (GByteArray) bytes = sample_libvirt ();
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageHeader) header = NULL;
  int fd = sample_to_fd (bytes);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  int write_only = open (path, O_WRONLY | O_CLOEXEC);

  g_assert_true (vs_image_mark_partial (write_only, &error));
  g_assert_no_error (error);
  header = vs_image_header_read (fd, &error);
  g_assert_no_error (error);
  g_assert_false (header->complete);
  close (write_only);
  close (fd);
}

static void
test_foreign_is_not_marked (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GByteArray) after = NULL;
  g_autoptr (GError) error = NULL;
  int fd;

  g_byte_array_append (bytes, (const guint8 *)"somebody's letters", 18);
  fd = sample_to_fd (bytes);
  g_assert_false (vs_image_mark_partial (fd, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
  after = sample_from_fd (fd);
  close (fd);
  g_assert_cmpmem (after->data, after->len, bytes->data, bytes->len);
}

static void
refuse_fd (int fd, VmSnapError code, const char *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (fd, >=, 0);
  g_assert_null (vs_image_header_read (fd, &error));
  g_assert_error (error, VMSNAP_ERROR, (gint)code);
  g_assert_nonnull (strstr (error->message, words));
  close (fd);
}

static void
test_descriptors (void)
{
  g_autofree char *path = NULL;
  int pipe_fds[2], sockets[2], fd;

  g_assert_cmpint (pipe (pipe_fds), ==, 0);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
  fd = g_file_open_tmp (NULL, &path, NULL);
  refuse_fd (open ("/", O_RDONLY | O_CLOEXEC), VMSNAP_ERROR_INVALID_ARGUMENT, "directory");
  refuse_fd (open ("/dev/null", O_RDWR | O_CLOEXEC), VMSNAP_ERROR_INVALID_ARGUMENT, "regular file");
  refuse_fd (pipe_fds[0], VMSNAP_ERROR_INVALID_ARGUMENT, "pipe");
  refuse_fd (sockets[0], VMSNAP_ERROR_INVALID_ARGUMENT, "socket");
  refuse_fd (open (path, O_WRONLY | O_CLOEXEC), VMSNAP_ERROR_INVALID_ARGUMENT, "for reading");
  refuse_fd (open (path, O_PATH | O_CLOEXEC), VMSNAP_ERROR_INVALID_ARGUMENT, "O_PATH");
  refuse_fd (fd, VMSNAP_ERROR_IMAGE_CORRUPT, "empty");
  close (pipe_fds[1]);
  close (sockets[1]);
  g_unlink (path);
}

static void
test_offset_stays (void)
{
  g_autoptr (GByteArray) bytes = sample_libvirt ();
  g_autoptr (VsImageHeader) header = NULL;
  int fd = sample_to_fd (bytes);

  g_assert_cmpint (lseek (fd, 77, SEEK_SET), ==, 77);
  header = vs_image_header_read (fd, NULL);
  g_assert_nonnull (header);
  g_assert_cmpint (lseek (fd, 0, SEEK_CUR), ==, 77);
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image-header/laid-out-as-libvirt-does", test_layout);
  g_test_add_func ("/image-header/read-as-written", test_round_trip);
  g_test_add_func ("/image-header/libvirts-is-read", test_libvirt);
  g_test_add_func ("/image-header/hostile-is-refused-in-words", test_hostile);
  g_test_add_func ("/image-header/long-definition-is-refused", test_long_definition);
  g_test_add_func ("/image-header/cut-anywhere-is-incomplete", test_truncated);
  g_test_add_func ("/image-header/partial-is-read-and-not-complete", test_partial);
  g_test_add_func ("/image-header/file-that-can-not-be-read-is-marked", test_partial_without_reading);
  g_test_add_func ("/image-header/foreign-file-is-not-marked", test_foreign_is_not_marked);
  g_test_add_func ("/image-header/unfit-descriptor-is-refused-in-words", test_descriptors);
  g_test_add_func ("/image-header/descriptor-keeps-its-offset", test_offset_stays);
  return g_test_run ();
}
