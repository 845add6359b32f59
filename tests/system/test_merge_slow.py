#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Merges under a guest that are cut short in the middle, for QEMU is told to take its time: the service killed, QEMU killed,
both, and a cancel. Each way of merging: an active layer, one between, and a stream."""

import subprocess

from vmsnaptest import main, make_disk, wait_until
from vmsnaptest.qmp import BareQmp

from external import STRETCH, ExternalCase
from machines import JOB

DISK = 1024
MIB = 1 << 20
SPEED = 24 * MIB
# Where what is merged lies: the guest doesn't write there.
MARKS = {7: "256M 160M", 8: "512M 224M"}

# The snapshot that is deleted, and of how many.
ACTIVE = ("n1", 1)
BETWEEN = ("n1", 3)
STREAM = ("n2", 3)


class Slow(ExternalCase):
    """The domain's own image is below them all."""

    def prepare(self, way):
        """A guest with much in its first overlay, and more in the second, so that the first is streamed if it can be."""
        self.victim, count = way
        machine = self.machine(disks=[make_disk(self.folder() / "disk.qcow2", DISK, target="vda")])
        self.base = machine.disks[0].path
        for n in range(1, count + 1):
            machine.run("CreateSnapshot", "s", f"n{n}", disk_only=True)
            self.follow(machine)
            if n < 3:
                self.write(machine, 6 + n)
        machine.boot()
        self.run_before = machine.witness.get().run
        self.marks = [7, 8][:count]
        self.length = count + 1
        return machine

    def write(self, machine, pattern):
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -q -P {pattern} {MARKS[pattern]}", machine.disks[0].path],
                       check=True)

    def begin(self, machine):
        """Asks for the deletion, and holds QEMU back as soon as it merges. Returns the job."""
        with BareQmp(machine.runtime / "monitor.sock") as monitor:
            job = machine.ask_delete(self.victim)
            wait_until(lambda: monitor.execute("query-block-jobs"), "QEMU's job")
            name = monitor.execute("query-block-jobs")[0]["device"]
            monitor.execute("block-job-set-speed", {"device": name, "speed": SPEED})
            now = monitor.execute("query-block-jobs")
            self.assertFalse(not now or now[0]["ready"], "QEMU was quicker")
        return job

    def assert_marks(self, machine):
        self.follow(machine)
        for pattern in self.marks:
            subprocess.run(["qemu-io", "-U", "-r", "-f", machine.disks[0].format, "-c", f"read -q -P {pattern} {MARKS[pattern]}",
                            machine.disks[0].path], check=True)

    def assert_settled(self, machine, deleted):
        wait_until(lambda: machine.journals() == [] and machine.get("Job") == "/", "the deletion's end")
        self.assertEqual(self.victim in machine.snapshots(), not deleted)
        self.assert_marks(machine)
        self.assertEqual(len(self.shown_chain(machine, "vda")), self.length - deleted)

    def assert_goes_on(self, machine):
        self.assertEqual(machine.state[0], "running")
        now = machine.witness.get().check()
        self.assertEqual(now.run, self.run_before)
        machine.witness.wait_beyond(now.ram + STRETCH).check()

    def delete_again(self, machine):
        machine.delete(self.victim)
        self.assert_settled(machine, True)

    def kill_service(self, way):
        machine = self.prepare(way)
        self.begin(machine)
        self.service.kill()
        self.service.start()
        return machine

    def test_service_killed_while_the_active_layer_is_committed(self):
        machine = self.kill_service(ACTIVE)
        self.assert_settled(machine, True)
        self.assert_goes_on(machine)
        self.assert_whole(machine)

    def test_service_killed_while_a_layer_between_is_committed(self):
        machine = self.kill_service(BETWEEN)
        self.assert_settled(machine, True)
        self.assert_goes_on(machine)
        self.assert_whole(machine)

    def test_service_killed_while_a_layer_is_streamed(self):
        machine = self.kill_service(STREAM)
        self.assert_settled(machine, False)
        self.assert_goes_on(machine)
        self.delete_again(machine)
        self.assert_goes_on(machine)
        self.assert_whole(machine)

    def test_stream_is_cancelled(self):
        machine = self.prepare(STREAM)
        job = self.begin(machine)
        self.client.call(job, JOB, "Cancel")
        self.assertEqual(self.client.end_of_job(job).state, "cancelled")
        self.assert_settled(machine, False)
        self.assert_goes_on(machine)
        self.delete_again(machine)
        self.assert_whole(machine)

    def test_qemu_killed_in_each(self):
        for way in (ACTIVE, BETWEEN, STREAM):
            with self.subTest(way):
                machine = self.prepare(way)
                job = self.begin(machine)
                machine.kill_qemu()
                self.client.end_of_job(job)
                self.assertEqual(machine.get("State"), "shutoff")
                if self.victim in machine.snapshots():
                    self.assert_settled(machine, False)
                    machine.delete(self.victim)
                self.assert_settled(machine, True)
                machine.check_disks()

    def test_both_killed_in_each(self):
        for way in (ACTIVE, BETWEEN, STREAM):
            with self.subTest(way):
                machine = self.prepare(way)
                self.begin(machine)
                machine.kill_qemu()
                self.service.kill()
                self.service.start()
                self.assertEqual(machine.get("State"), "shutoff")
                self.assert_settled(machine, way is not STREAM)
                if way is STREAM:
                    self.delete_again(machine)
                machine.check_disks()


if __name__ == "__main__":
    main()
