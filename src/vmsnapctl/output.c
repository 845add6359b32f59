/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What goes to standard output: tables for people, JSON for programs. Lives in the main thread.
 */
#include "output.h"

#include "format.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMN_GAP 2
/* What is narrower tells nothing. */
#define MIN_COLUMN 6

struct _CtlTable
{
  guint n_columns;
  guint flexible; /* a bit for each column that may be shortened */
  GPtrArray *cells; /* row by row; the titles are the first row */
};

/**
 * ctl_terminal_columns:
 * @fd: where something is written to
 *
 * Returns: the columns there are; 0: it isn't a terminal, or one that doesn't know its width
 */
guint
ctl_terminal_columns (int fd)
{
  struct winsize size;

  return isatty (fd) && ioctl (fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/**
 * ctl_table_new:
 * @first_title: the title of the first column
 * @...: the titles of the others, then %NULL
 *
 * Returns: (transfer full): an empty table
 */
CtlTable *
ctl_table_new (const char *first_title, ...)
{
  CtlTable *table = g_new0 (CtlTable, 1);
  va_list titles;

  table->cells = g_ptr_array_new_with_free_func (g_free);
  va_start (titles, first_title);
  for (const char *title = first_title; title != NULL; title = va_arg (titles, const char *))
    {
      table->n_columns++;
      g_ptr_array_add (table->cells, g_strdup (title));
    }
  va_end (titles);
  return table;
}

/**
 * ctl_table_set_flexible:
 * @table: a table
 * @column: which column, from 0 on
 *
 * Lets the cells of a column be shortened where the table would be too wide.
 */
void
ctl_table_set_flexible (CtlTable *table, guint column)
{
  table->flexible |= 1U << column;
}

void
ctl_table_free (CtlTable *table)
{
  g_ptr_array_unref (table->cells);
  g_free (table);
}

/**
 * ctl_table_add:
 * @table: a table
 * @cell: (nullable): the text of the next cell, as it came from the service
 *
 * Fills the next cell, from left to right, then downwards.
 */
void
ctl_table_add (CtlTable *table, const char *cell)
{
  g_ptr_array_add (table->cells, ctl_format_plain (cell, FALSE));
}

/**
 * ctl_table_take:
 * @table: a table
 * @cell: (transfer full): the text of the next cell
 *
 * As ctl_table_add(), for a text of one's own.
 */
void
ctl_table_take (CtlTable *table, char *cell)
{
  ctl_table_add (table, cell);
  g_free (cell);
}

static guint
column_width (CtlTable *table, guint column)
{
  guint width = 0;

  for (guint i = column; i < table->cells->len; i += table->n_columns)
    width = MAX (width, ctl_text_width (table->cells->pdata[i]));
  return width;
}

static guint
line_width (CtlTable *table, const guint *widths)
{
  guint width = COLUMN_GAP * (table->n_columns - 1);

  for (guint i = 0; i < table->n_columns; i++)
    width += widths[i];
  return width;
}

/* Takes from the widest of the flexible columns, until the lines fit or nothing is left to take. */
static void
fit (CtlTable *table, guint *widths, guint columns)
{
  while (line_width (table, widths) > columns)
    {
      guint widest = table->n_columns;

      for (guint i = 0; i < table->n_columns; i++)
        if ((table->flexible & (1U << i)) != 0 && widths[i] > MIN_COLUMN
            && (widest == table->n_columns || widths[i] > widths[widest]))
          widest = i;
      if (widest == table->n_columns)
        return;
      widths[widest]--;
    }
}

static void
append_line (CtlTable *table, GString *text, guint first, const guint *widths, guint columns)
{
  const char *mark = g_get_charset (NULL) ? "…" : "~";
  g_autoptr (GString) line = g_string_new (NULL);
  g_autofree char *cut = NULL;

  for (guint column = 0; column < table->n_columns && first + column < table->cells->len; column++)
    {
      g_autofree char *cell = ctl_text_shorten (table->cells->pdata[first + column], MAX (widths[column], 1), mark);

      g_string_append (line, cell);
      g_string_append_printf (line, "%*s", (int)(MAX (widths[column], ctl_text_width (cell)) - ctl_text_width (cell)
                                                 + COLUMN_GAP), "");
    }
  while (line->len > 0 && line->str[line->len - 1] == ' ')
    g_string_truncate (line, line->len - 1);
  cut = columns > 0 ? ctl_text_shorten (line->str, columns, mark) : g_strdup (line->str);
  g_string_append_printf (text, "%s\n", cut);
}

/**
 * ctl_table_to_text:
 * @table: a table
 * @columns: how wide the lines may be; 0: as wide as they are
 *
 * Returns: (transfer full): the lines, titles first, columns two blanks apart, no blanks at their ends; those that are
 *   too wide lose some of the flexible cells first, then their ends
 */
char *
ctl_table_to_text (CtlTable *table, guint columns)
{
  g_autofree guint *widths = g_new (guint, table->n_columns);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < table->n_columns; i++)
    widths[i] = column_width (table, i);
  if (columns > 0)
    fit (table, widths, columns);
  for (guint i = 0; i < table->cells->len; i += table->n_columns)
    append_line (table, text, i, widths, columns);
  return g_string_free (text, FALSE);
}

/**
 * ctl_table_print:
 * @table: a table
 *
 * Writes all of it to standard output.
 */
void
ctl_table_print (CtlTable *table)
{
  g_autofree char *text = ctl_table_to_text (table, 0);

  g_print ("%s", text);
}

/**
 * ctl_table_print_fitting:
 * @table: a table
 *
 * Writes it to standard output: shortened to the width of the terminal, if that is one.
 */
void
ctl_table_print_fitting (CtlTable *table)
{
  g_autofree char *text = ctl_table_to_text (table, ctl_terminal_columns (STDOUT_FILENO));

  g_print ("%s", text);
}

/* Names beside the paths that properties hold, for those who don't speak D-Bus. */
static void
add_names (JsonObject *object, gpointer proxy)
{
  if (VMSNAP_IS_SNAPSHOT (proxy))
    {
      g_autoptr (VmSnapSnapshot) parent = vmsnap_snapshot_get_parent (proxy);
      g_autoptr (VmSnapDomain) domain = vmsnap_snapshot_get_domain (proxy);

      json_object_set_string_member (object, "parent-name", parent != NULL ? vmsnap_snapshot_get_name (parent) : "");
      json_object_set_string_member (object, "domain-name", domain != NULL ? vmsnap_domain_get_name (domain) : "");
    }
  else if (VMSNAP_IS_JOB (proxy))
    {
      g_autoptr (VmSnapDomain) domain = vmsnap_job_get_domain (proxy);

      json_object_set_string_member (object, "domain-name", domain != NULL ? vmsnap_domain_get_name (domain) : "");
    }
  else if (VMSNAP_IS_DOMAIN (proxy))
    {
      g_autoptr (VmSnapSnapshot) current = vmsnap_domain_get_current_snapshot (proxy);

      json_object_set_string_member (object, "current-snapshot-name",
                                     current != NULL ? vmsnap_snapshot_get_name (current) : "");
    }
}

/**
 * ctl_json_for_proxy:
 * @proxy: an object of the service
 *
 * Returns: (transfer full): all its properties, their names written as in "creation-time", its object path as
 *   "object-path", and names for the paths
 */
JsonObject *
ctl_json_for_proxy (gpointer proxy)
{
  g_auto (GStrv) names = g_dbus_proxy_get_cached_property_names (proxy);
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "object-path", g_dbus_proxy_get_object_path (proxy));
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autoptr (GVariant) value = g_dbus_proxy_get_cached_property (proxy, names[i]);
      g_autofree char *key = ctl_format_key (names[i]);

      json_object_set_member (object, key, json_gvariant_serialize (value));
    }
  add_names (object, proxy);
  return object;
}

