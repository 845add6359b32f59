/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Saved images put together by hand, for the tests of what reads them.
 */
#include "image-samples.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_WORDS 19

/**
 * sample_make:
 * @sample: what it says
 *
 * Returns: (transfer full): its bytes; the state isn't there
 */
GByteArray *
sample_make (const Sample *sample)
{
  GByteArray *bytes = g_byte_array_new ();
  guint32 words[N_WORDS]
      = { sample->version, sample->data_length, sample->running, sample->encoding, sample->cookie_offset };

  g_byte_array_append (bytes, (const guint8 *)(sample->magic != NULL ? sample->magic : "LibvirtQemudSave"), 16);
  g_byte_array_append (bytes, (const guint8 *)words, sizeof words);
  if (sample->data != NULL)
    g_byte_array_append (bytes, sample->data, sample->data_size);
  else
    g_byte_array_append (bytes, (const guint8 *)"<domain/>", sizeof "<domain/>");
  return bytes;
}

/**
 * sample_libvirt:
 *
 * Returns: (transfer full): an image as libvirt 9.0 lays it out: definition, cookie, 64 KiB of zeros, and a state
 */
GByteArray *
sample_libvirt (void)
{
  static const char texts[] = "<domain type='qemu'>\n  <name>lv</name>\n</domain>\n\0"
                              "<cookie>\n  <slirpHelper/>\n</cookie>\n";
  g_autofree char *data = g_malloc0 (sizeof texts + 65536);
  Sample sample = { 2, sizeof texts + 65536, 1, 0, strlen (texts) + 1, NULL, data, sizeof texts + 65536 };
  GByteArray *bytes;

  memcpy (data, texts, sizeof texts);
  bytes = sample_make (&sample);
  g_byte_array_append (bytes, (const guint8 *)"QEVM\0\0\0\3 and so on", 18);
  return bytes;
}

/**
 * sample_to_fd:
 * @bytes: what shall be in it
 *
 * Returns: a descriptor of a file in memory
 */
int
sample_to_fd (const GByteArray *bytes)
{
  int fd = memfd_create ("image", MFD_CLOEXEC);

  g_assert_cmpint (write (fd, bytes->data, bytes->len), ==, (gssize)bytes->len);
  return fd;
}

/**
 * sample_from_fd:
 * @fd: a file
 *
 * Returns: (transfer full): all that is in it
 */
GByteArray *
sample_from_fd (int fd)
{
  GByteArray *bytes = g_byte_array_new ();
  struct stat st;

  g_assert_cmpint (fstat (fd, &st), ==, 0);
  g_byte_array_set_size (bytes, (guint)st.st_size);
  g_assert_cmpint (pread (fd, bytes->data, bytes->len, 0), ==, (gssize)bytes->len);
  return bytes;
}
