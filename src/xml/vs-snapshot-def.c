/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A snapshot's definition as a value: making, copying, asking. Whoever makes one fills it in one thread; shared, it is
 * only read.
 */
#include "vs-snapshot-def.h"

#include <string.h>

#include "vs-xml-util.h"

static void
disk_free (gpointer data)
{
  VsSnapshotDiskDef *disk = data;

  g_free (disk->target);
  g_free (disk->path);
  g_free (disk->format);
  g_free (disk);
}

static void
clear (gpointer data)
{
  VsSnapshotDef *self = data;

  g_free (self->name);
  g_free (self->description);
  g_free (self->parent);
  g_free (self->memory_path);
  g_ptr_array_unref (self->disks);
  g_clear_pointer (&self->domain, vs_domain_def_unref);
  g_clear_pointer (&self->inactive_domain, vs_domain_def_unref);
  g_hash_table_unref (self->facts);
}

/**
 * vs_snapshot_def_new:
 * @name: (nullable): its name
 *
 * Returns: (transfer full): a definition with nothing in it yet
 */
VsSnapshotDef *
vs_snapshot_def_new (const char *name)
{
  VsSnapshotDef *self = g_atomic_rc_box_new0 (VsSnapshotDef);

  self->name = g_strdup (name);
  self->disks = g_ptr_array_new_with_free_func (disk_free);
  self->facts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

/**
 * vs_snapshot_def_ref:
 * @self: a definition
 *
 * Returns: (transfer full): @self
 */
VsSnapshotDef *
vs_snapshot_def_ref (VsSnapshotDef *self)
{
  return g_atomic_rc_box_acquire (self);
}

/**
 * vs_snapshot_def_unref:
 * @self: (transfer full): a definition
 */
void
vs_snapshot_def_unref (VsSnapshotDef *self)
{
  g_atomic_rc_box_release_full (self, clear);
}

/**
 * vs_snapshot_def_copy:
 * @self: a definition
 *
 * Returns: (transfer full): another one of the same content, that may be changed until it is shared
 */
VsSnapshotDef *
vs_snapshot_def_copy (VsSnapshotDef *self)
{
  VsSnapshotDef *copy = vs_snapshot_def_new (self->name);
  GHashTableIter iter;
  gpointer key, value;

  copy->description = g_strdup (self->description);
  copy->has_state = self->has_state;
  copy->state = self->state;
  copy->creation_time = self->creation_time;
  copy->parent = g_strdup (self->parent);
  copy->has_memory = self->has_memory;
  copy->memory = self->memory;
  copy->memory_path = g_strdup (self->memory_path);
  copy->domain = self->domain != NULL ? vs_domain_def_ref (self->domain) : NULL;
  copy->inactive_domain = self->inactive_domain != NULL ? vs_domain_def_ref (self->inactive_domain) : NULL;
  for (guint i = 0; i < self->disks->len; i++)
    {
      const VsSnapshotDiskDef *disk = g_ptr_array_index (self->disks, i);
      VsSnapshotDiskDef *added = vs_snapshot_def_add_disk (copy, disk->target, disk->snapshot, disk->path,
                                                           disk->format);

      added->has_snapshot = disk->has_snapshot;
      added->is_block = disk->is_block;
    }
  g_hash_table_iter_init (&iter, self->facts);
  while (g_hash_table_iter_next (&iter, &key, &value))
    vs_snapshot_def_set_fact (copy, key, value);
  return copy;
}

/**
 * vs_snapshot_def_add_disk:
 * @self: a definition that isn't shared yet
 * @target: the disk's name
 * @snapshot: where its state is kept
 * @path: (nullable): for external: the overlay
 * @format: (nullable): for external: the overlay's format
 *
 * Returns: (transfer none): the disk that was added
 */
VsSnapshotDiskDef *
vs_snapshot_def_add_disk (VsSnapshotDef *self,
                          const char *target,
                          VmSnapLocation snapshot,
                          const char *path,
                          const char *format)
{
  VsSnapshotDiskDef *disk = g_new0 (VsSnapshotDiskDef, 1);

  disk->target = g_strdup (target);
  disk->snapshot = snapshot;
  disk->has_snapshot = TRUE;
  disk->path = g_strdup (path);
  disk->format = g_strdup (format);
  g_ptr_array_add (self->disks, disk);
  return disk;
}

/**
 * vs_snapshot_description_is_valid:
 * @description: valid UTF-8
 *
 * Returns: whether @description can be kept: it has at most %VS_SNAPSHOT_DESCRIPTION_MAX bytes, and only characters
 *   that XML can hold
 */
gboolean
vs_snapshot_description_is_valid (const char *description)
{
  return strlen (description) <= VS_SNAPSHOT_DESCRIPTION_MAX && vs_xml_text_is_valid (description);
}

/**
 * vs_snapshot_def_find_disk:
 * @self: a definition
 * @target: a disk's name
 *
 * Returns: (transfer none) (nullable): what the snapshot says of that disk
 */
const VsSnapshotDiskDef *
vs_snapshot_def_find_disk (VsSnapshotDef *self, const char *target)
{
  for (guint i = 0; i < self->disks->len; i++)
    {
      const VsSnapshotDiskDef *disk = g_ptr_array_index (self->disks, i);

      if (g_strcmp0 (disk->target, target) == 0)
        return disk;
    }
  return NULL;
}

static void
count_location (VmSnapLocation location, gboolean *internal, gboolean *external)
{
  if (location == VMSNAP_LOCATION_INTERNAL)
    *internal = TRUE;
  else if (location == VMSNAP_LOCATION_EXTERNAL)
    *external = TRUE;
}

/**
 * vs_snapshot_def_get_location:
 * @self: a definition
 *
 * Returns: where its disks and its memory are kept, taken together
 */
VmSnapLocation
vs_snapshot_def_get_location (VsSnapshotDef *self)
{
  gboolean internal = FALSE, external = FALSE;

  if (self->has_memory)
    count_location (self->memory, &internal, &external);
  for (guint i = 0; i < self->disks->len; i++)
    {
      const VsSnapshotDiskDef *disk = g_ptr_array_index (self->disks, i);

      if (disk->has_snapshot)
        count_location (disk->snapshot, &internal, &external);
    }
  if (internal && external)
    return VMSNAP_LOCATION_MIXED;
  if (internal)
    return VMSNAP_LOCATION_INTERNAL;
  return external ? VMSNAP_LOCATION_EXTERNAL : VMSNAP_LOCATION_NONE;
}

/**
 * vs_snapshot_def_get_tag:
 * @self: a definition
 *
 * Returns: (transfer none) (nullable): the tag of its parts inside qcow2 files: %VS_SNAPSHOT_FACT_TAG, or its name
 */
const char *
vs_snapshot_def_get_tag (VsSnapshotDef *self)
{
  const char *tag = vs_snapshot_def_get_fact (self, VS_SNAPSHOT_FACT_TAG);

  return tag != NULL ? tag : self->name;
}

/**
 * vs_snapshot_def_get_fact:
 * @self: a definition
 * @key: which fact
 *
 * Returns: (transfer none) (nullable): the fact
 */
const char *
vs_snapshot_def_get_fact (VsSnapshotDef *self, const char *key)
{
  return g_hash_table_lookup (self->facts, key);
}

/**
 * vs_snapshot_def_get_fact_uint64:
 * @self: a definition
 * @key: which fact
 *
 * Returns: the fact as a number; 0 when there is none
 */
guint64
vs_snapshot_def_get_fact_uint64 (VsSnapshotDef *self, const char *key)
{
  const char *text = vs_snapshot_def_get_fact (self, key);
  guint64 value = 0;

  if (text != NULL)
    g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, &value, NULL);
  return value;
}

/**
 * vs_snapshot_def_set_fact:
 * @self: a definition that isn't shared yet
 * @key: which fact: letters of `[a-z0-9-]`
 * @value: (nullable): what it is; %NULL: there is none any more
 */
void
vs_snapshot_def_set_fact (VsSnapshotDef *self, const char *key, const char *value)
{
  g_return_if_fail (key[0] != '\0' && strspn (key, G_CSET_a_2_z G_CSET_DIGITS "-") == strlen (key));

  if (value != NULL)
    g_hash_table_replace (self->facts, g_strdup (key), g_strdup (value));
  else
    g_hash_table_remove (self->facts, key);
}

/**
 * vs_snapshot_def_set_fact_uint64:
 * @self: a definition that isn't shared yet
 * @key: which fact: letters of `[a-z0-9-]`
 * @value: what it is
 */
void
vs_snapshot_def_set_fact_uint64 (VsSnapshotDef *self, const char *key, guint64 value)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, value);

  vs_snapshot_def_set_fact (self, key, text);
}
