# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests share of reverts that load a new guest beside the old one. No test case of its own."""

import contextlib
import os
import signal

from vmsnaptest import wait_until, witness_count
from vmsnaptest.watch import with_arguments

from checkpoints import PATIENCE, ROUNDS, CheckpointCase


class BesideCase(CheckpointCase):
    """Reverts, and what must be true of one."""

    def checkpointed(self, **details):
        """A guest that runs, with a checkpoint, and some way behind it."""
        machine = self.loaded(**details)
        checkpoint = self.take(machine)
        machine.witness.mark("later")
        machine.witness.wait_beyond(checkpoint.after.ram + ROUNDS).check()
        return machine, checkpoint

    def alone(self):
        """A guest with arguments of its own for QEMU, of which nobody knows what they do."""
        machine = self.undefined_machine()
        plain = machine.xml
        machine.xml = lambda **changes: with_arguments(plain(**changes), ["-device", "virtio-rng-pci"])
        machine.define().boot().witness.dirty(32)
        checkpoint = self.take(machine)
        machine.witness.mark("later")
        machine.witness.wait_beyond(checkpoint.after.ram + ROUNDS).check()
        return machine, checkpoint

    @contextlib.contextmanager
    def held(self, machine, job):
        """The new QEMU stands still in the middle of its loading, or before."""
        wait_until(lambda: machine.pid_beside() or self.client.get(job, "Job", "State") not in ("queued", "running"),
                   "a QEMU beside", PATIENCE)
        pid = os.pidfd_open(machine.pid_beside())
        signal.pidfd_send_signal(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pid, signal.SIGCONT)
            os.close(pid)

    def assert_reverted(self, machine, checkpoint):
        """Memory and disks are what they were, and go on from there."""
        counts = [witness_count(disk) for disk in checkpoint.frozen]
        first = machine.witness.get().check()
        self.assertEqual((first.run, first.mark), (checkpoint.before.run, checkpoint.name))
        self.assertGreaterEqual(first.ram, max(counts))
        machine.witness.wait_beyond(first.ram + ROUNDS).check()
        self.assertEqual(counts, [witness_count(disk) for disk in checkpoint.frozen])
        self.assertEqual(machine.current(), checkpoint.name)
        self.assert_alone(machine)
        self.follow(machine)
        for disk, frozen in zip(machine.disks, checkpoint.frozen):
            self.assertNotEqual(disk.path, frozen.path)

    def files(self, machine):
        return {str(path) for path in machine.disks[0].path.parent.iterdir()}

    def assert_undisturbed(self, machine, pid, since):
        """The old guest goes on in its files, and nothing was seen of the attempt."""
        self.assertEqual(machine.pid(), pid)
        now = machine.witness.get().check()
        self.assertEqual(now.mark, "later")
        machine.witness.wait_beyond(now.ram + ROUNDS).check()
        for disk in machine.disks:
            self.assertGreaterEqual(witness_count(disk), now.ram)
        self.assertEqual(self.states(machine, since), [])
        self.assertEqual(machine.events(since), [])
        self.assert_alone(machine)
        self.assertEqual(machine.get("Job"), "/")

    def assert_alone(self, machine):
        """One QEMU, and nothing unfinished."""
        self.assertEqual(machine.journals(), [])
        self.assertIsNone(machine.pid_beside())
        self.assertFalse(machine.beside.exists())
