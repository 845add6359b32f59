# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same guest in three hands, as the bench of checkpoints compares them: the service's, bare QMP's, and libvirt's.

Each guest comes from the same definition and has a second monitor, a trace of its commands, and a heart that is listened
to. Each checkpoint puts an overlay onto each disk, and its memory into a file.
"""

import contextlib
import dataclasses
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile

from figures import processes_of
from vmsnaptest import (DEFAULT, MANAGER, BareQmp, DeadlinePassed, Libvirt, PrivateBus, Pulse, Service, Watch,
                        Witness, domain_xml, make_disks, monitor_pair, qemu_img, with_arguments)
from vmsnaptest.pulse import channel_xml

NO_LIMIT = 2**62
# For 4 GiB on a slow disk; what takes longer has no end.
PATIENCE = 2 * DEFAULT


class Endless(Exception):
    """A checkpoint that was given up, for the guest dirties its memory faster than it is written."""


@dataclasses.dataclass(frozen=True)
class Load:
    """What the guest does all the time besides writing to its disks, each write of which it flushes."""

    memory_mib: int
    dirty_mib: int
    dirty_rate: int = 0
    fill_mib: int = 0


class Side:
    """A guest, and who drives it. Use as a context."""

    modes = ("",)

    def __init__(self, directory, emulator, load):
        self.directory = directory
        self.directory.mkdir()
        self.emulator = emulator
        self.load = load
        self.disks = make_disks(directory, 2, mib=256)
        # What the guest writes to now, and what it wrote to before the last checkpoint.
        self.active = [disk.path for disk in self.disks]
        self.frozen = []
        self.witness = Witness(directory / "w")
        self.watch = Watch(directory)
        self.pulse = None
        self._number = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as self._stack:
            self._stack.callback(self.witness.close)
            self.begin()
            self._stack.callback(self.watch.close)
            self.watch.open()
            self._begin_load()
            self.pulse = self._stack.enter_context(Pulse(self.directory / "h"))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _begin_load(self):
        self.witness.wait_beyond(10)
        self.witness.ask("flush-every 1")
        if self.load.fill_mib:
            self.witness.ask(f"fill {self.load.fill_mib}")
            self.witness.wait_for(lambda said: said["filled-mib"] >= self.load.fill_mib, "filled memory", PATIENCE)
        self.witness.dirty(self.load.dirty_mib, self.load.dirty_rate)

    def xml(self, extra=""):
        text = domain_xml("bench", self.disks, memory_mib=self.load.memory_mib, witness=self.witness.path,
                          extra_devices=channel_xml(self.directory / "h") + extra)
        return with_arguments(text, self.watch.arguments())

    def checkpoint(self, mode):
        """Takes one, prepares nothing that its user wouldn't have to wait for, and returns the memory's file."""
        self._number += 1
        overlays = [path.parent / f"{path.name.partition('.')[0]}.{self._number}" for path in self.active]
        memory = self.directory / f"memory.{self._number}"
        self.take(mode, memory, overlays)
        self.frozen, self.active = self.active, overlays
        return memory

    def explain(self):
        """Whatever its user is told of how it was done."""
        return ""


class OfService(Side):
    """A guest that the service starts."""

    def begin(self):
        self._bus = self._stack.enter_context(PrivateBus())
        # Where it has it in real life, too.
        runtime = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vs-", dir="/dev/shm"))
        self.service = Service(self._bus, self.directory, emulator=self.emulator,
                               arguments=["--runtime-directory", runtime])
        self._stack.callback(self.service.close, check=False)
        self.service.start()
        self.client = self.service.client()
        self.domain = self.client.call(MANAGER, "Manager", "DefineDomain", "s", self.xml())
        self.client.run(self.domain, "Domain", "Start")
        self._pid = self.service.guests()[0]
        self._command_line = pathlib.Path(f"/proc/{self._pid}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]

    @contextlib.contextmanager
    def restored(self, memory):
        """The guest of the last checkpoint, after the present one's end, on the very disks that the checkpoint left: whoever
        wants to go on with the overlays comes too late. It runs."""
        self.witness.close()
        self.pulse.close()
        self._quit()
        ours, theirs, monitor = monitor_pair()
        with theirs:
            process = subprocess.Popen([*self._restoring_command_line(), *monitor], stdin=subprocess.DEVNULL,
                                       pass_fds=[theirs.fileno()])
        try:
            qmp = BareQmp(ours)
            set_capabilities(qmp, False)
            with open(memory, "rb") as image:
                os.lseek(image.fileno(), stream_offset(image), os.SEEK_SET)
                qmp.execute("getfd", {"fdname": "memory"}, fds=[image.fileno()])
                qmp.execute("migrate-incoming", {"uri": "fd:memory"})
                wait_migration(qmp)
            self.pulse = Pulse(self.directory / "h")
            qmp.execute("cont")
            self.pulse.wait_beyond(0)
            yield
        finally:
            self.pulse.close()
            process.kill()
            process.wait()

    def _quit(self):
        """Ends it, and waits until it is gone: its sockets would be taken for those of the next."""
        if self.service.process:
            self.service.stop()
        process = os.pidfd_open(self._pid)
        self.watch.monitor.execute("quit")
        self.watch.close()
        select.select([process], [], [], DEFAULT)
        os.close(process)

    def _restoring_command_line(self):
        """Its own, without the service's monitors, and with the disks as they were."""
        found, words = [], iter(self._command_line)
        for word in words:
            if word in ("-chardev", "-mon", "-qmp", "-pidfile", "-D", "-trace"):
                value = next(words)
                if word in ("-qmp", "-pidfile", "-D", "-trace") or "monitor" in value:
                    continue
                found += [word, value]
                continue
            for disk, path in zip(self.disks, self.frozen):
                word = word.replace(f'"{disk.path}"', f'"{path}"').replace(',"backing":null', "")
            found.append(word)
        return [*found, "-incoming", "defer"]


