/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * QEMU's migration, as it is used for images: what saving (vs-migration-save.c) and loading (vs-migration-load.c)
 * share. Threads of runs.
 */
#include "vs-migration-private.h"

#include <unistd.h>

#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-steps.h"

/* The name of the stream's descriptor inside QEMU. */
#define FD_NAME "vmsnap-image"
/* As much as QEMU's parameter takes: its default is a network's. */
#define NO_LIMIT (G_MAXINT64 / 2)
/* How often progress is looked at. */
#define INTERVAL (100 * G_TIME_SPAN_MILLISECOND)

void
vs_migration_look_clear (VsMigrationLook *look)
{
  g_free (look->status);
  g_free (look->words);
}

static void
note_reasons (VsMigrationLook *look, JsonArray *reasons)
{
  look->blocked = reasons != NULL && json_array_get_length (reasons) > 0;
  if (look->blocked)
    look->words = g_strdup (json_array_get_string_element (reasons, 0));
}

static gboolean
look_with (VsRun *run, GCancellable *cancellable, VsMigrationLook *look, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) reply = NULL;
  JsonObject *object, *ram;
  gint64 zeros;

  if (monitor == NULL)
    return FALSE;
  reply = qmp_client_call_full (monitor, "query-migrate", NULL, -1,
                                cancellable != NULL ? QMP_NO_TIMEOUT : QMP_DEFAULT_TIMEOUT, cancellable, error);
  if (reply == NULL)
    return FALSE;
  object = json_node_get_object (reply);
  ram = qmp_json_get_object (object, "ram");
  look->status = g_strdup (qmp_json_get_string (object, "status"));
  look->words = g_strdup (qmp_json_get_string (object, "error-desc"));
  if (look->words == NULL)
    note_reasons (look, qmp_json_get_array (object, "blocked-reasons"));
  qmp_json_get_int (ram, "remaining", &look->remaining);
  qmp_json_get_int (ram, "total", &look->total);
  qmp_json_get_int (ram, "transferred", &look->transferred);
  qmp_json_get_int (ram, "dirty-sync-count", &look->rounds);
  qmp_json_get_int (ram, "normal", &look->pages);
  if (qmp_json_get_int (ram, "duplicate", &zeros))
    look->pages += zeros;
  return TRUE;
}

/* While QEMU reads from a file it answers nothing: this may take as long as that, unless nobody could cancel it. */
gboolean
vs_migration_look (VsRun *run, VsMigrationLook *look, GError **error)
{
  return look_with (run, vs_run_get_cancellable (run), look, error);
}

/* Also when the job is being cancelled, for what must come to its end all the same. */
gboolean
vs_migration_look_on (VsRun *run, VsMigrationLook *look, GError **error)
{
  return look_with (run, NULL, look, error);
}

static gboolean
has_ended (const char *status)
{
  static const char *const ends[] = { "completed", "failed", "cancelled", NULL };

  return status != NULL && g_strv_contains (ends, status);
}

gboolean
vs_migration_is_under_way (const char *status)
{
  static const char *const list[] = { "setup", "active", "device", "pre-switchover", "cancelling", NULL };

  return status != NULL && g_strv_contains (list, status);
}

/* Returns the names of what this QEMU has; NULL: it doesn't say. */
static GHashTable *
list_capabilities (VsRun *run, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) reply = NULL;
  GHashTable *names;
  JsonArray *list;

  if (monitor == NULL)
    return NULL;
  reply = qmp_client_call (monitor, "query-migrate-capabilities", NULL, vs_run_get_cancellable (run), error);
  if (reply == NULL)
    return NULL;
  names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  list = qmp_json_node_get_array (reply);
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    {
      const char *name = qmp_json_get_string (qmp_json_array_get_object (list, i), "capability");

      if (name != NULL)
        g_hash_table_add (names, g_strdup (name));
    }
  return names;
}

