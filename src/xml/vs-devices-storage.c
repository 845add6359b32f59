/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Disks, controllers, and what every device has: alias, address, boot order. Pure; any thread.
 */
#include "vs-devices.h"

#include <string.h>

#include "vs-xml-read.h"

#define MAX_TARGET_BYTES 15 /* it becomes part of a block node's name, and QEMU allows 31 bytes for that */
#define MAX_SERIAL_BYTES 36 /* what the SCSI and IDE emulations keep; virtio keeps 20 */

char *
vs_read_alias (xmlNode *device)
{
  return vs_xml_attr (vs_xml_child (device, "alias"), "name");
}

guint
vs_read_boot_order (VsXmlProblems *problems, xmlNode *device)
{
  return (guint) vs_xml_attr_int_or (problems, vs_xml_child (device, "boot"), "order", 1, 1000, 0);
}

/**
 * vs_read_address:
 * @problems: where what is wrong goes
 * @device: the device whose `<address>` is read
 * @address: (out caller-allocates): zeroed memory that is filled
 */
void
vs_read_address (VsXmlProblems *problems, xmlNode *device, VsAddress *address)
{
  static const VsAddressType types[] = {
    VS_ADDRESS_PCI,   VS_ADDRESS_DRIVE, VS_ADDRESS_USB,   VS_ADDRESS_VIRTIO_SERIAL,
    VS_ADDRESS_OTHER, VS_ADDRESS_NONE,  VS_ADDRESS_OTHER,
  };
  xmlNode *node = vs_xml_child (device, "address");
  gboolean usb;
  int found;

  if (node == NULL)
    return;
  found = vs_xml_attr_choice (problems, node, "type", "pci drive usb virtio-serial isa none unassigned", -1);
  address->type = found >= 0 ? types[found] : VS_ADDRESS_NONE;
  usb = address->type == VS_ADDRESS_USB;
  address->domain = (guint) vs_xml_attr_int_or (problems, node, "domain", 0, 0xffff, 0);
  address->bus = (guint) vs_xml_attr_int_or (problems, node, "bus", 0, 255, 0);
  address->slot = (guint) vs_xml_attr_int_or (problems, node, "slot", 0, 31, 0);
  address->function = (guint) vs_xml_attr_int_or (problems, node, "function", 0, 7, 0);
  address->multifunction = vs_xml_attr_tristate (problems, node, "multifunction");
  address->controller = (guint) vs_xml_attr_int_or (problems, node, "controller", 0, 255, 0);
  address->target = (guint) vs_xml_attr_int_or (problems, node, "target", 0, 255, 0);
  address->unit = (guint) vs_xml_attr_int_or (problems, node, "unit", 0, 16383, 0);
  if (usb)
    address->port = vs_xml_attr_token (problems, node, "port", ".");
  else
    address->unit = (guint) vs_xml_attr_int_or (problems, node, "port", 0, 511, address->unit);
}

static void
read_disk_target (VsXmlProblems *problems, xmlNode *disk, VsDiskDef *self)
{
  static const char *const prefixes[] = { "vd", "sd", "hd" };
  static const VsDiskBus guesses[] = { VS_DISK_BUS_VIRTIO, VS_DISK_BUS_SCSI, VS_DISK_BUS_IDE };
  xmlNode *node = vs_xml_child (disk, "target");
  int guess = -1, bus;

  self->target = vs_xml_attr_token (problems, node, "dev", "_-");
  for (gsize i = 0; self->target != NULL && i < G_N_ELEMENTS (prefixes); i++)
    if (g_str_has_prefix (self->target, prefixes[i]))
      guess = (int) guesses[i];
  if (self->target != NULL && strlen (self->target) > MAX_TARGET_BYTES)
    vs_xml_problems_add (problems, node, "<target dev='%.80s'> is too long; accepted: up to %d letters and digits",
                         self->target, MAX_TARGET_BYTES);

  bus = vs_xml_attr_choice (problems, node, "bus", "virtio scsi sata ide", guess);
  if (bus < 0 && self->target != NULL && !xmlHasProp (node, VS_XML ("bus")))
    vs_xml_problems_add (problems, node, "<target dev='%s'> lacks bus=…; accepted: virtio, scsi, sata, ide",
                         self->target);
  self->bus = bus >= 0 ? (VsDiskBus) bus : VS_DISK_BUS_VIRTIO;
  self->removable = vs_xml_attr_tristate (problems, node, "removable") == VS_TRISTATE_ON;
  self->rotation_rate = (guint) vs_xml_attr_int_or (problems, node, "rotation_rate", 1, 65534, 0);
  vs_xml_attr_choice (problems, node, "tray", "closed open", 0);
}

