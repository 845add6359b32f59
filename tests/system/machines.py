# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the system tests share: the service on a bus of its own, and domains with real guests in it.

No test case of its own; the test_*.py beside it import it.
"""

import contextlib
import os
import pathlib
import select
import signal
import uuid as uuid_module

from vmsnaptest import (DEFAULT, MANAGER, BusError, PrivateBus, Service, TestCase, Witness, ask_monitor_at, check_image,
                        console_tail, domain_path, domain_xml, internal_snapshots, make_disks, settle, snapshot_path,
                        threads_at_work)

DOMAIN = "Domain"
SNAPSHOT = "Snapshot"
JOB = "Job"


class ServiceCase(TestCase):
    """Tests of one service, which all tests of a class share."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.make_class_directory()
        cls.bus = cls.enter_class(PrivateBus())
        cls.service = cls.enter_class(Service(cls.bus, cls.directory, emulator=cls.class_emulator()))
        cls.client = cls.enter_class(cls.service.client())

    @classmethod
    def class_emulator(cls):
        """Another one than what all tests run."""
        return None

    def setUp(self):
        self._machines = []
        self.addCleanup(self._check_disks)

    def _check_disks(self):
        for machine in self._machines:
            machine.check_disks()

    def machine(self, name=None, disks=None, **details):
        """A new domain, defined, that is gone after the test."""
        return self.undefined_machine(name, disks, **details).define()

    def undefined_machine(self, name=None, disks=None, **details):
        """One that the service doesn't know yet. Once the test's guests are gone, its disks must be whole."""
        machine = self.make_machine(name or self.short_name(), disks, **details)
        self._machines.append(machine)
        self.addCleanup(machine.discard)
        return machine

    @classmethod
    def class_machine(cls, name, disks=None, **details):
        """The same for all tests of the class."""
        machine = cls.make_machine(name, disks, **details)
        cls.addClassCleanup(machine.check_disks)
        cls.addClassCleanup(machine.discard)
        return machine.define()

    @classmethod
    def make_machine(cls, name, disks=None, **details):
        directory = cls.directory / name
        directory.mkdir(exist_ok=True)
        return Machine(cls.service, cls.client, directory, name, make_disks(directory, 2) if disks is None else disks,
                       **details)

    def short_name(self):
        """The test's own name, as a domain's: short enough for a socket's path."""
        return f"{self.id().rsplit('.', 1)[1].removeprefix('test_')[:24]}-{uuid_module.uuid4().hex[:4]}"

    def folder(self):
        """A directory for the test's disks."""
        directory = self.directory / f"files-{uuid_module.uuid4().hex[:6]}"
        directory.mkdir()
        return directory

    def assert_bus_error(self, name, words, call, *arguments, **more):
        """The call answers an error of this name whose message says all these words."""
        with self.assertRaises(BusError) as caught:
            call(*arguments, **more)
        self.assert_error(caught.exception.name, caught.exception.message, name, words)

    def assert_job_fails(self, name, words, job):
        """The job ends with an error of this name whose message says all these words."""
        end = self.client.end_of_job(job)
        self.assertEqual(end.state, "failed", end)
        self.assert_error(end.error, end.message, name, words)

    def assert_error(self, error, message, name, words):
        self.assertEqual(error, name, message)
        for word in [words] if isinstance(words, (str, pathlib.Path)) else words:
            self.assertIn(str(word), message)

    def assert_progress_is_sane(self, job):
        """Never backwards, and 1 only together with completed."""
        seen = 0.0
        state = "queued"
        for sent in self.client.signals:
            if sent.path != job or sent.member != "PropertiesChanged":
                continue
            changed = sent.arguments[1]
            state = changed.get("State", state)
            progress = changed.get("Progress", seen)
            self.assertGreaterEqual(progress, seen)
            self.assertEqual(progress == 1.0, state == "completed", changed)
            seen = progress
        completed = [sent for sent in self.client.signals if sent.path == job and sent.member == "Completed"]
        self.assertEqual(len(completed), 1, completed)


