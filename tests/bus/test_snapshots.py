# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of a domain that is off: objects, names, filters and options on the bus."""

from gi.repository import GLib

from support import SnapshotCase
from vmsnaptest import (BUS_NAME, BusError, JobFailed, continue_process, internal_snapshots, main, qemu_img, snapshot_path,
                        stop_process)

NAMES_TAKEN = {
    "plain": "first",
    "digit-first": "2nd",
    "spaces": "before the upgrade",
    "underscores": "a_b__c",
    "dash-and-dot": "v1.2-rc3",
    "umlauts": "Größe",
    "emoji": "🐧🚀",
    "right-to-left": "مرحبا",
    "quotes": "it's \"quoted\" & <marked>",
    "percent": "%s%n",
    "option": "--help",
    "200-bytes": "x" * 200,
    "200-bytes-of-four": "🚀" * 50,
}

NAMES_REFUSED = {
    "slash": "a/b",
    "dot-dot": "..",
    "newline": "a\nb",
    "escape": "a\x1bb",
    "c1-control": "a\u0085b",
    "201-bytes": "x" * 201,
    "300-bytes": "x" * 300,
    "300-bytes-of-four": "🚀" * 75,
}


class SharedDisk(SnapshotCase):
    """Another domain has the same disk."""

    def setUp(self):
        super().setUp()
        self.other = self.define("the-other", [self.disk])

    def assert_claimed(self, path, interface, method, *arguments, **options):
        end = self.client.end_of_job(self.client.call(path, interface, method, *arguments, **options))
        self.assertEqual(end.error, "Busy", end.message)
        for words in (str(self.disk.path), "the-other"):
            self.assertIn(words, end.message)
        self.assertNotIn("qemu-img", end.message)

    def test_disk_of_a_running_domain_is_not_touched_for_another(self):
        snapshot = self.create("one")
        self.client.run(self.other, "Domain", "Start")
        self.assert_claimed(self.domain, "Domain", "CreateSnapshot", "s", "two", location="internal")
        self.assert_claimed(snapshot, "Snapshot", "Revert")
        self.assert_claimed(snapshot, "Snapshot", "Delete")
        self.assertEqual(self.list(), ["one"])
        self.client.call(self.other, "Domain", "PowerOff")
        self.assertEqual(internal_snapshots(self.disk), ["one"])
        self.create("two")

    def test_disk_is_free_again_after_each_operation(self):
        snapshot = self.create("one")
        qemu_img("snapshot", "-c", "stray", self.disk.path)
        for operation in (lambda: self.create("two"), lambda: self.client.run(snapshot, "Snapshot", "Revert"),
                          lambda: self.client.run(snapshot, "Snapshot", "Delete"),
                          lambda: self.assertRaises(JobFailed, self.create, "stray")):
            operation()
            self.client.run(self.other, "Domain", "Start")
            self.client.call(self.other, "Domain", "PowerOff")


