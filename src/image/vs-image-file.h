/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsImageAccess:
 * @VS_IMAGE_ACCESS_READ: the descriptor must be readable
 * @VS_IMAGE_ACCESS_WRITE: it must be writable
 *
 * What shall be done with a file; both together, too.
 */
typedef enum {
  VS_IMAGE_ACCESS_READ = 1 << 0,
  VS_IMAGE_ACCESS_WRITE = 1 << 1,
} VsImageAccess;

/**
 * VsImageFile:
 * @fd: a descriptor of ours for the file, of the same open file description
 * @size: bytes, when it was borrowed
 * @is_device: whether it is a block device, which can't be cut
 *
 * Somebody's descriptor while we use it.
 */
typedef struct {
  int fd;
  guint64 size;
  gboolean is_device;
  /*< private >*/
  int old_flags;
  gint64 old_offset;
} VsImageFile;

VsImageFile *vs_image_file_borrow (int fd,
                                   VsImageAccess access,
                                   GError **error);
void vs_image_file_return (VsImageFile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageFile, vs_image_file_return)

gboolean vs_image_file_read (VsImageFile *self,
                             guint64 offset,
                             guint8 *data,
                             gsize length,
                             gsize *got,
                             GError **error);
gboolean vs_image_file_write (VsImageFile *self,
                              guint64 offset,
                              const guint8 *data,
                              gsize length,
                              GError **error);
gboolean vs_image_file_cut (VsImageFile *self,
                            guint64 size,
                            GError **error);
gboolean vs_image_file_sync (VsImageFile *self,
                             GError **error);
guint vs_image_file_get_block_size (VsImageFile *self);
gboolean vs_image_file_set_direct (VsImageFile *self,
                                   gboolean direct);
int vs_image_file_reopen (VsImageFile *self,
                          int flags,
                          GError **error);
void vs_image_error_from_errno (GError **error,
                                int saved_errno,
                                const char *what);

G_END_DECLS
