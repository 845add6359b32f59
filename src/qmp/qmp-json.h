/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

JsonObject *qmp_args_new (const char *first_key,
                          ...) G_GNUC_NULL_TERMINATED;

/* To look into what QEMU sent: a member that is missing or of another type is an ordinary outcome here, not a
 * programmer's error as with json-glib's own getters. All take NULL for the object. */
const char *qmp_json_get_string (JsonObject *object,
                                 const char *key);
gboolean qmp_json_get_int (JsonObject *object,
                           const char *key,
                           gint64 *value);
gboolean qmp_json_get_boolean (JsonObject *object,
                               const char *key,
                               gboolean fallback);
JsonObject *qmp_json_get_object (JsonObject *object,
                                 const char *key);
JsonArray *qmp_json_get_array (JsonObject *object,
                               const char *key);
JsonObject *qmp_json_array_get_object (JsonArray *array,
                                       guint index);
JsonObject *qmp_json_node_get_object (JsonNode *node);
JsonArray *qmp_json_node_get_array (JsonNode *node);

G_END_DECLS
