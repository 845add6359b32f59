/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A job on the bus. Main thread.
 */
#include "bus-job.h"

#include "bus-error.h"
#include "bus-vtable.h"
#include "vmsnap-error.h"
#include "vmsnap-names.h"

struct _BusJob
{
  VmSnapDBusJobSkeleton parent;

  BusService *service;
  VsJob *job;
};

G_DEFINE_FINAL_TYPE (BusJob, bus_job, VM_SNAP_DBUS_TYPE_JOB_SKELETON)

static void
run_cancel (BusCall *call)
{
  GError *error = NULL;

  if (vs_job_cancel (call->job, &error))
    bus_call_return (call, NULL);
  else
    bus_call_fail (call, error);
}

static void
run_dismiss (BusCall *call)
{
  if (!vs_job_has_ended (call->job))
    {
      bus_call_fail (call, g_error_new (VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                                        "Job %u (%s) has not ended: cancel it, or wait for its end",
                                        vs_job_get_number (call->job), vs_job_get_operation (call->job)));
      return;
    }
  vs_job_dismiss (call->job);
  bus_call_return (call, NULL);
}

const BusMethod bus_job_methods[] = {
  { "Cancel", &bus_options_none, NULL, run_cancel },
  { "Dismiss", &bus_options_none, NULL, run_dismiss },
  { NULL },
};

static void
bus_job_call (GDBusConnection *connection,
              const char *sender,
              const char *path,
              const char *interface,
              const char *method,
              GVariant *parameters,
              GDBusMethodInvocation *invocation,
              gpointer user_data)
{
  BusJob *self = BUS_JOB (user_data);
  BusAddress address = { .job_number = vs_job_get_number (self->job) };

  bus_call_dispatch (self->service, invocation, bus_job_methods, &address);
}

BUS_DEFINE_VTABLE (bus_job)

static void
bus_job_dispose (GObject *object)
{
  g_clear_object (&BUS_JOB (object)->job);
  G_OBJECT_CLASS (bus_job_parent_class)->dispose (object);
}

static void
bus_job_class_init (BusJobClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = bus_job_dispose;
  G_DBUS_INTERFACE_SKELETON_CLASS (klass)->get_vtable = bus_job_get_vtable;
}

static void
bus_job_init (BusJob *self)
{
}

static char *
make_snapshot_path (VsJob *job, const char *name)
{
  const char *uuid = vs_job_get_domain_uuid (job);

  return name != NULL && uuid != NULL ? vmsnap_snapshot_object_path (uuid, name) : g_strdup ("/");
}

/* The engine names domains and snapshots in its own way; on the bus they are paths. */
static GVariant *
translate_value (VsJob *job, const char *key, GVariant *value)
{
  g_autofree char *path = NULL;

  if (!g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    return g_variant_ref (value);
  if (g_str_equal (key, "snapshot"))
    path = make_snapshot_path (job, g_variant_get_string (value, NULL));
  else if (g_str_equal (key, "domain"))
    path = vmsnap_domain_object_path (g_variant_get_string (value, NULL));
  return path != NULL ? g_variant_ref_sink (g_variant_new_object_path (path)) : g_variant_ref (value);
}

static GVariant *
translate_result (VsJob *job)
{
  g_autoptr (GVariant) result = vs_job_get_result (job);
  GVariantBuilder builder;
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_iter_init (&iter, result);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value))
    {
      g_autoptr (GVariant) translated = translate_value (job, key, value);

      g_variant_builder_add (&builder, "{sv}", key, translated);
      g_variant_unref (value);
    }
  return g_variant_builder_end (&builder);
}

static void
show_end (BusJob *self)
{
  VmSnapDBusJob *bus = VM_SNAP_DBUS_JOB (self);

  vm_snap_dbus_job_set_error (bus, bus_error_to_variant (vs_job_get_error (self->job)));
  vm_snap_dbus_job_set_result (bus, translate_result (self->job));
}

static void
show (BusJob *self)
{
  VmSnapDBusJob *bus = VM_SNAP_DBUS_JOB (self);
  VsJob *job = self->job;
  g_autofree char *snapshot = make_snapshot_path (job, vs_job_get_snapshot_name (job));

  vm_snap_dbus_job_set_snapshot (bus, snapshot);
  vm_snap_dbus_job_set_state (bus, vmsnap_enum_to_nick (VMSNAP_TYPE_JOB_STATE, vs_job_get_state (job)));
  vm_snap_dbus_job_set_phase (bus, vs_job_get_phase (job));
  vm_snap_dbus_job_set_progress (bus, vs_job_get_progress (job));
  vm_snap_dbus_job_set_bytes_done (bus, vs_job_get_bytes_done (job));
  vm_snap_dbus_job_set_bytes_total (bus, vs_job_get_bytes_total (job));
  vm_snap_dbus_job_set_start_time (bus, vs_job_get_start_time (job));
  vm_snap_dbus_job_set_end_time (bus, vs_job_get_end_time (job));
  vm_snap_dbus_job_set_cancellable (bus, vs_job_get_can_cancel (job));
  show_end (self);
}

static void
on_notify (VsJob *job, GParamSpec *pspec, BusJob *self)
{
  show (self);
}

/* Who hears of the end finds the job, its domain and the snapshots as they are now. */
static void
on_completed (VsJob *job, BusJob *self)
{
  const char *error_name;
  const char *error_message;
  g_autoptr (GVariant) error = g_variant_ref_sink (bus_error_to_variant (vs_job_get_error (job)));

  show (self);
  bus_service_flush (self->service, vs_job_get_domain_uuid (job));
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (self));
  g_variant_get (error, "(&s&s)", &error_name, &error_message);
  vm_snap_dbus_job_emit_completed (VM_SNAP_DBUS_JOB (self),
                                   vmsnap_enum_to_nick (VMSNAP_TYPE_JOB_STATE, vs_job_get_state (job)), error_name,
                                   error_message, translate_result (job));
}

/**
 * bus_job_new:
 * @service: the service; it outlives what is on the bus
 * @job: a job
 *
 * Returns: (transfer full): the interface, with all its properties set, and following @job
 */
BusJob *
bus_job_new (BusService *service, VsJob *job)
{
  BusJob *self = g_object_new (BUS_TYPE_JOB, NULL);
  VmSnapDBusJob *bus = VM_SNAP_DBUS_JOB (self);
  const char *uuid = vs_job_get_domain_uuid (job);
  g_autofree char *domain = uuid != NULL ? vmsnap_domain_object_path (uuid) : g_strdup ("/");

  self->service = service;
  self->job = g_object_ref (job);
  vm_snap_dbus_job_set_operation (bus, vs_job_get_operation (job));
  vm_snap_dbus_job_set_domain (bus, domain);
  vm_snap_dbus_job_set_caller_uid (bus, vs_job_get_caller_uid (job));
  show (self);
  g_signal_connect_object (job, "notify", G_CALLBACK (on_notify), self, 0);
  g_signal_connect_object (job, "completed", G_CALLBACK (on_completed), self, 0);
  return self;
}
