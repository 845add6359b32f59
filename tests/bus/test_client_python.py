# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client library as Python programs use it, through its introspection, against the real service."""

import os
import signal
import subprocess
import sys
import threading

import gi

gi.require_version("VmSnap", "1.0")
from gi.repository import Gio, GLib, VmSnap  # noqa: E402

from clientsupport import SCREEN, ClientTestCase  # noqa: E402
from support import plain_xml  # noqa: E402
from vmsnaptest import SOURCE, connect, domain_path, main, make_disk, snapshot_path, wait_until  # noqa: E402

INTERNAL = GLib.Variant("a{sv}", {"location": GLib.Variant("s", "internal")})


class LibraryTestCase(ClientTestCase):
    def setUp(self):
        super().setUp()
        self.library = self.new_client()

    def new_client(self):
        connection = connect(self.bus.address)
        self.addCleanup(connection.close_sync, None)
        return VmSnap.Client.new_for_connection_sync(connection, None)

    def assert_vmsnap_error(self, code, function, *arguments):
        with self.assertRaises(GLib.Error) as caught:
            function(*arguments)
        error = caught.exception
        self.assertTrue(error.matches(VmSnap.error_quark(), code), f"{error.domain} {error.code}: {error.message}")
        self.assertNotIn("GDBus.Error", error.message)
        return error

    def find(self, name):
        self.library.catch_up_sync(None)
        return self.library.find_domain(name)

    def finish(self, begin, *arguments):
        """Runs an asynchronous function, and returns its source and result."""
        ends = []
        begin(*arguments, None, lambda source, result: ends.append((source, result)))
        return wait_until(lambda: ends and ends[0], f"the end of {begin.__name__}")


class ReadmeTest(LibraryTestCase):
    def test_definition_in_the_examples_is_accepted(self):
        example = (SOURCE / "data/examples/guest.xml").read_text(encoding="utf-8")
        path = self.client.call("/org/vmsnap/VmSnap1/Manager", "Manager", "DefineDomain", "s", example, validate=True)
        self.addCleanup(self.client.call, path, "Domain", "Undefine")

    def run_snippet(self, number):
        """Runs the Python of the README as it stands, but for the bus; returns what it wrote."""
        readme = (SOURCE / "README.md").read_text(encoding="utf-8")
        snippet = readme.split("```python\n")[1 + number].split("```")[0]
        done = self.run_program(sys.executable, "-c", snippet.replace("BusType.SYSTEM", "BusType.SESSION"),
                                cwd=self.make_directory())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_python_of_the_readme_runs_as_it_stands(self):
        path = self.make_domain("guest")
        self.run_snippet(0)
        self.assertEqual(self.client.get(snapshot_path(path, "before-upgrade"), "Snapshot", "IsCurrent"), True)

    def test_saving_of_the_readme_runs_as_it_stands(self):
        path = self.start_domain("guest")
        self.assertRegex(self.run_snippet(1), r"(?m)^[A-Z][a-z ]+: \d+ of \d+ bytes\n(.*\n)*guest$")
        self.assertEqual(self.client.get(path, "Domain", "StateReason"), "restored")


