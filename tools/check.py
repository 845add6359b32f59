# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds, and runs every test there is: what tools/check does once the packages are there.

Build trees, in the sources: _build-check, with sanitizers _build-asan and _build-tsan, with the reference manual _build-doc.
"""

import os
import pathlib
import re
import subprocess
import sys
import time

from counting import Tally, count_log

SOURCE = pathlib.Path(__file__).resolve().parents[1]

SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1:abort_on_error=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "LSAN_OPTIONS": f"suppressions={SOURCE / 'tests/lsan.supp'}",
    # What GLib keeps for good is then found by the leak checker from its own lists.
    "G_SLICE": "always-malloc",
}


def colour(code, text):
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


class Check:
    """One run of everything: what has been counted, and how long the steps took."""

    def __init__(self):
        self.tally = Tally()
        self._began = time.monotonic()

    def step(self, title):
        elapsed = int(time.monotonic() - self._began)
        print(colour("1", f"== [{elapsed // 60}:{elapsed % 60:02}] {title}"), flush=True)

    def run(self, name, *command, **environment):
        """Runs a command that must succeed; a failure is counted as a failed case of this name."""
        done = subprocess.run(list(map(str, command)), cwd=SOURCE, env={**os.environ, **environment}, check=False)
        if done.returncode != 0:
            self.tally.add(Tally.of(name, False))
        return done.returncode == 0

    def case(self, name, *command):
        """The same for a command that is a test case itself."""
        if self.run(name, *command):
            self.tally.add(Tally.of(name, True))

    def build(self, directory, *options):
        """Sets up (or updates) and builds a tree, warnings being errors."""
        tree = SOURCE / directory
        again = ["--reconfigure"] if (tree / "build.ninja").exists() else []
        return (self.run(f"{directory}: set-up", "meson", "setup", *again, tree, "-Dwerror=true", *options)
                and self.run(f"{directory}: build", "ninja", "-C", tree))

    def test(self, directory, *options, setup=None, **environment):
        """Runs meson's tests in a tree and counts their cases; what it prints of itself is only for reading."""
        tree = SOURCE / directory
        log = tree / "meson-logs" / (f"testlog-{setup}.json" if setup else "testlog.json")
        options += ("--setup", setup) if setup else ()
        log.unlink(missing_ok=True)
        subprocess.run(["meson", "test", "-C", tree, "--no-rebuild", "--print-errorlogs", *options], cwd=SOURCE,
                       env={**os.environ, **environment}, check=False)
        if log.exists():
            self.tally.add(count_log(log))
        else:
            self.tally.add(Tally.of(f"{directory}: meson test ran nothing", False))

    def finish(self):
        """The summary; the exit status."""
        self.step("done")
        for name in self.tally.failed:
            print(colour("31", f"FAILED {name}"))
        print(f"{self.tally.passed} passed, {len(self.tally.failed)} failed", flush=True)
        return 1 if self.tally.failed else 0


def tracked_files():
    done = subprocess.run(["git", "-C", SOURCE, "-c", f"safe.directory={SOURCE}", "ls-files"], stdout=subprocess.PIPE,
                          text=True, check=True)
    return [SOURCE / name for name in done.stdout.splitlines() if (SOURCE / name).is_file()]


def shell_scripts():
    """Every tracked file that a shell runs."""
    for path in tracked_files():
        with open(path, "rb") as file:
            first = file.readline(80)
        if first.startswith(b"#!") and first.split()[-1].endswith(b"sh"):
            yield path


def undocumented(directory):
    """What gtk-doc found without a description, without a place in the manual, or gone from the headers."""
    folder = SOURCE / directory / "docs/reference"
    found = []
    for name in ("undocumented", "unused", "undeclared"):
        lines = (folder / f"vmsnap-{name}.txt").read_text(encoding="utf-8").splitlines()
        found += [f"{line} ({name})" for line in lines if re.fullmatch(r"\w+( \(.*\))?", line)]
    return found


def check_manual(check):
    """The reference manual builds, and holds every public symbol."""
    if not (check.build("_build-doc", "-Dgtk_doc=true", "-Dintrospection=false")
            and check.run("reference manual", "ninja", "-C", SOURCE / "_build-doc", "vmsnap-doc")):
        return
    found = undocumented("_build-doc")
    for symbol in found:
        check.tally.add(Tally.of(f"reference manual: {symbol}", False))
    if not found:
        check.tally.add(Tally.of("reference manual", True))


def main():
    check = Check()

    check.step("scripts")
    for script in shell_scripts():
        check.case(f"shellcheck {script.relative_to(SOURCE)}", "shellcheck", script)

    check.step("test guest and QEMU 10")
    check.run("test guest", SOURCE / "tests/guest/build")
    check.run("QEMU 10", SOURCE / "tests/guest/fetch-qemu10")

    check.step("build")
    if check.build("_build-check"):
        check.step("tests")
        check.test("_build-check")
        check.step("unit tests under valgrind")
        check.test("_build-check", "--suite", "unit", "--no-suite", "no-valgrind", setup="valgrind")

    check.step("build with sanitizers")
    if check.build("_build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dintrospection=false"):
        check.step("tests with sanitizers")
        check.test("_build-asan", "--suite", "unit", "--suite", "bus", **SANITIZER_ENVIRONMENT)

    check.step("threads")
    check.case("tests/tsan", SOURCE / "tests/tsan")

    check.step("reference manual")
    check_manual(check)

    return check.finish()


if __name__ == "__main__":
    sys.exit(main())
