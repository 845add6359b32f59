/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an overlay is called, and which disks get one.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "vs-overlays.h"
#include "vs-tags.h"

#define DISK(target, format, more)                                                                                    \
  "<disk type='file' device='disk'" more "><driver name='qemu' type='" format "'/><source file='/disks/" target       \
  ".img'/><target dev='" target "' bus='virtio'/></disk>"

static VsDomainDef *
make_domain (const char *disks)
{
  g_autofree char *xml
    = g_strconcat ("<domain type='qemu'><name>web</name><uuid>00000000-0000-4000-8000-000000000001</uuid>"
                   "<memory>65536</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>",
                   disks, "</devices></domain>", NULL);
  g_autoptr (GError) error = NULL;
  VsDomainDef *def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

  g_assert_no_error (error);
  return def;
}

static JsonObject *
make_facts (const char *location, const char *wish)
{
  JsonObject *facts = json_object_new ();
  g_autoptr (JsonNode) disks = json_from_string (wish, NULL);

  json_object_set_string_member (facts, VS_FACT_SNAPSHOT, "snap");
  json_object_set_string_member (facts, VS_OVERLAYS_FACT_LOCATION, location);
  json_object_set_array_member (facts, VS_OVERLAYS_FACT_WISH, json_array_ref (json_node_get_array (disks)));
  return facts;
}

/* `vda:/path` and so on: of the overlays, and of the disks with internal snapshots. */
static char *
describe (JsonObject *facts, const char *fact)
{
  JsonArray *items = json_object_get_array_member (facts, fact);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (items); i++)
    {
      JsonObject *item = json_array_get_object_element (items, i);

      g_string_append_printf (text, "%s%s:%s", i > 0 ? " " : "", json_object_get_string_member (item, "target"),
                              json_object_get_string_member (item, "path"));
    }
  return g_string_free (text, FALSE);
}

static void
assert_chosen (const char *disks, const char *location, const char *wish, const char *overlays, const char *internal)
{
  g_autoptr (VsDomainDef) def = make_domain (disks);
  g_autoptr (JsonObject) facts = make_facts (location, wish);
  g_autoptr (GError) error = NULL;
  g_autofree char *external_found = NULL;
  g_autofree char *internal_found = NULL;

  vs_overlays_choose (def, facts, &error);
  g_assert_no_error (error);
  external_found = describe (facts, VS_OVERLAYS_FACT);
  internal_found = describe (facts, VS_TAGS_FACT_DISKS);
  g_assert_cmpstr (external_found, ==, overlays);
  g_assert_cmpstr (internal_found, ==, internal);
}

