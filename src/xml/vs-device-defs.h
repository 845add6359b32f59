/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * VsTristate:
 * @VS_TRISTATE_DEFAULT: nothing said: QEMU's default
 * @VS_TRISTATE_ON: yes
 * @VS_TRISTATE_OFF: no
 */
typedef enum {
  VS_TRISTATE_DEFAULT,
  VS_TRISTATE_ON,
  VS_TRISTATE_OFF,
} VsTristate;

/**
 * VsAddressType:
 * @VS_ADDRESS_NONE: no `<address>`, or one without a type: the command line's builder chooses
 * @VS_ADDRESS_PCI: @domain, @bus (index of a PCI controller), @slot, @function
 * @VS_ADDRESS_DRIVE: @controller, @bus, @target, @unit
 * @VS_ADDRESS_USB: @bus (index of a USB controller), @port
 * @VS_ADDRESS_VIRTIO_SERIAL: @controller, @bus, @port (as a number in @unit)
 * @VS_ADDRESS_OTHER: of a kind that matters nothing here (`isa`, …); kept in the text
 */
typedef enum {
  VS_ADDRESS_NONE,
  VS_ADDRESS_PCI,
  VS_ADDRESS_DRIVE,
  VS_ADDRESS_USB,
  VS_ADDRESS_VIRTIO_SERIAL,
  VS_ADDRESS_OTHER,
} VsAddressType;

/**
 * VsAddress:
 * @type: which of the others are meaningful
 * @domain: PCI domain
 * @bus: bus number
 * @slot: PCI slot, 0 … 31
 * @function: PCI function, 0 … 7
 * @multifunction: `multifunction='on'`
 * @controller: index of the controller
 * @target: SCSI target
 * @unit: SCSI lun, unit on the IDE or SATA bus, or port of a virtio-serial controller
 * @port: (nullable): USB port, `1` or `1.2`
 *
 * Where a device sits, as libvirt writes it.
 */
typedef struct {
  VsAddressType type;
  guint domain;
  guint bus;
  guint slot;
  guint function;
  VsTristate multifunction;
  guint controller;
  guint target;
  guint unit;
  char *port;
} VsAddress;

/* Of every device below: @alias is libvirt's name for it, or %NULL; @line is where it begins in the text it was
 * parsed from, for messages; @boot_order is 1 and up, 0: none. */

/**
 * VsDiskBus:
 * @VS_DISK_BUS_VIRTIO: virtio-blk
 * @VS_DISK_BUS_SCSI: on a SCSI controller
 * @VS_DISK_BUS_SATA: on an AHCI controller
 * @VS_DISK_BUS_IDE: on an IDE controller
 */
typedef enum {
  VS_DISK_BUS_VIRTIO,
  VS_DISK_BUS_SCSI,
  VS_DISK_BUS_SATA,
  VS_DISK_BUS_IDE,
} VsDiskBus;

/**
 * VsDiskSnapshot:
 * @VS_DISK_SNAPSHOT_DEFAULT: nothing said
 * @VS_DISK_SNAPSHOT_NO: `snapshot='no'`: not part of snapshots unless asked for
 * @VS_DISK_SNAPSHOT_INTERNAL: inside its file by default
 * @VS_DISK_SNAPSHOT_EXTERNAL: in an overlay by default
 *
 * A disk's own wish for snapshots (`<disk snapshot=…>`).
 */
typedef enum {
  VS_DISK_SNAPSHOT_DEFAULT,
  VS_DISK_SNAPSHOT_NO,
  VS_DISK_SNAPSHOT_INTERNAL,
  VS_DISK_SNAPSHOT_EXTERNAL,
} VsDiskSnapshot;

