/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <json-glib/json-glib.h>

#include "qmp-client.h"
#include "vs-domain.h"

G_BEGIN_DECLS

typedef struct _VsEngine VsEngine;

/**
 * VsRun:
 *
 * One run of a workflow, as its steps see it. All it knows beyond the guest and the domain are its facts, one JSON
 * object that goes into the journal before each step: so whatever a step or an undo needs, a next life of the service
 * has it, too. Steps run on a thread of their own and may block; model objects are touched inside vs_run_on_main()
 * only.
 */
typedef struct _VsRun VsRun;

typedef gboolean (*VsStepFunc) (VsRun *run,
                                GError **error);
typedef gboolean (*VsMainFunc) (VsRun *run,
                                gpointer data,
                                GError **error);

/**
 * VsCommit:
 * @VS_COMMIT_NOT: failing here, or later, undoes the step
 * @VS_COMMIT_WHEN_DONE: once the step is done, the operation is only ever rolled forward
 * @VS_COMMIT_WHEN_BEGUN: as soon as the step begins
 *
 * Whether a step is the point of no return.
 */
typedef enum {
  VS_COMMIT_NOT,
  VS_COMMIT_WHEN_DONE,
  VS_COMMIT_WHEN_BEGUN,
} VsCommit;

/**
 * VsStep:
 * @phase: what people read while it runs
 * @weight: its share of the time, relative to the others
 * @run: does it; idempotent, for recovery rolls forward by running it again
 * @undo: (nullable): takes it back, also when it was done in part or not at all; idempotent
 * @happened: (nullable): asked by recovery of the step that was under way: %TRUE when what the step does turns out to
 *   be done already
 * @commit: whether this is the point of no return
 * @applies: (nullable): whether this run has the step at all, by its facts
 * @joined: the journal isn't written before it: for a step that begins while the guest stands still, or is over in
 *   no time. To recovery it is under way as soon as the step before it is, so its @undo and @happened find out by
 *   themselves whether it has begun
 *
 * One step of a workflow.
 */
typedef struct {
  const char *phase;
  double weight;
  VsStepFunc run;
  VsStepFunc undo;
  gboolean (*happened) (VsRun *run);
  VsCommit commit;
  gboolean (*applies) (VsRun *run);
  gboolean joined;
} VsStep;

/**
 * VsWorkflow:
 * @operation: what it does, as the bus names it
 * @name: its own name, as the journal has it
 * @check: (nullable): on the main thread, when it is asked for and again when its turn has come: whether the domain's
 *   state allows it. May add facts
 * @steps: what is done
 * @n_steps: how many
 * @choose: (nullable): instead of steps: on the main thread, when its turn has come and @check was content: which
 *   workflow does it, as the domain is now
 *
 * One operation: a table of steps, each with its undo.
 */
typedef struct _VsWorkflow VsWorkflow;
struct _VsWorkflow
{
  const char *operation;
  const char *name;
  gboolean (*check) (VsEngine *engine,
                     VsDomain *domain,
                     JsonObject *facts,
                     GError **error);
  const VsStep *steps;
  guint n_steps;
  const VsWorkflow *(*choose) (VsDomain *domain,
                               JsonObject *facts);
};

/**
 * VS_FACT_SNAPSHOT:
 *
 * The fact that names the snapshot an operation is about; its job shows it.
 */
#define VS_FACT_SNAPSHOT "snapshot"

/* Any thread */
VsStore *vs_run_get_store (VsRun *self);
const char *vs_run_get_uuid (VsRun *self);
guint vs_run_get_number (VsRun *self);
int vs_run_get_fd (VsRun *self);
GCancellable *vs_run_get_cancellable (VsRun *self);
gboolean vs_run_is_recovery (VsRun *self);
gboolean vs_run_is_late (VsRun *self);

/* The step's thread */
VsGuest *vs_run_get_guest (VsRun *self);
void vs_run_set_guest (VsRun *self,
                       VsGuest *guest);
QmpClient *vs_run_get_monitor (VsRun *self,
                               GError **error);
VsDomainDef *vs_run_get_def (VsRun *self);
void vs_run_set_def (VsRun *self,
                     VsDomainDef *def);
gpointer vs_run_get_tool (VsRun *self);
void vs_run_set_tool (VsRun *self,
                      gpointer tool,
                      GDestroyNotify destroy);
gboolean vs_run_on_main (VsRun *self,
                         VsMainFunc func,
                         gpointer data,
                         GError **error);
gboolean vs_run_write_journal (VsRun *self,
                               GError **error);
void vs_run_turn_to (VsRun *self,
                     const VsWorkflow *workflow);
void vs_run_withdraw_commit (VsRun *self);
void vs_run_report_progress (VsRun *self,
                             double fraction);
void vs_run_report_bytes (VsRun *self,
                          guint64 done,
                          guint64 total);

/* The facts */
JsonObject *vs_run_get_facts (VsRun *self);
const char *vs_run_get_string (VsRun *self,
                               const char *key);
gboolean vs_run_get_flag (VsRun *self,
                          const char *key);
gint64 vs_run_get_int (VsRun *self,
                       const char *key);
void vs_run_set_string (VsRun *self,
                        const char *key,
                        const char *value);
void vs_run_set_flag (VsRun *self,
                      const char *key,
                      gboolean value);
void vs_run_set_int (VsRun *self,
                     const char *key,
                     gint64 value);

/* The main thread: inside vs_run_on_main() */
VsEngine *vs_run_get_engine (VsRun *self);
VsDomain *vs_run_get_domain (VsRun *self);
VsJob *vs_run_get_job (VsRun *self);

G_END_DECLS
