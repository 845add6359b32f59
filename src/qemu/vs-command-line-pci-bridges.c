/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The PCI buses that a definition has beside the root: bridges and root ports, which its addresses name by the index of
 * their controller. Pure; any thread.
 */
#include "vs-command-line-pci.h"

static const struct
{
  const char *model;
  const char *device;
  guint first_slot;
  guint last_slot;
} bridges[] = {
  /* Where a bridge can be plugged into, slot 0 is its own. */
  { "pcie-root-port", "pcie-root-port", 0, 0 },
  { "pcie-to-pci-bridge", "pcie-pci-bridge", 1, VS_PCI_SLOTS - 1 },
  { "dmi-to-pci-bridge", "i82801b11-bridge", 0, VS_PCI_SLOTS - 1 },
  { "pci-bridge", "pci-bridge", 1, VS_PCI_SLOTS - 1 },
};

static gsize
find_bridge (const VsControllerDef *def)
{
  gsize i = 0;

  /* The definition has no other models. */
  while (i < G_N_ELEMENTS (bridges) - 1 && !g_str_equal (bridges[i].model, def->model))
    i++;
  return i;
}

static gboolean
is_root_port (const VsControllerDef *def)
{
  return g_strcmp0 (def->model, "pcie-root-port") == 0;
}

static gboolean
is_root (const VsControllerDef *def)
{
  return def->type == VS_CONTROLLER_PCI && g_str_has_suffix (def->model, "-root");
}

static gboolean
check_root (VsCommandLine *line, const VsControllerDef *def, GError **error)
{
  const char *model = vs_pci_is_q35 (line) ? "pcie-root" : "pci-root";

  if (def->index == 0 && g_str_equal (def->model, model) && def->address.type == VS_ADDRESS_NONE)
    return TRUE;
  return vs_command_line_refuse (line, error, def->line,
                                 "the root of a %s is <controller type='pci' index='0' model='%s'/>, without an "
                                 "address",
                                 line->machine, model);
}

static gboolean
check_bridge (VsCommandLine *line, const VsControllerDef *def, GError **error)
{
  if (!vs_pci_is_q35 (line) && !g_str_equal (def->model, "pci-bridge"))
    return vs_command_line_refuse (line, error, def->line, "a %s has no PCI Express for a controller of model '%s'",
                                   line->machine, def->model);
  if (def->index == 0)
    return vs_command_line_refuse (line, error, def->line,
                                   "PCI controller 0 is the machine's root; a '%s' needs another index=…", def->model);
  if (def->address.type != VS_ADDRESS_PCI)
    return TRUE;
  if (def->address.bus >= def->index)
    return vs_command_line_refuse (line, error, def->line,
                                   "PCI controller %u can't sit on bus %u; its bus must have a smaller number",
                                   def->index, def->address.bus);
  if (is_root_port (def) && def->address.bus != 0)
    return vs_command_line_refuse (line, error, def->line, "a pcie-root-port can only sit on bus 0");
  return TRUE;
}

static int
compare_index (gconstpointer a, gconstpointer b)
{
  const VsControllerDef *one = *(VsControllerDef *const *)a, *two = *(VsControllerDef *const *)b;

  return one->index < two->index ? -1 : one->index > two->index;
}

/* In the order of their indices, so that each comes after the bus it sits on. */
static GPtrArray *
list_bridges (VsCommandLine *line, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new ();

  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type != VS_CONTROLLER_PCI)
        continue;
      if (!(is_root (def) ? check_root (line, def, error) : check_bridge (line, def, error)))
        return NULL;
      if (!is_root (def))
        g_ptr_array_add (list, def);
    }
  g_ptr_array_sort (list, compare_index);
  return g_steal_pointer (&list);
}

static guint
chassis_of (const VsControllerDef *def)
{
  return def->chassis >= 0 ? (guint)def->chassis : def->index;
}

/* As libvirt numbers them: the chassis like the bus, the port like the place. */
static gboolean
add_bridge (VsCommandLine *line, const VsControllerDef *def, GError **error)
{
  VsOption *device = vs_option_new (def->model_name != NULL ? def->model_name : bridges[find_bridge (def)].device);
  guint place = def->address.slot << 3 | def->address.function;

  vs_option_add (device, "id", "pci.%u", def->index);
  if (!vs_command_line_place (line, device, &def->address, is_root_port (def) ? VS_SLOT_PORT : VS_SLOT_CONVENTIONAL,
                              error))
    {
      g_string_free (device, TRUE);
      return FALSE;
    }
  if (is_root_port (def))
    {
      if (def->port >= 0 || def->address.type == VS_ADDRESS_PCI)
        vs_option_add (device, "port", "0x%x", def->port >= 0 ? (guint)def->port : place);
      vs_option_add (device, "chassis", "%u", chassis_of (def));
      if (def->hotplug == VS_TRISTATE_OFF)
        vs_option_add (device, "hotplug", "off");
    }
  else if (g_str_equal (def->model, "pci-bridge"))
    vs_option_add (device, "chassis_nr", "%u", chassis_of (def));
  vs_command_line_take (line, "-device", device);
  return TRUE;
}

/**
 * vs_pci_plan_bridges:
 * @line: a command line
 * @error: %VMSNAP_ERROR_INVALID_XML when the machine can't have one of them
 *
 * Makes the buses that the definition has known, so that addresses can name them.
 *
 * Returns: (transfer container) (element-type VsControllerDef) (nullable): their controllers
 */
GPtrArray *
vs_pci_plan_bridges (VsCommandLine *line, GError **error)
{
  g_autoptr (GPtrArray) list = list_bridges (line, error);

  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (list, i);
      gsize model = find_bridge (def);

      vs_pci_add_bus (line, def->index, bridges[model].first_slot, bridges[model].last_slot)->is_port
        = is_root_port (def);
      line->last_bus = MAX (line->last_bus, MAX (def->index, chassis_of (def)));
    }
  return g_steal_pointer (&list);
}

/**
 * vs_pci_add_bridges:
 * @line: a command line
 * @list: what vs_pci_plan_bridges() returned
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED when there is no place for one
 *
 * Returns: whether they are all there
 */
gboolean
vs_pci_add_bridges (VsCommandLine *line, GPtrArray *list, GError **error)
{
  for (guint i = 0; i < list->len; i++)
    if (!add_bridge (line, g_ptr_array_index (list, i), error))
      return FALSE;
  return TRUE;
}
