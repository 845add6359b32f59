/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Disks, firmware and the controllers disks sit on. Each file is a block node of its own name, given one by one from
 * the base upwards and never nested, so that a chain may be as long as it likes: `vda-0` is the base of disk vda,
 * `vda-1` the overlay above, and `vda-0-file` the storage that holds `vda-0`. The disk's device is `disk-vda`. Pure;
 * any thread.
 */
#include "vs-command-line-private.h"

#include "vmsnap-error.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define IDE_UNITS 4
#define SATA_PORTS 6
#define LSI_UNITS 7
#define VIRTIO_SCSI_UNITS 16383

/* How many disks each bus has so far. */
typedef struct
{
  VsCommandLine *line;
  guint n_ide;
  guint n_sata;
  GHashTable *scsi_units; /* index of the controller → units taken */
  gboolean seen_disk;
  gboolean seen_cdrom;
} Buses;

static void
take_blockdev (VsCommandLine *line, JsonObject *object)
{
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = json_to_string (root, FALSE);

  vs_command_line_add (line, "-blockdev", text);
  json_object_unref (object);
}

/* What libvirt's cache modes mean: see the table in qemu(1) under -drive cache. The third column, the guest's own
 * write cache, belongs to the device. */
static const struct
{
  const char *mode;
  gboolean direct;
  gboolean no_flush;
  gboolean writeback;
} cache_modes[] = {
  { "none", TRUE, FALSE, TRUE },        { "writeback", FALSE, FALSE, TRUE }, { "writethrough", FALSE, FALSE, FALSE },
  { "directsync", TRUE, FALSE, FALSE }, { "unsafe", FALSE, TRUE, TRUE },
};

static int
find_cache_mode (const VsDiskDef *disk)
{
  for (gsize i = 0; disk->cache != NULL && i < G_N_ELEMENTS (cache_modes); i++)
    if (g_str_equal (cache_modes[i].mode, disk->cache))
      return (int)i;
  return -1;
}

static void
set_cache (JsonObject *node, const VsDiskDef *disk)
{
  int mode = find_cache_mode (disk);
  JsonObject *cache;

  if (mode < 0)
    return;
  cache = json_object_new ();
  json_object_set_boolean_member (cache, "direct", cache_modes[mode].direct);
  json_object_set_boolean_member (cache, "no-flush", cache_modes[mode].no_flush);
  json_object_set_object_member (node, "cache", cache);
}

/* The bytes. They are opened for writing only once something above writes: what is below an overlay stays open for
 * reading, and QEMU's locks say so to others. */
static void
add_storage_node (VsCommandLine *line, const VsDiskDef *disk, const VsDiskFile *file, guint index)
{
  g_autofree char *name = vs_block_storage_node_name (disk->target, index);
  JsonObject *node = json_object_new ();

  json_object_set_string_member (node, "driver", file->is_block ? "host_device" : "file");
  json_object_set_string_member (node, "node-name", name);
  json_object_set_string_member (node, "filename", file->path);
  if (disk->io != NULL)
    json_object_set_string_member (node, "aio", disk->io);
  set_cache (node, disk);
  json_object_set_boolean_member (node, "auto-read-only", TRUE);
  json_object_set_string_member (node, "discard", "unmap");
  take_blockdev (line, node);
}

static void
add_format_node (VsCommandLine *line, const VsDiskDef *disk, const VsDiskFile *file, guint index, gboolean is_active)
{
  g_autofree char *name = vs_block_node_name (disk->target, index);
  g_autofree char *storage = vs_block_storage_node_name (disk->target, index);
  JsonObject *node = json_object_new ();

  json_object_set_string_member (node, "driver", file->format);
  json_object_set_string_member (node, "node-name", name);
  json_object_set_boolean_member (node, "read-only", !is_active || disk->readonly);
  if (is_active && disk->discard != NULL)
    json_object_set_string_member (node, "discard", disk->discard);
  if (is_active && disk->detect_zeroes != NULL)
    json_object_set_string_member (node, "detect-zeroes", disk->detect_zeroes);
  set_cache (node, disk);
  json_object_set_string_member (node, "file", storage);
  if (g_str_equal (file->format, "qcow2") && index == 0)
    json_object_set_null_member (node, "backing");
  else if (g_str_equal (file->format, "qcow2"))
    {
      g_autofree char *backing = vs_block_node_name (disk->target, index - 1);

      json_object_set_string_member (node, "backing", backing);
    }
  take_blockdev (line, node);
}

