#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service killed in the middle of each operation on a guest that runs, and torn files."""

from vmsnaptest import main, qemu_img

from machines import JOB
from recovery import RecoveryCase

SAVING = "Saving memory and disks"


class RunningGuest(RecoveryCase):
    """Sweeps over one running guest."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest = cls.class_machine("shared")

    def setUp(self):
        super().setUp()
        if self.guest.get("State") == "shutoff":
            self.guest.boot()
        self.assertEqual(self.guest.snapshots(), [])
        self.addCleanup(self.tidy)

    def tidy(self):
        for name in self.guest.snapshots(roots=True):
            self.guest.delete(name, children=True)
        self.assert_tidy(self.guest)

    def assert_runs(self, run):
        self.assertEqual(self.guest.state[0], "running")
        now = self.guest.witness.get().check()
        self.assertEqual(now.run, run)
        return self.guest.witness.wait_beyond(now.ram).check()

    def test_killed_while_taking_a_snapshot(self):
        self.guest.witness.dirty(32)
        run = self.guest.witness.get().run

        def ask():
            return self.guest.ask_snapshot("one")

        def check():
            self.assert_runs(run)
            self.assert_tidy(self.guest)
            if self.guest.snapshots():
                self.assertEqual(self.guest.current(), "one")
                self.guest.revert("one")
                self.assert_runs(run)
                self.guest.delete("one")

        self.sweep(ask, check, self.guest)

    def test_killed_while_reverting_in_place(self):
        before = self.guest.witness.mark("then")
        self.guest.snapshot("one")
        self.guest.witness.wait_beyond(before.ram + 50)

        def ask():
            self.guest.witness.mark("now")
            return self.guest.ask_revert("one")

        def check():
            now = self.assert_runs(before.run)
            self.assertIn(now.mark, ("then", "now"))
            # A service that starts when all is done doesn't know why the guest runs.
            self.assertIn(self.guest.state[1], ("from-snapshot", "unknown") if now.mark == "then" else ("unknown",))
            self.assert_tidy(self.guest)
            self.assertEqual(self.guest.current(), "one")

        self.sweep(ask, check, self.guest)
        self.assertEqual(self.guest.witness.get().mark, "then")

    def test_killed_while_deleting(self):
        run = self.guest.witness.get().run

        def ask():
            for name in ("one", "two", "three"):
                if name not in self.guest.snapshots():
                    self.guest.snapshot(name)
            return self.guest.ask_delete("one", children=True)

        def check():
            self.assert_runs(run)
            self.assert_tidy(self.guest)

        self.sweep(ask, check, self.guest)
        self.assertEqual(self.guest.snapshots(), [])

    def wait_phase(self, job, phase):
        self.client.wait_property(job, JOB, "Phase", phase)

    def test_killed_while_qemu_saves(self):
        """QEMU goes on saving without the service, and the next life finds out what came of it."""
        self.guest.witness.dirty(96)
        run = self.guest.witness.get().run
        job = self.guest.ask_snapshot("one")
        self.wait_phase(job, SAVING)
        self.service.kill()
        self.service.start()
        self.assert_runs(run)
        self.assert_tidy(self.guest)
        self.guest.snapshot("two")
        self.guest.revert("two")
        self.assert_runs(run)

    def test_paused_guest_stays_paused(self):
        run = self.guest.witness.get().run
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        for n in range(6):
            job = self.guest.ask_snapshot("one")
            self.kill_after(job, n)
            self.service.start()
            self.assertEqual(self.guest.state[0], "paused")
            self.assert_tidy(self.guest)
            if self.guest.snapshots():
                self.guest.delete("one")
        self.guest.call("Resume")
        self.guest.wait_state("running")
        self.assert_runs(run)

    def test_killed_again_while_it_recovers(self):
        self.guest.witness.dirty(32)
        run = self.guest.witness.mark("now").run
        self.guest.snapshot("old")
        for ask in (lambda: self.guest.ask_snapshot("new"), lambda: self.guest.ask_revert("old")):
            self.kill_after(ask(), 2)
            # It is killed while it waits for QEMU, which keeps still; then it finds all by itself.
            with self.frozen(self.guest):
                self.service.spawn()
                self.service.kill()
            self.service.start()
            self.assert_runs(run)
            self.assert_tidy(self.guest)
            if "new" in self.guest.snapshots():
                self.guest.delete("new")

    def test_stopped_service_leaves_an_operation_to_its_next_life(self):
        self.guest.witness.dirty(64)
        run = self.guest.witness.get().run
        job = self.guest.ask_snapshot("one")
        self.wait_phase(job, SAVING)
        self.service.stop()
        self.service.start()
        self.assert_runs(run)
        self.assert_tidy(self.guest)

    def test_torn_journal_is_set_aside(self):
        run = self.guest.witness.get().run
        self.service.kill()
        folder = self.guest.store / "journal"
        (folder / "7.json").write_text('{"version": 1, "workflow": "snap', encoding="utf-8")
        (folder / "8.json").write_bytes(b"")
        (folder / "9.json").write_bytes(bytes(range(256)))
        self.service.start()
        self.assert_runs(run)
        left = self.guest.journals()
        self.assertEqual(len(left), 3)
        for name in left:
            self.assertIn("unreadable", name)
            (folder / name).unlink()
        self.assertIn("7.json", self.service.output())
        self.guest.snapshot("one")

    def test_torn_files_are_set_aside_and_the_rest_is_there(self):
        self.guest.snapshot("good")
        self.guest.snapshot("bad")
        self.service.kill()
        (self.guest.store / "snapshots" / "bad.xml").write_text("<domainsnapshot><name>ba", encoding="utf-8")
        (self.service.state / "domains" / "rubbish").mkdir()
        self.service.start()
        self.assertEqual(self.guest.snapshots(), ["good"])
        self.assertEqual(self.guest.current(), None)
        self.guest.revert("good")
        aside = next((self.guest.store / "snapshots").glob("bad.xml.unreadable*"))
        aside.unlink()
        (self.service.state / "domains" / "rubbish").rmdir()
        # The tag is foreign now: it is ours to remove, as a user would.
        self.guest.shut_off()
        for disk in self.guest.disks:
            qemu_img("snapshot", "-d", "bad", disk.path)

if __name__ == "__main__":
    main()
