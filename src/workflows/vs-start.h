/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* The way to a guest that is there and stands still, for every workflow that needs one. The definition is the run's. */
gboolean vs_start_prepare (VsRun *run,
                           GError **error);
gboolean vs_start_unprepare (VsRun *run,
                             GError **error);
gboolean vs_start_unprepare_fresh (VsRun *run,
                                   GError **error);
gboolean vs_start_check_files (VsRun *run,
                               GPtrArray *chains,
                               GError **error);
GPtrArray *vs_start_probe_disks (VsRun *run,
                                 GError **error);
gboolean vs_start_spawn (VsRun *run,
                         GError **error);
gboolean vs_start_spawn_in (VsRun *run,
                            VsDomainDef *def,
                            const char *runtime_dir,
                            GError **error);
gboolean vs_start_end (VsRun *run,
                       GError **error);
gboolean vs_start_kill (VsRun *run,
                        GError **error);
gboolean vs_start_announce (VsRun *run,
                            GError **error);

gboolean vs_start_remove_managed_save (VsRun *run,
                                       GError **error);

extern const VsWorkflow vs_workflow_start_boot;

G_END_DECLS
