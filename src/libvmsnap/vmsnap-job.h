/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap-types.h>

G_BEGIN_DECLS

const char *vmsnap_job_get_operation (VmSnapJob *job);
VmSnapJobState vmsnap_job_get_state (VmSnapJob *job);
const char *vmsnap_job_get_phase (VmSnapJob *job);
gdouble vmsnap_job_get_progress (VmSnapJob *job);
guint64 vmsnap_job_get_bytes_done (VmSnapJob *job);
guint64 vmsnap_job_get_bytes_total (VmSnapJob *job);
guint64 vmsnap_job_get_start_time (VmSnapJob *job);
guint64 vmsnap_job_get_end_time (VmSnapJob *job);
gboolean vmsnap_job_is_cancellable (VmSnapJob *job);
guint vmsnap_job_get_caller_uid (VmSnapJob *job);
gboolean vmsnap_job_has_ended (VmSnapJob *job);
GError *vmsnap_job_dup_error (VmSnapJob *job);
GVariant *vmsnap_job_dup_result (VmSnapJob *job);
VmSnapDomain *vmsnap_job_get_domain (VmSnapJob *job);
VmSnapSnapshot *vmsnap_job_get_snapshot (VmSnapJob *job);

void vmsnap_job_cancel (VmSnapJob *job, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
gboolean vmsnap_job_cancel_finish (VmSnapJob *job, GAsyncResult *result, GError **error);
gboolean vmsnap_job_cancel_sync (VmSnapJob *job, GCancellable *cancellable, GError **error);
void vmsnap_job_dismiss (VmSnapJob *job, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
gboolean vmsnap_job_dismiss_finish (VmSnapJob *job, GAsyncResult *result, GError **error);
gboolean vmsnap_job_dismiss_sync (VmSnapJob *job, GCancellable *cancellable, GError **error);
void vmsnap_job_wait (VmSnapJob *job,
                      VmSnapWaitFlags flags,
                      GCancellable *cancellable,
                      GAsyncReadyCallback callback,
                      gpointer user_data);
gboolean vmsnap_job_wait_finish (VmSnapJob *job, GAsyncResult *result, GError **error);
gboolean vmsnap_job_wait_sync (VmSnapJob *job, VmSnapWaitFlags flags, GCancellable *cancellable, GError **error);
void vmsnap_job_wait_with_progress (VmSnapJob *job,
                                    VmSnapWaitFlags flags,
                                    GCancellable *cancellable,
                                    VmSnapProgressCallback progress_callback,
                                    gpointer progress_data,
                                    GDestroyNotify progress_destroy,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
gboolean vmsnap_job_wait_with_progress_finish (VmSnapJob *job, GAsyncResult *result, GError **error);
gboolean vmsnap_job_wait_with_progress_sync (VmSnapJob *job,
                                             VmSnapWaitFlags flags,
                                             GCancellable *cancellable,
                                             VmSnapProgressCallback progress_callback,
                                             gpointer progress_data,
                                             GError **error);

G_END_DECLS
