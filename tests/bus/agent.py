# SPDX-License-Identifier: LGPL-2.1-or-later
"""A person at the service's other end: an unprivileged caller with a polkit agent of its own, which a test answers for.

polkit asks the agent that is registered for the caller's process. So one process
is both: it registers, calls the service, prints polkit's questions and the
replies as lines of JSON, and does with a question what its standard input says.
"""

import collections
import json
import os
import subprocess
import sys

from gi.repository import Gio, GLib

from vmsnaptest import BusError, options, wait_until
from vmsnaptest.bus import connect
from vmsnaptest.client import long_interface

Question = collections.namedtuple("Question", "action message")

PROGRAM = """
import json
import os
import sys
from gi.repository import Gio, GLib

AGENT = '''<node><interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
<method name="BeginAuthentication"><arg type="s" direction="in"/><arg type="s" direction="in"/>
<arg type="s" direction="in"/><arg type="a{ss}" direction="in"/><arg type="s" direction="in"/>
<arg type="a(sa{sv})" direction="in"/></method>
<method name="CancelAuthentication"><arg type="s" direction="in"/></method></interface></node>'''

address, path, interface, member, arguments, interactive, answer = sys.argv[1:]
bus = Gio.DBusConnection.new_for_address_sync(
    address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
loop = GLib.MainLoop()
pending = []


def say(**facts):
    print(json.dumps(facts), flush=True)


def dismiss(invocation):
    invocation.return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "dismissed")


def on_agent_call(connection, sender, path, interface, method, parameters, invocation):
    if method != "BeginAuthentication":
        invocation.return_value(None)
        return
    action, message, icon, details, cookie, identities = parameters.unpack()
    uids = [details["uid"] for kind, details in identities if kind == "unix-user"]
    say(question=[action, message], cookie=cookie, uids=uids)
    if answer == "dismiss":
        dismiss(invocation)
    else:
        pending.append(invocation)


def on_line(channel, condition):
    line = sys.stdin.readline().strip()
    if line == "granted":
        pending.pop().return_value(None)
    elif line == "dismiss":
        dismiss(pending.pop())
    else:
        loop.quit()
    return True


def on_reply(connection, result):
    try:
        say(reply=connection.call_finish(result).print_(True))
    except GLib.Error as error:
        say(error=Gio.DBusError.get_remote_error(error) or "unknown", message=error.message)


node = Gio.DBusNodeInfo.new_for_xml(AGENT)
bus.register_object("/agent", node.interfaces[0], on_agent_call, None, None)
with open("/proc/self/stat", encoding="utf-8") as stat:
    start_time = int(stat.read().rsplit(")", 1)[1].split()[19])
subject = ("unix-process", {"pid": GLib.Variant("u", os.getpid()), "start-time": GLib.Variant("t", start_time),
                            "uid": GLib.Variant("i", os.getuid())})
bus.call_sync("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
              "org.freedesktop.PolicyKit1.Authority", "RegisterAuthenticationAgent",
              GLib.Variant("((sa{sv})ss)", (subject, "C", "/agent")), None, 0, -1, None)
flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive == "yes" else Gio.DBusCallFlags.NONE
bus.call("org.vmsnap.VmSnap1", path, interface, member, GLib.Variant.parse(None, arguments, None, None), None, flags,
         60000, None, on_reply)
GLib.io_add_watch(0, GLib.IO_IN | GLib.IO_HUP, on_line)
loop.run()
"""


class AskedCall:
    """One call by the user `uid` to a method whose options are given as keywords.

    answer: `dismiss` waves every question away; `wait` leaves it to grant() and dismiss().
    """

    def __init__(self, bus_address, uid, path, interface, member, *, answer="wait", interactive=True, **option_values):
        self._address = bus_address
        self._uid = uid
        self._said = []
        self._half_line = b""
        parameters = GLib.Variant("(a{sv})", (options(option_values),))
        command = [sys.executable, "-c", PROGRAM, bus_address, path, long_interface(interface), member,
                   parameters.print_(True), "yes" if interactive else "no", answer]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
                                         user=uid, group=uid, extra_groups=[], env={})
        self._watch = GLib.io_add_watch(self._process.stdout.fileno(), GLib.IO_IN | GLib.IO_HUP, self._on_line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end_caller()
        if self._watch:
            GLib.source_remove(self._watch)
        self._process.stdout.close()

    def _on_line(self, _channel, _condition):
        # Past Python's buffer: two lines may come at once, and no event tells of what is in there.
        data = os.read(self._process.stdout.fileno(), 65536)
        *lines, self._half_line = (self._half_line + data).split(b"\n")
        self._said += map(json.loads, lines)
        if not data:
            self._said.append({"end": True})
            self._watch = 0
        return bool(data)

    def _wait_for(self, *keys):
        """The first thing it said that has one of these keys."""
        wanted = {*keys, "end"}
        said = wait_until(lambda: next((said for said in self._said if wanted & set(said)), None), " or ".join(keys))
        if "end" in said:
            raise AssertionError("the caller ended")
        return said

    @property
    def questions(self):
        """The questions that polkit asked so far."""
        return [Question(*said["question"]) for said in self._said if "question" in said]

    def wait_question(self):
        return Question(*self._wait_for("question")["question"])

    def _tell(self, line):
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def dismiss(self):
        self._tell("dismiss")

    def grant(self):
        """Answers the question as the agent's privileged helper would, after the right password (as root only)."""
        asked = self._wait_for("question")
        identity = ("unix-user", {"uid": GLib.Variant("u", asked["uids"][0])})
        connection = connect(self._address)
        connection.call_sync("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                             "org.freedesktop.PolicyKit1.Authority", "AuthenticationAgentResponse2",
                             GLib.Variant("(us(sa{sv}))", (self._uid, asked["cookie"], identity)), None,
                             Gio.DBusCallFlags.NONE, 60000, None)
        connection.close_sync(None)
        self._tell("granted")

    def finish(self):
        """Waits for the call's reply; raises BusError if it is an error."""
        said = self._wait_for("reply", "error")
        if "error" in said:
            raise BusError(said["error"], said["message"])
        return GLib.Variant.parse(None, said["reply"], None, None).unpack()

    def end_caller(self):
        """The caller goes, whatever it waits for."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if not self._process.stdin.closed:
            self._process.stdin.close()
