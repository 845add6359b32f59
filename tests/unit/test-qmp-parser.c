/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parser: every way to cut a stream, the bounds, and what a hostile peer might send.
 */
#include "qmp-parser.h"

#include <string.h>

#include "qmp-json.h"
#include "vmsnap-error.h"

static const char stream[] = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
                             "\r\n"
                             "{\"return\": {\"text\": \"a } \\\" \\\\ ] { \xc3\xa4 \\u00e4 \\ud83d\\ude00\"}, \"id\": 2}\r\n"
                             "{\"event\": \"STOP\", \"data\": [[[{}, [], -1.5e3]]]}\n";

static QmpParser *
new_parser (void)
{
  return qmp_parser_new (QMP_PARSER_MAX_LINE, QMP_PARSER_MAX_DEPTH);
}

static void
assert_next (QmpParser *parser, const char *key)
{
  g_autoptr (JsonObject) message = qmp_parser_pop (parser);

  g_assert_nonnull (message);
  g_assert_true (json_object_has_member (message, key));
}

static void
assert_stream_came (QmpParser *parser)
{
  g_autoptr (JsonObject) message = NULL;
  JsonObject *value;

  assert_next (parser, "QMP");
  message = qmp_parser_pop (parser);
  value = qmp_json_get_object (message, "return");
  g_assert_cmpstr (qmp_json_get_string (value, "text"), ==, "a } \" \\ ] { \xc3\xa4 \xc3\xa4 \xf0\x9f\x98\x80");
  assert_next (parser, "event");
  g_assert_null (qmp_parser_pop (parser));
}

static void
test_every_split (void)
{
  gsize len = strlen (stream);

  for (gsize i = 0; i <= len; i++)
    for (gsize j = i; j <= len; j++)
      {
        g_autoptr (QmpParser) parser = new_parser ();

        g_assert_true (qmp_parser_feed (parser, stream, i, NULL));
        g_assert_true (qmp_parser_feed (parser, stream + i, j - i, NULL));
        g_assert_true (qmp_parser_feed (parser, stream + j, len - j, NULL));
        assert_stream_came (parser);
      }
}

static void
test_byte_by_byte (void)
{
  g_autoptr (QmpParser) parser = new_parser ();

  for (const char *p = stream; *p != '\0'; p++)
    g_assert_true (qmp_parser_feed (parser, p, 1, NULL));
  assert_stream_came (parser);
}

static void
test_incomplete_line_waits (void)
{
  g_autoptr (QmpParser) parser = new_parser ();

  g_assert_true (qmp_parser_feed (parser, "{\"return\": 1}", 13, NULL));
  g_assert_null (qmp_parser_pop (parser));
  g_assert_true (qmp_parser_feed (parser, "\n", 1, NULL));
  assert_next (parser, "return");
}

typedef struct
{
  const char *name;
  const char *line;
  gssize len; /* -1: up to the NUL */
  const char *says;
} Bad;

