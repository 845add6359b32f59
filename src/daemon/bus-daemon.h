/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-settings.h"

G_BEGIN_DECLS

int bus_daemon_run (const BusSettings *settings);

G_END_DECLS
