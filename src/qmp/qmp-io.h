/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

GMainContext *qmp_io_get_context (void);
gboolean qmp_io_is_this_thread (void);
void qmp_io_invoke (GSourceFunc func,
                    gpointer data,
                    GDestroyNotify destroy);

G_END_DECLS
