# SPDX-License-Identifier: LGPL-2.1-or-later
"""External snapshots as the bus shows them: what the options lead to, and what the job and the objects tell. What the
disks and the memory hold then is seen in ../system."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree

from support import BusTestCase
from vmsnaptest import BusError, image_info, internal_snapshots, main, make_disk, snapshot_path


class ExternalCase(BusTestCase):
    """A domain with two qcow2 disks and one read-only one, that boots nothing."""

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.disks = [make_disk(self.directory / f"{target}.qcow2", 8, target=target) for target in ("vda", "vdb")]
        base = make_disk(self.directory / "base.img", 8)
        self.domain = self.define("machine", self.disks, devices=(
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{base.path}'/>"
            "<target dev='vdr' bus='virtio'/><readonly/></disk>"))

    def start(self):
        self.client.run(self.domain, "Domain", "Start")

    def create(self, name, **options):
        """Takes a snapshot, and returns the job's result."""
        return self.client.run(self.domain, "Domain", "CreateSnapshot", "s", name, **options)

    def create_from_xml(self, content, **options):
        return self.client.run(self.domain, "Domain", "CreateSnapshotFromXml", "s",
                               f"<domainsnapshot>{content}</domainsnapshot>", **options)

    def attempt(self, name, options):
        """The error that it ends with."""
        try:
            job = self.client.call(self.domain, "Domain", "CreateSnapshot", "s", name, **options)
        except BusError as error:
            return error
        end = self.client.end_of_job(job)
        return BusError(end.error, end.message)

    def refuse(self, error, words=None, name="x", **options):
        """It is refused by the call or by the job, and nothing is left behind."""
        before = sorted(self.directory.iterdir()), self.client.call(self.domain, "Domain", "GetXml")
        state, listed = self.state(), self.client.call(self.domain, "Domain", "ListSnapshots")
        with self.subTest(str(options)):
            self.assert_error(self.attempt(name, options), error, words)
        self.assertEqual((sorted(self.directory.iterdir()), self.client.call(self.domain, "Domain", "GetXml")), before)
        self.assertEqual((self.state(), self.client.call(self.domain, "Domain", "ListSnapshots")), (state, listed))

    def state(self):
        return self.client.get(self.domain, "Domain", "State")

    def show(self, result):
        return self.client.get_all(result["snapshot"], "Snapshot")

    def chains(self):
        """{target: its files, the active one first}, by the names alone."""
        disks = self.client.get(self.domain, "Domain", "Disks")
        return {disk["target"]: [path.rpartition("/")[2] for path in disk["chain"]] for disk in disks}

    def sources(self, **options):
        """{target: file} in the definition."""
        root = ElementTree.fromstring(self.client.call(self.domain, "Domain", "GetXml", **options))
        return {disk.find("target").get("dev"): disk.find("source").get("file") for disk in root.iter("disk")}


