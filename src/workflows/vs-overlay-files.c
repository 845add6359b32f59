/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The overlays' files. Those that we make are new files (vs-new-file.c). One that was there before is checked, for a
 * wrong one would change the guest's disk beneath it. Threads of runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-disk-chain.h"
#include "vs-engine.h"
#include "vs-file-access.h"
#include "vs-image-tool.h"
#include "vs-new-file.h"
#include "vs-overlays.h"
#include "vs-own-files.h"
#include "vs-qcow2.h"
#include "vs-steps.h"

static gboolean
check_directory (JsonObject *overlay, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (vs_overlay_get (overlay, VS_OVERLAY_PATH));
  const char *target = vs_overlay_get (overlay, VS_OVERLAY_TARGET);
  int errsv;

  if (g_file_test (directory, G_FILE_TEST_IS_DIR) && faccessat (AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0)
    return TRUE;
  errsv = errno;
  if (!g_file_test (directory, G_FILE_TEST_EXISTS))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                 "The directory %s, where the overlay of disk %s is to be, isn't there; create it first", directory,
                 target);
  else if (!g_file_test (directory, G_FILE_TEST_IS_DIR))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "The overlay of disk %s can't be in %s, which is no directory", target, directory);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
                 "This service can't create the overlay of disk %s in %s: %s; let it write there, or choose another "
                 "directory with the option 'disks'",
                 target, directory, g_strerror (errsv));
  return FALSE;
}

static gboolean
check_absent (JsonObject *overlay, GError **error)
{
  const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);
  struct stat st;

  if (lstat (path, &st) != 0 && errno == ENOENT)
    return TRUE;
  if (errno == ENAMETOOLONG)
    {
      vs_new_file_set_error (error, path, ENAMETOOLONG);
      return FALSE;
    }
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS,
               "%s, where the overlay of disk %s is to be, is there already, and isn't overwritten; remove it, choose "
               "another name or path, or give reuse-external if it is meant to be used",
               path, vs_overlay_get (overlay, VS_OVERLAY_TARGET));
  return FALSE;
}

/* The command that makes what reuse-external wants, for people to copy. */
static char *
describe_making (JsonObject *overlay)
{
  g_autofree char *free_path = g_strconcat (vs_overlay_get (overlay, VS_OVERLAY_PATH), ".new", NULL);
  g_autofree char *path = g_shell_quote (free_path);
  g_autofree char *base = g_shell_quote (vs_overlay_get (overlay, VS_OVERLAY_BASE_PATH));

  return g_strdup_printf ("qemu-img create -u -f qcow2 -F %s -b %s %s %" G_GINT64_FORMAT,
                          vs_overlay_get (overlay, VS_OVERLAY_BASE_FORMAT), base, path,
                          json_object_get_int_member (overlay, VS_OVERLAY_SIZE));
}

static gboolean
refuse_reuse (JsonObject *overlay, const char *why, GError **error)
{
  g_autofree char *command = describe_making (overlay);

  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "%s can't be reused as the overlay of disk %s: %s. Choose another path; this command makes one that can be used: %s",
               vs_overlay_get (overlay, VS_OVERLAY_PATH), vs_overlay_get (overlay, VS_OVERLAY_TARGET), why, command);
  return FALSE;
}

/* None, which we'll record then, or the very file that the disk has now. */
static gboolean
check_backing (JsonObject *overlay, const VsQcow2Header *header, GError **error)
{
  const char *base = vs_overlay_get (overlay, VS_OVERLAY_BASE_PATH);
  g_autofree char *directory = g_path_get_dirname (vs_overlay_get (overlay, VS_OVERLAY_PATH));
  g_autofree char *recorded = NULL;
  g_autofree char *recorded_id = NULL;
  g_autofree char *base_id = NULL;
  g_autofree char *why = NULL;

  json_object_set_boolean_member (overlay, VS_OVERLAY_REBASED, header->backing_file == NULL);
  if (header->backing_file == NULL)
    return TRUE;
  recorded = g_canonicalize_filename (header->backing_file, directory);
  recorded_id = vs_disk_file_id (recorded, NULL);
  base_id = vs_disk_file_id (base, error);
  if (base_id == NULL)
    return FALSE;
  if (g_strcmp0 (recorded_id, base_id) != 0)
    why = g_strdup_printf ("its backing file is %s, not %s", header->backing_file, base);
  else if (g_strcmp0 (header->backing_format, vs_overlay_get (overlay, VS_OVERLAY_BASE_FORMAT)) != 0)
    why = g_strdup_printf ("it records the format %s for its backing file, which is %s",
                           header->backing_format != NULL ? header->backing_format : "(none)",
                           vs_overlay_get (overlay, VS_OVERLAY_BASE_FORMAT));
  return why == NULL || refuse_reuse (overlay, why, error);
}