/**
 * ctl_json_node:
 * @object: (transfer full): an object
 *
 * Returns: (transfer full): the node that holds it
 */
JsonNode *
ctl_json_node (JsonObject *object)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);

  json_node_take_object (node, object);
  return node;
}

/**
 * ctl_json_for_list:
 * @proxies: (element-type GDBusProxy): objects of the service
 *
 * Returns: (transfer full): an array of them
 */
JsonNode *
ctl_json_for_list (GList *proxies)
{
  JsonNode *node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *array = json_array_new ();

  for (GList *l = proxies; l != NULL; l = l->next)
    json_array_add_object_element (array, ctl_json_for_proxy (l->data));
  json_node_take_array (node, array);
  return node;
}

static void
print_node (JsonNode *node, gboolean pretty)
{
  g_autofree char *text = json_to_string (node, pretty);

  g_print ("%s\n", text);
}

/**
 * ctl_json_print:
 * @node: (transfer full): what to print
 */
void
ctl_json_print (JsonNode *node)
{
  print_node (node, TRUE);
  json_node_unref (node);
}

void
ctl_json_print_proxy (gpointer proxy)
{
  ctl_json_print (ctl_json_node (ctl_json_for_proxy (proxy)));
}

/**
 * ctl_json_print_line:
 * @object: (transfer full): what to print, in one line
 */
void
ctl_json_print_line (JsonObject *object)
{
  g_autoptr (JsonNode) node = ctl_json_node (object);

  print_node (node, FALSE);
}

/**
 * ctl_print_xml:
 * @xml: a definition
 * @json: whether to write it as the member `xml` of an object
 */
void
ctl_print_xml (const char *xml, gboolean json)
{
  JsonObject *object;

  if (json)
    {
      object = json_object_new ();
      json_object_set_string_member (object, "xml", xml);
      ctl_json_print (ctl_json_node (object));
    }
  else
    g_print ("%s%s", xml, g_str_has_suffix (xml, "\n") ? "" : "\n");
}
