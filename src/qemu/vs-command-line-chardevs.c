/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Serial ports, consoles, channels and the TPM: devices that are one end of a character stream. Sockets for which the
 * definition names no path lie in the guest's directory, which is QEMU's working directory. Pure; any thread.
 */
#include "vs-command-line-private.h"

#include "vs-guest.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

static char *
default_socket (const VsChardevDef *def, const char *kind, guint index)
{
  if (g_strcmp0 (def->target_name, AGENT_CHANNEL) == 0)
    return g_strdup (VS_GUEST_AGENT_SOCKET);
  return g_strdup_printf ("%s%u.sock", kind, index);
}

/* The host's end. A channel to SPICE clients, who can't come, leads nowhere: a QEMU without SPICE then does, too. */
static void
add_chardev (VsCommandLine *line, const VsChardevDef *def, const char *kind, guint index)
{
  static const char *const drivers[] = { "pty", "socket", "file", "null", "spicevmc" };
  g_autofree char *socket = default_socket (def, kind, index);
  VsChardevType type = def->type == VS_CHARDEV_SPICEVMC && !vs_domain_def_has_spice (line->def) ? VS_CHARDEV_NULL : def->type;
  VsOption *chardev = vs_option_new (drivers[type]);

  vs_option_add (chardev, "id", "char%s%u", kind, index);
  if (type == VS_CHARDEV_UNIX)
    {
      vs_option_add (chardev, "path", "%s", def->path != NULL ? def->path : socket);
      if (def->listen || def->path == NULL)
        {
          vs_option_add (chardev, "server", "on");
          vs_option_add (chardev, "wait", "off");
        }
    }
  else if (type == VS_CHARDEV_FILE)
    {
      vs_option_add (chardev, "path", "%s", def->path);
      vs_option_add (chardev, "append", "%s", def->append ? "on" : "off");
    }
  else if (type == VS_CHARDEV_SPICEVMC)
    vs_option_add (chardev, "name", "vdagent");
  vs_command_line_take (line, "-chardev", chardev);
}

static gboolean
add_serial (VsCommandLine *line, const VsChardevDef *def, guint index, GError **error)
{
  const char *type = def->target_type != NULL ? def->target_type : "isa-serial";
  VsOption *device = vs_option_new (type);

  add_chardev (line, def, "serial", index);
  vs_option_add (device, "id", "serial%u", index);
  vs_option_add (device, "chardev", "charserial%u", index);
  if (g_str_equal (type, "isa-serial"))
    vs_option_add (device, "index", "%u", def->target_port);
  else if (g_str_equal (type, "usb-serial"))
    vs_command_line_place_usb (line, device, &def->address);
  else if (!vs_command_line_place (line, device, &def->address, VS_SLOT_CONVENTIONAL, error))
    {
      g_string_free (device, TRUE);
      return FALSE;
    }
  vs_command_line_take (line, "-device", device);
  return TRUE;
}

static void
add_virtio_port (VsCommandLine *line, const VsChardevDef *def, const char *kind, guint index)
{
  VsOption *device = vs_option_new (def->target_name != NULL ? "virtserialport" : "virtconsole");

  add_chardev (line, def, kind, index);
  vs_option_add (device, "id", "%s%u", kind, index);
  vs_command_line_place_virtio_port (line, device, &def->address);
  vs_option_add (device, "chardev", "char%s%u", kind, index);
  if (def->target_name != NULL)
    vs_option_add (device, "name", "%s", def->target_name);
  vs_command_line_take (line, "-device", device);
}

static void
add_tpm (VsCommandLine *line)
{
  const VsTpmDef *tpm = line->def->tpm;
  const char *path = line->context->tpm_socket != NULL ? line->context->tpm_socket : VS_GUEST_TPM_SOCKET;
  VsOption *chardev;
  VsOption *device;

  if (tpm == NULL)
    return;
  chardev = vs_option_new ("socket");
  vs_option_add (chardev, "id", "chartpm");
  vs_option_add (chardev, "path", "%s", path);
  vs_command_line_take (line, "-chardev", chardev);
  vs_command_line_add (line, "-tpmdev", "emulator,id=tpm-tpm0,chardev=chartpm");
  device = vs_option_new (tpm->model);
  vs_option_add (device, "tpmdev", "tpm-tpm0");
  vs_option_add (device, "id", "tpm0");
  vs_command_line_take (line, "-device", device);
}

gboolean
vs_command_line_add_chardevs (VsCommandLine *line, GError **error)
{
  const VsDomainDef *def = line->def;

  for (guint i = 0; i < def->serials->len; i++)
    if (!add_serial (line, g_ptr_array_index (def->serials, i), i, error))
      return FALSE;
  if (!vs_command_line_add_virtio_serial (line, error))
    return FALSE;
  for (guint i = 0; i < def->channels->len; i++)
    add_virtio_port (line, g_ptr_array_index (def->channels, i), "channel", i);
  for (guint i = 0; i < def->consoles->len; i++)
    add_virtio_port (line, g_ptr_array_index (def->consoles, i), "console", i);
  add_tpm (line);
  return TRUE;
}
