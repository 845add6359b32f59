/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "qmp-message.h"
#include "qmp-watch.h"

G_BEGIN_DECLS

/**
 * QMP_DEFAULT_TIMEOUT:
 *
 * How long QEMU may take to answer a command, in microseconds, unless the caller says otherwise: 60 s.
 */
#define QMP_DEFAULT_TIMEOUT ((gint64) 60 * G_USEC_PER_SEC)

/**
 * QMP_NO_TIMEOUT:
 *
 * Instead of a timeout or a deadline: wait until the answer comes, the caller cancels, or QEMU is gone.
 */
#define QMP_NO_TIMEOUT ((gint64) - 1)

/**
 * QmpConnectFlags:
 * @QMP_CONNECT_NONE: nobody listens on the socket: that is an error at once (%VMSNAP_ERROR_HYPERVISOR_GONE), as it
 *   should be for a QEMU of an earlier life of the service
 * @QMP_CONNECT_WAIT_FOR_SOCKET: the socket may still be missing or deaf, for QEMU was started a moment ago: look again
 *   every few milliseconds until the timeout. Cancel the connection's cancellable when the process dies.
 *
 * How to connect to a monitor.
 */
typedef enum {
  QMP_CONNECT_NONE = 0,
  QMP_CONNECT_WAIT_FOR_SOCKET = 1 << 0,
} QmpConnectFlags;

#define QMP_TYPE_CLIENT (qmp_client_get_type ())
/**
 * QmpClient:
 *
 * The connection to one QMP monitor, ready for commands from the moment it exists. Any thread may call any function
 * here; a client may be dropped in any thread, which closes the connection (QEMU goes on).
 *
 * Errors, all of the domain %VMSNAP_ERROR:
 * - %VMSNAP_ERROR_HYPERVISOR: QEMU said no; the message carries the command and QEMU's words. See
 *   qmp_error_is_class() for the rare case where the class of the error matters.
 * - %VMSNAP_ERROR_NOT_SUPPORTED: this QEMU doesn't know the command.
 * - %VMSNAP_ERROR_HYPERVISOR_GONE: QEMU ended, closed its monitor, sent what isn't QMP, or qmp_client_close() was called
 *   before the answer came. Whether the command was carried out isn't known.
 * - %VMSNAP_ERROR_TIMEOUT: no answer in time. The connection stays usable: the late reply will be dropped. Whether the
 *   command will be carried out isn't known.
 * - %VMSNAP_ERROR_CANCELLED: the cancellable was cancelled. Like a timeout; but a command that wasn't on its way yet is
 *   not sent at all.
 *
 * Signals, emitted in the event context: the main context that was the thread-default one where the client was made,
 * unless qmp_client_set_event_context() names another.
 * - `event` (const char *name, JsonObject *data, gint64 usec): QEMU sent an event; @data is an empty object when it has
 *   none, belongs to the event (don't keep a reference), @usec is QEMU's wall clock. An event that came before a reply
 *   is emitted before that reply's `_async` call completes in the same context.
 * - `events-lost` (): more than %QMP_WATCH_MAX_EVENTS were waiting for the event context, and the oldest were dropped:
 *   ask QEMU for its state anew. Emitted before the events that are left.
 * - `closed` (GError *error): the connection ended, and with it all calls; once, and after the last event.
 *
 * Events that come before a handler is connected aren't kept for it: connect the handlers first, then ask query-status
 * and qmp_client_is_closed().
 */
G_DECLARE_FINAL_TYPE (QmpClient, qmp_client, QMP, CLIENT, GObject)

/* Connecting, greeting and qmp_capabilities, in that order; the timeout is for all of them. The first form blocks. */
QmpClient *qmp_client_connect (const char *socket_path,
                               QmpConnectFlags flags,
                               gint64 timeout_usec,
                               GCancellable *cancellable,
                               GError **error);
void qmp_client_connect_async (const char *socket_path,
                               QmpConnectFlags flags,
                               gint64 timeout_usec,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
QmpClient *qmp_client_connect_finish (GAsyncResult *result,
                                      GError **error);
/* The same over a connected socket, which becomes the client's (also on failure). */
QmpClient *qmp_client_new_for_fd (int fd,
                                  const char *name,
                                  gint64 timeout_usec,
                                  GCancellable *cancellable,
                                  GError **error);

const char *qmp_client_get_name (QmpClient *client);
void qmp_client_get_version (QmpClient *client,
                             guint *major,
                             guint *minor,
                             guint *micro);
void qmp_client_set_event_context (QmpClient *client,
                                   GMainContext *context);

/* A command and its 'return' value, transfer full. 'arguments' is (transfer full) (nullable), see qmp_args_new(); 'fd'
 * stays the caller's, goes to QEMU with the command's first byte, and is -1 for none. The first two block, and are for
 * the threads of workflows; the third completes in the caller's thread-default main context. */
JsonNode *qmp_client_call (QmpClient *client,
                           const char *command,
                           JsonObject *arguments,
                           GCancellable *cancellable,
                           GError **error);
JsonNode *qmp_client_call_full (QmpClient *client,
                                const char *command,
                                JsonObject *arguments,
                                int fd,
                                gint64 timeout_usec,
                                GCancellable *cancellable,
                                GError **error);
void qmp_client_call_async (QmpClient *client,
                            const char *command,
                            JsonObject *arguments,
                            int fd,
                            gint64 timeout_usec,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data);
JsonNode *qmp_client_call_finish (QmpClient *client,
                                  GAsyncResult *result,
                                  GError **error);

/**
 * QmpCommand:
 * @command: a command
 * @arguments: (nullable): its arguments, taken when it is given
 * @value: (out) (nullable): the answer's 'return' value
 * @error: (out) (nullable): why there is none
 *
 * One of several commands that are given at once.
 */
typedef struct {
  const char *command;
  JsonObject *arguments;
  JsonNode *value;
  GError *error;
} QmpCommand;

/* Several at once: answered in their order, in the time of one when the way there and back is what takes long. */
void qmp_client_call_all (QmpClient *client,
                          QmpCommand **commands,
                          guint n_commands,
                          GCancellable *cancellable);
void qmp_command_clear (QmpCommand *command);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (QmpCommand, qmp_command_clear)

/* A command whose answer nobody wants to know. */
void qmp_client_send (QmpClient *client,
                      const char *command,
                      JsonObject *arguments);

/* A queue of the events of these names (NULL: of all) from now on. See qmp-watch.h. */
QmpWatch *qmp_client_watch (QmpClient *client,
                            const char *const *event_names);

gboolean qmp_client_is_closed (QmpClient *client);
void qmp_client_close (QmpClient *client);

G_END_DECLS
