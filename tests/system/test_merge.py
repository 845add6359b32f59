#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Merging files: what a guest's QEMU has of them afterwards; and files that can't be merged, under a guest and without
one: it goes on, all that it wrote is there, and the next deletion does what this one couldn't."""

import os
import pathlib
import subprocess

from vmsnaptest import SmallDisk, main, make_disk, qemu_img
from vmsnaptest.qmp import BareQmp

from external import STRETCH, ExternalCase, chain

MIB = 1 << 20


class FullDisk(ExternalCase):
    """The domain's own image lies where there is no room for what was written since."""

    def setUp(self):
        # It outlives the look at the disks.
        self.small = SmallDisk(48 * MIB)
        self.addCleanup(self.small.close)
        super().setUp()
        self.overlay = self.folder() / "overlay.qcow2"

    def prepare(self):
        """A domain that is off, with more above its image than fits beside that; and what its disk reads as."""
        base = make_disk(f"{self.small.path}/base.qcow2", target="vda")
        machine = self.machine(disks=[base])
        machine.run("CreateSnapshot", "s", "one", disks={"vda": {"path": str(self.overlay)}})
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q -P 7 32M 16M", self.overlay], check=True,
                       stdout=subprocess.DEVNULL)
        self.follow(machine)
        self.fill()
        return machine, [str(self.overlay), str(base.path)]

    def fill(self):
        room = os.statvfs(self.small.path)
        self.filler = self.small.open("filler")
        self.addCleanup(os.close, self.filler)
        os.posix_fallocate(self.filler, 0, room.f_bavail * room.f_bsize - 4 * MIB)

    def delete_in_vain(self, machine):
        warning = machine.delete("one")["warning"]
        self.assertIn("No space left on device", warning)
        self.assertIn(str(self.overlay), warning)
        self.assertEqual(machine.snapshots(), [])
        self.assertEqual(machine.journals(), [])

    def assert_unmerged(self, machine, files):
        self.assertEqual(self.shown_chain(machine, "vda"), files)
        self.assertEqual(chain(machine.disks[0]), files)

    def read_mark(self, machine):
        """What the guest doesn't write to."""
        for disk in machine.disks:
            subprocess.run(["qemu-io", "-U", "-r", "-f", disk.format, "-c", "read -q -P 7 32M 16M", disk.path], check=True)

    def assert_merged_once_there_is_room(self, machine, files):
        """By the next deletion, whichever it is."""
        os.ftruncate(self.filler, 0)
        machine.run("CreateSnapshot", "s", "two", disk_only=True)
        self.assertNotIn("warning", machine.delete("two"))
        self.follow(machine)
        self.assertEqual(self.shown_chain(machine, "vda"), files[1:])

    def test_under_a_guest(self):
        machine, files = self.prepare()
        machine.boot()
        run = machine.witness.get().run
        self.delete_in_vain(machine)
        self.assert_unmerged(machine, files)
        now = machine.witness.get().check()
        self.assertEqual(now.run, run)
        machine.witness.wait_beyond(now.ram + STRETCH).check()
        self.assert_merged_once_there_is_room(machine, files)
        now = machine.witness.get().check()
        self.assertEqual(now.run, run)
        self.assert_whole(machine)
        self.read_mark(machine)

    def test_of_a_domain_that_is_off(self):
        machine, files = self.prepare()
        self.delete_in_vain(machine)
        self.assert_unmerged(machine, files)
        self.read_mark(machine)
        for path in files:
            qemu_img("check", "-q", "-f", "qcow2", path)
        self.assert_merged_once_there_is_room(machine, files)
        self.assert_whole(machine)
        self.read_mark(machine)


class Nodes(ExternalCase):
    """What QEMU says of its disks."""

    def nodes(self, machine):
        """Those with a format, by their files."""
        with BareQmp(machine.runtime / "monitor.sock") as monitor:
            found = monitor.execute("query-named-block-nodes", {"flat": True})
        return {node["image"]["filename"]: node for node in found
                if node["node-name"].startswith("vd") and not node["node-name"].endswith("-file")}

    def open_files(self, machine):
        return [os.readlink(link) for link in pathlib.Path(f"/proc/{machine.pid()}/fd").iterdir() if link.is_symlink()]

    def test_what_was_merged_away_is_closed(self):
        machine = self.machine().boot()
        for name in ("one", "two", "three", "four"):
            self.take(machine, name)
        for name in ("two", "four", "one", "three"):
            machine.delete(name)
            self.follow(machine)
            self.assertEqual(sorted(self.nodes(machine)),
                             sorted(file for disk in machine.disks for file in self.shown_chain(machine, disk.target)))
            self.assertEqual([file for file in self.open_files(machine) if "qcow2" in file and "(deleted)" in file], [])
        self.assert_whole(machine)

    def test_a_disk_keeps_its_options(self):
        """A file that was below the active one wasn't opened with those that an active one has."""
        machine = self.undefined_machine()
        machine.call_manager("DefineDomain",
                             machine.xml().replace('type="qcow2"', 'type="qcow2" discard="unmap" detect_zeroes="unmap"'))
        base = machine.disks[0].path
        machine.run("CreateSnapshot", "s", "one", disk_only=True)
        machine.boot()
        self.assertEqual(self.nodes(machine)[str(base)]["detect_zeroes"], "off")
        machine.delete("one")
        self.assertEqual([self.nodes(machine)[str(disk.path)]["detect_zeroes"] for disk in machine.disks], ["unmap"] * 2)
        now = machine.witness.get().check()
        machine.witness.wait_beyond(now.ram + STRETCH).check()
        self.assert_whole(machine)


if __name__ == "__main__":
    main()
