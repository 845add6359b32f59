/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of all workflows.
 */
#include "vs-operations.h"
#include "vs-save-workflows.h"
#include "vs-snapshot-workflows.h"
#include "vs-start.h"

const VsWorkflow *const vs_workflows[] = {
  &vs_workflow_start_boot,
  &vs_workflow_start_restore,
  &vs_workflow_save,
  &vs_workflow_managed_save,
  &vs_workflow_restore,
  &vs_workflow_snapshot_create_internal,
  &vs_workflow_snapshot_redefine,
  &vs_workflow_snapshot_create_external,
  &vs_workflow_snapshot_revert_in_place,
  &vs_workflow_snapshot_revert_restart,
  &vs_workflow_snapshot_revert_off,
  &vs_workflow_snapshot_revert_beside,
  &vs_workflow_snapshot_revert_anew,
  &vs_workflow_snapshot_delete,
  NULL,
};
