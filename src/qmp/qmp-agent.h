/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "qmp-json.h"

G_BEGIN_DECLS

/**
 * QMP_AGENT_MAX_LINE:
 *
 * The longest answer that a guest agent may give, in bytes. (The one to guest-info has some 4 KiB.)
 */
#define QMP_AGENT_MAX_LINE (64 * 1024)

/**
 * QMP_AGENT_MAX_INPUT:
 *
 * How much is read from an agent during one call, in bytes: its answer, and what was left from before.
 */
#define QMP_AGENT_MAX_INPUT (1024 * 1024)

/**
 * QmpAgent:
 *
 * The connection to a guest's agent. All calls block, and belong to one thread at a time.
 *
 * Errors, all of the domain %VMSNAP_ERROR:
 * - %VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE: the agent didn't answer in time, refused, or answered nonsense. After a
 *   refusal qmp_agent_is_synced() holds; after the others nobody knows whether the command will still be carried out.
 * - %VMSNAP_ERROR_HYPERVISOR_GONE: QEMU closed the connection; it serves no more.
 * - %VMSNAP_ERROR_CANCELLED: the cancellable was cancelled.
 */
typedef struct _QmpAgent QmpAgent;

QmpAgent *qmp_agent_new (int fd,
                         const char *name);
void qmp_agent_free (QmpAgent *agent);

gboolean qmp_agent_sync (QmpAgent *agent,
                         gint64 timeout_usec,
                         GCancellable *cancellable,
                         GError **error);
JsonNode *qmp_agent_call (QmpAgent *agent,
                          const char *command,
                          gint64 timeout_usec,
                          GCancellable *cancellable,
                          GError **error);
JsonNode *qmp_agent_call_at_once (QmpAgent *agent,
                                  const char *command,
                                  gint64 timeout_usec,
                                  GCancellable *cancellable,
                                  GError **error);
gboolean qmp_agent_is_synced (QmpAgent *agent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QmpAgent, qmp_agent_free)

G_END_DECLS
