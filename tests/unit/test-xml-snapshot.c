/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Snapshot definitions: libvirt's form in and out, with what it has no place for in the cookie.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "vs-snapshot-def.h"
#include "xml-samples.h"

static VsSnapshotDef *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  VsSnapshotDef *def = vs_snapshot_def_parse (text, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_no_error (error);
  return def;
}

static void
test_everything_is_understood (void)
{
  g_autofree char *text = xml_sample_load ("snapshot-full.xml");
  g_autoptr (VsSnapshotDef) def = parse (text);
  const VsSnapshotDiskDef *disk = vs_snapshot_def_find_disk (def, "vda");

  g_assert_cmpstr (def->name, ==, "before the upgrade");
  g_assert_cmpstr (def->description, ==, "All was well, <really>");
  g_assert_true (def->has_state);
  g_assert_cmpint (def->state, ==, VMSNAP_SNAPSHOT_STATE_RUNNING);
  g_assert_cmpstr (def->parent, ==, "installed");
  g_assert_cmpuint (def->creation_time, ==, G_GUINT64_CONSTANT (1700000000123456));
  g_assert_cmpint (def->memory, ==, VMSNAP_LOCATION_EXTERNAL);
  g_assert_cmpstr (def->memory_path, ==, "/var/lib/vmsnap/memory/1");
  g_assert_cmpuint (def->disks->len, ==, 3);
  g_assert_cmpint (disk->snapshot, ==, VMSNAP_LOCATION_EXTERNAL);
  g_assert_cmpstr (disk->path, ==, "/var/lib/vmsnap/images/fedora.overlay2");
  g_assert_cmpstr (disk->format, ==, "qcow2");
  g_assert_cmpint (vs_snapshot_def_find_disk (def, "vdb")->snapshot, ==, VMSNAP_LOCATION_INTERNAL);
  g_assert_cmpint (vs_snapshot_def_find_disk (def, "sda")->snapshot, ==, VMSNAP_LOCATION_NONE);
  g_assert_cmpint (vs_snapshot_def_get_location (def), ==, VMSNAP_LOCATION_MIXED);
  g_assert_cmpstr (def->domain->name, ==, "tiny");
  g_assert_cmpstr (def->domain->qemu_args[0], ==, "-S");
  g_assert_null (def->inactive_domain);
  g_assert_cmpuint (vs_snapshot_def_get_fact_uint64 (def, VS_SNAPSHOT_FACT_DOWNTIME), ==, 14000);
  g_assert_cmpstr (vs_snapshot_def_get_fact (def, VS_SNAPSHOT_FACT_NVRAM), ==, "before-the-upgrade.nvram");
  g_assert_cmpstr (vs_snapshot_def_get_tag (def), ==, "before the upgrade");
}

static void
test_format_and_parse_are_stable (void)
{
  g_autofree char *text = xml_sample_load ("snapshot-full.xml");
  g_autoptr (VsSnapshotDef) def = parse (text);
  g_autofree char *once = vs_snapshot_def_format (def);
  g_autoptr (VsSnapshotDef) again = parse (once);
  g_autofree char *twice = vs_snapshot_def_format (again);

  g_assert_cmpstr (once, ==, twice);
  g_assert_nonnull (strstr (once, "name=\"of-a-later-version\">kept as it is<"));
  g_assert_true (vs_domain_def_guest_abi_equal (def->domain, again->domain, NULL));
}

static VsSnapshotDef *
make_snapshot (void)
{
  VsSnapshotDef *def = vs_snapshot_def_new ("größe & <more>");

  def->description = g_strdup ("a\n]]> \"b\"");
  def->has_state = TRUE;
  def->state = VMSNAP_SNAPSHOT_STATE_PAUSED;
  def->creation_time = G_GUINT64_CONSTANT (1234567890000007);
  def->parent = g_strdup ("one");
  def->has_memory = TRUE;
  def->memory = VMSNAP_LOCATION_INTERNAL;
  vs_snapshot_def_add_disk (def, "vda", VMSNAP_LOCATION_INTERNAL, NULL, NULL);
  vs_snapshot_def_add_disk (def, "sda", VMSNAP_LOCATION_NONE, NULL, NULL);
  vs_snapshot_def_set_fact (def, VS_SNAPSHOT_FACT_TAG, "tag");
  vs_snapshot_def_set_fact_uint64 (def, VS_SNAPSHOT_FACT_SIZE, G_MAXUINT64);
  def->domain = xml_sample_parse ("q35-uefi-tpm.xml");
  def->inactive_domain = xml_sample_parse ("i440fx-windows.xml");
  return def;
}

