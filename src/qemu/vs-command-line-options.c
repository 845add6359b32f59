/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the parts of a command line share: how an option is written, and which place on the PCI bus a device gets. The
 * places follow from the definition alone and don't depend on QEMU's own choice, for a saved state only fits a machine
 * of the same layout. Pure; any thread.
 */
#include "vs-command-line-private.h"

#include "vmsnap-error.h"

/* Slot 0 is the host's bridge; the last one of q35 holds its chip set, slot 1 of a pc as well. */
#define PC_VIDEO_SLOT 2
#define PC_FIRST_SLOT 3
#define PC_LAST_SLOT 31
#define Q35_VIDEO_SLOT 1
#define Q35_FIRST_PORT_SLOT 2
#define Q35_PORTS_PER_SLOT 8
#define Q35_MAX_PORTS (14 * Q35_PORTS_PER_SLOT)
#define Q35_FIRST_SLOT 16
#define Q35_LAST_SLOT 30

/**
 * vs_option_new:
 * @driver: what comes first, without a key
 *
 * Returns: (transfer full): an option's value, for vs_command_line_take()
 */
VsOption *
vs_option_new (const char *driver)
{
  return g_string_new (driver);
}

/**
 * vs_option_add:
 * @option: an option's value
 * @key: a key
 * @format: its value
 * @...: for @format
 *
 * Adds `key=value`.
 */
void
vs_option_add (VsOption *option, const char *key, const char *format, ...)
{
  g_autofree char *value = NULL;
  va_list args;

  va_start (args, format);
  value = g_strdup_vprintf (format, args);
  va_end (args);

  g_string_append_printf (option, "%s%s=", option->len > 0 ? "," : "", key);
  for (const char *p = value; *p != '\0'; p++)
    {
      if (*p == ',')
        g_string_append_c (option, ',');
      g_string_append_c (option, *p);
    }
}

/**
 * vs_option_add_tristate:
 * @option: an option's value
 * @key: a key
 * @value: `on`, `off`, or nothing at all
 */
void
vs_option_add_tristate (VsOption *option, const char *key, VsTristate value)
{
  if (value != VS_TRISTATE_DEFAULT)
    vs_option_add (option, key, "%s", value == VS_TRISTATE_ON ? "on" : "off");
}

/**
 * vs_command_line_add:
 * @line: a command line
 * @name: `-option`
 * @value: (nullable): its value
 */
void
vs_command_line_add (VsCommandLine *line, const char *name, const char *value)
{
  g_ptr_array_add (line->argv, g_strdup (name));
  if (value != NULL)
    g_ptr_array_add (line->argv, g_strdup (value));
}

/**
 * vs_command_line_take:
 * @line: a command line
 * @name: `-option`
 * @option: (transfer full): its value
 */
void
vs_command_line_take (VsCommandLine *line, const char *name, VsOption *option)
{
  g_ptr_array_add (line->argv, g_strdup (name));
  g_ptr_array_add (line->argv, g_string_free (option, FALSE));
}

/* A port is a bus for one device; eight of them share a slot of the root complex. */
static void
add_root_port (VsCommandLine *line)
{
  guint index = line->next_port++;
  VsOption *port = vs_option_new ("pcie-root-port");

  vs_option_add (port, "id", "pci.%u", index + 1);
  vs_option_add (port, "bus", "pcie.0");
  vs_option_add (port, "addr", "0x%x.0x%x", Q35_FIRST_PORT_SLOT + index / Q35_PORTS_PER_SLOT,
                 index % Q35_PORTS_PER_SLOT);
  if (index % Q35_PORTS_PER_SLOT == 0)
    vs_option_add (port, "multifunction", "on");
  vs_option_add (port, "port", "0x%x", index);
  vs_option_add (port, "chassis", "%u", index + 1);
  vs_command_line_take (line, "-device", port);
}

