/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Command lines: compared, for a table of definitions, with what is written down beside them in command-line/, and
 * tried on the real QEMU. With VMSNAP_UPDATE_GOLDEN set in the environment, what is written down is written anew.
 */
#include "vs-command-line.h"

#include "vmsnap-error.h"
#include "vs-guest.h"
#include "vs-image-tool.h"

#include <glib/gstdio.h>
#include <string.h>

#define QEMU "qemu-system-x86_64"
#define PATIENCE (60 * G_USEC_PER_SEC)

/* Only written down: nobody listens there. */
#define GOLDEN_SPICE_PORT 5999

/* A time to count from: 2026-01-02 03:04:05 UTC. */
#define NOW G_GINT64_CONSTANT (1767323045)

typedef struct
{
  char *dir;
  char *tool;
  VsHypervisor *hypervisor;
} Fixture;

static void
run_tool (const char *first, ...)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;
  va_list ap;

  va_start (ap, first);
  for (const char *arg = first; arg != NULL; arg = va_arg (ap, const char *))
    g_ptr_array_add (argv, (gpointer)arg);
  va_end (ap);
  g_ptr_array_add (argv, NULL);
  vs_process_run ((const char *const *)argv->pdata, 65536, PATIENCE, NULL, &output, &errors, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->dir = g_dir_make_tmp ("vmsnap-line-XXXXXX", NULL);
  f->tool = vs_image_tool_find (NULL, &error);
  g_assert_no_error (error);
  f->hypervisor = vs_hypervisor_get (QEMU, NULL, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  run_tool ("rm", "-rf", f->dir, NULL);
  g_free (f->dir);
  g_free (f->tool);
  g_object_unref (f->hypervisor);
}

static char *
replace (const char *text, const char *what, const char *with)
{
  g_auto (GStrv) pieces = g_strsplit (text, what, -1);

  return g_strjoinv (with, pieces);
}

static char *
data_path (const char *name, const char *suffix)
{
  g_autofree char *file = g_strconcat (name, suffix, NULL);

  return g_test_build_filename (G_TEST_DIST, "command-line", file, NULL);
}

static VsDomainDef *
parse (const char *xml)
{
  g_autoptr (GError) error = NULL;
  VsDomainDef *def = vs_domain_def_parse (xml, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_no_error (error);
  return def;
}

static VsDomainDef *
load (Fixture *f, const char *name)
{
  g_autofree char *path = data_path (name, ".xml");
  g_autofree char *template = NULL;
  g_autofree char *xml = NULL;

  g_assert_true (g_file_get_contents (path, &template, NULL, NULL));
  xml = replace (template, "@DIR@", f->dir);
  return parse (xml);
}

/* The files that a definition names, empty but of the right format and size. */
static void
make_files (Fixture *f, VsDomainDef *def)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);

      if (disk->path != NULL && !g_file_test (disk->path, G_FILE_TEST_EXISTS))
        run_tool (f->tool, "create", "-q", "-f", disk->format, disk->path, "1M", NULL);
    }
  if (def->os.loader != NULL)
    run_tool ("truncate", "-s", "3653632", def->os.loader, NULL);
  if (def->os.nvram != NULL)
    run_tool ("truncate", "-s", "540672", def->os.nvram, NULL);
}

static void
unref_chain (gpointer chain)
{
  vs_disk_chain_unref (chain);
}

static GHashTable *
probe_chains (Fixture *f, VsDomainDef *def)
{
  GHashTable *chains = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, unref_chain);

  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      g_autoptr (GError) error = NULL;

      if (disk->path != NULL)
        g_hash_table_insert (chains, disk->target, vs_disk_chain_probe (disk, NULL, &error));
      g_assert_no_error (error);
    }
  return chains;
}

/* The kernel chooses: who looks at the same time gets another one. */
static int
free_port (void)
{
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new (loopback, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  g_autoptr (GSocketAddress) bound = NULL;

  g_assert_no_error (error);
  g_socket_bind (socket, any, TRUE, &error);
  g_assert_no_error (error);
  bound = g_socket_get_local_address (socket, &error);
  g_assert_no_error (error);
  return g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound));
}

