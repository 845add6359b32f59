/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-guest.h"

G_BEGIN_DECLS

/* For vs-guest.c, vs-tpm.c and their tests: what lies in a guest's directory. */

int vs_guest_socket_listen (const char *directory,
                            const char *name,
                            GError **error);
int vs_guest_socket_connect (const char *directory,
                             const char *name,
                             GError **error);

gboolean vs_guest_record_write (const char *directory,
                                const char *uuid,
                                const char *name,
                                VsProcess *process,
                                GError **error);
VsProcess *vs_guest_find_process (const char *directory,
                                  GError **error);

G_END_DECLS
