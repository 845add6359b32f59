# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the service that knows nothing but the bus contract: for tests that must not trust our own library."""

import collections
import os
import subprocess
import sys

from gi.repository import Gio, GLib

from .bus import connect
from .deadline import DEFAULT, Deadline, wait_until

BUS_NAME = "org.vmsnap.VmSnap1"
ROOT = "/org/vmsnap/VmSnap1"
MANAGER = ROOT + "/Manager"
INTERFACE_PREFIX = BUS_NAME + "."
ERROR_PREFIX = BUS_NAME + ".Error."
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

Signal = collections.namedtuple("Signal", "path interface member arguments")
JobEnd = collections.namedtuple("JobEnd", "state error message result")


class BusError(Exception):
    """An error reply. `name` is short (`NotFound`) if it is one of ours, else whole."""

    def __init__(self, name, message):
        self.name = short_error(name)
        self.message = message
        super().__init__(f"{self.name}: {self.message}")

    @classmethod
    def from_glib(cls, error):
        name = Gio.DBusError.get_remote_error(error) or f"{error.domain}:{error.code}"
        # strip_remote_error() would change a copy only.
        return cls(name, error.message.removeprefix(f"GDBus.Error:{name}: "))


class JobFailed(AssertionError):
    """A job did not complete, and the test wanted it to."""

    def __init__(self, path, end):
        super().__init__(f"{path} {end.state}: {end.error}: {end.message}")
        self.end = end


def short_error(name):
    return name[len(ERROR_PREFIX):] if name.startswith(ERROR_PREFIX) else name


def long_interface(name):
    """`Domain` is ours; a name with a dot is taken as it is."""
    return name if "." in name else INTERFACE_PREFIX + name


def variant(value):
    """A variant for an option; what is not one already becomes b, s, t, as or a{sa{sv}} by its Python type."""
    if isinstance(value, GLib.Variant):
        return value
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, int):
        return GLib.Variant("t", value)
    if isinstance(value, (list, tuple)):
        return GLib.Variant("as", value)
    if isinstance(value, dict):
        return GLib.Variant("a{sa{sv}}", {key: options(inner) for key, inner in value.items()})
    return GLib.Variant("s", str(value))


def options(mapping):
    """a{sv} from a dict; '_' in a key stands for '-', so that keywords can be used."""
    return {key.replace("_", "-"): variant(value) for key, value in mapping.items()}


def domain_path(uuid):
    return f"{ROOT}/domains/{uuid.replace('-', '_')}"


def encode_name(name):
    """A snapshot's name as the last element of its object path."""
    out = ""
    for i, byte in enumerate(name.encode()):
        char = chr(byte)
        plain = char.isascii() and char.isalnum() and not (i == 0 and char.isdigit())
        out += char if plain else f"_{byte:02x}"
    return out


def snapshot_path(domain, name):
    return f"{domain}/snapshots/{encode_name(name)}"


