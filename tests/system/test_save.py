#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Saving a guest into a file and bringing it back: the same guest, in the state that was asked for."""

import contextlib
import dataclasses
import os
import select
import signal
import subprocess

from vmsnaptest import MANAGER, PrivateBus, Service, main, make_disks, paths

from machines import Machine
from saving import ENCODINGS, SLOWEST, Image, SavingCase, is_stock


@contextlib.contextmanager
def held_by_another(disk, directory):
    """Another program has this disk for writing."""
    pid_file = directory / "pid"
    subprocess.run(["qemu-nbd", "--fork", "--persistent", f"--pid-file={pid_file}", f"--socket={directory / 'socket'}",
                    f"--format={disk.format}", str(disk.path)], check=True)
    pidfd = os.pidfd_open(int(pid_file.read_text()))
    try:
        yield
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        select.select([pidfd], [], [], 30)
        os.close(pidfd)


class Save(SavingCase):
    """Save and RestoreDomain of a persistent domain."""

    def test_guest_comes_back_as_it_was(self):
        machine = self.booted()
        image = self.image()
        before = machine.witness.mark("saved")
        since = len(self.client.signals)
        job = self.ask_save(machine, image)
        self.client.wait_job(job)
        self.assertEqual(machine.state, ("shutoff", "saved"))
        self.assert_off_and_whole(machine)
        self.assertTrue(image.is_complete())
        self.assertEqual(image.words()[0], 2)
        self.assertEqual(image.words()[2:4], (1, ENCODINGS["raw"]))
        self.assertEqual([event for event, _ in machine.events(since)], ["paused", "stopped", "saved"])
        self.assert_progress_is_sane(job)

        since = len(self.client.signals)
        result = self.restore(image)
        self.assertEqual(result["domain"], machine.path)
        self.assertEqual(machine.state, ("running", "restored"))
        self.assert_runs_on(machine, before)
        self.assertEqual([event for event, _ in machine.events(since)], ["started", "restored"])
        self.assertTrue(machine.get("Persistent"))
        self.assertEqual(machine.journals(), [])

    def test_paused_guest_stays_paused(self):
        machine = self.booted()
        machine.call("Pause")
        image = self.image()
        self.save(machine, image)
        self.assertEqual(image.words()[2], 0)
        self.restore(image)
        self.assertEqual(machine.state, ("paused", "restored"))
        machine.call("Resume")
        machine.witness.wait_beyond(0).check()

    def test_what_is_asked_for_counts_more_than_what_was(self):
        machine = self.booted()
        before = machine.witness.get()
        image = self.image()
        self.save(machine, image, paused=True)
        self.assertEqual(image.words()[2], 0)
        self.restore(image)
        self.assertEqual(machine.state[0], "paused")
        self.save(machine, image, running=True)
        self.assertEqual(image.words()[2], 1)
        self.restore(image, paused=True)
        self.assertEqual(machine.state, ("paused", "restored"))
        self.save(machine, image)
        self.restore(image, running=True)
        self.assertEqual(machine.state, ("running", "restored"))
        self.assert_runs_on(machine, before)

    def test_transient_domain_goes_and_comes_back(self):
        machine = self.undefined_machine().create()
        machine.witness.wait_beyond(0)
        before = machine.witness.mark("transient")
        image = self.image()
        self.save(machine, image)
        self.assertFalse(machine.is_there())
        self.restore(image)
        self.assertEqual(machine.state, ("running", "restored"))
        self.assertFalse(machine.get("Persistent"))
        self.assert_runs_on(machine, before)

    def test_undefined_domain_comes_back_persistent(self):
        machine = self.booted()
        before = machine.witness.mark("persistent")
        machine.define(memory_mib=160)
        image = self.image()
        self.save(machine, image)
        machine.call("Undefine")
        self.assertFalse(machine.is_there())
        self.restore(image)
        self.assertTrue(machine.get("Persistent"))
        self.assertIn('<memory unit="MiB">160</memory>', machine.call("GetXml", inactive=True))
        self.assert_runs_on(machine, before)
        self.service.restart()
        self.assertTrue(machine.get("Persistent"))
        self.assert_runs_on(machine, before)

    def test_changed_definition_may_move_disks_and_nothing_the_guest_sees(self):
        machine = self.booted()
        before = machine.witness.mark("moved")
        image = self.image()
        self.save(machine, image)
        folder = self.folder()
        xml = machine.call("GetXml")
        for disk in machine.disks:
            moved = folder / disk.path.name
            disk.path.rename(moved)
            xml = xml.replace(str(disk.path), str(moved))
        machine.disks = [dataclasses.replace(disk, path=folder / disk.path.name) for disk in machine.disks]
        self.assert_job_fails("NotFound", folder.parent.name, self.ask_restore(image))
        self.assert_off_and_whole(machine)
        self.assert_bus_error("InvalidArgument", "memory", self.ask_restore, image,
                              xml=xml.replace(">256<", ">200<"))
        self.assert_bus_error("InvalidArgument", "uuid", self.ask_restore, image,
                              xml=xml.replace(machine.uuid, machine.uuid[::-1].replace("-", "0")[:8] + machine.uuid[8:]))
        self.restore(image, xml=xml)
        self.assert_runs_on(machine, before)

    def test_undefined_domain_comes_back_with_the_tpm_that_it_keeps(self):
        tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0' persistent_state='yes'/></tpm>"
        machine = self.booted(extra_devices=tpm)
        image = self.image()
        before = machine.witness.mark("tpm")
        self.save(machine, image)
        machine.call("Undefine")
        self.restore(image)
        self.assertTrue(machine.get("Persistent"))
        self.assert_runs_on(machine, before)

    def test_domain_that_comes_back_keeps_its_new_name(self):
        machine = self.booted()
        xml = machine.call("GetXml")
        machine.define(memory_mib=288)
        image = self.image()
        before = machine.witness.mark("renamed")
        self.save(machine, image)
        machine.call("Undefine")
        name = f"{machine.name}-b"
        self.restore(image, xml=xml.replace(f"<name>{machine.name}<", f"<name>{name}<"))
        self.assert_runs_on(machine, before)
        self.assertIn(">288<", machine.call("GetXml", inactive=True))
        machine.shut_off()
        self.assertEqual(machine.get("Name"), name)

    def test_image_that_changes_while_it_waits_is_refused(self):
        machine = self.booted()
        image = self.image()
        self.save(machine, image)
        saving = self.image("another")
        self.restore(image)
        save = self.ask_save(machine, saving, encoding="xz")
        restore = self.ask_restore(image)
        fd = os.open(image.path, os.O_RDWR)
        self.client.call(MANAGER, "Manager", "RewriteImage", "h", 0, fds=[fd], paused=True)
        os.close(fd)
        self.client.wait_job(save, SLOWEST)
        self.assert_job_fails("Busy", "changed the image", restore)
        self.assert_off_and_whole(machine)

    def test_file_in_use_takes_no_guest(self):
        machine, other = self.booted(), self.booted(name="other")
        before, others = machine.witness.get(), other.witness.get()
        self.assert_job_fails("InvalidArgument", f"a disk of {machine.name}",
                              self.ask_save(other, Image(machine.disks[0].path)))
        self.assert_job_fails("InvalidArgument", f"a disk of {machine.name}",
                              self.ask_save(machine, Image(machine.disks[0].path)))
        image = self.image()
        save = self.ask_save(machine, image, encoding="xz")
        self.client.wait_property(save, "Job", "Phase", "Writing memory")
        self.assert_job_fails("Busy", machine.name, self.ask_save(other, image))
        self.client.wait_job(save, SLOWEST)
        self.assert_unharmed(other, others)
        restore = self.ask_restore(image)
        self.client.wait_property(restore, "Job", "Phase", "Loading memory")
        self.assert_job_fails("Busy", machine.name, self.ask_save(other, image))
        self.client.wait_job(restore, SLOWEST)
        self.assert_runs_on(machine, before)
        self.save(other, image)
        self.assertTrue(image.is_complete())

    def test_guest_is_never_there_twice(self):
        machine = self.booted()
        image = self.image()
        self.save(machine, image)
        self.restore(image)
        self.assert_bus_error("InvalidState", "running already", self.ask_restore, image)
        self.assertEqual(machine.state[0], "running")
        machine.witness.wait_beyond(0).check()

    def test_disk_in_other_hands_leaves_no_guest(self):
        machine = self.booted()
        image = self.image()
        before = machine.witness.mark("kept")
        self.save(machine, image)
        machine.call("Undefine")
        with held_by_another(machine.disks[0], self.folder()):
            self.assert_job_fails("Hypervisor", ["can't run", "lock"], self.ask_restore(image))
        self.assertFalse(machine.is_there())
        self.restore(image)
        self.assertTrue(machine.get("Persistent"))
        self.assert_runs_on(machine, before)

    def test_what_is_off_or_gone_can_not_be_saved(self):
        machine = self.machine()
        image = self.image()
        self.assert_bus_error("InvalidState", "shutoff", self.ask_save, machine, image)
        self.assert_bus_error("InvalidState", "shutoff", machine.call, "ManagedSave")
        self.assertEqual(image.path.stat().st_size, 0)

    def test_sparse_image_says_what_it_needs(self):
        """Those that there are: test_save_flags.py."""
        machine = self.booted()
        before = machine.witness.mark("sparse")
        if is_stock():
            self.assert_job_fails("NotSupported", "9.0", self.ask_save(machine, self.image(), encoding="sparse"))
            self.assert_unharmed(machine, before)
        else:
            self.save(machine, self.image(), encoding="sparse")
            self.assertEqual(machine.state, ("shutoff", "saved"))

    def test_page_cache_is_passed_by(self):
        machine = self.booted()
        machine.witness.dirty(32)
        before = machine.witness.mark("uncached")
        for encoding in ("raw", "zstd") if is_stock() else ("raw", "zstd", "sparse"):
            with self.subTest(encoding):
                image = self.image_on_disk(encoding)
                self.save(machine, image, encoding=encoding, bypass_cache=True)
                self.assertLess(image.cached(), 2 << 20)
                self.restore(image, bypass_cache=True)
                self.assertLess(image.cached(), 2 << 20)
                self.assert_runs_on(machine, before)

    def test_image_without_our_cookie_is_of_a_transient_domain(self):
        """As libvirt writes it."""
        machine = self.booted()
        before = machine.witness.mark("foreign")
        image = self.image()
        self.save(machine, image)
        image.patch(32, bytes(4))
        machine.call("Undefine")
        self.restore(image)
        self.assertFalse(machine.get("Persistent"))
        self.assert_runs_on(machine, before)

    def test_upgraded_hypervisor_brings_it_back(self):
        with PrivateBus() as bus, Service(bus, self.folder(), emulator=paths.emulator("stock")) as service, \
                service.client() as client:
            folder = self.folder()
            machine = Machine(service, client, folder, self.short_name(), make_disks(folder, 2)).define().boot()
            before = machine.witness.mark("upgraded")
            image = self.image()
            fd = os.open(image.path, os.O_RDWR | os.O_CREAT)
            machine.run("Save", "h", 0, fds=[fd])
            service.stop()
            service.emulator = paths.emulator("10")
            service.start()
            client.run(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd])
            os.close(fd)
            self.assert_runs_on(machine, before)
            machine.discard()


