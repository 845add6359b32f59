#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems frozen by the real agent of a real guest while its disks are switched: they are whole in the snapshot, and
thawed whatever happens."""

import os
import subprocess
import xml.etree.ElementTree as ElementTree

from vmsnaptest import AgentLine, BareQmp, main, make_data_disk, make_disk, qemu_img

from machines import DOMAIN, JOB, ServiceCase

FREEZE = "guest-fsfreeze-freeze"
THAW = "guest-fsfreeze-thaw"
SYNC = "guest-sync-delimited"
TOOLS = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


class QuiesceCase(ServiceCase):
    """A guest with a file system that is written to all the time, and an agent."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.directory / "disks"
        folder.mkdir()
        cls.folder_of_disks = folder
        cls.socket = cls.directory / "agent"
        cls.guest = cls.class_machine("shared", [make_disk(folder / "vda.qcow2"),
                                                 make_data_disk(folder / "vdb.raw", target="vdb")], agent=cls.socket)
        cls.guest.boot()

    def setUp(self):
        super().setUp()
        if self.guest.get("State") == "shutoff":
            self.guest.boot()
        elif self.guest.get("State") == "paused":
            self.guest.call("Resume")
            self.guest.wait_state("running")
        self.client.wait_property(self.guest.path, DOMAIN, "GuestAgent", True)
        self.line = self.enter(AgentLine(self.socket))
        self.before = self.shape()

    def ask(self, name, **option_values):
        return self.guest.call("CreateSnapshot", "s", name, disk_only=True, quiesce=True, **option_values)

    def chains(self):
        return {disk["target"]: disk["chain"] for disk in self.guest.get("Disks")}

    def shape(self):
        return (self.chains(), self.guest.call("GetXml", inactive=True), self.guest.snapshots(),
                sorted(os.listdir(self.folder_of_disks)))

    def assert_written_to(self):
        """Nothing is frozen."""
        now = self.guest.witness.get().check()
        self.guest.witness.wait_for(lambda testimony: testimony["data"] > now["data"], "the file system is thawed").check()

    def assert_still(self):
        """The file system is frozen, and the rest of the guest runs."""
        now = self.guest.witness.get().check()
        later = self.guest.witness.wait_beyond(now.ram + 50).check()
        self.assertEqual(later["data"], now["data"])

    def assert_unchanged(self):
        self.assert_written_to()
        self.assertEqual(self.shape(), self.before)
        self.assertEqual(self.guest.journals(), [])
        self.assertEqual(self.line.ask("guest-fsfreeze-status"), "thawed")

    def header(self, path, image_format, is_whole=True):
        """What the file system in a file says of itself; one that is whole has no faults."""
        raw = self.folder() / "raw"
        qemu_img("convert", "-U", "-f", image_format, "-O", "raw", path, raw)
        if is_whole:
            subprocess.run(["e2fsck", "-f", "-n", raw], check=True, env=TOOLS, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        header = subprocess.run(["dumpe2fs", "-h", raw], check=True, env=TOOLS, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True).stdout
        raw.unlink()
        return header

    def frozen_file(self):
        """(path, format) of what the data disk's newest overlay lies over."""
        path = self.chains()["vdb"][1]
        return path, "raw" if path.endswith(".raw") else "qcow2"


class RunningGuest(QuiesceCase):
    """What becomes of it when all goes well, and when it doesn't."""

    def freeze(self, name, **option_values):
        """Asks for a snapshot, and comes back with the job when the file system is frozen, and the service not told."""
        self.line.hold_answer(FREEZE)
        job = self.ask(name, **option_values)
        self.line.wait_held()
        return job

    def test_frozen_file_system_is_whole(self):
        self.guest.run("CreateSnapshot", "s", "torn", disk_only=True)
        self.assertIn("needs_recovery", self.header(*self.frozen_file(), is_whole=False))

        job = self.freeze("whole")
        self.assert_still()
        self.line.let_go()
        self.assertEqual(self.client.end_of_job(job).state, "completed")
        self.assert_written_to()
        header = self.header(*self.frozen_file())
        self.assertNotIn("needs_recovery", header)
        self.assertRegex(header, r"Filesystem state: +clean\n")
        self.assertEqual(self.line.commands[0], SYNC)
        self.assertEqual((self.line.count(FREEZE), self.line.count(THAW)), (1, 1))
        self.assertEqual(self.guest.current(), "whole")

    def test_cancel_thaws(self):
        job = self.freeze("one")
        self.client.call(job, JOB, "Cancel")
        self.line.let_go()
        self.assertEqual(self.client.end_of_job(job).state, "cancelled")
        self.assert_unchanged()

    def test_cancel_while_the_agent_freezes_thaws(self):
        self.line.swallow(FREEZE)
        job = self.ask("one")
        self.line.wait_asked(FREEZE)
        self.client.call(job, JOB, "Cancel")
        self.assertEqual(self.client.end_of_job(job).state, "cancelled")
        self.assertEqual(self.line.count(THAW), 1)
        self.assert_unchanged()

    def test_next_life_thaws(self):
        self.freeze("one")
        self.service.kill()
        self.line.let_go()
        self.service.start()
        self.assert_unchanged()
        self.assertEqual(self.line.count(THAW), 1)

    def test_next_life_thaws_what_is_frozen_after_its_predecessor(self):
        self.line.swallow(FREEZE)
        self.ask("one")
        self.line.wait_asked(FREEZE)
        self.service.kill()
        self.service.start()
        self.assert_unchanged()
        self.assertEqual(self.line.count(THAW), 1)

    def test_late_freeze_is_thawed(self):
        job = self.freeze("one")
        self.client.wait_property(job, JOB, "Phase", "Undoing")
        self.assert_still()
        self.line.let_go()
        self.assert_job_fails("GuestAgentUnavailable", ["shared", FREEZE, "within 30 s"], job)
        self.assert_unchanged()

    def test_thaw_is_insisted_on(self):
        self.line.swallow(THAW)
        job = self.ask("insisted")
        self.line.wait_asked(THAW, times=2)
        self.assert_still()
        self.line.let_go()
        self.assertEqual(self.client.end_of_job(job).state, "completed")
        self.assert_written_to()

    def test_thaw_that_never_comes_is_told(self):
        self.line.swallow(THAW)
        self.assert_job_fails("GuestAgentUnavailable", ["shared may still be frozen", "fsfreeze"], self.ask("one"))
        self.assert_still()
        # The next operation settles it.
        self.line.let_go()
        self.assertEqual(self.client.end_of_job(self.ask("settled")).state, "completed")
        self.assert_written_to()
        self.assertNotIn("one", self.guest.snapshots())
        self.assertEqual([name for name in os.listdir(self.folder_of_disks) if name.endswith(".one")], [])

    def test_guest_paused_meanwhile_is_thawed_and_stays_paused(self):
        job = self.freeze("paused")
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        self.line.let_go()
        self.assertEqual(self.client.end_of_job(job).state, "completed")
        self.assertEqual(self.guest.state, ("paused", "user"))
        self.assertNotIn("needs_recovery", self.header(*self.frozen_file()))
        self.guest.call("Resume")
        self.assert_written_to()

    def test_file_system_thawed_by_another_is_an_error(self):
        job = self.freeze("one")
        self.assertEqual(self.line.ask(THAW), 1)
        self.line.let_go()
        self.assert_job_fails("GuestAgentUnavailable", "thawed by somebody else", job)
        self.assert_unchanged()

    def test_file_system_frozen_by_another_is_left_alone(self):
        self.assertEqual(self.line.ask(FREEZE), 1)
        self.assert_job_fails("GuestAgentUnavailable", "frozen already", self.ask("one"))
        self.assertEqual(self.line.ask("guest-fsfreeze-status"), "frozen")
        self.assertEqual(self.line.ask(THAW), 1)
        self.assert_unchanged()

    def test_silent_agent_is_an_error_before_anything_changes(self):
        self.line.swallow(SYNC)
        self.assert_job_fails("GuestAgentUnavailable", ["shared", "within 10 s"], self.ask("one"))
        self.assertEqual(self.line.commands, [SYNC])
        self.line.let_go()
        self.assert_unchanged()

    def test_paused_guest_is_refused(self):
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        self.assert_bus_error("InvalidState", ["paused", "resume"], self.ask, "one")
        self.guest.call("Resume")
        self.guest.wait_state("running")
        self.assert_unchanged()

    def test_quiesce_is_for_disks_only(self):
        self.assert_bus_error("InvalidArgument", ["quiesce", "disk-only"], self.guest.call, "CreateSnapshot", "s", "one",
                              quiesce=True)
        self.assert_unchanged()


class RefusedSwitch(QuiesceCase):
    """The service of this class has left the guest's second monitor free."""

    def test_switch_that_fails_is_followed_by_a_thaw(self):
        self.line.hold_answer(FREEZE)
        job = self.ask("one")
        self.line.wait_held()
        with BareQmp(self.guest.runtime / "monitor.sock") as qmp:
            node = qmp.execute("query-block")[0]["inserted"]["node-name"]
            qmp.execute("blockdev-add", {"driver": "null-co", "node-name": "nowhere", "size": 64 << 20})
            qmp.execute("blockdev-mirror", {"device": node, "target": "nowhere", "sync": "full", "speed": 1,
                                            "job-id": "busy"})
            self.line.let_go()
            end = self.client.end_of_job(job)
            qmp.execute("block-job-cancel", {"device": "busy", "force": True})
            qmp.wait_event("BLOCK_JOB_CANCELLED")
        self.assertEqual((end.state, end.error), ("failed", "Hypervisor"), end)
        self.assert_unchanged()


class OtherGuests(ServiceCase):
    """With channels of other kinds, or none."""

    # The service says where the socket is.
    CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"

    def ask(self, machine):
        return machine.run("CreateSnapshot", "s", "one", disk_only=True, quiesce=True)

    def test_guest_without_a_channel_is_refused(self):
        machine = self.machine().boot()
        self.assert_bus_error("GuestAgentUnavailable", [machine.name, "org.qemu.guest_agent.0"], self.ask, machine)
        self.assertEqual(machine.snapshots(), [])

    def test_guest_without_an_agent_is_refused(self):
        machine = self.undefined_machine(extra_devices=self.CHANNEL)
        tree = ElementTree.fromstring(machine.xml())
        for tag in ("kernel", "initrd", "cmdline"):
            tree.find("os").remove(tree.find(f"os/{tag}"))
        machine.call_manager("DefineDomain", ElementTree.tostring(tree, encoding="unicode"))
        machine.start()
        self.assertFalse(machine.get("GuestAgent"))
        self.assert_bus_error("GuestAgentUnavailable", [machine.name, "qemu-guest-agent"], self.ask, machine)
        self.assertEqual(machine.snapshots(), [])

    def test_guest_that_is_off_is_refused(self):
        machine = self.machine(extra_devices=self.CHANNEL)
        self.assert_bus_error("InvalidState", [machine.name, "off"], self.ask, machine)
        self.assertEqual(machine.snapshots(), [])

    def test_agent_is_found_where_the_service_put_it(self):
        machine = self.machine(extra_devices=self.CHANNEL).boot()
        self.client.wait_property(machine.path, DOMAIN, "GuestAgent", True)
        self.ask(machine)
        self.assertEqual(machine.snapshots(), ["one"])
        machine.witness.get().check()

    def test_agent_is_seen_again_after_a_revert(self):
        machine = self.machine(extra_devices=self.CHANNEL).boot()
        self.client.wait_property(machine.path, DOMAIN, "GuestAgent", True)
        machine.snapshot("then")
        machine.revert("then")
        machine.witness.get().check()
        self.client.wait_property(machine.path, DOMAIN, "GuestAgent", True)
        since = len(self.client.signals)
        machine.call("Reset")
        machine.wait_event("guest-agent-disconnected", since)
        machine.wait_event("guest-agent-connected", since)
        self.client.wait_property(machine.path, DOMAIN, "GuestAgent", True)


if __name__ == "__main__":
    main()
