/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain on the bus. Main thread.
 */
#include "bus-domain.h"

#include "bus-snapshot-checks.h"
#include "bus-snapshot-create.h"
#include "bus-snapshot-list.h"
#include "bus-vtable.h"
#include "vmsnap-error.h"
#include "vmsnap-names.h"
#include "vs-operations.h"

struct _BusDomain
{
  VmSnapDBusDomainSkeleton parent;

  BusService *service;
  VsDomain *domain;
};

G_DEFINE_FINAL_TYPE (BusDomain, bus_domain, VM_SNAP_DBUS_TYPE_DOMAIN_SKELETON)

typedef struct {
  gboolean paused;
  gboolean discard_managed_save;
  gboolean bypass_cache;
  gboolean no_queue;
} StartOptions;

static const BusOption start_options[] = {
  BUS_OPTION_FLAG (StartOptions, paused, "paused"),
  BUS_OPTION_FLAG (StartOptions, discard_managed_save, "discard-managed-save"),
  BUS_OPTION_FLAG (StartOptions, bypass_cache, "bypass-cache"),
  BUS_OPTION_QUEUE (StartOptions),
  BUS_OPTION_END,
};
static const BusOptionTable start_table = { sizeof (StartOptions), start_options };

typedef struct {
  gboolean no_queue;
} ControlOptions;

static const BusOption control_options[] = {
  BUS_OPTION_QUEUE (ControlOptions),
  BUS_OPTION_END,
};
static const BusOptionTable control_table = { sizeof (ControlOptions), control_options };

typedef struct {
  gboolean snapshots_metadata;
  gboolean managed_save;
  gboolean no_queue;
} UndefineOptions;

static const BusOption undefine_options[] = {
  BUS_OPTION_FLAG (UndefineOptions, snapshots_metadata, "snapshots-metadata"),
  BUS_OPTION_FLAG (UndefineOptions, managed_save, "managed-save"),
  BUS_OPTION_QUEUE (UndefineOptions),
  BUS_OPTION_END,
};
static const BusOptionTable undefine_table = { sizeof (UndefineOptions), undefine_options };

typedef struct {
  gboolean inactive;
} GetXmlOptions;

static const BusOption get_xml_options[] = {
  BUS_OPTION_FLAG (GetXmlOptions, inactive, "inactive"),
  BUS_OPTION_END,
};
static const BusOptionTable get_xml_table = { sizeof (GetXmlOptions), get_xml_options };

typedef struct {
  gboolean running;
  gboolean paused;
  gboolean bypass_cache;
  char *encoding;
  char *xml;
  gboolean no_queue;
} SaveOptions;

/* clang-format off */
#define SAVE_OPTIONS                                                                  \
  BUS_OPTION_FLAG (SaveOptions, running, "running", BUS_OPTION_EXCLUDES ("paused")),  \
  BUS_OPTION_FLAG (SaveOptions, paused, "paused"),                                    \
  BUS_OPTION_FLAG (SaveOptions, bypass_cache, "bypass-cache"),                        \
  BUS_OPTION_VALUE (SaveOptions, encoding, "encoding", "s"),                          \
  BUS_OPTION_QUEUE (SaveOptions)
/* clang-format on */

static const BusOption save_options[] = {
  SAVE_OPTIONS,
  BUS_OPTION_VALUE (SaveOptions, xml, "xml", "s"),
  BUS_OPTION_END,
};
static const BusOptionTable save_table = { sizeof (SaveOptions), save_options };

static const BusOption managed_save_options[] = {
  SAVE_OPTIONS,
  BUS_OPTION_END,
};
static const BusOptionTable managed_save_table = { sizeof (SaveOptions), managed_save_options };

