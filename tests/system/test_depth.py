# SPDX-License-Identifier: LGPL-2.1-or-later
"""A chain of 150 files: made, started, found again by the next life of the service, reverted to, and shrunk again."""

import random

from vmsnaptest import main

from history_machine import WatchedCase
from history_story import Story

DEPTH = 150
# Reading all files of a chain for each of its snapshots takes a while: not after every step.
EARLY, MIDDLE = "s5", "s75"
# Some are deleted one by one, the rest by the dozen.
SINGLE = 8


class Deep(WatchedCase):

    def setUp(self):
        super().setUp()
        directory = self.folder()
        self.story = Story(self.service, self.client, directory, self.short_name())
        self.machine = self.story.machine
        self.machine.define()
        self.addCleanup(self.machine.discard)

    def grow(self, first, last):
        for number in range(first, last + 1):
            self.story.write(("vda", number % 32, 1, number % 255 + 1))
            self.story.take(f"s{number}", disk_only=True)

    def depth(self):
        return len(self.machine.shown_disks()["vda"]["chain"])

    def test_150_snapshots_are_taken_reverted_to_and_deleted(self):
        story = self.story
        self.grow(1, DEPTH // 2)
        story.start()
        self.grow(DEPTH // 2 + 1, DEPTH)
        story.write_memory(1)
        self.assertEqual(self.depth(), DEPTH + 1)
        story.check()

        pid = self.machine.pid()
        story.restart_service()
        self.assertEqual(self.machine.pid(), pid)
        story.check()
        story.power_off()
        story.start()
        story.check()

        for name in (EARLY, MIDDLE):
            story.revert(name, running=True)
            story.mark()
            story.check()
        self.assertEqual(self.depth(), int(MIDDLE[1:]) + 1)
        self.shrink()

    def shrink(self):
        """By the guest's own QEMU, and while it is off."""
        story, order = self.story, random.Random(DEPTH)
        for _ in range(SINGLE):
            story.delete(order.choice(list(story.model.snapshots)))
        story.check()
        story.power_off()
        for _ in range(SINGLE):
            story.delete(order.choice(list(story.model.snapshots)))
        story.check()
        while story.model.snapshots:
            story.delete(order.choice(list(story.model.snapshots)), children=True)
        story.check()
        self.assertLessEqual(self.depth(), 2)


if __name__ == "__main__":
    main()
