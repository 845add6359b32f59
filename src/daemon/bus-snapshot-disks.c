/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a caller says of the disks of a snapshot, in the option `disks` and in XML, as disks of a wish: each of them one
 * that the domain has, with a place and a file that go together. Main thread; looks at no file.
 */
#include "bus-snapshot-disks.h"

#include "bus-options.h"
#include "bus-snapshot-checks.h"

typedef struct {
  char *snapshot;
  char *path;
  char *format;
} DiskOptions;

static const BusOption disk_options[] = {
  BUS_OPTION_VALUE (DiskOptions, snapshot, "snapshot", "s"),
  BUS_OPTION_VALUE (DiskOptions, path, "path", "s"),
  BUS_OPTION_VALUE (DiskOptions, format, "format", "s"),
  BUS_OPTION_END,
};
static const BusOptionTable disk_table = { sizeof (DiskOptions), disk_options };

static gboolean
is_writable (const VsDiskDef *disk)
{
  return !disk->readonly && !disk->is_cdrom && disk->path != NULL;
}

/* A file of its own makes an overlay of it, if nothing else is said. */
static void
conclude_place (VsSnapshotDiskDef *part)
{
  if (part->has_snapshot || (part->path == NULL && part->format == NULL))
    return;
  part->snapshot = VMSNAP_LOCATION_EXTERNAL;
  part->has_snapshot = TRUE;
}

static gboolean
check_part (const VsSnapshotDiskDef *part, const VsDiskDef *disk, GError **error)
{
  const char *place = vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, part->snapshot);
  g_autofree char *format = part->format != NULL ? bus_snapshot_shorten (part->format) : NULL;

  if (!bus_snapshot_check_path ("'path'", part->path, error))
    return FALSE;
  if (part->has_snapshot && part->snapshot != VMSNAP_LOCATION_EXTERNAL && (part->path != NULL || part->format != NULL))
    return bus_snapshot_refuse (error, "'%s' is for snapshot=external only, not for '%s'",
                                part->path != NULL ? "path" : "format", place);
  if (part->format != NULL && !g_str_equal (part->format, "qcow2"))
    return bus_snapshot_refuse (error, "'format' of an overlay must be qcow2, not '%s', for no other can stand on another file",
                                format);
  if (part->has_snapshot && part->snapshot != VMSNAP_LOCATION_NONE && !is_writable (disk))
    return bus_snapshot_refuse (error, "it has nothing that changes (a CD-ROM, read-only, or without a file), so there is "
                                       "no '%s' snapshot of it; leave it out", place);
  return TRUE;
}

static gboolean
is_same (const VsSnapshotDiskDef *one, const VsSnapshotDiskDef *other)
{
  return one->has_snapshot == other->has_snapshot && one->snapshot == other->snapshot
         && g_strcmp0 (one->path, other->path) == 0 && g_strcmp0 (one->format, other->format) == 0;
}

/* Takes what one source says of one disk into the wish. */
static gboolean
take_part (VsSnapshotDef *wish, const VsDiskDef *disk, VsSnapshotDiskDef *part, GError **error)
{
  const VsSnapshotDiskDef *known = vs_snapshot_def_find_disk (wish, disk->target);
  VsSnapshotDiskDef *added;

  conclude_place (part);
  if (!check_part (part, disk, error))
    return FALSE;
  if (known != NULL && !is_same (known, part))
    return bus_snapshot_refuse (error, "option 'disks' and <disks> of the XML say different things of it; leave one out");
  if (known != NULL || !part->has_snapshot)
    return TRUE;
  added = vs_snapshot_def_add_disk (wish, disk->target, part->snapshot, part->path, part->format);
  added->is_block = part->is_block;
  return TRUE;
}

static gboolean
take_options (VsSnapshotDef *wish, const VsDiskDef *disk, const DiskOptions *options, GError **error)
{
  static const char *const places[] = { "none", "internal", "external", NULL };
  VsSnapshotDiskDef part = { .path = options->path, .format = options->format };
  int place = VMSNAP_LOCATION_NONE;

  if (!bus_snapshot_check_word ("'snapshot'", options->snapshot, places, error))
    return FALSE;
  part.has_snapshot = options->snapshot != NULL && vmsnap_enum_from_nick (VMSNAP_TYPE_LOCATION, options->snapshot, &place);
  part.snapshot = place;
  return take_part (wish, disk, &part, error);
}

static gboolean
add_option_disk (VsSnapshotDef *wish, VsDomainDef *domain, const char *target, GVariant *value, GError **error)
{
  const VsDiskDef *disk = vs_domain_def_find_disk (domain, target);
  g_autofree char *shown = bus_snapshot_shorten (target);
  DiskOptions *options;
  gboolean good;

  if (disk == NULL)
    return bus_snapshot_refuse (error, "Option 'disks': domain '%s' has no disk '%s'", domain->name, shown);
  options = bus_options_parse (&disk_table, value, error);
  good = options != NULL && take_options (wish, disk, options, error);
  bus_options_free (&disk_table, options);
  if (!good)
    g_prefix_error (error, "Option 'disks', disk '%s': ", target);
  return good;
}

