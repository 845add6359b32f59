/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-call.h"
#include "bus-service.h"
#include "vmsnap-dbus.h"

G_BEGIN_DECLS

#define BUS_TYPE_MANAGER (bus_manager_get_type ())
G_DECLARE_FINAL_TYPE (BusManager, bus_manager, BUS, MANAGER, VmSnapDBusManagerSkeleton)

extern const BusMethod bus_manager_methods[];

BusManager *bus_manager_new (BusService *service);

G_END_DECLS
