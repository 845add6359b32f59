// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The client library as programs in JavaScript use it. test_client_gjs.py runs it with the definition of a domain in a
// file, and the uuid of that domain, as arguments. Prints TAP.
import Gio from 'gi://Gio?version=2.0';
import GLib from 'gi://GLib?version=2.0';
import VmSnap from 'gi://VmSnap?version=1.0';
import System from 'system';

for (const [type, ...methods] of [
    [VmSnap.Client, 'define_domain', 'restore_domain_from_file', 'inspect_image_file', 'rewrite_image_file'],
    [VmSnap.Domain, 'save_to_file', 'managed_save', 'remove_managed_save', 'start', 'resume', 'create_snapshot',
        'pause', 'undefine', 'power_off', 'list_snapshots', 'get_xml'],
    [VmSnap.Snapshot, 'revert', 'delete'],
    [VmSnap.Job, 'wait', 'wait_with_progress'],
]) {
    for (const method of methods)
        Gio._promisify(type.prototype, method, `${method}_finish`);
}

const INTERNAL = {location: new GLib.Variant('s', 'internal')};
const [file, uuid] = ARGV;
const client = VmSnap.Client.new_sync(Gio.BusType.SESSION, null);
const options = dict => new GLib.Variant('a{sv}', dict);
const cases = [];

function assertEqual(got, wanted, what) {
    if (got !== wanted)
        throw new Error(`${what}: ${got}, not ${wanted}`);
}

async function assertError(code, promise, what) {
    try {
        await promise;
    } catch (error) {
        if (error.matches(VmSnap.Error, code))
            return;
        throw error;
    }
    throw new Error(`${what} was not refused`);
}

async function complete(job) {
    await job.wait(VmSnap.WaitFlags.NONE, null);
    assertEqual(job.get_state(), VmSnap.JobState.COMPLETED, 'the state of the job');
    return job;
}

// Resolves when an object's property has a value, now or later.
function becomes(object, property, value) {
    return new Promise(resolve => {
        if (object[property] === value) {
            resolve();
            return;
        }
        const id = object.connect(`notify::${property}`, () => {
            if (object[property] !== value)
                return;
            object.disconnect(id);
            resolve();
        });
    });
}

const domain = () => client.lookup_domain(VmSnap.Domain.object_path(uuid));

cases.push(['a definition becomes an object', async () => {
    const [, bytes] = GLib.file_get_contents(file);
    const defined = await client.define_domain(new TextDecoder().decode(bytes), null, null);
    assertEqual(defined.get_uuid(), uuid, 'the uuid');
    assertEqual(defined, domain(), 'the object');
    assertEqual(client.find_domain(defined.name), defined, 'what was found');
    assertEqual(defined.get_state(), VmSnap.DomainState.SHUTOFF, 'the state');
}]);

cases.push(['the guest starts', async () => {
    await complete(await domain().start(null, null));
    await becomes(domain(), 'state', 'running');
}]);

cases.push(['a snapshot is taken, and told with its progress', async () => {
    const job = await domain().create_snapshot('from js', options(INTERNAL), null);
    const told = [];
    job.connect('notify::progress', () => told.push(job.progress));
    await complete(job);
    assertEqual(told.at(-1), 1, 'the last progress');
    assertEqual(job.get_snapshot().name, 'from js', 'the name');
    assertEqual(domain().get_current_snapshot(), job.get_snapshot(), 'the current snapshot');
    assertEqual((await domain().list_snapshots(null, null)).length, 1, 'the number of snapshots');
}]);

cases.push(['an error has its code', async () => {
    await assertError(VmSnap.Error.ALREADY_EXISTS, domain().create_snapshot('from js', options(INTERNAL), null),
        'the name');
    await assertError(VmSnap.Error.HAS_SNAPSHOTS, domain().undefine(null, null), 'undefine');
    const nonsense = options({nonsense: new GLib.Variant('b', true)});
    await assertError(VmSnap.Error.INVALID_ARGUMENT, domain().pause(nonsense, null), 'nonsense');
}]);

cases.push(['a paused guest runs again after the revert', async () => {
    await domain().pause(null, null);
    await becomes(domain(), 'state', 'paused');
    const [snapshot] = domain().get_snapshots();
    await complete(await snapshot.revert(null, null));
    await becomes(domain(), 'state', 'running');
}]);

cases.push(['the guest is saved into a file with its progress, and restored', async () => {
    const image = Gio.File.new_for_path(`${file}.image`);
    const job = await domain().save_to_file(image, options({encoding: new GLib.Variant('s', 'gzip')}), null);
    const told = [];
    await job.wait_with_progress(VmSnap.WaitFlags.NONE, null,
        (of, phase, done, total) => told.push([of === job, done, total]));
    const [isThis, done, total] = told.at(-1);
    assertEqual(isThis, true, 'the job that was told of');
    assertEqual(done, total, 'the last bytes');
    await becomes(domain(), 'state', 'shutoff');
    const info = await client.inspect_image_file(image, null);
    assertEqual(info.domain_uuid, uuid, 'the uuid in the image');
    assertEqual(info.encoding, 'gzip', 'the encoding');
    assertEqual(info.state, VmSnap.DomainState.RUNNING, 'the state in the image');
    await client.rewrite_image_file(image, options({paused: new GLib.Variant('b', true)}), null);
    await complete(await client.restore_domain_from_file(image, null, null));
    await becomes(domain(), 'state', 'paused');
    await domain().resume(null, null);
}]);

cases.push(['the guest is saved by the service, and started from that', async () => {
    await complete(await domain().managed_save(null, null));
    assertEqual(domain().has_managed_save, true, 'whether there is a managed save');
    await complete(await domain().start(null, null));
    await becomes(domain(), 'state', 'running');
    await assertError(VmSnap.Error.NOT_FOUND, domain().remove_managed_save(null, null), 'removing');
}]);

cases.push(['what was made is deleted', async () => {
    const [snapshot] = domain().get_snapshots();
    await complete(await snapshot.delete(null, null));
    assertEqual(domain().get_snapshots().length, 0, 'the number of snapshots');
    await domain().power_off(null, null);
    await domain().undefine(null, null);
    assertEqual(domain(), null, 'the domain');
}]);

async function main() {
    let failed = 0;
    for (const [i, [name, run]] of cases.entries()) {
        try {
            await run();
            print(`ok ${i + 1} ${name}`);
        } catch (error) {
            failed++;
            print(`not ok ${i + 1} ${name}`);
            printerr(`${error.message}\n${error.stack}`);
        }
    }
    print(`1..${cases.length}`);
    return failed;
}

const loop = new GLib.MainLoop(null, false);
let failed = 1;
main().then(count => (failed = count), error => printerr(error.message)).finally(() => loop.quit());
loop.run();
System.exit(failed ? 1 : 0);
