# SPDX-License-Identifier: LGPL-2.1-or-later
"""What breaks elsewhere: each was reproduced with libvirt 11.3, and none may be true here. What isn't here has its test
where the rest of its kind is tested:

- chains of more than 25 files can't be started, and a restart of the daemon kills the guest: test_depth.py, and
  test_lifecycle.py (test_service_starts_guests_on_long_chains_and_survives_them)
- a revert to a disk-only snapshot ends the guest unasked: ../bus/test_ctl.py
  (test_running_guest_is_not_ended_by_a_revert_unasked)
- the daemon killed in a checkpoint leaves the guest paused and files behind, or forgets which file is active:
  test_checkpoint_faults.py (Killed, BothKilled), test_external_recovery.py
- a disk-only overlay on a full store: test_external.py (test_no_room_for_an_overlay)
- UEFI variables in raw files are refused, or not kept: test_uefi.py (test_running_guest, test_domain_that_is_off,
  test_external_ones_put_them_back)
- a modifying call during a job waits for a lock until it fails: ../bus/test_domain.py
  (test_second_operation_waits_in_line_or_is_busy), test_jobs.py (test_busy_is_told_to_who_does_not_want_to_wait)
- --live never converges on a slow target: test_checkpoint.py (test_guest_that_is_too_quick)
- a disk that is left out of a checkpoint, in silence: test_checkpoint.py (test_what_is_left_out_is_warned_of)
- undefine with snapshots is refused without a simple way: test_snapshots.py
  (test_undefine_with_snapshots_wants_to_be_told)
- clients learn of new snapshots by polling: ../bus/test_snapshots.py (test_snapshot_is_announced_and_shown)
"""

import contextlib
import hashlib
import os

from vmsnaptest import JobFailed, SmallDisk, main, settle

from history_machine import MEMORY_MIB, WatchedCase
from history_model import EXTERNAL, INTERNAL
from history_story import Story
from machines import SNAPSHOT

# More of the memory of a guest than a small disk has room for.
TOO_MUCH = MEMORY_MIB // 2


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class PeersCase(WatchedCase):
    """Stories of bare machines."""

    def story(self, formats=("qcow2",), directory=None):
        story = Story(self.service, self.client, directory or self.folder(), self.short_name(), formats)
        story.machine.define()
        self.addCleanup(story.machine.discard)
        story.mark()
        return story

    def branches(self, guest):
        """root, with left and right above it, each of which has a child; and the domain is at right's child."""
        story = self.story()
        if guest:
            story.start()
        for name, parent in (("root", None), ("left", "root"), ("left-leaf", "left"), ("right", "root"),
                             ("right-leaf", "right")):
            if parent and story.model.current != parent:
                story.revert(parent, running=guest)
            story.mark()
            story.take(name, disk_only=True)
        story.mark()
        story.check()
        return story


class Reverts(PeersCase):

    def test_internal_revert_writes_nothing_into_the_file_below_an_external_one(self):
        for guest in (False, True):
            with self.subTest(guest=guest):
                story = self.story()
                if guest:
                    story.start()
                frozen = story.machine.disks[0].path
                story.take("inside", location=INTERNAL)
                story.mark()
                story.take("outside", disk_only=True)
                story.mark()
                before = digest(frozen)
                story.revert("inside")
                self.assertEqual(digest(frozen), before)
                story.check()
                story.mark()
                story.revert("outside")
                self.assertEqual(digest(frozen), before)
                story.check()

    def test_missing_memory_file_does_not_cost_the_guest(self):
        story = self.story()
        story.start()
        story.mark()
        memory = story.machine.run("CreateSnapshot", "s", "one")["file"]
        story.model.take("one", EXTERNAL, {"vda": EXTERNAL})
        story.mark()
        pid = story.machine.pid()
        os.rename(memory, f"{memory}.aside")
        with self.assertRaisesRegex(JobFailed, str(memory)):
            story.machine.revert("one")
        os.rename(f"{memory}.aside", memory)
        self.assertEqual(story.machine.pid(), pid)
        story.check()
        story.revert("one")
        story.check()

    def test_two_disk_only_reverts_in_one_second_do_not_collide(self):
        story = self.story()
        story.take("one", disk_only=True)
        for _ in range(3):
            jobs = [story.machine.ask_revert("one") for _ in range(2)]
            for job in jobs:
                self.client.wait_job(job)
            story.model.revert("one")
            story.check()
            story.mark()


