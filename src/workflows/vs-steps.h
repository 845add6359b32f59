/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-disk-graph.h"
#include "vs-engine.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

/* Words that several workflows say to QEMU, and facts that several of them keep. Threads of runs, but for what takes a
 * VsDomain. */

/* Facts */
#define FACT_ACTIVE "active"           /* the domain had a guest when the operation began */
#define FACT_RUNNING "running"         /* and that guest was running */
#define FACT_WANT_RUNNING "want-running" /* what the caller asked for */
#define FACT_WANT_PAUSED "want-paused"
#define FACT_INCOMING "incoming"       /* the guest to be started will load a saved state */
#define FACT_CONT_SENT "cont-sent"     /* from here on it may have run */

void vs_steps_hold (VsRun *run,
                    gboolean held);

void vs_steps_note_state (VsDomain *domain,
                          JsonObject *facts);

gboolean vs_steps_call (VsRun *run,
                        const char *command,
                        JsonObject *arguments,
                        GError **error);
char *vs_steps_get_status (VsRun *run,
                           GError **error);
gboolean vs_steps_is_running (VsRun *run,
                              gboolean *running,
                              GError **error);
void vs_steps_expect_stop (VsRun *run,
                           VmSnapStateReason reason);
gboolean vs_steps_stop (VsRun *run,
                        VmSnapStateReason reason,
                        GError **error);
gboolean vs_steps_cont (VsRun *run,
                        VmSnapStateReason reason,
                        GError **error);
gboolean vs_steps_check_not_stillborn (VsRun *run,
                                       GError **error);
gboolean vs_steps_settle_running (VsRun *run,
                                  gboolean run_it,
                                  VmSnapStateReason reason,
                                  GError **error);
gboolean vs_steps_take_disks (VsRun *run,
                              GError **error);
gboolean vs_steps_let_run (VsRun *run,
                           GError **error);
gboolean vs_steps_restore_running (VsRun *run,
                                   GError **error);
gboolean vs_steps_end_guest (VsRun *run,
                             VsProcessEnd how,
                             VmSnapStateReason reason,
                             GError **error);

gboolean vs_steps_claim_image (VsRun *run,
                               gboolean writes,
                               GError **error);

char *vs_steps_job_id (VsRun *run,
                       const char *what);
gboolean vs_steps_wait_for_job (VsRun *run,
                                const char *job_id,
                                GError **error);

/* The bytes that the guest's process has written or read: what progress is measured by when QEMU tells none */
guint64 vs_steps_bytes_written (VsRun *run);
guint64 vs_steps_bytes_read (VsRun *run);
guint64 vs_steps_resident_memory (VsRun *run);

const char *vs_steps_emulator (VsRun *run);
char *vs_steps_image_tool (VsRun *run,
                           GError **error);

/* The disk graph: with nothing but its files' names and ids, or looked at whole */
VsDiskGraph *vs_steps_identify_disks (VsRun *run,
                                      GError **error);
VsDiskGraph *vs_steps_look_at_disks (VsRun *run,
                                     GError **error);

G_END_DECLS
