/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that tell about snapshots. Lives in the main thread.
 */
#include "commands.h"

#include "format.h"
#include "memory-place.h"
#include "output.h"
#include "tree.h"

#include <unistd.h>

/* Of one level of the tree. */
#define STROKE_COLUMNS 3

static char *
format_known_size (VmSnapSnapshot *snapshot)
{
  guint64 size = vmsnap_snapshot_get_size (snapshot);

  return size > 0 ? ctl_format_size (size) : g_strdup ("-");
}

static const char *
format_memory (VmSnapSnapshot *snapshot)
{
  VmSnapLocation memory = vmsnap_snapshot_get_memory (snapshot);

  return memory != VMSNAP_LOCATION_NONE ? vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, memory) : "-";
}

/* What a revert brings back beside the disks. */
static const char *
format_contents (VmSnapSnapshot *snapshot)
{
  return vmsnap_snapshot_get_memory (snapshot) != VMSNAP_LOCATION_NONE ? "memory" : "disks only";
}

static void
add_snapshot (CtlTable *table, VmSnapSnapshot *snapshot)
{
  g_autoptr (VmSnapSnapshot) parent = vmsnap_snapshot_get_parent (snapshot);

  ctl_table_add (table, vmsnap_snapshot_is_current (snapshot) ? "*" : "");
  ctl_table_add (table, vmsnap_snapshot_get_name (snapshot));
  ctl_table_take (table, ctl_format_time (vmsnap_snapshot_get_creation_time (snapshot)));
  ctl_table_add (table, vmsnap_enum_to_nick (VMSNAP_TYPE_SNAPSHOT_STATE, vmsnap_snapshot_get_state (snapshot)));
  ctl_table_add (table, vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, vmsnap_snapshot_get_location (snapshot)));
  ctl_table_add (table, format_memory (snapshot));
  ctl_table_take (table, format_known_size (snapshot));
  ctl_table_add (table, parent != NULL ? vmsnap_snapshot_get_name (parent) : "-");
}

static void
print_snapshots (GList *snapshots)
{
  g_autoptr (CtlTable) table = ctl_table_new ("", "NAME", "TIME", "STATE", "LOCATION", "MEMORY", "SIZE", "PARENT", NULL);

  for (GList *l = snapshots; l != NULL; l = l->next)
    add_snapshot (table, l->data);
  /* The two names. */
  ctl_table_set_flexible (table, 1);
  ctl_table_set_flexible (table, 7);
  ctl_table_print_fitting (table);
}

/* The filters of `snapshot list`, named as on the bus. */
static const char *const filters[]
  = { "roots", "leaves", "no-leaves", "internal", "external", "disk-only", "active", "inactive" };

typedef struct
{
  gboolean chosen[G_N_ELEMENTS (filters)];
  gboolean names;
  char *below;
} Filter;

static gboolean
parse_list (Ctl *ctl, Filter *filter, int *argc, char ***argv)
{
  gboolean *chosen = filter->chosen;
  const GOptionEntry entries[] = {
    { filters[0], 0, 0, G_OPTION_ARG_NONE, &chosen[0], "Only those without a parent", NULL },
    { filters[1], 0, 0, G_OPTION_ARG_NONE, &chosen[1], "Only those without children", NULL },
    { filters[2], 0, 0, G_OPTION_ARG_NONE, &chosen[2], "Only those with children", NULL },
    { filters[3], 0, 0, G_OPTION_ARG_NONE, &chosen[3], "Those inside the disks' files", NULL },
    { filters[4], 0, 0, G_OPTION_ARG_NONE, &chosen[4], "Those in files of their own", NULL },
    { filters[5], 0, 0, G_OPTION_ARG_NONE, &chosen[5], "Those without memory, of a running domain", NULL },
    { filters[6], 0, 0, G_OPTION_ARG_NONE, &chosen[6], "Those of a running or paused guest", NULL },
    { filters[7], 0, 0, G_OPTION_ARG_NONE, &chosen[7], "Those of a domain that was shut off", NULL },
    { "descendants-of", 0, 0, G_OPTION_ARG_STRING, &filter->below, "Only those below this one", "NAME" },
    { "names", 0, 0, G_OPTION_ARG_NONE, &filter->names, "Only the names, one a line", NULL },
    G_OPTION_ENTRY_NULL,
  };

  return ctl_parse (ctl, entries, argc, argv, 1, 1);
}

static gboolean
collect (Filter *filter, VmSnapDomain *domain, GVariantDict *options, GError **error)
{
  g_autoptr (VmSnapSnapshot) below = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (filters); i++)
    ctl_option_flag (options, filters[i], filter->chosen[i]);
  if (filter->below == NULL)
    return TRUE;
  below = vmsnap_domain_get_snapshot_sync (domain, filter->below, NULL, error);
  if (below != NULL)
    g_variant_dict_insert (options, "descendants-of", "o", g_dbus_proxy_get_object_path (G_DBUS_PROXY (below)));
  return below != NULL;
}

