/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-disk-graph.h"
#include "vs-new-file.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

/*
 * The files of a revert that leaves what a snapshot is kept in as it is: a fresh overlay over each frozen file, a copy of
 * what is kept inside a file. Made before anything changes, removed when it doesn't come to that; and what becomes of
 * the files that the domain had before. What is known of them are facts of the run. Threads of runs.
 */

/* The fact: an array of objects, one per new file, with these members beside those of a new file */
#define VS_FRESH_FACT "fresh"
#define VS_FRESH_KIND "kind"
#define VS_FRESH_SOURCE "source-path" /* the file that the snapshot is kept in */
#define VS_FRESH_BASE_FORMAT "base-format"
#define VS_FRESH_SIZE "size" /* of an overlay: bytes that the guest sees */
#define VS_FRESH_TAG "tag"   /* of a copy: what of the file's content it is a copy of */

/* The kinds */
#define VS_FRESH_OVERLAY "overlay"
#define VS_FRESH_EXTRACT "extract" /* what the disk was at the tag, and nothing else */
#define VS_FRESH_COPY "copy"       /* the whole file, for the memory that is kept under the tag; other tags are gone */

gboolean vs_revert_files_are_plain (VsSnapshotDef *def,
                                    VsDiskGraph *graph);
gboolean vs_revert_files_choose (VsRun *run,
                                 VsSnapshotDef *def,
                                 VsDiskGraph *graph,
                                 GError **error);
void vs_revert_files_note_tags (VsRun *run);
char *vs_revert_files_find_name (JsonObject *file);
gboolean vs_revert_files_make (VsRun *run,
                               GError **error);
gboolean vs_revert_files_remove (VsRun *run,
                                 GError **error);
gboolean vs_revert_files_own (VsRun *run,
                              GError **error);
gboolean vs_revert_files_abandon (VsRun *run,
                                  GError **error);

G_END_DECLS