static void
assert_same (VsSnapshotDef *one, VsSnapshotDef *two)
{
  g_assert_cmpstr (one->name, ==, two->name);
  g_assert_cmpstr (one->description, ==, two->description);
  g_assert_cmpint (one->state, ==, two->state);
  g_assert_cmpuint (one->creation_time, ==, two->creation_time);
  g_assert_cmpstr (one->parent, ==, two->parent);
  g_assert_cmpint (one->memory, ==, two->memory);
  g_assert_cmpuint (one->disks->len, ==, two->disks->len);
  g_assert_cmpint (vs_snapshot_def_get_location (one), ==, vs_snapshot_def_get_location (two));
  g_assert_cmpstr (vs_snapshot_def_get_tag (one), ==, vs_snapshot_def_get_tag (two));
  g_assert_cmpuint (vs_snapshot_def_get_fact_uint64 (one, VS_SNAPSHOT_FACT_SIZE), ==,
                    vs_snapshot_def_get_fact_uint64 (two, VS_SNAPSHOT_FACT_SIZE));
  g_assert_true (vs_domain_def_guest_abi_equal (one->domain, two->domain, NULL));
  g_assert_cmpstr (one->inactive_domain->name, ==, two->inactive_domain->name);
}

static void
test_what_was_made_comes_back (void)
{
  g_autoptr (VsSnapshotDef) def = make_snapshot ();
  g_autofree char *text = vs_snapshot_def_format (def);
  g_autoptr (VsSnapshotDef) back = parse (text);
  g_autofree char *domain = vs_domain_def_format (def->domain);
  g_autofree char *domain_back = vs_domain_def_format (back->domain);

  assert_same (def, back);
  g_assert_cmpstr (domain, ==, domain_back);
}

static void
test_copies_are_of_their_own (void)
{
  g_autoptr (VsSnapshotDef) def = make_snapshot ();
  g_autoptr (VsSnapshotDef) copy = vs_snapshot_def_copy (def);
  g_autofree char *before = vs_snapshot_def_format (def);
  g_autofree char *after = NULL;

  assert_same (def, copy);
  vs_snapshot_def_set_fact (copy, VS_SNAPSHOT_FACT_TAG, NULL);
  vs_snapshot_def_add_disk (copy, "vdz", VMSNAP_LOCATION_EXTERNAL, "/srv/z", "qcow2");
  after = vs_snapshot_def_format (def);
  g_assert_cmpstr (before, ==, after);
  g_assert_cmpstr (vs_snapshot_def_get_tag (copy), ==, copy->name);
}

static void
test_elements_come_in_libvirts_order (void)
{
  static const char *const order[] = { "<name>", "<description>", "<state>",  "<creationTime>", "<parent>",
                                       "<memory", "<disks>",       "<domain ", "<inactiveDomain ", "<cookie " };
  g_autoptr (VsSnapshotDef) def = make_snapshot ();
  g_autofree char *text = vs_snapshot_def_format (def);
  const char *last = text;

  for (gsize i = 0; i < G_N_ELEMENTS (order); i++)
    {
      const char *found = strstr (text, order[i]);

      g_assert_nonnull (found);
      g_assert_true (found > last);
      last = found;
    }
  g_assert_nonnull (strstr (text, "<creationTime>1234567890</creationTime>"));
}

static void
test_what_is_written_can_be_read (void)
{
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_new ("a");
  g_autofree char *text = NULL;
  g_autoptr (VsSnapshotDef) back = NULL;

  g_assert_false (vs_snapshot_description_is_valid ("a\x01" "b"));
  g_assert_false (vs_snapshot_description_is_valid ("\xef\xbf\xbf"));
  g_assert_true (vs_snapshot_description_is_valid ("tab\t, lines\r\n, \xf0\x9f\x92\xbe"));
  def->description = g_strdup ("a\x01" "b\r\n\xff\xef\xbf\xbe");
  def->memory_path = g_strdup ("/a\x02");
  def->has_memory = TRUE;
  def->memory = VMSNAP_LOCATION_EXTERNAL;
  vs_snapshot_def_set_fact (def, "later", "\x1f");
  text = vs_snapshot_def_format (def);
  back = parse (text);
  g_assert_cmpstr (back->description, ==, "a\xef\xbf\xbd" "b\r\n\xef\xbf\xbd\xef\xbf\xbd");
  g_assert_cmpstr (back->memory_path, ==, "/a\xef\xbf\xbd");
}

