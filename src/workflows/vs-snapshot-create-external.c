/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Taking an external snapshot: the disks' files are frozen as they are at one instant, and what is written from then on
 * goes to overlays.
 */
#include "vmsnap-error.h"
#include "vs-disk-look.h"
#include "vs-disk-switch.h"
#include "vs-frozen-file.h"
#include "vs-memory-save.h"
#include "vs-migration.h"
#include "vs-nvram.h"
#include "vs-overlays.h"
#include "vs-quiesce.h"
#include "vs-record.h"
#include "vs-save-workflows.h"
#include "vs-snapshot-create.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"
#include "vs-warning.h"

/* A guest's memory goes with its disks, unless only they are wanted. */
static gboolean
has_memory (VsRun *run)
{
  return vs_run_get_flag (run, FACT_ACTIVE) && !vs_run_get_flag (run, FACT_DISK_ONLY);
}

static gboolean
is_in_background (VsRun *run)
{
  return has_memory (run) && vs_memory_save_get_mode (run) == VS_MEMORY_BACKGROUND;
}

/* The memory is written in the same step as the disks are switched, for the guest stands still meanwhile, or the switch
 * comes last. */
static gboolean
is_at_once (VsRun *run)
{
  return has_memory (run) && !is_in_background (run);
}

static gboolean
is_precopied (VsRun *run)
{
  return has_memory (run) && vs_memory_save_get_mode (run) == VS_MEMORY_PRECOPY;
}

static gboolean
is_switch_alone (VsRun *run)
{
  return !is_at_once (run);
}

static gboolean
note_memory (VsDomain *domain, JsonObject *facts, GError **error)
{
  if (json_object_get_boolean_member_with_default (facts, FACT_NO_METADATA, FALSE)
      && !json_object_has_member (facts, FACT_MEMORY_PATH))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "With 'no-metadata' nothing would lead to the memory of %s in the store: give 'memory-path', too, or "
                   "'disk-only'", vs_domain_get_name (domain));
      return FALSE;
    }
  vs_save_note_cookie (domain, facts);
  return TRUE;
}

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  if (!vs_snapshot_create_check (domain, facts, error))
    return FALSE;
  if (vs_domain_is_active (domain) && !json_object_get_boolean_member_with_default (facts, FACT_DISK_ONLY, FALSE)
      && !note_memory (domain, facts, error))
    return FALSE;
  if (json_object_get_boolean_member_with_default (facts, FACT_QUIESCE, FALSE) && !vs_quiesce_check (domain, error))
    return FALSE;
  return vs_overlays_choose (vs_domain_get_def (domain), facts, error);
}

static gboolean
check_tags_absent (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_TAG);
  g_autoptr (GPtrArray) states = vs_tags_look (run, tag, error);

  if (states == NULL || (vs_run_get_guest (run) != NULL && !vs_tags_check_nodes (states, error)))
    return FALSE;
  vs_tags_keep_nodes (run, states);
  for (guint i = 0; i < states->len; i++)
    {
      const VsTagState *state = g_ptr_array_index (states, i);

      if (!state->present)
        continue;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS,
                   "Disk %s (%s) holds an internal snapshot called %s already that isn't on record; choose another name, "
                   "or remove it (qemu-img snapshot -d)",
                   state->target, state->path, tag);
      return FALSE;
    }
  return TRUE;
}

/* What is left out runs on, and fits the memory no more. */
static void
warn_of_left_out (VsRun *run)
{
  GPtrArray *disks = vs_run_get_def (run)->disks;
  g_autoptr (GPtrArray) internal = vs_tags_list (run);
  g_auto (GStrv) overlaid = vs_overlays_list_targets (run);

  for (guint i = 0; i < disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (disks, i);
      gboolean kept = disk->path == NULL || disk->readonly || disk->is_cdrom
                      || g_strv_contains ((const char *const *) overlaid, disk->target);

      for (guint j = 0; !kept && j < internal->len; j++)
        kept = g_str_equal (((VsTagState *) g_ptr_array_index (internal, j))->target, disk->target);
      if (kept)
        continue;
      vs_warning_add (run, "Disk %s is left out and runs on: once the guest has written to it, its memory in this "
                      "snapshot doesn't fit it any more, and going back would damage its file systems",
                      disk->target);
    }
}

