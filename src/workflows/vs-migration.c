/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * QEMU's migration, as it is used for images: the words to QEMU, the waiting, and what went wrong in the user's words.
 * Threads of runs.
 */
#include "vs-migration.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-steps.h"

/* The name of the stream's descriptor inside QEMU. */
#define FD_NAME "vmsnap-image"
/* As much as QEMU's parameter takes: its default is a network's. */
#define NO_LIMIT (G_MAXINT64 / 2)
/* How often progress is looked at, and how long an end may take that doesn't depend on anything. */
#define INTERVAL (100 * G_TIME_SPAN_MILLISECOND)
#define END_TIMEOUT (60 * G_USEC_PER_SEC)

typedef struct {
  char *status;
  char *words; /* QEMU's, when it failed */
  gint64 remaining;
  gint64 total;
  gboolean blocked;
} Look;

static void
look_clear (Look *look)
{
  g_free (look->status);
  g_free (look->words);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Look, look_clear)

static const char *const under_way[] = { "setup", "active", "device", "pre-switchover", "cancelling", NULL };
static const char *const ends[] = { "completed", "failed", "cancelled", NULL };

static void
note_reasons (Look *look, JsonArray *reasons)
{
  look->blocked = reasons != NULL && json_array_get_length (reasons) > 0;
  if (look->blocked)
    look->words = g_strdup (json_array_get_string_element (reasons, 0));
}

/* While QEMU reads from a file it answers nothing, so this may take as long as that. */
static gboolean
take_look (VsRun *run, Look *look, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) reply = NULL;
  JsonObject *object, *ram;

  if (monitor == NULL)
    return FALSE;
  reply = qmp_client_call_full (monitor, "query-migrate", NULL, -1, QMP_NO_TIMEOUT, vs_run_get_cancellable (run), error);
  if (reply == NULL)
    return FALSE;
  object = json_node_get_object (reply);
  ram = qmp_json_get_object (object, "ram");
  look->status = g_strdup (qmp_json_get_string (object, "status"));
  look->words = g_strdup (qmp_json_get_string (object, "error-desc"));
  if (look->words == NULL)
    note_reasons (look, qmp_json_get_array (object, "blocked-reasons"));
  qmp_json_get_int (ram, "remaining", &look->remaining);
  qmp_json_get_int (ram, "total", &look->total);
  return TRUE;
}

static gboolean
is_one_of (const char *status, const char *const *list)
{
  return status != NULL && g_strv_contains (list, status);
}

static gboolean
has_capability (VsRun *run, const char *name, gboolean *has, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) reply = NULL;
  JsonArray *list;

  if (monitor == NULL)
    return FALSE;
  reply = qmp_client_call (monitor, "query-migrate-capabilities", NULL, NULL, error);
  if (reply == NULL)
    return FALSE;
  *has = FALSE;
  list = qmp_json_node_get_array (reply);
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    *has |= g_strcmp0 (qmp_json_get_string (qmp_json_array_get_object (list, i), "capability"), name) == 0;
  return TRUE;
}

static gboolean
check_sparse (VsRun *run, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  guint major, minor, micro;
  gboolean has;

  if (monitor == NULL || !has_capability (run, "mapped-ram", &has, error))
    return FALSE;
  if (has)
    return TRUE;
  qmp_client_get_version (monitor, &major, &minor, &micro);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
               "An image with the encoding “sparse” needs QEMU 9.0 or later, and the guest of %s runs with %u.%u.%u",
               vs_run_get_def (run)->name, major, minor, micro);
  return FALSE;
}

/**
 * vs_migration_check:
 * @run: a run with a guest
 * @encoding: of the image
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED, …
 *
 * Before anything is done to the guest or to the image.
 *
 * Returns: whether its memory can be saved so
 */
