/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The merges of a deletion: a file that nothing names, with the one file that stands on it. Either what is above is
 * committed into it, and takes its place; or what is in it is streamed into the one above, and it goes. Whichever moves
 * fewer bytes, where both are possible. Part of the plan; one thread at a time.
 */
#include "vs-delete-plan-private.h"

#include <string.h>

typedef enum { WAY_NONE, WAY_STREAM, WAY_COMMIT } Way;

typedef struct
{
  VsDeleteFile *upper;
  Way way;
  gboolean late; /* a stream that must wait until tags are gone */
} Choice;

VsDeleteFile *
vs_delete_plan_get_backing (VsDeletePlan *self, const VsDeleteFile *file)
{
  return file->backing != NULL ? g_hash_table_lookup (self->by_path, file->backing) : NULL;
}

/* Afterwards @file stands on @backing, or NULL. */
static void
put_on (VsDeletePlan *self, VsDeleteFile *file, const char *backing)
{
  g_autofree char *path = g_strdup (backing);
  VsDeleteFile *below = vs_delete_plan_get_backing (self, file);

  if (below != NULL)
    g_ptr_array_remove (below->dependents, file);
  g_free (file->backing);
  file->backing = g_strdup (path);
  below = vs_delete_plan_get_backing (self, file);
  if (below != NULL)
    g_ptr_array_add (below->dependents, file);
}

/* Once, when all files are known. */
void
vs_delete_plan_link (VsDeletePlan *self)
{
  for (guint i = 0; i < self->files->len; i++)
    {
      VsDeleteFile *file = g_ptr_array_index (self->files, i);
      VsDeleteFile *below = vs_delete_plan_get_backing (self, file);

      if (below != NULL)
        g_ptr_array_add (below->dependents, file);
    }
}

/* Nothing is in it any more that counts. */
void
vs_delete_plan_take_away (VsDeletePlan *self, VsDeleteFile *file)
{
  put_on (self, file, NULL);
  file->is_gone = TRUE;
  file->is_candidate = FALSE;
}

/* After the victims' are gone. */
gboolean
vs_delete_plan_has_tags (const VsDeleteFile *file)
{
  return file->n_tags > file->tags_going;
}

static gboolean
is_of (const VsDeleteHold *hold, const char *target)
{
  return (hold->kind == VS_DELETE_HOLD_ACTIVE || hold->kind == VS_DELETE_HOLD_FROZEN)
         && (target == NULL || g_strcmp0 (hold->target, target) == 0);
}

typedef gboolean (*HoldFunc) (const VsDeleteHold *hold, gconstpointer data);

/* The first hold of @file or of what stands on it that @func wants. The links may be damaged: @depth ends it. */
static const VsDeleteHold *
find_above (VsDeletePlan *self, const VsDeleteFile *file, HoldFunc func, gconstpointer data, guint depth)
{
  for (guint i = 0; i < file->holds->len; i++)
    if (func (g_ptr_array_index (file->holds, i), data))
      return g_ptr_array_index (file->holds, i);
  for (guint i = 0; depth <= self->files->len && i < file->dependents->len; i++)
    {
      const VsDeleteFile *above = g_ptr_array_index (file->dependents, i);
      const VsDeleteHold *found = find_above (self, above, func, data, depth + 1);

      if (found != NULL)
        return found;
    }
  return NULL;
}

static gboolean
is_of_target (const VsDeleteHold *hold, gconstpointer target)
{
  return is_of (hold, target);
}

/* Whether disk @target, or any for NULL, uses it or something that stands on it. */
gboolean
vs_delete_plan_is_above (VsDeletePlan *self, const VsDeleteFile *file, const char *target)
{
  return find_above (self, file, is_of_target, target, 0) != NULL;
}

static gboolean
is_foreign (const VsDeleteHold *hold, gconstpointer data)
{
  return hold->kind == VS_DELETE_HOLD_FOREIGN;
}

static gboolean
is_active (const VsDeleteHold *hold, gconstpointer other)
{
  return hold->kind == VS_DELETE_HOLD_ACTIVE && (other == NULL || g_strcmp0 (hold->target, other) != 0);
}