/* All files of a disk, the base first. Returns the name of the active node, or NULL: an empty drive. */
static gboolean
add_nodes (VsCommandLine *line, const VsDiskDef *disk, char **active, GError **error)
{
  const VsDiskChain *chain
    = line->context->chains != NULL ? g_hash_table_lookup (line->context->chains, disk->target) : NULL;

  *active = NULL;
  if (disk->path == NULL)
    return TRUE;
  if (chain == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "Nobody has looked at the files of disk %s of domain %s",
                   disk->target, line->def->name);
      return FALSE;
    }
  for (guint index = 0; index < chain->files->len; index++)
    {
      const VsDiskFile *file = g_ptr_array_index (chain->files, chain->files->len - 1 - index);

      add_storage_node (line, disk, file, index);
      add_format_node (line, disk, file, index, index == chain->files->len - 1);
    }
  *active = vs_block_node_name (disk->target, chain->files->len - 1);
  return TRUE;
}

/* Which of the buses a disk sits on, and where. */

static gboolean
place_on_ide (Buses *buses, const VsDiskDef *disk, VsOption *device, GError **error)
{
  guint unit = buses->n_ide++;

  if (buses->line->family == VS_MACHINE_Q35)
    return vs_command_line_refuse (buses->line, error, disk->line,
                                   "a q35 machine has no IDE bus for disk %s; <target bus='sata'/> is possible",
                                   disk->target);
  if (unit >= IDE_UNITS)
    return vs_command_line_refuse (buses->line, error, disk->line, "no more than %d disks fit on the IDE bus",
                                   IDE_UNITS);
  vs_option_add (device, "bus", "ide.%u", unit / 2);
  vs_option_add (device, "unit", "%u", unit % 2);
  return TRUE;
}

/* A q35 machine's own AHCI has the name `ide`; further ones are sata1, sata2 …; a pc's first is sata0. */
static gboolean
place_on_sata (Buses *buses, const VsDiskDef *disk, VsOption *device, GError **error)
{
  guint port = buses->n_sata++;

  if (buses->line->family == VS_MACHINE_Q35 && port < SATA_PORTS)
    vs_option_add (device, "bus", "ide.%u", port);
  else
    vs_option_add (device, "bus", "sata%u.%u", port / SATA_PORTS, port % SATA_PORTS);
  return TRUE;
}

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

/* The controller that the definition gives a disk, else the first; units in the disks' order. */
static guint
scsi_controller_of (const VsDiskDef *disk)
{
  return disk->address.type == VS_ADDRESS_DRIVE ? disk->address.controller : 0;
}

static gboolean
place_on_scsi (Buses *buses, const VsDiskDef *disk, VsOption *device, GError **error)
{
  guint index = scsi_controller_of (disk);
  guint unit = GPOINTER_TO_UINT (g_hash_table_lookup (buses->scsi_units, GUINT_TO_POINTER (index)));
  gboolean lsi = is_lsi (buses->line, index);

  if (unit >= (lsi ? LSI_UNITS : VIRTIO_SCSI_UNITS))
    return vs_command_line_refuse (buses->line, error, disk->line, "no more disks fit on SCSI controller %u", index);
  g_hash_table_insert (buses->scsi_units, GUINT_TO_POINTER (index), GUINT_TO_POINTER (unit + 1));
  vs_option_add (device, "bus", "scsi%u.0", index);
  if (!lsi)
    vs_option_add (device, "channel", "0");
  vs_option_add (device, "scsi-id", "%u", lsi ? unit : 0);
  if (!lsi)
    vs_option_add (device, "lun", "%u", unit);
  return TRUE;
}

