/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The command line of the service, and its defaults. Main thread, before anything else.
 */
#include "bus-settings.h"

#include <sys/utsname.h>

#include "vmsnap-error.h"

static void
set_default (char **setting, char *value)
{
  if (*setting == NULL)
    *setting = value;
  else
    g_free (value);
}

/* QEMU for guests like the host itself. */
static char *
find_emulator (void)
{
  struct utsname host;
  g_autofree char *name = NULL;
  char *path;

  uname (&host);
  name = g_strconcat ("qemu-system-", host.machine, NULL);
  path = g_find_program_in_path (name);
  return path != NULL ? path : g_build_filename ("/usr/bin", name, NULL);
}

/* A mere name is looked for as a shell would; it is shown, and started, by its path. */
static void
make_absolute (char **program)
{
  g_autofree char *given = *program;
  char *found = g_find_program_in_path (given);

  *program = found != NULL ? found : g_canonicalize_filename (given, NULL);
}

static void
set_system_defaults (BusSettings *settings)
{
  set_default (&settings->state_directory, g_strdup ("/var/lib/vmsnap"));
  set_default (&settings->runtime_directory, g_strdup ("/run/vmsnap"));
  set_default (&settings->log_directory, g_strdup ("/var/log/vmsnap"));
}

static void
set_session_defaults (BusSettings *settings)
{
  set_default (&settings->state_directory, g_build_filename (g_get_user_state_dir (), "vmsnap", NULL));
  set_default (&settings->runtime_directory, g_build_filename (g_get_user_runtime_dir (), "vmsnap", NULL));
  set_default (&settings->log_directory, g_build_filename (g_get_user_state_dir (), "vmsnap", "log", NULL));
}

static gboolean
parse (BusSettings *settings, int *argc, char ***argv, GError **error)
{
  gboolean system = FALSE;
  const GOptionEntry entries[] = {
    { "system", 0, 0, G_OPTION_ARG_NONE, &system, "Serve the system bus (default)", NULL },
    { "session", 0, 0, G_OPTION_ARG_NONE, &settings->session, "Serve the session bus, for this user only", NULL },
    { "state-directory", 0, 0, G_OPTION_ARG_FILENAME, &settings->state_directory,
      "Where domains and snapshots are kept", "DIR" },
    { "runtime-directory", 0, 0, G_OPTION_ARG_FILENAME, &settings->runtime_directory,
      "Where monitor sockets and facts of running guests are", "DIR" },
    { "log-directory", 0, 0, G_OPTION_ARG_FILENAME, &settings->log_directory, "Where the output of QEMU goes", "DIR" },
    { "emulator", 0, 0, G_OPTION_ARG_FILENAME, &settings->emulator,
      "QEMU for domains whose definition names no emulator", "PATH" },
    { "version", 0, 0, G_OPTION_ARG_NONE, &settings->version, "Print the version and exit", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("- snapshot service for virtual machines");

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc > 1)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "Unexpected argument '%s': see --help",
                 (*argv)[1]);
  else if (system && settings->session)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "--system and --session exclude each other: give one of them");
  else
    return TRUE;
  return FALSE;
}

/**
 * bus_settings_parse:
 * @settings: all zero; to be cleared with bus_settings_clear(), also on failure
 * @argc: (inout): as for main()
 * @argv: (inout): as for main()
 * @error: where to put what is wrong with the arguments
 *
 * Returns: whether @settings are complete
 */
gboolean
bus_settings_parse (BusSettings *settings, int *argc, char ***argv, GError **error)
{
  if (!parse (settings, argc, argv, error))
    return FALSE;
  if (settings->session)
    set_session_defaults (settings);
  else
    set_system_defaults (settings);
  if (settings->emulator == NULL)
    settings->emulator = find_emulator ();
  else
    make_absolute (&settings->emulator);
  return TRUE;
}

/**
 * bus_settings_clear:
 * @settings: settings
 */
void
bus_settings_clear (BusSettings *settings)
{
  g_clear_pointer (&settings->state_directory, g_free);
  g_clear_pointer (&settings->runtime_directory, g_free);
  g_clear_pointer (&settings->log_directory, g_free);
  g_clear_pointer (&settings->emulator, g_free);
}
