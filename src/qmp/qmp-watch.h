/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/**
 * QmpEvent:
 *
 * One event that QEMU sent. It never changes, so several threads may read it; what its getters return lives as long
 * as the event. Keep the event rather than the #JsonObject: only the former is counted atomically.
 */
typedef struct _QmpEvent QmpEvent;

QmpEvent *qmp_event_ref (QmpEvent *event);
void qmp_event_unref (QmpEvent *event);
const char *qmp_event_get_name (const QmpEvent *event);
JsonObject *qmp_event_get_data (const QmpEvent *event);
gint64 qmp_event_get_time (const QmpEvent *event);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpEvent, qmp_event_unref)

/**
 * QMP_WATCH_MAX_EVENTS:
 *
 * How many events a watch keeps for its reader. When more come, the oldest are dropped, and
 * qmp_watch_take_overflow() tells so.
 */
#define QMP_WATCH_MAX_EVENTS 4096

/**
 * QmpWatch:
 *
 * A queue of events, made with qmp_client_watch() and filled from that moment on. Make it before the command whose
 * event it shall catch; then no event can slip through between the two:
 * |[<!-- language="C" -->
 * const char *const names[] = { "STOP", NULL };
 * g_autoptr (QmpWatch) watch = qmp_client_watch (client, names);
 * g_autoptr (JsonNode) reply = qmp_client_call (client, "stop", NULL, cancellable, error);
 *
 * if (reply == NULL)
 *   return FALSE;
 * event = qmp_watch_pop (watch, g_get_monotonic_time () + 5 * G_USEC_PER_SEC, cancellable, error);
 * ]|
 * A watch may outlive its client. One thread reads from a watch; any thread may free it.
 */
typedef struct _QmpWatch QmpWatch;

/* The next event (transfer full), waiting for it until 'deadline' (g_get_monotonic_time(), or QMP_NO_TIMEOUT; one that
 * has passed: don't wait). Errors: CANCELLED (nothing is taken), TIMEOUT, and HYPERVISOR_GONE when the connection has
 * ended and all events before its end were read. */
QmpEvent *qmp_watch_pop (QmpWatch *watch,
                         gint64 deadline,
                         GCancellable *cancellable,
                         GError **error);
gboolean qmp_watch_take_overflow (QmpWatch *watch);
void qmp_watch_free (QmpWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpWatch, qmp_watch_free)

G_END_DECLS
