/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-call.h"
#include "bus-service.h"
#include "vmsnap-dbus.h"

G_BEGIN_DECLS

#define BUS_TYPE_JOB (bus_job_get_type ())
G_DECLARE_FINAL_TYPE (BusJob, bus_job, BUS, JOB, VmSnapDBusJobSkeleton)

extern const BusMethod bus_job_methods[];

BusJob *bus_job_new (BusService *service,
                     VsJob *job);

G_END_DECLS
