/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp-client.h"
#include "vs-domain.h"

G_BEGIN_DECLS

typedef enum {
  VS_DOMAIN_PROP_STATE = 1,
  VS_DOMAIN_PROP_STATE_REASON,
  VS_DOMAIN_PROP_PERSISTENT,
  VS_DOMAIN_PROP_DEF,
  VS_DOMAIN_PROP_DISKS,
  VS_DOMAIN_PROP_CURRENT_SNAPSHOT,
  VS_DOMAIN_PROP_JOB,
  VS_DOMAIN_PROP_GUEST_AGENT,
  VS_DOMAIN_PROP_MANAGED_SAVE,
} VsDomainProperty;

struct _VsDomain
{
  GObject parent;

  VsStore *store;
  VsDomainDef *def;
  gboolean persistent;

  VmSnapDomainState state;
  VmSnapStateReason reason;
  gboolean guest_agent;
  gboolean guest_agent_known; /* QEMU has told whether it is connected */
  GPtrArray *chains;
  VsJob *job;
  VsWish wish;
  gboolean unsettled;
  gboolean has_managed_save;
  gboolean held;

  GHashTable *snapshots;
  GHashTable *children; /* name of a parent, "" for none, to the set of those who have it */
  GHashTable *parents;  /* snapshot to the name under which it is among the children */
  VsSnapshot *current;

  /* The guest, and why it is about to do what its next event will tell */
  VsGuest *guest;
  QmpClient *client; /* NULL: its monitor is closed, or never answered */
  GCancellable *reconnecting;
  guint exit_deadline; /* it has exited; what it said last may still be on its way */
  VsDomainDef *live_def;
  gboolean announced;
  gboolean doubtful; /* it isn't known who stopped it */
  VmSnapStateReason running_reason;
  VmSnapStateReason expected_stop;
  VmSnapStateReason expected_resume;
  VmSnapStateReason expected_end;
};

void vs_domain_notify (VsDomain *self,
                       VsDomainProperty property);
void vs_domain_detach_guest (VsDomain *self);
void vs_domain_listen_to_guest (VsDomain *self);

G_END_DECLS
