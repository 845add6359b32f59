# SPDX-License-Identifier: LGPL-2.1-or-later
"""Emulators that are absent, end at once, talk nonsense or stay silent: errors in words, and the service lives on."""

import shlex
import shutil

from support import BusTestCase, plain_xml
from vmsnaptest import MANAGER, BusError, JobFailed, PrivateBus, Service, TestCase, emulator, main

GOOD = 'exec {qemu} "$@"'
# What the service starts only to ask what it can do has no machine.
ONLY_ASKED = 'case "$*" in *"-machine none"*) exec {qemu} "$@";; esac\n'

# Another version by its own word, when it is only asked; killed like the shell that waits for it.
UPGRADED = ('case "$*" in *"-machine none"*) setpriv --pdeathsig KILL {qemu} "$@" |'
            ' sed -u \'s/"micro": [0-9]*/"micro": {micro}/\'; exit 0;; esac\nexec {qemu} "$@"')

BAD = {
    "ends-at-once": ("echo 'the flux capacitor is missing' >&2; exit 1", "Hypervisor", "the flux capacitor is missing"),
    "ends-without-a-word": ("exit 0", "Hypervisor", ""),
    "talks-nonsense": ("echo 'once upon a time'; exec sleep 600", "Hypervisor", ""),
    "talks-another-json": ("echo '{{\"hello\": 1}}'; exec sleep 600", "Hypervisor", ""),
    "stays-silent": ("exec sleep 600", "Timeout", ""),
    "is-killed": ("kill -9 $$", "Hypervisor", ""),
}


class Emulator:
    """An emulator that a test can turn into another one."""

    def __init__(self, path):
        self.path = path
        self.become(GOOD)

    def become(self, script):
        # A new file each time, as a package upgrade would do it.
        self.path.unlink(missing_ok=True)
        self.path.write_text("#!/bin/sh\n" + script.format(qemu=shlex.quote(str(emulator()))) + "\n", encoding="utf-8")
        self.path.chmod(0o755)


class BadEmulators(BusTestCase):

    def setUp(self):
        super().setUp()
        self.emulator = Emulator(self.make_directory() / "qemu")
        self.domain = self.define("machine", emulator=self.emulator.path)

    def assert_start_fails(self, error, *words):
        """The error may come as the reply or at the job's end; the domain is off, and the service there, after it."""
        try:
            self.client.run(self.domain, "Domain", "Start")
            self.fail("the guest started")
        except JobFailed as failed:
            name, message = failed.end.error, failed.end.message
        except BusError as failed:
            name, message = failed.name, failed.message
        self.assertEqual(name, error, message)
        for text in (str(self.emulator.path), *words):
            self.assertIn(text, message)
        self.assertEqual(self.client.get(self.domain, "Domain", "State"), "shutoff")
        self.assertEqual(self.client.call(MANAGER, "Manager", "GetDomainByName", "s", "machine"), self.domain)

    def assert_starts(self):
        self.client.run(self.domain, "Domain", "Start")
        self.assertEqual(self.client.get(self.domain, "Domain", "State"), "running")

    def test_absent_emulator_is_named(self):
        self.emulator.path.unlink()
        self.assert_start_fails("NotFound")
        self.emulator.become(GOOD)
        self.assert_starts()

    def test_emulator_without_leave_to_run_is_named(self):
        self.emulator.path.chmod(0o644)
        with self.assertRaises((JobFailed, BusError)) as caught:
            self.client.run(self.domain, "Domain", "Start")
        self.assertIn(str(self.emulator.path), str(caught.exception))
        self.assertEqual(self.client.get(self.domain, "Domain", "State"), "shutoff")

    def test_emulator_that_cannot_be_asked_is_told(self):
        for case, (script, error, words) in BAD.items():
            with self.subTest(case):
                self.emulator.become(script)
                self.assert_start_fails(error, words)
        self.emulator.become(GOOD)
        self.assert_starts()

    def test_emulator_that_fails_with_a_machine_is_told(self):
        for case in ("ends-at-once", "ends-without-a-word", "is-killed"):
            script, _, words = BAD[case]
            with self.subTest(case):
                self.emulator.become(ONLY_ASKED + script)
                with self.assertRaises((JobFailed, BusError)) as caught:
                    self.client.run(self.domain, "Domain", "Start")
                self.assertRegex(str(caught.exception), "Hypervisor|HypervisorGone")
                self.assertIn(words, str(caught.exception))
                self.assertEqual(self.client.get(self.domain, "Domain", "State"), "shutoff")
        self.emulator.become(GOOD)
        self.assert_starts()

    def test_start_of_a_silent_emulator_can_be_cancelled(self):
        self.emulator.become(ONLY_ASKED + "exec sleep 600")
        job = self.client.call(self.domain, "Domain", "Start")
        self.client.wait_property(job, "Job", "State", "running")
        self.client.call(job, "Job", "Cancel")
        self.assertEqual(self.client.end_of_job(job).state, "cancelled")
        self.assertEqual(self.client.get(self.domain, "Domain", "State"), "shutoff")
        self.emulator.become(GOOD)
        self.assert_starts()

    def test_service_ends_and_comes_back_while_an_emulator_is_silent(self):
        self.emulator.become(ONLY_ASKED + "exec sleep 600")
        job = self.client.call(self.domain, "Domain", "Start")
        self.client.wait_property(job, "Job", "Phase", lambda phase: phase)
        self.service.restart()
        with self.service.client() as client:
            client.wait_property(self.domain, "Domain", "State", "shutoff")
        self.assertEqual(self.service.guests(), [])

    def test_silent_emulator_holds_up_nobody_else(self):
        self.emulator.become(ONLY_ASKED + "exec sleep 600")
        job = self.client.call(self.domain, "Domain", "Start")
        other = self.define("other")
        self.client.run(other, "Domain", "Start")
        self.assertEqual(self.client.get(other, "Domain", "State"), "running")
        self.client.call(job, "Job", "Cancel")
        self.client.end_of_job(job)

    def test_definition_for_a_bad_emulator_is_refused_or_waits_for_a_good_one(self):
        self.emulator.path.unlink()
        try:
            path = self.client.call(MANAGER, "Manager", "DefineDomain", "s",
                                    plain_xml("early", emulator=self.emulator.path))
            self.addCleanup(self.forget, path)
        except BusError as error:
            self.assert_error(error, "NotFound", str(self.emulator.path))