static gboolean
check_header (JsonObject *overlay, int fd, GError **error)
{
  g_autoptr (VsQcow2Header) header = NULL;
  g_autofree char *why = NULL;
  gboolean empty;

  if (!vs_qcow2_is (fd))
    return refuse_reuse (overlay, "it isn't a qcow2 image", error);
  header = vs_qcow2_read_header (fd, error);
  if (header == NULL)
    {
      g_prefix_error (error, "%s can't be reused: ", vs_overlay_get (overlay, VS_OVERLAY_PATH));
      return FALSE;
    }
  if (header->is_corrupt || header->is_encrypted || header->has_data_file)
    return refuse_reuse (overlay,
                         header->is_corrupt     ? "it is marked as corrupt"
                         : header->is_encrypted ? "it is encrypted"
                                                : "it keeps its data in another file",
                         error);
  if (header->virtual_size != (guint64) json_object_get_int_member (overlay, VS_OVERLAY_SIZE))
    {
      why = g_strdup_printf ("it is of %" G_GUINT64_FORMAT " bytes, and the disk of %" G_GINT64_FORMAT,
                             header->virtual_size, json_object_get_int_member (overlay, VS_OVERLAY_SIZE));
      return refuse_reuse (overlay, why, error);
    }
  if (!vs_qcow2_is_empty (fd, &empty, error))
    return FALSE;
  if (!empty)
    return refuse_reuse (overlay, "it holds data already, and the guest's disk would change beneath it", error);
  return check_backing (overlay, header, error);
}

static gboolean
check_unused (VsRun *run, const char *path, GError **error)
{
  g_autoptr (VsDiskGraph) graph = vs_steps_identify_disks (run, error);

  return graph != NULL && vs_disk_graph_check_unused (graph, path, error);
}

static gboolean
check_reused (VsRun *run, JsonObject *overlay, GError **error)
{
  const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);
  g_autofree char *of_whom = g_strdup_printf ("the overlay of disk %s that is to be reused",
                                              vs_overlay_get (overlay, VS_OVERLAY_TARGET));
  struct stat st;
  gboolean ok;
  int fd;

  if (!check_unused (run, path, error))
    {
      g_prefix_error (error, "It can't be the overlay of disk %s: ", vs_overlay_get (overlay, VS_OVERLAY_TARGET));
      return FALSE;
    }
  if (!vs_file_access_check (path, TRUE, of_whom, &st, error))
    return FALSE;
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    {
      vs_file_access_set_error (error, path, FALSE, errno);
      return FALSE;
    }
  ok = check_header (overlay, fd, error);
  close (fd);
  return ok;
}

/* Looks at each overlay's place. */
gboolean
vs_overlay_files_check (VsRun *run, GError **error)
{
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);

      if (vs_overlay_has (overlay, VS_OVERLAY_REUSE) ? !check_reused (run, overlay, error)
                                                     : !check_directory (overlay, error) || !check_absent (overlay, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
fill (VsRun *run, const char *tool, JsonObject *overlay, GError **error)
{
  const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);
  const char *base = vs_overlay_get (overlay, VS_OVERLAY_BASE_PATH);
  const char *format = vs_overlay_get (overlay, VS_OVERLAY_BASE_FORMAT);

  if (vs_overlay_get (overlay, VS_OVERLAY_MADE) != NULL)
    return vs_image_overlay_create (tool, path, json_object_get_int_member (overlay, VS_OVERLAY_SIZE), base, format,
                                    vs_run_get_cancellable (run), error)
           && vs_new_file_sync (path, error);
  return !vs_overlay_has (overlay, VS_OVERLAY_REBASED)
         || (vs_image_overlay_set_backing (tool, path, base, format, error) && vs_new_file_sync (path, error));
}

static void
close_fd (gpointer fd)
{
  close (GPOINTER_TO_INT (fd));
}

static gboolean
begin_files (VsRun *run, GPtrArray *fds, GError **error)
{
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);
      int fd;

      if (vs_overlay_has (overlay, VS_OVERLAY_REUSE))
        continue;
      fd = vs_new_file_begin (overlay, vs_overlay_get (overlay, VS_OVERLAY_BASE_PATH), error);
      if (fd < 0)
        return FALSE;
      g_ptr_array_add (fds, GINT_TO_POINTER (fd));
    }
  return TRUE;
}

