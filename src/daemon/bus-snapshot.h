/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-call.h"
#include "bus-service.h"
#include "vmsnap-dbus.h"

G_BEGIN_DECLS

#define BUS_TYPE_SNAPSHOT (bus_snapshot_get_type ())
G_DECLARE_FINAL_TYPE (BusSnapshot, bus_snapshot, BUS, SNAPSHOT, VmSnapDBusSnapshotSkeleton)

extern const BusMethod bus_snapshot_methods[];

BusSnapshot *bus_snapshot_new (BusService *service,
                               VsSnapshot *snapshot);

G_END_DECLS