static void
run_start (BusCall *call)
{
  const StartOptions *options = call->options;
  VsStartOptions start = {
    .paused = options->paused,
    .discard_managed_save = options->discard_managed_save,
    .bypass_cache = options->bypass_cache,
  };
  VsRequest request = bus_call_get_request (call, options->no_queue);
  GError *error = NULL;
  VsJob *job = vs_operation_start (call->engine, call->domain, &start, &request, &error);

  bus_call_return_job (call, job, error);
}

static void
on_controlled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;

  if (vs_operation_control_finish (VS_DOMAIN (source), result, &error))
    bus_call_return (call, NULL);
  else
    bus_call_fail (call, error);
}

static void
control (BusCall *call, VsControl what)
{
  const ControlOptions *options = call->options;
  GError *error = NULL;

  if (bus_call_check_queue (call, options->no_queue, &error))
    vs_operation_control_async (call->domain, what, on_controlled, call);
  else
    bus_call_fail (call, error);
}

static void
run_shutdown (BusCall *call)
{
  control (call, VS_CONTROL_SHUTDOWN);
}

static void
run_power_off (BusCall *call)
{
  control (call, VS_CONTROL_POWER_OFF);
}

static void
run_reset (BusCall *call)
{
  control (call, VS_CONTROL_RESET);
}

static void
run_pause (BusCall *call)
{
  control (call, VS_CONTROL_PAUSE);
}

static void
run_resume (BusCall *call)
{
  control (call, VS_CONTROL_RESUME);
}

static void
on_undefined (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;

  if (vs_engine_undefine_finish (VS_ENGINE (source), result, &error))
    bus_call_return (call, NULL);
  else
    bus_call_fail (call, error);
}

static void
run_undefine (BusCall *call)
{
  const UndefineOptions *options = call->options;
  VsUndefineFlags flags = VS_UNDEFINE_NONE;
  GError *error = NULL;

  if (options->snapshots_metadata)
    flags |= VS_UNDEFINE_SNAPSHOTS_METADATA;
  if (options->managed_save)
    flags |= VS_UNDEFINE_MANAGED_SAVE;
  if (bus_call_check_queue (call, options->no_queue, &error))
    vs_engine_undefine_async (call->engine, call->domain, flags, on_undefined, call);
  else
    bus_call_fail (call, error);
}

static void
run_get_xml (BusCall *call)
{
  const GetXmlOptions *options = call->options;
  VsDomainDef *def = options->inactive ? vs_domain_get_inactive_def (call->domain) : vs_domain_get_def (call->domain);
  g_autofree char *xml = NULL;

  if (options->inactive && !vs_domain_get_persistent (call->domain))
    {
      bus_call_fail (call, g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                                        "Domain '%s' is transient: it has no definition for a next start",
                                        vs_domain_get_name (call->domain)));
      return;
    }
  xml = vs_domain_def_format (def);
  bus_call_return (call, g_variant_new ("(s)", xml));
}

static gboolean
prepare_save (BusCall *call, GError **error)
{
  const SaveOptions *options = call->options;

  return bus_snapshot_check_encoding (options->encoding, error);
}

static gboolean
parse_save (BusCall *call, GError **error)
{
  const SaveOptions *options = call->options;

  if (options->xml == NULL)
    return TRUE;
  call->parsed = vs_domain_def_parse (options->xml, VS_DOMAIN_DEF_NONE, error);
  call->parsed_free = (GDestroyNotify) vs_domain_def_unref;
  return call->parsed != NULL;
}

static VsSaveOptions
get_save_options (BusCall *call)
{
  const SaveOptions *options = call->options;
  VsSaveOptions save = {
    .running = options->running,
    .paused = options->paused,
    .bypass_cache = options->bypass_cache,
    .encoding = VS_IMAGE_ENCODING_RAW,
    .def = call->parsed,
  };

  if (options->encoding != NULL)
    vs_image_encoding_from_nick (options->encoding, &save.encoding);
  return save;
}

