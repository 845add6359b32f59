/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A job: what the world sees of an operation. Lives on the main thread; the reports of a workflow's thread are kept
 * under a lock and become property changes from the main loop, at most ten times a second.
 */
#include "vs-job.h"

#include "vmsnap-error.h"

/* 1 means completed, so a job that isn't ended yet never claims more than this. */
#define PROGRESS_MAX 0.99
#define REPORT_INTERVAL_MS 100

struct _VsJob
{
  GObject parent;

  guint number;
  char *operation;
  char *domain_uuid;
  char *snapshot_name;
  guint caller_uid;
  VmSnapJobState state;
  const char *phase;
  double progress;
  guint64 bytes_done;
  guint64 bytes_total;
  guint64 start_time;
  guint64 end_time;
  gboolean can_cancel;
  GError *error;
  GVariantDict result;
  GCancellable *cancellable;

  GMutex lock;
  struct
  {
    const char *phase;
    double progress;
    guint64 bytes_done;
    guint64 bytes_total;
    guint source;
  } report;
  gint64 last_flush;
};

typedef enum {
  PROP_STATE = 1,
  PROP_PHASE,
  PROP_PROGRESS,
  PROP_BYTES_DONE,
  PROP_BYTES_TOTAL,
  PROP_START_TIME,
  PROP_END_TIME,
  PROP_CANCELLABLE,
  PROP_SNAPSHOT_NAME,
} Property;

static GParamSpec *properties[PROP_SNAPSHOT_NAME + 1];

enum
{
  COMPLETED,
  DISMISSED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (VsJob, vs_job, G_TYPE_OBJECT)

static void
vs_job_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VsJob *self = VS_JOB (object);

