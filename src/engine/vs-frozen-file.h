/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-disk-chain.h"
#include "vs-snapshot-def.h"

G_BEGIN_DECLS

/**
 * VsFrozenFile:
 * @path: the file
 * @virtual_size: bytes the guest saw in it
 * @backing_path: (nullable): its backing file
 *
 * What a file was when an external snapshot froze it, so that another one in its place isn't taken for it.
 */
typedef struct
{
  char *path;
  guint64 virtual_size;
  char *backing_path;
} VsFrozenFile;

void vs_frozen_file_note (VsSnapshotDef *def, const char *target, const VsDiskFile *file, const char *backing_path);
VsFrozenFile *vs_frozen_file_read (VsSnapshotDef *def, const char *target);
void vs_frozen_file_free (VsFrozenFile *self);
gboolean vs_frozen_file_is_key (const char *key);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsFrozenFile, vs_frozen_file_free)

G_END_DECLS
