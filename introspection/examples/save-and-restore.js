#!/usr/bin/env -S gjs -m
// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Puts a guest into a file with its progress, says what is in that, and brings the guest back.
//
// Usage: save-and-restore.js [--session] DOMAIN FILE
import Gio from 'gi://Gio?version=2.0';
import GLib from 'gi://GLib?version=2.0';
import VmSnap from 'gi://VmSnap?version=1.0';
import System from 'system';

Gio._promisify(VmSnap.Domain.prototype, 'save_to_file', 'save_to_file_finish');
Gio._promisify(VmSnap.Client.prototype, 'inspect_image_file', 'inspect_image_file_finish');
Gio._promisify(VmSnap.Client.prototype, 'restore_domain_from_file', 'restore_domain_from_file_finish');
Gio._promisify(VmSnap.Job.prototype, 'wait_with_progress', 'wait_with_progress_finish');

// Waits for the end of a job, and says how far it is; an error of the job is thrown.
function wait(job) {
    return job.wait_with_progress(VmSnap.WaitFlags.NONE, null,
        (_job, phase, done, total) => print(`  ${phase}: ${done} of ${total} bytes`));
}

async function saveAndRestore(client, domain, file) {
    print(`Saving ${domain.name}`);
    const options = new GLib.Variant('a{sv}', {encoding: new GLib.Variant('s', 'gzip')});
    await wait(await domain.save_to_file(file, options, null));

    const info = await client.inspect_image_file(file, null);
    print(`${info.domain_name}, ${info.encoding}: ${info.memory_size} bytes`);

    print('Restoring');
    await wait(await client.restore_domain_from_file(file, null, null));
}

async function main(args) {
    const session = args[0] === '--session';
    if (session)
        args.shift();
    if (args.length !== 2)
        throw new Error('Usage: save-and-restore.js [--session] DOMAIN FILE');
    const client = VmSnap.Client.new_sync(session ? Gio.BusType.SESSION : Gio.BusType.SYSTEM, null);
    await saveAndRestore(client, client.find_domain(args[0]), Gio.File.new_for_commandline_arg(args[1]));
}

const loop = new GLib.MainLoop(null, false);
let status = 0;
main([...ARGV])
    .catch(error => {
        printerr(`save-and-restore.js: ${error.message}`);
        status = 1;
    })
    .finally(() => loop.quit());
loop.run();
System.exit(status);
