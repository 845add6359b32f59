/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Merging files by a real storage daemon: whatever is done, and whenever it is ended, each file that anybody needs reads
 * as before, to the byte, and is whole. VMSNAP_TEST_EMULATOR chooses whose tools, else the ones in the path.
 */
#include "vmsnap-error.h"
#include "vs-image-tool.h"
#include "vs-merge-private.h"
#include "vs-process.h"
#include "vs-storage-daemon.h"

#include <signal.h>
#include <string.h>

#define MIB (1024 * 1024)
#define MAX_FILES 4

typedef struct
{
  char *dir;
  char *img;
  char *io;
  char *files[MAX_FILES];
  char *copies[MAX_FILES]; /* what they read as in the beginning */
  const char *base_format;
  guint n;
} Fixture;

static gboolean
try_run (const char *const *argv)
{
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;
  gboolean ok = vs_process_run (argv, 65536, 60 * G_USEC_PER_SEC, NULL, &output, &errors, &error);

  if (!ok)
    g_test_message ("%s %s: %s%s", argv[0], argv[1], output != NULL ? output : "", errors != NULL ? errors : "");
  return ok;
}

static void
run (const char *first, ...)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  va_list ap;

  va_start (ap, first);
  for (const char *arg = first; arg != NULL; arg = va_arg (ap, const char *))
    g_ptr_array_add (argv, (gpointer) arg);
  va_end (ap);
  g_ptr_array_add (argv, NULL);
  g_assert_true (try_run ((const char *const *) argv->pdata));
}

static const char *
format_of (Fixture *f, guint index)
{
  return index == 0 ? f->base_format : "qcow2";
}

/* Marks that overlap those of the file below. */
static void
mark (Fixture *f, guint index, guint size)
{
  g_autofree char *write = g_strdup_printf ("write -P %u %uM 4M", index + 1, 3 * index);
  g_autofree char *more = g_strdup_printf ("write -P %u %uk 64k", index + 101, 10 * 1024 + index * 32);

  run (f->io, "-f", format_of (f, index), "-c", write, "-c", more, f->files[index], NULL);
  /* Where some files end before. */
  if (index == 0 && size >= 64)
    run (f->io, "-f", f->base_format, "-c", "write -P 77 40M 64k", f->files[index], NULL);
}

static void
copy (Fixture *f, guint index)
{
  f->copies[index] = g_strconcat (f->files[index], ".copy", NULL);
  run (f->img, "convert", "-f", format_of (f, index), "-O", "raw", f->files[index], f->copies[index], NULL);
}

/* A chain of files, of so many MiB each, the base first. */
static void
make_chain (Fixture *f, const char *base_format, guint n, const guint *sizes)
{
  f->base_format = base_format;
  f->n = n;
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("file %u,\"x\"", i);
      g_autofree char *size = g_strdup_printf ("%uM", sizes[i]);

      f->files[i] = g_build_filename (f->dir, name, NULL);
      if (i == 0)
        run (f->img, "create", "-q", "-f", base_format, f->files[i], size, NULL);
      else
        run (f->img, "create", "-q", "-f", "qcow2", "-F", format_of (f, i - 1), "-b", f->files[i - 1], f->files[i], size,
             NULL);
      mark (f, i, sizes[i]);
    }
  for (guint i = 0; i < n; i++)
    copy (f, i);
}

static char *
find_tool (const char *name)
{
  g_autoptr (GError) error = NULL;
  char *tool = vs_image_tool_find_named (name, g_getenv ("VMSNAP_TEST_EMULATOR"), &error);

  g_assert_no_error (error);
  return tool;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("vmsnap merge-XXXXXX", NULL);
  f->img = find_tool ("qemu-img");
  f->io = find_tool ("qemu-io");
}

static void
forget_chain (Fixture *f)
{
  for (guint i = 0; i < MAX_FILES; i++)
    {
      g_clear_pointer (&f->files[i], g_free);
      g_clear_pointer (&f->copies[i], g_free);
    }
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  run ("rm", "-rf", f->dir, NULL);
  forget_chain (f);
  g_free (f->dir);
  g_free (f->img);
  g_free (f->io);
}

