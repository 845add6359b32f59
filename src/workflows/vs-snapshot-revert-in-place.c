/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting a guest in place, by QEMU's snapshot-load. It throws the present memory away before it knows whether the
 * new one can be read, so everything that can be checked is checked before, and the disks as they were are kept under a
 * tag until it has worked.
 */
#include <string.h>

#include "qmp-job.h"
#include "vmsnap-error.h"
#include "vs-snapshot-revert.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"

/* Whether the guest has let its processors go already, and needs nothing more. */
#define FACT_LET_RUN "let-run"

/* What isn't asked now would have to be asked while the guest stands still; and a load that fails for want of room would
 * end it. The disks that are protected are those that are loaded: a guest that is reverted in place has the snapshot's
 * own. */
static gboolean
look_first (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) states = vs_revert_look (run, error);

  if (states == NULL || !vs_tags_check_nodes (states, error))
    return FALSE;
  vs_tags_keep_nodes (run, states);
  vs_tags_store_set (vs_run_get_facts (run), VS_TAGS_SNAPSHOT);
  vs_tags_store_set (vs_run_get_facts (run), VS_TAGS_PRESENT);
  return vs_tags_check_room (run, 0, error);
}

static gboolean
protect (VsRun *run, GError **error)
{
  vs_tags_aim (run, VS_TAGS_PRESENT);
  if (vs_run_get_flag (run, FACT_RUNNING) && !vs_steps_stop (run, VMSNAP_STATE_REASON_SNAPSHOTTING, error))
    return FALSE;
  return vs_tags_protect (run, vs_run_get_string (run, FACT_UNDO_TAG), error);
}

/* The guest doesn't wait for the tidying. */
static gboolean
unprotect (VsRun *run, GError **error)
{
  vs_tags_dismiss (run, VS_TAGS_JOB_LOAD);
  return vs_steps_restore_running (run, error) && vs_revert_delete_undo_tag (run, error);
}

/* Not to be cancelled: a half-loaded guest is no guest. The guest runs on before the journal says that it was loaded,
 * for that costs a sync; but with variables of its own it has to wait for them, and they for the journal: undoing
 * doesn't put back the old ones. */
static gboolean
load (VsRun *run, GError **error)
{
  vs_tags_aim (run, VS_TAGS_SNAPSHOT);
  if (!vs_tags_load (run, vs_run_get_string (run, FACT_TAG), vs_run_get_int (run, FACT_VM_STATE_SIZE), NULL, error))
    return FALSE;
  if (vs_run_get_string (run, FACT_NVRAM) != NULL)
    return TRUE;
  vs_run_set_flag (run, FACT_LET_RUN, TRUE);
  return vs_revert_let_run (run, error);
}

/* QEMU's job tells, for it isn't dismissed before the journal says how it ended. */
static gboolean
has_loaded (VsRun *run)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  g_autofree char *job_id = vs_steps_job_id (run, VS_TAGS_JOB_LOAD);

  return monitor != NULL && qmp_job_wait_and_keep (monitor, job_id, NULL);
}

/* The words with which QEMU refuses a load before it has touched anything. */
static gboolean
is_refusal (const char *words)
{
  static const char *const known[] = { "does not exist in one or more devices", "does not support snapshots",
                                       "disk-only snapshot", "vmstate block device" };

  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    if (strstr (words, known[i]) != NULL)
      return TRUE;
  return FALSE;
}

/* Whether the guest is still the one it was: the load never began, or was refused. */
static gboolean
is_untouched (VsRun *run, gboolean *untouched, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  g_autofree char *job_id = vs_steps_job_id (run, VS_TAGS_JOB_LOAD);
  g_autofree char *why = NULL;
  QmpJobStatus status;

  *untouched = FALSE;
  if (monitor == NULL)
    return TRUE;
  qmp_job_wait_and_keep (monitor, job_id, NULL);
  if (!qmp_job_query (monitor, job_id, &status, &why, error))
    return FALSE;
  *untouched = status == QMP_JOB_ABSENT || (status == QMP_JOB_FAILED && is_refusal (why));
  return TRUE;
}

/* Once a load has begun, memory and devices may be neither the old ones nor the new ones, and must never run again: a
 * guest that ran on would write its confusion to the disks. So the guest ends, and the disks become what they were:
 * what a power cut would have left. */
static gboolean
unload (VsRun *run, GError **error)
{
  gboolean untouched;

  if (!is_untouched (run, &untouched, error))
    return FALSE;
  if (untouched)
    return TRUE;
  vs_tags_aim (run, VS_TAGS_PRESENT);
  return vs_steps_end_guest (run, VS_PROCESS_END_KILL, VMSNAP_STATE_REASON_FAILED, error)
         && vs_tags_apply_where_present (run, vs_run_get_string (run, FACT_UNDO_TAG), error);
}

/* A next life doesn't know whether it runs. */
static gboolean
is_to_let_run (VsRun *run)
{
  return !vs_run_get_flag (run, FACT_LET_RUN);
}

static gboolean
let_run (VsRun *run, GError **error)
{
  return vs_revert_put_nvram_back (run, error) && vs_revert_let_run (run, error);
}

static gboolean
record (VsRun *run, GError **error)
{
  vs_tags_dismiss (run, VS_TAGS_JOB_LOAD);
  return vs_revert_record (run, error);
}

static const VsStep steps[] = {
  { "Checking the snapshot", 1, look_first },
  { "Protecting the present disks", 2, protect, unprotect },
  { "Loading memory and disks", 90, load, unload, has_loaded, VS_COMMIT_WHEN_DONE, NULL, TRUE },
  { "Letting the guest run", 1, let_run, NULL, NULL, VS_COMMIT_NOT, is_to_let_run },
  { "Recording", 2, record },
  { "Tidying up", 2, vs_revert_delete_undo_tag },
};

const VsWorkflow vs_workflow_snapshot_revert_in_place = {
  "snapshot-revert",
  "snapshot-revert-in-place",
  NULL,
  steps,
  G_N_ELEMENTS (steps),
};
