/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The PCI addresses that a definition gives: whether each can be, and that no two are the same. Pure; any thread.
 */
#include "vs-command-line-pci.h"

static gboolean
controller_is_pci (gconstpointer data)
{
  const VsControllerDef *def = data;

  if (def->type == VS_CONTROLLER_PCI)
    return !g_str_has_suffix (def->model, "-root");
  return g_strcmp0 (def->model, "none") != 0;
}

static gboolean
disk_is_pci (gconstpointer data)
{
  return ((const VsDiskDef *)data)->bus == VS_DISK_BUS_VIRTIO;
}

static gboolean
serial_is_pci (gconstpointer data)
{
  return g_strcmp0 (((const VsChardevDef *)data)->target_type, "pci-serial") == 0;
}

static gboolean
video_is_pci (gconstpointer data)
{
  const char *model = ((const VsVideoDef *)data)->model;

  return !g_str_equal (model, "ramfb") && !g_str_equal (model, "none");
}

static gboolean
input_is_pci (gconstpointer data)
{
  return g_strcmp0 (((const VsInputDef *)data)->bus, "virtio") == 0;
}

static gboolean
watchdog_is_pci (gconstpointer data)
{
  return !g_str_equal (((const VsWatchdogDef *)data)->model, "itco");
}

static gboolean
sound_is_pci (gconstpointer data)
{
  return !g_str_equal (((const VsSoundDef *)data)->model, "sb16");
}

static gboolean
always (gconstpointer data)
{
  return TRUE;
}

static gboolean
never (gconstpointer data)
{
  return FALSE;
}

/* The devices of a definition, and which of them are on a PCI bus. */
static const struct
{
  glong list;
  glong address;
  glong line;
  gboolean (*is_pci) (gconstpointer device);
} kinds[] = {
#define KIND(list, type, is_pci)                                                                                       \
  {                                                                                                                    \
    G_STRUCT_OFFSET (VsDomainDef, list), G_STRUCT_OFFSET (type, address), G_STRUCT_OFFSET (type, line), is_pci         \
  }
  KIND (controllers, VsControllerDef, controller_is_pci),
  KIND (disks, VsDiskDef, disk_is_pci),
  KIND (interfaces, VsInterfaceDef, always),
  KIND (serials, VsChardevDef, serial_is_pci),
  KIND (consoles, VsChardevDef, never),
  KIND (channels, VsChardevDef, never),
  KIND (videos, VsVideoDef, video_is_pci),
  KIND (inputs, VsInputDef, input_is_pci),
  KIND (rngs, VsRngDef, always),
  KIND (watchdogs, VsWatchdogDef, watchdog_is_pci),
  KIND (sounds, VsSoundDef, sound_is_pci),
  KIND (redirdevs, VsRedirdevDef, never),
#undef KIND
};

typedef gboolean (
  *Visit) (VsCommandLine *line, const VsAddress *address, guint line_number, gboolean is_pci, GError **error);

/* Calls @visit for each address that the definition gives. */
static gboolean
each_address (VsCommandLine *line, Visit visit, GError **error)
{
  const VsMemballoonDef *balloon = line->def->memballoon;

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      GPtrArray *list = G_STRUCT_MEMBER (GPtrArray *, line->def, kinds[i].list);

      for (guint j = 0; j < list->len; j++)
        {
          gconstpointer device = g_ptr_array_index (list, j);
          const VsAddress *address = G_STRUCT_MEMBER_P (device, kinds[i].address);
          guint line_number = G_STRUCT_MEMBER (guint, device, kinds[i].line);

          if (!visit (line, address, line_number, kinds[i].is_pci (device), error))
            return FALSE;
        }
    }
  return balloon == NULL || visit (line, &balloon->address, balloon->line, TRUE, error);
}

static gboolean
is_no_pci_address (VsCommandLine *line, const VsAddress *address, guint line_number, gboolean is_pci, GError **error)
{
  return address->type != VS_ADDRESS_PCI;
}

static gboolean
check_type (VsCommandLine *line, const VsAddress *address, guint line_number, gboolean is_pci, GError **error)
{
  if (address->type == VS_ADDRESS_PCI && !is_pci)
    return vs_command_line_refuse (line, error, line_number,
                                   "this device isn't on a PCI bus; take the <address type='pci'> away");
  if (is_pci && address->type != VS_ADDRESS_PCI && address->type != VS_ADDRESS_NONE
      && address->type != VS_ADDRESS_OTHER)
    return vs_command_line_refuse (line, error, line_number,
                                   "this device is on a PCI bus; its <address> must be one of type='pci'");
  return TRUE;
}

/* The controllers that are part of the chip set may say so, and sit nowhere else. */
static gboolean
is_chipset (VsCommandLine *line, const VsAddress *address)
{
  VsControllerType type = vs_pci_is_q35 (line) ? VS_CONTROLLER_SATA : VS_CONTROLLER_IDE;
  guint slot = vs_pci_is_q35 (line) ? VS_PCI_Q35_CHIPSET_SLOT : VS_PCI_PC_CHIPSET_SLOT;

  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (&def->address == address)
        return def->type == type && def->index == 0 && address->bus == 0 && address->slot == slot
               && address->function == (vs_pci_is_q35 (line) ? 2 : 1);
    }
  return FALSE;
}

