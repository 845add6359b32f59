/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The store and the journal: what is written is there, what can't be read is put aside and not lost, and no bytes in a
 * journal make the service stumble. And the claims, which keep two guests from one file.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-claims.h"
#include "vs-journal.h"

#define UUID "2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a01"

typedef struct
{
  char *directory;
  VsStore *store;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *state = NULL;
  g_autofree char *run = NULL;
  g_autofree char *log = NULL;

  fixture->directory = g_dir_make_tmp ("vmsnap-store-XXXXXX", NULL);
  state = g_build_filename (fixture->directory, "state", NULL);
  run = g_build_filename (fixture->directory, "run", NULL);
  log = g_build_filename (fixture->directory, "log", NULL);
  fixture->store = vs_store_new (state, run, log);
  g_assert_true (vs_store_prepare (fixture->store, NULL));
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);
      remove_tree (child);
    }
  g_remove (path);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  remove_tree (fixture->directory);
  g_free (fixture->directory);
  g_object_unref (fixture->store);
}

static void
write_text (Fixture *fixture, const char *folder, const char *file, const char *text)
{
  g_autoptr (GError) error = NULL;

  vs_store_write (fixture->store, UUID, folder, file, text, -1, &error);
  g_assert_no_error (error);
}

static void
test_written_is_read (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL;
  g_autofree char *path = vs_store_get_path (fixture->store, UUID, "snapshots", "übung.xml");
  GStatBuf st;

  write_text (fixture, "snapshots", "übung.xml", "one");
  write_text (fixture, "snapshots", "übung.xml", "two");
  text = vs_store_read (fixture->store, UUID, "snapshots", "übung.xml", NULL);
  g_assert_cmpstr (text, ==, "two");
  g_assert_cmpint (g_stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0600);
}

static void
test_missing_is_not_found (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_store_read (fixture->store, UUID, NULL, "domain.xml", &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
  g_assert_true (vs_store_remove (fixture->store, UUID, NULL, "domain.xml", NULL));
}

static void
test_links_and_pipes_are_not_read (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = vs_store_get_path (fixture->store, UUID, NULL, "link.xml");
  g_autofree char *pipe = vs_store_get_path (fixture->store, UUID, NULL, "pipe.xml");
  g_autoptr (GError) link_error = NULL;
  g_autoptr (GError) pipe_error = NULL;

  write_text (fixture, NULL, "real.xml", "text");
  g_assert_cmpint (symlink ("real.xml", path), ==, 0);
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  g_assert_null (vs_store_read (fixture->store, UUID, NULL, "link.xml", &link_error));
  g_assert_error (link_error, VMSNAP_ERROR, VMSNAP_ERROR_IO);
  g_assert_null (vs_store_read (fixture->store, UUID, NULL, "pipe.xml", &pipe_error));
  g_assert_error (pipe_error, VMSNAP_ERROR, VMSNAP_ERROR_IO);
}

static void
test_set_aside_is_kept (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) why = g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML, "it is broken");
  g_autofree char *aside = vs_store_get_path (fixture->store, UUID, NULL, "domain.xml.unreadable");
  g_autofree char *second = vs_store_get_path (fixture->store, UUID, NULL, "domain.xml.unreadable.2");
  g_autofree char *text = NULL;

  for (guint i = 0; i < 2; i++)
    {
      write_text (fixture, NULL, "domain.xml", i == 0 ? "first" : "second");
      g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*it is broken*");
      vs_store_set_aside (fixture->store, UUID, NULL, "domain.xml", why);
      g_test_assert_expected_messages ();
    }
  g_assert_true (g_file_get_contents (aside, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "first");
  g_assert_true (g_file_test (second, G_FILE_TEST_EXISTS));
}

static void
test_removed_domain_is_gone_for_good (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = vs_store_get_domain_dir (fixture->store, UUID);
  g_autofree char *half = g_strconcat (dir, ".removed", NULL);
  g_auto (GStrv) domains = NULL;

  write_text (fixture, NULL, "domain.xml", "text");
  write_text (fixture, "snapshots", "a.xml", "text");
  g_assert_true (vs_store_remove_domain (fixture->store, UUID, NULL));
  g_assert_false (g_file_test (dir, G_FILE_TEST_EXISTS));

  /* A removal that was cut short is ended by the next life. */
  write_text (fixture, NULL, "domain.xml", "text");
  g_assert_cmpint (g_rename (dir, half), ==, 0);
  vs_store_recover (fixture->store);
  g_assert_false (g_file_test (half, G_FILE_TEST_EXISTS));
  domains = vs_store_list_domains (fixture->store);
  g_assert_cmpuint (g_strv_length (domains), ==, 0);
}

