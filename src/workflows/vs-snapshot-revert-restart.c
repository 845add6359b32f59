/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting a domain that is off, or has to be: the disks go back by qemu-img, or a new QEMU loads memory and disks.
 * The present state is kept under a tag until it has worked: the disks, and of a guest that has to end the memory, too,
 * so that a revert that fails brings it back.
 */
#include <glib/gstdio.h>

#include "vmsnap-error.h"
#include "vs-nvram.h"
#include "vs-snapshot-revert.h"
#include "vs-snapshot-workflows.h"
#include "vs-start.h"
#include "vs-steps.h"
#include "vs-tags.h"

/* The variable store that the snapshot's definition names, and what it held; no file: there was none. */
#define FACT_NVRAM_PATH "nvram-path"
#define FACT_UNDO_NVRAM "undo-nvram"

static gboolean
use_definition (VsRun *run, const char *fact, GError **error)
{
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (vs_run_get_string (run, fact), VS_DOMAIN_DEF_NONE, error);
  g_autoptr (VsDomainDef) named =
    def != NULL ? vs_domain_def_copy_with_name (def, vs_run_get_def (run)->name, error) : NULL;

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

/* The guest stands from here on: what it did later would be lost if it had to come back. */
static gboolean
save_guest (VsRun *run, GError **error)
{
  if (!vs_tags_check_room (run, vs_steps_resident_memory (run), error))
    return FALSE;
  if (vs_run_get_flag (run, FACT_RUNNING) && !vs_steps_stop (run, VMSNAP_STATE_REASON_SNAPSHOTTING, error))
    return FALSE;
  if (!vs_tags_save (run, vs_run_get_string (run, FACT_UNDO_TAG), error))
    return FALSE;
  vs_tags_dismiss (run, VS_TAGS_JOB_SAVE);
  return TRUE;
}

static gboolean
keep_variables (VsRun *run, GError **error)
{
  g_autoptr (VsDomainDef) then = vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);
  g_autofree char *file = g_strdup_printf ("%s.fd", vs_run_get_string (run, FACT_UNDO_TAG));
  g_autoptr (GBytes) variables = NULL;

  if (then == NULL)
    return FALSE;
  if (then->os.nvram == NULL)
    return TRUE;
  vs_run_set_string (run, FACT_NVRAM_PATH, then->os.nvram);
  if (!g_file_test (then->os.nvram, G_FILE_TEST_EXISTS))
    return TRUE;
  variables = vs_nvram_read (then->os.nvram, error);
  if (variables == NULL || !vs_nvram_keep (run, variables, file, error))
    return FALSE;
  vs_run_set_string (run, FACT_UNDO_NVRAM, file);
  return TRUE;
}

static gboolean
protect (VsRun *run, GError **error)
{
  vs_tags_aim (run, VS_TAGS_PRESENT);
  if (!has_guest (run))
    return vs_tags_create_offline (run, vs_run_get_string (run, FACT_UNDO_TAG), error) && keep_variables (run, error);
  return save_guest (run, error) && keep_variables (run, error);
}

static gboolean
tidy_up (VsRun *run, GError **error)
{
  const char *file = vs_run_get_string (run, FACT_UNDO_NVRAM);

  return vs_revert_delete_undo_tag (run, error) && (file == NULL || vs_nvram_forget (run, file, error));
}

/* The guest doesn't wait for the tidying. */
static gboolean
unprotect (VsRun *run, GError **error)
{
  g_autofree char *job_id = vs_steps_job_id (run, VS_TAGS_JOB_SAVE);

  return vs_steps_wait_for_job (run, job_id, error) && vs_steps_restore_running (run, error) && tidy_up (run, error);
}

static gboolean
power_off (VsRun *run, GError **error)
{
  return vs_steps_end_guest (run, VS_PROCESS_END_TERM, VMSNAP_STATE_REASON_DESTROYED, error);
}

/* A guest that was never let run is one that an undo of an earlier life was bringing back. */
static gboolean
is_half_back (VsRun *run)
{
  g_autofree char *status = vs_steps_get_status (run, NULL);

  return status == NULL || g_str_equal (status, "prelaunch") || g_str_equal (status, "restore-vm");
}

/* Undo: the guest as it was when it was saved. */
static gboolean
bring_back (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_UNDO_TAG);

  if (vs_run_get_monitor (run, NULL) != NULL)
    {
      if (!is_half_back (run))
        return TRUE;
      if (!vs_start_end (run, error))
        return FALSE;
    }
  vs_tags_aim (run, VS_TAGS_PRESENT);
  if (!use_definition (run, FACT_PRESENT_DEFINITION, error) || !vs_start_prepare (run, error)
      || !vs_start_spawn (run, error) || !vs_tags_load (run, tag, 0, NULL, error))
    return FALSE;
  vs_tags_dismiss (run, VS_TAGS_JOB_LOAD);
  return vs_start_announce (run, error);
}

/* Memory and disks into a new QEMU; or the disks alone, and a new QEMU that boots from them if one is wanted. */
static gboolean
go_back (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_TAG);
  gboolean memory = vs_run_get_flag (run, FACT_MEMORY);

  vs_tags_aim (run, VS_TAGS_SNAPSHOT);
  if (!use_definition (run, FACT_DEFINITION, error) || !vs_start_prepare (run, error))
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
undo_variables (VsRun *run, GError **error)
{
  const char *file = vs_run_get_string (run, FACT_UNDO_NVRAM);
  const char *path = vs_run_get_string (run, FACT_NVRAM_PATH);

  if (file != NULL)
    return vs_nvram_put_back (run, file, path, error);
  if (path != NULL)
    g_unlink (path);
  return TRUE;
}

/* Of a guest that was saved, the disks come back with its memory. */
static gboolean
come_forth (VsRun *run, GError **error)
{
  vs_tags_aim (run, VS_TAGS_PRESENT);
  return vs_start_end (run, error) && vs_start_unprepare (run, error)
         && use_definition (run, FACT_PRESENT_DEFINITION, error)
         && vs_tags_apply_where_present (run, vs_run_get_string (run, FACT_UNDO_TAG), error)
         && undo_variables (run, error);
}

static gboolean
discards (VsRun *run)
{
  return vs_run_get_flag (run, FACT_DISCARD);
}

static gboolean
let_run (VsRun *run, GError **error)
{
  return vs_revert_let_run (run, error) && (!vs_run_get_flag (run, FACT_GUEST) || vs_start_announce (run, error));
}

static const VsStep steps[] = {
  { "Checking the snapshot", 2, vs_revert_look_first },
  { "Protecting the present state", 10, protect, unprotect },
  { "Powering off", 2, power_off, bring_back, NULL, VS_COMMIT_NOT, has_guest },
  { "Going back", 80, go_back, come_forth },
  { "Recording", 2, vs_revert_record, vs_revert_unrecord, NULL, VS_COMMIT_WHEN_DONE },
  { "Removing the managed save", 1, vs_start_remove_managed_save, NULL, NULL, VS_COMMIT_NOT, discards },
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
