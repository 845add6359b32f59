/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sound cards, and where on the host they are heard. Only cards whose state QEMU can save are read: with any other, no
 * snapshot of a running guest could be taken. Pure; any thread.
 */
#include "vs-devices.h"

#include <string.h>

#include "vs-xml-read.h"

#define MAX_CODECS 15

/**
 * vs_audio_def_read:
 * @problems: where what is wrong goes
 * @node: an `<audio>`
 *
 * Returns: (transfer full): the host's end of sound
 */
VsAudioDef *
vs_audio_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsAudioDef *self = g_new0 (VsAudioDef, 1);

  self->line = (guint) xmlGetLineNo (node);
  self->id = (guint) vs_xml_attr_int_or (problems, node, "id", 1, G_MAXINT32, 1);
  self->is_spice = vs_xml_attr_choice (problems, node, "type", "none spice", 0) == 1;
  return self;
}

void
vs_audio_def_free (VsAudioDef *self)
{
  g_free (self);
}

static gboolean
is_hda (const char *model)
{
  return strcmp (model, "ich6") == 0 || strcmp (model, "ich9") == 0;
}

/* As libvirt has it: a card without codecs gets the one that plays and records. */
static void
read_codecs (VsXmlProblems *problems, xmlNode *sound, VsSoundDef *self)
{
  g_autoptr (GStrvBuilder) codecs = g_strv_builder_new ();
  xmlNode *first = vs_xml_child (sound, "codec");
  guint n = 0;

  if (first != NULL && !is_hda (self->model))
    vs_xml_problems_add (problems, first, "<codec> of a <sound model='%s'> isn't supported; ich6 and ich9 have some",
                         self->model);
  for (xmlNode *node = first; node != NULL; node = vs_xml_next_sibling (node))
    {
      g_autofree char *type = vs_xml_attr_word (problems, node, "type", "duplex micro output");

      if (++n == MAX_CODECS + 1)
        vs_xml_problems_add (problems, node, "one <codec> too many in <sound>; accepted: up to %d", MAX_CODECS);
      g_strv_builder_add (codecs, type != NULL ? type : "duplex");
    }
  if (first == NULL && is_hda (self->model))
    g_strv_builder_add (codecs, "duplex");
  self->codecs = g_strv_builder_end (codecs);
}

static char *
read_model (VsXmlProblems *problems, xmlNode *node)
{
  char *model;

  if (vs_xml_attr_is (node, "model", "usb") || vs_xml_attr_is (node, "model", "virtio"))
    {
      g_autofree char *unsaved = vs_xml_attr (node, "model");

      vs_xml_problems_add (problems, node, "<sound model='%s'> isn't supported: QEMU can't save the state of such a "
                                           "card; accepted: ich9, ich6, ac97, es1370, sb16", unsaved);
      return g_strdup ("ich9");
    }
  model = vs_xml_attr_word (problems, node, "model", "ich9 ich6 ac97 es1370 sb16");
  return model != NULL ? model : g_strdup ("ich9");
}

/**
 * vs_sound_def_read:
 * @problems: where what is wrong goes
 * @node: a `<sound>`
 *
 * Returns: (transfer full): the sound card
 */
VsSoundDef *
vs_sound_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsSoundDef *self = g_new0 (VsSoundDef, 1);

  self->line = (guint) xmlGetLineNo (node);
  self->model = read_model (problems, node);
  read_codecs (problems, node, self);
  self->audio = (guint) vs_xml_attr_int_or (problems, vs_xml_child (node, "audio"), "id", 1, G_MAXINT32, 0);
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_sound_def_free (VsSoundDef *self)
{
  g_free (self->model);
  g_strfreev (self->codecs);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}
