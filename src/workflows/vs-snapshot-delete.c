/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Deleting snapshots: the tags go from the disks, the records from the store, and what descended from them descends from
 * their parent. The files that they kept are merged with those above, or removed, where nothing else needs them. All is
 * looked at first; what may be given up is done before the records go; from then on it is only ever finished.
 */
#include "vmsnap-error.h"
#include "vs-delete-plan.h"
#include "vs-delete.h"
#include "vs-nvram.h"
#include "vs-operations.h"
#include "vs-record.h"
#include "vs-redirect.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"
#include "vs-warning.h"

#define FACT_CHILDREN "children"
#define FACT_CHILDREN_ONLY "children-only"
#define FACT_METADATA_ONLY "metadata-only"

static void
collect (VsDomain *domain, VsSnapshot *snapshot, gboolean itself, gboolean descendants, GPtrArray *out)
{
  g_autoptr (GList) children = descendants ? vs_domain_list_children (domain, snapshot) : NULL;

  for (GList *l = children; l != NULL; l = l->next)
    collect (domain, l->data, TRUE, TRUE, out);
  if (itself)
    g_ptr_array_add (out, snapshot);
}

/* The files that hold its disks, whichever way. */
static JsonArray *
list_frozen (VsSnapshotDef *def)
{
  JsonArray *paths = json_array_new ();

  for (guint i = 0; def->domain != NULL && i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *part = g_ptr_array_index (def->disks, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (def->domain, part->target);

      if (part->snapshot != VMSNAP_LOCATION_NONE && disk != NULL && disk->path != NULL)
        json_array_add_string_element (paths, disk->path);
    }
  return paths;
}

/* {name, tag, disks, frozen, nvram, memory}: the last two only where there are such */
static JsonObject *
describe (VsSnapshot *snapshot)
{
  VsSnapshotDef *def = vs_snapshot_get_def (snapshot);
  const char *nvram = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_NVRAM);
  JsonObject *victim = json_object_new ();

  json_object_set_string_member (victim, "name", def->name);
  json_object_set_string_member (victim, "tag", vs_snapshot_def_get_tag (def));
  json_object_set_array_member (victim, "disks", def->domain != NULL ? vs_tags_list_disks (def) : json_array_new ());
  json_object_set_array_member (victim, "frozen", list_frozen (def));
  if (nvram != NULL)
    json_object_set_string_member (victim, "nvram", nvram);
  if (def->memory == VMSNAP_LOCATION_EXTERNAL && def->memory_path != NULL)
    json_object_set_string_member (victim, "memory", def->memory_path);
  return victim;
}

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  const char *name = json_object_get_string_member (facts, VS_FACT_SNAPSHOT);
  gboolean only = json_object_get_boolean_member (facts, FACT_CHILDREN_ONLY);
  gboolean children = only || json_object_get_boolean_member (facts, FACT_CHILDREN);
  VsSnapshot *snapshot = vs_domain_get_snapshot (domain, name);
  g_autoptr (GPtrArray) snapshots = g_ptr_array_new ();
  g_autoptr (JsonArray) victims = json_array_new ();

  if (snapshot == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s has no snapshot called %s any more",
                   vs_domain_get_name (domain), name);
      return FALSE;
    }
  collect (domain, snapshot, !only, children, snapshots);
  for (guint i = 0; i < snapshots->len; i++)
    json_array_add_object_element (victims, describe (g_ptr_array_index (snapshots, i)));
  json_object_set_array_member (facts, FACT_VICTIMS, g_steal_pointer (&victims));
  return TRUE;
}

static JsonObject *
get_victim (VsRun *run, guint index)
{
  JsonArray *victims = json_object_get_array_member (vs_run_get_facts (run), FACT_VICTIMS);

  return index < json_array_get_length (victims) ? json_array_get_object_element (victims, index) : NULL;
}

static void
take_aim (VsRun *run, JsonObject *victim)
{
  json_object_set_array_member (vs_run_get_facts (run), VS_TAGS_FACT_DISKS,
                                json_array_ref (json_object_get_array_member (victim, "disks")));
}

