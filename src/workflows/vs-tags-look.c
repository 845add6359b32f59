/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Looking for tags in qcow2 files: what the guest's QEMU says of its active nodes, or qemu-img of a file. Threads of
 * runs.
 */
#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-image-tool.h"
#include "vs-nodes.h"
#include "vs-steps.h"
#include "vs-tags.h"

/* In the fact of the disks, beside target and path */
#define NODE "node"

static void
tag_state_free (VsTagState *state)
{
  g_free (state->target);
  g_free (state->node);
  g_free (state->reader);
  g_free (state->path);
  g_free (state);
}

/* The disks that count now, not looked at yet. */
GPtrArray *
vs_tags_list (VsRun *run)
{
  JsonArray *disks = json_object_get_array_member (vs_run_get_facts (run), VS_TAGS_FACT_DISKS);
  GPtrArray *states = g_ptr_array_new_with_free_func ((GDestroyNotify) tag_state_free);

  for (guint i = 0; disks != NULL && i < json_array_get_length (disks); i++)
    {
      JsonObject *item = json_array_get_object_element (disks, i);
      VsTagState *state = g_new0 (VsTagState, 1);

      state->target = g_strdup (json_object_get_string_member (item, "target"));
      state->path = g_strdup (json_object_get_string_member (item, "path"));
      g_ptr_array_add (states, state);
    }
  return states;
}

const VsTagState *
vs_tags_get_vmstate (VsRun *run, GPtrArray *states)
{
  const char *target = vs_run_get_string (run, VS_TAGS_FACT_VMSTATE);

  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (g_strcmp0 (state->target, target) == 0)
        return state;
    }
  return NULL;
}

/* The tags in a node. */
static void
read_tags (JsonObject *node, const char *tag, VsTagState *state)
{
  JsonArray *snapshots = qmp_json_get_array (qmp_json_get_object (node, "image"), "snapshots");

  for (guint i = 0; snapshots != NULL && i < json_array_get_length (snapshots); i++)
    {
      JsonObject *snapshot = qmp_json_array_get_object (snapshots, i);
      gint64 size = 0;

      if (g_strcmp0 (qmp_json_get_string (snapshot, "name"), tag) != 0)
        continue;
      state->present = TRUE;
      qmp_json_get_int (snapshot, "vm-state-size", &size);
      state->vm_state_size = size;
    }
}

/* The nodes as they were remembered in this life of the service, unless one isn't. NULL then. */
GPtrArray *
vs_tags_list_known (VsRun *run)
{
  JsonArray *disks = json_object_get_array_member (vs_run_get_facts (run), VS_TAGS_FACT_DISKS);
  g_autoptr (GPtrArray) states = vs_tags_list (run);

  for (guint i = 0; i < states->len; i++)
    {
      VsTagState *state = g_ptr_array_index (states, i);

      state->node = g_strdup (json_object_get_string_member_with_default (json_array_get_object_element (disks, i), NODE,
                                                                          NULL));
      if (state->node == NULL)
        return NULL;
    }
  return vs_run_is_recovery (run) ? NULL : g_steal_pointer (&states);
}

/* A disk that the guest doesn't have, or has with another file in it, is looked at as a file. */
static void
read_state (VsTagState *state, VsNodes *nodes, const char *name, const char *tag)
{
  g_autofree char *path = vs_nodes_get_path (nodes, name);

  if (g_strcmp0 (path, state->path) != 0)
    {
      state->reader = vs_nodes_find_file (nodes, state->target, state->path);
      return;
    }
  state->node = g_strdup (name);
  read_tags (vs_nodes_find (nodes, name), tag, state);
}

