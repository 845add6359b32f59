#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ListSnapshots against a tree of a thousand snapshots of all kinds, and what the tree's links say on the bus."""

import itertools
import random
import time
import uuid as uuid_module

from gi.repository import GLib

from support import BusTestCase, plain_xml
from vmsnaptest import make_disk, main, snapshot_path

COUNT = 1000
# What a record says of its kind: state, location, memory, disks.
KINDS = {
    "off": ("shutoff", "internal", "no", ("internal", "internal")),
    "internal": ("running", "internal", "internal", ("internal", "internal")),
    "checkpoint": ("running", "external", "external", ("external", "external")),
    "paused": ("paused", "external", "external", ("external", "no")),
    "disks": ("disk-snapshot", "external", "no", ("external", "external")),
    "mixed": ("disk-snapshot", "mixed", "no", ("internal", "external")),
    "off-external": ("shutoff", "external", "no", ("no", "external")),
}
STATES = {"active": ("running", "paused"), "inactive": ("shutoff",), "disk_only": ("disk-snapshot",)}
LOCATIONS = {"internal": ("internal", "mixed"), "external": ("external", "mixed")}


class Node:
    """A snapshot as the model knows it."""

    def __init__(self, name, kind, parent):
        self.name = name
        self.state, self.location, self.memory, self.disks = KINDS[kind]
        self.parent = parent
        self.children = []
        if parent:
            parent.children.append(self)

    def ancestors(self):
        node = self.parent
        while node:
            yield node
            node = node.parent

    def record(self, domain, created):
        """Its file in the store."""
        parent = f"<parent><name>{self.parent.name}</name></parent>" if self.parent else ""
        memory = " file='/nowhere/memory'" if self.memory == "external" else ""
        disks = "".join(
            f"<disk name='{target}' snapshot='{place}'>"
            + (f"<driver type='qcow2'/><source file='/nowhere/{target}.{self.name}'/>" if place == "external" else "")
            + "</disk>" for target, place in zip(("vda", "vdb"), self.disks))
        return (f"<domainsnapshot><name>{self.name}</name>{parent}<state>{self.state}</state>"
                f"<creationTime>{created}</creationTime><memory snapshot='{self.memory}'{memory}/>"
                f"<disks>{disks}</disks>{domain}</domainsnapshot>")


def matches(node, options, below):
    """Whether ListSnapshots shall list it."""
    if below and below not in node.ancestors():
        return False
    if "roots" in options and node.parent is not below:
        return False
    if ("leaves" in options and node.children) or ("no_leaves" in options and not node.children):
        return False
    for groups, value in ((STATES, node.state), (LOCATIONS, node.location)):
        wanted = [values for option, values in groups.items() if option in options]
        if wanted and not any(value in values for values in wanted):
            return False
    return True


