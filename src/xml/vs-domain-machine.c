/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The machine around the devices: memory, number of processors, firmware, what follows its end, and what is passed to
 * QEMU as it stands. Pure; any thread.
 */
#include "vs-devices.h"

#include <string.h>

#include "vs-xml-read.h"
#include "vs-xml-rules.h"

#define MIB (G_GUINT64_CONSTANT (1024) * 1024)
#define MAX_MEMORY (G_GUINT64_CONSTANT (16) * 1024 * 1024 * MIB)
#define NAME_CHARACTERS "._+-"

static guint64
unit_factor (VsXmlProblems *problems, xmlNode *node)
{
  static const guint64 factors[] = {
    1, 1, 1000, 1024, 1024, 1000 * 1000, MIB, MIB, G_GUINT64_CONSTANT (1000000000), 1024 * MIB, 1024 * MIB,
    G_GUINT64_CONSTANT (1000000000000), 1024 * 1024 * MIB, 1024 * 1024 * MIB,
  };
  const int kib = 4;

  return factors[vs_xml_attr_choice (problems, node, "unit", "b bytes KB k KiB MB M MiB GB G GiB TB T TiB", kib)];
}

/* In bytes; 0 when there is none or it is wrong. */
static guint64
read_size (VsXmlProblems *problems, xmlNode *node)
{
  guint64 factor = unit_factor (problems, node);
  guint64 value = 0;

  if (!vs_xml_text_uint (problems, node, 0, G_MAXUINT64, &value))
    return 0;
  if (!g_uint64_checked_mul (&value, value, factor) || value < MIB || value > MAX_MEMORY)
    {
      vs_xml_problems_add (problems, node, "<%s> isn't usable; accepted: from 1 MiB to 16 TiB", node->name);
      return 0;
    }
  /* As libvirt rounds it, so that its saved guests fit. */
  return (value + MIB - 1) / MIB * MIB;
}

static void
read_memory (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  xmlNode *node = vs_xml_child (root, "memory");
  xmlNode *current = vs_xml_child (root, "currentMemory");

  self->memory = read_size (problems, node);
  if (read_size (problems, current) > self->memory && self->memory > 0)
    vs_xml_problems_add (problems, current, "<currentMemory> is more than <memory>");
}

static void
read_vcpus (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  xmlNode *node = vs_xml_child (root, "vcpu");
  guint64 count = 1, current;

  vs_xml_text_uint (problems, node, 1, VS_MAX_VCPUS, &count);
  self->vcpus = (guint) count;
  if (vs_xml_attr_uint (problems, node, "current", 1, VS_MAX_VCPUS, &current) && current != count)
    vs_xml_problems_add (problems, node, "<vcpu current=…> other than the count isn't supported; accepted: %u",
                         self->vcpus);
}

static void
read_loader (VsOsDef *os, xmlNode *node, VsXmlProblems *problems)
{
  xmlNode *loader = vs_xml_child (node, "loader");
  g_autofree char *text = vs_xml_text (loader);
  int type = vs_xml_attr_choice (problems, loader, "type", "rom pflash", 0);

  os->loader_readonly = vs_xml_attr_tristate (problems, loader, "readonly") == VS_TRISTATE_ON;
  os->loader_format = vs_xml_attr_word (problems, loader, "format", "raw qcow2");
  if (os->loader_format == NULL)
    os->loader_format = g_strdup ("raw");
  if (vs_xml_attr_tristate (problems, loader, "secure") != VS_TRISTATE_DEFAULT)
    os->secure_boot = vs_xml_attr_tristate (problems, loader, "secure");
  if (loader == NULL || (text[0] == '\0' && os->firmware_efi))
    return;
  os->loader = vs_xml_text_path (problems, loader);
  os->loader_type = type == 0 ? VS_LOADER_ROM : VS_LOADER_PFLASH;
}

