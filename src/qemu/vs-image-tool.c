/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qemu-img: what an image is, overlays, and the internal snapshots of an image that no guest uses. It is always told the format, never
 * left to guess: a guest can write into a raw disk whatever it likes, also a header that names a file of the host.
 * Stateless; any thread but the main one, for it waits.
 */
#include "vs-image-tool.h"

#include "vmsnap-error.h"
#include "vs-process.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>

#define TOOL "qemu-img"

/* An image with thousands of snapshots still fits. */
#define MAX_OUTPUT (8 * 1024 * 1024)

#define INFO_TIMEOUT (60 * G_USEC_PER_SEC)
/* A snapshot copies tables as large as the disk is, and may wait for a slow one. */
#define CHANGE_TIMEOUT (600 * G_USEC_PER_SEC)
/* All that an overlay holds is copied: not ended before its time. */
#define COMMIT_TIMEOUT ((gint64) 7 * 24 * 3600 * G_USEC_PER_SEC)

/* Tags of the service's own begin so. */
#define OWN_PREFIX "vmsnap-"

/* Digits that no snapshot's number has. */
#define BEYOND_NUMBERS 9

/* What a number for a name becomes, see vs_image_tag_for_name(). */
#define TAG_PREFIX "snapshot-"

/**
 * vs_image_snapshot_free:
 * @snapshot: (transfer full): an internal snapshot's description
 */
void
vs_image_snapshot_free (VsImageSnapshot *snapshot)
{
  g_free (snapshot->id);
  g_free (snapshot->tag);
  g_free (snapshot);
}

/**
 * vs_image_info_free:
 * @info: (transfer full): an image's description
 */
void
vs_image_info_free (VsImageInfo *info)
{
  g_free (info->format);
  g_free (info->backing_file);
  g_free (info->backing_format);
  g_free (info->data_file);
  g_ptr_array_unref (info->snapshots);
  g_free (info);
}

/**
 * vs_image_info_find_snapshot:
 * @info: an image's description
 * @tag: the name of an internal snapshot, see vs_image_tag_for_name()
 *
 * Returns: (transfer none) (nullable): the snapshot of that name
 */
const VsImageSnapshot *
vs_image_info_find_snapshot (const VsImageInfo *info, const char *tag)
{
  for (guint i = 0; i < info->snapshots->len; i++)
    {
      const VsImageSnapshot *snapshot = g_ptr_array_index (info->snapshots, i);

      if (g_str_equal (snapshot->tag, tag))
        return snapshot;
    }
  return NULL;
}

/**
 * vs_image_tool_find_named:
 * @name: a program of the package qemu-utils
 * @emulator: (nullable): path of the emulator, which has its own tools beside it, perhaps
 * @error: %VMSNAP_ERROR_NOT_FOUND
 *
 * Returns: (transfer full): path of the program: the one beside @emulator, else the one in PATH
 */
char *
vs_image_tool_find_named (const char *name, const char *emulator, GError **error)
{
  g_autofree char *resolved = emulator != NULL ? g_find_program_in_path (emulator) : NULL;
  char *tool = NULL;

  if (resolved != NULL)
    {
      g_autofree char *directory = g_path_get_dirname (resolved);
      g_autofree char *beside = g_build_filename (directory, name, NULL);

      if (g_path_is_absolute (beside))
        tool = g_find_program_in_path (beside);
    }
  if (tool == NULL)
    tool = g_find_program_in_path (name);
  if (tool == NULL)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND,
                 "%s isn't there. Install it (Debian: the package qemu-utils)", name);
  return tool;
}

/**
 * vs_image_tool_find:
 * @emulator: (nullable): path of the emulator, which has its own qemu-img beside it, perhaps
 * @error: %VMSNAP_ERROR_NOT_FOUND
 *
 * Returns: (transfer full): path of qemu-img: the one beside @emulator, else the one in PATH
 */
char *
vs_image_tool_find (const char *emulator, GError **error)
{
  return vs_image_tool_find_named (TOOL, emulator, error);
}

