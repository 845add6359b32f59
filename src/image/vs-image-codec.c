/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The encodings of a saved image: their names, and the programs that do them. Stateless; any thread.
 */
#include "vs-image-codec.h"

#include "vmsnap-error.h"

typedef struct
{
  const char *nick;
  const char *program; /* its Debian package and the program are called alike, but for xz */
  const char *package;
  const char *encode; /* words */
  const char *decode;
} Codec;

/* The guest stands still while its memory is compressed: the programs shall be quick, and take every processor. */
static const Codec codecs[] = {
  [VS_IMAGE_ENCODING_RAW] = { "raw", NULL, NULL, NULL, NULL },
  [VS_IMAGE_ENCODING_GZIP] = { "gzip", "gzip", "gzip", "-c -1", "-dc" },
  [VS_IMAGE_ENCODING_BZIP2] = { "bzip2", "bzip2", "bzip2", "-c -1", "-dc" },
  [VS_IMAGE_ENCODING_XZ] = { "xz", "xz", "xz-utils", "-c -1 -T0", "-dc" },
  [VS_IMAGE_ENCODING_LZOP] = { "lzop", "lzop", "lzop", "-c", "-dc" },
  [VS_IMAGE_ENCODING_ZSTD] = { "zstd", "zstd", "zstd", "-q -c -T0", "-q -dc" },
  [VS_IMAGE_ENCODING_SPARSE] = { "sparse", NULL, NULL, NULL, NULL },
};

/**
 * vs_image_encoding_to_nick:
 * @encoding: an encoding
 *
 * Returns: its name on the bus
 */
const char *
vs_image_encoding_to_nick (VsImageEncoding encoding)
{
  return codecs[encoding].nick;
}

/**
 * vs_image_encoding_from_nick:
 * @nick: a name
 * @encoding: (out): what it names
 *
 * Returns: whether there is such an encoding
 */
gboolean
vs_image_encoding_from_nick (const char *nick, VsImageEncoding *encoding)
{
  for (guint i = 0; i < G_N_ELEMENTS (codecs); i++)
    if (g_str_equal (codecs[i].nick, nick))
      {
        *encoding = (VsImageEncoding)i;
        return TRUE;
      }
  return FALSE;
}

/**
 * vs_image_encoding_has_program:
 * @encoding: an encoding
 *
 * Returns: whether the stream goes through a program
 */
gboolean
vs_image_encoding_has_program (VsImageEncoding encoding)
{
  return codecs[encoding].program != NULL;
}

/**
 * vs_image_codec_find:
 * @encoding: one with a program
 * @decode: whether to decode
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED when the program isn't installed; names the package
 *
 * Returns: (transfer full) (array zero-terminated=1): the command that turns its input into its output
 */
char **
vs_image_codec_find (VsImageEncoding encoding, gboolean decode, GError **error)
{
  const Codec *codec = &codecs[encoding];
  g_autoptr (GStrvBuilder) command = g_strv_builder_new ();
  g_auto (GStrv) words = NULL;
  g_autofree char *path = NULL;

  g_return_val_if_fail (codec->program != NULL, NULL);
  path = g_find_program_in_path (codec->program);
  if (path == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
                   "the program %s, which %s images with the encoding \"%s\", isn't installed: install the package %s",
                   codec->program, decode ? "reads" : "writes", codec->nick, codec->package);
      return NULL;
    }
  words = g_strsplit (decode ? codec->decode : codec->encode, " ", -1);
  g_strv_builder_add (command, path);
  g_strv_builder_addv (command, (const char **)words);
  return g_strv_builder_end (command);
}
