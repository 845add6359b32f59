/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Domain.CreateSnapshot and CreateSnapshotFromXml: what their many options may say together, and the way to the engine.
 * Main thread.
 */
#include "bus-snapshot-create.h"

#include "vmsnap-error.h"
#include "vmsnap-names.h"
#include "vs-operations.h"
#include "vs-snapshot-def.h"

typedef struct {
  char *description;
  char *location;
  gboolean disk_only;
  gboolean live;
  gboolean pause;
  gboolean halt;
  gboolean quiesce;
  gboolean atomic;
  gboolean reuse_external;
  gboolean no_metadata;
  GVariant *disks;
  char *memory_path;
  char *encoding;
  gboolean no_queue;
  gboolean redefine;
  gboolean current;
} CreateOptions;

/* clang-format off */
#define TAKING_OPTIONS                                                                                                \
  BUS_OPTION_VALUE (CreateOptions, description, "description", "s"),                                                  \
  BUS_OPTION_VALUE (CreateOptions, location, "location", "s"),                                                        \
  BUS_OPTION_FLAG (CreateOptions, disk_only, "disk-only"),                                                            \
  BUS_OPTION_FLAG (CreateOptions, live, "live", BUS_OPTION_EXCLUDES ("pause")),                                       \
  BUS_OPTION_FLAG (CreateOptions, pause, "pause"),                                                                    \
  BUS_OPTION_FLAG (CreateOptions, halt, "halt"),                                                                      \
  BUS_OPTION_FLAG (CreateOptions, quiesce, "quiesce", BUS_OPTION_NEEDS ("disk-only")),                                \
  BUS_OPTION_FLAG (CreateOptions, atomic, "atomic"),                                                                  \
  BUS_OPTION_FLAG (CreateOptions, reuse_external, "reuse-external"),                                                  \
  BUS_OPTION_FLAG (CreateOptions, no_metadata, "no-metadata"),                                                        \
  BUS_OPTION_VALUE (CreateOptions, disks, "disks", "a{sa{sv}}"),                                                      \
  BUS_OPTION_VALUE (CreateOptions, memory_path, "memory-path", "s", BUS_OPTION_EXCLUDES ("disk-only")),               \
  BUS_OPTION_VALUE (CreateOptions, encoding, "encoding", "s", BUS_OPTION_EXCLUDES ("disk-only")),                     \
  BUS_OPTION_QUEUE (CreateOptions)
/* clang-format on */

static const BusOption create_options[] = {
  TAKING_OPTIONS,
  BUS_OPTION_END,
};
const BusOptionTable bus_snapshot_create_table = { sizeof (CreateOptions), create_options };

static const BusOption create_from_xml_options[] = {
  TAKING_OPTIONS,
  BUS_OPTION_FLAG (CreateOptions, redefine, "redefine",
                   BUS_OPTION_EXCLUDES ("description", "location", "disk-only", "live", "pause", "halt", "quiesce",
                                        "reuse-external", "no-metadata", "disks", "memory-path", "encoding")),
  BUS_OPTION_FLAG (CreateOptions, current, "current", BUS_OPTION_NEEDS ("redefine")),
  BUS_OPTION_END,
};
const BusOptionTable bus_snapshot_create_from_xml_table = { sizeof (CreateOptions), create_from_xml_options };

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, format, args);
  va_end (args);
  return FALSE;
}

static gboolean
check_word (const char *key, const char *word, const char *const *words, GError **error)
{
  g_autofree char *list = g_strjoinv (", ", (char **) words);

  if (word == NULL || g_strv_contains (words, word))
    return TRUE;
  return refuse (error, "Option '%s' must be one of %s, not '%s'", key, list, word);
}

static gboolean
check_path (const char *key, const char *path, GError **error)
{
  if (path == NULL || g_path_is_absolute (path))
    return TRUE;
  return refuse (error, "Option '%s' must be an absolute path, not '%s'", key, path);
}

/**
 * bus_snapshot_check_encoding:
 * @encoding: (nullable): the option `encoding`
 * @error: where to put that it isn't one
 *
 * Returns: whether @encoding is one of the bus contract's
 */
gboolean
bus_snapshot_check_encoding (const char *encoding, GError **error)
{
  static const char *const encodings[] = { "raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse", NULL };

  return check_word ("encoding", encoding, encodings, error);
}

typedef struct {
  char *snapshot;
  char *path;
  char *format;
} DiskOptions;

