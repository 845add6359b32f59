# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the bus and system tests, the benches and the demo share.

A service test in short:

    bus = self.enter(PrivateBus())
    service = self.enter(Service(bus, directory))
    client = self.enter(service.client())
    xml = domain_xml("one", make_disks(directory), witness=directory / "w")
    domain = client.call(MANAGER, "Manager", "DefineDomain", "s", xml)
    client.run(domain, "Domain", "Start")
    before = Witness(directory / "w").wait_beyond(100).check()
    client.run(domain, "Domain", "CreateSnapshot", "s", "first", location="internal")
"""

from .agent_line import AgentLine
from .bus import PrivateBus, connect
from .case import TestCase, main
from .client import (BUS_NAME, MANAGER, ROOT, BusError, Client, JobEnd, JobFailed, call_as, domain_path, encode_name,
                     options, snapshot_path)
from .deadline import DEFAULT, Deadline, DeadlinePassed, settle, wait_until
from .disks import (Disk, check_image, image_info, internal_snapshots, make_data_disk, make_disk, make_disks, qemu_img,
                    witness_count)
from .domain_xml import domain_xml
from .libvirt import Libvirt, VirshError
from .paths import SOURCE, build_directory, built, emulator, emulator_version, firmware, guest
from .processes import continue_process, stop_process
from .pulse import Pulse
from .qcow2 import Files, chain_content, read_chain
from .qemu import BareQemu
from .qmp import BareQmp, QmpError, QmpGone, monitor_pair
from .service import Service, ServiceEnded
from .silence import ask_monitor_at, console_tail, threads_at_work
from .small_disk import SmallDisk, loop_device
from .watch import Watch, with_arguments
from .witness import Testimony, Witness, WitnessError, last_beat
