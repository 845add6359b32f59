#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Full checkpoints: the memory and all disks of a guest at one instant, while it goes on."""

import os
import pathlib
import stat

from vmsnaptest import MANAGER, main

from machines import SNAPSHOT
from checkpoints import CheckpointCase, harsh_emulator
from saving import ENCODINGS, Image, is_stock

# QEMU 7.2 without KVM can't be trusted with a guest that runs while its memory is precopied.
SECOND_BEST = "paused" if is_stock() else "precopy"
# How many in a row.
CHAIN = int(os.environ.get("VMSNAP_TEST_ROUNDS", "15"))


class UnderLoad(CheckpointCase):
    """A guest that dirties its memory and writes to two disks all the time."""

    def test_each_of_a_long_chain_is_of_one_instant(self):
        machine = self.loaded()
        first = machine.witness.get()
        for i in range(CHAIN):
            with self.subTest(i):
                checkpoint = self.take(machine, f"c{i}")
                self.assert_result(checkpoint, machine, "background")
                self.assert_one_instant(checkpoint)
                # They would be too much for the machine's disk together.
                checkpoint.memory.unlink()
        last = machine.witness.get().check()
        self.assertEqual((last.run, machine.snapshots()), (first.run, [f"c{i}" for i in range(CHAIN)]))
        self.assert_whole(machine)

    def test_the_guest_boots_again_from_its_overlays(self):
        machine = self.loaded()
        checkpoint = self.take(machine)
        last = self.assert_runs_on(machine, checkpoint.after)
        self.assert_whole(machine)
        machine.boot()
        found = machine.witness.get().check()["details"]
        for target in ("vda", "vdb"):
            self.assertEqual(found[target]["found"]["run"], last.run)
            self.assertGreaterEqual(found[target]["found"]["n"], last.ram - 1)
        self.assert_one_instant(checkpoint)

    def test_guest_service_and_checkpoint_outlive_the_service(self):
        machine = self.loaded()
        checkpoint = self.take(machine)
        self.service.restart()
        self.assertEqual((machine.get("State"), machine.snapshots(), machine.current()), ("running", ["one"], "one"))
        self.follow(machine)
        self.assert_runs_on(machine, checkpoint.after)
        second = self.take(machine, "two")
        self.assert_one_instant(checkpoint)
        self.assert_one_instant(second)
        self.assert_whole(machine)


class WhatIsFrozen(CheckpointCase):
    """The files that a checkpoint is kept in are not written, whichever way a definition came to name them."""

    def test_nothing_writes_to_them_and_undefine_keeps_the_memory(self):
        before = self.undefined_machine(disks=None)
        before.define().boot()
        before.witness.dirty(16)
        xml = before.xml()
        checkpoint = self.take(before)
        marks = [pathlib.Path(disk.path).read_bytes()[:1 << 20] for disk in checkpoint.frozen]
        before.witness.close()
        before.call("PowerOff")
        for call in (lambda: self.restore_in_place(checkpoint), lambda: self.start_again(before, xml)):
            self.assert_job_fails("InvalidState", ["frozen by the snapshot 'one'", checkpoint.frozen[0].path], call())
        self.assertEqual([pathlib.Path(disk.path).read_bytes()[:1 << 20] for disk in checkpoint.frozen], marks)
        self.assert_one_instant(checkpoint)
        before.call("Undefine", snapshots_metadata=True)
        self.assertTrue(checkpoint.memory.exists())
        self.service.restart()
        self.assertTrue(checkpoint.memory.exists())
        self.assertFalse(before.is_there())
        self.assert_one_instant(checkpoint)

    def restore_in_place(self, checkpoint):
        fd = os.open(checkpoint.memory, os.O_RDONLY)
        try:
            return self.client.call(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd])
        finally:
            os.close(fd)

    def start_again(self, machine, xml):
        machine.call_manager("DefineDomain", xml)
        return machine.call("Start")

    def test_what_is_left_out_is_warned_of(self):
        machine = self.loaded()
        result = machine.run("CreateSnapshot", "s", "part", disks={"vdb": {"snapshot": "none"}})
        self.assertIn("vdb is left out", result["warning"])


class Modes(CheckpointCase):
    """How the memory is written, as the running QEMU, the guest and the caller allow."""

    def test_background_is_the_default_and_live(self):
        machine = self.loaded()
        for name, choice in (("default", {}), ("live", {"live": True})):
            with self.subTest(name):
                since = len(self.client.signals)
                checkpoint = self.take(machine, name, **choice)
                self.assert_result(checkpoint, machine, "background")
                self.assertEqual(self.states(machine, since)[0], ("paused", "snapshotting"))
                self.assertEqual(self.states(machine, since)[-1][0], "running")
                self.assert_progress_is_sane(checkpoint.job)
                self.assert_one_instant(checkpoint)

    def test_second_best_where_the_image_needs_it(self):
        machine = self.loaded(mib=8)
        since = len(self.client.signals)
        checkpoint = self.take(machine, encoding="gzip" if is_stock() else "sparse")
        self.assert_result(checkpoint, machine, SECOND_BEST)
        self.assertEqual(self.states(machine, since)[-1][0], "running")
        self.assert_progress_is_sane(checkpoint.job)
        self.assert_one_instant(checkpoint)
        self.assert_runs_on(machine, checkpoint.after)
        self.assert_whole(machine)

    def test_pause_stops_the_guest_until_all_is_written(self):
        machine = self.loaded()
        since = len(self.client.signals)
        checkpoint = self.take(machine, pause=True)
        self.assert_result(checkpoint, machine, "paused")
        self.assertEqual(self.states(machine, since)[0], ("paused", "snapshotting"))
        self.assertEqual(self.states(machine, since)[-1][0], "running")
        self.assert_progress_is_sane(checkpoint.job)
        self.assert_one_instant(checkpoint)
        self.assert_runs_on(machine, checkpoint.after)
        self.assert_whole(machine)

    def test_paused_guest_stays_paused(self):
        for choice in ({}, {"pause": True}):
            with self.subTest(choice):
                machine = self.loaded(name=f"paused-{len(choice)}")
                before = machine.witness.mark("one").check()
                machine.call("Pause")
                job = self.ask(machine, "one", **choice)
                result = self.client.wait_job(job).result
                self.assertEqual(machine.state, ("paused", "user"))
                machine.call("Resume")
                after = machine.witness.wait_beyond(before.ram).check()
                checkpoint = self.describe(machine, "one", job, result, before, after)
                self.assertEqual(machine.snapshot_property("one", "State"), "paused")
                self.assert_one_instant(checkpoint)
                self.assert_runs_on(machine, after)
                self.assert_whole(machine)


    def test_guest_that_never_ran(self):
        """QEMU aborts if it is to write such a guest's memory in the background."""
        machine = self.machine()
        machine.run("Start", paused=True)
        result = machine.run("CreateSnapshot", "s", "one")
        self.assertEqual((result["mode"], machine.state[0]), ("paused", "paused"), result)
        machine.call("Resume")
        machine.witness.wait_beyond(0).check()
        self.assertEqual(machine.snapshot_property("one", "State"), "paused")


