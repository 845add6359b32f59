/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What becomes of which file when snapshots are deleted. Files are written as `path backing size` and what else is known
 * of them: `ours`, `left`, `raw`, `ro`, `block`, `bad`, `tags=N`, `size=N` (what the guest sees); and what they
 * are there for: `a:DISK` an active disk, `f:SNAPSHOT:DISK` frozen, `t:SNAPSHOT:DISK` a tag, `k` a forgotten snapshot's,
 * `x:DOMAIN` another domain's.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "vs-delete-plan.h"

typedef struct
{
  const char *name;
  const char *files;
  const char *victims;
  const char *expected;
} Case;

static void
apply_hold (VsDeletePlan *plan, VsDeleteFile *file, const char *word)
{
  static const char letters[] = "aftkx";
  static const VsDeleteHoldKind kinds[] = { VS_DELETE_HOLD_ACTIVE, VS_DELETE_HOLD_FROZEN, VS_DELETE_HOLD_TAG,
                                            VS_DELETE_HOLD_FORGOTTEN, VS_DELETE_HOLD_FOREIGN };
  g_auto (GStrv) parts = g_strsplit (word, ":", 3);
  const char *letter = strchr (letters, parts[0][0]);
  VsDeleteHoldKind kind;

  g_assert_true (letter != NULL && strlen (parts[0]) == 1);
  kind = kinds[letter - letters];
  if (kind == VS_DELETE_HOLD_ACTIVE)
    vs_delete_plan_add_hold (plan, file, kind, NULL, parts[1]);
  else
    vs_delete_plan_add_hold (plan, file, kind, parts[1], parts[1] != NULL ? parts[2] : NULL);
  if (kind == VS_DELETE_HOLD_TAG)
    file->n_tags++;
}

static void
apply (VsDeletePlan *plan, VsDeleteFile *file, const char *word)
{
  if (g_str_equal (word, "ours"))
    file->is_ours = TRUE;
  else if (g_str_equal (word, "left"))
    file->is_left = TRUE;
  else if (g_str_equal (word, "raw"))
    {
      g_free (file->format);
      file->format = g_strdup ("raw");
    }
  else if (g_str_equal (word, "ro"))
    file->is_read_only = TRUE;
  else if (g_str_equal (word, "block"))
    file->is_block = TRUE;
  else if (g_str_equal (word, "bad"))
    file->problem = g_strdup_printf ("%s is missing", file->path);
  else if (g_str_has_prefix (word, "tags="))
    file->n_tags += (guint) g_ascii_strtoull (word + 5, NULL, 10);
  else if (g_str_has_prefix (word, "size="))
    file->virtual_size = g_ascii_strtoull (word + 5, NULL, 10);
  else
    apply_hold (plan, file, word);
}

static VsDeletePlan *
make_plan (const char *files, const char *victims)
{
  VsDeletePlan *plan = vs_delete_plan_new ();
  g_auto (GStrv) lines = g_strsplit (files, "; ", -1);
  g_auto (GStrv) names = g_strsplit (victims, " ", -1);

  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);
      VsDeleteFile *file
        = vs_delete_plan_add_file (plan, words[0], "qcow2", g_str_equal (words[1], "-") ? NULL : words[1]);

      file->size = g_ascii_strtoull (words[2], NULL, 10);
      file->virtual_size = 1000;
      for (guint j = 3; words[j] != NULL; j++)
        apply (plan, file, words[j]);
    }
  for (guint i = 0; names[i] != NULL; i++)
    vs_delete_plan_add_victim (plan, names[i]);
  return plan;
}

static void
describe_paths (GString *text, JsonObject *result, const char *list, const char *word)
{
  JsonArray *items = json_object_get_array_member (result, list);

  for (guint i = 0; i < json_array_get_length (items); i++)
    {
      JsonObject *item = json_array_get_object_element (items, i);

      g_string_append_printf (text, "%s %s; ", word, json_object_get_string_member (item, "path"));
      if (json_object_has_member (item, "why"))
        {
          g_string_truncate (text, text->len - 2);
          g_string_append_printf (text, " (%s); ", json_object_get_string_member (item, "why"));
        }
    }
}

static void
describe_merges (GString *text, JsonObject *result, gboolean late)
{
  JsonArray *items = json_object_get_array_member (result, VS_DELETE_MERGES);

  for (guint i = 0; i < json_array_get_length (items); i++)
    {
      JsonObject *item = json_array_get_object_element (items, i);
      const char *lower = json_object_get_string_member (item, "lower-path");
      const char *upper = json_object_get_string_member (item, "upper-path");
      gboolean stream = g_str_equal (json_object_get_string_member (item, "way"), "stream");
      JsonArray *dependents = json_object_get_array_member (item, "dependents");

      if (json_object_get_boolean_member (item, "late") != late)
        continue;
      g_string_append_printf (text, "%s%s %s>%s", stream && late ? "late " : "", stream ? "stream" : "commit",
                              stream ? lower : upper, stream ? upper : lower);
      for (guint j = 0; j < json_array_get_length (dependents); j++)
        g_string_append_printf (text, "+%s", json_array_get_string_element (dependents, j));
      g_string_append (text, "; ");
    }
}

