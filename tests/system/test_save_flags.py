#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every combination of what can be asked for when a guest is saved and brought back."""

import itertools
import shutil

from vmsnaptest import PrivateBus, Service, main, make_disks, paths

from machines import Machine
from saving import ENCODINGS, Image, SavingCase, is_stock

# What is said about the state, if anything.
CHOICES = ({}, {"running": True}, {"paused": True})


def chosen(*said):
    """The state that the last who says something wants; `said` begins with the guest's own."""
    return next(next(iter(choice)) for choice in reversed(said) if choice)


class States(SavingCase):
    """Who says last how the guest comes back: the restore, else the save, else the guest as it was."""

    def setUp(self):
        super().setUp()
        self.booted_machine = self.booted()
        self.before = self.booted_machine.witness.mark("states")

    def put(self, state):
        machine = self.booted_machine
        if machine.state[0] != state:
            machine.call("Resume" if state == "running" else "Pause")

    def assert_came_back(self, state):
        machine = self.booted_machine
        self.assertEqual(machine.state, (state, "restored"))
        if state == "paused":
            machine.call("Resume")
        self.before = self.assert_runs_on(machine, self.before)

    def test_of_a_file(self):
        image = self.image()
        for was, save, restore in itertools.product(CHOICES[1:], CHOICES, CHOICES):
            with self.subTest(was=was, save=save, restore=restore):
                self.put(chosen(was))
                self.save(self.booted_machine, image, **save)
                self.assertEqual(image.words()[2], chosen(was, save) == "running")
                self.restore(image, **restore)
                self.assert_came_back(chosen(was, save, restore))

    def test_of_a_managed_save(self):
        machine = self.booted_machine
        for was, save, start in itertools.product(CHOICES[1:], CHOICES, CHOICES[::2]):
            with self.subTest(was=was, save=save, start=start):
                self.put(chosen(was))
                machine.run("ManagedSave", **save)
                machine.start(**start)
                self.assert_came_back(chosen(was, save, start))

    def test_both_at_once_is_refused_and_changes_nothing(self):
        machine = self.booted_machine
        image = self.image()
        both = {"running": True, "paused": True}
        self.assert_bus_error("InvalidArgument", ["running", "paused"], self.ask_save, machine, image, **both)
        self.assert_bus_error("InvalidArgument", ["running", "paused"], machine.call, "ManagedSave", **both)
        self.assertEqual(image.path.stat().st_size, 0)
        self.assert_unharmed(machine, self.before)
        self.save(machine, image)
        self.assert_bus_error("InvalidArgument", ["running", "paused"], self.ask_restore, image, **both)
        self.assert_off_and_whole(machine)
        self.restore(image)
        self.assert_came_back("running")


class Upgrade(SavingCase):
    """Each way to write an image, read by the QEMU that wrote it, and by the newest after an upgrade."""

    def ways(self):
        """Past the cache, all programs go the same way."""
        return [(encoding, past) for encoding in ENCODINGS if encoding != "sparse" or not is_stock()
                for past in (False, True) if not past or encoding in ("raw", "zstd", "sparse")]

    def save_each_way(self, machine, folder):
        """A guest that stands still, so that all images and all copies of its disks are of one moment."""
        for encoding, past in self.ways():
            place = folder / f"{encoding}-{past}"
            place.mkdir()
            with self.subTest(encoding=encoding, bypass_cache=past):
                image = Image(place / "image")
                self.save(machine, image, encoding=encoding, bypass_cache=past, running=True)
                self.assertEqual(image.words()[3], ENCODINGS[encoding])
                for disk in machine.disks:
                    shutil.copy(disk.path, place)
                self.restore(image, bypass_cache=past, paused=True)
        machine.shut_off()

    def restore_each_way(self, machine, folder, before):
        for encoding, past in self.ways():
            place = folder / f"{encoding}-{past}"
            with self.subTest(encoding=encoding, bypass_cache=past):
                for disk in machine.disks:
                    shutil.copy(place / disk.path.name, disk.path)
                self.restore(Image(place / "image"), bypass_cache=past)
                self.assert_runs_on(machine, before)
            machine.shut_off()

    def test_every_encoding_with_and_without_the_page_cache(self):
        folder = self.folder()
        with PrivateBus() as bus, Service(bus, folder) as service, service.client() as client:
            self.client = client
            self.addCleanup(delattr, self, "client")
            machine = Machine(service, client, folder, self.short_name(), make_disks(folder, 2)).define().boot()
            before = machine.witness.mark("upgrade")
            machine.call("Pause")
            self.save_each_way(machine, folder)
            service.stop()
            service.emulator = paths.emulator("10")
            service.start()
            self.restore_each_way(machine, folder, before)
            machine.discard()


if __name__ == "__main__":
    main()