class NoUserfaultfd(CheckpointCase):
    """A kernel, or rights, that don't let memory be protected."""

    @classmethod
    def class_emulator(cls):
        return harsh_emulator(cls.directory, no_userfaultfd=1)

    def test_second_best_instead(self):
        machine = self.loaded(mib=8)
        checkpoint = self.take(machine)
        self.assert_result(checkpoint, machine, SECOND_BEST)
        self.assertIn("userfaultfd", checkpoint.result["mode-reason"])
        self.assert_one_instant(checkpoint)
        self.assert_runs_on(machine, checkpoint.after)
        self.assert_whole(machine)

    def test_live_is_kept_or_refused(self):
        machine = self.loaded(mib=8)
        before = machine.witness.get()
        if SECOND_BEST == "precopy":
            checkpoint = self.take(machine, live=True)
            self.assert_result(checkpoint, machine, "precopy")
            self.assert_one_instant(checkpoint)
        else:
            self.assert_job_fails("NotSupported", ["'live'", "stand still", "KVM"], self.ask(machine, "one", live=True))
            self.assertEqual((machine.state[0], machine.snapshots(), machine.journals()), ("running", [], []))
        machine.witness.wait_beyond(before.ram).check()
        self.assert_whole(machine)

    def test_guest_that_is_too_quick(self):
        """It dirties more than is written meanwhile, but it comes to an end."""
        machine = self.loaded(mib=128)
        checkpoint = self.take(machine, encoding="gzip")
        self.assert_result(checkpoint, machine, SECOND_BEST)
        self.assert_one_instant(checkpoint)
        self.assert_runs_on(machine, checkpoint.after)
        self.assert_whole(machine)


class Record(CheckpointCase):
    """What is known of a checkpoint, and where it is."""

    def test_what_is_on_record(self):
        machine = self.loaded()
        checkpoint = self.take(machine, description="all of it")
        values = self.client.get_all(machine.snapshot_path("one"), SNAPSHOT)
        self.assertEqual((values["State"], values["Location"], values["Memory"], values["Description"]),
                         ("running", "external", "external", "all of it"))
        self.assertEqual([(disk["target"], disk["snapshot"], disk["path"], disk["format"]) for disk in values["Disks"]],
                         [(disk.target, "external", str(disk.path), "qcow2") for disk in machine.disks])
        self.assertTrue(checkpoint.memory.is_relative_to(machine.store), checkpoint.memory)
        self.assertEqual(stat.S_IMODE(checkpoint.memory.stat().st_mode), 0o600)
        image = Image(checkpoint.memory)
        self.assertTrue(image.is_complete())
        self.assertEqual((image.words()[0], image.words()[2]), (2, 1))
        self.assertEqual(values["Size"], checkpoint.memory.stat().st_size - image.stream_offset())
        self.assert_one_instant(checkpoint)

    def test_memory_goes_where_it_is_wanted(self):
        machine = self.loaded()
        path = self.folder() / "memory"
        checkpoint = self.take(machine, memory_path=path)
        self.assertEqual(checkpoint.memory, path)
        self.assert_one_instant(checkpoint)

    def test_encodings(self):
        machine = self.loaded()
        for encoding in ("raw", "gzip", "zstd", *(() if is_stock() else ("sparse",))):
            with self.subTest(encoding):
                checkpoint = self.take(machine, encoding, encoding=encoding)
                self.assertEqual(Image(checkpoint.memory).words()[3], ENCODINGS[encoding])
                self.assert_one_instant(checkpoint)
        self.assert_runs_on(machine, checkpoint.after)
        self.assert_whole(machine)

    def test_halt_powers_off_when_all_is_written(self):
        for choice in ({}, {"pause": True}):
            with self.subTest(choice):
                machine = self.loaded(name=f"halt-{len(choice)}")
                before = machine.witness.mark("one").check()
                job = self.ask(machine, "one", halt=True, **choice)
                result = self.client.wait_job(job).result
                self.assertEqual(machine.state, ("shutoff", "saved"))
                self.assertIsNone(machine.pid())
                checkpoint = self.describe(machine, "one", job, result, before, before)
                checkpoint.after = type(before)(ram=2**62)
                self.assert_one_instant(checkpoint)
                self.assert_whole(machine)
                machine.boot()


if __name__ == "__main__":
    main()
