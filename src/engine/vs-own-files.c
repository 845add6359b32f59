/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which files of disks the service made itself, for each domain: on record in the store, for only these may it ever
 * remove. A file is known by its path and its id, so that another one put in its place isn't taken for it. Stateless;
 * the threads of runs, one run a domain.
 */
#include "vs-own-files.h"

#include <json-glib/json-glib.h>

#include "vmsnap-error.h"
#include "vs-disk-chain.h"

#define SUFFIX ".json"
#define MEMBER_PATH "path"
#define MEMBER_ID "id"
#define MEMBER_LEFT "left"
#define MEMBER_ORIGINAL "original"

static void
own_file_free (VsOwnFile *file)
{
  g_free (file->path);
  g_free (file->id);
  g_free (file);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsOwnFile, own_file_free)

/* Paths are longer than file names may be. */
static char *
record_name (const char *path)
{
  g_autofree char *plain = g_canonicalize_filename (path, "/");
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, plain, -1);

  return g_strconcat (sum, SUFFIX, NULL);
}

static char *
format (const VsOwnFile *file)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, MEMBER_PATH);
  json_builder_add_string_value (builder, file->path);
  json_builder_set_member_name (builder, MEMBER_ID);
  json_builder_add_string_value (builder, file->id);
  json_builder_set_member_name (builder, MEMBER_LEFT);
  json_builder_add_boolean_value (builder, file->left);
  if (file->is_original)
    {
      json_builder_set_member_name (builder, MEMBER_ORIGINAL);
      json_builder_add_boolean_value (builder, TRUE);
    }
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, TRUE);
}

static const char *
get_string (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

static gboolean
get_boolean (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_boolean (node);
}

static VsOwnFile *
parse (const char *text, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonNode) root = json_from_string (text, &local);
  JsonObject *object = root != NULL && JSON_NODE_HOLDS_OBJECT (root) ? json_node_get_object (root) : NULL;
  g_autoptr (VsOwnFile) file = g_new0 (VsOwnFile, 1);

  if (object != NULL)
    {
      file->path = g_strdup (get_string (object, MEMBER_PATH));
      file->id = g_strdup (get_string (object, MEMBER_ID));
      file->left = get_boolean (object, MEMBER_LEFT);
      file->is_original = get_boolean (object, MEMBER_ORIGINAL);
    }
  if (file->path != NULL && g_path_is_absolute (file->path) && file->id != NULL)
    return g_steal_pointer (&file);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "This is not the record of a file%s%s",
               local != NULL ? ": " : "", local != NULL ? local->message : "");
  return NULL;
}

static VsOwnFile *
read_record (VsStore *store, const char *uuid, const char *name, GError **error)
{
  g_autofree char *text = vs_store_read (store, uuid, VS_STORE_OWN_FILES, name, error);

  return text != NULL ? parse (text, error) : NULL;
}

static gboolean
write_record (VsStore *store, const char *uuid, const VsOwnFile *file, GError **error)
{
  g_autofree char *name = record_name (file->path);
  g_autofree char *text = format (file);

  return vs_store_write (store, uuid, VS_STORE_OWN_FILES, name, text, -1, error);
}

/**
 * vs_own_files_add:
 * @store: the store
 * @uuid: a domain's uuid
 * @path: a file that is there, and that the service made for that domain
 * @error: %VMSNAP_ERROR_NOT_FOUND when it isn't there, %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Notes a file as ours, and as one that is not left. One that is noted already is noted as it is now.
 *
 * Returns: whether it is noted; durable
 */
gboolean
vs_own_files_add (VsStore *store, const char *uuid, const char *path, GError **error)
{
  g_autoptr (VsOwnFile) file = g_new0 (VsOwnFile, 1);

  file->path = g_canonicalize_filename (path, "/");
  file->id = vs_disk_file_id (path, error);
  return file->id != NULL && write_record (store, uuid, file, error);
}

/**
 * vs_own_files_note_original:
 * @store: the store
 * @uuid: a domain's uuid
 * @path: a file that is there, and that the service didn't make
 * @error: %VMSNAP_ERROR_NOT_FOUND when it isn't there, %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Notes that a domain's own image is left: no snapshot names it, but several files stand on it. It is never removed, but
 * when one file is left above it, that may be merged into it. One that is noted already stays as it is noted.
 *
 * Returns: whether it is noted; durable
 */
gboolean
vs_own_files_note_original (VsStore *store, const char *uuid, const char *path, GError **error)
{
  g_autofree char *name = record_name (path);
  g_autoptr (VsOwnFile) known = read_record (store, uuid, name, NULL);
  g_autoptr (VsOwnFile) file = g_new0 (VsOwnFile, 1);

  if (known != NULL)
    return TRUE;
  file->path = g_canonicalize_filename (path, "/");
  file->id = vs_disk_file_id (path, error);
  file->left = TRUE;
  file->is_original = TRUE;
  return file->id != NULL && write_record (store, uuid, file, error);
}

/**
 * vs_own_files_set_left:
 * @store: the store
 * @uuid: a domain's uuid
 * @path: a file that was noted
 * @left: whether it stays only for the files above it
 * @error: %VMSNAP_ERROR_NOT_FOUND when it isn't noted, %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Notes what a file of ours is kept for.
 *
 * Returns: whether it is noted; durable
 */
gboolean
vs_own_files_set_left (VsStore *store, const char *uuid, const char *path, gboolean left, GError **error)
{
  g_autofree char *name = record_name (path);
  g_autoptr (VsOwnFile) file = read_record (store, uuid, name, error);

  if (file == NULL || file->left == left)
    return file != NULL;
  file->left = left;
  return write_record (store, uuid, file, error);
}

/**
 * vs_own_files_remove:
 * @store: the store
 * @uuid: a domain's uuid
 * @path: a file
 * @error: %VMSNAP_ERROR_IO
 *
 * Forgets that a file is ours. The file stays. One that isn't noted is forgotten already.
 *
 * Returns: whether it is forgotten
 */
gboolean
vs_own_files_remove (VsStore *store, const char *uuid, const char *path, GError **error)
{
  g_autofree char *name = record_name (path);

  return vs_store_remove (store, uuid, VS_STORE_OWN_FILES, name, error);
}

/**
 * vs_own_files_list:
 * @store: the store
 * @uuid: a domain's uuid
 *
 * Reads what was noted. A record that can't be read is put aside, and said in the log: the file it was about stays.
 *
 * Returns: (transfer full) (element-type VsOwnFile): the files of that domain that are ours
 */
GPtrArray *
vs_own_files_list (VsStore *store, const char *uuid)
{
  g_auto (GStrv) names = vs_store_list_files (store, uuid, VS_STORE_OWN_FILES, SUFFIX);
  GPtrArray *files = g_ptr_array_new_with_free_func ((GDestroyNotify)own_file_free);

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;
      VsOwnFile *file = read_record (store, uuid, names[i], &error);

      if (file != NULL)
        g_ptr_array_add (files, file);
      else if (!g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
        vs_store_set_aside (store, uuid, VS_STORE_OWN_FILES, names[i], error);
    }
  return files;
}
