/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rewriting an image: wherever it is interrupted, there is the old text or the new one, and the state isn't touched.
 */
#include "vs-save-image.h"

#include "image-samples.h"
#include "vmsnap-error.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* How many bytes may still be written; what comes then is lost, or fails. */
static gsize budget = G_MAXSIZE;
static gboolean fails;
static gsize written;

ssize_t pwrite (int fd, const void *data, size_t length, off_t offset);

/* In place of the C library's, for the code under test, too. */
ssize_t
pwrite (int fd, const void *data, size_t length, off_t offset)
{
  static ssize_t (*real) (int, const void *, size_t, off_t);
  size_t allowed = MIN (length, budget);

  if (real == NULL)
    real = dlsym (RTLD_NEXT, "pwrite64");
  if (allowed > 0)
    g_assert_cmpint (real (fd, data, allowed, offset), ==, (gssize)allowed);
  budget -= budget == G_MAXSIZE ? 0 : allowed;
  written += allowed;
  if (allowed == length || !fails)
    return (ssize_t)length;
  errno = EIO;
  return -1;
}

static GByteArray *
make_image (gboolean tells_length)
{
  g_autoptr (VsImageHeader) header = vs_image_header_new ("<domain>old</domain>", "<cookie><o/></cookie>",
                                                          VS_IMAGE_ENCODING_RAW, FALSE);
  g_autoptr (GBytes) bytes = NULL;

  if (!tells_length)
    return sample_libvirt ();
  header->sealed = TRUE;
  header->stream_length = 5;
  bytes = vs_image_header_format (header, NULL);
  g_assert_nonnull (bytes);
  return g_byte_array_append (g_bytes_unref_to_array (g_steal_pointer (&bytes)), (const guint8 *)"state", 5);
}

static VsImageHeader *
wanted (void)
{
  return vs_image_header_new ("<domain>quite another definition</domain>", "<cookie><n/></cookie>",
                              VS_IMAGE_ENCODING_XZ, TRUE);
}

static gboolean
is_same (const VsImageHeader *header, const VsImageHeader *other)
{
  return g_str_equal (header->xml, other->xml) && g_strcmp0 (header->cookie, other->cookie) == 0
         && header->running == other->running;
}

static void
test_rewrite (gconstpointer data)
{
  g_autoptr (GByteArray) before = make_image (GPOINTER_TO_INT (data));
  g_autoptr (GByteArray) after = NULL;
  g_autoptr (VsImageHeader) old = vs_image_header_parse (before->data, before->len, before->len, NULL);
  g_autoptr (VsImageHeader) header = wanted ();
  g_autoptr (VsImageHeader) now = NULL;
  g_autoptr (GError) error = NULL;
  int fd = sample_to_fd (before);
  gsize texts;

  g_assert_true (vs_image_rewrite (fd, header, &error));
  g_assert_no_error (error);
  after = sample_from_fd (fd);
  close (fd);
  now = vs_image_header_parse (after->data, after->len, after->len, &error);
  g_assert_no_error (error);
  g_assert_true (is_same (now, header));
  /* Nothing else changed, and it stands where other readers look for it. */
  g_assert_true (now->complete);
  g_assert_cmpint (now->encoding, ==, VS_IMAGE_ENCODING_RAW);
  g_assert_cmpuint (now->stream_length, ==, old->stream_length);
  g_assert_cmpuint (now->stream_offset, ==, old->stream_offset);
  g_assert_cmpmem (after->data + now->stream_offset, after->len - now->stream_offset,
                   before->data + old->stream_offset, before->len - old->stream_offset);
  g_assert_cmpstr ((const char *)after->data + VS_IMAGE_HEADER_SIZE, ==, header->xml);
  texts = VS_IMAGE_HEADER_SIZE + 1000;
  for (gsize i = texts; i < now->stream_offset; i++)
    g_assert_cmpuint (after->data[i], ==, 0);
}

/* What is there after @allowed bytes is the old or the new; then both can be rewritten again. */
static gboolean
interrupt (const GByteArray *image, gsize allowed)
{
  g_autoptr (VsImageHeader) old = vs_image_header_parse (image->data, image->len, image->len, NULL);
  g_autoptr (VsImageHeader) header = wanted ();
  g_autoptr (VsImageHeader) now = NULL;
  g_autoptr (VsImageHeader) again = NULL;
  g_autoptr (GByteArray) after = NULL;
  g_autoptr (GError) error = NULL;
  int fd = sample_to_fd (image);
  gboolean done;

  budget = allowed;
  done = vs_image_rewrite (fd, header, fails ? NULL : &error);
  g_assert_no_error (error);
  budget = G_MAXSIZE;
  now = vs_image_header_read (fd, &error);
  g_assert_no_error (error);
  g_assert_true (now->complete);
  g_assert_cmpuint (now->stream_length, ==, old->stream_length);
  g_assert_true (is_same (now, old) || is_same (now, header));
  if (done && fails)
    g_assert_true (is_same (now, header));

  g_free (header->xml);
  header->xml = g_strdup ("<domain>a third one</domain>");
  g_assert_true (vs_image_rewrite (fd, header, &error));
  g_assert_no_error (error);
  after = sample_from_fd (fd);
  again = vs_image_header_parse (after->data, after->len, after->len, &error);
  g_assert_no_error (error);
  g_assert_true (is_same (again, header));
  g_assert_cmpstr ((const char *)after->data + VS_IMAGE_HEADER_SIZE, ==, header->xml);
  close (fd);
  return is_same (now, old);
}

