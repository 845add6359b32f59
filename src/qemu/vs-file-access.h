/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "vs-domain-def.h"

G_BEGIN_DECLS

gboolean vs_file_access_check (const char *path,
                               gboolean writable,
                               const char *of_whom,
                               struct stat *st,
                               GError **error);
gboolean vs_file_access_check_boot (const VsDomainDef *def,
                                    GError **error);
void vs_file_access_set_error (GError **error,
                               const char *path,
                               gboolean writable,
                               int errsv);

G_END_DECLS
