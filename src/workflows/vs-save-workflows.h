/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-save-image.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

/* Facts of an image */
#define FACT_BYPASS_CACHE "bypass-cache"
#define FACT_ENCODING "encoding"
#define FACT_COOKIE "cookie" /* what it tells besides the definition */
#define FACT_MARK "mark"     /* what it is known by: there may be an older one in the same place */

extern const VsWorkflow vs_workflow_save;
extern const VsWorkflow vs_workflow_managed_save;
extern const VsWorkflow vs_workflow_restore;
extern const VsWorkflow vs_workflow_start_restore;

VsDomainDef *vs_save_check_same_guest (VsDomainDef *saved,
                                       VsDomainDef *wanted,
                                       GError **error);
gboolean vs_save_check_program (VsImageEncoding encoding,
                                GError **error);
void vs_save_note_cookie (VsDomain *domain,
                          JsonObject *facts);
gboolean vs_save_refuse_managed (VsDomain *domain,
                                 const char *what,
                                 GError **error);

G_END_DECLS