gboolean
vs_migration_check_sparse (VsRun *run, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (GHashTable) able = monitor != NULL ? list_capabilities (run, error) : NULL;
  guint major, minor, micro;

  if (able == NULL)
    return FALSE;
  if (g_hash_table_contains (able, "mapped-ram"))
    return TRUE;
  qmp_client_get_version (monitor, &major, &minor, &micro);
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED,
               "An image with the encoding 'sparse' needs QEMU 9.0 or later, and the guest of %s runs with %u.%u.%u",
               vs_run_get_def (run)->name, major, minor, micro);
  return FALSE;
}

/**
 * vs_migration_check:
 * @run: a run with a guest
 * @encoding: of the image
 * @error: %VMSNAP_ERROR_NOT_SUPPORTED, …
 *
 * Before anything is done to the guest or to the image.
 *
 * Returns: whether its memory can be saved so
 */
gboolean
vs_migration_check (VsRun *run, VsImageEncoding encoding, GError **error)
{
  g_auto (VsMigrationLook) look = { 0 };

  if (encoding == VS_IMAGE_ENCODING_SPARSE && !vs_migration_check_sparse (run, error))
    return FALSE;
  if (!vs_migration_look (run, &look, error))
    return FALSE;
  if (!look.blocked)
    return TRUE;
  g_set_error (error, VMSNAP_ERROR, VMSNAP_ERROR_NOT_SUPPORTED, "The memory of %s can't be saved as it is now: %s",
               vs_run_get_def (run)->name, look.words);
  return FALSE;
}

/* Each that this QEMU has is said to be on or off, for an earlier migration of the same guest may have left it otherwise. */
static JsonObject *
describe_capabilities (GHashTable *able, VsMigrationWays ways)
{
  static const struct
  {
    const char *name;
    VsMigrationWays way;
  } known[] = {
    { "events", VS_MIGRATION_PLAIN },
    { "background-snapshot", VS_MIGRATION_BACKGROUND },
    { "pause-before-switchover", VS_MIGRATION_PRECOPY },
    { "mapped-ram", VS_MIGRATION_SPARSE },
    { "multifd", VS_MIGRATION_DIRECT },
  };
  JsonObject *capabilities = json_object_new ();
  JsonArray *list = json_array_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    if (g_hash_table_contains (able, known[i].name))
      json_array_add_object_element (list, qmp_args_new ("s:capability", known[i].name, "b:state",
                                                         known[i].way == VS_MIGRATION_PLAIN || (ways & known[i].way) != 0,
                                                         NULL));
  json_object_set_array_member (capabilities, "capabilities", list);
  return capabilities;
}

/* QEMU 9.0 has sparse images, and no such parameter. */
static gboolean
has_direct_io (VsRun *run)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  guint major, minor, micro;

  if (monitor == NULL)
    return FALSE;
  qmp_client_get_version (monitor, &major, &minor, &micro);
  return major > 9 || (major == 9 && minor > 0);
}

/**
 * vs_migration_configure:
 * @run: a run with a guest
 * @ways: how it shall migrate
 * @error: %VMSNAP_ERROR_HYPERVISOR: QEMU doesn't do it so for this guest on this host, in its own words
 *
 * Sets all that an earlier migration of the same guest may have set otherwise.
 *
 * Returns: whether QEMU will
 */
gboolean
vs_migration_configure (VsRun *run, VsMigrationWays ways, GError **error)
{
  g_autoptr (GHashTable) able = list_capabilities (run, error);
  JsonObject *parameters;

  if (able == NULL || !vs_steps_call (run, "migrate-set-capabilities", describe_capabilities (able, ways), error))
    return FALSE;
  parameters = qmp_args_new ("i:max-bandwidth", (gint64)NO_LIMIT, NULL);
  if ((ways & VS_MIGRATION_PRECOPY) != 0)
    json_object_set_int_member (parameters, "downtime-limit", VS_MIGRATION_DOWNTIME_LIMIT);
  if (g_hash_table_contains (able, "mapped-ram") && has_direct_io (run))
    json_object_set_boolean_member (parameters, "direct-io", (ways & VS_MIGRATION_DIRECT) != 0);
  return vs_steps_call (run, "migrate-set-parameters", parameters, error);
}

