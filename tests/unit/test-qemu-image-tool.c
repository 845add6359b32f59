/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qemu-img, the real one, and scripts in its place that misbehave.
 */
#include "vs-image-tool.h"

#include "vmsnap-error.h"
#include "vs-process.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  char *dir;
  char *tool;
  char *image;
} Fixture;

static void
run (const char *first, ...)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;
  va_list ap;

  va_start (ap, first);
  for (const char *arg = first; arg != NULL; arg = va_arg (ap, const char *))
    g_ptr_array_add (argv, (gpointer)arg);
  va_end (ap);
  g_ptr_array_add (argv, NULL);
  vs_process_run ((const char *const *)argv->pdata, 65536, 60 * G_USEC_PER_SEC, NULL, &output, &errors, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->dir = g_dir_make_tmp ("vmsnap image-XXXXXX", NULL);
  f->tool = vs_image_tool_find (NULL, &error);
  g_assert_no_error (error);
  f->image = g_build_filename (f->dir, "a,b \"c\".qcow2", NULL);
  run (f->tool, "create", "-q", "-f", "qcow2", f->image, "16M", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  run ("rm", "-rf", f->dir, NULL);
  g_free (f->dir);
  g_free (f->tool);
  g_free (f->image);
}

static VsImageInfo *
look (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  VsImageInfo *info = vs_image_info (f->tool, f->image, "qcow2", NULL, &error);

  g_assert_no_error (error);
  return info;
}

/* A program of the given text in the place of qemu-img. */
static char *
fake_tool (Fixture *f, const char *script)
{
  char *path = g_build_filename (f->dir, "qemu-img", NULL);
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\n%s\n", script);

  g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  return path;
}

static void
test_info (Fixture *f, gconstpointer data)
{
  g_autofree char *overlay = g_build_filename (f->dir, "overlay", NULL);
  g_autoptr (VsImageInfo) info = look (f);
  g_autoptr (VsImageInfo) above = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (info->format, ==, "qcow2");
  g_assert_cmpuint (info->virtual_size, ==, 16 * 1024 * 1024);
  g_assert_cmpuint (info->actual_size, >, 0);
  g_assert_null (info->backing_file);
  g_assert_cmpuint (info->snapshots->len, ==, 0);

  run (f->tool, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "a,b \"c\".qcow2", overlay, NULL);
  above = vs_image_info (f->tool, overlay, "qcow2", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (above->backing_file, ==, f->image);
  g_assert_cmpstr (above->backing_format, ==, "qcow2");
}

static void
test_missing_file (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_image_info (f->tool, "/nonexistent/image", "qcow2", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nonexistent/image"));
}

static void
test_wrong_format (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (f->image, "not an image", -1, NULL));
  g_assert_null (vs_image_info (f->tool, f->image, "qcow2", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_nonnull (strstr (error->message, "not in qcow2 format"));
}

static void
test_format_is_not_guessed (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageInfo) info = vs_image_info (f->tool, f->image, "raw", NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (info->format, ==, "raw");
  g_assert_cmpuint (info->virtual_size, <, 16 * 1024 * 1024);
}

static void
test_relative_path (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_image_info (f->tool, "nbd:localhost:1", "raw", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
}

static void
test_snapshots (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageInfo) before = NULL;
  g_autoptr (VsImageInfo) after = NULL;
  const VsImageSnapshot *snapshot;
  gint64 now = g_get_real_time ();

  g_assert_true (vs_image_snapshot_create (f->tool, f->image, "öne, \"two\"", NULL, &error));
  g_assert_no_error (error);
  before = look (f);
  snapshot = vs_image_info_find_snapshot (before, "öne, \"two\"");
  g_assert_nonnull (snapshot);
  g_assert_cmpuint (snapshot->vm_state_size, ==, 0);
  g_assert_cmpint (ABS (snapshot->creation_time - now), <, G_TIME_SPAN_HOUR);
  g_assert_null (vs_image_info_find_snapshot (before, "two"));

  g_assert_true (vs_image_snapshot_delete (f->tool, f->image, "öne, \"two\"", NULL, &error));
  g_assert_no_error (error);
  after = look (f);
  g_assert_cmpuint (after->snapshots->len, ==, 0);
}

static void
write_pattern (Fixture *f, const char *pattern)
{
  g_autofree char *command = g_strdup_printf ("write -P %s 0 1M", pattern);

  run ("qemu-io", "-f", "qcow2", "-c", command, f->image, NULL);
}

static void
test_apply (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  write_pattern (f, "0x11");
  g_assert_true (vs_image_snapshot_create (f->tool, f->image, "then", NULL, &error));
  write_pattern (f, "0x22");
  g_assert_true (vs_image_snapshot_apply (f->tool, f->image, "then", NULL, &error));
  g_assert_no_error (error);
  run ("sh", "-c", "qemu-io -f qcow2 -c 'read -P 0x11 0 1M' \"$1\" | grep -c 'verification failed' | grep -qx 0", "sh",
       f->image, NULL);
}

static void
test_backing_file_not_needed (Fixture *f, gconstpointer data)
{
  g_autofree char *overlay = g_build_filename (f->dir, "overlay", NULL);
  g_autoptr (GError) error = NULL;

  run (f->tool, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", f->image, overlay, NULL);
  g_unlink (f->image);
  g_assert_true (vs_image_snapshot_create (f->tool, overlay, "one", NULL, &error));
  g_assert_true (vs_image_snapshot_apply (f->tool, overlay, "one", NULL, &error));
  g_assert_true (vs_image_snapshot_delete (f->tool, overlay, "one", NULL, &error));
  g_assert_no_error (error);
}

static void
test_taken_tag (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageInfo) info = NULL;

  g_assert_true (vs_image_snapshot_create (f->tool, f->image, "one", NULL, &error));
  g_assert_false (vs_image_snapshot_create (f->tool, f->image, "one", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_ALREADY_EXISTS);
  info = look (f);
  g_assert_cmpuint (info->snapshots->len, ==, 1);
}

static void
test_missing_tag (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) first = NULL;
  g_autoptr (GError) second = NULL;

  g_assert_false (vs_image_snapshot_apply (f->tool, f->image, "one", NULL, &first));
  g_assert_error (first, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
  g_assert_false (vs_image_snapshot_delete (f->tool, f->image, "one", NULL, &second));
  g_assert_error (second, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND);
}

static void
test_numeric_tag (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageInfo) info = NULL;

  g_assert_true (vs_image_snapshot_create (f->tool, f->image, "one", NULL, &error));
  g_assert_false (vs_image_snapshot_delete (f->tool, f->image, "1", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT);
  info = look (f);
  g_assert_cmpuint (info->snapshots->len, ==, 1);
}

static void
test_seconds_for_a_tag (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (vs_image_snapshot_create (f->tool, f->image, "1732200000", NULL, &error));
  g_assert_true (vs_image_snapshot_apply (f->tool, f->image, "1732200000", NULL, &error));
  g_assert_true (vs_image_snapshot_delete (f->tool, f->image, "1732200000", NULL, &error));
  g_assert_no_error (error);
  g_assert_false (vs_image_tag_is_usable ("00000000001"));
}

static void
test_image_in_use (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "qemu-io", "-f", "qcow2", f->image, NULL };
  g_autoptr (GSubprocess) user = NULL;
  g_autoptr (GError) error = NULL;
  GOutputStream *in;
  char prompt[8];

  user = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
  g_assert_no_error (error);
  in = g_subprocess_get_stdin_pipe (user);
  /* It answers once it holds the image. */
  g_assert_true (g_output_stream_write_all (in, "length\n", 7, NULL, NULL, NULL));
  g_assert_cmpint (g_input_stream_read (g_subprocess_get_stdout_pipe (user), prompt, sizeof prompt, NULL, NULL), >, 0);

  g_assert_false (vs_image_snapshot_create (f->tool, f->image, "one", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY);
  g_assert_true (g_output_stream_close (in, NULL, NULL));
  g_assert_true (g_subprocess_wait (user, NULL, NULL));
}

static void
test_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) first = NULL;
  g_autoptr (GError) second = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_null (vs_image_info (f->tool, f->image, "qcow2", cancellable, &first));
  g_assert_error (first, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
  g_assert_false (vs_image_snapshot_create (f->tool, f->image, "one", cancellable, &second));
  g_assert_error (second, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
}

static void
test_garbage (Fixture *f, gconstpointer data)
{
  g_autofree char *tool = fake_tool (f, "echo garbage");
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_image_info (tool, f->image, "qcow2", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
}

static void
test_endless_output (Fixture *f, gconstpointer data)
{
  g_autofree char *tool = fake_tool (f, "head -c 20000000 /dev/zero; head -c 200000 /dev/zero >&2");
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_image_info (tool, f->image, "qcow2", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
}

static void
test_no_space (Fixture *f, gconstpointer data)
{
  g_autofree char *tool = fake_tool (f, "echo 'qemu-img: Could not: No space left on device' >&2; exit 1");
  g_autoptr (GError) error = NULL;

  g_assert_null (vs_image_info (tool, f->image, "qcow2", NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE);
  g_assert_true (g_str_has_suffix (error->message, ": Could not: No space left on device"));
}

static void
test_silent_tool (Fixture *f, gconstpointer data)
{
  const char *const argv[] = { "/bin/sh", "-c", "exec sleep 1000", NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (vs_process_run (argv, 10, G_USEC_PER_SEC / 10, NULL, &output, &errors, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT);
}

static void
test_tool_beside_emulator (Fixture *f, gconstpointer data)
{
  g_autofree char *tool = fake_tool (f, "exit 0");
  g_autofree char *emulator = g_build_filename (f->dir, "emulator", NULL);
  g_autofree char *found = NULL;
  g_autofree char *elsewhere = NULL;

  g_assert_cmpint (symlink ("/bin/true", emulator), ==, 0);
  found = vs_image_tool_find (emulator, NULL);
  g_assert_cmpstr (found, ==, tool);
  g_unlink (tool);
  elsewhere = vs_image_tool_find (emulator, NULL);
  g_assert_cmpstr (elsewhere, ==, f->tool);
}

static void
test_tags (Fixture *f, gconstpointer data)
{
  static const char *const table[][2] = {
    { "one", "one" },
    { "2", "snapshot-2" },
    { "vmsnap-undo-1-00000000", "snapshot-vmsnap-undo-1-00000000" },
    { "007", "snapshot-007" },
    { "2 ", "2 " },
    { "2a", "2a" },
    { "-2", "-2" },
    { "٢", "٢" },
    { "snapshot-two", "snapshot-two" },
    { "snapshot-", "snapshot-" },
    { "snapshot-2", "snapshot-snapshot-2" },
    { "snapshot-snapshot-2", "snapshot-snapshot-snapshot-2" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autofree char *tag = vs_image_tag_for_name (table[i][0]);

      g_assert_cmpstr (tag, ==, table[i][1]);
    }
}

#define ADD(path, func) g_test_add ("/image-tool/" path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("info-tells-size-and-backing-file", test_info);
  ADD ("missing-file-is-not-found", test_missing_file);
  ADD ("wrong-format-is-an-error-in-its-words", test_wrong_format);
  ADD ("format-is-not-guessed", test_format_is_not_guessed);
  ADD ("relative-path-is-refused", test_relative_path);
  ADD ("snapshot-is-made-listed-and-deleted", test_snapshots);
  ADD ("applied-snapshot-brings-back-the-data", test_apply);
  ADD ("backing-file-is-not-needed", test_backing_file_not_needed);
  ADD ("taken-tag-is-refused", test_taken_tag);
  ADD ("missing-tag-is-not-found", test_missing_tag);
  ADD ("number-is-never-taken-for-an-id", test_numeric_tag);
  ADD ("seconds-since-the-epoch-are-a-tag", test_seconds_for_a_tag);
  ADD ("image-in-use-is-busy", test_image_in_use);
  ADD ("cancelled-before-it-begins", test_cancelled);
  ADD ("garbage-is-an-error", test_garbage);
  ADD ("endless-output-is-bounded", test_endless_output);
  ADD ("no-space-is-told-apart", test_no_space);
  ADD ("silent-tool-is-ended", test_silent_tool);
  ADD ("found-beside-the-emulator-first", test_tool_beside_emulator);
  ADD ("names-and-tags-are-one-to-one", test_tags);
  return g_test_run ();
}
