/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a guest could notice of its definition, as a list of facts with names, and the first in which two definitions
 * differ: a guest whose memory is loaded must find the machine that it left. Pure; any thread.
 */
#include "vs-domain-def.h"

#include <string.h>

typedef struct {
  char *name;
  char *value;
} Fact;

static void
fact_free (gpointer data)
{
  Fact *fact = data;

  g_free (fact->name);
  g_free (fact->value);
  g_free (fact);
}

/* A %NULL @value is one that nobody fixed: it differs from none. */
static void
add (GPtrArray *facts, const char *device, const char *name, const char *value)
{
  Fact *fact = g_new0 (Fact, 1);

  fact->name = device != NULL ? g_strdup_printf ("%s of %s", name, device) : g_strdup (name);
  fact->value = g_strdup (value);
  g_ptr_array_add (facts, fact);
}

static void G_GNUC_PRINTF (4, 5)
addf (GPtrArray *facts, const char *device, const char *name, const char *format, ...)
{
  g_autofree char *value = NULL;
  va_list args;

  va_start (args, format);
  value = g_strdup_vprintf (format, args);
  va_end (args);
  add (facts, device, name, value);
}

static void
add_tristate (GPtrArray *facts, const char *device, const char *name, VsTristate value)
{
  static const char *const words[] = { "default", "on", "off" };

  add (facts, device, name, words[value]);
}

static void
add_address (GPtrArray *facts, const char *device, const VsAddress *address)
{
  switch (address->type)
    {
    case VS_ADDRESS_PCI:
      addf (facts, device, "address", "pci %04x:%02x:%02x.%x%s", address->domain, address->bus, address->slot,
            address->function, address->multifunction == VS_TRISTATE_ON ? " multifunction" : "");
      break;
    case VS_ADDRESS_DRIVE:
    case VS_ADDRESS_VIRTIO_SERIAL:
      addf (facts, device, "address", "drive %u:%u:%u:%u", address->controller, address->bus, address->target,
            address->unit);
      break;
    case VS_ADDRESS_USB:
      addf (facts, device, "address", "usb %u:%s", address->bus, address->port != NULL ? address->port : "");
      break;
    case VS_ADDRESS_NONE:
      add (facts, device, "address", "none given");
      break;
    case VS_ADDRESS_OTHER:
    default:
      add (facts, device, "address", NULL);
    }
}

/* A machine's own disk controllers are where they are, whether that is written down or not. */
static gboolean
is_chipset (const VsControllerDef *controller)
{
  return (controller->type == VS_CONTROLLER_IDE || controller->type == VS_CONTROLLER_SATA) && controller->index == 0
         && (controller->address.type == VS_ADDRESS_NONE
             || (controller->address.bus == 0 && (controller->address.slot == 1 || controller->address.slot == 31)));
}

static void
add_machine (GPtrArray *facts, VsDomainDef *self)
{
  addf (facts, NULL, "type", "%s", self->type == VS_DOMAIN_TYPE_KVM ? "kvm" : "qemu");
  add (facts, NULL, "uuid", self->uuid);
  addf (facts, NULL, "memory", "%" G_GUINT64_FORMAT " bytes", self->memory);
  addf (facts, NULL, "number of processors", "%u", self->vcpus);
  add (facts, NULL, "architecture", self->os.arch);
  add (facts, NULL, "machine type", self->os.machine);
  addf (facts, NULL, "kind of firmware", "%s",
        self->os.loader_type == VS_LOADER_PFLASH || self->os.firmware_efi ? "flash" : "BIOS");
  addf (facts, NULL, "ACPI", "%d", self->features.acpi);
  addf (facts, NULL, "APIC", "%d", self->features.apic);
  add_tristate (facts, NULL, "vmport", self->features.vmport);
  add_tristate (facts, NULL, "SMM", self->features.smm);
  add_tristate (facts, NULL, "PMU", self->features.pmu);
  add_tristate (facts, NULL, "HPET", self->clock.hpet);
  add_tristate (facts, NULL, "suspend to memory", self->suspend_to_mem);
  add_tristate (facts, NULL, "suspend to disk", self->suspend_to_disk);
}