static char *
describe (JsonObject *result)
{
  GString *text = g_string_new (NULL);

  describe_merges (text, result, FALSE);
  describe_paths (text, result, VS_DELETE_MARK, "mark");
  describe_paths (text, result, VS_DELETE_LEAVES, "remove");
  describe_merges (text, result, TRUE);
  describe_paths (text, result, VS_DELETE_LEFT, "left");
  describe_paths (text, result, VS_DELETE_FORGET, "forget");
  if (text->len > 1)
    g_string_truncate (text, text->len - 2);
  return g_string_free (text, FALSE);
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (VsDeletePlan) plan = make_plan (c->files, c->victims);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) result = vs_delete_plan_make (plan, &error);
  g_autofree char *found = result != NULL ? describe (result) : g_strdup_printf ("! %s", error->message);

  if (c->expected[0] == '!')
    {
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE);
      g_assert_nonnull (strstr (found, c->expected + 2));
      g_assert_nonnull (strstr (found, "metadata-only"));
    }
  else
    g_assert_cmpstr (found, ==, c->expected);
}

static const Case cases[] = {
  { "only/fewer-bytes-above-are-committed", "R - 100 f:s1:vda; A R 10 ours a:vda", "s1", "mark R; commit A>R" },
  { "only/an-original-is-never-streamed-away", "R - 10 f:s1:vda; A R 100 ours a:vda", "s1", "mark R; commit A>R" },
  { "only/a-raw-original-is-committed-into", "R - 10 raw f:s1:vda; A R 100 ours a:vda", "s1", "mark R; commit A>R" },
  { "only/an-original-that-cannot-be-written-stays", "R - 100 ro f:s1:vda; A R 10 ours a:vda", "s1",
    "mark R; left R (A can't be merged with it: it isn't one that this service made; and it can't be written)" },
  { "only/a-smaller-device-is-not-committed-into", "R - 100 raw block size=900 f:s1:vda; A R 10 ours a:vda", "s1",
    "mark R; left R (A can't be merged with it: it isn't one that this service made; and it is of another size)" },
  { "only/a-smaller-file-grows", "R - 100 raw size=900 f:s1:vda; A R 10 ours a:vda", "s1", "mark R; commit A>R" },
  { "leaf/above-holds-more", "R - 5 f:s1:vda; A R 10 ours f:s2:vda; B A 50 ours a:vda", "s2", "stream A>B; mark A" },
  { "leaf/above-holds-less", "R - 5 f:s1:vda; A R 50 ours f:s2:vda; B A 10 ours a:vda", "s2", "mark A; commit B>A" },
  { "leaf/a-shorter-one-is-not-streamed", "R - 5 f:s1:vda; A R 10 ours size=900 f:s2:vda; B A 50 ours a:vda", "s2",
    "mark A; commit B>A" },
  { "leaf/a-longer-one-is-not-committed-into", "R - 5 f:s1:vda; A R 50 ours size=1100 f:s2:vda; B A 5 ours a:vda", "s2",
    "stream A>B; mark A" },
  { "leaf/equal-bytes-are-streamed", "R - 5 f:s1:vda; A R 10 ours f:s2:vda; B A 10 ours a:vda", "s2", "stream A>B; mark A" },
  { "leaf/on-a-branch-that-nothing-stands-on", "R - 5 f:s1:vda; A R 50 ours f:s2:vda; B R 10 ours a:vda", "s2",
    "mark A; remove A" },
  { "middle/commit-takes-the-name", "R - 5 f:s1:vda; A R 50 ours f:s2:vda; B A 10 ours f:s3:vda; C B 1 ours a:vda", "s2",
    "mark A; commit B>A+C" },
  { "middle/stream-into-a-frozen-file", "R - 5 f:s1:vda; A R 5 ours f:s2:vda; B A 10 ours f:s3:vda; C B 1 ours a:vda", "s2",
    "stream A>B; mark A" },
  { "root/the-original-takes-the-next", "R - 100 f:s1:vda; A R 50 ours f:s2:vda; B A 10 ours a:vda", "s1",
    "mark R; commit A>R+B" },
  { "root/everything-on-record-goes", "R - 100 f:s1:vda; A R 50 ours f:s2:vda; B A 10 ours a:vda", "s1 s2",
    "mark R; mark A; commit A>R+B; commit B>R" },
  { "root/streams-do-not-move-bytes-twice", "T - 0; R T 5 ours f:s1:vda; A R 5 ours f:s2:vda; B A 100 ours a:vda", "s1 s2",
    "stream A>B; stream R>B; mark R; mark A" },
  { "current/reverted-to-and-written-since", "R - 100 f:s1:vda; A R 50 ours f:s2:vda; B R 10 ours a:vda", "s1",
    "mark R; left R (2 files stand on it)" },
  { "branch/stays-while-several-stand-on-it", "R - 5 f:s1:vda; A R 5 ours f:s2:vda; B A 9 ours f:s3:vda; C A 9 ours a:vda", "s2",
    "mark A; left A (2 files stand on it)" },
  { "branch/goes-with-the-last-but-one",
    "R - 5 f:s1:vda; A R 5 ours left; B A 9 ours f:s3:vda; C A 9 ours a:vda", "s3", "stream A>C; mark B; remove B" },
  { "branch/an-original-is-swept-too", "R - 50 left; A R 50 ours f:s2:vda; B R 10 ours a:vda", "s2",
    "mark A; remove A; commit B>R" },
  { "branch/an-original-that-nothing-stands-on-is-forgotten", "R - 50 left; A R 50 ours f:s2:vda; B - 10 a:vda", "s2",
    "mark A; remove A; forget R" },
  { "branch/a-whole-branch-goes",
    "R - 50 f:s1:vda; A R 5 ours f:s2:vda; B A 5 ours f:s3:vda; C R 5 ours a:vda", "s2 s3",
    "mark A; mark B; remove B; remove A" },
  { "tags/above-it-stays", "R - 50 f:s1:vda; A R 5 ours a:vda t:i1:vda", "s1",
    "mark R; left R (A, which stands on it, holds internal snapshots)" },
  { "tags/above-not-on-record-it-stays", "R - 50 f:s1:vda; A R 5 ours a:vda tags=1", "s1",
    "mark R; left R (A, which stands on it, holds internal snapshots)" },
  { "tags/above-that-go-too-delay-it", "R - 5 f:s0:vda; A R 5 ours f:s1:vda; B A 9 ours a:vda t:i1:vda", "s1 i1",
    "mark A; late stream A>B" },
  { "tags/below-on-record-keep-it", "R - 50 f:s1:vda t:i1:vda; A R 5 ours a:vda", "s1", "mark R" },
  { "tags/the-last-one-frees-an-abandoned-file", "R - 5 a:vda; A R 50 ours t:i1:vda", "i1", "mark A; remove A" },
  { "tags/in-the-active-file", "A - 50 ours a:vda t:i1:vda", "i1", "" },
  { "tags/below-not-on-record-are-committed-into", "R - 5; A R 5 ours f:s1:vda tags=1; B A 50 ours a:vda", "s1",
    "mark A; commit B>A" },
  { "tags/a-file-with-unknown-ones-is-not-removed", "R - 5 a:vda; A R 5 ours f:s1:vda tags=1", "s1",
    "mark A; left A (it holds an internal snapshot that isn't on record)" },
  { "tags/the-last-one-frees-a-left-file", "R - 5; A R 5 ours left t:i1:vda; B A 50 ours a:vda", "i1", "stream A>B; mark A" },
  { "foreign/clone-stands-on-it", "R - 50 f:s1:vda; A R 5 x:clone", "s1",
    "mark R; left R (a disk of clone stands on it)" },
  { "foreign/clone-stands-higher", "R - 50 f:s1:vda; A R 5 ours a:vda; B A 1 x:clone:vdb", "s1",
    "mark R; left R (vdb of clone stands on it)" },
  { "foreign/overlay-of-the-users-own", "R - 50 f:s1:vda; A R 5 a:vda", "s1",
    "mark R; left R (A can't be merged with it: it isn't one that this service made; and the one above isn't one that "
    "this service made)" },
  { "foreign/users-overlay-over-ours", "R - 5 f:s0:vda; A R 50 ours f:s1:vda; B A 5 a:vda", "s1", "stream A>B; mark A" },
  { "foreign/others-use-keeps-it", "R - 5; A R 50 ours f:s1:vda x:clone; B A 5 ours a:vda", "s1", "mark A" },
  { "forgotten/is-not-swept", "R - 5 f:s1:vda; A R 50 ours k; B A 5 ours a:vda", "s2", "" },
  { "forgotten/is-not-committed-away", "R - 50 f:s1:vda; A R 5 ours k; B A 5 ours a:vda", "s1",
    "mark R; left R (A can't be merged with it: it isn't one that this service made; and the one above was a snapshot's "
    "that was forgotten)" },
  { "forgotten/is-streamed-into", "R - 5; Q R 50 ours f:s1:vda; A Q 5 ours k; B A 5 ours a:vda", "s1", "stream Q>A; mark Q" },
  { "managed-save/keeps-the-name-of-the-active-file", "!R - 5; Q R 50 ours f:s1:vda; A Q 5 ours a:vda", "s1", "stream Q>A; mark Q" },
  { "mixed/one-disk-frozen-one-tagged",
    "R - 100 f:s1:vda; A R 10 ours a:vda; S - 100 a:vdb t:s1:vdb", "s1", "mark R; commit A>R" },
  { "two-disks/each-its-own-way",
    "R - 1; Q R 100 ours f:s1:vda; A Q 10 ours a:vda; S - 1; P S 10 ours f:s1:vdb; B P 100 ours a:vdb", "s1",
    "stream P>B; mark Q; mark P; commit A>Q" },
  { "two-disks/on-one-file", "R - 1; Q R 100 ours f:s1:vda; A Q 10 ours; B A 5 ours a:vda; C A 5 ours a:vdb", "s1",
    "mark Q; left Q (the disks vda and vdb both stand on it)" },
  { "problems/missing-file", "R - 5 bad f:s1:vda; A R 5 ours a:vda", "s1", "! R is missing" },
  { "problems/missing-file-of-the-users-that-nothing-stands-on", "R - 5 bad f:s1:vda; A - 5 ours a:vda", "s1", "" },
  { "problems/missing-base", "T - 0 bad; R T 5 f:s1:vda; A R 5 ours a:vda", "s1", "! T is missing" },
  { "problems/missing-file-that-may-stand-on-it", "R - 5 f:s1:vda; A R 5 ours f:s2:vda; B - 5 bad a:vda", "s1",
    "! B is missing" },
  { "problems/replaced-file-that-may-have-stood-on-it", "R - 5 f:s1:vda; A - 5 ours bad f:s2:vda; B A 5 ours a:vda", "s1",
    "! A is missing" },
  { "problems/of-another-disk-are-another-thing", "R - 5 f:s1:vda; A R 5 ours a:vda; B - 5 bad a:vdb", "s1",
    "mark R; commit A>R" },
  { "problems/left-files-wait", "R - 5; A R 5 ours left; B A 5 ours a:vda; C - 1 bad a:vdb; D - 1 a:vdc t:s1:vdc", "s1", "" },
  { "problems/circle", "A B 5 ours f:s1:vda bad; B A 5 ours a:vda", "s1", "! A is missing" },
};

