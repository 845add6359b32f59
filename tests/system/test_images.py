#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What InspectImage tells of a real guest's image, and what RewriteImage changes for its restore."""

import dataclasses
import os

from vmsnaptest import MANAGER, main

from saving import SavingCase


class Images(SavingCase):

    def call(self, method, image, flags, **options):
        fd = os.open(image.path, flags)
        try:
            return self.client.call(MANAGER, "Manager", method, "h", 0, fds=[fd], **options)
        finally:
            os.close(fd)

    def inspect(self, image):
        return self.call("InspectImage", image, os.O_RDONLY)

    def rewrite(self, image, **options):
        return self.call("RewriteImage", image, os.O_RDWR, **options)

    def test_image_tells_of_its_guest(self):
        machine = self.booted()
        image = self.image()
        self.save(machine, image, encoding="zstd")
        shown = self.inspect(image)
        xml = shown.pop("xml")
        self.assertEqual(shown, {"format-version": 2, "complete": True, "state": "running", "encoding": "zstd",
                                 "domain-name": machine.name, "domain-uuid": machine.uuid,
                                 "memory-size": image.path.stat().st_size - image.stream_offset()})
        self.assertIn(str(machine.disks[0].path), xml)

    def test_rewritten_state_is_what_becomes_of_the_guest(self):
        machine = self.booted()
        before = machine.witness.mark("rewritten")
        image = self.image()
        self.save(machine, image)
        self.rewrite(image, paused=True)
        self.restore(image)
        self.assertEqual(machine.state, ("paused", "restored"))
        self.save(machine, image)
        self.rewrite(image, running=True)
        self.restore(image)
        self.assertEqual(machine.state, ("running", "restored"))
        self.assert_runs_on(machine, before)

    def test_rewritten_definition_moves_disks(self):
        machine = self.booted()
        before = machine.witness.mark("moved")
        image = self.image()
        self.save(machine, image)
        folder = self.folder()
        xml = self.inspect(image)["xml"]
        for disk in machine.disks:
            moved = folder / disk.path.name
            disk.path.rename(moved)
            xml = xml.replace(str(disk.path), str(moved))
        machine.disks = [dataclasses.replace(disk, path=folder / disk.path.name) for disk in machine.disks]
        self.rewrite(image, xml=xml)
        self.restore(image)
        self.assertEqual([disk["path"] for disk in machine.get("Disks")], [str(disk.path) for disk in machine.disks])
        self.assert_runs_on(machine, before)

    def test_rewritten_managed_save_like_any_image(self):
        machine = self.booted()
        before = machine.witness.mark("managed")
        machine.run("ManagedSave")
        image = self.image()
        image.path = machine.store / "managed-save"
        self.assertEqual(self.inspect(image)["domain-name"], machine.name)
        self.rewrite(image, paused=True)
        machine.start()
        self.assertEqual(machine.state, ("paused", "restored"))
        machine.call("Resume")
        self.assert_runs_on(machine, before)


if __name__ == "__main__":
    main()
