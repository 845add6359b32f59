/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The client library as C programs use it: every asynchronous call, and the waits. test_client_c.py runs it on a bus
 * with the real service, which has a domain 'c' that is off; here, so that the sanitizers see the library too.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <vmsnap.h>

static VmSnapClient *client;

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **)user_data = g_object_ref (result);
}

/* Runs the main context until a call has ended. The caller owns what is returned. */
static GAsyncResult *
end_of (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return g_steal_pointer (result);
}

static VmSnapDomain *
find_domain (void)
{
  g_autoptr (GError) error = NULL;
  VmSnapDomain *domain = vmsnap_client_find_domain (client, "c", &error);

  g_assert_no_error (error);
  return domain;
}

static void
wait_for (VmSnapJob *job, VmSnapWaitFlags flags)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  vmsnap_job_wait (job, flags, NULL, keep_result, &pending);
  result = end_of (&pending);
  g_assert_true (vmsnap_job_wait_finish (job, result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (vmsnap_job_get_state (job), ==, VMSNAP_JOB_STATE_COMPLETED);
}

static GVariant *
internal (void)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&options, "location", "s", "internal");
  return g_variant_dict_end (&options);
}

static void
test_start (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (VmSnapJob) job = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  vmsnap_domain_start (domain, NULL, NULL, keep_result, &pending);
  result = end_of (&pending);
  job = vmsnap_domain_start_finish (domain, result, &error);
  g_assert_no_error (error);
  wait_for (job, VMSNAP_WAIT_NONE);
  g_assert_cmpint (vmsnap_domain_get_state (domain), ==, VMSNAP_DOMAIN_STATE_RUNNING);
  g_assert_null (vmsnap_job_dup_error (job));
}

static void
test_snapshot (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (VmSnapJob) job = NULL;
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  g_autolist (VmSnapSnapshot) listed = NULL;
  g_autoptr (GAsyncResult) created = NULL;
  g_autoptr (GAsyncResult) answered = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  vmsnap_domain_create_snapshot (domain, "one", internal (), NULL, keep_result, &pending);
  created = end_of (&pending);
  job = vmsnap_domain_create_snapshot_finish (domain, created, &error);
  g_assert_no_error (error);
  wait_for (job, VMSNAP_WAIT_CANCEL_JOB);
  snapshot = vmsnap_job_get_snapshot (job);
  g_assert_cmpstr (vmsnap_snapshot_get_name (snapshot), ==, "one");

  vmsnap_domain_list_snapshots (domain, NULL, NULL, keep_result, &pending);
  answered = end_of (&pending);
  listed = vmsnap_domain_list_snapshots_finish (domain, answered, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_list_length (listed), ==, 1);
  g_assert_true (listed->data == snapshot);
}

