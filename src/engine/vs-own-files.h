/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-store.h"

G_BEGIN_DECLS

/**
 * VsOwnFile:
 * @path: absolute path
 * @id: what vs_disk_file_id() said of it when it was noted; see vs_disk_file_id_is_akin()
 * @left: whether no snapshot names it any more, and it stays only for the files above it
 * @is_original: whether the service didn't make it: a domain's own image that is left, and noted to be found again
 *
 * A file of a disk that the service made itself: an overlay, or a copy. Only such files are ever removed.
 */
typedef struct
{
  char *path;
  char *id;
  gboolean left;
  gboolean is_original;
} VsOwnFile;

gboolean vs_own_files_add (VsStore *store, const char *uuid, const char *path, GError **error);
gboolean vs_own_files_note_original (VsStore *store, const char *uuid, const char *path, GError **error);
gboolean vs_own_files_set_left (VsStore *store, const char *uuid, const char *path, gboolean left, GError **error);
gboolean vs_own_files_remove (VsStore *store, const char *uuid, const char *path, GError **error);
GPtrArray *vs_own_files_list (VsStore *store, const char *uuid);

G_END_DECLS