static gboolean
has_hold (const VsDeleteFile *file, VsDeleteHoldKind kind)
{
  for (guint i = 0; i < file->holds->len; i++)
    if (((const VsDeleteHold *) g_ptr_array_index (file->holds, i))->kind == kind)
      return TRUE;
  return FALSE;
}

/* Returns why it can't be merged at all, or NULL. */
static char *
find_obstacle (VsDeletePlan *self, VsDeleteFile *lower, const VsDeleteFile *upper)
{
  const guint n = lower->dependents->len;
  const VsDeleteHold *hold = find_above (self, upper, is_foreign, NULL, 0);
  const VsDeleteHold *active = find_above (self, upper, is_active, NULL, 0);

  if (n > 1)
    return g_strdup_printf ("%u files stand on it", n);
  for (const VsDeleteFile *below = upper; below != NULL; below = vs_delete_plan_get_backing (self, below))
    if (below->problem != NULL)
      return g_strdup (below->problem);
  if (hold != NULL)
    return g_strdup_printf ("%s of %s stands on it", hold->target != NULL ? hold->target : "a disk",
                            hold->owner != NULL ? hold->owner : "another domain");
  hold = active != NULL ? find_above (self, upper, is_active, active->target, 0) : NULL;
  if (hold != NULL)
    return g_strdup_printf ("the disks %s and %s both stand on it", active->target, hold->target);
  if (vs_delete_plan_has_tags (upper))
    return g_strdup_printf ("%s, which stands on it, holds internal snapshots", upper->path);
  return NULL;
}

/* What is streamed into is changed only beneath what it holds itself. */
static const char *
why_not_stream (const VsDeleteFile *lower, const VsDeleteFile *upper)
{
  if (!lower->is_ours)
    return "it isn't one that this service made";
  if (vs_delete_plan_has_tags (lower))
    return "it holds internal snapshots";
  if (upper->is_read_only)
    return "the one above can't be written";
  /* Beyond its end QEMU would show what is below it. */
  if (lower->virtual_size < upper->virtual_size && lower->backing != NULL)
    return "it is of another size";
  return g_str_equal (upper->format, "qcow2") ? NULL : "the one above isn't qcow2";
}

static const char *
why_not_commit (VsDeletePlan *self, const VsDeleteFile *lower, const VsDeleteFile *upper)
{
  if (!upper->is_ours)
    return "the one above isn't one that this service made";
  if (has_hold (upper, VS_DELETE_HOLD_FORGOTTEN))
    return "the one above was a snapshot's that was forgotten";
  if (lower->is_read_only)
    return "it can't be written";
  if (lower->virtual_size > upper->virtual_size || (lower->is_block && lower->virtual_size < upper->virtual_size))
    return "it is of another size";
  if (self->has_managed_save && has_hold (upper, VS_DELETE_HOLD_ACTIVE))
    return "the managed save names the one above";
  return NULL;
}

/* Sets @choice, or why there is none. */
static void
choose (VsDeletePlan *self, VsDeleteFile *lower, Choice *choice)
{
  VsDeleteFile *upper = lower->dependents->len > 0 ? g_ptr_array_index (lower->dependents, 0) : NULL;
  const char *no_stream, *no_commit;

  *choice = (Choice) { .upper = upper, .way = WAY_NONE };
  g_clear_pointer (&lower->why, g_free);
  if (upper == NULL)
    return;
  lower->why = find_obstacle (self, lower, upper);
  if (lower->why != NULL)
    return;
  no_stream = why_not_stream (lower, upper);
  no_commit = why_not_commit (self, lower, upper);
  if (no_stream != NULL && no_commit != NULL)
    lower->why = g_strdup_printf ("%s can't be merged with it: %s; and %s", upper->path, no_stream, no_commit);
  else if (no_stream == NULL && (no_commit != NULL || lower->size <= upper->size))
    choice->way = WAY_STREAM;
  else
    choice->way = WAY_COMMIT;
  choice->late = choice->way == WAY_COMMIT || upper->tags_going > 0;
}