static gboolean
look_first (VsRun *run, GError **error)
{
  VsDomainDef *def = vs_run_get_def (run);
  gboolean running;

  /* The user may have paused or resumed it since it was this operation's turn. */
  if (vs_run_get_flag (run, FACT_ACTIVE))
    {
      if (!vs_steps_is_running (run, &running, error))
        return FALSE;
      vs_run_set_flag (run, FACT_RUNNING, running);
    }
  if (vs_nvram_is_kept (def) && vs_nvram_get_source (def) != NULL)
    {
      g_autofree char *file = vs_nvram_file_name (vs_run_get_string (run, VS_FACT_SNAPSHOT));

      vs_run_set_string (run, FACT_NVRAM, file);
    }
  vs_disk_switch_note (run);
  if (has_memory (run))
    warn_of_left_out (run);
  return vs_overlays_look (run, error) && check_tags_absent (run, error)
         && (!has_memory (run) || vs_memory_save_look (run, error));
}

/* How it is done, and what to beware of, is told before it is. */
static gboolean
prepare (VsRun *run, GError **error)
{
  return vs_overlays_prepare (run, error) && vs_disk_switch_claim (run, error)
         && (!has_memory (run) || vs_memory_save_prepare (run, error))
         && vs_run_on_main (run, vs_snapshot_create_tell_way, NULL, error);
}

static gboolean
unprepare (VsRun *run, GError **error)
{
  return (!has_memory (run) || vs_memory_save_forget (run, error)) && vs_overlays_remove (run, error);
}

/* Whether the guest has to stand still: for its memory, and for what else isn't a disk, the variable store's bytes. What
 * precopies a guest's memory stops it by itself. */
static gboolean
has_to_stop (VsRun *run)
{
  if (!vs_run_get_flag (run, FACT_RUNNING))
    return FALSE;
  if (has_memory (run))
    return !is_precopied (run);
  return vs_run_get_string (run, FACT_NVRAM) != NULL;
}

/* All that happens while the guest stands still: nothing is written down, synced or told here. */
static gboolean
take_instant (VsRun *run, JsonObject *actions, GBytes **variables, GError **error)
{
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);

  if (has_to_stop (run) && !vs_steps_call (run, "stop", NULL, error))
    {
      json_object_unref (actions);
      return FALSE;
    }
  if (!vs_disk_switch_run (run, actions, error))
    return FALSE;
  if (nvram != NULL)
    *variables = vs_nvram_read (vs_run_get_def (run)->os.nvram, error);
  if ((nvram != NULL && *variables == NULL) || (has_memory (run) && !vs_memory_save_take (run, error)))
    return FALSE;
  return !vs_run_get_flag (run, FACT_RUNNING) || (!has_memory (run) && nvram == NULL)
         || vs_steps_call (run, "cont", NULL, error);
}

/* How its memory is written was chosen for a guest that ran, or that didn't. */
static gboolean
check_still (VsRun *run, gboolean running, GError **error)
{
  if (has_memory (run) && running != vs_run_get_flag (run, FACT_RUNNING))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                   "%s was %s while its checkpoint was prepared; take it again", vs_run_get_def (run)->name,
                   running ? "resumed" : "paused");
      return FALSE;
    }
  vs_run_set_flag (run, FACT_RUNNING, running);
  return TRUE;
}

/* Nobody lets the guest go while it has to stand still; when it needn't any more, what its user wants counts. */
static gboolean
take_held (VsRun *run, JsonObject *actions, GBytes **variables, GError **error)
{
  gboolean running = FALSE;
  gboolean ok;

  /* While it is precopied the guest runs, and may be paused and resumed. */
  vs_steps_hold (run, !is_precopied (run));
  ok = vs_steps_is_running (run, &running, error) && check_still (run, running, error);
  vs_steps_expect_stop (run, running ? VMSNAP_STATE_REASON_SNAPSHOTTING : VMSNAP_STATE_REASON_UNKNOWN);
  if (!ok || (has_memory (run) && !vs_memory_save_come_near (run, error)))
    {
      json_object_unref (actions);
      return FALSE;
    }
  vs_steps_hold (run, TRUE);
  ok = take_instant (run, actions, variables, error);
  vs_steps_expect_stop (run, VMSNAP_STATE_REASON_UNKNOWN);
  if (!ok)
    return FALSE;
  vs_steps_hold (run, FALSE);
  return (!has_memory (run) || vs_migration_take_disks_back (run, error)) && vs_steps_restore_running (run, error);
}

