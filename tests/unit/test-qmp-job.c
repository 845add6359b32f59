/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Jobs: of a real QEMU, and of a scripted one for what a real one rarely does.
 */
#include "qmp-job.h"

#include <glib/gstdio.h>
#include <string.h>

#include "qmp-emulator.h"
#include "qmp-peer.h"
#include "vmsnap-error.h"

typedef struct
{
  guint ticks;
  char *first_status;
  GCancellable *cancellable;
  GSubprocess *victim;
} Progress;

/* On the first tick: cancels or kills, if there is something to cancel or kill. */
static void
on_progress (QmpClient *client, const char *job_id, const char *status, gpointer data)
{
  Progress *progress = data;

  g_assert_nonnull (status);
  if (progress->ticks++ > 0)
    return;
  progress->first_status = g_strdup (status);
  if (progress->cancellable != NULL)
    g_cancellable_cancel (progress->cancellable);
  if (progress->victim != NULL)
    g_subprocess_force_exit (progress->victim);
}

static void
progress_clear (Progress *progress)
{
  g_free (progress->first_status);
  g_clear_object (&progress->cancellable);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Progress, progress_clear)

static JsonObject *
create_args (Emulator *emulator, const char *job_id, const char *name)
{
  g_autofree char *path = g_build_filename (emulator->dir, name, NULL);

  return qmp_args_new ("s:job-id", job_id, "o:options",
                       qmp_args_new ("s:driver", "file", "s:filename", path, "i:size", (gint64) 65536, NULL), NULL);
}

static void
remove_image (Emulator *emulator, const char *name)
{
  g_autofree char *path = g_build_filename (emulator->dir, name, NULL);

  g_assert_cmpint (g_unlink (path), ==, 0);
}

