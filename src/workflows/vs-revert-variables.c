/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The UEFI variables as they were before a revert, kept until it has worked. Threads of runs.
 */
#include <glib/gstdio.h>

#include "vs-nvram.h"
#include "vs-snapshot-revert.h"

/* The variable store that the snapshot's definition names, and what it held; no file: there was none. */
#define FACT_NVRAM_PATH "nvram-path"
#define FACT_UNDO_NVRAM "undo-nvram"

/**
 * vs_revert_keep_variables:
 * @run: a run whose guest stands still or is off
 * @error: where to put an error
 *
 * Returns: whether vs_revert_undo_variables() can bring them back
 */
gboolean
vs_revert_keep_variables (VsRun *run, GError **error)
{
  g_autoptr (VsDomainDef) then = vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);
  g_autofree char *file = g_strdup_printf ("%s.fd", vs_run_get_string (run, FACT_UNDO_TAG));
  g_autoptr (GBytes) variables = NULL;

  if (then == NULL)
    return FALSE;
  if (then->os.nvram == NULL)
    return TRUE;
  vs_run_set_string (run, FACT_NVRAM_PATH, then->os.nvram);
  if (!g_file_test (then->os.nvram, G_FILE_TEST_EXISTS))
    return TRUE;
  variables = vs_nvram_read (then->os.nvram, error);
  if (variables == NULL || !vs_nvram_keep (run, variables, file, error))
    return FALSE;
  vs_run_set_string (run, FACT_UNDO_NVRAM, file);
  return TRUE;
}

/* They are what they were. */
gboolean
vs_revert_undo_variables (VsRun *run, GError **error)
{
  const char *file = vs_run_get_string (run, FACT_UNDO_NVRAM);
  const char *path = vs_run_get_string (run, FACT_NVRAM_PATH);

  if (file != NULL)
    return vs_nvram_put_back (run, file, path, error);
  if (path != NULL)
    g_unlink (path);
  return TRUE;
}

/* They needn't be kept any more. */
gboolean
vs_revert_forget_variables (VsRun *run, GError **error)
{
  const char *file = vs_run_get_string (run, FACT_UNDO_NVRAM);

  return file == NULL || vs_nvram_forget (run, file, error);
}
