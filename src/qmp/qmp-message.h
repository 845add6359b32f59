/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/**
 * QmpMessageType:
 * @QMP_MESSAGE_INVALID: not a message of QMP
 * @QMP_MESSAGE_GREETING: `{"QMP": {"version": …, "capabilities": […]}}`
 * @QMP_MESSAGE_RETURN: `{"return": …, "id": …}`
 * @QMP_MESSAGE_ERROR: `{"error": {"class": …, "desc": …}, "id": …}`
 * @QMP_MESSAGE_EVENT: `{"event": …, "data": {…}, "timestamp": {…}}`
 *
 * What QEMU can send.
 */
typedef enum {
  QMP_MESSAGE_INVALID,
  QMP_MESSAGE_GREETING,
  QMP_MESSAGE_RETURN,
  QMP_MESSAGE_ERROR,
  QMP_MESSAGE_EVENT,
} QmpMessageType;

/**
 * qmp_args_new:
 * @first_key: a letter for the type, a colon and the key
 * @...: the value of the first key, more keys and their values, and %NULL
 *
 * Builds the arguments of a command:
 * |[<!-- language="C" -->
 * qmp_args_new ("s:job-id", "save0", "s:tag", name, "S:devices", nodes, "b:force", TRUE, NULL)
 * ]|
 * The letters: `s` const char *, `i` gint64, `b` gboolean, `S` const char *const * (an array of strings), `o`
 * JsonObject * (transfer full), `a` JsonArray * (transfer full), `n` JsonNode * (transfer full). A %NULL pointer leaves
 * its key out. Cast integers: `(gint64) 5`.
 *
 * Returns: (transfer full): the object
 */
JsonObject *qmp_args_new (const char *first_key,
                          ...) G_GNUC_NULL_TERMINATED;

char *qmp_message_build_command (const char *command,
                                 JsonObject *arguments,
                                 gint64 id);
QmpMessageType qmp_message_classify (JsonObject *message);
gint64 qmp_message_get_id (JsonObject *message);
gint64 qmp_message_get_time (JsonObject *message);
gboolean qmp_message_get_version (JsonObject *greeting,
                                  guint *major,
                                  guint *minor,
                                  guint *micro);
GError *qmp_message_to_error (JsonObject *message,
                              const char *command);
gboolean qmp_error_is_class (const GError *error,
                             const char *class_name);

G_END_DECLS
