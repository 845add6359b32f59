/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A snapshot on the bus. Main thread.
 */
#include "bus-snapshot.h"

#include "bus-vtable.h"
#include "vmsnap-names.h"
#include "vs-operations.h"

struct _BusSnapshot
{
  VmSnapDBusSnapshotSkeleton parent;

  BusService *service;
  VsSnapshot *snapshot;
};

G_DEFINE_FINAL_TYPE (BusSnapshot, bus_snapshot, VM_SNAP_DBUS_TYPE_SNAPSHOT_SKELETON)

typedef struct {
  gboolean running;
  gboolean paused;
  gboolean force;
  gboolean no_queue;
} RevertOptions;

static const BusOption revert_options[] = {
  BUS_OPTION_FLAG (RevertOptions, running, "running", BUS_OPTION_EXCLUDES ("paused")),
  BUS_OPTION_FLAG (RevertOptions, paused, "paused"),
  BUS_OPTION_FLAG (RevertOptions, force, "force"),
  BUS_OPTION_QUEUE (RevertOptions),
  BUS_OPTION_END,
};
static const BusOptionTable revert_table = { sizeof (RevertOptions), revert_options };

typedef struct {
  gboolean children;
  gboolean children_only;
  gboolean metadata_only;
  gboolean no_queue;
} DeleteOptions;

static const BusOption delete_options[] = {
  BUS_OPTION_FLAG (DeleteOptions, children, "children", BUS_OPTION_EXCLUDES ("children-only")),
  BUS_OPTION_FLAG (DeleteOptions, children_only, "children-only"),
  BUS_OPTION_FLAG (DeleteOptions, metadata_only, "metadata-only"),
  BUS_OPTION_QUEUE (DeleteOptions),
  BUS_OPTION_END,
};
static const BusOptionTable delete_table = { sizeof (DeleteOptions), delete_options };

static void
run_revert (BusCall *call)
{
  const RevertOptions *options = call->options;
  VsSnapshotRevertOptions revert = {
    .running = options->running,
    .paused = options->paused,
    .force = options->force,
  };
  VsRequest request = bus_call_get_request (call, options->no_queue);
  GError *error = NULL;
  VsJob *job = vs_operation_snapshot_revert (call->engine, call->snapshot, &revert, &request, &error);

  bus_call_return_job (call, job, error);
}

static void
run_delete (BusCall *call)
{
  const DeleteOptions *options = call->options;
  VsSnapshotDeleteOptions delete = {
    .children = options->children,
    .children_only = options->children_only,
    .metadata_only = options->metadata_only,
  };
  VsRequest request = bus_call_get_request (call, options->no_queue);
  GError *error = NULL;
  VsJob *job = vs_operation_snapshot_delete (call->engine, call->snapshot, &delete, &request, &error);

  bus_call_return_job (call, job, error);
}

static void
run_get_xml (BusCall *call)
{
  g_autofree char *xml = vs_snapshot_def_format (vs_snapshot_get_def (call->snapshot));

  bus_call_return (call, g_variant_new ("(s)", xml));
}

const BusMethod bus_snapshot_methods[] = {
  { "Revert", &revert_table, NULL, run_revert },
  { "Delete", &delete_table, NULL, run_delete },
  { "GetXml", &bus_options_none, NULL, run_get_xml },
  { NULL },
};

static void
bus_snapshot_call (GDBusConnection *connection,
                   const char *sender,
                   const char *path,
                   const char *interface,
                   const char *method,
                   GVariant *parameters,
                   GDBusMethodInvocation *invocation,
                   gpointer user_data)
{
  BusSnapshot *self = BUS_SNAPSHOT (user_data);
  BusAddress address = {
    .domain_uuid = vs_snapshot_get_domain_uuid (self->snapshot),
    .snapshot_name = vs_snapshot_get_name (self->snapshot),
  };

  bus_call_dispatch (self->service, invocation, bus_snapshot_methods, &address);
}

BUS_DEFINE_VTABLE (bus_snapshot)

static void
bus_snapshot_dispose (GObject *object)
{
  g_clear_object (&BUS_SNAPSHOT (object)->snapshot);
  G_OBJECT_CLASS (bus_snapshot_parent_class)->dispose (object);
}

static void
bus_snapshot_class_init (BusSnapshotClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = bus_snapshot_dispose;
  G_DBUS_INTERFACE_SKELETON_CLASS (klass)->get_vtable = bus_snapshot_get_vtable;
}

static void
bus_snapshot_init (BusSnapshot *self)
{
}

