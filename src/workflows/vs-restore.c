/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A guest out of an image: a caller's, whose domain may be known here or not, or the domain's managed save. A new QEMU
 * loads its memory and stands still; only when all of that has worked, to the last byte of the image, it may run, and the
 * domain is kept if the image says so. What fails before leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-image-reader.h"
#include "vs-migration.h"
#include "vs-operations.h"
#include "vs-save-workflows.h"
#include "vs-save-xml.h"
#include "vs-start.h"
#include "vs-steps.h"

#define FACT_DEFINITION "definition" /* the guest's */
#define FACT_IMAGE "image"           /* what the image said when it was looked at, in short */
#define FACT_KEEP "keep"             /* the definition that stays, of a domain that wasn't known */
#define FACT_RUN "run"

/**
 * vs_save_refuse_managed:
 * @domain: a domain
 * @what: what to do about it, besides starting it or removing the managed save
 * @error: where to put %VMSNAP_ERROR_HAS_MANAGED_SAVE
 *
 * Returns: %FALSE when it has a managed save
 */
gboolean
vs_save_refuse_managed (VsDomain *domain, const char *what, GError **error)
{
  if (!vs_domain_get_has_managed_save (domain))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HAS_MANAGED_SAVE,
               "%s has a managed save, which would be of no use with other disks; start it first%s, or remove the "
               "managed save",
               vs_domain_get_name (domain), what);
  return FALSE;
}

static VsImageReader *
new_reader (VsRun *run, int fd, GError **error)
{
  VsImageFlags flags = vs_run_get_flag (run, FACT_BYPASS_CACHE) ? VS_IMAGE_FLAGS_BYPASS_CACHE : VS_IMAGE_FLAGS_NONE;
  VsImageReader *reader = vs_image_reader_new (fd, flags, error);

  if (reader == NULL)
    g_prefix_error (error, "%s can't be restored: ", vs_run_get_def (run)->name);
  return reader;
}

static gboolean
use_definition (VsRun *run, VsDomainDef *def, GError **error)
{
  g_autoptr (VsDomainDef) named = vs_domain_def_copy_with_name (def, vs_run_get_def (run)->name, error);

  if (named == NULL)
    return FALSE;
  vs_run_set_def (run, named);
  return TRUE;
}

/* It may have waited long for its turn, and another guest's memory doesn't go with this definition. */
static gboolean
check_same_image (VsRun *run, VsImageReader *reader, GError **error)
{
  g_autofree char *digest = vs_image_header_digest (vs_image_reader_get_header (reader));

  if (g_strcmp0 (digest, vs_run_get_string (run, FACT_IMAGE)) == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
               "%s can't be restored: somebody changed the image meanwhile; look at it, and try again",
               vs_run_get_def (run)->name);
  return FALSE;
}

static gboolean
open_image (VsRun *run, GError **error)
{
  g_autoptr (VsDomainDef) def = NULL;
  VsImageReader *reader
    = vs_steps_claim_image (run, FALSE, error) ? new_reader (run, vs_run_get_fd (run), error) : NULL;

  if (reader == NULL)
    return FALSE;
  vs_run_set_tool (run, reader, (GDestroyNotify) vs_image_reader_free);
  if (!check_same_image (run, reader, error))
    return FALSE;
  def = vs_domain_def_parse (vs_run_get_string (run, FACT_DEFINITION), VS_DOMAIN_DEF_NONE, error);
  return def != NULL && use_definition (run, def, error);
}

static int
open_managed_save (VsRun *run, GError **error)
{
  g_autofree char *path =
    vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), NULL, VS_STORE_MANAGED_SAVE);
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  int number = errno;

  if (fd < 0)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't open %s: %s", path, g_strerror (number));
  return fd;
}

/* What the guest was when it was saved, whatever was defined since. */
static gboolean
use_image (VsRun *run, const VsImageHeader *header, GError **error)
{
  g_autoptr (VsDomainDef) def = vs_save_definition_parse (header->xml, VS_DOMAIN_DEF_NONE, error);

  if (def == NULL)
    return FALSE;
  if (!g_str_equal (def->uuid, vs_run_get_uuid (run)))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "The managed save is of another domain, %s",
                   def->uuid);
      return FALSE;
    }
  vs_run_set_flag (run, FACT_RUN, header->running && !vs_run_get_flag (run, FACT_WANT_PAUSED));
  return use_definition (run, def, error);
}

