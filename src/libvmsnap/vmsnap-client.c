/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The client: a connection, the object manager on it, and what comes and goes there. Lives in the thread whose main
 * context it was made in; its signals are emitted there. How to find things is in
 * vmsnap-client-objects.c, and what it asks of the service in vmsnap-client-calls.c.
 */
#include "vmsnap-client.h"

#include "vmsnap-domain.h"
#include "vmsnap-private.h"

/**
 * VmSnapClient:
 *
 * The way to the vmsnap service on a message bus, and all of its domains, snapshots and jobs as objects.
 *
 * A client knows every object of the service with all its properties, and keeps them up to date from the main context
 * that was the thread's default when it was made. So what doesn't end in `_sync`, isn't asynchronous and takes no
 * #GCancellable never waits for the bus. A program without a main loop calls vmsnap_client_catch_up_sync() before it
 * looks again.
 *
 * If the service isn't running, making a client starts it where the bus can do that. When it goes away, its objects are
 * removed; when it comes back, they are added again as new objects. An old one that is still held shows the last it
 * knew, and its methods reach the new service.
 *
 * Errors of the service are of the domain %VMSNAP_ERROR. Those of the bus itself are of %G_DBUS_ERROR or %G_IO_ERROR; a
 * service that can't be reached is %G_DBUS_ERROR_SERVICE_UNKNOWN or, if it went away during the call,
 * %G_DBUS_ERROR_NO_REPLY.
 */
struct _VmSnapClient
{
  GObject parent_instance;
  GBusType bus_type;
  gboolean interactive;
  gboolean running; /* as last notified */
  GDBusConnection *connection;
  GDBusObjectManager *manager; /* also a GDBusObjectManagerClient */
  GMainContext *context;
};

enum
{
  PROP_0,
  PROP_BUS_TYPE,
  PROP_CONNECTION,
  PROP_INTERACTIVE,
  PROP_NAME_OWNER,
  PROP_SERVICE_RUNNING,
  N_PROPERTIES
};

enum
{
  DOMAIN_ADDED,
  DOMAIN_REMOVED,
  SNAPSHOT_ADDED,
  SNAPSHOT_REMOVED,
  JOB_ADDED,
  JOB_REMOVED,
  N_SIGNALS
};

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

static void initable_iface_init (GInitableIface *iface);
static void async_initable_iface_init (GAsyncInitableIface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (VmSnapClient,
                               vmsnap_client,
                               G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_INITABLE, initable_iface_init)
                                 G_IMPLEMENT_INTERFACE (G_TYPE_ASYNC_INITABLE, async_initable_iface_init))

/* Objects of the service have one interface each. */
static GDBusProxy *
proxy_of (GDBusObject *object)
{
  GList *interfaces = object != NULL ? g_dbus_object_get_interfaces (object) : NULL;
  GDBusProxy *proxy = NULL;

  for (GList *l = interfaces; l != NULL && proxy == NULL; l = l->next)
    if (VMSNAP_IS_DOMAIN (l->data) || VMSNAP_IS_SNAPSHOT (l->data) || VMSNAP_IS_JOB (l->data)
        || VM_SNAP_DBUS_IS_MANAGER (l->data))
      proxy = g_object_ref (l->data);
  g_list_free_full (interfaces, g_object_unref);
  return proxy;
}

static void
emit (VmSnapClient *self, GDBusProxy *proxy, gboolean added)
{
  if (VMSNAP_IS_DOMAIN (proxy))
    g_signal_emit (self, signals[added ? DOMAIN_ADDED : DOMAIN_REMOVED], 0, proxy);
  else if (VMSNAP_IS_SNAPSHOT (proxy))
    g_signal_emit (self, signals[added ? SNAPSHOT_ADDED : SNAPSHOT_REMOVED], 0, proxy);
  else if (VMSNAP_IS_JOB (proxy))
    g_signal_emit (self, signals[added ? JOB_ADDED : JOB_REMOVED], 0, proxy);
}