class TreeCase(BusTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.random = random.Random(5)
        directory = cls.make_class_directory()
        cls.uuid = str(uuid_module.uuid4())
        xml = plain_xml("big", [make_disk(directory / f"{target}.qcow2", target=target) for target in ("vda", "vdb")],
                        uuid=cls.uuid)
        with cls.service.client() as client:
            cls.domain = client.call("/org/vmsnap/VmSnap1/Manager", "Manager", "DefineDomain", "s", xml)
            definition = client.call(cls.domain, "Domain", "GetXml")
        cls.nodes = cls.grow()
        cls.service.stop()
        store = cls.service.state / "domains" / cls.uuid
        (store / "snapshots").mkdir(exist_ok=True)
        now = int(time.time())
        for node in cls.nodes:
            # The clock was set back now and then: age tells nothing about who is whose parent.
            record = node.record(definition, now - cls.random.randrange(10**6))
            (store / "snapshots" / f"{node.name}.xml").write_text(record, encoding="utf-8")
        (store / "current-snapshot").write_text(cls.nodes[-1].name, encoding="utf-8")
        cls.service.start()

    @classmethod
    def grow(cls):
        """A line of 200 with twigs, a bush, and lone ones."""
        kinds = sorted(KINDS)
        nodes = []
        for number in range(COUNT):
            if number < 200:
                parent = nodes[-1] if nodes else None
            elif cls.random.random() < 0.02:
                parent = None
            else:
                parent = cls.random.choice(nodes)
            nodes.append(Node(f"s{cls.random.randrange(10**9)}-{number}", cls.random.choice(kinds), parent))
        return nodes

    def list(self, options=(), below=None):
        values = {option: True for option in options}
        if below:
            values["descendants_of"] = GLib.Variant("o", snapshot_path(self.domain, below.name))
        return self.client.call(self.domain, "Domain", "ListSnapshots", **values)

    def assert_listed(self, options=(), below=None):
        expected = [snapshot_path(self.domain, node.name) for node in self.nodes if matches(node, options, below)]
        found = self.list(options, below)
        self.assertCountEqual(found, expected, (options, below and below.name))
        return found


class BigTree(TreeCase):

    def test_every_filter_lists_what_it_says(self):
        relations = [(), ("roots",), ("leaves",), ("no_leaves",), ("roots", "leaves"), ("roots", "no_leaves")]
        states = [chosen for count in range(4) for chosen in itertools.combinations(STATES, count)]
        locations = [chosen for count in range(3) for chosen in itertools.combinations(LOCATIONS, count)]
        for relation, state, location in itertools.product(relations, states, locations):
            self.assert_listed(relation + state + location)

    def test_descendants_are_those_of_one_branch(self):
        bushy = max(self.nodes, key=lambda node: len(node.children))
        for below in (self.nodes[0], self.nodes[150], bushy, self.nodes[-1]):
            for options in ((), ("roots",), ("leaves",), ("no_leaves", "external"), ("active", "internal")):
                self.assert_listed(options, below)

    def test_parents_come_before_their_children_under_every_filter(self):
        paths = {snapshot_path(self.domain, node.name): node for node in self.nodes}
        for options in ((), ("no_leaves",), ("external",), ("active",)):
            seen = set()
            listed = [paths[path] for path in self.list(options)]
            for node in listed:
                seen.add(node)
                self.assertTrue(all(ancestor in seen or ancestor not in listed for ancestor in node.ancestors()), node.name)

    def test_properties_tell_the_same_tree(self):
        objects = self.client.objects()
        for node in self.nodes:
            told = objects[snapshot_path(self.domain, node.name)]["org.vmsnap.VmSnap1.Snapshot"]
            parent = snapshot_path(self.domain, node.parent.name) if node.parent else "/"
            self.assertEqual((told["Name"], told["Parent"], told["State"], told["Location"], told["IsCurrent"]),
                             (node.name, parent, node.state, node.location, node is self.nodes[-1]))
        self.assertEqual(self.client.get(self.domain, "Domain", "CurrentSnapshot"),
                         snapshot_path(self.domain, self.nodes[-1].name))


class ForgettingFamilies(TreeCase):
    """Records alone, so that no file is asked for."""

    def test_children_move_up_through_any_history(self):
        for node in self.random.sample([node for node in self.nodes if node.parent and node.children], 5):
            self.client.run(snapshot_path(self.domain, node.name), "Snapshot", "Delete", metadata_only=True)
            self.nodes.remove(node)
            node.parent.children.remove(node)
            for child in node.children:
                child.parent = node.parent
                node.parent.children.append(child)
                self.client.wait_property(snapshot_path(self.domain, child.name), "Snapshot", "Parent",
                                          snapshot_path(self.domain, node.parent.name))
            self.assert_listed((), node.parent)
        node = self.nodes[100]
        gone = [other for other in self.nodes if node in other.ancestors()]
        self.client.run(snapshot_path(self.domain, node.name), "Snapshot", "Delete", metadata_only=True, children_only=True)
        self.nodes[:] = [other for other in self.nodes if other not in gone]
        node.children.clear()
        self.assert_listed()
        self.assert_listed(("leaves",))
        self.service.restart()
        self.client = self.enter(self.service.client())
        self.assert_listed(("no_leaves",))


if __name__ == "__main__":
    main()
