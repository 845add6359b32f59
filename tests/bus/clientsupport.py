# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the client library and of vmsnapctl share: the programs of the build tree on the test's bus."""

import os
import subprocess

from support import BusTestCase, plain_xml
from vmsnaptest import DEFAULT, continue_process, make_disk, paths, stop_process

# A screen, for pictures of it.
SCREEN = "<graphics type='vnc' socket='{socket}'/><video><model type='vga'/></video>"


class ClientTestCase(BusTestCase):
    """A service, and domains made through the contract alone, for a client to find."""

    def make_domain(self, name, **details):
        """A domain with one qcow2 disk; returns its path."""
        disk = make_disk(self.make_directory() / f"{name}.qcow2")
        return self.define(name, [disk], **details)

    def start_domain(self, name, **details):
        """The same, and its guest runs."""
        path = self.make_domain(name, **details)
        self.client.run(path, "Domain", "Start")
        return path

    def stopped_guest(self, name):
        """A running guest whose QEMU stands still until the end of the test, so that no job on it ends; its pid."""
        known = set(self.service.guests())
        self.start_domain(name)
        (pid,) = set(self.service.guests()) - known
        self.addCleanup(continue_process, pid)
        stop_process(pid)
        return pid

    def program_environment(self):
        """The variables that lead a program to this bus, and to the library of the build tree."""
        build = paths.build_directory().resolve()
        return {**os.environ, **self.bus.environment, "GI_TYPELIB_PATH": str(build / "introspection"),
                "LD_LIBRARY_PATH": str(build / "src/libvmsnap"), "LC_ALL": "C.UTF-8", "NO_AT_BRIDGE": "1",
                "G_DEBUG": "fatal-criticals"}

    def run_program(self, *command, timeout=DEFAULT, **more):
        """Runs a program to its end; it is killed if it doesn't come to one."""
        return subprocess.run([str(word) for word in command], stdin=more.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False,
                              env=self.program_environment(), **more)

    def write_xml(self, name, **details):
        """The definition of a domain in a file of its own; returns the file's path."""
        path = self.make_directory() / "domain.xml"
        path.write_text(plain_xml(name, **details), encoding="utf-8")
        return path
