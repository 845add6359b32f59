# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmsnapctl as a person and as a script use it, against the real service."""

import fcntl
import json
import os
import pathlib
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import unicodedata

from clientsupport import SCREEN
from ctlsupport import CtlTestCase
from support import plain_xml
from vmsnaptest import DEFAULT, Disk, domain_path, internal_snapshots, main, make_disk, paths, wait_until

UUID = "0c9d6f54-7c43-4a0c-9a53-3f7f7f2f02{:02x}"


def width(text):
    """The columns that it takes."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


class CommandLineTest(CtlTestCase):
    def test_wrong_command_lines_have_their_own_status(self):
        for says, *arguments in (("command is missing",), ("no command 'nonsense'", "nonsense"),
                                 ("needs another word", "snapshot"), ("no command 'job nonsense'", "job", "nonsense"),
                                 ("argument is missing", "start"), ("too many arguments", "start", "a", "b"),
                                 ("--nonsense", "list", "--nonsense"), ("exclude", "list", "--system"),
                                 ("exclude", "snapshot", "create", "a", "--internal", "--external"),
                                 ("exclude", "snapshot", "revert", "a", "b", "--running", "--paused"),
                                 ("exclude", "snapshot", "delete", "a", "b", "--children", "--children-only"),
                                 ("exclude", "snapshot", "list", "a", "--leaves", "--no-leaves"),
                                 ("no command '--list'", "--", "--list"), ("too many", "start", "--", "a", "--json"),
                                 ("exclude", "save", "a", "b", "--running", "--paused"),
                                 ("exclude", "save", "a", "b", "--compress", "--encoding", "raw"),
                                 ("exclude", "managed-save", "a", "--running", "--paused"),
                                 ("exclude", "restore", "a", "--running", "--paused"),
                                 ("exclude", "image", "edit", "a", "--running", "--paused"),
                                 ("argument is missing", "save", "a"), ("needs another word", "image"),
                                 ("argument is missing", "snapshot", "create-from-xml", "a"),
                                 ("'vda,nonsense=1'", "snapshot", "create", "a", "--disk", "vda,nonsense=1"),
                                 ("not valid UTF-8", "start", os.fsdecode(b"a\xff"))):
            with self.subTest(arguments=arguments):
                self.refused(says, *arguments, status=2)

    def test_help_tells_of_every_command(self):
        text = self.ctl("--help").stdout
        commands = re.findall(r"(?m)^  ([a-z-]+(?: [a-z-]+)?)  +[A-Z]", text.split("Commands:")[1])
        self.assertEqual(len(commands), 31)
        for command in commands:
            with self.subTest(command=command):
                self.assertIn(f"vmsnapctl {command} [OPTION", self.ctl(*command.split(), "--help").stdout)
        self.assertRegex(self.ctl("--version").stdout, r"^vmsnapctl \d+\.\d+\.\d+\n$")

    def test_absent_service_is_told_with_what_to_do(self):
        self.service.stop()
        try:
            self.assertIn("start vmsnapd", self.refused("not running on the session bus", "list"))
        finally:
            self.service.start()

    def test_what_is_not_there_is_told_with_what_to_do(self):
        self.make_domain("there")
        self.refused("'vmsnapctl list'", "show", "not there")
        self.refused("none", "snapshot", "show", "there", "none")
        self.refused("'vmsnapctl job list'", "job", "show", "4711")
        self.refused("No such file", "define", "/nonexistent/file.xml")


class DomainTest(CtlTestCase):
    def define_by_ctl(self, number, name, **details):
        uuid = UUID.format(number)
        self.addCleanup(self.forget, domain_path(uuid))
        disk = make_disk(self.make_directory() / "disk.qcow2")
        return self.ctl("define", self.write_xml(name, disks=[disk], uuid=uuid, **details)), uuid

    def test_definitions_come_from_files_and_from_standard_input(self):
        done, uuid = self.define_by_ctl(1, "from file")
        self.assertEqual(done.stdout, f"Defined from file ({uuid})\n")
        self.assertIn(uuid, self.ctl("list").stdout)
        self.assertEqual([domain["uuid"] for domain in self.ask("list") if domain["name"] == "from file"], [uuid])
        self.addCleanup(self.forget, domain_path(UUID.format(2)))
        with open(self.write_xml("from stdin", uuid=UUID.format(2)), encoding="utf-8") as file:
            self.ctl("define", "-", stdin=file)
        self.assertIn("from stdin\n", self.ctl("list", "--names").stdout)
        self.assertIn("<name>from stdin</name>", self.ctl("xml", "from stdin").stdout)
        self.assertIn("<name>from stdin</name>", self.ask("xml", "from stdin")["xml"])

    def test_bad_definition_is_refused(self):
        file = self.make_directory() / "bad.xml"
        file.write_text("<domain>", encoding="utf-8")
        self.refused("", "define", file)
        file.write_bytes(b"<domain>\xff</domain>")
        self.refused("not UTF-8", "define", file)

    def test_empty_drive_is_shown_as_such(self):
        self.make_domain("drive", devices="<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>")
        self.assertRegex(self.ctl("show", "drive").stdout, r"(?m)^ *sdb  empty$")

    def test_life_of_a_guest(self):
        directory = self.make_directory()
        _, uuid = self.define_by_ctl(3, "life", devices=SCREEN.format(socket=directory / "vnc"))
        started = self.ctl("start", "life", "--paused")
        self.assertRegex(started.stdout, r"^Started life in \d")
        self.assertRegex(started.stderr, r"^[A-Z].*: \d+ %")
        self.assertEqual(self.ask("show", "life")["state"], "paused")
        self.refused("", "start", uuid)
        self.ctl("resume", uuid)
        self.assertIn("running", self.ctl("show", "life").stdout)
        self.ctl("screenshot", "life", directory / "life.png")
        self.assertEqual((directory / "life.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        self.ctl("reset", "life")
        self.assertEqual(self.ctl("pause", "life").stdout, "Paused life\n")
        self.ctl("poweroff", "life")
        self.assertEqual(self.ask("show", "life")["state"], "shutoff")
        self.ctl("undefine", "life")
        self.refused("life", "show", "life")

    def test_guest_that_ignores_the_request_is_told_of(self):
        self.start_domain("quite deaf")
        program = subprocess.Popen(
            [str(paths.built("src/vmsnapctl/vmsnapctl")), "--session", "shutdown", "--wait", "quite deaf"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.program_environment())
        self.addCleanup(lambda: program.poll() is None and program.kill())
        told = program.stderr.readline()
        self.assertIn("hasn't shut down yet", told)
        self.assertEqual(shlex.split(told.rpartition(": ")[2]), ["vmsnapctl", "poweroff", "quite deaf"])
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=DEFAULT)
        self.assertEqual((program.returncode, output), (1, ""))
        self.assertIn("Stopped waiting", errors)
        self.assertEqual(self.ask("show", "quite deaf")["state"], "running")

    def test_transient_domain_is_created(self):
        uuid = UUID.format(4)
        self.addCleanup(self.forget, domain_path(uuid))
        disk = make_disk(self.make_directory() / "disk.qcow2")
        self.ctl("create", self.write_xml("passing", disks=[disk], uuid=uuid))
        self.assertFalse(self.ask("show", "passing")["persistent"])
        self.ctl("poweroff", "passing")
        self.refused("passing", "show", "passing")


class SnapshotTest(CtlTestCase):
    def test_snapshots_grow_a_tree(self):
        self.start_domain("tree")
        created = self.ctl("snapshot", "create", "tree", "one", "--internal", "--description", "the first")
        self.assertRegex(created.stdout, r"^Created snapshot 'one' of tree in .*the guest stood still for")
        self.assertRegex(created.stderr, r"(?m)^[A-Z].*: \d+ %")
        job = self.ask("snapshot", "create", "tree", "two", "--location", "internal")
        self.assertEqual((job["operation"], job["state"], job["domain-name"]), ("snapshot-create", "completed", "tree"))
        self.assertIn("downtime", job["result"])
        self.assertRegex(self.ctl("snapshot", "revert", "tree", "one").stdout, r"^Reverted tree to snapshot 'one' in ")
        self.ctl("snapshot", "create", "tree", "--internal")

        listed = self.ask("snapshot", "list", "tree")
        self.assertEqual([(item["name"], item["parent-name"]) for item in listed[:2]], [("one", ""), ("two", "one")])
        self.assertEqual(listed[2]["parent-name"], "one")
        self.assertTrue(listed[2]["is-current"])
        made = listed[2]["name"]
        self.assertEqual(self.ctl("snapshot", "list", "tree", "--names").stdout.splitlines(), ["one", "two", made])
        self.assertEqual(self.ctl("snapshot", "list", "tree", "--roots", "--names").stdout, "one\n")
        self.assertEqual(set(self.ctl("snapshot", "list", "tree", "--descendants-of", "one", "--names").stdout.split()),
                         {"two", made})
        lines = self.ctl("snapshot", "tree", "tree").stdout.splitlines()
        self.assertEqual([line[:6] for line in lines], ["NAME  ", "one   ", "├─ two", f"└─ {made[:3]}"])
        self.assertRegex(lines[1], r"^one +internal +memory +[\d.]+ [KM]iB +\d+ s$")
        self.assertTrue(lines[3].endswith("<- current"))
        self.assertEqual(len(self.ask("snapshot", "tree", "tree")[0]["children"]), 2)
        self.assertIn("the first", self.ctl("snapshot", "show", "tree", "one").stdout)
        self.assertIn("<domainsnapshot", self.ctl("snapshot", "show", "tree", "one", "--xml").stdout)

        self.assertIn("--snapshots-metadata", self.refused("", "undefine", "tree"))
        self.ctl("snapshot", "delete", "tree", "two")
        self.assertEqual(len(self.ask("snapshot", "list", "tree")), 2)

    def test_long_and_wide_names_stay_in_the_terminal(self):
        self.make_domain("names")
        names = ["とても長い名前のスナップショット" * 2, "a-name-that-somebody-thought-much-about" * 3, "deep", "deeper",
                 "deepest"]
        for name in names:
            self.ctl("snapshot", "create", "names", name, "--internal")
        for command in ("list", "tree"):
            for columns in (40, 80, 200):
                with self.subTest(command=command, columns=columns):
                    lines = self.on_terminal(columns, "snapshot", command, "names")
                    self.assertEqual(len(lines), 1 + len(names))
                    self.assertLessEqual(max(map(width, lines)), columns)
            lines = self.on_terminal(80, "snapshot", command, "names")
            places = {width(re.split("internal|LOCATION", line)[0]) for line in lines}
            self.assertEqual(len(places), 1, lines)
            self.assertTrue(any("deepest" in line for line in lines), lines)
            # Elsewhere nothing is lost.
            text = self.ctl("snapshot", command, "names").stdout
            self.assertTrue(all(name in text for name in names), text)

    def on_terminal(self, columns, *arguments):
        """The lines it writes to a terminal of that width."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        program = subprocess.Popen([str(paths.built("src/vmsnapctl/vmsnapctl")), "--session", *arguments],
                                   stdin=subprocess.DEVNULL, stdout=theirs, env=self.program_environment())
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:
            pass  # what a terminal's end reads as when nobody holds the other one
        self.assertEqual(program.wait(DEFAULT), 0)
        return written.decode().splitlines()

    def test_guest_that_was_off_did_not_stand_still(self):
        self.make_domain("off")
        created = self.ctl("snapshot", "create", "off", "one", "--internal")
        self.assertRegex(created.stdout, r"^Created snapshot 'one' of off in \S+ m?s\n$")
        self.assertRegex(self.ctl("snapshot", "show", "off", "one").stdout, r"(?m)^Downtime: +-$")

    def test_words_of_the_bus_are_told_as_options(self):
        self.start_domain("hints")
        errors = self.refused("location=internal", "snapshot", "create", "hints", "one", "--internal", "--memory-path", "x")
        self.assertIn("\nvmsnapctl: hint: here location=internal is --internal, 'memory-path' is --memory-path\n", errors)
        errors = self.refused("'pause'", "snapshot", "create", "hints", "one", "--internal", "--live")
        self.assertIn("'pause' is --pause\n", errors)

    def test_tree_tells_what_each_snapshot_holds(self):
        self.make_domain("holds")
        self.ctl("snapshot", "create", "holds", "off", "--internal")
        self.ctl("start", "holds")
        self.ctl("snapshot", "create", "holds", "on", "--internal")
        self.ctl("snapshot", "create", "holds", "disks", "--disk-only")
        lines = self.ctl("snapshot", "tree", "holds").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["NAME", "LOCATION", "HOLDS", "SIZE", "AGE"])
        self.assertRegex(lines[1], r"^off +internal +disks only +\S.* s$")
        self.assertRegex(lines[2], r"^└─ on +internal +memory +\S.* s$")
        self.assertRegex(lines[3], r"^   └─ disks +external +disks only +\S.* s +<- current$")
        shown = self.ctl("snapshot", "show", "holds", "on").stdout
        self.assertRegex(shown, r"(?m)^Memory: +internal  inside /.*/holds\.qcow2$")
        self.assertRegex(self.ctl("snapshot", "show", "holds", "disks").stdout, r"(?m)^Memory: +none$")

    def test_list_shows_what_the_filters_let_through(self):
        self.make_domain("filters")
        self.ctl("snapshot", "create", "filters", "off", "--internal")
        self.ctl("start", "filters")
        self.ctl("snapshot", "create", "filters", "on", "--internal")
        self.ctl("snapshot", "create", "filters", "disks", "--disk-only")
        for expected, *filters in (("off on disks",), ("off", "--roots"), ("disks", "--leaves"), ("off on", "--no-leaves"),
                                   ("off on", "--internal"), ("disks", "--external"), ("disks", "--disk-only"),
                                   ("on", "--active"), ("off", "--inactive"), ("off on", "--active", "--inactive"),
                                   ("on disks", "--descendants-of", "off"), ("", "--roots", "--external"),
                                   ("on", "--descendants-of", "off", "--internal")):
            with self.subTest(filters=filters):
                self.assertEqual(self.ctl("snapshot", "list", "filters", "--names", *filters).stdout.split(),
                                 expected.split())
        self.refused("nowhere", "snapshot", "list", "filters", "--descendants-of", "nowhere")

    def test_running_guest_is_not_ended_by_a_revert_unasked(self):
        self.make_domain("asked")
        self.ctl("snapshot", "create", "asked", "off", "--internal")
        self.ctl("start", "asked")
        pid = self.service.guests()
        errors = self.refused("no memory in snapshot 'off'", "snapshot", "revert", "asked", "off")
        for way in ("--running", "--paused", "--force"):
            self.assertIn(way, errors)
        self.assertEqual((self.ask("show", "asked")["state"], self.service.guests()), ("running", pid))
        self.assertEqual(self.ask("job", "list")[-1]["operation"], "start")
        self.ctl("snapshot", "revert", "asked", "off", "--paused")
        self.assertEqual(self.ask("show", "asked")["state"], "paused")
        self.refused("no memory", "snapshot", "revert", "asked", "off")
        self.ctl("snapshot", "revert", "asked", "off", "--running")
        self.assertEqual(self.ask("show", "asked")["state"], "running")
        self.ctl("snapshot", "revert", "asked", "off", "--force")
        self.assertEqual(self.ask("show", "asked")["state"], "shutoff")
        # There is nobody to be asked about.
        self.ctl("snapshot", "revert", "asked", "off")

    def test_names_that_begin_with_a_dash_follow_two(self):
        self.make_domain("--json")
        self.ctl("snapshot", "create", "--internal", "--", "--json", "--help")
        self.ctl("snapshot", "create", "--internal", "--", "--json", "--")
        self.assertEqual(self.ctl("snapshot", "list", "--names", "--", "--json").stdout.splitlines(), ["--help", "--"])
        self.assertIn("--help", self.ctl("--", "snapshot", "show", "--", "--json", "--help").stdout)
        self.ctl("snapshot", "delete", "--", "--json", "--")
        self.assertEqual(self.ctl("snapshot", "list", "--names", "--", "--json").stdout.splitlines(), ["--help"])

    def test_families_are_deleted_with_progress(self):
        self.make_domain("family")
        for name in ("a", "b", "c", "d", "e"):
            self.ctl("snapshot", "create", "family", name, "--internal")
        self.assertIn("--children", self.refused("exclude", "snapshot", "delete", "family", "a", "--children",
                                                 "--children-only", status=2))
        done = self.ctl("snapshot", "delete", "family", "d", "--children-only")
        self.assertRegex(done.stdout, r"^Deleted the descendants of 'd' of family in ")
        self.assertRegex(done.stderr, r"(?m)^[A-Z].*: \d+ %")
        self.assertEqual(self.ctl("snapshot", "list", "family", "--names").stdout.split(), ["a", "b", "c", "d"])
        done = self.ctl("snapshot", "delete", "family", "c", "--children")
        self.assertRegex(done.stdout, r"^Deleted snapshot 'c' of family and its descendants in ")
        done = self.ctl("snapshot", "delete", "family", "b", "--metadata-only")
        self.assertRegex(done.stdout, r"^Forgot snapshot 'b' of family in ")
        self.assertEqual(self.ctl("snapshot", "list", "family", "--names").stdout.split(), ["a"])
        disk = Disk(pathlib.Path(self.ask("show", "family")["disks"][0]["path"]), "qcow2")
        self.assertEqual(internal_snapshots(disk), ["a", "b"])

    def test_warning_of_a_job_is_shown(self):
        directory = self.make_directory()
        path = self.define("warned", [make_disk(directory / "one.qcow2"), make_disk(directory / "two.qcow2", target="vdb")])
        self.client.run(path, "Domain", "Start")
        done = self.ctl("snapshot", "create", "warned", "one", "--pause", "--disk", "vdb,snapshot=none")
        self.assertRegex(done.stderr, r"(?m)^warning: .*vdb is left out")

    def test_refusals_change_nothing(self):
        self.start_domain("refusals")
        self.ctl("snapshot", "create", "refusals", "one", "--internal")
        self.refused("one", "snapshot", "create", "refusals", "one", "--internal")
        self.refused("location", "snapshot", "create", "refusals", "two", "--location", "nowhere")
        self.refused("none", "snapshot", "revert", "refusals", "none")
        self.assertEqual(self.ctl("snapshot", "list", "refusals", "--names").stdout, "one\n")

    def test_checkpoint_tells_how_long_the_guest_stood_still_and_how_its_memory_was_written(self):
        self.start_domain("checkpoint")
        taken = self.ctl("snapshot", "create", "checkpoint", "one", "--pause")
        self.assertRegex(taken.stdout, r"^Took checkpoint 'one' of checkpoint in .* \(the guest stood still for .*\)\n"
                                       r"Its memory was written while the guest stood still: .+\n$")
        shown = self.ctl("snapshot", "show", "checkpoint", "one").stdout
        memory = re.search(r"(?m)^Memory: +external  in (/.*)$", shown).group(1)
        self.assertTrue(os.path.isfile(memory), memory)
        self.assertRegex(shown, r"(?m)^Disks: +vda  external  overlay /.*/checkpoint\.one \(qcow2\)$")
        self.assertRegex(self.ctl("snapshot", "list", "checkpoint").stdout, r"(?m)^\* +one .* running +external +external ")
        job = self.ask("snapshot", "create", "checkpoint", "two", "--disk-only")
        self.assertNotIn("mode", job["result"])
        done = self.ctl("snapshot", "create", "checkpoint", "three", "--disk-only", "--no-metadata")
        self.assertRegex(done.stdout, r"^Created snapshot 'three' of checkpoint in ")
        done = self.ctl("snapshot", "create", "checkpoint", "--disk-only", "--no-metadata")
        self.assertRegex(done.stdout, r"^Took a snapshot of checkpoint in ")
        self.assertEqual(self.ctl("snapshot", "list", "checkpoint", "--names").stdout, "one\ntwo\n")

    def test_snapshot_is_taken_as_xml_says(self):
        self.make_domain("described")
        file = self.make_directory() / "snapshot.xml"
        file.write_text("<domainsnapshot><name>one</name><description>in the file</description>"
                        "<disks><disk name='vda' snapshot='internal'/></disks></domainsnapshot>", encoding="utf-8")
        created = self.ctl("snapshot", "create-from-xml", "described", file, "--internal")
        self.assertRegex(created.stdout, r"^Created snapshot 'one' of described in ")
        shown = self.ctl("snapshot", "show", "described", "one").stdout
        self.assertIn("in the file", shown)
        self.assertRegex(shown, r"(?m)^Disks: +vda  internal  inside /.*/described\.qcow2 \(qcow2\)$")
        self.refused("'description'", "snapshot", "create-from-xml", "described", file, "--internal", "--description", "x")
        file.write_text("<domainsnapshot><name>two", encoding="utf-8")
        self.refused("line 1", "snapshot", "create-from-xml", "described", file)
        self.refused("No such file", "snapshot", "create-from-xml", "described", "/nonexistent")
        self.assertEqual(self.ctl("snapshot", "list", "described", "--names").stdout, "one\n")

    def test_option_of_a_disk_reaches_the_service(self):
        self.start_domain("disks")
        self.refused("nosuch", "snapshot", "create", "disks", "--internal", "--disk", "nosuch,snapshot=internal")
        self.refused("'vmdk'", "snapshot", "create", "disks", "--disk", "vda,path=a,,b,format=vmdk")
        self.refused("twice", "snapshot", "create", "disks", "--disk", "vda", "--disk", "vda,snapshot=none")
        self.refused("nothing", "snapshot", "create", "disks", "--disk-only", "--disk", "vda,snapshot=none")
        self.assertEqual(self.ask("snapshot", "list", "disks"), [])


