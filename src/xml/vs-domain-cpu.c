/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The processor as the guest sees it: `<features>`, `<cpu>` and `<clock>`, three elements that all end up in QEMU's
 * properties of a processor. Pure; any thread.
 */
#include "vs-devices.h"

#include <string.h>

#include "vs-xml-read.h"

#define MODEL_CHARACTERS "._+-"

static void G_GNUC_PRINTF (2, 3)
add_property (GPtrArray *properties, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (properties, g_strdup_vprintf (format, args));
  va_end (args);
}

typedef struct {
  const char *element;
  const char *if_on;
  const char *if_off;
} StateProperty;

static void
read_state_properties (GPtrArray *properties,
                       xmlNode *parent,
                       const StateProperty *table,
                       gsize n_rows,
                       VsXmlProblems *problems)
{
  for (gsize i = 0; i < n_rows; i++)
    {
      xmlNode *node = vs_xml_child (parent, table[i].element);
      VsTristate state = vs_xml_attr_tristate (problems, node, "state");

      if (state == VS_TRISTATE_ON && table[i].if_on != NULL)
        add_property (properties, "%s", table[i].if_on);
      else if (state == VS_TRISTATE_OFF && table[i].if_off != NULL)
        add_property (properties, "%s", table[i].if_off);
    }
}

static void
read_hyperv (GPtrArray *properties, xmlNode *node, VsXmlProblems *problems)
{
  static const StateProperty table[] = {
    { "relaxed", "hv-relaxed=on", NULL },
    { "vapic", "hv-vapic=on", NULL },
    { "vpindex", "hv-vpindex=on", NULL },
    { "runtime", "hv-runtime=on", NULL },
    { "synic", "hv-synic=on", NULL },
    { "stimer", "hv-stimer=on", NULL },
    { "reset", "hv-reset=on", NULL },
    { "frequencies", "hv-frequencies=on", NULL },
    { "reenlightenment", "hv-reenlightenment=on", NULL },
    { "tlbflush", "hv-tlbflush=on", NULL },
    { "ipi", "hv-ipi=on", NULL },
    { "evmcs", "hv-evmcs=on", NULL },
    { "avic", "hv-avic=on", NULL },
    { "emsr_bitmap", "hv-emsr-bitmap=on", NULL },
    { "xmm_input", "hv-xmm-input=on", NULL },
  };
  static const StateProperty direct[] = { { "direct", "hv-stimer-direct=on", NULL } };
  xmlNode *spinlocks = vs_xml_child (node, "spinlocks");
  xmlNode *vendor = vs_xml_child (node, "vendor_id");
  gint64 retries = vs_xml_attr_int_or (problems, spinlocks, "retries", 4095, G_MAXUINT32, 4095);
  g_autofree char *vendor_id = vs_xml_attr_token (problems, vendor, "value", " ._-");

  if (vs_xml_attr_choice (problems, node, "mode", "custom passthrough", 0) == 1)
    add_property (properties, "hv-passthrough=on");
  read_state_properties (properties, node, table, G_N_ELEMENTS (table), problems);
  read_state_properties (properties, vs_xml_child (node, "stimer"), direct, G_N_ELEMENTS (direct), problems);
  if (vs_xml_attr_tristate (problems, spinlocks, "state") == VS_TRISTATE_ON)
    add_property (properties, "hv-spinlocks=%" G_GINT64_FORMAT, retries);
  if (vendor_id != NULL && strlen (vendor_id) > 12)
    vs_xml_problems_add (problems, vendor, "<vendor_id value=…> is too long; accepted: up to 12 characters");
  else if (vendor_id != NULL && vs_xml_attr_tristate (problems, vendor, "state") != VS_TRISTATE_OFF)
    add_property (properties, "hv-vendor-id=%s", vendor_id);
}

static void
read_features (VsDomainDef *self, GPtrArray *properties, xmlNode *node, VsXmlProblems *problems)
{
  static const StateProperty kvm[] = {
    { "hidden", "kvm=off", NULL },
    { "hint-dedicated", "kvm-hint-dedicated=on", NULL },
    { "poll-control", "kvm-poll-control=on", NULL },
    { "pv-ipi", NULL, "kvm-pv-ipi=off" },
  };
  static const StateProperty pvspinlock[] = { { "pvspinlock", "kvm-pv-unhalt=on", "kvm-pv-unhalt=off" } };
  xmlNode *apic = vs_xml_child (node, "apic");
  VsTristate eoi = vs_xml_attr_tristate (problems, apic, "eoi");

  self->features.acpi = vs_xml_child (node, "acpi") != NULL;
  self->features.apic = apic != NULL;
  self->features.pae = vs_xml_child (node, "pae") != NULL;
  self->features.vmport = vs_xml_attr_tristate (problems, vs_xml_child (node, "vmport"), "state");
  self->features.smm = vs_xml_attr_tristate (problems, vs_xml_child (node, "smm"), "state");
  self->features.pmu = vs_xml_attr_tristate (problems, vs_xml_child (node, "pmu"), "state");
  if (vs_xml_child (node, "smm") != NULL && self->features.smm == VS_TRISTATE_DEFAULT)
    self->features.smm = VS_TRISTATE_ON;
  if (eoi != VS_TRISTATE_DEFAULT)
    add_property (properties, "kvm-pv-eoi=%s", eoi == VS_TRISTATE_ON ? "on" : "off");
  read_hyperv (properties, vs_xml_child (node, "hyperv"), problems);
  read_state_properties (properties, vs_xml_child (node, "kvm"), kvm, G_N_ELEMENTS (kvm), problems);
  read_state_properties (properties, node, pvspinlock, G_N_ELEMENTS (pvspinlock), problems);
}

