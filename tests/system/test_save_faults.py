#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Saves that can't be: a disk that is full at any byte, files that won't do. The guest runs on, or stands still as
before, and nobody can take what is left for an image."""

import contextlib
import fcntl
import os
import pathlib
import socket

from vmsnaptest import MANAGER, PrivateBus, Service, SmallDisk, loop_device, main

from saving import Image, MAGIC_DONE, SavingCase, is_stock, open_on_small_disk

PAGE = 4096
# In the header, in its padding, behind the first pages of the state, in its middle.
SIZES = (PAGE, 64 << 10, 512 << 10, 12 << 20)
WAYS = [{"encoding": "raw"}, {"encoding": "raw", "bypass_cache": True}, {"encoding": "zstd"},
        {"encoding": "zstd", "bypass_cache": True}]
if not is_stock():
    WAYS += [{"encoding": "sparse"}]


@contextlib.contextmanager
def small_disk(size):
    """An image on a disk of that size, and its descriptor."""
    fd = open_on_small_disk(size)
    try:
        yield fd, Image(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


class FullDisk(SavingCase):
    """The image doesn't fit on its disk."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest = cls.class_guest("full")

    def fail_to_save(self, size, **option_values):
        with small_disk(size) as (fd, image):
            job = self.guest.call("Save", "h", 0, fds=[fd], **option_values)
            self.assert_job_fails("NoSpace", "No space left", job)
            self.assert_given_up(image)
            self.assertLessEqual(os.fstat(fd).st_size, 128 << 10)

    def assert_can_be_saved(self, before):
        """Elsewhere; and it comes back."""
        image = self.image()
        self.save(self.guest, image)
        self.restore(image)
        return self.assert_runs_on(self.guest, before)

    def test_guest_runs_on_wherever_the_disk_is_full(self):
        before = self.guest.witness.mark("full")
        for option_values in WAYS:
            for size in SIZES:
                with self.subTest(size=size, **option_values):
                    self.fail_to_save(size, **option_values)
                    self.assert_unharmed(self.guest, before)
        self.assert_can_be_saved(before)

    def test_last_kib_counts(self):
        """QEMU has written all or nearly all of it, and thinks itself moved away."""
        before = self.guest.witness.mark("last")
        for option_values in WAYS[::2]:
            with self.subTest(**option_values):
                self.assert_last_kib_counts(option_values)
                self.assert_unharmed(self.guest, before)
        self.assert_can_be_saved(before)

    def assert_last_kib_counts(self, option_values):
        image = self.image()
        self.save(self.guest, image, **option_values)
        # What was loaded is saved in as many bytes, but for a few; compressed, for a few more.
        self.restore(image, paused=True)
        size = image.path.stat().st_blocks * 512 // PAGE * PAGE
        for less in (1, 2, 4, 16, 64, 256):
            with small_disk(size - less * PAGE) as (fd, small):
                end = self.client.end_of_job(self.guest.call("Save", "h", 0, fds=[fd], **option_values))
                if end.state == "completed":
                    self.assertEqual(small.magic(), MAGIC_DONE)
                    self.client.run(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd],
                                    paused=True)
                    continue
                self.assertEqual(end.error, "NoSpace", end)
                self.assert_given_up(small)
                self.assertEqual(self.guest.state[0], "paused")
                self.assertEqual(self.guest.journals(), [])
            if less >= 4:
                break
        self.assertEqual(end.error, "NoSpace")
        self.guest.call("Resume")

    def test_paused_guest_stays_paused_and_can_be_used(self):
        """Also with what QEMU must have its disks for."""
        before = self.guest.witness.mark("paused")
        self.guest.call("Pause")
        self.guest.wait_state("paused")
        for size in SIZES[1:]:
            since = len(self.client.signals)
            self.fail_to_save(size)
            self.assertEqual(self.guest.state, ("paused", "user"))
            self.assertNotIn("stopped", [event for event, _ in self.guest.events(since)])
        self.guest.snapshot("paused")
        self.guest.revert("paused")
        self.assertEqual(self.guest.state[0], "paused")
        self.guest.delete("paused")
        self.guest.call("Resume")
        self.assert_unharmed(self.guest, before)

    def test_snapshots_are_as_before_and_can_be_taken(self):
        before = self.guest.witness.mark("snapshots")
        self.guest.snapshot("one")
        self.guest.snapshot("two")
        tree = self.guest.tree()
        self.fail_to_save(4 << 20)
        self.assertEqual((self.guest.tree(), self.guest.current()), (tree, "two"))
        self.guest.snapshot("three")
        self.guest.revert("one")
        self.assert_can_be_saved(before)
        self.assertEqual((self.guest.tree(), self.guest.current()), ({**tree, "three": "two"}, "one"))
        self.guest.snapshot("four")
        self.guest.revert("three")
        self.guest.delete("one", children=True)
        self.assertEqual(self.guest.snapshots(), [])
        self.assert_can_be_saved(before)


def fill_up(path, room):
    """Makes a file that leaves so much of its disk."""
    path.write_bytes(b"")
    free = os.statvfs(path)
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - room)