class Snapshots(SnapshotCase):

    def test_snapshot_is_announced_and_shown(self):
        path = self.create("one", description="for people")
        self.assertEqual(path, snapshot_path(self.domain, "one"))
        properties = self.client.get_all(path, "Snapshot")
        self.assertGreater(properties.pop("CreationTime"), 1_600_000_000_000_000)
        properties.pop("Size")
        self.assertEqual(properties, {
            "Name": "one", "Description": "for people", "Domain": self.domain, "Parent": "/", "State": "shutoff",
            "Location": "internal", "Memory": "none", "IsCurrent": True, "Downtime": 0,
            "Disks": [{"target": "vda", "snapshot": "internal", "path": str(self.disk.path), "format": "qcow2"}],
        })
        added = self.client.wait_signal("InterfacesAdded", lambda signal: signal.arguments[0] == path)
        self.assertIn(BUS_NAME + ".Snapshot", added.arguments[1])
        event = self.client.wait_signal("Event", lambda signal: signal.arguments[0] == "snapshot-created")
        self.assertEqual(event.path, self.domain)
        self.assertEqual((event.arguments[1]["snapshot"], event.arguments[1]["name"]), (path, "one"))
        self.assertEqual(self.client.get(self.domain, "Domain", "CurrentSnapshot"), path)

    def test_result_and_completed_tell_the_snapshot(self):
        job = self.client.call(self.domain, "Domain", "CreateSnapshot", "s", "told", location="internal")
        end = self.client.wait_job(job)
        path = snapshot_path(self.domain, "told")
        self.assertEqual(end.result["snapshot"], path)
        self.assertEqual(self.client.get(job, "Job", "Result"), end.result)
        self.assertEqual(self.client.get(job, "Job", "Snapshot"), path)

    def test_strange_names_become_object_paths_and_come_back(self):
        for case, name in NAMES_TAKEN.items():
            with self.subTest(case):
                path = self.create(name)
                self.assertEqual(path, snapshot_path(self.domain, name))
                self.assertEqual(self.client.get(path, "Snapshot", "Name"), name)
                self.assertEqual(self.client.call(self.domain, "Domain", "GetSnapshot", "s", name), path)
        self.assertCountEqual(self.list(), NAMES_TAKEN.values())

    def test_bad_names_are_refused_and_change_nothing(self):
        for case, name in NAMES_REFUSED.items():
            with self.subTest(case):
                self.refuse_create("InvalidArgument", name, "name", location="internal")
                self.assert_refused("NotFound", self.domain, "Domain", "GetSnapshot", "s", name)
        self.assertEqual(self.list(), [])
        self.assertEqual(internal_snapshots(self.disk), [])

    def test_empty_name_is_made_from_the_time(self):
        path = self.create("")
        self.assertRegex(self.client.get(path, "Snapshot", "Name"), r"\d{4}")

    def test_descriptions_that_cannot_be_kept_are_refused(self):
        cases = {"control": "a\x01b", "vertical-tab": "\x0b", "noncharacter": "\ufffe", "too-long": "x" * 65537}
        for case, text in cases.items():
            with self.subTest(case):
                self.refuse_create("InvalidArgument", "x", "'description'", location="internal", description=text)
        self.assertEqual(self.list(), [])

    def test_strange_descriptions_outlive_a_restart(self):
        texts = ["]]> <b>&amp;</b>", "two\nlines\tand a tab", "🐧 ÄÖÜ", "x" * 65536]
        paths = [self.create(f"s{i}", description=text) for i, text in enumerate(texts)]
        self.service.restart()
        with self.service.client() as client:
            self.assertEqual([client.get(path, "Snapshot", "Description") for path in paths], texts)

    def test_taken_name_is_refused(self):
        self.create("one")
        with self.assertRaises(BusError) as caught:
            self.create("one")
        self.assert_error(caught.exception, "AlreadyExists", "one")

    def test_unknown_snapshot_is_not_found(self):
        self.assert_refused("NotFound", self.domain, "Domain", "GetSnapshot", "s", "nothing", says="'nothing'")

    def test_revert_makes_it_current_and_a_new_one_its_child(self):
        first, second = self.create("first"), self.create("second")
        self.assertEqual(self.client.get(second, "Snapshot", "Parent"), first)
        self.client.run(first, "Snapshot", "Revert")
        self.assertEqual(self.client.get(self.domain, "Domain", "CurrentSnapshot"), first)
        self.assertTrue(self.client.get(first, "Snapshot", "IsCurrent"))
        self.assertFalse(self.client.get(second, "Snapshot", "IsCurrent"))
        third = self.create("third")
        self.assertEqual(self.client.get(third, "Snapshot", "Parent"), first)

    def test_delete_takes_it_off_the_bus_and_out_of_the_disk(self):
        first, second = self.create("first"), self.create("second")
        self.client.run(first, "Snapshot", "Delete")
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == first)
        self.client.wait_signal("Event", lambda signal: signal.arguments[0] == "snapshot-deleted")
        self.assertEqual(self.client.get(second, "Snapshot", "Parent"), "/")
        self.assertEqual(internal_snapshots(self.disk), ["second"])

    def test_xml_is_a_domainsnapshot(self):
        path = self.create("one")
        xml = self.client.call(path, "Snapshot", "GetXml")
        self.assertIn("<domainsnapshot>", xml)
        self.assertIn("<name>one</name>", xml)

    def test_undefine_takes_snapshots_only_when_told(self):
        path = self.create("one")
        self.assert_refused("HasSnapshots", self.domain, "Domain", "Undefine", says="snapshot")
        self.client.call(self.domain, "Domain", "Undefine", snapshots_metadata=True)
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == self.domain)
        self.assertEqual(internal_snapshots(self.disk), ["one"])


