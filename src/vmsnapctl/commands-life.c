/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that change whether a domain's guest is there and runs. Lives in the main thread.
 */
#include "commands.h"

#include "format.h"

#include <glib-unix.h>
#include <signal.h>

/* When to tell that a guest takes its time, in seconds: most have ended by then. */
#define SHUTDOWN_PATIENCE 15

CtlExit
ctl_command_start (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  gboolean paused = FALSE;
  gboolean discard = FALSE;
  gboolean bypass = FALSE;
  const GOptionEntry entries[] = {
    { "paused", 0, 0, G_OPTION_ARG_NONE, &paused, "Leave the guest paused", NULL },
    { "discard-managed-save", 0, 0, G_OPTION_ARG_NONE, &discard, "Remove a managed save, and boot anew", NULL },
    { "bypass-cache", 0, 0, G_OPTION_ARG_NONE, &bypass, "Read a managed save past the host's cache", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  ctl_option_flag (&options, "paused", paused);
  ctl_option_flag (&options, "discard-managed-save", discard);
  ctl_option_flag (&options, "bypass-cache", bypass);
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain != NULL)
    job = vmsnap_domain_start_sync (domain, ctl_options (ctl, &options), NULL, &error);
  return ctl_finish_job (ctl, job, error, "Started %s", argv[1]);
}

typedef gboolean (*ChangeFunc) (VmSnapDomain *domain, GVariant *options, GCancellable *cancellable, GError **error);

/* A command that makes one call, which has done it when it returns. */
static CtlExit
change (Ctl *ctl, int argc, char **argv, ChangeFunc func, const char *done)
{
  g_autoptr (VmSnapDomain) domain = NULL;
  GError *error = NULL;
  const GOptionEntry entries[] = { CTL_QUEUE_ENTRY (ctl), G_OPTION_ENTRY_NULL };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain == NULL || !func (domain, ctl_options (ctl, NULL), NULL, &error))
    return ctl_fail (error);
  ctl_done (ctl, "%s %s", done, argv[1]);
  return CTL_OK;
}

CtlExit
ctl_command_power_off (Ctl *ctl, int argc, char **argv)
{
  return change (ctl, argc, argv, vmsnap_domain_power_off_sync, "Powered off");
}

CtlExit
ctl_command_reset (Ctl *ctl, int argc, char **argv)
{
  return change (ctl, argc, argv, vmsnap_domain_reset_sync, "Reset");
}

CtlExit
ctl_command_pause (Ctl *ctl, int argc, char **argv)
{
  return change (ctl, argc, argv, vmsnap_domain_pause_sync, "Paused");
}

CtlExit
ctl_command_resume (Ctl *ctl, int argc, char **argv)
{
  return change (ctl, argc, argv, vmsnap_domain_resume_sync, "Resumed");
}

CtlExit
ctl_command_managed_save_remove (Ctl *ctl, int argc, char **argv)
{
  return change (ctl, argc, argv, vmsnap_domain_remove_managed_save_sync, "Removed the managed save of");
}

CtlExit
ctl_command_undefine (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapDomain) domain = NULL;
  GError *error = NULL;
  gboolean snapshots = FALSE;
  gboolean save = FALSE;
  const GOptionEntry entries[] = {
    { "snapshots-metadata", 0, 0, G_OPTION_ARG_NONE, &snapshots, "Forget the snapshots too; their data stays", NULL },
    { "managed-save", 0, 0, G_OPTION_ARG_NONE, &save, "Remove a managed save too", NULL },
    CTL_QUEUE_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  ctl_option_flag (&options, "snapshots-metadata", snapshots);
  ctl_option_flag (&options, "managed-save", save);
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain == NULL || !vmsnap_domain_undefine_sync (domain, ctl_options (ctl, &options), NULL, &error))
    return ctl_fail (error);
  ctl_done (ctl, "Undefined %s", argv[1]);
  return CTL_OK;
}

/* Waiting for a guest that has been asked to shut down. */
typedef struct
{
  GMainLoop *loop;
  VmSnapDomain *domain;
  GError *error;
  guint patience;
} Shutdown;

static void
on_state (VmSnapDomain *domain, GParamSpec *pspec, gpointer user_data)
{
  Shutdown *waiting = user_data;

  if (vmsnap_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_SHUTOFF)
    g_main_loop_quit (waiting->loop);
}

/* A transient domain goes with its guest. */
static void
on_removed (VmSnapClient *client, VmSnapDomain *domain, gpointer user_data)
{
  Shutdown *waiting = user_data;

  if (domain != waiting->domain)
    return;
  if (!vmsnap_client_get_service_running (client))
    g_set_error_literal (&waiting->error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY,
                         "The vmsnap service went away; whether the guest shuts down isn't known");
  g_main_loop_quit (waiting->loop);
}

static gboolean
on_interrupt (gpointer user_data)
{
  Shutdown *waiting = user_data;

  g_clear_error (&waiting->error);
  g_set_error_literal (&waiting->error, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                       "Stopped waiting; the guest has been asked to shut down, and may still do so");
  g_main_loop_quit (waiting->loop);
  return G_SOURCE_CONTINUE;
}

/* Nothing tells whether a guest obeys. */
static gboolean
on_patience_over (gpointer user_data)
{
  Shutdown *waiting = user_data;
  g_autofree char *name = ctl_format_plain (vmsnap_domain_get_name (waiting->domain), FALSE);
  g_autofree char *quoted = g_shell_quote (name);

  g_printerr ("%s hasn't shut down yet; a guest may ignore the request. Ctrl-C stops the waiting; this pulls the plug: "
              "vmsnapctl poweroff %s\n",
              name, quoted);
  waiting->patience = 0;
  return G_SOURCE_REMOVE;
}

static gboolean
wait_for_shutdown (Ctl *ctl, VmSnapDomain *domain, GError **error)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Shutdown waiting = { .loop = loop, .domain = domain };
  guint interrupted = g_unix_signal_add (SIGINT, on_interrupt, &waiting);
  gulong changed = g_signal_connect (domain, "notify::state", G_CALLBACK (on_state), &waiting);
  gulong removed = g_signal_connect (ctl->client, "domain-removed", G_CALLBACK (on_removed), &waiting);

  waiting.patience = g_timeout_add_seconds (SHUTDOWN_PATIENCE, on_patience_over, &waiting);
  if (vmsnap_domain_get_state (domain) != VMSNAP_DOMAIN_STATE_SHUTOFF)
    g_main_loop_run (loop);
  g_clear_handle_id (&waiting.patience, g_source_remove);
  g_signal_handler_disconnect (domain, changed);
  g_signal_handler_disconnect (ctl->client, removed);
  g_source_remove (interrupted);
  if (waiting.error == NULL)
    return TRUE;
  g_propagate_error (error, waiting.error);
  return FALSE;
}

CtlExit
ctl_command_shutdown (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (VmSnapDomain) domain = NULL;
  GError *error = NULL;
  gboolean wait = FALSE;
  const GOptionEntry entries[] = {
    { "wait", 0, 0, G_OPTION_ARG_NONE, &wait, "Wait until the guest has shut down", NULL },
    CTL_QUEUE_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain == NULL || !vmsnap_domain_shutdown_sync (domain, ctl_options (ctl, NULL), NULL, &error))
    return ctl_fail (error);
  if (wait && !wait_for_shutdown (ctl, domain, &error))
    return ctl_fail (error);
  ctl_done (ctl, wait ? "Shut down %s" : "Asked %s to shut down", argv[1]);
  return CTL_OK;
}