gboolean
vs_migration_check (VsRun *run, VsImageEncoding encoding, GError **error)
{
  g_auto (Look) look = { 0 };

  if (encoding == VS_IMAGE_ENCODING_SPARSE && !check_sparse (run, error))
    return FALSE;
  if (!take_look (run, &look, error))
    return FALSE;
  if (!look.blocked)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "The memory of %s can't be saved as it is now: %s",
               vs_run_get_def (run)->name, look.words);
  return FALSE;
}

static void
add_capability (JsonArray *list, const char *name, gboolean on)
{
  json_array_add_object_element (list, qmp_args_new ("s:capability", name, "b:state", on, NULL));
}

/* All that an earlier migration of the same guest may have set otherwise. */
static gboolean
configure (VsRun *run, gboolean sparse, gboolean direct, GError **error)
{
  JsonObject *capabilities = json_object_new ();
  JsonArray *list = json_array_new ();
  JsonObject *parameters = qmp_args_new ("i:max-bandwidth", (gint64) NO_LIMIT, NULL);
  gboolean has_mapped_ram;

  add_capability (list, "events", TRUE);
  json_object_set_array_member (capabilities, "capabilities", list);
  if (!has_capability (run, "mapped-ram", &has_mapped_ram, error))
    {
      json_object_unref (capabilities);
      json_object_unref (parameters);
      return FALSE;
    }
  if (has_mapped_ram)
    {
      add_capability (list, "mapped-ram", sparse);
      add_capability (list, "multifd", direct);
    }
  if (direct)
    json_object_set_boolean_member (parameters, "direct-io", TRUE);
  if (vs_steps_call (run, "migrate-set-capabilities", capabilities, error))
    return vs_steps_call (run, "migrate-set-parameters", parameters, error);
  json_object_unref (parameters);
  return FALSE;
}

/* @fd and @direct_fd are closed here. Returns the URI, or NULL. */
static char *
lend_set (VsRun *run, int fd, int direct_fd, guint64 offset, gint64 *set, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) first = NULL;
  g_autoptr (JsonNode) second = NULL;
  gboolean ok = FALSE;

  if (monitor != NULL)
    first = qmp_client_call_full (monitor, "add-fd", NULL, fd, QMP_DEFAULT_TIMEOUT, NULL, error);
  if (first != NULL)
    ok = qmp_json_get_int (json_node_get_object (first), "fdset-id", set);
  if (ok && direct_fd >= 0)
    {
      second = qmp_client_call_full (monitor, "add-fd", qmp_args_new ("i:fdset-id", *set, NULL), direct_fd,
                                     QMP_DEFAULT_TIMEOUT, NULL, error);
      ok = second != NULL;
    }
  close (fd);
  if (direct_fd >= 0)
    close (direct_fd);
  return ok ? g_strdup_printf ("file:/dev/fdset/%" G_GINT64_FORMAT ",offset=%" G_GUINT64_FORMAT, *set, offset) : NULL;
}

/* Returns the URI, or NULL. */
static char *
lend_stream (VsRun *run, int fd, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) reply = NULL;

  if (monitor == NULL)
    return NULL;
  reply = qmp_client_call_full (monitor, "getfd", qmp_args_new ("s:fdname", FD_NAME, NULL), fd, QMP_DEFAULT_TIMEOUT,
                                NULL, error);
  return reply != NULL ? g_strdup ("fd:" FD_NAME) : NULL;
}

/* What QEMU may still have of it; it has closed what it used up. */
static void
take_back (VsRun *run, gint64 set)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);

  if (monitor == NULL)
    return;
  if (set >= 0)
    qmp_client_send (monitor, "remove-fd", qmp_args_new ("i:fdset-id", set, NULL));
  else
    qmp_client_send (monitor, "closefd", qmp_args_new ("s:fdname", FD_NAME, NULL));
}