class Machine:
    """A domain: its definition, its disks, its witness, and a caller's words to the service about it."""

    def __init__(self, service, client, directory, name, disks, **details):
        self.service = service
        self.client = client
        self.directory = directory
        self.name = name
        self.disks = disks
        self.uuid = str(uuid_module.uuid4())
        self.path = domain_path(self.uuid)
        self.witness = Witness(directory / "w", self.explain)
        self.console = pathlib.Path(details.setdefault("serial", directory / "console.log"))
        self.details = details
        self.killed = False

    def xml(self, **changes):
        """The definition, with other details if wanted."""
        details = {**self.details, **changes}
        disks = details.pop("disks", self.disks)
        name = details.pop("name", self.name)
        return domain_xml(name, disks, uuid=self.uuid, witness=self.witness.path, **details)

    def define(self, **changes):
        path = self.call_manager("DefineDomain", self.xml(**changes))
        assert path == self.path, path
        return self

    def create(self, **option_values):
        """Starts it as a transient domain."""
        self.client.run(MANAGER, "Manager", "CreateDomain", "s", self.xml(), **option_values)
        return self

    def call_manager(self, member, *arguments, **option_values):
        return self.client.call(MANAGER, "Manager", member, "s", *arguments, **option_values)

    # The domain

    def call(self, member, signature="", *arguments, **more):
        return self.client.call(self.path, DOMAIN, member, signature, *arguments, **more)

    def run(self, member, signature="", *arguments, **more):
        return self.client.run(self.path, DOMAIN, member, signature, *arguments, **more)

    def get(self, name):
        return self.client.get(self.path, DOMAIN, name)

    @property
    def state(self):
        """(State, StateReason)."""
        values = self.client.get_all(self.path, DOMAIN)
        return values["State"], values["StateReason"]

    def wait_state(self, state):
        return self.client.wait_property(self.path, DOMAIN, "State", state)

    def start(self, **option_values):
        self.run("Start", **option_values)
        return self

    def boot(self):
        """Starts it and waits for the witness."""
        self.start()
        self.witness.wait_beyond(0).check()
        return self

    def shut_off(self):
        """Off, by force if it isn't."""
        if self.get("State") != "shutoff":
            self.call("PowerOff")
        return self

    def is_there(self):
        return self.path in self.client.objects()

    def discard(self):
        """Ends the guest and forgets the domain."""
        self.witness.close()
        if self.service.process is None:
            self.service.start()
        if self.is_there() and self.get("State") != "shutoff":
            self.call("PowerOff")
        if self.is_there():
            self.call("Undefine", snapshots_metadata=True)

    def check_disks(self):
        """Of a domain that is off: no image is damaged; none leaks, but for those of a QEMU that was killed."""
        for disk in self.disks:
            if disk.path.is_file():
                check_image(disk, leaks=self.killed)

    def events(self, since=0):
        """The Event signals of this domain from index `since` of the client's signals on: (event, details)."""
        settle()
        return [sent.arguments for sent in self.client.signals[since:]
                if sent.path == self.path and sent.member == "Event"]

    def wait_event(self, event, since=0):
        return self.client.wait_signal("Event", lambda sent: sent.path == self.path and sent.arguments[0] == event,
                                       since).arguments[1]

    # Its snapshots

    def snapshot_path(self, name):
        return snapshot_path(self.path, name)

    def snapshot(self, name, **option_values):
        """Takes an internal snapshot and returns the job's result."""
        return self.run("CreateSnapshot", "s", name, location="internal", **option_values)

    def ask_snapshot(self, name, **option_values):
        """Asks for one and returns the job."""
        return self.call("CreateSnapshot", "s", name, location="internal", **option_values)

    def revert(self, name, **option_values):
        return self.client.run(self.snapshot_path(name), SNAPSHOT, "Revert", **option_values)

    def ask_revert(self, name, **option_values):
        return self.client.call(self.snapshot_path(name), SNAPSHOT, "Revert", **option_values)

    def delete(self, name, **option_values):
        return self.client.run(self.snapshot_path(name), SNAPSHOT, "Delete", **option_values)

    def ask_delete(self, name, **option_values):
        return self.client.call(self.snapshot_path(name), SNAPSHOT, "Delete", **option_values)

    def snapshot_property(self, name, which):
        return self.client.get(self.snapshot_path(name), SNAPSHOT, which)

    def snapshots(self, **filters):
        """The names of its snapshots, as ListSnapshots gives them."""
        return [self.client.get(path, SNAPSHOT, "Name") for path in self.call("ListSnapshots", **filters)]

    def tree(self):
        """{name: parent's name or None}."""
        parents = {}
        for path in self.call("ListSnapshots"):
            values = self.client.get_all(path, SNAPSHOT)
            parent = values["Parent"]
            parents[values["Name"]] = self.client.get(parent, SNAPSHOT, "Name") if parent != "/" else None
        return parents

    def current(self):
        """The current snapshot's name, or None; checked against IsCurrent of them all."""
        current = self.get("CurrentSnapshot")
        marked = [path for path in self.call("ListSnapshots") if self.client.get(path, SNAPSHOT, "IsCurrent")]
        assert marked == ([] if current == "/" else [current]), (marked, current)
        return None if current == "/" else self.client.get(current, SNAPSHOT, "Name")

    def tags(self):
        """The names of the snapshots inside each disk."""
        return [internal_snapshots(disk) for disk in self.disks if disk.format == "qcow2"]

    # Its traces

    @property
    def store(self):
        return self.service.state / "domains" / self.uuid

    @property
    def runtime(self):
        return self.service.runtime / "guests" / self.uuid

    def journals(self):
        folder = self.store / "journal"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def pid(self):
        """QEMU's pid, or None when none runs."""
        return qemu_in(self.service, self.runtime)

    @property
    def beside(self):
        """Where a guest is that is about to take over, and after that the old one."""
        return self.service.runtime / "beside/guests" / self.uuid

    def pid_beside(self):
        return qemu_in(self.service, self.beside)

    def explain(self):
        """Why the guest may be silent. The service makes room at the monitor, and is started again."""
        pid = self.pid()
        found = [f"threads: {threads_at_work(pid)}" if pid else "no QEMU runs", f"console: {console_tail(self.console)}"]
        if self.service.process:
            self.service.kill()
        if pid:
            found.append(ask_monitor_at(self.runtime / "monitor.sock", pid))
        self.service.start()
        return "\n".join(found)

    def kill_qemu(self, missing_ok=False):
        """kill -9 from outside, and the wait for its end."""
        self.killed = True
        pid = self.pid()
        try:
            fd = os.pidfd_open(pid or -1)
        except OSError:
            assert missing_ok, f"{self.name} has no QEMU"
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        ended = select.select([fd], [], [], DEFAULT)[0]
        os.close(fd)
        assert ended, "QEMU outlives SIGKILL"


def qemu_in(service, directory):
    """The pid of the service's QEMU that works in a directory, or None."""
    own = [pid for pid in service.guests() if b"-pidfile" in command_line(pid) and works_in(pid, directory)]
    assert len(own) < 2, own
    return own[0] if own else None


def works_in(pid, directory):
    try:
        return os.readlink(f"/proc/{pid}/cwd") == os.path.realpath(directory)
    except OSError:
        return False


def command_line(pid):
    """A process's words; none if it is gone, or a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
