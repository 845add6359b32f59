/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define BUS_TYPE_CALLERS (bus_callers_get_type ())
G_DECLARE_FINAL_TYPE (BusCallers, bus_callers, BUS, CALLERS, GObject)

BusCallers *bus_callers_new (void);
gboolean bus_callers_peek_uid (BusCallers *self,
                               const char *sender,
                               guint *uid);
void bus_callers_get_uid_async (BusCallers *self,
                                GDBusConnection *connection,
                                const char *sender,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
gboolean bus_callers_get_uid_finish (BusCallers *self,
                                     GAsyncResult *result,
                                     guint *uid,
                                     GError **error);
void bus_callers_grant (BusCallers *self,
                        const char *sender,
                        const char *grant);
gboolean bus_callers_has_grant (BusCallers *self,
                                const char *sender,
                                const char *grant);
void bus_callers_revoke (BusCallers *self);

G_END_DECLS
