#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The instant of a checkpoint, with the race for it forced open.

QEMU tells that a migration is active before it has stopped the machine and protected its memory. Here it is held back in
between, so that a guest which is let go too early runs for a long while, and its memory is of another time than its disks.
"""

from vmsnaptest import main

from checkpoints import CheckpointCase, harsh_emulator

HOLD_MS = 300
ANSWER_MS = 5


class HeldThread(CheckpointCase):
    """A host that is too busy for the migration thread."""

    @classmethod
    def class_emulator(cls):
        return harsh_emulator(cls.directory, hold_ms=HOLD_MS)

    def test_background_checkpoints_are_of_one_instant(self):
        # More than one, for what QEMU tells of the one before must not be taken for this one's.
        machine = self.loaded()
        for name in ("one", "two", "three"):
            with self.subTest(name):
                checkpoint = self.take(machine, name)
                self.assert_result(checkpoint, machine, "background")
                self.assert_one_instant(checkpoint)
                # It was held, and the guest stood still meanwhile.
                self.assertGreaterEqual(checkpoint.result["downtime"], HOLD_MS * 1000)
        self.assert_runs_on(machine, checkpoint.after)
        self.assert_whole(machine)

    def test_paused_checkpoints_are_of_one_instant(self):
        machine = self.loaded()
        checkpoint = self.take(machine, pause=True)
        self.assert_result(checkpoint, machine, "paused")
        self.assert_one_instant(checkpoint)
        self.assert_runs_on(machine, checkpoint.after)


class SlowMonitor(CheckpointCase):
    """Answers come late: much happens between two of them."""

    @classmethod
    def class_emulator(cls):
        return harsh_emulator(cls.directory, answer_ms=ANSWER_MS)

    def test_checkpoints_are_of_one_instant(self):
        machine = self.loaded()
        for name, choice in (("one", {}), ("two", {"pause": True}), ("three", {})):
            with self.subTest(name):
                checkpoint = self.take(machine, name, **choice)
                self.assert_one_instant(checkpoint)
        self.assert_runs_on(machine, checkpoint.after)


if __name__ == "__main__":
    main()