static const Bad bad_lines[] = {
  { "words", "qemu: could not open disk\n", -1, "could not open disk" },
  { "array", "[1, 2]\n", -1, "not one JSON object" },
  { "string", "\"{}\"\n", -1, "not one JSON object" },
  { "number", "17\n", -1, "not one JSON object" },
  { "null", "null\n", -1, "not one JSON object" },
  { "two-objects", "{} {}\n", -1, "not one JSON object" },
  { "rest", "{\"a\": 1} x\n", -1, "not one JSON object" },
  { "assignment", "var x = {}\n", -1, "not one JSON object" },
  { "comment", "{/* c */ \"a\": 1}\n", -1, "not JSON" },
  { "line-comment", "{\"a\": 1 // c }\n", -1, "not JSON" },
  { "single-quotes", "{'a': 1}\n", -1, "not JSON" },
  { "no-colon", "{\"a\" 1}\n", -1, "not JSON" },
  { "trailing-comma", "{\"a\": 1,}\n", -1, "not JSON" },
  { "bare-key", "{a: 1}\n", -1, "not JSON" },
  { "bare-word", "{\"a\": nul}\n", -1, "not JSON" },
  { "crossed-brackets", "{\"a\": [}]\n", -1, "" },
  { "closing-first", "}{\n", -1, "not one JSON object" },
  { "open-object", "{\"a\": {}\n", -1, "middle" },
  { "open-string", "{\"a\": \"x}\n", -1, "without an end" },
  { "escape-at-the-end", "{\"a\": \"\\\n", -1, "without an end" },
  { "tab-in-a-string", "{\"a\": \"\t\"}\n", -1, "control character" },
  { "nul", "{\"a\": \"x\0y\"}\n", 13, "NUL" },
  { "nul-first", "\0{}\n", 4, "NUL" },
  { "nul-alone", "\0\n", 2, "NUL" },
  { "escaped-nul", "{\"a\": \"x\\u0000y\"}\n", -1, "NUL" },
  { "half-a-surrogate", "{\"a\": \"\\ud800\"}\n", -1, "surrogate" },
  { "half-a-surrogate-and-a-letter", "{\"a\": \"\\ud800A\"}\n", -1, "surrogate" },
  { "two-high-surrogates", "{\"a\": \"\\ud800\\ud800\"}\n", -1, "surrogate" },
  { "low-surrogate-first", "{\"a\": \"\\udc00\\ud800\"}\n", -1, "surrogate" },
  { "surrogate-and-a-short-escape", "{\"a\": \"\\udbff\\udc\"}\n", -1, "surrogate" },
  { "short-unicode-escape", "{\"a\": \"\\u12\"}\n", -1, "not JSON" },
  { "latin-1", "{\"a\": \"\xe4\"}\n", -1, "UTF-8" },
  { "overlong-utf-8", "{\"a\": \"\xc0\xaf\"}\n", -1, "UTF-8" },
  { "cut-utf-8", "{\"a\": \"\xe2\x82\"}\n", -1, "UTF-8" },
};

