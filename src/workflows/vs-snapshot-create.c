/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Asking for a snapshot: what is checked and told of it, wherever it will be kept, and which workflow takes it.
 */
#include "vs-snapshot-create.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vmsnap-names.h"
#include "vs-image-tool.h"
#include "vs-memory-save.h"
#include "vs-nvram.h"
#include "vs-operations.h"
#include "vs-overlays.h"
#include "vs-quiesce.h"
#include "vs-save-workflows.h"
#include "vs-snapshot-workflows.h"
#include "vs-steps.h"
#include "vs-tags.h"
#include "vs-warning.h"

static gboolean
check_halt (VsDomain *domain, GError **error)
{
  if (vs_domain_get_persistent (domain))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "%s is transient, and would be gone after halt; leave halt out, or define the domain first",
               vs_domain_get_name (domain));
  return FALSE;
}

/* What tells how a guest's memory is written means nothing where there is no guest. */
static gboolean
check_guest (VsDomain *domain, JsonObject *facts, GError **error)
{
  static const char *const ways[] = { FACT_LIVE, FACT_PAUSE, FACT_MEMORY_PATH, FACT_ENCODING_WISH };

  for (gsize i = 0; !vs_domain_is_active (domain) && i < G_N_ELEMENTS (ways); i++)
    if (json_object_has_member (facts, ways[i]))
      {
        g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                     "%s is shut off, so there is no guest that '%s' could be about; leave it out, or start the domain",
                     vs_domain_get_name (domain), g_str_equal (ways[i], FACT_ENCODING_WISH) ? "encoding" : ways[i]);
        return FALSE;
      }
  return TRUE;
}

/**
 * vs_snapshot_create_check:
 * @domain: the domain
 * @facts: the operation's
 * @error: %VMSNAP_ERROR_ALREADY_EXISTS, %VMSNAP_ERROR_INVALID_STATE, …
 *
 * For a workflow's check: whether the domain can have such a snapshot now; notes the parent, and how the domain is.
 *
 * Returns: whether it can
 */
gboolean
vs_snapshot_create_check (VsDomain *domain, JsonObject *facts, GError **error)
{
  const char *name = json_object_get_string_member (facts, VS_FACT_SNAPSHOT);
  VsSnapshot *parent = vs_domain_get_current_snapshot (domain);

  if (vs_domain_get_snapshot (domain, name) != NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS,
                   "%s has a snapshot called %s already; delete it, or choose another name",
                   vs_domain_get_name (domain), name);
      return FALSE;
    }
  if (!vs_save_refuse_managed (domain, "", error))
    return FALSE;
  if (vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_CRASHED)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "%s has crashed; reset it or power it off first",
                   vs_domain_get_name (domain));
      return FALSE;
    }
  if (json_object_get_boolean_member (facts, FACT_HALT) && !check_halt (domain, error))
    return FALSE;
  if (!check_guest (domain, facts, error))
    return FALSE;
  vs_steps_note_state (domain, facts);
  if (parent != NULL)
    json_object_set_string_member (facts, FACT_PARENT, vs_snapshot_get_name (parent));
  else
    json_object_remove_member (facts, FACT_PARENT);
  return TRUE;
}

static void
add_text (VsRun *run, const char *fact, const char *key)
{
  const char *text = vs_run_get_string (run, fact);

  if (text != NULL)
    vs_job_add_result (vs_run_get_job (run), key, g_variant_new_string (text));
}

/* How the memory gets written, and what to beware of. Main thread. */
gboolean
vs_snapshot_create_tell_way (VsRun *run, gpointer data, GError **error)
{
  add_text (run, FACT_MEMORY_MODE, "mode");
  add_text (run, FACT_MODE_REASON, "mode-reason");
  return vs_warning_tell (run, NULL, NULL);
}

static void
tell_of_snapshot (VsRun *run)
{
  const char *name = vs_run_get_string (run, VS_FACT_SNAPSHOT);
  GVariantBuilder details;

  vs_job_add_result (vs_run_get_job (run), "snapshot", g_variant_new_string (name));
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "snapshot", g_variant_new_string (name));
  vs_domain_emit_event (vs_run_get_domain (run), "snapshot-created", g_variant_builder_end (&details));
}

