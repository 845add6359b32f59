/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether the files hold what somebody says that a snapshot is: the tags inside the disks, the overlays above them, the
 * image of the memory. Only looks, and takes nobody's word for it. Threads of runs.
 */
#include "vs-redefine-look.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-file-access.h"
#include "vs-frozen-file.h"
#include "vs-nvram.h"
#include "vs-saved-image.h"
#include "vs-tags.h"

static gboolean G_GNUC_PRINTF (3, 4) refuse (GError **error, VmSnapError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (VMSNAP_ERROR, (int)code, format, args);
  va_end (args);
  return FALSE;
}

/* The files of a disk, the active one first. Nobody will write to them, so that need not be possible. */
static VsDiskChain *
probe (VsRun *run, const char *target, const char *path, const char *format, GError **error)
{
  const VsDiskDef disk = { .target = (char *)target, .path = (char *)path, .format = (char *)format, .readonly = TRUE };

  return vs_disk_chain_probe (&disk, vs_run_get_cancellable (run), error);
}

/* The file that a disk had when the snapshot was taken. */
static VsDiskChain *
probe_frozen (VsRun *run, VsSnapshotDef *def, const char *target, GError **error)
{
  const VsDiskDef *disk = vs_domain_def_find_disk (def->domain, target);
  VsDiskChain *chain = probe (run, target, disk->path, disk->format, error);

  if (chain == NULL)
    g_prefix_error (error, "Snapshot %s: ", def->name);
  return chain;
}

/* Unless the record says it already, which is then what counts. */
static void
note_frozen_file (VsSnapshotDef *def, const VsSnapshotDiskDef *part, const VsDiskChain *chain)
{
  g_autoptr (VsFrozenFile) known = vs_frozen_file_read (def, part->target);
  const VsDiskFile *below = chain->files->len > 1 ? g_ptr_array_index (chain->files, 1) : NULL;

  if (part->snapshot == VMSNAP_LOCATION_EXTERNAL && known == NULL)
    vs_frozen_file_note (def, part->target, vs_disk_chain_get_active (chain), below != NULL ? below->path : NULL);
}

static gboolean
look_at_frozen_files (VsRun *run, VsSnapshotDef *def, GError **error)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *part = g_ptr_array_index (def->disks, i);
      g_autoptr (VsDiskChain) chain = NULL;

      if (part->snapshot == VMSNAP_LOCATION_NONE)
        continue;
      chain = probe_frozen (run, def, part->target, error);
      if (chain == NULL)
        return FALSE;
      note_frozen_file (def, part, chain);
    }
  return TRUE;
}

static gboolean
check_present (VsSnapshotDef *def, GPtrArray *states, GError **error)
{
  g_autoptr (GString) missing = g_string_new (NULL);

  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (!state->present)
        g_string_append_printf (missing, "%s%s (%s)", missing->len > 0 ? ", " : "", state->target, state->path);
    }
  return missing->len == 0
         || refuse (error, VMSNAP_ERROR_NOT_FOUND, "Snapshot %s isn't there: no internal snapshot called %s is in %s",
                    def->name, vs_snapshot_def_get_tag (def), missing->str);
}

/* What the disks tell of the memory goes into the record, where nothing is said of it. */
static void
note_memory (VsSnapshotDef *def, const VsTagState *state)
{
  static const char *const sizes[] = { VS_SNAPSHOT_FACT_SIZE, VS_SNAPSHOT_FACT_MEMORY_SIZE };

  vs_snapshot_def_set_fact (def, VS_SNAPSHOT_FACT_VMSTATE, state->target);
  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    if (vs_snapshot_def_get_fact (def, sizes[i]) == NULL)
      vs_snapshot_def_set_fact_uint64 (def, sizes[i], state->vm_state_size);
}