static gboolean
open_managed (VsRun *run, GError **error)
{
  int fd = open_managed_save (run, error);
  VsImageReader *reader = fd >= 0 ? new_reader (run, fd, error) : NULL;

  if (fd >= 0)
    close (fd);
  if (reader != NULL)
    vs_run_set_tool (run, reader, (GDestroyNotify) vs_image_reader_free);
  if (reader != NULL && use_image (run, vs_image_reader_get_header (reader), error))
    return TRUE;
  g_prefix_error (error, "The managed save can't be used; start with discard-managed-save to boot without it: ");
  return FALSE;
}

static gboolean
spawn (VsRun *run, GError **error)
{
  vs_steps_hold (run, TRUE);
  vs_run_set_flag (run, FACT_INCOMING, TRUE);
  return vs_start_spawn (run, error);
}

static gboolean
load (VsRun *run, GError **error)
{
  return vs_migration_load (run, vs_run_get_tool (run), error);
}

static gboolean
unload (VsRun *run, GError **error)
{
  vs_run_set_tool (run, NULL, NULL);
  return TRUE;
}

static gboolean
show_persistent (VsRun *run, gpointer def, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (def != NULL)
    vs_domain_set_inactive_def (domain, def);
  vs_domain_set_persistent (domain, def != NULL);
  return TRUE;
}

/* The domain comes back as it was: if it was persistent, it stays. */
static gboolean
record (VsRun *run, GError **error)
{
  const char *xml = vs_run_get_string (run, FACT_KEEP);
  g_autoptr (VsDomainDef) def = NULL;

  if (xml == NULL)
    return TRUE;
  def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, error);
  return def != NULL
         && vs_store_write (vs_run_get_store (run), vs_run_get_uuid (run), NULL, VS_STORE_DEFINITION, xml, -1, error)
         && vs_run_on_main (run, show_persistent, def, error);
}

static gboolean
unrecord (VsRun *run, GError **error)
{
  if (vs_run_get_string (run, FACT_KEEP) == NULL)
    return TRUE;
  return vs_store_remove (vs_run_get_store (run), vs_run_get_uuid (run), NULL, VS_STORE_DEFINITION, error)
         && vs_run_on_main (run, show_persistent, NULL, error);
}

static gboolean
tell (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_PAUSED)
    vs_domain_set_state (domain, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_RESTORED);
  vs_job_add_result (vs_run_get_job (run), "domain", g_variant_new_string (vs_domain_get_uuid (domain)));
  vs_domain_announce_started (domain);
  vs_domain_emit_event (domain, "restored", NULL);
  return TRUE;
}

/* QEMU takes the disks for its own only now, and refuses when another program has one. Then the guest has done nothing
 * yet; but of what an earlier life did, nobody knows. */
static gboolean
settle (VsRun *run, GError **error)
{
  g_autoptr (GError) local = NULL;
  gboolean running;

  if (vs_steps_settle_running (run, vs_run_get_flag (run, FACT_RUN), VMSNAP_STATE_REASON_RESTORED, &local))
    return TRUE;
  if (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR) && !vs_run_is_recovery (run)
      && vs_steps_is_running (run, &running, NULL) && !running)
    vs_run_withdraw_commit (run);
  g_propagate_prefixed_error (error, g_steal_pointer (&local), "%s can't run: ", vs_run_get_def (run)->name);
  return FALSE;
}

static gboolean
let_run (VsRun *run, GError **error)
{
  vs_run_set_tool (run, NULL, NULL);
  vs_steps_hold (run, FALSE);
  if (!vs_steps_check_not_stillborn (run, error))
    return FALSE;
  /* It was let run, in an earlier life or just now, and has ended since: that is told as any guest's end is. */
  if (vs_run_get_monitor (run, NULL) == NULL)
    return TRUE;
  return settle (run, error) && vs_run_on_main (run, tell, NULL, error);
}

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  if (!vs_domain_is_active (domain))
    return vs_save_refuse_managed (domain, "", error);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
               "%s is %s already, and can't be there twice; power it off first", vs_domain_get_name (domain),
               vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vs_domain_get_state (domain)));
  return FALSE;
}

