/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A guest's memory and devices out of an image. Threads of runs.
 */
#include "vs-migration.h"

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-migration-private.h"
#include "vs-steps.h"

/* How long an end may take that doesn't depend on anything. */
#define END_TIMEOUT (60 * G_USEC_PER_SEC)

static void
report_read (VsRun *run, VsImageReader *reader)
{
  guint64 done, total;

  vs_image_reader_get_progress (reader, &done, &total);
  vs_run_report_bytes (run, MIN (done, total), total);
}

static void
set_load_error (VsRun *run, const char *words, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "QEMU can't load the guest of %s from the image: %s",
               vs_run_get_def (run)->name, words != NULL ? words : "it doesn't say why");
}

/* Before 9.1, QEMU ends when it can't load. Unless somebody ended it. */
static void
explain_end (VsRun *run, GError **error)
{
  static const char *const by_others[]
    = { "exited with status 0", "was killed by signal 9 ", "was killed by signal 15 " };
  VsGuest *guest = vs_run_get_guest (run);
  g_autofree char *words = NULL;

  if (guest == NULL || !vs_process_wait (vs_guest_get_process (guest), END_TIMEOUT, NULL, NULL))
    return;
  words = vs_guest_describe_end (guest);
  for (gsize i = 0; i < G_N_ELEMENTS (by_others); i++)
    if (g_str_has_prefix (words, by_others[i]))
      return;
  g_clear_error (error);
  set_load_error (run, words, error);
}

static gboolean
wait_until_loaded (VsRun *run, QmpWatch *watch, VsImageReader *reader, GError **error)
{
  gboolean ended = FALSE;
  g_auto (VsMigrationLook) look = { 0 };

  while (!ended)
    {
      if (!vs_migration_wait_for_news (run, watch, &ended, error))
        return FALSE;
      report_read (run, reader);
    }
  if (!vs_migration_look (run, &look, error))
    return FALSE;
  if (g_strcmp0 (look.status, "completed") == 0)
    return TRUE;
  set_load_error (run, look.words, error);
  return FALSE;
}

static gboolean
bring_in (VsRun *run, const char *uri, VsImageReader *reader, GError **error)
{
  static const char *const events[] = { "MIGRATION", NULL };
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (QmpWatch) watch = NULL;
  g_autoptr (JsonNode) reply = NULL;
  JsonObject *arguments;
  guint major, minor, micro;

  if (monitor == NULL)
    return FALSE;
  arguments = qmp_args_new ("s:uri", uri, NULL);
  qmp_client_get_version (monitor, &major, &minor, &micro);
  if (major > 9 || (major == 9 && minor >= 1))
    json_object_set_boolean_member (arguments, "exit-on-error", FALSE);
  watch = qmp_client_watch (monitor, events);
  reply = qmp_client_call_full (monitor, "migrate-incoming", arguments, -1, QMP_NO_TIMEOUT,
                                vs_run_get_cancellable (run), error);
  return reply != NULL && wait_until_loaded (run, watch, reader, error);
}

static gboolean
load_stream (VsRun *run, VsImageReader *reader, GError **error)
{
  g_autofree char *uri = NULL;
  int fd = vs_image_reader_get_stream_fd (reader, error);

  if (fd < 0 || !vs_image_reader_wait (reader, vs_run_get_cancellable (run), error)
      || !vs_migration_configure (run, VS_MIGRATION_PLAIN, error))
    return FALSE;
  uri = vs_migration_lend_stream (run, fd, error);
  return uri != NULL && bring_in (run, uri, reader, error);
}

static gboolean
load_sparse (VsRun *run, VsImageReader *reader, GError **error)
{
  guint64 offset = vs_image_reader_get_header (reader)->stream_offset;
  g_autofree char *uri = NULL;
  gint64 set;
  int fd, direct_fd;

  if (!vs_migration_check_sparse (run, error) || !vs_image_reader_get_sparse_fds (reader, &fd, &direct_fd, error))
    return FALSE;
  uri = vs_migration_lend_sparse (run, fd, direct_fd, offset, VS_MIGRATION_PLAIN, &set, error);
  if (uri == NULL || !bring_in (run, uri, reader, error))
    return FALSE;
  vs_migration_take_back (run, set);
  return TRUE;
}

/**
 * vs_migration_load:
 * @run: a run whose guest was started to load a saved state
 * @reader: a reader; aborted when this fails
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT, %VMSNAP_ERROR_CANCELLED, …
 *
 * Reads the guest's memory and devices, to the end of the image. When it fails the guest is good for nothing.
 *
 * Returns: whether the guest stands where it was saved
 */
gboolean
vs_migration_load (VsRun *run, VsImageReader *reader, GError **error)
{
  g_autoptr (GError) local = NULL;
  gboolean sparse = vs_image_reader_get_header (reader)->encoding == VS_IMAGE_ENCODING_SPARSE;

  if ((sparse ? load_sparse (run, reader, &local) : load_stream (run, reader, &local))
      && vs_image_reader_finish (reader, vs_run_get_cancellable (run), &local))
    return TRUE;
  if (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE))
    explain_end (run, &local);
  vs_migration_prefer (&local, vs_image_reader_abort (reader));
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}
