/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-call.h"

G_BEGIN_DECLS

extern const BusOptionTable bus_image_restore_table;
extern const BusOptionTable bus_image_rewrite_table;

gboolean bus_image_parse_restore (BusCall *call,
                                  GError **error);
gboolean bus_image_parse_inspect (BusCall *call,
                                  GError **error);
gboolean bus_image_parse_rewrite (BusCall *call,
                                  GError **error);
gboolean bus_image_prepare (BusCall *call,
                            GError **error);
gboolean bus_image_prepare_restore (BusCall *call,
                                    GError **error);
void bus_image_run_restore (BusCall *call);
void bus_image_run_inspect (BusCall *call);
void bus_image_run_rewrite (BusCall *call);

G_END_DECLS
