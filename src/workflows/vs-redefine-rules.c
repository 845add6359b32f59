/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A snapshot's description that somebody brings: whether it says all that a record needs, and nothing that contradicts
 * itself, the other records, or the record that it replaces. It is a stranger's text. Pure; any thread.
 */
#include "vs-redefine-rules.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vs-frozen-file.h"
#include "vs-image-tool.h"
#include "vs-nvram.h"

static gboolean G_GNUC_PRINTF (2, 3) refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, format, args);
  va_end (args);
  return FALSE;
}

/* What the text may leave unsaid of a snapshot that is on record. */
static void
fill_from_known (VsSnapshotDef *def, VsSnapshotDef *known)
{
  if (!def->has_state)
    {
      def->has_state = known->has_state;
      def->state = known->state;
    }
  if (def->creation_time == 0)
    def->creation_time = known->creation_time;
  if (def->domain == NULL && known->domain != NULL)
    def->domain = vs_domain_def_ref (known->domain);
  if (def->inactive_domain == NULL && known->inactive_domain != NULL)
    def->inactive_domain = vs_domain_def_ref (known->inactive_domain);
  if (!def->has_memory)
    {
      def->has_memory = known->has_memory;
      def->memory = known->memory;
      def->memory_path = g_strdup (known->memory_path);
    }
}

static gboolean
check_said (VsSnapshotDef *def, const char *uuid, GError **error)
{
  if (def->name == NULL)
    return refuse (error, "The XML of the snapshot has no <name>: it must tell which snapshot it describes");
  if (!def->has_state)
    return refuse (error, "The XML of snapshot %s has no <state>", def->name);
  if (def->creation_time == 0)
    return refuse (error, "The XML of snapshot %s has no <creationTime>", def->name);
  if (def->domain == NULL)
    return refuse (error,
                   "The XML of snapshot %s has no <domain>: without the definition as it was then, nobody can tell "
                   "which files it is in",
                   def->name);
  if (!g_str_equal (def->domain->uuid, uuid))
    return refuse (error, "Snapshot %s is of the domain %s (%s), not of %s", def->name, def->domain->uuid,
                   def->domain->name, uuid);
  if (def->inactive_domain != NULL && !g_str_equal (def->inactive_domain->uuid, uuid))
    return refuse (error, "<inactiveDomain> of snapshot %s is the domain %s, not %s", def->name,
                   def->inactive_domain->uuid, uuid);
  return TRUE;
}

static gboolean
check_memory (VsSnapshotDef *def, GError **error)
{
  gboolean has_guest = def->state == VMSNAP_SNAPSHOT_STATE_RUNNING || def->state == VMSNAP_SNAPSHOT_STATE_PAUSED;
  const char *state = vmsnap_enum_to_nick (VMSNAP_TYPE_SNAPSHOT_STATE, (int)def->state);

  if (!def->has_memory)
    {
      def->has_memory = TRUE;
      def->memory = has_guest ? VMSNAP_LOCATION_INTERNAL : VMSNAP_LOCATION_NONE;
    }
  if (has_guest && def->memory == VMSNAP_LOCATION_NONE)
    return refuse (error, "Snapshot %s is of the state %s, but without <memory>", def->name, state);
  if (!has_guest && def->memory != VMSNAP_LOCATION_NONE)
    return refuse (error, "Snapshot %s is of the state %s, which has no <memory>", def->name, state);
  if (def->memory == VMSNAP_LOCATION_EXTERNAL && def->memory_path == NULL)
    return refuse (error, "<memory> of snapshot %s doesn't tell its file", def->name);
  return TRUE;
}

static gboolean
is_covered (const VsDiskDef *disk)
{
  return !disk->readonly && !disk->is_cdrom && disk->path != NULL;
}

/* A caller's XML may name a disk by its file. */
static const VsDiskDef *
find_disk (VsDomainDef *domain, const char *name)
{
  const VsDiskDef *found = vs_domain_def_find_disk (domain, name);

  for (guint i = 0; found == NULL && i < domain->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (domain->disks, i);

      if (g_strcmp0 (disk->path, name) == 0)
        found = disk;
    }
  return found;
}

static gboolean
check_internal (VsSnapshotDef *def, const VsDiskDef *disk, GError **error)
{
  if (!is_covered (disk))
    return refuse (error, "Disk %s of snapshot %s is read-only, or without a file: it can't be in the snapshot",
                   disk->target, def->name);
  if (!g_str_equal (disk->format, "qcow2"))
    return refuse (error, "Disk %s of snapshot %s (%s) is %s, which holds no internal snapshots", disk->target,
                   def->name, disk->path, disk->format);
  return TRUE;
}

