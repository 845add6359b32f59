/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The controllers of virtio consoles and channels, and which port of them each gets: the one that the definition gives
 * it, else the next free one. Pure; any thread.
 */
#include "vs-command-line-private.h"

#define DEFAULT_PORTS 31
#define MAX_PORTS 511

/* A controller, under its index. */
typedef struct
{
  guint n_ports; /* with port 0 */
  guint owner[MAX_PORTS + 1]; /* the line of what is on a port; 0: free */
} Bus;

static Bus *
find_bus (VsCommandLine *line, guint index)
{
  return g_hash_table_lookup (line->virtio_serial_buses, GUINT_TO_POINTER (index));
}

static const VsControllerDef *
find_controller (VsCommandLine *line, guint index)
{
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type == VS_CONTROLLER_VIRTIO_SERIAL && def->index == index)
        return def;
    }
  return NULL;
}

/* The one that serves all that isn't given another. */
static const VsControllerDef *
find_first_controller (VsCommandLine *line)
{
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type == VS_CONTROLLER_VIRTIO_SERIAL)
        return def;
    }
  return NULL;
}

typedef gboolean (*Visit) (VsCommandLine *line, const VsChardevDef *port, gboolean is_console, GError **error);

static gboolean
each_port (VsCommandLine *line, Visit visit, GError **error)
{
  GPtrArray *lists[] = { line->def->channels, line->def->consoles };

  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    for (guint j = 0; j < lists[i]->len; j++)
      if (!visit (line, g_ptr_array_index (lists[i], j), i == 1, error))
        return FALSE;
  return TRUE;
}

static gboolean
is_given (const VsChardevDef *port)
{
  return port->address.type == VS_ADDRESS_VIRTIO_SERIAL;
}

static Bus *
ensure_bus (VsCommandLine *line, guint index)
{
  Bus *bus = find_bus (line, index);

  if (bus == NULL)
    {
      bus = g_new0 (Bus, 1);
      g_hash_table_insert (line->virtio_serial_buses, GUINT_TO_POINTER (index), bus);
    }
  return bus;
}

/* Of the first controller, one needn't say that it is there. */
static gboolean
claim (VsCommandLine *line, const VsChardevDef *port, gboolean is_console, GError **error)
{
  const VsAddress *address = &port->address;
  const VsControllerDef *def = find_controller (line, address->controller);
  const guint limit = def != NULL && def->ports > 0 ? (guint)def->ports : DEFAULT_PORTS;
  guint *owner;

  if (!is_given (port))
    {
      if (address->type == VS_ADDRESS_NONE || address->type == VS_ADDRESS_OTHER)
        return TRUE;
      return vs_command_line_refuse (line, error, port->line, "the <address> of a virtio port is of another type; "
                                                              "accepted: type='virtio-serial'");
    }
  if ((def == NULL && address->controller != 0) || address->bus != 0)
    return vs_command_line_refuse (line, error, port->line,
                                   "there is no bus %u of a virtio-serial controller %u; add <controller "
                                   "type='virtio-serial' index='%u'/>, or take the <address> away", address->bus,
                                   address->controller, address->controller);
  if (address->unit >= limit || (address->unit == 0 && !is_console))
    return vs_command_line_refuse (line, error, port->line,
                                   "virtio-serial controller %u has no port %u for this; accepted: from %u to %u",
                                   address->controller, address->unit, is_console ? 0 : 1, limit - 1);
  owner = &ensure_bus (line, address->controller)->owner[address->unit];
  if (*owner != 0)
    return vs_command_line_refuse (line, error, port->line, "port %u of virtio-serial controller %u is taken by line "
                                                            "%u", address->unit, address->controller, *owner);
  *owner = MAX (port->line, 1);
  return TRUE;
}

/* Port 0 is for consoles by convention, and left free: so ports count from 1. */
static gboolean
choose (VsCommandLine *line, const VsChardevDef *port, gboolean is_console, GError **error)
{
  Bus *bus;
  guint number = 1;

  if (is_given (port))
    return TRUE;
  bus = ensure_bus (line, 0);
  while (number <= MAX_PORTS && bus->owner[number] != 0)
    number++;
  if (number > MAX_PORTS)
    return vs_command_line_refuse (line, error, port->line, "no more than %d virtio ports fit on a controller",
                                   MAX_PORTS);
  bus->owner[number] = MAX (port->line, 1);
  g_hash_table_insert (line->virtio_ports, (gpointer)&port->address, GUINT_TO_POINTER (number));
  return TRUE;
}

static guint
needed_ports (const Bus *bus)
{
  guint last = MAX_PORTS;

  while (last > 0 && bus->owner[last] == 0)
    last--;
  return last + 1;
}

static gboolean
add_controller (VsCommandLine *line, guint index, const Bus *bus, GError **error)
{
  const VsControllerDef *def = find_controller (line, index);
  guint needed = needed_ports (bus);
  VsOption *device = vs_option_new ("virtio-serial-pci");

  if (def == NULL)
    def = find_first_controller (line);
  vs_option_add (device, "id", "virtio-serial%u", index);
  if (needed > DEFAULT_PORTS || (def != NULL && def->ports > 0))
    vs_option_add (device, "max_ports", "%u", MAX (needed, def != NULL ? (guint)MAX (def->ports, 0) : 0));
  if (def != NULL && def->vectors >= 0)
    vs_option_add (device, "vectors", "%d", def->vectors);
  if (vs_command_line_place (line, device, def != NULL && def->index == index ? &def->address : NULL, VS_SLOT_EXPRESS,
                             error))
    {
      vs_command_line_take (line, "-device", device);
      return TRUE;
    }
  g_string_free (device, TRUE);
  return FALSE;
}

/**
 * vs_command_line_add_virtio_serial:
 * @line: a command line
 * @error: %VMSNAP_ERROR_INVALID_XML, %VMSNAP_ERROR_NOT_SUPPORTED
 *
 * Adds the controllers that there are ports on, and those of which the definition says where they are. One serves all
 * ports that aren't given another.
 *
 * Returns: whether that went well
 */
gboolean
vs_command_line_add_virtio_serial (VsCommandLine *line, GError **error)
{
  line->virtio_serial_buses = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  line->virtio_ports = g_hash_table_new (NULL, NULL);
  if (!each_port (line, claim, error) || !each_port (line, choose, error))
    return FALSE;
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type == VS_CONTROLLER_VIRTIO_SERIAL && def->address.type == VS_ADDRESS_PCI)
        ensure_bus (line, def->index);
    }
  for (guint index = 0; index < 256; index++)
    if (find_bus (line, index) != NULL && !add_controller (line, index, find_bus (line, index), error))
      return FALSE;
  return TRUE;
}

/**
 * vs_command_line_place_virtio_port:
 * @line: a command line
 * @device: (transfer none): the device of a console or channel, which gets its place
 * @address: the address of its definition
 */
void
vs_command_line_place_virtio_port (VsCommandLine *line, VsOption *device, const VsAddress *address)
{
  gboolean given = address->type == VS_ADDRESS_VIRTIO_SERIAL;

  vs_option_add (device, "bus", "virtio-serial%u.0", given ? address->controller : 0);
  vs_option_add (device, "nr", "%u",
                 given ? address->unit : GPOINTER_TO_UINT (g_hash_table_lookup (line->virtio_ports, address)));
}
