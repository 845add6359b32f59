# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a domain is what its model says, to the last byte: looked at after every step of a history. All that is read
is read past the service, from the files themselves. No test case of its own."""

import gzip
import json
import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

from vmsnaptest import Files, qemu_img

from history_machine import describe_difference, disk_bytes, marks_in, mark_page
from history_model import EXTERNAL, INTERNAL, NONE, PAUSED
from machines import SNAPSHOT

IMAGE_MAGIC = b"LibvirtQemudSave"
HEADER = 92
DECODERS = {0: lambda data: data, 1: gzip.decompress, 5: None, 6: lambda data: data}


def stamp(path):
    """Changes with every change to a file."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def memory_marks(path):
    """The marks in a memory image that is whole."""
    data = path.read_bytes()
    assert data[:16] == IMAGE_MAGIC, f"{path} begins with {data[:16]}"
    length = int.from_bytes(data[20:24], "little")
    encoding = int.from_bytes(data[28:32], "little")
    stream = data[HEADER + length:]
    if encoding == 5:
        stream = subprocess.run(["zstd", "-dcq"], input=stream, stdout=subprocess.PIPE, check=True).stdout
    else:
        stream = DECODERS[encoding](stream)
    return marks_in(stream)


class Record:
    """A snapshot as the service has it on record: where its disks are frozen and its memory is."""

    def __init__(self, xml):
        root = ElementTree.fromstring(xml)
        memory = root.find("memory")
        self.memory = pathlib.Path(memory.get("file")) if memory is not None and memory.get("file") else None
        self.disks = {}
        for disk in root.iterfind("domain/devices/disk"):
            self.disks[disk.find("target").get("dev")] = (pathlib.Path(disk.find("source").get("file")),
                                                          disk.find("driver").get("type"))


