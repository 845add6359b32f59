# SPDX-License-Identifier: LGPL-2.1-or-later
"""What QEMU tells of a guest that somebody else drives: its events, through a second monitor, and which commands it got
over all of them, by its own trace. Both carry times of the same clock, in seconds since 1970."""

import dataclasses
import json
import pathlib
import re

from .qmp import BareQmp

QEMU_NAMESPACE = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
TRACED = re.compile(r"^\d+@(\d+\.\d+):handle_qmp_command mon \S+ req: (.*)$")


def with_arguments(xml, arguments):
    """A domain's definition with further arguments for its QEMU."""
    words = "".join(f"<qemu:arg value='{word}'/>" for word in arguments)
    return xml.replace("<domain ", f"<domain {QEMU_NAMESPACE} ", 1).replace(
        "</domain>", f"<qemu:commandline>{words}</qemu:commandline></domain>")


def event_time(event):
    return event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6


@dataclasses.dataclass(frozen=True)
class Stop:
    """A time in which the guest was stopped, and the commands that QEMU was given in it."""

    began: float
    ended: float
    commands: tuple

    @property
    def length(self):
        return self.ended - self.began


class Watch:
    """Looks at one guest. Its QEMU must have been started with arguments(); `monitor` is open after open()."""

    def __init__(self, directory):
        self.socket = pathlib.Path(directory) / "watch.sock"
        self._trace = pathlib.Path(directory) / "trace.log"
        self.monitor = None

    def arguments(self):
        return ["-qmp", f"unix:{self.socket},server=on,wait=off", "-msg", "timestamp=on",
                "-trace", "enable=handle_qmp_command", "-D", str(self._trace)]

    def open(self):
        self.monitor = BareQmp(self.socket)
        return self

    def close(self):
        if self.monitor:
            self.monitor.close()
            self.monitor = None

    def events(self, since, until):
        """The events of a window; taken from the monitor's, which has room for new ones then."""
        self.monitor.status()
        events, self.monitor.events[:] = self.monitor.events[:], []
        return [event for event in events if since <= event_time(event) <= until]

    def commands(self, since, until):
        """The names of the commands that came in a window, over any monitor, in their order."""
        found = []
        for line in self._trace.read_text(encoding="utf-8", errors="replace").splitlines():
            match = TRACED.match(line)
            if match and since <= float(match[1]) <= until:
                found.append(json.loads(match[2]).get("execute", "?"))
        return found

    def stops(self, since, until):
        """When the guest was stopped within a window."""
        found, began = [], None
        for event in self.events(since, until):
            if event["event"] == "STOP" and began is None:
                began = event_time(event)
            elif event["event"] == "RESUME" and began is not None:
                ended = event_time(event)
                found.append(Stop(began, ended, tuple(self.commands(began, ended))))
                began = None
        return found
