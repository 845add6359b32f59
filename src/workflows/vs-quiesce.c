/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Freezing a guest's file systems around a switch of its disks, and thawing them whatever happens. Threads of runs, but
 * for vs_quiesce_check().
 *
 * An agent that doesn't answer in time may still do what it was told, later. So it is told to freeze only after it has
 * answered something else, and once it was told, a thaw follows behind it on the same line: also when its answer didn't
 * come, and also by a next life of the service.
 *
 * Windows lets its file systems go by itself after ten seconds. Its agent says so when it is asked to thaw them, and
 * others answer that they thawed none: then what was switched wasn't frozen.
 */
#include "vs-quiesce.h"

#include "qmp-agent.h"
#include "vmsnap-error.h"
#include "vs-steps.h"

#define FREEZE "guest-fsfreeze-freeze"
#define THAW "guest-fsfreeze-thaw"
#define STATUS "guest-fsfreeze-status"

/* Facts */
#define FACT_FREEZE_SENT "freeze-sent" /* from here on file systems may be frozen */
#define FACT_FROZEN "frozen"           /* how many are */
#define FACT_THAWED "thawed"
#define FACT_NOT_THAWED "not-thawed" /* the agent was silent for too long */

#define SYNC_TIMEOUT (10 * G_USEC_PER_SEC)
/* It writes back what is dirty, and may run hooks of the guest's. */
#define FREEZE_TIMEOUT (30 * G_USEC_PER_SEC)
#define THAW_TIMEOUT (30 * G_USEC_PER_SEC)
#define THAW_TRY_TIMEOUT (5 * G_USEC_PER_SEC)
#define BETWEEN_TRIES (G_USEC_PER_SEC / 10)

/* What a user can do about a missing agent */
#define INSTALL "install and start qemu-guest-agent in the guest, or leave quiesce out"

static gboolean
refuse (GError **error, int code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (VMSNAP_ERROR, code, format, args);
  va_end (args);
  return FALSE;
}

static gboolean
check_channel (VsDomain *domain, GError **error)
{
  const VsChardevDef *channel = vs_domain_def_find_guest_agent (vs_domain_get_def (domain));
  const char *name = vs_domain_get_name (domain);

  if (channel == NULL)
    return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
                   "%s has no channel for a guest agent: add one to its definition (<channel type='unix'>, target "
                   "org.qemu.guest_agent.0) and start it anew, or leave quiesce out",
                   name);
  if (channel->type != VS_CHARDEV_UNIX || (channel->path != NULL && !channel->listen))
    return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
                   "The channel for the guest agent of %s leads elsewhere: make it a <channel type='unix'> with the mode "
                   "bind in its definition and start it anew, or leave quiesce out",
                   name);
  return TRUE;
}

/**
 * vs_quiesce_check:
 * @domain: a domain
 * @error: %VMSNAP_ERROR_INVALID_STATE, %VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE
 *
 * For a workflow's check: whether there is a guest, and in it an agent, as far as is known. Main thread.
 *
 * Returns: whether it is worth asking it
 */
gboolean
vs_quiesce_check (VsDomain *domain, GError **error)
{
  const char *name = vs_domain_get_name (domain);

  if (!vs_domain_is_active (domain))
    return refuse (error, VMSNAP_ERROR_INVALID_STATE, "%s is off, and has nothing to freeze: leave quiesce out", name);
  if (!check_channel (domain, error))
    return FALSE;
  if (vs_domain_get_state (domain) != VMSNAP_DOMAIN_STATE_RUNNING)
    return refuse (error, VMSNAP_ERROR_INVALID_STATE,
                   "%s is %s, and its guest agent can't freeze anything: resume it first, or leave quiesce out", name,
                   vmsnap_enum_to_nick (VMSNAP_TYPE_DOMAIN_STATE, vs_domain_get_state (domain)));
  if (vs_domain_lacks_guest_agent (domain))
    return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "No guest agent is connected in %s: " INSTALL, name);
  return TRUE;
}

gboolean
vs_quiesce_applies (VsRun *run)
{
  return vs_run_get_flag (run, FACT_QUIESCE);
}

