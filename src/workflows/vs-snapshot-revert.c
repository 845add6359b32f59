/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting to an internal snapshot: what can be asked, which way is taken, and what both ways have in common. A guest
 * whose devices are the snapshot's own is reverted in place (vs-snapshot-revert-in-place.c); everything else starts
 * QEMU anew, or leaves the domain off (vs-snapshot-revert-restart.c).
 */
#include "vs-snapshot-revert.h"

#include "vmsnap-error.h"
#include "vs-nvram.h"
#include "vs-operations.h"
#include "vs-record.h"
#include "vs-save-workflows.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"

#define FACT_FORCE "force"

static gboolean
has_memory (VsSnapshotDef *def)
{
  return def->memory == VMSNAP_LOCATION_INTERNAL;
}

/* What becomes of the domain: as it was at the snapshot, unless the caller wants it otherwise. */
static void
decide_outcome (VsSnapshotDef *def, JsonObject *facts)
{
  gboolean running = json_object_get_boolean_member (facts, FACT_WANT_RUNNING);
  gboolean paused = json_object_get_boolean_member (facts, FACT_WANT_PAUSED);

  json_object_set_boolean_member (facts, FACT_GUEST, has_memory (def) || running || paused);
  json_object_set_boolean_member (facts, FACT_RUN,
                                  running || (!paused && def->state == VMSNAP_SNAPSHOT_STATE_RUNNING));
}

static void
note_snapshot (VsDomain *domain, VsSnapshotDef *def, JsonObject *facts)
{
  VsSnapshot *current = vs_domain_get_current_snapshot (domain);
  const char *nvram = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_NVRAM);
  const char *vmstate = vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_VMSTATE);
  g_autofree char *definition = vs_domain_def_format (def->domain);
  g_autofree char *old = vs_domain_def_format (vs_domain_get_inactive_def (domain));
  g_autofree char *present = vs_domain_def_format (vs_domain_get_def (domain));
  g_autofree char *undo_tag = g_strdup_printf ("vmsnap-undo-%08x", g_random_int ());

  json_object_set_string_member (facts, FACT_TAG, vs_snapshot_def_get_tag (def));
  json_object_set_boolean_member (facts, FACT_MEMORY, has_memory (def));
  json_object_set_string_member (facts, FACT_DEFINITION, definition);
  json_object_set_string_member (facts, FACT_OLD_DEFINITION, old);
  json_object_set_string_member (facts, FACT_PRESENT_DEFINITION, present);
  json_object_set_string_member (facts, FACT_UNDO_TAG, undo_tag);
  json_object_set_array_member (facts, VS_TAGS_FACT_DISKS, vs_tags_list_disks (def));
  if (vmstate != NULL)
    json_object_set_string_member (facts, VS_TAGS_FACT_VMSTATE, vmstate);
  else
    json_object_remove_member (facts, VS_TAGS_FACT_VMSTATE);
  vs_tags_store_set (facts, VS_TAGS_SNAPSHOT);
  if (nvram != NULL)
    json_object_set_string_member (facts, FACT_NVRAM, nvram);
  if (current != NULL)
    json_object_set_string_member (facts, FACT_OLD_CURRENT, vs_snapshot_get_name (current));
}

static gboolean
fits_guest (VsDomain *domain, VsSnapshotDef *def, char **difference)
{
  return vs_domain_def_guest_abi_equal (def->domain, vs_domain_get_def (domain), difference);
}

/* A running guest with other devices has to end before the snapshot's own can be: not without being told so. */
static gboolean
check_guest (VsDomain *domain, VsSnapshotDef *def, gboolean force, GError **error)
{
  g_autofree char *difference = NULL;

  if (!vs_domain_is_active (domain) || !has_memory (def) || force || fits_guest (domain, def, &difference))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
               "The devices of %s are not those it had at snapshot %s (%s): its guest would have to end first. Give force "
               "to have that done, or power it off",
               vs_domain_get_name (domain), def->name, difference);
  return FALSE;
}

/* What must be kept until the revert has worked: of a guest that has to end, memory and disks; else the disks that will
 * be changed. */
