/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsMachineType:
 * @name: `pc-q35-7.2`
 * @alias: (nullable): `q35`
 * @is_default: whether QEMU takes it when none is named
 *
 * One machine type that an emulator knows.
 */
typedef struct {
  char *name;
  char *alias;
  gboolean is_default;
} VsMachineType;

/**
 * VsHypervisorFacts:
 * @version: `7.2.22`
 * @arch: `x86_64`
 * @features: sorted
 * @machines: (element-type VsMachineType): in QEMU's order
 *
 * What a probe finds out.
 */
typedef struct {
  char *version;
  char *arch;
  GStrv features;
  GPtrArray *machines;
} VsHypervisorFacts;

void vs_hypervisor_facts_free (VsHypervisorFacts *facts);

VsHypervisorFacts *vs_hypervisor_probe (const char *path,
                                        gint64 timeout,
                                        GCancellable *cancellable,
                                        GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsHypervisorFacts, vs_hypervisor_facts_free)

G_END_DECLS