/* A tool's complaint as one of our errors. QEMU gives no codes, only the C library's words (in the C locale). */
static void
set_tool_error (GError **error, const char *path, const char *doing, const char *errors, const GError *failure)
{
  static const struct
  {
    const char *words;
    VmSnapError code;
  } known[] = {
    { "No space left on device", VMSNAP_ERROR_NO_SPACE },
    { "Disk quota exceeded", VMSNAP_ERROR_NO_SPACE },
    { "No such file or directory", VMSNAP_ERROR_NOT_FOUND },
    { "Permission denied", VMSNAP_ERROR_IO },
    { "Input/output error", VMSNAP_ERROR_IO },
    { "Failed to get ", VMSNAP_ERROR_BUSY },
    { "is already in use", VMSNAP_ERROR_BUSY },
  };
  g_autofree char *line = g_strdelimit (g_strdup (errors != NULL ? errors : ""), "\n", ' ');
  const char *words = g_str_has_prefix (line, TOOL ": ") ? line + strlen (TOOL ": ") : line;
  int code = failure->code;

  for (gsize i = 0; code == VMSNAP_ERROR_HYPERVISOR && i < G_N_ELEMENTS (known); i++)
    if (strstr (words, known[i].words) != NULL)
      code = known[i].code;
  g_set_error (error, VMSNAP_ERROR, code, "Can't %s %s: %s", doing, path, *words != '\0' ? words : failure->message);
}

static gboolean
run_tool (const char *const *argv,
          const char *path,
          const char *doing,
          gint64 timeout,
          GCancellable *cancellable,
          char **output,
          GError **error)
{
  g_autofree char *errors = NULL;
  g_autoptr (GError) failure = NULL;

  if (vs_process_run (argv, MAX_OUTPUT, timeout, cancellable, output, &errors, &failure))
    return TRUE;
  set_tool_error (error, path, doing, errors, failure);
  return FALSE;
}

/* A relative path could be read as a protocol, `nbd:…`, or as an option. */
static gboolean
check_path (const char *path, GError **error)
{
  if (g_path_is_absolute (path))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "%s is not an absolute path", path);
  return FALSE;
}

static VsImageSnapshot *
parse_snapshot (JsonObject *object)
{
  VsImageSnapshot *snapshot = g_new0 (VsImageSnapshot, 1);

  snapshot->id = g_strdup (json_object_get_string_member_with_default (object, "id", ""));
  snapshot->tag = g_strdup (json_object_get_string_member_with_default (object, "name", ""));
  snapshot->vm_state_size = (guint64)json_object_get_int_member_with_default (object, "vm-state-size", 0);
  snapshot->creation_time = json_object_get_int_member_with_default (object, "date-sec", 0) * G_USEC_PER_SEC
                            + json_object_get_int_member_with_default (object, "date-nsec", 0) / 1000;
  return snapshot;
}

static JsonObject *
get_object (JsonObject *object, const char *member)
{
  JsonNode *node = object != NULL ? json_object_get_member (object, member) : NULL;

  return node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
}

static void
parse_snapshots (VsImageInfo *info, JsonObject *object)
{
  JsonNode *node = json_object_get_member (object, "snapshots");
  JsonArray *array = node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *element = json_array_get_element (array, i);

      if (JSON_NODE_HOLDS_OBJECT (element))
        g_ptr_array_add (info->snapshots, parse_snapshot (json_node_get_object (element)));
    }
}

static VsImageInfo *
parse_info (JsonObject *object, const char *format)
{
  VsImageInfo *info = g_new0 (VsImageInfo, 1);
  JsonObject *specific = get_object (get_object (object, "format-specific"), "data");
  const char *backing = json_object_get_string_member_with_default (object, "backing-filename", NULL);

  info->snapshots = g_ptr_array_new_with_free_func ((GDestroyNotify)vs_image_snapshot_free);
  info->format = g_strdup (json_object_get_string_member_with_default (object, "format", format));
  info->virtual_size = (guint64)json_object_get_int_member_with_default (object, "virtual-size", 0);
  info->actual_size = (guint64)json_object_get_int_member_with_default (object, "actual-size", 0);
  info->backing_file = g_strdup (json_object_get_string_member_with_default (object, "full-backing-filename", backing));
  info->backing_format
    = g_strdup (json_object_get_string_member_with_default (object, "backing-filename-format", NULL));
  info->encrypted = json_object_get_boolean_member_with_default (object, "encrypted", FALSE);
  if (specific != NULL)
    {
      info->data_file = g_strdup (json_object_get_string_member_with_default (specific, "data-file", NULL));
      info->corrupt = json_object_get_boolean_member_with_default (specific, "corrupt", FALSE);
    }
  parse_snapshots (info, object);
  return info;
}

