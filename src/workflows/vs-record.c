/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is on record of a domain and its snapshots: written durably first, shown then. Threads of runs.
 */
#include "vs-record.h"

#include "vmsnap-error.h"

#define SNAPSHOTS "snapshots"
#define CURRENT "current-snapshot"

char *
vs_record_file_name (const char *snapshot)
{
  return g_strconcat (snapshot, ".xml", NULL);
}

gboolean
vs_record_exists (VsRun *run, const char *snapshot)
{
  g_autofree char *file = vs_record_file_name (snapshot);
  g_autofree char *path = vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), SNAPSHOTS, file);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static gboolean
show_snapshot (VsRun *run, gpointer data, GError **error)
{
  VsSnapshotDef *def = data;
  VsDomain *domain = vs_run_get_domain (run);
  VsSnapshot *known = vs_domain_get_snapshot (domain, def->name);
  g_autoptr (VsSnapshot) snapshot = NULL;

  if (known != NULL)
    {
      vs_snapshot_set_def (known, def);
      return TRUE;
    }
  snapshot = vs_snapshot_new (vs_domain_get_uuid (domain), def);
  vs_domain_add_snapshot (domain, snapshot);
  return TRUE;
}

/* A snapshot that is new, or has changed. */
gboolean
vs_record_write (VsRun *run, VsSnapshotDef *def, GError **error)
{
  g_autofree char *file = vs_record_file_name (def->name);
  g_autofree char *xml = vs_snapshot_def_format (def);

  return vs_store_write (vs_run_get_store (run), vs_run_get_uuid (run), SNAPSHOTS, file, xml, -1, error)
         && vs_run_on_main (run, show_snapshot, def, error);
}

static gboolean
hide_snapshot (VsRun *run, gpointer name, GError **error)
{
  VsSnapshot *snapshot = vs_domain_get_snapshot (vs_run_get_domain (run), name);

  if (snapshot != NULL)
    vs_domain_remove_snapshot (vs_run_get_domain (run), snapshot);
  return TRUE;
}

gboolean
vs_record_remove (VsRun *run, const char *snapshot, GError **error)
{
  g_autofree char *file = vs_record_file_name (snapshot);

  return vs_store_remove (vs_run_get_store (run), vs_run_get_uuid (run), SNAPSHOTS, file, error)
         && vs_run_on_main (run, hide_snapshot, (gpointer) snapshot, error);
}

static gboolean
show_current (VsRun *run, gpointer name, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  vs_domain_set_current_snapshot (domain, vs_domain_get_snapshot (domain, name));
  return TRUE;
}

static gboolean
is_current (VsRun *run, gpointer name, GError **error)
{
  VsSnapshot *current = vs_domain_get_current_snapshot (vs_run_get_domain (run));

  return current != NULL && g_str_equal (vs_snapshot_get_name (current), name);
}

/* @snapshot: NULL for none. Writing what is there already would only cost the syncs. */
gboolean
vs_record_set_current (VsRun *run, const char *snapshot, GError **error)
{
  VsStore *store = vs_run_get_store (run);
  const char *uuid = vs_run_get_uuid (run);
  gboolean ok;

  if (snapshot != NULL && vs_run_on_main (run, is_current, (gpointer) snapshot, NULL))
    return TRUE;
  ok = snapshot != NULL ? vs_store_write (store, uuid, NULL, CURRENT, snapshot, -1, error)
                        : vs_store_remove (store, uuid, NULL, CURRENT, error);
  return ok && vs_run_on_main (run, show_current, (gpointer) snapshot, error);
}

static gboolean
get_definition (VsRun *run, gpointer data, GError **error)
{
  VsDomainDef **def = data;

  *def = vs_domain_def_ref (vs_domain_get_inactive_def (vs_run_get_domain (run)));
  return vs_domain_get_persistent (vs_run_get_domain (run));
}

static gboolean
show_definition (VsRun *run, gpointer def, GError **error)
{
  vs_domain_set_inactive_def (vs_run_get_domain (run), def);
  return TRUE;
}

/* The definition that the next start will use. A transient domain's is shown, but not kept. */
gboolean
vs_record_set_definition (VsRun *run, VsDomainDef *def, GError **error)
{
  g_autoptr (VsDomainDef) old = NULL;
  gboolean persistent = vs_run_on_main (run, get_definition, &old, NULL);
  g_autofree char *xml = vs_domain_def_format (def);
  g_autofree char *old_xml = vs_domain_def_format (old);

  if (g_str_equal (xml, old_xml))
    return TRUE;
  if (persistent
      && !vs_store_write (vs_run_get_store (run), vs_run_get_uuid (run), NULL, VS_STORE_DEFINITION, xml, -1, error))
    return FALSE;
  return vs_run_on_main (run, show_definition, def, error);
}

/* The definition that the guest has whose directory it is, for a next life of the service. It is in the runtime directory:
 * gone with the guest when the host goes down. */
gboolean
vs_record_write_live_definition_in (const char *directory, VsDomainDef *def, GError **error)
{
  g_autofree char *path = g_build_filename (directory, VS_GUEST_DEFINITION, NULL);
  g_autofree char *xml = vs_domain_def_format (def);
  g_autoptr (GError) local = NULL;

  if (g_file_set_contents_full (path, xml, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR,
               g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO,
               "Can't write %s: %s", path, local->message);
  return FALSE;
}

gboolean
vs_record_write_live_definition (VsRun *run, VsDomainDef *def, GError **error)
{
  g_autofree char *directory = vs_guest_directory (vs_store_get_runtime_dir (vs_run_get_store (run)), def->uuid);

  return vs_record_write_live_definition_in (directory, def, error);
}

static gboolean
show_live_definition (VsRun *run, gpointer def, GError **error)
{
  vs_domain_set_live_def (vs_run_get_domain (run), def);
  return TRUE;
}

/* The definition that the guest has from now on. */
gboolean
vs_record_set_live_definition (VsRun *run, VsDomainDef *def, GError **error)
{
  return vs_record_write_live_definition (run, def, error) && vs_run_on_main (run, show_live_definition, def, error);
}
