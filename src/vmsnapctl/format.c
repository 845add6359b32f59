/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Numbers, times and words as people like to read them on a terminal. Pure; any thread.
 */
#include "format.h"

/**
 * ctl_format_size:
 * @bytes: a size
 *
 * Returns: (transfer full): @bytes with a binary unit, such as "1.5 GiB"
 */
char *
ctl_format_size (guint64 bytes)
{
  static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
  double value = (double)bytes / 1024;
  guint unit = 0;

  if (bytes < 1024)
    return g_strdup_printf ("%u B", (guint)bytes);
  /* What would be written as 1024.0 belongs to the next unit. */
  while (value >= 1023.95 && unit + 1 < G_N_ELEMENTS (units))
    {
      value /= 1024;
      unit++;
    }
  return g_strdup_printf ("%.1f %s", value, units[unit]);
}

/**
 * ctl_format_duration:
 * @microseconds: a time span
 *
 * Returns: (transfer full): @microseconds in the unit that fits, such as "12 ms", "1.2 s" or "2 min 05 s"
 */
char *
ctl_format_duration (guint64 microseconds)
{
  guint64 seconds = (microseconds + G_USEC_PER_SEC / 2) / G_USEC_PER_SEC;

  if (microseconds < 1000)
    return g_strdup_printf ("%u µs", (guint)microseconds);
  if (microseconds < 999500)
    return g_strdup_printf ("%u ms", (guint)((microseconds + 500) / 1000));
  if (seconds < 60)
    return g_strdup_printf ("%.1f s", (double)microseconds / G_USEC_PER_SEC);
  return g_strdup_printf ("%" G_GUINT64_FORMAT " min %02u s", seconds / 60, (guint)(seconds % 60));
}

/**
 * ctl_format_clock:
 * @seconds: a time span
 *
 * Returns: (transfer full): @seconds as a clock shows them, such as "0:07" or "1:02:03"
 */
char *
ctl_format_clock (guint64 seconds)
{
  if (seconds < 3600)
    return g_strdup_printf ("%u:%02u", (guint)seconds / 60, (guint)seconds % 60);
  return g_strdup_printf ("%" G_GUINT64_FORMAT ":%02u:%02u", seconds / 3600, (guint)(seconds / 60 % 60),
                          (guint)(seconds % 60));
}

/**
 * ctl_format_time:
 * @microseconds: a time since the epoch; 0: none
 *
 * Returns: (transfer full): local date and time, or "-"
 */
char *
ctl_format_time (guint64 microseconds)
{
  g_autoptr (GDateTime) time = NULL;

  if (microseconds != 0)
    time = g_date_time_new_from_unix_local ((gint64)(microseconds / G_USEC_PER_SEC));
  return time != NULL ? g_date_time_format (time, "%Y-%m-%d %H:%M:%S") : g_strdup ("-");
}

/**
 * ctl_format_age:
 * @time: a time since the epoch, in microseconds; 0: none
 * @now: the present, likewise
 *
 * Returns: (transfer full): how long ago @time is, in the unit that fits, such as "5 min"; "-" when there is none
 */
char *
ctl_format_age (guint64 time, guint64 now)
{
  static const struct
  {
    guint64 below; /* seconds */
    guint64 seconds;
    const char *unit;
  } units[] = {
    { 60, 1, "s" },
    { 60 * 60, 60, "min" },
    { 48 * 60 * 60, 60 * 60, "h" },
    { 60 * G_GUINT64_CONSTANT (86400), 86400, "days" },
    { 730 * G_GUINT64_CONSTANT (86400), 30 * 86400, "months" },
    { G_MAXUINT64, 365 * 86400, "years" },
  };
  /* The clock may have been set back since. */
  guint64 age = now > time ? (now - time) / G_USEC_PER_SEC : 0;
  gsize i = 0;

  if (time == 0)
    return g_strdup ("-");
  while (age >= units[i].below)
    i++;
  return g_strdup_printf ("%" G_GUINT64_FORMAT " %s", age / units[i].seconds, units[i].unit);
}

/**
 * ctl_format_bar:
 * @fraction: from 0 to 1; what lies outside is taken as the nearer end
 * @width: columns, the brackets included
 *
 * Returns: (transfer full): a bar; it is full only when @fraction is 1
 */
char *
ctl_format_bar (double fraction, guint width)
{
  guint inner = width > 2 ? width - 2 : 0;
  guint done = (guint)(CLAMP (fraction, 0.0, 1.0) * inner);
  GString *bar = g_string_sized_new (width);

  g_string_append_c (bar, '[');
  for (guint i = 0; i < inner; i++)
    g_string_append_c (bar, i < done ? '#' : '.');
  g_string_append_c (bar, ']');
  return g_string_free (bar, FALSE);
}

