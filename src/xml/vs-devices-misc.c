/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Video, input, memory balloon, randomness, TPM and watchdog. Pure; any thread.
 */
#include "vs-devices.h"

#include <string.h>

#include "vs-xml-read.h"

#define MAX_VIDEO_KIB (4 * 1024 * 1024)

/**
 * vs_video_def_read:
 * @problems: where what is wrong goes
 * @node: a `<video>`
 *
 * Returns: (transfer full): the video card
 */
VsVideoDef *
vs_video_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsVideoDef *self = g_new0 (VsVideoDef, 1);
  xmlNode *model = vs_xml_child (node, "model");

  self->line = (guint) xmlGetLineNo (node);
  self->model = vs_xml_attr_word (problems, model, "type", "virtio qxl vga cirrus bochs ramfb none");
  if (self->model == NULL)
    self->model = g_strdup ("none");
  self->ram = (guint64) vs_xml_attr_int_or (problems, model, "ram", 1, MAX_VIDEO_KIB, 0);
  self->vram = (guint64) vs_xml_attr_int_or (problems, model, "vram", 1, MAX_VIDEO_KIB, 0);
  self->vgamem = (guint64) vs_xml_attr_int_or (problems, model, "vgamem", 1, MAX_VIDEO_KIB, 0);
  self->heads = (guint) vs_xml_attr_int_or (problems, model, "heads", 1, 16, 0);
  self->primary = vs_xml_attr_tristate (problems, model, "primary") == VS_TRISTATE_ON;
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_video_def_free (VsVideoDef *self)
{
  g_free (self->model);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}

/**
 * vs_input_def_read:
 * @problems: where what is wrong goes
 * @node: an `<input>`
 *
 * Returns: (transfer full): the input device
 */
VsInputDef *
vs_input_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsInputDef *self = g_new0 (VsInputDef, 1);

  self->line = (guint) xmlGetLineNo (node);
  self->type = vs_xml_attr_word (problems, node, "type", "tablet mouse keyboard");
  self->bus = vs_xml_attr_word (problems, node, "bus", "usb ps2 virtio");
  if (self->type == NULL)
    self->type = g_strdup ("tablet");
  if (self->bus == NULL)
    self->bus = g_strdup (strcmp (self->type, "tablet") == 0 ? "usb" : "ps2");
  if (strcmp (self->type, "tablet") == 0 && strcmp (self->bus, "ps2") == 0)
    vs_xml_problems_add (problems, node, "a tablet can't be on bus='ps2'; accepted: usb, virtio");
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_input_def_free (VsInputDef *self)
{
  g_free (self->type);
  g_free (self->bus);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}

/**
 * vs_memballoon_def_read:
 * @problems: where what is wrong goes
 * @node: a `<memballoon>`
 *
 * Returns: (transfer full) (nullable): the balloon; %NULL for `model='none'`
 */
VsMemballoonDef *
vs_memballoon_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsMemballoonDef *self;

  if (vs_xml_attr_choice (problems, node, "model", "virtio none", 0) == 1)
    return NULL;
  self = g_new0 (VsMemballoonDef, 1);
  self->line = (guint) xmlGetLineNo (node);
  self->autodeflate = vs_xml_attr_tristate (problems, node, "autodeflate");
  self->free_page_reporting = vs_xml_attr_tristate (problems, node, "freePageReporting");
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_memballoon_def_free (VsMemballoonDef *self)
{
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}

static void
read_rng_backend (VsXmlProblems *problems, xmlNode *rng, VsRngDef *self)
{
  xmlNode *node = vs_xml_child (rng, "backend");
  gboolean builtin = vs_xml_attr_choice (problems, node, "model", "random builtin", 0) == 1;
  static const char *const devices[] = { "/dev/urandom", "/dev/random", "/dev/hwrng", NULL };

  if (node == NULL || builtin)
    return;
  self->path = g_strstrip (vs_xml_text (node));
  if (self->path[0] == '\0')
    {
      g_free (self->path);
      self->path = g_strdup ("/dev/urandom");
    }
  if (!g_strv_contains (devices, self->path))
    vs_xml_problems_add (problems, node, "<backend>%.80s</backend> isn't supported; accepted: /dev/urandom, "
                                         "/dev/random, /dev/hwrng", self->path);
}

/**
 * vs_rng_def_read:
 * @problems: where what is wrong goes
 * @node: an `<rng>`
 *
 * Returns: (transfer full): the source of randomness
 */
VsRngDef *
vs_rng_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsRngDef *self = g_new0 (VsRngDef, 1);
  xmlNode *rate = vs_xml_child (node, "rate");

  self->line = (guint) xmlGetLineNo (node);
  vs_xml_attr_choice (problems, node, "model", "virtio", 0);
  read_rng_backend (problems, node, self);
  self->rate_bytes = (guint64) vs_xml_attr_int_or (problems, rate, "bytes", 1, G_MAXUINT32, 0);
  self->rate_period_ms = (guint64) vs_xml_attr_int_or (problems, rate, "period", 1, G_MAXUINT32, rate ? 1000 : 0);
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_rng_def_free (VsRngDef *self)
{
  g_free (self->path);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}

/**
 * vs_tpm_def_read:
 * @problems: where what is wrong goes
 * @node: a `<tpm>`
 *
 * Returns: (transfer full): the TPM
 */
VsTpmDef *
vs_tpm_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsTpmDef *self = g_new0 (VsTpmDef, 1);
  xmlNode *backend = vs_xml_child (node, "backend");

  self->line = (guint) xmlGetLineNo (node);
  vs_xml_attr_choice (problems, backend, "type", "emulator", 0);
  self->model = vs_xml_attr_word (problems, node, "model", "tpm-tis tpm-crb");
  if (self->model == NULL)
    self->model = g_strdup ("tpm-tis");
  self->version = vs_xml_attr_word (problems, backend, "version", "1.2 2.0");
  if (self->version == NULL)
    self->version = g_strdup ("2.0");
  if (strcmp (self->model, "tpm-crb") == 0 && strcmp (self->version, "1.2") == 0)
    vs_xml_problems_add (problems, node, "<tpm model='tpm-crb'> can't be of version 1.2; accepted: version='2.0'");
  self->persistent_state = vs_xml_attr_tristate (problems, backend, "persistent_state") == VS_TRISTATE_ON;
  self->alias = vs_read_alias (node);
  return self;
}

void
vs_tpm_def_free (VsTpmDef *self)
{
  g_free (self->model);
  g_free (self->version);
  g_free (self->alias);
  g_free (self);
}

/**
 * vs_watchdog_def_read:
 * @problems: where what is wrong goes
 * @node: a `<watchdog>`
 *
 * Returns: (transfer full): the watchdog
 */
VsWatchdogDef *
vs_watchdog_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsWatchdogDef *self = g_new0 (VsWatchdogDef, 1);

  self->line = (guint) xmlGetLineNo (node);
  self->model = vs_xml_attr_word (problems, node, "model", "itco i6300esb");
  if (self->model == NULL)
    self->model = g_strdup ("i6300esb");
  self->action = vs_xml_attr_word (problems, node, "action", "reset shutdown poweroff pause none inject-nmi");
  if (self->action == NULL)
    self->action = g_strdup ("reset");
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_watchdog_def_free (VsWatchdogDef *self)
{
  g_free (self->model);
  g_free (self->action);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}
