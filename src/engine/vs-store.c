/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The store: where the domains' files lie, and how they are written so that a power cut finds the old one or the new
 * one. Immutable; any thread. Knows files, not what is in them.
 */
#include "vs-store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "vmsnap-error.h"

#define ASIDE ".unreadable"
#define MAX_FILE_SIZE (16 * 1024 * 1024)

G_DEFINE_FINAL_TYPE (VsStore, vs_store, G_TYPE_OBJECT)

static void
vs_store_finalize (GObject *object)
{
  VsStore *self = VS_STORE (object);

  g_free (self->state_dir);
  g_free (self->runtime_dir);
  g_free (self->log_dir);
  G_OBJECT_CLASS (vs_store_parent_class)->finalize (object);
}

static void
vs_store_class_init (VsStoreClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = vs_store_finalize;
}

static void
vs_store_init (VsStore *self)
{
}

/**
 * vs_store_new:
 * @state_dir: for what must survive a reboot
 * @runtime_dir: for what is true while guests run
 * @log_dir: for the guests' logs
 *
 * Returns: (transfer full): a store
 */
VsStore *
vs_store_new (const char *state_dir, const char *runtime_dir, const char *log_dir)
{
  VsStore *self = g_object_new (VS_TYPE_STORE, NULL);

  self->state_dir = g_canonicalize_filename (state_dir, NULL);
  self->runtime_dir = g_canonicalize_filename (runtime_dir, NULL);
  self->log_dir = g_canonicalize_filename (log_dir, NULL);
  return self;
}

const char *
vs_store_get_state_dir (VsStore *self)
{
  return self->state_dir;
}

const char *
vs_store_get_runtime_dir (VsStore *self)
{
  return self->runtime_dir;
}

const char *
vs_store_get_log_dir (VsStore *self)
{
  return self->log_dir;
}

/**
 * vs_store_get_domain_dir:
 * @self: the store
 * @uuid: a domain's uuid
 *
 * Returns: (transfer full): where that domain's files are
 */
char *
vs_store_get_domain_dir (VsStore *self, const char *uuid)
{
  return g_build_filename (self->state_dir, VS_STORE_DOMAINS, uuid, NULL);
}

gboolean
vs_store_sync_dir (const char *path)
{
  int fd = g_open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  gboolean ok;

  if (fd < 0)
    return FALSE;
  ok = fsync (fd) == 0;
  g_close (fd, NULL);
  return ok;
}

/* A directory that is made is as durable as what will be in it. */
static gboolean
make_dir (const char *path, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);
  int err;

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return TRUE;
  if (!g_str_equal (parent, path) && !make_dir (parent, error))
    return FALSE;
  if (g_mkdir (path, 0700) == 0)
    {
      vs_store_sync_dir (parent);
      return TRUE;
    }
  err = errno;
  if (err == EEXIST && g_file_test (path, G_FILE_TEST_IS_DIR))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, err == ENOSPC ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO,
               "Can't make the directory %s: %s", path, g_strerror (err));
  return FALSE;
}

/**
 * vs_store_prepare:
 * @self: the store
 * @error: where to put an error
 *
 * Makes the directories that are missing.
 *
 * Returns: whether the store can be used
 */
gboolean
vs_store_prepare (VsStore *self, GError **error)
{
  g_autofree char *domains = g_build_filename (self->state_dir, VS_STORE_DOMAINS, NULL);

  if (!make_dir (domains, error) || !make_dir (self->runtime_dir, error) || !make_dir (self->log_dir, error))
    return FALSE;
  if (g_access (domains, W_OK) != 0 || g_access (self->runtime_dir, W_OK) != 0 || g_access (self->log_dir, W_OK) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO,
                   "%s, %s and %s must be writable for uid %u; change their owner, or name others with "
                   "--state-directory, --runtime-directory and --log-directory",
                   domains, self->runtime_dir, self->log_dir, (guint) geteuid ());
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_store_list_domains:
 * @self: the store
 *
 * Returns: (transfer full): the uuids of all domains that have files here
 */
GStrv
vs_store_list_domains (VsStore *self)
{
  g_autofree char *domains = g_build_filename (self->state_dir, VS_STORE_DOMAINS, NULL);
  g_autoptr (GDir) dir = g_dir_open (domains, 0, NULL);
  g_autoptr (GStrvBuilder) found = g_strv_builder_new ();
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_uuid_string_is_valid (name))
      g_strv_builder_add (found, name);
  return g_strv_builder_end (found);
}

