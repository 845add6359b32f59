/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that restore and delete snapshots. Lives in the main thread.
 */
#include "commands.h"

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
    { "force", 0, 0, G_OPTION_ARG_NONE, &force, "Go on where it is risky", NULL },
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
  return ctl_finish_job (ctl, job, error, "Deleted %s '%s' of %s", only ? "the descendants of" : "snapshot", argv[2],
                         argv[1]);
}
