/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting to a snapshot after which there is a guest, and whose files must stay as they are: the new guest is started on
 * fresh overlays, and loaded, while the present one runs on undisturbed; then it takes over in a few milliseconds. What
 * fails, or is cancelled, before that was never noticed.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-beside.h"
#include "vs-image-reader.h"
#include "vs-migration.h"
#include "vs-revert-files.h"
#include "vs-snapshot-revert.h"
#include "vs-snapshot-workflows.h"
#include "vs-start.h"
#include "vs-steps.h"
#include "vs-tags.h"
#include "vs-warning.h"

static gboolean
loads_image (VsRun *run)
{
  return vs_run_get_string (run, FACT_MEMORY_FILE) != NULL;
}

/* Open from here on: whatever its name becomes, it is that image that is loaded. */
static gboolean
open_image (VsRun *run, GError **error)
{
  const char *path = vs_run_get_string (run, FACT_MEMORY_FILE);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  int number = errno;
  VsImageReader *reader = fd >= 0 ? vs_image_reader_new (fd, VS_IMAGE_FLAGS_NONE, error) : NULL;

  if (fd >= 0)
    close (fd);
  else
    g_set_error (error, VMSNAP_ERROR, number == ENOENT ? VMSNAP_ERROR_NOT_FOUND : VMSNAP_ERROR_IO, "%s",
                 g_strerror (number));
  if (reader != NULL)
    vs_run_set_tool (run, reader, (GDestroyNotify) vs_image_reader_free);
  else
    g_prefix_error (error, "The memory of snapshot '%s' (%s) can't be used: ", vs_run_get_string (run, VS_FACT_SNAPSHOT),
                    path);
  return reader != NULL;
}

/* What the new guest has of memory before the old one's is free: what is loaded into it. */
static guint64
guess_memory (VsRun *run, VsDomainDef *next)
{
  const VsImageHeader *header = loads_image (run) ? vs_image_reader_get_header (vs_run_get_tool (run)) : NULL;

  if (vs_run_get_flag (run, FACT_MEMORY))
    return (guint64) vs_run_get_int (run, FACT_VM_STATE_SIZE);
  if (header == NULL)
    return 0;
  return header->encoding == VS_IMAGE_ENCODING_RAW && header->stream_length > 0 ? header->stream_length : next->memory;
}

/* Only looks. Where there can't be two guests at once, the present one ends first. */
static gboolean
look (VsRun *run, GError **error)
{
  g_autoptr (VsDomainDef) next = vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);
  g_autoptr (GError) local = NULL;
  g_autofree char *why = NULL;

  if (next == NULL || (loads_image (run) && !open_image (run, error)))
    return FALSE;
  if (vs_run_get_flag (run, FACT_ACTIVE))
    why = vs_beside_explain_alone (run, next, guess_memory (run, next), &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (why != NULL)
    {
      vs_warning_add (run, "The guest had to end before the new one was started: %s", why);
      vs_run_turn_to (run, &vs_workflow_snapshot_revert_anew);
      return TRUE;
    }
  vs_run_set_flag (run, FACT_APART, vs_run_get_flag (run, FACT_ACTIVE));
  return TRUE;
}

static gboolean
spawn (VsRun *run, GError **error)
{
  vs_run_set_flag (run, FACT_INCOMING, loads_image (run));
  return vs_beside_spawn (run, error);
}

static gboolean
load (VsRun *run, GError **error)
{
  if (loads_image (run))
    return vs_migration_load (run, vs_run_get_tool (run), error);
  if (!vs_run_get_flag (run, FACT_MEMORY))
    return TRUE;
  vs_tags_aim (run, VS_TAGS_SNAPSHOT);
  if (!vs_tags_load (run, vs_run_get_string (run, FACT_TAG), vs_run_get_int (run, FACT_VM_STATE_SIZE),
                     vs_run_get_cancellable (run), error))
    return FALSE;
  vs_tags_dismiss (run, VS_TAGS_JOB_LOAD);
  return TRUE;
}

static gboolean
close_image (VsRun *run, GError **error)
{
  vs_run_set_tool (run, NULL, NULL);
  return TRUE;
}

static gboolean
take_over (VsRun *run, GError **error)
{
  vs_run_set_tool (run, NULL, NULL);
  return vs_beside_take_over (run, error) && vs_revert_tell (run, error);
}

static gboolean
discards (VsRun *run)
{
  return vs_run_get_flag (run, FACT_DISCARD);
}

static gboolean
finish (VsRun *run, GError **error)
{
  return vs_revert_files_own (run, error) && vs_revert_files_abandon (run, error);
}

static const VsStep steps[] = {
  { "Reading the memory's beginning", 1, look },
  { "Preparing disks", 20, vs_revert_files_make, vs_revert_files_remove },
  { "Starting QEMU", 5, spawn, vs_beside_kill },
  { "Loading memory", 60, load, close_image, NULL, VS_COMMIT_NOT, NULL, TRUE },
  { "Handing over", 3, take_over, vs_revert_unrecord, NULL, VS_COMMIT_WHEN_BEGUN },
  { "Ending the old guest", 5, vs_beside_end_old },
  { "Removing the managed save", 1, vs_start_remove_managed_save, NULL, NULL, VS_COMMIT_NOT, discards },
  { "Tidying up", 5, finish },
};

const VsWorkflow vs_workflow_snapshot_revert_beside = {
  "snapshot-revert",
  "snapshot-revert-beside",
  NULL,
  steps,
  G_N_ELEMENTS (steps),
};
