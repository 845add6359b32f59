/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * USB, input, network, and the small devices there is mostly one of. Pure; any thread.
 */
#include "vs-command-line-private.h"

#include <string.h>

static gboolean
place_and_take (VsCommandLine *line, VsOption *device, VsSlotKind kind, GError **error)
{
  if (vs_command_line_place (line, device, kind, error))
    {
      vs_command_line_take (line, "-device", device);
      return TRUE;
    }
  g_string_free (device, TRUE);
  return FALSE;
}

/* USB */

static gboolean
needs_usb (VsCommandLine *line)
{
  for (guint i = 0; i < line->def->inputs->len; i++)
    if (g_strcmp0 (((const VsInputDef *)g_ptr_array_index (line->def->inputs, i))->bus, "usb") == 0)
      return TRUE;
  if (line->def->redirdevs->len > 0)
    return TRUE;
  for (guint i = 0; i < line->def->serials->len; i++)
    if (g_strcmp0 (((const VsChardevDef *)g_ptr_array_index (line->def->serials, i))->target_type, "usb-serial") == 0)
      return TRUE;
  return FALSE;
}

/* The first is `usb`, so that its bus is `usb.0`; further ones are usb1, usb2 … */
static void
add_usb_id (VsCommandLine *line, VsOption *device)
{
  if (line->n_usb == 0)
    vs_option_add (device, "id", "usb");
  else
    vs_option_add (device, "id", "usb%u", line->n_usb);
  line->n_usb++;
}

static gboolean
add_xhci (VsCommandLine *line, const char *model, int ports, GError **error)
{
  VsOption *device = vs_option_new (model);

  add_usb_id (line, device);
  vs_option_add (device, "p2", "%d", ports > 0 ? ports : 15);
  vs_option_add (device, "p3", "%d", ports > 0 ? ports : 15);
  return place_and_take (line, device, g_str_equal (model, "qemu-xhci") ? VS_SLOT_EXPRESS : VS_SLOT_CONVENTIONAL,
                         error);
}

/* EHCI with its companions, one a function of one slot, as on Intel's board. A companion needs its EHCI's bus to be
 * there, so that comes first. */
static gboolean
add_ich9 (VsCommandLine *line, GError **error)
{
  static const char *const companions[] = { "ich9-usb-uhci1", "ich9-usb-uhci2", "ich9-usb-uhci3" };
  VsOption *ehci = vs_option_new ("ich9-usb-ehci1");
  g_autofree char *bus = line->n_usb == 0 ? g_strdup ("usb.0") : g_strdup_printf ("usb%u.0", line->n_usb);
  g_autofree char *place = NULL;
  gsize before;

  add_usb_id (line, ehci);
  before = ehci->len;
  if (!vs_command_line_place (line, ehci, VS_SLOT_CONVENTIONAL, error))
    {
      g_string_free (ehci, TRUE);
      return FALSE;
    }
  place = g_strdup (ehci->str + before);
  g_string_append (ehci, ".0x7,multifunction=on");
  vs_command_line_take (line, "-device", ehci);
  for (guint i = 0; i < G_N_ELEMENTS (companions); i++)
    {
      VsOption *uhci = vs_option_new (companions[i]);

      vs_option_add (uhci, "masterbus", "%s", bus);
      vs_option_add (uhci, "firstport", "%u", 2 * i);
      g_string_append_printf (uhci, "%s.0x%x,multifunction=on", place, i);
      vs_command_line_take (line, "-device", uhci);
    }
  return TRUE;
}

static gboolean
add_usb_controller (VsCommandLine *line, const VsControllerDef *def, GError **error)
{
  const char *model = def->model != NULL ? def->model : "qemu-xhci";
  VsOption *device;

  /* The companions come with the one they belong to. */
  if (g_str_equal (model, "none") || g_str_has_prefix (model, "ich9-uhci"))
    return TRUE;
  if (g_str_equal (model, "ich9-ehci1"))
    return add_ich9 (line, error);
  if (g_str_has_suffix (model, "-xhci"))
    return add_xhci (line, g_str_equal (model, "nec-xhci") ? "nec-usb-xhci" : model, def->ports, error);
  device = vs_option_new (g_str_equal (model, "piix3-uhci") ? "piix3-usb-uhci" : model);
  add_usb_id (line, device);
  return place_and_take (line, device, VS_SLOT_CONVENTIONAL, error);
}

