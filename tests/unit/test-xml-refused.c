/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What can't be honoured is refused: in one error, by name, with its line and with what would be accepted.
 */
#include <string.h>

#include "vmsnap-error.h"
#include "xml-samples.h"

/* One change to a sample. @expected: what the message says of the line that the change begins in, or, with a number
 * before it (`+2 `), of a line that many further down. */
typedef struct {
  const char *sample;
  const char *search;
  const char *replacement;
  const char *expected;
} Row;

#define Q35 "q35-uefi-tpm.xml"
#define PC "i440fx-windows.xml"
#define TINY "direct-kernel.xml"

static const Row rows[] = {
  /* not well-formed */
  { TINY, "</name>", "</nome>", "Opening and ending tag mismatch: name" },
  { TINY, "<name>tiny", "<name>&tiny;", "Entity 'tiny' not defined" },
  { TINY, "<interface type='user'/>", "<interface type='user' type='user'/>", "Attribute type redefined" },
  { TINY, "<interface type='user'/>", "<qemu:arg value='-S'/>", "Namespace prefix qemu on arg is not defined" },
  { TINY, "<domain type='qemu'>", "<domain type='qemu'>\n<domain>", "+21 Premature end of data" },
  /* elements and attributes that aren't known, or not supported */
  { Q35, "<rng model='virtio'>", "<hostdev mode='subsystem'/><rng model='virtio'>", "<hostdev> in <devices> isn't" },
  { Q35, "<audio id='1' type='spice'/>", "<audio id='1' type='alsa'/>", "<audio type='alsa'> isn't supported; accepted: "
                                                                        "none, spice" },
  { Q35, "<audio id='1' type='spice'/>", "<audio id='1' type='none'/>\n<audio id='1' type='none'/>",
    "+1 the audio id '1' is taken by line" },
  { Q35, "<audio id='1' type='spice'/>", "<audio type='none'/>", "<audio> lacks id=…" },
  { Q35, "<audio id='1' type='spice'/>", "\n<sound model='ich9'><audio id='2'/></sound>", "+1 <sound> names an <audio" },
  { Q35, "<audio id='1' type='spice'/>", "<sound model='usb'/>", "<sound model='usb'> isn't supported: QEMU can't save" },
  { Q35, "<audio id='1' type='spice'/>", "<sound model='virtio'/>", "<sound model='virtio'> isn't supported: QEMU" },
  { Q35, "<audio id='1' type='spice'/>", "<sound model='pcspk'/>", "<sound model='pcspk'> isn't supported; accepted:" },
  { Q35, "<audio id='1' type='spice'/>", "<sound model='ac97'><codec type='duplex'/></sound>", "<codec> of a <sound" },
  { PC, "<rng model='virtio'>", "<redirdev bus='usb' type='tcp'/><rng model='virtio'>", "<redirdev type='tcp'> isn't" },
  { PC, "<graphics type='spice'>\n      <listen type='none'/>\n    </graphics>",
    "\n<redirdev bus='usb' type='spicevmc'/>\n<audio id='1' type='none'/>",
    "+1 <redirdev type='spicevmc'> needs a <graphics type='spice'>; add that" },
  { PC, "<graphics type='spice'>\n      <listen type='none'/>\n    </graphics>", "<audio id='1' type='spice'/>",
    "<audio type='spice'> needs a <graphics type='spice'>; accepted without one: none" },
  { Q35, "<backend type='emulator' version='2.0'>", "<backend type='emulator' version='2.0'><profile name='custom'/>",
    "<profile name='custom'> isn't supported; accepted: default-v1" },
  { Q35, "<rng model='virtio'>", "\n\n<panic model='isa'/><rng model='virtio'>", "+2 <panic> in <devices> isn't" },
  { Q35, "<memory unit='KiB'>", "<maxMemory slots='2'>9</maxMemory><memory unit='KiB'>", "<maxMemory> in <domain>" },
  { Q35, "<rng model='virtio'>",
    "\n<controller type='pci' index='60' model='pcie-root-port'>\n<target hotplug='off'/></controller><rng model='virtio'>",
    "+2 <target hotplug='off'> isn't supported here; accepted: on a pcie-root-port with" },
  { Q35, "<rng model='virtio'>", "<controller type='sata' index='9' ports='4'/><rng model='virtio'>",
    "<controller ports=…> is for virtio-serial" },
  { Q35, "<rng model='virtio'>", "<controller type='scsi' index='9' vectors='4'/><rng model='virtio'>",
    "<controller vectors=…> is for virtio-serial only" },
  { Q35, "<rng model='virtio'>",
    "<controller type='usb' index='9' model='ich9-uhci2'><master startport='4'/></controller><rng model='virtio'>",
    "<master startport='4'> of ich9-uhci2 isn't supported; accepted: '2'" },
  { Q35, "<acpi/>", "<xen/>", "<xen> in <features> isn't supported" },
  { Q35, "<readonly/>", "<readonly/><encryption format='luks'/>", "<encryption> in <disk> isn't supported" },
  { Q35, "<readonly/>", "<readonly please='yes'/>", "attribute 'please' of <readonly> in <disk> isn't supported" },
  { Q35, "io='native'", "io='native' queue_size='7'", "attribute 'queue_size' of <driver> in <disk>" },
  { Q35, "<acpi/>", "<acpi>yes</acpi>", "<acpi> has text in it, where none belongs" },
  { Q35, "<devices>", "<devices>words", "<devices> has text in it, where none belongs" },
  { Q35, "<domain type='kvm' id='7'>", "<domain type='kvm' xml:lang='de'>", "attribute 'xml:lang' of <domain> in" },
  { PC, "<qemu:commandline>", "<qemu:override/><qemu:commandline>", "<qemu:override> in <domain> isn't supported" },
  { PC, "<qemu:arg value='-device'/>", "<qemu:arg/>", "<arg> lacks value=…" },
  { TINY, "<os>", "<x:os xmlns:x='https://example.org/'/><os>", "<x:os> in <domain> isn't supported" },
  { Q35, "<title>", "<name>a</name><title>", "a second <name> in <domain>" },
  { Q35, "accel3d='no'", "accel3d='yes'", "<acceleration accel3d='yes'> isn't supported; accepted: no" },
  { Q35, "<gl enable='no'/>", "<gl enable='yes'/>", "<gl enable='yes'> isn't supported; accepted: no" },
  /* identity */
  { TINY, "<name>tiny</name>", "", "-1 <domain> lacks <name>" },
  { TINY, "<name>tiny", "<name>a/b", "<name> isn't usable" },
  { TINY, "<name>tiny", "<name>", "<name> isn't usable" },
  { TINY, "<name>tiny", "<name>..", "<name> isn't usable" },
  { TINY, "<name>tiny", "<name>a&#10;b", "<name> isn't usable" },
  { Q35, "8F2D6A10-", "8F2D6A1-", "<uuid>8F2D6A1-5B7E-4D0C-9A41-0C6E1F2B3D44</uuid> isn't usable" },
  { Q35, "8F2D6A10-", "8F2D6A1g-", "<uuid>8F2D6A1g-" },
  { Q35, "8F2D6A10-", "8F2D6A1055-", "<uuid>8F2D6A1055-" },
  { Q35, "Fedora on the", "Fedora\non the", "<title> has several lines" },
  /* the machine */
  { TINY, "type='qemu'", "type='xen'", "<domain type='xen'> isn't supported; accepted: kvm, qemu" },
  { TINY, "<domain type='qemu'>", "<domain>", "<domain> lacks type=…" },
  { TINY, "<memory>262144</memory>", "", "-2 <domain> lacks <memory>" },
  { TINY, "<memory>262144", "<memory>0", "<memory> isn't usable; accepted: from 1 MiB to 16 TiB" },
  { TINY, "<memory>262144", "<memory>-1", "<memory>-1</memory> isn't usable; accepted: a number" },
  { TINY, "<memory>262144", "<memory unit='TiB'>17", "<memory> isn't usable" },
  { TINY, "<memory>262144", "<memory unit='TiB'>18446744073709551615", "<memory> isn't usable" },
  { TINY, "<memory>262144", "<memory unit='TiB'>99999999999999999999999", "isn't usable; accepted: a number" },
  { TINY, "<memory>262144", "<memory unit='pages'>5", "<memory unit='pages'> isn't supported; accepted: b, bytes" },
  { Q35, "<currentMemory unit='KiB'>4", "<currentMemory unit='KiB'>5", "<currentMemory> is more than <memory>" },
  { Q35, "placement='static'>4<", "placement='static'>0<", "<vcpu>0</vcpu> isn't usable; accepted: a number from 1" },
  { Q35, "placement='static'>4<", "placement='static'>513<", "<vcpu>513</vcpu> isn't usable" },
  { Q35, "placement='static'>4<", "current='2'>4<", "<vcpu current=…> other than the count isn't supported" },
  { Q35, "cores='2'", "cores='3'", "<topology> makes 6 processors; accepted: as many as <vcpu> says, 4" },
  { Q35, "dies='1'", "dies='2'", "<topology dies='2'> isn't supported; accepted: 1" },
  { Q35, "name='vmx'", "name='vmx,+svm'", "<feature name='vmx,+svm'> isn't usable" },
  { Q35, "mode='host-passthrough'", "mode='host'", "<cpu mode='host'> isn't supported; accepted: host-passthrough" },
  { PC, ">Skylake-Client-noTSX-IBRS<", ">a,b<", "<model>a,b</model> of <cpu> isn't usable" },
  { PC, "value='KVM Hv'", "value='a,b'", "<vendor_id value='a,b'> isn't usable" },
  { TINY, "<type>hvm", "<type>xen", "<type>xen</type> isn't supported; accepted: hvm" },
  { TINY, "<type>hvm", "<type arch='sparc'>hvm", "<type arch='sparc'> isn't supported; accepted: x86_64, i686" },
  { TINY, "<type>hvm", "<type machine='q35,x=y'>hvm", "<type machine='q35,x=y'> isn't usable" },
  { TINY, "<kernel>/boot/vmlinuz</kernel>", "", "-2 <initrd> and <cmdline> in <os> need a <kernel>" },
  { TINY, "<kernel>/boot/vmlinuz", "<kernel>vmlinuz", "the path 'vmlinuz' in <kernel> isn't usable" },
  { Q35, "<loader readonly='yes' secure='yes' type='pflash' format='raw'>/", "<loader type='efi'>/", "<loader type=" },
  { TINY, "<cmdline>", "<nvram>/a</nvram><cmdline>", "<nvram> needs <loader type='pflash'>" },
  { PC, "<boot dev='hd'/>", "<boot dev='fd'/>", "<boot dev='fd'> isn't supported; accepted: hd, cdrom, network" },
  { PC, "offset='variable'", "offset='timezone'", "<clock offset='timezone'> isn't supported" },
  { PC, "adjustment='-3600'", "adjustment='soon'", "<clock adjustment='soon'> isn't usable; accepted: seconds" },
  { Q35, "<on_crash>destroy", "<on_crash>weep", "<on_crash>weep</on_crash> isn't supported; accepted: destroy" },
  { Q35, "<emulator>/usr/bin/", "<emulator>", "the path 'qemu-system-x86_64' in <emulator> isn't usable" },
  /* disks */
  { TINY, "<disk type='file'>", "<disk type='network'>", "<disk type='network'> isn't supported; accepted: file" },
  { TINY, "<disk type='file'>", "<disk type='file' device='floppy'>", "<disk device='floppy'> isn't supported" },
  { TINY, "<target dev='vda'/>", "<target dev='vda' bus='usb'/>", "<target bus='usb'> isn't supported; accepted: v" },
  { TINY, "<target dev='vda'/>", "<target dev='xa'/>", "<target dev='xa'> lacks bus=…; accepted: virtio, scsi" },
  { TINY, "<target dev='vda'/>", "<target dev='a/../b' bus='ide'/>", "<target dev='a/../b'> isn't usable" },
  { TINY, "<target dev='vda'/>", "<target dev='vdaaaaaaaaaaaaaaaaaaaa'/>", "is too long; accepted: up to 15" },
  { TINY, "<target dev='vda'/>", "", "-2 <disk> lacks <target>" },
  { TINY, "<source file='/srv/tiny.img'/>", "", "-1 <disk> lacks <source file=…>" },
  { TINY, "file='/srv/tiny.img'", "file='tiny.img'", "the path 'tiny.img' in <source> isn't usable; accepted: an" },
  { TINY, "file='/srv/tiny.img'", "file='/srv/&#9;'", "the path in <source> has a control character" },
  { TINY, "file='/srv/tiny.img'", "dev='/srv/tiny.img'", "<source> of a disk of type 'file' has 'dev'" },
  { TINY, "<target dev='vda'/>", "<target dev='vda'/><driver type='vmdk'/>", "<driver type='vmdk'> isn't supported" },
  { TINY, "<target dev='vda'/>", "<target dev='vda'/><driver io='native'/>", "<driver io='native'> needs cache=" },
  { Q35, "dev='sda' bus='sata'", "dev='vda' bus='sata'", "-3 the disk target 'vda' is taken by line 57" },
  { Q35, "bus='sata' tray", "bus='virtio' tray", "-3 a cdrom can't be on bus='virtio'" },
  { Q35, "<backingStore/>\n      </backingStore>", "</backingStore><transient/>", "<transient> in <disk> isn't" },
  { PC, "<serial>WD-12 34<", "<serial>a,b<", "<serial> isn't usable" },
  { PC, "<wwn>5000", "<wwn>x000", "<wwn> isn't usable; accepted: 16 hexadecimal digits" },
  { PC, "file='/srv/shared.img'", "file='/srv/data &amp; more.qcow2'", "+8 '/srv/data & more.qcow2' is already" },
  { Q35, "<boot order='2'/>", "<boot order='1'/>", "-5 the boot order '1' is taken by line 57" },
  { Q35, "<boot order='2'/>", "<boot order='0'/>", "<boot order='0'> isn't usable; accepted: a number from 1" },
  { Q35, "<bootmenu enable='no'/>", "<boot dev='hd'/>", "+26 <boot order=…> on a device excludes <boot dev=…>" },
  /* controllers and addresses */
  { Q35, "index='2' model='pcie-root-port'", "index='1' model='pcie-root-port'", "the controller index 'pci 1' is" },
  { Q35, "index='2' model='pcie-root-port'", "index='2'", "<controller> lacks model=…" },
  { Q35, "index='2' model='pcie-root-port'", "index='2' model='x'", "<controller model='x'> isn't supported" },
  { Q35, "<controller type='sata'", "<controller type='fdc'", "<controller type='fdc'> isn't supported" },
  { Q35, "slot='0x1f' function='0x2'", "slot='0x20' function='0x2'", "<address slot='0x20'> isn't usable" },
  { Q35, "type='usb' bus='0' port='1'", "type='usb' bus='0' port='1,x'", "<address port='1,x'> isn't usable" },
  { Q35, "type='usb' bus='0' port='1'", "type='ccw' bus='0' port='1'", "<address type='ccw'> isn't supported" },
  /* where guest and host meet */
  { TINY, "<interface type='user'/>", "<interface type='direct'/>", "<interface type='direct'> isn't supported" },
  { TINY, "<interface type='user'/>", "<interface type='bridge'/>", "<interface> lacks <source bridge=…>" },
  { TINY, "<interface type='user'/>", "<interface type='network'/>", "<interface> lacks <source network=…>" },
  { PC, "bridge='br0'", "bridge='../etc'", "'../etc' in <source> isn't usable as the name of a bridge" },
  { PC, "dev='win-tap0'", "dev='a-name-much-too-long'", "'a-name-much-too-long' in <target> isn't usable" },
  { Q35, "52:54:00:AB:CD:01", "53:54:00:AB:CD:01", "<mac address='53:54:00:AB:CD:01'> isn't usable" },
  { Q35, "52:54:00:AB:CD:01", "52:54:00:AB:CD:1", "isn't usable; accepted: a unicast address" },
  { Q35, "52:54:00:AB:CD:01", "52:54:00:AB:CD:0x1", "isn't usable; accepted: a unicast address" },
  { PC, "<serial type='null'/>", "<serial type='tcp'/>", "<serial type='tcp'> isn't supported; accepted: pty, unix" },
  { PC, "<serial type='null'/>", "<serial type='file'/>", "<serial> lacks <source path=…>" },
  { PC, "<serial type='null'/>", "<serial type='unix'/>", "<serial> lacks <source path=…>" },
  { PC, "<target type='virtio' port='1'/>", "<target type='sclp'/>", "<target type='sclp'> isn't supported" },
  { PC, "<target type='virtio' port='1'/>", "<target type='serial' port='1'/>", "-1 only the first <console> may" },
  { PC, "name='org.example.mine'", "name='org.qemu.guest_agent.0'", "-2 the channel name 'org.qemu.guest_agent.0'" },
  { PC, "name='org.example.mine'", "name='a,b'", "<target name='a,b'> isn't usable" },
  { PC, "port='-1' autoport='yes'", "port='80'", "<graphics port='80'> isn't usable; accepted: a number from 5900" },
  { PC, "<graphics type='spice'>", "<graphics type='vnc'>", "the graphics type 'vnc' is taken by line" },
  { PC, "<graphics type='spice'>", "<graphics type='sdl'>", "<graphics type='sdl'> isn't supported" },
  { PC, "keymap='de'", "keymap='de' passwd='secret'", "attribute 'passwd' of <graphics> in <devices> isn't" },
  { Q35, "<listen type='address' address='127.0.0.1'/>", "<listen type='network'/>", "<listen type='network'> isn't" },
  { Q35, "<listen type='address' address='127.0.0.1'/>", "<listen type='address' address='a,b'/>", "isn't usable" },
  /* the small ones */
  { PC, "<model type='cirrus'/>", "", "-1 <video> lacks <model>" },
  { PC, "<model type='cirrus'/>", "<model type='xen'/>", "<model type='xen'> isn't supported; accepted: virtio" },
  { PC, "<model type='cirrus'/>", "<model type='none'/>", "-1 a <video> of type 'none' must be the only one" },
  { PC, "<model type='cirrus'/>", "<model type='cirrus' primary='yes'/>", "+2 only one <video> can be primary" },
  { Q35, "type='mouse' bus='ps2'", "type='mouse' bus='xen'", "<input bus='xen'> isn't supported" },
  { Q35, "type='mouse' bus='ps2'", "type='tablet' bus='ps2'", "a tablet can't be on bus='ps2'" },
  { Q35, "<rng model='virtio'>", "<rng model='xen'>", "<rng model='xen'> isn't supported; accepted: virtio" },
  { Q35, ">/dev/urandom<", ">/etc/shadow<", "<backend>/etc/shadow</backend> isn't supported; accepted: /dev/u" },
  { Q35, "<backend type='emulator'", "<backend type='passthrough'", "<backend type='passthrough'> isn't supported" },
  { PC, "<tpm model='tpm-tis'>", "<tpm model='tpm-crb'>", "<tpm model='tpm-crb'> can't be of version 1.2" },
  { PC, "<memballoon model='none'/>", "<memballoon model='xen'/>", "<memballoon model='xen'> isn't supported" },
  { PC, "<pmu state='off'/>", "<pmu/>", "<pmu> lacks state=…" },
  { PC, "<topology sockets='1'", "<topology", "<topology> lacks sockets=…" },
  { PC, "<link state='down'/>", "<link/>", "<link> lacks state=…" },
  { PC, "<address type='drive' controller='0' bus='0' target='0' unit='5'/>", "<address unit='5'/>", "lacks type=…" },
  { PC, "<target type='virtio' name='org.example.mine'/>", "", "-2 <channel> lacks <target>" },
  { PC, "<console type='unix'>", "<console type='x'>", "<console type='x'> isn't supported; accepted: pty, unix" },
  { PC, "i6300esb", "ib700", "<watchdog model='ib700'> isn't supported; accepted: itco, i6300esb" },
};

