/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Texts that mean harm: they end in an error, soon, without a word on stderr and without touching anything.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-snapshot-def.h"
#include "xml-samples.h"

#define MIB (1024 * 1024)

static void
assert_refused (const char *data, gsize length, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse_data (data, length, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_null (def);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_cmpuint (strlen (error->message), <, 30000);
  if (strstr (error->message, words) == NULL)
    g_error ("Expected '%s' in: %s", words, error->message);
}

/* @unit again and again, up to a mebibyte. */
static GString *
repeat (const char *before, const char *unit)
{
  GString *text = g_string_new (before);

  while (text->len + strlen (unit) + 16 < MIB)
    g_string_append (text, unit);
  return text;
}

static void
test_entities_are_never_resolved (void)
{
  static const char *const subsets[] = {
    "<!DOCTYPE domain [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;'>]>",
    "<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>",
    "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/evil.dtd'>",
    "<!DOCTYPE domain [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]>",
    "<!DOCTYPE domain>",
    "<!DOCTYPE domain [<!ATTLIST domain type CDATA 'kvm'>]>",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (subsets); i++)
    {
      g_autofree char *xml = g_strconcat ("<?xml version='1.0'?>\n", subsets[i], "\n<domain><name>&c;&a;</name></domain>",
                                          NULL);

      assert_refused (xml, strlen (xml), "line 2: a DOCTYPE isn't allowed");
    }
}

static void
test_no_file_is_included (void)
{
  static const char xml[] = "<domain type='kvm' xmlns:xi='http://www.w3.org/2001/XInclude'><name>a</name>"
                            "<xi:include href='file:///etc/hostname'/></domain>";

  assert_refused (xml, strlen (xml), "<xi:include> in <domain> isn't supported");
}

static void
test_a_mebibyte_of_nesting_is_an_error (void)
{
  g_autoptr (GString) open = repeat ("", "<a>");
  g_autoptr (GString) metadata = repeat ("<domain><metadata>", "<a>");

  assert_refused (open->str, open->len, "nested deeper than");
  assert_refused (metadata->str, metadata->len, "nested deeper than");
}

static void
test_depth_has_a_limit_in_closed_text_too (void)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (int i = 0; i < 65; i++)
    g_string_append (text, "<domain>");
  for (int i = 0; i < 65; i++)
    g_string_append (text, "</domain>");
  assert_refused (text->str, text->len, "nested deeper than 64");
}

static void
test_a_mebibyte_of_breadth_is_an_error (void)
{
  static const char *const units[] = {
    "<a/>", "<name/>", "<a:b xmlns:a='c'/>", "&#65;", "&amp;", "\n", "<!---->", "<?a?>", "]]>", "<![CDATA[<]]>", "=",
    "<disk/>", "<a b='c'>", "<!--", "<!-- -- -->", "<!----->", "--", "<?a ", "<![CDATA[", "]]", "<a ", "&", "&#x", "'",
    "<!a>", "<", ">", "</a>", "<a b='&lt;'/>", "<a\n", "<qemu:arg/>", "\xc3\xa4", "<\xc3\xa4/>",
  };
  static const char *const before[] = { "<domain type='kvm'>", "<domain><name>" };

  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (before); j++)
      {
        g_autoptr (GString) text = repeat (before[j], units[i]);

        assert_refused (text->str, text->len, "The domain definition can't be used:");
      }
}

/* @n times @unit before @marker in a good definition. */
static GString *
fill (const char *marker, const char *unit, int n)
{
  g_autofree char *sample = xml_sample_load ("direct-kernel.xml");
  g_autoptr (GString) units = g_string_new (NULL);
  GString *filled;
  guint line;
  char *text;

  for (int i = 0; i < n; i++)
    g_string_append (units, unit);
  g_string_append (units, marker);
  text = xml_sample_replace (sample, marker, units->str, &line);
  filled = g_string_new (text);
  g_free (text);
  return filled;
}

static void
test_thousands_of_elements_are_an_error (void)
{
  static const struct {
    const char *marker;
    const char *unit;
  } rows[] = {
    { "</domain>", "<seclabel/>" },
    { "</devices>", "<disk type='x'><target dev=''/></disk>" },
    { "</devices>", "<serial type='null'/>" },
    { "</os>", "<boot dev='hd'/>" },
    { "</domain>", "<metadata><a/></metadata>" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GString) text = fill (rows[i].marker, rows[i].unit, 8192);

      assert_refused (text->str, text->len, "there are more than 8192 elements");
    }
}

