/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that take, restore and delete snapshots. Lives in the main thread.
 */
#include "commands.h"

#include <string.h>

/* What `snapshot create` can be told, as on the bus. */
typedef struct
{
  char *description;
  char *location;
  gboolean internal;
  gboolean external;
  gboolean disk_only;
  gboolean live;
  gboolean pause;
  gboolean halt;
  gboolean quiesce;
  gboolean atomic;
  gboolean reuse_external;
  gboolean no_metadata;
  char **disks;
  char *memory_path;
  char *encoding;
  char *xml;
  gboolean redefine;
  gboolean current;
} Create;

static void
create_clear (Create *create)
{
  g_free (create->description);
  g_free (create->location);
  g_strfreev (create->disks);
  g_free (create->memory_path);
  g_free (create->encoding);
  g_free (create->xml);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Create, create_clear)

/* The service knows no working directory of ours. */
static char *
absolute (const char *path)
{
  return g_canonicalize_filename (path, NULL);
}

/* TARGET[,snapshot=WHERE][,path=FILE][,format=FORMAT]; a comma in a file's name is written twice. */
static char **
split_disk (const char *text)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) part = g_string_new (NULL);

  for (const char *p = text; *p != '\0'; p++)
    {
      if (*p == ',' && p[1] != ',')
        {
          g_ptr_array_add (parts, g_strdup (part->str));
          g_string_truncate (part, 0);
          continue;
        }
      g_string_append_c (part, *p);
      if (*p == ',')
        p++;
    }
  g_ptr_array_add (parts, g_strdup (part->str));
  g_ptr_array_add (parts, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&parts), FALSE);
}

static gboolean
add_disk (GVariantBuilder *disks, const char *text)
{
  g_auto (GStrv) parts = split_disk (text);
  g_auto (GVariantBuilder) disk = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (*parts[0] == '\0')
    return FALSE;
  for (guint i = 1; parts[i] != NULL; i++)
    {
      char *value = strchr (parts[i], '=');
      g_autofree char *path = NULL;

      if (value == NULL)
        return FALSE;
      *value++ = '\0';
      if (g_str_equal (parts[i], "path"))
        value = path = absolute (value);
      else if (!g_str_equal (parts[i], "snapshot") && !g_str_equal (parts[i], "format"))
        return FALSE;
      g_variant_builder_add (&disk, "{sv}", parts[i], g_variant_new_string (value));
    }
  g_variant_builder_add (disks, "{s@a{sv}}", parts[0], g_variant_builder_end (&disk));
  return TRUE;
}

static gboolean
add_disks (Ctl *ctl, Create *create, GVariantDict *options)
{
  g_auto (GVariantBuilder) disks = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{sa{sv}}"));

  if (create->disks == NULL)
    return TRUE;
  for (guint i = 0; create->disks[i] != NULL; i++)
    if (!add_disk (&disks, create->disks[i]))
      {
        ctl_usage (ctl,
                   "'%s' says nothing about a disk; write TARGET[,snapshot=none|internal|external][,path=FILE]"
                   "[,format=FORMAT]",
                   create->disks[i]);
        return FALSE;
      }
  g_variant_dict_insert_value (options, "disks", g_variant_builder_end (&disks));
  return TRUE;
}

static gboolean
check_location (Ctl *ctl, Create *create)
{
  if (create->internal + create->external + (create->location != NULL) > 1)
    {
      ctl_usage (ctl, "--internal, --external and --location exclude each other; give one of them");
      return FALSE;
    }
  if (create->internal)
    create->location = g_strdup ("internal");
  else if (create->external)
    create->location = g_strdup ("external");
  return TRUE;
}

