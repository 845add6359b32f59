/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Making known a snapshot that exists: its description becomes its record, once the files have been seen to hold what
 * it says. Nothing but the record changes, and that in one go.
 */
#include "vmsnap-error.h"
#include "vs-firmware.h"
#include "vs-hypervisor.h"
#include "vs-operations.h"
#include "vs-record.h"
#include "vs-redefine-look.h"
#include "vs-redefine-rules.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"

#define SNAPSHOTS "snapshots"

#define FACT_XML "xml"               /* what the caller says */
#define FACT_PARENT "parent"         /* and which parent that names */
#define FACT_CURRENT "current"       /* whether it becomes the current one */
#define FACT_RECORD "record"         /* what will be on record */
#define FACT_OLD_RECORD "old-record" /* what was, if anything */

/* The records of a domain. Main thread. */
static GPtrArray *
list_records (VsDomain *domain)
{
  g_autoptr (GList) snapshots = vs_domain_list_snapshots (domain);
  GPtrArray *records = g_ptr_array_new_with_free_func ((GDestroyNotify)vs_snapshot_def_unref);

  for (GList *l = snapshots; l != NULL; l = l->next)
    g_ptr_array_add (records, vs_snapshot_def_ref (vs_snapshot_get_def (l->data)));
  return records;
}

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  g_autoptr (GPtrArray) records = list_records (domain);

  return vs_redefine_check_parent (json_object_get_string_member (facts, VS_FACT_SNAPSHOT),
                                   json_object_get_string_member_with_default (facts, FACT_PARENT, NULL), records,
                                   error);
}

static gboolean
get_records (VsRun *run, gpointer data, GError **error)
{
  GPtrArray **records = data;

  *records = list_records (vs_run_get_domain (run));
  return TRUE;
}

static VsSnapshotDef *
find_record (GPtrArray *records, const char *name)
{
  for (guint i = 0; i < records->len; i++)
    if (g_str_equal (((VsSnapshotDef *)g_ptr_array_index (records, i))->name, name))
      return g_ptr_array_index (records, i);
  return NULL;
}

/* As when a domain is defined: machine and firmware are definite. */
static gboolean
complete_domain (VsRun *run, VsDomainDef **domain, GError **error)
{
  const char *emulator = *domain == NULL || (*domain)->emulator == NULL ? vs_steps_emulator (run) : (*domain)->emulator;
  g_autoptr (VsHypervisor) hypervisor = NULL;
  g_autoptr (VsDomainDef) versioned = NULL;
  g_autofree char *machine = NULL;
  VsDomainDef *complete;

  if (*domain == NULL)
    return TRUE;
  hypervisor = vs_hypervisor_get (emulator, NULL, error);
  machine = hypervisor != NULL ? vs_hypervisor_resolve_machine (hypervisor, (*domain)->os.machine, error) : NULL;
  versioned = machine != NULL ? vs_domain_def_copy_with_machine (*domain, machine, error) : NULL;
  complete = versioned != NULL ? vs_firmware_complete (versioned, vs_run_get_store (run), error) : NULL;
  if (complete == NULL)
    return FALSE;
  vs_domain_def_unref (*domain);
  *domain = complete;
  return TRUE;
}

/* All that a record needs, checked against the other records. */
static VsSnapshotDef *
complete (VsRun *run, GPtrArray *records, VsSnapshotDef *known, GError **error)
{
  g_autoptr (VsSnapshotDef) given
    = vs_snapshot_def_parse (vs_run_get_string (run, FACT_XML), VS_DOMAIN_DEF_NONE, error);
  g_autoptr (VsSnapshotDef) def
    = given != NULL ? vs_redefine_complete (given, vs_run_get_uuid (run), known, error) : NULL;

  if (def == NULL || !complete_domain (run, &def->domain, error) || !complete_domain (run, &def->inactive_domain, error)
      || (known != NULL && !vs_redefine_check_same (known, def, error))
      || !vs_redefine_check_apart (def, records, error))
    return NULL;
  return g_steal_pointer (&def);
}

static void
note_record (VsRun *run, const char *fact, VsSnapshotDef *def)
{
  g_autofree char *xml = vs_snapshot_def_format (def);

  vs_run_set_string (run, fact, xml);
}

