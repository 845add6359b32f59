#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Saved images of libvirt's and of ours are one format: what one of the two saved, the other reads, and brings back.

libvirt runs the distribution's QEMU in any case; so with another one each guest of its is upgraded on its way to us.
"""

import os
import subprocess

from vmsnaptest import MANAGER, Libvirt, main

from saving import SavingCase

PC = "pc-i440fx-7.2"
Q35 = "pc-q35-7.2"
# What virt-install gives a guest, as far as there is no end of its own to that on this machine.
DESKTOP = """
  <controller type='usb' model='{usb}'/>
  <interface type='user'><mac address='52:54:00:6a:10:01'/><model type='virtio'/></interface>
  <input type='tablet' bus='usb'/>
  <graphics type='vnc'/>
  <video><model type='{video}'/></video>
  <watchdog model='i6300esb' action='none'/>
  <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
"""


class VirshCase(SavingCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.virsh = cls.enter_class(Libvirt(cls.directory / "v"))

    def guest_of_libvirt(self, machine, **details):
        """A guest that libvirt started, and we know nothing of."""
        guest = self.undefined_machine(machine=machine, **details)
        path = guest.directory / "domain.xml"
        path.write_text(guest.xml())
        self.virsh("create", path)
        guest.witness.wait_beyond(0).check()
        return guest

    def saved_by_libvirt(self, guest, *flags):
        """The image, and what the witness said before."""
        image = self.image()
        before = guest.witness.mark("saved")
        self.virsh("save", guest.name, image.path, *flags)
        guest.witness.close()
        return image, before

    def over_to_us(self, machine, **details):
        """A guest of libvirt's that runs here now, and what its witness said before: all its devices have addresses."""
        guest = self.guest_of_libvirt(machine, **details)
        image, before = self.saved_by_libvirt(guest)
        self.restore(image)
        self.assert_runs_on(guest, before)
        return guest, before

    def call(self, method, image, flags, **options):
        fd = os.open(image.path, flags)
        try:
            return self.client.call(MANAGER, "Manager", method, "h", 0, fds=[fd], **options)
        finally:
            os.close(fd)

    def inspect(self, image):
        return self.call("InspectImage", image, os.O_RDONLY)


class FromLibvirt(VirshCase):
    """What `virsh save` wrote."""

    def check_comes_over(self, machine, **details):
        guest = self.guest_of_libvirt(machine, **details)
        image, before = self.saved_by_libvirt(guest)
        shown = self.inspect(image)
        xml = shown.pop("xml")
        self.assertEqual(shown, {"format-version": 2, "complete": True, "state": "running", "encoding": "raw",
                                 "domain-name": guest.name, "domain-uuid": guest.uuid,
                                 "memory-size": image.path.stat().st_size - image.stream_offset()})
        self.assertIn(str(guest.disks[1].path), xml)
        self.assertEqual(self.restore(image)["domain"], guest.path)
        self.assertEqual(guest.state, ("running", "restored"))
        self.assertFalse(guest.get("Persistent"))
        self.assert_runs_on(guest, before)
        return guest

    def test_pc_with_what_libvirt_adds(self):
        self.check_comes_over(PC)

    def test_q35_with_what_libvirt_adds(self):
        self.check_comes_over(Q35)

    def test_pc_desktop(self):
        self.check_comes_over(PC, extra_devices=DESKTOP.format(usb="ich9-ehci1", video="vga"))

    def test_q35_desktop(self):
        self.check_comes_over(Q35, extra_devices=DESKTOP.format(usb="qemu-xhci", video="virtio"))

    def test_paused_guest_stays_paused(self):
        guest = self.guest_of_libvirt(PC)
        image, before = self.saved_by_libvirt(guest, "--paused")
        self.assertEqual(self.inspect(image)["state"], "paused")
        self.restore(image)
        self.assertEqual(guest.state, ("paused", "restored"))
        guest.call("Resume")
        self.assert_runs_on(guest, before)

    def test_definition_that_was_edited(self):
        guest = self.guest_of_libvirt(Q35)
        image, before = self.saved_by_libvirt(guest)
        xml = self.inspect(image)["xml"]
        self.assert_bus_error("InvalidArgument", "address", self.ask_restore, image,
                              xml=xml.replace("bus='0x03'", "bus='0x06'"))
        self.restore(image, xml=xml.replace("</name>", "</name><title>Moved</title>"))
        self.assertIn("<title>Moved</title>", guest.call("GetXml"))
        self.assert_runs_on(guest, before)

    def test_compressed_images(self):
        for encoding in ("gzip", "lzop"):
            with self.subTest(encoding):
                self.virsh.restart(save_image_format=encoding)
                self.addCleanup(self.virsh.restart)
                guest = self.guest_of_libvirt(Q35, name=f"compressed-{encoding}")
                image, before = self.saved_by_libvirt(guest)
                self.assertEqual(self.inspect(image)["encoding"], encoding)
                self.restore(image)
                self.assert_runs_on(guest, before)
                guest.shut_off()


class ToLibvirt(VirshCase):
    """What Save and RewriteImage wrote."""

    def libvirt_reads(self, image):
        said = self.virsh("save-image-dumpxml", image.path)
        return said[said.index("<domain"):]

    def test_tools_read_it(self):
        machine = self.booted(machine=Q35)
        for encoding in ("raw", "gzip"):
            with self.subTest(encoding):
                image = self.image(encoding)
                self.save(machine, image, encoding=encoding)
                self.assertIn(f"<uuid>{machine.uuid}</uuid>", self.libvirt_reads(image))
                said = subprocess.run(["file", "--brief", image.path], stdout=subprocess.PIPE, text=True,
                                      check=True).stdout
                self.assertIn("Libvirt QEMU Suspend Image, version 2", said)
                self.assertIn("running", said)
                self.restore(image)
        image = self.image("rewritten")
        self.save(machine, image)
        xml = self.inspect(image)["xml"].replace("</name>", "</name><title>Rewritten</title>")
        self.call("RewriteImage", image, os.O_RDWR, xml=xml)
        self.assertIn("<title>Rewritten</title>", self.libvirt_reads(image))

    def test_what_libvirt_rewrote_comes_back_to_us(self):
        guest, before = self.over_to_us(Q35)
        image = self.image()
        self.save(guest, image)
        path = self.folder() / "domain.xml"
        path.write_text(self.libvirt_reads(image).replace("</name>", "</name><title>Theirs</title>"))
        self.virsh("save-image-define", image.path, path, "--paused")
        self.assertEqual(self.inspect(image)["state"], "paused")
        self.restore(image, running=True)
        self.assertIn("<title>Theirs</title>", guest.call("GetXml"))
        self.assert_runs_on(guest, before)

    def check_goes_back(self, machine, **details):
        guest, before = self.over_to_us(machine, **details)
        image = self.image()
        self.save(guest, image)
        self.virsh("restore", image.path)
        self.assert_runs_on(guest, before)
        self.virsh("destroy", guest.name)

    def test_pc_desktop_goes_back(self):
        self.check_goes_back(PC, extra_devices=DESKTOP.format(usb="ich9-ehci1", video="vga"))

    def test_q35_desktop_goes_back(self):
        self.check_goes_back(Q35, extra_devices=DESKTOP.format(usb="qemu-xhci", video="virtio"))


if __name__ == "__main__":
    main()