static VsOption *
new_device (const VsDiskDef *disk)
{
  switch (disk->bus)
    {
    case VS_DISK_BUS_SCSI:
      return vs_option_new (disk->is_cdrom ? "scsi-cd" : "scsi-hd");
    case VS_DISK_BUS_SATA:
    case VS_DISK_BUS_IDE:
      return vs_option_new (disk->is_cdrom ? "ide-cd" : "ide-hd");
    case VS_DISK_BUS_VIRTIO:
    default:
      return vs_option_new ("virtio-blk-pci");
    }
}

static gboolean
place_disk (Buses *buses, const VsDiskDef *disk, VsOption *device, GError **error)
{
  switch (disk->bus)
    {
    case VS_DISK_BUS_SCSI:
      return place_on_scsi (buses, disk, device, error);
    case VS_DISK_BUS_SATA:
      return place_on_sata (buses, disk, device, error);
    case VS_DISK_BUS_IDE:
      return place_on_ide (buses, disk, device, error);
    case VS_DISK_BUS_VIRTIO:
    default:
      return vs_command_line_place (buses->line, device, VS_SLOT_EXPRESS, error);
    }
}

static void
add_error_policies (VsOption *device, const VsDiskDef *disk)
{
  if (disk->error_policy != NULL)
    vs_option_add (device, "werror", "%s",
                   g_str_equal (disk->error_policy, "enospace") ? "enospc" : disk->error_policy);
  if (disk->rerror_policy != NULL)
    vs_option_add (device, "rerror", "%s", disk->rerror_policy);
}

/* What a guest sees of the disk, and what happens on errors. */
static void
describe_disk (VsOption *device, const VsDiskDef *disk, const char *node, guint boot_index)
{
  g_autofree char *id = vs_block_device_id (disk->target);
  int mode = find_cache_mode (disk);

  vs_option_add (device, "id", "%s", id);
  if (node != NULL)
    vs_option_add (device, "drive", "%s", node);
  if (boot_index > 0)
    vs_option_add (device, "bootindex", "%u", boot_index);
  if (mode >= 0 && !disk->is_cdrom)
    vs_option_add (device, "write-cache", "%s", cache_modes[mode].writeback ? "on" : "off");
  if (disk->serial != NULL)
    vs_option_add (device, "serial", "%s", disk->serial);
  if (disk->wwn != NULL)
    vs_option_add (device, "wwn", "0x%s", disk->wwn);
  if (disk->rotation_rate > 0 && !disk->is_cdrom)
    vs_option_add (device, "rotation_rate", "%u", disk->rotation_rate);
  if (disk->removable && disk->bus == VS_DISK_BUS_SCSI && !disk->is_cdrom)
    vs_option_add (device, "removable", "on");
  if (disk->queues > 0)
    vs_option_add (device, "num-queues", "%u", disk->queues);
  if (disk->shareable)
    vs_option_add (device, "share-rw", "on");
  add_error_policies (device, disk);
}

static gboolean
add_disk (Buses *buses, const VsDiskDef *disk, GError **error)
{
  gboolean *seen = disk->is_cdrom ? &buses->seen_cdrom : &buses->seen_disk;
  guint boot_index
    = vs_command_line_boot_index (buses->line, disk->is_cdrom ? VS_BOOT_CDROM : VS_BOOT_HD, disk->boot_order, !*seen);
  g_autofree char *active = NULL;
  VsOption *device;

  *seen = TRUE;
  if (!add_nodes (buses->line, disk, &active, error))
    return FALSE;
  device = new_device (disk);
  if (!place_disk (buses, disk, device, error))
    {
      g_string_free (device, TRUE);
      return FALSE;
    }
  describe_disk (device, disk, active, boot_index);
  vs_command_line_take (buses->line, "-device", device);
  return TRUE;
}

gboolean
vs_command_line_add_disks (VsCommandLine *line, GError **error)
{
  g_autoptr (GHashTable) scsi_units = g_hash_table_new (NULL, NULL);
  Buses buses = { .line = line, .scsi_units = scsi_units };

  for (guint i = 0; i < line->def->disks->len; i++)
    if (!add_disk (&buses, g_ptr_array_index (line->def->disks, i), error))
      return FALSE;
  return TRUE;
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
  if (!vs_command_line_place (line, device, lsi ? VS_SLOT_CONVENTIONAL : VS_SLOT_EXPRESS, error))
    {
      g_string_free (device, TRUE);
      return FALSE;
    }
  vs_command_line_take (line, "-device", device);
  return TRUE;
}

