/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-engine.h"

G_BEGIN_DECLS

/**
 * VsUseKind:
 * @VS_USE_ACTIVE: a disk of a definition, which its guest writes
 * @VS_USE_READ: a read-only disk of a definition, a CD
 * @VS_USE_FROZEN: an external snapshot keeps the disk in it
 * @VS_USE_TAG: an internal snapshot keeps the disk in a tag inside it
 * @VS_USE_LEFT: no snapshot names it any more: it stays for the files above it
 *
 * What a file is there for.
 */
typedef enum
{
  VS_USE_ACTIVE,
  VS_USE_READ,
  VS_USE_FROZEN,
  VS_USE_TAG,
  VS_USE_LEFT,
} VsUseKind;

/**
 * VsUse:
 * @kind: how
 * @uuid: by which domain
 * @domain: that domain's name
 * @snapshot: (nullable): by which snapshot of it
 * @target: (nullable): for which disk
 * @tag: (nullable): for %VS_USE_TAG: its tag
 * @overlay: (nullable): for %VS_USE_FROZEN: what was put above it then
 *
 * One use of a file.
 */
typedef struct
{
  VsUseKind kind;
  char *uuid;
  char *domain;
  char *snapshot;
  char *target;
  char *tag;
  char *overlay;
} VsUse;

/**
 * VsGraphFile:
 * @path: the first path by which it was named; absolute
 * @id: (nullable): see vs_disk_file_id(); %NULL: it isn't there
 * @format: (nullable): `raw` or `qcow2`, as those who name it say
 * @virtual_size: bytes the guest sees
 * @actual_size: bytes it takes on the host
 * @is_block: whether it is a block device
 * @is_ours: whether the service made it
 * @problem: (nullable): why it can't be used: it isn't there, can't be read, isn't what it was. For people; names it
 * @backing_path: (nullable): its backing file
 * @uses: (element-type VsUse): what it is there for
 * @dependents: (element-type VsGraphFile): the files that have it for their backing file; not owned
 *
 * One file of a disk, whatever paths it has.
 */
typedef struct
{
  char *path;
  char *id;
  char *format;
  guint64 virtual_size;
  guint64 actual_size;
  gboolean is_block;
  gboolean is_ours;
  char *problem;
  char *backing_path;
  GPtrArray *uses;
  GPtrArray *dependents;
} VsGraphFile;

/**
 * VsDiskGraph:
 *
 * All files of all domains' disks, with their backing links, and what each is there for: the one place that tells
 * whether a file may be written, reverted in place or removed. Collected on the main thread, then identified or looked at
 * on any one thread; it doesn't change with what happens afterwards.
 */
typedef struct _VsDiskGraph VsDiskGraph;

VsDiskGraph *vs_disk_graph_collect (VsEngine *engine);
gboolean vs_disk_graph_identify (VsDiskGraph *self, GCancellable *cancellable, GError **error);
gboolean vs_disk_graph_look (VsDiskGraph *self, GCancellable *cancellable, GError **error);
void vs_disk_graph_free (VsDiskGraph *self);

GPtrArray *vs_disk_graph_list (VsDiskGraph *self);
VsGraphFile *vs_disk_graph_find (VsDiskGraph *self, const char *path);
VsGraphFile *vs_disk_graph_get_backing (VsDiskGraph *self, VsGraphFile *file);
const char *vs_disk_graph_find_problem (VsDiskGraph *self, VsGraphFile *file);

gboolean vs_disk_graph_is_needed (VsDiskGraph *self, VsGraphFile *file, const char *uuid, const char *except_snapshot);
gboolean vs_disk_graph_check_writable (VsDiskGraph *self, const char *path, const char *uuid, GError **error);
gboolean vs_disk_graph_check_removable (VsDiskGraph *self, const char *path, GError **error);

gboolean vs_disk_graph_check_not_frozen (VsDiskGraph *self, const char *path, GError **error);
gboolean vs_disk_graph_check_chain (VsDiskGraph *self, const VsDiskChain *chain, GError **error);
gboolean vs_disk_graph_check_unused (VsDiskGraph *self, const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsDiskGraph, vs_disk_graph_free)

G_END_DECLS
