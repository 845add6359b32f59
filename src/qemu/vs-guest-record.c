/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a QEMU is known again by the next life of the service: by a record of its process, or by its command line.
 * Stateless; any thread.
 */
#include "vs-guest-private.h"

#include "vmsnap-error.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Start times count from the boot, so a record is good for one boot only. */
static char *
read_boot_id (void)
{
  char *id = NULL;

  if (g_file_get_contents ("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
    return g_strstrip (id);
  return g_strdup ("");
}

/**
 * vs_guest_record_write:
 * @directory: a guest's directory
 * @file: the record's file name
 * @uuid: the domain's uuid
 * @name: the domain's name
 * @process: its process
 * @error: %VMSNAP_ERROR_IO, %VMSNAP_ERROR_NO_SPACE
 *
 * Returns: whether it is written, durably
 */
gboolean
vs_guest_record_write (const char *directory,
                       const char *file,
                       const char *uuid,
                       const char *name,
                       VsProcess *process,
                       GError **error)
{
  g_autofree char *path = g_build_filename (directory, file, NULL);
  g_autofree char *boot_id = read_boot_id ();
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = NULL;
  g_autoptr (GError) local = NULL;

  json_object_set_string_member (object, "uuid", uuid);
  json_object_set_string_member (object, "name", name);
  json_object_set_int_member (object, "pid", vs_process_get_pid (process));
  json_object_set_int_member (object, "start-time", (gint64)vs_process_get_start_time (process));
  json_object_set_string_member (object, "boot-id", boot_id);
  text = json_to_string (root, TRUE);

  if (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                &local))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR,
               g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ? VMSNAP_ERROR_NO_SPACE : VMSNAP_ERROR_IO,
               "Can't record a process of domain %s: %s", name, local->message);
  return FALSE;
}

/* Whether there is a record at all that can be read and is of this boot. */
static gboolean
read_record (const char *directory, const char *file, pid_t *pid, guint64 *start_time)
{
  g_autofree char *path = g_build_filename (directory, file, NULL);
  g_autofree char *boot_id = read_boot_id ();
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) root = NULL;
  JsonObject *object;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  root = json_from_string (text, NULL);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      g_warning ("%s can't be read as JSON", path);
      return FALSE;
    }
  object = json_node_get_object (root);
  *pid = (pid_t)json_object_get_int_member_with_default (object, "pid", 0);
  *start_time = (guint64)json_object_get_int_member_with_default (object, "start-time", 0);
  return g_str_equal (json_object_get_string_member_with_default (object, "boot-id", ""), boot_id);
}

/**
 * vs_guest_record_find:
 * @directory: a guest's directory
 * @file: the record's file name
 * @error: when it can't be told
 *
 * Returns: (transfer full) (nullable): the process that is on record; %NULL without an error when there is none
 */
VsProcess *
vs_guest_record_find (const char *directory, const char *file, GError **error)
{
  guint64 start_time;
  pid_t pid;

  return read_record (directory, file, &pid, &start_time) ? vs_process_open (pid, start_time, error) : NULL;
}

/* Whether the process works in this directory, whatever that was called when it was started. */
static gboolean
works_in (const char *process, const struct stat *directory)
{
  g_autofree char *path = g_build_filename (process, "cwd", NULL);
  struct stat st;

  return stat (path, &st) == 0 && st.st_dev == directory->st_dev && st.st_ino == directory->st_ino;
}

/* Whether the process was started by us with a pidfile, and works in this directory. The pidfile's own name doesn't tell:
 * a guest that took over from another one has been given that one's directory. */
static gboolean
is_guest_of (const char *pid, const struct stat *directory)
{
  g_autofree char *process = g_build_filename ("/proc", pid, NULL);
  g_autofree char *path = g_build_filename (process, "cmdline", NULL);
  g_autofree char *text = NULL;
  struct stat st;
  gsize length;
  gboolean next_is_it = FALSE;

  if (stat (process, &st) != 0 || st.st_uid != geteuid () || !g_file_get_contents (path, &text, &length, NULL))
    return FALSE;
  for (const char *arg = text; arg < text + length; arg += strlen (arg) + 1)
    {
      if (next_is_it && g_str_has_suffix (arg, "/" VS_GUEST_PIDFILE))
        return works_in (process, directory);
      next_is_it = g_str_equal (arg, "-pidfile");
    }
  return FALSE;
}

static VsProcess *
scan_processes (const char *directory, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc", 0, NULL);
  VsProcess *process = NULL;
  struct stat st;
  const char *file;

  if (stat (directory, &st) != 0)
    return NULL;
  while (process == NULL && dir != NULL && (file = g_dir_read_name (dir)) != NULL)
    {
      guint64 start_time, pid;
      g_autoptr (GError) local = NULL;

      if (!g_ascii_string_to_unsigned (file, 10, 1, G_MAXINT32, &pid, NULL)
          || !vs_process_read_start_time ((pid_t)pid, &start_time, NULL) || !is_guest_of (file, &st))
        continue;
      /* The time was read before the command line: one process it was, then. */
      process = vs_process_open ((pid_t)pid, start_time, &local);
      if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
    }
  return process;
}

/**
 * vs_guest_find_process:
 * @directory: a guest's directory
 * @error: when it can't be told
 *
 * Returns: (transfer full) (nullable): the QEMU that runs for it; %NULL without an error when there is none
 */
VsProcess *
vs_guest_find_process (const char *directory, GError **error)
{
  g_autoptr (GError) local = NULL;
  VsProcess *process;

  /* Without a directory nothing was started; with one, something may have been, even if the record tells otherwise, for
   * it may be of the guest before. */
  if (!g_file_test (directory, G_FILE_TEST_IS_DIR))
    return NULL;
  process = vs_guest_record_find (directory, VS_GUEST_RECORD, &local);
  if (local != NULL)
    g_propagate_error (error, g_steal_pointer (&local));
  else if (process == NULL)
    process = scan_processes (directory, error);
  return process;
}
