# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manager: domains are defined, found and refused."""

import pathlib
import uuid as uuid_module

from gi.repository import Gio, GLib

from support import BusTestCase, plain_xml
from vmsnaptest import BUS_NAME, MANAGER, ROOT, BusError, domain_path, emulator, emulator_version, main, wait_until

NAMES_REFUSED = {
    "slash": "a/b",
    "control-character": "a\u0085b",
    "300-bytes": "x" * 300,
    "201-bytes": "x" * 201,
    "dot": ".",
    "dot-dot": "..",
}

NAMES_TAKEN = {
    "spaces": "my first machine",
    "umlauts": "Übung größer",
    "emoji": "🐧🚀",
    "right-to-left": "مرحبا",
    "quotes": "it's \"quoted\" & <marked>",
    "dollar-and-percent": "$(reboot) %s %n",
    "option": "--help",
    "comma-and-equals": "a,b=c",
    "200-bytes": "x" * 200,
    "200-bytes-of-two": "ä" * 100,
}


class Manager(BusTestCase):

    def call(self, member, *arguments, **options):
        return self.client.call(MANAGER, "Manager", member, *arguments, **options)

    def test_tells_version_and_hypervisor(self):
        version = ".".join(map(str, emulator_version(emulator())))
        self.assertRegex(self.client.get(MANAGER, "Manager", "Version"), r"^\d+\.\d+\.\d+$")
        self.assertEqual(self.client.get(MANAGER, "Manager", "HypervisorVersion"), version)
        self.assertEqual(self.client.get(MANAGER, "Manager", "HypervisorPath"), str(emulator()))
        self.assertTrue(self.client.get(MANAGER, "Manager", "HypervisorFeatures"))

    def test_defined_domain_is_announced_and_shown(self):
        uuid = str(uuid_module.uuid4())
        path = self.define("shown", uuid=uuid, memory_mib=96)
        added = self.client.wait_signal("InterfacesAdded", lambda signal: signal.arguments[0] == path)
        self.assertEqual(added.path, ROOT)
        properties = self.client.get_all(path, "Domain")
        self.assertEqual(added.arguments[1][BUS_NAME + ".Domain"], properties)
        self.assertEqual(properties, {
            "Name": "shown", "Uuid": uuid, "State": "shutoff", "StateReason": "unknown", "Persistent": True,
            "Memory": 96 << 20, "Vcpus": 1, "Disks": [], "HasManagedSave": False, "CurrentSnapshot": "/", "Job": "/",
            "GuestAgent": False,
        })
        self.assertEqual(self.client.objects()[path][BUS_NAME + ".Domain"], properties)

    def test_undefined_domain_is_announced_and_gone(self):
        path = self.define("gone")
        self.client.call(path, "Domain", "Undefine")
        removed = self.client.wait_signal("InterfacesRemoved", lambda signal: signal.arguments[0] == path)
        self.assertIn(BUS_NAME + ".Domain", removed.arguments[1])
        self.assertNotIn(path, self.client.objects())
        self.assert_refused("NotFound", MANAGER, "Manager", "GetDomainByName", "s", "gone")

    def work_of_threads(self):
        """The nanoseconds that each thread of the service has run."""
        tasks = pathlib.Path(f"/proc/{self.service.process.pid}/task")
        return {int(task.name): int((task / "schedstat").read_text(encoding="ascii").split()[0])
                for task in tasks.iterdir()}

    def test_long_texts_are_not_parsed_where_everybody_is_served(self):
        """The thread that serves the bus has little to do with texts at the limits, however much work they make."""
        broken = plain_xml("long", devices="<disk><target/></disk>" * 2700).replace("</domain>", "</other>")
        main_thread = self.service.process.pid
        before = self.work_of_threads()
        for _ in range(40):
            self.assert_refused("InvalidXml", MANAGER, "Manager", "DefineDomain", "s", broken)
        work = {thread: done - before.get(thread, 0) for thread, done in self.work_of_threads().items()}
        self.assertLess(work[main_thread], max(work.values()) / 2, work)

    def test_tpm_that_is_to_outlive_a_transient_domain_is_refused(self):
        tpm = "\n<tpm model='tpm-crb'><backend type='emulator' version='2.0' persistent_state='yes'/></tpm>"
        self.assert_refused("InvalidXml", MANAGER, "Manager", "CreateDomain", "s",
                            plain_xml("transient", devices=tpm), says=["line 2", "persistent_state"])
        self.define("persistent", devices=tpm)

    def test_definition_without_uuid_is_given_one(self):
        path = self.call("DefineDomain", "s", plain_xml("no-uuid", uuid=""))
        self.addCleanup(self.forget, path)
        uuid = self.client.get(path, "Domain", "Uuid")
        self.assertEqual(path, domain_path(uuid))
        self.assertIn(uuid, self.client.call(path, "Domain", "GetXml"))

    def test_same_uuid_replaces_the_definition(self):
        uuid = str(uuid_module.uuid4())
        path = self.define("replaced", uuid=uuid, memory_mib=64)
        again = self.call("DefineDomain", "s", plain_xml("replaced", uuid=uuid, memory_mib=80))
        self.assertEqual(again, path)
        self.client.wait_property(path, "Domain", "Memory", 80 << 20)

    def test_name_of_another_domain_is_refused(self):
        self.define("taken")
        self.assert_refused("AlreadyExists", MANAGER, "Manager", "DefineDomain", "s", plain_xml("taken"), says="taken")

    def test_found_by_name_and_by_uuid_in_any_case(self):
        uuid = "0000abcd-ef01-4234-8567-89abcdef0123"
        path = self.define("found", uuid=uuid)
        self.assertEqual(self.call("GetDomainByName", "s", "found"), path)
        self.assertEqual(self.call("GetDomainByUuid", "s", uuid), path)
        self.assertEqual(self.call("GetDomainByUuid", "s", uuid.upper()), path)

    def test_unknown_domain_is_not_found(self):
        self.assert_refused("NotFound", MANAGER, "Manager", "GetDomainByName", "s", "nobody", says="'nobody'")
        self.assert_refused("NotFound", MANAGER, "Manager", "GetDomainByName", "s", "a/b\x01" + "x" * 300)
        self.assert_refused("NotFound", MANAGER, "Manager", "GetDomainByName", "s", "")
        uuid = str(uuid_module.uuid4())
        self.assert_refused("NotFound", MANAGER, "Manager", "GetDomainByUuid", "s", uuid, says=uuid)

    def test_what_is_no_uuid_is_an_invalid_argument(self):
        for text in ("", "x", "../../etc", "0000abcd-ef01-4234-8567-89abcdef012", "0000abcdef0142348567" + "8" * 300):
            with self.subTest(text):
                self.assert_refused("InvalidArgument", MANAGER, "Manager", "GetDomainByUuid", "s", text, says="uuid")

    def test_bad_names_are_refused(self):
        for case, name in NAMES_REFUSED.items():
            with self.subTest(case):
                self.assert_refused("InvalidXml", MANAGER, "Manager", "DefineDomain", "s", plain_xml(name), says="name")

    def test_strange_names_are_kept(self):
        for case, name in NAMES_TAKEN.items():
            with self.subTest(case):
                path = self.define(name)
                self.assertEqual(self.client.get(path, "Domain", "Name"), name)
                self.assertEqual(self.call("GetDomainByName", "s", name), path)

    def test_bad_xml_is_refused_and_changes_nothing(self):
        before = self.client.objects()
        cases = {
            "empty": "",
            "not-xml": "once upon a time",
            "cut-off": plain_xml("cut-off")[:-20],
            "another-root": "<network><name>x</name></network>",
            "no-name": "<domain type='qemu'><memory>1048576</memory></domain>",
            "unknown-element": plain_xml("unknown", devices="<flux-capacitor power='1.21GW'/>"),
            "external-entity": '<!DOCTYPE domain [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
                               + plain_xml("&x;", escape_name=False),
            "deep": "<domain>" * 100000 + "</domain>" * 100000,
        }
        for case, xml in cases.items():
            with self.subTest(case):
                self.assert_refused("InvalidXml", MANAGER, "Manager", "DefineDomain", "s", xml)
                self.assert_refused("InvalidXml", MANAGER, "Manager", "CreateDomain", "s", xml)
        self.assertEqual(self.client.objects(), before)

    def test_unsupported_elements_are_each_named_with_their_line(self):
        xml = plain_xml("several", devices="\n<flux-capacitor/>\n<hostdev mode='subsystem' type='pci'/>\n")
        self.assert_refused("InvalidXml", MANAGER, "Manager", "DefineDomain", "s", xml,
                            says=["flux-capacitor", "hostdev", "2", "3"])

    def test_validate_takes_what_the_schema_knows(self):
        uuid = str(uuid_module.uuid4())
        path = self.call("DefineDomain", "s", plain_xml("validated", uuid=uuid), validate=True)
        self.addCleanup(self.forget, path)
        self.assertEqual(path, domain_path(uuid))

    def test_two_clients_at_once_get_what_they_asked_for(self):
        names = [f"at-once-{i}" for i in range(40)]
        replies = {}

        def on_reply(connection, result, name):
            replies[name] = connection.call_finish(result).unpack()[0]

        with self.service.client() as other:
            for i, name in enumerate(names):
                connection = (self.client, other)[i % 2].connection
                connection.call(BUS_NAME, MANAGER, BUS_NAME + ".Manager", "DefineDomain",
                                GLib.Variant("(sa{sv})", (plain_xml(name), {})), None, Gio.DBusCallFlags.NONE, 60000,
                                None, on_reply, name)
            wait_until(lambda: len(replies) == len(names), "all replies")
            for name, path in replies.items():
                self.addCleanup(self.forget, path)
                self.assertEqual(other.call(MANAGER, "Manager", "GetDomainByName", "s", name), path)

    def test_two_clients_cannot_define_one_name_twice(self):
        replies = []

        def on_reply(connection, result):
            try:
                replies.append(connection.call_finish(result).unpack()[0])
            except GLib.Error as error:
                replies.append(BusError.from_glib(error))

        with self.service.client() as other:
            for client in (self.client, other):
                client.connection.call(BUS_NAME, MANAGER, BUS_NAME + ".Manager", "DefineDomain",
                                       GLib.Variant("(sa{sv})", (plain_xml("only-one"), {})), None,
                                       Gio.DBusCallFlags.NONE, 60000, None, on_reply)
            wait_until(lambda: len(replies) == 2, "both replies")
        paths = [reply for reply in replies if isinstance(reply, str)]
        errors = [reply for reply in replies if isinstance(reply, BusError)]
        self.assertEqual([error.name for error in errors], ["AlreadyExists"])
        self.addCleanup(self.forget, paths[0])


if __name__ == "__main__":
    main()
