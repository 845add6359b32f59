/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What two guests of one domain can't hold at once: sockets, the place of a display, the UEFI variables. The new one has
 * them under other names, and gets the right ones when it has taken over. Threads of runs.
 */
#include "vs-beside-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-firmware.h"
#include "vs-nvram.h"
#include "vs-snapshot-revert.h"
#include "vs-steps.h"
#include "vs-warning.h"

#define NVRAM_SUFFIX ".new"

/* Another one for each job: a QEMU that ends removes the names that it knows of its sockets, whoever has them by then. */
static char *
get_suffix (VsRun *run)
{
  return g_strdup_printf (".%u", vs_run_get_number (run));
}

static char *
get_new_variables (VsDomainDef *def)
{
  return def->os.loader_type == VS_LOADER_PFLASH && def->os.nvram != NULL ? g_strconcat (def->os.nvram, NVRAM_SUFFIX, NULL)
                                                                           : NULL;
}

/* What the new guest's QEMU is told, instead of the run's definition. */
VsDomainDef *
vs_beside_move_places (VsRun *run, GError **error)
{
  VsDomainDef *def = vs_run_get_def (run);
  g_autofree char *suffix = get_suffix (run);
  g_autofree char *variables = get_new_variables (def);
  g_autoptr (VsDomainDef) moved =
    vs_run_get_flag (run, FACT_APART) ? vs_domain_def_copy_beside (def, suffix, error) : vs_domain_def_ref (def);

  if (moved == NULL || variables == NULL)
    return g_steal_pointer (&moved);
  return vs_domain_def_copy_with_nvram (moved, variables, error);
}

/* Those of the snapshot; else those that the domain has; else, for a first start, those of the template. */
gboolean
vs_beside_make_variables (VsRun *run, GError **error)
{
  VsDomainDef *def = vs_run_get_def (run);
  const char *kept = vs_run_get_string (run, FACT_NVRAM);
  g_autofree char *path = get_new_variables (def);
  g_autoptr (VsDomainDef) moved = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) local = NULL;
  gboolean created;

  if (path == NULL)
    return TRUE;
  g_unlink (path);
  if (kept != NULL)
    return vs_nvram_put_back (run, kept, path, error);
  if (!g_file_test (def->os.nvram, G_FILE_TEST_EXISTS))
    {
      moved = vs_domain_def_copy_with_nvram (def, path, error);
      return moved != NULL && vs_firmware_prepare_nvram (moved, &created, error);
    }
  bytes = vs_nvram_read (def->os.nvram, error);
  if (bytes == NULL)
    return FALSE;
  if (g_file_set_contents_full (path, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes),
                                G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &local))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't copy the UEFI variables: %s", local->message);
  return FALSE;
}

static void
for_each_socket (VsRun *run, VsDomainDef *def, void (*func) (const char *moved, const char *path))
{
  GPtrArray *const kinds[] = { def->serials, def->consoles, def->channels };
  g_autofree char *suffix = get_suffix (run);

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    for (guint j = 0; j < kinds[i]->len; j++)
      {
        const VsChardevDef *chardev = g_ptr_array_index (kinds[i], j);
        g_autofree char *moved = NULL;

        if (chardev->type != VS_CHARDEV_UNIX || chardev->path == NULL || !chardev->listen)
          continue;
        moved = g_strconcat (chardev->path, suffix, NULL);
        func (moved, chardev->path);
      }
}

static void
forget_socket (const char *moved, const char *path)
{
  g_unlink (moved);
}

/* Undo: of a guest that is gone nothing is left. */
void
vs_beside_forget_places (VsRun *run, VsDomainDef *next)
{
  g_autofree char *variables = get_new_variables (next);

  if (vs_run_get_flag (run, FACT_APART))
    for_each_socket (run, next, forget_socket);
  if (variables != NULL)
    g_unlink (variables);
}

/* The new guest has its store open, whatever that is called. */
gboolean
vs_beside_take_variables (VsRun *run, GError **error)
{
  g_autofree char *variables = get_new_variables (vs_run_get_def (run));
  int number;

  if (variables == NULL || g_rename (variables, vs_run_get_def (run)->os.nvram) == 0 || errno == ENOENT)
    return TRUE;
  number = errno;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't rename %s to %s: %s", variables,
               vs_run_get_def (run)->os.nvram, g_strerror (number));
  return FALSE;
}

static void
take_socket (const char *moved, const char *path)
{
  if (g_rename (moved, path) != 0 && errno != ENOENT)
    g_warning ("Can't rename the socket %s to %s: %s", moved, path, g_strerror (errno));
}

static JsonObject *
describe_display (const VsGraphicsDef *graphics)
{
  g_autofree char *port = g_strdup_printf ("%d", graphics->port);
  JsonObject *arguments = qmp_args_new ("s:type", "vnc", NULL);
  JsonArray *addresses = json_array_new ();

  json_array_add_object_element (
    addresses, graphics->listen == VS_LISTEN_SOCKET
                 ? qmp_args_new ("s:type", "unix", "s:path", graphics->socket, NULL)
                 : qmp_args_new ("s:type", "inet", "s:host", graphics->listen_address, "s:port", port, NULL));
  json_object_set_array_member (arguments, "addresses", addresses);
  return arguments;
}

static void
take_displays (VsRun *run)
{
  GPtrArray *all = vs_run_get_def (run)->graphics;

  for (guint i = 0; i < all->len; i++)
    {
      const VsGraphicsDef *graphics = g_ptr_array_index (all, i);
      g_autoptr (GError) error = NULL;

      if (graphics->type != VS_GRAPHICS_VNC || !vs_domain_def_has_place (graphics)
          || vs_run_get_monitor (run, NULL) == NULL)
        continue;
      if (!vs_steps_call (run, "display-update", describe_display (graphics), &error))
        vs_warning_add (run, "The display can't be moved to where the definition says until the guest is started anew: %s",
                        error->message);
    }
}

/* The old guest is gone, and has removed its names. */
void
vs_beside_take_places (VsRun *run)
{
  if (!vs_run_get_flag (run, FACT_APART))
    return;
  for_each_socket (run, vs_run_get_def (run), take_socket);
  take_displays (run);
}
