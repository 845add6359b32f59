/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/*
 * A disk's file that a run makes: known by device and inode before it has a name, so that nothing is ever written over,
 * a next life knows what is ours, and only that is removed. Each is an object in the run's facts, with these members.
 * Threads of runs.
 */
#define VS_NEW_FILE_TARGET "target"
#define VS_NEW_FILE_PATH "path"
#define VS_NEW_FILE_BASE_PATH "base-path" /* what it records as its backing file; may be absent */
#define VS_NEW_FILE_MADE "made"           /* vs_disk_file_id() of the file that we made */

int vs_new_file_begin (JsonObject *file,
                       const char *like,
                       GError **error);
gboolean vs_new_file_name (JsonObject *file,
                           int fd,
                           GError **error);
gboolean vs_new_file_sync (const char *path,
                           GError **error);
gboolean vs_new_file_is_ours (JsonObject *file);
gboolean vs_new_file_remove (JsonObject *file,
                             GError **error);
void vs_new_file_set_error (GError **error,
                            const char *path,
                            int errsv);

G_END_DECLS
