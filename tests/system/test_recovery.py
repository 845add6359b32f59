#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service killed in the middle of each operation, at every moment that it tells of, and QEMU with it.

Whenever that is: a guest that ran runs, its RAM and its disks are of one instant, each disk and each snapshot is as
before the operation or as after it, and nothing is left over.
"""

import contextlib
import os
import signal
import subprocess

from vmsnaptest import check_image, internal_snapshots, main, make_disk, make_disks, qemu_img, settle, wait_until

from machines import JOB, ServiceCase

SAVING = "Saving memory and disks"
LOADING = "Loading memory and disks"
# No operation tells of so many things; a sweep ends by itself before.
ENOUGH = 40


class RecoveryCase(ServiceCase):
    """What all these tests do to the service."""

    def sweep(self, ask, check, victim=None):
        """Asks for a job and kills the service after the job's n-th signal, n = 0, 1, …, until the job is quicker.

        victim: a machine whose QEMU is killed at the same moment.
        """
        for n in range(ENOUGH):
            job = ask()
            completed = self.kill_after(job, n, victim)
            self.service.start()
            try:
                check()
            except AssertionError as error:
                raise AssertionError(f"killed after {n} signals: {error}") from error
            if completed:
                return
        self.fail("the job never ended")

    def kill_after(self, job, n, victim=None):
        """Returns whether the job had ended by then."""
        def of_job():
            return [sent for sent in self.client.signals
                    if sent.path == job and sent.member in ("PropertiesChanged", "Completed")]

        def ended():
            return any(sent.member == "Completed" for sent in of_job())

        wait_until(lambda: len(of_job()) >= n or ended(), f"{n} signals of {job}")
        if victim and victim.pid():
            with self.frozen(victim):
                self.service.kill()
                victim.kill_qemu()
        else:
            self.service.kill()
        settle()
        return ended()

    @contextlib.contextmanager
    def frozen(self, machine):
        """QEMU does nothing meanwhile; it may be killed."""
        pid = os.pidfd_open(machine.pid())
        signal.pidfd_send_signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pid, signal.SIGCONT)
            os.close(pid)

    def wait_phase(self, job, phase):
        self.client.wait_property(job, JOB, "Phase", phase)

    def assert_tidy(self, machine):
        """Listed is what is in all disks, and nothing else is there."""
        names = sorted(machine.snapshots())
        for disk in machine.disks:
            self.assertEqual(sorted(internal_snapshots(disk)), names)
        self.assertEqual(machine.journals(), [])
        self.assertEqual(machine.get("Job"), "/")
        self.assertLessEqual(len(machine.service.guests()), 1 + len(self.others()))

    def others(self):
        return []


if __name__ == "__main__":
    main()
