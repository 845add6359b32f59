/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * VMSNAP_ERROR:
 *
 * The error domain of vmsnap, in the service and in its clients: each code has a D-Bus name
 * (`org.vmsnap.VmSnap1.Error.<Name>`), and GDBus maps one to the other in both directions.
 */
#define VMSNAP_ERROR (vmsnap_error_quark ())

/**
 * VmSnapError:
 * @VMSNAP_ERROR_FAILED: anything that has no better name; the message tells.
 * @VMSNAP_ERROR_INVALID_ARGUMENT: an argument or option is unknown, of the wrong type or contradicts another.
 * @VMSNAP_ERROR_INVALID_XML: a definition is not well-formed, or asks for what isn't supported.
 * @VMSNAP_ERROR_NOT_FOUND: no such domain, snapshot, job, disk, file or program.
 * @VMSNAP_ERROR_ALREADY_EXISTS: the name, uuid or file is taken.
 * @VMSNAP_ERROR_INVALID_STATE: the domain is not in a state that allows this.
 * @VMSNAP_ERROR_BUSY: another operation is under way, or a file is in use.
 * @VMSNAP_ERROR_NOT_SUPPORTED: this hypervisor, kernel or version can't do it.
 * @VMSNAP_ERROR_NOT_AUTHORIZED: the caller may not do this.
 * @VMSNAP_ERROR_NOT_AUTHORIZED_CAN_OBTAIN: the caller could be authorized by answering a question.
 * @VMSNAP_ERROR_NOT_AUTHORIZED_DISMISSED: the question was asked and waved away.
 * @VMSNAP_ERROR_CANCELLED: somebody cancelled the operation.
 * @VMSNAP_ERROR_HAS_SNAPSHOTS: the domain still has snapshots.
 * @VMSNAP_ERROR_HAS_CHILDREN: the snapshot still has children.
 * @VMSNAP_ERROR_HAS_MANAGED_SAVE: the domain still has a managed save image.
 * @VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE: no guest agent answers in the guest.
 * @VMSNAP_ERROR_HYPERVISOR: QEMU or one of its tools refused; the message carries its words.
 * @VMSNAP_ERROR_HYPERVISOR_GONE: QEMU ended, or closed its monitor, in the middle of it.
 * @VMSNAP_ERROR_IMAGE_CORRUPT: a saved image is not what it says it is.
 * @VMSNAP_ERROR_IMAGE_INCOMPLETE: a saved image was never finished.
 * @VMSNAP_ERROR_NO_SPACE: the target has no room left.
 * @VMSNAP_ERROR_IO: reading or writing failed.
 * @VMSNAP_ERROR_TIMEOUT: a deadline passed.
 *
 * The ways a call can fail.
 */
typedef enum {
  VMSNAP_ERROR_FAILED,
  VMSNAP_ERROR_INVALID_ARGUMENT,
  VMSNAP_ERROR_INVALID_XML,
  VMSNAP_ERROR_NOT_FOUND,
  VMSNAP_ERROR_ALREADY_EXISTS,
  VMSNAP_ERROR_INVALID_STATE,
  VMSNAP_ERROR_BUSY,
  VMSNAP_ERROR_NOT_SUPPORTED,
  VMSNAP_ERROR_NOT_AUTHORIZED,
  VMSNAP_ERROR_NOT_AUTHORIZED_CAN_OBTAIN,
  VMSNAP_ERROR_NOT_AUTHORIZED_DISMISSED,
  VMSNAP_ERROR_CANCELLED,
  VMSNAP_ERROR_HAS_SNAPSHOTS,
  VMSNAP_ERROR_HAS_CHILDREN,
  VMSNAP_ERROR_HAS_MANAGED_SAVE,
  VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
  VMSNAP_ERROR_HYPERVISOR,
  VMSNAP_ERROR_HYPERVISOR_GONE,
  VMSNAP_ERROR_IMAGE_CORRUPT,
  VMSNAP_ERROR_IMAGE_INCOMPLETE,
  VMSNAP_ERROR_NO_SPACE,
  VMSNAP_ERROR_IO,
  VMSNAP_ERROR_TIMEOUT,
} VmSnapError;

GQuark vmsnap_error_quark (void);

const char *vmsnap_error_get_dbus_name (const GError *error);
GError *vmsnap_error_new_for_dbus_name (const char *dbus_name,
                                        const char *message);

G_END_DECLS
