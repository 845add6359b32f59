/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Starting a domain: look at its disks and make them its own, start QEMU with the processors halted, let them run.
 */
#include "vs-start.h"

#include <glib/gstdio.h>

#include "vmsnap-error.h"
#include "vs-command-line.h"
#include "vs-disk-chain.h"
#include "vs-file-access.h"
#include "vs-firmware.h"
#include "vs-helpers.h"
#include "vs-operations.h"
#include "vs-record.h"
#include "vs-save-workflows.h"
#include "vs-steps.h"

#define FACT_NVRAM_CREATED "nvram-created"
#define FACT_DISCARD "discard-managed-save"
#define FACT_CREATE "create"

/* What a snapshot is kept in isn't written, whichever way a definition came to name it. */
static gboolean
check_not_frozen (VsRun *run, VsDiskGraph *graph, GError **error)
{
  GPtrArray *disks = vs_run_get_def (run)->disks;

  for (guint i = 0; i < disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (disks, i);

      if (disk->path != NULL && !disk->readonly && !disk->is_cdrom
          && !vs_disk_graph_check_not_frozen (graph, disk->path, error))
        {
          g_prefix_error (error, "Disk %s of %s: ", disk->target, vs_run_get_def (run)->name);
          return FALSE;
        }
    }
  return TRUE;
}

/* Nor is anything written above a file that isn't the one it was. */
gboolean
vs_start_check_files (VsRun *run, GPtrArray *chains, GError **error)
{
  g_autoptr (VsDiskGraph) graph = vs_steps_identify_disks (run, error);

  if (graph == NULL || !check_not_frozen (run, graph, error))
    return FALSE;
  for (guint i = 0; i < chains->len; i++)
    if (!vs_disk_graph_check_chain (graph, g_ptr_array_index (chains, i), error))
      return FALSE;
  return TRUE;
}

static gboolean
take_disks (VsRun *run, gpointer chains, GError **error)
{
  if (!vs_engine_claim_disks (vs_run_get_engine (run), vs_run_get_def (run), chains, error))
    return FALSE;
  vs_domain_set_chains (vs_run_get_domain (run), chains);
  return TRUE;
}

static gboolean
release_disks (VsRun *run, gpointer data, GError **error)
{
  vs_engine_release_disks (vs_run_get_engine (run), vs_run_get_domain (run));
  return TRUE;
}

/* The chains of the definition's disks, when all is there. */
GPtrArray *
vs_start_probe_disks (VsRun *run, GError **error)
{
  g_autoptr (GPtrArray) chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);
  GPtrArray *disks = vs_run_get_def (run)->disks;

  for (guint i = 0; i < disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (disks, i);
      VsDiskChain *chain;

      if (disk->path == NULL)
        continue;
      chain = vs_disk_chain_probe (disk, vs_run_get_cancellable (run), error);
      if (chain == NULL)
        return NULL;
      g_ptr_array_add (chains, chain);
    }
  return g_steal_pointer (&chains);
}

static gboolean
note_hypervisor (VsRun *run, gpointer hypervisor, GError **error)
{
  vs_engine_note_hypervisor (vs_run_get_engine (run), hypervisor);
  return TRUE;
}

/* Nothing is started before every file was seen to be there, readable, of the format it is said to be, and free. */
gboolean
vs_start_prepare (VsRun *run, GError **error)
{
  g_autoptr (VsHypervisor) hypervisor =
    vs_hypervisor_get (vs_steps_emulator (run), vs_run_get_cancellable (run), error);
  g_autoptr (GPtrArray) chains = NULL;
  gboolean created;

  if (hypervisor == NULL)
    return FALSE;
  vs_run_on_main (run, note_hypervisor, hypervisor, NULL);
  chains = vs_file_access_check_boot (vs_run_get_def (run), error) ? vs_start_probe_disks (run, error) : NULL;
  if (chains == NULL || !vs_start_check_files (run, chains, error) || !vs_run_on_main (run, take_disks, chains, error))
    return FALSE;
  if (!vs_firmware_prepare_nvram (vs_run_get_def (run), &created, error))
    return FALSE;
  vs_run_set_flag (run, FACT_NVRAM_CREATED, created);
  return TRUE;
}

gboolean
vs_start_unprepare (VsRun *run, GError **error)
{
  return vs_run_on_main (run, release_disks, NULL, error);
}

static gboolean
attach (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);
  VsGuest *guest = vs_run_get_guest (run);

  if (vs_domain_get_guest (domain) != guest)
    vs_domain_attach_guest (domain, guest, vs_run_get_def (run));
  return TRUE;
}

static GHashTable *
index_chains (GPtrArray *chains)
{
  GHashTable *table = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < chains->len; i++)
    {
      VsDiskChain *chain = g_ptr_array_index (chains, i);
      g_hash_table_insert (table, chain->target, chain);
    }
  return table;
}

