# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domain definitions for the test guest, as a person would write them for libvirt."""

import uuid as uuid_module
import xml.etree.ElementTree as ElementTree

from . import paths


def _add(parent, tag, text=None, **attributes):
    element = ElementTree.SubElement(parent, tag, {key.rstrip("_"): str(value) for key, value in attributes.items()})
    if text is not None:
        element.text = str(text)
    return element


def _add_os(domain, machine, uefi_nvram, firmware, extra_os):
    guest = paths.guest()
    system = _add(domain, "os", **({"firmware": firmware} if firmware else {}))
    _add(system, "type", "hvm", arch="x86_64", machine=machine)
    system.extend(ElementTree.fromstring(f"<os>{extra_os}</os>"))
    if uefi_nvram:
        code, variables = paths.firmware()
        _add(system, "loader", code, readonly="yes", type="pflash")
        _add(system, "nvram", uefi_nvram, template=variables)
    _add(system, "kernel", guest.kernel)
    _add(system, "initrd", guest.initrd)
    _add(system, "cmdline", guest.cmdline)


def _add_disk(devices, disk):
    element = _add(devices, "disk", type="file", device="disk")
    _add(element, "driver", name="qemu", type=disk.format)
    _add(element, "source", file=disk.path)
    _add(element, "target", dev=disk.target, bus=disk.bus)
    if disk.read_only:
        _add(element, "readonly")
    if disk.serial:
        _add(element, "serial", disk.serial)


def _add_channel(devices, name, path):
    channel = _add(devices, "channel", type="unix")
    _add(channel, "source", mode="bind", path=path)
    _add(channel, "target", type="virtio", name=name)


def domain_xml(name, disks, *, uuid=None, machine="q35", memory_mib=256, vcpus=1, witness=None, serial=None, agent=None,
               uefi_nvram=None, firmware=None, extra_os="", kind="qemu", extra_devices=""):
    """The XML of a test guest.

    witness, agent: the UNIX sockets where the witness and the guest agent are reached; serial: the file that the
    serial line is written to; uefi_nvram: start with OVMF, its variables in this file; firmware: the kind to be chosen
    by the service; extra_os, extra_devices: XML to put into <os> and <devices>.
    """
    domain = ElementTree.Element("domain", type=kind)
    _add(domain, "name", name)
    _add(domain, "uuid", uuid or uuid_module.uuid4())
    _add(domain, "memory", memory_mib, unit="MiB")
    _add(domain, "vcpu", vcpus)
    _add_os(domain, machine, uefi_nvram, firmware, extra_os)
    _add(_add(domain, "features"), "acpi")
    devices = _add(domain, "devices")
    for disk in disks:
        _add_disk(devices, disk)
    if serial:
        element = _add(devices, "serial", type="file")
        _add(element, "source", path=serial)
        _add(element, "target", port=0)
    if witness or agent:
        _add(devices, "controller", type="virtio-serial", index=0)
    if witness:
        _add_channel(devices, "org.vmsnap.witness.0", witness)
    if agent:
        _add_channel(devices, "org.qemu.guest_agent.0", agent)
    for element in ElementTree.fromstring(f"<devices>{extra_devices}</devices>"):
        devices.append(element)
    ElementTree.indent(domain)
    return ElementTree.tostring(domain, encoding="unicode")
