/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The service's life: the store locked, the bus reached, everything loaded and what was left unfinished settled; only
 * then the bus name. SIGTERM and SIGINT end it; guests run on, and are found again by the next one. Main thread.
 */
#include "bus-daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus-service.h"
#include "vmsnap-names.h"
#include "vs-operations.h"
#include "vs-process.h"

/* There is no event for a lock that becomes free. */
#define LOCK_INTERVAL_MS 50

typedef struct {
  const BusSettings *settings;
  GMainLoop *loop;
  GDBusConnection *connection;
  VsEngine *engine;
  BusService *service;
  guint name;
  GCancellable *stopping;
  int lock;
  guint retry;
  int status;
} Daemon;

static void
fail (Daemon *self, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
fail (Daemon *self, const char *format, ...)
{
  va_list args;
  g_autofree char *message = NULL;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("vmsnapd: %s\n", message);
  self->status = 1;
  g_main_loop_quit (self->loop);
}

static void
on_name_acquired (GDBusConnection *connection, const char *name, gpointer user_data)
{
  g_debug ("ready: all is loaded, and %s is ours", name);
}

static const char *
bus_kind (Daemon *self)
{
  return self->settings->session ? "session" : "system";
}

/* Who has the name now. */
static void
on_owner (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Daemon *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  guint32 pid;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || g_dbus_connection_is_closed (self->connection))
    return;
  if (reply == NULL)
    {
      fail (self, "Can't have the name %s on the %s bus: its policy forbids it to uid %u", VMSNAP_BUS_NAME,
            bus_kind (self), (guint) geteuid ());
      return;
    }
  g_variant_get (reply, "(u)", &pid);
  if (pid == (guint32) getpid ())
    fail (self, "The name %s on the %s bus was taken from this service", VMSNAP_BUS_NAME, bus_kind (self));
  else
    fail (self, "Can't have the name %s on the %s bus: the process %u has it; end that one first", VMSNAP_BUS_NAME,
          bus_kind (self), pid);
}

/* The end of the bus takes the name, too, but that is on_bus_gone()'s to tell. */
static void
on_name_lost (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Daemon *self = user_data;

  if (!g_dbus_connection_is_closed (self->connection))
    g_dbus_connection_call (self->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                            "GetConnectionUnixProcessID", g_variant_new ("(s)", name), G_VARIANT_TYPE ("(u)"),
                            G_DBUS_CALL_FLAGS_NONE, -1, self->stopping, on_owner, self);
}

static void
on_bus_gone (GDBusConnection *connection, gboolean by_peer, GError *error, gpointer user_data)
{
  Daemon *self = user_data;

  fail (self, "The %s bus went away%s%s; guests run on, and are found again when vmsnapd is started on a bus",
        bus_kind (self), error != NULL ? ": " : "", error != NULL ? error->message : "");
}

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Daemon *self = user_data;
  g_autoptr (GError) error = NULL;

  if (!vs_engine_load_finish (VS_ENGINE (source), result, &error))
    {
      fail (self, "Can't load the domains: %s", error->message);
      return;
    }
  self->service = bus_service_new (self->engine, self->settings->session);
  bus_service_export (self->service, self->connection);
  self->name = g_bus_own_name_on_connection (self->connection, VMSNAP_BUS_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE,
                                             on_name_acquired, on_name_lost, self, NULL);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Daemon *self = user_data;
  g_autoptr (GError) error = NULL;

  self->connection = g_bus_get_finish (result, &error);
  if (self->connection == NULL)
    {
      fail (self, "Can't reach the %s bus: %s", bus_kind (self), error->message);
      return;
    }
  /* GLib would have the process killed, without a word. */
  g_dbus_connection_set_exit_on_close (self->connection, FALSE);
  g_signal_connect (self->connection, "closed", G_CALLBACK (on_bus_gone), self);
  vs_engine_load_async (self->engine, on_loaded, self);
}

/* Who has the lock, as that one wrote it down: it may have been killed, and its tools go on. */
static gboolean
is_owner_alive (Daemon *self)
{
  g_autoptr (VsProcess) process = NULL;
  char text[64] = "";
  guint64 start_time = 0;
  int pid = 0;

  if (pread (self->lock, text, sizeof text - 1, 0) > 0 && sscanf (text, "%d %" G_GUINT64_FORMAT, &pid, &start_time) == 2)
    process = vs_process_open (pid, start_time, NULL);
  return process != NULL;
}

