/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Domain.CreateSnapshot and CreateSnapshotFromXml: their options, the rights that they take, and the way to the engine.
 * Main thread.
 */
#include "bus-snapshot-create.h"

#include "bus-snapshot-checks.h"
#include "bus-snapshot-wish.h"

/* clang-format off */
#define TAKING_OPTIONS                                                                                                \
  BUS_OPTION_VALUE (BusCreateOptions, description, "description", "s"),                                               \
  BUS_OPTION_VALUE (BusCreateOptions, location, "location", "s"),                                                     \
  BUS_OPTION_FLAG (BusCreateOptions, disk_only, "disk-only"),                                                         \
  BUS_OPTION_FLAG (BusCreateOptions, live, "live", BUS_OPTION_EXCLUDES ("pause")),                                    \
  BUS_OPTION_FLAG (BusCreateOptions, pause, "pause"),                                                                 \
  BUS_OPTION_FLAG (BusCreateOptions, halt, "halt"),                                                                   \
  BUS_OPTION_FLAG (BusCreateOptions, quiesce, "quiesce"),                                                             \
  BUS_OPTION_FLAG (BusCreateOptions, atomic, "atomic"),                                                               \
  BUS_OPTION_FLAG (BusCreateOptions, reuse_external, "reuse-external"),                                               \
  BUS_OPTION_FLAG (BusCreateOptions, no_metadata, "no-metadata"),                                                     \
  BUS_OPTION_VALUE (BusCreateOptions, disks, "disks", "a{sa{sv}}"),                                                   \
  BUS_OPTION_VALUE (BusCreateOptions, memory_path, "memory-path", "s", BUS_OPTION_EXCLUDES ("disk-only")),            \
  BUS_OPTION_VALUE (BusCreateOptions, encoding, "encoding", "s", BUS_OPTION_EXCLUDES ("disk-only")),                  \
  BUS_OPTION_QUEUE (BusCreateOptions)
/* clang-format on */

static const BusOption create_options[] = {
  TAKING_OPTIONS,
  BUS_OPTION_END,
};
const BusOptionTable bus_snapshot_create_table = { sizeof (BusCreateOptions), create_options };

static const BusOption create_from_xml_options[] = {
  TAKING_OPTIONS,
  BUS_OPTION_FLAG (BusCreateOptions, redefine, "redefine",
                   BUS_OPTION_EXCLUDES ("description", "location", "disk-only", "live", "pause", "halt", "quiesce",
                                        "reuse-external", "no-metadata", "disks", "memory-path", "encoding")),
  BUS_OPTION_FLAG (BusCreateOptions, current, "current", BUS_OPTION_NEEDS ("redefine")),
  BUS_OPTION_END,
};
const BusOptionTable bus_snapshot_create_from_xml_table = { sizeof (BusCreateOptions), create_from_xml_options };

/* Overlays that are there already are files by the caller's word, also where it says no path. */
static gboolean
names_files (const BusCreateOptions *options)
{
  GVariantIter iter;
  GVariant *disk;
  gboolean found = options->memory_path != NULL || options->reuse_external;

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

/* What the options take beside the right to take snapshots. The definition in a record is what a revert makes the
 * domain's: whoever brings a record defines. */
static BusAuthMore
find_more (const BusCreateOptions *options)
{
  return (names_files (options) || options->redefine ? BUS_AUTH_MORE_DEFINE : BUS_AUTH_MORE_NOTHING)
         | (options->halt ? BUS_AUTH_MORE_POWER_OFF : BUS_AUTH_MORE_NOTHING);
}

static VsSnapshotDef *
make_wish (BusCall *call, VsSnapshotCreateOptions *create, GError **error)
{
  VsSnapshotDef *wish
    = bus_snapshot_wish (call->options, call->parsed, vs_domain_get_def (call->domain), create, error);
  const char *name = bus_call_get_string (call, 0);

  /* Where nothing is parsed, the first argument is the name. */
  if (wish != NULL && call->parsed == NULL && *name != '\0')
    wish->name = g_strdup (name);
  return wish;
}

static gboolean
check (BusCall *call, GError **error)
{
  VsSnapshotCreateOptions create;
  g_autoptr (VsSnapshotDef) wish = make_wish (call, &create, error);

  return wish != NULL;
}

/* The domain may be another by now than when its disks were looked at, so the wish is made anew. */
static void
run (BusCall *call)
{
  const BusCreateOptions *options = call->options;
  VsRequest request = bus_call_get_request (call, options->no_queue);
  VsSnapshotCreateOptions create;
  GError *error = NULL;
  g_autoptr (VsSnapshotDef) wish = make_wish (call, &create, &error);
  VsJob *job = NULL;

  if (wish != NULL)
    job = vs_operation_snapshot_create (call->engine, call->domain, wish, &create, &request, &error);
  bus_call_return_job (call, job, error);
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

  if (*name != '\0' && !bus_snapshot_check_name (name, error))
    return FALSE;
  call->about.snapshot = g_strdup (name);
  call->about.more = find_more (call->options);
  return check (call, error);
}

/**
 * bus_snapshot_run_create:
 * @call: (transfer full): Domain.CreateSnapshot
 */
void
bus_snapshot_run_create (BusCall *call)
{
  run (call);
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
  const char *xml = bus_call_get_string (call, 0);
  VsSnapshotDef *def = vs_snapshot_def_parse (xml, VS_DOMAIN_DEF_NONE, error);

  /* libvirt's: nothing of ours is in its cookie, and its guest has more than its definition says. */
  if (def != NULL && ((const BusCreateOptions *) call->options)->redefine && g_hash_table_size (def->facts) == 0)
    {
      vs_snapshot_def_unref (def);
      def = vs_snapshot_def_parse (xml, VS_DOMAIN_DEF_FOREIGN_IMAGE, error);
    }
  call->parsed = def;
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
  const BusCreateOptions *options = call->options;
  const VsSnapshotDef *text = call->parsed;

  call->about.snapshot = g_strdup (text->name);
  call->about.more = find_more (options) | (text_names_files (text) ? BUS_AUTH_MORE_DEFINE : BUS_AUTH_MORE_NOTHING);
  return options->redefine || check (call, error);
}

static void
run_redefine (BusCall *call)
{
  const BusCreateOptions *options = call->options;
  VsRequest request = bus_call_get_request (call, options->no_queue);
  GError *error = NULL;
  VsJob *job =
    vs_operation_snapshot_redefine (call->engine, call->domain, call->parsed, options->current, &request, &error);

  bus_call_return_job (call, job, error);
}

/**
 * bus_snapshot_run_create_from_xml:
 * @call: (transfer full): Domain.CreateSnapshotFromXml
 */
void
bus_snapshot_run_create_from_xml (BusCall *call)
{
  const BusCreateOptions *options = call->options;

  if (options->redefine)
    run_redefine (call);
  else
    run (call);
}
