/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting a domain that is off, or has to be: the disks go back by qemu-img, or a new QEMU loads memory and disks.
 * The present state is kept under a tag until it has worked: the disks, and of a guest that has to end the memory, too,
 * so that a revert that fails brings it back.
 */
#include "vs-revert-files.h"
#include "vs-snapshot-revert.h"
#include "vs-snapshot-workflows.h"
#include "vs-start.h"
#include "vs-steps.h"
#include "vs-tags.h"

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
protect (VsRun *run, GError **error)
{
  vs_tags_aim (run, VS_TAGS_PRESENT);
  if (!has_guest (run))
    return vs_tags_create_offline (run, vs_run_get_string (run, FACT_UNDO_TAG), error) && vs_revert_keep_variables (run, error);
  return save_guest (run, error) && vs_revert_keep_variables (run, error);
}

static gboolean
tidy_up (VsRun *run, GError **error)
{
  return vs_revert_delete_undo_tag (run, error) && vs_revert_forget_variables (run, error);
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
  if (!vs_revert_use_definition (run, FACT_PRESENT_DEFINITION, error) || !vs_start_prepare (run, error)
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
  if (!vs_revert_use_definition (run, FACT_DEFINITION, error) || !vs_start_prepare (run, error))
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
  if (!vs_tags_load (run, tag, vs_run_get_int (run, FACT_VM_STATE_SIZE), vs_run_get_cancellable (run), error))
    return FALSE;
  vs_tags_dismiss (run, VS_TAGS_JOB_LOAD);
  return TRUE;
}

/* Of a guest that was saved, the disks come back with its memory. */
static gboolean
come_forth (VsRun *run, GError **error)
{
  vs_tags_aim (run, VS_TAGS_PRESENT);
  return vs_start_end (run, error) && vs_start_unprepare (run, error)
         && vs_revert_use_definition (run, FACT_PRESENT_DEFINITION, error)
         && vs_tags_apply_where_present (run, vs_run_get_string (run, FACT_UNDO_TAG), error)
         && vs_revert_undo_variables (run, error);
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

/* Where the domain has other files than before. */
static gboolean
finish (VsRun *run, GError **error)
{
  return tidy_up (run, error) && vs_revert_files_abandon (run, error);
}

static const VsStep steps[] = {
  { "Checking the snapshot", 2, vs_revert_look_first },
  { "Protecting the present state", 10, protect, unprotect },
  { "Powering off", 2, power_off, bring_back, NULL, VS_COMMIT_NOT, has_guest },
  { "Going back", 80, go_back, come_forth },
  { "Recording", 2, vs_revert_record, vs_revert_unrecord, NULL, VS_COMMIT_WHEN_DONE },
  { "Removing the managed save", 1, vs_start_remove_managed_save, NULL, NULL, VS_COMMIT_NOT, discards },
  { "Letting the guest run", 2, let_run },
  { "Tidying up", 4, finish },
};

const VsWorkflow vs_workflow_snapshot_revert_restart = {
  "snapshot-revert",
  "snapshot-revert-restart",
  NULL,
  steps,
  G_N_ELEMENTS (steps),
};
