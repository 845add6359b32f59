/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The runner's promises: steps in order, undo in reverse, a journal before each step and none at the end, and a
 * recovery that goes forward past the point of no return and back before it. The steps here only write down that they
 * were called.
 */
#include <glib/gstdio.h>

#include "vmsnap-error.h"
#include "vs-engine-private.h"
#include "vs-journal.h"

#define XML                                                                                                            \
  "<domain type='qemu'><name>one</name><uuid>2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a01</uuid><memory "                      \
  "unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os></domain>"
#define UUID "2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a01"

typedef struct
{
  char *directory;
  VsStore *store;
  VsEngine *engine;
  VsDomain *domain;
} Fixture;

/* What the steps did, in the order in which they did it, and which of them fails. */
static GString *log_;
static const char *failing = "";
static gboolean happened_answer;
static gboolean cancel_in_two;
static gboolean withdraw_in_three;
static GPtrArray *claimed_in_undo; /* of VsDiskChain */
static GMutex gate;

static gboolean
act (VsRun *run, const char *what, GError **error)
{
  g_autofree char *path = vs_store_get_path (vs_run_get_store (run), UUID, "journal", NULL);

  g_assert_true (g_file_test (path, G_FILE_TEST_IS_DIR));
  g_string_append_printf (log_, "%s ", what);
  if (!g_str_equal (failing, what))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "%s failed", what);
  return FALSE;
}

static gboolean
one (VsRun *run, GError **error)
{
  vs_run_set_string (run, "kept", "by one");
  g_mutex_lock (&gate);
  g_mutex_unlock (&gate);
  return act (run, "one", error);
}

static gboolean
claim (VsRun *run, gpointer chains, GError **error)
{
  return vs_engine_claim_disks (vs_run_get_engine (run), vs_run_get_def (run), chains, error);
}

static gboolean
undo_one (VsRun *run, GError **error)
{
  if (claimed_in_undo != NULL)
    g_assert_true (vs_run_on_main (run, claim, claimed_in_undo, NULL));
  return act (run, "-one", error);
}

static gboolean
cancel_job (VsRun *run, gpointer data, GError **error)
{
  return vs_job_cancel (vs_run_get_job (run), error);
}

static gboolean
two (VsRun *run, GError **error)
{
  g_assert_cmpstr (vs_run_get_string (run, "kept"), ==, "by one");
  if (cancel_in_two)
    g_assert_true (vs_run_on_main (run, cancel_job, NULL, NULL));
  return act (run, "two", error);
}

static gboolean
undo_two (VsRun *run, GError **error)
{
  g_assert_null (vs_run_get_cancellable (run));
  return act (run, "-two", error);
}

static gboolean
happened (VsRun *run)
{
  return happened_answer;
}

static gboolean
three (VsRun *run, GError **error)
{
  if (withdraw_in_three)
    vs_run_withdraw_commit (run);
  return act (run, "three", error);
}

static const VsStep steps[] = {
  { "One", 1, one, undo_one },
  { "Two", 2, two, undo_two, happened, VS_COMMIT_WHEN_DONE },
  { "Three", 1, three },
};

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  if (!json_object_has_member (facts, "refuse"))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "refused");
  return FALSE;
}

static const VsWorkflow workflow = { "test", "test-one", check, steps, G_N_ELEMENTS (steps) };

static VsJournal *
read_journal (VsRun *run)
{
  g_autoptr (GPtrArray) journals = vs_journal_load (vs_run_get_store (run), UUID);

  g_assert_cmpuint (journals->len, <=, 1);
  return journals->len == 1 ? g_ptr_array_steal_index (journals, 0) : NULL;
}

static gboolean
look (VsRun *run, GError **error)
{
  g_assert_null (read_journal (run));
  g_string_append (log_, "look ");
  return TRUE;
}

static gboolean
joined_two (VsRun *run, GError **error)
{
  g_autoptr (VsJournal) journal = read_journal (run);

  g_assert_cmpuint (journal->step, ==, 1);
  return two (run, error);
}

static const VsStep joined_steps[] = {
  { "Look", 1, look },
  { "One", 1, one, undo_one },
  { "Two", 2, joined_two, undo_two, happened, VS_COMMIT_WHEN_DONE, NULL, TRUE },
  { "Three", 1, three },
};

static const VsWorkflow joined_workflow = { "test", "test-joined", check, joined_steps, G_N_ELEMENTS (joined_steps) };

static gboolean
look_and_turn (VsRun *run, GError **error)
{
  vs_run_turn_to (run, &workflow);
  return look (run, error);
}