/* What a file reads as now is what another read as in the beginning, and it is whole. */
static void
assert_reads_as (Fixture *f, guint index, guint original)
{
  const char *const compare[]
    = { f->img, "compare", "-q", "-f", format_of (f, index), "-F", "raw", f->files[index], f->copies[original], NULL };
  g_autoptr (VsImageInfo) info = vs_image_info (f->img, f->files[index], format_of (f, index), NULL, NULL);
  g_autoptr (VsImageInfo) copy_info = vs_image_info (f->img, f->copies[original], "raw", NULL, NULL);

  g_assert_true (try_run (compare));
  g_assert_cmpuint (info->virtual_size, ==, copy_info->virtual_size);
  if (index > 0 || g_str_equal (f->base_format, "qcow2"))
    run (f->img, "check", "-q", "-f", "qcow2", f->files[index], NULL);
}

static void
assert_backing (Fixture *f, guint index, const char *path, const char *format)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageInfo) info = vs_image_info (f->img, f->files[index], "qcow2", NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (info->backing_file, ==, path);
  g_assert_cmpstr (info->backing_format, ==, format);
}

static gboolean
merge (Fixture *f, VsMergeWay way, guint upper, GError **error)
{
  const VsMergeFiles files = { .emulator = g_getenv ("VMSNAP_TEST_EMULATOR"),
                               .way = way,
                               .lower = f->files[upper - 1],
                               .upper = f->files[upper] };

  return vs_merge_files (&files, error);
}

static const guint same_sizes[] = { 64, 64, 64, 64 };

static void
test_stream_middle (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  make_chain (f, "raw", 4, same_sizes);
  g_assert_true (merge (f, VS_MERGE_STREAM, 2, &error));
  g_assert_no_error (error);
  assert_backing (f, 2, f->files[0], "raw");
  for (guint i = 0; i < 4; i++)
    assert_reads_as (f, i, i);
}

static void
test_stream_base (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  make_chain (f, data, 3, same_sizes);
  g_assert_true (merge (f, VS_MERGE_STREAM, 1, &error));
  g_assert_no_error (error);
  assert_backing (f, 1, NULL, NULL);
  for (guint i = 0; i < 3; i++)
    assert_reads_as (f, i, i);
}

/* The headers of both stay, and so do all the bytes of the upper. */
static void
test_commit (Fixture *f, gconstpointer data)
{
  guint upper = GPOINTER_TO_UINT (data);
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  gsize length, length_after;

  make_chain (f, "raw", 3, same_sizes);
  g_assert_true (g_file_get_contents (f->files[upper], &before, &length, NULL));
  for (guint again = 0; again < 2; again++)
    {
      g_assert_true (merge (f, VS_MERGE_COMMIT, upper, &error));
      g_assert_no_error (error);
      assert_backing (f, upper, f->files[upper - 1], format_of (f, upper - 1));
      assert_reads_as (f, upper - 1, upper);
      assert_reads_as (f, upper, upper);
      assert_reads_as (f, 2, 2);
    }
  g_assert_true (g_file_get_contents (f->files[upper], &after, &length_after, NULL));
  g_assert_cmpmem (before, length, after, length_after);
}

/* What is below the lower file doesn't shine through behind its end. */
static void
test_commit_into_shorter (Fixture *f, gconstpointer data)
{
  static const guint sizes[] = { 64, 32, 64 };
  g_autoptr (GError) error = NULL;

  make_chain (f, "qcow2", 3, sizes);
  g_assert_true (merge (f, VS_MERGE_COMMIT, 2, &error));
  g_assert_no_error (error);
  for (guint i = 1; i < 3; i++)
    assert_reads_as (f, i, 2);
}

