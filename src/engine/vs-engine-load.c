/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The service's start: what is in the store, which guests of a previous life still run, and what that life left
 * unfinished. Files and sockets are read on a worker thread, then all of it becomes model objects, then the journals
 * are settled, each domain's on its own thread; nobody waits for one domain's trouble but that domain.
 */
#include "vs-engine-private.h"

#include <string.h>

#include "vmsnap-error.h"

#define SNAPSHOTS "snapshots"
#define CURRENT "current-snapshot"
/* A QEMU that doesn't answer holds up the whole service until it is left for later: briefly; somewhat longer where an
 * unfinished operation waits, for the service should settle that before it serves, and a QEMU that saves a snapshot
 * answers nobody meanwhile. */
#define ANSWER_TIMEOUT (1 * G_USEC_PER_SEC)
#define ANSWER_TIMEOUT_UNSETTLED (10 * G_USEC_PER_SEC)
#define MAX_FINDERS 16

typedef struct
{
  VsDomainDef *def; /* NULL: transient */
  VsDomainDef *live_def;
  VsGuest *guest;
  gboolean deaf;    /* the guest is there, but doesn't answer */
  gboolean unknown; /* it can't be told whether there is a guest */
  char *status;
  GPtrArray *chains;
  GPtrArray *journals;
  VsRecords *records;
} Found;

typedef struct
{
  VsStore *store;
  char *emulator;
  VsHypervisor *hypervisor;
  GMutex lock; /* for found, while the finders are at work */
  GPtrArray *found;
  guint settling;
} Load;

static void
found_free (Found *found)
{
  g_clear_pointer (&found->def, vs_domain_def_unref);
  g_clear_pointer (&found->live_def, vs_domain_def_unref);
  g_clear_object (&found->guest);
  g_free (found->status);
  g_clear_pointer (&found->chains, g_ptr_array_unref);
  g_clear_pointer (&found->journals, g_ptr_array_unref);
  g_clear_pointer (&found->records, vs_records_free);
  g_free (found);
}

static void
load_init (Load *load, VsEngine *engine)
{
  load->store = g_object_ref (engine->store);
  load->emulator = g_strdup (engine->emulator);
  load->found = g_ptr_array_new_with_free_func ((GDestroyNotify) found_free);
  g_mutex_init (&load->lock);
}

static void
load_free (Load *load)
{
  g_object_unref (load->store);
  g_free (load->emulator);
  g_clear_object (&load->hypervisor);
  g_ptr_array_unref (load->found);
  g_mutex_clear (&load->lock);
  g_free (load);
}

static VsDomainDef *
read_definition (VsStore *store, const char *uuid)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *xml = vs_store_read (store, uuid, NULL, VS_STORE_DEFINITION, &error);
  VsDomainDef *def;

  if (g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND))
    return NULL;
  def = xml != NULL ? vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error) : NULL;
  if (def != NULL && !g_str_equal (def->uuid, uuid))
    {
      g_set_error (&error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML, "It is of another uuid: %s", def->uuid);
      g_clear_pointer (&def, vs_domain_def_unref);
    }
  if (def == NULL)
    vs_store_set_aside (store, uuid, NULL, VS_STORE_DEFINITION, error);
  return def;
}

static VsDomainDef *
read_live_definition (VsStore *store, const char *uuid)
{
  g_autofree char *dir = vs_guest_directory (vs_store_get_runtime_dir (store), uuid);
  g_autofree char *path = g_build_filename (dir, VS_GUEST_DEFINITION, NULL);
  g_autofree char *xml = NULL;

  if (!g_file_get_contents (path, &xml, NULL, NULL))
    return NULL;
  return vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, NULL);
}

/* The domain's state is known before the domain is shown. A QEMU that is deaf for now will be heard of later. */
static char *
ask_status (VsGuest *guest)
{
  g_autoptr (JsonNode) reply =
    qmp_client_call_full (vs_guest_get_client (guest), "query-status", NULL, -1, ANSWER_TIMEOUT, NULL, NULL);

  if (reply == NULL)
    return NULL;
  return g_strdup (json_object_get_string_member_with_default (json_node_get_object (reply), "status", NULL));
}