/* A `!` before the files: there is a managed save. */
static void
test_managed (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (VsDeletePlan) plan = make_plan (c->files + 1, c->victims);
  g_autoptr (JsonObject) result = NULL;
  g_autofree char *found = NULL;

  vs_delete_plan_set_managed_save (plan, TRUE);
  result = vs_delete_plan_make (plan, NULL);
  found = describe (result);
  g_assert_cmpstr (found, ==, c->expected);
}

/* All snapshots of a long chain, in one go. */
static void
test_long_chain (void)
{
  const guint n = 150;
  g_autoptr (GString) files = g_string_new ("F0 - 100 raw f:s0:vda");
  g_autoptr (GString) victims = g_string_new (NULL);
  g_autoptr (VsDeletePlan) plan = NULL;
  g_autoptr (JsonObject) result = NULL;
  JsonArray *merges;

  for (guint i = 1; i < n; i++)
    g_string_append_printf (files, "; F%u F%u 10 ours f:s%u:vda", i, i - 1, i);
  g_string_append_printf (files, "; F%u F%u 10 ours a:vda", n, n - 1);
  for (guint i = 0; i < n; i++)
    g_string_append_printf (victims, "%ss%u", i > 0 ? " " : "", i);
  plan = make_plan (files->str, victims->str);
  result = vs_delete_plan_make (plan, NULL);
  merges = json_object_get_array_member (result, VS_DELETE_MERGES);
  g_assert_cmpuint (json_array_get_length (merges), ==, n);
  for (guint i = 0; i < n; i++)
    {
      JsonObject *merge = json_array_get_object_element (merges, i);

      g_assert_cmpint (json_object_get_int_member (merge, "bytes"), <=, (gint64) (10 * n));
    }
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (result, VS_DELETE_LEFT)), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/delete-plan/", cases[i].name, NULL);

      g_test_add_data_func (path, &cases[i], cases[i].files[0] == '!' ? test_managed : test_case);
    }
  g_test_add_func ("/delete-plan/long-chain", test_long_chain);
  return g_test_run ();
}
