#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test guest and the harness themselves, under a bare QEMU and without the service.

What is seen here is the yardstick: a test of the service that fails while these pass has found a fault of ours.
"""

import json
import socket
import time

from vmsnaptest import BareQemu, Pulse, QmpError, TestCase, Watch, WitnessError, check_image, internal_snapshots
from vmsnaptest import last_beat, main, make_data_disk, make_disk, make_disks, qemu_img


class RunningGuest(TestCase):
    """Tests that share one running guest with two disks."""

    @classmethod
    def setUpClass(cls):
        directory = cls.make_class_directory()
        cls.disks = make_disks(directory, 2)
        cls.guest = cls.enter_class(BareQemu(directory, cls.disks))
        cls.guest.wait_up()

    def test_counter_advances_in_ram_and_on_both_disks(self):
        first = self.guest.witness.get().check()
        second = self.guest.witness.wait_beyond(first.ram + 100).check()
        self.assertEqual(sorted(second.disks), ["vda", "vdb"])
        self.assertEqual(second.run, first.run)

    def test_serial_line_tells_the_counter(self):
        beat = last_beat(self.guest.serial_log)
        self.assertIsNotNone(beat)
        self.assertLessEqual(beat, self.guest.witness.get().ram)

    def test_paused_writing_stands_still_and_goes_on(self):
        paused = self.guest.witness.pause_writing()
        self.assertEqual(self.guest.witness.get().check().ram, paused.ram)
        self.guest.witness.resume_writing()
        self.guest.witness.wait_beyond(paused.ram)

    def test_mark_is_in_ram_and_on_the_disks(self):
        self.guest.witness.mark("here I was")
        testimony = self.guest.witness.get().check()
        self.assertEqual(testimony.mark, "here I was")
        self.assertEqual([details["mark"] for details in testimony["details"].values()], ["here I was"] * 2)

    def test_unknown_command_is_an_error(self):
        with self.assertRaises(WitnessError):
            self.guest.witness.ask("nonsense")

    def test_dirtied_memory_is_checked(self):
        before = self.guest.witness.dirty(16)
        self.assertEqual(before["dirty-mib"], 16)
        self.guest.witness.wait_beyond(before.ram + 50).check()
        after = self.guest.witness.dirty(0)
        self.assertEqual(after["dirty-mib"], 0)

    def test_snapshot_load_takes_ram_and_both_disks_back_to_one_instant(self):
        witness = self.guest.witness
        before = witness.mark("saved")
        self.guest.snapshot_save("one")
        saved = witness.get().check()
        self.assertEqual([internal_snapshots(disk) for disk in self.disks], [["one"], ["one"]])
        later = witness.wait_beyond(saved.ram + 300).check()
        witness.mark("later")

        self.guest.snapshot_load("one")
        back = witness.get().check()
        self.assertGreaterEqual(back.ram, before.ram)
        self.assertLess(back.ram, later.ram)
        self.assertEqual((back.run, back.mark), (before.run, "saved"))
        witness.wait_beyond(later.ram).check()

        self.guest.snapshot_delete("one")
        self.assertEqual([internal_snapshots(disk) for disk in self.disks], [[], []])

    def test_disk_from_another_time_is_noticed(self):
        """Loading one disk less than was saved is accepted by QEMU in silence: the witness must not be."""
        witness = self.guest.witness
        self.guest.snapshot_save("half")
        witness.wait_beyond(witness.get().ram + 100).check()
        self.guest.qmp.run_job("snapshot-load", {"job-id": "half", "tag": "half", "devices": self.guest.nodes[:1],
                                                 "vmstate": self.guest.nodes[0]})
        with self.assertRaisesRegex(WitnessError, "vdb was from another time"):
            witness.wait_beyond(witness.get().ram).check()
        # The count is in the RAM: an instant before it has none.
        self.guest.snapshot_load("half")
        witness.get().check()
        self.guest.snapshot_delete("half")

    def test_failed_job_raises_its_error(self):
        with self.assertRaisesRegex(QmpError, "nope"):
            self.guest.snapshot_load("nope")
        self.guest.qmp.execute("cont")


class Endings(TestCase):
    """How a guest begins and ends: each test boots one of its own."""

    def boot(self, disks=None, **details):
        directory = self.make_directory()
        guest = self.enter(BareQemu(directory, make_disks(directory, 1) if disks is None else disks, **details))
        guest.wait_up()
        return guest

    def assert_powered_off(self, guest):
        shutdown = guest.qmp.wait_event("SHUTDOWN")
        self.assertEqual(shutdown["data"]["reason"], "guest-shutdown")
        self.assertEqual(guest.wait_ended(), 0)
        for disk in guest.disks:
            check_image(disk)

    def test_power_button_powers_off_q35(self):
        guest = self.boot()
        guest.qmp.execute("system_powerdown")
        self.assert_powered_off(guest)

    def test_power_button_powers_off_pc(self):
        guest = self.boot(machine="pc")
        guest.qmp.execute("system_powerdown")
        self.assert_powered_off(guest)

    def test_reboot_begins_a_new_run_that_finds_the_old_one(self):
        guest = self.boot()
        before = guest.witness.mark("first life")
        guest.witness.ask("reboot")
        guest.qmp.wait_event("RESET")
        after = guest.witness.wait_for(lambda testimony: testimony.run != before.run, "a new run").check()
        found = after["details"]["vda"]["found"]
        self.assertEqual((found["run"], found["mark"]), (before.run, "first life"))
        self.assertGreaterEqual(found["n"], before.ram)

    def test_uefi_guest_comes_up(self):
        guest = self.boot(uefi=True)
        guest.witness.get().check()
        guest.qmp.execute("system_powerdown")
        self.assert_powered_off(guest)

    def test_disk_in_use_for_something_else_is_left_alone(self):
        directory = self.make_directory()
        ours, foreign = make_disks(directory, 2)
        with open(directory / "pattern", "wb") as pattern:
            pattern.write(b"not yours " * 524288)
        qemu_img("convert", "-O", "qcow2", directory / "pattern", foreign.path)
        guest = self.boot([ours, foreign])
        self.assertEqual(list(guest.witness.get().check().disks), ["vda"])

    def test_agent_freezes_the_data_file_system_and_powers_off(self):
        directory = self.make_directory()
        data = make_data_disk(directory / "data.raw", target="vdb")
        guest = self.boot([make_disk(directory / "vda.qcow2"), data], agent=True)
        agent = self.enter(Agent(guest.agent_socket))

        self.assertEqual(agent.ask("guest-fsfreeze-freeze"), 1)
        frozen = guest.witness.get().check()
        still = guest.witness.wait_beyond(frozen.ram + 50).check()
        self.assertEqual(still["data"], frozen["data"])
        self.assertEqual(agent.ask("guest-fsfreeze-thaw"), 1)
        guest.witness.wait_for(lambda testimony: testimony["data"] > frozen["data"], "writing goes on").check()

        agent.tell("guest-shutdown")
        self.assert_powered_off(guest)


class WatchedGuest(TestCase):
    """What the benches measure with."""

    @classmethod
    def setUpClass(cls):
        directory = cls.make_class_directory()
        heart = ["-chardev", f"socket,id=heart,path={directory / 'h'},server=on,wait=off",
                 "-device", "virtserialport,chardev=heart,name=org.vmsnap.heart.0"]
        cls.watch = Watch(directory)
        cls.guest = cls.enter_class(BareQemu(directory, make_disks(directory, 2),
                                             extra=[*heart, *cls.watch.arguments()]))
        cls.guest.wait_up()
        cls.watch.open()
        cls.addClassCleanup(cls.watch.close)
        cls.pulse = cls.enter_class(Pulse(directory / "h"))

    def test_heart_is_silent_while_the_guest_is_stopped(self):
        began = time.time()
        self.pulse.wait_beyond(began)
        self.guest.qmp.execute("stop")
        for _ in range(300):
            self.guest.qmp.execute("query-migrate")
        self.guest.qmp.execute("cont")
        resumed = time.time()
        self.pulse.wait_beyond(resumed)

        [stop] = self.watch.stops(began, resumed)
        self.assertEqual(stop.commands, ("query-migrate",) * 300 + ("cont",))
        # The last beat may have been on its way for a moment.
        self.assertGreater(self.pulse.longest_gap(began, resumed), stop.length / 2)

    def test_heart_tells_how_far_the_guest_comes(self):
        began = time.time()
        self.guest.witness.dirty(16)
        self.guest.witness.wait_beyond(self.guest.witness.get().ram + 10)
        ended = time.time()
        self.pulse.wait_beyond(ended)
        counted, dirtied = self.pulse.progress(began, ended)
        self.assertGreaterEqual(counted, 10)
        self.assertGreaterEqual(dirtied, 16 * 256)
        self.guest.witness.dirty(0)

    def test_filled_memory_stays_as_it_is(self):
        self.guest.witness.ask("fill 16")
        self.guest.witness.wait_for(lambda said: said["filled-mib"] == 16, "filled memory")
        self.guest.witness.ask("check-fill")
        said = self.guest.witness.wait_for(lambda said: "fill-bad" in said, "memory that was looked at")
        self.assertEqual(said["fill-bad"], 0)

    def test_each_write_can_be_flushed(self):
        before = self.guest.witness.ask("flush-every 1")
        self.guest.witness.wait_beyond(before.ram + 50).check()


class Agent:
    """The least of a guest agent's client."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rw")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()

    def tell(self, command):
        self._file.write(json.dumps({"execute": command}) + "\n")
        self._file.flush()

    def ask(self, command):
        self.tell(command)
        return json.loads(self._file.readline())["return"]


if __name__ == "__main__":
    main()
