/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "vmsnap-enums.h"

G_BEGIN_DECLS

#define VS_TYPE_JOB (vs_job_get_type ())
G_DECLARE_FINAL_TYPE (VsJob, vs_job, VS, JOB, GObject)

/**
 * VsJob:
 *
 * One operation as the world sees it. Lives on the main thread; vs_job_report_phase(), vs_job_report_progress() and
 * vs_job_report_bytes() may be called from any thread, and become property changes at most ten times a second.
 *
 * Properties (all readable, all notified): `state`, `phase`, `progress`, `bytes-done`, `bytes-total`, `start-time`,
 * `end-time`, `cancellable`, `snapshot-name`. Signal `completed`, once, after the last property change.
 */
VsJob *vs_job_new (guint number,
                   const char *operation,
                   const char *domain_uuid,
                   guint caller_uid);

guint vs_job_get_number (VsJob *self);
const char *vs_job_get_operation (VsJob *self);
const char *vs_job_get_domain_uuid (VsJob *self);
const char *vs_job_get_snapshot_name (VsJob *self);
guint vs_job_get_caller_uid (VsJob *self);
VmSnapJobState vs_job_get_state (VsJob *self);
gboolean vs_job_has_ended (VsJob *self);
const char *vs_job_get_phase (VsJob *self);
double vs_job_get_progress (VsJob *self);
guint64 vs_job_get_bytes_done (VsJob *self);
guint64 vs_job_get_bytes_total (VsJob *self);
guint64 vs_job_get_start_time (VsJob *self);
guint64 vs_job_get_end_time (VsJob *self);
gboolean vs_job_get_can_cancel (VsJob *self);
const GError *vs_job_get_error (VsJob *self);
GVariant *vs_job_get_result (VsJob *self);
GCancellable *vs_job_get_cancellable (VsJob *self);

gboolean vs_job_cancel (VsJob *self,
                        GError **error);
void vs_job_dismiss (VsJob *self);

void vs_job_set_snapshot_name (VsJob *self,
                               const char *name);
void vs_job_set_can_cancel (VsJob *self,
                            gboolean can_cancel);
void vs_job_add_result (VsJob *self,
                        const char *key,
                        GVariant *value);
void vs_job_begin (VsJob *self);
void vs_job_end (VsJob *self,
                 const GError *error);

void vs_job_report_phase (VsJob *self,
                          const char *phase);
void vs_job_report_progress (VsJob *self,
                             double fraction);
void vs_job_report_bytes (VsJob *self,
                          guint64 done,
                          guint64 total);

G_END_DECLS