/* The end, told on the main thread. What isn't on record is no snapshot on the bus. */
gboolean
vs_snapshot_create_tell (VsRun *run, gpointer data, GError **error)
{
  vs_snapshot_create_tell_way (run, NULL, NULL);
  add_text (run, FACT_MEMORY_PATH, "file");
  vs_job_add_result (vs_run_get_job (run), "downtime", g_variant_new_uint64 (vs_run_get_int (run, FACT_DOWNTIME)));
  if (!vs_run_get_flag (run, FACT_NO_METADATA))
    tell_of_snapshot (run);
  return TRUE;
}

/**
 * vs_snapshot_create_offline:
 * @run: a run without a guest
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, …
 *
 * Nobody writes to the disks: where they are, the definitions alone say; this keeps what is inside their files, and the
 * UEFI variables.
 *
 * Returns: whether it is kept
 */
gboolean
vs_snapshot_create_offline (VsRun *run, GError **error)
{
  const char *nvram = vs_run_get_string (run, FACT_NVRAM);
  g_autoptr (GBytes) variables = NULL;

  if (nvram != NULL)
    {
      variables = vs_nvram_read (vs_nvram_get_source (vs_run_get_def (run)), error);
      if (variables == NULL || !vs_nvram_keep (run, variables, nvram, error))
        return FALSE;
    }
  return vs_tags_create_offline (run, vs_run_get_string (run, FACT_TAG), error);
}

/* How long the guest stood still, by QEMU's own clock. */
gint64
vs_snapshot_create_read_downtime (QmpWatch *watch)
{
  gint64 stopped = 0, resumed = 0;
  QmpEvent *event;

  while ((event = qmp_watch_pop (watch, 0, NULL, NULL)) != NULL)
    {
      if (g_str_equal (qmp_event_get_name (event), "STOP") && stopped == 0)
        stopped = qmp_event_get_time (event);
      else if (g_str_equal (qmp_event_get_name (event), "RESUME"))
        resumed = qmp_event_get_time (event);
      qmp_event_unref (event);
    }
  return stopped != 0 && resumed > stopped ? resumed - stopped : 0;
}

/* What all snapshots' records say; state, memory and disks are still to be said. */
VsSnapshotDef *
vs_snapshot_create_describe (VsRun *run)
{
  VsSnapshotDef *def = vs_snapshot_def_new (vs_run_get_string (run, VS_FACT_SNAPSHOT));

  def->description = g_strdup (vs_run_get_string (run, FACT_DESCRIPTION));
  def->parent = g_strdup (vs_run_get_string (run, FACT_PARENT));
  def->creation_time = vs_run_get_int (run, FACT_TIME);
  def->has_state = TRUE;
  def->has_memory = TRUE;
  def->domain = vs_domain_def_ref (vs_run_get_def (run));
  vs_snapshot_def_set_fact (def, VS_SNAPSHOT_FACT_NVRAM, vs_run_get_string (run, FACT_NVRAM));
  vs_snapshot_def_set_fact_uint64 (def, VS_SNAPSHOT_FACT_DOWNTIME, vs_run_get_int (run, FACT_DOWNTIME));
  return def;
}

/* Also by one that is still to be made. */
static gboolean
is_taken (VsEngine *engine, VsDomain *domain, const char *name)
{
  g_autoptr (GList) jobs = vs_engine_list_jobs (engine);

  for (GList *l = jobs; l != NULL; l = l->next)
    if (!vs_job_has_ended (l->data) && g_strcmp0 (vs_job_get_snapshot_name (l->data), name) == 0
        && g_str_equal (vs_job_get_domain_uuid (l->data), vs_domain_get_uuid (domain)))
      return TRUE;
  return vs_domain_get_snapshot (domain, name) != NULL;
}

static char *
name_from_time (VsEngine *engine, VsDomain *domain)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *base = g_date_time_format (now, "%Y-%m-%dT%H-%M-%SZ");
  char *name = g_strdup (base);

  for (guint i = 2; is_taken (engine, domain, name); i++)
    {
      g_free (name);
      name = g_strdup_printf ("%s-%u", base, i);
    }
  return name;
}

static gboolean
check_name (const char *name, GError **error)
{
  g_autofree char *shown = NULL;

  if (vmsnap_name_is_valid (name))
    return TRUE;
  shown = g_utf8_make_valid (name, MIN (strlen (name), 100));
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "'%s' can't name a snapshot: a name is 1 to %d bytes of UTF-8 without '/' and control characters", shown,
               VMSNAP_NAME_MAX);
  return FALSE;
}

