#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains from their definition to their end, with real guests: what the bus says is what QEMU does."""

import os
import stat
import xml.etree.ElementTree as ElementTree

from vmsnaptest import Disk, PrivateBus, Service, last_beat, main, make_disk, make_disks, qemu_img

from machines import DOMAIN, Machine, ServiceCase, command_line

VIDEO = '<video><model type="vga"/></video>'


class Definitions(ServiceCase):
    """Domains that are off."""

    def test_defined_domain_is_shut_off_and_shows_its_definition(self):
        machine = self.machine(memory_mib=320, vcpus=2)
        values = self.client.get_all(machine.path, DOMAIN)
        self.assertEqual((values["Name"], values["Uuid"]), (machine.name, machine.uuid))
        self.assertEqual((values["State"], values["Persistent"]), ("shutoff", True))
        self.assertEqual((values["Memory"], values["Vcpus"]), (320 << 20, 2))
        self.assertEqual((values["CurrentSnapshot"], values["Job"]), ("/", "/"))
        self.assertFalse(values["HasManagedSave"] or values["GuestAgent"])
        self.assertEqual([(disk["target"], disk["path"], disk["format"], disk["read-only"]) for disk in values["Disks"]],
                         [(disk.target, str(disk.path), "qcow2", False) for disk in machine.disks])
        self.assertEqual(machine.pid(), None)

    def test_machine_type_is_stored_with_its_version(self):
        machine = self.machine(machine="q35")
        kind = ElementTree.fromstring(machine.call("GetXml")).find("os/type").get("machine")
        self.assertRegex(kind, r"^pc-q35-\d+\.\d+$")

    def test_defining_the_same_uuid_again_replaces_the_definition(self):
        machine = self.machine()
        machine.define(memory_mib=300, disks=machine.disks[:1])
        self.assertEqual(machine.get("Memory"), 300 << 20)
        self.assertEqual(len(machine.get("Disks")), 1)
        self.assertEqual(machine.call_manager("GetDomainByUuid", machine.uuid), machine.path)

    def test_definition_outlives_the_service(self):
        machine = self.machine()
        before = machine.call("GetXml")
        self.service.restart()
        self.assertEqual(machine.call("GetXml"), before)
        self.assertEqual(machine.state[0], "shutoff")

    def test_undefined_domain_is_gone_with_its_files(self):
        machine = self.machine()
        self.assertTrue(machine.store.is_dir())
        machine.call("Undefine")
        self.assertFalse(machine.is_there())
        self.assert_bus_error("NotFound", machine.uuid, machine.call_manager, "GetDomainByUuid", machine.uuid)
        self.assertFalse(machine.store.exists())

    def test_words_to_a_domain_that_is_off_are_invalid(self):
        machine = self.machine()
        for member in ("Shutdown", "PowerOff", "Reset", "Pause", "Resume", "Screenshot"):
            with self.subTest(member):
                self.assert_bus_error("InvalidState", machine.name, machine.call, member)


