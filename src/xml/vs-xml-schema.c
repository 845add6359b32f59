/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The RELAX NG schemas, compiled into the library and into a form of their own once a process. Any thread; a lock
 * keeps validations apart, for libxml2 says nothing about sharing a schema.
 */
#include "vs-xml-schema.h"

#include <libxml/relaxng.h>

#include "vs-xml-resources.h"

#define RESOURCES "/org/vmsnap/xml/"

static GMutex lock;

static void
note_error (void *data, xmlError *raised)
{
  VsXmlProblems *problems = data;
  g_autofree char *text = NULL;

  if (raised == NULL || raised->level < XML_ERR_ERROR)
    return;
  text = g_strchomp (g_strdup (raised->message != NULL ? raised->message : "it doesn't follow the schema"));
  vs_xml_problems_add_line (problems, (guint) MAX (raised->line, 0), "%s", text);
}

static void
note_broken_schema (void *data, xmlError *raised)
{
  g_critical ("A schema of ours is broken: %s", raised != NULL && raised->message != NULL ? raised->message : "?");
}

static xmlRelaxNG *
load (const char *name)
{
  g_autofree char *path = g_strconcat (RESOURCES, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_resource_lookup_data (vs_xml_get_resource (), path, 0, &error);
  xmlRelaxNGParserCtxt *parser;
  xmlRelaxNG *schema;
  gsize length;
  const char *text;

  if (bytes == NULL)
    g_error ("%s", error->message);
  text = g_bytes_get_data (bytes, &length);
  parser = xmlRelaxNGNewMemParserCtxt (text, (int) length);
  xmlRelaxNGSetParserStructuredErrors (parser, note_broken_schema, NULL);
  schema = xmlRelaxNGParse (parser);
  xmlRelaxNGFreeParserCtxt (parser);
  return schema;
}

static xmlRelaxNG *
get_schema (VsXmlSchema which)
{
  static const char *const names[] = { "vmsnap-domain.rng", "vmsnap-snapshot.rng" };
  static xmlRelaxNG *schemas[G_N_ELEMENTS (names)];

  if (schemas[which] == NULL)
    schemas[which] = load (names[which]);
  return schemas[which];
}

/**
 * vs_xml_schema_check:
 * @schema: which
 * @doc: a tree; not changed
 * @problems: gets what the schema has against it
 */
void
vs_xml_schema_check (VsXmlSchema schema, xmlDoc *doc, VsXmlProblems *problems)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);
  xmlRelaxNG *loaded = get_schema (schema);
  xmlRelaxNGValidCtxt *context;
  guint before = vs_xml_problems_get_count (problems);
  xmlDoc *copy;

  g_return_if_fail (loaded != NULL);
  /* libxml2 leaves notes in the nodes it validates. */
  copy = xmlCopyDoc (doc, 1);
  context = xmlRelaxNGNewValidCtxt (loaded);
  xmlRelaxNGSetValidStructuredErrors (context, note_error, problems);
  if (xmlRelaxNGValidateDoc (context, copy) != 0 && vs_xml_problems_get_count (problems) == before)
    vs_xml_problems_add_line (problems, 0, "it doesn't follow the schema");
  xmlRelaxNGFreeValidCtxt (context);
  xmlFreeDoc (copy);
}
