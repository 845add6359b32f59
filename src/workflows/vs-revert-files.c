/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The new files of a revert are made and removed here, and the old ones let go of. Threads of runs.
 */
#include "vs-revert-files.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-file-copy.h"
#include "vs-image-tool.h"
#include "vs-own-files.h"
#include "vs-snapshot-revert.h"
#include "vs-steps.h"
#include "vs-tags.h"
#include "vs-warning.h"

static JsonArray *
get_all (VsRun *run)
{
  JsonObject *facts = vs_run_get_facts (run);

  return json_object_has_member (facts, VS_FRESH_FACT) ? json_object_get_array_member (facts, VS_FRESH_FACT) : NULL;
}

static guint
count (VsRun *run)
{
  JsonArray *all = get_all (run);

  return all != NULL ? json_array_get_length (all) : 0;
}

static JsonObject *
get_file (VsRun *run, guint index)
{
  return json_array_get_object_element (get_all (run), index);
}

static const char *
get (JsonObject *file, const char *member)
{
  return json_object_get_string_member_with_default (file, member, NULL);
}

static void
close_fd (gpointer fd)
{
  close (GPOINTER_TO_INT (fd));
}

/* The next name that is free, everywhere where it is spoken of. */
static gboolean
take_next_name (VsRun *run, JsonObject *file, GError **error)
{
  g_autofree char *path = vs_revert_files_find_name (file);
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);
  g_autoptr (VsDomainDef) next = NULL;
  g_autofree char *xml = NULL;

  if (def != NULL)
    next = vs_domain_def_copy_with_disk_source (def, get (file, VS_NEW_FILE_TARGET), path, "qcow2", error);
  if (next == NULL)
    return FALSE;
  xml = vs_domain_def_format (next);
  vs_run_set_string (run, FACT_DEFINITION, xml);
  json_object_set_string_member (file, VS_NEW_FILE_PATH, path);
  vs_revert_files_note_tags (run);
  return vs_run_write_journal (run, error);
}

