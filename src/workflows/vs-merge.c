/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Merging two files of a backing chain: by the guest's QEMU when they are in its chain, else by a storage daemon. All of
 * it may be run again, also when the service, QEMU or both died in the middle, and what is done already is found out from
 * the files' headers. Threads of runs.
 *
 * What must never happen: an upper file merged a second time over what was written into the lower one since. So after
 * the first time nothing is written there before it is on record that it is merged, or the definitions name the lower.
 */
#include "vs-merge-private.h"

#include "qmp-client.h"
#include "vmsnap-error.h"
#include "vs-domain-def.h"
#include "vs-image-tool.h"
#include "vs-steps.h"

#define END_TIMEOUT (30 * G_USEC_PER_SEC)

const char *
vs_merge_get (JsonObject *merge, const char *member)
{
  return json_object_get_string_member_with_default (merge, member, NULL);
}

VsMergeWay
vs_merge_get_way (JsonObject *merge)
{
  return g_strcmp0 (vs_merge_get (merge, VS_MERGE_WAY), VS_MERGE_WORD_STREAM) == 0 ? VS_MERGE_STREAM : VS_MERGE_COMMIT;
}

/* The same in a next life, and another for each merge of a run. */
char *
vs_merge_job_id (VsRun *run, JsonObject *merge)
{
  g_autofree char *files = g_strjoin ("\n", vs_merge_get (merge, VS_MERGE_LOWER), vs_merge_get (merge, VS_MERGE_UPPER), NULL);
  g_autofree char *what = g_strdup_printf ("merge-%08x", g_str_hash (files));

  return vs_steps_job_id (run, what);
}

/* One of several merges of a step, which together have @VS_MERGE_BYTES_TOTAL to move, knows its share. */
void
vs_merge_report (guint64 done, guint64 total, gpointer user_data)
{
  const VsMergeReport *report = user_data;
  gint64 all = json_object_get_int_member_with_default (report->merge, VS_MERGE_BYTES_TOTAL, 0);
  gint64 before = json_object_get_int_member_with_default (report->merge, VS_MERGE_BYTES_BEFORE, 0);
  gint64 own = json_object_get_int_member_with_default (report->merge, VS_MERGE_BYTES, 0);

  if (all > 0 && own > 0)
    vs_run_report_bytes (report->run, (guint64) (before + (gint64) (own * ((double) MIN (done, total) / total))),
                         (guint64) all);
  else
    vs_run_report_bytes (report->run, done, total);
}

