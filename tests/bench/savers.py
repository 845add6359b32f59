# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same guest in three hands, as the bench of saved images compares them: the service's, bare QMP's, and libvirt's.

Each saves its guest into a file, which ends it, and brings it back from there. Between that it stands still.
"""

import contextlib
import dataclasses
import fcntl
import os
import subprocess
import tempfile

from vmsnaptest import MANAGER, BareQemu, Libvirt, PrivateBus, Service, Witness, domain_xml, guest, make_disks

MIB = 1024 * 1024
# As the service has it.
PIPE_SIZE = MIB
NO_LIMIT = 2**62
# With the service's options.
COMMANDS = {"zstd": ["zstd", "-q", "-c", "-T0"], "gzip": ["gzip", "-c", "-1"]}
# How much of what is saved no program can compress, and how much of it is dirtied again and again, in parts of memory.
RANDOM_PART = 0.16
DIRTY_PART = 0.3
DIRTY_RATE = 100


@dataclasses.dataclass(frozen=True)
class Variant:
    """A way of saving."""

    words: str
    encoding: str = "raw"
    bypass_cache: bool = False
    # The image is dropped from the page cache before it is restored.
    cold: bool = False

    @property
    def sparse(self):
        return self.encoding == "sparse"

    @property
    def program(self):
        return None if self.encoding in ("raw", "sparse") else self.encoding

    def knows(self, version):
        return not self.sparse or version >= (9, 0, 0)


VARIANTS = [
    Variant("plain"),
    Variant("plain, restored from the disk", cold=True),
    Variant("bypass-cache", bypass_cache=True),
    Variant("zstd", encoding="zstd"),
    Variant("gzip", encoding="gzip"),
    Variant("sparse", encoding="sparse"),
    Variant("sparse, bypass-cache", encoding="sparse", bypass_cache=True),
]


def make_initrd(directory, mib):
    """The test guest's, and a file of random bytes in it, so that its memory is full of them, too."""
    extra = directory / "random"
    extra.write_bytes(os.urandom(int(mib * RANDOM_PART * MIB)))
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=b"random\n", cwd=directory, check=True,
                             stdout=subprocess.PIPE).stdout
    path = directory / "initramfs"
    path.write_bytes(guest().initrd.read_bytes() + archive)
    extra.unlink()
    return path


class Saver:
    """A guest, and who drives it. Use as a context."""

    def __init__(self, directory, emulator, memory_mib, initrd):
        directory.mkdir()
        self.directory = directory
        self.emulator = emulator
        self.memory_mib = memory_mib
        self.initrd = initrd
        self.disks = make_disks(directory, 2)
        self.witness = Witness(directory / "witness.sock")
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.stack = stack
            self.begin()
            self.witness.wait_beyond(10)
            self.witness.dirty(int(self.memory_mib * DIRTY_PART), DIRTY_RATE)
            self.pause()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.witness.close()
        self.stack.close()

    def xml(self, extra=""):
        text = domain_xml("bench", self.disks, memory_mib=self.memory_mib, witness=self.witness.path, extra_devices=extra)
        return text.replace(str(guest().initrd), str(self.initrd))

    def prepare(self, variant):
        """What has to be set beforehand."""

    def knows(self, variant):
        return True


class ServiceSaver(Saver):
    """The service, called over D-Bus."""

    def begin(self):
        bus = self.stack.enter_context(PrivateBus())
        # Where it has it in real life, too.
        runtime = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="vs-", dir="/dev/shm"))
        service = self.stack.enter_context(Service(bus, self.directory, emulator=self.emulator,
                                                   arguments=["--runtime-directory", runtime]))
        self.client = self.stack.enter_context(service.client())
        self.domain = self.client.call(MANAGER, "Manager", "DefineDomain", "s", self.xml())
        self.client.run(self.domain, "Domain", "Start")

    def pause(self):
        self.client.call(self.domain, "Domain", "Pause")

    def resume(self):
        self.client.call(self.domain, "Domain", "Resume")

    def save(self, path, variant):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self.client.run(self.domain, "Domain", "Save", "h", 0, fds=[fd], encoding=variant.encoding,
                            bypass_cache=variant.bypass_cache)
        finally:
            os.close(fd)

    def restore(self, path, variant):
        fd = os.open(path, os.O_RDONLY)
        try:
            self.client.run(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd], bypass_cache=variant.bypass_cache)
        finally:
            os.close(fd)


class BareGuest(BareQemu):
    """With an initrd of its own."""

    def __init__(self, directory, disks, initrd, **details):
        super().__init__(directory, disks, **details)
        self._initrd = initrd

    def command_line(self):
        return [str(self._initrd) if word == str(guest().initrd) else word for word in super().command_line()]


