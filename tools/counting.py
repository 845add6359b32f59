# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts single test cases in what meson has logged.

A skipped case is a failed one, and so is one that never ran because the
program ended before.
"""

import dataclasses
import json
import re

TAP_CASE = re.compile(r"^(not )?ok\b *(\d*)(?: +-)? *([^#]*?) *(?:# *(SKIP|TODO)\b.*)?$", re.I)
TAP_PLAN = re.compile(r"^1\.\.(\d+)(?: *#.*)?$")
UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in ", re.M)
UNITTEST_BAD = re.compile(r"^(?:FAILED|OK) \((.*)\)$", re.M)


@dataclasses.dataclass
class Tally:
    """How many cases passed, and which did not."""

    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        return self

    @classmethod
    def of(cls, name, passed):
        return cls(1) if passed else cls(0, [name])


def count_tap(test, text):
    """The cases in a test program's TAP; None if it spoke no TAP."""
    tally = Tally()
    planned = None
    for line in text.splitlines():
        plan = TAP_PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            continue
        case = TAP_CASE.match(line)
        if not case:
            continue
        failed, number, name, directive = case.groups()
        if failed or directive:
            remark = f" ({directive.lower()})" if directive else ""
            tally.failed.append(f"{test}: {name or number}{remark}")
        else:
            tally.passed += 1

    seen = tally.passed + len(tally.failed)
    if planned is None and not seen:
        return None
    if planned == 0 and not seen:
        tally.failed.append(f"{test}: it has no cases")
    tally.failed += [f"{test}: case {number} did not run" for number in range(seen + 1, (planned or 0) + 1)]
    return tally


def count_unittest(test, text):
    """The cases in the summary that Python's unittest prints; None if there is none."""
    ran = UNITTEST_RAN.search(text)
    if not ran:
        return None
    bad = UNITTEST_BAD.search(text)
    failed = sum(int(number) for number in re.findall(r"=(\d+)", bad.group(1))) if bad else 0
    return Tally(max(0, int(ran.group(1)) - failed), [f"{test}: {bad.group(1)}"] * failed if bad else [])


def count_test(entry):
    """The cases of one test program: one line of meson's testlog.json."""
    name = entry["name"].rpartition(" / ")[2]
    passed = entry["result"] in ("OK", "EXPECTEDFAIL") and entry["returncode"] == 0
    tally = (count_tap(name, entry.get("stdout") or "")
             or count_unittest(name, (entry.get("stderr") or "") + (entry.get("stdout") or "")))
    if tally is None:
        return Tally.of(f"{name}: {entry['result']}", passed)
    if not passed and not tally.failed:
        # All cases were well, and then it died, or a sanitizer spoke.
        tally.failed.append(f"{name}: {entry['result']}, exit status {entry['returncode']}")
    return tally


def count_log(path):
    """The cases of all test programs in a testlog.json."""
    tally = Tally()
    with open(path, encoding="utf-8") as log:
        for line in log:
            tally.add(count_test(json.loads(line)))
    return tally
