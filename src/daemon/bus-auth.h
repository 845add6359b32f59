/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * BusAuthFlags:
 * @BUS_AUTH_OWN_JOB: whoever asked for the job needs no authorization
 * @BUS_AUTH_READ: it changes nothing: a plain yes holds for the same call by the same caller until polkit says that
 *   something has changed
 */
typedef enum {
  BUS_AUTH_NONE = 0,
  BUS_AUTH_OWN_JOB = 1 << 0,
  BUS_AUTH_READ = 1 << 1,
} BusAuthFlags;

/**
 * BusAuthRow:
 * @interface: the interface, without its prefix
 * @method: the method
 * @action: the polkit action that it takes, without its prefix
 * @operation: what polkit's rules read as `operation`
 * @flags: exceptions
 *
 * What one method takes.
 */
typedef struct {
  const char *interface;
  const char *method;
  const char *action;
  const char *operation;
  BusAuthFlags flags;
} BusAuthRow;

/**
 * BusAuthMore:
 * @BUS_AUTH_MORE_DEFINE: it names files that the service is to open, as a definition does, or brings a definition in
 * @BUS_AUTH_MORE_POWER_OFF: it powers the domain off
 *
 * What a call takes beside its method's own action, because of its options.
 */
typedef enum {
  BUS_AUTH_MORE_NOTHING = 0,
  BUS_AUTH_MORE_DEFINE = 1 << 0,
  BUS_AUTH_MORE_POWER_OFF = 1 << 1,
} BusAuthMore;

/**
 * BusAuthTarget:
 * @domain_name: (nullable): which domain the call is about
 * @new_name: (nullable): the name that it is to have then, if that is another one: polkit is asked about both
 * @domain_uuid: (nullable): its uuid
 * @snapshot: (nullable): the snapshot's name
 * @more: what else polkit is asked for
 * @has_owner: whether @owner is meaningful
 * @owner: the user who asked for the job that the call is about
 *
 * What polkit's rules are told of a call.
 */
typedef struct {
  char *domain_name;
  char *new_name;
  char *domain_uuid;
  char *snapshot;
  BusAuthMore more;
  gboolean has_owner;
  guint owner;
} BusAuthTarget;

const BusAuthRow *bus_auth_get_rows (guint *n_rows);
const BusAuthRow *bus_auth_find_row (const char *interface,
                                     const char *method);
const BusAuthRow *bus_auth_take_more (BusAuthMore *more);
void bus_auth_target_clear (BusAuthTarget *target);

#define BUS_TYPE_AUTH (bus_auth_get_type ())
G_DECLARE_FINAL_TYPE (BusAuth, bus_auth, BUS, AUTH, GObject)

BusAuth *bus_auth_new (gboolean is_session);
gboolean bus_auth_needs_target (BusAuth *self);
void bus_auth_check_async (BusAuth *self,
                           GDBusMethodInvocation *invocation,
                           const BusAuthTarget *target,
                           GAsyncReadyCallback callback,
                           gpointer user_data);
gboolean bus_auth_check_finish (BusAuth *self,
                                GAsyncResult *result,
                                guint *caller_uid,
                                GError **error);

G_END_DECLS