static void
sign_lock (Daemon *self)
{
  guint64 start_time = 0;
  g_autofree char *text = NULL;

  vs_process_read_start_time (getpid (), &start_time, NULL);
  text = g_strdup_printf ("%d %" G_GUINT64_FORMAT "\n", (int) getpid (), start_time);
  if (ftruncate (self->lock, 0) != 0 || pwrite (self->lock, text, strlen (text), 0) < 0)
    g_debug ("The lock isn't signed: %s", g_strerror (errno));
}

/* Two services on one store would settle each other's operations. The lock goes with the process, however it ends, and
 * with the last of its tools: one that still changes an image for a service that was killed is waited for. */
static gboolean
on_try_lock (gpointer user_data)
{
  Daemon *self = user_data;

  self->retry = 0;
  if (flock (self->lock, LOCK_EX | LOCK_NB) == 0)
    {
      sign_lock (self);
      vs_process_set_witness (self->lock);
      g_bus_get (self->settings->session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM, NULL, on_connected, self);
    }
  else if (is_owner_alive (self))
    fail (self, "Another vmsnapd uses the state directory %s: end it, or give --state-directory",
          self->settings->state_directory);
  else
    self->retry = g_timeout_add (LOCK_INTERVAL_MS, on_try_lock, self);
  return G_SOURCE_REMOVE;
}

static void
lock_store (Daemon *self)
{
  g_autofree char *path = g_build_filename (self->settings->state_directory, "lock", NULL);

  self->lock = g_open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (self->lock >= 0)
    on_try_lock (self);
  else
    fail (self, "Can't open %s: %s", path, g_strerror (errno));
}

/* What root makes in another user's directories, that user's service could never read or remove. */
static gboolean
check_owner (Daemon *self, const char *path)
{
  const struct passwd *owner;
  g_autofree char *name = NULL;
  struct stat st;

  if (geteuid () != 0 || stat (path, &st) != 0 || st.st_uid == 0)
    return TRUE;
  owner = getpwuid (st.st_uid);
  name = owner != NULL ? g_strdup (owner->pw_name) : g_strdup_printf ("#%u", (guint) st.st_uid);
  fail (self,
        "%s belongs to the user %s, and root would leave files there that the service can't use as that user: start it "
        "by 'systemctl start vmsnapd', or by hand with 'runuser -u %s -- vmsnapd …', or give directories of root's own",
        path, name, name);
  return FALSE;
}

static gboolean
check_user (Daemon *self)
{
  const BusSettings *settings = self->settings;

  return check_owner (self, settings->state_directory) && check_owner (self, settings->runtime_directory)
         && check_owner (self, settings->log_directory);
}

static void
start (Daemon *self)
{
  g_autoptr (VsStore) store = vs_store_new (self->settings->state_directory, self->settings->runtime_directory,
                                            self->settings->log_directory);
  g_autoptr (GError) error = NULL;

  if (!check_user (self))
    return;
  if (!vs_store_prepare (store, &error))
    {
      fail (self, "%s", error->message);
      return;
    }
  self->engine = vs_engine_new (store, self->settings->emulator, vs_workflows);
  lock_store (self);
}

static gboolean
on_signal (gpointer user_data)
{
  Daemon *self = user_data;

  g_main_loop_quit (self->loop);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_started (gpointer user_data)
{
  start (user_data);
  return G_SOURCE_REMOVE;
}

/* An operation that is under way isn't waited for: its journal lets the next service settle it. */
static void
stop (Daemon *self)
{
  g_cancellable_cancel (self->stopping);
  g_clear_object (&self->stopping);
  g_clear_handle_id (&self->retry, g_source_remove);
  g_clear_handle_id (&self->name, g_bus_unown_name);
  if (self->connection != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->connection, self);
      g_dbus_connection_flush_sync (self->connection, NULL, NULL);
    }
  g_clear_object (&self->service);
  g_clear_object (&self->engine);
  g_clear_object (&self->connection);
}

/**
 * bus_daemon_run:
 * @settings: the command line
 *
 * Serves until a signal ends it, or something is missing without which there is no service.
 *
 * Returns: the process's exit status
 */
int
bus_daemon_run (const BusSettings *settings)
{
  Daemon self = { .settings = settings, .stopping = g_cancellable_new (), .lock = -1 };
  const guint term = g_unix_signal_add (SIGTERM, on_signal, &self);
  const guint interrupt = g_unix_signal_add (SIGINT, on_signal, &self);

  signal (SIGPIPE, SIG_IGN);
  self.loop = g_main_loop_new (NULL, FALSE);
  g_idle_add (on_started, &self);
  g_main_loop_run (self.loop);
  stop (&self);
  g_source_remove (term);
  g_source_remove (interrupt);
  g_main_loop_unref (self.loop);
  return self.status;
}
