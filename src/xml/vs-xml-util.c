/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a text that nobody trusts to a tree, and back: bounded in size, depth and breadth, without entities, without a
 * document type, without the network, and without a word on stderr. Pure; any thread.
 */
#include "vs-xml-util.h"

#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlerror.h>
#include <libxml/xmlsave.h>
#include <string.h>

/* libxml2 compares each attribute and namespace of an element with all before it: many of them cost minutes. */
#define MAX_EQUAL_SIGNS_IN_TAG 4096
#define MAX_HYPHENS_IN_COMMENTS 64
#define MAX_ATTRIBUTES 64
#define MAX_NAMESPACES 16
#define MAX_SYNTAX_ERRORS 5

#define MIB (1024 * 1024)

const VsXmlLimits vs_xml_domain_limits = { .max_bytes = MIB, .max_depth = 64, .max_elements = 8192 };
const VsXmlLimits vs_xml_snapshot_limits = { .max_bytes = 4 * MIB, .max_depth = 65, .max_elements = 3 * 8192 };

typedef struct {
  const VsXmlLimits *limits;
  VsXmlProblems *problems;
  startElementNsSAX2Func start_element;
  guint syntax_errors;
  guint elements;
  gboolean stopped;
} ParseState;

static void G_GNUC_PRINTF (2, 3)
stop (xmlParserCtxt *context, const char *format, ...)
{
  ParseState *state = context->_private;
  g_autofree char *text = NULL;
  va_list args;

  if (state->stopped)
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  vs_xml_problems_add_line (state->problems, (guint) MAX (xmlSAX2GetLineNumber (context), 0), "%s", text);
  state->stopped = TRUE;
  xmlStopParser (context);
}

static void
refuse_doctype (void *data, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id)
{
  stop (data, "a DOCTYPE isn't allowed: remove it, and the entities it declares");
}

static void
start_element (void *data,
               const xmlChar *name,
               const xmlChar *prefix,
               const xmlChar *uri,
               int n_namespaces,
               const xmlChar **namespaces,
               int n_attributes,
               int n_defaulted,
               const xmlChar **attributes)
{
  xmlParserCtxt *context = data;
  ParseState *state = context->_private;

  if (context->nodeNr >= (int) state->limits->max_depth)
    stop (context, "<%.40s> is nested deeper than %u elements", (const char *) name, state->limits->max_depth);
  else if (++state->elements > state->limits->max_elements)
    stop (context, "there are more than %u elements", state->limits->max_elements);
  else if (n_attributes > MAX_ATTRIBUTES || n_namespaces > MAX_NAMESPACES)
    stop (context, "<%.40s> has more attributes than any real element", (const char *) name);
  else
    state->start_element (data, name, prefix, uri, n_namespaces, namespaces, n_attributes, n_defaulted, attributes);
}

static void
note_syntax_error (void *data, xmlError *raised)
{
  xmlParserCtxt *context = data;
  ParseState *state = context->_private;
  g_autofree char *text = NULL;

  /* After a halt of ours the parser reports the halt itself, and what it left half read. */
  if (state->stopped || raised == NULL || raised->level < XML_ERR_ERROR)
    return;
  if (state->syntax_errors++ >= MAX_SYNTAX_ERRORS)
    return;
  text = g_strchomp (g_strdup (raised->message != NULL ? raised->message : "not well-formed"));
  vs_xml_problems_add_line (state->problems, (guint) MAX (raised->line, 0), "%s", text);
}

static guint
line_of (const char *data, const char *position)
{
  guint line = 1;

  for (const char *p = data; p < position; p++)
    if (*p == '\n')
      line++;
  return line;
}

/* A raw '<' can't stand inside a tag, so what lies between one and the next bounds the attributes of a tag. */
static gboolean
check_tag_sizes (const char *data, gsize length, VsXmlProblems *problems)
{
  guint equal_signs = 0;

  for (gsize i = 0; i < length; i++)
    {
      if (data[i] == '<')
        equal_signs = 0;
      else if (data[i] == '=' && ++equal_signs > MAX_EQUAL_SIGNS_IN_TAG)
        {
          vs_xml_problems_add_line (problems, line_of (data, data + i), "an element has thousands of attributes");
          return FALSE;
        }
    }
  return TRUE;
}

