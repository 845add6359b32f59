/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the monitor library share; not for its users.
 */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "qmp-client.h"
#include "qmp-parser.h"

G_BEGIN_DECLS

/* The greeting is awaited as if it answered a command of this id; qmp_capabilities then has it. */
#define QMP_HANDSHAKE_ID 1

/* A command on its way to QEMU. */
typedef struct
{
  gint64 id;
  char *text;
  gsize len;
  gsize written;
  int fd; /* goes with the first byte; -1: none */
} QmpLine;

/* A command under way. Its end (done, value, error) is guarded by the connection's lock when a thread waits for it; with
 * a task, all from `task` on belongs to the I/O thread. */
typedef struct
{
  gatomicrefcount refs;
  struct _QmpConnection *connection;
  gint64 id;
  char *command; /* NULL: the greeting and the negotiation after it */

  GCond changed;
  gboolean done;
  JsonNode *value;
  GError *error;

  GTask *task;
  gint64 deadline;
  GSource *timer;
  GCancellable *cancellable;
  gulong cancelled_handler;
} QmpCall;

/* Takes QMP events to the GObject signals in the event context. Guarded by the connection's lock. */
typedef struct
{
  GWeakRef client;
  gboolean has_client;
  GMainContext *context;
  gboolean scheduled;
  GQueue events; /* of QmpEvent */
  gboolean lost;
  gboolean closed_due;
} QmpEmitter;

typedef enum {
  QMP_STATE_GREETING,
  QMP_STATE_NEGOTIATING,
  QMP_STATE_READY,
} QmpState;

/* Outlives its QmpClient for as long as the I/O thread, a watch or a call needs it; none of them holds the client. */
typedef struct _QmpConnection
{
  gatomicrefcount refs;
  char *name;
  guint version[3]; /* set before the client exists */

  /* of the I/O thread */
  QmpParser *parser;
  GSource *source;
  QmpState state;

  GMutex lock; /* guards all below; no foreign code runs under it */
  int fd;
  GError *closed; /* why the connection ended; NULL while it lives */
  gint64 last_id;
  GHashTable *calls; /* id -> QmpCall, those without an answer */
  GQueue outgoing;   /* of QmpLine */
  GQueue abandoned;  /* calls with a task that end with `closed` */
  GPtrArray *watches;
  QmpEmitter emitter;
} QmpConnection;

QmpConnection *qmp_connection_new (const char *name);
QmpConnection *qmp_connection_ref (QmpConnection *self);
void qmp_connection_unref (QmpConnection *self);
void qmp_connection_start (QmpConnection *self,
                           int fd);
void qmp_connection_fail (QmpConnection *self,
                          GError *error);
void qmp_connection_fail_gone (QmpConnection *self,
                               const char *reason);
gboolean qmp_connection_is_closed (QmpConnection *self);
gboolean qmp_connection_submit (QmpConnection *self,
                                QmpCall *call,
                                JsonObject *arguments,
                                int fd,
                                GError **error);
gboolean qmp_connection_withdraw_locked (QmpConnection *self,
                                         QmpCall *call);
void qmp_connection_negotiate (QmpConnection *self);
void qmp_connection_take_message (QmpConnection *self,
                                  JsonObject *message);
void qmp_connection_open_socket (QmpConnection *self,
                                 const char *path,
                                 QmpConnectFlags flags);

gboolean qmp_socket_attach (gpointer data);
void qmp_line_free (QmpLine *line);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpConnection, qmp_connection_unref)

QmpCall *qmp_call_new (QmpConnection *connection,
                       const char *command);
QmpCall *qmp_call_ref (QmpCall *call);
void qmp_call_unref (QmpCall *call);
gboolean qmp_call_check (QmpCall *call,
                         GCancellable *cancellable,
                         GError **error);
JsonNode *qmp_call_wait (QmpCall *call,
                         gint64 deadline,
                         GCancellable *cancellable,
                         GError **error);
gboolean qmp_call_poll (QmpCall *call,
                        gint64 deadline);
void qmp_call_set_task (QmpCall *call,
                        GTask *task,
                        gint64 deadline);
void qmp_call_arm (QmpCall *call);
void qmp_call_return (QmpCall *call,
                      JsonNode *value,
                      GError *error);
GError *qmp_call_closed_error (QmpCall *call,
                               const GError *closed);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpCall, qmp_call_unref)

QmpCall *qmp_client_begin (QmpClient *client,
                           const char *command,
                           JsonObject *arguments,
                           GError **error);

QmpEvent *qmp_event_new (JsonObject *message);
QmpWatch *qmp_watch_new (QmpConnection *connection,
                         const char *const *names);
void qmp_watch_push_locked (QmpWatch *watch,
                            QmpEvent *event);
void qmp_watch_wake_locked (QmpWatch *watch);

void qmp_emitter_init (QmpEmitter *emitter);
void qmp_emitter_clear (QmpEmitter *emitter);
void qmp_emitter_push_locked (QmpConnection *connection,
                              QmpEvent *event);
void qmp_emitter_push_closed_locked (QmpConnection *connection);
void qmp_emitter_set_client (QmpConnection *connection,
                             QmpClient *client);
void qmp_emitter_set_context (QmpConnection *connection,
                              GMainContext *context);

gint64 qmp_deadline (gint64 timeout_usec);
gboolean qmp_cond_wait (GCond *cond,
                        GMutex *lock,
                        gint64 deadline);

G_END_DECLS
