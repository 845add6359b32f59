/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A real QEMU for tests: VMSNAP_TEST_EMULATOR, or the one in the path.
 */
#include "qmp-emulator.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>

#define PATIENCE (30 * G_USEC_PER_SEC)

/* In the child: it shall not outlive a test that crashes. */
static void
die_with_parent (gpointer data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

void
emulator_set_up (Emulator *emulator, gconstpointer data)
{
  const char *program = g_getenv ("VMSNAP_TEST_EMULATOR");
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  g_autofree char *monitor = NULL;
  g_autoptr (GError) error = NULL;

  emulator->dir = g_dir_make_tmp ("vmsnap-qemu-XXXXXX", NULL);
  emulator->monitor = g_build_filename (emulator->dir, "monitor", NULL);
  /* It waits for us: two threads of a QEMU that starts look at its socket, and may both greet whoever comes then. */
  monitor = g_strdup_printf ("socket,id=monitor,path=%s,server=on,wait=on", emulator->monitor);
  g_subprocess_launcher_set_child_setup (launcher, die_with_parent, NULL, NULL);
  emulator->process
    = g_subprocess_launcher_spawn (launcher, &error, program != NULL ? program : "qemu-system-x86_64", "-machine",
                                   data != NULL ? (const char *) data : "none", "-m", "16", "-nodefaults", "-display", "none", "-S", "-chardev", monitor, "-mon",
                                   "chardev=monitor,mode=control", NULL);
  g_assert_no_error (error);
  emulator->client = qmp_client_connect (emulator->monitor, QMP_CONNECT_WAIT_FOR_SOCKET, PATIENCE, NULL, &error);
  g_assert_no_error (error);
}

void
emulator_tear_down (Emulator *emulator, gconstpointer data)
{
  g_clear_object (&emulator->client);
  g_subprocess_force_exit (emulator->process);
  g_subprocess_wait (emulator->process, NULL, NULL);
  g_clear_object (&emulator->process);
  g_unlink (emulator->monitor);
  g_assert_cmpint (g_rmdir (emulator->dir), ==, 0);
  g_free (emulator->monitor);
  g_free (emulator->dir);
}

/* A command that must succeed. */
JsonNode *
emulator_call (Emulator *emulator, const char *command, JsonObject *arguments)
{
  g_autoptr (GError) error = NULL;
  JsonNode *reply = qmp_client_call (emulator->client, command, arguments, NULL, &error);

  g_assert_no_error (error);
  return reply;
}
