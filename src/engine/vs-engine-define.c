/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a definition comes in: completed and looked at on a worker thread, checked against the other
 * domains on the main thread, written on a worker thread again, and only then shown.
 */
#include "vs-engine-private.h"

#include "vmsnap-error.h"
#include "vs-firmware.h"
#include "vs-journal.h"


typedef struct
{
  VsDefineFlags flags;
  char *emulator;
  VsStore *store;
  VsDomainDef *def;
  VsHypervisor *hypervisor;
  GPtrArray *chains;
  VsRecords *records;
} Define;

static void
define_free (Define *define)
{
  g_free (define->emulator);
  g_object_unref (define->store);
  g_clear_pointer (&define->def, vs_domain_def_unref);
  g_clear_object (&define->hypervisor);
  g_clear_pointer (&define->chains, g_ptr_array_unref);
  g_clear_pointer (&define->records, vs_records_free);
  g_free (define);
}

/* Looks at a definition's disks, as far as they can be looked at. Worker threads. */
GPtrArray *
vs_engine_probe_chains (VsDomainDef *def)
{
  GPtrArray *chains = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_disk_chain_unref);

  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      VsDiskChain *chain = NULL;

      if (disk->path != NULL)
        chain = vs_disk_chain_probe (disk, NULL, NULL);
      if (chain != NULL)
        g_ptr_array_add (chains, chain);
    }
  return chains;
}

/* The versioned machine type goes into the definition: a saved guest must still load when QEMU has been upgraded. */
static gboolean
complete (Define *define, GError **error)
{
  const char *emulator = define->def->emulator != NULL ? define->def->emulator : define->emulator;
  g_autofree char *machine = NULL;
  g_autoptr (VsDomainDef) versioned = NULL;
  VsDomainDef *with_firmware;

  define->hypervisor = vs_hypervisor_get (emulator, NULL, error);
  if (define->hypervisor == NULL)
    return FALSE;
  machine = vs_hypervisor_resolve_machine (define->hypervisor, define->def->os.machine, error);
  if (machine == NULL)
    return FALSE;
  versioned = vs_domain_def_copy_with_machine (define->def, machine, error);
  if (versioned == NULL)
    return FALSE;
  with_firmware = vs_firmware_complete (versioned, define->store, error);
  if (with_firmware == NULL)
    return FALSE;
  vs_domain_def_unref (define->def);
  define->def = with_firmware;

  define->chains = vs_engine_probe_chains (define->def);
  return TRUE;
}

/* Its state goes with the domain, in which all of a transient one is. */
static gboolean
check_tpm (Define *define, GError **error)
{
  const VsTpmDef *tpm = define->def->tpm;

  if (tpm == NULL || !tpm->persistent_state || (define->flags & VS_DEFINE_TRANSIENT) == 0
      || (define->flags & VS_DEFINE_FOR_RESTORE) != 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML,
               "line %u: persistent_state='yes' of <tpm> isn't supported for a transient domain; define the domain, or "
               "leave it out",
               tpm->line);
  return FALSE;
}

static void
prepare_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Define *define = task_data;
  GError *error = NULL;

  if (!check_tpm (define, &error) || !complete (define, &error))
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static gboolean
refuse_taken (const char *what, const char *name, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS,
               "There is a domain with the %s %s already; undefine it, or choose another %s", what, name, what);
  return FALSE;
}

/* Also by the name that a running domain will have after its next start. */
static VsDomain *
find_by_any_name (VsEngine *self, const char *name)
{
  GHashTableIter iter;
  gpointer domain;

  g_hash_table_iter_init (&iter, self->domains);
  while (g_hash_table_iter_next (&iter, NULL, &domain))
    if (g_str_equal (vs_domain_get_inactive_def (domain)->name, name))
      return domain;
  return vs_engine_find_domain_by_name (self, name);
}

/* Against the other domains, and the definitions that are being written at this moment. */
static gboolean
check_free (VsEngine *self, Define *define, GError **error)
{
  VsDomain *same_name = find_by_any_name (self, define->def->name);
  VsDomain *same_uuid = vs_engine_find_domain (self, define->def->uuid);

  if (same_name != NULL && same_name != same_uuid)
    return refuse_taken ("name", define->def->name, error);
  if (same_uuid != NULL && (define->flags & VS_DEFINE_TRANSIENT) != 0)
    return refuse_taken ("uuid", define->def->uuid, error);
  if (g_hash_table_contains (self->reserved, define->def->name))
    return refuse_taken ("name", define->def->name, error);
  if (same_uuid == NULL && g_hash_table_contains (self->reserved, define->def->uuid))
    return refuse_taken ("uuid", define->def->uuid, error);
  if (same_uuid != NULL && vs_engine_is_busy (self, same_uuid))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY, "%s is busy; define it anew when its job has ended",
                   vs_domain_get_name (same_uuid));
      return FALSE;
    }
  return TRUE;
}

