#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Saves and restores that are cancelled at any byte, and what a user may do to the domain meanwhile."""

import contextlib
import os
import pathlib
import signal
import threading

from vmsnaptest import MANAGER, BusError, continue_process, main, make_disks, stop_process, wait_until

from machines import JOB
from saving import SavingCase, is_stock


class Cancelling(SavingCase):
    """One guest, which runs on whatever is begun with it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest = cls.class_machine("cancelled")

    def setUp(self):
        super().setUp()
        if self.guest.get("State") == "shutoff":
            self.guest.boot()
            self.guest.witness.dirty(64, 16)

    def cancel(self, job):
        self.client.call(job, JOB, "Cancel")
        return self.client.end_of_job(job)

    def of_job(self, job):
        return [sent for sent in self.client.signals if sent.path == job]

    def bytes_done(self, job):
        """The last that was told."""
        return max((sent.arguments[1].get("BytesDone", 0) for sent in self.of_job(job)
                    if sent.member == "PropertiesChanged"), default=0)

    def is_over(self, job):
        return any(sent.member == "Completed" for sent in self.of_job(job))

    def programs(self, name):
        """The service's children of this name."""
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8")
            except OSError:
                continue
            if f"({name})" in fields and int(fields.rpartition(")")[2].split()[1]) == self.service.process.pid:
                found.append(int(folder.name))
        return found

    def assert_cancelled_or_saved(self, job, image, before):
        end = self.client.end_of_job(job)
        if end.state == "completed":
            self.assertTrue(image.is_complete())
            self.restore(image)
        else:
            self.assertEqual((end.state, end.error), ("cancelled", "Cancelled"), end)
            self.assert_given_up(image)
            self.assert_unharmed(self.guest, before)
        self.assert_runs_on(self.guest, before)
        return end.state

    def test_cancelled_at_any_signal(self):
        ways = [{"encoding": "raw"}, {"encoding": "zstd", "bypass_cache": True}]
        if not is_stock():
            ways.append({"encoding": "sparse"})
        before = self.guest.witness.mark("signals")
        for option_values in ways:
            for n in range(0, 40, 2):
                image = self.image()
                job = self.ask_save(self.guest, image, **option_values)
                wait_until(lambda: len(self.of_job(job)) >= n or self.is_over(job), f"{n} signals")
                over = self.is_over(job)
                # It may be past its point of no return.
                with contextlib.suppress(BusError):
                    self.client.call(job, JOB, "Cancel")
                with self.subTest(n=n, **option_values):
                    self.assert_cancelled_or_saved(job, image, before)
                if over:
                    break

    def test_cancelled_at_any_byte(self):
        """With a program that takes its time."""
        before = self.guest.witness.mark("bytes")
        states = []
        for threshold in (1, 16 << 20, 64 << 20, 240 << 20):
            image = self.image()
            job = self.ask_save(self.guest, image, encoding="bzip2")
            wait_until(lambda: self.bytes_done(job) >= threshold or self.is_over(job), f"{threshold} bytes")
            if not self.is_over(job):
                self.client.call(job, JOB, "Cancel")
            states.append(self.assert_cancelled_or_saved(job, image, before))
            self.assertEqual(self.programs("bzip2"), [])
        self.assertIn("cancelled", states[:3])

    def test_cancelled_while_it_waits_its_turn(self):
        before = self.guest.witness.mark("queued")
        first, second = self.image(), self.image()
        second.path.write_bytes(b"untouched")
        job = self.ask_save(self.guest, first, encoding="bzip2")
        waiting = self.ask_save(self.guest, second)
        self.assertEqual(self.cancel(waiting).state, "cancelled")
        self.assertEqual(second.path.read_bytes(), b"untouched")
        self.assertEqual(self.cancel(job).state, "cancelled")
        self.assert_given_up(first)
        self.assert_unharmed(self.guest, before)

    def test_cancelled_while_its_program_stands_still(self):
        """The pipe is full then, and QEMU's thread hangs in a write."""
        before = self.guest.witness.mark("full pipe")
        for option_values in ({}, {"bypass_cache": True}):
            image = self.image()
            job = self.ask_save(self.guest, image, encoding="bzip2", **option_values)
            program = wait_until(lambda: self.programs("bzip2"), "the program")[0]
            stop_process(program)
            wait_until(lambda: self.client.get(job, JOB, "Phase") == "Writing memory", "the phase")
            self.client.wait_property(job, JOB, "BytesDone", lambda done: done > 1 << 20)
            end = self.cancel(job)
            self.assertEqual(end.state, "cancelled", end)
            self.assert_given_up(image)
            self.assert_unharmed(self.guest, before)
            self.assertFalse(os.path.exists(f"/proc/{program}"))

    def test_cancelled_restore_leaves_nothing(self):
        before = self.guest.witness.mark("restore")
        image = self.image()
        self.save(self.guest, image, encoding="bzip2")
        for threshold in (0, 1, 1 << 20, 8 << 20):
            job = self.ask_restore(image)
            wait_until(lambda: self.bytes_done(job) >= threshold or self.is_over(job), f"{threshold} bytes")
            end = self.cancel(job)
            self.assertEqual(end.state, "cancelled", end)
            self.assert_off_and_whole(self.guest)
            self.assertEqual(self.programs("bzip2"), [])
            self.assertTrue(image.is_complete())
        self.restore(image)
        self.assert_runs_on(self.guest, before)

    def test_cancelled_start_keeps_the_managed_save(self):
        before = self.guest.witness.mark("managed")
        self.guest.run("ManagedSave", encoding="bzip2")
        for threshold in (0, 1 << 20):
            job = self.guest.call("Start")
            wait_until(lambda: self.bytes_done(job) >= threshold or self.is_over(job), f"{threshold} bytes")
            self.assertEqual(self.cancel(job).state, "cancelled")
            self.assertTrue(self.guest.get("HasManagedSave"))
            self.assert_off_and_whole(self.guest)
        self.guest.start()
        self.assert_runs_on(self.guest, before)

    def test_cancelled_while_qemu_hangs(self):
        before = self.guest.witness.mark("hangs")
        image = self.image()
        pid = self.guest.pid()
        stop_process(pid)
        try:
            job = self.ask_save(self.guest, image)
            self.client.wait_property(job, JOB, "State", "running")
            end = self.cancel(job)
        finally:
            continue_process(pid)
        self.assertEqual(end.state, "cancelled", end)
        self.assert_unharmed(self.guest, before)

    def test_power_off_ends_a_save_of_a_qemu_that_hangs(self):
        image = self.image()
        job = self.ask_save(self.guest, image, encoding="bzip2")
        self.client.wait_property(job, JOB, "BytesDone", lambda done: done > 1 << 20)
        stop_process(self.guest.pid())
        self.guest.call("PowerOff")
        end = self.client.end_of_job(job)
        self.assertEqual((end.state, end.error), ("failed", "HypervisorGone"), end)
        self.assert_given_up(image)
        self.assert_off_and_whole(self.guest)
        self.assertEqual(self.guest.state[1], "destroyed")

    def test_user_can_not_let_it_run_while_it_is_saved_but_may_want_it_paused(self):
        before = self.guest.witness.mark("user")
        image = self.image()
        job = self.ask_save(self.guest, image, encoding="bzip2")
        self.client.wait_property(job, JOB, "BytesDone", lambda done: done > 0)
        self.assert_bus_error("Busy", "saved or restored", self.guest.call, "Resume")
        self.assert_bus_error("Busy", "saved or restored", self.guest.call, "Reset")
        self.assert_bus_error("InvalidState", [], self.guest.call, "Shutdown")
        self.guest.call("Pause")
        self.assertEqual(self.cancel(job).state, "cancelled")
        self.assertEqual(self.guest.state, ("paused", "user"))
        self.guest.call("Resume")
        self.assert_unharmed(self.guest, before)

        job = self.ask_save(self.guest, image, encoding="bzip2")
        self.client.wait_property(job, JOB, "BytesDone", lambda done: done > 0)
        self.guest.call("PowerOff")
        end = self.client.end_of_job(job)
        self.assertEqual((end.state, end.error), ("failed", "HypervisorGone"), end)
        self.assert_given_up(image)
        self.assert_off_and_whole(self.guest)

    def test_user_wishes_count_while_it_is_restored(self):
        before = self.guest.witness.mark("wishes")
        image = self.image()
        self.save(self.guest, image, encoding="bzip2")
        job = self.ask_restore(image)
        self.client.wait_property(job, JOB, "Phase", "Loading memory")
        for member in ("Resume", "Reset"):
            self.assert_bus_error("Busy", "saved or restored", self.guest.call, member)
        self.guest.call("PowerOff")
        end = self.client.end_of_job(job)
        self.assertEqual(end.state, "failed", end)
        self.assertIn(end.error, ("HypervisorGone", "ImageCorrupt"))
        self.assert_off_and_whole(self.guest)
        self.restore(image)
        self.assert_runs_on(self.guest, before)