static gboolean
collect (Ctl *ctl, Create *create, GVariantDict *options)
{
  g_autofree char *memory_path = create->memory_path != NULL ? absolute (create->memory_path) : NULL;

  if (!check_location (ctl, create) || !add_disks (ctl, create, options))
    return FALSE;
  ctl_option_string (options, "description", create->description);
  ctl_option_string (options, "location", create->location);
  ctl_option_flag (options, "disk-only", create->disk_only);
  ctl_option_flag (options, "live", create->live);
  ctl_option_flag (options, "pause", create->pause);
  ctl_option_flag (options, "halt", create->halt);
  ctl_option_flag (options, "quiesce", create->quiesce);
  ctl_option_flag (options, "atomic", create->atomic);
  ctl_option_flag (options, "reuse-external", create->reuse_external);
  ctl_option_flag (options, "no-metadata", create->no_metadata);
  ctl_option_flag (options, "redefine", create->redefine);
  ctl_option_flag (options, "current", create->current);
  ctl_option_string (options, "memory-path", memory_path);
  ctl_option_string (options, "encoding", create->encoding);
  return TRUE;
}

static gboolean
parse_create (Ctl *ctl, Create *create, int *argc, char ***argv)
{
  const GOptionEntry entries[] = {
    { "description", 0, 0, G_OPTION_ARG_STRING, &create->description, "Words for people", "TEXT" },
    { "internal", 0, 0, G_OPTION_ARG_NONE, &create->internal, "Inside the qcow2 files", NULL },
    { "external", 0, 0, G_OPTION_ARG_NONE, &create->external, "In files of its own (the default)", NULL },
    { "location", 0, 0, G_OPTION_ARG_STRING, &create->location, "The same as --internal or --external", "WHERE" },
    { "disk-only", 0, 0, G_OPTION_ARG_NONE, &create->disk_only, "Leave the memory out", NULL },
    { "live", 0, 0, G_OPTION_ARG_NONE, &create->live, "Stop the guest only for the switch (the default)", NULL },
    { "pause", 0, 0, G_OPTION_ARG_NONE, &create->pause, "Stop the guest while its memory is written", NULL },
    { "halt", 0, 0, G_OPTION_ARG_NONE, &create->halt, "Power the domain off afterwards", NULL },
    { "quiesce", 0, 0, G_OPTION_ARG_NONE, &create->quiesce, "Let the guest agent freeze the file systems", NULL },
    { "atomic", 0, 0, G_OPTION_ARG_NONE, &create->atomic, "All disks or none (always so)", NULL },
    { "reuse-external", 0, 0, G_OPTION_ARG_NONE, &create->reuse_external, "The overlay files exist already", NULL },
    { "no-metadata", 0, 0, G_OPTION_ARG_NONE, &create->no_metadata, "Keep no record of it", NULL },
    { "disk", 0, 0, G_OPTION_ARG_STRING_ARRAY, &create->disks, "What happens to a disk: see the manual", "DISK" },
    { "memory-path", 0, 0, G_OPTION_ARG_FILENAME, &create->memory_path, "The file for the memory", "FILE" },
    { "encoding", 0, 0, G_OPTION_ARG_STRING, &create->encoding, "How the memory is encoded: raw, zstd, …", "NAME" },
    { "xml", 0, 0, G_OPTION_ARG_FILENAME, &create->xml, "Take it as domainsnapshot XML says", "FILE" },
    { "redefine", 0, 0, G_OPTION_ARG_NONE, &create->redefine, "Only make known what --xml says is there", NULL },
    { "current", 0, 0, G_OPTION_ARG_NONE, &create->current, "With --redefine: make it the current one", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, argc, argv, 1, 2))
    return FALSE;
  if (create->xml == NULL && (create->redefine || create->current))
    ctl_usage (ctl, "--redefine and --current need --xml");
  else if (create->xml != NULL && *argc > 2)
    ctl_usage (ctl, "With --xml the name stands in the XML, not among the arguments");
  else
    return TRUE;
  return FALSE;
}

