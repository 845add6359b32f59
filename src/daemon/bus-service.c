/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is on the bus: the object manager, kept in step with the engine's domains, snapshots and jobs. Main thread.
 */
#include "bus-service.h"

#include "bus-domain.h"
#include "bus-job.h"
#include "bus-manager.h"
#include "bus-snapshot.h"
#include "vmsnap-names.h"

struct _BusService
{
  GObject parent;

  VsEngine *engine;
  BusAuth *auth;
  GDBusObjectManagerServer *objects;
  GHashTable *changed; /* paths of snapshots that have something to tell since the last flush */
};

G_DEFINE_FINAL_TYPE (BusService, bus_service, G_TYPE_OBJECT)

static void
export_object (BusService *self, const char *path, GDBusInterfaceSkeleton *interface)
{
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (path);

  g_dbus_object_skeleton_add_interface (object, interface);
  g_dbus_object_manager_server_export (self->objects, object);
}

static void
on_snapshot_added (VsDomain *domain, VsSnapshot *snapshot, BusService *self)
{
  g_autofree char *path = vmsnap_snapshot_object_path (vs_domain_get_uuid (domain), vs_snapshot_get_name (snapshot));
  g_autoptr (BusSnapshot) interface = bus_snapshot_new (self, snapshot);

  export_object (self, path, G_DBUS_INTERFACE_SKELETON (interface));
}

static void
on_snapshot_removed (VsDomain *domain, VsSnapshot *snapshot, BusService *self)
{
  g_autofree char *path = vmsnap_snapshot_object_path (vs_domain_get_uuid (domain), vs_snapshot_get_name (snapshot));

  g_dbus_object_manager_server_unexport (self->objects, path);
}

static void
on_domain_added (VsEngine *engine, VsDomain *domain, BusService *self)
{
  g_autofree char *path = vmsnap_domain_object_path (vs_domain_get_uuid (domain));
  g_autoptr (BusDomain) interface = bus_domain_new (self, domain);
  g_autoptr (GList) snapshots = vs_domain_list_snapshots (domain);

  export_object (self, path, G_DBUS_INTERFACE_SKELETON (interface));
  for (GList *l = snapshots; l != NULL; l = l->next)
    on_snapshot_added (domain, l->data, self);
  g_signal_connect_object (domain, "snapshot-added", G_CALLBACK (on_snapshot_added), self, 0);
  g_signal_connect_object (domain, "snapshot-removed", G_CALLBACK (on_snapshot_removed), self, 0);
}

static void
on_domain_removed (VsEngine *engine, VsDomain *domain, BusService *self)
{
  g_autofree char *path = vmsnap_domain_object_path (vs_domain_get_uuid (domain));
  g_autoptr (GList) snapshots = vs_domain_list_snapshots (domain);

  g_signal_handlers_disconnect_by_data (domain, self);
  for (GList *l = snapshots; l != NULL; l = l->next)
    on_snapshot_removed (domain, l->data, self);
  g_dbus_object_manager_server_unexport (self->objects, path);
}

static void
on_job_added (VsEngine *engine, VsJob *job, BusService *self)
{
  g_autofree char *path = vmsnap_job_object_path (vs_job_get_number (job));
  g_autoptr (BusJob) interface = bus_job_new (self, job);

  export_object (self, path, G_DBUS_INTERFACE_SKELETON (interface));
}

static void
on_job_removed (VsEngine *engine, VsJob *job, BusService *self)
{
  g_autofree char *path = vmsnap_job_object_path (vs_job_get_number (job));

  g_dbus_object_manager_server_unexport (self->objects, path);
}

static void
bus_service_dispose (GObject *object)
{
  BusService *self = BUS_SERVICE (object);

  g_clear_object (&self->objects);
  g_clear_object (&self->auth);
  g_clear_object (&self->engine);
  G_OBJECT_CLASS (bus_service_parent_class)->dispose (object);
}

static void
bus_service_finalize (GObject *object)
{
  g_hash_table_unref (BUS_SERVICE (object)->changed);
  G_OBJECT_CLASS (bus_service_parent_class)->finalize (object);
}

