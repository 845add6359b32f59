#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guests that virt-manager and virt-install make by default: they start, and go back to their snapshots.

Their definitions are those of the unit tests of QEMU's command line; only what is of this machine is changed: paths,
the network that isn't here, and the kernel that the witness comes with.
"""

import re
import uuid as uuid_module
import xml.etree.ElementTree as ElementTree

from vmsnaptest import MANAGER, SOURCE, firmware, guest, main, make_disk

from machines import Machine, ServiceCase, command_line

SAMPLES = SOURCE / "tests/unit/command-line"


class Sample(Machine):
    """A domain as virt-manager would define it."""

    sample = None
    graphics = None

    def xml(self, **changes):
        domain = ElementTree.parse(SAMPLES / f"{self.sample}.xml").getroot()
        devices = domain.find("devices")
        domain.find("name").text = self.name
        domain.find("uuid").text = self.uuid
        devices.remove(devices.find("emulator"))
        devices.find("disk/source").set("file", str(self.disks[0].path))
        self._adapt_os(domain.find("os"))
        self._adapt_devices(devices)
        return ElementTree.tostring(domain, encoding="unicode")

    def _adapt_os(self, system):
        files = guest()
        for tag in ("kernel", "initrd", "cmdline"):
            ElementTree.SubElement(system, tag).text = str(getattr(files, tag))
        if system.find("loader") is not None:
            code, variables = firmware()
            system.find("loader").text = str(code)
            system.find("nvram").text = str(self.directory / "vars.fd")
            system.find("nvram").set("template", str(variables))

    def _adapt_devices(self, devices):
        interface = devices.find("interface")
        interface.set("type", "user")
        if interface.find("source") is not None:
            interface.remove(interface.find("source"))
        channel = ElementTree.SubElement(devices, "channel", type="unix")
        ElementTree.SubElement(channel, "source", mode="bind", path=str(self.witness.path))
        ElementTree.SubElement(channel, "target", type="virtio", name="org.vmsnap.witness.0")
        if self.graphics == "vnc":
            self._without_spice(devices)

    @staticmethod
    def _without_spice(devices):
        """As virt-manager has it where QEMU has no SPICE."""
        graphics = devices.find("graphics")
        graphics.clear()
        graphics.set("type", "vnc")
        graphics.set("autoport", "yes")
        devices.find("audio").set("type", "none")
        for element in devices.findall("redirdev") + devices.findall("channel[@type='spicevmc']"):
            devices.remove(element)
        if devices.find("video/model").get("type") == "qxl":
            devices.find("video/model").attrib = {"type": "vga"}


class DesktopTest(ServiceCase):
    @property
    def has_spice(self):
        return "spice" in self.client.get(MANAGER, "Manager", "HypervisorFeatures")

    def sample(self, sample, graphics=None):
        name = f"{sample}-{uuid_module.uuid4().hex[:4]}"
        directory = self.directory / name
        directory.mkdir()
        machine = Sample(self.service, self.client, directory, name, [make_disk(directory / "vda.qcow2")])
        machine.sample = sample
        machine.graphics = graphics
        self._machines.append(machine)
        self.addCleanup(machine.discard)
        return machine.define(validate=True)

    def goes_back(self, machine):
        """In place, and by a QEMU started anew."""
        machine.boot()
        before = machine.witness.mark("before").check()
        machine.snapshot("one")
        after = machine.witness.get().check()
        machine.witness.wait_beyond(after.ram + 100)
        machine.witness.mark("later")
        machine.revert("one")
        back = machine.witness.get().check()
        self.assertEqual((back.run, back.mark), (before.run, "before"))
        machine.call("PowerOff")
        machine.wait_state("shutoff")
        machine.revert("one")
        machine.wait_state("running")
        back = machine.witness.get().check()
        self.assertEqual((back.run, back.mark), (before.run, "before"))
        machine.delete("one")
        return machine

    def goes_back_or_tells_what_is_missing(self, sample):
        machine = self.sample(sample)
        if self.has_spice:
            return self.goes_back(machine)
        self.assert_job_fails("NotSupported", [self.service.emulator, "qemu-system-modules-spice", "SPICE", "vnc"],
                              machine.call("Start"))
        self.assertEqual(machine.state[0], "shutoff")
        return None

    def test_q35_desktop_goes_back(self):
        self.goes_back_or_tells_what_is_missing("desktop-q35")

    def test_uefi_desktop_with_tpm_goes_back(self):
        self.goes_back_or_tells_what_is_missing("desktop-uefi")

    def test_old_pc_desktop_goes_back(self):
        self.goes_back_or_tells_what_is_missing("desktop-pc")

    def test_headless_server_goes_back(self):
        self.goes_back(self.sample("server-q35"))

    def test_desktops_with_vnc_go_back(self):
        for sample in ("desktop-q35", "desktop-pc"):
            with self.subTest(sample=sample):
                self.goes_back(self.sample(sample, "vnc"))

    def test_every_device_is_there(self):
        machine = self.sample("desktop-q35", None if self.has_spice else "vnc").start(paused=True)
        words = b"\n".join(command_line(machine.pid())).decode()
        expected = ["ich9-intel-hda,", "hda-duplex,", "virtio-vga,", "usb-tablet,", "virtio-balloon-pci,",
                    "virtio-rng-pci,", "qemu-xhci,"] + ["usb-redir,", "spicevmc,"] * self.has_spice
        for device in expected:
            self.assertRegex(words, rf"(?m)^{re.escape(device)}")


if __name__ == "__main__":
    main()
