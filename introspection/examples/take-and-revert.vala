// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Lists the domains; with the name of one, takes a snapshot of it with its progress, and brings it back to it.
//
// Usage: take-and-revert [--session] [DOMAIN]

// Waits for the end of a job, and says how far it is; an error of the job is thrown.
async void wait (VmSnap.Job job) throws Error {
    var id = job.notify["progress"].connect (() => {
        print ("  %s: %u%%\n", job.get_phase (), (uint) (job.get_progress () * 100));
    });
    try {
        yield job.wait (VmSnap.WaitFlags.NONE, null);
    } finally {
        job.disconnect (id);
    }
}

async void take_and_revert (VmSnap.Domain domain) throws Error {
    print ("Taking a snapshot of %s\n", domain.get_name ());
    var options = new VariantDict ();
    options.insert ("location", "s", "internal");
    var job = yield domain.create_snapshot ("", options.end (), null);
    yield wait (job);
    var snapshot = job.get_snapshot ();

    print ("Reverting to %s\n", snapshot.get_name ());
    yield wait (yield snapshot.revert (null, null));
}

async void run (BusType bus, string? name) throws Error {
    var client = yield new VmSnap.Client (bus, null);
    foreach (var domain in client.get_domains ()) {
        print ("%s: %s, %u snapshots\n", domain.get_name (),
               VmSnap.enum_to_nick (typeof (VmSnap.DomainState), domain.get_state ()),
               domain.get_snapshots ().length ());
    }
    if (name != null)
        yield take_and_revert (client.find_domain (name));
}

int main (string[] args) {
    var session = args.length > 1 && args[1] == "--session";
    var name = args[session ? 2 : 1];
    var loop = new MainLoop ();
    var status = 0;

    run.begin (session ? BusType.SESSION : BusType.SYSTEM, name, (source, result) => {
        try {
            run.end (result);
        } catch (Error error) {
            printerr ("take-and-revert: %s\n", error.message);
            status = 1;
        }
        loop.quit ();
    });
    loop.run ();
    return status;
}