static void
test_half_written (Fixture *fixture, gconstpointer data)
{
  g_auto (GStrv) snapshots = NULL;
  g_auto (GStrv) journals = NULL;

  write_text (fixture, "snapshots", "a.xml", "text");
  write_text (fixture, "snapshots", "b.ABC123.xml", "text");
  write_text (fixture, "snapshots", "b.xml.ABC123", "te");
  write_text (fixture, "journal", "7.json.Z9Z9Z9", "te");
  vs_store_recover (fixture->store);
  snapshots = vs_store_list_files (fixture->store, UUID, "snapshots", "");
  g_assert_cmpuint (g_strv_length (snapshots), ==, 2);
  journals = vs_store_list_files (fixture->store, UUID, "journal", "");
  g_assert_cmpuint (g_strv_length (journals), ==, 0);
}

static void
test_journal_survives (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonObject) facts = json_object_new ();
  g_autoptr (VsJournal) journal = vs_journal_new (UUID, "test", 10, 7, facts);
  g_autoptr (VsJournal) earlier = vs_journal_new (UUID, "test", 9, 7, facts);
  g_autoptr (GPtrArray) found = NULL;
  VsJournal *second;

  json_object_set_string_member (facts, "tag", "name with \"quotes\" and ü");
  journal->step = 2;
  g_assert_true (vs_journal_write (journal, fixture->store, NULL));
  g_assert_true (vs_journal_commit (journal, fixture->store, NULL));
  g_assert_true (vs_journal_write (earlier, fixture->store, NULL));
  found = vs_journal_load (fixture->store, UUID);
  g_assert_cmpuint (found->len, ==, 2);
  second = g_ptr_array_index (found, 1);
  g_assert_cmpuint (second->number, ==, 10);
  g_assert_cmpuint (second->step, ==, 3);
  g_assert_cmpuint (second->caller_uid, ==, 7);
  g_assert_true (second->committed);
  g_assert_cmpstr (second->workflow, ==, "test");
  g_assert_cmpstr (json_object_get_string_member (second->facts, "tag"), ==, "name with \"quotes\" and ü");
  g_assert_true (vs_journal_remove (journal, fixture->store, NULL));
  g_assert_false (vs_journal_exists (journal, fixture->store));
}

static void
test_torn_journal_is_put_aside (Fixture *fixture, gconstpointer data)
{
  static const char *const texts[] = {
    "",
    "{",
    "[]",
    "null",
    "{}",
    "{\"version\": 2}",
    "{\"version\": 1, \"workflow\": 3, \"job\": 1, \"caller-uid\": 0, \"step\": 0, \"undoing\": false, \"facts\": {}}",
    "{\"version\": 1, \"workflow\": \"x\", \"job\": -1, \"caller-uid\": 0, \"step\": 0, \"undoing\": false, \"facts\": {}}",
    "{\"version\": 1, \"workflow\": \"x\", \"job\": 1, \"caller-uid\": 0, \"step\": -5, \"undoing\": false, \"facts\": {}}",
    "{\"version\": 1, \"workflow\": \"x\", \"job\": 1, \"caller-uid\": 0, \"step\": 0, \"undoing\": 1, \"facts\": {}}",
    "{\"version\": 1, \"workflow\": \"x\", \"job\": 1, \"caller-uid\": 0, \"step\": 0, \"undoing\": true, \"facts\": []}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GPtrArray) found = NULL;

      write_text (fixture, "journal", "1.json", texts[i]);
      g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*put aside*");
      found = vs_journal_load (fixture->store, UUID);
      g_test_assert_expected_messages ();
      g_assert_cmpuint (found->len, ==, 0);
    }
}

/* Every torn or flipped journal is either a journal or an error. */
static void
test_damaged_journals_never_crash (Fixture *fixture, gconstpointer data)
{
  const char *good = "{\"version\": 1, \"workflow\": \"x\", \"job\": 1, \"caller-uid\": 0, \"step\": 0, \"undoing\": "
                     "true, \"facts\": {\"a\": [1, {\"b\": null}], \"c\": \"d\"}}";

  for (gsize length = 0; length < strlen (good); length++)
    {
      g_autofree char *torn = g_strndup (good, length);
      g_autofree char *flipped = g_strdup (good);
      g_autoptr (VsJournal) first = vs_journal_parse (UUID, torn, NULL);
      g_autoptr (VsJournal) second = NULL;

      g_assert_null (first);
      flipped[length] = (char) g_test_rand_int_range (1, 255);
      second = vs_journal_parse (UUID, flipped, NULL);
    }
}

