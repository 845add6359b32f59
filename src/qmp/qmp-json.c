/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Small ways into and out of JSON objects. Pure; any thread, as long as one thread has the object.
 */
#include "qmp-json.h"

#include <stdarg.h>

static JsonNode *
node_for_strv (const char *const *strings)
{
  JsonNode *node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *array = json_array_new ();

  for (; *strings != NULL; strings++)
    json_array_add_string_element (array, *strings);
  json_node_take_array (node, array);
  return node;
}

/* json_node_init_string() and its kin make a NULL into a null; a key with NULL is left out before it comes here. */
static JsonNode *
node_for_pointer (char type, gpointer value)
{
  JsonNode *node;

  switch (type)
    {
    case 's':
      return json_node_init_string (json_node_alloc (), value);
    case 'S':
      return node_for_strv (value);
    case 'o':
      node = json_node_new (JSON_NODE_OBJECT);
      json_node_take_object (node, value);
      return node;
    case 'a':
      node = json_node_new (JSON_NODE_ARRAY);
      json_node_take_array (node, value);
      return node;
    case 'n':
      return value;
    default:
      g_error ("qmp_args_new: there is no type '%c'", type);
    }
}

/**
 * qmp_args_new:
 * @first_key: (nullable): a letter for the type, a colon and the key
 * @...: the value of the first key, more keys and their values, and %NULL
 *
 * Builds the arguments of a command:
 * |[<!-- language="C" -->
 * qmp_args_new ("s:job-id", "save0", "s:tag", name, "S:devices", nodes, "b:force", TRUE, NULL)
 * ]|
 * The letters: `s` const char *, `i` gint64, `b` gboolean, `S` const char *const * (an array of strings), `o`
 * JsonObject * (transfer full), `a` JsonArray * (transfer full), `n` JsonNode * (transfer full). A %NULL pointer leaves
 * its key out. Integers need a cast: `(gint64) 5`.
 *
 * Returns: (transfer full): the object
 */
JsonObject *
qmp_args_new (const char *first_key, ...)
{
  JsonObject *object = json_object_new ();
  va_list args;

  va_start (args, first_key);
  for (const char *key = first_key; key != NULL; key = va_arg (args, const char *))
    {
      gpointer pointer;

      g_assert (key[0] != '\0' && key[1] == ':');
      if (key[0] == 'i')
        json_object_set_int_member (object, key + 2, va_arg (args, gint64));
      else if (key[0] == 'b')
        json_object_set_boolean_member (object, key + 2, va_arg (args, gboolean));
      else if ((pointer = va_arg (args, gpointer)) != NULL)
        json_object_set_member (object, key + 2, node_for_pointer (key[0], pointer));
    }
  va_end (args);
  return object;
}

static JsonNode *
get_value (JsonObject *object, const char *key, GType type)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, key) : NULL;

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != type)
    return NULL;
  return node;
}

/**
 * qmp_json_get_string:
 * @object: (nullable): an object
 * @key: the name of a member
 *
 * Returns: (transfer none) (nullable): the member's string, or %NULL when it has no such member, or it isn't a string
 */
const char *
qmp_json_get_string (JsonObject *object, const char *key)
{
  JsonNode *node = get_value (object, key, G_TYPE_STRING);

  return node != NULL ? json_node_get_string (node) : NULL;
}

/**
 * qmp_json_get_int:
 * @object: (nullable): an object
 * @key: the name of a member
 * @value: (out) (optional): its value; untouched when there is none. json-glib knows no integers beyond a gint64: a
 *   larger one reads as -1.
 *
 * Returns: whether there is such a member, and it is an integer
 */
gboolean
qmp_json_get_int (JsonObject *object, const char *key, gint64 *value)
{
  JsonNode *node = get_value (object, key, G_TYPE_INT64);

  if (node == NULL)
    return FALSE;
  if (value != NULL)
    *value = json_node_get_int (node);
  return TRUE;
}

/**
 * qmp_json_get_boolean:
 * @object: (nullable): an object
 * @key: the name of a member
 * @fallback: what to return when there is no such member, or it isn't a boolean
 *
 * Returns: the member's value
 */
gboolean
qmp_json_get_boolean (JsonObject *object, const char *key, gboolean fallback)
{
  JsonNode *node = get_value (object, key, G_TYPE_BOOLEAN);

  return node != NULL ? json_node_get_boolean (node) : fallback;
}

/**
 * qmp_json_get_object:
 * @object: (nullable): an object
 * @key: the name of a member
 *
 * Returns: (transfer none) (nullable): the member's object, or %NULL when it has no such member, or it isn't an object
 */
JsonObject *
qmp_json_get_object (JsonObject *object, const char *key)
{
  return object != NULL ? qmp_json_node_get_object (json_object_get_member (object, key)) : NULL;
}

/**
 * qmp_json_get_array:
 * @object: (nullable): an object
 * @key: the name of a member
 *
 * Returns: (transfer none) (nullable): the member's array, or %NULL when it has no such member, or it isn't an array
 */
JsonArray *
qmp_json_get_array (JsonObject *object, const char *key)
{
  return object != NULL ? qmp_json_node_get_array (json_object_get_member (object, key)) : NULL;
}

/**
 * qmp_json_array_get_object:
 * @array: (nullable): an array
 * @index: which element
 *
 * Returns: (transfer none) (nullable): the element, or %NULL when there is none, or it isn't an object
 */
JsonObject *
qmp_json_array_get_object (JsonArray *array, guint index)
{
  if (array == NULL || index >= json_array_get_length (array))
    return NULL;
  return qmp_json_node_get_object (json_array_get_element (array, index));
}

/**
 * qmp_json_node_get_object:
 * @node: (nullable): a node, for instance a command's 'return' value
 *
 * Returns: (transfer none) (nullable): its object, or %NULL when it is something else
 */
JsonObject *
qmp_json_node_get_object (JsonNode *node)
{
  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

/**
 * qmp_json_node_get_array:
 * @node: (nullable): a node, for instance a command's 'return' value
 *
 * Returns: (transfer none) (nullable): its array, or %NULL when it is something else
 */
JsonArray *
qmp_json_node_get_array (JsonNode *node)
{
  return node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
}