/* @set: -1: a new one is made. */
static gboolean
add_fd (VsRun *run, int fd, gint64 *set, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  JsonObject *arguments = *set >= 0 ? qmp_args_new ("i:fdset-id", *set, NULL) : NULL;
  g_autoptr (JsonNode) reply = NULL;

  if (monitor == NULL)
    {
      g_clear_pointer (&arguments, json_object_unref);
      return FALSE;
    }
  reply = qmp_client_call_full (monitor, "add-fd", arguments, fd, QMP_DEFAULT_TIMEOUT, NULL, error);
  return reply != NULL && qmp_json_get_int (json_node_get_object (reply), "fdset-id", set);
}

/**
 * vs_migration_lend_sparse:
 * @run: a run with a guest
 * @fd: (transfer full): a descriptor of the image
 * @direct_fd: (transfer full): another one that passes the page cache by, or -1
 * @offset: where in the file the state begins
 * @ways: how besides
 * @set: (out): what to give to vs_migration_take_back(); -1: nothing was lent
 * @error: %VMSNAP_ERROR_HYPERVISOR, %VMSNAP_ERROR_HYPERVISOR_GONE, …
 *
 * Sets QEMU's migration up for a sparse image, and hands the image over.
 *
 * Returns: (transfer full) (nullable): its URI
 */
char *
vs_migration_lend_sparse (VsRun *run,
                          int fd,
                          int direct_fd,
                          guint64 offset,
                          VsMigrationWays ways,
                          gint64 *set,
                          GError **error)
{
  gboolean ok;

  *set = -1;
  ways |= VS_MIGRATION_SPARSE | (direct_fd >= 0 ? VS_MIGRATION_DIRECT : VS_MIGRATION_PLAIN);
  ok = vs_migration_configure (run, ways, error) && add_fd (run, fd, set, error)
       && (direct_fd < 0 || add_fd (run, direct_fd, set, error));
  close (fd);
  if (direct_fd >= 0)
    close (direct_fd);
  return ok ? g_strdup_printf ("file:/dev/fdset/%" G_GINT64_FORMAT ",offset=%" G_GUINT64_FORMAT, *set, offset) : NULL;
}

/* Returns the URI, or NULL. */
char *
vs_migration_lend_stream (VsRun *run, int fd, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) reply = NULL;

  if (monitor == NULL)
    return NULL;
  reply = qmp_client_call_full (monitor, "getfd", qmp_args_new ("s:fdname", FD_NAME, NULL), fd, QMP_DEFAULT_TIMEOUT,
                                NULL, error);
  return reply != NULL ? g_strdup ("fd:" FD_NAME) : NULL;
}

/* What QEMU may still have of it; it has closed what it used up. */
void
vs_migration_take_back (VsRun *run, gint64 set)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);

  if (monitor == NULL)
    return;
  if (set >= 0)
    qmp_client_send (monitor, "remove-fd", qmp_args_new ("i:fdset-id", set, NULL));
  else
    qmp_client_send (monitor, "closefd", qmp_args_new ("s:fdname", FD_NAME, NULL));
}

/* Of what becomes of a migration; NULL: the guest has ended. */
QmpWatch *
vs_migration_watch (VsRun *run, GError **error)
{
  static const char *const events[] = { "MIGRATION", NULL };
  QmpClient *monitor = vs_run_get_monitor (run, error);

  return monitor != NULL ? qmp_client_watch (monitor, events) : NULL;
}

/* Until the next news, or not long. */
gboolean
vs_migration_wait_for_news (VsRun *run, QmpWatch *watch, gboolean *ended, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (QmpEvent) event
    = qmp_watch_pop (watch, g_get_monotonic_time () + INTERVAL, vs_run_get_cancellable (run), &local);

  *ended = event != NULL && has_ended (qmp_json_get_string (qmp_event_get_data (event), "status"));
  if (event != NULL || g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* The side that failed first knows why; QEMU knows of a broken pipe alone. But a cancel is a cancel. */
void
vs_migration_prefer (GError **error, GError *better)
{
  if (better == NULL)
    return;
  if (g_error_matches (*error, VMSNAP_ERROR, VMSNAP_ERROR_CANCELLED)
      || g_error_matches (*error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
      || g_error_matches (*error, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE))
    {
      g_error_free (better);
      return;
    }
  g_clear_error (error);
  *error = better;
}
