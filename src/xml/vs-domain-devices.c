/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * `<devices>` as a whole: the lists of a domain, and what must agree between their members. Pure; any thread.
 */
#include "vs-devices.h"

#include <string.h>

#include "vs-xml-read.h"

typedef gpointer (*Read) (VsXmlProblems *problems, xmlNode *node);

static GPtrArray *
read_all (xmlNode *devices, const char *name, Read read, GDestroyNotify free_one, VsXmlProblems *problems)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (free_one);

  for (xmlNode *node = vs_xml_child (devices, name); node != NULL; node = vs_xml_next_sibling (node))
    g_ptr_array_add (list, read (problems, node));
  return list;
}

#define READ_ALL(devices, name, prefix, problems)                                                                      \
  read_all (devices, name, (Read) prefix##_read, (GDestroyNotify) prefix##_free, problems)

/* A console whose target is a serial port is that port: the first of them stands for port 0, as in libvirt. */
static void
read_serials_and_consoles (VsDomainDef *self, xmlNode *devices, VsXmlProblems *problems)
{
  gboolean first = TRUE;

  self->serials = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_chardev_def_free);
  self->consoles = g_ptr_array_new_with_free_func ((GDestroyNotify) vs_chardev_def_free);
  for (xmlNode *node = vs_xml_child (devices, "serial"); node != NULL; node = vs_xml_next_sibling (node))
    g_ptr_array_add (self->serials, vs_serial_def_read (problems, node, self->serials->len));

  for (xmlNode *node = vs_xml_child (devices, "console"); node != NULL; node = vs_xml_next_sibling (node))
    {
      xmlNode *target = vs_xml_child (node, "target");
      gboolean virtio = vs_xml_attr_choice (problems, target, "type", "serial virtio", 0) == 1;

      VsChardevDef *console = virtio ? vs_console_def_read (problems, node) : vs_serial_def_read (problems, node, 0);

      if (virtio)
        g_ptr_array_add (self->consoles, console);
      else if (first && self->serials->len == 0)
        g_ptr_array_add (self->serials, console);
      else
        vs_chardev_def_free (console);
      if (!virtio && !first)
        vs_xml_problems_add (problems, node, "only the first <console> may be a serial port; accepted: "
                                             "<target type='virtio'>, or a <serial>");
      first = FALSE;
    }
}

/* Says so when @key was there before; @key is taken. */
static void
check_unique (GHashTable *seen, char *key, guint line, const char *what, VsXmlProblems *problems)
{
  guint before = GPOINTER_TO_UINT (g_hash_table_lookup (seen, key));

  if (before != 0)
    vs_xml_problems_add_line (problems, line, "%s '%.80s' is taken by line %u", what, key, before);
  g_hash_table_replace (seen, key, GUINT_TO_POINTER (MAX (line, 1)));
}

static void
check_disks (VsDomainDef *self, VsXmlProblems *problems)
{
  g_autoptr (GHashTable) targets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) paths = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < self->disks->len; i++)
    {
      VsDiskDef *disk = g_ptr_array_index (self->disks, i);
      VsDiskDef *other = disk->path != NULL ? g_hash_table_lookup (paths, disk->path) : NULL;

      if (disk->target != NULL)
        check_unique (targets, g_strdup (disk->target), disk->line, "the disk target", problems);
      if (other != NULL && !(disk->readonly && other->readonly) && !(disk->shareable && other->shareable))
        vs_xml_problems_add_line (problems, disk->line, "'%.200s' is already the disk of line %u; two disks can't "
                                                        "write to one file", disk->path, other->line);
      if (disk->path != NULL)
        g_hash_table_insert (paths, disk->path, disk);
    }
}

static void
check_controllers (VsDomainDef *self, VsXmlProblems *problems)
{
  static const char *const names[] = { "pci", "usb", "scsi", "sata", "ide", "virtio-serial" };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < self->controllers->len; i++)
    {
      VsControllerDef *controller = g_ptr_array_index (self->controllers, i);

      /* The companions of an EHCI controller share its index. */
      if (controller->model != NULL && g_str_has_prefix (controller->model, "ich9-uhci"))
        continue;
      check_unique (seen, g_strdup_printf ("%s %u", names[controller->type], controller->index), controller->line,
                    "the controller index", problems);
    }
}