static gboolean
note_present (VsDomain *domain, VsSnapshotDef *def, JsonObject *facts, GError **error)
{
  g_autofree char *difference = NULL;
  gboolean in_place = has_memory (def) && fits_guest (domain, def, &difference);

  if (vs_domain_is_active (domain) && !in_place && !vs_tags_choose_disks (vs_domain_get_def (domain), facts, error))
    {
      g_prefix_error (error, "The guest would have to end, and its present state can't be kept for the case of failure; "
                             "power it off first. ");
      return FALSE;
    }
  vs_tags_store_set (facts, VS_TAGS_PRESENT);
  return TRUE;
}

/* What is inside a file goes back to what it was then: with what a later snapshot froze in it. */
static gboolean
check_not_frozen (VsEngine *engine, VsSnapshotDef *def, GError **error)
{
  g_autoptr (VsDiskGraph) graph = vs_disk_graph_collect (engine);

  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsSnapshotDiskDef *kept = g_ptr_array_index (def->disks, i);
      const VsDiskDef *disk = vs_domain_def_find_disk (def->domain, kept->target);

      if (kept->snapshot == VMSNAP_LOCATION_INTERNAL && disk != NULL && disk->path != NULL
          && !vs_disk_graph_check_not_frozen (graph, disk->path, error))
        {
          g_prefix_error (error, "Disk %s can't go back to '%s': ", kept->target, def->name);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  const char *name = json_object_get_string_member (facts, VS_FACT_SNAPSHOT);
  VsSnapshot *snapshot = vs_domain_get_snapshot (domain, name);
  VsSnapshotDef *def;

  if (snapshot == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s has no snapshot called %s any more",
                   vs_domain_get_name (domain), name);
      return FALSE;
    }
  def = vs_snapshot_get_def (snapshot);
  if (vs_snapshot_def_get_location (def) != VMSNAP_LOCATION_INTERNAL || def->domain == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "%s is not an internal snapshot; this version reverts to internal ones only. Its memory can be restored "
                   "with a definition that names new overlays over its disks: see restore in vmsnapctl(1)", name);
      return FALSE;
    }
  if (!check_not_frozen (engine, def, error))
    return FALSE;
  if (!json_object_get_boolean_member (facts, FACT_FORCE)
      && !vs_save_refuse_managed (domain, ", give force to have it removed", error))
    return FALSE;
  json_object_set_boolean_member (facts, FACT_DISCARD, vs_domain_get_has_managed_save (domain));
  decide_outcome (def, facts);
  if (!vs_domain_get_persistent (domain) && !json_object_get_boolean_member (facts, FACT_GUEST))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                   "%s is transient, and snapshot %s would leave it shut off; ask for running or paused",
                   vs_domain_get_name (domain), name);
      return FALSE;
    }
  vs_steps_note_state (domain, facts);
  note_snapshot (domain, def, facts);
  return check_guest (domain, def, json_object_get_boolean_member (facts, FACT_FORCE), error)
         && note_present (domain, def, facts, error);
}

static const VsWorkflow *
choose (VsDomain *domain, JsonObject *facts)
{
  VsSnapshot *snapshot =
    vs_domain_get_snapshot (domain, json_object_get_string_member (facts, VS_FACT_SNAPSHOT));
  VsSnapshotDef *def = vs_snapshot_get_def (snapshot);
  g_autofree char *difference = NULL;

  if (vs_domain_is_active (domain) && has_memory (def) && fits_guest (domain, def, &difference))
    return &vs_workflow_snapshot_revert_in_place;
  return &vs_workflow_snapshot_revert_restart;
}

/* The disks of the snapshot, when all is there that it takes. */
GPtrArray *
vs_revert_look (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_TAG);
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);
  g_autoptr (GPtrArray) states = NULL;
  const VsTagState *vmstate;

  vs_tags_aim (run, VS_TAGS_SNAPSHOT);
  states = vs_tags_claim (run, error) ? vs_tags_look (run, tag, error) : NULL;
  if (states == NULL || !vs_tags_check_complete (run, states, tag, error))
    return NULL;
  vmstate = vs_tags_get_vmstate (run, states);
  if (vs_run_get_flag (run, FACT_MEMORY) && (vmstate == NULL || vmstate->vm_state_size == 0))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                   "The memory of snapshot %s isn't in its disks any more; somebody replaced the tag %s there",
                   vs_run_get_string (run, VS_FACT_SNAPSHOT), tag);
      return NULL;
    }
  if (vmstate != NULL)
    vs_run_set_int (run, "vm-state-size", vmstate->vm_state_size);
  return nvram == NULL || vs_nvram_check (run, nvram, error) ? g_steal_pointer (&states) : NULL;
}

