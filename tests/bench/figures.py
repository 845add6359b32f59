# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches share: series of measurements, tables of them, and what machine this is."""

import contextlib
import os
import pathlib
import statistics
import subprocess
import time


class Series:
    """Measurements of one thing, in seconds. The machine has other work, too: the median tells what to expect, the
    least what the thing itself costs."""

    def __init__(self, values=()):
        self.values = list(values)

    def add(self, value):
        self.values.append(value)

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def least(self):
        return min(self.values)


def timed(func, *arguments, **keywords):
    """Seconds that a call takes, and what it returns."""
    began = time.perf_counter()
    result = func(*arguments, **keywords)
    return time.perf_counter() - began, result


def ms(seconds):
    """Milliseconds in three digits or more."""
    value = seconds * 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value, reference):
    return f"{value / reference:.2f}" if reference else "–"


def print_table(header, rows):
    """A table in Markdown that can be read without a renderer, too: the first column is words, the others figures."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]

    def line(cells):
        padded = [str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                  for i, (cell, width) in enumerate(zip(cells, widths))]
        return f"| {' | '.join(padded)} |"

    print(line(header))
    print("|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":"
                         for i, width in enumerate(widths)) + "|")
    for row in rows:
        print(line(row))
    print(flush=True)


def machine():
    """The machine in a line: what figures depend on, and how busy it is."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")),
                 "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {os.uname().release}, "
            f"load {os.getloadavg()[0]:.1f}")


def processes_of(directory):
    """The ids of all processes on whose command line a directory is, and of this one."""
    found = [os.getpid()]
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.fsencode(directory) + b"/" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def prefer(processes, nice):
    """Puts processes before other work: the sessions they are in where the kernel shares time among sessions, and each
    of their threads where it doesn't."""
    for process in processes:
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{process}/autogroup").write_text(str(nice), encoding="ascii")
        with contextlib.suppress(OSError):
            for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)


def file_system(path):
    """What a directory is on: the file system's kind, its device, its options."""
    command = ["findmnt", "--noheadings", "--output", "FSTYPE,SOURCE,OPTIONS", "--target", path]
    return " ".join(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split())