static VsDomainDef *
make_def (const char *uuid, const char *name, const char *disks)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *xml =
    g_strdup_printf ("<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
                     "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>%s</devices></domain>",
                     name, uuid, disks);
  VsDomainDef *def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

  g_assert_no_error (error);
  return def;
}

#define DISK(target, path, more)                                                                                       \
  "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='" path "'/><target dev='" target    \
  "' bus='virtio'/>" more "</disk>"

static void
disk_file_free (gpointer data)
{
  VsDiskFile *file = data;

  g_free (file->path);
  g_free (file->id);
  g_free (file);
}

static GPtrArray *
make_chains (const char *target, const char *const *ids)
{
  GPtrArray *chains = g_ptr_array_new ();
  VsDiskChain *chain = g_new0 (VsDiskChain, 1);

  chain->target = g_strdup (target);
  chain->files = g_ptr_array_new_with_free_func (disk_file_free);
  for (guint i = 0; ids[i] != NULL; i++)
    {
      VsDiskFile *file = g_new0 (VsDiskFile, 1);

      file->path = g_strdup_printf ("/images/%s", ids[i]);
      file->id = g_strdup (ids[i]);
      g_ptr_array_add (chain->files, file);
    }
  g_ptr_array_add (chains, chain);
  return chains;
}

static void
free_chains (GPtrArray *chains)
{
  for (guint i = 0; i < chains->len; i++)
    {
      VsDiskChain *chain = g_ptr_array_index (chains, i);

      g_free (chain->target);
      g_ptr_array_unref (chain->files);
      g_free (chain);
    }
  g_ptr_array_unref (chains);
}

/* Whether a second domain may run beside a first, with these files and kinds of disks. */
static gboolean
may_run_beside (const char *const *first, const char *first_more, const char *const *second, const char *second_more)
{
  g_autofree char *first_disk = g_strdup_printf (DISK ("vda", "/images/a", "%s"), first_more);
  g_autofree char *second_disk = g_strdup_printf (DISK ("vda", "/images/a", "%s"), second_more);
  g_autoptr (VsDomainDef) one = make_def (UUID, "one", first_disk);
  g_autoptr (VsDomainDef) two = make_def ("2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a02", "two", second_disk);
  g_autoptr (VsClaims) claims = vs_claims_new ();
  g_autoptr (GError) error = NULL;
  GPtrArray *first_chains = make_chains ("vda", first);
  GPtrArray *second_chains = make_chains ("vda", second);
  gboolean ok;

  g_assert_true (vs_claims_add (claims, one, first_chains, NULL));
  ok = vs_claims_add (claims, two, second_chains, &error);
  if (!ok)
    {
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY);
      g_assert_nonnull (strstr (error->message, "one"));
      vs_claims_remove (claims, UUID);
      g_assert_true (vs_claims_add (claims, two, second_chains, NULL));
    }
  free_chains (first_chains);
  free_chains (second_chains);
  return ok;
}

static void
test_claims (void)
{
  static const char *const a[] = { "a", NULL };
  static const char *const b[] = { "b", NULL };
  static const char *const b_over_a[] = { "b", "a", NULL };
  static const char *const c_over_a[] = { "c", "a", NULL };

  g_assert_true (may_run_beside (a, "", b, ""));
  g_assert_false (may_run_beside (a, "", a, ""));
  g_assert_false (may_run_beside (a, "", a, "<readonly/>"));
  g_assert_true (may_run_beside (a, "<readonly/>", a, "<readonly/>"));
  g_assert_true (may_run_beside (a, "<shareable/>", a, "<shareable/>"));
  g_assert_false (may_run_beside (a, "<shareable/>", a, ""));
  g_assert_false (may_run_beside (a, "", b_over_a, ""));
  g_assert_false (may_run_beside (b_over_a, "", a, ""));
  g_assert_true (may_run_beside (b_over_a, "", c_over_a, ""));
}

