# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small QMP client for tests and benches that look at QEMU directly, past the service."""

import array
import json
import select
import socket
import time

from .deadline import DEFAULT, Deadline, DeadlinePassed


class QmpError(Exception):
    """An error that QEMU answered."""

    def __init__(self, command, error):
        super().__init__(f"{command}: {error.get('desc')}")
        self.error_class = error.get("class")
        self.description = error.get("desc", "")


class QmpGone(Exception):
    """QEMU closed its monitor."""


def monitor_pair():
    """A monitor that is connected from the first: our end, QEMU's end, which it inherits, and its arguments."""
    ours, theirs = socket.socketpair()
    return ours, theirs, ["-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "chardev=monitor,mode=control"]


class BareQmp:
    """One connection to a monitor, by a path or by a socket that is connected already. Every event is kept, with the time
    it was read, until somebody takes it."""

    def __init__(self, where, timeout=DEFAULT):
        connected = isinstance(where, socket.socket)
        self._socket = where if connected else socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        if not connected:
            self._socket.connect(str(where))
        self._buffer = b""
        self._next_id = 0
        self.events = []
        self.greeting = self._read_message(Deadline(timeout))["QMP"]
        self.execute("qmp_capabilities")

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read_message(self, deadline):
        while b"\n" not in self._buffer:
            if not select.select([self._socket], [], [], deadline.left())[0]:
                raise DeadlinePassed("the monitor is silent")
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise QmpGone("the monitor is closed")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message = json.loads(line)
        if "event" in message:
            message["read-at"] = time.monotonic()
            self.events.append(message)
        return message

    def _send(self, data, fds):
        if fds:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
            sent = self._socket.sendmsg([data], [rights])
            data = data[sent:]
        self._socket.sendall(data)

    def execute(self, command, arguments=None, fds=(), timeout=DEFAULT):
        """Sends a command, with descriptors if it wants any, and returns what it returns."""
        self._next_id += 1
        message = {"execute": command, "id": self._next_id}
        if arguments:
            message["arguments"] = arguments
        try:
            self._send(json.dumps(message).encode() + b"\n", fds)
        except BrokenPipeError as error:
            raise QmpGone("the monitor is closed") from error

        deadline = Deadline(timeout)
        while True:
            reply = self._read_message(deadline)
            if reply.get("id") != self._next_id:
                continue
            if "error" in reply:
                raise QmpError(command, reply["error"])
            return reply["return"]

    def wait_event(self, name, matches=lambda data: True, timeout=DEFAULT):
        """Takes the first event of this name that matches: one already read, or one still to come."""
        deadline = Deadline(timeout)
        while True:
            for event in self.events:
                if event["event"] == name and matches(event.get("data", {})):
                    self.events.remove(event)
                    return event
            try:
                self._read_message(deadline)
            except DeadlinePassed:
                raise DeadlinePassed(f"no event {name} within {timeout:g} s") from None

    def run_job(self, command, arguments, timeout=DEFAULT):
        """Runs one of the commands of the job family to its end, and dismisses the job.

        Raises QmpError with the job's own error if it failed.
        """
        job_id = arguments["job-id"]
        self.execute(command, arguments)
        self.wait_event("JOB_STATUS_CHANGE",
                        lambda data: data["id"] == job_id and data["status"] == "concluded", timeout)
        job = next(job for job in self.execute("query-jobs") if job["id"] == job_id)
        self.execute("job-dismiss", {"id": job_id})
        if "error" in job:
            raise QmpError(command, {"class": "GenericError", "desc": job["error"]})

    def status(self):
        """query-status's word: running, paused, …"""
        return self.execute("query-status")["status"]
