/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

void bus_error_return (GDBusMethodInvocation *invocation,
                       GError *error);
GVariant *bus_error_to_variant (const GError *error);

G_END_DECLS
