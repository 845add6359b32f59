/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Changes the texts of an image that was saved, in place and yet at once: what shall stand there is first recorded at
 * the end of the padding, with a checksum, and synced; then it is put in place, and synced; then the record is cleared.
 * Whoever reads the image takes a valid record for its beginning, so the beginning is whole at every moment. (libvirt
 * knows nothing of the record, and sees what is in place.) The record:
 *
 *     the beginning     magic, words and texts, as they shall stand
 *     marker            16 bytes
 *     length            of the beginning, 32 bits, little-endian
 *     checksum          32 bytes, SHA-256 of the beginning
 *     zeros             up to 64 bytes from the marker, where the state begins
 *
 * Blocking; one thread at a time, and one rewrite of a file at a time.
 */
#include "vs-save-image-private.h"

#include "vmsnap-error.h"

#include <fcntl.h>
#include <string.h>

#define MARKER "vmsnap-rewrite-1"
#define MARKER_SIZE 16
#define OFFSET_LENGTH 16
#define OFFSET_CHECKSUM 20
#define CHECKSUM_SIZE 32

G_STATIC_ASSERT (sizeof MARKER == MARKER_SIZE + 1);

static void
digest (const guint8 *data, gsize length, guint8 checksum[CHECKSUM_SIZE])
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize size = CHECKSUM_SIZE;

  g_checksum_update (sum, data, (gssize)length);
  g_checksum_get_digest (sum, checksum, &size);
}

/*
 * What an interrupted rewrite wanted the beginning to be, in @data that ends where the state begins; (nullable).
 * @length: (out): of it
 */
const guint8 *
vs_image_record_find (const guint8 *data, gsize stream_offset, gsize *length)
{
  const guint8 *foot, *texts;
  guint8 checksum[CHECKSUM_SIZE];
  guint32 recorded;

  if (stream_offset < 2 * VS_IMAGE_HEADER_SIZE + VS_IMAGE_RECORD_FOOT)
    return NULL;
  foot = data + stream_offset - VS_IMAGE_RECORD_FOOT;
  memcpy (&recorded, foot + OFFSET_LENGTH, sizeof recorded);
  *length = GUINT32_FROM_LE (recorded);
  if (memcmp (foot, MARKER, MARKER_SIZE) != 0 || *length <= VS_IMAGE_HEADER_SIZE
      || *length > stream_offset - VS_IMAGE_RECORD_FOOT - VS_IMAGE_HEADER_SIZE)
    return NULL;
  texts = foot - *length;
  digest (texts, *length, checksum);
  return memcmp (checksum, foot + OFFSET_CHECKSUM, CHECKSUM_SIZE) == 0 ? texts : NULL;
}

/* The record that @texts shall be the beginning. */
GBytes *
vs_image_record_make (const guint8 *texts, gsize length)
{
  guint8 foot[VS_IMAGE_RECORD_FOOT] = MARKER;
  guint32 recorded = GUINT32_TO_LE ((guint32)length);
  GByteArray *bytes = g_byte_array_sized_new (length + sizeof foot);

  memcpy (foot + OFFSET_LENGTH, &recorded, sizeof recorded);
  digest (texts, length, foot + OFFSET_CHECKSUM);
  g_byte_array_append (bytes, texts, length);
  g_byte_array_append (bytes, foot, sizeof foot);
  return g_byte_array_free_to_bytes (bytes);
}

static gboolean
write_synced (VsImageFile *file, guint64 offset, const guint8 *data, gsize length, GError **error)
{
  return vs_image_file_write (file, offset, data, length, error) && vs_image_file_sync (file, error);
}

/* The beginning as it stands in the file; of @stream_offset bytes. */
static guint8 *
read_beginning (VsImageFile *file, gsize stream_offset, GError **error)
{
  g_autofree guint8 *data = g_malloc (stream_offset);
  gsize got;

  if (!vs_image_file_read (file, 0, data, stream_offset, &got, error))
    return NULL;
  if (got == stream_offset)
    return g_steal_pointer (&data);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE, "the image was cut while it was looked at");
  return NULL;
}

/* Puts @texts in place, and zeros behind them up to the record. The magic stays. */
static gboolean
put_in_place (VsImageFile *file, const guint8 *texts, gsize length, gsize record_start, GError **error)
{
  g_autofree guint8 *data = g_malloc0 (record_start);

  memcpy (data, texts, length);
  return write_synced (file, VS_IMAGE_MAGIC_SIZE, data + VS_IMAGE_MAGIC_SIZE, record_start - VS_IMAGE_MAGIC_SIZE,
                       error);
}

static gboolean
clear_record (VsImageFile *file, gsize record_start, gsize stream_offset, GError **error)
{
  g_autofree guint8 *zeros = g_malloc0 (stream_offset - record_start);

  return write_synced (file, record_start, zeros, stream_offset - record_start, error);
}

/* Finishes a rewrite that was interrupted. */
static gboolean
settle (VsImageFile *file, gsize stream_offset, GError **error)
{
  g_autofree guint8 *data = read_beginning (file, stream_offset, error);
  const guint8 *texts;
  gsize length;

  if (data == NULL)
    return FALSE;
  texts = vs_image_record_find (data, stream_offset, &length);
  return texts == NULL
         || (put_in_place (file, texts, length, texts - data, error)
             && clear_record (file, texts - data, stream_offset, error));
}

