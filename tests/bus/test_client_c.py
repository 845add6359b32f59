# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client library as C programs use it, against the real service: client-calls.c, on a bus with a domain."""

from clientsupport import SCREEN, ClientTestCase
from vmsnaptest import main, paths


class LibraryTest(ClientTestCase):
    def test_c_drives_a_domain(self):
        self.make_domain("c", devices=SCREEN.format(socket=self.make_directory() / "vnc"))
        done = self.run_program(paths.built("tests/bus/client-calls"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^1\.\.11$")


if __name__ == "__main__":
    main()
