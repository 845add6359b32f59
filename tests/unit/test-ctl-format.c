/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Numbers, times and words of the command line, as people read them.
 */
#include "format.h"

typedef struct
{
  guint64 value;
  const char *text;
} NumberCase;

static void
check_numbers (const NumberCase *cases, gsize n_cases, char *(*format) (guint64))
{
  for (gsize i = 0; i < n_cases; i++)
    {
      g_autofree char *text = format (cases[i].value);

      g_assert_cmpstr (text, ==, cases[i].text);
    }
}

static void
test_size (void)
{
  const guint64 one = 1024;
  const NumberCase cases[] = {
    { 0, "0 B" },
    { 1023, "1023 B" },
    { one, "1.0 KiB" },
    { 1536, "1.5 KiB" },
    { one * one - 1, "1.0 MiB" },
    { one * one, "1.0 MiB" },
    { 5 * one * one * one / 2, "2.5 GiB" },
    { G_MAXUINT64, "16.0 EiB" },
  };

  check_numbers (cases, G_N_ELEMENTS (cases), ctl_format_size);
}

static void
test_duration (void)
{
  const NumberCase cases[] = {
    { 0, "0 µs" },
    { 999, "999 µs" },
    { 1000, "1 ms" },
    { 12345, "12 ms" },
    { 999499, "999 ms" },
    { 999500, "1.0 s" },
    { 1234567, "1.2 s" },
    { 59400000, "59.4 s" },
    { 60000000, "1 min 00 s" },
    { 125000000, "2 min 05 s" },
  };

  check_numbers (cases, G_N_ELEMENTS (cases), ctl_format_duration);
}

static void
test_clock (void)
{
  const NumberCase cases[] = { { 0, "0:00" }, { 7, "0:07" }, { 61, "1:01" }, { 3599, "59:59" }, { 3723, "1:02:03" } };

  check_numbers (cases, G_N_ELEMENTS (cases), ctl_format_clock);
}

static void
test_time (void)
{
  const NumberCase cases[] = { { 0, "-" }, { 86400 * G_GUINT64_CONSTANT (1000000), "1970-01-02 00:00:00" } };

  check_numbers (cases, G_N_ELEMENTS (cases), ctl_format_time);
}

static void
test_bar_is_full_only_at_the_end (void)
{
  const struct
  {
    double fraction;
    const char *text;
  } cases[] = { { -1, "[....]" },   { 0, "[....]" }, { 0.24, "[....]" }, { 0.25, "[#...]" },
                { 0.99, "[###.]" }, { 1, "[####]" }, { 2, "[####]" } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *bar = ctl_format_bar (cases[i].fraction, 6);

      g_assert_cmpstr (bar, ==, cases[i].text);
    }
}

static void
test_terminal_is_not_commanded (void)
{
  g_autofree char *escape = ctl_format_plain ("a\033[2Jb\tc\nd", FALSE);
  g_autofree char *lines = ctl_format_plain ("a\nb\r", TRUE);
  g_autofree char *turned = ctl_format_plain ("ab\xe2\x80\xae"
                                              "c",
                                              FALSE);
  g_autofree char *broken = ctl_format_plain ("a\xff", FALSE);
  g_autofree char *none = ctl_format_plain (NULL, FALSE);

  g_assert_cmpstr (escape, ==, "a\\u001b[2Jb\\u0009c\\u000ad");
  g_assert_cmpstr (lines, ==, "a\nb\\u000d");
  g_assert_cmpstr (turned, ==, "ab\\u202ec");
  g_assert_cmpstr (broken, ==, "a\xef\xbf\xbd");
  g_assert_cmpstr (none, ==, "");
}

static void
test_key (void)
{
  const char *const cases[][2] = { { "Name", "name" }, { "CreationTime", "creation-time" }, { "target", "target" } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *key = ctl_format_key (cases[i][0]);

      g_assert_cmpstr (key, ==, cases[i][1]);
    }
}

