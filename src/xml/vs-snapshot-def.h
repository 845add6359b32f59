/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmsnap-enums.h"
#include "vs-domain-def.h"

G_BEGIN_DECLS

/**
 * VS_SNAPSHOT_XMLNS:
 *
 * The namespace of our own facts in the `<cookie>` of a `<domainsnapshot>`.
 */
#define VS_SNAPSHOT_XMLNS "https://vmsnap.org/xmlns/snapshot/1"

/**
 * VS_SNAPSHOT_DESCRIPTION_MAX:
 *
 * The longest description of a snapshot, in bytes of UTF-8.
 */
#define VS_SNAPSHOT_DESCRIPTION_MAX 65536

/* The keys of facts in use. A fact is a string with a key of `[a-z0-9-]`, so a later one changes no format. */
#define VS_SNAPSHOT_FACT_CREATION_TIME "creation-time" /* microseconds since the epoch */
#define VS_SNAPSHOT_FACT_DOWNTIME "downtime"           /* microseconds */
#define VS_SNAPSHOT_FACT_SIZE "size"                   /* bytes, memory and disks */
#define VS_SNAPSHOT_FACT_MEMORY_SIZE "memory-size"     /* bytes of saved memory */
#define VS_SNAPSHOT_FACT_TAG "tag"                     /* tag inside the qcow2 files, when it isn't the name */
#define VS_SNAPSHOT_FACT_VMSTATE "vmstate"             /* target of the disk that holds the memory */
#define VS_SNAPSHOT_FACT_NVRAM "nvram"                 /* file name of the kept variable store */
#define VS_SNAPSHOT_FACT_TPM "tpm"                     /* file name of the kept TPM state */
#define VS_SNAPSHOT_FACT_FILE_PREFIX "file-"           /* and a target: what the file was that it froze */

/**
 * VsSnapshotDiskDef:
 * @target: the disk's name in the domain; when parsed from a caller's XML it may be the path of its source
 * @snapshot: where this disk's state is kept
 * @has_snapshot: whether @snapshot was said (else the snapshot's default applies)
 * @path: (nullable): external: the new overlay; absolute
 * @format: (nullable): external: the overlay's format
 * @is_block: external: @path is a block device
 */
typedef struct {
  char *target;
  VmSnapLocation snapshot;
  gboolean has_snapshot;
  char *path;
  char *format;
  gboolean is_block;
} VsSnapshotDiskDef;

/**
 * VsSnapshotDef:
 * @name: (nullable): %NULL when a caller's XML leaves it to us
 * @description: (nullable): for people
 * @has_state: whether @state was said
 * @state: what it brings back
 * @creation_time: microseconds since the epoch, UTC; 0: not said
 * @parent: (nullable): name of the parent
 * @has_memory: whether `<memory>` was there
 * @memory: where the memory is kept
 * @memory_path: (nullable): its file, for external; absolute
 * @disks: (element-type VsSnapshotDiskDef): in document order
 * @domain: (nullable): the whole definition as it was then
 * @inactive_domain: (nullable): what the domain would have become at its next start, where that differed
 * @facts: (element-type utf8 utf8): our own extras, see vs_snapshot_def_set_fact()
 *
 * A snapshot's definition: libvirt's `<domainsnapshot>`. Whoever makes one with vs_snapshot_def_new() fills in the
 * fields; once it is shared it must not change any more (vs_snapshot_def_copy() makes one that may).
 */
typedef struct {
  char *name;
  char *description;
  gboolean has_state;
  VmSnapSnapshotState state;
  guint64 creation_time;
  char *parent;
  gboolean has_memory;
  VmSnapLocation memory;
  char *memory_path;
  GPtrArray *disks;
  VsDomainDef *domain;
  VsDomainDef *inactive_domain;
  GHashTable *facts;
} VsSnapshotDef;

VsSnapshotDef *vs_snapshot_def_new (const char *name);
VsSnapshotDef *vs_snapshot_def_parse (const char *xml,
                                      VsDomainDefFlags flags,
                                      GError **error);
VsSnapshotDef *vs_snapshot_def_parse_data (const char *data,
                                           gsize length,
                                           VsDomainDefFlags flags,
                                           GError **error);
VsSnapshotDef *vs_snapshot_def_copy (VsSnapshotDef *self);
VsSnapshotDef *vs_snapshot_def_ref (VsSnapshotDef *self);
void vs_snapshot_def_unref (VsSnapshotDef *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsSnapshotDef, vs_snapshot_def_unref)

char *vs_snapshot_def_format (VsSnapshotDef *self);

gboolean vs_snapshot_description_is_valid (const char *description);

VsSnapshotDiskDef *vs_snapshot_def_add_disk (VsSnapshotDef *self,
                                             const char *target,
                                             VmSnapLocation snapshot,
                                             const char *path,
                                             const char *format);
const VsSnapshotDiskDef *vs_snapshot_def_find_disk (VsSnapshotDef *self,
                                                    const char *target);
VmSnapLocation vs_snapshot_def_get_location (VsSnapshotDef *self);
const char *vs_snapshot_def_get_tag (VsSnapshotDef *self);

const char *vs_snapshot_def_get_fact (VsSnapshotDef *self,
                                      const char *key);
guint64 vs_snapshot_def_get_fact_uint64 (VsSnapshotDef *self,
                                         const char *key);
void vs_snapshot_def_set_fact (VsSnapshotDef *self,
                               const char *key,
                               const char *value);
void vs_snapshot_def_set_fact_uint64 (VsSnapshotDef *self,
                                      const char *key,
                                      guint64 value);

G_END_DECLS
