/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The manager on the bus: defines and finds domains. Main thread.
 */
#include "bus-manager.h"

#include "bus-image.h"
#include "bus-vtable.h"
#include "vmsnap-error.h"
#include "vmsnap-names.h"
#include "vs-domain-def.h"
#include "vs-hypervisor.h"
#include "vs-operations.h"

struct _BusManager
{
  VmSnapDBusManagerSkeleton parent;

  BusService *service;
};

G_DEFINE_FINAL_TYPE (BusManager, bus_manager, VM_SNAP_DBUS_TYPE_MANAGER_SKELETON)

typedef struct {
  gboolean validate;
} DefineOptions;

static const BusOption define_options[] = {
  BUS_OPTION_FLAG (DefineOptions, validate, "validate"),
  BUS_OPTION_END,
};
static const BusOptionTable define_table = { sizeof (DefineOptions), define_options };

typedef struct {
  gboolean paused;
  gboolean validate;
  gboolean no_queue;
} CreateOptions;

static const BusOption create_options[] = {
  BUS_OPTION_FLAG (CreateOptions, paused, "paused"),
  BUS_OPTION_FLAG (CreateOptions, validate, "validate"),
  BUS_OPTION_QUEUE (CreateOptions),
  BUS_OPTION_END,
};
static const BusOptionTable create_table = { sizeof (CreateOptions), create_options };

static gboolean
parse_definition (BusCall *call, gboolean validate, GError **error)
{
  call->parsed = vs_domain_def_parse (bus_call_get_string (call, 0),
                                      validate ? VS_DOMAIN_DEF_VALIDATE : VS_DOMAIN_DEF_NONE, error);
  call->parsed_free = (GDestroyNotify) vs_domain_def_unref;
  return call->parsed != NULL;
}

static gboolean
parse_define (BusCall *call, GError **error)
{
  return parse_definition (call, ((const DefineOptions *) call->options)->validate, error);
}

static gboolean
parse_create (BusCall *call, GError **error)
{
  return parse_definition (call, ((const CreateOptions *) call->options)->validate, error);
}

/* A rule may grant the names or uuids that somebody may define, so polkit is told what the text says; of a domain that
 * is to be renamed it is told both names. */
static gboolean
prepare_define (BusCall *call, GError **error)
{
  const VsDomainDef *def = call->parsed;
  VsDomain *present = vs_engine_find_domain (call->engine, def->uuid);

  call->about.domain_uuid = g_strdup (def->uuid);
  call->about.domain_name = g_strdup (present != NULL ? vs_domain_get_name (present) : def->name);
  if (g_strcmp0 (call->about.domain_name, def->name) != 0)
    call->about.new_name = g_strdup (def->name);
  return TRUE;
}

static void
return_domain (BusCall *call, VsDomain *domain)
{
  g_autofree char *path = vmsnap_domain_object_path (vs_domain_get_uuid (domain));

  bus_call_return (call, g_variant_new ("(o)", path));
}

static void
on_defined (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;
  g_autoptr (VsDomain) domain = vs_engine_define_finish (VS_ENGINE (source), result, &error);

  if (domain != NULL)
    return_domain (call, domain);
  else
    bus_call_fail (call, error);
}

static void
run_define (BusCall *call)
{
  if (bus_call_check_name (call))
    vs_engine_define_async (call->engine, call->parsed, VS_DEFINE_NONE, on_defined, call);
}

static void
on_created (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  VsEngine *engine = VS_ENGINE (source);
  const CreateOptions *options = call->options;
  VsStartOptions start = { .paused = options->paused, .create = TRUE };
  VsRequest request = bus_call_get_request (call, options->no_queue);
  g_autofree char *domain_path = NULL;
  g_autofree char *job_path = NULL;
  GError *error = NULL;
  g_autoptr (VsDomain) domain = vs_engine_define_finish (engine, result, &error);
  VsJob *job = domain != NULL ? vs_operation_start (engine, domain, &start, &request, &error) : NULL;

  if (job == NULL)
    {
      if (domain != NULL)
        vs_engine_remove_domain (engine, domain);
      bus_call_fail (call, error);
      return;
    }
  domain_path = vmsnap_domain_object_path (vs_domain_get_uuid (domain));
  job_path = vmsnap_job_object_path (vs_job_get_number (job));
  bus_call_return (call, g_variant_new ("(oo)", domain_path, job_path));
}

static void
run_create (BusCall *call)
{
  if (bus_call_check_name (call))
    vs_engine_define_async (call->engine, call->parsed, VS_DEFINE_TRANSIENT, on_created, call);
}

static VsDomain *
find_by_name (BusCall *call)
{
  return vs_engine_find_domain_by_name (call->engine, bus_call_get_string (call, 0));
}

