/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-snapshot-def.h"

G_BEGIN_DECLS

/* What a snapshot's description must say to become its record, whatever the disks hold. Pure; any thread. */

VsSnapshotDef *vs_redefine_complete (VsSnapshotDef *given,
                                     const char *uuid,
                                     VsSnapshotDef *known,
                                     GError **error);
gboolean vs_redefine_check_parent (const char *name,
                                   const char *parent,
                                   GPtrArray *others,
                                   GError **error);
gboolean vs_redefine_check_apart (VsSnapshotDef *def,
                                  GPtrArray *others,
                                  GError **error);
gboolean vs_redefine_check_same (VsSnapshotDef *known,
                                 VsSnapshotDef *def,
                                 GError **error);

G_END_DECLS