/**
 * VsDiskDef:
 * @target: name of the disk in the domain, unique: `vda`
 * @bus: what it is attached to; guessed from @target's letters when absent, as libvirt does
 * @is_block: `type='block'`: @path is a block device
 * @is_cdrom: `device='cdrom'`; then @readonly is always set
 * @path: (nullable): absolute path of the active file; %NULL: an empty drive
 * @format: `raw` (default) or `qcow2`
 * @cache: (nullable): `none`, `writeback`, `writethrough`, `directsync`, `unsafe`
 * @io: (nullable): `native`, `threads`, `io_uring`
 * @discard: (nullable): `unmap`, `ignore`
 * @detect_zeroes: (nullable): `off`, `on`, `unmap`
 * @error_policy: (nullable): `stop`, `report`, `ignore`, `enospace`: QEMU's `werror` (`enospc`)
 * @rerror_policy: (nullable): `stop`, `report`, `ignore`: QEMU's `rerror`
 * @readonly: the guest can't write
 * @shareable: others may use it at the same time
 * @removable: `removable='on'` of its target
 * @queues: number of virtqueues, 0: default
 * @rotation_rate: guest-visible rotation rate, 0: none given
 * @serial: (nullable): serial number that the guest sees
 * @wwn: (nullable): World Wide Name that the guest sees, 16 hex digits
 * @snapshot: its own wish for snapshots
 * @boot_order: see above
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 */
typedef struct {
  char *target;
  VsDiskBus bus;
  gboolean is_block;
  gboolean is_cdrom;
  char *path;
  char *format;
  char *cache;
  char *io;
  char *discard;
  char *detect_zeroes;
  char *error_policy;
  char *rerror_policy;
  gboolean readonly;
  gboolean shareable;
  gboolean removable;
  guint queues;
  guint rotation_rate;
  char *serial;
  char *wwn;
  VsDiskSnapshot snapshot;
  guint boot_order;
  char *alias;
  VsAddress address;
  guint line;
} VsDiskDef;

/**
 * VsControllerType:
 * @VS_CONTROLLER_PCI: a PCI bus or bridge
 * @VS_CONTROLLER_USB: a USB host controller
 * @VS_CONTROLLER_SCSI: a SCSI host adapter
 * @VS_CONTROLLER_SATA: AHCI
 * @VS_CONTROLLER_IDE: IDE
 * @VS_CONTROLLER_VIRTIO_SERIAL: carries consoles and channels
 */
typedef enum {
  VS_CONTROLLER_PCI,
  VS_CONTROLLER_USB,
  VS_CONTROLLER_SCSI,
  VS_CONTROLLER_SATA,
  VS_CONTROLLER_IDE,
  VS_CONTROLLER_VIRTIO_SERIAL,
} VsControllerType;

/**
 * VsControllerDef:
 * @type: what it carries
 * @index: its number among those of its type (companions of an ich9-ehci1 share one)
 * @model: (nullable): pci: `pcie-root`, `pci-root`, `pcie-root-port`, `pcie-to-pci-bridge`, `dmi-to-pci-bridge`,
 *   `pci-bridge`; usb: `qemu-xhci`, `nec-xhci`, `ich9-ehci1`, `ich9-uhci1` … `3`, `piix3-uhci`, `none`; scsi:
 *   `virtio-scsi`, `lsilogic`
 * @model_name: (nullable): pci: the device's name at QEMU, `pcie-root-port`
 * @chassis: pci: chassis number (a bridge's is `chassisNr`), -1: none given
 * @port: pci: port number of a root port, -1: none given
 * @hotplug: pci: whether devices can be plugged while it runs; off only for a root port that has an address
 * @ports: usb, virtio-serial: number of ports, -1: none given
 * @vectors: virtio-serial: number of MSI vectors, -1: none given
 * @queues: scsi: number of virtqueues, 0: default
 * @usb_master_startport: usb: `<master startport=…>` of a companion, -1: none
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 */
typedef struct {
  VsControllerType type;
  guint index;
  char *model;
  char *model_name;
  int chassis;
  int port;
  VsTristate hotplug;
  int ports;
  int vectors;
  guint queues;
  int usb_master_startport;
  char *alias;
  VsAddress address;
  guint line;
} VsControllerDef;

/**
 * VsInterfaceType:
 * @VS_INTERFACE_USER: QEMU's own network stack
 * @VS_INTERFACE_BRIDGE: a tap device on the bridge @bridge
 */
typedef enum {
  VS_INTERFACE_USER,
  VS_INTERFACE_BRIDGE,
} VsInterfaceType;

