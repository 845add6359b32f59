/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The engine: all domains and all jobs. How work is queued is in vs-engine-queue.c, how a definition comes and goes in
 * vs-engine-define.c, how all of it is found at start in vs-engine-load.c. Main thread only, but for what says so.
 */
#include "vs-engine-private.h"

#include "vmsnap-error.h"

/* How long an ended job stays for late callers. */
#define JOB_AFTERLIFE_SECONDS 60
/* Job numbers are reserved in blocks, so that a number isn't used twice in one boot whatever dies. */
#define JOB_BLOCK 100

enum
{
  DOMAIN_ADDED,
  DOMAIN_REMOVED,
  JOB_ADDED,
  JOB_REMOVED,
  HYPERVISOR_CHANGED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (VsEngine, vs_engine, G_TYPE_OBJECT)

typedef struct
{
  gint64 until; /* monotonic time */
  VsJob *job;
} Retired;

static void
retired_free (Retired *retired)
{
  g_object_unref (retired->job);
  g_free (retired);
}

static void
vs_engine_finalize (GObject *object)
{
  VsEngine *self = VS_ENGINE (object);

  g_clear_handle_id (&self->afterlife, g_source_remove);
  g_queue_clear_full (&self->retired, (GDestroyNotify) retired_free);
  g_hash_table_unref (self->queues);
  g_hash_table_unref (self->domains);
  g_hash_table_unref (self->jobs);
  g_hash_table_unref (self->reserved);
  vs_claims_free (self->claims);
  g_clear_object (&self->hypervisor);
  g_object_unref (self->store);
  g_free (self->emulator);
  G_OBJECT_CLASS (vs_engine_parent_class)->finalize (object);
}

static void
vs_engine_class_init (VsEngineClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = vs_engine_finalize;

  signals[DOMAIN_ADDED] = g_signal_new ("domain-added", VS_TYPE_ENGINE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                        G_TYPE_NONE, 1, VS_TYPE_DOMAIN);
  signals[DOMAIN_REMOVED] = g_signal_new ("domain-removed", VS_TYPE_ENGINE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                          G_TYPE_NONE, 1, VS_TYPE_DOMAIN);
  signals[JOB_ADDED] =
    g_signal_new ("job-added", VS_TYPE_ENGINE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, VS_TYPE_JOB);
  signals[JOB_REMOVED] =
    g_signal_new ("job-removed", VS_TYPE_ENGINE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, VS_TYPE_JOB);
  signals[HYPERVISOR_CHANGED] =
    g_signal_new ("hypervisor-changed", VS_TYPE_ENGINE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vs_engine_init (VsEngine *self)
{
  self->domains = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  self->jobs = g_hash_table_new_full (NULL, NULL, NULL, g_object_unref);
  self->queues = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, vs_engine_queue_free);
  self->reserved = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->claims = vs_claims_new ();
  self->next_job = 1;
}

/**
 * vs_engine_new:
 * @store: where everything lies
 * @emulator: the QEMU for definitions that name none
 * @workflows: (array zero-terminated=1): all there are; must live for ever
 *
 * Returns: (transfer full): an engine; vs_engine_load_async() comes next
 */
VsEngine *
vs_engine_new (VsStore *store, const char *emulator, const VsWorkflow *const *workflows)
{
  VsEngine *self = g_object_new (VS_TYPE_ENGINE, NULL);

  self->store = g_object_ref (store);
  self->emulator = g_strdup (emulator);
  self->workflows = workflows;
  return self;
}

VsStore *
vs_engine_get_store (VsEngine *self)
{
  return self->store;
}

/**
 * vs_engine_get_hypervisor:
 * @self: the engine
 *
 * Returns: (transfer none) (nullable): what the default emulator could do when it was last used; %NULL when it couldn't
 *   be asked
 */
VsHypervisor *
vs_engine_get_hypervisor (VsEngine *self)
{
  return self->hypervisor;
}

/**
 * vs_engine_note_hypervisor:
 * @self: the engine
 * @hypervisor: an emulator that was just asked, or still is as it was
 *
 * The default emulator may have been installed or upgraded since the service looked last.
 */
void
vs_engine_note_hypervisor (VsEngine *self, VsHypervisor *hypervisor)
{
  if (g_str_equal (vs_hypervisor_get_path (hypervisor), self->emulator) && g_set_object (&self->hypervisor, hypervisor))
    g_signal_emit (self, signals[HYPERVISOR_CHANGED], 0);
}

const char *
vs_engine_get_emulator (VsEngine *self)
{
  return self->emulator;
}

/**
 * vs_engine_find_workflow:
 * @self: the engine
 * @name: a workflow's own name
 *
 * Any thread.
 *
 * Returns: (nullable): the workflow of that name
 */
const VsWorkflow *
vs_engine_find_workflow (VsEngine *self, const char *name)
{
  for (guint i = 0; self->workflows[i] != NULL; i++)
    if (g_str_equal (self->workflows[i]->name, name))
      return self->workflows[i];
  return NULL;
}

/**
 * vs_engine_find_domain:
 * @self: the engine
 * @uuid: a uuid in its written form, lower case
 *
 * Returns: (transfer none) (nullable): that domain
 */
VsDomain *
vs_engine_find_domain (VsEngine *self, const char *uuid)
{
  return g_hash_table_lookup (self->domains, uuid);
}

/**
 * vs_engine_find_domain_by_name:
 * @self: the engine
 * @name: a domain's name
 *
 * Returns: (transfer none) (nullable): that domain
 */
VsDomain *
vs_engine_find_domain_by_name (VsEngine *self, const char *name)
{
  GHashTableIter iter;
  gpointer domain;

  g_hash_table_iter_init (&iter, self->domains);
  while (g_hash_table_iter_next (&iter, NULL, &domain))
    if (g_str_equal (vs_domain_get_name (domain), name))
      return domain;
  return NULL;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (vs_domain_get_name (VS_DOMAIN ((gpointer) a)), vs_domain_get_name (VS_DOMAIN ((gpointer) b)));
}

/**
 * vs_engine_list_domains:
 * @self: the engine
 *
 * Returns: (transfer container) (element-type VsDomain): all domains, by name
 */
GList *
vs_engine_list_domains (VsEngine *self)
{
  return g_list_sort (g_hash_table_get_values (self->domains), compare_names);
}

static void
on_guest_gone (VsDomain *domain, VsEngine *self)
{
  vs_claims_remove (self->claims, vs_domain_get_uuid (domain));
  vs_engine_drop_if_over (self, domain);
}

void
vs_engine_add_domain (VsEngine *self, VsDomain *domain)
{
  g_hash_table_insert (self->domains, g_strdup (vs_domain_get_uuid (domain)), g_object_ref (domain));
  g_signal_connect_object (domain, "guest-gone", G_CALLBACK (on_guest_gone), self, 0);
  g_signal_emit (self, signals[DOMAIN_ADDED], 0, domain);
}

/**
 * vs_engine_remove_domain:
 * @self: the engine
 * @domain: a domain of it
 *
 * It is no more. Its files are another matter.
 */
void
vs_engine_remove_domain (VsEngine *self, VsDomain *domain)
{
  g_autoptr (VsDomain) keep = g_object_ref (domain);

  g_signal_handlers_disconnect_by_data (domain, self);
  if (g_hash_table_remove (self->domains, vs_domain_get_uuid (domain)))
    g_signal_emit (self, signals[DOMAIN_REMOVED], 0, domain);
}

/* Whether its definition is being written or removed at this moment, or an earlier life's operation comes first. */
gboolean
vs_engine_is_held (VsEngine *self, VsDomain *domain)
{
  return vs_domain_get_unsettled (domain) || g_hash_table_contains (self->reserved, vs_domain_get_uuid (domain));
}

/* Whether an operation on it may be taken in at all. */
gboolean
vs_engine_check_admits (VsEngine *self, VsDomain *domain, GError **error)
{
  if (!vs_domain_is_reachable (domain))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE,
                   "The QEMU of %s runs, but doesn't answer on its monitor; wait until it does, or power it off",
                   vs_domain_get_name (domain));
      return FALSE;
    }
  if (!vs_engine_is_held (self, domain))
    return TRUE;
  if (vs_domain_get_unsettled (domain))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
                   "An operation on %s that an earlier life of the service left unfinished is settled first; try again "
                   "in a moment",
                   vs_domain_get_name (domain));
      return FALSE;
    }
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY, "The definition of %s is changing at this moment; try again",
               vs_domain_get_name (domain));
  return FALSE;
}