/**
 * vs_image_info:
 * @tool: path of qemu-img, from vs_image_tool_find()
 * @path: absolute path of the image
 * @format: `raw`, `qcow2` and so on; not guessed
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NOT_FOUND, %VMSNAP_ERROR_IO, %VMSNAP_ERROR_HYPERVISOR when it is no image of @format,
 *   %VMSNAP_ERROR_TIMEOUT
 *
 * Looks at one image, even while a guest uses it, without opening its backing file.
 *
 * Returns: (transfer full): what it is
 */
VsImageInfo *
vs_image_info (const char *tool, const char *path, const char *format, GCancellable *cancellable, GError **error)
{
  const char *const argv[] = { tool, "info", "-U", "--output=json", "-f", format, path, NULL };
  g_autofree char *output = NULL;
  g_autoptr (JsonNode) root = NULL;

  if (!check_path (path, error) || !run_tool (argv, path, "look at", INFO_TIMEOUT, cancellable, &output, error))
    return NULL;
  root = json_from_string (output, NULL);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR, "%s didn't answer in JSON about %s", tool, path);
      return NULL;
    }
  return parse_info (json_node_get_object (root), format);
}

/* `qemu-img snapshot` has no -f: the format goes into the name. The backing file isn't needed, so it isn't opened. */
static char *
image_options (const char *path)
{
  struct stat st;
  gboolean is_block = stat (path, &st) == 0 && S_ISBLK (st.st_mode);
  g_autoptr (JsonObject) file = json_object_new ();
  JsonObject *image = json_object_new ();
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), image);
  g_autofree char *json = NULL;

  json_object_set_string_member (image, "driver", "qcow2");
  json_object_set_null_member (image, "backing");
  json_object_set_string_member (file, "driver", is_block ? "host_device" : "file");
  json_object_set_string_member (file, "filename", path);
  json_object_set_object_member (image, "file", g_steal_pointer (&file));
  json_object_unref (image);
  json = json_to_string (root, FALSE);
  return g_strconcat ("json:", json, NULL);
}

static gboolean
is_number (const char *text)
{
  return *text != '\0' && text[strspn (text, "0123456789")] == '\0';
}

/**
 * vs_image_tag_is_usable:
 * @tag: an internal snapshot's name
 *
 * QEMU looks a snapshot up by its number first, which a tag of digits alone would be taken for, unless it is far beyond
 * them: an image holds 65536 snapshots at most, and libvirt names them by the seconds since the epoch.
 *
 * Returns: whether @tag is taken for a tag
 */
gboolean
vs_image_tag_is_usable (const char *tag)
{
  return *tag != '\0' && (!is_number (tag) || (*tag != '0' && strlen (tag) >= BEYOND_NUMBERS));
}

static gboolean
check_tag (const char *tag, GError **error)
{
  if (vs_image_tag_is_usable (tag))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "'%s' can't be the tag of an internal snapshot",
               tag);
  return FALSE;
}

/* Changes aren't cancelled half-way: killing the tool then would leave a half-made table behind. */
static gboolean
change (const char *tool,
        const char *path,
        const char *option,
        const char *tag,
        const char *doing,
        GCancellable *cancellable,
        GError **error)
{
  g_autofree char *image = image_options (path);
  const char *const argv[] = { tool, "snapshot", option, tag, image, NULL };
  g_autofree char *output = NULL;

  if (g_cancellable_is_cancelled (cancellable))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED, "Cancelled before it began to %s %s", doing, path);
      return FALSE;
    }
  return run_tool (argv, path, doing, CHANGE_TIMEOUT, NULL, &output, error);
}

/* Whether the tag is there, as it must or must not be. */
static gboolean
check_presence (const char *tool,
                const char *path,
                const char *tag,
                gboolean wanted,
                GCancellable *cancellable,
                GError **error)
{
  g_autoptr (VsImageInfo) info = NULL;
  gboolean found;

  if (!check_path (path, error) || !check_tag (tag, error))
    return FALSE;
  info = vs_image_info (tool, path, "qcow2", cancellable, error);
  if (info == NULL)
    return FALSE;
  found = vs_image_info_find_snapshot (info, tag) != NULL;
  if (found == wanted)
    return TRUE;
  if (found)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS, "%s has an internal snapshot '%s' already", path,
                 tag);
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "%s has no internal snapshot '%s'", path, tag);
  return FALSE;
}

