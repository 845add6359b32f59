/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "vs-store.h"

G_BEGIN_DECLS

/**
 * VsJournal:
 * @uuid: the domain
 * @workflow: the workflow's own name
 * @number: the job's number, and the file's name
 * @caller_uid: who asked
 * @step: index of the step that has begun, and may be done in part
 * @committed: whether it is past the point of no return
 * @undoing: whether it is on its way back: @step and what comes before it are still to be undone
 * @facts: what the steps know
 *
 * The record of one operation under way: one small file, written before each step begins and removed when the
 * operation has ended. Used by one thread at a time.
 */
typedef struct {
  char *uuid;
  char *workflow;
  guint number;
  guint caller_uid;
  guint step;
  gboolean committed;
  gboolean undoing;
  JsonObject *facts;
} VsJournal;

/**
 * VS_JOURNAL_TRANSIENT_DEFINITION:
 *
 * The fact that tells what a transient domain is, which has no definition in the store.
 */
#define VS_JOURNAL_TRANSIENT_DEFINITION "transient-definition"

VsJournal *vs_journal_new (const char *uuid,
                           const char *workflow,
                           guint number,
                           guint caller_uid,
                           JsonObject *facts);
void vs_journal_free (VsJournal *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsJournal, vs_journal_free)

void vs_journal_set_workflow (VsJournal *self,
                              const char *workflow);
gboolean vs_journal_write (VsJournal *self,
                           VsStore *store,
                           GError **error);
gboolean vs_journal_commit (VsJournal *self,
                            VsStore *store,
                            GError **error);
gboolean vs_journal_withdraw (VsJournal *self,
                              VsStore *store);
gboolean vs_journal_remove (VsJournal *self,
                            VsStore *store,
                            GError **error);
gboolean vs_journal_exists (VsJournal *self,
                            VsStore *store);
GPtrArray *vs_journal_load (VsStore *store,
                            const char *uuid);
VsJournal *vs_journal_parse (const char *uuid,
                             const char *text,
                             GError **error);

G_END_DECLS