static VsGuest *
spawn (VsRun *run, VsDomainDef *def, const char *runtime_dir, VsHelpers *helpers, GPtrArray *chains, GError **error)
{
  VsStore *store = vs_run_get_store (run);
  g_autoptr (VsHypervisor) hypervisor =
    vs_hypervisor_get (vs_steps_emulator (run), vs_run_get_cancellable (run), error);
  g_autoptr (GHashTable) by_target = index_chains (chains);
  g_auto (GStrv) argv = NULL;
  VsCommandLineContext context = {
    .directory = helpers->directory,
    .chains = by_target,
    .nvram = def->os.nvram,
    .tpm_socket = helpers->tpm_socket,
    .tap_fds = helpers->tap_targets,
    .n_tap_fds = helpers->n_fds,
    .spice_port = helpers->spice_port,
    .incoming = vs_run_get_flag (run, FACT_INCOMING),
  };
  VsGuestSpec spec = {
    .runtime_directory = runtime_dir,
    .log_directory = vs_store_get_log_dir (store),
    .uuid = def->uuid,
    .name = def->name,
    .environment = (const char *const *) def->qemu_env,
    .fds = helpers->fds,
    .n_fds = helpers->n_fds,
  };

  if (hypervisor == NULL)
    return NULL;
  argv = vs_command_line_build (def, hypervisor, &context, error);
  if (argv == NULL)
    return NULL;
  spec.argv = (const char *const *) argv;
  return vs_guest_spawn (&spec, vs_run_get_cancellable (run), error);
}

