# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same guest twice, as the benches compare them: one that the service drives, one that bare QMP drives.

Both are started by the service from definitions that differ in names only, so both have the same command line; the
service of the second is then ended, and its guest runs on. Each has a second monitor, through which it is watched, and
the second is driven.
"""

import socket
import threading
import time

from vmsnaptest import MANAGER, BareQmp, PrivateBus, Service, Witness, domain_xml, make_disks, snapshot_path

# How often the guest says that it lives, in milliseconds: what the figures of the heart are rounded to.
BEAT_MS = 10
# A beat is at least so long: `witness N` and the line's end.
BEAT_BYTES = 10
QEMU_NAMESPACE = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"


class Heart:
    """Listens to the serial line on which the guest's witness beats."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._beats = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while self._socket.recv(BEAT_BYTES, socket.MSG_WAITALL):
            self._beats.append(time.monotonic())

    def longest_silence(self, since):
        """The longest time without a beat that began after `since` or included it."""
        beats = list(self._beats)
        return max((later - earlier for earlier, later in zip(beats, beats[1:]) if later >= since), default=0.0)

    def wait_beat(self, after, timeout=10.0):
        """Waits for two beats after a point in time: the guest runs."""
        deadline = time.monotonic() + timeout
        while len(self._beats) < 2 or self._beats[-2] <= after:
            if time.monotonic() > deadline:
                raise AssertionError("the guest's heart stands still")
            time.sleep(BEAT_MS / 2000)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


def _definition(directory, name, disks, memory_mib):
    serial = (f"<serial type='unix'><source mode='bind' path='{directory / 'serial.sock'}'/><target port='0'/></serial>")
    xml = domain_xml(name, disks, memory_mib=memory_mib, witness=directory / "witness.sock", extra_devices=serial)
    arguments = "".join(f"<qemu:arg value='{value}'/>" for value in
                        ("-qmp", f"unix:{directory / 'second-monitor.sock'},server=on,wait=off"))
    return xml.replace("<domain ", f"<domain {QEMU_NAMESPACE} ", 1).replace(
        "</domain>", f"<qemu:commandline>{arguments}</qemu:commandline></domain>")


class Side:
    """A guest that runs, and what watches it. Use as a context."""

    def __init__(self, directory, emulator, memory_mib, dirty_mib, dirty_rate):
        self.directory = directory
        self.directory.mkdir()
        self._dirty = (dirty_mib, dirty_rate)
        self._memory_mib = memory_mib
        self.bus = PrivateBus()
        self.service = Service(self.bus, directory, emulator=emulator)
        self.client = self.domain = self.monitor = self.heart = None
        self.witness = Witness(directory / "witness.sock")
        self.disks = make_disks(directory, 2, mib=256)

    def __enter__(self):
        self.bus.start()
        self.service.start()
        self.client = self.service.client()
        self.domain = self.client.call(MANAGER, "Manager", "DefineDomain", "s",
                                       _definition(self.directory, "bench", self.disks, self._memory_mib))
        self.client.run(self.domain, "Domain", "Start")
        self.monitor = BareQmp(self.directory / "second-monitor.sock")
        self.heart = Heart(self.directory / "serial.sock")
        self.witness.wait_beyond(10)
        self.witness.ask(f"beat {BEAT_MS}")
        self.witness.dirty(*self._dirty)
        self.witness.wait_for(lambda testimony: testimony["dirty-written-mib"] >= self._dirty[0], "dirtied memory")
        return self

    def __exit__(self, kind, *_):
        self.witness.close()
        if self.heart:
            self.heart.close()
        if self.monitor:
            self.monitor.close()
        if self.client:
            self.client.close()
        self.service.close(check=kind is None)
        self.bus.stop()


class ServiceSide(Side):
    """Driven through the service."""

    def create(self, tag):
        self.client.run(self.domain, "Domain", "CreateSnapshot", "s", tag, location="internal")

    def revert(self, tag):
        self.client.run(snapshot_path(self.domain, tag), "Snapshot", "Revert")

    protected_revert = revert

    def delete(self, tag):
        self.client.run(snapshot_path(self.domain, tag), "Snapshot", "Delete")

    def pause(self):
        self.client.call(self.domain, "Domain", "Pause")

    def resume(self):
        self.client.call(self.domain, "Domain", "Resume")


class BareSide(Side):
    """Driven by bare QMP, as somebody would who knows the nodes and checks nothing."""

    def __enter__(self):
        super().__enter__()
        self.client.close()
        self.client = None
        self.service.stop()
        nodes = [drive["inserted"]["node-name"] for drive in self.monitor.execute("query-block") if "inserted" in drive]
        self._jobs = 0
        self._nodes = nodes
        return self

    def _run(self, command, tag, **more):
        self._jobs += 1
        self.monitor.run_job(command, {"job-id": f"bare-{self._jobs}", "tag": tag, "devices": self._nodes, **more})

    def create(self, tag):
        self._run("snapshot-save", tag, vmstate=self._nodes[0])

    def revert(self, tag):
        self._run("snapshot-load", tag, vmstate=self._nodes[0])

    def protected_revert(self, tag):
        """The same, with the present disks kept under a tag of their own until it has worked, as the service does it."""
        kept = {"actions": [{"type": "blockdev-snapshot-internal-sync", "data": {"device": node, "name": "undo"}}
                            for node in self._nodes]}
        self.monitor.execute("stop")
        self.monitor.execute("transaction", kept)
        self.revert(tag)
        self.monitor.execute("cont")
        self._run("snapshot-delete", "undo")

    def delete(self, tag):
        self._run("snapshot-delete", tag)

    def pause(self):
        self.monitor.execute("stop")

    def resume(self):
        self.monitor.execute("cont")
