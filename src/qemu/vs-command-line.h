/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include <gio/gio.h>

#include "vs-disk-chain.h"
#include "vs-domain-def.h"
#include "vs-hypervisor.h"

G_BEGIN_DECLS

/**
 * VsCommandLineContext:
 * @directory: the guest's runtime directory, from vs_guest_directory(): pidfile and default socket paths are in it
 * @chains: (element-type utf8 VsDiskChain): for each disk that has a source: target to chain
 * @nvram: (nullable): the domain's own variable store; %NULL: the definition's
 * @tpm_socket: (nullable): the control socket of the emulated TPM, when the definition has one
 * @tap_fds: (array length=n_tap_fds) (nullable): the numbers, in QEMU, of the taps of the bridged interfaces, in
 *   their order in the definition
 * @n_tap_fds: how many
 * @spice_port: the port for a SPICE display whose port the service chooses (see vs_command_line_free_port()), or 0
 * @now: seconds since the epoch, for a guest's clock that keeps a distance to UTC; 0: the present
 * @incoming: whether a saved state will be loaded: `-incoming defer`
 *
 * What a command line depends on besides the definition and the emulator.
 */
typedef struct {
  const char *directory;
  GHashTable *chains;
  const char *nvram;
  const char *tpm_socket;
  const int *tap_fds;
  gsize n_tap_fds;
  int spice_port;
  gint64 now;
  gboolean incoming;
} VsCommandLineContext;

GStrv vs_command_line_build (VsDomainDef *def,
                             VsHypervisor *hypervisor,
                             const VsCommandLineContext *context,
                             GError **error);

int vs_command_line_free_port (const char *address,
                               GError **error);

char *vs_command_line_agent_port (VsDomainDef *def);
char *vs_command_line_agent_chardev (VsDomainDef *def);

char *vs_block_node_name (const char *target,
                          guint index);
char *vs_block_storage_node_name (const char *target,
                                  guint index);
char *vs_block_next_node_name (const char *target,
                               const char *const *taken);
char *vs_block_device_id (const char *target);
JsonObject *vs_block_storage_node (const VsDiskDef *disk,
                                   const char *name,
                                   const char *path,
                                   gboolean is_block);
JsonObject *vs_block_format_node (const VsDiskDef *disk,
                                  const char *name,
                                  const char *storage,
                                  const char *format,
                                  gboolean is_active,
                                  const char *backing);

G_END_DECLS
