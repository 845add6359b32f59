#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images that can't be restored: each is refused in words, no guest is left half started, the disks are untouched."""

import contextlib
import hashlib
import os
import shutil
import struct

from vmsnaptest import BusError, PrivateBus, Service, main, paths

from saving import ENCODINGS, MAGIC_PART, SavingCase, is_stock


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class BrokenImages(SavingCase):
    """One guest that is saved, and what may happen to its image."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guest = cls.class_machine("broken")

    def setUp(self):
        super().setUp()
        if not self.guest.is_there():
            self.guest.define()
        self.guest.shut_off().boot()
        self.before = self.guest.witness.mark("saved")

    def saved(self, **option_values):
        """An image of the guest, which is off then."""
        image = self.image()
        self.save(self.guest, image, **option_values)
        self.sums = [checksum(disk.path) for disk in self.guest.disks]
        return image

    def bring_back(self, image, **option_values):
        """The image is as it was at first, and so is what comes out of it."""
        self.restore(image, **option_values)
        self.assert_runs_on(self.guest, self.before)
        self.guest.shut_off()

    def assert_untouched(self):
        self.assertEqual([checksum(disk.path) for disk in self.guest.disks], self.sums)
        self.assertEqual(self.service.guests(), [])
        self.assertFalse(self.guest.runtime.exists())
        if self.guest.is_there():
            self.assert_off_and_whole(self.guest)
            self.assertEqual(self.guest.get("Job"), "/")
        else:
            self.assertEqual(list(self.guest.store.rglob("*")), [])

    def refuse(self, image, name, words, **option_values):
        """At once, before there is a job."""
        self.assert_bus_error(name, words, self.ask_restore, image, **option_values)
        self.assert_untouched()

    def fail_to_restore(self, image, name, words, **option_values):
        """Once its guest is to be loaded."""
        self.assert_job_fails(name, words, self.ask_restore(image, **option_values))
        self.assert_untouched()

    @contextlib.contextmanager
    def changed(self, image, offset, data):
        """For a moment other bytes are there."""
        with open(image.path, "rb") as file:
            file.seek(offset)
            old = file.read(len(data))
        image.patch(offset, data)
        try:
            yield
        finally:
            image.patch(offset, old)

    @contextlib.contextmanager
    def told(self, image, xml=None, cookie=None):
        """For a moment it tells something else."""
        old = image.texts()
        words = image.words()
        image.set_texts(old[0] if xml is None else xml, old[1] if cookie is None else cookie)
        try:
            yield
        finally:
            image.set_texts(*old)
        self.assertEqual(image.words(), words)

    def test_cut_anywhere_is_incomplete(self):
        image = self.saved(encoding="zstd")
        whole = image.path.read_bytes()
        start = image.stream_offset()
        xml, cookie = image.texts()
        at_cookie = 92 + image.words()[4]
        for size in (len(whole) - 1, len(whole) - 1000, (len(whole) + start) // 2, start + 1, start, start - 1,
                     at_cookie + len(cookie) // 2, at_cookie + 1, at_cookie, 92 + len(xml) // 2, 93, 92, 91, 36, 20, 16,
                     15, 1):
            image.cut(size)
            self.refuse(image, "ImageIncomplete", [])
        image.cut(0)
        self.refuse(image, "ImageCorrupt", "empty")
        image.path.write_bytes(whole)
        self.bring_back(image)

    def test_header_that_lies_is_refused_in_words(self):
        image = self.saved()
        size = image.path.stat().st_size
        length = image.words()[1]
        for offset, data, name, words in (
                (0, b"LibvirtQemudXXXX", "ImageCorrupt", "no saved image"),
                (0, bytes(16), "ImageCorrupt", "no saved image"),
                (0, MAGIC_PART, "ImageIncomplete", "never finished"),
                (16, struct.pack("=I", 1), "NotSupported", "version 1"),
                (16, struct.pack("=I", 3), "NotSupported", "version 3"),
                (16, struct.pack(">I", 2), "NotSupported", "byte order"),
                (20, struct.pack("=I", 0), "ImageCorrupt", "length"),
                (20, struct.pack("=I", 1), "ImageCorrupt", []),
                (20, struct.pack("=I", 0xffffffff), "ImageCorrupt", "length"),
                (20, struct.pack("=I", 0x80000000), "ImageCorrupt", "length"),
                (20, struct.pack("=I", 0xffffffff - 91), "ImageCorrupt", "length"),
                (28, struct.pack("=I", 7), "NotSupported", "encoding"),
                (28, struct.pack("=I", 0xffffffff), "NotSupported", "encoding"),
                (32, struct.pack("=I", length), "ImageCorrupt", "cookie"),
                (32, struct.pack("=I", 0xffffffff), "ImageCorrupt", "cookie"),
                (32, struct.pack("=I", 5), "ImageCorrupt", "has no end"),
                (92, bytes(1), "ImageCorrupt", "empty"),
                (92, b"\xff", "ImageCorrupt", "UTF-8")):
            with self.subTest(offset=offset, data=data), self.changed(image, offset, data):
                self.refuse(image, name, words)
        for encoding in ("gzip", "bzip2", "xz", "lzop", "zstd"):
            with self.subTest(encoding), self.changed(image, 28, struct.pack("=I", ENCODINGS[encoding])):
                self.fail_to_restore(image, "ImageCorrupt", encoding)
        if size - image.stream_offset() < 60 << 20:
            with self.changed(image, 20, struct.pack("=I", size)):
                self.refuse(image, "ImageIncomplete", [])
        self.bring_back(image)

    def test_texts_that_lie_are_refused_in_words(self):
        image = self.saved()
        xml, cookie = image.texts()
        for changes, name, words in (
                ({"xml": b"no XML"}, "ImageCorrupt", []),
                ({"xml": xml[:len(xml) // 2]}, "ImageCorrupt", []),
                ({"xml": b"<network/>"}, "ImageCorrupt", "domain"),
                ({"xml": b"<domain/>"}, "ImageCorrupt", "name"),
                ({"xml": xml.replace(b"</devices>", b"<warpdrive/></devices>")}, "NotSupported", "warpdrive"),
                ({"xml": xml.replace(b"x86_64", b"sparc64")}, "NotSupported", "sparc64"),
                ({"cookie": b"no XML"}, "ImageCorrupt", "cookie"),
                ({"cookie": cookie[:len(cookie) // 2]}, "ImageCorrupt", "cookie"),
                ({"cookie": b"<cookie>" * 5000}, "ImageCorrupt", "cookie")):
            with self.subTest(**changes), self.told(image, **changes):
                self.refuse(image, name, words)
        self.bring_back(image)

    def test_another_machine_is_refused_by_name(self):
        image = self.saved()
        xml, _ = image.texts()
        self.assertIn(b"pc-q35-", xml)
        other = self.guest.xml(memory_mib=128).encode()
        with self.told(image, xml=xml.replace(b"pc-q35-", b"pc-q99-")):
            self.fail_to_restore(image, "NotSupported", "pc-q99-")
        with self.told(image, xml=other):
            self.fail_to_restore(image, "ImageCorrupt", "QEMU can't load")
        with self.told(image, xml=xml.replace(b"pc-q35-", b"pc-i440fx-")):
            self.assertIn(self.client.end_of_job(self.ask_restore(image)).error, ("ImageCorrupt", "NotSupported"))
            self.assert_untouched()
        self.bring_back(image)

    def test_flipped_bytes_never_leave_half_a_guest(self):
        """A program notices; QEMU notices in its own words only, for it has no checksum of the pages."""
        image = self.saved()
        start, size = image.stream_offset(), image.path.stat().st_size
        for offset in (start, start + 4, start + 8):
            with self.changed(image, offset, b"\xa5\x5a\xa5\x5a"):
                self.fail_to_restore(image, "ImageCorrupt", [])
        for offset in (start + 20, start + 300, start + (size - start) // 2, size - 20000, size - 9000):
            with self.changed(image, offset, bytes(range(200))):
                end = self.client.end_of_job(self.ask_restore(image, paused=True))
                self.assertIn(end.error, ("", "ImageCorrupt"), end)
                self.guest.shut_off()
                self.assert_untouched()
        self.bring_back(image)

    def test_flipped_bytes_are_noticed_by_programs(self):
        for encoding in ("zstd", "lzop", "gzip"):
            self.guest.shut_off()
            self.guest.boot()
            self.before = self.guest.witness.mark("flipped")
            image = self.saved(encoding=encoding)
            start, size = image.stream_offset(), image.path.stat().st_size
            for offset in (start + 100, (start + size) // 2, size - 3000, size - 6):
                with self.subTest(encoding, offset=offset), self.changed(image, offset, b"\xa5\x5a\xa5\x5a\x00\xff"):
                    self.fail_to_restore(image, "ImageCorrupt", [])
            self.bring_back(image)

    def test_cut_stream_that_does_not_tell_its_length(self):
        """As other programs write it: QEMU or the program finds out, unless nothing is missing but QEMU's description of
        the devices, which comes last and isn't needed."""
        for encoding in ("raw", "zstd"):
            self.guest.shut_off()
            self.guest.boot()
            image = self.saved(encoding=encoding)
            image.patch(32, bytes(4))
            start, size = image.stream_offset(), image.path.stat().st_size
            for cut in (size - 150000, (start + size) // 2, start + 1000, start + 100):
                image.cut(cut)
                with self.subTest(encoding, cut=cut):
                    self.fail_to_restore(image, "ImageCorrupt", [])
            image.cut(start + 1)
            self.fail_to_restore(image, "ImageCorrupt", [])
            image.cut(start)
            self.refuse(image, "ImageIncomplete", [])

    def test_unknown_domain_is_not_left_behind(self):
        image = self.saved(encoding="zstd")
        start, size = image.stream_offset(), image.path.stat().st_size
        self.guest.call("Undefine")
        since = len(self.client.signals)
        with self.changed(image, (start + size) // 2, b"\xa5\x5a\xa5\x5a\x00\xff"):
            self.fail_to_restore(image, "ImageCorrupt", [])
            self.assertFalse(self.guest.is_there())
            with self.changed(image, 0, MAGIC_PART):
                self.refuse(image, "ImageIncomplete", "never finished")
        self.assertEqual(self.guest.events(since), [])
        self.restore(image)
        self.assertTrue(self.guest.get("Persistent"))
        self.assert_runs_on(self.guest, self.before)

    def test_start_never_boots_what_could_not_be_restored(self):
        image = self.saved(encoding="zstd")
        start, size = image.stream_offset(), image.path.stat().st_size
        self.guest.call("Undefine")
        with self.changed(image, (start + size) // 2, b"\xa5\x5a\xa5\x5a\x00\xff"):
            job = self.ask_restore(image)
            # Whether its guest is there yet, and so whether it is refused at once or when its turn comes, isn't known.
            try:
                self.assert_job_fails("InvalidState", "transient", self.guest.call("Start"))
            except BusError as error:
                self.assert_error(error.name, error.message, "InvalidState", "transient")
            self.assert_job_fails("ImageCorrupt", [], job)
        self.assertFalse(self.guest.is_there())
        self.assert_untouched()
        self.bring_back(image)

    def test_sparse_image(self):
        if is_stock():
            image = self.saved()
            with self.changed(image, 28, struct.pack("=I", ENCODINGS["sparse"])):
                self.fail_to_restore(image, "NotSupported", "9.0")
            return
        image = self.saved(encoding="sparse")
        start, size = image.stream_offset(), image.path.stat().st_size
        for option_values in ({}, {"bypass_cache": True}):
            for offset in (start + 4, start + 20):
                with self.changed(image, offset, b"\xa5\x5a\xa5\x5a"):
                    self.fail_to_restore(image, "ImageCorrupt", [], **option_values)
        tail = image.path.read_bytes()[-5000:]
        image.cut(size - 1)
        self.refuse(image, "ImageIncomplete", "shorter")
        image.cut(size - len(tail))
        image.patch(size - len(tail), tail)
        self.bring_back(image)


# Passes on so much of what it decodes, and then dies.
DYING = """#!/bin/sh
{real} "$@" | head -c {count}
echo "the sky is falling" >&2
{end}
"""


class Programs(SavingCase):
    """The program of the encoding isn't what it was."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.make_class_directory()
        cls.bus = cls.enter_class(PrivateBus())
        cls.programs = cls.directory / "bin"
        cls.programs.mkdir()
        for name in ("qemu-img", "swtpm", "gzip"):
            if shutil.which(name):
                (cls.programs / name).symlink_to(shutil.which(name))
        cls.program = cls.programs / "zstd"
        environment = {"PATH": str(cls.programs)}
        cls.service = cls.enter_class(Service(cls.bus, cls.directory, environment=environment))
        cls.client = cls.enter_class(cls.service.client())

    def use(self, text):
        self.program.unlink(missing_ok=True)
        self.program.write_text(text, encoding="utf-8")
        self.program.chmod(0o755)

    def test_missing_or_dying_program(self):
        real = shutil.which("zstd")
        machine = self.booted()
        before = machine.witness.mark("programs")
        image = self.image()
        self.assert_bus_error("NotSupported", "zstd", self.ask_save, machine, image, encoding="zstd")
        self.assert_unharmed(machine, before)
        self.use(f"#!/bin/sh\nexport PATH=/usr/bin:/bin\nhead -c 5000000\necho no more >&2\nexit 3\n")
        self.assert_job_fails("Io", ["zstd", "status 3", "no more"], self.ask_save(machine, image, encoding="zstd"))
        self.assert_given_up(image)
        self.assert_unharmed(machine, before)
        self.use(f"#!/bin/sh\nkill -9 $$\n")
        self.assert_job_fails("Io", ["zstd", "signal 9"], self.ask_save(machine, image, encoding="zstd"))
        self.assert_unharmed(machine, before)

        self.program.unlink()
        self.program.symlink_to(real)
        self.save(machine, image, encoding="zstd")
        self.program.unlink()
        self.assert_job_fails("NotSupported", "zstd", self.ask_restore(image))
        self.assert_off_and_whole(machine)
        path = "export PATH=/usr/bin:/bin\n"
        for count in (0, 100, 30000000):
            for end, words in (("exit 3", "status 3"), ("kill -9 $$", "signal 9")):
                text = DYING.format(real=real, count=count, end=end)
                self.use(text.replace("\n", "\n" + path, 1))
                with self.subTest(count=count, end=end):
                    self.assert_job_fails("ImageCorrupt", ["zstd", words], self.ask_restore(image))
                    self.assert_off_and_whole(machine)
        self.program.unlink()
        self.program.symlink_to(real)
        self.restore(image)
        self.assert_runs_on(machine, before)


if __name__ == "__main__":
    main()
