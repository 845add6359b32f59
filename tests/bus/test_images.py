#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manager: saved images are inspected and rewritten, and broken ones are told in words."""

import os
import socket
import threading
import uuid as uuid_module

from gi.repository import Gio, GLib

from images import ENCODINGS, MAGIC_PART, Descriptor, image_bytes, words, write_image
from support import BusTestCase, plain_xml
from vmsnaptest import MANAGER, BusError, Disk, main

UUID = "0000bbbb-0000-4000-8000-000000000001"
STATE = 4096


class ImageCase(BusTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.path = self.directory / "image"
        self.xml = plain_xml("saved", [Disk("/somewhere/disk.qcow2")], uuid=UUID)

    def write(self, xml=None, **details):
        return write_image(self.path, xml or self.xml, **details)

    def inspect(self, flags=os.O_RDONLY):
        with Descriptor(self.path, flags) as fd:
            return self.client.call(MANAGER, "Manager", "InspectImage", "h", 0, fds=[fd])

    def rewrite(self, flags=os.O_RDWR, **options):
        with Descriptor(self.path, flags) as fd:
            return self.client.call(MANAGER, "Manager", "RewriteImage", "h", 0, fds=[fd], **options)

    def assert_fails(self, name, call, *arguments, says=None, **options):
        with self.assertRaises(BusError) as caught:
            call(*arguments, **options)
        self.assert_error(caught.exception, name, says)


class Inspect(ImageCase):

    def test_tells_what_the_image_says(self):
        self.write(cookie="<cookie/>")
        with Descriptor(self.path) as fd:
            reply = self.client.connection.call_with_unix_fd_list_sync(
                "org.vmsnap.VmSnap1", MANAGER, "org.vmsnap.VmSnap1.Manager", "InspectImage",
                GLib.Variant("(ha{sv})", (0, {})), None, 0, -1, self.fd_list(fd), None)[0]
        values = reply.get_child_value(0)
        shown = {key: values.lookup_value(key, None) for key in values.keys()}
        self.assertEqual({key: value.get_type_string() for key, value in shown.items()},
                         {"format-version": "u", "complete": "b", "state": "s", "encoding": "s", "domain-name": "s",
                          "domain-uuid": "s", "xml": "s", "memory-size": "t"})
        self.assertEqual({key: value.unpack() for key, value in shown.items()},
                         {"format-version": 2, "complete": True, "state": "running", "encoding": "raw",
                          "domain-name": "saved", "domain-uuid": UUID, "xml": self.xml, "memory-size": STATE})

    @staticmethod
    def fd_list(fd):
        fds = Gio.UnixFDList.new()
        fds.append(fd)
        return fds

    def test_image_of_a_paused_guest_says_so(self):
        self.write(running=0)
        self.assertEqual(self.inspect()["state"], "paused")

    def test_every_encoding_is_named(self):
        for number, name in enumerate(ENCODINGS):
            self.write(encoding=number)
            self.assertEqual(self.inspect()["encoding"], name)

    def test_unfinished_image_is_inspected_all_the_same(self):
        self.write(magic=MAGIC_PART)
        shown = self.inspect()
        self.assertFalse(shown["complete"])
        self.assertEqual(shown["domain-name"], "saved")

    def test_image_without_a_state_is_not_complete(self):
        self.write(state=b"")
        shown = self.inspect()
        self.assertEqual((shown["complete"], shown["memory-size"]), (False, 0))

    def test_image_of_what_can_not_be_run_here_is_inspected(self):
        self.write(self.xml.replace("<devices>", "<devices><hostdev mode='subsystem' type='pci'/>"))
        self.assertEqual(self.inspect()["domain-uuid"], UUID)
        with Descriptor(self.path) as fd:
            self.assert_refused("NotSupported", MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd], says="hostdev")

    def test_offset_of_the_descriptor_does_not_matter_and_stays(self):
        self.write()
        with Descriptor(self.path) as fd:
            os.lseek(fd, 1234, os.SEEK_SET)
            self.assertEqual(self.client.call(MANAGER, "Manager", "InspectImage", "h", 0, fds=[fd])["domain-uuid"], UUID)
            self.assertEqual(os.lseek(fd, 0, os.SEEK_CUR), 1234)

    def test_broken_images_are_told_apart(self):
        whole = image_bytes(self.xml)
        cases = {
            "empty": (b"", "ImageCorrupt"),
            "other file": (b"#!/bin/sh\n" * 100, "ImageCorrupt"),
            "first bytes": (whole[:20], "ImageIncomplete"),
            "half the definition": (whole[:200], "ImageIncomplete"),
            "version 1": (image_bytes(self.xml, version=1), "NotSupported"),
            "version 3": (image_bytes(self.xml, version=3), "NotSupported"),
            "other byte order": (image_bytes(self.xml, version=2 << 24), "NotSupported"),
            "encoding 7": (image_bytes(self.xml, encoding=7), "NotSupported"),
            "no data": (image_bytes(self.xml, data_length=0), "ImageCorrupt"),
            "4 GiB of data": (image_bytes(self.xml, data_length=0xffffffff), "ImageCorrupt"),
            "data past the end": (image_bytes(self.xml, data_length=1 << 20), "ImageIncomplete"),
            "cookie past the end": (image_bytes(self.xml, cookie_offset=0xfffffff0), "ImageCorrupt"),
            "no XML": (image_bytes("hello"), "ImageCorrupt"),
            "other XML": (image_bytes("<network/>"), "ImageCorrupt"),
            "empty definition": (image_bytes(""), "ImageCorrupt"),
            "no uuid": (image_bytes(plain_xml("saved", uuid="")), "ImageCorrupt"),
            "broken cookie": (image_bytes(self.xml, cookie="<cookie>"), "ImageCorrupt"),
        }
        for what, (data, name) in cases.items():
            with self.subTest(what):
                self.path.write_bytes(data)
                self.assert_fails(name, self.inspect)
                self.assert_fails(name, self.rewrite, paused=True)
                self.assertEqual(self.path.read_bytes(), data)

    def test_what_is_no_file_is_refused_in_words(self):
        reading, writing = os.pipe()
        ours, theirs = socket.socketpair()
        directory = os.open(self.directory, os.O_RDONLY)
        self.write()
        only_path, only_writing = os.open(self.path, os.O_PATH), os.open(self.path, os.O_WRONLY)
        null = os.open(os.devnull, os.O_RDWR)
        with ours, theirs:
            for fd, word in ((reading, "pipe"), (ours.fileno(), "socket"), (directory, "directory"),
                             (only_path, "O_PATH"), (only_writing, "can't be read"), (null, "neither a regular file")):
                for method in ("InspectImage", "RewriteImage", "RestoreDomain"):
                    with self.subTest(f"{method} {word}"):
                        self.assert_refused("InvalidArgument", MANAGER, "Manager", method, "h", 0, fds=[fd], says=word)
        for fd in (reading, writing, directory, only_path, only_writing, null):
            os.close(fd)

    def test_call_without_a_descriptor_is_refused(self):
        for method in ("InspectImage", "RewriteImage", "RestoreDomain"):
            self.assert_refused("InvalidArgument", MANAGER, "Manager", method, "h", 0, says="carries none")


