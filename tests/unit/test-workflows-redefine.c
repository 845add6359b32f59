/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a snapshot's description must say to become its record, and what it implies.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "vs-redefine-rules.h"

#define UUID "0c9d6f54-7c43-4a0c-9a53-3f7f7f2f03ff"
#define DISK(target, format)                                                                                           \
  "<disk type='file' device='disk'><driver name='qemu' type='" format "'/><source file='/srv/" target "'/>"            \
  "<target dev='" target "' bus='virtio'/></disk>"
#define DOMAIN                                                                                                         \
  "<domain type='qemu'><name>guest</name><uuid>" UUID "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>"            \
  "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>" DISK ("vda", "qcow2")                        \
    DISK ("vdb", "raw") "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='/srv/cd'/>"    \
                        "<target dev='sda' bus='sata'/><readonly/></disk></devices></domain>"
#define OVERLAY(target) "<disk name='" target "' snapshot='external'><source file='/srv/" target ".one'/></disk>"
#define INSIDE "<disk name='vda' snapshot='internal'/><disk name='vdb' snapshot='no'/>"

static VsSnapshotDef *
parse (const char *state, const char *disks)
{
  g_autofree char *xml
    = g_strdup_printf ("<domainsnapshot><name>one</name>%s<creationTime>7</creationTime>%s" DOMAIN "</domainsnapshot>",
                       state, disks);
  g_autoptr (GError) error = NULL;
  VsSnapshotDef *def = vs_snapshot_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

  g_assert_no_error (error);
  return def;
}

static VsSnapshotDef *
complete (const char *state, const char *disks)
{
  g_autoptr (VsSnapshotDef) given = parse (state, disks);
  g_autoptr (GError) error = NULL;
  VsSnapshotDef *def = vs_redefine_complete (given, UUID, NULL, &error);

  g_assert_no_error (error);
  return def;
}

static void
assert_refused (const char *state, const char *disks, const char *words)
{
  g_autoptr (VsSnapshotDef) given = parse (state, disks);
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_redefine_complete (given, UUID, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, words));
}

static VmSnapLocation
place (VsSnapshotDef *def, const char *target)
{
  const VsSnapshotDiskDef *disk = vs_snapshot_def_find_disk (def, target);

  g_assert_nonnull (disk);
  g_assert_true (disk->has_snapshot);
  return disk->snapshot;
}

static void
test_each_disk_gets_its_place (void)
{
  g_autoptr (VsSnapshotDef) off
    = complete ("<state>shutoff</state>", "<disks><disk name='vdb' snapshot='no'/></disks>");
  g_autoptr (VsSnapshotDef) out
    = complete ("<state>shutoff</state>", "<disks>" OVERLAY ("/srv/vda") OVERLAY ("vdb") "</disks>");

  g_assert_cmpint (place (off, "vda"), ==, VMSNAP_LOCATION_INTERNAL);
  g_assert_cmpint (place (off, "vdb"), ==, VMSNAP_LOCATION_NONE);
  g_assert_cmpint (place (off, "sda"), ==, VMSNAP_LOCATION_NONE);
  g_assert_cmpint (off->memory, ==, VMSNAP_LOCATION_NONE);
  g_assert_cmpint (place (out, "vda"), ==, VMSNAP_LOCATION_EXTERNAL);
  g_assert_cmpstr (vs_snapshot_def_find_disk (out, "vda")->format, ==, "qcow2");
}

static void
test_state_tells_of_memory (void)
{
  g_autoptr (VsSnapshotDef) running = complete ("<state>running</state>", "<disks>" INSIDE "</disks>");

  g_assert_true (running->has_memory);
  g_assert_cmpint (running->memory, ==, VMSNAP_LOCATION_INTERNAL);
  assert_refused ("<state>paused</state>", "<memory snapshot='no'/><disks>" INSIDE "</disks>", "<memory>");
  assert_refused ("<state>disk-snapshot</state>", "<memory snapshot='internal'/><disks>" INSIDE "</disks>", "<memory>");
}