class BareSaver(Saver):
    """Bare QMP, as somebody would use it who checks nothing: with the data on the disk in the end, or without."""

    synced = True

    def begin(self):
        self._guest = BareGuest(self.directory, self.disks, self.initrd, emulator=self.emulator,
                                memory_mib=self.memory_mib)
        self.stack.callback(lambda: self._guest.close())
        self._guest.start()

    def pause(self):
        self._guest.qmp.execute("stop")

    def resume(self):
        self._guest.qmp.execute("cont")

    def _configure(self, variant):
        wanted = {"events": True}
        if variant.sparse:
            wanted.update({"mapped-ram": True, "multifd": variant.bypass_cache})
        self._guest.qmp.execute("migrate-set-capabilities", {"capabilities": [
            {"capability": name, "state": state} for name, state in wanted.items()]})
        direct = {"direct-io": True} if variant.sparse and variant.bypass_cache else {}
        self._guest.qmp.execute("migrate-set-parameters", {"max-bandwidth": NO_LIMIT, **direct})

    def _lend(self, fd):
        self._guest.qmp.execute("getfd", {"fdname": "image"}, fds=[fd])
        return "fd:image"

    def _wait(self):
        event = self._guest.qmp.wait_event("MIGRATION", lambda data: data["status"] in ("completed", "failed"))
        if event["data"]["status"] != "completed":
            raise RuntimeError("QEMU can't save or load its guest")

    def _end(self):
        self._guest.qmp.execute("quit")
        self._guest.process.wait()
        self._guest.qmp.close()

    @contextlib.contextmanager
    def _through(self, fd, variant, saving):
        """The descriptor that QEMU writes or reads: the file's own, or a pipe's to or from a program."""
        if variant.program:
            command = COMMANDS[variant.program] if saving else [variant.program, "-dc"]
        elif variant.bypass_cache:
            command = ["dd", "bs=1M", "status=none", "iflag=" + ("fullblock" if saving else "direct"),
                       *(["oflag=direct"] if saving else [])]
        else:
            yield fd
            return
        ends = os.pipe()
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        theirs, ours = ends if saving else ends[::-1]
        program = subprocess.Popen(command, **({"stdin": theirs, "stdout": fd} if saving else
                                               {"stdin": fd, "stdout": theirs}))
        os.close(theirs)
        yield ours
        os.close(ours)
        if program.wait() != 0:
            raise RuntimeError(f"{command[0]} failed")

    def save(self, path, variant):
        self._guest.qmp.execute("stop")
        self._configure(variant)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        if variant.sparse:
            self._guest.qmp.execute("migrate", {"uri": f"file:{path}"})
            self._wait()
        else:
            with self._through(fd, variant, True) as stream:
                uri = self._lend(stream)
                # Ours would keep the program waiting for more.
                self._guest.qmp.execute("migrate", {"uri": uri})
                self._wait()
        if self.synced:
            os.fsync(fd)
        os.close(fd)
        self._end()

    def restore(self, path, variant):
        self._guest.start("-S", "-incoming", "defer")
        self._configure(variant)
        fd = os.open(path, os.O_RDONLY)
        if variant.sparse:
            self._guest.qmp.execute("migrate-incoming", {"uri": f"file:{path}"})
            self._wait()
        else:
            with self._through(fd, variant, False) as stream:
                self._guest.qmp.execute("migrate-incoming", {"uri": self._lend(stream)})
                self._wait()
        os.close(fd)
        self._guest.qmp.execute("cont")


class LibvirtSaver(Saver):
    """virsh, whose own start isn't counted."""

    FORMATS = {"raw": "raw", "gzip": "gzip"}

    def begin(self):
        # Left out: what the other two don't have, and libvirt would add by itself.
        xml = self.xml(f"<emulator>{self.emulator}</emulator><memballoon model='none'/>"
                       "<controller type='usb' model='none'/>")
        (self.directory / "bench.xml").write_text(xml, encoding="utf-8")
        self._virsh = self.stack.enter_context(Libvirt(self.directory / "libvirt"))
        self._virsh("create", self.directory / "bench.xml")

    def knows(self, variant):
        return variant.encoding in self.FORMATS

    def prepare(self, variant):
        self._virsh.restart(save_image_format=self.FORMATS[variant.encoding])

    def pause(self):
        self._virsh("suspend", "bench")

    def resume(self):
        self._virsh("resume", "bench")

    def save(self, path, variant):
        self._virsh("save", "bench", path, *(["--bypass-cache"] if variant.bypass_cache else []))

    def restore(self, path, variant):
        self._virsh("restore", path, *(["--bypass-cache"] if variant.bypass_cache else []))
