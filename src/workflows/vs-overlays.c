/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Overlays from the first look until they are ready to be switched to, and their removal: the files are in
 * vs-overlay-files.c, the guest's block nodes for them here. Threads of runs.
 */
#include "vs-overlays.h"

#include <string.h>
#include <sys/stat.h>

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-nodes.h"
#include "vs-steps.h"

#define SECTOR 512

static JsonArray *
get_all (VsRun *run)
{
  JsonObject *facts = vs_run_get_facts (run);

  return json_object_has_member (facts, VS_OVERLAYS_FACT) ? json_object_get_array_member (facts, VS_OVERLAYS_FACT) : NULL;
}

guint
vs_overlays_count (VsRun *run)
{
  JsonArray *all = get_all (run);

  return all != NULL ? json_array_get_length (all) : 0;
}

JsonObject *
vs_overlays_get (VsRun *run, guint index)
{
  return json_array_get_object_element (get_all (run), index);
}

/* NULL: not known, or not so. */
const char *
vs_overlay_get (JsonObject *overlay, const char *member)
{
  return json_object_get_string_member_with_default (overlay, member, NULL);
}

gboolean
vs_overlay_has (JsonObject *overlay, const char *member)
{
  return json_object_get_boolean_member_with_default (overlay, member, FALSE);
}

GStrv
vs_overlays_list_targets (VsRun *run)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (guint i = 0; i < vs_overlays_count (run); i++)
    g_strv_builder_add (builder, vs_overlay_get (vs_overlays_get (run, i), VS_OVERLAY_TARGET));
  return g_strv_builder_end (builder);
}

/* What the guest sees of a file whose size isn't a whole number of sectors is rounded up. */
static void
set_size (JsonObject *overlay, guint64 size)
{
  json_object_set_int_member (overlay, VS_OVERLAY_SIZE, (gint64) ((size + SECTOR - 1) / SECTOR * SECTOR));
}

static gboolean
look_at_node (JsonObject *overlay, VsNodes *nodes, const char *const *names, GError **error)
{
  const char *target = vs_overlay_get (overlay, VS_OVERLAY_TARGET);
  const char *base_path = vs_overlay_get (overlay, VS_OVERLAY_BASE_PATH);
  const char *node = vs_nodes_get_active (nodes, target);
  g_autofree char *path = vs_nodes_get_path (nodes, node);
  g_autofree char *next = vs_block_next_node_name (target, names);
  gint64 size = 0;

  if (g_strcmp0 (path, base_path) != 0
      || !qmp_json_get_int (qmp_json_get_object (vs_nodes_find (nodes, node), "image"), "virtual-size", &size))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "The guest doesn't have disk %s with %s in it", target,
                   base_path);
      return FALSE;
    }
  set_size (overlay, size);
  json_object_set_string_member (overlay, VS_OVERLAY_BASE_NODE, node);
  json_object_set_string_member (overlay, VS_OVERLAY_NODE, next);
  return TRUE;
}

static gboolean
look_at_nodes (VsRun *run, GError **error)
{
  g_auto (GStrv) targets = vs_overlays_list_targets (run);
  g_autoptr (VsNodes) nodes = vs_nodes_ask (run, (const char *const *) targets, error);
  g_auto (GStrv) names = nodes != NULL ? vs_nodes_list_names (nodes) : NULL;

  if (nodes == NULL)
    return FALSE;
  for (guint i = 0; i < vs_overlays_count (run); i++)
    if (!look_at_node (vs_overlays_get (run, i), nodes, (const char *const *) names, error))
      return FALSE;
  return TRUE;
}

static gboolean
look_at_files (VsRun *run, GError **error)
{
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (vs_run_get_def (run), vs_overlay_get (overlay, VS_OVERLAY_TARGET));
      g_autoptr (VsDiskChain) chain = vs_disk_chain_probe (disk, vs_run_get_cancellable (run), error);

      if (chain == NULL)
        return FALSE;
      set_size (overlay, vs_disk_chain_get_active (chain)->virtual_size);
    }
  return TRUE;
}