static void
read_nvram (VsOsDef *os, xmlNode *node, VsXmlProblems *problems)
{
  xmlNode *nvram = vs_xml_child (node, "nvram");
  g_autofree char *text = vs_xml_text (nvram);

  if (text != NULL && text[0] != '\0')
    os->nvram = vs_xml_text_path (problems, nvram);
  os->nvram_template = vs_xml_attr_path (problems, nvram, "template");
  os->nvram_format = vs_xml_attr_word (problems, nvram, "format", "raw qcow2");
  if (os->nvram_format == NULL)
    os->nvram_format = g_strdup ("raw");
  if (nvram != NULL && xmlHasProp (nvram, VS_XML ("templateFormat")) &&
      !vs_xml_attr_is (nvram, "templateFormat", os->nvram_format))
    vs_xml_problems_add (problems, nvram, "<nvram templateFormat=…> other than its format isn't supported; "
                                          "accepted: %s", os->nvram_format);
  if (nvram != NULL && !os->firmware_efi && os->loader_type != VS_LOADER_PFLASH)
    vs_xml_problems_add (problems, nvram, "<nvram> needs <loader type='pflash'>, or <os firmware='efi'>");
}

static void
read_firmware (VsOsDef *os, xmlNode *node, VsXmlProblems *problems)
{
  xmlNode *firmware = vs_xml_child (node, "firmware");

  os->firmware_efi = vs_xml_attr_choice (problems, node, "firmware", "bios efi", 0) == 1;
  for (xmlNode *feature = vs_xml_child (firmware, "feature"); feature != NULL; feature = vs_xml_next_sibling (feature))
    {
      int name = vs_xml_attr_choice (problems, feature, "name", "secure-boot enrolled-keys", -1);
      VsTristate enabled = vs_xml_attr_tristate (problems, feature, "enabled");

      if (name == 0)
        os->secure_boot = enabled;
      else if (name == 1)
        os->enrolled_keys = enabled;
    }
  read_loader (os, node, problems);
  read_nvram (os, node, problems);
}

static void
read_boot (VsOsDef *os, xmlNode *node, VsXmlProblems *problems)
{
  xmlNode *menu = vs_xml_child (node, "bootmenu");

  for (xmlNode *boot = vs_xml_child (node, "boot"); boot != NULL; boot = vs_xml_next_sibling (boot))
    {
      int device = vs_xml_attr_choice (problems, boot, "dev", "hd cdrom network", -1);
      gboolean again = FALSE;

      for (guint i = 0; i < os->n_boot; i++)
        again = again || (int) os->boot[i] == device;
      if (device >= 0 && !again)
        os->boot[os->n_boot++] = (VsBootDevice) device;
    }
  os->boot_menu = vs_xml_attr_tristate (problems, menu, "enable");
  os->boot_menu_timeout_ms = (int) vs_xml_attr_int_or (problems, menu, "timeout", 0, 65535, -1);
}

static void
read_os (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  VsOsDef *os = &self->os;
  xmlNode *node = vs_xml_child (root, "os");
  xmlNode *type = vs_xml_child (node, "type");

  vs_xml_text_choice (problems, type, "hvm", 0);
  os->arch = vs_xml_attr_word (problems, type, "arch", "x86_64 i686");
  if (os->arch == NULL)
    os->arch = g_strdup ("x86_64");
  os->machine = vs_xml_attr_token (problems, type, "machine", NAME_CHARACTERS);
  os->kernel = vs_xml_text_path (problems, vs_xml_child (node, "kernel"));
  os->initrd = vs_xml_text_path (problems, vs_xml_child (node, "initrd"));
  os->cmdline = vs_xml_child_text (node, "cmdline");
  if (os->kernel == NULL && (os->initrd != NULL || os->cmdline != NULL))
    vs_xml_problems_add (problems, node, "<initrd> and <cmdline> in <os> need a <kernel>");
  read_firmware (os, node, problems);
  read_boot (os, node, problems);
}

