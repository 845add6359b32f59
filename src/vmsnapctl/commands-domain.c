/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that tell about domains, and those that make them known. Lives in the main thread.
 */
#include "commands.h"

#include "format.h"
#include "output.h"

#include <gio/gunixoutputstream.h>
#include <unistd.h>

static void
add_domain (CtlTable *table, VmSnapDomain *domain)
{
  g_autolist (VmSnapSnapshot) snapshots = vmsnap_domain_get_snapshots (domain);
  g_autoptr (VmSnapSnapshot) current = vmsnap_domain_get_current_snapshot (domain);
  const char *state = vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vmsnap_domain_get_state (domain));

  ctl_table_add (table, vmsnap_domain_get_name (domain));
  ctl_table_take (table, g_strconcat (state, vmsnap_domain_has_managed_save (domain) ? ", saved" : "", NULL));
  ctl_table_take (table, ctl_format_size (vmsnap_domain_get_memory (domain)));
  ctl_table_take (table, g_strdup_printf ("%u", g_list_length (snapshots)));
  ctl_table_add (table, current != NULL ? vmsnap_snapshot_get_name (current) : "-");
  ctl_table_add (table, vmsnap_domain_get_uuid (domain));
}

static void
print_domains (GList *domains)
{
  g_autoptr (CtlTable) table = ctl_table_new ("NAME", "STATE", "MEMORY", "SNAPSHOTS", "CURRENT", "UUID", NULL);

  for (GList *l = domains; l != NULL; l = l->next)
    add_domain (table, l->data);
  ctl_table_print (table);
}

CtlExit
ctl_command_list (Ctl *ctl, int argc, char **argv)
{
  g_autolist (VmSnapDomain) domains = NULL;
  GError *error = NULL;
  gboolean names = FALSE;
  const GOptionEntry entries[] = {
    { "names", 0, 0, G_OPTION_ARG_NONE, &names, "Only the names, one a line", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 0, 0))
    return CTL_USAGE;
  if (!ctl_connect (ctl, &error))
    return ctl_fail (error);
  domains = vmsnap_client_get_domains (ctl->client);
  if (ctl->json)
    ctl_json_print (ctl_json_for_list (domains));
  else if (!names)
    print_domains (domains);
  for (GList *l = names && !ctl->json ? domains : NULL; l != NULL; l = l->next)
    ctl_done (ctl, "%s", vmsnap_domain_get_name (l->data));
  return CTL_OK;
}