/* Until the next news, or not long. */
static gboolean
wait_for_news (VsRun *run, QmpWatch *watch, gboolean *ended, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (QmpEvent) event =
    qmp_watch_pop (watch, g_get_monotonic_time () + INTERVAL, vs_run_get_cancellable (run), &local);

  *ended = event != NULL && is_one_of (qmp_json_get_string (qmp_event_get_data (event), "status"), ends);
  if (event != NULL || g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* QEMU's words end with the system's. */
static int
find_code (const char *words)
{
  static const struct {
    int number;
    int code;
  } table[] = {
    { ENOSPC, VMSNAP_ERROR_NO_SPACE }, { EDQUOT, VMSNAP_ERROR_NO_SPACE }, { EFBIG, VMSNAP_ERROR_NO_SPACE },
    { EIO, VMSNAP_ERROR_IO },          { EROFS, VMSNAP_ERROR_IO },        { EBADF, VMSNAP_ERROR_IO },
  };

  for (gsize i = 0; words != NULL && i < G_N_ELEMENTS (table); i++)
    if (strstr (words, g_strerror (table[i].number)) != NULL)
      return table[i].code;
  return VMSNAP_ERROR_HYPERVISOR;
}

static void
set_save_error (VsRun *run, const Look *look, GError **error)
{
  int code = find_code (look->words);

  g_set_error (error, VMSNAP_ERROR, code, "The memory of %s couldn't be written into the image: %s%s",
               vs_run_get_def (run)->name, look->words != NULL ? look->words : "QEMU doesn't say why",
               code == VMSNAP_ERROR_NO_SPACE ? "; free some space there, or save it elsewhere" : "");
}

static gboolean
wait_until_saved (VsRun *run, QmpWatch *watch, GError **error)
{
  for (;;)
    {
      g_auto (Look) look = { 0 };
      gboolean ended;

      if (!wait_for_news (run, watch, &ended, error) || !take_look (run, &look, error))
        return FALSE;
      if (look.total > 0)
        vs_run_report_bytes (run, (guint64) MAX (look.total - look.remaining, 0), (guint64) look.total);
      if (g_strcmp0 (look.status, "completed") == 0)
        return TRUE;
      if (is_one_of (look.status, under_way))
        continue;
      set_save_error (run, &look, error);
      return FALSE;
    }
}

static gboolean
send_out (VsRun *run, const char *uri, GError **error)
{
  static const char *const events[] = { "MIGRATION", NULL };
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (QmpWatch) watch = NULL;

  if (monitor == NULL)
    return FALSE;
  watch = qmp_client_watch (monitor, events);
  return vs_steps_call (run, "migrate", qmp_args_new ("s:uri", uri, NULL), error)
         && wait_until_saved (run, watch, error);
}

static gboolean
save_stream (VsRun *run, VsImageWriter *writer, GError **error)
{
  g_autofree char *uri = NULL;

  if (!configure (run, FALSE, FALSE, error))
    return FALSE;
  uri = lend_stream (run, vs_image_writer_get_stream_fd (writer), error);
  if (uri == NULL)
    return FALSE;
  if (send_out (run, uri, error))
    return TRUE;
  take_back (run, -1);
  return FALSE;
}

static gboolean
save_sparse (VsRun *run, VsImageWriter *writer, GError **error)
{
  g_autofree char *uri = NULL;
  gint64 set = -1;
  int fd, direct_fd;
  gboolean ok;

  if (!vs_image_writer_get_sparse_fds (writer, &fd, &direct_fd, error))
    return FALSE;
  if (!configure (run, TRUE, direct_fd >= 0, error))
    {
      close (fd);
      if (direct_fd >= 0)
        close (direct_fd);
      return FALSE;
    }
  uri = lend_set (run, fd, direct_fd, vs_image_writer_get_stream_offset (writer), &set, error);
  ok = uri != NULL && send_out (run, uri, error);
  if (set >= 0)
    take_back (run, set);
  return ok;
}

/* The side that failed first knows why; QEMU knows of a broken pipe alone. But a cancel is a cancel. */
static void
prefer (GError **error, GError *better)
{
  if (better == NULL)
    return;
  if (g_error_matches (*error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED)
      || g_error_matches (*error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
      || g_error_matches (*error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE))
    {
      g_error_free (better);
      return;
    }
  g_clear_error (error);
  *error = better;
}

/**
 * vs_migration_save:
 * @run: a run whose guest stands still
 * @writer: a new writer; aborted when this fails
 * @encoding: the image's
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, %VMSNAP_ERROR_CANCELLED, %VMSNAP_ERROR_HYPERVISOR, …
 *
 * Writes the guest's memory and devices. When it fails, QEMU may still be at it: vs_migration_stop().
 *
 * Returns: whether QEMU has written all of it
 */
gboolean
vs_migration_save (VsRun *run, VsImageWriter *writer, VsImageEncoding encoding, GError **error)
{
  g_autoptr (GError) local = NULL;
  gboolean ok = encoding == VS_IMAGE_ENCODING_SPARSE ? save_sparse (run, writer, &local)
                                                     : save_stream (run, writer, &local);

  if (ok)
    return TRUE;
  vs_steps_call (run, "migrate_cancel", NULL, NULL);
  prefer (&local, vs_image_writer_abort (writer));
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/**
 * vs_migration_stop:
 * @run: a run with a guest, or without
 * @writer: (nullable): the writer; %NULL: it was an earlier life's
 * @error: %VMSNAP_ERROR_TIMEOUT, %VMSNAP_ERROR_HYPERVISOR_GONE
 *
 * Ends what vs_migration_save() began, whatever has become of it. QEMU's write into a full pipe ends only with the pipe,
 * so the image is given up with it.
 *
 * Returns: whether QEMU writes no more
 */
gboolean
vs_migration_stop (VsRun *run, VsImageWriter *writer, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + END_TIMEOUT;

  if (vs_run_get_monitor (run, NULL) != NULL)
    vs_steps_call (run, "migrate_cancel", NULL, NULL);
  if (writer != NULL)
    g_clear_error (&(GError *){ vs_image_writer_abort (writer) });
  while (vs_run_get_monitor (run, NULL) != NULL)
    {
      g_auto (Look) look = { 0 };

      if (!take_look (run, &look, error))
        return FALSE;
      if (!is_one_of (look.status, under_way))
        return TRUE;
      if (g_get_monotonic_time () > deadline)
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "QEMU doesn't stop writing the memory of %s",
                       vs_run_get_def (run)->name);
          return FALSE;
        }
      g_usleep (10 * G_TIME_SPAN_MILLISECOND);
    }
  return TRUE;
}

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
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT,
               "QEMU can't load the guest of %s from the image: %s", vs_run_get_def (run)->name,
               words != NULL ? words : "it doesn't say why");
}

