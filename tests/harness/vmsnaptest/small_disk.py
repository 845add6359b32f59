# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk of a few MiB that is nowhere in the file system: who has its descriptor has it, and nothing is left of it.

It needs no namespace and no mount point, so it works in a chroot, too; but the right to mount.
"""

import contextlib
import ctypes
import os
import subprocess

# The same on every architecture: see linux/mount.h and asm-generic/unistd.h.
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
CLOEXEC = 1
SET_STRING, CREATE = 1, 6

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number, *arguments):
    """A system call that the C library has no function for."""
    result = _libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"system call {number}")
    return result


class SmallDisk:
    """An empty file system of this size in bytes, in memory."""

    def __init__(self, size):
        context = _call(FSOPEN, b"tmpfs", CLOEXEC)
        try:
            _call(FSCONFIG, context, SET_STRING, b"size", str(size).encode(), 0)
            _call(FSCONFIG, context, CREATE, None, None, 0)
            self.fd = _call(FSMOUNT, context, CLOEXEC, 0)
        finally:
            os.close(context)

    def close(self):
        os.close(self.fd)

    @property
    def path(self):
        """Its root, as others find it while it is open here."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def open(self, name):
        """A descriptor of a new file in it, which keeps the disk."""
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self.fd)


@contextlib.contextmanager
def loop_device(path, size):
    """A block device that is a file's; None where there is none to be had."""
    with open(path, "wb") as file:
        file.truncate(size)
    done = subprocess.run(["losetup", "--find", "--show", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False)
    if done.returncode != 0:
        yield None
        return
    try:
        yield done.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)
