/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Merging two files that no guest uses, by a storage daemon that is started for it. Needs no run; any thread but the main
 * one.
 */
#include "vs-merge-private.h"

#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-qcow2.h"
#include "vs-storage-daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TARGET "merge"

/**
 * vs_merge_is_possible:
 * @way: which way the data goes
 * @lower_size: bytes that a guest would see of the lower file
 * @upper_size: and of the upper
 * @lower_has_backing: whether there is a file below the lower
 *
 * QEMU (7.2 and 10.0) streams a lower file that is shorter than the upper as if it ended in holes, and what is below it
 * shines through from then on. A commit makes a shorter lower file longer, but a longer one stays so, and disks in it
 * would have grown.
 *
 * Returns: whether QEMU does it right
 */
gboolean
vs_merge_is_possible (VsMergeWay way, guint64 lower_size, guint64 upper_size, gboolean lower_has_backing)
{
  return way == VS_MERGE_STREAM ? lower_size >= upper_size || !lower_has_backing : lower_size <= upper_size;
}

/* Whatever they are called. */
gboolean
vs_merge_is_same_file (const char *one, const char *other)
{
  g_autofree char *id = NULL;
  g_autofree char *other_id = NULL;

  if (g_strcmp0 (one, other) == 0)
    return TRUE;
  id = one != NULL ? vs_disk_file_id (one, NULL) : NULL;
  other_id = other != NULL ? vs_disk_file_id (other, NULL) : NULL;
  return id != NULL && g_strcmp0 (id, other_id) == 0;
}

/**
 * vs_merge_read_backing:
 * @path: a qcow2 file
 * @backing: (out) (transfer full) (nullable): absolute path of its backing file
 * @error: %VMSNAP_ERROR_NOT_FOUND when it isn't there, %VMSNAP_ERROR_IO, %VMSNAP_ERROR_IMAGE_CORRUPT
 *
 * Returns: whether it could be read
 */
gboolean
vs_merge_read_backing (const char *path, char **backing, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  g_autofree char *directory = g_path_get_dirname (path);
  g_autoptr (VsQcow2Header) header = NULL;

  *backing = NULL;
  if (fd < 0)
    {
      g_set_error (error, VMSNAP_ERROR, errno == ENOENT ? VMSNAP_ERROR_NOT_FOUND : VMSNAP_ERROR_IO, "Can't open %s: %s",
                   path, g_strerror (errno));
      return FALSE;
    }
  header = vs_qcow2_read_header (fd, error);
  close (fd);
  if (header == NULL)
    {
      g_prefix_error (error, "%s can't be read: ", path);
      return FALSE;
    }
  if (header->backing_file != NULL)
    *backing = g_canonicalize_filename (header->backing_file, directory);
  return TRUE;
}

static gboolean
check_neighbours (VsDiskChain *chain, VsMergeWay way, const char *lower, GError **error)
{
  const VsDiskFile *upper = vs_disk_chain_get_active (chain);
  const VsDiskFile *next = chain->files->len > 1 ? g_ptr_array_index (chain->files, 1) : NULL;

  if (next == NULL || !vs_merge_is_same_file (next->path, lower))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "%s can't be merged with %s: its backing file is %s",
                 upper->path, lower, next != NULL ? next->path : "none");
  else if (!vs_merge_is_possible (way, next->virtual_size, upper->virtual_size, chain->files->len > 2))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                 "%s and %s are of different sizes (%" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT
                 " bytes), and QEMU would not merge them rightly this way",
                 upper->path, lower, upper->virtual_size, next->virtual_size);
  else
    return TRUE;
  return FALSE;
}

/**
 * vs_merge_look:
 * @way: which way the data goes
 * @lower: path of the lower file
 * @upper: path of the upper file
 * @error: %VMSNAP_ERROR_INVALID_STATE when they aren't neighbours, %VMSNAP_ERROR_NOT_SUPPORTED for their sizes, …
 *
 * Returns: (transfer full): the chain from @upper down
 */