/**
 * bus_snapshot_add_option_disks:
 * @wish: a definition that isn't shared yet
 * @domain: the domain's
 * @disks: (nullable): the option `disks`: an `a{sa{sv}}`
 * @error: where to put what is wrong with it
 *
 * Takes what @disks says into @wish. Disks of which it says nothing are left to the defaults.
 *
 * Returns: whether it makes sense
 */
gboolean
bus_snapshot_add_option_disks (VsSnapshotDef *wish, VsDomainDef *domain, GVariant *disks, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gboolean good = TRUE;
  GVariantIter iter;
  const char *target;
  GVariant *value;

  if (disks == NULL)
    return TRUE;
  g_variant_iter_init (&iter, disks);
  while (good && g_variant_iter_next (&iter, "{&s@a{sv}}", &target, &value))
    {
      if (!g_hash_table_add (seen, g_strdup (target)))
        good = bus_snapshot_refuse (error, "Option 'disks' names disk '%s' twice", target);
      good = good && add_option_disk (wish, domain, target, value, error);
      g_variant_unref (value);
    }
  return good;
}

/* In XML a disk may be named by its file, too. */
static const VsDiskDef *
find_text_disk (VsDomainDef *domain, const char *name)
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

/**
 * bus_snapshot_add_text_disks:
 * @wish: a definition that isn't shared yet, with the disks of the options in it
 * @domain: the domain's
 * @text: a definition of a caller's
 * @error: where to put what is wrong with it, or contradicts the options
 *
 * Takes what @text says of disks into @wish; there they are named by their targets.
 *
 * Returns: whether it makes sense
 */
gboolean
bus_snapshot_add_text_disks (VsSnapshotDef *wish, VsDomainDef *domain, VsSnapshotDef *text, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < text->disks->len; i++)
    {
      const VsSnapshotDiskDef *said = g_ptr_array_index (text->disks, i);
      const VsDiskDef *disk = find_text_disk (domain, said->target);
      g_autofree char *shown = bus_snapshot_shorten (said->target);
      VsSnapshotDiskDef part = *said;

      if (disk == NULL)
        return bus_snapshot_refuse (error, "The XML names a disk '%s', and domain '%s' has none of this target or file",
                                    shown, domain->name);
      if (!g_hash_table_add (seen, (gpointer) disk))
        return bus_snapshot_refuse (error, "The XML names the disk '%s' twice, by its target and by its file", disk->target);
      if (!take_part (wish, disk, &part, error))
        {
          g_prefix_error (error, "Disk '%s' of the XML: ", disk->target);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
claim_file (GHashTable *files, const char *path, const char *owner, GError **error)
{
  char *file = g_canonicalize_filename (path, "/");
  const char *other = g_hash_table_lookup (files, file);

  if (other == NULL)
    {
      g_hash_table_insert (files, file, g_strdup (owner));
      return TRUE;
    }
  bus_snapshot_refuse (error, "%s and %s can't both have the file %s; give each a path of its own", other, owner, file);
  g_free (file);
  return FALSE;
}

static gboolean
check_new_files (GHashTable *files, VsSnapshotDef *wish, GError **error)
{
  for (guint i = 0; i < wish->disks->len; i++)
    {
      const VsSnapshotDiskDef *part = g_ptr_array_index (wish->disks, i);
      g_autofree char *owner = g_strdup_printf ("the overlay ('path') of disk '%s'", part->target);

      if (part->path != NULL && !claim_file (files, part->path, owner, error))
        return FALSE;
    }
  return wish->memory_path == NULL || claim_file (files, wish->memory_path, "the memory ('memory-path')", error);
}

/**
 * bus_snapshot_check_files:
 * @wish: what is asked for
 * @domain: the domain's definition
 * @error: where to put which two want one file
 *
 * Goes by the names alone; that a file is there already, by whatever name, is found out when it is to be made.
 *
 * Returns: whether each file of the snapshot is another, and none is a disk of the domain
 */
gboolean
bus_snapshot_check_files (VsSnapshotDef *wish, VsDomainDef *domain, GError **error)
{
  g_autoptr (GHashTable) files = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  for (guint i = 0; i < domain->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (domain->disks, i);

      /* Two disks of a domain may share a file, if they are read-only. */
      if (disk->path != NULL)
        g_hash_table_replace (files, g_canonicalize_filename (disk->path, "/"),
                              g_strdup_printf ("disk '%s'", disk->target));
    }
  return check_new_files (files, wish, error);
}

/**
 * bus_snapshot_covers_disks:
 * @wish: what is asked for
 * @domain: the domain's definition
 *
 * Returns: whether there is a disk that the snapshot is of
 */
gboolean
bus_snapshot_covers_disks (VsSnapshotDef *wish, VsDomainDef *domain)
{
  for (guint i = 0; i < domain->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (domain->disks, i);
      const VsSnapshotDiskDef *part = vs_snapshot_def_find_disk (wish, disk->target);
      gboolean left_out = part != NULL ? part->snapshot == VMSNAP_LOCATION_NONE
                                       : disk->snapshot == VS_DISK_SNAPSHOT_NO;

      if (is_writable (disk) && !left_out)
        return TRUE;
    }
  return FALSE;
}
