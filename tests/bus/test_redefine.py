# SPDX-License-Identifier: LGPL-2.1-or-later
"""CreateSnapshotFromXml with redefine: a snapshot that exists goes on record by its XML, checked against real disks."""

import re
import subprocess
import uuid as uuid_module

from images import MAGIC_PART, write_image
from support import BusTestCase, plain_xml
from vmsnaptest import (BusError, JobFailed, firmware, internal_snapshots, main, make_disk, qemu_img, snapshot_path,
                        wait_until)

NAMESPACE = "https://vmsnap.org/xmlns/snapshot/1"


def edit(xml, *changes):
    """With each (pattern, replacement) applied, which must match."""
    for pattern, replacement in changes:
        xml, count = re.subn(pattern, lambda _, text=replacement: text, xml, count=1, flags=re.DOTALL)
        assert count, pattern
    return xml


def fact(key, value):
    """A change that sets one of our facts, and no others."""
    return (r"<cookie.*</cookie>",
            f"<cookie xmlns:vmsnap='{NAMESPACE}'><vmsnap:fact name='{key}'>{value}</vmsnap:fact></cookie>")


class RedefineCase(BusTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.disk = make_disk(self.directory / "vda.qcow2", 8)
        self.uuid = str(uuid_module.uuid4())
        self.domain = self.define("machine", [self.disk], uuid=self.uuid)

    def take(self, name, **options):
        """An internal snapshot: its XML."""
        self.client.run(self.domain, "Domain", "CreateSnapshot", "s", name, location="internal", **options)
        return self.xml(name)

    def xml(self, name):
        return self.client.call(snapshot_path(self.domain, name), "Snapshot", "GetXml")

    def get(self, name, which):
        return self.client.get(snapshot_path(self.domain, name), "Snapshot", which)

    def forget_record(self, name):
        self.client.run(snapshot_path(self.domain, name), "Snapshot", "Delete", metadata_only=True)

    def ask(self, xml, **options):
        return self.client.call(self.domain, "Domain", "CreateSnapshotFromXml", "s", xml, redefine=True, **options)

    def redefine(self, xml, **options):
        return self.client.wait_job(self.ask(xml, **options)).result["snapshot"]

    def names(self):
        return [self.client.get(path, "Snapshot", "Name")
                for path in self.client.call(self.domain, "Domain", "ListSnapshots")]

    def current(self):
        path = self.client.get(self.domain, "Domain", "CurrentSnapshot")
        return None if path == "/" else self.client.get(path, "Snapshot", "Name")

    def records(self):
        return {name: (self.xml(name), self.get(name, "Parent")) for name in self.names()}, self.current()

    def assert_not_redefined(self, error, xml, says, **options):
        """Refused at once or by the job, and nothing has changed."""
        before = self.records(), internal_snapshots(self.disk)
        try:
            self.redefine(xml, **options)
            self.fail("It was taken")
        except BusError as caught:
            self.assert_error(caught, error, says)
        except JobFailed as caught:
            self.assertEqual(caught.end.error, error, caught.end.message)
            for words in [says] if isinstance(says, str) else says:
                self.assertIn(words, caught.end.message)
        self.assertEqual((self.records(), internal_snapshots(self.disk)), before)
        journal = self.service.state / "domains" / self.uuid / "journal"
        self.assertEqual(list(journal.iterdir()) if journal.is_dir() else [], [])


def run_tool(*command):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True).stdout


