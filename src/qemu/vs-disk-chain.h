/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "vs-domain-def.h"

G_BEGIN_DECLS

/**
 * VsDiskFile:
 * @path: absolute path
 * @format: `raw` or `qcow2`
 * @virtual_size: bytes the guest sees
 * @actual_size: bytes it takes on the host
 * @is_block: whether it is a block device
 * @id: what stays the same whatever the path: see vs_disk_file_id()
 *
 * One file of a disk.
 */
typedef struct {
  char *path;
  char *format;
  guint64 virtual_size;
  guint64 actual_size;
  gboolean is_block;
  char *id;
} VsDiskFile;

/**
 * VsDiskChain:
 * @target: the disk's target, `vda`
 * @files: (element-type VsDiskFile): the active file first, the base last
 *
 * The files of a disk, as they were found. Not changed after it was made; counted references.
 */
typedef struct {
  char *target;
  GPtrArray *files;
  gatomicrefcount ref_count;
} VsDiskChain;

/**
 * VS_DISK_CHAIN_MAX:
 *
 * More files than this in a chain are taken for a mistake or an attack.
 */
#define VS_DISK_CHAIN_MAX 1000

VsDiskChain *vs_disk_chain_probe (const VsDiskDef *disk,
                                  GCancellable *cancellable,
                                  GError **error);
VsDiskChain *vs_disk_chain_ref (VsDiskChain *chain);
void vs_disk_chain_unref (VsDiskChain *chain);

const VsDiskFile *vs_disk_chain_get_active (const VsDiskChain *chain);
GStrv vs_disk_chain_get_paths (const VsDiskChain *chain);
const char *vs_disk_chain_writable_id (const VsDiskChain *chain);
char *vs_disk_file_id (const char *path,
                       GError **error);
gboolean vs_disk_file_id_is_akin (const char *id,
                                  const char *other);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsDiskChain, vs_disk_chain_unref)

G_END_DECLS
