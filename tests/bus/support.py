# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the service on the bus share: domains that need no operating system, and a service to ask."""

import uuid as uuid_module
from xml.sax.saxutils import escape

from vmsnaptest import BusError, PrivateBus, Service, TestCase, domain_path, make_disk


def plain_xml(name, disks=(), *, uuid=None, memory_mib=64, devices="", emulator=None, escape_name=True):
    """A domain that boots nothing: its BIOS finds no system and stays in a loop. Up at once, also under TCG."""
    parts = [f"<domain type='qemu'><name>{escape(name) if escape_name else name}</name>"]
    if uuid != "":
        parts.append(f"<uuid>{uuid or uuid_module.uuid4()}</uuid>")
    parts.append(f"<memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>"
                 "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>")
    if emulator:
        parts.append(f"<emulator>{escape(str(emulator))}</emulator>")
    for disk in disks:
        parts.append(f"<disk type='file' device='disk'><driver name='qemu' type='{disk.format}'/>"
                     f"<source file='{escape(str(disk.path))}'/><target dev='{disk.target}' bus='virtio'/></disk>")
    parts.append(devices + "</devices></domain>")
    return "".join(parts)


class BusTestCase(TestCase):
    """A private session bus and a service on it, for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.bus = cls.enter_class(PrivateBus())
        cls.service = cls.enter_class(Service(cls.bus, cls.make_class_directory()))

    def setUp(self):
        self.client = self.enter(self.service.client())

    def assert_refused(self, name, *arguments, says=None, **options):
        """The call fails with this error, and its message has these words."""
        with self.assertRaises(BusError) as caught:
            self.client.call(*arguments, **options)
        self.assert_error(caught.exception, name, says)
        return caught.exception

    def assert_error(self, error, name, says=None):
        self.assertEqual(error.name, name, error.message)
        self.assertTrue(error.message)
        for words in [says] if isinstance(says, str) else says or []:
            self.assertIn(words, error.message)

    def define(self, name, disks=(), **details):
        """Defines a domain that boots nothing, to be forgotten after the test; returns its path."""
        uuid = details.pop("uuid", None) or str(uuid_module.uuid4())
        path = self.client.call("/org/vmsnap/VmSnap1/Manager", "Manager", "DefineDomain", "s",
                                plain_xml(name, disks, uuid=uuid, **details))
        self.assertEqual(path, domain_path(uuid))
        self.addCleanup(self.forget, path)
        return path

    def forget(self, path):
        """Takes a domain away, whatever became of it."""
        with self.service.client() as client:
            for method, options in (("PowerOff", {}), ("Undefine", {"snapshots-metadata": True})):
                try:
                    client.call(path, "Domain", method, **options)
                except BusError:
                    pass


class SnapshotCase(BusTestCase):
    """A domain with one qcow2 disk, to take snapshots of."""

    def setUp(self):
        super().setUp()
        self.disk = make_disk(self.make_directory() / "vda.qcow2", 8)
        self.domain = self.define("machine", [self.disk])

    def create(self, name, **options):
        """Takes an internal snapshot, and returns its path."""
        return self.client.run(self.domain, "Domain", "CreateSnapshot", "s", name, location="internal",
                               **options)["snapshot"]

    def refuse_create(self, error, name, says=None, **options):
        return self.assert_refused(error, self.domain, "Domain", "CreateSnapshot", "s", name, says=says, **options)

    def list(self, **options):
        paths = self.client.call(self.domain, "Domain", "ListSnapshots", **options)
        return [self.client.get(path, "Snapshot", "Name") for path in paths]
