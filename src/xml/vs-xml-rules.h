/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vs-xml-util.h"

G_BEGIN_DECLS

#define VS_QEMU_XMLNS "http://libvirt.org/schemas/domain/qemu/1.0"

void vs_xml_rules_check (xmlNode *root,
                         const char *row,
                         VsXmlProblems *problems);

G_END_DECLS