static void
check_boot_order (guint order, guint line, VsDomainDef *self, GHashTable *seen, VsXmlProblems *problems)
{
  if (order == 0)
    return;
  check_unique (seen, g_strdup_printf ("%u", order), line, "the boot order", problems);
  if (self->os.n_boot > 0)
    vs_xml_problems_add_line (problems, line, "<boot order=…> on a device excludes <boot dev=…> in <os>");
}

static void
check_boot_orders (VsDomainDef *self, VsXmlProblems *problems)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < self->disks->len; i++)
    {
      VsDiskDef *disk = g_ptr_array_index (self->disks, i);

      check_boot_order (disk->boot_order, disk->line, self, seen, problems);
    }
  for (guint i = 0; i < self->interfaces->len; i++)
    {
      VsInterfaceDef *interface = g_ptr_array_index (self->interfaces, i);

      check_boot_order (interface->boot_order, interface->line, self, seen, problems);
    }
  if (g_hash_table_size (seen) == 0 && self->os.n_boot == 0)
    self->os.boot[self->os.n_boot++] = VS_BOOT_HD;
}

static void
check_channels (VsDomainDef *self, VsXmlProblems *problems)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < self->channels->len; i++)
    {
      VsChardevDef *channel = g_ptr_array_index (self->channels, i);

      if (channel->target_name != NULL)
        check_unique (seen, g_strdup (channel->target_name), channel->line, "the channel name", problems);
    }
}

static void
check_graphics (VsDomainDef *self, VsXmlProblems *problems)
{
  static const char *const names[] = { "vnc", "spice" };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < self->graphics->len; i++)
    {
      VsGraphicsDef *graphics = g_ptr_array_index (self->graphics, i);

      check_unique (seen, g_strdup (names[graphics->type]), graphics->line, "the graphics type", problems);
    }
}

static void
check_audio (VsDomainDef *self, VsXmlProblems *problems)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < self->audios->len; i++)
    {
      VsAudioDef *audio = g_ptr_array_index (self->audios, i);

      check_unique (seen, g_strdup_printf ("%u", audio->id), audio->line, "the audio id", problems);
      if (audio->is_spice && !vs_domain_def_has_spice (self))
        vs_xml_problems_add_line (problems, audio->line, "<audio type='spice'> needs a <graphics type='spice'>; "
                                                         "accepted without one: none");
    }
  for (guint i = 0; i < self->sounds->len; i++)
    {
      VsSoundDef *sound = g_ptr_array_index (self->sounds, i);
      g_autofree char *id = g_strdup_printf ("%u", sound->audio);

      if (sound->audio > 0 && !g_hash_table_contains (seen, id))
        vs_xml_problems_add_line (problems, sound->line, "<sound> names an <audio id='%s'> that isn't there", id);
    }
}

static void
check_redirdevs (VsDomainDef *self, VsXmlProblems *problems)
{
  for (guint i = 0; i < self->redirdevs->len && !vs_domain_def_has_spice (self); i++)
    {
      VsRedirdevDef *redirdev = g_ptr_array_index (self->redirdevs, i);

      vs_xml_problems_add_line (problems, redirdev->line, "<redirdev type='spicevmc'> needs a "
                                                          "<graphics type='spice'>; add that, or remove this");
    }
}

static int
primary_first (gconstpointer a, gconstpointer b)
{
  const VsVideoDef *one = *(VsVideoDef *const *) a, *two = *(VsVideoDef *const *) b;

  if (one->primary != two->primary)
    return one->primary ? -1 : 1;
  return one->line < two->line ? -1 : one->line > two->line;
}

