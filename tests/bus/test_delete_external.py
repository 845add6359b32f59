# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deleting external and mixed snapshots of domains that are off: after each deletion every snapshot that remains, and the
disks themselves, hold exactly the bytes that they held before, and nothing is left behind. With guests: ../system."""

import itertools
import json
import os
import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

from support import BusTestCase, plain_xml
from vmsnaptest import (BusError, Disk, check_image, image_info, internal_snapshots, loop_device, main, make_disk, qemu_img,
                        snapshot_path)
from vmsnaptest.qcow2 import chain_content, read_chain

SIZE = 4 << 20
BLOCK = 65536


class DeleteCase(BusTestCase):
    """A domain whose disks are written to between its snapshots, each time with other bytes."""

    formats = ("qcow2", "qcow2")

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.disks = [self.make_original(f"vd{letter}", image_format)
                      for letter, image_format in zip("abc", self.formats)]
        self.uuid = None
        self.domain = self.define("machine", self.disks)
        self.uuid = self.client.get(self.domain, "Domain", "Uuid")
        self.kept = {}
        self.pattern = itertools.cycle(range(1, 256))

    def make_original(self, target, image_format):
        disk = make_disk(self.directory / f"{target}.img", SIZE >> 20, image_format, target=target)
        self.fill(disk.path, image_format, 0, 1, 0x77)
        return disk

    @staticmethod
    def fill(path, image_format, start, blocks, pattern):
        subprocess.run(["qemu-io", "-f", image_format, "-c", f"write -q -P {pattern} {start * BLOCK} {blocks * BLOCK}", path],
                       check=True, stdout=subprocess.DEVNULL)

    # What there is

    def sources(self, xml=None):
        """{target: (path, format)} of a definition, or of the domain's."""
        root = ElementTree.fromstring(xml or self.client.call(self.domain, "Domain", "GetXml", inactive=True))
        root = root if root.tag == "domain" else root.find("domain")
        return {disk.find("target").get("dev"): (disk.find("source").get("file") or disk.find("source").get("dev"),
                                                 disk.find("driver").get("type")) for disk in root.iter("disk")}

    def chains(self):
        """{target: its files, the active one first}, by the names alone."""
        disks = self.client.get(self.domain, "Domain", "Disks")
        return {disk["target"]: [os.path.basename(path) for path in disk["chain"]] for disk in disks}

    def names(self):
        paths = self.client.call(self.domain, "Domain", "ListSnapshots")
        return [self.client.get(path, "Snapshot", "Name") for path in paths]

    def current(self):
        path = self.client.get(self.domain, "Domain", "CurrentSnapshot")
        return None if path == "/" else self.client.get(path, "Snapshot", "Name")

    def parent(self, name):
        path = self.client.get(snapshot_path(self.domain, name), "Snapshot", "Parent")
        return None if path == "/" else self.client.get(path, "Snapshot", "Name")

    def own(self):
        """{file name: whether it is left}, of those that the service says it made, and of originals that are left."""
        folder = self.service.state / "domains" / self.uuid / "files"
        entries = [json.loads(file.read_text()) for file in folder.iterdir()] if folder.is_dir() else []
        return {os.path.basename(entry["path"]): entry["left"] for entry in entries}

    def files(self):
        return sorted(path.name for path in self.directory.iterdir())

    def read_snapshot(self, name):
        """{target: its bytes}, from the files that the snapshot's own definition names."""
        root = ElementTree.fromstring(self.client.call(snapshot_path(self.domain, name), "Snapshot", "GetXml"))
        kinds = {disk.get("name"): disk.get("snapshot") for disk in root.find("disks")}
        sources = self.sources(ElementTree.tostring(root, encoding="unicode"))
        return {target: chain_content(read_chain(*sources[target]), name if kind == "internal" else None)
                for target, kind in kinds.items() if kind != "no"}

    def read_disks(self):
        return {target: chain_content(read_chain(*source)) for target, source in self.sources().items()}

    # What is done

    def write(self, blocks=2, start=None):
        """New bytes into every disk; where nothing is said, elsewhere each time."""
        pattern = next(self.pattern)
        for path, image_format in self.sources().values():
            self.fill(path, image_format, pattern % 30 if start is None else start, blocks, pattern)

    def snapshot(self, name, **options):
        self.client.run(self.domain, "Domain", "CreateSnapshot", "s", name, **options)
        self.kept[name] = self.read_snapshot(name)
        return snapshot_path(self.domain, name)

    def make_line(self, *names, blocks=2):
        """One snapshot after the other, with writes before each and after the last."""
        for name in names:
            self.write(blocks)
            self.snapshot(name)
        self.write(blocks)

    def revert(self, name):
        self.client.run(snapshot_path(self.domain, name), "Snapshot", "Revert")

    def delete(self, name, **options):
        """Returns the job's result, when all is as it must be."""
        disks = self.read_disks()
        result = self.client.run(snapshot_path(self.domain, name), "Snapshot", "Delete", **options)
        self.check(disks)
        return result

    def check(self, disks):
        """Every byte that anything on record speaks of is there; no image is damaged, and none forgotten."""
        for name in self.names():
            self.assertEqual(self.read_snapshot(name), self.kept[name], name)
        self.assertEqual(self.read_disks(), disks)
        for path, image_format in self.sources().values():
            qemu_img("info", "--backing-chain", "-f", image_format, path)
        for path in self.directory.iterdir():
            with open(path, "rb") as file:
                image_format = "qcow2" if file.read(4) == b"QFI\xfb" else "raw"
            check_image(Disk(path, image_format))
        for name in self.own():
            self.assertTrue((self.directory / name).exists(), name)

    def refuse(self, error, words, name, **options):
        """Nothing is changed."""
        before = self.files(), self.names(), self.own(), self.chains()
        end = self.client.end_of_job(self.client.call(snapshot_path(self.domain, name), "Snapshot", "Delete", **options))
        self.assert_error(BusError(end.error, end.message), error, words)
        self.assertEqual((self.files(), self.names(), self.own(), self.chains()), before)


