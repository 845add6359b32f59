/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backing chains, of real images, good and bad.
 */
#include "vs-disk-chain.h"

#include "vmsnap-error.h"
#include "vs-image-tool.h"
#include "vs-process.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct
{
  char *dir;
  char *tool;
} Fixture;

static void
run (Fixture *f, const char *script)
{
  const char *const argv[] = { "/bin/sh", "-euc", "cd \"$0\"; eval \"$1\"", f->dir, script, NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;

  vs_process_run (argv, 65536, 60 * G_USEC_PER_SEC, NULL, &output, &errors, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("vmsnap-chain-XXXXXX", NULL);
  f->tool = vs_image_tool_find (NULL, NULL);
  g_assert_nonnull (f->tool);
  run (f, "qemu-img create -q -f qcow2 base 16M; qemu-img create -q -f qcow2 -F qcow2 -b base middle;"
          "qemu-img create -q -f qcow2 -F qcow2 -b \"$PWD/middle\" top; truncate -s 1M raw");
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  run (f, "chmod 755 . ; rm -rf \"$PWD\"");
  g_free (f->dir);
  g_free (f->tool);
}

static VsDiskChain *
probe (Fixture *f, const char *file, const char *format, gboolean readonly, GError **error)
{
  g_autofree char *path = g_build_filename (f->dir, file, NULL);
  VsDiskDef disk = { .target = (char *)"vda", .path = path, .format = (char *)format, .readonly = readonly };

  return vs_disk_chain_probe (&disk, NULL, error);
}

static void
refuse (Fixture *f, const char *file, const char *format, int code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDiskChain) chain = probe (f, file, format, FALSE, &error);

  g_assert_null (chain);
  g_assert_error (error, VMSNAP_ERROR, code);
  if (strstr (error->message, words) == NULL)
    g_error ("'%s' is not in '%s'", words, error->message);
}

static void
test_chain (Fixture *f, gconstpointer data)
{
  static const char *const names[] = { "top", "middle", "base" };
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDiskChain) chain = probe (f, "top", "qcow2", FALSE, &error);
  g_auto (GStrv) paths = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (chain->files->len, ==, 3);
  paths = vs_disk_chain_get_paths (chain);
  for (guint i = 0; i < 3; i++)
    {
      const VsDiskFile *file = g_ptr_array_index (chain->files, i);
      g_autofree char *path = g_build_filename (f->dir, names[i], NULL);
      g_autofree char *id = vs_disk_file_id (path, NULL);

      g_assert_cmpstr (file->path, ==, path);
      g_assert_cmpstr (paths[i], ==, path);
      g_assert_cmpstr (file->format, ==, "qcow2");
      g_assert_cmpuint (file->virtual_size, ==, 16 * 1024 * 1024);
      g_assert_cmpstr (file->id, ==, id);
      g_assert_false (file->is_block);
    }
  g_assert_cmpstr (vs_disk_chain_writable_id (chain), ==, vs_disk_chain_get_active (chain)->id);
}

static void
test_akin_with_other_device_numbers (Fixture *f, gconstpointer data)
{
  g_assert_true (vs_disk_file_id_is_akin ("file:8:1:42", "file:8:1:42"));
  g_assert_true (vs_disk_file_id_is_akin ("file:8:1:42", "file:0:51:42"));
  g_assert_false (vs_disk_file_id_is_akin ("file:8:1:42", "file:8:1:142"));
  g_assert_false (vs_disk_file_id_is_akin ("file:8:1:42", "block:8:42"));
  g_assert_false (vs_disk_file_id_is_akin ("block:8:42", "block:8:42"));
}

static void
test_same_file_other_name (Fixture *f, gconstpointer data)
{
  g_autoptr (VsDiskChain) one = NULL;
  g_autoptr (VsDiskChain) other = NULL;

  run (f, "ln raw hard; ln -s hard soft");
  one = probe (f, "raw", "raw", FALSE, NULL);
  other = probe (f, "soft", "raw", FALSE, NULL);
  g_assert_cmpstr (vs_disk_chain_writable_id (one), ==, vs_disk_chain_writable_id (other));
}

