/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The last steps of a start, of a guest that died just before them: it never ran, so all before is undone, and the
 * managed save is kept. On a real engine; the steps before are stand-ins.
 */
#include <glib/gstdio.h>

#include "vmsnap-error.h"
#include "vs-engine-private.h"
#include "vs-journal.h"
#include "vs-save-workflows.h"
#include "vs-start.h"
#include "vs-steps.h"

#define UUID "2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a02"
#define XML                                                                                                            \
  "<domain type='qemu'><name>one</name><uuid>" UUID "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>"              \
  "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os></domain>"
#define MANAGED_SAVE "the guest"

static gboolean sent, undone;

static gboolean
spawn (VsRun *run, GError **error)
{
  vs_run_set_flag (run, FACT_CONT_SENT, sent);
  return TRUE;
}

static gboolean
end (VsRun *run, GError **error)
{
  undone = TRUE;
  return TRUE;
}

/* A start whose QEMU is gone when @workflow's steps from @from on begin. Returns whether its managed save is left. */
static gboolean
run_last_steps (const VsWorkflow *workflow, guint from, GError **error)
{
  static const VsWorkflow *const none[] = { NULL };
  VsStep steps[3] = { { "Starting QEMU", 1, spawn, end } };
  VsWorkflow last = { "start", "test-last", NULL, steps, 1 + workflow->n_steps - from };
  g_autofree char *directory = g_dir_make_tmp ("vmsnap-run-XXXXXX", NULL);
  g_autoptr (VsStore) store = vs_store_new (directory, directory, directory);
  g_autoptr (VsEngine) engine = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (XML, VS_DOMAIN_DEF_NONE, NULL);
  g_autoptr (VsDomain) domain = vs_domain_new (store, def, TRUE);
  g_autoptr (JsonObject) facts = json_object_new ();
  g_autoptr (GPtrArray) journals = NULL;
  g_autofree char *path = vs_store_get_path (store, UUID, NULL, VS_STORE_MANAGED_SAVE);
  g_autofree char *domains = g_build_filename (directory, "domains", NULL);
  g_autofree char *jobs = g_build_filename (directory, "jobs", NULL);
  VsRequest request = { 0 };
  gboolean left;
  VsJob *job;

  for (guint i = from; i < workflow->n_steps; i++)
    steps[1 + i - from] = workflow->steps[i];
  undone = FALSE;
  g_assert_true (vs_store_prepare (store, NULL));
  engine = vs_engine_new (store, "/nonexistent", none);
  vs_engine_add_domain (engine, domain);
  g_assert_true (vs_store_write (store, UUID, NULL, VS_STORE_MANAGED_SAVE, MANAGED_SAVE, -1, NULL));
  job = vs_engine_submit (engine, domain, &last, facts, &request, NULL);
  while (!vs_job_has_ended (job))
    g_main_context_iteration (NULL, TRUE);
  if (vs_job_get_error (job) != NULL)
    g_propagate_error (error, g_error_copy (vs_job_get_error (job)));
  journals = vs_journal_load (store, UUID);
  g_assert_cmpuint (journals->len, ==, 0);
  left = g_file_test (path, G_FILE_TEST_EXISTS);

  vs_store_remove_domain (store, UUID, NULL);
  g_unlink (jobs);
  g_rmdir (domains);
  g_rmdir (directory);
  return left;
}

static void
test_died_before (gconstpointer data)
{
  const VsWorkflow *workflow = data;
  g_autoptr (GError) error = NULL;

  sent = FALSE;
  g_assert_true (run_last_steps (workflow, workflow == &vs_workflow_start_boot ? 3 : 4, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
  g_assert_true (undone);
}

/* It may have run, and its managed save isn't that of its disks any more. */
static void
test_died_since (void)
{
  g_autoptr (GError) error = NULL;

  sent = TRUE;
  g_assert_false (run_last_steps (&vs_workflow_start_restore, 4, &error));
  g_assert_no_error (error);
  g_assert_false (undone);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/let-run/restored-guest-that-died-before-is-undone", &vs_workflow_start_restore,
                        test_died_before);
  g_test_add_data_func ("/let-run/booted-guest-that-died-before-is-undone", &vs_workflow_start_boot,
                        test_died_before);
  g_test_add_func ("/let-run/guest-that-died-since-goes-forward", test_died_since);
  return g_test_run ();
}
