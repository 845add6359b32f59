/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Interfaces, serial ports, consoles, channels, graphics and redirected USB ports: where a guest meets the host. Pure;
 * any thread, apart from a generated MAC, which is written back into the tree.
 */
#include "vs-devices.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "vs-xml-read.h"

static char *
make_mac (void)
{
  guint32 random = g_random_int ();

  return g_strdup_printf ("52:54:00:%02x:%02x:%02x", random & 0xff, (random >> 8) & 0xff, (random >> 16) & 0xff);
}

static char *
parse_mac (const char *text)
{
  guint byte[6];
  int end = 0;

  if (sscanf (text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5], &end) != 6)
    return NULL;
  if (end != 17 || text[end] != '\0' || strspn (text, "0123456789abcdefABCDEF:") != 17 || (byte[0] & 1) != 0)
    return NULL;
  return g_ascii_strdown (text, -1);
}

static void
read_mac (VsXmlProblems *problems, xmlNode *interface, VsInterfaceDef *self)
{
  xmlNode *node = vs_xml_child (interface, "mac");
  g_autofree char *text = vs_xml_attr (node, "address");

  if (text == NULL)
    {
      self->mac = make_mac ();
      self->mac_is_made = TRUE;
      vs_xml_set_attr (vs_xml_ensure_child (interface, "mac", NULL), "address", self->mac);
      return;
    }
  self->mac = parse_mac (text);
  if (self->mac == NULL)
    vs_xml_problems_add (problems, node, "<mac address='%.40s'> isn't usable; accepted: a unicast address such as "
                                         "52:54:00:12:34:56", text);
}

