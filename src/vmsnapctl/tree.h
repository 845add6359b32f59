/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *id;
  const char *parent; /* nullable; one that isn't there counts as none */
  const char *label;
} CtlTreeNode;

char *ctl_tree_draw (const CtlTreeNode *nodes, guint n_nodes, gboolean unicode);

G_END_DECLS