  switch ((Property) id)
    {
    case PROP_STATE:
      g_value_set_enum (value, self->state);
      break;
    case PROP_PHASE:
      g_value_set_string (value, self->phase);
      break;
    case PROP_PROGRESS:
      g_value_set_double (value, self->progress);
      break;
    case PROP_BYTES_DONE:
      g_value_set_uint64 (value, self->bytes_done);
      break;
    case PROP_BYTES_TOTAL:
      g_value_set_uint64 (value, self->bytes_total);
      break;
    case PROP_START_TIME:
      g_value_set_uint64 (value, self->start_time);
      break;
    case PROP_END_TIME:
      g_value_set_uint64 (value, self->end_time);
      break;
    case PROP_CANCELLABLE:
      g_value_set_boolean (value, vs_job_get_can_cancel (self));
      break;
    case PROP_SNAPSHOT_NAME:
      g_value_set_string (value, self->snapshot_name);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
vs_job_finalize (GObject *object)
{
  VsJob *self = VS_JOB (object);

  g_free (self->operation);
  g_free (self->domain_uuid);
  g_free (self->snapshot_name);
  g_clear_error (&self->error);
  g_variant_dict_clear (&self->result);
  g_object_unref (self->cancellable);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (vs_job_parent_class)->finalize (object);
}

static void
vs_job_class_init (VsJobClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = vs_job_get_property;
  object_class->finalize = vs_job_finalize;

  properties[PROP_STATE] = g_param_spec_enum ("state", NULL, NULL, VMSNAP_TYPE_JOB_STATE, 0, flags);
  properties[PROP_PHASE] = g_param_spec_string ("phase", NULL, NULL, "", flags);
  properties[PROP_PROGRESS] = g_param_spec_double ("progress", NULL, NULL, 0, 1, 0, flags);
  properties[PROP_BYTES_DONE] = g_param_spec_uint64 ("bytes-done", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  properties[PROP_BYTES_TOTAL] = g_param_spec_uint64 ("bytes-total", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  properties[PROP_START_TIME] = g_param_spec_uint64 ("start-time", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  properties[PROP_END_TIME] = g_param_spec_uint64 ("end-time", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  properties[PROP_CANCELLABLE] = g_param_spec_boolean ("cancellable", NULL, NULL, TRUE, flags);
  properties[PROP_SNAPSHOT_NAME] = g_param_spec_string ("snapshot-name", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, G_N_ELEMENTS (properties), properties);

  signals[COMPLETED] =
    g_signal_new ("completed", VS_TYPE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[DISMISSED] =
    g_signal_new ("dismissed", VS_TYPE_JOB, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vs_job_init (VsJob *self)
{
  self->phase = "";
  self->report.phase = "";
  self->can_cancel = TRUE;
  self->cancellable = g_cancellable_new ();
  g_variant_dict_init (&self->result, NULL);
  g_mutex_init (&self->lock);
}

/**
 * vs_job_new:
 * @number: the number it has on the bus
 * @operation: what is done
 * @domain_uuid: to which domain
 * @caller_uid: who asked
 *
 * Returns: (transfer full): a job that waits for its turn
 */
VsJob *
vs_job_new (guint number, const char *operation, const char *domain_uuid, guint caller_uid)
{
  VsJob *self = g_object_new (VS_TYPE_JOB, NULL);

  self->number = number;
  self->operation = g_strdup (operation);
  self->domain_uuid = g_strdup (domain_uuid);
  self->caller_uid = caller_uid;
  self->start_time = g_get_real_time ();
  return self;
}

guint
vs_job_get_number (VsJob *self)
{
  return self->number;
}

const char *
vs_job_get_operation (VsJob *self)
{
  return self->operation;
}

const char *
vs_job_get_domain_uuid (VsJob *self)
{
  return self->domain_uuid;
}

/**
 * vs_job_get_snapshot_name:
 * @self: a job
 *
 * Returns: (transfer none) (nullable): the name of the snapshot it is about
 */
const char *
vs_job_get_snapshot_name (VsJob *self)
{
  return self->snapshot_name;
}

guint
vs_job_get_caller_uid (VsJob *self)
{
  return self->caller_uid;
}

VmSnapJobState
vs_job_get_state (VsJob *self)
{
  return self->state;
}

/**
 * vs_job_has_ended:
 * @self: a job
 *
 * Returns: whether it completed, failed or was cancelled
 */
gboolean
vs_job_has_ended (VsJob *self)
{
  return self->state >= VMSNAP_JOB_STATE_COMPLETED;
}

const char *
vs_job_get_phase (VsJob *self)
{
  return self->phase;
}

double
vs_job_get_progress (VsJob *self)
{
  return self->progress;
}

guint64
vs_job_get_bytes_done (VsJob *self)
{
  return self->bytes_done;
}

guint64
vs_job_get_bytes_total (VsJob *self)
{
  return self->bytes_total;
}

/**
 * vs_job_get_start_time:
 * @self: a job
 *
 * Returns: when it was asked for, in microseconds since the epoch, UTC
 */
guint64
vs_job_get_start_time (VsJob *self)
{
  return self->start_time;
}

/**
 * vs_job_get_end_time:
 * @self: a job
 *
 * Returns: when it ended, in microseconds since the epoch, UTC; 0: not yet
 */
guint64
vs_job_get_end_time (VsJob *self)
{
  return self->end_time;
}

/**
 * vs_job_get_can_cancel:
 * @self: a job
 *
 * Returns: whether vs_job_cancel() can do anything now
 */
gboolean
vs_job_get_can_cancel (VsJob *self)
{
  return self->can_cancel && !vs_job_has_ended (self);
}

/**
 * vs_job_get_error:
 * @self: a job
 *
 * Returns: (transfer none) (nullable): why it failed or was cancelled
 */
const GError *
vs_job_get_error (VsJob *self)
{
  return self->error;
}

/**
 * vs_job_get_result:
 * @self: a job
 *
 * What came of it. The engine knows no bus, so `snapshot` is a name here and `domain` a uuid.
 *
 * Returns: (transfer full): a dictionary `a{sv}`
 */
GVariant *
vs_job_get_result (VsJob *self)
{
  GVariant *result = g_variant_ref_sink (g_variant_dict_end (&self->result));

  g_variant_dict_init (&self->result, result);
  return result;
}

/**
 * vs_job_get_cancellable:
 * @self: a job
 *
 * Returns: (transfer none): what its workflow waits with; vs_job_cancel() cancels it
 */
GCancellable *
vs_job_get_cancellable (VsJob *self)
{
  return self->cancellable;
}

static void
set_state (VsJob *self, VmSnapJobState state)
{
  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STATE]);
}

/**
 * vs_job_cancel:
 * @self: a job
 * @error: where to put %VMSNAP_ERROR_INVALID_STATE when it has ended, or has passed the point of no return
 *
 * Asks for the job's end. It comes later, as `completed`; the operation is undone before. Asking twice does no harm.
 *
 * Returns: whether it was asked
 */
gboolean
vs_job_cancel (VsJob *self, GError **error)
{
  if (vs_job_has_ended (self))
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE, "Job %u has ended already: it %s", self->number,
                   vmsnap_enum_to_nick (VMSNAP_TYPE_JOB_STATE, self->state));
      return FALSE;
    }
  if (!self->can_cancel)
    {
      g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_INVALID_STATE,
                   "Job %u (%s) can't be cancelled any more: it is past the point of no return", self->number,
                   self->operation);
      return FALSE;
    }
  if (self->state == VMSNAP_JOB_STATE_RUNNING)
    set_state (self, VMSNAP_JOB_STATE_CANCELLING);
  g_cancellable_cancel (self->cancellable);
  return TRUE;
}

/**
 * vs_job_dismiss:
 * @self: a job that has ended
 *
 * Its end was read: it may go before its time. Emits `dismissed`.
 */
void
vs_job_dismiss (VsJob *self)
{
  g_return_if_fail (vs_job_has_ended (self));
  g_signal_emit (self, signals[DISMISSED], 0);
}

void
vs_job_set_snapshot_name (VsJob *self, const char *name)
{
  if (g_strcmp0 (self->snapshot_name, name) == 0)
    return;
  g_free (self->snapshot_name);
  self->snapshot_name = g_strdup (name);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_SNAPSHOT_NAME]);
}

void
vs_job_set_can_cancel (VsJob *self, gboolean can_cancel)
{
  if (self->can_cancel == can_cancel)
    return;
  self->can_cancel = can_cancel;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_CANCELLABLE]);
}

