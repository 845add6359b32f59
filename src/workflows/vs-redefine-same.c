/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether a snapshot's new record is still of the snapshot that is on record. Pure; any thread.
 */
#include "vmsnap-error.h"
#include "vs-redefine-rules.h"

static const char *
location_nick (VmSnapLocation location)
{
  return vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, (int)location);
}

static const char *
or_nothing (const char *text)
{
  return text != NULL ? text : "nothing";
}

static gboolean
check_equal (const char *name, const char *what, const char *known, const char *now, GError **error)
{
  if (g_strcmp0 (known, now) == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "Snapshot %s is on record, and can't become another one: %s is %s, in the XML %s. Its "
               "description, creation time and parent may change",
               name, what, or_nothing (known), or_nothing (now));
  return FALSE;
}

static gboolean
check_same_disk (VsSnapshotDef *known, VsSnapshotDef *def, const VsSnapshotDiskDef *now, GError **error)
{
  const VsSnapshotDiskDef *then = vs_snapshot_def_find_disk (known, now->target);
  const VsDiskDef *disk = vs_domain_def_find_disk (def->domain, now->target);
  const VsDiskDef *known_disk = known->domain != NULL ? vs_domain_def_find_disk (known->domain, now->target) : disk;
  VmSnapLocation location = then != NULL && then->has_snapshot ? then->snapshot : VMSNAP_LOCATION_NONE;
  g_autofree char *place = g_strdup_printf ("the place of disk %s", now->target);
  g_autofree char *overlay = g_strdup_printf ("the overlay of disk %s", now->target);
  g_autofree char *file = g_strdup_printf ("the file of disk %s", now->target);

  if (!check_equal (def->name, place, location_nick (location), location_nick (now->snapshot), error))
    return FALSE;
  if (now->snapshot == VMSNAP_LOCATION_NONE)
    return TRUE;
  return check_equal (def->name, overlay, then->path, now->path, error)
         && check_equal (def->name, file, known_disk != NULL ? known_disk->path : NULL, disk->path, error);
}

static gboolean
check_same_disks (VsSnapshotDef *known, VsSnapshotDef *def, GError **error)
{
  for (guint i = 0; i < known->disks->len; i++)
    {
      const VsSnapshotDiskDef *then = g_ptr_array_index (known->disks, i);

      if (then->snapshot != VMSNAP_LOCATION_NONE && vs_snapshot_def_find_disk (def, then->target) == NULL)
        return check_equal (def->name, "a disk", then->target, NULL, error);
    }
  for (guint i = 0; i < def->disks->len; i++)
    if (!check_same_disk (known, def, g_ptr_array_index (def->disks, i), error))
      return FALSE;
  return TRUE;
}

static gboolean
check_same_facts (VsSnapshotDef *known, VsSnapshotDef *def, GError **error)
{
  static const char *const keys[] = { VS_SNAPSHOT_FACT_VMSTATE, VS_SNAPSHOT_FACT_NVRAM };

  if (!check_equal (def->name, "the tag inside the disks", vs_snapshot_def_get_tag (known),
                    vs_snapshot_def_get_tag (def), error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *what = g_strdup_printf ("the fact '%s'", keys[i]);
      const char *then = vs_snapshot_def_get_fact (known, keys[i]);

      if (then != NULL && !check_equal (def->name, what, then, vs_snapshot_def_get_fact (def, keys[i]), error))
        return FALSE;
    }
  return TRUE;
}

/**
 * vs_redefine_check_same:
 * @known: the record that there is
 * @def: what shall take its place, as vs_redefine_complete() made it
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT, naming the first difference
 *
 * Returns: whether both are the same snapshot: only what people say of it may differ, and its place in the tree
 */
gboolean
vs_redefine_check_same (VsSnapshotDef *known, VsSnapshotDef *def, GError **error)
{
  g_autofree char *difference = NULL;

  if (!check_equal (def->name, "its state", vmsnap_enum_to_nick (VMSNAP_TYPE_SNAPSHOT_STATE, (int)known->state),
                    vmsnap_enum_to_nick (VMSNAP_TYPE_SNAPSHOT_STATE, (int)def->state), error)
      || !check_equal (def->name, "the place of its memory", location_nick (known->memory), location_nick (def->memory),
                       error)
      || !check_equal (def->name, "the file of its memory", known->memory_path, def->memory_path, error)
      || !check_same_disks (known, def, error) || !check_same_facts (known, def, error))
    return FALSE;
  if (known->domain == NULL || vs_domain_def_guest_abi_equal (known->domain, def->domain, &difference))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "Snapshot %s is on record, and can't become another one: its <domain> differs (%s)", def->name,
               difference);
  return FALSE;
}
