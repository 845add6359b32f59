/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The journal: what an operation must leave behind for a next life of the service to finish or undo it. Any thread,
 * one at a time for each journal.
 */
#include "vs-journal.h"

#include "vmsnap-error.h"

#define FOLDER "journal"
#define SUFFIX ".json"
#define COMMITTED ".committed" SUFFIX
#define VERSION 1

/**
 * vs_journal_new:
 * @uuid: the domain
 * @workflow: the workflow's own name
 * @number: the job's number
 * @caller_uid: who asked
 * @facts: (transfer none): what the steps know
 *
 * Returns: (transfer full): a journal that isn't written yet
 */
VsJournal *
vs_journal_new (const char *uuid, const char *workflow, guint number, guint caller_uid, JsonObject *facts)
{
  VsJournal *self = g_new0 (VsJournal, 1);

  self->uuid = g_strdup (uuid);
  self->workflow = g_strdup (workflow);
  self->number = number;
  self->caller_uid = caller_uid;
  self->facts = json_object_ref (facts);
  return self;
}

void
vs_journal_free (VsJournal *self)
{
  g_free (self->uuid);
  g_free (self->workflow);
  json_object_unref (self->facts);
  g_free (self);
}

/**
 * vs_journal_set_workflow:
 * @self: a journal that isn't written yet
 * @workflow: the own name of the workflow that it turned out to be
 */
void
vs_journal_set_workflow (VsJournal *self, const char *workflow)
{
  g_free (self->workflow);
  self->workflow = g_strdup (workflow);
}

static char *
file_name (VsJournal *self)
{
  return g_strdup_printf ("%u%s", self->number, self->committed ? COMMITTED : SUFFIX);
}

/* The file's name says whether it is committed, for a name can be changed when there is no room to write anything. */
static gboolean
is_committed_name (const char *name)
{
  return g_str_has_suffix (name, COMMITTED);
}

static char *
format (VsJournal *self)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  JsonNode *facts = json_node_new (JSON_NODE_OBJECT);

  json_node_set_object (facts, self->facts);
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "version");
  json_builder_add_int_value (builder, VERSION);
  json_builder_set_member_name (builder, "workflow");
  json_builder_add_string_value (builder, self->workflow);
  json_builder_set_member_name (builder, "job");
  json_builder_add_int_value (builder, self->number);
  json_builder_set_member_name (builder, "caller-uid");
  json_builder_add_int_value (builder, self->caller_uid);
  json_builder_set_member_name (builder, "step");
  json_builder_add_int_value (builder, self->step);
  json_builder_set_member_name (builder, "undoing");
  json_builder_add_boolean_value (builder, self->undoing);
  json_builder_set_member_name (builder, "facts");
  json_builder_add_value (builder, facts);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  return json_to_string (root, TRUE);
}

/**
 * vs_journal_write:
 * @self: a journal
 * @store: where it goes
 * @error: where to put %VMSNAP_ERROR_NO_SPACE or %VMSNAP_ERROR_IO
 *
 * Writes it durably.
 *
 * Returns: whether it is written
 */
gboolean
vs_journal_write (VsJournal *self, VsStore *store, GError **error)
{
  g_autofree char *name = file_name (self);
  g_autofree char *text = format (self);

  return vs_store_write (store, self->uuid, FOLDER, name, text, -1, error);
}

/**
 * vs_journal_commit:
 * @self: a journal that is written
 * @store: where it is
 * @error: where to put %VMSNAP_ERROR_IO
 *
 * The step that has begun is done, and was the point of no return. Durable, and needs no room on the disk. Facts that
 * changed since it was written aren't kept.
 *
 * Returns: whether it is committed
 */
gboolean
vs_journal_commit (VsJournal *self, VsStore *store, GError **error)
{
  g_autofree char *old_name = file_name (self);
  g_autofree char *new_name = g_strdup_printf ("%u" COMMITTED, self->number);
  g_autoptr (GError) local = NULL;

  /* A journal that says less than what is true must not be left: better none. */
  if (!vs_store_rename (store, self->uuid, FOLDER, old_name, new_name, &local))
    {
      if (!vs_store_remove (store, self->uuid, FOLDER, old_name, error))
        return FALSE;
      g_warning ("Job %u goes on without a journal: %s", self->number, local->message);
    }
  self->committed = TRUE;
  self->step++;
  return TRUE;
}

/**
 * vs_journal_withdraw:
 * @self: a journal that is committed
 * @store: where it is
 *
 * Takes vs_journal_commit() back: what was thought to be the point of no return has turned out to have done nothing.
 *
 * Returns: whether it is committed no more; durable
 */