static gboolean
look_online (VsRun *run, const char *tag, GPtrArray *states, GError **error)
{
  g_autoptr (GPtrArray) known = vs_tags_list_known (run);
  g_autoptr (GStrvBuilder) targets = g_strv_builder_new ();
  g_auto (GStrv) questions = NULL;
  g_autoptr (VsNodes) nodes = NULL;

  for (guint i = 0; known == NULL && i < states->len; i++)
    g_strv_builder_add (targets, ((VsTagState *) g_ptr_array_index (states, i))->target);
  questions = g_strv_builder_end (targets);
  nodes = vs_nodes_ask (run, (const char *const *) questions, error);
  if (nodes == NULL)
    return FALSE;
  for (guint i = 0; i < states->len; i++)
    {
      VsTagState *state = g_ptr_array_index (states, i);

      read_state (state, nodes,
                  known != NULL ? ((VsTagState *) g_ptr_array_index (known, i))->node
                                : vs_nodes_get_active (nodes, state->target),
                  tag);
    }
  return TRUE;
}

static gboolean
look_offline (VsRun *run, const char *tag, VsTagState *state, GError **error)
{
  g_autofree char *tool = vs_steps_image_tool (run, error);
  g_autoptr (VsImageInfo) info =
    tool != NULL ? vs_image_info (tool, state->path, "qcow2", vs_run_get_cancellable (run), error) : NULL;
  const VsImageSnapshot *found;

  if (info == NULL)
    return FALSE;
  found = vs_image_info_find_snapshot (info, tag);
  state->present = found != NULL;
  state->vm_state_size = found != NULL ? found->vm_state_size : 0;
  return TRUE;
}

/**
 * vs_tags_look:
 * @run: a run with the fact of its disks
 * @tag: a tag
 * @error: where to put an error
 *
 * Returns: (transfer full) (element-type VsTagState) (nullable): each disk, and whether it has @tag
 */
GPtrArray *
vs_tags_look (VsRun *run, const char *tag, GError **error)
{
  g_autoptr (GPtrArray) states = vs_tags_list (run);
  QmpClient *monitor = vs_run_get_monitor (run, NULL);

  if (monitor != NULL && !look_online (run, tag, states, error))
    return NULL;
  for (guint i = 0; i < states->len; i++)
    {
      VsTagState *state = g_ptr_array_index (states, i);

      if (state->node == NULL && !look_offline (run, tag, state, error))
        return NULL;
    }
  return g_steal_pointer (&states);
}

/* Every disk has it, and where there is memory, that is there too. QEMU itself would make do with less. */
gboolean
vs_tags_check_complete (VsRun *run, GPtrArray *states, const char *tag, GError **error)
{
  g_autoptr (GString) missing = g_string_new (NULL);

  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (!state->present)
        g_string_append_printf (missing, "%s%s (%s)", missing->len > 0 ? ", " : "", state->target, state->path);
    }
  if (missing->len == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
               "The internal snapshot %s is missing in: %s; somebody removed it there, or the file was replaced. Delete "
               "the snapshot with metadata-only to forget it",
               tag, missing->str);
  return FALSE;
}

/* Whether the guest has all of them. */
gboolean
vs_tags_check_nodes (GPtrArray *states, GError **error)
{
  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (state->node != NULL)
        continue;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "The guest doesn't have disk %s with %s in it",
                   state->target, state->path);
      return FALSE;
    }
  return TRUE;
}

/* Remembers the nodes that @states found for the steps that follow, so that these needn't ask while the guest stands
 * still. */
void
vs_tags_keep_nodes (VsRun *run, GPtrArray *states)
{
  JsonArray *disks = json_object_get_array_member (vs_run_get_facts (run), VS_TAGS_FACT_DISKS);

  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (state->node != NULL)
        json_object_set_string_member (json_array_get_object_element (disks, i), NODE, state->node);
    }
}

/* All disks with their nodes, as they were remembered in this life of the service, else as QEMU says. */
GPtrArray *
vs_tags_find_nodes (VsRun *run, const char *tag, GError **error)
{
  g_autoptr (GPtrArray) states = vs_tags_list_known (run);

  if (states == NULL)
    states = vs_tags_look (run, tag, error);
  return states != NULL && vs_tags_check_nodes (states, error) ? g_steal_pointer (&states) : NULL;
}
