/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Authorization: on the system bus polkit decides, told what the call is about; when it doesn't answer, the call is
 * refused. On a session bus the service's own user may do all, and nobody else anything. Never waits. Main thread.
 *
 * Asking polkit takes ten times as long as a method that only reads, so that it said yes to reading is remembered: for
 * the very same question by the very same connection, until polkit's signal says that rules, actions or sessions have
 * changed, or polkit goes. Never remembered is a yes that a person gave, a no, or anything about what changes something.
 */
#include "bus-auth.h"

#include <polkit/polkit.h>
#include <unistd.h>

#include "bus-callers.h"
#include "vmsnap-error.h"
#include "vmsnap-names.h"

/* Without a question to a person, polkit answers in milliseconds; after this it is taken for absent. */
#define ANSWER_TIMEOUT_SECONDS 20

struct _BusAuth
{
  GObject parent;

  gboolean is_session;
  BusCallers *callers;
  PolkitAuthority *authority;
  guint changes; /* that polkit told of so far */
};

G_DEFINE_FINAL_TYPE (BusAuth, bus_auth, G_TYPE_OBJECT)

/* One question on its way. */
typedef struct {
  GDBusMethodInvocation *invocation;
  const BusAuthRow *row;
  BusAuthTarget target;
  guint uid;
  gboolean interactive;
  guint changes; /* of the authority, when it was asked */
  GCancellable *cancellable;
  guint timeout;
} Check;

static void
check_free (Check *check)
{
  g_clear_handle_id (&check->timeout, g_source_remove);
  g_object_unref (check->cancellable);
  g_object_unref (check->invocation);
  bus_auth_target_clear (&check->target);
  g_free (check);
}

static void
bus_auth_finalize (GObject *object)
{
  BusAuth *self = BUS_AUTH (object);

  if (self->authority != NULL)
    g_signal_handlers_disconnect_by_data (self->authority, self);
  g_clear_object (&self->authority);
  g_object_unref (self->callers);
  G_OBJECT_CLASS (bus_auth_parent_class)->finalize (object);
}

static void
bus_auth_class_init (BusAuthClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = bus_auth_finalize;
}

static void
bus_auth_init (BusAuth *self)
{
  self->callers = bus_callers_new ();
}

/**
 * bus_auth_new:
 * @is_session: whether it serves its own user only, rather than whom polkit allows
 *
 * Returns: (transfer full): somebody to ask
 */
BusAuth *
bus_auth_new (gboolean is_session)
{
  BusAuth *self = g_object_new (BUS_TYPE_AUTH, NULL);

  self->is_session = is_session;
  return self;
}

/**
 * bus_auth_needs_target:
 * @self: whom to ask
 *
 * Returns: whether the answer depends on what a call is about, rather than on the caller alone
 */
gboolean
bus_auth_needs_target (BusAuth *self)
{
  return !self->is_session;
}

/* What was refused, in words: "start of domain 'web'". */
static char *
describe_call (const Check *check)
{
  const BusAuthTarget *target = &check->target;
  const char *operation = check->row->operation;

  if (target->snapshot != NULL && target->domain_name != NULL)
    return g_strdup_printf ("'%s' of snapshot '%s' of domain '%s'", operation, target->snapshot, target->domain_name);
  if (target->domain_name != NULL)
    return g_strdup_printf ("'%s' of domain '%s'", operation, target->domain_name);
  return g_strdup_printf ("'%s'", operation);
}

static void
refuse (GTask *task, VmSnapError code, const char *why)
{
  g_autofree char *what = describe_call (g_task_get_task_data (task));

  g_task_return_new_error (task, VMSNAP_ERROR, code, "Not authorized for %s: %s", what, why);
}

static void
refuse_action (GTask *task, VmSnapError code, const char *answer)
{
  const Check *check = g_task_get_task_data (task);
  g_autofree char *why = g_strdup_printf ("%s (action %s%s)", answer, VMSNAP_ACTION_PREFIX, check->row->action);

  refuse (task, code, why);
}

static void
refuse_unanswered (GTask *task, const GError *error)
{
  const Check *check = g_task_get_task_data (task);
  const char *what = g_cancellable_is_cancelled (check->cancellable) ? "it takes too long" : error->message;
  g_autofree char *why = g_strdup_printf ("polkit doesn't answer (%s), and without it nothing is allowed on the "
                                          "system bus: see that the service 'polkit' runs",
                                          what);

  refuse (task, VMSNAP_ERROR_NOT_AUTHORIZED, why);
}

static void ask_polkit (GTask *task);

/* Yes, as far as it was asked. */
static void
accept (GTask *task)
{
  Check *check = g_task_get_task_data (task);
  BusAuthTarget *target = &check->target;
  const BusAuthRow *more = target->new_name == NULL ? bus_auth_take_more (&target->more) : NULL;

  if (target->new_name != NULL)
    {
      g_free (target->domain_name);
      target->domain_name = g_steal_pointer (&target->new_name);
    }
  else if (more != NULL)
    check->row = more;
  else
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  ask_polkit (task);
}