static const VsStep turning_steps[] = {
  { "Look", 1, look_and_turn },
};

static const VsWorkflow turning_workflow
  = { "test", "test-turning", check, turning_steps, G_N_ELEMENTS (turning_steps) };
static const VsWorkflow *const workflows[] = { &workflow, &joined_workflow, NULL };

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (XML, VS_DOMAIN_DEF_NONE, &error);
  g_autofree char *xml = NULL;

  g_assert_no_error (error);
  fixture->directory = g_dir_make_tmp ("vmsnap-run-XXXXXX", NULL);
  fixture->store = vs_store_new (fixture->directory, fixture->directory, fixture->directory);
  g_assert_true (vs_store_prepare (fixture->store, &error));
  fixture->engine = vs_engine_new (fixture->store, "/nonexistent", workflows);
  fixture->domain = vs_domain_new (fixture->store, def, TRUE);
  vs_engine_add_domain (fixture->engine, fixture->domain);
  xml = vs_domain_def_format (def);
  g_assert_true (vs_store_write (fixture->store, UUID, NULL, "domain.xml", xml, -1, &error));

  log_ = g_string_new (NULL);
  failing = "";
  happened_answer = FALSE;
  cancel_in_two = FALSE;
  withdraw_in_three = FALSE;
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_autofree char *domains = g_build_filename (fixture->directory, "domains", NULL);
  g_autofree char *jobs = g_build_filename (fixture->directory, "jobs", NULL);

  vs_store_remove_domain (fixture->store, UUID, NULL);
  g_unlink (jobs);
  g_rmdir (domains);
  g_rmdir (fixture->directory);
  g_object_unref (fixture->domain);
  g_object_unref (fixture->engine);
  g_object_unref (fixture->store);
  g_free (fixture->directory);
  g_string_free (log_, TRUE);
}

static VsJob *
submit_workflow (Fixture *fixture,
                 const VsWorkflow *which,
                 JsonObject *facts,
                 gboolean no_queue,
                 GError **error)
{
  g_autoptr (JsonObject) none = json_object_new ();
  VsRequest request = { .caller_uid = 7, .no_queue = no_queue };

  return vs_engine_submit (fixture->engine, fixture->domain, which, facts != NULL ? facts : none, &request, error);
}

static VsJob *
submit (Fixture *fixture, JsonObject *facts, gboolean no_queue, GError **error)
{
  return submit_workflow (fixture, &workflow, facts, no_queue, error);
}

static void
wait_for (VsJob *job)
{
  while (!vs_job_has_ended (job))
    g_main_context_iteration (NULL, TRUE);
}

static VsJob *
run_one (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  VsJob *job = submit (fixture, NULL, FALSE, &error);

  g_assert_no_error (error);
  wait_for (job);
  return job;
}

static guint
count_journals (Fixture *fixture)
{
  g_autoptr (GPtrArray) journals = vs_journal_load (fixture->store, UUID);

  return journals->len;
}

static void
test_steps_in_order (Fixture *fixture, gconstpointer data)
{
  VsJob *job = run_one (fixture);

  g_assert_cmpstr (log_->str, ==, "one two three ");
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpfloat (vs_job_get_progress (job), ==, 1);
  g_assert_cmpuint (vs_job_get_caller_uid (job), ==, 7);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
  g_assert_null (vs_domain_get_job (fixture->domain));
}

static void
test_failure_undoes_in_reverse (Fixture *fixture, gconstpointer data)
{
  VsJob *job;

  failing = "two";
  job = run_one (fixture);
  g_assert_cmpstr (log_->str, ==, "one two -two -one ");
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_FAILED);
  g_assert_error (vs_job_get_error (job), VMSNAP_ERROR, VMSNAP_ERROR_IO);
  g_assert_cmpfloat (vs_job_get_progress (job), <, 1);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

static void
test_cancel_undoes (Fixture *fixture, gconstpointer data)
{
  VsJob *job = submit (fixture, NULL, FALSE, NULL);

  g_mutex_lock (&gate);
  while (vs_job_get_state (job) != VMSNAP_JOB_STATE_RUNNING)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (vs_job_cancel (job, NULL));
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_CANCELLING);
  g_mutex_unlock (&gate);
  wait_for (job);
  g_assert_true (g_str_equal (log_->str, "one -one ") || g_str_equal (log_->str, ""));
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_CANCELLED);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

static void
test_past_commit_nothing_is_undone (Fixture *fixture, gconstpointer data)
{
  VsJob *job;

  cancel_in_two = TRUE;
  job = run_one (fixture);
  g_assert_cmpstr (log_->str, ==, "one two three ");
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_COMPLETED);
}

