/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Draws a tree of things that know their parents. Pure; any thread.
 */
#include "tree.h"

typedef struct
{
  const char *tee;
  const char *corner;
  const char *bar;
  const char *blank;
  const char *more; /* for strokes left out */
} Strokes;

static const Strokes unicode_strokes = { "├─ ", "└─ ", "│  ", "   ", "… " };
static const Strokes ascii_strokes = { "|- ", "`- ", "|  ", "   ", "~ " };

typedef struct
{
  const Strokes *strokes;
  GHashTable *children; /* id or "" → GPtrArray of nodes, in the order given */
  guint max_indent;
  GPtrArray *rows;
} Drawing;

static void
row_free (CtlTreeRow *row)
{
  g_free (row->text);
  g_free (row);
}

/* Of strokes that would fill the line, those at its end stay, for they tell whose child it is. */
static void
add_row (Drawing *drawing, const CtlTreeNode *node, const char *indent, const char *stroke)
{
  CtlTreeRow *row = g_new0 (CtlTreeRow, 1);
  glong length = g_utf8_strlen (indent, -1);
  glong most = drawing->max_indent > 0 ? (glong)drawing->max_indent : length;

  row->node = node;
  if (length <= most)
    row->text = g_strconcat (indent, stroke, node->label, NULL);
  else
    row->text = g_strconcat (drawing->strokes->more, g_utf8_offset_to_pointer (indent, length - most), stroke,
                             node->label, NULL);
  g_ptr_array_add (drawing->rows, row);
}

/* Takes the children out as it goes, so that a circle can't hold it. */
static void
draw_below (Drawing *drawing, const char *id, const char *indent)
{
  gpointer key = NULL;
  gpointer value = NULL;
  g_autoptr (GPtrArray) children = NULL;

  if (!g_hash_table_steal_extended (drawing->children, id, &key, &value))
    return;
  children = value;
  for (guint i = 0; i < children->len; i++)
    {
      const CtlTreeNode *node = children->pdata[i];
      gboolean last = i + 1 == children->len;
      gboolean root = *id == '\0';
      g_autofree char *deeper = NULL;

      if (root)
        deeper = g_strdup ("");
      else
        deeper = g_strconcat (indent, last ? drawing->strokes->blank : drawing->strokes->bar, NULL);
      add_row (drawing, node, indent, root ? "" : last ? drawing->strokes->corner : drawing->strokes->tee);
      draw_below (drawing, node->id, deeper);
    }
}

/**
 * ctl_tree_draw:
 * @nodes: (array length=n_nodes): the nodes; brothers are drawn in this order
 * @n_nodes: how many
 * @unicode: whether the terminal has strokes other than letters
 * @max_indent: how many columns may lie left of a node's own stroke, before a mark stands for them; 0: any
 *
 * Returns: (transfer full) (element-type CtlTreeRow): the lines from above, one for each node
 */
GPtrArray *
ctl_tree_draw (const CtlTreeNode *nodes, guint n_nodes, gboolean unicode, guint max_indent)
{
  g_autoptr (GHashTable) ids = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) children
    = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
  Drawing drawing = { unicode ? &unicode_strokes : &ascii_strokes, children, max_indent,
                      g_ptr_array_new_with_free_func ((GDestroyNotify)row_free) };

  for (guint i = 0; i < n_nodes; i++)
    g_hash_table_add (ids, (gpointer)nodes[i].id);
  for (guint i = 0; i < n_nodes; i++)
    {
      const char *parent = nodes[i].parent;
      GPtrArray *brothers;

      if (parent == NULL || !g_hash_table_contains (ids, parent))
        parent = "";
      brothers = g_hash_table_lookup (children, parent);
      if (brothers == NULL)
        {
          brothers = g_ptr_array_new ();
          g_hash_table_insert (children, (gpointer)parent, brothers);
        }
      g_ptr_array_add (brothers, (gpointer)&nodes[i]);
    }
  draw_below (&drawing, "", "");
  return drawing.rows;
}
