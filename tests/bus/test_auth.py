# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what: on a private system bus with the real polkitd and our policy, and on a session bus.

Runs as root, for polkitd and the unprivileged callers (the user nobody).
"""

import os
import pathlib
import pwd
import shutil
import subprocess
import uuid as uuid_module

from gi.repository import Gio, GLib

import contract
from agent import AskedCall
from images import Descriptor, words, write_image
from support import plain_xml
from vmsnaptest import (MANAGER, BusError, Disk, PrivateBus, Service, TestCase, built, call_as, continue_process,
                        domain_path, main, make_disk, snapshot_path, stop_process, wait_until)

DAEMON = pwd.getpwnam("daemon").pw_uid
NOBODY = pwd.getpwnam("nobody").pw_uid
ACTIONS = "org.vmsnap.VmSnap1."
GRANTED = "0000aaaa-0000-4000-8000-000000000001"
REFUSED = "0000aaaa-0000-4000-8000-000000000002"

# Nobody may do everything with one domain, nothing with any other, and gets no question; root may do everything.
ONE_DOMAIN = """
polkit.addRule(function (action, subject) {
  if (action.id.indexOf("org.vmsnap.VmSnap1.") != 0 || action.id == "org.vmsnap.VmSnap1.domain.read")
    return polkit.Result.NOT_HANDLED;
  if (subject.user == "root" || action.lookup("domain-name") == "granted")
    return polkit.Result.YES;
  return polkit.Result.NO;
});
"""

# What polkit was told, as the only way to see it: a rule that grants exactly this.
BY_DETAILS = """
polkit.addRule(function (action, subject) {
  if (subject.user == "root")
    return polkit.Result.YES;
  if (action.id == "org.vmsnap.VmSnap1.snapshot.create" && action.lookup("operation") == "snapshot-create" &&
      action.lookup("domain-uuid") == "%s" && action.lookup("snapshot") == "allowed")
    return polkit.Result.YES;
  if (action.id == "org.vmsnap.VmSnap1.domain.define" && action.lookup("domain-name") == "mine")
    return polkit.Result.YES;
  return polkit.Result.NO;
});
""" % GRANTED

ROOT_ONLY = """
polkit.addRule(function (action, subject) {
  return subject.user == "root" ? polkit.Result.YES : polkit.Result.NOT_HANDLED;
});
"""


class SystemCase(TestCase):
    """A service on a private system bus; root defines two domains."""

    rules = None
    polkit = True

    @classmethod
    def setUpClass(cls):
        cls.bus = cls.enter_class(PrivateBus("system", [built("data/org.vmsnap.VmSnap1.conf")]))
        if cls.polkit:
            cls.bus.start_polkit([built("polkit/org.vmsnap.VmSnap1.policy")], {"10-test.rules": cls.rules})
        cls.directory = cls.make_class_directory()
        cls.service = cls.enter_class(Service(cls.bus, cls.directory))

    def setUp(self):
        self.client = self.enter(self.service.client())

    def call_as_nobody(self, *arguments, **options):
        return call_as(NOBODY, self.bus.address, *arguments, **options)

    def assert_refused(self, name, *arguments, says=(), **options):
        with self.assertRaises(BusError) as caught:
            self.call_as_nobody(*arguments, **options)
        self.assertEqual(caught.exception.name, name, caught.exception.message)
        for words in says:
            self.assertIn(words, caught.exception.message)


class WithDomains(SystemCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.service.client() as client:
            for name, uuid in (("granted", GRANTED), ("refused", REFUSED)):
                disk = make_disk(cls.directory / f"{name}.qcow2", 8)
                path = client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml(name, [disk], uuid=uuid))
                client.run(path, "Domain", "CreateSnapshot", "s", "one", location="internal")
        cls.granted, cls.refused = domain_path(GRANTED), domain_path(REFUSED)


class OneDomainGranted(WithDomains):
    rules = ONE_DOMAIN

    def test_rule_grants_one_domain_and_not_another(self):
        job = self.call_as_nobody(self.granted, "Domain", "CreateSnapshot", "s", "two", location="internal")[0]
        self.assertIn(job, self.client.objects())
        self.assert_refused("NotAuthorized", self.refused, "Domain", "CreateSnapshot", "s", "two", location="internal",
                            says=["'refused'", ACTIONS + "snapshot.create"])
        self.assertNotIn(snapshot_path(self.refused, "two"), self.client.objects())

    def test_every_gated_method_is_refused(self):
        """Each method of a domain, its snapshot and another's job, but those that only read."""
        job = self.client.call(self.refused, "Domain", "CreateSnapshot", "s", "", location="internal")
        self.client.wait_job(job)
        paths = {"Domain": self.refused, "Snapshot": snapshot_path(self.refused, "one"), "Job": job}
        arguments = {"CreateSnapshotFromXml": ("s", "<domainsnapshot><name>x</name></domainsnapshot>"),
                     "CreateSnapshot": ("s", "x")}
        reading = {"GetXml", "GetSnapshot", "ListSnapshots"}
        for method in contract.methods():
            # A descriptor in a call is the business of Save, which the caller here can't make.
            if method.interface == "Manager" or method.name in reading or method.signature == "h":
                continue
            with self.subTest(f"{method.interface}.{method.name}"):
                self.assert_refused("NotAuthorized", paths[method.interface], method.interface, method.name,
                                    *arguments.get(method.name, ()), says=["'refused'"])

    def test_everybody_may_read(self):
        self.assertEqual(self.call_as_nobody(MANAGER, "Manager", "GetDomainByName", "s", "refused"), (self.refused,))
        self.assertIn("<name>refused</name>", self.call_as_nobody(self.refused, "Domain", "GetXml")[0])
        self.assertTrue(self.call_as_nobody(self.refused, "Domain", "ListSnapshots")[0])

    def test_arguments_are_checked_before_authorization(self):
        self.assert_refused("InvalidArgument", self.refused, "Domain", "Start", colour="red", says=["'colour'"])

    def test_snapshot_of_a_granted_domain_may_be_reverted(self):
        job = self.call_as_nobody(snapshot_path(self.granted, "one"), "Snapshot", "Revert")[0]
        self.client.wait_job(job)
        self.assert_refused("NotAuthorized", snapshot_path(self.refused, "one"), "Snapshot", "Revert")

    def test_job_tells_whose_it_is_and_its_owner_needs_no_action(self):
        job = self.call_as_nobody(self.granted, "Domain", "CreateSnapshot", "s", "", location="internal")[0]
        self.assertEqual(self.client.get(job, "Job", "CallerUid"), NOBODY)
        self.client.wait_property(job, "Job", "State", "completed")
        self.call_as_nobody(job, "Job", "Dismiss")
        self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == job)


