/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What all commands have in common: their options, the connection, finding what an argument names, errors. Lives in the
 * main thread.
 */
#include "ctl.h"

#include "format.h"
#include "hint.h"

#include <gio/gunixinputstream.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* More than any definition needs; the service has its own limit. */
#define XML_MAX (16 * 1024 * 1024)

#define GLOBAL_ENTRIES(ctl)                                                                                            \
  {                                                                                                                    \
    { "session", 0, 0, G_OPTION_ARG_NONE, &(ctl)->session, "Talk to the service of this session", NULL },              \
      { "system", 0, 0, G_OPTION_ARG_NONE, &(ctl)->system, "Talk to the service of the system (the default)", NULL },  \
      { "json", 0, 0, G_OPTION_ARG_NONE, &(ctl)->json, "Write JSON, for programs", NULL }, G_OPTION_ENTRY_NULL         \
  }

static gboolean
check_globals (Ctl *ctl, GError **error)
{
  if (!ctl->session || !ctl->system)
    return TRUE;
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                       "--session and --system exclude each other; give one of them");
  return FALSE;
}

/* "--" ends the options, so that what follows may begin with a dash; where it does, GLib leaves it standing. */
static void
drop_separator (int *argc, char **argv)
{
  int at = 1;

  while (at < *argc && !g_str_equal (argv[at], "--"))
    at++;
  if (at == *argc)
    return;
  memmove (&argv[at], &argv[at + 1], (size_t)(*argc - at) * sizeof *argv);
  --*argc;
}

/**
 * ctl_parse_globals:
 * @ctl: the program's state
 * @argc: (inout): the number of arguments
 * @argv: (inout): the arguments; what stands before the command is taken out
 * @description: what `--help` shows below the options
 * @version: (out): whether the version is asked for
 *
 * Parses what stands before the command. `--help` is answered here.
 */
gboolean
ctl_parse_globals (Ctl *ctl, int *argc, char ***argv, const char *description, gboolean *version)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("COMMAND");
  g_autoptr (GError) error = NULL;
  const GOptionEntry globals[] = GLOBAL_ENTRIES (ctl);
  const GOptionEntry own[] = {
    { "version", 0, 0, G_OPTION_ARG_NONE, version, "Tell the version", NULL },
    G_OPTION_ENTRY_NULL,
  };

  g_option_context_set_summary (context, "Snapshots of virtual machines: a client of the vmsnap service.");
  g_option_context_set_description (context, description);
  g_option_context_add_main_entries (context, globals, NULL);
  g_option_context_add_main_entries (context, own, NULL);
  g_option_context_set_strict_posix (context, TRUE);
  if (g_option_context_parse (context, argc, argv, &error) && check_globals (ctl, &error))
    {
      if (*argc > 1 && g_str_equal ((*argv)[1], "--"))
        drop_separator (argc, *argv);
      return TRUE;
    }
  ctl_usage (ctl, "%s", error->message);
  return FALSE;
}

static gboolean
check_arguments (int argc, char **argv, int least, int most, GError **error)
{
  for (int i = 1; i < argc; i++)
    if (!g_utf8_validate (argv[i], -1, NULL))
      {
        g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "Argument %d is not valid UTF-8", i);
        return FALSE;
      }
  if (argc - 1 >= least && argc - 1 <= most)
    return TRUE;
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                       argc - 1 < least ? "An argument is missing" : "There are too many arguments");
  return FALSE;
}

/**
 * ctl_parse:
 * @ctl: the program's state
 * @entries: the options of the command
 * @argc: (inout): the number of arguments
 * @argv: (inout): the arguments; the options are taken out, and [0] isn't one
 * @least: how many arguments there must be
 * @most: how many there may be
 *
 * Parses the options of the command, and those of the program once more, so that they may stand anywhere. `--help` is
 * answered here.
 *
 * Returns: whether all is as it should be; if not, that has been said
 */
gboolean
ctl_parse (Ctl *ctl, const GOptionEntry *entries, int *argc, char ***argv, int least, int most)
{
  g_autoptr (GOptionContext) context = g_option_context_new (ctl->command->arguments);
  g_autofree char *program = g_strconcat ("vmsnapctl ", ctl->command->name, NULL);
  g_autofree char *summary = g_strconcat (ctl->command->summary, ".", NULL);
  g_autoptr (GError) error = NULL;
  const GOptionEntry globals[] = GLOBAL_ENTRIES (ctl);

  g_set_prgname (program);
  g_option_context_set_summary (context, summary);
  g_option_context_set_description (context, ctl->note);
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_main_entries (context, globals, NULL);
  if (g_option_context_parse (context, argc, argv, &error) && check_globals (ctl, &error))
    {
      drop_separator (argc, *argv);
      if (check_arguments (*argc, *argv, least, most, &error))
        return TRUE;
    }
  ctl_usage (ctl, "%s", error->message);
  return FALSE;
}

/**
 * ctl_usage:
 * @ctl: the program's state
 * @format: what is wrong with the command line
 *
 * Returns: the exit status for a wrong command line
 */
CtlExit
ctl_usage (Ctl *ctl, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("vmsnapctl: %s\n", message);
  if (ctl->command != NULL)
    g_printerr ("Usage: vmsnapctl %s [OPTION…] %s\nSee 'vmsnapctl %s --help'.\n", ctl->command->name,
                ctl->command->arguments != NULL ? ctl->command->arguments : "", ctl->command->name);
  else
    g_printerr ("See 'vmsnapctl --help'.\n");
  return CTL_USAGE;
}

/**
 * ctl_fail:
 * @error: (transfer full): why it failed
 *
 * Returns: the exit status for a failure, after telling the reason
 */