/* An internal snapshot of a disk lies in the file that the disk had then. */
static void
add_disk (GVariantBuilder *builder, VsSnapshot *snapshot, const VsSnapshotDiskDef *disk)
{
  const VsSnapshotDef *def = vs_snapshot_get_def (snapshot);
  const char *problem = vs_snapshot_get_problem (snapshot, disk->target);
  const VsDiskDef *then = def->domain != NULL ? vs_domain_def_find_disk (def->domain, disk->target) : NULL;
  const char *path = disk->path;
  const char *format = disk->format;

  if (path == NULL && then != NULL)
    {
      path = then->path;
      format = then->format;
    }
  g_variant_builder_open (builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (builder, "{sv}", "target", g_variant_new_string (disk->target));
  g_variant_builder_add (builder, "{sv}", "snapshot",
                         g_variant_new_string (vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, disk->snapshot)));
  g_variant_builder_add (builder, "{sv}", "path", g_variant_new_string (path != NULL ? path : ""));
  g_variant_builder_add (builder, "{sv}", "format", g_variant_new_string (format != NULL ? format : ""));
  if (problem != NULL)
    g_variant_builder_add (builder, "{sv}", "problem", g_variant_new_string (problem));
  g_variant_builder_close (builder);
}

static GVariant *
list_disks (VsSnapshot *snapshot)
{
  const VsSnapshotDef *def = vs_snapshot_get_def (snapshot);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < def->disks->len; i++)
    add_disk (&builder, snapshot, g_ptr_array_index (def->disks, i));
  return g_variant_builder_end (&builder);
}

static void
show (BusSnapshot *self)
{
  VmSnapDBusSnapshot *bus = VM_SNAP_DBUS_SNAPSHOT (self);
  VsSnapshotDef *def = vs_snapshot_get_def (self->snapshot);
  const char *parent = vs_snapshot_get_parent_name (self->snapshot);
  g_autofree char *parent_path =
    parent != NULL ? vmsnap_snapshot_object_path (vs_snapshot_get_domain_uuid (self->snapshot), parent)
                   : g_strdup ("/");

  vm_snap_dbus_snapshot_set_description (bus, def->description != NULL ? def->description : "");
  vm_snap_dbus_snapshot_set_parent (bus, parent_path);
  vm_snap_dbus_snapshot_set_creation_time (bus, def->creation_time);
  vm_snap_dbus_snapshot_set_state (bus, vmsnap_enum_to_nick (VMSNAP_TYPE_SNAPSHOT_STATE, def->state));
  vm_snap_dbus_snapshot_set_location (
    bus, vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, vs_snapshot_def_get_location (def)));
  vm_snap_dbus_snapshot_set_memory (bus, vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, def->memory));
  vm_snap_dbus_snapshot_set_disks (bus, list_disks (self->snapshot));
  vm_snap_dbus_snapshot_set_is_current (bus, vs_snapshot_get_is_current (self->snapshot));
  vm_snap_dbus_snapshot_set_size (bus, vs_snapshot_def_get_fact_uint64 (def, VS_SNAPSHOT_FACT_SIZE));
  vm_snap_dbus_snapshot_set_downtime (bus, vs_snapshot_def_get_fact_uint64 (def, VS_SNAPSHOT_FACT_DOWNTIME));
}

static void
on_notify (VsSnapshot *snapshot, GParamSpec *pspec, BusSnapshot *self)
{
  show (self);
  bus_service_note_snapshot (self->service, snapshot);
}

/**
 * bus_snapshot_new:
 * @service: the service; it outlives what is on the bus
 * @snapshot: a snapshot
 *
 * Returns: (transfer full): the interface, with all its properties set, and following @snapshot
 */
BusSnapshot *
bus_snapshot_new (BusService *service, VsSnapshot *snapshot)
{
  BusSnapshot *self = g_object_new (BUS_TYPE_SNAPSHOT, NULL);
  VmSnapDBusSnapshot *bus = VM_SNAP_DBUS_SNAPSHOT (self);
  g_autofree char *domain = vmsnap_domain_object_path (vs_snapshot_get_domain_uuid (snapshot));

  self->service = service;
  self->snapshot = g_object_ref (snapshot);
  vm_snap_dbus_snapshot_set_name (bus, vs_snapshot_get_name (snapshot));
  vm_snap_dbus_snapshot_set_domain (bus, domain);
  show (self);
  g_signal_connect_object (snapshot, "notify", G_CALLBACK (on_notify), self, 0);
  return self;
}
