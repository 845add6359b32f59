/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-device-defs.h"
#include "vs-xml-util.h"

G_BEGIN_DECLS

xmlNode *vs_xml_child (xmlNode *node,
                       const char *name);
xmlNode *vs_xml_next_sibling (xmlNode *node);
gboolean vs_xml_is (xmlNode *node,
                    const char *name);

char *vs_xml_text (xmlNode *node);
char *vs_xml_child_text (xmlNode *node,
                         const char *name);
char *vs_xml_text_path (VsXmlProblems *problems,
                        xmlNode *node);
int vs_xml_text_choice (VsXmlProblems *problems,
                        xmlNode *node,
                        const char *choices,
                        int fallback);
gboolean vs_xml_text_uint (VsXmlProblems *problems,
                           xmlNode *node,
                           guint64 min,
                           guint64 max,
                           guint64 *value);

char *vs_xml_attr (xmlNode *node,
                   const char *name);
gboolean vs_xml_attr_is (xmlNode *node,
                         const char *name,
                         const char *value);
char *vs_xml_attr_path (VsXmlProblems *problems,
                        xmlNode *node,
                        const char *name);
char *vs_xml_attr_token (VsXmlProblems *problems,
                         xmlNode *node,
                         const char *name,
                         const char *further_characters);
int vs_xml_attr_choice (VsXmlProblems *problems,
                        xmlNode *node,
                        const char *name,
                        const char *choices,
                        int fallback);
char *vs_xml_attr_word (VsXmlProblems *problems,
                        xmlNode *node,
                        const char *name,
                        const char *choices);
VsTristate vs_xml_attr_tristate (VsXmlProblems *problems,
                                 xmlNode *node,
                                 const char *name);
gboolean vs_xml_attr_uint (VsXmlProblems *problems,
                           xmlNode *node,
                           const char *name,
                           guint64 min,
                           guint64 max,
                           guint64 *value);
gint64 vs_xml_attr_int_or (VsXmlProblems *problems,
                           xmlNode *node,
                           const char *name,
                           guint64 min,
                           guint64 max,
                           gint64 fallback);
void vs_xml_require (VsXmlProblems *problems,
                     xmlNode *node,
                     gboolean present,
                     const char *what);
gboolean vs_xml_check_path (VsXmlProblems *problems,
                            xmlNode *node,
                            const char *path);

void vs_xml_set_attr (xmlNode *node,
                      const char *name,
                      const char *value);
void vs_xml_set_text (xmlNode *node,
                      const char *text);
xmlNode *vs_xml_ensure_child (xmlNode *parent,
                              const char *name,
                              const char *after);
void vs_xml_remove_child (xmlNode *parent,
                          const char *name);

G_END_DECLS
