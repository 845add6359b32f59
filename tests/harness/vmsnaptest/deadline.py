# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for events, never longer than a deadline.

Everything runs on GLib's default main context, in the one thread of the test.
"""

import time

from gi.repository import GLib

# Long enough for a busy machine; a test that passes never waits so long.
DEFAULT = 60.0


class DeadlinePassed(AssertionError):
    """What a test waited for did not happen."""


class Deadline:
    """A point in time by which something must have happened."""

    def __init__(self, seconds=DEFAULT):
        self._end = time.monotonic() + seconds

    def left(self):
        """Seconds left; never negative."""
        return max(0.0, self._end - time.monotonic())

    def passed(self):
        return self.left() == 0.0


def wait_until(happened, what, timeout=DEFAULT):
    """Runs the main context until happened() is true, and returns what it returned.

    It is asked again after each event that the context dispatched.
    """
    result = happened()
    if result:
        return result

    context = GLib.MainContext.default()
    passed = []
    source = GLib.timeout_source_new(max(1, int(timeout * 1000)))
    source.set_callback(lambda *_: passed.append(True) or GLib.SOURCE_REMOVE)
    source.attach(context)
    try:
        while not passed:
            context.iteration(True)
            result = happened()
            if result:
                return result
    finally:
        source.destroy()
    raise DeadlinePassed(f"{what}: not within {timeout:g} s")


def settle():
    """Dispatches what has already arrived, without waiting."""
    context = GLib.MainContext.default()
    while context.iteration(False):
        pass
