# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same guest in three hands, as the bench of reverts and deletions compares them: the service's, bare QMP's, and
libvirt's. Each goes back to a checkpoint, and deletes snapshots of a chain that it has built.

The guest's heart is listened to across its deaths: whoever opens a socket for it in the guest's directory is heard.
"""

import contextlib
import os
import pathlib
import select
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

from checkpointers import NO_LIMIT, set_capabilities, wait_migration
from figures import processes_of
from vmsnaptest import (DEFAULT, MANAGER, BareQmp, DeadlinePassed, Libvirt, PrivateBus, Service, VirshError, Witness,
                        domain_xml, make_disk, monitor_pair, qemu_img, snapshot_path, with_arguments)
from vmsnaptest.pulse import channel_xml

MIB = 1 << 20
# How often it is looked for a new heart, in seconds.
LOOK = 0.001
# Where a layer's data begin on the disk: the guest's witness has the beginning.
LAYER_AT = 64 * MIB


class Hearts:
    """Listens to all hearts of a directory, the guest's present one and its successors'. Use as a context."""

    def __init__(self, directory, name="h"):
        self._directory = pathlib.Path(directory)
        self._name = name
        self._seen = {}
        self._beats = []  # (when, which of the hearts)
        self._selector = selectors.DefaultSelector()
        self._beat = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _look(self):
        """A socket that is renamed stays the one that it was."""
        for entry in os.scandir(self._directory):
            if entry.name != self._name and not entry.name.startswith(self._name + "."):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat()
                which = (status.st_ino, status.st_mtime_ns)
                if which in self._seen or not stat.S_ISSOCK(status.st_mode):
                    continue
                connected = socket.socket(socket.AF_UNIX)
                try:
                    connected.connect(entry.path)
                except OSError:
                    connected.close()
                    continue
                self._seen[which] = len(self._seen)
                self._selector.register(connected, selectors.EVENT_READ, self._seen[which])

    def _listen(self):
        looked = 0.0
        while not self._ended.is_set():
            for key, _events in self._selector.select(LOOK):
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                if data:
                    with self._beat:
                        self._beats.append((time.time(), key.data))
                        self._beat.notify_all()
                else:
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()
            if time.time() - looked >= LOOK:
                looked = time.time()
                self._look()

    def wait_beat(self, after, timeout=DEFAULT):
        with self._beat:
            if not self._beat.wait_for(lambda: self._beats and self._beats[-1][0] > after, timeout):
                raise DeadlinePassed("the guest's heart stands still")

    def silence(self, began):
        """The longest one that ended after `began`: (when it began, when it ended). A heart that stopped for another to
        beat has stopped for good, whatever was still on its way."""
        beats = [(at, heart) for at, heart in list(self._beats)]
        pairs = [(earlier, later) for earlier, later in zip(beats, beats[1:]) if later[0] > began]
        changes = [(earlier[0], later[0]) for earlier, later in pairs if later[1] > earlier[1]]
        gaps = changes or [(earlier[0], later[0]) for earlier, later in pairs]
        return max(gaps, key=lambda gap: gap[1] - gap[0])


class Side:
    """A guest, and who drives it. Use as a context."""

    second_monitor = False

    def __init__(self, directory, emulator, memory_mib, dirty_mib, disk_mib=256):
        self.directory = directory
        self.directory.mkdir()
        self.emulator = emulator
        self.memory_mib = memory_mib
        self.dirty_mib = dirty_mib
        self.disks = [make_disk(directory / f"{target}.qcow2", disk_mib if target == "vda" else 256, target=target)
                      for target in ("vda", "vdb")]
        self.witness = Witness(directory / "w")
        self.hearts = Hearts(directory)
        self.said = ""
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as self.stack:
            self.stack.enter_context(self.hearts)
            self.stack.callback(self.witness.close)
            self.begin()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def xml(self, extra=""):
        text = domain_xml("bench", self.disks, memory_mib=self.memory_mib, witness=self.witness.path,
                          extra_devices=channel_xml(self.directory / "h") + extra)
        monitor = ["-qmp", f"unix:{self.directory / 'q'},server=on,wait=off"]
        return with_arguments(text, monitor) if self.second_monitor else text

    def load(self):
        """The guest dirties its memory, and writes to its disks, as it always does."""
        self.witness.wait_beyond(10)
        self.witness.dirty(self.dirty_mib)
        self.witness.wait_for(lambda said: said["dirty-written-mib"] >= self.dirty_mib, "dirtied memory")
        self.witness.close()

    def fill(self, path, mib):
        """Data in a layer of a disk that no guest has."""
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -q -P 90 {LAYER_AT} {mib}M", str(path)], check=True,
                       stdout=subprocess.DEVNULL)
        os.sync()


class OfService(Side):
    """A guest that the service defines."""

    def begin(self):
        bus = self.stack.enter_context(PrivateBus())
        runtime = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="vs-", dir="/dev/shm"))
        self.service = Service(bus, self.directory, emulator=self.emulator, arguments=["--runtime-directory", runtime])
        self.stack.callback(self.service.close, check=False)
        self.service.start()
        self.client = self.stack.enter_context(self.service.client())
        self.domain = self.client.call(MANAGER, "Manager", "DefineDomain", "s", self.xml())

    def start(self):
        self.client.run(self.domain, "Domain", "Start")
        self.load()

    def take(self, name, **options):
        self.client.run(self.domain, "Domain", "CreateSnapshot", "s", name, timeout=2 * DEFAULT, **options)

    def active(self):
        """What vda's data are written to."""
        return self.client.get(self.domain, "Domain", "Disks")[0]["chain"][0]

    def build_layers(self, mib, middle):
        """A layer of so many MiB above the first image, and, if it is to be in the middle, another above that."""
        self.take("one", disk_only=True)
        self.fill(self.active(), mib)
        if middle:
            self.take("two", disk_only=True)
        self.start()


