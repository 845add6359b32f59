# SPDX-License-Identifier: LGPL-2.1-or-later
"""The heartbeat of a test guest: how long it stood still, and how far it came, told by a thousand beats a second.

When QEMU stops a guest the guest's clocks stand still, too: so what counts is when a beat arrives, and not what the guest
thinks it is. A process of its own listens, before all others if it may, for the bench and QEMU want the processor, too.
"""

import bisect
import dataclasses
import mmap
import os
import select
import socket
import subprocess
import sys

from . import pulse_listener
from .deadline import DEFAULT, Deadline, DeadlinePassed
from .pulse_listener import HEADER, RECORD

PORT = "org.vmsnap.heart.0"


@dataclasses.dataclass(frozen=True)
class Beat:
    at: float
    counter: int
    pages: int


def channel_xml(path):
    """The device, in a domain's definition, through which the guest's heart is heard."""
    return f"<channel type='unix'><source mode='bind' path='{path}'/><target type='virtio' name='{PORT}'/></channel>"


class Pulse:
    """Listens to a guest's heart from now on. Use as a context."""

    def __init__(self, path):
        memory = os.memfd_create("pulse")
        os.ftruncate(memory, pulse_listener.SIZE)
        self._memory = mmap.mmap(memory, pulse_listener.SIZE)
        self._news = os.eventfd(0)
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(str(path))
            fds = [connected.fileno(), memory, self._news]
            self._process = subprocess.Popen([sys.executable, pulse_listener.__file__, *map(str, fds)], pass_fds=fds)
        os.close(memory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
            os.close(self._news)

    def _count(self):
        return HEADER.unpack_from(self._memory, 0)[0]

    def beats(self, since=0.0, until=float("inf")):
        """All beats from the last before `since` to the first after `until`: what lies between is whole."""
        count = self._count()
        view = memoryview(self._memory)[HEADER.size:HEADER.size + RECORD.size * count]
        found = [Beat(*values) for values in RECORD.iter_unpack(view)]
        view.release()
        first = bisect.bisect_right(found, since, key=lambda beat: beat.at) - 1
        last = bisect.bisect_left(found, until, key=lambda beat: beat.at)
        return found[max(first, 0):last + 1]

    def wait_beyond(self, when, timeout=DEFAULT):
        """Waits for a beat after a point in time."""
        deadline = Deadline(timeout)
        while not any(beat.at > when for beat in self.beats(when)):
            if not select.select([self._news], [], [], deadline.left())[0]:
                raise DeadlinePassed("the guest's heart stands still")
            os.eventfd_read(self._news)

    def longest_gap(self, since, until):
        """The longest silence, in seconds, that began, ended, or lasted in the window."""
        beats = self.beats(since, until)
        return max((later.at - earlier.at for earlier, later in zip(beats, beats[1:])), default=0.0)

    def progress(self, since, until):
        """How far the guest came in the window: rounds of its counter, pages dirtied."""
        beats = self.beats(since, until)
        return beats[-1].counter - beats[0].counter, beats[-1].pages - beats[0].pages
