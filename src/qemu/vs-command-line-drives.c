/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * SCSI, SATA and IDE: the controllers, and which place on them a disk gets: the one that the definition gives it, else
 * the next free one. Pure; any thread.
 */
#include "vs-command-line-private.h"

#include <string.h>

#define SATA_PORTS 6
#define LSI_UNITS 7
#define VIRTIO_SCSI_UNITS 16383

static const VsControllerDef *
find_controller (VsCommandLine *line, VsControllerType type, guint index)
{
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *controller = g_ptr_array_index (line->def->controllers, i);

      if (controller->type == type && controller->index == index)
        return controller;
    }
  return NULL;
}

static gboolean
is_lsi (VsCommandLine *line, guint index)
{
  const VsControllerDef *controller = find_controller (line, VS_CONTROLLER_SCSI, index);

  return controller != NULL && g_strcmp0 (controller->model, "lsilogic") == 0;
}

/* The units of a controller in one row: on IDE two buses of two each, elsewhere one bus. SCSI targets have luns on
 * virtio-scsi only; a disk that says nothing gets a lun of target 0. */
typedef struct
{
  guint max_bus;
  guint max_target;
  guint max_unit;
} Extent;

static Extent
extent_of (VsCommandLine *line, const VsDiskDef *disk, guint controller)
{
  if (disk->bus == VS_DISK_BUS_IDE)
    return (Extent){ 1, 0, 1 };
  if (disk->bus == VS_DISK_BUS_SATA)
    return (Extent){ 0, 0, SATA_PORTS - 1 };
  return is_lsi (line, controller) ? (Extent){ 0, 0, LSI_UNITS - 1 } : (Extent){ 0, 255, VIRTIO_SCSI_UNITS - 1 };
}

static const char *
place_key (const VsDiskDef *disk, const VsAddress *place, char *buffer, gsize size)
{
  g_snprintf (buffer, size, "%d:%u:%u:%u:%u", disk->bus, place->controller, place->bus, place->target, place->unit);
  return buffer;
}

static gboolean
check_drive (VsCommandLine *line, const VsDiskDef *disk, GError **error)
{
  const VsAddress *place = &disk->address;
  Extent extent = extent_of (line, disk, place->controller);

  if (disk->bus == VS_DISK_BUS_VIRTIO)
    return vs_command_line_refuse (line, error, disk->line, "disk %s is on bus='virtio': its <address> can't be of "
                                                            "type 'drive'", disk->target);
  if (disk->bus == VS_DISK_BUS_IDE && place->controller != 0)
    return vs_command_line_refuse (line, error, disk->line, "there is no IDE controller %u for disk %s; accepted: 0",
                                   place->controller, disk->target);
  if (place->bus > extent.max_bus || place->target > extent.max_target || place->unit > extent.max_unit)
    return vs_command_line_refuse (line, error, disk->line,
                                   "there is no place at bus %u, target %u, unit %u of a controller for disk %s; the "
                                   "last is at bus %u, target %u, unit %u", place->bus, place->target, place->unit,
                                   disk->target, extent.max_bus, extent.max_target, extent.max_unit);
  return TRUE;
}

static gboolean
check_other (VsCommandLine *line, const VsDiskDef *disk, GError **error)
{
  if (disk->address.type == VS_ADDRESS_NONE || disk->address.type == VS_ADDRESS_OTHER
      || (disk->address.type == VS_ADDRESS_PCI && disk->bus == VS_DISK_BUS_VIRTIO))
    return TRUE;
  return vs_command_line_refuse (line, error, disk->line, "the <address> of disk %s is of a type that no disk on its "
                                                          "bus has; accepted: type='%s'", disk->target,
                                 disk->bus == VS_DISK_BUS_VIRTIO ? "pci" : "drive");
}

static gboolean
keep_place (VsCommandLine *line, GHashTable *owners, const VsDiskDef *disk, const VsAddress *place)
{
  char key[64];

  place_key (disk, place, key, sizeof key);
  if (g_hash_table_contains (owners, key))
    return FALSE;
  g_hash_table_insert (owners, g_strdup (key), (gpointer)disk);
  g_hash_table_insert (line->drives, (gpointer)disk, g_memdup2 (place, sizeof *place));
  return TRUE;
}

