/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a snapshot's record says of the files that it froze: a fact a disk, `{"path": …, "size": …, "backing": …}`. It
 * counts only while the record still names that path, for when files are merged a record is led to another one. Pure;
 * any thread.
 */
#include "vs-frozen-file.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define MEMBER_PATH "path"
#define MEMBER_SIZE "size"
#define MEMBER_BACKING "backing"

/* A record has room for so many facts, and so much in each. What doesn't fit is not known later. */
#define MAX_FACTS 48
#define MAX_FACT_BYTES 4096

/**
 * vs_frozen_file_free:
 * @self: (transfer full): what a file was
 */
void
vs_frozen_file_free (VsFrozenFile *self)
{
  g_free (self->path);
  g_free (self->backing_path);
  g_free (self);
}

/**
 * vs_frozen_file_is_key:
 * @key: the key of a fact
 *
 * Returns: whether it is that of a frozen file
 */
gboolean
vs_frozen_file_is_key (const char *key)
{
  return g_str_has_prefix (key, VS_SNAPSHOT_FACT_FILE_PREFIX);
}

static char *
format (const VsDiskFile *file, const char *backing_path)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, MEMBER_PATH);
  json_builder_add_string_value (builder, file->path);
  json_builder_set_member_name (builder, MEMBER_SIZE);
  json_builder_add_int_value (builder, (gint64)MIN (file->virtual_size, G_MAXINT64));
  if (backing_path != NULL)
    {
      json_builder_set_member_name (builder, MEMBER_BACKING);
      json_builder_add_string_value (builder, backing_path);
    }
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, FALSE);
}

/**
 * vs_frozen_file_note:
 * @def: a snapshot that isn't shared yet
 * @target: a disk that it keeps externally
 * @file: the file that it froze, as it was found
 * @backing_path: (nullable): that one's backing file
 *
 * Writes down what the file is. Not where the record has no room for it.
 */
void
vs_frozen_file_note (VsSnapshotDef *def, const char *target, const VsDiskFile *file, const char *backing_path)
{
  g_autofree char *key = g_strconcat (VS_SNAPSHOT_FACT_FILE_PREFIX, target, NULL);
  g_autofree char *value = format (file, backing_path);

  if (strspn (key, G_CSET_a_2_z G_CSET_DIGITS "-") == strlen (key) && strlen (value) <= MAX_FACT_BYTES
      && g_utf8_validate (value, -1, NULL) && g_hash_table_size (def->facts) < MAX_FACTS)
    vs_snapshot_def_set_fact (def, key, value);
}

static const char *
get_string (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

static gint64
get_int (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_int (node) : 0;
}

/**
 * vs_frozen_file_read:
 * @def: a snapshot
 * @target: a disk that it keeps externally
 *
 * Returns: (transfer full) (nullable): what the file was in which it keeps the disk; %NULL: that isn't known
 */
VsFrozenFile *
vs_frozen_file_read (VsSnapshotDef *def, const char *target)
{
  const VsDiskDef *disk = def->domain != NULL ? vs_domain_def_find_disk (def->domain, target) : NULL;
  g_autofree char *key = g_strconcat (VS_SNAPSHOT_FACT_FILE_PREFIX, target, NULL);
  const char *value = vs_snapshot_def_get_fact (def, key);
  g_autoptr (JsonNode) root = value != NULL ? json_from_string (value, NULL) : NULL;
  JsonObject *object = root != NULL && JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  VsFrozenFile *self;

  if (object == NULL || disk == NULL || disk->path == NULL
      || g_strcmp0 (get_string (object, MEMBER_PATH), disk->path) != 0 || get_int (object, MEMBER_SIZE) <= 0)
    return NULL;
  self = g_new0 (VsFrozenFile, 1);
  self->path = g_strdup (disk->path);
  self->virtual_size = (guint64)get_int (object, MEMBER_SIZE);
  self->backing_path = g_strdup (get_string (object, MEMBER_BACKING));
  return self;
}
