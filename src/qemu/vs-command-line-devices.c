/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Input, network, and the small devices there is mostly one of. Pure; any thread.
 */
#include "vs-command-line-private.h"

#include <string.h>

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
          if (!place_and_take (line, device, &def->address, VS_SLOT_EXPRESS, error))
            return FALSE;
          continue;
        }
      vs_command_line_place_usb (line, device, &def->address);
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
  return place_and_take (line, device, &def->address, VS_SLOT_EXPRESS, error);
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
  return place_and_take (line, device, &def->address, VS_SLOT_EXPRESS, error);
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
  return place_and_take (line, device, &def->address, VS_SLOT_CONVENTIONAL, error);
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
  /* The boot ROM is part of the saved state, and not the same on every host: only where it is of use. */
  if (def->rom_enabled == VS_TRISTATE_OFF || (def->rom_enabled == VS_TRISTATE_DEFAULT && boot_index == 0))
    vs_option_add (device, "romfile", "%s", "");
  if (def->rom_bar != VS_TRISTATE_DEFAULT)
    vs_option_add (device, "rombar", "%d", def->rom_bar == VS_TRISTATE_ON);
  return place_and_take (line, device, &def->address, is_express ? VS_SLOT_EXPRESS : VS_SLOT_CONVENTIONAL, error);
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
