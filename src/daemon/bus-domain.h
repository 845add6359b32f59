/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-call.h"
#include "bus-service.h"
#include "vmsnap-dbus.h"

G_BEGIN_DECLS

#define BUS_TYPE_DOMAIN (bus_domain_get_type ())
G_DECLARE_FINAL_TYPE (BusDomain, bus_domain, BUS, DOMAIN, VmSnapDBusDomainSkeleton)

extern const BusMethod bus_domain_methods[];

BusDomain *bus_domain_new (BusService *service,
                           VsDomain *domain);

G_END_DECLS
