#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmsnapctl with a real guest: saved, restored, saved by the service, its image shown and edited."""

import dataclasses
import json
import os
import subprocess

from vmsnaptest import DEFAULT, main, paths

from saving import MAGIC_DONE, SavingCase, open_on_small_disk


class Ctl(SavingCase):

    def ctl(self, *arguments):
        done = self.run_ctl(*arguments)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def run_ctl(self, *arguments):
        return subprocess.run([paths.built("src/vmsnapctl/vmsnapctl"), "--session", *arguments], timeout=DEFAULT,
                              env={**os.environ, **self.bus.environment}, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def test_guest_goes_through_all_commands_of_saving(self):
        machine = self.booted()
        image = self.image()
        before = machine.witness.mark("commands")
        self.ctl("save", machine.name, image.path, "--compress", "--bypass-cache")
        self.assert_off_and_whole(machine)
        self.assertEqual(self.ctl("image", "edit", image.path, "--paused"), f"Changed {image.path}\n")
        shown = json.loads(self.ctl("image", "show", image.path, "--json"))
        self.assertEqual((shown["domain-uuid"], shown["state"], shown["encoding"], shown["complete"]),
                         (machine.uuid, "paused", "zstd", True))
        self.ctl("restore", image.path)
        self.assertEqual(machine.state, ("paused", "restored"))
        self.ctl("resume", machine.name)
        self.assert_runs_on(machine, before)

        before = machine.witness.mark("managed")
        self.ctl("managed-save", machine.name, "--running")
        self.assert_off_and_whole(machine)
        self.ctl("start", machine.name)
        self.assertEqual(machine.state, ("running", "restored"))
        self.assert_runs_on(machine, before)

    def test_full_disk_gives_the_guest_back_and_tells_what_is_lost(self):
        machine = self.booted()
        before = machine.witness.mark("full")
        fd = open_on_small_disk(1 << 20)
        self.addCleanup(os.close, fd)
        path = f"/proc/{os.getpid()}/fd/{fd}"
        os.pwrite(fd, MAGIC_DONE + bytes(4096), 0)
        done = self.run_ctl("save", machine.name, path, "--force")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("No space left", done.stderr)
        self.assertIn(f"{path} is no complete image any more", done.stderr)
        self.assert_unharmed(machine, before)

    def test_disks_are_moved_by_editing_the_image(self):
        machine = self.booted()
        image = self.image()
        before = machine.witness.mark("moved")
        self.ctl("save", machine.name, image.path)
        xml = self.ctl("image", "show", image.path, "--xml")
        folder = self.folder()
        for disk in machine.disks:
            disk.path.rename(folder / disk.path.name)
            xml = xml.replace(str(disk.path), str(folder / disk.path.name))
        machine.disks = [dataclasses.replace(disk, path=folder / disk.path.name) for disk in machine.disks]
        (folder / "domain.xml").write_text(xml, encoding="utf-8")
        self.ctl("image", "edit", image.path, "--xml", folder / "domain.xml")
        self.ctl("restore", image.path, "--running")
        self.assert_runs_on(machine, before)


if __name__ == "__main__":
    main()