class Checks:
    """Of one machine and its model. What was looked at and hasn't changed since isn't looked at again."""

    def __init__(self, machine, originals):
        self.machine = machine
        self.originals = set(originals)
        self.excused = ""
        self._checked = {}
        self._marks = {}

    def excuse(self, warning):
        """Files that a warning names may stay behind."""
        self.excused += warning + "\n"

    def check(self, model):
        """Raises AssertionError with what is wrong."""
        found = []
        if self.machine.get("State") != "shutoff":
            self.machine.flush()
        self._reached = {}
        self._tags = {}
        self._frozen = set()
        self._files = Files()
        self._check_domain(model, found)
        records = self._check_tree(model, found)
        for kept in model.snapshots.values():
            if kept.name in records:
                self._check_kept(kept, records[kept.name], found)
        self._check_active(model, found)
        self._check_files(records, found)
        self._check_traces(model, records, found)
        assert not found, "\n".join(found)

    def check_swept(self):
        """Right after a deletion: no file that nobody names stands below one file alone, if they can be one."""
        named = {pathlib.Path(disk["path"]) for disk in self.machine.get("Disks")} | self._frozen
        above = {}
        for path, image_format in self._reached.items():
            image = self._files.chain(path, image_format)[0]
            if image.backing:
                above.setdefault(pathlib.Path(image.backing), []).append(image)
        found = [f"{path} is only below {uppers[0].path}, and not merged with it" for path, uppers in above.items()
                 if path not in named and len(uppers) == 1 and not uppers[0].tags and str(path) not in self.excused]
        assert not found, "\n".join(found)

    # What the bus tells

    def _check_domain(self, model, found):
        shown = self.machine.get("State")
        if shown != model.state:
            found.append(f"the domain is {shown} instead of {model.state}")
        if self.machine.get("Job") != "/":
            found.append("a job is under way")
        current = self.machine.current()
        if current != model.current:
            found.append(f"{current} is current instead of {model.current}")

    def _check_tree(self, model, found):
        machine = self.machine
        names, records = [], {}
        for path in machine.call("ListSnapshots"):
            values = machine.client.get_all(path, SNAPSHOT)
            name = values["Name"]
            names.append(name)
            kept = model.snapshots.get(name)
            if kept is None:
                found.append(f"{name} is listed, and should be gone")
                continue
            records[name] = Record(machine.client.call(path, SNAPSHOT, "GetXml"))
            parent = machine.snapshot_path(kept.parent) if kept.parent else "/"
            wanted = {"Parent": parent, "State": kept.state, "Location": kept.location, "Memory": kept.memory}
            found += [f"{name}: {key} is {values[key]} instead of {value}" for key, value in wanted.items()
                      if values[key] != value]
            if kept.parent and kept.parent not in names:
                found.append(f"{name} is listed before its parent {kept.parent}")
            found += [f"{name}: disk {disk['target']} has a problem: {disk['problem']}" for disk in values["Disks"]
                      if disk.get("problem")]
        found += [f"{name} isn't listed" for name in model.snapshots if name not in names]
        return records

    # What the files hold

    def _read(self, path, image_format):
        """A disk's images; they are needed by somebody then."""
        images = self._files.chain(path, image_format)
        for image in images:
            self._reached[image.path] = image.format
        return images

    def _compare(self, what, data, blocks, found):
        if data != disk_bytes(blocks):
            found.append(f"{what}: {describe_difference(data, blocks)}")

    def _check_kept(self, kept, record, found):
        for target, way in kept.ways.items():
            if way == NONE:
                continue
            path, image_format = record.disks[target]
            self._frozen.add(path)
            what = f"{kept.name}: disk {target} ({way}, {path})"
            try:
                images = self._read(path, image_format)
                data = self._files.content(images, kept.name if way == INTERNAL else None)
                self._compare(what, data, kept.disks[target], found)
            except (OSError, AssertionError) as error:
                found.append(f"{what}: {error}")
                continue
            if way == INTERNAL:
                self._tags.setdefault(path, set()).add(kept.name)
        try:
            self._check_memory(kept, record, found)
        except (OSError, AssertionError, subprocess.CalledProcessError) as error:
            found.append(f"{kept.name}: its memory: {error}")

    def _check_memory(self, kept, record, found):
        if kept.memory == NONE:
            return
        if kept.memory == EXTERNAL:
            assert record.memory, "no file is on record"
            marks = self._cached_marks(record.memory)
        else:
            marks = self._internal_marks(kept, record)
        self._compare_memory(kept, marks, found)

    def _compare_memory(self, kept, marks, found):
        if marks != ({kept.ram} if kept.ram else set()):
            found.append(f"{kept.name}: its memory holds the marks {sorted(marks)} instead of {kept.ram}")

    def _cached_marks(self, path):
        now = stamp(path)
        if self._marks.get(path, (None, None))[0] != now:
            self._marks[path] = now, memory_marks(path)
        return self._marks[path][1]

    def _internal_marks(self, kept, record):
        states = []
        for path, image_format in record.disks.values():
            if image_format == "qcow2" and path.exists():
                image = self._read(path, image_format)[0]
                states += [image.machine_state(tag) for tag in image.tags if tag.name == kept.name and tag.state_size]
        assert len(states) == 1, f"{len(states)} disks hold its memory"
        return marks_in(states[0])

    def _is_live(self, _model):
        """Whether the disks change while they are looked at."""
        return False

    def _check_active(self, model, found):
        for target, disk in self.machine.shown_disks().items():
            what = f"disk {target} ({disk['path']})"
            try:
                images = self._read(disk["path"], disk["format"])
            except (OSError, AssertionError) as error:
                found.append(f"{what}: {error}")
                continue
            if not self._is_live(model):
                self._compare(what, self._files.content(images), model.disks[target], found)
            chain = [str(image.path) for image in images]
            if chain != disk["chain"]:
                found.append(f"{what}: the service shows {disk['chain']}, the files say {chain}")
        if self.machine.get("State") != "shutoff":
            status = self.machine.status()
            if (status == "running") != (model.state != PAUSED):
                found.append(f"QEMU says {status}, the model {model.state}")
            self._check_guest(model, found)

    def _check_guest(self, model, found):
        page = self.machine.read_memory()
        if page != mark_page(model.ram or 0):
            found.append(f"the guest's memory holds {sorted(marks_in(page))} instead of {model.ram}")

    # What is left

    def _check_files(self, records, found):
        active = {pathlib.Path(disk["path"]) for disk in self.machine.get("Disks")}
        running = self.machine.get("State") != "shutoff"
        there = {path for path in self.machine.directory.iterdir() if not self._is_other(path)}
        wanted = set(self._reached) | {record.memory for record in records.values() if record.memory}
        found += [f"{path} is left over" for path in sorted(there - wanted - self.originals)
                  if str(path) not in self.excused]
        for path, image_format in self._reached.items():
            if image_format != "qcow2" or not path.exists():
                continue
            if not (running and path in active):
                self._check_image(path, found)
            tags = {tag.name for tag in self._files.chain(path, "qcow2")[0].tags} - self._tags.get(path, set())
            if tags and str(path) not in self.excused:
                found.append(f"the snapshots {sorted(tags)} are left over in {path}")

    def _is_other(self, path):
        return path.suffix in (".log", ".sock", ".lock") or path.name == "w"

    def _check_image(self, path, found):
        now = stamp(path)
        if self._checked.get(path) == now:
            return
        done = subprocess.run(["qemu-img", "check", "-U", "--output=json", "-f", "qcow2", path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode == 0 or (done.returncode == 3 and self.machine.killed):
            self._checked[path] = now
        else:
            found.append(f"{path} is damaged or leaks: {done.stdout}")

    def _check_traces(self, model, records, found):
        machine = self.machine
        if machine.journals():
            found.append(f"the journals {machine.journals()} are left over")
        folder = machine.store / "memory"
        memories = set(folder.iterdir()) if folder.is_dir() else set()
        wanted = {record.memory for record in records.values() if record.memory}
        found += [f"{path} is left over" for path in sorted(memories - wanted)]
        guests = machine.service.guests()
        if len(guests) != model.active:
            found.append(f"{len(guests)} programs run for a domain that is {model.state}")
        beside = machine.service.runtime / "beside" / "guests"
        if beside.is_dir() and list(beside.iterdir()):
            found.append(f"{beside} isn't empty")


def explain_files(machine):
    """What qemu-img tells of all images, for a failure."""
    lines = []
    for path in sorted(machine.directory.iterdir()):
        try:
            info = json.loads(qemu_img("info", "-U", "--output=json", path))
        except RuntimeError:
            continue
        lines.append(f"{path.name}: {info['format']} over {info.get('full-backing-filename', 'nothing')}, tags "
                     f"{[tag['name'] for tag in info.get('snapshots', [])]}")
    return "\n".join(lines)
