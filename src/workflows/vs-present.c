/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The guest that is there when a revert begins, where there can't be two: it stops, its memory is written into a file of
 * the store, it ends; when the revert fails it is started and loaded from there. Threads of runs.
 */
#include "vs-present.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-image-reader.h"
#include "vs-image-writer.h"
#include "vs-migration.h"
#include "vs-snapshot-revert.h"
#include "vs-start.h"
#include "vs-steps.h"

static char *
get_name (VsRun *run)
{
  return g_strdup_printf ("present-%u", vs_run_get_number (run));
}

static int
open_file (VsRun *run, int flags, GError **error)
{
  g_autofree char *name = get_name (run);
  g_autofree char *path = vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), VS_STORE_MEMORY, name);
  int fd = open (path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  int number = errno;

  if (fd < 0)
    g_set_error (error, VMSNAP_ERROR, number == ENOSPC || number == EDQUOT ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO,
                 "Can't open %s: %s", path, g_strerror (number));
  return fd;
}

static VsImageWriter *
begin_image (VsRun *run, GError **error)
{
  g_autofree char *xml = vs_domain_def_format (vs_run_get_def (run));
  g_autoptr (VsImageHeader) header =
    vs_image_header_new (xml, NULL, VS_IMAGE_ENCODING_RAW, vs_run_get_flag (run, FACT_RUNNING));
  VsImageWriter *writer;
  int fd;

  if (!vs_store_make_folder (vs_run_get_store (run), vs_run_get_uuid (run), VS_STORE_MEMORY, error))
    return NULL;
  fd = open_file (run, O_RDWR | O_CREAT | O_TRUNC, error);
  if (fd < 0)
    return NULL;
  writer = vs_image_writer_new (fd, header, VS_IMAGE_FLAGS_NONE, error);
  close (fd);
  if (writer != NULL)
    vs_run_set_tool (run, writer, (GDestroyNotify) vs_image_writer_free);
  return writer;
}

/**
 * vs_present_save:
 * @run: a run with a guest
 * @error: where to put %VMSNAP_ERROR_NO_SPACE, …
 *
 * Stops the guest and keeps its memory. It stands from here on: what it did later would be lost if it had to come back.
 *
 * Returns: whether it is kept, and on the disk
 */
gboolean
vs_present_save (VsRun *run, GError **error)
{
  VsImageWriter *writer;
  gboolean running;

  if (!vs_steps_is_running (run, &running, error) || !vs_migration_check (run, VS_IMAGE_ENCODING_RAW, error))
    return FALSE;
  vs_run_set_flag (run, FACT_RUNNING, running);
  writer = begin_image (run, error);
  if (writer == NULL)
    return FALSE;
  vs_steps_hold (run, TRUE);
  if (running && !vs_steps_stop (run, VMSNAP_STATE_REASON_SAVING, error))
    return FALSE;
  if (!vs_migration_save (run, writer, VS_IMAGE_ENCODING_RAW, error)
      || !vs_image_writer_finish (writer, vs_run_get_cancellable (run), error)
      || !vs_image_writer_seal (writer, error))
    {
      g_prefix_error (error, "The present guest can't be kept for the case of failure: ");
      return FALSE;
    }
  vs_run_set_tool (run, NULL, NULL);
  return TRUE;
}

/* Who paused it, or had it paused before, finds it paused for that reason. */
static gboolean
give_user_reason (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_PAUSED)
    vs_domain_set_state (domain, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_USER);
  return TRUE;
}

/**
 * vs_present_wake:
 * @run: a run
 * @error: where to put an error
 *
 * Undo of vs_present_save(), also after vs_present_bring_back().
 *
 * Returns: whether the guest is as it was
 */
gboolean
vs_present_wake (VsRun *run, GError **error)
{
  if (!vs_migration_stop (run, vs_run_get_tool (run), error))
    return FALSE;
  vs_run_set_tool (run, NULL, NULL);
  vs_steps_hold (run, FALSE);
  if (vs_run_get_monitor (run, NULL) != NULL
      && (!vs_migration_take_disks_back (run, error) || !vs_steps_restore_running (run, error)
          || !vs_run_on_main (run, give_user_reason, NULL, error)))
    return FALSE;
  return vs_present_forget (run, error);
}

/* One that an undo of an earlier life was bringing back. */
static gboolean
is_half_back (VsRun *run)
{
  g_autofree char *status = vs_steps_get_status (run, NULL);

  return status == NULL || g_str_equal (status, "inmigrate") || g_str_equal (status, "prelaunch");
}

static gboolean
load (VsRun *run, GError **error)
{
  int fd = open_file (run, O_RDONLY, error);
  g_autoptr (VsImageReader) reader = fd >= 0 ? vs_image_reader_new (fd, VS_IMAGE_FLAGS_NONE, error) : NULL;

  if (fd >= 0)
    close (fd);
  if (reader == NULL)
    return FALSE;
  vs_run_set_flag (run, FACT_INCOMING, TRUE);
  return vs_start_spawn (run, error) && vs_migration_load (run, reader, error);
}

/**
 * vs_present_bring_back:
 * @run: a run
 * @error: where to put an error
 *
 * Undo of the end of the guest that vs_present_save() kept, if it has ended. It stands still then: see
 * vs_present_wake().
 *
 * Returns: whether it is there
 */
gboolean
vs_present_bring_back (VsRun *run, GError **error)
{
  if (vs_run_get_monitor (run, NULL) != NULL)
    {
      if (!is_half_back (run))
        return TRUE;
      if (!vs_start_kill (run, error))
        return FALSE;
    }
  return vs_revert_use_definition (run, FACT_PRESENT_DEFINITION, error) && vs_start_prepare (run, error)
         && load (run, error) && vs_start_announce (run, error);
}

/**
 * vs_present_forget:
 * @run: a run whose new guest has come, or whose old one is back
 * @error: where to put an error
 *
 * Returns: whether the file is gone
 */
gboolean
vs_present_forget (VsRun *run, GError **error)
{
  g_autofree char *name = get_name (run);

  return vs_store_remove (vs_run_get_store (run), vs_run_get_uuid (run), VS_STORE_MEMORY, name, error);
}
