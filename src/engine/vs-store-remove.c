/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How files leave the store: a domain's all at once, by a rename that a power cut finds done or not; and what was cut
 * short, when the service starts. Immutable; any thread.
 */
#include "vs-store-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "vmsnap-error.h"

#define REMOVED ".removed"

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      if (g_file_test (child, G_FILE_TEST_IS_DIR) && !g_file_test (child, G_FILE_TEST_IS_SYMLINK))
        remove_tree (child);
      else
        g_unlink (child);
    }
  g_rmdir (path);
}

/* Of a domain that was renamed away. The memory of its snapshots stays, as what is in its disks does: for snapshots that
 * are put on record again. */
static void
finish_removal (const char *away, const char *home)
{
  g_autofree char *memory = g_build_filename (away, VS_STORE_MEMORY, NULL);
  g_autofree char *kept = g_build_filename (home, VS_STORE_MEMORY, NULL);
  g_autofree char *parent = g_path_get_dirname (home);

  if (g_rmdir (memory) != 0 && errno == ENOTEMPTY)
    {
      if (g_mkdir_with_parents (home, 0700) != 0 || g_rename (memory, kept) != 0)
        {
          g_warning ("The memory of snapshots in %s can't be moved to %s: %s", memory, kept, g_strerror (errno));
          return;
        }
      vs_store_sync_dir (home);
      vs_store_sync_dir (parent);
    }
  remove_tree (away);
}

/* What an undefine that was cut short had already renamed away. */
static void
finish_removals (VsStore *self)
{
  g_autofree char *domains = g_build_filename (self->state_dir, VS_STORE_DOMAINS, NULL);
  g_autoptr (GDir) dir = g_dir_open (domains, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, REMOVED))
      {
        g_autofree char *path = g_build_filename (domains, name, NULL);
        g_autofree char *home = g_strndup (path, strlen (path) - strlen (REMOVED));

        finish_removal (path, home);
      }
}

/* What GLib calls a file before it has its name: no file of ours ends so. */
static gboolean
is_half_written (const char *name)
{
  static const char *const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  const char *dot = strrchr (name, '.');

  return dot != NULL && strlen (dot) == 7 && strspn (dot + 1, letters) == 6;
}

static void
remove_half_written (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      if (is_half_written (name))
        g_unlink (child);
    }
}

/* Of writes that were cut short. */
static void
remove_all_half_written (VsStore *self)
{
  static const char *const folders[] = { NULL, "journal", "snapshots", "nvram", VS_STORE_OWN_FILES };
  g_auto (GStrv) uuids = vs_store_list_domains (self);

  for (guint i = 0; uuids[i] != NULL; i++)
    for (guint j = 0; j < G_N_ELEMENTS (folders); j++)
      {
        g_autofree char *path = vs_store_get_path (self, uuids[i], folders[j], NULL);
        remove_half_written (path);
      }
}

/**
 * vs_store_recover:
 * @self: a store that nobody else uses
 *
 * Ends removals that were cut short, and removes what is left of writes that were.
 */
void
vs_store_recover (VsStore *self)
{
  finish_removals (self);
  remove_all_half_written (self);
}

/**
 * vs_store_remove_domain:
 * @self: the store
 * @uuid: a domain's uuid
 * @error: where to put %VMSNAP_ERROR_IO
 *
 * Removes all files of a domain but the memory of its snapshots, all or none of them: the directory is renamed first.
 *
 * Returns: whether they are gone
 */
gboolean
vs_store_remove_domain (VsStore *self, const char *uuid, GError **error)
{
  g_autofree char *path = vs_store_get_domain_dir (self, uuid);
  g_autofree char *away = g_strconcat (path, REMOVED, NULL);
  g_autofree char *parent = g_path_get_dirname (path);
  int err;

  finish_removal (away, path);
  if (g_rename (path, away) != 0 && errno != ENOENT)
    {
      err = errno;
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO, "Can't remove %s: %s", path, g_strerror (err));
      return FALSE;
    }
  vs_store_sync_dir (parent);
  finish_removal (away, path);
  return TRUE;
}

/* Removes what ends so in a folder; what can't be removed is said. */
static void
remove_files (VsStore *self, const char *uuid, const char *folder, const char *prefix, const char *suffix)
{
  g_auto (GStrv) files = vs_store_list_files (self, uuid, folder, suffix);

  for (guint i = 0; files[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;

      if (g_str_has_prefix (files[i], prefix) && !vs_store_remove (self, uuid, folder, files[i], &error))
        g_warning ("%s", error->message);
    }
}

/**
 * vs_store_remove_definition:
 * @self: the store
 * @uuid: the uuid of a domain with a running guest
 * @error: where to put %VMSNAP_ERROR_IO
 *
 * Removes the definition, the managed save, the snapshots' records and what is kept with them, and forgets which
 * files of its disks are ours. What the guest uses stays: its UEFI variables, the state of its TPM.
 *
 * Returns: whether the definition is gone
 */
gboolean
vs_store_remove_definition (VsStore *self, const char *uuid, GError **error)
{
  if (!vs_store_remove (self, uuid, NULL, VS_STORE_DEFINITION, error))
    return FALSE;
  remove_files (self, uuid, NULL, "current-snapshot", "");
  remove_files (self, uuid, NULL, VS_STORE_MANAGED_SAVE, "");
  remove_files (self, uuid, "snapshots", "", ".xml");
  remove_files (self, uuid, "nvram", "snapshot-", ".fd");
  remove_files (self, uuid, VS_STORE_OWN_FILES, "", ".json");
  return TRUE;
}

/* Whether nothing is in there but what a guest had for itself. */
static gboolean
holds_only_guest_files (const char *path)
{
  g_autofree char *nvram = g_build_filename (path, "nvram", NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GDir) nvram_dir = g_dir_open (nvram, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (!g_str_equal (name, "nvram") && !g_str_equal (name, "tpm"))
      return FALSE;
  while (nvram_dir != NULL && (name = g_dir_read_name (nvram_dir)) != NULL)
    if (!g_str_equal (name, "VARS.fd"))
      return FALSE;
  return dir != NULL;
}

/**
 * vs_store_remove_transient:
 * @self: the store
 * @uuid: the uuid of a transient domain whose guest just ended
 *
 * Removes its UEFI variables and the state of its TPM, unless snapshots on record, an unsettled operation or anything
 * else is there that may want them. Without a sync: if a power cut brings them back, they harm nobody.
 */
void
vs_store_remove_transient (VsStore *self, const char *uuid)
{
  g_autofree char *path = vs_store_get_domain_dir (self, uuid);
  g_autofree char *away = g_strconcat (path, REMOVED, NULL);

  vs_store_tidy_domain (self, uuid);
  if (!holds_only_guest_files (path))
    return;
  remove_tree (away);
  if (g_rename (path, away) == 0)
    remove_tree (away);
}

/**
 * vs_store_tidy_domain:
 * @self: the store
 * @uuid: the uuid of a transient domain that is gone
 *
 * Removes its directories, if nothing is left in them. Snapshots on record stay, for a domain of that uuid to come.
 */
void
vs_store_tidy_domain (VsStore *self, const char *uuid)
{
  static const char *const folders[] = { "journal", "snapshots", "nvram", VS_STORE_MEMORY, VS_STORE_OWN_FILES, NULL };

  for (guint i = 0; i < G_N_ELEMENTS (folders); i++)
    {
      g_autofree char *path = vs_store_get_path (self, uuid, folders[i], NULL);
      g_rmdir (path);
    }
}
