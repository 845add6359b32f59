# SPDX-License-Identifier: LGPL-2.1-or-later
"""Why a guest does not answer: what its console, its QEMU's threads and the monitor tell, in words for a failure."""

import os
import pathlib
import select

from .qmp import BareQmp, QmpError, QmpGone

# Of the console; a panic with its call trace fits.
TAIL = 3000
# Between two looks at the same thing, in seconds.
APART = 0.5
PATIENCE = 10.0


def console_tail(path):
    """The end of a serial line that goes to a file."""
    try:
        return pathlib.Path(path).read_bytes()[-TAIL:].decode("utf-8", "replace")
    except OSError as error:
        return str(error)


def _threads(pid):
    """{thread's id: (state, ticks of processor time)}."""
    found = {}
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            words = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        found[path.parent.name] = (words[0], int(words[11]) + int(words[12]))
    return found


def _let_work(pid):
    """Gives it the time between two looks, or until it ends."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([fd], [], [], APART)
    os.close(fd)


def threads_at_work(pid):
    """What each thread of QEMU did within half a second."""
    before = _threads(pid)
    _let_work(pid)
    after = _threads(pid)
    return ", ".join(f"{thread} {state} +{ticks - before.get(thread, (state, ticks))[1]} ticks"
                     for thread, (state, ticks) in sorted(after.items())) or "none"


def ask_monitor(monitor, pid):
    """QEMU's own view; the processor's registers twice, for one that stands still shows them unchanged."""
    found = [f"status: {monitor.execute('query-status', timeout=PATIENCE)}",
             f"character devices: {monitor.execute('query-chardev', timeout=PATIENCE)}",
             f"jobs: {monitor.execute('query-jobs', timeout=PATIENCE)}"]
    for _ in range(2):
        found.append(monitor.execute("human-monitor-command", {"command-line": "info registers -a"}, timeout=PATIENCE)
                     .partition("\nES")[0])
        _let_work(pid)
    return "\n".join(found)


def ask_monitor_at(path, pid):
    """The same of a QEMU whose monitor nobody holds."""
    try:
        with BareQmp(path, PATIENCE) as monitor:
            return ask_monitor(monitor, pid)
    except (OSError, AssertionError, QmpError, QmpGone) as error:
        return f"the monitor does not tell: {error}"
