/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

extern const VsWorkflow vs_workflow_snapshot_create_internal;
extern const VsWorkflow vs_workflow_snapshot_redefine;
extern const VsWorkflow vs_workflow_snapshot_create_external;
extern const VsWorkflow vs_workflow_snapshot_revert;
extern const VsWorkflow vs_workflow_snapshot_revert_in_place;
extern const VsWorkflow vs_workflow_snapshot_revert_restart;
extern const VsWorkflow vs_workflow_snapshot_revert_beside;
extern const VsWorkflow vs_workflow_snapshot_revert_off;
extern const VsWorkflow vs_workflow_snapshot_revert_anew;
extern const VsWorkflow vs_workflow_snapshot_delete;

G_END_DECLS
