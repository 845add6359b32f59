/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a revert needs for each disk: nothing, a fresh overlay over the file that was frozen, or a copy of what is kept
 * inside a file that isn't to be touched; where that is to be, and the definition that names it. Only looks. Threads of
 * runs.
 */
#include "vs-revert-files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-disk-chain.h"
#include "vs-image-tool.h"
#include "vs-snapshot-revert.h"
#include "vs-steps.h"
#include "vs-tags.h"
#include "vs-warning.h"

#define SECTOR 512
#define MAX_FILE_NAME 255
/* The longest `-<n>` */
#define MAX_NUMBER 12

/* What is known while it is chosen */
typedef struct
{
  VsRun *run;
  VsSnapshotDef *snapshot;
  VsDiskGraph *graph;
  VsDomainDef *present; /* as the domain is now */
  VsDomainDef *next;    /* as it will be; owned */
  JsonArray *fresh;     /* owned */
  char *tool;           /* owned */
  gboolean plain;
} Choice;

static void
choice_clear (Choice *choice)
{
  g_clear_pointer (&choice->next, vs_domain_def_unref);
  g_clear_pointer (&choice->fresh, json_array_unref);
  g_free (choice->tool);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Choice, choice_clear)

static VmSnapLocation
get_location (VsSnapshotDef *def, const VsDiskDef *disk)
{
  const VsSnapshotDiskDef *part = vs_snapshot_def_find_disk (def, disk->target);

  return part != NULL ? part->snapshot : VMSNAP_LOCATION_NONE;
}

/* Whether something is kept in that file, or stands on it, that must not change. (Who writes to it at present is for the
 * claims to say.) */
static gboolean
is_past (VsDiskGraph *graph, const char *path)
{
  VsGraphFile *file = vs_disk_graph_find (graph, path);

  for (guint i = 0; file != NULL && i < file->uses->len; i++)
    if (((const VsUse *) g_ptr_array_index (file->uses, i))->kind == VS_USE_FROZEN)
      return TRUE;
  return file != NULL && file->dependents->len > 0;
}

/**
 * vs_revert_files_are_plain:
 * @def: the snapshot
 * @graph: the graph, looked at
 *
 * Returns: whether the snapshot is kept inside files alone, and nothing else is kept in them or stands on them: then the
 * disks can go back in these files
 */
gboolean
vs_revert_files_are_plain (VsSnapshotDef *def, VsDiskGraph *graph)
{
  for (guint i = 0; i < def->domain->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->domain->disks, i);
      VmSnapLocation location = get_location (def, disk);

      if (location == VMSNAP_LOCATION_EXTERNAL)
        return FALSE;
      if (location == VMSNAP_LOCATION_INTERNAL && disk->path != NULL && is_past (graph, disk->path))
        return FALSE;
    }
  return def->memory != VMSNAP_LOCATION_EXTERNAL;
}

static gboolean
redirect (Choice *choice, const char *target, const char *path, const char *format, GError **error)
{
  VsDomainDef *changed = vs_domain_def_copy_with_disk_source (choice->next, target, path, format, error);

  if (changed == NULL)
    return FALSE;
  vs_domain_def_unref (choice->next);
  choice->next = changed;
  return TRUE;
}

static gboolean
is_device (const char *path)
{
  return g_str_has_prefix (path, "/dev/") && !g_str_has_prefix (path, "/dev/shm/");
}

