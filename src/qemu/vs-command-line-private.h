/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-command-line.h"

G_BEGIN_DECLS

/**
 * VsMachineFamily:
 * @VS_MACHINE_PC: i440FX: PCI, IDE, no SATA of its own
 * @VS_MACHINE_Q35: PCI Express, AHCI, no IDE
 *
 * The machines whose layout is known here.
 */
typedef enum {
  VS_MACHINE_PC,
  VS_MACHINE_Q35,
} VsMachineFamily;

/**
 * VsSlotKind:
 * @VS_SLOT_EXPRESS: a port of its own on a PCI Express machine: virtio and the like
 * @VS_SLOT_CONVENTIONAL: part of the root complex: old PCI devices
 * @VS_SLOT_PORT: beside other root ports
 *
 * What a device asks of its place.
 */
typedef enum {
  VS_SLOT_EXPRESS,
  VS_SLOT_CONVENTIONAL,
  VS_SLOT_PORT,
} VsSlotKind;

/**
 * VsCommandLine:
 * @def: what is to be run
 * @hypervisor: by whom
 * @context: and under which circumstances
 * @machine: the versioned machine type
 * @family: its kind
 * @argv: (element-type utf8): what there is of it so far
 * @pci_buses: (element-type guint Bus): the PCI buses that the definition can name, by number
 * @last_bus: the highest number of a PCI bus or chassis so far
 * @n_ports: how many PCI Express root ports were placed here
 * @port_slot: the slot where the last of them is
 * @next_slot: next slot of the root bus that may be free
 * @video_slot: the slot kept for the first graphics card; 0: it has one of its own
 * @drives: (element-type VsDiskDef VsAddress): the places of the disks on SCSI, SATA and IDE
 * @n_usb: how many USB controllers there are; devices go to the first, if they aren't given another
 * @usb_buses: (element-type guint Bus): the USB controllers, by index
 * @virtio_serial_buses: (element-type guint Bus): the virtio-serial controllers, by index
 * @virtio_ports: (element-type VsAddress guint): ports chosen for what the definition gives none
 *
 * A command line in the making.
 */
typedef struct {
  VsDomainDef *def;
  VsHypervisor *hypervisor;
  const VsCommandLineContext *context;
  char *machine;
  VsMachineFamily family;
  GPtrArray *argv;
  GHashTable *pci_buses;
  guint last_bus;
  guint n_ports;
  guint port_slot;
  guint next_slot;
  guint video_slot;
  GHashTable *drives;
  guint n_usb;
  GHashTable *usb_buses;
  GHashTable *virtio_serial_buses;
  GHashTable *virtio_ports;
} VsCommandLine;

typedef gboolean (*VsCommandLinePart) (VsCommandLine *line,
                                       GError **error);

/* An option's value in the making, `driver,key=value,…`, with commas in values doubled. */
typedef GString VsOption;

VsOption *vs_option_new (const char *driver);
void vs_option_add (VsOption *option,
                    const char *key,
                    const char *format,
                    ...) G_GNUC_PRINTF (3, 4);
void vs_option_add_tristate (VsOption *option,
                             const char *key,
                             VsTristate value);

void vs_command_line_add (VsCommandLine *line,
                          const char *name,
                          const char *value);
void vs_command_line_take (VsCommandLine *line,
                           const char *name,
                           VsOption *option);

gboolean vs_command_line_place (VsCommandLine *line,
                                VsOption *device,
                                const VsAddress *address,
                                VsSlotKind kind,
                                GError **error);
gboolean vs_command_line_place_primary_video (VsCommandLine *line,
                                              VsOption *device,
                                              const VsAddress *address,
                                              GError **error);
gboolean vs_command_line_place_drive (VsCommandLine *line,
                                      const VsDiskDef *disk,
                                      VsOption *device,
                                      GError **error);
void vs_command_line_place_usb (VsCommandLine *line,
                                VsOption *device,
                                const VsAddress *address);
void vs_command_line_place_virtio_port (VsCommandLine *line,
                                        VsOption *device,
                                        const VsAddress *address);
gboolean vs_command_line_refuse (VsCommandLine *line,
                                 GError **error,
                                 guint line_number,
                                 const char *format,
                                 ...) G_GNUC_PRINTF (4, 5);
gboolean vs_command_line_need (VsCommandLine *line,
                               GError **error,
                               const char *feature,
                               const char *what,
                               const char *package,
                               const char *otherwise);

guint vs_command_line_boot_index (VsCommandLine *line,
                                  VsBootDevice kind,
                                  guint boot_order,
                                  gboolean is_first);

gboolean vs_command_line_add_pci (VsCommandLine *line,
                                  GError **error);
gboolean vs_command_line_add_firmware (VsCommandLine *line,
                                       GError **error);
gboolean vs_command_line_add_disk_controllers (VsCommandLine *line,
                                               GError **error);
gboolean vs_command_line_add_disks (VsCommandLine *line,
                                    GError **error);
gboolean vs_command_line_add_usb (VsCommandLine *line,
                                  GError **error);
gboolean vs_command_line_add_small_devices (VsCommandLine *line,
                                            GError **error);
gboolean vs_command_line_add_interfaces (VsCommandLine *line,
                                         GError **error);
gboolean vs_command_line_add_chardevs (VsCommandLine *line,
                                       GError **error);
gboolean vs_command_line_add_virtio_serial (VsCommandLine *line,
                                            GError **error);
gboolean vs_command_line_add_inputs (VsCommandLine *line,
                                     GError **error);
gboolean vs_command_line_add_displays (VsCommandLine *line,
                                       GError **error);
gboolean vs_command_line_add_sounds (VsCommandLine *line,
                                     GError **error);
gboolean vs_command_line_add_redirdevs (VsCommandLine *line,
                                        GError **error);

G_END_DECLS
