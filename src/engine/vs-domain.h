/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "vmsnap-enums.h"
#include "vs-disk-chain.h"
#include "vs-domain-def.h"
#include "vs-guest.h"
#include "vs-job.h"
#include "vs-snapshot.h"
#include "vs-store.h"

G_BEGIN_DECLS

#define VS_TYPE_DOMAIN (vs_domain_get_type ())
G_DECLARE_FINAL_TYPE (VsDomain, vs_domain, VS, DOMAIN, GObject)

/**
 * VsDomain:
 *
 * One virtual machine: its definition, its guest while there is one, its snapshots and the work queued on it. Main
 * thread only.
 *
 * Notified properties: `state`, `state-reason`, `persistent`, `def` (anything of the definition), `disks` (the backing
 * chains), `current-snapshot`, `job`, `guest-agent`, `has-managed-save`. Signals: `event` (const char *name, GVariant
 * *details), `snapshot-added`, `snapshot-removed` (VsSnapshot *), `guest-gone`: its guest has ended;
 * `guest-reachable`: its guest's monitor, which was closed or deaf, answers again.
 */
VsDomain *vs_domain_new (VsStore *store,
                         VsDomainDef *def,
                         gboolean persistent);

/* What it is */
const char *vs_domain_get_name (VsDomain *self);
const char *vs_domain_get_uuid (VsDomain *self);
gboolean vs_domain_get_persistent (VsDomain *self);
VsDomainDef *vs_domain_get_def (VsDomain *self);
VsDomainDef *vs_domain_get_inactive_def (VsDomain *self);
VsStore *vs_domain_get_store (VsDomain *self);
void vs_domain_set_inactive_def (VsDomain *self,
                                 VsDomainDef *def);
void vs_domain_set_persistent (VsDomain *self,
                               gboolean persistent);

/* How it is */
VmSnapDomainState vs_domain_get_state (VsDomain *self);
VmSnapStateReason vs_domain_get_state_reason (VsDomain *self);
gboolean vs_domain_is_active (VsDomain *self);
gboolean vs_domain_is_reachable (VsDomain *self);
gboolean vs_domain_get_unsettled (VsDomain *self);
void vs_domain_set_unsettled (VsDomain *self,
                              gboolean unsettled);
gboolean vs_domain_get_guest_agent (VsDomain *self);
gboolean vs_domain_lacks_guest_agent (VsDomain *self);
gboolean vs_domain_get_has_managed_save (VsDomain *self);
void vs_domain_set_has_managed_save (VsDomain *self,
                                     gboolean has_managed_save);
gboolean vs_domain_get_held (VsDomain *self);
void vs_domain_set_held (VsDomain *self,
                         gboolean held);
VsJob *vs_domain_get_job (VsDomain *self);
void vs_domain_set_job (VsDomain *self,
                        VsJob *job);

/* Its disks: one VsDiskChain each, in the definition's order; empty when they couldn't be looked at */
GPtrArray *vs_domain_get_chains (VsDomain *self);
void vs_domain_set_chains (VsDomain *self,
                           GPtrArray *chains);

/* Its guest: see vs-domain-guest.c */
VsGuest *vs_domain_get_guest (VsDomain *self);
void vs_domain_attach_guest (VsDomain *self,
                             VsGuest *guest,
                             VsDomainDef *live_def);
void vs_domain_set_live_def (VsDomain *self,
                             VsDomainDef *live_def);
void vs_domain_note_end (VsDomain *self,
                         VsGuest *guest);
void vs_domain_announce_started (VsDomain *self);

/* Another guest in the place of the present one: see vs-domain-hand-over.c */
void vs_domain_deafen (VsDomain *self);
void vs_domain_listen_again (VsDomain *self);
void vs_domain_hand_over (VsDomain *self,
                          VsGuest *guest,
                          VsDomainDef *live_def,
                          gboolean running,
                          VmSnapStateReason reason);
void vs_domain_take_over (VsDomain *self,
                          const char *status);
void vs_domain_expect_stop (VsDomain *self,
                            VmSnapStateReason reason);
void vs_domain_expect_resume (VsDomain *self,
                              VmSnapStateReason reason);
void vs_domain_expect_no_stop (VsDomain *self,
                               VmSnapStateReason reason);
void vs_domain_explain_running (VsDomain *self,
                                VmSnapStateReason reason);
void vs_domain_expect_no_resume (VsDomain *self,
                                 VmSnapStateReason reason);
void vs_domain_expect_end (VsDomain *self,
                           VmSnapStateReason reason);
void vs_domain_emit_event (VsDomain *self,
                           const char *event,
                           GVariant *details);
void vs_domain_set_state (VsDomain *self,
                          VmSnapDomainState state,
                          VmSnapStateReason reason);
void vs_domain_set_guest_agent (VsDomain *self,
                                gboolean connected);

/* What a user asked of its run state since the present operation began: the operation's end respects it */
typedef enum {
  VS_WISH_NONE,
  VS_WISH_RUN,
  VS_WISH_PAUSE,
} VsWish;

void vs_domain_set_wish (VsDomain *self,
                         VsWish wish);
VsWish vs_domain_take_wish (VsDomain *self);

/* Its snapshots */
VsSnapshot *vs_domain_get_snapshot (VsDomain *self,
                                    const char *name);
GList *vs_domain_list_snapshots (VsDomain *self);
guint vs_domain_count_snapshots (VsDomain *self);
VsSnapshot *vs_domain_get_current_snapshot (VsDomain *self);
void vs_domain_set_current_snapshot (VsDomain *self,
                                     VsSnapshot *snapshot);
void vs_domain_add_snapshot (VsDomain *self,
                             VsSnapshot *snapshot);
void vs_domain_remove_snapshot (VsDomain *self,
                                VsSnapshot *snapshot);
GList *vs_domain_list_children (VsDomain *self,
                                VsSnapshot *snapshot);

G_END_DECLS
