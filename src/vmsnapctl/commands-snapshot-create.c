/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Commands that take snapshots. Lives in the main thread.
 */
#include "commands.h"

#include <string.h>

/* What `snapshot create` and `snapshot create-from-xml` can be told, as on the bus. */
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
} Create;

static void
create_clear (Create *create)
{
  g_free (create->description);
  g_free (create->location);
  g_strfreev (create->disks);
  g_free (create->memory_path);
  g_free (create->encoding);
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
  if (create->memory_path != NULL && (*create->memory_path == '\0' || g_str_has_suffix (create->memory_path, "/")))
    {
      ctl_usage (ctl, "--memory-path takes the name of a file, not '%s'", create->memory_path);
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
  ctl_option_string (options, "memory-path", memory_path);
  ctl_option_string (options, "encoding", create->encoding);
  return TRUE;
}

/* clang-format off */
#define TAKING_ENTRIES(create) \
    { "description", 0, 0, G_OPTION_ARG_STRING, &(create)->description, "Words for people", "TEXT" }, \
    { "external", 0, 0, G_OPTION_ARG_NONE, &(create)->external, "In files of its own (the default)", NULL }, \
    { "internal", 0, 0, G_OPTION_ARG_NONE, &(create)->internal, "Inside the qcow2 files", NULL }, \
    { "location", 0, 0, G_OPTION_ARG_STRING, &(create)->location, "The same as --internal or --external", "WHERE" }, \
    { "disk-only", 0, 0, G_OPTION_ARG_NONE, &(create)->disk_only, "Leave the memory out", NULL }, \
    { "live", 0, 0, G_OPTION_ARG_NONE, &(create)->live, "Refuse to stop the guest for more than the switch", NULL }, \
    { "pause", 0, 0, G_OPTION_ARG_NONE, &(create)->pause, "Stop the guest while its memory is written", NULL }, \
    { "halt", 0, 0, G_OPTION_ARG_NONE, &(create)->halt, "Power the domain off afterwards", NULL }, \
    { "quiesce", 0, 0, G_OPTION_ARG_NONE, &(create)->quiesce, "Let the guest agent freeze the file systems", NULL }, \
    { "atomic", 0, 0, G_OPTION_ARG_NONE, &(create)->atomic, "All disks or none (always so)", NULL }, \
    { "reuse-external", 0, 0, G_OPTION_ARG_NONE, &(create)->reuse_external, "The overlay files exist already", NULL }, \
    { "no-metadata", 0, 0, G_OPTION_ARG_NONE, &(create)->no_metadata, "Keep no record of it", NULL }, \
    { "disk", 0, 0, G_OPTION_ARG_STRING_ARRAY, &(create)->disks, "What happens to a disk: see below", "DISK" }, \
    { "memory-path", 0, 0, G_OPTION_ARG_FILENAME, &(create)->memory_path, "The file for the memory", "FILE" }, \
    { "encoding", 0, 0, G_OPTION_ARG_STRING, &(create)->encoding, "How the memory is written: see below", "ENCODING" }
/* clang-format on */

static const char taking_note[]
  = "A DISK is TARGET[,snapshot=none|internal|external][,path=FILE][,format=qcow2], for instance vdb,snapshot=none.\n"
    "The others have a new overlay beside their file, or with --internal a snapshot inside it.\n"
    "An ENCODING is raw, zstd, gzip, xz, lzop, bzip2 or sparse.";

/* What was made, once it is known: nothing that has a name, without a record of it. */
static CtlExit
tell_created (Ctl *ctl, VmSnapJob *job, const char *domain, const char *name)
{
  g_autoptr (VmSnapSnapshot) snapshot = NULL;
  GError *error = NULL;
  gboolean memory;

  if (!ctl->no_wait && !ctl_wait (ctl, job, &error))
    return ctl_fail (error);
  snapshot = vmsnap_job_get_snapshot (job);
  if (snapshot == NULL && *name == '\0')
    return ctl_finish_job (ctl, job, NULL, "Took a snapshot of %s", domain);
  memory = snapshot != NULL && vmsnap_snapshot_get_memory (snapshot) == VMSNAP_LOCATION_EXTERNAL;
  return ctl_finish_job (ctl, job, NULL, "%s '%s' of %s", memory ? "Took checkpoint" : "Created snapshot",
                         snapshot != NULL ? vmsnap_snapshot_get_name (snapshot) : name, domain);
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
  const GOptionEntry entries[] = {
    TAKING_ENTRIES (&create),
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  ctl->note = taking_note;
  if (!ctl_parse (ctl, entries, &argc, &argv, 1, 2) || !collect (ctl, &create, &options))
    return CTL_USAGE;
  name = argc > 2 ? argv[2] : "";
  domain = ctl_find_domain (ctl, argv[1], &error);
  if (domain != NULL)
    job = vmsnap_domain_create_snapshot_sync (domain, name, ctl_options (ctl, &options), NULL, &error);
  return job != NULL ? tell_created (ctl, job, argv[1], name) : ctl_fail (error);
}

static VmSnapJob *
start_from_xml (Ctl *ctl, const char *name, const char *file, GVariant *options, GError **error)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (options);
  g_autofree char *xml = ctl_read_xml (file, error);
  g_autoptr (VmSnapDomain) domain = xml != NULL ? ctl_find_domain (ctl, name, error) : NULL;

  return domain != NULL ? vmsnap_domain_create_snapshot_from_xml_sync (domain, xml, owned, NULL, error) : NULL;
}

CtlExit
ctl_command_snapshot_create_from_xml (Ctl *ctl, int argc, char **argv)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_auto (Create) create = { 0 };
  g_autoptr (VmSnapJob) job = NULL;
  GError *error = NULL;
  const GOptionEntry entries[] = {
    TAKING_ENTRIES (&create),
    CTL_QUEUE_ENTRY (ctl),
    CTL_WAIT_ENTRY (ctl),
    G_OPTION_ENTRY_NULL,
  };

  ctl->note = taking_note;
  if (!ctl_parse (ctl, entries, &argc, &argv, 2, 2) || !collect (ctl, &create, &options))
    return CTL_USAGE;
  job = start_from_xml (ctl, argv[1], argv[2], ctl_options (ctl, &options), &error);
  return job != NULL ? tell_created (ctl, job, argv[1], "") : ctl_fail (error);
}
