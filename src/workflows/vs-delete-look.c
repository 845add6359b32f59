/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Looking at the files before snapshots are deleted: what the disk graph knows of them, told to the plan. Threads of runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-delete-plan.h"
#include "vs-delete.h"
#include "vs-disk-graph.h"
#include "vs-own-files.h"
#include "vs-qcow2.h"

typedef struct
{
  const char *uuid;
  VsDeletePlan *plan;
  VsDiskGraph *graph;
  GHashTable *own; /* VsGraphFile → VsOwnFile, of this domain */
} Look;

typedef struct
{
  VsDiskGraph *graph;
  gboolean has_managed_save;
} Collected;

static gboolean
collect (VsRun *run, gpointer data, GError **error)
{
  Collected *collected = data;

  collected->graph = vs_disk_graph_collect (vs_run_get_engine (run));
  collected->has_managed_save = vs_domain_get_has_managed_save (vs_run_get_domain (run));
  return TRUE;
}

static gboolean
is_own_use (const Look *look, const VsUse *use)
{
  return g_str_equal (use->uuid, look->uuid);
}

/* Nothing is told of files that only others have to do with. */
static gboolean
concerns_us (const Look *look, VsGraphFile *file)
{
  if (g_hash_table_contains (look->own, file))
    return TRUE;
  for (guint i = 0; i < file->uses->len; i++)
    if (is_own_use (look, g_ptr_array_index (file->uses, i)))
      return TRUE;
  return FALSE;
}

static void
add_use (const Look *look, VsDeleteFile *file, const VsUse *use)
{
  if (!is_own_use (look, use))
    {
      if (use->kind != VS_USE_LEFT)
        vs_delete_plan_add_hold (look->plan, file, VS_DELETE_HOLD_FOREIGN, use->domain, use->target);
      return;
    }
  switch (use->kind)
    {
    case VS_USE_ACTIVE:
      vs_delete_plan_add_hold (look->plan, file, VS_DELETE_HOLD_ACTIVE, NULL, use->target);
      break;
    case VS_USE_FROZEN:
      vs_delete_plan_add_hold (look->plan, file, VS_DELETE_HOLD_FROZEN, use->snapshot, use->target);
      break;
    case VS_USE_TAG:
      vs_delete_plan_add_hold (look->plan, file, VS_DELETE_HOLD_TAG, use->snapshot, use->target);
      break;
    case VS_USE_LEFT:
      file->is_left = TRUE;
      break;
    case VS_USE_READ:
    default:
      vs_delete_plan_add_hold (look->plan, file, VS_DELETE_HOLD_FOREIGN, use->domain, use->target);
    }
}

/* Internal snapshots that are really in it, be they on record or not. */
static guint
count_tags (const VsGraphFile *file)
{
  int fd = g_strcmp0 (file->format, "qcow2") == 0 ? open (file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
  g_autoptr (VsQcow2Header) header = fd >= 0 && vs_qcow2_is (fd) ? vs_qcow2_read_header (fd, NULL) : NULL;

  if (fd >= 0)
    close (fd);
  return header != NULL ? header->n_snapshots : 0;
}

/* Of a file that was noted: whether it is still that one. */
static gboolean
is_the_same (const VsOwnFile *own, const VsGraphFile *known)
{
  return known->id == NULL || g_str_equal (own->id, known->id) || vs_disk_file_id_is_akin (own->id, known->id);
}

/* A file of ours that nothing names, and that isn't left, was a snapshot's whose data were to stay. One that is ours, but
 * another domain's, isn't this domain's to change. */
static void
add_standing (const Look *look, VsDeleteFile *file, VsGraphFile *known)
{
  const VsOwnFile *own = g_hash_table_lookup (look->own, known);

  file->is_ours = own != NULL && !own->is_original && known->is_ours;
  if (own != NULL && !is_the_same (own, known))
    {
      file->is_left = FALSE;
      if (!own->is_original && file->problem == NULL)
        file->problem = g_strdup_printf ("%s isn't the file that was made for this disk: another one is in its place",
                                         known->path);
    }
  if (file->is_ours && known->uses->len == 0)
    vs_delete_plan_add_hold (look->plan, file, VS_DELETE_HOLD_FORGOTTEN, NULL, NULL);
  if (known->is_ours && own == NULL)
    vs_delete_plan_add_hold (look->plan, file, VS_DELETE_HOLD_FOREIGN, NULL, NULL);
}

static void
add_file (const Look *look, VsGraphFile *known)
{
  VsGraphFile *backing = vs_disk_graph_get_backing (look->graph, known);
  VsDeleteFile *file
    = vs_delete_plan_add_file (look->plan, known->path, known->format, backing != NULL ? backing->path : NULL);

  file->size = known->actual_size;
  file->virtual_size = known->virtual_size;
  file->is_block = known->is_block;
  file->problem = g_strdup (known->problem);
  file->is_read_only = faccessat (AT_FDCWD, known->path, W_OK, AT_EACCESS) != 0;
  if (concerns_us (look, known) || (backing != NULL && concerns_us (look, backing)))
    file->n_tags = count_tags (known);
  for (guint i = 0; i < known->uses->len; i++)
    add_use (look, file, g_ptr_array_index (known->uses, i));
  add_standing (look, file, known);
}

static void
add_files (Look *look, GPtrArray *own)
{
  g_autoptr (GPtrArray) files = vs_disk_graph_list (look->graph);

  for (guint i = 0; i < own->len; i++)
    {
      VsOwnFile *entry = g_ptr_array_index (own, i);
      VsGraphFile *file = vs_disk_graph_find (look->graph, entry->path);

      if (file != NULL)
        g_hash_table_insert (look->own, file, entry);
    }
  for (guint i = 0; i < files->len; i++)
    add_file (look, g_ptr_array_index (files, i));
}

static void
add_victims (VsRun *run, VsDeletePlan *plan)
{
  JsonArray *victims = json_object_get_array_member (vs_run_get_facts (run), FACT_VICTIMS);

  for (guint i = 0; i < json_array_get_length (victims); i++)
    vs_delete_plan_add_victim (plan,
                               json_object_get_string_member (json_array_get_object_element (victims, i), "name"));
}

/**
 * vs_delete_look:
 * @run: a run that knows its victims
 * @error: %VMSNAP_ERROR_INVALID_STATE when a file can't be touched that would have to be
 *
 * Looks at all files, and makes the plan a fact.
 *
 * Returns: whether it can be done
 */
gboolean
vs_delete_look (VsRun *run, GError **error)
{
  g_autoptr (VsDeletePlan) plan = vs_delete_plan_new ();
  g_autoptr (VsDiskGraph) graph = NULL;
  g_autoptr (GHashTable) known = g_hash_table_new (NULL, NULL);
  g_autoptr (GPtrArray) own = vs_own_files_list (vs_run_get_store (run), vs_run_get_uuid (run));
  Collected collected = { 0 };
  Look look = { vs_run_get_uuid (run), plan, NULL, known };
  JsonObject *result;

  vs_run_on_main (run, collect, &collected, NULL);
  look.graph = graph = collected.graph;
  if (!vs_disk_graph_look (graph, vs_run_get_cancellable (run), error))
    return FALSE;
  add_files (&look, own);
  add_victims (run, plan);
  vs_delete_plan_set_managed_save (plan, collected.has_managed_save);
  result = vs_delete_plan_make (plan, error);
  if (result == NULL)
    return FALSE;
  json_object_set_object_member (vs_run_get_facts (run), FACT_PLAN, result);
  return TRUE;
}