/* A transient domain goes when it has neither a guest nor work to do, also of an earlier life of the service. */
void
vs_engine_drop_if_over (VsEngine *self, VsDomain *domain)
{
  if (!vs_domain_get_persistent (domain) && !vs_domain_is_active (domain) && vs_domain_get_job (domain) == NULL
      && !vs_engine_is_busy (self, domain) && vs_engine_find_domain (self, vs_domain_get_uuid (domain)) == domain)
    {
      vs_store_remove_transient (self->store, vs_domain_get_uuid (domain));
      vs_engine_remove_domain (self, domain);
    }
}

/**
 * vs_engine_claim_disks:
 * @self: the engine
 * @def: the definition of a domain that is about to run, or whose disks are about to be changed
 * @chains: (element-type VsDiskChain): its disks' files
 * @error: where to put %VMSNAP_ERROR_BUSY, or %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Makes sure that no two domains use a file at once that one of them writes.
 *
 * Returns: whether all files are the domain's now, until its guest, or the operation on a domain without one, ends
 */
gboolean
vs_engine_claim_disks (VsEngine *self, VsDomainDef *def, GPtrArray *chains, GError **error)
{
  return vs_claims_add (self->claims, def, chains, error);
}

/**
 * vs_engine_claim_disks_beside:
 * @self: the engine
 * @def: the definition of a guest that is to take over from the domain's present one
 * @chains: (element-type VsDiskChain): its disks' files
 * @error: where to put %VMSNAP_ERROR_BUSY, or %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * As vs_engine_claim_disks(), for both guests at once.
 *
 * Returns: whether all files are that guest's, until vs_engine_settle_beside()
 */
