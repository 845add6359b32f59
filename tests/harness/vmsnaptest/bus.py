# SPDX-License-Identifier: LGPL-2.1-or-later
"""Private buses: a session bus, and a system bus with a real polkitd on it."""

import fcntl
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from gi.repository import Gio

from .deadline import DEFAULT, wait_until

SESSION_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

# The rules of a real system bus: nobody owns a name and nobody calls a service unless its policy file says so.
SYSTEM_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
{includes}
</busconfig>
"""

POLKIT_BUS_POLICY = "/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf"
POLKITD = "/usr/lib/polkit-1/polkitd"
POLKIT_ACTIONS = pathlib.Path("/usr/share/polkit-1/actions")
POLKIT_RULES = pathlib.Path("/etc/polkit-1/rules.d")


def connect(address):
    """A new connection of the test's own to a bus."""
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
    connection.set_exit_on_close(False)
    return connection


def end_process(process, number=signal.SIGTERM, timeout=DEFAULT):
    """Ends a child and returns its exit status; a child that ignores the signal is killed, and that is an error."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"{process.args[0]} did not end within {timeout:g} s of signal {number}") from None


class PrivateBus:
    """A message bus of the test's own. Use as a context, or start() and stop()."""

    def __init__(self, kind="session", policies=()):
        """kind: `session`, or `system` (as root only, for polkitd takes its identity from root).

        policies: bus policy files that a system bus obeys beside polkit's.
        """
        self.kind = kind
        self.policies = [pathlib.Path(policy).resolve() for policy in policies]
        self.address = None
        self._directory = None
        self._daemon = None
        self._polkit = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self._directory = tempfile.TemporaryDirectory(prefix="vmsnap-bus-")
        directory = pathlib.Path(self._directory.name)
        # Other users come here too.
        directory.chmod(0o755)
        config = directory / "bus.conf"
        config.write_text(self._config(directory / "socket"), encoding="utf-8")

        reader, writer = os.pipe()
        with open(directory / "bus.log", "wb") as log:
            self._daemon = subprocess.Popen(
                ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", f"--print-address={writer}"],
                stdin=subprocess.DEVNULL, stderr=log, pass_fds=[writer])
        os.close(writer)
        with open(reader, encoding="utf-8") as addresses:
            self.address = addresses.readline().strip()
        if not self.address:
            raise RuntimeError(f"dbus-daemon did not start: {(directory / 'bus.log').read_text()}")
        return self

    def _config(self, socket):
        if self.kind == "session":
            return SESSION_CONFIG.format(socket=socket)
        includes = [f"  <include>{policy}</include>" for policy in [POLKIT_BUS_POLICY, *self.policies]]
        return SYSTEM_CONFIG.format(socket=socket, includes="\n".join(includes))

    def stop(self):
        self.stop_polkit()
        if self._daemon:
            end_process(self._daemon)
            self._daemon = None
        if self._directory:
            self._directory.cleanup()
            self._directory = None

    @property
    def environment(self):
        """The variables that lead a program to this bus."""
        return {f"DBUS_{self.kind.upper()}_BUS_ADDRESS": self.address}

    def start_polkit(self, actions, rules=None):
        """Starts polkitd with the action files given, and rules: a dict of file name to JavaScript."""
        self._polkit = Polkit(pathlib.Path(self._directory.name), self.address, actions, rules or {})
        return self._polkit

    @property
    def polkit(self):
        return self._polkit

    def stop_polkit(self):
        if self._polkit:
            self._polkit.stop()
            self._polkit = None


class Polkit:
    """A real polkitd on a private system bus.

    It looks for actions and rules in fixed places. Where the test may, polkitd
    gets a mount namespace of its own with the test's folders over them; else the
    files are put there under names of their own, and taken away at the end;
    other tests that want to do so wait until then.
    """

    def __init__(self, directory, address, actions, rules):
        self._placed = []
        self._process = None
        self._turn = None
        self._actions = self._folder(directory / "polkit-actions")
        self._rules = self._folder(directory / "polkit-rules")
        self._in_namespace = self._may_unshare()
        if self._in_namespace:
            for action in glob.glob(f"{POLKIT_ACTIONS}/*.policy"):
                shutil.copy(action, self._actions)
        else:
            self._turn = os.open(POLKIT_ACTIONS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            self._place(actions, rules)
            self._start(address)
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def _folder(path):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        return path

    @staticmethod
    def _may_unshare():
        return subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0

    def _place(self, actions, rules):
        for action in actions:
            self._put(self._actions, POLKIT_ACTIONS, pathlib.Path(action).name,
                      pathlib.Path(action).read_text(encoding="utf-8"))
        for name, text in rules.items():
            self._put(self._rules, POLKIT_RULES, name, text)

    def _put(self, private, real, name, text):
        path = (private if self._in_namespace else real) / name
        if not self._in_namespace:
            if path.exists():
                raise RuntimeError(f"{path} is there already; it would have to be overwritten for the test")
            self._placed.append(path)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)

    def set_rule(self, name, text):
        """Other rules in a file that was given at the start; polkitd notices."""
        ((self._rules if self._in_namespace else POLKIT_RULES) / name).write_text(text, encoding="utf-8")

    def _start(self, address):
        command = [POLKITD, "--no-debug"]
        if self._in_namespace:
            script = 'mount --bind "$1" "$2" && mount --bind "$3" "$4" && shift 4 && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", script, "sh", self._actions, POLKIT_ACTIONS, self._rules,
                       POLKIT_RULES, *command]
        connection = connect(address)
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address})
        owned = []
        watch = Gio.bus_watch_name_on_connection(connection, "org.freedesktop.PolicyKit1",
                                                 Gio.BusNameWatcherFlags.NONE, lambda *_: owned.append(True), None)
        try:
            wait_until(lambda: owned or self._process.poll() is not None, "polkitd owns its name")
        finally:
            Gio.bus_unwatch_name(watch)
            connection.close_sync(None)
        if not owned:
            raise RuntimeError(f"polkitd ended with status {self._process.returncode}")

    def stop(self):
        if self._process:
            end_process(self._process)
            self._process = None
        for path in self._placed:
            path.unlink(missing_ok=True)
        self._placed = []
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None

