/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Options: from a{sv} to a struct, and every way to be refused.
 */
#include "bus-options.h"

#include "vmsnap-error.h"

typedef struct {
  gboolean running;
  gboolean paused;
  gboolean no_queue;
  gboolean disk_only;
  gboolean quiesce;
  char *encoding;
  char *below;
  GVariant *disks;
} Options;

static const BusOption entries[] = {
  BUS_OPTION_FLAG (Options, running, "running", BUS_OPTION_EXCLUDES ("paused")),
  BUS_OPTION_FLAG (Options, paused, "paused"),
  BUS_OPTION_QUEUE (Options),
  BUS_OPTION_FLAG (Options, disk_only, "disk-only"),
  BUS_OPTION_FLAG (Options, quiesce, "quiesce", BUS_OPTION_NEEDS ("disk-only")),
  BUS_OPTION_VALUE (Options, encoding, "encoding", "s", BUS_OPTION_EXCLUDES ("disk-only")),
  BUS_OPTION_VALUE (Options, below, "below", "o"),
  BUS_OPTION_VALUE (Options, disks, "disks", "a{sa{sv}}"),
  BUS_OPTION_END,
};
static const BusOptionTable table = { sizeof (Options), entries };

static Options *
parse (const char *text, GError **error)
{
  g_autoptr (GVariant) dict = g_variant_parse (G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);

  g_assert_nonnull (dict);
  return bus_options_parse (&table, dict, error);
}

static void
test_defaults (void)
{
  g_autoptr (GError) error = NULL;
  Options *options = parse ("{}", &error);

  g_assert_no_error (error);
  g_assert_false (options->running);
  g_assert_false (options->no_queue);
  g_assert_null (options->encoding);
  g_assert_null (options->disks);
  bus_options_free (&table, options);
}

static void
test_values (void)
{
  g_autoptr (GError) error = NULL;
  Options *options = parse ("{'running': <true>, 'paused': <false>, 'queue': <false>, 'encoding': <'zstd'>,"
                            " 'below': <objectpath '/a/b'>, 'disks': <{'vda': {'path': <'/x'>}}>}",
                            &error);

  g_assert_no_error (error);
  g_assert_true (options->running);
  g_assert_true (options->no_queue);
  g_assert_cmpstr (options->encoding, ==, "zstd");
  g_assert_cmpstr (options->below, ==, "/a/b");
  g_assert_cmpuint (g_variant_n_children (options->disks), ==, 1);
  bus_options_free (&table, options);
}

static void
test_queue_true_is_the_default (void)
{
  g_autoptr (GError) error = NULL;
  Options *options = parse ("{'queue': <true>}", &error);

  g_assert_no_error (error);
  g_assert_false (options->no_queue);
  bus_options_free (&table, options);
}

/* What is refused, and the words that the message must hold. */
static const struct {
  const char *name;
  const char *dict;
  const char *key;
  const char *word;
} refusals[] = {
  { "unknown-key", "{'colour': <'red'>}", "'colour'", "Unknown" },
  { "unknown-key-is-shown-safely", "{'col\\nour': <'red'>}", "'col\\nour'", "Unknown" },
  { "similar-key", "{'Running': <true>}", "'Running'", "Unknown" },
  { "wrong-type", "{'running': <'yes'>}", "'running'", "'b', not 's'" },
  { "number-for-flag", "{'paused': <1>}", "'paused'", "'b', not 'i'" },
  { "flag-for-string", "{'encoding': <true>}", "'encoding'", "'s', not 'b'" },
  { "string-for-path", "{'below': <'/a'>}", "'below'", "'o', not 's'" },
  { "variant-in-variant", "{'running': <<true>>}", "'running'", "'b', not 'v'" },
  { "wrong-inner-type", "{'disks': <{'vda': <'none'>}>}", "'disks'", "'a{sv}'" },
  { "given-twice", "{'paused': <true>, 'paused': <false>}", "'paused'", "twice" },
  { "exclusive", "{'running': <true>, 'paused': <true>}", "'running' and 'paused'", "exclude" },
  { "exclusive-value", "{'disk-only': <true>, 'encoding': <'raw'>}", "'encoding' and 'disk-only'", "exclude" },
  { "lacks-what-it-needs", "{'quiesce': <true>}", "'quiesce'", "needs 'disk-only'" },
  { "needs-it-to-be-true", "{'quiesce': <true>, 'disk-only': <false>}", "'quiesce'", "needs 'disk-only'" },
};

static void
test_refusal (gconstpointer data)
{
  const char *dict = refusals[GPOINTER_TO_UINT (data)].dict;
  g_autoptr (GError) error = NULL;

  g_assert_null (parse (dict, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, refusals[GPOINTER_TO_UINT (data)].key));
  g_assert_nonnull (strstr (error->message, refusals[GPOINTER_TO_UINT (data)].word));
}

static void
test_no_options (void)
{
  g_autoptr (GVariant) dict = g_variant_parse (NULL, "{'running': <true>}", NULL, NULL, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (bus_options_parse (&bus_options_none, dict, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, "'running'"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/options/not-given-is-false-or-null", test_defaults);
  g_test_add_func ("/options/values-arrive", test_values);
  g_test_add_func ("/options/queue-true-is-the-default", test_queue_true_is_the_default);
  g_test_add_func ("/options/refused/method-without-options", test_no_options);
  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++)
    {
      g_autofree char *path = g_strconcat ("/options/refused/", refusals[i].name, NULL);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_refusal);
    }
  return g_test_run ();
}