/* What no command line can say: cables that are pulled. */
static gboolean
pull_cables (VsRun *run, GError **error)
{
  GPtrArray *interfaces = vs_run_get_def (run)->interfaces;

  for (guint i = 0; i < interfaces->len; i++)
    {
      const VsInterfaceDef *interface = g_ptr_array_index (interfaces, i);
      g_autofree char *id = g_strdup_printf ("net%u", i);

      if (interface->link == VS_TRISTATE_OFF
          && !vs_steps_call (run, "set_link", qmp_args_new ("s:name", id, "b:up", FALSE, NULL), error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
launch (VsRun *run, VsDomainDef *def, const char *runtime_dir, GError **error)
{
  g_autofree char *directory = vs_guest_prepare_directory (runtime_dir, def->uuid, error);
  g_autoptr (GPtrArray) chains = NULL;
  g_autoptr (VsHelpers) helpers = NULL;
  g_autoptr (VsGuest) guest = NULL;

  if (directory == NULL || !vs_record_write_live_definition_in (directory, vs_run_get_def (run), error))
    return FALSE;
  chains = vs_start_probe_disks (run, error);
  if (chains == NULL)
    return FALSE;
  helpers = vs_helpers_start (run, directory, error);
  if (helpers == NULL)
    return FALSE;
  guest = spawn (run, def, runtime_dir, helpers, chains, error);
  if (guest == NULL)
    return FALSE;
  vs_run_set_guest (run, guest);
  return TRUE;
}

/* QEMU is there, its monitor answers, and the processors stand still. */
gboolean
vs_start_spawn (VsRun *run, GError **error)
{
  return launch (run, vs_run_get_def (run), vs_store_get_runtime_dir (vs_run_get_store (run)), error)
         && vs_run_on_main (run, attach, NULL, error) && vs_guest_record (vs_run_get_guest (run), error)
         && pull_cables (run, error);
}

/* The same in another runtime directory, for a guest that the domain knows nothing of yet. It is started as @def says,
 * and on record as the run's definition does. */
gboolean
vs_start_spawn_in (VsRun *run, VsDomainDef *def, const char *runtime_dir, GError **error)
{
  return launch (run, def, runtime_dir, error) && pull_cables (run, error);
}

static gboolean
end_guest (VsRun *run, VsProcessEnd how, GError **error)
{
  if (!vs_steps_end_guest (run, how, VMSNAP_STATE_REASON_FAILED, error))
    return FALSE;
  vs_helpers_end (run);
  vs_guest_remove_directory (vs_store_get_runtime_dir (vs_run_get_store (run)), vs_run_get_uuid (run));
  return TRUE;
}

/* Undo. A guest that never ran has nothing to lose, but its images have: when QEMU can't close them, space in them that
 * nobody knows of any more. */
gboolean
vs_start_end (VsRun *run, GError **error)
{
  return end_guest (run, VS_PROCESS_END_TERM, error);
}

/* Undo, of a QEMU that has its images from nobody yet, and hears nothing while it reads a guest's memory. */
gboolean
vs_start_kill (VsRun *run, GError **error)
{
  return end_guest (run, VS_PROCESS_END_KILL, error);
}

static gboolean
announce (VsRun *run, gpointer data, GError **error)
{
  vs_domain_announce_started (vs_run_get_domain (run));
  return TRUE;
}

gboolean
vs_start_announce (VsRun *run, GError **error)
{
  return vs_run_on_main (run, announce, NULL, error);
}

/* Standing still is what the user wanted. */
static gboolean
give_reason (VsRun *run, gpointer data, GError **error)
{
  VsDomain *domain = vs_run_get_domain (run);

  if (vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_PAUSED)
    vs_domain_set_state (domain, VMSNAP_DOMAIN_STATE_PAUSED, VMSNAP_STATE_REASON_USER);
  return TRUE;
}

static gboolean
let_run (VsRun *run, GError **error)
{
  gboolean paused = vs_run_get_flag (run, FACT_WANT_PAUSED);

  if (!vs_steps_check_not_stillborn (run, error))
    return FALSE;
  /* It was let run, in an earlier life or just now, and has ended since: that is told as any guest's end is. */
  if (vs_run_get_monitor (run, NULL) == NULL)
    return TRUE;
  if (!vs_steps_settle_running (run, !paused, VMSNAP_STATE_REASON_BOOTED, error))
    return FALSE;
  if (paused)
    vs_run_on_main (run, give_reason, NULL, NULL);
  return vs_start_announce (run, error);
}

/* Undo of the first start of a guest: a variable store that only this one needed goes again. */
gboolean
vs_start_unprepare_fresh (VsRun *run, GError **error)
{
  if (vs_run_get_flag (run, FACT_NVRAM_CREATED))
    g_unlink (vs_run_get_def (run)->os.nvram);
  return vs_start_unprepare (run, error);
}

static gboolean
note_removed (VsRun *run, gpointer data, GError **error)
{
  vs_domain_set_has_managed_save (vs_run_get_domain (run), FALSE);
  return TRUE;
}

gboolean
vs_start_remove_managed_save (VsRun *run, GError **error)
{
  return vs_store_remove (vs_run_get_store (run), vs_run_get_uuid (run), NULL, VS_STORE_MANAGED_SAVE, error)
         && vs_run_on_main (run, note_removed, NULL, error);
}

/* A transient domain lives as long as its guest: without one it is being made, or about to go. To boot it from the
 * disks of a guest that couldn't be restored would make that guest's image useless. */
static gboolean
check_stays (VsDomain *domain, JsonObject *facts, GError **error)
{
  if (vs_domain_is_active (domain) || vs_domain_get_persistent (domain)
      || json_object_get_boolean_member (facts, FACT_CREATE))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
               "%s is transient and has no guest: it is only just being created or restored, or about to go; create it "
               "again, or define it",
               vs_domain_get_name (domain));
  return FALSE;
}

static gboolean
check (VsEngine *engine, VsDomain *domain, JsonObject *facts, GError **error)
{
  if (!vs_domain_is_active (domain))
    return check_stays (domain, facts, error);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "%s is %s already", vs_domain_get_name (domain),
               vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vs_domain_get_state (domain)));
  return FALSE;
}

static gboolean
discards (VsRun *run)
{
  return vs_run_get_flag (run, FACT_DISCARD);
}

static const VsStep steps[] = {
  { "Checking disks", 1, vs_start_prepare, vs_start_unprepare_fresh },
  { "Starting QEMU", 4, vs_start_spawn, vs_start_end },
  /* Once the guest runs, its disks aren't those of the managed save any more. */
  { "Removing the managed save", 1, vs_start_remove_managed_save, NULL, NULL, VS_COMMIT_WHEN_BEGUN, discards },
  { "Letting the guest run", 1, let_run, NULL, NULL, VS_COMMIT_WHEN_BEGUN },
};

const VsWorkflow vs_workflow_start_boot = { "start", "start", NULL, steps, G_N_ELEMENTS (steps) };

static const VsWorkflow *
choose (VsDomain *domain, JsonObject *facts)
{
  gboolean discard = json_object_get_boolean_member (facts, FACT_DISCARD);

  if (vs_domain_get_has_managed_save (domain) && !discard)
    return &vs_workflow_start_restore;
  json_object_set_boolean_member (facts, FACT_DISCARD, discard && vs_domain_get_has_managed_save (domain));
  return &vs_workflow_start_boot;
}

static const VsWorkflow vs_workflow_start = { "start", "start", check, NULL, 0, choose };

/**
 * vs_operation_start:
 * @engine: the engine
 * @domain: a domain that is shut off
 * @options: how
 * @request: who asks
 * @error: where to put %VMSNAP_ERROR_INVALID_STATE, …
 *
 * Boots the domain, or restores it from its managed save if there is one.
 *
 * Returns: (transfer none) (nullable): the job
 */
VsJob *
vs_operation_start (VsEngine *engine,
                    VsDomain *domain,
                    const VsStartOptions *options,
                    const VsRequest *request,
                    GError **error)
{
  g_autoptr (JsonObject) facts = json_object_new ();

  json_object_set_boolean_member (facts, FACT_WANT_PAUSED, options->paused);
  json_object_set_boolean_member (facts, FACT_DISCARD, options->discard_managed_save);
  json_object_set_boolean_member (facts, FACT_CREATE, options->create);
  json_object_set_boolean_member (facts, FACT_BYPASS_CACHE, options->bypass_cache);
  /* Now already, though another job, which makes it, may be under way. */
  if (!check_stays (domain, facts, error))
    return NULL;
  return vs_engine_submit (engine, domain, &vs_workflow_start, facts, request, error);
}
