/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writes the images that fuzzing begins with into a directory: ours and libvirt's, one in the middle of a rewrite, and
 * the broken ones that are easily made of them.
 */
#include "vs-save-image-private.h"

#include "image-samples.h"

#include <glib/gstdio.h>
#include <string.h>

static void
put (const char *dir, const char *name, const void *data, gsize length)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, data, (gssize)length, &error);
  g_assert_no_error (error);
}

/* As small as it may be, for a fuzzer changes small inputs better. */
static GByteArray *
make_small (const VsImageHeader *template, gsize size)
{
  g_autoptr (VsImageHeader) header = vs_image_header_copy (template);
  GByteArray *bytes;
  gsize texts;

  header->stream_offset = size;
  bytes = vs_image_header_format_texts (header, TRUE, NULL);
  texts = bytes->len;
  g_assert_cmpuint (texts, <=, size);
  g_byte_array_set_size (bytes, size);
  memset (bytes->data + texts, 0, size - texts);
  return bytes;
}

static void
put_rewritten (const char *dir, const VsImageHeader *header)
{
  g_autoptr (GByteArray) bytes = make_small (header, 2048);
  g_autoptr (GByteArray) texts = vs_image_header_format_texts (header, TRUE, NULL);
  g_autoptr (GBytes) record = NULL;

  texts->data[VS_IMAGE_HEADER_SIZE + 1] = 'D';
  record = vs_image_record_make (texts->data, texts->len);
  memcpy (bytes->data + bytes->len - g_bytes_get_size (record), g_bytes_get_data (record, NULL),
          g_bytes_get_size (record));
  put (dir, "rewritten", bytes->data, bytes->len);
}

int
main (int argc, char **argv)
{
  g_autoptr (VsImageHeader) header
      = vs_image_header_new ("<domain><name>n</name></domain>", "<cookie><a/></cookie>", VS_IMAGE_ENCODING_ZSTD, TRUE);
  g_autoptr (GByteArray) small = NULL;
  g_autoptr (GByteArray) libvirt = sample_libvirt ();

  if (argc != 2 || g_mkdir_with_parents (argv[1], 0755) != 0)
    return 1;
  header->sealed = TRUE;
  header->stream_length = 20;
  small = make_small (header, 512);
  put (argv[1], "ours", small->data, small->len);
  put (argv[1], "cut", small->data, 200);
  put (argv[1], "header-alone", small->data, VS_IMAGE_HEADER_SIZE);
  put (argv[1], "libvirt", libvirt->data, libvirt->len);
  put_rewritten (argv[1], header);
  header->sealed = FALSE;
  g_byte_array_unref (small);
  small = make_small (header, 400);
  put (argv[1], "partial", small->data, small->len);
  return 0;
}