/**
 * vs_job_add_result:
 * @self: a job
 * @key: what it is: `snapshot`, `domain`, `downtime`, `file`, …
 * @value: its value; taken when floating
 *
 * Adds to what will be its result.
 */
void
vs_job_add_result (VsJob *self, const char *key, GVariant *value)
{
  g_variant_dict_insert_value (&self->result, key, value);
}

/**
 * vs_job_begin:
 * @self: a job
 *
 * Its turn has come.
 */
void
vs_job_begin (VsJob *self)
{
  g_return_if_fail (self->state == VMSNAP_JOB_STATE_QUEUED);
  set_state (self, VMSNAP_JOB_STATE_RUNNING);
}

/* Takes over what the workflow's thread reported. */
static void
flush (VsJob *self)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  GObject *object = G_OBJECT (self);
  g_autoptr (GObject) keep = g_object_ref (object);

  g_clear_handle_id (&self->report.source, g_source_remove);
  self->last_flush = g_get_monotonic_time ();

  g_object_freeze_notify (object);
  if (g_strcmp0 (self->phase, self->report.phase) != 0)
    {
      self->phase = self->report.phase;
      g_object_notify_by_pspec (object, properties[PROP_PHASE]);
    }
  if (self->report.progress > self->progress)
    {
      self->progress = self->report.progress;
      g_object_notify_by_pspec (object, properties[PROP_PROGRESS]);
    }
  if (self->bytes_done != self->report.bytes_done)
    {
      self->bytes_done = self->report.bytes_done;
      g_object_notify_by_pspec (object, properties[PROP_BYTES_DONE]);
    }
  if (self->bytes_total != self->report.bytes_total)
    {
      self->bytes_total = self->report.bytes_total;
      g_object_notify_by_pspec (object, properties[PROP_BYTES_TOTAL]);
    }
  g_clear_pointer (&locker, g_mutex_locker_free);
  g_object_thaw_notify (object);
}

static gboolean
on_report (gpointer user_data)
{
  flush (VS_JOB (user_data));
  return G_SOURCE_REMOVE;
}

/* Called with the lock held, from any thread. */
static void
schedule_flush (VsJob *self)
{
  gint64 since = (g_get_monotonic_time () - self->last_flush) / G_TIME_SPAN_MILLISECOND;

  if (self->report.source != 0)
    return;
  self->report.source = g_timeout_add_full (G_PRIORITY_DEFAULT, CLAMP (REPORT_INTERVAL_MS - since, 0, REPORT_INTERVAL_MS),
                                            on_report, g_object_ref (self), g_object_unref);
}

/**
 * vs_job_end:
 * @self: a job
 * @error: (nullable): why it failed; %VMSNAP_ERROR_CANCELLED makes it a cancelled one; %NULL: it completed
 *
 * Ends the job, tells its last properties, and emits `completed`.
 */
void
vs_job_end (VsJob *self, const GError *error)
{
  GObject *object = G_OBJECT (self);

  g_return_if_fail (!vs_job_has_ended (self));

  flush (self);
  g_object_freeze_notify (object);
  self->end_time = g_get_real_time ();
  g_object_notify_by_pspec (object, properties[PROP_END_TIME]);
  g_object_notify_by_pspec (object, properties[PROP_CANCELLABLE]);
  if (error == NULL)
    {
      self->progress = 1;
      g_object_notify_by_pspec (object, properties[PROP_PROGRESS]);
      set_state (self, VMSNAP_JOB_STATE_COMPLETED);
    }
  else
    {
      self->error = g_error_copy (error);
      set_state (self, g_error_matches (error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED) ? VMSNAP_JOB_STATE_CANCELLED
                                                                                     : VMSNAP_JOB_STATE_FAILED);
    }
  g_object_thaw_notify (object);
  g_signal_emit (self, signals[COMPLETED], 0);
}

/**
 * vs_job_report_phase:
 * @self: a job
 * @phase: what is being done, in words for people; a string that lives for ever
 *
 * Any thread.
 */
void
vs_job_report_phase (VsJob *self, const char *phase)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  self->report.phase = phase;
  schedule_flush (self);
}

/**
 * vs_job_report_progress:
 * @self: a job
 * @fraction: how much is done, 0…1
 *
 * Any thread. A report that would go backwards is not shown, and 1 is shown only when the job has completed.
 */
void
vs_job_report_progress (VsJob *self, double fraction)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  fraction = CLAMP (fraction, 0, PROGRESS_MAX);
  if (fraction <= self->report.progress)
    return;
  self->report.progress = fraction;
  schedule_flush (self);
}

/**
 * vs_job_report_bytes:
 * @self: a job
 * @done: bytes written or read so far
 * @total: bytes there will be, as far as is known; 0: not known
 *
 * Any thread.
 */
void
vs_job_report_bytes (VsJob *self, guint64 done, guint64 total)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  self->report.bytes_done = done;
  self->report.bytes_total = MAX (total, done);
  schedule_flush (self);
}