static void
test_interrupted (gconstpointer data)
{
  g_autoptr (GByteArray) image = make_image (GPOINTER_TO_INT (data));
  gsize total, kept = 0, times = 0;

  written = 0;
  fails = FALSE;
  interrupt (image, G_MAXSIZE - 1);
  /* Two rewrites were that. */
  total = written / 2 + 1000;
  for (guint i = 0; i < 2; i++)
    {
      fails = i == 1;
      /* Each byte of the record and of the texts, then now and then, for there are zeros only; the record again. */
      for (gsize allowed = 0; allowed < total; allowed += allowed < 1200 || allowed + 2000 > total ? 1 : 997, times++)
        kept += interrupt (image, allowed);
    }
  fails = FALSE;
  g_assert_cmpuint (kept, >, 0);
  g_assert_cmpuint (kept, <, times);
}

static void
test_no_room (void)
{
  static const char data[] = "<domain/>";
  Sample sample = { 2, sizeof data, .data = data, .data_size = sizeof data };
  g_autoptr (GByteArray) image = sample_make (&sample);
  g_autoptr (GByteArray) after = NULL;
  g_autoptr (VsImageHeader) header = wanted ();
  g_autoptr (GError) error = NULL;
  int fd;

  g_byte_array_append (image, (const guint8 *)"QEVM", 4);
  fd = sample_to_fd (image);
  g_assert_false (vs_image_rewrite (fd, header, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE);
  after = sample_from_fd (fd);
  close (fd);
  g_assert_cmpmem (after->data, after->len, image->data, image->len);
}

/* A definition may grow to twice what it was and by 64 KiB, whatever its length. */
static void
test_room_to_grow (void)
{
  for (gsize length = 10; length < 400000; length = length * 3 + 1)
    {
      g_autofree char *text = g_strnfill (length, 'x');
      g_autofree char *longer = g_strnfill (length + 30000, 'y');
      g_autoptr (VsImageHeader) header = vs_image_header_new (text, NULL, VS_IMAGE_ENCODING_RAW, FALSE);
      g_autoptr (GError) error = NULL;
      g_autoptr (GByteArray) image = NULL;
      g_autoptr (VsImageHeader) now = NULL;
      int fd;

      header->sealed = TRUE;
      image = g_bytes_unref_to_array (vs_image_header_format (header, NULL));
      g_byte_array_append (image, (const guint8 *)"QEVM", 4);
      fd = sample_to_fd (image);
      g_free (header->xml);
      header->xml = g_strdup (longer);
      g_assert_true (vs_image_rewrite (fd, header, &error));
      g_assert_no_error (error);
      now = vs_image_header_read (fd, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (now->xml, ==, longer);
      close (fd);
    }
}

static void
test_incomplete (void)
{
  g_autoptr (GByteArray) image = make_image (TRUE);
  g_autoptr (VsImageHeader) header = wanted ();
  g_autoptr (GError) error = NULL;
  int fd = sample_to_fd (image);

  g_assert_true (vs_image_mark_partial (fd, NULL));
  g_assert_false (vs_image_rewrite (fd, header, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE);
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/image-rewrite/ours-has-the-new-text", GINT_TO_POINTER (TRUE), test_rewrite);
  g_test_add_data_func ("/image-rewrite/libvirts-has-the-new-text", GINT_TO_POINTER (FALSE), test_rewrite);
  g_test_add_data_func ("/image-rewrite/interrupted-has-one-of-both", GINT_TO_POINTER (TRUE), test_interrupted);
  g_test_add_data_func ("/image-rewrite/libvirts-interrupted-has-one-of-both", GINT_TO_POINTER (FALSE),
                        test_interrupted);
  g_test_add_func ("/image-rewrite/no-room-changes-nothing", test_no_room);
  g_test_add_func ("/image-rewrite/ours-has-room-to-grow", test_room_to_grow);
  g_test_add_func ("/image-rewrite/incomplete-is-refused", test_incomplete);
  return g_test_run ();
}
