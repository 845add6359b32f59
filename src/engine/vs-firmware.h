/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-domain-def.h"
#include "vs-store.h"

G_BEGIN_DECLS

VsDomainDef *vs_firmware_complete (VsDomainDef *def,
                                   VsStore *store,
                                   GError **error);
gboolean vs_firmware_prepare_nvram (VsDomainDef *def,
                                    gboolean *created,
                                    GError **error);

G_END_DECLS
