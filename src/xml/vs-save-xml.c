/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The two texts of a saved image: the definition of the guest in it; and the cookie, which tells besides whether the
 * domain was persistent, and with which definition it would have started next. libvirt passes over what isn't its own
 * there, and so do we. Pure; any thread.
 */
#include "vs-save-xml.h"

#include <string.h>

#include "vmsnap-error.h"
#include "vs-devices.h"
#include "vs-xml-read.h"

#define ROOT "cookie"
#define ELEMENT "domain"
#define INACTIVE "inactiveDomain"

/**
 * vs_save_definition_parse:
 * @text: the definition in an image, whoever wrote it
 * @flags: %VS_DOMAIN_DEF_FOREIGN_IMAGE unless vs_save_cookie_is_ours()
 * @error: %VMSNAP_ERROR_IMAGE_CORRUPT: it isn't XML of a domain; %VMSNAP_ERROR_NOT_SUPPORTED: it is, but can't be run
 *   here, with a line for each thing that is in the way
 *
 * Returns: (transfer full) (nullable): the definition
 */
VsDomainDef *
vs_save_definition_parse (const char *text, VsDomainDefFlags flags, GError **error)
{
  g_autoptr (VsXmlProblems) problems = vs_xml_problems_new ();
  g_autoptr (GError) local = NULL;
  xmlDoc *doc = vs_xml_parse (text, strlen (text), "domain", &vs_xml_domain_limits, problems);
  VsDomainDef *def = doc != NULL ? vs_domain_def_new_from_doc (doc, flags, problems) : NULL;

  if (def != NULL)
    return def;
  vs_xml_problems_to_error (problems, "definition in the saved image", &local);
  g_set_error_literal (error, VMSNAP_ERROR, doc != NULL ? VMSNAP_ERROR_NOT_SUPPORTED : VMSNAP_ERROR_IMAGE_CORRUPT,
                       local->message);
  return NULL;
}

/**
 * vs_save_definition_read_names:
 * @text: the definition in an image, whoever wrote it
 * @name: (out) (transfer full) (nullable): the domain's name
 * @uuid: (out) (transfer full) (nullable): its uuid, in lower case
 *
 * For definitions that can't be run here, too. Nothing but these two is looked at.
 *
 * Returns: whether it is XML of a domain that has both
 */
gboolean
vs_save_definition_read_names (const char *text, char **name, char **uuid)
{
  g_autoptr (VsXmlProblems) problems = vs_xml_problems_new ();
  xmlDoc *doc = vs_xml_parse (text, strlen (text), "domain", &vs_xml_domain_limits, problems);
  g_autofree char *written = doc != NULL ? vs_xml_child_text (xmlDocGetRootElement (doc), "uuid") : NULL;

  *name = doc != NULL ? vs_xml_child_text (xmlDocGetRootElement (doc), "name") : NULL;
  *uuid = written != NULL && g_uuid_string_is_valid (written) ? g_ascii_strdown (written, -1) : NULL;
  g_clear_pointer (&doc, xmlFreeDoc);
  return *name != NULL && **name != '\0' && *uuid != NULL;
}

static void
add_inactive (xmlNode *node, VsDomainDef *def)
{
  xmlNode *copy = xmlDocCopyNode (xmlDocGetRootElement (def->doc), node->doc, 1);

  xmlNodeSetName (copy, VS_XML (INACTIVE));
  xmlAddChild (node, copy);
}

/**
 * vs_save_cookie_format:
 * @persistent: whether the domain is persistent
 * @inactive_def: (nullable): its definition for the next start, where that isn't the guest's
 * @mark: a text that occurs in no other image
 *
 * Returns: (transfer full): the element `<cookie>`, nothing behind it
 */
