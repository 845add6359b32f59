/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-new-file.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

/*
 * The overlays of an external snapshot: which disks get one and where, made before the switch and removed when it is
 * taken back. What is known of them is a fact of the run, so that recovery needs no definition. Threads of runs, but for
 * vs_overlays_choose().
 */

/* The fact: an array of objects, one per disk that gets an overlay, with these members */
#define VS_OVERLAYS_FACT "overlays"
#define VS_OVERLAY_TARGET VS_NEW_FILE_TARGET
#define VS_OVERLAY_PATH VS_NEW_FILE_PATH
#define VS_OVERLAY_BASE_PATH VS_NEW_FILE_BASE_PATH /* the file that the disk has now */
#define VS_OVERLAY_BASE_FORMAT "base-format"
#define VS_OVERLAY_REUSE "reuse"       /* the file was there before */
#define VS_OVERLAY_REBASED "rebased"   /* and its backing file was recorded by us */
#define VS_OVERLAY_SIZE "size"         /* bytes that the guest sees */
#define VS_OVERLAY_MADE VS_NEW_FILE_MADE /* vs_disk_file_id() of the file that we made */
#define VS_OVERLAY_NODE "node"         /* name of the overlay's node; its storage is this with `-file` behind it */
#define VS_OVERLAY_BASE_NODE "base-node"
#define VS_OVERLAY_MERGED "merged"     /* what was in it is in the base again */

/* What the caller wishes, for vs_overlays_choose(): the wish's disks as an array of {target, snapshot, path, format},
 * all but the first optional */
#define VS_OVERLAYS_FACT_WISH "wished-disks"
#define VS_OVERLAYS_FACT_LOCATION "location" /* of the disks that aren't named there: nick of VmSnapLocation */
#define VS_OVERLAYS_FACT_REUSE "reuse-external"

JsonArray *vs_overlays_note_wish (VsSnapshotDef *wish);
gboolean vs_overlays_choose (VsDomainDef *def,
                             JsonObject *facts,
                             GError **error);
char *vs_overlays_default_path (const char *path,
                                const char *snapshot,
                                GError **error);

guint vs_overlays_count (VsRun *run);
JsonObject *vs_overlays_get (VsRun *run,
                             guint index);
const char *vs_overlay_get (JsonObject *overlay,
                            const char *member);
gboolean vs_overlay_has (JsonObject *overlay,
                         const char *member);

GStrv vs_overlays_list_targets (VsRun *run);
gboolean vs_overlays_look (VsRun *run,
                           GError **error);
gboolean vs_overlays_prepare (VsRun *run,
                              GError **error);
gboolean vs_overlays_remove (VsRun *run,
                             GError **error);

/* The files: see vs-overlay-files.c */
gboolean vs_overlay_files_check (VsRun *run,
                                 GError **error);
gboolean vs_overlay_files_make (VsRun *run,
                                GError **error);
gboolean vs_overlay_files_find (JsonObject *overlay,
                                gboolean *there,
                                GError **error);
gboolean vs_overlay_files_remove (VsRun *run,
                                  GError **error);
gboolean vs_overlay_files_own (VsRun *run,
                               GError **error);
gboolean vs_overlay_files_disown (VsRun *run,
                                  GError **error);

G_END_DECLS
