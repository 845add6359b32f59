/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The way back from overlays: what the guest wrote into them goes into the files below. While the guest lives, QEMU's
 * block-commit does it and gives the disk back; of a guest that is dead, qemu-img does.
 *
 * What must never happen: an overlay merged a second time over what the guest wrote into the base since the first. So
 * the guest stands still from before its disks are given back until the overlays are gone, or the journal says that they
 * are merged; up to then overlay and base say the same, and to merge once more changes nothing. Threads of runs.
 */
#include "vs-disk-switch.h"

#include "qmp-job.h"
#include "vmsnap-error.h"
#include "vs-image-tool.h"
#include "vs-merge-private.h"
#include "vs-nodes.h"
#include "vs-overlays.h"
#include "vs-qcow2.h"
#include "vs-record.h"
#include "vs-steps.h"
#include "vs-tags.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static char *
job_id (VsRun *run, JsonObject *overlay)
{
  g_autofree char *what = g_strconcat ("merge-", vs_overlay_get (overlay, VS_OVERLAY_TARGET), NULL);

  return vs_steps_job_id (run, what);
}

/* @job: (out): what QEMU has to know of it. Returns FALSE when the guest has ended. */
static gboolean
describe_job (VsRun *run, JsonObject *overlay, const char *id, VsMergeJob *job, GError **error)
{
  *job = (VsMergeJob){
    .monitor = vs_run_get_monitor (run, error),
    .id = id,
    .upper = vs_overlay_get (overlay, VS_OVERLAY_NODE),
    .lower = vs_overlay_get (overlay, VS_OVERLAY_BASE_NODE),
  };
  return job->monitor != NULL;
}

static gboolean
has_job (VsRun *run, JsonObject *overlay, gboolean *has, GError **error)
{
  g_autofree char *id = job_id (run, overlay);
  VsMergeJob job;

  return describe_job (run, overlay, id, &job, error) && vs_merge_job_find (&job, has, error);
}

/* Those that the guest writes to now, and those that an earlier life has begun to merge: behind the device of such a disk
 * is a node of the job's own until it is done. @begun: some may be merged already. What is in the overlay of a disk that
 * has its base again is of no use any more, be it that an earlier life merged it and didn't get to say so. */
static GPtrArray *
list_active (VsRun *run, gboolean *begun, GError **error)
{
  g_auto (GStrv) targets = vs_overlays_list_targets (run);
  g_autoptr (VsNodes) nodes = vs_nodes_ask (run, (const char *const *) targets, error);
  g_autoptr (GPtrArray) active = g_ptr_array_new ();

  *begun = FALSE;
  if (nodes == NULL)
    return NULL;
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);
      const char *node = vs_nodes_get_active (nodes, targets[i]);
      gboolean merging;

      if (!has_job (run, overlay, &merging, error))
        return NULL;
      if (merging || (node != NULL && g_strcmp0 (node, vs_overlay_get (overlay, VS_OVERLAY_NODE)) == 0))
        g_ptr_array_add (active, overlay);
      else
        *begun = TRUE;
      if (!merging && node != NULL && g_strcmp0 (node, vs_overlay_get (overlay, VS_OVERLAY_BASE_NODE)) == 0)
        json_object_set_boolean_member (overlay, VS_OVERLAY_MERGED, TRUE);
      *begun = *begun || merging;
    }
  return g_steal_pointer (&active);
}

/* Unless an earlier life has begun it. */
static gboolean
begin_merge (VsRun *run, JsonObject *overlay, GError **error)
{
  g_autofree char *id = job_id (run, overlay);
  gboolean begun;
  VsMergeJob job;

  return describe_job (run, overlay, id, &job, error) && vs_merge_job_find (&job, &begun, error)
         && (begun || vs_merge_job_begin (&job, error));
}

/* For as long as less and less is left: the guest runs meanwhile. */
static gboolean
follow_merge (VsRun *run, JsonObject *overlay, GError **error)
{
  g_autofree char *id = job_id (run, overlay);
  VsMergeJob job;

  return describe_job (run, overlay, id, &job, error) && vs_merge_job_follow (&job, error);
}

static gboolean
catch_up (VsRun *run, JsonObject *overlay, GError **error)
{
  g_autofree char *id = job_id (run, overlay);
  VsMergeJob job;

  return describe_job (run, overlay, id, &job, error) && vs_merge_job_catch_up (&job, error);
}

/* The disk is given back: QEMU makes the base the device's node again. */
static gboolean
complete_merge (VsRun *run, JsonObject *overlay, GError **error)
{
  g_autofree char *id = job_id (run, overlay);
  VsMergeJob job;

  if (!describe_job (run, overlay, id, &job, error) || !vs_merge_job_complete (&job, error))
    return FALSE;
  json_object_set_boolean_member (overlay, VS_OVERLAY_MERGED, TRUE);
  return TRUE;
}