class Lines(DeleteCase):
    """Snapshots one after the other."""

    def test_only_one_leaves_the_disk_as_it_was_in_its_first_file(self):
        self.make_line("one")
        self.delete("one")
        self.assertEqual(self.files(), ["vda.img", "vdb.img"])
        self.assertEqual(self.own(), {})
        self.assertEqual(self.chains(), {"vda": ["vda.img"], "vdb": ["vdb.img"]})
        self.assertIsNone(self.current())

    def test_leaf(self):
        self.make_line("one", "two", "three")
        self.delete("three")
        self.assertEqual((self.names(), self.current()), (["one", "two"], "two"))
        self.assertEqual(len(self.chains()["vda"]), 3)
        self.assertEqual(len(self.files()), 6)

    def test_middle(self):
        self.make_line("one", "two", "three")
        self.delete("two")
        self.assertEqual((self.names(), self.current(), self.parent("three")), (["one", "three"], "three", "one"))
        self.assertEqual(len(self.chains()["vda"]), 3)
        self.assertEqual(set(self.own().values()), {False})

    def test_root(self):
        self.make_line("one", "two", "three")
        self.delete("one")
        self.assertEqual((self.names(), self.parent("two")), (["two", "three"], None))
        self.assertEqual(self.chains()["vda"][-1], "vda.img")
        self.assertEqual(len(self.chains()["vda"]), 3)

    def test_middle_is_moved_up_where_that_is_less(self):
        self.write()
        self.snapshot("one")
        self.write(1)
        self.snapshot("two")
        self.write(30, 0)
        self.snapshot("three")
        self.delete("two")
        self.assertEqual(self.chains()["vda"], ["vda.three", "vda.two", "vda.img"])

    def test_middle_is_moved_down_where_that_is_less(self):
        self.write()
        self.snapshot("one")
        self.write(30, 0)
        self.snapshot("two")
        self.write(1)
        self.snapshot("three")
        self.delete("two")
        self.assertEqual(self.chains()["vda"], ["vda.three", "vda.one", "vda.img"])
        self.assertEqual(self.sources(self.client.call(snapshot_path(self.domain, "three"), "Snapshot", "GetXml"))["vda"],
                         (f"{self.directory}/vda.one", "qcow2"))

    def test_one_after_the_other_in_any_order(self):
        names = ["s1", "s2", "s3", "s4"]
        for order in (("s1", "s2", "s3", "s4"), ("s4", "s3", "s2", "s1"), ("s2", "s4", "s1", "s3")):
            with self.subTest(order=order):
                self.make_line(*names)
                for name in order:
                    self.delete(name)
                self.assertEqual(self.chains(), {"vda": ["vda.img"], "vdb": ["vdb.img"]})
                self.assertEqual((self.files(), self.own()), (["vda.img", "vdb.img"], {}))

    def test_children_go_with_it(self):
        self.make_line("one", "two", "three", "four")
        self.delete("two", children=True)
        self.assertEqual((self.names(), self.current()), (["one"], "one"))
        self.assertEqual(len(self.chains()["vda"]), 2)

    def test_children_only(self):
        self.make_line("one", "two", "three", "four")
        self.delete("two", children_only=True)
        self.assertEqual((self.names(), self.current()), (["one", "two"], "two"))
        self.assertEqual(len(self.chains()["vda"]), 3)

    def test_everything_at_once(self):
        self.make_line("one", "two", "three", "four")
        self.delete("one", children=True)
        self.assertEqual((self.names(), self.files(), self.own()), ([], ["vda.img", "vdb.img"], {}))

    def test_where_nothing_was_written_at_all(self):
        self.snapshot("one")
        self.snapshot("two")
        self.delete("one")
        self.delete("two")
        self.assertEqual(self.own(), {})

    def test_signals_tell_of_each(self):
        self.make_line("one", "two")
        self.delete("one", children=True)
        for name in ("one", "two"):
            self.client.wait_signal("Event", lambda signal, name=name: signal.arguments[0] == "snapshot-deleted"
                                    and signal.arguments[1]["name"] == name)

    def test_domain_starts_and_goes_on(self):
        self.make_line("one", "two")
        self.delete("one")
        self.client.run(self.domain, "Domain", "Start")
        self.client.call(self.domain, "Domain", "PowerOff")
        self.snapshot("three")
        self.delete("two")

    def test_service_that_is_started_anew_knows_the_same(self):
        self.make_line("one", "two", "three")
        self.delete("two")
        before = self.names(), self.chains(), self.sources(), self.own()
        self.service.restart()
        self.client = self.enter(self.service.client())
        self.assertEqual((self.names(), self.chains(), self.sources(), self.own()), before)
        self.delete("one")


