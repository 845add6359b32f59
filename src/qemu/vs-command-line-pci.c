/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which place on the PCI buses a device gets: the one that the definition gives it, else a free one. The places follow
 * from the definition alone and don't depend on QEMU's own choice, for a saved state only fits a machine of the same
 * layout. Controllers that the definition has are built once it gives any PCI address; before that all is chosen here.
 * Pure; any thread.
 */
#include "vs-command-line-pci.h"

#include "vmsnap-error.h"

#define PC_VIDEO_SLOT 2
#define PC_FIRST_SLOT 3
#define PC_LAST_SLOT 31
#define Q35_VIDEO_SLOT 1
#define Q35_FIRST_PORT_SLOT 2
#define Q35_PORTS_PER_SLOT 8
#define Q35_LAST_PORT_SLOT 15
#define Q35_FIRST_SLOT 16
#define Q35_LAST_SLOT 30
#define MAX_CHASSIS 255

/**
 * vs_pci_find_bus:
 * @line: a command line
 * @index: a number of a PCI bus
 *
 * Returns: (transfer none) (nullable): the bus
 */
VsPciBus *
vs_pci_find_bus (VsCommandLine *line, guint index)
{
  return g_hash_table_lookup (line->pci_buses, GUINT_TO_POINTER (index));
}

/**
 * vs_pci_add_bus:
 * @line: a command line
 * @index: the number of a new PCI bus
 * @first_slot: its first slot for devices
 * @last_slot: its last one
 *
 * Returns: (transfer none): the bus
 */
VsPciBus *
vs_pci_add_bus (VsCommandLine *line, guint index, guint first_slot, guint last_slot)
{
  VsPciBus *bus = g_new0 (VsPciBus, 1);

  bus->first_slot = first_slot;
  bus->last_slot = last_slot;
  g_hash_table_insert (line->pci_buses, GUINT_TO_POINTER (index), bus);
  return bus;
}

static void
add_root_bus (VsCommandLine *line)
{
  static const guint pc_functions[] = { 0, 1, 3 }, q35_functions[] = { 0, 2, 3 };
  const guint *functions = vs_pci_is_q35 (line) ? q35_functions : pc_functions;
  guint slot = vs_pci_is_q35 (line) ? VS_PCI_Q35_CHIPSET_SLOT : VS_PCI_PC_CHIPSET_SLOT;
  VsPciBus *bus = vs_pci_add_bus (line, 0, 1, VS_PCI_SLOTS - 1);

  for (gsize i = 0; i < G_N_ELEMENTS (pc_functions); i++)
    bus->owner[slot][functions[i]] = VS_PCI_MACHINE;
  bus->shared[slot] = VS_PCI_MACHINE;
}

static gboolean
slot_is_free (const VsPciBus *bus, guint slot)
{
  for (guint function = 0; function < VS_PCI_FUNCTIONS; function++)
    if (bus->owner[slot][function] != 0)
      return FALSE;
  return TRUE;
}

static void
name_bus (VsCommandLine *line, VsOption *device, guint index)
{
  if (index == 0 && vs_pci_is_q35 (line))
    vs_option_add (device, "bus", "pcie.0");
  else
    vs_option_add (device, "bus", "pci.%u", index);
}

/* The first graphics card sits where firmware and guests look for one, if nobody else does. */
static void
keep_video_slot (VsCommandLine *line)
{
  const VsVideoDef *video = line->def->videos->len > 0 ? g_ptr_array_index (line->def->videos, 0) : NULL;
  guint slot = vs_pci_is_q35 (line) ? Q35_VIDEO_SLOT : PC_VIDEO_SLOT;
  VsPciBus *root = vs_pci_find_bus (line, 0);

  if (video == NULL || !vs_pci_is_video (video) || video->address.type == VS_ADDRESS_PCI || !slot_is_free (root, slot))
    return;
  root->owner[slot][0] = VS_PCI_CHOSEN;
  line->video_slot = slot;
}

/* Free places */

static void
add_slot (VsCommandLine *line, VsOption *device, guint slot)
{
  name_bus (line, device, 0);
  vs_option_add (device, "addr", "0x%x", slot);
}

/* The first of the definition's own root ports that nobody has. */
static gboolean
place_in_port (VsCommandLine *line, VsOption *device)
{
  for (guint index = 1; index <= line->last_bus; index++)
    {
      VsPciBus *bus = vs_pci_find_bus (line, index);

      if (bus == NULL || !bus->is_port || !slot_is_free (bus, 0))
        continue;
      bus->owner[0][0] = VS_PCI_CHOSEN;
      name_bus (line, device, index);
      vs_option_add (device, "addr", "0x0");
      return TRUE;
    }
  return FALSE;
}

/* A place for a root port; eight of them share a slot of the root complex. */
static gboolean
place_port (VsCommandLine *line, VsOption *port)
{
  guint function = line->n_ports % Q35_PORTS_PER_SLOT;
  VsPciBus *root = vs_pci_find_bus (line, 0);

  if (function == 0)
    {
      guint slot = line->n_ports == 0 ? Q35_FIRST_PORT_SLOT : line->port_slot + 1;

      while (slot <= Q35_LAST_PORT_SLOT && !slot_is_free (root, slot))
        slot++;
      if (slot > Q35_LAST_PORT_SLOT)
        return FALSE;
      line->port_slot = slot;
    }
  root->owner[line->port_slot][function] = VS_PCI_CHOSEN;
  name_bus (line, port, 0);
  vs_option_add (port, "addr", "0x%x.0x%x", line->port_slot, function);
  if (function == 0)
    vs_option_add (port, "multifunction", "on");
  line->n_ports++;
  return TRUE;
}