class Details(WithDomains):
    rules = BY_DETAILS

    def test_rules_see_operation_uuid_and_snapshot(self):
        self.call_as_nobody(self.granted, "Domain", "CreateSnapshot", "s", "allowed", location="internal")
        for path, name in ((self.granted, "another"), (self.refused, "allowed")):
            self.assert_refused("NotAuthorized", path, "Domain", "CreateSnapshot", "s", name, location="internal")

    def test_rules_see_the_name_in_a_new_definition(self):
        path = self.call_as_nobody(MANAGER, "Manager", "DefineDomain", "s", plain_xml("mine"))[0]
        self.client.call(path, "Domain", "Undefine")
        self.assert_refused("NotAuthorized", MANAGER, "Manager", "DefineDomain", "s", plain_xml("not-mine"),
                            says=["'not-mine'"])

    def test_granted_name_does_not_take_over_anothers_domain(self):
        uuid = str(uuid_module.uuid4())
        path = self.client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("theirs", uuid=uuid))
        self.assert_refused("NotAuthorized", MANAGER, "Manager", "DefineDomain", "s", plain_xml("mine", uuid=uuid),
                            says=["'theirs'"])
        self.assertEqual(self.client.get(path, "Domain", "Name"), "theirs")

    def test_own_domain_does_not_get_a_name_that_was_not_granted(self):
        uuid = str(uuid_module.uuid4())
        path = self.call_as_nobody(MANAGER, "Manager", "DefineDomain", "s", plain_xml("mine", uuid=uuid))[0]
        self.addCleanup(self.client.call, path, "Domain", "Undefine")
        self.assert_refused("NotAuthorized", MANAGER, "Manager", "DefineDomain", "s", plain_xml("theirs", uuid=uuid),
                            says=["'theirs'"])
        self.assertEqual(self.client.get(path, "Domain", "Name"), "mine")