class FullStore(SavingCase):
    """The managed save doesn't fit into the store."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.make_class_directory()
        cls.bus = cls.enter_class(PrivateBus())
        disk = SmallDisk(64 << 20)
        cls.addClassCleanup(disk.close)
        service = Service(cls.bus, cls.directory)
        service.state = pathlib.Path(disk.path) / "state"
        cls.service = cls.enter_class(service)
        cls.client = cls.enter_class(cls.service.client())

    def test_guest_runs_on_and_is_managed_saved_when_there_is_room(self):
        machine = self.booted()
        before = machine.witness.mark("store")
        filler = machine.service.state / "filler"
        for room in (0, 8 << 10, 96 << 10, 1 << 20, 6 << 20):
            for encoding in ("raw", "zstd"):
                with self.subTest(room=room, encoding=encoding):
                    fill_up(filler, room)
                    end = self.client.end_of_job(machine.call("ManagedSave", encoding=encoding))
                    self.assertEqual(end.error, "NoSpace", end)
                    self.assert_unharmed(machine, before)
        filler.unlink()
        machine.run("ManagedSave", encoding="zstd")
        machine.start()
        self.assert_runs_on(machine, before)


class Targets(SavingCase):
    """What is handed in for the image."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest = cls.class_guest("targets")

    def refuse(self, fd, name, words, **option_values):
        since = len(self.client.signals)
        try:
            self.assert_job_fails(name, words, self.guest.call("Save", "h", 0, fds=[fd], **option_values))
        finally:
            os.close(fd)
        self.assertEqual(self.guest.events(since), [])

    def test_what_can_not_hold_an_image_is_refused_before_the_guest_stops(self):
        before = self.guest.witness.mark("refused")
        path = self.image().path
        path.write_bytes(b"something")
        out, into = os.pipe()
        ours, theirs = socket.socketpair()
        for fd, words in ((os.open(path, os.O_RDONLY), "for writing"),
                          (into, "pipe"), (theirs.detach(), "socket"),
                          (os.open(path.parent, os.O_RDONLY), "directory"),
                          (os.open("/dev/full", os.O_RDWR), "neither"),
                          (os.open(path, os.O_PATH), "O_PATH")):
            with self.subTest(words):
                self.refuse(fd, "InvalidArgument", words)
        os.close(out)
        ours.close()
        self.assertEqual(path.read_bytes(), b"something")
        self.assert_unharmed(self.guest, before)

    def save_into(self, path, flags, **option_values):
        """Saves, restores, and checks that the descriptor is as it was."""
        before = self.guest.witness.mark("saved")
        fd = os.open(path, flags | os.O_CREAT, 0o600)
        os.lseek(fd, 12345, os.SEEK_SET)
        status = fcntl.fcntl(fd, fcntl.F_GETFL)
        try:
            self.guest.run("Save", "h", 0, fds=[fd], **option_values)
            self.assertEqual(os.lseek(fd, 0, os.SEEK_CUR), 12345)
            self.assertEqual(fcntl.fcntl(fd, fcntl.F_GETFL), status)
        finally:
            os.close(fd)
        self.restore(Image(path))
        self.assert_runs_on(self.guest, before)

    def test_any_descriptor_that_can_be_written_will_do(self):
        ways = WAYS if is_stock() else WAYS + [{"encoding": "sparse", "bypass_cache": True}]
        for n, option_values in enumerate(ways):
            flags = (os.O_WRONLY, os.O_RDWR | os.O_APPEND, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)[n % 3]
            with self.subTest(flags=flags, **option_values):
                self.save_into(self.folder() / "image", flags, **option_values)
        with self.subTest("O_DIRECT"):
            self.save_into(self.folder() / "image", os.O_RDWR | os.O_DIRECT)

    def test_descriptor_is_as_it_was_after_a_failure_too(self):
        before = self.guest.witness.mark("failed")
        with small_disk(4 << 20) as (fd, _):
            os.lseek(fd, 777, os.SEEK_SET)
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
            status = fcntl.fcntl(fd, fcntl.F_GETFL)
            for option_values in WAYS:
                self.assert_job_fails("NoSpace", [], self.guest.call("Save", "h", 0, fds=[fd], **option_values))
                self.assertEqual(os.lseek(fd, 0, os.SEEK_CUR), 777)
                self.assertEqual(fcntl.fcntl(fd, fcntl.F_GETFL), status)
        self.assert_unharmed(self.guest, before)

    def test_longer_old_content_is_cut_off(self):
        image = self.image()
        with open(image.path, "wb") as file:
            file.write(b"old" * 1000)
            file.truncate(1 << 30)
        self.save_into(image.path, os.O_RDWR, encoding="zstd")
        self.assertLess(image.path.stat().st_size, 300 << 20)
        self.assertIn(str(image.path.stat().st_size - image.stream_offset()).encode(), image.texts()[1])

    def test_failed_save_over_a_whole_image_leaves_none(self):
        before = self.guest.witness.mark("over")
        with small_disk(96 << 20) as (fd, image):
            self.guest.run("Save", "h", 0, fds=[fd], encoding="zstd")
            self.client.run(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd])
            self.assertTrue(image.is_complete())
            self.guest.witness.dirty(128)
            self.assert_job_fails("NoSpace", [], self.guest.call("Save", "h", 0, fds=[fd]))
            self.assert_given_up(image)
            self.guest.witness.dirty(0)
        self.assert_unharmed(self.guest, before)

    def test_block_device_holds_an_image(self):
        """Its old content behind the image doesn't matter, and when it is too small that is said."""
        before = self.guest.witness.mark("device")
        for size in (640 << 20, 16 << 20):
            with loop_device(self.folder() / "device", size) as path:
                for option_values in WAYS[:4] if path else []:
                    fd = os.open(path, os.O_RDWR)
                    job = self.guest.call("Save", "h", 0, fds=[fd], **option_values)
                    if size > 600 << 20:
                        self.client.wait_job(job)
                        self.restore(Image(path), bypass_cache=True)
                    else:
                        self.assert_job_fails("NoSpace", [], job)
                        self.assert_given_up(Image(path))
                    os.close(fd)
                    self.assert_unharmed(self.guest, before)


if __name__ == "__main__":
    main()