/* A definition of the greatest size that is accepted, and as deep as is. */
static VsDomainDef *
make_greatest_domain (void)
{
  g_autofree char *sample = xml_sample_load ("direct-kernel.xml");
  g_autoptr (GString) metadata = g_string_new ("<metadata>");
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  VsDomainDef *def;
  guint line;

  for (int i = 0; i < 62; i++)
    g_string_append (metadata, "<a>");
  while (metadata->len < 1024 * 1024 - 8192)
    g_string_append (metadata, "0123456789");
  for (int i = 0; i < 62; i++)
    g_string_append (metadata, "</a>");
  g_string_append (metadata, "</metadata></domain>");
  text = xml_sample_replace (sample, "</domain>", metadata->str, &line);
  def = vs_domain_def_parse (text, VS_DOMAIN_DEF_VALIDATE, &error);
  g_assert_no_error (error);
  return def;
}

static void
test_the_greatest_domain_fits (void)
{
  g_autoptr (VsSnapshotDef) def = vs_snapshot_def_new ("a");
  g_autofree char *text = NULL;
  g_autoptr (VsSnapshotDef) back = NULL;

  def->domain = make_greatest_domain ();
  def->inactive_domain = vs_domain_def_ref (def->domain);
  def->description = g_strnfill (VS_SNAPSHOT_DESCRIPTION_MAX, '<');
  text = vs_snapshot_def_format (def);
  back = parse (text);
  g_assert_true (vs_domain_def_guest_abi_equal (back->domain, back->inactive_domain, NULL));
}

