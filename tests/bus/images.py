# SPDX-License-Identifier: LGPL-2.1-or-later
"""Saved images without a guest, written as the contract tells them; what is behind the header is no state of any."""

import os
import struct

MAGIC_DONE = b"LibvirtQemudSave"
MAGIC_PART = b"LibvirtQemudPart"
HEADER_SIZE = 92
ENCODINGS = ("raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse")


def image_bytes(xml, *, magic=MAGIC_DONE, version=2, running=1, encoding=0, cookie=None, room=65536, state=b"QEVM" * 1024,
                data_length=None, cookie_offset=None):
    """An image like libvirt's; the last two are told wrong if given."""
    texts = xml.encode() + b"\0"
    if cookie is not None:
        if cookie_offset is None:
            cookie_offset = len(texts)
        texts += cookie.encode() + b"\0"
    texts += bytes(room)
    words = struct.pack("=5I", version, len(texts) if data_length is None else data_length, running, encoding,
                        cookie_offset or 0)
    return magic + words + bytes(14 * 4) + texts + state


def write_image(path, xml, **details):
    path.write_bytes(image_bytes(xml, **details))
    return path


def words(path):
    """version, data length, was running, encoding, cookie offset."""
    with open(path, "rb") as file:
        return struct.unpack("=5I", file.read(36)[16:])


class Descriptor:
    """A file that is open while this is entered."""

    def __init__(self, path, flags=os.O_RDONLY):
        self.path = path
        self.flags = flags
        self.fd = None

    def __enter__(self):
        self.fd = os.open(self.path, self.flags, 0o600)
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)
