/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Definitions that take the place of a saved guest's own: what their machine is when they don't say its version,
 * and who they are when they don't say it.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "vs-save-workflows.h"

static VsDomainDef *
make_def (const char *machine)
{
  g_autofree char *attribute = machine != NULL ? g_strdup_printf (" machine='%s'", machine) : g_strdup ("");
  g_autofree char *xml = g_strdup_printf ("<domain type='qemu'><name>guest</name>"
                                          "<uuid>0c9d6f54-7c43-4a0c-9a53-3f7f7f2f03ff</uuid>"
                                          "<memory unit='MiB'>64</memory><vcpu>1</vcpu>"
                                          "<os><type arch='x86_64'%s>hvm</type></os></domain>",
                                          attribute);
  g_autoptr (GError) error = NULL;
  VsDomainDef *def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

  g_assert_no_error (error);
  return def;
}

static void
assert_becomes (const char *saved, const char *wanted, const char *expected)
{
  g_autoptr (VsDomainDef) saved_def = make_def (saved);
  g_autoptr (VsDomainDef) wanted_def = make_def (wanted);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_save_check_same_guest (saved_def, wanted_def, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (def->os.machine, ==, expected);
}

static void
assert_refused (const char *saved, const char *wanted)
{
  g_autoptr (VsDomainDef) saved_def = make_def (saved);
  g_autoptr (VsDomainDef) wanted_def = make_def (wanted);
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_save_check_same_guest (saved_def, wanted_def, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, "machine type"));
}

static void
test_alias_takes_the_version (void)
{
  assert_becomes ("pc-q35-7.2", "q35", "pc-q35-7.2");
  assert_becomes ("pc-i440fx-7.2", "pc", "pc-i440fx-7.2");
  assert_becomes ("pc-q35-7.2", NULL, "pc-q35-7.2");
}

static void
test_same_machine_stays (void)
{
  assert_becomes ("pc-q35-7.2", "pc-q35-7.2", "pc-q35-7.2");
  assert_becomes ("q35", "q35", "q35");
}

static void
test_other_machine_is_refused (void)
{
  assert_refused ("pc-q35-7.2", "pc-q35-7.1");
  assert_refused ("pc-q35-7.2", "pc");
  assert_refused ("pc-i440fx-7.2", "q35");
}

static VsDomainDef *
make_def_with (const char *uuid, const char *first_mac, const char *second_mac)
{
  g_autofree char *xml
    = g_strdup_printf ("<domain type='qemu'><name>guest</name>%s<memory unit='MiB'>64</memory><vcpu>1</vcpu>"
                       "<os><type arch='x86_64'>hvm</type></os><devices>"
                       "<interface type='user'>%s<model type='virtio'/></interface>"
                       "<interface type='user'>%s<model type='virtio'/></interface></devices></domain>",
                       uuid, first_mac, second_mac);
  g_autoptr (GError) error = NULL;
  VsDomainDef *def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

  g_assert_no_error (error);
  return def;
}

#define UUID "<uuid>0c9d6f54-7c43-4a0c-9a53-3f7f7f2f03ff</uuid>"
#define FIRST "<mac address='52:54:00:00:00:01'/>"
#define SECOND "<mac address='52:54:00:00:00:02'/>"

static void
test_what_is_not_said_is_the_saved_guests (void)
{
  const char *const cases[][3]
    = { { "", "", "" }, { UUID, "", "" }, { "", FIRST, "" }, { "", "", SECOND }, { "", FIRST, SECOND } };
  g_autoptr (VsDomainDef) saved = make_def_with (UUID, FIRST, SECOND);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (VsDomainDef) wanted = make_def_with (cases[i][0], cases[i][1], cases[i][2]);
      g_autoptr (GError) error = NULL;
      g_autoptr (VsDomainDef) def = vs_save_check_same_guest (saved, wanted, &error);
      g_autofree char *text = NULL;

      g_assert_no_error (error);
      g_assert_cmpstr (def->uuid, ==, saved->uuid);
      text = vs_domain_def_format (def);
      g_assert_nonnull (strstr (text, "52:54:00:00:00:01"));
      g_assert_nonnull (strstr (text, "52:54:00:00:00:02"));
    }
}

static void
test_what_is_said_must_be_the_saved_guests (void)
{
  const char *const cases[][3] = { { "<uuid>0c9d6f54-7c43-4a0c-9a53-3f7f7f2f0300</uuid>", "", "" },
                                   { UUID, "<mac address='52:54:00:00:00:03'/>", SECOND },
                                   { "", SECOND, FIRST } };
  g_autoptr (VsDomainDef) saved = make_def_with (UUID, FIRST, SECOND);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (VsDomainDef) wanted = make_def_with (cases[i][0], cases[i][1], cases[i][2]);
      g_autoptr (GError) error = NULL;

      g_assert_null (vs_save_check_same_guest (saved, wanted, &error));
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/workflows/same-guest/alias-takes-the-saved-version", test_alias_takes_the_version);
  g_test_add_func ("/workflows/same-guest/same-machine-stays", test_same_machine_stays);
  g_test_add_func ("/workflows/same-guest/other-machine-is-refused", test_other_machine_is_refused);
  g_test_add_func ("/workflows/same-guest/what-is-not-said-is-the-saved-guests", test_what_is_not_said_is_the_saved_guests);
  g_test_add_func ("/workflows/same-guest/what-is-said-must-be-the-saved-guests",
                   test_what_is_said_must_be_the_saved_guests);
  return g_test_run ();
}