CtlExit
ctl_command_snapshot_list (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autolist (VmSnapSnapshot) snapshots = NULL;
  g_autofree char *below = NULL;
  GError *error = NULL;
  Filter filter = { 0 };

  if (!parse_list (ctl, &filter, &argc, &argv))
    return CTL_USAGE;
  below = filter.below;
  if (filter.chosen[1] && filter.chosen[2])
    return ctl_usage (ctl, "--leaves and --no-leaves exclude each other; give one of them");
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain == NULL || !collect (&filter, domain, &options, &error))
    return ctl_fail (error);
  snapshots = vmsnap_domain_list_snapshots_sync (domain, g_variant_dict_end (&options), NULL, &error);
  if (error != NULL)
    return ctl_fail (error);
  if (ctl->json)
    ctl_json_print (ctl_json_for_list (snapshots));
  else if (!filter.names)
    print_snapshots (snapshots);
  for (GList *l = filter.names && !ctl->json ? snapshots : NULL; l != NULL; l = l->next)
    ctl_done (ctl, "%s", vmsnap_snapshot_get_name (l->data));
  return CTL_OK;
}

static void
print_rows (GPtrArray *rows)
{
  g_autoptr (CtlTable) table = ctl_table_new ("NAME", "LOCATION", "HOLDS", "SIZE", "AGE", "", NULL);
  guint64 now = (guint64)g_get_real_time ();

  for (guint i = 0; i < rows->len; i++)
    {
      const CtlTreeRow *row = g_ptr_array_index (rows, i);
      VmSnapSnapshot *snapshot = row->node->data;

      ctl_table_add (table, row->text);
      ctl_table_add (table, vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, vmsnap_snapshot_get_location (snapshot)));
      ctl_table_add (table, format_contents (snapshot));
      ctl_table_take (table, format_known_size (snapshot));
      ctl_table_take (table, ctl_format_age (vmsnap_snapshot_get_creation_time (snapshot), now));
      ctl_table_add (table, vmsnap_snapshot_is_current (snapshot) ? "<- current" : "");
    }
  ctl_table_set_flexible (table, 0);
  ctl_table_print_fitting (table);
}

static void
print_tree (GList *snapshots)
{
  g_autoptr (GArray) nodes = g_array_new (FALSE, FALSE, sizeof (CtlTreeNode));
  g_autoptr (GPtrArray) rows = NULL;

  for (GList *l = snapshots; l != NULL; l = l->next)
    {
      CtlTreeNode node = {
        .id = g_dbus_proxy_get_object_path (l->data),
        .parent = vm_snap_dbus_snapshot_get_parent (l->data),
        .label = vmsnap_snapshot_get_name (l->data),
        .data = l->data,
      };

      g_array_append_val (nodes, node);
    }
  rows = ctl_tree_draw ((CtlTreeNode *)nodes->data, nodes->len, g_get_charset (NULL),
                        ctl_terminal_columns (STDOUT_FILENO) / 27 * STROKE_COLUMNS);
  if (rows->len > 0)
    print_rows (rows);
}

/* As print_tree(), for programs: each snapshot holds its children. */
static JsonNode *
json_tree (GList *snapshots)
{
  g_autoptr (GHashTable) arrays = g_hash_table_new (g_str_hash, g_str_equal);
  JsonNode *node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *roots = json_array_new ();

  /* Parents come first. */
  for (GList *l = snapshots; l != NULL; l = l->next)
    {
      JsonArray *brothers = g_hash_table_lookup (arrays, vm_snap_dbus_snapshot_get_parent (l->data));
      JsonObject *object = ctl_json_for_proxy (l->data);
      JsonArray *children = json_array_new ();

      json_object_set_array_member (object, "children", children);
      g_hash_table_insert (arrays, (gpointer)g_dbus_proxy_get_object_path (l->data), children);
      json_array_add_object_element (brothers != NULL ? brothers : roots, object);
    }
  json_node_take_array (node, roots);
  return node;
}

CtlExit
ctl_command_snapshot_tree (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autolist (VmSnapSnapshot) snapshots = NULL;
  GError *error = NULL;

  if (!ctl_parse (ctl, NULL, &argc, &argv, 1, 1))
    return CTL_USAGE;
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain == NULL)
    return ctl_fail (error);
  snapshots = vmsnap_domain_get_snapshots (domain);
  if (ctl->json)
    ctl_json_print (json_tree (snapshots));
  else
    print_tree (snapshots);
  return CTL_OK;
}

static void
add_fact (CtlTable *table, const char *title, char *value)
{
  ctl_table_add (table, title);
  ctl_table_take (table, value);
}