static void
test_raw_base (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDiskChain) chain = NULL;

  run (f, "qemu-img create -q -f qcow2 -F raw -b raw over");
  chain = probe (f, "over", "qcow2", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (((const VsDiskFile *)g_ptr_array_index (chain->files, 1))->format, ==, "raw");
}

static void
test_deep_chain (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VsDiskChain) chain = NULL;

  run (f, "prev=base; i=0; while [ $i -lt 40 ]; do cp middle d$i; qemu-img rebase -u -f qcow2 -F qcow2 -b $prev d$i;"
          "prev=d$i; i=$((i+1)); done");
  chain = probe (f, "d39", "qcow2", FALSE, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (chain->files->len, ==, 41);
}

static void
test_missing (Fixture *f, gconstpointer data)
{
  refuse (f, "nothing", "qcow2", VMSNAP_ERROR_NOT_FOUND, "the file of disk vda");
  run (f, "rm base");
  refuse (f, "middle", "qcow2", VMSNAP_ERROR_NOT_FOUND, "/base, the backing file of ");
}

static void
test_wrong_format (Fixture *f, gconstpointer data)
{
  refuse (f, "raw", "qcow2", VMSNAP_ERROR_INVALID_ARGUMENT, "has no qcow2 header");
  refuse (f, "base", "raw", VMSNAP_ERROR_INVALID_ARGUMENT, "begins with a qcow2 header");
  refuse (f, "base", "vmdk", VMSNAP_ERROR_NOT_SUPPORTED, "vmdk");
  run (f, "truncate -s 0 empty");
  refuse (f, "empty", "qcow2", VMSNAP_ERROR_INVALID_ARGUMENT, "has no qcow2 header");
}

static void
test_wrong_backing_format (Fixture *f, gconstpointer data)
{
  run (f, "qemu-img rebase -u -f qcow2 -F raw -b base middle");
  refuse (f, "middle", "qcow2", VMSNAP_ERROR_INVALID_ARGUMENT, "/base is said to be raw");
}

static void
test_unknown_backing_format (Fixture *f, gconstpointer data)
{
  /* The header extension 0xE2792ACA carries the format: away with it. */
  run (f, "python3 - <<'END'\n"
          "data = bytearray(open('middle', 'rb').read())\n"
          "at = data.index(bytes.fromhex('e2792aca'))\n"
          "data[at:at + 4] = b'none'\n"
          "open('middle', 'wb').write(data)\n"
          "END\n");
  refuse (f, "middle", "qcow2", VMSNAP_ERROR_INVALID_ARGUMENT, "qemu-img rebase -u -f qcow2 -F qcow2 -b ");
}

static void
test_circle (Fixture *f, gconstpointer data)
{
  run (f, "ln middle again; qemu-img rebase -u -f qcow2 -F qcow2 -b again base");
  refuse (f, "top", "qcow2", VMSNAP_ERROR_INVALID_ARGUMENT, "circle");
}

static void
test_not_local (Fixture *f, gconstpointer data)
{
  run (f, "qemu-img rebase -u -f qcow2 -F raw -b nbd://localhost:1/x middle");
  refuse (f, "middle", "qcow2", VMSNAP_ERROR_NOT_SUPPORTED, "nbd://localhost:1/x");
  run (f, "qemu-img rebase -u -f qcow2 -F raw -b 'json:{\"driver\":\"null-co\"}' middle");
  refuse (f, "middle", "qcow2", VMSNAP_ERROR_NOT_SUPPORTED, "null-co");
}

static void
test_data_file (Fixture *f, gconstpointer data)
{
  run (f, "qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on split 1M");
  refuse (f, "split", "qcow2", VMSNAP_ERROR_NOT_SUPPORTED, "data");
}

