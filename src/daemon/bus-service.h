/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "bus-auth.h"
#include "vs-engine.h"

G_BEGIN_DECLS


#define BUS_TYPE_SERVICE (bus_service_get_type ())
G_DECLARE_FINAL_TYPE (BusService, bus_service, BUS, SERVICE, GObject)

BusService *bus_service_new (VsEngine *engine,
                             gboolean is_session);
void bus_service_export (BusService *self,
                         GDBusConnection *connection);

VsEngine *bus_service_get_engine (BusService *self);
BusAuth *bus_service_get_auth (BusService *self);
void bus_service_note_snapshot (BusService *self,
                                VsSnapshot *snapshot);
void bus_service_flush (BusService *self,
                        const char *domain_uuid);

G_END_DECLS
