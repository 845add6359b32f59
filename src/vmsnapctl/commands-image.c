/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that tell about saved images, and change what they say. Lives in the main thread.
 */
#include "commands.h"

#include "editor.h"
#include "format.h"
#include "output.h"

static void
print_json (VmSnapImageInfo *info)
{
  JsonObject *object = json_object_new ();

  json_object_set_int_member (object, "format-version", vmsnap_image_info_get_format_version (info));
  json_object_set_boolean_member (object, "complete", vmsnap_image_info_is_complete (info));
  json_object_set_string_member (object, "state",
                                 vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vmsnap_image_info_get_state (info)));
  json_object_set_string_member (object, "encoding", vmsnap_image_info_get_encoding (info));
  json_object_set_string_member (object, "domain-name", vmsnap_image_info_get_domain_name (info));
  json_object_set_string_member (object, "domain-uuid", vmsnap_image_info_get_domain_uuid (info));
  json_object_set_string_member (object, "xml", vmsnap_image_info_get_xml (info));
  json_object_set_int_member (object, "memory-size", (gint64)vmsnap_image_info_get_memory_size (info));
  ctl_json_print (ctl_json_node (object));
}

static void
add_fact (CtlTable *table, const char *title, char *value)
{
  ctl_table_add (table, title);
  ctl_table_take (table, value);
}

static void
print_image (VmSnapImageInfo *info)
{
  g_autoptr (CtlTable) table = ctl_table_new ("Domain:", vmsnap_image_info_get_domain_name (info), NULL);
  const char *state = vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vmsnap_image_info_get_state (info));

  add_fact (table, "Uuid:", g_strdup (vmsnap_image_info_get_domain_uuid (info)));
  add_fact (table, "State:", g_strdup_printf ("%s when restored", state));
  add_fact (table, "Complete:", g_strdup (vmsnap_image_info_is_complete (info) ? "yes" : "no: it can't be restored"));
  add_fact (table, "Encoding:", g_strdup (vmsnap_image_info_get_encoding (info)));
  add_fact (table, "Memory:", ctl_format_size (vmsnap_image_info_get_memory_size (info)));
  add_fact (table, "Format:", g_strdup_printf ("version %u", vmsnap_image_info_get_format_version (info)));
  ctl_table_print (table);
}

static VmSnapImageInfo *
inspect (Ctl *ctl, const char *name, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_commandline_arg (name);

  return ctl_connect (ctl, error) ? vmsnap_client_inspect_image_file_sync (ctl->client, file, NULL, error) : NULL;
}

CtlExit
ctl_command_image_show (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (VmSnapImageInfo) info = NULL;
  GError *error = NULL;
  gboolean xml = FALSE;
  const GOptionEntry entries[] = {
    { "xml", 0, 0, G_OPTION_ARG_NONE, &xml, "Write the definition of the domain", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  info = inspect (ctl, argv[1], &error);
  if (info == NULL)
    return ctl_fail_image (error, argv[1]);
  if (xml)
    ctl_print_xml (vmsnap_image_info_get_xml (info), ctl->json);
  else if (ctl->json)
    print_json (info);
  else
    print_image (info);
  return CTL_OK;
}

typedef struct
{
  Ctl *ctl;
  const char *name;
} Image;

static gboolean
rewrite (Image *image, GVariantDict *options, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_commandline_arg (image->name);

  return vmsnap_client_rewrite_image_file_sync (image->ctl->client, file, g_variant_dict_end (options), NULL, error);
}

static gboolean
take_xml (const char *text, gpointer user_data, GError **error)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);

  if (!g_utf8_validate (text, -1, NULL))
    {
      g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML, "The text is not UTF-8");
      return FALSE;
    }
  ctl_option_string (&options, "xml", text);
  return rewrite (user_data, &options, error);
}

static CtlExit
edit (Image *image)
{
  GError *error = NULL;
  g_autoptr (VmSnapImageInfo) info = inspect (image->ctl, image->name, &error);
  gboolean changed;

  if (info == NULL || !ctl_edit (vmsnap_image_info_get_xml (info), take_xml, image, &changed, &error))
    return ctl_fail_image (error, image->name);
  ctl_done (image->ctl, changed ? "Changed %s" : "Nothing was changed in %s", image->name);
  return CTL_OK;
}

CtlExit
ctl_command_image_edit (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autofree char *xml_file = NULL;
  g_autofree char *xml = NULL;
  Image image = { ctl, NULL };
  GError *error = NULL;
  gboolean running = FALSE;
  gboolean paused = FALSE;
  const GOptionEntry entries[] = {
    { "running", 0, 0, G_OPTION_ARG_NONE, &running, "The guest shall run when it is restored", NULL },
    { "paused", 0, 0, G_OPTION_ARG_NONE, &paused, "The guest shall be paused when it is restored", NULL },
    { "xml", 0, 0, G_OPTION_ARG_FILENAME, &xml_file, "Take the definition from this file", "FILE" },
    G_OPTION_ENTRY_NULL,
  };

  ctl->note = "Without an option the definition is opened in the editor that VISUAL or EDITOR names.";
  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 1))
    return CTL_USAGE;
  if (running && paused)
    return ctl_usage (ctl, "--running and --paused exclude each other; give one of them");
  image.name = argv[1];
  if (!running && !paused && xml_file == NULL)
    return edit (&image);
  if (xml_file != NULL && (xml = ctl_read_xml (xml_file, &error)) == NULL)
    return ctl_fail (error);
  ctl_option_flag (&options, "running", running);
  ctl_option_flag (&options, "paused", paused);
  ctl_option_string (&options, "xml", xml);
  if (!ctl_connect (ctl, &error) || !rewrite (&image, &options, &error))
    return ctl_fail_image (error, image.name);
  ctl_done (ctl, "Changed %s", image.name);
  return CTL_OK;
}
