#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverts that fail, or that a dying service leaves half done: the guest that was there is there again."""

import os
import shutil
import signal

import machines
from vmsnaptest import BareQmp, Deadline, main, paths, stop_process


class FailedRevert(machines.ServiceCase):
    """A guest that has to end for a revert, which then can't be done."""

    def test_guest_that_had_to_end_comes_back_when_the_revert_fails(self):
        kernel = self.folder() / "kernel"
        shutil.copy(paths.guest().kernel, kernel)
        machine = self.undefined_machine()
        machine.call_manager("DefineDomain", machine.xml().replace(str(paths.guest().kernel), str(kernel)))
        machine.snapshot("off")
        machine.define()
        machine.boot()
        before = machine.witness.mark("still here")
        kernel.write_bytes(b"")

        self.assert_job_fails("Hypervisor", [], machine.ask_revert("off", running=True))
        self.assertEqual(machine.state[0], "running")
        back = machine.witness.wait_beyond(before.ram).check()
        self.assertEqual((back.run, back.mark), (before.run, "still here"))
        self.assertEqual(machine.tags(), [["off"], ["off"]])
        self.assertEqual(machine.journals(), [])
        self.assertIn(str(paths.guest().kernel), machine.call("GetXml", inactive=True))

    def test_cancelled_revert_leaves_the_guest_running(self):
        machine = self.machine()
        machine.snapshot("off")
        machine.boot()
        before = machine.witness.mark("not cancelled")
        pid = machine.pid()
        stop_process(pid)
        try:
            job = machine.ask_revert("off")
            self.client.wait_property(job, machines.JOB, "State", "running")
            self.client.call(job, machines.JOB, "Cancel")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.client.end_of_job(job).state, "cancelled")
        back = machine.witness.wait_beyond(before.ram).check()
        self.assertEqual((back.run, back.mark), (before.run, "not cancelled"))
        self.assertEqual(machine.tags(), [["off"], ["off"]])


class HalfDoneRevert(machines.ServiceCase):
    """A service that was killed in the middle of a revert in place, at moments that are hard to hit: the journal is one of
    a revert that went well, put back where it was."""

    def read_journal(self, machine):
        """Reverts, and returns the journal as it is while the guest may be stopped, protected or loaded."""
        job = machine.ask_revert("one")
        deadline = Deadline()
        found = None
        while not found and not deadline.passed():
            for path in (machine.store / "journal").glob("*[0-9].json"):
                try:
                    found = path, path.read_text(encoding="utf-8")
                except FileNotFoundError:
                    pass
        self.client.wait_job(job)
        return found

    def leave_behind(self, machine, journal):
        """The service dies as if in the middle of that revert, which has changed nothing yet."""
        self.service.kill()
        path, text = journal
        self.assertIn('"step" : 1,', text)
        path.write_text(text, encoding="utf-8")
        return machine.pid()

    def check_untouched(self, machine, before, pid):
        self.assertEqual(machine.state[0], "running")
        self.assertEqual(machine.pid(), pid)
        after = machine.witness.wait_beyond(before.ram).check()
        self.assertEqual((after.run, after.mark), (before.run, before.mark))
        self.assertEqual(machine.tags(), [["one"], ["one"]])
        self.assertEqual(machine.journals(), [])

    def test_load_that_never_began_does_not_cost_the_guest(self):
        machine = self.machine().boot()
        machine.snapshot("one")
        journal = self.read_journal(machine)
        before = machine.witness.mark("unharmed")
        pid = self.leave_behind(machine, journal)
        self.service.start()
        self.check_untouched(machine, before, pid)
        # And it can be reverted for good now.
        machine.revert("one")
        self.assertEqual(machine.witness.get().check().run, before.run)
        self.assertNotEqual(machine.witness.get().mark, "unharmed")

    def test_guest_that_was_stopped_runs_again(self):
        machine = self.machine().boot()
        machine.snapshot("one")
        journal = self.read_journal(machine)
        before = machine.witness.mark("unharmed")
        pid = self.leave_behind(machine, journal)
        with BareQmp(machine.runtime / "monitor.sock") as monitor:
            monitor.execute("stop")
        self.service.start()
        self.check_untouched(machine, before, pid)


if __name__ == "__main__":
    main()
