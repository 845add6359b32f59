/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bytes to messages: cuts a stream into lines, weighs each line, and only then lets json-glib read it. Pure: no I/O, no
 * locks; a parser belongs to one thread at a time.
 *
 * The peer is hostile, and json-glib is forgiving: it recurses as deep as the text does, and takes comments,
 * assignments and several values in one text. So a line is looked over first, byte by byte: its bytes, its brackets,
 * the number of its values. The grammar itself stays json-glib's.
 */
#include "qmp-parser.h"

#include <string.h>

#include "vmsnap-error.h"

/* A value costs some hundred bytes of memory, and at least two bytes of a line. */
#define MAX_VALUES 1000000
/* A line's buffer is kept for the next line up to this size. */
#define KEEP_BUFFER (64 * 1024)
#define EXCERPT_BYTES 60

struct _QmpParser
{
  gsize max_line;
  guint max_depth;
  GString *line;   /* the beginning of a line whose end hasn't come yet */
  GQueue messages; /* of JsonObject */
  GError *failed;
};

/**
 * qmp_parser_new:
 * @max_line: the longest line to take, in bytes, without its end; see %QMP_PARSER_MAX_LINE
 * @max_depth: how deep objects and arrays may be nested; see %QMP_PARSER_MAX_DEPTH
 *
 * Returns: (transfer full): a parser that has seen nothing yet
 */
QmpParser *
qmp_parser_new (gsize max_line, guint max_depth)
{
  QmpParser *self = g_new0 (QmpParser, 1);

  self->max_line = max_line;
  self->max_depth = max_depth;
  self->line = g_string_new (NULL);
  g_queue_init (&self->messages);
  return self;
}

/**
 * qmp_parser_free:
 * @parser: (transfer full): a parser
 *
 * Frees the parser, and the messages that nobody popped.
 */
void
qmp_parser_free (QmpParser *parser)
{
  g_queue_clear_full (&parser->messages, (GDestroyNotify) json_object_unref);
  g_string_free (parser->line, TRUE);
  g_clear_error (&parser->failed);
  g_free (parser);
}

/* The first bytes of a line, fit for an error message. */
static char *
excerpt (const char *line, gsize len)
{
  GString *out = g_string_new (NULL);

  for (gsize i = 0; i < MIN (len, EXCERPT_BYTES); i++)
    {
      if (g_ascii_isprint (line[i]))
        g_string_append_c (out, line[i]);
      else
        g_string_append_printf (out, "\\x%02x", (guchar) line[i]);
    }
  if (len > EXCERPT_BYTES)
    g_string_append (out, "...");
  return g_string_free (out, FALSE);
}

static gboolean
refuse (const char *line, gsize len, const char *why, GError **error)
{
  g_autofree char *text = excerpt (line, len);

  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "a line that %s: \"%s\"", why, text);
  return FALSE;
}

#define NOT_AN_ESCAPE G_MAXUINT
#define IS_HIGH_SURROGATE(code) ((code) >= 0xd800 && (code) <= 0xdbff)
#define IS_LOW_SURROGATE(code) ((code) >= 0xdc00 && (code) <= 0xdfff)

/* The code unit that a \uXXXX at @p stands for, or NOT_AN_ESCAPE. */
static guint
unicode_escape (const char *p, const char *end)
{
  guint code = 0;

  if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
    return NOT_AN_ESCAPE;
  for (int i = 2; i < 6; i++)
    {
      int digit = g_ascii_xdigit_value (p[i]);

      if (digit < 0)
        return NOT_AN_ESCAPE;
      code = code << 4 | (guint) digit;
    }
  return code;
}

/*
 * Looks at the escape at @p; returns its second byte, or that of the pair's other half. What json-glib is not to see: a
 * NUL, at which it would end the string without a word, and half a surrogate pair, which it lets through as bytes that
 * are not UTF-8, or drops with a leak.
 */
static const char *
skip_escape (const char *p, const char *end, const char **bad)
{
  guint code = unicode_escape (p, end);

  if (code == 0)
    *bad = "has a NUL in a string";
  else if (IS_HIGH_SURROGATE (code) && IS_LOW_SURROGATE (unicode_escape (p + 6, end)))
    p += 6;
  else if (IS_HIGH_SURROGATE (code) || IS_LOW_SURROGATE (code))
    *bad = "has half of a surrogate pair in a string";
  return p + 1;
}

/* Where a string that begins at @start ends: at its closing quote, or at @end. Sets @bad to what must not be in it. */
static const char *
skip_string (const char *start, const char *end, const char **bad)
{
  const char *p;

  for (p = start + 1; p < end && *p != '"'; p++)
    {
      if ((guchar) *p < 0x20)
        *bad = "has a control character in a string";
      if (*p == '\\' && (p = skip_escape (p, end, bad)) == end)
        break;
    }
  if (p >= end)
    *bad = "has a string without an end";
  return p;
}

