/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What people paste from `virsh dumpxml` is read, understood and kept.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "xml-samples.h"

static const char *const samples[] = { "q35-uefi-tpm.xml", "i440fx-windows.xml", "direct-kernel.xml" };

#define AT(list, type, i) ((const type *) g_ptr_array_index (list, i))

/* Lines without indentation and in one kind of quotes; empty ones don't count. */
static char **
comparable_lines (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GPtrArray *kept = g_ptr_array_new ();

  for (char **line = lines; *line != NULL; line++)
    {
      g_strstrip (g_strdelimit (*line, "'", '"'));
      if ((*line)[0] != '\0')
        g_ptr_array_add (kept, g_strdup (*line));
    }
  g_ptr_array_add (kept, NULL);
  return (char **) g_ptr_array_free (kept, FALSE);
}

static void
test_everything_written_survives (void)
{
  /* What is meant to change: the run's number goes, and uuid and MAC get their usual spelling. */
  static const char *const changed[] = { "<domain type=\"kvm\" id=\"7\">",
                                         "<uuid>8F2D6A10-5B7E-4D0C-9A41-0C6E1F2B3D44</uuid>", NULL };
  g_autofree char *text = xml_sample_load ("q35-uefi-tpm.xml");
  g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");
  g_autofree char *formatted = vs_domain_def_format (def);
  g_auto (GStrv) before = comparable_lines (text);
  g_auto (GStrv) after = comparable_lines (formatted);

  g_assert_cmpuint (g_strv_length (after), ==, g_strv_length (before));
  for (guint i = 0; before[i] != NULL; i++)
    if (!g_strv_contains (changed, before[i]))
      g_assert_cmpstr (after[i], ==, before[i]);
  g_assert_nonnull (strstr (formatted, "<b>all</b> <i>of</i> this"));
}

static void
test_format_and_parse_are_stable (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (samples); i++)
    {
      g_autoptr (VsDomainDef) def = xml_sample_parse (samples[i]);
      g_autofree char *once = vs_domain_def_format (def);
      g_autoptr (GError) error = NULL;
      g_autoptr (VsDomainDef) again = vs_domain_def_parse (once, VS_DOMAIN_DEF_VALIDATE, &error);
      g_autofree char *twice = NULL;
      g_autofree char *difference = NULL;

      g_assert_no_error (error);
      twice = vs_domain_def_format (again);
      g_assert_cmpstr (once, ==, twice);
      g_assert_true (vs_domain_def_guest_abi_equal (def, again, &difference));
      g_assert_null (difference);
    }
}

static void
test_machine_is_understood (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");

  g_assert_cmpstr (def->name, ==, "fedora-workstation");
  g_assert_cmpstr (def->uuid, ==, "8f2d6a10-5b7e-4d0c-9a41-0c6e1f2b3d44");
  g_assert_cmpstr (def->title, ==, "Fedora on the big machine");
  g_assert_cmpstr (def->description, ==, "Tried for the\nrelease notes.");
  g_assert_cmpint (def->type, ==, VS_DOMAIN_TYPE_KVM);
  g_assert_cmpuint (def->memory, ==, G_GUINT64_CONSTANT (4294967296));
  g_assert_cmpuint (def->vcpus, ==, 4);
  g_assert_cmpstr (def->emulator, ==, "/usr/bin/qemu-system-x86_64");
  g_assert_cmpstr (def->os.machine, ==, "pc-q35-9.2");
  g_assert_true (def->os.firmware_efi);
  g_assert_cmpint (def->os.secure_boot, ==, VS_TRISTATE_ON);
  g_assert_cmpint (def->os.enrolled_keys, ==, VS_TRISTATE_ON);
  g_assert_cmpint (def->os.loader_type, ==, VS_LOADER_PFLASH);
  g_assert_true (def->os.loader_readonly);
  g_assert_cmpstr (def->os.loader, ==, "/usr/share/OVMF/OVMF_CODE_4M.ms.fd");
  g_assert_cmpstr (def->os.nvram, ==, "/var/lib/vmsnap/nvram/fedora_VARS.fd");
  g_assert_cmpstr (def->os.nvram_template, ==, "/usr/share/OVMF/OVMF_VARS_4M.ms.fd");
  g_assert_cmpint (def->os.boot_menu, ==, VS_TRISTATE_OFF);
  g_assert_cmpuint (def->os.n_boot, ==, 0);
  g_assert_true (def->features.acpi && def->features.apic && !def->features.pae);
  g_assert_cmpint (def->features.vmport, ==, VS_TRISTATE_OFF);
  g_assert_cmpint (def->features.smm, ==, VS_TRISTATE_ON);
  g_assert_cmpint (def->suspend_to_mem, ==, VS_TRISTATE_OFF);
  g_assert_cmpint (def->cpu.mode, ==, VS_CPU_HOST_PASSTHROUGH);
  g_assert_cmpuint (def->cpu.cores, ==, 2);
  g_assert_cmpuint (def->cpu.threads, ==, 2);
  g_assert_cmpstr (def->cpu.properties[0], ==, "migratable=on");
  g_assert_cmpuint (def->cpu.features->len, ==, 1);
  g_assert_false (AT (def->cpu.features, VsCpuFeature, 0)->enable);
  g_assert_cmpstr (def->clock.rtc_tickpolicy, ==, "catchup");
  g_assert_cmpint (def->clock.hpet, ==, VS_TRISTATE_OFF);
}

