// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Takes a checkpoint of a domain, memory and disks in files of their own, goes back to it, branches, shows the tree, and
// deletes the checkpoint while the guest runs.
//
// Usage: branch-and-delete [--session] DOMAIN

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
    var result = job.dup_result ();
    uint64 downtime;
    string warning;
    if (result.lookup ("downtime", "t", out downtime))
        print ("  The guest stood still for %u ms\n", (uint) (downtime / 1000));
    if (result.lookup ("warning", "s", out warning))
        print ("  Warning: %s\n", warning);
}

async VmSnap.Snapshot take (VmSnap.Domain domain, string name) throws Error {
    print ("Taking %s\n", name);
    // Of a guest that runs it is a checkpoint in files of its own unless told otherwise.
    var job = yield domain.create_snapshot (name, null, null);
    yield wait (job);
    return job.get_snapshot ();
}

// Parents come before their children.
async void show_tree (VmSnap.Domain domain) throws Error {
    var depths = new HashTable<string, int> (str_hash, str_equal);
    foreach (var snapshot in yield domain.list_snapshots (null, null)) {
        var parent = snapshot.get_parent ();
        var depth = parent != null ? depths[parent.get_name ()] + 1 : 0;
        depths[snapshot.get_name ()] = depth;
        print ("%s%s%s\n", string.nfill (depth * 3, ' '), snapshot.get_name (),
               snapshot.is_current () ? " <- current" : "");
    }
}

async void branch_and_delete (VmSnap.Domain domain) throws Error {
    var root = yield take (domain, "root");
    yield take (domain, "left");
    print ("Reverting to root\n");
    yield wait (yield root.revert (null, null));
    yield take (domain, "right");
    yield show_tree (domain);
    print ("Deleting root\n");
    yield wait (yield root.delete (null, null));
    yield show_tree (domain);
}

async void run (BusType bus, string name) throws Error {
    var client = yield new VmSnap.Client (bus, null);
    yield branch_and_delete (client.find_domain (name));
}

int main (string[] args) {
    var session = args.length > 1 && args[1] == "--session";
    var name = args[session ? 2 : 1];
    var loop = new MainLoop ();
    var status = 0;

    if (name == null) {
        printerr ("Usage: branch-and-delete [--session] DOMAIN\n");
        return 1;
    }
    run.begin (session ? BusType.SESSION : BusType.SYSTEM, name, (source, result) => {
        try {
            run.end (result);
        } catch (Error error) {
            printerr ("branch-and-delete: %s\n", error.message);
            status = 1;
        }
        loop.quit ();
    });
    loop.run ();
    return status;
}
