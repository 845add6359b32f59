/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Merging two files in a running guest's chain, by its QEMU. When the guest writes into the upper one, it stands still from
 * before it is given the lower one until that is on record: else a QEMU that dies in between would leave an upper file of
 * which nobody could say whether the lower is newer. Threads of runs.
 */
#include "vs-merge-private.h"

#include "qmp-job.h"
#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-nodes.h"
#include "vs-steps.h"

/* Where the files are in the guest. */
typedef struct
{
  char *root;
  char *upper;
  char *lower;
  char *below;
  char *below_path;
} Places;

static void
places_clear (Places *places)
{
  g_free (places->root);
  g_free (places->upper);
  g_free (places->lower);
  g_free (places->below);
  g_free (places->below_path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Places, places_clear)

static VsNodes *
ask (VsRun *run, JsonObject *merge, GError **error)
{
  const char *const targets[] = { vs_merge_get (merge, VS_MERGE_TARGET), NULL };

  return vs_nodes_ask (run, targets, error);
}

static char *
find (VsNodes *nodes, JsonObject *merge, const char *path)
{
  return path != NULL ? vs_nodes_find_file (nodes, vs_merge_get (merge, VS_MERGE_TARGET), path) : NULL;
}

/**
 * vs_merge_guest_has:
 * @run: a run with a guest
 * @merge: a merge
 * @has: (out): whether its files are in the guest's chain, or were when it began
 * @error: where to put an error
 *
 * Returns: whether the guest could be asked
 */
gboolean
vs_merge_guest_has (VsRun *run, JsonObject *merge, gboolean *has, GError **error)
{
  g_autoptr (VsNodes) nodes = ask (run, merge, error);
  g_autofree char *upper = NULL;
  g_autofree char *lower = NULL;

  if (nodes == NULL)
    return FALSE;
  upper = find (nodes, merge, vs_merge_get (merge, VS_MERGE_UPPER));
  lower = find (nodes, merge, vs_merge_get (merge, VS_MERGE_LOWER));
  /* The one that stays tells; the other one's node may be gone. */
  *has = vs_merge_get_way (merge) == VS_MERGE_STREAM ? upper != NULL : lower != NULL;
  return TRUE;
}

static gboolean
missing (JsonObject *merge, const char *path, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "The guest doesn't have %s in disk %s", path,
               vs_merge_get (merge, VS_MERGE_TARGET));
  return FALSE;
}

/* What is below the lower file, by its header. */
static gboolean
look_below (JsonObject *merge, Places *places, GError **error)
{
  if (g_strcmp0 (vs_merge_get (merge, VS_MERGE_LOWER_FORMAT), "qcow2") != 0)
    return TRUE;
  return vs_merge_read_backing (vs_merge_get (merge, VS_MERGE_LOWER), &places->below_path, error);
}

static gboolean
find_places (VsRun *run, JsonObject *merge, Places *places, GError **error)
{
  g_autoptr (VsNodes) nodes = ask (run, merge, error);

  if (nodes == NULL || !look_below (merge, places, error))
    return FALSE;
  places->root = g_strdup (vs_nodes_get_active (nodes, vs_merge_get (merge, VS_MERGE_TARGET)));
  places->upper = find (nodes, merge, vs_merge_get (merge, VS_MERGE_UPPER));
  places->lower = find (nodes, merge, vs_merge_get (merge, VS_MERGE_LOWER));
  places->below = find (nodes, merge, places->below_path);
  if (places->root == NULL || places->upper == NULL)
    return missing (merge, vs_merge_get (merge, VS_MERGE_UPPER), error);
  if (places->lower == NULL)
    return missing (merge, vs_merge_get (merge, VS_MERGE_LOWER), error);
  if (places->below_path != NULL && places->below == NULL)
    return missing (merge, places->below_path, error);
  return TRUE;
}

static void
take_places (VsMergeJob *job, const Places *places)
{
  job->root = places->root;
  job->upper = places->upper;
  job->lower = places->lower;
  job->below = places->below;
}

static void
delete_node (VsRun *run, const char *name)
{
  g_autofree char *storage = g_strconcat (name, "-file", NULL);
  g_autoptr (GError) local = NULL;

  if (!vs_steps_call (run, "blockdev-del", qmp_args_new ("s:node-name", name, NULL), &local)
      || !vs_steps_call (run, "blockdev-del", qmp_args_new ("s:node-name", storage, NULL), &local))
    g_message ("A file that was merged stays open in QEMU: %s", local->message);
}

/**
 * vs_merge_guest_tidy:
 * @run: a run with a guest
 * @merge: a merge
 *
 * Has QEMU close the file that isn't in the chain any more. It refuses that for one that is.
 */
void
vs_merge_guest_tidy (VsRun *run, JsonObject *merge)
{
  g_autoptr (VsNodes) nodes = ask (run, merge, NULL);
  gboolean stream = vs_merge_get_way (merge) == VS_MERGE_STREAM;
  g_autofree char *gone
    = nodes != NULL ? find (nodes, merge, vs_merge_get (merge, stream ? VS_MERGE_LOWER : VS_MERGE_UPPER)) : NULL;

  if (gone != NULL)
    delete_node (run, gone);
}