gboolean
vs_journal_withdraw (VsJournal *self, VsStore *store)
{
  g_autofree char *old_name = file_name (self);
  g_autofree char *new_name = g_strdup_printf ("%u" SUFFIX, self->number);

  if (!self->committed || !vs_store_rename (store, self->uuid, FOLDER, old_name, new_name, NULL))
    return FALSE;
  self->committed = FALSE;
  self->step--;
  return TRUE;
}

/**
 * vs_journal_remove:
 * @self: a journal
 * @store: where it is
 * @error: where to put %VMSNAP_ERROR_IO
 *
 * The operation has ended: there is nothing left to finish or undo.
 *
 * Returns: whether it is gone
 */
gboolean
vs_journal_remove (VsJournal *self, VsStore *store, GError **error)
{
  g_autofree char *name = file_name (self);

  return vs_store_remove (store, self->uuid, FOLDER, name, error);
}

/**
 * vs_journal_exists:
 * @self: a journal
 * @store: where it would be
 *
 * Returns: whether it is there still, for its operation could not be settled
 */
gboolean
vs_journal_exists (VsJournal *self, VsStore *store)
{
  g_autofree char *name = file_name (self);
  g_autofree char *path = vs_store_get_path (store, self->uuid, FOLDER, name);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static gboolean
has (JsonObject *object, const char *key, GType type)
{
  JsonNode *node = json_object_get_member (object, key);

  if (type == JSON_TYPE_OBJECT)
    return node != NULL && JSON_NODE_HOLDS_OBJECT (node);
  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type;
}

static gboolean
is_journal (JsonObject *object)
{
  return has (object, "version", G_TYPE_INT64) && json_object_get_int_member (object, "version") == VERSION
         && has (object, "workflow", G_TYPE_STRING) && has (object, "job", G_TYPE_INT64)
         && has (object, "caller-uid", G_TYPE_INT64) && has (object, "step", G_TYPE_INT64)
         && has (object, "undoing", G_TYPE_BOOLEAN) && has (object, "facts", JSON_TYPE_OBJECT)
         && json_object_get_int_member (object, "job") >= 0
         && json_object_get_int_member (object, "job") <= G_MAXUINT
         && json_object_get_int_member (object, "step") >= 0;
}

/**
 * vs_journal_parse:
 * @uuid: the domain
 * @text: what vs_journal_write() wrote
 * @error: where to put %VMSNAP_ERROR_FAILED when it is not a journal
 *
 * Returns: (transfer full) (nullable): the journal
 */
VsJournal *
vs_journal_parse (const char *uuid, const char *text, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonNode) root = json_from_string (text, &local);
  JsonObject *object;
  VsJournal *self;

  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root) || !is_journal (json_node_get_object (root)))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_FAILED, "This is not a journal of version %d%s%s", VERSION,
                   local != NULL ? ": " : "", local != NULL ? local->message : "");
      return NULL;
    }
  object = json_node_get_object (root);
  self = vs_journal_new (uuid, json_object_get_string_member (object, "workflow"),
                         json_object_get_int_member (object, "job"),
                         json_object_get_int_member (object, "caller-uid"),
                         json_object_get_object_member (object, "facts"));
  self->step = MIN (json_object_get_int_member (object, "step"), G_MAXINT);
  self->undoing = json_object_get_boolean_member (object, "undoing");
  return self;
}

static int
compare_number (gconstpointer a, gconstpointer b)
{
  const VsJournal *first = *(const VsJournal *const *) a;
  const VsJournal *second = *(const VsJournal *const *) b;

  return first->number < second->number ? -1 : first->number > second->number;
}

/**
 * vs_journal_load:
 * @store: the store
 * @uuid: a domain's uuid
 *
 * Reads what operations of a previous life left behind. One that can't be read is put aside.
 *
 * Returns: (transfer full) (element-type VsJournal): the journals, in the order in which their jobs were made
 */
GPtrArray *
vs_journal_load (VsStore *store, const char *uuid)
{
  g_auto (GStrv) names = vs_store_list_files (store, uuid, FOLDER, SUFFIX);
  GPtrArray *journals = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_journal_free);

  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *text = vs_store_read (store, uuid, FOLDER, names[i], &error);
      VsJournal *journal = text != NULL ? vs_journal_parse (uuid, text, &error) : NULL;

      if (journal != NULL && is_committed_name (names[i]))
        {
          journal->committed = TRUE;
          journal->step++;
        }
      if (journal != NULL)
        g_ptr_array_add (journals, journal);
      else
        vs_store_set_aside (store, uuid, FOLDER, names[i], error);
    }
  g_ptr_array_sort (journals, compare_number);
  return journals;
}