/* Somebody, another domain's revert perhaps, may have been quicker. */
static gboolean
name_file (VsRun *run, JsonObject *file, int fd, GError **error)
{
  for (;;)
    {
      g_autoptr (GError) local = NULL;

      if (vs_new_file_name (file, fd, &local))
        return TRUE;
      if (!g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      if (!take_next_name (run, file, error))
        return FALSE;
    }
}

/* The same, where a file can't be made without a name. */
static int
begin_file (VsRun *run, JsonObject *file, GError **error)
{
  for (;;)
    {
      g_autoptr (GError) local = NULL;
      int fd = vs_new_file_begin (file, get (file, VS_FRESH_SOURCE), &local);

      if (fd >= 0)
        return fd;
      if (!g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return -1;
        }
      if (!take_next_name (run, file, error))
        return -1;
    }
}

static gboolean
begin_files (VsRun *run, GPtrArray *fds, GError **error)
{
  for (guint i = 0; i < count (run); i++)
    {
      int fd = begin_file (run, get_file (run, i), error);

      if (fd < 0)
        return FALSE;
      g_ptr_array_add (fds, GINT_TO_POINTER (fd));
    }
  return TRUE;
}

static void
on_copied (guint64 done, guint64 total, gpointer run)
{
  vs_run_report_bytes (run, done, total);
}

/* Without the tags that aren't this snapshot's: they are those of the file that it is a copy of. */
static gboolean
delete_other_tags (VsRun *run, const char *tool, JsonObject *file, GError **error)
{
  const char *path = get (file, VS_NEW_FILE_PATH);
  g_autoptr (VsImageInfo) info = vs_image_info (tool, path, "qcow2", vs_run_get_cancellable (run), error);

  for (guint i = 0; info != NULL && i < info->snapshots->len; i++)
    {
      const VsImageSnapshot *snapshot = g_ptr_array_index (info->snapshots, i);

      if (!g_str_equal (snapshot->tag, get (file, VS_FRESH_TAG))
          && !vs_image_snapshot_delete (tool, path, snapshot->tag, NULL, error))
        return FALSE;
    }
  return info != NULL;
}

static gboolean
fill (VsRun *run, const char *tool, JsonObject *file, GError **error)
{
  GCancellable *cancellable = vs_run_get_cancellable (run);
  const char *kind = get (file, VS_FRESH_KIND);
  const char *path = get (file, VS_NEW_FILE_PATH);
  const char *base = get (file, VS_NEW_FILE_BASE_PATH);
  const char *base_format = get (file, VS_FRESH_BASE_FORMAT);
  gboolean ok;

  if (g_str_equal (kind, VS_FRESH_OVERLAY))
    ok = vs_image_overlay_create (tool, path, (guint64) json_object_get_int_member (file, VS_FRESH_SIZE), base,
                                  base_format, cancellable, error);
  else if (g_str_equal (kind, VS_FRESH_EXTRACT))
    ok = vs_image_extract (tool, get (file, VS_FRESH_SOURCE), get (file, VS_FRESH_TAG), path, base, base_format,
                           cancellable, error);
  else
    ok = vs_file_copy (get (file, VS_FRESH_SOURCE), path, on_copied, run, cancellable, error)
         /* Wherever it lies now, it says what is below it by its whole path. */
         && (base == NULL || vs_image_overlay_set_backing (tool, path, base, base_format, error))
         && delete_other_tags (run, tool, file, error);
  return ok && vs_new_file_sync (path, error);
}

/* A whole file is copied while nobody writes to it: not this domain's guest either, which QEMU makes sure of by
 * writing all down that it has in mind when the guest is stopped. */
static gboolean
has_to_stop (VsRun *run)
{
  VsDomainDef *def = vs_run_get_def (run);

  for (guint i = 0; vs_run_get_guest (run) != NULL && i < count (run); i++)
    {
      JsonObject *file = get_file (run, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (def, get (file, VS_NEW_FILE_TARGET));

      if (g_str_equal (get (file, VS_FRESH_KIND), VS_FRESH_COPY) && disk != NULL
          && g_strcmp0 (disk->path, get (file, VS_FRESH_SOURCE)) == 0)
        return TRUE;
    }
  return FALSE;
}

/**
 * vs_revert_files_make:
 * @run: a run that has chosen
 * @error: where to put %VMSNAP_ERROR_NO_SPACE, …
 *
 * Makes the new files. The guest runs on, but for the rare one whose present file holds the memory that it is to go back
 * to: that one stands still from here on.
 *
 * Returns: whether all are there and on the disk
 */
gboolean
vs_revert_files_make (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) fds = g_ptr_array_new_with_free_func (close_fd);
  g_autofree char *tool = vs_steps_image_tool (run, error);

  if (tool == NULL || !begin_files (run, fds, error) || !vs_run_write_journal (run, error))
    return FALSE;
  for (guint i = 0; i < count (run); i++)
    if (!name_file (run, get_file (run, i), GPOINTER_TO_INT (g_ptr_array_index (fds, i)), error))
      return FALSE;
  if (has_to_stop (run) && !vs_steps_stop (run, VMSNAP_STATE_REASON_SNAPSHOTTING, error))
    return FALSE;
  for (guint i = 0; i < count (run); i++)
    {
      if (!fill (run, tool, get_file (run, i), error))
        return FALSE;
      vs_run_report_progress (run, (i + 1.0) / count (run));
    }
  return TRUE;
}

/**
 * vs_revert_files_remove:
 * @run: a run whose files nothing uses, or no more
 * @error: where to put an error
 *
 * Undo of vs_revert_files_make().
 *
 * Returns: whether nothing is left of them
 */
gboolean
vs_revert_files_remove (VsRun *run, GError **error)
{
  for (guint i = 0; i < count (run); i++)
    if (!vs_new_file_remove (get_file (run, i), error))
      return FALSE;
  return !has_to_stop (run) || vs_steps_restore_running (run, error);
}

/**
 * vs_revert_files_own:
 * @run: a run past its point of no return
 * @error: where to put an error
 *
 * Notes that the new files are ours.
 *
 * Returns: whether that is on record
 */
gboolean
vs_revert_files_own (VsRun *run, GError **error)
{
  for (guint i = 0; i < count (run); i++)
    if (!vs_own_files_add (vs_run_get_store (run), vs_run_get_uuid (run), get (get_file (run, i), VS_NEW_FILE_PATH),
                           error))
      return FALSE;
  return TRUE;
}

/* The memory is in the guest now; what is on record is in the file that was copied. */
static gboolean
forget_tag (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) states = NULL;

  if (count (run) == 0)
    return TRUE;
  vs_tags_aim (run, VS_TAGS_SNAPSHOT);
  states = vs_tags_list (run);
  return states->len == 0 || vs_tags_delete (run, vs_run_get_string (run, FACT_TAG), error);
}

