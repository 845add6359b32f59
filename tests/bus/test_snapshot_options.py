# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a snapshot can be asked for, in options and in XML: what makes no sense is refused at once, and changes nothing."""

from xml.sax.saxutils import escape

from support import BusTestCase, SnapshotCase, plain_xml
from vmsnaptest import MANAGER, BusError, internal_snapshots, main, make_disk, snapshot_path

LONG = "x" * 260
# The service makes nothing there, so that a wrong 'yes' shows.
AWAY = "/nonexistent"


def snapshot_xml(content):
    return f"<domainsnapshot>{content}</domainsnapshot>"


def disks_xml(*disks):
    return snapshot_xml(f"<disks>{''.join(disks)}</disks>")


class BadInput(BusTestCase):
    """A domain that is off, with two qcow2 disks, one read-only disk and an empty CD-ROM."""

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.disks = [make_disk(self.directory / f"{target}.qcow2", 8, target=target) for target in ("vda", "vdb")]
        base = make_disk(self.directory / "base.qcow2", 8)
        devices = (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{base.path}'/>"
                   "<target dev='vdr' bus='virtio'/><readonly/></disk>"
                   "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>")
        self.domain = self.define("machine", self.disks, devices=devices)
        self.files = sorted(self.directory.iterdir())
        self.xml = self.client.call(self.domain, "Domain", "GetXml")

    def tearDown(self):
        self.assertEqual(self.client.call(self.domain, "Domain", "ListSnapshots"), [])
        self.assertEqual(self.client.get(self.domain, "Domain", "Job"), "/")
        self.assertEqual(sorted(self.directory.iterdir()), self.files)
        self.assertEqual(self.client.call(self.domain, "Domain", "GetXml"), self.xml)
        for disk in self.disks:
            self.assertEqual(internal_snapshots(disk), [])
        super().tearDown()

    def refuse(self, options, words, error="InvalidArgument", name="x"):
        with self.subTest(str(options)[:100]):
            self.assert_refused(error, self.domain, "Domain", "CreateSnapshot", "s", name, says=words, **options)

    def refuse_xml(self, text, words, error="InvalidArgument", **options):
        with self.subTest(f"{text[:100]} {options}"):
            self.assert_refused(error, self.domain, "Domain", "CreateSnapshotFromXml", "s", text, says=words, **options)

    def test_values_that_no_option_has(self):
        self.refuse({"location": "elsewhere"}, "'location'")
        self.refuse({"location": ""}, "'location'")
        self.refuse({"location": "mixed"}, "'location'")
        self.refuse({"encoding": "rar"}, "'encoding'")
        self.refuse({"encoding": ""}, "'encoding'")
        self.refuse({}, "name", name=LONG)
        self.refuse({"description": "a\x01b"}, "'description'")

    def test_paths_that_no_file_can_have(self):
        for path in ("relative", "", "./x", "file:///x", "/", AWAY + "/", AWAY + "/..", AWAY + "/.", f"{AWAY}/{LONG}",
                     f"{AWAY}/{'ä' * 128}", AWAY + "/x" * 2050, AWAY + "/a\nb", AWAY + "/a\x1bb", AWAY + "/\ufffe"):
            self.refuse({"memory_path": path}, "'memory-path'")
            self.refuse({"disks": {"vda": {"path": path}}}, ["'disks'", "'vda'", "'path'"])

    def test_disks_that_are_not_there_or_cannot_have_it(self):
        self.refuse({"disks": {"vdz": {}}}, ["'disks'", "'vdz'"])
        self.refuse({"disks": {"": {}}}, "'disks'")
        self.refuse({"disks": {str(self.disks[0].path): {}}}, "'disks'")
        self.refuse({"disks": {"vdr": {"snapshot": "external"}}}, ["'vdr'", "read-only"])
        self.refuse({"disks": {"vdr": {"path": AWAY + "/x"}}}, ["'vdr'", "read-only"])
        self.refuse({"disks": {"hdc": {"snapshot": "internal"}}}, ["'hdc'", "CD-ROM"])

    def test_what_a_disk_cannot_be_told(self):
        self.refuse({"disks": {"vda": {"colour": "red"}}}, ["'vda'", "'colour'"])
        self.refuse({"disks": {"vda": {"snapshot": True}}}, ["'vda'", "'snapshot'"])
        for word in ("maybe", "no", "mixed", ""):
            self.refuse({"disks": {"vda": {"snapshot": word}}}, ["'vda'", "'snapshot'"])
        for place in ("none", "internal"):
            self.refuse({"disks": {"vda": {"snapshot": place, "path": AWAY + "/x"}}}, ["'path'", place])
            self.refuse({"disks": {"vda": {"snapshot": place, "format": "qcow2"}}}, ["'format'", place])
        for word in ("raw", "vmdk", ""):
            self.refuse({"disks": {"vda": {"format": word}}}, ["'vda'", "'format'", "qcow2"])

    def test_two_that_want_one_file(self):
        one = {"path": AWAY + "/one"}
        self.refuse({"disks": {"vda": one, "vdb": one}}, ["'vda'", "'vdb'", "/one"])
        self.refuse({"disks": {"vda": one, "vdb": {"path": AWAY + "//a/../one"}}}, ["'vda'", "'vdb'", "/one"])
        self.refuse({"disks": {"vda": one}, "memory_path": one["path"]}, ["'vda'", "'memory-path'", "/one"])
        for key in ({"disks": {"vda": {"path": str(self.disks[1].path)}}}, {"memory_path": str(self.disks[1].path)}):
            self.refuse(key, ["'vdb'", str(self.disks[1].path)])
        self.refuse({"disks": {"vda": {"path": str(self.disks[0].path)}}, "reuse_external": True}, "'vda'")

    def test_contradictions(self):
        self.refuse({"live": True, "pause": True}, ["'live'", "'pause'"])
        self.refuse({"quiesce": True}, ["'quiesce'", "'disk-only'"])
        self.refuse({"disk_only": True, "memory_path": AWAY}, ["'memory-path'", "'disk-only'"])
        self.refuse({"disk_only": True, "encoding": "raw"}, ["'encoding'", "'disk-only'"])
        self.refuse({"location": "internal", "reuse_external": True}, ["'reuse-external'", "location=internal"])
        self.refuse({"location": "internal", "memory_path": AWAY}, ["'memory-path'", "location=internal"])
        self.refuse({"location": "internal", "encoding": "raw"}, ["'encoding'", "location=internal"])
        self.refuse({"location": "internal", "live": True}, ["'live'", "location=internal"], "NotSupported")

    def test_nothing_to_take_a_snapshot_of(self):
        none = {"snapshot": "none"}
        self.refuse({"disk_only": True, "disks": {"vda": none, "vdb": none}}, ["nothing", "'disk-only'"])
        self.refuse_xml(snapshot_xml("<memory snapshot='no'/><disks><disk name='vda' snapshot='no'/>"
                                     "<disk name='vdb' snapshot='no'/></disks>"), ["nothing", "<memory snapshot='no'>"])

    def test_ways_of_a_guest_need_one(self):
        self.refuse({"location": "internal", "pause": True}, ["'pause'", "shut off"], "InvalidState")

    def test_xml_that_is_none(self):
        for text in ("", "no", "<domain/>", snapshot_xml("<name>a/b</name>"), snapshot_xml(f"<name>{LONG}</name>"),
                     disks_xml("<disk name='vda' snapshot='maybe'/>"), disks_xml("<disk snapshot='no'/>"),
                     disks_xml("<disk name='vda'/>", "<disk name='vda'/>"),
                     disks_xml("<disk name='vda'><source file='relative'/></disk>"),
                     disks_xml("<disk name='vda' snapshot='internal'><source file='/nonexistent/x'/></disk>"),
                     snapshot_xml("<memory snapshot='internal' file='/nonexistent/x'/>"),
                     snapshot_xml("<memory snapshot='external' file='relative'/>")):
            self.refuse_xml(text, None, "InvalidXml")

    def test_xml_that_does_not_fit_the_domain(self):
        self.refuse_xml(disks_xml("<disk name='vdz'/>"), "'vdz'")
        self.refuse_xml(disks_xml(f"<disk name='{AWAY}/x'/>"), AWAY)
        self.refuse_xml(disks_xml("<disk name='vda'/>", f"<disk name='{self.disks[0].path}'/>"), ["'vda'", "twice"])
        self.refuse_xml(disks_xml("<disk name='hdc' snapshot='external'/>"), "'hdc'")
        self.refuse_xml(disks_xml("<disk name='vda' snapshot='external'><driver type='raw'/></disk>"), ["'vda'", "qcow2"])
        self.refuse_xml(disks_xml(f"<disk name='vda'><source file='{AWAY}/{LONG}'/></disk>"), ["'vda'", "too long"])
        self.refuse_xml(snapshot_xml(f"<memory file='{AWAY}/{LONG}'/>"), ["<memory", "too long"])
        one = f"<source file='{AWAY}/one'/></disk>"
        self.refuse_xml(disks_xml("<disk name='vda'>" + one, "<disk name='vdb'>" + one), ["'vda'", "'vdb'", "/one"])

    def test_xml_and_options_that_contradict_each_other(self):
        none, internal, external = (snapshot_xml(f"<memory snapshot='{word}'/>") for word in ("no", "internal", "external"))
        self.refuse_xml(internal, ["<memory snapshot='internal'>", "location=external"], location="external")
        self.refuse_xml(external, ["<memory snapshot='external'>", "location=internal"], location="internal")
        self.refuse_xml(internal, ["<memory snapshot='internal'>", "'disk-only'"], disk_only=True)
        self.refuse_xml(external, ["<memory snapshot='external'>", "'disk-only'"], disk_only=True)
        self.refuse_xml(none, ["<memory snapshot='no'>", "'memory-path'"], memory_path=AWAY)
        self.refuse_xml(none, ["<memory snapshot='no'>", "'encoding'"], encoding="raw")
        self.refuse_xml(internal, ["<memory snapshot='internal'>", "'reuse-external'"], reuse_external=True)
        self.refuse_xml(internal, ["<memory snapshot='internal'>", "'memory-path'"], memory_path=AWAY)
        self.refuse_xml(internal, ["<memory snapshot='internal'>", "'live'"], "NotSupported", live=True)
        self.refuse_xml(external, ["'quiesce'", "'disk-only'"], quiesce=True)
        self.refuse_xml(snapshot_xml(f"<memory file='{AWAY}/one'/>"), ["<memory file=", "'memory-path'"],
                        memory_path=AWAY + "/two")
        self.refuse_xml(snapshot_xml("<description>one</description>"), ["<description>", "'description'"],
                        description="two")
        self.refuse_xml(disks_xml("<disk name='vda' snapshot='no'/>"), ["'vda'", "'disks'", "<disks>"],
                        disks={"vda": {"snapshot": "external"}})
        self.refuse_xml(disks_xml(f"<disk name='vda'><source file='{AWAY}/one'/></disk>"), ["'vda'", "'disks'", "<disks>"],
                        disks={"vda": {"path": AWAY + "/two"}})

    def test_redefine_and_current(self):
        self.refuse_xml(snapshot_xml(""), ["'current'", "'redefine'"], current=True)
        for key, value in (("description", "x"), ("location", "internal"), ("disk_only", True), ("live", True),
                           ("pause", True), ("halt", True), ("reuse_external", True), ("no_metadata", True),
                           ("disks", {}), ("memory_path", AWAY), ("encoding", "raw")):
            self.refuse_xml(snapshot_xml(""), ["'redefine'", key.replace("_", "-")], redefine=True, **{key: value})


