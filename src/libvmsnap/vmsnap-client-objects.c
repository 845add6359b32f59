/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a client knows without asking: lists of objects, an object by its path, a domain by its name. Lives in the
 * client's thread.
 */
#include "vmsnap-client.h"

#include "vmsnap-domain.h"
#include "vmsnap-private.h"

#include <string.h>

/*
 * _vmsnap_client_lookup:
 * @path: an object path
 *
 * Returns: (transfer full) (nullable): the proxy of @client for @path
 */
GDBusProxy *
_vmsnap_client_lookup (VmSnapClient *client, const char *path)
{
  GDBusObjectManager *manager = vmsnap_client_get_object_manager (client);
  GDBusInterface *found = NULL;

  /* The client may be half-made, or disposed of while a proxy of it lives on. */
  if (manager != NULL && g_variant_is_object_path (path))
    found = g_dbus_object_manager_get_interface (manager, path, _vmsnap_interface_for_path (path));
  return found != NULL ? G_DBUS_PROXY (found) : NULL;
}

static gpointer
lookup (VmSnapClient *client, const char *path, GType type)
{
  g_autoptr (GDBusProxy) found = _vmsnap_client_lookup (client, path);

  return found != NULL && g_type_is_a (G_OBJECT_TYPE (found), type) ? g_steal_pointer (&found) : NULL;
}

/*
 * _vmsnap_client_list:
 * @type: a type of proxies
 * @prefix: what their paths begin with
 *
 * Returns: (transfer full): all proxies of @client that are of @type and below @prefix, in no order
 */
GList *
_vmsnap_client_list (VmSnapClient *client, GType type, const char *prefix)
{
  GDBusObjectManager *manager = vmsnap_client_get_object_manager (client);
  g_autolist (GDBusObject) objects = manager != NULL ? g_dbus_object_manager_get_objects (manager) : NULL;
  GList *found = NULL;

  for (GList *l = objects; l != NULL; l = l->next)
    {
      const char *path = g_dbus_object_get_object_path (l->data);
      gpointer proxy = g_str_has_prefix (path, prefix) ? lookup (client, path, type) : NULL;

      if (proxy != NULL)
        found = g_list_prepend (found, proxy);
    }
  return found;
}

/**
 * vmsnap_client_get_manager:
 * @client: a client
 *
 * The service's manager object, for what it says of itself: versions and features.
 *
 * Returns: (transfer full) (nullable): the manager; %NULL while the service isn't running
 */
VmSnapDBusManager *
vmsnap_client_get_manager (VmSnapClient *client)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  return lookup (client, VMSNAP_MANAGER_PATH, VM_SNAP_DBUS_TYPE_MANAGER);
}

static int
compare_domains (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (vmsnap_domain_get_name ((VmSnapDomain *)a), vmsnap_domain_get_name ((VmSnapDomain *)b));
}

/**
 * vmsnap_client_get_domains:
 * @client: a client
 *
 * Lists the domains that the service knows.
 *
 * Returns: (transfer full) (element-type VmSnapDomain): all domains, by their names
 */
GList *
vmsnap_client_get_domains (VmSnapClient *client)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  return g_list_sort (_vmsnap_client_list (client, VMSNAP_TYPE_DOMAIN, VMSNAP_DOMAINS_PATH "/"), compare_domains);
}

static int
compare_jobs (gconstpointer a, gconstpointer b)
{
  const char *prefix = VMSNAP_JOBS_PATH "/";
  guint64 a_number = g_ascii_strtoull (g_dbus_proxy_get_object_path ((GDBusProxy *)a) + strlen (prefix), NULL, 10);
  guint64 b_number = g_ascii_strtoull (g_dbus_proxy_get_object_path ((GDBusProxy *)b) + strlen (prefix), NULL, 10);

  return a_number < b_number ? -1 : a_number > b_number;
}

/**
 * vmsnap_client_get_jobs:
 * @client: a client
 *
 * Lists the jobs of all domains.
 *
 * Returns: (transfer full) (element-type VmSnapJob): all jobs, those that ended lately included, oldest first
 */
GList *
vmsnap_client_get_jobs (VmSnapClient *client)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);

  return g_list_sort (_vmsnap_client_list (client, VMSNAP_TYPE_JOB, VMSNAP_JOBS_PATH "/"), compare_jobs);
}

/**
 * vmsnap_client_lookup_domain:
 * @client: a client
 * @path: an object path, as a property or signal carried it
 *
 * Finds a domain by its path, without asking the service.
 *
 * Returns: (transfer full) (nullable): the domain at @path
 */
VmSnapDomain *
vmsnap_client_lookup_domain (VmSnapClient *client, const char *path)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (path != NULL, NULL);

  return lookup (client, path, VMSNAP_TYPE_DOMAIN);
}

