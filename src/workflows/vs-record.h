/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* The store's side of snapshots, and the model's: each function does both, the file first. Threads of runs. */

char *vs_record_file_name (const char *snapshot);
gboolean vs_record_exists (VsRun *run,
                           const char *snapshot);
gboolean vs_record_write (VsRun *run,
                          VsSnapshotDef *def,
                          GError **error);
gboolean vs_record_remove (VsRun *run,
                           const char *snapshot,
                           GError **error);
gboolean vs_record_set_current (VsRun *run,
                                const char *snapshot,
                                GError **error);
gboolean vs_record_set_definition (VsRun *run,
                                   VsDomainDef *def,
                                   GError **error);
gboolean vs_record_write_live_definition (VsRun *run,
                                          VsDomainDef *def,
                                          GError **error);
gboolean vs_record_write_live_definition_in (const char *directory,
                                             VsDomainDef *def,
                                             GError **error);
gboolean vs_record_set_live_definition (VsRun *run,
                                        VsDomainDef *def,
                                        GError **error);

G_END_DECLS