static void
settle_videos (VsDomainDef *self, VsXmlProblems *problems)
{
  for (guint i = 0; i < self->videos->len; i++)
    {
      VsVideoDef *video = g_ptr_array_index (self->videos, i);

      if (strcmp (video->model, "none") == 0 && self->videos->len > 1)
        vs_xml_problems_add_line (problems, video->line, "a <video> of type 'none' must be the only one");
    }
  g_ptr_array_sort (self->videos, primary_first);
  for (guint i = 0; i < self->videos->len; i++)
    {
      VsVideoDef *video = g_ptr_array_index (self->videos, i);

      if (video->primary && i > 0)
        vs_xml_problems_add_line (problems, video->line, "only one <video> can be primary");
      video->primary = i == 0;
    }
}

static void
read_single_devices (VsDomainDef *self, xmlNode *devices, VsXmlProblems *problems)
{
  xmlNode *memballoon = vs_xml_child (devices, "memballoon");
  xmlNode *tpm = vs_xml_child (devices, "tpm");

  self->emulator = vs_xml_text_path (problems, vs_xml_child (devices, "emulator"));
  if (memballoon != NULL)
    self->memballoon = vs_memballoon_def_read (problems, memballoon);
  if (tpm != NULL)
    self->tpm = vs_tpm_def_read (problems, tpm);
}

/**
 * vs_domain_def_read_devices:
 * @self: gets the devices; its `os` must have been read
 * @devices: (nullable): `<devices>`
 * @problems: where what is wrong goes
 */
void
vs_domain_def_read_devices (VsDomainDef *self, xmlNode *devices, VsXmlProblems *problems)
{
  self->disks = READ_ALL (devices, "disk", vs_disk_def, problems);
  self->controllers = READ_ALL (devices, "controller", vs_controller_def, problems);
  self->interfaces = READ_ALL (devices, "interface", vs_interface_def, problems);
  read_serials_and_consoles (self, devices, problems);
  self->channels = read_all (devices, "channel", (Read) vs_channel_def_read, (GDestroyNotify) vs_chardev_def_free,
                             problems);
  self->graphics = READ_ALL (devices, "graphics", vs_graphics_def, problems);
  self->videos = READ_ALL (devices, "video", vs_video_def, problems);
  self->inputs = READ_ALL (devices, "input", vs_input_def, problems);
  self->rngs = READ_ALL (devices, "rng", vs_rng_def, problems);
  self->watchdogs = READ_ALL (devices, "watchdog", vs_watchdog_def, problems);
  self->audios = READ_ALL (devices, "audio", vs_audio_def, problems);
  self->sounds = READ_ALL (devices, "sound", vs_sound_def, problems);
  self->redirdevs = READ_ALL (devices, "redirdev", vs_redirdev_def, problems);
  read_single_devices (self, devices, problems);

  check_disks (self, problems);
  check_controllers (self, problems);
  check_boot_orders (self, problems);
  check_channels (self, problems);
  check_graphics (self, problems);
  check_audio (self, problems);
  check_redirdevs (self, problems);
  settle_videos (self, problems);
}

void
vs_domain_def_clear_devices (VsDomainDef *self)
{
  g_clear_pointer (&self->disks, g_ptr_array_unref);
  g_clear_pointer (&self->controllers, g_ptr_array_unref);
  g_clear_pointer (&self->interfaces, g_ptr_array_unref);
  g_clear_pointer (&self->serials, g_ptr_array_unref);
  g_clear_pointer (&self->consoles, g_ptr_array_unref);
  g_clear_pointer (&self->channels, g_ptr_array_unref);
  g_clear_pointer (&self->graphics, g_ptr_array_unref);
  g_clear_pointer (&self->videos, g_ptr_array_unref);
  g_clear_pointer (&self->inputs, g_ptr_array_unref);
  g_clear_pointer (&self->rngs, g_ptr_array_unref);
  g_clear_pointer (&self->watchdogs, g_ptr_array_unref);
  g_clear_pointer (&self->audios, g_ptr_array_unref);
  g_clear_pointer (&self->sounds, g_ptr_array_unref);
  g_clear_pointer (&self->redirdevs, g_ptr_array_unref);
  g_clear_pointer (&self->memballoon, vs_memballoon_def_free);
  g_clear_pointer (&self->tpm, vs_tpm_def_free);
  g_clear_pointer (&self->emulator, g_free);
}