static gboolean
is_interface_name (const char *name)
{
  gsize length = strlen (name);

  if (length == 0 || length >= IFNAMSIZ || strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
    return FALSE;
  for (const char *p = name; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("._-", *p) == NULL)
      return FALSE;
  return TRUE;
}

static void
check_interface_name (VsXmlProblems *problems, xmlNode *node, const char *name)
{
  if (name != NULL && !is_interface_name (name))
    vs_xml_problems_add (problems, node, "'%.40s' in <%s> isn't usable as the name of a bridge or network device; "
                                         "accepted: up to %d letters, digits and any of '._-'",
                         name, node->name, IFNAMSIZ - 1);
}

static void
read_interface_source (VsXmlProblems *problems, xmlNode *interface, VsInterfaceDef *self, gboolean network)
{
  xmlNode *node = vs_xml_child (interface, "source");

  if (self->type == VS_INTERFACE_USER)
    {
      if (node != NULL)
        vs_xml_problems_add (problems, node, "<source> isn't supported for an interface of type 'user'");
      return;
    }
  self->bridge = vs_xml_attr (node, "bridge");
  if (self->bridge == NULL && network)
    self->bridge = vs_xml_attr (node, "network");
  vs_xml_require (problems, interface, self->bridge != NULL, network ? "<source network=…>" : "<source bridge=…>");
  check_interface_name (problems, node, self->bridge);
}

/**
 * vs_interface_def_read:
 * @problems: where what is wrong goes
 * @node: an `<interface>`; a MAC is written into it when it has none
 *
 * Returns: (transfer full): the interface
 */
VsInterfaceDef *
vs_interface_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsInterfaceDef *self = g_new0 (VsInterfaceDef, 1);
  int type = vs_xml_attr_choice (problems, node, "type", "user bridge network", 0);
  int link = vs_xml_attr_choice (problems, vs_xml_child (node, "link"), "state", "up down", -1);

  self->line = (guint) xmlGetLineNo (node);
  self->type = type == 0 ? VS_INTERFACE_USER : VS_INTERFACE_BRIDGE;
  read_mac (problems, node, self);
  read_interface_source (problems, node, self, type == 2);
  self->model = vs_xml_attr_word (problems, vs_xml_child (node, "model"), "type", "virtio e1000 e1000e rtl8139");
  if (self->model == NULL)
    self->model = g_strdup ("virtio");
  vs_xml_attr_choice (problems, vs_xml_child (node, "driver"), "name", "vhost qemu", 0);
  self->ifname = vs_xml_attr (vs_xml_child (node, "target"), "dev");
  if (self->ifname != NULL && g_str_has_prefix (self->ifname, "vnet"))
    g_clear_pointer (&self->ifname, g_free); /* libvirt's choice for one run, not its author's */
  check_interface_name (problems, vs_xml_child (node, "target"), self->ifname);
  self->link = (VsTristate) (link + 1);
  self->rom_enabled = vs_xml_attr_tristate (problems, vs_xml_child (node, "rom"), "enabled");
  self->rom_bar = vs_xml_attr_tristate (problems, vs_xml_child (node, "rom"), "bar");
  self->boot_order = vs_read_boot_order (problems, node);
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_interface_def_free (VsInterfaceDef *self)
{
  g_free (self->bridge);
  g_free (self->mac);
  g_free (self->model);
  g_free (self->ifname);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}

/* Sockets of libvirt's own choice lie where only libvirt may write: then the choice is ours. */
static gboolean
is_chosen_by_libvirt (const char *path)
{
  return g_str_has_prefix (path, "/run/libvirt/") || g_str_has_prefix (path, "/var/run/libvirt/") ||
         g_str_has_prefix (path, "/var/lib/libvirt/qemu/channel/");
}

static void
read_chardev_source (VsXmlProblems *problems, xmlNode *device, VsChardevDef *self, gboolean is_channel)
{
  xmlNode *node = vs_xml_child (device, "source");

  self->listen = vs_xml_attr_choice (problems, node, "mode", "bind connect", 0) == 0;
  self->append = vs_xml_attr_tristate (problems, node, "append") == VS_TRISTATE_ON;
  if (self->type != VS_CHARDEV_UNIX && self->type != VS_CHARDEV_FILE)
    return;
  self->path = vs_xml_attr_path (problems, node, "path");
  if (self->path != NULL && is_channel && is_chosen_by_libvirt (self->path))
    g_clear_pointer (&self->path, g_free);
  else if (self->type == VS_CHARDEV_FILE || !self->listen || !is_channel)
    vs_xml_require (problems, device, node != NULL && xmlHasProp (node, VS_XML ("path")), "<source path=…>");
}

static VsChardevDef *
read_chardev (VsXmlProblems *problems, xmlNode *node)
{
  VsChardevDef *self = g_new0 (VsChardevDef, 1);
  gboolean is_channel = vs_xml_is (node, "channel");
  const char *types = is_channel ? "pty unix file null spicevmc" : "pty unix file null";
  int type = vs_xml_attr_choice (problems, node, "type", types, -1);

  self->line = (guint) xmlGetLineNo (node);
  self->type = type >= 0 ? (VsChardevType) type : VS_CHARDEV_NULL;
  read_chardev_source (problems, node, self, is_channel);
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

/**
 * vs_serial_def_read:
 * @problems: where what is wrong goes
 * @node: a `<serial>`, or a `<console>` that stands for one
 * @default_port: its number when it says none
 *
 * Returns: (transfer full): the serial port
 */
VsChardevDef *
vs_serial_def_read (VsXmlProblems *problems, xmlNode *node, guint default_port)
{
  VsChardevDef *self = read_chardev (problems, node);
  xmlNode *target = vs_xml_child (node, "target");
  xmlNode *model = vs_xml_child (target, "model");

  self->target_port = (guint) vs_xml_attr_int_or (problems, target, "port", 0, 255, default_port);
  if (vs_xml_is (node, "serial"))
    self->target_type = vs_xml_attr_word (problems, target, "type", "isa-serial pci-serial usb-serial");
  if (self->target_type == NULL)
    self->target_type = g_strdup ("isa-serial");
  if (model != NULL && !vs_xml_attr_is (model, "name", self->target_type))
    vs_xml_problems_add (problems, model, "<model> of a serial port isn't supported; accepted: name='%s'",
                         self->target_type);
  return self;
}

/**
 * vs_console_def_read:
 * @problems: where what is wrong goes
 * @node: a `<console>` whose target is virtio
 *
 * Returns: (transfer full): the console
 */
VsChardevDef *
vs_console_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsChardevDef *self = read_chardev (problems, node);
  xmlNode *target = vs_xml_child (node, "target");

  self->target_type = g_strdup ("virtio");
  self->target_port = (guint) vs_xml_attr_int_or (problems, target, "port", 0, 255, 0);
  return self;
}

/**
 * vs_channel_def_read:
 * @problems: where what is wrong goes
 * @node: a `<channel>`
 *
 * Returns: (transfer full): the channel
 */
VsChardevDef *
vs_channel_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsChardevDef *self = read_chardev (problems, node);
  xmlNode *target = vs_xml_child (node, "target");

  vs_xml_attr_choice (problems, target, "type", "virtio", 0);
  vs_xml_attr_choice (problems, target, "state", "connected disconnected", 0);
  self->target_type = g_strdup ("virtio");
  self->target_name = vs_xml_attr_token (problems, target, "name", "._:-");
  if (self->type == VS_CHARDEV_SPICEVMC && self->target_name == NULL)
    self->target_name = g_strdup ("com.redhat.spice.0");
  return self;
}