/* Whether another domain may have @file. */
static gboolean
is_free (VsClaims *claims, const char *file)
{
  static const char other_uuid[] = "2f6f2f0e-6f0a-4d7c-9a43-0d6f3f1d0a02";
  const char *const ids[] = { file, NULL };
  g_autoptr (VsDomainDef) other = make_def (other_uuid, "other", DISK ("vda", "/images/a", ""));
  GPtrArray *chains = make_chains ("vda", ids);
  gboolean ok = vs_claims_add (claims, other, chains, NULL);

  vs_claims_remove (claims, other_uuid);
  free_chains (chains);
  return ok;
}

static void
test_two_guests_of_one_domain (gconstpointer data)
{
  static const char *const b_over_a[] = { "b", "a", NULL };
  static const char *const c_over_a[] = { "c", "a", NULL };
  static const char *const d_over_b[] = { "d", "b", NULL };
  const gboolean taken_over = GPOINTER_TO_INT (data);
  g_autoptr (VsDomainDef) def = make_def (UUID, "one", DISK ("vda", "/images/a", ""));
  g_autoptr (VsClaims) claims = vs_claims_new ();
  g_autoptr (GError) error = NULL;
  GPtrArray *old = make_chains ("vda", b_over_a);
  GPtrArray *next = make_chains ("vda", c_over_a);
  GPtrArray *wrong = make_chains ("vda", d_over_b);

  g_assert_true (vs_claims_add (claims, def, old, NULL));
  g_assert_false (vs_claims_add_beside (claims, def, wrong, &error));
  g_assert_nonnull (error);
  g_assert_true (vs_claims_add_beside (claims, def, next, NULL));
  g_assert_false (is_free (claims, "b"));
  g_assert_false (is_free (claims, "c"));
  vs_claims_settle_beside (claims, UUID, taken_over);
  g_assert_cmpint (is_free (claims, "b"), ==, taken_over);
  g_assert_cmpint (is_free (claims, "c"), ==, !taken_over);
  vs_claims_settle_beside (claims, UUID, !taken_over);
  g_assert_cmpint (is_free (claims, "c"), ==, !taken_over);
  vs_claims_remove (claims, UUID);
  g_assert_true (is_free (claims, "b") && is_free (claims, "c") && is_free (claims, "a"));
  free_chains (old);
  free_chains (next);
  free_chains (wrong);
}

/* The old one ends by itself while the new one is being loaded. */
static void
test_claims_beside_outlive_the_old_guest (void)
{
  static const char *const b_over_a[] = { "b", "a", NULL };
  static const char *const c_over_a[] = { "c", "a", NULL };
  g_autoptr (VsDomainDef) def = make_def (UUID, "one", DISK ("vda", "/images/a", ""));
  g_autoptr (VsClaims) claims = vs_claims_new ();
  GPtrArray *old = make_chains ("vda", b_over_a);
  GPtrArray *next = make_chains ("vda", c_over_a);

  g_assert_true (vs_claims_add (claims, def, old, NULL));
  g_assert_true (vs_claims_add_beside (claims, def, next, NULL));
  vs_claims_remove (claims, UUID);
  g_assert_true (is_free (claims, "b"));
  g_assert_false (is_free (claims, "c"));
  free_chains (old);
  free_chains (next);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/store/what-is-written-is-read-and-private", test_written_is_read);
  ADD ("/store/missing-is-not-found", test_missing_is_not_found);
  ADD ("/store/links-and-pipes-are-not-read", test_links_and_pipes_are_not_read);
  ADD ("/store/unreadable-is-put-aside-and-kept", test_set_aside_is_kept);
  ADD ("/store/removed-domain-is-gone-for-good", test_removed_domain_is_gone_for_good);
  ADD ("/store/half-written-is-removed", test_half_written);
  ADD ("/journal/survives", test_journal_survives);
  ADD ("/journal/torn-is-put-aside", test_torn_journal_is_put_aside);
  ADD ("/journal/damage-never-crashes", test_damaged_journals_never_crash);
  g_test_add_func ("/claims/no-file-is-written-by-one-and-used-by-another", test_claims);
  g_test_add_data_func ("/claims/both-guests-until-the-old-one-is-gone", GINT_TO_POINTER (TRUE),
                        test_two_guests_of_one_domain);
  g_test_add_data_func ("/claims/both-guests-until-the-new-one-is-gone", GINT_TO_POINTER (FALSE),
                        test_two_guests_of_one_domain);
  g_test_add_func ("/claims/the-new-guests-outlive-the-old-guest", test_claims_beside_outlive_the_old_guest);
  return g_test_run ();
}
