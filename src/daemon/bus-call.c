/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The way of every method call: options into a struct, arguments checked, authorization, objects looked up again (for
 * much may have happened while a person typed a password), the method, and one reply. Main thread; but texts are parsed
 * on a few workers. polkit must be told what a text names, so on the system bus it is parsed before it is known what the
 * caller may do: strangers can keep these workers busy, and nobody else.
 */
#include "bus-call.h"

#include <gio/gunixfdlist.h>

#include "bus-error.h"
#include "bus-service.h"
#include "vmsnap-error.h"
#include "vmsnap-names.h"

/* All the strangers together get no more of the processors. */
#define PARSERS 2
/* Who reads a caller's file mostly waits, and may do so for ever: that must not hold up those who parse texts. */
#define READERS 4

static void
bus_call_free (BusCall *call)
{
  bus_options_free (call->method->options, call->options);
  if (call->parsed != NULL)
    call->parsed_free (call->parsed);
  bus_auth_target_clear (&call->about);
  g_clear_object (&call->domain);
  g_clear_object (&call->snapshot);
  g_clear_object (&call->job);
  g_free (call->domain_uuid);
  g_free (call->snapshot_name);
  g_object_unref (call->service);
  g_free (call);
}

static gboolean
find_domain (BusCall *call, GError **error)
{
  VsDomain *domain = vs_engine_find_domain (call->engine, call->domain_uuid);

  if (domain == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "There is no domain %s any more", call->domain_uuid);
  g_set_object (&call->domain, domain);
  return domain != NULL;
}

static gboolean
find_snapshot (BusCall *call, GError **error)
{
  VsSnapshot *snapshot = vs_domain_get_snapshot (call->domain, call->snapshot_name);

  if (snapshot == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "There is no snapshot '%s' of domain '%s' any more",
                 call->snapshot_name, vs_domain_get_name (call->domain));
  g_set_object (&call->snapshot, snapshot);
  return snapshot != NULL;
}

static gboolean
find_job (BusCall *call, GError **error)
{
  VsJob *job = vs_engine_find_job (call->engine, call->job_number);

  if (job == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "There is no job %u any more", call->job_number);
  g_set_object (&call->job, job);
  return job != NULL;
}

static gboolean
find_objects (BusCall *call, GError **error)
{
  if (call->domain_uuid != NULL && !find_domain (call, error))
    return FALSE;
  if (call->snapshot_name != NULL && !find_snapshot (call, error))
    return FALSE;
  return call->job_number == 0 || find_job (call, error);
}

/* Tells polkit of the objects. A job tells of the domain it works on. */
static void
describe_objects (BusCall *call)
{
  VsDomain *domain = call->domain;

  if (call->job != NULL)
    {
      const char *uuid = vs_job_get_domain_uuid (call->job);

      domain = uuid != NULL ? vs_engine_find_domain (call->engine, uuid) : NULL;
      call->about.snapshot = g_strdup (vs_job_get_snapshot_name (call->job));
      call->about.has_owner = TRUE;
      call->about.owner = vs_job_get_caller_uid (call->job);
    }
  if (domain != NULL)
    {
      call->about.domain_name = g_strdup (vs_domain_get_name (domain));
      call->about.domain_uuid = g_strdup (vs_domain_get_uuid (domain));
    }
  if (call->snapshot != NULL)
    call->about.snapshot = g_strdup (vs_snapshot_get_name (call->snapshot));
}

static const BusMethod *
find_method (const BusMethod *methods, const char *name)
{
  for (; methods->name != NULL; methods++)
    if (g_str_equal (methods->name, name))
      return methods;
  return NULL;
}

static BusCall *
bus_call_new (BusService *service,
              GDBusMethodInvocation *invocation,
              const BusMethod *method,
              const BusAddress *address)
{
  BusCall *call = g_new0 (BusCall, 1);

  call->service = g_object_ref (service);
  call->engine = bus_service_get_engine (service);
  call->invocation = invocation;
  call->method = method;
  call->domain_uuid = g_strdup (address->domain_uuid);
  call->snapshot_name = g_strdup (address->snapshot_name);
  call->job_number = address->job_number;
  return call;
}

/* The options are the last argument of every method. */
static gboolean
parse_options (BusCall *call, GError **error)
{
  GVariant *parameters = g_dbus_method_invocation_get_parameters (call->invocation);
  g_autoptr (GVariant) options = g_variant_get_child_value (parameters, g_variant_n_children (parameters) - 1);

  call->options = bus_options_parse (call->method->options, options, error);
  return call->options != NULL;
}

