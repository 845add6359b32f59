/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsTpmSpec:
 * @directory: the guest's runtime directory, from vs_guest_prepare_directory()
 * @state_directory: where the TPM keeps what it remembers; made when it isn't there
 * @log_directory: where `<uuid>-swtpm.log` is
 * @uuid: the domain's uuid
 * @name: the domain's name, for messages
 * @version: `1.2` or `2.0`
 *
 * What vs_tpm_start() needs to know.
 */
typedef struct {
  const char *directory;
  const char *state_directory;
  const char *log_directory;
  const char *uuid;
  const char *name;
  const char *version;
} VsTpmSpec;

gboolean vs_tpm_start (const VsTpmSpec *spec,
                       GCancellable *cancellable,
                       GError **error);
gboolean vs_tpm_end (const char *directory,
                     GError **error);

G_END_DECLS