static void
test_devices_are_understood (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");
  const VsDiskDef *disk = vs_domain_def_find_disk (def, "vda");
  const VsDiskDef *cdrom = vs_domain_def_find_disk (def, "sda");
  const VsControllerDef *port = AT (def->controllers, VsControllerDef, 3);
  const VsInterfaceDef *interface = AT (def->interfaces, VsInterfaceDef, 0);

  g_assert_cmpuint (def->disks->len, ==, 2);
  g_assert_cmpstr (disk->path, ==, "/var/lib/vmsnap/images/fedora.overlay");
  g_assert_cmpstr (disk->format, ==, "qcow2");
  g_assert_cmpstr (disk->cache, ==, "none");
  g_assert_cmpstr (disk->io, ==, "native");
  g_assert_cmpstr (disk->discard, ==, "unmap");
  g_assert_cmpuint (disk->boot_order, ==, 1);
  g_assert_cmpstr (disk->alias, ==, "virtio-disk0");
  g_assert_cmpint (disk->address.type, ==, VS_ADDRESS_PCI);
  g_assert_cmpuint (disk->address.bus, ==, 4);
  g_assert_cmpint (cdrom->bus, ==, VS_DISK_BUS_SATA);
  g_assert_true (cdrom->is_cdrom && cdrom->readonly);
  g_assert_null (vs_domain_def_find_disk (def, "vdb"));
  g_assert_cmpint (port->type, ==, VS_CONTROLLER_PCI);
  g_assert_cmpstr (port->model, ==, "pcie-root-port");
  g_assert_cmpint (port->chassis, ==, 2);
  g_assert_cmpint (port->port, ==, 0x11);
  g_assert_cmpint (port->hotplug, ==, VS_TRISTATE_ON);
  g_assert_cmpuint (port->address.function, ==, 1);
  g_assert_cmpint (interface->type, ==, VS_INTERFACE_BRIDGE);
  g_assert_cmpstr (interface->bridge, ==, "virbr0");
  g_assert_cmpstr (interface->mac, ==, "52:54:00:ab:cd:01");
  g_assert_null (interface->ifname);
  g_assert_cmpstr (def->tpm->model, ==, "tpm-crb");
  g_assert_cmpstr (def->tpm->version, ==, "2.0");
  g_assert_nonnull (def->memballoon);
  g_assert_cmpstr (AT (def->rngs, VsRngDef, 0)->path, ==, "/dev/urandom");
  g_assert_cmpstr (AT (def->watchdogs, VsWatchdogDef, 0)->model, ==, "itco");
  g_assert_cmpuint (def->inputs->len, ==, 3);
  g_assert_cmpstr (AT (def->inputs, VsInputDef, 0)->address.port, ==, "1");
}

static void
test_guest_meets_host (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");
  const VsChardevDef *agent = AT (def->channels, VsChardevDef, 0);
  const VsGraphicsDef *spice = AT (def->graphics, VsGraphicsDef, 0);

  /* The console repeats the serial port, and isn't a device of its own. */
  g_assert_cmpuint (def->serials->len, ==, 1);
  g_assert_cmpuint (def->consoles->len, ==, 0);
  g_assert_cmpstr (AT (def->serials, VsChardevDef, 0)->target_type, ==, "isa-serial");
  g_assert_cmpuint (def->channels->len, ==, 2);
  g_assert_cmpstr (agent->target_name, ==, "org.qemu.guest_agent.0");
  g_assert_null (agent->path);
  g_assert_true (agent->listen);
  g_assert_nonnull (vs_domain_def_find_guest_agent (def));
  g_assert_cmpint (AT (def->channels, VsChardevDef, 1)->type, ==, VS_CHARDEV_SPICEVMC);
  g_assert_cmpint (spice->type, ==, VS_GRAPHICS_SPICE);
  g_assert_true (spice->autoport);
  g_assert_cmpint (spice->port, ==, -1);
  g_assert_cmpstr (spice->listen_address, ==, "127.0.0.1");
}