class Branches(DeleteCase):
    """Snapshots with several children, made by reverts."""

    def make_tree(self):
        """one has the children two, with four, and three, the current one."""
        self.make_line("one", "two", "four")
        self.revert("one")
        self.make_line("three")

    def test_branch_point_stays_without_a_name_until_one_branch_is_left(self):
        self.make_tree()
        self.delete("one")
        self.assertEqual((self.parent("two"), self.parent("three"), self.current()), (None, None, "three"))
        self.assertEqual(self.chains()["vda"][-1], "vda.img")
        self.assertTrue(self.own()["vda.img"])
        self.delete("two", children=True)
        self.assertEqual((self.names(), self.current()), (["three"], "three"))
        self.assertEqual(len(self.chains()["vda"]), 2)
        self.assertEqual(len(self.files()), 4)
        self.assertNotIn("vda.img", self.own())
        self.delete("three")
        self.assertEqual((self.files(), self.own()), (["vda.img", "vdb.img"], {}))

    def test_branch_that_is_not_in_use_goes_with_its_files(self):
        self.make_tree()
        self.delete("two", children=True)
        self.assertEqual(self.names(), ["one", "three"])
        self.assertEqual(sorted(self.files()), sorted(chain for chains in self.chains().values() for chain in chains))

    def test_middle_of_a_branch_that_is_not_in_use(self):
        self.make_tree()
        self.delete("two")
        self.assertEqual((self.parent("four"), self.current()), ("one", "three"))
        self.delete("four")
        self.assertEqual(sorted(self.files()), sorted(chain for chains in self.chains().values() for chain in chains))

    def test_current_one_that_was_reverted_to(self):
        self.make_line("one", "two", "three")
        self.revert("two")
        self.write()
        self.assertEqual(self.current(), "two")
        self.delete("two")
        self.assertEqual((self.names(), self.parent("three"), self.current()), (["one", "three"], "one", "one"))
        self.delete("three")
        self.delete("one")
        self.assertEqual((self.files(), self.own()), (["vda.img", "vdb.img"], {}))

    def test_every_order_of_a_tree(self):
        names = ["one", "two", "three", "four"]
        for order in (names, names[::-1], ["three", "one", "four", "two"], ["two", "three", "one", "four"]):
            with self.subTest(order=order):
                self.make_tree()
                for name in order:
                    self.delete(name)
                self.assertEqual((self.chains(), self.files(), self.own()),
                                 ({"vda": ["vda.img"], "vdb": ["vdb.img"]}, ["vda.img", "vdb.img"], {}))

    def test_three_branches(self):
        self.make_line("one", "a")
        for name in "bc":
            self.revert("one")
            self.make_line(name)
        self.delete("one")
        self.delete("b")
        self.assertTrue(self.own()["vda.img"])
        self.delete("a")
        self.delete("c")
        self.assertEqual((self.files(), self.own()), (["vda.img", "vdb.img"], {}))

    def test_internal_ones_among_them(self):
        self.write()
        self.snapshot("inside", location="internal")
        self.write()
        self.snapshot("outside")
        self.write()
        self.revert("inside")
        self.write()
        self.snapshot("later")
        self.write()
        self.delete("inside")
        self.delete("outside")
        self.delete("later")
        self.assertEqual((self.names(), len(self.chains()["vda"])), ([], 1))