static gboolean
check_external (VsSnapshotDef *def, const VsDiskDef *disk, const VsSnapshotDiskDef *part, GError **error)
{
  if (!is_covered (disk))
    return refuse (error, "Disk %s of snapshot %s is read-only, or without a file: it can't be in the snapshot",
                   disk->target, def->name);
  if (part->path == NULL)
    return refuse (error,
                   "Snapshot %s doesn't tell the overlay of disk %s: name it with <source>, or give "
                   "snapshot='no'",
                   def->name, disk->target);
  if (g_strcmp0 (part->format, "qcow2") != 0)
    return refuse (error, "The overlay of disk %s in snapshot %s is of the format %s; overlays are qcow2", disk->target,
                   def->name, part->format);
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *other = g_ptr_array_index (def->disks, i);

      if (g_strcmp0 (other->path, part->path) == 0)
        return refuse (error, "Disks %s and %s of snapshot %s have the same overlay, %s", other->target, disk->target,
                       def->name, part->path);
    }
  return TRUE;
}

static gboolean
add_disk (VsSnapshotDef *def, const VsSnapshotDiskDef *said, VmSnapLocation otherwise, GError **error)
{
  const VsDiskDef *disk = find_disk (def->domain, said->target);
  VsSnapshotDiskDef part = *said;
  VsSnapshotDiskDef *added;

  if (disk == NULL)
    return refuse (error, "Snapshot %s has a disk %s, but its <domain> hasn't", def->name, said->target);
  if (vs_snapshot_def_find_disk (def, disk->target) != NULL)
    return refuse (error, "Disk %s is in snapshot %s twice", disk->target, def->name);
  if (!part.has_snapshot)
    part.snapshot = is_covered (disk) ? otherwise : VMSNAP_LOCATION_NONE;
  if (part.snapshot == VMSNAP_LOCATION_EXTERNAL && part.format == NULL)
    part.format = (char *)"qcow2";
  if (part.snapshot != VMSNAP_LOCATION_EXTERNAL)
    part.path = part.format = NULL;
  if ((part.snapshot == VMSNAP_LOCATION_INTERNAL && !check_internal (def, disk, error))
      || (part.snapshot == VMSNAP_LOCATION_EXTERNAL && !check_external (def, disk, &part, error)))
    return FALSE;
  added = vs_snapshot_def_add_disk (def, disk->target, part.snapshot, part.path, part.format);
  added->is_block = part.path != NULL && part.is_block;
  return TRUE;
}

/* As libvirt reads it: with the memory, else inside unless something is outside. */
static VmSnapLocation
default_location (VsSnapshotDef *def, VsSnapshotDef *given)
{
  if (def->memory != VMSNAP_LOCATION_NONE)
    return def->memory;
  if (def->state == VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT
      || vs_snapshot_def_get_location (given) == VMSNAP_LOCATION_EXTERNAL)
    return VMSNAP_LOCATION_EXTERNAL;
  return VMSNAP_LOCATION_INTERNAL;
}

/* Every disk of the domain, each by its target and with its place. */
static gboolean
complete_disks (VsSnapshotDef *def, VsSnapshotDef *given, GError **error)
{
  VmSnapLocation otherwise = default_location (def, given);

  for (guint i = 0; i < given->disks->len; i++)
    if (!add_disk (def, g_ptr_array_index (given->disks, i), otherwise, error))
      return FALSE;
  for (guint i = 0; i < def->domain->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->domain->disks, i);
      VsSnapshotDiskDef unsaid = { .target = disk->target };

      if (vs_snapshot_def_find_disk (def, disk->target) == NULL && !add_disk (def, &unsaid, otherwise, error))
        return FALSE;
    }
  if (vs_snapshot_def_get_location (def) == VMSNAP_LOCATION_NONE)
    return refuse (error, "Snapshot %s is of nothing: neither of a disk nor of memory", def->name);
  return TRUE;
}

static gboolean
has_internal_disk (VsSnapshotDef *def, const char *target)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *disk = g_ptr_array_index (def->disks, i);

      if (disk->snapshot == VMSNAP_LOCATION_INTERNAL && (target == NULL || g_str_equal (disk->target, target)))
        return TRUE;
    }
  return FALSE;
}

