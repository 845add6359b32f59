/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean bus_snapshot_refuse (GError **error,
                              const char *format,
                              ...) G_GNUC_PRINTF (2, 3);
char *bus_snapshot_shorten (const char *text);
gboolean bus_snapshot_check_word (const char *what,
                                  const char *word,
                                  const char *const *words,
                                  GError **error);
gboolean bus_snapshot_check_path (const char *what,
                                  const char *path,
                                  GError **error);
gboolean bus_snapshot_check_name (const char *name,
                                  GError **error);
gboolean bus_snapshot_check_encoding (const char *encoding,
                                      GError **error);

G_END_DECLS
