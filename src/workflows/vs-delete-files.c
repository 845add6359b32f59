/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The files of deleted snapshots: noted as left, removed, or forgotten. Only a file that is known to be ours is ever
 * removed, and only as long as it is still the one that it was. Threads of runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-delete-plan.h"
#include "vs-delete.h"
#include "vs-disk-chain.h"
#include "vs-own-files.h"
#include "vs-saved-image.h"
#include "vs-warning.h"

/* One of the plan's lists; NULL: there is no plan. */
JsonArray *
vs_delete_list (VsRun *run, const char *list)
{
  JsonObject *facts = vs_run_get_facts (run);
  JsonObject *plan = json_object_has_member (facts, FACT_PLAN) ? json_object_get_object_member (facts, FACT_PLAN) : NULL;

  return plan != NULL ? json_object_get_array_member (plan, list) : NULL;
}

static guint
count (JsonArray *items)
{
  return items != NULL ? json_array_get_length (items) : 0;
}

/**
 * vs_delete_mark:
 * @run: a run past its point of no return
 * @error: where to put an error
 *
 * Notes the victims' files as left, before their records go: whatever happens afterwards, a later deletion finds them.
 *
 * Returns: whether they are noted
 */
gboolean
vs_delete_mark (VsRun *run, GError **error)
{
  JsonArray *items = vs_delete_list (run, VS_DELETE_MARK);
  VsStore *store = vs_run_get_store (run);
  const char *uuid = vs_run_get_uuid (run);

  for (guint i = 0; i < count (items); i++)
    {
      JsonObject *item = json_array_get_object_element (items, i);
      const char *path = json_object_get_string_member (item, "path");
      g_autoptr (GError) local = NULL;
      gboolean ok = json_object_get_boolean_member (item, "ours")
                      ? vs_own_files_set_left (store, uuid, path, TRUE, &local)
                      : vs_own_files_note_original (store, uuid, path, &local);

      /* An earlier life has removed it, and forgotten it. */
      if (ok || g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
        continue;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_delete_unmark:
 * @run: a run
 * @path: a file that was left
 * @is_ours: whether it may be removed some day
 * @error: where to put an error
 *
 * It has a name again.
 *
 * Returns: whether that is noted
 */
gboolean
vs_delete_unmark (VsRun *run, const char *path, gboolean is_ours, GError **error)
{
  VsStore *store = vs_run_get_store (run);
  const char *uuid = vs_run_get_uuid (run);

  return is_ours ? vs_own_files_set_left (store, uuid, path, FALSE, error)
                 : vs_own_files_remove (store, uuid, path, error);
}

static const VsOwnFile *
find_own (GPtrArray *files, const char *path)
{
  for (guint i = 0; i < files->len; i++)
    {
      const VsOwnFile *file = g_ptr_array_index (files, i);

      if (g_str_equal (file->path, path))
        return file;
    }
  return NULL;
}

static void
sync_directory (const char *path)
{
  g_autofree char *directory = g_path_get_dirname (path);
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd >= 0)
    {
      fsync (fd);
      close (fd);
    }
}

/* Returns FALSE if it is there, and was to go. */
static gboolean
unlink_own (VsRun *run, const VsOwnFile *own)
{
  g_autofree char *id = vs_disk_file_id (own->path, NULL);

  if (id == NULL)
    return TRUE;
  if (!g_str_equal (id, own->id) && !vs_disk_file_id_is_akin (id, own->id))
    {
      vs_warning_add (run, "%s isn't the file that it was, and stays", own->path);
      return TRUE;
    }
  if (g_unlink (own->path) == 0)
    {
      sync_directory (own->path);
      return TRUE;
    }
  vs_warning_add (run, "%s, which nothing needs any more, can't be removed: %s", own->path, g_strerror (errno));
  return errno == ENOENT;
}

/**
 * vs_delete_remove_file:
 * @run: a run
 * @path: a file that nothing needs any more
 * @error: where to put an error
 *
 * Removes it, if it is ours and still the same. One that can't be removed is left, and tried again by the next deletion.
 *
 * Returns: whether what came of it is on record
 */
gboolean
vs_delete_remove_file (VsRun *run, const char *path, GError **error)
{
  VsStore *store = vs_run_get_store (run);
  const char *uuid = vs_run_get_uuid (run);
  g_autoptr (GPtrArray) files = vs_own_files_list (store, uuid);
  const VsOwnFile *own = find_own (files, path);

  if (own == NULL || own->is_original)
    return TRUE;
  if (!own->left && !vs_own_files_set_left (store, uuid, path, TRUE, error))
    return FALSE;
  return !unlink_own (run, own) || vs_own_files_remove (store, uuid, path, error);
}

/**
 * vs_delete_remove_leaves:
 * @run: a run past its point of no return
 * @error: where to put an error
 *
 * Removes the files that nothing stands on and nothing names.
 *
 * Returns: whether what came of it is on record
 */
gboolean
vs_delete_remove_leaves (VsRun *run, GError **error)
{
  JsonArray *leaves = vs_delete_list (run, VS_DELETE_LEAVES);
  JsonArray *forgotten = vs_delete_list (run, VS_DELETE_FORGET);

  for (guint i = 0; i < count (leaves); i++)
    if (!vs_delete_remove_file (run, json_object_get_string_member (json_array_get_object_element (leaves, i), "path"),
                                error))
      return FALSE;
  for (guint i = 0; i < count (forgotten); i++)
    if (!vs_own_files_remove (vs_run_get_store (run), vs_run_get_uuid (run),
                              json_object_get_string_member (json_array_get_object_element (forgotten, i), "path"),
                              error))
      return FALSE;
  return TRUE;
}

/* Outside the store it is removed only if it says itself that it is this domain's. */
static gboolean
is_image_of (VsRun *run, const char *path)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  g_autoptr (VsSavedImage) image = fd >= 0 ? vs_saved_image_open (fd, NULL) : NULL;

  if (fd >= 0)
    close (fd);
  return image != NULL && g_strcmp0 (image->uuid, vs_run_get_uuid (run)) == 0;
}

static gboolean
is_in_store (VsRun *run, const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *own = vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), VS_STORE_MEMORY, name);

  return g_str_equal (own, path);
}

