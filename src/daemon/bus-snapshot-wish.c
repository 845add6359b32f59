/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a caller wants of a snapshot: from the options, and from XML where there is some, into the definition and the
 * options that the workflows know. What can't go together is refused here, by the caller's own words for it; what depends
 * on the state of the domain or its files is the workflows'. Main thread.
 */
#include "bus-snapshot-wish.h"

#include "bus-snapshot-checks.h"
#include "bus-snapshot-disks.h"
#include "vmsnap-error.h"

/* Where the caller said so, in words for messages. */
typedef struct {
  const char *disk_only;
  const char *internal;
  const char *external;
} Said;

static const char *
memory_words (VsSnapshotDef *text)
{
  if (text == NULL || !text->has_memory)
    return NULL;
  return text->memory == VMSNAP_LOCATION_NONE       ? "<memory snapshot='no'>"
         : text->memory == VMSNAP_LOCATION_INTERNAL ? "<memory snapshot='internal'>"
                                                    : "<memory snapshot='external'>";
}

static gboolean
exclude (const char *one, const char *other, const char *why, GError **error)
{
  return bus_snapshot_refuse (error, "%s and %s exclude each other: %s", one, other, why);
}

static gboolean
check_words (const BusCreateOptions *options, GError **error)
{
  static const char *const locations[] = { "external", "internal", NULL };

  if (!bus_snapshot_check_word ("Option 'location'", options->location, locations, error)
      || !bus_snapshot_check_encoding (options->encoding, error)
      || !bus_snapshot_check_path ("Option 'memory-path'", options->memory_path, error))
    return FALSE;
  if (options->description != NULL && !vs_snapshot_description_is_valid (options->description))
    return bus_snapshot_refuse (error,
                                "Option 'description' can have up to %d bytes, without control characters but tabs and "
                                "line ends",
                                VS_SNAPSHOT_DESCRIPTION_MAX);
  return TRUE;
}

/* Options and XML may say the same thing, but not two. */
static gboolean
check_text (const BusCreateOptions *options, VsSnapshotDef *text, GError **error)
{
  if (text->name != NULL && !bus_snapshot_check_name (text->name, error))
    return FALSE;
  if (options->description != NULL && text->description != NULL
      && !g_str_equal (options->description, text->description))
    return bus_snapshot_refuse (error, "Option 'description' and <description> of the XML differ; leave one out");
  if (options->memory_path != NULL && text->memory_path != NULL
      && !g_str_equal (options->memory_path, text->memory_path))
    return bus_snapshot_refuse (error, "Option 'memory-path' and <memory file='…'> of the XML differ; leave one out");
  return bus_snapshot_check_path ("<memory file='…'>", text->memory_path, error);
}

static Said
find_said (const BusCreateOptions *options, VsSnapshotDef *text)
{
  const char *memory = memory_words (text);
  Said said = {
    .disk_only = options->disk_only ? "'disk-only'" : NULL,
    .internal = g_strcmp0 (options->location, "internal") == 0 ? "location=internal" : NULL,
    .external = g_strcmp0 (options->location, "external") == 0 ? "location=external" : NULL,
  };

  if (memory == NULL)
    return said;
  if (text->memory == VMSNAP_LOCATION_NONE && said.disk_only == NULL)
    said.disk_only = memory;
  else if (text->memory == VMSNAP_LOCATION_INTERNAL && said.internal == NULL)
    said.internal = memory;
  else if (text->memory == VMSNAP_LOCATION_EXTERNAL && said.external == NULL)
    said.external = memory;
  return said;
}

/* What of the options is about a memory's file, or about files at all. */
static gboolean
check_places (const BusCreateOptions *options, VsSnapshotDef *text, const Said *said, GError **error)
{
  const char *memory = options->memory_path != NULL ? "'memory-path'" : options->encoding != NULL ? "'encoding'" : NULL;
  const char *files = options->reuse_external ? "'reuse-external'" : memory;

  if (said->internal != NULL && said->external != NULL)
    return exclude (said->internal, said->external, "the memory is kept in one place", error);
  if (said->disk_only != NULL && text != NULL && text->has_memory && text->memory != VMSNAP_LOCATION_NONE)
    return exclude (said->disk_only, memory_words (text), "the memory is left out, or it isn't", error);
  if (said->disk_only != NULL && memory != NULL)
    return exclude (memory, said->disk_only, "there is no memory to write", error);
  if (said->internal != NULL && files != NULL)
    return exclude (files, said->internal, "an internal snapshot has no files of its own", error);
  return TRUE;
}