CtlExit
ctl_fail (GError *error)
{
  g_autoptr (GError) owned = error;
  g_autofree char *message = ctl_format_plain (owned->message, TRUE);
  g_autofree char *hint = ctl_hint_for (owned);

  g_printerr ("vmsnapctl: %s\n", message);
  if (hint != NULL)
    g_printerr ("vmsnapctl: hint: %s\n", hint);
  return CTL_FAILED;
}

/**
 * ctl_fail_image:
 * @error: (transfer full): why it failed
 * @name: the image that the user named
 *
 * The service sees a descriptor alone, and can't say which file is wrong.
 *
 * Returns: the exit status for a failure, after telling the reason
 */
CtlExit
ctl_fail_image (GError *error, const char *name)
{
  gboolean is_image = g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT)
                      || g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE);

  if (is_image && strstr (error->message, name) == NULL)
    g_prefix_error (&error, "%s: ", name);
  return ctl_fail (error);
}

/**
 * ctl_done:
 * @ctl: the program's state
 * @format: what has been done
 *
 * Tells people that it was done; programs look at the exit status.
 */
void
ctl_done (Ctl *ctl, const char *format, ...)
{
  g_autofree char *message = NULL;
  g_autofree char *plain = NULL;
  va_list args;

  if (ctl->json)
    return;
  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  plain = ctl_format_plain (message, FALSE);
  g_print ("%s\n", plain);
}

/**
 * ctl_connect:
 * @ctl: the program's state
 * @error: why there is no connection
 *
 * Connects to the service, which the bus starts if need be.
 */
gboolean
ctl_connect (Ctl *ctl, GError **error)
{
  GBusType bus = ctl->session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM;

  ctl->client = vmsnap_client_new_sync (bus, NULL, error);
  if (ctl->client == NULL)
    {
      g_prefix_error (error, "Can't reach the vmsnap service on the %s bus: ", ctl->session ? "session" : "system");
      return FALSE;
    }
  if (vmsnap_client_get_service_running (ctl->client))
    {
      ctl_agent_start (ctl);
      return TRUE;
    }
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN,
               "The vmsnap service is not running on the %s bus, and the bus can't start it; start vmsnapd, or try %s",
               ctl->session ? "session" : "system", ctl->session ? "--system" : "--session");
  return FALSE;
}

/**
 * ctl_find_domain:
 * @ctl: the program's state
 * @name: a domain's name or uuid
 * @error: why there is none
 *
 * Returns: (transfer full): the domain, after connecting
 */
VmSnapDomain *
ctl_find_domain (Ctl *ctl, const char *name, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  VmSnapDomain *domain;

  if (!ctl_connect (ctl, error))
    return NULL;
  domain = vmsnap_client_find_domain (ctl->client, name, &local_error);
  if (g_error_matches (local_error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                 "There is no domain with the name or uuid '%s'; 'vmsnapctl list' shows those there are", name);
  else if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  return domain;
}

/**
 * ctl_find_snapshot:
 * @ctl: the program's state
 * @domain_name: a domain's name or uuid
 * @name: a snapshot's name
 * @error: why there is none
 *
 * Returns: (transfer full): the snapshot, after connecting
 */
VmSnapSnapshot *
ctl_find_snapshot (Ctl *ctl, const char *domain_name, const char *name, GError **error)
{
  g_autoptr (VmSnapDomain) domain = ctl_find_domain (ctl, domain_name, error);

  return domain != NULL ? vmsnap_domain_get_snapshot_sync (domain, name, NULL, error) : NULL;
}

/* Standard input is read to its end, but not without one. */
static char *
read_standard_input (GError **error)
{
  g_autoptr (GInputStream) input = g_unix_input_stream_new (STDIN_FILENO, FALSE);
  g_autofree char *text = g_malloc (XML_MAX + 1);
  gsize length = 0;

  if (!g_input_stream_read_all (input, text, XML_MAX, &length, NULL, error))
    return NULL;
  text[length] = '\0';
  return g_realloc (g_steal_pointer (&text), length + 1);
}

/**
 * ctl_read_xml:
 * @file: a file's name; "-" is standard input
 * @error: why it can't be read
 *
 * Returns: (transfer full): the text, which is UTF-8 as a message must be
 */
char *
ctl_read_xml (const char *file, GError **error)
{
  g_autofree char *text = NULL;

  if (g_str_equal (file, "-"))
    text = read_standard_input (error);
  else
    g_file_get_contents (file, &text, NULL, error);
  if (text != NULL && !g_utf8_validate (text, -1, NULL))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML,
                   "'%s' is not UTF-8 text; convert it, for instance with iconv", file);
      return NULL;
    }
  return g_steal_pointer (&text);
}

/* An option that wasn't given is left out, so that the service's own default holds. */
void
ctl_option_flag (GVariantDict *options, const char *key, gboolean value)
{
  if (value)
    g_variant_dict_insert (options, key, "b", TRUE);
}

void
ctl_option_string (GVariantDict *options, const char *key, const char *value)
{
  if (value != NULL)
    g_variant_dict_insert (options, key, "s", value);
}

/**
 * ctl_options:
 * @ctl: the program's state
 * @options: (nullable): what was collected; it is cleared
 *
 * Returns: (transfer floating): the options of a call, `queue` included if it was asked for
 */
GVariant *
ctl_options (Ctl *ctl, GVariantDict *options)
{
  g_auto (GVariantDict) empty = G_VARIANT_DICT_INIT (NULL);
  GVariantDict *dict = options != NULL ? options : &empty;

  if (ctl->no_queue)
    g_variant_dict_insert (dict, "queue", "b", FALSE);
  return g_variant_dict_end (dict);
}
