/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-image-file.h"

G_BEGIN_DECLS

/**
 * VsImageFlush:
 *
 * A thread that sends to the disk what others write into a file through the page cache.
 */
typedef struct _VsImageFlush VsImageFlush;

VsImageFlush *vs_image_flush_start (VsImageFile *file,
                                    guint64 offset);
void vs_image_flush_stop (VsImageFlush *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageFlush, vs_image_flush_stop)

G_END_DECLS