/* The connection stays from the first question to the thaw: to an agent that finds its line cut comes another tenth of a
 * second, and with the file systems frozen. */
static QmpAgent *
get_agent (VsRun *run, GError **error)
{
  VsDomainDef *def = vs_run_get_def (run);
  const VsChardevDef *channel = vs_domain_def_find_guest_agent (def);
  QmpAgent *agent = vs_run_get_tool (run);
  int fd;

  if (agent != NULL)
    return agent;
  if (channel == NULL || vs_run_get_guest (run) == NULL)
    {
      refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "%s has no guest agent", def->name);
      return NULL;
    }
  fd = vs_guest_connect_agent (vs_run_get_guest (run), channel, error);
  if (fd < 0)
    return NULL;
  agent = qmp_agent_new (fd, def->name);
  vs_run_set_tool (run, agent, (GDestroyNotify) qmp_agent_free);
  return agent;
}

static void
drop_agent (VsRun *run)
{
  vs_run_set_tool (run, NULL, NULL);
}

/* Can the agent do this, and does whoever runs it let it? */
static gboolean
is_allowed (JsonNode *info, const char *command)
{
  JsonArray *commands = qmp_json_get_array (qmp_json_node_get_object (info), "supported_commands");

  for (guint i = 0; commands != NULL && i < json_array_get_length (commands); i++)
    {
      JsonObject *entry = qmp_json_array_get_object (commands, i);

      if (g_strcmp0 (qmp_json_get_string (entry, "name"), command) == 0)
        return qmp_json_get_boolean (entry, "enabled", FALSE);
    }
  return FALSE;
}

static gboolean
ask_status (VsRun *run, QmpAgent *agent, gboolean *thawed, GError **error)
{
  g_autoptr (JsonNode) node = qmp_agent_call (agent, STATUS, SYNC_TIMEOUT, vs_run_get_cancellable (run), error);
  const char *word = node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;

  if (node == NULL)
    return FALSE;
  *thawed = g_strcmp0 (word, "thawed") == 0;
  return TRUE;
}

static gboolean
check_abilities (VsRun *run, QmpAgent *agent, GError **error)
{
  const char *name = vs_run_get_def (run)->name;
  g_autoptr (JsonNode) info = qmp_agent_call (agent, "guest-info", SYNC_TIMEOUT, vs_run_get_cancellable (run), error);
  gboolean thawed = FALSE;

  if (info == NULL || !ask_status (run, agent, &thawed, error))
    return FALSE;
  if (!thawed)
    return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
                   "The file systems of %s are frozen already, by somebody else: wait until they are thawed", name);
  if (!is_allowed (info, FREEZE) || !is_allowed (info, THAW))
    return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
                   "The guest agent of %s can't freeze file systems (%s): allow it in the agent's configuration, or leave "
                   "quiesce out",
                   name, FREEZE);
  return TRUE;
}

static gboolean
look_for_agent (VsRun *run, gpointer lacking, GError **error)
{
  *(gboolean *) lacking = vs_domain_lacks_guest_agent (vs_run_get_domain (run));
  return TRUE;
}

/**
 * vs_quiesce_ping:
 * @run: a run
 * @error: %VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE
 *
 * A step that only looks: whether the guest's agent answers, and can freeze.
 *
 * Returns: whether it does
 */
gboolean
vs_quiesce_ping (VsRun *run, GError **error)
{
  QmpAgent *agent = get_agent (run, error);
  gboolean lacking = FALSE;

  if (agent != NULL && check_abilities (run, agent, error))
    return TRUE;
  vs_run_on_main (run, look_for_agent, &lacking, NULL);
  if (agent != NULL && !qmp_agent_is_synced (agent) && lacking)
    {
      g_clear_error (error);
      return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, "No guest agent is connected in %s: " INSTALL,
                     vs_run_get_def (run)->name);
    }
  return FALSE;
}

static gint64
get_count (JsonNode *node)
{
  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_int (node) : 0;
}

