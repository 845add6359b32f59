/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Typed values out of elements and attributes: what is there and wrong becomes a problem with its line and with what
 * would be accepted; what is absent becomes the fallback. A %NULL node has neither text nor attributes. Lists of
 * accepted words are strings with blanks between them. Pure; any thread.
 */
#include "vs-xml-read.h"

#include <string.h>

#define MAX_PATH_BYTES 4095
#define MAX_TOKEN_BYTES 255

gboolean
vs_xml_is (xmlNode *node, const char *name)
{
  return node->type == XML_ELEMENT_NODE && node->ns == NULL && strcmp ((const char *) node->name, name) == 0;
}

/**
 * vs_xml_child:
 * @node: (nullable): an element
 * @name: a name without a namespace
 *
 * Returns: (transfer none) (nullable): its first child of that name
 */
xmlNode *
vs_xml_child (xmlNode *node, const char *name)
{
  for (xmlNode *child = node != NULL ? node->children : NULL; child != NULL; child = child->next)
    if (vs_xml_is (child, name))
      return child;
  return NULL;
}

/**
 * vs_xml_next_sibling:
 * @node: an element
 *
 * Returns: (transfer none) (nullable): the next of the same name
 */
xmlNode *
vs_xml_next_sibling (xmlNode *node)
{
  for (xmlNode *next = node->next; next != NULL; next = next->next)
    if (vs_xml_is (next, (const char *) node->name))
      return next;
  return NULL;
}

static char *
take (xmlChar *text)
{
  char *copy = g_strdup ((const char *) text);

  xmlFree (text);
  return copy;
}

/**
 * vs_xml_text:
 * @node: (nullable): an element
 *
 * Returns: (transfer full) (nullable): its text as it stands
 */
char *
vs_xml_text (xmlNode *node)
{
  return node != NULL ? take (xmlNodeGetContent (node)) : NULL;
}

/**
 * vs_xml_child_text:
 * @node: (nullable): an element
 * @name: name of a child
 *
 * Returns: (transfer full) (nullable): the child's text as it stands
 */
char *
vs_xml_child_text (xmlNode *node, const char *name)
{
  return vs_xml_text (vs_xml_child (node, name));
}

/**
 * vs_xml_attr:
 * @node: (nullable): an element
 * @name: an attribute
 *
 * Returns: (transfer full) (nullable): its value
 */
char *
vs_xml_attr (xmlNode *node, const char *name)
{
  xmlChar *value = node != NULL ? xmlGetNoNsProp (node, VS_XML (name)) : NULL;

  return value != NULL ? take (value) : NULL;
}

gboolean
vs_xml_attr_is (xmlNode *node, const char *name, const char *value)
{
  g_autofree char *found = vs_xml_attr (node, name);

  return g_strcmp0 (found, value) == 0;
}

/* The number of the word in the list, or -1. */
static int
word_index (const char *choices, const char *word)
{
  g_auto (GStrv) list = g_strsplit (choices, " ", -1);

  for (int i = 0; list[i] != NULL; i++)
    if (strcmp (list[i], word) == 0)
      return i;
  return -1;
}

static void
refuse_word (VsXmlProblems *problems, xmlNode *node, const char *attribute, const char *word, const char *choices)
{
  g_auto (GStrv) list = g_strsplit (choices, " ", -1);
  g_autofree char *accepted = g_strjoinv (", ", list);

  if (attribute != NULL)
    vs_xml_problems_add (problems, node, "<%s %s='%.80s'> isn't supported; accepted: %s", node->name, attribute, word,
                         accepted);
  else
    vs_xml_problems_add (problems, node, "<%s>%.80s</%s> isn't supported; accepted: %s", node->name, word, node->name,
                         accepted);
}

/**
 * vs_xml_text_choice:
 * @problems: where a word that isn't accepted goes
 * @node: (nullable): an element
 * @choices: the accepted words
 * @fallback: what to return when there is no element, or a wrong word
 *
 * Returns: which of @choices is the element's text
 */
int
vs_xml_text_choice (VsXmlProblems *problems, xmlNode *node, const char *choices, int fallback)
{
  g_autofree char *word = vs_xml_text (node);
  int found;

  if (word == NULL)
    return fallback;
  found = word_index (choices, g_strstrip (word));
  if (found < 0)
    refuse_word (problems, node, NULL, word, choices);
  return found < 0 ? fallback : found;
}

/**
 * vs_xml_attr_choice:
 * @problems: where a word that isn't accepted goes
 * @node: (nullable): an element
 * @name: an attribute
 * @choices: the accepted words
 * @fallback: what to return when there is no attribute, or a wrong word
 *
 * Returns: which of @choices the attribute is
 */
