/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-domain-def.h"
#include "vs-hypervisor.h"

G_BEGIN_DECLS

int vs_bridge_open_tap (VsHypervisor *hypervisor,
                        const VsInterfaceDef *interface,
                        GCancellable *cancellable,
                        GError **error);

G_END_DECLS