class ServiceSide(OfService):
    """The service, called over D-Bus."""

    modes = ("live", "pause")

    def begin(self):
        super().begin()
        self._stack.callback(self.client.close)
        self._said = ""

    def take(self, mode, memory, overlays):
        disks = {disk.target: {"path": str(path)} for disk, path in zip(self.disks, overlays)}
        result = self.client.run(self.domain, "Domain", "CreateSnapshot", "s", f"c{self._number}", memory_path=str(memory),
                                 disks=disks, timeout=PATIENCE, **{mode: True})
        self._said = f"{result['mode']}: {result['mode-reason']}"

    def explain(self):
        return self._said


class BareSide(OfService):
    """Bare QMP, as somebody would use it who knows what QEMU can do, and checks nothing: on a guest as the service starts
    it, whose service has then been ended."""

    modes = ("background", "paused")

    def begin(self):
        super().begin()
        self.client.close()
        self.service.stop()

    def _nodes(self):
        return [drive["inserted"]["node-name"] for drive in self.watch.monitor.execute("query-block")
                if "inserted" in drive]

    def _prepare_overlays(self, overlays):
        nodes = []
        for base, path in zip(self.active, overlays):
            qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", path)
            nodes.append(path.name.replace(".", "-"))
            self.watch.monitor.execute("blockdev-add", {
                "driver": "qcow2", "node-name": nodes[-1], "backing": None,
                "file": {"driver": "file", "node-name": f"{nodes[-1]}-file", "filename": str(path)}})
        return nodes

    def take(self, mode, memory, overlays):
        qmp = self.watch.monitor
        background = mode == "background"
        actions = [{"type": "blockdev-snapshot", "data": {"node": node, "overlay": overlay}}
                   for node, overlay in zip(self._nodes(), self._prepare_overlays(overlays))]
        set_capabilities(qmp, background)
        qmp.execute("migrate-set-parameters", {"max-bandwidth": NO_LIMIT})
        fd = os.open(memory, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        qmp.execute("getfd", {"fdname": "memory"}, fds=[fd])
        qmp.execute("stop")
        qmp.execute("transaction", {"actions": actions})
        qmp.execute("migrate", {"uri": "fd:memory"})
        if background:
            wait_instant(qmp)
            qmp.execute("cont")
        wait_migration(qmp)
        if not background:
            # The event comes a moment before the state.
            while qmp.status() == "finish-migrate":
                pass
            qmp.execute("cont")
        # Whoever says that it is there means that it is on the disk.
        os.fsync(fd)
        os.close(fd)
        set_capabilities(qmp, False)


def stream_offset(image):
    """Where QEMU's own begins in an image of memory: behind libvirt's header, if it has one."""
    start = image.read(24)
    if not start.startswith(b"LibvirtQemudSave"):
        return 0
    return 92 + int.from_bytes(start[20:24], sys.byteorder)


def set_capabilities(qmp, background):
    qmp.execute("migrate-set-capabilities", {"capabilities": [
        {"capability": "events", "state": True}, {"capability": "background-snapshot", "state": background}]})


def wait_instant(qmp):
    """Until pages were written: only then is the memory protected, and the guest may go on."""
    while True:
        told = qmp.execute("query-migrate")
        if told["status"] in ("failed", "cancelled"):
            raise RuntimeError(f"QEMU can't save its guest: {told}")
        ram = told.get("ram", {})
        if ram.get("normal", 0) + ram.get("duplicate", 0) > 0:
            return


def wait_migration(qmp):
    event = qmp.wait_event("MIGRATION", lambda data: data["status"] in ("completed", "failed"), PATIENCE)
    if event["data"]["status"] != "completed":
        raise RuntimeError("QEMU can't save or load its guest")


class LibvirtSide(Side):
    """virsh, whose own start isn't counted."""

    modes = ("--live", "default")

    def begin(self):
        # Left out: what the other two don't have, and libvirt would add by itself.
        xml = self.xml(f"<emulator>{self.emulator}</emulator><memballoon model='none'/>"
                       "<controller type='usb' model='none'/>")
        (self.directory / "bench.xml").write_text(xml, encoding="utf-8")
        self._stack.callback(self._end_guest)
        self._virsh = self._stack.enter_context(Libvirt(self.directory / "v"))
        self._virsh("create", self.directory / "bench.xml")

    def _end_guest(self):
        """When virsh has ended before it could."""
        for process in set(processes_of(self.directory)) - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def take(self, mode, memory, overlays):
        disks = [f"--diskspec {disk.target},snapshot=external,file={path}" for disk, path in zip(self.disks, overlays)]
        words = ["snapshot-create-as", "bench", f"c{self._number}", "--memspec", f"file={memory},snapshot=external",
                 *disks, *(["--live"] if mode == "--live" else [])]
        try:
            self._virsh(*words, timeout=PATIENCE)
        except DeadlinePassed:
            self._virsh.abort_job("bench")
            raise Endless(f"virsh {mode}: given up after {PATIENCE:.0f} s") from None