static GStrv
build_with_port (Fixture *f, VsDomainDef *def, GHashTable *chains, int spice_port, GError **error)
{
  static const int tap_fds[] = { VS_GUEST_FIRST_FREE_FD, VS_GUEST_FIRST_FREE_FD + 1 };
  g_autofree char *directory = vs_guest_directory (f->dir, def->uuid);
  const VsCommandLineContext context = {
    .directory = directory,
    .chains = chains,
    .tap_fds = tap_fds,
    .n_tap_fds = G_N_ELEMENTS (tap_fds),
    .spice_port = spice_port,
    .now = NOW,
  };

  return vs_command_line_build (def, f->hypervisor, &context, error);
}

static GStrv
build (Fixture *f, VsDomainDef *def, GHashTable *chains, GError **error)
{
  return build_with_port (f, def, chains, GOLDEN_SPICE_PORT, error);
}

/* One argument a line, and nothing of this machine in it. */
static char *
as_text (Fixture *f, const char *const *argv)
{
  g_autofree char *joined = g_strjoinv ("\n", (GStrv)argv + 1);
  g_autofree char *text = replace (joined, f->dir, "@DIR@");

  return g_strconcat ("qemu\n", text, "\n", NULL);
}

static void
compare (Fixture *f, const char *name, const char *const *argv)
{
  g_autofree char *path = data_path (name, ".args");
  g_autofree char *text = as_text (f, argv);
  g_autofree char *expected = NULL;

  if (g_getenv ("VMSNAP_UPDATE_GOLDEN") != NULL)
    g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_true (g_file_get_contents (path, &expected, NULL, NULL));
  g_assert_cmpstr (text, ==, expected);
}

static VsGuest *
start (Fixture *f, VsDomainDef *def, const char *const *argv)
{
  const VsGuestSpec spec = { .runtime_directory = f->dir,
                             .log_directory = f->dir,
                             .uuid = def->uuid,
                             .name = def->name,
                             .argv = argv,
                             .timeout = PATIENCE };
  g_autoptr (GError) error = NULL;
  VsGuest *guest = vs_guest_spawn (&spec, NULL, &error);

  g_assert_no_error (error);
  return guest;
}

static JsonNode *
ask (VsGuest *guest, const char *command, JsonObject *arguments)
{
  g_autoptr (GError) error = NULL;
  JsonNode *reply = qmp_client_call (vs_guest_get_client (guest), command, arguments, NULL, &error);

  g_assert_no_error (error);
  return reply;
}

static void
finish (VsGuest *guest)
{
  g_assert_true (vs_guest_end (guest, VS_PROCESS_END_KILL, 0, NULL, NULL));
  vs_guest_cleanup (guest);
  g_object_unref (guest);
}

/* The active node of each disk is the one its device has, under the names that were promised. (Not by query-block,
 * whose answer nests as deep as the chain is long.) */
static void
check_disks (VsGuest *guest, VsDomainDef *def, GHashTable *chains)
{
  for (guint i = 0; i < def->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (def->disks, i);
      VsDiskChain *chain = g_hash_table_lookup (chains, disk->target);
      g_autofree char *node = chain != NULL ? vs_block_node_name (disk->target, chain->files->len - 1) : g_strdup ("");
      g_autofree char *id = vs_block_device_id (disk->target);
      g_autofree char *path = g_strconcat ("/machine/peripheral/", id, NULL);
      JsonObject *arguments = json_object_new ();
      g_autoptr (JsonNode) reply = NULL;

      json_object_set_string_member (arguments, "path", path);
      json_object_set_string_member (arguments, "property", "drive");
      reply = ask (guest, "qom-get", arguments);
      g_assert_cmpstr (json_node_get_string (reply), ==, node);
    }
}

static void
check_accepted (Fixture *f, VsDomainDef *def, GHashTable *chains, GStrv argv)
{
  VsGuest *guest = start (f, def, (const char *const *)argv);
  g_autoptr (JsonNode) reply = ask (guest, "query-status", NULL);
  g_autofree char *words = vs_process_get_last_words (vs_guest_get_process (guest));

  g_assert_cmpstr (json_object_get_string_member (json_node_get_object (reply), "status"), ==, "prelaunch");
  check_disks (guest, def, chains);
  /* Nothing deprecated, nothing ignored. */
  g_assert_null (strstr (words, "warning"));
  finish (guest);
}

