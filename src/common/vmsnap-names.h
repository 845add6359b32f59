/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define VMSNAP_BUS_NAME "org.vmsnap.VmSnap1"
#define VMSNAP_OBJECT_MANAGER_PATH "/org/vmsnap/VmSnap1"
#define VMSNAP_MANAGER_PATH VMSNAP_OBJECT_MANAGER_PATH "/Manager"
#define VMSNAP_DOMAINS_PATH VMSNAP_OBJECT_MANAGER_PATH "/domains"
#define VMSNAP_JOBS_PATH VMSNAP_OBJECT_MANAGER_PATH "/jobs"
#define VMSNAP_ERROR_PREFIX "org.vmsnap.VmSnap1.Error."
#define VMSNAP_ACTION_PREFIX "org.vmsnap.VmSnap1."

/**
 * VMSNAP_NAME_MAX:
 *
 * The longest name of a domain or snapshot, in bytes of UTF-8: it must still fit into a file name (255 bytes on Linux)
 * with what is put before and behind it, and into a qcow2 snapshot's tag (255 bytes).
 */
#define VMSNAP_NAME_MAX 200

char *vmsnap_domain_object_path (const char *uuid);
char *vmsnap_snapshot_object_path (const char *domain_uuid,
                                   const char *snapshot_name);
char *vmsnap_job_object_path (guint number);
char *vmsnap_encode_name (const char *name);
char *vmsnap_decode_name (const char *encoded);
gboolean vmsnap_name_is_valid (const char *name);

G_END_DECLS
