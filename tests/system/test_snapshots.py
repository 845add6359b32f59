#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Internal snapshots of real guests: after each revert RAM and disks are of one instant, and of the right one."""

import subprocess
import time
import xml.etree.ElementTree as ElementTree

from gi.repository import GLib

from vmsnaptest import Disk, encode_name, main, make_disk, make_disks, qemu_img

from machines import SNAPSHOT, ServiceCase

# How far a guest may count between two questions around a snapshot is not known; between these it must be.
STRETCH = 100


class LiveGuest(ServiceCase):
    """Tests that share one guest with two disks; each begins with it running and without snapshots."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest = cls.class_machine("shared")

    def setUp(self):
        super().setUp()
        if self.guest.get("State") == "shutoff":
            self.guest.boot()
        elif self.guest.get("State") == "paused":
            self.guest.call("Resume")
        self.guest.wait_state("running")
        self.assertEqual(self.guest.snapshots(), [])
        self.addCleanup(self.tidy)

    def tidy(self):
        for name in self.guest.snapshots(roots=True):
            self.guest.delete(name, children=True)
        self.assertEqual(self.guest.tags(), [[], []])
        self.assertEqual(self.guest.journals(), [])

    def take(self, name, **option_values):
        """A snapshot of the guest as it is; returns the counters that it must lie between."""
        before = self.guest.witness.mark(f"before {name}").check()
        self.guest.snapshot(name, **option_values)
        return before

    def go_on(self):
        """Lets the guest leave the snapshot behind."""
        after = self.guest.witness.get().check()
        later = self.guest.witness.wait_beyond(after.ram + STRETCH).check()
        self.guest.witness.mark("later")
        return after, later

    def assert_back(self, before, after):
        """RAM and disks are of one instant, and that lies between the two."""
        back = self.guest.witness.get().check()
        self.assertEqual((back.run, back.mark), (before.run, before.mark))
        self.assertGreaterEqual(back.ram, before.ram)
        self.assertEqual(sorted(back.disks), ["vda", "vdb"])
        return back

    def test_revert_of_a_running_guest_goes_back_in_place(self):
        pid = self.guest.pid()
        state = self.guest.state
        before = self.take("one")
        self.assertEqual(self.guest.state, state)
        self.assertEqual(self.guest.tags(), [["one"], ["one"]])
        after, later = self.go_on()
        since = len(self.client.signals)
        result = self.guest.revert("one")
        self.assertEqual(result["snapshot"], self.guest.snapshot_path("one"))
        back = self.assert_back(before, after)
        self.assertLess(back.ram, later.ram)
        self.assertEqual(self.guest.state, ("running", "from-snapshot"))
        self.assertEqual(self.guest.pid(), pid)
        self.assertIn("snapshot-reverted", [event for event, _ in self.guest.events(since)])
        self.guest.witness.wait_beyond(later.ram).check()
        # Again, from what came of it.
        self.guest.revert("one")
        self.assert_back(before, after)
        self.assertEqual(self.guest.tags(), [["one"], ["one"]])

    def test_properties_tell_what_it_is(self):
        began = time.time_ns() // 1000
        before = self.take("one", description="Zeile eins\nund zwei")
        ended = time.time_ns() // 1000
        values = self.client.get_all(self.guest.snapshot_path("one"), SNAPSHOT)
        self.assertEqual((values["Name"], values["Description"]), ("one", "Zeile eins\nund zwei"))
        self.assertEqual((values["Domain"], values["Parent"]), (self.guest.path, "/"))
        self.assertEqual((values["State"], values["Location"], values["Memory"]), ("running", "internal", "internal"))
        self.assertTrue(values["IsCurrent"])
        self.assertEqual([(disk["target"], disk["snapshot"]) for disk in values["Disks"]],
                         [("vda", "internal"), ("vdb", "internal")])
        self.assertTrue(began <= values["CreationTime"] <= ended, (began, values["CreationTime"], ended))
        self.assertTrue(0 < values["Downtime"] < ended - began, values["Downtime"])
        # What this guest has in use, and no more than it has.
        self.assertTrue(8 << 20 < values["Size"] < 300 << 20, values["Size"])
        self.assertEqual(before.run, self.guest.witness.get().run)
        self.assertEqual(self.guest.current(), "one")
        tree = ElementTree.fromstring(self.client.call(self.guest.snapshot_path("one"), SNAPSHOT, "GetXml"))
        self.assertEqual((tree.tag, tree.find("name").text, tree.find("state").text), ("domainsnapshot", "one", "running"))
        self.assertEqual(tree.find("memory").get("snapshot"), "internal")

    def test_properties_outlive_the_service(self):
        self.take("one", description="kept")
        before = self.client.get_all(self.guest.snapshot_path("one"), SNAPSHOT)
        self.service.restart()
        self.assertEqual(self.client.get_all(self.guest.snapshot_path("one"), SNAPSHOT), before)
        self.assertEqual(self.guest.current(), "one")

    def test_revert_to_paused_waits_for_the_user(self):
        before = self.take("one")
        after, _ = self.go_on()
        self.guest.revert("one", paused=True)
        self.assertEqual(self.guest.state, ("paused", "from-snapshot"))
        self.guest.call("Resume")
        self.guest.wait_state("running")
        self.assert_back(before, after)

    def test_snapshot_of_a_paused_guest_comes_back_paused(self):
        before = self.guest.witness.mark("paused here").check()
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        self.guest.snapshot("still")
        self.assertEqual(self.guest.state, ("paused", "user"))
        self.assertEqual(self.guest.snapshot_property("still", "State"), "paused")
        self.assertEqual(self.guest.snapshot_property("still", "Memory"), "internal")
        self.guest.call("Resume")
        after, _ = self.go_on()
        self.guest.revert("still")
        self.assertEqual(self.guest.state, ("paused", "from-snapshot"))
        # From paused, and to running.
        self.guest.revert("still", running=True)
        self.assertEqual(self.guest.state, ("running", "from-snapshot"))
        self.assert_back(before, after)

    def test_revert_of_a_paused_guest_to_a_running_snapshot_runs(self):
        before = self.take("one")
        after, _ = self.go_on()
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        self.guest.revert("one")
        self.assertEqual(self.guest.state, ("running", "from-snapshot"))
        self.assert_back(before, after)

    def test_halted_snapshot_is_resumed_from_off(self):
        before = self.guest.witness.mark("before halt").check()
        since = len(self.client.signals)
        self.guest.snapshot("sleep", halt=True)
        self.assertEqual(self.guest.state[0], "shutoff")
        self.assertEqual(self.guest.pid(), None)
        self.assertEqual(self.guest.wait_event("stopped", since), {"reason": "saved"})
        self.assertEqual(self.guest.snapshot_property("sleep", "State"), "running")
        self.guest.revert("sleep")
        self.assertEqual(self.guest.state, ("running", "from-snapshot"))
        back = self.guest.witness.get().check()
        self.assertEqual((back.run, back.mark), (before.run, before.mark))
        self.guest.shut_off()
        self.guest.check_disks()
        self.guest.revert("sleep", paused=True)
        self.assertEqual(self.guest.state, ("paused", "from-snapshot"))
        self.guest.call("Resume")
        back = self.guest.witness.get().check()
        self.assertEqual((back.run, back.mark), (before.run, before.mark))
        self.assertEqual(self.guest.tags(), [["sleep"], ["sleep"]])

    def test_snapshot_of_an_off_domain_comes_back_off(self):
        before = self.guest.witness.mark("before the off snapshot").check()
        self.guest.call("Shutdown")
        self.guest.wait_state("shutoff")
        self.guest.snapshot("off")
        self.assertEqual(self.guest.snapshot_property("off", "State"), "shutoff")
        self.assertEqual(self.guest.snapshot_property("off", "Memory"), "none")
        self.guest.boot()
        between = self.guest.witness.mark("written later")
        self.assertNotEqual(between.run, before.run)
        # From running to off.
        since = len(self.client.signals)
        self.guest.revert("off")
        self.assertEqual(self.guest.state[0], "shutoff")
        self.assertEqual(self.guest.pid(), None)
        self.assertEqual(self.guest.wait_event("stopped", since), {"reason": "destroyed"})
        # From off to off, and what is found there by the next run.
        self.guest.revert("off")
        self.guest.boot()
        for details in self.guest.witness.get().check()["details"].values():
            self.assertEqual((details["found"]["run"], details["found"]["mark"]), (before.run, before.mark))
        # From running to running: it boots.
        booted = self.guest.witness.mark("written even later")
        self.guest.revert("off", running=True)
        self.assertEqual(self.guest.state[0], "running")
        again = self.guest.witness.wait_for(lambda said: said.run != booted.run, "a new run").check()
        self.assertEqual(again["details"]["vdb"]["found"]["mark"], before.mark)

    def test_tree_of_snapshots_each_with_its_own_instant(self):
        first = self.take("first")
        self.go_on()
        second = self.take("second")
        self.go_on()
        self.guest.revert("first")
        self.assertEqual(self.guest.witness.get().check().mark, first.mark)
        branch = self.take("branch")
        self.assertEqual(self.guest.tree(), {"first": None, "second": "first", "branch": "first"})
        self.assertEqual(self.guest.current(), "branch")
        for name, mark in (("second", second), ("branch", branch), ("first", first)):
            self.guest.revert(name)
            self.assertEqual(self.guest.witness.get().check().mark, mark.mark)
            self.assertEqual(self.guest.current(), name)
        # The one in the middle goes; what descends from it stays.
        self.guest.delete("first")
        self.assertEqual(self.guest.tree(), {"second": None, "branch": None})
        self.assertEqual(self.guest.current(), None)
        self.guest.revert("second")
        self.assertEqual(self.guest.witness.get().check().mark, second.mark)

    def test_snapshot_with_dirtied_memory_brings_each_page_back(self):
        self.guest.witness.dirty(32)
        before = self.take("dirty")
        after, _ = self.go_on()
        self.guest.witness.dirty(48)
        self.go_on()
        self.guest.revert("dirty")
        back = self.assert_back(before, after)
        self.assertEqual(back["dirty-mib"], 32)
        self.guest.witness.wait_beyond(back.ram + STRETCH).check()
        self.guest.witness.dirty(0)


class DomainsThatAreOff(ServiceCase):
    """What needs no guest: names, the tree, and what can have happened to the disks meanwhile."""

    def off_machine(self, count=2, **details):
        return self.machine(disks=make_disks(self.folder(), count, mib=4), **details)

    def test_any_valid_name_works_through_a_whole_life(self):
        machine = self.off_machine()
        names = ["plain", "with spaces  two", ".hidden", "ünïcödé ✓ 雪", "1", "2", "007", "snapshot-1", "a.xml", "-d", "%s%n",
                 "quote'\"<&>\\", "*?[x]", "~", "x" * 200, "é" * 100, "current-snapshot", "json:{}", "vmsnap-undo-1"]
        for name in names:
            with self.subTest(create=name):
                self.assertEqual(machine.snapshot(name)["snapshot"], machine.snapshot_path(name))
        self.assertEqual(machine.snapshots(), names)
        self.service.restart()
        self.assertEqual(machine.snapshots(), names)
        self.assertEqual(machine.current(), names[-1])
        for name in names:
            with self.subTest(revert=name):
                machine.revert(name)
                self.assertEqual(machine.current(), name)
        self.assertEqual([len(tags) for tags in machine.tags()], [len(names)] * 2)
        for left, name in enumerate(names, 1):
            with self.subTest(delete=name):
                machine.delete(name)
                self.assertEqual([len(tags) for tags in machine.tags()], [len(names) - left] * 2)
        self.assertEqual(machine.snapshots(), [])

    def test_name_that_is_the_number_of_another_is_that_one_alone(self):
        """qemu-img takes a number for that of a snapshot first: here each name is the number of the other."""
        machine = self.off_machine(1)
        disk = machine.disks[0]
        for name, byte in (("2", "0x11"), ("1", "0x22")):
            write(disk, byte)
            machine.snapshot(name)
        write(disk, "0x33")
        machine.revert("2")
        self.assertTrue(holds(disk, "0x11"))
        machine.revert("1")
        self.assertTrue(holds(disk, "0x22"))
        machine.delete("2")
        self.assertEqual(machine.snapshots(), ["1"])
        machine.revert("1")
        self.assertTrue(holds(disk, "0x22"))

    def test_names_that_can_not_be_are_refused(self):
        machine = self.off_machine(1)
        for name in ("a/b", "/", ".", "..", "tab\t", "line\nend", "\x7f", "x" * 201, "é" * 101):
            with self.subTest(name):
                self.assert_bus_error("InvalidArgument", "200 bytes", machine.ask_snapshot, name)
        self.assertEqual(machine.tags(), [[]])

    def test_empty_name_is_made_from_the_time(self):
        machine = self.off_machine(1)
        paths = [machine.snapshot("")["snapshot"] for _ in range(3)]
        self.assertEqual(len(set(paths)), 3)
        for name in machine.snapshots():
            self.assertRegex(name, r"^20\d\d-\d\d-\d\dT")
        # Also when they are asked for before the first is there.
        jobs = [machine.ask_snapshot("") for _ in range(2)]
        for job in jobs:
            self.client.wait_job(job)
        self.assertEqual(len(machine.snapshots()), 5)

    def test_name_that_is_taken_is_refused(self):
        machine = self.off_machine(1)
        machine.snapshot("one")
        self.assert_bus_error("AlreadyExists", ["one", machine.name], machine.ask_snapshot, "one")
        # Also when it is only taken by the time its turn has come.
        jobs = [machine.ask_snapshot("two"), machine.ask_snapshot("two")]
        self.client.wait_job(jobs[0])
        self.assert_job_fails("AlreadyExists", "two", jobs[1])
        self.assertEqual(machine.tags(), [["one", "two"]])

    def test_tag_in_a_disk_that_is_not_on_record_is_left_alone(self):
        machine = self.off_machine()
        qemu_img("snapshot", "-c", "theirs", machine.disks[1].path)
        self.assert_job_fails("AlreadyExists", ["vdb", machine.disks[1].path, "theirs"], machine.ask_snapshot("theirs"))
        self.assertEqual(machine.tags(), [[], ["theirs"]])
        self.assertEqual(machine.snapshots(), [])
        machine.snapshot("ours")
        machine.revert("ours")
        machine.delete("ours")
        self.assertEqual(machine.tags(), [[], ["theirs"]])

    def tree_machine(self):
        """root → a → (b → c, d); current: d."""
        machine = self.off_machine(1)
        for name in ("root", "a", "b", "c"):
            machine.snapshot(name)
        machine.revert("a")
        machine.snapshot("d")
        self.assertEqual(machine.tree(), {"root": None, "a": "root", "b": "a", "c": "b", "d": "a"})
        self.assertEqual(machine.current(), "d")
        return machine

    def assert_tree(self, machine, tree, current):
        for _ in range(2):
            self.assertEqual(machine.tree(), tree)
            self.assertEqual(machine.current(), current)
            self.assertEqual(sorted(machine.tags()[0]), sorted(tree))
            self.service.restart()

    def test_filters_and_order(self):
        machine = self.tree_machine()
        names = machine.snapshots()
        for name, parent in machine.tree().items():
            if parent:
                self.assertLess(names.index(parent), names.index(name))
        self.assertEqual(machine.snapshots(roots=True), ["root"])
        self.assertEqual(sorted(machine.snapshots(leaves=True)), ["c", "d"])
        self.assertEqual(sorted(machine.snapshots(no_leaves=True)), ["a", "b", "root"])
        self.assertEqual(len(machine.snapshots(internal=True)), 5)
        self.assertEqual(machine.snapshots(external=True), [])
        self.assertEqual(len(machine.snapshots(inactive=True)), 5)
        self.assertEqual(machine.snapshots(active=True), [])
        self.assertEqual(machine.snapshots(disk_only=True), [])
        self.assertEqual(sorted(machine.snapshots(descendants_of=object_path(machine.snapshot_path("a")))),
                         ["b", "c", "d"])
        self.assert_bus_error("InvalidArgument", "leaves", machine.call, "ListSnapshots", leaves=True, no_leaves=True)

    def test_delete_a_leaf_that_is_current(self):
        machine = self.tree_machine()
        machine.delete("d")
        self.assert_tree(machine, {"root": None, "a": "root", "b": "a", "c": "b"}, "a")

    def test_delete_in_the_middle(self):
        machine = self.tree_machine()
        machine.delete("a")
        self.assert_tree(machine, {"root": None, "b": "root", "c": "b", "d": "root"}, "d")

    def test_delete_the_root(self):
        machine = self.tree_machine()
        machine.delete("root")
        self.assert_tree(machine, {"a": None, "b": "a", "c": "b", "d": "a"}, "d")

    def test_delete_with_children(self):
        machine = self.tree_machine()
        machine.delete("b", children=True)
        self.assert_tree(machine, {"root": None, "a": "root", "d": "a"}, "d")
        machine.delete("a", children=True)
        self.assert_tree(machine, {"root": None}, "root")

    def test_delete_the_children_only(self):
        machine = self.tree_machine()
        machine.delete("a", children_only=True)
        self.assert_tree(machine, {"root": None, "a": "root"}, "a")

    def test_delete_metadata_only_leaves_the_tag(self):
        machine = self.tree_machine()
        machine.delete("a", metadata_only=True)
        self.assertEqual(machine.tree(), {"root": None, "b": "root", "c": "b", "d": "root"})
        self.assertEqual(sorted(machine.tags()[0]), ["a", "b", "c", "d", "root"])

    def test_children_and_children_only_exclude_each_other(self):
        machine = self.off_machine(1)
        machine.snapshot("one")
        self.assert_bus_error("InvalidArgument", "children", machine.ask_delete, "one", children=True, children_only=True)

    def test_undefine_with_snapshots_wants_to_be_told(self):
        machine = self.off_machine(1)
        machine.snapshot("one")
        self.assert_bus_error("HasSnapshots", "snapshots-metadata", machine.call, "Undefine")
        machine.call("Undefine", snapshots_metadata=True)
        self.assertFalse(machine.is_there())
        self.assertFalse(machine.store.exists())
        self.assertEqual(machine.tags(), [["one"]])
        qemu_img("snapshot", "-d", "one", machine.disks[0].path)

    def test_deleting_what_is_gone_from_the_disks_already_forgets_it(self):
        machine = self.off_machine()
        machine.snapshot("one")
        qemu_img("snapshot", "-d", "one", machine.disks[1].path)
        machine.delete("one")
        self.assertEqual(machine.snapshots(), [])
        self.assertEqual(machine.tags(), [[], []])

    def test_delete_with_a_lost_disk_says_how_to_forget_it(self):
        machine = self.off_machine()
        machine.snapshot("one")
        machine.disks[1].path.unlink()
        self.assert_job_fails("NotFound", [machine.disks[1].path, "metadata-only"], machine.ask_delete("one"))
        self.assertEqual(machine.snapshots(), ["one"])
        machine.delete("one", metadata_only=True)
        self.assertEqual(machine.snapshots(), [])
        machine.disks.pop()

    def test_revert_of_an_off_domain_brings_the_definition_back(self):
        folder = self.folder()
        disks = make_disks(folder, 2, mib=4)
        machine = self.machine(disks=disks[:1])
        machine.snapshot("small")
        machine.define(disks=disks, memory_mib=300)
        self.assertEqual(len(machine.get("Disks")), 2)
        machine.revert("small")
        self.assertEqual(len(machine.get("Disks")), 1)
        self.assertEqual(machine.get("Memory"), 256 << 20)
        self.service.restart()
        self.assertEqual(len(machine.get("Disks")), 1)

    def test_renamed_domain_keeps_its_name_through_a_revert(self):
        machine = self.off_machine(1)
        machine.snapshot("one")
        machine.name = f"new-{machine.name}"
        machine.define()
        machine.revert("one")
        self.assertEqual(machine.get("Name"), machine.name)

    def test_writable_raw_disk_is_refused_and_nothing_is_changed(self):
        folder = self.folder()
        disks = [make_disk(folder / "a.qcow2"), make_disk(folder / "b.raw", image_format="raw", target="vdb")]
        machine = self.machine(disks=disks)
        for _ in range(2):
            self.assert_bus_error("NotSupported", ["vdb", disks[1].path], machine.ask_snapshot, "one")
            self.assertEqual(machine.tags(), [[]])
            self.assertEqual(machine.snapshots(), [])
            if machine.get("State") == "shutoff":
                machine.start(paused=True)

    def test_no_disk_at_all_is_refused(self):
        machine = self.machine(disks=[])
        self.assert_bus_error("NotSupported", "qcow2", machine.ask_snapshot, "one")

    def test_what_internal_snapshots_can_not_be_is_refused(self):
        machine = self.off_machine(1)
        for key in ("live", "no_metadata"):
            with self.subTest(key):
                self.assert_bus_error("NotSupported", key.replace("_", "-"), machine.ask_snapshot, "one", **{key: True})
        for key, value in (("reuse_external", True), ("memory_path", "/x"), ("encoding", "zstd")):
            with self.subTest(key):
                self.assert_bus_error("InvalidArgument", key.replace("_", "-"), machine.ask_snapshot, "one",
                                      **{key: value})
        self.assertEqual(machine.tags(), [[]])


class GuestsThatStandStill(ServiceCase):
    """Guests that are there and need not be up."""

    def paused_machine(self, *, disks=None, **details):
        return self.machine(disks=disks or make_disks(self.folder(), 2, mib=8), **details).start(paused=True)

    def test_read_only_disks_and_cdroms_are_left_out(self):
        folder = self.folder()
        disks = [make_disk(folder / "a.qcow2"),
                 make_disk(folder / "b.raw", image_format="raw", target="vdb", read_only=True),
                 make_disk(folder / "c.qcow2", target="vdc", read_only=True)]
        make_disk(folder / "cd.iso", image_format="raw")
        cdrom = (f'<disk type="file" device="cdrom"><driver name="qemu" type="raw"/><source file="{folder / "cd.iso"}"/>'
                 '<target dev="sda" bus="sata"/><readonly/></disk>')
        machine = self.paused_machine(disks=disks, extra_devices=cdrom)
        machine.snapshot("one")
        self.assertEqual({disk["target"]: disk["snapshot"] for disk in machine.snapshot_property("one", "Disks")},
                         {"vda": "internal", "vdb": "none", "vdc": "none", "sda": "none"})
        machine.revert("one")
        self.assertEqual(machine.state[0], "paused")
        machine.shut_off()
        machine.revert("one")
        self.assertEqual(machine.tags(), [["one"], []])
        machine.delete("one")
        self.assertEqual(machine.tags(), [[], []])

    def test_numbers_as_names_are_each_their_own(self):
        machine = self.paused_machine()
        for name in ("2", "1", "3"):
            machine.snapshot(name)
        machine.revert("2")
        machine.delete("1")
        self.assertEqual(machine.snapshots(), ["2", "3"])
        machine.revert("3")
        machine.revert("2")
        machine.shut_off()
        machine.revert("3")
        self.assertEqual(machine.state[0], "paused")
        self.assertEqual([len(tags) for tags in machine.tags()], [2, 2])

    def test_name_like_a_tag_of_our_own_is_not_mistaken_for_it(self):
        """A revert keeps the present disks under a tag with its job's number."""
        machine = self.paused_machine()
        for off in (False, True):
            number = int(self.client.wait_job(machine.ask_snapshot("probe")) and job_number(machine.ask_delete("probe")))
            machine.snapshot(f"vmsnap-undo-{number + 2}")
            self.assertEqual(job_number(machine.ask_revert(f"vmsnap-undo-{number + 2}")), number + 2)
            self.client.wait_job(f"/org/vmsnap/VmSnap1/jobs/{number + 2}")
            machine.revert(f"vmsnap-undo-{number + 2}")
            self.assertEqual([len(tags) for tags in machine.tags()], [1 + off, 1 + off])
            machine.shut_off()

    def assert_revert_is_refused(self, machine, error, words, name="one", **option_values):
        """The running guest doesn't notice."""
        pid, state = machine.pid(), machine.state
        self.assert_job_fails(error, words, machine.ask_revert(name, **option_values))
        self.assertEqual((machine.pid(), machine.state), (pid, state))
        self.assertEqual([tag for tags in machine.tags() for tag in tags if tag.startswith("vmsnap-")], [])
        self.assertEqual(machine.journals(), [])

    def test_tag_missing_in_one_disk_is_named_before_anything_is_touched(self):
        machine = self.paused_machine()
        machine.snapshot("one")
        machine.shut_off()
        qemu_img("snapshot", "-d", "one", machine.disks[1].path)
        self.assert_revert_is_refused(machine, "NotFound", ["vdb", machine.disks[1].path, "metadata-only"])
        self.assertEqual(machine.state[0], "shutoff")
        machine.start(paused=True)
        self.assert_revert_is_refused(machine, "NotFound", ["vdb", machine.disks[1].path])

    def test_tag_without_its_memory_is_noticed(self):
        """Somebody deleted the tag and made another of the same name: without the guest's memory."""
        machine = self.paused_machine()
        machine.snapshot("one")
        machine.shut_off()
        qemu_img("snapshot", "-d", "one", machine.disks[0].path)
        qemu_img("snapshot", "-c", "one", machine.disks[0].path)
        self.assert_revert_is_refused(machine, "NotFound", "memory")
        machine.start(paused=True)
        self.assert_revert_is_refused(machine, "NotFound", "memory")

    def test_guest_with_other_devices_is_not_ended_without_force(self):
        folder = self.folder()
        disks = make_disks(folder, 2, mib=8)
        machine = self.machine(disks=disks[:1]).start(paused=True)
        machine.snapshot("one")
        machine.shut_off()
        machine.define(disks=disks)
        machine.start(paused=True)
        pid = machine.pid()
        self.assert_bus_error("InvalidState", ["force", "number of disks: 1, now 2"], machine.ask_revert, "one")
        self.assertEqual((machine.pid(), machine.state[0]), (pid, "paused"))
        machine.revert("one", force=True)
        self.assertNotEqual(machine.pid(), pid)
        self.assertEqual(machine.state, ("paused", "from-snapshot"))
        self.assertEqual(len(machine.get("Disks")), 1)
        # Off, it needs no force.
        machine.shut_off()
        machine.define(disks=disks)
        machine.revert("one")
        self.assertEqual(machine.state, ("paused", "from-snapshot"))
        self.assertEqual(len(machine.get("Disks")), 1)
        # The other disk is free again.
        other = self.machine(disks=[Disk(disks[1].path)])
        other.start(paused=True)

    def test_domain_stays_usable_by_overlays_with_relative_backing_files(self):
        folder = self.folder()
        make_disk(folder / "base.qcow2")
        qemu_img("create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", folder / "top.qcow2")
        machine = self.paused_machine(disks=[Disk(folder / "top.qcow2")])
        machine.snapshot("one")
        machine.revert("one")
        machine.shut_off()
        machine.revert("one")
        machine.delete("one")
        self.assertEqual(machine.tags(), [[]])

    def test_disks_on_every_bus_are_covered(self):
        folder = self.folder()
        disks = [make_disk(folder / "a", target="vda"), make_disk(folder / "b", target="sda", bus="scsi"),
                 make_disk(folder / "c", target="sdb", bus="sata")]
        machine = self.paused_machine(disks=disks)
        machine.snapshot("one")
        self.assertEqual(machine.tags(), [["one"]] * 3)
        machine.revert("one")
        machine.delete("one")
        self.assertEqual(machine.tags(), [[]] * 3)

    def test_transient_domain_has_snapshots_too(self):
        machine = self.undefined_machine(disks=make_disks(self.folder(), 2, mib=8))
        machine.create(paused=True)
        machine.snapshot("one")
        self.assert_bus_error("InvalidArgument", ["transient", "halt"], machine.ask_snapshot, "two", halt=True)
        machine.revert("one")
        self.assertEqual(machine.state[0], "paused")
        self.service.kill()
        self.service.start()
        machine.revert("one")
        self.assertFalse(machine.get("Persistent"))
        machine.delete("one")
        machine.call("PowerOff")
        self.assertFalse(machine.is_there())
        self.assertFalse(machine.store.exists())

    def test_snapshot_object_comes_and_goes_on_the_bus(self):
        machine = self.paused_machine()
        path = machine.snapshot_path("ein Name")
        self.assertTrue(path.endswith(encode_name("ein Name")))
        since = len(self.client.signals)
        machine.snapshot("ein Name")
        self.client.wait_signal("InterfacesAdded", lambda sent: sent.arguments[0] == path, since)
        self.assertEqual(machine.call("GetSnapshot", "s", "ein Name"), path)
        self.assertEqual(machine.wait_event("snapshot-created", since), {"snapshot": path, "name": "ein Name"})
        machine.delete("ein Name")
        self.client.wait_signal("InterfacesRemoved", lambda sent: sent.arguments[0] == path, since)
        self.assertEqual(machine.wait_event("snapshot-deleted", since), {"snapshot": path, "name": "ein Name"})
        self.assert_bus_error("NotFound", "ein Name", machine.call, "GetSnapshot", "s", "ein Name")


def job_number(job):
    return int(job.rsplit("/", 1)[1])


def object_path(path):
    return GLib.Variant("o", path)


def qemu_io(disk, command):
    done = subprocess.run(["qemu-io", "-f", disk.format, "-c", command, disk.path], stdout=subprocess.PIPE, text=True,
                          check=True)
    return done.stdout


def write(disk, byte):
    qemu_io(disk, f"write -P {byte} 0 64k")


def holds(disk, byte):
    return "Pattern verification failed" not in qemu_io(disk, f"read -P {byte} 0 64k")


if __name__ == "__main__":
    main()
