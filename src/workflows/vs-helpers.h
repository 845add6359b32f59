/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-process.h"
#include "vs-workflow.h"

G_BEGIN_DECLS

/**
 * VsHelpers:
 * @directory: the guest's runtime directory
 * @tpm_socket: (nullable): where the emulated TPM listens
 * @fds: (array length=n_fds): the taps of bridged interfaces, as they cross into QEMU
 * @tap_targets: (array length=n_fds): their numbers there
 * @n_fds: how many
 * @spice_port: a free port, when the definition wants one chosen
 *
 * What must be there before a guest can be: programs beside QEMU, and descriptors. The descriptors are closed when this
 * is freed; the programs go on.
 */
typedef struct {
  char *directory;
  char *tpm_socket;
  VsProcessFd *fds;
  int *tap_targets;
  gsize n_fds;
  int spice_port;
} VsHelpers;

VsHelpers *vs_helpers_start (VsRun *run,
                             const char *directory,
                             GError **error);
void vs_helpers_free (VsHelpers *self);
void vs_helpers_end (VsRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsHelpers, vs_helpers_free)

G_END_DECLS
