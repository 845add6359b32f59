/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a definition goes, and a managed save: checked on the main thread, removed on a worker thread, and only then
 * shown to be gone.
 */
#include "vs-engine-private.h"

#include "vmsnap-error.h"
#include "vs-journal.h"

static gboolean
check_undefine (VsEngine *self, VsDomain *domain, VsUndefineFlags flags, GError **error)
{
  const char *name = vs_domain_get_name (domain);
  guint snapshots = vs_domain_count_snapshots (domain);

  if (!vs_domain_get_persistent (domain))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                   "%s is transient: it has no definition to remove, and goes when its guest is powered off", name);
      return FALSE;
    }
  if (vs_engine_is_busy (self, domain))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY, "%s is busy; wait for its job's end, or cancel it", name);
      return FALSE;
    }
  if (snapshots > 0 && (flags & VS_UNDEFINE_SNAPSHOTS_METADATA) == 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HAS_SNAPSHOTS,
                   "%s has %u snapshot%s; delete them, or give snapshots-metadata to forget them (what is in the disks, "
                   "and their memory's files, stay)",
                   name, snapshots, snapshots == 1 ? "" : "s");
      return FALSE;
    }
  if (vs_domain_get_has_managed_save (domain) && (flags & VS_UNDEFINE_MANAGED_SAVE) == 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HAS_MANAGED_SAVE,
                   "%s has a managed save; start it, remove the managed save, or give managed-save to have it removed",
                   name);
      return FALSE;
    }
  return TRUE;
}

static void
forget_snapshots (VsDomain *domain)
{
  g_autoptr (GList) snapshots = g_list_reverse (vs_domain_list_snapshots (domain));

  for (GList *l = snapshots; l != NULL; l = l->next)
    vs_domain_remove_snapshot (domain, l->data);
}

typedef struct
{
  VsStore *store;
  VsDomain *domain;
  char *uuid;
  char *name;
  gboolean active;
} Undefine;

static Undefine *
undefine_new (VsEngine *self, VsDomain *domain)
{
  Undefine *undefine = g_new0 (Undefine, 1);

  undefine->store = g_object_ref (self->store);
  undefine->domain = g_object_ref (domain);
  undefine->uuid = g_strdup (vs_domain_get_uuid (domain));
  undefine->name = g_strdup (vs_domain_get_name (domain));
  undefine->active = vs_domain_is_active (domain);
  return undefine;
}

static void
undefine_free (Undefine *undefine)
{
  g_object_unref (undefine->store);
  g_object_unref (undefine->domain);
  g_free (undefine->uuid);
  g_free (undefine->name);
  g_free (undefine);
}

/* A journal tells how to make whole what an operation left in pieces: it can't go before that is done. */
static gboolean
check_settled (Undefine *undefine, GError **error)
{
  g_autoptr (GPtrArray) journals = vs_journal_load (undefine->store, undefine->uuid);

  if (journals->len == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY,
               "%s has an unfinished operation (%s) that must be settled first; that is tried before its next operation, "
               "and when the service starts",
               undefine->name, ((VsJournal *) g_ptr_array_index (journals, 0))->workflow);
  return FALSE;
}

static void
undefine_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Undefine *undefine = task_data;
  GError *error = NULL;
  gboolean ok = check_settled (undefine, &error);

  if (ok && undefine->active)
    ok = vs_store_remove_definition (undefine->store, undefine->uuid, &error);
  else if (ok)
    ok = vs_store_remove_domain (undefine->store, undefine->uuid, &error);
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_undefined (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  VsEngine *self = VS_ENGINE (source);
  Undefine *undefine = g_task_get_task_data (task);
  GError *error = NULL;

  g_hash_table_remove (self->reserved, undefine->uuid);
  if (!g_task_propagate_boolean (G_TASK (result), &error))
    {
      g_task_return_error (task, error);
      return;
    }
  forget_snapshots (undefine->domain);
  vs_domain_set_has_managed_save (undefine->domain, FALSE);
  vs_domain_set_persistent (undefine->domain, FALSE);
  vs_engine_drop_if_over (self, undefine->domain);
  g_task_return_boolean (task, TRUE);
}

/**
 * vs_engine_undefine_async:
 * @self: the engine
 * @domain: a persistent domain
 * @flags: what may go with it
 * @callback: called on the main thread
 * @user_data: for @callback
 *
 * Removes a definition. A guest that runs goes on, as a transient domain, and keeps its UEFI variables and its TPM until
 * it ends.
 */
void
vs_engine_undefine_async (VsEngine *self,
                          VsDomain *domain,
                          VsUndefineFlags flags,
                          GAsyncReadyCallback callback,
                          gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  GError *error = NULL;

  if (!check_undefine (self, domain, flags, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  g_task_set_task_data (task, undefine_new (self, domain), (GDestroyNotify) undefine_free);
  g_hash_table_add (self->reserved, g_strdup (vs_domain_get_uuid (domain)));
  vs_engine_run_in_thread (task, undefine_thread, on_undefined);
}

/**
 * vs_engine_undefine_finish:
 * @self: the engine
 * @result: as given to the callback
 * @error: where to put %VMSNAP_ERROR_HAS_SNAPSHOTS, %VMSNAP_ERROR_BUSY, …
 *
 * Returns: whether it is gone
 */
gboolean
vs_engine_undefine_finish (VsEngine *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
remove_managed_save_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Undefine *what = task_data;
  GError *error = NULL;

  if (check_settled (what, &error)
      && vs_store_remove (what->store, what->uuid, NULL, VS_STORE_MANAGED_SAVE, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_managed_save_removed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  VsEngine *self = VS_ENGINE (source);
  Undefine *what = g_task_get_task_data (task);
  GError *error = NULL;

  g_hash_table_remove (self->reserved, what->uuid);
  if (!g_task_propagate_boolean (G_TASK (result), &error))
    {
      g_task_return_error (task, error);
      return;
    }
  vs_domain_set_has_managed_save (what->domain, FALSE);
  g_task_return_boolean (task, TRUE);
}

static gboolean
check_remove_managed_save (VsEngine *self, VsDomain *domain, GError **error)
{
  const char *name = vs_domain_get_name (domain);

  if (vs_engine_is_busy (self, domain))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY, "%s is busy; wait for its job's end, or cancel it", name);
      return FALSE;
    }
  if (!vs_domain_get_has_managed_save (domain))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s has no managed save to remove", name);
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_engine_remove_managed_save_async:
 * @self: the engine
 * @domain: a domain with a managed save
 * @callback: called on the main thread
 * @user_data: for @callback
 *
 * Removes the image that the next start would restore from: that will boot instead, as after a power cut.
 */
void
vs_engine_remove_managed_save_async (VsEngine *self,
                                     VsDomain *domain,
                                     GAsyncReadyCallback callback,
                                     gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  GError *error = NULL;

  if (!check_remove_managed_save (self, domain, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  g_task_set_task_data (task, undefine_new (self, domain), (GDestroyNotify) undefine_free);
  g_hash_table_add (self->reserved, g_strdup (vs_domain_get_uuid (domain)));
  vs_engine_run_in_thread (task, remove_managed_save_thread, on_managed_save_removed);
}

/**
 * vs_engine_remove_managed_save_finish:
 * @self: the engine
 * @result: as given to the callback
 * @error: where to put %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_BUSY, …
 *
 * Returns: whether it is gone
 */
gboolean
vs_engine_remove_managed_save_finish (VsEngine *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