static void
test_encrypted (Fixture *f, gconstpointer data)
{
  /* A LUKS image can't always be made: that measures the processor's time, and on a busy machine it gives up. */
  run (f, "qemu-img create -q -f qcow2 --object secret,id=s,data=x -o encrypt.format=aes,encrypt.key-secret=s aes 1M");
  refuse (f, "aes", "qcow2", VMSNAP_ERROR_NOT_SUPPORTED, "encrypted");
}

static void
test_strange_kinds (Fixture *f, gconstpointer data)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_snprintf (address.sun_path, sizeof address.sun_path, "%s/socket", f->dir);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  run (f, "mkdir folder; mkfifo fifo; ln -s /dev/zero zero");
  refuse (f, "folder", "raw", VMSNAP_ERROR_INVALID_ARGUMENT, "a directory");
  refuse (f, "fifo", "raw", VMSNAP_ERROR_INVALID_ARGUMENT, "a pipe");
  refuse (f, "socket", "raw", VMSNAP_ERROR_INVALID_ARGUMENT, "a socket");
  refuse (f, "zero", "raw", VMSNAP_ERROR_INVALID_ARGUMENT, "a character device");
  close (fd);
}

/* Root reads everything, so the test steps down to somebody for the while. */
static void
refuse_as_nobody (Fixture *f, const char *file, const char *words)
{
  gboolean is_root = geteuid () == 0;

  if (is_root)
    g_assert_cmpint (seteuid (65534), ==, 0);
  refuse (f, file, "qcow2", VMSNAP_ERROR_IO, words);
  if (is_root)
    g_assert_cmpint (seteuid (0), ==, 0);
}

static void
test_unreadable (Fixture *f, gconstpointer data)
{
  g_autofree char *words = g_strdup_printf (":x '%s'", f->dir);

  run (f, "chmod 755 .; chmod 400 top; chown 65534 top; chmod 0 base");
  refuse_as_nobody (f, "top", "can't write");
  refuse_as_nobody (f, "base", ":rw '");
  run (f, "chmod 0 .");
  refuse_as_nobody (f, "top", words);
}

static void
test_readonly (Fixture *f, gconstpointer data)
{
  gboolean is_root = geteuid () == 0;
  g_autoptr (VsDiskChain) chain = NULL;
  g_autoptr (GError) error = NULL;

  run (f, "chmod 755 .; chmod 444 top middle base");
  if (is_root)
    g_assert_cmpint (seteuid (65534), ==, 0);
  chain = probe (f, "top", "qcow2", TRUE, &error);
  if (is_root)
    g_assert_cmpint (seteuid (0), ==, 0);
  g_assert_no_error (error);
  g_assert_nonnull (chain);
}

#define ADD(path, func) g_test_add ("/disk-chain/" path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("active-file-first-base-last", test_chain);
  ADD ("akin-with-other-device-numbers", test_akin_with_other_device_numbers);
  ADD ("same-file-has-the-same-id-by-any-name", test_same_file_other_name);
  ADD ("raw-base", test_raw_base);
  ADD ("forty-files-deep", test_deep_chain);
  ADD ("missing-file-is-named", test_missing);
  ADD ("other-format-than-said-is-refused", test_wrong_format);
  ADD ("other-backing-format-than-said-is-refused", test_wrong_backing_format);
  ADD ("unknown-backing-format-comes-with-the-command", test_unknown_backing_format);
  ADD ("circle-is-found", test_circle);
  ADD ("backing-file-elsewhere-is-refused", test_not_local);
  ADD ("data-file-is-refused", test_data_file);
  ADD ("encrypted-image-is-refused", test_encrypted);
  ADD ("directory-pipe-socket-device-are-refused", test_strange_kinds);
  ADD ("unreadable-file-comes-with-the-command", test_unreadable);
  ADD ("read-only-disk-needs-no-write-access", test_readonly);
  return g_test_run ();
}
