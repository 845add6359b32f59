/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The sample definitions of tests/unit/data/xml, whole and changed in one place.
 */
#include "xml-samples.h"

#include <string.h>

char *
xml_sample_load (const char *name)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "data", "xml", name, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

/* Replaces the one place where @search stands; @line gets the line it begins in. */
char *
xml_sample_replace (const char *text, const char *search, const char *replacement, guint *line)
{
  const char *found = strstr (text, search);
  GString *result;

  if (found == NULL || strstr (found + 1, search) != NULL)
    g_error ("'%s' must stand in the sample once", search);
  *line = 1;
  for (const char *p = text; p < found; p++)
    *line += *p == '\n' ? 1 : 0;
  result = g_string_new_len (text, found - text);
  g_string_append (result, replacement);
  g_string_append (result, found + strlen (search));
  return g_string_free (result, FALSE);
}

VsDomainDef *
xml_sample_parse (const char *name)
{
  g_autofree char *text = xml_sample_load (name);
  g_autoptr (GError) error = NULL;
  VsDomainDef *def = vs_domain_def_parse (text, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_no_error (error);
  return def;
}