static void
read_disk_driver (VsXmlProblems *problems, xmlNode *disk, VsDiskDef *self)
{
  xmlNode *node = vs_xml_child (disk, "driver");

  self->format = vs_xml_attr_word (problems, node, "type", "raw qcow2");
  if (self->format == NULL)
    self->format = g_strdup ("raw");
  self->cache = vs_xml_attr_word (problems, node, "cache", "none writeback writethrough directsync unsafe default");
  if (g_strcmp0 (self->cache, "default") == 0)
    g_clear_pointer (&self->cache, g_free);
  self->io = vs_xml_attr_word (problems, node, "io", "native threads io_uring");
  self->discard = vs_xml_attr_word (problems, node, "discard", "unmap ignore");
  self->detect_zeroes = vs_xml_attr_word (problems, node, "detect_zeroes", "off on unmap");
  self->error_policy = vs_xml_attr_word (problems, node, "error_policy", "stop report ignore enospace");
  self->rerror_policy = vs_xml_attr_word (problems, node, "rerror_policy", "stop report ignore");
  self->queues = (guint) vs_xml_attr_int_or (problems, node, "queues", 1, 1024, 0);

  if (g_strcmp0 (self->io, "native") == 0 && g_strcmp0 (self->cache, "none") != 0 &&
      g_strcmp0 (self->cache, "directsync") != 0)
    vs_xml_problems_add (problems, node, "<driver io='native'> needs cache='none' or cache='directsync'");
  if (self->queues > 0 && self->bus != VS_DISK_BUS_VIRTIO)
    vs_xml_problems_add (problems, node, "<driver queues=…> is for bus='virtio' only");
}

static void
read_disk_source (VsXmlProblems *problems, xmlNode *disk, VsDiskDef *self)
{
  const char *attribute = self->is_block ? "dev" : "file";
  xmlNode *node = vs_xml_child (disk, "source");

  self->path = vs_xml_attr_path (problems, node, attribute);
  if (node != NULL && xmlHasProp (node, VS_XML (self->is_block ? "file" : "dev")))
    vs_xml_problems_add (problems, node, "<source> of a disk of type '%s' has '%s'; accepted: '%s'",
                         self->is_block ? "block" : "file", self->is_block ? "file" : "dev", attribute);
  else if (!self->is_cdrom && (node == NULL || !xmlHasProp (node, VS_XML (attribute))))
    vs_xml_problems_add (problems, disk, "<disk> lacks <source %s=…>; only a cdrom may be empty", attribute);
}

static void
read_disk_identity (VsXmlProblems *problems, xmlNode *disk, VsDiskDef *self)
{
  self->serial = vs_xml_child_text (disk, "serial");
  self->wwn = vs_xml_child_text (disk, "wwn");
  if (self->serial != NULL)
    {
      gboolean good = self->serial[0] != '\0' && strlen (self->serial) <= MAX_SERIAL_BYTES;

      for (const char *p = self->serial; good && *p != '\0'; p++)
        good = g_ascii_isalnum (*p) || strchr (" ._+-", *p) != NULL;
      if (!good)
        vs_xml_problems_add (problems, vs_xml_child (disk, "serial"),
                             "<serial> isn't usable; accepted: up to %d letters, digits and any of ' ._+-'",
                             MAX_SERIAL_BYTES);
    }
  if (self->wwn != NULL && (strlen (self->wwn) != 16 || strspn (self->wwn, "0123456789abcdefABCDEF") != 16))
    vs_xml_problems_add (problems, vs_xml_child (disk, "wwn"), "<wwn> isn't usable; accepted: 16 hexadecimal digits");
  if (self->wwn != NULL && self->bus == VS_DISK_BUS_VIRTIO)
    vs_xml_problems_add (problems, vs_xml_child (disk, "wwn"), "<wwn> isn't supported on bus='virtio'");
}

