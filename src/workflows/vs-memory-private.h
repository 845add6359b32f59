/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-image-writer.h"
#include "vs-memory-save.h"
#include "vs-migration-private.h"
#include "vs-snapshot-create.h"

G_BEGIN_DECLS

/* Room in the image for the guest's devices, beside its memory. */
#define VS_MEMORY_DEVICES ((guint64) 64 << 20)

const char *vs_memory_mode_get_name (VsMemoryMode mode);
gboolean vs_memory_mode_is_fragile (VsRun *run);
gboolean vs_memory_mode_choose (VsRun *run,
                                GError **error);
gboolean vs_memory_mode_fall_back (VsRun *run,
                                   const char *why,
                                   GError **error);
VsMigrationWays vs_memory_mode_get_ways (VsRun *run);
guint64 vs_memory_mode_stream_length (guint64 memory);

gboolean vs_memory_wait_for (VsRun *run,
                             QmpWatch *watch,
                             const char *state,
                             GError **error);

void vs_memory_file_note (const char *path,
                          JsonObject *facts);
gboolean vs_memory_file_look (VsRun *run,
                              GError **error);
int vs_memory_file_create (VsRun *run,
                           GError **error);
gboolean vs_memory_file_remove (VsRun *run,
                                GError **error);
gboolean vs_memory_file_sync (VsRun *run,
                              GError **error);

G_END_DECLS
