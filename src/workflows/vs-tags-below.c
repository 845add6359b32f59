/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Deleting a tag from a file that a running guest has below its active one. Nobody else may write there, and QEMU deletes
 * tags only where it writes: so the node is opened for writing for as long as that takes. What the guest sees of the file
 * doesn't change by it. Threads of runs.
 */
#include <string.h>

#include "qmp-job.h"
#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-merge-private.h"
#include "vs-nodes.h"
#include "vs-steps.h"
#include "vs-tags.h"

/* What is below the file, by its header. */
static gboolean
find_backing_node (VsNodes *nodes, const VsTagState *state, char **backing, GError **error)
{
  g_autofree char *path = NULL;

  *backing = NULL;
  if (!vs_merge_read_backing (state->path, &path, error))
    return FALSE;
  if (path == NULL)
    return TRUE;
  *backing = vs_nodes_find_file (nodes, state->target, path);
  if (*backing == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "The guest doesn't have %s in disk %s", path,
                 state->target);
  return *backing != NULL;
}

/* QEMU wants to hear all options again; what isn't told gets its default. */
static gboolean
reopen (VsRun *run, const VsTagState *state, const char *backing, gboolean writable, GError **error)
{
  const VsDiskDef *disk = vs_domain_def_find_disk (vs_run_get_def (run), state->target);
  g_autofree char *storage = g_strconcat (state->reader, "-file", NULL);
  JsonArray *options;
  JsonObject *node;

  if (disk == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "The guest has no disk %s any more", state->target);
      return FALSE;
    }
  options = json_array_new ();
  node = vs_block_format_node (disk, state->reader, storage, "qcow2", FALSE, backing);
  json_object_set_boolean_member (node, "read-only", !writable);
  json_array_add_object_element (options, node);
  return vs_steps_call (run, "blockdev-reopen", qmp_args_new ("a:options", options, NULL), error);
}

static gboolean
run_job (VsRun *run, const VsTagState *state, const char *tag, GError **error)
{
  const char *const nodes[] = { state->reader, NULL };
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autofree char *job_id = vs_steps_job_id (run, "delete");

  return monitor != NULL
         && qmp_job_run (monitor, "snapshot-delete",
                         qmp_args_new ("s:job-id", job_id, "s:tag", tag, "S:devices", nodes, NULL), job_id, NULL, NULL,
                         NULL, error);
}

/**
 * vs_tags_delete_below:
 * @run: a run with a guest
 * @state: a disk whose file is in the guest's chain, below the active one
 * @tag: a tag in it
 * @error: %VMSNAP_ERROR_BUSY when somebody else has the file, too, …
 *
 * May be done again. A guest that dies meanwhile leaves the file as it was, or without the tag.
 *
 * Returns: whether the tag is gone
 */
gboolean
vs_tags_delete_below (VsRun *run, const VsTagState *state, const char *tag, GError **error)
{
  static const char *const none[] = { NULL };
  g_autoptr (VsNodes) nodes = vs_nodes_ask (run, none, error);
  g_autofree char *backing = NULL;
  g_autoptr (GError) local = NULL;
  gboolean reads_only;
  gboolean ok;

  if (nodes == NULL || !find_backing_node (nodes, state, &backing, error))
    return FALSE;
  /* One that was active in this QEMU's life may still be open for writing. */
  reads_only = qmp_json_get_boolean (vs_nodes_find (nodes, state->reader), "ro", TRUE);
  ok = (!reads_only || reopen (run, state, backing, TRUE, &local)) && run_job (run, state, tag, &local);
  if (reads_only && !reopen (run, state, backing, FALSE, ok ? &local : NULL))
    g_message ("%s stays open for writing in QEMU: %s", state->path, ok ? local->message : "");
  if (ok)
    return TRUE;
  if (strstr (local->message, "Failed to get \"") != NULL)
    local->code = VMSNAP_ERROR_BUSY;
  g_propagate_prefixed_error (error, g_steal_pointer (&local), "The tag %s in %s, which is below disk %s, can't be removed: ",
                              tag, state->path, state->target);
  return FALSE;
}