/* What can't be looked at now couldn't be removed later, when there is no way back. */
static gboolean
look_at_tags (VsRun *run, GError **error)
{
  JsonObject *victim;

  for (guint i = 0; (victim = get_victim (run, i)) != NULL; i++)
    {
      const char *tag = json_object_get_string_member (victim, "tag");
      g_autoptr (GPtrArray) states = NULL;

      take_aim (run, victim);
      states = vs_tags_claim (run, error) ? vs_tags_look (run, tag, error) : NULL;
      if (states == NULL)
        {
          g_prefix_error (error, "Snapshot %s can't be looked at (metadata-only forgets it without): ",
                          json_object_get_string_member (victim, "name"));
          return FALSE;
        }
      vs_tags_keep_nodes (run, states);
      for (guint j = 0; j < states->len; j++)
        {
          const VsTagState *state = g_ptr_array_index (states, j);
          if (!state->present)
            g_message ("Snapshot %s is gone from %s already", tag, state->path);
        }
    }
  return TRUE;
}

/* While a domain is off, its disks are its own until the files are merged. */
static gboolean
look_first (VsRun *run, GError **error)
{
  if (vs_run_get_flag (run, FACT_METADATA_ONLY))
    return TRUE;
  return look_at_tags (run, error) && vs_delete_look (run, error) && vs_redirect_claim (run, error);
}

typedef struct
{
  const char *name;
  GPtrArray *children;
  char *parent;
  gboolean was_current;
} Family;

static gboolean
get_family (VsRun *run, gpointer data, GError **error)
{
  Family *family = data;
  VsDomain *domain = vs_run_get_domain (run);
  VsSnapshot *snapshot = vs_domain_get_snapshot (domain, family->name);
  g_autoptr (GList) children = snapshot != NULL ? vs_domain_list_children (domain, snapshot) : NULL;

  if (snapshot == NULL)
    return TRUE;
  family->parent = g_strdup (vs_snapshot_get_parent_name (snapshot));
  family->was_current = vs_snapshot_get_is_current (snapshot);
  for (GList *l = children; l != NULL; l = l->next)
    g_ptr_array_add (family->children, vs_snapshot_def_copy (vs_snapshot_get_def (l->data)));
  return TRUE;
}

/* Its children become its parent's, before it goes: no moment leaves a child without one. */
static gboolean
remove_record (VsRun *run, const char *name, GError **error)
{
  g_autoptr (GPtrArray) children = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_snapshot_def_unref);
  Family family = { .name = name, .children = children };
  g_autofree char *parent = NULL;

  vs_run_on_main (run, get_family, &family, NULL);
  parent = family.parent;
  for (guint i = 0; i < children->len; i++)
    {
      VsSnapshotDef *child = g_ptr_array_index (children, i);

      g_free (child->parent);
      child->parent = g_strdup (parent);
      if (!vs_record_write (run, child, error))
        return FALSE;
    }
  if (family.was_current && !vs_record_set_current (run, parent, error))
    return FALSE;
  return vs_record_remove (run, name, error);
}

static gboolean
tell (VsRun *run, gpointer name, GError **error)
{
  GVariantBuilder details;

  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "snapshot", g_variant_new_string (name));
  vs_domain_emit_event (vs_run_get_domain (run), "snapshot-deleted", g_variant_builder_end (&details));
  return TRUE;
}

/* Somebody may have told us of one image for two snapshots. Main thread. */
static gboolean
is_memory_shared (VsRun *run, gpointer data, GError **error)
{
  JsonObject *victim = data;
  const char *path = json_object_get_string_member_with_default (victim, "memory", NULL);
  g_autoptr (GList) snapshots = vs_domain_list_snapshots (vs_run_get_domain (run));

  for (GList *l = snapshots; path != NULL && l != NULL; l = l->next)
    {
      VsSnapshotDef *def = vs_snapshot_get_def (l->data);

      if (!g_str_equal (def->name, json_object_get_string_member (victim, "name"))
          && g_strcmp0 (def->memory_path, path) == 0)
        return TRUE;
    }
  return FALSE;
}

