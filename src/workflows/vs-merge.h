/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-workflow.h"

G_BEGIN_DECLS

/*
 * Merging two files of a backing chain that lie next to each other: what the upper holds goes into the lower, or the
 * other way round, whoever has them open. Threads of runs.
 */

/* The members of a merge, a JSON object in the run's facts */
#define VS_MERGE_TARGET "target"           /* the disk */
#define VS_MERGE_LOWER "lower-path"        /* the backing file of the other one */
#define VS_MERGE_LOWER_FORMAT "lower-format"
#define VS_MERGE_UPPER "upper-path"
#define VS_MERGE_WAY "way"                 /* VS_MERGE_WORD_… */
#define VS_MERGE_DEPENDENTS "dependents"   /* commit: an array of paths, of all files whose backing file is the upper */
/* Set here: the data is where it belongs. If that is all that has worked, it must not be given up, but run again */
#define VS_MERGE_DONE "merged"
#define VS_MERGE_STOPPED "stopped"         /* a guest that ran was stopped */

/* Optional, for the progress of a step with several: what it moves, and what the ones before it and all of them do */
#define VS_MERGE_BYTES "bytes"
#define VS_MERGE_BYTES_BEFORE "bytes-before"
#define VS_MERGE_BYTES_TOTAL "bytes-total"

#define VS_MERGE_WORD_COMMIT "commit"
#define VS_MERGE_WORD_STREAM "stream"

/**
 * VsMergeWay:
 * @VS_MERGE_COMMIT: the upper's data goes into the lower; the upper isn't needed any more
 * @VS_MERGE_STREAM: the lower's data goes into the upper; the lower isn't needed any more by it
 *
 * Which way the data goes.
 */
typedef enum {
  VS_MERGE_COMMIT,
  VS_MERGE_STREAM,
} VsMergeWay;

/**
 * VsMergeAdoptFunc:
 * @run: a run
 * @merge: a merge by %VS_MERGE_COMMIT whose data is in the lower file
 * @error: where to put an error
 *
 * Has everything that names the upper file name the lower one, durably: definitions, records, chains, claims. A guest
 * whose active file it was writes into the lower one already, and stands still. May be called again.
 *
 * Returns: whether nothing names the upper file any more
 */
typedef gboolean (*VsMergeAdoptFunc) (VsRun *run,
                                      JsonObject *merge,
                                      GError **error);

gboolean vs_merge_is_possible (VsMergeWay way,
                               guint64 lower_size,
                               guint64 upper_size,
                               gboolean lower_has_backing);
gboolean vs_merge_run (VsRun *run,
                       JsonObject *merge,
                       VsMergeAdoptFunc adopt,
                       GError **error);
gboolean vs_merge_give_up (VsRun *run,
                           JsonObject *merge,
                           GError **error);

G_END_DECLS
