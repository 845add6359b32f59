#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverts that can't be: each a clear error, and the guest that is there doesn't notice."""

import os
import re
import shutil

from vmsnaptest import BusError, main, make_disk

from external import STRETCH, ExternalCase


class Refused(ExternalCase):
    """A guest with a full checkpoint `one` and, above it, a snapshot `two` of the disks."""

    def setUp(self):
        super().setUp()
        self.place = self.folder()
        self.guest = self.machine(disks=[make_disk(self.place / "a.qcow2", target="vda"),
                                         make_disk(self.place / "b.img", image_format="raw", target="vdb")]).boot()
        self.guest.run("CreateSnapshot", "s", "one")
        self.take(self.guest, "two")
        (self.memory,) = (self.guest.store / "memory").iterdir()

    def refuse(self, name, error, words, **options):
        """It is refused, by the call or by the job; all is as it was, and a guest that ran runs."""
        before = self.shape(self.guest), self.guest.state, self.guest.pid(), self.guest.current()
        said = self.guest.witness.get().check() if before[1][0] == "running" else None
        try:
            end = self.client.end_of_job(self.guest.ask_revert(name, **options))
            self.assertEqual(end.state, "failed", end)
            self.assert_error(end.error, end.message, error, words)
        except BusError as refusal:
            self.assert_error(refusal.name, refusal.message, error, words)
        self.assertEqual((self.shape(self.guest), self.guest.state, self.guest.pid(), self.guest.current()), before)
        self.assertEqual(self.guest.journals(), [])
        if said:
            now = self.guest.witness.wait_beyond(said.ram + STRETCH).check()
            self.assertEqual(now.run, said.run)

    def test_memory_is_missing(self):
        """PEERS.md, what breaks, 3."""
        aside = self.memory.with_name("aside")
        self.memory.rename(aside)
        self.refuse("one", "NotFound", ["one", self.memory])
        aside.rename(self.memory)

    def test_memory_is_cut_short_or_no_image(self):
        os.truncate(self.memory, self.memory.stat().st_size - 1)
        self.refuse("one", "ImageIncomplete", ["one", self.memory])
        os.truncate(self.memory, 50)
        self.refuse("one", "ImageIncomplete", ["one", self.memory])
        self.memory.write_bytes(b"no memory at all" * 100)
        self.refuse("one", "ImageCorrupt", ["one", self.memory])

    def test_memory_is_another_domains(self):
        other = self.machine("another", disks=[make_disk(self.folder() / "x.qcow2")]).start()
        other.run("CreateSnapshot", "s", "one")
        shutil.copy(next((other.store / "memory").iterdir()), self.memory)
        self.refuse("one", "ImageCorrupt", ["one", "another"])
        self.follow(other)

    def test_frozen_files_are_missing(self):
        for name, path in (("one", self.place / "a.qcow2"), ("two", self.place / "b.one"), ("two", self.place / "a.qcow2")):
            aside = path.with_name("aside")
            path.rename(aside)
            self.refuse(name, "NotFound", [name, path])
            aside.rename(path)

    def test_frozen_file_is_another(self):
        path = self.place / "b.one"
        aside = path.with_name("aside")
        path.rename(aside)
        make_disk(path, 128)
        self.refuse("two", "InvalidState", ["two", path])
        # The same again, by whichever way it came back, is the same.
        shutil.copy(aside, path)
        self.guest.revert("two", running=True)
        self.follow(self.guest)

    def test_running_with_paused(self):
        self.refuse("one", "InvalidArgument", ["running", "paused"], running=True, paused=True)

    def test_machine_type_is_unknown(self):
        self.guest.shut_off()
        self.service.kill()
        record = self.guest.store / "snapshots/one.xml"
        text, count = re.subn(r"machine=(['\"])[^'\"]*", r"machine=\1pc-q35-99.9", record.read_text(encoding="utf-8"))
        self.assertGreater(count, 0)
        record.write_text(text, encoding="utf-8")
        self.service.start()
        self.refuse("one", "NotSupported", ["one", "pc-q35-99.9"])

    def test_managed_save_goes_with_force_alone(self):
        self.guest.run("ManagedSave")
        self.refuse("two", "HasManagedSave", ["force"])
        self.guest.revert("two", force=True)
        self.assertFalse(self.guest.get("HasManagedSave"))
        self.follow(self.guest)

    def test_cancelled_one_leaves_the_guest_alone(self):
        before = self.shape(self.guest), self.guest.pid()
        for _ in range(20):
            said = self.guest.witness.get().check()
            job = self.guest.ask_revert("two")
            try:
                self.client.call(job, "Job", "Cancel")
            except BusError as late:
                self.assertEqual(late.name, "InvalidState", late.message)
            end = self.client.end_of_job(job)
            if end.state == "completed":
                self.follow(self.guest)
                self.assertEqual(self.guest.state[0], "shutoff")
                self.guest.boot()
                before = self.shape(self.guest), self.guest.pid()
                continue
            self.assertEqual(end.state, "cancelled", end)
            self.assertEqual((self.shape(self.guest), self.guest.pid()), before)
            self.guest.witness.wait_beyond(said.ram).check()
            return
        self.fail("it was never in time")


class Transient(ExternalCase):

    def test_it_can_not_become_shut_off(self):
        machine = self.undefined_machine().create()
        machine.witness.wait_beyond(0).check()
        run = machine.witness.get().run
        self.take(machine, "one")
        self.assert_bus_error("InvalidState", ["transient", "running", "paused"], machine.ask_revert, "one")
        self.assertEqual(machine.witness.get().check().run, run)
        machine.revert("one", running=True)
        machine.witness.wait_for(lambda testimony: testimony.run != run, "another run")
        self.assertFalse(machine.get("Persistent"))
        self.follow(machine)
        machine.call("PowerOff")


if __name__ == "__main__":
    main()