class NeverTwice(SavingCase):
    """One guest of a uuid, and one writer of a disk."""

    def at_once(self, *asks):
        """Asks at the same time, without waiting for the answers; which are returned, or the errors."""
        answers = [None] * len(asks)

        def run(n, ask):
            try:
                answers[n] = ask()
            except BusError as error:
                answers[n] = error

        threads = [threading.Thread(target=run, args=item) for item in enumerate(asks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def end_of(self, answer):
        """The name of the error that came of it."""
        return answer.name if isinstance(answer, BusError) else self.client.end_of_job(answer).error

    def test_one_image_restored_twice_at_once(self):
        for known in (True, False):
            machine = self.machine(disks=make_disks(self.folder(), 1, mib=4)).start(paused=True)
            image = self.image()
            self.save(machine, image)
            if not known:
                machine.call("Undefine")
            clients = [self.enter(self.service.client()) for _ in range(3)]
            fd = os.open(image.path, os.O_RDONLY)
            errors = [self.end_of(answer) for answer in self.at_once(
                *[lambda client=client: client.call(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd])
                  for client in clients])]
            os.close(fd)
            self.assertEqual(errors.count(""), 1, errors)
            self.assertEqual(set(errors) - {"", "InvalidState", "AlreadyExists", "Busy"}, set(), errors)
            self.assertEqual(len(self.service.guests()), 1)
            self.assertEqual(machine.state[0], "paused")
            self.assertEqual(machine.get("Persistent"), True)
            machine.shut_off()

    def test_restore_beside_a_definition_of_the_same_domain(self):
        """Either is first; there is one domain afterwards, and its guest is the image's or none."""
        machine = self.machine(disks=make_disks(self.folder(), 1, mib=4)).start(paused=True)
        image = self.image()
        self.save(machine, image)
        for same_uuid in (True, False):
            disks = make_disks(self.folder(), 1, mib=4)
            other = machine if same_uuid else self.undefined_machine(name=machine.name, disks=disks)
            machine.shut_off()
            machine.call("Undefine")
            clients = [self.enter(self.service.client()) for _ in range(2)]
            fd = os.open(image.path, os.O_RDONLY)
            restored, defined = self.at_once(
                lambda: clients[0].call(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd]),
                lambda: clients[1].call(MANAGER, "Manager", "DefineDomain", "s", other.xml()))
            os.close(fd)
            error = self.end_of(restored)
            self.assertIn(error, ("", "AlreadyExists", "Busy"))
            self.assertEqual(len(self.service.guests()), 0 if error else 1)
            if isinstance(defined, BusError):
                self.assertIn(defined.name, ("AlreadyExists", "Busy"))
            names = [values["org.vmsnap.VmSnap1.Domain"]["Name"] for values in self.client.objects().values()
                     if "org.vmsnap.VmSnap1.Domain" in values]
            self.assertEqual(names, [machine.name])
            if not machine.is_there():
                self.restore_under_its_name(machine, other, image)

    def restore_under_its_name(self, machine, other, image):
        self.assert_bus_error("AlreadyExists", machine.name, self.ask_restore, image)
        other.call("Undefine")
        self.restore(image)

    def test_disk_of_another_guest_is_not_written(self):
        folder = self.folder()
        disks = make_disks(folder, 1, mib=4)
        machine = self.machine(disks=disks).start(paused=True)
        image = self.image()
        self.save(machine, image)
        other = self.machine(name=machine.name[:20] + "-other", disks=disks).start(paused=True)
        self.assert_job_fails("Busy", disks[0].path, self.ask_restore(image))
        self.assert_off_and_whole(machine)
        machine.call("Undefine")
        self.assert_job_fails("Busy", disks[0].path, self.ask_restore(image))
        self.assertFalse(machine.is_there())
        self.assertEqual(len(self.service.guests()), 1)
        other.shut_off()
        self.restore(image)
        self.assert_job_fails("Busy", disks[0].path, other.call("Start"))


