# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads small qcow2 and raw images, and the snapshots inside them, by itself: quicker than qemu-img for whoever looks
at dozens of them after every step, and without asking a program that is part of what is under test.

Whole images are held in memory. Neither compression nor encryption nor extended L2 entries are known; what can't be
read raises Unreadable.
"""

import dataclasses
import os
import pathlib
import struct

MAGIC = b"QFI\xfb"
BACKING_FORMAT = 0xe2792aca
EXTENSIONS_END = 0
# Incompatible features that change nothing for a reader: dirty reference counts.
HARMLESS = 1
OFFSET_MASK = 0x00fffffffffffe00
COMPRESSED = 1 << 62
ZERO = 1
# Of a version 2 header; version 3 tells its own.
HEADER_LENGTH = 72


class Unreadable(AssertionError):
    """The image isn't what it should be."""


@dataclasses.dataclass(frozen=True)
class Tag:
    """A snapshot inside an image."""

    number: str
    name: str
    table: int
    entries: int
    size: int
    state_size: int


class Image:
    """One file, without those below it. `format` is qcow2 or raw."""

    def __init__(self, path, image_format):
        self.path = pathlib.Path(path)
        self.format = image_format
        self.backing = None
        self.backing_format = None
        self.tags = []
        self._data = self.path.read_bytes()
        if image_format == "raw":
            self.size = len(self._data)
            return
        if self._data[:4] != MAGIC:
            raise Unreadable(f"{path} is no qcow2 image")
        self._read_header()
        self._read_tags()

    def _unpack(self, layout, offset):
        try:
            return struct.unpack_from(">" + layout, self._data, offset)
        except struct.error as error:
            raise Unreadable(f"{self.path}: {error} at {offset}") from None

    def _read_header(self):
        (version, backing_offset, backing_length, self._cluster_bits, self.size, encryption, self._entries,
         self._table) = self._unpack("IQIIQIIQ", 4)
        self._tag_count, self._tags_offset = self._unpack("IQ", 60)
        features, = self._unpack("Q", HEADER_LENGTH) if version > 2 else (0,)
        if encryption or features & ~HARMLESS:
            raise Unreadable(f"{self.path}: encryption {encryption}, features {features:#x}")
        self._cluster = 1 << self._cluster_bits
        self._per_table = self._cluster // 8
        if backing_offset:
            self.backing = os.fsdecode(self._data[backing_offset:backing_offset + backing_length])
            self._read_extensions(self._unpack("I", 100)[0] if version > 2 else HEADER_LENGTH)

    def _read_extensions(self, offset):
        while True:
            kind, length = self._unpack("II", offset)
            if kind == EXTENSIONS_END:
                return
            if kind == BACKING_FORMAT:
                self.backing_format = self._data[offset + 8:offset + 8 + length].decode()
            offset += 8 + (length + 7) // 8 * 8

    def _read_tags(self):
        offset = self._tags_offset
        for _ in range(self._tag_count):
            table, entries, id_length, name_length, _, _, _, state_size, extra = self._unpack("QIHHIIQII", offset)
            large, size = self._unpack("QQ", offset + 40) if extra >= 16 else (state_size, self.size)
            at = offset + 40 + extra
            number = self._data[at:at + id_length].decode()
            name = self._data[at + id_length:at + id_length + name_length].decode()
            self.tags.append(Tag(number, name, table, entries, size, large))
            offset = (at + id_length + name_length + 7) // 8 * 8

    def tag(self, name):
        """The one snapshot of this name."""
        found = [tag for tag in self.tags if tag.name == name]
        if len(found) != 1:
            raise Unreadable(f"{self.path} has {len(found)} snapshots called {name} among "
                             f"{[tag.name for tag in self.tags]}")
        return found[0]

    def _cluster_at(self, table, entries, index):
        """A cluster's bytes; None: not in this file."""
        upper, lower = divmod(index, self._per_table)
        second = self._unpack("Q", table + 8 * upper)[0] & OFFSET_MASK if upper < entries else 0
        if not second:
            return None
        entry, = self._unpack("Q", second + 8 * lower)
        if entry & COMPRESSED:
            raise Unreadable(f"{self.path}: cluster {index} is compressed")
        if entry & ZERO:
            return bytes(self._cluster)
        if not entry & OFFSET_MASK:
            return None
        start = entry & OFFSET_MASK
        return self._data[start:start + self._cluster].ljust(self._cluster, b"\0")

    def content(self, below, tag=None):
        """What a disk on this file holds, or held at a snapshot inside it; below: what the files below it hold."""
        if self.format == "raw":
            return self._data
        table, entries, size = (tag.table, tag.entries, tag.size) if tag else (self._table, self._entries, self.size)
        parts = []
        for index in range((size + self._cluster - 1) >> self._cluster_bits):
            part = self._cluster_at(table, entries, index)
            if part is None:
                start = index << self._cluster_bits
                part = below[start:start + self._cluster].ljust(self._cluster, b"\0")
            parts.append(part)
        return b"".join(parts)[:size]

    def machine_state(self, tag):
        """The memory and the devices that a snapshot inside it keeps: they lie behind the end of the disk."""
        shift = self._cluster_bits * 2 - 3
        first = ((self.size + (1 << shift) - 1) >> shift) << (shift - self._cluster_bits)
        count = (tag.state_size + self._cluster - 1) >> self._cluster_bits
        parts = [self._cluster_at(tag.table, tag.entries, first + index) for index in range(count)]
        return b"".join(part or bytes(self._cluster) for part in parts)[:tag.state_size]


class Files:
    """Images as they are now: each file is read once, and so is what a disk on it holds."""

    def __init__(self):
        self._images = {}
        self._contents = {}

    def chain(self, path, image_format):
        """The images of a disk, the active one first, as their headers say."""
        images = []
        while path is not None:
            key = str(path)
            image = self._images.get(key) or Image(path, image_format)
            self._images[key] = image
            if image in images:
                raise Unreadable(f"{path} is below itself")
            images.append(image)
            if image.backing and (image.backing_format is None or not os.path.isabs(image.backing)):
                raise Unreadable(f"{path} has the backing file {image.backing} of the format {image.backing_format}")
            path, image_format = image.backing, image.backing_format
        return images

    def content(self, images, tag_name=None):
        """What a disk on these images holds, or held at a snapshot inside the first."""
        below = b""
        for image in reversed(images[1:] if tag_name else images):
            if image.path not in self._contents:
                self._contents[image.path] = image.content(below)
            below = self._contents[image.path]
        return images[0].content(below, images[0].tag(tag_name)) if tag_name else below


def read_chain(path, image_format):
    """The images of a disk, the active one first."""
    return Files().chain(path, image_format)


def chain_content(images, tag_name=None):
    """What a disk on these images holds, or held at a snapshot inside the first."""
    return Files().content(images, tag_name)
