/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * CtlEdited:
 * @text: what an editor left
 * @user_data: what was given with the function
 * @error: why it won't do
 *
 * Returns: whether it is taken
 */
typedef gboolean (*CtlEdited) (const char *text, gpointer user_data, GError **error);

gboolean ctl_edit (const char *text, CtlEdited take, gpointer user_data, gboolean *changed, GError **error);

G_END_DECLS
