/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/* Every enum's nicks are the words of the bus: vmsnap_enum_to_nick() and vmsnap_enum_from_nick() go between them. */

/**
 * VmSnapDomainState:
 * @VMSNAP_DOMAIN_STATE_SHUTOFF: there is no guest
 * @VMSNAP_DOMAIN_STATE_RUNNING: the guest's processors run
 * @VMSNAP_DOMAIN_STATE_PAUSED: the guest is there, and stands still
 * @VMSNAP_DOMAIN_STATE_CRASHED: the guest's kernel panicked, and its remains are kept
 *
 * The states of a domain.
 */
typedef enum {
  VMSNAP_DOMAIN_STATE_SHUTOFF,
  VMSNAP_DOMAIN_STATE_RUNNING,
  VMSNAP_DOMAIN_STATE_PAUSED,
  VMSNAP_DOMAIN_STATE_CRASHED,
} VmSnapDomainState;

/**
 * VmSnapStateReason:
 * @VMSNAP_STATE_REASON_UNKNOWN: not known, for instance because it happened before the service looked
 * @VMSNAP_STATE_REASON_BOOTED: started from nothing
 * @VMSNAP_STATE_REASON_RESTORED: started from a saved image
 * @VMSNAP_STATE_REASON_FROM_SNAPSHOT: the result of a revert
 * @VMSNAP_STATE_REASON_USER: somebody asked for it
 * @VMSNAP_STATE_REASON_SAVING: stopped while its memory is saved
 * @VMSNAP_STATE_REASON_SNAPSHOTTING: stopped for a snapshot
 * @VMSNAP_STATE_REASON_IO_ERROR: stopped by a disk's error
 * @VMSNAP_STATE_REASON_SHUTDOWN: the guest shut itself down
 * @VMSNAP_STATE_REASON_DESTROYED: powered off from outside
 * @VMSNAP_STATE_REASON_SAVED: its memory went into an image
 * @VMSNAP_STATE_REASON_FAILED: QEMU failed
 *
 * Why a domain is in its state.
 */
typedef enum {
  VMSNAP_STATE_REASON_UNKNOWN,
  VMSNAP_STATE_REASON_BOOTED,
  VMSNAP_STATE_REASON_RESTORED,
  VMSNAP_STATE_REASON_FROM_SNAPSHOT,
  VMSNAP_STATE_REASON_USER,
  VMSNAP_STATE_REASON_SAVING,
  VMSNAP_STATE_REASON_SNAPSHOTTING,
  VMSNAP_STATE_REASON_IO_ERROR,
  VMSNAP_STATE_REASON_SHUTDOWN,
  VMSNAP_STATE_REASON_DESTROYED,
  VMSNAP_STATE_REASON_SAVED,
  VMSNAP_STATE_REASON_FAILED,
} VmSnapStateReason;

/**
 * VmSnapSnapshotState:
 * @VMSNAP_SNAPSHOT_STATE_RUNNING: taken of a running guest, with its memory
 * @VMSNAP_SNAPSHOT_STATE_PAUSED: taken of a paused guest, with its memory
 * @VMSNAP_SNAPSHOT_STATE_SHUTOFF: taken while the domain was off
 * @VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT: disks only, of a domain that was not off
 *
 * What a snapshot brings back.
 */
typedef enum {
  VMSNAP_SNAPSHOT_STATE_RUNNING,
  VMSNAP_SNAPSHOT_STATE_PAUSED,
  VMSNAP_SNAPSHOT_STATE_SHUTOFF,
  VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT,
} VmSnapSnapshotState;

/**
 * VmSnapLocation:
 * @VMSNAP_LOCATION_NONE: nowhere: it isn't part of the snapshot
 * @VMSNAP_LOCATION_INTERNAL: inside the qcow2 files
 * @VMSNAP_LOCATION_EXTERNAL: in files of its own
 * @VMSNAP_LOCATION_MIXED: some internal, some external
 *
 * Where a snapshot's disks, or its memory, are kept.
 */
typedef enum {
  VMSNAP_LOCATION_NONE,
  VMSNAP_LOCATION_INTERNAL,
  VMSNAP_LOCATION_EXTERNAL,
  VMSNAP_LOCATION_MIXED,
} VmSnapLocation;

/**
 * VmSnapJobState:
 * @VMSNAP_JOB_STATE_QUEUED: waits for its turn
 * @VMSNAP_JOB_STATE_RUNNING: under way
 * @VMSNAP_JOB_STATE_CANCELLING: somebody cancelled it, and it is being undone
 * @VMSNAP_JOB_STATE_COMPLETED: done
 * @VMSNAP_JOB_STATE_FAILED: it could not be done; all is as before it
 * @VMSNAP_JOB_STATE_CANCELLED: cancelled; all is as before it
 *
 * The states of a job. The last three are ends.
 */
typedef enum {
  VMSNAP_JOB_STATE_QUEUED,
  VMSNAP_JOB_STATE_RUNNING,
  VMSNAP_JOB_STATE_CANCELLING,
  VMSNAP_JOB_STATE_COMPLETED,
  VMSNAP_JOB_STATE_FAILED,
  VMSNAP_JOB_STATE_CANCELLED,
} VmSnapJobState;

#define VMSNAP_TYPE_DOMAIN_STATE (vmsnap_domain_state_get_type ())
#define VMSNAP_TYPE_STATE_REASON (vmsnap_state_reason_get_type ())
#define VMSNAP_TYPE_SNAPSHOT_STATE (vmsnap_snapshot_state_get_type ())
#define VMSNAP_TYPE_LOCATION (vmsnap_location_get_type ())
#define VMSNAP_TYPE_JOB_STATE (vmsnap_job_state_get_type ())

GType vmsnap_domain_state_get_type (void);
GType vmsnap_state_reason_get_type (void);
GType vmsnap_snapshot_state_get_type (void);
GType vmsnap_location_get_type (void);
GType vmsnap_job_state_get_type (void);

const char *vmsnap_enum_to_nick (GType type,
                                 int value);
gboolean vmsnap_enum_from_nick (GType type,
                                const char *nick,
                                int *value);

G_END_DECLS
