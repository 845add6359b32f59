/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Taking an internal snapshot: memory and disks into the qcow2 files by QEMU's snapshot-save while there is a guest,
 * the disks alone by qemu-img while there is none.
 */
#include "vmsnap-error.h"
#include "vs-image-tool.h"
#include "vs-nvram.h"
#include "vs-record.h"
#include "vs-snapshot-create.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"

#define FACT_VM_STATE_SIZE "vm-state-size"

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  if (vs_domain_is_active (domain) && json_object_get_boolean_member_with_default (facts, FACT_DISK_ONLY, FALSE))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "An internal snapshot of a guest holds its memory, too, and %s has one: 'disk-only' is not supported "
                   "with location=internal; leave it out, or power the domain off",
                   vs_domain_get_name (domain));
      return FALSE;
    }
  return vs_snapshot_create_check (domain, facts, error)
         && vs_tags_choose_disks (vs_domain_get_def (domain), facts, error);
}

/* Without a guest it is qemu-img's to find out. */
static gboolean
check_room (VsRun *run, GError **error)
{
  return !vs_run_get_flag (run, FACT_ACTIVE) || vs_tags_check_room (run, vs_steps_resident_memory (run), error);
}

/* QEMU keeps what it knows of a qcow2 file in memory, so its bytes can't be put back under a guest that lives on. */
static gboolean
look_at_variables (VsRun *run, GError **error)
{
  VsDomainDef *def = vs_run_get_def (run);
  g_autofree char *file = vs_nvram_file_name (vs_run_get_string (run, VS_FACT_SNAPSHOT));

  if (!vs_nvram_is_kept (def) || vs_nvram_get_source (def) == NULL)
    return TRUE;
  if (vs_run_get_flag (run, FACT_ACTIVE) && !g_str_equal (def->os.nvram_format, "raw"))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "The UEFI variables of %s (%s) are in the format %s; snapshots of a guest that is there need them raw "
                   "(qemu-img convert -O raw, <nvram format='raw'>). Or take the snapshot while it is off",
                   def->name, def->os.nvram, def->os.nvram_format);
      return FALSE;
    }
  vs_run_set_string (run, FACT_NVRAM, file);
  return TRUE;
}

static gboolean
look_first (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_TAG);
  g_autoptr (GPtrArray) states = vs_tags_claim (run, error) ? vs_tags_look (run, tag, error) : NULL;
  gboolean running;

  if (states == NULL)
    return FALSE;
  /* The user may have paused or resumed it since it was this operation's turn. */
  if (vs_run_get_flag (run, FACT_ACTIVE))
    {
      if (!vs_steps_is_running (run, &running, error) || !vs_tags_check_nodes (states, error))
        return FALSE;
      vs_run_set_flag (run, FACT_RUNNING, running);
      vs_tags_keep_nodes (run, states);
    }
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
  return look_at_variables (run, error) && check_room (run, error);
}

/* With a variable store the guest is stopped by us, so that the store's bytes are of the same instant. */
static gboolean
save_online (VsRun *run, GError **error)
{
  static const char *const events[] = { "STOP", "RESUME", NULL };
  const char *tag = vs_run_get_string (run, FACT_TAG);
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);
  gboolean was_running = vs_run_get_flag (run, FACT_RUNNING);
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (QmpWatch) watch = NULL;
  g_autoptr (GBytes) variables = NULL;

  if (monitor == NULL)
    return FALSE;
  watch = qmp_client_watch (monitor, events);
  vs_steps_expect_stop (run, was_running ? VMSNAP_STATE_REASON_SNAPSHOTTING : VMSNAP_STATE_REASON_UNKNOWN);
  if (nvram != NULL)
    {
      if (was_running && !vs_steps_call (run, "stop", NULL, error))
        return FALSE;
      variables = vs_nvram_read (vs_run_get_def (run)->os.nvram, error);
      if (variables == NULL)
        return FALSE;
    }
  if (!vs_tags_save (run, tag, error))
    return FALSE;
  vs_steps_expect_stop (run, VMSNAP_STATE_REASON_UNKNOWN);
  if (nvram != NULL && !vs_steps_restore_running (run, error))
    return FALSE;
  vs_tags_dismiss (run, VS_TAGS_JOB_SAVE);
  if (nvram != NULL && !vs_nvram_keep (run, variables, nvram, error))
    return FALSE;
  vs_run_set_int (run, FACT_DOWNTIME, vs_snapshot_create_read_downtime (watch));
  return TRUE;
}

