# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is on disk survives the service, and what can't be read there harms nothing else."""

import ctypes
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import unittest

from gi.repository import GLib

from support import plain_xml
from vmsnaptest import (MANAGER, BusError, PrivateBus, Service, TestCase, continue_process, main, make_disk, paths,
                        stop_process, wait_until)


def cut_monitor(pid, service):
    """Ends QEMU's connections with the service from within, as QEMU does when a client misbehaves; returns how many."""
    pidfd_getfd = 438
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    cut = 0
    for number in os.listdir(f"/proc/{pid}/fd"):
        fd = libc.syscall(pidfd_getfd, pidfd, int(number), 0)
        if fd < 0 or not stat.S_ISSOCK(os.fstat(fd).st_mode):
            if fd >= 0:
                os.close(fd)
            continue
        with socket.socket(fileno=fd) as end:
            listens = end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            peer, _, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if end.family == socket.AF_UNIX and peer == service and not listens:
                end.shutdown(socket.SHUT_RDWR)
                cut += 1
    os.close(pidfd)
    return cut


class Store(TestCase):

    def setUp(self):
        self.bus = self.enter(PrivateBus())
        self.directory = self.make_directory()
        self.service = self.enter(Service(self.bus, self.directory))

    def define(self, name, disks=()):
        with self.service.client() as client:
            path = client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml(name, disks))
            return path, client.get(path, "Domain", "Uuid")

    def names(self):
        with self.service.client() as client:
            return sorted(interfaces["org.vmsnap.VmSnap1.Domain"]["Name"] for interfaces in client.objects().values()
                          if "org.vmsnap.VmSnap1.Domain" in interfaces)

    def files(self, uuid):
        return [path for path in (self.service.state / "domains" / uuid).rglob("*") if path.is_file()]

    def test_killed_service_knows_its_domains_again(self):
        disk = make_disk(self.directory / "vda.qcow2", 8)
        path, _ = self.define("kept", [disk])
        with self.service.client() as client:
            snapshot = client.run(path, "Domain", "CreateSnapshot", "s", "one", location="internal")["snapshot"]
            before = client.objects()
        self.service.kill()
        self.service.start()
        with self.service.client() as client:
            after = client.objects()
        for kept in (path, snapshot):
            self.assertEqual(after[kept], before[kept])

    def test_running_guest_is_found_again_after_a_kill(self):
        path, _ = self.define("running")
        with self.service.client() as client:
            client.run(path, "Domain", "Start")
        guests = self.service.guests()
        self.service.kill()
        self.service.start()
        self.assertEqual(self.service.guests(), guests)
        with self.service.client() as client:
            self.assertEqual(client.get(path, "Domain", "State"), "running")
            client.call(path, "Domain", "Pause")
            client.wait_property(path, "Domain", "State", "paused")
            client.call(path, "Domain", "PowerOff")
            client.wait_property(path, "Domain", "State", "shutoff")

    def test_guest_outlives_a_tidy_end(self):
        path, _ = self.define("outlives")
        with self.service.client() as client:
            client.run(path, "Domain", "Start")
        guests = self.service.guests()
        self.service.restart()
        self.assertEqual(self.service.guests(), guests)
        with self.service.client() as client:
            self.assertEqual(client.get(path, "Domain", "State"), "running")

    def lose(self, name):
        """A running guest whose monitor a new life of the service doesn't find: its path, and the socket's two."""
        path, uuid = self.define(name)
        with self.service.client() as client:
            client.run(path, "Domain", "Start")
        self.service.kill()
        monitor = self.service.runtime / "guests" / uuid / "monitor.sock"
        hidden = monitor.with_name("hidden")
        monitor.rename(hidden)
        self.service.start()
        return path, monitor, hidden

    def refused(self, client, *arguments, **options):
        with self.assertRaises(BusError) as caught:
            client.call(*arguments, **options)
        return caught.exception.name

    def test_unreachable_guest_is_shown_and_left_alone_until_it_answers(self):
        path, monitor, hidden = self.lose("deaf")
        with self.service.client() as client:
            self.assertEqual(client.get(path, "Domain", "State"), "paused")
            for method in ("Start", "Pause", "Resume", "Reset"):
                self.assertEqual(self.refused(client, path, "Domain", method), "HypervisorGone")
            self.assertEqual(self.refused(client, path, "Domain", "CreateSnapshot", "s", "x", location="internal"),
                             "HypervisorGone")
            hidden.rename(monitor)
            client.wait_property(path, "Domain", "State", "running")
            client.call(path, "Domain", "Pause")
            client.wait_property(path, "Domain", "State", "paused")
        self.assertLessEqual(self.service.output().count("can't be reached"), 2)

    def test_guest_that_hangs_holds_up_nobody_else(self):
        """The name comes long before the service gives up on the guest; which is shown, and taken over when it wakes."""
        path, _ = self.define("hangs")
        other, _ = self.define("other")
        with self.service.client() as client:
            client.run(path, "Domain", "Start")
        guest, = self.service.guests()
        stop_process(guest)
        self.addCleanup(continue_process, guest)
        self.service.kill()
        self.service.start(timeout=30)
        with self.service.client() as client:
            self.assertEqual((client.get(path, "Domain", "State"), client.get(path, "Domain", "StateReason")),
                             ("paused", "unknown"))
            self.assertEqual(self.refused(client, path, "Domain", "Pause"), "HypervisorGone")
            client.run(other, "Domain", "Start")
            client.call(other, "Domain", "PowerOff")
            continue_process(guest)
            client.wait_property(path, "Domain", "State", "running")
            client.call(path, "Domain", "Pause")
            client.wait_property(path, "Domain", "State", "paused")
        self.assertEqual(self.service.guests(), [guest])

    def test_unreachable_guest_can_be_powered_off(self):
        path, _, _ = self.lose("deaf-off")
        with self.service.client() as client:
            client.call(path, "Domain", "PowerOff")
            self.assertEqual(client.get(path, "Domain", "State"), "shutoff")
            self.assertEqual(client.get(path, "Domain", "StateReason"), "destroyed")
            self.assertEqual(self.service.guests(), [])
            client.run(path, "Domain", "Start")

    def test_undefined_unreachable_guest_stays_as_a_transient_domain(self):
        path, _, _ = self.lose("deaf-undefined")
        with self.service.client() as client:
            client.call(path, "Domain", "Undefine")
            self.assertFalse(client.get(path, "Domain", "Persistent"))
            self.assertEqual(len(self.service.guests()), 1)
            client.call(path, "Domain", "PowerOff")
            client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)

    def test_end_of_a_guest_is_explained_by_events_that_come_after_it(self):
        path, _ = self.define("explained")
        for _ in range(3):
            with self.service.client() as client:
                client.run(path, "Domain", "Start")
                guest, = self.service.guests()
                stop_process(self.service.process.pid)
                try:
                    os.kill(guest, signal.SIGTERM)
                    ended = select.poll()
                    pidfd = os.pidfd_open(guest)
                    ended.register(pidfd, select.POLLIN)
                    self.assertTrue(ended.poll(20000))
                    os.close(pidfd)
                finally:
                    self.service.process.send_signal(signal.SIGCONT)
                client.wait_property(path, "Domain", "State", "shutoff")
                self.assertEqual(client.get(path, "Domain", "StateReason"), "destroyed")

    def test_monitor_that_closes_is_opened_again(self):
        path, _ = self.define("reopened")
        with self.service.client() as client:
            client.run(path, "Domain", "Start")
            guest, = self.service.guests()
            self.assertEqual(cut_monitor(guest, self.service.process.pid), 1)

            def pause():
                try:
                    client.call(path, "Domain", "Pause")
                except BusError as error:
                    self.assertEqual(error.name, "HypervisorGone")
                    return False
                return True

            # Nothing on the bus tells of it, so it is asked for again and again.
            ticks = GLib.timeout_add(50, lambda: GLib.SOURCE_CONTINUE)
            wait_until(pause, "the monitor answers again")
            GLib.source_remove(ticks)
            client.wait_property(path, "Domain", "State", "paused")
            self.assertEqual(self.service.guests(), [guest])

    def test_unreadable_definition_is_put_aside_and_the_rest_loads(self):
        _, broken = self.define("broken")
        self.define("whole")
        self.service.kill()
        definition = self.service.state / "domains" / broken / "domain.xml"
        definition.write_text("<domain", encoding="utf-8")
        self.service.start()
        self.assertEqual(self.names(), ["whole"])
        self.assertEqual([path.read_text(encoding="utf-8") for path in self.files(broken)
                          if path.name.startswith("domain.xml.unreadable")], ["<domain"])
        self.assertIn(str(definition), self.service.output())

    def test_unreadable_snapshot_is_put_aside_and_the_rest_loads(self):
        disk = make_disk(self.directory / "vda.qcow2", 8)
        path, uuid = self.define("kept", [disk])
        with self.service.client() as client:
            for name in ("bad", "good"):
                client.run(path, "Domain", "CreateSnapshot", "s", name, location="internal")
        self.service.kill()
        record = next(file for file in self.files(uuid) if file.parent.name == "snapshots"
                      and b">bad<" in file.read_bytes() and b"<parent>" not in file.read_bytes())
        record.write_bytes(b"\0\xff garbage")
        self.service.start()
        with self.service.client() as client:
            listed = client.call(path, "Domain", "ListSnapshots")
            self.assertEqual([client.get(snapshot, "Snapshot", "Name") for snapshot in listed], ["good"])
        self.assertTrue(record.with_name(record.name + ".unreadable").exists())
        self.assertIn(str(record), self.service.output())

    def test_domain_with_an_unfinished_operation_cannot_be_undefined(self):
        path, uuid = self.define("unfinished")
        self.service.stop()
        journal = self.service.state / "domains" / uuid / "journal" / "7.json"
        journal.parent.mkdir(exist_ok=True)
        journal.write_text('{"version": 1, "workflow": "of-the-future", "job": 7, "caller-uid": 0, "step": 0,'
                           ' "undoing": false, "facts": {}}')
        self.service.start()
        with self.service.client() as client:
            with self.assertRaises(BusError) as caught:
                client.call(path, "Domain", "Undefine")
            self.assertEqual(caught.exception.name, "Busy")
            self.assertIn("of-the-future", caught.exception.message)
            self.assertTrue(journal.exists())
            journal.unlink()
            client.call(path, "Domain", "Undefine")
        self.assertFalse(journal.parent.parent.exists())

    def test_strange_things_in_the_store_are_left_alone(self):
        self.define("whole")
        self.service.kill()
        domains = self.service.state / "domains"
        (domains / "not-a-uuid").mkdir()
        (domains / "a-file").write_text("x", encoding="utf-8")
        (domains / "00000000-0000-4000-8000-000000000000").mkdir()
        self.service.start()
        self.assertEqual(self.names(), ["whole"])
        self.assertTrue((domains / "not-a-uuid").exists())
        self.assertTrue((domains / "a-file").exists())

    def test_files_are_for_the_owner_alone(self):
        _, uuid = self.define("private")
        for path in self.files(uuid):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

    def test_second_service_on_the_same_store_is_refused(self):
        other = PrivateBus()
        self.enter(other)
        second = Service(other, self.directory)
        command = second.command_line()
        done = subprocess.run(command, env={**second.environment, **other.environment}, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.service.state), done.stderr)
        self.assertEqual(self.names(), [])

    def test_second_service_on_the_same_bus_is_refused(self):
        second = Service(self.bus, self.make_directory())
        done = subprocess.run(second.command_line(), env=self.bus.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("org.vmsnap.VmSnap1", done.stderr)
        self.assertEqual(self.names(), [])


class CommandLine(unittest.TestCase):

    def run_with(self, *arguments, **environment):
        return subprocess.run([paths.built("src/daemon/vmsnapd"), *arguments], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    def test_version_is_told(self):
        done = self.run_with("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^vmsnapd \d+\.\d+\.\d+$")

    def test_wrong_arguments_are_refused(self):
        for arguments, words in ((["--system", "--session"], "exclude"), (["--colour"], "--colour"),
                                 (["start"], "'start'")):
            done = self.run_with(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(words, done.stderr)

    def test_missing_bus_is_told(self):
        with tempfile.TemporaryDirectory() as directory:
            folders = [f"--{name}-directory={directory}/{name}" for name in ("state", "runtime", "log")]
            done = self.run_with("--session", *folders, DBUS_SESSION_BUS_ADDRESS=f"unix:path={directory}/no-bus")
        self.assertEqual(done.returncode, 1)
        self.assertIn("session bus", done.stderr)

    def test_unusable_directory_is_told(self):
        with tempfile.NamedTemporaryFile() as file:
            done = self.run_with("--session", f"--state-directory={file.name}/state")
            self.assertEqual(done.returncode, 1)
            self.assertIn(file.name, done.stderr)


class Ends(TestCase):

    def test_both_signals_end_it_tidily(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            bus = self.enter(PrivateBus())
            service = Service(bus, self.make_directory()).start()
            service.process.send_signal(number)
            self.assertEqual(service.process.wait(60), 0)
            service.process = None

    def test_end_of_the_bus_ends_it(self):
        bus = PrivateBus().start()
        service = Service(bus, self.make_directory()).start()
        bus.stop()
        self.assertEqual(service.process.wait(60), 1)
        service.process = None
        self.assertIn("The session bus went away", service.output())
        self.assertNotIn("Can't have the name", service.output())

    def test_name_that_another_has_is_told_with_the_other(self):
        bus = self.enter(PrivateBus())
        first = self.enter(Service(bus, self.make_directory()))
        second = Service(bus, self.make_directory()).spawn()
        self.assertEqual(second.process.wait(60), 1)
        second.process = None
        self.assertIn(f"the process {first.process.pid} has it", second.output())
        self.assertNotIn("went away", second.output())


if __name__ == "__main__":
    main()
