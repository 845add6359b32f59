/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The header of a saved image, which is libvirt's, version 2:
 *
 *     16 bytes   LibvirtQemudSave, or LibvirtQemudPart until everything is written
 *     19 words   version 2, data length, was running, encoding, cookie offset, 14 unused; in the host's byte order
 *     data       the definition and a NUL; the cookie and a NUL; zeros
 *     the state  QEMU's migration stream, encoded
 *
 * The cookie's offset counts from the end of the words. Our cookie ends with a record of fixed width, the length of the
 * state: a migration stream without its last bytes loads without complaint, so nothing else would tell that it was cut.
 * What is read may come from anybody: every length and offset is checked. Stateless; any thread.
 */
#include "vs-save-image-private.h"

#include "vmsnap-error.h"

#include <string.h>

enum { WORD_VERSION, WORD_DATA_LENGTH, WORD_RUNNING, WORD_ENCODING, WORD_COOKIE_OFFSET, N_WORDS = 19 };

G_STATIC_ASSERT (VS_IMAGE_MAGIC_SIZE + N_WORDS * sizeof (guint32) == VS_IMAGE_HEADER_SIZE);

/* The end of a cookie of ours. */
#define LENGTH_BEFORE "<vmsnap:stream xmlns:vmsnap='" VS_IMAGE_XMLNS "' length='"
#define LENGTH_DIGITS 20
#define LENGTH_BEHIND "'/>"
#define COOKIE_START "<cookie>"
#define COOKIE_END "</cookie>"

/* The state begins at a multiple of it, for mapped-ram and for passing the page cache by. */
#define STREAM_ALIGNMENT 65536
/* What a definition may grow by at least when an image is rewritten. */
#define ROOM_TO_GROW 65536

static gboolean
corrupt (GError **error, const char *what)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "the image's header is broken: %s", what);
  return FALSE;
}

static gboolean
incomplete (GError **error, const char *what)
{
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_INCOMPLETE, "the image isn't complete: %s", what);
  return FALSE;
}

static guint32
get_word (const guint8 *data, guint index)
{
  guint32 word;

  memcpy (&word, data + VS_IMAGE_MAGIC_SIZE + index * sizeof word, sizeof word);
  return word;
}

static void
set_word (guint8 *data, guint index, guint32 word)
{
  memcpy (data + VS_IMAGE_MAGIC_SIZE + index * sizeof word, &word, sizeof word);
}

/**
 * vs_image_header_new:
 * @xml: the domain's definition
 * @cookie: (nullable): `<cookie>…</cookie>`
 * @encoding: how the state shall be written
 * @running: whether the guest shall run when it is restored
 *
 * Returns: (transfer full): a header for an image to be written
 */
VsImageHeader *
vs_image_header_new (const char *xml, const char *cookie, VsImageEncoding encoding, gboolean running)
{
  VsImageHeader *header = g_new0 (VsImageHeader, 1);

  header->xml = g_strdup (xml);
  header->cookie = g_strdup (cookie);
  header->encoding = encoding;
  header->running = running;
  return header;
}

/**
 * vs_image_header_copy:
 * @header: a header
 *
 * Returns: (transfer full): one like it
 */
VsImageHeader *
vs_image_header_copy (const VsImageHeader *header)
{
  VsImageHeader *copy = g_memdup2 (header, sizeof *header);

  copy->xml = g_strdup (header->xml);
  copy->cookie = g_strdup (header->cookie);
  return copy;
}

/**
 * vs_image_header_free:
 * @header: (transfer full): a header
 */
void
vs_image_header_free (VsImageHeader *header)
{
  g_free (header->xml);
  g_free (header->cookie);
  g_free (header);
}

static gboolean
check_magic (const guint8 *data, gsize length, gboolean *sealed, GError **error)
{
  gsize there = MIN (length, VS_IMAGE_MAGIC_SIZE);

  *sealed = memcmp (data, VS_IMAGE_MAGIC_DONE, there) == 0;
  if (!*sealed && memcmp (data, VS_IMAGE_MAGIC_PART, there) != 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT,
                   "this is no saved image: it doesn't begin as one does");
      return FALSE;
    }
  return length >= VS_IMAGE_HEADER_SIZE || incomplete (error, "it ends within its header");
}

