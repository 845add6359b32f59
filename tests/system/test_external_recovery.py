#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""External snapshots that fail half-way, and the service, or QEMU too, killed at every moment of one: nothing that the
guest wrote is lost, and all that says where its disks are says the same."""

from vmsnaptest import main, make_disk, witness_count

from external import STRETCH, ExternalCase, chain
from recovery import RecoveryCase


class Case(RecoveryCase, ExternalCase):
    """What all these tests ask of a machine afterwards."""

    def folder_of(self, machine):
        return machine.disks[0].path.parent

    def assert_agreed(self, machine, before):
        """The definitions, the engine's chains and the images speak of the same files; what isn't used isn't there."""
        self.assertEqual(machine.journals(), [])
        self.assertEqual(machine.get("Job"), "/")
        self.follow(machine)
        used = set()
        for disk in machine.disks:
            shown = self.shown_chain(machine, disk.target)
            self.assertEqual(chain(disk), shown)
            used.update(shown)
            for inactive in (False, True):
                self.assertIn(f"'{disk.path}'", machine.call("GetXml", inactive=inactive).replace('"', "'"))
        files = {str(file) for file in self.folder_of(machine).iterdir()}
        self.assertEqual(files - before - used, set())

    def files(self, machine):
        return {str(file) for file in self.folder_of(machine).iterdir()}

    def assert_goes_on(self, machine, run):
        """The guest that was there runs, and writes to the files that are said to be its disks."""
        self.assertEqual(machine.state[0], "running")
        now = machine.witness.get().check()
        self.assertEqual(now.run, run)
        later = machine.witness.wait_beyond(now.ram + STRETCH).check()
        for disk in machine.disks:
            self.assertGreaterEqual(witness_count(disk), now.ram)
        return later

    def assert_boots_with(self, machine, run, count):
        """Nothing that was written up to this count is lost, and the disks are of one instant."""
        machine.boot()
        found = [machine.witness.get()["details"][target]["found"] for target in ("vda", "vdb")]
        self.assertEqual([one["run"] for one in found], [run, run])
        counts = [one["n"] for one in found]
        self.assertLessEqual(max(counts) - min(counts), 1, counts)
        self.assertGreaterEqual(min(counts), count - 1)