gboolean
vs_revert_look_first (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) states = vs_revert_look (run, error);

  return states != NULL;
}

gboolean
vs_revert_put_nvram_back (VsRun *run, GError **error)
{
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);
  const char *path = vs_run_get_def (run)->os.nvram;

  return nvram == NULL || path == NULL || vs_nvram_put_back (run, nvram, path, error);
}

static gboolean
tell (VsRun *run, gpointer data, GError **error)
{
  const char *name = vs_run_get_string (run, VS_FACT_SNAPSHOT);
  GVariantBuilder details;

  vs_job_add_result (vs_run_get_job (run), "snapshot", g_variant_new_string (name));
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "snapshot", g_variant_new_string (name));
  vs_domain_emit_event (vs_run_get_domain (run), "snapshot-reverted", g_variant_builder_end (&details));
  return TRUE;
}

static gboolean
set_definition (VsRun *run, const char *xml, GError **error)
{
  g_autoptr (VsDomainDef) then = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, error);
  g_autoptr (VsDomainDef) named = NULL;

  if (then == NULL)
    return FALSE;
  /* A domain keeps its name, whatever it was called then. */
  named = vs_domain_def_copy_with_name (then, vs_run_get_def (run)->name, error);
  return named != NULL && vs_record_set_definition (run, named, error);
}

gboolean
vs_revert_record (VsRun *run, GError **error)
{
  return set_definition (run, vs_run_get_string (run, FACT_DEFINITION), error)
         && vs_record_set_current (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error)
         && vs_run_on_main (run, tell, NULL, error);
}

gboolean
vs_revert_unrecord (VsRun *run, GError **error)
{
  return set_definition (run, vs_run_get_string (run, FACT_OLD_DEFINITION), error)
         && vs_record_set_current (run, vs_run_get_string (run, FACT_OLD_CURRENT), error);
}

static gboolean
give_reason (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (vs_domain_get_state (domain) != VMSNAP_DOMAIN_STATE_RUNNING)
    vs_domain_set_state (domain, vs_domain_get_state (domain), VMSNAP_STATE_REASON_FROM_SNAPSHOT);
  return TRUE;
}

/* The state that was asked for. A guest that has ended meanwhile is its user's doing. */
gboolean
vs_revert_let_run (VsRun *run, GError **error)
{
  gboolean guest = vs_run_get_flag (run, FACT_GUEST) && vs_run_get_monitor (run, NULL) != NULL;

  if (guest
      && !vs_steps_settle_running (run, vs_run_get_flag (run, FACT_RUN), VMSNAP_STATE_REASON_FROM_SNAPSHOT, error))
    return FALSE;
  return vs_run_on_main (run, give_reason, NULL, error);
}

gboolean
vs_revert_delete_undo_tag (VsRun *run, GError **error)
{
  vs_tags_aim (run, VS_TAGS_PRESENT);
  return vs_tags_delete (run, vs_run_get_string (run, FACT_UNDO_TAG), error);
}

const VsWorkflow vs_workflow_snapshot_revert = { "snapshot-revert", "snapshot-revert", check, NULL, 0, choose };

/**
 * vs_operation_snapshot_revert:
 * @engine: the engine
 * @snapshot: an internal snapshot
 * @options: what becomes of the domain; at most one of running and paused
 * @request: who asks
 * @error: where to put %VMSNAP_ERROR_INVALID_STATE, …
 *
 * Takes the domain back to a snapshot.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_operation_snapshot_revert (VsEngine *engine,
                              VsSnapshot *snapshot,
                              const VsSnapshotRevertOptions *options,
                              const VsRequest *request,
                              GError **error)
{
  g_autoptr (JsonObject) facts = json_object_new ();

  json_object_set_string_member (facts, VS_FACT_SNAPSHOT, vs_snapshot_get_name (snapshot));
  json_object_set_boolean_member (facts, FACT_WANT_RUNNING, options->running);
  json_object_set_boolean_member (facts, FACT_WANT_PAUSED, options->paused);
  json_object_set_boolean_member (facts, FACT_FORCE, options->force);
  return vs_engine_submit (engine, vs_engine_find_domain (engine, vs_snapshot_get_domain_uuid (snapshot)),
                           &vs_workflow_snapshot_revert, facts, request, error);
}
