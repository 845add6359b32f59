/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsQcow2Header:
 * @virtual_size: bytes the guest sees
 * @backing_file: (nullable): the backing file's name as it is written there
 * @backing_format: (nullable): the backing file's format as it is written there
 * @has_data_file: whether the data lies in another file
 * @is_encrypted: whether it needs a key
 * @is_corrupt: whether QEMU marked it as corrupt
 * @n_snapshots: how many internal snapshots are in it
 *
 * What the header of a qcow2 image says.
 */
typedef struct {
  guint64 virtual_size;
  char *backing_file;
  char *backing_format;
  gboolean has_data_file;
  gboolean is_encrypted;
  gboolean is_corrupt;
  guint n_snapshots;
} VsQcow2Header;

gboolean vs_qcow2_is (int fd);
VsQcow2Header *vs_qcow2_read_header (int fd,
                                     GError **error);
gboolean vs_qcow2_is_empty (int fd,
                            gboolean *empty,
                            GError **error);
void vs_qcow2_header_free (VsQcow2Header *header);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsQcow2Header, vs_qcow2_header_free)

G_END_DECLS