static void
assert_refused (QmpParser *parser, const char *data, gsize len, const char *says)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (qmp_parser_feed (parser, data, len, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_nonnull (strstr (error->message, says));
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
test_bad_line (gconstpointer data)
{
  const Bad *bad = data;
  gsize len = bad->len >= 0 ? (gsize) bad->len : strlen (bad->line);

  for (gsize cut = 0; cut < len; cut++)
    {
      g_autoptr (QmpParser) parser = new_parser ();

      g_assert_true (qmp_parser_feed (parser, "{\"return\": 1}\n", 14, NULL));
      g_assert_true (qmp_parser_feed (parser, bad->line, cut, NULL));
      assert_refused (parser, bad->line + cut, len - cut, bad->says);
      /* what came before it counts, nothing after it does */
      assert_refused (parser, "{\"return\": 2}\n", 14, bad->says);
      assert_next (parser, "return");
      g_assert_null (qmp_parser_pop (parser));
    }
}

static void
test_error_says_what_came (void)
{
  g_autoptr (QmpParser) parser = new_parser ();

  assert_refused (parser, "\x1b[31mhello\n", 11, "\\x1b[31mhello");
}

/* A line with objects and arrays nested so deep. */
static GString *
nested (guint depth)
{
  GString *line = g_string_new ("{\"a\": ");

  for (guint i = 1; i < depth; i++)
    g_string_append_c (line, '[');
  if (depth == 1)
    g_string_append_c (line, '1');
  for (guint i = 1; i < depth; i++)
    g_string_append_c (line, ']');
  return g_string_append (line, "}\n");
}

static void
test_depth (void)
{
  for (guint depth = 1; depth <= 10; depth++)
    {
      g_autoptr (QmpParser) parser = qmp_parser_new (1000, depth);
      g_autoptr (QmpParser) strict = qmp_parser_new (1000, depth);
      g_autoptr (GString) line = nested (depth);
      g_autoptr (GString) deeper = nested (depth + 1);

      g_assert_true (qmp_parser_feed (parser, line->str, line->len, NULL));
      assert_next (parser, "a");
      assert_refused (strict, deeper->str, deeper->len, "too deep");
    }
}

static void
test_a_million_brackets (void)
{
  g_autoptr (QmpParser) parser = new_parser ();
  g_autoptr (GString) line = nested (1000000);

  assert_refused (parser, line->str, line->len, "too deep");
}

static void
test_brackets_in_strings_are_no_depth (void)
{
  g_autoptr (QmpParser) parser = qmp_parser_new (1000, 1);
  const char *line = "{\"[[[[{{{{\": \"[[[\\\"{{{\"}\n";

  g_assert_true (qmp_parser_feed (parser, line, strlen (line), NULL));
  assert_next (parser, "[[[[{{{{");
}

/* {"a":"xxx…"} of @len bytes, without its end. */
static char *
line_of (gsize len)
{
  char *line = g_malloc (len + 1);

  memset (line, 'x', len);
  memcpy (line, "{\"a\":\"", 6);
  memcpy (line + len - 2, "\"}", 3);
  return line;
}

static void
test_length (void)
{
  g_autofree char *line = line_of (100);

  for (gsize cut = 0; cut <= 100; cut++)
    {
      g_autoptr (QmpParser) parser = qmp_parser_new (100, 4);
      g_autoptr (QmpParser) strict = qmp_parser_new (99, 4);
      g_autoptr (GError) error = NULL;

      g_assert_true (qmp_parser_feed (parser, line, cut, NULL));
      g_assert_true (qmp_parser_feed (parser, line + cut, 100 - cut, NULL));
      g_assert_true (qmp_parser_feed (parser, "\n", 1, NULL));
      assert_next (parser, "a");

      if (qmp_parser_feed (strict, line, cut, NULL) && qmp_parser_feed (strict, line + cut, 100 - cut, NULL))
        g_assert_not_reached ();
      assert_refused (strict, "\n", 1, "too long");
    }
}

static void
test_long_line_is_quoted_from_its_beginning (void)
{
  g_autofree char *line = line_of (100);

  for (gsize cut = 1; cut < 99; cut++)
    {
      g_autoptr (QmpParser) ended = qmp_parser_new (99, 4);
      g_autoptr (QmpParser) endless = qmp_parser_new (99, 4);
      g_autofree char *rest = g_strconcat (line + cut, "\n", NULL);

      g_assert_true (qmp_parser_feed (ended, line, cut, NULL));
      assert_refused (ended, rest, strlen (rest), "too long: \"{\"a\":\"xxxxxx");
      g_assert_true (qmp_parser_feed (endless, line, cut, NULL));
      assert_refused (endless, line + cut, 100 - cut, "too long: \"{\"a\":\"xxxxxx");
    }
}

static void
test_whole_long_line_is_refused (void)
{
  g_autoptr (QmpParser) parser = qmp_parser_new (99, 4);
  g_autofree char *line = line_of (100);
  g_autofree char *whole = g_strconcat (line, "\n", NULL);

  assert_refused (parser, whole, 101, "too long");
}

static void
test_endless_line_is_refused_early (void)
{
  g_autoptr (QmpParser) parser = qmp_parser_new (1000, 4);
  g_autoptr (GError) error = NULL;
  guint fed = 0;

  while (qmp_parser_feed (parser, "          ", 10, &error))
    fed += 10;
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_cmpuint (fed, ==, 1000);
}

/* Would take minutes if each piece were scanned from the line's beginning. */
static void
test_long_line_in_single_bytes (void)
{
  const gsize len = 4 * 1024 * 1024;
  g_autoptr (QmpParser) parser = new_parser ();
  g_autofree char *line = line_of (len);

  for (gsize i = 0; i < len; i++)
    g_assert_true (qmp_parser_feed (parser, line + i, 1, NULL));
  g_assert_true (qmp_parser_feed (parser, "\n", 1, NULL));
  assert_next (parser, "a");
}

static void
test_too_many_values (void)
{
  g_autoptr (QmpParser) parser = new_parser ();
  g_autoptr (GString) line = g_string_new ("{\"a\":[0");

  for (guint i = 0; i < 1000000; i++)
    g_string_append (line, ",0");
  g_string_append (line, "]}\n");
  assert_refused (parser, line->str, line->len, "too many values");
}

static void
test_many_lines_at_once (void)
{
  g_autoptr (QmpParser) parser = new_parser ();
  g_autoptr (GString) lines = g_string_new (NULL);
  guint n = 0;

  for (guint i = 0; i < 10000; i++)
    g_string_append_printf (lines, "{\"return\": {}, \"id\": %u}\r\n", i);
  g_assert_true (qmp_parser_feed (parser, lines->str, lines->len, NULL));
  for (JsonObject *message; (message = qmp_parser_pop (parser)) != NULL; json_object_unref (message))
    g_assert_cmpint (json_object_get_int_member (message, "id"), ==, n++);
  g_assert_cmpuint (n, ==, 10000);
}

/* Whatever comes: an error or a message, and no crash, no critical, no leak. The same each time, for json-glib 1.6 itself
 * forgets a string now and then that it can't read, of which the parser knows nothing. */
static void
test_damaged_streams (void)
{
  g_autoptr (GRand) dice = g_rand_new_with_seed (1);

  for (guint round = 0; round < 3000; round++)
    {
      g_autoptr (QmpParser) parser = new_parser ();
      g_autofree char *damaged = g_strdup (stream);
      gsize len = strlen (stream);
      const char alphabet[] = "{}[]\",:\\u0d8\n\r\t -+.eE/*'x\x01\x80\xc3\xff";

      for (int i = g_rand_int_range (dice, 1, 6); i > 0; i--)
        damaged[g_rand_int_range (dice, 0, (int) len)] = alphabet[g_rand_int_range (dice, 0, sizeof alphabet)];
      if (qmp_parser_feed (parser, damaged, len, NULL))
        qmp_parser_feed (parser, damaged, len, NULL);
      for (JsonObject *message; (message = qmp_parser_pop (parser)) != NULL; json_object_unref (message))
        g_assert_cmpuint (json_object_get_size (message), <, 10);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qmp/parser/every-split-gives-the-same-messages", test_every_split);
  g_test_add_func ("/qmp/parser/byte-by-byte-gives-the-same-messages", test_byte_by_byte);
  g_test_add_func ("/qmp/parser/incomplete-line-waits", test_incomplete_line_waits);
  for (guint i = 0; i < G_N_ELEMENTS (bad_lines); i++)
    {
      g_autofree char *path = g_strconcat ("/qmp/parser/is-an-error-for-ever/", bad_lines[i].name, NULL);

      g_test_add_data_func (path, &bad_lines[i], test_bad_line);
    }
  g_test_add_func ("/qmp/parser/error-says-what-came", test_error_says_what_came);
  g_test_add_func ("/qmp/parser/depth-is-bounded", test_depth);
  g_test_add_func ("/qmp/parser/a-million-brackets-are-an-error", test_a_million_brackets);
  g_test_add_func ("/qmp/parser/brackets-in-strings-are-no-depth", test_brackets_in_strings_are_no_depth);
  g_test_add_func ("/qmp/parser/length-is-bounded-to-the-byte", test_length);
  g_test_add_func ("/qmp/parser/long-line-in-pieces-is-quoted-from-its-beginning",
                   test_long_line_is_quoted_from_its_beginning);
  g_test_add_func ("/qmp/parser/line-too-long-is-an-error", test_whole_long_line_is_refused);
  g_test_add_func ("/qmp/parser/endless-line-is-an-error-at-the-limit", test_endless_line_is_refused_early);
  g_test_add_func ("/qmp/parser/long-line-in-single-bytes-is-linear", test_long_line_in_single_bytes);
  g_test_add_func ("/qmp/parser/too-many-values-are-an-error", test_too_many_values);
  g_test_add_func ("/qmp/parser/many-lines-at-once-keep-their-order", test_many_lines_at_once);
  g_test_add_func ("/qmp/parser/damaged-streams-do-no-harm", test_damaged_streams);
  return g_test_run ();
}
