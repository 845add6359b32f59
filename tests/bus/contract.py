# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus contract as the interfaces' XML tells it: methods, their arguments, and the option keys in their comments."""

import collections
import re
import xml.etree.ElementTree as ElementTree

from gi.repository import Gio, GLib

from vmsnaptest import SOURCE

Method = collections.namedtuple("Method", "interface name signature options")

# Where an option's documentation says that the service looks at more than its type.
GOOD_VALUES = {"location": "internal", "encoding": "raw", "snapshot": "none"}

KEY = re.compile(r"<term><literal>([a-z-]+)</literal>\s+\(([a-z{}()]+)\)</term>")


def _comments(text):
    """{method's name: its comment}: gtk-doc comments begin with a name and a colon."""
    found = {}
    for comment in re.findall(r"<!--(.*?)-->", text, re.DOTALL):
        name = comment.strip().split(":", 1)[0]
        found.setdefault(name, comment)
    return found


def methods():
    """All methods of the four interfaces."""
    found = []
    for path in sorted((SOURCE / "interfaces").glob("org.vmsnap.VmSnap1.*.xml")):
        text = path.read_text(encoding="utf-8")
        interface = ElementTree.fromstring(text).find("interface")
        comments = _comments(text)
        for method in interface.findall("method"):
            name = method.get("name")
            arguments = [arg.get("type") for arg in method.findall("arg") if arg.get("direction") == "in"]
            found.append(Method(interface.get("name").rsplit(".", 1)[1], name, "".join(arguments[:-1]),
                                dict(KEY.findall(comments[name].partition("Keys of @options:")[2]))))
    return found


def members(interface):
    """(methods, signals, properties) of an interface: three sets of names."""
    path = SOURCE / "interfaces" / f"org.vmsnap.VmSnap1.{interface}.xml"
    element = ElementTree.parse(path).getroot().find("interface")
    return tuple({child.get("name") for child in element.findall(kind)} for kind in ("method", "signal", "property"))


def property_types(interface):
    """{property: type}."""
    path = SOURCE / "interfaces" / f"org.vmsnap.VmSnap1.{interface}.xml"
    node = Gio.DBusNodeInfo.new_for_xml(path.read_text(encoding="utf-8"))
    return {info.name: info.signature for info in node.interfaces[0].properties}


def value_of_type(signature, key=""):
    """A value that an option of this type may have."""
    if signature == "s":
        return GLib.Variant("s", GOOD_VALUES.get(key, "/" + key if key.endswith("path") else "x"))
    return {
        "b": GLib.Variant("b", False),
        "o": GLib.Variant("o", "/"),
        "a{sa{sv}}": GLib.Variant("a{sa{sv}}", {}),
    }[signature]


def value_of_another_type(signature):
    """A value that an option of this type may not have."""
    return GLib.Variant("i", 7) if signature != "i" else GLib.Variant("s", "7")
