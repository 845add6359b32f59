/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What may stand in a definition: one table, an element a row. Whatever isn't in it is refused by name and line, so
 * that nothing which would change the guest is ignored in silence. Values are judged by those who read them, unless
 * the table names the only ones that change nothing. Pure; any thread.
 */
#include "vs-xml-rules.h"

#include <string.h>

/* Contents that have no row of their own. */
#define TEXT "#text"   /* text, no attributes */
#define ANY "#any"     /* kept without a look: it decorates, or tunes the host's side only */
#define EMPTY "#empty" /* nothing: that it is there says it all */

/* A row. @attributes: names with blanks between, each with `=a|b` when only these values are accepted. @children:
 * `name` has the row of that name, `name=row` another one. Behind a name, `!` says that it must be there, and `*` that
 * the child may be repeated. */
typedef struct {
  const char *row;
  const char *attributes;
  const char *children;
  gboolean has_text;
} Rule;

static const Rule rules[] = {
  { "domain", "type! id",
    "name!=#text uuid=#text title=#text description=#text metadata=#any memory! currentMemory vcpu os! features cpu "
    "clock on_poweroff=#text on_reboot=#text on_crash=#text on_lockfailure=#text pm devices seclabel*=#any "
    "resource=#any memoryBacking=#any memtune=#any blkiotune=#any cputune=#any numatune=#any perf=#any "
    "iothreads=#text iothreadids=#any defaultiothread=#any qemu:commandline qemu:deprecation=#any" },
  { "memory", "unit dumpCore", NULL, TRUE },
  { "currentMemory", "unit", NULL, TRUE },
  { "vcpu", "placement cpuset current", NULL, TRUE },

  { "os", "firmware",
    "type!=os-type firmware kernel=#text initrd=#text cmdline=#text boot*=os-boot bootmenu loader nvram smbios" },
  { "os-type", "arch machine", NULL, TRUE },
  { "os-boot", "dev!", NULL },
  { "bootmenu", "enable timeout", NULL },
  { "firmware", "type=efi", "feature*=firmware-feature" },
  { "firmware-feature", "enabled! name!", NULL },
  { "loader", "readonly secure type format stateless=no", NULL, TRUE },
  { "nvram", "template templateFormat format", NULL, TRUE },
  { "smbios", "mode=emulate", NULL },

  { "features", "",
    "acpi=#empty apic pae=#empty hyperv kvm vmport=feature-state smm pmu=feature-state "
    "pvspinlock=feature-state ioapic" },
  { "apic", "eoi", NULL },
  { "smm", "state", NULL },
  { "feature-state", "state!", NULL },
  { "ioapic", "driver!=kvm", NULL },
  { "hyperv", "mode",
    "relaxed=feature-state vapic=feature-state spinlocks vpindex=feature-state runtime=feature-state "
    "synic=feature-state stimer reset=feature-state vendor_id frequencies=feature-state "
    "reenlightenment=feature-state tlbflush=feature-state ipi=feature-state evmcs=feature-state avic=feature-state "
    "emsr_bitmap=feature-state xmm_input=feature-state" },
  { "spinlocks", "state! retries", NULL },
  { "stimer", "state!", "direct=feature-state" },
  { "vendor_id", "state! value", NULL },
  { "kvm", "",
    "hidden=feature-state hint-dedicated=feature-state poll-control=feature-state pv-ipi=feature-state" },

  { "cpu", "mode match check migratable",
    "model=cpu-model vendor=#text topology feature*=cpu-feature cache=cpu-cache maxphysaddr" },
  { "cpu-model", "fallback vendor_id", NULL, TRUE },
  { "topology", "sockets! dies=1 clusters=1 cores! threads!", NULL },
  { "cpu-feature", "policy name!", NULL },
  { "cpu-cache", "mode!=passthrough", NULL },
  { "maxphysaddr", "mode! bits", NULL },

  { "clock", "offset adjustment basis", "timer*" },
  { "timer", "name! tickpolicy track present frequency", NULL },
  { "pm", "", "suspend-to-mem=pm-suspend suspend-to-disk=pm-suspend" },
  { "pm-suspend", "enabled", NULL },

  { "devices", "",
    "emulator=#text disk* controller* interface* serial* console* channel* graphics* video* input* memballoon rng* "
    "tpm watchdog* audio* sound* redirdev*" },

  { "disk", "type device snapshot model=virtio",
    "driver=disk-driver source=disk-source backingStore=#any target!=disk-target iotune=#any readonly=#empty "
    "shareable=#empty serial=#text wwn=#text boot alias=#any address" },
  { "disk-driver",
    "name=qemu type cache error_policy rerror_policy io discard detect_zeroes queues iothread copy_on_read=off "
    "discard_no_unref=off ats=off iommu=off packed=off event_idx=on ioeventfd=on",
    NULL },
  { "disk-source", "file dev startupPolicy index", "seclabel*=#any" },
  { "disk-target", "dev! bus tray removable rotation_rate", NULL },
  { "boot", "order!", NULL },
  { "address", "type! domain bus slot function multifunction controller target unit port iobase irq", NULL },

  { "controller", "type! index model ports vectors",
    "model=controller-model target=controller-target master driver=controller-driver alias=#any address" },
  { "controller-model", "name!", NULL },
  { "controller-target", "chassis chassisNr port hotplug", NULL },
  { "master", "startport!", NULL },
  { "controller-driver", "queues iothread ats=off iommu=off packed=off", NULL },

  { "interface", "type!",
    "mac source=interface-source target=interface-target model=interface-model driver=interface-driver boot link "
    "rom=interface-rom bandwidth=#any alias=#any address" },
  { "mac", "address! type check", NULL },
  { "interface-source", "network bridge portid portgroup", NULL },
  { "interface-target", "dev!", NULL },
  { "interface-model", "type!", NULL },
  { "interface-driver", "name iommu=off ats=off packed=off", NULL },
  { "link", "state!", NULL },
  { "interface-rom", "enabled bar", NULL },

  { "serial", "type!", "source=chardev-source target=serial-target alias=#any address" },
  { "console", "type! tty", "source=chardev-source target=console-target alias=#any address" },
  { "channel", "type!", "source=chardev-source target!=channel-target alias=#any address" },
  { "chardev-source", "mode path append", "seclabel*=#any" },
  { "serial-target", "type port", "model=serial-model" },
  { "serial-model", "name!", NULL },
  { "console-target", "type port", NULL },
  { "channel-target", "type! name state", NULL },

  { "graphics", "type! port autoport tlsPort listen keymap sharePolicy socket defaultMode",
    "listen=graphics-listen image=#any jpeg=#any zlib=#any playback=#any streaming=#any clipboard=#any mouse=#any "
    "filetransfer=#any gl=no-gl audio=#any" },
  { "graphics-listen", "type! address socket", NULL },
  { "no-gl", "enable!=no", NULL },

  { "video", "", "model!=video-model driver=video-driver alias=#any address" },
  { "video-model", "type! ram vram vgamem heads primary blob=off", "acceleration=no-acceleration" },
  { "video-driver", "iommu=off ats=off packed=off", NULL },
  { "no-acceleration", "accel3d=no accel2d=no", NULL },

  { "input", "type! bus model=virtio", "alias=#any address" },
  { "memballoon", "model! autodeflate freePageReporting", "stats=#any alias=#any address" },
  { "rng", "model!", "rate=rng-rate backend!=rng-backend alias=#any address" },
  { "rng-rate", "bytes period", NULL },
  { "rng-backend", "model!", NULL, TRUE },
  { "tpm", "model", "backend!=tpm-backend alias=#any address" },
  { "tpm-backend", "type! version persistent_state", "active_pcr_banks=#any profile=tpm-profile" },
  { "tpm-profile", "name!=default-v1 source removeDisabled", NULL },
  { "watchdog", "model! action", "alias=#any address" },
  { "audio", "id! type! timerPeriod", "input=#any output=#any" },
  { "sound", "model!", "codec*=sound-codec audio=sound-audio alias=#any address" },
  { "sound-codec", "type!", NULL },
  { "sound-audio", "id!", NULL },
  { "redirdev", "bus!=usb type!=spicevmc", "alias=#any address" },

  { "qemu:commandline", "", "qemu:arg* qemu:env*" },
  { "qemu:arg", "value!", NULL },
  { "qemu:env", "name! value", NULL },

  { "domainsnapshot", "",
    "name=#text description=#text state=#text creationTime=#text parent=snapshot-parent memory=snapshot-memory "
    "disks=snapshot-disks domain=#any inactiveDomain=#any active=#text cookie=#any" },
  { "snapshot-parent", "", "name!=#text" },
  { "snapshot-memory", "snapshot file", NULL },
  { "snapshot-disks", "", "disk*=snapshot-disk" },
  { "snapshot-disk", "name! snapshot type", "driver=snapshot-driver source=snapshot-source" },
  { "snapshot-driver", "type", NULL },
  { "snapshot-source", "file dev", "seclabel*=#any" },

  { TEXT, "", NULL, TRUE },
  { EMPTY, "", NULL },
};

