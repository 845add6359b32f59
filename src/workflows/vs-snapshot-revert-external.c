/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting to a snapshot whose files must stay as they are: the domain gets fresh overlays over them, or copies. Where
 * it is off afterwards, all is prepared and on record before a guest that is there ends, so that a revert that fails or
 * is cancelled leaves it running.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-disk-chain.h"
#include "vs-image-reader.h"
#include "vs-migration.h"
#include "vs-present.h"
#include "vs-revert-files.h"
#include "vs-snapshot-revert.h"
#include "vs-snapshot-workflows.h"
#include "vs-start.h"
#include "vs-steps.h"
#include "vs-tags.h"

static gboolean
has_guest (VsRun *run)
{
  return vs_run_get_flag (run, FACT_ACTIVE);
}

static gboolean
has_variables (VsRun *run)
{
  return vs_run_get_string (run, FACT_NVRAM) != NULL;
}

static gboolean
discards (VsRun *run)
{
  return vs_run_get_flag (run, FACT_DISCARD);
}

static gboolean
power_off (VsRun *run, GError **error)
{
  return vs_steps_end_guest (run, VS_PROCESS_END_TERM, VMSNAP_STATE_REASON_FROM_SNAPSHOT, error);
}

static gboolean
put_variables_back (VsRun *run, GError **error)
{
  return vs_revert_use_definition (run, FACT_DEFINITION, error) && vs_revert_put_nvram_back (run, error);
}

static gboolean
show_chains (VsRun *run, gpointer chains, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (!vs_domain_is_active (domain))
    vs_domain_set_chains (domain, chains);
  return TRUE;
}

/* What the domain shows of its disks are its files from now on. */
static gboolean
show_disks (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);
  GPtrArray *disks;

  if (!vs_revert_use_definition (run, FACT_DEFINITION, error))
    return FALSE;
  disks = vs_run_get_def (run)->disks;
  for (guint i = 0; i < disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (disks, i);
      g_autoptr (GError) local = NULL;
      VsDiskChain *chain = disk->path != NULL ? vs_disk_chain_probe (disk, NULL, &local) : NULL;

      if (chain != NULL)
        g_ptr_array_add (chains, chain);
      else if (local != NULL)
        g_warning ("%s", local->message);
    }
  return vs_run_on_main (run, show_chains, chains, error);
}

static gboolean
finish_off (VsRun *run, GError **error)
{
  return vs_revert_files_own (run, error) && show_disks (run, error) && vs_revert_let_run (run, error)
         && vs_revert_tell (run, error) && vs_revert_files_abandon (run, error);
}

static const VsStep off_steps[] = {
  { "Preparing disks", 80, vs_revert_files_make, vs_revert_files_remove },
  { "Recording", 5, vs_revert_record_quietly, vs_revert_unrecord, NULL, VS_COMMIT_WHEN_DONE },
  { "Powering off", 5, power_off, NULL, NULL, VS_COMMIT_NOT, has_guest },
  { "Putting the UEFI variables back", 1, put_variables_back, NULL, NULL, VS_COMMIT_NOT, has_variables },
  { "Removing the managed save", 1, vs_start_remove_managed_save, NULL, NULL, VS_COMMIT_NOT, discards },
  { "Tidying up", 5, finish_off },
};

const VsWorkflow vs_workflow_snapshot_revert_off = {
  "snapshot-revert",
  "snapshot-revert-off",
  NULL,
  off_steps,
  G_N_ELEMENTS (off_steps),
};

/* The image is open from before the old guest ends. */
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
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't open %s: %s", path, g_strerror (number));
  if (reader != NULL)
    vs_run_set_tool (run, reader, (GDestroyNotify) vs_image_reader_free);
  return reader != NULL;
}

static gboolean
loads_image (VsRun *run)
{
  return vs_run_get_string (run, FACT_MEMORY_FILE) != NULL;
}

static gboolean
spawn (VsRun *run, GError **error)
{
  if (!vs_revert_use_definition (run, FACT_DEFINITION, error) || !vs_revert_keep_variables (run, error)
      || !vs_run_write_journal (run, error) || !vs_start_prepare (run, error) || !vs_revert_put_nvram_back (run, error))
    return FALSE;
  if (loads_image (run) && !open_image (run, error))
    return FALSE;
  vs_steps_hold (run, TRUE);
  vs_run_set_flag (run, FACT_INCOMING, loads_image (run));
  return vs_start_spawn (run, error);
}

static gboolean
unspawn (VsRun *run, GError **error)
{
  return vs_start_kill (run, error) && vs_start_unprepare (run, error) && vs_revert_undo_variables (run, error)
         && vs_revert_forget_variables (run, error);
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
unload (VsRun *run, GError **error)
{
  vs_run_set_tool (run, NULL, NULL);
  return TRUE;
}

static gboolean
let_run (VsRun *run, GError **error)
{
  vs_run_set_tool (run, NULL, NULL);
  vs_steps_hold (run, FALSE);
  return vs_revert_let_run (run, error) && vs_start_announce (run, error);
}

static gboolean
finish_anew (VsRun *run, GError **error)
{
  return vs_present_forget (run, error) && vs_revert_files_own (run, error) && vs_revert_forget_variables (run, error)
         && vs_revert_files_abandon (run, error);
}

static const VsStep anew_steps[] = {
  { "Preparing disks", 20, vs_revert_files_make, vs_revert_files_remove },
  { "Keeping the present guest", 20, vs_present_save, vs_present_wake, NULL, VS_COMMIT_NOT, has_guest },
  { "Powering off", 3, power_off, vs_present_bring_back, NULL, VS_COMMIT_NOT, has_guest },
  { "Starting QEMU", 5, spawn, unspawn },
  { "Loading memory", 60, load, unload, NULL, VS_COMMIT_NOT, NULL, TRUE },
  { "Recording", 2, vs_revert_record, vs_revert_unrecord, NULL, VS_COMMIT_WHEN_DONE },
  { "Removing the managed save", 1, vs_start_remove_managed_save, NULL, NULL, VS_COMMIT_NOT, discards },
  { "Letting the guest run", 2, let_run },
  { "Tidying up", 5, finish_anew },
};

const VsWorkflow vs_workflow_snapshot_revert_anew = {
  "snapshot-revert",
  "snapshot-revert-anew",
  NULL,
  anew_steps,
  G_N_ELEMENTS (anew_steps),
};
