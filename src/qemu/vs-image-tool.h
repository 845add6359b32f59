/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsImageSnapshot:
 * @id: qcow2's own number of it
 * @tag: its name
 * @vm_state_size: bytes of guest state kept with it; 0: disks only
 * @creation_time: microseconds since the epoch, UTC
 *
 * One internal snapshot of an image.
 */
typedef struct {
  char *id;
  char *tag;
  guint64 vm_state_size;
  gint64 creation_time;
} VsImageSnapshot;

/**
 * VsImageInfo:
 * @format: the format it was opened with
 * @virtual_size: bytes the guest sees
 * @actual_size: bytes it takes on the host
 * @backing_file: (nullable): the backing file as an absolute path
 * @backing_format: (nullable): the backing file's format as the image records it
 * @data_file: (nullable): the file that holds its data, when that is another
 * @encrypted: whether it needs a key
 * @corrupt: whether QEMU marked it as corrupt
 * @snapshots: (element-type VsImageSnapshot): internal snapshots, oldest first
 *
 * What qemu-img says of an image.
 */
typedef struct {
  char *format;
  guint64 virtual_size;
  guint64 actual_size;
  char *backing_file;
  char *backing_format;
  char *data_file;
  gboolean encrypted;
  gboolean corrupt;
  GPtrArray *snapshots;
} VsImageInfo;

void vs_image_snapshot_free (VsImageSnapshot *snapshot);
void vs_image_info_free (VsImageInfo *info);
const VsImageSnapshot *vs_image_info_find_snapshot (const VsImageInfo *info,
                                                    const char *tag);

char *vs_image_tool_find_named (const char *name,
                                const char *emulator,
                                GError **error);
char *vs_image_tool_find (const char *emulator,
                          GError **error);

VsImageInfo *vs_image_info (const char *tool,
                            const char *path,
                            const char *format,
                            GCancellable *cancellable,
                            GError **error);
gboolean vs_image_snapshot_create (const char *tool,
                                   const char *path,
                                   const char *tag,
                                   GCancellable *cancellable,
                                   GError **error);
gboolean vs_image_snapshot_apply (const char *tool,
                                  const char *path,
                                  const char *tag,
                                  GCancellable *cancellable,
                                  GError **error);
gboolean vs_image_snapshot_delete (const char *tool,
                                   const char *path,
                                   const char *tag,
                                   GCancellable *cancellable,
                                   GError **error);
gboolean vs_image_tag_is_usable (const char *tag);
gboolean vs_image_overlay_create (const char *tool,
                                  const char *path,
                                  guint64 size,
                                  const char *backing,
                                  const char *backing_format,
                                  GCancellable *cancellable,
                                  GError **error);
gboolean vs_image_overlay_set_backing (const char *tool,
                                       const char *path,
                                       const char *backing,
                                       const char *backing_format,
                                       GError **error);
gboolean vs_image_overlay_commit (const char *tool,
                                  const char *path,
                                  gboolean empty,
                                  GError **error);
gboolean vs_image_extract (const char *tool,
                           const char *path,
                           const char *tag,
                           const char *target,
                           const char *backing,
                           const char *backing_format,
                           GCancellable *cancellable,
                           GError **error);
char *vs_image_tag_for_name (const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageSnapshot, vs_image_snapshot_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageInfo, vs_image_info_free)

G_END_DECLS