static void
test_what_contradicts_itself_is_refused (void)
{
  assert_refused ("", "", "<state>");
  assert_refused ("<state>shutoff</state>", "", "raw");
  assert_refused ("<state>shutoff</state>", "<disks>" OVERLAY ("vda") "</disks>", "overlay of disk vdb");
  assert_refused ("<state>shutoff</state>", "<disks>" INSIDE "<disk name='sda' snapshot='internal'/></disks>", "sda");
  assert_refused ("<state>running</state>",
                  "<memory snapshot='internal'/><disks>" OVERLAY ("vda") OVERLAY ("vdb") "</disks>", "no disk");
}

static VsSnapshotDef *
record (const char *name, const char *parent)
{
  VsSnapshotDef *def = vs_snapshot_def_new (name);

  def->parent = g_strdup (parent);
  return def;
}

static void
assert_parent (GPtrArray *records, const char *name, const char *parent, gboolean good)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (vs_redefine_check_parent (name, parent, records, &error) == good);
  if (!good)
    g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
}

static void
test_parents_make_a_tree (void)
{
  g_autoptr (GPtrArray) records = g_ptr_array_new_with_free_func ((GDestroyNotify)vs_snapshot_def_unref);

  g_ptr_array_add (records, record ("a", NULL));
  g_ptr_array_add (records, record ("b", "a"));
  g_ptr_array_add (records, record ("c", "b"));
  /* Records of an older time, that a disk has damaged. */
  g_ptr_array_add (records, record ("x", "y"));
  g_ptr_array_add (records, record ("y", "x"));
  assert_parent (records, "new", NULL, TRUE);
  assert_parent (records, "new", "c", TRUE);
  assert_parent (records, "c", "a", TRUE);
  assert_parent (records, "a", NULL, TRUE);
  assert_parent (records, "new", "x", TRUE);
  assert_parent (records, "new", "nobody", FALSE);
  assert_parent (records, "new", "new", FALSE);
  assert_parent (records, "a", "a", FALSE);
  assert_parent (records, "a", "b", FALSE);
  assert_parent (records, "a", "c", FALSE);
}

static void
test_first_difference_is_named (void)
{
  g_autoptr (VsSnapshotDef) known = complete ("<state>shutoff</state>", "<disks>" INSIDE "</disks>");
  g_autoptr (VsSnapshotDef) same = vs_snapshot_def_copy (known);
  g_autoptr (VsSnapshotDef) other
    = complete ("<state>shutoff</state>", "<disks>" OVERLAY ("vda") "<disk name='vdb' snapshot='no'/></disks>");
  g_autoptr (GError) error = NULL;

  same->description = g_strdup ("new words");
  same->creation_time = 1;
  same->parent = g_strdup ("nobody");
  g_assert_true (vs_redefine_check_same (known, same, &error));
  g_assert_false (vs_redefine_check_same (known, other, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, "the place of disk vda is internal, in the XML external"));
}

static void
test_one_tag_is_one_snapshots (void)
{
  g_autoptr (GPtrArray) records = g_ptr_array_new_with_free_func ((GDestroyNotify)vs_snapshot_def_unref);
  g_autoptr (VsSnapshotDef) one = complete ("<state>shutoff</state>", "<disks>" INSIDE "</disks>");
  VsSnapshotDef *two = vs_snapshot_def_copy (one);
  g_autoptr (GError) error = NULL;

  g_free (two->name);
  two->name = g_strdup ("two");
  g_ptr_array_add (records, two);
  g_assert_true (vs_redefine_check_apart (one, records, &error));
  vs_snapshot_def_set_fact (two, VS_SNAPSHOT_FACT_TAG, "one");
  g_assert_false (vs_redefine_check_apart (one, records, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/redefine/each-disk-gets-its-place", test_each_disk_gets_its_place);
  g_test_add_func ("/redefine/state-tells-of-memory", test_state_tells_of_memory);
  g_test_add_func ("/redefine/what-contradicts-itself-is-refused", test_what_contradicts_itself_is_refused);
  g_test_add_func ("/redefine/parents-make-a-tree", test_parents_make_a_tree);
  g_test_add_func ("/redefine/first-difference-is-named", test_first_difference_is_named);
  g_test_add_func ("/redefine/one-tag-is-one-snapshots", test_one_tag_is_one_snapshots);
  return g_test_run ();
}
