/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/*
 * A guest that is started and loaded while the domain's present one runs on, and then takes its place; also of a domain
 * that is off. FACT_DEFINITION (vs-snapshot-revert.h) says what it is. Threads of runs.
 */

/* Facts */
#define FACT_APART "apart"     /* the present guest runs on: what two can't hold at once is moved at the hand-over */
#define FACT_NEXT_PID "next-pid" /* the new guest's process */

char *vs_beside_explain_memory (guint64 available,
                                guint64 needed);
char *vs_beside_explain_alone (VsRun *run,
                               VsDomainDef *next,
                               guint64 memory,
                               GError **error);

gboolean vs_beside_spawn (VsRun *run,
                          GError **error);
gboolean vs_beside_kill (VsRun *run,
                         GError **error);

gboolean vs_beside_take_over (VsRun *run,
                              GError **error);
gboolean vs_beside_end_old (VsRun *run,
                            GError **error);

G_END_DECLS
