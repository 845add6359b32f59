# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirt of one's own: an unprivileged daemon with everything in one directory, and virsh to talk to it."""

import itertools
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess

from .deadline import DEFAULT, Deadline, DeadlinePassed
from .paths import built

# Its socket listens before it is there, as systemd would do it: who connects is served as soon as it can. Never as root,
# for it would serve the whole machine.
ACTIVATED = 'test "$(id -u)" != 0 && exec 3<&"$0" && LISTEN_FDS=1 LISTEN_FDNAMES=libvirtd.socket LISTEN_PID=$$ exec "$@"'


class VirshError(Exception):
    """What virsh said instead of doing what it was told."""


class Libvirt:
    """libvirtd, and one virsh that stays, so that its own start is in no figure. Use as a context.

    The directory's path must be short: there are sockets below it.
    """

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._socket = self.directory / "run/libvirt/libvirt-sock"
        self._environment = {"HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory / "run"),
                             "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LC_ALL": "C"}
        self._daemon = self._virsh = None
        self._numbers = itertools.count(1)
        self._end = None

    @staticmethod
    def is_there():
        return bool(shutil.which("virsh") and shutil.which("libvirtd", path="/usr/sbin:/usr/bin"))

    def __enter__(self):
        (self.directory / "run").mkdir(parents=True, mode=0o700)
        return self.start()

    def __exit__(self, *_):
        self.close()

    def start(self, **settings):
        """Starts the daemon with these lines in its qemu.conf."""
        configuration = self.directory / ".config/libvirt"
        configuration.mkdir(parents=True, exist_ok=True)
        lines = {"stdio_handler": "file", **settings}
        (configuration / "qemu.conf").write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()))
        preload = {"LD_PRELOAD": str(built("tests/harness/not-root.so").resolve())} if os.geteuid() == 0 else {}
        self._socket.parent.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listening, open(self.directory / "libvirtd.log", "ab") as log:
            listening.bind(str(self._socket))
            listening.listen()
            self._daemon = subprocess.Popen(["sh", "-c", ACTIVATED, str(listening.fileno()), "libvirtd"],
                                            env={**self._environment, **preload}, cwd="/", stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, pass_fds=[listening.fileno()])
        self._virsh = subprocess.Popen(self._virsh_command(), env=self._environment, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        try:
            self("uri")
        except (VirshError, DeadlinePassed, BrokenPipeError) as error:
            log = (self.directory / "libvirtd.log").read_text()
            self.stop()
            raise DeadlinePassed(f"libvirtd doesn't answer: {error}: {log}") from None
        return self

    def _virsh_command(self):
        return ["stdbuf", "-oL", "virsh", "-q", "-c", f"qemu+unix:///session?socket={self._socket}"]

    def __call__(self, *words, timeout=DEFAULT):
        """A command of virsh; returns what it said, and raises VirshError if that is an error."""
        command = " ".join(map(str, words))
        self._end = end = f"end-{next(self._numbers)}"
        self._virsh.stdin.write(f"{command}\necho {end}\n".encode())
        # It repeats what it is told, behind its prompt; this is what it says.
        said = self._read_to(f"\n{end}".encode(), timeout).decode()
        lines = [line for line in said.splitlines() if line and line.removeprefix("virsh # ").strip() not in (command, f"echo {end}")]
        if any(line.startswith("error:") for line in lines):
            raise VirshError(f"{command}: {' '.join(lines)}")
        return "\n".join(lines)

    def abort_job(self, name):
        """Ends the job of a domain with which a command whose time is over is still busy, and waits for its end."""
        subprocess.run([*self._virsh_command(), "domjobabort", name], env=self._environment, check=True,
                       stdout=subprocess.DEVNULL)
        self._read_to(f"\n{self._end}".encode())

    def _read_to(self, end, timeout=DEFAULT):
        deadline = Deadline(timeout)
        said = b""
        while end not in said:
            if not select.select([self._virsh.stdout], [], [], deadline.left())[0]:
                raise DeadlinePassed(f"virsh says no more than: {said.decode()}")
            data = self._virsh.stdout.read(65536)
            if not data:
                raise VirshError(f"virsh ended: {said.decode()}")
            said += data
        return said.partition(end)[0]

    def stop(self):
        """Ends the daemon. Guests run on."""
        self._virsh.stdin.close()
        self._virsh.wait()
        self._virsh.stdout.close()
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(DEFAULT)
        self._daemon = self._virsh = None

    def restart(self, **settings):
        self.stop()
        return self.start(**settings)

    def close(self):
        """Ends the guests, and the daemon."""
        if self._daemon is None:
            return
        try:
            for name in self("list", "--name").split():
                self("destroy", name)
        finally:
            self.stop()
