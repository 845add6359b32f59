/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Room for a snapshot, on a file system that is as full as each test wants it.
 */
#include <sys/statvfs.h>

#include <glib/gstdio.h>
#include <string.h>

#include "vmsnap-error.h"
#include "vs-tags.h"

#define MIB ((guint64) 1 << 20)

static struct statvfs answer;

/* Stands before the C library's. */
int
statvfs (const char *path, struct statvfs *fs)
{
  *fs = answer;
  return 0;
}

static char *
make_file (void)
{
  char *path = NULL;
  int fd = g_file_open_tmp ("room-XXXXXX", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  return path;
}

static void
set_room (guint64 blocks, guint64 room)
{
  answer = (struct statvfs){ .f_frsize = 4096, .f_blocks = blocks, .f_bavail = room / 4096, .f_bfree = blocks };
}

static void
test_enough (void)
{
  g_autofree char *path = make_file ();
  g_autoptr (GError) error = NULL;

  set_room (1000000, 8 * MIB);
  g_assert_true (vs_tags_check_room_at (path, 8 * MIB, &error));
  g_assert_no_error (error);
  g_unlink (path);
}

static void
test_too_little (void)
{
  g_autofree char *path = make_file ();
  g_autoptr (GError) error = NULL;

  set_room (1000000, 3 * MIB);
  g_assert_false (vs_tags_check_room_at (path, 8 * MIB + 1, &error));
  g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, "3 MiB"));
  g_assert_nonnull (strstr (error->message, "9 MiB"));
  g_unlink (path);
}

/* As some network file systems do. */
static void
test_unknown_size (void)
{
  g_autofree char *path = make_file ();

  set_room (0, 0);
  g_assert_true (vs_tags_check_room_at (path, 8 * MIB, NULL));
  g_unlink (path);
}

static void
test_device (void)
{
  set_room (1000000, 0);
  g_assert_true (vs_tags_check_room_at ("/dev/null", 8 * MIB, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/room/what-is-needed-is-enough", test_enough);
  g_test_add_func ("/room/too-little-is-an-error-that-names-the-file", test_too_little);
  g_test_add_func ("/room/size-that-is-not-told-is-no-obstacle", test_unknown_size);
  g_test_add_func ("/room/device-need-not-grow", test_device);
  return g_test_run ();
}
