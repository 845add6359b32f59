/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which disks of a domain an external snapshot covers, how, and what the overlays are called: from the definition and
 * the caller's wish alone, without a look at any file. Main thread.
 */
#include "vs-overlays.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vs-tags.h"

/* What file systems take for a name, and qcow2 for a backing file's path */
#define MAX_FILE_NAME 255
#define MAX_BACKING_PATH 1023

static const char *
get_string (JsonObject *object, const char *key)
{
  return json_object_get_string_member_with_default (object, key, NULL);
}

static void
set_string (JsonObject *object, const char *key, const char *value)
{
  if (value != NULL)
    json_object_set_string_member (object, key, value);
}

/**
 * vs_overlays_note_wish:
 * @wish: what a caller says of a snapshot
 *
 * Returns: (transfer full): what it says of the disks, for the fact %VS_OVERLAYS_FACT_WISH
 */
JsonArray *
vs_overlays_note_wish (VsSnapshotDef *wish)
{
  JsonArray *disks = json_array_new ();

  for (guint i = 0; i < wish->disks->len; i++)
    {
      const VsSnapshotDiskDef *disk = g_ptr_array_index (wish->disks, i);
      JsonObject *item = json_object_new ();

      json_object_set_string_member (item, "target", disk->target);
      if (disk->has_snapshot)
        json_object_set_string_member (item, "snapshot", vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, disk->snapshot));
      set_string (item, "path", disk->path);
      set_string (item, "format", disk->format);
      json_array_add_object_element (disks, item);
    }
  return disks;
}

G_GNUC_PRINTF (2, 3)
static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, format, args);
  va_end (args);
  return FALSE;
}

static gboolean
is_covered (const VsDiskDef *disk)
{
  return !disk->readonly && !disk->is_cdrom && disk->path != NULL;
}

/* By its target, or by the path of its source, as libvirt's XML may name it. */
static const VsDiskDef *
find_disk (VsDomainDef *def, const char *name)
{
  const VsDiskDef *disk = vs_domain_def_find_disk (def, name);

  for (guint i = 0; disk == NULL && i < def->disks->len; i++)
    if (g_strcmp0 (((const VsDiskDef *) g_ptr_array_index (def->disks, i))->path, name) == 0)
      disk = g_ptr_array_index (def->disks, i);
  return disk;
}

/* What is wished of each disk: target → object. */
static GHashTable *
index_wish (VsDomainDef *def, JsonArray *wish, GError **error)
{
  g_autoptr (GHashTable) table = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; wish != NULL && i < json_array_get_length (wish); i++)
    {
      JsonObject *item = json_array_get_object_element (wish, i);
      const char *name = get_string (item, "target");
      const VsDiskDef *disk = find_disk (def, name);

      if (disk == NULL)
        {
          refuse (error, "%s has no disk %s", def->name, name);
          return NULL;
        }
      if (!g_hash_table_insert (table, disk->target, item))
        {
          refuse (error, "Disk %s of %s is named twice", disk->target, def->name);
          return NULL;
        }
    }
  return g_steal_pointer (&table);
}

static VmSnapLocation
default_location (const VsDiskDef *disk, JsonObject *facts)
{
  int location = VMSNAP_LOCATION_EXTERNAL;

  if (!is_covered (disk) || disk->snapshot == VS_DISK_SNAPSHOT_NO)
    return VMSNAP_LOCATION_NONE;
  if (disk->snapshot == VS_DISK_SNAPSHOT_INTERNAL)
    return VMSNAP_LOCATION_INTERNAL;
  if (disk->snapshot == VS_DISK_SNAPSHOT_DEFAULT)
    vmsnap_enum_from_nick (VMSNAP_TYPE_LOCATION, get_string (facts, VS_OVERLAYS_FACT_LOCATION), &location);
  return location;
}