static VmSnapJob *
start_create (Create *create, VmSnapDomain *domain, const char *name, GVariant *options, GError **error)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (options);
  g_autofree char *xml = NULL;

  if (create->xml == NULL)
    return vmsnap_domain_create_snapshot_sync (domain, name, owned, NULL, error);
  xml = ctl_read_xml (create->xml, error);
  return xml != NULL ? vmsnap_domain_create_snapshot_from_xml_sync (domain, xml, owned, NULL, error) : NULL;
}

/* What was made, once it is known. */
static CtlExit
tell_created (Ctl *ctl, VmSnapJob *job, const char *domain, const char *name)
{
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  GError *error = NULL;

  if (!ctl->no_wait && !ctl_wait (ctl, job, &error))
    return ctl_fail (error);
  snapshot = vmsnap_job_get_snapshot (job);
  if (snapshot != NULL)
    name = vmsnap_snapshot_get_name (snapshot);
  return ctl_finish_job (ctl, job, NULL, "Created snapshot '%s' of %s", name, domain);
}

CtlExit
ctl_command_snapshot_create (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_auto (Create) create = { 0 };
  g_autoptr (VmSnapDomain) domain = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  const char *name;

  if (!parse_create (ctl, &create, &argc, &argv) || !collect (ctl, &create, &options))
    return CTL_USAGE;
  name = argc > 2 ? argv[2] : "";
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain != NULL)
    job = start_create (&create, domain, name, ctl_options (ctl, &options), &error);
  return job != NULL ? tell_created (ctl, job, argv[1], name) : ctl_fail (error);
}

CtlExit
ctl_command_snapshot_revert (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  gboolean running = FALSE;
  gboolean paused = FALSE;
  gboolean force = FALSE;
  const GOptionEntry entries[] = {
    { "running", 0, 0, G_OPTION_ARG_NONE, &running, "The guest shall run afterwards", NULL },
    { "paused", 0, 0, G_OPTION_ARG_NONE, &paused, "The guest shall be there and paused afterwards", NULL },
    { "force", 0, 0, G_OPTION_ARG_NONE, &force, "Go on where it is risky", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2))
    return CTL_USAGE;
  if (running && paused)
    return ctl_usage (ctl, "--running and --paused exclude each other; give one of them");
  ctl_option_flag (&options, "running", running);
  ctl_option_flag (&options, "paused", paused);
  ctl_option_flag (&options, "force", force);
  snapshot = ctl_find_snapshot (ctl, argv[1], argv[2], &error);
  if (snapshot != NULL)
    job = vmsnap_snapshot_revert_sync (snapshot, ctl_options (ctl, &options), NULL, &error);
  return ctl_finish_job (ctl, job, error, "Reverted %s to snapshot '%s'", argv[1], argv[2]);
}

CtlExit
ctl_command_snapshot_delete (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  gboolean children = FALSE;
  gboolean only = FALSE;
  gboolean metadata = FALSE;
  const GOptionEntry entries[] = {
    { "children", 0, 0, G_OPTION_ARG_NONE, &children, "Delete all of its descendants too", NULL },
    { "children-only", 0, 0, G_OPTION_ARG_NONE, &only, "Delete its descendants, and keep the snapshot", NULL },
    { "metadata-only", 0, 0, G_OPTION_ARG_NONE, &metadata, "Only forget the record; the data stays", NULL },
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2))
    return CTL_USAGE;
  if (children && only)
    return ctl_usage (ctl, "--children and --children-only exclude each other; give one of them");
  ctl_option_flag (&options, "children", children);
  ctl_option_flag (&options, "children-only", only);
  ctl_option_flag (&options, "metadata-only", metadata);
  snapshot = ctl_find_snapshot (ctl, argv[1], argv[2], &error);
  if (snapshot != NULL)
    job = vmsnap_snapshot_delete_sync (snapshot, ctl_options (ctl, &options), NULL, &error);
  return ctl_finish_job (ctl, job, error, "Deleted %s '%s' of %s", only ? "the descendants of" : "snapshot", argv[2],
                         argv[1]);
}
