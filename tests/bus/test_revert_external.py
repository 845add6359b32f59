# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverting domains that are off to external, mixed and offline snapshots: whatever was on a disk at a snapshot is there
again, and no snapshot's file is ever written to."""

import hashlib
import os
import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

from support import BusTestCase
from vmsnaptest import BusError, Disk, image_info, internal_snapshots, main, make_disk, qemu_img, snapshot_path

MIB = 1 << 20


def qemu_io(disk, *commands):
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(["qemu-io", "-f", disk.format, *words, str(disk.path)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=True)
    assert "failed" not in done.stdout and "error" not in done.stdout, done.stdout


def mark(disk, *values):
    """Writes values (1…255) into the disk, one a MiB; 0 leaves that one alone."""
    qemu_io(disk, *(f"write -q -P {value} {place * MIB} 64k" for place, value in enumerate(values) if value))


def holds(disk, *values):
    """Fails unless the disk holds those values."""
    qemu_io(disk, *(f"read -q -P {value} {place * MIB} 64k" for place, value in enumerate(values)))


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class RevertCase(BusTestCase):
    """A domain with a qcow2 and a raw disk, that boots nothing."""

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.disks = self.make_disks()
        self.domain = self.define("machine", self.disks)
        self.uuid = self.domain.rsplit("/", 1)[1].replace("_", "-")

    def make_disks(self):
        return [make_disk(self.directory / "a.qcow2", 8, target="vda"),
                make_disk(self.directory / "b.img", 8, image_format="raw", target="vdb")]

    def create(self, name, **options):
        return self.client.run(self.domain, "Domain", "CreateSnapshot", "s", name, **options)

    def revert(self, name, **options):
        return self.client.run(snapshot_path(self.domain, name), "Snapshot", "Revert", **options)

    def delete(self, name, **options):
        return self.client.run(snapshot_path(self.domain, name), "Snapshot", "Delete", **options)

    def xml(self, **options):
        return self.client.call(self.domain, "Domain", "GetXml", **options)

    def get(self, name):
        return self.client.get(self.domain, "Domain", name)

    def now(self, target="vda"):
        """The disk as the domain's definition has it."""
        for disk in ElementTree.fromstring(self.xml(inactive=True)).iter("disk"):
            if disk.find("target").get("dev") == target:
                source = disk.find("source")
                return Disk(pathlib.Path(source.get("file") or source.get("dev")), disk.find("driver").get("type"), target)
        raise KeyError(target)

    def files(self):
        return {path.name for path in self.directory.iterdir()}

    def current(self):
        path = self.get("CurrentSnapshot")
        return None if path == "/" else self.client.get(path, "Snapshot", "Name")

    def chain(self, target="vda"):
        (chain,) = [disk["chain"] for disk in self.get("Disks") if disk["target"] == target]
        return [path.rpartition("/")[2] for path in chain]

    def journals(self):
        folder = self.service.state / "domains" / self.uuid / "journal"
        return list(folder.iterdir()) if folder.is_dir() else []

    def refuse(self, name, error, words=(), **options):
        """It is refused, by the call or by the job, and nothing is changed."""
        before = self.files(), self.xml(), self.xml(inactive=True), self.get("State"), self.current()
        try:
            job = self.client.call(snapshot_path(self.domain, name), "Snapshot", "Revert", **options)
            end = self.client.end_of_job(job)
            caught = BusError(end.error, end.message)
        except BusError as refusal:
            caught = refusal
        self.assert_error(caught, error, words)
        self.assertEqual((self.files(), self.xml(), self.xml(inactive=True), self.get("State"), self.current()), before)
        self.assertEqual(self.journals(), [])


class ToExternalOnes(RevertCase):

    def test_disks_are_what_they_were_and_frozen_files_stay(self):
        for disk in self.disks:
            mark(disk, 1, 1)
        self.create("one")
        frozen = {disk.path: digest(disk.path) for disk in self.disks}
        for target in ("vda", "vdb"):
            mark(self.now(target), 0, 2, 2)
        result = self.revert("one")
        self.assertEqual(result["snapshot"], snapshot_path(self.domain, "one"))
        self.assertEqual(self.current(), "one")
        self.assertEqual((self.get("State"), self.get("StateReason")), ("shutoff", "from-snapshot"))
        for target in ("vda", "vdb"):
            holds(self.now(target), 1, 1, 0)
        self.assertEqual(self.chain("vda"), ["a.one-1", "a.qcow2"])
        self.assertEqual(self.chain("vdb"), ["b.one-1", "b.img"])
        self.assertEqual(image_info(self.now("vdb"))["backing-filename-format"], "raw")
        self.assertEqual({path: digest(path) for path in frozen}, frozen)

    def test_overlays_that_nothing_needs_go(self):
        self.create("one")
        self.revert("one")
        self.assertEqual(self.files(), {"a.qcow2", "b.img", "a.one-1", "b.one-1"})
        self.revert("one")
        self.assertEqual(self.files(), {"a.qcow2", "b.img", "a.one-2", "b.one-2"})

    def test_overlays_that_a_snapshot_is_kept_in_stay(self):
        self.create("one")
        mark(self.now(), 1)
        self.create("two")
        mark(self.now(), 2)
        self.revert("one")
        holds(self.now(), 0)
        self.revert("two")
        holds(self.now(), 1)
        self.assertEqual(self.chain(), ["a.two-1", "a.one", "a.qcow2"])
        self.assertEqual(self.files(), {"a.qcow2", "b.img", "a.one", "b.one", "a.two-1", "b.two-1"})

    def test_each_branch_keeps_its_own(self):
        self.create("root")
        for value in (1, 2, 3):
            self.revert("root")
            mark(self.now(), value)
            self.create(f"branch-{value}")
            self.assertEqual(self.client.get(self.get("CurrentSnapshot"), "Snapshot", "Parent"),
                             snapshot_path(self.domain, "root"))
        for value in (2, 3, 1):
            self.revert(f"branch-{value}")
            holds(self.now(), value)

    def test_what_is_in_the_way_is_gone_round(self):
        self.create("one")
        (self.directory / "a.one-1").write_text("not ours")
        (self.directory / "a.one-2").symlink_to("nowhere")
        self.revert("one")
        self.assertEqual(self.now().path.name, "a.one-3")
        self.assertEqual((self.directory / "a.one-1").read_text(), "not ours")

    def test_two_reverts_in_one_second_have_names_of_their_own(self):
        """PEERS.md, what breaks, 9."""
        self.create("one")
        other_disk = make_disk(self.directory / "a.raw", 8, image_format="raw", target="vda")
        other = self.define("other", [other_disk])
        self.client.run(other, "Domain", "CreateSnapshot", "s", "one", disks={"vda": {"path": f"{self.directory}/other"}})
        for _ in range(5):
            jobs = [self.client.call(snapshot_path(domain, "one"), "Snapshot", "Revert") for domain in (self.domain, other)]
            for job in jobs:
                self.client.wait_job(job)
            paths = {path for domain in (self.domain, other)
                     for disk in self.client.get(domain, "Domain", "Disks") for path in [disk["path"]]}
            self.assertEqual(len(paths), 3)
            self.assertTrue(all(os.path.exists(path) for path in paths))

    def test_disk_left_out_stays_as_it_is(self):
        mark(self.disks[0], 1)
        self.create("one", disks={"vdb": {"snapshot": "none"}})
        for target in ("vda", "vdb"):
            mark(self.now(target), 2)
        self.create("two")
        mark(self.now("vdb"), 3)
        self.revert("one")
        holds(self.now("vda"), 1)
        self.assertEqual(self.now("vdb").path.name, "b.two")
        holds(self.now("vdb"), 3)

    def test_starts_from_there_and_a_new_snapshot_is_its_child(self):
        self.create("one")
        self.revert("one")
        self.client.run(self.domain, "Domain", "Start")
        self.create("two", disk_only=True)
        self.assertEqual(self.client.get(self.get("CurrentSnapshot"), "Snapshot", "Parent"),
                         snapshot_path(self.domain, "one"))

    def test_block_devices_and_overlays_beside_them(self):
        image = self.directory / "device.img"
        image.write_bytes(b"\1" * 8 * MIB)
        done = subprocess.run(["losetup", "-f", "--show", str(image)], stdout=subprocess.PIPE, text=True, check=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", device], check=True)
        domain = self.define("device", [], devices=(
            f"<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='{device}'/>"
            "<target dev='vda' bus='virtio'/></disk>"))
        overlays = self.directory / "overlays"
        overlays.mkdir()
        self.domain = domain
        self.create("one", disks={"vda": {"path": f"{overlays}/first"}})
        mark(self.now(), 2)
        self.revert("one")
        holds(self.now(), 1)
        self.assertEqual(self.now().path.parent, overlays)
        self.assertEqual(sorted(path.name for path in overlays.iterdir()), [self.now().path.name])


class ToOthers(RevertCase):

    def make_disks(self):
        return [make_disk(self.directory / f"{name}.qcow2", 8, target=f"vd{name}") for name in "ab"]

    def test_mixed_ones(self):
        for disk in self.disks:
            mark(disk, 1, 1)
        self.create("one", disks={"vda": {"snapshot": "internal"}, "vdb": {"snapshot": "external"}})
        for target in ("vda", "vdb"):
            mark(self.now(target), 0, 2, 2)
        before = digest(self.disks[0].path)
        self.revert("one")
        for target in ("vda", "vdb"):
            holds(self.now(target), 1, 1, 0)
        self.assertEqual(internal_snapshots(self.now("vda")), [])
        self.assertEqual(internal_snapshots(self.disks[0]), ["one"])
        self.assertEqual(digest(self.disks[0].path), before)

    def test_internal_one_below_an_external_one(self):
        """PEERS.md, what breaks, 2: what a later snapshot froze isn't written to."""
        mark(self.disks[0], 1)
        self.create("inside", location="internal")
        mark(self.disks[0], 2)
        self.create("outside")
        frozen = digest(self.disks[0].path)
        mark(self.now(), 3)
        self.revert("inside")
        holds(self.now(), 1)
        self.assertEqual(digest(self.disks[0].path), frozen)
        mark(self.now(), 4)
        self.revert("outside")
        holds(self.now(), 2)
        self.revert("inside")
        holds(self.now(), 1)
        self.assertEqual(digest(self.disks[0].path), frozen)

    def test_internal_one_that_is_frozen_no_more(self):
        """Then the disks go back in their own files, and the copies go."""
        for disk in self.disks:
            mark(disk, 1)
        self.create("inside", location="internal")
        self.create("outside")
        mark(self.now(), 2)
        self.revert("inside")
        self.assertEqual(self.files(), {"a.qcow2", "b.qcow2", "a.inside-1", "b.inside-1"})
        self.delete("outside")
        self.revert("inside")
        self.assertEqual(self.now().path, self.disks[0].path)
        for disk in self.disks:
            holds(disk, 1)
        self.assertEqual(self.files(), {"a.qcow2", "b.qcow2"})
        self.assertEqual((self.current(), self.journals()), ("inside", []))

    def test_internal_one_in_an_overlay(self):
        mark(self.disks[0], 1)
        self.create("outside")
        mark(self.now(), 0, 2)
        self.create("inside", location="internal")
        mark(self.now(), 0, 3)
        self.create("above")
        self.revert("inside")
        holds(self.now(), 1, 2)
        self.assertEqual(self.chain()[1:], ["a.qcow2"])
        self.revert("above")
        holds(self.now(), 1, 3)


class Refused(RevertCase):

    def test_frozen_file_is_missing(self):
        self.create("one")
        self.disks[0].path.rename(self.directory / "moved")
        self.refuse("one", "NotFound", ["a.qcow2", "one"])

    def test_base_below_the_frozen_file_is_gone(self):
        self.create("one")
        self.create("two")
        self.disks[0].path.rename(self.directory / "moved")
        self.refuse("two", "NotFound", ["a.qcow2"])

    def test_running_with_paused(self):
        self.create("one")
        self.refuse("one", "InvalidArgument", ["running", "paused"], running=True, paused=True)

    def test_tag_is_gone(self):
        self.create("one", disks={"vda": {"snapshot": "internal"}, "vdb": {"snapshot": "external"}})
        qemu_img("snapshot", "-d", "one", self.disks[0].path)
        self.refuse("one", "NotFound", ["one", "a.qcow2"])


if __name__ == "__main__":
    main()