CtlExit
ctl_command_define (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autofree char *xml = NULL;
  GError *error = NULL;
  gboolean validate = FALSE;
  const GOptionEntry entries[] = {
    { "validate", 0, 0, G_OPTION_ARG_NONE, &validate, "Check the text against the schema first", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  xml = ctl_read_xml (argv[1], &error);
  if (xml == NULL || !ctl_connect (ctl, &error))
    return ctl_fail (error);
  ctl_option_flag (&options, "validate", validate);
  domain = vmsnap_client_define_domain_sync (ctl->client, xml, ctl_options (ctl, &options), NULL, &error);
  if (domain == NULL)
    return ctl_fail (error);
  if (ctl->json)
    ctl_json_print_proxy (domain);
  ctl_done (ctl, "Defined %s (%s)", vmsnap_domain_get_name (domain), vmsnap_domain_get_uuid (domain));
  return CTL_OK;
}

CtlExit
ctl_command_create (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  g_autofree char *xml = NULL;
  GError *error = NULL;
  gboolean validate = FALSE;
  gboolean paused = FALSE;
  const GOptionEntry entries[] = {
    { "paused", 0, 0, G_OPTION_ARG_NONE, &paused, "Leave the guest paused before its first instruction", NULL },
    { "validate", 0, 0, G_OPTION_ARG_NONE, &validate, "Check the text against the schema first", NULL },
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  xml = ctl_read_xml (argv[1], &error);
  if (xml == NULL || !ctl_connect (ctl, &error))
    return ctl_fail (error);
  ctl_option_flag (&options, "paused", paused);
  ctl_option_flag (&options, "validate", validate);
  domain = vmsnap_client_create_domain_sync (ctl->client, xml, ctl_options (ctl, &options), &job, NULL, &error);
  return ctl_finish_job (ctl, job, error, "Started %s",
                         domain != NULL ? vmsnap_domain_get_name (domain) : "the domain");
}

static void
add_fact (CtlTable *table, const char *title, char *value)
{
  ctl_table_add (table, title);
  ctl_table_take (table, value);
}

static void
add_disks (CtlTable *table, VmSnapDomain *domain)
{
  g_autoptr (GVariant) disks = vmsnap_domain_get_disks (domain);

  for (gsize i = 0; i < g_variant_n_children (disks); i++)
    {
      g_autoptr (GVariant) disk = g_variant_get_child_value (disks, i);
      g_autofree const char **chain = NULL;
      const char *target = "";
      const char *path = "";
      const char *format = "";

      g_variant_lookup (disk, "target", "&s", &target);
      g_variant_lookup (disk, "path", "&s", &path);
      g_variant_lookup (disk, "format", "&s", &format);
      add_fact (table, i == 0 ? "Disks:" : "",
                *path != '\0' ? g_strdup_printf ("%s  %s (%s)", target, path, format)
                              : g_strdup_printf ("%s  empty", target));
      g_variant_lookup (disk, "chain", "^a&s", &chain);
      for (guint j = 1; chain != NULL && chain[0] != NULL && chain[j] != NULL; j++)
        add_fact (table, "", g_strdup_printf ("%*s  on %s", (int)ctl_text_width (target), "", chain[j]));
    }
}

static void
print_domain (VmSnapDomain *domain)
{
  g_autoptr (CtlTable) table = ctl_table_new ("Name:", vmsnap_domain_get_name (domain), NULL);
  g_autolist (VmSnapSnapshot) snapshots = vmsnap_domain_get_snapshots (domain);
  g_autoptr (VmSnapSnapshot) current = vmsnap_domain_get_current_snapshot (domain);
  g_autoptr (VmSnapJob) job = vmsnap_domain_get_job (domain);
  const char *state = vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vmsnap_domain_get_state (domain));
  const char *reason = vmsnap_enum_to_nick (VMSNAP_TYPE_STATE_REASON, vmsnap_domain_get_state_reason (domain));

  add_fact (table, "Uuid:", g_strdup (vmsnap_domain_get_uuid (domain)));
  add_fact (table, "State:", g_strdup_printf ("%s (%s)", state, reason));
  add_fact (table, "Persistent:", g_strdup (vmsnap_domain_is_persistent (domain) ? "yes" : "no"));
  add_fact (table, "Memory:", ctl_format_size (vmsnap_domain_get_memory (domain)));
  add_fact (table, "Processors:", g_strdup_printf ("%u", vmsnap_domain_get_vcpus (domain)));
  add_fact (table, "Guest agent:", g_strdup (vmsnap_domain_has_guest_agent (domain) ? "connected" : "no"));
  add_fact (table, "Managed save:", g_strdup (vmsnap_domain_has_managed_save (domain) ? "yes" : "no"));
  add_fact (table, "Snapshots:", g_strdup_printf ("%u", g_list_length (snapshots)));
  add_fact (table, "Current:", g_strdup (current != NULL ? vmsnap_snapshot_get_name (current) : "-"));
  add_fact (table, "Job:", job != NULL ? ctl_job_number (job) : g_strdup ("-"));
  add_disks (table, domain);
  ctl_table_print (table);
}

CtlExit
ctl_command_show (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (VmSnapDomain) domain = NULL;
  GError *error = NULL;

  if (!ctl_parse (ctl, NULL, &argc, &argv, 1, 1))
    return CTL_USAGE;
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain == NULL)
    return ctl_fail (error);
  if (ctl->json)
    ctl_json_print_proxy (domain);
  else
    print_domain (domain);
  return CTL_OK;
}

CtlExit
ctl_command_xml (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autofree char *xml = NULL;
  GError *error = NULL;
  gboolean inactive = FALSE;
  const GOptionEntry entries[] = {
    { "inactive", 0, 0, G_OPTION_ARG_NONE, &inactive, "The definition for the next start", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  domain = ctl_find_domain (ctl, argv[1], &error);
  ctl_option_flag (&options, "inactive", inactive);
  if (domain != NULL)
    xml = vmsnap_domain_get_xml_sync (domain, ctl_options (ctl, &options), NULL, &error);
  if (xml == NULL)
    return ctl_fail (error);
  ctl_print_xml (xml, ctl->json);
  return CTL_OK;
}

/* "-" is standard output. */
static GOutputStream *
open_picture (const char *name, GError **error)
{
  g_autoptr (GFile) file = NULL;

  if (g_str_equal (name, "-"))
    return g_unix_output_stream_new (STDOUT_FILENO, FALSE);
  file = g_file_new_for_commandline_arg (name);
  return G_OUTPUT_STREAM (g_file_replace (file, NULL, FALSE, G_FILE_CREATE_NONE, NULL, error));
}

CtlExit
ctl_command_screenshot (Ctl *ctl, int argc, char **argv)
{
  const GOutputStreamSpliceFlags flags = G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET;
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autoptr (GInputStream) picture = NULL;
  g_autoptr (GOutputStream) file = NULL;
  GError *error = NULL;

  if (!ctl_parse (ctl, NULL, &argc, &argv, 2, 2))
    return CTL_USAGE;
  if (g_str_equal (argv[2], "-") && isatty (STDOUT_FILENO))
    return ctl_usage (ctl, "A picture would upset the terminal; name a file, or send the output elsewhere");
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain != NULL)
    picture = vmsnap_domain_screenshot_sync (domain, NULL, &error);
  if (picture != NULL)
    file = open_picture (argv[2], &error);
  if (file == NULL || g_output_stream_splice (file, picture, flags, NULL, &error) < 0)
    return ctl_fail (error);
  if (!g_str_equal (argv[2], "-"))
    ctl_done (ctl, "Wrote %s", argv[2]);
  return CTL_OK;
}