class RoundTrip(RedefineCase):
    """What GetXml told comes back."""

    def test_tree_of_a_domain_that_was_undefined(self):
        for name in ("root", "left"):
            self.take(name, description=f"words for {name}")
        self.client.run(snapshot_path(self.domain, "root"), "Snapshot", "Revert")
        self.take("right <&> größe")
        before = self.records()
        domain = self.client.call(self.domain, "Domain", "GetXml")
        self.client.call(self.domain, "Domain", "Undefine", snapshots_metadata=True)
        self.client.call("/org/vmsnap/VmSnap1/Manager", "Manager", "DefineDomain", "s", domain)
        self.assertEqual(self.names(), [])
        for name in ("root", "left", "right <&> größe"):
            path = self.redefine(before[0][name][0], current=name == before[1])
            self.assertEqual(path, snapshot_path(self.domain, name))
        self.assertEqual(self.records(), before)
        self.service.restart()
        self.client = self.enter(self.service.client())
        self.assertEqual(self.records(), before)
        for name in ("left", "root"):
            self.client.run(snapshot_path(self.domain, name), "Snapshot", "Revert")
            self.assertEqual(self.current(), name)

    def test_redefined_snapshot_brings_back_what_the_disk_held(self):
        qemu_io = ["qemu-io", "-f", "qcow2", "-c"]
        run_tool(*qemu_io, "write -P 17 0 64k", self.disk.path)
        xml = self.take("one")
        self.forget_record("one")
        run_tool(*qemu_io, "write -P 34 0 64k", self.disk.path)
        self.redefine(xml)
        self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Revert")
        self.assertNotIn("failed", run_tool(*qemu_io, "read -P 17 0 64k", self.disk.path))
        self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Delete")
        self.assertEqual(internal_snapshots(self.disk), [])

    def test_overlays_that_we_made(self):
        self.client.run(self.domain, "Domain", "CreateSnapshot", "s", "one", disk_only=True, description="words")
        self.client.run(self.domain, "Domain", "CreateSnapshot", "s", "two", disk_only=True)
        before = self.records()
        for name in ("two", "one"):
            self.forget_record(name)
        self.assertEqual(self.names(), [])
        for name in ("one", "two"):
            self.redefine(before[0][name][0], current=name == "two")
        self.assertEqual(self.records(), before)

    def test_checkpoint_with_memory_in_a_file(self):
        self.client.run(self.domain, "Domain", "Start")
        self.client.run(self.domain, "Domain", "CreateSnapshot", "s", "one", description="words")
        before = self.records()
        self.assertEqual(self.get("one", "Memory"), "external")
        self.forget_record("one")
        self.redefine(before[0]["one"][0], current=True)
        self.assertEqual(self.records(), before)
        self.client.call(self.domain, "Domain", "PowerOff")
        self.forget_record("one")
        self.redefine(before[0]["one"][0], current=True)
        self.assertEqual(self.records(), before)

    def test_memory_of_a_running_guest(self):
        self.client.run(self.domain, "Domain", "Start")
        xml = self.take("one")
        before = self.client.get_all(snapshot_path(self.domain, "one"), "Snapshot")
        self.forget_record("one")
        self.redefine(xml, current=True)
        self.assertEqual(self.client.get_all(snapshot_path(self.domain, "one"), "Snapshot"), before)
        self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Revert")
        self.client.call(self.domain, "Domain", "PowerOff")
        self.forget_record("one")
        # Where the memory is, and how big, is found.
        self.redefine(edit(xml, (r"<cookie.*</cookie>", "")))
        self.assertEqual(self.get("one", "Size"), before["Size"])
        self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Revert")
        self.assertEqual(self.client.get(self.domain, "Domain", "State"), "running")
        self.client.call(self.domain, "Domain", "PowerOff")
        self.assert_not_redefined("InvalidArgument", edit(xml, (r"<state>running", "<state>paused")), "its state")
        self.forget_record("one")
        claims = (r"<state>running</state>", "<state>shutoff</state>"), (r"<memory [^>]*>", ""), fact("tag", "one")
        self.assert_not_redefined("InvalidArgument", edit(xml, *claims), ["memory", "one"])

    def test_signals_and_result(self):
        xml = self.take("one", description="old words")
        path = snapshot_path(self.domain, "one")
        self.forget_record("one")
        seen = len(self.client.signals)
        self.redefine(xml)
        self.client.wait_signal("InterfacesAdded", lambda signal: signal.arguments[0] == path, seen)
        event = self.client.wait_signal("Event", lambda signal: signal.arguments[0] == "snapshot-created", seen)
        self.assertEqual(event.arguments[1]["snapshot"], path)
        self.assertIsNone(self.current())
        seen = len(self.client.signals)
        self.redefine(edit(xml, ("old words", "new words")), current=True)
        self.client.wait_signal("PropertiesChanged", lambda signal: signal.path == path
                                and signal.arguments[1].get("Description") == "new words", seen)
        self.client.wait_signal("PropertiesChanged", lambda signal: signal.path == self.domain
                                and signal.arguments[1].get("CurrentSnapshot") == path, seen)
        self.assertEqual(self.current(), "one")

    def test_job_is_a_snapshot_create_with_its_snapshot(self):
        xml = self.take("one")
        job = self.ask(xml)
        self.client.wait_job(job)
        self.assertEqual(self.client.get(job, "Job", "Operation"), "snapshot-create")
        self.assertEqual(self.client.get(job, "Job", "Snapshot"), snapshot_path(self.domain, "one"))

    def test_name_of_the_domain_may_have_changed(self):
        xml = self.take("one")
        self.forget_record("one")
        self.redefine(edit(xml, ("<name>machine</name>", "<name>another</name>")))
        self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Revert")
        self.assertEqual(self.client.get(self.domain, "Domain", "Name"), "machine")

    def test_disk_may_be_named_by_its_file_or_not_at_all(self):
        xml = self.take("one")
        for case, disks in (("file", f"<disks><disk name='{self.disk.path}' snapshot='internal'/></disks>"),
                            ("unsaid", "<disks><disk name='vda'/></disks>"), ("none", "")):
            with self.subTest(case):
                self.forget_record("one")
                self.redefine(edit(xml, ("<disks>.*?</disks>", disks)))
                self.assertEqual(self.get("one", "Disks"), [{"target": "vda", "snapshot": "internal", "format": "qcow2",
                                                             "path": str(self.disk.path)}])

    def test_seconds_since_the_epoch_are_a_name_as_libvirt_gives_them(self):
        xml = edit(self.take("one"), ("<name>one</name>", "<name>1732200000</name>"), ("<cookie.*</cookie>", ""))
        qemu_img("snapshot", "-c", "1732200000", self.disk.path)
        path = self.redefine(xml)
        self.client.run(path, "Snapshot", "Revert")
        self.client.run(path, "Snapshot", "Delete")
        self.assertEqual(internal_snapshots(self.disk), ["one"])


