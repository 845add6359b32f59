/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables, trees and progress of the command line.
 */
#include "format.h"
#include "hint.h"
#include "output.h"
#include "progress.h"
#include "tree.h"

#include <string.h>

static void
test_table_aligns (void)
{
  g_autoptr (CtlTable) table = ctl_table_new ("NAME", "STATE", "X", NULL);
  g_autofree char *text = NULL;

  ctl_table_add (table, "日本");
  ctl_table_take (table, g_strdup ("running"));
  ctl_table_add (table, "1");
  ctl_table_add (table, "a\nb");
  ctl_table_add (table, NULL);
  ctl_table_add (table, "");
  text = ctl_table_to_text (table, 0);
  g_assert_cmpstr (text, ==,
                   "NAME      STATE    X\n"
                   "日本      running  1\n"
                   "a\\u000ab\n");
}

static CtlTable *
make_wide_table (void)
{
  CtlTable *table = ctl_table_new ("NAME", "TIME", "PARENT", NULL);

  ctl_table_add (table, "a-name-that-somebody-thought-much-about");
  ctl_table_add (table, "2026-01-02");
  ctl_table_add (table, "とても長い名前のスナップショット");
  ctl_table_add (table, "b");
  ctl_table_add (table, "2026-01-03");
  ctl_table_add (table, "a-name-that-somebody-thought-much-about");
  return table;
}

static void
test_table_fits_the_terminal (void)
{
  for (guint columns = 1; columns < 120; columns++)
    {
      g_autoptr (CtlTable) table = make_wide_table ();
      g_autofree char *text = NULL;
      g_auto (GStrv) lines = NULL;

      ctl_table_set_flexible (table, 0);
      ctl_table_set_flexible (table, 2);
      text = ctl_table_to_text (table, columns);
      lines = g_strsplit (text, "\n", -1);
      g_assert_cmpuint (g_strv_length (lines), ==, 4);
      for (guint i = 0; i < 3; i++)
        g_assert_cmpuint (ctl_text_width (lines[i]), <=, columns);
      /* What isn't flexible stays whole as long as there is room, and stands in its column. */
      for (guint i = 1; i < 3 && columns >= 26; i++)
        {
          const char *time = strstr (lines[i], "2026-01-0");
          g_autofree char *before = g_strndup (lines[i], time != NULL ? (gsize)(time - lines[i]) : 0);
          g_autofree char *title = g_strndup (lines[0], strstr (lines[0], "TIME") - lines[0]);

          g_assert_nonnull (time);
          g_assert_cmpuint (ctl_text_width (before), ==, ctl_text_width (title));
        }
    }
}

static void
test_shortened_text_says_so (void)
{
  g_autofree char *whole = ctl_text_shorten ("名前", 4, "~");
  g_autofree char *half = ctl_text_shorten ("名前", 3, "~");
  g_autofree char *none = ctl_text_shorten ("名前", 2, "~");

  g_assert_cmpstr (whole, ==, "名前");
  g_assert_cmpstr (half, ==, "名~");
  g_assert_cmpstr (none, ==, "~");
}

/* The lines of a tree. */
static char *
draw (const CtlTreeNode *nodes, guint n_nodes, gboolean unicode, guint max_indent)
{
  g_autoptr (GPtrArray) rows = ctl_tree_draw (nodes, n_nodes, unicode, max_indent);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < rows->len; i++)
    g_string_append_printf (text, "%s\n", ((CtlTreeRow *)g_ptr_array_index (rows, i))->text);
  return g_string_free (text, FALSE);
}

static void
test_tree_draws_branches (void)
{
  const CtlTreeNode nodes[] = {
    { "a", NULL, "A", NULL }, { "b", "a", "B", NULL }, { "c", "a", "C", NULL },
    { "d", "b", "D", NULL },  { "e", "b", "E", NULL }, { "f", "gone", "F", NULL },
  };
  g_autofree char *unicode = draw (nodes, G_N_ELEMENTS (nodes), TRUE, 0);
  g_autofree char *ascii = draw (nodes, G_N_ELEMENTS (nodes), FALSE, 0);

  g_assert_cmpstr (unicode, ==, "A\n├─ B\n│  ├─ D\n│  └─ E\n└─ C\nF\n");
  g_assert_cmpstr (ascii, ==, "A\n|- B\n|  |- D\n|  `- E\n`- C\nF\n");
}

