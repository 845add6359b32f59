/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Disks and firmware. Each file is a block node of its own name, given one by one from
 * the base upwards and never nested, so that a chain may be as long as it likes: `vda-0` is the base of disk vda,
 * `vda-1` the overlay above, and `vda-0-file` the storage that holds `vda-0`. The disk's device is `disk-vda`. Pure;
 * any thread.
 */
#include "vs-command-line-private.h"

#include "vmsnap-error.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* What is known of all disks while they are added one by one. */
typedef struct
{
  VsCommandLine *line;
  gboolean seen_disk;
  gboolean seen_cdrom;
} Disks;

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

/**
 * vs_block_storage_node:
 * @disk: the disk it belongs to
 * @name: the node's name, from vs_block_storage_node_name()
 * @path: the file
 * @is_block: whether that is a block device
 *
 * The bytes. They are opened for writing only once something above writes: what is below an overlay stays open for
 * reading, and QEMU's locks say so to others.
 *
 * Returns: (transfer full): the node, for `-blockdev` and `blockdev-add`
 */
JsonObject *
vs_block_storage_node (const VsDiskDef *disk, const char *name, const char *path, gboolean is_block)
{
  JsonObject *node = json_object_new ();

  json_object_set_string_member (node, "driver", is_block ? "host_device" : "file");
  json_object_set_string_member (node, "node-name", name);
  json_object_set_string_member (node, "filename", path);
  if (disk->io != NULL)
    json_object_set_string_member (node, "aio", disk->io);
  set_cache (node, disk);
  json_object_set_boolean_member (node, "auto-read-only", TRUE);
  json_object_set_string_member (node, "discard", "unmap");
  return node;
}

/**
 * vs_block_format_node:
 * @disk: the disk it belongs to
 * @name: the node's name, from vs_block_node_name()
 * @storage: name of its storage node
 * @format: `raw` or `qcow2`
 * @is_active: whether the guest writes to it, unless the disk is read-only
 * @backing: (nullable): name of the node below; %NULL: none, whatever a qcow2 file says itself
 *
 * Returns: (transfer full): the node, for `-blockdev` and `blockdev-add`
 */
JsonObject *
vs_block_format_node (const VsDiskDef *disk,
                      const char *name,
                      const char *storage,
                      const char *format,
                      gboolean is_active,
                      const char *backing)
{
  JsonObject *node = json_object_new ();

  json_object_set_string_member (node, "driver", format);
  json_object_set_string_member (node, "node-name", name);
  json_object_set_boolean_member (node, "read-only", !is_active || disk->readonly);
  if (is_active && disk->discard != NULL)
    json_object_set_string_member (node, "discard", disk->discard);
  if (is_active && disk->detect_zeroes != NULL)
    json_object_set_string_member (node, "detect-zeroes", disk->detect_zeroes);
  set_cache (node, disk);
  json_object_set_string_member (node, "file", storage);
  if (g_str_equal (format, "qcow2") && backing == NULL)
    json_object_set_null_member (node, "backing");
  else if (g_str_equal (format, "qcow2"))
    json_object_set_string_member (node, "backing", backing);
  return node;
}

static void
add_file_nodes (VsCommandLine *line, const VsDiskDef *disk, const VsDiskFile *file, guint index, gboolean is_active)
{
  g_autofree char *name = vs_block_node_name (disk->target, index);
  g_autofree char *storage = vs_block_storage_node_name (disk->target, index);
  g_autofree char *backing = index > 0 ? vs_block_node_name (disk->target, index - 1) : NULL;

  take_blockdev (line, vs_block_storage_node (disk, storage, file->path, file->is_block));
  take_blockdev (line, vs_block_format_node (disk, name, storage, file->format, is_active, backing));
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

      add_file_nodes (line, disk, file, index, index == chain->files->len - 1);
    }
  *active = vs_block_node_name (disk->target, chain->files->len - 1);
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
add_disk (Disks *disks, const VsDiskDef *disk, GError **error)
{
  gboolean *seen = disk->is_cdrom ? &disks->seen_cdrom : &disks->seen_disk;
  guint boot_index
    = vs_command_line_boot_index (disks->line, disk->is_cdrom ? VS_BOOT_CDROM : VS_BOOT_HD, disk->boot_order, !*seen);
  g_autofree char *active = NULL;
  VsOption *device;

  *seen = TRUE;
  if (!add_nodes (disks->line, disk, &active, error))
    return FALSE;
  device = new_device (disk);
  if (!(disk->bus == VS_DISK_BUS_VIRTIO
          ? vs_command_line_place (disks->line, device, &disk->address, VS_SLOT_EXPRESS, error)
          : vs_command_line_place_drive (disks->line, disk, device, error)))
    {
      g_string_free (device, TRUE);
      return FALSE;
    }
  describe_disk (device, disk, active, boot_index);
  vs_command_line_take (disks->line, "-device", device);
  return TRUE;
}

gboolean
vs_command_line_add_disks (VsCommandLine *line, GError **error)
{
  Disks disks = { .line = line };

  for (guint i = 0; i < line->def->disks->len; i++)
    if (!add_disk (&disks, g_ptr_array_index (line->def->disks, i), error))
      return FALSE;
  return TRUE;
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
