/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-image-file.h"

G_BEGIN_DECLS

/**
 * VsImageFollowKind:
 * @VS_IMAGE_FOLLOW_WRITING: what is written is sent to the disk
 * @VS_IMAGE_FOLLOW_READING: what will be read next is fetched from the disk
 * @VS_IMAGE_FOLLOW_READING_ONCE: and what was read is dropped from the page cache
 */
typedef enum {
  VS_IMAGE_FOLLOW_WRITING,
  VS_IMAGE_FOLLOW_READING,
  VS_IMAGE_FOLLOW_READING_ONCE,
} VsImageFollowKind;

/**
 * VsImageFollow:
 *
 * A thread that keeps the disk busy while others write or read a file through the page cache.
 */
typedef struct _VsImageFollow VsImageFollow;

VsImageFollow *vs_image_follow_start (VsImageFile *file,
                                      guint64 offset,
                                      VsImageFollowKind kind);
void vs_image_follow_stop (VsImageFollow *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageFollow, vs_image_follow_stop)

G_END_DECLS