class DiskFiles(ServiceCase):
    """What is checked of disks before anything is started."""

    def assert_start_fails_and_works_after_repair(self, machine, error, words, repair):
        """The failed start changes nothing: no process, no files, no claims."""
        self.assert_job_fails(error, words, machine.call("Start"))
        self.assertEqual(machine.state[0], "shutoff")
        self.assertEqual(machine.pid(), None)
        self.assertFalse(machine.runtime.exists())
        self.assertEqual(machine.journals(), [])
        repair()
        machine.start(paused=True)
        self.assertEqual(machine.state, ("paused", "user"))
        machine.shut_off()
        self.assertFalse(machine.runtime.exists())

    def test_missing_disk_is_named(self):
        folder = self.folder()
        machine = self.machine(disks=[make_disk(folder / "a.qcow2"), Disk(folder / "none.qcow2", target="vdb")])
        self.assert_start_fails_and_works_after_repair(
            machine, "NotFound", folder / "none.qcow2", lambda: make_disk(folder / "none.qcow2"))

    def test_disk_of_another_format_is_refused(self):
        folder = self.folder()
        disk = make_disk(folder / "a.raw", image_format="raw")
        machine = self.machine(disks=[Disk(disk.path, "qcow2")])
        self.assert_start_fails_and_works_after_repair(
            machine, "InvalidArgument", [disk.path, "qcow2"], lambda: make_disk(disk.path))

    def test_directory_is_no_disk(self):
        folder = self.folder()
        (folder / "a.qcow2").mkdir()
        machine = self.machine(disks=[Disk(folder / "a.qcow2")])

        def repair():
            (folder / "a.qcow2").rmdir()
            make_disk(folder / "a.qcow2")

        self.assert_start_fails_and_works_after_repair(machine, "InvalidArgument", folder / "a.qcow2", repair)

    def test_garbage_is_no_qcow2(self):
        folder = self.folder()
        (folder / "a.qcow2").write_bytes(b"QFI\xfb" + b"\xff" * 100000)
        machine = self.machine(disks=[Disk(folder / "a.qcow2")])
        self.assert_job_fails_with_path(machine, folder / "a.qcow2")
        (folder / "a.qcow2").unlink()
        make_disk(folder / "a.qcow2")
        machine.start(paused=True)

    def assert_job_fails_with_path(self, machine, path):
        end = self.client.end_of_job(machine.call("Start"))
        self.assertEqual(end.state, "failed")
        self.assertIn(str(path), end.message)
        self.assertEqual(machine.pid(), None)

    def test_backing_file_without_a_format_is_refused(self):
        """Whoever guesses a format can be led by the guest to any file of the host."""
        folder = self.folder()
        base = make_disk(folder / "base.qcow2")
        top = make_disk(folder / "top.qcow2", backing=base)
        qemu_img("rebase", "-u", "-b", "", top.path)
        # qemu-img no longer writes such a header; an older one did.
        self.strip_backing_format(top.path, base.path)
        machine = self.machine(disks=[top])
        self.assert_start_fails_and_works_after_repair(
            machine, "InvalidArgument", [top.path, "rebase"],
            lambda: qemu_img("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base.path, top.path))

    @staticmethod
    def strip_backing_format(path, base):
        """Writes a backing file's name into a qcow2 header by hand, with no word of its format."""
        name = os.fsencode(base)
        with open(path, "r+b") as image:
            header = image.read(104)
            end = int.from_bytes(header[100:104], "big")
            offset = 65536 - 1024
            image.seek(end)
            image.write(bytes(offset - end))
            image.seek(offset)
            image.write(name)
            image.seek(8)
            image.write(offset.to_bytes(8, "big") + len(name).to_bytes(4, "big"))

    def test_missing_backing_file_is_named(self):
        folder = self.folder()
        base = make_disk(folder / "base.qcow2")
        top = make_disk(folder / "top.qcow2", backing=base)
        base.path.rename(folder / "away.qcow2")
        machine = self.machine(disks=[top])
        self.assert_start_fails_and_works_after_repair(
            machine, "NotFound", base.path, lambda: (folder / "away.qcow2").rename(base.path))

    def test_file_used_by_two_disks_is_refused(self):
        folder = self.folder()
        disk = make_disk(folder / "a.qcow2")
        (folder / "b.qcow2").symlink_to(disk.path)
        machine = self.machine(disks=[disk, Disk(folder / "b.qcow2", target="vdb")])
        self.assert_bus_error("InvalidXml", disk.path, machine.define,
                              disks=[disk, Disk(disk.path, target="vdb")])
        self.assert_start_fails_and_works_after_repair(
            machine, "InvalidArgument", folder / "b.qcow2", lambda: machine.define(disks=[disk]))

    def test_disk_of_a_running_domain_is_busy_under_any_name(self):
        folder = self.folder()
        disk = make_disk(folder / "a.qcow2")
        owner = self.machine("owner", [disk]).start(paused=True)
        (folder / "symlink").symlink_to(disk.path)
        (folder / "hardlink").hardlink_to(disk.path)
        for path in (disk.path, folder / "symlink", folder / "hardlink"):
            with self.subTest(path.name):
                other = self.machine(disks=[Disk(path)])
                self.assert_job_fails("Busy", [path, "owner"], other.call("Start"))
                self.assertEqual(other.pid(), None)
                other.discard()
        other = self.machine(disks=[disk])
        self.assert_job_fails("Busy", [disk.path, "owner"], other.call("Start"))
        owner.shut_off()
        other.start(paused=True)

    def test_overlay_of_a_disk_that_is_written_is_busy(self):
        folder = self.folder()
        base = make_disk(folder / "base.qcow2")
        self.machine("writer", [base]).start(paused=True)
        other = self.machine(disks=[make_disk(folder / "top.qcow2", backing=base)])
        self.assert_job_fails("Busy", [base.path, "writer"], other.call("Start"))

    def test_two_overlays_share_a_base(self):
        folder = self.folder()
        base = make_disk(folder / "base.qcow2")
        for name in ("one", "two"):
            self.machine(name, [make_disk(folder / f"{name}.qcow2", backing=base)]).start(paused=True)

    def test_chain_is_shown_active_file_first(self):
        folder = self.folder()
        disks = [make_disk(folder / "0.qcow2")]
        for i in range(1, 4):
            disks.append(make_disk(folder / f"{i}.qcow2", backing=disks[-1]))
        machine = self.machine(disks=disks[-1:])
        chain = [str(disk.path) for disk in reversed(disks)]
        self.assertEqual(machine.get("Disks")[0]["chain"], chain)
        machine.start(paused=True)
        self.assertEqual(machine.get("Disks")[0]["chain"], chain)

    def test_service_starts_guests_on_long_chains_and_survives_them(self):
        """libvirt gives up at 25 files, and kills the running guest when it is restarted."""
        folder = self.folder()
        disk = make_disk(folder / "0.qcow2")
        for i in range(1, 40):
            disk = make_disk(folder / f"{i}.qcow2", backing=disk)
        machine = self.machine(disks=[disk]).start(paused=True)
        pid = machine.pid()
        self.assertEqual(len(machine.get("Disks")[0]["chain"]), 40)
        self.service.restart()
        self.assertEqual((machine.pid(), machine.state[0]), (pid, "paused"))
        machine.snapshot("deep")
        machine.revert("deep")


class BadEmulators(ServiceCase):
    """Emulators that are not what they should be."""

    def emulated_by(self, script, name="emulator"):
        """A domain whose own emulator is this script; the definition is checked against the real one."""
        path = self.folder() / name
        self.write_script(path, f'exec {self.service.emulator} "$@"')
        machine = self.undefined_machine()
        tree = ElementTree.fromstring(machine.xml())
        ElementTree.SubElement(tree.find("devices"), "emulator").text = str(path)
        machine.call_manager("DefineDomain", ElementTree.tostring(tree, encoding="unicode"))
        if script is None:
            path.unlink()
        else:
            self.write_script(path, script)
        return machine, path

    @staticmethod
    def write_script(path, text):
        fresh = path.with_suffix(".new")
        fresh.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        fresh.chmod(0o755)
        fresh.rename(path)

    def assert_start_fails(self, machine, path, errors, words=()):
        end = self.client.end_of_job(machine.call("Start"), 120)
        self.assertEqual(end.state, "failed")
        self.assertIn(end.error, errors, end.message)
        for word in [path, *words]:
            self.assertIn(str(word), end.message)
        self.assertEqual(machine.state[0], "shutoff")
        self.assertEqual(machine.pid(), None)
        self.assertFalse(machine.runtime.exists())
        self.assertEqual(machine.journals(), [])
        self.write_script(path, f'exec {self.service.emulator} "$@"')
        machine.start(paused=True)

    def test_absent(self):
        machine, path = self.emulated_by(None)
        self.assert_start_fails(machine, path, ["NotFound"])

    def test_exits_at_once(self):
        machine, path = self.emulated_by('echo "no such luck" >&2; exit 3')
        self.assert_start_fails(machine, path, ["Hypervisor"], ["no such luck"])

    def test_prints_garbage(self):
        machine, path = self.emulated_by("yes garbage | head -c 1000000")
        self.assert_start_fails(machine, path, ["Hypervisor"])

    def test_exits_only_when_it_is_to_run_a_guest(self):
        """What it can do is known, for it was asked; then it can't."""
        real = self.service.emulator
        machine, path = self.emulated_by(f'''case "$*" in
          *-pidfile*) echo "cannot set up guest memory" >&2; exit 1;;
        esac
        exec {real} "$@"''')
        self.assert_start_fails(machine, path, ["Hypervisor"], ["cannot set up guest memory"])

    def test_start_on_a_silent_one_can_be_cancelled(self):
        machine, path = self.emulated_by("exec sleep 1000")
        job = machine.call("Start")
        self.client.wait_property(job, "Job", "Phase", "Checking disks")
        self.client.call(job, "Job", "Cancel")
        end = self.client.end_of_job(job)
        self.assertEqual((end.state, end.error), ("cancelled", "Cancelled"))
        self.assertEqual([pid for pid in self.service.guests() if os.fsencode(path) in command_line(pid)], [])
        self.assertFalse(machine.runtime.exists())

    def test_guest_that_never_speaks_can_be_given_up(self):
        real = self.service.emulator
        machine, path = self.emulated_by(f'''case "$*" in
          *-pidfile*) exec sleep 1000;;
        esac
        exec {real} "$@"''')
        job = machine.call("Start")
        self.client.wait_property(job, "Job", "Phase", "Starting QEMU")
        self.client.call(job, "Job", "Cancel")
        self.assertEqual(self.client.end_of_job(job).state, "cancelled")
        self.assertEqual(machine.state[0], "shutoff")
        self.assertFalse(machine.runtime.exists())
        self.write_script(path, f'exec {real} "$@"')
        machine.start(paused=True)

    def test_definition_with_an_absent_emulator_is_refused(self):
        machine = self.undefined_machine()
        tree = ElementTree.fromstring(machine.xml())
        ElementTree.SubElement(tree.find("devices"), "emulator").text = "/nowhere/qemu"
        self.assert_bus_error("NotFound", "/nowhere/qemu", machine.call_manager, "DefineDomain",
                              ElementTree.tostring(tree, encoding="unicode"))
        self.assertFalse(machine.is_there())


class RunningGuest(ServiceCase):
    """Tests that share one running guest with a screen and the guest agent."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.serial = cls.directory / "serial"
        cls.guest = cls.class_machine("shared", serial=cls.serial, agent=cls.directory / "agent", extra_devices=VIDEO)
        cls.guest.boot()

    def setUp(self):
        super().setUp()
        self.since = len(self.client.signals)
        self.assertEqual(self.guest.get("State"), "running")

    def test_guest_runs_as_defined(self):
        self.assertEqual(self.guest.state, ("running", "booted"))
        self.assertTrue(self.guest.get("Persistent"))
        self.assertEqual(sorted(self.guest.witness.get().check().disks), ["vda", "vdb"])
        self.assertIn("started", [event for event, _ in self.guest.events()])
        self.assertIsNotNone(last_beat(self.serial))

    def test_guest_is_contained(self):
        words = [word.decode() for word in command_line(self.guest.pid())]
        self.assertIn("-nodefaults", words)
        self.assertTrue(words[words.index("-sandbox") + 1].startswith("on"))
        self.assertEqual(os.getpgid(self.guest.pid()), self.guest.pid())
        self.assertEqual(stat.S_IMODE(self.guest.runtime.stat().st_mode), 0o700)

    def test_pause_stops_the_counter_and_resume_lets_it_go_on(self):
        before = self.guest.witness.get().check()
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        self.assertEqual(self.guest.state, ("paused", "user"))
        self.guest.wait_event("paused", self.since)
        beat = last_beat(self.serial)
        self.guest.call("Pause")
        self.assertEqual(last_beat(self.serial), beat)
        self.guest.call("Resume")
        self.guest.wait_state("running")
        self.assertEqual(self.guest.state, ("running", "user"))
        self.guest.wait_event("resumed", self.since)
        self.guest.witness.wait_beyond(before.ram).check()
        self.assertEqual([event for event, _ in self.guest.events(self.since)], ["paused", "resumed"])

    def test_shutdown_of_a_paused_guest_is_invalid(self):
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        self.assert_bus_error("InvalidState", "resume", self.guest.call, "Shutdown")
        self.guest.call("Resume")
        self.guest.wait_state("running")

    def test_start_of_a_running_domain_is_invalid(self):
        self.assert_bus_error("InvalidState", "running", self.guest.call, "Start")

    def test_reset_begins_a_new_run(self):
        before = self.guest.witness.mark("before the reset")
        self.guest.call("Reset")
        after = self.guest.witness.wait_for(lambda testimony: testimony.run != before.run, "a new run").check()
        self.assertEqual(after["details"]["vdb"]["found"]["mark"], "before the reset")
        self.assertEqual(self.guest.state[0], "running")

    def test_screenshot_is_a_png(self):
        fd = self.guest.call("Screenshot")
        with open(fd, "rb") as picture:
            data = picture.read()
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(data[-8:-4], b"IEND")

    def test_guest_agent_is_seen(self):
        self.client.wait_property(self.guest.path, DOMAIN, "GuestAgent", True)
        self.guest.wait_event("guest-agent-connected")

    def test_redefinition_waits_for_the_next_start(self):
        live = self.guest.call("GetXml")
        self.guest.define(memory_mib=272)
        self.assertEqual(self.guest.call("GetXml"), live)
        self.assertEqual(self.guest.get("Memory"), 256 << 20)
        inactive = ElementTree.fromstring(self.guest.call("GetXml", inactive=True)).find("memory")
        self.assertEqual((inactive.text, inactive.get("unit")), ("272", "MiB"))
        self.guest.define()
        self.assertEqual(self.guest.state[0], "running")

    def test_service_finds_its_running_guest_again(self):
        self.guest.witness.mark("still here")
        pid = self.guest.pid()
        for end in (self.service.stop, self.service.kill):
            end()
            beyond = self.guest.witness.get().check().ram
            self.service.start()
            self.assertEqual(self.guest.state[0], "running")
            self.assertEqual(self.guest.pid(), pid)
            self.guest.witness.wait_beyond(beyond).check()
            self.client.wait_property(self.guest.path, DOMAIN, "GuestAgent", True)
        # Its events are heard.
        since = len(self.client.signals)
        self.guest.call("Pause")
        self.guest.wait_event("paused", since)
        self.service.kill()
        self.service.start()
        self.assertEqual(self.guest.state, ("paused", "user"))
        self.guest.call("Resume")
        self.guest.wait_state("running")
        self.assertEqual(self.guest.witness.wait_beyond(beyond).check().mark, "still here")


class Endings(ServiceCase):
    """Each test boots a guest of its own, and ends it."""

    def test_shutdown_is_up_to_the_guest_and_is_seen(self):
        machine = self.machine().boot()
        since = len(self.client.signals)
        machine.call("Shutdown")
        machine.wait_state("shutoff")
        self.assertEqual(machine.state, ("shutoff", "shutdown"))
        self.assertEqual(machine.wait_event("stopped", since), {"reason": "shutdown"})
        self.assertFalse(machine.runtime.exists())
        self.assertTrue(machine.is_there())
        machine.check_disks()
        # The disks are free again.
        machine.start(paused=True)

    def boot_with_on_poweroff(self, action):
        machine = self.undefined_machine()
        xml = machine.xml().replace("</features>", f"</features><on_poweroff>{action}</on_poweroff>")
        machine.call_manager("DefineDomain", xml)
        return machine.boot()

    def test_power_off_that_is_to_restart_boots_anew(self):
        machine = self.boot_with_on_poweroff("restart")
        before = machine.witness.mark("before the power-off")
        machine.call("Shutdown")
        after = machine.witness.wait_for(lambda testimony: testimony.run != before.run, "a new run").check()
        self.assertEqual(after["details"]["vdb"]["found"]["mark"], "before the power-off")
        self.assertEqual(machine.state, ("running", "booted"))

    def test_power_off_that_is_to_be_preserved_keeps_the_guest_standing(self):
        machine = self.boot_with_on_poweroff("preserve")
        pid = machine.pid()
        machine.call("Shutdown")
        machine.wait_state("paused")
        self.assertEqual(machine.state, ("paused", "shutdown"))
        self.assertEqual(machine.pid(), pid)

    def test_transient_guest_that_powers_itself_off_takes_its_domain_along(self):
        machine = self.undefined_machine()
        machine.create()
        self.assertFalse(machine.get("Persistent"))
        self.assertEqual(machine.state, ("running", "booted"))
        machine.witness.wait_beyond(0).check()
        machine.witness.ask("poweroff")
        self.client.wait_signal("InterfacesRemoved", lambda sent: sent.arguments[0] == machine.path)
        self.assertEqual(machine.wait_event("stopped"), {"reason": "shutdown"})
        self.assertFalse(machine.is_there())
        self.assertFalse(machine.runtime.exists())
        machine.check_disks()

    def test_undefined_while_running_it_goes_with_its_guest(self):
        machine = self.machine().boot()
        machine.call("Undefine")
        self.assertFalse(machine.get("Persistent"))
        self.assertEqual(machine.state[0], "running")
        self.assertFalse((machine.store / "domain.xml").exists())
        self.service.kill()
        self.service.start()
        self.assertFalse(machine.get("Persistent"))
        machine.witness.wait_beyond(machine.witness.get().ram).check()
        machine.call("PowerOff")
        self.assertFalse(machine.is_there())

    def test_qemu_killed_from_outside_is_a_failure_that_is_told(self):
        machine = self.machine().start()
        since = len(self.client.signals)
        machine.kill_qemu()
        machine.wait_state("shutoff")
        self.assertEqual(machine.state, ("shutoff", "failed"))
        self.assertEqual(machine.wait_event("stopped", since), {"reason": "failed"})
        self.assertFalse(machine.runtime.exists())
        machine.start(paused=True)

    def test_guest_that_ended_while_the_service_was_away_is_off(self):
        machine = self.machine().start()
        transient = self.undefined_machine("transient")
        transient.create(paused=True)
        self.service.kill()
        machine.kill_qemu()
        transient.kill_qemu()
        self.service.start()
        self.assertEqual(machine.state[0], "shutoff")
        self.assertFalse(transient.is_there())
        self.assertFalse(machine.runtime.exists())
        self.assertFalse(transient.runtime.exists())
        machine.start(paused=True)


class Starts(ServiceCase):
    """Guests that need not be up: each costs a QEMU, and no boot."""

    def test_started_paused_it_waits(self):
        machine = self.machine()
        machine.start(paused=True)
        self.assertEqual(machine.state, ("paused", "user"))
        machine.call("Resume")
        machine.wait_state("running")
        machine.witness.wait_beyond(0).check()

    def test_power_off_is_told(self):
        machine = self.machine().start(paused=True)
        since = len(self.client.signals)
        machine.call("PowerOff")
        self.assertEqual(machine.state, ("shutoff", "destroyed"))
        self.assertEqual(machine.wait_event("stopped", since), {"reason": "destroyed"})
        self.assertEqual(machine.pid(), None)
        self.assertFalse(machine.runtime.exists())

    def test_transient_domain_whose_start_fails_leaves_nothing(self):
        machine = self.undefined_machine(disks=[Disk(self.folder() / "none.qcow2")])
        _, job = machine.call_manager("CreateDomain", machine.xml())
        self.assert_job_fails("NotFound", "none.qcow2", job)
        self.assertFalse(machine.is_there())
        self.assertFalse(machine.store.exists())
        self.assertFalse(machine.runtime.exists())

    def test_transient_domain_that_is_defined_stays(self):
        machine = self.undefined_machine()
        machine.create(paused=True)
        self.assertEqual(machine.state, ("paused", "user"))
        machine.define()
        self.assertTrue(machine.get("Persistent"))
        machine.call("PowerOff")
        self.assertTrue(machine.is_there())

    def test_transient_domain_can_not_be_undefined(self):
        machine = self.undefined_machine()
        machine.create(paused=True)
        self.assert_bus_error("InvalidState", "transient", machine.call, "Undefine")
        machine.call("PowerOff")
        self.assertFalse(machine.is_there())

    def test_screenshot_without_a_screen_is_an_error(self):
        machine = self.machine().start(paused=True)
        self.assert_bus_error("Hypervisor", ["screen", machine.name], machine.call, "Screenshot")
        self.assertEqual(machine.state[0], "paused")

    def test_raw_and_read_only_disks_and_an_empty_cdrom_work(self):
        folder = self.folder()
        disks = [make_disk(folder / "a.qcow2"), make_disk(folder / "b.raw", image_format="raw", target="vdb"),
                 make_disk(folder / "c.raw", image_format="raw", target="vdc", read_only=True)]
        disks[2].path.chmod(0o444)
        cdrom = '<disk type="file" device="cdrom"><target dev="sda" bus="sata"/><readonly/></disk>'
        machine = self.machine(disks=disks, extra_devices=cdrom).start(paused=True)
        self.assertEqual([(disk["target"], disk["device"], disk["read-only"]) for disk in machine.get("Disks")],
                         [("vda", "disk", False), ("vdb", "disk", False), ("vdc", "disk", True), ("sda", "cdrom", True)])

    def test_two_services_know_their_own_guests_only(self):
        machine = self.machine().start(paused=True)
        service = self.enter(Service(self.enter(PrivateBus()), self.folder()))
        client = self.enter(service.client())
        stranger = Machine(service, client, service.directory, "stranger", make_disks(service.directory, 1))
        stranger.define().start(paused=True)
        for each in (self.service, service):
            each.kill()
            each.start()
        self.assertEqual(domains(self.client), [machine.path])
        self.assertEqual(domains(client), [stranger.path])
        self.assertEqual((machine.state[0], stranger.state[0]), ("paused", "paused"))


def domains(client):
    return [path for path, interfaces in client.objects().items() if "org.vmsnap.VmSnap1.Domain" in interfaces]


if __name__ == "__main__":
    main()