/**
 * vs_overlays_look:
 * @run: a run with the overlays chosen
 * @error: where to put %VMSNAP_ERROR_ALREADY_EXISTS, %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_NOT_FOUND, …
 *
 * Looks at the disks, and at the places where the overlays are to be. Changes nothing.
 *
 * Returns: whether they can be made there
 */
gboolean
vs_overlays_look (VsRun *run, GError **error)
{
  gboolean ok = vs_run_get_guest (run) != NULL ? look_at_nodes (run, error) : look_at_files (run, error);

  return ok && vs_overlay_files_check (run, error);
}

static char *
storage_name (JsonObject *overlay)
{
  return g_strconcat (vs_overlay_get (overlay, VS_OVERLAY_NODE), "-file", NULL);
}

static gboolean
add_nodes (VsRun *run, JsonObject *overlay, GError **error)
{
  const VsDiskDef *disk = vs_domain_def_find_disk (vs_run_get_def (run), vs_overlay_get (overlay, VS_OVERLAY_TARGET));
  const char *path = vs_overlay_get (overlay, VS_OVERLAY_PATH);
  g_autofree char *storage = storage_name (overlay);
  struct stat st;
  gboolean is_block = stat (path, &st) == 0 && S_ISBLK (st.st_mode);

  return vs_steps_call (run, "blockdev-add", vs_block_storage_node (disk, storage, path, is_block), error)
         && vs_steps_call (run, "blockdev-add",
                           vs_block_format_node (disk, vs_overlay_get (overlay, VS_OVERLAY_NODE), storage, "qcow2", TRUE,
                                                 NULL),
                           error);
}

/**
 * vs_overlays_prepare:
 * @run: a run that has looked
 * @error: where to put %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_ALREADY_EXISTS, …
 *
 * Makes the overlays, and opens them in the guest, if there is one, with nothing below them yet.
 *
 * Returns: whether they are ready to be switched to
 */
gboolean
vs_overlays_prepare (VsRun *run, GError **error)
{
  if (!vs_overlay_files_make (run, error))
    return FALSE;
  for (guint i = 0; vs_run_get_guest (run) != NULL && i < vs_overlays_count (run); i++)
    if (!add_nodes (run, vs_overlays_get (run, i), error))
      return FALSE;
  return TRUE;
}

static gboolean
remove_node (VsRun *run, VsNodes *nodes, const char *name, GError **error)
{
  return vs_nodes_find (nodes, name) == NULL
         || vs_steps_call (run, "blockdev-del", qmp_args_new ("s:node-name", name, NULL), error);
}

static gboolean
remove_nodes (VsRun *run, GError **error)
{
  static const char *const none[] = { NULL };
  g_autoptr (VsNodes) nodes = vs_nodes_ask (run, none, error);

  if (nodes == NULL)
    return FALSE;
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);
      g_autofree char *storage = NULL;

      if (vs_overlay_get (overlay, VS_OVERLAY_NODE) == NULL)
        continue;
      storage = storage_name (overlay);
      if (!remove_node (run, nodes, vs_overlay_get (overlay, VS_OVERLAY_NODE), error)
          || !remove_node (run, nodes, storage, error))
        return FALSE;
    }
  return TRUE;
}

/**
 * vs_overlays_remove:
 * @run: a run whose disks don't use the overlays, or no more
 * @error: where to put an error
 *
 * Undo of vs_overlays_prepare(): closes them in the guest, if that still lives, and removes the files that we made.
 * Whatever of it is done already stays done.
 *
 * Returns: whether nothing is left of them
 */
gboolean
vs_overlays_remove (VsRun *run, GError **error)
{
  if (vs_overlays_count (run) == 0)
    return TRUE;
  if (vs_run_get_monitor (run, NULL) != NULL && !remove_nodes (run, error))
    return FALSE;
  return vs_overlay_files_remove (run, error);
}
