# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bare machine and its model, to which the same things happen: what a told story and a random history are made of. No
test case of its own."""

from history_checks import Checks
from history_machine import BareMachine
from history_model import EXTERNAL, INTERNAL, NONE, SHUTOFF, Model


class Story:
    """Each method does one thing, to both; check() sees whether they still are the same."""

    def __init__(self, service, client, directory, name, formats=("qcow2",), machine_type="q35"):
        self.machine, self.model, self.checks = self._make(service, client, directory, name, formats, machine_type)
        self.told = []
        self._numbers = 0

    def _make(self, service, client, directory, name, formats, machine_type):
        machine = BareMachine(service, client, directory, name, formats, machine_type)
        return machine, Model(machine.targets), Checks(machine, [disk.path for disk in machine.disks])

    def check(self):
        self.checks.check(self.model)

    def _tell(self, words):
        """Adds to what is told of the present step."""
        if self.told:
            self.told[-1] += f" {words}"

    def next_number(self):
        self._numbers += 1
        return self._numbers

    # Marks

    def write(self, *marks):
        """Marks on disks: (target, first block, how many, mark)."""
        self.machine.write_blocks(marks)
        for mark in marks:
            self.model.write(*mark)

    def write_memory(self, mark):
        self.machine.write_memory(mark)
        self.model.ram = mark

    def mark(self):
        """New marks on all disks, and in the memory if there is one."""
        number = self.next_number()
        self.write(*((target, (number * 7 + i) % 28, 3, number % 255 + 1)
                     for i, target in enumerate(self.machine.targets)))
        if self.model.active:
            self.write_memory(number)

    # Snapshots

    def take(self, name, ways=None, **options):
        """A snapshot; ways: {target: none, internal or external} where they aren't all the same."""
        internal = options.get("location") == INTERNAL
        memory = NONE
        if self.model.active and not options.get("disk_only"):
            memory = INTERNAL if internal else EXTERNAL
        if ways:
            options["disks"] = {target: {"snapshot": way} for target, way in ways.items()}
        self._note_result(self.machine.run("CreateSnapshot", "s", name, **options))
        ways = {**dict.fromkeys(self.machine.targets, INTERNAL if internal else EXTERNAL), **(ways or {})}
        self.model.take(name, memory, ways, options.get("halt", False))

    def revert(self, name, **wanted):
        self._note_result(self.machine.revert(name, **wanted))
        self.model.revert(name, **wanted)

    def delete(self, name, **wanted):
        self._note_result(self.machine.delete(name, **wanted))
        self.model.delete(name, **wanted)

    def _note_result(self, result):
        if result.get("warning"):
            self._tell(f"(warning: {result['warning']})")
            self.checks.excuse(result["warning"])

    # The guest

    def start(self, paused=False):
        self.machine.start(paused=paused)
        self.model.start(paused)

    def power_off(self):
        self.machine.call("PowerOff")
        self.model.power_off()

    def pause(self):
        self.machine.call("Pause")
        self.model.pause()

    def resume(self):
        self.machine.call("Resume")
        self.model.resume()

    def kill_guest(self):
        """What its disks hold is on record before; what else it was is lost."""
        self.machine.flush()
        self.machine.kill_qemu()
        self.machine.wait_state(SHUTOFF)
        self.model.power_off()

    def restart_service(self):
        self.machine.service.restart()

    def kill_service(self):
        self.machine.service.kill()
        self.machine.service.start()
