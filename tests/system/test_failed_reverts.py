#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverts that fail, or that a dying service leaves half done: the guest that was there is there again."""

import json
import os
import shutil
import signal

import machines
from vmsnaptest import BareQmp, main, paths, wait_until


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
        kernel.unlink()

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
        os.kill(pid, signal.SIGSTOP)
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
    """A service that was killed in the middle of a revert in place, at steps that are hard to hit: the journal is a real
    one, whose step is moved."""

    def leave_behind(self, machine, step):
        """The service dies as if in this step, which has changed nothing yet."""
        pid = machine.pid()
        os.kill(pid, signal.SIGSTOP)
        machine.ask_revert("one")
        journal = wait_until(lambda: next(iter((machine.store / "journal").glob("*.json")), None), "a journal")
        self.service.kill()
        text = json.loads(journal.read_text(encoding="utf-8"))
        text["step"] = step
        journal.write_text(json.dumps(text), encoding="utf-8")
        os.kill(pid, signal.SIGCONT)
        return pid

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
        before = machine.witness.mark("unharmed")
        pid = self.leave_behind(machine, 2)
        self.service.start()
        self.check_untouched(machine, before, pid)
        # And it can be reverted for good now.
        machine.revert("one")
        self.assertEqual(machine.witness.get().check().run, before.run)
        self.assertNotEqual(machine.witness.get().mark, "unharmed")

    def test_guest_that_was_stopped_runs_again(self):
        machine = self.machine().boot()
        machine.snapshot("one")
        before = machine.witness.mark("unharmed")
        pid = self.leave_behind(machine, 1)
        with BareQmp(machine.runtime / "monitor.sock") as monitor:
            monitor.execute("stop")
        self.service.start()
        self.check_untouched(machine, before, pid)


if __name__ == "__main__":
    main()