static void
read_lifecycle (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  static const char actions[] = "destroy restart preserve";
  static const char crash_actions[] = "destroy restart preserve coredump-destroy coredump-restart rename-restart";
  static const VsLifecycleAction crash_values[] = {
    VS_LIFECYCLE_DESTROY, VS_LIFECYCLE_RESTART, VS_LIFECYCLE_PRESERVE,
    VS_LIFECYCLE_DESTROY, VS_LIFECYCLE_RESTART, VS_LIFECYCLE_RESTART,
  };
  xmlNode *pm = vs_xml_child (root, "pm");

  self->on_poweroff = (VsLifecycleAction) vs_xml_text_choice (problems, vs_xml_child (root, "on_poweroff"), actions,
                                                              VS_LIFECYCLE_DESTROY);
  self->on_reboot = (VsLifecycleAction) vs_xml_text_choice (problems, vs_xml_child (root, "on_reboot"), actions,
                                                            VS_LIFECYCLE_RESTART);
  self->on_crash = crash_values[vs_xml_text_choice (problems, vs_xml_child (root, "on_crash"), crash_actions, 0)];
  self->suspend_to_mem = vs_xml_attr_tristate (problems, vs_xml_child (pm, "suspend-to-mem"), "enabled");
  self->suspend_to_disk = vs_xml_attr_tristate (problems, vs_xml_child (pm, "suspend-to-disk"), "enabled");
}

static gboolean
is_qemu_element (xmlNode *node, const char *name)
{
  return node->type == XML_ELEMENT_NODE && node->ns != NULL &&
         g_strcmp0 ((const char *) node->ns->href, VS_QEMU_XMLNS) == 0 && strcmp ((const char *) node->name, name) == 0;
}

static void
read_qemu_env (GPtrArray *list, xmlNode *node, VsXmlProblems *problems)
{
  g_autofree char *name = vs_xml_attr_token (problems, node, "name", "_");
  g_autofree char *value = vs_xml_attr (node, "value");

  if (name != NULL)
    g_ptr_array_add (list, g_strconcat (name, "=", value != NULL ? value : "", NULL));
}

static void
read_qemu_commandline (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  g_autoptr (GPtrArray) env = g_ptr_array_new ();
  xmlNode *node = root->children;

  while (node != NULL && !is_qemu_element (node, "commandline"))
    node = node->next;
  for (node = node != NULL ? node->children : NULL; node != NULL; node = node->next)
    {
      if (is_qemu_element (node, "env"))
        read_qemu_env (env, node, problems);
      else if (is_qemu_element (node, "arg"))
        {
          char *value = vs_xml_attr (node, "value");

          if (value != NULL)
            g_ptr_array_add (args, value);
        }
    }
  g_ptr_array_add (args, NULL);
  g_ptr_array_add (env, NULL);
  self->qemu_args = (char **) g_ptr_array_free (g_steal_pointer (&args), FALSE);
  self->qemu_env = (char **) g_ptr_array_free (g_steal_pointer (&env), FALSE);
}

/**
 * vs_domain_def_read_machine:
 * @self: gets everything but identity, processor and devices
 * @root: `<domain>`
 * @problems: where what is wrong goes
 */
void
vs_domain_def_read_machine (VsDomainDef *self, xmlNode *root, VsXmlProblems *problems)
{
  self->type = (VsDomainType) vs_xml_attr_choice (problems, root, "type", "kvm qemu", VS_DOMAIN_TYPE_KVM);
  read_memory (self, root, problems);
  read_vcpus (self, root, problems);
  read_os (self, root, problems);
  read_lifecycle (self, root, problems);
  read_qemu_commandline (self, root, problems);
}

void
vs_domain_def_clear_machine (VsDomainDef *self)
{
  g_free (self->os.arch);
  g_free (self->os.machine);
  g_free (self->os.kernel);
  g_free (self->os.initrd);
  g_free (self->os.cmdline);
  g_free (self->os.loader);
  g_free (self->os.loader_format);
  g_free (self->os.nvram);
  g_free (self->os.nvram_template);
  g_free (self->os.nvram_format);
  g_strfreev (self->qemu_args);
  g_strfreev (self->qemu_env);
}
