/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* The present guest of a revert that has to end before the next one can be: its memory is kept in a file until that has
 * worked. Its disks are written by nobody meanwhile. Threads of runs. */
gboolean vs_present_save (VsRun *run,
                          GError **error);
gboolean vs_present_wake (VsRun *run,
                          GError **error);
gboolean vs_present_bring_back (VsRun *run,
                                GError **error);
gboolean vs_present_forget (VsRun *run,
                            GError **error);

G_END_DECLS