static void
test_commit_into_shorter_raw (Fixture *f, gconstpointer data)
{
  static const guint sizes[] = { 32, 64, 64 };
  g_autoptr (GError) error = NULL;

  make_chain (f, "raw", 3, sizes);
  g_assert_true (merge (f, VS_MERGE_COMMIT, 1, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < 2; i++)
    assert_reads_as (f, i, 1);
  assert_reads_as (f, 2, 2);
}

/* See vs_merge_is_possible(). */
static void
test_stream_of_shorter (Fixture *f, gconstpointer data)
{
  static const guint sizes[] = { 64, 32, 64 };
  g_autoptr (GError) error = NULL;

  make_chain (f, "qcow2", 3, sizes);
  g_assert_false (merge (f, VS_MERGE_STREAM, 2, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
  assert_backing (f, 2, f->files[1], "qcow2");
  for (guint i = 0; i < 3; i++)
    assert_reads_as (f, i, i);
}

static void
test_stream_of_shorter_base (Fixture *f, gconstpointer data)
{
  static const guint sizes[] = { 32, 64 };
  g_autoptr (GError) error = NULL;

  make_chain (f, "raw", 2, sizes);
  g_assert_true (merge (f, VS_MERGE_STREAM, 1, &error));
  g_assert_no_error (error);
  assert_reads_as (f, 1, 1);
}

static void
test_commit_into_longer (Fixture *f, gconstpointer data)
{
  static const guint sizes[] = { 64, 64, 32 };
  g_autoptr (GError) error = NULL;

  make_chain (f, "qcow2", 3, sizes);
  g_assert_false (merge (f, VS_MERGE_COMMIT, 2, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED);
  for (guint i = 0; i < 3; i++)
    assert_reads_as (f, i, i);
}

static void
test_strangers (Fixture *f, gconstpointer data)
{
  VsMergeFiles files = { .way = VS_MERGE_COMMIT };
  g_autoptr (GError) error = NULL;

  make_chain (f, "qcow2", 3, same_sizes);
  files.lower = f->files[0];
  files.upper = f->files[2];
  g_assert_false (vs_merge_files (&files, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE);
  g_assert_nonnull (strstr (error->message, f->files[1]));
  assert_reads_as (f, 0, 0);
}

/* Somebody else reads the file that is to be written. */
static void
test_in_use (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDiskChain) chain = NULL;
  g_autoptr (VsStorageDaemon) other = NULL;

  make_chain (f, "qcow2", 3, same_sizes);
  chain = vs_merge_look (VS_MERGE_COMMIT, f->files[1], f->files[2], &error);
  g_assert_no_error (error);
  other = vs_storage_daemon_start (g_getenv ("VMSNAP_TEST_EMULATOR"), NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (vs_storage_daemon_open (other, chain, FALSE, &error));
  g_assert_false (merge (f, VS_MERGE_COMMIT, 2, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_BUSY);
  g_clear_pointer (&other, vs_storage_daemon_end);
  assert_reads_as (f, 1, 1);
  assert_reads_as (f, 2, 2);
}

/* A merge that is ended when it is so far. */
typedef struct
{
  guint64 at;
  GCancellable *cancellable;
  gboolean kill;
  gboolean reached;
} Interruption;

/* The storage daemon is this thread's only child. */
static void
kill_child (void)
{
  g_autofree char *text = NULL;
  gint64 pid;

  g_assert_true (g_file_get_contents ("/proc/thread-self/children", &text, NULL, NULL));
  g_assert_true (g_ascii_string_to_signed (g_strstrip (text), 10, 2, G_MAXINT32, &pid, NULL));
  g_assert_cmpint (kill ((pid_t) pid, SIGKILL), ==, 0);
}

static void
interrupt (guint64 done, guint64 total, gpointer user_data)
{
  Interruption *self = user_data;

  g_assert_cmpuint (done, <=, total);
  if (self->reached || done < self->at)
    return;
  self->reached = TRUE;
  if (self->kill)
    kill_child ();
  else
    g_cancellable_cancel (self->cancellable);
}

/* Ended in the middle, everything that is needed reads as before, and to do it once more does it. */
static void
check_interrupted (Fixture *f, VsMergeWay way, guint64 at, gboolean kill)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Interruption interruption = { .at = at, .kill = kill, .cancellable = cancellable };
  const VsMergeFiles files = { .emulator = g_getenv ("VMSNAP_TEST_EMULATOR"),
                               .way = way,
                               .lower = f->files[1],
                               .upper = f->files[2],
                               .speed = 1 * MIB,
                               .progress = interrupt,
                               .user_data = &interruption,
                               .cancellable = cancellable };
  g_autoptr (GError) error = NULL;

  g_assert_false (vs_merge_files (&files, &error));
  g_assert_true (interruption.reached);
  g_assert_cmpint (error->code, ==, kill ? VMSNAP_ERROR_HYPERVISOR_GONE : VMSNAP_ERROR_CANCELLED);
  assert_backing (f, 2, f->files[1], "qcow2");
  assert_reads_as (f, 0, 0);
  if (way == VS_MERGE_STREAM)
    assert_reads_as (f, 1, 1);
  for (guint i = 2; i < 4; i++)
    assert_reads_as (f, i, i);
}

static void
test_interrupted (Fixture *f, VsMergeWay way, gboolean kill)
{
  static const guint64 points[] = { 0, 2 * MIB, 4 * MIB };

  for (gsize i = 0; i < G_N_ELEMENTS (points); i++)
    {
      g_autoptr (GError) error = NULL;

      make_chain (f, "raw", 4, same_sizes);
      check_interrupted (f, way, points[i], kill);
      g_assert_true (merge (f, way, 2, &error));
      g_assert_no_error (error);
      assert_reads_as (f, 1, way == VS_MERGE_STREAM ? 1 : 2);
      for (guint j = 2; j < 4; j++)
        assert_reads_as (f, j, j);
      forget_chain (f);
      run ("find", f->dir, "-type", "f", "-delete", NULL);
    }
}

static void
test_cancelled (Fixture *f, gconstpointer data)
{
  test_interrupted (f, GPOINTER_TO_UINT (data), FALSE);
}

static void
test_killed (Fixture *f, gconstpointer data)
{
  test_interrupted (f, GPOINTER_TO_UINT (data), TRUE);
}

/* An emulator in a directory of its own brings its own tools. */
static void
test_beside_emulator (Fixture *f, gconstpointer data)
{
  g_autofree char *emulator = g_build_filename (f->dir, "qemu-system-x86_64", NULL);
  g_autofree char *tool = g_build_filename (f->dir, "qemu-storage-daemon", NULL);
  const char *script = "#!/bin/sh\necho this one >&2\nexit 3\n";
  g_autofree char *log = g_build_filename (f->dir, "log", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents_full (emulator, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  g_assert_true (g_file_set_contents_full (tool, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  g_assert_null (vs_storage_daemon_start (emulator, log, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR);
  g_assert_nonnull (strstr (error->message, tool));
  g_assert_nonnull (strstr (error->message, "this one"));
}

#define ADD(path, data, func) g_test_add (path, Fixture, data, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/merge/stream-of-a-middle-file", NULL, test_stream_middle);
  ADD ("/merge/stream-of-a-qcow2-base-leaves-none", "qcow2", test_stream_base);
  ADD ("/merge/stream-of-a-raw-base-leaves-none", "raw", test_stream_base);
  ADD ("/merge/stream-of-a-shorter-file-is-refused", NULL, test_stream_of_shorter);
  ADD ("/merge/stream-of-a-shorter-base", NULL, test_stream_of_shorter_base);
  ADD ("/merge/commit-into-raw-may-be-done-again", GUINT_TO_POINTER (1), test_commit);
  ADD ("/merge/commit-into-qcow2-may-be-done-again", GUINT_TO_POINTER (2), test_commit);
  ADD ("/merge/commit-makes-a-shorter-file-longer", NULL, test_commit_into_shorter);
  ADD ("/merge/commit-makes-a-shorter-raw-file-longer", NULL, test_commit_into_shorter_raw);
  ADD ("/merge/commit-into-a-longer-file-is-refused", NULL, test_commit_into_longer);
  ADD ("/merge/only-neighbours-are-merged", NULL, test_strangers);
  ADD ("/merge/a-file-in-use-is-told-so", NULL, test_in_use);
  ADD ("/merge/a-cancelled-stream-changes-nothing", GUINT_TO_POINTER (VS_MERGE_STREAM), test_cancelled);
  ADD ("/merge/a-cancelled-commit-changes-nothing-above", GUINT_TO_POINTER (VS_MERGE_COMMIT), test_cancelled);
  ADD ("/merge/a-killed-stream-changes-nothing", GUINT_TO_POINTER (VS_MERGE_STREAM), test_killed);
  ADD ("/merge/a-killed-commit-changes-nothing-above", GUINT_TO_POINTER (VS_MERGE_COMMIT), test_killed);
  ADD ("/storage-daemon/the-emulator-brings-its-own", NULL, test_beside_emulator);
  return g_test_run ();
}
