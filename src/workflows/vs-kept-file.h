/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/* Threads of runs */
void vs_kept_file_leave (VsRun *run,
                         int fd,
                         const char *mark);
int vs_kept_file_take (VsRun *run,
                       const char *mark);
void vs_kept_file_drop (VsRun *run,
                        const char *mark);

G_END_DECLS