static void
run_save (BusCall *call)
{
  VsSaveOptions save = get_save_options (call);
  VsRequest request = bus_call_get_request (call, ((const SaveOptions *) call->options)->no_queue);
  GError *error = NULL;
  int fd = bus_call_get_fd (call, 0, &error);
  VsJob *job = fd >= 0 ? vs_operation_save (call->engine, call->domain, fd, &save, &request, &error) : NULL;

  bus_call_return_job (call, job, error);
}

static void
run_managed_save (BusCall *call)
{
  VsSaveOptions save = get_save_options (call);
  VsRequest request = bus_call_get_request (call, ((const SaveOptions *) call->options)->no_queue);
  GError *error = NULL;
  VsJob *job = vs_operation_managed_save (call->engine, call->domain, &save, &request, &error);

  bus_call_return_job (call, job, error);
}

static void
on_managed_save_removed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;

  if (vs_engine_remove_managed_save_finish (VS_ENGINE (source), result, &error))
    bus_call_return (call, NULL);
  else
    bus_call_fail (call, error);
}

static void
run_remove_managed_save (BusCall *call)
{
  const ControlOptions *options = call->options;
  GError *error = NULL;

  if (bus_call_check_queue (call, options->no_queue, &error))
    vs_engine_remove_managed_save_async (call->engine, call->domain, on_managed_save_removed, call);
  else
    bus_call_fail (call, error);
}

static gboolean
prepare_get_snapshot (BusCall *call, GError **error)
{
  call->about.snapshot = g_strdup (bus_call_get_string (call, 0));
  return TRUE;
}

static void
run_get_snapshot (BusCall *call)
{
  const char *name = bus_call_get_string (call, 0);
  g_autofree char *path = NULL;

  if (vs_domain_get_snapshot (call->domain, name) == NULL)
    {
      bus_call_fail (call,
                     g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "Domain '%s' has no snapshot named '%s'",
                                  vs_domain_get_name (call->domain), name));
      return;
    }
  path = vmsnap_snapshot_object_path (vs_domain_get_uuid (call->domain), name);
  bus_call_return (call, g_variant_new ("(o)", path));
}

static void
run_list_snapshots (BusCall *call)
{
  GError *error = NULL;
  g_autoptr (GPtrArray) snapshots = bus_snapshot_list (call->domain, call->options, &error);
  GVariantBuilder builder;

  if (snapshots == NULL)
    {
      bus_call_fail (call, error);
      return;
    }
  g_variant_builder_init (&builder, G_VARIANT_TYPE_OBJECT_PATH_ARRAY);
  for (guint i = 0; i < snapshots->len; i++)
    {
      g_autofree char *path = vmsnap_snapshot_object_path (vs_domain_get_uuid (call->domain),
                                                           vs_snapshot_get_name (g_ptr_array_index (snapshots, i)));

      g_variant_builder_add (&builder, "o", path);
    }
  bus_call_return (call, g_variant_new ("(ao)", &builder));
}

static void
on_screenshot (GObject *source, GAsyncResult *result, gpointer user_data)
{
  BusCall *call = user_data;
  GError *error = NULL;
  int fd = vs_operation_screenshot_finish (VS_DOMAIN (source), result, &error);

  if (fd >= 0)
    bus_call_return_fd (call, fd);
  else
    bus_call_fail (call, error);
}

static void
run_screenshot (BusCall *call)
{
  vs_operation_screenshot_async (call->domain, on_screenshot, call);
}