char *
vs_save_cookie_format (gboolean persistent, VsDomainDef *inactive_def, const char *mark)
{
  xmlDoc *doc = xmlNewDoc (VS_XML ("1.0"));
  xmlNode *root = xmlNewDocNode (doc, NULL, VS_XML (ROOT), NULL);
  xmlNode *node = xmlNewChild (root, NULL, VS_XML (ELEMENT), NULL);
  char *text;

  xmlDocSetRootElement (doc, root);
  xmlSetNs (node, xmlNewNs (node, VS_XML (VS_SAVE_XMLNS), VS_XML ("vmsnap")));
  vs_xml_set_attr (node, "persistent", persistent ? "yes" : "no");
  vs_xml_set_attr (node, "mark", mark);
  if (inactive_def != NULL)
    add_inactive (node, inactive_def);
  text = vs_xml_format (doc);
  xmlFreeDoc (doc);
  return g_strchomp (text);
}

static xmlNode *
find_ours (xmlNode *root)
{
  for (xmlNode *node = root->children; node != NULL; node = node->next)
    if (node->type == XML_ELEMENT_NODE && node->ns != NULL
        && g_strcmp0 ((const char *) node->ns->href, VS_SAVE_XMLNS) == 0
        && strcmp ((const char *) node->name, ELEMENT) == 0)
      return node;
  return NULL;
}

static VsDomainDef *
read_inactive (xmlNode *node, VsXmlProblems *problems)
{
  xmlNode *inactive = vs_xml_child (node, INACTIVE);
  xmlDoc *doc;
  xmlNode *copy;

  if (inactive == NULL)
    return NULL;
  doc = xmlNewDoc (VS_XML ("1.0"));
  copy = xmlDocCopyNode (inactive, doc, 1);
  xmlNodeSetName (copy, VS_XML ("domain"));
  xmlDocSetRootElement (doc, copy);
  return vs_domain_def_new_from_doc (doc, VS_DOMAIN_DEF_NONE, problems);
}

/**
 * vs_save_cookie_is_ours:
 * @text: (nullable): the element `<cookie>` of an image, whoever wrote it
 *
 * Returns: whether this service saved the guest; otherwise it was libvirt
 */
gboolean
vs_save_cookie_is_ours (const char *text)
{
  g_autoptr (VsXmlProblems) problems = vs_xml_problems_new ();
  xmlDoc *doc = text != NULL ? vs_xml_parse (text, strlen (text), ROOT, &vs_xml_snapshot_limits, problems) : NULL;
  gboolean ours = doc != NULL && find_ours (xmlDocGetRootElement (doc)) != NULL;

  g_clear_pointer (&doc, xmlFreeDoc);
  return ours;
}

/**
 * vs_save_cookie_parse:
 * @text: (nullable): the element `<cookie>` of an image, whoever wrote it
 * @persistent: (out): %FALSE when it doesn't tell
 * @inactive_def: (out) (transfer full) (nullable): %NULL when it doesn't tell
 * @error: %VMSNAP_ERROR_INVALID_XML
 *
 * Returns: whether it could be read
 */
gboolean
vs_save_cookie_parse (const char *text, gboolean *persistent, VsDomainDef **inactive_def, GError **error)
{
  g_autoptr (VsXmlProblems) problems = vs_xml_problems_new ();
  g_autoptr (VsDomainDef) def = NULL;
  xmlDoc *doc;
  xmlNode *node;

  *persistent = FALSE;
  *inactive_def = NULL;
  if (text == NULL)
    return TRUE;
  doc = vs_xml_parse (text, strlen (text), ROOT, &vs_xml_snapshot_limits, problems);
  node = doc != NULL ? find_ours (xmlDocGetRootElement (doc)) : NULL;
  if (node != NULL)
    {
      *persistent = vs_xml_attr_is (node, "persistent", "yes");
      def = read_inactive (node, problems);
    }
  g_clear_pointer (&doc, xmlFreeDoc);
  if (!vs_xml_problems_to_error (problems, "cookie of the saved image", error))
    return FALSE;
  *inactive_def = g_steal_pointer (&def);
  return TRUE;
}
