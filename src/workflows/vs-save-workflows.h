/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

#define FACT_BYPASS_CACHE "bypass-cache" /* of the image */

extern const VsWorkflow vs_workflow_save;
extern const VsWorkflow vs_workflow_managed_save;
extern const VsWorkflow vs_workflow_restore;
extern const VsWorkflow vs_workflow_start_restore;

VsDomainDef *vs_save_check_same_guest (VsDomainDef *saved,
                                       VsDomainDef *wanted,
                                       GError **error);
gboolean vs_save_refuse_managed (VsDomain *domain,
                                 const char *what,
                                 GError **error);

G_END_DECLS