/* Before 9.1, QEMU ends when it can't load. Unless somebody ended it. */
static void
explain_end (VsRun *run, GError **error)
{
  static const char *const by_others[] = { "exited with status 0", "was killed by signal 9 ", "was killed by signal 15 " };
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
  g_auto (Look) look = { 0 };

  while (!ended)
    {
      if (!wait_for_news (run, watch, &ended, error))
        return FALSE;
      report_read (run, reader);
    }
  if (!take_look (run, &look, error))
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

  if (fd < 0 || !configure (run, FALSE, FALSE, error))
    return FALSE;
  uri = lend_stream (run, fd, error);
  return uri != NULL && bring_in (run, uri, reader, error);
}

static gboolean
load_sparse (VsRun *run, VsImageReader *reader, GError **error)
{
  g_autofree char *uri = NULL;
  gint64 set = -1;
  int fd, direct_fd;

  if (!check_sparse (run, error) || !vs_image_reader_get_sparse_fds (reader, &fd, &direct_fd, error))
    return FALSE;
  if (!configure (run, TRUE, direct_fd >= 0, error))
    {
      close (fd);
      if (direct_fd >= 0)
        close (direct_fd);
      return FALSE;
    }
  uri = lend_set (run, fd, direct_fd, vs_image_reader_get_header (reader)->stream_offset, &set, error);
  if (uri == NULL || !bring_in (run, uri, reader, error))
    return FALSE;
  take_back (run, set);
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
  prefer (&local, vs_image_reader_abort (reader));
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}