static void
test_mode (void)
{
  const char *const cases[][3] = {
    { "background", "nothing against it", "Its memory was written while the guest ran on" },
    { "precopy", "no userfaultfd", "Its memory was written in rounds while the guest ran on (precopy): no userfaultfd" },
    { "paused", "it was asked for", "Its memory was written while the guest stood still: it was asked for" },
    { "to-come", "", "Its memory was written in the mode to-come" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *words = ctl_format_mode (cases[i][0], cases[i][1]);

      g_assert_cmpstr (words, ==, cases[i][2]);
    }
}

static void
test_time_left (void)
{
  const gint64 second = G_USEC_PER_SEC;

  g_assert_cmpint (ctl_estimate_left (0, 10 * second), ==, -1);
  g_assert_cmpint (ctl_estimate_left (0.5, second / 10), ==, -1);
  g_assert_cmpint (ctl_estimate_left (0.5, 10 * second), ==, 10);
  g_assert_cmpint (ctl_estimate_left (0.9, 9 * second), ==, 1);
  g_assert_cmpint (ctl_estimate_left (0.3, second), ==, 3);
  g_assert_cmpint (ctl_estimate_left (1, 10 * second), ==, 0);
}

static void
test_width_counts_columns (void)
{
  g_autofree char *half = ctl_text_cut ("日本語", 3);
  g_autofree char *all = ctl_text_cut ("abc", 3);
  g_autofree char *accent = ctl_text_cut ("e\xcc\x81x", 1);

  g_assert_cmpuint (ctl_text_width (""), ==, 0);
  g_assert_cmpuint (ctl_text_width ("äb"), ==, 2);
  g_assert_cmpuint (ctl_text_width ("日本"), ==, 4);
  g_assert_cmpuint (ctl_text_width ("e\xcc\x81"), ==, 1);
  g_assert_cmpstr (half, ==, "日");
  g_assert_cmpstr (all, ==, "abc");
  g_assert_cmpstr (accent, ==, "e\xcc\x81");
}

static void
test_age (void)
{
  static const struct
  {
    guint64 seconds;
    const char *text;
  } table[] = {
    { 0, "0 s" },          { 59, "59 s" },          { 60, "1 min" },           { 3599, "59 min" },
    { 3600, "1 h" },       { 172799, "47 h" },      { 172800, "2 days" },      { 59 * 86400, "59 days" },
    { 61 * 86400, "2 months" }, { 729 * 86400, "24 months" }, { 731 * 86400, "2 years" },
  };
  const guint64 then = G_GUINT64_CONSTANT (1767323045000000);

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autofree char *text = ctl_format_age (then, then + table[i].seconds * G_USEC_PER_SEC);

      g_assert_cmpstr (text, ==, table[i].text);
    }
}

static void
test_age_of_nothing_and_of_the_future (void)
{
  g_autofree char *none = ctl_format_age (0, 5);
  g_autofree char *future = ctl_format_age (7 * G_USEC_PER_SEC, 5);

  g_assert_cmpstr (none, ==, "-");
  g_assert_cmpstr (future, ==, "0 s");
}

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl/format/size-has-the-unit-that-fits", test_size);
  g_test_add_func ("/ctl/format/duration-has-the-unit-that-fits", test_duration);
  g_test_add_func ("/ctl/format/clock", test_clock);
  g_test_add_func ("/ctl/format/age-has-the-unit-that-fits", test_age);
  g_test_add_func ("/ctl/format/age-of-nothing-is-a-dash", test_age_of_nothing_and_of_the_future);
  g_test_add_func ("/ctl/format/time-of-nothing-is-a-dash", test_time);
  g_test_add_func ("/ctl/format/bar-is-full-only-at-the-end", test_bar_is_full_only_at_the_end);
  g_test_add_func ("/ctl/format/terminal-is-not-commanded", test_terminal_is_not_commanded);
  g_test_add_func ("/ctl/format/keys-are-written-with-dashes", test_key);
  g_test_add_func ("/ctl/format/mode-is-told-with-its-reason", test_mode);
  g_test_add_func ("/ctl/format/time-left-is-told-when-it-is-known", test_time_left);
  g_test_add_func ("/ctl/format/width-counts-columns", test_width_counts_columns);
  return g_test_run ();
}