class Variables(RedefineCase):
    """UEFI variables, which the store keeps with a snapshot."""

    def setUp(self):
        super().setUp()
        code, template = firmware()
        loader = f"<loader readonly='yes' type='pflash'>{code}</loader><nvram template='{template}'/>"
        self.definition = plain_xml("machine", [self.disk], uuid=self.uuid).replace("</type>", "</type>" + loader)
        self.define_again()
        self.one = self.take("one")

    def define_again(self):
        self.client.call("/org/vmsnap/VmSnap1/Manager", "Manager", "DefineDomain", "s", self.definition)

    def test_kept_variables_stay_the_snapshots(self):
        self.assertIn(">snapshot-one.fd<", self.one)
        self.forget_record("one")
        self.redefine(self.one)
        self.assertEqual(self.xml("one"), self.one)
        self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Revert")

    def test_variables_of_others_are_not_taken(self):
        self.take("two")
        self.forget_record("one")
        for file in ("snapshot-two.fd", "VARS.fd"):
            with self.subTest(file):
                self.assert_not_redefined("InvalidArgument", edit(self.one, (">snapshot-one.fd<", f">{file}<")),
                                          ["'nvram'", file])

    def test_variables_that_went_with_the_definition_are_told(self):
        self.client.call(self.domain, "Domain", "Undefine", snapshots_metadata=True)
        self.define_again()
        self.assert_not_redefined("NotFound", self.one, ["'nvram'", "snapshot-one.fd"])
        self.redefine(edit(self.one, ("<vmsnap:fact name=.nvram.>.*?</vmsnap:fact>", "")))
        self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Revert")


