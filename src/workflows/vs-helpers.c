/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What must be there before a guest can be: the emulated TPM, the taps of bridged interfaces, a free port for SPICE.
 * Threads of runs.
 */
#include "vs-helpers.h"

#include <glib/gstdio.h>

#include "vmsnap-error.h"
#include "vs-command-line.h"

void
vs_helpers_free (VsHelpers *self)
{
  for (gsize i = 0; i < self->n_fds; i++)
    g_close (self->fds[i].source, NULL);
  g_free (self->directory);
  g_free (self->tpm_socket);
  g_free (self->fds);
  g_free (self->tap_targets);
  g_free (self);
}

static gboolean
choose_spice_port (VsHelpers *self, VsDomainDef *def, GError **error)
{
  for (guint i = 0; i < def->graphics->len; i++)
    {
      const VsGraphicsDef *graphics = g_ptr_array_index (def->graphics, i);

      if (graphics->type != VS_GRAPHICS_SPICE || graphics->listen != VS_LISTEN_ADDRESS || graphics->port > 0)
        continue;
      self->spice_port = vs_command_line_free_port (graphics->listen_address, error);
      return self->spice_port > 0;
    }
  return TRUE;
}

/**
 * vs_helpers_start:
 * @run: a run
 * @directory: the guest's runtime directory
 * @error: where to put an error
 *
 * Starts what the run's definition needs beside QEMU.
 *
 * Returns: (transfer full) (nullable): what QEMU must know of it
 */
VsHelpers *
vs_helpers_start (VsRun *run, const char *directory, GError **error)
{
  g_autoptr (VsHelpers) self = g_new0 (VsHelpers, 1);
  VsDomainDef *def = vs_run_get_def (run);

  self->directory = g_strdup (directory);
  if (!choose_spice_port (self, def, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * vs_helpers_end:
 * @run: a run whose guest is gone
 *
 * Ends the programs.
 */
void
vs_helpers_end (VsRun *run)
{
}
