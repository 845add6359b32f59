/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Options: from the `a{sv}` that ends every method's arguments into the method's own struct, by the method's table.
 * Nothing is ignored in silence: an unknown key, one given twice, a value of another type, and keys that contradict
 * each other are errors that name the key. Pure.
 */
#include "bus-options.h"

#include "vmsnap-error.h"

static const BusOption no_options[] = { BUS_OPTION_END };

/* For methods that have no options (yet). The struct is never looked at. */
const BusOptionTable bus_options_none = { 1, no_options };

static const BusOption *
find_option (const BusOptionTable *table, const char *key)
{
  for (const BusOption *option = table->options; option->key != NULL; option++)
    if (g_str_equal (option->key, key))
      return option;
  return NULL;
}

static char *
list_keys (const BusOptionTable *table)
{
  GString *list = g_string_new (NULL);

  for (const BusOption *option = table->options; option->key != NULL; option++)
    g_string_append_printf (list, "%s%s", list->len > 0 ? ", " : "", option->key);
  return g_string_free (list, FALSE);
}

static gboolean
refuse_key (const BusOptionTable *table, const char *key, GError **error)
{
  g_autofree char *known = list_keys (table);
  g_autofree char *shown = g_strescape (key, NULL);

  if (*known == '\0')
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                 "Unknown option '%s': this method has no options", shown);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "Unknown option '%s': this method knows %s",
                 shown, known);
  return FALSE;
}

static void
store_value (const BusOption *option, gpointer parsed, GVariant *value)
{
  gpointer field = G_STRUCT_MEMBER_P (parsed, option->offset);

  switch (*option->type)
    {
    case 'b':
      *(gboolean *) field = g_variant_get_boolean (value) != option->inverted;
      break;
    case 's':
    case 'o':
      *(char **) field = g_variant_dup_string (value, NULL);
      break;
    default:
      *(GVariant **) field = g_variant_ref (value);
    }
}

static gboolean
take_option (const BusOptionTable *table,
             gpointer parsed,
             GHashTable *seen,
             const char *key,
             GVariant *value,
             GError **error)
{
  const BusOption *option = find_option (table, key);

  if (option == NULL)
    return refuse_key (table, key, error);
  if (!g_variant_is_of_type (value, G_VARIANT_TYPE (option->type)))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                   "Option '%s' must be of the type '%s', not '%s'", key, option->type,
                   g_variant_get_type_string (value));
      return FALSE;
    }
  if (!g_hash_table_add (seen, (gpointer) option))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "Option '%s' is given twice", key);
      return FALSE;
    }
  store_value (option, parsed, value);
  return TRUE;
}

static gboolean
is_given (const BusOption *option, gpointer parsed)
{
  if (*option->type == 'b')
    return G_STRUCT_MEMBER (gboolean, parsed, option->offset) != option->inverted;
  return G_STRUCT_MEMBER (gpointer, parsed, option->offset) != NULL;
}

static gboolean
check_exclusions (const BusOptionTable *table, const BusOption *option, gpointer parsed, GError **error)
{
  for (const char *const *key = option->excludes; key != NULL && *key != NULL; key++)
    {
      const BusOption *other = find_option (table, *key);

      if (other != NULL && is_given (other, parsed))
        {
          g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
                       "Options '%s' and '%s' exclude each other: give one of them", option->key, *key);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
check_needs (const BusOptionTable *table, const BusOption *option, gpointer parsed, GError **error)
{
  const BusOption *other = option->needs != NULL ? find_option (table, option->needs) : NULL;

  if (other == NULL || is_given (other, parsed))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "Option '%s' needs '%s'", option->key, other->key);
  return FALSE;
}

static gboolean
check_together (const BusOptionTable *table, gpointer parsed, GError **error)
{
  for (const BusOption *option = table->options; option->key != NULL; option++)
    if (is_given (option, parsed) &&
        (!check_exclusions (table, option, parsed, error) || !check_needs (table, option, parsed, error)))
      return FALSE;
  return TRUE;
}

/**
 * bus_options_parse:
 * @table: what the method knows
 * @options: an `a{sv}`
 * @error: where to put %VMSNAP_ERROR_INVALID_ARGUMENT, which names the key
 *
 * Returns: (transfer full) (nullable): the method's struct, for bus_options_free(); what was not given is %FALSE or
 *   %NULL in it
 */
gpointer
bus_options_parse (const BusOptionTable *table, GVariant *options, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  gpointer parsed = g_malloc0 (table->size);
  gboolean good = TRUE;
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (good && g_variant_iter_next (&iter, "{&sv}", &key, &value))
    {
      good = take_option (table, parsed, seen, key, value, error);
      g_variant_unref (value);
    }
  if (good && check_together (table, parsed, error))
    return parsed;
  bus_options_free (table, parsed);
  return NULL;
}

/**
 * bus_options_free:
 * @table: the table it was parsed by
 * @parsed: (nullable): what bus_options_parse() returned
 */
void
bus_options_free (const BusOptionTable *table, gpointer parsed)
{
  if (parsed == NULL)
    return;
  for (const BusOption *option = table->options; option->key != NULL; option++)
    {
      gpointer *field = G_STRUCT_MEMBER_P (parsed, option->offset);

      if (*option->type == 's' || *option->type == 'o')
        g_free (*field);
      else if (*option->type != 'b')
        g_clear_pointer ((GVariant **) field, g_variant_unref);
    }
  g_free (parsed);
}