static gboolean
check_wish (const VsDiskDef *disk, JsonObject *wish, VmSnapLocation location, GError **error)
{
  const char *format = get_string (wish, "format");

  if (location == VMSNAP_LOCATION_NONE)
    return get_string (wish, "path") == NULL
           || refuse (error, "Disk %s takes no part in the snapshot, so it can't have an overlay at %s", disk->target,
                      get_string (wish, "path"));
  if (disk->path == NULL)
    return refuse (error, "Nothing is in drive %s, so there is nothing to take a snapshot of", disk->target);
  if (disk->readonly || disk->is_cdrom)
    return refuse (error, "Disk %s (%s) is read-only: it doesn't change, and needs no snapshot", disk->target, disk->path);
  if (location == VMSNAP_LOCATION_INTERNAL && get_string (wish, "path") != NULL)
    return refuse (error, "An internal snapshot of disk %s is kept in its own file, not at %s", disk->target,
                   get_string (wish, "path"));
  if (location == VMSNAP_LOCATION_EXTERNAL && format != NULL && !g_str_equal (format, "qcow2"))
    return refuse (error, "The overlay of disk %s can't be of the format %s: only qcow2 can record what is below it",
                   disk->target, format);
  return TRUE;
}

static gboolean
decide_location (const VsDiskDef *disk, JsonObject *wish, JsonObject *facts, VmSnapLocation *location, GError **error)
{
  const char *nick = wish != NULL ? get_string (wish, "snapshot") : NULL;
  int value = 0;

  *location = default_location (disk, facts);
  if (wish == NULL)
    return TRUE;
  if (nick != NULL && vmsnap_enum_from_nick (VMSNAP_TYPE_LOCATION, nick, &value))
    *location = value;
  else if (get_string (wish, "path") != NULL)
    *location = VMSNAP_LOCATION_EXTERNAL;
  return check_wish (disk, wish, *location, error);
}

/**
 * vs_overlays_default_path:
 * @path: a disk's active file
 * @snapshot: a snapshot's name
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT when the name would be too long for a file
 *
 * `<stem>.<snapshot>` beside the disk, where the stem is the file's name up to its last dot, as libvirt has it; a dot at
 * the beginning belongs to the name.
 *
 * Returns: (transfer full) (nullable): where the overlay goes unless the caller says otherwise
 */
char *
vs_overlays_default_path (const char *path, const char *snapshot, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (path);
  g_autofree char *stem = g_path_get_basename (path);
  char *dot = strrchr (stem + 1, '.');
  g_autofree char *name = NULL;

  if (dot != NULL)
    *dot = '\0';
  name = g_strconcat (stem, ".", snapshot, NULL);
  if (strlen (name) <= MAX_FILE_NAME)
    return g_build_filename (directory, name, NULL);
  refuse (error,
          "The overlay of %s would be called %s, which is longer than the %d bytes that a file's name may have; choose a "
          "shorter name for the snapshot, or give the overlay a path with the option 'disks'",
          path, name, MAX_FILE_NAME);
  return NULL;
}

static gboolean
is_device (const VsDiskDef *disk)
{
  return disk->is_block || (g_str_has_prefix (disk->path, "/dev/") && !g_str_has_prefix (disk->path, "/dev/shm/"));
}

static char *
decide_path (const VsDiskDef *disk, JsonObject *wish, const char *snapshot, GError **error)
{
  const char *wished = wish != NULL ? get_string (wish, "path") : NULL;
  g_autofree char *name = NULL;

  if (wished == NULL && is_device (disk))
    {
      refuse (error,
              "Disk %s (%s) is a block device, and an overlay can't be kept beside it; give it a path with the option "
              "'disks'",
              disk->target, disk->path);
      return NULL;
    }
  if (wished == NULL)
    return vs_overlays_default_path (disk->path, snapshot, error);
  name = g_path_get_basename (wished);
  if (!g_path_is_absolute (wished) || g_str_has_suffix (wished, "/"))
    refuse (error, "The overlay of disk %s can't be at %s: give the absolute path of a file", disk->target, wished);
  else if (strlen (name) > MAX_FILE_NAME)
    refuse (error, "The overlay of disk %s can't be called %s: a file's name may have %d bytes", disk->target, name,
            MAX_FILE_NAME);
  else
    return g_canonicalize_filename (wished, NULL);
  return NULL;
}

