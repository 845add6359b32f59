#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service killed at every moment of a revert that loads a new guest beside the old one."""

from vmsnaptest import main, witness_count

from beside import BesideCase
from checkpoints import PATIENCE, ROUNDS
from recovery import RecoveryCase


class Killed(RecoveryCase, BesideCase):
    """The service, or both it and a guest, killed at every moment of a revert."""

    def assert_settled(self, machine, run):
        """A guest runs, the old or the new one; the definition speaks of its disks."""
        now = machine.witness.get().check()
        self.assertEqual(now.run, run)
        self.assertIn(now.mark, ("one", "later"))
        machine.witness.wait_beyond(now.ram + ROUNDS).check()
        self.assertEqual(machine.state[0], "running")
        self.assert_alone(machine)
        self.follow(machine)
        for inactive in (False, True):
            for disk in machine.disks:
                self.assertIn(str(disk.path), machine.call("GetXml", inactive=inactive))
                self.assertGreaterEqual(witness_count(disk), now.ram)
        machine.witness.mark("later").check()

    def test_service_at_every_moment(self):
        machine, checkpoint = self.checkpointed()
        folders = [self.service.runtime / "guests", machine.disks[0].path.parent]
        self.sweep(lambda: machine.ask_revert("one"), lambda: self.assert_settled(machine, checkpoint.before.run), machine,
                   folders=folders)
        self.assert_whole(machine)

    def test_service_and_the_old_guest_at_every_moment(self):
        machine, checkpoint = self.checkpointed()

        def ask():
            if machine.state[0] == "shutoff":
                machine.revert("one", timeout=PATIENCE)
            return machine.ask_revert("one")

        def check():
            self.assert_alone(machine)
            if machine.state[0] == "running":
                self.assert_settled(machine, machine.witness.get().run)
            self.follow(machine)
            for disk in [*checkpoint.frozen, *machine.disks]:
                self.assertTrue(disk.path.exists())

        self.sweep(ask, check, machine, both=True, stride=3)
        self.assert_whole(machine)


if __name__ == "__main__":
    main()
