#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tools/counting.py: no case is lost, and none passes that did not."""

import json
import pathlib
import sys

from vmsnaptest import TestCase, main

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from counting import count_log, count_test  # noqa: E402  (the path must be set first)


def entry(stdout="", stderr="", result="OK", returncode=0):
    return {"name": "vmsnap:unit / unit-x", "stdout": stdout, "stderr": stderr, "result": result,
            "returncode": returncode}


class Counting(TestCase):
    def assert_counted(self, counted, passed, *failed):
        self.assertEqual((counted.passed, counted.failed), (passed, list(failed)))

    def test_tap_cases_are_counted_singly(self):
        self.assert_counted(count_test(entry("1..2\nok 1 /a/b\n# a remark\nok 2 /a/c\n")), 2)

    def test_failed_case_is_named(self):
        self.assert_counted(count_test(entry("1..2\nok 1 /a\nnot ok 2 /b\n", result="FAIL", returncode=1)), 1,
                            "unit-x: /b")

    def test_dash_before_a_name_is_no_part_of_it(self):
        self.assert_counted(count_test(entry("not ok 1 - /b\n1..1\n", result="FAIL")), 0, "unit-x: /b")

    def test_skipped_case_is_a_failed_one(self):
        self.assert_counted(count_test(entry("ok 1 /a # SKIP no kvm\n1..1\n")), 0, "unit-x: /a (skip)")

    def test_program_that_skips_everything_is_failed(self):
        self.assert_counted(count_test(entry("1..0 # SKIP nothing here\n", result="SKIP")), 0,
                            "unit-x: it has no cases")

    def test_cases_after_a_crash_are_failed_ones(self):
        self.assert_counted(count_test(entry("1..3\nok 1 /a\n", result="ERROR", returncode=-6)), 1,
                            "unit-x: case 2 did not run", "unit-x: case 3 did not run")

    def test_bad_exit_after_good_cases_is_a_failed_case(self):
        self.assert_counted(count_test(entry("ok 1 /a\n1..1\n", result="ERROR", returncode=1)), 1,
                            "unit-x: ERROR, exit status 1")

    def test_timeout_without_a_word_is_a_failed_case(self):
        self.assert_counted(count_test(entry(result="TIMEOUT", returncode=-15)), 0, "unit-x: TIMEOUT")

    def test_unittest_summary_is_understood(self):
        self.assert_counted(count_test(entry(stderr="...\nRan 3 tests in 0.1s\n\nOK\n")), 3)
        self.assert_counted(count_test(entry(stderr="Ran 5 tests in 0.1s\n\nFAILED (failures=1, skipped=1)\n",
                                             result="FAIL", returncode=1)),
                            3, *["unit-x: failures=1, skipped=1"] * 2)

    def test_plain_program_is_one_case(self):
        self.assert_counted(count_test(entry("hello\n")), 1)
        self.assert_counted(count_test(entry("hello\n", result="FAIL", returncode=1)), 0, "unit-x: FAIL")

    def test_log_is_the_sum_of_its_lines(self):
        log = self.make_directory() / "testlog.json"
        log.write_text("".join(json.dumps(line) + "\n" for line in (entry("ok 1 a\nok 2 b\n1..2\n"), entry("x"))))
        self.assert_counted(count_log(log), 3)


if __name__ == "__main__":
    main()