static JsonObject *
describe (VsDeletePlan *self, const VsDeleteFile *lower, const Choice *choice)
{
  const VsDeleteFile *upper = choice->upper;
  const VsDeleteHold *active = find_above (self, upper, is_active, NULL, 0);
  const VsDeleteHold *any = active != NULL ? active : find_above (self, upper, is_of_target, NULL, 0);
  JsonObject *merge = json_object_new ();
  JsonArray *dependents = json_array_new ();

  json_object_set_string_member (merge, "target", any != NULL && any->target != NULL ? any->target : "");
  json_object_set_string_member (merge, "lower-path", lower->path);
  json_object_set_string_member (merge, "lower-format", lower->format);
  json_object_set_string_member (merge, "upper-path", upper->path);
  json_object_set_string_member (merge, "way", choice->way == WAY_STREAM ? "stream" : "commit");
  json_object_set_boolean_member (merge, "late", choice->late);
  json_object_set_int_member (merge, "bytes", (gint64) (choice->way == WAY_STREAM ? lower->size : upper->size));
  json_object_set_boolean_member (merge, "lower-ours", lower->is_ours);
  json_object_set_boolean_member (merge, "upper-ours", upper->is_ours);
  for (guint i = 0; choice->way == WAY_COMMIT && i < upper->dependents->len; i++)
    json_array_add_string_element (dependents, ((VsDeleteFile *) g_ptr_array_index (upper->dependents, i))->path);
  json_object_set_array_member (merge, "dependents", dependents);
  return merge;
}

static void
pretend_stream (VsDeletePlan *self, VsDeleteFile *lower, VsDeleteFile *upper)
{
  upper->size += lower->size;
  put_on (self, upper, lower->backing);
  vs_delete_plan_take_away (self, lower);
}

/* It is what the one above was, in all but the file. */
static void
pretend_commit (VsDeletePlan *self, VsDeleteFile *lower, VsDeleteFile *upper)
{
  lower->size += upper->size;
  lower->virtual_size = MAX (lower->virtual_size, upper->virtual_size);
  while (upper->holds->len > 0)
    g_ptr_array_add (lower->holds, g_ptr_array_steal_index (upper->holds, 0));
  while (upper->dependents->len > 0)
    put_on (self, g_ptr_array_index (upper->dependents, 0), lower->path);
  vs_delete_plan_take_away (self, upper);
  lower->is_candidate = lower->holds->len == 0;
}

static void
do_merge (VsDeletePlan *self, VsDeleteFile *lower, const Choice *choice, JsonArray *merges)
{
  JsonObject *merge = describe (self, lower, choice);

  if (choice->way == WAY_STREAM)
    pretend_stream (self, lower, choice->upper);
  else
    pretend_commit (self, lower, choice->upper);
  json_object_set_boolean_member (merge, "named", lower->holds->len > 0);
  json_array_add_object_element (merges, merge);
}

/* Streams are begun with the topmost, so that no bytes move twice; commits with the lowest. */
static gboolean
has_its_turn (VsDeletePlan *self, const VsDeleteFile *lower, const Choice *choice)
{
  const VsDeleteFile *below = vs_delete_plan_get_backing (self, lower);

  if (!choice->late)
    return !choice->upper->is_candidate;
  return below == NULL || !below->is_candidate || below->is_gone;
}

static gboolean
merge_one (VsDeletePlan *self, gboolean late, gboolean in_turn, JsonArray *merges)
{
  for (guint i = 0; i < self->files->len; i++)
    {
      VsDeleteFile *lower = g_ptr_array_index (self->files, i);
      Choice choice;

      if (!lower->is_candidate || lower->is_gone)
        continue;
      choose (self, lower, &choice);
      if (late)
        choice.late = TRUE;
      if (choice.way == WAY_NONE || choice.late != late || (in_turn && !has_its_turn (self, lower, &choice)))
        continue;
      do_merge (self, lower, &choice, merges);
      return TRUE;
    }
  return FALSE;
}

/**
 * vs_delete_plan_merge:
 * @self: a plan whose candidates are known
 * @merges: gets the merges, in order
 *
 * Those that may be given up at any time come first, then those that mustn't.
 */
void
vs_delete_plan_merge (VsDeletePlan *self, JsonArray *merges)
{
  while (merge_one (self, FALSE, TRUE, merges) || merge_one (self, FALSE, FALSE, merges))
    ;
  while (merge_one (self, TRUE, TRUE, merges) || merge_one (self, TRUE, FALSE, merges))
    ;
}