/**
 * vs_store_list_files:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: (nullable): a folder in the domain's directory
 * @suffix: how the names end
 *
 * Returns: (transfer full): the names of the files that end so
 */
GStrv
vs_store_list_files (VsStore *self, const char *uuid, const char *folder, const char *suffix)
{
  g_autofree char *path = vs_store_get_path (self, uuid, folder, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GStrvBuilder) found = g_strv_builder_new ();
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, suffix))
      g_strv_builder_add (found, name);
  return g_strv_builder_end (found);
}

/**
 * vs_store_get_path:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: (nullable): a folder in the domain's directory; %NULL: the directory itself
 * @file: (nullable): a file; %NULL: the folder itself
 *
 * Returns: (transfer full): the path
 */
char *
vs_store_get_path (VsStore *self, const char *uuid, const char *folder, const char *file)
{
  g_autofree char *domain = vs_store_get_domain_dir (self, uuid);
  g_autofree char *dir = folder != NULL ? g_build_filename (domain, folder, NULL) : g_strdup (domain);

  return file != NULL ? g_build_filename (dir, file, NULL) : g_steal_pointer (&dir);
}

/**
 * vs_store_make_folder:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: a folder in the domain's directory
 * @error: where to put an error
 *
 * For a file that isn't written by vs_store_write().
 *
 * Returns: whether it is there
 */
gboolean
vs_store_make_folder (VsStore *self, const char *uuid, const char *folder, GError **error)
{
  g_autofree char *path = vs_store_get_path (self, uuid, folder, NULL);

  return make_dir (path, error);
}

/* A file in the store never is a link, a pipe, or too big to read. */
static gboolean
check_file (const char *path, GError **error)
{
  GStatBuf st;

  if (g_lstat (path, &st) != 0)
    {
      int err = errno;
      g_set_error (error, VMSNAP_ERROR, err == ENOENT ? VMSNAP_ERROR_NOT_FOUND : VMSNAP_ERROR_IO, "Can't read %s: %s",
                   path, g_strerror (err));
      return FALSE;
    }
  if (!S_ISREG (st.st_mode) || st.st_size > MAX_FILE_SIZE)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "%s is not a regular file of less than %d MiB", path,
                   MAX_FILE_SIZE / 1024 / 1024);
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_store_read:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: (nullable): a folder in the domain's directory
 * @file: a file's name
 * @error: where to put %VMSNAP_ERROR_NOT_FOUND or %VMSNAP_ERROR_IO
 *
 * Returns: (transfer full) (nullable): the file's text
 */
char *
vs_store_read (VsStore *self, const char *uuid, const char *folder, const char *file, GError **error)
{
  g_autofree char *path = vs_store_get_path (self, uuid, folder, file);
  g_autoptr (GError) local = NULL;
  char *data = NULL;

  if (!check_file (path, error))
    return NULL;
  if (!g_file_get_contents (path, &data, NULL, &local))
    {
      g_set_error_literal (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, local->message);
      return NULL;
    }
  return data;
}