static void
cpu_feature_free (gpointer data)
{
  VsCpuFeature *feature = data;

  g_free (feature->name);
  g_free (feature);
}

static void
read_cpu_features (VsCpuDef *cpu, xmlNode *node, VsXmlProblems *problems)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  cpu->features = g_ptr_array_new_with_free_func (cpu_feature_free);
  for (xmlNode *child = vs_xml_child (node, "feature"); child != NULL; child = vs_xml_next_sibling (child))
    {
      VsCpuFeature *feature = g_new0 (VsCpuFeature, 1);
      int policy = vs_xml_attr_choice (problems, child, "policy", "force require optional disable forbid", 1);

      feature->name = vs_xml_attr_token (problems, child, "name", "._-");
      feature->enable = policy < 3;
      if (feature->name != NULL && !g_hash_table_add (seen, feature->name))
        vs_xml_problems_add (problems, child, "the CPU feature '%.80s' is there twice", feature->name);
      g_ptr_array_add (cpu->features, feature);
    }
}

static void
read_topology (VsDomainDef *self, xmlNode *cpu, VsXmlProblems *problems)
{
  xmlNode *node = vs_xml_child (cpu, "topology");
  guint64 product;

  self->cpu.sockets = self->cpu.cores = self->cpu.threads = 0;
  self->cpu.dies = 1;
  if (node == NULL)
    return;
  self->cpu.sockets = (guint) vs_xml_attr_int_or (problems, node, "sockets", 1, VS_MAX_VCPUS, 1);
  self->cpu.cores = (guint) vs_xml_attr_int_or (problems, node, "cores", 1, VS_MAX_VCPUS, 1);
  self->cpu.threads = (guint) vs_xml_attr_int_or (problems, node, "threads", 1, VS_MAX_VCPUS, 1);
  product = (guint64) self->cpu.sockets * self->cpu.cores * self->cpu.threads;
  if (product != self->vcpus)
    vs_xml_problems_add (problems, node, "<topology> makes %" G_GUINT64_FORMAT " processors; accepted: as many as "
                                         "<vcpu> says, %u", product, self->vcpus);
}

static void
read_cpu_properties (VsCpuDef *cpu, GPtrArray *properties, xmlNode *node, VsXmlProblems *problems)
{
  xmlNode *physical = vs_xml_child (node, "maxphysaddr");
  VsTristate migratable = vs_xml_attr_tristate (problems, node, "migratable");
  g_autofree char *vendor = vs_xml_attr_token (problems, vs_xml_child (node, "model"), "vendor_id", "");
  gboolean host = cpu->mode == VS_CPU_HOST_PASSTHROUGH || cpu->mode == VS_CPU_MAXIMUM;

  if (migratable != VS_TRISTATE_DEFAULT && host)
    add_property (properties, "migratable=%s", migratable == VS_TRISTATE_ON ? "on" : "off");
  if (vendor != NULL)
    add_property (properties, "vendor=%s", vendor);
  if (vs_xml_child (node, "cache") != NULL)
    add_property (properties, "host-cache-info=on");
  if (physical == NULL)
    return;
  if (vs_xml_attr_choice (problems, physical, "mode", "passthrough emulate", 0) == 0)
    add_property (properties, "host-phys-bits=on");
  else
    add_property (properties, "phys-bits=%d", (int) vs_xml_attr_int_or (problems, physical, "bits", 32, 64, 40));
}

