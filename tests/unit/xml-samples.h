/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-domain-def.h"

G_BEGIN_DECLS

char *xml_sample_load (const char *name);
char *xml_sample_replace (const char *text,
                          const char *search,
                          const char *replacement,
                          guint *line);
VsDomainDef *xml_sample_parse (const char *name);

G_END_DECLS