/* A definition of command-line/. What needs a bridge, a TPM, a kernel is tried where there is one; what needs SPICE is
 * refused by a QEMU that lacks it. */
typedef enum
{
  TRIED,
  TRIED_WITH_SPICE,
  COMPARED,
  COMPARED_WITH_SPICE,
} Depth;

typedef struct
{
  const char *name;
  Depth depth;
} Case;

static const Case cases[] = {
  { "addresses-pc", TRIED },
  { "addresses-q35", TRIED },
  { "boot", TRIED },
  { "bridge", COMPARED },
  { "chardevs", TRIED },
  { "commas", TRIED },
  { "cpu", TRIED },
  { "desktop-pc", TRIED_WITH_SPICE },
  { "desktop-q35", TRIED_WITH_SPICE },
  { "desktop-uefi", COMPARED_WITH_SPICE },
  { "displays", COMPARED_WITH_SPICE },
  { "kernel", COMPARED },
  { "lifecycle", TRIED },
  { "many-disks", TRIED },
  { "maximum", TRIED },
  { "minimal", TRIED },
  { "pc-old", TRIED },
  { "q35-desktop", TRIED },
  { "sata-on-pc", TRIED },
  { "scsi", TRIED },
  { "server-q35", TRIED },
  { "sounds", TRIED },
  { "tpm", COMPARED },
  { "two-heads", TRIED_WITH_SPICE },
  { "uefi", TRIED },
  { "usb", TRIED },
};

static gboolean
has_spice (void)
{
  const char *const argv[] = { QEMU, "-device", "help", NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;

  return vs_process_run (argv, 65536, PATIENCE, NULL, &output, &errors, NULL) && strstr (output, "\"qxl\"") != NULL;
}

/* With a port of its own: the one that is written down may be another's at the moment. */
static void
try_case (Fixture *f, VsDomainDef *def, GHashTable *chains)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) argv = build_with_port (f, def, chains, free_port (), &error);

  g_assert_no_error (error);
  check_accepted (f, def, chains, argv);
}

static void
test_case (Fixture *f, gconstpointer data)
{
  const Case *c = data;
  g_autoptr (VsDomainDef) def = load (f, c->name);
  g_autoptr (GHashTable) chains = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) argv = NULL;
  g_auto (GStrv) again = NULL;

  make_files (f, def);
  chains = probe_chains (f, def);
  argv = build (f, def, chains, &error);
  if ((c->depth == TRIED_WITH_SPICE || c->depth == COMPARED_WITH_SPICE) && !has_spice ())
    {
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
      g_assert_nonnull (strstr (error->message, "qemu-system-modules-spice"));
      return;
    }
  g_assert_no_error (error);
  compare (f, c->name, (const char *const *)argv);
  again = build (f, def, chains, NULL);
  g_assert_true (g_strv_equal ((const char *const *)argv, (const char *const *)again));
  if (c->depth == TRIED || c->depth == TRIED_WITH_SPICE)
    try_case (f, def, chains);
}

#define DOMAIN(attributes, machine, rest, devices)                                                                     \
  "<domain " attributes "><name>web</name><memory>65536</memory><os><type" machine ">hvm</type></os>" rest             \
  "<devices>" devices "</devices></domain>"
#define QEMU_TYPE "type='qemu'"
#define Q35 " machine='pc-q35-7.2'"
#define PC " machine='pc-i440fx-7.2'"
#define EMPTY_CDROM(target, bus) "<disk type='file' device='cdrom'><target dev='" target "' bus='" bus "'/></disk>"
#define RNGS                                                                                                           \
  "<rng model='virtio'><backend model='builtin'/></rng><rng model='virtio'><backend model='builtin'/></rng>"           \
  "<rng model='virtio'><backend model='builtin'/></rng><rng model='virtio'><backend model='builtin'/></rng>"           \
  "<rng model='virtio'><backend model='builtin'/></rng><rng model='virtio'><backend model='builtin'/></rng>"

#define AT(machine, devices, words)                                                                                    \
  {                                                                                                                    \
    DOMAIN (QEMU_TYPE, machine, "", devices), VMSNAP_ERROR_INVALID_XML, words                                          \
  }
