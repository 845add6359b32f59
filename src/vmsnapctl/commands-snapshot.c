/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that restore and delete snapshots. Lives in the main thread.
 */
#include "commands.h"

/* Whether the service would switch a running guest off. A transient domain's it won't, and says what to do. */
static gboolean
ends_guest (VmSnapSnapshot *snapshot)
{
  g_autoptr (VmSnapDomain) domain = vmsnap_snapshot_get_domain (snapshot);
  VmSnapSnapshotState result = vmsnap_snapshot_get_state (snapshot);
  VmSnapDomainState state = domain != NULL ? vmsnap_domain_get_state (domain) : VMSNAP_DOMAIN_STATE_SHUTOFF;

  return (state == VMSNAP_DOMAIN_STATE_RUNNING || state == VMSNAP_DOMAIN_STATE_PAUSED)
         && vmsnap_domain_is_persistent (domain)
         && (result == VMSNAP_SNAPSHOT_STATE_SHUTOFF || result == VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT);
}

static CtlExit
refuse_to_end (const char *domain, const char *name)
{
  return ctl_fail (g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                                "There is no memory in snapshot '%s', so to go back to it switches the guest of %s off, "
                                "and loses what that has not written to its disks. --running starts it from the disks "
                                "of the snapshot, --paused leaves it at its first instruction, --force switches it off",
                                name, domain));
}

CtlExit
ctl_command_snapshot_revert (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  gboolean running = FALSE;
  gboolean paused = FALSE;
  gboolean force = FALSE;
  const GOptionEntry entries[] = {
    { "running", 0, 0, G_OPTION_ARG_NONE, &running, "The guest shall run afterwards", NULL },
    { "paused", 0, 0, G_OPTION_ARG_NONE, &paused, "The guest shall be there and paused afterwards", NULL },
    { "force", 0, 0, G_OPTION_ARG_NONE, &force, "Go on where it is risky, or ends the guest", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2))
    return CTL_USAGE;
  if (running && paused)
    return ctl_usage (ctl, "--running and --paused exclude each other; give one of them");
  ctl_option_flag (&options, "running", running);
  ctl_option_flag (&options, "paused", paused);
  ctl_option_flag (&options, "force", force);
  snapshot = ctl_find_snapshot (ctl, argv[1], argv[2], &error);
  if (snapshot != NULL && !running && !paused && !force && ends_guest (snapshot))
    return refuse_to_end (argv[1], argv[2]);
  if (snapshot != NULL)
    job = vmsnap_snapshot_revert_sync (snapshot, ctl_options (ctl, &options), NULL, &error);
  return ctl_finish_job (ctl, job, error, "Reverted %s to snapshot '%s'", argv[1], argv[2]);
}

CtlExit
ctl_command_snapshot_delete (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  gboolean children = FALSE;
  gboolean only = FALSE;
  gboolean metadata = FALSE;
  const GOptionEntry entries[] = {
    { "children", 0, 0, G_OPTION_ARG_NONE, &children, "Delete all of its descendants too", NULL },
    { "children-only", 0, 0, G_OPTION_ARG_NONE, &only, "Delete its descendants, and keep the snapshot", NULL },
    { "metadata-only", 0, 0, G_OPTION_ARG_NONE, &metadata, "Only forget the record; the data stays", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2))
    return CTL_USAGE;
  if (children && only)
    return ctl_usage (ctl, "--children and --children-only exclude each other; give one of them");
  ctl_option_flag (&options, "children", children);
  ctl_option_flag (&options, "children-only", only);
  ctl_option_flag (&options, "metadata-only", metadata);
  snapshot = ctl_find_snapshot (ctl, argv[1], argv[2], &error);
  if (snapshot != NULL)
    job = vmsnap_snapshot_delete_sync (snapshot, ctl_options (ctl, &options), NULL, &error);
  return ctl_finish_job (ctl, job, error, "%s %s '%s' of %s%s", metadata ? "Forgot" : "Deleted",
                         only ? "the descendants of" : "snapshot", argv[2], argv[1],
                         children ? " and its descendants" : "");
}
