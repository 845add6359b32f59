# SPDX-License-Identifier: LGPL-2.1-or-later
"""The process in which pulse.py listens: it writes down when each beat of a guest's heart arrived.

    pulse_listener.py SOCKET MEMORY NEWS    # three open descriptors; the last is an eventfd
"""

import contextlib
import mmap
import os
import socket
import struct
import sys
import time

BEAT_BYTES = 40
# Arrival in seconds since 1970, as QEMU's events have it; the guest's counter; the pages it has dirtied.
RECORD = struct.Struct("=dQQ")
# How many there are.
HEADER = struct.Struct("=Q")
MOST_BEATS = 4_000_000
SIZE = HEADER.size + RECORD.size * MOST_BEATS
PRIORITY = 20


def listen(connected, memory, news):
    rest = b""
    count = 0
    while count < MOST_BEATS and (data := connected.recv(65536)):
        now = time.time()
        *lines, rest = (rest + data).split(b"\n")
        # Beats that arrive together were held up; when the earlier ones would have come isn't known. A line that the
        # connection's begin has cut is none.
        if not lines or len(lines[-1]) != BEAT_BYTES - 1:
            continue
        _guest_us, counter, pages = map(int, lines[-1].split())
        RECORD.pack_into(memory, HEADER.size + RECORD.size * count, now, counter, pages)
        count += 1
        HEADER.pack_into(memory, 0, count)
        os.eventfd_write(news, 1)


def main():
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    connected, memory, news = map(int, sys.argv[1:])
    listen(socket.socket(fileno=connected), mmap.mmap(memory, SIZE), news)


if __name__ == "__main__":
    main()
