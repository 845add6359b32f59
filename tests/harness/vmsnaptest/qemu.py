# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest started by hand, without the service: the reference that the service is compared with."""

import pathlib
import shutil
import subprocess

from . import paths
from .deadline import DEFAULT
from .qmp import BareQmp, QmpError, QmpGone, monitor_pair
from .silence import ask_monitor, console_tail, threads_at_work
from .witness import Witness


class BareQemu:
    """A test guest under a bare QEMU. Disk number i is the block node `disk<i>`; all files are in `directory`."""

    def __init__(self, directory, disks, *, emulator=None, machine="q35", memory_mib=256, uefi=False, agent=False,
                 extra=()):
        self.directory = pathlib.Path(directory)
        self.disks = disks
        self.emulator = emulator or paths.emulator()
        self.machine = machine
        self.memory_mib = memory_mib
        self.uefi = uefi
        self.agent = agent
        self.extra = list(extra)
        self.process = None
        self.qmp = None
        self.witness = Witness(self.directory / "witness.sock", self.explain)
        self.serial_log = self.directory / "serial.log"
        self.agent_socket = self.directory / "agent.sock"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    @property
    def nodes(self):
        return [f"disk{i}" for i in range(len(self.disks))]

    def _firmware_arguments(self):
        if not self.uefi:
            return []
        code, variables = paths.firmware()
        nvram = self.directory / "nvram.fd"
        if not nvram.exists():
            shutil.copy(variables, nvram)
        return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
                "-drive", f"if=pflash,unit=1,format=raw,file={nvram}"]

    def _disk_arguments(self):
        arguments = []
        for node, disk in zip(self.nodes, self.disks):
            arguments += ["-blockdev", f"driver=file,node-name={node}-file,filename={disk.path}",
                          "-blockdev", f"driver={disk.format},node-name={node},file={node}-file",
                          "-device", f"virtio-blk-pci,drive={node},id={disk.target}"]
        return arguments

    def _channel_arguments(self):
        arguments = ["-chardev", f"socket,id=witness,path={self.witness.path},server=on,wait=off",
                     "-device", "virtio-serial-pci",
                     "-device", "virtserialport,chardev=witness,name=org.vmsnap.witness.0"]
        if self.agent:
            arguments += ["-chardev", f"socket,id=agent,path={self.agent_socket},server=on,wait=off",
                          "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]
        return arguments

    def command_line(self):
        guest = paths.guest()
        return [self.emulator, "-machine", self.machine, "-accel", "tcg", "-m", str(self.memory_mib),
                "-nodefaults", "-no-user-config", "-display", "none", *self._firmware_arguments(),
                "-kernel", str(guest.kernel), "-initrd", str(guest.initrd), "-append", guest.cmdline,
                *self._disk_arguments(), *self._channel_arguments(),
                "-serial", f"file:{self.serial_log}",
                *self.extra]

    def start(self, *arguments):
        """Starts it, with further arguments such as -S, and a monitor that is connected from the first."""
        ours, theirs, monitor = monitor_pair()
        with theirs, open(self.directory / "qemu.log", "ab") as log:
            self.process = subprocess.Popen([*self.command_line(), *monitor, *arguments], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, pass_fds=[theirs.fileno()])
        try:
            self.qmp = self._open_monitor(ours)
        except BaseException:
            self.close()
            raise
        return self

    def _open_monitor(self, connected):
        try:
            return BareQmp(connected)
        except QmpGone:
            raise RuntimeError("QEMU ended at once: " + (self.directory / "qemu.log").read_text()) from None

    def wait_up(self, timeout=DEFAULT):
        """Waits until the witness counts, and returns its testimony."""
        return self.witness.wait_beyond(0, timeout)

    def explain(self):
        """Why it may be silent."""
        if self.process is None or self.process.poll() is not None:
            return "QEMU has ended"
        try:
            view = ask_monitor(self.qmp, self.process.pid)
        except (OSError, AssertionError, QmpError, QmpGone) as error:
            view = f"the monitor does not tell: {error}"
        return f"threads: {threads_at_work(self.process.pid)}\n{view}\nconsole: {console_tail(self.serial_log)}"

    def close(self):
        """Ends it, if it has not ended."""
        self.witness.close()
        if self.qmp:
            self.qmp.close()
            self.qmp = None
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def wait_ended(self, timeout=DEFAULT):
        """Waits for it to end by itself, and returns its exit status."""
        status = self.process.wait(timeout)
        self.close()
        return status

    def snapshot_save(self, tag, job="save", timeout=DEFAULT):
        """A snapshot inside the disks, the RAM in the first."""
        self.qmp.run_job("snapshot-save", self._snapshot_arguments(tag, job, vmstate=self.nodes[0]), timeout)

    def snapshot_load(self, tag, job="load", timeout=DEFAULT):
        """Goes back to a snapshot; a guest that ran before runs on, one that was stopped stays so."""
        self.qmp.run_job("snapshot-load", self._snapshot_arguments(tag, job, vmstate=self.nodes[0]), timeout)

    def snapshot_delete(self, tag, job="delete", timeout=DEFAULT):
        self.qmp.run_job("snapshot-delete", self._snapshot_arguments(tag, job), timeout)

    def _snapshot_arguments(self, tag, job, **more):
        return {"job-id": job, "tag": tag, "devices": self.nodes, **more}
