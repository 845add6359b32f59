# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client library as other languages use it, through its introspection and its VAPI, against the real service."""

import re

from clientsupport import ClientTestCase
from support import plain_xml
from vmsnaptest import SOURCE, domain_path, main, make_disk, paths

UUID = "0c9d6f54-7c43-4a0c-9a53-3f7f7f2f0101"


class LanguageTest(ClientTestCase):
    def test_gjs_drives_a_domain(self):
        self.addCleanup(self.forget, domain_path(UUID))
        directory = self.make_directory()
        disk = make_disk(directory / "js.qcow2")
        definition = directory / "js.xml"
        definition.write_text(plain_xml("js", [disk], uuid=UUID), encoding="utf-8")
        done = self.run_program("gjs", "-m", SOURCE / "tests/bus/client.js", definition, UUID)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("not ok", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^1\.\.[1-9]")

    def check_example(self, name, *command):
        """The example takes a snapshot and reverts to it, tells so, and fails where it should."""
        path = self.start_domain(name)
        done = self.run_program(*command, "--session", name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, rf"(?m)^{name}: running, 0 snapshots$")
        self.assertRegex(done.stdout, r"(?m)^  .+: 100 ?%$")
        self.assertIn("Reverting to", done.stdout)
        snapshots = self.client.call(path, "Domain", "ListSnapshots")
        self.assertEqual(len(snapshots), 1)
        self.assertTrue(self.client.get(snapshots[0], "Snapshot", "IsCurrent"))
        self.assertEqual(self.client.get(path, "Domain", "StateReason"), "from-snapshot")

        done = self.run_program(*command, "--session", "no such domain")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertTrue(re.search("no such domain", done.stderr), done.stderr)

    def check_saving_example(self, name, *command):
        """The example saves a guest with its progress and restores it, and fails where it should."""
        path = self.start_domain(name)
        image = self.make_directory() / "image"
        done = self.run_program(*command, "--session", name, image)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^  [A-Z].*: [1-9]\d* of [1-9]\d* bytes$")
        self.assertRegex(done.stdout, rf"(?m)^{name}, gzip: [1-9]\d* bytes$")
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")
        self.assertEqual(self.client.get(path, "Domain", "StateReason"), "restored")
        self.assertTrue(image.stat().st_size)

        done = self.run_program(*command, "--session", name, self.make_directory())
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("directory", done.stderr)
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")

    def check_branching_example(self, name, *command):
        """The example takes external checkpoints, branches, and deletes what both branches stand on."""
        path = self.start_domain(name)
        done = self.run_program(*command, "--session", name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^  The guest stood still for \d+ ms$")
        self.assertIn("\nroot\n   left\n   right <- current\nDeleting root\n", done.stdout)
        self.assertTrue(done.stdout.endswith("\nleft\nright <- current\n"), done.stdout)
        left = [self.client.get(snapshot, "Snapshot", "Memory")
                for snapshot in self.client.call(path, "Domain", "ListSnapshots")]
        self.assertEqual(left, ["external", "external"])
        self.assertEqual(self.client.get(path, "Domain", "State"), "running")

        done = self.run_program(*command, "--session", "no such domain")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("no such domain", done.stderr)

    def test_branching_example_in_python(self):
        self.check_branching_example("py-b", "/usr/bin/python3", SOURCE / "introspection/examples/branch-and-delete.py")

    def test_branching_example_in_javascript(self):
        self.check_branching_example("js-b", "gjs", "-m", SOURCE / "introspection/examples/branch-and-delete.js")

    def test_branching_example_in_vala(self):
        self.check_branching_example("vala-b", paths.built("introspection/branch-and-delete"))

    def test_saving_example_in_python(self):
        self.check_saving_example("py", "/usr/bin/python3", SOURCE / "introspection/examples/save-and-restore.py")

    def test_saving_example_in_javascript(self):
        self.check_saving_example("gjs", "gjs", "-m", SOURCE / "introspection/examples/save-and-restore.js")

    def test_saving_example_in_vala(self):
        self.check_saving_example("vala-save", paths.built("introspection/save-and-restore"))

    def test_example_in_python(self):
        self.check_example("python", "/usr/bin/python3", SOURCE / "introspection/examples/take-and-revert.py")

    def test_example_in_javascript(self):
        self.check_example("javascript", "gjs", "-m", SOURCE / "introspection/examples/take-and-revert.js")

    def test_example_in_vala(self):
        self.check_example("vala", paths.built("introspection/take-and-revert"))


if __name__ == "__main__":
    main()
