/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All that is wrong with a definition, collected so that its author learns everything at once, in the order of the
 * lines. Pure; any thread, one at a time.
 */
#include "vs-xml-util.h"

#include <string.h>

#include "vmsnap-error.h"

/* A hostile text must not become an endless message. */
#define MAX_LISTED 50
#define MAX_TEXT 400

typedef struct {
  guint line;
  guint sequence;
  char *text;
} Problem;

struct _VsXmlProblems {
  GPtrArray *list;
  guint count;
};

static void
problem_free (gpointer data)
{
  Problem *problem = data;

  g_free (problem->text);
  g_free (problem);
}

/**
 * vs_xml_problems_new:
 *
 * Returns: (transfer full): an empty collection
 */
VsXmlProblems *
vs_xml_problems_new (void)
{
  VsXmlProblems *self = g_new0 (VsXmlProblems, 1);

  self->list = g_ptr_array_new_with_free_func (problem_free);
  return self;
}

void
vs_xml_problems_free (VsXmlProblems *self)
{
  g_ptr_array_unref (self->list);
  g_free (self);
}

static void G_GNUC_PRINTF (3, 0)
add_va (VsXmlProblems *self, guint line, const char *format, va_list args)
{
  g_autofree char *text = NULL;
  Problem *problem;

  self->count++;
  if (self->list->len >= MAX_LISTED)
    return;

  text = g_strdup_vprintf (format, args);
  problem = g_new0 (Problem, 1);
  problem->line = line;
  problem->sequence = self->count;
  problem->text = g_utf8_make_valid (text, -1);
  if (strlen (problem->text) > MAX_TEXT)
    {
      char *cut = g_utf8_find_prev_char (problem->text, problem->text + MAX_TEXT);

      strcpy (cut, "…");
    }
  g_ptr_array_add (self->list, problem);
}

/**
 * vs_xml_problems_add:
 * @self: the collection
 * @node: where it is wrong; its line goes into the message
 * @format: what is wrong and what would be right, as for printf()
 */
void
vs_xml_problems_add (VsXmlProblems *self, xmlNode *node, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  add_va (self, (guint) MAX (xmlGetLineNo (node), 0), format, args);
  va_end (args);
}

/**
 * vs_xml_problems_add_line:
 * @self: the collection
 * @line: where it is wrong; 0: nowhere in particular
 * @format: what is wrong and what would be right, as for printf()
 */
void
vs_xml_problems_add_line (VsXmlProblems *self, guint line, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  add_va (self, line, format, args);
  va_end (args);
}

guint
vs_xml_problems_get_count (VsXmlProblems *self)
{
  return self->count;
}

static int
compare_lines (gconstpointer a, gconstpointer b)
{
  const Problem *one = *(Problem *const *) a, *two = *(Problem *const *) b;

  if (one->line != two->line)
    return one->line < two->line ? -1 : 1;
  return one->sequence < two->sequence ? -1 : one->sequence > two->sequence;
}

/**
 * vs_xml_problems_to_error:
 * @self: the collection
 * @what: what the text is, `domain definition`
 * @error: %VMSNAP_ERROR_INVALID_XML, a line of message for each problem
 *
 * Returns: whether there were no problems at all
 */
gboolean
vs_xml_problems_to_error (VsXmlProblems *self, const char *what, GError **error)
{
  g_autoptr (GString) message = NULL;

  if (self->count == 0)
    return TRUE;

  message = g_string_new (NULL);
  g_string_append_printf (message, "The %s can't be used:", what);
  g_ptr_array_sort (self->list, compare_lines);
  for (guint i = 0; i < self->list->len; i++)
    {
      Problem *problem = g_ptr_array_index (self->list, i);

      if (problem->line > 0)
        g_string_append_printf (message, "\nline %u: %s", problem->line, problem->text);
      else
        g_string_append_printf (message, "\n%s", problem->text);
    }
  if (self->count > self->list->len)
    g_string_append_printf (message, "\nand %u more", self->count - self->list->len);
  g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML, message->str);
  return FALSE;
}