static const VsStep restore_steps[] = {
  { "Reading the image", 1, open_image },
  { "Checking disks", 1, vs_start_prepare, vs_start_unprepare_fresh },
  { "Starting QEMU", 4, spawn, vs_start_kill },
  { "Loading memory", 90, load, unload, NULL, VS_COMMIT_NOT, NULL, TRUE },
  { "Recording", 2, record, unrecord, NULL, VS_COMMIT_WHEN_DONE, NULL, TRUE },
  { "Letting the guest run", 2, let_run },
};

static const VsStep start_steps[] = {
  { "Reading the managed save", 1, open_managed },
  { "Checking disks", 1, vs_start_prepare, vs_start_unprepare_fresh },
  { "Starting QEMU", 4, spawn, vs_start_kill },
  { "Loading memory", 90, load, unload, NULL, VS_COMMIT_NOT, NULL, TRUE },
  { "Letting the guest run", 2, let_run, NULL, NULL, VS_COMMIT_WHEN_BEGUN },
  { "Removing the managed save", 2, vs_start_remove_managed_save },
};

const VsWorkflow vs_workflow_restore = { "restore", "restore", check, restore_steps, G_N_ELEMENTS (restore_steps) };
const VsWorkflow vs_workflow_start_restore = {
  "start",
  "start-restore",
  NULL,
  start_steps,
  G_N_ELEMENTS (start_steps),
};

/* What RestoreDomain was asked for, while the domain is being made. */
typedef struct {
  VsRequest request;
  JsonObject *facts;
  GUnixFDList *files;
  VsDomainDef *def;
  VsDomainDef *inactive_def;
  gboolean persistent;
} Restore;

static void
restore_free (Restore *restore)
{
  json_object_unref (restore->facts);
  g_object_unref (restore->files);
  vs_domain_def_unref (restore->def);
  g_clear_pointer (&restore->inactive_def, vs_domain_def_unref);
  g_free (restore);
}

static Restore *
restore_new (VsSavedImage *image, VsDomainDef *def, const VsRestoreOptions *options, const VsRequest *request)
{
  Restore *restore = g_new0 (Restore, 1);
  g_autofree char *digest = vs_image_header_digest (image->header);
  gboolean run = image->header->running;

  if (options->running || options->paused)
    run = options->running;
  restore->files = g_object_ref (image->files);
  restore->request = *request;
  restore->request.files = restore->files;
  restore->def = vs_domain_def_ref (def);
  restore->inactive_def = image->inactive_def != NULL ? vs_domain_def_ref (image->inactive_def) : NULL;
  restore->persistent = image->persistent;
  restore->facts = json_object_new ();
  json_object_set_string_member (restore->facts, FACT_IMAGE, digest);
  json_object_set_boolean_member (restore->facts, FACT_RUN, run);
  json_object_set_boolean_member (restore->facts, FACT_BYPASS_CACHE, options->bypass_cache);
  return restore;
}

static VsJob *
submit (VsEngine *engine, VsDomain *domain, VsDomainDef *def, Restore *restore, GError **error)
{
  g_autofree char *xml = vs_domain_def_format (def);

  json_object_set_string_member (restore->facts, FACT_DEFINITION, xml);
  return vs_engine_submit (engine, domain, &vs_workflow_restore, restore->facts, &restore->request, error);
}

static void
return_job (GTask *task, VsJob *job, GError *error)
{
  if (job != NULL)
    g_task_return_pointer (task, g_object_ref (job), g_object_unref);
  else
    g_task_return_error (task, error);
}

