/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *id;
  const char *parent; /* nullable; one that isn't there counts as none */
  const char *label;
  gpointer data; /* the caller's */
} CtlTreeNode;

typedef struct
{
  const CtlTreeNode *node;
  char *text; /* strokes and label */
} CtlTreeRow;

GPtrArray *ctl_tree_draw (const CtlTreeNode *nodes, guint n_nodes, gboolean unicode, guint max_indent);

G_END_DECLS