static void
on_object_added (GDBusObjectManager *manager, GDBusObject *object, gpointer user_data)
{
  g_autoptr (GDBusProxy) proxy = proxy_of (object);

  if (proxy == NULL)
    return;
  _vmsnap_proxy_set_client (proxy, user_data);
  emit (user_data, proxy, TRUE);
}

static void
on_object_removed (GDBusObjectManager *manager, GDBusObject *object, gpointer user_data)
{
  g_autoptr (GDBusProxy) proxy = proxy_of (object);

  if (proxy != NULL)
    emit (user_data, proxy, FALSE);
}

static void
on_name_owner (GObject *manager, GParamSpec *pspec, gpointer user_data)
{
  VmSnapClient *self = VMSNAP_CLIENT (user_data);
  gboolean running = vmsnap_client_get_service_running (self);

  g_object_notify_by_pspec (user_data, properties[PROP_NAME_OWNER]);
  if (running == self->running)
    return;
  self->running = running;
  g_object_notify_by_pspec (user_data, properties[PROP_SERVICE_RUNNING]);
}

static void
adopt_manager (VmSnapClient *self, GObject *manager)
{
  g_autolist (GDBusObject) objects = NULL;

  self->manager = G_DBUS_OBJECT_MANAGER (manager);
  self->running = vmsnap_client_get_service_running (self);
  objects = g_dbus_object_manager_get_objects (self->manager);
  for (GList *l = objects; l != NULL; l = l->next)
    {
      g_autoptr (GDBusProxy) proxy = proxy_of (l->data);

      if (proxy != NULL)
        _vmsnap_proxy_set_client (proxy, self);
    }
  g_signal_connect_object (manager, "object-added", G_CALLBACK (on_object_added), self, 0);
  g_signal_connect_object (manager, "object-removed", G_CALLBACK (on_object_removed), self, 0);
  g_signal_connect_object (manager, "notify::name-owner", G_CALLBACK (on_name_owner), self, 0);
}

static GType
get_proxy_type (GDBusObjectManagerClient *manager, const char *path, const char *interface, gpointer user_data)
{
  return _vmsnap_type_for_interface (interface);
}

#define MANAGER_PROPERTIES(self)                                                                                       \
  "connection", (self)->connection, "name", VMSNAP_BUS_NAME, "object-path", VMSNAP_OBJECT_MANAGER_PATH, "flags",       \
    G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE, "get-proxy-type-func", get_proxy_type, NULL

static gboolean
initable_init (GInitable *initable, GCancellable *cancellable, GError **error)
{
  VmSnapClient *self = VMSNAP_CLIENT (initable);
  gpointer manager;

  if (self->connection == NULL)
    self->connection = g_bus_get_sync (self->bus_type, cancellable, error);
  if (self->connection == NULL)
    return FALSE;
  manager = g_initable_new (VM_SNAP_DBUS_TYPE_OBJECT_MANAGER_CLIENT, cancellable, error, MANAGER_PROPERTIES (self));
  if (manager == NULL)
    return FALSE;
  adopt_manager (self, manager);
  return TRUE;
}

static void
on_manager (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  GObject *manager = g_async_initable_new_finish (G_ASYNC_INITABLE (source), result, &error);

  if (manager == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  adopt_manager (g_task_get_source_object (task), manager);
  g_task_return_boolean (task, TRUE);
}

static void
make_manager (GTask *task)
{
  VmSnapClient *self = g_task_get_source_object (task);

  g_async_initable_new_async (VM_SNAP_DBUS_TYPE_OBJECT_MANAGER_CLIENT, g_task_get_priority (task),
                              g_task_get_cancellable (task), on_manager, task, MANAGER_PROPERTIES (self));
}

static void
on_connection (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  VmSnapClient *self = g_task_get_source_object (task);
  GError *error = NULL;

  self->connection = g_bus_get_finish (result, &error);
  if (self->connection == NULL)
    g_task_return_error (task, error);
  else
    make_manager (g_steal_pointer (&task));
}

static void
init_async (GAsyncInitable *initable,
            int priority,
            GCancellable *cancellable,
            GAsyncReadyCallback callback,
            gpointer user_data)
{
  VmSnapClient *self = VMSNAP_CLIENT (initable);
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, init_async);
  g_task_set_priority (task, priority);
  if (self->connection == NULL)
    g_bus_get (self->bus_type, cancellable, on_connection, task);
  else
    make_manager (task);
}

