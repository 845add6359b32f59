/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whether the service may use a file as QEMU will, seen before QEMU is started; and the words for it if it may not, with
 * the command that helps. Any thread but the main one, for a file may be slow to look at.
 */
#include "vs-file-access.h"

#include "vmsnap-error.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

static char *
our_name (void)
{
  struct passwd *pw, buffer;
  char text[4096];

  if (getpwuid_r (geteuid (), &buffer, text, sizeof text, &pw) == 0 && pw != NULL)
    return g_strdup (pw->pw_name);
  return g_strdup_printf ("%u", (guint)geteuid ());
}

/* The first directory above @path that we can't pass. */
static char *
find_closed_directory (const char *path)
{
  g_autofree char *directory = g_path_get_dirname (path);
  g_autofree char *above = NULL;

  if (g_str_equal (directory, "/") || g_str_equal (directory, "."))
    return NULL;
  above = find_closed_directory (directory);
  if (above != NULL)
    return g_steal_pointer (&above);
  return faccessat (AT_FDCWD, directory, X_OK, AT_EACCESS) == 0 ? NULL : g_steal_pointer (&directory);
}

/**
 * vs_file_access_set_error:
 * @error: where to put %VMSNAP_ERROR_IO
 * @path: a file
 * @writable: whether it was to be written, too
 * @errsv: why it can't be opened
 *
 * Says so, with the command that would let us in, for people to copy.
 */
void
vs_file_access_set_error (GError **error, const char *path, gboolean writable, int errsv)
{
  g_autofree char *user = our_name ();
  g_autofree char *closed = find_closed_directory (path);
  g_autofree char *quoted = g_shell_quote (closed != NULL ? closed : path);

  if (errsv == EACCES || errsv == EPERM)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
                 "The user %s, as whom this service runs, can't %s %s: %s. This command opens it: "
                 "setfacl -m u:%s:%s %s (from the package acl)",
                 user, writable ? "write" : "read", path,
                 closed != NULL ? "its directory is closed" : g_strerror (errsv), user,
                 closed != NULL ? "x"
                 : writable     ? "rw"
                                : "r",
                 quoted);
  else if (errsv == EROFS)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
                 "%s lies on a read-only file system, but the guest is to write to it. Mount it read-write, or give "
                 "the disk <readonly/>",
                 path);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't open %s: %s", path, g_strerror (errsv));
}

static gboolean
check_kind (const char *path, const struct stat *st, GError **error)
{
  const char *kind;

  if (S_ISREG (st->st_mode) || S_ISBLK (st->st_mode))
    return TRUE;
  kind = S_ISDIR (st->st_mode)    ? "a directory"
         : S_ISFIFO (st->st_mode) ? "a pipe"
         : S_ISSOCK (st->st_mode) ? "a socket"
                                  : "a character device";
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "%s is %s; it has to be a regular file or a block device", path, kind);
  return FALSE;
}

/**
 * vs_file_access_check:
 * @path: a file
 * @writable: whether QEMU will write to it
 * @of_whom: what it is, for a message: `the kernel of web`
 * @st: (out): what stat() says of it
 * @error: %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_INVALID_ARGUMENT when it is a directory and the like, %VMSNAP_ERROR_IO
 *   when it is closed, with the command that opens it
 *
 * Returns: whether it is there, of a good kind, and open to us as QEMU will open it
 */
gboolean
vs_file_access_check (const char *path, gboolean writable, const char *of_whom, struct stat *st, GError **error)
{
  if (stat (path, st) != 0)
    {
      if (errno == ENOENT || errno == ENOTDIR)
        g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s, %s, isn't there", path, of_whom);
      else
        vs_file_access_set_error (error, path, FALSE, errno);
      return FALSE;
    }
  if (!check_kind (path, st, error))
    return FALSE;
  if (faccessat (AT_FDCWD, path, writable ? R_OK | W_OK : R_OK, AT_EACCESS) != 0)
    {
      vs_file_access_set_error (error, path, writable, errno);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_one (const VsDomainDef *def, const char *what, const char *path, gboolean writable, GError **error)
{
  g_autofree char *of_whom = g_strdup_printf ("the %s of domain %s", what, def->name);
  struct stat st;

  return path == NULL || vs_file_access_check (path, writable, of_whom, &st, error);
}

/**
 * vs_file_access_check_boot:
 * @def: a domain that is about to run
 * @error: as of vs_file_access_check()
 *
 * Looks at what the domain boots from beside its disks: QEMU would say less about it.
 *
 * Returns: whether kernel, initial RAM disk, firmware and its variables are open to us
 */
gboolean
vs_file_access_check_boot (const VsDomainDef *def, GError **error)
{
  const VsOsDef *os = &def->os;
  const gboolean flash = os->loader_type == VS_LOADER_PFLASH;
  const gboolean has_variables = flash && os->nvram != NULL;
  const gboolean variables_exist = has_variables && g_file_test (os->nvram, G_FILE_TEST_EXISTS);

  return check_one (def, "kernel", os->kernel, FALSE, error) && check_one (def, "initrd", os->initrd, FALSE, error)
         && check_one (def, "firmware (loader)", os->loader, flash && !os->loader_readonly && !has_variables, error)
         && check_one (def, "UEFI variable store (nvram)", variables_exist ? os->nvram : NULL, TRUE, error)
         && check_one (def, "template for UEFI variables", has_variables && !variables_exist ? os->nvram_template : NULL,
                       FALSE, error);
}
