/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-image-reader.h"
#include "vs-image-writer.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

/* A guest's memory and devices into an image and out of one, by QEMU's migration. Threads of runs. */
gboolean vs_migration_check (VsRun *run,
                             VsImageEncoding encoding,
                             GError **error);
gboolean vs_migration_save (VsRun *run,
                            VsImageWriter *writer,
                            VsImageEncoding encoding,
                            GError **error);
gboolean vs_migration_stop (VsRun *run,
                            VsImageWriter *writer,
                            GError **error);
gboolean vs_migration_leave (VsRun *run, GError **error);
gboolean vs_migration_take_disks_back (VsRun *run,
                                       GError **error);
gboolean vs_migration_load (VsRun *run,
                            VsImageReader *reader,
                            GError **error);

G_END_DECLS
