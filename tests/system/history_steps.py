# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random histories of a bare machine: which steps there are, how one is chosen, and what it does to the machine and to its
model. All is decided by the seed. No test case of its own."""

import contextlib
import os
import random
import sys

from vmsnaptest import BusError, JobFailed

from history_checks import Checks, explain_files
from history_machine import BareMachine
from history_model import BLOCKS, EXTERNAL, INTERNAL, NONE, RUNNING, SHUTOFF, Model

# What histories are made of: (weight, name of the method).
STEPS = (
    (30, "create"),
    (22, "revert"),
    (12, "delete"),
    (10, "power"),
    (6, "pause_or_resume"),
    (4, "restart_service"),
    (2, "kill_service"),
    (2, "kill_guest"),
)
# What this version doesn't do yet.
REFUSALS = ("is not an internal snapshot", "can't go back to")
# No more snapshots than these, so that deletions are tried.
CROWD = 9


def chosen_seed():
    """The seed that is asked for with $VMSNAP_TEST_SEED, or None."""
    return os.environ.get("VMSNAP_TEST_SEED") or None


class HistoryFailed(AssertionError):
    """With the seed, and the history up to there."""


class History:
    """One random history of a domain of its own."""

    def __init__(self, service, client, directory, seed):
        self.seed = seed
        self.random = random.Random(f"history {seed}")
        formats = self.random.choice((("qcow2",), ("qcow2", "qcow2"), ("qcow2", "raw"), ("qcow2", "qcow2", "raw")))
        details = f"history-{seed}", formats, self.random.choice(("q35", "pc"))
        self.machine, self.model, self.checks = self._make(service, client, directory, *details)
        self.told = []
        self.refused = 0
        self._numbers = 0

    def _make(self, service, client, directory, name, formats, machine_type):
        machine = BareMachine(service, client, directory, name, formats, machine_type)
        return machine, Model(machine.targets), Checks(machine, [disk.path for disk in machine.disks])

    def run(self, steps):
        """Takes so many steps, then all snapshots away; each is checked. Returns how many steps it was."""
        self.machine.define()
        try:
            for _ in range(steps):
                self._step(self._choose())
            while self.model.snapshots and not self.refused:
                self._step("delete")
            self.machine.discard()
            # The memory stays when an undefine forgets its snapshots.
            assert self.refused or not self.machine.store.exists(), "something is left of the domain in the store"
        except Exception as error:
            words = self._explain(error)
            with contextlib.suppress(Exception):
                self.machine.discard()
            raise HistoryFailed(words) from error
        return len(self.told)

    def _explain(self, error):
        lines = [f"{type(error).__name__}: {error}", f"the history (VMSNAP_TEST_SEED={self.seed}, disks "
                 f"{[str(disk.path.name) for disk in self.machine.disks]}):", *self.told,
                 f"the model: {self.model.state}, current {self.model.current}",
                 *(f"  {kept.name}: over {kept.parent}, {kept.state}, memory {kept.memory} {kept.ram}, {kept.ways}"
                   for kept in self.model.snapshots.values()), "the files:", explain_files(self.machine)]
        return "\n".join(lines)

    def _choose(self):
        possible = [(weight, name) for weight, name in STEPS if self._can(name)]
        weights, names = zip(*possible)
        return self.random.choices(names, weights)[0]

    def _can(self, name):
        if name in ("revert", "delete"):
            return bool(self.model.snapshots)
        if name == "create":
            return len(self.model.snapshots) < CROWD
        return self.model.active or name not in ("pause_or_resume", "kill_guest")

    def _step(self, name):
        self._leave_marks()
        self.told.append(f"  {len(self.told) + 1}. {name}")
        getattr(self, f"_{name}")()
        if chosen_seed():
            print(f"#{self.told[-1]}", file=sys.stderr, flush=True)
        self.checks.check(self.model)

    def _tell(self, words):
        self.told[-1] += f" {words}"

    # Marks

    def _next_number(self):
        self._numbers += 1
        return self._numbers

    def _leave_marks(self):
        """Before each step, so that no two moments of a history are the same."""
        marks = []
        for target in self.machine.targets:
            for _ in range(self.random.randrange(3)):
                first = self.random.randrange(BLOCKS)
                count = min(self.random.randrange(1, 5), BLOCKS - first)
                marks.append((target, first, count, self._next_number() % 255 + 1))
        if marks:
            self.machine.write_blocks(marks)
        for mark in marks:
            self.model.write(*mark)
        if self.model.active and self.random.random() < 0.7:
            self.model.ram = self._next_number()
            self.machine.write_memory(self.model.ram)

    # Steps

    def _create(self):
        name = f"s{self._next_number()}"
        options, memory, ways = self._choose_kind()
        halt = self.model.active and self.random.random() < 0.1
        if halt:
            options["halt"] = True
        self._tell(f"{name} {options}")
        self._note_result(self.machine.run("CreateSnapshot", "s", name, **options))
        self.model.take(name, memory, ways, halt)

    def _choose_kind(self):
        """(options, where the memory goes, where each disk goes)."""
        formats = {target: disk["format"] for target, disk in self.machine.shown_disks().items()}
        targets = self.machine.targets
        if all(value == "qcow2" for value in formats.values()) and self.random.random() < 0.45:
            return {"location": INTERNAL}, INTERNAL if self.model.active else NONE, dict.fromkeys(targets, INTERNAL)
        ways = dict.fromkeys(targets, EXTERNAL)
        options = {}
        if self.random.random() < 0.4:
            ways = {target: self.random.choice((EXTERNAL, EXTERNAL, NONE, *([INTERNAL] if formats[target] == "qcow2" else [])))
                    for target in targets}
            if set(ways.values()) == {NONE}:
                ways[targets[0]] = EXTERNAL
            options["disks"] = {target: {"snapshot": way} for target, way in ways.items()}
        if not self.model.active or self.random.random() < 0.5:
            options["disk-only"] = True
            return options, NONE, ways
        if self.random.random() < 0.2:
            options[self.random.choice(("pause", "live") if self._may_be_live() else ("pause",))] = True
        elif self.random.random() < 0.2:
            options["encoding"] = self.random.choice(("zstd", "gzip"))
        return options, EXTERNAL, ways

    def _may_be_live(self):
        return self.model.state == RUNNING

    def _revert(self):
        name = self.random.choice(list(self.model.snapshots))
        wanted = self.random.choice(({}, {}, {"running": True}, {"paused": True}))
        self._tell(f"{name} {wanted}")
        if self._attempt(self.machine.revert, name, wanted):
            self.model.revert(name, **wanted)

    def _delete(self):
        name = self.random.choice(list(self.model.snapshots))
        if self.model.active and any(EXTERNAL in kept.ways.values() for kept in self.model.snapshots.values()):
            self.refused += 1
            return
        wanted = self.random.choice(({}, {}, {}, {"children": True}, {"children_only": True}))
        if wanted.get("children_only") and not self.model.children(name):
            wanted = {}
        self._tell(f"{name} {wanted}")
        if self._attempt(self.machine.delete, name, wanted):
            self.model.delete(name, **wanted)

    def _power(self):
        if self.model.state == SHUTOFF:
            paused = self.random.random() < 0.2
            self._tell("on, paused" if paused else "on")
            self.machine.start(paused=paused)
            self.model.start(paused)
        else:
            self._tell("off")
            self.machine.call("PowerOff")
            self.model.power_off()

    def _pause_or_resume(self):
        if self.model.state == RUNNING:
            self._tell("pause")
            self.machine.call("Pause")
            self.model.pause()
        else:
            self._tell("resume")
            self.machine.call("Resume")
            self.model.resume()

    def _restart_service(self):
        self.machine.service.restart()

    def _kill_service(self):
        self.machine.service.kill()
        self.machine.service.start()

    def _kill_guest(self):
        self.machine.flush()
        self.machine.kill_qemu()
        self.machine.wait_state(SHUTOFF)
        self.model.power_off()

    def _attempt(self, call, name, wanted):
        """Whether it was done; what isn't supported is refused, and has changed nothing."""
        try:
            self._note_result(call(name, **wanted))
        except (BusError, JobFailed) as error:
            if not any(words in str(error) for words in REFUSALS):
                raise
            self._tell("(refused)")
            self.refused += 1
            return False
        return True

    def _note_result(self, result):
        if result.get("warning"):
            self._tell(f"(warning: {result['warning']})")
            self.checks.excuse(result["warning"])
