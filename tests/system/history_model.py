# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must be true of a domain with snapshots after any history: a model without QEMU, files or a service.

A disk is a list of marks, one for each block: the byte that it is filled with. The memory is one mark, or 0 for memory
that was never written to, or None where there is no guest.
"""

import copy
import dataclasses

BLOCK = 32768
# With qcow2's clusters of 64 KiB a block is half a cluster, so that copying on write shows.
BLOCKS = 32
SHUTOFF, RUNNING, PAUSED = "shutoff", "running", "paused"
NONE, INTERNAL, EXTERNAL = "none", "internal", "external"
DISK_SNAPSHOT = "disk-snapshot"


@dataclasses.dataclass
class Kept:
    """A snapshot: what it must hold as long as it is there."""

    name: str
    parent: str | None
    state: str
    memory: str
    # target: none, internal or external; and what the disk held
    ways: dict
    disks: dict
    ram: int | None

    @property
    def location(self):
        """As the property Location tells it."""
        kinds = {way for way in self.ways.values() if way != NONE} | ({self.memory} - {NONE})
        return kinds.pop() if len(kinds) == 1 else "mixed"


class Model:
    """The domain. Each method is one thing that happens to it."""

    def __init__(self, targets, blank=(0,) * BLOCKS):
        self.state = SHUTOFF
        self.disks = {target: list(blank) for target in targets}
        self.ram = None
        self.snapshots = {}
        self.current = None

    def copy(self):
        return copy.deepcopy(self)

    # Looking

    @property
    def active(self):
        return self.state != SHUTOFF

    def children(self, name):
        return [kept.name for kept in self.snapshots.values() if kept.parent == name]

    def descendants(self, name):
        found = []
        for child in self.children(name):
            found += [child, *self.descendants(child)]
        return found

    # What happens

    def start(self, paused):
        self.state = PAUSED if paused else RUNNING
        self.ram = 0

    def power_off(self):
        self.state = SHUTOFF
        self.ram = None

    def pause(self):
        self.state = PAUSED

    def resume(self):
        self.state = RUNNING

    def write(self, target, first, count, mark):
        self.disks[target][first:first + count] = [mark] * count

    def take(self, name, memory, ways, halt=False):
        state = self.state if memory != NONE or not self.active else DISK_SNAPSHOT
        disks = {target: tuple(blocks) for target, blocks in self.disks.items() if ways[target] != NONE}
        self.snapshots[name] = Kept(name, self.current, state, memory, dict(ways), disks,
                                    self.ram if memory != NONE else None)
        self.current = name
        if halt:
            self.power_off()

    def revert(self, name, running=False, paused=False):
        kept = self.snapshots[name]
        for target, blocks in kept.disks.items():
            self.disks[target] = list(blocks)
        if running or paused:
            self.state = RUNNING if running else PAUSED
        else:
            self.state = kept.state if kept.memory != NONE else SHUTOFF
        self.ram = (kept.ram if kept.memory != NONE else 0) if self.active else None
        self.current = name

    def delete(self, name, children=False, children_only=False):
        victims = self.descendants(name) if children or children_only else []
        victims += [] if children_only else [name]
        parent = name if children_only else self.snapshots[name].parent
        if self.current in victims:
            self.current = parent
        for victim in victims:
            del self.snapshots[victim]
        for kept in self.snapshots.values():
            if kept.parent in victims:
                kept.parent = parent
        return victims
