/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmsnapctl: the command line of the vmsnap service, a plain user of the library. This file holds the table of
 * commands, and finds the one that is meant.
 */
#include "commands.h"

#include <locale.h>
#include <string.h>

static const CtlCommand commands[] = {
  { "list", NULL, "List the domains", ctl_command_list },
  { "define", "FILE", "Keep the definition of a domain", ctl_command_define },
  { "create", "FILE", "Start a domain that is forgotten when its guest ends", ctl_command_create },
  { "start", "DOMAIN", "Start a domain's guest", ctl_command_start },
  { "shutdown", "DOMAIN", "Ask a guest to shut down", ctl_command_shutdown },
  { "poweroff", "DOMAIN", "Pull a guest's plug", ctl_command_power_off },
  { "reset", "DOMAIN", "Push a guest's reset button", ctl_command_reset },
  { "pause", "DOMAIN", "Make a guest stand still", ctl_command_pause },
  { "resume", "DOMAIN", "Let a paused guest run on", ctl_command_resume },
  { "save", "DOMAIN FILE", "Put a guest into a file, and switch it off", ctl_command_save },
  { "restore", "FILE", "Bring a guest back out of a file", ctl_command_restore },
  { "managed-save", "DOMAIN", "Save a guest; its next start restores it", ctl_command_managed_save },
  { "managed-save-remove", "DOMAIN", "Remove a managed save, so that the next start boots",
    ctl_command_managed_save_remove },
  { "undefine", "DOMAIN", "Forget the definition of a domain; its disks stay", ctl_command_undefine },
  { "show", "DOMAIN", "Show all about a domain", ctl_command_show },
  { "xml", "DOMAIN", "Write the definition of a domain", ctl_command_xml },
  { "screenshot", "DOMAIN FILE", "Take a picture of a guest's screen, as PNG", ctl_command_screenshot },
  { "snapshot create", "DOMAIN [NAME]", "Take a snapshot", ctl_command_snapshot_create },
  { "snapshot create-from-xml", "DOMAIN FILE", "Take a snapshot as domainsnapshot XML says",
    ctl_command_snapshot_create_from_xml },
  { "snapshot list", "DOMAIN", "List the snapshots of a domain", ctl_command_snapshot_list },
  { "snapshot tree", "DOMAIN", "Draw the snapshots of a domain as a tree", ctl_command_snapshot_tree },
  { "snapshot show", "DOMAIN NAME", "Show all about a snapshot", ctl_command_snapshot_show },
  { "snapshot revert", "DOMAIN NAME", "Bring a domain back to a snapshot", ctl_command_snapshot_revert },
  { "snapshot redefine", "DOMAIN FILE", "Put a snapshot that exists on record, by its XML",
    ctl_command_snapshot_redefine },
  { "snapshot delete", "DOMAIN NAME", "Delete a snapshot", ctl_command_snapshot_delete },
  { "image show", "FILE", "Show all about a saved image", ctl_command_image_show },
  { "image edit", "FILE", "Change what a saved image says", ctl_command_image_edit },
  { "job list", NULL, "List the jobs", ctl_command_job_list },
  { "job show", "JOB", "Show all about a job", ctl_command_job_show },
  { "job cancel", "JOB", "Cancel a job", ctl_command_job_cancel },
  { "monitor", "[DOMAIN]", "Tell what happens, as it happens", ctl_command_monitor },
};

/* The commands that begin with @prefix, as `--help` shows them. */
static char *
describe (const char *prefix)
{
  GString *text = g_string_new ("Commands:\n");

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_has_prefix (commands[i].name, prefix))
      g_string_append_printf (text, "  %-25s %s\n", commands[i].name, commands[i].summary);
  g_string_append (text, "\n'vmsnapctl COMMAND --help' tells more about one of them. A DOMAIN is a name or a uuid.\n"
                         "The exit status is 0 if it was done, 1 if it failed, 2 if the command line is wrong.");
  return g_string_free (text, FALSE);
}

static const CtlCommand *
find (const char *first, const char *second)
{
  g_autofree char *both = second != NULL ? g_strjoin (" ", first, second, NULL) : NULL;

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (commands[i].name, first) || g_strcmp0 (commands[i].name, both) == 0)
      return &commands[i];
  return NULL;
}

static const char *const groups[] = { "snapshot", "image", "job", NULL };

/* The first word of a group alone: its help, or what is wrong. */
static CtlExit
group_only (Ctl *ctl, const char *group, const char *word)
{
  g_autofree char *prefix = g_strconcat (group, " ", NULL);
  g_autofree char *description = describe (prefix);

  if (g_strcmp0 (word, "--help") == 0 || g_strcmp0 (word, "-h") == 0)
    {
      g_print ("Usage:\n  vmsnapctl %s COMMAND [OPTION…]\n\n%s\n", group, description);
      return CTL_OK;
    }
  if (word != NULL)
    g_printerr ("vmsnapctl: There is no command '%s %s'\n", group, word);
  else
    g_printerr ("vmsnapctl: '%s' needs another word\n", group);
  g_printerr ("%s\n", description);
  return CTL_USAGE;
}

static CtlExit
run (Ctl *ctl, int argc, char **argv)
{
  const char *first = argv[1];
  const char *second = argc > 2 ? argv[2] : NULL;
  guint words;

  ctl->command = find (first, second);
  if (ctl->command == NULL && g_strv_contains (groups, first))
    return group_only (ctl, first, second);
  if (ctl->command == NULL)
    return ctl_usage (ctl, "There is no command '%s'", first);
  words = strchr (ctl->command->name, ' ') != NULL ? 2 : 1;
  return ctl->command->run (ctl, argc - words, argv + words);
}

int
main (int argc, char **argv)
{
  Ctl ctl = { 0 };
  g_autofree char *description = describe ("");
  gboolean version = FALSE;
  CtlExit exit_status;
  int count = argc;

  setlocale (LC_ALL, "");
  g_set_prgname ("vmsnapctl");
  if (!ctl_parse_globals (&ctl, &count, &argv, description, &version))
    return CTL_USAGE;
  if (version)
    {
      g_print ("vmsnapctl %s\n", VMSNAP_VERSION);
      return CTL_OK;
    }
  if (count < 2)
    {
      g_printerr ("vmsnapctl: A command is missing\n%s\n", description);
      return CTL_USAGE;
    }
  exit_status = run (&ctl, count, argv);
  ctl_agent_stop (&ctl);
  g_clear_object (&ctl.client);
  return exit_status;
}