static const Rule *
find_rule (const char *row)
{
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    if (strcmp (rules[i].row, row) == 0)
      return &rules[i];
  g_assert_not_reached ();
}

/* A word of a list in the table. */
typedef struct {
  const char *name;
  gsize length;
  char mark; /* '!', '*' or 0 */
  const char *rest;
  gsize rest_length;
} Word;

/* Takes the word at the beginning of @list; returns what is left. */
static const char *
next_word (const char *list, Word *word)
{
  const char *end = list + strcspn (list, " ");

  word->name = list;
  word->length = strcspn (list, " !*=");
  list += word->length;
  word->mark = *list == '!' || *list == '*' ? *list++ : 0;
  word->rest = *list == '=' ? list + 1 : NULL;
  word->rest_length = word->rest != NULL ? (gsize) (end - word->rest) : 0;
  return end + strspn (end, " ");
}

static gboolean
find_word (const char *list, const char *name, Word *word)
{
  gsize length = strlen (name);

  while (list != NULL && *list != '\0')
    {
      list = next_word (list, word);
      if (word->length == length && strncmp (word->name, name, length) == 0)
        return TRUE;
    }
  return FALSE;
}

/* The prefix is the author's choice; the namespace counts. */
static char *
name_in_table (xmlNode *node)
{
  if (node->ns == NULL)
    return g_strdup ((const char *) node->name);
  if (g_strcmp0 ((const char *) node->ns->href, VS_QEMU_XMLNS) == 0)
    return g_strconcat ("qemu:", (const char *) node->name, NULL);
  return g_strdup ("(foreign)");
}

