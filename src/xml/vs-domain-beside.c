/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The definition of a guest that is started beside another one of the same domain: what two can't hold at once has other
 * names in it. Immutable in, immutable out; any thread.
 */
#include "vs-domain-def.h"

#include <string.h>

#include "vs-devices.h"
#include "vs-xml-read.h"

/* The longest path that the address of a socket can hold, with the byte that ends it. */
#define MAX_SOCKET_PATH 107

static void
move_attr (xmlNode *node, const char *attribute, const char *suffix)
{
  g_autofree char *path = vs_xml_attr (node, attribute);
  g_autofree char *moved = path != NULL ? g_strconcat (path, suffix, NULL) : NULL;

  if (moved != NULL)
    vs_xml_set_attr (node, attribute, moved);
}

/* A socket gets another name, a file is written to by both. */
static void
move_chardevs (xmlNode *devices, const char *kind, const char *suffix)
{
  for (xmlNode *node = vs_xml_child (devices, kind); node != NULL; node = vs_xml_next_sibling (node))
    {
      xmlNode *source = vs_xml_child (node, "source");

      if (source != NULL && vs_xml_attr_is (node, "type", "unix") && !vs_xml_attr_is (source, "mode", "connect"))
        move_attr (source, "path", suffix);
      if (source != NULL && vs_xml_attr_is (node, "type", "file"))
        vs_xml_set_attr (source, "append", "on");
    }
}

static void
set_socket (xmlNode *graphics)
{
  static const char *const gone[] = { "port", "autoport", "listen", "socket" };
  xmlNode *listen;

  while (vs_xml_child (graphics, "listen") != NULL)
    vs_xml_remove_child (graphics, "listen");
  for (gsize i = 0; i < G_N_ELEMENTS (gone); i++)
    xmlUnsetProp (graphics, VS_XML (gone[i]));
  listen = vs_xml_ensure_child (graphics, "listen", NULL);
  vs_xml_set_attr (listen, "type", "socket");
}

static void
move_displays (VsDomainDef *self, xmlNode *devices)
{
  xmlNode *node = vs_xml_child (devices, "graphics");

  for (guint i = 0; i < self->graphics->len && node != NULL; i++, node = vs_xml_next_sibling (node))
    if (vs_domain_def_has_place (g_ptr_array_index (self->graphics, i)))
      set_socket (node);
}

/**
 * vs_domain_def_has_place:
 * @graphics: a display
 *
 * Returns: whether it is where the definition says, and nowhere else: no two can be there
 */
gboolean
vs_domain_def_has_place (const VsGraphicsDef *graphics)
{
  return (graphics->listen == VS_LISTEN_ADDRESS && !graphics->autoport && graphics->port > 0)
         || (graphics->listen == VS_LISTEN_SOCKET && graphics->socket != NULL);
}

/**
 * vs_domain_def_copy_beside:
 * @self: a definition
 * @suffix: appended to the paths of the sockets on which QEMU listens
 * @error: %VMSNAP_ERROR_INVALID_XML when that can't be
 *
 * What a guest is started with beside another one that has @self, or some of it: its sockets have other names, its files
 * are appended to, and its displays whose place is given listen on sockets in the guest's own directory. For the guest
 * itself nothing is different.
 *
 * Returns: (transfer full) (nullable): the changed copy
 */
VsDomainDef *
vs_domain_def_copy_beside (VsDomainDef *self, const char *suffix, GError **error)
{
  static const char *const kinds[] = { "serial", "console", "channel" };
  xmlDoc *doc = xmlCopyDoc (self->doc, 1);
  xmlNode *devices = vs_xml_child (xmlDocGetRootElement (doc), "devices");

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    move_chardevs (devices, kinds[i], suffix);
  move_displays (self, devices);
  return vs_domain_def_finish_copy (doc, error);
}

static char *
explain_chardevs (GPtrArray *chardevs, const char *suffix)
{
  for (guint i = 0; i < chardevs->len; i++)
    {
      const VsChardevDef *chardev = g_ptr_array_index (chardevs, i);

      if (chardev->type != VS_CHARDEV_UNIX || chardev->path == NULL)
        continue;
      if (!chardev->listen)
        return g_strdup_printf ("it is a client of the socket %s", chardev->path);
      if (strlen (chardev->path) + strlen (suffix) > MAX_SOCKET_PATH)
        return g_strdup_printf ("the path of the socket %s is too long for another one beside it", chardev->path);
    }
  return NULL;
}

/* There is one of each kind at most. */
static char *
explain_displays (VsDomainDef *self)
{
  for (guint i = 0; i < self->graphics->len; i++)
    {
      const VsGraphicsDef *graphics = g_ptr_array_index (self->graphics, i);

      if (graphics->type == VS_GRAPHICS_SPICE && vs_domain_def_has_place (graphics))
        return g_strdup ("its SPICE display has a fixed place");
    }
  return NULL;
}

static gboolean
has_named_tap (VsDomainDef *self)
{
  for (guint i = 0; i < self->interfaces->len; i++)
    if (((const VsInterfaceDef *) g_ptr_array_index (self->interfaces, i))->ifname != NULL)
      return TRUE;
  return FALSE;
}

/**
 * vs_domain_def_explain_alone:
 * @self: a definition
 * @suffix: as for vs_domain_def_copy_beside()
 *
 * Returns: (transfer full) (nullable): why there can't be two guests like that at once, as the end of a sentence; %NULL:
 *   there can
 */
char *
vs_domain_def_explain_alone (VsDomainDef *self, const char *suffix)
{
  char *why = explain_chardevs (self->serials, suffix);

  if (why == NULL)
    why = explain_chardevs (self->consoles, suffix);
  if (why == NULL)
    why = explain_chardevs (self->channels, suffix);
  if (why == NULL)
    why = explain_displays (self);
  if (why == NULL && self->tpm != NULL)
    why = g_strdup ("it has an emulated TPM");
  if (why == NULL && self->qemu_args != NULL && self->qemu_args[0] != NULL)
    why = g_strdup ("it has arguments of its own for QEMU");
  if (why == NULL && has_named_tap (self))
    why = g_strdup ("it has a tap device with a name of its own");
  return why;
}