class ClientTest(LibraryTestCase):
    def test_service_is_seen(self):
        self.assertTrue(self.library.get_service_running())
        self.assertRegex(self.library.dup_name_owner(), r"^:\d+\.\d+$")
        self.assertEqual(self.library.get_manager().props.version, self.client.get(
            "/org/vmsnap/VmSnap1/Manager", "Manager", "Version"))

    def test_asynchronous_client_is_the_same(self):
        connection = connect(self.bus.address)
        self.addCleanup(connection.close_sync, None)
        path = self.make_domain("async")
        _, result = self.finish(VmSnap.Client.new_for_connection, connection)
        client = VmSnap.Client.new_for_connection_finish(result)
        self.assertEqual(client.lookup_domain(path).get_name(), "async")

    def test_defined_domain_comes_back_as_an_object(self):
        uuid = "0c9d6f54-7c43-4a0c-9a53-3f7f7f2f0001"
        self.addCleanup(self.forget, domain_path(uuid))
        domain = self.library.define_domain_sync(plain_xml("made here", uuid=uuid), None, None)
        self.assertEqual((domain.get_name(), domain.get_uuid(), domain.get_object_path()),
                         ("made here", uuid, domain_path(uuid)))
        self.assertEqual(domain.get_state(), VmSnap.DomainState.SHUTOFF)
        self.assertTrue(domain.is_persistent())
        self.assertIn("made here", domain.get_xml_sync(None, None))

    def test_asynchronous_define_gives_the_object_that_the_signal_gave(self):
        added = []
        self.library.connect("domain-added", lambda _client, domain: added.append(domain))
        uuid = "0c9d6f54-7c43-4a0c-9a53-3f7f7f2f0002"
        self.addCleanup(self.forget, domain_path(uuid))
        source, result = self.finish(self.library.define_domain, plain_xml("signalled", uuid=uuid), None)
        self.assertEqual([source.define_domain_finish(result)], added)

    def test_domains_are_found_by_name_and_by_uuid(self):
        path = self.make_domain("by name")
        domain = self.find("by name")
        self.assertEqual(domain.get_object_path(), path)
        self.assertEqual(self.library.find_domain(domain.get_uuid().upper()), domain)
        self.assertEqual(self.library.get_domain_by_name_sync("by name", None), domain)
        self.assertEqual(self.library.get_domain_by_uuid_sync(domain.get_uuid(), None), domain)
        self.assertIn(domain, self.library.get_domains())

    def test_what_is_not_there_is_not_found(self):
        for function, *arguments in ((self.library.find_domain, "none"),
                                     (self.library.get_domain_by_name_sync, "none", None)):
            error = self.assert_vmsnap_error(VmSnap.Error.NOT_FOUND, function, *arguments)
            self.assertIn("none", error.message)
        self.assertIsNone(self.library.lookup_domain(domain_path("0c9d6f54-7c43-4a0c-9a53-3f7f7f2fffff")))
        self.assertIsNone(self.library.lookup_job("not a path"))

    def test_errors_of_the_service_have_their_codes(self):
        self.assert_vmsnap_error(VmSnap.Error.INVALID_XML, self.library.define_domain_sync, "<domain>", None, None)
        options = GLib.Variant("a{sv}", {"no-such-key": GLib.Variant("b", True)})
        error = self.assert_vmsnap_error(VmSnap.Error.INVALID_ARGUMENT, self.library.define_domain_sync,
                                         plain_xml("x"), options, None)
        self.assertIn("no-such-key", error.message)
        source, result = self.finish(self.library.define_domain, "<domain>", None)
        self.assert_vmsnap_error(VmSnap.Error.INVALID_XML, source.define_domain_finish, result)

    def test_two_clients_see_what_one_does(self):
        other = self.new_client()
        removed = []
        other.connect("domain-removed", lambda _client, domain: removed.append(domain.get_name()))
        self.make_domain("shared")
        wait_until(lambda: any(domain.get_name() == "shared" for domain in other.get_domains()), "the domain's arrival")
        self.find("shared").undefine_sync(None, None)
        wait_until(lambda: "shared" in removed, "the domain's departure")


class DomainTest(LibraryTestCase):
    def test_life_of_a_guest(self):
        self.make_domain("life", devices=SCREEN.format(socket=self.make_directory() / "vnc"))
        domain = self.find("life")
        states = []
        domain.connect("notify::state", lambda *_: states.append(domain.props.state))
        job = domain.start_sync(None, None)
        self.assertTrue(job.wait_sync(VmSnap.WaitFlags.NONE, None))
        self.assertEqual(job.get_state(), VmSnap.JobState.COMPLETED)
        self.assertEqual(job.get_operation(), "start")
        wait_until(lambda: domain.get_state() == VmSnap.DomainState.RUNNING, "the guest runs")
        self.assertEqual(domain.screenshot_sync(None).read_bytes(8, None).get_data(), b"\x89PNG\r\n\x1a\n")
        domain.pause_sync(None, None)
        wait_until(lambda: domain.get_state() == VmSnap.DomainState.PAUSED, "the guest stands still")
        self.assertEqual(domain.get_state_reason(), VmSnap.StateReason.USER)
        domain.resume_sync(None, None)
        domain.power_off_sync(None, None)
        wait_until(lambda: domain.get_state() == VmSnap.DomainState.SHUTOFF, "the guest is off")
        # A guest may be seen paused before its first instruction.
        self.assertEqual(states[-4:], ["running", "paused", "running", "shutoff"])
        self.assert_vmsnap_error(VmSnap.Error.INVALID_STATE, domain.pause_sync, None, None)

    def test_transient_domain_comes_with_its_job(self):
        uuid = "0c9d6f54-7c43-4a0c-9a53-3f7f7f2f0003"
        self.addCleanup(self.forget, domain_path(uuid))
        disk = make_disk(self.make_directory() / "transient.qcow2")
        domain, job = self.library.create_domain_sync(plain_xml("transient", [disk], uuid=uuid), None, None)
        self.assertEqual(domain.get_name(), "transient")
        job.wait_sync(VmSnap.WaitFlags.NONE, None)
        self.library.catch_up_sync(None)
        self.assertFalse(self.library.find_domain("transient").is_persistent())
        self.library.find_domain("transient").power_off_sync(None, None)
        wait_until(lambda: self.library.lookup_domain(domain_path(uuid)) is None, "the domain is forgotten")


