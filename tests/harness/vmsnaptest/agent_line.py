# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hand on the line to the guest agent: between the service and the real agent of a real guest."""

import collections
import contextlib
import json
import pathlib
import select
import socket
import threading

from .deadline import DEFAULT


class AgentLine:
    """Stands where QEMU's socket of the guest agent was, and passes on what comes; use as a context.

    An answer can be held back, and a command kept from the agent.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.commands = []
        self._heard = threading.Condition()
        self._beyond = self.path.with_name(self.path.name + ".qemu")
        self._held = None
        self._swallowed = set()
        self._agent = None
        self._waiting = threading.Event()
        self._go_on = threading.Event()

    def __enter__(self):
        self.path.rename(self._beyond)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._end, end = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, args=(end,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._go_on.set()
        self._end.close()
        self._thread.join(DEFAULT)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        self._beyond.rename(self.path)

    def hold_answer(self, command):
        """The agent carries it out, and the service doesn't hear so yet."""
        self._held = command

    def swallow(self, *commands):
        """The agent never hears of these."""
        self._swallowed.update(commands)

    def wait_held(self):
        assert self._waiting.wait(DEFAULT), f"nothing came to be held, only {self.commands}"

    def let_go(self):
        self._held = None
        self._swallowed.clear()
        self._go_on.set()

    def ask(self, command):
        """What the agent answers to somebody else: while an answer is held, or when nobody else has the line."""
        is_held = self._waiting.is_set() and not self._go_on.is_set()
        with self._agent.dup() if is_held else socket.socket(socket.AF_UNIX) as line:
            line.settimeout(DEFAULT)
            if not is_held:
                line.connect(str(self._beyond))
            line.sendall(json.dumps({"execute": command}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                answer += line.recv(65536)
            return json.loads(answer)["return"]

    def wait_asked(self, command, times=1):
        """Until the service has given the command so often."""
        with self._heard:
            heard = self._heard.wait_for(lambda: self.count(command) >= times, DEFAULT)
        assert heard, f"'{command}' didn't come {times} times, only {self.commands}"

    def count(self, command):
        return self.commands.count(command)

    def _serve(self, end):
        while True:
            ready = select.select([self._listener, end], [], [])[0]
            if end in ready:
                break
            client = self._listener.accept()[0]
            agent = socket.socket(socket.AF_UNIX)
            agent.connect(str(self._beyond))
            with client, agent, contextlib.suppress(OSError):
                if not self._pass_on(client, agent, end):
                    break
        end.close()

    def _pass_on(self, client, agent, end):
        """One caller, until it leaves. Returns whether to take another."""
        self._agent = agent
        asked = collections.deque()
        buffers = {client: b"", agent: b""}
        while True:
            ready = select.select([client, agent, end], [], [])[0]
            if end in ready:
                return False
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return True
                *lines, buffers[source] = (buffers[source] + data).split(b"\n")
                for line in lines:
                    if source is client:
                        self._take_command(line, agent, asked)
                    else:
                        self._take_answer(line, client, asked)

    def _take_command(self, line, agent, asked):
        command = json.loads(line.lstrip(b"\xff"))["execute"]
        with self._heard:
            self.commands.append(command)
            self._heard.notify_all()
        if command in self._swallowed:
            return
        asked.append(command)
        agent.sendall(line + b"\n")

    def _take_answer(self, line, client, asked):
        # The complaint about the byte that comes before a sync answers none.
        command = asked.popleft() if asked and b"stray" not in line else None
        if command is not None and command == self._held:
            self._waiting.set()
            self._go_on.wait(DEFAULT)
        client.sendall(line + b"\n")