/* Under the name that was looked at: another one that the image gives may be another domain's. */
static gboolean
keep_definition (Restore *restore, VsDomain *domain, GError **error)
{
  VsDomainDef *def = vs_domain_get_def (domain);
  g_autoptr (VsDomainDef) named = NULL;
  g_autofree char *xml = NULL;

  if (!restore->persistent)
    return TRUE;
  if (restore->inactive_def != NULL)
    def = named = vs_domain_def_copy_with_name (restore->inactive_def, def->name, error);
  if (def == NULL)
    return FALSE;
  xml = vs_domain_def_format (def);
  json_object_set_string_member (restore->facts, FACT_KEEP, xml);
  return TRUE;
}

/* The definition is complete now: machine and firmware are definite. */
static void
on_made (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  VsEngine *engine = VS_ENGINE (source);
  Restore *restore = g_task_get_task_data (task);
  GError *error = NULL;
  g_autoptr (VsDomain) domain = vs_engine_define_finish (engine, result, &error);
  VsJob *job = NULL;

  if (domain != NULL && keep_definition (restore, domain, &error))
    job = submit (engine, domain, vs_domain_get_def (domain), restore, &error);
  if (domain != NULL && job == NULL)
    vs_engine_remove_domain (engine, domain);
  return_job (task, job, error);
}

/* The definition that the guest is to have. */
static VsDomainDef *
check_restore (VsEngine *engine, VsSavedImage *image, const VsRestoreOptions *options, GError **error)
{
  g_autoptr (VsDomainDef) def = NULL;
  VsDomain *domain;

  if (!vs_image_header_check_complete (image->header, error))
    return NULL;
  if (image->def == NULL)
    {
      g_propagate_error (error, g_error_copy (image->def_error));
      return NULL;
    }
  if (options->def == NULL)
    return vs_domain_def_ref (image->def);
  def = vs_save_check_same_guest (image->def, options->def, error);
  if (def == NULL)
    return NULL;
  domain = vs_engine_find_domain (engine, image->def->uuid);
  if (domain == NULL || g_str_equal (vs_domain_get_name (domain), def->name))
    return g_steal_pointer (&def);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "The domain %s is called %s here, and keeps its name: the definition given can't call it %s",
               def->uuid, vs_domain_get_name (domain), def->name);
  return NULL;
}

/**
 * vs_operation_restore_async:
 * @engine: the engine
 * @image: an image; needed no longer when this returns
 * @options: how
 * @request: who asks
 * @callback: called on the main thread
 * @user_data: for @callback
 *
 * Brings a guest back out of an image. A domain that isn't known here is made first, and is gone again when the job
 * fails; it is persistent if the image says that it was. A domain that is known here keeps its name and its definition
 * for the next start.
 */
void
vs_operation_restore_async (VsEngine *engine,
                            VsSavedImage *image,
                            const VsRestoreOptions *options,
                            const VsRequest *request,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (engine, NULL, callback, user_data);
  g_autoptr (VsDomainDef) def = NULL;
  VsDomain *domain;
  Restore *restore;
  GError *error = NULL;
  VsJob *job;

  def = check_restore (engine, image, options, &error);
  if (def == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  restore = restore_new (image, def, options, request);
  g_task_set_task_data (task, restore, (GDestroyNotify) restore_free);
  domain = vs_engine_find_domain (engine, restore->def->uuid);
  if (domain == NULL)
    {
      VsDefineFlags flags = VS_DEFINE_TRANSIENT | (restore->persistent ? VS_DEFINE_FOR_RESTORE : 0);

      vs_engine_define_async (engine, restore->def, flags, on_made, g_steal_pointer (&task));
      return;
    }
  job = submit (engine, domain, restore->def, restore, &error);
  return_job (task, job, error);
}

/**
 * vs_operation_restore_finish:
 * @engine: the engine
 * @result: as given to the callback
 * @error: where to put %VMSNAP_ERROR_IMAGE_CORRUPT, %VMSNAP_ERROR_IMAGE_INCOMPLETE, %VMSNAP_ERROR_NOT_SUPPORTED,
 *   %VMSNAP_ERROR_INVALID_ARGUMENT, %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_HAS_MANAGED_SAVE,
 *   %VMSNAP_ERROR_ALREADY_EXISTS: the name is another domain's, …
 *
 * Returns: (transfer full) (nullable): the job
 */
VsJob *
vs_operation_restore_finish (VsEngine *engine, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