const BusMethod bus_domain_methods[] = {
  { "Start", &start_table, NULL, run_start },
  { "Shutdown", &control_table, NULL, run_shutdown },
  { "PowerOff", &control_table, NULL, run_power_off },
  { "Reset", &control_table, NULL, run_reset },
  { "Pause", &control_table, NULL, run_pause },
  { "Resume", &control_table, NULL, run_resume },
  { "Undefine", &undefine_table, NULL, run_undefine },
  { "GetXml", &get_xml_table, NULL, run_get_xml },
  { "Save", &save_table, prepare_save, run_save, parse_save },
  { "ManagedSave", &managed_save_table, prepare_save, run_managed_save },
  { "RemoveManagedSave", &control_table, NULL, run_remove_managed_save },
  { "CreateSnapshot", &bus_snapshot_create_table, bus_snapshot_prepare_create, bus_snapshot_run_create },
  { "CreateSnapshotFromXml", &bus_snapshot_create_from_xml_table, bus_snapshot_prepare_create_from_xml,
    bus_snapshot_run_create_from_xml, bus_snapshot_parse_create_from_xml },
  { "GetSnapshot", &bus_options_none, prepare_get_snapshot, run_get_snapshot },
  { "ListSnapshots", &bus_list_table, NULL, run_list_snapshots },
  { "Screenshot", &bus_options_none, NULL, run_screenshot },
  { NULL },
};

static void
bus_domain_call (GDBusConnection *connection,
                 const char *sender,
                 const char *path,
                 const char *interface,
                 const char *method,
                 GVariant *parameters,
                 GDBusMethodInvocation *invocation,
                 gpointer user_data)
{
  BusDomain *self = BUS_DOMAIN (user_data);
  BusAddress address = { .domain_uuid = vs_domain_get_uuid (self->domain) };

  bus_call_dispatch (self->service, invocation, bus_domain_methods, &address);
}

BUS_DEFINE_VTABLE (bus_domain)

static void
bus_domain_dispose (GObject *object)
{
  g_clear_object (&BUS_DOMAIN (object)->domain);
  G_OBJECT_CLASS (bus_domain_parent_class)->dispose (object);
}

static void
bus_domain_class_init (BusDomainClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = bus_domain_dispose;
  G_DBUS_INTERFACE_SKELETON_CLASS (klass)->get_vtable = bus_domain_get_vtable;
}

static void
bus_domain_init (BusDomain *self)
{
}

/* The files of a disk as they were found; only the active one when nobody could look. */
static GStrv
get_chain (VsDomain *domain, const VsDiskDef *disk)
{
  GPtrArray *chains = vs_domain_get_chains (domain);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (guint i = 0; chains != NULL && i < chains->len; i++)
    {
      const VsDiskChain *chain = g_ptr_array_index (chains, i);

      if (g_str_equal (chain->target, disk->target))
        return vs_disk_chain_get_paths (chain);
    }
  if (disk->path != NULL)
    g_strv_builder_add (builder, disk->path);
  return g_strv_builder_end (builder);
}