SNAPSHOTS_ONLY = """
polkit.addRule(function (action, subject) {
  if (subject.user == "root" || action.id == "org.vmsnap.VmSnap1.snapshot.create")
    return polkit.Result.YES;
  if (action.id == "org.vmsnap.VmSnap1.domain.control" && action.lookup("operation") == "power-off" &&
      action.lookup("domain-name") == "granted")
    return polkit.Result.YES;
  return polkit.Result.NO;
});
"""


class SnapshotsOnly(WithDomains):
    """Nobody may take snapshots of all domains, and power one of them off."""
    rules = SNAPSHOTS_ONLY

    def create(self, path, **options):
        return self.call_as_nobody(path, "Domain", "CreateSnapshot", "s", "", **options)

    def assert_takes(self, action, path, **options):
        self.assert_refused("NotAuthorized", path, "Domain", "CreateSnapshot", "s", "", **options,
                            says=[ACTIONS + action])

    def test_halt_takes_the_right_to_power_off_too(self):
        self.client.wait_job(self.create(self.refused, location="internal")[0])
        self.assert_takes("domain.control", self.refused, location="internal", halt=True)
        self.client.wait_job(self.create(self.granted, location="internal", halt=True)[0])

    def test_paths_take_the_right_to_define_too(self):
        self.assert_takes("domain.define", self.granted, **{"memory-path": "/etc/memory"})
        self.assert_takes("domain.define", self.granted, disks={"vda": {"path": GLib.Variant("s", "/etc/overlay")}})
        self.assert_takes("domain.define", self.granted, **{"reuse-external": True})
        text = ("<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='/etc/overlay'/></disk>"
                "</disks></domainsnapshot>")
        self.assert_refused("NotAuthorized", self.granted, "Domain", "CreateSnapshotFromXml", "s", text,
                            says=[ACTIONS + "domain.define"])

    def test_redefining_takes_the_right_to_define_too(self):
        self.assert_refused("NotAuthorized", self.granted, "Domain", "CreateSnapshotFromXml", "s",
                            "<domainsnapshot><name>x</name></domainsnapshot>", redefine=True,
                            says=[ACTIONS + "domain.define"])


class Defaults(WithDomains):
    """Our policy alone, for everybody but root."""
    rules = ROOT_ONLY

    def test_challenge_without_leave_to_ask_is_can_obtain(self):
        self.assert_refused("NotAuthorizedCanObtain", self.refused, "Domain", "Start",
                            says=["'refused'", "domain.control"])

    def test_challenge_that_nobody_can_answer_is_refused(self):
        self.assert_refused("NotAuthorizedCanObtain", self.refused, "Domain", "Start", interactive=True)

    def ask(self, path, answer="wait", **options):
        return self.enter(AskedCall(self.bus.address, NOBODY, path, "Domain", "Start", answer=answer, **options))

    def assert_ends_with(self, name, call):
        with self.assertRaises(BusError) as caught:
            call.finish()
        self.assertEqual(caught.exception.name, name, caught.exception.message)

    def test_dismissed_question_is_told_apart(self):
        call = self.ask(self.refused, "dismiss")
        self.assert_ends_with("NotAuthorizedDismissed", call)
        self.assertEqual(len(call.questions), 1)

    def test_question_names_action_and_domain(self):
        call = self.ask(self.refused, "dismiss")
        self.assert_ends_with("NotAuthorizedDismissed", call)
        self.assertEqual(call.questions[0].action, ACTIONS + "domain.control")
        self.assertIn("'refused'", call.questions[0].message)

    def test_without_leave_to_ask_nobody_is_asked(self):
        call = self.ask(self.refused, interactive=False)
        self.assert_ends_with("NotAuthorizedCanObtain", call)
        self.assertEqual(call.questions, [])

    def test_right_answer_lets_the_call_go_on(self):
        xml = plain_xml("answered", [Disk("/nonexistent/disk")])
        path = self.client.call(MANAGER, "Manager", "DefineDomain", "s", xml)
        call = self.ask(path)
        call.wait_question()
        call.grant()
        try:
            job = call.finish()[0]
        except BusError as error:
            self.assertEqual(error.name, "NotFound", error.message)
        else:
            self.assertEqual(self.client.end_of_job(job).error, "NotFound")

    def test_objects_are_looked_up_again_after_the_answer(self):
        path = self.client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("vanishing"))
        call = self.ask(path)
        call.wait_question()
        self.client.call(path, "Domain", "Undefine")
        call.grant()
        self.assert_ends_with("NotFound", call)

    def test_service_serves_others_while_somebody_is_asked(self):
        call = self.ask(self.refused)
        call.wait_question()
        self.assertEqual(self.client.call(MANAGER, "Manager", "GetDomainByName", "s", "granted"), self.granted)
        call.dismiss()
        self.assert_ends_with("NotAuthorizedDismissed", call)

    def test_caller_that_goes_while_asked_harms_nothing(self):
        call = self.ask(self.refused)
        call.wait_question()
        call.end_caller()
        self.assertEqual(self.client.get(self.refused, "Domain", "State"), "shutoff")
        self.assertEqual(self.client.call(MANAGER, "Manager", "GetDomainByName", "s", "granted"), self.granted)


