# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of vmsnapctl share: the program on the test's bus, to its end or under way."""

import json
import subprocess

from clientsupport import ClientTestCase
from vmsnaptest import paths


class CtlTestCase(ClientTestCase):
    def ctl(self, *arguments, status=0, **more):
        """Runs vmsnapctl on the test's bus; its exit status must be the one given."""
        done = self.run_program(paths.built("src/vmsnapctl/vmsnapctl"), "--session", *arguments, **more)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        if status == 0:
            self.assertNotIn("vmsnapctl:", done.stderr)
        return done

    def ask(self, *arguments):
        """What it writes as JSON."""
        return json.loads(self.ctl(*arguments, "--json").stdout)

    def refused(self, says, *arguments, status=1, **more):
        """It fails, and says so on standard error alone."""
        done = self.ctl(*arguments, status=status, **more)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("vmsnapctl: "), done.stderr)
        self.assertIn(says, done.stderr)
        return done.stderr

    def begin(self, *arguments, **more):
        """Starts vmsnapctl, and waits until its job is under way; returns the program and the job's path."""
        seen = len(self.client.signals)
        environment = {**self.program_environment(), **more.pop("environment", {})}
        program = subprocess.Popen(
            [str(paths.built("src/vmsnapctl/vmsnapctl")), "--session", *arguments], stdin=subprocess.DEVNULL, text=True,
            env=environment, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more})
        self.addCleanup(lambda: program.poll() is None and program.kill())
        added = self.client.wait_signal("InterfacesAdded", lambda signal: "/jobs/" in signal.arguments[0], seen)
        return program, added.arguments[0]

    def read_until(self, file, words):
        text = ""
        while words not in text:
            line = file.readline()
            self.assertTrue(line, f"'{words}' was not said, but: {text}")
            text += line
        return text
