/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverting to a snapshot: what can be asked, which way is taken, and what all ways have in common. Where all is kept
 * inside files that may be written, a guest whose devices and files are the snapshot's own is reverted in place
 * (vs-snapshot-revert-in-place.c), and everything else in its files (vs-snapshot-revert-restart.c). Otherwise what the
 * snapshot is kept in stays as it is, and the domain gets other files (vs-snapshot-revert-external.c).
 */
#include "vs-snapshot-revert.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-hypervisor.h"
#include "vs-image-reader.h"
#include "vs-nvram.h"
#include "vs-operations.h"
#include "vs-record.h"
#include "vs-revert-files.h"
#include "vs-save-workflows.h"
#include "vs-save-xml.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"

#define FACT_FORCE "force"

static gboolean
has_memory (VsSnapshotDef *def)
{
  return def->memory != VMSNAP_LOCATION_NONE;
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
  g_autofree char *old = vs_domain_def_format (vs_domain_get_inactive_def (domain));
  g_autofree char *present = vs_domain_def_format (vs_domain_get_def (domain));
  g_autofree char *undo_tag = g_strdup_printf ("vmsnap-undo-%08x", g_random_int ());

  json_object_set_string_member (facts, FACT_TAG, vs_snapshot_def_get_tag (def));
  json_object_set_boolean_member (facts, FACT_MEMORY, def->memory == VMSNAP_LOCATION_INTERNAL);
  if (def->memory == VMSNAP_LOCATION_EXTERNAL)
    json_object_set_string_member (facts, FACT_MEMORY_FILE, def->memory_path);
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

/* What a record that came from elsewhere may lack. */
static gboolean
check_record (VsDomain *domain, VsSnapshotDef *def, GError **error)
{
  if (def->domain == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                 "The record of snapshot '%s' of %s doesn't say what the domain was, so nobody can go back to it; define "
                 "it again with a <domain> in it",
                 def->name, vs_domain_get_name (domain));
  else if (vs_snapshot_def_get_location (def) == VMSNAP_LOCATION_NONE)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "Snapshot '%s' of %s holds neither disks nor memory",
                 def->name, vs_domain_get_name (domain));
  else if (def->memory == VMSNAP_LOCATION_EXTERNAL && def->memory_path == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                 "The record of snapshot '%s' of %s doesn't say which file its memory is in", def->name,
                 vs_domain_get_name (domain));
  else
    return TRUE;
  return FALSE;
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
  if (!check_record (domain, def, error))
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
  return check_guest (domain, def, json_object_get_boolean_member (facts, FACT_FORCE), error);
}

static gboolean
get_snapshot (VsRun *run, gpointer data, GError **error)
{
  VsSnapshotDef **def = data;
  VsSnapshot *snapshot = vs_domain_get_snapshot (vs_run_get_domain (run), vs_run_get_string (run, VS_FACT_SNAPSHOT));

  if (snapshot != NULL)
    *def = vs_snapshot_def_ref (vs_snapshot_get_def (snapshot));
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "Snapshot %s is gone",
                 vs_run_get_string (run, VS_FACT_SNAPSHOT));
  return snapshot != NULL;
}

/* The file must be whole, and this domain's: the guest that is there isn't ended for the sake of another. */
static gboolean
check_image (VsRun *run, int fd, GError **error)
{
  g_autoptr (VsImageReader) reader = vs_image_reader_new (fd, VS_IMAGE_FLAGS_NONE, error);
  g_autofree char *name = NULL;
  g_autofree char *uuid = NULL;

  if (reader == NULL)
    return FALSE;
  if (vs_save_definition_read_names (vs_image_reader_get_header (reader)->xml, &name, &uuid)
      && g_str_equal (uuid, vs_run_get_uuid (run)))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "it is the memory of another domain, %s",
               name != NULL ? name : "one without a name");
  return FALSE;
}

static gboolean
check_memory_file (VsRun *run, GError **error)
{
  const char *path = vs_run_get_string (run, FACT_MEMORY_FILE);
  int fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
  int number = errno;
  gboolean ok;

  if (path == NULL)
    return TRUE;
  ok = fd >= 0 && check_image (run, fd, error);
  if (fd < 0)
    g_set_error (error, VMSNAP_ERROR, number == ENOENT ? VMSNAP_ERROR_NOT_FOUND : VMSNAP_ERROR_IO, "%s",
                 g_strerror (number));
  else
    close (fd);
  if (!ok)
    g_prefix_error (error, "The memory of snapshot '%s' (%s) can't be used: ", vs_run_get_string (run, VS_FACT_SNAPSHOT),
                    path);
  return ok;
}

static gboolean
check_machine (VsRun *run, VsSnapshotDef *def, GError **error)
{
  const char *emulator = def->domain->emulator != NULL ? def->domain->emulator : vs_steps_emulator (run);
  g_autoptr (VsHypervisor) hypervisor = vs_hypervisor_get (emulator, vs_run_get_cancellable (run), error);
  g_autofree char *machine
    = hypervisor != NULL ? vs_hypervisor_resolve_machine (hypervisor, def->domain->os.machine, error) : NULL;

  if (machine == NULL)
    g_prefix_error (error, "Snapshot '%s' can't be gone back to: ", def->name);
  return machine != NULL;
}

