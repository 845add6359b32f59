#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts a guest into a file with its progress, says what is in that, and brings the guest back. Ctrl-C cancels either.

Usage: save-and-restore.py [--session] DOMAIN FILE
"""
import signal
import sys

import gi

gi.require_version("VmSnap", "1.0")
from gi.repository import Gio, GLib, VmSnap  # noqa: E402


def show(_job, phase, done, total, *_):
    print(f"  {phase}: {done} of {total} bytes", flush=True)


def wait(job, cancellable):
    """Waits for the end of a job, and says how far it is; an error of the job is raised."""
    loop = GLib.MainLoop()
    results = []
    job.wait_with_progress(VmSnap.WaitFlags.CANCEL_JOB, cancellable, progress_callback=show,
                           callback=lambda _job, result: (results.append(result), loop.quit()))
    loop.run()
    job.wait_with_progress_finish(results[0])


def save_and_restore(client, domain, file):
    cancellable = Gio.Cancellable()
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGINT, lambda: cancellable.cancel() or True)

    print(f"Saving {domain.props.name}")
    options = GLib.Variant("a{sv}", {"encoding": GLib.Variant("s", "gzip")})
    wait(domain.save_to_file_sync(file, options, cancellable), cancellable)

    info = client.inspect_image_file_sync(file, cancellable)
    print(f"{info.props.domain_name}, {info.props.encoding}: {info.props.memory_size} bytes")

    print("Restoring")
    wait(client.restore_domain_from_file_sync(file, None, cancellable), cancellable)


def main(arguments):
    bus = Gio.BusType.SYSTEM
    if arguments and arguments[0] == "--session":
        bus = Gio.BusType.SESSION
        arguments.pop(0)
    if len(arguments) != 2:
        sys.exit(__doc__)
    client = VmSnap.Client.new_sync(bus, None)
    save_and_restore(client, client.find_domain(arguments[0]), Gio.File.new_for_commandline_arg(arguments[1]))


try:
    main(sys.argv[1:])
except GLib.Error as error:
    sys.exit(f"save-and-restore.py: {error.message}")
