/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Method calls whose reply names objects: the paths become the proxies that the client has, or new ones where the
 * client hasn't heard of the object yet. Lives in the caller's thread.
 */
#include "vmsnap-private.h"

#include "vmsnap-client.h"

/* A reply on its way from paths to proxies. */
typedef struct
{
  VmSnapClient *client; /* nullable */
  GDBusConnection *connection;
  GPtrArray *paths;
  GPtrArray *objects;
  gboolean is_list; /* then what went away meanwhile is left out; else that is an error */
} Lookup;

static void
lookup_free (Lookup *lookup)
{
  g_clear_object (&lookup->client);
  g_clear_object (&lookup->connection);
  g_clear_pointer (&lookup->paths, g_ptr_array_unref);
  g_clear_pointer (&lookup->objects, g_ptr_array_unref);
  g_free (lookup);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Lookup, lookup_free)

/* All paths in @value, whatever it is made of, in order. */
static void
collect_paths (GVariant *value, GPtrArray *paths)
{
  GVariantIter iter;
  GVariant *child;

  if (g_variant_is_of_type (value, G_VARIANT_TYPE_OBJECT_PATH))
    g_ptr_array_add (paths, g_variant_dup_string (value, NULL));
  if (!g_variant_is_container (value))
    return;
  g_variant_iter_init (&iter, value);
  while ((child = g_variant_iter_next_value (&iter)) != NULL)
    {
      collect_paths (child, paths);
      g_variant_unref (child);
    }
}

static Lookup *
lookup_new (gpointer source, GVariant *reply)
{
  Lookup *lookup = g_new0 (Lookup, 1);

  if (VMSNAP_IS_CLIENT (source))
    {
      lookup->client = g_object_ref (source);
      lookup->connection = g_object_ref (vmsnap_client_get_connection (source));
    }
  else
    {
      lookup->client = _vmsnap_proxy_dup_client (source);
      lookup->connection = g_object_ref (g_dbus_proxy_get_connection (source));
    }
  lookup->paths = g_ptr_array_new_with_free_func (g_free);
  lookup->objects = g_ptr_array_new_with_free_func (g_object_unref);
  lookup->is_list = g_variant_is_of_type (reply, G_VARIANT_TYPE ("(ao)"));
  collect_paths (reply, lookup->paths);
  return lookup;
}

/* Takes what was made for the next path. Returns whether to go on. */
static gboolean
lookup_take (Lookup *lookup, GDBusProxy *proxy, GError **error)
{
  if (proxy != NULL)
    g_ptr_array_add (lookup->objects, proxy);
  else if (lookup->is_list && g_error_matches (*error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
    {
      g_clear_error (error);
      g_ptr_array_remove_index (lookup->paths, lookup->objects->len);
    }
  return *error == NULL;
}

/* Adds what the client has; returns the next path that it hasn't, or %NULL. */
static const char *
lookup_known (Lookup *lookup)
{
  while (lookup->objects->len < lookup->paths->len)
    {
      const char *path = lookup->paths->pdata[lookup->objects->len];
      GDBusProxy *known = lookup->client != NULL ? _vmsnap_client_lookup (lookup->client, path) : NULL;

      if (known == NULL)
        return path;
      g_ptr_array_add (lookup->objects, known);
    }
  return NULL;
}

static void on_proxy (GObject *source, GAsyncResult *result, gpointer user_data);

static void
lookup_next (GTask *task)
{
  Lookup *lookup = g_task_get_task_data (task);
  const char *unknown = lookup_known (lookup);

  if (unknown != NULL)
    _vmsnap_proxy_new (lookup->connection, unknown, g_task_get_cancellable (task), on_proxy, g_object_ref (task));
  else
    g_task_return_pointer (task, g_steal_pointer (&lookup->objects), (GDestroyNotify)g_ptr_array_unref);
}

static void
on_proxy (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Lookup *lookup = g_task_get_task_data (task);
  GError *error = NULL;
  GDBusProxy *proxy = _vmsnap_proxy_new_finish (result, lookup->client, &error);

  if (lookup_take (lookup, proxy, &error))
    lookup_next (task);
  else
    g_task_return_error (task, error);
}

static void
on_reply (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GVariant) reply = NULL;
  GError *error = NULL;

  reply = _vmsnap_call_finish (source, result, _vmsnap_call_for_objects, NULL, &error);
  if (reply == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  g_task_set_task_data (task, lookup_new (source, reply), (GDestroyNotify)lookup_free);
  lookup_next (task);
}

void
_vmsnap_call_for_objects_with_fds (gpointer source,
                                   const char *method,
                                   GVariant *parameters,
                                   GUnixFDList *fds,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data,
                                   gpointer tag)
{
  GTask *task = g_task_new (source, cancellable, callback, user_data);

  g_task_set_source_tag (task, tag);
  _vmsnap_call_with_fds (source, method, parameters, fds, cancellable, on_reply, task, _vmsnap_call_for_objects);
}

void
_vmsnap_call_for_objects (gpointer source,
                          const char *method,
                          GVariant *parameters,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data,
                          gpointer tag)
{
  _vmsnap_call_for_objects_with_fds (source, method, parameters, NULL, cancellable, callback, user_data, tag);
}

GPtrArray *
_vmsnap_call_for_objects_finish (gpointer source, GAsyncResult *result, gpointer tag, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, source), NULL);
  g_return_val_if_fail (g_task_get_source_tag (G_TASK (result)) == tag, NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

GPtrArray *
_vmsnap_call_for_objects_with_fds_sync (gpointer source,
                                        const char *method,
                                        GVariant *parameters,
                                        GUnixFDList *fds,
                                        GCancellable *cancellable,
                                        GError **error)
{
  g_autoptr (GVariant) reply
    = _vmsnap_call_with_fds_sync (source, method, parameters, fds, NULL, cancellable, error);
  g_autoptr (Lookup) lookup = NULL;
  const char *unknown;

  if (reply == NULL)
    return NULL;
  lookup = lookup_new (source, reply);
  while ((unknown = lookup_known (lookup)) != NULL)
    {
      GError *local_error = NULL;
      GDBusProxy *proxy
        = _vmsnap_proxy_new_sync (lookup->connection, lookup->client, unknown, cancellable, &local_error);

      if (!lookup_take (lookup, proxy, &local_error))
        {
          g_propagate_error (error, local_error);
          return NULL;
        }
    }
  return g_steal_pointer (&lookup->objects);
}

GPtrArray *
_vmsnap_call_for_objects_sync (gpointer source,
                               const char *method,
                               GVariant *parameters,
                               GCancellable *cancellable,
                               GError **error)
{
  return _vmsnap_call_for_objects_with_fds_sync (source, method, parameters, NULL, cancellable, error);
}

/* The only object of a reply. */
gpointer
_vmsnap_take_object (GPtrArray *objects)
{
  g_autoptr (GPtrArray) owned = objects;

  return owned != NULL && owned->len > 0 ? g_object_ref (owned->pdata[0]) : NULL;
}

/* All objects of a reply. */
GList *
_vmsnap_take_list (GPtrArray *objects)
{
  g_autoptr (GPtrArray) owned = objects;
  GList *list = NULL;

  for (guint i = owned != NULL ? owned->len : 0; i > 0; i--)
    list = g_list_prepend (list, g_object_ref (owned->pdata[i - 1]));
  return list;
}