/**
 * vs_delete_remove_memory:
 * @run: a run past its point of no return
 * @victim: a snapshot
 *
 * Removes its saved memory. What can't be removed, or isn't what it should be, stays, with a warning.
 */
void
vs_delete_remove_memory (VsRun *run, JsonObject *victim)
{
  const char *path = json_object_get_string_member_with_default (victim, "memory", NULL);

  if (path == NULL || !g_file_test (path, G_FILE_TEST_EXISTS))
    return;
  if (!is_in_store (run, path) && !is_image_of (run, path))
    vs_warning_add (run, "%s isn't this domain's saved memory, and stays", path);
  else if (g_unlink (path) != 0 && errno != ENOENT)
    vs_warning_add (run, "The saved memory %s can't be removed: %s", path, g_strerror (errno));
}

/**
 * vs_delete_forget:
 * @run: a run past its point of no return
 * @victim: a snapshot whose data stay where they are
 * @error: where to put an error
 *
 * Its files aren't touched by later deletions.
 *
 * Returns: whether that is noted
 */
gboolean
vs_delete_forget (VsRun *run, JsonObject *victim, GError **error)
{
  JsonArray *paths = json_object_get_array_member (victim, "frozen");
  g_autoptr (GPtrArray) files = vs_own_files_list (vs_run_get_store (run), vs_run_get_uuid (run));

  for (guint i = 0; i < json_array_get_length (paths); i++)
    {
      g_autofree char *path = g_canonicalize_filename (json_array_get_string_element (paths, i), "/");
      const VsOwnFile *own = find_own (files, path);

      if (own != NULL && own->left && !vs_delete_unmark (run, path, !own->is_original, error))
        return FALSE;
    }
  return TRUE;
}