class Existing(RedefineCase):
    """Of a snapshot that is on record."""

    def setUp(self):
        super().setUp()
        self.take("root")
        self.one = self.take("one", description="words")
        self.take("child")

    def test_description_time_and_parent_may_change(self):
        self.redefine(edit(self.one, ("words", "other words"), ("<creationTime>[0-9]+", "<creationTime>1234567890"),
                           ("<parent>.*?</parent>", "")))
        self.assertEqual(self.get("one", "Description"), "other words")
        self.assertEqual(self.get("one", "CreationTime"), 1234567890000000)
        self.assertEqual(self.get("one", "Parent"), "/")
        self.assertEqual(self.get("child", "Parent"), snapshot_path(self.domain, "one"))
        self.assertEqual(self.current(), "child")
        self.redefine(self.one)
        self.assertEqual(self.xml("one"), self.one)

    def test_same_again_is_well(self):
        before = self.records()
        self.redefine(self.one)
        self.assertEqual(self.records(), before)

    def test_what_is_left_out_stays(self):
        left_out = ("<domain .*</domain>", "<state>.*?</state>", "<disks>.*?</disks>", "<memory [^>]*>",
                    "<creationTime>.*?</creationTime>", "<cookie.*</cookie>")
        self.redefine(edit(self.one, *((pattern, "") for pattern in left_out)))
        self.assertEqual(self.xml("one"), self.one)

    def test_it_cannot_become_another(self):
        other = make_disk(self.directory / "other.qcow2", 8)
        qemu_img("snapshot", "-c", "one", other.path)
        qemu_img("snapshot", "-c", "stray", self.disk.path)
        cases = {
            "state": (("<state>shutoff", "<state>disk-snapshot"), ["its state", "shutoff", "disk-snapshot"]),
            "file": ((f"{self.disk.path}", str(other.path)), ["the file of disk vda", self.disk.path, other.path]),
            "tag": (fact("tag", "stray"), ["the tag", "stray"]),
            "memory": (("<vcpu[^>]*>1<", "<vcpu>2<"), ["<domain>"]),
            "disk": (("<disk name='vda' snapshot='internal'/>|<disk name=\"vda\" snapshot=\"internal\"/>",
                      f"<disk name='vda' snapshot='external'><source file='{other.path}'/></disk>"), "disk vda"),
        }
        for case, (change, words) in cases.items():
            with self.subTest(case):
                words = [str(word) for word in words] if isinstance(words, list) else words
                self.assert_not_redefined("InvalidArgument", edit(self.one, change), words)

    def test_cycles_are_refused(self):
        cases = {"itself": "one", "child": "child"}
        for case, parent in cases.items():
            with self.subTest(case):
                self.assert_not_redefined("InvalidArgument", edit(self.one, ("<parent>.*?</parent>",
                                          f"<parent><name>{parent}</name></parent>")), parent)
        root = self.xml("root")
        root = edit(root, ("<memory", "<parent><name>child</name></parent><memory"))
        self.assert_not_redefined("InvalidArgument", root, "descends")

    def test_whole_queue_of_redefinitions_is_done_in_order(self):
        xmls = [edit(self.one, ("words", f"words {i}")) for i in range(5)]
        jobs = [self.ask(xml) for xml in xmls]
        for job in jobs:
            self.client.wait_job(job)
        self.assertEqual(self.get("one", "Description"), "words 4")

    def test_child_may_be_queued_behind_its_parent(self):
        xmls = [self.xml(name) for name in ("root", "one", "child")]
        for name in ("child", "one", "root"):
            self.forget_record(name)
        jobs = [self.ask(xml) for xml in xmls]
        for job in jobs:
            self.client.wait_job(job)
        self.assertEqual(self.get("child", "Parent"), snapshot_path(self.domain, "one"))