static const BusOption disk_options[] = {
  BUS_OPTION_VALUE (DiskOptions, snapshot, "snapshot", "s"),
  BUS_OPTION_VALUE (DiskOptions, path, "path", "s"),
  BUS_OPTION_VALUE (DiskOptions, format, "format", "s"),
  BUS_OPTION_END,
};
static const BusOptionTable disk_table = { sizeof (DiskOptions), disk_options };

static gboolean
check_disk_words (const DiskOptions *disk, GError **error)
{
  static const char *const locations[] = { "none", "internal", "external", NULL };
  const gboolean is_overlay = disk->snapshot == NULL || g_str_equal (disk->snapshot, "external");

  if (!check_word ("snapshot", disk->snapshot, locations, error) || !check_path ("path", disk->path, error))
    return FALSE;
  if (!is_overlay && disk->path != NULL)
    return refuse (error, "'path' is for snapshot=external only, not for '%s'", disk->snapshot);
  return TRUE;
}

static gboolean
check_disk (VsDomain *domain, const char *target, GVariant *value, GError **error)
{
  DiskOptions *disk = NULL;
  gboolean good;

  if (vs_domain_def_find_disk (vs_domain_get_def (domain), target) == NULL)
    return refuse (error, "Option 'disks': domain '%s' has no disk '%s'", vs_domain_get_name (domain), target);
  disk = bus_options_parse (&disk_table, value, error);
  good = disk != NULL && check_disk_words (disk, error);
  bus_options_free (&disk_table, disk);
  if (!good)
    g_prefix_error (error, "Option 'disks', disk '%s': ", target);
  return good;
}

static gboolean
check_disks (VsDomain *domain, GVariant *disks, GError **error)
{
  GVariantIter iter;
  const char *target;
  GVariant *value;
  gboolean good = TRUE;

  if (disks == NULL)
    return TRUE;
  g_variant_iter_init (&iter, disks);
  while (good && g_variant_iter_next (&iter, "{&s@a{sv}}", &target, &value))
    {
      good = check_disk (domain, target, value, error);
      g_variant_unref (value);
    }
  return good;
}

static gboolean
is_internal (const CreateOptions *options)
{
  return g_strcmp0 (options->location, "internal") == 0;
}

static gboolean
check_options (BusCall *call, GError **error)
{
  static const char *const locations[] = { "external", "internal", NULL };
  const CreateOptions *options = call->options;
  const char *misplaced = options->reuse_external   ? "reuse-external"
                          : options->memory_path != NULL ? "memory-path"
                          : options->encoding != NULL    ? "encoding"
                                                         : NULL;

  if (!check_word ("location", options->location, locations, error) ||
      !bus_snapshot_check_encoding (options->encoding, error) ||
      !check_path ("memory-path", options->memory_path, error))
    return FALSE;
  if (options->description != NULL && !vs_snapshot_description_is_valid (options->description))
    return refuse (error, "Option 'description' can have up to %d bytes, without control characters but tabs and "
                          "line ends",
                   VS_SNAPSHOT_DESCRIPTION_MAX);
  if (is_internal (options) && misplaced != NULL)
    return refuse (error, "Option '%s' and location=internal exclude each other: an internal snapshot has no files of "
                          "its own",
                   misplaced);
  return check_disks (call->domain, options->disks, error);
}

static gboolean
names_files (const CreateOptions *options)
{
  GVariantIter iter;
  GVariant *disk;
  gboolean found = options->memory_path != NULL;

  if (options->disks == NULL)
    return found;
  g_variant_iter_init (&iter, options->disks);
  while (!found && g_variant_iter_next (&iter, "{&s@a{sv}}", NULL, &disk))
    {
      found = g_variant_lookup (disk, "path", "&s", NULL);
      g_variant_unref (disk);
    }
  return found;
}

static gboolean
text_names_files (const VsSnapshotDef *def)
{
  gboolean found = def->memory_path != NULL;

  for (guint i = 0; !found && i < def->disks->len; i++)
    found = ((const VsSnapshotDiskDef *) g_ptr_array_index (def->disks, i))->path != NULL;
  return found;
}

/* What the options take beside the right to take snapshots. */
static BusAuthMore
find_more (const CreateOptions *options)
{
  return (names_files (options) ? BUS_AUTH_MORE_DEFINE : BUS_AUTH_MORE_NOTHING)
         | (options->halt ? BUS_AUTH_MORE_POWER_OFF : BUS_AUTH_MORE_NOTHING);
}

