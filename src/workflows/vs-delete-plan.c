/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What becomes of which file when snapshots go: which are removed, which are merged and which way, which stay without a
 * name. Each merge is thought through before the next is chosen, so what is planned is what will be found. Nothing is
 * touched here. One thread at a time.
 */
#include "vs-delete-plan-private.h"

#include "vmsnap-error.h"

static void
hold_free (VsDeleteHold *hold)
{
  g_free (hold->owner);
  g_free (hold->target);
  g_free (hold);
}

static void
file_free (VsDeleteFile *file)
{
  g_free (file->path);
  g_free (file->format);
  g_free (file->backing);
  g_free (file->problem);
  g_ptr_array_unref (file->holds);
  g_ptr_array_unref (file->dependents);
  g_free (file->victim);
  g_free (file->victim_target);
  g_free (file->why);
  g_free (file);
}

/**
 * vs_delete_plan_new:
 *
 * Returns: (transfer full): a plan that knows of no file
 */
VsDeletePlan *
vs_delete_plan_new (void)
{
  VsDeletePlan *self = g_new0 (VsDeletePlan, 1);

  self->files = g_ptr_array_new_with_free_func ((GDestroyNotify) file_free);
  self->by_path = g_hash_table_new (g_str_hash, g_str_equal);
  self->victims = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

void
vs_delete_plan_free (VsDeletePlan *self)
{
  g_hash_table_unref (self->by_path);
  g_hash_table_unref (self->victims);
  g_ptr_array_unref (self->files);
  g_free (self);
}

/**
 * vs_delete_plan_add_file:
 * @self: a plan
 * @path: a file, not known yet
 * @format: (nullable): `raw` or `qcow2`; %NULL: not known
 * @backing: (nullable): the path of the file below it, by which that is added, too
 *
 * Returns: (transfer none): the file, to fill in what else is known
 */
VsDeleteFile *
vs_delete_plan_add_file (VsDeletePlan *self, const char *path, const char *format, const char *backing)
{
  VsDeleteFile *file = g_new0 (VsDeleteFile, 1);

  file->path = g_strdup (path);
  file->format = g_strdup (format != NULL ? format : "raw");
  file->backing = g_strdup (backing);
  file->holds = g_ptr_array_new_with_free_func ((GDestroyNotify) hold_free);
  file->dependents = g_ptr_array_new ();
  g_ptr_array_add (self->files, file);
  g_hash_table_insert (self->by_path, file->path, file);
  return file;
}

/**
 * vs_delete_plan_add_hold:
 * @self: a plan
 * @file: one of its files
 * @kind: why it is needed
 * @owner: (nullable): the snapshot; or, for %VS_DELETE_HOLD_FOREIGN, the domain
 * @target: (nullable): the disk
 */
void
vs_delete_plan_add_hold (VsDeletePlan *self, VsDeleteFile *file, VsDeleteHoldKind kind, const char *owner, const char *target)
{
  VsDeleteHold *hold = g_new0 (VsDeleteHold, 1);

  hold->kind = kind;
  hold->owner = g_strdup (owner);
  hold->target = g_strdup (target);
  g_ptr_array_add (file->holds, hold);
}

void
vs_delete_plan_add_victim (VsDeletePlan *self, const char *snapshot)
{
  g_hash_table_add (self->victims, g_strdup (snapshot));
}

/* It names the active files, in a memory that can't be told of others. */
void
vs_delete_plan_set_managed_save (VsDeletePlan *self, gboolean has_managed_save)
{
  self->has_managed_save = has_managed_save;
}

static gboolean
is_victims (VsDeletePlan *self, const VsDeleteHold *hold)
{
  return (hold->kind == VS_DELETE_HOLD_FROZEN || hold->kind == VS_DELETE_HOLD_TAG)
         && g_hash_table_contains (self->victims, hold->owner);
}

/* The victims need nothing any more. */
static void
release (VsDeletePlan *self, VsDeleteFile *file)
{
  for (guint i = file->holds->len; i-- > 0;)
    {
      const VsDeleteHold *hold = g_ptr_array_index (file->holds, i);

      if (!is_victims (self, hold))
        continue;
      if (hold->kind == VS_DELETE_HOLD_TAG)
        file->tags_going++;
      g_free (file->victim);
      file->victim = g_strdup (hold->owner);
      g_free (file->victim_target);
      file->victim_target = g_strdup (hold->target);
      g_ptr_array_remove_index (file->holds, i);
    }
  file->is_candidate = (file->victim != NULL || file->is_left) && file->holds->len == 0;
}

/* What can't be looked at may stand on anything of the same disk. */
static const VsDeleteFile *
find_unknown (VsDeletePlan *self, const char *target)
{
  for (guint i = 0; i < self->files->len; i++)
    {
      const VsDeleteFile *file = g_ptr_array_index (self->files, i);

      if (file->problem != NULL && vs_delete_plan_is_above (self, file, target))
        return file;
    }
  return NULL;
}

static gboolean
refuse (const VsDeleteFile *file, const char *problem, GError **error)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
               "The snapshot %s can't be deleted with its data, for disk %s: %s. Put that right, or give 'metadata-only' to "
               "forget the snapshot and leave its files alone",
               file->victim, file->victim_target, problem);
  return FALSE;
}

