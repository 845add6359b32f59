/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What several workflows say to QEMU and to the domain. Threads of runs, but for what takes a VsDomain.
 */
#include "vs-steps.h"

#include <stdio.h>
#include <string.h>

#include "qmp-job.h"
#include "qmp-json.h"
#include "vmsnap-error.h"
#include "vs-disk-chain.h"
#include "vs-image-tool.h"

#define END_TIMEOUT (15 * G_USEC_PER_SEC)

/* For a workflow's check: how the domain is now, for the steps to go by and for an undo to get back to. Main thread. */
void
vs_steps_note_state (VsDomain *domain, JsonObject *facts)
{
  json_object_set_boolean_member (facts, FACT_ACTIVE, vs_domain_is_active (domain));
  json_object_set_boolean_member (facts, FACT_RUNNING,
                                  vs_domain_get_state (domain) == VMSNAP_DOMAIN_STATE_RUNNING);
}

/* A command whose return value says nothing. Never cancelled half-way. */
gboolean
vs_steps_call (VsRun *run, const char *command, JsonObject *arguments, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  g_autoptr (JsonNode) reply = NULL;

  if (monitor == NULL)
    {
      g_clear_pointer (&arguments, json_object_unref);
      return FALSE;
    }
  reply = qmp_client_call (monitor, command, arguments, NULL, error);
  return reply != NULL;
}

static JsonNode *
query_status (VsRun *run, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);

  return monitor != NULL ? qmp_client_call (monitor, "query-status", NULL, vs_run_get_cancellable (run), error) : NULL;
}

/* QEMU's own word: "running", "paused", "prelaunch", … */
char *
vs_steps_get_status (VsRun *run, GError **error)
{
  g_autoptr (JsonNode) reply = query_status (run, error);

  return reply != NULL ? g_strdup (qmp_json_get_string (json_node_get_object (reply), "status")) : NULL;
}

gboolean
vs_steps_is_running (VsRun *run, gboolean *running, GError **error)
{
  g_autoptr (JsonNode) reply = query_status (run, error);

  if (reply == NULL)
    return FALSE;
  *running = qmp_json_get_boolean (json_node_get_object (reply), "running", FALSE);
  return TRUE;
}

static gboolean
expect_stop (VsRun *run, gpointer reason, GError **error)
{
  vs_domain_expect_stop (vs_run_get_domain (run), GPOINTER_TO_INT (reason));
  return TRUE;
}

static gboolean
expect_resume (VsRun *run, gpointer reason, GError **error)
{
  vs_domain_expect_resume (vs_run_get_domain (run), GPOINTER_TO_INT (reason));
  return TRUE;
}

static gboolean
expect_end (VsRun *run, gpointer reason, GError **error)
{
  vs_domain_expect_end (vs_run_get_domain (run), GPOINTER_TO_INT (reason));
  return TRUE;
}

/* Why the guest's next stop will come; VMSNAP_STATE_REASON_UNKNOWN: no stop of ours is to be expected any more. */
void
vs_steps_expect_stop (VsRun *run, VmSnapStateReason reason)
{
  vs_run_on_main (run, expect_stop, GINT_TO_POINTER (reason), NULL);
}

gboolean
vs_steps_stop (VsRun *run, VmSnapStateReason reason, GError **error)
{
  vs_steps_expect_stop (run, reason);
  return vs_steps_call (run, "stop", NULL, error);
}

/* VMSNAP_STATE_REASON_UNKNOWN: the domain shows the reason for which it ran before. */
gboolean
vs_steps_cont (VsRun *run, VmSnapStateReason reason, GError **error)
{
  vs_run_on_main (run, expect_resume, GINT_TO_POINTER (reason), NULL);
  if (vs_run_get_monitor (run, NULL) != NULL)
    vs_run_set_flag (run, FACT_CONT_SENT, TRUE);
  return vs_steps_call (run, "cont", NULL, error);
}

/* Before a new guest is let run, and committed to: one that died without ever having run is undone. Of what an earlier
 * life sent, nobody knows. */
gboolean
vs_steps_check_not_stillborn (VsRun *run, GError **error)
{
  if (vs_run_is_recovery (run) || vs_run_get_flag (run, FACT_CONT_SENT) || vs_run_get_monitor (run, error) != NULL)
    return TRUE;
  g_prefix_error (error, "%s can't run: ", vs_run_get_def (run)->name);
  vs_run_withdraw_commit (run);
  return FALSE;
}

static gboolean
hold (VsRun *run, gpointer held, GError **error)
{
  vs_domain_set_held (vs_run_get_domain (run), GPOINTER_TO_INT (held));
  return TRUE;
}