/* What speaks against giving the line to json-glib, or NULL. */
static const char *
find_fault (const char *line, gsize len, guint max_depth)
{
  const char *end = line + len;
  const char *bad = NULL;
  guint depth = 0;
  guint values = 0;

  for (const char *p = line; p < end && bad == NULL; p++)
    {
      if (*p == ' ' || *p == '\t' || *p == '\r')
        continue;
      if (depth == 0 && (*p != '{' || values > 0))
        bad = "is not one JSON object";
      else if (*p == '"')
        p = skip_string (p, end, &bad);
      else if ((*p == '{' || *p == '[') && ++depth > max_depth)
        bad = "is nested too deep";
      else if (*p == '}' || *p == ']')
        depth--;
      else if (!g_ascii_isalnum (*p) && strchr ("{[,:+-.", *p) == NULL)
        bad = "is not JSON";
      if ((*p == '{' || *p == '[' || *p == ',') && ++values > MAX_VALUES)
        bad = "has too many values";
    }
  if (bad == NULL && depth > 0)
    bad = "ends in the middle of a JSON object";
  return bad;
}

static gboolean
is_blank (const char *line, gsize len)
{
  return strspn (line, " \t\r") >= len;
}

/* @line is NUL-terminated, or followed by its newline. */
static gboolean
take_line (QmpParser *self, const char *line, gsize len, GError **error)
{
  g_autoptr (JsonParser) json = NULL;
  g_autoptr (GError) local_error = NULL;
  const char *fault;
  JsonNode *root;

  if (is_blank (line, len))
    return TRUE;
  if (!g_utf8_validate_len (line, len, NULL))
    return refuse (line, len, "is not UTF-8, or has a NUL", error);
  if ((fault = find_fault (line, len, self->max_depth)) != NULL)
    return refuse (line, len, fault, error);

  json = json_parser_new_immutable ();
  if (!json_parser_load_from_data (json, line, len, &local_error))
    return refuse (line, len, "is not JSON", error);
  root = json_parser_get_root (json);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return refuse (line, len, "is not one JSON object", error);

  g_queue_push_tail (&self->messages, json_node_dup_object (root));
  return TRUE;
}

/* The line's beginning is to be told, of what is kept of it and what has just come. */
static gboolean
refuse_long (QmpParser *self, const char *rest, gsize len, GError **error)
{
  g_string_append_len (self->line, rest, MIN (len, EXCERPT_BYTES + 1));
  return refuse (self->line->str, self->line->len, "is too long", error);
}

/* A line is complete, but for what is kept of it from earlier pieces: @rest is its end. */
static gboolean
end_line (QmpParser *self, const char *rest, gsize len, GError **error)
{
  gboolean ok;

  if (self->line->len + len > self->max_line)
    return refuse_long (self, rest, len, error);
  if (self->line->len == 0)
    return take_line (self, rest, len, error);

  g_string_append_len (self->line, rest, len);
  ok = take_line (self, self->line->str, self->line->len, error);
  if (self->line->allocated_len > KEEP_BUFFER)
    {
      g_string_free (self->line, TRUE);
      self->line = g_string_new (NULL);
    }
  g_string_truncate (self->line, 0);
  return ok;
}

static gboolean
feed (QmpParser *self, const char *data, gsize len, GError **error)
{
  const char *end = data + len;
  const char *newline;

  while (data < end && (newline = memchr (data, '\n', end - data)) != NULL)
    {
      if (!end_line (self, data, newline - data, error))
        return FALSE;
      data = newline + 1;
    }
  if (self->line->len + (end - data) > self->max_line)
    return refuse_long (self, data, end - data, error);
  g_string_append_len (self->line, data, end - data);
  return TRUE;
}

/**
 * qmp_parser_feed:
 * @parser: a parser
 * @data: (array length=len): the next bytes of the stream
 * @len: how many
 * @error: return location for a #GError
 *
 * Takes the next piece of the stream, of any size. The messages that are complete now wait for qmp_parser_pop(), also
 * those that came before an error.
 *
 * Returns: %FALSE with %VMSNAP_ERROR_HYPERVISOR when the peer sent what isn't QMP, or more than the limits; the
 * message is meant to follow "sent". From then on each call fails the same way, for nobody knows where the next message
 * would begin.
 */
gboolean
qmp_parser_feed (QmpParser *parser, const char *data, gsize len, GError **error)
{
  if (parser->failed == NULL && feed (parser, data, len, &parser->failed))
    return TRUE;

  g_propagate_error (error, g_error_copy (parser->failed));
  return FALSE;
}

/**
 * qmp_parser_pop:
 * @parser: a parser
 *
 * Returns: (transfer full) (nullable): the next message, or %NULL when none is complete
 */
JsonObject *
qmp_parser_pop (QmpParser *parser)
{
  return g_queue_pop_head (&parser->messages);
}