class Failing(Case):
    """The last step fails, when the guest has long been writing to its overlays."""

    def take_in_vain(self, machine, name="one"):
        with self.failing_record(machine):
            return self.client.end_of_job(machine.call("CreateSnapshot", "s", name, disk_only=True))

    def test_overlays_are_merged_under_a_running_guest(self):
        machine = self.machine(disks=[make_disk(self.folder() / "a.qcow2", target="vda"),
                                      make_disk(self.folder() / "b.img", image_format="raw", target="vdb")]).boot()
        before = self.shape(machine)
        now = machine.witness.mark("before").check()
        for _ in range(3):
            end = self.take_in_vain(machine)
            self.assertEqual(end.state, "failed", end)
            self.assert_nothing_left(machine, before)
            now = self.assert_goes_on(machine, now.run)
        self.assertEqual(machine.state, ("running", "booted"))
        frozen = self.take(machine, "one")
        self.assert_stays(machine, frozen)
        self.assert_whole(machine, frozen)

    def test_a_paused_guest_stays_paused(self):
        machine = self.machine().boot()
        run = machine.witness.get().run
        machine.call("Pause")
        machine.wait_state("paused")
        before = self.shape(machine)
        self.take_in_vain(machine)
        self.assertEqual(machine.state, ("paused", "user"))
        self.assert_nothing_left(machine, before)
        machine.call("Resume")
        machine.wait_state("running")
        self.assert_goes_on(machine, run)
        self.assert_whole(machine)

    def test_upper_layers_alone_are_merged(self):
        machine = self.machine().boot()
        run = machine.witness.get().run
        frozen = self.take(machine, "one")
        before = self.shape(machine)
        self.take_in_vain(machine, "two")
        self.assert_nothing_left(machine, before)
        self.assert_stays(machine, frozen)
        self.assert_goes_on(machine, run)
        self.assert_whole(machine, frozen)

    def test_of_a_domain_that_is_off(self):
        machine = self.machine()
        before = self.shape(machine)
        self.assertEqual(self.take_in_vain(machine).state, "failed")
        self.assert_nothing_left(machine, before)

    def test_killed_on_the_way_back(self):
        machine = self.machine().boot()
        run = machine.witness.get().run
        before = self.files(machine)

        def ask():
            return machine.call("CreateSnapshot", "s", "one", disk_only=True)

        def check():
            self.assert_agreed(machine, before)
            self.assertEqual(machine.snapshots(), [])
            self.assertEqual(self.files(machine), before)
            self.assert_goes_on(machine, run)

        with self.failing_record(machine):
            self.sweep(ask, check, machine, folders=[self.folder_of(machine)])
        self.assert_whole(machine)

    def test_killed_with_its_guest_on_the_way_back(self):
        machine = self.machine().boot()
        before = self.files(machine)
        then = {}

        def ask():
            if machine.get("State") == "shutoff":
                machine.boot()
            now = machine.witness.wait_beyond(STRETCH).check()
            then.update(run=now.run, ram=now.ram)
            return machine.call("CreateSnapshot", "s", "one", disk_only=True)

        def check():
            self.assertEqual(machine.get("State"), "shutoff")
            self.assert_agreed(machine, before)
            self.assertEqual(self.files(machine), before)
            machine.check_disks()
            self.assert_boots_with(machine, then["run"], then["ram"])

        with self.failing_record(machine):
            self.sweep(ask, check, machine, both=True, folders=[self.folder_of(machine)], stride=4)
        self.assert_whole(machine)


class Killed(Case):
    """Each sweep ends with a snapshot that is there, and begins again with nothing."""

    def test_while_the_guest_runs_on(self):
        machine = self.machine().boot()
        run = machine.witness.get().run
        before = self.files(machine)
        frozen = list(machine.disks)

        def ask():
            return machine.call("CreateSnapshot", "s", f"n{len(machine.snapshots())}", disk_only=True)

        def check():
            self.assert_agreed(machine, before)
            self.assertEqual(len(self.shown_chain(machine, "vda")), 1 + len(machine.snapshots()))
            self.assert_goes_on(machine, run)

        self.sweep(ask, check, machine, folders=[self.folder_of(machine)])
        self.assert_stays(machine, frozen)
        self.assert_whole(machine, frozen)

    def test_together_with_the_guest(self):
        machine = self.machine().boot()
        before = self.files(machine)
        then = {}

        def ask():
            if machine.get("State") == "shutoff":
                machine.boot()
            now = machine.witness.wait_beyond(STRETCH).check()
            then.update(run=now.run, ram=now.ram)
            return machine.call("CreateSnapshot", "s", f"n{len(machine.snapshots())}", disk_only=True)

        def check():
            self.assert_agreed(machine, before)
            self.assertEqual(len(self.shown_chain(machine, "vda")), 1 + len(machine.snapshots()))
            self.assertEqual(machine.get("State"), "shutoff")
            machine.check_disks()
            self.assert_boots_with(machine, then["run"], then["ram"])

        self.sweep(ask, check, machine, both=True, folders=[self.folder_of(machine)], stride=4)
        self.assert_whole(machine)

    def test_of_a_domain_that_is_off(self):
        machine = self.machine()
        before = self.files(machine)

        def ask():
            return machine.call("CreateSnapshot", "s", f"n{len(machine.snapshots())}")

        def check():
            self.assert_agreed(machine, before)
            self.assertEqual(len(self.shown_chain(machine, "vda")), 1 + len(machine.snapshots()))

        self.sweep(ask, check, machine, folders=[self.folder_of(machine)])
        self.assert_whole(machine)


if __name__ == "__main__":
    main()
