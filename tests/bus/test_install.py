# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `meson install` puts in place is a working system service: each file is tried with the program that reads it."""

import configparser
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import unittest.mock

from gi.repository import Gio, GLib

from vmsnaptest import MANAGER, BusError, Client, PrivateBus, TestCase, build_directory, main
from vmsnaptest.bus import connect

NOBODY = pwd.getpwnam("nobody").pw_uid
ACTIONS = "org.vmsnap.VmSnap1."
# systemd-analyze's measure of what a service could do, from 0 (nothing) to 100. Guests need networks, devices and
# memory that is written and run; what remains is this.
EXPOSURE = 21
POLKIT = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority")
# Polkit's numbers for the defaults of an action.
AUTH_ADMIN_KEEP, YES = 4, 5


def run(*command, **more):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=True, timeout=120, **more).stdout


class Installed(TestCase):

    @classmethod
    def setUpClass(cls):
        cls.root = cls.make_class_directory()
        cls.root.chmod(0o755)
        build = build_directory()
        run("meson", "install", "--no-rebuild", "--quiet", "-C", build, "--destdir", cls.root)
        options = json.loads(run("meson", "introspect", "--buildoptions", build))
        cls.option = {option["name"]: option["value"] for option in options}
        cls.prefix = pathlib.Path(cls.option["prefix"])
        cls.data = cls.inside(cls.prefix / cls.option["datadir"])
        cls.program = cls.inside(cls.prefix / cls.option["libexecdir"] / "vmsnapd")

    @classmethod
    def inside(cls, path):
        """Where an absolute path is below the folder that was installed to."""
        return cls.root / pathlib.Path(path).relative_to("/")

    def find(self, name):
        """The one installed file of this name below a folder of this name: `sysusers.d/vmsnap.conf`."""
        found = [path for path in self.root.rglob(pathlib.Path(name).name) if str(path).endswith("/" + name)]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def copy_for(self, path, target):
        """A copy of a file that starts the program where it really is."""
        text = path.read_text(encoding="utf-8")
        real = self.prefix / self.option["libexecdir"] / "vmsnapd"
        self.assertIn(str(real), text)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace(str(real), str(self.program)), encoding="utf-8")
        return target


class Layout(Installed):

    def test_everything_is_where_it_is_looked_for(self):
        for path in ("dbus-1/system.d/org.vmsnap.VmSnap1.conf", "dbus-1/system-services/org.vmsnap.VmSnap1.service",
                     "dbus-1/services/org.vmsnap.VmSnap1.service", "polkit-1/actions/org.vmsnap.VmSnap1.policy",
                     "man/man8/vmsnapd.8", "doc/vmsnap/examples/50-vmsnap.rules",
                     "doc/vmsnap/examples/vmsnapd-bridge.conf", "dbus-1/interfaces/org.vmsnap.VmSnap1.Manager.xml"):
            self.assertTrue((self.data / path).is_file(), path)
        for name in ("vmsnapd.service", "sysusers.d/vmsnap.conf", "tmpfiles.d/vmsnap.conf",
                     "udev/rules.d/70-vmsnap.rules"):
            self.assertTrue(self.find(name).is_file(), name)

    def test_program_runs_where_it_is(self):
        self.assertRegex(run(self.program, "--version"), r"^vmsnapd \d+\.\d+\.\d+\n$")

    def test_no_template_is_left_unfilled(self):
        for path in self.root.rglob("*"):
            if path.is_file() and path.suffix in (".conf", ".service", ".policy", ".rules"):
                self.assertNotRegex(path.read_text(encoding="utf-8"), r"@\w+@", path)


