/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What single words, names and paths of a caller's must be, before anything is made of them. Pure; any thread.
 */
#include "bus-snapshot-checks.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vmsnap-names.h"

/* The longest path that the kernel takes, with its NUL, and the longest name in one. */
#define PATH_BYTES 4096
#define NAME_BYTES 255
#define SHOWN_CHARACTERS 80

/**
 * bus_snapshot_refuse:
 * @error: where to put %VMSNAP_ERROR_INVALID_ARGUMENT
 * @format: what is wrong
 *
 * Returns: %FALSE
 */
gboolean
bus_snapshot_refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, format, args);
  va_end (args);
  return FALSE;
}

/**
 * bus_snapshot_shorten:
 * @text: valid UTF-8 of a caller's
 *
 * Returns: (transfer full): so much of it as a message has room for
 */
char *
bus_snapshot_shorten (const char *text)
{
  return g_utf8_strlen (text, -1) <= SHOWN_CHARACTERS ? g_strdup (text)
                                                      : g_utf8_substring (text, 0, SHOWN_CHARACTERS);
}

/**
 * bus_snapshot_check_word:
 * @what: what says it, to begin the message
 * @word: (nullable): what was said; %NULL: nothing
 * @words: (array zero-terminated=1): what may be
 * @error: where to put that it is another
 *
 * Returns: whether @word is one of @words, or not there
 */
gboolean
bus_snapshot_check_word (const char *what, const char *word, const char *const *words, GError **error)
{
  g_autofree char *list = g_strjoinv (", ", (char **) words);
  g_autofree char *shown = NULL;

  if (word == NULL || g_strv_contains (words, word))
    return TRUE;
  shown = bus_snapshot_shorten (word);
  return bus_snapshot_refuse (error, "%s must be one of %s, not '%s'", what, list, shown);
}

static gboolean
has_control_character (const char *text)
{
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)) || g_utf8_get_char (p) == 0xfffe || g_utf8_get_char (p) == 0xffff)
      return TRUE;
  return FALSE;
}

static gboolean
has_long_name (const char *path)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);

  for (guint i = 0; names[i] != NULL; i++)
    if (strlen (names[i]) > NAME_BYTES)
      return TRUE;
  return FALSE;
}

/**
 * bus_snapshot_check_path:
 * @what: what says it, to begin the message
 * @path: (nullable): valid UTF-8; %NULL: nothing was said
 * @error: where to put what is wrong
 *
 * Returns: whether @path could be that of a file, or isn't there
 */
gboolean
bus_snapshot_check_path (const char *what, const char *path, GError **error)
{
  g_autofree char *shown = NULL;

  if (path == NULL)
    return TRUE;
  shown = bus_snapshot_shorten (path);
  if (!g_path_is_absolute (path))
    return bus_snapshot_refuse (error, "%s must be an absolute path, not '%s'", what, shown);
  if (has_control_character (path))
    return bus_snapshot_refuse (error, "%s must be a path without control characters", what);
  if (strlen (path) >= PATH_BYTES || has_long_name (path))
    return bus_snapshot_refuse (error,
                                "%s is too long for a file ('%s…'): a path has up to %d bytes, each name in it up to %d",
                                what, shown, PATH_BYTES - 1, NAME_BYTES);
  if (g_str_has_suffix (path, "/") || g_str_has_suffix (path, "/.") || g_str_has_suffix (path, "/.."))
    return bus_snapshot_refuse (error, "%s must be the path of a file, and '%s' is that of a directory", what, shown);
  return TRUE;
}

/**
 * bus_snapshot_check_name:
 * @name: a snapshot's name
 * @error: where to put that it can't be one
 *
 * Returns: whether it can
 */
gboolean
bus_snapshot_check_name (const char *name, GError **error)
{
  g_autofree char *shown = NULL;

  if (vmsnap_name_is_valid (name))
    return TRUE;
  shown = g_strescape (name, NULL);
  return bus_snapshot_refuse (
    error, "'%s' can't name a snapshot: a name is 1 to %d bytes of UTF-8 without '/' and control characters", shown,
    VMSNAP_NAME_MAX);
}

/**
 * bus_snapshot_check_encoding:
 * @encoding: (nullable): the option `encoding`
 * @error: where to put that it isn't one
 *
 * Returns: whether @encoding is one of the bus contract's
 */
gboolean
bus_snapshot_check_encoding (const char *encoding, GError **error)
{
  static const char *const encodings[] = { "raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse", NULL };

  return bus_snapshot_check_word ("Option 'encoding'", encoding, encodings, error);
}
