# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domain and Job: guests that boot nothing are started, stopped, paused; jobs tell of it."""

import os
import uuid as uuid_module

from support import BusTestCase, plain_xml
from vmsnaptest import (BUS_NAME, MANAGER, BareQmp, BusError, Disk, continue_process, main, make_disk, paths, stop_process,
                        wait_until)


class Domain(BusTestCase):

    def call(self, path, member, *arguments, **options):
        return self.client.call(path, "Domain", member, *arguments, **options)

    def start(self, path, **options):
        return self.client.run(path, "Domain", "Start", **options)

    def wait_state(self, path, state):
        self.client.wait_property(path, "Domain", "State", state)

    def events(self, path):
        return [signal.arguments[0] for signal in self.client.signals
                if signal.path == path and signal.member == "Event"]

    def test_start_runs_the_guest_and_shows_a_job(self):
        path = self.define("started")
        job = self.call(path, "Start")
        shown = self.client.wait_signal("InterfacesAdded", lambda signal: signal.arguments[0] == job)
        first = shown.arguments[1][BUS_NAME + ".Job"]
        self.assertEqual((first["Operation"], first["Domain"], first["State"]), ("start", path, "queued"))
        self.assertEqual(first["CallerUid"], os.getuid())
        self.client.wait_job(job)
        properties = self.client.get_all(job, "Job")
        self.assertEqual((properties["State"], properties["Progress"], properties["Error"]),
                         ("completed", 1.0, ("", "")))
        self.assertFalse(properties["Cancellable"])
        self.assertGreaterEqual(properties["EndTime"], properties["StartTime"])
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")
        self.assertEqual(self.client.get(path, "Domain", "StateReason"), "booted")
        self.assertIn("started", self.events(path))

    def test_whoever_hears_of_the_end_has_heard_of_the_changes(self):
        path = self.define("in-order")
        job = self.call(path, "Start")
        self.client.wait_job(job)
        heard = [signal for signal in self.client.signals if signal.path in (path, job)]
        end = next(i for i, signal in enumerate(heard) if signal.member == "Completed")
        told = {}
        for signal in heard[:end]:
            if signal.member == "PropertiesChanged":
                told.setdefault(signal.path, {}).update(signal.arguments[1])
        self.assertEqual(told[path]["State"], "running")
        self.assertEqual(told[job]["State"], "completed")
        self.assertEqual(told[job]["Progress"], 1.0)
        self.assertEqual([signal.member for signal in heard].count("Completed"), 1)

    def test_progress_never_goes_back(self):
        path = self.define("forward")
        job = self.call(path, "Start")
        self.client.wait_job(job)
        told = [signal.arguments[1]["Progress"] for signal in self.client.signals
                if signal.path == job and signal.member == "PropertiesChanged" and "Progress" in signal.arguments[1]]
        self.assertEqual(told, sorted(told))
        self.assertEqual(told[-1], 1.0)
        self.assertLess(max(told[:-1], default=0.0), 1.0)

    def test_started_paused_stays_paused_until_resumed(self):
        path = self.define("paused-start")
        self.start(path, paused=True)
        self.assertEqual(self.client.get(path, "Domain", "State"), "paused")
        self.call(path, "Resume")
        self.wait_state(path, "running")

    def test_pause_and_resume(self):
        path = self.define("paused")
        self.start(path)
        self.call(path, "Pause")
        self.wait_state(path, "paused")
        self.assertEqual(self.client.get(path, "Domain", "StateReason"), "user")
        self.call(path, "Resume")
        self.wait_state(path, "running")
        wait_until(lambda: {"paused", "resumed"} <= set(self.events(path)), "events of both")

    def test_reset_leaves_it_running(self):
        path = self.define("reset")
        self.start(path)
        self.call(path, "Reset")
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")

    def test_power_off_ends_it(self):
        path = self.define("powered-off")
        self.start(path)
        self.call(path, "PowerOff")
        self.wait_state(path, "shutoff")
        self.assertEqual(self.client.get(path, "Domain", "StateReason"), "destroyed")
        self.assertTrue(self.client.get(path, "Domain", "Persistent"))
        wait_until(lambda: "stopped" in self.events(path), "the event")

    def test_shutdown_asks_the_guest(self):
        path = self.define("asked")
        self.start(path)
        self.call(path, "Shutdown")
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")

    def test_control_of_a_domain_that_is_off_is_refused(self):
        path = self.define("off")
        for member in ("Shutdown", "PowerOff", "Reset", "Pause", "Resume", "Screenshot"):
            with self.subTest(member):
                self.assert_refused("InvalidState", path, "Domain", member, says="off")

    def test_caller_hears_of_a_hanging_qemu_before_d_bus_gives_up(self):
        path = self.define("hanging")
        self.start(path)
        (pid,) = self.service.guests()
        self.addCleanup(continue_process, pid)
        stop_process(pid)
        with self.assertRaises(BusError) as caught:
            self.client.call(path, "Domain", "Pause", timeout=25)
        self.assert_error(caught.exception, "Timeout", ["hanging", "power the domain off"])
        continue_process(pid)
        self.wait_state(path, "paused")

    def test_start_of_a_running_domain_is_refused(self):
        path = self.define("twice")
        self.start(path)
        with self.assertRaises(BusError) as caught:
            self.call(path, "Start")
        self.assert_error(caught.exception, "InvalidState", "twice")

    def test_screenshot_is_a_png_in_a_descriptor(self):
        path = self.define("seen", devices="<video><model type='vga'/></video>")
        self.start(path)
        image = self.call(path, "Screenshot")
        with open(image, "rb") as stream:
            self.assertEqual(stream.read(8), b"\x89PNG\r\n\x1a\n")

    def test_transient_domain_goes_with_its_guest(self):
        path, job = self.client.call(MANAGER, "Manager", "CreateDomain", "s", plain_xml("transient"))
        self.addCleanup(self.forget, path)
        self.client.wait_job(job)
        self.assertFalse(self.client.get(path, "Domain", "Persistent"))
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")
        self.assert_refused("InvalidState", path, "Domain", "GetXml", inactive=True, says="transient")
        self.call(path, "PowerOff")
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)

    def test_transient_domain_may_start_paused(self):
        xml = plain_xml("transient-paused")
        path, job = self.client.call(MANAGER, "Manager", "CreateDomain", "s", xml, paused=True)
        self.addCleanup(self.forget, path)
        self.client.wait_job(job)
        self.assertEqual(self.client.get(path, "Domain", "State"), "paused")

    def test_transient_domain_that_fails_to_start_goes_away(self):
        missing = Disk("/nonexistent/disk.qcow2")
        before = self.client.objects()
        try:
            path, job = self.client.call(MANAGER, "Manager", "CreateDomain", "s", plain_xml("doomed", [missing]))
        except BusError as error:
            self.assert_error(error, "NotFound", "/nonexistent/disk.qcow2")
        else:
            end = self.client.end_of_job(job)
            self.assertEqual((end.state, end.error), ("failed", "NotFound"))
            self.assertIn("/nonexistent/disk.qcow2", end.message)
            self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)
        self.assertEqual({path for path in self.client.objects() if "/domains/" in path},
                         {path for path in before if "/domains/" in path})

    def test_xml_comes_back_as_it_was_defined(self):
        path = self.define("described", memory_mib=72)
        xml = self.call(path, "GetXml")
        self.assertIn("<name>described</name>", xml)
        self.assertEqual(self.call(path, "GetXml", inactive=True), xml)

    def test_definition_of_a_running_guest_and_of_its_next_start_differ(self):
        path = self.define("differs", memory_mib=64)
        self.start(path)
        uuid = self.client.get(path, "Domain", "Uuid")
        self.client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("differs", uuid=uuid, memory_mib=80))
        live, later = self.call(path, "GetXml"), self.call(path, "GetXml", inactive=True)
        self.assertNotEqual(live, later)
        self.assertEqual(self.client.get(path, "Domain", "Memory"), 64 << 20)

    def test_undefining_a_running_domain_makes_it_transient(self):
        path = self.define("made-transient")
        self.start(path)
        self.call(path, "Undefine")
        self.client.wait_property(path, "Domain", "Persistent", False)
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")
        self.call(path, "PowerOff")
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)

    def test_reset_of_a_crashed_guest_lets_it_run(self):
        directory = self.make_directory()
        arguments = ["-device", "pvpanic", "-action", "panic=pause", "-qmp",
                     f"unix:{directory}/second.sock,server=on,wait=off"]
        uuid = str(uuid_module.uuid4())
        xml = plain_xml("crashed", uuid=uuid).replace(
            "<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ").replace(
            "</domain>", "<qemu:commandline>" + "".join(f"<qemu:arg value='{value}'/>" for value in arguments)
            + "</qemu:commandline></domain>")
        path = self.client.call(MANAGER, "Manager", "DefineDomain", "s", xml)
        self.addCleanup(self.forget, path)
        self.start(path)
        # The second Pause stops nothing, and must not explain the stop that the crash brings.
        for method in ("Pause", "Pause", "Resume"):
            self.call(path, method)
        with BareQmp(directory / "second.sock") as second:
            second.execute("human-monitor-command", {"command-line": "o /b 0x505 1"})
            self.client.wait_signal("Event", lambda signal: signal.arguments[0] == "crashed")
            self.assertEqual(second.status(), "guest-panicked")
        self.assertEqual(self.client.get(path, "Domain", "State"), "crashed")
        self.assert_refused("InvalidState", path, "Domain", "Resume")
        self.call(path, "Reset")
        self.wait_state(path, "running")

    def define_uefi(self, name):
        code, variables = paths.firmware()
        uuid = str(uuid_module.uuid4())
        disk = make_disk(self.make_directory() / "vda.qcow2", 8)
        xml = plain_xml(name, [disk], uuid=uuid).replace(
            "machine='pc'>hvm</type>", "machine='q35'>hvm</type>"
            f"<loader readonly='yes' type='pflash'>{code}</loader><nvram template='{variables}'/>")
        path = self.client.call(MANAGER, "Manager", "DefineDomain", "s", xml)
        self.addCleanup(self.forget, path)
        return path, self.service.state / "domains" / uuid

    def test_undefined_running_guest_keeps_its_uefi_variables(self):
        path, directory = self.define_uefi("uefi")
        self.start(path)
        self.client.run(path, "Domain", "CreateSnapshot", "s", "before", location="internal")
        kept = set(directory.rglob("*.fd"))
        self.assertEqual(len(kept), 2)
        self.call(path, "Undefine", snapshots_metadata=True)
        self.assertEqual(self.client.call(path, "Domain", "ListSnapshots"), [])
        self.assertEqual(list(directory.rglob("*.xml")), [])
        self.assertEqual([file.name for file in directory.rglob("*.fd")], ["VARS.fd"])
        # It works on: what is kept with a snapshot is read from there.
        snapshot = self.client.run(path, "Domain", "CreateSnapshot", "s", "after", location="internal")["snapshot"]
        self.client.run(snapshot, "Snapshot", "Delete")
        self.call(path, "PowerOff")
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)
        self.assertFalse(directory.exists())

    def test_variables_stay_while_a_transient_domain_has_snapshots_on_record(self):
        path, directory = self.define_uefi("uefi-kept")
        self.start(path)
        self.call(path, "Undefine")
        self.client.run(path, "Domain", "CreateSnapshot", "s", "kept", location="internal")
        self.call(path, "PowerOff")
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)
        self.assertIn("VARS.fd", [file.name for file in directory.rglob("*.fd")])

    def test_undefined_domain_that_is_off_leaves_nothing(self):
        path, directory = self.define_uefi("uefi-off")
        self.start(path)
        self.call(path, "PowerOff")
        self.call(path, "Undefine")
        self.assertFalse(directory.exists())

    def test_disks_tell_their_chains(self):
        directory = self.make_directory()
        base = make_disk(directory / "base.qcow2", 8)
        top = make_disk(directory / "top.qcow2", backing=base)
        path = self.define("chained", [top])
        disks = self.client.wait_property(path, "Domain", "Disks", lambda disks: disks and len(disks[0]["chain"]) == 2)
        self.assertEqual(disks, [{"target": "vda", "path": str(top.path), "format": "qcow2", "device": "disk",
                                  "read-only": False, "chain": [str(top.path), str(base.path)]}])

    def test_missing_disk_is_named(self):
        path = self.define("no-disk", [Disk("/nonexistent/disk.qcow2")])
        with self.assertRaises((BusError, AssertionError)) as caught:
            self.start(path)
        self.assertIn("/nonexistent/disk.qcow2", str(caught.exception))
        self.assertEqual(self.client.get(path, "Domain", "State"), "shutoff")

    def test_second_operation_waits_in_line_or_is_busy(self):
        path = self.define("queued")
        first = self.call(path, "Start")
        self.assert_refused("Busy", path, "Domain", "CreateSnapshot", "s", "x", location="internal", queue=False)
        self.assert_refused("Busy", path, "Domain", "Undefine", queue=False, says="queue")
        self.client.wait_job(first)

    def test_ended_job_is_read_late_and_dismissed(self):
        path = self.define("dismissed")
        job = self.call(path, "Start")
        self.client.wait_job(job)
        with self.service.client() as late:
            self.assertEqual(late.get(job, "Job", "State"), "completed")
            late.call(job, "Job", "Dismiss")
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == job)
        self.assertNotIn(job, self.client.objects())

    def test_ended_job_cannot_be_cancelled(self):
        path = self.define("too-late")
        job = self.call(path, "Start")
        self.client.wait_job(job)
        self.assert_refused("InvalidState", job, "Job", "Cancel", says="ended")

    def test_job_that_works_cannot_be_dismissed(self):
        path = self.define("too-early")
        job = self.call(path, "Start")
        self.assert_refused("InvalidState", job, "Job", "Dismiss", says="has not ended")
        self.client.wait_job(job)

    def test_cancelled_start_leaves_the_domain_off(self):
        path = self.define("cancelled")
        job = self.call(path, "Start")
        self.client.call(job, "Job", "Cancel")
        end = self.client.end_of_job(job)
        self.assertEqual((end.state, end.error), ("cancelled", "Cancelled"))
        self.assertEqual(self.client.get(path, "Domain", "State"), "shutoff")

    def test_caller_that_goes_leaves_its_job_working(self):
        path = self.define("left-alone")
        with self.service.client() as caller:
            job = caller.call(path, "Domain", "Start")
        self.client.wait_property(job, "Job", "State", "completed")
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")


if __name__ == "__main__":
    main()