static gboolean
prepare_by_name (BusCall *call, GError **error)
{
  VsDomain *domain = find_by_name (call);

  call->about.domain_name = g_strdup (bus_call_get_string (call, 0));
  call->about.domain_uuid = domain != NULL ? g_strdup (vs_domain_get_uuid (domain)) : NULL;
  return TRUE;
}

static void
run_by_name (BusCall *call)
{
  VsDomain *domain = find_by_name (call);

  if (domain != NULL)
    return_domain (call, domain);
  else
    bus_call_fail (call, g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "There is no domain named '%s'",
                                      bus_call_get_string (call, 0)));
}

static VsDomain *
find_by_uuid (BusCall *call)
{
  g_autofree char *uuid = g_ascii_strdown (bus_call_get_string (call, 0), -1);

  return vs_engine_find_domain (call->engine, uuid);
}

static gboolean
prepare_by_uuid (BusCall *call, GError **error)
{
  const char *uuid = bus_call_get_string (call, 0);
  VsDomain *domain;

  if (!g_uuid_string_is_valid (uuid))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "'%s' is no uuid: it is written like 12345678-9abc-def0-1234-56789abcdef0", uuid);
      return FALSE;
    }
  domain = find_by_uuid (call);
  call->about.domain_uuid = g_ascii_strdown (uuid, -1);
  call->about.domain_name = domain != NULL ? g_strdup (vs_domain_get_name (domain)) : NULL;
  return TRUE;
}

static void
run_by_uuid (BusCall *call)
{
  VsDomain *domain = find_by_uuid (call);

  if (domain != NULL)
    return_domain (call, domain);
  else
    bus_call_fail (call, g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "There is no domain with the uuid %s",
                                      bus_call_get_string (call, 0)));
}

const BusMethod bus_manager_methods[] = {
  { "DefineDomain", &define_table, prepare_define, run_define, parse_define },
  { "CreateDomain", &create_table, prepare_define, run_create, parse_create },
  { "GetDomainByName", &bus_options_none, prepare_by_name, run_by_name },
  { "GetDomainByUuid", &bus_options_none, prepare_by_uuid, run_by_uuid },
  { "RestoreDomain", &bus_image_restore_table, bus_image_prepare_restore, bus_image_run_restore,
    bus_image_parse_restore, TRUE },
  { "InspectImage", &bus_options_none, bus_image_prepare, bus_image_run_inspect, bus_image_parse_inspect, TRUE },
  { "RewriteImage", &bus_image_rewrite_table, bus_image_prepare, bus_image_run_rewrite, bus_image_parse_rewrite, TRUE },
  { NULL },
};

static void
bus_manager_call (GDBusConnection *connection,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *method,
                  GVariant *parameters,
                  GDBusMethodInvocation *invocation,
                  gpointer user_data)
{
  BusAddress address = { NULL };

  bus_call_dispatch (BUS_MANAGER (user_data)->service, invocation, bus_manager_methods, &address);
}

BUS_DEFINE_VTABLE (bus_manager)

static void
bus_manager_class_init (BusManagerClass *klass)
{
  G_DBUS_INTERFACE_SKELETON_CLASS (klass)->get_vtable = bus_manager_get_vtable;
}

static void
bus_manager_init (BusManager *self)
{
}

static void
show_hypervisor (VsEngine *engine, BusManager *self)
{
  static const char *const nothing[] = { NULL };
  VmSnapDBusManager *bus = VM_SNAP_DBUS_MANAGER (self);
  VsHypervisor *hypervisor = vs_engine_get_hypervisor (engine);

  vm_snap_dbus_manager_set_hypervisor_path (bus, vs_engine_get_emulator (engine));
  vm_snap_dbus_manager_set_hypervisor_version (bus, hypervisor != NULL ? vs_hypervisor_get_version (hypervisor) : "");
  vm_snap_dbus_manager_set_hypervisor_features (bus, hypervisor != NULL ? vs_hypervisor_get_features (hypervisor)
                                                                        : nothing);
}

/**
 * bus_manager_new:
 * @service: the service; it outlives the manager
 *
 * Returns: (transfer full): the interface, with all its properties set
 */
BusManager *
bus_manager_new (BusService *service)
{
  BusManager *self = g_object_new (BUS_TYPE_MANAGER, NULL);

  self->service = service;
  vm_snap_dbus_manager_set_version (VM_SNAP_DBUS_MANAGER (self), VMSNAP_VERSION);
  show_hypervisor (bus_service_get_engine (service), self);
  g_signal_connect_object (bus_service_get_engine (service), "hypervisor-changed", G_CALLBACK (show_hypervisor), self, 0);
  return self;
}
