#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deleting external snapshots under a guest that runs, or stands still: it goes on, and every snapshot that remains holds
what it held. Also when the service, or QEMU, too, is killed at any moment of it, and when it is cancelled."""

import hashlib
import itertools
import pathlib
import xml.etree.ElementTree as ElementTree

from vmsnaptest import BusError, main, make_disk, wait_until, witness_count
from vmsnaptest.qcow2 import chain_content, read_chain

from external import STRETCH, ExternalCase, chain
from machines import JOB, SNAPSHOT
from recovery import RecoveryCase


class Case(RecoveryCase, ExternalCase):
    """What all these tests ask of a machine."""

    def setUp(self):
        super().setUp()
        self.kept = {}
        self.numbers = itertools.count(1)

    def small_machine(self, image_format="qcow2", **details):
        folder = self.folder()
        return self.machine(disks=[make_disk(folder / f"{target}.img", 8, image_format, target=target)
                                   for target in ("vda", "vdb")], **details)

    def images(self, machine, name):
        """{target: the files that hold what the snapshot keeps of it}."""
        root = ElementTree.fromstring(self.client.call(machine.snapshot_path(name), SNAPSHOT, "GetXml"))
        return {disk.find("target").get("dev"): read_chain(disk.find("source").get("file"), disk.find("driver").get("type"))
                for disk in root.find("domain").iter("disk")}

    def read(self, machine, name):
        """{target: a digest of what the snapshot holds of it}."""
        return {target: hashlib.sha256(chain_content(images)).hexdigest()
                for target, images in self.images(machine, name).items()}

    def add(self, machine, name=None, **option_values):
        """A snapshot of what the guest has written since the last."""
        name = name or f"n{next(self.numbers)}"
        if machine.state[0] == "running":
            machine.witness.wait_beyond(machine.witness.get().ram + STRETCH).check()
        machine.run("CreateSnapshot", "s", name, **{"disk_only": True, **option_values})
        self.kept[name] = self.read(machine, name)
        return name

    def folder_of(self, machine):
        return machine.disks[0].path.parent

    def assert_kept(self, machine):
        """Each snapshot on record is whole; the definitions, the chains and the images agree; nothing is left over."""
        used = set()
        for name in machine.snapshots():
            self.assertEqual(self.read(machine, name), self.kept[name], name)
            used.update(str(image.path) for images in self.images(machine, name).values() for image in images)
        self.assertEqual(machine.journals(), [])
        self.assertEqual(machine.get("Job"), "/")
        self.follow(machine)
        for disk in machine.disks:
            shown = self.shown_chain(machine, disk.target)
            self.assertEqual(chain(disk), shown)
            # What was streamed before an operation was given up stays so: then a snapshot's file is beside the chain.
            self.assertLessEqual(len(shown), 1 + len(machine.snapshots()))
            used.update(shown)
            for inactive in (False, True):
                self.assertIn(f"'{disk.path}'", machine.call("GetXml", inactive=inactive).replace('"', "'"))
        self.assertEqual({str(file) for file in self.folder_of(machine).iterdir()}, used)

    def assert_all_can_go(self, machine):
        """Whatever was left half-way is found again."""
        originals = {str(self.folder_of(machine) / name) for name in ("vda.img", "vdb.img")}
        for name in machine.snapshots()[:1]:
            self.assertNotIn("warning", machine.delete(name, children=True))
        self.assert_kept(machine)
        self.assertEqual({str(file) for file in self.folder_of(machine).iterdir()}, originals)

    def assert_goes_on(self, machine, run):
        """The guest that was there runs, and writes to the files that are said to be its disks."""
        self.assertEqual(machine.state[0], "running")
        now = machine.witness.get().check()
        self.assertEqual(now.run, run)
        machine.witness.wait_beyond(now.ram + STRETCH).check()
        for disk in machine.disks:
            self.assertGreaterEqual(witness_count(disk), now.ram)


class UnderAGuest(Case):
    """Nobody disturbs it."""

    def prepare(self, machine, *names):
        run = machine.boot().witness.get().run
        for name in names:
            self.add(machine, name)
        machine.witness.wait_beyond(machine.witness.get().ram + STRETCH).check()
        return run

    def delete(self, machine, name, run, **option_values):
        result = machine.delete(name, **option_values)
        self.assertNotIn("warning", result)
        self.assert_kept(machine)
        self.assert_goes_on(machine, run)

    def test_leaf_middle_root_and_the_last(self):
        machine = self.small_machine()
        run = self.prepare(machine, "one", "two", "three", "four")
        for name, rest in (("four", ["one", "two", "three"]), ("two", ["one", "three"]), ("one", ["three"]), ("three", [])):
            self.delete(machine, name, run)
            self.assertEqual(machine.snapshots(), rest)
            self.assertEqual(machine.current(), rest[-1] if rest else None)
        self.assert_whole(machine)

    def test_on_raw_images(self):
        machine = self.small_machine("raw")
        run = self.prepare(machine, "one", "two")
        self.delete(machine, "one", run)
        self.delete(machine, "two", run)
        self.assertEqual([disk.format for disk in machine.disks], ["raw", "raw"])
        self.assert_whole(machine)

    def test_all_in_one_go(self):
        machine = self.small_machine()
        run = self.prepare(machine, "one", "two", "three")
        self.delete(machine, "one", run, children=True)
        self.assert_whole(machine)

    def test_children_only_and_a_sequel(self):
        machine = self.small_machine()
        run = self.prepare(machine, "one", "two", "three")
        self.delete(machine, "one", run, children_only=True)
        self.assertEqual(machine.current(), "one")
        self.add(machine, "four")
        self.assertEqual(machine.tree(), {"one": None, "four": "one"})
        self.delete(machine, "one", run)
        self.assert_whole(machine)

    def test_paused_guest_stays_paused(self):
        machine = self.small_machine()
        run = self.prepare(machine, "one", "two", "three")
        machine.call("Pause")
        machine.wait_state("paused")
        for name in ("two", "three", "one"):
            machine.delete(name)
            self.assert_kept(machine)
            self.assertEqual(machine.state, ("paused", "user"))
        machine.call("Resume")
        machine.wait_state("running")
        self.assert_goes_on(machine, run)
        self.assert_whole(machine)

    def test_memory_goes_with_it(self):
        machine = self.small_machine()
        run = machine.boot().witness.get().run
        path = pathlib.Path(self.folder()) / "memory"
        self.add(machine, "one", disk_only=False)
        self.add(machine, "two", disk_only=False, memory_path=str(path))
        memories = machine.store / "memory"
        self.assertEqual((len(list(memories.iterdir())), path.exists()), (1, True))
        self.delete(machine, "two", run)
        self.assertEqual((len(list(memories.iterdir())), path.exists()), (1, False))
        self.delete(machine, "one", run)
        self.assertEqual(list(memories.iterdir()) if memories.is_dir() else [], [])
        self.assert_whole(machine)

    def test_progress_and_phases(self):
        machine = self.small_machine()
        self.prepare(machine, "one", "two")
        job = machine.ask_delete("one", children=True)
        self.client.wait_job(job)
        self.assert_progress_is_sane(job)
        self.assertEqual(self.client.get(job, JOB, "State"), "completed")
        self.assert_kept(machine)

    def test_internal_part_of_a_mixed_one_goes_from_a_frozen_file(self):
        machine = self.small_machine()
        run = self.prepare(machine)
        machine.snapshot("inside")
        self.add(machine, "outside")
        machine.delete("inside")
        self.assertEqual(machine.tags(), [[], []])
        self.assert_kept(machine)
        self.assert_goes_on(machine, run)
        self.delete(machine, "outside", run)
        self.assert_whole(machine)


class Killed(Case):
    """Each time a snapshot of two or more is deleted: the lowest, one between, or the last."""

    def ask_next(self, machine, n):
        while len(machine.snapshots()) < 3:
            self.add(machine)
        return machine.ask_delete(machine.snapshots()[next(n) % 3])

    def test_service_while_the_guest_runs_on(self):
        machine = self.small_machine().boot()
        run = machine.witness.get().run
        n = itertools.count()

        def check():
            self.assert_kept(machine)
            self.assert_goes_on(machine, run)

        self.sweep(lambda: self.ask_next(machine, n), check, machine, folders=[self.folder_of(machine)])
        self.assert_all_can_go(machine)
        self.assert_whole(machine)

    def test_service_while_the_guest_stands_still(self):
        machine = self.small_machine().boot()
        run = machine.witness.get().run
        n = itertools.count()

        def ask():
            if machine.state[0] == "paused":
                machine.call("Resume")
                machine.wait_state("running")
            while len(machine.snapshots()) < 3:
                self.add(machine)
            machine.call("Pause")
            machine.wait_state("paused")
            return self.ask_next(machine, n)

        def check():
            self.assertEqual(machine.get("State"), "paused")
            self.assert_kept(machine)

        self.sweep(ask, check, machine, folders=[self.folder_of(machine)], stride=3)
        self.assert_all_can_go(machine)
        machine.call("Resume")
        machine.wait_state("running")
        self.assert_goes_on(machine, run)
        self.assert_whole(machine)

    def test_service_of_a_domain_that_is_off(self):
        machine = self.small_machine()
        n = itertools.count()
        self.sweep(lambda: self.ask_next(machine, n), lambda: self.assert_kept(machine), machine,
                   folders=[self.folder_of(machine)])
        self.assert_all_can_go(machine)
        self.assert_whole(machine)

    def test_service_and_guest_together(self):
        machine = self.small_machine()
        n = itertools.count()
        then = {}

        def ask():
            if machine.get("State") == "shutoff":
                machine.boot()
            while len(machine.snapshots()) < 3:
                self.add(machine)
            now = machine.witness.wait_beyond(machine.witness.get().ram + STRETCH).check()
            then.update(run=now.run, ram=now.ram)
            return machine.ask_delete(machine.snapshots()[next(n) % 3])

        def check():
            self.assertEqual(machine.get("State"), "shutoff")
            machine.check_disks()
            self.assert_kept(machine)
            machine.boot()
            found = [machine.witness.get()["details"][target]["found"] for target in ("vda", "vdb")]
            self.assertEqual([one["run"] for one in found], [then["run"]] * 2)
            counts = [one["n"] for one in found]
            self.assertLessEqual(max(counts) - min(counts), 1, counts)
            self.assertGreaterEqual(min(counts), then["ram"] - 1)

        self.sweep(ask, check, machine, both=True, folders=[self.folder_of(machine)], stride=4)
        self.assert_all_can_go(machine)
        self.assert_whole(machine)


class Cancelled(Case):
    """Whenever it is, the snapshot is there and whole, or gone."""

    def test_at_many_moments(self):
        machine = self.small_machine().boot()
        run = machine.witness.get().run
        states = []
        for n in range(12):
            while len(machine.snapshots()) < 3:
                self.add(machine)
            victim = machine.snapshots()[n % 3]
            job = machine.ask_delete(victim)
            self.wait_moment(job, n)
            try:
                self.client.call(job, JOB, "Cancel")
            except BusError as error:
                self.assertEqual(error.name, "InvalidState")
            end = self.client.end_of_job(job)
            states.append(end.state)
            self.assertIn(end.state, ("cancelled", "completed"), end)
            self.assertEqual(victim in machine.snapshots(), end.state == "cancelled")
            self.assert_kept(machine)
            self.assert_goes_on(machine, run)
        self.assertIn("cancelled", states)
        self.assert_all_can_go(machine)

    def wait_moment(self, job, n):
        def seen():
            sent = [signal for signal in self.client.signals if signal.path == job]
            return len(sent) >= n or any(signal.member == "Completed" for signal in sent)
        wait_until(seen, f"{n} moments of {job}")


if __name__ == "__main__":
    main()
