/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The file of a saved memory: where it is, that it is new, and that nobody else's is ever removed. Threads of runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-memory-private.h"

#define FACT_OWN "memory-own" /* in the store */
/* Which file it is, as text: JSON's integers are signed */
#define FACT_DEVICE "memory-device"
#define FACT_INODE "memory-inode"

static char *
number_to_text (guint64 number)
{
  return g_strdup_printf ("%" G_GUINT64_FORMAT, number);
}

/* Main thread. */
void
vs_memory_file_note (const char *path, JsonObject *facts)
{
  json_object_set_string_member (facts, FACT_MEMORY_PATH, path);
}

/* A name in the store that nothing is behind: another snapshot of the same name may have left its memory. */
static char *
choose_own (VsRun *run)
{
  const char *name = vs_run_get_string (run, VS_FACT_SNAPSHOT);
  char *path = NULL;

  for (guint i = 1; path == NULL; i++)
    {
      g_autofree char *file = i == 1 ? g_strdup_printf ("%.240s.save", name) : g_strdup_printf ("%.230s-%u.save", name, i);
      g_autofree char *tried = vs_store_get_path (vs_run_get_store (run), vs_run_get_uuid (run), VS_STORE_MEMORY, file);

      if (!g_file_test (tried, G_FILE_TEST_EXISTS) && !g_file_test (tried, G_FILE_TEST_IS_SYMLINK))
        path = g_steal_pointer (&tried);
    }
  return path;
}

static gboolean
check_place (const char *path, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (path);
  struct stat st;

  if (lstat (path, &st) == 0)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS,
                 "%s is there already, and is not written over; choose another memory-path, or remove it", path);
  else if (!g_file_test (directory, G_FILE_TEST_IS_DIR))
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s, for the memory, is no directory; make it first",
                 directory);
  else if (g_access (directory, W_OK | X_OK) != 0)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
                 "%s, for the memory, can't be written by the service (uid %u): %s; change its owner or mode, or choose "
                 "another memory-path", directory, (guint) geteuid (), g_strerror (errno));
  else
    return TRUE;
  return FALSE;
}

/* Before anything is done. */
gboolean
vs_memory_file_look (VsRun *run, GError **error)
{
  const char *path = vs_run_get_string (run, FACT_MEMORY_PATH);
  g_autofree char *own = NULL;

  if (path != NULL && !vs_run_get_flag (run, FACT_OWN))
    return check_place (path, error);
  own = choose_own (run);
  vs_run_set_string (run, FACT_MEMORY_PATH, own);
  vs_run_set_flag (run, FACT_OWN, TRUE);
  return TRUE;
}

/* The journal knows which file is ours before there is anything in it. Returns a descriptor, or -1. */
int
vs_memory_file_create (VsRun *run, GError **error)
{
  const char *path = vs_run_get_string (run, FACT_MEMORY_PATH);
  struct stat st;
  int fd, number;

  if (vs_run_get_flag (run, FACT_OWN) && !vs_store_make_folder (vs_run_get_store (run), vs_run_get_uuid (run),
                                                                VS_STORE_MEMORY, error))
    return -1;
  fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
  number = errno;
  if (fd < 0)
    {
      g_set_error (error, VMSNAP_ERROR,
                   number == ENOSPC || number == EDQUOT ? VMSNAP_ERROR_NO_SPACE
                   : number == EEXIST                   ? VMSNAP_ERROR_ALREADY_EXISTS
                   : number == ENAMETOOLONG             ? VMSNAP_ERROR_INVALID_ARGUMENT
                                                        : VMSNAP_ERROR_IO,
                   "Can't make %s for the memory: %s", path, g_strerror (number));
      return -1;
    }
  if (fstat (fd, &st) == 0)
    {
      g_autofree char *device = number_to_text (st.st_dev);
      g_autofree char *inode = number_to_text (st.st_ino);

      vs_run_set_string (run, FACT_DEVICE, device);
      vs_run_set_string (run, FACT_INODE, inode);
    }
  if (vs_run_write_journal (run, error))
    return fd;
  close (fd);
  return -1;
}

/* An earlier life may have ended between making it and writing down which it is: then it is empty. */
static gboolean
is_ours (VsRun *run, const struct stat *st)
{
  const char *known = vs_run_get_string (run, FACT_INODE);
  g_autofree char *device = number_to_text (st->st_dev);
  g_autofree char *inode = number_to_text (st->st_ino);

  if (known == NULL)
    return vs_run_is_recovery (run) && S_ISREG (st->st_mode) && st->st_size == 0 && st->st_uid == geteuid ();
  return g_strcmp0 (known, inode) == 0 && g_strcmp0 (vs_run_get_string (run, FACT_DEVICE), device) == 0;
}

gboolean
vs_memory_file_remove (VsRun *run, GError **error)
{
  const char *path = vs_run_get_string (run, FACT_MEMORY_PATH);
  struct stat st;

  if (path == NULL || lstat (path, &st) != 0 || !is_ours (run, &st) || unlink (path) == 0)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't remove %s, which holds an unfinished snapshot's memory: %s",
               path, g_strerror (errno));
  return FALSE;
}

/* Its name is as durable as what is in it. */
gboolean
vs_memory_file_sync (VsRun *run, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (vs_run_get_string (run, FACT_MEMORY_PATH));
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;

  if (!ok)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't get %s onto the disk: %s", directory, g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return ok;
}
