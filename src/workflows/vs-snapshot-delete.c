/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Deleting internal snapshots: the tags go from the disks, the records from the store, and what descended from them
 * descends from their parent. Looked at first; once begun it is only ever finished.
 */
#include "vmsnap-error.h"
#include "vs-nvram.h"
#include "vs-operations.h"
#include "vs-record.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"

#define FACT_CHILDREN "children"
#define FACT_CHILDREN_ONLY "children-only"
#define FACT_METADATA_ONLY "metadata-only"
/* An array, children before parents: {name, tag, nvram, disks} */
#define FACT_VICTIMS "victims"

static void
collect (VsDomain *domain, VsSnapshot *snapshot, gboolean itself, gboolean descendants, GPtrArray *out)
{
  g_autoptr (GList) children = descendants ? vs_domain_list_children (domain, snapshot) : NULL;

  for (GList *l = children; l != NULL; l = l->next)
    collect (domain, l->data, TRUE, TRUE, out);
  if (itself)
    g_ptr_array_add (out, snapshot);
}

static JsonObject *
describe (VsSnapshot *snapshot)
{
  VsSnapshotDef *def = vs_snapshot_get_def (snapshot);
  const char *nvram = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_NVRAM);
  JsonObject *victim = json_object_new ();

  json_object_set_string_member (victim, "name", def->name);
  json_object_set_string_member (victim, "tag", vs_snapshot_def_get_tag (def));
  json_object_set_array_member (victim, "disks", def->domain != NULL ? vs_tags_list_disks (def) : json_array_new ());
  if (nvram != NULL)
    json_object_set_string_member (victim, "nvram", nvram);
  return victim;
}

static gboolean
check_kind (VsSnapshot *snapshot, gboolean metadata_only, GError **error)
{
  VmSnapLocation location = vs_snapshot_def_get_location (vs_snapshot_get_def (snapshot));

  if (metadata_only || location == VMSNAP_LOCATION_INTERNAL || location == VMSNAP_LOCATION_NONE)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
               "%s is not an internal snapshot; this version deletes internal ones, or with metadata-only forgets any",
               vs_snapshot_get_name (snapshot));
  return FALSE;
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
    {
      VsSnapshot *victim = g_ptr_array_index (snapshots, i);

      if (!check_kind (victim, json_object_get_boolean_member (facts, FACT_METADATA_ONLY), error))
        return FALSE;
      json_array_add_object_element (victims, describe (victim));
    }
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
look_first (VsRun *run, GError **error)
{
  JsonObject *victim;

  for (guint i = 0; !vs_run_get_flag (run, FACT_METADATA_ONLY) && (victim = get_victim (run, i)) != NULL; i++)
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

static gboolean
remove_one (VsRun *run, JsonObject *victim, GError **error)
{
  const char *name = json_object_get_string_member (victim, "name");
  const char *nvram = json_object_get_string_member_with_default (victim, "nvram", NULL);
  gboolean metadata_only = vs_run_get_flag (run, FACT_METADATA_ONLY);

  take_aim (run, victim);
  if (!metadata_only && !vs_tags_delete (run, json_object_get_string_member (victim, "tag"), error))
    return FALSE;
  if (!metadata_only && nvram != NULL && !vs_nvram_forget (run, nvram, error))
    return FALSE;
  return remove_record (run, name, error) && vs_run_on_main (run, tell, (gpointer) name, error);
}

static gboolean
remove_all (VsRun *run, GError **error)
{
  guint n = json_array_get_length (json_object_get_array_member (vs_run_get_facts (run), FACT_VICTIMS));

  for (guint i = 0; i < n; i++)
    {
      if (!remove_one (run, get_victim (run, i), error))
        return FALSE;
      vs_run_report_progress (run, (i + 1.0) / n);
    }
  return TRUE;
}

static const VsStep steps[] = {
  { "Checking the snapshot", 1, look_first },
  { "Removing", 9, remove_all, NULL, NULL, VS_COMMIT_WHEN_BEGUN },
};

const VsWorkflow vs_workflow_snapshot_delete = {
  "snapshot-delete",
  "snapshot-delete-internal",
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
