/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where proxies come from, and whose they are: the type for an interface, proxies outside the object manager, the way
 * from a proxy back to its client. Lives in the thread of the proxy's main context.
 */
#include "vmsnap-private.h"

#include <string.h>

/*
 * _vmsnap_type_for_interface:
 * @interface: (nullable): the name of an interface
 *
 * Returns: the type of the proxies for @interface; that of object proxies for %NULL
 */
GType
_vmsnap_type_for_interface (const char *interface)
{
  if (interface == NULL)
    return VM_SNAP_DBUS_TYPE_OBJECT_PROXY;
  if (g_str_equal (interface, "org.vmsnap.VmSnap1.Domain"))
    return VMSNAP_TYPE_DOMAIN;
  if (g_str_equal (interface, "org.vmsnap.VmSnap1.Snapshot"))
    return VMSNAP_TYPE_SNAPSHOT;
  if (g_str_equal (interface, "org.vmsnap.VmSnap1.Job"))
    return VMSNAP_TYPE_JOB;
  if (g_str_equal (interface, "org.vmsnap.VmSnap1.Manager"))
    return VM_SNAP_DBUS_TYPE_MANAGER_PROXY;
  return G_TYPE_DBUS_PROXY;
}

/*
 * _vmsnap_interface_for_path:
 * @path: an object path of the service
 *
 * Returns: the one interface that an object at @path has
 */
const char *
_vmsnap_interface_for_path (const char *path)
{
  if (g_str_has_prefix (path, VMSNAP_JOBS_PATH "/"))
    return "org.vmsnap.VmSnap1.Job";
  if (!g_str_has_prefix (path, VMSNAP_DOMAINS_PATH "/"))
    return "org.vmsnap.VmSnap1.Manager";
  if (strstr (path, "/snapshots/") != NULL)
    return "org.vmsnap.VmSnap1.Snapshot";
  return "org.vmsnap.VmSnap1.Domain";
}

/* A proxy whose properties can't be had is made without a complaint: its object has gone. */
static GDBusProxy *
checked (GObject *object, VmSnapClient *client, GError **error)
{
  g_autoptr (GDBusProxy) proxy = G_DBUS_PROXY (object);
  g_auto (GStrv) names = NULL;

  if (proxy == NULL)
    return NULL;
  names = g_dbus_proxy_get_cached_property_names (proxy);
  if (names == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                   "The object %s is not on the bus any more; list the objects again",
                   g_dbus_proxy_get_object_path (proxy));
      return NULL;
    }
  _vmsnap_proxy_set_client (proxy, client);
  return g_steal_pointer (&proxy);
}

/*
 * _vmsnap_proxy_new_sync:
 * @connection: where
 * @client: (nullable): whose
 * @path: a domain's, snapshot's or job's path
 *
 * Makes a proxy of its own: for objects that the object manager doesn't know yet, because its main context had no turn.
 */
GDBusProxy *
_vmsnap_proxy_new_sync (GDBusConnection *connection,
                        VmSnapClient *client,
                        const char *path,
                        GCancellable *cancellable,
                        GError **error)
{
  const char *interface = _vmsnap_interface_for_path (path);
  gpointer proxy
    = g_initable_new (_vmsnap_type_for_interface (interface), cancellable, error, "g-connection", connection, "g-name",
                      VMSNAP_BUS_NAME, "g-object-path", path, "g-interface-name", interface, NULL);

  return checked (proxy, client, error);
}

void
_vmsnap_proxy_new (GDBusConnection *connection,
                   const char *path,
                   GCancellable *cancellable,
                   GAsyncReadyCallback callback,
                   gpointer user_data)
{
  const char *interface = _vmsnap_interface_for_path (path);

  g_async_initable_new_async (_vmsnap_type_for_interface (interface), G_PRIORITY_DEFAULT, cancellable, callback,
                              user_data, "g-connection", connection, "g-name", VMSNAP_BUS_NAME, "g-object-path", path,
                              "g-interface-name", interface, NULL);
}

GDBusProxy *
_vmsnap_proxy_new_finish (GAsyncResult *result, VmSnapClient *client, GError **error)
{
  g_autoptr (GObject) initable = g_async_result_get_source_object (result);

  return checked (g_async_initable_new_finish (G_ASYNC_INITABLE (initable), result, error), client, error);
}

static void
weak_ref_free (gpointer data)
{
  g_weak_ref_clear (data);
  g_free (data);
}

static GQuark
client_quark (void)
{
  static GQuark quark;

  if (quark == 0)
    quark = g_quark_from_static_string ("vmsnap-client");
  return quark;
}

/* A client holds its proxies, so a proxy holds its client weakly only. */
void
_vmsnap_proxy_set_client (gpointer proxy, VmSnapClient *client)
{
  GWeakRef *ref;

  if (client == NULL)
    return;
  ref = g_new0 (GWeakRef, 1);
  g_weak_ref_init (ref, client);
  g_object_set_qdata_full (proxy, client_quark (), ref, weak_ref_free);
}

VmSnapClient *
_vmsnap_proxy_dup_client (gpointer proxy)
{
  GWeakRef *ref = g_object_get_qdata (proxy, client_quark ());

  return ref != NULL ? g_weak_ref_get (ref) : NULL;
}

/*
 * _vmsnap_proxy_lookup:
 * @proxy: a proxy
 * @path: (nullable): what one of its properties says
 * @type: the type that is expected there
 *
 * Returns: (transfer full) (nullable): the proxy for @path that @proxy's client has
 */
gpointer
_vmsnap_proxy_lookup (gpointer proxy, const char *path, GType type)
{
  g_autoptr (VmSnapClient) client = _vmsnap_proxy_dup_client (proxy);
  g_autoptr (GDBusProxy) found = NULL;

  if (client == NULL || path == NULL || g_str_equal (path, VMSNAP_NO_OBJECT))
    return NULL;
  found = _vmsnap_client_lookup (client, path);
  return found != NULL && g_type_is_a (G_OBJECT_TYPE (found), type) ? g_steal_pointer (&found) : NULL;
}

/* Words of a later service that this library doesn't know become the first value of @type. */
int
_vmsnap_proxy_get_enum (gpointer proxy, const char *property, GType type)
{
  g_autoptr (GVariant) value = g_dbus_proxy_get_cached_property (G_DBUS_PROXY (proxy), property);
  int found = 0;

  if (value != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    vmsnap_enum_from_nick (type, g_variant_get_string (value, NULL), &found);
  return found;
}
