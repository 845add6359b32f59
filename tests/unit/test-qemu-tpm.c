/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Emulated TPMs: the real swtpm, with and without the real QEMU.
 */
#include "vs-tpm.h"

#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-guest-private.h"

#include <glib/gstdio.h>
#include <string.h>

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define PATIENCE (30 * G_USEC_PER_SEC)

typedef struct
{
  char *dir;
  char *directory;
  char *state;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("vmsnap-tpm-XXXXXX", NULL);
  f->directory = vs_guest_directory (f->dir, UUID);
  f->state = g_build_filename (f->dir, "a,b state", "tpm", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "rm", "-rf", f->dir, NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;

  /* Children that nobody holds any more are the main loop's to reap. */
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_true (vs_process_run (argv, 100, PATIENCE, NULL, &output, &errors, NULL));
  g_free (f->dir);
  g_free (f->directory);
  g_free (f->state);
}

static gboolean
try_start (Fixture *f, const char *version, GError **error)
{
  const VsTpmSpec spec = { f->directory, f->state, f->dir, UUID, "web", version };

  return vs_tpm_start (&spec, NULL, error);
}

static VsProcess *
start (Fixture *f, const char *version)
{
  g_autoptr (GError) error = NULL;
  VsProcess *process;

  try_start (f, version, &error);
  g_assert_no_error (error);
  process = vs_guest_record_find (f->directory, VS_TPM_RECORD, &error);
  g_assert_no_error (error);
  g_assert_nonnull (process);
  return process;
}

static void
wait_for_end (VsProcess *process)
{
  g_autoptr (GError) error = NULL;

  vs_process_wait (process, PATIENCE, NULL, &error);
  g_assert_no_error (error);
}

static VsGuest *
start_guest (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (
    "<domain type='qemu'><name>web</name><uuid>" UUID "</uuid><memory>65536</memory>"
    "<os><type machine='pc-q35-7.2'>hvm</type></os><devices><tpm model='tpm-crb'><backend type='emulator' "
    "version='2.0'/></tpm></devices></domain>",
    VS_DOMAIN_DEF_NONE, &error);
  g_autoptr (VsHypervisor) hypervisor = vs_hypervisor_get ("qemu-system-x86_64", NULL, &error);
  const VsCommandLineContext context = { .directory = f->directory };
  g_auto (GStrv) argv = vs_command_line_build (def, hypervisor, &context, &error);
  const VsGuestSpec spec = {
    .runtime_directory = f->dir, .log_directory = f->dir, .uuid = UUID, .name = "web", .argv = (const char *const *)argv
  };
  VsGuest *guest;

  g_assert_no_error (error);
  guest = vs_guest_spawn (&spec, NULL, &error);
  g_assert_no_error (error);
  return guest;
}

static void
test_with_guest (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = start (f, "2.0");
  g_autoptr (VsGuest) guest = start_guest (f);
  g_autoptr (JsonNode) reply = qmp_client_call (vs_guest_get_client (guest), "query-tpm", NULL, NULL, NULL);
  g_autoptr (GDir) state = g_dir_open (f->state, 0, NULL);

  g_assert_cmpuint (json_array_get_length (json_node_get_array (reply)), ==, 1);
  g_assert_nonnull (g_dir_read_name (state));
  g_assert_false (vs_process_has_ended (process));
  /* It goes with QEMU, however that goes. */
  g_assert_true (vs_guest_end (guest, VS_PROCESS_END_KILL, 0, NULL, NULL));
  wait_for_end (process);
  vs_guest_cleanup (guest);
  g_assert_false (g_file_test (f->directory, G_FILE_TEST_EXISTS));
}

static void
test_end (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = start (f, data);
  g_autofree char *record = g_build_filename (f->directory, VS_TPM_RECORD, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (vs_tpm_end (f->directory, &error));
  g_assert_no_error (error);
  g_assert_true (vs_process_has_ended (process));
  g_assert_false (g_file_test (record, G_FILE_TEST_EXISTS));
  /* Again is as good. */
  g_assert_true (vs_tpm_end (f->directory, &error));
}

static void
test_leftover (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) first = start (f, "2.0");
  g_autoptr (VsProcess) second = start (f, "2.0");

  g_assert_true (vs_process_has_ended (first));
  g_assert_false (vs_process_has_ended (second));
  g_assert_true (vs_tpm_end (f->directory, NULL));
}

static void
test_guest_that_never_came (Fixture *f, gconstpointer data)
{
  g_autoptr (VsProcess) process = start (f, "2.0");
  const char *const argv[] = { "/bin/false", NULL };
  const VsGuestSpec spec
    = { .runtime_directory = f->dir, .log_directory = f->dir, .uuid = UUID, .name = "web", .argv = argv };
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_guest_spawn (&spec, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  wait_for_end (process);
  g_assert_false (g_file_test (f->directory, G_FILE_TEST_EXISTS));
}

static void
test_state_directory_taken (Fixture *f, gconstpointer data)
{
  g_autofree char *file = g_build_filename (f->dir, "a,b state", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (file, "", -1, NULL));
  g_assert_false (try_start (f, "2.0", &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO);
}

static void
in_path (Fixture *f, const char *script)
{
  g_autofree char *path = g_build_filename (f->dir, "swtpm", NULL);
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\n%s\n", script);

  if (script[0] != '\0')
    g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  g_setenv ("PATH", f->dir, TRUE);
}

static void
test_broken_program (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_strdup (g_getenv ("PATH"));
  g_autoptr (GError) absent = NULL;
  g_autoptr (GError) dead = NULL;

  in_path (f, "");
  g_assert_false (try_start (f, "2.0", &absent));
  g_assert_error (absent, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
  in_path (f, "echo no luck >&2; exit 1");
  g_assert_false (try_start (f, "2.0", &dead));
  g_assert_error (dead, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_nonnull (strstr (dead->message, "no luck"));
  g_setenv ("PATH", path, TRUE);
}

#define ADD_WITH(path, data, func) g_test_add ("/tpm/" path, Fixture, data, set_up, func, tear_down)
#define ADD(path, func) ADD_WITH (path, NULL, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("serves-a-guest-and-goes-with-it", test_with_guest);
  ADD_WITH ("version-2.0-is-ended", "2.0", test_end);
  ADD_WITH ("version-1.2-is-ended", "1.2", test_end);
  ADD ("leftover-is-ended-first", test_leftover);
  ADD ("goes-when-the-guest-never-came", test_guest_that_never_came);
  ADD ("state-directory-that-cannot-be-made", test_state_directory_taken);
  ADD ("absent-or-broken-swtpm-is-told", test_broken_program);
  return g_test_run ();
}
