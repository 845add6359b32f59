/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-image-file.h"

G_BEGIN_DECLS

gboolean vs_image_file_reserve (VsImageFile *self,
                                guint64 end,
                                GError **error);
void vs_image_file_release (VsImageFile *self,
                            guint64 end);
guint64 vs_image_file_measure (VsImageFile *self,
                               guint64 offset,
                               GError **error);

G_END_DECLS