/* Beside that file, if files can be made there. */
static char *
directory_of (const char *path)
{
  g_autofree char *directory = path != NULL && !is_device (path) ? g_path_get_dirname (path) : NULL;

  if (directory != NULL && faccessat (AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0)
    return g_steal_pointer (&directory);
  return NULL;
}

/* Where its overlay was made when the snapshot was taken; else beside the file that it is kept in, or the one that the
 * domain has now. */
static char *
choose_directory (Choice *choice, const VsDiskDef *disk, GError **error)
{
  const VsSnapshotDiskDef *part = vs_snapshot_def_find_disk (choice->snapshot, disk->target);
  const VsDiskDef *now = vs_domain_def_find_disk (choice->present, disk->target);
  char *directory = directory_of (part->path);

  if (directory == NULL)
    directory = directory_of (disk->path);
  if (directory == NULL && now != NULL)
    directory = directory_of (now->path);
  if (directory == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
                 "This service can create no file for disk %s, neither beside %s nor where the overlay of the snapshot "
                 "was: let it write there",
                 disk->target, disk->path);
  return directory;
}

/* `<stem>.<snapshot>`, what the number is put behind; cut where it would be too long for a file's name. */
static char *
choose_stem (Choice *choice, const VsDiskDef *disk, GError **error)
{
  g_autofree char *directory = choose_directory (choice, disk, error);
  g_autofree char *stem = g_path_get_basename (disk->path);
  g_autofree char *name = NULL;
  char *dot = strrchr (stem + 1, '.');
  gsize length;

  if (directory == NULL)
    return NULL;
  if (dot != NULL)
    *dot = '\0';
  name = g_strconcat (stem, ".", choice->snapshot->name, NULL);
  length = strlen (name);
  while (length > MAX_FILE_NAME - MAX_NUMBER)
    length = (gsize) (g_utf8_find_prev_char (name, name + length) - name);
  name[length] = '\0';
  return g_build_filename (directory, name, NULL);
}

/**
 * vs_revert_files_find_name:
 * @file: one of the new files, with a path that isn't free
 *
 * Returns: (transfer full): the next one that is
 */
char *
vs_revert_files_find_name (JsonObject *file)
{
  const char *path = json_object_get_string_member (file, VS_NEW_FILE_PATH);
  const char *number = strrchr (path, '-') + 1;
  g_autofree char *stem = g_strndup (path, (gsize) (number - path));
  guint64 n = g_ascii_strtoull (number, NULL, 10);
  struct stat st;

  for (;;)
    {
      g_autofree char *next = g_strdup_printf ("%s%" G_GUINT64_FORMAT, stem, ++n);

      if (lstat (next, &st) != 0 && errno == ENOENT)
        return g_steal_pointer (&next);
    }
}

static gboolean
is_taken (Choice *choice, const char *path)
{
  for (guint i = 0; i < json_array_get_length (choice->fresh); i++)
    if (g_str_equal (json_object_get_string_member (json_array_get_object_element (choice->fresh, i), VS_NEW_FILE_PATH),
                     path))
      return TRUE;
  return vs_disk_graph_find (choice->graph, path) != NULL;
}

/* A name that nothing has, also nothing that is only spoken of. */
static gboolean
choose_path (Choice *choice, const VsDiskDef *disk, JsonObject *file, GError **error)
{
  g_autofree char *stem = choose_stem (choice, disk, error);
  g_autofree char *path = stem != NULL ? g_strconcat (stem, "-0", NULL) : NULL;

  if (path == NULL)
    return FALSE;
  do
    {
      json_object_set_string_member (file, VS_NEW_FILE_PATH, path);
      g_free (path);
      path = vs_revert_files_find_name (file);
    }
  while (is_taken (choice, path));
  json_object_set_string_member (file, VS_NEW_FILE_PATH, path);
  return redirect (choice, disk->target, path, "qcow2", error);
}

static JsonObject *
add_fresh (Choice *choice, const VsDiskDef *disk, const char *kind)
{
  JsonObject *file = json_object_new ();

  json_object_set_string_member (file, VS_NEW_FILE_TARGET, disk->target);
  json_object_set_string_member (file, VS_FRESH_KIND, kind);
  json_object_set_string_member (file, VS_FRESH_SOURCE, disk->path);
  return file;
}

/* The file that a snapshot is kept in must be there, and be what it was. */
static VsGraphFile *
find_kept (Choice *choice, const VsDiskDef *disk, GError **error)
{
  VsGraphFile *file = vs_disk_graph_find (choice->graph, disk->path);
  VsGraphFile *bad = file;

  while (bad != NULL && bad->problem == NULL)
    bad = vs_disk_graph_get_backing (choice->graph, bad);
  if (file != NULL && bad == NULL)
    return file;
  g_set_error (error, VMSNAP_ERROR, bad != NULL && bad->id != NULL ? VMSNAP_ERROR_INVALID_STATE : VMSNAP_ERROR_NOT_FOUND,
               "Snapshot '%s' keeps disk %s in %s, which can't be used: %s. Put it back where it was, or delete the snapshot",
               choice->snapshot->name, disk->target, disk->path, bad != NULL ? bad->problem : "nothing is known of it");
  return NULL;
}

/* A whole file can't be copied while another domain may write to it. */
static gboolean
check_nobody_elses (Choice *choice, const VsDiskDef *disk, VsGraphFile *file, GError **error)
{
  for (guint i = 0; i < file->uses->len; i++)
    {
      const VsUse *use = g_ptr_array_index (file->uses, i);

      if (use->kind != VS_USE_ACTIVE || g_str_equal (use->uuid, vs_run_get_uuid (choice->run)))
        continue;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                   "%s, which snapshot '%s' keeps disk %s in, is a disk of %s, too; give that one another file",
                   file->path, choice->snapshot->name, disk->target, use->domain);
      return FALSE;
    }
  return TRUE;
}