/* XML forbids "--" in comments, and libxml2 copies the whole comment for each one that it complains about. */
static gboolean
check_comments (const char *data, gsize length, VsXmlProblems *problems)
{
  const char *end = data + length;
  const char *comment = g_strstr_len (data, (gssize) length, "<!--");
  guint hyphens = 0;

  while (comment != NULL)
    {
      const char *p = comment + strlen ("<!--");

      while (end - p >= 3 && strncmp (p, "-->", 3) != 0)
        {
          if (p[0] == '-' && p[1] == '-' && ++hyphens > MAX_HYPHENS_IN_COMMENTS)
            {
              vs_xml_problems_add_line (problems, line_of (data, p), "comments with '--' in them aren't allowed");
              return FALSE;
            }
          p++;
        }
      comment = g_strstr_len (p, end - p, "<!--");
    }
  return TRUE;
}

static gboolean
check_bytes (const char *data, gsize length, const VsXmlLimits *limits, VsXmlProblems *problems)
{
  const char *nul, *bad = NULL;

  if (length > limits->max_bytes)
    {
      vs_xml_problems_add_line (problems, 0,
                                "it has %" G_GSIZE_FORMAT " bytes; at most %" G_GSIZE_FORMAT " are accepted", length,
                                limits->max_bytes);
      return FALSE;
    }
  nul = memchr (data, '\0', length);
  if (nul != NULL)
    {
      vs_xml_problems_add_line (problems, line_of (data, nul), "a NUL byte isn't allowed");
      return FALSE;
    }
  if (!g_utf8_validate_len (data, length, &bad))
    {
      vs_xml_problems_add_line (problems, line_of (data, bad), "not UTF-8; convert the text to UTF-8");
      return FALSE;
    }
  return check_tag_sizes (data, length, problems) && check_comments (data, length, problems);
}

/* Indentation isn't content, and libxml2 indents only where it is gone. Text beside elements stays as it is. */
static void
strip_blanks (xmlNode *element)
{
  gboolean has_elements = FALSE, has_text = FALSE;
  xmlNode *next;

  for (xmlNode *child = element->children; child != NULL; child = child->next)
    {
      if (child->type == XML_ELEMENT_NODE || child->type == XML_COMMENT_NODE)
        has_elements = TRUE;
      else if (!xmlIsBlankNode (child))
        has_text = TRUE;
      if (child->type == XML_ELEMENT_NODE)
        strip_blanks (child);
    }
  if (!has_elements || has_text)
    return;
  for (xmlNode *child = element->children; child != NULL; child = next)
    {
      next = child->next;
      if (xmlIsBlankNode (child))
        {
          xmlUnlinkNode (child);
          xmlFreeNode (child);
        }
    }
}

static xmlDoc *
run_parser (const char *data, gsize length, const VsXmlLimits *limits, VsXmlProblems *problems)
{
  ParseState state = { .limits = limits, .problems = problems };
  guint before = vs_xml_problems_get_count (problems);
  xmlParserCtxt *context = xmlNewParserCtxt ();
  xmlDoc *doc;

  state.start_element = context->sax->startElementNs;
  context->_private = &state;
  context->sax->startElementNs = start_element;
  context->sax->internalSubset = refuse_doctype;
  context->sax->serror = note_syntax_error;

  doc = xmlCtxtReadMemory (context,
                           data,
                           (int) length,
                           NULL,
                           "UTF-8",
                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES |
                             XML_PARSE_IGNORE_ENC | XML_PARSE_NOCDATA);
  if (doc == NULL && vs_xml_problems_get_count (problems) == before)
    vs_xml_problems_add_line (problems, 0, "not well-formed");
  if (doc == NULL && context->myDoc != NULL)
    xmlFreeDoc (context->myDoc);
  xmlFreeParserCtxt (context);

  if (doc != NULL && vs_xml_problems_get_count (problems) > before)
    g_clear_pointer (&doc, xmlFreeDoc);
  return doc;
}

