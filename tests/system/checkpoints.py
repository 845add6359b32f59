# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of full checkpoints share: the proof that a guest's memory and its disks are of one instant.

A checkpoint is brought to life by a second service, which knows nothing of the first: from the memory's file, on overlays
over the frozen disks that are thrown away afterwards. The witness in it tells what it finds, while the guest that the
checkpoint was taken of goes on. No test case of its own.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import xml.etree.ElementTree as ElementTree

from vmsnaptest import (MANAGER, Disk, PrivateBus, Service, Testimony, Witness, built, emulator, make_disk, qemu_img,
                        settle, witness_count)

from machines import DOMAIN, SNAPSHOT, ServiceCase

# How many rounds a guest must make for what is wrong with it to show: more than its rings on the disks have places.
ROUNDS = 20
# A guest's memory, on a machine that is busy.
PATIENCE = 240


def harsh_emulator(directory, **settings):
    """The emulator under test on the worst of hosts (harsh-host.c): hold_ms, answer_ms, no_userfaultfd."""
    words = " ".join(f"VMSNAP_TEST_{key.upper()}={value}" for key, value in settings.items())
    wrapper = directory / "harsh-qemu"
    wrapper.write_text(f"""#!/bin/sh
export LD_PRELOAD={built("tests/harness/harsh-host.so").resolve()} {words}
exec {emulator()} "$@"
""", encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper


@dataclasses.dataclass
class Checkpoint:
    """One that was taken, with what the guest said right before it and right after it."""

    name: str
    memory: pathlib.Path
    domain: str
    frozen: list
    result: dict
    job: str
    before: Testimony
    after: Testimony


class CheckpointCase(ServiceCase):
    """Takes checkpoints, and brings them to life."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.elsewhere = cls.enter_class(Service(cls.enter_class(PrivateBus()), cls.make_class_directory()))
        cls.other_client = cls.enter_class(cls.elsewhere.client())

    def loaded(self, mib=32, **details):
        """A guest that dirties its memory and writes to two disks, all as fast as it can."""
        machine = self.machine(**details).boot()
        machine.witness.dirty(mib)
        return machine

    def ask(self, machine, name, **option_values):
        return machine.call("CreateSnapshot", "s", name, **option_values)

    def take(self, machine, name="one", **option_values):
        """Takes one of a guest that runs; the machine's disks are the overlays from then on."""
        before = machine.witness.mark(name).check()
        job = self.ask(machine, name, **option_values)
        result = self.client.wait_job(job, PATIENCE).result
        after = machine.witness.get().check() if machine.get("State") == "running" else before
        return self.describe(machine, name, job, result, before, after)

    def describe(self, machine, name, job, result, before, after):
        """What is on record of one."""
        root = ElementTree.fromstring(self.client.call(machine.snapshot_path(name), SNAPSHOT, "GetXml"))
        frozen = list(machine.disks)
        self.follow(machine)
        domain = root.find("domain")
        self.assertEqual([str(disk.path) for disk in frozen], [disk.get("file") for disk in domain.iterfind(".//disk/source")])
        return Checkpoint(name, pathlib.Path(root.find("memory").get("file")), ElementTree.tostring(domain, "unicode"),
                          frozen, result, job, before, after)

    def follow(self, machine):
        """The machine's disks are those that the service says."""
        machine.disks = [Disk(pathlib.Path(disk["path"]), disk["format"], disk["target"], read_only=disk["read-only"])
                         for disk in machine.get("Disks")]

    # The proof

    def assert_one_instant(self, checkpoint):
        """Memory and disks are of one instant, and that is between what was said before it and after it."""
        counts = [witness_count(disk) for disk in checkpoint.frozen]
        self.assertTrue(checkpoint.before.ram - 1 <= min(counts) and max(counts) <= checkpoint.after.ram,
                        (checkpoint.before.ram, counts, checkpoint.after.ram))
        with self.brought_to_life(checkpoint) as witness:
            first = witness.get().check()
            self.assertEqual((first.run, first.mark), (checkpoint.before.run, checkpoint.name))
            self.assertGreaterEqual(first.ram, max(counts))
            witness.wait_beyond(first.ram + ROUNDS).check()

    @contextlib.contextmanager
    def brought_to_life(self, checkpoint):
        """The guest of the checkpoint, elsewhere; its witness."""
        folder = self.elsewhere.directory / "l"
        folder.mkdir()
        witness = Witness(folder / "w")
        path = None
        try:
            fd = os.open(checkpoint.memory, os.O_RDONLY)
            try:
                path = self.other_client.run(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd], running=True,
                                             xml=self._move(checkpoint, folder), timeout=PATIENCE)["domain"]
            finally:
                os.close(fd)
            yield witness
        finally:
            witness.close()
            if path:
                self.other_client.call(path, DOMAIN, "PowerOff")
            shutil.rmtree(folder)

    def _move(self, checkpoint, folder):
        """Its definition, with whatever it writes to in that folder."""
        domain = ElementTree.fromstring(checkpoint.domain)
        frozen = {disk.target: disk for disk in checkpoint.frozen}
        for element in domain.iterfind("devices/disk"):
            target = element.find("target").get("dev")
            overlay = make_disk(folder / target, backing=frozen[target])
            element.find("source").set("file", str(overlay.path))
            element.find("driver").set("type", overlay.format)
        domain.find("devices/channel/source").set("path", str(folder / "w"))
        for element in domain.iterfind("devices/*/source[@path]"):
            if element.get("path") == str(folder / "w"):
                continue
            element.set("path", str(folder / "console.log"))
        return ElementTree.tostring(domain, "unicode")

    # Afterwards

    def assert_runs_on(self, machine, before):
        """It is the guest that it was, a little later: nothing of its memory or its disks is of another time."""
        after = machine.witness.wait_beyond(before.ram + ROUNDS).check()
        self.assertEqual((after.run, after.mark), (before.run, before.mark))
        return after

    def assert_whole(self, machine):
        """Of a domain that is off: every image of every chain, and the service's word for the chains."""
        machine.shut_off()
        shown = {disk["target"]: disk["chain"] for disk in machine.get("Disks")}
        for disk in machine.disks:
            infos = json.loads(qemu_img("info", "--backing-chain", "--output=json", "-f", disk.format, disk.path))
            self.assertEqual([info["filename"] for info in infos], shown[disk.target])
            for info in infos[:-1]:
                self.assertEqual(info["backing-filename-format"], infos[infos.index(info) + 1]["format"])
            for info in infos:
                if info["format"] != "raw":
                    qemu_img("check", "-q", "-f", info["format"], info["filename"])

    def assert_result(self, checkpoint, machine, mode):
        """What the job tells of how it was done, and what is on record of that."""
        self.assertEqual(checkpoint.result["mode"], mode, checkpoint.result)
        self.assertTrue(checkpoint.result["mode-reason"])
        self.assertEqual(checkpoint.result["snapshot"], machine.snapshot_path(checkpoint.name))
        self.assertGreater(checkpoint.result["downtime"], 0)
        self.assertEqual(machine.snapshot_property(checkpoint.name, "Downtime"), checkpoint.result["downtime"])

    def states(self, machine, since):
        """The (State, StateReason) that were told of since then."""
        settle()
        seen = []
        for sent in self.client.signals[since:]:
            if (sent.path, sent.member) == (machine.path, "PropertiesChanged"):
                changed = sent.arguments[1]
                if "State" in changed or "StateReason" in changed:
                    seen.append((changed.get("State"), changed.get("StateReason")))
        return seen

    def phases(self, job):
        settle()
        return [sent.arguments[1]["Phase"] for sent in self.client.signals
                if (sent.path, sent.member) == (job, "PropertiesChanged") and "Phase" in sent.arguments[1]]