static void
check_attribute (xmlNode *node, xmlAttr *attribute, const Rule *rule, VsXmlProblems *problems)
{
  g_autofree char *name = vs_xml_node_name ((xmlNode *) attribute);
  g_autofree char *element = vs_xml_node_name (node);
  g_autofree char *values = NULL;
  g_auto (GStrv) list = NULL;
  xmlChar *value;
  Word word;

  if (attribute->ns != NULL || !find_word (rule->attributes, (const char *) attribute->name, &word))
    {
      vs_xml_problems_add (problems, node, "attribute '%s' of <%s> in <%s> isn't supported", name, element,
                           node->parent->type == XML_ELEMENT_NODE ? (const char *) node->parent->name : "the text");
      return;
    }
  if (word.rest == NULL)
    return;
  values = g_strndup (word.rest, word.rest_length);
  list = g_strsplit (values, "|", -1);
  value = xmlNodeGetContent ((xmlNode *) attribute);
  if (!g_strv_contains ((const char *const *) list, (const char *) value))
    vs_xml_problems_add (problems, node, "<%s %s='%.80s'> isn't supported; accepted: %s", element, name, value, values);
  xmlFree (value);
}

static void
check_text (xmlNode *element, xmlNode *text, const Rule *rule, VsXmlProblems *problems)
{
  if (rule->has_text || xmlIsBlankNode (text))
    return;
  vs_xml_problems_add (problems, element, "<%s> has text in it, where none belongs", element->name);
}

static void check_element (xmlNode *node,
                           const Rule *rule,
                           VsXmlProblems *problems);

static void
check_child (xmlNode *child, const Rule *rule, GHashTable *seen, VsXmlProblems *problems)
{
  g_autofree char *key = name_in_table (child);
  g_autofree char *name = vs_xml_node_name (child);
  g_autofree char *row = NULL;
  Word word;

  if (!find_word (rule->children, key, &word))
    {
      vs_xml_problems_add (problems, child, "<%s> in <%s> isn't supported", name, child->parent->name);
      return;
    }
  if (word.mark != '*' && !g_hash_table_add (seen, g_strdup (key)))
    vs_xml_problems_add (problems, child, "a second <%s> in <%s>; only one is accepted", name, child->parent->name);
  row = word.rest != NULL ? g_strndup (word.rest, word.rest_length) : g_strdup (key);
  if (strcmp (row, ANY) != 0)
    check_element (child, find_rule (row), problems);
}

/* Whatever must be there: attributes, and the children that were seen. */
static void
check_presence (xmlNode *node, const Rule *rule, GHashTable *seen, VsXmlProblems *problems)
{
  Word word;

  for (const char *list = rule->attributes; *list != '\0';)
    {
      g_autofree char *name = NULL;

      list = next_word (list, &word);
      name = g_strndup (word.name, word.length);
      if (word.mark == '!' && xmlHasProp (node, VS_XML (name)) == NULL)
        vs_xml_problems_add (problems, node, "<%s> lacks %s=…", node->name, name);
    }
  for (const char *list = rule->children; list != NULL && *list != '\0';)
    {
      g_autofree char *name = NULL;

      list = next_word (list, &word);
      name = g_strndup (word.name, word.length);
      if (word.mark == '!' && !g_hash_table_contains (seen, name))
        vs_xml_problems_add (problems, node, "<%s> lacks <%s>", node->name, name);
    }
}

static void
check_element (xmlNode *node, const Rule *rule, VsXmlProblems *problems)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (xmlAttr *attribute = node->properties; attribute != NULL; attribute = attribute->next)
    check_attribute (node, attribute, rule, problems);
  if (g_strcmp0 (rule->children, ANY) == 0)
    return;
  for (xmlNode *child = node->children; child != NULL; child = child->next)
    {
      if (child->type == XML_ELEMENT_NODE)
        check_child (child, rule, seen, problems);
      else if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE)
        check_text (node, child, rule, problems);
    }
  check_presence (node, rule, seen, problems);
}

/**
 * vs_xml_rules_check:
 * @root: a `<domain>` or `<domainsnapshot>`
 * @row: its name
 * @problems: gets each element and attribute that isn't known, and each that would change the guest and isn't
 *   supported
 */
void
vs_xml_rules_check (xmlNode *root, const char *row, VsXmlProblems *problems)
{
  check_element (root, find_rule (row), problems);
}
