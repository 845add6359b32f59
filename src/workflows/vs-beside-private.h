/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-beside.h"

G_BEGIN_DECLS

/* For vs-beside*.c: where the guest beside is, and what is called otherwise as long as there are two. */

char *vs_beside_runtime_dir (VsRun *run);
VsGuest *vs_beside_find (VsRun *run,
                         GError **error);

VsDomainDef *vs_beside_move_places (VsRun *run,
                                    GError **error);
gboolean vs_beside_make_variables (VsRun *run,
                                   GError **error);
void vs_beside_forget_places (VsRun *run,
                              VsDomainDef *next);
gboolean vs_beside_take_variables (VsRun *run,
                                   GError **error);
void vs_beside_take_places (VsRun *run);

G_END_DECLS
