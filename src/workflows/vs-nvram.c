/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The variable store of UEFI guests: a raw file that no internal snapshot covers, and small enough to be copied aside
 * while the guest stands. Threads of runs.
 */
#include "vs-nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "vmsnap-error.h"

#define FOLDER "nvram"
#define SUFFIX ".fd"
#define MAX_SIZE (64 * 1024 * 1024)

/* Whether snapshots of this domain must keep its variable store. */
gboolean
vs_nvram_is_kept (VsDomainDef *def)
{
  return def->os.loader_type == VS_LOADER_PFLASH && def->os.nvram != NULL;
}

/* The prefix keeps a snapshot called VARS away from the domain's own store. */
char *
vs_nvram_file_name (const char *snapshot)
{
  return g_strconcat ("snapshot-", snapshot, SUFFIX, NULL);
}

static gboolean
read_store (const char *path, char **data, gsize *length, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (!g_file_get_contents (path, data, length, &local))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't read the UEFI variables: %s", local->message);
      return FALSE;
    }
  if (*length > MAX_SIZE)
    {
      g_clear_pointer (data, g_free);
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "%s is too big to hold UEFI variables", path);
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_nvram_get_source:
 * @def: a definition with a variable store
 *
 * Where the variables are that the next start will find: those of a domain that was never started are its template's.
 *
 * Returns: (transfer none) (nullable): a path; %NULL when there are none
 */
const char *
vs_nvram_get_source (VsDomainDef *def)
{
  if (g_file_test (def->os.nvram, G_FILE_TEST_EXISTS))
    return def->os.nvram;
  return def->os.nvram_template;
}

/**
 * vs_nvram_read:
 * @path: the variable store of a guest that stands still or is off
 * @error: where to put an error
 *
 * Returns: (transfer full) (nullable): the variables as they are now
 */
GBytes *
vs_nvram_read (const char *path, GError **error)
{
  char *data = NULL;
  gsize length;

  if (!read_store (path, &data, &length, error))
    return NULL;
  return g_bytes_new_take (data, length);
}

/**
 * vs_nvram_keep:
 * @run: a run
 * @bytes: what vs_nvram_read() read
 * @file: the name to keep it under
 * @error: where to put an error
 *
 * Keeps the variables. Syncs, so not while the guest stands.
 *
 * Returns: whether they are kept
 */
gboolean
vs_nvram_keep (VsRun *run, GBytes *bytes, const char *file, GError **error)
{
  gsize length;
  const char *data = g_bytes_get_data (bytes, &length);

  return vs_store_write (vs_run_get_store (run), vs_run_get_uuid (run), FOLDER, file, data, length, error);
}

/* Whether it is still kept. */
gboolean
vs_nvram_check (VsRun *run, const char *file, GError **error)
{
  g_autofree char *path = vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), FOLDER, file);

  if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s, which keeps the snapshot's UEFI variables, is missing",
               path);
  return FALSE;
}

gboolean
vs_nvram_forget (VsRun *run, const char *file, GError **error)
{
  return vs_store_remove (vs_run_get_store (run), vs_run_get_uuid (run), FOLDER, file, error);
}

/* Into the same file, for a running QEMU has it open. */
static gboolean
write_in_place (const char *path, const char *data, gsize length, GError **error)
{
  int fd = g_open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  gsize done = 0;
  int err = errno;

  while (fd >= 0 && done < length)
    {
      ssize_t n = pwrite (fd, data + done, length - done, done);

      if (n < 0 && errno == EINTR)
        continue;
      err = errno;
      if (n < 0)
        break;
      done += n;
    }
  if (fd >= 0 && done == length && ftruncate (fd, length) == 0 && fsync (fd) == 0)
    {
      g_close (fd, NULL);
      return TRUE;
    }
  g_set_error (error, VMSNAP_ERROR, err == ENOSPC ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO,
               "Can't put the UEFI variables back into %s: %s", path, g_strerror (err));
  if (fd >= 0)
    g_close (fd, NULL);
  return FALSE;
}

/**
 * vs_nvram_put_back:
 * @run: a run, whose guest stands still or is off
 * @file: the name it was kept under
 * @path: the domain's variable store
 * @error: where to put an error
 *
 * Puts the kept variables back.
 *
 * Returns: whether they are back
 */
gboolean
vs_nvram_put_back (VsRun *run, const char *file, const char *path, GError **error)
{
  g_autofree char *kept = vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), FOLDER, file);
  g_autofree char *data = NULL;
  gsize length;

  return read_store (kept, &data, &length, error) && write_in_place (path, data, length, error);
}
