/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

char *ctl_format_size (guint64 bytes);
char *ctl_format_duration (guint64 microseconds);
char *ctl_format_clock (guint64 seconds);
char *ctl_format_time (guint64 microseconds);
char *ctl_format_age (guint64 time, guint64 now);
char *ctl_format_bar (double fraction, guint width);
char *ctl_format_plain (const char *text, gboolean keep_newlines);
char *ctl_format_mode (const char *mode, const char *reason);
char *ctl_format_key (const char *property);
gint64 ctl_estimate_left (double fraction, gint64 elapsed);
guint ctl_text_width (const char *text);
char *ctl_text_shorten (const char *text, guint width, const char *mark);
char *ctl_text_cut (const char *text, guint width);

G_END_DECLS