class RawOriginals(DeleteCase):
    """The disks' own files are raw."""

    formats = ("raw", "raw")

    def test_root_and_the_others(self):
        self.make_line("one", "two", "three")
        self.delete("one")
        self.delete("three")
        self.delete("two")
        self.assertEqual(self.sources()["vda"], (f"{self.directory}/vda.img", "raw"))
        self.assertEqual((self.files(), self.own()), (["vda.img", "vdb.img"], {}))


class Devices(DeleteCase):
    """The disk's own file is a block device."""

    formats = ()

    def make_definition(self, device):
        return (f"<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='{device}'/>"
                "<target dev='vda' bus='virtio'/></disk>")

    def test_overlays_come_and_go_above_it(self):
        device = self.enter(loop_device(self.make_directory() / "backing", SIZE))
        self.domain = self.define("with-device", devices=self.make_definition(device))
        self.uuid = self.client.get(self.domain, "Domain", "Uuid")
        for name in ("one", "two"):
            self.write()
            self.snapshot(name, disks={"vda": {"path": f"{self.directory}/above-{name}"}})
        self.write()
        self.delete("one")
        self.delete("two")
        self.assertEqual(self.sources()["vda"], (str(device), "raw"))
        self.assertEqual(self.files(), [])


class Mixed(DeleteCase):
    """One disk's state in a file of its own, another's inside the file."""

    def take(self, name, internal="vdb"):
        return self.snapshot(name, disks={internal: {"snapshot": "internal"}})

    def test_both_parts_go(self):
        self.write()
        self.take("one")
        self.write()
        self.take("two")
        self.write()
        self.delete("one")
        self.assertEqual(internal_snapshots(self.disks[1]), ["two"])
        self.delete("two")
        self.assertEqual(internal_snapshots(self.disks[1]), [])
        self.assertEqual(self.chains(), {"vda": ["vda.img"], "vdb": ["vdb.img"]})

    def test_internal_part_in_a_file_that_is_frozen_now(self):
        self.write()
        self.snapshot("inside", location="internal")
        self.write()
        self.snapshot("outside")
        self.write()
        self.delete("inside")
        self.assertEqual(internal_snapshots(self.disks[0]), [])
        self.delete("outside")

    def test_file_with_a_snapshot_inside_stays_until_that_goes(self):
        self.write()
        self.snapshot("inside", location="internal")
        self.write()
        self.snapshot("outside")
        self.write()
        self.delete("outside")
        self.assertEqual(self.names(), ["inside"])
        self.assertEqual(self.chains()["vda"], ["vda.outside", "vda.img"])
        self.delete("inside")
        self.assertEqual(self.chains()["vda"], ["vda.img"])
        self.assertEqual(self.own(), {})

    def test_file_above_with_a_snapshot_inside_keeps_what_is_below(self):
        self.write()
        self.snapshot("outside")
        self.write()
        self.snapshot("inside", location="internal")
        self.write()
        self.delete("outside")
        self.assertEqual(self.chains()["vda"], ["vda.outside", "vda.img"])
        self.delete("inside")
        self.assertEqual(self.chains()["vda"], ["vda.img"])

    def test_disk_that_is_left_out_is_left_alone(self):
        self.write()
        self.snapshot("one", disks={"vdb": {"snapshot": "none"}})
        self.write()
        self.delete("one")
        self.assertEqual(self.files(), ["vda.img", "vdb.img"])


