/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-image-file.h"
#include "vs-save-image.h"

G_BEGIN_DECLS

/* Where the magic stands, and what it says. */
#define VS_IMAGE_MAGIC_SIZE 16
#define VS_IMAGE_MAGIC_DONE "LibvirtQemudSave"
#define VS_IMAGE_MAGIC_PART "LibvirtQemudPart"

/* Our record of a rewrite stands at the end of the padding, its foot right before the state. */
#define VS_IMAGE_RECORD_FOOT 64

VsImageHeader *vs_image_header_load (VsImageFile *file,
                                     GError **error);
GByteArray *vs_image_header_format_texts (const VsImageHeader *header,
                                          gboolean tell_length,
                                          GError **error);

const guint8 *vs_image_record_find (const guint8 *data,
                                    gsize stream_offset,
                                    gsize *length);
GBytes *vs_image_record_make (const guint8 *texts,
                              gsize length);

G_END_DECLS
