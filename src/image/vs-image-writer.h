/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-save-image.h"

G_BEGIN_DECLS

/**
 * VsImageWriter:
 *
 * One image under way: new, then QEMU writes into its stream, then finish, then seal. Until it is sealed the file says
 * that it is only a part. When something fails, or QEMU does, or somebody cancels: abort, which also makes QEMU's write
 * end when it hangs on a full pipe, and which may know better than QEMU why the stream broke. All calls wait, so they
 * belong into a workflow's thread, and into one thread at a time.
 */
typedef struct _VsImageWriter VsImageWriter;

VsImageWriter *vs_image_writer_new (int fd,
                                    const VsImageHeader *header,
                                    VsImageFlags flags,
                                    GError **error);
void vs_image_writer_free (VsImageWriter *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageWriter, vs_image_writer_free)

guint64 vs_image_writer_get_stream_offset (VsImageWriter *self);
int vs_image_writer_get_stream_fd (VsImageWriter *self);
gboolean vs_image_writer_get_sparse_fds (VsImageWriter *self,
                                         int *fd,
                                         int *direct_fd,
                                         GError **error);
gboolean vs_image_writer_reserve (VsImageWriter *self,
                                  guint64 length,
                                  GError **error);
guint64 vs_image_writer_measure (VsImageWriter *self,
                                 GError **error);
guint64 vs_image_writer_get_stream_length (VsImageWriter *self);
gboolean vs_image_writer_finish (VsImageWriter *self,
                                 GCancellable *cancellable,
                                 GError **error);
gboolean vs_image_writer_seal (VsImageWriter *self,
                               GError **error);
gboolean vs_image_writer_probe (VsImageWriter *self,
                                GError **error);
GError *vs_image_writer_abort (VsImageWriter *self);
void vs_image_writer_leave (VsImageWriter *self);

G_END_DECLS