static gboolean
check_possible (JsonObject *merge, GError **error)
{
  g_autoptr (VsDiskChain) chain = vs_merge_look (vs_merge_get_way (merge), vs_merge_get (merge, VS_MERGE_LOWER),
                                                 vs_merge_get (merge, VS_MERGE_UPPER), error);

  return chain != NULL;
}

/* The job of an earlier life. */
static gboolean
resume (VsRun *run, JsonObject *merge, const VsMergeJob *job, GError **error)
{
  g_autoptr (VsNodes) nodes = ask (run, merge, error);
  gboolean stream = vs_merge_get_way (merge) == VS_MERGE_STREAM;
  const char *path = vs_merge_get (merge, stream ? VS_MERGE_UPPER : VS_MERGE_LOWER);
  g_autofree char *receiver = nodes != NULL ? find (nodes, merge, path) : NULL;

  if (nodes == NULL)
    return FALSE;
  return receiver != NULL ? vs_merge_job_resume (job, receiver, error) : missing (merge, path, error);
}

static gboolean
stream (VsRun *run, JsonObject *merge, VsMergeJob *job, GError **error)
{
  g_auto (Places) places = { 0 };
  gboolean done;

  job->cancellable = vs_run_get_cancellable (run);
  if (!resume (run, merge, job, error) || !vs_merge_is_streamed (merge, &done, error))
    return FALSE;
  if (done)
    return TRUE;
  if (!check_possible (merge, error) || !find_places (run, merge, &places, error))
    return FALSE;
  take_places (job, &places);
  job->backing_path = places.below_path;
  return vs_merge_job_stream (job, error);
}

/* A layer that the guest doesn't write into: QEMU changes the header of the file above. */
static gboolean
commit_below (VsRun *run, JsonObject *merge, VsMergeJob *job, GError **error)
{
  g_auto (Places) places = { 0 };
  gboolean done;

  if (!resume (run, merge, job, error) || !vs_merge_is_committed (run, merge, &done, error))
    return FALSE;
  if (done)
    return TRUE;
  if (!check_possible (merge, error) || !find_places (run, merge, &places, error))
    return FALSE;
  take_places (job, &places);
  job->backing_path = vs_merge_get (merge, VS_MERGE_LOWER);
  return vs_merge_job_commit (job, error);
}

/* Whether it ran is on record before it is stopped. In a next life it may stand still already. */
static gboolean
stop_guest (VsRun *run, JsonObject *merge, GError **error)
{
  gboolean running;

  if (!vs_steps_is_running (run, &running, error))
    return FALSE;
  if (!json_object_get_boolean_member_with_default (merge, VS_MERGE_STOPPED, FALSE))
    {
      vs_run_set_flag (run, FACT_RUNNING, running);
      json_object_set_boolean_member (merge, VS_MERGE_STOPPED, TRUE);
      if (!vs_run_write_journal (run, error))
        {
          json_object_remove_member (merge, VS_MERGE_STOPPED);
          return FALSE;
        }
    }
  vs_steps_hold (run, TRUE);
  return !running || vs_steps_stop (run, VMSNAP_STATE_REASON_SNAPSHOTTING, error);
}

static gboolean
let_guest_go_on (VsRun *run, JsonObject *merge, GError **error)
{
  vs_steps_hold (run, FALSE);
  if (!json_object_get_boolean_member_with_default (merge, VS_MERGE_STOPPED, FALSE))
    return TRUE;
  if (!vs_steps_restore_running (run, error))
    return FALSE;
  json_object_remove_member (merge, VS_MERGE_STOPPED);
  return TRUE;
}

/* The guest has its file still, unless QEMU can't be asked any more. */
static gboolean
take_back (VsRun *run, JsonObject *merge, const char *id, GError *failure, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  gboolean gone = g_error_matches (failure, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE)
                  || g_error_matches (failure, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);

  if (!gone && monitor != NULL && vs_merge_job_cancel (monitor, id, NULL))
    let_guest_go_on (run, merge, NULL);
  vs_steps_hold (run, FALSE);
  g_propagate_error (error, failure);
  return FALSE;
}

/* The lower file was opened as one that is only read. */
static void
make_active (VsRun *run, JsonObject *merge)
{
  const VsDiskDef *disk = vs_domain_def_find_disk (vs_run_get_def (run), vs_merge_get (merge, VS_MERGE_TARGET));
  g_autoptr (VsNodes) nodes = ask (run, merge, NULL);
  g_autofree char *lower = nodes != NULL ? find (nodes, merge, vs_merge_get (merge, VS_MERGE_LOWER)) : NULL;
  g_auto (Places) places = { 0 };
  g_autofree char *storage = g_strconcat (lower != NULL ? lower : "", "-file", NULL);
  g_autoptr (GError) local = NULL;
  JsonArray *options;

  if (disk == NULL || lower == NULL || (disk->discard == NULL && disk->detect_zeroes == NULL)
      || !look_below (merge, &places, NULL))
    return;
  places.below = find (nodes, merge, places.below_path);
  options = json_array_new ();
  json_array_add_object_element (options, vs_block_format_node (disk, lower, storage,
                                                                vs_merge_get (merge, VS_MERGE_LOWER_FORMAT), TRUE,
                                                                places.below));
  if (!vs_steps_call (run, "blockdev-reopen", qmp_args_new ("a:options", options, NULL), &local))
    g_message ("Disk %s goes on without discard: %s", disk->target, local->message);
}

