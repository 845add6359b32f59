/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-image-file.h"

G_BEGIN_DECLS

/**
 * VsImagePump:
 *
 * A thread that moves bytes between a file and a pipe.
 */
typedef struct _VsImagePump VsImagePump;

gboolean vs_image_pipe_open (int fds[2],
                             GError **error);

VsImagePump *vs_image_pump_start (VsImageFile *file,
                                  guint64 offset,
                                  guint64 length,
                                  int pipe_fd,
                                  gboolean to_file,
                                  gboolean bypass_cache,
                                  GError **error);
void vs_image_pump_free (VsImagePump *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImagePump, vs_image_pump_free)

int vs_image_pump_get_done_fd (VsImagePump *self);
guint64 vs_image_pump_get_position (VsImagePump *self);
gboolean vs_image_pump_join (VsImagePump *self,
                             GError **error);
void vs_image_pump_stop (VsImagePump *self);

G_END_DECLS
