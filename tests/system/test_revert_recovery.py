#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverts to external snapshots with the service, or QEMU too, killed at every moment of one: the domain is as before it or
as after it, all disks alike, a guest that wasn't to end yet runs on, and no file is left over."""

import pathlib

from vmsnaptest import main, make_disk

from external import STRETCH, ExternalCase, chain, digest
from recovery import RecoveryCase, holds, write


class RevertRecovery(RecoveryCase, ExternalCase):
    """A domain that goes back to `one` again and again."""

    def prepare(self, **options):
        self.place = self.folder()
        machine = self.machine(disks=[make_disk(self.place / "a.qcow2", target="vda"),
                                      make_disk(self.place / "b.img", image_format="raw", target="vdb")])
        for disk in machine.disks:
            write(disk, 1)
        self.frozen = list(machine.disks)
        machine.run("CreateSnapshot", "s", "one", **options)
        self.digests = [digest(disk.path) for disk in self.frozen]
        self.follow(machine)
        return machine

    def paths(self, machine):
        self.follow(machine)
        return [disk.path for disk in machine.disks]

    def ask(self, machine):
        self.before = self.paths(machine)
        return machine.ask_revert("one")

    def assert_one_or_the_other(self, machine):
        """Returns whether it is as after the revert."""
        self.assertEqual((machine.journals(), machine.get("Job")), ([], "/"))
        now = self.paths(machine)
        self.assertIn(sum(new != old for new, old in zip(now, self.before)), (0, len(now)), (self.before, now))
        for disk, base in zip(machine.disks, self.frozen):
            self.assertEqual(chain(disk)[-1], str(base.path))
            self.assertEqual(chain(disk), self.shown_chain(machine, disk.target))
            self.assertIn(f"'{disk.path}'", machine.call("GetXml", inactive=True).replace('"', "'"))
        self.assertEqual({str(file) for file in pathlib.Path(self.place).iterdir()},
                         {str(path) for path in [*now, *(disk.path for disk in self.frozen)]})
        self.assertEqual([digest(disk.path) for disk in self.frozen], self.digests)
        own = {path.name for path in (machine.store / "files").iterdir()}
        self.assertEqual(len(own), len(now), own)
        return now != self.before


class OfADomainThatIsOff(RevertRecovery):

    def test_service_killed(self):
        machine = self.prepare()

        def ask():
            for disk in machine.disks:
                write(disk, 2)
            return self.ask(machine)

        def check():
            value = 1 if self.assert_one_or_the_other(machine) else 2
            for disk in machine.disks:
                self.assertTrue(holds(disk, value), f"{disk} doesn't hold {value}")

        self.sweep(ask, check, machine, folders=[self.place])

    def test_service_killed_with_copies(self):
        machine = self.prepare(disks={"vda": {"snapshot": "internal"}})

        def ask():
            for disk in machine.disks:
                write(disk, 2)
            if machine.disks[0].path == self.frozen[0].path:
                machine.run("CreateSnapshot", "s", "two", disks={"vdb": {"snapshot": "none"}})
                self.digests = [digest(disk.path) for disk in self.frozen]
            return self.ask(machine)

        def check():
            self.follow(machine)
            after = [disk.path for disk in machine.disks] != self.before
            for disk in machine.disks:
                self.assertTrue(holds(disk, 1 if after else 2), f"{disk} after {after}")
            self.assertEqual([digest(disk.path) for disk in self.frozen], self.digests)

        self.sweep(ask, check, machine, folders=[self.place], stride=2)


class OfAGuest(RevertRecovery):

    def ask_of_guest(self, machine):
        if machine.get("State") == "shutoff":
            machine.boot()
        now = machine.witness.wait_beyond(machine.witness.get().ram).check()
        self.run_then, self.ram_then, self.pid_then = now.run, now.ram, machine.pid()
        return self.ask(machine)

    def test_service_killed(self):
        machine = self.prepare()

        def check():
            if self.assert_one_or_the_other(machine):
                self.assertEqual((machine.state[0], machine.pid()), ("shutoff", None))
                return
            self.assertEqual((machine.state[0], machine.pid()), ("running", self.pid_then))
            now = machine.witness.wait_beyond(self.ram_then + STRETCH).check()
            self.assertEqual(now.run, self.run_then)

        self.sweep(lambda: self.ask_of_guest(machine), check, machine, folders=[self.place], stride=2)

    def test_service_and_qemu_killed(self):
        machine = self.prepare()

        def check():
            self.assert_one_or_the_other(machine)
            self.assertEqual((machine.state[0], machine.pid()), ("shutoff", None))

        self.sweep(lambda: self.ask_of_guest(machine), check, machine, both=True, folders=[self.place], stride=4)


if __name__ == "__main__":
    main()
