/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Throws bytes at what reads the beginning of a saved image. What is accepted must keep its promises, and must come
 * back when it is written.
 */
#include "vs-save-image.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check_written (VsImageHeader *header)
{
  g_autoptr (VsImageHeader) again = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL;
  guint64 length = header->stream_length;
  gsize size;

  /* A cookie that isn't ours may be refused. */
  header->stream_offset = 0;
  bytes = vs_image_header_format (header, NULL);
  if (bytes == NULL)
    return;
  size = g_bytes_get_size (bytes);
  again = vs_image_header_parse (g_bytes_get_data (bytes, NULL), size, size + length, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (again->xml, ==, header->xml);
  g_assert_true (header->cookie == NULL || g_str_equal (again->cookie, g_strchomp (header->cookie)));
  g_assert_cmpuint (again->stream_length, ==, length);
  g_assert_cmpint (again->running, ==, header->running);
}

/* The file is as long as the input and a last word more, so that lengths past its end and before it both come up. */
int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageHeader) header = NULL;
  guint8 behind = size > 0 ? data[size - 1] : 0;

  header = vs_image_header_parse (data, size, size + behind, &error);
  g_assert_true ((header == NULL) == (error != NULL));
  if (header == NULL)
    return 0;
  g_assert_true (*header->xml != '\0' && g_utf8_validate (header->xml, -1, NULL));
  g_assert_true (header->cookie == NULL || g_utf8_validate (header->cookie, -1, NULL));
  g_assert_cmpuint (header->stream_offset, <=, size);
  g_assert_cmpuint (header->stream_offset, >, VS_IMAGE_HEADER_SIZE);
  g_assert_true (!header->complete || header->stream_length <= size + behind - header->stream_offset);
  g_assert_cmpint (header->complete, ==, vs_image_header_check_complete (header, NULL));
  check_written (header);
  return 0;
}