static gboolean
switch_online (VsRun *run, GError **error)
{
  static const char *const events[] = { "STOP", "RESUME", NULL };
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);
  QmpClient *monitor = vs_run_get_monitor (run, error);
  JsonObject *actions = monitor != NULL ? vs_disk_switch_prepare (run, error) : NULL;
  g_autoptr (QmpWatch) watch = NULL;
  g_autoptr (GBytes) variables = NULL;

  if (actions == NULL)
    return FALSE;
  watch = qmp_client_watch (monitor, events);
  if (!take_held (run, actions, &variables, error))
    return FALSE;
  vs_run_set_int (run, FACT_DOWNTIME, vs_snapshot_create_read_downtime (watch));
  return variables == NULL || vs_nvram_keep (run, variables, nvram, error);
}

static gboolean
switch_disks (VsRun *run, GError **error)
{
  vs_run_set_int (run, FACT_TIME, g_get_real_time ());
  return vs_run_get_flag (run, FACT_ACTIVE) ? switch_online (run, error) : vs_snapshot_create_offline (run, error);
}

/* The file systems needn't be frozen while the disks are merged back, and mustn't stay so when that fails. A guest that
 * stands still may do so for the merge's sake, and is left to the freeze's own undo. */
static void
thaw_first (VsRun *run)
{
  gboolean running = FALSE;

  if (!vs_quiesce_applies (run))
    return;
  vs_steps_let_run (run, NULL);
  if (vs_steps_is_running (run, &running, NULL) && running)
    vs_quiesce_undo (run, NULL);
}

/* Whatever of it happened, the memory and the definitions included. When the guest may run again is the disks' to say. */
static gboolean
unswitch (VsRun *run, GError **error)
{
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);
  g_autoptr (GPtrArray) internal = vs_tags_list (run);

  if (has_memory (run) && !vs_memory_save_stop (run, error))
    return FALSE;
  vs_steps_hold (run, FALSE);
  thaw_first (run);
  return vs_disk_switch_undo (run, error) && vs_steps_restore_running (run, error)
         && (internal->len == 0 || vs_tags_delete (run, vs_run_get_string (run, FACT_TAG), error))
         && (nvram == NULL || vs_nvram_forget (run, nvram, error));
}

static void
add_disks (VsRun *run, VsSnapshotDef *snapshot)
{
  GPtrArray *disks = snapshot->domain->disks;
  g_autoptr (GPtrArray) internal = vs_tags_list (run);
  g_autoptr (GHashTable) taken = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);

      g_hash_table_insert (taken, (gpointer) vs_overlay_get (overlay, VS_OVERLAY_TARGET),
                           (gpointer) vs_overlay_get (overlay, VS_OVERLAY_PATH));
    }
  for (guint i = 0; i < internal->len; i++)
    g_hash_table_insert (taken, ((VsTagState *) g_ptr_array_index (internal, i))->target, NULL);
  for (guint i = 0; i < disks->len; i++)
    {
      const char *target = ((const VsDiskDef *) g_ptr_array_index (disks, i))->target;
      const char *path = g_hash_table_lookup (taken, target);

      vs_snapshot_def_add_disk (snapshot, target,
                                path != NULL                            ? VMSNAP_LOCATION_EXTERNAL
                                : g_hash_table_contains (taken, target) ? VMSNAP_LOCATION_INTERNAL
                                                                        : VMSNAP_LOCATION_NONE,
                                path, path != NULL ? "qcow2" : NULL);
    }
}

/* What they are, so that others in their place aren't taken for them later. */
static void
note_frozen_files (VsRun *run, VsSnapshotDef *def)
{
  for (guint i = 0; i < vs_overlays_count (run); i++)
    {
      JsonObject *overlay = vs_overlays_get (run, i);
      g_autoptr (VsDiskLook) look = vs_disk_look (vs_overlay_get (overlay, VS_OVERLAY_BASE_PATH),
                                                  vs_overlay_get (overlay, VS_OVERLAY_BASE_FORMAT), FALSE, "frozen");

      if (look->problem == NULL)
        vs_frozen_file_note (def, vs_overlay_get (overlay, VS_OVERLAY_TARGET), &look->file, look->backing_path);
    }
}

