/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp-client.h"

G_BEGIN_DECLS

/* A real QEMU, and a connection to its monitor. Fits g_test_add() as a fixture, whose data is the machine's type; NULL:
 * without a machine. */
typedef struct
{
  char *dir;
  char *monitor;
  GSubprocess *process;
  QmpClient *client;
} Emulator;

void emulator_set_up (Emulator *emulator,
                      gconstpointer data);
void emulator_tear_down (Emulator *emulator,
                         gconstpointer data);
JsonNode *emulator_call (Emulator *emulator,
                         const char *command,
                         JsonObject *arguments);

G_END_DECLS
