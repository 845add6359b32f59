/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A disk's data have moved to another file: the definitions, of the guest and of the next start, and the snapshots on
 * record follow, as do the chains and the claims. A file is known by its path, or, as long as it is there, by what it is.
 * Threads of runs.
 */
#include "vs-redirect.h"

#include "vmsnap-error.h"
#include "vs-engine.h"
#include "vs-record.h"

typedef struct
{
  char *from; /* plain */
  char *id;   /* NULL: it is gone already */
  const char *to;
  const char *format;
} Redirect;

static void
redirect_clear (Redirect *redirect)
{
  g_free (redirect->from);
  g_free (redirect->id);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Redirect, redirect_clear)

static void
redirect_init (Redirect *redirect, const char *from, const char *to, const char *format)
{
  redirect->from = g_canonicalize_filename (from, "/");
  redirect->id = vs_disk_file_id (from, NULL);
  redirect->to = to;
  redirect->format = format;
}

static gboolean
is_from (const Redirect *redirect, const char *path)
{
  g_autofree char *plain = path != NULL ? g_canonicalize_filename (path, "/") : NULL;
  g_autofree char *id = NULL;

  if (plain == NULL || g_str_equal (plain, redirect->to))
    return FALSE;
  if (g_str_equal (plain, redirect->from))
    return TRUE;
  id = redirect->id != NULL ? vs_disk_file_id (plain, NULL) : NULL;
  return id != NULL && g_str_equal (id, redirect->id);
}

/* Replaces *@def where one of its disks is affected. */
static gboolean
redirect_def (const Redirect *redirect, VsDomainDef **def, gboolean *changed, GError **error)
{
  for (guint i = 0; i < (*def)->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index ((*def)->disks, i);
      VsDomainDef *next;

      if (!is_from (redirect, disk->path))
        continue;
      next = vs_domain_def_copy_with_disk_source (*def, disk->target, redirect->to, redirect->format, error);
      if (next == NULL)
        return FALSE;
      vs_domain_def_unref (*def);
      *def = next;
      *changed = TRUE;
    }
  return TRUE;
}

typedef struct
{
  VsDomainDef *live; /* NULL: no guest */
  VsDomainDef *inactive;
  GPtrArray *chains;
} Present;

static void
present_clear (Present *present)
{
  g_clear_pointer (&present->live, vs_domain_def_unref);
  g_clear_pointer (&present->inactive, vs_domain_def_unref);
  g_clear_pointer (&present->chains, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Present, present_clear)

static gboolean
get_present (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);
  Present *present = data;

  if (vs_domain_is_active (domain))
    present->live = vs_domain_def_ref (vs_domain_get_def (domain));
  present->inactive = vs_domain_def_ref (vs_domain_get_inactive_def (domain));
  present->chains = g_ptr_array_ref (vs_domain_get_chains (domain));
  return TRUE;
}

static VsDiskChain *
find_chain (GPtrArray *chains, const char *target)
{
  for (guint i = 0; i < chains->len; i++)
    if (g_str_equal (((VsDiskChain *) g_ptr_array_index (chains, i))->target, target))
      return g_ptr_array_index (chains, i);
  return NULL;
}

/* One that can't be looked at now stays as it was known. */
static GPtrArray *
look_at_chains (VsDomainDef *def, GPtrArray *known)
{
  GPtrArray *chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);

  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      VsDiskChain *before = find_chain (known, disk->target);
      g_autoptr (GError) error = NULL;
      VsDiskChain *chain = disk->path != NULL ? vs_disk_chain_probe (disk, NULL, &error) : NULL;

      if (error != NULL)
        g_warning ("The files of disk %s of %s can't be looked at: %s", disk->target, def->name, error->message);
      if (chain == NULL && before != NULL)
        chain = vs_disk_chain_ref (before);
      if (chain != NULL)
        g_ptr_array_add (chains, chain);
    }
  return chains;
}

typedef struct
{
  VsDomainDef *def;
  GPtrArray *chains;
  gboolean strict; /* another domain's claim is an error */
} Files;

/* Whoever is told of one of them sees both. */
static gboolean
show_files (VsRun *run, gpointer data, GError **error)
{
  Files *files = data;
  VsDomain *domain = vs_run_get_domain (run);
  g_autoptr (GError) local = NULL;

  if (!vs_engine_claim_disks (vs_run_get_engine (run), files->def, files->chains, &local))
    {
      if (files->strict)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      g_warning ("%s", local->message);
    }
  g_object_freeze_notify (G_OBJECT (domain));
  if (vs_domain_is_active (domain))
    vs_domain_set_live_def (domain, files->def);
  vs_domain_set_chains (domain, files->chains);
  g_object_thaw_notify (G_OBJECT (domain));
  return TRUE;
}

