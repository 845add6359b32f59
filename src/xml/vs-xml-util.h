/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

G_BEGIN_DECLS

/* The most that a definition may hold; far above what any real one does. */
#define VS_XML_MAX_BYTES (1024 * 1024)
#define VS_XML_MAX_DEPTH 64

/* How libxml2 spells a string. */
#define VS_XML(string) ((const xmlChar *) (string))

typedef struct _VsXmlProblems VsXmlProblems;

VsXmlProblems *vs_xml_problems_new (void);
void vs_xml_problems_free (VsXmlProblems *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VsXmlProblems, vs_xml_problems_free)

void vs_xml_problems_add (VsXmlProblems *self,
                          xmlNode *node,
                          const char *format,
                          ...) G_GNUC_PRINTF (3, 4);
void vs_xml_problems_add_line (VsXmlProblems *self,
                               guint line,
                               const char *format,
                               ...) G_GNUC_PRINTF (3, 4);
guint vs_xml_problems_get_count (VsXmlProblems *self);
gboolean vs_xml_problems_to_error (VsXmlProblems *self,
                                   const char *what,
                                   GError **error);

xmlDoc *vs_xml_parse (const char *data,
                      gsize length,
                      const char *root_name,
                      VsXmlProblems *problems);
char *vs_xml_format (xmlDoc *doc);
char *vs_xml_node_name (xmlNode *node);

G_END_DECLS