/* The question, or NULL when its answer isn't to be remembered. The name and the uuid are an existing domain's, so they
 * hold no line's end; the snapshot's name may be anything, and comes last. */
static char *
format_grant (const Check *check)
{
  const BusAuthTarget *target = &check->target;

  if (!(check->row->flags & BUS_AUTH_READ) || target->domain_name == NULL || target->domain_uuid == NULL
      || target->new_name != NULL)
    return NULL;
  return g_strdup_printf ("%s\n%s\n%s\n%s\n%s%s", check->row->action, check->row->operation, target->domain_uuid,
                          target->domain_name, target->snapshot != NULL ? "=" : "",
                          target->snapshot != NULL ? target->snapshot : "");
}

/* A plain yes to a plain question, and nothing has changed since it was asked. */
static void
remember (BusAuth *self, const Check *check, PolkitAuthorizationResult *answer)
{
  g_autofree char *grant = format_grant (check);

  if (grant != NULL && !check->interactive && check->changes == self->changes
      && !polkit_authorization_result_get_retains_authorization (answer)
      && polkit_authorization_result_get_temporary_authorization_id (answer) == NULL)
    bus_callers_grant (self->callers, g_dbus_method_invocation_get_sender (check->invocation), grant);
}

static gboolean
is_remembered (BusAuth *self, const Check *check)
{
  g_autofree char *grant = format_grant (check);

  return grant != NULL
         && bus_callers_has_grant (self->callers, g_dbus_method_invocation_get_sender (check->invocation), grant);
}

static void
on_changed (BusAuth *self)
{
  self->changes++;
  bus_callers_revoke (self->callers);
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (PolkitAuthorizationResult) answer =
    polkit_authority_check_authorization_finish (POLKIT_AUTHORITY (source), result, &error);

  if (answer == NULL)
    refuse_unanswered (task, error);
  else if (polkit_authorization_result_get_is_authorized (answer))
    {
      remember (g_task_get_source_object (task), g_task_get_task_data (task), answer);
      accept (task);
    }
  else if (polkit_authorization_result_get_dismissed (answer))
    refuse_action (task, VMSNAP_ERROR_NOT_AUTHORIZED_DISMISSED, "the question for the password was dismissed");
  else if (polkit_authorization_result_get_is_challenge (answer))
    refuse_action (task, VMSNAP_ERROR_NOT_AUTHORIZED_CAN_OBTAIN,
                   "it takes authentication; call again with interactive authorization allowed");
  else
    refuse_action (task, VMSNAP_ERROR_NOT_AUTHORIZED, "polkit refuses it");
}

static gboolean
on_timeout (gpointer user_data)
{
  Check *check = user_data;

  check->timeout = 0;
  g_cancellable_cancel (check->cancellable);
  return G_SOURCE_REMOVE;
}

static PolkitDetails *
make_details (const Check *check)
{
  PolkitDetails *details = polkit_details_new ();

  polkit_details_insert (details, "operation", check->row->operation);
  if (check->target.domain_name != NULL)
    polkit_details_insert (details, "domain-name", check->target.domain_name);
  if (check->target.domain_uuid != NULL)
    polkit_details_insert (details, "domain-uuid", check->target.domain_uuid);
  if (check->target.snapshot != NULL)
    polkit_details_insert (details, "snapshot", check->target.snapshot);
  return details;
}

static void
ask_polkit (GTask *task)
{
  BusAuth *self = g_task_get_source_object (task);
  Check *check = g_task_get_task_data (task);
  g_autoptr (PolkitSubject) subject =
    polkit_system_bus_name_new (g_dbus_method_invocation_get_sender (check->invocation));
  g_autoptr (PolkitDetails) details = make_details (check);
  g_autofree char *action = g_strconcat (VMSNAP_ACTION_PREFIX, check->row->action, NULL);

  check->changes = self->changes;
  polkit_authority_check_authorization (self->authority, subject, action, details,
                                        check->interactive
                                          ? POLKIT_CHECK_AUTHORIZATION_FLAGS_ALLOW_USER_INTERACTION
                                          : POLKIT_CHECK_AUTHORIZATION_FLAGS_NONE,
                                        check->cancellable, on_answer, g_object_ref (task));
}

static void
keep_authority (BusAuth *self, PolkitAuthority *authority)
{
  if (self->authority != NULL)
    return;
  self->authority = g_object_ref (authority);
  g_signal_connect_swapped (authority, "changed", G_CALLBACK (on_changed), self);
  g_signal_connect_swapped (authority, "notify::owner", G_CALLBACK (on_changed), self);
}

