#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverting to a checkpoint: the new guest is loaded beside the old one, which knows nothing of it until it is replaced."""

import contextlib
import os
import pathlib
import select
import signal
import socket

from vmsnaptest import main, make_disks, wait_until
from vmsnaptest.pulse import Pulse, channel_xml

from beside import BesideCase
from checkpoints import PATIENCE, ROUNDS


class Beside(BesideCase):
    """What goes well."""

    def test_old_guest_runs_on_while_the_new_one_loads(self):
        machine, checkpoint = self.checkpointed()
        old, since = machine.pid(), len(self.client.signals)
        job = machine.ask_revert("one")
        with self.held(machine, job):
            now = machine.witness.get().check()
            machine.witness.wait_beyond(now.ram + ROUNDS).check()
            self.assertEqual(machine.state[0], "running")
        result = self.client.wait_job(job, PATIENCE).result
        self.assertGreater(result["downtime"], 0)
        self.assert_reverted(machine, checkpoint)
        self.assertNotEqual(machine.pid(), old)
        self.assertEqual({state for state, _ in self.states(machine, since) if state}, set())
        self.assertEqual(machine.state, ("running", "from-snapshot"))
        self.assertEqual([event for event, _ in machine.events(since)], ["snapshot-reverted"])
        self.assert_progress_is_sane(job)
        self.assert_whole(machine)

    def test_the_same_again_and_then_another(self):
        """Each guest that takes over has another one's directory, and gives its own away in its turn."""
        machine, checkpoint = self.checkpointed()
        self.client.wait_job(machine.ask_revert("one"), PATIENCE)
        self.assert_reverted(machine, checkpoint)
        other = self.take(machine, "two")
        for wanted in (checkpoint, other, checkpoint):
            self.client.wait_job(machine.ask_revert(wanted.name), PATIENCE)
            self.assert_reverted(machine, wanted)
        self.service.restart()
        self.assertEqual(machine.state[0], "running")
        self.assert_reverted(machine, checkpoint)
        machine.shut_off()
        self.assertFalse(machine.runtime.exists())
        self.assert_whole(machine)

    def test_paused_guest_and_paused_outcome(self):
        machine, checkpoint = self.checkpointed()
        before = len(self.client.signals)
        machine.call("Pause")
        machine.wait_event("paused", before)
        since = len(self.client.signals)
        self.client.wait_job(machine.ask_revert("one", paused=True), PATIENCE)
        self.assertEqual(machine.state, ("paused", "from-snapshot"))
        self.client.wait_job(machine.ask_revert("one", running=True), PATIENCE)
        self.assertEqual([event for event, _ in machine.events(since)],
                         ["snapshot-reverted", "resumed", "snapshot-reverted"])
        self.assert_reverted(machine, checkpoint)

    def test_booted_beside_when_memory_is_not_kept(self):
        machine = self.loaded()
        before = machine.witness.get().check()
        machine.run("CreateSnapshot", "s", "disks", disk_only=True)
        self.follow(machine)
        since = len(self.client.signals)
        self.client.wait_job(machine.ask_revert("disks", running=True), PATIENCE)
        found = machine.witness.get(PATIENCE).check()
        self.assertNotEqual(found.run, before.run)
        self.assertEqual(found["details"]["vda"]["found"]["run"], before.run)
        self.assertEqual([event for event, _ in machine.events(since)], ["snapshot-reverted"])
        self.assert_alone(machine)

    def test_heart_beats_until_the_new_one_does(self):
        """The longest silence is told; it is measured, not judged."""
        folder = self.folder()
        machine, checkpoint = self.checkpointed(extra_devices=channel_xml(folder / "h"))
        with Pulse(folder / "h") as old:
            job = machine.ask_revert("one")
            wait_until(lambda: list(folder.glob("h.*")), "the new heart's socket", PATIENCE)
            with self.held(machine, job):
                pulse = Pulse(next(folder.glob("h.*")))
            with pulse:
                result = self.client.wait_job(job, PATIENCE).result
                pulse.wait_beyond(0.0)
                gap = pulse.beats()[0].at - old.beats()[-1].at
        print(f"# from heart to heart {gap * 1e3:.1f} ms, from stop to cont {result['downtime'] / 1e3:.1f} ms")
        self.assert_reverted(machine, checkpoint)
        with Pulse(folder / "h") as moved:
            moved.wait_beyond(0.0)

    def test_display_in_a_fixed_place_is_moved(self):
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            port = chosen.getsockname()[1]
        self.assertGreaterEqual(port, 5900)
        display = f"<graphics type='vnc' port='{port}' autoport='no' listen='127.0.0.1'/>"
        machine, checkpoint = self.checkpointed(extra_devices=display)
        result = self.client.wait_job(machine.ask_revert("one"), PATIENCE).result
        self.assertNotIn("warning", result)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as viewer:
            self.assertEqual(viewer.recv(4), b"RFB ")
        self.assert_reverted(machine, checkpoint)


