/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VsImageProgress:
 * @data: what was given with it
 *
 * Returns: a number that changes while there is progress
 */
typedef guint64 (*VsImageProgress) (gpointer data);

gboolean vs_image_wait (int fd,
                        VsImageProgress progress,
                        gpointer data,
                        GCancellable *cancellable,
                        GError **error);

/**
 * VsImageProgram:
 *
 * A program that a stream goes through.
 */
typedef struct _VsImageProgram VsImageProgram;

VsImageProgram *vs_image_program_start (const char *const *command,
                                        int input_fd,
                                        int output_fd,
                                        int failure_code,
                                        GError **error);
void vs_image_program_free (VsImageProgram *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsImageProgram, vs_image_program_free)

int vs_image_program_get_pidfd (VsImageProgram *self);
gboolean vs_image_program_join (VsImageProgram *self,
                                GError **error);
void vs_image_program_end (VsImageProgram *self,
                           gboolean wait,
                           GError **error);

G_END_DECLS
