/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Graphics cards, and how people get to see them. Pure; any thread.
 */
#include "vs-command-line-private.h"

#include <string.h>

/* Display 0 of VNC. */
#define VNC_BASE_PORT 5900
/* How many displays QEMU tries when the port is its choice. */
#define VNC_MAX_DISPLAY 999

/* What Debian 13 has in a package of its own, Debian 12 with QEMU itself. */
#define SPICE_PACKAGE "qemu-system-modules-spice"

static char *
vnc_address (const VsGraphicsDef *def)
{
  const char *address = def->listen_address != NULL ? def->listen_address : "127.0.0.1";

  return strchr (address, ':') != NULL ? g_strdup_printf ("[%s]", address) : g_strdup (address);
}

static gboolean
add_vnc (VsCommandLine *line, const VsGraphicsDef *def, guint index, GError **error)
{
  g_autofree char *address = vnc_address (def);
  VsOption *vnc = vs_option_new (NULL);

  if (def->listen == VS_LISTEN_NONE)
    g_string_append (vnc, "none");
  else if (def->listen == VS_LISTEN_SOCKET && def->socket != NULL)
    {
      vs_option_add (vnc, "unix", "%s", def->socket);
      vnc->str[strlen ("unix")] = ':';
    }
  else if (def->listen == VS_LISTEN_SOCKET)
    g_string_append_printf (vnc, "unix:vnc%u.sock", index);
  else if (def->autoport || def->port < 0)
    g_string_append_printf (vnc, "%s:0,to=%d", address, VNC_MAX_DISPLAY);
  else
    /* The definition has no ports below. */
    g_string_append_printf (vnc, "%s:%d", address, def->port - VNC_BASE_PORT);
  if (def->share_policy != NULL)
    vs_option_add (vnc, "share", "%s", def->share_policy);
  vs_command_line_take (line, "-vnc", vnc);
  return TRUE;
}

static gboolean
add_spice (VsCommandLine *line, const VsGraphicsDef *def, guint index, GError **error)
{
  int port = def->autoport || def->port < 0 ? line->context->spice_port : def->port;
  VsOption *spice;

  if (!vs_command_line_need (line, error, "spice", "serve SPICE", SPICE_PACKAGE,
                             "; or let the domain have <graphics type='vnc'>"))
    return FALSE;
  if (def->tls_port > 0)
    return vs_command_line_refuse (line, error, def->line, "a TLS port for SPICE isn't supported");
  if (def->listen == VS_LISTEN_ADDRESS && port <= 0)
    return vs_command_line_refuse (line, error, def->line, "nobody has chosen a port for SPICE");
  spice = vs_option_new (NULL);
  if (def->listen == VS_LISTEN_ADDRESS)
    {
      vs_option_add (spice, "port", "%d", port);
      vs_option_add (spice, "addr", "%s", def->listen_address != NULL ? def->listen_address : "127.0.0.1");
    }
  else
    {
      /* SPICE has to listen somewhere: when nobody shall come, on a socket in a closed directory. */
      g_autofree char *name = g_strdup_printf ("spice%u.sock", index);

      vs_option_add (spice, "unix", "on");
      vs_option_add (spice, "addr", "%s", def->listen == VS_LISTEN_SOCKET && def->socket != NULL ? def->socket : name);
    }
  vs_option_add (spice, "disable-ticketing", "on");
  vs_option_add (spice, "seamless-migration", "on");
  vs_command_line_take (line, "-spice", spice);
  return TRUE;
}

static gboolean
add_graphics (VsCommandLine *line, GError **error)
{
  for (guint i = 0; i < line->def->graphics->len; i++)
    {
      const VsGraphicsDef *def = g_ptr_array_index (line->def->graphics, i);
      gboolean done = def->type == VS_GRAPHICS_VNC ? add_vnc (line, def, i, error) : add_spice (line, def, i, error);

      if (!done)
        return FALSE;
      if (def->keymap != NULL)
        vs_command_line_add (line, "-k", def->keymap);
    }
  return TRUE;
}

