/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Changed copies change one thing, and the comparison of two definitions sees what a guest would see.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "xml-samples.h"

static void
test_copies_leave_the_original_alone (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");
  g_autofree char *before = vs_domain_def_format (def);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) named = vs_domain_def_copy_with_name (def, "another", &error);
  g_autoptr (VsDomainDef) numbered
    = vs_domain_def_copy_with_uuid (def, "11111111-2222-4333-8444-555555555555", &error);
  g_autoptr (VsDomainDef) machine = vs_domain_def_copy_with_machine (def, "pc-q35-7.2", &error);
  g_autoptr (VsDomainDef) emulator = vs_domain_def_copy_with_emulator (def, NULL, &error);
  g_autoptr (VsDomainDef) nvram = vs_domain_def_copy_with_nvram (def, "/srv/VARS.fd", &error);
  g_autofree char *after = vs_domain_def_format (def);

  g_assert_no_error (error);
  g_assert_cmpstr (before, ==, after);
  g_assert_cmpstr (named->name, ==, "another");
  g_assert_cmpstr (named->uuid, ==, def->uuid);
  g_assert_cmpstr (numbered->uuid, ==, "11111111-2222-4333-8444-555555555555");
  g_assert_cmpstr (machine->os.machine, ==, "pc-q35-7.2");
  g_assert_null (emulator->emulator);
  g_assert_cmpstr (nvram->os.nvram, ==, "/srv/VARS.fd");
  g_assert_cmpstr (nvram->os.nvram_template, ==, def->os.nvram_template);
}

#define DEVICES                                                                                                        \
  "<serial type='file'><source path='/var/log/one'/></serial>"                                                         \
  "<channel type='unix'><source mode='bind' path='/run/one'/><target type='virtio' name='one'/></channel>"             \
  "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"                               \
  "<graphics type='vnc' port='5901' autoport='no' listen='127.0.0.1'/>"

static VsDomainDef *
parse_devices (const char *devices)
{
  g_autofree char *xml = g_strdup_printf ("<domain type='qemu'><name>one</name><memory>65536</memory><os><type>hvm</type></os>"
                                          "<devices>%s</devices></domain>",
                                          devices);
  g_autoptr (GError) error = NULL;
  VsDomainDef *def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error);

  g_assert_no_error (error);
  return def;
}

static void
test_copy_beside_has_places_of_its_own (void)
{
  g_autoptr (VsDomainDef) def = parse_devices (DEVICES);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) copy = vs_domain_def_copy_beside (def, ".7", &error);
  const VsChardevDef *serial, *channel, *agent;
  const VsGraphicsDef *graphics;

  g_assert_no_error (error);
  g_assert_null (vs_domain_def_explain_alone (def, ".7"));
  serial = g_ptr_array_index (copy->serials, 0);
  channel = g_ptr_array_index (copy->channels, 0);
  agent = g_ptr_array_index (copy->channels, 1);
  graphics = g_ptr_array_index (copy->graphics, 0);
  g_assert_cmpstr (serial->path, ==, "/var/log/one");
  g_assert_true (serial->append);
  g_assert_cmpstr (channel->path, ==, "/run/one.7");
  g_assert_null (agent->path);
  g_assert_cmpint (graphics->listen, ==, VS_LISTEN_SOCKET);
  g_assert_null (graphics->socket);
  g_assert_false (vs_domain_def_has_place (graphics));
  g_assert_true (vs_domain_def_guest_abi_equal (def, copy, NULL));
}

/* What there can't be two of, and a word of the reason. */
static const struct
{
  const char *name, *devices, *word;
} alone[] = {
  { "tpm", "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>", "TPM" },
  { "client", "<channel type='unix'><source mode='connect' path='/run/one'/><target type='virtio' name='one'/></channel>",
    "/run/one" },
  { "spice", "<graphics type='spice' port='5901' autoport='no'/>", "SPICE" },
  { "tap", "<interface type='bridge'><source bridge='br0'/><target dev='mytap'/></interface>", "tap" },
  { "long-path",
    "<channel type='unix'><source mode='bind' path='/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'/><target type='virtio' name='one'/></channel>",
    "long" },
};

static void
test_alone (gconstpointer data)
{
  const gsize i = GPOINTER_TO_SIZE (data);
  g_autoptr (VsDomainDef) def = parse_devices (alone[i].devices);
  g_autofree char *why = vs_domain_def_explain_alone (def, ".7");

  g_assert_nonnull (why);
  g_assert_nonnull (strstr (why, alone[i].word));
}

