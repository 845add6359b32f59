/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The header of a qcow2 image, as docs/interop/qcow2.txt of QEMU describes it: as much of it as it takes to find the
 * backing file. Read here rather than by qemu-img, for a chain may be long, and a domain's start shouldn't wait for a
 * program a file. What is read may come from anybody: every length and offset is checked. Stateless; any thread.
 */
#include "vs-qcow2.h"

#include "vmsnap-error.h"

#include <string.h>
#include <unistd.h>

#define MAGIC 0x514649fbU /* QFI\xfb */

/* Offsets of the fields, all of them big-endian. */
#define OFFSET_VERSION 4
#define OFFSET_BACKING_OFFSET 8
#define OFFSET_BACKING_SIZE 16
#define OFFSET_CLUSTER_BITS 20
#define OFFSET_SIZE 24
#define OFFSET_CRYPT_METHOD 32
#define OFFSET_L1_SIZE 36
#define OFFSET_L1_TABLE 40
#define OFFSET_N_SNAPSHOTS 60
#define OFFSET_INCOMPATIBLE 72
#define OFFSET_HEADER_LENGTH 100

#define V2_LENGTH 72
#define V3_LENGTH 104

#define INCOMPATIBLE_CORRUPT (1 << 1)
#define INCOMPATIBLE_DATA_FILE (1 << 2)

#define EXTENSION_END 0U
#define EXTENSION_BACKING_FORMAT 0xe2792acaU

#define MIN_CLUSTER_BITS 9
#define MAX_CLUSTER_BITS 21
#define MAX_BACKING_NAME 1023
#define MAX_FORMAT_NAME 15

/* Header, extensions and the backing file's name lie in the first cluster, and that is no larger. */
#define MAX_HEADER (1 << MAX_CLUSTER_BITS)
#define MOSTLY_ENOUGH 65536

typedef struct
{
  guint8 *data;
  gsize length;
} Bytes;

static guint32
get_u32 (const Bytes *bytes, gsize offset)
{
  guint32 value;

  memcpy (&value, bytes->data + offset, sizeof value);
  return GUINT32_FROM_BE (value);
}

static guint64
get_u64 (const Bytes *bytes, gsize offset)
{
  guint64 value;

  memcpy (&value, bytes->data + offset, sizeof value);
  return GUINT64_FROM_BE (value);
}

/* Whether @length bytes from @offset on are there. */
static gboolean
holds (const Bytes *bytes, guint64 offset, guint64 length)
{
  return offset <= bytes->length && length <= bytes->length - offset;
}

static gboolean
fail (GError **error, const char *what)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "its qcow2 header is broken: %s", what);
  return FALSE;
}

static gsize
read_start (int fd, guint8 *data, gsize length)
{
  gsize got = 0;

  while (got < length)
    {
      ssize_t n = pread (fd, data + got, length - got, (off_t)got);

      if (n <= 0)
        break;
      got += (gsize)n;
    }
  return got;
}

/**
 * vs_qcow2_is:
 * @fd: a file that can be read
 *
 * Returns: whether it begins as a qcow2 image does
 */
gboolean
vs_qcow2_is (int fd)
{
  guint8 data[4];
  Bytes bytes = { data, sizeof data };

  return read_start (fd, data, sizeof data) == sizeof data && get_u32 (&bytes, 0) == MAGIC;
}

/* A text without a NUL in it, of the length that was written down. */
static gboolean
take_text (const Bytes *bytes, guint64 offset, guint64 length, gsize max, char **text, GError **error)
{
  if (length > max || !holds (bytes, offset, length))
    return fail (error, "a name doesn't fit");
  if (memchr (bytes->data + offset, '\0', length) != NULL
      || !g_utf8_validate_len ((const char *)bytes->data + offset, length, NULL))
    return fail (error, "a name isn't UTF-8");
  g_free (*text);
  *text = g_strndup ((const char *)bytes->data + offset, length);
  return TRUE;
}

/* Type, length, and data padded to a multiple of eight; the type 0 ends them, as does the backing file's name. */
static gboolean
read_extensions (const Bytes *bytes, gsize offset, guint64 end, VsQcow2Header *header, GError **error)
{
  while (offset + 8 <= end)
    {
      guint32 type, length;

      if (!holds (bytes, offset, 8))
        return fail (error, "an extension is cut off");
      type = get_u32 (bytes, offset);
      length = get_u32 (bytes, offset + 4);
      offset += 8;
      if (type == EXTENSION_END)
        return TRUE;
      if (length > end - offset || !holds (bytes, offset, length))
        return fail (error, "an extension is cut off");
      if (type == EXTENSION_BACKING_FORMAT
          && !take_text (bytes, offset, length, MAX_FORMAT_NAME, &header->backing_format, error))
        return FALSE;
      offset += (length + 7) & ~(gsize)7;
    }
  return TRUE;
}