class Failing(BesideCase):
    """What goes wrong before the hand-over is never noticed by the guest that is there."""

    @contextlib.contextmanager
    def attempt(self, error, words):
        """A revert that fails with one of these errors; gives the machine, its checkpoint, and a list for the job."""
        machine, checkpoint = self.checkpointed()
        before, pid, since, jobs = self.files(machine), machine.pid(), len(self.client.signals), []
        yield machine, checkpoint, jobs
        end = self.client.end_of_job(jobs[0] if jobs else machine.ask_revert("one"), PATIENCE)
        self.assertIn(end.state, ("failed", "cancelled"))
        self.assertIn(end.error, error.split("|"), end.message)
        self.assertIn(words, end.message)
        self.assert_undisturbed(machine, pid, since)
        self.assertEqual(self.files(machine), before)
        self.assert_whole(machine)

    def test_memory_is_missing(self):
        with self.attempt("NotFound", "one") as (_, checkpoint, _jobs):
            checkpoint.memory.rename(checkpoint.memory.with_suffix(".away"))

    def test_memory_is_truncated(self):
        with self.attempt("ImageIncomplete", "one") as (_, checkpoint, _jobs):
            os.truncate(checkpoint.memory, checkpoint.memory.stat().st_size // 2)

    def test_memory_is_spoilt(self):
        with self.attempt("ImageCorrupt", "QEMU") as (_, checkpoint, _jobs):
            with open(checkpoint.memory, "r+b") as file:
                file.seek(checkpoint.memory.stat().st_size // 2)
                file.write(b"\xff" * (1 << 20))

    def test_disk_is_missing(self):
        with self.attempt("NotFound", "vdb") as (machine, checkpoint, jobs):
            away = checkpoint.frozen[1].path.with_suffix(".away")
            checkpoint.frozen[1].path.rename(away)
            jobs.append(machine.ask_revert("one"))
            self.client.end_of_job(jobs[0], PATIENCE)
            away.rename(checkpoint.frozen[1].path)

    def test_new_qemu_is_killed_while_it_loads(self):
        with self.attempt("Hypervisor|HypervisorGone", "") as (machine, _, jobs):
            jobs.append(machine.ask_revert("one"))
            with self.held(machine, jobs[0]) as pid:
                signal.pidfd_send_signal(pid, signal.SIGKILL)

    def test_cancelled_while_it_loads(self):
        with self.attempt("Cancelled", "") as (machine, _, jobs):
            jobs.append(machine.ask_revert("one"))
            with self.held(machine, jobs[0]):
                self.client.call(jobs[0], "Job", "Cancel")
                self.client.end_of_job(jobs[0], PATIENCE)

    def test_new_qemu_is_killed_at_the_hand_over(self):
        """The old one is being stopped already when the new one dies: it goes on, and the definition is its again."""
        machine, _ = self.checkpointed()
        before, pid = self.files(machine), machine.pid()
        old = os.pidfd_open(pid)
        job = machine.ask_revert("one")
        with self.held(machine, job) as new:
            signal.pidfd_send_signal(old, signal.SIGSTOP)
            signal.pidfd_send_signal(new, signal.SIGCONT)
            self.client.wait_property(job, "Job", "Phase", "Handing over", PATIENCE)
            signal.pidfd_send_signal(new, signal.SIGKILL)
            select.select([new], [], [], PATIENCE)
            signal.pidfd_send_signal(old, signal.SIGCONT)
            end = self.client.end_of_job(job, PATIENCE)
        os.close(old)
        self.assertEqual(end.state, "failed", end)
        self.assertEqual(machine.pid(), pid)
        now = machine.witness.get().check()
        self.assertEqual(now.mark, "later")
        machine.witness.wait_beyond(now.ram + ROUNDS).check()
        self.assertEqual(machine.state[0], "running")
        self.assert_alone(machine)
        self.assertEqual(self.files(machine), before)
        for inactive in (False, True):
            for disk in machine.disks:
                self.assertIn(str(disk.path), machine.call("GetXml", inactive=inactive))
        self.assert_whole(machine)


class Alone(BesideCase):
    """Where there can't be two: the old guest ends first, and comes back when the new one can't be."""

    def test_says_so_and_goes_back(self):
        machine, checkpoint = self.alone()
        result = self.client.wait_job(machine.ask_revert("one"), PATIENCE).result
        self.assertIn("arguments", result["warning"])
        self.assert_reverted(machine, checkpoint)
        self.assertEqual(sorted(path.name for path in (machine.store / "memory").iterdir()), [checkpoint.memory.name])
        self.assert_whole(machine)

    def test_old_guest_comes_back_when_the_memory_is_spoilt(self):
        machine, checkpoint = self.alone()
        before = self.files(machine)
        with open(checkpoint.memory, "r+b") as file:
            file.seek(checkpoint.memory.stat().st_size // 2)
            file.write(b"\xff" * (1 << 20))
        self.assert_job_fails("ImageCorrupt", "QEMU", machine.ask_revert("one"))
        now = machine.witness.get().check()
        self.assertEqual((now.run, now.mark), (checkpoint.before.run, "later"))
        machine.witness.wait_beyond(now.ram + ROUNDS).check()
        self.assertEqual(machine.state[0], "running")
        self.assertEqual(self.files(machine), before)
        self.assertEqual(sorted(path.name for path in (machine.store / "memory").iterdir()), [checkpoint.memory.name])
        self.assert_alone(machine)
        self.assert_whole(machine)


class Variables(BesideCase):
    """UEFI variables: the new guest has its own store, which takes the old one's name at the hand-over."""

    def uefi(self):
        """A guest in its firmware, with a snapshot, and other variables since."""
        machine = self.machine(disks=make_disks(self.folder(), 1, mib=8), firmware="efi")
        machine.start()
        machine.call("Pause")
        machine.run("CreateSnapshot", "s", "one", timeout=PATIENCE)
        self.follow(machine)
        store = machine.store / "nvram/VARS.fd"
        then = store.read_bytes()
        with open(store, "r+b") as file:
            file.seek(-4096, os.SEEK_END)
            file.write(b"x" * 4096)
        return machine, store, then

    def stores(self, machine, store):
        """The files of its variables that QEMU has open."""
        links = [os.readlink(link) for link in pathlib.Path(f"/proc/{machine.pid()}/fd").iterdir()]
        return {link for link in links if link.startswith(str(store))}

    def test_those_of_the_snapshot_are_back(self):
        machine, store, then = self.uefi()
        self.client.wait_job(machine.ask_revert("one"), PATIENCE)
        self.assertEqual(store.read_bytes(), then)
        self.assertEqual(self.stores(machine, store), {str(store)})
        self.assertEqual(list(store.parent.glob("*.new")), [])
        self.assert_alone(machine)

    def test_failure_leaves_the_present_ones(self):
        machine, store, then = self.uefi()
        memory = next((machine.store / "memory").iterdir())
        with open(memory, "r+b") as file:
            file.seek(memory.stat().st_size // 2)
            file.write(b"\xff" * (1 << 20))
        self.assert_job_fails("ImageCorrupt", "QEMU", machine.ask_revert("one"))
        self.assertNotEqual(store.read_bytes(), then)
        self.assertEqual(self.stores(machine, store), {str(store)})
        self.assertEqual(list(store.parent.glob("*.new")), [])
        self.assert_alone(machine)


if __name__ == "__main__":
    main()
