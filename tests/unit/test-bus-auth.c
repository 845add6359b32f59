/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of who may do what, against the interfaces' XML, the adapters' methods and the polkit actions that there
 * are: a method that one of them lacks can't be called, or worse.
 */
#include "bus-auth.h"

#include "bus-domain.h"
#include "bus-job.h"
#include "bus-manager.h"
#include "bus-snapshot.h"
#include "vmsnap-names.h"

static const struct {
  GDBusInterfaceInfo *(*get_info) (void);
  const BusMethod *methods;
} interfaces[] = {
  { vm_snap_dbus_manager_interface_info, bus_manager_methods },
  { vm_snap_dbus_domain_interface_info, bus_domain_methods },
  { vm_snap_dbus_snapshot_interface_info, bus_snapshot_methods },
  { vm_snap_dbus_job_interface_info, bus_job_methods },
};

static void
test_every_method_has_a_row (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (interfaces); i++)
    {
      GDBusInterfaceInfo *info = interfaces[i].get_info ();

      for (guint m = 0; info->methods[m] != NULL; m++)
        if (bus_auth_find_row (info->name, info->methods[m]->name) == NULL)
          g_error ("%s.%s has no row", info->name, info->methods[m]->name);
    }
}

static GDBusInterfaceInfo *
find_interface (const char *short_name)
{
  g_autofree char *name = g_strconcat (VMSNAP_BUS_NAME ".", short_name, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (interfaces); i++)
    if (g_str_equal (interfaces[i].get_info ()->name, name))
      return interfaces[i].get_info ();
  g_error ("There is no interface %s", name);
}

static void
test_every_row_has_a_method (void)
{
  guint n_rows;
  const BusAuthRow *rows = bus_auth_get_rows (&n_rows);

  for (guint i = 0; i < n_rows; i++)
    if (g_dbus_interface_info_lookup_method (find_interface (rows[i].interface), rows[i].method) == NULL)
      g_error ("The row %s.%s has no method", rows[i].interface, rows[i].method);
}

static void
test_no_row_comes_twice (void)
{
  guint n_rows;
  const BusAuthRow *rows = bus_auth_get_rows (&n_rows);

  for (guint i = 0; i < n_rows; i++)
    {
      g_autofree char *name = g_strconcat (VMSNAP_BUS_NAME ".", rows[i].interface, NULL);

      g_assert_true (bus_auth_find_row (name, rows[i].method) == &rows[i]);
    }
}

static void
test_strangers_have_no_row (void)
{
  g_assert_null (bus_auth_find_row (VMSNAP_BUS_NAME ".Manager", "Start"));
  g_assert_null (bus_auth_find_row (VMSNAP_BUS_NAME ".Domain", "start"));
  g_assert_null (bus_auth_find_row (VMSNAP_BUS_NAME ".Domain", ""));
  g_assert_null (bus_auth_find_row ("Domain", "Start"));
  g_assert_null (bus_auth_find_row ("org.freedesktop.DBus.Properties", "Set"));
}

static const BusMethod *
find_method (const BusMethod *methods, const char *name)
{
  for (; methods->name != NULL; methods++)
    if (g_str_equal (methods->name, name))
      return methods;
  return NULL;
}

static void
test_every_method_is_served (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (interfaces); i++)
    {
      GDBusInterfaceInfo *info = interfaces[i].get_info ();
      guint n_methods = 0;

      for (guint m = 0; info->methods[m] != NULL; m++, n_methods++)
        if (find_method (interfaces[i].methods, info->methods[m]->name) == NULL)
          g_error ("%s.%s is served by nobody", info->name, info->methods[m]->name);
      for (const BusMethod *method = interfaces[i].methods; method->name != NULL; method++)
        n_methods--;
      g_assert_cmpuint (n_methods, ==, 0);
    }
}

static void
test_options_come_last (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (interfaces); i++)
    for (GDBusMethodInfo **method = interfaces[i].get_info ()->methods; *method != NULL; method++)
      {
        guint last = 0;

        while ((*method)->in_args[last + 1] != NULL)
          last++;
        g_assert_cmpstr ((*method)->in_args[last]->signature, ==, "a{sv}");
      }
}

static void
test_every_action_is_declared (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_BUILT, "..", "..", "polkit", "org.vmsnap.VmSnap1.policy", NULL);
  g_autofree char *policy = NULL;
  g_autoptr (GError) error = NULL;
  guint n_rows;
  const BusAuthRow *rows = bus_auth_get_rows (&n_rows);

  g_file_get_contents (path, &policy, NULL, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < n_rows; i++)
    {
      g_autofree char *declaration = g_strdup_printf ("<action id=\"%s%s\">", VMSNAP_ACTION_PREFIX, rows[i].action);

      if (strstr (policy, declaration) == NULL)
        g_error ("The action %s of %s.%s is not declared", rows[i].action, rows[i].interface, rows[i].method);
    }
}

static void
test_only_jobs_have_owners (void)
{
  guint n_rows;
  const BusAuthRow *rows = bus_auth_get_rows (&n_rows);

  for (guint i = 0; i < n_rows; i++)
    if (rows[i].flags & BUS_AUTH_OWN_JOB)
      g_assert_cmpstr (rows[i].interface, ==, "Job");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/auth/every-method-has-a-row", test_every_method_has_a_row);
  g_test_add_func ("/auth/every-row-has-a-method", test_every_row_has_a_method);
  g_test_add_func ("/auth/no-row-comes-twice", test_no_row_comes_twice);
  g_test_add_func ("/auth/strangers-have-no-row", test_strangers_have_no_row);
  g_test_add_func ("/auth/every-method-is-served", test_every_method_is_served);
  g_test_add_func ("/auth/options-come-last", test_options_come_last);
  g_test_add_func ("/auth/every-action-is-declared", test_every_action_is_declared);
  g_test_add_func ("/auth/only-jobs-have-owners", test_only_jobs_have_owners);
  return g_test_run ();
}