static void
test_windows_is_understood (void)
{
  static const char *const properties[] = {
    "kvm-pv-eoi=on",        "hv-relaxed=on",       "hv-vapic=on",         "hv-vpindex=on", "hv-synic=on",
    "hv-stimer=on",         "hv-stimer-direct=on", "hv-spinlocks=8191",   "hv-vendor-id=KVM Hv",
    "kvm=off",              "kvm-pv-unhalt=on",    "vendor=GenuineIntel", "host-cache-info=on",
    "phys-bits=42",         "kvmclock=off",        "hv-time=on",          "tsc-frequency=2400000000",
  };
  g_autoptr (VsDomainDef) def = xml_sample_parse ("i440fx-windows.xml");

  g_assert_cmpstr (def->name, ==, "büro-windows");
  g_assert_cmpstr (def->uuid, ==, "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
  g_assert_cmpuint (def->memory, ==, G_GUINT64_CONSTANT (8) << 30);
  g_assert_cmpuint (g_strv_length (def->cpu.properties), ==, G_N_ELEMENTS (properties));
  for (gsize i = 0; i < G_N_ELEMENTS (properties); i++)
    g_assert_cmpstr (def->cpu.properties[i], ==, properties[i]);
  g_assert_cmpint (def->cpu.mode, ==, VS_CPU_CUSTOM);
  g_assert_cmpstr (def->cpu.model, ==, "Skylake-Client-noTSX-IBRS");
  g_assert_cmpuint (def->cpu.features->len, ==, 3);
  g_assert_true (AT (def->cpu.features, VsCpuFeature, 1)->enable);
  g_assert_false (AT (def->cpu.features, VsCpuFeature, 2)->enable);
  g_assert_cmpint (def->features.pmu, ==, VS_TRISTATE_OFF);
  g_assert_true (def->features.pae);
  g_assert_cmpint (def->clock.offset, ==, VS_CLOCK_VARIABLE);
  g_assert_cmpint (def->clock.adjustment, ==, -3600);
  g_assert_true (def->clock.basis_localtime);
  g_assert_cmpstr (def->clock.rtc_track, ==, "guest");
  g_assert_cmpint (def->on_reboot, ==, VS_LIFECYCLE_DESTROY);
  g_assert_cmpint (def->on_crash, ==, VS_LIFECYCLE_RESTART);
  g_assert_cmpuint (def->os.n_boot, ==, 2);
  g_assert_cmpint (def->os.boot[0], ==, VS_BOOT_CDROM);
  g_assert_cmpint (def->os.boot_menu_timeout_ms, ==, 3000);
  g_assert_cmpstr (def->qemu_args[0], ==, "-device");
  g_assert_cmpstr (def->qemu_args[1], ==, "edu,id=\"x\"");
  g_assert_null (def->qemu_args[2]);
  g_assert_cmpstr (def->qemu_env[0], ==, "QEMU_AUDIO_DRV=none");
}

static void
test_unusual_devices_are_understood (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("i440fx-windows.xml");
  const VsDiskDef *ide = vs_domain_def_find_disk (def, "hda");
  const VsDiskDef *scsi = vs_domain_def_find_disk (def, "sda");
  const VsDiskDef *virtio = vs_domain_def_find_disk (def, "vda");
  const VsDiskDef *empty = vs_domain_def_find_disk (def, "hdb");

  g_assert_true (ide->is_block);
  g_assert_cmpstr (ide->path, ==, "/dev/mapper/vg-windows");
  g_assert_cmpstr (ide->error_policy, ==, "enospace");
  g_assert_cmpstr (ide->serial, ==, "WD-12 34");
  g_assert_cmpstr (ide->wwn, ==, "5000c50015ea71aa");
  g_assert_cmpint (ide->snapshot, ==, VS_DISK_SNAPSHOT_NO);
  g_assert_true (scsi->shareable && scsi->removable);
  g_assert_cmpuint (scsi->rotation_rate, ==, 1);
  g_assert_cmpuint (scsi->address.unit, ==, 5);
  g_assert_cmpint (virtio->bus, ==, VS_DISK_BUS_VIRTIO);
  g_assert_cmpstr (virtio->path, ==, "/srv/data & more.qcow2");
  g_assert_cmpuint (virtio->queues, ==, 2);
  g_assert_true (virtio->readonly);
  g_assert_null (empty->path);
  g_assert_cmpstr (AT (def->videos, VsVideoDef, 0)->model, ==, "qxl");
  g_assert_false (AT (def->videos, VsVideoDef, 1)->primary);
  g_assert_null (def->memballoon);
  g_assert_null (AT (def->rngs, VsRngDef, 0)->path);
  g_assert_cmpuint (AT (def->rngs, VsRngDef, 0)->rate_period_ms, ==, 2000);
  g_assert_true (def->tpm->persistent_state);
  g_assert_cmpstr (AT (def->watchdogs, VsWatchdogDef, 0)->action, ==, "poweroff");
  g_assert_cmpint (AT (def->controllers, VsControllerDef, 1)->usb_master_startport, ==, 0);
  g_assert_cmpuint (AT (def->controllers, VsControllerDef, 3)->queues, ==, 4);
}

static void
test_unusual_connections_are_understood (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("i440fx-windows.xml");
  const VsInterfaceDef *bridge = AT (def->interfaces, VsInterfaceDef, 0);
  const VsGraphicsDef *vnc = AT (def->graphics, VsGraphicsDef, 0);

  g_assert_cmpstr (bridge->bridge, ==, "br0");
  g_assert_cmpstr (bridge->ifname, ==, "win-tap0");
  g_assert_cmpint (bridge->link, ==, VS_TRISTATE_OFF);
  g_assert_cmpint (AT (def->interfaces, VsInterfaceDef, 1)->type, ==, VS_INTERFACE_USER);
  g_assert_cmpstr (AT (def->interfaces, VsInterfaceDef, 2)->bridge, ==, "virbr7");
  g_assert_cmpuint (def->serials->len, ==, 3);
  g_assert_false (AT (def->serials, VsChardevDef, 0)->listen);
  g_assert_true (AT (def->serials, VsChardevDef, 1)->append);
  g_assert_cmpstr (AT (def->serials, VsChardevDef, 1)->target_type, ==, "pci-serial");
  g_assert_cmpuint (AT (def->serials, VsChardevDef, 2)->target_port, ==, 2);
  g_assert_cmpuint (def->consoles->len, ==, 1);
  g_assert_cmpuint (AT (def->consoles, VsChardevDef, 0)->target_port, ==, 1);
  g_assert_null (AT (def->channels, VsChardevDef, 0)->path);
  g_assert_cmpstr (AT (def->channels, VsChardevDef, 1)->path, ==, "/run/user/1000/mine.sock");
  g_assert_cmpint (vnc->listen, ==, VS_LISTEN_SOCKET);
  g_assert_cmpstr (vnc->socket, ==, "/run/user/1000/vnc.sock");
  g_assert_cmpstr (vnc->keymap, ==, "de");
  g_assert_cmpint (AT (def->graphics, VsGraphicsDef, 1)->listen, ==, VS_LISTEN_NONE);
  g_assert_false (AT (def->graphics, VsGraphicsDef, 1)->autoport);
}

static void
test_defaults_are_libvirts (void)
{
  g_autoptr (VsDomainDef) def = xml_sample_parse ("direct-kernel.xml");
  const VsDiskDef *disk = AT (def->disks, VsDiskDef, 0);

  g_assert_cmpint (def->type, ==, VS_DOMAIN_TYPE_QEMU);
  g_assert_cmpuint (def->memory, ==, 256 << 20);
  g_assert_cmpuint (def->vcpus, ==, 1);
  g_assert_cmpstr (def->os.arch, ==, "x86_64");
  g_assert_null (def->os.machine);
  g_assert_null (def->emulator);
  g_assert_cmpstr (def->os.kernel, ==, "/boot/vmlinuz");
  g_assert_cmpstr (def->os.cmdline, ==, "console=ttyS0 quiet \"a b\"");
  g_assert_cmpint (def->cpu.mode, ==, VS_CPU_DEFAULT);
  g_assert_cmpuint (def->cpu.sockets, ==, 0);
  g_assert_null (def->cpu.properties[0]);
  g_assert_cmpint (def->on_poweroff, ==, VS_LIFECYCLE_DESTROY);
  g_assert_cmpint (def->on_reboot, ==, VS_LIFECYCLE_RESTART);
  g_assert_cmpuint (def->os.n_boot, ==, 1);
  g_assert_cmpint (def->os.boot[0], ==, VS_BOOT_HD);
  g_assert_cmpstr (disk->format, ==, "raw");
  g_assert_cmpint (disk->bus, ==, VS_DISK_BUS_VIRTIO);
  g_assert_false (disk->is_cdrom || disk->readonly);
  /* A console alone implies the serial port it talks to. */
  g_assert_cmpuint (def->serials->len, ==, 1);
  g_assert_cmpstr (AT (def->serials, VsChardevDef, 0)->path, ==, "/tmp/tiny.log");
  g_assert_cmpuint (def->consoles->len, ==, 0);
}

static void
test_identity_is_made_and_written_back (void)
{
  g_autofree char *text = xml_sample_load ("direct-kernel.xml");
  g_autoptr (VsDomainDef) one = xml_sample_parse ("direct-kernel.xml");
  g_autoptr (VsDomainDef) two = xml_sample_parse ("direct-kernel.xml");
  const VsInterfaceDef *interface = AT (one->interfaces, VsInterfaceDef, 0);
  g_autofree char *formatted = vs_domain_def_format (one);
  g_autofree char *uuid = g_strdup_printf ("<name>tiny</name>\n  <uuid>%s</uuid>", one->uuid);
  g_autofree char *mac = g_strdup_printf ("<mac address=\"%s\"/>", interface->mac);

  g_assert_null (strstr (text, "uuid"));
  g_assert_true (g_uuid_string_is_valid (one->uuid));
  g_assert_cmpstr (one->uuid, !=, two->uuid);
  g_assert_true (g_str_has_prefix (interface->mac, "52:54:00:"));
  g_assert_nonnull (strstr (formatted, uuid));
  g_assert_nonnull (strstr (formatted, mac));
}

static void
test_units_of_memory (void)
{
  static const struct {
    const char *xml;
    guint64 bytes;
  } rows[] = {
    { "<memory unit='b'>1048577</memory>", 2 << 20 }, /* rounded up to MiB, as libvirt does */
    { "<memory unit='KB'>2097152</memory>", G_GUINT64_CONSTANT (2000) << 20 },
    { "<memory unit='k'>1024</memory>", 1 << 20 },
    { "<memory unit='MB'>1000</memory>", G_GUINT64_CONSTANT (954) << 20 },
    { "<memory unit='M'> 64 </memory>", 64 << 20 },
    { "<memory unit='G'>3</memory>", G_GUINT64_CONSTANT (3) << 30 },
    { "<memory unit='TiB'>16</memory>", G_GUINT64_CONSTANT (16) << 40 },
    { "<memory dumpCore='off'>1025</memory>", 2 << 20 },
  };
  g_autofree char *text = xml_sample_load ("direct-kernel.xml");

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      guint line;
      g_autofree char *changed = xml_sample_replace (text, "<memory>262144</memory>", rows[i].xml, &line);
      g_autoptr (GError) error = NULL;
      g_autoptr (VsDomainDef) def = vs_domain_def_parse (changed, VS_DOMAIN_DEF_VALIDATE, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (def->memory, ==, rows[i].bytes);
    }
}

static void
test_comments_and_cdata_are_harmless (void)
{
  g_autofree char *text = xml_sample_load ("direct-kernel.xml");
  guint line;
  g_autofree char *changed = xml_sample_replace (text, "<name>tiny</name>",
                                                 "<!-- a --><?pi b?><name><![CDATA[t<i]]>ny<!-- c --></name>", &line);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (changed, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (def->name, ==, "t<iny");
}

static void
test_any_prefix_serves_for_qemu (void)
{
  g_autofree char *text = xml_sample_load ("direct-kernel.xml");
  guint line;
  g_autofree char *changed
    = xml_sample_replace (text, "</domain>",
                          "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:arg value='-S'/>"
                          "</q:commandline></domain>",
                          &line);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (changed, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (def->qemu_args[0], ==, "-S");
}

/* What libvirt leaves unsaid in its saved images, and what it says itself, which stays. */
static void
test_foreign_images_are_completed (void)
{
  static const struct
  {
    const char *machine;
    const char *devices;
    const char *added; /* or kept */
    const char *never;
  } table[] = {
    { "pc-i440fx-7.2", "", "model=\"piix3-uhci\"", "ports" },
    { "pc-i440fx-7.2", "<controller type='usb' model='none'/>", "model=\"none\"", "piix3" },
    { "pc-q35-7.2", "", "<devices", "usb" },
    { "pc-q35-7.2", "<controller type='usb' model='qemu-xhci'/>", "ports=\"4\"", "piix3" },
    { "pc-q35-7.2", "<controller type='usb' model='qemu-xhci' ports='15'/>", "ports=\"15\"", "ports=\"4\"" },
    { "pc-q35-7.2", "<interface type='user'/>", "<rom enabled=\"yes\"/>", "enabled=\"no\"" },
    { "pc-q35-7.2", "<interface type='user'><rom enabled='no'/></interface>", "enabled=\"no\"", "enabled=\"yes\"" },
    { "pc-q35-7.2", "<video><model type='cirrus' vram='16384'/></video>", "cirrus", "vram" },
    { "pc-q35-7.2", "<console type='null'><target type='virtio'/></console>", "port=\"0\"", "port=\"1\"" },
    { "pc-q35-7.2",
      "<channel type='null'><target type='virtio' name='a'/><address type='virtio-serial' port='1'/></channel>"
      "<console type='null'><target type='virtio'/></console><console type='null'><target type='virtio'/></console>",
      "port=\"2\"", "port=\"3\"" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autofree char *xml = g_strdup_printf (
        "<domain type='qemu'><name>n</name><memory>65536</memory><os><type machine='%s'>hvm</type></os>"
        "<devices>%s</devices></domain>", table[i].machine, table[i].devices);
      g_autoptr (GError) error = NULL;
      g_autoptr (VsDomainDef) def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_FOREIGN_IMAGE, &error);
      g_autofree char *text = NULL;

      g_assert_no_error (error);
      text = vs_domain_def_format (def);
      if (strstr (text, table[i].added) == NULL || strstr (text, table[i].never) != NULL)
        g_error ("'%s' not in, or '%s' in: %s", table[i].added, table[i].never, text);
    }
}

static gpointer
parse_many_times (gpointer data)
{
  for (int i = 0; i < 20; i++)
    {
      g_autoptr (VsDomainDef) def = xml_sample_parse ("q35-uefi-tpm.xml");
      g_autoptr (VsDomainDef) shared = vs_domain_def_ref (data);
      g_autofree char *text = vs_domain_def_format (shared);

      g_assert_true (vs_domain_def_guest_abi_equal (def, shared, NULL));
    }
  return NULL;
}

static void
test_threads_may_parse_and_share (void)
{
  g_autoptr (VsDomainDef) shared = xml_sample_parse ("q35-uefi-tpm.xml");
  GThread *threads[4];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("parser", parse_many_times, shared);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/domain/everything-written-survives", test_everything_written_survives);
  g_test_add_func ("/xml/domain/format-and-parse-are-stable", test_format_and_parse_are_stable);
  g_test_add_func ("/xml/domain/machine-is-understood", test_machine_is_understood);
  g_test_add_func ("/xml/domain/devices-are-understood", test_devices_are_understood);
  g_test_add_func ("/xml/domain/guest-meets-host", test_guest_meets_host);
  g_test_add_func ("/xml/domain/windows-is-understood", test_windows_is_understood);
  g_test_add_func ("/xml/domain/unusual-devices-are-understood", test_unusual_devices_are_understood);
  g_test_add_func ("/xml/domain/unusual-connections-are-understood", test_unusual_connections_are_understood);
  g_test_add_func ("/xml/domain/defaults-are-libvirts", test_defaults_are_libvirts);
  g_test_add_func ("/xml/domain/identity-is-made-and-written-back", test_identity_is_made_and_written_back);
  g_test_add_func ("/xml/domain/units-of-memory", test_units_of_memory);
  g_test_add_func ("/xml/domain/comments-and-cdata-are-harmless", test_comments_and_cdata_are_harmless);
  g_test_add_func ("/xml/domain/any-prefix-serves-for-qemu", test_any_prefix_serves_for_qemu);
  g_test_add_func ("/xml/domain/threads-may-parse-and-share", test_threads_may_parse_and_share);
  g_test_add_func ("/xml/domain/foreign-images-are-completed", test_foreign_images_are_completed);
  return g_test_run ();
}
