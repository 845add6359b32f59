#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takes a checkpoint of a domain, memory and disks in files of their own, goes back to it, branches, shows the tree, and
deletes the checkpoint while the guest runs.

Usage: branch-and-delete.py [--session] DOMAIN
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
    result = job.dup_result().unpack()
    if "downtime" in result:
        print(f"  The guest stood still for {result['downtime'] / 1000:.0f} ms")
    if "warning" in result:
        print(f"  Warning: {result['warning']}")


def take(domain, name):
    print(f"Taking {name}")
    # Of a guest that runs it is a checkpoint in files of its own unless told otherwise.
    job = domain.create_snapshot_sync(name, None, None)
    wait(job)
    return job.get_snapshot()


def show_tree(domain):
    """Parents come before their children."""
    depths = {}
    for snapshot in domain.list_snapshots_sync(None, None):
        parent = snapshot.get_parent()
        depth = depths.get(parent.props.name, 0) + 1 if parent else 0
        depths[snapshot.props.name] = depth
        print(f"{'   ' * depth}{snapshot.props.name}{' <- current' if snapshot.props.is_current else ''}")


def branch_and_delete(domain):
    root = take(domain, "root")
    take(domain, "left")
    print("Reverting to root")
    wait(root.revert_sync(None, None))
    take(domain, "right")
    show_tree(domain)
    print("Deleting root")
    wait(root.delete_sync(None, None))
    show_tree(domain)


def main(arguments):
    bus = Gio.BusType.SYSTEM
    if arguments and arguments[0] == "--session":
        bus = Gio.BusType.SESSION
        arguments.pop(0)
    if len(arguments) != 1:
        sys.exit(__doc__)
    # It must stay: who is whose parent, and what came out of a job, is asked of it.
    client = VmSnap.Client.new_sync(bus, None)
    branch_and_delete(client.find_domain(arguments[0]))


try:
    main(sys.argv[1:])
except GLib.Error as error:
    sys.exit(f"branch-and-delete.py: {error.message}")
