/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Who may do what: the one table from method to polkit action. A method without a row is refused. Pure.
 */
#include "bus-auth.h"

#include <string.h>

#include "vmsnap-names.h"

/* clang-format off */
static const BusAuthRow rows[] = {
  { "Manager", "DefineDomain", "domain.define", "define", BUS_AUTH_NONE },
  { "Manager", "CreateDomain", "domain.define", "create", BUS_AUTH_NONE },
  { "Manager", "GetDomainByName", "domain.read", "find", BUS_AUTH_READ },
  { "Manager", "GetDomainByUuid", "domain.read", "find", BUS_AUTH_READ },
  { "Manager", "RestoreDomain", "image.restore", "restore", BUS_AUTH_NONE },
  { "Manager", "InspectImage", "domain.read", "inspect-image", BUS_AUTH_READ },
  { "Manager", "RewriteImage", "image.restore", "rewrite-image", BUS_AUTH_NONE },

  { "Domain", "Start", "domain.control", "start", BUS_AUTH_NONE },
  { "Domain", "Shutdown", "domain.control", "shutdown", BUS_AUTH_NONE },
  { "Domain", "PowerOff", "domain.control", "power-off", BUS_AUTH_NONE },
  { "Domain", "Reset", "domain.control", "reset", BUS_AUTH_NONE },
  { "Domain", "Pause", "domain.control", "pause", BUS_AUTH_NONE },
  { "Domain", "Resume", "domain.control", "resume", BUS_AUTH_NONE },
  { "Domain", "Undefine", "domain.define", "undefine", BUS_AUTH_NONE },
  { "Domain", "GetXml", "domain.read", "get-xml", BUS_AUTH_READ },
  { "Domain", "Save", "domain.save", "save", BUS_AUTH_NONE },
  { "Domain", "ManagedSave", "domain.save", "managed-save", BUS_AUTH_NONE },
  { "Domain", "RemoveManagedSave", "domain.save", "remove-managed-save", BUS_AUTH_NONE },
  { "Domain", "CreateSnapshot", "snapshot.create", "snapshot-create", BUS_AUTH_NONE },
  { "Domain", "CreateSnapshotFromXml", "snapshot.create", "snapshot-create", BUS_AUTH_NONE },
  { "Domain", "GetSnapshot", "domain.read", "find-snapshot", BUS_AUTH_READ },
  { "Domain", "ListSnapshots", "domain.read", "list-snapshots", BUS_AUTH_READ },
  { "Domain", "Screenshot", "domain.control", "screenshot", BUS_AUTH_NONE },

  { "Snapshot", "Revert", "snapshot.revert", "snapshot-revert", BUS_AUTH_NONE },
  { "Snapshot", "Delete", "snapshot.delete", "snapshot-delete", BUS_AUTH_NONE },
  { "Snapshot", "GetXml", "domain.read", "get-snapshot-xml", BUS_AUTH_READ },

  { "Job", "Cancel", "job.cancel", "cancel", BUS_AUTH_OWN_JOB },
  { "Job", "Dismiss", "job.cancel", "dismiss", BUS_AUTH_OWN_JOB },
};
/* clang-format on */

/**
 * bus_auth_get_rows:
 * @n_rows: (out): how many there are
 *
 * Returns: (transfer none) (array length=n_rows): the whole table
 */
const BusAuthRow *
bus_auth_get_rows (guint *n_rows)
{
  *n_rows = G_N_ELEMENTS (rows);
  return rows;
}

/**
 * bus_auth_find_row:
 * @interface: the interface's full name
 * @method: the method's name
 *
 * Returns: (transfer none) (nullable): what the method takes; %NULL: nobody may call it
 */
const BusAuthRow *
bus_auth_find_row (const char *interface, const char *method)
{
  if (!g_str_has_prefix (interface, VMSNAP_BUS_NAME "."))
    return NULL;
  interface += strlen (VMSNAP_BUS_NAME ".");
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (g_str_equal (rows[i].method, method) && g_str_equal (rows[i].interface, interface))
      return &rows[i];
  return NULL;
}

/**
 * bus_auth_take_more:
 * @more: (inout): what a call takes beside its method's own action; one thing is taken away
 *
 * Returns: (transfer none) (nullable): whose action that is; %NULL: there was nothing
 */
const BusAuthRow *
bus_auth_take_more (BusAuthMore *more)
{
  static const struct
  {
    BusAuthMore flag;
    const char *interface;
    const char *method;
  } methods[] = {
    { BUS_AUTH_MORE_DEFINE, VMSNAP_BUS_NAME ".Manager", "DefineDomain" },
    { BUS_AUTH_MORE_POWER_OFF, VMSNAP_BUS_NAME ".Domain", "PowerOff" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    if (*more & methods[i].flag)
      {
        *more &= ~methods[i].flag;
        return bus_auth_find_row (methods[i].interface, methods[i].method);
      }
  return NULL;
}

/**
 * bus_auth_target_clear:
 * @target: what a call is about
 */
void
bus_auth_target_clear (BusAuthTarget *target)
{
  g_clear_pointer (&target->domain_name, g_free);
  g_clear_pointer (&target->new_name, g_free);
  g_clear_pointer (&target->domain_uuid, g_free);
  g_clear_pointer (&target->snapshot, g_free);
}