class SnapshotTest(LibraryTestCase):
    def take(self, domain, name):
        self.assertTrue(domain.create_snapshot_sync(name, INTERNAL, None).wait_sync(VmSnap.WaitFlags.NONE, None))
        self.library.catch_up_sync(None)
        return domain.find_snapshot(name)

    def test_snapshot_is_taken_reverted_to_and_deleted(self):
        path = self.start_domain("snapped")
        domain = self.find("snapped")
        one = self.take(domain, "one")
        self.assertEqual(one.get_object_path(), snapshot_path(path, "one"))
        self.assertEqual((one.get_state(), one.get_location(), one.get_memory()),
                         (VmSnap.SnapshotState.RUNNING, VmSnap.Location.INTERNAL, VmSnap.Location.INTERNAL))
        self.assertGreater(one.get_creation_time(), 1_600_000_000_000_000)
        self.assertEqual(one.get_domain(), domain)
        self.assertIsNone(one.get_parent())
        two = self.take(domain, "zwei/2 ü".replace("/", "-"))
        self.assertEqual(two.get_parent(), one)
        self.assertEqual(one.get_children(), [two])
        self.assertEqual(domain.get_snapshots(), [one, two])
        self.assertEqual(domain.list_snapshots_sync(None, None), [one, two])
        self.assertEqual(domain.get_current_snapshot(), two)

        self.assertTrue(one.revert_sync(None, None).wait_sync(VmSnap.WaitFlags.NONE, None))
        self.library.catch_up_sync(None)
        self.assertTrue(one.is_current())
        self.assertEqual(domain.get_state_reason(), VmSnap.StateReason.FROM_SNAPSHOT)
        self.assertTrue(two.delete_sync(None, None).wait_sync(VmSnap.WaitFlags.NONE, None))
        self.library.catch_up_sync(None)
        self.assertEqual(domain.get_snapshots(), [one])
        self.assertIn("<domainsnapshot", one.get_xml_sync(None, None))

    def test_without_a_main_loop_a_wait_brings_the_objects_up_to_date(self):
        self.start_domain("loopless")
        domain = self.find("loopless")
        job = domain.create_snapshot_sync("", INTERNAL, None)
        self.assertTrue(job.wait_sync(VmSnap.WaitFlags.NONE, None))
        listed = domain.list_snapshots_sync(None, None)
        self.assertEqual(len(listed), 1)
        self.assertEqual(listed[0].get_object_path(), job.dup_result()["snapshot"])
        self.assertEqual(domain.get_snapshot_sync(listed[0].get_name(), None).get_object_path(),
                         listed[0].get_object_path())
        self.assertEqual(domain.get_snapshots(), [job.get_snapshot()])

    def test_asynchronous_calls_tell_progress_that_never_goes_back(self):
        self.start_domain("progress")
        domain = self.find("progress")
        source, result = self.finish(domain.create_snapshot, "async", INTERNAL)
        job = source.create_snapshot_finish(result)
        self.assertEqual(self.library.lookup_job(job.get_object_path()), job)
        told = []
        job.connect("notify::progress", lambda *_: told.append(job.get_progress()))
        source, result = self.finish(job.wait, VmSnap.WaitFlags.NONE)
        self.assertTrue(source.wait_finish(result))
        self.assertEqual(told, sorted(told))
        self.assertEqual(told[-1], 1.0)
        self.assertEqual(job.get_snapshot(), domain.find_snapshot("async"))

    def test_taken_name_is_refused(self):
        self.start_domain("names")
        domain = self.find("names")
        self.take(domain, "taken")
        self.assert_vmsnap_error(VmSnap.Error.ALREADY_EXISTS, domain.create_snapshot_sync, "taken", INTERNAL, None)
        self.assert_vmsnap_error(VmSnap.Error.HAS_SNAPSHOTS, domain.undefine_sync, None, None)
        self.assert_vmsnap_error(VmSnap.Error.NOT_FOUND, domain.get_snapshot_sync, "none", None)