static gboolean
show (VsRun *run, VsDomainDef *def, GPtrArray *known, gboolean strict, GError **error)
{
  g_autoptr (GPtrArray) chains = look_at_chains (def, known);
  Files files = { def, chains, strict };

  vs_run_set_def (run, def);
  return vs_run_on_main (run, show_files, &files, error);
}

/**
 * vs_redirect_definitions:
 * @run: a run
 * @from: a file that a disk of the domain was in
 * @to: the file that it is in now
 * @format: and that file's format
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Makes the definitions, of the guest and of the next start, name the new file; durable when it returns.
 *
 * Returns: whether they do
 */
gboolean
vs_redirect_definitions (VsRun *run, const char *from, const char *to, const char *format, GError **error)
{
  g_auto (Present) present = { 0 };
  g_auto (Redirect) redirect = { 0 };
  gboolean live = FALSE, inactive = FALSE;

  redirect_init (&redirect, from, to, format);
  vs_run_on_main (run, get_present, &present, NULL);
  if (!redirect_def (&redirect, &present.inactive, &inactive, error)
      || (present.live != NULL && !redirect_def (&redirect, &present.live, &live, error)))
    return FALSE;
  if (inactive && !vs_record_set_definition (run, present.inactive, error))
    return FALSE;
  if (live && !vs_record_write_live_definition (run, present.live, error))
    return FALSE;
  return (!live && !inactive) || show (run, present.live != NULL ? present.live : present.inactive, present.chains, FALSE,
                                  error);
}

/**
 * vs_redirect_claim:
 * @run: a run that is about to work on the files of its domain's disks
 * @error: %VMSNAP_ERROR_BUSY when another domain has one of them
 *
 * Makes the files of a domain that is off its own until the run ends. A guest has claimed its disks already.
 *
 * Returns: whether they are
 */
gboolean
vs_redirect_claim (VsRun *run, GError **error)
{
  g_auto (Present) present = { 0 };

  vs_run_on_main (run, get_present, &present, NULL);
  return present.live != NULL || show (run, present.inactive, present.chains, TRUE, error);
}

/**
 * vs_redirect_refresh:
 * @run: a run that has changed what lies below its disks
 * @error: where to put an error
 *
 * Looks at the files of the domain's disks anew.
 *
 * Returns: whether they are shown as they are
 */
gboolean
vs_redirect_refresh (VsRun *run, GError **error)
{
  g_auto (Present) present = { 0 };

  vs_run_on_main (run, get_present, &present, NULL);
  return show (run, present.live != NULL ? present.live : present.inactive, present.chains, FALSE, error);
}

static gboolean
get_snapshots (VsRun *run, gpointer data, GError **error)
{
  GPtrArray *defs = data;
  g_autoptr (GList) snapshots = vs_domain_list_snapshots (vs_run_get_domain (run));

  for (GList *l = snapshots; l != NULL; l = l->next)
    g_ptr_array_add (defs, vs_snapshot_def_ref (vs_snapshot_get_def (l->data)));
  return TRUE;
}

/* The overlay that was put above a disk, so that people find it. */
static void
redirect_overlays (const Redirect *redirect, VsSnapshotDef *def, gboolean *changed)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      VsSnapshotDiskDef *disk = g_ptr_array_index (def->disks, i);

      if (!is_from (redirect, disk->path))
        continue;
      g_free (disk->path);
      disk->path = g_strdup (redirect->to);
      g_free (disk->format);
      disk->format = g_strdup (redirect->format);
      *changed = TRUE;
    }
}

static gboolean
redirect_snapshot (VsRun *run, const Redirect *redirect, VsSnapshotDef *known, GError **error)
{
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_copy (known);
  gboolean changed = FALSE;

  if ((def->domain != NULL && !redirect_def (redirect, &def->domain, &changed, error))
      || (def->inactive_domain != NULL && !redirect_def (redirect, &def->inactive_domain, &changed, error)))
    return FALSE;
  redirect_overlays (redirect, def, &changed);
  return !changed || vs_record_write (run, def, error);
}

/**
 * vs_redirect_snapshots:
 * @run: a run
 * @from: a file
 * @to: the file that what was in it is in now
 * @format: and that file's format
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Makes every snapshot of the domain that names @from name @to.
 *
 * Returns: whether they do; durable
 */
gboolean
vs_redirect_snapshots (VsRun *run, const char *from, const char *to, const char *format, GError **error)
{
  g_autoptr (GPtrArray) defs = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_snapshot_def_unref);
  g_auto (Redirect) redirect = { 0 };

  redirect_init (&redirect, from, to, format);
  vs_run_on_main (run, get_snapshots, defs, NULL);
  for (guint i = 0; i < defs->len; i++)
    if (!redirect_snapshot (run, &redirect, g_ptr_array_index (defs, i), error))
      return FALSE;
  return TRUE;
}
