# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service shows and takes exactly what the interfaces' XML says: members, property types, option keys."""

import os
import subprocess

from gi.repository import GLib

import contract
from support import BusTestCase
from vmsnaptest import MANAGER, ROOT, BusError, main, make_disk, snapshot_path

INTERFACE = "org.vmsnap.VmSnap1."


class Contract(BusTestCase):
    """One domain with one snapshot, and the job that made it, so that there is an object of each kind."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.disk = make_disk(cls.make_class_directory() / "vda.qcow2", 8)

    def setUp(self):
        super().setUp()
        self.domain = self.define("contract", [self.disk])
        self.job = self.client.call(self.domain, "Domain", "CreateSnapshot", "s", "one", location="internal")
        self.client.wait_job(self.job)
        self.snapshot = snapshot_path(self.domain, "one")
        self.paths = {"Manager": MANAGER, "Domain": self.domain, "Snapshot": self.snapshot, "Job": self.job}

    def tearDown(self):
        self.client.run(self.snapshot, "Snapshot", "Delete")
        super().tearDown()

    def call(self, method, options):
        """Calls a method with arguments that are harmless whatever the options are."""
        image = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, image)
        arguments = {"h": (0,), "s": ("no such thing",), "": ()}[method.signature]
        parameters = GLib.Variant(f"({method.signature}a{{sv}})", (*arguments, options))
        path = self.paths[method.interface]
        return self.client.call_raw(path, method.interface, method.name, parameters, fds=[image])

    def assert_key_refused(self, method, key, value, words):
        with self.assertRaises(BusError, msg=f"{method.name} took {key}") as caught:
            self.call(method, {key: value})
        self.assert_error(caught.exception, "InvalidArgument", [f"'{key}'", words])

    def test_every_method_refuses_an_unknown_key(self):
        for method in contract.methods():
            with self.subTest(method.interface + "." + method.name):
                self.assert_key_refused(method, "colour", GLib.Variant("s", "red"), "Unknown option")

    def test_every_key_with_a_value_of_the_wrong_type_is_refused(self):
        for method in contract.methods():
            for key, signature in method.options.items():
                with self.subTest(f"{method.interface}.{method.name} {key}"):
                    self.assert_key_refused(method, key, contract.value_of_another_type(signature),
                                            f"must be of the type '{signature}'")

    def test_no_key_is_known_that_is_not_documented(self):
        keys = {key for method in contract.methods() for key in method.options}
        for method in contract.methods():
            for key in sorted(keys - set(method.options)):
                with self.subTest(f"{method.interface}.{method.name} {key}"):
                    self.assert_key_refused(method, key, GLib.Variant("b", False), "Unknown option")

    def test_exclusive_keys_are_refused_together(self):
        pairs = [
            (MANAGER, "Manager", "RestoreDomain", "running", "paused"),
            (MANAGER, "Manager", "RewriteImage", "running", "paused"),
            (self.domain, "Domain", "Save", "running", "paused"),
            (self.domain, "Domain", "ManagedSave", "running", "paused"),
            (self.domain, "Domain", "CreateSnapshot", "live", "pause"),
            (self.domain, "Domain", "CreateSnapshotFromXml", "live", "pause"),
            (self.domain, "Domain", "CreateSnapshotFromXml", "redefine", "halt"),
            (self.domain, "Domain", "CreateSnapshotFromXml", "redefine", "live"),
            (self.domain, "Domain", "ListSnapshots", "leaves", "no-leaves"),
            (self.snapshot, "Snapshot", "Revert", "running", "paused"),
            (self.snapshot, "Snapshot", "Delete", "children", "children-only"),
        ]
        by_name = {(method.interface, method.name): method for method in contract.methods()}
        for path, interface, name, one, other in pairs:
            with self.subTest(f"{interface}.{name} {one} {other}"), self.assertRaises(BusError) as caught:
                yes = GLib.Variant("b", True)
                self.call(by_name[interface, name], {one: yes, other: yes})
            self.assert_error(caught.exception, "InvalidArgument", [f"'{one}'", f"'{other}'"])

    def test_properties_are_those_of_the_xml_with_their_types(self):
        for interface, path in self.paths.items():
            shown = self.client.call_raw(path, "org.freedesktop.DBus.Properties", "GetAll",
                                         GLib.Variant("(s)", (INTERFACE + interface,)))[0]
            self.assertEqual(set(shown), set(contract.property_types(interface)))
            for name, signature in contract.property_types(interface).items():
                reply = self.client.connection.call_sync(
                    INTERFACE[:-1], path, "org.freedesktop.DBus.Properties", "Get",
                    GLib.Variant("(ss)", (INTERFACE + interface, name)), None, 0, -1, None)
                self.assertEqual(reply.get_child_value(0).get_variant().get_type_string(), signature, name)

    def test_introspection_shows_the_members_of_the_xml(self):
        for interface, path in self.paths.items():
            text = self.busctl("introspect", INTERFACE[:-1], path, INTERFACE + interface)
            shown = {kind: set() for kind in ("method", "signal", "property")}
            for line in text.splitlines():
                words = line.split()
                if words and words[0].startswith("."):
                    shown[words[1]].add(words[0][1:])
            self.assertEqual((shown["method"], shown["signal"], shown["property"]), contract.members(interface))

    def busctl(self, *arguments):
        command = ["busctl", f"--address={self.bus.address}", *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    def test_busctl_tree_shows_the_objects(self):
        shown = self.busctl("tree", "--list", INTERFACE[:-1]).split()
        for path in (ROOT, *self.paths.values()):
            self.assertIn(path, shown)

    def test_busctl_call_drives_a_method(self):
        said = self.busctl("call", INTERFACE[:-1], MANAGER, INTERFACE + "Manager", "GetDomainByName", "sa{sv}",
                           "contract", "0")
        self.assertEqual(said.strip(), f'o "{self.domain}"')

    def test_busctl_call_passes_options(self):
        said = self.busctl("call", INTERFACE[:-1], self.domain, INTERFACE + "Domain", "ListSnapshots", "a{sv}", "2",
                           "roots", "b", "true", "internal", "b", "true")
        self.assertEqual(said.strip(), f'ao 1 "{self.snapshot}"')

    def test_objects_of_unknown_paths_are_not_there(self):
        for path in (ROOT + "/domains/00000000_0000_0000_0000_000000000000", ROOT + "/jobs/4711",
                     self.domain + "/snapshots/x"):
            with self.assertRaises(BusError) as caught:
                self.client.call(path, "Domain", "Start")
            self.assertTrue(caught.exception.name.startswith("org.freedesktop.DBus.Error.Unknown"), caught.exception)


if __name__ == "__main__":
    main()
