/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-disk-chain.h"
#include "vs-merge.h"

G_BEGIN_DECLS

/**
 * VsMergeProgressFunc:
 * @done: bytes
 * @total: bytes; may grow
 * @user_data: as given
 *
 * How far a merge is.
 */
typedef void (*VsMergeProgressFunc) (guint64 done,
                                     guint64 total,
                                     gpointer user_data);

/**
 * VsMergeJob:
 * @monitor: who does it: a guest's QEMU, or a storage daemon
 * @id: the name of QEMU's job
 * @root: the node at the top of the chain
 * @upper: node of the upper file
 * @lower: node of the lower file
 * @below: (nullable): node of the lower's backing file
 * @backing_path: (nullable): what is written down in the header that changes: the path of the lower's backing file for a
 *   stream, of the lower file for a commit
 * @reopen: (nullable): the options of the node that is written into, for a storage daemon
 * @speed: bytes a second; 0: as fast as it goes
 * @progress: (nullable): called while it is under way
 * @user_data: for @progress
 * @cancellable: (nullable): cancels it; the chain stays as valid as it was
 *
 * A block job of QEMU's.
 */
typedef struct {
  QmpClient *monitor;
  const char *id;
  const char *root;
  const char *upper;
  const char *lower;
  const char *below;
  const char *backing_path;
  JsonObject *reopen;
  guint64 speed;
  VsMergeProgressFunc progress;
  gpointer user_data;
  GCancellable *cancellable;
} VsMergeJob;

/* Any thread but the main one, and no run is needed */
gboolean vs_merge_job_stream (const VsMergeJob *self,
                              GError **error);
gboolean vs_merge_job_commit (const VsMergeJob *self,
                              GError **error);
gboolean vs_merge_job_commit_top (const VsMergeJob *self,
                                  GError **error);
gboolean vs_merge_job_find (const VsMergeJob *self,
                            gboolean *there,
                            GError **error);
gboolean vs_merge_job_resume (const VsMergeJob *self,
                              const char *receiver,
                              GError **error);
gboolean vs_merge_job_begin (const VsMergeJob *self,
                             GError **error);
gboolean vs_merge_job_follow (const VsMergeJob *self,
                              GError **error);
gboolean vs_merge_job_catch_up (const VsMergeJob *self,
                                GError **error);
gboolean vs_merge_job_complete (const VsMergeJob *self,
                                GError **error);
gboolean vs_merge_job_flush (const VsMergeJob *self,
                             const char *node,
                             GError **error);
gboolean vs_merge_job_cancel (QmpClient *monitor,
                              const char *id,
                              GError **error);

/**
 * VsMergeFiles:
 * @emulator: (nullable): whose storage daemon it is to be
 * @log_path: (nullable): where what that says goes
 * @way: which way the data goes
 * @lower: path of the lower file
 * @upper: path of the upper file
 * @speed: see #VsMergeJob, as all below
 * @progress: (nullable): see there
 * @user_data: see there
 * @cancellable: (nullable): see there
 *
 * Two files that no guest uses.
 */
typedef struct {
  const char *emulator;
  const char *log_path;
  VsMergeWay way;
  const char *lower;
  const char *upper;
  guint64 speed;
  VsMergeProgressFunc progress;
  gpointer user_data;
  GCancellable *cancellable;
} VsMergeFiles;

gboolean vs_merge_files (const VsMergeFiles *self,
                         GError **error);
VsDiskChain *vs_merge_look (VsMergeWay way,
                            const char *lower,
                            const char *upper,
                            GError **error);
gboolean vs_merge_read_backing (const char *path,
                                char **backing,
                                GError **error);
gboolean vs_merge_is_same_file (const char *one,
                                const char *other);

/* A merge of a run */
const char *vs_merge_get (JsonObject *merge,
                          const char *member);
VsMergeWay vs_merge_get_way (JsonObject *merge);
char *vs_merge_job_id (VsRun *run,
                       JsonObject *merge);

/* For vs_merge_report() */
typedef struct {
  VsRun *run;
  JsonObject *merge;
} VsMergeReport;

void vs_merge_report (guint64 done,
                      guint64 total,
                      gpointer report);

gboolean vs_merge_is_committed (VsRun *run,
                                JsonObject *merge,
                                gboolean *is,
                                GError **error);
gboolean vs_merge_is_streamed (JsonObject *merge,
                               gboolean *is,
                               GError **error);

/* By the guest's QEMU: see vs-merge-guest.c */
gboolean vs_merge_guest_has (VsRun *run,
                             JsonObject *merge,
                             gboolean *has,
                             GError **error);
gboolean vs_merge_guest_run (VsRun *run,
                             JsonObject *merge,
                             VsMergeAdoptFunc adopt,
                             GError **error);
void vs_merge_guest_tidy (VsRun *run,
                          JsonObject *merge);

G_END_DECLS
