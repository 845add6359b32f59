/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * BusSettings:
 * @session: serve the session bus rather than the system bus
 * @version: only tell the version
 * @state_directory: what must survive a reboot
 * @runtime_directory: what is true while guests run
 * @log_directory: what QEMU says
 * @emulator: the QEMU that runs guests whose definition names none
 *
 * The command line of the service.
 */
typedef struct {
  gboolean session;
  gboolean version;
  char *state_directory;
  char *runtime_directory;
  char *log_directory;
  char *emulator;
} BusSettings;

gboolean bus_settings_parse (BusSettings *settings,
                             int *argc,
                             char ***argv,
                             GError **error);
void bus_settings_clear (BusSettings *settings);

G_END_DECLS
