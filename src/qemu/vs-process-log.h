/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* For vs-process.c: the file that a process writes to. */

int vs_process_log_open (const char *path,
                         const char *const *argv,
                         gint64 *offset,
                         GError **error);
char *vs_process_log_read_tail (const char *path,
                                gint64 from);

G_END_DECLS