/**
 * vs_image_snapshot_create:
 * @tool: path of qemu-img
 * @path: absolute path of a qcow2 image that nothing uses
 * @tag: its name, from vs_image_tag_for_name()
 * @cancellable: (nullable): to give up before it begins
 * @error: %VMSNAP_ERROR_ALREADY_EXISTS, %VMSNAP_ERROR_BUSY while a guest uses the image, %VMSNAP_ERROR_NO_SPACE and
 *   those of vs_image_info()
 *
 * Makes an internal snapshot.
 *
 * Returns: whether it was made
 */
gboolean
vs_image_snapshot_create (const char *tool,
                          const char *path,
                          const char *tag,
                          GCancellable *cancellable,
                          GError **error)
{
  return check_presence (tool, path, tag, FALSE, cancellable, error)
         && change (tool, path, "-c", tag, "make a snapshot in", cancellable, error);
}

/**
 * vs_image_snapshot_apply:
 * @tool: path of qemu-img
 * @path: absolute path of a qcow2 image that nothing uses
 * @tag: the snapshot's name
 * @cancellable: (nullable): to give up before it begins
 * @error: %VMSNAP_ERROR_NOT_FOUND and those of vs_image_snapshot_create()
 *
 * Makes the image's content that of an internal snapshot. What was written since is lost.
 *
 * Returns: whether it was applied
 */
gboolean
vs_image_snapshot_apply (const char *tool, const char *path, const char *tag, GCancellable *cancellable, GError **error)
{
  return check_presence (tool, path, tag, TRUE, cancellable, error)
         && change (tool, path, "-a", tag, "apply a snapshot of", cancellable, error);
}

/**
 * vs_image_snapshot_delete:
 * @tool: path of qemu-img
 * @path: absolute path of a qcow2 image that nothing uses
 * @tag: the snapshot's name
 * @cancellable: (nullable): to give up before it begins
 * @error: %VMSNAP_ERROR_NOT_FOUND and those of vs_image_snapshot_create()
 *
 * Removes an internal snapshot.
 *
 * Returns: whether it was removed
 */
gboolean
vs_image_snapshot_delete (const char *tool,
                          const char *path,
                          const char *tag,
                          GCancellable *cancellable,
                          GError **error)
{
  return check_presence (tool, path, tag, TRUE, cancellable, error)
         && change (tool, path, "-d", tag, "delete a snapshot of", cancellable, error);
}

/**
 * vs_image_overlay_create:
 * @tool: path of qemu-img
 * @path: absolute path of the new overlay; a file that is there is overwritten
 * @size: bytes that the guest sees, those of the file below
 * @backing: absolute path of the file below, which isn't opened, for a guest may use it
 * @backing_format: its format
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_NOT_FOUND when there is no such directory, %VMSNAP_ERROR_IO, …
 *
 * Makes an empty qcow2 overlay.
 *
 * Returns: whether it was made
 */
gboolean
vs_image_overlay_create (const char *tool,
                         const char *path,
                         guint64 size,
                         const char *backing,
                         const char *backing_format,
                         GCancellable *cancellable,
                         GError **error)
{
  g_autofree char *bytes = g_strdup_printf ("%" G_GUINT64_FORMAT, size);
  const char *const argv[]
    = { tool, "create", "-q", "-u", "-f", "qcow2", "-F", backing_format, "-b", backing, path, bytes, NULL };
  g_autofree char *output = NULL;

  return check_path (path, error) && check_path (backing, error)
         && run_tool (argv, path, "make the overlay", CHANGE_TIMEOUT, cancellable, &output, error);
}

/**
 * vs_image_overlay_set_backing:
 * @tool: path of qemu-img
 * @path: absolute path of an overlay that nothing uses
 * @backing: (nullable): absolute path of the file below; %NULL: none
 * @backing_format: (nullable): its format
 * @error: %VMSNAP_ERROR_BUSY, %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, …
 *
 * Writes down what is below the overlay; nothing is read or moved.
 *
 * Returns: whether it is written down
 */
