#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverting to a checkpoint: the new guest is loaded beside the old one, which knows nothing of it until it is replaced."""

import contextlib
import os
import signal

from vmsnaptest import main, witness_count, wait_until
from vmsnaptest.pulse import Pulse, channel_xml

from checkpoints import PATIENCE, ROUNDS, CheckpointCase
from recovery import RecoveryCase


class BesideCase(CheckpointCase):
    """Reverts, and what must be true of one."""

    def checkpointed(self, **details):
        """A guest that runs, with a checkpoint, and some way behind it."""
        machine = self.loaded(**details)
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

    def assert_alone(self, machine):
        """One QEMU, and nothing unfinished."""
        self.assertEqual(machine.journals(), [])
        self.assertIsNone(machine.pid_beside())
        self.assertFalse(machine.beside.exists())


class Beside(BesideCase):
    """What goes well."""

    def test_old_guest_runs_on_while_the_new_one_loads(self):
        machine, checkpoint = self.checkpointed()
        old, since = machine.pid(), len(self.client.signals)
        job = machine.ask_revert("one")
        with self.held(machine, job):
            now = machine.witness.get().check()
            machine.witness.wait_beyond(now.ram + ROUNDS).check()
            self.assertEqual(machine.state[0], "running")
        result = self.client.wait_job(job, PATIENCE).result
        self.assertGreater(result["downtime"], 0)
        self.assert_reverted(machine, checkpoint)
        self.assertNotEqual(machine.pid(), old)
        self.assertEqual({state for state, _ in self.states(machine, since) if state}, set())
        self.assertEqual(machine.state, ("running", "from-snapshot"))
        self.assertEqual([event for event, _ in machine.events(since)], ["snapshot-reverted"])
        self.assert_progress_is_sane(job)
        self.assert_whole(machine)


if __name__ == "__main__":
    main()
