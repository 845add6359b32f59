/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-domain-def.h"

G_BEGIN_DECLS

/* The namespace of what is ours in a saved image's cookie. */
#define VS_SAVE_XMLNS "https://vmsnap.org/xmlns/save/1"

VsDomainDef *vs_save_definition_parse (const char *text,
                                       VsDomainDefFlags flags,
                                       GError **error);
gboolean vs_save_definition_read_names (const char *text,
                                        char **name,
                                        char **uuid);
char *vs_save_cookie_format (gboolean persistent,
                             VsDomainDef *inactive_def,
                             const char *mark);
gboolean vs_save_cookie_is_ours (const char *text);
gboolean vs_save_cookie_parse (const char *text,
                               gboolean *persistent,
                               VsDomainDef **inactive_def,
                               GError **error);

G_END_DECLS