class Transient(BusTestCase):

    def test_halt_is_refused(self):
        disk = make_disk(self.make_directory() / "vda.qcow2", 8)
        domain, job = self.client.call(MANAGER, "Manager", "CreateDomain", "s", plain_xml("passing", [disk]))
        self.addCleanup(self.forget, domain)
        self.client.wait_job(job)
        self.assert_refused("InvalidArgument", domain, "Domain", "CreateSnapshot", "s", "x", says=["transient", "halt"],
                            halt=True, location="internal")
        self.assertEqual(self.client.get(domain, "Domain", "State"), "running")
        self.assertEqual(self.client.call(domain, "Domain", "ListSnapshots"), [])


class Accepted(SnapshotCase):

    def create_from_xml(self, text, **options):
        return self.client.run(self.domain, "Domain", "CreateSnapshotFromXml", "s", text, **options)["snapshot"]

    def test_atomic_and_false_flags_are_accepted(self):
        self.create("one", atomic=True, live=False, pause=False, disk_only=False, no_metadata=False, queue=True, disks={})
        self.assertEqual(self.list(), ["one"])

    def test_pause_is_accepted_of_a_guest(self):
        self.client.run(self.domain, "Domain", "Start")
        self.create("one", pause=True)
        self.assertEqual(self.client.get(self.domain, "Domain", "State"), "running")

    def test_disk_only_is_all_there_is_of_a_domain_that_is_off(self):
        path = self.create("one", disk_only=True)
        self.assertEqual(self.client.get(path, "Snapshot", "State"), "shutoff")
        self.client.run(self.domain, "Domain", "Start")
        self.refuse_create("NotSupported", "two", "'disk-only'", location="internal", disk_only=True)

    def test_disks_may_say_what_is_so_anyway(self):
        self.create("one", disks={"vda": {"snapshot": "internal"}})
        self.create("two", disks={"vda": {}})
        self.assertEqual(internal_snapshots(self.disk), ["one", "two"])

    def test_xml_tells_name_description_and_place(self):
        path = self.create_from_xml(snapshot_xml(
            "<name>one</name><description>for &lt;people&gt;</description><memory snapshot='internal'/>"
            f"<disks><disk name='{escape(str(self.disk.path))}' snapshot='internal'/></disks>"))
        self.assertEqual(path, snapshot_path(self.domain, "one"))
        properties = self.client.get_all(path, "Snapshot")
        self.assertEqual((properties["Name"], properties["Description"], properties["Location"], properties["State"]),
                         ("one", "for <people>", "internal", "shutoff"))
        self.assertEqual([disk["target"] for disk in properties["Disks"]], ["vda"])

    def test_xml_without_a_name_gets_one_from_the_time(self):
        path = self.create_from_xml("<domainsnapshot/>", location="internal", description="by option")
        self.assertRegex(self.client.get(path, "Snapshot", "Name"), r"^\d{4}-")
        self.assertEqual(self.client.get(path, "Snapshot", "Description"), "by option")

    def test_xml_of_a_snapshot_makes_a_new_one_like_it(self):
        first = self.create("first", description="the same")
        xml = self.client.call(first, "Snapshot", "GetXml")
        with self.assertRaises(BusError) as caught:
            self.create_from_xml(xml, location="internal")
        self.assert_error(caught.exception, "AlreadyExists", "first")
        second = self.create_from_xml(xml.replace("<name>first</name>", "<name>second</name>"), location="internal")
        self.assertEqual(self.client.get(second, "Snapshot", "Parent"), first)
        self.assertGreater(self.client.get(second, "Snapshot", "CreationTime"),
                           self.client.get(first, "Snapshot", "CreationTime"))
        self.assertEqual(self.client.get(second, "Snapshot", "Description"), "the same")
        self.assertEqual(internal_snapshots(self.disk), ["first", "second"])

    def test_what_internal_snapshots_cannot_do_says_so(self):
        other = make_disk(self.make_directory() / "vdb.qcow2", 8, target="vdb")
        both = self.define("both", [make_disk(self.make_directory() / "vda.qcow2", 8), other])
        cases = [
            ({"no_metadata": True}, "'no-metadata'"),
            ({"disks": {"vda": {"snapshot": "none"}}}, "'disks'"),
        ]
        for options, words in cases:
            with self.subTest(str(options)):
                self.assert_refused("NotSupported", both, "Domain", "CreateSnapshot", "s", "x", says=words,
                                    location="internal", **options)
        self.assertEqual(internal_snapshots(other), [])


if __name__ == "__main__":
    main()