/* Nothing that is missing or another is touched, nor what may be below it. */
static gboolean
check_victim (VsDeletePlan *self, VsDeleteFile *file, GError **error)
{
  const VsDeleteFile *unknown;

  const VsDeleteFile *below = file->is_ours || file->dependents->len > 0 ? file : NULL;

  if (!file->is_candidate)
    return TRUE;
  for (; below != NULL; below = vs_delete_plan_get_backing (self, below))
    if (below->problem != NULL)
      return refuse (file, below->problem, error);
  unknown = find_unknown (self, file->victim_target);
  return unknown == NULL || refuse (file, unknown->problem, error);
}

static gboolean
release_all (VsDeletePlan *self, GError **error)
{
  for (guint i = 0; i < self->files->len; i++)
    release (self, g_ptr_array_index (self->files, i));
  for (guint i = 0; i < self->files->len; i++)
    {
      VsDeleteFile *file = g_ptr_array_index (self->files, i);

      if (file->victim != NULL && !check_victim (self, file, error))
        return FALSE;
    }
  return TRUE;
}

/* Left files are looked at again only while everything is where it should be. */
static void
spare_left (VsDeletePlan *self)
{
  const VsDeleteFile *unknown = find_unknown (self, NULL);

  for (guint i = 0; unknown != NULL && i < self->files->len; i++)
    {
      VsDeleteFile *file = g_ptr_array_index (self->files, i);

      if (file->victim == NULL)
        file->is_candidate = FALSE;
    }
}

static JsonObject *
add_item (JsonObject *result, const char *list, const VsDeleteFile *file)
{
  JsonObject *item = json_object_new ();

  json_object_set_string_member (item, "path", file->path);
  json_object_set_boolean_member (item, "ours", file->is_ours);
  json_array_add_object_element (json_object_get_array_member (result, list), item);
  return item;
}

static gboolean
is_active (const VsDeleteFile *file)
{
  for (guint i = 0; i < file->holds->len; i++)
    if (((const VsDeleteHold *) g_ptr_array_index (file->holds, i))->kind == VS_DELETE_HOLD_ACTIVE)
      return TRUE;
  return FALSE;
}

/* Before a record goes it is noted what its files are then, whatever becomes of them; and if something else needs them
 * now, what they are when it doesn't any more. */
static void
mark (VsDeletePlan *self, JsonObject *result)
{
  for (guint i = 0; i < self->files->len; i++)
    {
      const VsDeleteFile *file = g_ptr_array_index (self->files, i);

      if (file->victim != NULL && !is_active (file) && (file->is_ours || file->dependents->len > 0))
        add_item (result, VS_DELETE_MARK, file);
    }
}

/* Something in it that nobody told us to remove is reason enough to keep it. */
static gboolean
drop_leaf (VsDeletePlan *self, VsDeleteFile *file, JsonObject *result)
{
  if (!file->is_candidate || file->is_gone || file->problem != NULL || file->dependents->len > 0)
    return FALSE;
  file->is_candidate = FALSE;
  if (!file->is_ours)
    {
      if (file->is_left)
        add_item (result, VS_DELETE_FORGET, file);
      return TRUE;
    }
  if (vs_delete_plan_has_tags (file))
    {
      file->why = g_strdup ("it holds an internal snapshot that isn't on record");
      return TRUE;
    }
  vs_delete_plan_take_away (self, file);
  add_item (result, VS_DELETE_LEAVES, file);
  return TRUE;
}

static void
drop_leaves (VsDeletePlan *self, JsonObject *result)
{
  gboolean dropped;

  do
    {
      dropped = FALSE;
      for (guint i = 0; i < self->files->len; i++)
        dropped |= drop_leaf (self, g_ptr_array_index (self->files, i), result);
    }
  while (dropped);
}

/* What stays, and why, for people. */
static void
list_left (VsDeletePlan *self, JsonObject *result)
{
  for (guint i = 0; i < self->files->len; i++)
    {
      const VsDeleteFile *file = g_ptr_array_index (self->files, i);

      if (file->is_gone || (file->victim == NULL && !file->is_left) || file->why == NULL || file->holds->len > 0)
        continue;
      json_object_set_string_member (add_item (result, VS_DELETE_LEFT, file), "why", file->why);
    }
}

/**
 * vs_delete_plan_make:
 * @self: a plan that knows all files and the victims
 * @error: %VMSNAP_ERROR_INVALID_STATE when a file that would have to be touched can't be
 *
 * Once for a plan.
 *
 * Returns: (transfer full) (nullable): what is to be done, see %VS_DELETE_MERGES and the others
 */
JsonObject *
vs_delete_plan_make (VsDeletePlan *self, GError **error)
{
  static const char *const lists[] = { VS_DELETE_LEAVES, VS_DELETE_MERGES, VS_DELETE_LEFT, VS_DELETE_FORGET, VS_DELETE_MARK };
  g_autoptr (JsonObject) result = json_object_new ();

  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    json_object_set_array_member (result, lists[i], json_array_new ());
  vs_delete_plan_link (self);
  if (!release_all (self, error))
    return NULL;
  spare_left (self);
  mark (self, result);
  drop_leaves (self, result);
  vs_delete_plan_merge (self, json_object_get_array_member (result, VS_DELETE_MERGES));
  list_left (self, result);
  return g_steal_pointer (&result);
}