static gboolean
check_name (const char *name, GError **error)
{
  g_autofree char *shown = NULL;

  if (vmsnap_name_is_valid (name))
    return TRUE;
  shown = g_strescape (name, NULL);
  return refuse (error,
                 "'%s' can't name a snapshot: a name is 1 to %d bytes of UTF-8 without '/' and control characters",
                 shown, VMSNAP_NAME_MAX);
}

/**
 * bus_snapshot_prepare_create:
 * @call: Domain.CreateSnapshot
 * @error: where to put what is wrong with its arguments
 *
 * Returns: whether they make sense
 */
gboolean
bus_snapshot_prepare_create (BusCall *call, GError **error)
{
  const char *name = bus_call_get_string (call, 0);

  if (*name != '\0' && !check_name (name, error))
    return FALSE;
  call->about.snapshot = g_strdup (name);
  call->about.more = find_more (call->options);
  return check_options (call, error);
}

/* What of it this version can't do, and why; NULL: nothing. */
static const char *
find_unsupported (const CreateOptions *options)
{
  if (!is_internal (options))
    return "External snapshots are not supported by this version: give location=internal, for one inside the disks' "
           "qcow2 files";
  if (options->live)
    return "An internal snapshot stops the guest while its memory is written, so 'live' is not supported with "
           "location=internal: leave it out, or give 'pause'";
  if (options->disk_only)
    return "An internal snapshot of a running guest holds its memory, too: 'disk-only' is not supported with "
           "location=internal";
  if (options->no_metadata)
    return "'no-metadata' is not supported by this version: delete the snapshot with 'metadata-only' afterwards";
  if (options->disks != NULL && g_variant_n_children (options->disks) > 0)
    return "'disks' is not supported by this version: an internal snapshot is of all writable disks";
  return NULL;
}

/**
 * bus_snapshot_run_create:
 * @call: (transfer full): Domain.CreateSnapshot
 */
void
bus_snapshot_run_create (BusCall *call)
{
  const CreateOptions *options = call->options;
  const char *unsupported = find_unsupported (options);
  const char *name = bus_call_get_string (call, 0);
  g_autoptr (VsSnapshotDef) wish = vs_snapshot_def_new (*name != '\0' ? name : NULL);
  VsSnapshotCreateOptions create = { .location = VMSNAP_LOCATION_INTERNAL, .halt = options->halt };
  VsRequest request = bus_call_get_request (call, options->no_queue);
  GError *error = NULL;
  VsJob *job;

  if (unsupported != NULL)
    {
      bus_call_not_supported (call, unsupported);
      return;
    }
  wish->description = g_strdup (options->description);
  job = vs_operation_snapshot_create (call->engine, call->domain, wish, &create, &request, &error);
  bus_call_return_job (call, job, error);
}

/**
 * bus_snapshot_parse_create_from_xml:
 * @call: Domain.CreateSnapshotFromXml
 * @error: where to put what is wrong with its text
 *
 * Any thread.
 *
 * Returns: whether it is a snapshot's description
 */
gboolean
bus_snapshot_parse_create_from_xml (BusCall *call, GError **error)
{
  call->parsed = vs_snapshot_def_parse (bus_call_get_string (call, 0), VS_DOMAIN_DEF_NONE, error);
  call->parsed_free = (GDestroyNotify) vs_snapshot_def_unref;
  return call->parsed != NULL;
}

/**
 * bus_snapshot_prepare_create_from_xml:
 * @call: Domain.CreateSnapshotFromXml
 * @error: where to put what is wrong with its arguments
 *
 * Returns: whether they make sense
 */
gboolean
bus_snapshot_prepare_create_from_xml (BusCall *call, GError **error)
{
  const VsSnapshotDef *def = call->parsed;

  if (!check_options (call, error) || (def->name != NULL && !check_name (def->name, error)))
    return FALSE;
  call->about.snapshot = g_strdup (def->name);
  call->about.more = find_more (call->options) | (text_names_files (def) ? BUS_AUTH_MORE_DEFINE : BUS_AUTH_MORE_NOTHING);
  return TRUE;
}

/**
 * bus_snapshot_run_create_from_xml:
 * @call: (transfer full): Domain.CreateSnapshotFromXml
 */
void
bus_snapshot_run_create_from_xml (BusCall *call)
{
  bus_call_not_supported (call, "Snapshots from XML are not supported by this version: use CreateSnapshot");
}
