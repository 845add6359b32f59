# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of external snapshots share. No test case of its own."""

import contextlib
import hashlib
import json
import pathlib

from vmsnaptest import Disk, qemu_img, witness_count

from machines import ServiceCase

# Long enough for a guest to have written to an overlay what a test would miss.
STRETCH = 100


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def chain(disk):
    """The files of a disk, the active one first, as the images themselves say; each whole."""
    infos = json.loads(qemu_img("info", "-U", "--backing-chain", "--output=json", "-f", disk.format, disk.path))
    for info in infos[:-1]:
        assert info["backing-filename-format"], info
        assert pathlib.Path(info["backing-filename"]).is_absolute(), info
    return [info["filename"] for info in infos]


class ExternalCase(ServiceCase):
    """What these tests ask of a machine."""

    def take(self, machine, name, **option_values):
        """A snapshot of the disks; the machine's disks are the overlays from then on. Returns the frozen disks."""
        frozen = list(machine.disks)
        machine.run("CreateSnapshot", "s", name, disk_only=True, **option_values)
        self.follow(machine)
        return frozen

    def follow(self, machine):
        """The machine's disks are those that the service says."""
        machine.disks = [Disk(pathlib.Path(disk["path"]), disk["format"], disk["target"], read_only=disk["read-only"])
                         for disk in machine.get("Disks")]

    def overlays(self, disks, name):
        return [disk.path.parent / f"{disk.path.name.rsplit('.', 1)[0]}.{name}" for disk in disks]

    def assert_frozen(self, frozen, before, after):
        """The disks hold one instant between two testimonies."""
        counts = [witness_count(disk) for disk in frozen]
        self.assertLessEqual(max(counts) - min(counts), 1, counts)
        self.assertTrue(before.ram - 1 <= min(counts) and max(counts) <= after.ram, (before.ram, counts, after.ram))

    def assert_stays(self, machine, frozen):
        """The guest goes on, and nothing of it gets to the frozen files."""
        digests = [digest(disk.path) for disk in frozen]
        now = machine.witness.get().check()
        machine.witness.wait_beyond(now.ram + STRETCH).check()
        self.assertEqual([digest(disk.path) for disk in frozen], digests)

    def assert_whole(self, machine, frozen=()):
        """Of a domain that is off."""
        machine.shut_off()
        for disk in [*machine.disks, *frozen]:
            if disk.format == "qcow2":
                qemu_img("check", "-q", "-f", "qcow2", disk.path)
        for disk in machine.disks:
            self.assertEqual([str(path) for path in chain(disk)], self.shown_chain(machine, disk.target))

    def shown_chain(self, machine, target):
        return next(disk["chain"] for disk in machine.get("Disks") if disk["target"] == target)

    def assert_nothing_left(self, machine, before):
        """As before the operation."""
        self.assertEqual(self.shape(machine), before)
        self.assertEqual(machine.journals(), [])

    def shape(self, machine):
        folders = {disk.path.parent for disk in machine.disks}
        return (machine.call("GetXml"), machine.call("GetXml", inactive=True), machine.get("Disks"), machine.snapshots(),
                sorted(str(file) for folder in folders for file in folder.iterdir()))

    @contextlib.contextmanager
    def failing_record(self, machine):
        """No snapshot of the machine can be recorded meanwhile: the last thing that can go wrong."""
        folder = machine.store / "snapshots"
        aside = folder.with_name("aside")
        if folder.is_dir():
            folder.rename(aside)
        folder.write_text("in the way")
        try:
            yield
        finally:
            folder.unlink()
            if aside.is_dir():
                aside.rename(folder)
