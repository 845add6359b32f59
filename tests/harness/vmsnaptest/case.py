# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base of our test cases, and a runner that speaks TAP, so that single cases are counted."""

import faulthandler
import os
import pathlib
import sys
import tempfile
import traceback
import unittest


class TestCase(unittest.TestCase):
    """A test case with directories of its own, and tidying that works for whole classes too."""

    maxDiff = None

    def make_directory(self):
        """A new directory, removed after the test."""
        return _directory(self.addCleanup)

    @classmethod
    def make_class_directory(cls):
        """A new directory, removed after the last test of the class."""
        return _directory(cls.addClassCleanup)

    def enter(self, context):
        """Enters a context manager that is left after the test."""
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    @classmethod
    def enter_class(cls, context):
        """Enters a context manager that is left after the last test of the class."""
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value


def _directory(add_cleanup):
    directory = tempfile.TemporaryDirectory(prefix="vmsnap-test-")
    add_cleanup(directory.cleanup)
    return pathlib.Path(directory.name)


def _name(test):
    return test.id().removeprefix("__main__.")


class TapResult(unittest.TestResult):
    """Prints a line of TAP for each case on standard output, and reasons of failures on standard error."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.not_ok = 0

    def _print(self, passed, test, remark=""):
        self.count += 1
        self.not_ok += not passed
        print(f"{'ok' if passed else 'not ok'} {self.count} {_name(test)}{remark}", flush=True)

    def _fail(self, test, error):
        self._print(False, test)
        print(f"--- {_name(test)}", file=sys.stderr)
        traceback.print_exception(*error)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._print(True, test)

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._print(True, test, f" # SKIP {reason}")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._print(False, test, " # TODO expected")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._fail(test, (AssertionError, AssertionError("it was expected to fail, and did not"), None))


def main():
    """Runs the tests of the calling module, or those named as arguments (Class or Class.test_method)."""
    # Where a test hangs should be seen before meson ends it.
    limit = int(os.environ.get("VMSNAP_TEST_TRACEBACK_AFTER", "0"))
    if limit:
        faulthandler.dump_traceback_later(limit)
    module = sys.modules["__main__"]
    loader = unittest.TestLoader()
    suite = (loader.loadTestsFromNames(sys.argv[1:], module) if len(sys.argv) > 1
             else loader.loadTestsFromModule(module))
    result = TapResult()
    suite.run(result)
    print(f"1..{result.count}", flush=True)
    sys.exit(1 if result.not_ok or not result.count else 0)