/**
 * vs_command_line_place:
 * @line: a command line
 * @device: (transfer none): a PCI device, which gets its address
 * @kind: what it asks of its place
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED when the bus is full
 *
 * Gives a device the next place, and makes a port for it where one is needed: so @device has to be added after this.
 *
 * Returns: whether there was one
 */
gboolean
vs_command_line_place (VsCommandLine *line, VsOption *device, VsSlotKind kind, GError **error)
{
  gboolean is_q35 = line->family == VS_MACHINE_Q35;

  if (is_q35 && kind == VS_SLOT_EXPRESS && line->next_port < Q35_MAX_PORTS)
    {
      add_root_port (line);
      vs_option_add (device, "bus", "pci.%u", line->next_port);
      vs_option_add (device, "addr", "0x0");
      return TRUE;
    }
  if (line->next_slot == 0)
    line->next_slot = is_q35 ? Q35_FIRST_SLOT : PC_FIRST_SLOT;
  if (line->next_slot > (is_q35 ? Q35_LAST_SLOT : PC_LAST_SLOT))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "Domain %s has more devices than the PCI bus of a %s has slots%s", line->def->name, line->machine,
                   is_q35 ? "" : "; a q35 machine has more");
      return FALSE;
    }
  vs_option_add (device, "bus", "%s", is_q35 ? "pcie.0" : "pci.0");
  vs_option_add (device, "addr", "0x%x", line->next_slot++);
  return TRUE;
}

/**
 * vs_command_line_place_primary_video:
 * @line: a command line
 * @device: (transfer none): the first graphics card, which sits where firmware and guests look for one
 */
void
vs_command_line_place_primary_video (VsCommandLine *line, VsOption *device)
{
  gboolean is_q35 = line->family == VS_MACHINE_Q35;

  vs_option_add (device, "bus", "%s", is_q35 ? "pcie.0" : "pci.0");
  vs_option_add (device, "addr", "0x%x", is_q35 ? Q35_VIDEO_SLOT : PC_VIDEO_SLOT);
}

/**
 * vs_command_line_refuse:
 * @line: a command line
 * @error: gets %VMSNAP_ERROR_INVALID_XML
 * @line_number: where it stands in the definition
 * @format: what is wrong, and what to do
 * @...: for @format
 *
 * Returns: %FALSE
 */
gboolean
vs_command_line_refuse (VsCommandLine *line, GError **error, guint line_number, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  if (line_number > 0)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML, "Domain %s, line %u: %s", line->def->name, line_number,
                 text);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML, "Domain %s: %s", line->def->name, text);
  return FALSE;
}

/**
 * vs_command_line_need:
 * @line: a command line
 * @error: gets %VMSNAP_ERROR_NOT_SUPPORTED
 * @feature: what was probed of the emulator
 * @what: what it can do with that: `serve SPICE`
 * @package: which of Debian's packages brings it
 * @otherwise: what else can be done, behind a semicolon, or nothing
 *
 * Returns: whether the emulator has @feature
 */
gboolean
vs_command_line_need (VsCommandLine *line,
                      GError **error,
                      const char *feature,
                      const char *what,
                      const char *package,
                      const char *otherwise)
{
  if (vs_hypervisor_has (line->hypervisor, feature))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
               "Domain %s: %s can't %s. Install its module (Debian: the package %s) and restart the service%s",
               line->def->name, vs_hypervisor_get_path (line->hypervisor), what, package, otherwise);
  return FALSE;
}

/**
 * vs_command_line_boot_index:
 * @line: a command line
 * @kind: of which kind a device is
 * @boot_order: the order the definition gives the device itself, or 0
 * @is_first: whether it is the first of its kind
 *
 * Returns: the device's place in the boot order, from 1 on, or 0: not booted from
 */
guint
vs_command_line_boot_index (VsCommandLine *line, VsBootDevice kind, guint boot_order, gboolean is_first)
{
  const VsOsDef *os = &line->def->os;

  if (boot_order > 0 || !is_first)
    return boot_order;
  for (guint i = 0; i < os->n_boot; i++)
    if (os->boot[i] == kind)
      return i + 1;
  return 0;
}