class RedefineTest(CtlTestCase):
    def test_snapshot_that_was_forgotten_is_on_record_again(self):
        self.start_domain("again")
        self.ctl("snapshot", "create", "again", "one", "--internal", "--description", "words")
        xml = self.ctl("snapshot", "show", "again", "one", "--xml").stdout
        file = self.make_directory() / "one.xml"
        file.write_text(xml)
        self.ctl("snapshot", "delete", "again", "one", "--metadata-only")
        self.refused("No such file", "snapshot", "redefine", "again", "/nowhere")
        bare = file.with_name("bare.xml")
        bare.write_text("<domainsnapshot><name>x</name></domainsnapshot>")
        self.refused("<state>", "snapshot", "redefine", "again", str(bare))
        done = self.ctl("snapshot", "redefine", "again", str(file), "--current")
        self.assertIn("Redefined snapshot 'one' of again", done.stdout)
        self.assertEqual(self.ctl("snapshot", "show", "again", "one", "--xml").stdout, xml)
        self.assertTrue(self.ask("snapshot", "list", "again")[0]["is-current"])
        job = self.ask("snapshot", "redefine", "again", str(file))
        self.assertEqual((job["operation"], job["state"]), ("snapshot-create", "completed"))


class JobTest(CtlTestCase):
    def test_interrupt_cancels_the_job(self):
        pid = self.stopped_guest("interrupted")
        program, job = self.begin("snapshot", "create", "interrupted", "never", "--internal")
        self.read_until(program.stderr, ":")
        program.send_signal(signal.SIGINT)
        self.read_until(program.stderr, "Cancelling the job")
        os.kill(pid, signal.SIGCONT)
        end = self.client.end_of_job(job)
        _, errors = program.communicate(timeout=DEFAULT)
        self.assertEqual(end.state, "cancelled")
        self.assertEqual(program.returncode, 1)
        self.assertIn("all is as it was before", errors)
        self.assertEqual(self.ask("snapshot", "list", "interrupted"), [])
        self.assertEqual(self.ask("show", "interrupted")["state"], "running")

    def test_second_interrupt_leaves_the_job_to_the_service(self):
        pid = self.stopped_guest("left")
        program, job = self.begin("snapshot", "create", "left", "x", "--internal")
        self.read_until(program.stderr, ":")
        program.send_signal(signal.SIGINT)
        self.read_until(program.stderr, "Cancelling the job")
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=DEFAULT)
        self.assertEqual(program.returncode, 1)
        self.assertIn(f"vmsnapctl job show {job.rpartition('/')[2]}", errors)
        os.kill(pid, signal.SIGCONT)
        self.client.end_of_job(job)

    def test_jobs_are_listed_shown_and_cancelled(self):
        pid = self.stopped_guest("listed")
        _, path = self.begin("snapshot", "create", "listed", "x", "--internal", "--no-wait")
        number = path.rpartition("/")[2]
        self.assertRegex(self.ctl("job", "list").stdout, rf"(?m)^{number} +snapshot-create +listed ")
        self.assertEqual(self.ask("job", "show", number)["domain-name"], "listed")
        self.assertIn("--no-queue\n", self.refused("", "snapshot", "create", "listed", "y", "--internal", "--no-queue"))
        self.ctl("job", "cancel", number, "--no-wait")
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.client.end_of_job(path).state, "cancelled")
        self.assertIn("cancelled", self.ctl("job", "show", number).stdout)

    def draw_on_terminal(self, name, term):
        """Takes a snapshot, standard error being a terminal of this type; returns what was written to it."""
        self.start_domain(name)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        program, _ = self.begin("snapshot", "create", name, "x", "--internal", stderr=theirs, environment={"TERM": term})
        os.close(theirs)
        output, _ = program.communicate(timeout=DEFAULT)
        self.assertEqual(program.returncode, 0)
        self.assertIn("Created snapshot 'x'", output)
        drawn = b""
        try:
            while part := os.read(ours, 65536):
                drawn += part
        except OSError:
            pass  # what a terminal's end reads as when nobody holds the other one
        return drawn

    def test_bar_is_drawn_on_a_terminal(self):
        drawn = self.draw_on_terminal("terminal", "xterm")
        self.assertRegex(drawn, rb"\r[A-Z][^\r]*\[[#.]+\] +\d+ %")
        self.assertTrue(drawn.endswith(b"\r\033[K"), drawn)

    def test_dumb_terminal_gets_plain_lines(self):
        drawn = self.draw_on_terminal("typewriter", "dumb")
        self.assertNotIn(b"\033", drawn)
        # The terminal itself ends lines with both.
        self.assertRegex(drawn, rb"\A(\w[^\r\n]*: \d+ %[^\r\n]*\r\n)+\Z")

    def test_monitor_tells_what_happens(self):
        path = self.make_domain("watched")
        program = subprocess.Popen(
            [str(paths.built("src/vmsnapctl/vmsnapctl")), "--session", "--json", "monitor", "watched"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.program_environment())
        self.addCleanup(lambda: program.poll() is None and program.kill())
        # It can't be seen from outside when it begins to listen, so things happen until it has told of one.
        told = []
        while not told:
            self.client.run(path, "Domain", "Start")
            self.client.call(path, "Domain", "PowerOff")
            self.client.wait_property(path, "Domain", "State", "shutoff")
            told = self.lines_so_far(program.stdout)
        program.send_signal(signal.SIGINT)
        rest, errors = program.communicate(timeout=DEFAULT)
        self.assertEqual(program.returncode, 0, errors)
        told = [json.loads(line) for line in told + rest.splitlines()]
        self.assertTrue(all(event["kind"] in ("domain", "job") for event in told), told)
        self.assertTrue(any(event["what"] == "changed" and "state" in event["values"] for event in told), told)

    @staticmethod
    def lines_so_far(file):
        os.set_blocking(file.fileno(), False)
        try:
            return (file.read() or "").splitlines()
        finally:
            os.set_blocking(file.fileno(), True)


if __name__ == "__main__":
    main()
