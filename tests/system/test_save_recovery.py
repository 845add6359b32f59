#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service killed in the middle of saving and restoring, and QEMU with it.

Whenever that is: there is a guest that goes on, or a whole image of it, and never both; never neither, unless QEMU
itself was killed.
"""

import os

from vmsnaptest import main, make_disk, make_disks, wait_until

from recovery import ENOUGH, RecoveryCase
from saving import MAGIC_PART, SavingCase


class SaveRecovery(SavingCase, RecoveryCase):
    """What they share."""

    def assert_nothing_unfinished(self, machine):
        self.assertEqual(machine.journals(), [])
        self.assertEqual(machine.get("Job"), "/")
        self.assertEqual(list(machine.store.glob("managed-save.part")), [])
        self.assertEqual(machine.get("HasManagedSave"), (machine.store / "managed-save").exists())
        self.assertEqual(machine.pid() is not None, machine.get("State") != "shutoff")
        self.assertEqual(machine.runtime.exists(), machine.pid() is not None)
        self.assertLessEqual(len(self.service.guests()), 1)

    def is_saved(self, image):
        return image.path.exists() and image.path.stat().st_size > 0 and image.is_complete()


class RunningGuest(SaveRecovery):
    """A guest that runs, whose witness tells whether it is the same."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest = cls.class_guest("running")

    def test_killed_while_saving(self):
        before = self.guest.witness.mark("saving")
        image = self.image()
        seen = set()

        def ask():
            image.path.unlink(missing_ok=True)
            return self.ask_save(self.guest, image)

        def check():
            saved = self.is_saved(image)
            seen.add(saved)
            self.assertEqual(self.guest.get("State"), "shutoff" if saved else "running")
            self.assert_nothing_unfinished(self.guest)
            if saved:
                self.restore(image)
            self.assert_runs_on(self.guest, before)

        self.sweep(ask, check, self.guest)
        self.assertEqual(seen, {False, True})

    def test_killed_while_saving_with_a_program(self):
        before = self.guest.witness.mark("encoding")

        def ask():
            return self.guest.call("ManagedSave", encoding="zstd", bypass_cache=True)

        def check():
            saved = self.guest.get("HasManagedSave")
            self.assertEqual(self.guest.get("State"), "shutoff" if saved else "running")
            self.assert_nothing_unfinished(self.guest)
            if saved:
                self.guest.start()
            self.assert_runs_on(self.guest, before)

        self.sweep(ask, check, self.guest)

    def test_killed_while_restoring(self):
        before = self.guest.witness.mark("restoring")
        image = self.image()

        def ask():
            if self.guest.get("State") != "shutoff":
                self.save(self.guest, image)
            return self.ask_restore(image)

        def check():
            self.assertTrue(self.is_saved(image))
            self.assert_nothing_unfinished(self.guest)
            if self.guest.get("State") == "shutoff":
                self.restore(image)
            self.assertEqual(self.guest.state[0], "running")
            self.assert_runs_on(self.guest, before)

        self.sweep(ask, check, self.guest)

    def test_killed_while_starting_from_a_managed_save(self):
        """It is kept until its guest runs, and is gone then."""
        before = self.guest.witness.mark("starting")

        def ask():
            if self.guest.get("State") != "shutoff":
                self.guest.run("ManagedSave")
            return self.guest.call("Start")

        def check():
            self.assertEqual(self.guest.state[0], "shutoff" if self.guest.get("HasManagedSave") else "running")
            self.assert_nothing_unfinished(self.guest)
            if self.guest.get("State") == "shutoff":
                self.guest.start()
            self.assert_runs_on(self.guest, before)

        self.sweep(ask, check, self.guest)

    def test_killed_again_while_it_recovers(self):
        before = self.guest.witness.mark("again")
        image = self.image()
        for n in (3, 5, 7):
            image.path.unlink(missing_ok=True)
            self.kill_after(self.ask_save(self.guest, image), n)
            for _ in range(2):
                self.service.spawn()
                self.service.kill()
            self.service.start()
            self.assert_nothing_unfinished(self.guest)
            self.assertEqual(self.guest.get("State"), "shutoff" if self.is_saved(image) else "running")
            if self.is_saved(image):
                self.restore(image)
            self.assert_runs_on(self.guest, before)


