# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that stand still for a while."""

import os
import pathlib
import signal
import time

from .deadline import DEFAULT, Deadline, DeadlinePassed

LOOK_AGAIN = 0.002


def _all_threads_stand(pid):
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "TZX":
            return False
    return True


def stop_process(pid, timeout=DEFAULT):
    """Sends SIGSTOP, and waits until it has reached every thread: before, they may do this and that."""
    os.kill(pid, signal.SIGSTOP)
    deadline = Deadline(timeout)
    while not _all_threads_stand(pid):
        if deadline.passed():
            raise DeadlinePassed(f"process {pid} does not stop")
        time.sleep(LOOK_AGAIN)


def continue_process(pid):
    """Lets it go on."""
    os.kill(pid, signal.SIGCONT)
