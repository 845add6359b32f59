/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

G_BEGIN_DECLS

/**
 * VsXmlLimits:
 * @max_bytes: of the text
 * @max_depth: of nested elements
 * @max_elements: real definitions have some hundreds; a schema of libxml2's takes a time that grows with their square
 *
 * The most that a definition may hold; far above what any real one does.
 */
typedef struct {
  gsize max_bytes;
  guint max_depth;
  guint max_elements;
} VsXmlLimits;

/* A snapshot holds up to two domains, each a level deeper: what was accepted must be readable in it, too. */
extern const VsXmlLimits vs_xml_domain_limits;
extern const VsXmlLimits vs_xml_snapshot_limits;

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
                      const VsXmlLimits *limits,
                      VsXmlProblems *problems);
gboolean vs_xml_text_is_valid (const char *text);
char *vs_xml_clean_text (const char *text);
void vs_xml_check_written_size (xmlDoc *doc,
                                const VsXmlLimits *limits,
                                VsXmlProblems *problems);
char *vs_xml_format (xmlDoc *doc);
char *vs_xml_node_name (xmlNode *node);

G_END_DECLS