/* Records @texts, and puts them in place. */
static gboolean
replace (VsImageFile *file, const GByteArray *texts, gsize stream_offset, GError **error)
{
  g_autoptr (GBytes) record = vs_image_record_make (texts->data, texts->len);
  gsize size = g_bytes_get_size (record);
  gsize start = stream_offset - size;

  if (!write_synced (file, start, g_bytes_get_data (record, NULL), size, error))
    {
      clear_record (file, start, stream_offset, NULL);
      return FALSE;
    }
  if (put_in_place (file, texts->data, texts->len, start, error) && clear_record (file, start, stream_offset, error))
    return TRUE;
  g_prefix_error (error, "the new definition is recorded in the image, and counts; putting it in its place failed: ");
  return FALSE;
}

/* Neither the texts in place nor those to come may reach into the record. */
static gboolean
check_room (const GByteArray *old, const GByteArray *texts, gsize stream_offset, GError **error)
{
  gsize record = texts->len + VS_IMAGE_RECORD_FOOT;

  if (MAX (old->len, texts->len) + record <= stream_offset)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NO_SPACE,
               "the new definition doesn't fit into the image, which has room for %" G_GSIZE_FORMAT
               " bytes twice, and %u are needed: restore with the new definition, and save again",
               (stream_offset - VS_IMAGE_RECORD_FOOT) / 2, texts->len);
  return FALSE;
}

static gboolean
rewrite (VsImageFile *file, const VsImageHeader *old, const VsImageHeader *wanted, GError **error)
{
  g_autoptr (VsImageHeader) header = vs_image_header_copy (old);
  g_autoptr (GByteArray) before = NULL;
  g_autoptr (GByteArray) after = NULL;
  /* Of an image that doesn't tell it, nobody knows whether it is as long as it was. */
  gboolean tell_length = old->stream_length != 0;

  g_free (header->xml);
  g_free (header->cookie);
  header->xml = g_strdup (wanted->xml);
  header->cookie = g_strdup (wanted->cookie);
  header->running = wanted->running;
  before = vs_image_header_format_texts (old, tell_length, error);
  after = before != NULL ? vs_image_header_format_texts (header, tell_length, error) : NULL;
  return after != NULL && check_room (before, after, old->stream_offset, error)
         && settle (file, old->stream_offset, error) && replace (file, after, old->stream_offset, error);
}

/**
 * vs_image_rewrite:
 * @fd: a descriptor of the image, readable and writable; its offset doesn't matter, and stays
 * @header: what shall stand there: definition, cookie and whether it runs are taken from it, the rest stays
 * @error: %VMSNAP_ERROR_IMAGE_INCOMPLETE; %VMSNAP_ERROR_NO_SPACE when the texts are too long for the room they have;
 *   and those of vs_image_header_read() and of writing
 *
 * Changes what an image says. Whenever this is interrupted, by a crash of the machine too, the image has either what it
 * had or all of @header; on errors too, and the message says so when it has the latter.
 *
 * Returns: whether it is done, and on the disk
 */
gboolean
vs_image_rewrite (int fd, const VsImageHeader *header, GError **error)
{
  g_autoptr (VsImageFile) file = vs_image_file_borrow (fd, VS_IMAGE_ACCESS_READ | VS_IMAGE_ACCESS_WRITE, error);
  g_autoptr (VsImageHeader) old = file != NULL ? vs_image_header_load (file, error) : NULL;

  return old != NULL && vs_image_header_check_complete (old, error) && rewrite (file, old, header, error);
}

/**
 * vs_image_mark_partial:
 * @fd: a descriptor of the image, writable
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT: this is no image
 *
 * Says in an image that it isn't complete, because the guest whose state it has went on. Nothing but the magic is
 * looked at, and not even that where @fd can't be read: then it must be known to be an image. May be done again.
 *
 * Returns: whether the image says so, and on the disk
 */
gboolean
vs_image_mark_partial (int fd, GError **error)
{
  gboolean blind = (fcntl (fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
  g_autoptr (VsImageFile) file
    = vs_image_file_borrow (fd, VS_IMAGE_ACCESS_WRITE | (blind ? 0 : VS_IMAGE_ACCESS_READ), error);
  guint8 magic[VS_IMAGE_MAGIC_SIZE] = { 0 };
  gsize got;

  if (file == NULL || (!blind && !vs_image_file_read (file, 0, magic, sizeof magic, &got, error)))
    return FALSE;
  if (memcmp (magic, VS_IMAGE_MAGIC_PART, sizeof magic) == 0)
    return TRUE;
  if (blind || memcmp (magic, VS_IMAGE_MAGIC_DONE, sizeof magic) == 0)
    return write_synced (file, 0, (const guint8 *)VS_IMAGE_MAGIC_PART, VS_IMAGE_MAGIC_SIZE, error);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "this is no saved image: it doesn't begin as one does");
  return FALSE;
}
