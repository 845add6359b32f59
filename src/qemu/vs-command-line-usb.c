/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * USB: the controllers, which port of them a device gets (the one that the definition gives it, else the next free
 * one), and ports for devices of a SPICE client. Pure; any thread.
 */
#include "vs-command-line-private.h"

#include <string.h>

#define UHCI_PORTS 2
#define EHCI_PORTS 6
#define XHCI_PORTS 15
#define MAX_PORTS 255

/* A controller, under its index. */
typedef struct
{
  guint number; /* its place among all, which its name has */
  guint n_ports;
  gboolean has_given; /* some device on it has a port given */
  guint owner[MAX_PORTS + 1]; /* the line of the device on a port; 0: free */
} Bus;

static gboolean
is_usb_serial (const VsChardevDef *def)
{
  return g_strcmp0 (def->target_type, "usb-serial") == 0;
}

static gboolean
is_usb_input (const VsInputDef *def)
{
  return g_strcmp0 (def->bus, "usb") == 0;
}

typedef gboolean (*Visit) (VsCommandLine *line, const VsAddress *address, guint line_number, GError **error);

/* Calls @visit for each USB device. */
static gboolean
each_device (VsCommandLine *line, Visit visit, GError **error)
{
  VsDomainDef *def = line->def;

  for (guint i = 0; i < def->serials->len; i++)
    {
      const VsChardevDef *serial = g_ptr_array_index (def->serials, i);

      if (is_usb_serial (serial) && !visit (line, &serial->address, serial->line, error))
        return FALSE;
    }
  for (guint i = 0; i < def->inputs->len; i++)
    {
      const VsInputDef *input = g_ptr_array_index (def->inputs, i);

      if (is_usb_input (input) && !visit (line, &input->address, input->line, error))
        return FALSE;
    }
  for (guint i = 0; i < def->redirdevs->len; i++)
    {
      const VsRedirdevDef *redirdev = g_ptr_array_index (def->redirdevs, i);

      if (!visit (line, &redirdev->address, redirdev->line, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
stop (VsCommandLine *line, const VsAddress *address, guint line_number, GError **error)
{
  return FALSE;
}

static gboolean
needs_usb (VsCommandLine *line)
{
  return !each_device (line, stop, NULL);
}

/* Controllers */

static void
name_bus (GString *name, guint number)
{
  if (number == 0)
    g_string_append (name, "usb");
  else
    g_string_append_printf (name, "usb%u", number);
}

/* The first is `usb`, so that its bus is `usb.0`; further ones are usb1, usb2 … */
static void
add_usb_id (VsCommandLine *line, VsOption *device, guint index, guint n_ports)
{
  g_autoptr (GString) name = g_string_new (NULL);
  Bus *bus = g_new0 (Bus, 1);

  bus->number = line->n_usb++;
  bus->n_ports = n_ports;
  g_hash_table_insert (line->usb_buses, GUINT_TO_POINTER (index), bus);
  name_bus (name, bus->number);
  vs_option_add (device, "id", "%s", name->str);
}

static gboolean
place_and_take (
  VsCommandLine *line, VsOption *device, const VsAddress *address, VsSlotKind kind, GError **error)
{
  if (vs_command_line_place (line, device, address, kind, error))
    {
      vs_command_line_take (line, "-device", device);
      return TRUE;
    }
  g_string_free (device, TRUE);
  return FALSE;
}

static gboolean
add_xhci (VsCommandLine *line, const char *model, const VsControllerDef *def, GError **error)
{
  VsOption *device = vs_option_new (model);
  guint ports = def != NULL && def->ports > 0 ? (guint)def->ports : XHCI_PORTS;

  add_usb_id (line, device, def != NULL ? def->index : 0, ports);
  vs_option_add (device, "p2", "%u", ports);
  vs_option_add (device, "p3", "%u", ports);
  return place_and_take (line, device, def != NULL ? &def->address : NULL,
                         g_str_equal (model, "qemu-xhci") ? VS_SLOT_EXPRESS : VS_SLOT_CONVENTIONAL, error);
}

static VsOption *
new_companion (guint number, guint first_port, const char *bus)
{
  g_autofree char *name = g_strdup_printf ("ich9-usb-uhci%u", number);
  VsOption *device = vs_option_new (name);

  vs_option_add (device, "masterbus", "%s", bus);
  vs_option_add (device, "firstport", "%u", first_port);
  return device;
}

static gboolean
is_companion (const VsControllerDef *def, guint index)
{
  return def->type == VS_CONTROLLER_USB && def->index == index && def->model != NULL
         && g_str_has_prefix (def->model, "ich9-uhci");
}

/* EHCI with its companions, one a function of one slot, as on Intel's board. A companion needs its EHCI's bus to be
 * there, so that comes first. */
static gboolean
add_ich9 (VsCommandLine *line, VsOption *ehci, const char *bus, GError **error)
{
  g_autofree char *place = NULL;
  gsize before = ehci->len;

  if (!vs_command_line_place (line, ehci, NULL, VS_SLOT_CONVENTIONAL, error))
    {
      g_string_free (ehci, TRUE);
      return FALSE;
    }
  place = g_strdup (ehci->str + before);
  g_string_append (ehci, ".0x7,multifunction=on");
  vs_command_line_take (line, "-device", ehci);
  for (guint i = 0; i < 3; i++)
    {
      VsOption *uhci = new_companion (i + 1, 2 * i, bus);

      g_string_append_printf (uhci, "%s.0x%x,multifunction=on", place, i);
      vs_command_line_take (line, "-device", uhci);
    }
  return TRUE;
}

/* The same where the definition says where: then it also says which companions there are. */
static gboolean
add_given_ich9 (VsCommandLine *line, VsOption *ehci, const VsControllerDef *def, const char *bus, GError **error)
{
  if (!place_and_take (line, ehci, &def->address, VS_SLOT_CONVENTIONAL, error))
    return FALSE;
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *companion = g_ptr_array_index (line->def->controllers, i);
      guint number;

      if (!is_companion (companion, def->index))
        continue;
      number = (guint)(companion->model[strlen ("ich9-uhci")] - '0');
      if (!place_and_take (line, new_companion (number, 2 * (number - 1), bus), &companion->address,
                           VS_SLOT_CONVENTIONAL, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
add_ehci (VsCommandLine *line, const VsControllerDef *def, GError **error)
{
  g_autoptr (GString) bus = g_string_new (NULL);
  VsOption *ehci = vs_option_new ("ich9-usb-ehci1");
  gboolean given = def->address.type == VS_ADDRESS_PCI;

  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *companion = g_ptr_array_index (line->def->controllers, i);

      given = given || (is_companion (companion, def->index) && companion->address.type == VS_ADDRESS_PCI);
    }
  name_bus (bus, line->n_usb);
  g_string_append (bus, ".0");
  add_usb_id (line, ehci, def->index, EHCI_PORTS);
  return given ? add_given_ich9 (line, ehci, def, bus->str, error) : add_ich9 (line, ehci, bus->str, error);
}

static gboolean
has_ehci (VsCommandLine *line, guint index)
{
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type == VS_CONTROLLER_USB && def->index == index && g_strcmp0 (def->model, "ich9-ehci1") == 0)
        return TRUE;
    }
  return FALSE;
}

static gboolean
add_usb_controller (VsCommandLine *line, const VsControllerDef *def, GError **error)
{
  const char *model = def->model != NULL ? def->model : "qemu-xhci";
  VsOption *device;

  if (is_companion (def, def->index) && def->address.type == VS_ADDRESS_PCI && !has_ehci (line, def->index))
    return vs_command_line_refuse (line, error, def->line,
                                   "a USB controller of model '%s' needs one of model 'ich9-ehci1' with index='%u'",
                                   model, def->index);
  /* The companions come with the one they belong to. */
  if (g_str_equal (model, "none") || is_companion (def, def->index))
    return TRUE;
  if (g_str_equal (model, "ich9-ehci1"))
    return add_ehci (line, def, error);
  if (g_str_has_suffix (model, "-xhci"))
    return add_xhci (line, g_str_equal (model, "nec-xhci") ? "nec-usb-xhci" : model, def, error);
  device = vs_option_new (g_str_equal (model, "piix3-uhci") ? "piix3-usb-uhci" : "piix4-usb-uhci");
  add_usb_id (line, device, def->index, UHCI_PORTS);
  return place_and_take (line, device, &def->address, VS_SLOT_CONVENTIONAL, error);
}

/* Ports */

static gboolean
claim (VsCommandLine *line, const VsAddress *address, guint line_number, GError **error)
{
  Bus *bus = g_hash_table_lookup (line->usb_buses, GUINT_TO_POINTER (address->bus));
  guint64 port;

  if (address->type != VS_ADDRESS_USB)
    return TRUE;
  if (bus == NULL)
    return vs_command_line_refuse (line, error, line_number, "there is no USB controller %u; add <controller "
                                                             "type='usb' index='%u' …/>, or give the device another "
                                                             "address, or none", address->bus, address->bus);
  if (address->port == NULL)
    return TRUE;
  if (!g_ascii_string_to_unsigned (address->port, 10, 1, MIN (bus->n_ports, MAX_PORTS), &port, NULL))
    return vs_command_line_refuse (line, error, line_number, "USB controller %u has no port '%s'; accepted: from 1 to "
                                                             "%u", address->bus, address->port, bus->n_ports);
  if (bus->owner[port] != 0)
    return vs_command_line_refuse (line, error, line_number, "port %s of USB controller %u is taken by line %u",
                                   address->port, address->bus, bus->owner[port]);
  bus->owner[port] = MAX (line_number, 1);
  bus->has_given = TRUE;
  return TRUE;
}

gboolean
vs_command_line_add_usb (VsCommandLine *line, GError **error)
{
  gboolean forbidden = FALSE;

  line->usb_buses = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type != VS_CONTROLLER_USB)
        continue;
      forbidden = forbidden || g_strcmp0 (def->model, "none") == 0;
      if (!add_usb_controller (line, def, error))
        return FALSE;
    }
  if (line->n_usb == 0 && needs_usb (line))
    {
      if (forbidden)
        return vs_command_line_refuse (line, error, 0,
                                       "it has devices on bus='usb', but <controller type='usb' model='none'>");
      if (!add_xhci (line, "qemu-xhci", NULL, error))
        return FALSE;
    }
  return each_device (line, claim, error);
}

/**
 * vs_command_line_place_usb:
 * @line: a command line
 * @device: (transfer none): a USB device, which gets its address
 * @address: what the definition says of it
 *
 * A device of which nothing is said goes to the first controller. QEMU chooses its port, unless the definition gives
 * other devices there one.
 */
void
vs_command_line_place_usb (VsCommandLine *line, VsOption *device, const VsAddress *address)
{
  gboolean given = address->type == VS_ADDRESS_USB;
  Bus *bus = g_hash_table_lookup (line->usb_buses, GUINT_TO_POINTER (given ? address->bus : 0));
  g_autoptr (GString) name = g_string_new (NULL);
  guint port = 1;

  name_bus (name, bus != NULL ? bus->number : 0);
  vs_option_add (device, "bus", "%s.0", name->str);
  if (given && address->port != NULL)
    {
      vs_option_add (device, "port", "%s", address->port);
      return;
    }
  if (bus == NULL || !bus->has_given)
    return;
  while (port <= MIN (bus->n_ports, MAX_PORTS) && bus->owner[port] != 0)
    port++;
  /* QEMU says it where there is none left. */
  if (port > MIN (bus->n_ports, MAX_PORTS))
    return;
  bus->owner[port] = G_MAXUINT;
  vs_option_add (device, "port", "%u", port);
}

/* After the inputs, which so keep their ports. */
gboolean
vs_command_line_add_redirdevs (VsCommandLine *line, GError **error)
{
  if (line->def->redirdevs->len > 0
      && !vs_command_line_need (line, error, "usb-redir", "redirect USB devices", "qemu-system-common", ""))
    return FALSE;
  for (guint i = 0; i < line->def->redirdevs->len; i++)
    {
      const VsRedirdevDef *def = g_ptr_array_index (line->def->redirdevs, i);
      VsOption *chardev = vs_option_new ("spicevmc");
      VsOption *device = vs_option_new ("usb-redir");

      vs_option_add (chardev, "id", "charredir%u", i);
      vs_option_add (chardev, "name", "usbredir");
      vs_command_line_take (line, "-chardev", chardev);
      vs_option_add (device, "id", "redir%u", i);
      vs_option_add (device, "chardev", "charredir%u", i);
      vs_command_line_place_usb (line, device, &def->address);
      vs_command_line_take (line, "-device", device);
    }
  return TRUE;
}
