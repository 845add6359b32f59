/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What must be there before a guest can be: the emulated TPM, the taps of bridged interfaces, a free port for SPICE.
 * Threads of runs.
 */
#include "vs-helpers.h"

#include <glib/gstdio.h>

#include "vmsnap-error.h"
#include "vs-bridge.h"
#include "vs-command-line.h"
#include "vs-steps.h"
#include "vs-tpm.h"

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

static gboolean
start_tpm (VsRun *run, const char *directory, GError **error)
{
  VsDomainDef *def = vs_run_get_def (run);
  VsStore *store = vs_run_get_store (run);
  g_autofree char *domain_dir = vs_store_get_domain_dir (store, def->uuid);
  g_autofree char *state_dir = g_build_filename (domain_dir, "tpm", NULL);
  const VsTpmSpec spec = {
    .directory = directory,
    .state_directory = state_dir,
    .log_directory = vs_store_get_log_dir (store),
    .uuid = def->uuid,
    .name = def->name,
    .version = def->tpm != NULL ? def->tpm->version : NULL,
  };

  return def->tpm == NULL || vs_tpm_start (&spec, vs_run_get_cancellable (run), error);
}

/* One tap for each bridged interface, numbered in QEMU in the definition's order. */
static gboolean
open_taps (VsHelpers *self, VsRun *run, GError **error)
{
  GPtrArray *interfaces = vs_run_get_def (run)->interfaces;
  g_autoptr (VsHypervisor) hypervisor =
    vs_hypervisor_get (vs_steps_emulator (run), vs_run_get_cancellable (run), error);

  if (hypervisor == NULL)
    return FALSE;
  self->fds = g_new0 (VsProcessFd, interfaces->len);
  self->tap_targets = g_new0 (int, interfaces->len);
  for (guint i = 0; i < interfaces->len; i++)
    {
      const VsInterfaceDef *interface = g_ptr_array_index (interfaces, i);
      int fd;

      if (interface->type != VS_INTERFACE_BRIDGE)
        continue;
      fd = vs_bridge_open_tap (hypervisor, interface, vs_run_get_cancellable (run), error);
      if (fd < 0)
        return FALSE;
      self->tap_targets[self->n_fds] = VS_GUEST_FIRST_FREE_FD + (int) self->n_fds;
      self->fds[self->n_fds] = (VsProcessFd){ fd, self->tap_targets[self->n_fds] };
      self->n_fds++;
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
  if (!choose_spice_port (self, def, error) || !open_taps (self, run, error) || !start_tpm (run, directory, error))
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
  g_autofree char *directory = vs_guest_directory (vs_store_get_runtime_dir (vs_run_get_store (run)), vs_run_get_uuid (run));

  vs_tpm_end (directory, NULL);
}
