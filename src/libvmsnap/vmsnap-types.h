/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <vmsnap-dbus.h>
#include <vmsnap-enums.h>
#include <vmsnap-error.h>
#include <vmsnap-names.h>

G_BEGIN_DECLS

#define VMSNAP_TYPE_CLIENT (vmsnap_client_get_type ())
G_DECLARE_FINAL_TYPE (VmSnapClient, vmsnap_client, VMSNAP, CLIENT, GObject)

#define VMSNAP_TYPE_DOMAIN (vmsnap_domain_get_type ())
G_DECLARE_FINAL_TYPE (VmSnapDomain, vmsnap_domain, VMSNAP, DOMAIN, VmSnapDBusDomainProxy)

#define VMSNAP_TYPE_SNAPSHOT (vmsnap_snapshot_get_type ())
G_DECLARE_FINAL_TYPE (VmSnapSnapshot, vmsnap_snapshot, VMSNAP, SNAPSHOT, VmSnapDBusSnapshotProxy)

#define VMSNAP_TYPE_JOB (vmsnap_job_get_type ())
G_DECLARE_FINAL_TYPE (VmSnapJob, vmsnap_job, VMSNAP, JOB, VmSnapDBusJobProxy)

/**
 * VmSnapWaitFlags:
 * @VMSNAP_WAIT_NONE: a cancelled wait stops waiting; the job goes on
 * @VMSNAP_WAIT_CANCEL_JOB: a cancelled wait cancels the job, and goes on waiting until the job has ended
 *
 * What a cancelled wait for a job does. See vmsnap_job_wait().
 */
typedef enum /*< flags >*/
{
  VMSNAP_WAIT_NONE = 0,
  VMSNAP_WAIT_CANCEL_JOB = 1 << 0,
} VmSnapWaitFlags;

G_END_DECLS