static void
find_guest (Load *load, const char *uuid, Found *found)
{
  const gint64 timeout = found->journals->len > 0 ? ANSWER_TIMEOUT_UNSETTLED : ANSWER_TIMEOUT;
  g_autoptr (GError) error = NULL;

  found->live_def = read_live_definition (load->store, uuid);
  if (found->live_def == NULL && found->def != NULL)
    found->live_def = vs_domain_def_ref (found->def);
  found->guest = vs_guest_find_deaf (vs_store_get_runtime_dir (load->store), vs_store_get_log_dir (load->store), uuid,
                                     found->live_def != NULL ? found->live_def->name : uuid, &error);
  if (error != NULL)
    {
      g_warning ("It can't be told whether %s has a guest; start the service anew when that is mended: %s", uuid,
                 error->message);
      found->unknown = TRUE;
    }
  if (found->guest != NULL && !vs_guest_connect (found->guest, timeout, NULL, &error))
    {
      found->deaf = !vs_guest_has_exited (found->guest);
      if (!found->deaf)
        g_clear_object (&found->guest);
    }
  if (found->guest == NULL || found->live_def == NULL)
    return;
  if (found->deaf)
    g_warning ("The guest of %s can't be reached, and will be tried again: %s", found->live_def->name, error->message);
  else
    found->status = ask_status (found->guest);
  found->chains = vs_engine_probe_chains (found->live_def);
}

/* What a transient domain was that is gone with its guest, while there is something of it to be undone. */
static VsDomainDef *
read_journalled_definition (GPtrArray *journals)
{
  for (guint i = 0; i < journals->len; i++)
    {
      const VsJournal *journal = g_ptr_array_index (journals, i);
      const char *xml =
        json_object_get_string_member_with_default (journal->facts, VS_JOURNAL_TRANSIENT_DEFINITION, NULL);

      if (xml != NULL)
        return vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, NULL);
    }
  return NULL;
}

/* In a pool of threads: a guest that is slow to answer keeps none of the others waiting. */
static void
find_domain (gpointer data, gpointer user_data)
{
  g_autofree char *uuid = data;
  Load *load = user_data;
  Found *found = g_new0 (Found, 1);

  found->def = read_definition (load->store, uuid);
  found->journals = vs_journal_load (load->store, uuid);
  find_guest (load, uuid, found);
  if (found->guest == NULL && !found->unknown)
    {
      vs_guest_remove_directory (vs_store_get_runtime_dir (load->store), uuid);
      g_clear_pointer (&found->live_def, vs_domain_def_unref);
      if (found->def == NULL)
        found->live_def = read_journalled_definition (found->journals);
    }
  if (found->def == NULL && found->live_def == NULL)
    {
      vs_store_tidy_domain (load->store, uuid);
      found_free (found);
      return;
    }
  if (found->chains == NULL)
    found->chains = vs_engine_probe_chains (found->def != NULL ? found->def : found->live_def);
  found->records = vs_engine_read_records (load->store, uuid);
  g_mutex_lock (&load->lock);
  g_ptr_array_add (load->found, found);
  g_mutex_unlock (&load->lock);
}

/* Domains with files in the store, and transient ones that have but a guest. */
static GHashTable *
collect_uuids (VsStore *store)
{
  GHashTable *uuids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_auto (GStrv) stored = vs_store_list_domains (store);
  g_autofree char *guests = g_build_filename (vs_store_get_runtime_dir (store), "guests", NULL);
  g_autoptr (GDir) dir = g_dir_open (guests, 0, NULL);
  const char *name;

  for (guint i = 0; stored[i] != NULL; i++)
    g_hash_table_add (uuids, g_strdup (stored[i]));
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_uuid_string_is_valid (name))
      g_hash_table_add (uuids, g_strdup (name));
  return uuids;
}