class PolkitAbsent(SystemCase):
    polkit = False

    def test_everything_is_refused_with_words(self):
        for arguments in ((MANAGER, "Manager", "GetDomainByName", "s", "x"),
                          (MANAGER, "Manager", "DefineDomain", "s", plain_xml("x"))):
            self.assert_refused("NotAuthorized", *arguments, says=["polkit"])

    def test_even_root_is_refused(self):
        with self.assertRaises(BusError) as caught:
            self.client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("x"))
        self.assertEqual(caught.exception.name, "NotAuthorized")
        self.assertEqual([path for path in self.client.objects() if "/domains/" in path], [])

    def test_polkit_that_comes_back_is_asked(self):
        self.bus.start_polkit([built("polkit/org.vmsnap.VmSnap1.policy")], {"10-test.rules": ROOT_ONLY})
        self.addCleanup(self.bus.stop_polkit)
        self.assert_refused("NotFound", MANAGER, "Manager", "GetDomainByName", "s", "x")
        self.bus.stop_polkit()
        self.assert_refused("NotAuthorized", MANAGER, "Manager", "GetDomainByName", "s", "x")


class PolkitHangs(SystemCase):
    rules = ROOT_ONLY

    def test_polkit_that_does_not_answer_is_not_waited_for_for_ever(self):
        self.assert_refused("NotFound", MANAGER, "Manager", "GetDomainByName", "s", "x")
        pid = self.client.connection.call_sync(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
            GLib.Variant("(s)", ("org.freedesktop.PolicyKit1",)), None, Gio.DBusCallFlags.NONE, -1, None).unpack()[0]
        self.addCleanup(continue_process, pid)
        stop_process(pid)
        self.assert_refused("NotAuthorized", MANAGER, "Manager", "GetDomainByName", "s", "x", says=["too long"])


READING = """
polkit.addRule(function (action, subject) {
  if (action.id == "org.vmsnap.VmSnap1.domain.read" && action.lookup("domain-name") == "%s")
    return polkit.Result.NO;
  return polkit.Result.YES;
});
"""


BY_IMAGE = """
polkit.addRule(function (action, subject) {
  if (subject.user == "root")
    return polkit.Result.YES;
  if (action.id == "org.vmsnap.VmSnap1.image.restore" && action.lookup("domain-name") == "granted" &&
      action.lookup("domain-uuid") == "%s" && action.lookup("operation") == "rewrite-image")
    return polkit.Result.YES;
  if (action.id == "org.vmsnap.VmSnap1.domain.read" && action.lookup("domain-name") == "hidden")
    return polkit.Result.NO;
  return action.id == "org.vmsnap.VmSnap1.domain.read" ? polkit.Result.NOT_HANDLED : polkit.Result.NO;
});
""" % GRANTED