/**
 * vs_quiesce_freeze:
 * @run: a run
 * @error: %VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE, %VMSNAP_ERROR_CANCELLED
 *
 * A step: freezes the guest's file systems. Failed or not, vs_quiesce_undo() takes it back.
 *
 * Returns: whether they are frozen
 */
gboolean
vs_quiesce_freeze (VsRun *run, GError **error)
{
  QmpAgent *agent = get_agent (run, error);
  GCancellable *cancellable = vs_run_get_cancellable (run);
  g_autoptr (JsonNode) node = NULL;

  if (agent == NULL || !qmp_agent_sync (agent, SYNC_TIMEOUT, cancellable, error))
    return FALSE;
  vs_run_set_flag (run, FACT_FREEZE_SENT, TRUE);
  node = qmp_agent_call (agent, FREEZE, FREEZE_TIMEOUT, cancellable, error);
  vs_run_set_int (run, FACT_FROZEN, get_count (node));
  return node != NULL;
}

/* How a thaw went. */
typedef struct
{
  guint tries;
  gboolean woken; /* the guest was paused */
  gboolean answered;
  gint64 count;
  GError *complaint; /* file systems are thawed, but the agent has something to say */
} Thaw;

static void
thaw_clear (Thaw *thaw)
{
  g_clear_error (&thaw->complaint);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Thaw, thaw_clear)

/* With the guest its frozen file systems are gone. A channel ends a little before its QEMU. */
static gboolean
is_gone (VsRun *run, const GError *last)
{
  VsGuest *guest = vs_run_get_guest (run);

  if (guest == NULL || vs_guest_has_exited (guest))
    return TRUE;
  return g_error_matches (last, VMSNAP_ERROR, VMSNAP_ERROR_HYPERVISOR_GONE)
         && vs_process_wait (vs_guest_get_process (guest), BETWEEN_TRIES, NULL, NULL);
}

/* A guest that its user has paused meanwhile can't answer, and what is sent to it is lost when the connection ends, if
 * only with the service. So it goes on for as long as its agent needs. */
static gboolean
wake (VsRun *run)
{
  gboolean running = TRUE;

  return vs_run_get_monitor (run, NULL) != NULL && vs_steps_is_running (run, &running, NULL) && !running
         && vs_steps_cont (run, VMSNAP_STATE_REASON_UNKNOWN, NULL);
}

/* As its user wants it, who may have changed his mind. */
static void
let_rest (VsRun *run)
{
  gboolean running = FALSE;

  if (vs_run_is_late (run))
    {
      vs_steps_stop (run, VMSNAP_STATE_REASON_USER, NULL);
      return;
    }
  vs_steps_settle_running (run, FALSE, VMSNAP_STATE_REASON_UNKNOWN, NULL);
  if (vs_steps_is_running (run, &running, NULL))
    vs_run_set_flag (run, FACT_RUNNING, running);
}

static gboolean
try_to_thaw (VsRun *run, Thaw *thaw, GError **error)
{
  QmpAgent *agent = get_agent (run, error);
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) local = NULL;
  gboolean thawed = FALSE;

  if (agent == NULL)
    return FALSE;
  node = qmp_agent_call_at_once (agent, THAW, THAW_TRY_TIMEOUT, NULL, &local);
  thaw->answered = qmp_agent_is_synced (agent);
  thaw->count = get_count (node);
  if (node != NULL)
    return TRUE;
  if (thaw->answered && ask_status (run, agent, &thawed, NULL) && thawed)
    {
      thaw->complaint = g_steal_pointer (&local);
      return TRUE;
    }
  if (!g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE))
    drop_agent (run);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* Until the agent comes or goes, or QEMU ends; or for a moment, for an agent that refuses tells nobody when it won't. */
static void
wait_for_news (VsRun *run, QmpWatch *watch)
{
  VsGuest *guest = vs_run_get_guest (run);
  g_autoptr (GError) local = NULL;
  g_autoptr (QmpEvent) event
    = watch != NULL ? qmp_watch_pop (watch, g_get_monotonic_time () + BETWEEN_TRIES, NULL, &local) : NULL;

  if (event == NULL && !g_error_matches (local, VMSNAP_ERROR, VMSNAP_ERROR_TIMEOUT))
    vs_process_wait (vs_guest_get_process (guest), BETWEEN_TRIES, NULL, NULL);
}