class JobTest(LibraryTestCase):
    def start_job(self, name):
        self.make_domain(name)
        domain = self.find(name)
        return domain, domain.start_sync(GLib.Variant("a{sv}", {"paused": GLib.Variant("b", True)}), None)

    def test_end_that_came_before_the_wait_is_told(self):
        _, job = self.start_job("early")
        self.client.wait_job(job.get_object_path())
        self.assertTrue(job.wait_sync(VmSnap.WaitFlags.NONE, None))
        self.assertTrue(job.has_ended())
        self.assertTrue(job.wait_sync(VmSnap.WaitFlags.NONE, None))
        source, result = self.finish(job.wait, VmSnap.WaitFlags.NONE)
        self.assertTrue(source.wait_finish(result))

    def test_error_of_a_job_has_its_code(self):
        disk = make_disk(self.make_directory() / "gone.qcow2")
        self.define("gone", [disk])
        disk.path.unlink()
        job = self.find("gone").start_sync(None, None)
        error = self.assert_vmsnap_error(VmSnap.Error.NOT_FOUND, job.wait_sync, VmSnap.WaitFlags.NONE, None)
        self.assertIn(str(disk.path), error.message)
        self.assertEqual(job.get_state(), VmSnap.JobState.FAILED)
        self.assertEqual(job.dup_error().message, error.message)
        self.library.catch_up_sync(None)
        source, result = self.finish(self.library.lookup_job(job.get_object_path()).wait, VmSnap.WaitFlags.NONE)
        self.assert_vmsnap_error(VmSnap.Error.NOT_FOUND, source.wait_finish, result)

    def assert_wait_cancelled(self, job, cancellable):
        with self.assertRaises(GLib.Error) as caught:
            job.wait_sync(VmSnap.WaitFlags.NONE, cancellable)
        self.assertTrue(caught.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.CANCELLED))

    def test_cancelled_wait_leaves_the_job(self):
        pid = self.stopped_guest("left")
        job = self.find("left").create_snapshot_sync("taken", INTERNAL, None)
        cancellable = Gio.Cancellable()
        cancellable.cancel()
        self.assert_wait_cancelled(job, cancellable)
        os.kill(pid, signal.SIGCONT)
        self.client.wait_job(job.get_object_path())

    def test_wait_can_be_cancelled_from_another_thread(self):
        pid = self.stopped_guest("threads")
        job = self.find("threads").create_snapshot_sync("taken", INTERNAL, None)
        cancellable = Gio.Cancellable()
        thread = threading.Thread(target=cancellable.cancel)
        thread.start()
        self.assert_wait_cancelled(job, cancellable)
        thread.join()
        os.kill(pid, signal.SIGCONT)
        self.client.wait_job(job.get_object_path())

    def test_cancelled_wait_cancels_the_job_when_told_to(self):
        pid = self.stopped_guest("cancelled")
        domain = self.find("cancelled")
        source, result = self.finish(domain.create_snapshot, "never", INTERNAL)
        job = source.create_snapshot_finish(result)
        cancellable = Gio.Cancellable()
        ends = []
        job.wait(VmSnap.WaitFlags.CANCEL_JOB, cancellable, lambda _job, end: ends.append(end))
        cancellable.cancel()
        wait_until(lambda: job.get_state() == VmSnap.JobState.CANCELLING or ends, "the job is being cancelled")
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: ends, "the end of the wait")
        self.assert_vmsnap_error(VmSnap.Error.CANCELLED, job.wait_finish, ends[0])
        self.assertEqual(self.client.end_of_job(job.get_object_path()).state, "cancelled")
        self.assertEqual(domain.list_snapshots_sync(None, None), [])

    def test_dismissed_job_goes_away(self):
        _, job = self.start_job("dismissed")
        job.wait_sync(VmSnap.WaitFlags.NONE, None)
        self.library.catch_up_sync(None)
        self.assertIsNotNone(self.library.lookup_job(job.get_object_path()))
        job.dismiss_sync(None)
        wait_until(lambda: self.library.lookup_job(job.get_object_path()) is None, "the job has gone")


