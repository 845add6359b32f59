#!/usr/bin/env -S gjs -m
// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Lists the domains; with the name of one, takes a snapshot of it with its progress, and brings it back to it.
//
// Usage: take-and-revert.js [--session] [DOMAIN]
import Gio from 'gi://Gio?version=2.0';
import GLib from 'gi://GLib?version=2.0';
import VmSnap from 'gi://VmSnap?version=1.0';
import System from 'system';

Gio._promisify(VmSnap.Domain.prototype, 'create_snapshot', 'create_snapshot_finish');
Gio._promisify(VmSnap.Snapshot.prototype, 'revert', 'revert_finish');
Gio._promisify(VmSnap.Job.prototype, 'wait', 'wait_finish');

// Waits for the end of a job, and says how far it is; an error of the job is thrown.
async function wait(job) {
    const id = job.connect('notify::progress', () =>
        print(`  ${job.phase}: ${Math.floor(job.progress * 100)}%`));
    try {
        await job.wait(VmSnap.WaitFlags.NONE, null);
    } finally {
        job.disconnect(id);
    }
}

async function takeAndRevert(domain) {
    print(`Taking a snapshot of ${domain.name}`);
    const options = new GLib.Variant('a{sv}', {location: new GLib.Variant('s', 'internal')});
    const job = await domain.create_snapshot('', options, null);
    await wait(job);
    const snapshot = job.get_snapshot();

    print(`Reverting to ${snapshot.name}`);
    await wait(await snapshot.revert(null, null));
}

async function main(args) {
    const session = args[0] === '--session';
    if (session)
        args.shift();
    const client = VmSnap.Client.new_sync(session ? Gio.BusType.SESSION : Gio.BusType.SYSTEM, null);
    for (const domain of client.get_domains())
        print(`${domain.name}: ${domain.state}, ${domain.get_snapshots().length} snapshots`);
    if (args.length > 0)
        await takeAndRevert(client.find_domain(args[0]));
}

const loop = new GLib.MainLoop(null, false);
let status = 0;
main([...ARGV])
    .catch(error => {
        printerr(`take-and-revert.js: ${error.message}`);
        status = 1;
    })
    .finally(() => loop.quit());
loop.run();
System.exit(status);
