#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job, shown: a real guest under TCG is snapshotted and taken back in time through the service.

Everything is done as a user does it, with vmsnapctl, and is checked by what the
witness in the guest says of its RAM and its disks. Fails loudly if the counter
is not where it must be. tools/demo runs it.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import uuid

from vmsnaptest import PrivateBus, Service, Witness, built, domain_xml, internal_snapshots, make_disks

DOMAIN = "demo"
# How many counts the guest gets between two steps: about a second's worth.
STRETCH = 500


class Wrong(Exception):
    """The demo shows something that must not be."""


def colour(code, text):
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


class Demo:
    """The service on a bus of its own, and the guest."""

    def __init__(self, directory, bus, service):
        self.directory = directory
        self.service = service
        self.environment = {**os.environ, **bus.environment}
        self.disks = make_disks(directory, 2)
        self.uuid = str(uuid.uuid4())
        self.witness = Witness(directory / "witness.sock")
        self._began = time.monotonic()

    def step(self, title):
        print(colour("1", f"\n[{time.monotonic() - self._began:5.1f} s] {title}"), flush=True)

    def ctl(self, *arguments):
        """Runs vmsnapctl before the reader's eyes, and says how long it took."""
        print(colour("2", f"$ vmsnapctl {' '.join(map(str, arguments))}"), flush=True)
        began = time.monotonic()
        done = subprocess.run([built("src/vmsnapctl/vmsnapctl"), "--session", *arguments], env=self.environment,
                              check=False)
        if done.returncode != 0:
            raise Wrong(f"vmsnapctl {arguments[0]} failed with status {done.returncode}")
        print(f"  took {time.monotonic() - began:.2f} s", flush=True)

    def tell(self, words, testimony):
        """Shows the guest's counter, in RAM and as read back from its disks."""
        disks = ", ".join(f"{name} {n}" for name, n in testimony.disks.items())
        print(f"  {words}: RAM {colour('1;32', str(testimony.ram))}, {disks}, mark '{testimony.mark}'", flush=True)
        found = testimony.contradictions()
        if found or len(testimony.disks) != len(self.disks):
            raise Wrong(f"RAM and disks are not of one instant: {'; '.join(found) or testimony}")
        return testimony

    def start(self):
        self.step("Defining and starting a guest with two disks")
        definition = self.directory / "demo.xml"
        definition.write_text(domain_xml(DOMAIN, self.disks, uuid=self.uuid, witness=self.witness.path,
                                         serial=self.directory / "serial.log"), encoding="utf-8")
        self.ctl("define", definition)
        self.ctl("start", DOMAIN)
        self.tell("the guest is up and counts", self.witness.wait_beyond(STRETCH))

    def snapshot(self, name):
        """Takes a snapshot; between which counters it must lie."""
        self.step(f"Taking the snapshot '{name}' while the guest runs")
        before = self.tell("before", self.witness.mark(f"snapshot {name}"))
        self.ctl("snapshot", "create", "--internal", DOMAIN, name)
        after = self.tell("after", self.witness.get())
        return before, after

    def run_on(self, words):
        self.step(f"Letting the guest run on: {words}")
        later = self.witness.wait_beyond(self.witness.get().ram + STRETCH)
        return self.tell("now", later)

    def revert(self, name, before, after, later):
        """Goes back; the guest must be where it was between `before` and `after`, and run on."""
        self.step(f"Going back to '{name}'")
        self.tell("before the revert", self.witness.mark("this will never have happened"))
        self.ctl("snapshot", "revert", DOMAIN, name)
        back = self.tell("after the revert", self.witness.get())
        if not before.ram <= back.ram < later.ram:
            raise Wrong(f"the counter is at {back.ram}; the snapshot was taken between {before.ram} and {after.ram}")
        if (back.run, back.mark) != (before.run, before.mark):
            raise Wrong(f"the guest is of run {back.run} with mark '{back.mark}', and should be of {before.run} with "
                        f"'{before.mark}'")
        self.tell("and it runs on", self.witness.wait_beyond(later.ram))

    def save_and_restore(self):
        """Puts the guest into a file and brings it back: it must go on where it was, as if no time had passed."""
        self.step("Putting the guest into a file")
        image = self.directory / "demo.image"
        before = self.tell("before", self.witness.mark("saved"))
        self.ctl("save", DOMAIN, image)
        self.ctl("image", "show", image)
        self.ctl("list")
        self.step("Bringing it back out of the file")
        self.ctl("restore", image)
        back = self.tell("after the restore", self.witness.get())
        if (back.run, back.mark) != (before.run, before.mark) or back.ram < before.ram:
            raise Wrong(f"the guest is of run {back.run} with mark '{back.mark}' at {back.ram}, and should be of "
                        f"{before.run} with '{before.mark}' beyond {before.ram}")
        self.tell("and it runs on", self.witness.wait_beyond(back.ram))

    def checkpoint(self, name):
        """Takes memory and disks of a busy guest at one instant; between which counters it must lie."""
        self.step(f"Taking the full checkpoint '{name}', memory and disks, of a guest that is busy all the time")
        before = self.tell("before", self.witness.mark(f"checkpoint {name}"))
        self.ctl("snapshot", "create", DOMAIN, name)
        return before, self.tell("after", self.witness.get())

    def branch(self):
        """Back to a checkpoint, twice, so that two histories go on from it; it is deleted, and both are whole."""
        self.witness.dirty(32)
        root = self.checkpoint("root")
        self.ctl("snapshot", "show", DOMAIN, "root")
        later = self.run_on("this is what the revert undoes, and files of the snapshot must not see")
        self.revert("root", *root, later)
        left = self.checkpoint("left")
        later = self.run_on("on the left branch")
        self.revert("root", *root, later)
        right = self.checkpoint("right")
        self.step("Looking at the tree, and deleting what both branches stand on, while the guest runs")
        self.ctl("snapshot", "tree", DOMAIN)
        self.ctl("snapshot", "delete", DOMAIN, "root")
        self.ctl("snapshot", "tree", DOMAIN)
        later = self.run_on("on the right branch")
        self.revert("left", *left, later)
        later = self.run_on("on the left branch once more")
        self.revert("right", *right, later)
        self.step("Deleting the branches: their files are merged, or go")
        for name in ("left", "right"):
            self.ctl("snapshot", "delete", DOMAIN, name)
        self.tell("the guest goes on", self.witness.wait_beyond(self.witness.get().ram))
        self.ctl("show", DOMAIN)
        memory = list(self.service.state.glob("domains/*/memory/*"))
        files = sorted(path.name for disk in self.disks for path in self.directory.glob(f"{disk.target}.*"))
        if memory or len(files) != len(self.disks):
            raise Wrong(f"files are left over: {memory} {files}")

    def tidy_up(self, names):
        self.step("Looking at the tree, and deleting")
        self.ctl("snapshot", "tree", DOMAIN)
        for name in names:
            self.ctl("snapshot", "delete", DOMAIN, name)
        for disk in self.disks:
            if internal_snapshots(disk):
                raise Wrong(f"{disk.path} still holds {internal_snapshots(disk)}")
        self.tell("the guest goes on", self.witness.wait_beyond(self.witness.get().ram))

    def end(self):
        self.step("Shutting down")
        self.ctl("shutdown", "--wait", DOMAIN)
        self.ctl("undefine", DOMAIN)
        self.ctl("list")
        left = self.service.guests()
        if left:
            raise Wrong(f"processes are left over: {left}")

    def run(self):
        self.start()
        before, after = self.snapshot("first")
        later = self.run_on("this is what the revert undoes")
        self.revert("first", before, after, later)
        self.snapshot("second")
        self.save_and_restore()
        self.tidy_up(["second", "first"])
        self.branch()
        self.end()
        self.step("Done: the guest went back in time, RAM and disks together, through a file and back, was kept whole "
                  "without noticing, and lived two lives from one instant")


def main():
    with tempfile.TemporaryDirectory(prefix="vmsnap-demo-") as name:
        directory = pathlib.Path(name)
        print("Starting a bus and the service on it", flush=True)
        with PrivateBus() as bus, Service(bus, directory) as service:
            try:
                Demo(directory, bus, service).run()
            except BaseException:
                print(f"\nWhat the service said:\n{service.output()}", file=sys.stderr)
                raise


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(colour("1;31", f"WRONG: {wrong}"))