/* The domain is described as it was: with the files that are frozen now. */
static VsSnapshotDef *
describe (VsRun *run)
{
  VsSnapshotDef *def = vs_snapshot_create_describe (run);
  g_autoptr (GPtrArray) internal = vs_tags_list (run);

  def->state = !vs_run_get_flag (run, FACT_ACTIVE)   ? VMSNAP_SNAPSHOT_STATE_SHUTOFF
               : !has_memory (run)                   ? VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT
               : vs_run_get_flag (run, FACT_RUNNING) ? VMSNAP_SNAPSHOT_STATE_RUNNING
                                                     : VMSNAP_SNAPSHOT_STATE_PAUSED;
  def->memory = has_memory (run) ? VMSNAP_LOCATION_EXTERNAL : VMSNAP_LOCATION_NONE;
  if (has_memory (run))
    {
      def->memory_path = g_strdup (vs_run_get_string (run, FACT_MEMORY_PATH));
      vs_snapshot_def_set_fact_uint64 (def, VS_SNAPSHOT_FACT_SIZE, (guint64) vs_run_get_int (run, FACT_MEMORY_SIZE));
      vs_snapshot_def_set_fact_uint64 (def, VS_SNAPSHOT_FACT_MEMORY_SIZE,
                                       (guint64) vs_run_get_int (run, FACT_MEMORY_SIZE));
    }
  add_disks (run, def);
  note_frozen_files (run, def);
  if (internal->len > 0)
    vs_snapshot_def_set_fact (def, VS_SNAPSHOT_FACT_TAG, vs_run_get_string (run, FACT_TAG));
  return def;
}

static gboolean
is_recorded_at_all (VsRun *run)
{
  return !vs_run_get_flag (run, FACT_NO_METADATA);
}

/* The commit point is the record's file; without one, that this was begun. Whoever wants no record has the files to
 * himself, too. */
static gboolean
record (VsRun *run, GError **error)
{
  g_autoptr (VsSnapshotDef) def = NULL;

  if (!is_recorded_at_all (run))
    return TRUE;
  def = describe (run);
  return vs_overlay_files_own (run, error) && vs_record_write (run, def, error);
}

static gboolean
is_recorded (VsRun *run)
{
  return is_recorded_at_all (run) && vs_record_exists (run, vs_run_get_string (run, VS_FACT_SNAPSHOT));
}

static gboolean
unrecord (VsRun *run, GError **error)
{
  return !is_recorded_at_all (run)
         || (vs_record_remove (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error)
             && vs_overlay_files_disown (run, error));
}

static gboolean
make_current (VsRun *run, GError **error)
{
  return (!is_recorded_at_all (run) || vs_record_set_current (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error))
         && vs_run_on_main (run, vs_snapshot_create_tell, NULL, error);
}

static gboolean
is_to_halt (VsRun *run)
{
  return vs_run_get_flag (run, FACT_HALT) && vs_run_get_flag (run, FACT_ACTIVE);
}

static gboolean
halt (VsRun *run, GError **error)
{
  return vs_steps_end_guest (run, VS_PROCESS_END_TERM, VMSNAP_STATE_REASON_SAVED, error);
}

static const VsStep steps[] = {
  { "Checking disks", 2, look_first },
  { "Asking the guest agent", 1, vs_quiesce_ping, NULL, NULL, VS_COMMIT_NOT, vs_quiesce_applies },
  { "Preparing overlays", 5, prepare, unprepare },
  { "Freezing file systems", 1, vs_quiesce_freeze, vs_quiesce_undo, NULL, VS_COMMIT_NOT, vs_quiesce_applies },
  { "Taking the checkpoint", 3, switch_disks, unswitch, NULL, VS_COMMIT_NOT, is_switch_alone },
  { "Writing memory", 85, switch_disks, unswitch, NULL, VS_COMMIT_NOT, is_at_once },
  { "Adopting overlays", 1, vs_disk_switch_adopt, NULL, NULL, VS_COMMIT_NOT, NULL, TRUE },
  { "Thawing file systems", 1, vs_quiesce_thaw, NULL, NULL, VS_COMMIT_NOT, vs_quiesce_applies, TRUE },
  { "Writing memory", 85, vs_memory_save_wait, NULL, NULL, VS_COMMIT_NOT, is_in_background, TRUE },
  { "Completing the image", 4, vs_memory_save_complete, NULL, NULL, VS_COMMIT_NOT, has_memory, TRUE },
  { "Recording", 2, record, unrecord, is_recorded, VS_COMMIT_WHEN_DONE, NULL, TRUE },
  { "Making it current", 1, make_current },
  { "Powering off", 1, halt, NULL, NULL, VS_COMMIT_NOT, is_to_halt },
};

const VsWorkflow vs_workflow_snapshot_create_external
  = { "snapshot-create", "snapshot-create-external", check, steps, G_N_ELEMENTS (steps) };
