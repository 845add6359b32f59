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
add_disk (JsonArray *disks, const VsDiskDef *disk)
{
  JsonObject *item = json_object_new ();

  json_object_set_string_member (item, "target", disk->target);
  json_object_set_string_member (item, "path", disk->path);
  json_array_add_object_element (disks, item);
}

/* Adds one disk to those that get an internal snapshot, if it can have one. */
gboolean
vs_tags_choose_disk (VsDomainDef *def, const VsDiskDef *disk, JsonArray *disks, GError **error)
{
  if (g_str_equal (disk->format, "qcow2"))
    {
      add_disk (disks, disk);
      return TRUE;
    }
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
               "Disk %s of %s (%s) is %s, which can't hold internal snapshots, and leaving it out would mix two "
               "instants; convert it (qemu-img convert -O qcow2), mark it <readonly/>, or take an external "
               "snapshot",
               disk->target, def->name, disk->path, disk->format);
  return FALSE;
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
      if (!vs_tags_choose_disk (def, disk, disks, error))
        return FALSE;
      if (first == NULL)
        first = disk->target;
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
  states = vs_tags_find_nodes (run, tag, error);
  if (states == NULL)
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
  g_autoptr (GPtrArray) states = monitor != NULL ? vs_tags_find_nodes (run, tag, error) : NULL;
  JsonArray *actions;

  if (states == NULL)
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

/* The job that saved or loaded is on record: QEMU may forget it. It refuses that for one that hasn't ended, or that it
 * has forgotten already. */
void
vs_tags_dismiss (VsRun *run, const char *what)
{
  g_autofree char *job_id = vs_steps_job_id (run, what);
  QmpClient *monitor = vs_run_get_monitor (run, NULL);

  if (monitor != NULL)
    qmp_job_dismiss (monitor, job_id);
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

      if (only_present && (!state->present || state->node != NULL || state->reader != NULL))
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
  g_autoptr (GPtrArray) states = vs_tags_list (run);

  return for_each_image (run, tag, vs_image_snapshot_create, states, FALSE, error);
}

gboolean
vs_tags_apply_offline (VsRun *run, const char *tag, GError **error)
{
  g_autoptr (GPtrArray) states = vs_tags_list (run);

  return for_each_image (run, tag, vs_image_snapshot_apply, states, FALSE, error);
}

/* For undo, which may have been done in part before: a disk without the tag was undone, or never touched. */
gboolean
vs_tags_apply_where_present (VsRun *run, const char *tag, GError **error)
{
  g_autoptr (GPtrArray) states = vs_tags_look (run, tag, error);

  return states != NULL && for_each_image (run, tag, vs_image_snapshot_apply, states, TRUE, error);
}

static gboolean
delete_online (VsRun *run, const char *tag, GStrv nodes, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autofree char *job_id = vs_steps_job_id (run, "delete");

  return monitor != NULL
         && qmp_job_run (monitor, "snapshot-delete",
                         qmp_args_new ("s:job-id", job_id, "s:tag", tag, "S:devices", nodes, NULL), job_id, NULL, NULL,
                         NULL, error);
}

static gboolean
delete_below (VsRun *run, const char *tag, GPtrArray *states, GError **error)
{
  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (state->present && state->node == NULL && state->reader != NULL
          && !vs_tags_delete_below (run, state, tag, error))
        return FALSE;
    }
  return TRUE;
}

/**
 * vs_tags_delete:
 * @run: a run with the fact of its disks
 * @tag: a tag
 * @error: where to put an error
 *
 * Removes @tag from every disk that has it. A disk that doesn't is done already. (QEMU passes over a disk without it, so
 * where all nodes are known nobody looks.)
 *
 * Returns: whether no disk has it any more
 */
gboolean
vs_tags_delete (VsRun *run, const char *tag, GError **error)
{
  g_autofree char *job_id = vs_steps_job_id (run, "delete");
  g_autoptr (GPtrArray) states = vs_tags_list_known (run);
  g_auto (GStrv) nodes = NULL;

  if (states != NULL && states->len > 0 && vs_run_get_monitor (run, NULL) != NULL)
    {
      nodes = list_nodes (states, FALSE);
      return delete_online (run, tag, nodes, error);
    }
  g_clear_pointer (&states, g_ptr_array_unref);

  /* Perhaps an earlier life of the service had it done already, and had no time to have QEMU forget the job. */
  if (!vs_steps_wait_for_job (run, job_id, error))
    return FALSE;
  states = vs_tags_look (run, tag, error);
  if (states == NULL)
    return FALSE;
  if (!for_each_image (run, tag, vs_image_snapshot_delete, states, TRUE, error)
      || !delete_below (run, tag, states, error))
    return FALSE;
  nodes = list_nodes (states, TRUE);
  return nodes[0] == NULL || delete_online (run, tag, nodes, error);
}
