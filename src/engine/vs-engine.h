/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#include "vs-domain.h"
#include "vs-hypervisor.h"
#include "vs-job.h"
#include "vs-store.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

#define VS_TYPE_ENGINE (vs_engine_get_type ())
G_DECLARE_FINAL_TYPE (VsEngine, vs_engine, VS, ENGINE, GObject)

/**
 * VsEngine:
 *
 * All domains, all jobs, and what they stand on. Main thread only. Signals: `domain-added`, `domain-removed` (VsDomain
 * *), `job-added`, `job-removed` (VsJob *).
 */
VsEngine *vs_engine_new (VsStore *store,
                         const char *emulator,
                         const VsWorkflow *const *workflows);

void vs_engine_load_async (VsEngine *self,
                           GAsyncReadyCallback callback,
                           gpointer user_data);
gboolean vs_engine_load_finish (VsEngine *self,
                                GAsyncResult *result,
                                GError **error);

VsStore *vs_engine_get_store (VsEngine *self);
VsHypervisor *vs_engine_get_hypervisor (VsEngine *self);
void vs_engine_note_hypervisor (VsEngine *self,
                                VsHypervisor *hypervisor);
const char *vs_engine_get_emulator (VsEngine *self);

/* Any thread */
const VsWorkflow *vs_engine_find_workflow (VsEngine *self,
                                           const char *name);

VsDomain *vs_engine_find_domain (VsEngine *self,
                                 const char *uuid);
VsDomain *vs_engine_find_domain_by_name (VsEngine *self,
                                         const char *name);
GList *vs_engine_list_domains (VsEngine *self);

/**
 * VsDefineFlags:
 * @VS_DEFINE_TRANSIENT: the domain isn't kept: it goes when its guest goes
 * @VS_DEFINE_FOR_RESTORE: not yet, beside %VS_DEFINE_TRANSIENT: it will be if its guest comes back
 */
typedef enum {
  VS_DEFINE_NONE = 0,
  VS_DEFINE_TRANSIENT = 1 << 0,
  VS_DEFINE_FOR_RESTORE = 1 << 1,
} VsDefineFlags;

void vs_engine_define_async (VsEngine *self,
                             VsDomainDef *def,
                             VsDefineFlags flags,
                             GAsyncReadyCallback callback,
                             gpointer user_data);
VsDomain *vs_engine_define_finish (VsEngine *self,
                                   GAsyncResult *result,
                                   GError **error);

/**
 * VsUndefineFlags:
 * @VS_UNDEFINE_SNAPSHOTS_METADATA: forget the snapshots as well (what is in the disks stays there)
 * @VS_UNDEFINE_MANAGED_SAVE: remove the managed save image as well
 */
typedef enum {
  VS_UNDEFINE_NONE = 0,
  VS_UNDEFINE_SNAPSHOTS_METADATA = 1 << 0,
  VS_UNDEFINE_MANAGED_SAVE = 1 << 1,
} VsUndefineFlags;

void vs_engine_undefine_async (VsEngine *self,
                               VsDomain *domain,
                               VsUndefineFlags flags,
                               GAsyncReadyCallback callback,
                               gpointer user_data);
gboolean vs_engine_undefine_finish (VsEngine *self,
                                    GAsyncResult *result,
                                    GError **error);
void vs_engine_remove_domain (VsEngine *self,
                              VsDomain *domain);

void vs_engine_remove_managed_save_async (VsEngine *self,
                                          VsDomain *domain,
                                          GAsyncReadyCallback callback,
                                          gpointer user_data);
gboolean vs_engine_remove_managed_save_finish (VsEngine *self,
                                               GAsyncResult *result,
                                               GError **error);

VsJob *vs_engine_find_job (VsEngine *self,
                           guint number);
GList *vs_engine_list_jobs (VsEngine *self);

/**
 * VsRequest:
 * @caller_uid: who asks
 * @no_queue: refuse with %VMSNAP_ERROR_BUSY rather than wait for another operation on the domain
 * @files: (nullable): descriptors of the caller's that the operation works on; the operations fill it in
 *
 * How somebody asks for an operation.
 */
typedef struct {
  guint caller_uid;
  gboolean no_queue;
  GUnixFDList *files;
} VsRequest;

VsJob *vs_engine_submit (VsEngine *self,
                         VsDomain *domain,
                         const VsWorkflow *workflow,
                         JsonObject *facts,
                         const VsRequest *request,
                         GError **error);

gboolean vs_engine_is_busy (VsEngine *self,
                            VsDomain *domain);

gboolean vs_engine_claim_disks (VsEngine *self,
                                VsDomainDef *def,
                                GPtrArray *chains,
                                GError **error);
gboolean vs_engine_claim_disks_beside (VsEngine *self,
                                       VsDomainDef *def,
                                       GPtrArray *chains,
                                       GError **error);
void vs_engine_settle_beside (VsEngine *self,
                              VsDomain *domain,
                              gboolean taken_over);
gboolean vs_engine_claim_image (VsEngine *self,
                                VsDomainDef *def,
                                const char *id,
                                gboolean writes,
                                GError **error);
void vs_engine_release_disks (VsEngine *self,
                              VsDomain *domain);

G_END_DECLS