static void
add_cpu (GPtrArray *facts, const VsCpuDef *cpu)
{
  static const char *const modes[] = { "default", "host-passthrough", "host-model", "custom", "maximum" };
  g_autofree char *properties = g_strjoinv (",", cpu->properties);
  g_autoptr (GString) features = g_string_new (NULL);

  for (guint i = 0; i < cpu->features->len; i++)
    {
      const VsCpuFeature *feature = g_ptr_array_index (cpu->features, i);

      g_string_append_printf (features, "%c%s", feature->enable ? '+' : '-', feature->name);
    }
  add (facts, NULL, "CPU mode", modes[cpu->mode]);
  add (facts, NULL, "CPU model", cpu->model != NULL ? cpu->model : "");
  add (facts, NULL, "CPU features", features->str);
  add (facts, NULL, "CPU properties", properties);
  addf (facts, NULL, "CPU topology", "%u:%u:%u:%u", cpu->sockets, cpu->dies, cpu->cores, cpu->threads);
}

/* The one thing of a cache mode that a guest sees: whether its disk has a cache to flush. */
static gboolean
has_write_cache (const VsDiskDef *disk)
{
  return g_strcmp0 (disk->cache, "writethrough") != 0 && g_strcmp0 (disk->cache, "directsync") != 0;
}

static void
add_disks (GPtrArray *facts, VsDomainDef *self)
{
  static const char *const buses[] = { "virtio", "scsi", "sata", "ide" };

  addf (facts, NULL, "number of disks", "%u", self->disks->len);
  for (guint i = 0; i < self->disks->len; i++)
    {
      const VsDiskDef *disk = g_ptr_array_index (self->disks, i);
      g_autofree char *device = g_strdup_printf ("disk %s", disk->target);

      add (facts, device, "bus", buses[disk->bus]);
      add (facts, device, "kind", disk->is_cdrom ? "cdrom" : "disk");
      addf (facts, device, "write protection", "%d", disk->readonly);
      if (!disk->is_cdrom)
        add (facts, device, "write cache", has_write_cache (disk) ? "on" : "off");
      add (facts, device, "serial number", disk->serial != NULL ? disk->serial : "");
      add (facts, device, "WWN", disk->wwn != NULL ? disk->wwn : "");
      addf (facts, device, "queues", "%u", disk->queues);
      addf (facts, device, "rotation rate", "%u", disk->rotation_rate);
      addf (facts, device, "removability", "%d", disk->removable);
      add_address (facts, device, &disk->address);
    }
}

static int
compare_controllers (gconstpointer a, gconstpointer b)
{
  const VsControllerDef *one = *(VsControllerDef *const *) a, *two = *(VsControllerDef *const *) b;

  if (one->type != two->type)
    return one->type < two->type ? -1 : 1;
  if (one->index != two->index)
    return one->index < two->index ? -1 : 1;
  return g_strcmp0 (one->model, two->model);
}

static void
add_controllers (GPtrArray *facts, VsDomainDef *self)
{
  static const char *const types[] = { "pci", "usb", "scsi", "sata", "ide", "virtio-serial" };
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();

  addf (facts, NULL, "number of controllers", "%u", self->controllers->len);
  for (guint i = 0; i < self->controllers->len; i++)
    g_ptr_array_add (sorted, g_ptr_array_index (self->controllers, i));
  g_ptr_array_sort (sorted, compare_controllers);
  for (guint i = 0; i < sorted->len; i++)
    {
      const VsControllerDef *controller = g_ptr_array_index (sorted, i);
      g_autofree char *device = g_strdup_printf ("controller %s %u", types[controller->type], controller->index);

      add (facts, device, "model", controller->model != NULL ? controller->model : "");
      add (facts, device, "model name", controller->model_name);
      addf (facts, device, "ports", "%d", controller->ports);
      addf (facts, device, "vectors", "%d", controller->vectors);
      addf (facts, device, "queues", "%u", controller->queues);
      addf (facts, device, "chassis and port", "%d:%d", controller->chassis, controller->port);
      add_tristate (facts, device, "hotplug", controller->hotplug);
      if (!is_chipset (controller))
        add_address (facts, device, &controller->address);
    }
}

