/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Copies of image files: every byte, and no more room than the original takes.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmsnap-error.h"
#include "vs-file-copy.h"

#define MIB (1024 * 1024)
#define LENGTH (40 * MIB + 123)

typedef struct
{
  char *directory;
  char *from;
  char *to;
  guint64 told;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *block = g_malloc (MIB);
  int fd;

  fixture->directory = g_dir_make_tmp ("vmsnap-copy-XXXXXX", NULL);
  fixture->from = g_build_filename (fixture->directory, "from", NULL);
  fixture->to = g_build_filename (fixture->directory, "to", NULL);
  for (gsize i = 0; i < MIB; i++)
    block[i] = (char) g_random_int ();
  fd = g_open (fixture->from, O_RDWR | O_CREAT, 0600);
  g_assert_cmpint (ftruncate (fd, LENGTH), ==, 0);
  g_assert_cmpint (pwrite (fd, block, MIB, 0), ==, MIB);
  g_assert_cmpint (pwrite (fd, block, MIB, 7 * MIB + 5), ==, MIB);
  g_assert_cmpint (pwrite (fd, block, 100, LENGTH - 100), ==, 100);
  close (fd);
  g_assert_true (g_file_set_contents (fixture->to, "what was here before", -1, NULL));
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_unlink (fixture->from);
  g_unlink (fixture->to);
  g_rmdir (fixture->directory);
  g_free (fixture->directory);
  g_free (fixture->from);
  g_free (fixture->to);
}

static void
on_progress (guint64 done, guint64 total, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpuint (total, ==, LENGTH);
  g_assert_cmpuint (done, >=, fixture->told);
  fixture->told = done;
}

static void
test_every_byte (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *from = NULL;
  g_autofree char *to = NULL;
  gsize from_length, to_length;
  struct stat from_st, to_st;

  g_assert_true (vs_file_copy (fixture->from, fixture->to, on_progress, fixture, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (fixture->from, &from, &from_length, NULL));
  g_assert_true (g_file_get_contents (fixture->to, &to, &to_length, NULL));
  g_assert_cmpmem (from, from_length, to, to_length);
  g_assert_cmpint (stat (fixture->from, &from_st), ==, 0);
  g_assert_cmpint (stat (fixture->to, &to_st), ==, 0);
  g_assert_cmpint (to_st.st_blocks, <=, from_st.st_blocks + 64);
}

static void
test_cancel (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_false (vs_file_copy (fixture->from, fixture->to, NULL, NULL, cancellable, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED);
}

static void
test_missing (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_unlink (fixture->from);
  g_assert_false (vs_file_copy (fixture->from, fixture->to, NULL, NULL, NULL, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IO);
  g_assert_nonnull (strstr (error->message, fixture->from));
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/file-copy/has-every-byte-and-the-holes", test_every_byte);
  ADD ("/file-copy/cancelled-says-so", test_cancel);
  ADD ("/file-copy/missing-file-is-named", test_missing);
  return g_test_run ();
}
