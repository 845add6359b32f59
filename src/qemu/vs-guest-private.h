/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-guest.h"

G_BEGIN_DECLS

/* For vs-guest.c and vs-tpm.c: what lies in a guest's directory. */

void vs_guest_clean_directory (const char *directory);

int vs_guest_socket_listen (const char *directory,
                            const char *name,
                            GError **error);
int vs_guest_socket_connect (const char *directory,
                             const char *name,
                             GError **error);

gboolean vs_guest_record_write (const char *directory,
                                const char *file,
                                const char *uuid,
                                const char *name,
                                VsProcess *process,
                                GError **error);
VsProcess *vs_guest_record_find (const char *directory,
                                 const char *file,
                                 GError **error);
VsProcess *vs_guest_find_process (const char *directory,
                                  GError **error);

/* Beside the guest's own record. */
#define VS_TPM_RECORD "tpm.json"

void vs_tpm_dismiss (const char *directory);

G_END_DECLS
