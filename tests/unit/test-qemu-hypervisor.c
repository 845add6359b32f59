/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Emulators: the real one, and scripts in its place that end, babble or keep silent.
 */
#include "vs-hypervisor.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define QEMU "qemu-system-x86_64"

typedef struct
{
  char *dir;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("vmsnap-hypervisor-XXXXXX", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (f->dir, 0, NULL);
  const char *file;

  while ((file = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (f->dir, file, NULL);

      g_unlink (path);
    }
  g_assert_cmpint (g_rmdir (f->dir), ==, 0);
  g_free (f->dir);
  vs_hypervisor_set_probe_timeout (0);
  /* Whatever was started is gone, and reaped. */
  g_assert_cmpint (waitpid (-1, NULL, WNOHANG), ==, -1);
  g_assert_cmpint (errno, ==, ECHILD);
}

static char *
script (Fixture *f, const char *name, const char *body)
{
  char *path = g_build_filename (f->dir, name, NULL);
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\n%s\n", body);

  g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  return path;
}

/* An emulator that writes down each of its starts. */
static char *
counting_script (Fixture *f)
{
  g_autofree char *body = g_strdup_printf ("echo once >> '%s/starts'\nexec " QEMU " \"$@\"", f->dir);

  return script (f, "counting", body);
}

static gsize
count_starts (Fixture *f)
{
  g_autofree char *path = g_build_filename (f->dir, "starts", NULL);
  g_autofree char *text = NULL;
  gsize length = 0;

  g_file_get_contents (path, &text, &length, NULL);
  return length / strlen ("once\n");
}

static VsHypervisor *
get (const char *path)
{
  g_autoptr (GError) error = NULL;
  VsHypervisor *hypervisor = vs_hypervisor_get (path, NULL, &error);

  g_assert_no_error (error);
  return hypervisor;
}

static void
refuse (const char *path, int code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsHypervisor) hypervisor = vs_hypervisor_get (path, NULL, &error);

  g_assert_null (hypervisor);
  g_assert_error (error, VMSNAP_ERROR, code);
  if (strstr (error->message, words) == NULL || strstr (error->message, path) == NULL)
    g_error ("'%s' and '%s' are not in '%s'", words, path, error->message);
}

static void
test_facts (Fixture *f, gconstpointer data)
{
  static const char *const expected[]
    = { "block-commit", "blockdev-reopen",         "blockdev-snapshot", "multifd",
        "transaction",  "pause-before-switchover", "screendump-png",    "snapshot-jobs" };
  g_autoptr (VsHypervisor) hypervisor = get (QEMU);
  const char *const *features = vs_hypervisor_get_features (hypervisor);

  g_assert_true (g_path_is_absolute (vs_hypervisor_get_path (hypervisor)));
  g_assert_true (g_regex_match_simple ("^[0-9]+\\.[0-9]+\\.[0-9]+$", vs_hypervisor_get_version (hypervisor), 0, 0));
  g_assert_cmpstr (vs_hypervisor_get_arch (hypervisor), ==, "x86_64");
  for (gsize i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_true (vs_hypervisor_has (hypervisor, expected[i]));
  g_assert_false (vs_hypervisor_has (hypervisor, "time-travel"));
  for (gsize i = 0; features[i] != NULL && features[i + 1] != NULL; i++)
    g_assert_cmpstr (features[i], <, features[i + 1]);
}

static void
test_machines (Fixture *f, gconstpointer data)
{
  g_autoptr (VsHypervisor) hypervisor = get (QEMU);
  g_autofree char *q35 = vs_hypervisor_resolve_machine (hypervisor, "q35", NULL);
  g_autofree char *again = vs_hypervisor_resolve_machine (hypervisor, q35, NULL);
  g_autofree char *pc = vs_hypervisor_resolve_machine (hypervisor, "pc", NULL);
  g_autofree char *none = vs_hypervisor_resolve_machine (hypervisor, NULL, NULL);

  g_assert_true (g_str_has_prefix (q35, "pc-q35-"));
  g_assert_cmpstr (again, ==, q35);
  g_assert_true (g_str_has_prefix (pc, "pc-i440fx-"));
  g_assert_cmpstr (none, ==, pc);
}

static void
test_unknown_machine (Fixture *f, gconstpointer data)
{
  g_autoptr (VsHypervisor) hypervisor = get (QEMU);
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_hypervisor_resolve_machine (hypervisor, "pc-q35-77.7", &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "pc-q35-77.7"));
  g_assert_nonnull (strstr (error->message, "for instance: pc-q35-7."));
  g_assert_nonnull (strstr (error->message, "-machine help"));
}

static void
test_asked_once (Fixture *f, gconstpointer data)
{
  g_autofree char *path = counting_script (f);
  g_autoptr (VsHypervisor) first = get (path);
  g_autoptr (VsHypervisor) second = get (path);

  g_assert_true (first == second);
  g_assert_cmpuint (count_starts (f), ==, 1);
}

static void
test_asked_again_when_changed (Fixture *f, gconstpointer data)
{
  g_autofree char *path = counting_script (f);
  g_autoptr (VsHypervisor) first = get (path);
  g_autofree char *same = counting_script (f); /* another inode */
  g_autoptr (VsHypervisor) second = get (same);

  g_assert_true (first != second);
  g_assert_cmpuint (count_starts (f), ==, 2);
}

static gpointer
get_in_thread (gpointer path)
{
  return get (path);
}

static void
test_many_ask_at_once (Fixture *f, gconstpointer data)
{
  g_autofree char *path = counting_script (f);
  GThread *threads[8];
  VsHypervisor *found[8];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("get", get_in_thread, path);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    found[i] = g_thread_join (threads[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    {
      g_assert_true (found[i] == found[0]);
      if (i > 0)
        g_object_unref (found[i]);
    }
  g_object_unref (found[0]);
  g_assert_cmpuint (count_starts (f), ==, 1);
}

static void
test_absent (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->dir, "file", NULL);

  refuse ("/nonexistent/qemu", VMSNAP_ERROR_NOT_FOUND, "Install QEMU");
  refuse ("qemu-system-nonexistent", VMSNAP_ERROR_NOT_FOUND, "Install QEMU");
  refuse (f->dir, VMSNAP_ERROR_NOT_FOUND, "not a program");
  g_assert_true (g_file_set_contents (path, "", -1, NULL));
  refuse (path, VMSNAP_ERROR_NOT_FOUND, "not a program");
}

static void
test_ends_at_once (Fixture *f, gconstpointer data)
{
  g_autofree char *path = script (f, "ends", "echo 'the first word' >&2; echo 'the last word' >&2; exit 7");
  g_autofree char *mute = script (f, "mute", "exit 7");

  refuse (path, VMSNAP_ERROR_HYPERVISOR,
          "exited with status 7 when asked what it can do: the first word; the last word");
  refuse (mute, VMSNAP_ERROR_HYPERVISOR, "exited with status 7");
}

static void
test_not_executable_format (Fixture *f, gconstpointer data)
{
  g_autofree char *path = script (f, "strange", "");

  g_assert_true (g_file_set_contents_full (path, "#!/nonexistent/shell\n", -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  refuse (path, VMSNAP_ERROR_NOT_FOUND, "");
}

static void
test_garbage (Fixture *f, gconstpointer data)
{
  g_autofree char *stays = script (f, "stays", "echo garbage; exec sleep 1000");
  g_autofree char *endless = script (f, "endless", "while :; do echo garbage; echo garbage >&2; done");
  g_autofree char *binary = script (f, "binary", "exec head -c 100000 /dev/urandom");
  g_autofree char *json = script (f, "json", "echo '{\"QMP\": 3}'; exec sleep 1000");

  refuse (stays, VMSNAP_ERROR_HYPERVISOR, "Is it QEMU?");
  refuse (endless, VMSNAP_ERROR_HYPERVISOR, "garbage");
  refuse (binary, VMSNAP_ERROR_HYPERVISOR, "");
  refuse (json, VMSNAP_ERROR_HYPERVISOR, "Is it QEMU?");
}

static void
test_silent (Fixture *f, gconstpointer data)
{
  g_autofree char *path = script (f, "silent", "exec sleep 1000");
  g_autofree char *greeting
    = script (f, "greeting",
              "echo '{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 9}, "
              "\"package\": \"\"}, \"capabilities\": []}}'; exec sleep 1000");

  vs_hypervisor_set_probe_timeout (G_USEC_PER_SEC / 5);
  refuse (path, VMSNAP_ERROR_TIMEOUT, "didn't answer");
  refuse (greeting, VMSNAP_ERROR_TIMEOUT, "didn't answer");
}

static void
test_failure_is_not_kept (Fixture *f, gconstpointer data)
{
  g_autofree char *flag = g_build_filename (f->dir, "flag", NULL);
  g_autofree char *body = g_strdup_printf ("[ -e '%s' ] || exit 1\nexec " QEMU " \"$@\"", flag);
  g_autofree char *path = script (f, "recovers", body);
  g_autoptr (VsHypervisor) hypervisor = NULL;

  refuse (path, VMSNAP_ERROR_HYPERVISOR, "exited with status 1");
  g_assert_true (g_file_set_contents (flag, "", -1, NULL));
  hypervisor = get (path);
}

static gpointer
cancel (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autofree char *path = script (f, "silent", "exec sleep 1000");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("cancel", cancel, cancellable);

  g_assert_null (vs_hypervisor_get (path, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  g_thread_join (thread);
}

static void
test_programs (Fixture *f, gconstpointer data)
{
  g_autofree char *emulator = counting_script (f);
  g_autofree char *beside = script (f, "qemu-storage-daemon", "");
  g_autoptr (VsHypervisor) hypervisor = get (emulator);
  g_autofree char *daemon = vs_hypervisor_find_program (hypervisor, "qemu-storage-daemon");
  g_autofree char *helper = vs_hypervisor_find_program (hypervisor, "qemu-bridge-helper");

  g_assert_cmpstr (daemon, ==, beside);
  g_assert_nonnull (helper);
  g_assert_null (vs_hypervisor_find_program (hypervisor, "qemu-nonexistent"));
}

static void
test_kvm (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  /* Either answer is right somewhere, but a no comes with a reason. */
  if (vs_hypervisor_check_kvm (&error))
    g_assert_no_error (error);
  else
    {
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
      g_assert_nonnull (strstr (error->message, "/dev/kvm"));
    }
}

#define ADD(path, func) g_test_add ("/hypervisor/" path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("qemu-tells-what-it-can-do", test_facts);
  ADD ("machine-types-get-their-version", test_machines);
  ADD ("unknown-machine-type-gets-suggestions", test_unknown_machine);
  ADD ("asked-once", test_asked_once);
  ADD ("asked-again-when-the-file-changed", test_asked_again_when_changed);
  ADD ("many-at-once-ask-once", test_many_ask_at_once);
  ADD ("absent-is-not-found", test_absent);
  ADD ("last-words-of-one-that-ends-at-once", test_ends_at_once);
  ADD ("missing-interpreter-is-not-found", test_not_executable_format);
  ADD ("garbage-is-an-error", test_garbage);
  ADD ("silent-one-is-ended-in-time", test_silent);
  ADD ("failure-is-not-kept", test_failure_is_not_kept);
  ADD ("cancel-ends-it", test_cancel);
  ADD ("helper-programs-beside-it-first", test_programs);
  ADD ("kvm-is-tried-for-real", test_kvm);
  return g_test_run ();
}