static void
test_withdrawn_commit_is_undone (Fixture *fixture, gconstpointer data)
{
  VsJob *job;

  failing = "three";
  withdraw_in_three = TRUE;
  job = run_one (fixture);
  g_assert_cmpstr (log_->str, ==, "one two three -two -one ");
  g_assert_error (vs_job_get_error (job), VMSNAP_ERROR, VMSNAP_ERROR_IO);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

static VsJob *
turn (Fixture *fixture)
{
  VsJob *job = submit_workflow (fixture, &turning_workflow, NULL, FALSE, NULL);

  wait_for (job);
  return job;
}

static void
test_turns_to_another_workflow (Fixture *fixture, gconstpointer data)
{
  VsJob *job = turn (fixture);

  g_assert_cmpstr (log_->str, ==, "look one two three ");
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpfloat (vs_job_get_progress (job), ==, 1);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

/* In a next life, too, for the journal names it. */
static void
test_turned_is_undone (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = NULL;
  g_autoptr (GPtrArray) journals = NULL;
  VsJob *job;

  failing = "two";
  job = turn (fixture);
  g_assert_cmpstr (log_->str, ==, "look one two -two -one ");
  g_assert_error (vs_job_get_error (job), VMSNAP_ERROR, VMSNAP_ERROR_IO);
  g_assert_cmpfloat (vs_job_get_progress (job), <, 1);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
  failing = "three";
  turn (fixture);
  journals = vs_journal_load (fixture->store, UUID);
  g_assert_cmpuint (journals->len, ==, 1);
  journal = g_ptr_array_steal_index (journals, 0);
  g_assert_cmpstr (journal->workflow, ==, "test-one");
}

/* What can't be finished now is finished before the next operation on the domain. */
static void
test_unfinished_is_finished_first (Fixture *fixture, gconstpointer data)
{
  VsJob *job;

  failing = "three";
  job = run_one (fixture);
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpuint (count_journals (fixture), ==, 1);
  failing = "";
  g_string_truncate (log_, 0);
  job = run_one (fixture);
  g_assert_cmpstr (log_->str, ==, "three one two three ");
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

static VsJournal *
leave_behind_of (Fixture *fixture, const VsWorkflow *which, guint step, gboolean committed)
{
  g_autoptr (JsonObject) facts = json_object_new ();
  VsJournal *journal = vs_journal_new (UUID, which->name, 41, 7, facts);

  json_object_set_string_member (facts, "kept", "by one");
  journal->step = committed ? step - 1 : step;
  g_assert_true (vs_journal_write (journal, fixture->store, NULL));
  g_assert_true (!committed || vs_journal_commit (journal, fixture->store, NULL));
  return journal;
}

static VsJournal *
leave_behind (Fixture *fixture, guint step, gboolean committed)
{
  return leave_behind_of (fixture, &workflow, step, committed);
}

/* What can't be undone now keeps the domain from other work, and is undone before that. */
static void
test_failed_undo_is_tried_again (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = NULL;
  VsJob *job;

  journal = leave_behind (fixture, 1, FALSE);
  failing = "-one";
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*could not be undone*");
  job = run_one (fixture);
  g_test_assert_expected_messages ();
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpstr (log_->str, ==, "-two -one ");
  g_assert_cmpuint (count_journals (fixture), ==, 1);

  failing = "";
  g_string_truncate (log_, 0);
  job = run_one (fixture);
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpstr (log_->str, ==, "-one one two three ");
}

/* A file that any domain can claim: the array owns it. */
static GPtrArray *
make_chains (const char *path)
{
  const VsDiskDef disk = { .target = (char *) "vda", .path = (char *) path, .format = (char *) "raw" };
  g_autoptr (GError) error = NULL;
  GPtrArray *chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);

  g_assert_true (g_file_set_contents (path, "disk", -1, NULL));
  g_ptr_array_add (chains, vs_disk_chain_probe (&disk, NULL, &error));
  g_assert_no_error (error);
  return chains;
}

/* Other domains may use the disks of one that waits to be settled, and is off. */
static void
test_failed_undo_lets_go_of_the_disks (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind (fixture, 1, FALSE);
  g_autofree char *path = g_build_filename (fixture->directory, "disk.raw", NULL);
  g_autoptr (GPtrArray) chains = make_chains (path);
  g_autoptr (GString) xml = g_string_new (XML);
  g_autoptr (VsDomainDef) other = NULL;
  g_autoptr (GError) error = NULL;

  g_string_replace (xml, UUID, "00000000-0000-4000-8000-00000000ffff", 0);
  other = vs_domain_def_parse (xml->str, VS_DOMAIN_DEF_NONE, &error);
  g_assert_no_error (error);
  claimed_in_undo = chains;
  failing = "-one";
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*could not be undone*");
  run_one (fixture);
  g_test_assert_expected_messages ();
  claimed_in_undo = NULL;
  g_assert_true (vs_engine_claim_disks (fixture->engine, other, chains, &error));
  g_assert_no_error (error);
  g_unlink (path);
}

/* What an earlier step protected may be all that is left: it isn't tidied away past a step that couldn't be undone. */
static void
test_failed_undo_keeps_what_protects (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind (fixture, 1, FALSE);
  VsJob *job;

  failing = "-two";
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*could not be undone*");
  job = run_one (fixture);
  g_test_assert_expected_messages ();
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpstr (log_->str, ==, "-two ");
  g_assert_cmpuint (count_journals (fixture), ==, 1);
}

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_assert_true (vs_engine_load_finish (VS_ENGINE (source), result, NULL));
  *(gboolean *) user_data = TRUE;
}

/* A new life: another engine on the same store. Its job tells how the operation ended. */
static void
recover (Fixture *fixture, VmSnapJobState expected)
{
  g_autoptr (VsEngine) next = vs_engine_new (fixture->store, "/nonexistent", workflows);
  gboolean loaded = FALSE;
  VsJob *job;

  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*No guest can be started*");
  vs_engine_load_async (next, on_loaded, &loaded);
  while (!loaded)
    g_main_context_iteration (NULL, TRUE);
  g_test_assert_expected_messages ();
  job = vs_engine_find_job (next, 41);
  g_assert_nonnull (job);
  g_assert_cmpint (vs_job_get_state (job), ==, expected);
  g_assert_cmpstr (vs_job_get_operation (job), ==, "test");
  g_assert_cmpuint (vs_job_get_caller_uid (job), ==, 7);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

static void
test_recovery_goes_back (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind (fixture, 1, FALSE);

  recover (fixture, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpstr (log_->str, ==, "-two -one ");
}

/* A recovery that was itself cut short on its way back doesn't turn round, whatever seems to have happened. */
static void
test_recovery_does_not_turn_round (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind (fixture, 1, FALSE);

  journal->undoing = TRUE;
  g_assert_true (vs_journal_write (journal, fixture->store, NULL));
  happened_answer = TRUE;
  recover (fixture, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpstr (log_->str, ==, "-two -one ");
}

static void
test_recovery_goes_forward (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind (fixture, 2, TRUE);

  recover (fixture, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpstr (log_->str, ==, "three ");
}

static void
test_recovery_asks_what_happened (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind (fixture, 1, FALSE);

  happened_answer = TRUE;
  recover (fixture, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpstr (log_->str, ==, "three ");
}

static void
test_joined_step (Fixture *fixture, gconstpointer data)
{
  VsJob *job = submit_workflow (fixture, &joined_workflow, NULL, FALSE, NULL);

  wait_for (job);
  g_assert_cmpstr (log_->str, ==, "look one two three ");
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

static void
test_failed_joined_step (Fixture *fixture, gconstpointer data)
{
  VsJob *job = submit_workflow (fixture, &joined_workflow, NULL, FALSE, NULL);

  failing = "two";
  wait_for (job);
  g_assert_cmpstr (log_->str, ==, "look one two -two -one ");
  g_assert_cmpint (vs_job_get_state (job), ==, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpuint (count_journals (fixture), ==, 0);
}

/* Nobody wrote down whether the joined step had begun. */
static void
test_recovery_undoes_what_joined (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind_of (fixture, &joined_workflow, 1, FALSE);

  recover (fixture, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpstr (log_->str, ==, "-two -one ");
}

/* On the way back, the journal has said so, and the joined step is undone. */
static void
test_recovery_undoes_nothing_twice (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind_of (fixture, &joined_workflow, 1, FALSE);

  journal->undoing = TRUE;
  g_assert_true (vs_journal_write (journal, fixture->store, NULL));
  recover (fixture, VMSNAP_JOB_STATE_FAILED);
  g_assert_cmpstr (log_->str, ==, "-one ");
}

static void
test_recovery_asks_what_joined (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind_of (fixture, &joined_workflow, 1, FALSE);

  happened_answer = TRUE;
  recover (fixture, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpstr (log_->str, ==, "three ");
}

static void
test_recovery_goes_on_behind_what_joined (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VsJournal) journal = leave_behind_of (fixture, &joined_workflow, 1, FALSE);

  g_assert_true (vs_journal_commit (journal, fixture->store, NULL));
  recover (fixture, VMSNAP_JOB_STATE_COMPLETED);
  g_assert_cmpstr (log_->str, ==, "three ");
}

static void
test_queue_keeps_the_order (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  VsJob *first = submit (fixture, NULL, FALSE, NULL);
  VsJob *second = submit (fixture, NULL, FALSE, NULL);
  VsJob *third = submit (fixture, NULL, FALSE, NULL);

  g_assert_null (submit (fixture, NULL, TRUE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY);
  g_assert_true (vs_job_cancel (third, NULL));
  wait_for (third);
  g_assert_cmpint (vs_job_get_state (third), ==, VMSNAP_JOB_STATE_CANCELLED);
  wait_for (second);
  g_assert_true (vs_job_has_ended (first));
  g_assert_cmpstr (log_->str, ==, "one two three one two three ");
}

static void
test_check_refuses_at_once (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) facts = json_object_new ();

  json_object_set_boolean_member (facts, "refuse", TRUE);
  g_assert_null (submit (fixture, facts, FALSE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE);
  g_assert_cmpstr (log_->str, ==, "");
}

static void
test_job_numbers_are_not_used_twice (Fixture *fixture, gconstpointer data)
{
  guint first = vs_job_get_number (run_one (fixture));
  g_autoptr (VsEngine) next = vs_engine_new (fixture->store, "/nonexistent", workflows);
  gboolean loaded = FALSE;
  g_autoptr (GList) domains = NULL;
  g_autoptr (JsonObject) facts = json_object_new ();
  VsRequest request = { 0 };
  VsJob *job;

  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*No guest can be started*");
  vs_engine_load_async (next, on_loaded, &loaded);
  while (!loaded)
    g_main_context_iteration (NULL, TRUE);
  domains = vs_engine_list_domains (next);
  job = vs_engine_submit (next, domains->data, &workflow, facts, &request, NULL);
  g_assert_cmpuint (vs_job_get_number (job), >, first);
  wait_for (job);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/run/steps-run-in-order-and-leave-no-journal", test_steps_in_order);
  ADD ("/run/failure-undoes-in-reverse", test_failure_undoes_in_reverse);
  ADD ("/run/cancel-undoes", test_cancel_undoes);
  ADD ("/run/past-the-commit-point-nothing-is-undone", test_past_commit_nothing_is_undone);
  ADD ("/run/withdrawn-commit-is-undone", test_withdrawn_commit_is_undone);
  ADD ("/run/step-that-looks-turns-to-another-workflow", test_turns_to_another_workflow);
  ADD ("/run/what-it-turned-to-is-undone-and-journalled", test_turned_is_undone);
  ADD ("/run/unfinished-operation-is-finished-before-the-next", test_unfinished_is_finished_first);
  ADD ("/run/failed-undo-is-tried-again-before-the-next", test_failed_undo_is_tried_again);
  ADD ("/run/failed-undo-keeps-what-protects", test_failed_undo_keeps_what_protects);
  ADD ("/run/failed-undo-lets-go-of-the-disks", test_failed_undo_lets_go_of_the_disks);
  ADD ("/recovery/does-not-turn-round", test_recovery_does_not_turn_round);
  ADD ("/recovery/goes-back-before-the-commit-point", test_recovery_goes_back);
  ADD ("/recovery/goes-forward-past-the-commit-point", test_recovery_goes_forward);
  ADD ("/recovery/asks-what-happened", test_recovery_asks_what_happened);
  ADD ("/run/looks-without-a-journal-and-joins-steps", test_joined_step);
  ADD ("/run/failure-undoes-what-joined", test_failed_joined_step);
  ADD ("/recovery/undoes-what-joined", test_recovery_undoes_what_joined);
  ADD ("/recovery/undoes-nothing-twice", test_recovery_undoes_nothing_twice);
  ADD ("/recovery/asks-what-joined", test_recovery_asks_what_joined);
  ADD ("/recovery/goes-on-behind-what-joined", test_recovery_goes_on_behind_what_joined);
  ADD ("/queue/keeps-the-order-and-cancels-what-waits", test_queue_keeps_the_order);
  ADD ("/queue/check-refuses-at-once", test_check_refuses_at_once);
  ADD ("/queue/job-numbers-are-not-used-twice", test_job_numbers_are_not_used_twice);
  return g_test_run ();
}
