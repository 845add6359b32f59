/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp-client.h"

G_BEGIN_DECLS

/**
 * QMP_JOB_TICK:
 *
 * How often a waiting thread calls the progress function, in microseconds.
 */
#define QMP_JOB_TICK ((gint64) 100 * 1000)

/**
 * QmpJobStatus:
 * @QMP_JOB_ABSENT: QEMU has no job of this id: never made, or ended and dismissed
 * @QMP_JOB_ACTIVE: it is under way (created, running, paused, ready, standby, waiting, pending, aborting)
 * @QMP_JOB_SUCCEEDED: it concluded, without an error, and waits to be dismissed
 * @QMP_JOB_FAILED: it concluded with an error, and waits to be dismissed; a cancelled job is one of these
 *
 * What has become of a job of QEMU.
 */
typedef enum {
  QMP_JOB_ABSENT,
  QMP_JOB_ACTIVE,
  QMP_JOB_SUCCEEDED,
  QMP_JOB_FAILED,
} QmpJobStatus;

/**
 * QmpJobProgressFunc:
 * @client: the connection
 * @job_id: the job's id
 * @status: QEMU's last word on it: "created", "running", "ready", ...
 * @user_data: as given
 *
 * Called in the waiting thread every %QMP_JOB_TICK, and at each change of the job's status, so that the caller can
 * measure how far the job is. It should look at files rather than ask QEMU, whose main loop stands still in some jobs
 * (snapshot-save, snapshot-load, snapshot-delete): a command would wait until the job's end.
 */
typedef void (*QmpJobProgressFunc) (QmpClient *client,
                                    const char *job_id,
                                    const char *status,
                                    gpointer user_data);

/* Issues a command that makes a job, waits until the job has concluded, and dismisses it. TRUE: it concluded without an
 * error. The command's arguments must hold 'job-id' and, where the command knows it, "auto-dismiss": false.
 * Cancelling sends job-cancel, and the wait goes on until the job has concluded: the error is CANCELLED then, unless
 * the job succeeded all the same, which is reported as success. A job that failed: HYPERVISOR with the job's own error.
 * Whatever the outcome, no job of this id is left, unless the error is HYPERVISOR_GONE or TIMEOUT.
 * After CANCELLED or an error the job may still have done (part of) its work: QEMU's snapshot-save looks at the
 * cancellation only after everything is written. So undo must look at what is there. */
gboolean qmp_job_run (QmpClient *client,
                      const char *command,
                      JsonObject *arguments,
                      const char *job_id,
                      QmpJobProgressFunc func,
                      gpointer user_data,
                      GCancellable *cancellable,
                      GError **error);
/* The same, but a job that concluded stays until the caller dismisses it. */
gboolean qmp_job_run_and_keep (QmpClient *client,
                               const char *command,
                               JsonObject *arguments,
                               const char *job_id,
                               QmpJobProgressFunc func,
                               gpointer user_data,
                               GCancellable *cancellable,
                               GError **error);
/* The same as the first for a job that exists already, as after a restart of the service. NOT_FOUND: QEMU has no such
 * job; whether it succeeded or failed must be seen from what it did. */
gboolean qmp_job_wait (QmpClient *client,
                       const char *job_id,
                       QmpJobProgressFunc func,
                       gpointer user_data,
                       GCancellable *cancellable,
                       GError **error);
gboolean qmp_job_wait_and_keep (QmpClient *client,
                                const char *job_id,
                                GError **error);
gboolean qmp_job_wait_until_ready (QmpClient *client,
                                   const char *job_id,
                                   gint64 timeout,
                                   GError **error);

/* What has become of a job; 'job_error' (optional, transfer full, nullable) is its error, if it FAILED. Doesn't wait. */
gboolean qmp_job_query (QmpClient *client,
                        const char *job_id,
                        QmpJobStatus *status,
                        char **job_error,
                        GError **error);
void qmp_job_dismiss (QmpClient *client,
                      const char *job_id);

G_END_DECLS
