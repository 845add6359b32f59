#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""UEFI guests: which firmware they get, and that their variables, which no snapshot inside disks covers, go with it."""

import hashlib
import json
import os
import pathlib
import shutil
import xml.etree.ElementTree as ElementTree

from vmsnaptest import firmware, main, make_disks, paths, qemu_img, wait_until

from machines import ServiceCase

CODE, TEMPLATE = firmware()
BLOCK = 4096


def digest(path):
    """What a store holds, short enough for a message."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def scribble(path, byte):
    """Changes what is behind the variables of a store, as nobody but a test would; returns its digest then."""
    with open(path, "r+b") as file:
        file.seek(-BLOCK, os.SEEK_END)
        file.write(byte * BLOCK)
    return digest(path)


class UefiCase(ServiceCase):
    """Domains whose only disk is small; most are never let run, for QEMU reads and keeps the variables all the same."""

    def undefined_uefi(self, disks=None, **details):
        machine = self.undefined_machine(disks=disks or make_disks(self.folder(), 1, mib=8),
                                         **{"firmware": "efi", **details})
        machine.variables = machine.store / "nvram/VARS.fd"
        return machine

    def uefi(self, **details):
        return self.undefined_uefi(**details).define()

    def named_store(self, template=TEMPLATE, **attributes):
        """<loader> and <nvram> as a person writes them: the details for a machine, and the store's path."""
        path = self.folder() / "below" / "MY_VARS.fd"
        words = "".join(f" {name}='{value}'" for name, value in attributes.items())
        return path, {"firmware": None, "extra_os": f"<loader readonly='yes' type='pflash'>{CODE}</loader>"
                                                    f"<nvram template='{template}'{words}>{path}</nvram>"}

    def kept(self, machine):
        """{name: digest} of what is kept beside the domain's own variables."""
        folder = machine.store / "nvram"
        return {path.name: digest(path) for path in folder.glob("*") if path.name != "VARS.fd"}

    def assert_only(self, machine, name, data):
        """One snapshot's variables are kept, and they are these."""
        self.assertEqual(self.kept(machine), {f"snapshot-{name}.fd": data})

    def definition(self, machine):
        return ElementTree.fromstring(machine.call("GetXml", inactive=True)).find("os")


class Firmware(UefiCase):
    """What becomes of a definition, and when the variable store comes and goes."""

    def test_firmware_efi_becomes_definite(self):
        machine = self.uefi()
        system = self.definition(machine)
        self.assertEqual(system.get("firmware"), "efi")
        self.assertEqual((system.find("loader").text, system.find("loader").get("type")), (str(CODE), "pflash"))
        self.assertEqual((system.find("nvram").text, system.find("nvram").get("template")),
                         (str(machine.variables), str(TEMPLATE)))

    def test_secure_boot_gets_a_firmware_that_has_it(self):
        machine = self.uefi(extra_os="<firmware><feature enabled='yes' name='secure-boot'/></firmware>")
        code = self.definition(machine).find("loader").text
        descriptions = [json.loads(path.read_text()) for path in pathlib.Path("/usr/share/qemu/firmware").glob("*.json")]
        found = [each for each in descriptions if each["mapping"].get("executable", {}).get("filename") == code]
        self.assertTrue(found, code)
        for description in found:
            self.assertIn("secure-boot", description["features"])
        machine.start(paused=True)

    def test_loader_without_a_template_gets_the_one_that_belongs_to_it(self):
        machine = self.uefi(firmware=None, extra_os=f"<loader readonly='yes' type='pflash'>{CODE}</loader>")
        self.assertEqual(self.definition(machine).find("nvram").get("template"), str(TEMPLATE))
        machine.start(paused=True)
        self.assertEqual(digest(machine.variables), digest(TEMPLATE))

    def test_store_is_made_at_the_first_start_and_never_again(self):
        machine = self.uefi()
        self.assertFalse(machine.variables.exists())
        machine.start(paused=True)
        self.assertEqual(digest(machine.variables), digest(TEMPLATE))
        self.assertEqual(machine.variables.stat().st_mode & 0o777, 0o600)
        machine.shut_off()
        changed = scribble(machine.variables, b"1")
        machine.start(paused=True)
        self.assertEqual(digest(machine.variables), changed)

    def test_template_that_the_definition_names_is_taken(self):
        template = self.folder() / "template.fd"
        shutil.copy(TEMPLATE, template)
        changed = scribble(template, b"t")
        machine = self.uefi(extra_os=f"<nvram template='{template}'/>").start(paused=True)
        self.assertEqual(self.definition(machine).find("loader").text, str(CODE))
        self.assertEqual(digest(machine.variables), changed)

    def test_missing_template_is_named_and_nothing_is_left(self):
        path, details = self.named_store("/nonexistent/VARS.fd")
        machine = self.uefi(**details)
        self.assert_job_fails("NotFound", [machine.name, "/nonexistent/VARS.fd"], machine.call("Start"))
        self.assertEqual(machine.state[0], "shutoff")
        self.assertFalse(path.exists())

    def test_failed_start_leaves_no_store(self):
        kernel = self.folder() / "vmlinuz"
        kernel.write_bytes(b"")
        machine = self.undefined_uefi()
        machine.call_manager("DefineDomain", machine.xml().replace(str(paths.guest().kernel), str(kernel)))
        self.assert_job_fails("Hypervisor", [], machine.call("Start"))
        self.assertFalse(machine.variables.exists())
        # One that was there stays.
        machine.define().start(paused=True).shut_off()
        changed = scribble(machine.variables, b"s")
        machine.call_manager("DefineDomain", machine.xml().replace(str(paths.guest().kernel), str(kernel)))
        self.assert_job_fails("Hypervisor", [], machine.call("Start"))
        self.assertEqual(digest(machine.variables), changed)

    def test_undefine_takes_our_store_and_leaves_the_users(self):
        path, details = self.named_store()
        ours, users = self.uefi(), self.uefi(**details)
        for machine in (ours, users):
            machine.start(paused=True).shut_off()
        self.assertEqual(digest(path), digest(TEMPLATE))
        for machine in (ours, users):
            machine.snapshot("one")
            before = self.kept(machine)
            self.assertEqual(list(before), ["snapshot-one.fd"])
            self.assert_bus_error("HasSnapshots", "snapshots-metadata", machine.call, "Undefine")
            self.assertEqual(self.kept(machine), before)
            machine.call("Undefine", snapshots_metadata=True)
            self.assertFalse(machine.store.exists())
        self.assertEqual(digest(path), digest(TEMPLATE))


