#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmsnapctl saves guests, brings them back, and shows and edits their images."""

import os
import pty
import signal
import subprocess

from ctlsupport import CtlTestCase
from images import image_bytes
from support import plain_xml
from vmsnaptest import DEFAULT, main, paths

OTHER = "0c9d6f54-7c43-4a0c-9a53-3f7f7f2f03ff"


class SaveCase(CtlTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.make_directory()
        self.image = self.directory / "image"

    def state(self, name):
        return self.ask("show", name)["state"]

    def assert_no_file(self):
        self.assertEqual(list(self.directory.iterdir()), [])


class SaveTest(SaveCase):

    def test_guest_goes_into_a_file_and_comes_back(self):
        self.start_domain("round")
        saved = self.ctl("save", "round", self.image)
        self.assertRegex(saved.stdout, rf"^Saved round to {self.image} in \S+ m?s")
        self.assertRegex(saved.stderr, r"(?m)^[A-Z].*: \d+ %")
        self.assertEqual(self.state("round"), "shutoff")
        self.assertEqual(self.image.stat().st_mode & 0o777, 0o600)
        restored = self.ctl("restore", self.image)
        self.assertRegex(restored.stdout, rf"^Restored round from {self.image} in \S+ m?s")
        self.assertEqual(self.state("round"), "running")

    def test_help_says_that_an_image_belongs_to_its_disks(self):
        for command in ("save", "restore"):
            with self.subTest(command):
                self.assertIn("belongs to the disks as they were when it was saved",
                              self.ctl(command, "--help").stdout)

    def test_options_say_what_becomes_of_the_guest(self):
        self.start_domain("options")
        job = self.ask("save", "options", self.image, "--paused", "--compress", "--bypass-cache")
        self.assertEqual((job["operation"], job["state"]), ("save", "completed"))
        shown = self.ask("image", "show", self.image)
        self.assertEqual((shown["state"], shown["encoding"]), ("paused", "zstd"))
        self.ctl("restore", self.image, "--bypass-cache")
        self.assertEqual(self.state("options"), "paused")
        self.ctl("save", "options", self.image, "--running", "--encoding", "gzip")
        self.assertEqual(self.ask("image", "show", self.image)["encoding"], "gzip")
        self.ctl("restore", self.image, "--paused")
        self.assertEqual(self.state("options"), "paused")
        self.ctl("save", "options", self.image)
        job = self.ask("restore", self.image, "--running")
        self.assertEqual((job["operation"], job["state"], job["domain-name"]), ("restore", "completed", "options"))
        self.assertEqual(self.state("options"), "running")

    def test_definition_may_come_from_a_file(self):
        self.start_domain("definition")
        xml = self.directory / "domain.xml"
        xml.write_text(self.ctl("xml", "definition").stdout.replace("<vcpu", "<title>In the image</title><vcpu"),
                       encoding="utf-8")
        self.ctl("save", "definition", self.image, "--xml", xml)
        self.assertIn("In the image", self.ctl("image", "show", self.image, "--xml").stdout)
        xml.write_text(xml.read_text(encoding="utf-8").replace("In the image", "When restored"), encoding="utf-8")
        self.ctl("restore", self.image, "--xml", xml)
        self.assertIn("When restored", self.ctl("xml", "definition").stdout)
        xml.write_text("<domain", encoding="utf-8")
        self.refused("line 1", "save", "definition", self.directory / "another", "--xml", xml)
        self.refused("No such file", "save", "definition", self.directory / "another", "--xml", "/nonexistent")
        self.assertFalse((self.directory / "another").exists())

    def test_what_fails_leaves_no_new_file(self):
        self.make_domain("off")
        self.refused("shutoff", "save", "off", self.image)
        self.refused("There is no domain", "save", "nobody", self.image)
        self.assert_no_file()
        self.refused("no-such-directory", "save", "off", "/no-such-directory/image")

    def test_wrong_command_lines_leave_no_file(self):
        self.make_domain("wrong")
        for command in ("save", "managed-save"):
            arguments = (command, "wrong") + ((self.image,) if command == "save" else ())
            said = self.refused("There is no encoding 'nonsense'", *arguments, "--encoding", "nonsense", status=2)
            self.assertNotIn("hint", said)
        self.refused("needs a file", "save", "wrong", "-", status=2, cwd=self.directory)
        self.refused("needs a file", "restore", "-", status=2)
        self.assert_no_file()

    def test_failed_save_leaves_an_existing_file(self):
        self.make_domain("careful", uuid=OTHER)
        self.image.write_bytes(image_bytes(plain_xml("older", uuid=OTHER)))
        before = self.image.read_bytes()
        self.refused("shutoff", "save", "careful", self.image)
        self.assertEqual(self.image.read_bytes(), before)

    def test_what_is_no_image_is_overwritten_by_force_alone(self):
        self.start_domain("forced")
        self.image.write_text("the only copy of my thesis", encoding="utf-8")
        self.refused("no saved image", "save", "forced", self.image)
        self.assertEqual(self.image.read_text(encoding="utf-8"), "the only copy of my thesis")
        self.assertEqual(self.state("forced"), "running")
        self.ctl("save", "forced", self.image, "--force")
        self.assertTrue(self.ask("image", "show", self.image)["complete"])
        self.ctl("restore", self.image)
        self.ctl("save", "forced", self.image)

    def test_image_of_another_guest_is_overwritten_by_force_alone(self):
        self.start_domain("this")
        self.image.write_bytes(image_bytes(plain_xml("that", uuid=OTHER)))
        before = self.image.read_bytes()
        self.refused("--force", "save", "this", self.image)
        self.assertEqual(self.image.read_bytes(), before)
        self.assertEqual(self.state("this"), "running")
        self.ctl("save", "this", self.image, "--force")
        self.assertEqual(self.ask("image", "show", self.image)["domain-name"], "this")

    def test_unfinished_image_and_own_image_are_overwritten(self):
        self.start_domain("again")
        self.image.write_bytes(image_bytes(plain_xml("half", uuid=OTHER), magic=b"LibvirtQemudPart"))
        for _ in range(2):
            self.ctl("save", "again", self.image)
            self.assertEqual(self.ask("image", "show", self.image)["domain-name"], "again")
            self.ctl("restore", self.image)

    def test_interrupted_save_gives_the_guest_back_and_takes_the_file_away(self):
        pid = self.stopped_guest("interrupted")
        program, job = self.begin("save", "interrupted", str(self.image))
        self.read_until(program.stderr, ":")
        program.send_signal(signal.SIGINT)
        self.read_until(program.stderr, "Cancelling the job")
        os.kill(pid, signal.SIGCONT)
        end = self.client.end_of_job(job)
        _, errors = program.communicate(timeout=DEFAULT)
        self.assertEqual((end.state, program.returncode), ("cancelled", 1))
        self.assertIn("the guest goes on as before", errors)
        self.assertEqual(self.state("interrupted"), "running")
        self.assert_no_file()

    def test_save_that_is_not_waited_for_keeps_its_file(self):
        self.start_domain("elsewhere")
        _, job = self.begin("save", "elsewhere", str(self.image), "--no-wait")
        self.client.wait_job(job)
        self.assertTrue(self.ask("image", "show", self.image)["complete"])

    def test_what_can_not_be_restored_is_told(self):
        self.image.write_bytes(image_bytes(plain_xml("broken", uuid=OTHER))[:100])
        said = self.refused("complete", "restore", self.image)
        self.assertTrue(said.startswith(f"vmsnapctl: {self.image}: "), said)
        self.refused("No such file", "restore", self.directory / "none")
        self.refused("neither a regular file", "restore", self.directory)


class ManagedSaveTest(SaveCase):

    def test_start_restores_it(self):
        self.start_domain("managed")
        saved = self.ctl("managed-save", "managed", "--compress", "--paused")
        self.assertRegex(saved.stdout, r"^Saved managed in \S+ m?s.*\nIts next start restores it\n$")
        self.assertRegex(self.ctl("list").stdout, r"(?m)^managed +shutoff, saved ")
        self.assertRegex(self.ctl("show", "managed").stdout, r"(?m)^Managed save: +yes$")
        self.assertIn("managed-save-remove", self.refused("managed save", "undefine", "managed"))
        self.ctl("start", "managed", "--bypass-cache")
        self.assertEqual(self.ask("show", "managed")["state-reason"], "restored")
        self.assertEqual(self.state("managed"), "paused")
        self.assertRegex(self.ctl("list").stdout, r"(?m)^managed +paused ")

    def test_damaged_one_is_told_with_the_option_that_helps(self):
        self.start_domain("damaged")
        self.ctl("managed-save", "damaged")
        kept, = self.service.state.rglob("managed-save")
        os.truncate(kept, kept.stat().st_size - 4096)
        said = self.ctl("start", "damaged", status=1).stderr
        self.assertIn("shorter", said)
        self.assertIn("--discard-managed-save", said)
        self.ctl("start", "damaged", "--discard-managed-save")
        self.assertEqual(self.state("damaged"), "running")

    def test_it_is_discarded_removed_and_undefined(self):
        self.start_domain("given up")
        self.ctl("managed-save", "given up", "--running", "--encoding", "gzip")
        self.ctl("start", "given up", "--discard-managed-save")
        self.assertEqual(self.ask("show", "given up")["state-reason"], "booted")
        self.ask("managed-save", "given up")
        self.assertEqual(self.ctl("managed-save-remove", "given up").stdout, "Removed the managed save of given up\n")
        self.refused("no managed save", "managed-save-remove", "given up")
        self.ctl("start", "given up")
        self.ctl("managed-save", "given up")
        self.ctl("undefine", "given up", "--managed-save")
        self.refused("given up", "show", "given up")


class ImageTest(SaveCase):

    def setUp(self):
        super().setUp()
        self.image.write_bytes(image_bytes(plain_xml("pictured", uuid=OTHER).replace(
            "<vcpu", "<title>before</title><vcpu")))

    def title(self):
        return self.ctl("image", "show", self.image, "--xml").stdout.partition("<title>")[2].partition("</title>")[0]

    def edit(self, script, *arguments, **more):
        """Edits with a shell's script, which gets the file's name."""
        editor = self.directory / "editor"
        editor.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        editor.chmod(0o755)
        environment = {**self.program_environment(), "VISUAL": "", "EDITOR": f"'{editor}' --option"}
        return subprocess.run([paths.built("src/vmsnapctl/vmsnapctl"), "--session", "image", "edit", self.image,
                               *arguments], env=environment, timeout=DEFAULT, text=True, check=False,
                              **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                 **more})

    def test_image_is_shown(self):
        text = self.ctl("image", "show", self.image).stdout
        for line in (r"Domain: +pictured", rf"Uuid: +{OTHER}", "State: +running when restored", "Complete: +yes",
                     "Encoding: +raw", r"Memory: +4.0 KiB", "Format: +version 2"):
            self.assertRegex(text, rf"(?m)^{line}$")
        shown = self.ask("image", "show", self.image)
        self.assertEqual({key: value for key, value in shown.items() if key != "xml"},
                         {"format-version": 2, "complete": True, "state": "running", "encoding": "raw",
                          "domain-name": "pictured", "domain-uuid": OTHER, "memory-size": 4096})
        self.assertIn("<title>before</title>", shown["xml"])
        self.assertEqual(self.ask("image", "show", "--xml", self.image), {"xml": shown["xml"]})

    def test_image_that_is_not_complete_says_so(self):
        self.image.write_bytes(image_bytes(plain_xml("half", uuid=OTHER), magic=b"LibvirtQemudPart"))
        self.assertRegex(self.ctl("image", "show", self.image).stdout, r"(?m)^Complete: +no: it can't be restored$")

    def test_what_is_no_image_is_refused(self):
        for content, says in ((b"", "empty"), (b"#!/bin/sh\n" * 20, "no saved image"), (b"LibvirtQemudSave", "complete")):
            self.image.write_bytes(content)
            for command in (("image", "show"), ("image", "edit", "--paused"), ("restore",)):
                said = self.refused(says, *command, self.image)
                self.assertTrue(said.startswith(f"vmsnapctl: {self.image}: "), said)

    def test_options_change_it_without_an_editor(self):
        self.assertEqual(self.ctl("image", "edit", self.image, "--paused").stdout, f"Changed {self.image}\n")
        self.assertEqual(self.ask("image", "show", self.image)["state"], "paused")
        xml = self.directory / "domain.xml"
        xml.write_text(self.ctl("image", "show", self.image, "--xml").stdout.replace("before", "after"),
                       encoding="utf-8")
        self.ctl("image", "edit", self.image, "--running", "--xml", xml)
        self.assertEqual((self.ask("image", "show", self.image)["state"], self.title()), ("running", "after"))
        xml.write_text(xml.read_text(encoding="utf-8").replace(">64<", ">128<"), encoding="utf-8")
        self.refused("memory", "image", "edit", self.image, "--xml", xml)

    def test_help_names_the_variables_of_the_editor(self):
        self.assertIn("EDITOR", self.ctl("image", "edit", "--help").stdout)

    def test_editor_changes_it(self):
        done = self.edit('test "$1" = --option && sed -i s/before/after/ "$2"')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"Changed {self.image}\n", ""))
        self.assertEqual(self.title(), "after")
        done = self.edit("true")
        self.assertEqual((done.returncode, done.stdout), (0, f"Nothing was changed in {self.image}\n"))

    def test_editor_that_fails_changes_nothing(self):
        done = self.edit('sed -i s/before/after/ "$2"; exit 3')
        self.assertEqual(done.returncode, 1)
        self.assertIn("EDITOR", done.stderr)
        self.assertEqual(self.title(), "before")

    def test_refused_text_is_an_error_where_nobody_can_be_asked(self):
        done = self.edit('sed -i s/64/65/ "$2"')
        self.assertEqual(done.returncode, 1)
        self.assertIn("memory", done.stderr)
        self.assertEqual(self.title(), "before")

    def test_refused_text_may_be_edited_again(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        os.write(ours, b"y\nn\n")
        # First a mistake, then, with that still in the text, the right one; at last another mistake, which is given up.
        script = ('if grep -q title.before "$2" && grep -q ">64<" "$2"; then sed -i "s/>64</>65</" "$2"; '
                  'else sed -i "s/>65</>64</; s/before/after/" "$2"; fi')
        done = self.edit(script, stdin=theirs)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Edit again?", done.stderr)
        self.assertEqual(self.title(), "after")
        done = self.edit('sed -i "s/>64</>65</" "$2"', stdin=theirs)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Edit again?", done.stderr)
        self.assertEqual(self.title(), "after")


if __name__ == "__main__":
    main()
