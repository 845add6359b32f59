#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmsnapctl with a real guest: saved, restored, saved by the service, its image shown and edited; taken back and branched."""

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
                              env={**os.environ, **self.bus.environment, "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, text=True,
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

    def checkpoint(self, machine, name):
        """Between which testimonies it lies."""
        before = machine.witness.mark(name)
        self.ctl("snapshot", "create", machine.name, name)
        return before, machine.witness.get().check()

    def assert_is_back(self, machine, before, after):
        """The guest is the one of the checkpoint, and runs on, RAM and disks of one time."""
        back = machine.witness.get().check()
        self.assertEqual((back.run, back.mark), (before.run, before.mark))
        machine.witness.wait_beyond(max(back.ram, after.ram)).check()

    def names_in_tree(self, machine):
        lines = self.ctl("snapshot", "tree", machine.name).splitlines()[1:]
        return [line.split("  external")[0].rstrip() for line in lines], [line for line in lines if "<- current" in line]

    def test_guest_goes_back_branches_and_loses_nothing_by_deletions(self):
        machine = self.booted()
        root = self.checkpoint(machine, "root")
        left = self.checkpoint(machine, "left")
        machine.witness.wait_beyond(left[1].ram + 50)
        told = self.ctl("snapshot", "revert", machine.name, "root")
        self.assertRegex(told, r"^Reverted .* to snapshot 'root' in .* \(the guest stood still for .*\)\n$")
        self.assert_is_back(machine, *root)
        right = self.checkpoint(machine, "right")
        names, current = self.names_in_tree(machine)
        self.assertEqual(names, ["root", "├─ left", "└─ right"])
        self.assertRegex(current[0], "right")
        self.assertRegex(self.ctl("snapshot", "delete", machine.name, "root"), r"^Deleted snapshot 'root' of ")
        self.assertEqual(self.names_in_tree(machine)[0], ["left", "right"])
        self.assert_runs_on(machine, right[1])
        self.ctl("snapshot", "revert", machine.name, "left")
        self.assert_is_back(machine, *left)
        self.ctl("snapshot", "delete", machine.name, "right")
        self.ctl("snapshot", "delete", machine.name, "left")
        self.assert_runs_on(machine, left[1])
        self.assertEqual(self.ctl("snapshot", "list", machine.name, "--names"), "")

    def test_disks_alone_bring_a_guest_back_only_when_it_is_said_how(self):
        machine = self.booted()
        self.ctl("snapshot", "create", machine.name, "disks", "--disk-only")
        before = machine.witness.mark("must not be lost unasked")
        done = self.run_ctl("snapshot", "revert", machine.name, "disks")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        for way in ("--running", "--paused", "--force"):
            self.assertIn(way, done.stderr)
        self.assert_runs_on(machine, before)
        self.ctl("snapshot", "revert", machine.name, "disks", "--running")
        after = machine.witness.wait_beyond(0)
        self.assertNotEqual(after.run, before.run)
        self.ctl("snapshot", "revert", machine.name, "disks", "--force")
        self.assertEqual(machine.state[0], "shutoff")


if __name__ == "__main__":
    main()