class Client:
    """One connection to a bus. It remembers every signal of the service from its beginning on."""

    def __init__(self, address):
        self.connection = connect(address)
        self.signals = []
        # Subscribed before any call can be made, so no signal that a call causes is missed.
        self._subscription = self.connection.signal_subscribe(
            BUS_NAME, None, None, None, None, Gio.DBusSignalFlags.NONE, self._on_signal)

    def close(self):
        self.connection.signal_unsubscribe(self._subscription)
        self.connection.close_sync(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _on_signal(self, _connection, _sender, path, interface, member, arguments):
        self.signals.append(Signal(path, interface, member, arguments.unpack()))

    def call_raw(self, path, interface, member, arguments=None, fds=(), timeout=DEFAULT, interactive=False):
        """A blocking call with a tuple variant; the reply's values, descriptors as open numbers where `h` is."""
        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
        fd_list = Gio.UnixFDList.new()
        for fd in fds:
            fd_list.append(fd)
        try:
            reply, reply_fds = self.connection.call_with_unix_fd_list_sync(
                BUS_NAME, path, long_interface(interface), member, arguments, None, flags, int(timeout * 1000), fd_list,
                None)
        except GLib.Error as error:
            raise BusError.from_glib(error) from None
        values = list(reply.unpack())
        if reply_fds and reply_fds.get_length():
            kinds = [reply.get_child_value(i).get_type_string() for i in range(reply.n_children())]
            values = [reply_fds.get(value) if kind == "h" else value for kind, value in zip(kinds, values)]
        return values

    def call(self, path, interface, member, signature="", *arguments, fds=(), timeout=DEFAULT, interactive=False,
             **option_values):
        """Calls a method of the contract: the arguments before the options by signature, the options as keywords.

        Returns the one value that the method returns, a list of several, or None.
        """
        parameters = GLib.Variant(f"({signature}a{{sv}})", (*arguments, options(option_values)))
        values = self.call_raw(path, interface, member, parameters, fds, timeout, interactive)
        return values[0] if len(values) == 1 else values or None

    def run(self, path, interface, member, signature="", *arguments, timeout=DEFAULT, **more):
        """Calls a method that returns a job as its last value, waits for the job, and returns its result."""
        deadline = Deadline(timeout)
        values = self.call(path, interface, member, signature, *arguments, timeout=timeout, **more)
        job = values[-1] if isinstance(values, list) else values
        return self.wait_job(job, max(deadline.left(), 0.1)).result

    def end_of_job(self, job, timeout=DEFAULT):
        """Waits for a job's Completed, and returns what it said: (state, error, message, result)."""
        def completed():
            for signal in self.signals:
                if signal.path == job and signal.member == "Completed":
                    return signal
            return None

        state, error, message, result = wait_until(completed, f"the end of {job}", timeout).arguments
        return JobEnd(state, short_error(error), message, result)

    def wait_job(self, job, timeout=DEFAULT):
        """The same, and raises JobFailed unless the job completed."""
        end = self.end_of_job(job, timeout)
        if end.state != "completed":
            raise JobFailed(job, end)
        return end

    def get(self, path, interface, name):
        """A property's value, from the service."""
        return self.call_raw(path, PROPERTIES, "Get", GLib.Variant("(ss)", (long_interface(interface), name)))[0]

    def get_all(self, path, interface):
        return self.call_raw(path, PROPERTIES, "GetAll", GLib.Variant("(s)", (long_interface(interface),)))[0]

    def objects(self):
        """Everything that the object manager shows: {path: {interface: {property: value}}}."""
        return self.call_raw(ROOT, OBJECT_MANAGER, "GetManagedObjects")[0]

    def wait_property(self, path, interface, name, wanted, timeout=DEFAULT):
        """Waits until a property has a value, or satisfies a function, and returns it."""
        satisfies = wanted if callable(wanted) else lambda value: value == wanted
        interface = long_interface(interface)
        seen = len(self.signals)
        value = self.get(path, interface, name)

        def satisfied():
            nonlocal seen, value
            while not satisfies(value) and seen < len(self.signals):
                signal = self.signals[seen]
                seen += 1
                if (signal.path, signal.member) != (path, "PropertiesChanged") or signal.arguments[0] != interface:
                    continue
                value = signal.arguments[1].get(name, value)
            return satisfies(value)

        try:
            wait_until(satisfied, f"{name} of {path}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {value!r}") from None
        return value

    def wait_signal(self, member, matches=lambda signal: True, since=0, timeout=DEFAULT):
        """The first signal of this name, from index `since` of .signals on, that matches; past or to come."""
        def found():
            return next((signal for signal in self.signals[since:] if signal.member == member and matches(signal)), None)

        return wait_until(found, f"signal {member}", timeout)


# What an unprivileged caller runs: it gets everything by arguments, for it may not be able to read our files.
CALL_SCRIPT = """
import sys
from gi.repository import Gio, GLib
address, path, interface, member, arguments, flags, timeout, *fds = sys.argv[1:]
connection = Gio.DBusConnection.new_for_address_sync(
    address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
fd_list = Gio.UnixFDList.new()
for fd in fds:
    fd_list.append(int(fd))
try:
    reply, _ = connection.call_with_unix_fd_list_sync("org.vmsnap.VmSnap1", path, interface, member,
                                                      GLib.Variant.parse(None, arguments, None, None), None,
                                                      Gio.DBusCallFlags(int(flags)), int(timeout), fd_list, None)
    print("reply", reply.print_(True))
except GLib.Error as error:
    name = Gio.DBusError.get_remote_error(error) or "unknown"
    print("error", name, error.message.removeprefix(f"GDBus.Error:{name}: "))
"""


def call_as(uid, address, path, interface, member, signature="", *arguments, fds=(), timeout=DEFAULT,
            interactive=False, **option_values):
    """Client.call() from a process of another user (as root only); returns the reply's values as a tuple."""
    parameters = GLib.Variant(f"({signature}a{{sv}})", (*arguments, options(option_values)))
    flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
    command = [sys.executable, "-c", CALL_SCRIPT, address, path, long_interface(interface), member,
               parameters.print_(True), str(int(flags)), str(int(timeout * 1000)), *map(str, fds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd="/", user=uid, group=uid,
                          extra_groups=[], pass_fds=fds, env={"PATH": os.environ["PATH"]})
    kind, _, rest = done.stdout.strip().partition(" ")
    if kind == "error":
        name, _, message = rest.partition(" ")
        raise BusError(name, message)
    return GLib.Variant.parse(None, rest, None, None).unpack()
