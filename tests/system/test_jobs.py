#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Jobs of operations on a real guest: what they show, cancelling, waiting in line, and what users do meanwhile."""

import os
import time

from vmsnaptest import BusError, main

from machines import DOMAIN, JOB, ServiceCase

SAVING = "Saving memory and disks"


class Jobs(ServiceCase):
    """Tests that share one guest; each begins with it running and without snapshots."""

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
        self.assertEqual(self.guest.get("Job"), "/")

    def make_slow(self, mib=128):
        """Gives the next save so much to write that its phase is told: what changes back within 0.1 s is not."""
        self.guest.witness.dirty(mib)

    def changes(self, job, name):
        """Each value that a property of the job has had, as the signals told."""
        return [sent.arguments[1][name] for sent in self.client.signals
                if sent.path == job and sent.member == "PropertiesChanged" and name in sent.arguments[1]]

    def wait_phase(self, job, phase):
        self.client.wait_property(job, JOB, "Phase", phase)

    def assert_untouched(self, before):
        """No snapshot, no tag; the guest has run on."""
        self.assertEqual(self.guest.snapshots(), [])
        self.assertEqual(self.guest.tags(), [[], []])
        after = self.guest.witness.wait_beyond(before.ram).check()
        self.assertEqual(after.run, before.run)

    def test_job_tells_its_story(self):
        began = time.time_ns() // 1000
        self.make_slow()
        job = self.guest.ask_snapshot("one")
        end = self.client.wait_job(job)
        values = self.client.get_all(job, JOB)
        self.assertEqual(values["Operation"], "snapshot-create")
        self.assertEqual((values["Domain"], values["Snapshot"]), (self.guest.path, self.guest.snapshot_path("one")))
        self.assertEqual((values["State"], values["Progress"], values["Cancellable"]), ("completed", 1.0, False))
        self.assertEqual(values["Error"], ("", ""))
        self.assertEqual(values["CallerUid"], os.getuid())
        self.assertTrue(began <= values["StartTime"] <= values["EndTime"] <= time.time_ns() // 1000)
        self.assertEqual(values["Result"]["snapshot"], self.guest.snapshot_path("one"))
        self.assertEqual(values["Result"], end.result)
        self.assertEqual(values["Result"]["downtime"], self.guest.snapshot_property("one", "Downtime"))
        self.assert_progress_is_sane(job)
        self.assertEqual(self.changes(job, "State"), ["running", "completed"])
        self.assertIn(SAVING, self.changes(job, "Phase"))
        self.assertTrue(8 << 20 < values["BytesDone"] <= values["BytesTotal"], values)

    def test_domain_shows_its_job_while_it_lasts(self):
        job = self.guest.ask_snapshot("one")
        self.client.wait_property(self.guest.path, DOMAIN, "Job", job)
        self.client.wait_job(job)
        self.client.wait_property(self.guest.path, DOMAIN, "Job", "/")

    def test_ended_job_can_be_read_and_dismissed(self):
        job = self.guest.ask_snapshot("one")
        self.client.wait_job(job)
        with self.service.client() as late:
            self.assertEqual(late.get(job, JOB, "State"), "completed")
        with self.assertRaises(BusError) as caught:
            self.client.call(job, JOB, "Cancel")
        self.assertEqual(caught.exception.name, "InvalidState")
        self.client.call(job, JOB, "Dismiss")
        self.assertNotIn(job, self.client.objects())

    def test_running_job_can_not_be_dismissed(self):
        self.make_slow()
        job = self.guest.ask_snapshot("one")
        self.assert_bus_error("InvalidState", "", self.client.call, job, JOB, "Dismiss")
        self.client.wait_job(job)

    def cancel_while_saving(self):
        """Asks for a snapshot and cancels it, twice; again if it was quicker."""
        while True:
            job = self.guest.ask_snapshot("one")
            self.wait_phase(job, SAVING)
            try:
                self.client.call(job, JOB, "Cancel")
                self.client.call(job, JOB, "Cancel")
                return job
            except BusError as error:
                self.assertEqual((error.name, self.client.end_of_job(job).state), ("InvalidState", "completed"))
                self.guest.delete("one")

    def test_cancel_during_the_save_leaves_no_trace(self):
        self.make_slow()
        before = self.guest.witness.get()
        job = self.cancel_while_saving()
        end = self.client.end_of_job(job)
        self.assertEqual((end.state, end.error), ("cancelled", "Cancelled"))
        self.assertEqual(self.client.get(job, JOB, "Error")[0].rsplit(".", 1)[1], "Cancelled")
        self.assertLess(self.client.get(job, JOB, "Progress"), 1)
        self.assert_untouched(before)
        self.assertEqual(self.guest.state[0], "running")

    def test_cancel_of_a_job_in_line_never_begins_it(self):
        self.make_slow()
        first = self.guest.ask_snapshot("one")
        second = self.guest.ask_snapshot("two")
        third = self.guest.ask_snapshot("three")
        self.assertEqual(self.client.get(second, JOB, "State"), "queued")
        self.client.call(second, JOB, "Cancel")
        self.assertEqual(self.client.end_of_job(second).state, "cancelled")
        self.client.wait_job(first)
        self.client.wait_job(third)
        self.assertEqual(self.guest.tree(), {"one": None, "three": "one"})
        self.assertNotIn("running", self.changes(second, "State"))

    def test_jobs_are_done_in_the_order_they_were_asked_for(self):
        jobs = [self.guest.ask_snapshot(name) for name in ("one", "two")]
        jobs.append(self.guest.ask_snapshot("three", halt=True))
        jobs.append(self.guest.call("Start", paused=True))
        for job in jobs:
            self.client.wait_job(job)
        order = [sent.path for sent in self.client.signals if sent.member == "Completed" and sent.path in jobs]
        self.assertEqual(order, jobs)
        self.assertEqual(self.guest.tree(), {"one": None, "two": "one", "three": "two"})
        self.assertEqual(self.guest.state[0], "paused")

    def test_busy_is_told_to_who_does_not_want_to_wait(self):
        self.make_slow()
        job = self.guest.ask_snapshot("one")
        self.assert_bus_error("Busy", ["snapshot-create", job.rsplit("/", 1)[1]], self.guest.ask_snapshot, "two",
                              queue=False)
        self.assert_bus_error("Busy", "snapshot-create", self.guest.call, "Pause", queue=False)
        self.client.wait_job(job)
        self.assertEqual(self.guest.snapshots(), ["one"])
        self.guest.snapshot("two", queue=False)

    def test_pause_during_a_save_holds_at_its_end(self):
        self.make_slow()
        job = self.guest.ask_snapshot("one")
        self.wait_phase(job, SAVING)
        self.guest.call("Pause")
        self.client.wait_job(job)
        self.assertEqual(self.guest.state, ("paused", "user"))
        self.assertEqual(self.guest.snapshot_property("one", "State"), "running")
        self.guest.call("Resume")
        self.guest.wait_state("running")
        self.guest.witness.wait_beyond(self.guest.witness.get().check().ram).check()

    def test_pause_during_a_revert_holds_at_its_end(self):
        self.make_slow()
        self.guest.snapshot("one")
        job = self.guest.ask_revert("one")
        self.wait_phase(job, "Loading memory and disks")
        self.guest.call("Pause")
        self.client.wait_job(job)
        self.assertEqual(self.guest.state[0], "paused")
        self.guest.call("Resume")
        self.guest.wait_state("running")
        self.guest.witness.get().check()

    def assert_ended_while_saving(self, end_guest):
        """Ends the guest while it is saved; again if the save was quicker."""
        while True:
            self.make_slow()
            job = self.guest.ask_snapshot("one")
            self.wait_phase(job, SAVING)
            end_guest()
            end = self.client.end_of_job(job)
            self.guest.wait_state("shutoff")
            if end.state != "completed":
                break
            self.guest.delete("one")
            self.guest.boot()
        self.assertEqual((end.state, end.error), ("failed", "HypervisorGone"), end)
        self.assertEqual(self.guest.snapshots(), [])
        self.assertEqual(self.guest.tags(), [[], []])
        self.guest.check_disks()

    def test_power_off_during_a_save_ends_it_and_leaves_no_trace(self):
        self.assert_ended_while_saving(lambda: self.guest.call("PowerOff"))

    def test_qemu_killed_during_a_save_leaves_no_trace(self):
        self.assert_ended_while_saving(self.guest.kill_qemu)

    def test_two_clients_see_the_same(self):
        with self.service.client() as other:
            mine = self.guest.ask_snapshot("one")
            theirs = other.call(self.guest.path, DOMAIN, "CreateSnapshot", "s", "two", location="internal")
            self.assertEqual(self.client.end_of_job(theirs).state, "completed")
            self.assertEqual(other.end_of_job(mine).state, "completed")
        self.assertEqual(self.guest.tree(), {"one": None, "two": "one"})


if __name__ == "__main__":
    main()
