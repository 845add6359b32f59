# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bare machine for histories: no operating system, 16 MiB, disks of 1 MiB; up in a blink. What its disks and its
memory hold is written from outside, past the service: through a monitor that the emulator's wrapper adds to QEMU's
command line (so the domain's definition knows nothing of it), and through /proc/<pid>/mem, where the guest's memory is.

No test case of its own.
"""

import contextlib
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

from vmsnaptest import BareQmp, emulator, make_disk

from history_model import BLOCK, BLOCKS
from machines import Machine, ServiceCase

# No firmware touches it.
MARK_ADDRESS = 5 << 20
PAGE = 4096
MARK = re.compile(rb"vmsnap-mark-(\d{8})")
MEMORY_MIB = 16
MONITOR = "test.sock"


def wrapped_emulator(directory, which=None):
    """The emulator under test, with a monitor for the test in each guest's directory, where QEMU works."""
    wrapper = directory / "watched-qemu"
    wrapper.write_text(f"""#!/bin/sh
case " $* " in
  *" -pidfile "*) exec {emulator(which)} "$@" -qmp unix:{MONITOR},server=on,wait=off ;;
  *) exec {emulator(which)} "$@" ;;
esac
""", encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper


def mark_page(mark):
    """The page that a mark fills; 0: as a new guest's memory is."""
    return (b"vmsnap-mark-%08d" % mark).ljust(64, b".") * (PAGE // 64) if mark else bytes(PAGE)


def marks_in(data):
    """The marks that some memory holds; an empty set for one that was never written to."""
    return {int(found) for found in MARK.findall(data)}


class WatchedCase(ServiceCase):
    """With an emulator that lets the test write to its guests."""

    @classmethod
    def setUpClass(cls):
        cls.wrapped = cls.make_class_directory()
        super().setUpClass()

    @classmethod
    def class_emulator(cls):
        return wrapped_emulator(cls.wrapped)


class HistoryMachine(Machine):
    """A domain with disks called vda, vdb, …: `formats` of qcow2 and raw."""

    def __init__(self, service, client, directory, name, formats, mib, **details):
        disks = [make_disk(directory / f"vd{letter}.{image_format}", mib, image_format, target=f"vd{letter}")
                 for letter, image_format in zip("abcdef", formats)]
        super().__init__(service, client, directory, name, disks, **details)
        self.targets = [disk.target for disk in disks]

    def shown_disks(self):
        """{target: its entry of the property Disks}."""
        return {disk["target"]: disk for disk in self.get("Disks")}

    def check_disks(self):
        """What is looked at after every step needs no second look."""

    @contextlib.contextmanager
    def monitor(self):
        """A monitor of the test's own."""
        with BareQmp(self.runtime / MONITOR) as monitor:
            yield monitor

    def human(self, monitor, words):
        return monitor.execute("human-monitor-command", {"command-line": words})

    def flush(self):
        """What the guest's disks hold is in their files then."""
        with self.monitor() as monitor:
            for target in self.targets:
                said = self.human(monitor, f'qemu-io -d /machine/peripheral/disk-{target}/virtio-backend "flush"')
                assert not said, said

    def status(self):
        """What QEMU says of itself."""
        with self.monitor() as monitor:
            return monitor.status()


class BareMachine(HistoryMachine):
    """One without an operating system."""

    def __init__(self, service, client, directory, name, formats, machine="q35"):
        super().__init__(service, client, directory, name, formats, 1, machine=machine)

    def xml(self, **changes):
        domain = ElementTree.Element("domain", type="qemu")
        for tag, text, attributes in (("name", self.name, {}), ("uuid", self.uuid, {}),
                                      ("memory", str(MEMORY_MIB), {"unit": "MiB"}), ("vcpu", "1", {})):
            ElementTree.SubElement(domain, tag, attributes).text = text
        system = ElementTree.SubElement(ElementTree.SubElement(domain, "os"), "type", arch="x86_64",
                                        machine=self.details["machine"])
        system.text = "hvm"
        devices = ElementTree.SubElement(domain, "devices")
        for disk in self.disks:
            element = ElementTree.SubElement(devices, "disk", type="file", device="disk")
            ElementTree.SubElement(element, "driver", name="qemu", type=disk.format)
            ElementTree.SubElement(element, "source", file=str(disk.path))
            ElementTree.SubElement(element, "target", dev=disk.target, bus="virtio")
        return ElementTree.tostring(domain, encoding="unicode")

    # Past the service

    def write_blocks(self, marks):
        """Fills blocks of disks: [(target, first, count, mark)], through the guest's own devices if there is one."""
        commands = [(target, f"write -P {mark} {first * BLOCK} {count * BLOCK}")
                    for target, first, count, mark in marks]
        if self.get("State") == "shutoff":
            self._write_files(commands)
            return
        with self.monitor() as monitor:
            for target, words in commands:
                said = self.human(monitor, f'qemu-io -d /machine/peripheral/disk-{target}/virtio-backend "{words}"')
                assert not said, said

    def _write_files(self, commands):
        shown = self.shown_disks()
        for target in dict.fromkeys(target for target, _ in commands):
            words = [word for other, command in commands if other == target for word in ("-c", command)]
            subprocess.run(["qemu-io", "-f", shown[target]["format"], *words, shown[target]["path"]],
                           stdout=subprocess.DEVNULL, check=True)

    def _memory(self, act):
        with self.monitor() as monitor:
            address = int(self.human(monitor, f"gpa2hva {MARK_ADDRESS:#x}").split()[-1], 16)
        descriptor = os.open(f"/proc/{self.pid()}/mem", os.O_RDWR)
        try:
            return act(descriptor, address)
        finally:
            os.close(descriptor)

    def fill_memory(self, mib):
        """So much of its memory is no longer empty."""
        start = MEMORY_MIB - mib - 1
        assert start > (MARK_ADDRESS >> 20)
        self._memory(lambda descriptor, address: os.pwrite(descriptor, os.urandom(mib << 20),
                                                           address - MARK_ADDRESS + (start << 20)))

    def write_memory(self, mark):
        self._memory(lambda descriptor, address: os.pwrite(descriptor, mark_page(mark), address))

    def read_memory(self):
        """The page with the mark."""
        return self._memory(lambda descriptor, address: os.pread(descriptor, PAGE, address))


def disk_bytes(blocks):
    """What a disk with these marks holds."""
    assert len(blocks) == BLOCKS
    return b"".join(bytes([mark]) * BLOCK for mark in blocks)


def describe_difference(data, blocks):
    """Which blocks hold what they shouldn't, in words."""
    if len(data) != BLOCK * BLOCKS:
        return f"{len(data)} bytes instead of {BLOCK * BLOCKS}"
    found = []
    for number, mark in enumerate(blocks):
        block = data[number * BLOCK:(number + 1) * BLOCK]
        if block != bytes([mark]) * BLOCK:
            found.append(f"block {number} holds {sorted(set(block))} instead of {mark}")
    return ", ".join(found)
