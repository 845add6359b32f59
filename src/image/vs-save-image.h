/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsImageEncoding:
 * @VS_IMAGE_ENCODING_RAW: the migration stream as QEMU writes it
 * @VS_IMAGE_ENCODING_GZIP: through gzip
 * @VS_IMAGE_ENCODING_BZIP2: through bzip2
 * @VS_IMAGE_ENCODING_XZ: through xz
 * @VS_IMAGE_ENCODING_LZOP: through lzop
 * @VS_IMAGE_ENCODING_ZSTD: through zstd
 * @VS_IMAGE_ENCODING_SPARSE: QEMU's mapped-ram, a place in the file for each page
 *
 * How the guest's state is written; the numbers are those in the file.
 */
typedef enum {
  VS_IMAGE_ENCODING_RAW = 0,
  VS_IMAGE_ENCODING_GZIP = 1,
  VS_IMAGE_ENCODING_BZIP2 = 2,
  VS_IMAGE_ENCODING_XZ = 3,
  VS_IMAGE_ENCODING_LZOP = 4,
  VS_IMAGE_ENCODING_ZSTD = 5,
  VS_IMAGE_ENCODING_SPARSE = 6,
} VsImageEncoding;

/**
 * VsImageFlags:
 * @VS_IMAGE_FLAGS_NONE: nothing of these
 * @VS_IMAGE_FLAGS_BYPASS_CACHE: don't fill the page cache with the image
 *
 * How an image is written or read.
 */
typedef enum {
  VS_IMAGE_FLAGS_NONE = 0,
  VS_IMAGE_FLAGS_BYPASS_CACHE = 1 << 0,
} VsImageFlags;

/**
 * VS_IMAGE_XMLNS:
 *
 * The namespace of what is ours in an image's `<cookie>`.
 */
#define VS_IMAGE_XMLNS "https://vmsnap.org/xmlns/image/1"

/* What follows the magic and the words: definition, cookie and padding; far above what any real image has. */
#define VS_IMAGE_MAX_DATA (64 * 1024 * 1024)
/* A definition, and a cookie, without the NUL. */
#define VS_IMAGE_MAX_TEXT (1024 * 1024)
/* The only one there is. */
#define VS_IMAGE_FORMAT_VERSION 2
/* Magic and words. */
#define VS_IMAGE_HEADER_SIZE 92

/**
 * VsImageHeader:
 * @complete: whether the image is whole: sealed, and no shorter than it says
 * @sealed: whether the magic says that all of it was written
 * @running: whether the guest shall run when it is restored
 * @encoding: how the state is written
 * @xml: the domain's definition
 * @cookie: (nullable): the element `<cookie>` with whatever the writer wanted to be told; our record of the stream's
 *   length is taken out of it when an image is read, and put into it when one is written
 * @stream_offset: where the state begins, in bytes from the start of the file; 0 in what shall be written: chosen, with
 *   room behind the texts for a longer definition
 * @stream_length: bytes of the file that the state takes; 0: the image doesn't tell
 *
 * What stands before the guest's state in a saved image. An image starts at the first byte of its file, wherever the
 * descriptor's offset is.
 */
typedef struct {
  gboolean complete;
  gboolean sealed;
  gboolean running;
  VsImageEncoding encoding;
  char *xml;
  char *cookie;
  guint64 stream_offset;
  guint64 stream_length;
} VsImageHeader;

VsImageHeader *vs_image_header_new (const char *xml,
                                    const char *cookie,
                                    VsImageEncoding encoding,
                                    gboolean running);
VsImageHeader *vs_image_header_copy (const VsImageHeader *header);
void vs_image_header_free (VsImageHeader *header);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageHeader, vs_image_header_free)

VsImageHeader *vs_image_header_parse (const guint8 *data,
                                      gsize length,
                                      guint64 file_size,
                                      GError **error);
VsImageHeader *vs_image_header_read (int fd,
                                     GError **error);
char *vs_image_header_digest (const VsImageHeader *header);
gboolean vs_image_header_check_complete (const VsImageHeader *header,
                                         GError **error);
GBytes *vs_image_header_format (const VsImageHeader *header,
                                GError **error);

gboolean vs_image_mark_partial (int fd,
                                GError **error);
gboolean vs_image_rewrite (int fd,
                           const VsImageHeader *header,
                           GError **error);

G_END_DECLS
