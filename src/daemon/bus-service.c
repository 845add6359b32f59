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
bus_service_class_init (BusServiceClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = bus_service_dispose;
}

static void
bus_service_init (BusService *self)
{
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
 * bus_service_flush:
 * @self: the service
 * @domain_uuid: (nullable): a domain
 *
 * Sends what changed of a domain and its snapshots now, so that a signal that follows finds everybody up to date.
 */
void
bus_service_flush (BusService *self, const char *domain_uuid)
{
  VsDomain *domain = domain_uuid != NULL ? vs_engine_find_domain (self->engine, domain_uuid) : NULL;
  g_autoptr (GList) snapshots = domain != NULL ? vs_domain_list_snapshots (domain) : NULL;
  g_autofree char *path = NULL;

  if (domain == NULL)
    return;
  path = vmsnap_domain_object_path (domain_uuid);
  flush_object (self, path, VMSNAP_BUS_NAME ".Domain");
  for (GList *l = snapshots; l != NULL; l = l->next)
    {
      g_autofree char *snapshot_path = vmsnap_snapshot_object_path (domain_uuid, vs_snapshot_get_name (l->data));

      flush_object (self, snapshot_path, VMSNAP_BUS_NAME ".Snapshot");
    }
}