int
vs_xml_attr_choice (VsXmlProblems *problems, xmlNode *node, const char *name, const char *choices, int fallback)
{
  g_autofree char *word = vs_xml_attr (node, name);
  int found;

  if (word == NULL)
    return fallback;
  found = word_index (choices, word);
  if (found < 0)
    refuse_word (problems, node, name, word, choices);
  return found < 0 ? fallback : found;
}

/**
 * vs_xml_attr_word:
 * @problems: where a word that isn't accepted goes
 * @node: (nullable): an element
 * @name: an attribute
 * @choices: the accepted words
 *
 * Returns: (transfer full) (nullable): the attribute, when it is one of @choices
 */
char *
vs_xml_attr_word (VsXmlProblems *problems, xmlNode *node, const char *name, const char *choices)
{
  return vs_xml_attr_choice (problems, node, name, choices, -1) >= 0 ? vs_xml_attr (node, name) : NULL;
}

VsTristate
vs_xml_attr_tristate (VsXmlProblems *problems, xmlNode *node, const char *name)
{
  static const VsTristate values[] = { VS_TRISTATE_ON, VS_TRISTATE_OFF, VS_TRISTATE_ON, VS_TRISTATE_OFF };
  int found = vs_xml_attr_choice (problems, node, name, "yes no on off", -1);

  return found >= 0 ? values[found] : VS_TRISTATE_DEFAULT;
}

/**
 * vs_xml_check_path:
 * @problems: where what is wrong goes
 * @node: the element that has it
 * @path: a path
 *
 * Returns: whether @path is absolute and can be shown on one line
 */
gboolean
vs_xml_check_path (VsXmlProblems *problems, xmlNode *node, const char *path)
{
  if (path[0] != '/' || strlen (path) > MAX_PATH_BYTES)
    {
      vs_xml_problems_add (problems, node, "the path '%.80s' in <%s> isn't usable; accepted: an absolute path", path,
                           node->name);
      return FALSE;
    }
  for (const char *p = path; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)))
      {
        vs_xml_problems_add (problems, node, "the path in <%s> has a control character", node->name);
        return FALSE;
      }
  if (!vs_xml_text_is_valid (path))
    vs_xml_problems_add (problems, node, "the path in <%s> has a character that XML can't hold", node->name);
  return vs_xml_text_is_valid (path);
}

/**
 * vs_xml_text_path:
 * @problems: where what is wrong goes
 * @node: (nullable): an element
 *
 * Returns: (transfer full) (nullable): its text, an absolute path
 */
char *
vs_xml_text_path (VsXmlProblems *problems, xmlNode *node)
{
  g_autofree char *path = vs_xml_text (node);

  return path != NULL && vs_xml_check_path (problems, node, path) ? g_steal_pointer (&path) : NULL;
}

/**
 * vs_xml_attr_path:
 * @problems: where what is wrong goes
 * @node: (nullable): an element
 * @name: an attribute
 *
 * Returns: (transfer full) (nullable): its value, an absolute path
 */
char *
vs_xml_attr_path (VsXmlProblems *problems, xmlNode *node, const char *name)
{
  g_autofree char *path = vs_xml_attr (node, name);

  return path != NULL && vs_xml_check_path (problems, node, path) ? g_steal_pointer (&path) : NULL;
}

/**
 * vs_xml_attr_token:
 * @problems: where what is wrong goes
 * @node: (nullable): an element
 * @name: an attribute
 * @further_characters: what may stand in it beside letters and digits of ASCII
 *
 * For what becomes a word of the hypervisor's command line.
 *
 * Returns: (transfer full) (nullable): its value
 */
char *
vs_xml_attr_token (VsXmlProblems *problems, xmlNode *node, const char *name, const char *further_characters)
{
  g_autofree char *value = vs_xml_attr (node, name);
  gsize length = value != NULL ? strlen (value) : 0;
  gboolean good = length > 0 && length <= MAX_TOKEN_BYTES;

  if (value == NULL)
    return NULL;
  for (gsize i = 0; good && i < length; i++)
    good = g_ascii_isalnum (value[i]) || strchr (further_characters, value[i]) != NULL;
  if (good)
    return g_steal_pointer (&value);
  vs_xml_problems_add (problems, node, "<%s %s='%.80s'> isn't usable; accepted: letters, digits and any of '%s'",
                       node->name, name, value, further_characters);
  return NULL;
}

static gboolean
parse_uint (const char *text, guint64 min, guint64 max, guint64 *value)
{
  gboolean hex = g_str_has_prefix (text, "0x") || g_str_has_prefix (text, "0X");

  return g_ascii_string_to_unsigned (hex ? text + 2 : text, hex ? 16 : 10, min, max, value, NULL);
}

