/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Internal snapshots: tags in qcow2 files. QEMU accepts half a set of disks and a missing tag in silence, so what is
 * there is looked at before and after. Threads of runs, but for vs_tags_choose_disks().
 */
#include "vs-tags.h"

#include <string.h>

#include "qmp-job.h"
#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-image-tool.h"
#include "vs-steps.h"

static void
tag_state_free (VsTagState *state)
{
  g_free (state->target);
  g_free (state->node);
  g_free (state->path);
  g_free (state);
}

static void
add_disk (JsonArray *disks, const VsDiskDef *disk)
{
  JsonObject *item = json_object_new ();

  json_object_set_string_member (item, "target", disk->target);
  json_object_set_string_member (item, "path", disk->path);
  json_array_add_object_element (disks, item);
}

gboolean
vs_tags_choose_disks (VsDomainDef *def, JsonObject *facts, GError **error)
{
  g_autoptr (JsonArray) disks = json_array_new ();
  const char *first = NULL;

  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);

      if (disk->readonly || disk->is_cdrom || disk->path == NULL)
        continue;
      if (!g_str_equal (disk->format, "qcow2"))
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                       "Disk %s of %s (%s) is %s, which can't hold internal snapshots, and leaving it out would mix two "
                       "instants; convert it (qemu-img convert -O qcow2), mark it <readonly/>, or take an external "
                       "snapshot",
                       disk->target, def->name, disk->path, disk->format);
          return FALSE;
        }
      if (first == NULL)
        first = disk->target;
      add_disk (disks, disk);
    }
  if (first == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "%s has no writable qcow2 disk that could hold an internal snapshot", def->name);
      return FALSE;
    }
  json_object_set_string_member (facts, VS_TAGS_FACT_VMSTATE, first);
  json_object_set_array_member (facts, VS_TAGS_FACT_DISKS, g_steal_pointer (&disks));
  return TRUE;
}