gboolean
vs_command_line_add_usb (VsCommandLine *line, GError **error)
{
  gboolean forbidden = FALSE;

  for (guint i = 0; i < line->def->controllers->len; i++)
    {
      const VsControllerDef *def = g_ptr_array_index (line->def->controllers, i);

      if (def->type != VS_CONTROLLER_USB)
        continue;
      forbidden = forbidden || g_strcmp0 (def->model, "none") == 0;
      if (!add_usb_controller (line, def, error))
        return FALSE;
    }
  if (line->n_usb > 0 || !needs_usb (line))
    return TRUE;
  if (forbidden)
    return vs_command_line_refuse (line, error, 0,
                                   "it has devices on bus='usb', but <controller type='usb' model='none'>");
  return add_xhci (line, "qemu-xhci", -1, error);
}

gboolean
vs_command_line_add_inputs (VsCommandLine *line, GError **error)
{
  for (guint i = 0; i < line->def->inputs->len; i++)
    {
      const VsInputDef *def = g_ptr_array_index (line->def->inputs, i);
      gboolean is_virtio = g_strcmp0 (def->bus, "virtio") == 0;
      g_autofree char *name = NULL;
      VsOption *device;

      /* A machine's keyboard and mouse are there anyway. */
      if (g_strcmp0 (def->bus, "ps2") == 0)
        continue;
      if (is_virtio)
        name = g_strdup_printf ("virtio-%s-pci", def->type);
      else
        name = g_strdup_printf ("usb-%s", g_str_equal (def->type, "keyboard") ? "kbd" : def->type);
      device = vs_option_new (name);
      vs_option_add (device, "id", "input%u", i);
      if (is_virtio)
        {
          if (!place_and_take (line, device, VS_SLOT_EXPRESS, error))
            return FALSE;
          continue;
        }
      vs_option_add (device, "bus", "usb.0");
      vs_command_line_take (line, "-device", device);
    }
  return TRUE;
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
      VsOption *chardev = vs_option_new ("spicevmc");
      VsOption *device = vs_option_new ("usb-redir");

      vs_option_add (chardev, "id", "charredir%u", i);
      vs_option_add (chardev, "name", "usbredir");
      vs_command_line_take (line, "-chardev", chardev);
      vs_option_add (device, "id", "redir%u", i);
      vs_option_add (device, "chardev", "charredir%u", i);
      vs_option_add (device, "bus", "usb.0");
      vs_command_line_take (line, "-device", device);
    }
  return TRUE;
}

/* Balloon, randomness, watchdog */

static gboolean
add_balloon (VsCommandLine *line, GError **error)
{
  const VsMemballoonDef *def = line->def->memballoon;
  VsOption *device;

  if (def == NULL)
    return TRUE;
  device = vs_option_new ("virtio-balloon-pci");
  vs_option_add (device, "id", "balloon0");
  vs_option_add_tristate (device, "deflate-on-oom", def->autodeflate);
  vs_option_add_tristate (device, "free-page-reporting", def->free_page_reporting);
  return place_and_take (line, device, VS_SLOT_EXPRESS, error);
}

static gboolean
add_rng (VsCommandLine *line, const VsRngDef *def, guint index, GError **error)
{
  VsOption *object = vs_option_new (def->path != NULL ? "rng-random" : "rng-builtin");
  VsOption *device = vs_option_new ("virtio-rng-pci");

  vs_option_add (object, "id", "objrng%u", index);
  if (def->path != NULL)
    vs_option_add (object, "filename", "%s", def->path);
  vs_command_line_take (line, "-object", object);

  vs_option_add (device, "id", "rng%u", index);
  vs_option_add (device, "rng", "objrng%u", index);
  if (def->rate_bytes > 0)
    {
      vs_option_add (device, "max-bytes", "%" G_GUINT64_FORMAT, def->rate_bytes);
      vs_option_add (device, "period", "%" G_GUINT64_FORMAT, def->rate_period_ms > 0 ? def->rate_period_ms : 1000);
    }
  return place_and_take (line, device, VS_SLOT_EXPRESS, error);
}