gboolean
vs_image_overlay_set_backing (const char *tool,
                              const char *path,
                              const char *backing,
                              const char *backing_format,
                              GError **error)
{
  const char *const without[] = { tool, "rebase", "-q", "-u", "-f", "qcow2", "-b", "", path, NULL };
  const char *const with[]
    = { tool, "rebase", "-q", "-u", "-f", "qcow2", "-F", backing_format, "-b", backing, path, NULL };
  g_autofree char *output = NULL;

  return check_path (path, error)
         && run_tool (backing != NULL ? with : without, path, "record the backing file of", CHANGE_TIMEOUT,
                      NULL, &output, error);
}

/**
 * vs_image_overlay_commit:
 * @tool: path of qemu-img
 * @path: absolute path of an overlay that nothing uses
 * @empty: whether the overlay is to be empty afterwards; else it stays as it is, which is quicker
 * @error: %VMSNAP_ERROR_BUSY, %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, …
 *
 * Writes what the overlay holds into the file below. It may be done again.
 *
 * Returns: whether the file below holds it all
 */
gboolean
vs_image_overlay_commit (const char *tool, const char *path, gboolean empty, GError **error)
{
  const char *const argv[] = { tool, "commit", "-q", "-f", "qcow2", empty ? path : "-d", empty ? NULL : path, NULL };
  g_autofree char *output = NULL;

  return check_path (path, error)
         && run_tool (argv, path, "merge into its backing file the overlay", COMMIT_TIMEOUT, NULL, &output, error);
}

/* In `key=value,…` a comma is written twice. */
static char *
escape (const char *value)
{
  g_auto (GStrv) parts = g_strsplit (value, ",", -1);

  return g_strjoinv (",,", parts);
}

/**
 * vs_image_extract:
 * @tool: path of qemu-img
 * @path: absolute path of a qcow2 image; a guest may use it
 * @tag: the name of an internal snapshot of it
 * @target: absolute path of the new image; a file that is there is overwritten
 * @backing: (nullable): absolute path of the file below @path, which is below @target then, too
 * @backing_format: (nullable): its format
 * @cancellable: (nullable): to give up
 * @error: %VMSNAP_ERROR_NO_SPACE, %VMSNAP_ERROR_IO, …
 *
 * Copies what the disk was at an internal snapshot, without any memory kept there. What a snapshot holds is never
 * written again, so that it may be read beside a guest that writes to the image.
 *
 * Returns: whether @target holds it
 */
gboolean
vs_image_extract (const char *tool,
                  const char *path,
                  const char *tag,
                  const char *target,
                  const char *backing,
                  const char *backing_format,
                  GCancellable *cancellable,
                  GError **error)
{
  g_autofree char *name = escape (tag);
  g_autofree char *snapshot = g_strconcat ("snapshot.name=", name, NULL);
  const char *const alone[]
    = { tool, "convert", "-q", "-U", "-f", "qcow2", "-O", "qcow2", "-l", snapshot, path, target, NULL };
  const char *const above[] = { tool,     "convert", "-q", "-U",           "-f", "qcow2", "-O", "qcow2", "-l",
                                snapshot, "-F",      backing_format, "-B", backing, path, target, NULL };
  g_autofree char *output = NULL;

  return check_path (path, error) && check_path (target, error)
         && run_tool (backing != NULL ? above : alone, path, "copy a snapshot of", COMMIT_TIMEOUT, cancellable, &output,
                      error);
}

/**
 * vs_image_tag_for_name:
 * @name: a snapshot's name
 *
 * The tag that an internal snapshot gets: its name, unless QEMU would take that for the number of some other snapshot
 * in the file, which it looks for first. No two names share a tag.
 *
 * Returns: (transfer full): @name, or `snapshot-` and @name
 */
char *
vs_image_tag_for_name (const char *name)
{
  const char *rest = name;

  /* `snapshot-2` has to make room for the tag of `2`, and so on. */
  while (g_str_has_prefix (rest, TAG_PREFIX))
    rest += strlen (TAG_PREFIX);
  return is_number (rest) || g_str_has_prefix (rest, OWN_PREFIX) ? g_strconcat (TAG_PREFIX, name, NULL) : g_strdup (name);
}