class Snapshots(UefiCase):
    """Kept with a snapshot, put back by a revert, gone with the snapshot."""

    def test_running_guest(self):
        machine = self.uefi().boot()
        before = machine.witness.mark("before").check()
        machine.snapshot("one")
        # The firmware has written its own by now.
        then = digest(machine.variables)
        self.assertNotEqual(then, digest(TEMPLATE))
        self.assert_only(machine, "one", then)

        pid = machine.pid()
        machine.witness.mark("after")
        scribble(machine.variables, b"2")
        machine.revert("one")
        self.assertEqual(machine.pid(), pid)
        self.assert_back(machine, before, then)

        machine.witness.mark("after")
        machine.shut_off()
        scribble(machine.variables, b"3")
        machine.revert("one")
        self.assert_back(machine, before, then)

        machine.delete("one")
        self.assertEqual(self.kept(machine), {})
        self.assertEqual(digest(machine.variables), then)

    def assert_back(self, machine, before, variables):
        back = machine.witness.get().check()
        self.assertEqual((back.run, back.mark), (before.run, before.mark))
        machine.witness.wait_beyond(back.ram).check()
        self.assertEqual(digest(machine.variables), variables)

    def test_what_the_firmware_wrote_later_is_gone(self):
        machine = self.uefi().start(paused=True)
        machine.snapshot("fresh")
        self.assert_only(machine, "fresh", digest(TEMPLATE))
        machine.call("Resume")
        wait_until(lambda: digest(machine.variables) != digest(TEMPLATE), "the firmware writes a variable")
        machine.revert("fresh")
        self.assertEqual(machine.state[0], "paused")
        self.assertEqual(digest(machine.variables), digest(TEMPLATE))

    def test_domain_that_is_off(self):
        for name, details in (("ours", {}), ("named", None)):
            with self.subTest(name):
                path, named = self.named_store()
                machine = self.uefi(**(named if details is None else details))
                store = path if details is None else machine.variables
                machine.start(paused=True).shut_off()
                then = scribble(store, b"a")
                machine.snapshot("off")
                self.assert_only(machine, "off", then)
                scribble(store, b"b")
                machine.revert("off")
                self.assertEqual(digest(store), then)
                # From a guest that has to end.
                scribble(store, b"c")
                machine.start(paused=True)
                machine.revert("off")
                self.assertEqual(machine.state[0], "shutoff")
                self.assertEqual(digest(store), then)
                # And when the store is lost.
                store.unlink()
                machine.revert("off")
                self.assertEqual(digest(store), then)
                self.assert_only(machine, "off", then)
                machine.delete("off")
                self.assertEqual(self.kept(machine), {})
                self.assertEqual(digest(store), then)

    def test_domain_that_was_never_started_begins_anew(self):
        machine = self.uefi()
        machine.snapshot("new")
        self.assertFalse(machine.variables.exists())
        machine.start(paused=True).shut_off()
        scribble(machine.variables, b"n")
        machine.revert("new")
        self.assertEqual(digest(machine.variables), digest(TEMPLATE))
        machine.start(paused=True)

    def test_each_snapshot_has_its_own(self):
        machine = self.uefi().start(paused=True)
        machine.shut_off()
        then = {}
        for name in ("VARS", "two words", "ü"):
            then[name] = scribble(machine.variables, name.encode()[-1:])
            machine.snapshot(name)
        for name, data in then.items():
            machine.revert(name)
            self.assertEqual(digest(machine.variables), data)
        machine.delete("two words")
        self.assertEqual(sorted(self.kept(machine)), ["snapshot-VARS.fd", "snapshot-ü.fd"])
        machine.revert("VARS")
        self.assertEqual(digest(machine.variables), then["VARS"])

    def test_external_ones_put_them_back(self):
        machine = self.uefi().start(paused=True).shut_off()
        then = scribble(machine.variables, b"t")
        machine.run("CreateSnapshot", "s", "one")
        for start in (False, True):
            if start:
                machine.start(paused=True)
            scribble(machine.variables, b"x")
            machine.revert("one")
            self.assertEqual((machine.state, digest(machine.variables)), (("shutoff", "from-snapshot"), then))
        scribble(machine.variables, b"y")
        machine.revert("one", paused=True)
        self.assertEqual((machine.state, digest(machine.variables)), (("paused", "from-snapshot"), then))
        machine.shut_off()
        present = scribble(machine.variables, b"z")
        lost = machine.store / "nvram/snapshot-one.fd"
        lost.unlink()
        self.assert_job_fails("NotFound", lost, machine.ask_revert("one"))
        self.assertEqual(digest(machine.variables), present)

    def test_failed_create_keeps_nothing(self):
        """The record can't be written: by then the variables were kept already."""
        machine = self.uefi()
        for state in ("shutoff", "paused"):
            with self.subTest(state):
                if state == "paused":
                    machine.start(paused=True)
                before = digest(machine.variables) if machine.variables.exists() else None
                folder = machine.store / "snapshots"
                if folder.exists():
                    folder.rmdir()
                folder.write_text("in the way")
                self.assert_job_fails("Io", folder, machine.ask_snapshot("one"))
                folder.unlink()
                self.assertEqual(self.kept(machine), {})
                self.assertEqual(machine.tags(), [[]])
                self.assertEqual(machine.state[0], state)
                self.assertEqual(digest(machine.variables) if machine.variables.exists() else None, before)
                self.assertEqual(machine.journals(), [])

    def test_failed_revert_leaves_the_present_variables(self):
        kernel = self.folder() / "vmlinuz"
        shutil.copy(paths.guest().kernel, kernel)
        machine = self.undefined_uefi()
        machine.call_manager("DefineDomain", machine.xml().replace(str(paths.guest().kernel), str(kernel)))
        machine.snapshot("off")
        kept = self.kept(machine)
        machine.define()
        kernel.write_bytes(b"")
        # There are none.
        self.assert_job_fails("Hypervisor", [], machine.ask_revert("off", running=True))
        self.assertFalse(machine.variables.exists())
        # There are others: of a domain that is off, and of a guest that has to come back.
        machine.start(paused=True).shut_off()
        present = scribble(machine.variables, b"p")
        self.assert_job_fails("Hypervisor", [], machine.ask_revert("off", running=True))
        self.assertEqual(digest(machine.variables), present)
        machine.start(paused=True)
        self.assert_job_fails("Hypervisor", [], machine.ask_revert("off", running=True))
        self.assertEqual(machine.state[0], "paused")
        self.assertEqual(digest(machine.variables), present)
        self.assertEqual(self.kept(machine), kept)
        self.assertEqual(machine.tags(), [["off"]])

    def test_lost_copy_is_named_before_anything_is_touched(self):
        machine = self.uefi().start(paused=True)
        machine.snapshot("one")
        lost = machine.store / "nvram/snapshot-one.fd"
        lost.unlink()
        present = scribble(machine.variables, b"l")
        pid = machine.pid()
        self.assert_job_fails("NotFound", lost, machine.ask_revert("one"))
        self.assertEqual((machine.pid(), machine.state[0]), (pid, "paused"))
        self.assertEqual(digest(machine.variables), present)

    def test_qcow2_store_is_for_domains_that_are_off(self):
        template = self.folder() / "template.qcow2"
        qemu_img("convert", "-O", "qcow2", TEMPLATE, template)
        path, details = self.named_store(template, format="qcow2")
        machine = self.uefi(**details).start(paused=True)
        self.assert_job_fails("NotSupported", [path, "qcow2"], machine.ask_snapshot("one"))
        self.assertEqual((machine.tags(), self.kept(machine)), ([[]], {}))
        machine.shut_off()
        then = digest(path)
        machine.snapshot("one")
        self.assert_only(machine, "one", then)
        path.write_bytes(b"")
        machine.revert("one")
        self.assertEqual(digest(path), then)


if __name__ == "__main__":
    main()