class Rewrite(ImageCase):

    def setUp(self):
        super().setUp()
        self.write(cookie="<cookie/>")

    def assert_unchanged(self, before):
        self.assertEqual(self.path.read_bytes(), before)

    def test_state_is_changed_and_nothing_else(self):
        before = self.path.read_bytes()
        for options, running in (({"paused": True}, 0), ({"running": True}, 1), ({"running": True}, 1), ({}, 1),
                                 ({"paused": True, "running": False}, 0), ({"paused": False}, 0)):
            with self.subTest(options):
                self.rewrite(**options)
                self.assertEqual(words(self.path)[2], running)
        self.assertEqual(self.inspect()["state"], "paused")
        self.rewrite(running=True)
        self.assert_unchanged(before)

    def test_machine_without_a_version_keeps_the_saved_one(self):
        self.write(self.xml.replace("machine='pc'", "machine='pc-i440fx-7.2'"))
        self.rewrite(xml=self.xml.replace("/somewhere", "/elsewhere"))
        shown = self.inspect()["xml"]
        self.assertIn("/elsewhere/", shown)
        self.assertRegex(shown, "machine=.pc-i440fx-7.2.")
        self.assert_fails("InvalidArgument", self.rewrite, xml=self.xml.replace("'pc'", "'q35'"), says="machine type")

    def test_definition_without_a_uuid_keeps_the_saved_one(self):
        self.rewrite(xml=self.xml.replace(f"<uuid>{UUID}</uuid>", "").replace("/somewhere", "/elsewhere"))
        shown = self.inspect()
        self.assertEqual(shown["domain-uuid"], UUID)
        self.assertIn("/elsewhere/", shown["xml"])

    def test_definition_is_changed_and_the_state_of_the_guest_stays(self):
        self.rewrite(xml=self.xml.replace("/somewhere/disk.qcow2", "/elsewhere/a-much-longer-name.qcow2"), paused=True)
        shown = self.inspect()
        self.assertIn("/elsewhere/a-much-longer-name.qcow2", shown["xml"])
        self.assertNotIn("/somewhere", shown["xml"])
        self.assertEqual((shown["state"], shown["complete"], shown["memory-size"]), ("paused", True, STATE))
        self.assertEqual(self.path.read_bytes()[-STATE:], b"QEVM" * (STATE // 4))

    def test_definition_may_be_written_back_again_and_again(self):
        for number in range(5):
            self.rewrite(xml=self.inspect()["xml"].replace("/somewhere", f"/somewhere/{number}"))
        self.assertIn("/somewhere/4/3/2/1/0/disk.qcow2", self.inspect()["xml"])

    def test_what_the_guest_sees_can_not_be_changed(self):
        before = self.path.read_bytes()
        other = str(uuid_module.uuid4())
        for old, new, word in ((">64<", ">65<", "memory"), (UUID, other, "uuid"), ("<vcpu>1", "<vcpu>2", "processors"),
                               ("bus='virtio'", "bus='ide'", "vda"), ("machine='pc'", "machine='q35'", "machine")):
            with self.subTest(word):
                self.assert_fails("InvalidArgument", self.rewrite, xml=self.xml.replace(old, new), says=word)
                self.assert_unchanged(before)

    def test_what_is_no_definition_is_refused(self):
        before = self.path.read_bytes()
        for xml in ("", "hello", "<domain", "<network/>", self.xml.replace("<devices>", "<devices><hostdev/>")):
            self.assert_fails("InvalidXml", self.rewrite, xml=xml)
        self.assert_unchanged(before)

    def test_definition_without_room_is_refused(self):
        self.write(room=100)
        before = self.path.read_bytes()
        long = self.xml.replace("<devices>", f"<description>{'x' * 1000}</description><devices>")
        self.assert_fails("NoSpace", self.rewrite, xml=long, says="room")
        self.assert_unchanged(before)

    def test_exclusive_options_are_refused_together(self):
        before = self.path.read_bytes()
        self.assert_fails("InvalidArgument", self.rewrite, running=True, paused=True, says=["'running'", "'paused'"])
        self.assert_unchanged(before)

    def test_unfinished_image_is_not_rewritten(self):
        self.write(magic=MAGIC_PART)
        before = self.path.read_bytes()
        self.assert_fails("ImageIncomplete", self.rewrite, running=True, says="saved")
        self.assert_unchanged(before)

    def test_descriptor_that_can_not_be_written_is_refused(self):
        self.assert_fails("InvalidArgument", self.rewrite, os.O_RDONLY, paused=True, says="can't be written")

    def test_descriptor_that_appends_is_written_where_it_should(self):
        self.rewrite(os.O_RDWR | os.O_APPEND, paused=True)
        self.assertEqual(self.inspect()["state"], "paused")

    def test_state_in_an_image_of_what_can_not_be_run_here_is_changed(self):
        xml = self.xml.replace("<devices>", "<devices><hostdev mode='subsystem' type='pci'/>")
        self.write(xml)
        self.rewrite(paused=True)
        self.assertEqual((self.inspect()["state"], self.inspect()["xml"]), ("paused", xml))
        self.assert_fails("NotSupported", self.rewrite, xml=self.xml, says="hostdev")

    def test_calls_at_the_same_time_leave_a_whole_image(self):
        """Each either says what it wrote, or that somebody else was there."""
        ends = []

        def change(number):
            with self.service.client() as client, Descriptor(self.path, os.O_RDWR) as fd:
                try:
                    client.call(MANAGER, "Manager", "RewriteImage", "h", 0, fds=[fd],
                                xml=self.xml.replace("/somewhere", f"/place-{number}"))
                    ends.append(None)
                except BusError as error:
                    ends.append(error.name)

        threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(ends), 8)
        self.assertIn(None, ends)
        self.assertLessEqual(set(ends), {None, "Busy"})
        self.assertRegex(self.inspect()["xml"], "/place-[0-7]/disk.qcow2")


if __name__ == "__main__":
    main()