class Filters(SnapshotCase):
    """root ─ left ─ leaf, root ─ right"""

    def setUp(self):
        super().setUp()
        self.root, self.left, self.leaf = (self.create(name) for name in ("root", "left", "leaf"))
        self.client.run(self.root, "Snapshot", "Revert")
        self.right = self.create("right")

    def test_parents_come_before_their_children(self):
        names = self.list()
        self.assertCountEqual(names, ["root", "left", "leaf", "right"])
        self.assertEqual(names[0], "root")
        self.assertLess(names.index("left"), names.index("leaf"))

    def test_filters(self):
        cases = [
            ({"roots": True}, ["root"]),
            ({"leaves": True}, ["leaf", "right"]),
            ({"no_leaves": True}, ["root", "left"]),
            ({"internal": True}, ["root", "left", "leaf", "right"]),
            ({"external": True}, []),
            ({"internal": True, "external": True}, ["root", "left", "leaf", "right"]),
            ({"inactive": True}, ["root", "left", "leaf", "right"]),
            ({"active": True}, []),
            ({"disk_only": True}, []),
            ({"active": True, "inactive": True, "leaves": True}, ["leaf", "right"]),
            ({"descendants_of": self.root}, ["left", "leaf", "right"]),
            ({"descendants_of": self.left}, ["leaf"]),
            ({"descendants_of": self.leaf}, []),
            ({"descendants_of": self.root, "roots": True}, ["left", "right"]),
            ({"descendants_of": self.root, "leaves": True}, ["leaf", "right"]),
        ]
        for options, expected in cases:
            if "descendants_of" in options:
                options["descendants_of"] = GLib.Variant("o", options["descendants_of"])
            with self.subTest(str(options)):
                self.assertCountEqual(self.list(**options), expected)

    def test_descendants_of_what_is_no_snapshot_is_refused(self):
        for path, error in ((self.domain, "InvalidArgument"), ("/", "InvalidArgument"),
                            (snapshot_path("/org/vmsnap/VmSnap1/domains/x", "root"), "InvalidArgument"),
                            (self.domain + "/snapshots/nothing", "NotFound"),
                            (self.domain + "/snapshots/_2F", "NotFound")):
            with self.subTest(path):
                self.assert_refused(error, self.domain, "Domain", "ListSnapshots", says="descendants-of",
                                    descendants_of=GLib.Variant("o", path))


class Deletion(SnapshotCase):
    """root ─ left ─ leaf, root ─ right"""

    def setUp(self):
        super().setUp()
        self.root, self.left, self.leaf = (self.create(name) for name in ("root", "left", "leaf"))
        self.client.run(self.root, "Snapshot", "Revert")
        self.right = self.create("right")

    def delete(self, path, **options):
        self.client.run(path, "Snapshot", "Delete", **options)

    def assert_left(self, names):
        self.assertCountEqual(self.list(), names)
        self.assertCountEqual(internal_snapshots(self.disk), names)

    def test_children_of_a_deleted_one_become_its_parents(self):
        self.delete(self.left)
        self.assert_left(["root", "leaf", "right"])
        self.assertEqual(self.client.get(self.leaf, "Snapshot", "Parent"), self.root)

    def test_children_takes_all_below_it_too(self):
        self.delete(self.left, children=True)
        self.assert_left(["root", "right"])

    def test_children_only_keeps_the_snapshot_itself(self):
        self.delete(self.root, children_only=True)
        self.assert_left(["root"])

    def test_metadata_only_leaves_the_data_in_the_disk(self):
        self.delete(self.leaf, metadata_only=True)
        self.assertCountEqual(self.list(), ["root", "left", "right"])
        self.assertCountEqual(internal_snapshots(self.disk), ["root", "left", "leaf", "right"])

    def test_current_snapshot_follows(self):
        self.delete(self.right)
        self.assertEqual(self.client.get(self.domain, "Domain", "CurrentSnapshot"), self.root)