/* All that is below, too. */
static VsDiskChain *
probe (Choice *choice, const VsDiskDef *disk, GError **error)
{
  const VsDiskDef kept = { .target = disk->target, .path = disk->path, .format = disk->format, .readonly = TRUE };
  VsDiskChain *chain = vs_disk_chain_probe (&kept, vs_run_get_cancellable (choice->run), error);

  if (chain == NULL)
    g_prefix_error (error, "What snapshot '%s' keeps of disk %s can't be used: ", choice->snapshot->name, disk->target);
  return chain;
}

static gboolean
choose_overlay (Choice *choice, const VsDiskDef *disk, GError **error)
{
  g_autoptr (VsDiskChain) chain = find_kept (choice, disk, error) != NULL ? probe (choice, disk, error) : NULL;
  g_autoptr (JsonObject) file = NULL;
  guint64 size;

  if (chain == NULL)
    return FALSE;
  file = add_fresh (choice, disk, VS_FRESH_OVERLAY);
  size = vs_disk_chain_get_active (chain)->virtual_size;
  json_object_set_int_member (file, VS_FRESH_SIZE, (gint64) ((size + SECTOR - 1) / SECTOR * SECTOR));
  json_object_set_string_member (file, VS_NEW_FILE_BASE_PATH, disk->path);
  json_object_set_string_member (file, VS_FRESH_BASE_FORMAT, disk->format);
  if (!choose_path (choice, disk, file, error))
    return FALSE;
  json_array_add_object_element (choice->fresh, g_steal_pointer (&file));
  return TRUE;
}

/* Of the disk that keeps the memory the whole file is needed. */
static gboolean
keeps_memory (Choice *choice, const VsDiskDef *disk)
{
  return choice->snapshot->memory == VMSNAP_LOCATION_INTERNAL
         && g_strcmp0 (vs_snapshot_def_get_fact (choice->snapshot, VS_SNAPSHOT_FACT_VMSTATE), disk->target) == 0;
}

static gboolean
check_tag (Choice *choice, const VsDiskDef *disk, GError **error)
{
  const char *tag = vs_snapshot_def_get_tag (choice->snapshot);
  g_autoptr (VsImageInfo) info
    = vs_image_info (choice->tool, disk->path, "qcow2", vs_run_get_cancellable (choice->run), error);
  const VsImageSnapshot *found = info != NULL ? vs_image_info_find_snapshot (info, tag) : NULL;

  if (info == NULL)
    return FALSE;
  if (found != NULL && (!keeps_memory (choice, disk) || found->vm_state_size > 0))
    {
      if (keeps_memory (choice, disk))
        vs_run_set_int (choice->run, FACT_VM_STATE_SIZE, (gint64) found->vm_state_size);
      return TRUE;
    }
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
               "The %s of snapshot '%s' isn't in %s any more: %s the tag %s there",
               found != NULL ? "memory" : "content", choice->snapshot->name, disk->path,
               found != NULL ? "somebody replaced" : "somebody removed", tag);
  return FALSE;
}

static gboolean
choose_copy (Choice *choice, const VsDiskDef *disk, GError **error)
{
  VsGraphFile *kept = find_kept (choice, disk, error);
  g_autoptr (VsDiskChain) chain = kept != NULL ? probe (choice, disk, error) : NULL;
  g_autoptr (JsonObject) file = NULL;
  const VsDiskFile *base;

  if (chain == NULL || !check_tag (choice, disk, error)
      || (keeps_memory (choice, disk) && !check_nobody_elses (choice, disk, kept, error)))
    return FALSE;
  file = add_fresh (choice, disk, keeps_memory (choice, disk) ? VS_FRESH_COPY : VS_FRESH_EXTRACT);
  json_object_set_string_member (file, VS_FRESH_TAG, vs_snapshot_def_get_tag (choice->snapshot));
  if (chain->files->len > 1)
    {
      base = g_ptr_array_index (chain->files, 1);
      json_object_set_string_member (file, VS_NEW_FILE_BASE_PATH, base->path);
      json_object_set_string_member (file, VS_FRESH_BASE_FORMAT, base->format);
    }
  if (!choose_path (choice, disk, file, error))
    return FALSE;
  json_array_add_object_element (choice->fresh, g_steal_pointer (&file));
  return TRUE;
}

