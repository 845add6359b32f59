/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsFileCopyProgress:
 * @done: bytes of the source that are dealt with
 * @total: its length
 * @user_data: as given
 *
 * Told now and then, in the thread that copies.
 */
typedef void (*VsFileCopyProgress) (guint64 done,
                                    guint64 total,
                                    gpointer user_data);

gboolean vs_file_copy (const char *path,
                       const char *target,
                       VsFileCopyProgress progress,
                       gpointer user_data,
                       GCancellable *cancellable,
                       GError **error);

G_END_DECLS