static QmpWatch *
watch_agent (VsRun *run)
{
  static const char *const events[] = { "VSERPORT_CHANGE", NULL };
  QmpClient *monitor = vs_run_get_monitor (run, NULL);

  return monitor != NULL ? qmp_client_watch (monitor, events) : NULL;
}

static gboolean
insist_on_thaw (VsRun *run, Thaw *thaw, GError **error)
{
  const gboolean in_vain = vs_run_get_flag (run, FACT_NOT_THAWED) && !vs_run_is_recovery (run);
  const gint64 deadline = g_get_monotonic_time () + (in_vain ? 0 : THAW_TIMEOUT);
  g_autoptr (QmpWatch) watch = watch_agent (run);
  g_autoptr (GError) local = NULL;

  while (!is_gone (run, local))
    {
      g_clear_error (&local);
      thaw->tries++;
      thaw->woken |= wake (run);
      if (try_to_thaw (run, thaw, &local))
        break;
      if (g_get_monotonic_time () >= deadline)
        return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
                       "The file systems of %s may still be frozen: %s. Start the agent in the guest anew, thaw them there "
                       "with fsfreeze, or reset the domain",
                       vs_run_get_def (run)->name, local->message);
      wait_for_news (run, watch);
    }
  return TRUE;
}

/* Not when there is nothing to thaw, or nothing more. What an earlier life sent isn't known. */
static gboolean
may_be_frozen (VsRun *run)
{
  return !vs_run_get_flag (run, FACT_THAWED) && (vs_run_is_recovery (run) || vs_run_get_flag (run, FACT_FREEZE_SENT));
}

static gboolean
thaw (VsRun *run, Thaw *thaw, GError **error)
{
  gboolean done = !may_be_frozen (run) || insist_on_thaw (run, thaw, error);

  /* What is sent stays sent. */
  drop_agent (run);
  if (thaw->woken)
    let_rest (run);
  vs_run_set_flag (run, done ? FACT_THAWED : FACT_NOT_THAWED, TRUE);
  return done;
}

/**
 * vs_quiesce_undo:
 * @run: a run
 * @error: %VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE
 *
 * Undoes vs_quiesce_freeze(), however far that came. An agent that is silent is told again, until a deadline; when an
 * operation that was told to have failed is settled much later, that is all that can be done.
 *
 * Returns: whether nothing is frozen by us any more
 */
gboolean
vs_quiesce_undo (VsRun *run, GError **error)
{
  g_auto (Thaw) how = { 0 };
  g_autoptr (GError) local = NULL;

  if (thaw (run, &how, &local))
    return TRUE;
  if (vs_run_is_late (run))
    {
      g_warning ("%s", local->message);
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/**
 * vs_quiesce_thaw:
 * @run: a run
 * @error: %VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE
 *
 * A step: thaws the guest's file systems after the switch. One that finds nothing frozen fails, for then the disks
 * weren't still when they were switched; but not in a later life, which can't tell.
 *
 * Returns: whether they were frozen until now, and are thawed
 */
gboolean
vs_quiesce_thaw (VsRun *run, GError **error)
{
  g_auto (Thaw) how = { 0 };

  if (vs_run_is_recovery (run))
    return vs_quiesce_undo (run, error);
  if (!thaw (run, &how, error))
    return FALSE;
  if (how.complaint != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&how.complaint));
      g_prefix_error (error, "The file systems of %s were let go too early: ", vs_run_get_def (run)->name);
      return FALSE;
    }
  if (how.answered && how.tries == 1 && how.count < 1 && vs_run_get_int (run, FACT_FROZEN) > 0)
    return refuse (error, VMSNAP_ERROR_GUEST_AGENT_UNAVAILABLE,
                   "The file systems of %s were thawed by somebody else before its disks were switched; try again",
                   vs_run_get_def (run)->name);
  return TRUE;
}
