// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Puts a guest into a file with its progress, says what is in that, and brings the guest back.
//
// Usage: save-and-restore [--session] DOMAIN FILE

// Waits for the end of a job, and says how far it is; an error of the job is thrown.
async void wait (VmSnap.Job job) throws Error {
    yield job.wait_with_progress (VmSnap.WaitFlags.NONE, null, (job, phase, done, total) => {
        print ("  %s: %s of %s bytes\n", phase, done.to_string (), total.to_string ());
    });
}

async void save_and_restore (VmSnap.Client client, VmSnap.Domain domain, File file) throws Error {
    print ("Saving %s\n", domain.get_name ());
    var options = new VariantDict ();
    options.insert ("encoding", "s", "gzip");
    yield wait (yield domain.save_to_file (file, options.end (), null));

    var info = yield client.inspect_image_file (file, null);
    print ("%s, %s: %s bytes\n", info.get_domain_name (), info.get_encoding (), info.get_memory_size ().to_string ());

    print ("Restoring\n");
    yield wait (yield client.restore_domain_from_file (file, null, null));
}

async void run (BusType bus, string name, string path) throws Error {
    var client = yield new VmSnap.Client (bus, null);
    yield save_and_restore (client, client.find_domain (name), File.new_for_commandline_arg (path));
}

int main (string[] args) {
    var session = args.length > 1 && args[1] == "--session";
    var first = session ? 2 : 1;
    var loop = new MainLoop ();
    var status = 0;

    if (args.length != first + 2) {
        printerr ("Usage: save-and-restore [--session] DOMAIN FILE\n");
        return 1;
    }
    run.begin (session ? BusType.SESSION : BusType.SYSTEM, args[first], args[first + 1], (source, result) => {
        try {
            run.end (result);
        } catch (Error error) {
            printerr ("save-and-restore: %s\n", error.message);
            status = 1;
        }
        loop.quit ();
    });
    loop.run ();
    return status;
}