/* Those that the definition has, and those that its disks need. */
static gboolean
add_scsi_controllers (VsCommandLine *line, GError **error)
{
  g_autofree gboolean *wanted = g_new0 (gboolean, 256);

  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *controller = g_ptr_array_index (line->def->controllers, i);

      if (controller->type == VS_CONTROLLER_SCSI)
        wanted[controller->index & 255] = TRUE;
    }
  for (guint i = 0; i < line->def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (line->def->disks, i);

      if (disk->bus == VS_DISK_BUS_SCSI)
        wanted[scsi_controller_of (disk) & 255] = TRUE;
    }
  for (guint index = 0; index < 256; index++)
    if (wanted[index] && !add_scsi_controller (line, index, error))
      return FALSE;
  return TRUE;
}

static gboolean
add_sata_controllers (VsCommandLine *line, GError **error)
{
  guint first = line->family == VS_MACHINE_Q35 ? 1 : 0;
  guint n_disks = 0;

  for (guint i = 0; i < line->def->disks->len; i++)
    n_disks += ((const VsDiskDef *)g_ptr_array_index (line->def->disks, i))->bus == VS_DISK_BUS_SATA ? 1 : 0;
  for (guint index = first; index < (n_disks + SATA_PORTS - 1) / SATA_PORTS; index++)
    {
      VsOption *device = vs_option_new ("ahci");

      vs_option_add (device, "id", "sata%u", index);
      if (!vs_command_line_place (line, device, VS_SLOT_CONVENTIONAL, error))
        {
          g_string_free (device, TRUE);
          return FALSE;
        }
      vs_command_line_take (line, "-device", device);
    }
  return TRUE;
}

gboolean
vs_command_line_add_disk_controllers (VsCommandLine *line, GError **error)
{
  return add_scsi_controllers (line, error) && add_sata_controllers (line, error);
}

static void
add_flash (VsCommandLine *line, const char *name, const char *path, const char *format, gboolean readonly)
{
  g_autofree char *storage = g_strconcat (name, "-file", NULL);
  JsonObject *file = json_object_new ();
  JsonObject *node = json_object_new ();

  json_object_set_string_member (file, "driver", "file");
  json_object_set_string_member (file, "node-name", storage);
  json_object_set_string_member (file, "filename", path);
  json_object_set_boolean_member (file, "auto-read-only", TRUE);
  json_object_set_string_member (file, "discard", "unmap");
  take_blockdev (line, file);

  json_object_set_string_member (node, "driver", format != NULL ? format : "raw");
  json_object_set_string_member (node, "node-name", name);
  json_object_set_boolean_member (node, "read-only", readonly);
  json_object_set_string_member (node, "file", storage);
  take_blockdev (line, node);
}

/* The nodes `firmware` and `nvram`, which -machine names. */
gboolean
vs_command_line_add_firmware (VsCommandLine *line, GError **error)
{
  const VsOsDef *os = &line->def->os;
  const char *nvram = line->context->nvram != NULL ? line->context->nvram : os->nvram;

  if (os->loader_type == VS_LOADER_NONE && os->firmware_efi)
    return vs_command_line_refuse (
      line, error, 0,
      "it asks for UEFI, but no firmware has been chosen. Install OVMF (Debian: the package "
      "ovmf), or name the firmware with <loader>");
  if (os->loader_type == VS_LOADER_ROM)
    vs_command_line_add (line, "-bios", os->loader);
  if (os->loader_type != VS_LOADER_PFLASH)
    return TRUE;

  add_flash (line, "firmware", os->loader, os->loader_format, os->loader_readonly || nvram != NULL);
  if (nvram != NULL)
    add_flash (line, "nvram", nvram, os->nvram_format, FALSE);
  if (os->secure_boot == VS_TRISTATE_ON)
    vs_command_line_add (line, "-global", "driver=cfi.pflash01,property=secure,value=on");
  return TRUE;
}
