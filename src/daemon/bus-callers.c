/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whose calls are they: the bus knows the user behind each connection, from its socket's peer credentials. A
 * connection's name is never used again on a bus, so what the bus said once is kept until the connection goes; and so is
 * what each was allowed, for as long as whoever allowed it stands by it. Main thread.
 */
#include "bus-callers.h"

#include <string.h>

#define DBUS_NAME "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"

/* Of one connection. Somebody who asks for more is asked about again. */
#define GRANTS_MAX 64
#define GRANT_LENGTH_MAX 1024

typedef struct {
  GDBusConnection *connection;
  guint subscription;
  gboolean known;
  guint uid;
  GHashTable *grants; /* a set of strings; NULL: none */
} Caller;

struct _BusCallers
{
  GObject parent;

  GHashTable *callers; /* unique name → Caller */
};

G_DEFINE_FINAL_TYPE (BusCallers, bus_callers, G_TYPE_OBJECT)

static void
caller_free (Caller *caller)
{
  g_dbus_connection_signal_unsubscribe (caller->connection, caller->subscription);
  g_object_unref (caller->connection);
  g_clear_pointer (&caller->grants, g_hash_table_unref);
  g_free (caller);
}

static void
bus_callers_finalize (GObject *object)
{
  g_hash_table_unref (BUS_CALLERS (object)->callers);
  G_OBJECT_CLASS (bus_callers_parent_class)->finalize (object);
}

static void
bus_callers_class_init (BusCallersClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = bus_callers_finalize;
}

static void
bus_callers_init (BusCallers *self)
{
  self->callers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) caller_free);
}

/**
 * bus_callers_new:
 *
 * Returns: (transfer full): knows nobody yet
 */
BusCallers *
bus_callers_new (void)
{
  return g_object_new (BUS_TYPE_CALLERS, NULL);
}

static void
on_owner_changed (GDBusConnection *connection,
                  const char *sender,
                  const char *path,
                  const char *interface,
                  const char *signal,
                  GVariant *parameters,
                  gpointer user_data)
{
  const char *name;
  const char *new_owner;

  g_variant_get (parameters, "(&s&s&s)", &name, NULL, &new_owner);
  if (*new_owner == '\0')
    g_hash_table_remove (BUS_CALLERS (user_data)->callers, name);
}

static void
add_caller (BusCallers *self, GDBusConnection *connection, const char *sender)
{
  Caller *caller = g_new0 (Caller, 1);

  caller->connection = g_object_ref (connection);
  caller->subscription = g_dbus_connection_signal_subscribe (
    connection, DBUS_NAME, DBUS_NAME, "NameOwnerChanged", DBUS_PATH, sender, G_DBUS_SIGNAL_FLAGS_NONE,
    on_owner_changed, self, NULL);
  g_hash_table_insert (self->callers, g_strdup (sender), caller);
}

static void
on_uid (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  BusCallers *self = g_task_get_source_object (task);
  const char *sender = g_task_get_task_data (task);
  Caller *caller = g_hash_table_lookup (self->callers, sender);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  guint uid;

  if (reply == NULL)
    {
      g_hash_table_remove (self->callers, sender);
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
  g_variant_get (reply, "(u)", &uid);
  if (caller != NULL)
    {
      caller->known = TRUE;
      caller->uid = uid;
    }
  g_task_return_int (task, uid);
}

/**
 * bus_callers_peek_uid:
 * @self: the callers
 * @sender: unique name of a connection
 * @uid: (out): whose it is
 *
 * Returns: whether it is known already, so that nobody need be asked
 */
gboolean
bus_callers_peek_uid (BusCallers *self, const char *sender, guint *uid)
{
  const Caller *caller = g_hash_table_lookup (self->callers, sender);

  if (caller == NULL || !caller->known)
    return FALSE;
  *uid = caller->uid;
  return TRUE;
}

/**
 * bus_callers_get_uid_async:
 * @self: the callers
 * @connection: the bus
 * @sender: unique name of a connection to it
 * @callback: called when it is known
 * @user_data: for @callback
 *
 * Finds out whose connection @sender is.
 */
void
bus_callers_get_uid_async (BusCallers *self,
                           GDBusConnection *connection,
                           const char *sender,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
  GTask *task = g_task_new (self, NULL, callback, user_data);

  g_task_set_source_tag (task, bus_callers_get_uid_async);
  /* The match is in place before the question is asked, so a connection that goes is either refused or announced. */
  if (!g_hash_table_contains (self->callers, sender))
    add_caller (self, connection, sender);
  g_task_set_task_data (task, g_strdup (sender), g_free);
  g_dbus_connection_call (connection, DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetConnectionUnixUser",
                          g_variant_new ("(s)", sender), G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                          on_uid, task);
}

/**
 * bus_callers_get_uid_finish:
 * @self: the callers
 * @result: what the callback got
 * @uid: (out): the user
 * @error: where to put why it isn't known
 *
 * Returns: whether @uid is set
 */
gboolean
bus_callers_get_uid_finish (BusCallers *self, GAsyncResult *result, guint *uid, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gssize value = g_task_propagate_int (G_TASK (result), &failure);

  if (failure != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  *uid = (guint) value;
  return TRUE;
}

/**
 * bus_callers_grant:
 * @self: the callers
 * @sender: unique name of a connection
 * @grant: what it was allowed
 *
 * Keeps that in mind until the connection goes or bus_callers_revoke() is called; or for less long, for there is room
 * for so many only.
 */
void
bus_callers_grant (BusCallers *self, const char *sender, const char *grant)
{
  Caller *caller = g_hash_table_lookup (self->callers, sender);

  if (caller == NULL || strlen (grant) > GRANT_LENGTH_MAX)
    return;
  if (caller->grants == NULL)
    caller->grants = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (g_hash_table_size (caller->grants) >= GRANTS_MAX)
    g_hash_table_remove_all (caller->grants);
  g_hash_table_add (caller->grants, g_strdup (grant));
}

/**
 * bus_callers_has_grant:
 * @self: the callers
 * @sender: unique name of a connection
 * @grant: what it wants
 *
 * Returns: whether it is known to be allowed that
 */
gboolean
bus_callers_has_grant (BusCallers *self, const char *sender, const char *grant)
{
  const Caller *caller = g_hash_table_lookup (self->callers, sender);

  return caller != NULL && caller->grants != NULL && g_hash_table_contains (caller->grants, grant);
}

/**
 * bus_callers_revoke:
 * @self: the callers
 *
 * Forgets what anybody was allowed.
 */
void
bus_callers_revoke (BusCallers *self)
{
  GHashTableIter iter;
  gpointer caller;

  g_hash_table_iter_init (&iter, self->callers);
  while (g_hash_table_iter_next (&iter, NULL, &caller))
    g_clear_pointer (&((Caller *) caller)->grants, g_hash_table_unref);
}