static gboolean
init_finish (GAsyncInitable *initable, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, initable), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
initable_iface_init (GInitableIface *iface)
{
  iface->init = initable_init;
}

static void
async_initable_iface_init (GAsyncInitableIface *iface)
{
  iface->init_async = init_async;
  iface->init_finish = init_finish;
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VmSnapClient *self = VMSNAP_CLIENT (object);

  switch (id)
    {
    case PROP_BUS_TYPE:
      g_value_set_enum (value, self->bus_type);
      break;
    case PROP_CONNECTION:
      g_value_set_object (value, self->connection);
      break;
    case PROP_INTERACTIVE:
      g_value_set_boolean (value, self->interactive);
      break;
    case PROP_NAME_OWNER:
      g_value_take_string (value, vmsnap_client_dup_name_owner (self));
      break;
    case PROP_SERVICE_RUNNING:
      g_value_set_boolean (value, vmsnap_client_get_service_running (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VmSnapClient *self = VMSNAP_CLIENT (object);

  switch (id)
    {
    case PROP_BUS_TYPE:
      self->bus_type = g_value_get_enum (value);
      break;
    case PROP_CONNECTION:
      self->connection = g_value_dup_object (value);
      break;
    case PROP_INTERACTIVE:
      vmsnap_client_set_interactive (self, g_value_get_boolean (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
dispose (GObject *object)
{
  VmSnapClient *self = VMSNAP_CLIENT (object);

  g_clear_object (&self->manager);
  g_clear_object (&self->connection);
  g_clear_pointer (&self->context, g_main_context_unref);
  G_OBJECT_CLASS (vmsnap_client_parent_class)->dispose (object);
}

static guint
signal_new (GObjectClass *klass, const char *name, GType type)
{
  return g_signal_new (name, G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, type);
}

static void
install_signals (GObjectClass *klass)
{
  /**
   * VmSnapClient::domain-added:
   * @client: the client
   * @domain: the domain
   *
   * A domain appeared.
   */
  signals[DOMAIN_ADDED] = signal_new (klass, "domain-added", VMSNAP_TYPE_DOMAIN);
  /**
   * VmSnapClient::domain-removed:
   * @client: the client
   * @domain: the domain, as it was last known
   *
   * A domain went away, or the service did.
   */
  signals[DOMAIN_REMOVED] = signal_new (klass, "domain-removed", VMSNAP_TYPE_DOMAIN);
  /**
   * VmSnapClient::snapshot-added:
   * @client: the client
   * @snapshot: the snapshot
   *
   * A snapshot appeared.
   */
  signals[SNAPSHOT_ADDED] = signal_new (klass, "snapshot-added", VMSNAP_TYPE_SNAPSHOT);
  /**
   * VmSnapClient::snapshot-removed:
   * @client: the client
   * @snapshot: the snapshot, as it was last known
   *
   * A snapshot went away, or the service did.
   */
  signals[SNAPSHOT_REMOVED] = signal_new (klass, "snapshot-removed", VMSNAP_TYPE_SNAPSHOT);
  /**
   * VmSnapClient::job-added:
   * @client: the client
   * @job: the job
   *
   * A job appeared.
   */
  signals[JOB_ADDED] = signal_new (klass, "job-added", VMSNAP_TYPE_JOB);
  /**
   * VmSnapClient::job-removed:
   * @client: the client
   * @job: the job, as it was last known
   *
   * A job went away, some time after its end, or the service did.
   */
  signals[JOB_REMOVED] = signal_new (klass, "job-removed", VMSNAP_TYPE_JOB);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags made = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;
  const GParamFlags told = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  /**
   * VmSnapClient:bus-type:
   *
   * The bus that the client finds the service on, unless it is made with a connection.
   */
  properties[PROP_BUS_TYPE]
    = g_param_spec_enum ("bus-type", "Bus type", "Which bus", G_TYPE_BUS_TYPE, G_BUS_TYPE_SYSTEM, made);
  /**
   * VmSnapClient:connection:
   *
   * The connection that the client uses.
   */
  properties[PROP_CONNECTION]
    = g_param_spec_object ("connection", "Connection", "The connection", G_TYPE_DBUS_CONNECTION, made);
  /**
   * VmSnapClient:interactive:
   *
   * Whether the user may be asked for authorization by calls of this client and its objects. Programs that nobody sits
   * before set it to %FALSE: such calls then fail with %VMSNAP_ERROR_NOT_AUTHORIZED_CAN_OBTAIN.
   */
  properties[PROP_INTERACTIVE]
    = g_param_spec_boolean ("interactive", "Interactive", "Whether the user may be asked for authorization", TRUE,
                            G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  /**
   * VmSnapClient:name-owner:
   *
   * The unique bus name of the service; %NULL while it isn't running.
   */
  properties[PROP_NAME_OWNER]
    = g_param_spec_string ("name-owner", "Name owner", "The unique bus name of the service", NULL, told);
  /**
   * VmSnapClient:service-running:
   *
   * Whether the service is running.
   */
  properties[PROP_SERVICE_RUNNING]
    = g_param_spec_boolean ("service-running", "Service running", "Whether the service is running", FALSE, told);
  g_object_class_install_properties (klass, N_PROPERTIES, properties);
}

static void
vmsnap_client_class_init (VmSnapClientClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = get_property;
  object_class->set_property = set_property;
  object_class->dispose = dispose;
  install_properties (object_class);
  install_signals (object_class);
  /* From now on, GDBus turns the names of our errors into the codes. */
  vmsnap_error_quark ();
}

static void
vmsnap_client_init (VmSnapClient *self)
{
  self->interactive = TRUE;
  self->context = g_main_context_ref_thread_default ();
}

/**
 * vmsnap_client_new:
 * @bus_type: the bus: %G_BUS_TYPE_SYSTEM, or %G_BUS_TYPE_SESSION for the service of a session
 * @cancellable: (nullable): a cancellable
 * @callback: called when the client is ready
 * @user_data: for @callback
 *
 * Makes a client, and gets to know all objects of the service.
 */
void
vmsnap_client_new (GBusType bus_type, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_async_initable_new_async (VMSNAP_TYPE_CLIENT, G_PRIORITY_DEFAULT, cancellable, callback, user_data, "bus-type",
                              bus_type, NULL);
}

/**
 * vmsnap_client_new_finish:
 * @result: what the callback got
 * @error: why there is no client
 *
 * Finishes vmsnap_client_new().
 *
 * Returns: (transfer full): the client. That the service isn't running is no error: see
 *   #VmSnapClient:service-running
 */
VmSnapClient *
vmsnap_client_new_finish (GAsyncResult *result, GError **error)
{
  g_autoptr (GObject) source = g_async_result_get_source_object (result);
  GObject *client = g_async_initable_new_finish (G_ASYNC_INITABLE (source), result, error);

  return client != NULL ? VMSNAP_CLIENT (client) : NULL;
}

/**
 * vmsnap_client_new_sync:
 * @bus_type: the bus: %G_BUS_TYPE_SYSTEM, or %G_BUS_TYPE_SESSION for the service of a session
 * @cancellable: (nullable): a cancellable
 * @error: why there is no client
 *
 * Makes a client, and gets to know all objects of the service.
 *
 * Returns: (transfer full): the client. That the service isn't running is no error: see
 *   #VmSnapClient:service-running
 */
VmSnapClient *
vmsnap_client_new_sync (GBusType bus_type, GCancellable *cancellable, GError **error)
{
  return g_initable_new (VMSNAP_TYPE_CLIENT, cancellable, error, "bus-type", bus_type, NULL);
}

/**
 * vmsnap_client_new_for_connection:
 * @connection: a connection to a bus
 * @cancellable: (nullable): a cancellable
 * @callback: called when the client is ready
 * @user_data: for @callback
 *
 * Makes a client on a connection that the program has already, for instance to a bus of its own.
 */
void
vmsnap_client_new_for_connection (GDBusConnection *connection,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data)
{
  g_async_initable_new_async (VMSNAP_TYPE_CLIENT, G_PRIORITY_DEFAULT, cancellable, callback, user_data, "connection",
                              connection, NULL);
}

/**
 * vmsnap_client_new_for_connection_finish:
 * @result: what the callback got
 * @error: why there is no client
 *
 * Finishes vmsnap_client_new_for_connection().
 *
 * Returns: (transfer full): the client
 */
VmSnapClient *
vmsnap_client_new_for_connection_finish (GAsyncResult *result, GError **error)
{
  return vmsnap_client_new_finish (result, error);
}

/**
 * vmsnap_client_new_for_connection_sync:
 * @connection: a connection to a bus
 * @cancellable: (nullable): a cancellable
 * @error: why there is no client
 *
 * Makes a client on a connection that the program has already, for instance to a bus of its own.
 *
 * Returns: (transfer full): the client
 */
VmSnapClient *
vmsnap_client_new_for_connection_sync (GDBusConnection *connection, GCancellable *cancellable, GError **error)
{
  return g_initable_new (VMSNAP_TYPE_CLIENT, cancellable, error, "connection", connection, NULL);
}

/* The context that the client's objects live in. */
GMainContext *
_vmsnap_client_get_context (VmSnapClient *client)
{
  return client->context;
}

/**
 * vmsnap_client_get_connection:
 * @client: a client
 *
 * For calls that this library has no function for.
 *
 * Returns: (transfer none): the connection that the client uses
 */
GDBusConnection *
vmsnap_client_get_connection (VmSnapClient *client)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  return client->connection;
}

/**
 * vmsnap_client_get_object_manager:
 * @client: a client
 *
 * For what the lists and signals of the client don't tell.
 *
 * Returns: (transfer none): the object manager below the client; its objects are of the type #VmSnapDBusObjectProxy
 */
GDBusObjectManager *
vmsnap_client_get_object_manager (VmSnapClient *client)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  return client->manager;
}

/**
 * vmsnap_client_dup_name_owner:
 * @client: a client
 *
 * Tells which process on the bus the service is.
 *
 * Returns: (transfer full) (nullable): the unique bus name of the service; %NULL while it isn't running
 */
char *
vmsnap_client_dup_name_owner (VmSnapClient *client)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  if (client->manager == NULL)
    return NULL;
  return g_dbus_object_manager_client_get_name_owner (G_DBUS_OBJECT_MANAGER_CLIENT (client->manager));
}

/**
 * vmsnap_client_get_service_running:
 * @client: a client
 *
 * Tells whether the bus name of the service has an owner.
 *
 * Returns: whether the service is running
 */
gboolean
vmsnap_client_get_service_running (VmSnapClient *client)
{
  g_autofree char *owner = vmsnap_client_dup_name_owner (client);

  return owner != NULL;
}

/**
 * vmsnap_client_get_interactive:
 * @client: a client
 *
 * Tells what vmsnap_client_set_interactive() set.
 *
 * Returns: whether the user may be asked for authorization
 */
gboolean
vmsnap_client_get_interactive (VmSnapClient *client)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), FALSE);

  return client->interactive;
}

/**
 * vmsnap_client_set_interactive:
 * @client: a client
 * @interactive: whether the user may be asked for authorization
 *
 * Sets #VmSnapClient:interactive.
 */
void
vmsnap_client_set_interactive (VmSnapClient *client, gboolean interactive)
{
  g_return_if_fail (VMSNAP_IS_CLIENT (client));

  if (client->interactive == interactive)
    return;
  client->interactive = interactive;
  g_object_notify_by_pspec (G_OBJECT (client), properties[PROP_INTERACTIVE]);
}