/* A port is a bus for one device. */
static gboolean
add_root_port (VsCommandLine *line)
{
  guint number = line->n_ports;
  VsOption *port;

  if (line->last_bus >= MAX_CHASSIS)
    return FALSE;
  port = vs_option_new ("pcie-root-port");
  vs_option_add (port, "id", "pci.%u", line->last_bus + 1);
  if (!place_port (line, port))
    {
      g_string_free (port, TRUE);
      return FALSE;
    }
  line->last_bus++;
  vs_option_add (port, "port", "0x%x", number);
  vs_option_add (port, "chassis", "%u", line->last_bus);
  vs_command_line_take (line, "-device", port);
  return TRUE;
}

static gboolean
place_on_root (VsCommandLine *line, VsOption *device, GError **error)
{
  const guint last = vs_pci_is_q35 (line) ? Q35_LAST_SLOT : PC_LAST_SLOT;
  VsPciBus *root = vs_pci_find_bus (line, 0);

  if (line->next_slot == 0)
    line->next_slot = vs_pci_is_q35 (line) ? Q35_FIRST_SLOT : PC_FIRST_SLOT;
  while (line->next_slot <= last && !slot_is_free (root, line->next_slot))
    line->next_slot++;
  if (line->next_slot > last)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "Domain %s has more devices than the PCI bus of a %s has slots%s", line->def->name, line->machine,
                   vs_pci_is_q35 (line) ? "" : "; a q35 machine has more");
      return FALSE;
    }
  root->owner[line->next_slot][0] = VS_PCI_CHOSEN;
  add_slot (line, device, line->next_slot);
  return TRUE;
}

static void
place_as_given (VsCommandLine *line, VsOption *device, const VsAddress *address)
{
  name_bus (line, device, address->bus);
  if (address->function == 0)
    vs_option_add (device, "addr", "0x%x", address->slot);
  else
    vs_option_add (device, "addr", "0x%x.0x%x", address->slot, address->function);
  if (address->multifunction == VS_TRISTATE_ON)
    vs_option_add (device, "multifunction", "on");
}

/**
 * vs_command_line_add_pci:
 * @line: a command line
 * @error: %VMSNAP_ERROR_INVALID_XML when two devices want one place, or one wants a place that isn't there
 *
 * Keeps the places that the definition gives for those that it gives them to, and builds the buses that it has.
 *
 * Returns: whether that went well
 */
gboolean
vs_command_line_add_pci (VsCommandLine *line, GError **error)
{
  g_autoptr (GPtrArray) list = NULL;

  line->pci_buses = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  add_root_bus (line);
  if (!vs_pci_check_types (line, error))
    return FALSE;
  if (vs_pci_has_addresses (line))
    {
      list = vs_pci_plan_bridges (line, error);
      if (list == NULL || !vs_pci_claim (line, error))
        return FALSE;
    }
  keep_video_slot (line);
  return list == NULL || vs_pci_add_bridges (line, list, error);
}

/**
 * vs_command_line_place:
 * @line: a command line
 * @device: (transfer none): a PCI device, which gets its address
 * @address: (nullable): what the definition says of it
 * @kind: what it asks of its place
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED when the bus is full
 *
 * Gives a device the place that the definition gives it, else a free one, and makes a port for it where one is needed:
 * so @device has to be added after this.
 *
 * Returns: whether there was one
 */
gboolean
vs_command_line_place (VsCommandLine *line, VsOption *device, const VsAddress *address, VsSlotKind kind, GError **error)
{
  if (address != NULL && address->type == VS_ADDRESS_PCI)
    {
      place_as_given (line, device, address);
      return TRUE;
    }
  if (kind == VS_SLOT_PORT && place_port (line, device))
    return TRUE;
  if (kind == VS_SLOT_EXPRESS && place_in_port (line, device))
    return TRUE;
  if (vs_pci_is_q35 (line) && kind == VS_SLOT_EXPRESS && add_root_port (line))
    {
      vs_option_add (device, "bus", "pci.%u", line->last_bus);
      vs_option_add (device, "addr", "0x0");
      return TRUE;
    }
  return place_on_root (line, device, error);
}

/**
 * vs_command_line_place_primary_video:
 * @line: a command line
 * @device: (transfer none): the first graphics card
 * @address: what the definition says of it
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED when the bus is full
 *
 * Returns: whether there was a place
 */
gboolean
vs_command_line_place_primary_video (VsCommandLine *line, VsOption *device, const VsAddress *address, GError **error)
{
  if (address->type == VS_ADDRESS_PCI || line->video_slot == 0)
    return vs_command_line_place (line, device, address, VS_SLOT_CONVENTIONAL, error);
  add_slot (line, device, line->video_slot);
  return TRUE;
}