static gboolean
for_each (VsRun *run, GPtrArray *overlays, gboolean (*func) (VsRun *run, JsonObject *overlay, GError **error), GError **error)
{
  for (guint i = 0; i < overlays->len; i++)
    if (!func (run, g_ptr_array_index (overlays, i), error))
      return FALSE;
  return TRUE;
}

static void
forget_jobs (VsRun *run)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);

  for (guint i = 0; monitor != NULL && i < vs_overlays_count (run); i++)
    {
      g_autofree char *id = job_id (run, vs_overlays_get (run, i));

      qmp_job_dismiss (monitor, id);
    }
}

/* Of overlays that no disk uses any more. A guest that ran may go on once they are gone, or it is on record which are
 * merged: on a full disk the one works without the other. */
static gboolean
drop_overlays (VsRun *run, GError **error)
{
  gboolean noted = vs_run_write_journal (run, NULL);

  if (vs_overlays_remove (run, error))
    return TRUE;
  if (noted)
    vs_steps_restore_running (run, NULL);
  return FALSE;
}

/* A guest that ran may go on once it is on record what is merged; or while nothing is. */
static gboolean
give_disks_back (VsRun *run, GPtrArray *active, GError **error)
{
  gboolean running;

  if (!vs_steps_is_running (run, &running, error)
      || (running && !vs_steps_stop (run, VMSNAP_STATE_REASON_SNAPSHOTTING, error)))
    return FALSE;
  if (for_each (run, active, catch_up, error) && for_each (run, active, complete_merge, error))
    return drop_overlays (run, error);
  if (vs_run_write_journal (run, NULL))
    vs_steps_restore_running (run, NULL);
  return FALSE;
}

static gboolean
merge_active (VsRun *run, GPtrArray *active, GError **error)
{
  gboolean ok;

  if (!for_each (run, active, begin_merge, error) || !for_each (run, active, follow_merge, error))
    return FALSE;
  vs_steps_hold (run, TRUE);
  ok = give_disks_back (run, active, error);
  vs_steps_hold (run, FALSE);
  return ok;
}

/* The guest needn't wait while all is copied, unless an earlier life may have stopped it to give disks back. */
static gboolean
merge_online (VsRun *run, GError **error)
{
  gboolean begun;
  g_autoptr (GPtrArray) active = list_active (run, &begun, error);

  if (active == NULL || (!begun && !vs_steps_restore_running (run, error)))
    return FALSE;
  if (active->len == 0)
    forget_jobs (run);
  return (active->len > 0 ? merge_active (run, active, error) : drop_overlays (run, error))
         && vs_steps_restore_running (run, error);
}

/* Where it can't be told whether there is anything in it, there may be something to lose. */
static gboolean
look_inside (JsonObject *overlay, gboolean *empty, GError **error)
{
  const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gboolean ok;

  if (fd < 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't open the overlay %s: %s", path, g_strerror (errno));
      return FALSE;
    }
  ok = vs_qcow2_is (fd);
  if (!ok)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "The overlay %s is no qcow2 image any more", path);
  else if (!(ok = vs_qcow2_is_empty (fd, empty, error)))
    g_prefix_error (error, "The overlay %s can't be read: ", path);
  close (fd);
  return ok;
}

static gboolean
merge_file (const char *tool, JsonObject *overlay, GError **error)
{
  gboolean there, empty;

  if (vs_overlay_has (overlay, VS_OVERLAY_MERGED))
    return TRUE;
  if (!vs_overlay_files_find (overlay, &there, error) || (there && !look_inside (overlay, &empty, error)))
    return FALSE;
  return !there || empty
         || vs_image_overlay_commit (tool, vs_overlay_get (overlay, VS_OVERLAY_PATH),
                                     vs_overlay_has (overlay, VS_OVERLAY_REUSE), error);
}

/* An overlay that was there before was empty when it was looked at, and is so again. */
static gboolean
merge_offline (VsRun *run, GError **error)
{
  g_autofree char *tool = vs_steps_image_tool (run, error);

  if (tool == NULL)
    return FALSE;
  for (guint i = 0; i < vs_overlays_count (run); i++)
    if (!merge_file (tool, vs_overlays_get (run, i), error))
      return FALSE;
  return TRUE;
}

/**
 * vs_disk_switch_undo:
 * @run: a run that may have switched its disks, in part, or not at all
 * @error: where to put an error
 *
 * Merges what was written into the overlays since, and gives the disks back to the guest, if it lives, and to the
 * definitions. A guest that ran before the operation runs again, as soon as that is safe.
 *
 * Returns: whether all is as before the switch, but for what the guest has written since
 */
gboolean
vs_disk_switch_undo (VsRun *run, GError **error)
{
  gboolean ok = vs_run_get_monitor (run, NULL) != NULL ? merge_online (run, error) : merge_offline (run, error);

  return ok && vs_disk_switch_restore (run, error);
}