/* By name: what is the same file under two names is found when the files are looked at. */
static gboolean
check_path_is_free (VsDomainDef *def, JsonArray *overlays, const char *target, const char *path, GError **error)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);

      if (g_strcmp0 (disk->path, path) == 0)
        return refuse (error, "The overlay of disk %s can't be at %s: that is disk %s of %s itself", target, path,
                       disk->target, def->name);
    }
  for (guint i = 0; i < json_array_get_length (overlays); i++)
    {
      JsonObject *other = json_array_get_object_element (overlays, i);

      if (g_str_equal (get_string (other, VS_OVERLAY_PATH), path))
        return refuse (error, "The overlays of the disks %s and %s can't both be at %s; give each a path of its own with "
                              "the option 'disks'",
                       get_string (other, VS_OVERLAY_TARGET), target, path);
    }
  return TRUE;
}

static gboolean
add_overlay (VsDomainDef *def, const VsDiskDef *disk, JsonObject *wish, JsonObject *facts, JsonArray *overlays, GError **error)
{
  g_autofree char *path = decide_path (disk, wish, get_string (facts, VS_FACT_SNAPSHOT), error);
  JsonObject *item;

  if (path == NULL || !check_path_is_free (def, overlays, disk->target, path, error))
    return FALSE;
  if (strlen (disk->path) > MAX_BACKING_PATH)
    return refuse (error, "The path of disk %s is longer than the %d bytes that an overlay can record: %s", disk->target,
                   MAX_BACKING_PATH, disk->path);
  item = json_object_new ();
  json_object_set_string_member (item, VS_OVERLAY_TARGET, disk->target);
  json_object_set_string_member (item, VS_OVERLAY_PATH, path);
  json_object_set_string_member (item, VS_OVERLAY_BASE_PATH, disk->path);
  json_object_set_string_member (item, VS_OVERLAY_BASE_FORMAT, disk->format);
  json_object_set_boolean_member (item, VS_OVERLAY_REUSE,
                                  json_object_get_boolean_member_with_default (facts, VS_OVERLAYS_FACT_REUSE, FALSE));
  json_array_add_object_element (overlays, item);
  return TRUE;
}

/**
 * vs_overlays_choose:
 * @def: the domain as it is
 * @facts: of the operation: what is wished; gets %VS_OVERLAYS_FACT, and %VS_TAGS_FACT_DISKS with the disks that are to
 *   have internal snapshots
 * @error: where to put %VMSNAP_ERROR_INVALID_ARGUMENT, %VMSNAP_ERROR_NOT_SUPPORTED
 *
 * For a workflow's check: which disks take part, and how.
 *
 * Returns: whether what is wished can be
 */
gboolean
vs_overlays_choose (VsDomainDef *def, JsonObject *facts, GError **error)
{
  JsonArray *wished = json_object_has_member (facts, VS_OVERLAYS_FACT_WISH)
                        ? json_object_get_array_member (facts, VS_OVERLAYS_FACT_WISH)
                        : NULL;
  g_autoptr (GHashTable) wish = index_wish (def, wished, error);
  g_autoptr (JsonArray) overlays = json_array_new ();
  g_autoptr (JsonArray) internal = json_array_new ();

  if (wish == NULL)
    return FALSE;
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      JsonObject *item = g_hash_table_lookup (wish, disk->target);
      VmSnapLocation location;

      if (!decide_location (disk, item, facts, &location, error))
        return FALSE;
      if (location == VMSNAP_LOCATION_EXTERNAL && !add_overlay (def, disk, item, facts, overlays, error))
        return FALSE;
      if (location == VMSNAP_LOCATION_INTERNAL && !vs_tags_choose_disk (def, disk, internal, error))
        return FALSE;
    }
  if (json_array_get_length (overlays) + json_array_get_length (internal) == 0)
    return refuse (error, "No disk of %s takes part in the snapshot; leave one in, or save the memory alone", def->name);
  json_object_set_array_member (facts, VS_OVERLAYS_FACT, g_steal_pointer (&overlays));
  json_object_set_array_member (facts, VS_TAGS_FACT_DISKS, g_steal_pointer (&internal));
  return TRUE;
}
