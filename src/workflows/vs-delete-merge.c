/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The merges of a deletion, one after the other, as they were planned: those that may be given up before the records go,
 * those that mustn't after it. One that fails then leaves its file where it is, for the next deletion to try again.
 * Threads of runs.
 */
#include "vmsnap-error.h"
#include "vs-delete-plan.h"
#include "vs-delete.h"
#include "vs-merge.h"
#include "vs-redirect.h"
#include "vs-warning.h"

/* In a merge: it was tried, and the file is left */
#define FAILED "failed"

static const char *
get (JsonObject *merge, const char *member)
{
  return json_object_get_string_member (merge, member);
}

static gboolean
has (JsonObject *merge, const char *member)
{
  return json_object_get_boolean_member_with_default (merge, member, FALSE);
}

static gboolean
is_stream (JsonObject *merge)
{
  return g_str_equal (get (merge, VS_MERGE_WAY), VS_MERGE_WORD_STREAM);
}

/* Those of one part. */
static GPtrArray *
list_merges (VsRun *run, gboolean late)
{
  JsonArray *items = vs_delete_list (run, VS_DELETE_MERGES);
  GPtrArray *merges = g_ptr_array_new ();

  for (guint i = 0; items != NULL && i < json_array_get_length (items); i++)
    {
      JsonObject *merge = json_array_get_object_element (items, i);

      if (has (merge, "late") == late)
        g_ptr_array_add (merges, merge);
    }
  return merges;
}

/* So that each knows how far the step has come when it begins. */
static void
share_progress (GPtrArray *merges)
{
  gint64 before = 0;
  gint64 total = 0;

  for (guint i = 0; i < merges->len; i++)
    total += json_object_get_int_member (g_ptr_array_index (merges, i), VS_MERGE_BYTES);
  for (guint i = 0; i < merges->len; i++)
    {
      JsonObject *merge = g_ptr_array_index (merges, i);

      json_object_set_int_member (merge, VS_MERGE_BYTES_BEFORE, before);
      json_object_set_int_member (merge, VS_MERGE_BYTES_TOTAL, total);
      before += json_object_get_int_member (merge, VS_MERGE_BYTES);
    }
}

static gboolean
has_any (VsRun *run, gboolean late)
{
  g_autoptr (GPtrArray) merges = list_merges (run, late);

  return merges->len > 0;
}

gboolean
vs_delete_has_streams (VsRun *run)
{
  return has_any (run, FALSE);
}

gboolean
vs_delete_has_commits (VsRun *run)
{
  return has_any (run, TRUE) || json_array_get_length (vs_delete_list (run, VS_DELETE_LEAVES)) > 0
         || json_array_get_length (vs_delete_list (run, VS_DELETE_FORGET)) > 0;
}

/**
 * vs_delete_stream:
 * @run: a run before its point of no return
 * @error: where to put an error
 *
 * The snapshots stay whole meanwhile: their files are only read.
 *
 * Returns: whether all streams have ended well
 */
gboolean
vs_delete_stream (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) merges = list_merges (run, FALSE);

  share_progress (merges);
  for (guint i = 0; i < merges->len; i++)
    {
      JsonObject *merge = g_ptr_array_index (merges, i);

      if (!has (merge, VS_MERGE_DONE) && !vs_merge_run (run, merge, NULL, error))
        return FALSE;
    }
  return vs_redirect_refresh (run, error);
}

/* What was streamed so far is where it was, too: the chains have only become shorter. */
gboolean
vs_delete_unstream (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) merges = list_merges (run, FALSE);

  for (guint i = 0; i < merges->len; i++)
    if (!vs_merge_give_up (run, g_ptr_array_index (merges, i), error))
      return FALSE;
  return vs_redirect_refresh (run, error);
}

/* While the guest stands still, if it wrote to the upper file: not more than must be. */
static gboolean
adopt (VsRun *run, JsonObject *merge, GError **error)
{
  return is_stream (merge)
         || vs_redirect_definitions (run, get (merge, VS_MERGE_UPPER), get (merge, VS_MERGE_LOWER),
                                     get (merge, VS_MERGE_LOWER_FORMAT), error);
}

