/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The command that tells what happens: objects that come and go, changed properties, signals. Lives in the main thread.
 */
#include "commands.h"

#include "format.h"
#include "output.h"

#include <glib-unix.h>
#include <signal.h>
#include <string.h>

typedef struct
{
  Ctl *ctl;
  GMainLoop *loop;
  char *path; /* nullable: only this domain, its snapshots and its jobs */
} Monitor;

static gboolean
is_wanted (Monitor *monitor, gpointer proxy)
{
  const char *path = g_dbus_proxy_get_object_path (proxy);

  if (monitor->path == NULL)
    return TRUE;
  if (VMSNAP_IS_JOB (proxy))
    return g_strcmp0 (vm_snap_dbus_job_get_domain (proxy), monitor->path) == 0;
  if (!g_str_has_prefix (path, monitor->path))
    return FALSE;
  return path[strlen (monitor->path)] == '\0' || path[strlen (monitor->path)] == '/';
}

static const char *
kind_of (gpointer proxy)
{
  if (VMSNAP_IS_DOMAIN (proxy))
    return "domain";
  if (VMSNAP_IS_SNAPSHOT (proxy))
    return "snapshot";
  return VMSNAP_IS_JOB (proxy) ? "job" : "manager";
}

static char *
name_of (gpointer proxy)
{
  if (VMSNAP_IS_DOMAIN (proxy))
    return g_strdup (vmsnap_domain_get_name (proxy));
  if (VMSNAP_IS_SNAPSHOT (proxy))
    return g_strdup (vmsnap_snapshot_get_name (proxy));
  if (VMSNAP_IS_JOB (proxy))
    {
      g_autofree char *number = ctl_job_number (proxy);

      return g_strdup_printf ("%s (%s)", number, vmsnap_job_get_operation (proxy));
    }
  return g_strdup ("");
}

/* "State=running StateReason=booted" */
/* Seventeen digits of a fraction are for programs. */
static char *
format_value (GVariant *value)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    return g_strdup_printf ("%.2f", g_variant_get_double (value));
  return g_variant_print (value, FALSE);
}

static char *
format_values (GVariant *values)
{
  GString *text = g_string_new (NULL);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, values);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      g_autofree char *printed = format_value (value);

      g_string_append_printf (text, " %s=%s", key, printed);
    }
  return g_string_free (text, FALSE);
}

static void
tell_json (gpointer proxy, const char *what, const char *event, GVariant *values)
{
  JsonObject *object = json_object_new ();
  JsonObject *members = json_object_new ();
  g_autofree char *name = name_of (proxy);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  json_object_set_int_member (object, "time", g_get_real_time ());
  json_object_set_string_member (object, "what", what);
  json_object_set_string_member (object, "kind", kind_of (proxy));
  json_object_set_string_member (object, "name", name);
  json_object_set_string_member (object, "object-path", g_dbus_proxy_get_object_path (proxy));
  if (event != NULL)
    json_object_set_string_member (object, "event", event);
  g_variant_iter_init (&iter, values);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      g_autofree char *written = ctl_format_key (key);

      json_object_set_member (members, written, json_gvariant_serialize (value));
    }
  json_object_set_object_member (object, "values", members);
  ctl_json_print_line (object);
}

static void
tell (Monitor *monitor, gpointer proxy, const char *what, const char *event, GVariant *values)
{
  g_autoptr (GVariant) owned = NULL;
  g_autofree char *time = NULL;
  g_autofree char *name = NULL;
  g_autofree char *text = NULL;

  if (!is_wanted (monitor, proxy))
    return;
  if (values == NULL)
    values = owned = g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));
  if (monitor->ctl->json)
    {
      tell_json (proxy, what, event, values);
      return;
    }
  time = ctl_format_time (g_get_real_time ());
  name = name_of (proxy);
  text = format_values (values);
  ctl_done (monitor->ctl, "%s  %s %s  %s%s", time, kind_of (proxy), name, event != NULL ? event : what, text);
}

