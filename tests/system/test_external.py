#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""External snapshots of disks, with real guests: what is frozen stays so, and what is written goes to the overlays."""

import os
import pathlib
import subprocess
import time

from vmsnaptest import (BusError, Disk, SmallDisk, Testimony, image_info, internal_snapshots, loop_device, main,
                        make_disk, make_disks, qemu_img, witness_count)

from external import STRETCH, ExternalCase, chain, digest
from machines import SNAPSHOT

class Running(ExternalCase):
    """Of guests that go on."""

    def test_overlays_are_beside_the_disks_and_the_bases_frozen(self):
        machine = self.machine().boot()
        state = machine.state
        before = machine.witness.mark("before").check()
        began = time.time_ns() // 1000
        frozen = self.take(machine, "one", description="the first")
        after = machine.witness.get().check()
        self.assertEqual([disk.path for disk in machine.disks], self.overlays(frozen, "one"))
        self.assertEqual([disk.format for disk in machine.disks], ["qcow2", "qcow2"])
        self.assertEqual(machine.state, state)
        self.assert_frozen(frozen, before, after)
        self.assert_stays(machine, frozen)
        for old, new in zip(frozen, machine.disks):
            self.assertEqual(self.shown_chain(machine, new.target), [str(new.path), str(old.path)])
            self.assertEqual(old.path.stat().st_mode, new.path.stat().st_mode)
        values = self.client.get_all(machine.snapshot_path("one"), SNAPSHOT)
        self.assertEqual((values["State"], values["Location"], values["Memory"]), ("disk-snapshot", "external", "none"))
        self.assertEqual([(disk["target"], disk["snapshot"], disk["path"], disk["format"]) for disk in values["Disks"]],
                         [(disk.target, "external", str(disk.path), "qcow2") for disk in machine.disks])
        self.assertEqual((values["Description"], values["Parent"], machine.current()), ("the first", "/", "one"))
        self.assertTrue(began <= values["CreationTime"] <= time.time_ns() // 1000)
        self.assert_whole(machine, frozen)

    def test_the_guest_boots_again_from_its_overlays(self):
        machine = self.machine().boot()
        frozen = self.take(machine, "one")
        digests = [digest(disk.path) for disk in frozen]
        last = machine.witness.wait_beyond(machine.witness.get().ram + STRETCH).check()
        machine.shut_off()
        machine.boot()
        found = machine.witness.get().check()["details"]
        for target in ("vda", "vdb"):
            self.assertEqual(found[target]["found"]["run"], last.run)
            self.assertGreaterEqual(found[target]["found"]["n"], last.ram)
        self.assertEqual([digest(disk.path) for disk in frozen], digests)
        self.assert_whole(machine, frozen)

    def test_one_after_the_other(self):
        machine = self.machine().boot()
        first = self.take(machine, "one")
        second = self.take(machine, "two")
        self.assertEqual([disk.path for disk in machine.disks], self.overlays(first, "two"))
        self.assertEqual(machine.tree(), {"one": None, "two": "one"})
        self.assert_stays(machine, first + second)
        self.assertEqual(self.shown_chain(machine, "vda"),
                         [str(disks[0].path) for disks in (machine.disks, second, first)])
        self.service.restart()
        self.assertEqual(self.shown_chain(machine, "vda"),
                         [str(disks[0].path) for disks in (machine.disks, second, first)])
        third = self.take(machine, "three")
        self.assert_stays(machine, third)
        self.assert_whole(machine, first + second + third)

    def test_a_paused_guest_stays_paused(self):
        machine = self.machine().boot()
        machine.call("Pause")
        frozen = self.take(machine, "one")
        self.assertEqual(machine.state, ("paused", "user"))
        machine.call("Resume")
        machine.wait_state("running")
        self.assert_stays(machine, frozen)
        self.assert_whole(machine, frozen)

    def test_a_file_that_is_there_is_not_overwritten(self):
        machine = self.machine().boot()
        other = machine.disks[1].path.with_suffix(".one")
        other.write_text("precious")
        before = self.shape(machine)
        self.assert_job_fails("AlreadyExists", [other, "reuse-external"],
                              machine.call("CreateSnapshot", "s", "one", disk_only=True))
        self.assertEqual(other.read_text(), "precious")
        self.assert_nothing_left(machine, before)
        machine.witness.get().check()


    def test_halt_powers_off_afterwards(self):
        machine = self.machine().boot()
        self.take(machine, "one", halt=True)
        self.assertEqual(machine.state, ("shutoff", "saved"))
        self.assertEqual(machine.current(), "one")
        self.assert_whole(machine)


class Off(ExternalCase):
    """Of domains that are shut off."""

    def test_the_definition_points_to_the_overlays(self):
        machine = self.machine(disks=[make_disk(self.folder() / "a.qcow2", target="vda"),
                                      make_disk(self.folder() / "b.img", image_format="raw", target="vdb")])
        frozen = list(machine.disks)
        digests = [digest(disk.path) for disk in frozen]
        machine.run("CreateSnapshot", "s", "one")
        self.follow(machine)
        self.assertEqual([disk.path for disk in machine.disks], self.overlays(frozen, "one"))
        values = self.client.get_all(machine.snapshot_path("one"), SNAPSHOT)
        self.assertEqual((values["State"], values["Location"], values["Memory"]), ("shutoff", "external", "none"))
        machine.boot()
        self.assert_stays(machine, frozen)
        self.assertEqual([digest(disk.path) for disk in frozen], digests)
        self.assert_whole(machine, frozen)

    def test_raw_of_an_odd_size(self):
        path = self.folder() / "b.img"
        path.write_bytes(bytes((5 << 20) + 1000))
        machine = self.machine(disks=[make_disk(self.folder() / "a.qcow2", target="vda"), Disk(path, "raw", "vdb")])
        machine.run("CreateSnapshot", "s", "one")
        self.follow(machine)
        self.assertEqual(image_info(machine.disks[1])["virtual-size"], (5 << 20) + 1024)
        self.assertEqual(image_info(machine.disks[1])["backing-filename-format"], "raw")
        self.assert_whole(machine)

    def test_no_metadata_and_a_sequel(self):
        machine = self.machine()
        machine.run("CreateSnapshot", "s", "one", no_metadata=True)
        self.assertEqual((machine.snapshots(), machine.current()), ([], None))
        self.assertEqual([disk["path"] for disk in machine.get("Disks")],
                         [str(path) for path in self.overlays(machine.disks, "one")])
        self.follow(machine)
        machine.run("CreateSnapshot", "s", "two")
        self.follow(machine)
        self.assertEqual([len(self.shown_chain(machine, disk.target)) for disk in machine.disks], [3, 3])
        self.assertEqual(machine.current(), "two")
        machine.delete("two", metadata_only=True)
        self.assertEqual(machine.snapshots(), [])
        self.assert_whole(machine)


class Choices(ExternalCase):
    """Which disks, where, and how; of domains that are off, for the choice is the same."""

    def refuse(self, machine, error, words, name="one", **option_values):
        """Nothing has changed, and nothing is left behind."""
        before = self.shape(machine)
        self.refuse_plainly(machine, error, words, name, **option_values)
        self.assert_nothing_left(machine, before)

    def refuse_plainly(self, machine, error, words, name="one", **option_values):
        """At once, or by the job."""
        try:
            job = machine.call("CreateSnapshot", "s", name, **option_values)
        except BusError as refused:
            self.assert_error(refused.name, refused.message, error, words)
        else:
            self.assert_job_fails(error, words, job)

    def overlay(self, disk, path, **more):
        """A file as reuse-external wants it, or nearly."""
        details = {"-b": str(disk.path), "-F": disk.format, "size": "64M", **more}
        words = [word for key in ("-b", "-F") if details[key] for word in (key, details[key])]
        qemu_img("create", "-q", "-f", "qcow2", *words, path, details["size"])
        return path

    def test_a_mixed_set(self):
        machine = self.machine(disks=make_disks(self.folder(), 3))
        vda, vdb, vdc = machine.disks
        path = self.folder() / "elsewhere.overlay"
        machine.run("CreateSnapshot", "s", "one", disks={"vda": {"snapshot": "internal"}, "vdb": {"path": str(path)},
                                                       "vdc": {"snapshot": "none"}})
        self.follow(machine)
        self.assertEqual([disk.path for disk in machine.disks], [vda.path, path, vdc.path])
        self.assertEqual([internal_snapshots(disk) for disk in (vda, vdb, vdc)], [["one"], [], []])
        values = self.client.get_all(machine.snapshot_path("one"), SNAPSHOT)
        self.assertEqual([disk["snapshot"] for disk in values["Disks"]], ["internal", "external", "none"])
        self.assertEqual(values["Location"], "mixed")
        self.assert_whole(machine)

    def test_a_mixed_set_of_a_running_guest(self):
        machine = self.machine().boot()
        before = machine.witness.mark("before").check()
        disks = {"vda": {"snapshot": "internal"}}
        original = machine.call("GetXml")
        with self.failing_record(machine):
            end = self.client.end_of_job(machine.call("CreateSnapshot", "s", "one", disk_only=True, disks=disks))
        self.assertEqual(end.state, "failed", end)
        self.assertEqual((machine.tags(), machine.call("GetXml")), ([[], []], original))
        frozen = self.take(machine, "one", disks=disks)
        self.assertEqual([disk.path for disk in machine.disks], [frozen[0].path, *self.overlays(frozen[1:], "one")])
        self.assertEqual(internal_snapshots(frozen[0]), ["one"])
        self.assert_stays(machine, frozen[1:])
        machine.shut_off()
        self.assert_whole(machine, frozen)
        # What is inside vda is of the instant of what vdb's base holds.
        qemu_img("snapshot", "-a", "one", frozen[0].path)
        self.assert_frozen(frozen, before, machine_end(machine))

    def test_read_only_disks_are_left_out(self):
        folder = self.folder()
        machine = self.machine(disks=[make_disk(folder / "a.qcow2", target="vda"),
                                      make_disk(folder / "b.qcow2", target="vdb", read_only=True)])
        machine.run("CreateSnapshot", "s", "one")
        self.follow(machine)
        self.assertEqual([disk.path.name for disk in machine.disks], ["a.one", "b.qcow2"])
        values = self.client.get_all(machine.snapshot_path("one"), SNAPSHOT)
        self.assertEqual([disk["snapshot"] for disk in values["Disks"]], ["external", "none"])

    def test_places_that_no_overlay_can_have(self):
        machine = self.machine()
        away = self.folder()
        (away / "file").write_text("")
        self.refuse(machine, "NotFound", [away / "no", "vda"], disks={"vda": {"path": f"{away}/no/x"}})
        self.refuse(machine, "InvalidArgument", [away / "file"], disks={"vda": {"path": f"{away}/file/x"}})
        self.refuse(machine, "AlreadyExists", [away / "file"], disks={"vda": {"path": f"{away}/file"}})
        self.refuse(machine, "InvalidArgument", f"{away}/x", disks={"vda": {"path": f"{away}/x"},
                                                                    "vdb": {"path": f"{away}/./x"}})
        self.refuse(machine, "InvalidArgument", "255", disks={"vda": {"path": f"{away}/{'x' * 256}"}})
        self.assertEqual([file.name for file in away.iterdir()], ["file"])
        # The same file by another name is found when it is made.
        (away / "link").symlink_to(away)
        self.refuse(machine, "AlreadyExists", f"{away}/link/y", disks={"vda": {"path": f"{away}/y"},
                                                                       "vdb": {"path": f"{away}/link/y"}})
        self.assertEqual(sorted(file.name for file in away.iterdir()), ["file", "link"])

    def test_names_that_are_too_long(self):
        long = make_disk(self.folder() / ("d" * 80 + ".qcow2"), target="vda")
        machine = self.machine(disks=[long])
        self.refuse(machine, "InvalidArgument", ["255", "shorter"], name="n" * 190)
        machine.run("CreateSnapshot", "s", "n" * 170)
        self.follow(machine)
        self.assert_whole(machine)

    def test_files_that_are_there_are_reused(self):
        machine = self.machine()
        vda, vdb = machine.disks
        away = self.folder()
        self.overlay(vda, away / "vda")
        self.overlay(vdb, away / "vdb", **{"-b": None, "-F": None})
        machine.run("CreateSnapshot", "s", "one", reuse_external=True,
                    disks={name: {"path": str(away / name)} for name in ("vda", "vdb")})
        self.follow(machine)
        self.assertEqual([chain(disk) for disk in machine.disks],
                         [[str(away / "vda"), str(vda.path)], [str(away / "vdb"), str(vdb.path)]])
        machine.boot()
        self.assert_stays(machine, [vda, vdb])
        self.assert_whole(machine, [vda, vdb])

    def test_files_that_cannot_be_reused(self):
        machine = self.machine()
        vda, vdb = machine.disks
        folder = vda.path.parent
        good = self.overlay(vdb, folder / "vdb.one")
        one = folder / "vda.one"
        self.refuse(machine, "NotFound", one, reuse_external=True)
        one.write_bytes(bytes(64 << 20))
        self.refuse(machine, "InvalidArgument", [one, "qcow2", "qemu-img create"], reuse_external=True)
        for words, details in ((["bytes"], {"size": "65M"}), ([str(vdb.path)], {"-b": str(vdb.path)}),
                               (["raw"], {"-F": "raw"})):
            one.unlink()
            self.overlay(vda, one, **details) if "raw" not in words else self.overlay(vda, one, **{"-F": "qcow2"})
            if "raw" in words:
                qemu_img("rebase", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", vda.path, one)
            self.refuse(machine, "InvalidArgument", [one, *words], reuse_external=True)
        one.unlink()
        self.overlay(vda, one)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", one], check=True, stdout=subprocess.DEVNULL)
        self.refuse(machine, "InvalidArgument", [one, "holds data"], reuse_external=True)
        digests = [digest(path) for path in (one, good)]
        self.refuse(machine, "InvalidArgument", one, reuse_external=True)
        self.assertEqual([digest(path) for path in (one, good)], digests)

    def test_no_room_for_an_overlay(self):
        machine = self.machine()
        small = SmallDisk(16384)
        self.addCleanup(small.close)
        self.refuse(machine, "NoSpace", small.path, disks={"vdb": {"path": f"{small.path}/overlay"}})
        self.assertEqual(os.listdir(small.path), [])

    def test_block_devices(self):
        device, spare = (self.enter(loop_device(self.folder() / "device", 64 << 20)) for _ in range(2))
        machine = self.machine(disks=[make_disk(self.folder() / "a.qcow2", target="vda"),
                                      Disk(pathlib.Path(device), "raw", "vdb")])
        before = machine.call("GetXml")
        for error, words, options in (
                ("InvalidArgument", [device, "'disks'"], {}),
                ("AlreadyExists", [spare, "reuse-external"], {"disks": {"vdb": {"path": spare}}})):
            self.refuse_plainly(machine, error, words, **options)
            self.assertEqual(machine.call("GetXml"), before)
        overlay = self.folder() / "overlay"
        machine.run("CreateSnapshot", "s", "one", disks={"vdb": {"path": str(overlay)}})
        self.assertEqual(self.shown_chain(machine, "vdb"), [str(overlay), device])
        qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", overlay, spare, "64M")
        machine.run("CreateSnapshot", "s", "two", reuse_external=True,
                    disks={"vda": {"snapshot": "none"}, "vdb": {"path": spare}})
        self.assertEqual(self.shown_chain(machine, "vdb"), [spare, str(overlay), device])
        self.assertIn(spare, machine.call("GetXml"))
        self.follow(machine)
        machine.boot()
        self.assert_stays(machine, [Disk(overlay, "qcow2")])
        machine.shut_off()

    def test_a_reused_file_is_as_before_after_a_failure(self):
        machine = self.machine()
        for disk in machine.disks:
            self.overlay(disk, disk.path.with_suffix(".one"), **{"-b": None, "-F": None})
        before = self.shape(machine)
        with self.failing_record(machine):
            end = self.client.end_of_job(machine.call("CreateSnapshot", "s", "one", reuse_external=True))
        self.assertEqual(end.state, "failed", end)
        self.assert_nothing_left(machine, before)
        for disk in machine.disks:
            self.assertNotIn("backing-filename", image_info(Disk(disk.path.with_suffix(".one"))))


def machine_end(machine):
    """The last that a guest that is off can have counted: what its disks say."""
    return Testimony(ram=max(witness_count(disk) for disk in machine.disks))


if __name__ == "__main__":
    main()