/* Whether each disk that is written is in the file that it would have. */
static gboolean
has_same_files (VsRun *run, GError **error)
{
  g_autoptr (VsDomainDef) next = vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);

  for (guint i = 0; next != NULL && i < next->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (next->disks, i);
      const VsDiskDef *now = vs_domain_def_find_disk (vs_run_get_def (run), disk->target);

      if (!disk->readonly && !disk->is_cdrom && (now == NULL || g_strcmp0 (now->path, disk->path) != 0))
        return FALSE;
    }
  return next != NULL;
}

/* What must be kept until the revert has worked: of a guest that has to end, memory and disks; else the disks that will
 * be changed. */
static gboolean
note_present (VsRun *run, gboolean in_place, GError **error)
{
  JsonObject *facts = vs_run_get_facts (run);

  if (vs_run_get_flag (run, FACT_ACTIVE) && !in_place && !vs_tags_choose_disks (vs_run_get_def (run), facts, error))
    {
      g_prefix_error (error, "The guest would have to end, and its present state can't be kept for the case of failure; "
                             "power it off first. ");
      return FALSE;
    }
  vs_tags_store_set (facts, VS_TAGS_PRESENT);
  return TRUE;
}

static gboolean
choose_plain (VsRun *run, VsSnapshotDef *def, GError **error)
{
  g_autofree char *difference = NULL;
  gboolean in_place = vs_run_get_flag (run, FACT_ACTIVE) && vs_run_get_flag (run, FACT_MEMORY)
                      && vs_domain_def_guest_abi_equal (def->domain, vs_run_get_def (run), &difference)
                      && has_same_files (run, NULL);

  if (!note_present (run, in_place, error))
    return FALSE;
  vs_run_turn_to (run, in_place ? &vs_workflow_snapshot_revert_in_place : &vs_workflow_snapshot_revert_restart);
  return TRUE;
}

/* Nothing is changed before all that it takes was seen to be there. */
static gboolean
choose (VsRun *run, GError **error)
{
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);
  g_autoptr (VsSnapshotDef) def = NULL;
  g_autoptr (VsDiskGraph) graph = NULL;

  if (!vs_run_on_main (run, get_snapshot, &def, error) || !check_memory_file (run, error)
      || (nvram != NULL && !vs_nvram_check (run, nvram, error)) || !check_machine (run, def, error))
    return FALSE;
  graph = vs_steps_look_at_disks (run, error);
  if (graph == NULL || !vs_revert_files_choose (run, def, graph, error))
    return FALSE;
  if (vs_revert_files_are_plain (def, graph))
    return choose_plain (run, def, error);
  vs_run_turn_to (run, vs_run_get_flag (run, FACT_GUEST) ? &vs_workflow_snapshot_revert_beside
                                                         : &vs_workflow_snapshot_revert_off);
  return TRUE;
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
    vs_run_set_int (run, FACT_VM_STATE_SIZE, vmstate->vm_state_size);
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
tell_on_main (VsRun *run, gpointer data, GError **error)
{
  const char *name = vs_run_get_string (run, VS_FACT_SNAPSHOT);
  GVariantBuilder details;

  vs_job_add_result (vs_run_get_job (run), "snapshot", g_variant_new_string (name));
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "snapshot", g_variant_new_string (name));
  vs_domain_emit_event (vs_run_get_domain (run), "snapshot-reverted", g_variant_builder_end (&details));
  return TRUE;
}

/* The steps go by that definition from here on. */
gboolean
vs_revert_use_definition (VsRun *run, const char *fact, GError **error)
{
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (vs_run_get_string (run, fact), VS_DOMAIN_DEF_NONE, error);
  g_autoptr (VsDomainDef) named =
    def != NULL ? vs_domain_def_copy_with_name (def, vs_run_get_def (run)->name, error) : NULL;

  if (named == NULL)
    return FALSE;
  vs_run_set_def (run, named);
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
vs_revert_record_quietly (VsRun *run, GError **error)
{
  return set_definition (run, vs_run_get_string (run, FACT_DEFINITION), error)
         && vs_record_set_current (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error);
}

gboolean
vs_revert_tell (VsRun *run, GError **error)
{
  return vs_run_on_main (run, tell_on_main, NULL, error);
}

gboolean
vs_revert_record (VsRun *run, GError **error)
{
  return vs_revert_record_quietly (run, error) && vs_revert_tell (run, error);
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

static const VsStep steps[] = {
  { "Checking the snapshot", 2, choose },
};

const VsWorkflow vs_workflow_snapshot_revert
  = { "snapshot-revert", "snapshot-revert", check, steps, G_N_ELEMENTS (steps) };

/**
 * vs_operation_snapshot_revert:
 * @engine: the engine
 * @snapshot: a snapshot
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
