/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the parts of a command line share: how an option is written, how a definition is refused, what is booted from.
 * Pure; any thread.
 */
#include "vs-command-line-private.h"

#include "vmsnap-error.h"

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
