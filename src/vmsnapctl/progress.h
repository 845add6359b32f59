/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap.h>

G_BEGIN_DECLS

/* A job's state of the moment, for one line of text. */
typedef struct
{
  const char *phase;
  double fraction;
  guint64 bytes_done;
  guint64 bytes_total;
  gint64 elapsed; /* microseconds */
  guint64 rate;   /* bytes in a second; 0: not known */
} CtlMoment;

typedef struct _CtlProgress CtlProgress;

char *ctl_progress_format_bar (const CtlMoment *moment, guint columns);
char *ctl_progress_format_line (const CtlMoment *moment);
const char *ctl_progress_describe (const char *operation);

CtlProgress *ctl_progress_new (VmSnapJob *job);
void ctl_progress_note (CtlProgress *progress, const char *text);
void ctl_progress_free (CtlProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CtlProgress, ctl_progress_free)

G_END_DECLS
