# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of saved images share: a caller that opens the files and lends the service its descriptors.

No test case of its own; the test_save*.py beside it import it.
"""

import os
import pathlib
import struct
import subprocess
import tempfile

from vmsnaptest import MANAGER, SmallDisk, paths

from machines import ServiceCase

MAGIC_DONE = b"LibvirtQemudSave"
MAGIC_PART = b"LibvirtQemudPart"
# The numbers in the header.
ENCODINGS = {"raw": 0, "gzip": 1, "bzip2": 2, "xz": 3, "lzop": 4, "zstd": 5, "sparse": 6}


class Image:
    """A file for an image."""

    def __init__(self, path):
        self.path = path

    def magic(self):
        with open(self.path, "rb") as file:
            return file.read(16)

    def words(self):
        """version, data length, was running, encoding, cookie offset."""
        with open(self.path, "rb") as file:
            return struct.unpack("=5I", file.read(36)[16:])

    def is_complete(self):
        return self.magic() == MAGIC_DONE

    def stream_offset(self):
        return 92 + self.words()[1]

    def texts(self):
        """The definition and the cookie, as bytes without their ends."""
        _, length, _, _, cookie = self.words()
        with open(self.path, "rb") as file:
            data = file.read(92 + length)[92:]
        return data[:data.index(b"\0")], data[cookie:data.index(b"\0", cookie)] if cookie else b""

    def set_texts(self, xml, cookie):
        """Others, in the room that there is."""
        assert len(xml) + len(cookie) + 2 <= self.words()[1]
        self.patch(92, xml + b"\0" + cookie + b"\0")
        self.patch(32, struct.pack("=I", len(xml) + 1 if cookie else 0))

    def cached(self):
        """How many bytes of it are in the page cache."""
        done = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", self.path], stdout=subprocess.PIPE,
                              check=True)
        return int(done.stdout)

    def cut(self, size):
        os.truncate(self.path, size)

    def patch(self, offset, data):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)


# The slowest of the programs, on a machine that is busy.
SLOWEST = 240


def open_on_small_disk(size):
    """A descriptor of an empty file on a disk of this size in bytes."""
    disk = SmallDisk(size)
    try:
        return disk.open("image")
    finally:
        disk.close()


class SavingCase(ServiceCase):
    """Tests that save guests and bring them back."""

    @classmethod
    def class_guest(cls, name, **details):
        """The same running guest for all tests of the class, in which each leaves it so."""
        return cls.class_machine(name, **details).boot()

    def image(self, name="image"):
        return Image(self.folder() / name)

    def image_on_disk(self, name="image"):
        """Not in the temporary directory, which may be nothing but page cache itself."""
        folder = tempfile.TemporaryDirectory(prefix="vmsnap-test-", dir="/var/tmp")
        self.addCleanup(folder.cleanup)
        return Image(pathlib.Path(folder.name) / name)

    def ask_save(self, machine, image, **option_values):
        """Asks for it with a descriptor as any program would open it, and returns the job."""
        fd = os.open(image.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            return machine.call("Save", "h", 0, fds=[fd], **option_values)
        finally:
            os.close(fd)

    def save(self, machine, image, **option_values):
        return self.client.wait_job(self.ask_save(machine, image, **option_values), SLOWEST).result

    def ask_restore(self, image, **option_values):
        fd = os.open(image.path, os.O_RDONLY)
        try:
            return self.client.call(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd], **option_values)
        finally:
            os.close(fd)

    def restore(self, image, **option_values):
        return self.client.wait_job(self.ask_restore(image, **option_values)).result

    def booted(self, **details):
        """A new domain whose guest runs."""
        return self.machine(**details).boot()

    def assert_runs_on(self, machine, before):
        """It is the guest that it was, a little later: nothing of its memory or its disks is of another time."""
        after = machine.witness.wait_beyond(before.ram).check()
        self.assertEqual((after.run, after.mark), (before.run, before.mark))
        return after

    def assert_unharmed(self, machine, before):
        """It runs on after an operation that failed, and nothing is left of that."""
        self.assertEqual(machine.state[0], "running")
        self.assert_runs_on(machine, before)
        self.assert_nothing_left(machine)

    def assert_nothing_left(self, machine):
        self.assertEqual(machine.journals(), [])
        self.assertEqual(machine.get("Job"), "/")
        self.assertFalse(machine.get("HasManagedSave"))
        self.assertEqual(list(machine.store.glob("managed-save*")), [])

    def assert_given_up(self, image):
        """Nobody takes this for an image."""
        self.assertIn(image.magic(), (b"", MAGIC_PART))

    def assert_off_and_whole(self, machine):
        """Nothing of a guest is left, half or whole."""
        self.assertEqual(machine.get("State"), "shutoff")
        self.assertIsNone(machine.pid())
        self.assertFalse(machine.runtime.exists())
        self.assertEqual(machine.journals(), [])


def is_stock():
    """Whether this is the QEMU that knows no sparse images."""
    return paths.emulator() == paths.emulator("stock")