static gboolean
add_watchdog (VsCommandLine *line, const VsWatchdogDef *def, guint index, GError **error)
{
  VsOption *device;

  if (g_str_equal (def->model, "itco"))
    {
      if (line->family != VS_MACHINE_Q35)
        return vs_command_line_refuse (line, error, def->line, "only a q35 machine has a watchdog of model 'itco'");
      vs_command_line_add (line, "-global", "ICH9-LPC.noreboot=off");
      return TRUE;
    }
  device = vs_option_new (def->model);
  vs_option_add (device, "id", "watchdog%u", index);
  return place_and_take (line, device, VS_SLOT_CONVENTIONAL, error);
}

gboolean
vs_command_line_add_small_devices (VsCommandLine *line, GError **error)
{
  if (!add_balloon (line, error))
    return FALSE;
  for (guint i = 0; i < line->def->rngs->len; i++)
    if (!add_rng (line, g_ptr_array_index (line->def->rngs, i), i, error))
      return FALSE;
  for (guint i = 0; i < line->def->watchdogs->len; i++)
    if (!add_watchdog (line, g_ptr_array_index (line->def->watchdogs, i), i, error))
      return FALSE;
  return TRUE;
}

/* Network */

/* The host's end. Bridged ones are taps that were opened before and crossed as descriptors. */
static gboolean
add_netdev (VsCommandLine *line, const VsInterfaceDef *def, guint index, guint *n_taps, GError **error)
{
  VsOption *netdev = vs_option_new (def->type == VS_INTERFACE_USER ? "user" : "tap");

  vs_option_add (netdev, "id", "hostnet%u", index);
  if (def->type == VS_INTERFACE_BRIDGE)
    {
      if (*n_taps >= line->context->n_tap_fds)
        {
          g_string_free (netdev, TRUE);
          return vs_command_line_refuse (line, error, def->line, "nobody has opened a tap on bridge %s", def->bridge);
        }
      vs_option_add (netdev, "fd", "%d", line->context->tap_fds[(*n_taps)++]);
    }
  vs_command_line_take (line, "-netdev", netdev);
  return TRUE;
}

static gboolean
add_interface (VsCommandLine *line, const VsInterfaceDef *def, guint index, guint *n_taps, GError **error)
{
  gboolean is_virtio = g_str_equal (def->model, "virtio");
  gboolean is_express = is_virtio || g_str_equal (def->model, "e1000e");
  guint boot_index = vs_command_line_boot_index (line, VS_BOOT_NETWORK, def->boot_order, index == 0);
  VsOption *device;

  if (!add_netdev (line, def, index, n_taps, error))
    return FALSE;
  device = vs_option_new (is_virtio ? "virtio-net-pci" : def->model);
  vs_option_add (device, "id", "net%u", index);
  vs_option_add (device, "netdev", "hostnet%u", index);
  vs_option_add (device, "mac", "%s", def->mac);
  if (boot_index > 0)
    vs_option_add (device, "bootindex", "%u", boot_index);
  else
    /* The boot ROM is part of the saved state, and not the same on every host: only where it is of use. */
    vs_option_add (device, "romfile", "%s", "");
  return place_and_take (line, device, is_express ? VS_SLOT_EXPRESS : VS_SLOT_CONVENTIONAL, error);
}

gboolean
vs_command_line_add_interfaces (VsCommandLine *line, GError **error)
{
  guint n_taps = 0;

  for (guint i = 0; i < line->def->interfaces->len; i++)
    if (!add_interface (line, g_ptr_array_index (line->def->interfaces, i), i, &n_taps, error))
      return FALSE;
  return TRUE;
}