/* Two names for most cards: with VGA for the first, without for the others. */
static const struct
{
  const char *model;
  const char *primary;
  const char *secondary; /* or NULL: can only be the first */
  gboolean is_pci;
} cards[] = {
  { "virtio", "virtio-vga", "virtio-gpu-pci", TRUE },
  { "qxl", "qxl-vga", "qxl", TRUE },
  { "vga", "VGA", "secondary-vga", TRUE },
  { "cirrus", "cirrus-vga", NULL, TRUE },
  { "bochs", "bochs-display", "bochs-display", TRUE },
  { "ramfb", "ramfb", NULL, FALSE },
};

static void
add_video_memory (VsOption *device, const VsVideoDef *def)
{
  gboolean is_qxl = g_str_equal (def->model, "qxl");

  if (is_qxl && def->ram > 0)
    vs_option_add (device, "ram_size", "%" G_GUINT64_FORMAT, def->ram * 1024);
  if (is_qxl && def->vram > 0)
    vs_option_add (device, "vram_size", "%" G_GUINT64_FORMAT, def->vram * 1024);
  if (is_qxl && def->vgamem > 0)
    vs_option_add (device, "vgamem_mb", "%" G_GUINT64_FORMAT, MAX (def->vgamem / 1024, 1));
  if ((g_str_equal (def->model, "vga") || g_str_equal (def->model, "cirrus")) && def->vram > 0)
    vs_option_add (device, "vgamem_mb", "%" G_GUINT64_FORMAT, MAX (def->vram / 1024, 1));
  if (g_str_equal (def->model, "bochs") && def->vram > 0)
    vs_option_add (device, "vgamem", "%" G_GUINT64_FORMAT "k", def->vram);
  if ((is_qxl || g_str_equal (def->model, "virtio")) && def->heads > 0)
    vs_option_add (device, "max_outputs", "%u", def->heads);
}

static gboolean
add_video (VsCommandLine *line, const VsVideoDef *def, guint index, GError **error)
{
  VsOption *device;
  gsize card = 0;

  if (g_str_equal (def->model, "none"))
    return TRUE;
  if (g_str_equal (def->model, "qxl")
      && !vs_command_line_need (line, error, "qxl", "emulate a graphics card of model 'qxl'", SPICE_PACKAGE,
                                "; or let the domain have <model type='virtio'/>"))
    return FALSE;
  while (card < G_N_ELEMENTS (cards) && !g_str_equal (cards[card].model, def->model))
    card++;
  if (card == G_N_ELEMENTS (cards) || (index > 0 && cards[card].secondary == NULL))
    return vs_command_line_refuse (line, error, def->line,
                                   "a graphics card of model '%s' isn't supported as the %s one", def->model,
                                   index > 0 ? "second" : "first");
  device = vs_option_new (index == 0 ? cards[card].primary : cards[card].secondary);
  vs_option_add (device, "id", "video%u", index);
  add_video_memory (device, def);
  if (cards[card].is_pci
      && !(index == 0 ? vs_command_line_place_primary_video (line, device, &def->address, error)
                      : vs_command_line_place (line, device, &def->address, VS_SLOT_CONVENTIONAL, error)))
    {
      g_string_free (device, TRUE);
      return FALSE;
    }
  vs_command_line_take (line, "-device", device);
  return TRUE;
}

gboolean
vs_command_line_add_displays (VsCommandLine *line, GError **error)
{
  /* Whatever QEMU was built with, it opens no window. */
  vs_command_line_add (line, "-display", "none");
  if (!add_graphics (line, error))
    return FALSE;
  for (guint i = 0; i < line->def->videos->len; i++)
    if (!add_video (line, g_ptr_array_index (line->def->videos, i), i, error))
      return FALSE;
  return TRUE;
}
