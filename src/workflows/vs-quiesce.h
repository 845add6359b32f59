/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* A guest's file systems, frozen by its agent for as long as its disks are switched. For a step table:
 * vs_quiesce_ping() before anything is changed, vs_quiesce_freeze() with vs_quiesce_undo() right before the switch,
 * vs_quiesce_thaw() right after it; each applies by vs_quiesce_applies(). Only for runs without another tool
 * (vs_run_set_tool()). */

/* Fact: the caller wants it */
#define FACT_QUIESCE "quiesce"

gboolean vs_quiesce_check (VsDomain *domain,
                           GError **error);
gboolean vs_quiesce_applies (VsRun *run);
gboolean vs_quiesce_ping (VsRun *run,
                          GError **error);
gboolean vs_quiesce_freeze (VsRun *run,
                            GError **error);
gboolean vs_quiesce_thaw (VsRun *run,
                          GError **error);
gboolean vs_quiesce_undo (VsRun *run,
                          GError **error);

G_END_DECLS
