/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain's definition from its text, and back. The tree is kept, so that what only decorates survives; the typed
 * view beside it is read from the tree once. Immutable, so any thread may read.
 */
#include "vs-domain-def.h"

#include <string.h>

#include "vmsnap-names.h"
#include "vs-devices.h"
#include "vs-xml-read.h"
#include "vs-xml-rules.h"
#include "vs-xml-schema.h"

static void
clear (gpointer data)
{
  VsDomainDef *self = data;

  g_free (self->name);
  g_free (self->uuid);
  g_free (self->title);
  g_free (self->description);
  vs_domain_def_clear_machine (self);
  vs_domain_def_clear_cpu (self);
  vs_domain_def_clear_devices (self);
  g_clear_pointer (&self->doc, xmlFreeDoc);
}

/**
 * vs_domain_def_ref:
 * @self: a definition
 *
 * Returns: (transfer full): @self
 */
VsDomainDef *
vs_domain_def_ref (VsDomainDef *self)
{
  return g_atomic_rc_box_acquire (self);
}

/**
 * vs_domain_def_unref:
 * @self: (transfer full): a definition
 */
void
vs_domain_def_unref (VsDomainDef *self)
{
  g_atomic_rc_box_release_full (self, clear);
}

static void
read_name (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  xmlNode *node = vs_xml_child (root, "name");

  self->name = vs_xml_text (node);
  if (self->name != NULL && !vmsnap_name_is_valid (self->name))
    vs_xml_problems_add (problems, node, "<name> isn't usable; accepted: 1 to %d bytes without '/' and control "
                                         "characters, and neither '.' nor '..'", VMSNAP_NAME_MAX);
}

/* In the written form with dashes, in lower case. */
static char *
parse_uuid (const char *text)
{
  g_autoptr (GString) uuid = g_string_new (NULL);

  for (const char *p = text; *p != '\0' && uuid->len <= 36; p++)
    {
      if (*p == '-')
        continue;
      if (!g_ascii_isxdigit (*p))
        return NULL;
      if (uuid->len == 8 || uuid->len == 13 || uuid->len == 18 || uuid->len == 23)
        g_string_append_c (uuid, '-');
      g_string_append_c (uuid, g_ascii_tolower (*p));
    }
  return uuid->len == 36 && g_uuid_string_is_valid (uuid->str) ? g_strdup (uuid->str) : NULL;
}

static void
read_uuid (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  xmlNode *node = vs_xml_child (root, "uuid");
  g_autofree char *text = vs_xml_text (node);

  self->uuid_is_made = text == NULL;
  if (text == NULL)
    self->uuid = g_uuid_string_random ();
  else
    self->uuid = parse_uuid (g_strstrip (text));

  if (self->uuid != NULL)
    vs_xml_set_text (vs_xml_ensure_child (root, "uuid", "name"), self->uuid);
  else
    vs_xml_problems_add (problems, node, "<uuid>%.80s</uuid> isn't usable; accepted: 32 hexadecimal digits, as in "
                                         "123e4567-e89b-12d3-a456-426614174000", text);
}

static void
read_words (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  self->title = vs_xml_child_text (root, "title");
  self->description = vs_xml_child_text (root, "description");
  if (self->title != NULL && strchr (self->title, '\n') != NULL)
    vs_xml_problems_add (problems, vs_xml_child (root, "title"), "<title> has several lines; accepted: one");
}

/**
 * vs_domain_def_new_from_doc: (skip)
 * @doc: (transfer full): a tree that vs_xml_parse() made
 * @flags: how strictly to look
 * @problems: gets what is wrong with it
 *
 * Returns: (transfer full) (nullable): the definition
 */
