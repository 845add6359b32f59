/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting a domain that is off, or has to be: the disks go back by qemu-img, or a new QEMU loads memory and disks.
 * The disks as they were are kept under a tag until it has worked.
 */
#include "vmsnap-error.h"
#include "vs-nvram.h"
#include "vs-snapshot-revert.h"
#include "vs-snapshot-workflows.h"
#include "vs-start.h"
#include "vs-steps.h"
#include "vs-tags.h"

#define FACT_UNDO_NVRAM "undo-nvram"

/* The definition as it was at the snapshot, under the domain's present name: what the guest will have. */
static gboolean
use_definition (VsRun *run, GError **error)
{
  g_autoptr (VsDomainDef) then =
    vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);
  g_autoptr (VsDomainDef) named =
    then != NULL ? vs_domain_def_copy_with_name (then, vs_run_get_def (run)->name, error) : NULL;

  if (named == NULL)
    return FALSE;
  vs_run_set_def (run, named);
  return TRUE;
}

static gboolean
has_guest (VsRun *run)
{
  return vs_run_get_flag (run, FACT_ACTIVE);
}

static gboolean
power_off (VsRun *run, GError **error)
{
  return vs_steps_end_guest (run, VS_PROCESS_END_TERM, VMSNAP_STATE_REASON_DESTROYED, error);
}

static gboolean
protect (VsRun *run, GError **error)
{
  g_autofree char *tag = vs_revert_undo_tag (run);
  g_autofree char *file = g_strdup_printf ("undo-%u.fd", vs_run_get_number (run));
  const char *path = vs_run_get_def (run)->os.nvram;

  if (vs_run_get_string (run, FACT_NVRAM) != NULL && path != NULL && g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_autoptr (GBytes) variables = vs_nvram_read (run, error);

      if (variables == NULL || !vs_nvram_keep (run, variables, file, error))
        return FALSE;
      vs_run_set_string (run, FACT_UNDO_NVRAM, file);
    }
  return vs_tags_create_offline (run, tag, error);
}

static gboolean
tidy_up (VsRun *run, GError **error)
{
  const char *file = vs_run_get_string (run, FACT_UNDO_NVRAM);

  return vs_revert_tidy_up (run, error) && (file == NULL || vs_nvram_forget (run, file, error));
}

/* Memory and disks into a new QEMU; or the disks alone, and a new QEMU that boots from them if one is wanted. */
static gboolean
go_back (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_TAG);
  gboolean memory = vs_run_get_flag (run, FACT_MEMORY);

  if (!use_definition (run, error) || !vs_start_prepare (run, error))
    return FALSE;
  if (!memory && !vs_tags_apply_offline (run, tag, error))
    return FALSE;
  if (!vs_revert_put_nvram_back (run, error))
    return FALSE;
  if (!vs_run_get_flag (run, FACT_GUEST))
    return vs_start_unprepare (run, error);
  if (!vs_start_spawn (run, error))
    return FALSE;
  if (!memory)
    return TRUE;
  if (!vs_tags_load (run, tag, vs_run_get_int (run, "vm-state-size"), vs_run_get_cancellable (run), error))
    return FALSE;
  vs_tags_dismiss (run, VS_TAGS_JOB_LOAD);
  return TRUE;
}

static gboolean
come_forth (VsRun *run, GError **error)
{
  g_autofree char *tag = vs_revert_undo_tag (run);
  const char *file = vs_run_get_string (run, FACT_UNDO_NVRAM);
  const char *path;

  if (!vs_start_kill (run, error) || !vs_start_unprepare (run, error) || !vs_tags_apply_offline (run, tag, error))
    return FALSE;
  path = vs_run_get_def (run)->os.nvram;
  return file == NULL || path == NULL || vs_nvram_put_back (run, file, path, error);
}

static gboolean
let_run (VsRun *run, GError **error)
{
  return vs_revert_let_run (run, error) && (!vs_run_get_flag (run, FACT_GUEST) || vs_start_announce (run, error));
}

static const VsStep steps[] = {
  { "Checking the snapshot", 2, vs_revert_look_first },
  { "Powering off", 5, power_off, NULL, NULL, VS_COMMIT_NOT, has_guest },
  { "Protecting the present disks", 5, protect, tidy_up },
  { "Going back", 80, go_back, come_forth },
  { "Recording", 2, vs_revert_record, vs_revert_unrecord, NULL, VS_COMMIT_WHEN_DONE },
  { "Letting the guest run", 2, let_run },
  { "Tidying up", 4, tidy_up },
};

const VsWorkflow vs_workflow_snapshot_revert_restart = {
  "snapshot-revert",
  "snapshot-revert-restart",
  NULL,
  steps,
  G_N_ELEMENTS (steps),
};
