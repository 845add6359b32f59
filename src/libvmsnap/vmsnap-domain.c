/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain: what it says of itself, and its snapshots as far as the client knows them. What can be asked of it is in
 * vmsnap-domain-calls.c and vmsnap-domain-snapshots.c. Lives in the client's thread.
 */
#include "vmsnap-domain.h"

#include "vmsnap-private.h"
#include "vmsnap-snapshot.h"

/**
 * VmSnapDomain:
 *
 * A virtual machine, defined or running.
 *
 * Its properties are those of the interface org.vmsnap.VmSnap1.Domain, as #GObject properties in the words of the bus;
 * a change is notified. The functions here give the words as values of enums, and paths as objects.
 */
struct _VmSnapDomain
{
  VmSnapDBusDomainProxy parent_instance;
};

G_DEFINE_FINAL_TYPE (VmSnapDomain, vmsnap_domain, VM_SNAP_DBUS_TYPE_DOMAIN_PROXY)

static void
vmsnap_domain_class_init (VmSnapDomainClass *klass)
{
  /* From now on, GDBus turns the names of our errors into the codes. */
  vmsnap_error_quark ();
}

static void
vmsnap_domain_init (VmSnapDomain *self)
{
}

/**
 * vmsnap_domain_get_name:
 * @domain: a domain
 *
 * Names are unique among domains, and can change with a new definition.
 *
 * Returns: (transfer none): the name
 */
const char *
vmsnap_domain_get_name (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return vm_snap_dbus_domain_get_name (VM_SNAP_DBUS_DOMAIN (domain));
}

/**
 * vmsnap_domain_get_uuid:
 * @domain: a domain
 *
 * The uuid never changes.
 *
 * Returns: (transfer none): the uuid
 */
const char *
vmsnap_domain_get_uuid (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return vm_snap_dbus_domain_get_uuid (VM_SNAP_DBUS_DOMAIN (domain));
}

/**
 * vmsnap_domain_get_state:
 * @domain: a domain
 *
 * Tells the state, as it last came from the service.
 *
 * Returns: whether the guest is there, and runs
 */
VmSnapDomainState
vmsnap_domain_get_state (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), 0);

  return _vmsnap_proxy_get_enum (domain, "State", VMSNAP_TYPE_DOMAIN_STATE);
}

/**
 * vmsnap_domain_get_state_reason:
 * @domain: a domain
 *
 * Tells what brought the domain into its state.
 *
 * Returns: why the domain is in its state
 */
VmSnapStateReason
vmsnap_domain_get_state_reason (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), 0);

  return _vmsnap_proxy_get_enum (domain, "StateReason", VMSNAP_TYPE_STATE_REASON);
}

/**
 * vmsnap_domain_is_persistent:
 * @domain: a domain
 *
 * A domain that isn't persistent is gone once its guest has ended.
 *
 * Returns: whether there is a definition that outlives the guest
 */
gboolean
vmsnap_domain_is_persistent (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return vm_snap_dbus_domain_get_persistent (VM_SNAP_DBUS_DOMAIN (domain));
}

/**
 * vmsnap_domain_get_memory:
 * @domain: a domain
 *
 * Tells how big the guest is.
 *
 * Returns: the memory of the guest, in bytes
 */
guint64
vmsnap_domain_get_memory (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), 0);

  return vm_snap_dbus_domain_get_memory (VM_SNAP_DBUS_DOMAIN (domain));
}

/**
 * vmsnap_domain_get_vcpus:
 * @domain: a domain
 *
 * Tells how many processors there are at a start.
 *
 * Returns: how many processors the guest has
 */
guint
vmsnap_domain_get_vcpus (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), 0);

  return vm_snap_dbus_domain_get_vcpus (VM_SNAP_DBUS_DOMAIN (domain));
}

/**
 * vmsnap_domain_has_managed_save:
 * @domain: a domain
 *
 * The next start goes on from a managed save, and removes it.
 *
 * Returns: whether there is a managed save for the next start
 */
gboolean
vmsnap_domain_has_managed_save (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return vm_snap_dbus_domain_get_has_managed_save (VM_SNAP_DBUS_DOMAIN (domain));
}

/**
 * vmsnap_domain_has_guest_agent:
 * @domain: a domain
 *
 * Without a guest agent, quiesced snapshots are refused.
 *
 * Returns: whether a guest agent is connected
 */
gboolean
vmsnap_domain_has_guest_agent (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), FALSE);

  return vm_snap_dbus_domain_get_guest_agent (VM_SNAP_DBUS_DOMAIN (domain));
}

/**
 * vmsnap_domain_get_disks:
 * @domain: a domain
 *
 * Tells the disks with the files that each consists of, the active one first.
 *
 * Returns: (transfer full): the disks, an `aa{sv}`: see org.vmsnap.VmSnap1.Domain:Disks
 */