class ManagedSave(SavingCase):
    """The domain's own image."""

    def test_start_restores_and_removes_it(self):
        machine = self.booted()
        before = machine.witness.mark("managed")
        since = len(self.client.signals)
        machine.run("ManagedSave")
        self.assertEqual(machine.state, ("shutoff", "saved"))
        self.assertTrue(machine.get("HasManagedSave"))
        self.assertEqual([event for event, _ in machine.events(since)], ["paused", "stopped", "saved"])
        self.assertEqual((machine.store / "managed-save").stat().st_mode & 0o777, 0o600)
        self.service.restart()
        self.assertTrue(machine.get("HasManagedSave"))
        machine.start()
        self.assertEqual(machine.state, ("running", "restored"))
        self.assertFalse(machine.get("HasManagedSave"))
        self.assertFalse((machine.store / "managed-save").exists())
        self.assert_runs_on(machine, before)

    def test_paused_start_restores_a_guest_that_stands_still(self):
        machine = self.booted()
        before = machine.witness.mark("managed")
        machine.run("ManagedSave", encoding="zstd", bypass_cache=True)
        machine.start(paused=True, bypass_cache=True)
        self.assertEqual(machine.state, ("paused", "restored"))
        machine.call("Resume")
        self.assert_runs_on(machine, before)

    def test_discarded_managed_save_lets_it_boot(self):
        machine = self.booted()
        before = machine.witness.get()
        machine.run("ManagedSave")
        machine.start(discard_managed_save=True)
        self.assertEqual(machine.state, ("running", "booted"))
        self.assertFalse(machine.get("HasManagedSave"))
        self.assertNotEqual(machine.witness.wait_beyond(0).check().run, before.run)

    def test_failed_start_keeps_it(self):
        machine = self.booted()
        before = machine.witness.mark("kept")
        machine.run("ManagedSave")
        away = machine.disks[0].path.with_suffix(".away")
        machine.disks[0].path.rename(away)
        self.assert_job_fails("NotFound", machine.disks[0].path, machine.call("Start"))
        self.assertTrue(machine.get("HasManagedSave"))
        self.assert_off_and_whole(machine)
        away.rename(machine.disks[0].path)
        machine.start()
        self.assert_runs_on(machine, before)

    def test_disk_in_other_hands_keeps_it(self):
        machine = self.booted()
        before = machine.witness.mark("kept")
        machine.run("ManagedSave")
        with held_by_another(machine.disks[0], self.folder()):
            self.assert_job_fails("Hypervisor", ["can't run", "lock"], machine.call("Start"))
        self.assertTrue(machine.get("HasManagedSave"))
        self.assert_off_and_whole(machine)
        machine.start()
        self.assert_runs_on(machine, before)

    def test_broken_managed_save_is_kept_and_told(self):
        machine = self.booted()
        machine.run("ManagedSave")
        os.truncate(machine.store / "managed-save", 200000)
        self.assert_job_fails("ImageIncomplete", "discard-managed-save", machine.call("Start"))
        self.assertTrue(machine.get("HasManagedSave"))
        self.assert_off_and_whole(machine)
        machine.start(discard_managed_save=True)
        machine.witness.wait_beyond(0).check()

    def test_removed_managed_save_is_gone(self):
        machine = self.booted()
        self.assert_bus_error("NotFound", "no managed save", machine.call, "RemoveManagedSave")
        machine.run("ManagedSave")
        machine.call("RemoveManagedSave")
        self.assertFalse(machine.get("HasManagedSave"))
        self.assertFalse((machine.store / "managed-save").exists())
        machine.start()
        self.assertEqual(machine.state, ("running", "booted"))

    def test_disks_must_not_change_beside_it(self):
        machine = self.booted()
        image = self.image()
        machine.snapshot("one")
        self.save(machine, image)
        self.restore(image)
        before = machine.witness.mark("beside")
        machine.run("ManagedSave")
        self.assert_bus_error("HasManagedSave", machine.name, machine.ask_snapshot, "two")
        self.assert_bus_error("HasManagedSave", "force", machine.ask_revert, "one")
        self.assert_bus_error("HasManagedSave", machine.name, self.ask_restore, image)
        self.assert_bus_error("HasManagedSave", machine.name, machine.call, "Undefine", snapshots_metadata=True)
        machine.start()
        self.assert_runs_on(machine, before)
        machine.run("ManagedSave")
        machine.revert("one", force=True)
        self.assertFalse(machine.get("HasManagedSave"))
        machine.witness.wait_beyond(0).check()

    def test_undefine_removes_it_when_told_so(self):
        machine = self.booted()
        machine.run("ManagedSave")
        machine.call("Undefine", managed_save=True)
        self.assertFalse(machine.is_there())
        self.assertFalse(machine.store.exists())

    def test_transient_domain_can_not_have_one(self):
        machine = self.undefined_machine().create()
        machine.witness.wait_beyond(0)
        self.assert_bus_error("InvalidState", "transient", machine.call, "ManagedSave")
        self.assertEqual(machine.state[0], "running")


if __name__ == "__main__":
    main()
