/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qcow2 headers: those that qemu-img writes are read as qemu-img reads them, and broken ones are refused.
 */
#include "vs-qcow2.h"

#include "vmsnap-error.h"
#include "vs-image-tool.h"
#include "vs-process.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static VsQcow2Header *
read_bytes (const void *data, gsize length, GError **error)
{
  int fd = memfd_create ("image", MFD_CLOEXEC);
  VsQcow2Header *header;

  g_assert_cmpint (write (fd, data, length), ==, (gssize)length);
  header = vs_qcow2_read_header (fd, error);
  close (fd);
  return header;
}

static void
run (const char *dir, const char *script)
{
  const char *const argv[] = { "/bin/sh", "-euc", "cd \"$0\"; eval \"$1\"", dir, script, NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;

  vs_process_run (argv, 65536, 60 * G_USEC_PER_SEC, NULL, &output, &errors, &error);
  g_assert_no_error (error);
}

static const char *const made[] = {
  "qemu-img create -q -f qcow2 x 1M",
  "qemu-img create -q -f qcow2 -o compat=0.10 x 5G",
  "qemu-img create -q -f qcow2 -o cluster_size=512 x 1M",
  "qemu-img create -q -f qcow2 -o cluster_size=2M,extended_l2=on,lazy_refcounts=on x 1M",
  "qemu-img create -q -f qcow2 -o compression_type=zstd x 1M",
  "truncate -s 1M base; qemu-img create -q -f qcow2 -F raw -b base x",
  "truncate -s 1M base; qemu-img create -q -f qcow2 -o compat=0.10 -F raw -b base x",
  "truncate -s 1M base; qemu-img create -q -f qcow2 -F raw -b base x; qemu-img rebase -u -f qcow2 -b '' x",
  "truncate -s 1M base; qemu-img create -q -f qcow2 -F raw -b base x; qemu-img snapshot -c one x;"
  "qemu-img bitmap --add -f qcow2 x bitmap",
  "n=$(printf '%0200d/../' 0); mkdir -p \"$n\" $n; truncate -s 1M base;"
  "qemu-img create -q -f qcow2 -u -F qcow2 -b \"$PWD/${n}base\" x 1M",
  "qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on x 1M",
  /* Not LUKS: making that measures the processor's time, and on a busy machine it gives up. */
  "qemu-img create -q -f qcow2 --object secret,id=s,data=x -o encrypt.format=aes,encrypt.key-secret=s x 1M",
};

static void
compare (const char *path)
{
  g_autofree char *tool = vs_image_tool_find (NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (VsImageInfo) info = vs_image_info (tool, path, "qcow2", NULL, &error);
  g_autoptr (VsQcow2Header) header = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  g_assert_no_error (error);
  g_assert_true (vs_qcow2_is (fd));
  header = vs_qcow2_read_header (fd, &error);
  close (fd);
  g_assert_no_error (error);
  g_assert_cmpuint (header->virtual_size, ==, info->virtual_size);
  g_assert_cmpstr (header->backing_format, ==, info->backing_format);
  g_assert_cmpint (header->has_data_file, ==, info->data_file != NULL);
  g_assert_cmpint (header->is_encrypted, ==, info->encrypted);
  g_assert_cmpint (header->is_corrupt, ==, info->corrupt);
  g_assert_cmpint (header->backing_file != NULL, ==, info->backing_file != NULL);
  if (info->backing_file != NULL)
    g_assert_true (g_str_has_suffix (info->backing_file, header->backing_file));
}

static void
test_as_qemu_img (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (made); i++)
    {
      g_autofree char *dir = g_dir_make_tmp ("vmsnap-qcow2-XXXXXX", NULL);
      g_autofree char *path = g_build_filename (dir, "x", NULL);

      g_test_message ("%s", made[i]);
      run (dir, made[i]);
      compare (path);
      run (dir, "rm -rf \"$PWD\"");
    }
}

/* A good header of version 3 with a backing file and its format, to be broken. */
#define SAMPLE_SIZE 512

static void
put_u32 (guint8 *at, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (at, &value, sizeof value);
}

static void
make_sample (guint8 *data)
{
  memset (data, 0, SAMPLE_SIZE);
  put_u32 (data, 0x514649fb);
  put_u32 (data + 4, 3);
  put_u32 (data + 12, 136); /* the backing file's name: where, */
  put_u32 (data + 16, 4);   /* how long */
  put_u32 (data + 20, 9);   /* clusters of 512 bytes */
  put_u32 (data + 28, 4096);
  put_u32 (data + 100, 104);
  put_u32 (data + 104, 0xe2792aca);
  put_u32 (data + 108, 5);
  memcpy (data + 112, "qcow2", 5);
  memcpy (data + 136, "base", 4);
}

static void
test_sample (void)
{
  guint8 data[SAMPLE_SIZE];
  g_autoptr (GError) error = NULL;
  g_autoptr (VsQcow2Header) header = NULL;

  make_sample (data);
  header = read_bytes (data, sizeof data, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (header->backing_file, ==, "base");
  g_assert_cmpstr (header->backing_format, ==, "qcow2");
  g_assert_cmpuint (header->virtual_size, ==, 4096);
}

static void
test_broken (void)
{
  static const struct
  {
    gsize offset;
    guint32 value;
  } table[] = {
    { 0, 0x514649fa },   /* magic */
    { 4, 1 },            /* version */
    { 4, 4 },            /* version */
    { 8, 1 },            /* backing file far away */
    { 8, 0xffffffff },   /* and around the corner */
    { 12, 513 },         /* and out of the cluster */
    { 12, 110 },         /* and inside the extensions */
    { 16, 1024 },        /* with a name too long */
    { 16, 400 },         /* that ends behind the file */
    { 16, 5 },           /* or with a NUL in it */
    { 16, 0xffffffff },  /* or longer than all */
    { 20, 8 },           /* clusters too small */
    { 20, 22 },          /* too large */
    { 20, 0xffffffff },  /* and more than that */
    { 100, 103 },        /* header too short */
    { 100, 513 },        /* too long */
    { 108, 16 },         /* format's name too long */
    { 108, 0xffffffff }, /* extension longer than all */
    { 108, 0xfffffff9 }, /* also when it is rounded up */
    { 112, 0xffffffff }, /* no text */
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      guint8 data[SAMPLE_SIZE];
      g_autoptr (GError) error = NULL;

      make_sample (data);
      put_u32 (data + table[i].offset, table[i].value);
      if (read_bytes (data, sizeof data, &error) != NULL)
        g_error ("%" G_GSIZE_FORMAT " at %" G_GSIZE_FORMAT " was accepted", (gsize)table[i].value, table[i].offset);
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
    }
}

/* Whatever is cut off: an answer, and nothing read that isn't there. */
static void
test_cut_off (void)
{
  guint8 data[SAMPLE_SIZE];

  make_sample (data);
  for (gsize length = 0; length < 140; length++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (read_bytes (data, length, &error));
      g_assert_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT);
    }
}

static void
test_noise (void)
{
  for (guint round = 0; round < 20000; round++)
    {
      guint8 data[SAMPLE_SIZE];
      g_autoptr (VsQcow2Header) header = NULL;
      guint n = (guint)g_test_rand_int_range (1, 6);

      make_sample (data);
      for (guint i = 0; i < n; i++)
        data[g_test_rand_int_range (4, 150)] = (guint8)g_test_rand_int_range (0, 256);
      header = read_bytes (data, (gsize)g_test_rand_int_range (72, SAMPLE_SIZE), NULL);
      if (header != NULL && header->backing_file != NULL)
        g_assert_cmpuint (strlen (header->backing_file), <=, 1023);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qcow2/read-as-qemu-img-reads-it", test_as_qemu_img);
  g_test_add_func ("/qcow2/backing-file-and-format", test_sample);
  g_test_add_func ("/qcow2/broken-header-is-refused", test_broken);
  g_test_add_func ("/qcow2/cut-off-header-is-refused", test_cut_off);
  g_test_add_func ("/qcow2/noise-does-no-harm", test_noise);
  return g_test_run ();
}
