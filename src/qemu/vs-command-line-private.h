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
 *
 * What a device asks of its place.
 */
typedef enum {
  VS_SLOT_EXPRESS,
  VS_SLOT_CONVENTIONAL,
} VsSlotKind;

/**
 * VsCommandLine:
 * @def: what is to be run
 * @hypervisor: by whom
 * @context: and under which circumstances
 * @machine: the versioned machine type
 * @family: its kind
 * @argv: (element-type utf8): what there is of it so far
 * @next_port: number of the next PCI Express root port
 * @next_slot: next free slot of the root bus
 * @n_usb: how many USB controllers there are; devices go to the first
 * @n_virtio_ports: how many ports of the virtio-serial controller are taken
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
  guint next_port;
  guint next_slot;
  guint n_usb;
  guint n_virtio_ports;
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
                                VsSlotKind kind,
                                GError **error);
void vs_command_line_place_primary_video (VsCommandLine *line,
                                          VsOption *device);
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
gboolean vs_command_line_add_inputs (VsCommandLine *line,
                                     GError **error);
gboolean vs_command_line_add_displays (VsCommandLine *line,
                                       GError **error);
gboolean vs_command_line_add_sounds (VsCommandLine *line,
                                     GError **error);
gboolean vs_command_line_add_redirdevs (VsCommandLine *line,
                                        GError **error);

G_END_DECLS