class Running(SnapshotCase):
    """Of a guest that boots nothing."""

    def setUp(self):
        super().setUp()
        self.client.run(self.domain, "Domain", "Start")

    def state(self):
        return self.client.get(self.domain, "Domain", "State")

    def test_memory_is_kept_and_the_guest_runs_on(self):
        path = self.create("one")
        properties = self.client.get_all(path, "Snapshot")
        self.assertEqual((properties["State"], properties["Memory"], properties["Location"]),
                         ("running", "internal", "internal"))
        self.assertGreater(properties["Downtime"], 0)
        self.assertEqual(self.state(), "running")
        self.assertEqual(self.list(active=True), ["one"])
        self.assertEqual(self.list(inactive=True), [])

    def test_paused_guest_stays_paused(self):
        self.client.call(self.domain, "Domain", "Pause")
        path = self.create("one")
        self.assertEqual(self.client.get(path, "Snapshot", "State"), "paused")
        self.assertEqual(self.state(), "paused")

    def test_halt_powers_off_afterwards(self):
        path = self.create("one", halt=True)
        self.client.wait_property(self.domain, "Domain", "State", "shutoff")
        self.assertEqual(self.client.get(path, "Snapshot", "State"), "running")

    def test_revert_goes_to_the_state_of_the_snapshot_or_the_one_asked_for(self):
        path = self.create("one")
        for options, state in (({}, "running"), ({"paused": True}, "paused"), ({"running": True}, "running")):
            with self.subTest(str(options)):
                self.client.run(path, "Snapshot", "Revert", **options)
                self.assertEqual(self.state(), state)
        self.assertEqual(self.client.get(self.domain, "Domain", "StateReason"), "from-snapshot")

    def test_revert_of_a_domain_that_is_off_starts_it(self):
        path = self.create("one", halt=True)
        self.client.wait_property(self.domain, "Domain", "State", "shutoff")
        self.client.run(path, "Snapshot", "Revert")
        self.assertEqual(self.state(), "running")
        event = self.client.wait_signal("Event", lambda signal: signal.arguments[0] == "snapshot-reverted")
        self.assertEqual(event.arguments[1]["snapshot"], path)

    def test_cancel_before_anything_is_done_needs_no_answer_of_qemu(self):
        (pid,) = self.service.guests()
        self.addCleanup(continue_process, pid)
        stop_process(pid)
        job = self.client.call(self.domain, "Domain", "CreateSnapshot", "s", "never", location="internal")
        self.client.wait_property(job, "Job", "Phase", "Checking disks")
        self.client.call(job, "Job", "Cancel")
        end = self.client.end_of_job(job)
        self.assertEqual((end.state, end.error), ("cancelled", "Cancelled"))
        self.assertEqual(end.message, "snapshot-create was cancelled")
        continue_process(pid)
        self.create("after")
        self.assertEqual(self.list(), ["after"])

    def test_bytes_and_phases_are_told(self):
        job = self.client.call(self.domain, "Domain", "CreateSnapshot", "s", "one", location="internal")
        self.client.wait_job(job)
        phases = [signal.arguments[1]["Phase"] for signal in self.client.signals
                  if signal.path == job and signal.member == "PropertiesChanged" and "Phase" in signal.arguments[1]]
        self.assertTrue(all(phases))
        self.assertTrue(phases)


if __name__ == "__main__":
    main()