static gboolean
keep_given_place (VsCommandLine *line, GHashTable *owners, const VsDiskDef *disk, GError **error)
{
  const VsDiskDef *other;
  char key[64];

  if (!check_drive (line, disk, error))
    return FALSE;
  if (keep_place (line, owners, disk, &disk->address))
    return TRUE;
  other = g_hash_table_lookup (owners, place_key (disk, &disk->address, key, sizeof key));
  return vs_command_line_refuse (line, error, disk->line, "the place of disk %s is taken by disk %s of line %u",
                                 disk->target, other->target, other->line);
}

/* The next in the row that is free. SATA goes on with the next controller; others have one for what says nothing. */
static gboolean
choose_place (VsCommandLine *line, GHashTable *owners, const VsDiskDef *disk, GError **error)
{
  const gboolean sata = disk->bus == VS_DISK_BUS_SATA;
  const Extent extent = extent_of (line, disk, 0);
  VsAddress place = { .type = VS_ADDRESS_DRIVE };

  while (!keep_place (line, owners, disk, &place))
    {
      if (++place.unit <= extent.max_unit)
        continue;
      place.unit = 0;
      if (sata)
        place.controller++;
      else if (++place.bus > extent.max_bus)
        return vs_command_line_refuse (line, error, disk->line, "no more than %u disks fit on the %s",
                                       (extent.max_bus + 1) * (extent.max_unit + 1),
                                       disk->bus == VS_DISK_BUS_IDE ? "IDE bus" : "first SCSI controller");
    }
  return TRUE;
}

/* What is given first, so that what is chosen never takes it. */
static gboolean
plan_places (VsCommandLine *line, GError **error)
{
  g_autoptr (GHashTable) owners = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  const GPtrArray *disks = line->def->disks;

  line->drives = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  for (guint i = 0; i < disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (disks, i);

      if (!(disk->address.type == VS_ADDRESS_DRIVE ? keep_given_place (line, owners, disk, error)
                                                   : check_other (line, disk, error)))
        return FALSE;
    }
  for (guint i = 0; i < disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (disks, i);

      if (disk->bus != VS_DISK_BUS_VIRTIO && !g_hash_table_contains (line->drives, disk)
          && !choose_place (line, owners, disk, error))
        return FALSE;
    }
  return TRUE;
}

/* Controllers */

static gboolean
add_controller (VsCommandLine *line, VsOption *device, const VsControllerDef *def, VsSlotKind kind, GError **error)
{
  if (vs_command_line_place (line, device, def != NULL ? &def->address : NULL, kind, error))
    {
      vs_command_line_take (line, "-device", device);
      return TRUE;
    }
  g_string_free (device, TRUE);
  return FALSE;
}

static gboolean
add_scsi_controller (VsCommandLine *line, guint index, GError **error)
{
  const VsControllerDef *def = find_controller (line, VS_CONTROLLER_SCSI, index);
  gboolean lsi = is_lsi (line, index);
  VsOption *device = vs_option_new (lsi ? "lsi" : "virtio-scsi-pci");

  vs_option_add (device, "id", "scsi%u", index);
  if (def != NULL && def->queues > 0 && !lsi)
    vs_option_add (device, "num_queues", "%u", def->queues);
  return add_controller (line, device, def, lsi ? VS_SLOT_CONVENTIONAL : VS_SLOT_EXPRESS, error);
}

static gboolean
add_sata_controller (VsCommandLine *line, guint index, GError **error)
{
  VsOption *device;

  if (line->family == VS_MACHINE_Q35 && index == 0)
    return TRUE;
  device = vs_option_new ("ahci");
  vs_option_add (device, "id", "sata%u", index);
  return add_controller (line, device, find_controller (line, VS_CONTROLLER_SATA, index), VS_SLOT_CONVENTIONAL, error);
}

