/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What doesn't go as one would like, told in the job's result as soon as it is known. It is a fact of the run, so that a
 * next life tells it, too.
 */
#include "vs-warning.h"

#define FACT_WARNING "warning"

/**
 * vs_warning_tell:
 * @run: a run
 * @data: nothing
 * @error: nothing is set
 *
 * Tells what there is to beware of, also that of an earlier life. Main thread.
 *
 * Returns: %TRUE
 */
gboolean
vs_warning_tell (VsRun *run, gpointer data, GError **error)
{
  const char *text = vs_run_get_string (run, FACT_WARNING);

  if (text != NULL)
    vs_job_add_result (vs_run_get_job (run), "warning", g_variant_new_string (text));
  return TRUE;
}

/**
 * vs_warning_add:
 * @run: a run
 * @format: a sentence
 * @...: for @format
 *
 * Adds it to what the job's result warns of. The run's thread.
 */
void
vs_warning_add (VsRun *run, const char *format, ...)
{
  const char *before = vs_run_get_string (run, FACT_WARNING);
  g_autofree char *text = NULL;
  g_autofree char *all = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  all = before != NULL ? g_strconcat (before, ". ", text, NULL) : g_strdup (text);
  vs_run_set_string (run, FACT_WARNING, all);
  vs_run_on_main (run, vs_warning_tell, NULL, NULL);
}