/* Main thread. */
JsonArray *
vs_tags_list_disks (VsSnapshotDef *snapshot)
{
  JsonArray *disks = json_array_new ();

  for (guint i = 0; i < snapshot->disks->len; i++)
    {
      const VsSnapshotDiskDef *part = g_ptr_array_index (snapshot->disks, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (snapshot->domain, part->target);

      if (part->snapshot == VMSNAP_LOCATION_INTERNAL && disk != NULL && disk->path != NULL)
        add_disk (disks, disk);
    }
  return disks;
}

static const char *const set_names[] = { [VS_TAGS_SNAPSHOT] = "snapshot-set", [VS_TAGS_PRESENT] = "present-set" };

/* Keeps the disks and the one for the memory that are in @facts now under the name of a set. */
void
vs_tags_store_set (JsonObject *facts, VsTagsSet set)
{
  JsonObject *kept = json_object_new ();

  json_object_set_member (kept, VS_TAGS_FACT_DISKS, json_node_copy (json_object_get_member (facts, VS_TAGS_FACT_DISKS)));
  if (json_object_has_member (facts, VS_TAGS_FACT_VMSTATE))
    json_object_set_member (kept, VS_TAGS_FACT_VMSTATE,
                            json_node_copy (json_object_get_member (facts, VS_TAGS_FACT_VMSTATE)));
  json_object_set_object_member (facts, set_names[set], kept);
}

/* From here on the functions below speak of that set. */
void
vs_tags_aim (VsRun *run, VsTagsSet set)
{
  JsonObject *facts = vs_run_get_facts (run);
  JsonObject *kept = json_object_get_object_member (facts, set_names[set]);

  json_object_set_member (facts, VS_TAGS_FACT_DISKS, json_node_copy (json_object_get_member (kept, VS_TAGS_FACT_DISKS)));
  if (json_object_has_member (kept, VS_TAGS_FACT_VMSTATE))
    json_object_set_member (facts, VS_TAGS_FACT_VMSTATE,
                            json_node_copy (json_object_get_member (kept, VS_TAGS_FACT_VMSTATE)));
  else
    json_object_remove_member (facts, VS_TAGS_FACT_VMSTATE);
}

static GPtrArray *
list_disks (VsRun *run)
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

/* What QEMU says of one drive: its active node, and the tags in it. */
static void
read_inserted (JsonObject *inserted, const char *tag, VsTagState *state)
{
  JsonObject *image = json_object_get_object_member (inserted, "image");
  JsonArray *snapshots = image != NULL && json_object_has_member (image, "snapshots")
                           ? json_object_get_array_member (image, "snapshots")
                           : NULL;

  state->node = g_strdup (json_object_get_string_member_with_default (inserted, "node-name", NULL));
  for (guint i = 0; snapshots != NULL && i < json_array_get_length (snapshots); i++)
    {
      JsonObject *snapshot = json_array_get_object_element (snapshots, i);

      if (g_strcmp0 (json_object_get_string_member_with_default (snapshot, "name", NULL), tag) != 0)
        continue;
      state->present = TRUE;
      state->vm_state_size = json_object_get_int_member_with_default (snapshot, "vm-state-size", 0);
    }
}

/* query-block gives a device's id, or its path in the object tree where the drive hangs on a part of it. */
static gboolean
is_device (JsonObject *drive, const char *id)
{
  const char *qdev = json_object_get_string_member_with_default (drive, "qdev", "");
  g_auto (GStrv) parts = g_strsplit (qdev, "/", -1);

  return g_strv_contains ((const char *const *) parts, id);
}

/* The path of a drive's active file. QEMU writes `json:{…}` where opening the plain path would give something else, as
 * with an overlay whose header names its backing file by a relative path. */
static char *
inserted_path (JsonObject *inserted)
{
  const char *name = json_object_get_string_member_with_default (inserted, "file", "");
  g_autoptr (JsonNode) root = g_str_has_prefix (name, "json:") ? json_from_string (name + strlen ("json:"), NULL) : NULL;
  JsonNode *file;

  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return g_strdup (name);
  file = json_object_get_member (json_node_get_object (root), "file");
  if (file == NULL || !JSON_NODE_HOLDS_OBJECT (file))
    return g_strdup (name);
  return g_strdup (json_object_get_string_member_with_default (json_node_get_object (file), "filename", ""));
}

static gboolean
has_file (JsonObject *inserted, const char *path)
{
  g_autofree char *inside = inserted_path (inserted);

  return g_str_equal (inside, path);
}

/* A disk that the guest doesn't have, or has with another file in it, is looked at as a file. */
static gboolean
look_online (QmpClient *monitor, const char *tag, GPtrArray *states, GError **error)
{
  g_autoptr (JsonNode) reply = qmp_client_call (monitor, "query-block", NULL, NULL, error);
  JsonArray *drives;

  if (reply == NULL)
    return FALSE;
  drives = json_node_get_array (reply);
  for (guint i = 0; i < states->len; i++)
    {
      VsTagState *state = g_ptr_array_index (states, i);
      g_autofree char *id = vs_block_device_id (state->target);

      for (guint j = 0; j < json_array_get_length (drives); j++)
        {
          JsonObject *drive = json_array_get_object_element (drives, j);
          JsonObject *inserted =
            json_object_has_member (drive, "inserted") ? json_object_get_object_member (drive, "inserted") : NULL;

          if (inserted != NULL && is_device (drive, id) && has_file (inserted, state->path))
            read_inserted (inserted, tag, state);
        }
    }
  return TRUE;
}

static gboolean
look_offline (VsRun *run, const char *tag, VsTagState *state, GError **error)
{
  g_autofree char *tool = vs_steps_image_tool (run, error);
  g_autoptr (VsImageInfo) info = tool != NULL ? vs_image_info (tool, state->path, "qcow2", NULL, error) : NULL;
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
  g_autoptr (GPtrArray) states = list_disks (run);
  QmpClient *monitor = vs_run_get_monitor (run, NULL);

  if (monitor != NULL && !look_online (monitor, tag, states, error))
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

static GStrv
list_nodes (GPtrArray *states, gboolean only_present)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (state->node != NULL && (state->present || !only_present))
        g_strv_builder_add (builder, state->node);
    }
  return g_strv_builder_end (builder);
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

typedef struct
{
  VsRun *run;
  guint64 (*measure) (VsRun *run);
  guint64 start;
  guint64 total;
} Progress;

static void
on_progress (QmpClient *client, const char *job_id, const char *status, gpointer user_data)
{
  Progress *progress = user_data;
  guint64 now = progress->measure (progress->run);

  vs_run_report_bytes (progress->run, MIN (now - MIN (now, progress->start), progress->total), progress->total);
}

static gboolean
run_job (VsRun *run,
         const char *command,
         const char *what,
         const char *tag,
         Progress *progress,
         GCancellable *cancellable,
         GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (GPtrArray) states = NULL;
  g_autofree char *job_id = vs_steps_job_id (run, what);
  g_auto (GStrv) nodes = NULL;

  if (monitor == NULL)
    return FALSE;
  states = vs_tags_look (run, tag, error);
  if (states == NULL)
    return FALSE;
  if (!vs_tags_check_nodes (states, error))
    return FALSE;
  nodes = list_nodes (states, FALSE);
  progress->run = run;
  progress->start = progress->measure (run);
  return qmp_job_run_and_keep (monitor, command,
                      qmp_args_new ("s:job-id", job_id, "s:tag", tag, "s:vmstate",
                                    vs_tags_get_vmstate (run, states)->node, "S:devices", nodes, NULL),
                      job_id, on_progress, progress, cancellable, error);
}

/* The disks alone, all or none, of a guest that stands still. */
gboolean
vs_tags_protect (VsRun *run, const char *tag, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (GPtrArray) states = monitor != NULL ? vs_tags_look (run, tag, error) : NULL;
  JsonArray *actions;

  if (states == NULL || !vs_tags_check_nodes (states, error))
    return FALSE;
  actions = json_array_new ();
  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      json_array_add_object_element (
        actions,
        qmp_args_new ("s:type", "blockdev-snapshot-internal-sync", "o:data",
                      qmp_args_new ("s:device", state->node, "s:name", tag, NULL), NULL));
    }
  return vs_steps_call (run, "transaction", qmp_args_new ("a:actions", actions, NULL), error);
}