static void
bus_service_class_init (BusServiceClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = bus_service_dispose;
  G_OBJECT_CLASS (klass)->finalize = bus_service_finalize;
}

static void
bus_service_init (BusService *self)
{
  self->changed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

static void
export_all (BusService *self)
{
  g_autoptr (BusManager) manager = bus_manager_new (self);
  g_autoptr (GList) domains = vs_engine_list_domains (self->engine);
  g_autoptr (GList) jobs = vs_engine_list_jobs (self->engine);

  export_object (self, VMSNAP_MANAGER_PATH, G_DBUS_INTERFACE_SKELETON (manager));
  for (GList *l = domains; l != NULL; l = l->next)
    on_domain_added (self->engine, l->data, self);
  for (GList *l = jobs; l != NULL; l = l->next)
    on_job_added (self->engine, l->data, self);
}

/**
 * bus_service_new:
 * @engine: an engine that has loaded
 * @is_session: whether it is for one user's session
 *
 * Returns: (transfer full): all there is, ready for bus_service_export()
 */
BusService *
bus_service_new (VsEngine *engine, gboolean is_session)
{
  BusService *self = g_object_new (BUS_TYPE_SERVICE, NULL);

  self->engine = g_object_ref (engine);
  self->auth = bus_auth_new (is_session);
  self->objects = g_dbus_object_manager_server_new (VMSNAP_OBJECT_MANAGER_PATH);
  g_signal_connect_object (engine, "domain-added", G_CALLBACK (on_domain_added), self, 0);
  g_signal_connect_object (engine, "domain-removed", G_CALLBACK (on_domain_removed), self, 0);
  g_signal_connect_object (engine, "job-added", G_CALLBACK (on_job_added), self, 0);
  g_signal_connect_object (engine, "job-removed", G_CALLBACK (on_job_removed), self, 0);
  export_all (self);
  return self;
}

/**
 * bus_service_export:
 * @self: the service
 * @connection: the bus
 *
 * Puts all objects on the bus.
 */
void
bus_service_export (BusService *self, GDBusConnection *connection)
{
  g_dbus_object_manager_server_set_connection (self->objects, connection);
}

/**
 * bus_service_get_engine:
 * @self: the service
 *
 * Returns: (transfer none): the engine
 */
VsEngine *
bus_service_get_engine (BusService *self)
{
  return self->engine;
}

/**
 * bus_service_get_auth:
 * @self: the service
 *
 * Returns: (transfer none): who decides what callers may do
 */
BusAuth *
bus_service_get_auth (BusService *self)
{
  return self->auth;
}

static void
flush_object (BusService *self, const char *path, const char *interface_name)
{
  g_autoptr (GDBusInterface) interface =
    g_dbus_object_manager_get_interface (G_DBUS_OBJECT_MANAGER (self->objects), path, interface_name);

  if (interface != NULL)
    g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (interface));
}

/**
 * bus_service_note_snapshot:
 * @self: the service
 * @snapshot: a snapshot on the bus, something of which has changed
 *
 * Of the many that a domain may have, only those that changed are looked at when they are flushed.
 */
void
bus_service_note_snapshot (BusService *self, VsSnapshot *snapshot)
{
  g_hash_table_add (self->changed, vmsnap_snapshot_object_path (vs_snapshot_get_domain_uuid (snapshot),
                                                                vs_snapshot_get_name (snapshot)));
}

/**
 * bus_service_flush:
 * @self: the service
 * @domain_uuid: (nullable): a domain
 *
 * Sends what changed of a domain and of snapshots now, so that a signal that follows finds everybody up to date.
 */
void
bus_service_flush (BusService *self, const char *domain_uuid)
{
  g_autofree char *domain_path = domain_uuid != NULL ? vmsnap_domain_object_path (domain_uuid) : NULL;
  GHashTableIter iter;
  gpointer path;

  if (domain_path != NULL)
    flush_object (self, domain_path, VMSNAP_BUS_NAME ".Domain");
  g_hash_table_iter_init (&iter, self->changed);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    flush_object (self, path, VMSNAP_BUS_NAME ".Snapshot");
  g_hash_table_remove_all (self->changed);
}
