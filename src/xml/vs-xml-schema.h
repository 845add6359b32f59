/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-xml-util.h"

G_BEGIN_DECLS

/**
 * VsXmlSchema:
 * @VS_XML_SCHEMA_DOMAIN: `<domain>`
 * @VS_XML_SCHEMA_SNAPSHOT: `<domainsnapshot>`
 */
typedef enum {
  VS_XML_SCHEMA_DOMAIN,
  VS_XML_SCHEMA_SNAPSHOT,
} VsXmlSchema;

void vs_xml_schema_check (VsXmlSchema schema,
                          xmlDoc *doc,
                          VsXmlProblems *problems);

G_END_DECLS
