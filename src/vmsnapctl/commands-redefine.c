/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The command that makes known a snapshot that exists. Lives in the main thread.
 */
#include "commands.h"

/* The snapshot's name stands in the XML; the job knows it. */
static CtlExit
tell (Ctl *ctl, VmSnapJob *job, const char *domain)
{
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  GError *error = NULL;

  if (!ctl->no_wait && !ctl_wait (ctl, job, &error))
    return ctl_fail (error);
  snapshot = vmsnap_job_get_snapshot (job);
  if (snapshot == NULL)
    return ctl_finish_job (ctl, job, NULL, "Redefined a snapshot of %s", domain);
  return ctl_finish_job (ctl, job, NULL, "Redefined snapshot '%s' of %s", vmsnap_snapshot_get_name (snapshot), domain);
}

CtlExit
ctl_command_snapshot_redefine (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  g_autofree char *xml = NULL;
  GError *error = NULL;
  gboolean current = FALSE;
  const GOptionEntry entries[] = {
    { "current", 0, 0, G_OPTION_ARG_NONE, &current, "Make it the current snapshot, too", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2))
    return CTL_USAGE;
  ctl_option_flag (&options, "current", current);
  xml = ctl_read_xml (argv[2], &error);
  if (xml != NULL)
    domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain != NULL)
    job = vmsnap_domain_redefine_snapshot_sync (domain, xml, ctl_options (ctl, &options), NULL, &error);
  return job != NULL ? tell (ctl, job, argv[1]) : ctl_fail (error);
}