gboolean
vs_engine_claim_disks_beside (VsEngine *self, VsDomainDef *def, GPtrArray *chains, GError **error)
{
  return vs_claims_add_beside (self->claims, def, chains, error);
}

/**
 * vs_engine_settle_beside:
 * @self: the engine
 * @domain: a domain
 * @taken_over: whether the guest beside has taken over, and the old one is gone; else that one is gone
 *
 * The claims are of one guest again. Does nothing when they were.
 */
void
vs_engine_settle_beside (VsEngine *self, VsDomain *domain, gboolean taken_over)
{
  vs_claims_settle_beside (self->claims, vs_domain_get_uuid (domain), taken_over);
}

/**
 * vs_engine_claim_image:
 * @self: the engine
 * @def: the definition of the domain that is about to be saved or restored
 * @id: the image's file, see vs_disk_file_id()
 * @writes: whether it is saved
 * @error: where to put %VMSNAP_ERROR_BUSY, or %VMSNAP_ERROR_INVALID_ARGUMENT
 *
 * Makes sure that no two guests are saved into one file, nor one into another's disk.
 *
 * Returns: whether the file is the operation's, until that ends
 */
gboolean
vs_engine_claim_image (VsEngine *self, VsDomainDef *def, const char *id, gboolean writes, GError **error)
{
  return vs_claims_add_image (self->claims, def, id, writes, error);
}

/**
 * vs_engine_release_disks:
 * @self: the engine
 * @domain: a domain
 *
 * Gives its claims back: that for an image, and those for its disks unless it has a guest.
 */
void
vs_engine_release_disks (VsEngine *self, VsDomain *domain)
{
  vs_claims_remove_image (self->claims, vs_domain_get_uuid (domain));
  if (!vs_domain_is_active (domain))
    vs_claims_remove (self->claims, vs_domain_get_uuid (domain));
}

