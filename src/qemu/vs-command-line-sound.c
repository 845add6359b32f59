/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sound cards, and where on the host they are heard. A card's saved state doesn't depend on that: a guest with SPICE's
 * sound goes on without. Pure; any thread.
 */
#include "vs-command-line-private.h"

static guint
default_audio (VsDomainDef *def)
{
  return def->audios->len > 0 ? ((const VsAudioDef *)g_ptr_array_index (def->audios, 0))->id : 1;
}

static void
add_audio (VsCommandLine *line, guint id, gboolean is_spice)
{
  VsOption *audio = vs_option_new (is_spice ? "spice" : "none");

  vs_option_add (audio, "id", "audio%u", id);
  vs_command_line_take (line, "-audiodev", audio);
}

static void
add_audios (VsCommandLine *line)
{
  VsDomainDef *def = line->def;

  if (def->audios->len == 0)
    add_audio (line, default_audio (def), vs_domain_def_has_spice (def));
  for (guint i = 0; i < def->audios->len; i++)
    {
      const VsAudioDef *audio = g_ptr_array_index (def->audios, i);

      add_audio (line, audio->id, audio->is_spice);
    }
}

static const struct
{
  const char *model;
  const char *device;
  gboolean is_pci;
} cards[] = {
  { "ich6", "intel-hda", TRUE }, { "ich9", "ich9-intel-hda", TRUE }, { "ac97", "AC97", TRUE },
  { "es1370", "ES1370", TRUE },  { "sb16", "sb16", FALSE },
};

static void
add_codecs (VsCommandLine *line, const VsSoundDef *def, guint index, guint audio)
{
  for (guint i = 0; def->codecs[i] != NULL; i++)
    {
      g_autofree char *name = g_strconcat ("hda-", def->codecs[i], NULL);
      VsOption *codec = vs_option_new (name);

      vs_option_add (codec, "id", "sound%u-codec%u", index, i);
      vs_option_add (codec, "bus", "sound%u.0", index);
      vs_option_add (codec, "cad", "%u", i);
      vs_option_add (codec, "audiodev", "audio%u", audio);
      vs_command_line_take (line, "-device", codec);
    }
}

static gboolean
add_sound (VsCommandLine *line, const VsSoundDef *def, guint index, GError **error)
{
  guint audio = def->audio > 0 ? def->audio : default_audio (line->def);
  gsize card = 0;
  VsOption *device;

  /* The definition has no other models. */
  while (card < G_N_ELEMENTS (cards) - 1 && !g_str_equal (cards[card].model, def->model))
    card++;
  device = vs_option_new (cards[card].device);
  vs_option_add (device, "id", "sound%u", index);
  /* Of those with codecs, it is these that play. */
  if (def->codecs[0] == NULL)
    vs_option_add (device, "audiodev", "audio%u", audio);
  if (cards[card].is_pci && !vs_command_line_place (line, device, &def->address, VS_SLOT_CONVENTIONAL, error))
    {
      g_string_free (device, TRUE);
      return FALSE;
    }
  vs_command_line_take (line, "-device", device);
  add_codecs (line, def, index, audio);
  return TRUE;
}

gboolean
vs_command_line_add_sounds (VsCommandLine *line, GError **error)
{
  if (line->def->sounds->len > 0)
    add_audios (line);
  for (guint i = 0; i < line->def->sounds->len; i++)
    if (!add_sound (line, g_ptr_array_index (line->def->sounds, i), i, error))
      return FALSE;
  return TRUE;
}