class DefaultEmulator(TestCase):

    def test_emulator_may_be_given_by_its_name(self):
        service = self.enter(Service(self.enter(PrivateBus()), self.make_directory(), emulator="qemu-system-x86_64"))
        client = self.enter(service.client())
        self.assertEqual(client.get(MANAGER, "Manager", "HypervisorPath"), shutil.which("qemu-system-x86_64"))

    def test_upgrade_under_a_running_service_is_seen_at_the_next_use(self):
        program = Emulator(self.make_directory() / "qemu")
        service = self.enter(Service(self.enter(PrivateBus()), self.make_directory(), emulator=program.path))
        client = self.enter(service.client())
        path = client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("machine"))
        for micro, use in ((97, lambda: client.run(path, "Domain", "Start")),
                           (98, lambda: client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("another")))):
            program.become(UPGRADED.format(qemu="{qemu}", micro=micro))
            use()
            client.wait_signal("PropertiesChanged", lambda signal: signal.arguments[1].get(
                "HypervisorVersion", "").endswith(f".{micro}"))
            self.assertEqual(client.get(MANAGER, "Manager", "HypervisorVersion").rpartition(".")[2], str(micro))

    def test_emulator_that_is_installed_later_is_shown(self):
        program = Emulator(self.make_directory() / "qemu")
        program.path.unlink()
        service = self.enter(Service(self.enter(PrivateBus()), self.make_directory(), emulator=program.path))
        client = self.enter(service.client())
        self.assertEqual(client.get(MANAGER, "Manager", "HypervisorVersion"), "")
        program.become(GOOD)
        client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("machine"))
        client.wait_property(MANAGER, "Manager", "HypervisorVersion", lambda version: version != "")
        self.assertTrue(client.get(MANAGER, "Manager", "HypervisorFeatures"))

    def test_service_starts_without_any_emulator(self):
        bus = self.enter(PrivateBus())
        service = self.enter(Service(bus, self.make_directory(), emulator="/nonexistent/qemu"))
        client = self.enter(service.client())
        self.assertEqual(client.get(MANAGER, "Manager", "HypervisorVersion"), "")
        self.assertEqual(client.get(MANAGER, "Manager", "HypervisorFeatures"), [])
        self.assertEqual(client.get(MANAGER, "Manager", "HypervisorPath"), "/nonexistent/qemu")
        with self.assertRaises((BusError, JobFailed)) as caught:
            path = client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("machine"))
            client.run(path, "Domain", "Start")
        self.assertIn("/nonexistent/qemu", str(caught.exception))


if __name__ == "__main__":
    main()
