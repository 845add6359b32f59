/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap.h>

G_BEGIN_DECLS

/* What the program's exit status says. */
typedef enum
{
  CTL_OK = 0,
  CTL_FAILED = 1,
  CTL_USAGE = 2,
} CtlExit;

typedef struct _Ctl Ctl;

typedef struct
{
  const char *name; /* "start", or "snapshot create" */
  const char *arguments;
  const char *summary;
  CtlExit (*run) (Ctl *ctl, int argc, char **argv);
} CtlCommand;

struct _Ctl
{
  const CtlCommand *command;
  const char *note; /* nullable: what the command's `--help` says below its options */
  gboolean session;
  gboolean system;
  gboolean json;
  gboolean no_wait;
  gboolean no_queue;
  VmSnapClient *client;
  GSubprocess *agent; /* nullable */
};

/* For commands that start jobs, and for those that only change a domain. */
#define CTL_QUEUE_ENTRY(ctl)                                                                                           \
  {                                                                                                                    \
    "no-queue", 0, 0, G_OPTION_ARG_NONE, &(ctl)->no_queue, "Fail rather than wait behind another operation", NULL      \
  }
#define CTL_WAIT_ENTRY(ctl)                                                                                            \
  {                                                                                                                    \
    "no-wait", 0, 0, G_OPTION_ARG_NONE, &(ctl)->no_wait, "Start the job, and don't wait for its end", NULL             \
  }

gboolean ctl_parse_globals (Ctl *ctl, int *argc, char ***argv, const char *description, gboolean *version);
gboolean ctl_parse (Ctl *ctl, const GOptionEntry *entries, int *argc, char ***argv, int least, int most);
CtlExit ctl_usage (Ctl *ctl, const char *format, ...) G_GNUC_PRINTF (2, 3);
CtlExit ctl_fail (GError *error);
CtlExit ctl_fail_image (GError *error, const char *name);
void ctl_done (Ctl *ctl, const char *format, ...) G_GNUC_PRINTF (2, 3);

gboolean ctl_connect (Ctl *ctl, GError **error);
VmSnapDomain *ctl_find_domain (Ctl *ctl, const char *name, GError **error);
VmSnapSnapshot *ctl_find_snapshot (Ctl *ctl, const char *domain_name, const char *name, GError **error);
char *ctl_read_xml (const char *file, GError **error);

void ctl_option_flag (GVariantDict *options, const char *key, gboolean value);
void ctl_option_string (GVariantDict *options, const char *key, const char *value);
GVariant *ctl_options (Ctl *ctl, GVariantDict *options);

/* agent.c */
void ctl_agent_start (Ctl *ctl);
void ctl_agent_stop (Ctl *ctl);

/* job-wait.c */
void ctl_tell_warning (VmSnapJob *job);
gboolean ctl_wait (Ctl *ctl, VmSnapJob *job, GError **error);
CtlExit ctl_finish_job (Ctl *ctl, VmSnapJob *job, GError *error, const char *format, ...) G_GNUC_PRINTF (4, 5);
char *ctl_job_number (VmSnapJob *job);

G_END_DECLS
