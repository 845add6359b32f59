/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-journal.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

typedef void (*VsRunDone) (VsRun *run,
                           const GError *error,
                           gpointer user_data);

VsRun *vs_run_new (VsEngine *engine,
                   VsDomain *domain,
                   const VsWorkflow *workflow,
                   VsJob *job,
                   JsonObject *facts,
                   GUnixFDList *files);
VsRun *vs_run_new_for_journal (VsEngine *engine,
                               VsDomain *domain,
                               const VsWorkflow *workflow,
                               VsJob *job,
                               VsJournal *journal,
                               gboolean late);
void vs_run_start (VsRun *self,
                   VsRunDone done,
                   gpointer user_data);

G_END_DECLS