VsDiskChain *
vs_merge_look (VsMergeWay way, const char *lower, const char *upper, GError **error)
{
  const VsDiskDef disk
    = { .target = TARGET, .path = (char *) upper, .format = "qcow2", .readonly = way == VS_MERGE_COMMIT };
  g_autoptr (VsDiskChain) chain = vs_disk_chain_probe (&disk, NULL, error);

  return chain != NULL && check_neighbours (chain, way, lower, error) ? g_steal_pointer (&chain) : NULL;
}

/* The options of the node that is written into, as vs_storage_daemon_open() gave them, but for that. */
static JsonObject *
describe_receiver (VsMergeWay way, VsDiskChain *chain)
{
  const VsDiskDef disk = { .target = chain->target };
  guint above = way == VS_MERGE_STREAM ? 0 : 1;
  const VsDiskFile *file = g_ptr_array_index (chain->files, above);
  guint index = chain->files->len - 1 - above;
  g_autofree char *name = vs_block_node_name (TARGET, index);
  g_autofree char *storage = vs_block_storage_node_name (TARGET, index);
  g_autofree char *backing = index > 0 ? vs_block_node_name (TARGET, index - 1) : NULL;

  return vs_block_format_node (&disk, name, storage, file->format, TRUE, backing);
}

static gboolean
run_job (const VsMergeFiles *self, VsStorageDaemon *daemon, VsDiskChain *chain, GError **error)
{
  guint n = chain->files->len;
  g_autofree char *upper = vs_block_node_name (TARGET, n - 1);
  g_autofree char *lower = vs_block_node_name (TARGET, n - 2);
  g_autofree char *below = n > 2 ? vs_block_node_name (TARGET, n - 3) : NULL;
  g_autofree char *below_path
    = n > 2 ? g_canonicalize_filename (((VsDiskFile *) g_ptr_array_index (chain->files, 2))->path, "/") : NULL;
  g_autoptr (JsonObject) receiver = describe_receiver (self->way, chain);
  const VsMergeJob job = {
    .monitor = vs_storage_daemon_get_client (daemon),
    .id = "merge",
    .upper = upper,
    .lower = lower,
    .below = below,
    .backing_path = below_path,
    .reopen = receiver,
    .speed = self->speed,
    .progress = self->progress,
    .user_data = self->user_data,
    .cancellable = self->cancellable,
  };

  return self->way == VS_MERGE_STREAM ? vs_merge_job_stream (&job, error) : vs_merge_job_commit_top (&job, error);
}

/* QEMU has no code for it. */
static void
explain (const VsMergeFiles *self, GError **error)
{
  if (*error == NULL || strstr ((*error)->message, "Failed to get \"") == NULL)
    return;
  (*error)->code = VMSNAP_ERROR_BUSY;
  g_prefix_error (error, "%s or %s is in use: ", self->upper, self->lower);
}

/**
 * vs_merge_files:
 * @self: two files, neighbours in a backing chain
 * @error: %VMSNAP_ERROR_BUSY when somebody uses them, %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_CANCELLED, as
 *   vs_merge_look()
 *
 * A stream changes the upper file, its header at the very end. A commit changes the lower file only, and may be done
 * again. Whenever it ends, and however, the upper file reads the same.
 *
 * Returns: whether it is done
 */
gboolean
vs_merge_files (const VsMergeFiles *self, GError **error)
{
  g_autoptr (VsDiskChain) chain = vs_merge_look (self->way, self->lower, self->upper, error);
  g_autoptr (VsStorageDaemon) daemon
    = chain != NULL ? vs_storage_daemon_start (self->emulator, self->log_path, self->cancellable, error) : NULL;

  g_autoptr (GError) local = NULL;

  if (daemon == NULL)
    return FALSE;
  if (vs_storage_daemon_open (daemon, chain, self->way == VS_MERGE_STREAM, &local) && run_job (self, daemon, chain, &local))
    return TRUE;
  explain (self, &local);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}
