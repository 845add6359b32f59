/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-save-image.h"

G_BEGIN_DECLS

/**
 * VS_IMAGE_ENCODING_DEFAULT_COMPRESSED:
 *
 * What is taken when somebody wants an image to be small and doesn't care how.
 */
#define VS_IMAGE_ENCODING_DEFAULT_COMPRESSED VS_IMAGE_ENCODING_ZSTD

const char *vs_image_encoding_to_nick (VsImageEncoding encoding);
gboolean vs_image_encoding_from_nick (const char *nick,
                                      VsImageEncoding *encoding);
gboolean vs_image_encoding_has_program (VsImageEncoding encoding);
char **vs_image_codec_find (VsImageEncoding encoding,
                            gboolean decode,
                            GError **error);

G_END_DECLS