/* Those that the disks need, and those that the definition has: of SATA, only if it says where. */
static gboolean
add_controllers (VsCommandLine *line,
                 VsDiskBus bus,
                 VsControllerType type,
                 gboolean (*add) (VsCommandLine *line, guint index, GError **error),
                 GError **error)
{
  gboolean wanted[256] = { FALSE };

  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type == type && (type == VS_CONTROLLER_SCSI || def->address.type == VS_ADDRESS_PCI))
        wanted[def->index & 255] = TRUE;
    }
  for (guint i = 0; i < line->def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (line->def->disks, i);

      if (disk->bus == bus)
        wanted[((const VsAddress *)g_hash_table_lookup (line->drives, disk))->controller & 255] = TRUE;
    }
  for (guint index = 0; index < G_N_ELEMENTS (wanted); index++)
    if (wanted[index] && !add (line, index, error))
      return FALSE;
  return TRUE;
}

gboolean
vs_command_line_add_disk_controllers (VsCommandLine *line, GError **error)
{
  return plan_places (line, error)
         && add_controllers (line, VS_DISK_BUS_SCSI, VS_CONTROLLER_SCSI, add_scsi_controller, error)
         && add_controllers (line, VS_DISK_BUS_SATA, VS_CONTROLLER_SATA, add_sata_controller, error);
}

/* Disks on them */

static gboolean
add_ide_place (VsCommandLine *line, const VsDiskDef *disk, const VsAddress *place, VsOption *device, GError **error)
{
  if (line->family == VS_MACHINE_Q35)
    return vs_command_line_refuse (line, error, disk->line,
                                   "a q35 machine has no IDE bus for disk %s; <target bus='sata'/> is possible",
                                   disk->target);
  vs_option_add (device, "bus", "ide.%u", place->bus);
  vs_option_add (device, "unit", "%u", place->unit);
  return TRUE;
}

/* A q35 machine's own AHCI has the name `ide`; further ones are sata1, sata2 …; a pc's first is sata0. */
static void
add_sata_place (VsCommandLine *line, const VsAddress *place, VsOption *device)
{
  if (line->family == VS_MACHINE_Q35 && place->controller == 0)
    vs_option_add (device, "bus", "ide.%u", place->unit);
  else
    vs_option_add (device, "bus", "sata%u.%u", place->controller, place->unit);
}

/* What libvirt tells a guest of a SCSI disk beside: the identity that /dev/disk/by-id is made of. */
static void
add_scsi_identity (const VsDiskDef *disk, gboolean lsi, VsOption *device)
{
  const VsAddress *place = &disk->address;

  if (place->type != VS_ADDRESS_DRIVE)
    return;
  if (disk->serial != NULL)
    vs_option_add (device, "device_id", "%s", disk->serial);
  else if (lsi)
    vs_option_add (device, "device_id", "drive-scsi%u-%u-%u", place->controller, place->bus, place->unit);
  else
    vs_option_add (device, "device_id", "drive-scsi%u-%u-%u-%u", place->controller, place->bus, place->target,
                   place->unit);
}

static void
add_scsi_place (VsCommandLine *line, const VsDiskDef *disk, const VsAddress *place, VsOption *device)
{
  gboolean lsi = is_lsi (line, place->controller);

  vs_option_add (device, "bus", "scsi%u.0", place->controller);
  if (!lsi)
    vs_option_add (device, "channel", "0");
  vs_option_add (device, "scsi-id", "%u", lsi ? place->unit : place->target);
  if (!lsi)
    vs_option_add (device, "lun", "%u", place->unit);
  add_scsi_identity (disk, lsi, device);
}

/**
 * vs_command_line_place_drive:
 * @line: a command line
 * @disk: one of its disks, on SCSI, SATA or IDE
 * @device: (transfer none): its device, which gets its place
 * @error: %VMSNAP_ERROR_INVALID_XML when the machine has no such bus
 *
 * Returns: whether it has one
 */
gboolean
vs_command_line_place_drive (VsCommandLine *line, const VsDiskDef *disk, VsOption *device, GError **error)
{
  const VsAddress *place = g_hash_table_lookup (line->drives, disk);

  if (disk->bus == VS_DISK_BUS_IDE)
    return add_ide_place (line, disk, place, device, error);
  if (disk->bus == VS_DISK_BUS_SATA)
    add_sata_place (line, place, device);
  else
    add_scsi_place (line, disk, place, device);
  return TRUE;
}