static gboolean
check_version (const guint8 *data, GError **error)
{
  guint32 version = get_word (data, WORD_VERSION);

  if (version == VS_IMAGE_FORMAT_VERSION)
    return TRUE;
  if (GUINT32_SWAP_LE_BE (version) == VS_IMAGE_FORMAT_VERSION)
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                 "the image was written on a machine of the other byte order: restore it on one like that");
  else
    g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                 "the image has format version %u, and only version %u can be read", version, VS_IMAGE_FORMAT_VERSION);
  return FALSE;
}

static gboolean
check_words (const guint8 *data, gsize length, GError **error)
{
  guint32 data_length = get_word (data, WORD_DATA_LENGTH);
  guint32 encoding = get_word (data, WORD_ENCODING);

  if (!check_version (data, error))
    return FALSE;
  if (encoding > VS_IMAGE_ENCODING_SPARSE)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "the image's encoding, number %u, is unknown",
                   encoding);
      return FALSE;
    }
  if (data_length == 0 || data_length > VS_IMAGE_MAX_DATA)
    return corrupt (error, "the length of its definition is out of range");
  return data_length <= length - VS_IMAGE_HEADER_SIZE || incomplete (error, "it ends within its definition");
}

/* A text of UTF-8 that ends with a NUL within @length bytes. */
static char *
take_text (const guint8 *data, gsize length, const char *what, GError **error)
{
  const guint8 *end = memchr (data, '\0', length);
  g_autofree char *message = NULL;

  if (end != NULL && end - data <= VS_IMAGE_MAX_TEXT && g_utf8_validate_len ((const char *)data, end - data, NULL))
    return g_strndup ((const char *)data, end - data);
  message = g_strdup_printf ("its %s %s", what,
                             end == NULL                           ? "has no end"
                             : end - data > VS_IMAGE_MAX_TEXT ? "is longer than 1 MiB"
                                                                   : "isn't UTF-8");
  corrupt (error, message);
  return NULL;
}

/* Takes our record out of a cookie that ends with it. */
static gboolean
take_stream_length (VsImageHeader *header, GError **error)
{
  const char *const behind = LENGTH_BEHIND COOKIE_END;
  const gsize record_length = strlen (LENGTH_BEFORE) + LENGTH_DIGITS + strlen (behind);
  gsize length = header->cookie != NULL ? strlen (header->cookie) : 0;
  g_autofree char *digits = NULL;
  char *record;

  if (length < record_length)
    return TRUE;
  record = header->cookie + length - record_length;
  if (!g_str_has_prefix (record, LENGTH_BEFORE) || !g_str_has_suffix (record, behind))
    return TRUE;
  digits = g_strndup (record + strlen (LENGTH_BEFORE), LENGTH_DIGITS);
  if (!g_ascii_string_to_unsigned (digits, 10, 0, G_MAXINT64 - VS_IMAGE_MAX_DATA - VS_IMAGE_HEADER_SIZE,
                                   &header->stream_length, NULL))
    return corrupt (error, "the length of the guest's state is out of range");
  memmove (record, COOKIE_END, sizeof COOKIE_END);
  return TRUE;
}

/* @data: words and texts, those in place or a rewrite's. */
static gboolean
take_texts (VsImageHeader *header, const guint8 *data, gsize length, GError **error)
{
  const guint8 *texts = data + VS_IMAGE_HEADER_SIZE;
  gsize texts_length = length - VS_IMAGE_HEADER_SIZE;
  guint32 cookie_offset = get_word (data, WORD_COOKIE_OFFSET);

  if (cookie_offset >= texts_length)
    return corrupt (error, "the cookie's offset is out of range");
  header->running = get_word (data, WORD_RUNNING) != 0;
  header->xml = take_text (texts, cookie_offset != 0 ? cookie_offset : texts_length, "definition", error);
  if (header->xml == NULL)
    return FALSE;
  if (*header->xml == '\0')
    return corrupt (error, "its definition is empty");
  if (cookie_offset == 0)
    return TRUE;
  header->cookie = take_text (texts + cookie_offset, texts_length - cookie_offset, "cookie", error);
  return header->cookie != NULL && take_stream_length (header, error);
}