/* The job that saved or loaded is on record: QEMU may forget it. One that it doesn't know is forgotten already. */
void
vs_tags_dismiss (VsRun *run, const char *what)
{
  g_autofree char *job_id = vs_steps_job_id (run, what);
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  QmpJobStatus status;

  if (monitor != NULL && qmp_job_query (monitor, job_id, &status, NULL, NULL)
      && (status == QMP_JOB_SUCCEEDED || status == QMP_JOB_FAILED))
    qmp_job_dismiss (monitor, job_id, NULL);
}

/* Memory and all disks, in one stop that QEMU makes itself unless the guest stands already. */
gboolean
vs_tags_save (VsRun *run, const char *tag, GError **error)
{
  Progress progress = { .measure = vs_steps_bytes_written, .total = vs_steps_resident_memory (run) };

  return run_job (run, "snapshot-save", VS_TAGS_JOB_SAVE, tag, &progress, vs_run_get_cancellable (run), error);
}

/* Memory and all disks back; the guest stands afterwards. */
gboolean
vs_tags_load (VsRun *run, const char *tag, guint64 vm_state_size, GCancellable *cancellable, GError **error)
{
  Progress progress = { .measure = vs_steps_bytes_read, .total = vm_state_size };

  return run_job (run, "snapshot-load", VS_TAGS_JOB_LOAD, tag, &progress, cancellable, error);
}

typedef gboolean (*ImageFunc) (const char *tool,
                               const char *path,
                               const char *tag,
                               GCancellable *cancellable,
                               GError **error);

static gboolean
for_each_image (VsRun *run, const char *tag, ImageFunc func, GPtrArray *states, gboolean only_present, GError **error)
{
  g_autofree char *tool = vs_steps_image_tool (run, error);

  if (tool == NULL)
    return FALSE;
  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (only_present && (!state->present || state->node != NULL))
        continue;
      if (!func (tool, state->path, tag, NULL, error))
        return FALSE;
      vs_run_report_progress (run, (i + 1.0) / states->len);
    }
  return TRUE;
}

gboolean
vs_tags_create_offline (VsRun *run, const char *tag, GError **error)
{
  g_autoptr (GPtrArray) states = list_disks (run);

  return for_each_image (run, tag, vs_image_snapshot_create, states, FALSE, error);
}

gboolean
vs_tags_apply_offline (VsRun *run, const char *tag, GError **error)
{
  g_autoptr (GPtrArray) states = list_disks (run);

  return for_each_image (run, tag, vs_image_snapshot_apply, states, FALSE, error);
}

/* For undo, which may have been done in part before: a disk without the tag was undone, or never touched. */
gboolean
vs_tags_apply_where_present (VsRun *run, const char *tag, GError **error)
{
  g_autoptr (GPtrArray) states = vs_tags_look (run, tag, error);

  return states != NULL && for_each_image (run, tag, vs_image_snapshot_apply, states, TRUE, error);
}

/**
 * vs_tags_delete:
 * @run: a run with the fact of its disks
 * @tag: a tag
 * @error: where to put an error
 *
 * Removes @tag from every disk that has it. A disk that doesn't is done already.
 *
 * Returns: whether no disk has it any more
 */
gboolean
vs_tags_delete (VsRun *run, const char *tag, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  g_autoptr (GPtrArray) states = vs_tags_look (run, tag, error);
  g_autofree char *job_id = vs_steps_job_id (run, "delete");
  g_auto (GStrv) nodes = NULL;

  if (states == NULL)
    return FALSE;
  if (!for_each_image (run, tag, vs_image_snapshot_delete, states, TRUE, error))
    return FALSE;
  nodes = list_nodes (states, TRUE);
  if (nodes[0] == NULL)
    return TRUE;
  return qmp_job_run (monitor, "snapshot-delete",
                      qmp_args_new ("s:job-id", job_id, "s:tag", tag, "S:devices", nodes, NULL), job_id, NULL, NULL,
                      NULL, error);
}
