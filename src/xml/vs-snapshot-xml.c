/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A snapshot's definition from libvirt's `<domainsnapshot>`, and back. What libvirt has no place for are facts in our
 * own namespace inside `<cookie>`. Pure; any thread.
 */
#include "vs-snapshot-def.h"

#include <string.h>

#include "vmsnap-names.h"
#include "vs-devices.h"
#include "vs-xml-read.h"
#include "vs-xml-rules.h"
#include "vs-xml-schema.h"

#define MAX_DISKS 512
#define MAX_FACTS 64
#define MAX_FACT_BYTES 4096

static char *
read_name (xmlNode *node, VsXmlProblems *problems)
{
  char *name = vs_xml_text (node);

  if (name != NULL && !vmsnap_name_is_valid (name))
    vs_xml_problems_add (problems, node, "<name> isn't usable; accepted: 1 to %d bytes without '/' and control "
                                         "characters, and neither '.' nor '..'", VMSNAP_NAME_MAX);
  return name;
}

static char *
read_description (xmlNode *node, VsXmlProblems *problems)
{
  char *description = vs_xml_text (node);

  if (description != NULL && !vs_snapshot_description_is_valid (description))
    vs_xml_problems_add (problems, node, "<description> is too long; accepted: up to %d bytes",
                         VS_SNAPSHOT_DESCRIPTION_MAX);
  return description;
}

static void
read_state (VsSnapshotDef *self, xmlNode *root, VsXmlProblems *problems)
{
  static const VmSnapSnapshotState states[] = {
    VMSNAP_SNAPSHOT_STATE_RUNNING, VMSNAP_SNAPSHOT_STATE_RUNNING, VMSNAP_SNAPSHOT_STATE_PAUSED,
    VMSNAP_SNAPSHOT_STATE_SHUTOFF, VMSNAP_SNAPSHOT_STATE_SHUTOFF, VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT,
  };
  xmlNode *node = vs_xml_child (root, "state");
  int found = vs_xml_text_choice (problems, node, "running blocked paused shutoff crashed disk-snapshot", -1);
  guint64 seconds;

  self->has_state = found >= 0;
  if (found >= 0)
    self->state = states[found];
  if (vs_xml_text_uint (problems, vs_xml_child (root, "creationTime"), 0, G_MAXUINT64 / G_USEC_PER_SEC - 1, &seconds))
    self->creation_time = seconds * G_USEC_PER_SEC;
}

static VmSnapLocation
read_location (VsXmlProblems *problems, xmlNode *node, gboolean *said)
{
  static const VmSnapLocation locations[] = {
    VMSNAP_LOCATION_NONE, VMSNAP_LOCATION_NONE, VMSNAP_LOCATION_INTERNAL, VMSNAP_LOCATION_EXTERNAL,
  };
  int found = vs_xml_attr_choice (problems, node, "snapshot", "no none internal external", -1);

  *said = found >= 0;
  return found >= 0 ? locations[found] : VMSNAP_LOCATION_NONE;
}

static void
read_memory (VsSnapshotDef *self, xmlNode *root, VsXmlProblems *problems)
{
  xmlNode *node = vs_xml_child (root, "memory");

  if (node == NULL)
    return;
  self->memory = read_location (problems, node, &self->has_memory);
  self->memory_path = vs_xml_attr_path (problems, node, "file");
  if (self->memory_path != NULL && !self->has_memory)
    {
      self->has_memory = TRUE;
      self->memory = VMSNAP_LOCATION_EXTERNAL;
    }
  if (self->memory_path != NULL && self->memory != VMSNAP_LOCATION_EXTERNAL)
    vs_xml_problems_add (problems, node, "<memory file=…> needs snapshot='external'");
}

static void
read_disk (VsSnapshotDef *self, xmlNode *node, VsXmlProblems *problems)
{
  xmlNode *source = vs_xml_child (node, "source");
  g_autofree char *name = vs_xml_attr (node, "name");
  g_autofree char *format = vs_xml_attr_word (problems, vs_xml_child (node, "driver"), "type", "raw qcow2");
  gboolean is_block = vs_xml_attr_choice (problems, node, "type", "file block", 0) == 1;
  g_autofree char *path = vs_xml_attr_path (problems, source, is_block ? "dev" : "file");
  gboolean said;
  VmSnapLocation location = read_location (problems, node, &said);
  VsSnapshotDiskDef *disk;

  vs_xml_require (problems, node, g_strcmp0 (name, "") != 0, "name=…");
  if (name != NULL && vs_snapshot_def_find_disk (self, name) != NULL)
    vs_xml_problems_add (problems, node, "the disk '%.80s' is there twice", name);
  if (source != NULL && path == NULL && xmlHasProp (source, VS_XML (is_block ? "file" : "dev")))
    vs_xml_problems_add (problems, source, "<source> of this disk needs '%s'", is_block ? "dev" : "file");
  if (path != NULL && said && location != VMSNAP_LOCATION_EXTERNAL)
    vs_xml_problems_add (problems, node, "<source> of a disk needs snapshot='external'");

  disk = vs_snapshot_def_add_disk (self, name, path != NULL ? VMSNAP_LOCATION_EXTERNAL : location, path, format);
  disk->has_snapshot = said || path != NULL;
  disk->is_block = is_block;
}