/* As the command line has it. */
static gboolean
has_boot_rom (VsDomainDef *self, const VsInterfaceDef *interface, guint index)
{
  gboolean booted = interface->boot_order > 0;

  for (guint i = 0; index == 0 && i < self->os.n_boot; i++)
    booted = booted || self->os.boot[i] == VS_BOOT_NETWORK;
  return interface->rom_enabled == VS_TRISTATE_ON || (interface->rom_enabled == VS_TRISTATE_DEFAULT && booted);
}

static void
add_interfaces (GPtrArray *facts, VsDomainDef *self)
{
  addf (facts, NULL, "number of interfaces", "%u", self->interfaces->len);
  for (guint i = 0; i < self->interfaces->len; i++)
    {
      const VsInterfaceDef *interface = g_ptr_array_index (self->interfaces, i);
      g_autofree char *device = g_strdup_printf ("interface %u", i);

      add (facts, device, "MAC", interface->mac);
      add (facts, device, "model", interface->model);
      add (facts, device, "boot ROM", has_boot_rom (self, interface, i) ? "yes" : "no");
      add_tristate (facts, device, "mapping of the boot ROM", interface->rom_bar);
      add_address (facts, device, &interface->address);
    }
}

static void
add_chardevs (GPtrArray *facts, GPtrArray *list, const char *what)
{
  g_autofree char *number = g_strdup_printf ("number of %s ports", what);

  addf (facts, NULL, number, "%u", list->len);
  for (guint i = 0; i < list->len; i++)
    {
      const VsChardevDef *chardev = g_ptr_array_index (list, i);
      g_autofree char *device = g_strdup_printf ("%s port %u", what, i);

      add (facts, device, "type", chardev->target_type);
      add (facts, device, "name", chardev->target_name != NULL ? chardev->target_name : "");
      addf (facts, device, "number", "%u", chardev->target_port);
      add_address (facts, device, &chardev->address);
    }
}