/**
 * VsInterfaceDef:
 * @type: how it is connected
 * @bridge: (nullable): for bridge: `bridge=` as written; for `type='network'`: `bridge=` of its source when a running
 *   libvirt wrote it there, else the name of the network
 * @mac: `52:54:00:…` in lower case; generated and written back when absent
 * @mac_is_made: the text had none
 * @model: `virtio`, `e1000`, `e1000e`, `rtl8139`; `virtio` when absent
 * @ifname: (nullable): name for the tap device; libvirt's own automatic `vnetN` isn't kept here
 * @link: off: the cable is pulled
 * @rom_enabled: whether the guest sees the card's boot ROM; by default only if the card is booted from
 * @rom_bar: whether that is mapped like other memory of the card
 * @boot_order: see above
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 */
typedef struct {
  VsInterfaceType type;
  char *bridge;
  char *mac;
  gboolean mac_is_made;
  char *model;
  char *ifname;
  VsTristate link;
  VsTristate rom_enabled;
  VsTristate rom_bar;
  guint boot_order;
  char *alias;
  VsAddress address;
  guint line;
} VsInterfaceDef;

/**
 * VsChardevType:
 * @VS_CHARDEV_PTY: a pseudo-terminal, chosen at each start
 * @VS_CHARDEV_UNIX: a socket at @path
 * @VS_CHARDEV_FILE: what the guest writes goes to the file @path
 * @VS_CHARDEV_NULL: nowhere
 * @VS_CHARDEV_SPICEVMC: the SPICE client (channels only)
 */
typedef enum {
  VS_CHARDEV_PTY,
  VS_CHARDEV_UNIX,
  VS_CHARDEV_FILE,
  VS_CHARDEV_NULL,
  VS_CHARDEV_SPICEVMC,
} VsChardevType;

/**
 * VsChardevDef:
 * @type: the host's end
 * @path: (nullable): absolute path for unix and file; %NULL for a unix channel: the service chooses
 * @listen: unix: QEMU listens (`mode='bind'`, default); else it connects
 * @append: file: `append='on'`
 * @target_type: (nullable): serial: `isa-serial` (default), `pci-serial`, `usb-serial`; console and channel: `virtio`
 * @target_port: serial, console: number
 * @target_name: (nullable): channel: `org.qemu.guest_agent.0`
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 *
 * A serial port, console or channel.
 */
typedef struct {
  VsChardevType type;
  char *path;
  gboolean listen;
  gboolean append;
  char *target_type;
  guint target_port;
  char *target_name;
  char *alias;
  VsAddress address;
  guint line;
} VsChardevDef;

/**
 * VsGraphicsType:
 * @VS_GRAPHICS_VNC: VNC
 * @VS_GRAPHICS_SPICE: SPICE
 */
typedef enum {
  VS_GRAPHICS_VNC,
  VS_GRAPHICS_SPICE,
} VsGraphicsType;

/**
 * VsListenType:
 * @VS_LISTEN_ADDRESS: TCP, at @listen_address and @port
 * @VS_LISTEN_SOCKET: a unix socket at @socket
 * @VS_LISTEN_NONE: not at all
 */
typedef enum {
  VS_LISTEN_ADDRESS,
  VS_LISTEN_SOCKET,
  VS_LISTEN_NONE,
} VsListenType;

/**
 * VsGraphicsDef:
 * @type: the protocol
 * @listen: how clients come
 * @listen_address: for %VS_LISTEN_ADDRESS; `127.0.0.1` when absent
 * @socket: (nullable): for %VS_LISTEN_SOCKET: absolute path; %NULL: the service chooses
 * @autoport: the service chooses a free port; then @port is -1
 * @port: TCP port, or -1
 * @tls_port: spice: TLS port, or -1
 * @keymap: (nullable): `de`
 * @share_policy: (nullable): vnc: `allow-exclusive`, `force-shared`, `ignore`
 * @line: see above
 */
typedef struct {
  VsGraphicsType type;
  VsListenType listen;
  char *listen_address;
  char *socket;
  gboolean autoport;
  int port;
  int tls_port;
  char *keymap;
  char *share_policy;
  guint line;
} VsGraphicsDef;

