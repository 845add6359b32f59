/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A guest beside the domain's present one: whether there can be two, how it is started, and how it is got rid of again
 * without anybody having noticed. It is in a runtime directory of its own, `<runtime>/beside`. Threads of runs.
 */
#include "vs-beside-private.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vs-disk-chain.h"
#include "vs-engine.h"
#include "vs-file-access.h"
#include "vs-helpers.h"
#include "vs-snapshot-revert.h"
#include "vs-start.h"
#include "vs-steps.h"

#define FOLDER "beside"
#define END_TIMEOUT (15 * G_USEC_PER_SEC)
/* What QEMU takes besides the guest's memory, generously. */
#define QEMU_MEMORY (G_GUINT64_CONSTANT (96) << 20)

char *
vs_beside_runtime_dir (VsRun *run)
{
  return g_build_filename (vs_store_get_runtime_dir (vs_run_get_store (run)), FOLDER, NULL);
}

/**
 * vs_beside_explain_memory:
 * @available: bytes of memory that the host can give without swapping
 * @needed: bytes that the new guest is going to have when it is loaded
 *
 * Returns: (transfer full) (nullable): why there can't be two guests at once, as the end of a sentence; %NULL: there can
 */
char *
vs_beside_explain_memory (guint64 available, guint64 needed)
{
  if (needed <= available && available - needed >= QEMU_MEMORY)
    return NULL;
  return g_strdup_printf ("the host has %" G_GUINT64_FORMAT " MiB of memory left, and a second guest takes %" G_GUINT64_FORMAT
                          " MiB",
                          available >> 20, (needed + QEMU_MEMORY) >> 20);
}

static guint64
read_available (void)
{
  static const char key[] = "MemAvailable:";
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents ("/proc/meminfo", &text, NULL, NULL))
    return G_MAXUINT64;
  line = strstr (text, key);
  return line != NULL ? g_ascii_strtoull (line + strlen (key), NULL, 10) * 1024 : G_MAXUINT64;
}

static gboolean
get_claimed (VsRun *run, gpointer data, GError **error)
{
  GPtrArray **chains = data;

  *chains = g_ptr_array_ref (vs_domain_get_chains (vs_run_get_domain (run)));
  return TRUE;
}

/* The file that the present guest writes to, if it is one of that chain. */
static const char *
find_shared (GPtrArray *present, const VsDiskChain *chain, gboolean writes)
{
  for (guint i = 0; i < present->len; i++)
    {
      const VsDiskChain *other = g_ptr_array_index (present, i);

      for (guint j = 0; j < chain->files->len; j++)
        for (guint k = 0; k < other->files->len; k++)
          {
            const VsDiskFile *ours = g_ptr_array_index (chain->files, j);
            const VsDiskFile *theirs = g_ptr_array_index (other->files, k);

            if (g_str_equal (ours->id, theirs->id) && ((j == 0 && writes) || k == 0))
              return ours->path;
          }
    }
  return NULL;
}

/* Only a disk that is to keep the file it has, or is in no file of its own, is in a file that is there already. */
static char *
explain_disks (VsRun *run, VsDomainDef *next, GError **error)
{
  g_autoptr (GPtrArray) present = NULL;

  vs_run_on_main (run, get_claimed, &present, NULL);
  for (guint i = 0; i < next->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (next->disks, i);
      g_autoptr (VsDiskChain) chain = NULL;
      const char *shared;

      if (disk->path == NULL || disk->readonly || disk->is_cdrom || disk->shareable
          || !g_file_test (disk->path, G_FILE_TEST_EXISTS))
        continue;
      chain = vs_disk_chain_probe (disk, vs_run_get_cancellable (run), error);
      if (chain == NULL)
        return NULL;
      shared = find_shared (present, chain, TRUE);
      if (shared != NULL)
        return g_strdup_printf ("both would write to disk %s, %s", disk->target, shared);
    }
  return NULL;
}

/**
 * vs_beside_explain_alone:
 * @run: a run whose domain has a guest
 * @next: the definition of the new one
 * @memory: bytes of memory that it is going to have when it is loaded
 * @error: when that can't be told
 *
 * Returns: (transfer full) (nullable): why the two can't be there at once, as the end of a sentence; %NULL: they can, if
 *   there is no error
 */