/* A fact that this version doesn't know is one that a later version may trust. */
static gboolean
check_keys (VsSnapshotDef *def, GError **error)
{
  static const char *const keys[]
    = { VS_SNAPSHOT_FACT_CREATION_TIME, VS_SNAPSHOT_FACT_DOWNTIME, VS_SNAPSHOT_FACT_SIZE,  VS_SNAPSHOT_FACT_MEMORY_SIZE,
        VS_SNAPSHOT_FACT_TAG,           VS_SNAPSHOT_FACT_VMSTATE,  VS_SNAPSHOT_FACT_NVRAM, NULL };
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, def->facts);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    if (!g_strv_contains (keys, key) && !vs_frozen_file_is_key (key))
      return refuse (error, "The fact '%s' in <cookie> of snapshot %s is none that this version keeps; take it out",
                     (const char *)key, def->name);
  return TRUE;
}

/* The store's other files are not the snapshot's, and would go when it is deleted. */
static gboolean
check_nvram (VsSnapshotDef *def, GError **error)
{
  const char *nvram = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_NVRAM);
  g_autofree char *own = vs_nvram_file_name (def->name);

  if (nvram == NULL)
    return TRUE;
  if (!g_str_equal (nvram, own))
    return refuse (error, "The fact 'nvram' in <cookie> of snapshot %s must be %s, not %s", def->name, own, nvram);
  if (!vs_nvram_is_kept (def->domain))
    return refuse (error,
                   "Snapshot %s has UEFI variables by the fact 'nvram' in its <cookie>, but its <domain> has none",
                   def->name);
  return TRUE;
}

static gboolean
check_facts (VsSnapshotDef *def, GError **error)
{
  const char *vmstate = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_VMSTATE);
  const char *tag = vs_snapshot_def_get_tag (def);

  if (!check_keys (def, error) || !check_nvram (def, error))
    return FALSE;
  if (def->memory == VMSNAP_LOCATION_INTERNAL && !has_internal_disk (def, NULL))
    return refuse (error, "The memory of snapshot %s is said to be internal, but no disk is that it could be in",
                   def->name);
  if (vmstate != NULL && (def->memory != VMSNAP_LOCATION_INTERNAL || !has_internal_disk (def, vmstate)))
    return refuse (error,
                   "The fact 'vmstate' in <cookie> of snapshot %s must name the disk inside which its memory is, "
                   "not %s",
                   def->name, vmstate);
  if (has_internal_disk (def, NULL) && !vs_image_tag_is_usable (tag))
    return refuse (error,
                   "Snapshot %s can't be inside the disks as '%s': QEMU would take that for another one's number",
                   def->name, tag);
  return TRUE;
}

/* What the files are that it froze is what they were when it was put on record, not what a text says. */
static void
keep_frozen_files (VsSnapshotDef *def, VsSnapshotDef *known)
{
  GHashTableIter iter;
  gpointer key, value;

  g_hash_table_iter_init (&iter, def->facts);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    if (vs_frozen_file_is_key (key))
      g_hash_table_iter_remove (&iter);
  if (known == NULL)
    return;
  g_hash_table_iter_init (&iter, known->facts);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (vs_frozen_file_is_key (key))
      vs_snapshot_def_set_fact (def, key, value);
}