static gboolean
save (VsRun *run, GError **error)
{
  const char *tag = vs_run_get_string (run, FACT_TAG);
  g_autoptr (GPtrArray) states = NULL;

  vs_run_set_int (run, FACT_TIME, g_get_real_time ());
  if (!vs_run_get_flag (run, FACT_ACTIVE))
    return vs_snapshot_create_offline (run, error);
  if (!save_online (run, error))
    return FALSE;

  states = vs_tags_look (run, tag, error);
  if (states == NULL)
    return FALSE;
  if (!vs_tags_check_complete (run, states, tag, error))
    return FALSE;
  vs_run_set_int (run, FACT_VM_STATE_SIZE, vs_tags_get_vmstate (run, states)->vm_state_size);
  return TRUE;
}

/* Whatever of it happened. */
static gboolean
unsave (VsRun *run, GError **error)
{
  g_autofree char *job_id = vs_steps_job_id (run, VS_TAGS_JOB_SAVE);
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);

  /* The guest doesn't wait for the tidying. */
  if (!vs_steps_wait_for_job (run, job_id, error) || !vs_steps_restore_running (run, error))
    return FALSE;
  return vs_tags_delete (run, vs_run_get_string (run, FACT_TAG), error)
         && (nvram == NULL || vs_nvram_forget (run, nvram, error));
}

static void
add_disks (VsSnapshotDef *snapshot, VsDomainDef *def)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      gboolean covered = !disk->readonly && !disk->is_cdrom && disk->path != NULL;

      vs_snapshot_def_add_disk (snapshot, disk->target, covered ? VMSNAP_LOCATION_INTERNAL : VMSNAP_LOCATION_NONE, NULL,
                                NULL);
    }
}

static VsSnapshotDef *
describe (VsRun *run)
{
  VsSnapshotDef *def = vs_snapshot_create_describe (run);
  guint64 size = vs_run_get_int (run, FACT_VM_STATE_SIZE);
  gboolean active = vs_run_get_flag (run, FACT_ACTIVE);

  def->state = !active                                ? VMSNAP_SNAPSHOT_STATE_SHUTOFF
               : vs_run_get_flag (run, FACT_RUNNING)  ? VMSNAP_SNAPSHOT_STATE_RUNNING
                                                      : VMSNAP_SNAPSHOT_STATE_PAUSED;
  def->memory = active ? VMSNAP_LOCATION_INTERNAL : VMSNAP_LOCATION_NONE;
  add_disks (def, def->domain);
  vs_snapshot_def_set_fact (def, VS_SNAPSHOT_FACT_TAG, vs_run_get_string (run, FACT_TAG));
  vs_snapshot_def_set_fact_uint64 (def, VS_SNAPSHOT_FACT_SIZE, size);
  vs_snapshot_def_set_fact_uint64 (def, VS_SNAPSHOT_FACT_MEMORY_SIZE, size);
  if (active)
    vs_snapshot_def_set_fact (def, VS_SNAPSHOT_FACT_VMSTATE, vs_run_get_string (run, VS_TAGS_FACT_VMSTATE));
  return def;
}

/* The commit point is the record's file. */
static gboolean
record (VsRun *run, GError **error)
{
  g_autoptr (VsSnapshotDef) def = describe (run);

  return vs_record_write (run, def, error);
}

static gboolean
is_recorded (VsRun *run)
{
  return vs_record_exists (run, vs_run_get_string (run, VS_FACT_SNAPSHOT));
}

static gboolean
make_current (VsRun *run, GError **error)
{
  return vs_record_set_current (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error)
         && vs_run_on_main (run, vs_snapshot_create_tell, NULL, error);
}

static gboolean
unrecord (VsRun *run, GError **error)
{
  return vs_record_remove (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error);
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
  { "Checking disks", 1, look_first },
  { "Saving memory and disks", 95, save, unsave },
  { "Recording", 2, record, unrecord, is_recorded, VS_COMMIT_WHEN_DONE, NULL, TRUE },
  { "Making it current", 1, make_current },
  { "Powering off", 1, halt, NULL, NULL, VS_COMMIT_NOT, is_to_halt },
};

const VsWorkflow vs_workflow_snapshot_create_internal
  = { "snapshot-create", "snapshot-create-internal", check, steps, G_N_ELEMENTS (steps) };
