/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-engine.h"
#include "vs-run.h"

G_BEGIN_DECLS

struct _VsRun
{
  /* Main thread only */
  VsEngine *engine;
  VsDomain *domain;
  VsRunDone done;
  gpointer done_data;

  /* The run's thread; set before it begins */
  const VsWorkflow *workflow;
  const VsWorkflow *turn_to; /* NULL: none */
  VsJob *job;
  VsJournal *journal;
  VsStore *store;
  VsGuest *guest;
  VsDomainDef *def;
  GUnixFDList *files; /* NULL: none, or they were an earlier life's */
  gpointer tool;
  GDestroyNotify destroy_tool;
  gboolean recovery;
  gboolean late;
  gboolean undoing;
  gboolean written; /* the journal */
  guint step;       /* the one that runs */
  double weight_done;
  double weight_total;
  GError *error;
};

void vs_run_free (VsRun *self);
void vs_run_invoke_on_main (GSourceFunc func,
                            gpointer data);

G_END_DECLS
