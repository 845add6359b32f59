/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * Sample:
 * @version: the words of the header …
 * @data_length: …
 * @running: …
 * @encoding: …
 * @cookie_offset: …
 * @magic: the first 16 bytes; %NULL: those of a complete image
 * @data: (nullable): what follows the words; %NULL: a small definition
 * @data_size: how much of it is there
 *
 * A saved image, put together by hand.
 */
typedef struct {
  guint32 version;
  guint32 data_length;
  guint32 running;
  guint32 encoding;
  guint32 cookie_offset;
  const char *magic;
  const void *data;
  gsize data_size;
} Sample;

GByteArray *sample_make (const Sample *sample);
GByteArray *sample_libvirt (void);
int sample_to_fd (const GByteArray *bytes);
GByteArray *sample_from_fd (int fd);

G_END_DECLS
