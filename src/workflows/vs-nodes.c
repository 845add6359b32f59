/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What QEMU says of its block nodes: all questions at once, for each costs a way through QEMU's main loop, which the
 * guest keeps busy. Threads of runs.
 */
#include "vs-nodes.h"

#include <string.h>

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-disk-chain.h"

struct _VsNodes
{
  JsonNode *reply; /* to query-named-block-nodes */
  GHashTable *active; /* target → node */
};

void
vs_nodes_free (VsNodes *self)
{
  g_clear_pointer (&self->reply, json_node_unref);
  g_hash_table_unref (self->active);
  g_free (self);
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

/* Nothing is kept when QEMU says that the guest has no such device, or that nothing is in it. Whoever hears nothing, for
 * it was cancelled, say, doesn't know. */
static gboolean
take_answer (VsNodes *self, const char *target, QmpCommand *command, GError **error)
{
  const char *node = command->value != NULL && JSON_NODE_HOLDS_VALUE (command->value)
                       ? json_node_get_string (command->value)
                       : NULL;

  if (command->value == NULL && !g_error_matches (command->error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR))
    {
      g_propagate_error (error, g_steal_pointer (&command->error));
      return FALSE;
    }
  if (node != NULL && *node != '\0')
    g_hash_table_replace (self->active, g_strdup (target), g_strdup (node));
  return TRUE;
}

/**
 * vs_nodes_ask:
 * @run: a run with a guest
 * @targets: (array zero-terminated=1): disks, of which to learn which node is behind them
 * @error: where to put an error
 *
 * Not by query-block: it repeats each backing chain, nested as deep as the chain is long.
 *
 * Returns: (transfer full) (nullable): the nodes as they are now
 */
VsNodes *
vs_nodes_ask (VsRun *run, const char *const *targets, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (GPtrArray) commands = g_ptr_array_new_with_free_func ((GDestroyNotify) command_free);
  g_autoptr (VsNodes) self = g_new0 (VsNodes, 1);
  QmpCommand *all;

  self->active = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (monitor == NULL)
    return NULL;
  all = add_command (commands, "query-named-block-nodes", qmp_args_new ("b:flat", TRUE, NULL));
  for (guint i = 0; targets[i] != NULL; i++)
    add_question (commands, targets[i]);
  qmp_client_call_all (monitor, (QmpCommand **) commands->pdata, commands->len, vs_run_get_cancellable (run));
  if (all->value == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&all->error));
      return NULL;
    }
  self->reply = g_steal_pointer (&all->value);
  for (guint i = 0; targets[i] != NULL; i++)
    if (!take_answer (self, targets[i], g_ptr_array_index (commands, i + 1), error))
      return NULL;
  return g_steal_pointer (&self);
}

/**
 * vs_nodes_get_active:
 * @self: nodes
 * @target: one of the disks that were asked for
 *
 * Returns: (transfer none) (nullable): the node behind the disk's device; %NULL when the guest has no such device, or
 *   nothing is in it
 */
const char *
vs_nodes_get_active (VsNodes *self, const char *target)
{
  return g_hash_table_lookup (self->active, target);
}

/**
 * vs_nodes_find:
 * @self: nodes
 * @name: (nullable): a node's name
 *
 * Returns: (transfer none) (nullable): what QEMU says of that node
 */
JsonObject *
vs_nodes_find (VsNodes *self, const char *name)
{
  JsonArray *nodes = qmp_json_node_get_array (self->reply);

  for (guint i = 0; name != NULL && nodes != NULL && i < json_array_get_length (nodes); i++)
    {
      JsonObject *node = qmp_json_array_get_object (nodes, i);

      if (g_strcmp0 (qmp_json_get_string (node, "node-name"), name) == 0)
        return node;
    }
  return NULL;
}

/**
 * vs_nodes_get_path:
 * @self: nodes
 * @name: (nullable): a node's name
 *
 * QEMU writes `json:{…}` where opening the plain path would give something else, as with an overlay whose header names
 * its backing file by a relative path.
 *
 * Returns: (transfer full) (nullable): the path of its file
 */
char *
vs_nodes_get_path (VsNodes *self, const char *name)
{
  const char *file = qmp_json_get_string (vs_nodes_find (self, name), "file");
  g_autoptr (JsonNode) root = NULL;
  const char *inner;

  if (file == NULL || !g_str_has_prefix (file, "json:"))
    return g_strdup (file);
  root = json_from_string (file + strlen ("json:"), NULL);
  inner = qmp_json_get_string (qmp_json_get_object (qmp_json_node_get_object (root), "file"), "filename");
  return g_strdup (inner != NULL ? inner : file);
}

/* Whether @name is one of those that vs_block_node_name() gives for @target. */
static gboolean
is_of (const char *name, const char *target)
{
  g_autofree char *first = vs_block_node_name (target, 0);
  gsize stem = strlen (first) - 1;

  return strncmp (name, first, stem) == 0 && name[stem] != '\0'
         && name[stem + strspn (name + stem, "0123456789")] == '\0';
}

static gboolean
is_same_file (const char *path, const char *id, const char *other)
{
  g_autofree char *other_id = NULL;

  if (g_strcmp0 (path, other) == 0)
    return TRUE;
  other_id = other != NULL && id != NULL ? vs_disk_file_id (other, NULL) : NULL;
  return other_id != NULL && g_str_equal (id, other_id);
}

/**
 * vs_nodes_find_file:
 * @self: nodes
 * @target: a disk
 * @path: a file
 *
 * Returns: (transfer full) (nullable): the node of one of the disk's files, its format's, by whatever path it was opened
 */
char *
vs_nodes_find_file (VsNodes *self, const char *target, const char *path)
{
  g_auto (GStrv) names = vs_nodes_list_names (self);
  g_autofree char *id = vs_disk_file_id (path, NULL);

  for (gsize i = 0; names[i] != NULL; i++)
    {
      g_autofree char *other = is_of (names[i], target) ? vs_nodes_get_path (self, names[i]) : NULL;

      if (is_same_file (path, id, other))
        return g_strdup (names[i]);
    }
  return NULL;
}

/**
 * vs_nodes_list_names:
 * @self: nodes
 *
 * Returns: (transfer full): the names of all nodes
 */
GStrv
vs_nodes_list_names (VsNodes *self)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  JsonArray *nodes = qmp_json_node_get_array (self->reply);

  for (guint i = 0; nodes != NULL && i < json_array_get_length (nodes); i++)
    {
      const char *name = qmp_json_get_string (qmp_json_array_get_object (nodes, i), "node-name");

      if (name != NULL)
        g_strv_builder_add (builder, name);
    }
  return g_strv_builder_end (builder);
}