static void
test_long_descriptions_are_refused (void)
{
  g_autofree char *description = g_strnfill (VS_SNAPSHOT_DESCRIPTION_MAX + 1, 'a');
  g_autofree char *text = g_strdup_printf ("<domainsnapshot><description>%s</description></domainsnapshot>",
                                           description);
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_snapshot_def_parse (text, VS_DOMAIN_DEF_NONE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
}

static void
test_a_callers_request_may_be_short (void)
{
  g_autoptr (VsSnapshotDef) empty = parse ("<domainsnapshot/>");
  g_autoptr (VsSnapshotDef) old = parse ("<domainsnapshot><domain><uuid>x</uuid></domain></domainsnapshot>");
  g_autoptr (VsSnapshotDef) file = parse ("<domainsnapshot><memory file='/srv/m'/><disks>"
                                          "<disk name='/srv/a.img'><source file='/srv/b.img'/></disk>"
                                          "<disk name='vdb' type='block'><source dev='/dev/vg/b'/></disk>"
                                          "<disk name='vdc'/></disks></domainsnapshot>");
  const VsSnapshotDiskDef *disk = vs_snapshot_def_find_disk (file, "/srv/a.img");

  g_assert_null (empty->name);
  g_assert_false (empty->has_state || empty->has_memory);
  g_assert_cmpint (vs_snapshot_def_get_location (empty), ==, VMSNAP_LOCATION_NONE);
  g_assert_null (old->domain);
  g_assert_cmpint (file->memory, ==, VMSNAP_LOCATION_EXTERNAL);
  g_assert_cmpint (disk->snapshot, ==, VMSNAP_LOCATION_EXTERNAL);
  g_assert_true (disk->has_snapshot);
  g_assert_true (vs_snapshot_def_find_disk (file, "vdb")->is_block);
  g_assert_false (vs_snapshot_def_find_disk (file, "vdc")->has_snapshot);
}

static void
test_a_time_that_was_edited_wins (void)
{
  g_autofree char *text = xml_sample_load ("snapshot-full.xml");
  guint line;
  g_autofree char *edited = xml_sample_replace (text, "<creationTime>1700000000<", "<creationTime>1600000000<", &line);
  g_autoptr (VsSnapshotDef) def = parse (edited);

  g_assert_cmpuint (def->creation_time, ==, G_GUINT64_CONSTANT (1600000000000000));
}

typedef struct {
  const char *search;
  const char *replacement;
  const char *expected;
} Row;

static const Row refused[] = {
  { "<name>before the upgrade", "<name>a/b", "<name> isn't usable" },
  { "<name>installed", "<name>", "<name> isn't usable" },
  { "<state>running", "<state>asleep", "<state>asleep</state> isn't supported; accepted: running" },
  { "<creationTime>1700000000", "<creationTime>soon", "<creationTime>soon</creationTime> isn't usable" },
  { "<creationTime>1700000000", "<creationTime>18446744073709551615", "isn't usable; accepted: a number" },
  { "memory snapshot='external'", "memory snapshot='manual'", "<memory snapshot='manual'> isn't supported" },
  { "memory snapshot='external'", "memory snapshot='internal'", "<memory file=…> needs snapshot='external'" },
  { "file='/var/lib/vmsnap/memory/1'", "file='memory/1'", "the path 'memory/1' in <memory> isn't usable" },
  { "<disk name='vdb' snapshot='internal'/>", "<disk snapshot='internal'/>", "<disk> lacks name=…" },
  { "<disk name='vdb' snapshot='internal'/>", "<disk name='vda'/>", "the disk 'vda' is there twice" },
  { "<disk name='vdb' snapshot='internal'/>", "<disk name='vdb' type='network'/>", "<disk type='network'> isn't" },
  { "<driver type='qcow2'/>", "<driver type='qed'/>", "<driver type='qed'> isn't supported; accepted: raw, qcow2" },
  { "<disks>", "<disks/><disks>", "a second <disks> in <domainsnapshot>" },
  { "<cookie", "<revertDisks/><cookie", "<revertDisks> in <domainsnapshot> isn't supported" },
  { "machine='pc-q35-7.2'>hvm", "machine='pc-q35-7.2'>xen", "<type>xen</type> isn't supported" },
  { "<target dev='vda' bus='virtio'/>", "<target dev='vda' bus='x'/>", "<target bus='x'> isn't supported" },
  { "name='downtime'>14000", "name='downtime'>long", "the fact 'downtime' in <cookie> isn't usable" },
  { "name='nvram'>before", "name='nvram'>../before", "the fact 'nvram' in <cookie> isn't usable" },
  { "name='nvram'>before", "name='nvram'>/etc/before", "the fact 'nvram' in <cookie> isn't usable" },
  { "name='of-a-later-version'", "name='OF'", "the fact 'OF' in <cookie> isn't usable" },
};

static void
test_refused (gconstpointer data)
{
  const Row *row = data;
  g_autofree char *text = xml_sample_load ("snapshot-full.xml");
  guint line;
  g_autofree char *changed = xml_sample_replace (text, row->search, row->replacement, &line);
  g_autofree char *expected = g_strdup_printf ("\nline %u: ", line);
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_snapshot_def_parse (changed, VS_DOMAIN_DEF_VALIDATE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_true (g_str_has_prefix (error->message, "The snapshot definition can't be used:"));
  if (strstr (error->message, expected) == NULL || strstr (error->message, row->expected) == NULL)
    g_test_fail_printf ("Expected '%s…%s' in: %s", expected, row->expected, error->message);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/snapshot/everything-is-understood", test_everything_is_understood);
  g_test_add_func ("/xml/snapshot/format-and-parse-are-stable", test_format_and_parse_are_stable);
  g_test_add_func ("/xml/snapshot/what-was-made-comes-back", test_what_was_made_comes_back);
  g_test_add_func ("/xml/snapshot/copies-are-of-their-own", test_copies_are_of_their_own);
  g_test_add_func ("/xml/snapshot/elements-come-in-libvirts-order", test_elements_come_in_libvirts_order);
  g_test_add_func ("/xml/snapshot/what-is-written-can-be-read", test_what_is_written_can_be_read);
  g_test_add_func ("/xml/snapshot/the-greatest-domain-fits", test_the_greatest_domain_fits);
  g_test_add_func ("/xml/snapshot/long-descriptions-are-refused", test_long_descriptions_are_refused);
  g_test_add_func ("/xml/snapshot/a-callers-request-may-be-short", test_a_callers_request_may_be_short);
  g_test_add_func ("/xml/snapshot/a-time-that-was-edited-wins", test_a_time_that_was_edited_wins);
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      g_autofree char *path = g_strdup_printf ("/xml/snapshot/refused-with-line-and-reason/%02d", (int) i);

      g_test_add_data_func (path, &refused[i], test_refused);
    }
  return g_test_run ();
}