static void
on_added (VmSnapClient *client, gpointer proxy, gpointer user_data)
{
  tell (user_data, proxy, "added", NULL, NULL);
}

static void
on_removed (VmSnapClient *client, gpointer proxy, gpointer user_data)
{
  tell (user_data, proxy, "removed", NULL, NULL);
}

static void
on_changed (GDBusObjectManagerClient *manager,
            GDBusObjectProxy *object,
            GDBusProxy *proxy,
            GVariant *changed,
            const char *const *invalidated,
            gpointer user_data)
{
  tell (user_data, proxy, "changed", NULL, changed);
}

static void
on_signal (GDBusObjectManagerClient *manager,
           GDBusObjectProxy *object,
           GDBusProxy *proxy,
           const char *sender,
           const char *name,
           GVariant *parameters,
           gpointer user_data)
{
  g_autoptr (GVariant) values = NULL;
  const char *event = NULL;

  if (g_str_equal (name, "Event") && g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(sa{sv})")))
    {
      g_variant_get (parameters, "(&s@a{sv})", &event, &values);
      tell (user_data, proxy, "event", event, values);
    }
  else if (g_str_equal (name, "Completed") && g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(sssa{sv})")))
    {
      g_variant_get (parameters, "(&s&s&s@a{sv})", &event, NULL, NULL, &values);
      tell (user_data, proxy, "ended", event, values);
    }
}

static void
on_running (VmSnapClient *client, GParamSpec *pspec, gpointer user_data)
{
  g_printerr ("vmsnapctl: The vmsnap service %s\n",
              vmsnap_client_get_service_running (client) ? "is back" : "went away; waiting for it to come back");
}

static gboolean
on_interrupt (gpointer user_data)
{
  g_main_loop_quit (((Monitor *)user_data)->loop);
  return G_SOURCE_CONTINUE;
}

static void
run (Monitor *monitor)
{
  VmSnapClient *client = monitor->ctl->client;
  GDBusObjectManager *manager = vmsnap_client_get_object_manager (client);
  static const char *const kinds[] = { "domain", "snapshot", "job" };
  guint sources[]
    = { g_unix_signal_add (SIGINT, on_interrupt, monitor), g_unix_signal_add (SIGTERM, on_interrupt, monitor) };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *added = g_strconcat (kinds[i], "-added", NULL);
      g_autofree char *removed = g_strconcat (kinds[i], "-removed", NULL);

      g_signal_connect (client, added, G_CALLBACK (on_added), monitor);
      g_signal_connect (client, removed, G_CALLBACK (on_removed), monitor);
    }
  g_signal_connect (client, "notify::service-running", G_CALLBACK (on_running), monitor);
  g_signal_connect (manager, "interface-proxy-properties-changed", G_CALLBACK (on_changed), monitor);
  g_signal_connect (manager, "interface-proxy-signal", G_CALLBACK (on_signal), monitor);
  g_main_loop_run (monitor->loop);
  g_signal_handlers_disconnect_by_data (client, monitor);
  g_signal_handlers_disconnect_by_data (manager, monitor);
  for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
    g_source_remove (sources[i]);
}

CtlExit
ctl_command_monitor (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autofree char *path = NULL;
  Monitor monitor = { .ctl = ctl, .loop = loop };
  GError *error = NULL;

  if (!ctl_parse (ctl, NULL, &argc, &argv, 0, 1))
    return CTL_USAGE;
  if (argc > 1)
    domain = ctl_find_domain (ctl, argv[1], &error);
  else
    ctl_connect (ctl, &error);
  if (error != NULL)
    return ctl_fail (error);
  if (domain != NULL)
    monitor.path = path = g_strdup (g_dbus_proxy_get_object_path (G_DBUS_PROXY (domain)));
  run (&monitor);
  return CTL_OK;
}