GVariant *
vmsnap_domain_get_disks (VmSnapDomain *domain)
{
  GVariant *disks;

  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  disks = vm_snap_dbus_domain_dup_disks (VM_SNAP_DBUS_DOMAIN (domain));
  return disks != NULL ? disks : g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE_VARDICT, NULL, 0));
}

/**
 * vmsnap_domain_get_job:
 * @domain: a domain
 *
 * Tells what is under way. Other jobs may wait in line behind it.
 *
 * Returns: (transfer full) (nullable): the job at work on the domain
 */
VmSnapJob *
vmsnap_domain_get_job (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return _vmsnap_proxy_lookup (domain, vm_snap_dbus_domain_get_job (VM_SNAP_DBUS_DOMAIN (domain)), VMSNAP_TYPE_JOB);
}

/**
 * vmsnap_domain_get_current_snapshot:
 * @domain: a domain
 *
 * The next snapshot will be a child of this one.
 *
 * Returns: (transfer full) (nullable): the snapshot that the present state descends from
 */
VmSnapSnapshot *
vmsnap_domain_get_current_snapshot (VmSnapDomain *domain)
{
  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  return _vmsnap_proxy_lookup (domain, vm_snap_dbus_domain_get_current_snapshot (VM_SNAP_DBUS_DOMAIN (domain)),
                               VMSNAP_TYPE_SNAPSHOT);
}

/* How many ancestors a snapshot has. A service gone mad may send us in circles: there are no more than @all. */
static guint
depth_of (GHashTable *all, VmSnapSnapshot *snapshot)
{
  guint depth = 0;

  while (snapshot != NULL && depth <= g_hash_table_size (all))
    {
      const char *parent = vm_snap_dbus_snapshot_get_parent (VM_SNAP_DBUS_SNAPSHOT (snapshot));

      snapshot = parent != NULL ? g_hash_table_lookup (all, parent) : NULL;
      depth++;
    }
  return depth;
}

static int
compare_snapshots (gconstpointer a, gconstpointer b, gpointer user_data)
{
  VmSnapSnapshot *first = (VmSnapSnapshot *)a;
  VmSnapSnapshot *second = (VmSnapSnapshot *)b;
  guint first_depth = depth_of (user_data, first);
  guint second_depth = depth_of (user_data, second);
  guint64 first_time = vmsnap_snapshot_get_creation_time (first);
  guint64 second_time = vmsnap_snapshot_get_creation_time (second);

  if (first_depth != second_depth)
    return first_depth < second_depth ? -1 : 1;
  if (first_time != second_time)
    return first_time < second_time ? -1 : 1;
  return g_strcmp0 (vmsnap_snapshot_get_name (first), vmsnap_snapshot_get_name (second));
}

/**
 * vmsnap_domain_get_snapshots:
 * @domain: a domain
 *
 * The snapshots that the client knows of, without asking the service.
 *
 * Returns: (transfer full) (element-type VmSnapSnapshot): the snapshots, parents before their children, older ones
 *   before younger ones of the same depth
 */
GList *
vmsnap_domain_get_snapshots (VmSnapDomain *domain)
{
  g_autoptr (VmSnapClient) client = NULL;
  g_autoptr (GHashTable) all = g_hash_table_new (g_str_hash, g_str_equal);
  g_autofree char *prefix = NULL;
  GList *snapshots = NULL;

  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);

  client = _vmsnap_proxy_dup_client (domain);
  prefix = g_strconcat (g_dbus_proxy_get_object_path (G_DBUS_PROXY (domain)), "/", NULL);
  if (client != NULL)
    snapshots = _vmsnap_client_list (client, VMSNAP_TYPE_SNAPSHOT, prefix);
  for (GList *l = snapshots; l != NULL; l = l->next)
    g_hash_table_insert (all, (gpointer)g_dbus_proxy_get_object_path (l->data), l->data);
  return g_list_sort_with_data (snapshots, compare_snapshots, all);
}

/**
 * vmsnap_domain_find_snapshot:
 * @domain: a domain
 * @name: the name of a snapshot
 *
 * Finds a snapshot that the client knows of, without asking the service.
 *
 * Returns: (transfer full) (nullable): the snapshot
 */
VmSnapSnapshot *
vmsnap_domain_find_snapshot (VmSnapDomain *domain, const char *name)
{
  g_autofree char *path = NULL;

  g_return_val_if_fail (VMSNAP_IS_DOMAIN (domain), NULL);
  g_return_val_if_fail (name != NULL, NULL);

  path = vmsnap_snapshot_object_path (vmsnap_domain_get_uuid (domain), name);
  return _vmsnap_proxy_lookup (domain, path, VMSNAP_TYPE_SNAPSHOT);
}