class UnhappyGuests(SavingCase):
    """What the guest may do at that moment."""

    def test_guest_that_ends_while_it_is_to_be_saved(self):
        for n in range(3):
            machine = self.booted()
            image = self.image()
            machine.witness.close()
            os.kill(machine.pid(), signal.SIGTERM)
            try:
                job = self.ask_save(machine, image)
            except BusError as error:
                self.assertIn(error.name, ("InvalidState", "HypervisorGone"))
            else:
                self.assertIn(self.client.end_of_job(job).error, ("HypervisorGone", "InvalidState"))
            machine.wait_state("shutoff")
            self.assert_given_up(image)
            self.assert_off_and_whole(machine)

    def test_tree_of_snapshots_is_the_same_after_a_restore(self):
        machine = self.booted()
        machine.snapshot("one")
        machine.snapshot("two")
        machine.revert("one")
        machine.snapshot("three")
        before = machine.witness.mark("tree")
        tree, current = machine.tree(), machine.current()
        image = self.image()
        self.save(machine, image)
        self.assertEqual((machine.tree(), machine.current()), (tree, current))
        self.restore(image)
        self.assertEqual((machine.tree(), machine.current()), (tree, current))
        self.assert_runs_on(machine, before)
        machine.snapshot("four")
        self.assertEqual(machine.tree()["four"], "three")
        machine.revert("two")
        machine.revert("four")
        self.save(machine, image)
        self.restore(image)
        self.assert_runs_on(machine, before)
        machine.delete("one", children=True)


if __name__ == "__main__":
    main()
