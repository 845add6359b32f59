/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* Threads of runs */
gboolean vs_redefine_look (VsRun *run,
                           VsSnapshotDef *def,
                           GError **error);
gboolean vs_redefine_look_current (VsRun *run,
                                   VsSnapshotDef *def,
                                   GError **error);

G_END_DECLS
