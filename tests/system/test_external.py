#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""External snapshots of disks, with real guests: what is frozen stays so, and what is written goes to the overlays."""

import time

from vmsnaptest import main, make_disk

from external import STRETCH, ExternalCase, digest
from machines import SNAPSHOT

class Running(ExternalCase):
    """Of guests that go on."""

    def test_overlays_are_beside_the_disks_and_the_bases_frozen(self):
        machine = self.machine().boot()
        state = machine.state
        before = machine.witness.mark("before").check()
        began = time.time_ns() // 1000
        frozen = self.take(machine, "one", description="the first")
        after = machine.witness.get().check()
        self.assertEqual([disk.path for disk in machine.disks], self.overlays(frozen, "one"))
        self.assertEqual([disk.format for disk in machine.disks], ["qcow2", "qcow2"])
        self.assertEqual(machine.state, state)
        self.assert_frozen(frozen, before, after)
        self.assert_stays(machine, frozen)
        for old, new in zip(frozen, machine.disks):
            self.assertEqual(self.shown_chain(machine, new.target), [str(new.path), str(old.path)])
            self.assertEqual(old.path.stat().st_mode, new.path.stat().st_mode)
        values = self.client.get_all(machine.snapshot_path("one"), SNAPSHOT)
        self.assertEqual((values["State"], values["Location"], values["Memory"]), ("disk-snapshot", "external", "none"))
        self.assertEqual([(disk["target"], disk["snapshot"], disk["path"], disk["format"]) for disk in values["Disks"]],
                         [(disk.target, "external", str(disk.path), "qcow2") for disk in machine.disks])
        self.assertEqual((values["Description"], values["Parent"], machine.current()), ("the first", "/", "one"))
        self.assertTrue(began <= values["CreationTime"] <= time.time_ns() // 1000)
        self.assert_whole(machine, frozen)

    def test_the_guest_boots_again_from_its_overlays(self):
        machine = self.machine().boot()
        frozen = self.take(machine, "one")
        digests = [digest(disk.path) for disk in frozen]
        last = machine.witness.wait_beyond(machine.witness.get().ram + STRETCH).check()
        machine.shut_off()
        machine.boot()
        found = machine.witness.get().check()["details"]
        for target in ("vda", "vdb"):
            self.assertEqual(found[target]["found"]["run"], last.run)
            self.assertGreaterEqual(found[target]["found"]["n"], last.ram)
        self.assertEqual([digest(disk.path) for disk in frozen], digests)
        self.assert_whole(machine, frozen)

    def test_one_after_the_other(self):
        machine = self.machine().boot()
        first = self.take(machine, "one")
        second = self.take(machine, "two")
        self.assertEqual([disk.path for disk in machine.disks], self.overlays(first, "two"))
        self.assertEqual(machine.tree(), {"one": None, "two": "one"})
        self.assert_stays(machine, first + second)
        self.assertEqual(self.shown_chain(machine, "vda"),
                         [str(disks[0].path) for disks in (machine.disks, second, first)])
        self.service.restart()
        self.assertEqual(self.shown_chain(machine, "vda"),
                         [str(disks[0].path) for disks in (machine.disks, second, first)])
        third = self.take(machine, "three")
        self.assert_stays(machine, third)
        self.assert_whole(machine, first + second + third)

    def test_a_paused_guest_stays_paused(self):
        machine = self.machine().boot()
        machine.call("Pause")
        frozen = self.take(machine, "one")
        self.assertEqual(machine.state, ("paused", "user"))
        machine.call("Resume")
        machine.wait_state("running")
        self.assert_stays(machine, frozen)
        self.assert_whole(machine, frozen)

    def test_memory_is_refused_in_words(self):
        machine = self.machine().boot()
        before = self.shape(machine)
        self.assert_bus_error("NotSupported", ["disk-only", "internal"], machine.run, "CreateSnapshot", "s", "one")
        self.assert_nothing_left(machine, before)

    def test_a_file_that_is_there_is_not_overwritten(self):
        machine = self.machine().boot()
        other = machine.disks[1].path.with_suffix(".one")
        other.write_text("precious")
        before = self.shape(machine)
        self.assert_job_fails("AlreadyExists", [other, "reuse-external"],
                              machine.call("CreateSnapshot", "s", "one", disk_only=True))
        self.assertEqual(other.read_text(), "precious")
        self.assert_nothing_left(machine, before)
        machine.witness.get().check()


class Off(ExternalCase):
    """Of domains that are shut off."""

    def test_the_definition_points_to_the_overlays(self):
        machine = self.machine(disks=[make_disk(self.folder() / "a.qcow2", target="vda"),
                                      make_disk(self.folder() / "b.img", image_format="raw", target="vdb")])
        frozen = list(machine.disks)
        digests = [digest(disk.path) for disk in frozen]
        machine.run("CreateSnapshot", "s", "one")
        self.follow(machine)
        self.assertEqual([disk.path for disk in machine.disks], self.overlays(frozen, "one"))
        values = self.client.get_all(machine.snapshot_path("one"), SNAPSHOT)
        self.assertEqual((values["State"], values["Location"], values["Memory"]), ("shutoff", "external", "none"))
        machine.boot()
        self.assert_stays(machine, frozen)
        self.assertEqual([digest(disk.path) for disk in frozen], digests)
        self.assert_whole(machine, frozen)


if __name__ == "__main__":
    main()