static void
test_row (gconstpointer data)
{
  const Row *row = data;
  g_autofree char *text = xml_sample_load (row->sample);
  const char *words = row->expected;
  int offset = 0;
  guint line;
  g_autofree char *changed = xml_sample_replace (text, row->search, row->replacement, &line);
  g_autofree char *expected = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) lines = NULL;
  gboolean found = FALSE;

  if (words[0] == '+' || words[0] == '-')
    {
      offset = (int) g_ascii_strtoll (words, NULL, 10);
      words = strchr (words, ' ') + 1;
    }
  g_assert_null (vs_domain_def_parse (changed, VS_DOMAIN_DEF_VALIDATE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  expected = g_strdup_printf ("line %d: ", (int) line + offset);
  lines = g_strsplit (error->message, "\n", -1);
  for (char **one = lines; *one != NULL; one++)
    found = found || (g_str_has_prefix (*one, expected) && strstr (*one, words) != NULL);
  if (!found)
    g_test_fail_printf ("Expected '%s…%s' in: %s", expected, words, error->message);
}

static void
test_all_is_told_at_once (void)
{
  static const char xml[] = "<domain type='kvm'>\n"
                            "  <name>a</name>\n"
                            "  <memory>1</memory>\n"
                            "  <os><type>hvm</type></os>\n"
                            "  <devices>\n"
                            "    <hostdev mode='subsystem'/>\n"
                            "    <disk type='file'><target dev='vda'/></disk>\n"
                            "    <filesystem type='mount'/>\n"
                            "  </devices>\n"
                            "  <launchSecurity type='sev'/>\n"
                            "</domain>\n";
  static const char message[] = "The domain definition can't be used:\n"
                                "line 3: <memory> isn't usable; accepted: from 1 MiB to 16 TiB\n"
                                "line 6: <hostdev> in <devices> isn't supported\n"
                                "line 7: <disk> lacks <source file=…>; only a cdrom may be empty\n"
                                "line 8: <filesystem> in <devices> isn't supported\n"
                                "line 10: <launchSecurity> in <domain> isn't supported";
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_domain_def_parse (xml, VS_DOMAIN_DEF_NONE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_another_root_is_refused (void)
{
  g_autoptr (GError) network = NULL, foreign = NULL;

  g_assert_null (vs_domain_def_parse ("<network/>", VS_DOMAIN_DEF_NONE, &network));
  g_assert_error (network, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
  g_assert_nonnull (strstr (network->message, "line 1: the root element is <network>; it must be <domain>"));
  g_assert_null (vs_domain_def_parse ("<domain xmlns='https://example.org/'/>", VS_DOMAIN_DEF_NONE, &foreign));
  g_assert_error (foreign, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
}

static void
test_names_of_every_length (void)
{
  g_autofree char *text = xml_sample_load (TINY);
  g_autofree char *longest = g_strnfill (200, 'n');
  g_autofree char *longest_element = g_strconcat (longest, "</name>", NULL);
  g_autofree char *longer = g_strnfill (201, 'n');
  g_autofree char *longer_element = g_strconcat (longer, "</name>", NULL);
  guint line;
  g_autofree char *good = xml_sample_replace (text, "tiny</name>", longest_element, &line);
  g_autofree char *bad = xml_sample_replace (text, "tiny</name>", longer_element, &line);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDomainDef) def = vs_domain_def_parse (good, VS_DOMAIN_DEF_VALIDATE, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (def->name, ==, longest);
  g_assert_null (vs_domain_def_parse (bad, VS_DOMAIN_DEF_VALIDATE, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_XML);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xml/refused/all-is-told-at-once", test_all_is_told_at_once);
  g_test_add_func ("/xml/refused/another-root", test_another_root_is_refused);
  g_test_add_func ("/xml/refused/names-longer-than-the-limit", test_names_of_every_length);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/xml/refused/with-line-and-reason/%03d", (int) i);

      g_test_add_data_func (path, &rows[i], test_row);
    }
  return g_test_run ();
}
