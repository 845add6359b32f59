/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-command-line-private.h"

G_BEGIN_DECLS

#define VS_PCI_SLOTS 32
#define VS_PCI_FUNCTIONS 8

/* Slot 0 is the host's bridge; the last one of q35 holds its chip set, slot 1 of a pc as well. */
#define VS_PCI_PC_CHIPSET_SLOT 1
#define VS_PCI_Q35_CHIPSET_SLOT 31

/* Stands for a line where it is the machine itself, or the builder's choice, that has the place. */
#define VS_PCI_MACHINE G_MAXUINT
#define VS_PCI_CHOSEN (G_MAXUINT - 1)

/**
 * VsPciBus:
 * @first_slot: the first slot for devices
 * @last_slot: the last one
 * @is_port: whether it is that of a root port, which is for one device
 * @owner: the line of the device that is there; 0: free
 * @shared: the line of a function 0 that says multifunction='on'; 0: none
 *
 * A PCI bus, and who is where on it.
 */
typedef struct {
  guint first_slot;
  guint last_slot;
  gboolean is_port;
  guint owner[VS_PCI_SLOTS][VS_PCI_FUNCTIONS];
  guint shared[VS_PCI_SLOTS];
} VsPciBus;

static inline gboolean
vs_pci_is_q35 (VsCommandLine *line)
{
  return line->family == VS_MACHINE_Q35;
}

VsPciBus *vs_pci_find_bus (VsCommandLine *line,
                           guint index);
VsPciBus *vs_pci_add_bus (VsCommandLine *line,
                          guint index,
                          guint first_slot,
                          guint last_slot);

gboolean vs_pci_check_types (VsCommandLine *line,
                             GError **error);
gboolean vs_pci_has_addresses (VsCommandLine *line);
gboolean vs_pci_claim (VsCommandLine *line,
                       GError **error);
gboolean vs_pci_is_video (const VsVideoDef *def);

GPtrArray *vs_pci_plan_bridges (VsCommandLine *line,
                                GError **error);
gboolean vs_pci_add_bridges (VsCommandLine *line,
                             GPtrArray *bridges,
                             GError **error);

G_END_DECLS
