/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "qmp-json.h"

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
int qmp_error_code_for_words (const char *words);
gboolean qmp_error_is_class (const GError *error,
                             const char *class_name);

G_END_DECLS