class Images(SystemCase):
    """Polkit is told whose image it is, of domains that aren't defined here, too."""
    rules = BY_IMAGE

    def ask(self, method, saved, **options):
        path = write_image(self.make_directory() / "image", saved)
        with Descriptor(path, os.O_RDWR) as fd:
            reply = self.call_as_nobody(MANAGER, "Manager", method, "h", 0, fds=[fd], **options)
            return reply[0] if reply else words(path)

    def assert_refused_image(self, method, saved, says, **options):
        path = write_image(self.make_directory() / "image", saved)
        before = path.read_bytes()
        with Descriptor(path, os.O_RDWR) as fd:
            self.assert_refused("NotAuthorized", MANAGER, "Manager", method, "h", 0, fds=[fd], says=says, **options)
        self.assertEqual(path.read_bytes(), before)

    def test_rule_grants_the_rewriting_of_one_domains_images(self):
        xml = plain_xml("granted", uuid=GRANTED)
        self.assertEqual(self.ask("RewriteImage", xml, paused=True)[2], 0)
        self.assert_refused_image("RewriteImage", plain_xml("granted", uuid=REFUSED), ["image.restore"], paused=True)
        self.assert_refused_image("RewriteImage", plain_xml("other", uuid=GRANTED), ["'other'"], paused=True)
        self.assert_refused_image("RestoreDomain", xml, ["'granted'", "image.restore"])

    def test_name_that_is_written_into_an_image_is_asked_about_too(self):
        xml = plain_xml("granted", uuid=GRANTED)
        self.assert_refused_image("RewriteImage", xml, ["'other'"], xml=xml.replace(">granted<", ">other<"))

    def test_name_that_the_domain_has_here_counts(self):
        path = self.client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("theirs", uuid=GRANTED))
        self.addCleanup(self.client.call, path, "Domain", "Undefine")
        self.assert_refused_image("RewriteImage", plain_xml("granted", uuid=GRANTED), ["'theirs'"], paused=True)

    def test_everybody_may_inspect_unless_a_rule_hides_the_domain(self):
        self.assertEqual(self.ask("InspectImage", plain_xml("other", uuid=REFUSED))["domain-name"], "other")
        self.assert_refused_image("InspectImage", plain_xml("hidden", uuid=REFUSED), ["'hidden'"])


# Without it an image is libvirt's, whose guest has more than its definition says.
OUR_COOKIE = ("<cookie><vmsnap:domain xmlns:vmsnap='https://vmsnap.org/xmlns/save/1' persistent='yes' mark='m'/>"
              "</cookie>")

RESTORING = """
polkit.addRule(function (action, subject) {
  if (subject.user == "root" || action.id == "org.vmsnap.VmSnap1.image.restore")
    return polkit.Result.YES;
  if (action.id == "org.vmsnap.VmSnap1.domain.define" && action.lookup("domain-name") == "granted" &&
      action.lookup("domain-uuid") == "%s")
    return polkit.Result.YES;
  return polkit.Result.NO;
});
""" % GRANTED


class Restoring(SystemCase):
    """Nobody may restore any image, and define one domain."""
    rules = RESTORING

    def define(self, name, uuid, **details):
        """A domain; returns its path, and its definition as the service keeps it."""
        path = self.client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml(name, uuid=uuid, **details))
        self.addCleanup(self.client.call, path, "Domain", "Undefine")
        return path, self.client.call(path, "Domain", "GetXml")

    def restore(self, saved, **options):
        """Nobody restores such an image, which holds no guest's state: past the authorization a job fails."""
        with Descriptor(write_image(self.make_directory() / "image", saved, cookie=OUR_COOKIE)) as fd:
            job = self.call_as_nobody(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd], **options)[0]
        return self.client.end_of_job(job)

    def assert_takes_define(self, name, saved, **options):
        with Descriptor(write_image(self.make_directory() / "image", saved, cookie=OUR_COOKIE)) as fd:
            self.assert_refused("NotAuthorized", MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd], **options,
                                says=[f"'{name}'", ACTIONS + "domain.define"])
        self.assertEqual(self.service.guests(), [])

    def test_unknown_domain_takes_the_right_to_define_too(self):
        self.assert_takes_define("unknown", plain_xml("unknown", uuid=REFUSED))
        self.assertNotIn(domain_path(REFUSED), self.client.objects())

    def test_rules_see_name_and_uuid_of_an_unknown_domain(self):
        self.assertEqual(self.restore(plain_xml("granted", uuid=GRANTED)).state, "failed")
        self.assert_takes_define("granted", plain_xml("granted", uuid=REFUSED))
        self.assert_takes_define("other", plain_xml("other", uuid=GRANTED))

    def test_domains_own_definition_takes_nothing_more(self):
        _path, xml = self.define("own", REFUSED)
        self.assertEqual(self.restore(xml).state, "failed")

    def test_another_definition_of_a_known_domain_takes_the_right_to_define(self):
        _path, xml = self.define("own", REFUSED)
        self.assert_takes_define("own", xml.replace("<vcpu", "<title>Mine</title><vcpu"))
        self.assert_takes_define("own", plain_xml("own", uuid=REFUSED, emulator="/tmp/mine"))

    def test_given_definition_takes_the_right_to_define(self):
        _path, xml = self.define("own", REFUSED)
        self.assert_takes_define("own", xml, xml=xml)

    def test_guest_that_was_saved_here_is_restored_by_the_one_right(self):
        path, _xml = self.define("saved", REFUSED)
        self.client.run(path, "Domain", "Start")
        image = self.make_directory() / "image"
        with Descriptor(image, os.O_RDWR | os.O_CREAT) as fd:
            self.client.wait_job(self.client.call(path, "Domain", "Save", "h", 0, fds=[fd]))
            job = self.call_as_nobody(MANAGER, "Manager", "RestoreDomain", "h", 0, fds=[fd])[0]
        self.client.wait_job(job)
        self.client.call(path, "Domain", "PowerOff")