/* It keeps the file that the domain has now; one that the domain hasn't any more must not be somebody's past. */
static gboolean
keep_file (Choice *choice, const VsDiskDef *disk, GError **error)
{
  const VsDiskDef *now = vs_domain_def_find_disk (choice->present, disk->target);

  if (choice->snapshot->memory != VMSNAP_LOCATION_NONE)
    vs_warning_add (choice->run, "Snapshot '%s' doesn't cover disk %s, which stays as it is now: if the guest has written to "
                    "it since, its memory doesn't fit it any more",
                    choice->snapshot->name, disk->target);
  if (now != NULL && now->path != NULL && !now->readonly && !now->is_cdrom)
    return g_str_equal (now->path, disk->path) || redirect (choice, disk->target, now->path, now->format, error);
  if (vs_disk_graph_check_writable (choice->graph, disk->path, vs_run_get_uuid (choice->run), error))
    return TRUE;
  g_prefix_error (error, "Disk %s, which '%s' doesn't cover and the domain doesn't have any more, can't come back: ",
                  disk->target, choice->snapshot->name);
  return FALSE;
}

static gboolean
choose_disk (Choice *choice, const VsDiskDef *disk, GError **error)
{
  VmSnapLocation location = get_location (choice->snapshot, disk);

  if (disk->path == NULL)
    return TRUE;
  if (location == VMSNAP_LOCATION_EXTERNAL)
    return choose_overlay (choice, disk, error);
  if (location == VMSNAP_LOCATION_INTERNAL)
    return choice->plain || choose_copy (choice, disk, error);
  return disk->readonly || disk->is_cdrom || keep_file (choice, disk, error);
}

/**
 * vs_revert_files_note_tags:
 * @run: a run with the fact of its new files
 *
 * What is loaded in QEMU are the memory and the disk that keeps it, out of the copy: that becomes the set of disks for
 * vs_tags_load(), see vs_tags_aim().
 */
void
vs_revert_files_note_tags (VsRun *run)
{
  JsonObject *facts = vs_run_get_facts (run);
  JsonArray *fresh = json_object_get_array_member (facts, VS_FRESH_FACT);
  JsonArray *disks = json_array_new ();

  for (guint i = 0; i < json_array_get_length (fresh); i++)
    {
      JsonObject *file = json_array_get_object_element (fresh, i);
      JsonObject *item;

      if (!g_str_equal (json_object_get_string_member (file, VS_FRESH_KIND), VS_FRESH_COPY))
        continue;
      item = json_object_new ();
      json_object_set_string_member (item, "target", json_object_get_string_member (file, VS_NEW_FILE_TARGET));
      json_object_set_string_member (item, "path", json_object_get_string_member (file, VS_NEW_FILE_PATH));
      json_array_add_object_element (disks, item);
    }
  json_object_set_array_member (facts, VS_TAGS_FACT_DISKS, disks);
  vs_tags_store_set (facts, VS_TAGS_SNAPSHOT);
}

static gboolean
choose_all (Choice *choice, GError **error)
{
  GPtrArray *disks = choice->snapshot->domain->disks;
  g_autofree char *xml = NULL;

  for (guint i = 0; i < disks->len; i++)
    if (!choose_disk (choice, g_ptr_array_index (disks, i), error))
      return FALSE;
  xml = vs_domain_def_format (choice->next);
  vs_run_set_string (choice->run, FACT_DEFINITION, xml);
  json_object_set_array_member (vs_run_get_facts (choice->run), VS_FRESH_FACT, g_steal_pointer (&choice->fresh));
  if (!choice->plain)
    vs_revert_files_note_tags (choice->run);
  return TRUE;
}

/**
 * vs_revert_files_choose:
 * @run: a run
 * @def: the snapshot
 * @graph: the graph, looked at
 * @error: where to put %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_IMAGE_CORRUPT, …
 *
 * Finds out which files it takes, and what the domain will be: %VS_FRESH_FACT, and FACT_DEFINITION. A disk that the
 * snapshot doesn't cover keeps the file that it has now. Where the disks can go back in their own files nothing is to
 * be made.
 *
 * Returns: whether all that it takes is there
 */
gboolean
vs_revert_files_choose (VsRun *run, VsSnapshotDef *def, VsDiskGraph *graph, GError **error)
{
  g_auto (Choice) choice = { .run = run, .snapshot = def, .graph = graph, .present = vs_run_get_def (run) };

  choice.plain = vs_revert_files_are_plain (def, graph);
  choice.fresh = json_array_new ();
  choice.tool = vs_steps_image_tool (run, error);
  /* A domain keeps its name, whatever it was called then. */
  choice.next = choice.tool != NULL ? vs_domain_def_copy_with_name (def->domain, choice.present->name, error) : NULL;
  return choice.next != NULL && choose_all (&choice, error);
}
