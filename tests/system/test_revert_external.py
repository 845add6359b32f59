#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverting to external and mixed snapshots with real guests: RAM and disks are of one instant, and of the right one; what
is frozen stays so; a revert that can't be done leaves the guest alone."""

from vmsnaptest import internal_snapshots, main, make_disk, qemu_img

from external import STRETCH, ExternalCase, digest


class RevertCase(ExternalCase):
    """What these tests ask of a machine."""

    def checkpoint(self, machine, name, **option_values):
        """A snapshot with memory; what the guest said before it and after."""
        before = machine.witness.mark(name).check()
        machine.run("CreateSnapshot", "s", name, **option_values)
        self.follow(machine)
        return before, machine.witness.get().check()

    def go_on(self, machine):
        now = machine.witness.mark("later").check()
        return machine.witness.wait_beyond(now.ram + STRETCH).check()

    def go_back(self, machine, name, **option_values):
        result = machine.revert(name, **option_values)
        self.follow(machine)
        self.assertEqual(machine.current(), name)
        self.assertEqual(machine.journals(), [])
        return result

    def assert_back(self, machine, name, before, after):
        """The guest is the one of then, and goes on."""
        back = machine.witness.get().check()
        self.assertEqual((back.mark, back.run), (name, before.run))
        self.assertGreaterEqual(back.ram, before.ram)
        return machine.witness.wait_beyond(max(back.ram, after.ram) + STRETCH).check()

    def assert_finds(self, machine, run, before, after):
        """A guest that boots finds on its disks what was there then."""
        found = machine.witness.get().check()["details"]
        for target in ("vda", "vdb"):
            self.assertEqual(found[target]["found"]["run"], run)
            self.assertTrue(before - 1 <= found[target]["found"]["n"] <= after, (before, found, after))


class WithMemory(RevertCase):

    def test_running_guest_goes_back_and_again(self):
        machine = self.machine().boot()
        before, after = self.checkpoint(machine, "one")
        frozen = [path for disk in machine.disks for path in self.shown_chain(machine, disk.target)[1:]]
        digests = [digest(path) for path in frozen]
        for _ in range(2):
            later = self.go_on(machine)
            self.go_back(machine, "one")
            self.assertEqual(machine.state, ("running", "from-snapshot"))
            self.assert_back(machine, "one", before, later)
        self.assertEqual([digest(path) for path in frozen], digests)
        self.assert_whole(machine)

    def test_guest_that_is_off_comes_back(self):
        machine = self.machine().boot()
        before, after = self.checkpoint(machine, "one")
        machine.shut_off()
        self.go_back(machine, "one", paused=True)
        self.assertEqual(machine.state, ("paused", "from-snapshot"))
        machine.call("Resume")
        self.assert_back(machine, "one", before, after)
        self.assert_whole(machine)

    def test_internal_one_that_is_frozen(self):
        machine = self.machine().boot()
        before = machine.witness.mark("inside").check()
        machine.snapshot("inside")
        old = list(machine.disks)
        self.checkpoint(machine, "outside")
        digests = [digest(disk.path) for disk in old]
        later = self.go_on(machine)
        self.go_back(machine, "inside")
        self.assert_back(machine, "inside", before, later)
        self.assertEqual([digest(disk.path) for disk in old], digests)
        for disk in machine.disks:
            self.assertEqual(internal_snapshots(disk), [])
        self.go_back(machine, "outside")
        machine.witness.get().check()
        self.go_back(machine, "inside")
        self.assert_back(machine, "inside", before, later)
        self.assertEqual([digest(disk.path) for disk in old], digests)
        self.assert_whole(machine)


    def test_memory_in_the_file_that_the_guest_writes(self):
        """One disk's past is frozen, the other's is in its present file, and so is the memory."""
        machine = self.machine().boot()
        before = machine.witness.mark("inside").check()
        machine.snapshot("inside")
        self.take(machine, "outside", disks={"vda": {"snapshot": "none"}})
        inside = machine.disks[0]
        self.assertEqual(internal_snapshots(inside), ["inside"])
        later = self.go_on(machine)
        self.go_back(machine, "inside")
        self.assert_back(machine, "inside", before, later)
        self.assertNotEqual(machine.disks[0].path, inside.path)
        self.assertEqual(internal_snapshots(inside), ["inside"])
        self.assert_whole(machine, [inside])

    def test_disk_left_out_stays_and_is_warned_of(self):
        machine = self.machine().boot()
        machine.run("CreateSnapshot", "s", "one", disks={"vdb": {"snapshot": "none"}})
        self.follow(machine)
        left_out = machine.disks[1].path
        result = self.go_back(machine, "one")
        self.assertIn("vdb", result["warning"])
        self.assertEqual(machine.disks[1].path, left_out)
        self.assert_whole(machine)


class ToOff(RevertCase):

    def test_running_guest_ends_and_its_disks_are_those_of_then(self):
        machine = self.machine(disks=[make_disk(self.folder() / "a.qcow2", target="vda"),
                                      make_disk(self.folder() / "b.img", image_format="raw", target="vdb")]).boot()
        before = machine.witness.mark("before").check()
        self.take(machine, "one")
        after = machine.witness.get().check()
        self.go_on(machine)
        self.go_back(machine, "one")
        self.assertEqual(machine.state, ("shutoff", "from-snapshot"))
        self.assertIsNone(machine.pid())
        machine.boot()
        self.assert_finds(machine, before.run, before.ram, after.ram)
        self.assert_whole(machine)

    def test_running_boots_the_guest_from_the_disks(self):
        machine = self.machine().boot()
        before = machine.witness.mark("before").check()
        self.take(machine, "one")
        after = machine.witness.get().check()
        self.go_on(machine)
        self.go_back(machine, "one", running=True)
        self.assertEqual(machine.state, ("running", "from-snapshot"))
        machine.witness.wait_for(lambda testimony: testimony.run != before.run, "another run")
        self.assert_finds(machine, before.run, before.ram, after.ram)
        self.assert_whole(machine)

    def test_mixed_one(self):
        machine = self.machine().boot()
        before = machine.witness.mark("before").check()
        self.take(machine, "one", disks={"vdb": {"snapshot": "internal"}})
        after = machine.witness.get().check()
        self.go_on(machine)
        inside = machine.disks[1].path
        self.go_back(machine, "one")
        self.assertNotEqual(machine.disks[1].path, inside)
        qemu_img("check", "-q", "-f", "qcow2", inside)
        machine.boot()
        self.assert_finds(machine, before.run, before.ram, after.ram)
        self.assert_whole(machine)


if __name__ == "__main__":
    main()
