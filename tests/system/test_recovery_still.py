#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service killed in the middle of each operation on a domain whose guest needn't run, and QEMU with it."""

from vmsnaptest import main, make_disk, make_disks

from recovery import ENOUGH, RecoveryCase, StoreWatch, holds, write


class GuestsThatStandStill(RecoveryCase):
    """Sweeps that need no guest that is up; disk vdb shows by its bytes which time it is of."""

    def still_machine(self):
        folder = self.folder()
        return self.machine(disks=[make_disk(folder / "a.qcow2"), make_disk(folder / "b.qcow2", 4, target="vdb")])

    def test_killed_while_starting(self):
        machine = self.still_machine()

        def ask():
            machine.shut_off()
            return machine.call("Start", paused=True)

        def check():
            self.assertIn(machine.state[0], ("shutoff", "paused"))
            self.assertEqual(machine.pid() is not None, machine.state[0] == "paused")
            self.assertEqual(machine.runtime.exists(), machine.state[0] == "paused")
            self.assert_tidy(machine)
            if machine.state[0] == "shutoff":
                machine.start(paused=True)

        self.sweep(ask, check, machine)

    def test_killed_while_starting_a_transient_domain(self):
        for n in range(8):
            with self.subTest(signals=n):
                machine = self.undefined_machine(disks=make_disks(self.folder(), 1, mib=4))
                _, job = machine.call_manager("CreateDomain", machine.xml(), paused=True)
                self.kill_after(job, n)
                self.service.start()
                if machine.is_there():
                    self.assertEqual(machine.state[0], "paused")
                    machine.call("PowerOff")
                    self.assertFalse(machine.is_there())
                self.assertEqual(machine.pid(), None)
                self.assertFalse(machine.runtime.exists())
                self.assertEqual(list(machine.store.rglob("*")), [])
                self.assertFalse(machine.store.exists())

    def test_killed_while_reverting_a_domain_that_is_off(self):
        """To a snapshot with memory, and to one without."""
        machine = self.still_machine()
        write(machine.disks[1], "0x11")
        machine.snapshot("off")
        machine.start(paused=True)
        machine.snapshot("memory", halt=True)
        for name, option_values in (("memory", {}), ("off", {}), ("off", {"paused": True})):
            def ask():
                machine.shut_off()
                write(machine.disks[1], "0x22")
                return machine.ask_revert(name, **option_values)

            def check():
                state = machine.state[0]
                self.assertIn(state, ("shutoff", "paused"))
                machine.shut_off()
                then = holds(machine.disks[1], "0x11")
                self.assertNotEqual(then, holds(machine.disks[1], "0x22"))
                if name == "memory" or option_values:
                    self.assertEqual(state == "paused", then)
                self.assert_tidy(machine)

            with self.subTest(name, **option_values):
                self.sweep(ask, check, machine)
                self.assertTrue(holds(machine.disks[1], "0x11"))

    def test_killed_while_a_running_domain_is_reverted_to_off(self):
        machine = self.still_machine()
        write(machine.disks[1], "0x11")
        machine.snapshot("off")

        def ask():
            machine.shut_off()
            write(machine.disks[1], "0x22")
            machine.start(paused=True)
            return machine.ask_revert("off")

        def check():
            state = machine.state[0]
            machine.shut_off()
            then = holds(machine.disks[1], "0x11")
            self.assertNotEqual(then, holds(machine.disks[1], "0x22"))
            self.assertEqual(state, "shutoff" if then else "paused")
            self.assert_tidy(machine)

        self.sweep(ask, check, machine)
        self.assertTrue(holds(machine.disks[1], "0x11"))

    def test_killed_while_taking_and_deleting_what_is_off(self):
        machine = self.still_machine()
        machine.snapshot("base")

        def check():
            self.assertEqual(machine.state[0], "shutoff")
            self.assert_tidy(machine)

        def ask_create():
            if "one" in machine.snapshots():
                machine.delete("one")
            return machine.ask_snapshot("one")

        def ask_delete():
            if "one" not in machine.snapshots():
                machine.snapshot("one")
            return machine.ask_delete("one")

        self.sweep(ask_create, check, machine)
        self.sweep(ask_delete, check, machine)
        self.assertEqual(machine.snapshots(), ["base"])

    def test_both_killed_while_taking_a_snapshot(self):
        machine = self.still_machine()

        def ask():
            machine.start()
            return machine.ask_snapshot("one")

        def check():
            self.assertEqual(machine.state[0], "shutoff")
            self.assert_tidy(machine)
            if machine.snapshots():
                machine.delete("one")

        self.sweep(ask, check, machine, both=True)
        machine.start(paused=True)
        machine.snapshot("one")

    def test_both_killed_while_reverting_in_place(self):
        """The disks are as at the snapshot, or what they were before the revert: as after a power cut."""
        machine = self.still_machine()
        write(machine.disks[1], "0x11")
        machine.start(paused=True)
        machine.snapshot("one")
        self.assert_disks_are_of_one_time(machine, {})

    def test_both_killed_while_reverting_a_guest_that_has_to_end(self):
        machine = self.still_machine()
        write(machine.disks[1], "0x11")
        machine.snapshot("one")
        self.assert_disks_are_of_one_time(machine, {"paused": True})

    def assert_disks_are_of_one_time(self, machine, option_values):
        def ask():
            machine.shut_off()
            write(machine.disks[1], "0x22")
            machine.start()
            return machine.ask_revert("one", **option_values)

        def check():
            self.assert_tidy(machine)
            self.assertEqual(machine.snapshots(), ["one"])
            machine.shut_off()
            self.assertNotEqual(holds(machine.disks[1], "0x11"), holds(machine.disks[1], "0x22"))

        self.sweep(ask, check, machine, both=True)
        self.assertTrue(holds(machine.disks[1], "0x11"))

    def test_both_killed_with_a_transient_domain(self):
        for n in range(6):
            machine = self.undefined_machine(disks=make_disks(self.folder(), 2, mib=8))
            machine.create()
            self.kill_after(machine.ask_snapshot("one"), n, machine)
            self.service.start()
            self.assertFalse(machine.is_there())
            self.assertEqual(len(machine.tags()[0]), len(machine.tags()[1]))
            self.assertEqual(machine.journals(), [])
            self.assertFalse(machine.runtime.exists())
            if machine.tags() == [[], []]:
                self.assertFalse(machine.store.exists())

    def test_guest_runs_once_its_revert_can_be_finished(self):
        """It was loaded, and its variables can't be put back, by this life and the next: until somebody mends that."""
        folder = self.folder()
        variables = folder / "vars.fd"
        machine = self.machine(disks=[make_disk(folder / "a.qcow2")], uefi_nvram=variables)
        machine.start()
        machine.snapshot("one")
        hidden = variables.rename(folder / "hidden.fd")
        variables.mkdir()
        self.assert_job_fails("Io", ["point of no return", variables], machine.ask_revert("one"))
        self.service.kill()
        self.service.start()
        self.assertEqual(machine.state[0], "paused")
        variables.rmdir()
        hidden.rename(variables)
        machine.snapshot("two")
        self.assertEqual(machine.state, ("running", "from-snapshot"))
        self.assert_tidy(machine)

    def test_no_two_jobs_have_one_number_after_a_reboot(self):
        """The runtime directory is new then, and job numbers begin anew."""
        machine = self.still_machine()
        for n in range(ENOUGH):
            if "one" in machine.snapshots():
                machine.delete("one")
            machine.start()
            with StoreWatch(machine) as changes:
                self.kill_after(machine.ask_snapshot("one"), n, machine, changes)
            if machine.journals():
                break
            self.service.start()
        self.assertNotEqual(machine.journals(), [])
        (self.service.runtime / "jobs").unlink()
        self.service.start()
        seen = {path for path in self.client.objects() if "/jobs/" in path}
        for name in ("two", "three", "four"):
            fresh = machine.ask_snapshot(name)
            self.assertNotIn(fresh, seen)
            seen.add(fresh)
            self.client.wait_job(fresh)
        self.assert_tidy(machine)

if __name__ == "__main__":
    main()