class Creations(PeersCase):

    @contextlib.contextmanager
    def small_store(self, mib):
        disk = SmallDisk(mib << 20)
        try:
            yield disk
        finally:
            disk.close()

    def test_full_disk_does_not_pause_the_guest_of_an_internal_snapshot(self):
        small = self.enter(self.small_store(4))
        story = self.story()
        overlay = f"{small.path}/overlay"
        story.machine.run("CreateSnapshot", "s", "moved", disks={"vda": {"path": overlay}}, disk_only=True)
        story.start()
        story.machine.fill_memory(TOO_MUCH)
        pid = story.machine.pid()
        end = self.client.end_of_job(story.machine.ask_snapshot("too-large"))
        self.assertEqual((end.state, end.error), ("failed", "NoSpace"), end)
        self.assertIn(overlay, end.message)
        self.assertEqual((story.machine.state[0], story.machine.pid()), ("running", pid))
        self.assertEqual(story.machine.snapshots(), ["moved"])
        story.machine.write_blocks([("vda", 0, 1, 5)])
        self.assertEqual(story.machine.status(), "running")
        story.power_off()

    def test_half_made_snapshot_is_not_listed(self):
        story = self.story()
        story.start()
        story.machine.fill_memory(TOO_MUCH)
        for number in range(3):
            since = len(self.client.signals)
            job = story.machine.call("CreateSnapshot", "s", f"s{number}")
            path = story.machine.snapshot_path(f"s{number}")
            while not self.has_ended(job, since):
                if path in story.machine.call("ListSnapshots"):
                    self.assert_whole(path)
                settle()
            self.client.wait_job(job)
            self.assert_whole(path)

    def has_ended(self, job, since):
        return any(sent.path == job and sent.member == "Completed" for sent in self.client.signals[since:])

    def assert_whole(self, path):
        """Its memory is all there."""
        xml = self.client.call(path, SNAPSHOT, "GetXml")
        file = xml.partition("file='")[2].partition("'")[0] or xml.partition('file="')[2].partition('"')[0]
        with open(file, "rb") as image:
            self.assertEqual(image.read(16), b"LibvirtQemudSave")

    def test_pause_in_a_checkpoint_is_not_undone_at_its_end(self):
        story = self.story()
        story.start()
        story.machine.fill_memory(TOO_MUCH)
        for number, options in enumerate(({}, {"pause": True}, {"encoding": "gzip"})):
            with self.subTest(options):
                job = story.machine.call("CreateSnapshot", "s", f"s{number}", **options)
                story.machine.call("Pause")
                end = self.client.end_of_job(job)
                self.assertIn((end.state, end.error), (("completed", ""), ("failed", "InvalidState")), end)
                self.assertEqual((story.machine.state, story.machine.status()), (("paused", "user"), "paused"))
                story.machine.call("Resume")
                story.machine.wait_state("running")

    def test_internal_and_external_disks_in_one_snapshot(self):
        for guest in (False, True):
            with self.subTest(guest=guest):
                story = self.story(("qcow2", "qcow2", "raw"))
                if guest:
                    story.start()
                    story.mark()
                ways = {"vda": INTERNAL, "vdb": EXTERNAL, "vdc": EXTERNAL}
                story.take("mixed", ways)
                story.mark()
                story.take("again", ways, disk_only=True)
                story.mark()
                story.check()
                for name in ("mixed", "again"):
                    story.revert(name)
                    story.check()
                    story.mark()
                story.delete("mixed")
                story.check()
                story.revert("again")
                story.delete("again")
                story.check()


class Deletions(PeersCase):
    """libvirt refuses most of these; each here with a guest that runs, and without one."""

    def delete(self, name, **wanted):
        for guest in (True, False):
            with self.subTest(guest=guest):
                story = self.branches(guest)
                story.delete(name, **wanted)
                story.check()
                story.mark()
                for other in list(story.model.snapshots):
                    story.revert(other)
                    story.check()

    def test_of_an_external_one_with_a_child(self):
        self.delete("right")

    def test_of_a_branch_point(self):
        self.delete("root")

    def test_of_what_is_not_in_the_present_chain(self):
        self.delete("left")

    def test_of_a_leaf_that_is_not_in_the_present_chain(self):
        self.delete("left-leaf")

    def test_of_one_with_all_below_it(self):
        self.delete("left", children=True)

    def test_of_all_that_is_below_one(self):
        self.delete("root", children_only=True)

    def test_of_an_external_one_whose_parent_is_internal(self):
        story = self.story()
        story.take("inside", location=INTERNAL)
        story.mark()
        story.take("outside", disk_only=True)
        story.mark()
        story.take("top", disk_only=True)
        for name in ("outside", "inside", "top"):
            story.delete(name)
            story.check()


class Signals(PeersCase):

    def test_clients_are_told_of_each_change_without_asking(self):
        story = self.story()
        path = story.machine.snapshot_path("one")
        for act, event, current in ((lambda: story.take("one", disk_only=True), "snapshot-created", path),
                                    (lambda: story.revert("one"), "snapshot-reverted", None),
                                    (lambda: story.delete("one"), "snapshot-deleted", "/")):
            since = len(self.client.signals)
            act()
            self.assertEqual(story.machine.wait_event(event, since)["snapshot"], path)
            changes = [sent.arguments[1] for sent in self.client.signals[since:]
                       if (sent.path, sent.member) == (story.machine.path, "PropertiesChanged")]
            seen = [change["CurrentSnapshot"] for change in changes if "CurrentSnapshot" in change]
            self.assertEqual(seen[-1:], [current] if current else [])
        gone = self.client.wait_signal("InterfacesRemoved", lambda sent: sent.arguments[0] == path)
        self.assertIn("org.vmsnap.VmSnap1.Snapshot", gone.arguments[1])


if __name__ == "__main__":
    main()
