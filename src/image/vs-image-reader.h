/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-save-image.h"

G_BEGIN_DECLS

/**
 * VsImageReader:
 *
 * One image being loaded: new, which reads the header and refuses an image that isn't whole; then QEMU reads its
 * stream; then finish if QEMU took it, which reads to the end what QEMU left and tells a stream whose end is broken, or
 * abort if not, which may know better than QEMU why. Programs and threads start with the stream, so a reader that is
 * only looked at costs nothing. All calls wait, so they belong into a workflow's thread, and into one thread at a time.
 */
typedef struct _VsImageReader VsImageReader;

VsImageReader *vs_image_reader_new (int fd,
                                    VsImageFlags flags,
                                    GError **error);
void vs_image_reader_free (VsImageReader *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageReader, vs_image_reader_free)

const VsImageHeader *vs_image_reader_get_header (VsImageReader *self);
int vs_image_reader_get_stream_fd (VsImageReader *self,
                                   GError **error);
gboolean vs_image_reader_wait (VsImageReader *self,
                               GCancellable *cancellable,
                               GError **error);
gboolean vs_image_reader_get_sparse_fds (VsImageReader *self,
                                         int *fd,
                                         int *direct_fd,
                                         GError **error);
void vs_image_reader_get_progress (VsImageReader *self,
                                   guint64 *done,
                                   guint64 *total);
gboolean vs_image_reader_finish (VsImageReader *self,
                                 GCancellable *cancellable,
                                 GError **error);
GError *vs_image_reader_abort (VsImageReader *self);

G_END_DECLS