static gboolean
prepare (BusCall *call, GError **error)
{
  return call->method->prepare == NULL || call->method->prepare (call, error);
}

static void
parse_in_worker (gpointer data, gpointer user_data)
{
  g_autoptr (GTask) task = data;
  BusCall *call = g_task_get_task_data (task);
  GError *error = NULL;

  if (call->method->parse (call, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
parse_async (BusCall *call, GAsyncReadyCallback callback)
{
  static GThreadPool *parsers;
  static GThreadPool *readers;
  GTask *task = g_task_new (call->service, NULL, callback, call);

  if (parsers == NULL)
    {
      parsers = g_thread_pool_new (parse_in_worker, NULL, PARSERS, FALSE, NULL);
      readers = g_thread_pool_new (parse_in_worker, NULL, READERS, FALSE, NULL);
    }
  g_task_set_task_data (task, call, NULL);
  g_thread_pool_push (call->method->opens_file ? readers : parsers, task, NULL);
}

static void
run_or_fail (BusCall *call, gboolean good, GError *error)
{
  if (good && find_objects (call, &error))
    call->method->run (call);
  else
    bus_call_fail (call, error);
}

static void
on_parsed_after_check (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;
  gboolean good =
    g_task_propagate_boolean (G_TASK (result), &error) && find_objects (call, &error) && prepare (call, &error);

  run_or_fail (call, good, error);
}

static gboolean
is_parsed_after_check (BusCall *call)
{
  return call->method->parse != NULL && !bus_auth_needs_target (bus_service_get_auth (call->service));
}

static void
on_checked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;
  gboolean good = bus_auth_check_finish (BUS_AUTH (source), result, &call->caller_uid, &error);

  if (good && is_parsed_after_check (call))
    parse_async (call, on_parsed_after_check);
  else
    run_or_fail (call, good, error);
}

static void
check_async (BusCall *call)
{
  bus_auth_check_async (bus_service_get_auth (call->service), call->invocation, &call->about, on_checked, call);
}

static void
on_parsed_before_check (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;

  if (g_task_propagate_boolean (G_TASK (result), &error) && find_objects (call, &error) && prepare (call, &error))
    check_async (call);
  else
    bus_call_fail (call, error);
}

/* Whom the call is from is asked before any work is done on it; what polkit has to be told is found out before that. */
static void
begin (BusCall *call)
{
  GError *error = NULL;

  if (!parse_options (call, &error) || !find_objects (call, &error))
    {
      bus_call_fail (call, error);
      return;
    }
  describe_objects (call);
  if (is_parsed_after_check (call))
    check_async (call);
  else if (call->method->parse != NULL)
    parse_async (call, on_parsed_before_check);
  else if (prepare (call, &error))
    check_async (call);
  else
    bus_call_fail (call, error);
}

/**
 * bus_call_dispatch:
 * @service: the service
 * @invocation: (transfer full): the call
 * @methods: (array zero-terminated=1): the methods of the interface
 * @address: which object it came to
 *
 * Does what the call asks for, and answers it, now or later.
 */
void
bus_call_dispatch (BusService *service,
                   GDBusMethodInvocation *invocation,
                   const BusMethod *methods,
                   const BusAddress *address)
{
  const BusMethod *method = find_method (methods, g_dbus_method_invocation_get_method_name (invocation));

  if (method == NULL)
    {
      g_dbus_method_invocation_return_error (invocation, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                                             "The method '%s' is not supported by this version",
                                             g_dbus_method_invocation_get_method_name (invocation));
      return;
    }

  begin (bus_call_new (service, invocation, method, address));
}

/**
 * bus_call_get_string:
 * @call: a call
 * @index: which of its arguments
 *
 * Returns: (transfer none): the argument, of the type `s`
 */
const char *
bus_call_get_string (BusCall *call, guint index)
{
  const char *value;

  g_variant_get_child (g_dbus_method_invocation_get_parameters (call->invocation), index, "&s", &value);
  return value;
}

/**
 * bus_call_get_fd:
 * @call: a call
 * @index: which of its arguments
 * @error: where to put %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Any thread.
 *
 * Returns: the descriptor that came as an argument of the type `h`; the message's own, which lives as long as the call;
 *   or -1
 */
int
bus_call_get_fd (BusCall *call, guint index, GError **error)
{
  GDBusMessage *message = g_dbus_method_invocation_get_message (call->invocation);
  GUnixFDList *list = g_dbus_message_get_unix_fd_list (message);
  int n = 0;
  const int *fds = list != NULL ? g_unix_fd_list_peek_fds (list, &n) : NULL;
  gint32 handle;

  g_variant_get_child (g_dbus_method_invocation_get_parameters (call->invocation), index, "h", &handle);
  if (handle >= 0 && handle < n)
    return fds[handle];
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "Argument %u of the call is a descriptor, but the "
               "message carries none", index + 1);
  return -1;
}

/**
 * bus_call_get_request:
 * @call: a call that is authorized
 * @no_queue: whether the caller doesn't want to wait in line
 *
 * Returns: how the engine is asked
 */
VsRequest
bus_call_get_request (BusCall *call, gboolean no_queue)
{
  VsRequest request = { .caller_uid = call->caller_uid, .no_queue = no_queue };

  return request;
}

/**
 * bus_call_check_queue:
 * @call: a call to a domain
 * @no_queue: whether the caller doesn't want it beside another operation
 * @error: where to put %VMSNAP_ERROR_BUSY
 *
 * For the methods that need no job.
 *
 * Returns: whether it may go on
 */
gboolean
bus_call_check_queue (BusCall *call, gboolean no_queue, GError **error)
{
  VsJob *job = vs_domain_get_job (call->domain);

  if (!no_queue || !vs_engine_is_busy (call->engine, call->domain))
    return TRUE;
  if (job == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                 "Domain '%s' is busy: work is waiting for its turn; wait for it, or call without 'queue'",
                 vs_domain_get_name (call->domain));
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                 "Domain '%s' is busy: job %u (%s) is under way; wait for it, or call without 'queue'",
                 vs_domain_get_name (call->domain), vs_job_get_number (job), vs_job_get_operation (job));
  return FALSE;
}