VsDomainDef *
vs_domain_def_new_from_doc (xmlDoc *doc, VsDomainDefFlags flags, VsXmlProblems *problems)
{
  g_autoptr (VsDomainDef) self = g_atomic_rc_box_new0 (VsDomainDef);
  guint before = vs_xml_problems_get_count (problems);
  xmlNode *root = xmlDocGetRootElement (doc);

  self->doc = doc;
  vs_xml_rules_check (root, "domain", problems);
  /* The number of a run, not of the domain. */
  xmlUnsetProp (root, VS_XML ("id"));
  if ((flags & VS_DOMAIN_DEF_FOREIGN_IMAGE) != 0)
    vs_domain_foreign_complete (root);
  read_name (self, root, problems);
  read_uuid (self, root, problems);
  read_words (self, root, problems);
  vs_domain_def_read_machine (self, root, problems);
  vs_domain_def_read_cpu (self, root, problems);
  vs_domain_def_read_devices (self, vs_xml_child (root, "devices"), problems);

  vs_xml_check_written_size (doc, &vs_xml_domain_limits, problems);
  /* The schema's words are poorer than ours, so it speaks only when we have nothing to say. */
  if ((flags & VS_DOMAIN_DEF_VALIDATE) != 0 && vs_xml_problems_get_count (problems) == before)
    vs_xml_schema_check (VS_XML_SCHEMA_DOMAIN, doc, problems);
  return vs_xml_problems_get_count (problems) == before ? g_steal_pointer (&self) : NULL;
}

/**
 * vs_domain_def_parse_data:
 * @data: libvirt's domain XML, in UTF-8
 * @length: its length in bytes
 * @flags: how strictly to look
 * @error: %VMSNAP_ERROR_INVALID_XML; its message has a line for each thing that is wrong or isn't supported, with the
 *   number of the line in the text
 *
 * A uuid and MAC addresses are made where they are missing.
 *
 * Returns: (transfer full) (nullable): the definition
 */
VsDomainDef *
vs_domain_def_parse_data (const char *data, gsize length, VsDomainDefFlags flags, GError **error)
{
  g_autoptr (VsXmlProblems) problems = vs_xml_problems_new ();
  xmlDoc *doc = vs_xml_parse (data, length, "domain", &vs_xml_domain_limits, problems);
  VsDomainDef *self = doc != NULL ? vs_domain_def_new_from_doc (doc, flags, problems) : NULL;

  vs_xml_problems_to_error (problems, "domain definition", error);
  return self;
}

/**
 * vs_domain_def_parse:
 * @xml: libvirt's domain XML, in UTF-8
 * @flags: how strictly to look
 * @error: as vs_domain_def_parse_data()
 *
 * Returns: (transfer full) (nullable): the definition
 */
VsDomainDef *
vs_domain_def_parse (const char *xml, VsDomainDefFlags flags, GError **error)
{
  return vs_domain_def_parse_data (xml, strlen (xml), flags, error);
}

/**
 * vs_domain_def_format:
 * @self: a definition
 *
 * Returns: (transfer full): its XML, indented; parsing it gives the same definition, and the same text again
 */
char *
vs_domain_def_format (VsDomainDef *self)
{
  return vs_xml_format (self->doc);
}

/**
 * vs_domain_def_find_disk:
 * @self: a definition
 * @target: a disk's target, `vda`
 *
 * Returns: (transfer none) (nullable): that disk
 */
const VsDiskDef *
vs_domain_def_find_disk (VsDomainDef *self, const char *target)
{
  for (guint i = 0; i < self->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (self->disks, i);

      if (strcmp (disk->target, target) == 0)
        return disk;
    }
  return NULL;
}

/**
 * vs_domain_def_has_spice:
 * @self: a definition
 *
 * Returns: whether SPICE clients can come
 */
gboolean
vs_domain_def_has_spice (VsDomainDef *self)
{
  for (guint i = 0; i < self->graphics->len; i++)
    if (((const VsGraphicsDef *) g_ptr_array_index (self->graphics, i))->type == VS_GRAPHICS_SPICE)
      return TRUE;
  return FALSE;
}

/**
 * vs_domain_def_find_guest_agent:
 * @self: a definition
 *
 * Returns: (transfer none) (nullable): the channel of QEMU's guest agent, wherever its host's end is
 */
const VsChardevDef *
vs_domain_def_find_guest_agent (VsDomainDef *self)
{
  for (guint i = 0; i < self->channels->len; i++)
    {
      const VsChardevDef *channel = g_ptr_array_index (self->channels, i);

      if (g_strcmp0 (channel->target_name, "org.qemu.guest_agent.0") == 0)
        return channel;
    }
  return NULL;
}
