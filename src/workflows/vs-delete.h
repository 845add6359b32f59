/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* What the parts of a deletion share: see vs-snapshot-delete.c. Threads of runs. */

/* An array, children before parents, see vs_delete_describe_victim() */
#define FACT_VICTIMS "victims"
/* What vs_delete_plan_make() made. Its merges get VS_DELETE_FINISHED */
#define FACT_PLAN "plan"
/* In a merge: it is done, and all that follows from it is on record */
#define VS_DELETE_FINISHED "finished"

gboolean vs_delete_look (VsRun *run,
                         GError **error);

gboolean vs_delete_has_streams (VsRun *run);
gboolean vs_delete_stream (VsRun *run,
                           GError **error);
gboolean vs_delete_unstream (VsRun *run,
                             GError **error);
gboolean vs_delete_has_commits (VsRun *run);
gboolean vs_delete_commit (VsRun *run,
                           GError **error);

JsonArray *vs_delete_list (VsRun *run,
                           const char *list);
gboolean vs_delete_mark (VsRun *run,
                         GError **error);
gboolean vs_delete_unmark (VsRun *run,
                           const char *path,
                           gboolean is_ours,
                           GError **error);
gboolean vs_delete_remove_file (VsRun *run,
                                const char *path,
                                GError **error);
gboolean vs_delete_remove_leaves (VsRun *run,
                                  GError **error);
void vs_delete_remove_memory (VsRun *run,
                              JsonObject *victim);
gboolean vs_delete_forget (VsRun *run,
                           JsonObject *victim,
                           GError **error);

G_END_DECLS