#define PCI(bus, slot, function) "<address type='pci' bus='" bus "' slot='" slot "' function='" function "'/>"
#define PCI_RNG(bus, slot, function)                                                                                   \
  "<rng model='virtio'><backend model='builtin'/>" PCI (bus, slot, function) "</rng>"
#define PORT(index, address)                                                                                           \
  "<controller type='pci' index='" index "' model='pcie-root-port'>" address "</controller>"
#define CHANNEL(controller, port)                                                                                      \
  "<channel type='null'><target type='virtio' name='n" controller port "'/>"                                           \
  "<address type='virtio-serial' controller='" controller "' bus='0' port='" port "'/></channel>"
#define CDROM_AT(target, bus, controller, index, unit)                                                                 \
  "<disk type='file' device='cdrom'><target dev='" target "' bus='" bus "'/><address type='drive' controller='"        \
  controller "' bus='" index "' target='0' unit='" unit "'/></disk>"

static const struct
{
  const char *xml;
  int code;
  const char *words;
} refusals[] = {
  { DOMAIN (QEMU_TYPE, Q35, "", EMPTY_CDROM ("hda", "ide")), VMSNAP_ERROR_INVALID_XML, "has no IDE bus for disk hda" },
  { DOMAIN (QEMU_TYPE, Q35, "<cpu mode='host-passthrough'/>", ""), VMSNAP_ERROR_INVALID_XML, "mode='maximum'" },
  { DOMAIN (QEMU_TYPE, " machine='pc-q35-77.7'", "", ""), VMSNAP_ERROR_NOT_SUPPORTED, "pc-q35-77.7" },
  { DOMAIN (QEMU_TYPE, " machine='microvm'", "", ""), VMSNAP_ERROR_INVALID_XML, "microvm isn't supported" },
  { DOMAIN (QEMU_TYPE, PC, "", "<watchdog model='itco'/>"), VMSNAP_ERROR_INVALID_XML, "itco" },
  { DOMAIN (QEMU_TYPE, PC, "", "<controller type='usb' model='none'/><input type='tablet' bus='usb'/>"),
    VMSNAP_ERROR_INVALID_XML, "bus='usb'" },
  { DOMAIN (QEMU_TYPE,
            PC,
            "",
            EMPTY_CDROM ("hda", "ide") EMPTY_CDROM ("hdb", "ide") EMPTY_CDROM ("hdc", "ide") EMPTY_CDROM ("hdd", "ide")
              EMPTY_CDROM ("hde", "ide")),
    VMSNAP_ERROR_INVALID_XML, "4 disks" },
  { DOMAIN (QEMU_TYPE, PC, "", RNGS RNGS RNGS RNGS RNGS), VMSNAP_ERROR_NOT_SUPPORTED, "q35 machine has more" },
  { DOMAIN (QEMU_TYPE, Q35, "", "<graphics type='spice' port='5901' tlsPort='5902'/>"), VMSNAP_ERROR_INVALID_XML,
    "TLS" },
  { "<domain type='qemu'><name>web</name><memory>65536</memory><os firmware='efi'><type machine='pc-q35-7.2'>hvm</type>"
    "</os></domain>",
    VMSNAP_ERROR_INVALID_XML, "no firmware has been chosen" },
  { DOMAIN (QEMU_TYPE, Q35, "", "<disk type='file'><source file='/x'/><target dev='vda' bus='virtio'/></disk>"),
    VMSNAP_ERROR_FAILED, "disk vda" },
  AT (PC, PCI_RNG ("0", "7", "0") "\n" PCI_RNG ("0", "7", "0"), "line 2: PCI address 00:07.0 is taken by line 1"),
  AT (PC, "\n" PCI_RNG ("0", "1", "0"), "line 2: PCI address 00:01.0 is the machine's own"),
  AT (Q35, PCI_RNG ("0", "31", "2"), "line 1: PCI address 00:1f.2 is the machine's own"),
  AT (PC, PCI_RNG ("0", "0", "0"), "no slot 0 for a device; accepted: from 1 to 31"),
  AT (PC, PCI_RNG ("3", "1", "0"), "no PCI bus 3; add <controller type='pci' index='3'"),
  AT (Q35, PCI_RNG ("1", "4", "0") PORT ("1", ""), "no slot 4 for a device; accepted: from 0 to 0"),
  AT (PC, PCI_RNG ("0", "7", "0") PCI_RNG ("0", "7", "1"), "lacks multifunction='on'"),
  AT (PC, "\n\n<rng model='virtio'><backend model='builtin'/><address type='pci' domain='1' bus='0' slot='7'/></rng>",
      "line 3: there is no PCI domain 1"),
  AT (PC, PCI_RNG ("0", "7", "0") "\n" PORT ("1", ""), "line 2: a pc-i440fx-7.2 has no PCI Express"),
  AT (Q35, PCI_RNG ("0", "7", "0") PORT ("0", ""), "another index"),
  AT (Q35, PORT ("1", PCI ("2", "0", "0")) PORT ("2", ""), "can't sit on bus 2"),
  AT (Q35, PORT ("1", "") PORT ("2", PCI ("1", "0", "0")), "can only sit on bus 0"),
  AT (Q35, PCI_RNG ("0", "7", "0") "<controller type='pci' index='0' model='pci-root'/>", "model='pcie-root'"),
  AT (Q35, "<controller type='sata' index='0'>" PCI ("0", "9", "0") "</controller>", "at PCI address 00:1f.2"),
  AT (PC, "<input type='tablet' bus='usb'>" PCI ("0", "9", "0") "</input>", "isn't on a PCI bus"),
  AT (PC, "<rng model='virtio'><backend model='builtin'/><address type='usb' bus='0' port='1'/></rng>",
      "must be one of type='pci'"),
  AT (PC, "<input type='tablet' bus='usb'><address type='usb' bus='1' port='1'/></input>", "no USB controller 1"),
  AT (PC, "<input type='tablet' bus='usb'><address type='usb' bus='0' port='16'/></input>", "no port '16'"),
  AT (PC,
      "<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>\n"
      "<input type='mouse' bus='usb'><address type='usb' bus='0' port='1'/></input>",
      "line 2: port 1 of USB controller 0 is taken by line 1"),
  AT (PC, CHANNEL ("0", "4") "\n" CHANNEL ("00", "4"), "line 2: port 4 of virtio-serial controller 0 is taken by line 1"),
  AT (PC, CHANNEL ("2", "4"), "bus 0 of a virtio-serial controller 2"),
  AT (PC, CHANNEL ("0", "31"), "no port 31 for this; accepted: from 1 to 30"),
  AT (PC, CDROM_AT ("hda", "ide", "0", "2", "0"), "no place at bus 2"),
  AT (PC, CDROM_AT ("hda", "ide", "1", "0", "0"), "no IDE controller 1"),
  AT (PC, CDROM_AT ("hda", "ide", "0", "0", "0") "\n" CDROM_AT ("hdb", "ide", "0", "0", "0"),
      "line 2: the place of disk hdb is taken by disk hda of line 1"),
  AT (Q35, CDROM_AT ("sda", "sata", "0", "0", "6"), "the last is at bus 0, target 0, unit 5"),
};