static void
test_redefine (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (VmSnapSnapshot) snapshot = vmsnap_domain_find_snapshot (domain, "one");
  g_autofree char *xml = vmsnap_snapshot_get_xml_sync (snapshot, NULL, NULL, NULL);
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapJob) job = NULL;
  g_autoptr (VmSnapJob) again = NULL;
  g_autoptr (VmSnapSnapshot) told = NULL;
  g_autoptr (GAsyncResult) answered = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  g_variant_dict_insert (&options, "current", "b", TRUE);
  vmsnap_domain_redefine_snapshot (domain, xml, g_variant_dict_end (&options), NULL, keep_result, &pending);
  answered = end_of (&pending);
  job = vmsnap_domain_redefine_snapshot_finish (domain, answered, &error);
  g_assert_no_error (error);
  wait_for (job, VMSNAP_WAIT_NONE);
  told = vmsnap_job_get_snapshot (job);
  g_assert_true (told == snapshot);

  again = vmsnap_domain_redefine_snapshot_sync (domain, xml, NULL, NULL, &error);
  g_assert_no_error (error);
  wait_for (again, VMSNAP_WAIT_NONE);
  g_assert_null (vmsnap_domain_redefine_snapshot_sync (domain, xml, g_variant_new_string ("x"), NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
}

static void
test_revert (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (VmSnapSnapshot) snapshot = vmsnap_domain_find_snapshot (domain, "one");
  g_autoptr (VmSnapJob) job = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  vmsnap_snapshot_revert (snapshot, NULL, NULL, keep_result, &pending);
  result = end_of (&pending);
  job = vmsnap_snapshot_revert_finish (snapshot, result, &error);
  g_assert_no_error (error);
  wait_for (job, VMSNAP_WAIT_NONE);
  g_assert_true (vmsnap_snapshot_is_current (snapshot));
}

static void
test_words (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autofree char *xml = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  vmsnap_domain_get_xml (domain, NULL, NULL, keep_result, &pending);
  result = end_of (&pending);
  xml = vmsnap_domain_get_xml_finish (domain, result, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (xml, "<name>c</name>"));
}

static void
test_picture (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (GInputStream) picture = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;
  char start[8];

  vmsnap_domain_screenshot (domain, NULL, keep_result, &pending);
  result = end_of (&pending);
  picture = vmsnap_domain_screenshot_finish (domain, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_input_stream_read (picture, start, sizeof start, NULL, NULL), ==, sizeof start);
  g_assert_cmpmem (start, sizeof start, "\x89PNG\r\n\x1a\n", 8);
}

static void
test_error (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  vmsnap_domain_undefine (domain, NULL, NULL, keep_result, &pending);
  result = end_of (&pending);
  g_assert_false (vmsnap_domain_undefine_finish (domain, result, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HAS_SNAPSHOTS);
}

static void
test_cancelled_call (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  g_cancellable_cancel (cancellable);
  vmsnap_domain_list_snapshots (domain, NULL, cancellable, keep_result, &pending);
  result = end_of (&pending);
  g_assert_null (vmsnap_domain_list_snapshots_finish (domain, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Without a turn of the main context in between: what a script without a main loop does. */
static void
test_loopless (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  g_autoptr (GError) error = NULL;

  job = vmsnap_domain_create_snapshot_sync (domain, "two", internal (), NULL, &error);
  g_assert_no_error (error);
  g_assert_true (vmsnap_job_wait_sync (job, VMSNAP_WAIT_NONE, NULL, &error));
  g_assert_no_error (error);
  snapshot = vmsnap_domain_get_snapshot_sync (domain, "two", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (vmsnap_snapshot_get_name (snapshot), ==, "two");
  g_clear_object (&snapshot);
  snapshot = vmsnap_domain_find_snapshot (domain, "two");
  g_assert_true (vmsnap_snapshot_is_current (snapshot));
}

static void
count_progress (VmSnapJob *job, const char *phase, guint64 bytes_done, guint64 bytes_total, gpointer user_data)
{
  g_assert_nonnull (phase);
  *(guint64 *)user_data = bytes_done;
}

static void
set_true (gpointer data)
{
  *(gboolean *)data = TRUE;
}

static GVariant *
paused (void)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&options, "paused", "b", TRUE);
  return g_variant_dict_end (&options);
}

static void
save (VmSnapDomain *domain, GFile *file)
{
  g_autoptr (VmSnapJob) job = NULL;
  g_autoptr (GAsyncResult) called = NULL;
  g_autoptr (GAsyncResult) waited = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;
  guint64 bytes = 0;
  gboolean freed = FALSE;

  vmsnap_domain_save_to_file (domain, file, NULL, NULL, keep_result, &pending);
  called = end_of (&pending);
  job = vmsnap_domain_save_to_file_finish (domain, called, &error);
  g_assert_no_error (error);
  vmsnap_job_wait_with_progress (job, VMSNAP_WAIT_NONE, NULL, count_progress, &bytes, NULL, keep_result, &pending);
  waited = end_of (&pending);
  g_assert_true (vmsnap_job_wait_with_progress_finish (job, waited, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (bytes, >, 0);
  g_assert_cmpuint (bytes, ==, vmsnap_job_get_bytes_total (job));
  /* One that has ended is told of, too. */
  g_clear_object (&waited);
  bytes = 0;
  vmsnap_job_wait_with_progress (job, VMSNAP_WAIT_NONE, NULL, count_progress, &bytes, NULL, keep_result, &pending);
  g_assert_cmpuint (bytes, ==, vmsnap_job_get_bytes_total (job));
  waited = end_of (&pending);
  g_clear_object (&waited);
  vmsnap_job_wait_with_progress (job, VMSNAP_WAIT_NONE, NULL, NULL, &freed, set_true, keep_result, &pending);
  waited = end_of (&pending);
  g_assert_true (vmsnap_job_wait_with_progress_finish (job, waited, &error));
  g_clear_object (&waited);
  g_assert_true (freed);
}

static void
test_save_and_restore (void)
{
  g_autoptr (VmSnapDomain) domain = find_domain ();
  g_autofree char *directory = g_dir_make_tmp ("vmsnap-client-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "image", NULL);
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (VmSnapImageInfo) info = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  g_autoptr (GAsyncResult) inspected = NULL;
  g_autoptr (GAsyncResult) rewritten = NULL;
  g_autoptr (GAsyncResult) restored = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  save (domain, file);
  vmsnap_client_rewrite_image_file (client, file, paused (), NULL, keep_result, &pending);
  rewritten = end_of (&pending);
  g_assert_true (vmsnap_client_rewrite_image_file_finish (client, rewritten, &error));
  g_assert_no_error (error);
  vmsnap_client_inspect_image_file (client, file, NULL, keep_result, &pending);
  inspected = end_of (&pending);
  info = vmsnap_client_inspect_image_file_finish (client, inspected, &error);
  g_assert_no_error (error);
  g_assert_true (vmsnap_image_info_is_complete (info));
  g_assert_cmpint (vmsnap_image_info_get_state (info), ==, VMSNAP_DOMAIN_STATE_PAUSED);
  g_assert_cmpstr (vmsnap_image_info_get_domain_name (info), ==, "c");
  vmsnap_client_restore_domain_from_file (client, file, NULL, NULL, keep_result, &pending);
  restored = end_of (&pending);
  job = vmsnap_client_restore_domain_from_file_finish (client, restored, &error);
  g_assert_no_error (error);
  wait_for (job, VMSNAP_WAIT_NONE);
  g_assert_cmpint (vmsnap_domain_get_state (domain), ==, VMSNAP_DOMAIN_STATE_PAUSED);
  g_assert_true (vmsnap_domain_resume_sync (domain, NULL, NULL, &error));
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

/* Objects that are held longer than their client know what they knew, and no more. */
static void
test_objects_outlive_their_client (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VmSnapClient) short_lived = vmsnap_client_new_sync (G_BUS_TYPE_SESSION, NULL, &error);
  g_autoptr (VmSnapDomain) domain = vmsnap_client_find_domain (short_lived, "c", NULL);

  g_assert_no_error (error);
  g_clear_object (&short_lived);
  g_assert_cmpstr (vmsnap_domain_get_name (domain), ==, "c");
  g_assert_null (vmsnap_domain_get_snapshots (domain));
  g_assert_true (vmsnap_domain_pause_sync (domain, NULL, NULL, &error));
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *pending = NULL;

  g_test_init (&argc, &argv, NULL);
  vmsnap_client_new (G_BUS_TYPE_SESSION, NULL, keep_result, &pending);
  result = end_of (&pending);
  client = vmsnap_client_new_finish (result, &error);
  g_assert_no_error (error);

  g_test_add_func ("/client/start-is-waited-for", test_start);
  g_test_add_func ("/client/snapshot-is-taken-and-listed", test_snapshot);
  g_test_add_func ("/client/snapshot-is-redefined", test_redefine);
  g_test_add_func ("/client/snapshot-is-reverted-to", test_revert);
  g_test_add_func ("/client/definition-is-read", test_words);
  g_test_add_func ("/client/picture-is-read", test_picture);
  g_test_add_func ("/client/error-has-its-code", test_error);
  g_test_add_func ("/client/cancelled-call-is-cancelled", test_cancelled_call);
  g_test_add_func ("/client/no-main-loop-is-needed", test_loopless);
  g_test_add_func ("/client/guest-is-saved-and-restored", test_save_and_restore);
  g_test_add_func ("/client/objects-outlive-their-client", test_objects_outlive_their_client);
  argc = g_test_run ();
  g_object_unref (client);
  return argc;
}