static void
test_tree_stays_narrow (void)
{
  const CtlTreeNode nodes[] = {
    { "a", NULL, "A", NULL }, { "b", "a", "B", NULL }, { "c", "b", "C", NULL },
    { "d", "c", "D", NULL },  { "e", "d", "E", NULL }, { "f", "d", "F", NULL },
  };
  g_autofree char *text = draw (nodes, G_N_ELEMENTS (nodes), FALSE, 3);

  g_assert_cmpstr (text, ==, "A\n`- B\n   `- C\n~    `- D\n~    |- E\n~    `- F\n");
}

static void
test_tree_of_nothing (void)
{
  g_autofree char *text = draw (NULL, 0, TRUE, 0);

  g_assert_cmpstr (text, ==, "");
}

static void
test_tree_ends_on_a_circle (void)
{
  const CtlTreeNode nodes[] = { { "r", NULL, "R", NULL }, { "a", "b", "A", NULL }, { "b", "a", "B", NULL } };
  g_autofree char *text = draw (nodes, G_N_ELEMENTS (nodes), FALSE, 0);

  g_assert_cmpstr (text, ==, "R\n");
}

static void
test_progress_shows_all (void)
{
  const CtlMoment moment = { "Writing memory", 0.5, 512 * 1024, 1024 * 1024, 4 * G_USEC_PER_SEC, 128 * 1024 };
  g_autofree char *bar = ctl_progress_format_bar (&moment, 200);
  g_autofree char *line = ctl_progress_format_line (&moment);

  g_assert_cmpstr (bar, ==,
                   "Writing memory               [###########...........]  50 %  512.0 KiB / 1.0 MiB  128.0 KiB/s  "
                   "ETA 0:04");
  g_assert_cmpstr (line, ==, "Writing memory: 50 %  512.0 KiB / 1.0 MiB");
}

static void
test_progress_without_sizes (void)
{
  const CtlMoment unknown = { "Recording", 0, 0, 0, 0, 0 };
  const CtlMoment endless = { "Recording", 0, 2048, 0, 0, 0 };
  g_autofree char *nothing = ctl_progress_format_line (&unknown);
  g_autofree char *some = ctl_progress_format_line (&endless);

  g_assert_cmpstr (nothing, ==, "Recording: 0 %");
  g_assert_cmpstr (some, ==, "Recording: 0 %  2.0 KiB");
}

static void
test_progress_stays_in_its_line (void)
{
  const CtlMoment moment = { "A phase with a long name,\nand more of it\033[2J", 0.5, 1, 2, 0, 0 };

  for (guint columns = 0; columns < 100; columns++)
    {
      g_autofree char *bar = ctl_progress_format_bar (&moment, columns);

      g_assert_cmpuint (ctl_text_width (bar), <=, columns);
      g_assert_null (strpbrk (bar, "\n\r\033"));
    }
}