static void
load_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Load *load = task_data;
  GError *error = NULL;
  g_autoptr (GError) probe_error = NULL;
  g_autoptr (GHashTable) uuids = NULL;
  GThreadPool *finders;
  GHashTableIter iter;
  gpointer uuid;

  if (!vs_store_prepare (load->store, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  vs_store_recover (load->store);
  load->hypervisor = vs_hypervisor_get (load->emulator, NULL, &probe_error);
  if (load->hypervisor == NULL)
    g_warning ("No guest can be started with the default emulator: %s", probe_error->message);

  uuids = collect_uuids (load->store);
  g_hash_table_iter_init (&iter, uuids);
  finders = g_thread_pool_new (find_domain, load, MAX_FINDERS, FALSE, NULL);
  while (g_hash_table_iter_next (&iter, &uuid, NULL))
    g_thread_pool_push (finders, g_strdup (uuid), NULL);
  g_thread_pool_free (finders, FALSE, TRUE);
  g_task_return_boolean (task, TRUE);
}

static gboolean
has_managed_save (VsStore *store, const char *uuid)
{
  g_autofree char *path = vs_store_get_path (store, uuid, NULL, VS_STORE_MANAGED_SAVE);

  return g_file_test (path, G_FILE_TEST_IS_REGULAR);
}

/* Snapshots on record, which is the current one, and whether there is a managed save. A record that can't be read is put aside. Worker threads. */
VsRecords *
vs_engine_read_records (VsStore *store, const char *uuid)
{
  VsRecords *records = g_new0 (VsRecords, 1);
  g_auto (GStrv) files = vs_store_list_files (store, uuid, SNAPSHOTS, ".xml");
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);

  records->defs = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_snapshot_def_unref);
  records->current = vs_store_read (store, uuid, NULL, CURRENT, NULL);
  records->managed_save = has_managed_save (store, uuid);
  for (guint i = 0; files[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *xml = vs_store_read (store, uuid, SNAPSHOTS, files[i], &error);
      g_autoptr (VsSnapshotDef) def = xml != NULL ? vs_snapshot_def_parse (xml, VS_DOMAIN_DEF_NONE, &error) : NULL;

      if (def != NULL && def->name != NULL && g_hash_table_add (names, def->name))
        {
          g_ptr_array_add (records->defs, g_steal_pointer (&def));
          continue;
        }
      if (error == NULL)
        g_set_error (&error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML, "It has no name, or another file's");
      vs_store_set_aside (store, uuid, SNAPSHOTS, files[i], error);
    }
  return records;
}

/* They become objects. Main thread. */
void
vs_engine_show_records (VsRecords *records, VsDomain *domain)
{
  for (guint i = 0; i < records->defs->len; i++)
    {
      g_autoptr (VsSnapshot) snapshot =
        vs_snapshot_new (vs_domain_get_uuid (domain), g_ptr_array_index (records->defs, i));

      vs_domain_add_snapshot (domain, snapshot);
    }
  if (records->current != NULL)
    vs_domain_set_current_snapshot (domain, vs_domain_get_snapshot (domain, g_strchomp (records->current)));
  vs_domain_set_has_managed_save (domain, records->managed_save);
}

void
vs_records_free (VsRecords *records)
{
  g_ptr_array_unref (records->defs);
  g_free (records->current);
  g_free (records);
}

/* A guest of an earlier life. */
static void
adopt (VsEngine *self, VsDomain *domain, Found *found)
{
  g_autoptr (GError) error = NULL;

  if (!vs_claims_add (self->claims, found->live_def, found->chains, &error))
    g_warning ("%s runs with a file that isn't its own: %s", found->live_def->name, error->message);
  vs_domain_attach_guest (domain, found->guest, found->live_def);
  vs_domain_take_over (domain, found->status);
}