static void
on_authority (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  BusAuth *self = g_task_get_source_object (task);
  g_autoptr (GError) error = NULL;
  g_autoptr (PolkitAuthority) authority = polkit_authority_get_finish (result, &error);

  if (authority == NULL)
    {
      refuse_unanswered (task, error);
      return;
    }
  keep_authority (self, authority);
  ask_polkit (task);
}

static void
check_polkit (GTask *task)
{
  BusAuth *self = g_task_get_source_object (task);
  Check *check = g_task_get_task_data (task);

  if (is_remembered (self, check))
    {
      g_task_return_boolean (task, TRUE);
      return;
    }
  if (!check->interactive)
    check->timeout = g_timeout_add_seconds (ANSWER_TIMEOUT_SECONDS, on_timeout, check);
  if (self->authority != NULL)
    ask_polkit (task);
  else
    polkit_authority_get_async (check->cancellable, on_authority, g_object_ref (task));
}

/* The caller's uid is known. */
static void
decide (GTask *task)
{
  BusAuth *self = g_task_get_source_object (task);
  const Check *check = g_task_get_task_data (task);

  if (self->is_session && check->uid != getuid ())
    refuse (task, VMSNAP_ERROR_NOT_AUTHORIZED, "on a session bus the service serves its own user only");
  else if (self->is_session)
    g_task_return_boolean (task, TRUE);
  else if ((check->row->flags & BUS_AUTH_OWN_JOB) && check->target.has_owner && check->target.owner == check->uid)
    g_task_return_boolean (task, TRUE);
  else
    check_polkit (task);
}

static void
on_uid (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Check *check = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;

  if (bus_callers_get_uid_finish (BUS_CALLERS (source), result, &check->uid, &error))
    decide (task);
  else
    refuse (task, VMSNAP_ERROR_NOT_AUTHORIZED, error->message);
}

static Check *
check_new (GDBusMethodInvocation *invocation, const BusAuthRow *row, const BusAuthTarget *target)
{
  GDBusMessage *message = g_dbus_method_invocation_get_message (invocation);
  Check *check = g_new0 (Check, 1);

  check->invocation = g_object_ref (invocation);
  check->row = row;
  check->target = *target;
  check->target.domain_name = g_strdup (target->domain_name);
  check->target.new_name = g_strdup (target->new_name);
  check->target.domain_uuid = g_strdup (target->domain_uuid);
  check->target.snapshot = g_strdup (target->snapshot);
  check->interactive =
    (g_dbus_message_get_flags (message) & G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION) != 0;
  check->cancellable = g_cancellable_new ();
  return check;
}

/**
 * bus_auth_check_async:
 * @self: whom to ask
 * @invocation: the call
 * @target: what it is about
 * @callback: called when it is decided
 * @user_data: for @callback
 *
 * Asks whether the call may be done. A person is asked only when the call allows it. Whatever was true before may be
 * different when the answer comes.
 */
void
bus_auth_check_async (BusAuth *self,
                      GDBusMethodInvocation *invocation,
                      const BusAuthTarget *target,
                      GAsyncReadyCallback callback,
                      gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  const BusAuthRow *row = bus_auth_find_row (g_dbus_method_invocation_get_interface_name (invocation),
                                             g_dbus_method_invocation_get_method_name (invocation));
  Check *check;

  g_task_set_source_tag (task, bus_auth_check_async);
  if (row == NULL)
    {
      g_task_return_new_error (task, VMSNAP_ERROR, VMSNAP_ERROR_NOT_AUTHORIZED,
                               "Nobody may call the method '%s': no authorization is known for it",
                               g_dbus_method_invocation_get_method_name (invocation));
      return;
    }
  check = check_new (invocation, row, target);
  g_task_set_task_data (task, check, (GDestroyNotify) check_free);
  if (bus_callers_peek_uid (self->callers, g_dbus_method_invocation_get_sender (invocation), &check->uid))
    decide (task);
  else
    bus_callers_get_uid_async (self->callers, g_dbus_method_invocation_get_connection (invocation),
                               g_dbus_method_invocation_get_sender (invocation), on_uid, g_object_ref (task));
}

/**
 * bus_auth_check_finish:
 * @self: who was asked
 * @result: what the callback got
 * @caller_uid: (out): whose call it is
 * @error: where to put %VMSNAP_ERROR_NOT_AUTHORIZED, %VMSNAP_ERROR_NOT_AUTHORIZED_CAN_OBTAIN or
 *   %VMSNAP_ERROR_NOT_AUTHORIZED_DISMISSED
 *
 * Returns: whether the call may be done
 */
gboolean
bus_auth_check_finish (BusAuth *self, GAsyncResult *result, guint *caller_uid, GError **error)
{
  const Check *check = g_task_get_task_data (G_TASK (result));

  if (!g_task_propagate_boolean (G_TASK (result), error))
    return FALSE;
  *caller_uid = check->uid;
  return TRUE;
}