static void
read_disks (VsSnapshotDef *self, xmlNode *disks, VsXmlProblems *problems)
{
  for (xmlNode *disk = vs_xml_child (disks, "disk"); disk != NULL; disk = vs_xml_next_sibling (disk))
    {
      if (self->disks->len >= MAX_DISKS)
        {
          vs_xml_problems_add (problems, disk, "there are more than %d disks", MAX_DISKS);
          return;
        }
      read_disk (self, disk, problems);
    }
}

/* The definition at the time. An old libvirt wrote the uuid alone: that tells nothing we could use. */
static VsDomainDef *
read_domain (xmlNode *node, VsDomainDefFlags flags, VsXmlProblems *problems)
{
  xmlDoc *doc;
  xmlNode *copy;

  if (node == NULL || vs_xml_child (node, "name") == NULL)
    return NULL;
  doc = xmlNewDoc (VS_XML ("1.0"));
  copy = xmlDocCopyNode (node, doc, 1);
  xmlNodeSetName (copy, VS_XML ("domain"));
  xmlDocSetRootElement (doc, copy);
  return vs_domain_def_new_from_doc (doc, flags, problems);
}

typedef enum {
  FACT_TEXT,
  FACT_NUMBER,
  FACT_FILE_NAME,
} FactKind;