class RememberedAnswers(WithDomains):
    """A yes to reading holds until polkit says that something has changed."""
    hidden = "none"
    rules = READING % hidden

    def setUp(self):
        super().setUp()
        self.nobody = self.client_of_nobody()
        self.set_rules("none")

    def client_of_nobody(self):
        """A connection that stays, for it is a connection that polkit's answers are remembered of. To root itself polkit
        never says no."""
        os.seteuid(NOBODY)
        try:
            return self.enter(self.service.client())
        finally:
            os.seteuid(0)

    def polkit_hides(self, name):
        """What polkit itself says now. It announces new rules before it answers by them."""
        caller = ("system-bus-name", {"name": GLib.Variant("s", self.nobody.connection.get_unique_name())})
        question = (caller, ACTIONS + "domain.read", {"domain-name": name}, 0, "")
        reply = self.client.connection.call_sync(
            "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
            "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization",
            GLib.Variant("((sa{sv})sa{ss}us)", question), None, Gio.DBusCallFlags.NONE, -1, None)
        return not reply.unpack()[0][0]

    def set_rules(self, hidden):
        """Hides one domain and no other, and waits until polkit obeys that."""
        if hidden == type(self).hidden:
            return
        type(self).hidden = hidden
        # Something must wake the wait.
        subscription = self.client.connection.signal_subscribe(
            "org.freedesktop.PolicyKit1", "org.freedesktop.PolicyKit1.Authority", "Changed", None, None,
            Gio.DBusSignalFlags.NONE, lambda *_: None)
        self.bus.polkit.set_rule("10-test.rules", READING % hidden)
        wait_until(lambda: all(self.polkit_hides(name) == (name == hidden) for name in ("granted", "refused")),
                   "polkit has read the rules")
        self.client.connection.signal_unsubscribe(subscription)

    def find(self, name):
        return self.nobody.call(MANAGER, "Manager", "GetDomainByName", "s", name)

    def assert_hidden(self, *arguments):
        with self.assertRaises(BusError) as caught:
            self.nobody.call(*arguments)
        self.assertEqual(caught.exception.name, "NotAuthorized", caught.exception.message)

    def stop_polkit_for_a_while(self):
        pid = self.client.connection.call_sync(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
            GLib.Variant("(s)", ("org.freedesktop.PolicyKit1",)), None, Gio.DBusCallFlags.NONE, -1, None).unpack()[0]
        stop_process(pid)
        self.addCleanup(continue_process, pid)

    def test_right_that_is_taken_away_is_gone_once_polkit_says_so(self):
        for _ in range(2):
            self.assertEqual(self.find("refused"), self.refused)
            self.assertIn("refused", self.nobody.call(self.refused, "Domain", "GetXml"))
        self.set_rules("refused")
        self.assert_hidden(MANAGER, "Manager", "GetDomainByName", "s", "refused")
        self.assert_hidden(self.refused, "Domain", "GetXml")
        self.assertEqual(self.find("granted"), self.granted)
        self.set_rules("granted")
        self.assertEqual(self.find("refused"), self.refused)
        self.assert_hidden(MANAGER, "Manager", "GetDomainByName", "s", "granted")

    def test_same_question_is_answered_without_polkit_and_no_other(self):
        self.assertEqual(self.find("refused"), self.refused)
        self.stop_polkit_for_a_while()
        self.assertEqual(self.find("refused"), self.refused)
        # Another domain, another method, another caller, and what changes something: these wait for polkit.
        other = self.client_of_nobody()
        for client, arguments in ((self.nobody, (MANAGER, "Manager", "GetDomainByName", "s", "granted")),
                                  (self.nobody, (self.refused, "Domain", "GetXml")),
                                  (self.nobody, (self.refused, "Domain", "Resume")),
                                  (other, (MANAGER, "Manager", "GetDomainByName", "s", "refused"))):
            with self.subTest(arguments[2]):
                with self.assertRaises(BusError) as caught:
                    client.call(*arguments, timeout=0.5)
                self.assertIn("imeout", caught.exception.message)

    def test_no_is_asked_again(self):
        self.set_rules("refused")
        self.assert_hidden(MANAGER, "Manager", "GetDomainByName", "s", "refused")
        self.set_rules("none")
        self.assertEqual(self.find("refused"), self.refused)

    def test_more_questions_than_are_remembered_get_the_same_answers(self):
        """So many snapshots' names that one connection's room is used up more than once."""
        for number in range(200):
            with self.assertRaises(BusError) as caught:
                self.nobody.call(self.granted, "Domain", "GetSnapshot", "s", f"none-{number}")
            self.assertEqual(caught.exception.name, "NotFound", caught.exception.message)
        self.assertEqual(self.find("refused"), self.refused)

    def test_without_polkit_nothing_is_remembered(self):
        self.assertEqual(self.find("refused"), self.refused)
        gone = []
        watch = Gio.bus_watch_name_on_connection(self.nobody.connection, "org.freedesktop.PolicyKit1",
                                                 Gio.BusNameWatcherFlags.NONE, None, lambda *_: gone.append(True))
        self.bus.stop_polkit()
        self.addCleanup(self.bus.start_polkit, [built("polkit/org.vmsnap.VmSnap1.policy")],
                        {"10-test.rules": READING % self.hidden})
        # The bus tells everybody at once, and the service before it gets this connection's next call.
        wait_until(lambda: gone, "polkit is gone")
        Gio.bus_unwatch_name(watch)
        self.assert_hidden(MANAGER, "Manager", "GetDomainByName", "s", "refused")


