/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define VS_TYPE_HYPERVISOR (vs_hypervisor_get_type ())
G_DECLARE_FINAL_TYPE (VsHypervisor, vs_hypervisor, VS, HYPERVISOR, GObject)

VsHypervisor *vs_hypervisor_get (const char *path,
                                 GCancellable *cancellable,
                                 GError **error);

const char *vs_hypervisor_get_path (VsHypervisor *hypervisor);
const char *vs_hypervisor_get_version (VsHypervisor *hypervisor);
const char *vs_hypervisor_get_arch (VsHypervisor *hypervisor);
const char *const *vs_hypervisor_get_features (VsHypervisor *hypervisor);
gboolean vs_hypervisor_has (VsHypervisor *hypervisor,
                            const char *feature);
char *vs_hypervisor_resolve_machine (VsHypervisor *hypervisor,
                                     const char *machine,
                                     GError **error);
char *vs_hypervisor_find_program (VsHypervisor *hypervisor,
                                  const char *name);

gboolean vs_hypervisor_check_kvm (GError **error);
void vs_hypervisor_set_probe_timeout (gint64 timeout);

G_END_DECLS
