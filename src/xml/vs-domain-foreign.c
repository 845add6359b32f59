/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What libvirt leaves unsaid in the definition that its saved images hold, although the guest has it, and what it means
 * by words that mean something else here: written into the tree, so that it stays said. Pure; any thread.
 */
#include "vs-devices.h"

#include <string.h>

#include "vs-xml-read.h"

#define FIRST_PORT 1
#define LAST_PORT 511

static xmlNode *
add_address (xmlNode *device, const char *type)
{
  xmlNode *address = vs_xml_ensure_child (device, "address", NULL);

  vs_xml_set_attr (address, "type", type);
  return address;
}

static gboolean
is_i440fx (xmlNode *root)
{
  xmlNode *type = vs_xml_child (vs_xml_child (root, "os"), "type");
  g_autofree char *machine = vs_xml_attr (type, "machine");

  return machine == NULL || strcmp (machine, "pc") == 0 || g_str_has_prefix (machine, "pc-i440fx-");
}

static gboolean
has_controller (xmlNode *devices, const char *type)
{
  for (xmlNode *node = vs_xml_child (devices, "controller"); node != NULL; node = vs_xml_next_sibling (node))
    if (vs_xml_attr_is (node, "type", type))
      return TRUE;
  return FALSE;
}

/* A pc has it unless it is said that there is none. */
static void
add_usb_controller (xmlNode *devices)
{
  xmlNode *controller = xmlNewChild (devices, NULL, VS_XML ("controller"), NULL);
  xmlNode *address = add_address (controller, "pci");

  vs_xml_set_attr (controller, "type", "usb");
  vs_xml_set_attr (controller, "index", "0");
  vs_xml_set_attr (controller, "model", "piix3-uhci");
  vs_xml_set_attr (address, "domain", "0x0000");
  vs_xml_set_attr (address, "bus", "0x00");
  vs_xml_set_attr (address, "slot", "0x01");
  vs_xml_set_attr (address, "function", "0x2");
}

/* QEMU chose how many ports there are: 4, where the definition doesn't tell. */
static void
keep_ports (xmlNode *devices)
{
  for (xmlNode *node = vs_xml_child (devices, "controller"); node != NULL; node = vs_xml_next_sibling (node))
    if ((vs_xml_attr_is (node, "model", "qemu-xhci") || vs_xml_attr_is (node, "model", "nec-xhci"))
        && xmlHasProp (node, VS_XML ("ports")) == NULL)
      vs_xml_set_attr (node, "ports", "4");
}

/* A card has its boot ROM unless it is said that it has none. */
static void
keep_boot_roms (xmlNode *devices)
{
  for (xmlNode *node = vs_xml_child (devices, "interface"); node != NULL; node = vs_xml_next_sibling (node))
    {
      xmlNode *rom = vs_xml_ensure_child (node, "rom", NULL);

      if (xmlHasProp (rom, VS_XML ("enabled")) == NULL)
        vs_xml_set_attr (rom, "enabled", "yes");
    }
}

/* The memory of a Cirrus card is written down, and not given to it. */
static void
forget_cirrus_memory (xmlNode *devices)
{
  for (xmlNode *node = vs_xml_child (devices, "video"); node != NULL; node = vs_xml_next_sibling (node))
    {
      xmlNode *model = vs_xml_child (node, "model");

      if (vs_xml_attr_is (model, "type", "cirrus"))
        xmlUnsetProp (model, VS_XML ("vram"));
    }
}

static void
note_port (xmlNode *device, gboolean *taken)
{
  xmlNode *address = vs_xml_child (device, "address");
  g_autofree char *port = vs_xml_attr (address, "port");
  guint64 number;

  if (vs_xml_attr_is (address, "type", "virtio-serial")
      && (xmlHasProp (address, VS_XML ("controller")) == NULL || vs_xml_attr_is (address, "controller", "0"))
      && port != NULL && g_ascii_string_to_unsigned (port, 10, 0, LAST_PORT, &number, NULL))
    taken[number] = TRUE;
}

/* QEMU chose the port of a console: 0 for the first, the first free one for others. */
static void
place_console (xmlNode *console, gboolean *taken)
{
  guint number = taken[0] ? FIRST_PORT : 0;
  g_autofree char *text = NULL;
  xmlNode *address;

  while (number > 0 && number < LAST_PORT && taken[number])
    number++;
  taken[number] = TRUE;
  text = g_strdup_printf ("%u", number);
  address = add_address (console, "virtio-serial");
  vs_xml_set_attr (address, "controller", "0");
  vs_xml_set_attr (address, "bus", "0");
  vs_xml_set_attr (address, "port", text);
}

static void
place_consoles (xmlNode *devices)
{
  gboolean taken[LAST_PORT + 1] = { FALSE };

  for (xmlNode *node = vs_xml_child (devices, "channel"); node != NULL; node = vs_xml_next_sibling (node))
    note_port (node, taken);
  for (xmlNode *node = vs_xml_child (devices, "console"); node != NULL; node = vs_xml_next_sibling (node))
    note_port (node, taken);
  for (xmlNode *node = vs_xml_child (devices, "console"); node != NULL; node = vs_xml_next_sibling (node))
    if (vs_xml_attr_is (vs_xml_child (node, "target"), "type", "virtio") && vs_xml_child (node, "address") == NULL)
      place_console (node, taken);
}

/**
 * vs_domain_foreign_complete: (skip)
 * @root: the `<domain>` of a saved image of libvirt's
 *
 * Says of the machine what libvirt leaves unsaid.
 */
void
vs_domain_foreign_complete (xmlNode *root)
{
  xmlNode *devices = vs_xml_child (root, "devices");

  if (devices == NULL)
    return;
  if (is_i440fx (root) && !has_controller (devices, "usb"))
    add_usb_controller (devices);
  keep_ports (devices);
  keep_boot_roms (devices);
  forget_cirrus_memory (devices);
  place_consoles (devices);
}