/* What QEMU's disk devices can't be. */
static void
check_disk (VsXmlProblems *problems, xmlNode *disk, const VsDiskDef *self)
{
  gboolean ata = self->bus == VS_DISK_BUS_IDE || self->bus == VS_DISK_BUS_SATA;

  if (self->is_cdrom && self->bus == VS_DISK_BUS_VIRTIO)
    vs_xml_problems_add (problems, disk, "a cdrom can't be on bus='virtio'; accepted: scsi, sata, ide");
  if (!self->is_cdrom && ata && self->readonly)
    vs_xml_problems_add (problems, disk, "<readonly/> isn't possible for a disk on bus='sata' or 'ide'; "
                                         "accepted: a cdrom, or bus='virtio' or 'scsi'");
  if (self->shareable && strcmp (self->format, "raw") != 0)
    vs_xml_problems_add (problems, disk, "<shareable/> isn't possible with format '%s'; accepted: raw", self->format);
}

/**
 * vs_disk_def_read:
 * @problems: where what is wrong goes
 * @node: a `<disk>`
 *
 * Returns: (transfer full): the disk
 */
VsDiskDef *
vs_disk_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsDiskDef *self = g_new0 (VsDiskDef, 1);

  self->line = (guint) xmlGetLineNo (node);
  self->is_block = vs_xml_attr_choice (problems, node, "type", "file block", 0) == 1;
  self->is_cdrom = vs_xml_attr_choice (problems, node, "device", "disk cdrom", 0) == 1;
  self->snapshot = (VsDiskSnapshot) (vs_xml_attr_choice (problems, node, "snapshot", "no internal external", -1) + 1);
  read_disk_target (problems, node, self);
  read_disk_driver (problems, node, self);
  read_disk_source (problems, node, self);
  read_disk_identity (problems, node, self);
  self->readonly = self->is_cdrom || vs_xml_child (node, "readonly") != NULL;
  self->shareable = vs_xml_child (node, "shareable") != NULL;
  self->boot_order = vs_read_boot_order (problems, node);
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  check_disk (problems, node, self);
  return self;
}

void
vs_disk_def_free (VsDiskDef *self)
{
  g_free (self->target);
  g_free (self->path);
  g_free (self->format);
  g_free (self->cache);
  g_free (self->io);
  g_free (self->discard);
  g_free (self->detect_zeroes);
  g_free (self->error_policy);
  g_free (self->rerror_policy);
  g_free (self->serial);
  g_free (self->wwn);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}

static const char *
controller_models (VsControllerType type)
{
  switch (type)
    {
    case VS_CONTROLLER_PCI:
      return "pcie-root pci-root pcie-root-port pcie-to-pci-bridge dmi-to-pci-bridge pci-bridge";
    case VS_CONTROLLER_USB:
      return "qemu-xhci nec-xhci ich9-ehci1 ich9-uhci1 ich9-uhci2 ich9-uhci3 piix3-uhci piix4-uhci none";
    case VS_CONTROLLER_SCSI:
      return "virtio-scsi lsilogic";
    case VS_CONTROLLER_VIRTIO_SERIAL:
      return "virtio";
    case VS_CONTROLLER_SATA:
      return "ahci";
    case VS_CONTROLLER_IDE:
    default:
      return "piix3 piix4";
    }
}