static gboolean
name_files (VsRun *run, GPtrArray *fds, GError **error)
{
  guint next = 0;

  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);

      if (!vs_overlay_has (overlay, VS_OVERLAY_REUSE)
          && !vs_new_file_name (overlay, GPOINTER_TO_INT (g_ptr_array_index (fds, next++)), error))
        return FALSE;
    }
  return TRUE;
}

/* Makes them all, and records in those that are reused what is below them. */
gboolean
vs_overlay_files_make (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) fds = g_ptr_array_new_with_free_func (close_fd);
  g_autofree char *tool = vs_steps_image_tool (run, error);

  if (tool == NULL || !begin_files (run, fds, error) || !vs_run_write_journal (run, error)
      || !name_files (run, fds, error))
    return FALSE;
  for (guint i = 0; i < vs_overlays_count (run); i++)
    if (!fill (run, tool, vs_overlays_get (run, i), error))
      return FALSE;
  return TRUE;
}

/* Not when nothing can be seen where it was: its file system may not be mounted. */
static gboolean
is_gone (JsonObject *overlay)
{
  const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);
  g_autofree char *directory = g_path_get_dirname (path);
  struct stat st;

  return lstat (path, &st) != 0 && errno == ENOENT && g_file_test (directory, G_FILE_TEST_IS_DIR);
}

/**
 * vs_overlay_files_find:
 * @overlay: one that was made, or found
 * @there: (out): whether it still is
 * @error: %VMSNAP_ERROR_IO
 *
 * What is in it would be lost if another file, or none, was taken for it.
 *
 * Returns: whether that could be told
 */
gboolean
vs_overlay_files_find (JsonObject *overlay, gboolean *there, GError **error)
{
  const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);

  *there = vs_new_file_is_ours (overlay)
           || (vs_overlay_has (overlay, VS_OVERLAY_REUSE) && g_file_test (path, G_FILE_TEST_EXISTS));
  if (*there || is_gone (overlay))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
               "The overlay of disk %s, %s, can't be found, or another file is in its place; what the guest has written is "
               "in it. Mount its file system, or put it back",
               vs_overlay_get (overlay, VS_OVERLAY_TARGET), path);
  return FALSE;
}

/* Those that we made go; those that were there before say again what they said. */
gboolean
vs_overlay_files_remove (VsRun *run, GError **error)
{
  g_autofree char *tool = vs_steps_image_tool (run, error);

  if (tool == NULL)
    return FALSE;
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);

      if (!vs_new_file_remove (overlay, error))
        return FALSE;
      if (vs_overlay_has (overlay, VS_OVERLAY_REBASED)
          && g_file_test (vs_overlay_get (overlay, VS_OVERLAY_PATH), G_FILE_TEST_EXISTS)
          && !vs_image_overlay_set_backing (tool, vs_overlay_get (overlay, VS_OVERLAY_PATH), NULL, NULL, error))
        return FALSE;
    }
  return TRUE;
}

/**
 * vs_overlay_files_own:
 * @run: a run whose overlays the disks use
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO
 *
 * Puts on record which files we made: only these are ever removed, when no snapshot needs them any more.
 *
 * Returns: whether they are on record; durable
 */
gboolean
vs_overlay_files_own (VsRun *run, GError **error)
{
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);

      if (!vs_overlay_has (overlay, VS_OVERLAY_REUSE)
          && !vs_own_files_add (vs_run_get_store (run), vs_run_get_uuid (run), vs_overlay_get (overlay, VS_OVERLAY_PATH),
                                error))
        return FALSE;
    }
  return TRUE;
}

/**
 * vs_overlay_files_disown:
 * @run: a run
 * @error: %VMSNAP_ERROR_IO
 *
 * Undo of vs_overlay_files_own().
 *
 * Returns: whether none of them is on record
 */
gboolean
vs_overlay_files_disown (VsRun *run, GError **error)
{
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);

      if (!vs_overlay_has (overlay, VS_OVERLAY_REUSE)
          && !vs_own_files_remove (vs_run_get_store (run), vs_run_get_uuid (run),
                                   vs_overlay_get (overlay, VS_OVERLAY_PATH), error))
        return FALSE;
    }
  return TRUE;
}