/**
 * vs_image_header_parse:
 * @data: (array length=length): the image's beginning
 * @length: how much of it; all that stands before the state, or all there is if that is less
 * @file_size: how long the image's file is, in bytes
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT: this is no image, or a broken one; %VMSNAP_ERROR_IMAGE_INCOMPLETE: it ends
 *   before its state; %VMSNAP_ERROR_NOT_SUPPORTED: another version, byte order or encoding
 *
 * Understands what stands before the state. Where a rewrite was interrupted, that is what was to be written.
 *
 * Returns: (transfer full): the header of an image that may be incomplete: see vs_image_header_check_complete()
 */
VsImageHeader *
vs_image_header_parse (const guint8 *data, gsize length, guint64 file_size, GError **error)
{
  g_autoptr (VsImageHeader) header = g_new0 (VsImageHeader, 1);
  const guint8 *texts;
  gsize texts_length;

  if (length == 0)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_IMAGE_CORRUPT, "this is no saved image: it is empty");
      return NULL;
    }
  if (!check_magic (data, length, &header->sealed, error) || !check_words (data, length, error))
    return NULL;
  header->encoding = get_word (data, WORD_ENCODING);
  header->stream_offset = VS_IMAGE_HEADER_SIZE + get_word (data, WORD_DATA_LENGTH);
  texts = vs_image_record_find (data, header->stream_offset, &texts_length);
  if (texts == NULL)
    {
      texts = data;
      texts_length = header->stream_offset;
    }
  if (!take_texts (header, texts, texts_length, error))
    return NULL;
  header->complete = header->sealed && file_size > header->stream_offset
                     && file_size - header->stream_offset >= header->stream_length;
  return g_steal_pointer (&header);
}

/* As vs_image_header_read(), of a file at hand. */
VsImageHeader *
vs_image_header_load (VsImageFile *file, GError **error)
{
  guint8 start[VS_IMAGE_HEADER_SIZE];
  g_autofree guint8 *data = NULL;
  gsize got, length;

  if (!vs_image_file_read (file, 0, start, sizeof start, &got, error))
    return NULL;
  if (got < sizeof start || get_word (start, WORD_DATA_LENGTH) > VS_IMAGE_MAX_DATA)
    return vs_image_header_parse (start, got, file->size, error);
  length = MIN (VS_IMAGE_HEADER_SIZE + (guint64)get_word (start, WORD_DATA_LENGTH),
                MAX (file->size, VS_IMAGE_HEADER_SIZE));
  data = g_malloc (length);
  if (!vs_image_file_read (file, 0, data, length, &got, error))
    return NULL;
  return vs_image_header_parse (data, got, file->size, error);
}

/**
 * vs_image_header_read:
 * @fd: a descriptor of the image, readable; its offset doesn't matter, and stays
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT: this descriptor can't be read so; %VMSNAP_ERROR_IO; and those of
 *   vs_image_header_parse()
 *
 * Returns: (transfer full): the header of an image that may be incomplete: see vs_image_header_check_complete()
 */
VsImageHeader *
vs_image_header_read (int fd, GError **error)
{
  g_autoptr (VsImageFile) file = vs_image_file_borrow (fd, VS_IMAGE_ACCESS_READ, error);

  return file != NULL ? vs_image_header_load (file, error) : NULL;
}

/**
 * vs_image_header_digest:
 * @header: a header
 *
 * Returns: (transfer full): a word that is another one when the definition, the cookie or the state asked for is
 */
char *
vs_image_header_digest (const VsImageHeader *header)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  g_checksum_update (sum, (const guchar *)header->xml, (gssize)strlen (header->xml) + 1);
  g_checksum_update (sum, (const guchar *)(header->running ? "1" : "0"), 1);
  if (header->cookie != NULL)
    g_checksum_update (sum, (const guchar *)header->cookie, -1);
  return g_strdup (g_checksum_get_string (sum));
}

/**
 * vs_image_header_check_complete:
 * @header: a header that was read
 * @error: %VMSNAP_ERROR_IMAGE_INCOMPLETE
 *
 * Returns: whether the image is whole
 */
gboolean
vs_image_header_check_complete (const VsImageHeader *header, GError **error)
{
  if (header->complete)
    return TRUE;
  if (!header->sealed)
    return incomplete (error, "saving was never finished, or failed; it can't be restored");
  return incomplete (error, "its file is shorter than it was when it was saved; if it is a copy, copy it again");
}

