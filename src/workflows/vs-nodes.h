/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/**
 * VsNodes:
 *
 * The block nodes of a guest at one moment, as its QEMU tells them, and which of them are behind its disks. Threads of
 * runs.
 */
typedef struct _VsNodes VsNodes;

VsNodes *vs_nodes_ask (VsRun *run,
                       const char *const *targets,
                       GError **error);
void vs_nodes_free (VsNodes *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsNodes, vs_nodes_free)

const char *vs_nodes_get_active (VsNodes *self,
                                 const char *target);
JsonObject *vs_nodes_find (VsNodes *self,
                           const char *name);
char *vs_nodes_get_path (VsNodes *self,
                         const char *name);
char *vs_nodes_find_file (VsNodes *self,
                          const char *target,
                          const char *path);
GStrv vs_nodes_list_names (VsNodes *self);

G_END_DECLS