static void
test_copies_obey_the_rules (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("direct-kernel.xml");
  g_autoptr (GError) name = NULL, machine = NULL, emulator = NULL, nvram = NULL, path = NULL, target = NULL;

  g_assert_null (vs_domain_def_copy_with_name (def, "a/b", &name));
  g_assert_error (name, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_null (vs_domain_def_copy_with_machine (def, "q35,accel=tcg", &machine));
  g_assert_error (machine, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_null (vs_domain_def_copy_with_emulator (def, "qemu", &emulator));
  g_assert_error (emulator, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_null (vs_domain_def_copy_with_nvram (def, "/srv/VARS.fd", &nvram));
  g_assert_error (nvram, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_null (vs_domain_def_copy_with_disk_source (def, "vda", NULL, NULL, &path));
  g_assert_error (path, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_null (vs_domain_def_copy_with_disk_source (def, "vdz", "/srv/a", NULL, &target));
  g_assert_error (target, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
}

static void
test_disk_source_moves_and_forgets_the_old_chain (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) copy
    = vs_domain_def_copy_with_disk_source (def, "vda", "/srv/<new> & \"best\".qcow2", NULL, &error);
  g_autofree char *text = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (vs_domain_def_find_disk (copy, "vda")->path, ==, "/srv/<new> & \"best\".qcow2");
  g_assert_cmpstr (vs_domain_def_find_disk (copy, "vda")->format, ==, "qcow2");
  g_assert_cmpstr (vs_domain_def_find_disk (copy, "vda")->alias, ==, "virtio-disk0");
  text = vs_domain_def_format (copy);
  g_assert_null (strstr (text, "backingStore"));
  g_assert_null (strstr (text, "fedora.overlay"));
}

static void
test_disk_source_changes_format_and_kind (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("i440fx-windows.xml");
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) overlay
    = vs_domain_def_copy_with_disk_source (def, "hda", "/srv/overlay.qcow2", "qcow2", &error);
  g_autoptr (VsDomainDef) back = NULL;
  g_autoptr (VsDomainDef) loaded = NULL;
  const VsDiskDef *disk;

  g_assert_no_error (error);
  disk = vs_domain_def_find_disk (overlay, "hda");
  g_assert_false (disk->is_block);
  g_assert_cmpstr (disk->path, ==, "/srv/overlay.qcow2");
  g_assert_cmpstr (disk->format, ==, "qcow2");
  back = vs_domain_def_copy_with_disk_source (overlay, "hda", "/dev/mapper/vg-windows", "raw", &error);
  g_assert_no_error (error);
  g_assert_true (vs_domain_def_find_disk (back, "hda")->is_block);
  loaded = vs_domain_def_copy_with_disk_source (def, "hdb", "/srv/some.iso", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (vs_domain_def_find_disk (loaded, "hdb")->path, ==, "/srv/some.iso");
}

static void
test_firmware_choice_is_kept (void)
{
  g_autofree char *text = xml_sample_load ("direct-kernel.xml");
  guint line;
  g_autofree char *changed = xml_sample_replace (text, "<os>", "<os firmware='efi'>", &line);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (changed, VS_DOMAIN_DEF_VALIDATE, &error);
  g_autoptr (VsDomainDef) chosen = NULL;
  g_autoptr (VsDomainDef) stored = NULL;

  g_assert_no_error (error);
  g_assert_null (def->os.loader);
  chosen = vs_domain_def_copy_with_firmware (def, "/usr/share/CODE.fd", "/usr/share/VARS.fd", &error);
  g_assert_no_error (error);
  stored = vs_domain_def_copy_with_nvram (chosen, "/var/lib/a.fd", &error);
  g_assert_no_error (error);
  g_assert_true (stored->os.firmware_efi);
  g_assert_cmpstr (stored->os.loader, ==, "/usr/share/CODE.fd");
  g_assert_cmpint (stored->os.loader_type, ==, VS_LOADER_PFLASH);
  g_assert_true (stored->os.loader_readonly);
  g_assert_cmpstr (stored->os.nvram_template, ==, "/usr/share/VARS.fd");
  g_assert_cmpstr (stored->os.nvram, ==, "/var/lib/a.fd");
  g_assert_true (vs_domain_def_guest_abi_equal (def, stored, NULL));
}

/* One change to a sample, and the words the difference must begin with; %NULL: the guest doesn't notice. */
typedef struct {
  const char *search;
  const char *replacement;
  const char *difference;
} AbiRow;

static const AbiRow abi_rows[] = {
  { "fedora.overlay", "fedora.other", NULL },
  { "<title>Fedora on the big machine</title>", "", NULL },
  { "cache='none' io='native'", "cache='writeback'", NULL },
  { "cache='none' io='native'", "", NULL },
  { "cache='none' io='native'", "cache='unsafe'", NULL },
  { "cache='none' io='native'", "cache='writethrough'", "write cache of disk vda: on, now off" },
  { "cache='none' io='native'", "cache='directsync'", "write cache of disk vda: on, now off" },
  { "slot='0x02' function='0x0' multifunction='on'", "slot='0x02' function='0x0'",
    "address of controller pci 1: pci 0000:00:02.0 multifunction, now pci 0000:00:02.0" },
  { "bus='0x06' slot='0x00' function='0x0'", "bus='0x06' slot='0x00' function='0x0' multifunction='off'", NULL },
  { "<currentMemory unit='KiB'>4194304</currentMemory>", "", NULL },
  { "<boot order='1'/>", "<boot order='9'/>", NULL },
  { "<stats period='5'/>", "", NULL },
  { "<input type='mouse' bus='ps2'>\n      <alias name='input1'/>\n    </input>", "", NULL },
  { "<address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>", "",
    "address of random number generator: pci 0000:06:00.0, now none given" },
  { "<address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>", "", NULL },
  { "<model type='virtio'/>", "<model type='virtio'/><rom enabled='no'/>", "boot ROM of interface 0: yes, now no" },
  { "<memory unit='KiB'>4194304</memory>", "<memory unit='GiB'>5</memory>", "memory: 4294967296 bytes, now" },
  { "domain type='kvm'", "domain type='qemu'", "type: kvm, now qemu" },
  { "pc-q35-9.2", "pc-q35-9.1", "machine type: pc-q35-9.2, now pc-q35-9.1" },
  { "8F2D6A10", "8F2D6A11", "uuid: " },
  { "<acpi/>", "", "ACPI: 1, now 0" },
  { "cores='2' threads='2'", "cores='4' threads='1'", "CPU topology: " },
  { "policy='disable' name='vmx'", "policy='require' name='vmx'", "CPU features: -vmx, now +vmx" },
  { "migratable='on'", "migratable='off'", "CPU properties: " },
  { "dev='vda' bus='virtio'", "dev='vda' bus='scsi'", "bus of disk vda: virtio, now scsi" },
  { "bus='0x04' slot='0x00'", "bus='0x07' slot='0x00'", "address of disk vda: pci 0000:04:00.0, now" },
  { "dev='sda' bus='sata'", "dev='sdb' bus='sata'", "bus of disk sda: only in one of the two" },
  { "52:54:00:AB:CD:01", "52:54:00:AB:CD:02", "MAC of interface 0: " },
  { "<model type='virtio'/>", "<model type='e1000e'/>", "model of interface 0: virtio, now e1000e" },
  { "qemu-xhci' ports='15'", "qemu-xhci' ports='8'", "ports of controller usb 0: 15, now 8" },
  { "<memballoon model='virtio'>\n      <stats period='5'/>", "<memballoon model='none'>", "presence of memory" },
  { "tpm-crb", "tpm-tis", "kind of TPM: tpm-crb 2.0, now tpm-tis 2.0" },
  { "name='org.qemu.guest_agent.0'", "name='org.example.a'", "name of channel port 0: org.qemu.guest_agent.0, now" },
  { "watchdog model='itco'", "watchdog model='i6300esb'", "model of watchdog: itco, now i6300esb" },
  { "<audio id='1' type='spice'/>", "<audio id='1' type='none'/>", NULL },
  { "<audio id='1' type='spice'/>", "<sound model='ich9'/>", "number of sound cards: 0, now 1" },
  { "<audio id='1' type='spice'/>", "<redirdev bus='usb' type='spicevmc'/>", "number of redirected USB ports: 0, now 1" },
  { "<model type='virtio' heads", "<model type='qxl' heads", "model of video card 0: virtio, now qxl" },
};

static void
test_abi_row (gconstpointer data)
{
  const AbiRow *row = data;
  g_autofree char *text = xml_sample_load ("q35-uefi-tpm.xml");
  guint line;
  g_autofree char *changed = xml_sample_replace (text, row->search, row->replacement, &line);
  g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) other = vs_domain_def_parse (changed, VS_DOMAIN_DEF_NONE, &error);
  g_autofree char *difference = NULL;
  gboolean equal;

  g_assert_no_error (error);
  equal = vs_domain_def_guest_abi_equal (def, other, &difference);
  g_assert_cmpint (equal, ==, row->difference == NULL);
  g_assert_cmpint (vs_domain_def_guest_abi_equal (other, def, NULL), ==, equal);
  if (row->difference == NULL)
    g_assert_null (difference);
  else if (!g_str_has_prefix (difference, row->difference))
    g_error ("'%s' doesn't begin with '%s'", difference, row->difference);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/copy/leaves-the-original-alone", test_copies_leave_the_original_alone);
  g_test_add_func ("/xml/copy/obeys-the-rules", test_copies_obey_the_rules);
  g_test_add_func ("/xml/copy/beside-has-places-of-its-own", test_copy_beside_has_places_of_its_own);
  for (gsize i = 0; i < G_N_ELEMENTS (alone); i++)
    {
      g_autofree char *path = g_strdup_printf ("/xml/alone/%s", alone[i].name);

      g_test_add_data_func (path, GSIZE_TO_POINTER (i), test_alone);
    }
  g_test_add_func ("/xml/copy/disk-source-forgets-the-old-chain", test_disk_source_moves_and_forgets_the_old_chain);
  g_test_add_func ("/xml/copy/disk-source-changes-format-and-kind", test_disk_source_changes_format_and_kind);
  g_test_add_func ("/xml/copy/firmware-choice-is-kept", test_firmware_choice_is_kept);
  for (gsize i = 0; i < G_N_ELEMENTS (abi_rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/xml/guest-abi/%02d-%s", (int) i,
                                               abi_rows[i].difference != NULL ? "is-noticed" : "is-not-noticed");

      g_test_add_data_func (path, &abi_rows[i], test_abi_row);
    }
  return g_test_run ();
}
