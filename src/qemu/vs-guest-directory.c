/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A guest's runtime directory: where it is, and what is taken away from it in the end. Stateless; any thread; doesn't
 * wait.
 */
#include "vs-guest-private.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <glib/gstdio.h>

/**
 * vs_guest_directory:
 * @runtime_directory: the service's runtime directory
 * @uuid: a domain's uuid
 *
 * Returns: (transfer full): where the sockets and records of the domain's guest are, `<runtime>/guests/<uuid>`
 */
char *
vs_guest_directory (const char *runtime_directory, const char *uuid)
{
  g_autofree char *absolute = g_canonicalize_filename (runtime_directory, NULL);

  return g_build_filename (absolute, "guests", uuid, NULL);
}

/**
 * vs_guest_prepare_directory:
 * @runtime_directory: the service's runtime directory
 * @uuid: a domain's uuid
 * @error: %VMSNAP_ERROR_IO, %VMSNAP_ERROR_NO_SPACE
 *
 * Makes the directory of vs_guest_directory(), for the service's user alone. vs_guest_spawn() does it itself; this is
 * for what has to be there before.
 *
 * Returns: (transfer full): the directory
 */
char *
vs_guest_prepare_directory (const char *runtime_directory, const char *uuid, GError **error)
{
  g_autofree char *directory = vs_guest_directory (runtime_directory, uuid);

  if (g_mkdir_with_parents (directory, 0700) == 0)
    return g_steal_pointer (&directory);
  g_set_error (error, VMSNAP_ERROR, errno == ENOSPC ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO, "Can't make %s: %s",
               directory, g_strerror (errno));
  return NULL;
}

/* Also what a service that was killed had only half written, which has letters behind its name. */
static gboolean
is_of_guest (const char *file)
{
  return g_str_has_suffix (file, ".sock") || g_str_equal (file, VS_GUEST_PIDFILE)
         || g_str_has_prefix (file, VS_GUEST_RECORD) || g_str_has_prefix (file, VS_GUEST_DEFINITION)
         || g_str_has_prefix (file, VS_TPM_RECORD);
}

/**
 * vs_guest_clean_directory:
 * @directory: the directory of a guest that is gone
 *
 * Removes what is known to be of the guest, and @directory when nothing else is in it.
 */
void
vs_guest_clean_directory (const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *file;

  vs_tpm_dismiss (directory);
  while (dir != NULL && (file = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = NULL;

      if (!is_of_guest (file))
        continue;
      path = g_build_filename (directory, file, NULL);
      g_unlink (path);
    }
  g_rmdir (directory);
}