static void
test_progress_leaves_out_whole_fields (void)
{
  const CtlMoment moment = { "Writing memory", 0.5, 512 * 1024, 1024 * 1024, 4 * G_USEC_PER_SEC, 128 * 1024 };
  static const struct
  {
    guint columns;
    const char *line;
  } cases[] = {
    { 99, "Writing memory           [###########...........]  50 %  512.0 KiB / 1.0 MiB  128.0 KiB/s  ETA 0:04" },
    { 79, "Writing memory [######......]  50 %  512.0 KiB / 1.0 MiB  128.0 KiB/s  ETA 0:04" },
    { 60, "Writing memory [###...]  50 %  512.0 KiB / 1.0 MiB  ETA 0:04" },
    { 39, "Writing memory [###...]  50 %  ETA 0:04" },
    { 30, "Writing memory  50 %  ETA 0:04" },
    { 20, "Writing memory  50 %" },
    { 12, "Writin  50 %" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *bar = ctl_progress_format_bar (&moment, cases[i].columns);

      g_assert_cmpstr (bar, ==, cases[i].line);
    }
}

static void
test_progress_is_not_done_before_its_end (void)
{
  const CtlMoment moment = { "Recording", 0.9999, 0, 0, 0, 0 };
  g_autofree char *line = ctl_progress_format_line (&moment);

  g_assert_cmpstr (line, ==, "Recording: 99 %");
}

static void
test_progress_is_in_words (void)
{
  static const char *const operations[]
    = { "start", "save", "managed-save", "restore", "snapshot-create", "snapshot-revert", "snapshot-delete", "new" };

  g_assert_cmpstr (ctl_progress_describe (NULL), ==, "Working");
  for (gsize i = 0; i < G_N_ELEMENTS (operations); i++)
    g_assert_true (g_ascii_isupper (*ctl_progress_describe (operations[i])));
}

static void
test_hints (void)
{
  static const struct
  {
    int code;
    const char *message;
    const char *hint; /* or NULL */
  } table[] = {
    { VMSNAP_ERROR_NOT_SUPPORTED, "Not supported: give location=internal", "here location=internal is --internal" },
    { VMSNAP_ERROR_NOT_SUPPORTED, "'live' is not supported with location=internal: give 'pause'",
      "here location=internal is --internal, 'live' is --live, 'pause' is --pause" },
    { VMSNAP_ERROR_INVALID_ARGUMENT, "Options 'children' and 'children-only' exclude each other",
      "here 'children' is --children, 'children-only' is --children-only" },
    { VMSNAP_ERROR_BUSY, "Busy; leave out queue=false", "here queue=false is --no-queue" },
    { VMSNAP_ERROR_BUSY, "Busy; call without 'queue'", "here calling without 'queue' is leaving out --no-queue" },
    { VMSNAP_ERROR_HAS_CHILDREN, "It has children", "--children takes the descendants along" },
    { VMSNAP_ERROR_NOT_FOUND, "There is no domain 'live'", NULL },
    { VMSNAP_ERROR_IO, "Can't read 'x'", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (VMSNAP_ERROR, table[i].code, table[i].message);
      g_autofree char *hint = ctl_hint_for (error);

      g_assert_cmpstr (hint, ==, table[i].hint);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl/table/columns-are-aligned", test_table_aligns);
  g_test_add_func ("/ctl/table/fits-the-terminal", test_table_fits_the_terminal);
  g_test_add_func ("/ctl/table/shortened-text-says-so", test_shortened_text_says_so);
  g_test_add_func ("/ctl/tree/deep-ones-stay-narrow", test_tree_stays_narrow);
  g_test_add_func ("/ctl/tree/branches-are-drawn", test_tree_draws_branches);
  g_test_add_func ("/ctl/tree/nothing-is-nothing", test_tree_of_nothing);
  g_test_add_func ("/ctl/tree/ends-on-a-circle", test_tree_ends_on_a_circle);
  g_test_add_func ("/ctl/progress/shows-all", test_progress_shows_all);
  g_test_add_func ("/ctl/progress/without-sizes", test_progress_without_sizes);
  g_test_add_func ("/ctl/progress/stays-in-its-line", test_progress_stays_in_its_line);
  g_test_add_func ("/ctl/progress/leaves-out-whole-fields", test_progress_leaves_out_whole_fields);
  g_test_add_func ("/ctl/progress/is-not-done-before-its-end", test_progress_is_not_done_before_its_end);
  g_test_add_func ("/ctl/progress/begins-in-words", test_progress_is_in_words);
  g_test_add_func ("/ctl/hint/bus-words-are-told-as-options", test_hints);
  return g_test_run ();
}
