/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Changed copies of a definition. Each changes a copy of the tree and reads that anew, so a copy obeys the same rules
 * as a text. Immutable in, immutable out; any thread.
 */
#include "vs-domain-def.h"

#include "vmsnap-error.h"
#include "vs-devices.h"
#include "vs-xml-read.h"

static xmlDoc *
copy_doc (VsDomainDef *self)
{
  return xmlCopyDoc (self->doc, 1);
}

/* Takes @doc. */
VsDomainDef *
vs_domain_def_finish_copy (xmlDoc *doc, GError **error)
{
  g_autoptr (VsXmlProblems) problems = vs_xml_problems_new ();
  VsDomainDef *copy = vs_domain_def_new_from_doc (doc, VS_DOMAIN_DEF_NONE, problems);

  vs_xml_problems_to_error (problems, "changed domain definition", error);
  return copy;
}

static VsDomainDef *
copy_with_text (VsDomainDef *self, const char *element, const char *text, const char *after, GError **error)
{
  xmlDoc *doc = copy_doc (self);

  vs_xml_set_text (vs_xml_ensure_child (xmlDocGetRootElement (doc), element, after), text);
  return vs_domain_def_finish_copy (doc, error);
}

/**
 * vs_domain_def_copy_with_name:
 * @self: a definition
 * @name: its new name
 * @error: %VMSNAP_ERROR_INVALID_XML when @name isn't a valid one
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_name (VsDomainDef *self, const char *name, GError **error)
{
  return copy_with_text (self, "name", name, NULL, error);
}

/**
 * vs_domain_def_copy_with_uuid:
 * @self: a definition
 * @uuid: its new uuid
 * @error: %VMSNAP_ERROR_INVALID_XML when @uuid isn't one
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_uuid (VsDomainDef *self, const char *uuid, GError **error)
{
  return copy_with_text (self, "uuid", uuid, "name", error);
}

static void
copy_macs (xmlDoc *doc, VsDomainDef *self, VsDomainDef *other)
{
  xmlNode *node = vs_xml_child (vs_xml_child (xmlDocGetRootElement (doc), "devices"), "interface");

  for (guint i = 0; node != NULL && i < self->interfaces->len && i < other->interfaces->len; i++)
    {
      const VsInterfaceDef *ours = g_ptr_array_index (self->interfaces, i);
      const VsInterfaceDef *theirs = g_ptr_array_index (other->interfaces, i);

      if (ours->mac_is_made)
        vs_xml_set_attr (vs_xml_child (node, "mac"), "address", theirs->mac);
      node = vs_xml_next_sibling (node);
    }
}

/**
 * vs_domain_def_copy_with_made_of:
 * @self: a definition
 * @other: one of the same domain
 * @error: %VMSNAP_ERROR_INVALID_XML when that can't be
 *
 * What was made for @self, as its text hadn't any, gives way to what @other has: the uuid, and the MAC addresses of the
 * interfaces, in their order.
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_made_of (VsDomainDef *self, VsDomainDef *other, GError **error)
{
  xmlDoc *doc = copy_doc (self);

  if (self->uuid_is_made)
    vs_xml_set_text (vs_xml_child (xmlDocGetRootElement (doc), "uuid"), other->uuid);
  copy_macs (doc, self, other);
  return vs_domain_def_finish_copy (doc, error);
}

/**
 * vs_domain_def_copy_with_machine:
 * @self: a definition
 * @machine: its new machine type, the versioned one: `pc-q35-7.2`
 * @error: %VMSNAP_ERROR_INVALID_XML when @machine can't be the name of one
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_machine (VsDomainDef *self, const char *machine, GError **error)
{
  xmlDoc *doc = copy_doc (self);
  xmlNode *os = vs_xml_child (xmlDocGetRootElement (doc), "os");

  vs_xml_set_attr (vs_xml_child (os, "type"), "machine", machine);
  return vs_domain_def_finish_copy (doc, error);
}

/**
 * vs_domain_def_copy_with_emulator:
 * @self: a definition
 * @emulator: (nullable): absolute path of QEMU; %NULL: the service's
 * @error: %VMSNAP_ERROR_INVALID_XML when @emulator isn't absolute
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_emulator (VsDomainDef *self, const char *emulator, GError **error)
{
  xmlDoc *doc = copy_doc (self);
  xmlNode *root = xmlDocGetRootElement (doc);
  xmlNode *devices = vs_xml_child (root, "devices");

  if (devices == NULL)
    devices = xmlNewChild (root, NULL, VS_XML ("devices"), NULL);
  if (emulator != NULL)
    vs_xml_set_text (vs_xml_ensure_child (devices, "emulator", NULL), emulator);
  else
    vs_xml_remove_child (devices, "emulator");
  return vs_domain_def_finish_copy (doc, error);
}

/**
 * vs_domain_def_copy_with_firmware:
 * @self: a definition
 * @loader: absolute path of the firmware's code, for a read-only flash device
 * @nvram_template: (nullable): what its variable store is copied from
 * @error: %VMSNAP_ERROR_INVALID_XML when a path isn't absolute
 *
 * Keeps the choice that was made for `<os firmware='efi'>`, as libvirt does: the flag stays beside it.
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_firmware (VsDomainDef *self, const char *loader, const char *nvram_template, GError **error)
{
  xmlDoc *doc = copy_doc (self);
  xmlNode *os = vs_xml_child (xmlDocGetRootElement (doc), "os");
  xmlNode *node = vs_xml_ensure_child (os, "loader", vs_xml_child (os, "firmware") != NULL ? "firmware" : "type");

  vs_xml_set_text (node, loader);
  vs_xml_set_attr (node, "readonly", "yes");
  vs_xml_set_attr (node, "type", "pflash");
  if (nvram_template != NULL)
    vs_xml_set_attr (vs_xml_ensure_child (os, "nvram", "loader"), "template", nvram_template);
  return vs_domain_def_finish_copy (doc, error);
}

/**
 * vs_domain_def_copy_with_nvram:
 * @self: a definition with a flash device
 * @nvram: absolute path of the variable store
 * @error: %VMSNAP_ERROR_INVALID_XML when @nvram isn't absolute, or there is no flash device
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_nvram (VsDomainDef *self, const char *nvram, GError **error)
{
  xmlDoc *doc = copy_doc (self);
  xmlNode *os = vs_xml_child (xmlDocGetRootElement (doc), "os");
  xmlNode *node = vs_xml_ensure_child (os, "nvram", vs_xml_child (os, "loader") != NULL ? "loader" : "type");

  vs_xml_set_text (node, nvram);
  return vs_domain_def_finish_copy (doc, error);
}

static xmlNode *
find_disk_node (xmlDoc *doc, const char *target)
{
  xmlNode *devices = vs_xml_child (xmlDocGetRootElement (doc), "devices");
  xmlNode *node = vs_xml_child (devices, "disk");

  while (node != NULL && !vs_xml_attr_is (vs_xml_child (node, "target"), "dev", target))
    node = vs_xml_next_sibling (node);
  return node;
}

static gboolean
is_device_path (const char *path)
{
  return g_str_has_prefix (path, "/dev/") && !g_str_has_prefix (path, "/dev/shm/");
}

static void
set_disk_source (xmlNode *disk, const char *path)
{
  xmlNode *source;

  /* A chain that was written down belongs to the file that was there. */
  vs_xml_remove_child (disk, "backingStore");
  if (path == NULL)
    {
      vs_xml_remove_child (disk, "source");
      return;
    }
  source = vs_xml_ensure_child (disk, "source", "driver");
  xmlUnsetProp (source, VS_XML ("index"));
  xmlUnsetProp (source, VS_XML ("file"));
  xmlUnsetProp (source, VS_XML ("dev"));
  vs_xml_set_attr (disk, "type", is_device_path (path) ? "block" : "file");
  vs_xml_set_attr (source, is_device_path (path) ? "dev" : "file", path);
}