static gboolean
check_place (VsCommandLine *line, const VsAddress *address, guint line_number, GError **error)
{
  const VsPciBus *bus = vs_pci_find_bus (line, address->bus);

  if (address->domain != 0)
    return vs_command_line_refuse (line, error, line_number, "there is no PCI domain %u; accepted: 0", address->domain);
  if (bus == NULL)
    return vs_command_line_refuse (line, error, line_number,
                                   "there is no PCI bus %u; add <controller type='pci' index='%u' …/>, or give the "
                                   "device another address, or none",
                                   address->bus, address->bus);
  if (address->slot < bus->first_slot || address->slot > bus->last_slot)
    return vs_command_line_refuse (line, error, line_number,
                                   "PCI bus %u has no slot %u for a device; accepted: from %u to %u", address->bus,
                                   address->slot, bus->first_slot, bus->last_slot);
  return TRUE;
}

static gboolean
claim (VsCommandLine *line, const VsAddress *address, guint line_number, gboolean is_pci, GError **error)
{
  VsPciBus *bus = vs_pci_find_bus (line, address->bus);
  guint *owner;

  if (address->type != VS_ADDRESS_PCI || is_chipset (line, address))
    return TRUE;
  if (!check_place (line, address, line_number, error))
    return FALSE;
  owner = &bus->owner[address->slot][address->function];
  if (*owner == VS_PCI_MACHINE)
    return vs_command_line_refuse (line, error, line_number, "PCI address %02x:%02x.%x is the machine's own",
                                   address->bus, address->slot, address->function);
  if (*owner != 0)
    return vs_command_line_refuse (line, error, line_number, "PCI address %02x:%02x.%x is taken by line %u",
                                   address->bus, address->slot, address->function, *owner);
  *owner = MAX (line_number, 1);
  if (address->function == 0 && address->multifunction == VS_TRISTATE_ON)
    bus->shared[address->slot] = *owner;
  return TRUE;
}

/* QEMU wants the first function of a slot to say that there are more, if it is there: libvirt puts an EHCI without
 * companions at function 7 alone. */
static gboolean
check_function (VsCommandLine *line, const VsAddress *address, guint line_number, gboolean is_pci, GError **error)
{
  const VsPciBus *bus = vs_pci_find_bus (line, address->bus);
  guint first;

  if (address->type != VS_ADDRESS_PCI || address->function == 0 || bus->shared[address->slot] != 0)
    return TRUE;
  first = bus->owner[address->slot][0];
  if (first == 0)
    return TRUE;
  return vs_command_line_refuse (line, error, line_number,
                                 "PCI slot %02x:%02x has more functions than one, but line %u, its function 0, lacks "
                                 "multifunction='on'",
                                 address->bus, address->slot, first);
}

/* What is part of the machine is where it is, and there is no other of its kind. */
static gboolean
check_chipset (VsCommandLine *line, GError **error)
{
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->address.type != VS_ADDRESS_PCI || is_chipset (line, &def->address))
        continue;
      if (def->type == VS_CONTROLLER_IDE)
        return vs_command_line_refuse (line, error, def->line,
                                       "the only IDE controller is that of a pc machine, "
                                       "number 0 at PCI address 00:01.1");
      if (def->type == VS_CONTROLLER_SATA && def->index == 0 && vs_pci_is_q35 (line))
        return vs_command_line_refuse (line, error, def->line,
                                       "SATA controller 0 of a q35 machine is part of it, at "
                                       "PCI address 00:1f.2");
    }
  return TRUE;
}

/**
 * vs_pci_check_types:
 * @line: a command line
 * @error: %VMSNAP_ERROR_INVALID_XML when a device has an address that devices like it don't have
 *
 * Returns: whether all is well
 */
gboolean
vs_pci_check_types (VsCommandLine *line, GError **error)
{
  return each_address (line, check_type, error);
}

/**
 * vs_pci_has_addresses:
 * @line: a command line
 *
 * Returns: whether the definition gives any PCI address
 */
gboolean
vs_pci_has_addresses (VsCommandLine *line)
{
  return !each_address (line, is_no_pci_address, NULL);
}

/**
 * vs_pci_claim:
 * @line: a command line, whose buses are known
 * @error: %VMSNAP_ERROR_INVALID_XML when two devices want one place, or one wants a place that isn't there
 *
 * Keeps the places that the definition gives for those that it gives them to.
 *
 * Returns: whether that went well
 */
gboolean
vs_pci_claim (VsCommandLine *line, GError **error)
{
  return check_chipset (line, error) && each_address (line, claim, error) && each_address (line, check_function, error);
}

/**
 * vs_pci_is_video:
 * @def: a graphics card
 *
 * Returns: whether it sits on a PCI bus
 */
gboolean
vs_pci_is_video (const VsVideoDef *def)
{
  return video_is_pci (def);
}