/**
 * bus_call_check_name:
 * @call: a call; it is ended here if the answer is no
 *
 * For calls that bring in a definition: polkit was told the name of the domain with its uuid, and may have taken long.
 *
 * Returns: whether that domain, if there is one, still has that name
 */
gboolean
bus_call_check_name (BusCall *call)
{
  VsDomain *present = vs_engine_find_domain (call->engine, call->about.domain_uuid);

  if (present == NULL || g_strcmp0 (vs_domain_get_name (present), call->about.domain_name) == 0)
    return TRUE;
  bus_call_fail (call, g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS,
                                    "Meanwhile the domain with the uuid %s has become '%s': look at it, and try again",
                                    call->about.domain_uuid, vs_domain_get_name (present)));
  return FALSE;
}

/**
 * bus_call_return:
 * @call: (transfer full): a call
 * @value: (nullable): the out-arguments, a tuple; taken when floating
 */
void
bus_call_return (BusCall *call, GVariant *value)
{
  g_dbus_method_invocation_return_value (call->invocation, value);
  bus_call_free (call);
}

/**
 * bus_call_return_fd:
 * @call: (transfer full): a call whose only out-argument is a descriptor
 * @fd: the descriptor; closed here
 */
void
bus_call_return_fd (BusCall *call, int fd)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new_from_array (&fd, 1);

  g_dbus_method_invocation_return_value_with_unix_fd_list (call->invocation, g_variant_new ("(h)", 0), list);
  bus_call_free (call);
}

/**
 * bus_call_return_job:
 * @call: (transfer full): a call whose only out-argument is a job
 * @job: (nullable): the job; it is on the bus already, and its work has not begun
 * @error: (transfer full) (nullable): why there is none
 */
void
bus_call_return_job (BusCall *call, VsJob *job, GError *error)
{
  g_autofree char *path = NULL;

  if (job == NULL)
    {
      bus_call_fail (call, error);
      return;
    }
  path = vmsnap_job_object_path (vs_job_get_number (job));
  bus_call_return (call, g_variant_new ("(o)", path));
}

/**
 * bus_call_fail:
 * @call: (transfer full): a call
 * @error: (transfer full): why it failed
 */
void
bus_call_fail (BusCall *call, GError *error)
{
  bus_error_return (call->invocation, error);
  bus_call_free (call);
}

/**
 * bus_call_not_supported:
 * @call: (transfer full): a call for what this version can't do
 * @what: what it asked for, and what to do instead
 */
void
bus_call_not_supported (BusCall *call, const char *what)
{
  bus_call_fail (call, g_error_new_literal (VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, what));
}
