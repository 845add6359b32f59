# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where things are: the source tree, the build tree, the emulators, the test guest."""

import functools
import os
import pathlib
import re
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[3]


def build_directory():
    """The meson build tree under test: $VMSNAP_BUILD (meson sets it for its tests), else _build in the sources."""
    return pathlib.Path(os.environ.get("VMSNAP_BUILD") or SOURCE / "_build")


def built(relative):
    """A file that the build must have made."""
    path = build_directory() / relative
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: build first, or set VMSNAP_BUILD")
    return path


def _output(command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


class Guest:
    """The test guest's files."""

    # Little output, for a serial port costs time under TCG. A kernel that gets a few ticks too little within its first
    # milliseconds takes the timer for broken and panics; here it only means that the machine is busy.
    cmdline = "console=ttyS0 quiet no_timer_check"

    def __init__(self, directory):
        self.kernel = pathlib.Path(directory) / "vmlinuz"
        self.initrd = pathlib.Path(directory) / "initramfs"


@functools.lru_cache(maxsize=None)
def guest():
    """The test guest, built if it is not in the cache."""
    return Guest(_output([SOURCE / "tests/guest/build"]))


@functools.lru_cache(maxsize=None)
def emulator(which=None):
    """An emulator's path: `stock`, `10`, or a path. By default $VMSNAP_TEST_QEMU says which, else it is the stock one."""
    which = which or os.environ.get("VMSNAP_TEST_QEMU") or "stock"
    if which == "10":
        return _output([SOURCE / "tests/guest/fetch-qemu10"])
    if which != "stock":
        return which
    found = shutil.which("qemu-system-x86_64")
    if not found:
        raise FileNotFoundError("qemu-system-x86_64 is not there: run tools/install-packages")
    return found


@functools.lru_cache(maxsize=None)
def emulator_version(path):
    """(major, minor, micro) of an emulator."""
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", _output([path, "--version"]))
    return tuple(int(part) for part in match.groups())


def firmware():
    """The UEFI code and the template of its variables: paths, both raw."""
    folder = pathlib.Path("/usr/share/OVMF")
    return folder / "OVMF_CODE_4M.fd", folder / "OVMF_VARS_4M.fd"