class GuestsThatStandStill(SaveRecovery):
    """Guests that needn't boot, and are quick to save."""

    def still_machine(self):
        folder = self.folder()
        return self.machine(disks=[make_disk(folder / "a.qcow2"), make_disk(folder / "b.qcow2", 4, target="vdb")])

    def test_killed_while_saving_a_paused_guest(self):
        machine = self.still_machine()
        machine.start(paused=True)
        image = self.image()

        def ask():
            image.path.unlink(missing_ok=True)
            return self.ask_save(machine, image)

        def check():
            saved = self.is_saved(image)
            self.assertEqual(machine.get("State"), "shutoff" if saved else "paused")
            self.assert_nothing_unfinished(machine)
            if saved:
                self.restore(image)
                self.assertEqual(machine.get("State"), "paused")
            else:
                # Its QEMU has its disks.
                machine.snapshot("one")
                machine.delete("one")

        self.sweep(ask, check, machine)

    def test_killed_while_starting_without_the_managed_save(self):
        """It is there as long as no other guest has run on its disks, and then it is gone."""
        machine = self.still_machine()
        machine.start(paused=True)

        def ask():
            if not machine.get("HasManagedSave"):
                if machine.get("State") == "shutoff":
                    machine.start(paused=True)
                machine.run("ManagedSave")
            return machine.call("Start", paused=True, discard_managed_save=True)

        def check():
            self.assert_nothing_unfinished(machine)
            self.assertEqual(machine.get("HasManagedSave"), machine.get("State") == "shutoff")

        self.sweep(ask, check, machine)

    def test_killed_while_restoring_an_unknown_domain(self):
        """It is known afterwards if its guest is there, and as it was: persistent or not."""
        for persistent in (True, False):
            with self.subTest(persistent=persistent):
                machine = self.undefined_machine(disks=make_disks(self.folder(), 2, mib=4))
                if persistent:
                    machine.define().start(paused=True)
                else:
                    machine.create(paused=True)
                image = self.image()
                self.save(machine, image)

                def ask():
                    if machine.is_there():
                        machine.shut_off()
                    if machine.is_there():
                        machine.call("Undefine")
                    return self.ask_restore(image)

                def check():
                    self.assertTrue(self.is_saved(image))
                    if not machine.is_there():
                        self.assertEqual(self.service.guests(), [])
                        self.assertFalse(machine.store.exists(), list(machine.store.rglob("*")))
                        self.assertFalse(machine.runtime.exists())
                        return
                    self.assertEqual(machine.get("State"), "paused")
                    self.assert_nothing_unfinished(machine)
                    self.assertEqual(machine.get("Persistent"), persistent)
                    self.assertEqual((machine.store / "domain.xml").exists(), persistent)

                self.sweep_unwatched(ask, check)
                machine.shut_off()

    def sweep_unwatched(self, ask, check):
        """As sweep(), of a domain whose folder is to come: the job's signals are the moments."""
        for n in range(ENOUGH):
            job = ask()
            completed = self.kill_after(job, n)
            self.service.start()
            try:
                check()
            except AssertionError as error:
                raise AssertionError(f"killed after {n} moments: {error}") from error
            if completed:
                return
        self.fail("the job never ended")

    def test_killed_while_saving_a_transient_domain(self):
        image = self.image()
        for n in range(ENOUGH):
            machine = self.undefined_machine(disks=make_disks(self.folder(), 1, mib=4))
            machine.create(paused=True)
            image.path.unlink(missing_ok=True)
            completed = self.kill_after(self.ask_save(machine, image), n)
            self.service.start()
            self.assertNotEqual(machine.is_there(), self.is_saved(image), n)
            if machine.is_there():
                self.assertEqual(machine.state[0], "paused")
                self.assert_nothing_unfinished(machine)
                machine.call("PowerOff")
            else:
                self.restore(image)
                self.assertFalse(machine.get("Persistent"))
                machine.call("PowerOff")
            self.assertFalse(machine.store.exists())
            if completed:
                return
        self.fail("the job never ended")

    def test_both_killed_while_saving(self):
        """There may be nothing then, as after a power cut; but nothing half."""
        machine = self.still_machine()
        image = self.image()

        def ask():
            image.path.unlink(missing_ok=True)
            machine.shut_off()
            machine.start(paused=True)
            return self.ask_save(machine, image)

        def check():
            self.assertEqual(machine.get("State"), "shutoff")
            self.assert_nothing_unfinished(machine)
            if image.path.exists() and image.path.stat().st_size > 0 and not image.is_complete():
                self.assertEqual(image.magic(), MAGIC_PART)
            if self.is_saved(image):
                self.restore(image)
                self.assertEqual(machine.get("State"), "paused")

        self.sweep(ask, check, machine, both=True)

    def test_both_killed_while_saving_for_the_next_start(self):
        machine = self.still_machine()

        def ask():
            machine.shut_off()
            if machine.get("HasManagedSave"):
                machine.call("RemoveManagedSave")
            machine.start(paused=True)
            return machine.call("ManagedSave")

        def check():
            self.assertEqual(machine.get("State"), "shutoff")
            self.assert_nothing_unfinished(machine)
            if machine.get("HasManagedSave"):
                machine.start()
                self.assertEqual(machine.state[1], "restored")

        self.sweep(ask, check, machine, both=True)

    def test_both_killed_while_restoring(self):
        machine = self.still_machine()
        machine.start(paused=True)
        image = self.image()
        self.save(machine, image)

        def ask():
            machine.shut_off()
            return self.ask_restore(image)

        def check():
            self.assertEqual(machine.get("State"), "shutoff")
            self.assert_nothing_unfinished(machine)
            self.assertTrue(self.is_saved(image))

        self.sweep(ask, check, machine, both=True)

    def test_both_killed_while_starting_from_a_managed_save(self):
        """Once the guest may have run, its managed save is no use any more; before, it is kept."""
        machine = self.still_machine()
        kept = []

        def ask():
            if not machine.get("HasManagedSave"):
                machine.shut_off()
                machine.start(paused=True)
                machine.run("ManagedSave")
            return machine.call("Start")

        def check():
            self.assertEqual(machine.get("State"), "shutoff")
            self.assert_nothing_unfinished(machine)
            kept.append(machine.get("HasManagedSave"))

        self.sweep(ask, check, machine, both=True)
        self.assertTrue(kept[0])
        self.assertFalse(kept[-1])

    def test_qemu_killed_meanwhile(self):
        """At each moment of a save and of a restore; the service lives, and tells."""
        machine = self.still_machine()
        image = self.image()
        for n in range(ENOUGH):
            image.path.unlink(missing_ok=True)
            machine.shut_off()
            machine.start(paused=True)
            if self.qemu_killed_after(self.ask_save(machine, image), n, machine, image):
                break
        for n in range(ENOUGH):
            if not self.is_saved(image):
                machine.start(paused=True)
                self.save(machine, image)
            machine.shut_off()
            if self.qemu_killed_after(self.ask_restore(image), n, machine, image):
                break

    def qemu_killed_after(self, job, n, machine, image):
        """Whether the job had ended by then."""
        def of_job():
            return [sent for sent in self.client.signals if sent.path == job
                    and sent.member in ("PropertiesChanged", "Completed")]

        wait_until(lambda: len(of_job()) >= n or of_job() and of_job()[-1].member == "Completed", f"{n} moments")
        over = bool(of_job()) and of_job()[-1].member == "Completed"
        machine.kill_qemu(missing_ok=True)
        end = self.client.end_of_job(job)
        # It may have been killed before it was there.
        if end.error or not machine.pid():
            machine.wait_state("shutoff")
        self.assertIn(end.error, ("", "HypervisorGone", "Hypervisor", "ImageCorrupt"), end)
        self.assert_nothing_unfinished(machine)
        if end.error and os.path.getsize(image.path) and not image.is_complete():
            self.assertEqual(image.magic(), MAGIC_PART)
        return over


if __name__ == "__main__":
    main()
