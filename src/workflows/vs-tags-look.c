/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Looking for tags in qcow2 files: what the guest's QEMU says of its active nodes, or qemu-img of a file. Threads of
 * runs.
 */
#include <string.h>

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-image-tool.h"
#include "vs-steps.h"
#include "vs-tags.h"

/* In the fact of the disks, beside target and path */
#define NODE "node"

static void
tag_state_free (VsTagState *state)
{
  g_free (state->target);
  g_free (state->node);
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

/* The path of a node's file. QEMU writes `json:{…}` where opening the plain path would give something else, as with an
 * overlay whose header names its backing file by a relative path. */
static char *
node_path (JsonObject *node)
{
  const char *name = qmp_json_get_string (node, "file");
  g_autoptr (JsonNode) root = NULL;
  const char *inner;

  if (name == NULL || !g_str_has_prefix (name, "json:"))
    return g_strdup (name);
  root = json_from_string (name + strlen ("json:"), NULL);
  inner = qmp_json_get_string (qmp_json_get_object (qmp_json_node_get_object (root), "file"), "filename");
  return g_strdup (inner != NULL ? inner : name);
}

static void
command_free (QmpCommand *command)
{
  qmp_command_clear (command);
  g_free (command);
}

static QmpCommand *
add_command (GPtrArray *commands, const char *name, JsonObject *arguments)
{
  QmpCommand *command = g_new0 (QmpCommand, 1);

  command->command = name;
  command->arguments = arguments;
  g_ptr_array_add (commands, command);
  return command;
}

/* Asks which node is behind a device. */
static void
add_question (GPtrArray *commands, const char *target)
{
  g_autofree char *id = vs_block_device_id (target);
  g_autofree char *path = g_strconcat ("/machine/peripheral/", id, NULL);

  add_command (commands, "qom-get", qmp_args_new ("s:path", path, "s:property", "drive", NULL));
}

/* NULL when the guest has no such device, or nothing is in it. */
static const char *
read_answer (const QmpCommand *command)
{
  const char *node = command->value != NULL && JSON_NODE_HOLDS_VALUE (command->value)
                       ? json_node_get_string (command->value)
                       : NULL;

  return node != NULL && *node != '\0' ? node : NULL;
}

static JsonObject *
find_node (JsonArray *nodes, const char *name)
{
  for (guint i = 0; nodes != NULL && i < json_array_get_length (nodes); i++)
    {
      JsonObject *node = qmp_json_array_get_object (nodes, i);

      if (g_strcmp0 (qmp_json_get_string (node, "node-name"), name) == 0)
        return node;
    }
  return NULL;
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
read_state (VsTagState *state, JsonArray *nodes, const char *name, const char *tag)
{
  JsonObject *node = name != NULL ? find_node (nodes, name) : NULL;
  g_autofree char *path = node != NULL ? node_path (node) : NULL;

  if (g_strcmp0 (path, state->path) != 0)
    return;
  state->node = g_strdup (name);
  read_tags (node, tag, state);
}

/* All questions at once, for each costs a way through QEMU's main loop, which the guest keeps busy. Not by query-block: it
 * repeats each backing chain, nested as deep as the chain is long. */
static gboolean
look_online (VsRun *run, QmpClient *monitor, const char *tag, GPtrArray *states, GError **error)
{
  g_autoptr (GPtrArray) known = vs_tags_list_known (run);
  g_autoptr (GPtrArray) commands = g_ptr_array_new_with_free_func ((GDestroyNotify) command_free);
  QmpCommand *all = add_command (commands, "query-named-block-nodes", qmp_args_new ("b:flat", TRUE, NULL));
  JsonArray *nodes;

  for (guint i = 0; known == NULL && i < states->len; i++)
    add_question (commands, ((VsTagState *) g_ptr_array_index (states, i))->target);
  qmp_client_call_all (monitor, (QmpCommand **) commands->pdata, commands->len, vs_run_get_cancellable (run));
  if (all->value == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&all->error));
      return FALSE;
    }
  nodes = qmp_json_node_get_array (all->value);
  for (guint i = 0; i < states->len; i++)
    read_state (g_ptr_array_index (states, i), nodes,
                known != NULL ? ((VsTagState *) g_ptr_array_index (known, i))->node
                              : read_answer (g_ptr_array_index (commands, i + 1)),
                tag);
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

  if (monitor != NULL && !look_online (run, monitor, tag, states, error))
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