class Refused(RedefineCase):
    """XML that says too little, or what isn't so."""

    def setUp(self):
        super().setUp()
        self.one = self.take("one")
        self.forget_record("one")

    def assert_cases(self, error, cases):
        for case, (changes, words) in cases.items():
            with self.subTest(case):
                changes = [changes] if isinstance(changes[0], str) else changes
                self.assert_not_redefined(error, edit(self.one, *changes), words)

    def test_too_little(self):
        self.assert_cases("InvalidArgument", {
            "name": (("<name>one</name>", ""), "<name>"),
            "state": (("<state>.*?</state>", ""), "<state>"),
            "time": (("<creationTime>.*?</creationTime>", ""), "<creationTime>"),
            "domain": (("<domain .*</domain>", ""), "<domain>"),
            "uuid-alone": (("<domain .*</domain>", f"<domain><uuid>{self.uuid}</uuid></domain>"), "<domain>"),
        })

    def test_contradictions(self):
        overlay = "<disk name='vda' snapshot='external'/>"
        internal = "<disk name=.vda. snapshot=.internal./>"
        self.assert_cases("InvalidArgument", {
            "foreign-uuid": ((f"<uuid>{self.uuid}", f"<uuid>{uuid_module.uuid4()}"), self.uuid),
            "foreign-inactive": (("</domain>", "</domain>" + plain_xml("x").replace("domain", "inactiveDomain")),
                                 "<inactiveDomain>"),
            "unknown-parent": (("<memory", "<parent><name>nobody</name></parent><memory"), "nobody"),
            "own-parent": (("<memory", "<parent><name>one</name></parent><memory"), "its own parent"),
            "running-without-memory": (("<state>shutoff", "<state>running"), "<memory>"),
            "off-with-memory": (("<memory [^>]*>", "<memory snapshot='internal'/>"), "<memory>"),
            "memory-without-file": ([("<state>shutoff", "<state>running"),
                                     ("<memory [^>]*>", "<memory snapshot='external'/>")], "file"),
            "unknown-disk": ((internal, "<disk name='vdz' snapshot='internal'/>"), "vdz"),
            "disk-twice": ((internal, "<disk name='vda'/><disk name='%s'/>" % self.disk.path), "twice"),
            "overlay-unsaid": ((internal, overlay), "overlay"),
            "raw-overlay": ((internal, "<disk name='vda' snapshot='external'><driver type='raw'/>"
                                       "<source file='/srv/x'/></disk>"), "raw"),
            "nothing": ((internal, "<disk name='vda' snapshot='no'/>"), "nothing"),
            "raw-disk": (("type=.qcow2.", "type='raw'"), "raw"),
        })

    def test_files_that_do_not_hold_it(self):
        elsewhere = make_disk(self.directory / "elsewhere.qcow2", 8)
        self.assert_cases("NotFound", {
            "tag": (fact("tag", "nothing"), ["nothing", "vda", str(self.disk.path)]),
            "name": ([("<name>one</name>", "<name>two</name>"), ("<cookie.*</cookie>", "")], ["two", "vda"]),
            "other-disk": ((str(self.disk.path), str(elsewhere.path)), [str(elsewhere.path)]),
            "no-disk": ((str(self.disk.path), "/nowhere/vda.qcow2"), ["/nowhere/vda.qcow2"]),
            "no-memory": ([("<state>shutoff", "<state>running"), ("<memory [^>]*>", "<memory snapshot='internal'/>")],
                          ["memory", "one"]),
        })

    def test_facts_that_lead_elsewhere(self):
        self.assert_cases("InvalidArgument", {
            "own-variables": (fact("nvram", "VARS.fd"), "'nvram'"),
            "another-snapshots": (fact("nvram", "snapshot-two.fd"), "'nvram'"),
            "variables-of-no-uefi": (fact("nvram", "snapshot-one.fd"), "'nvram'"),
            "tpm": (fact("tpm", "tpm2-00.permall"), "'tpm'"),
            "unknown": (fact("of-a-later-version", "x"), "'of-a-later-version'"),
            "vmstate-without-memory": (fact("vmstate", "vda"), "'vmstate'"),
            "number-for-a-tag": (fact("tag", "1"), "'1'"),
            "no-tag": (fact("tag", ""), "''"),
        })
        for value in ("../../x", "/etc/passwd", ".hidden", ""):
            with self.subTest(value):
                self.assert_not_redefined("InvalidXml", edit(self.one, fact("nvram", value)), "'nvram'")
        self.assert_not_redefined("InvalidXml", edit(self.one, fact("size", "-1")), "'size'")

    def test_tag_of_another_snapshot_is_not_taken_twice(self):
        two = self.take("two")
        thief = edit(two, ("<name>two</name>", "<name>thief</name>"))
        self.assert_not_redefined("InvalidArgument", thief, ["two", "thief"])

    def test_names_that_cannot_be(self):
        for name in ("..", "a/b", "x" * 201):
            with self.subTest(name[:8]):
                self.assert_not_redefined("InvalidXml", edit(self.one, ("<name>one</name>", f"<name>{name}</name>")),
                                          "<name>")

    def test_redefine_excludes_what_tells_how_to_take_one(self):
        self.assert_not_redefined("InvalidArgument", self.one, ["'redefine'", "'location'"], location="internal")

    def test_current_must_be_what_the_disks_descend_from(self):
        other = make_disk(self.directory / "other.qcow2", 8)
        self.client.call("/org/vmsnap/VmSnap1/Manager", "Manager", "DefineDomain", "s",
                         plain_xml("machine", [other], uuid=self.uuid))
        self.assert_not_redefined("InvalidArgument", self.one, ["current", str(other.path)], current=True)
        self.redefine(self.one)
        self.assertIsNone(self.current())