/**
 * VsVideoDef:
 * @model: `virtio`, `qxl`, `vga`, `cirrus`, `bochs`, `ramfb`, `none`
 * @ram: KiB, 0: default
 * @vram: KiB, 0: default
 * @vgamem: KiB, 0: default
 * @heads: 0: default
 * @primary: the one with the BIOS' text mode; the first when none says so
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 */
typedef struct {
  char *model;
  guint64 ram;
  guint64 vram;
  guint64 vgamem;
  guint heads;
  gboolean primary;
  char *alias;
  VsAddress address;
  guint line;
} VsVideoDef;

/**
 * VsInputDef:
 * @type: `tablet`, `mouse`, `keyboard`
 * @bus: `usb`, `ps2` (part of the machine, needs no device), `virtio`
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 */
typedef struct {
  char *type;
  char *bus;
  char *alias;
  VsAddress address;
  guint line;
} VsInputDef;

/**
 * VsMemballoonDef:
 * @autodeflate: `deflate-on-oom`
 * @free_page_reporting: `free-page-reporting`
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 *
 * A virtio balloon. `model='none'`, and no `<memballoon>` at all, mean that there is none.
 */
typedef struct {
  VsTristate autodeflate;
  VsTristate free_page_reporting;
  char *alias;
  VsAddress address;
  guint line;
} VsMemballoonDef;

/**
 * VsRngDef:
 * @path: (nullable): `/dev/urandom`, `/dev/random` or `/dev/hwrng`; %NULL: QEMU's `rng-builtin`
 * @rate_bytes: 0: no limit
 * @rate_period_ms: for @rate_bytes
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 *
 * A virtio source of randomness.
 */
typedef struct {
  char *path;
  guint64 rate_bytes;
  guint64 rate_period_ms;
  char *alias;
  VsAddress address;
  guint line;
} VsRngDef;

/**
 * VsTpmDef:
 * @model: `tpm-tis` or `tpm-crb`
 * @version: `1.2` or `2.0`
 * @persistent_state: `persistent_state='yes'`: kept even when a transient domain ends; refused for one that is transient
 * @alias: (nullable): see above
 * @line: see above
 *
 * An emulated TPM (swtpm).
 */
typedef struct {
  char *model;
  char *version;
  gboolean persistent_state;
  char *alias;
  guint line;
} VsTpmDef;

/**
 * VsWatchdogDef:
 * @model: `itco` (part of a q35 machine: `-global ICH9-LPC.noreboot=off`) or `i6300esb`
 * @action: `reset` (default), `shutdown`, `poweroff`, `pause`, `none`, `inject-nmi` (QEMU's `-action watchdog=`)
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 */
typedef struct {
  char *model;
  char *action;
  char *alias;
  VsAddress address;
  guint line;
} VsWatchdogDef;

/**
 * VsAudioDef:
 * @id: what a `<sound>` names it by, 1 and up, unique
 * @is_spice: the SPICE client hears it; else nobody does
 * @line: see above
 *
 * Where sound goes on the host; guests don't notice.
 */
typedef struct {
  guint id;
  gboolean is_spice;
  guint line;
} VsAudioDef;

/**
 * VsSoundDef:
 * @model: `ich6`, `ich9`, `ac97`, `es1370`, `sb16`: those whose state QEMU can save
 * @codecs: (array zero-terminated=1): ich6, ich9: each `duplex`, `micro` or `output`; never empty for these
 * @audio: the @id of its #VsAudioDef, 0: the first there is
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 *
 * A sound card.
 */
typedef struct {
  char *model;
  char **codecs;
  guint audio;
  char *alias;
  VsAddress address;
  guint line;
} VsSoundDef;

/**
 * VsRedirdevDef:
 * @alias: (nullable): see above
 * @address: see above
 * @line: see above
 *
 * A USB port that a SPICE client may plug a device of its own into.
 */
typedef struct {
  char *alias;
  VsAddress address;
  guint line;
} VsRedirdevDef;

G_END_DECLS
