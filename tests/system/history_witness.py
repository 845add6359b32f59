# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random histories of a real Linux guest, which witnesses time (tests/guest/README.md).

It writes without a pause, so a disk's place in the model isn't what it holds, but when that was: the guest's run, and
the counts between which it must be. The memory's is the run, the mark that the witness was given last, and a count that
it has passed. No test case of its own.
"""

import struct

from vmsnaptest import chain_content, read_chain

from history_checks import Checks
from history_machine import HistoryMachine
from history_model import EXTERNAL, NONE, PAUSED, RUNNING, SHUTOFF, Model
from history_steps import History

# Where tests/guest/disk.c counts.
PLACE, SLOT, SLOTS = 1 << 20, 4096, 8
MAGIC = b"VMSNAPW1"
BLANK = ("", 0, 0)
NOT_YET = float("inf")
# So many rounds write every slot, and let the witness see what is wrong with its disks.
ROUNDS = 20
DISK_MIB = 4
# Several histories at once leave a guest that boots little of the processor.
PATIENCE = 240


def read_count(data):
    """(run, count) of what the witness counted last on a disk."""
    records = [struct.unpack_from("=8s24sQ", data, PLACE + slot * SLOT) for slot in range(SLOTS)]
    counts = [(count, run.rstrip(b"\0").decode()) for magic, run, count in records if magic == MAGIC]
    count, run = max(counts) if counts else (0, "")
    return run, count


def lies_within(run, count, bounds):
    return run == bounds[0] and bounds[1] <= count <= bounds[2]


class WitnessMachine(HistoryMachine):
    """The test guest."""

    def __init__(self, service, client, directory, name, formats, machine):
        super().__init__(service, client, directory, name, formats, DISK_MIB, machine=machine)

    def read_counts(self):
        """{target: (run, count)} of a guest that stands still, or is off, from the files."""
        if self.get("State") != SHUTOFF:
            self.flush()
        return {target: read_count(chain_content(read_chain(disk["path"], disk["format"])))
                for target, disk in self.shown_disks().items()}


class WitnessChecks(Checks):
    """What the witness counted instead of what each block holds."""

    def _is_live(self, model):
        return model.state == RUNNING

    def _compare(self, what, data, blocks, found):
        seen = read_count(data)
        self._seen.append(seen)
        if not lies_within(*seen, blocks):
            found.append(f"{what}: it says {seen} instead of {blocks}")

    def check(self, model):
        self._seen = []
        super().check(model)

    def _check_kept(self, kept, record, found):
        self._seen = []
        super()._check_kept(kept, record, found)
        counts = [count for _, count in self._seen]
        if len(set(kept.disks.values())) == 1 and counts and max(counts) - min(counts) > 1:
            found.append(f"{kept.name}: its disks are of different instants: {self._seen}")

    def _compare_memory(self, kept, marks, found):
        """That it is there; what it holds shows when the guest is taken back to it."""

    def _check_guest(self, model, found):
        if model.state != RUNNING:
            return
        count = model.ram[2] if model.ram else 0
        testimony = self.machine.witness.wait_beyond(count + ROUNDS, PATIENCE)
        found += testimony.contradictions()
        if not model.ram:
            self._check_boot(model, testimony, found)
        elif (testimony.run, testimony.mark) != model.ram[:2]:
            found.append(f"the witness says run {testimony.run}, mark {testimony.mark!r} instead of {model.ram}")

    def _check_boot(self, model, testimony, found):
        if testimony.mark:
            found.append(f"a guest that was booted anew has the mark {testimony.mark!r}")
        for target, bounds in model.disks.items():
            seen = testimony["details"][target].get("found")
            seen = (seen["run"], seen["n"]) if seen and seen.get("run") else ("", 0)
            if not lies_within(*seen, bounds):
                found.append(f"the guest found {seen} on {target} instead of {bounds}")


class WitnessHistory(History):
    """One of these histories."""

    def _make(self, service, client, directory, name, formats, machine_type):
        machine = WitnessMachine(service, client, directory, name, formats, machine_type)
        return machine, Model(machine.targets, BLANK), WitnessChecks(machine, [disk.path for disk in machine.disks])

    def _leave_marks(self):
        if self.model.state == RUNNING:
            mark = f"m{self.next_number()}"
            testimony = self.machine.witness.mark(mark)
            self.model.ram = (testimony.run, mark, testimony.ram)
            bounds = (testimony.run, testimony.ram - 1, NOT_YET)
            self.model.disks = dict.fromkeys(self.machine.targets, list(bounds))
            self.machine.witness.wait_beyond(testimony.ram + ROUNDS)
        else:
            self.model.disks = {target: [run, count, count]
                                for target, (run, count) in self.machine.read_counts().items()}

    def _choose_kind(self):
        options, ways = super()._choose_kind()
        if self.model.active and not options.get("disk_only") and ways:
            # A disk that runs on fits its memory no more: the witness would say so.
            ways = {target: EXTERNAL if way == NONE else way for target, way in ways.items()}
        return options, ways

    def _create(self):
        super()._create()
        kept = self.model.snapshots[self.model.current]
        if self.model.state == PAUSED and kept.memory == EXTERNAL:
            # QEMU gives a guest its disks back after a migration by letting it run for an instant.
            self.model.disks = {target: [run, low, NOT_YET] for target, (run, low, _) in self.model.disks.items()}
        if self.model.state != RUNNING:
            return
        now = self.machine.witness.get().ram
        kept.disks = {target: (run, low, min(high, now)) for target, (run, low, high) in kept.disks.items()}