/* Whether the guest must stand still, whatever its user wants; until the run's end at the latest. */
void
vs_steps_hold (VsRun *run, gboolean held)
{
  vs_run_on_main (run, hold, GINT_TO_POINTER (held), NULL);
}

/* It counts to the run's end: what is undone in several steps settles more than once. */
static VsWish
get_wish (VsRun *run)
{
  VsDomain *domain = vs_run_get_domain (run);
  VsWish wish = vs_domain_take_wish (domain);

  vs_domain_set_wish (domain, wish);
  return wish;
}

static gboolean
apply_wish (VsRun *run, gpointer data, GError **error)
{
  gboolean *run_it = data;
  VsWish wish = get_wish (run);

  if (wish != VS_WISH_NONE)
    *run_it = wish == VS_WISH_RUN;
  return TRUE;
}

static gboolean
was_stopped_by_user (VsRun *run, gpointer data, GError **error)
{
  return vs_domain_get_state_reason (vs_run_get_domain (run)) == VMSNAP_STATE_REASON_USER;
}

static gboolean
explain_running (VsRun *run, gpointer reason, GError **error)
{
  vs_domain_explain_running (vs_run_get_domain (run), GPOINTER_TO_INT (reason));
  return TRUE;
}

/* QEMU 10 leaves the disks of a guest that was loaded to nobody until `cont`; QEMU before takes them at once. One that is
 * to stand still has to have them, too: for snapshots, for instance. */
gboolean
vs_steps_take_disks (VsRun *run, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, error);
  guint major, minor, micro;

  if (monitor == NULL)
    return FALSE;
  qmp_client_get_version (monitor, &major, &minor, &micro);
  return major < 10 || vs_steps_call (run, "blockdev-set-active", qmp_args_new ("b:active", TRUE, NULL), error);
}

/* At the end of an operation: runs the guest, or leaves it paused, as the operation wants it; but what a user asked for
 * meanwhile counts more, and so, long after the operation's end, does what its user did since. A guest that runs
 * already may have been let run by an earlier life, which nobody here has heard of. */
gboolean
vs_steps_settle_running (VsRun *run, gboolean run_it, VmSnapStateReason reason, GError **error)
{
  gboolean running;

  if (vs_run_is_late (run) && (!run_it || vs_run_on_main (run, was_stopped_by_user, NULL, NULL)))
    return TRUE;
  vs_run_on_main (run, apply_wish, &run_it, NULL);
  if (!vs_steps_is_running (run, &running, error))
    return FALSE;
  if (!running && !run_it)
    return vs_steps_take_disks (run, error);
  if (running && run_it)
    return vs_run_on_main (run, explain_running, GINT_TO_POINTER (reason), NULL);
  return run_it ? vs_steps_cont (run, reason, error) : vs_steps_stop (run, VMSNAP_STATE_REASON_USER, error);
}

static gboolean
is_to_run (VsRun *run, gpointer data, GError **error)
{
  VsWish wish = get_wish (run);

  return wish == VS_WISH_RUN || (wish == VS_WISH_NONE && vs_run_get_flag (run, FACT_RUNNING));
}

/* For undo, in the middle of it: as vs_steps_restore_running(), which comes at its end; what a user asked for is still
 * known to that. Not in a next life: an undo before may have stopped the guest for good reasons. */
gboolean
vs_steps_let_run (VsRun *run, GError **error)
{
  if (vs_run_is_recovery (run) || vs_run_get_monitor (run, NULL) == NULL || !vs_run_on_main (run, is_to_run, NULL, NULL))
    return TRUE;
  return vs_steps_call (run, "cont", NULL, error);
}

/* For undo: a guest that ran before the operation runs again; a guest that is gone needs nothing. */
gboolean
vs_steps_restore_running (VsRun *run, GError **error)
{
  if (vs_run_get_monitor (run, NULL) == NULL)
    return TRUE;
  return vs_steps_settle_running (run, vs_run_get_flag (run, FACT_RUNNING), VMSNAP_STATE_REASON_UNKNOWN, error);
}

static gboolean
note_end (VsRun *run, gpointer guest, GError **error)
{
  vs_domain_note_end (vs_run_get_domain (run), guest);
  return TRUE;
}

/* Ends the guest; when this returns the domain knows. */
gboolean
vs_steps_end_guest (VsRun *run, VsProcessEnd how, VmSnapStateReason reason, GError **error)
{
  VsGuest *guest = vs_run_get_guest (run);

  if (guest == NULL)
    return TRUE;
  vs_run_on_main (run, expect_end, GINT_TO_POINTER (reason), NULL);
  if (!vs_guest_end (guest, how, END_TIMEOUT, NULL, error))
    return FALSE;
  vs_run_on_main (run, note_end, guest, NULL);
  vs_run_set_guest (run, NULL);
  return TRUE;
}