static void
assert_refused (const char *disks, const char *wish, int code, const char *words)
{
  g_autoptr (VsDomainDef) def = make_domain (disks);
  g_autoptr (JsonObject) facts = make_facts ("external", wish);
  g_autoptr (GError) error = NULL;

  g_assert_false (vs_overlays_choose (def, facts, &error));
  g_assert_error (error, VMSNAP_ERROR, code);
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_names (void)
{
  static const char *const cases[][2] = {
    { "/a/vda.qcow2", "/a/vda.snap" }, { "/a/vda", "/a/vda.snap" },         { "/a/b.c/vda", "/a/b.c/vda.snap" },
    { "/a/vda.1.2", "/a/vda.1.snap" }, { "/a/.hidden", "/a/.hidden.snap" }, { "/vda.img", "/vda.snap" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = vs_overlays_default_path (cases[i][0], "snap", NULL);

      g_assert_cmpstr (path, ==, cases[i][1]);
    }
}

static void
test_name_of_255_bytes_is_the_longest (void)
{
  g_autofree char *fits = g_strnfill (251, 'n');
  g_autofree char *too_long = g_strnfill (252, 'n');
  g_autofree char *path = vs_overlays_default_path ("/a/vda.qcow2", fits, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (path);
  g_assert_null (vs_overlays_default_path ("/a/vda.qcow2", too_long, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
}

static void
test_all_writable_disks (void)
{
  assert_chosen (DISK ("vda", "qcow2", "") DISK ("vdb", "raw", ""), "external", "[]",
                 "vda:/disks/vda.snap vdb:/disks/vdb.snap", "");
  assert_chosen (DISK ("vda", "qcow2", "") DISK ("vdb", "qcow2", " snapshot='no'"), "external", "[]",
                 "vda:/disks/vda.snap", "");
  assert_chosen (DISK ("vda", "qcow2", " snapshot='internal'") DISK ("vdb", "raw", ""), "external", "[]",
                 "vdb:/disks/vdb.snap", "vda:/disks/vda.img");
}

static void
test_a_wish_counts_more (void)
{
  assert_chosen (DISK ("vda", "qcow2", "") DISK ("vdb", "qcow2", " snapshot='no'") DISK ("vdc", "raw", ""), "external",
                 "[{\"target\":\"vda\",\"snapshot\":\"internal\"},{\"target\":\"vdb\",\"path\":\"/b/./x\"},"
                 "{\"target\":\"vdc\",\"snapshot\":\"none\"}]",
                 "vdb:/b/x", "vda:/disks/vda.img");
  assert_chosen (DISK ("vda", "qcow2", "") DISK ("vdb", "qcow2", ""), "internal",
                 "[{\"target\":\"/disks/vda.img\",\"snapshot\":\"external\"}]", "vda:/disks/vda.snap",
                 "vdb:/disks/vdb.img");
}

static void
test_what_cannot_be (void)
{
  const char *two = DISK ("vda", "qcow2", "") DISK ("vdb", "raw", "");

  assert_refused (two, "[{\"target\":\"vdz\"}]", VMSNAP_ERROR_INVALID_ARGUMENT, "vdz");
  assert_refused (two, "[{\"target\":\"vda\"},{\"target\":\"/disks/vda.img\"}]", VMSNAP_ERROR_INVALID_ARGUMENT, "twice");
  assert_refused (two, "[{\"target\":\"vda\",\"path\":\"/x\"},{\"target\":\"vdb\",\"path\":\"/./x\"}]",
                  VMSNAP_ERROR_INVALID_ARGUMENT, "/x");
  assert_refused (two, "[{\"target\":\"vda\",\"path\":\"/disks/vdb.img\"}]", VMSNAP_ERROR_INVALID_ARGUMENT, "vdb");
  assert_refused (two, "[{\"target\":\"vda\",\"format\":\"raw\"}]", VMSNAP_ERROR_INVALID_ARGUMENT, "raw");
  assert_refused (two, "[{\"target\":\"vdb\",\"snapshot\":\"internal\"}]", VMSNAP_ERROR_NOT_SUPPORTED, "vdb");
  assert_refused (two, "[{\"target\":\"vda\",\"snapshot\":\"none\",\"path\":\"/x\"}]", VMSNAP_ERROR_INVALID_ARGUMENT, "/x");
}

static void
test_a_device_needs_a_path (void)
{
  const char *device = "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/web'/>"
                       "<target dev='vda' bus='virtio'/></disk>";

  assert_refused (device, "[]", VMSNAP_ERROR_INVALID_ARGUMENT, "'disks'");
  assert_chosen (device, "external", "[{\"target\":\"vda\",\"path\":\"/b/x\"}]", "vda:/b/x", "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/overlays/name-is-the-stem-and-the-snapshot", test_names);
  g_test_add_func ("/overlays/name-of-255-bytes-is-the-longest", test_name_of_255_bytes_is_the_longest);
  g_test_add_func ("/overlays/all-writable-disks-get-one", test_all_writable_disks);
  g_test_add_func ("/overlays/a-wish-counts-more-than-the-default", test_a_wish_counts_more);
  g_test_add_func ("/overlays/what-cannot-be-is-refused", test_what_cannot_be);
  g_test_add_func ("/overlays/a-device-needs-a-path", test_a_device_needs_a_path);
  return g_test_run ();
}