/**
 * vs_xml_parse:
 * @data: the text, in UTF-8
 * @length: its length in bytes
 * @root_name: what the root element must be called
 * @limits: what it may hold
 * @problems: gets what is wrong with the text
 *
 * Returns: (transfer full) (nullable): the tree, without indentation; its nodes know their lines
 */
xmlDoc *
vs_xml_parse (const char *data,
              gsize length,
              const char *root_name,
              const VsXmlLimits *limits,
              VsXmlProblems *problems)
{
  static gsize initialized = 0;
  xmlDoc *doc = NULL;
  xmlNode *root;

  if (g_once_init_enter (&initialized))
    {
      xmlInitParser ();
      g_once_init_leave (&initialized, 1);
    }
  if (check_bytes (data, length, limits, problems))
    doc = run_parser (data, length, limits, problems);
  if (doc == NULL)
    return NULL;

  root = xmlDocGetRootElement (doc);
  strip_blanks (root);
  if (root->ns != NULL || strcmp ((const char *) root->name, root_name) != 0)
    {
      g_autofree char *name = vs_xml_node_name (root);

      vs_xml_problems_add (problems, root, "the root element is <%s>; it must be <%s>", name, root_name);
      g_clear_pointer (&doc, xmlFreeDoc);
    }
  return doc;
}

/**
 * vs_xml_format:
 * @doc: a tree as from vs_xml_parse()
 *
 * Returns: (transfer full): its text, indented by two blanks, with a newline at the end
 */
char *
vs_xml_format (xmlDoc *doc)
{
  xmlBuffer *buffer = xmlBufferCreate ();
  xmlSaveCtxt *save = xmlSaveToBuffer (buffer, "UTF-8", XML_SAVE_FORMAT | XML_SAVE_NO_DECL | XML_SAVE_AS_XML);
  char *text;

  xmlSaveTree (save, xmlDocGetRootElement (doc));
  xmlSaveClose (save);
  text = g_strconcat ((const char *) xmlBufferContent (buffer), "\n", NULL);
  xmlBufferFree (buffer);
  return text;
}

/**
 * vs_xml_check_written_size:
 * @doc: a tree as from vs_xml_parse()
 * @limits: what its text may hold
 * @problems: gets it when the text would be too long
 *
 * Writing adds indentation and escapes. What is accepted is stored, and must be readable afterwards.
 */
void
vs_xml_check_written_size (xmlDoc *doc, const VsXmlLimits *limits, VsXmlProblems *problems)
{
  g_autofree char *text = vs_xml_format (doc);
  gsize length = strlen (text);

  if (length > limits->max_bytes)
    vs_xml_problems_add_line (problems, 0,
                              "written out it has %" G_GSIZE_FORMAT " bytes; at most %" G_GSIZE_FORMAT
                              " are accepted", length, limits->max_bytes);
}

static gboolean
is_valid_character (gunichar c)
{
  return (c >= 0x20 && c != 0xfffe && c != 0xffff) || c == '\t' || c == '\n' || c == '\r';
}

/**
 * vs_xml_text_is_valid:
 * @text: valid UTF-8
 *
 * Returns: whether XML can hold @text: it has no place for most control characters, and for U+FFFE and U+FFFF
 */
gboolean
vs_xml_text_is_valid (const char *text)
{
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (!is_valid_character (g_utf8_get_char (p)))
      return FALSE;
  return TRUE;
}

/**
 * vs_xml_clean_text:
 * @text: any text
 *
 * Returns: (transfer full): @text, with U+FFFD for whatever XML can't hold
 */
char *
vs_xml_clean_text (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *clean = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      g_string_append_unichar (clean, is_valid_character (c) ? c : 0xfffd);
    }
  return g_string_free (clean, FALSE);
}

/**
 * vs_xml_node_name:
 * @node: an element or attribute
 *
 * Returns: (transfer full): its name with the prefix as written, and never too long for a message
 */
char *
vs_xml_node_name (xmlNode *node)
{
  const char *prefix = node->ns != NULL ? (const char *) node->ns->prefix : NULL;

  return g_strdup_printf ("%.40s%s%.60s", prefix != NULL ? prefix : "", prefix != NULL ? ":" : "", node->name);
}
