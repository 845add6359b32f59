#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists the domains; with the name of one, takes a snapshot of it with its progress, and brings it back to it.

Usage: take-and-revert.py [--session] [DOMAIN]
"""
import sys

import gi

gi.require_version("VmSnap", "1.0")
from gi.repository import Gio, GLib, VmSnap  # noqa: E402


def wait(job):
    """Waits for the end of a job, and says how far it is; an error of the job is raised."""
    loop = GLib.MainLoop()
    results = []
    job.connect("notify::progress", lambda *_: print(f"  {job.props.phase}: {job.props.progress:.0%}", flush=True))
    job.wait(VmSnap.WaitFlags.NONE, None, lambda _job, result: (results.append(result), loop.quit()))
    loop.run()
    job.wait_finish(results[0])


def take_and_revert(domain):
    print(f"Taking a snapshot of {domain.props.name}")
    options = GLib.Variant("a{sv}", {"location": GLib.Variant("s", "internal")})
    job = domain.create_snapshot_sync("", options, None)
    wait(job)
    snapshot = job.get_snapshot()

    print(f"Reverting to {snapshot.props.name}")
    wait(snapshot.revert_sync(None, None))


def main(arguments):
    bus = Gio.BusType.SYSTEM
    if arguments and arguments[0] == "--session":
        bus = Gio.BusType.SESSION
        arguments.pop(0)
    client = VmSnap.Client.new_sync(bus, None)
    for domain in client.get_domains():
        print(f"{domain.props.name}: {domain.props.state}, {len(domain.get_snapshots())} snapshots")
    if arguments:
        take_and_revert(client.find_domain(arguments[0]))


try:
    main(sys.argv[1:])
except GLib.Error as error:
    sys.exit(f"take-and-revert.py: {error.message}")