static gboolean
check_memory_inside (VsSnapshotDef *def, GPtrArray *states, GError **error)
{
  const char *wanted = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_VMSTATE);
  const VsTagState *found = NULL;

  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (state->vm_state_size > 0 && (wanted == NULL ? found == NULL : g_str_equal (wanted, state->target)))
        found = state;
      if (state->vm_state_size > 0 && def->memory != VMSNAP_LOCATION_INTERNAL)
        return refuse (
          error, VMSNAP_ERROR_INVALID_ARGUMENT,
          "%s holds a guest's memory under the tag %s, but snapshot %s is said to have none inside its disks",
          state->path, vs_snapshot_def_get_tag (def), def->name);
    }
  if (def->memory != VMSNAP_LOCATION_INTERNAL)
    return TRUE;
  if (found == NULL)
    return refuse (error, VMSNAP_ERROR_NOT_FOUND, "The memory of snapshot %s isn't inside %s under the tag %s",
                   def->name, wanted != NULL ? vs_domain_def_find_disk (def->domain, wanted)->path : "any of its disks",
                   vs_snapshot_def_get_tag (def));
  note_memory (def, found);
  return TRUE;
}

static gboolean
look_inside (VsRun *run, VsSnapshotDef *def, GError **error)
{
  g_autoptr (GPtrArray) states = NULL;

  json_object_set_array_member (vs_run_get_facts (run), VS_TAGS_FACT_DISKS, vs_tags_list_disks (def));
  states = vs_tags_look (run, vs_snapshot_def_get_tag (def), error);
  return states != NULL && check_present (def, states, error) && check_memory_inside (def, states, error);
}

static gboolean
look_at_overlay (VsRun *run, VsSnapshotDef *def, const VsSnapshotDiskDef *part, GError **error)
{
  g_autoptr (VsDiskChain) frozen = probe_frozen (run, def, part->target, error);
  g_autoptr (VsDiskChain) overlay = frozen != NULL ? probe (run, part->target, part->path, part->format, error) : NULL;
  const VsDiskFile *below, *wanted;

  if (frozen == NULL)
    return FALSE;
  if (overlay == NULL)
    {
      g_prefix_error (error, "The overlay of disk %s in snapshot %s: ", part->target, def->name);
      return FALSE;
    }
  wanted = vs_disk_chain_get_active (frozen);
  below = overlay->files->len > 1 ? g_ptr_array_index (overlay->files, 1) : NULL;
  if (below == NULL)
    return refuse (error, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "%s can't be the overlay of disk %s in snapshot %s: it has no backing file, where it should have %s",
                   part->path, part->target, def->name, wanted->path);
  if (!g_str_equal (below->id, wanted->id) || !g_str_equal (below->format, wanted->format))
    return refuse (error, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "%s can't be the overlay of disk %s in snapshot %s: its backing file is %s (%s), not %s (%s)",
                   part->path, part->target, def->name, below->path, below->format, wanted->path, wanted->format);
  return TRUE;
}

