/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

void vs_warning_add (VsRun *run,
                     const char *format,
                     ...) G_GNUC_PRINTF (2, 3);
gboolean vs_warning_tell (VsRun *run,
                          gpointer data,
                          GError **error);

G_END_DECLS
