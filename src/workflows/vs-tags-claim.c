/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The disks of a domain that is off belong to it alone while its tags are changed: qemu-img would be kept out by QEMU's
 * lock, but couldn't say whose it is. Threads of runs.
 */
#include "vs-tags.h"

#include "vs-disk-chain.h"
#include "vs-engine.h"

static gboolean
claim (VsRun *run, gpointer chains, GError **error)
{
  return vs_engine_claim_disks (vs_run_get_engine (run), vs_run_get_def (run), chains, error);
}

/**
 * vs_tags_claim:
 * @run: a run with the fact of its disks
 * @error: where to put %VMSNAP_ERROR_BUSY when another domain uses one of them, or what is wrong with one
 *
 * Looks at the disks, and makes them the domain's until the run ends. A guest has claimed its disks already.
 *
 * Returns: whether they are the domain's
 */
gboolean
vs_tags_claim (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) states = vs_tags_list (run);
  g_autoptr (GPtrArray) chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);

  if (vs_run_get_guest (run) != NULL)
    return TRUE;
  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);
      const VsDiskDef disk = { .target = state->target, .path = state->path, .format = (char *) "qcow2" };
      VsDiskChain *chain = vs_disk_chain_probe (&disk, vs_run_get_cancellable (run), error);

      if (chain == NULL)
        return FALSE;
      g_ptr_array_add (chains, chain);
    }
  return vs_run_on_main (run, claim, chains, error);
}