class OwnerOfTheName(TestCase):

    def test_nobody_else_may_own_the_name(self):
        bus = self.enter(PrivateBus("system", [built("data/org.vmsnap.VmSnap1.conf")]))
        service = UnprivilegedService(bus, self.make_directory())
        service.make_directories()
        done = subprocess.run(service.command_line(), env={**os.environ, **bus.environment}, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("org.vmsnap.VmSnap1", done.stderr)
        self.assertIn("policy forbids", done.stderr)


class OwnerOfTheDirectories(TestCase):

    def test_root_leaves_no_files_in_the_directories_of_the_services_user(self):
        for name in ("state", "runtime", "logs"):
            with self.subTest(name):
                bus = self.enter(PrivateBus("system", [built("data/org.vmsnap.VmSnap1.conf")]))
                service = Service(bus, self.make_directory())
                owned = getattr(service, name)
                owned.mkdir()
                os.chown(owned, NOBODY, NOBODY)
                service.spawn()
                self.assertEqual(service.process.wait(60), 1)
                service.process = None
                for words in (str(owned), "runuser -u nobody", "systemctl start vmsnapd"):
                    self.assertIn(words, service.output())
                made = [path for path in service.directory.rglob("*") if path.is_file()]
                self.assertEqual(made, [service.directory / "vmsnapd.log"])


class UnprivilegedService(Service):
    """The service as the user nobody, which stands in for vmsnap: no test may make users."""

    def command_line(self):
        command = super().command_line()
        program = shutil.copy(built("src/daemon/vmsnapd"), self.directory)
        command[command.index(str(built("src/daemon/vmsnapd")))] = program
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", *command]

    def make_directories(self):
        self.directory.chmod(0o755)
        for directory in (self.state, self.runtime, self.logs):
            directory.mkdir(exist_ok=True)
            os.chown(directory, NOBODY, NOBODY)

    def spawn(self):
        self.make_directories()
        return super().spawn()


class Unprivileged(TestCase):
    """polkit lets an unprivileged service ask, and tell what about, as the owner of the actions only."""

    def setUp(self):
        directory = self.make_directory()
        conf, policy = (self.for_nobody(directory, name) for name in ("data/org.vmsnap.VmSnap1.conf",
                                                                      "polkit/org.vmsnap.VmSnap1.policy"))
        self.bus = self.enter(PrivateBus("system", [conf]))
        self.bus.start_polkit([policy], {"10-test.rules": ONE_DOMAIN})
        self.service = self.enter(UnprivilegedService(self.bus, self.make_directory()))

    @staticmethod
    def for_nobody(directory, name):
        text = built(name).read_text(encoding="utf-8")
        path = directory / pathlib.Path(name).name
        path.write_text(text.replace('user="vmsnap"', 'user="nobody"').replace("unix-user:vmsnap", "unix-user:nobody"),
                        encoding="utf-8")
        assert path.read_text(encoding="utf-8") != text
        return path

    def test_closed_boot_files_are_told_with_the_command_that_opens_them(self):
        directory = self.make_directory()
        directory.chmod(0o755)
        closed, readable = directory / "closed", directory / "readable"
        for path, mode in ((closed, 0o600), (readable, 0o644)):
            path.write_bytes(bytes(65536))
            path.chmod(mode)
        machine = "<type arch='x86_64' machine='pc'>hvm</type>"
        flash = f"<loader readonly='yes' type='pflash'>{readable}</loader>"
        for number, (boot, rights) in enumerate((
                (f"<kernel>{closed}</kernel>", "r"),
                (f"<kernel>{readable}</kernel><initrd>{closed}</initrd>", "r"),
                (f"<loader type='rom'>{closed}</loader>", "r"),
                (f"<loader readonly='yes' type='pflash'>{closed}</loader><nvram template='{readable}'/>", "r"),
                (f"{flash}<nvram>{closed}</nvram>", "rw"),
                (f"{flash}<nvram template='{closed}'/>", "r"))):
            with self.subTest(boot), self.service.client() as client:
                xml = plain_xml(f"closed-{number}").replace(machine, machine + boot)
                end = client.end_of_job(client.call(client.call(MANAGER, "Manager", "DefineDomain", "s", xml),
                                                    "Domain", "Start"))
                self.assertEqual(end.error, "Io", end.message)
                self.assertIn(f"setfacl -m u:nobody:{rights} {closed}", end.message.replace("'", ""))

    def test_rules_see_what_a_call_is_about(self):
        with self.service.client() as client:
            paths = [client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml(name))
                     for name in ("granted", "refused")]
            job = call_as(DAEMON, self.bus.address, paths[0], "Domain", "Start")[0]
            client.wait_job(job)
            client.call(paths[0], "Domain", "PowerOff")
        with self.assertRaises(BusError) as caught:
            call_as(DAEMON, self.bus.address, paths[1], "Domain", "Start")
        self.assertEqual(caught.exception.name, "NotAuthorized", caught.exception.message)