class External(RedefineCase):
    """Overlays and memory in files."""

    def setUp(self):
        super().setUp()
        self.overlay = make_disk(self.directory / "vda.one", backing=self.disk)
        then = self.client.call(self.domain, "Domain", "GetXml")
        self.xml_one = ("<domainsnapshot><name>one</name><state>disk-snapshot</state>"
                        "<creationTime>1700000000</creationTime><disks>"
                        f"<disk name='vda' snapshot='external' type='file'><driver type='qcow2'/>"
                        f"<source file='{self.overlay.path}'/></disk></disks>{then}</domainsnapshot>")
        self.use(self.overlay)

    def use(self, disk):
        """From now on it is the domain's disk."""
        self.client.call("/org/vmsnap/VmSnap1/Manager", "Manager", "DefineDomain", "s",
                         plain_xml("machine", [disk], uuid=self.uuid))

    def with_memory(self, path):
        return edit(self.xml_one, ("<state>disk-snapshot", "<state>running"),
                    ("<disks>", f"<memory snapshot='external' file='{path}'/><disks>"))

    def test_overlay_above_the_frozen_file(self):
        path = self.redefine(self.xml_one, current=True)
        values = self.client.get_all(path, "Snapshot")
        self.assertEqual((values["Location"], values["State"], values["Memory"], values["CreationTime"]),
                         ("external", "disk-snapshot", "none", 1700000000000000))
        self.assertEqual(values["Disks"], [{"target": "vda", "snapshot": "external", "format": "qcow2",
                                            "path": str(self.overlay.path)}])
        self.assertEqual(self.current(), "one")
        xml = self.xml("one")
        self.forget_record("one")
        self.redefine(xml)
        self.assertEqual(self.xml("one"), xml)

    def test_overlay_that_is_deeper_in_the_chain(self):
        self.use(make_disk(self.directory / "vda.two", backing=self.overlay))
        self.redefine(self.xml_one, current=True)

    def test_overlay_that_is_not_used_any_more_cannot_make_it_current(self):
        self.use(self.disk)
        self.assert_not_redefined("InvalidArgument", self.xml_one, ["current", str(self.overlay.path)], current=True)
        self.redefine(self.xml_one)

    def test_relative_backing_file(self):
        qemu_img("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "vda.qcow2", self.overlay.path)
        self.redefine(self.xml_one)

    def test_missing_or_foreign_files(self):
        stranger = make_disk(self.directory / "stranger.qcow2", 8)
        alone = make_disk(self.directory / "alone.qcow2", 8)
        raw = make_disk(self.directory / "raw", 8, "raw")
        overlay, frozen = str(self.overlay.path), str(self.disk.path)
        cases = {
            "overlay-missing": ("NotFound", (overlay, "/nowhere/overlay"), ["/nowhere/overlay", "vda"]),
            "frozen-missing": ("NotFound", (frozen, "/nowhere/frozen"), ["/nowhere/frozen", "vda"]),
            "overlay-of-none": ("InvalidArgument", (overlay, str(alone.path)), [str(alone.path), frozen]),
            "overlay-of-a-stranger": ("InvalidArgument", (frozen, str(stranger.path)), [str(stranger.path), frozen]),
            "overlay-is-raw": ("InvalidArgument", (overlay, str(raw.path)), [str(raw.path)]),
            "overlay-is-a-directory": ("InvalidArgument", (overlay, str(self.directory)), [str(self.directory)]),
            "overlay-is-the-frozen-file": ("InvalidArgument", (overlay, frozen), [frozen]),
        }
        for case, (error, change, words) in cases.items():
            with self.subTest(case):
                self.assert_not_redefined(error, edit(self.xml_one, change), words)

    def test_overlay_of_another_snapshot_is_not_taken_twice(self):
        self.redefine(self.xml_one)
        self.assert_not_redefined("InvalidArgument", edit(self.xml_one, ("<name>one</name>", "<name>two</name>")),
                                  [str(self.overlay.path), "one", "two"])

    def test_memory_in_a_file(self):
        image = write_image(self.directory / "memory", self.client.call(self.domain, "Domain", "GetXml"))
        path = self.redefine(self.with_memory(image))
        values = self.client.get_all(path, "Snapshot")
        self.assertEqual((values["Location"], values["State"], values["Memory"], values["Size"]),
                         ("external", "running", "external", 4096))

    def test_memory_that_is_none_of_it(self):
        own = self.client.call(self.domain, "Domain", "GetXml")
        half = write_image(self.directory / "half", own, magic=MAGIC_PART)
        strange = write_image(self.directory / "strange", plain_xml("stranger", [self.disk]))
        other = write_image(self.directory / "other", own.replace(">1</vcpu>", ">2</vcpu>"))
        text = self.directory / "text"
        text.write_text("no image")
        cases = {"missing": ("NotFound", self.directory / "nothing"), "incomplete": ("ImageIncomplete", half),
                 "foreign": ("InvalidArgument", strange), "other-devices": ("InvalidArgument", other),
                 "no-image": ("ImageCorrupt", text), "directory": ("InvalidArgument", self.directory)}
        for case, (error, path) in cases.items():
            with self.subTest(case):
                self.assert_not_redefined(error, self.with_memory(path), str(path))


class Killed(RedefineCase):
    """The service dies in the middle."""

    def test_all_or_nothing_at_any_moment(self):
        old = self.take("one", description="old words")
        new = edit(old, ("old words", "new words"))
        for signs in range(8):
            job = self.ask(new)
            self.wait_for_signs(job, signs)
            self.service.kill()
            self.service.start()
            self.client = self.enter(self.service.client())
            self.assertIn(self.xml("one"), (old, new))
            self.assertEqual(self.current(), "one")
            self.assertEqual(list((self.service.state / "domains" / self.uuid / "journal").iterdir()), [])
            self.redefine(old)

    def test_new_record_is_whole_or_not_there(self):
        xml = self.take("one")
        for signs in range(8):
            self.forget_record("one")
            job = self.ask(xml, current=True)
            self.wait_for_signs(job, signs)
            self.service.kill()
            self.service.start()
            self.client = self.enter(self.service.client())
            self.assertIn((self.names(), self.current()), ((["one"], "one"), ([], None)))
            self.redefine(xml)
            self.assertEqual(self.xml("one"), xml)

    def wait_for_signs(self, job, wanted):
        """As many signals of the job, or its end."""
        def seen():
            signs = [signal.member for signal in self.client.signals if signal.path == job]
            return len(signs) >= wanted or "Completed" in signs

        wait_until(seen, f"{wanted} signals of {job}")


if __name__ == "__main__":
    main()
