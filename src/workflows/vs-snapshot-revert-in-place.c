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

#define FACT_REFUSED "refused"

static gboolean
protect (VsRun *run, GError **error)
{
  g_autofree char *tag = vs_revert_undo_tag (run);

  if (vs_run_get_flag (run, FACT_RUNNING) && !vs_steps_stop (run, VMSNAP_STATE_REASON_SNAPSHOTTING, error))
    return FALSE;
  return vs_tags_protect (run, tag, error);
}

static gboolean
unprotect (VsRun *run, GError **error)
{
  return vs_revert_tidy_up (run, error) && vs_steps_restore_running (run, error);
}

/* The words with which QEMU refuses a load before it has touched anything. */
static gboolean
is_refusal (const GError *error)
{
  static const char *const words[] = { "does not exist in one or more devices", "does not support snapshots",
                                       "disk-only snapshot", "vmstate block device" };

  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (strstr (error->message, words[i]) != NULL)
      return TRUE;
  return error->code == VMSNAP_ERROR_NOT_SUPPORTED;
}

/* Not to be cancelled: a half-loaded guest is no guest. */
static gboolean
load (VsRun *run, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (vs_tags_load (run, vs_run_get_string (run, FACT_TAG), vs_run_get_int (run, "vm-state-size"), NULL, &local))
    return vs_revert_put_nvram_back (run, error);
  vs_run_set_flag (run, FACT_REFUSED, is_refusal (local));
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* After a restart of the service: QEMU's job tells, for it isn't dismissed before the journal says that it is done. */
static gboolean
has_loaded (VsRun *run)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  g_autofree char *job_id = vs_steps_job_id (run, VS_TAGS_JOB_LOAD);

  return monitor != NULL && qmp_job_wait_and_keep (monitor, job_id, NULL) && vs_revert_put_nvram_back (run, NULL);
}

/* Once the load has begun, memory and devices may be neither the old ones nor the new ones, and must never run again: a
 * guest that ran on would write its confusion to the disks. So the guest ends, and the disks become what they were:
 * what a power cut would have left. */
static gboolean
unload (VsRun *run, GError **error)
{
  g_autofree char *tag = vs_revert_undo_tag (run);
  g_autofree char *job_id = vs_steps_job_id (run, VS_TAGS_JOB_LOAD);

  if (!vs_steps_wait_for_job (run, job_id, error))
    return FALSE;
  if (vs_run_get_flag (run, FACT_REFUSED))
    return TRUE;
  return vs_steps_end_guest (run, VS_PROCESS_END_KILL, VMSNAP_STATE_REASON_FAILED, error)
         && vs_tags_apply_offline (run, tag, error);
}

static gboolean
let_run (VsRun *run, GError **error)
{
  vs_tags_dismiss (run, VS_TAGS_JOB_LOAD);
  return vs_revert_let_run (run, error);
}

static const VsStep steps[] = {
  { "Checking the snapshot", 1, vs_revert_look_first },
  { "Protecting the present disks", 2, protect, unprotect },
  { "Loading memory and disks", 90, load, unload, has_loaded, VS_COMMIT_WHEN_DONE },
  { "Letting the guest run", 1, let_run },
  { "Recording", 2, vs_revert_record },
  { "Tidying up", 2, vs_revert_tidy_up },
};

const VsWorkflow vs_workflow_snapshot_revert_in_place = {
  "snapshot-revert",
  "snapshot-revert-in-place",
  NULL,
  steps,
  G_N_ELEMENTS (steps),
};
