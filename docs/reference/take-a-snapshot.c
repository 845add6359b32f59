/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmsnap.h>

static gboolean
take (const char *domain_name, const char *snapshot_name, GError **error)
{
  g_autoptr (VmSnapClient) client = vmsnap_client_new_sync (G_BUS_TYPE_SYSTEM, NULL, error);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autoptr (VmSnapJob) job = NULL;

  if (client == NULL)
    return FALSE;
  domain = vmsnap_client_find_domain (client, domain_name, error);
  if (domain == NULL)
    return FALSE;
  job = vmsnap_domain_create_snapshot_sync (domain, snapshot_name, NULL, NULL, error);
  return job != NULL && vmsnap_job_wait_sync (job, VMSNAP_WAIT_NONE, NULL, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  if (argc != 3)
    g_error ("Usage: %s DOMAIN NAME", argv[0]);
  if (take (argv[1], argv[2], &error))
    return 0;
  g_printerr ("%s\n", error->message);
  return 1;
}