static void
read_cpu (VsDomainDef *self, GPtrArray *properties, xmlNode *node, VsXmlProblems *problems)
{
  static const VsCpuMode modes[] = { VS_CPU_HOST_PASSTHROUGH, VS_CPU_HOST_MODEL, VS_CPU_CUSTOM, VS_CPU_MAXIMUM };
  xmlNode *model = vs_xml_child (node, "model");
  int mode = vs_xml_attr_choice (problems, node, "mode", "host-passthrough host-model custom maximum", -1);

  if (model != NULL)
    {
      g_autofree char *text = g_strstrip (vs_xml_text (model));

      if (text[0] != '\0' && strspn (text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS MODEL_CHARACTERS) == strlen (text))
        self->cpu.model = g_steal_pointer (&text);
      else
        vs_xml_problems_add (problems, model, "<model>%.80s</model> of <cpu> isn't usable; accepted: letters, digits "
                                              "and any of '" MODEL_CHARACTERS "'", text);
    }
  if (mode >= 0)
    self->cpu.mode = modes[mode];
  else
    self->cpu.mode = model != NULL ? VS_CPU_CUSTOM : VS_CPU_DEFAULT;
  if (self->cpu.mode == VS_CPU_CUSTOM && model == NULL)
    self->cpu.mode = VS_CPU_DEFAULT;
  vs_xml_attr_choice (problems, node, "match", "exact minimum strict", 0);
  read_cpu_features (&self->cpu, node, problems);
  read_topology (self, node, problems);
  read_cpu_properties (&self->cpu, properties, node, problems);
}

static void
read_timer (VsClockDef *clock, GPtrArray *properties, xmlNode *node, VsXmlProblems *problems)
{
  enum { RTC, PIT, HPET, KVMCLOCK, HYPERVCLOCK, TSC };
  int name = vs_xml_attr_choice (problems, node, "name", "rtc pit hpet kvmclock hypervclock tsc", -1);
  VsTristate present = vs_xml_attr_tristate (problems, node, "present");
  guint64 frequency;

  if (name == RTC)
    {
      clock->rtc_tickpolicy = vs_xml_attr_word (problems, node, "tickpolicy", "delay catchup");
      clock->rtc_track = vs_xml_attr_word (problems, node, "track", "guest wall realtime");
    }
  else if (name == PIT)
    clock->pit_tickpolicy = vs_xml_attr_word (problems, node, "tickpolicy", "delay discard");
  else if (name == HPET)
    clock->hpet = present;
  else if (name == KVMCLOCK && present != VS_TRISTATE_DEFAULT)
    add_property (properties, "kvmclock=%s", present == VS_TRISTATE_ON ? "on" : "off");
  else if (name == HYPERVCLOCK && present == VS_TRISTATE_ON)
    add_property (properties, "hv-time=on");
  else if (name == TSC && vs_xml_attr_uint (problems, node, "frequency", 1, G_MAXINT64, &frequency))
    add_property (properties, "tsc-frequency=%" G_GUINT64_FORMAT, frequency);

  if ((name == RTC || name == PIT || name == TSC) && present == VS_TRISTATE_OFF)
    vs_xml_problems_add (problems, node, "this <timer> can't be absent; accepted: present='yes'");
}

static void
read_clock (VsDomainDef *self, GPtrArray *properties, xmlNode *node, VsXmlProblems *problems)
{
  g_autofree char *adjustment = vs_xml_attr (node, "adjustment");
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  self->clock.offset = (VsClockOffset) vs_xml_attr_choice (problems, node, "offset", "utc localtime variable",
                                                           VS_CLOCK_UTC);
  self->clock.basis_localtime = vs_xml_attr_choice (problems, node, "basis", "utc localtime", 0) == 1;
  if (adjustment != NULL && strcmp (adjustment, "reset") != 0 &&
      !g_ascii_string_to_signed (adjustment, 10, G_MININT32, G_MAXINT32, &self->clock.adjustment, NULL))
    vs_xml_problems_add (problems, node, "<clock adjustment='%.40s'> isn't usable; accepted: seconds", adjustment);
  for (xmlNode *timer = vs_xml_child (node, "timer"); timer != NULL; timer = vs_xml_next_sibling (timer))
    {
      char *name = vs_xml_attr (timer, "name");

      if (name != NULL && !g_hash_table_add (seen, name))
        vs_xml_problems_add (problems, timer, "a second <timer> of this name");
      else
        read_timer (&self->clock, properties, timer, problems);
    }
}

/**
 * vs_domain_def_read_cpu:
 * @self: gets features, processor and clock; its `vcpus` must have been read
 * @root: `<domain>`
 * @problems: where what is wrong goes
 */
void
vs_domain_def_read_cpu (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  g_autoptr (GPtrArray) properties = g_ptr_array_new ();

  read_features (self, properties, vs_xml_child (root, "features"), problems);
  read_cpu (self, properties, vs_xml_child (root, "cpu"), problems);
  read_clock (self, properties, vs_xml_child (root, "clock"), problems);
  g_ptr_array_add (properties, NULL);
  self->cpu.properties = (char **) g_ptr_array_free (g_steal_pointer (&properties), FALSE);
}

void
vs_domain_def_clear_cpu (VsDomainDef *self)
{
  g_free (self->cpu.model);
  g_clear_pointer (&self->cpu.features, g_ptr_array_unref);
  g_strfreev (self->cpu.properties);
  g_free (self->clock.rtc_tickpolicy);
  g_free (self->clock.rtc_track);
  g_free (self->clock.pit_tickpolicy);
}