char *
vs_beside_explain_alone (VsRun *run, VsDomainDef *next, guint64 memory, GError **error)
{
  g_autofree char *suffix = g_strdup_printf (".%u", vs_run_get_number (run));
  char *why = vs_domain_def_explain_alone (next, suffix);

  if (why == NULL)
    why = vs_beside_explain_memory (read_available (), memory);
  return why != NULL ? why : explain_disks (run, next, error);
}

static gboolean
take_disks (VsRun *run, gpointer chains, GError **error)
{
  return vs_engine_claim_disks_beside (vs_run_get_engine (run), vs_run_get_def (run), chains, error);
}

static gboolean
note_hypervisor (VsRun *run, gpointer hypervisor, GError **error)
{
  vs_engine_note_hypervisor (vs_run_get_engine (run), hypervisor);
  return TRUE;
}

/* As vs_start_prepare(), while the present guest's files stay its own. */
static gboolean
prepare (VsRun *run, GError **error)
{
  g_autoptr (VsHypervisor) hypervisor =
    vs_hypervisor_get (vs_steps_emulator (run), vs_run_get_cancellable (run), error);
  g_autoptr (GPtrArray) chains = NULL;

  if (hypervisor == NULL)
    return FALSE;
  vs_run_on_main (run, note_hypervisor, hypervisor, NULL);
  chains = vs_file_access_check_boot (vs_run_get_def (run), error) ? vs_start_probe_disks (run, error) : NULL;
  return chains != NULL && vs_start_check_files (run, chains, error) && vs_run_on_main (run, take_disks, chains, error)
         && vs_beside_make_variables (run, error);
}

/**
 * vs_beside_spawn:
 * @run: a run
 * @error: where to put an error
 *
 * Starts the new guest, and makes it the run's; the domain knows nothing of it.
 *
 * Returns: whether it is there and stands still
 */
gboolean
vs_beside_spawn (VsRun *run, GError **error)
{
  g_autofree char *runtime = vs_beside_runtime_dir (run);
  g_autoptr (VsDomainDef) launched = NULL;

  if (!vs_revert_use_definition (run, FACT_DEFINITION, error) || !prepare (run, error))
    return FALSE;
  launched = vs_beside_move_places (run, error);
  if (launched == NULL || !vs_start_spawn_in (run, launched, runtime, error))
    return FALSE;
  vs_run_set_int (run, FACT_NEXT_PID, vs_process_get_pid (vs_guest_get_process (vs_run_get_guest (run))));
  return TRUE;
}

/**
 * vs_beside_find:
 * @run: a run
 * @error: when it can't be told
 *
 * Returns: (transfer full) (nullable): the guest that is beside the domain's, started in this life or an earlier one; %NULL
 *   without an error: none
 */
VsGuest *
vs_beside_find (VsRun *run, GError **error)
{
  g_autofree char *runtime = vs_beside_runtime_dir (run);
  g_autofree char *directory = vs_guest_directory (runtime, vs_run_get_uuid (run));
  VsGuest *guest = vs_run_get_guest (run);

  if (guest != NULL && g_str_equal (vs_guest_get_directory (guest), directory))
    return g_object_ref (guest);
  return vs_guest_find_deaf (runtime, vs_store_get_log_dir (vs_run_get_store (run)), vs_run_get_uuid (run),
                             vs_run_get_def (run)->name, error);
}

static gboolean
back_to_present (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  vs_engine_settle_beside (vs_run_get_engine (run), domain, FALSE);
  vs_run_set_guest (run, vs_domain_get_guest (domain));
  vs_run_set_def (run, vs_domain_get_def (domain));
  return TRUE;
}

/**
 * vs_beside_kill:
 * @run: a run
 * @error: where to put an error
 *
 * Undo of vs_beside_spawn(). It has nothing to lose.
 *
 * Returns: whether nothing is left of it
 */
gboolean
vs_beside_kill (VsRun *run, GError **error)
{
  g_autofree char *runtime = vs_beside_runtime_dir (run);
  g_autoptr (VsDomainDef) next = NULL;
  g_autoptr (GError) local = NULL;
  g_autoptr (VsGuest) guest = vs_beside_find (run, &local);

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (guest != NULL && !vs_guest_end (guest, VS_PROCESS_END_KILL, END_TIMEOUT, NULL, error))
    return FALSE;
  vs_guest_remove_directory (runtime, vs_run_get_uuid (run));
  next = vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);
  if (next == NULL)
    return FALSE;
  vs_beside_forget_places (run, next);
  return vs_run_on_main (run, back_to_present, NULL, error);
}