typedef struct {
  char *id;
  gboolean writes;
} ImageClaim;

static gboolean
claim_image (VsRun *run, gpointer data, GError **error)
{
  const ImageClaim *claim = data;

  return vs_engine_claim_image (vs_run_get_engine (run), vs_run_get_def (run), claim->id, claim->writes, error);
}

/* The caller's file is this run's until it ends, and neither another image under way nor a disk in use. */
gboolean
vs_steps_claim_image (VsRun *run, gboolean writes, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", vs_run_get_fd (run));
  g_autofree char *id = vs_disk_file_id (path, error);
  ImageClaim claim = { id, writes };

  return id != NULL && vs_run_on_main (run, claim_image, &claim, error);
}

/* The same name in a next life, so that recovery finds the job again. */
char *
vs_steps_job_id (VsRun *run, const char *what)
{
  return g_strdup_printf ("vmsnap-%u-%s", vs_run_get_number (run), what);
}

/* For undo and recovery: whatever QEMU still does under this name must end before anything else is done. */
gboolean
vs_steps_wait_for_job (VsRun *run, const char *job_id, GError **error)
{
  QmpClient *monitor = vs_run_get_monitor (run, NULL);
  g_autoptr (GError) local = NULL;

  if (monitor == NULL || qmp_job_wait (monitor, job_id, NULL, NULL, NULL, &local))
    return TRUE;
  /* How it ended is seen from what it did. But a monitor may also close while QEMU, and the job, live on. */
  if (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT)
      || (g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE)
          && !vs_process_wait (vs_guest_get_process (vs_run_get_guest (run)), END_TIMEOUT, NULL, NULL)))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return TRUE;
}

/* A line `key: number` or `key number` of a file under /proc. */
static guint64
read_proc (VsRun *run, const char *file, const char *key)
{
  VsGuest *guest = vs_run_get_guest (run);
  g_autofree char *path = NULL;
  g_autofree char *text = NULL;
  const char *line;

  if (guest == NULL)
    return 0;
  path = g_strdup_printf ("/proc/%d/%s", (int) vs_process_get_pid (vs_guest_get_process (guest)), file);
  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  line = strstr (text, key);
  return line != NULL ? g_ascii_strtoull (line + strlen (key), NULL, 10) : 0;
}

/* By whichever way: the first counts write(2) and its like, the second what went to the block layer (native AIO). */
guint64
vs_steps_bytes_written (VsRun *run)
{
  return MAX (read_proc (run, "io", "wchar:"), read_proc (run, "io", "\nwrite_bytes:"));
}

guint64
vs_steps_bytes_read (VsRun *run)
{
  return MAX (read_proc (run, "io", "rchar:"), read_proc (run, "io", "\nread_bytes:"));
}

guint64
vs_steps_resident_memory (VsRun *run)
{
  return read_proc (run, "status", "VmRSS:") * 1024;
}

const char *
vs_steps_emulator (VsRun *run)
{
  const char *emulator = vs_run_get_def (run)->emulator;

  return emulator != NULL ? emulator : vs_engine_get_emulator (vs_run_get_engine (run));
}

char *
vs_steps_image_tool (VsRun *run, GError **error)
{
  return vs_image_tool_find (vs_steps_emulator (run), error);
}

static gboolean
collect (VsRun *run, gpointer graph, GError **error)
{
  *(VsDiskGraph **) graph = vs_disk_graph_collect (vs_run_get_engine (run));
  return TRUE;
}

/**
 * vs_steps_identify_disks:
 * @run: a run
 * @error: %VMSNAP_ERROR_CANCELLED
 *
 * Costs one stat() a file that definitions and snapshots name.
 *
 * Returns: (transfer full) (nullable): the graph, identified
 */
VsDiskGraph *
vs_steps_identify_disks (VsRun *run, GError **error)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  vs_run_on_main (run, collect, &graph, NULL);
  return vs_disk_graph_identify (graph, vs_run_get_cancellable (run), error) ? g_steal_pointer (&graph) : NULL;
}

/**
 * vs_steps_look_at_disks:
 * @run: a run
 * @error: %VMSNAP_ERROR_CANCELLED
 *
 * Costs a look at the header of every file of every domain.
 *
 * Returns: (transfer full) (nullable): the graph, looked at
 */
VsDiskGraph *
vs_steps_look_at_disks (VsRun *run, GError **error)
{
  g_autoptr (VsDiskGraph) graph = NULL;

  vs_run_on_main (run, collect, &graph, NULL);
  return vs_disk_graph_look (graph, vs_run_get_cancellable (run), error) ? g_steal_pointer (&graph) : NULL;
}
