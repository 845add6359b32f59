# SPDX-License-Identifier: LGPL-2.1-or-later
"""Talking to the witness in the test guest (tests/guest/README.md)."""

import itertools
import json
import select
import socket
import time

from .deadline import DEFAULT, Deadline, DeadlinePassed

# An answer may be lost when the guest is put back in time; then the question is asked again.
ASK_AGAIN = 2.0
# A guest that is being replaced has no socket for a moment, and nothing tells when it has one again.
LOOK_AGAIN = 0.02


class WitnessError(AssertionError):
    """The witness refused a command, or its testimony contradicts itself."""


class Testimony(dict):
    """An answer of the witness. Counters: `ram` and `disks`."""

    @property
    def ram(self):
        return self["ram"]

    @property
    def disks(self):
        return self["disks"]

    @property
    def run(self):
        return self["run"]

    @property
    def mark(self):
        return self["mark"]

    def contradictions(self):
        """What can't be true of a guest whose RAM and disks are of one instant; empty if nothing."""
        found = [f"{name} says {n}, RAM says {self.ram}" for name, n in self.disks.items()
                 if n != self.ram and not self["details"][name]["read-only"]]
        for name, details in self["details"].items():
            if details["inconsistent"]:
                found.append(f"{name} was from another time than RAM {details['inconsistent']} times, "
                             f"first with {details['seen']} where RAM had written {details['expected']}")
            if details["io-errors"]:
                found.append(f"{name} had {details['io-errors']} I/O errors")
        if self["memory-bad"]:
            found.append(f"{self['memory-bad']} pages of memory are from another time")
        if self.get("data-bad"):
            found.append(f"the file on the data disk was from another time {self['data-bad']} times")
        return found

    def check(self):
        """Raises if RAM and disks are not of one instant; returns itself."""
        found = self.contradictions()
        if found:
            raise WitnessError("; ".join(found))
        return self


class Witness:
    """A line to the witness over a UNIX socket that QEMU listens on. Connects by itself, again and again."""

    _ids = itertools.count(1)

    def __init__(self, path, explain=None):
        """explain: tells, in words for the failure, what else is known of a guest that does not answer."""
        self.path = str(path)
        self.explain = explain
        self._socket = None
        self._buffer = b""

    def close(self):
        if self._socket:
            self._socket.close()
        self._socket = None
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _connect(self, deadline):
        while self._socket is None:
            connecting = socket.socket(socket.AF_UNIX)
            try:
                connecting.connect(self.path)
                self._socket = connecting
            except (FileNotFoundError, ConnectionRefusedError):
                connecting.close()
                if deadline.passed():
                    raise DeadlinePassed(f"nobody listens on {self.path}") from None
                time.sleep(LOOK_AGAIN)

    def _read_line(self, deadline):
        """A line, or None if there is none in time or the guest is gone."""
        while b"\n" not in self._buffer:
            if not select.select([self._socket], [], [], deadline.left())[0]:
                return None
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                self.close()
                return None
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _ask_once(self, command, deadline):
        self._connect(deadline)
        question = f"{next(self._ids)}-{time.monotonic_ns():x}"
        patience = Deadline(min(ASK_AGAIN, deadline.left()))
        try:
            # The empty line ends whatever half a line the guest may remember.
            self._socket.sendall(f"\n@{question} {command}\n".encode())
        except OSError:
            self.close()
            return None
        while self._socket and not patience.passed():
            line = self._read_line(patience)
            # Half lines and answers to others are left over from before a revert.
            if line and b'"id":"%s"' % question.encode() in line:
                return json.loads(line)
        return None

    def ask(self, command, timeout=DEFAULT):
        """Sends a command and returns the answer. A command that got no answer is sent again."""
        deadline = Deadline(timeout)
        while not deadline.passed():
            answer = self._ask_once(command, deadline)
            if answer is None:
                continue
            if "error" in answer:
                raise WitnessError(f"{command}: {answer['error']}")
            return Testimony(answer)
        why = f"\n{self.explain()}" if self.explain else ""
        raise DeadlinePassed(f"the witness does not answer '{command}' within {timeout:g} s{why}")

    def get(self, timeout=DEFAULT):
        return self.ask("get", timeout)

    def wait_for(self, satisfied, what, timeout=DEFAULT):
        """Asks until satisfied(testimony), and returns the testimony."""
        deadline = Deadline(timeout)
        while True:
            testimony = self.get(max(deadline.left(), 0.1))
            if satisfied(testimony):
                return testimony
            if deadline.passed():
                raise DeadlinePassed(f"{what}: not within {timeout:g} s; the witness says {dict(testimony)}")

    def wait_beyond(self, n, timeout=DEFAULT):
        """Asks until the counter is above n: the guest runs."""
        return self.wait_for(lambda testimony: testimony.ram > n, f"a counter beyond {n}", timeout)

    def mark(self, text):
        return self.ask(f"mark {text}")

    def pause_writing(self):
        return self.ask("pause-writing")

    def resume_writing(self):
        return self.ask("resume-writing")

    def dirty(self, mib, mib_per_second=0):
        """Begins to dirty memory, again and again, and waits until all of it has been once; 0 ends it."""
        self.ask(f"dirty {mib} {mib_per_second}")
        return self.wait_for(lambda testimony: testimony["dirty-mib"] == mib and testimony["dirty-written-mib"] >= mib,
                             f"{mib} MiB of dirtied memory")


def last_beat(path):
    """The last whole counter printed on a serial line that goes to a file; None before the first."""
    with open(path, "rb") as log:
        lines = log.read().split(b"\n")[:-1]
    counters = [line.split()[1] for line in lines if line.startswith(b"witness ") and line.split()[1].isdigit()]
    return int(counters[-1]) if counters else None
