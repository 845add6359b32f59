/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * VMSNAP_BUS_NAME:
 *
 * The name of the service, on the system bus or a session bus.
 */
#define VMSNAP_BUS_NAME "org.vmsnap.VmSnap1"

/**
 * VMSNAP_OBJECT_MANAGER_PATH:
 *
 * Where the service has its object manager.
 */
#define VMSNAP_OBJECT_MANAGER_PATH "/org/vmsnap/VmSnap1"

/**
 * VMSNAP_MANAGER_PATH:
 *
 * Where the service has its manager.
 */
#define VMSNAP_MANAGER_PATH VMSNAP_OBJECT_MANAGER_PATH "/Manager"

/**
 * VMSNAP_DOMAINS_PATH:
 *
 * What the paths of domains begin with; see vmsnap_domain_object_path().
 */
#define VMSNAP_DOMAINS_PATH VMSNAP_OBJECT_MANAGER_PATH "/domains"

/**
 * VMSNAP_JOBS_PATH:
 *
 * What the paths of jobs begin with; see vmsnap_job_object_path().
 */
#define VMSNAP_JOBS_PATH VMSNAP_OBJECT_MANAGER_PATH "/jobs"

/**
 * VMSNAP_ERROR_PREFIX:
 *
 * What the names of the service's errors begin with.
 */
#define VMSNAP_ERROR_PREFIX "org.vmsnap.VmSnap1.Error."

/**
 * VMSNAP_ACTION_PREFIX:
 *
 * What the names of its polkit actions begin with.
 */
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