class Bus(Installed):

    def test_bus_takes_the_policy_and_keeps_the_name_from_others(self):
        bus = self.enter(PrivateBus("system", [self.find("system.d/org.vmsnap.VmSnap1.conf")]))
        request = ("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                   "org.vmsnap.VmSnap1", "4")
        self.assertEqual(run("busctl", f"--address={bus.address}", *request).strip(), "u 1")
        with self.assertRaises(subprocess.CalledProcessError) as caught:
            run("busctl", f"--address={bus.address}", *request, user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertIn("denied", caught.exception.stdout.lower())

    def test_system_activation_goes_through_systemd(self):
        service = configparser.ConfigParser()
        service.optionxform = str
        service.read(self.find("system-services/org.vmsnap.VmSnap1.service"))
        section = service["D-BUS Service"]
        self.assertEqual(section["Name"], "org.vmsnap.VmSnap1")
        self.assertEqual(section["SystemdService"], "vmsnapd.service")
        self.assertEqual(section["User"], "vmsnap")

    def test_session_bus_starts_the_service_when_it_is_called(self):
        services = self.make_directory()
        self.copy_for(self.find("services/org.vmsnap.VmSnap1.service"), services / "org.vmsnap.VmSnap1.service")
        home = self.make_directory()
        folders = {"XDG_STATE_HOME": str(home / "state"), "XDG_RUNTIME_DIR": str(home / "run")}
        (home / "run").mkdir(mode=0o700)
        with unittest.mock.patch.dict(os.environ, folders):
            bus = self.enter(ActivatingBus(services))
        client = self.enter(Client(bus.address))
        with self.assertRaises(BusError) as caught:
            client.call(MANAGER, "Manager", "GetDomainByName", "s", "nobody")
        self.assertEqual(caught.exception.name, "NotFound")
        self.assertIn(MANAGER, client.objects())
        self.assertEqual(sorted(path.name for path in home.glob("*/vmsnap")), ["vmsnap", "vmsnap"])
        self.assertTrue((home / "state/vmsnap/log").is_dir())


class ActivatingBus(PrivateBus):
    """A session bus that starts the services of a folder."""

    def __init__(self, services):
        super().__init__()
        self._services = services

    def _config(self, socket):
        return super()._config(socket).replace("</busconfig>", f"<servicedir>{self._services}</servicedir></busconfig>")


class Unit(Installed):

    def setUp(self):
        self.units = self.make_directory()
        self.unit = self.copy_for(self.find("vmsnapd.service"), self.units / "vmsnapd.service")

    def settings(self):
        """{key: [values]} of the section Service."""
        found = {}
        for line in self.unit.read_text(encoding="utf-8").split("[Service]")[1].split("[Install]")[0].splitlines():
            if line and not line.startswith("#"):
                key, value = line.split("=", 1)
                found.setdefault(key, []).append(value)
        return found

    def test_systemd_understands_it(self):
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", self.unit), "")

    def test_systemd_understands_it_with_the_bridge_example(self):
        drop_ins = self.units / "vmsnapd.service.d"
        drop_ins.mkdir()
        shutil.copy(self.data / "doc/vmsnap/examples/vmsnapd-bridge.conf", drop_ins / "bridge.conf")
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", self.unit), "")

    def test_exposure_is_as_low_as_it_was(self):
        run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", self.unit)

    def test_guests_outlive_the_service(self):
        settings = self.settings()
        self.assertEqual(settings["KillMode"], ["process"])
        self.assertEqual(settings["RuntimeDirectoryPreserve"], ["yes"])
        self.assertEqual(settings["OOMPolicy"], ["continue"])
        self.assertNotIn("RemoveIPC", settings)

    def test_it_is_a_bus_service_of_an_unprivileged_user(self):
        settings = self.settings()
        self.assertEqual((settings["Type"], settings["BusName"]), (["dbus"], ["org.vmsnap.VmSnap1"]))
        self.assertEqual((settings["User"], settings["Group"]), (["vmsnap"], ["kvm"]))
        self.assertEqual((settings["CapabilityBoundingSet"], settings["NoNewPrivileges"]), ([""], ["yes"]))

    def test_its_directories_are_the_service_s_defaults(self):
        settings = self.settings()
        for key in ("StateDirectory", "RuntimeDirectory", "LogsDirectory"):
            self.assertEqual(settings[key], ["vmsnap"])
            self.assertEqual(settings[key + "Mode"], ["0700"])

    def test_filter_leaves_what_guests_need(self):
        """Memory saved while the guest runs, QEMU's own sandbox, and its ways of reading and writing disks."""
        filters = self.settings()["SystemCallFilter"]
        self.assertFalse(filters[0].startswith("~"))
        allowed = self.system_calls(filters[0].split())
        for denied in filters[1:]:
            allowed -= self.system_calls(denied.removeprefix("~").split())
        self.assertLessEqual({"userfaultfd", "seccomp", "io_uring_setup", "io_submit", "fallocate", "memfd_create",
                              "mlock", "copy_file_range", "ppoll", "clone3", "execve"}, allowed)
        self.assertTrue(allowed.isdisjoint({"mount", "ptrace", "bpf", "setuid", "chown", "init_module", "reboot"}))

    def system_calls(self, names):
        """The system calls of groups and names, by systemd's own lists."""
        calls = {name for name in names if not name.startswith("@")}
        groups = [name for name in names if name.startswith("@")]
        while groups:
            lines = run("systemd-analyze", "syscall-filter", groups.pop()).splitlines()
            members = {line.strip() for line in lines if line.startswith("    ") and not line.strip().startswith("#")}
            groups += [name for name in members if name.startswith("@")]
            calls |= {name for name in members if not name.startswith("@")}
        return calls


class System(Installed):

    def setUp(self):
        self.host = self.make_directory()
        (self.host / "etc").mkdir()
        run("systemd-sysusers", f"--root={self.host}", self.find("sysusers.d/vmsnap.conf"))

    def table(self, name):
        return {line.split(":")[0]: line.strip().split(":")
                for line in (self.host / "etc" / name).read_text(encoding="utf-8").splitlines()}

    def test_user_is_made_and_belongs_to_kvm(self):
        user = self.table("passwd")["vmsnap"]
        self.assertEqual((user[5], user[6].rsplit("/", 1)[1]), ("/var/lib/vmsnap", "nologin"))
        self.assertEqual(self.table("group")["kvm"][3], "vmsnap")

    def test_directories_are_made_for_the_user_alone(self):
        run("systemd-tmpfiles", f"--root={self.host}", "--create", self.find("tmpfiles.d/vmsnap.conf"))
        for path in ("var/lib/vmsnap", "var/log/vmsnap", "run/vmsnap"):
            status = (self.host / path).stat()
            self.assertEqual(status.st_mode & 0o7777, 0o700, path)
            self.assertEqual((status.st_uid, status.st_gid),
                             (int(self.table("passwd")["vmsnap"][2]), int(self.table("group")["kvm"][2])), path)

    def test_udev_rule_opens_userfaultfd_to_kvm(self):
        lines = self.find("udev/rules.d/70-vmsnap.rules").read_text(encoding="utf-8").splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(len(rules), 1)
        parts = rules[0].split(", ")
        for part in parts:
            self.assertRegex(part, r'^[A-Z]+(==|=)"[^"]+"$')
        self.assertEqual(set(parts), {'KERNEL=="userfaultfd"', 'SUBSYSTEM=="misc"', 'GROUP="kvm"', 'MODE="0660"'})


class Polkit(Installed):

    def setUp(self):
        self.policy = self.find("actions/org.vmsnap.VmSnap1.policy")

    def ask(self, method, parameters):
        connection = connect(self.bus.address)
        try:
            reply = connection.call_sync(*POLKIT, method, parameters, None, Gio.DBusCallFlags.NONE, 60000, None)
            return reply.unpack()[0]
        finally:
            connection.close_sync(None)

    def test_polkit_knows_all_actions_with_their_defaults(self):
        self.bus = self.enter(PrivateBus("system"))
        self.bus.start_polkit([self.policy])
        actions = {action[0]: action for action in self.ask("EnumerateActions", GLib.Variant("(s)", ("C",)))
                   if action[0].startswith(ACTIONS)}
        self.assertEqual({name.removeprefix(ACTIONS) for name in actions},
                         {"domain.read", "domain.define", "domain.control", "domain.save", "image.restore",
                          "snapshot.create", "snapshot.revert", "snapshot.delete", "job.cancel"})
        for name, (_, description, message, _, _, _, anyone, inactive, active, annotations) in actions.items():
            default = YES if name == ACTIONS + "domain.read" else AUTH_ADMIN_KEEP
            self.assertEqual((anyone, inactive, active), (default, default, default), name)
            self.assertTrue(description and message, name)
            self.assertEqual(annotations["org.freedesktop.policykit.owner"], "unix-user:vmsnap", name)

    def authorized(self, action, **details):
        """Whether a process of nobody may do this."""
        process = subprocess.Popen(["sleep", "600"], user=NOBODY, group=NOBODY, extra_groups=[])
        try:
            stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
            subject = ("unix-process", {"pid": GLib.Variant("u", process.pid), "uid": GLib.Variant("i", NOBODY),
                                        "start-time": GLib.Variant("t", int(stat.rsplit(")", 1)[1].split()[19]))})
            details = {key.replace("_", "-"): value for key, value in details.items()}
            return self.ask("CheckAuthorization", GLib.Variant("((sa{sv})sa{ss}us)",
                                                               (subject, ACTIONS + action, details, 0, "")))[0]
        finally:
            process.kill()
            process.wait()

    def test_example_rules_grant_what_they_say(self):
        example = (self.data / "doc/vmsnap/examples/50-vmsnap.rules").read_text(encoding="utf-8")
        uuid = re.search(r'"([0-9a-f]{8}-[0-9a-f-]{27})"', example).group(1)
        for person, granted, refused in (
                ("alice", ("domain.control", {"domain_uuid": uuid}), ("domain.control", {"domain_uuid": "another"})),
                ("alice", ("snapshot.delete", {"domain_uuid": uuid}), ("domain.define", {"domain_uuid": uuid})),
                ("backup", ("snapshot.create", {"domain_name": "any"}), ("snapshot.delete", {"domain_name": "any"}))):
            with self.subTest(person), PrivateBus("system") as self.bus:
                self.bus.start_polkit([self.policy], {"50-vmsnap.rules": example.replace(f'"{person}"', '"nobody"')})
                self.assertTrue(self.authorized(granted[0], **granted[1]))
                self.assertFalse(self.authorized(refused[0], **refused[1]))


if __name__ == "__main__":
    main()