static JsonObject *
make_facts (const char *name, VsSnapshotDef *wish, const VsSnapshotCreateOptions *options)
{
  JsonObject *facts = json_object_new ();
  g_autofree char *tag = vs_image_tag_for_name (name);

  json_object_set_string_member (facts, VS_FACT_SNAPSHOT, name);
  json_object_set_string_member (facts, FACT_TAG, tag);
  if (wish->description != NULL)
    json_object_set_string_member (facts, FACT_DESCRIPTION, wish->description);
  json_object_set_boolean_member (facts, FACT_HALT, options->halt);
  if (options->disk_only)
    json_object_set_boolean_member (facts, FACT_DISK_ONLY, TRUE);
  if (options->live)
    json_object_set_boolean_member (facts, FACT_LIVE, TRUE);
  if (options->pause)
    json_object_set_boolean_member (facts, FACT_PAUSE, TRUE);
  if (options->quiesce)
    json_object_set_boolean_member (facts, FACT_QUIESCE, TRUE);
  if (options->has_encoding)
    json_object_set_boolean_member (facts, FACT_ENCODING_WISH, TRUE);
  if (options->no_metadata)
    json_object_set_boolean_member (facts, FACT_NO_METADATA, TRUE);
  if (options->reuse_external)
    json_object_set_boolean_member (facts, VS_OVERLAYS_FACT_REUSE, TRUE);
  json_object_set_string_member (facts, VS_OVERLAYS_FACT_LOCATION,
                                 vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, options->location));
  json_object_set_array_member (facts, VS_OVERLAYS_FACT_WISH, vs_overlays_note_wish (wish));
  return facts;
}

/* Whether all that the wish says of disks is what happens to them anyway. */
static gboolean
is_of_all_disks (VsSnapshotDef *wish)
{
  for (guint i = 0; i < wish->disks->len; i++)
    if (((const VsSnapshotDiskDef *) g_ptr_array_index (wish->disks, i))->snapshot != VMSNAP_LOCATION_INTERNAL)
      return FALSE;
  return TRUE;
}

/* What of it can't be done, and why; NULL: nothing. */
static const char *
find_unsupported (VsSnapshotDef *wish, const VsSnapshotCreateOptions *options)
{
  if (options->location != VMSNAP_LOCATION_INTERNAL)
    return NULL;
  if (options->quiesce)
    return "'quiesce' is not supported with location=internal: leave one of them out";
  if (options->no_metadata)
    return "'no-metadata' is not supported with location=internal: delete the snapshot with 'metadata-only' afterwards";
  if (!is_of_all_disks (wish))
    return "'disks' with none or external is not supported with location=internal: an internal snapshot is of all "
           "writable disks";
  return NULL;
}

/**
 * vs_operation_snapshot_create:
 * @engine: the engine
 * @domain: a domain in any state but crashed
 * @wish: what the caller says of the snapshot
 * @options: how
 * @request: who asks
 * @error: where to put %VMSNAP_ERROR_ALREADY_EXISTS, %VMSNAP_ERROR_NOT_SUPPORTED, …
 *
 * Takes a snapshot.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_operation_snapshot_create (VsEngine *engine,
                              VsDomain *domain,
                              VsSnapshotDef *wish,
                              const VsSnapshotCreateOptions *options,
                              const VsRequest *request,
                              GError **error)
{
  g_autofree char *name = wish->name == NULL ? name_from_time (engine, domain) : g_strdup (wish->name);
  const char *unsupported = find_unsupported (wish, options);
  g_autoptr (JsonObject) facts = NULL;
  VsJob *job;

  if (!check_name (name, error))
    return NULL;
  if (unsupported != NULL)
    {
      g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, unsupported);
      return NULL;
    }
  facts = make_facts (name, wish, options);
  if (!vs_memory_save_note (wish->memory_path, options, facts, error))
    return NULL;
  job = vs_engine_submit (engine, domain,
                          options->location == VMSNAP_LOCATION_EXTERNAL ? &vs_workflow_snapshot_create_external
                                                                        : &vs_workflow_snapshot_create_internal,
                          facts, request, error);
  /* There will be none of that name. */
  if (job != NULL && options->no_metadata)
    vs_job_set_snapshot_name (job, NULL);
  return job;
}