class MetadataOnly(DeleteCase):
    """The snapshot is forgotten, and its files stay."""

    def test_files_stay_whatever_is_deleted_later(self):
        self.make_line("one", "two", "three")
        forgotten = self.sources(self.client.call(snapshot_path(self.domain, "two"), "Snapshot", "GetXml"))
        before = {target: chain_content(read_chain(*source)) for target, source in forgotten.items()}
        xml = self.client.call(snapshot_path(self.domain, "two"), "Snapshot", "GetXml")
        self.delete("two", metadata_only=True)
        self.assertEqual((self.names(), self.parent("three")), (["one", "three"], "one"))
        self.delete("one")
        self.delete("three")
        self.assertEqual({target: chain_content(read_chain(*source)) for target, source in forgotten.items()}, before)
        xml = xml.replace("<parent><name>one</name></parent>", "").replace("<name>one</name>", "")
        self.assertIn("vda.one", self.files())

    def test_missing_files_are_no_reason_to_refuse_it(self):
        self.make_line("one", "two")
        (self.directory / "vda.one").rename(self.directory / "away")
        self.client.run(snapshot_path(self.domain, "two"), "Snapshot", "Delete", metadata_only=True)
        self.assertEqual(self.names(), ["one"])


class Refusals(DeleteCase):
    """What is missing or another is told by its name, before anything is changed."""

    def test_missing_file_of_the_snapshot(self):
        self.make_line("one", "two")
        (self.directory / "vda.one").rename(self.directory / "away")
        self.refuse("InvalidState", [f"{self.directory}/vda.one", "metadata-only"], "two")
        (self.directory / "away").rename(self.directory / "vda.one")
        self.delete("two")

    def test_missing_file_above(self):
        self.make_line("one", "two")
        (self.directory / "vda.two").rename(self.directory / "away")
        self.refuse("InvalidState", [f"{self.directory}/vda.two", "metadata-only"], "one")
        self.refuse("InvalidState", [f"{self.directory}/vda.two", "metadata-only"], "two")
        (self.directory / "away").rename(self.directory / "vda.two")
        self.delete("one")

    def test_missing_base(self):
        self.make_line("one", "two")
        (self.directory / "vdb.img").rename(self.directory / "away")
        self.refuse("InvalidState", [f"{self.directory}/vdb.img"], "two")
        (self.directory / "away").rename(self.directory / "vdb.img")
        self.delete("two")

    def test_another_file_in_its_place_is_neither_merged_nor_removed(self):
        self.make_line("one", "two")
        (self.directory / "vda.one").rename(self.directory / "away")
        make_disk(self.directory / "vda.one", 1)
        for name in ("two", "one"):
            self.refuse("InvalidState", [f"{self.directory}/vda.one", "metadata-only"], name)
        self.assertEqual(image_info(Disk(self.directory / "vda.one"))["virtual-size"], 1 << 20)

    def test_base_of_another_domain_stays(self):
        self.make_line("one")
        clone = make_disk(self.directory / "clone", backing=Disk(self.disks[0].path, "qcow2"))
        self.define("clone", [clone])
        before = chain_content(read_chain(clone.path, "qcow2"))
        self.delete("one")
        self.assertEqual(chain_content(read_chain(clone.path, "qcow2")), before)
        self.assertEqual(self.chains(), {"vda": ["vda.one", "vda.img"], "vdb": ["vdb.img"]})

    def test_second_client_is_told_that_it_is_gone(self):
        self.make_line("one", "two", "three")
        paths = [snapshot_path(self.domain, name) for name in ("one", "two")]
        first = self.client.call(paths[0], "Snapshot", "Delete", children=True)
        try:
            second = self.client.end_of_job(self.client.call(paths[1], "Snapshot", "Delete"))
            self.assertEqual(second.error.rpartition(".")[2], "NotFound")
            self.assertIn("two", second.message)
        except BusError as error:
            self.assertIn(error.name, ("NotFound", "UnknownObject", "UnknownMethod"))
        self.client.wait_job(first)
        self.assertEqual(self.names(), [])

    def test_managed_save_keeps_the_file_that_it_names(self):
        self.client.run(self.domain, "Domain", "Start")
        self.snapshot("one", disk_only=True)
        self.client.run(self.domain, "Domain", "ManagedSave")
        self.delete("one")
        self.assertEqual(self.chains()["vda"][0], "vda.one")
        self.client.run(self.domain, "Domain", "Start")
        self.client.call(self.domain, "Domain", "PowerOff")


if __name__ == "__main__":
    main()
