# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random histories of a bare machine: which steps there are, how one is chosen, and what it does to the machine and to
its model. All is decided by the seed. No test case of its own."""

import contextlib
import os
import random
import sys

from history_checks import explain_files
from history_model import BLOCKS, EXTERNAL, INTERNAL, NONE, RUNNING, SHUTOFF
from history_story import Story

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
# No more snapshots than these, so that deletions are tried.
CROWD = 9


def chosen_seed():
    """The seed that is asked for with $VMSNAP_TEST_SEED, or None."""
    return os.environ.get("VMSNAP_TEST_SEED") or None


class HistoryFailed(AssertionError):
    """With the seed, and the history up to there."""


class History(Story):
    """One random history of a domain of its own."""

    def __init__(self, service, client, directory, seed):
        self.seed = seed
        self.random = random.Random(f"history {seed}")
        formats = self.random.choice((("qcow2",), ("qcow2", "qcow2"), ("qcow2", "raw"), ("qcow2", "qcow2", "raw")))
        super().__init__(service, client, directory, f"history-{seed}", formats, self.random.choice(("q35", "pc")))

    def run(self, steps):
        """Takes so many steps, then all snapshots away; each is checked. Returns how many steps it was."""
        self.machine.define()
        try:
            for _ in range(steps):
                self._step(self._choose())
            while self.model.snapshots:
                self._step("delete")
            self.machine.discard()
            assert not self.machine.store.exists(), "something is left of the domain in the store"
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
        self.check()
        if name == "delete":
            self.checks.check_swept()

    def _leave_marks(self):
        """Before each step, so that no two moments of a history are the same."""
        marks = []
        for target in self.machine.targets:
            for _ in range(self.random.randrange(3)):
                first = self.random.randrange(BLOCKS)
                count = min(self.random.randrange(1, 5), BLOCKS - first)
                marks.append((target, first, count, self.next_number() % 255 + 1))
        if marks:
            self.write(*marks)
        if self.model.active and self.random.random() < 0.7:
            self.write_memory(self.next_number())

    # Steps

    def _create(self):
        name = f"s{self.next_number()}"
        options, ways = self._choose_kind()
        if self.model.active and self.random.random() < 0.1:
            options["halt"] = True
        self._tell(f"{name} {options} {ways or ''}")
        self.take(name, ways, **options)

    def _choose_kind(self):
        """(options, where each disk goes if they don't all go the same way)."""
        formats = {target: disk["format"] for target, disk in self.machine.shown_disks().items()}
        if all(value == "qcow2" for value in formats.values()) and self.random.random() < 0.45:
            return {"location": INTERNAL}, None
        ways = self._choose_ways(formats) if self.random.random() < 0.4 else None
        if not self.model.active or self.random.random() < 0.5:
            return {"disk_only": True}, ways
        options = {}
        if self.random.random() < 0.2:
            options[self.random.choice(("pause", "live") if self._may_be_live() else ("pause",))] = True
        elif self.random.random() < 0.2:
            options["encoding"] = self.random.choice(("zstd", "gzip"))
        return options, ways

    def _choose_ways(self, formats):
        ways = {target: self.random.choice((EXTERNAL, EXTERNAL, NONE, *([INTERNAL] if image_format == "qcow2" else [])))
                for target, image_format in formats.items()}
        if set(ways.values()) == {NONE}:
            ways[self.machine.targets[0]] = EXTERNAL
        return ways

    def _may_be_live(self):
        return self.model.state == RUNNING

    def _revert(self):
        name = self.random.choice(list(self.model.snapshots))
        wanted = self.random.choice(({}, {}, {"running": True}, {"paused": True}))
        self._tell(f"{name} {wanted}")
        self.revert(name, **wanted)

    def _delete(self):
        name = self.random.choice(list(self.model.snapshots))
        wanted = self.random.choice(({}, {}, {}, {"children": True}, {"children_only": True}))
        if wanted.get("children_only") and not self.model.children(name):
            wanted = {}
        self._tell(f"{name} {wanted}")
        self.delete(name, **wanted)

    def _power(self):
        if self.model.state == SHUTOFF:
            paused = self.random.random() < 0.2
            self._tell("on, paused" if paused else "on")
            self.start(paused)
        else:
            self._tell("off")
            self.power_off()

    def _pause_or_resume(self):
        if self.model.state == RUNNING:
            self._tell("pause")
            self.pause()
        else:
            self._tell("resume")
            self.resume()

    def _restart_service(self):
        self.restart_service()

    def _kill_service(self):
        self.kill_service()

    def _kill_guest(self):
        self.kill_guest()
