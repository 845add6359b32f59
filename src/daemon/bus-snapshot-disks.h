/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-snapshot-def.h"

G_BEGIN_DECLS

gboolean bus_snapshot_add_option_disks (VsSnapshotDef *wish,
                                        VsDomainDef *domain,
                                        GVariant *disks,
                                        GError **error);
gboolean bus_snapshot_add_text_disks (VsSnapshotDef *wish,
                                      VsDomainDef *domain,
                                      VsSnapshotDef *text,
                                      GError **error);
gboolean bus_snapshot_check_files (VsSnapshotDef *wish,
                                   VsDomainDef *domain,
                                   GError **error);
gboolean bus_snapshot_covers_disks (VsSnapshotDef *wish,
                                    VsDomainDef *domain);

G_END_DECLS
