/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether there is room for a snapshot inside the disks' files, looked at before anything is begun: one that runs out of
 * space half-way costs the guest a long stop, or a revert its memory. Threads of runs.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "vmsnap-error.h"
#include "vs-steps.h"
#include "vs-tags.h"

/* The tables that each disk needs anew for a snapshot: a few clusters, of 64 KiB mostly, at times of more. */
#define TABLES ((guint64) 4 << 20)

/**
 * vs_tags_check_room_at:
 * @path: a disk's file
 * @needed: how many bytes it may have to grow by
 * @error: where to put %VMSNAP_ERROR_NO_SPACE
 *
 * A device doesn't grow, and a file system that doesn't say how big it is may have room.
 *
 * Returns: %FALSE if there is too little room for sure
 */
gboolean
vs_tags_check_room_at (const char *path, guint64 needed, GError **error)
{
  struct statvfs fs;
  struct stat st;
  guint64 room;

  if (stat (path, &st) != 0 || !S_ISREG (st.st_mode) || statvfs (path, &fs) != 0 || fs.f_blocks == 0)
    return TRUE;
  room = (guint64) fs.f_bavail * fs.f_frsize;
  if (room >= needed)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE,
               "%s has room for %" G_GUINT64_FORMAT " MiB more, and may need %" G_GUINT64_FORMAT
               " MiB; free some space there",
               path, room >> 20, (needed + (1 << 20) - 1) >> 20);
  return FALSE;
}

/**
 * vs_tags_check_room:
 * @run: a run with the fact of its disks
 * @memory: how much memory will be kept, in bytes; the resident memory is more than will be written, for pages of zeros
 *   aren't
 * @error: where to put %VMSNAP_ERROR_NO_SPACE
 *
 * Returns: whether each disk's file can grow by what a snapshot takes
 */
gboolean
vs_tags_check_room (VsRun *run, guint64 memory, GError **error)
{
  g_autoptr (GPtrArray) states = vs_tags_list (run);
  const VsTagState *vmstate = vs_tags_get_vmstate (run, states);

  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (!vs_tags_check_room_at (state->path, TABLES + (state == vmstate ? memory : 0), error))
        return FALSE;
    }
  return TRUE;
}