static void
test_refusals (Fixture *f, gconstpointer data)
{
  for (gsize i = 0; i < G_N_ELEMENTS (refusals); i++)
    {
      g_autoptr (VsDomainDef) def = parse (refusals[i].xml);
      g_autoptr (GError) error = NULL;

      g_assert_null (build (f, def, NULL, &error));
      g_assert_error (error, VMSNAP_ERROR, refusals[i].code);
      if (strstr (error->message, refusals[i].words) == NULL)
        g_error ("'%s' is not in '%s'", refusals[i].words, error->message);
    }
}

static void
test_kvm (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDomainDef) def = parse (DOMAIN ("type='kvm'", Q35, "<cpu mode='host-passthrough'/>", ""));
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) argv = build (f, def, NULL, &error);

  if (!vs_hypervisor_check_kvm (NULL))
    {
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
      return;
    }
  g_assert_no_error (error);
  g_assert_true (g_strv_contains ((const char *const *)argv, "host"));
  g_assert_true (
    g_strv_contains ((const char *const *)argv, "pc-q35-7.2,accel=kvm,usb=off,dump-guest-core=off,acpi=off"));
}

static void
test_default_machine (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDomainDef) def = parse (DOMAIN (QEMU_TYPE, "", "", ""));
  g_autofree char *machine = vs_hypervisor_resolve_machine (f->hypervisor, NULL, NULL);
  g_autofree char *expected = g_strconcat (machine, ",accel=tcg,usb=off,dump-guest-core=off,acpi=off", NULL);
  g_auto (GStrv) argv = build (f, def, NULL, NULL);

  g_assert_true (g_strv_contains ((const char *const *)argv, expected));
}

