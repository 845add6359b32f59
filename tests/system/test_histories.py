# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random histories: whatever was done before, every snapshot that is left holds exactly its bytes.

The same few each time, so that a failure is of the change that it is seen with. $VMSNAP_TEST_SEED: this one alone;
$VMSNAP_TEST_HISTORIES: so many with new seeds; $VMSNAP_TEST_STEPS: each of so many steps. More of them at once:
tests/tools/histories.
"""

import os
import random
import subprocess
import sys

from vmsnaptest import main

from history_machine import WatchedCase
from history_steps import History, chosen_seed
from history_witness import WitnessHistory

FIXED_SEEDS = range(1, 9)
FIXED_WITNESS_SEEDS = range(1, 2)
STEPS = int(os.environ.get("VMSNAP_TEST_STEPS", "0"))


def seeds(fixed):
    """The seeds of a run: the fixed ones, unless the environment says otherwise."""
    if chosen_seed():
        return [chosen_seed()]
    count = int(os.environ.get("VMSNAP_TEST_HISTORIES", "0"))
    return [random.SystemRandom().randrange(100, 10**6) for _ in range(count)] or fixed


def qemu_io(disk, words):
    subprocess.run(["qemu-io", "-f", disk.format, "-c", words, disk.path], stdout=subprocess.DEVNULL, check=True)


class HistoryCase(WatchedCase):
    """Each history in a directory of its own."""

    def new_history(self, seed, kind=History):
        directory = self.directory / f"h{seed}"
        directory.mkdir()
        return kind(self.service, self.client, directory, seed)

    def live_through(self, seed, kind, steps):
        with self.subTest(seed=seed):
            history = self.new_history(seed, kind)
            count = history.run(steps)
            print(f"# seed {seed}: {count} steps", file=sys.stderr)


class OfABareMachine(HistoryCase):
    """Its disks and its memory are marked past the service."""

    def test_every_snapshot_holds_its_bytes_through_any_history(self):
        for seed in seeds(FIXED_SEEDS):
            self.live_through(seed, History, STEPS or 20)


class OfALinuxGuest(HistoryCase):
    """Its memory and its disks must be of one instant, whatever it is taken back to."""

    def test_every_snapshot_is_of_its_instant_through_any_history(self):
        for seed in seeds(FIXED_WITNESS_SEEDS):
            self.live_through(seed, WitnessHistory, STEPS or 10)


class OfTheChecks(HistoryCase):
    """What is looked at after each step of a history would be seen if it were wrong."""

    def setUp(self):
        super().setUp()
        self.history = self.new_history(self.id().rpartition("test_")[2])
        self.history.machine.define()
        self.addCleanup(self.history.machine.discard)
        self.history.write(("vda", 0, 4, 1))
        self.history.start()
        self.history.write_memory(7)
        self.history.take("outside")
        self.history.check()

    def assert_noticed(self, words):
        with self.assertRaisesRegex(AssertionError, words):
            self.history.checks.check(self.history.model)

    def test_byte_in_a_frozen_file(self):
        self.history.power_off()
        qemu_io(self.history.machine.disks[0], "write -P 9 98303 1")
        self.assert_noticed(r"outside: disk vda .* block 2 holds \[1, 9\] instead of 1")

    def test_byte_of_the_present(self):
        self.history.machine.write_blocks([("vda", 31, 1, 3)])
        self.assert_noticed(r"disk vda .* block 31 holds \[3\] instead of 0")

    def test_memory_of_the_present(self):
        self.history.machine.write_memory(8)
        self.assert_noticed(r"memory holds \[8\] instead of 7")

    def test_memory_of_a_snapshot(self):
        self.history.model.snapshots["outside"].ram = 6
        self.assert_noticed(r"outside: its memory holds the marks \[7\] instead of 6")

    def test_file_that_nobody_needs(self):
        (self.history.machine.directory / "vda.gone").touch()
        self.assert_noticed("vda.gone is left over")

    def test_snapshot_that_is_current(self):
        self.history.model.current = None
        self.assert_noticed("outside is current instead of None")

    def test_program_that_runs_on(self):
        self.history.model.state = "shutoff"
        self.assert_noticed("1 programs run for a domain that is shutoff")


if __name__ == "__main__":
    main()
