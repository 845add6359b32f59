#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service killed between an image's completion and the decision that the guest ends: never both of them."""

import mmap
import os

from vmsnaptest import DEFAULT, main
from vmsnaptest.deadline import Deadline

from saving import MAGIC_DONE, MAGIC_PART, Image, SavingCase

TRIES = 12


class Window(SavingCase):
    """A file that nobody can find again by the way that it had."""

    def kill_when_whole(self, machine, image, moved, mode):
        """Saves, moves the file away, and kills the service when the file says that it is whole."""
        fd = os.open(image.path, os.O_RDWR | os.O_CREAT, 0o600)
        given = os.open(image.path, mode)
        job = machine.call("Save", "h", 0, fds=[given])
        os.close(given)
        deadline = Deadline(DEFAULT)
        while os.fstat(fd).st_size < 4096:
            self.assertFalse(deadline.passed(), "the image is never begun")
        os.rename(image.path, moved.path)
        with mmap.mmap(fd, 4096, prot=mmap.PROT_READ) as view:
            while view[:16] != MAGIC_DONE:
                self.assertFalse(deadline.passed(), f"{job}: the image is never whole")
        self.service.kill()
        os.close(fd)
        self.service.start()

    def check_never_both(self, mode):
        image, moved = self.image(), Image(self.folder() / "moved")
        machine = self.booted()
        before = machine.witness.mark("window")
        for _ in range(TRIES):
            self.kill_when_whole(machine, image, moved, mode)
            if machine.get("State") == "running":
                self.assertEqual(moved.magic(), MAGIC_PART)
                self.assert_unharmed(machine, before)
            else:
                self.assertTrue(moved.is_complete())
                self.restore(moved)
            before = self.assert_runs_on(machine, before)
            os.unlink(moved.path)

    def test_image_or_guest_but_never_both(self):
        self.check_never_both(os.O_RDWR)

    def test_image_that_can_not_be_read_or_guest(self):
        self.check_never_both(os.O_WRONLY)


if __name__ == "__main__":
    main()