/* What the guest wrote since it was copied was flushed in the upper file only. */
static gboolean
flush_lower (VsRun *run, JsonObject *merge, GError **error)
{
  g_autoptr (VsNodes) nodes = ask (run, merge, error);
  g_autofree char *lower = nodes != NULL ? find (nodes, merge, vs_merge_get (merge, VS_MERGE_LOWER)) : NULL;
  const VsMergeJob job = { .monitor = vs_run_get_monitor (run, error) };

  return job.monitor != NULL && nodes != NULL && (lower == NULL || vs_merge_job_flush (&job, lower, error));
}

/* The guest has the lower file, and stands still if it ran; or, in a next life, went on after this was on record. */
static gboolean
settle_commit (VsRun *run, JsonObject *merge, VsMergeAdoptFunc adopt, GError **error)
{
  gboolean noted, adopted;

  json_object_set_boolean_member (merge, VS_MERGE_DONE, TRUE);
  noted = vs_run_write_journal (run, NULL);
  adopted = adopt == NULL || adopt (run, merge, error);
  if (noted || adopted)
    let_guest_go_on (run, merge, NULL);
  make_active (run, merge);
  return adopted && flush_lower (run, merge, error);
}

static gboolean
give_lower (VsRun *run, JsonObject *merge, VsMergeJob *job, GError **error)
{
  g_auto (Places) places = { 0 };
  gboolean there;

  if (!vs_merge_job_find (job, &there, error)
      || (!there && (!check_possible (merge, error) || !find_places (run, merge, &places, error))))
    return FALSE;
  take_places (job, &places);
  return (there || vs_merge_job_begin (job, error)) && vs_merge_job_follow (job, error) && stop_guest (run, merge, error)
         && vs_merge_job_catch_up (job, error) && vs_merge_job_complete (job, error);
}

static gboolean
commit_active (VsRun *run, JsonObject *merge, gboolean has_lower, VsMergeJob *job, VsMergeAdoptFunc adopt, GError **error)
{
  GError *local = NULL;

  if (has_lower)
    qmp_job_dismiss (job->monitor, job->id);
  else if (!give_lower (run, merge, job, &local))
    return take_back (run, merge, job->id, local, error);
  return settle_commit (run, merge, adopt, error);
}

/* @is: (out): whether the guest writes into the upper file, or into the lower one since; @has_lower: (out): the latter */
static gboolean
look_at_active (VsRun *run, JsonObject *merge, gboolean *is, gboolean *has_lower, GError **error)
{
  const char *target = vs_merge_get (merge, VS_MERGE_TARGET);
  const VsDiskDef *disk = vs_domain_def_find_disk (vs_run_get_def (run), target);
  g_autoptr (VsNodes) nodes = ask (run, merge, error);
  g_autofree char *lower = NULL;

  if (nodes == NULL)
    return FALSE;
  lower = find (nodes, merge, vs_merge_get (merge, VS_MERGE_LOWER));
  *has_lower = lower != NULL && g_strcmp0 (vs_nodes_get_active (nodes, target), lower) == 0;
  *is = *has_lower || (disk != NULL && vs_merge_is_same_file (disk->path, vs_merge_get (merge, VS_MERGE_UPPER)));
  return TRUE;
}

/**
 * vs_merge_guest_run:
 * @run: a run with a guest
 * @merge: a merge of files in its chain
 * @adopt: (nullable): for a commit
 * @error: where to put an error
 *
 * vs_merge_run() by the guest's QEMU, but for the headers of files that it doesn't have.
 *
 * Returns: whether it is done
 */
gboolean
vs_merge_guest_run (VsRun *run, JsonObject *merge, VsMergeAdoptFunc adopt, GError **error)
{
  g_autofree char *id = vs_merge_job_id (run, merge);
  VsMergeReport report = { run, merge };
  VsMergeJob job
    = { .monitor = vs_run_get_monitor (run, error), .id = id, .progress = vs_merge_report, .user_data = &report };
  gboolean is_active, has_lower, ok;

  if (job.monitor == NULL)
    return FALSE;
  if (vs_merge_get_way (merge) == VS_MERGE_STREAM)
    ok = stream (run, merge, &job, error);
  else if (!look_at_active (run, merge, &is_active, &has_lower, error))
    return FALSE;
  else if (is_active)
    ok = commit_active (run, merge, has_lower, &job, adopt, error);
  else if ((ok = commit_below (run, merge, &job, error)))
    {
      json_object_set_boolean_member (merge, VS_MERGE_DONE, TRUE);
      ok = adopt == NULL || adopt (run, merge, error);
    }
  if (ok)
    vs_merge_guest_tidy (run, merge);
  return ok;
}