static void
assert_status (Emulator *emulator, const char *job_id, QmpJobStatus expected)
{
  g_autoptr (GError) error = NULL;
  QmpJobStatus status;

  g_assert_true (qmp_job_query (emulator->client, job_id, &status, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (status, ==, expected);
}

static void
add_null_disk (Emulator *emulator, const char *node)
{
  json_node_unref (emulator_call (
    emulator, "blockdev-add",
    qmp_args_new ("s:driver", "null-co", "s:node-name", node, "i:size", (gint64) 64 * 1024 * 1024, "b:read-zeroes",
                  TRUE, NULL)));
}

/* The arguments of a job that takes hours, at a byte a second, or no time at all (speed 0). */
static JsonObject *
backup_args (const char *job_id, gint64 speed)
{
  return qmp_args_new ("s:job-id", job_id, "s:device", "a", "s:target", "b", "s:sync", "full", "i:speed", speed,
                       "b:auto-dismiss", FALSE, NULL);
}

static void
set_up_disks (Emulator *emulator, gconstpointer data)
{
  emulator_set_up (emulator, data);
  add_null_disk (emulator, "a");
  add_null_disk (emulator, "b");
}

static void
test_success (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_auto (Progress) progress = { 0 };

  for (guint i = 0; i < 20; i++)
    {
      g_assert_true (qmp_job_run (emulator->client, "blockdev-create", create_args (emulator, "job", "image"), "job",
                                  on_progress, &progress, NULL, &error));
      g_assert_no_error (error);
      remove_image (emulator, "image");
      assert_status (emulator, "job", QMP_JOB_ABSENT);
    }
  g_assert_cmpuint (progress.ticks, >, 0);
}

static void
test_failure (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (qmp_job_run (emulator->client, "blockdev-create", create_args (emulator, "job", "none/image"), "job",
                               NULL, NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_nonnull (strstr (error->message, "'job'"));
  g_assert_nonnull (strstr (error->message, "No such file or directory"));
  assert_status (emulator, "job", QMP_JOB_ABSENT);
}

static void
test_refused (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (qmp_job_run (emulator->client, "blockdev-backup", backup_args ("not an id!", 0), "not an id!", NULL,
                               NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_nonnull (strstr (error->message, "blockdev-backup"));
}

static void
test_cancel (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_auto (Progress) progress = { .cancellable = g_cancellable_new () };

  g_assert_false (qmp_job_run (emulator->client, "blockdev-backup", backup_args ("job", 1), "job", on_progress,
                               &progress, progress.cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  assert_status (emulator, "job", QMP_JOB_ABSENT);
}

static void
test_cancelled_before (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (qmp_job_run (emulator->client, "blockdev-create", create_args (emulator, "job", "image"), "job", NULL,
                               NULL, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
}

static void
test_death (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_auto (Progress) progress = { .victim = emulator->process };

  g_assert_false (qmp_job_run (emulator->client, "blockdev-backup", backup_args ("job", 1), "job", on_progress,
                               &progress, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE);
}

static void
hurry (QmpClient *client, const char *job_id, const char *status, gpointer data)
{
  g_assert_cmpstr (status, !=, "concluded");
  qmp_client_send (client, "block-job-set-speed", qmp_args_new ("s:device", job_id, "i:speed", (gint64) 0, NULL));
}

/* As a service does that was restarted while the job ran. */
static void
test_wait_for_running (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) reply = emulator_call (emulator, "blockdev-backup", backup_args ("job", 1));

  g_clear_object (&emulator->client);
  emulator->client = qmp_client_connect (emulator->monitor, QMP_CONNECT_NONE, QMP_DEFAULT_TIMEOUT, NULL, &error);
  g_assert_no_error (error);
  assert_status (emulator, "job", QMP_JOB_ACTIVE);
  g_assert_true (qmp_job_wait (emulator->client, "job", hurry, NULL, NULL, &error));
  g_assert_no_error (error);
  assert_status (emulator, "job", QMP_JOB_ABSENT);
}

static void
await_conclusion (QmpWatch *watch)
{
  g_autofree char *status = NULL;

  while (g_strcmp0 (status, "concluded") != 0)
    {
      g_autoptr (QmpEvent) event = qmp_watch_pop (watch, QMP_NO_TIMEOUT, NULL, NULL);

      g_assert_nonnull (event);
      g_free (status);
      status = g_strdup (qmp_json_get_string (qmp_event_get_data (event), "status"));
    }
}

static void
test_wait_for_concluded (Emulator *emulator, gconstpointer data)
{
  static const char *const names[] = { "JOB_STATUS_CHANGE", NULL };
  g_autoptr (QmpWatch) watch = qmp_client_watch (emulator->client, names);
  g_autoptr (GError) error = NULL;
  g_autofree char *job_error = NULL;
  QmpJobStatus status;

  json_node_unref (emulator_call (emulator, "blockdev-create", create_args (emulator, "good", "image")));
  await_conclusion (watch);
  json_node_unref (emulator_call (emulator, "blockdev-create", create_args (emulator, "bad", "none/image")));
  await_conclusion (watch);

  assert_status (emulator, "good", QMP_JOB_SUCCEEDED);
  g_assert_true (qmp_job_query (emulator->client, "bad", &status, &job_error, NULL));
  g_assert_cmpint (status, ==, QMP_JOB_FAILED);
  g_assert_nonnull (strstr (job_error, "No such file"));

  g_assert_true (qmp_job_wait (emulator->client, "good", NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  g_assert_false (qmp_job_wait (emulator->client, "bad", NULL, NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  remove_image (emulator, "image");
}

/* The witness of an end, good or bad, stays until it is dismissed. */
static void
test_keep (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (qmp_job_run_and_keep (emulator->client, "blockdev-create", create_args (emulator, "job", "image"),
                                       "job", NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  assert_status (emulator, "job", QMP_JOB_SUCCEEDED);
  g_assert_true (qmp_job_wait_and_keep (emulator->client, "job", &error));
  g_assert_no_error (error);
  assert_status (emulator, "job", QMP_JOB_SUCCEEDED);
  qmp_job_dismiss (emulator->client, "job");
  assert_status (emulator, "job", QMP_JOB_ABSENT);

  g_assert_false (qmp_job_run_and_keep (emulator->client, "blockdev-create",
                                        create_args (emulator, "job", "none/image"), "job", NULL, NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_clear_error (&error);
  assert_status (emulator, "job", QMP_JOB_FAILED);
  qmp_job_dismiss (emulator->client, "job");
  assert_status (emulator, "job", QMP_JOB_ABSENT);
  remove_image (emulator, "image");
}

static void
test_wait_for_absent (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  assert_status (emulator, "job", QMP_JOB_ABSENT);
  g_assert_false (qmp_job_wait (emulator->client, "job", NULL, NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
  g_clear_error (&error);
  qmp_job_dismiss (emulator->client, "job");
  assert_status (emulator, "job", QMP_JOB_ABSENT);
}

typedef struct
{
  Emulator *emulator;
  guint number;
} Maker;

static gpointer
make_images (gpointer data)
{
  Maker *maker = data;
  g_autofree char *name = g_strdup_printf ("job%u", maker->number);

  for (guint i = 0; i < 10; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (qmp_job_run (maker->emulator->client, "blockdev-create", create_args (maker->emulator, name, name),
                                  name, NULL, NULL, NULL, &error));
      g_assert_no_error (error);
    }
  remove_image (maker->emulator, name);
  return NULL;
}

static void
test_many_at_once (Emulator *emulator, gconstpointer data)
{
  Maker makers[4];
  GThread *threads[4];

  for (guint i = 0; i < 4; i++)
    {
      makers[i] = (Maker){ emulator, i };
      threads[i] = g_thread_new ("maker", make_images, &makers[i]);
    }
  for (guint i = 0; i < 4; i++)
    g_thread_join (threads[i]);
}

static JsonObject *
snapshot_args (const char *tag, gboolean with_memory)
{
  const char *const disks[] = { "disk", NULL };

  return qmp_args_new ("s:job-id", "job", "s:tag", tag, "s:vmstate", with_memory ? "disk" : NULL, "S:devices", disks,
                       NULL);
}

static void
add_qcow2_disk (Emulator *emulator)
{
  g_autofree char *path = g_build_filename (emulator->dir, "image", NULL);

  g_assert_true (qmp_job_run (emulator->client, "blockdev-create", create_args (emulator, "job", "image"), "job", NULL,
                              NULL, NULL, NULL));
  json_node_unref (emulator_call (emulator, "blockdev-add",
                                  qmp_args_new ("s:driver", "file", "s:node-name", "file", "s:filename", path, NULL)));
  g_assert_true (qmp_job_run (
    emulator->client, "blockdev-create",
    qmp_args_new ("s:job-id", "job", "o:options",
                  qmp_args_new ("s:driver", "qcow2", "s:file", "file", "i:size", (gint64) 1024 * 1024, NULL), NULL),
    "job", NULL, NULL, NULL, NULL));
  json_node_unref (emulator_call (emulator, "blockdev-add",
                                  qmp_args_new ("s:driver", "qcow2", "s:node-name", "disk", "s:file", "file", NULL)));
}

static void
test_snapshots (Emulator *emulator, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  add_qcow2_disk (emulator);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (qmp_job_run (emulator->client, "snapshot-save", snapshot_args ("one", TRUE), "job", NULL, NULL,
                                  NULL, &error));
      g_assert_no_error (error);
      g_assert_false (qmp_job_run (emulator->client, "snapshot-save", snapshot_args ("one", TRUE), "job", NULL, NULL,
                                   NULL, &error));
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
      g_assert_nonnull (strstr (error->message, "already exists"));
      g_clear_error (&error);
      g_assert_true (qmp_job_run (emulator->client, "snapshot-load", snapshot_args ("one", TRUE), "job", NULL, NULL,
                                  NULL, &error));
      g_assert_no_error (error);
      g_assert_true (qmp_job_run (emulator->client, "snapshot-delete", snapshot_args ("one", FALSE), "job", NULL, NULL,
                                  NULL, &error));
      g_assert_no_error (error);
    }
  remove_image (emulator, "image");
}

/* What a scripted QEMU does with the one job that it is asked for. */
typedef struct
{
  const char *name;
  const char *events;  /* after the answer to the command; NULL: wait for job-cancel, then say cancelled_events */
  const char *jobs;    /* the answer to query-jobs */
  int code; /* -1: success */
} Script;

#define EVENT(status) "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"j\", \"status\": \"" status "\"}}\n"

static const Script scripts[] = {
  { "success-in-spite-of-a-cancel", NULL, "[{\"id\": \"j\", \"status\": \"concluded\"}]", -1 },
  { "failure-after-a-cancel-is-cancelled", NULL,
    "[{\"id\": \"j\", \"status\": \"concluded\", \"error\": \"Operation canceled\"}]", VMSNAP_ERROR_CANCELLED },
  { "job-that-dismisses-itself-is-not-found", EVENT ("running") EVENT ("concluded") EVENT ("null"), "[]",
    VMSNAP_ERROR_NOT_FOUND },
  { "strange-events-are-passed-over",
    "{\"event\": \"JOB_STATUS_CHANGE\"}\n{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": 5}}\n"
    "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"j\"}}\n"
    "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"k\", \"status\": \"concluded\"}}\n" EVENT ("concluded"),
    "[7, {\"id\": \"k\", \"error\": \"not ours\"}, {\"id\": \"j\", \"status\": \"concluded\"}]", -1 },
};

static void
play (Peer *peer, gpointer data)
{
  const Script *script = data;

  peer_greet (peer);
  peer_reply (peer, peer_expect (peer, "make"), "{}");
  if (script->events != NULL)
    peer_send (peer, script->events);
  else
    {
      gint64 id;

      peer_send (peer, EVENT ("running"));
      id = peer_expect (peer, "job-cancel");
      peer_send (peer, EVENT ("concluded"));
      peer_reply (peer, id, "{}");
    }
  peer_reply (peer, peer_expect (peer, "query-jobs"), script->jobs);
  peer_reply (peer, peer_expect (peer, "job-dismiss"), "{}");
  peer_expect_end (peer);
}

static void
test_script (gconstpointer data)
{
  const Script *script = data;
  g_autoptr (Peer) peer = peer_new (play, (gpointer) script);
  g_autoptr (QmpClient) client = peer_connect (peer, NULL);
  g_autoptr (GError) error = NULL;
  g_auto (Progress) progress = { .cancellable = script->events == NULL ? g_cancellable_new () : NULL };
  gboolean ok = qmp_job_run (client, "make", qmp_args_new ("s:job-id", "j", NULL), "j", on_progress, &progress,
                             progress.cancellable, &error);

  g_assert_true (ok == (script->code < 0));
  if (!ok)
    g_assert_error (error, VMSNAP_ERROR, script->code);
}

/* While the waiter is asking, more events come than a watch keeps, and the one that counts is among the lost. */
static void
overflow (Peer *peer, gpointer data)
{
  g_autoptr (GString) noise = g_string_new (EVENT ("concluded"));
  gint64 id;

  for (guint i = 0; i < QMP_WATCH_MAX_EVENTS; i++)
    g_string_append (noise, "{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"k\", \"status\": \"running\"}}\n");
  peer_greet (peer);
  id = peer_expect (peer, "query-jobs");
  peer_send (peer, noise->str);
  peer_reply (peer, id, "[{\"id\": \"j\", \"status\": \"running\"}]");
  for (guint i = 0; i < 2; i++)
    peer_reply (peer, peer_expect (peer, "query-jobs"), "[{\"id\": \"j\", \"status\": \"concluded\"}]");
  peer_reply (peer, peer_expect (peer, "job-dismiss"), "{}");
  peer_expect_end (peer);
}

static void
test_overflow (void)
{
  g_autoptr (Peer) peer = peer_new (overflow, NULL);
  g_autoptr (QmpClient) client = peer_connect (peer, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (qmp_job_wait (client, "j", NULL, NULL, NULL, &error));
  g_assert_no_error (error);
}

/* As snapshot-save does it: the answer to the command comes at the job's end, and not before a tick. */
static void
answer_at_the_end (Peer *peer, gpointer data)
{
  gint64 id, cancel_id;

  peer_greet (peer);
  id = peer_expect (peer, "make");
  peer_send (peer, EVENT ("created") EVENT ("running"));
  cancel_id = peer_expect (peer, "job-cancel"); /* a tick has cancelled */
  peer_reply (peer, id, "{}");
  peer_send (peer, EVENT ("waiting") EVENT ("pending") EVENT ("concluded"));
  peer_reply (peer, cancel_id, "{}");
  peer_reply (peer, peer_expect (peer, "query-jobs"), "[{\"id\": \"j\", \"status\": \"concluded\"}]");
  peer_reply (peer, peer_expect (peer, "job-dismiss"), "{}");
  peer_expect_end (peer);
}

static void
test_answer_at_the_end (void)
{
  g_autoptr (Peer) peer = peer_new (answer_at_the_end, NULL);
  g_autoptr (QmpClient) client = peer_connect (peer, NULL);
  g_autoptr (GError) error = NULL;
  g_auto (Progress) progress = { .cancellable = g_cancellable_new () };

  g_assert_true (qmp_job_run (client, "make", qmp_args_new ("s:job-id", "j", NULL), "j", on_progress, &progress,
                              progress.cancellable, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (progress.first_status, ==, "running");
}

#define ADD(path, func) g_test_add (path, Emulator, NULL, set_up_disks, func, emulator_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/qmp/job/success-leaves-no-job", test_success);
  ADD ("/qmp/job/failure-carries-the-job's-error", test_failure);
  ADD ("/qmp/job/refused-command-is-an-error", test_refused);
  ADD ("/qmp/job/cancel-waits-for-the-end", test_cancel);
  ADD ("/qmp/job/cancelled-before-makes-no-job", test_cancelled_before);
  ADD ("/qmp/job/death-ends-the-wait", test_death);
  ADD ("/qmp/job/wait-for-one-that-runs", test_wait_for_running);
  ADD ("/qmp/job/wait-for-one-that-has-concluded", test_wait_for_concluded);
  ADD ("/qmp/job/wait-for-none-is-not-found", test_wait_for_absent);
  ADD ("/qmp/job/kept-end-stays-until-dismissed", test_keep);
  ADD ("/qmp/job/many-at-once-are-kept-apart", test_many_at_once);
  g_test_add ("/qmp/job/snapshots-are-saved-loaded-and-deleted", Emulator, "pc,accel=tcg", emulator_set_up,
              test_snapshots, emulator_tear_down);
  g_test_add_func ("/qmp/job/ticks-before-the-command-is-answered", test_answer_at_the_end);
  for (guint i = 0; i < G_N_ELEMENTS (scripts); i++)
    {
      g_autofree char *path = g_strconcat ("/qmp/job/scripted/", scripts[i].name, NULL);

      g_test_add_data_func (path, &scripts[i], test_script);
    }
  g_test_add_func ("/qmp/job/lost-event-is-made-up-for-by-asking", test_overflow);
  return g_test_run ();
}