/* What the command line couldn't give the guest. */
static void
check_controller (VsXmlProblems *problems, xmlNode *node, const VsControllerDef *self)
{
  const gboolean is_serial = self->type == VS_CONTROLLER_VIRTIO_SERIAL;
  const gboolean is_xhci =
    self->type == VS_CONTROLLER_USB && (self->model == NULL || g_str_has_suffix (self->model, "-xhci"));
  const gboolean is_companion = self->model != NULL && g_str_has_prefix (self->model, "ich9-uhci");

  if (self->hotplug == VS_TRISTATE_OFF
      && (g_strcmp0 (self->model, "pcie-root-port") != 0 || self->address.type != VS_ADDRESS_PCI))
    vs_xml_problems_add (problems, vs_xml_child (node, "target"),
                         "<target hotplug='off'> isn't supported here; accepted: on a pcie-root-port with an "
                         "<address type='pci'>");
  if (self->ports >= 0 && !is_serial && !is_xhci)
    vs_xml_problems_add (problems, node, "<controller ports=…> is for virtio-serial, qemu-xhci and nec-xhci only");
  if (self->vectors >= 0 && !is_serial)
    vs_xml_problems_add (problems, node, "<controller vectors=…> is for virtio-serial only");
  if (is_companion && self->usb_master_startport >= 0
      && self->usb_master_startport != 2 * (self->model[strlen ("ich9-uhci")] - '1'))
    vs_xml_problems_add (problems, vs_xml_child (node, "master"),
                         "<master startport='%d'> of %s isn't supported; accepted: '%d'", self->usb_master_startport,
                         self->model, 2 * (self->model[strlen ("ich9-uhci")] - '1'));
}

/**
 * vs_controller_def_read:
 * @problems: where what is wrong goes
 * @node: a `<controller>`
 *
 * Returns: (transfer full): the controller
 */
VsControllerDef *
vs_controller_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsControllerDef *self = g_new0 (VsControllerDef, 1);
  xmlNode *target = vs_xml_child (node, "target");
  int type = vs_xml_attr_choice (problems, node, "type", "pci usb scsi sata ide virtio-serial", -1);

  self->line = (guint) xmlGetLineNo (node);
  self->type = type >= 0 ? (VsControllerType) type : VS_CONTROLLER_PCI;
  self->index = (guint) vs_xml_attr_int_or (problems, node, "index", 0, 255, 0);
  if (type >= 0)
    self->model = vs_xml_attr_word (problems, node, "model", controller_models (self->type));
  vs_xml_require (problems, node, type != VS_CONTROLLER_PCI || xmlHasProp (node, VS_XML ("model")), "model=…");
  self->model_name = vs_xml_attr_word (problems, vs_xml_child (node, "model"), "name",
                                       "pcie-root-port ioh3420 pcie-pci-bridge i82801b11-bridge pci-bridge");
  self->chassis = (int) vs_xml_attr_int_or (problems, target, "chassis", 0, 255,
                                            vs_xml_attr_int_or (problems, target, "chassisNr", 0, 255, -1));
  self->port = (int) vs_xml_attr_int_or (problems, target, "port", 0, 255, -1);
  self->hotplug = vs_xml_attr_tristate (problems, target, "hotplug");
  self->ports = (int) vs_xml_attr_int_or (problems, node, "ports", 1, 511, -1);
  self->vectors = (int) vs_xml_attr_int_or (problems, node, "vectors", 0, 2048, -1);
  self->queues = (guint) vs_xml_attr_int_or (problems, vs_xml_child (node, "driver"), "queues", 1, 1024, 0);
  self->usb_master_startport = (int) vs_xml_attr_int_or (problems, vs_xml_child (node, "master"), "startport", 0, 15,
                                                         -1);
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  check_controller (problems, node, self);
  return self;
}

void
vs_controller_def_free (VsControllerDef *self)
{
  g_free (self->model);
  g_free (self->model_name);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}
