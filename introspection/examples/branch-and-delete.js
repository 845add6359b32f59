#!/usr/bin/env -S gjs -m
// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Takes a checkpoint of a domain, memory and disks in files of their own, goes back to it, branches, shows the tree, and
// deletes the checkpoint while the guest runs.
//
// Usage: branch-and-delete.js [--session] DOMAIN
import Gio from 'gi://Gio?version=2.0';
import GLib from 'gi://GLib?version=2.0';
import VmSnap from 'gi://VmSnap?version=1.0';
import System from 'system';

Gio._promisify(VmSnap.Domain.prototype, 'create_snapshot', 'create_snapshot_finish');
Gio._promisify(VmSnap.Domain.prototype, 'list_snapshots', 'list_snapshots_finish');
Gio._promisify(VmSnap.Snapshot.prototype, 'revert', 'revert_finish');
Gio._promisify(VmSnap.Snapshot.prototype, 'delete', 'delete_finish');
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
    const result = job.dup_result().deepUnpack();
    if (result.downtime)
        print(`  The guest stood still for ${Math.round(result.downtime.deepUnpack() / 1000)} ms`);
    if (result.warning)
        print(`  Warning: ${result.warning.deepUnpack()}`);
}

async function take(domain, name) {
    print(`Taking ${name}`);
    // Of a guest that runs it is a checkpoint in files of its own unless told otherwise.
    const job = await domain.create_snapshot(name, null, null);
    await wait(job);
    return job.get_snapshot();
}

// Parents come before their children.
async function showTree(domain) {
    const depths = new Map();
    for (const snapshot of await domain.list_snapshots(null, null)) {
        const parent = snapshot.get_parent();
        const depth = parent ? depths.get(parent.name) + 1 : 0;
        depths.set(snapshot.name, depth);
        print(`${'   '.repeat(depth)}${snapshot.name}${snapshot.is_current ? ' <- current' : ''}`);
    }
}

async function branchAndDelete(domain) {
    const root = await take(domain, 'root');
    await take(domain, 'left');
    print('Reverting to root');
    await wait(await root.revert(null, null));
    await take(domain, 'right');
    await showTree(domain);
    print('Deleting root');
    await wait(await root.delete(null, null));
    await showTree(domain);
}

async function main(args) {
    const session = args[0] === '--session';
    if (session)
        args.shift();
    if (args.length !== 1)
        throw new Error('the name of a domain is needed');
    const client = VmSnap.Client.new_sync(session ? Gio.BusType.SESSION : Gio.BusType.SYSTEM, null);
    await branchAndDelete(client.find_domain(args[0]));
}

const loop = new GLib.MainLoop(null, false);
let status = 0;
main([...ARGV])
    .catch(error => {
        printerr(`branch-and-delete.js: ${error.message}`);
        status = 1;
    })
    .finally(() => loop.quit());
loop.run();
System.exit(status);