class OpenSessionBus(PrivateBus):
    """A session bus that lets other users in, as no session bus should."""

    def _config(self, socket):
        default = '<policy context="default">'
        return super()._config(socket).replace(default, default + '<allow user="*"/>')


class Session(TestCase):

    def test_another_user_is_refused(self):
        bus = self.enter(OpenSessionBus())
        service = self.enter(Service(bus, self.make_directory()))
        with service.client() as client:
            path = client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("own"))
        for arguments in ((MANAGER, "Manager", "GetDomainByName", "s", "own"), (path, "Domain", "Start"),
                          (path, "Domain", "GetXml")):
            with self.assertRaises(BusError) as caught:
                call_as(NOBODY, bus.address, *arguments)
            self.assertEqual(caught.exception.name, "NotAuthorized", caught.exception.message)

    def test_image_of_another_user_is_not_even_read(self):
        bus = self.enter(OpenSessionBus())
        self.enter(Service(bus, self.make_directory()))
        path = self.make_directory() / "image"
        path.write_bytes(b"no image")
        for method in ("InspectImage", "RewriteImage", "RestoreDomain"):
            with self.subTest(method), Descriptor(path, os.O_RDWR) as fd, self.assertRaises(BusError) as caught:
                call_as(NOBODY, bus.address, MANAGER, "Manager", method, "h", 0, fds=[fd])
            self.assertEqual(caught.exception.name, "NotAuthorized", caught.exception.message)

    def test_text_of_another_user_is_not_even_parsed(self):
        bus = self.enter(OpenSessionBus())
        service = self.enter(Service(bus, self.make_directory()))
        with service.client() as client:
            path = client.call(MANAGER, "Manager", "DefineDomain", "s", plain_xml("own"))
        for arguments in ((MANAGER, "Manager", "DefineDomain", "s", "<broken"),
                          (MANAGER, "Manager", "CreateDomain", "s", "<broken"),
                          (path, "Domain", "CreateSnapshotFromXml", "s", "<broken")):
            with self.assertRaises(BusError) as caught:
                call_as(NOBODY, bus.address, *arguments)
            self.assertEqual(caught.exception.name, "NotAuthorized", caught.exception.message)


if __name__ == "__main__":
    main()
