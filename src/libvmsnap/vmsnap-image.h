/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap-types.h>

G_BEGIN_DECLS

guint vmsnap_image_info_get_format_version (VmSnapImageInfo *info);
gboolean vmsnap_image_info_is_complete (VmSnapImageInfo *info);
VmSnapDomainState vmsnap_image_info_get_state (VmSnapImageInfo *info);
const char *vmsnap_image_info_get_encoding (VmSnapImageInfo *info);
const char *vmsnap_image_info_get_domain_name (VmSnapImageInfo *info);
const char *vmsnap_image_info_get_domain_uuid (VmSnapImageInfo *info);
const char *vmsnap_image_info_get_xml (VmSnapImageInfo *info);
guint64 vmsnap_image_info_get_memory_size (VmSnapImageInfo *info);

int vmsnap_image_open (GFile *file, VmSnapImageAccess access, gboolean *created, GError **error);

G_END_DECLS