/* What became of a disk: an overlay holds what was written since, the other places what was there then. */
static char *
describe_disk (GVariant *disk)
{
  const char *target = "";
  const char *place = "";
  const char *path = "";
  const char *format = "";
  const char *problem = "";

  g_variant_lookup (disk, "target", "&s", &target);
  g_variant_lookup (disk, "snapshot", "&s", &place);
  g_variant_lookup (disk, "path", "&s", &path);
  g_variant_lookup (disk, "format", "&s", &format);
  g_variant_lookup (disk, "problem", "&s", &problem);
  if (g_str_equal (place, "none"))
    return g_strdup_printf ("%s  left out", target);
  return g_strdup_printf ("%s  %s  %s %s (%s)%s%s", target, place,
                          g_str_equal (place, "internal") ? "inside" : "overlay", path, format,
                          *problem != '\0' ? "  problem: " : "", problem);
}

static char *
find_disk_path (VmSnapSnapshot *snapshot, const char *target)
{
  g_autoptr (GVariant) disks = vmsnap_snapshot_get_disks (snapshot);

  for (gsize i = 0; i < g_variant_n_children (disks); i++)
    {
      g_autoptr (GVariant) disk = g_variant_get_child_value (disks, i);
      const char *name = "";
      const char *path = "";

      if (g_variant_lookup (disk, "target", "&s", &name) && g_str_equal (name, target)
          && g_variant_lookup (disk, "path", "&s", &path))
        return g_strdup (path);
    }
  return g_strdup (target);
}

/* Where, too, as far as the snapshot's XML tells it. */
static char *
describe_memory (VmSnapSnapshot *snapshot, const char *xml)
{
  VmSnapLocation memory = vmsnap_snapshot_get_memory (snapshot);
  const char *nick = vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, memory);
  g_autofree char *place = ctl_memory_place (xml);
  g_autofree char *path = NULL;

  if (memory == VMSNAP_LOCATION_NONE || place == NULL)
    return g_strdup (nick);
  if (memory == VMSNAP_LOCATION_EXTERNAL)
    return g_strdup_printf ("%s  in %s", nick, place);
  path = find_disk_path (snapshot, place);
  return g_strdup_printf ("%s  inside %s", nick, path);
}

static void
add_disks (CtlTable *table, VmSnapSnapshot *snapshot)
{
  g_autoptr (GVariant) disks = vmsnap_snapshot_get_disks (snapshot);

  for (gsize i = 0; i < g_variant_n_children (disks); i++)
    {
      g_autoptr (GVariant) disk = g_variant_get_child_value (disks, i);

      add_fact (table, i == 0 ? "Disks:" : "", describe_disk (disk));
    }
}

static void
print_snapshot (VmSnapSnapshot *snapshot, const char *xml)
{
  g_autoptr (CtlTable) table = ctl_table_new ("Name:", vmsnap_snapshot_get_name (snapshot), NULL);
  g_autoptr (VmSnapDomain) domain = vmsnap_snapshot_get_domain (snapshot);
  g_autoptr (VmSnapSnapshot) parent = vmsnap_snapshot_get_parent (snapshot);
  guint64 downtime = vmsnap_snapshot_get_downtime (snapshot);

  add_fact (table, "Description:", g_strdup (vmsnap_snapshot_get_description (snapshot)));
  add_fact (table, "Domain:", g_strdup (domain != NULL ? vmsnap_domain_get_name (domain) : "-"));
  add_fact (table, "Parent:", g_strdup (parent != NULL ? vmsnap_snapshot_get_name (parent) : "-"));
  add_fact (table, "Time:", ctl_format_time (vmsnap_snapshot_get_creation_time (snapshot)));
  add_fact (table, "State:",
            g_strdup (vmsnap_enum_to_nick (VMSNAP_TYPE_SNAPSHOT_STATE, vmsnap_snapshot_get_state (snapshot))));
  add_fact (table, "Location:",
            g_strdup (vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, vmsnap_snapshot_get_location (snapshot))));
  add_fact (table, "Memory:", describe_memory (snapshot, xml));
  add_fact (table, "Size:", format_known_size (snapshot));
  add_fact (table, "Downtime:", downtime > 0 ? ctl_format_duration (downtime) : g_strdup ("-"));
  add_fact (table, "Current:", g_strdup (vmsnap_snapshot_is_current (snapshot) ? "yes" : "no"));
  add_disks (table, snapshot);
  ctl_table_print (table);
}

CtlExit
ctl_command_snapshot_show (Ctl *ctl, int argc, char **argv)
{
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  g_autofree char *text = NULL;
  GError *error = NULL;
  gboolean xml = FALSE;
  const GOptionEntry entries[] = {
    { "xml", 0, 0, G_OPTION_ARG_NONE, &xml, "Write it as domainsnapshot XML", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2))
    return CTL_USAGE;
  snapshot = ctl_find_snapshot (ctl, argv[1], argv[2], &error);
  if (snapshot != NULL && (xml || !ctl->json))
    text = vmsnap_snapshot_get_xml_sync (snapshot, NULL, NULL, &error);
  if (snapshot == NULL || error != NULL)
    return ctl_fail (error);
  if (xml)
    ctl_print_xml (text, ctl->json);
  else if (ctl->json)
    ctl_json_print_proxy (snapshot);
  else
    print_snapshot (snapshot, text);
  return CTL_OK;
}