static gboolean
look_first (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) records = NULL;
  g_autoptr (VsSnapshotDef) def = NULL;
  VsSnapshotDef *known;

  vs_run_on_main (run, get_records, &records, NULL);
  known = find_record (records, vs_run_get_string (run, VS_FACT_SNAPSHOT));
  def = complete (run, records, known, error);
  if (def == NULL || !vs_redefine_look (run, def, error)
      || (vs_run_get_flag (run, FACT_CURRENT) && !vs_redefine_look_current (run, def, error)))
    return FALSE;
  note_record (run, FACT_RECORD, def);
  if (known != NULL)
    note_record (run, FACT_OLD_RECORD, known);
  json_object_remove_member (vs_run_get_facts (run), FACT_XML);
  return TRUE;
}

static gboolean
write_record (VsRun *run, const char *fact, GError **error)
{
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_parse (vs_run_get_string (run, fact), VS_DOMAIN_DEF_NONE, error);

  return def != NULL && vs_record_write (run, def, error);
}

/* The commit point is the record's file. */
static gboolean
record (VsRun *run, GError **error)
{
  return write_record (run, FACT_RECORD, error);
}

static gboolean
is_recorded (VsRun *run)
{
  g_autofree char *file = vs_record_file_name (vs_run_get_string (run, VS_FACT_SNAPSHOT));
  g_autofree char *xml = vs_store_read (vs_run_get_store (run), vs_run_get_uuid (run), SNAPSHOTS, file, NULL);

  return g_strcmp0 (xml, vs_run_get_string (run, FACT_RECORD)) == 0;
}

static gboolean
unrecord (VsRun *run, GError **error)
{
  if (vs_run_get_string (run, FACT_OLD_RECORD) != NULL)
    return write_record (run, FACT_OLD_RECORD, error);
  return vs_record_remove (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error);
}

static gboolean
tell (VsRun *run, gpointer data, GError **error)
{
  const char *name = vs_run_get_string (run, VS_FACT_SNAPSHOT);
  GVariantBuilder details;

  vs_job_add_result (vs_run_get_job (run), "snapshot", g_variant_new_string (name));
  if (vs_run_get_string (run, FACT_OLD_RECORD) != NULL)
    return TRUE;
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "snapshot", g_variant_new_string (name));
  vs_domain_emit_event (vs_run_get_domain (run), "snapshot-created", g_variant_builder_end (&details));
  return TRUE;
}

static gboolean
make_known (VsRun *run, GError **error)
{
  if (vs_run_get_flag (run, FACT_CURRENT)
      && !vs_record_set_current (run, vs_run_get_string (run, VS_FACT_SNAPSHOT), error))
    return FALSE;
  return vs_run_on_main (run, tell, NULL, error);
}

static const VsStep steps[] = {
  { "Checking the snapshot", 8, look_first },
  { "Recording", 1, record, unrecord, is_recorded, VS_COMMIT_WHEN_DONE },
  { "Making it known", 1, make_known },
};

const VsWorkflow vs_workflow_snapshot_redefine = {
  "snapshot-create", "snapshot-redefine", check, steps, G_N_ELEMENTS (steps),
};

/**
 * vs_operation_snapshot_redefine:
 * @engine: the engine
 * @domain: a domain
 * @def: what the caller says that a snapshot of it is
 * @current: whether it becomes the current one
 * @request: who asks
 * @error: where to put %VMSNAP_ERROR_INVALID_ARGUMENT, …
 *
 * Puts a snapshot that exists on record, or replaces the record of it. Nothing is taken, and no disk is touched.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_operation_snapshot_redefine (VsEngine *engine,
                                VsDomain *domain,
                                VsSnapshotDef *def,
                                gboolean current,
                                const VsRequest *request,
                                GError **error)
{
  VsSnapshot *known = vs_domain_get_snapshot (domain, def->name);
  g_autoptr (VsSnapshotDef) complete_def
    = vs_redefine_complete (def, vs_domain_get_uuid (domain), known != NULL ? vs_snapshot_get_def (known) : NULL,
                            error);
  g_autoptr (JsonObject) facts = json_object_new ();
  g_autofree char *xml = NULL;

  if (complete_def == NULL)
    return NULL;
  xml = vs_snapshot_def_format (def);
  json_object_set_string_member (facts, VS_FACT_SNAPSHOT, def->name);
  json_object_set_string_member (facts, FACT_XML, xml);
  if (def->parent != NULL)
    json_object_set_string_member (facts, FACT_PARENT, def->parent);
  json_object_set_boolean_member (facts, FACT_CURRENT, current);
  return vs_engine_submit (engine, domain, &vs_workflow_snapshot_redefine, facts, request, error);
}
