# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots' records go to libvirt and come from it: what one of the two took, the other has on record, and reverts to.

Both have the same domain, with the same disks, and one of them at a time has a guest.
"""

import re
import xml.etree.ElementTree as ElementTree

from vmsnaptest import image_info, main

from test_virsh import PC, Q35, VirshCase


class SnapshotsCase(VirshCase):

    def both(self, **details):
        """A machine that is defined here and with libvirt."""
        machine = self.undefined_machine(**details)
        path = machine.directory / "domain.xml"
        path.write_text(machine.xml())
        self.virsh("define", path)
        self.addCleanup(self.forget_at_libvirt, machine)
        return machine.define()

    def forget_at_libvirt(self, machine):
        if machine.name in self.virsh("list", "--name").split():
            self.virsh("destroy", machine.name)
        self.virsh("undefine", machine.name, "--snapshots-metadata")

    def xml_of(self, machine, name):
        return self.client.call(machine.snapshot_path(name), "Snapshot", "GetXml")

    def give(self, machine, xml, *flags):
        """To libvirt, which compares it with its schema first."""
        path = machine.directory / "snapshot.xml"
        path.write_text(xml)
        self.virsh("snapshot-create", machine.name, path, "--redefine", "--validate", *flags)

    def libvirts_xml(self, machine, name):
        said = self.virsh("snapshot-dumpxml", machine.name, name)
        return said[said.index("<domainsnapshot"):]

    def take_over(self, machine, name, **options):
        """From libvirt."""
        return self.redefine(machine, self.libvirts_xml(machine, name), **options)

    def redefine(self, machine, xml, **options):
        return machine.run("CreateSnapshotFromXml", "s", xml, redefine=True, **options)["snapshot"]

    def libvirts_current(self, machine):
        return re.search("^Name: +(.*)$", self.virsh("snapshot-info", machine.name, "--current"), re.MULTILINE)[1]

    def libvirts_tree(self, machine):
        rows = self.virsh("snapshot-list", machine.name, "--parent").splitlines()
        return {words[0]: words[-1] if len(words) > 5 else None for words in map(str.split, rows)}


class ToLibvirt(SnapshotsCase):

    def test_it_takes_our_snapshots_of_a_domain_that_is_off(self):
        machine = self.both(machine=Q35)
        for name in ("root", "child"):
            machine.snapshot(name, description=f"words <&> for {name}")
            self.give(machine, self.xml_of(machine, name), "--current")
        self.assertEqual(self.libvirts_tree(machine), {"root": None, "child": "root"})
        self.assertEqual(self.libvirts_current(machine), "child")
        self.virsh("snapshot-revert", machine.name, "root")
        self.virsh("snapshot-delete", machine.name, "child")
        self.assertEqual(machine.tags(), [["root"], ["root"]])

    def test_it_takes_our_snapshots_of_a_guest(self):
        machine = self.both(machine=Q35).boot()
        machine.snapshot("one")
        ours = self.xml_of(machine, "one")
        machine.shut_off()
        self.give(machine, ours)
        said = ElementTree.fromstring(self.libvirts_xml(machine, "one"))
        self.assertEqual(said.findtext("state"), "running")
        self.assertEqual(said.find("memory").get("snapshot"), "internal")
        # And what it makes of that is that snapshot here, too.
        machine.delete("one", metadata_only=True)
        self.take_over(machine, "one")
        self.assertEqual(machine.snapshot_property("one", "CreationTime") // 10**6, int(said.findtext("creationTime")))

    def test_it_takes_our_overlays(self):
        machine = self.both(machine=Q35)
        machine.run("CreateSnapshot", "s", "one", disk_only=True)
        self.give(machine, self.xml_of(machine, "one"))
        self.assertEqual(self.libvirts_tree(machine), {"one": None})


class FromLibvirt(SnapshotsCase):

    def test_its_snapshots_of_a_domain_that_is_off(self):
        machine = self.both(machine=Q35)
        for name in ("root", "child"):
            self.virsh("snapshot-create-as", machine.name, name)
        self.virsh("snapshot-create", machine.name)
        unnamed = self.libvirts_current(machine)
        self.assertRegex(unnamed, "^[0-9]+$")
        for name in ("root", "child", unnamed):
            self.take_over(machine, name, current=name == unnamed)
        self.assertEqual(machine.tree(), {"root": None, "child": "root", unnamed: "child"})
        self.assertEqual(machine.current(), unnamed)
        for name in ("root", unnamed):
            machine.revert(name)
            self.assertEqual(machine.state[0], "shutoff")
        machine.delete(unnamed)
        self.assertEqual(machine.tags(), [["root", "child"]] * 2)

    def check_guest_comes_back(self, machine_type):
        machine = self.both(machine=machine_type)
        self.virsh("start", machine.name)
        machine.witness.wait_beyond(0).check()
        before = machine.witness.mark("taken")
        self.virsh("snapshot-create-as", machine.name, "one")
        machine.witness.close()
        self.virsh("destroy", machine.name)
        path = self.take_over(machine, "one", current=True)
        tags = [tag for disk in machine.disks for tag in image_info(disk)["snapshots"]]
        values = self.client.get_all(path, "Snapshot")
        self.assertEqual((values["State"], values["Memory"], values["Size"]),
                         ("running", "internal", max(tag["vm-state-size"] for tag in tags)))
        machine.revert("one")
        self.assertEqual(machine.state, ("running", "from-snapshot"))
        self.assert_runs_on(machine, before)

    def test_guest_of_a_q35_comes_back(self):
        self.check_guest_comes_back(Q35)

    def test_guest_of_a_pc_comes_back(self):
        self.check_guest_comes_back(PC)

    def test_its_overlays(self):
        machine = self.both(machine=Q35)
        self.virsh("snapshot-create-as", machine.name, "one", "--disk-only")
        path = self.take_over(machine, "one")
        self.assertEqual(self.client.get(path, "Snapshot", "Location"), "external")
        said = self.virsh("domblklist", machine.name)
        for disk in self.client.get(path, "Snapshot", "Disks"):
            self.assertIn(disk["path"], said)
        again = self.xml_of(machine, "one").replace("<name>one<", "<name>two<")
        self.assert_job_fails("InvalidArgument", ["one", "two"],
                              machine.call("CreateSnapshotFromXml", "s", again, redefine=True))


if __name__ == "__main__":
    main()
