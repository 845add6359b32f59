/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "vmsnap-enums.h"
#include "vs-snapshot-def.h"

G_BEGIN_DECLS

#define VS_TYPE_SNAPSHOT (vs_snapshot_get_type ())
G_DECLARE_FINAL_TYPE (VsSnapshot, vs_snapshot, VS, SNAPSHOT, GObject)

/**
 * VsSnapshot:
 *
 * One snapshot of one domain. Main thread only. What it is stands in its definition, which never changes in place: a
 * new one replaces it. Notified properties: `def` (anything of the definition), `is-current` and `problems` (of the files
 * that it is kept in).
 */
VsSnapshot *vs_snapshot_new (const char *domain_uuid,
                             VsSnapshotDef *def);

const char *vs_snapshot_get_name (VsSnapshot *self);
const char *vs_snapshot_get_domain_uuid (VsSnapshot *self);
const char *vs_snapshot_get_parent_name (VsSnapshot *self);
VsSnapshotDef *vs_snapshot_get_def (VsSnapshot *self);
void vs_snapshot_set_def (VsSnapshot *self,
                          VsSnapshotDef *def);
VmSnapLocation vs_snapshot_get_location (VsSnapshot *self);
gboolean vs_snapshot_get_is_current (VsSnapshot *self);
void vs_snapshot_set_is_current (VsSnapshot *self,
                                 gboolean is_current);
const char *vs_snapshot_get_problem (VsSnapshot *self,
                                     const char *target);
void vs_snapshot_set_problem (VsSnapshot *self,
                              const char *target,
                              const char *problem);

G_END_DECLS