static void
set_disk_format (xmlNode *disk, const char *format)
{
  xmlNode *driver = vs_xml_child (disk, "driver");

  if (driver == NULL)
    {
      driver = vs_xml_ensure_child (disk, "driver", NULL);
      vs_xml_set_attr (driver, "name", "qemu");
    }
  vs_xml_set_attr (driver, "type", format);
}

/**
 * vs_domain_def_copy_with_disk_source:
 * @self: a definition
 * @target: which disk
 * @path: (nullable): absolute path of its new active file; %NULL empties a CD-ROM drive
 * @format: (nullable): the file's format; %NULL: unchanged
 * @error: %VMSNAP_ERROR_NOT_FOUND when there is no such disk; %VMSNAP_ERROR_INVALID_XML when it can't be so
 *
 * The disk becomes one of type `block` when @path lies in `/dev` (and not in `/dev/shm`), of type `file` otherwise: the
 * overlay of a block device is a file.
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_with_disk_source (VsDomainDef *self,
                                     const char *target,
                                     const char *path,
                                     const char *format,
                                     GError **error)
{
  xmlDoc *doc;
  xmlNode *disk;

  if (vs_domain_def_find_disk (self, target) == NULL)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_FOUND, "The domain '%s' has no disk '%s'", self->name, target);
      return NULL;
    }
  doc = copy_doc (self);
  disk = find_disk_node (doc, target);
  set_disk_source (disk, path);
  if (format != NULL)
    set_disk_format (disk, format);
  return vs_domain_def_finish_copy (doc, error);
}
