/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-disk-graph.h"
#include "vs-frozen-file.h"

G_BEGIN_DECLS

/* The graph's own: what its two halves, building and asking, share. */

typedef struct _VsGraphNode VsGraphNode;

struct _VsGraphNode
{
  VsGraphFile file;     /* first, so that it is the node */
  VsGraphNode *backing; /* NULL: none, or not followed, for they go round in a circle */
  VsGraphNode *same;    /* not NULL: by another path it was found to be that one, which has all of it */
  char *below;          /* `disk vda of web`, in whose chain it was found earlier */
  char *of_whom;        /* for messages: what it is to whoever named it first */
  char *made_id;        /* of a file of ours, when it was noted */
  guint depth;          /* how many files above led to it */
  guint walk;
};

/* A use, as the graph makes it */
typedef struct
{
  VsUse use;
  char *path;         /* by which it is named there */
  char *format;       /* of which it is said to be there */
  VsSnapshotDef *def; /* that names it */
} VsGraphUse;

struct _VsDiskGraph
{
  GWeakRef engine;
  VsStore *store;
  gboolean identified;   /* files are known by their ids, too */
  GPtrArray *nodes;      /* VsGraphNode */
  GHashTable *by_path;   /* path → node */
  GHashTable *by_id;     /* id → node */
  GHashTable *collected; /* uuids of domains that are on the bus → their names */
};

char *vs_graph_plain_path (const char *path);
VsGraphNode *vs_graph_resolve (VsGraphNode *node);
void vs_graph_check_frozen (VsDiskGraph *self);
void vs_graph_publish (VsDiskGraph *self);

G_END_DECLS