/* Chains as deep as people make them, which nesting would break. */
static void
test_deep_chain (Fixture *f, gconstpointer data)
{
  g_autofree char *script = g_strdup_printf (
    "cd '%s' && qemu-img create -q -f qcow2 0.qcow2 1M && "
    "qemu-img create -q -f qcow2 -F qcow2 -b 0.qcow2 1.qcow2 && i=2 && while [ $i -lt 150 ]; do "
    "cp 1.qcow2 $i.qcow2 && qemu-img rebase -u -f qcow2 -F qcow2 -b $((i-1)).qcow2 $i.qcow2; i=$((i+1)); done",
    f->dir);
  g_autofree char *xml = g_strdup_printf (
    DOMAIN (QEMU_TYPE, Q35, "",
            "<disk type='file'><driver type='qcow2'/><source file='%s/149.qcow2'/><target dev='vda'/></disk>"),
    f->dir);
  g_autoptr (VsDomainDef) def = parse (xml);
  g_autoptr (GHashTable) chains = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) argv = NULL;

  run_tool ("sh", "-c", script, NULL);
  chains = probe_chains (f, def);
  argv = build (f, def, chains, &error);
  g_assert_no_error (error);
  check_accepted (f, def, chains, argv);
}

/* The base is opened for reading only, so that others may read it too. */
static void
test_base_can_be_shared (Fixture *f, gconstpointer data)
{
  g_autofree char *script = g_strdup_printf (
    "cd '%s' && qemu-img create -q -f qcow2 base 1M && qemu-img create -q -f qcow2 -F qcow2 -b base a", f->dir);
  g_autofree char *reading = g_strdup_printf ("qemu-img info -f qcow2 '%s/base'", f->dir);
  g_autofree char *writing = g_strdup_printf ("! qemu-img info -f qcow2 '%s/a' 2> /dev/null", f->dir);
  g_autofree char *xml = g_strdup_printf (
    DOMAIN (QEMU_TYPE, Q35, "",
            "<disk type='file'><driver type='qcow2'/><source file='%s/a'/><target dev='vda'/></disk>"),
    f->dir);
  g_autoptr (VsDomainDef) def = parse (xml);
  g_autoptr (GHashTable) chains = NULL;
  g_auto (GStrv) argv = NULL;
  VsGuest *guest;

  run_tool ("sh", "-c", script, NULL);
  chains = probe_chains (f, def);
  argv = build (f, def, chains, NULL);
  guest = start (f, def, (const char *const *)argv);
  run_tool ("sh", "-c", reading, NULL);
  run_tool ("sh", "-c", writing, NULL);
  finish (guest);
}

static void
test_block_device (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDomainDef) def
    = parse (DOMAIN (QEMU_TYPE, Q35, "",
                     "<disk type='block'><driver type='raw'/><source dev='/dev/x'/><target dev='vda'/></disk>"));
  g_autoptr (GPtrArray) files = g_ptr_array_new ();
  VsDiskFile file = { (char *)"/dev/x", (char *)"raw", 0, 0, TRUE, NULL };
  VsDiskChain chain = { (char *)"vda", files };
  g_autoptr (GHashTable) chains = g_hash_table_new (g_str_hash, g_str_equal);
  g_auto (GStrv) argv = NULL;

  g_ptr_array_add (files, &file);
  g_hash_table_insert (chains, (gpointer) "vda", &chain);
  argv = build (f, def, chains, NULL);
  g_assert_true (g_strv_contains ((const char *const *)argv,
                                  "{\"driver\":\"host_device\",\"node-name\":\"vda-0-file\",\"filename\":\"/dev/x\","
                                  "\"auto-read-only\":true,\"discard\":\"unmap\"}"));
}