/**
 * vs_xml_text_uint:
 * @problems: where what is wrong goes
 * @node: (nullable): an element
 * @min: least value
 * @max: greatest value
 * @value: (out): the number; untouched when there is none
 *
 * Returns: whether the element's text is a number from @min to @max
 */
gboolean
vs_xml_text_uint (VsXmlProblems *problems, xmlNode *node, guint64 min, guint64 max, guint64 *value)
{
  g_autofree char *text = vs_xml_text (node);

  if (text == NULL)
    return FALSE;
  if (parse_uint (g_strstrip (text), min, max, value))
    return TRUE;
  vs_xml_problems_add (problems, node,
                       "<%s>%.40s</%s> isn't usable; accepted: a number from %" G_GUINT64_FORMAT
                       " to %" G_GUINT64_FORMAT,
                       node->name, text, node->name, min, max);
  return FALSE;
}

/**
 * vs_xml_attr_uint:
 * @problems: where what is wrong goes
 * @node: (nullable): an element
 * @name: an attribute
 * @min: least value
 * @max: greatest value
 * @value: (out): the number, decimal or hexadecimal with 0x; untouched when there is none
 *
 * Returns: whether the attribute is a number from @min to @max
 */
gboolean
vs_xml_attr_uint (VsXmlProblems *problems,
                  xmlNode *node,
                  const char *name,
                  guint64 min,
                  guint64 max,
                  guint64 *value)
{
  g_autofree char *text = vs_xml_attr (node, name);

  if (text == NULL)
    return FALSE;
  if (parse_uint (text, min, max, value))
    return TRUE;
  vs_xml_problems_add (problems, node,
                       "<%s %s='%.40s'> isn't usable; accepted: a number from %" G_GUINT64_FORMAT
                       " to %" G_GUINT64_FORMAT,
                       node->name, name, text, min, max);
  return FALSE;
}

/**
 * vs_xml_attr_int_or:
 * @problems: where what is wrong goes
 * @node: (nullable): an element
 * @name: an attribute
 * @min: least value
 * @max: greatest value
 * @fallback: what to return when it is absent or wrong
 *
 * Returns: the attribute's number
 */
gint64
vs_xml_attr_int_or (VsXmlProblems *problems,
                    xmlNode *node,
                    const char *name,
                    guint64 min,
                    guint64 max,
                    gint64 fallback)
{
  guint64 value;

  return vs_xml_attr_uint (problems, node, name, min, max, &value) ? (gint64) value : fallback;
}

/**
 * vs_xml_require:
 * @problems: where it goes when @present is %FALSE
 * @node: the element that needs it
 * @present: whether it is there
 * @what: what it is: `<target dev=…>`
 */
void
vs_xml_require (VsXmlProblems *problems, xmlNode *node, gboolean present, const char *what)
{
  if (!present)
    vs_xml_problems_add (problems, node, "<%s> lacks %s", node->name, what);
}

void
vs_xml_set_attr (xmlNode *node, const char *name, const char *value)
{
  xmlSetProp (node, VS_XML (name), VS_XML (value));
}

/**
 * vs_xml_set_text:
 * @node: an element
 * @text: (nullable): what becomes its only content, as it stands
 */
void
vs_xml_set_text (xmlNode *node, const char *text)
{
  xmlNodeSetContent (node, NULL);
  if (text != NULL && text[0] != '\0')
    xmlNodeAddContent (node, VS_XML (text));
}

/**
 * vs_xml_ensure_child:
 * @parent: an element
 * @name: of the child
 * @after: (nullable): the sibling it comes after when it has to be made; %NULL or not there: it becomes the first
 *
 * Returns: (transfer none): the first child called @name, made if there was none
 */
xmlNode *
vs_xml_ensure_child (xmlNode *parent, const char *name, const char *after)
{
  xmlNode *child = vs_xml_child (parent, name);
  xmlNode *before = after != NULL ? vs_xml_child (parent, after) : NULL;

  if (child != NULL)
    return child;
  child = xmlNewDocNode (parent->doc, NULL, VS_XML (name), NULL);
  if (before != NULL)
    xmlAddNextSibling (before, child);
  else if (parent->children != NULL)
    xmlAddPrevSibling (parent->children, child);
  else
    xmlAddChild (parent, child);
  return child;
}

void
vs_xml_remove_child (xmlNode *parent, const char *name)
{
  xmlNode *child = vs_xml_child (parent, name);

  if (child == NULL)
    return;
  xmlUnlinkNode (child);
  xmlFreeNode (child);
}