static void
add_disk (GVariantBuilder *builder, VsDomain *domain, const VsDiskDef *disk)
{
  g_auto (GStrv) chain = get_chain (domain, disk);

  g_variant_builder_open (builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (builder, "{sv}", "target", g_variant_new_string (disk->target));
  g_variant_builder_add (builder, "{sv}", "path", g_variant_new_string (disk->path != NULL ? disk->path : ""));
  g_variant_builder_add (builder, "{sv}", "format", g_variant_new_string (disk->format));
  g_variant_builder_add (builder, "{sv}", "device", g_variant_new_string (disk->is_cdrom ? "cdrom" : "disk"));
  g_variant_builder_add (builder, "{sv}", "read-only", g_variant_new_boolean (disk->readonly));
  g_variant_builder_add (builder, "{sv}", "chain", g_variant_new_strv ((const char *const *) chain, -1));
  g_variant_builder_close (builder);
}

static void
show_def (BusDomain *self)
{
  VmSnapDBusDomain *bus = VM_SNAP_DBUS_DOMAIN (self);
  VsDomainDef *def = vs_domain_get_def (self->domain);
  GVariantBuilder disks;

  g_variant_builder_init (&disks, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < def->disks->len; i++)
    add_disk (&disks, self->domain, g_ptr_array_index (def->disks, i));
  vm_snap_dbus_domain_set_disks (bus, g_variant_builder_end (&disks));
  vm_snap_dbus_domain_set_name (bus, def->name);
  vm_snap_dbus_domain_set_memory (bus, def->memory);
  vm_snap_dbus_domain_set_vcpus (bus, def->vcpus);
}

static void
show_paths (BusDomain *self)
{
  VmSnapDBusDomain *bus = VM_SNAP_DBUS_DOMAIN (self);
  VsSnapshot *current = vs_domain_get_current_snapshot (self->domain);
  VsJob *job = vs_domain_get_job (self->domain);
  g_autofree char *current_path =
    current != NULL ? vmsnap_snapshot_object_path (vs_domain_get_uuid (self->domain), vs_snapshot_get_name (current))
                    : g_strdup ("/");
  g_autofree char *job_path = job != NULL ? vmsnap_job_object_path (vs_job_get_number (job)) : g_strdup ("/");

  vm_snap_dbus_domain_set_current_snapshot (bus, current_path);
  vm_snap_dbus_domain_set_job (bus, job_path);
}

static void
show_state (BusDomain *self)
{
  VmSnapDBusDomain *bus = VM_SNAP_DBUS_DOMAIN (self);
  VsDomain *domain = self->domain;

  vm_snap_dbus_domain_set_state (bus, vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vs_domain_get_state (domain)));
  vm_snap_dbus_domain_set_state_reason (
    bus, vmsnap_enum_to_nick (VMSNAP_TYPE_STATE_REASON, vs_domain_get_state_reason (domain)));
  vm_snap_dbus_domain_set_persistent (bus, vs_domain_get_persistent (domain));
  vm_snap_dbus_domain_set_has_managed_save (bus, vs_domain_get_has_managed_save (domain));
  vm_snap_dbus_domain_set_guest_agent (bus, vs_domain_get_guest_agent (domain));
}

static void
on_notify (VsDomain *domain, GParamSpec *pspec, BusDomain *self)
{
  if (g_str_equal (pspec->name, "def") || g_str_equal (pspec->name, "disks"))
    show_def (self);
  show_state (self);
  show_paths (self);
}

/* The engine names a snapshot by its name; on the bus it is a path, too. */
static GVariant *
translate_details (VsDomain *domain, GVariant *details)
{
  g_autoptr (GVariantDict) dict = g_variant_dict_new (details);
  g_autofree char *name = NULL;
  g_autofree char *path = NULL;

  if (g_variant_dict_lookup (dict, "snapshot", "s", &name))
    {
      path = vmsnap_snapshot_object_path (vs_domain_get_uuid (domain), name);
      g_variant_dict_insert (dict, "name", "s", name);
      g_variant_dict_insert (dict, "snapshot", "o", path);
    }
  return g_variant_dict_end (dict);
}

/* Who hears of the event finds the properties as they are now. */
static void
on_event (VsDomain *domain, const char *event, GVariant *details, BusDomain *self)
{
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (self));
  vm_snap_dbus_domain_emit_event (VM_SNAP_DBUS_DOMAIN (self), event, translate_details (domain, details));
}

/**
 * bus_domain_new:
 * @service: the service; it outlives what is on the bus
 * @domain: a domain
 *
 * Returns: (transfer full): the interface, with all its properties set, and following @domain
 */
BusDomain *
bus_domain_new (BusService *service, VsDomain *domain)
{
  BusDomain *self = g_object_new (BUS_TYPE_DOMAIN, NULL);

  self->service = service;
  self->domain = g_object_ref (domain);
  vm_snap_dbus_domain_set_uuid (VM_SNAP_DBUS_DOMAIN (self), vs_domain_get_uuid (domain));
  show_def (self);
  show_state (self);
  show_paths (self);
  g_signal_connect_object (domain, "notify", G_CALLBACK (on_notify), self, 0);
  g_signal_connect_object (domain, "event", G_CALLBACK (on_event), self, 0);
  return self;
}