/* What QEMU calls the memory decides whether a saved state fits. */
static void
test_memory_is_pc_ram (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDomainDef) def = parse (DOMAIN (QEMU_TYPE, Q35, "", ""));
  g_autoptr (GHashTable) chains = probe_chains (f, def);
  g_auto (GStrv) argv = build (f, def, chains, NULL);
  VsGuest *guest = start (f, def, (const char *const *)argv);
  JsonObject *arguments = json_object_new ();
  g_autoptr (JsonNode) reply = NULL;

  json_object_set_string_member (arguments, "command-line", "info ramblock");
  reply = ask (guest, "human-monitor-command", arguments);
  g_assert_nonnull (strstr (json_node_get_string (reply), " pc.ram "));
  finish (guest);
}

static void
test_incoming (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDomainDef) def = parse (DOMAIN (QEMU_TYPE, Q35, "", ""));
  const VsCommandLineContext context = { .directory = "/run/x", .incoming = TRUE };
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) argv = vs_command_line_build (def, f->hypervisor, &context, &error);

  g_assert_no_error (error);
  g_assert_true (g_strv_contains ((const char *const *)argv, "-incoming"));
  g_assert_true (g_strv_contains ((const char *const *)argv, "defer"));
}

static void
test_node_names (void)
{
  static const struct
  {
    const char *target;
    guint index;
    const char *node;
    const char *storage;
  } table[] = {
    { "vda", 0, "vda-0", "vda-0-file" },
    { "sdab", 149, "sdab-149", "sdab-149-file" },
    { "1st", 3, "n.1st-3", "n.1st-3-file" },
    { "_x", 3, "n._x-3", "n._x-3-file" },
    { "fifteen-letters", 4294967295U, "fifteen-letters-4294967295", "fifteen-letters-4294967295-file" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autofree char *node = vs_block_node_name (table[i].target, table[i].index);
      g_autofree char *storage = vs_block_storage_node_name (table[i].target, table[i].index);

      g_assert_cmpstr (node, ==, table[i].node);
      g_assert_cmpstr (storage, ==, table[i].storage);
      g_assert_cmpuint (strlen (storage), <=, 31);
    }
}

static void
test_next_node_name (void)
{
  static const struct
  {
    const char *taken[6];
    const char *next;
  } table[] = {
    { { NULL }, "vda-0" },
    { { "vda-0", "vda-0-file", "vda-1", "vda-1-file", "vdb-7", NULL }, "vda-2" },
    { { "vda-5-file", "vda-2", NULL }, "vda-6" },
    { { "vdaa-9", "vda", "vda-", "vda-x", "firmware", NULL }, "vda-0" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autofree char *next = vs_block_next_node_name ("vda", table[i].taken);

      g_assert_cmpstr (next, ==, table[i].next);
    }
}

static void
test_free_port (void)
{
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GError) error = NULL;
  int port = vs_command_line_free_port (NULL, &error);
  g_autoptr (GSocketAddress) address = NULL;

  g_assert_no_error (error);
  g_assert_cmpint (port, >=, 5900);
  address = g_inet_socket_address_new (loopback, (guint16)port);
  g_assert_true (
    g_socket_listener_add_address (listener, address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, NULL, &error));
  g_assert_cmpint (vs_command_line_free_port ("127.0.0.1", NULL), !=, port);
  g_assert_cmpint (vs_command_line_free_port ("nowhere", &error), ==, -1);
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
}

#define ADD(path, func) g_test_add ("/command-line/" path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/command-line/as-written-down/", cases[i].name, NULL);

      g_test_add (path, Fixture, &cases[i], set_up, test_case, tear_down);
    }
  ADD ("what-cannot-be-is-refused", test_refusals);
  ADD ("kvm-only-where-it-is", test_kvm);
  ADD ("default-machine-is-versioned", test_default_machine);
  ADD ("chain-of-150-files", test_deep_chain);
  ADD ("base-is-opened-for-reading-only", test_base_can_be_shared);
  ADD ("block-device", test_block_device);
  ADD ("memory-is-called-pc-ram", test_memory_is_pc_ram);
  ADD ("incoming", test_incoming);
  g_test_add_func ("/command-line/node-names-are-stable-and-short", test_node_names);
  g_test_add_func ("/command-line/next-node-name-was-never-used", test_next_node_name);
  g_test_add_func ("/command-line/free-port-is-free", test_free_port);
  return g_test_run ();
}