static gboolean
check_ways (const BusCreateOptions *options, const Said *said, GError **error)
{
  if (options->quiesce && said->disk_only == NULL)
    return bus_snapshot_refuse (error, "Option 'quiesce' needs 'disk-only': with its memory, a guest's file systems needn't "
                                       "be frozen");
  if (!options->live || said->internal == NULL)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
               "An internal snapshot stops the guest while its memory is written, so 'live' is not supported with %s: "
               "leave it out, or give 'pause'",
               said->internal);
  return FALSE;
}

static gboolean
add_disks (VsSnapshotDef *wish,
           const BusCreateOptions *options,
           VsSnapshotDef *text,
           VsDomainDef *domain,
           const Said *said,
           GError **error)
{
  if (!bus_snapshot_add_option_disks (wish, domain, options->disks, error)
      || (text != NULL && !bus_snapshot_add_text_disks (wish, domain, text, error))
      || !bus_snapshot_check_files (wish, domain, error))
    return FALSE;
  if (said->disk_only == NULL || bus_snapshot_covers_disks (wish, domain))
    return TRUE;
  return bus_snapshot_refuse (error,
                              "There is nothing to take a snapshot of: %s leaves the memory out, and all disks of '%s' are "
                              "left out, too ('disks', or <disk snapshot='no'>)",
                              said->disk_only, domain->name);
}

static void
fill_options (VsSnapshotCreateOptions *create, const BusCreateOptions *options, const Said *said)
{
  *create = (VsSnapshotCreateOptions){
    .location = said->internal != NULL ? VMSNAP_LOCATION_INTERNAL : VMSNAP_LOCATION_EXTERNAL,
    .disk_only = said->disk_only != NULL,
    .live = options->live,
    .pause = options->pause,
    .halt = options->halt,
    .quiesce = options->quiesce,
    .reuse_external = options->reuse_external,
    .no_metadata = options->no_metadata,
    .has_encoding = options->encoding != NULL,
    .encoding = VS_IMAGE_ENCODING_RAW,
  };
  if (options->encoding != NULL)
    vs_image_encoding_from_nick (options->encoding, &create->encoding);
}

/**
 * bus_snapshot_wish:
 * @options: what the call says
 * @text: (nullable): what the call's XML says
 * @domain: the definition of the domain: of its guest, if there is one
 * @create: (out caller-allocates): how it is to be taken
 * @error: where to put %VMSNAP_ERROR_INVALID_ARGUMENT, or %VMSNAP_ERROR_NOT_SUPPORTED
 *
 * Of @text only the name, the description, the memory and the disks count: all else describes a snapshot that is there
 * already, and is made anew. The name isn't the options': who has one sets it afterwards.
 *
 * Returns: (transfer full) (nullable): the wish
 */
VsSnapshotDef *
bus_snapshot_wish (const BusCreateOptions *options,
                   VsSnapshotDef *text,
                   VsDomainDef *domain,
                   VsSnapshotCreateOptions *create,
                   GError **error)
{
  g_autoptr (VsSnapshotDef) wish = vs_snapshot_def_new (text != NULL ? text->name : NULL);
  Said said;

  if (!check_words (options, error) || (text != NULL && !check_text (options, text, error)))
    return NULL;
  said = find_said (options, text);
  if (!check_places (options, text, &said, error) || !check_ways (options, &said, error))
    return NULL;
  wish->description = g_strdup (options->description != NULL || text == NULL ? options->description : text->description);
  wish->memory_path = g_strdup (options->memory_path != NULL || text == NULL ? options->memory_path : text->memory_path);
  if (!add_disks (wish, options, text, domain, &said, error))
    return NULL;
  fill_options (create, options, &said);
  return g_steal_pointer (&wish);
}