static gboolean
look_at_overlays (VsRun *run, VsSnapshotDef *def, GError **error)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *part = g_ptr_array_index (def->disks, i);

      if (part->snapshot == VMSNAP_LOCATION_EXTERNAL && !look_at_overlay (run, def, part, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_image (VsSnapshotDef *def, VsSavedImage *image, GError **error)
{
  g_autofree char *difference = NULL;

  if (!vs_image_header_check_complete (image->header, error))
    return FALSE;
  if (g_strcmp0 (image->uuid, def->domain->uuid) != 0)
    return refuse (error, VMSNAP_ERROR_INVALID_ARGUMENT, "it is of the domain %s (%s)",
                   image->uuid != NULL ? image->uuid : "without a uuid", image->name != NULL ? image->name : "no name");
  if (image->def == NULL)
    {
      g_propagate_error (error, g_error_copy (image->def_error));
      return FALSE;
    }
  return vs_domain_def_guest_abi_equal (image->def, def->domain, &difference)
         || refuse (error, VMSNAP_ERROR_INVALID_ARGUMENT, "its guest isn't that of the snapshot's <domain> (%s)",
                    difference);
}

/* A pipe in its place must not hold us up. */
static VsSavedImage *
open_image (const char *path, const char *of_whom, GError **error)
{
  struct stat st;
  VsSavedImage *image;
  int fd;

  if (!vs_file_access_check (path, FALSE, of_whom, &st, error))
    return NULL;
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    {
      vs_file_access_set_error (error, path, FALSE, errno);
      return NULL;
    }
  image = vs_saved_image_open (fd, error);
  close (fd);
  return image;
}

static gboolean
look_at_memory_file (VsSnapshotDef *def, GError **error)
{
  static const char *const sizes[] = { VS_SNAPSHOT_FACT_SIZE, VS_SNAPSHOT_FACT_MEMORY_SIZE };
  g_autofree char *of_whom = g_strdup_printf ("the memory of snapshot %s", def->name);
  g_autoptr (VsSavedImage) image = NULL;

  if (def->memory != VMSNAP_LOCATION_EXTERNAL)
    return TRUE;
  image = open_image (def->memory_path, of_whom, error);
  if (image == NULL || !check_image (def, image, error))
    {
      g_prefix_error (error, "%s can't be the memory of snapshot %s: ", def->memory_path, def->name);
      return FALSE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    if (vs_snapshot_def_get_fact (def, sizes[i]) == NULL)
      vs_snapshot_def_set_fact_uint64 (def, sizes[i], vs_saved_image_get_memory_size (image));
  return TRUE;
}

static gboolean
look_at_variables (VsRun *run, VsSnapshotDef *def, GError **error)
{
  const char *nvram = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_NVRAM);

  if (nvram == NULL || vs_nvram_check (run, nvram, error))
    return TRUE;
  g_prefix_error (error,
                  "The UEFI variables of snapshot %s went with the domain's definition; take the fact 'nvram' out of "
                  "<cookie> to have the snapshot without them. ",
                  def->name);
  return FALSE;
}

/**
 * vs_redefine_look:
 * @run: a run
 * @def: a snapshot, as vs_redefine_complete() made it; what the files tell of its memory, and what they are, is added to
 *   its facts
 * @error: %VMSNAP_ERROR_NOT_FOUND for what is missing, %VMSNAP_ERROR_INVALID_ARGUMENT for what is something else,
 *   %VMSNAP_ERROR_IMAGE_INCOMPLETE, %VMSNAP_ERROR_IMAGE_CORRUPT, %VMSNAP_ERROR_IO, …
 *
 * Returns: whether all of @def is there
 */
gboolean
vs_redefine_look (VsRun *run, VsSnapshotDef *def, GError **error)
{
  return look_at_frozen_files (run, def, error) && look_inside (run, def, error) && look_at_overlays (run, def, error)
         && look_at_memory_file (def, error) && look_at_variables (run, def, error);
}

/* What the disk's present state must be above of, or in. */
static VsDiskChain *
probe_start (VsRun *run, VsSnapshotDef *def, const VsSnapshotDiskDef *part, GError **error)
{
  if (part->snapshot == VMSNAP_LOCATION_EXTERNAL)
    return probe (run, part->target, part->path, part->format, error);
  return probe_frozen (run, def, part->target, error);
}

static gboolean
descends (VsRun *run, VsSnapshotDef *def, const VsSnapshotDiskDef *part, GError **error)
{
  const VsDiskDef *disk = vs_domain_def_find_disk (vs_run_get_def (run), part->target);
  g_autoptr (VsDiskChain) start = probe_start (run, def, part, error);
  g_autoptr (VsDiskChain) present = NULL;

  if (start == NULL)
    return FALSE;
  if (disk == NULL || disk->path == NULL)
    return refuse (error, VMSNAP_ERROR_INVALID_ARGUMENT, "Snapshot %s can't be the current one: %s has no disk %s now",
                   def->name, vs_run_get_def (run)->name, part->target);
  present = probe (run, disk->target, disk->path, disk->format, error);
  for (guint i = 0; present != NULL && i < present->files->len; i++)
    if (g_str_equal (((const VsDiskFile *)g_ptr_array_index (present->files, i))->id,
                     vs_disk_chain_get_active (start)->id))
      return TRUE;
  return present != NULL
         && refuse (error, VMSNAP_ERROR_INVALID_ARGUMENT,
                    "Snapshot %s can't be the current one: disk %s of %s is %s now, which doesn't descend from %s",
                    def->name, part->target, vs_run_get_def (run)->name, disk->path,
                    vs_disk_chain_get_active (start)->path);
}

/**
 * vs_redefine_look_current:
 * @run: a run
 * @def: a snapshot that vs_redefine_look() has seen
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Returns: whether the domain's disks can descend from @def: each is the file that it is inside, or its overlay, or
 *   stands above one of these
 */
gboolean
vs_redefine_look_current (VsRun *run, VsSnapshotDef *def, GError **error)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *part = g_ptr_array_index (def->disks, i);

      if (part->snapshot != VMSNAP_LOCATION_NONE && !descends (run, def, part, error))
        return FALSE;
    }
  return TRUE;
}
