/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* A disk's data are in another file from now on: whatever names the old one names the new one. Each is idempotent.
 * Threads of runs. */

gboolean vs_redirect_definitions (VsRun *run,
                                  const char *from,
                                  const char *to,
                                  const char *format,
                                  GError **error);
gboolean vs_redirect_snapshots (VsRun *run,
                                const char *from,
                                const char *to,
                                const char *format,
                                GError **error);
gboolean vs_redirect_claim (VsRun *run,
                            GError **error);
gboolean vs_redirect_refresh (VsRun *run,
                              GError **error);

G_END_DECLS