static void
reserve (VsEngine *self, Define *define)
{
  g_hash_table_add (self->reserved, g_strdup (define->def->name));
  g_hash_table_add (self->reserved, g_strdup (define->def->uuid));
}

static void
write_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Define *define = task_data;
  g_autofree char *xml = vs_domain_def_format (define->def);
  gboolean transient = (define->flags & VS_DEFINE_TRANSIENT) != 0;
  GError *error = NULL;

  define->records = vs_engine_read_records (define->store, define->def->uuid);
  if (transient || vs_store_write (define->store, define->def->uuid, NULL, VS_STORE_DEFINITION, xml, -1, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* All is well: shows the domain, new or changed. */
static VsDomain *
show (VsEngine *self, Define *define)
{
  gboolean persistent = (define->flags & VS_DEFINE_TRANSIENT) == 0;
  VsDomain *domain = vs_engine_find_domain (self, define->def->uuid);

  if (domain != NULL)
    {
      vs_domain_set_inactive_def (domain, define->def);
      vs_domain_set_persistent (domain, TRUE);
      if (!vs_domain_is_active (domain))
        vs_domain_set_chains (domain, define->chains);
      return g_object_ref (domain);
    }
  domain = vs_domain_new (self->store, define->def, persistent);
  vs_domain_set_chains (domain, define->chains);
  vs_engine_show_records (define->records, domain);
  vs_engine_add_domain (self, domain);
  return domain;
}

static void
finish (GTask *task, GError *error)
{
  VsEngine *self = g_task_get_source_object (task);
  Define *define = g_task_get_task_data (task);
  VsDomain *present = vs_engine_find_domain (self, define->def->uuid);

  g_hash_table_remove (self->reserved, define->def->name);
  g_hash_table_remove (self->reserved, define->def->uuid);
  if (error != NULL)
    {
      g_task_return_error (task, error);
      /* Its guest may have ended meanwhile. */
      if (present != NULL)
        vs_engine_drop_if_over (self, present);
    }
  else
    g_task_return_pointer (task, show (self, define), g_object_unref);
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  g_task_propagate_boolean (G_TASK (result), &error);
  finish (task, error);
}

/* As a part of @outer, with its data. */
void
vs_engine_run_in_thread (GTask *outer, GTaskThreadFunc func, GAsyncReadyCallback callback)
{
  g_autoptr (GTask) inner = g_task_new (g_task_get_source_object (outer), NULL, callback, g_object_ref (outer));

  g_task_set_task_data (inner, g_task_get_task_data (outer), NULL);
  g_task_run_in_thread (inner, func);
}

static void
on_prepared (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  VsEngine *self = VS_ENGINE (source);
  Define *define = g_task_get_task_data (task);
  GError *error = NULL;

  if (define->hypervisor != NULL)
    vs_engine_note_hypervisor (self, define->hypervisor);
  if (!g_task_propagate_boolean (G_TASK (result), &error) || !check_free (self, define, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  reserve (self, define);
  vs_engine_run_in_thread (task, write_thread, on_written);
}

/**
 * vs_engine_define_async:
 * @self: the engine
 * @def: (transfer none): a domain's definition
 * @flags: how
 * @callback: called on the main thread
 * @user_data: for @callback
 *
 * Takes a definition in. One with the uuid of a persistent domain replaces that domain's; a guest that runs goes on
 * with the old one until it ends. Machine type and firmware are made definite.
 */
void
vs_engine_define_async (VsEngine *self,
                        VsDomainDef *def,
                        VsDefineFlags flags,
                        GAsyncReadyCallback callback,
                        gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  Define *define = g_new0 (Define, 1);

  define->def = vs_domain_def_ref (def);
  define->flags = flags;
  define->emulator = g_strdup (self->emulator);
  define->store = g_object_ref (self->store);
  g_task_set_task_data (task, define, (GDestroyNotify) define_free);
  vs_engine_run_in_thread (task, prepare_thread, on_prepared);
}

/**
 * vs_engine_define_finish:
 * @self: the engine
 * @result: as given to the callback
 * @error: where to put %VMSNAP_ERROR_INVALID_XML, %VMSNAP_ERROR_ALREADY_EXISTS, …
 *
 * Returns: (transfer full) (nullable): the domain
 */
VsDomain *
vs_engine_define_finish (VsEngine *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