void
vs_chardev_def_free (VsChardevDef *self)
{
  g_free (self->path);
  g_free (self->target_type);
  g_free (self->target_name);
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}

static void
read_listen (VsXmlProblems *problems, xmlNode *graphics, VsGraphicsDef *self)
{
  static const char address_characters[] = ".:%_-";
  xmlNode *node = vs_xml_child (graphics, "listen");
  int type = vs_xml_attr_choice (problems, node, "type", "address socket none", -1);

  self->socket = vs_xml_attr_path (problems, node, "socket");
  if (self->socket == NULL)
    self->socket = vs_xml_attr_path (problems, graphics, "socket");
  if (type < 0)
    type = self->socket != NULL ? VS_LISTEN_SOCKET : VS_LISTEN_ADDRESS;
  self->listen = (VsListenType) type;

  self->listen_address = vs_xml_attr_token (problems, node, "address", address_characters);
  if (self->listen_address == NULL)
    self->listen_address = vs_xml_attr_token (problems, graphics, "listen", address_characters);
  if (self->listen_address == NULL)
    self->listen_address = g_strdup ("127.0.0.1");
}

static int
read_port (VsXmlProblems *problems, xmlNode *node, const char *attribute, guint64 min)
{
  if (vs_xml_attr_is (node, attribute, "-1"))
    return -1;
  return (int) vs_xml_attr_int_or (problems, node, attribute, min, 65535, -1);
}

/* As libvirt has it: VNC without a port chooses one itself, SPICE only when told so. */
static void
read_ports (VsXmlProblems *problems, xmlNode *node, VsGraphicsDef *self)
{
  VsTristate autoport = vs_xml_attr_tristate (problems, node, "autoport");
  gboolean vnc = self->type == VS_GRAPHICS_VNC;

  self->port = read_port (problems, node, "port", vnc ? 5900 : 1);
  self->tls_port = vnc ? -1 : read_port (problems, node, "tlsPort", 1);
  self->autoport = autoport == VS_TRISTATE_ON || vs_xml_attr_is (node, "port", "-1") ||
                   (vnc && !xmlHasProp (node, VS_XML ("port")));
  if (self->autoport)
    self->port = -1;
}

/**
 * vs_graphics_def_read:
 * @problems: where what is wrong goes
 * @node: a `<graphics>`
 *
 * Returns: (transfer full): the graphics
 */
VsGraphicsDef *
vs_graphics_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsGraphicsDef *self = g_new0 (VsGraphicsDef, 1);

  self->line = (guint) xmlGetLineNo (node);
  self->type = (VsGraphicsType) vs_xml_attr_choice (problems, node, "type", "vnc spice", VS_GRAPHICS_VNC);
  read_listen (problems, node, self);
  read_ports (problems, node, self);
  self->keymap = vs_xml_attr_token (problems, node, "keymap", "_-");
  self->share_policy = vs_xml_attr_word (problems, node, "sharePolicy", "allow-exclusive force-shared ignore");
  return self;
}

void
vs_graphics_def_free (VsGraphicsDef *self)
{
  g_free (self->listen_address);
  g_free (self->socket);
  g_free (self->keymap);
  g_free (self->share_policy);
  g_free (self);
}

/**
 * vs_redirdev_def_read:
 * @problems: where what is wrong goes
 * @node: a `<redirdev>`
 *
 * Returns: (transfer full): the redirected USB port
 */
VsRedirdevDef *
vs_redirdev_def_read (VsXmlProblems *problems, xmlNode *node)
{
  VsRedirdevDef *self = g_new0 (VsRedirdevDef, 1);

  self->line = (guint) xmlGetLineNo (node);
  self->alias = vs_read_alias (node);
  vs_read_address (problems, node, &self->address);
  return self;
}

void
vs_redirdev_def_free (VsRedirdevDef *self)
{
  g_free (self->alias);
  g_free (self->address.port);
  g_free (self);
}
