/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-options.h"
#include "vs-domain.h"

G_BEGIN_DECLS

/**
 * BusListOptions:
 *
 * The options of ListSnapshots. Those of one kind add up: `internal` and `external` together hide nothing.
 */
typedef struct {
  gboolean roots;
  gboolean leaves;
  gboolean no_leaves;
  gboolean internal;
  gboolean external;
  gboolean disk_only;
  gboolean active;
  gboolean inactive;
  char *descendants_of;
} BusListOptions;

extern const BusOptionTable bus_list_table;

GPtrArray *bus_snapshot_list (VsDomain *domain,
                              const BusListOptions *options,
                              GError **error);

G_END_DECLS
