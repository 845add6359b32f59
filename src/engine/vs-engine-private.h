/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-claims.h"
#include "vs-engine.h"
#include "vs-run.h"

G_BEGIN_DECLS

struct _VsEngine
{
  GObject parent;

  VsStore *store;
  char *emulator;
  VsHypervisor *hypervisor;
  const VsWorkflow *const *workflows;
  VsClaims *claims;

  GHashTable *domains;  /* uuid → VsDomain */
  GHashTable *jobs;     /* number → VsJob */
  GHashTable *queues;   /* uuid → Queue, see vs-engine-queue.c */
  GHashTable *reserved; /* names and uuids that a definition under way is about to take */
  GQueue retired;       /* Retired: jobs that have ended, the oldest first */
  guint afterlife;      /* the timer that removes them */
  guint next_job;
  guint job_ceiling;
};

void vs_engine_add_domain (VsEngine *self,
                           VsDomain *domain);
VsJob *vs_engine_add_job (VsEngine *self,
                          const char *operation,
                          const char *uuid,
                          guint caller_uid,
                          guint number);
void vs_engine_retire_job (VsEngine *self,
                           VsJob *job);
void vs_engine_drop_if_over (VsEngine *self,
                             VsDomain *domain);
gboolean vs_engine_is_held (VsEngine *self,
                            VsDomain *domain);
gboolean vs_engine_check_admits (VsEngine *self,
                                 VsDomain *domain,
                                 GError **error);
void vs_engine_run_in_thread (GTask *outer,
                              GTaskThreadFunc func,
                              GAsyncReadyCallback callback);
void vs_engine_queue_free (gpointer queue);
void vs_engine_look_at_files (VsEngine *self,
                              GTask *task);

/* The snapshots on record, and the managed save, of a domain that has none yet: read by a worker, shown on the main thread */
typedef struct {
  GPtrArray *defs; /* VsSnapshotDef */
  char *current;
  gboolean managed_save;
} VsRecords;

VsRecords *vs_engine_read_records (VsStore *store,
                                   const char *uuid);
void vs_engine_show_records (VsRecords *records,
                             VsDomain *domain);
void vs_records_free (VsRecords *records);

/* For the threads that define and load: the disks of a definition as they are found, best effort */
GPtrArray *vs_engine_probe_chains (VsDomainDef *def);

G_END_DECLS