static gboolean
finish_stream (VsRun *run, JsonObject *merge, GError **error)
{
  return vs_redirect_snapshots (run, get (merge, VS_MERGE_LOWER), get (merge, VS_MERGE_UPPER), "qcow2", error)
         && vs_delete_remove_file (run, get (merge, VS_MERGE_LOWER), error);
}

/* Nothing names the upper file before it goes. */
static gboolean
finish_commit (VsRun *run, JsonObject *merge, GError **error)
{
  const char *lower = get (merge, VS_MERGE_LOWER);

  return adopt (run, merge, error)
         && vs_redirect_snapshots (run, get (merge, VS_MERGE_UPPER), lower, get (merge, VS_MERGE_LOWER_FORMAT), error)
         && (!has (merge, "named") || vs_delete_unmark (run, lower, has (merge, "lower-ours"), error))
         && vs_delete_remove_file (run, get (merge, VS_MERGE_UPPER), error);
}

/* What follows once the data are in one file. */
static gboolean
finish (VsRun *run, JsonObject *merge, GError **error)
{
  if (!(is_stream (merge) ? finish_stream (run, merge, error) : finish_commit (run, merge, error)))
    return FALSE;
  json_object_set_boolean_member (merge, VS_DELETE_FINISHED, TRUE);
  return vs_run_write_journal (run, error);
}

/* It was planned for what the one that failed would have left. */
static gboolean
is_spoilt (GPtrArray *merges, guint index)
{
  JsonObject *merge = g_ptr_array_index (merges, index);

  for (guint i = 0; i < index; i++)
    {
      JsonObject *before = g_ptr_array_index (merges, i);

      if (has (before, FAILED)
          && (g_str_equal (get (before, VS_MERGE_LOWER), get (merge, VS_MERGE_LOWER))
              || g_str_equal (get (before, VS_MERGE_UPPER), get (merge, VS_MERGE_LOWER))
              || g_str_equal (get (before, VS_MERGE_LOWER), get (merge, VS_MERGE_UPPER))
              || g_str_equal (get (before, VS_MERGE_UPPER), get (merge, VS_MERGE_UPPER))))
        return TRUE;
    }
  return FALSE;
}

/* The file stays, left; nothing is lost by that. */
static void
give_up (VsRun *run, JsonObject *merge, const char *why)
{
  vs_warning_add (run, "%s and %s could not be merged, and are left as they are; the next deletion tries again: %s",
                  get (merge, VS_MERGE_LOWER), get (merge, VS_MERGE_UPPER), why);
  json_object_set_boolean_member (merge, FAILED, TRUE);
}

/* When the guest has ended, it is done once more without it. */
static gboolean
merge_late (VsRun *run, JsonObject *merge, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (vs_merge_run (run, merge, adopt, &local))
    return finish (run, merge, error);
  if (has (merge, VS_MERGE_DONE) || g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  give_up (run, merge, local->message);
  return vs_run_write_journal (run, error);
}

static gboolean
finish_streams (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) merges = list_merges (run, FALSE);

  for (guint i = 0; i < merges->len; i++)
    if (!has (g_ptr_array_index (merges, i), VS_DELETE_FINISHED)
        && !finish (run, g_ptr_array_index (merges, i), error))
      return FALSE;
  return TRUE;
}

/**
 * vs_delete_commit:
 * @run: a run past its point of no return, and whose records are gone
 * @error: where to put an error
 *
 * Returns: whether all is merged and removed that can be
 */
gboolean
vs_delete_commit (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) merges = list_merges (run, TRUE);

  share_progress (merges);
  if (!finish_streams (run, error) || !vs_delete_remove_leaves (run, error))
    return FALSE;
  for (guint i = 0; i < merges->len; i++)
    {
      JsonObject *merge = g_ptr_array_index (merges, i);

      if (has (merge, VS_DELETE_FINISHED) || has (merge, FAILED))
        continue;
      if (is_spoilt (merges, i))
        give_up (run, merge, "an earlier one failed");
      else if (!merge_late (run, merge, error))
        return FALSE;
    }
  return merges->len == 0 || vs_redirect_refresh (run, error);
}
