# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service under test: started, asked, killed and started again."""

import os
import pathlib
import shlex
import signal
import subprocess

from gi.repository import Gio, GLib

from . import paths
from .bus import connect, end_process
from .client import BUS_NAME, Client
from .deadline import DEFAULT, wait_until


def owner_pid(connection, owner):
    """The process that has this unique name on a bus, or None if it is gone."""
    try:
        return connection.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                                    GLib.Variant("(s)", (owner,)), None, Gio.DBusCallFlags.NONE, -1, None).unpack()[0]
    except GLib.Error:
        return None


class ServiceEnded(AssertionError):
    """The service ended when it should not have, or not as it should."""


class Service:
    """vmsnapd from the build tree on a private bus, with directories of its own under `directory`.

    $VMSNAP_TEST_WRAPPER is put before the command, for a run under valgrind.
    """

    def __init__(self, bus, directory, *, emulator=None, arguments=(), environment=None):
        self.bus = bus
        self.directory = pathlib.Path(directory)
        self.state = self.directory / "state"
        self.runtime = self.directory / "run"
        self.logs = self.directory / "log"
        self.emulator = emulator or paths.emulator()
        self.arguments = list(arguments)
        self.environment = environment or {}
        self.process = None
        self._output = self.directory / "vmsnapd.log"

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.close(check=kind is None)

    def command_line(self):
        return [*shlex.split(os.environ.get("VMSNAP_TEST_WRAPPER", "")), str(paths.built("src/daemon/vmsnapd")),
                f"--{self.bus.kind}", "--state-directory", str(self.state), "--runtime-directory", str(self.runtime),
                "--log-directory", str(self.logs), "--emulator", str(self.emulator), *self.arguments]

    def spawn(self):
        """Starts it without waiting for anything."""
        for directory in (self.state, self.runtime, self.logs):
            directory.mkdir(parents=True, exist_ok=True)
        with open(self._output, "ab") as output:
            self.process = subprocess.Popen(self.command_line(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env={**os.environ, **self.bus.environment, **self.environment})
        return self

    def start(self, timeout=DEFAULT):
        """Starts it, and waits until it owns its name: then all it knows is on the bus."""
        connection = connect(self.bus.address)
        appeared = []

        def on_appeared(_connection, _name, owner):
            # One that was killed may have it for a moment still.
            if owner_pid(connection, owner) == self.process.pid:
                appeared.append(owner)

        watch = Gio.bus_watch_name_on_connection(connection, BUS_NAME, Gio.BusNameWatcherFlags.NONE, on_appeared, None)
        try:
            self.spawn()
            ended = []
            child = GLib.child_watch_add(GLib.PRIORITY_DEFAULT, self.process.pid, lambda _pid, status: ended.append(status))
            wait_until(lambda: appeared or ended, "the service owns its name", timeout)
            if ended:
                self.process.returncode = os.waitstatus_to_exitcode(ended[0])
                raise ServiceEnded(f"the service ended with {self.process.returncode} at its start:\n{self.output()}")
            GLib.source_remove(child)
        finally:
            Gio.bus_unwatch_name(watch)
            connection.close_sync(None)
        return self

    def client(self):
        return Client(self.bus.address)

    def output(self):
        """What it has written to standard output and error, over all its lives."""
        return self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""

    def stop(self, timeout=DEFAULT):
        """SIGTERM; a service that does not end cleanly is an error. Guests run on."""
        status = end_process(self.process, signal.SIGTERM, timeout)
        self.process = None
        if status != 0:
            raise ServiceEnded(f"the service ended with {status}:\n{self.output()}")

    def kill(self):
        """kill -9. Guests run on."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def resident_kib(self):
        """Resident memory now, in KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))

    def guests(self):
        """The pids of all programs whose command line names this service's own directories, without the service."""
        marker = os.fsencode(self.directory) + b"/"
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or (self.process and int(entry.name) == self.process.pid):
                continue
            try:
                if marker in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def close(self, check=True):
        """Ends the service and whatever guests it leaves. With `check`, an unclean end of the service is an error."""
        try:
            if self.process and check:
                self.stop()
            elif self.process:
                self.kill()
        finally:
            for pid in self.guests():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
