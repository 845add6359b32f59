/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl.h"

G_BEGIN_DECLS

/* Each command parses what follows its name; argv[0] is the name's last word. */
CtlExit ctl_command_list (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_define (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_create (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_show (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_xml (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_screenshot (Ctl *ctl, int argc, char **argv);

CtlExit ctl_command_start (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_shutdown (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_power_off (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_reset (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_pause (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_resume (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_undefine (Ctl *ctl, int argc, char **argv);

CtlExit ctl_command_save (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_restore (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_managed_save (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_managed_save_remove (Ctl *ctl, int argc, char **argv);

CtlExit ctl_command_image_show (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_image_edit (Ctl *ctl, int argc, char **argv);

CtlExit ctl_command_snapshot_create (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_snapshot_create_from_xml (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_snapshot_redefine (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_snapshot_revert (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_snapshot_delete (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_snapshot_list (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_snapshot_tree (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_snapshot_show (Ctl *ctl, int argc, char **argv);

CtlExit ctl_command_job_list (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_job_show (Ctl *ctl, int argc, char **argv);
CtlExit ctl_command_job_cancel (Ctl *ctl, int argc, char **argv);

CtlExit ctl_command_monitor (Ctl *ctl, int argc, char **argv);

G_END_DECLS