class ServiceTest(LibraryTestCase):
    def test_objects_come_back_with_the_service(self):
        path = self.start_domain("back")
        old = self.find("back")
        told = []
        self.library.connect("notify::service-running",
                             lambda client, _pspec: told.append(client.get_service_running()))
        self.library.connect("domain-removed", lambda _client, domain: told.append("-" + domain.get_name()))
        self.service.kill()
        wait_until(lambda: self.library.lookup_domain(path) is None, "the domain went with the service")
        self.assertEqual(self.library.get_domains(), [])
        self.assertEqual(old.get_name(), "back")
        with self.assertRaises(GLib.Error) as caught:
            old.pause_sync(None, None)
        self.assertTrue(caught.exception.matches(Gio.dbus_error_quark(), Gio.DBusError.SERVICE_UNKNOWN))
        self.assertIn("not running", caught.exception.message)
        with self.assertRaises(GLib.Error) as caught:
            self.library.find_domain("back")
        self.assertTrue(caught.exception.matches(Gio.dbus_error_quark(), Gio.DBusError.SERVICE_UNKNOWN))

        self.service.start()
        new = wait_until(lambda: self.library.lookup_domain(path), "the domain came back with the service")
        wait_until(lambda: told and told[-1] is True, "the service is told to be back")
        self.assertEqual([word for word in told if word != "-back"], [False, True])
        self.assertIn("-back", told)
        self.assertEqual(new.get_state(), VmSnap.DomainState.RUNNING)
        old.pause_sync(None, None)
        wait_until(lambda: new.get_state() == VmSnap.DomainState.PAUSED, "the old object reaches the new service")

    def test_wait_ends_when_the_service_dies(self):
        pid = self.stopped_guest("orphan")
        source, result = self.finish(self.find("orphan").create_snapshot, "lost", INTERNAL)
        job = source.create_snapshot_finish(result)
        ends = []
        job.wait(VmSnap.WaitFlags.NONE, None, lambda source, result: ends.append(result))
        self.service.kill()
        try:
            wait_until(lambda: ends, "the end of the wait")
            with self.assertRaises(GLib.Error) as caught:
                job.wait_finish(ends[0])
            self.assertTrue(caught.exception.matches(Gio.dbus_error_quark(), Gio.DBusError.NO_REPLY))
        finally:
            os.kill(pid, signal.SIGCONT)
            self.service.start()