/**
 * ctl_format_plain:
 * @text: (nullable): words from the service, that a guest or another user may have had a hand in
 * @keep_newlines: whether lines stay lines
 *
 * Returns: (transfer full): @text without anything that a terminal would obey
 */
char *
ctl_format_plain (const char *text, gboolean keep_newlines)
{
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);
  GString *plain = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (c == '\n' && keep_newlines)
        g_string_append_c (plain, '\n');
      else if (g_unichar_iscntrl (c) || g_unichar_type (c) == G_UNICODE_FORMAT)
        g_string_append_printf (plain, "\\u%04x", c);
      else
        g_string_append_unichar (plain, c);
    }
  return g_string_free (plain, FALSE);
}

/**
 * ctl_format_mode:
 * @mode: how a guest's memory was written: `background`, `precopy`, `paused`, or what is to come
 * @reason: why so; empty: not said
 *
 * Returns: (transfer full): both in a sentence; the best mode needs no reason
 */
char *
ctl_format_mode (const char *mode, const char *reason)
{
  g_autofree char *how = NULL;

  if (g_str_equal (mode, "background"))
    return g_strdup ("Its memory was written while the guest ran on");
  if (g_str_equal (mode, "precopy"))
    how = g_strdup ("in rounds while the guest ran on (precopy)");
  else if (g_str_equal (mode, "paused"))
    how = g_strdup ("while the guest stood still");
  else
    how = g_strdup_printf ("in the mode %s", mode);
  return *reason != '\0' ? g_strdup_printf ("Its memory was written %s: %s", how, reason)
                         : g_strdup_printf ("Its memory was written %s", how);
}

/**
 * ctl_format_key:
 * @property: a property's name on the bus, such as "CreationTime"
 *
 * Returns: (transfer full): the same as it is written in JSON, such as "creation-time"
 */
char *
ctl_format_key (const char *property)
{
  GString *key = g_string_new (NULL);

  for (const char *p = property; *p != '\0'; p++)
    {
      if (g_ascii_isupper (*p) && p != property)
        g_string_append_c (key, '-');
      g_string_append_c (key, g_ascii_tolower (*p));
    }
  return g_string_free (key, FALSE);
}

/**
 * ctl_estimate_left:
 * @fraction: how far it is, from 0 to 1
 * @elapsed: the time it took so far, in microseconds
 *
 * Returns: the seconds it will take from now on, rounded up; -1 when it is too early to tell
 */
gint64
ctl_estimate_left (double fraction, gint64 elapsed)
{
  double left;

  if (fraction < 0.02 || elapsed < G_USEC_PER_SEC / 2)
    return -1;
  left = (double)elapsed * (1 - MIN (fraction, 1.0)) / fraction / G_USEC_PER_SEC;
  return (gint64)left + (left > (double)(gint64)left);
}

/**
 * ctl_text_width:
 * @text: valid UTF-8 without control characters
 *
 * Returns: the columns that @text takes
 */
guint
ctl_text_width (const char *text)
{
  guint width = 0;

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (!g_unichar_iszerowidth (c))
        width += g_unichar_iswide (c) ? 2 : 1;
    }
  return width;
}

/**
 * ctl_text_shorten:
 * @text: valid UTF-8 without control characters
 * @width: columns, at least 1
 * @mark: what stands for the rest, one column wide
 *
 * Returns: (transfer full): @text, or as much of it as fits into @width columns together with @mark
 */
char *
ctl_text_shorten (const char *text, guint width, const char *mark)
{
  g_autofree char *part = NULL;

  if (ctl_text_width (text) <= width)
    return g_strdup (text);
  part = ctl_text_cut (text, width - 1);
  return g_strconcat (part, mark, NULL);
}

/**
 * ctl_text_cut:
 * @text: valid UTF-8 without control characters
 * @width: columns
 *
 * Returns: (transfer full): as much of @text as fits into @width columns
 */
char *
ctl_text_cut (const char *text, guint width)
{
  guint used = 0;
  const char *p = text;

  while (*p != '\0')
    {
      gunichar c = g_utf8_get_char (p);
      guint wide = g_unichar_iszerowidth (c) ? 0 : g_unichar_iswide (c) ? 2 : 1;

      if (used + wide > width)
        break;
      used += wide;
      p = g_utf8_next_char (p);
    }
  return g_strndup (text, p - text);
}