static guint
take_job_number (VsEngine *self)
{
  if (self->next_job >= self->job_ceiling)
    {
      g_autofree char *path = g_build_filename (vs_store_get_runtime_dir (self->store), "jobs", NULL);
      g_autofree char *text = g_strdup_printf ("%u\n", self->next_job + JOB_BLOCK);
      g_autoptr (GError) error = NULL;

      self->job_ceiling = self->next_job + JOB_BLOCK;
      if (!g_file_set_contents (path, text, -1, &error))
        g_warning ("Job numbers may repeat after a restart: %s", error->message);
    }
  return self->next_job++;
}

static gboolean
is_known (VsEngine *self, VsJob *job)
{
  return vs_engine_find_job (self, vs_job_get_number (job)) == job;
}

/* @number: 0 for the next free one. */
VsJob *
vs_engine_add_job (VsEngine *self, const char *operation, const char *uuid, guint caller_uid, guint number)
{
  VsJob *job;

  while (number == 0 || g_hash_table_contains (self->jobs, GUINT_TO_POINTER (number)))
    number = take_job_number (self);
  job = vs_job_new (number, operation, uuid, caller_uid);
  g_hash_table_insert (self->jobs, GUINT_TO_POINTER (number), job);
  return job;
}

static void
remove_job (VsEngine *self, VsJob *job)
{
  g_autoptr (VsJob) keep = g_object_ref (job);

  if (is_known (self, job) && g_hash_table_remove (self->jobs, GUINT_TO_POINTER (vs_job_get_number (job))))
    g_signal_emit (self, signals[JOB_REMOVED], 0, job);
}

static void wait_for_afterlife (VsEngine *self);

static gboolean
on_afterlife_over (gpointer user_data)
{
  VsEngine *self = user_data;
  Retired *oldest;

  self->afterlife = 0;
  while ((oldest = g_queue_peek_head (&self->retired)) != NULL && oldest->until <= g_get_monotonic_time ())
    {
      remove_job (self, oldest->job);
      retired_free (g_queue_pop_head (&self->retired));
    }
  wait_for_afterlife (self);
  return G_SOURCE_REMOVE;
}

/* One timer for all of them: a main loop looks at each of its sources in each round. */
static void
wait_for_afterlife (VsEngine *self)
{
  const Retired *oldest = g_queue_peek_head (&self->retired);
  gint64 left;

  if (oldest == NULL || self->afterlife != 0)
    return;
  left = MAX (oldest->until - g_get_monotonic_time (), 0);
  self->afterlife = g_timeout_add ((guint) (left / 1000 + 1), on_afterlife_over, self);
}

static void
on_dismissed (VsJob *job, VsEngine *self)
{
  remove_job (self, job);
}

/* It has ended: it stays for a while, or until somebody says that its end was read. */
void
vs_engine_retire_job (VsEngine *self, VsJob *job)
{
  Retired *retired = g_new0 (Retired, 1);

  retired->until = g_get_monotonic_time () + JOB_AFTERLIFE_SECONDS * G_USEC_PER_SEC;
  retired->job = g_object_ref (job);
  g_signal_connect_object (job, "dismissed", G_CALLBACK (on_dismissed), self, 0);
  g_queue_push_tail (&self->retired, retired);
  wait_for_afterlife (self);
}

/**
 * vs_engine_find_job:
 * @self: the engine
 * @number: a job's number
 *
 * Returns: (transfer none) (nullable): that job
 */
VsJob *
vs_engine_find_job (VsEngine *self, guint number)
{
  return g_hash_table_lookup (self->jobs, GUINT_TO_POINTER (number));
}

/**
 * vs_engine_list_jobs:
 * @self: the engine
 *
 * Returns: (transfer container) (element-type VsJob): all jobs, also the ended ones that are still shown
 */
GList *
vs_engine_list_jobs (VsEngine *self)
{
  return g_hash_table_get_values (self->jobs);
}