static gboolean
append_cookie (GByteArray *bytes, const char *cookie, guint64 stream_length, gboolean tell_length, GError **error)
{
  g_autofree char *trimmed = NULL;
  g_autofree char *record = NULL;
  gsize length;

  if (!tell_length)
    {
      if (cookie != NULL)
        g_byte_array_append (bytes, (const guint8 *)cookie, strlen (cookie) + 1);
      return TRUE;
    }
  if (cookie == NULL)
    cookie = COOKIE_START COOKIE_END;
  /* libvirt's ends with a line's end. */
  trimmed = g_strchomp (g_strdup (cookie));
  if (!g_str_has_suffix (trimmed, COOKIE_END))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT, "an image's cookie must end with " COOKIE_END);
      return FALSE;
    }
  length = strlen (trimmed) - strlen (COOKIE_END);
  record = g_strdup_printf ("%s%0*" G_GUINT64_FORMAT "%s", LENGTH_BEFORE, LENGTH_DIGITS, stream_length,
                            LENGTH_BEHIND COOKIE_END);
  g_byte_array_append (bytes, (const guint8 *)trimmed, length);
  g_byte_array_append (bytes, (const guint8 *)record, strlen (record) + 1);
  return TRUE;
}

static gboolean
check_texts (const VsImageHeader *header, GError **error)
{
  if (*header->xml != '\0' && strlen (header->xml) <= VS_IMAGE_MAX_TEXT
      && (header->cookie == NULL || strlen (header->cookie) <= VS_IMAGE_MAX_TEXT / 2))
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_ARGUMENT,
               "the definition is empty, or too long for a saved image (1 MiB, with a cookie of up to 512 KiB)");
  return FALSE;
}

/*
 * Magic, words and texts without the padding. The data's length is left 0 when the header has no offset yet.
 * @tell_length: whether the cookie carries the state's length.
 */
GByteArray *
vs_image_header_format_texts (const VsImageHeader *header, gboolean tell_length, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint32 cookie_offset;

  if (!check_texts (header, error))
    return NULL;
  g_byte_array_set_size (bytes, VS_IMAGE_HEADER_SIZE);
  memset (bytes->data, 0, VS_IMAGE_HEADER_SIZE);
  memcpy (bytes->data, header->sealed ? VS_IMAGE_MAGIC_DONE : VS_IMAGE_MAGIC_PART, VS_IMAGE_MAGIC_SIZE);
  g_byte_array_append (bytes, (const guint8 *)header->xml, strlen (header->xml) + 1);
  cookie_offset = bytes->len - VS_IMAGE_HEADER_SIZE;
  if (!append_cookie (bytes, header->cookie, header->stream_length, tell_length, error))
    return NULL;
  set_word (bytes->data, WORD_VERSION, VS_IMAGE_FORMAT_VERSION);
  if (header->stream_offset != 0)
    set_word (bytes->data, WORD_DATA_LENGTH, header->stream_offset - VS_IMAGE_HEADER_SIZE);
  set_word (bytes->data, WORD_RUNNING, header->running);
  set_word (bytes->data, WORD_ENCODING, header->encoding);
  if (tell_length || header->cookie != NULL)
    set_word (bytes->data, WORD_COOKIE_OFFSET, cookie_offset);
  return g_steal_pointer (&bytes);
}

/**
 * vs_image_header_format:
 * @header: a header; its @stream_offset may be 0, and its @sealed says which magic is written
 * @error: %VMSNAP_ERROR_INVALID_ARGUMENT: a text is too long
 *
 * Returns: (transfer full): all that stands before the state; as long as the offset of the state
 */
GBytes *
vs_image_header_format (const VsImageHeader *header, GError **error)
{
  g_autoptr (GByteArray) bytes = vs_image_header_format_texts (header, TRUE, error);
  gsize texts, size;

  if (bytes == NULL)
    return NULL;
  texts = bytes->len;
  /* Room for as much again twice: in place, and in a rewrite's record behind it. */
  size = header->stream_offset;
  if (size == 0)
    size = (3 * texts + ROOM_TO_GROW + STREAM_ALIGNMENT - 1) / STREAM_ALIGNMENT * STREAM_ALIGNMENT;
  g_return_val_if_fail (size >= texts, NULL);
  g_byte_array_set_size (bytes, size);
  memset (bytes->data + texts, 0, size - texts);
  set_word (bytes->data, WORD_DATA_LENGTH, size - VS_IMAGE_HEADER_SIZE);
  return g_byte_array_free_to_bytes (g_steal_pointer (&bytes));
}
