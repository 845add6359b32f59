# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the recovery tests share: the service killed in the middle of an operation, at every moment that can be seen.

Seen are the job's signals and the changes to the domain's files in the store: a kill follows each of them. Whenever it
is: a guest that ran runs, its RAM and its disks are of one instant, each disk and each snapshot is as before the
operation or as after it, and nothing is left over. No test case of its own.
"""

import contextlib
import os
import signal
import subprocess

from gi.repository import Gio

from vmsnaptest import internal_snapshots, settle, wait_until

from machines import ServiceCase

# No operation shows so many moments; a sweep ends by itself before.
ENOUGH = 80


class RecoveryCase(ServiceCase):
    """What all these tests do to the service."""

    def sweep(self, ask, check, machine, both=False, folders=(), stride=1):
        """Asks for a job and kills the service at the n-th moment, n = 0, 1, …, until the job is quicker.

        both: the machine's QEMU is killed at the same moment. folders: what changes there are moments, too.
        stride: of so many moments one is taken.
        """
        for n in range(0, ENOUGH, stride):
            with StoreWatch(machine, folders) as changes:
                job = ask()
                completed = self.kill_after(job, n, machine if both else None, changes)
            self.service.start()
            try:
                check()
            except AssertionError as error:
                raise AssertionError(f"killed after {n} moments: {error}") from error
            if completed:
                return
        self.fail("the job never ended")

    def kill_after(self, job, n, victim=None, changes=()):
        """Kills the service, and a victim's QEMU with it. Returns whether the job had ended by then."""
        def of_job():
            return [sent for sent in self.client.signals
                    if sent.path == job and sent.member in ("PropertiesChanged", "Completed")]

        def ended():
            return any(sent.member == "Completed" for sent in of_job())

        wait_until(lambda: len(of_job()) + len(changes) >= n or ended(), f"{n} moments of {job}")
        if victim:
            # Neither does anything more; but this QEMU may be ending already, or not be there yet.
            self.service.process.send_signal(signal.SIGSTOP)
            victim.kill_qemu(missing_ok=True)
        self.service.kill()
        settle()
        return ended()

    @contextlib.contextmanager
    def frozen(self, machine):
        """QEMU does nothing meanwhile."""
        pid = os.pidfd_open(machine.pid())
        signal.pidfd_send_signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            signal.pidfd_send_signal(pid, signal.SIGCONT)
            os.close(pid)

    def assert_tidy(self, machine):
        """Listed is what is in all disks, and nothing else is there."""
        names = sorted(machine.snapshots())
        for disk in machine.disks:
            self.assertEqual(sorted(internal_snapshots(disk)), names)
        self.assertEqual(machine.journals(), [])
        self.assertEqual(machine.get("Job"), "/")
        self.assertLessEqual(len(machine.service.guests()), 1)


class StoreWatch(list):
    """The changes to a domain's files in the store, and to those in some folders, since it was entered."""

    KINDS = (Gio.FileMonitorEvent.CREATED, Gio.FileMonitorEvent.DELETED, Gio.FileMonitorEvent.RENAMED)

    def __init__(self, machine, folders=()):
        super().__init__()
        self._folders = [machine.store, machine.store / "journal", machine.store / "snapshots", *folders]
        self._monitors = []

    def __enter__(self):
        settle()
        for folder in self._folders:
            if folder.is_dir():
                monitor = Gio.File.new_for_path(str(folder)).monitor_directory(Gio.FileMonitorFlags.WATCH_MOVES, None)
                monitor.connect("changed", self._on_changed)
                self._monitors.append(monitor)
        return self

    def __exit__(self, *_):
        for monitor in self._monitors:
            monitor.cancel()

    def _on_changed(self, _monitor, file, _other, kind):
        if kind in self.KINDS:
            self.append((file.get_basename(), kind))


def write(disk, byte):
    subprocess.run(["qemu-io", "-f", disk.format, "-c", f"write -P {byte} 0 64k", disk.path], stdout=subprocess.DEVNULL,
                   check=True)


def holds(disk, byte):
    done = subprocess.run(["qemu-io", "-f", disk.format, "-c", f"read -P {byte} 0 64k", disk.path],
                          stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0 or "Pattern verification failed" in done.stdout, done.stdout
    return "Pattern verification failed" not in done.stdout