/* What was measured or chosen when it was taken can't change. */
static void
keep_facts (VsSnapshotDef *def, VsSnapshotDef *known)
{
  static const char *const measured[]
    = { VS_SNAPSHOT_FACT_DOWNTIME, VS_SNAPSHOT_FACT_SIZE, VS_SNAPSHOT_FACT_MEMORY_SIZE };
  static const char *const chosen[] = { VS_SNAPSHOT_FACT_TAG, VS_SNAPSHOT_FACT_VMSTATE, VS_SNAPSHOT_FACT_NVRAM };

  for (gsize i = 0; i < G_N_ELEMENTS (measured); i++)
    vs_snapshot_def_set_fact (def, measured[i], vs_snapshot_def_get_fact (known, measured[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (chosen); i++)
    if (vs_snapshot_def_get_fact (def, chosen[i]) == NULL)
      vs_snapshot_def_set_fact (def, chosen[i], vs_snapshot_def_get_fact (known, chosen[i]));
}

/**
 * vs_redefine_complete:
 * @given: what somebody says that a snapshot is
 * @uuid: the domain's uuid
 * @known: (nullable): the record of that name, for what @given leaves unsaid
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Returns: (transfer full) (nullable): what @given says, with what it implies: each disk of its `<domain>`, by target
 *   and with its place, and where the memory is
 */
VsSnapshotDef *
vs_redefine_complete (VsSnapshotDef *given, const char *uuid, VsSnapshotDef *known, GError **error)
{
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_copy (given);

  if (known != NULL)
    fill_from_known (def, known);
  if (!check_said (def, uuid, error) || !check_memory (def, error))
    return NULL;
  if (known != NULL && given->disks->len == 0)
    given = known;
  g_ptr_array_set_size (def->disks, 0);
  if (!complete_disks (def, given, error))
    return NULL;
  if (known != NULL)
    keep_facts (def, known);
  keep_frozen_files (def, known);
  return check_facts (def, error) ? g_steal_pointer (&def) : NULL;
}

static VsSnapshotDef *
find_other (GPtrArray *others, const char *name)
{
  for (guint i = 0; name != NULL && i < others->len; i++)
    {
      VsSnapshotDef *other = g_ptr_array_index (others, i);

      if (g_strcmp0 (other->name, name) == 0)
        return other;
    }
  return NULL;
}

/**
 * vs_redefine_check_parent:
 * @name: a snapshot's name
 * @parent: (nullable): its parent's
 * @others: (element-type VsSnapshotDef): the domain's records
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Returns: whether @parent is on record, and doesn't descend from @name
 */
gboolean
vs_redefine_check_parent (const char *name, const char *parent, GPtrArray *others, GError **error)
{
  VsSnapshotDef *ancestor = find_other (others, parent);

  if (g_strcmp0 (name, parent) == 0)
    return refuse (error, "Snapshot %s can't be its own parent", name);
  if (parent != NULL && ancestor == NULL)
    return refuse (error, "The parent of snapshot %s, %s, is not known; redefine that first, or leave <parent> out",
                   name, parent);
  for (guint i = 0; ancestor != NULL && i < others->len; i++)
    {
      if (g_strcmp0 (ancestor->parent, name) == 0)
        return refuse (error, "Snapshot %s can't be a child of %s, which descends from it", name, parent);
      ancestor = find_other (others, ancestor->parent);
    }
  return TRUE;
}

/* Whether a disk of both is inside the same file. */
static gboolean
share_a_file (VsSnapshotDef *one, VsSnapshotDef *two)
{
  for (guint i = 0; two->domain != NULL && i < one->disks->len; i++)
    {
      const VsSnapshotDiskDef *part = g_ptr_array_index (one->disks, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (one->domain, part->target);

      for (guint j = 0; part->snapshot == VMSNAP_LOCATION_INTERNAL && j < two->disks->len; j++)
        {
          const VsSnapshotDiskDef *other = g_ptr_array_index (two->disks, j);
          const VsDiskDef *other_disk = vs_domain_def_find_disk (two->domain, other->target);

          if (other->snapshot == VMSNAP_LOCATION_INTERNAL && other_disk != NULL
              && g_strcmp0 (disk->path, other_disk->path) == 0)
            return TRUE;
        }
    }
  return FALSE;
}

static gboolean
check_apart_from (VsSnapshotDef *def, VsSnapshotDef *other, GError **error)
{
  const char *tag = vs_snapshot_def_get_tag (def);

  if (g_strcmp0 (tag, vs_snapshot_def_get_tag (other)) == 0 && share_a_file (def, other))
    return refuse (error, "The internal snapshot %s inside the disks is that of snapshot %s, not of %s", tag,
                   other->name, def->name);
  if (def->memory_path != NULL && g_strcmp0 (def->memory_path, other->memory_path) == 0)
    return refuse (error, "%s is the memory of snapshot %s, not of %s", def->memory_path, other->name, def->name);
  for (guint i = 0; i < other->disks->len; i++)
    {
      const VsSnapshotDiskDef *taken = g_ptr_array_index (other->disks, i);

      for (guint j = 0; taken->path != NULL && j < def->disks->len; j++)
        if (g_strcmp0 (((const VsSnapshotDiskDef *)g_ptr_array_index (def->disks, j))->path, taken->path) == 0)
          return refuse (error, "%s is the overlay of snapshot %s, not of %s", taken->path, other->name, def->name);
    }
  return TRUE;
}

/**
 * vs_redefine_check_apart:
 * @def: a snapshot, as vs_redefine_complete() made it
 * @others: (element-type VsSnapshotDef): the domain's records
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Two records of one thing would be the end of the other when one is deleted.
 *
 * Returns: whether nothing of @def is on record as another snapshot's
 */
gboolean
vs_redefine_check_apart (VsSnapshotDef *def, GPtrArray *others, GError **error)
{
  for (guint i = 0; i < others->len; i++)
    {
      VsSnapshotDef *other = g_ptr_array_index (others, i);

      if (g_strcmp0 (other->name, def->name) != 0 && !check_apart_from (def, other, error))
        return FALSE;
    }
  return TRUE;
}
