/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-call.h"

G_BEGIN_DECLS

extern const BusOptionTable bus_snapshot_create_table;
extern const BusOptionTable bus_snapshot_create_from_xml_table;

gboolean bus_snapshot_prepare_create (BusCall *call,
                                      GError **error);
void bus_snapshot_run_create (BusCall *call);
gboolean bus_snapshot_parse_create_from_xml (BusCall *call,
                                             GError **error);
gboolean bus_snapshot_prepare_create_from_xml (BusCall *call,
                                               GError **error);
void bus_snapshot_run_create_from_xml (BusCall *call);

G_END_DECLS