static void
test_hundreds_of_elements_are_not (void)
{
  g_autoptr (GString) text = fill ("</devices>", "<interface type='user'/>", 300);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (text->str, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (def->interfaces->len, ==, 301);
}

static void
test_the_list_of_problems_is_bounded (void)
{
  g_autoptr (GString) text = fill ("</devices>", "<hostdev/>", 5000);

  assert_refused (text->str, text->len, "\nand 4950 more");
}

static void
test_thousands_of_attributes_are_an_error (void)
{
  g_autoptr (GString) attributes = g_string_new ("<domain");
  g_autoptr (GString) namespaces = g_string_new ("<domain");
  g_autoptr (GString) spread = g_string_new ("<domain");

  for (int i = 0; attributes->len < MIB - 100; i++)
    g_string_append_printf (attributes, " a%d=''", i);
  g_string_append (attributes, "/>");
  assert_refused (attributes->str, attributes->len, "thousands of attributes");

  for (int i = 0; i < 4000; i++)
    g_string_append_printf (namespaces, " xmlns:a%d='b'", i);
  g_string_append (namespaces, "/>");
  assert_refused (namespaces->str, namespaces->len, "more attributes than any real element");

  for (int i = 0; i < 65; i++)
    g_string_append_printf (spread, " a%d=''", i);
  g_string_append (spread, "/>");
  assert_refused (spread->str, spread->len, "more attributes than any real element");
}

/* Escapes make a text longer: what is accepted must be readable after it was stored. */
static void
test_written_size_has_a_limit_too (void)
{
  g_autofree char *brackets = g_strnfill (300000, '>');
  g_autofree char *title = g_strdup_printf ("<title>%s</title></domain>", brackets);
  g_autofree char *sample = xml_sample_load ("direct-kernel.xml");
  guint line;
  g_autofree char *text = xml_sample_replace (sample, "</domain>", title, &line);

  assert_refused (text, strlen (text), "written out it has 1200");
}

static void
test_size_has_a_limit (void)
{
  g_autofree char *sample = xml_sample_load ("direct-kernel.xml");
  g_autoptr (GString) text = g_string_new (sample);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = NULL;

  while (text->len < MIB)
    g_string_append_c (text, ' ');
  def = vs_domain_def_parse_data (text->str, text->len, VS_DOMAIN_DEF_VALIDATE, &error);
  g_assert_no_error (error);
  g_string_append_c (text, ' ');
  assert_refused (text->str, text->len, "it has 1048577 bytes; at most 1048576 are accepted");
}

static void
test_bytes_that_are_no_text (void)
{
  static const struct {
    const char *data;
    gsize length;
    const char *words;
  } rows[] = {
    { "", 0, "The domain definition can't be used:\n" },
    { "\0", 1, "line 1: a NUL byte isn't allowed" },
    { "<domain>\n<name>a\0b</name></domain>", 34, "line 2: a NUL byte isn't allowed" },
    { "<domain>\n\n<name>\xff</name></domain>", 33, "line 3: not UTF-8" },
    { "<domain>\xc3", 9, "line 1: not UTF-8" },
    { "<domain>\xed\xa0\x80</domain>", 20, "line 1: not UTF-8" },
    { "\xff\xfe<\0d\0", 6, "line 1: a NUL byte" },
    { "<domain><name>&#0;</name></domain>", 34, "line 1: " },
    { "<domain><name>&#xFFFE;</name></domain>", 38, "line 1: " },
    { "<domain>\n<name>\x01</name></domain>", 32, "line 2: " },
    { "hello", 5, "line 1: " },
    { "<domain/><domain/>", 18, "line 1: Extra content" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    assert_refused (rows[i].data, rows[i].length, rows[i].words);
}

static void
test_a_declared_encoding_changes_nothing (void)
{
  static const char *const declarations[] = {
    "<?xml version='1.0' encoding='UTF-16'?>",
    "<?xml version='1.0' encoding='ISO-8859-1'?>",
    "<?xml version='1.0' encoding='UTF-7'?>",
    "<?xml version='1.0' encoding='EBCDIC-CP-US'?>",
  };
  g_autofree char *sample = xml_sample_load ("direct-kernel.xml");
  guint line;
  g_autofree char *named = xml_sample_replace (sample, "<name>tiny", "<name>größe", &line);

  for (gsize i = 0; i < G_N_ELEMENTS (declarations); i++)
    {
      g_autofree char *xml = g_strconcat (declarations[i], named, NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (VsDomainDef) def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (def->name, ==, "größe");
    }
}

static void
test_every_truncation_is_an_error (void)
{
  static const char *const names[] = { "q35-uefi-tpm.xml", "direct-kernel.xml" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *text = xml_sample_load (names[i]);
      gsize end = strlen (g_strchomp (text));

      for (gsize length = 0; length < end; length += 7)
        assert_refused (text, length, "The domain definition can't be used:");
    }
}

/* One thing that may happen to a text. */
static void
mutate (GString *text, GRand *rand)
{
  static const char *const words[] = { "<",    ">",   "'",        "\"",      "&",   "/",          "</devices>", "<disk>",
                                       "\xff", "\0x", "<![CDATA[", "&#x41;", "-1",  "<!DOCTYPE ", "xmlns=''",   "=",
                                       "''",   "0x",  "4294967296", "<name/>", "\n", "yes",        "none",       "-->" };
  gsize position = (gsize) g_rand_int_range (rand, 0, (gint32) text->len);
  gsize other = (gsize) g_rand_int_range (rand, 0, (gint32) text->len);
  gsize wanted = (gsize) g_rand_int_range (rand, 1, 60);
  gsize length = MIN (wanted, text->len - position);

  switch (g_rand_int_range (rand, 0, 5))
    {
    case 0:
      text->str[position] = (char) g_rand_int_range (rand, 0, 256);
      break;
    case 1:
      g_string_erase (text, (gssize) position, (gssize) length);
      break;
    case 2:
      g_string_insert (text, (gssize) position, words[g_rand_int_range (rand, 0, G_N_ELEMENTS (words))]);
      break;
    case 3:
      {
        g_autofree char *piece = g_strndup (text->str + position, length);

        g_string_insert (text, (gssize) other, piece);
        break;
      }
    default:
      text->str[position] = (char) (text->str[position] ^ (1 << g_rand_int_range (rand, 0, 8)));
    }
}

/* What is accepted must also be whole: it formats, and parses again. */
static void
use_domain (const char *data, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse_data (data, length, VS_DOMAIN_DEF_VALIDATE, &error);
  g_autoptr (VsDomainDef) again = NULL;
  g_autofree char *text = NULL;
  g_autofree char *difference = NULL;

  g_assert_true ((def == NULL) == (error != NULL));
  if (def == NULL)
    {
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
      return;
    }
  text = vs_domain_def_format (def);
  again = vs_domain_def_parse (text, VS_DOMAIN_DEF_VALIDATE, &error);
  g_assert_no_error (error);
  g_assert_true (vs_domain_def_guest_abi_equal (def, again, &difference));
}

static void
use_snapshot (const char *data, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_parse_data (data, length, VS_DOMAIN_DEF_VALIDATE, &error);
  g_autoptr (VsSnapshotDef) again = NULL;
  g_autofree char *text = NULL;

  g_assert_true ((def == NULL) == (error != NULL));
  if (def == NULL)
    {
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
      return;
    }
  text = vs_snapshot_def_format (def);
  again = vs_snapshot_def_parse (text, VS_DOMAIN_DEF_VALIDATE, &error);
  g_assert_no_error (error);
}

static void
test_random_mutations (void)
{
  static const char *const names[] = { "q35-uefi-tpm.xml", "i440fx-windows.xml", "direct-kernel.xml",
                                       "snapshot-full.xml" };
  g_autoptr (GRand) rand = g_rand_new_with_seed (20240607);

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *sample = xml_sample_load (names[i]);

      for (int round = 0; round < 600; round++)
        {
          g_autoptr (GString) text = g_string_new (sample);

          for (int n = g_rand_int_range (rand, 1, 5); n > 0 && text->len > 0; n--)
            mutate (text, rand);
          if (i == G_N_ELEMENTS (names) - 1)
            use_snapshot (text->str, text->len);
          else
            use_domain (text->str, text->len);
        }
    }
}

static void
test_stderr_stays_silent (void)
{
  if (g_test_subprocess ())
    {
      static const char *const texts[] = { "<domain", "<domain>&a;</domain>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
                                           "<a:b/>", "<domain type='kvm'/>" };

      for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
        {
          g_autoptr (GError) error = NULL;

          g_assert_null (vs_domain_def_parse (texts[i], VS_DOMAIN_DEF_VALIDATE, &error));
        }
      return;
    }
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/hostile/entities-are-never-resolved", test_entities_are_never_resolved);
  g_test_add_func ("/xml/hostile/no-file-is-included", test_no_file_is_included);
  g_test_add_func ("/xml/hostile/a-mebibyte-of-nesting-is-an-error", test_a_mebibyte_of_nesting_is_an_error);
  g_test_add_func ("/xml/hostile/depth-has-a-limit", test_depth_has_a_limit_in_closed_text_too);
  g_test_add_func ("/xml/hostile/a-mebibyte-of-breadth-is-an-error", test_a_mebibyte_of_breadth_is_an_error);
  g_test_add_func ("/xml/hostile/thousands-of-elements-are-an-error", test_thousands_of_elements_are_an_error);
  g_test_add_func ("/xml/hostile/hundreds-of-elements-are-not", test_hundreds_of_elements_are_not);
  g_test_add_func ("/xml/hostile/the-list-of-problems-is-bounded", test_the_list_of_problems_is_bounded);
  g_test_add_func ("/xml/hostile/thousands-of-attributes-are-an-error", test_thousands_of_attributes_are_an_error);
  g_test_add_func ("/xml/hostile/size-has-a-limit", test_size_has_a_limit);
  g_test_add_func ("/xml/hostile/written-size-has-a-limit-too", test_written_size_has_a_limit_too);
  g_test_add_func ("/xml/hostile/bytes-that-are-no-text-are-refused", test_bytes_that_are_no_text);
  g_test_add_func ("/xml/hostile/a-declared-encoding-changes-nothing", test_a_declared_encoding_changes_nothing);
  g_test_add_func ("/xml/hostile/every-truncation-is-an-error", test_every_truncation_is_an_error);
  g_test_add_func ("/xml/hostile/random-mutations-never-crash", test_random_mutations);
  g_test_add_func ("/xml/hostile/stderr-stays-silent", test_stderr_stays_silent);
  return g_test_run ();
}