static FactKind
fact_kind (const char *key)
{
  static const struct {
    const char *key;
    FactKind kind;
  } table[] = {
    { VS_SNAPSHOT_FACT_CREATION_TIME, FACT_NUMBER }, { VS_SNAPSHOT_FACT_DOWNTIME, FACT_NUMBER },
    { VS_SNAPSHOT_FACT_SIZE, FACT_NUMBER },          { VS_SNAPSHOT_FACT_MEMORY_SIZE, FACT_NUMBER },
    { VS_SNAPSHOT_FACT_NVRAM, FACT_FILE_NAME },      { VS_SNAPSHOT_FACT_TPM, FACT_FILE_NAME },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    if (strcmp (table[i].key, key) == 0)
      return table[i].kind;
  return FACT_TEXT;
}

static gboolean
fact_is_valid (const char *key, const char *value)
{
  if (key[0] == '\0' || strlen (key) > 64 || strspn (key, G_CSET_a_2_z G_CSET_DIGITS "-") != strlen (key))
    return FALSE;
  if (strlen (value) > MAX_FACT_BYTES)
    return FALSE;
  switch (fact_kind (key))
    {
    case FACT_NUMBER:
      return g_ascii_string_to_unsigned (value, 10, 0, G_MAXUINT64, NULL, NULL);
    case FACT_FILE_NAME:
      return value[0] != '\0' && value[0] != '.' && strchr (value, '/') == NULL;
    case FACT_TEXT:
    default:
      return TRUE;
    }
}

static gboolean
is_ours (xmlNode *node, const char *name)
{
  return node->type == XML_ELEMENT_NODE && node->ns != NULL &&
         g_strcmp0 ((const char *) node->ns->href, VS_SNAPSHOT_XMLNS) == 0 &&
         strcmp ((const char *) node->name, name) == 0;
}

static void
read_facts (VsSnapshotDef *self, xmlNode *root, VsXmlProblems *problems)
{
  xmlNode *cookie = vs_xml_child (root, "cookie");
  guint64 exact;

  for (xmlNode *node = cookie != NULL ? cookie->children : NULL; node != NULL; node = node->next)
    {
      g_autofree char *key = is_ours (node, "fact") ? vs_xml_attr (node, "name") : NULL;
      g_autofree char *value = key != NULL ? vs_xml_text (node) : NULL;

      if (key == NULL)
        continue;
      if (g_hash_table_size (self->facts) < MAX_FACTS && fact_is_valid (key, value))
        vs_snapshot_def_set_fact (self, key, value);
      else
        vs_xml_problems_add (problems, node, "the fact '%.64s' in <cookie> isn't usable", key);
    }
  /* libvirt's seconds are for everybody, our microseconds are the same instant. */
  exact = vs_snapshot_def_get_fact_uint64 (self, VS_SNAPSHOT_FACT_CREATION_TIME);
  if (exact / G_USEC_PER_SEC == self->creation_time / G_USEC_PER_SEC)
    self->creation_time = MAX (exact, self->creation_time);
}

static VsSnapshotDef *
read_snapshot (xmlDoc *doc, VsDomainDefFlags flags, VsXmlProblems *problems)
{
  xmlNode *root = xmlDocGetRootElement (doc);
  VsSnapshotDef *self = vs_snapshot_def_new (NULL);

  vs_xml_rules_check (root, "domainsnapshot", problems);
  self->name = read_name (vs_xml_child (root, "name"), problems);
  self->description = read_description (vs_xml_child (root, "description"), problems);
  self->parent = read_name (vs_xml_child (vs_xml_child (root, "parent"), "name"), problems);
  read_state (self, root, problems);
  read_memory (self, root, problems);
  read_disks (self, vs_xml_child (root, "disks"), problems);
  self->domain = read_domain (vs_xml_child (root, "domain"), flags, problems);
  self->inactive_domain = read_domain (vs_xml_child (root, "inactiveDomain"), flags, problems);
  read_facts (self, root, problems);
  return self;
}

/* The domains inside were checked on their own, and the cookie is nobody's business: the schema needn't see them. */
static void
check_schema (xmlDoc *doc, VsXmlProblems *problems)
{
  static const char *const judged[] = { "domain", "inactiveDomain", "cookie" };
  xmlNode *root = xmlDocGetRootElement (doc);

  for (gsize i = 0; i < G_N_ELEMENTS (judged); i++)
    vs_xml_remove_child (root, judged[i]);
  vs_xml_schema_check (VS_XML_SCHEMA_SNAPSHOT, doc, problems);
}

/**
 * vs_snapshot_def_parse_data:
 * @data: libvirt's snapshot XML, in UTF-8
 * @length: its length in bytes
 * @flags: how strictly to look
 * @error: %VMSNAP_ERROR_INVALID_XML; its message has a line for each thing that is wrong or isn't supported
 *
 * Facts in the cookie are only checked for their form: with a text of a stranger's they are a stranger's words.
 *
 * Returns: (transfer full) (nullable): the definition
 */
VsSnapshotDef *
vs_snapshot_def_parse_data (const char *data, gsize length, VsDomainDefFlags flags, GError **error)
{
  g_autoptr (VsXmlProblems) problems = vs_xml_problems_new ();
  xmlDoc *doc = vs_xml_parse (data, length, "domainsnapshot", &vs_xml_snapshot_limits, problems);
  g_autoptr (VsSnapshotDef) self = NULL;

  if (doc != NULL)
    {
      self = read_snapshot (doc, flags, problems);
      vs_xml_check_written_size (doc, &vs_xml_snapshot_limits, problems);
    }
  if (doc != NULL && (flags & VS_DOMAIN_DEF_VALIDATE) != 0 && vs_xml_problems_get_count (problems) == 0)
    check_schema (doc, problems);
  g_clear_pointer (&doc, xmlFreeDoc);
  if (!vs_xml_problems_to_error (problems, "snapshot definition", error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * vs_snapshot_def_parse:
 * @xml: libvirt's snapshot XML, in UTF-8
 * @flags: how strictly to look
 * @error: as vs_snapshot_def_parse_data()
 *
 * Returns: (transfer full) (nullable): the definition
 */
VsSnapshotDef *
vs_snapshot_def_parse (const char *xml, VsDomainDefFlags flags, GError **error)
{
  return vs_snapshot_def_parse_data (xml, strlen (xml), flags, error);
}

/* What is written must be readable again, whatever came in as a value. */
static xmlNode *
add_element (xmlNode *parent, const char *name, const char *text)
{
  g_autofree char *clean = text != NULL ? vs_xml_clean_text (text) : NULL;

  return xmlNewTextChild (parent, NULL, VS_XML (name), VS_XML (clean));
}

static void
set_attr (xmlNode *node, const char *name, const char *value)
{
  g_autofree char *clean = vs_xml_clean_text (value);

  vs_xml_set_attr (node, name, clean);
}

/* libvirt's word for it. */
static const char *
location_word (VmSnapLocation location)
{
  return location == VMSNAP_LOCATION_NONE ? "no" : vmsnap_enum_to_nick (VMSNAP_TYPE_LOCATION, location);
}

static void
add_disk (xmlNode *disks, const VsSnapshotDiskDef *disk)
{
  xmlNode *node = add_element (disks, "disk", NULL);

  set_attr (node, "name", disk->target);
  if (disk->has_snapshot)
    set_attr (node, "snapshot", location_word (disk->snapshot));
  if (disk->path != NULL || disk->is_block)
    set_attr (node, "type", disk->is_block ? "block" : "file");
  if (disk->format != NULL)
    set_attr (add_element (node, "driver", NULL), "type", disk->format);
  if (disk->path != NULL)
    set_attr (add_element (node, "source", NULL), disk->is_block ? "dev" : "file", disk->path);
}

static void
add_memory_and_disks (VsSnapshotDef *self, xmlNode *root)
{
  if (self->has_memory)
    {
      xmlNode *memory = add_element (root, "memory", NULL);

      set_attr (memory, "snapshot", location_word (self->memory));
      if (self->memory_path != NULL)
        set_attr (memory, "file", self->memory_path);
    }
  if (self->disks->len > 0)
    {
      xmlNode *disks = add_element (root, "disks", NULL);

      for (guint i = 0; i < self->disks->len; i++)
        add_disk (disks, g_ptr_array_index (self->disks, i));
    }
}

static void
add_domain (xmlNode *root, const char *name, VsDomainDef *domain)
{
  xmlNode *copy;

  if (domain == NULL)
    return;
  copy = xmlDocCopyNode (xmlDocGetRootElement (domain->doc), root->doc, 1);
  xmlNodeSetName (copy, VS_XML (name));
  xmlAddChild (root, copy);
}

static void
add_facts (VsSnapshotDef *self, xmlNode *root)
{
  g_autoptr (GList) keys = g_hash_table_get_keys (self->facts);
  xmlNode *cookie;
  xmlNs *ns;

  if (keys == NULL)
    return;
  cookie = add_element (root, "cookie", NULL);
  ns = xmlNewNs (cookie, VS_XML (VS_SNAPSHOT_XMLNS), VS_XML ("vmsnap"));
  keys = g_list_sort (keys, (GCompareFunc) strcmp);
  for (GList *key = keys; key != NULL; key = key->next)
    {
      xmlNode *fact = add_element (cookie, "fact", vs_snapshot_def_get_fact (self, key->data));

      xmlSetNs (fact, ns);
      set_attr (fact, "name", key->data);
    }
}

static void
add_origin (VsSnapshotDef *self, xmlNode *root)
{
  if (self->has_state)
    add_element (root, "state", vmsnap_enum_to_nick (VMSNAP_TYPE_SNAPSHOT_STATE, (int) self->state));
  if (self->creation_time > 0)
    {
      g_autofree char *seconds = g_strdup_printf ("%" G_GUINT64_FORMAT, self->creation_time / G_USEC_PER_SEC);

      add_element (root, "creationTime", seconds);
    }
  if (self->parent != NULL)
    add_element (add_element (root, "parent", NULL), "name", self->parent);
}

/**
 * vs_snapshot_def_format:
 * @self: a definition
 *
 * Returns: (transfer full): its XML, indented. The creation time's microseconds go into the cookie.
 */
char *
vs_snapshot_def_format (VsSnapshotDef *self)
{
  g_autoptr (VsSnapshotDef) complete = vs_snapshot_def_copy (self);
  xmlDoc *doc = xmlNewDoc (VS_XML ("1.0"));
  xmlNode *root = xmlNewDocNode (doc, NULL, VS_XML ("domainsnapshot"), NULL);
  char *text;

  if (self->creation_time > 0)
    vs_snapshot_def_set_fact_uint64 (complete, VS_SNAPSHOT_FACT_CREATION_TIME, self->creation_time);
  xmlDocSetRootElement (doc, root);
  if (self->name != NULL)
    add_element (root, "name", self->name);
  if (self->description != NULL)
    add_element (root, "description", self->description);
  add_origin (complete, root);
  add_memory_and_disks (complete, root);
  add_domain (root, "domain", complete->domain);
  add_domain (root, "inactiveDomain", complete->inactive_domain);
  add_facts (complete, root);
  text = vs_xml_format (doc);
  xmlFreeDoc (doc);
  return text;
}