/* In a file that somebody else has open, it stays: nothing is lost by that, and the file is known to hold it. */
static gboolean
remove_tag (VsRun *run, JsonObject *victim, GError **error)
{
  const char *tag = json_object_get_string_member (victim, "tag");
  g_autoptr (GError) local = NULL;

  take_aim (run, victim);
  if (vs_tags_delete (run, tag, &local))
    return TRUE;
  if (!g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_BUSY))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  vs_warning_add (run, "The snapshot is forgotten, but what is called %s inside the disks' files stays there: %s", tag,
                  local->message);
  return TRUE;
}

/* What a file holds goes before the record does, so that an end in between leaves nothing that is forgotten. */
static gboolean
remove_data (VsRun *run, JsonObject *victim, GError **error)
{
  const char *nvram = json_object_get_string_member_with_default (victim, "nvram", NULL);

  if (!remove_tag (run, victim, error) || (nvram != NULL && !vs_nvram_forget (run, nvram, error)))
    return FALSE;
  if (!vs_run_on_main (run, is_memory_shared, victim, NULL))
    vs_delete_remove_memory (run, victim);
  return TRUE;
}

static gboolean
remove_one (VsRun *run, JsonObject *victim, GError **error)
{
  const char *name = json_object_get_string_member (victim, "name");

  if (!(vs_run_get_flag (run, FACT_METADATA_ONLY) ? vs_delete_forget (run, victim, error)
                                                   : remove_data (run, victim, error)))
    return FALSE;
  return remove_record (run, name, error) && vs_run_on_main (run, tell, (gpointer) name, error);
}

static gboolean
remove_all (VsRun *run, GError **error)
{
  guint n = json_array_get_length (json_object_get_array_member (vs_run_get_facts (run), FACT_VICTIMS));

  if (!vs_delete_mark (run, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      if (!remove_one (run, get_victim (run, i), error))
        return FALSE;
      vs_run_report_progress (run, (i + 1.0) / n);
    }
  return TRUE;
}

static gboolean
has_files (VsRun *run)
{
  return !vs_run_get_flag (run, FACT_METADATA_ONLY) && (vs_delete_has_streams (run) || vs_delete_has_commits (run));
}

static gboolean
has_streams (VsRun *run)
{
  return !vs_run_get_flag (run, FACT_METADATA_ONLY) && vs_delete_has_streams (run);
}

static gboolean
end (VsRun *run, GError **error)
{
  return vs_run_on_main (run, vs_warning_tell, NULL, error);
}

static const VsStep steps[] = {
  { "Checking the snapshot", 2, look_first },
  { "Merging disks", 45, vs_delete_stream, vs_delete_unstream, NULL, VS_COMMIT_NOT, has_streams },
  { "Removing", 9, remove_all, NULL, NULL, VS_COMMIT_WHEN_BEGUN },
  { "Merging disks", 45, vs_delete_commit, NULL, NULL, VS_COMMIT_NOT, has_files },
  { "Removing", 1, end },
};

const VsWorkflow vs_workflow_snapshot_delete = {
  "snapshot-delete",
  "snapshot-delete",
  check,
  steps,
  G_N_ELEMENTS (steps),
};

/**
 * vs_operation_snapshot_delete:
 * @engine: the engine
 * @snapshot: a snapshot
 * @options: what goes with it; at most one of children and children_only
 * @request: who asks
 * @error: where to put an error
 *
 * Deletes a snapshot. Its children become its parent's, unless they go, too.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_operation_snapshot_delete (VsEngine *engine,
                              VsSnapshot *snapshot,
                              const VsSnapshotDeleteOptions *options,
                              const VsRequest *request,
                              GError **error)
{
  g_autoptr (JsonObject) facts = json_object_new ();

  json_object_set_string_member (facts, VS_FACT_SNAPSHOT, vs_snapshot_get_name (snapshot));
  json_object_set_boolean_member (facts, FACT_CHILDREN, options->children);
  json_object_set_boolean_member (facts, FACT_CHILDREN_ONLY, options->children_only);
  json_object_set_boolean_member (facts, FACT_METADATA_ONLY, options->metadata_only);
  return vs_engine_submit (engine, vs_engine_find_domain (engine, vs_snapshot_get_domain_uuid (snapshot)),
                           &vs_workflow_snapshot_delete, facts, request, error);
}
