/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A guest's memory and devices into an image: the words to QEMU, the waiting, the stopping, and what went wrong in the
 * user's words. Threads of runs.
 */
#include "vs-migration.h"

#include <errno.h>
#include <string.h>

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-migration-private.h"
#include "vs-steps.h"

/* How long an end may take that doesn't depend on anything. */
#define END_TIMEOUT (60 * G_USEC_PER_SEC)

/* QEMU's words end with the system's. */
static int
find_code (const char *words)
{
  static const struct
  {
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
explain (VsRun *run, GError **error)
{
  g_prefix_error (error, "The memory of %s couldn't be written into the image: ", vs_run_get_def (run)->name);
}

/* That it failed, and why, as QEMU says it. */
void
vs_migration_set_save_error (VsRun *run, const VsMigrationLook *look, GError **error)
{
  int code = find_code (look->words);

  g_set_error (error, VMSNAP_ERROR, code, "%s%s", look->words != NULL ? look->words : "QEMU doesn't say why",
               code == VMSNAP_ERROR_NO_SPACE ? "; make room, or save it elsewhere" : "");
  explain (run, error);
}

static gboolean
wait_until_saved (VsRun *run, QmpWatch *watch, GError **error)
{
  for (;;)
    {
      g_auto (VsMigrationLook) look = { 0 };
      gboolean ended;

      if (!vs_migration_wait_for_news (run, watch, &ended, error) || !vs_migration_look (run, &look, error))
        return FALSE;
      if (look.total > 0)
        vs_run_report_bytes (run, (guint64)MAX (look.total - look.remaining, 0), (guint64)look.total);
      if (g_strcmp0 (look.status, "completed") == 0)
        return TRUE;
      if (vs_migration_is_under_way (look.status))
        continue;
      vs_migration_set_save_error (run, &look, error);
      return FALSE;
    }
}

static gboolean
send_out (VsRun *run, const char *uri, GError **error)
{
  g_autoptr (QmpWatch) watch = vs_migration_watch (run, error);

  return watch != NULL
         && vs_steps_call (run, "migrate", qmp_args_new ("s:uri", uri, NULL), error)
         && wait_until_saved (run, watch, error);
}

static char *
lend_sparse (VsRun *run, VsImageWriter *writer, VsMigrationWays ways, gint64 *set, GError **error)
{
  guint64 offset = vs_image_writer_get_stream_offset (writer);
  int fd, direct_fd;

  if (!vs_image_writer_get_sparse_fds (writer, &fd, &direct_fd, error))
    return NULL;
  return vs_migration_lend_sparse (run, fd, direct_fd, offset, ways, set, error);
}

/**
 * vs_migration_lend:
 * @run: a run with a guest
 * @writer: a new writer
 * @encoding: the image's
 * @ways: how QEMU shall write it, besides
 * @set: (out): what to give to vs_migration_take_back()
 * @error: %VMSNAP_ERROR_HYPERVISOR, …
 *
 * Sets QEMU's migration up, and hands the image over.
 *
 * Returns: (transfer full) (nullable): its URI
 */
char *
vs_migration_lend (VsRun *run,
                   VsImageWriter *writer,
                   VsImageEncoding encoding,
                   VsMigrationWays ways,
                   gint64 *set,
                   GError **error)
{
  *set = -1;
  if (encoding == VS_IMAGE_ENCODING_SPARSE)
    return lend_sparse (run, writer, ways, set, error);
  if (!vs_migration_configure (run, ways, error))
    return NULL;
  return vs_migration_lend_stream (run, vs_image_writer_get_stream_fd (writer), error);
}

/* What became of the image, where QEMU knows of a pipe alone, or says nothing: 7.2 does so when it fails in the end. */
void
vs_migration_find_cause (VsRun *run, VsImageWriter *writer, GError **error)
{
  GError *cause = NULL;

  if (g_error_matches (*error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR))
    vs_image_writer_probe (writer, &cause);
  if (cause == NULL)
    cause = vs_image_writer_abort (writer);
  else
    g_clear_error (&(GError *){ vs_image_writer_abort (writer) });
  if (cause != NULL)
    explain (run, &cause);
  vs_migration_prefer (error, cause);
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
  gint64 set;
  g_autofree char *uri = vs_migration_lend (run, writer, encoding, VS_MIGRATION_PLAIN, &set, &local);
  gboolean ok = uri != NULL && send_out (run, uri, &local);

  if (!ok || set >= 0)
    vs_migration_take_back (run, set);
  if (ok)
    return TRUE;
  vs_steps_call (run, "migrate_cancel", NULL, NULL);
  vs_migration_find_cause (run, writer, &local);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* QEMU tells a migration's end before it has left the machine's last state of it, `finish-migrate`: a `cont` is refused
 * there, and what comes after it depends on what the machine is by then. */
static gboolean
has_ended (VsRun *run, gboolean *ended, GError **error)
{
  g_auto (VsMigrationLook) look = { 0 };
  g_autofree char *status = NULL;

  if (!vs_migration_look (run, &look, error))
    return FALSE;
  *ended = FALSE;
  if (vs_migration_is_under_way (look.status))
    return TRUE;
  status = vs_steps_get_status (run, error);
  *ended = status != NULL && !g_str_equal (status, "finish-migrate");
  return status != NULL;
}

/* That last state ends without an event: so it is looked at again after a moment, as after each event. */
static gboolean
wait_until_ended (VsRun *run, QmpWatch *watch, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + END_TIMEOUT;
  gboolean ended = FALSE;

  while (vs_run_get_monitor (run, NULL) != NULL)
    {
      if (!has_ended (run, &ended, error))
        return FALSE;
      if (ended)
        return TRUE;
      if (g_get_monotonic_time () > deadline)
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT, "QEMU doesn't stop writing the memory of %s",
                       vs_run_get_def (run)->name);
          return FALSE;
        }
      if (!vs_migration_wait_for_news (run, watch, &ended, error))
        return FALSE;
    }
  return TRUE;
}

/**
 * vs_migration_stop:
 * @run: a run with a guest, or without
 * @writer: (nullable): the writer; %NULL: it was an earlier life's
 * @error: %VMSNAP_ERROR_TIMEOUT, %VMSNAP_ERROR_HYPERVISOR_GONE
 *
 * Ends what vs_migration_save() began, whatever has become of it. QEMU's write into a full pipe ends only with the
 * pipe, so the image is given up with it.
 *
 * Returns: whether QEMU writes no more
 */
gboolean
vs_migration_stop (VsRun *run, VsImageWriter *writer, GError **error)
{
  g_autoptr (QmpWatch) watch = vs_migration_watch (run, NULL);

  if (watch != NULL)
    vs_steps_call (run, "migrate_cancel", NULL, NULL);
  if (writer != NULL)
    g_clear_error (&(GError *){ vs_image_writer_abort (writer) });
  return watch == NULL || wait_until_ended (run, watch, error);
}

/**
 * vs_migration_leave:
 * @run: a run whose guest stands still and has been written
 * @error: %VMSNAP_ERROR_TIMEOUT, %VMSNAP_ERROR_HYPERVISOR_GONE
 *
 * Waits until QEMU has left the migration's last state, which takes it longer the more memory there is. It is asked
 * without a pause, for the guest stands still meanwhile.
 *
 * Returns: whether `cont` would be obeyed
 */
gboolean
vs_migration_leave (VsRun *run, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + END_TIMEOUT;

  for (;;)
    {
      g_autofree char *status = vs_steps_get_status (run, error);

      if (status == NULL)
        return FALSE;
      if (!g_str_equal (status, "finish-migrate"))
        return TRUE;
      if (g_get_monotonic_time () > deadline)
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT,
                       "QEMU has written the memory of %s, but doesn't get ready to let it run on",
                       vs_run_get_def (run)->name);
          return FALSE;
        }
    }
}

/**
 * vs_migration_take_disks_back:
 * @run: a run with a guest that has been written
 * @error: %VMSNAP_ERROR_HYPERVISOR_GONE, …
 *
 * QEMU has handed the disks over to whoever loads the image, and takes them back only with `cont`; anything else that
 * writes to them is refused, or would break it. So a guest that stood still is let go for the moment between two
 * commands; one that ran is let go for good, and what its user wants of it is settled later.
 *
 * Returns: whether the guest can go on
 */
gboolean
vs_migration_take_disks_back (VsRun *run, GError **error)
{
  g_autofree char *status = vs_steps_get_status (run, NULL);

  if (g_strcmp0 (status, "postmigrate") != 0)
    return TRUE;
  if (vs_run_get_flag (run, FACT_RUNNING))
    return vs_steps_cont (run, VMSNAP_STATE_REASON_UNKNOWN, error);
  qmp_client_send (vs_run_get_monitor (run, NULL), "cont", NULL);
  return vs_steps_stop (run, VMSNAP_STATE_REASON_USER, error);
}
