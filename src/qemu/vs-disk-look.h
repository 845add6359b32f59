/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-disk-chain.h"

G_BEGIN_DECLS

/**
 * VsDiskLook:
 * @file: what was seen: the path always, each other field as far as the look went
 * @backing_path: (nullable): the backing file's path, as QEMU would resolve it
 * @backing_format: (nullable): its format, as the file says
 * @problem: (nullable): why the file can't be used
 *
 * What one look at one file of a disk saw.
 */
typedef struct
{
  VsDiskFile file;
  char *backing_path;
  char *backing_format;
  GError *problem;
} VsDiskLook;

VsDiskLook *vs_disk_look (const char *path, const char *format, gboolean writable, const char *of_whom);
void vs_disk_look_free (VsDiskLook *look);
VsDiskFile *vs_disk_look_steal_file (VsDiskLook *look);

void vs_disk_file_free (VsDiskFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsDiskLook, vs_disk_look_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsDiskFile, vs_disk_file_free)

G_END_DECLS