static VsDomain *
make_domain (VsEngine *self, Found *found)
{
  VsDomain *domain =
    vs_domain_new (self->store, found->def != NULL ? found->def : found->live_def, found->def != NULL);

  vs_engine_show_records (found->records, domain);
  if (found->chains != NULL)
    vs_domain_set_chains (domain, found->chains);
  if (found->journals->len > 0)
    vs_domain_set_unsettled (domain, TRUE);
  if (found->guest != NULL)
    adopt (self, domain, found);
  else if (found->unknown)
    {
      vs_domain_set_state (domain, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_UNKNOWN);
      vs_domain_set_unsettled (domain, TRUE);
    }
  vs_engine_add_domain (self, domain);
  return domain;
}

static void settle_next (GTask *task, VsDomain *domain, GPtrArray *journals);

static void
check_all_settled (GTask *task)
{
  Load *load = g_task_get_task_data (task);

  if (--load->settling == 0)
    vs_engine_look_at_files (g_task_get_source_object (task), g_object_ref (task));
}

typedef struct
{
  GTask *task;
  VsDomain *domain;
  VsJob *job;
  GPtrArray *journals;
} Settling;

static void
on_settled (VsRun *run, const GError *error, gpointer user_data)
{
  Settling *settling = user_data;
  VsEngine *self = g_task_get_source_object (settling->task);

  vs_engine_release_disks (self, settling->domain);
  vs_domain_set_job (settling->domain, NULL);
  vs_job_end (settling->job, error);
  vs_engine_retire_job (self, settling->job);
  g_message ("%s of %s, left unfinished by an earlier life of the service: %s", vs_job_get_operation (settling->job),
             vs_domain_get_name (settling->domain), error != NULL ? error->message : "finished");
  settle_next (settling->task, settling->domain, settling->journals);

  g_object_unref (settling->task);
  g_object_unref (settling->domain);
  g_object_unref (settling->job);
  g_ptr_array_unref (settling->journals);
  g_free (settling);
}

/* The oldest journal first, one after the other; then the domain is settled. */
static void
settle_next (GTask *task, VsDomain *domain, GPtrArray *journals)
{
  VsEngine *self = g_task_get_source_object (task);
  g_autoptr (VsJournal) journal = NULL;
  const VsWorkflow *workflow;
  Settling *settling;

  if (journals->len == 0)
    {
      vs_domain_set_unsettled (domain, FALSE);
      vs_engine_drop_if_over (self, domain);
      check_all_settled (task);
      return;
    }
  journal = g_ptr_array_steal_index (journals, 0);
  workflow = vs_engine_find_workflow (self, journal->workflow);
  if (workflow == NULL)
    {
      g_warning ("%s has an unfinished operation that this version doesn't know: %s", vs_domain_get_name (domain),
                 journal->workflow);
      settle_next (task, domain, journals);
      return;
    }
  settling = g_new0 (Settling, 1);
  settling->task = g_object_ref (task);
  settling->domain = g_object_ref (domain);
  settling->journals = g_ptr_array_ref (journals);
  settling->job = g_object_ref (vs_engine_add_job (self, workflow->operation, vs_domain_get_uuid (domain),
                                                   journal->caller_uid, journal->number));
  vs_job_set_can_cancel (settling->job, FALSE);
  if (json_object_has_member (journal->facts, VS_FACT_SNAPSHOT))
    vs_job_set_snapshot_name (settling->job, json_object_get_string_member (journal->facts, VS_FACT_SNAPSHOT));
  g_signal_emit_by_name (self, "job-added", settling->job);
  vs_domain_set_job (domain, settling->job);
  vs_job_begin (settling->job);
  vs_run_start (vs_run_new_for_journal (self, domain, workflow, settling->job, g_steal_pointer (&journal), FALSE), on_settled,
                settling);
}

typedef struct
{
  VsEngine *engine;
  VsDomain *domain;
  GPtrArray *journals;
} Late;

