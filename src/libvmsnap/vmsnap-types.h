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

#define VMSNAP_TYPE_IMAGE_INFO (vmsnap_image_info_get_type ())
G_DECLARE_FINAL_TYPE (VmSnapImageInfo, vmsnap_image_info, VMSNAP, IMAGE_INFO, GObject)

/**
 * VmSnapImageAccess:
 * @VMSNAP_IMAGE_ACCESS_READ: to inspect an image, or to restore from it
 * @VMSNAP_IMAGE_ACCESS_REWRITE: to change what an image says
 * @VMSNAP_IMAGE_ACCESS_SAVE: to save into it: the file is made if there is none, readable and writable for its owner
 *   alone; one that is there is taken if it is empty, or an image that isn't complete
 * @VMSNAP_IMAGE_ACCESS_OVERWRITE: to save into it, whatever it is now: also into a block device
 *
 * What the file of a saved image is opened for. See vmsnap_image_open().
 */
typedef enum
{
  VMSNAP_IMAGE_ACCESS_READ,
  VMSNAP_IMAGE_ACCESS_REWRITE,
  VMSNAP_IMAGE_ACCESS_SAVE,
  VMSNAP_IMAGE_ACCESS_OVERWRITE,
} VmSnapImageAccess;

/**
 * VmSnapProgressCallback:
 * @job: a job that is waited for
 * @phase: what it is doing, for people; empty while it waits for its turn
 * @bytes_done: the bytes moved so far
 * @bytes_total: the bytes to move in all, as far as is known now; 0: not known
 * @user_data: what was given with the callback
 *
 * Tells how far a job is. vmsnap_job_get_progress() is that as a fraction, which never goes backwards.
 */
typedef void (*VmSnapProgressCallback) (VmSnapJob *job,
                                        const char *phase,
                                        guint64 bytes_done,
                                        guint64 bytes_total,
                                        gpointer user_data);

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