class SaveTest(LibraryTestCase):
    """Guests go into images, and come back."""

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.file = Gio.File.new_for_path(str(self.directory / "image"))

    def started(self, name):
        self.start_domain(name)
        return self.find(name)

    def wait_state(self, domain, state):
        wait_until(lambda: domain.get_state() == state, f"the state {state}")

    def test_guest_is_saved_with_progress_and_restored(self):
        domain = self.started("saved")
        job = domain.save_to_file_sync(self.file, None, None)
        told = []
        self.assertTrue(job.wait_with_progress_sync(VmSnap.WaitFlags.NONE, None,
                                                    lambda *arguments: told.append(arguments)))
        self.assertEqual(job.get_operation(), "save")
        self.assertTrue(told)
        self.assertTrue(all(arguments[0] == job for arguments in told))
        self.assertTrue(any(phase for _job, phase, _done, _total in told))
        _job, _phase, done, total = told[-1]
        self.assertGreater(done, 0)
        self.assertEqual(done, total)
        self.wait_state(domain, VmSnap.DomainState.SHUTOFF)
        self.assertEqual(os.stat(self.file.get_path()).st_mode & 0o777, 0o600)

        job = self.library.restore_domain_from_file_sync(self.file, None, None)
        job.wait_sync(VmSnap.WaitFlags.NONE, None)
        self.assertEqual(job.get_domain(), domain)
        self.wait_state(domain, VmSnap.DomainState.RUNNING)
        self.assertEqual(domain.get_state_reason(), VmSnap.StateReason.RESTORED)

    def test_asynchronous_calls_do_the_same(self):
        domain = self.started("saved async")
        _, result = self.finish(domain.save_to_file, self.file, None)
        job = domain.save_to_file_finish(result)
        told, ends = [], []
        job.wait_with_progress(VmSnap.WaitFlags.NONE, progress_callback=lambda *arguments: told.append(arguments),
                               callback=lambda job, result: ends.append(job.wait_with_progress_finish(result)))
        self.assertEqual(wait_until(lambda: ends, "the end of the save"), [True])
        self.assertEqual(told[-1][2], told[-1][3])
        _, result = self.finish(self.library.inspect_image_file, self.file)
        self.assertEqual(self.library.inspect_image_file_finish(result).get_domain_name(), "saved async")
        _, result = self.finish(self.library.rewrite_image_file, self.file, self.options(paused=True))
        self.assertTrue(self.library.rewrite_image_file_finish(result))
        _, result = self.finish(self.library.restore_domain_from_file, self.file, None)
        self.library.restore_domain_from_file_finish(result).wait_sync(VmSnap.WaitFlags.NONE, None)
        self.wait_state(domain, VmSnap.DomainState.PAUSED)

    @staticmethod
    def options(**values):
        return GLib.Variant("a{sv}", {key: GLib.Variant("b", value) for key, value in values.items()})

    def test_descriptors_do_as_well_as_files_and_stay_the_callers(self):
        domain = self.started("by descriptor")
        fd = os.open(self.file.get_path(), os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, fd)
        domain.save_sync(fd, None, None).wait_sync(VmSnap.WaitFlags.NONE, None)
        info = self.library.inspect_image_sync(fd, None)
        self.assertEqual((info.get_format_version(), info.is_complete(), info.get_state(), info.get_encoding()),
                         (2, True, VmSnap.DomainState.RUNNING, "raw"))
        self.assertEqual((info.props.domain_name, info.props.domain_uuid), ("by descriptor", domain.get_uuid()))
        self.assertIn("<name>by descriptor</name>", info.props.xml)
        self.assertLess(0, info.props.memory_size)
        self.assertLess(info.props.memory_size, os.fstat(fd).st_size)
        self.library.rewrite_image_sync(fd, self.options(paused=True), None)
        self.assertEqual(self.library.inspect_image_sync(fd, None).props.state, VmSnap.DomainState.PAUSED)
        self.library.restore_domain_sync(fd, self.options(running=True), None).wait_sync(VmSnap.WaitFlags.NONE, None)
        self.wait_state(domain, VmSnap.DomainState.RUNNING)
        for name, *arguments in (("save", None), ("restore_domain", None), ("inspect_image",), ("rewrite_image", None)):
            with self.subTest(name):
                source = domain if name == "save" else self.library
                _, result = self.finish(getattr(source, name), -1, *arguments)
                with self.assertRaises(GLib.Error):
                    getattr(source, name + "_finish")(result)

    def test_managed_save_is_kept_restored_and_removed(self):
        domain = self.started("managed")
        domain.managed_save_sync(None, None).wait_sync(VmSnap.WaitFlags.NONE, None)
        wait_until(domain.has_managed_save, "the managed save")
        self.assert_vmsnap_error(VmSnap.Error.HAS_MANAGED_SAVE, domain.undefine_sync, None, None)
        domain.start_sync(None, None).wait_sync(VmSnap.WaitFlags.NONE, None)
        self.wait_state(domain, VmSnap.DomainState.RUNNING)
        self.assertFalse(domain.has_managed_save())
        _, result = self.finish(domain.managed_save, None)
        domain.managed_save_finish(result).wait_sync(VmSnap.WaitFlags.NONE, None)
        _, result = self.finish(domain.remove_managed_save, None)
        self.assertTrue(domain.remove_managed_save_finish(result))
        self.assert_vmsnap_error(VmSnap.Error.NOT_FOUND, domain.remove_managed_save_sync, None, None)

    def test_what_is_no_image_is_never_overwritten(self):
        domain = self.started("careful")
        path = self.directory / "image"
        path.write_text("the only copy of my thesis", encoding="utf-8")
        error = self.assert_vmsnap_error(VmSnap.Error.ALREADY_EXISTS, domain.save_to_file_sync, self.file, None, None)
        self.assertIn(str(path), error.message)
        source, result = self.finish(domain.save_to_file, self.file, None)
        self.assert_vmsnap_error(VmSnap.Error.ALREADY_EXISTS, source.save_to_file_finish, result)
        self.assertEqual(path.read_text(encoding="utf-8"), "the only copy of my thesis")
        for other in (self.directory.as_uri(), "file:///dev/null", "sftp://elsewhere/image"):
            self.assert_vmsnap_error(VmSnap.Error.INVALID_ARGUMENT, domain.save_to_file_sync,
                                     Gio.File.new_for_uri(other), None, None)
        self.assertEqual(domain.get_state(), VmSnap.DomainState.RUNNING)
        # Nothing was ever whole in these.
        for content in (b"LibvirtQemudPart", b""):
            path.write_bytes(content)
            domain.save_to_file_sync(self.file, None, None).wait_sync(VmSnap.WaitFlags.NONE, None)
            self.assertTrue(self.library.inspect_image_file_sync(self.file, None).is_complete())
            self.library.restore_domain_from_file_sync(self.file, None, None).wait_sync(VmSnap.WaitFlags.NONE, None)
        # A guest may be nowhere else.
        before = path.read_bytes()
        error = self.assert_vmsnap_error(VmSnap.Error.ALREADY_EXISTS, domain.save_to_file_sync, self.file, None, None)
        self.assertIn("--force", error.message)
        self.assertEqual(path.read_bytes(), before)

    def test_refused_save_leaves_no_file(self):
        self.make_domain("off")
        domain = self.find("off")
        self.assert_vmsnap_error(VmSnap.Error.INVALID_STATE, domain.save_to_file_sync, self.file, None, None)
        self.assertEqual(list(self.directory.iterdir()), [])
        source, result = self.finish(domain.save_to_file, self.file, self.options(running=True, paused=True))
        self.assert_vmsnap_error(VmSnap.Error.INVALID_ARGUMENT, source.save_to_file_finish, result)
        self.assertEqual(list(self.directory.iterdir()), [])
        self.assert_vmsnap_error(VmSnap.Error.NOT_FOUND, self.library.inspect_image_file_sync, self.file, None)
        self.assert_vmsnap_error(VmSnap.Error.NOT_FOUND, self.library.restore_domain_from_file_sync, self.file, None,
                                 None)

    def test_options_of_a_wrong_type_are_refused_before_anything_is_done(self):
        self.make_domain("typed")
        domain = self.find("typed")
        wrong = GLib.Variant("s", "x")
        for call, arguments in ((domain.save_to_file_sync, (self.file,)), (domain.save_sync, (0,)),
                                (domain.managed_save_sync, ()), (domain.create_snapshot_sync, ("name",)),
                                (domain.start_sync, ()), (self.library.restore_domain_sync, (0,)),
                                (self.library.restore_domain_from_file_sync, (self.file,)),
                                (self.library.rewrite_image_sync, (0,)),
                                (self.library.rewrite_image_file_sync, (self.file,))):
            with self.subTest(call):
                error = self.assert_vmsnap_error(VmSnap.Error.INVALID_ARGUMENT, call, *arguments, wrong, None)
                self.assertIn("a{sv}", error.message)
        for call, arguments, finish in ((domain.save_to_file, (self.file,), domain.save_to_file_finish),
                                        (domain.managed_save, (), domain.managed_save_finish)):
            _source, result = self.finish(call, *arguments, wrong)
            self.assert_vmsnap_error(VmSnap.Error.INVALID_ARGUMENT, finish, result)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_images_are_opened_for_what_they_are_needed(self):
        fd, created = VmSnap.image_open(self.file, VmSnap.ImageAccess.SAVE)
        os.close(fd)
        self.assertTrue(created)
        for access in (VmSnap.ImageAccess.READ, VmSnap.ImageAccess.REWRITE, VmSnap.ImageAccess.SAVE,
                       VmSnap.ImageAccess.OVERWRITE):
            fd, created = VmSnap.image_open(self.file, access)
            self.assertFalse(created)
            os.close(fd)
        (self.directory / "image").write_text("not an image", encoding="utf-8")
        fd, _created = VmSnap.image_open(self.file, VmSnap.ImageAccess.OVERWRITE)
        self.assertEqual(os.pread(fd, 3, 0), b"not")
        os.close(fd)


if __name__ == "__main__":
    main()
