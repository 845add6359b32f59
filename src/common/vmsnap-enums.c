/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The enums of the bus as registered types, and the way between their values and their words. Pure; any thread.
 */
#include "vmsnap-enums.h"

#define VALUE(full, nick)                                                                                              \
  {                                                                                                                    \
    full, #full, nick                                                                                                  \
  }
#define END                                                                                                            \
  {                                                                                                                    \
    0, NULL, NULL                                                                                                      \
  }

#define DEFINE_ENUM_GET_TYPE(TypeName, func, values)                                                                   \
  GType func (void)                                                                                                    \
  {                                                                                                                    \
    static gsize type = 0;                                                                                             \
                                                                                                                       \
    if (g_once_init_enter (&type))                                                                                     \
      g_once_init_leave (&type, g_enum_register_static (#TypeName, values));                                           \
    return type;                                                                                                       \
  }

static const GEnumValue domain_states[] = {
  VALUE (VMSNAP_DOMAIN_STATE_SHUTOFF, "shutoff"),
  VALUE (VMSNAP_DOMAIN_STATE_RUNNING, "running"),
  VALUE (VMSNAP_DOMAIN_STATE_PAUSED, "paused"),
  VALUE (VMSNAP_DOMAIN_STATE_CRASHED, "crashed"),
  END,
};
DEFINE_ENUM_GET_TYPE (VmSnapDomainState, vmsnap_domain_state_get_type, domain_states)

static const GEnumValue state_reasons[] = {
  VALUE (VMSNAP_STATE_REASON_UNKNOWN, "unknown"),
  VALUE (VMSNAP_STATE_REASON_BOOTED, "booted"),
  VALUE (VMSNAP_STATE_REASON_RESTORED, "restored"),
  VALUE (VMSNAP_STATE_REASON_FROM_SNAPSHOT, "from-snapshot"),
  VALUE (VMSNAP_STATE_REASON_USER, "user"),
  VALUE (VMSNAP_STATE_REASON_SAVING, "saving"),
  VALUE (VMSNAP_STATE_REASON_SNAPSHOTTING, "snapshotting"),
  VALUE (VMSNAP_STATE_REASON_IO_ERROR, "io-error"),
  VALUE (VMSNAP_STATE_REASON_SHUTDOWN, "shutdown"),
  VALUE (VMSNAP_STATE_REASON_DESTROYED, "destroyed"),
  VALUE (VMSNAP_STATE_REASON_SAVED, "saved"),
  VALUE (VMSNAP_STATE_REASON_FAILED, "failed"),
  END,
};
DEFINE_ENUM_GET_TYPE (VmSnapStateReason, vmsnap_state_reason_get_type, state_reasons)

static const GEnumValue snapshot_states[] = {
  VALUE (VMSNAP_SNAPSHOT_STATE_RUNNING, "running"),
  VALUE (VMSNAP_SNAPSHOT_STATE_PAUSED, "paused"),
  VALUE (VMSNAP_SNAPSHOT_STATE_SHUTOFF, "shutoff"),
  VALUE (VMSNAP_SNAPSHOT_STATE_DISK_SNAPSHOT, "disk-snapshot"),
  END,
};
DEFINE_ENUM_GET_TYPE (VmSnapSnapshotState, vmsnap_snapshot_state_get_type, snapshot_states)

static const GEnumValue locations[] = {
  VALUE (VMSNAP_LOCATION_NONE, "none"),
  VALUE (VMSNAP_LOCATION_INTERNAL, "internal"),
  VALUE (VMSNAP_LOCATION_EXTERNAL, "external"),
  VALUE (VMSNAP_LOCATION_MIXED, "mixed"),
  END,
};
DEFINE_ENUM_GET_TYPE (VmSnapLocation, vmsnap_location_get_type, locations)

static const GEnumValue job_states[] = {
  VALUE (VMSNAP_JOB_STATE_QUEUED, "queued"),
  VALUE (VMSNAP_JOB_STATE_RUNNING, "running"),
  VALUE (VMSNAP_JOB_STATE_CANCELLING, "cancelling"),
  VALUE (VMSNAP_JOB_STATE_COMPLETED, "completed"),
  VALUE (VMSNAP_JOB_STATE_FAILED, "failed"),
  VALUE (VMSNAP_JOB_STATE_CANCELLED, "cancelled"),
  END,
};
DEFINE_ENUM_GET_TYPE (VmSnapJobState, vmsnap_job_state_get_type, job_states)

/**
 * vmsnap_enum_to_nick:
 * @type: one of the enum types of this library
 * @value: a value of it
 *
 * Undoes vmsnap_enum_from_nick().
 *
 * Returns: (transfer none): the word that stands for @value on the bus
 */
const char *
vmsnap_enum_to_nick (GType type, int value)
{
  g_autoptr (GTypeClass) klass = g_type_class_ref (type);
  GEnumValue *found = g_enum_get_value (G_ENUM_CLASS (klass), value);

  g_return_val_if_fail (found != NULL, "unknown");
  return found->value_nick;
}

/**
 * vmsnap_enum_from_nick:
 * @type: one of the enum types of this library
 * @nick: a word, as it came from the bus
 * @value: (out): the value it stands for; untouched when there is none
 *
 * Reads an enum's value from the word for it on the bus.
 *
 * Returns: whether @nick stands for a value of @type
 */
gboolean
vmsnap_enum_from_nick (GType type, const char *nick, int *value)
{
  g_autoptr (GTypeClass) klass = g_type_class_ref (type);
  GEnumValue *found = g_enum_get_value_by_nick (G_ENUM_CLASS (klass), nick);

  if (found == NULL)
    return FALSE;
  *value = found->value;
  return TRUE;
}
