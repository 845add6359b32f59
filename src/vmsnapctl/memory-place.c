/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where a snapshot's memory is kept, which its XML alone tells. Pure; any thread.
 */
#include "memory-place.h"

typedef struct
{
  char *place;
  gboolean in_fact; /* in the one that names the disk */
} Search;

static gboolean
is_inside (GMarkupParseContext *context, const char *parent, guint depth)
{
  const GSList *stack = g_markup_parse_context_get_element_stack (context);

  return g_slist_length ((GSList *)stack) == depth && g_strcmp0 (stack->next->data, parent) == 0;
}

static const char *
find_attribute (const char **names, const char **values, const char *name)
{
  for (guint i = 0; names[i] != NULL; i++)
    if (g_str_equal (names[i], name))
      return values[i];
  return NULL;
}

/* The definition of the domain has a <memory>, too, further inside. */
static void
on_start (GMarkupParseContext *context,
          const char *element,
          const char **names,
          const char **values,
          gpointer user_data,
          GError **error)
{
  Search *search = user_data;

  if (g_str_equal (element, "memory") && is_inside (context, "domainsnapshot", 2))
    {
      g_free (search->place);
      search->place = g_strdup (find_attribute (names, values, "file"));
    }
  search->in_fact = g_str_has_suffix (element, ":fact") && is_inside (context, "cookie", 3)
                    && g_strcmp0 (find_attribute (names, values, "name"), "vmstate") == 0;
}

static void
on_text (GMarkupParseContext *context, const char *text, gsize length, gpointer user_data, GError **error)
{
  Search *search = user_data;

  if (search->in_fact && search->place == NULL)
    search->place = g_strndup (text, length);
}

static void
on_end (GMarkupParseContext *context, const char *element, gpointer user_data, GError **error)
{
  ((Search *)user_data)->in_fact = FALSE;
}

/**
 * ctl_memory_place:
 * @xml: a snapshot as libvirt's domainsnapshot XML
 *
 * Returns: (transfer full) (nullable): the file of an external memory, or the target of the disk inside which an
 *   internal one is; %NULL: there is none, or @xml doesn't tell
 */
char *
ctl_memory_place (const char *xml)
{
  const GMarkupParser parser = { .start_element = on_start, .end_element = on_end, .text = on_text };
  Search search = { 0 };
  g_autoptr (GMarkupParseContext) context = g_markup_parse_context_new (&parser, 0, &search, NULL);

  if (!g_markup_parse_context_parse (context, xml, -1, NULL))
    g_clear_pointer (&search.place, g_free);
  return search.place;
}