class OfADomainThatIsOff(ExternalCase):

    def test_overlays_lie_beside_their_disks_and_are_the_domains(self):
        snapshot = self.show(self.create("one", description="words"))
        self.assertEqual((snapshot["State"], snapshot["Location"], snapshot["Memory"], snapshot["Downtime"]),
                         ("shutoff", "external", "none", 0))
        self.assertTrue(snapshot["IsCurrent"])
        self.assertEqual({disk["target"]: (disk["snapshot"], disk["path"], disk["format"]) for disk in snapshot["Disks"]}, {
            "vda": ("external", f"{self.directory}/vda.one", "qcow2"),
            "vdb": ("external", f"{self.directory}/vdb.one", "qcow2"),
            "vdr": ("none", f"{self.directory}/base.img", "qcow2"),
        })
        self.assertEqual(self.chains(), {"vda": ["vda.one", "vda.qcow2"], "vdb": ["vdb.one", "vdb.qcow2"],
                                         "vdr": ["base.img"]})
        self.assertEqual(self.sources(inactive=True)["vdb"], f"{self.directory}/vdb.one")
        self.start()
        self.assertEqual(self.sources()["vda"], f"{self.directory}/vda.one")

    def test_each_disk_may_go_its_own_way(self):
        path = f"{self.directory}/elsewhere.img"
        snapshot = self.show(self.create("one", disks={"vda": {"path": path}, "vdb": {"snapshot": "none"}}))
        places = {disk["target"]: (disk["snapshot"], disk["path"]) for disk in snapshot["Disks"]}
        self.assertEqual((places["vda"], places["vdb"][0]), (("external", path), "none"))
        self.assertEqual(self.chains()["vda"], ["elsewhere.img", "vda.qcow2"])
        self.assertEqual(self.chains()["vdb"], ["vdb.qcow2"])

    def test_mixed_ones_say_so(self):
        snapshot = self.show(self.create("one", disks={"vdb": {"snapshot": "internal"}}))
        self.assertEqual(snapshot["Location"], "mixed")
        self.assertEqual(internal_snapshots(self.disks[1]), ["one"])
        self.assertEqual(self.list(internal=True), self.list(external=True))

    def list(self, **options):
        paths = self.client.call(self.domain, "Domain", "ListSnapshots", **options)
        return [self.client.get(path, "Snapshot", "Name") for path in paths]

    def test_xml_says_all_of_it(self):
        result = self.create_from_xml(
            "<name>one</name><description>for people</description><memory snapshot='no'/><disks>"
            f"<disk name='{self.disks[0].path}'><source file='{self.directory}/by-path'/></disk>"
            "<disk name='vdb' snapshot='no'/></disks>")
        snapshot = self.show(result)
        self.assertEqual((snapshot["Name"], snapshot["Description"]), ("one", "for people"))
        self.assertEqual(self.chains(), {"vda": ["by-path", "vda.qcow2"], "vdb": ["vdb.qcow2"], "vdr": ["base.img"]})

    def test_xml_that_came_out_says_where_all_of_it_is(self):
        path = self.create("one")["snapshot"]
        root = ElementTree.fromstring(self.client.call(path, "Snapshot", "GetXml"))
        self.assertEqual(root.find("memory").get("snapshot"), "no")
        self.assertEqual({disk.get("name"): (disk.get("snapshot"), disk.find("source").get("file")
                                             if disk.find("source") is not None else None) for disk in root.find("disks")},
                         {"vda": ("external", f"{self.directory}/vda.one"), "vdb": ("external", f"{self.directory}/vdb.one"),
                          "vdr": ("no", None)})
        then = {disk.find("target").get("dev"): disk.find("source").get("file") for disk in root.find("domain").iter("disk")}
        self.assertEqual(then["vda"], str(self.disks[0].path))

    def test_without_metadata_only_the_disks_change(self):
        job = self.client.call(self.domain, "Domain", "CreateSnapshot", "s", "one", no_metadata=True)
        self.assertEqual(self.client.get(job, "Job", "Snapshot"), "/")
        result = self.client.wait_job(job).result
        self.assertNotIn("snapshot", result)
        self.assertEqual(self.list(), [])
        self.assertEqual(self.client.get(self.domain, "Domain", "CurrentSnapshot"), "/")
        self.assertEqual(self.chains()["vda"], ["vda.one", "vda.qcow2"])

    def own_files(self):
        """The files that the service put on record as its own, by the names alone."""
        records = self.state_directory().glob("files/*.json")
        return sorted(json.loads(record.read_text())["path"].rpartition("/")[2] for record in records)

    def state_directory(self):
        return self.service.state / "domains" / self.domain.rpartition("/")[2].replace("_", "-")

    def test_only_overlays_that_the_service_made_are_its_own(self):
        self.create("one")
        self.assertEqual(self.own_files(), ["vda.one", "vdb.one"])
        size = image_info(self.disks[0])["virtual-size"]
        reused = make_disk(self.directory / "given.qcow2", size // 2**20)
        self.create("two", reuse_external=True, disks={"vda": {"path": str(reused.path)}, "vdb": {"snapshot": "none"}})
        self.create("three", no_metadata=True)
        self.assertEqual(self.own_files(), ["vda.one", "vdb.one"])

    def test_no_file_is_its_own_any_more_after_undefine(self):
        self.create("one")
        self.client.call(self.domain, "Domain", "Undefine", snapshots_metadata=True)
        self.assertEqual(self.own_files(), [])
        self.assertTrue((self.directory / "vda.one").exists())

    def test_nor_when_its_guest_runs_on(self):
        self.create("one")
        self.start()
        self.client.call(self.domain, "Domain", "Undefine", snapshots_metadata=True)
        self.assertEqual(self.own_files(), [])
        self.assertTrue((self.directory / "vda.one").exists())

    def test_nor_after_a_failure(self):
        (self.state_directory() / "snapshots").write_text("where the records would be")
        self.assertEqual(self.attempt("one", {}).name, "Io")
        self.assertEqual(self.own_files(), [])
        self.assertFalse((self.directory / "vda.one").exists())

    def test_frozen_file_is_not_written_under_any_name(self):
        self.create("one")
        (self.directory / "hard.qcow2").hardlink_to(self.disks[0].path)
        (self.directory / "soft.qcow2").symlink_to("vda.qcow2")
        for name in ("vda.qcow2", "hard.qcow2", "soft.qcow2"):
            with self.subTest(name):
                path = self.directory / name
                other = self.define(f"writes {name}", [dataclasses.replace(self.disks[0], path=path)])
                end = self.client.end_of_job(self.client.call(other, "Domain", "Start"))
                self.assertEqual(end.error, "InvalidState", end.message)
                self.assertIn(f"{path}", end.message)
                self.assertIn("'one' of machine", end.message)

    def problems(self, snapshot):
        """{target: the words}"""
        return {disk["target"]: disk["problem"] for disk in self.client.get(snapshot, "Snapshot", "Disks")
                if "problem" in disk}

    def look_again(self):
        """The files are looked at when the service starts."""
        self.service.restart()
        self.client = self.enter(self.service.client())

    def test_missing_file_is_the_problem_of_those_that_are_kept_in_it(self):
        one, two, three = (self.create(name)["snapshot"] for name in ("one", "two", "three"))
        inside = self.create("inside", location="internal")["snapshot"]
        self.assertEqual([self.problems(snapshot) for snapshot in (one, two, three, inside)], [{}, {}, {}, {}])
        missing = self.directory / "vda.one"
        missing.rename(self.directory / "away")
        self.look_again()
        self.assertEqual(self.list(), ["one", "two", "three", "inside"])
        self.assertEqual(self.problems(one), {})
        for snapshot in (two, three, inside):
            self.assertEqual(list(self.problems(snapshot)), ["vda"])
            self.assertIn(str(missing), self.problems(snapshot)["vda"])
        (self.directory / "away").rename(missing)
        self.look_again()
        self.assertEqual([self.problems(snapshot) for snapshot in (one, two, three, inside)], [{}, {}, {}, {}])

    def wait_problem(self, snapshot, is_there):
        self.client.wait_signal("PropertiesChanged", lambda signal: signal.path == snapshot and is_there == any(
            "problem" in disk for disk in signal.arguments[1].get("Disks", [])) and "Disks" in signal.arguments[1])

    def test_operation_that_looks_tells_of_a_problem_and_of_its_end(self):
        one, two = (self.create(name)["snapshot"] for name in ("one", "two"))
        missing = self.directory / "vda.one"
        missing.rename(self.directory / "away")
        before = self.sources()
        end = self.client.end_of_job(self.client.call(two, "Snapshot", "Revert"))
        self.assertEqual(end.state, "failed")
        self.assertIn(str(missing), end.message)
        self.assertEqual(self.sources(), before)
        self.wait_problem(two, True)
        self.assertIn(str(missing), self.problems(two)["vda"])
        self.assertEqual(self.problems(one), {})

        (self.directory / "away").rename(missing)
        self.client.signals.clear()
        self.client.run(two, "Snapshot", "Revert")
        self.wait_problem(two, False)
        self.assertEqual(self.problems(two), {})

    def test_foreign_file_is_not_reverted_to(self):
        one = self.create("one")["snapshot"]
        make_disk(self.disks[0].path, 9)
        before = self.sources(), sorted(self.directory.iterdir())
        end = self.client.end_of_job(self.client.call(one, "Snapshot", "Revert"))
        self.assertEqual(end.state, "failed")
        self.assertIn(f"{self.disks[0].path} is not the file", end.message)
        self.assertEqual((self.sources(), sorted(self.directory.iterdir())), before)

    def test_nothing_is_written_above_a_foreign_file(self):
        self.create("one")
        self.create("two")
        kept = (self.directory / "vda.one").read_bytes()
        make_disk(self.directory / "vda.one", 8)
        end = self.client.end_of_job(self.client.call(self.domain, "Domain", "Start"))
        self.assertEqual(end.error, "InvalidState", end.message)
        self.assertIn(f"{self.directory}/vda.one is not the file", end.message)
        (self.directory / "vda.one").write_bytes(kept)
        self.start()

    def test_foreign_file_is_a_problem(self):
        one, two = (self.create(name)["snapshot"] for name in ("one", "two"))
        make_disk(self.disks[0].path, 9)
        make_disk(self.directory / "vdb.one", 8)
        self.look_again()
        self.assertEqual(list(self.problems(one)), ["vda"])
        self.assertIn(f"{self.disks[0].path} is not the file", self.problems(one)["vda"])
        self.assertIn(f"{self.disks[0].path} is not the file", self.problems(two)["vda"])
        self.assertIn(f"{self.directory}/vdb.one is not the file", self.problems(two)["vdb"])

    def test_what_needs_a_guest_says_so(self):
        for options in ({"live": True}, {"pause": True}, {"memory_path": f"{self.directory}/memory"}, {"encoding": "raw"}):
            (key,) = options
            self.refuse("InvalidState", [f"'{key.replace('_', '-')}'", "shut off"], **options)

    def test_files_that_are_there_are_left_alone(self):
        (self.directory / "vdb.x").write_text("mine")
        self.refuse("AlreadyExists", f"{self.directory}/vdb.x")
        self.refuse("AlreadyExists", f"{self.directory}/vdb.x", disks={"vda": {"path": f"{self.directory}/vdb.x"},
                                                                       "vdb": {"snapshot": "none"}})
        self.assertEqual((self.directory / "vdb.x").read_text(), "mine")

    def test_directories_that_are_not_there(self):
        self.refuse("NotFound", "/nonexistent", disks={"vda": {"path": "/nonexistent/x"}})

    def test_name_that_is_too_long_beside_a_disk(self):
        self.assertEqual(len(self.create("x" * 200)["snapshot"].rpartition("/")[2]), 200)

    def test_names_taken(self):
        self.create("one")
        self.refuse("AlreadyExists", "one", name="one")
        self.refuse("AlreadyExists", "one", name="one", location="internal")


class OfAGuest(ExternalCase):

    def setUp(self):
        super().setUp()
        self.start()

    def test_checkpoint_has_memory_and_disks_and_tells_how(self):
        result = self.create("one")
        self.assertEqual(result["snapshot"], snapshot_path(self.domain, "one"))
        self.assertIn(result["mode"], ("background", "precopy", "paused"))
        self.assertTrue(result["mode-reason"])
        self.assertGreater(result["downtime"], 0)
        snapshot = self.show(result)
        self.assertEqual((snapshot["State"], snapshot["Location"], snapshot["Memory"]), ("running", "external", "external"))
        self.assertEqual(snapshot["Downtime"], result["downtime"])
        self.assertGreater(snapshot["Size"], 0)
        self.assertEqual(self.state(), "running")
        self.assertEqual(self.chains()["vda"], ["vda.one", "vda.qcow2"])
        root = ElementTree.fromstring(self.client.call(result["snapshot"], "Snapshot", "GetXml"))
        self.assertEqual((root.find("memory").get("snapshot"), root.find("memory").get("file")), ("external", result["file"]))

    def test_pause_has_its_mode_and_the_guest_runs_on(self):
        result = self.create("one", pause=True)
        self.assertEqual(result["mode"], "paused")
        self.assertEqual(self.state(), "running")

    def test_memory_goes_where_it_is_told_to_in_the_encoding_asked_for(self):
        path = self.directory / "memory"
        result = self.create("one", memory_path=str(path), encoding="gzip")
        self.assertEqual(result["file"], str(path))
        with open(path, "rb") as image:
            self.assertEqual(image.read(16), b"LibvirtQemudSave")
        self.refuse("AlreadyExists", str(path), memory_path=str(path))
        self.refuse("NotFound", "/nonexistent", memory_path="/nonexistent/memory")
        self.refuse("InvalidArgument", "'memory-path'", memory_path=f"{self.directory}/v", disks={
            "vda": {"path": f"{self.directory}/v"}})

    def test_xml_tells_where_the_memory_goes(self):
        path = self.directory / "memory"
        result = self.create_from_xml(f"<name>one</name><memory snapshot='external' file='{path}'/>")
        self.assertEqual(result["file"], str(path))
        self.assertEqual(self.show(result)["Memory"], "external")

    def test_disk_only_leaves_the_memory_out(self):
        for name, options in (("one", {"disk_only": True}), ("two", {})):
            with self.subTest(name):
                result = self.create(name, **options) if options else self.create_from_xml(
                    f"<name>{name}</name><memory snapshot='no'/>")
                snapshot = self.show(result)
                self.assertEqual((snapshot["State"], snapshot["Memory"], snapshot["Location"]),
                                 ("disk-snapshot", "none", "external"))
                self.assertNotIn("mode", result)
        self.assertEqual(self.chains()["vda"], ["vda.two", "vda.one", "vda.qcow2"])
        self.assertEqual(self.state(), "running")

    def test_paused_guest_stays_paused(self):
        self.client.call(self.domain, "Domain", "Pause")
        snapshot = self.show(self.create("one"))
        self.assertEqual((snapshot["State"], self.state()), ("paused", "paused"))

    def test_halt_powers_off_afterwards(self):
        snapshot = self.show(self.create("one", halt=True))
        self.assertEqual((snapshot["State"], self.state()), ("running", "shutoff"))
        self.assertEqual(self.sources()["vda"], f"{self.directory}/vda.one")

    def test_reused_overlays_must_be_the_disks(self):
        wrong = make_disk(self.directory / "vda.x", 16)
        self.refuse("InvalidArgument", str(wrong.path), reuse_external=True, disk_only=True,
                    disks={"vdb": {"snapshot": "none"}})
        self.refuse("NotFound", "vdb.x", reuse_external=True, disk_only=True, disks={"vda": {"snapshot": "none"}})
        right = make_disk(self.directory / "vda.y", backing=self.disks[0])
        self.create("y", reuse_external=True, disk_only=True, disks={"vdb": {"snapshot": "none"}})
        self.assertEqual(self.chains()["vda"], ["vda.y", "vda.qcow2"])
        self.assertEqual(image_info(right)["backing-filename-format"], "qcow2")

    def test_phases_are_words(self):
        job = self.client.call(self.domain, "Domain", "CreateSnapshot", "s", "one")
        self.client.wait_job(job)
        phases = [signal.arguments[1]["Phase"] for signal in self.client.signals
                  if signal.path == job and signal.member == "PropertiesChanged" and "Phase" in signal.arguments[1]]
        self.assertTrue(phases)
        for phase in phases:
            self.assertTrue(re.fullmatch(r"[A-Z][a-z ]+", phase), phase)


if __name__ == "__main__":
    main()