static gboolean
parse (const Bytes *bytes, VsQcow2Header *header, GError **error)
{
  guint32 version = get_u32 (bytes, OFFSET_VERSION);
  guint64 backing_offset = get_u64 (bytes, OFFSET_BACKING_OFFSET);
  guint32 backing_size = get_u32 (bytes, OFFSET_BACKING_SIZE);
  guint32 cluster_bits = get_u32 (bytes, OFFSET_CLUSTER_BITS);
  guint64 features = 0;
  guint32 length = V2_LENGTH;

  if (version < 2 || version > 3)
    return fail (error, "the version is unknown");
  if (cluster_bits < MIN_CLUSTER_BITS || cluster_bits > MAX_CLUSTER_BITS)
    return fail (error, "the cluster size is out of range");
  if (version == 3)
    {
      if (!holds (bytes, 0, V3_LENGTH))
        return fail (error, "it is cut off");
      features = get_u64 (bytes, OFFSET_INCOMPATIBLE);
      length = get_u32 (bytes, OFFSET_HEADER_LENGTH);
      if (length < V3_LENGTH || length > (1U << cluster_bits))
        return fail (error, "its length is out of range");
    }
  header->virtual_size = get_u64 (bytes, OFFSET_SIZE);
  header->is_encrypted = get_u32 (bytes, OFFSET_CRYPT_METHOD) != 0;
  header->n_snapshots = get_u32 (bytes, OFFSET_N_SNAPSHOTS);
  header->is_corrupt = (features & INCOMPATIBLE_CORRUPT) != 0;
  header->has_data_file = (features & INCOMPATIBLE_DATA_FILE) != 0;

  if (backing_offset > 1U << cluster_bits)
    return fail (error, "the backing file's name is out of place");
  if (!read_extensions (bytes, length, backing_offset != 0 ? backing_offset : 1U << cluster_bits, header, error))
    return FALSE;
  return backing_offset == 0 || backing_size == 0
         || take_text (bytes, backing_offset, backing_size, MAX_BACKING_NAME, &header->backing_file, error);
}

/**
 * vs_qcow2_read_header:
 * @fd: a file that can be read
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT, with a sentence to stand behind the file's name
 *
 * Returns: (transfer full): what the header says
 */
VsQcow2Header *
vs_qcow2_read_header (int fd, GError **error)
{
  g_autoptr (VsQcow2Header) header = g_new0 (VsQcow2Header, 1);
  g_autofree guint8 *data = g_malloc (MOSTLY_ENOUGH);
  Bytes bytes = { data, read_start (fd, data, MOSTLY_ENOUGH) };

  if (bytes.length >= V2_LENGTH && get_u64 (&bytes, OFFSET_BACKING_OFFSET) + MAX_BACKING_NAME > MOSTLY_ENOUGH)
    {
      bytes.data = data = g_realloc (data, MAX_HEADER);
      bytes.length = read_start (fd, data, MAX_HEADER);
    }
  if (bytes.length < V2_LENGTH || get_u32 (&bytes, 0) != MAGIC)
    fail (error, "it isn't one");
  else if (parse (&bytes, header, error))
    return g_steal_pointer (&header);
  return NULL;
}

/**
 * vs_qcow2_header_free:
 * @header: (transfer full): a header
 */
void
vs_qcow2_header_free (VsQcow2Header *header)
{
  g_free (header->backing_file);
  g_free (header->backing_format);
  g_free (header);
}

/**
 * vs_qcow2_is_empty:
 * @fd: a qcow2 image that can be read
 * @empty: (out): whether it holds nothing of its own: all that is read comes from the file below
 * @error: where to put %VMSNAP_ERROR_IMAGE_CORRUPT
 *
 * Returns: whether it could be told
 */
gboolean
vs_qcow2_is_empty (int fd, gboolean *empty, GError **error)
{
  guint8 data[V2_LENGTH];
  guint64 entries[512];
  Bytes bytes = { data, sizeof data };
  guint64 offset, left;

  if (read_start (fd, data, sizeof data) != sizeof data)
    return fail (error, "it is cut off");
  offset = get_u64 (&bytes, OFFSET_L1_TABLE);
  left = (guint64)get_u32 (&bytes, OFFSET_L1_SIZE) * sizeof entries[0];
  *empty = TRUE;
  while (left > 0 && *empty)
    {
      ssize_t n = pread (fd, entries, MIN (left, sizeof entries), (off_t)offset);

      if (n <= 0 || n % (ssize_t)sizeof entries[0] != 0)
        return fail (error, "its table is cut off");
      for (gsize i = 0; i < (gsize)n / sizeof entries[0]; i++)
        *empty = *empty && entries[i] == 0;
      offset += (guint64)n;
      left -= (guint64)n;
    }
  return TRUE;
}
