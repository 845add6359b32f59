/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus-options.h"
#include "vs-operations.h"

G_BEGIN_DECLS

/**
 * BusCreateOptions:
 *
 * The options of Domain.CreateSnapshot and CreateSnapshotFromXml, by their keys. @redefine and @current are the latter's
 * alone.
 */
typedef struct {
  char *description;
  char *location;
  gboolean disk_only;
  gboolean live;
  gboolean pause;
  gboolean halt;
  gboolean quiesce;
  gboolean atomic;
  gboolean reuse_external;
  gboolean no_metadata;
  GVariant *disks;
  char *memory_path;
  char *encoding;
  gboolean no_queue;
  gboolean redefine;
  gboolean current;
} BusCreateOptions;

VsSnapshotDef *bus_snapshot_wish (const BusCreateOptions *options,
                                  VsSnapshotDef *text,
                                  VsDomainDef *domain,
                                  VsSnapshotCreateOptions *create,
                                  GError **error);

G_END_DECLS