/**
 * vmsnap_client_lookup_snapshot:
 * @client: a client
 * @path: an object path, as a property or signal carried it
 *
 * Finds a snapshot by its path, without asking the service.
 *
 * Returns: (transfer full) (nullable): the snapshot at @path
 */
VmSnapSnapshot *
vmsnap_client_lookup_snapshot (VmSnapClient *client, const char *path)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (path != NULL, NULL);

  return lookup (client, path, VMSNAP_TYPE_SNAPSHOT);
}

/**
 * vmsnap_client_lookup_job:
 * @client: a client
 * @path: an object path, as a property or signal carried it
 *
 * Finds a job by its path, without asking the service.
 *
 * Returns: (transfer full) (nullable): the job at @path
 */
VmSnapJob *
vmsnap_client_lookup_job (VmSnapClient *client, const char *path)
{
  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (path != NULL, NULL);

  return lookup (client, path, VMSNAP_TYPE_JOB);
}

static VmSnapDomain *
find_by_name (VmSnapClient *client, const char *name)
{
  g_autolist (VmSnapDomain) domains = vmsnap_client_get_domains (client);

  for (GList *l = domains; l != NULL; l = l->next)
    if (g_strcmp0 (vmsnap_domain_get_name (l->data), name) == 0)
      return g_object_ref (l->data);
  return NULL;
}

/**
 * vmsnap_client_find_domain:
 * @client: a client
 * @name_or_uuid: a name or a uuid
 * @error: %VMSNAP_ERROR_NOT_FOUND, or %G_DBUS_ERROR_SERVICE_UNKNOWN if the service isn't running
 *
 * Finds a domain by what a person would call it. A domain named like the uuid of another one is found before that.
 *
 * Returns: (transfer full): the domain
 */
VmSnapDomain *
vmsnap_client_find_domain (VmSnapClient *client, const char *name_or_uuid, GError **error)
{
  VmSnapDomain *found;

  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), NULL);
  g_return_val_if_fail (name_or_uuid != NULL, NULL);

  found = find_by_name (client, name_or_uuid);
  if (found == NULL && g_uuid_string_is_valid (name_or_uuid))
    {
      g_autofree char *uuid = g_ascii_strdown (name_or_uuid, -1);
      g_autofree char *path = vmsnap_domain_object_path (uuid);

      found = vmsnap_client_lookup_domain (client, path);
    }
  if (found == NULL && !vmsnap_client_get_service_running (client))
    g_set_error_literal (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN, "The vmsnap service is not running");
  else if (found == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                 "There is no domain with the name or uuid '%s'; list the domains to see those there are",
                 name_or_uuid);
  return found;
}

/* One question that the service answers after all it has said before; an absent service has nothing to say. */
static gboolean
ask (VmSnapClient *client, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GVariant) reply
    = g_dbus_connection_call_sync (vmsnap_client_get_connection (client), VMSNAP_BUS_NAME, VMSNAP_MANAGER_PATH,
                                   "org.freedesktop.DBus.Properties", "Get",
                                   g_variant_new ("(ss)", "org.vmsnap.VmSnap1.Manager", "Version"), NULL,
                                   G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, cancellable, &local_error);

  if (reply == NULL && !g_error_matches (local_error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN)
      && !g_error_matches (local_error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  return TRUE;
}

static gboolean
set_true (gpointer user_data)
{
  *(gboolean *)user_data = TRUE;
  return G_SOURCE_REMOVE;
}

/* Handles what waits in @context by now. */
static void
dispatch (GMainContext *context)
{
  g_autoptr (GSource) marker = g_idle_source_new ();
  gboolean reached = FALSE;

  g_source_set_priority (marker, G_PRIORITY_DEFAULT);
  g_source_set_callback (marker, set_true, &reached, NULL);
  g_source_attach (marker, context);
  while (!reached)
    g_main_context_iteration (context, TRUE);
}

/**
 * vmsnap_client_catch_up_sync:
 * @client: a client
 * @cancellable: (nullable): a cancellable
 * @error: the service doesn't answer
 *
 * Brings the objects of @client up to date with all that the service has said until now. For programs without a main
 * loop: it runs the main context that the client was made in until that is done, and so may only be called where that
 * context may be run. Signals of the client and its objects are emitted meanwhile.
 *
 * Returns: %TRUE if the objects are up to date
 */
gboolean
vmsnap_client_catch_up_sync (VmSnapClient *client, GCancellable *cancellable, GError **error)
{
  GMainContext *context;
  gboolean asked = TRUE;

  g_return_val_if_fail (VMSNAP_IS_CLIENT (client), FALSE);

  context = _vmsnap_client_get_context (client);
  g_return_val_if_fail (g_main_context_acquire (context), FALSE);
  /* Twice, because a service that has come back is asked for its objects in the first round. */
  for (guint round = 0; round < 2 && asked; round++)
    {
      asked = ask (client, cancellable, error);
      dispatch (context);
    }
  g_main_context_release (context);
  return asked;
}
