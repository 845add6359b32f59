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
} Strokes;

static const Strokes unicode_strokes = { "├─ ", "└─ ", "│  ", "   " };
static const Strokes ascii_strokes = { "|- ", "`- ", "|  ", "   " };

typedef struct
{
  const Strokes *strokes;
  GHashTable *children; /* id or "" → GPtrArray of nodes, in the order given */
  GString *text;
} Drawing;

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
      if (!root)
        g_string_append_printf (drawing->text, "%s%s", indent, last ? drawing->strokes->corner : drawing->strokes->tee);
      g_string_append_printf (drawing->text, "%s\n", node->label);
      draw_below (drawing, node->id, deeper);
    }
}

/**
 * ctl_tree_draw:
 * @nodes: (array length=n_nodes): the nodes; brothers are drawn in this order
 * @n_nodes: how many
 * @unicode: whether the terminal has strokes other than letters
 *
 * Returns: (transfer full): a line for each node
 */
char *
ctl_tree_draw (const CtlTreeNode *nodes, guint n_nodes, gboolean unicode)
{
  g_autoptr (GHashTable) ids = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) children
    = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
  Drawing drawing = { unicode ? &unicode_strokes : &ascii_strokes, children, g_string_new (NULL) };

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
  return g_string_free (drawing.text, FALSE);
}
