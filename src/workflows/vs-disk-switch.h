/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* The switch of a domain's disks to their overlays, see vs-overlays.h: in the guest, in the definitions, in what the
 * engine knows; and the way back. Threads of runs. */

JsonObject *vs_disk_switch_prepare (VsRun *run,
                                    GError **error);
gboolean vs_disk_switch_run (VsRun *run,
                             JsonObject *arguments,
                             GError **error);
gboolean vs_disk_switch_claim (VsRun *run,
                               GError **error);
gboolean vs_disk_switch_adopt (VsRun *run,
                               GError **error);
void vs_disk_switch_note (VsRun *run);
gboolean vs_disk_switch_restore (VsRun *run,
                                 GError **error);
gboolean vs_disk_switch_undo (VsRun *run,
                              GError **error);

G_END_DECLS
