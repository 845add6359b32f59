/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <vmsnap.h>

G_BEGIN_DECLS

/* A table, or with one row for each fact a list of facts. */
guint ctl_terminal_columns (int fd);

typedef struct _CtlTable CtlTable;

CtlTable *ctl_table_new (const char *first_title, ...) G_GNUC_NULL_TERMINATED;
void ctl_table_set_flexible (CtlTable *table, guint column);
void ctl_table_free (CtlTable *table);
void ctl_table_add (CtlTable *table, const char *cell);
void ctl_table_take (CtlTable *table, char *cell);
char *ctl_table_to_text (CtlTable *table, guint columns);
void ctl_table_print (CtlTable *table);
void ctl_table_print_fitting (CtlTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CtlTable, ctl_table_free)

JsonObject *ctl_json_for_proxy (gpointer proxy);
JsonNode *ctl_json_for_list (GList *proxies);
JsonNode *ctl_json_node (JsonObject *object);
void ctl_json_print (JsonNode *node);
void ctl_json_print_proxy (gpointer proxy);
void ctl_json_print_line (JsonObject *object);
void ctl_print_xml (const char *xml, gboolean json);

G_END_DECLS