/* Adds the files that were written to under that definition. */
static void
add_paths (VsRun *run, const char *fact, GHashTable *paths)
{
  const char *xml = vs_run_get_string (run, fact);
  g_autoptr (VsDomainDef) def = xml != NULL ? vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, NULL) : NULL;

  for (guint i = 0; def != NULL && i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);

      if (disk->path != NULL && !disk->readonly && !disk->is_cdrom)
        g_hash_table_add (paths, g_strdup (disk->path));
    }
}

/* Whether anything but a name for the files above it holds on to it. */
static gboolean
is_used (VsGraphFile *file)
{
  for (guint i = 0; i < file->uses->len; i++)
    if (((const VsUse *) g_ptr_array_index (file->uses, i))->kind != VS_USE_LEFT)
      return TRUE;
  return FALSE;
}

static gboolean
is_on_list (VsRun *run, const char *path)
{
  g_autoptr (GPtrArray) own = vs_own_files_list (vs_run_get_store (run), vs_run_get_uuid (run));

  for (guint i = 0; i < own->len; i++)
    if (g_str_equal (((const VsOwnFile *) g_ptr_array_index (own, i))->path, path))
      return TRUE;
  return FALSE;
}

static void
remove_file (VsRun *run, VsDiskGraph *graph, VsGraphFile *file)
{
  g_autofree char *directory = g_path_get_dirname (file->path);
  VsGraphFile *below = vs_disk_graph_get_backing (graph, file);

  if (g_unlink (file->path) != 0 && errno != ENOENT)
    {
      vs_warning_add (run, "%s, the disk before, can't be removed: %s", file->path, g_strerror (errno));
      return;
    }
  vs_new_file_sync (directory, NULL);
  vs_own_files_remove (vs_run_get_store (run), vs_run_get_uuid (run), file->path, NULL);
  if (below == NULL)
    return;
  g_ptr_array_remove (below->dependents, file);
  /* What stayed for this one alone goes with it. */
  if (below->is_ours && below->uses->len > 0 && !is_used (below) && below->dependents->len == 0
      && is_on_list (run, below->path))
    remove_file (run, graph, below);
}

static gboolean
abandon_file (VsRun *run, VsDiskGraph *graph, const char *path, GError **error)
{
  VsGraphFile *file = vs_disk_graph_find (graph, path);
  gboolean listed = is_on_list (run, path);

  if (file == NULL || file->id == NULL)
    return !listed || g_file_test (path, G_FILE_TEST_EXISTS)
           || vs_own_files_remove (vs_run_get_store (run), vs_run_get_uuid (run), path, error);
  if (is_used (file))
    return TRUE;
  if (!listed || !file->is_ours)
    {
      if (file->dependents->len == 0)
        vs_warning_add (run, "%s was a disk of the domain and is none any more; it isn't removed, for the service didn't "
                        "make it", path);
      return TRUE;
    }
  if (file->dependents->len > 0)
    return vs_own_files_set_left (vs_run_get_store (run), vs_run_get_uuid (run), path, TRUE, error);
  remove_file (run, graph, file);
  return TRUE;
}

/**
 * vs_revert_files_abandon:
 * @run: a run past its point of no return, whose old guest has ended
 * @error: where to put an error
 *
 * The files that the domain wrote to before: one that we made and that nothing needs any more is removed; one that
 * something depends on is marked as left; any other stays. May be done again.
 *
 * Returns: whether all that is done
 */
gboolean
vs_revert_files_abandon (VsRun *run, GError **error)
{
  g_autoptr (VsDiskGraph) graph = NULL;
  g_autoptr (GHashTable) paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) kept = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter iter;
  gpointer path;

  if (!forget_tag (run, error))
    return FALSE;
  add_paths (run, FACT_OLD_DEFINITION, paths);
  add_paths (run, FACT_PRESENT_DEFINITION, paths);
  add_paths (run, FACT_DEFINITION, kept);
  g_hash_table_iter_init (&iter, paths);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    if (g_hash_table_contains (kept, path))
      g_hash_table_iter_remove (&iter);
  if (g_hash_table_size (paths) == 0)
    return TRUE;
  graph = vs_steps_look_at_disks (run, error);
  if (graph == NULL)
    return FALSE;
  g_hash_table_iter_init (&iter, paths);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    if (!abandon_file (run, graph, path, error))
      return FALSE;
  return TRUE;
}
