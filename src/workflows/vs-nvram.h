/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

gboolean vs_nvram_is_kept (VsDomainDef *def);
char *vs_nvram_file_name (const char *snapshot);
const char *vs_nvram_get_source (VsDomainDef *def);
GBytes *vs_nvram_read (const char *path,
                       GError **error);
gboolean vs_nvram_keep (VsRun *run,
                        GBytes *bytes,
                        const char *file,
                        GError **error);
gboolean vs_nvram_check (VsRun *run,
                         const char *file,
                         GError **error);
gboolean vs_nvram_forget (VsRun *run,
                          const char *file,
                          GError **error);
gboolean vs_nvram_put_back (VsRun *run,
                            const char *file,
                            const char *path,
                            GError **error);

G_END_DECLS