class ServiceSide(OfService):
    """The service, called over D-Bus."""

    def checkpoint(self, mode):
        self.start()
        self.take("c", location=mode)

    def revert(self, _mode):
        result = self.client.run(snapshot_path(self.domain, "c"), "Snapshot", "Revert", timeout=2 * DEFAULT)
        self.said = result.get("warning", "")

    def delete(self, _middle):
        result = self.client.run(snapshot_path(self.domain, "one"), "Snapshot", "Delete", timeout=4 * DEFAULT)
        self.said = result.get("warning", "")


class BareSide(OfService):
    """Bare QMP, as somebody would use it who knows what QEMU can do, and checks nothing: on a guest as the service starts
    it, whose service has then been ended."""

    second_monitor = True

    def start(self):
        super().start()
        pid = self.service.guests()[0]
        self._process = os.pidfd_open(pid)
        self.stack.callback(self._kill)
        self._command_line = pathlib.Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
        self._chain = self.client.get(self.domain, "Domain", "Disks")[0]["chain"]
        self.service.stop()
        self.qmp = BareQmp(self.directory / "q")
        self._number = 0

    def _kill(self):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def _nodes(self):
        return [drive["inserted"]["node-name"] for drive in self.qmp.execute("query-block") if "inserted" in drive]

    def checkpoint(self, mode):
        self.start()
        if mode == "internal":
            self.qmp.run_job("snapshot-save", {"job-id": "save", "tag": "c", "vmstate": self._nodes()[0],
                                               "devices": self._nodes()})
            return
        memory = self.directory / "memory"
        set_capabilities(self.qmp, False)
        self.qmp.execute("migrate-set-parameters", {"max-bandwidth": NO_LIMIT})
        fd = os.open(memory, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self.qmp.execute("getfd", {"fdname": "memory"}, fds=[fd])
        self.qmp.execute("stop")
        self.qmp.execute("migrate", {"uri": "fd:memory"})
        wait_migration(self.qmp)
        os.fsync(fd)
        os.close(fd)
        # The disks' files are frozen from now on: it is by an overlay that the guest comes back, the first time too.
        self.revert(mode)

    def revert(self, mode):
        if mode == "internal":
            self._number += 1
            self.qmp.run_job("snapshot-load", {"job-id": f"load-{self._number}", "tag": "c", "vmstate": self._nodes()[0],
                                               "devices": self._nodes()})
            return
        overlays = self._make_overlays()
        self.qmp.execute("quit")
        select.select([self._process], [], [], DEFAULT)
        self.qmp.close()
        self.spawned = time.time()
        self._spawn(overlays)
        with open(self.directory / "memory", "rb") as image:
            self.qmp.execute("getfd", {"fdname": "memory"}, fds=[image.fileno()])
            self.qmp.execute("migrate-incoming", {"uri": "fd:memory"})
            wait_migration(self.qmp)
        self.qmp.execute("cont")

    def _make_overlays(self):
        self._number += 1
        overlays = [disk.path.with_suffix(f".{self._number}") for disk in self.disks]
        for disk, overlay in zip(self.disks, overlays):
            qemu_img("create", "-q", "-f", "qcow2", "-b", disk.path, "-F", "qcow2", overlay)
        return overlays

    def _spawn(self, overlays):
        found, words = [], iter(self._command_line)
        for word in words:
            if word in ("-chardev", "-mon", "-qmp", "-pidfile"):
                value = next(words)
                if word in ("-qmp", "-pidfile") or "monitor" in value:
                    continue
                found += [word, value]
                continue
            for disk, path in zip(self.disks, overlays):
                word = word.replace(f'"{disk.path}"', f'"{path}"').replace(',"backing":null', "")
            found.append(word)
        ours, theirs, monitor = monitor_pair()
        with theirs:
            # In a session of its own, as the others': among sessions the kernel shares its time.
            process = subprocess.Popen([*found, "-incoming", "defer", *monitor], stdin=subprocess.DEVNULL,
                                       pass_fds=[theirs.fileno()], start_new_session=True)
        self._process = os.pidfd_open(process.pid)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        self.qmp = BareQmp(ours)
        set_capabilities(self.qmp, False)

    def _find_node(self, path):
        nodes = self.qmp.execute("query-named-block-nodes", {"flat": True})
        return next(node["node-name"] for node in nodes if node["file"] == path and node["drv"] == "qcow2")

    def delete(self, middle):
        layer, base = (self._chain[1:3] if middle else self._chain[0:2])
        device = self._nodes()[0]
        arguments = {"job-id": "commit", "device": device, "base-node": self._find_node(base), "auto-dismiss": False}
        if middle:
            self.qmp.run_job("block-commit", {**arguments, "top-node": self._find_node(layer)})
        else:
            self.qmp.execute("block-commit", arguments)
            self.qmp.wait_event("BLOCK_JOB_READY", timeout=4 * DEFAULT)
            self.qmp.execute("job-complete", {"id": "commit"})
            self.qmp.wait_event("JOB_STATUS_CHANGE", lambda data: data["status"] == "concluded", 4 * DEFAULT)
        os.unlink(layer)


class LibvirtSide(Side):
    """virsh, whose own start isn't counted."""

    def begin(self):
        # Left out: what the other two don't have, and libvirt would add by itself.
        xml = self.xml(f"<emulator>{self.emulator}</emulator><memballoon model='none'/>"
                       "<controller type='usb' model='none'/>")
        (self.directory / "bench.xml").write_text(xml, encoding="utf-8")
        self.stack.callback(self._end_guest)
        self._virsh = self.stack.enter_context(Libvirt(self.directory / "v"))
        self._virsh("define", self.directory / "bench.xml")

    def _end_guest(self):
        """When virsh has ended before it could."""
        for process in set(processes_of(self.directory)) - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def start(self):
        self._virsh("start", "bench")
        self.load()

    def _take(self, name, *words):
        disks = [f"--diskspec {disk.target},snapshot=external,file={disk.path.with_suffix('.' + name)}"
                 for disk in self.disks]
        self._virsh("snapshot-create-as", "bench", name, *words, *disks, timeout=2 * DEFAULT)

    def checkpoint(self, mode):
        self.start()
        if mode == "external":
            self._take("c", "--memspec", f"file={self.directory / 'memory'},snapshot=external")
        else:
            self._virsh("snapshot-create-as", "bench", "c", timeout=2 * DEFAULT)

    def revert(self, _mode):
        self._virsh("snapshot-revert", "bench", "c", timeout=2 * DEFAULT)

    def build_layers(self, mib, middle):
        self._take("one", "--disk-only")
        self.fill(self.disks[0].path.with_suffix(".one"), mib)
        if middle:
            self._take("two", "--disk-only")
        self.start()

    def delete(self, _middle):
        self._virsh("snapshot-delete", "bench", "one", timeout=4 * DEFAULT)


SIDES = {"service": ServiceSide, "bare": BareSide, "virsh": LibvirtSide}
# What a side says of what it can't do.
REFUSALS = (VirshError, DeadlinePassed)


def sides():
    """Those that this machine has."""
    return [name for name in SIDES if name != "virsh" or (Libvirt.is_there() and shutil.which("virsh"))]
