# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disk images for guests, made and looked at with qemu-img."""

import dataclasses
import json
import os
import pathlib
import struct
import subprocess
import tempfile


@dataclasses.dataclass
class Disk:
    """A disk of a test guest: an image file and how the guest sees it."""

    path: pathlib.Path
    format: str = "qcow2"
    target: str = "vda"
    bus: str = "virtio"
    read_only: bool = False
    serial: str = ""

    def qemu_img(self, *arguments):
        return qemu_img(*arguments, self.path)


def qemu_img(*arguments):
    """Runs qemu-img; its output, or an exception with what it said."""
    command = ["qemu-img", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def make_disk(path, mib=64, image_format="qcow2", backing=None, **details):
    """Makes an empty image, and returns it as a Disk; `backing` is another Disk."""
    options = ["-b", backing.path, "-F", backing.format] if backing else []
    size = [] if backing else [f"{mib}M"]
    qemu_img("create", "-q", "-f", image_format, *options, path, *size)
    return Disk(pathlib.Path(path), image_format, **details)


def make_disks(directory, count=2, mib=64, image_format="qcow2"):
    """vda, vdb, …, each in a file of its own in the directory."""
    targets = ["vd" + "abcdefghijklmnopqrstuvwxyz"[i] for i in range(count)]
    return [make_disk(pathlib.Path(directory) / f"{target}.{image_format}", mib, image_format, target=target)
            for target in targets]


def make_data_disk(path, mib=64, **details):
    """A raw disk with the ext4 file system that the guest mounts and writes to."""
    with open(path, "wb") as image:
        image.truncate(mib * 1048576)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "data", path], check=True,
                   env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})
    return Disk(pathlib.Path(path), "raw", **details)


def image_info(disk):
    """What qemu-img tells of an image, also of one that a guest has open."""
    return json.loads(qemu_img("info", "-U", "--output=json", "-f", disk.format, disk.path))


def internal_snapshots(disk):
    """The names of the snapshots inside an image."""
    return [snapshot["name"] for snapshot in image_info(disk).get("snapshots", [])]


# Where tests/guest/disk.c keeps the witness's counts: a ring of blocks of 4 KiB at 1 MiB; in each a word, the run, the
# count.
WITNESS_BLOCK = 4096
WITNESS_PLACE = (1 << 20) // WITNESS_BLOCK
WITNESS_RING = 8


def witness_count(disk):
    """What the witness counted on a disk last, seen from outside, also while a guest has the file open."""
    with tempfile.NamedTemporaryFile() as ring:
        # Of qemu-img dd, `count` counts from the image's beginning.
        qemu_img("dd", "-U", "-f", disk.format, "-O", "raw", f"bs={WITNESS_BLOCK}", f"skip={WITNESS_PLACE}",
                 f"count={WITNESS_PLACE + WITNESS_RING}", f"if={disk.path}", f"of={ring.name}")
        data = pathlib.Path(ring.name).read_bytes()
    assert len(data) == WITNESS_RING * WITNESS_BLOCK, len(data)
    records = [struct.unpack_from("=8s24sQ", data, slot * WITNESS_BLOCK) for slot in range(WITNESS_RING)]
    assert all(magic == b"VMSNAPW1" for magic, _, _ in records), records
    return max(count for _, _, count in records)


def check_image(disk, leaks=False):
    """Fails if an image that nobody has open is damaged or leaks; raw images have nothing to check.

    leaks: space may be lost, as it is when QEMU is killed, but no data.
    """
    if disk.format == "raw":
        return
    if leaks:
        qemu_img("check", "-q", "-r", "leaks", "-f", disk.format, disk.path)
    qemu_img("check", "-q", "-f", disk.format, disk.path)