static void
add_videos (GPtrArray *facts, VsDomainDef *self)
{
  addf (facts, NULL, "number of video cards", "%u", self->videos->len);
  for (guint i = 0; i < self->videos->len; i++)
    {
      const VsVideoDef *video = g_ptr_array_index (self->videos, i);
      g_autofree char *device = g_strdup_printf ("video card %u", i);

      add (facts, device, "model", video->model);
      addf (facts, device, "memory",
            "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, video->ram, video->vram, video->vgamem);
      addf (facts, device, "heads", "%u", video->heads);
      add_address (facts, device, &video->address);
    }
}

static void
add_inputs (GPtrArray *facts, VsDomainDef *self)
{
  guint number = 0;

  for (guint i = 0; i < self->inputs->len; i++)
    {
      const VsInputDef *input = g_ptr_array_index (self->inputs, i);
      g_autofree char *device = NULL;

      /* Mouse and keyboard on PS/2 are there whether they are written down or not. */
      if (strcmp (input->bus, "ps2") == 0)
        continue;
      device = g_strdup_printf ("input device %u", number++);
      addf (facts, device, "type", "%s on %s", input->type, input->bus);
      add_address (facts, device, &input->address);
    }
  addf (facts, NULL, "number of input devices", "%u", number);
}

static void
add_small_devices (GPtrArray *facts, VsDomainDef *self)
{
  static const VsAddress nowhere = { .type = VS_ADDRESS_NONE };
  VsMemballoonDef *balloon = self->memballoon;
  VsTpmDef *tpm = self->tpm;

  add (facts, "memory balloon", "presence", balloon != NULL ? "yes" : "no");
  add_tristate (facts, "memory balloon", "autodeflation", balloon ? balloon->autodeflate : VS_TRISTATE_DEFAULT);
  add_tristate (facts, "memory balloon", "reporting", balloon ? balloon->free_page_reporting : VS_TRISTATE_DEFAULT);
  add_address (facts, "memory balloon", balloon != NULL ? &balloon->address : &nowhere);
  addf (facts, "TPM", "kind", "%s %s", tpm != NULL ? tpm->model : "none", tpm != NULL ? tpm->version : "");
  addf (facts, NULL, "number of random number generators", "%u", self->rngs->len);
  for (guint i = 0; i < self->rngs->len; i++)
    add_address (facts, "random number generator", &((VsRngDef *) g_ptr_array_index (self->rngs, i))->address);
  addf (facts, NULL, "number of watchdogs", "%u", self->watchdogs->len);
  for (guint i = 0; i < self->watchdogs->len; i++)
    {
      const VsWatchdogDef *watchdog = g_ptr_array_index (self->watchdogs, i);

      add (facts, "watchdog", "model", watchdog->model);
      add_address (facts, "watchdog", &watchdog->address);
    }
}

static void
add_sounds (GPtrArray *facts, VsDomainDef *self)
{
  addf (facts, NULL, "number of sound cards", "%u", self->sounds->len);
  for (guint i = 0; i < self->sounds->len; i++)
    {
      const VsSoundDef *sound = g_ptr_array_index (self->sounds, i);
      g_autofree char *device = g_strdup_printf ("sound card %u", i);
      g_autofree char *codecs = g_strjoinv (" ", sound->codecs);

      add (facts, device, "model", sound->model);
      add (facts, device, "codecs", codecs);
      add_address (facts, device, &sound->address);
    }
}

static void
add_redirdevs (GPtrArray *facts, VsDomainDef *self)
{
  addf (facts, NULL, "number of redirected USB ports", "%u", self->redirdevs->len);
  for (guint i = 0; i < self->redirdevs->len; i++)
    {
      const VsRedirdevDef *redirdev = g_ptr_array_index (self->redirdevs, i);
      g_autofree char *device = g_strdup_printf ("redirected USB port %u", i);

      add_address (facts, device, &redirdev->address);
    }
}

static GPtrArray *
list_facts (VsDomainDef *self)
{
  GPtrArray *facts = g_ptr_array_new_with_free_func (fact_free);
  g_autofree char *args = g_strjoinv (" ", self->qemu_args);

  add_machine (facts, self);
  add_cpu (facts, &self->cpu);
  add_disks (facts, self);
  add_controllers (facts, self);
  add_interfaces (facts, self);
  add_chardevs (facts, self->serials, "serial");
  add_chardevs (facts, self->consoles, "console");
  add_chardevs (facts, self->channels, "channel");
  add_videos (facts, self);
  add_inputs (facts, self);
  add_small_devices (facts, self);
  add_sounds (facts, self);
  add_redirdevs (facts, self);
  add (facts, NULL, "arguments for QEMU", args);
  return facts;
}

/**
 * vs_domain_def_guest_abi_equal:
 * @self: the definition that a guest's memory belongs to
 * @other: the one that it shall run with
 * @first_difference: (out) (optional): what differs, for a message: `memory: 1073741824 bytes, now 2147483648 bytes`
 *
 * Compares what a guest could notice. Paths and formats of disks, boot order, graphics and whatever else the host's side
 * alone sees don't count; of cache modes only whether the guest's disk has a write cache does.
 *
 * Returns: whether a guest of @self can go on with @other
 */
gboolean
vs_domain_def_guest_abi_equal (VsDomainDef *self, VsDomainDef *other, char **first_difference)
{
  g_autoptr (GPtrArray) ours = list_facts (self);
  g_autoptr (GPtrArray) theirs = list_facts (other);

  for (guint i = 0; i < MAX (ours->len, theirs->len); i++)
    {
      const Fact *one = i < ours->len ? g_ptr_array_index (ours, i) : NULL;
      const Fact *two = i < theirs->len ? g_ptr_array_index (theirs, i) : NULL;

      if (one != NULL && two != NULL && strcmp (one->name, two->name) == 0 &&
          (one->value == NULL || two->value == NULL || strcmp (one->value, two->value) == 0))
        continue;
      if (first_difference != NULL && one != NULL && two != NULL && strcmp (one->name, two->name) == 0)
        *first_difference = g_strdup_printf ("%s: %s, now %s", one->name, one->value, two->value);
      else if (first_difference != NULL)
        *first_difference = g_strdup_printf ("%s: only in one of the two", one != NULL ? one->name : two->name);
      return FALSE;
    }
  if (first_difference != NULL)
    *first_difference = NULL;
  return TRUE;
}