static void
on_time_to_settle (VsDomain *domain, Late *late)
{
  g_autoptr (GTask) task = g_task_new (late->engine, NULL, NULL, NULL);
  Load *load = g_new0 (Load, 1);

  g_signal_handlers_disconnect_by_data (domain, late);
  load_init (load, late->engine);
  load->settling = 1;
  g_task_set_task_data (task, load, (GDestroyNotify) load_free);
  settle_next (task, domain, late->journals);

  g_object_unref (late->engine);
  g_object_unref (late->domain);
  g_ptr_array_unref (late->journals);
  g_free (late);
}

/* Its QEMU is there and doesn't answer: what was left unfinished is settled when it answers or ends, and nothing else is
 * done to the domain before. */
static void
settle_late (VsEngine *self, VsDomain *domain, GPtrArray *journals)
{
  Late *late;

  if (journals->len == 0)
    return;
  late = g_new0 (Late, 1);
  late->engine = g_object_ref (self);
  late->domain = g_object_ref (domain);
  late->journals = g_ptr_array_ref (journals);
  vs_domain_set_unsettled (domain, TRUE);
  g_signal_connect (domain, "guest-reachable", G_CALLBACK (on_time_to_settle), late);
  g_signal_connect (domain, "guest-gone", G_CALLBACK (on_time_to_settle), late);
}

static void
read_job_numbers (VsEngine *self)
{
  g_autofree char *path = g_build_filename (vs_store_get_runtime_dir (self->store), "jobs", NULL);
  g_autofree char *text = NULL;
  guint64 number;

  if (g_file_get_contents (path, &text, NULL, NULL)
      && g_ascii_string_to_unsigned (g_strchomp (text), 10, 1, G_MAXUINT / 2, &number, NULL))
    self->next_job = number;
}

/* A journal's number is its job's: no other job may have it. */
static void
skip_job_numbers (VsEngine *self, GPtrArray *journals)
{
  for (guint i = 0; i < journals->len; i++)
    self->next_job = MAX (self->next_job, ((VsJournal *) g_ptr_array_index (journals, i))->number + 1);
}

static void
on_found (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  VsEngine *self = VS_ENGINE (source);
  Load *load = g_task_get_task_data (task);
  GError *error = NULL;

  if (!g_task_propagate_boolean (G_TASK (result), &error))
    {
      g_task_return_error (task, error);
      return;
    }
  g_set_object (&self->hypervisor, load->hypervisor);
  read_job_numbers (self);
  for (guint i = 0; i < load->found->len; i++)
    skip_job_numbers (self, ((Found *) g_ptr_array_index (load->found, i))->journals);
  load->settling = load->found->len + 1;
  for (guint i = 0; i < load->found->len; i++)
    {
      Found *found = g_ptr_array_index (load->found, i);
      g_autoptr (VsDomain) domain = make_domain (self, found);

      if (found->deaf)
        settle_late (self, domain, found->journals);
      if (found->deaf || found->unknown)
        check_all_settled (task);
      else
        settle_next (task, domain, found->journals);
    }
  check_all_settled (task);
}

/**
 * vs_engine_load_async:
 * @self: a new engine
 * @callback: called on the main thread
 * @user_data: for @callback
 *
 * Finds everything, and settles what a previous life of the service left unfinished.
 */
void
vs_engine_load_async (VsEngine *self, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, NULL, callback, user_data);
  g_autoptr (GTask) inner = g_task_new (self, NULL, on_found, task);
  Load *load = g_new0 (Load, 1);

  load_init (load, self);
  g_task_set_task_data (task, load, (GDestroyNotify) load_free);
  g_task_set_task_data (inner, load, NULL);
  g_task_run_in_thread (inner, load_thread);
}

/**
 * vs_engine_load_finish:
 * @self: the engine
 * @result: as given to the callback
 * @error: where to put an error: the store can't be used
 *
 * Returns: whether the service can begin its work. One domain's trouble doesn't prevent that
 */
gboolean
vs_engine_load_finish (VsEngine *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