/**
 * vs_store_write:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: (nullable): a folder in the domain's directory; made if missing
 * @file: a file's name
 * @data: what goes in
 * @length: its length; -1: up to the NUL
 * @error: where to put %VMSNAP_ERROR_NO_SPACE or %VMSNAP_ERROR_IO
 *
 * Writes a file, durably: when this returns %TRUE it is there after a power cut, and at any moment before, the old one
 * or the new one is. (GLib syncs the file, and after the renaming its directory.)
 *
 * Returns: whether it is written
 */
gboolean
vs_store_write (VsStore *self,
                const char *uuid,
                const char *folder,
                const char *file,
                const char *data,
                gssize length,
                GError **error)
{
  g_autofree char *dir = vs_store_get_path (self, uuid, folder, NULL);
  g_autofree char *path = g_build_filename (dir, file, NULL);
  g_autoptr (GError) local = NULL;

  if (!make_dir (dir, error))
    return FALSE;
  if (!g_file_set_contents_full (path, data, length, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &local))
    {
      gboolean full = g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOSPC);

      g_set_error (error, VMSNAP_ERROR, full ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO, "Can't write %s: %s", path,
                   local->message);
      return FALSE;
    }
  return TRUE;
}

/**
 * vs_store_remove:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: (nullable): a folder in the domain's directory
 * @file: a file's name
 * @error: where to put %VMSNAP_ERROR_IO
 *
 * Removes a file. One that isn't there is removed already.
 *
 * Returns: whether it is gone
 */
gboolean
vs_store_remove (VsStore *self, const char *uuid, const char *folder, const char *file, GError **error)
{
  g_autofree char *dir = vs_store_get_path (self, uuid, folder, NULL);
  g_autofree char *path = g_build_filename (dir, file, NULL);
  int err;

  if (g_unlink (path) == 0)
    {
      vs_store_sync_dir (dir);
      return TRUE;
    }
  if (errno == ENOENT || errno == ENOTDIR)
    return TRUE;
  err = errno;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't remove %s: %s", path, g_strerror (err));
  return FALSE;
}

/**
 * vs_store_rename:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: (nullable): a folder in the domain's directory
 * @file: a file's name
 * @new_file: its new name
 * @error: where to put %VMSNAP_ERROR_IO
 *
 * Gives a file another name, durably. Works on a full disk.
 *
 * Returns: whether it has the new name
 */
gboolean
vs_store_rename (VsStore *self,
                 const char *uuid,
                 const char *folder,
                 const char *file,
                 const char *new_file,
                 GError **error)
{
  g_autofree char *dir = vs_store_get_path (self, uuid, folder, NULL);
  g_autofree char *from = g_build_filename (dir, file, NULL);
  g_autofree char *to = g_build_filename (dir, new_file, NULL);
  int err;

  if (g_rename (from, to) == 0)
    {
      vs_store_sync_dir (dir);
      return TRUE;
    }
  err = errno;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't rename %s to %s: %s", from, to, g_strerror (err));
  return FALSE;
}

/**
 * vs_store_set_aside:
 * @self: the store
 * @uuid: a domain's uuid
 * @folder: (nullable): a folder in the domain's directory
 * @file: a file's name
 * @why: what is wrong with it
 *
 * Puts a file that can't be read out of the way, under its name with `.unreadable` behind it, and says so in the log.
 * It is never deleted.
 */
void
vs_store_set_aside (VsStore *self, const char *uuid, const char *folder, const char *file, const GError *why)
{
  g_autofree char *path = vs_store_get_path (self, uuid, folder, file);
  g_autofree char *aside = g_strconcat (path, ASIDE, NULL);

  for (guint i = 2; g_file_test (aside, G_FILE_TEST_EXISTS); i++)
    {
      g_free (aside);
      aside = g_strdup_printf ("%s" ASIDE ".%u", path, i);
    }
  if (g_rename (path, aside) == 0)
    g_warning ("%s can't be read and was put aside as %s; repair it and rename it back: %s", path, aside, why->message);
  else
    g_warning ("%s can't be read, and can't be put aside either (%s): %s", path, g_strerror (errno), why->message);
}