/* @is: (out): whether the backing file of @path is @backing; it isn't when @path is gone */
static gboolean
has_backing (const char *path, const char *backing, gboolean *is, GError **error)
{
  g_autofree char *present = NULL;
  g_autoptr (GError) local = NULL;

  *is = FALSE;
  if (vs_merge_read_backing (path, &present, &local))
    {
      *is = vs_merge_is_same_file (present, backing);
      return TRUE;
    }
  if (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static guint
count_dependents (JsonObject *merge)
{
  return json_object_has_member (merge, VS_MERGE_DEPENDENTS)
           ? json_array_get_length (json_object_get_array_member (merge, VS_MERGE_DEPENDENTS))
           : 0;
}

static const char *
get_dependent (JsonObject *merge, guint index)
{
  return json_array_get_string_element (json_object_get_array_member (merge, VS_MERGE_DEPENDENTS), index);
}

/* Headers are changed only once the data is in the lower file; the definitions, too. */
gboolean
vs_merge_is_committed (VsRun *run, JsonObject *merge, gboolean *is, GError **error)
{
  const char *lower = vs_merge_get (merge, VS_MERGE_LOWER);
  const VsDiskDef *disk = vs_domain_def_find_disk (vs_run_get_def (run), vs_merge_get (merge, VS_MERGE_TARGET));

  *is = json_object_get_boolean_member_with_default (merge, VS_MERGE_DONE, FALSE)
        || !g_file_test (vs_merge_get (merge, VS_MERGE_UPPER), G_FILE_TEST_EXISTS)
        || (disk != NULL && vs_merge_is_same_file (disk->path, lower));
  for (guint i = 0; !*is && i < count_dependents (merge); i++)
    if (!has_backing (get_dependent (merge, i), lower, is, error))
      return FALSE;
  return TRUE;
}

gboolean
vs_merge_is_streamed (JsonObject *merge, gboolean *is, GError **error)
{
  if (!has_backing (vs_merge_get (merge, VS_MERGE_UPPER), vs_merge_get (merge, VS_MERGE_LOWER), is, error))
    return FALSE;
  *is = !*is;
  return TRUE;
}

static gboolean
run_files (VsRun *run, JsonObject *merge, GError **error)
{
  g_autofree char *log_name = g_strconcat (vs_run_get_uuid (run), ".log", NULL);
  g_autofree char *log = g_build_filename (vs_store_get_log_dir (vs_run_get_store (run)), log_name, NULL);
  VsMergeWay way = vs_merge_get_way (merge);
  VsMergeReport report = { run, merge };
  const VsMergeFiles files = {
    .emulator = vs_steps_emulator (run),
    .log_path = log,
    .way = way,
    .lower = vs_merge_get (merge, VS_MERGE_LOWER),
    .upper = vs_merge_get (merge, VS_MERGE_UPPER),
    .progress = vs_merge_report,
    .user_data = &report,
    .cancellable = way == VS_MERGE_STREAM ? vs_run_get_cancellable (run) : NULL,
  };

  return vs_merge_files (&files, error);
}

static gboolean
note_done (VsRun *run, JsonObject *merge, VsMergeAdoptFunc adopt, GError **error)
{
  json_object_set_boolean_member (merge, VS_MERGE_DONE, TRUE);
  return adopt == NULL || adopt (run, merge, error);
}

/* What has @path for its backing file gets the lower one. */
static gboolean
rebase_one (const char *tool, JsonObject *merge, const char *path, GError **error)
{
  gboolean names_upper;

  return has_backing (path, vs_merge_get (merge, VS_MERGE_UPPER), &names_upper, error)
         && (!names_upper
             || vs_image_overlay_set_backing (tool, path, vs_merge_get (merge, VS_MERGE_LOWER),
                                              vs_merge_get (merge, VS_MERGE_LOWER_FORMAT), error));
}

static gboolean
rebase_dependents (VsRun *run, JsonObject *merge, GError **error)
{
  g_autofree char *tool = count_dependents (merge) > 0 ? vs_steps_image_tool (run, error) : NULL;

  if (count_dependents (merge) > 0 && tool == NULL)
    return FALSE;
  for (guint i = 0; i < count_dependents (merge); i++)
    if (!rebase_one (tool, merge, get_dependent (merge, i), error))
      return FALSE;
  return TRUE;
}

static gboolean
commit (VsRun *run, JsonObject *merge, gboolean by_guest, VsMergeAdoptFunc adopt, GError **error)
{
  gboolean done;

  if (by_guest ? !vs_merge_guest_run (run, merge, adopt, error)
               : !vs_merge_is_committed (run, merge, &done, error) || (!done && !run_files (run, merge, error))
                   || !note_done (run, merge, adopt, error))
    return FALSE;
  return rebase_dependents (run, merge, error);
}

static gboolean
stream (VsRun *run, JsonObject *merge, gboolean by_guest, GError **error)
{
  gboolean done;

  if (by_guest ? !vs_merge_guest_run (run, merge, NULL, error)
               : !vs_merge_is_streamed (merge, &done, error) || (!done && !run_files (run, merge, error)))
    return FALSE;
  json_object_set_boolean_member (merge, VS_MERGE_DONE, TRUE);
  return TRUE;
}

static gboolean
run_once (VsRun *run, JsonObject *merge, VsMergeAdoptFunc adopt, GError **error)
{
  gboolean by_guest = FALSE;

  if (vs_run_get_monitor (run, NULL) != NULL && !vs_merge_guest_has (run, merge, &by_guest, error))
    return FALSE;
  return vs_merge_get_way (merge) == VS_MERGE_STREAM ? stream (run, merge, by_guest, error)
                                                     : commit (run, merge, by_guest, adopt, error);
}

/**
 * vs_merge_run:
 * @run: a run
 * @merge: one merge, part of its facts; see %VS_MERGE_TARGET and what follows it
 * @adopt: (nullable): for a commit, see #VsMergeAdoptFunc
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_BUSY, %VMSNAP_ERROR_CANCELLED (a stream), …
 *
 * Merges two files. Its progress is the step's. A stream is cancelled when the run is; a commit isn't cancelled, and is
 * for steps past the point of no return. Whatever fails, all files but the lower of a commit read as before. When it
 * fails and %VS_MERGE_DONE is set, it has to be run again, for the guest may have another file already than the
 * definitions say; when it isn't set, nothing is different from before but for space.
 *
 * Returns: whether it is done: then nothing needs the upper file of a commit any more, and for the lower of a stream one
 *   file less does
 */
gboolean
vs_merge_run (VsRun *run, JsonObject *merge, VsMergeAdoptFunc adopt, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (run_once (run, merge, adopt, &local))
    return TRUE;
  /* A guest that has ended has let go of its files: then it is done without. */
  if (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE) && vs_run_get_guest (run) != NULL
      && vs_process_wait (vs_guest_get_process (vs_run_get_guest (run)), END_TIMEOUT, NULL, NULL))
    {
      g_clear_error (&local);
      if (run_once (run, merge, adopt, &local))
        return TRUE;
    }
  g_propagate_prefixed_error (error, g_steal_pointer (&local), "%s can't be merged with %s: ",
                              vs_merge_get (merge, VS_MERGE_UPPER), vs_merge_get (merge, VS_MERGE_LOWER));
  return FALSE;
}

/**
 * vs_merge_give_up:
 * @run: a run
 * @merge: a stream, which may have begun, be under way in the guest's QEMU, or be done
 * @error: %VMSNAP_ERROR_HYPERVISOR_GONE, %VMSNAP_ERROR_TIMEOUT
 *
 * Undo of a stream: ends it where it is. What was copied stays copied.
 *
 * Returns: whether nobody works on it any more
 */
gboolean
vs_merge_give_up (VsRun *run, JsonObject *merge, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  g_autofree char *id = vs_merge_job_id (run, merge);

  if (monitor == NULL)
    return TRUE;
  if (!vs_merge_job_cancel (monitor, id, error))
    return FALSE;
  vs_merge_guest_tidy (run, merge);
  return TRUE;
}
