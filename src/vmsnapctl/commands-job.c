/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands about jobs. Lives in the main thread.
 */
#include "commands.h"

#include "format.h"
#include "output.h"

#include <string.h>

static char *
format_percent (VmSnapJob *job)
{
  return g_strdup_printf ("%u %%", (guint)(vmsnap_job_get_progress (job) * 100));
}

static void
print_jobs (GList *jobs)
{
  g_autoptr (CtlTable) table = ctl_table_new ("JOB", "OPERATION", "DOMAIN", "STATE", "DONE", "PHASE", NULL);

  for (GList *l = jobs; l != NULL; l = l->next)
    {
      g_autoptr (VmSnapDomain) domain = vmsnap_job_get_domain (l->data);

      ctl_table_take (table, ctl_job_number (l->data));
      ctl_table_add (table, vmsnap_job_get_operation (l->data));
      ctl_table_add (table, domain != NULL ? vmsnap_domain_get_name (domain) : "-");
      ctl_table_add (table, vmsnap_enum_to_nick (VMSNAP_TYPE_JOB_STATE, vmsnap_job_get_state (l->data)));
      ctl_table_take (table, format_percent (l->data));
      ctl_table_add (table, vmsnap_job_get_phase (l->data));
    }
  ctl_table_set_flexible (table, 2);
  ctl_table_set_flexible (table, 5);
  ctl_table_print_fitting (table);
}

CtlExit
ctl_command_job_list (Ctl *ctl, int argc, char **argv)
{
  g_autolist (VmSnapJob) jobs = NULL;
  GError *error = NULL;

  if (!ctl_parse (ctl, NULL, &argc, &argv, 0, 0))
    return CTL_USAGE;
  if (!ctl_connect (ctl, &error))
    return ctl_fail (error);
  jobs = vmsnap_client_get_jobs (ctl->client);
  if (ctl->json)
    ctl_json_print (ctl_json_for_list (jobs));
  else
    print_jobs (jobs);
  return CTL_OK;
}

/* A number, or a path as --json writes it. */
static VmSnapJob *
find_job (Ctl *ctl, const char *word, GError **error)
{
  g_autofree char *path = NULL;
  VmSnapJob *job = NULL;

  if (!ctl_connect (ctl, error))
    return NULL;
  path = *word == '/' ? g_strdup (word) : g_strconcat (VMSNAP_JOBS_PATH "/", word, NULL);
  if (g_variant_is_object_path (path))
    job = vmsnap_client_lookup_job (ctl->client, path);
  if (job == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                 "There is no job '%s'; 'vmsnapctl job list' shows those under way or ended lately", word);
  return job;
}

static void
add_fact (CtlTable *table, const char *title, char *value)
{
  ctl_table_add (table, title);
  ctl_table_take (table, value);
}

static char *
format_bytes (VmSnapJob *job)
{
  g_autofree char *done = ctl_format_size (vmsnap_job_get_bytes_done (job));
  g_autofree char *total = ctl_format_size (vmsnap_job_get_bytes_total (job));

  if (vmsnap_job_get_bytes_total (job) > 0)
    return g_strdup_printf ("%s of %s", done, total);
  return vmsnap_job_get_bytes_done (job) > 0 ? g_steal_pointer (&done) : g_strdup ("-");
}

static void
add_result (CtlTable *table, VmSnapJob *job)
{
  g_autoptr (GVariant) result = vmsnap_job_dup_result (job);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, result);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      g_autofree char *title = g_strdup_printf ("Result, %s:", key);

      if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)
          || g_variant_is_of_type (value, G_VARIANT_TYPE_OBJECT_PATH))
        add_fact (table, title, g_variant_dup_string (value, NULL));
      else if (g_str_equal (key, "downtime") && g_variant_is_of_type (value, G_VARIANT_TYPE_UINT64))
        add_fact (table, title, ctl_format_duration (g_variant_get_uint64 (value)));
      else
        add_fact (table, title, g_variant_print (value, FALSE));
    }
}

static void
print_job (VmSnapJob *job)
{
  g_autofree char *number = ctl_job_number (job);
  g_autoptr (CtlTable) table = ctl_table_new ("Job:", number, NULL);
  g_autoptr (VmSnapDomain) domain = vmsnap_job_get_domain (job);
  g_autoptr (VmSnapSnapshot) snapshot = vmsnap_job_get_snapshot (job);
  g_autoptr (GError) error = vmsnap_job_dup_error (job);

  add_fact (table, "Operation:", g_strdup (vmsnap_job_get_operation (job)));
  add_fact (table, "Domain:", g_strdup (domain != NULL ? vmsnap_domain_get_name (domain) : "-"));
  add_fact (table, "Snapshot:", g_strdup (snapshot != NULL ? vmsnap_snapshot_get_name (snapshot) : "-"));
  add_fact (table, "State:", g_strdup (vmsnap_enum_to_nick (VMSNAP_TYPE_JOB_STATE, vmsnap_job_get_state (job))));
  add_fact (table, "Phase:", g_strdup (vmsnap_job_get_phase (job)));
  add_fact (table, "Done:", format_percent (job));
  add_fact (table, "Bytes:", format_bytes (job));
  add_fact (table, "Started:", ctl_format_time (vmsnap_job_get_start_time (job)));
  add_fact (table, "Ended:", ctl_format_time (vmsnap_job_get_end_time (job)));
  add_fact (table, "Cancellable:", g_strdup (vmsnap_job_is_cancellable (job) ? "yes" : "no"));
  add_fact (table, "Caller's uid:", g_strdup_printf ("%u", vmsnap_job_get_caller_uid (job)));
  if (error != NULL)
    add_fact (table, "Error:", g_strdup (error->message));
  add_result (table, job);
  ctl_table_print (table);
}

CtlExit
ctl_command_job_show (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;

  if (!ctl_parse (ctl, NULL, &argc, &argv, 1, 1))
    return CTL_USAGE;
  job = find_job (ctl, argv[1], &error);
  if (job == NULL)
    return ctl_fail (error);
  if (ctl->json)
    ctl_json_print_proxy (job);
  else
    print_job (job);
  return CTL_OK;
}

/* It was cancelled is what is wanted here; it completed after all isn't. */
static CtlExit
tell_cancelled (Ctl *ctl, VmSnapJob *job, const char *number)
{
  g_autoptr (GError) error = NULL;

  if (ctl_wait (ctl, job, &error))
    {
      ctl_tell_warning (job);
      return ctl_fail (g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                                    "Job %s was past the point of return, and has completed", number));
    }
  if (vmsnap_job_get_state (job) != VMSNAP_JOB_STATE_CANCELLED)
    return ctl_fail (g_steal_pointer (&error));
  if (ctl->json)
    ctl_json_print_proxy (job);
  ctl_done (ctl, "Cancelled job %s; all is as it was before it", number);
  return CTL_OK;
}

CtlExit
ctl_command_job_cancel (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (VmSnapJob) job = NULL;
  g_autofree char *number = NULL;
  GError *error = NULL;
  const GOptionEntry entries[] = {
    { "no-wait", 0, 0, G_OPTION_ARG_NONE, &ctl->no_wait, "Don't wait until the job has undone what it did", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  job = find_job (ctl, argv[1], &error);
  if (job == NULL || !vmsnap_job_cancel_sync (job, NULL, &error))
    return ctl_fail (error);
  number = ctl_job_number (job);
  if (!ctl->no_wait)
    return tell_cancelled (ctl, job, number);
  if (ctl->json)
    ctl_json_print_proxy (job);
  ctl_done (ctl, "Cancelling job %s", number);
  return CTL_OK;
}
